//! Those who look at the step while it runs. Each has a bounded queue of its own; one that falls behind loses its place
//! in the stream and later gets a fresh picture. None of them can slow the step down.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::io::Errno;

use crate::gauge::modes::Modes;
use crate::wire::shim::{BadFrame, Frame, MAX_FRAME};

/// What a new view, or one that fell behind, is shown first.
const RECENT: usize = 32 * 1024;
/// The most that waits for one view.
const QUEUE: usize = 256 * 1024;
/// Back to the terminal's first state: what was cut off may have left it anywhere.
const RESET: &[u8] = b"\x1bc";

/// To the other screen, and how that is recognised.
const OTHER_SCREEN: &[u8] = b"\x1b[?1049h";
const SWITCHES: [&[u8]; 3] = [OTHER_SCREEN, b"\x1b[?1047h", b"\x1b[?47h"];

/// The last bytes of the stream, and the modes that all of it has left on.
#[derive(Debug, Default)]
pub(super) struct Recent {
    bytes: Vec<u8>,
    cut: bool,
    modes: Modes,
}

impl Recent {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.modes.feed(bytes);
        let bytes = &bytes[bytes.len().saturating_sub(RECENT)..];
        if self.bytes.len() + bytes.len() > 2 * RECENT {
            self.bytes.drain(..self.bytes.len().saturating_sub(RECENT));
            self.cut = true;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// What makes a terminal that nobody has changed show it: the newest bytes, with the screen and the modes that were set
    /// before them. Where they were lost, keys, mouse and paste of a program would be wrong until it sets them anew.
    fn picture(&self) -> Vec<u8> {
        let tail = self.tail();
        if tail.len() == self.bytes.len() && !self.cut {
            return tail.to_vec();
        }
        let switches = SWITCHES.iter().any(|switch| tail.windows(switch.len()).any(|some| some == *switch));
        let screen = if self.modes.alternate() && !switches { OTHER_SCREEN } else { &[] };
        // Before them: they may end in the middle of a sequence, and say again whatever was set since they began.
        [screen, &self.modes.put_on(), tail].concat()
    }

    /// What a picture shows is only a part of what a program has drawn on a screen that it has to itself: the rest is there
    /// when it draws it anew.
    pub(super) fn is_torn(&self) -> bool {
        self.cut && self.modes.alternate()
    }

    /// The newest bytes, from the start of a line where there is one.
    fn tail(&self) -> &[u8] {
        let tail = &self.bytes[self.bytes.len().saturating_sub(RECENT)..];
        if !self.cut && tail.len() == self.bytes.len() {
            return tail;
        }
        let line = tail.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if line < tail.len() { &tail[line..] } else { tail }
    }
}

/// What a view wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Type(Vec<u8>),
    Resize { rows: u16, cols: u16 },
}

/// The view closed its connection or does not speak the protocol.
#[derive(Debug)]
pub(super) struct Gone;

impl From<BadFrame> for Gone {
    fn from(_: BadFrame) -> Self {
        Self
    }
}

/// One connected view.
#[derive(Debug)]
pub(super) struct View {
    socket: OwnedFd,
    inbox: Vec<u8>,
    queue: VecDeque<Rc<[u8]>>,
    /// How much of the first of the queue was sent.
    sent: usize,
    queued: usize,
    behind: bool,
    /// It was shown a picture of the end alone.
    fresh: bool,
}

impl AsFd for View {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl View {
    /// A view on `socket`, which does not block; `inbox` is what it has said already.
    pub(super) fn new(socket: OwnedFd, inbox: Vec<u8>, recent: &Recent) -> Self {
        let mut view = Self { socket, inbox, queue: VecDeque::new(), sent: 0, queued: 0, behind: false, fresh: true };
        view.enqueue(Frame::Output.of(&recent.picture()).into());
        view
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    fn enqueue(&mut self, frame: Rc<[u8]>) {
        self.queued += frame.len();
        self.queue.push_back(frame);
    }

    /// Passes output on, or skips it when the view is too far behind.
    pub(super) fn show(&mut self, frame: &Rc<[u8]>) {
        if self.behind {
            return;
        }
        if self.queued + frame.len() > QUEUE {
            // A frame that was sent in part must be finished, else the rest would be taken for a new one.
            self.queue.truncate(usize::from(self.sent > 0));
            self.queued = self.queue.front().map_or(0, |first| first.len() - self.sent);
            self.behind = true;
        } else {
            self.enqueue(Rc::clone(frame));
        }
    }

    /// It was shown a picture of the end alone since this was asked last.
    pub(super) fn takes_fresh(&mut self) -> bool {
        std::mem::take(&mut self.fresh)
    }

    /// The last frame: always kept, also for a view that is behind.
    pub(super) fn close(&mut self, words: &str, recent: &Recent) {
        self.catch_up(recent);
        self.enqueue(Frame::End.of(&words.as_bytes()[..words.len().min(MAX_FRAME)]).into());
    }

    fn catch_up(&mut self, recent: &Recent) {
        if self.behind {
            self.behind = false;
            self.enqueue(Frame::Output.of(RESET).into());
            self.enqueue(Frame::Output.of(&recent.picture()).into());
            self.fresh = true;
        }
    }

    /// Sends what the view takes now.
    pub(super) fn flush(&mut self, recent: &Recent) -> Result<(), Gone> {
        loop {
            let Some(first) = self.queue.front() else {
                if !self.behind {
                    return Ok(());
                }
                self.catch_up(recent);
                continue;
            };
            match rustix::io::write(&self.socket, &first[self.sent..]) {
                Ok(written) => {
                    self.sent += written;
                    self.queued -= written;
                    if self.sent == first.len() {
                        self.sent = 0;
                        self.queue.pop_front();
                    }
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(_) => return Err(Gone),
            }
        }
    }

    /// What the view has said since.
    pub(super) fn receive(&mut self) -> Result<Vec<Wish>, Gone> {
        let mut block = [0u8; 16 * 1024];
        match rustix::io::read(&self.socket, &mut block[..]) {
            Ok(0) => return Err(Gone),
            Ok(read) => self.inbox.extend_from_slice(&block[..read]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return Err(Gone),
        }
        let mut wishes = Vec::new();
        while let Some((frame, bytes)) = Frame::take(&mut self.inbox)? {
            match (frame, &bytes[..]) {
                (Frame::Input, _) => wishes.push(Wish::Type(bytes)),
                (Frame::Size, [r0, r1, c0, c1]) => {
                    wishes.push(Wish::Resize {
                        rows: u16::from_le_bytes([*r0, *r1]),
                        cols: u16::from_le_bytes([*c0, *c1]),
                    });
                }
                (Frame::Size | Frame::Output | Frame::End, _) => return Err(Gone),
            }
        }
        Ok(wishes)
    }
}
