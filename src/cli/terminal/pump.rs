//! Bytes both ways between a person's terminal and a step's, until the key, the end, or a signal. One loop on poll(2):
//! a terminal that does not take bytes slows only its own side.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{Winsize, tcgetwinsize, tcsetwinsize};

use super::raw::Raw;
use crate::cli::signals::Signals;
use crate::clock::boottime_ms;
use crate::faces::detach::{Key, Watch};
use crate::gauge::modes::Modes;

/// Few enough that a terminal which is ready takes them without blocking.
const CHUNK: usize = 512;
/// How long the beginning of an escape sequence is held back: terminals send the rest at once.
const HOLD_MS: i64 = 50;

/// Why a visit was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Left {
    /// The key was pressed.
    LetGo,
    /// The other side hung up: the step or the shell ended.
    Ended,
    /// The own terminal went away, or a signal said to leave.
    Signal,
}

/// What a visit was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Visit {
    pub(in crate::cli) left: Left,
    pub(in crate::cli) keys: u64,
    pub(in crate::cli) ms: i64,
}

/// The size of the own terminal: rows, columns.
pub(in crate::cli) fn size() -> (u16, u16) {
    tcgetwinsize(io::stdin())
        .ok()
        .filter(|size| size.ws_row > 0 && size.ws_col > 0)
        .map_or((24, 80), |size| (size.ws_row, size.ws_col))
}

/// Puts the own terminal on this one. With `readonly` nothing that is typed is passed on.
pub(in crate::cli) fn visit(terminal: &OwnedFd, key: Key, readonly: bool) -> io::Result<Visit> {
    let began = boottime_ms();
    let leave = Signals::leave_tidily()?;
    let resized = Signals::resized()?;
    let mut raw = Raw::enter()?;
    let mut pump = Pump {
        terminal,
        watch: Watch::new(key),
        modes: Modes::default(),
        typed: Vec::new(),
        typed_at: began,
        shown: Vec::new(),
        readonly,
    };
    let left = pump.run(&leave, &resized);
    raw.farewell = pump.modes.take_back();
    drop(raw);
    Ok(Visit { left: left?, keys: if readonly { 0 } else { pump.watch.keys() }, ms: boottime_ms() - began })
}

struct Pump<'a> {
    terminal: &'a OwnedFd,
    watch: Watch,
    modes: Modes,
    /// On its way to the step.
    typed: Vec<u8>,
    /// When a key was read, the last time.
    typed_at: i64,
    /// On its way to the person.
    shown: Vec<u8>,
    readonly: bool,
}

/// What there is to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Leave,
    Resized,
    Keys,
    /// Output of the step.
    Output,
    /// The step takes what was typed.
    Takes,
    /// The own terminal takes what is shown.
    Shows,
}

impl Pump<'_> {
    fn run(&mut self, leave: &Signals, resized: &Signals) -> io::Result<Left> {
        self.fit();
        loop {
            let ready = self.wait(leave, resized)?;
            // Not only when nothing else happens: a step may print without a pause.
            if !ready.contains(&Source::Keys) && self.held_for() == Some(0) {
                let held = self.watch.flush();
                self.pass(&held);
            }
            for source in ready {
                let left = match source {
                    Source::Leave => Some(Left::Signal),
                    Source::Resized => {
                        resized.take();
                        self.fit();
                        None
                    }
                    Source::Keys => self.read_keys()?,
                    Source::Output => self.read_output()?,
                    Source::Takes => self.send(),
                    Source::Shows => self.show()?,
                };
                if left.is_some() {
                    return Ok(left.unwrap_or(Left::Signal));
                }
            }
        }
    }

    /// How many milliseconds the beginning of an escape sequence is still held back, if one is.
    fn held_for(&self) -> Option<i64> {
        self.watch.holds().then(|| (self.typed_at + HOLD_MS - boottime_ms()).max(0))
    }

    /// The step's terminal gets the size of the own one. One that is gone is seen when it is read.
    fn fit(&self) {
        let (rows, columns) = size();
        let _ = tcsetwinsize(self.terminal, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 });
    }

    /// Only what can be done is waited for: one side that is full holds back what would fill it further.
    fn wait(&self, leave: &Signals, resized: &Signals) -> io::Result<Vec<Source>> {
        let (stdin, stdout) = (io::stdin(), io::stdout());
        let terminal = self.terminal.as_fd();
        let mut watched = vec![
            (Source::Leave, leave.fd(), PollFlags::IN),
            (Source::Resized, resized.fd(), PollFlags::IN),
            (Source::Keys, stdin.as_fd(), PollFlags::IN),
        ];
        if self.shown.is_empty() {
            watched.push((Source::Output, terminal, PollFlags::IN));
        } else {
            watched.push((Source::Shows, stdout.as_fd(), PollFlags::OUT));
        }
        if !self.typed.is_empty() {
            watched.push((Source::Takes, terminal, PollFlags::OUT));
        }
        let mut fds: Vec<PollFd<'_>> =
            watched.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        let timeout = self.held_for().map(|ms| Timespec { tv_sec: 0, tv_nsec: ms * 1_000_000 });
        loop {
            match poll(&mut fds, timeout.as_ref()) {
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(watched
            .iter()
            .zip(&fds)
            .filter(|(_, fd)| !fd.revents().is_empty())
            .map(|((source, _, _), _)| *source)
            .collect())
    }

    fn read_keys(&mut self) -> io::Result<Option<Left>> {
        let mut bytes = [0u8; 4096];
        let count = match rustix::io::read(io::stdin(), &mut bytes) {
            Ok(0) | Err(rustix::io::Errno::IO) => return Ok(Some(Left::Signal)),
            Ok(count) => count,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        self.typed_at = boottime_ms();
        let typed = self.watch.feed(&bytes[..count]);
        self.pass(&typed.pass);
        if typed.let_go {
            // What was typed before the key is still meant for the step, if it takes it at once.
            self.send();
            return Ok(Some(Left::LetGo));
        }
        Ok(None)
    }

    /// What a step does not take for long is dropped beyond this, so that the key that lets go is always read.
    fn pass(&mut self, bytes: &[u8]) {
        const MOST: usize = 1024 * 1024;
        if !self.readonly && self.typed.len() < MOST {
            self.typed.extend_from_slice(bytes);
        }
    }

    fn send(&mut self) -> Option<Left> {
        if self.typed.is_empty() {
            return None;
        }
        let count = self.typed.len().min(CHUNK);
        match rustix::io::write(self.terminal, &self.typed[..count]) {
            Ok(written) => {
                self.typed.drain(..written);
                None
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => None,
            Err(_) => Some(Left::Ended),
        }
    }

    fn read_output(&mut self) -> io::Result<Option<Left>> {
        let mut bytes = [0u8; 16 * 1024];
        match rustix::io::read(self.terminal, &mut bytes) {
            // A hung-up terminal reads as an input error.
            Ok(0) | Err(rustix::io::Errno::IO) => Ok(Some(Left::Ended)),
            Ok(count) => {
                self.modes.feed(&bytes[..count]);
                self.shown.extend_from_slice(&bytes[..count]);
                Ok(None)
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn show(&mut self) -> io::Result<Option<Left>> {
        let count = self.shown.len().min(CHUNK);
        match rustix::io::write(io::stdout(), &self.shown[..count]) {
            Ok(written) => {
                self.shown.drain(..written);
                Ok(None)
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Ok(None),
            Err(rustix::io::Errno::IO) => Ok(Some(Left::Signal)),
            Err(errno) => Err(errno.into()),
        }
    }
}
