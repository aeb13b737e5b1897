//! One peer on a socket that is never waited for: lines of JSON in, lines of JSON out, both bounded.
//!
//! For the synchronous rooms, keeper and shim. A peer that sends a line without end or does not read what it is sent is
//! dropped by its owner; nothing here blocks or grows without limit.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest line, and the most that is kept for a peer that does not read.
pub const MAX_LINE: usize = 4 * 1024 * 1024;

/// Why a peer has to be dropped.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    #[error("it closed the connection")]
    Closed,
    #[error("it sent a line of more than {MAX_LINE} bytes")]
    TooLong,
    #[error("it does not read what it is sent")]
    NotReading,
    #[error("it sent something that is not a message of this protocol: {0}")]
    NotUnderstood(#[from] serde_json::Error),
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
}

#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    /// Travels with the first byte.
    descriptor: Option<OwnedFd>,
}

/// See the module's description.
#[derive(Debug)]
pub struct Lines {
    socket: OwnedFd,
    inbox: Vec<u8>,
    /// How much of the inbox was taken already; dropped now and then, so that many small lines cost no more than few.
    taken: usize,
    /// Up to where the inbox is known to hold no further end of line.
    scanned: usize,
    outbox: VecDeque<Outgoing>,
    queued: usize,
}

impl AsFd for Lines {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Lines {
    /// Takes over a connected socket.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self { socket, inbox: Vec::new(), taken: 0, scanned: 0, outbox: VecDeque::new(), queued: 0 })
    }

    /// Reads what is there. `Err(Closed)` comes only after the lines that arrived before it were taken.
    pub fn receive(&mut self) -> Result<(), Lost> {
        let mut block = [0u8; 16 * 1024];
        loop {
            match rustix::io::read(&self.socket, &mut block[..]) {
                Ok(0) | Err(Errno::CONNRESET) => return Err(Lost::Closed),
                Ok(read) => {
                    self.inbox.extend_from_slice(&block[..read]);
                    // Enough for now: what is here is looked at before more is taken in.
                    if self.inbox.len() - self.taken > MAX_LINE {
                        return Ok(());
                    }
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(Lost::Io(error.into())),
            }
        }
    }

    /// The next whole line as a message.
    pub fn take<M: DeserializeOwned>(&mut self) -> Result<Option<M>, Lost> {
        let Some(length) = self.inbox[self.scanned..].iter().position(|byte| *byte == b'\n') else {
            self.inbox.drain(..self.taken);
            self.taken = 0;
            self.scanned = self.inbox.len();
            return if self.inbox.len() > MAX_LINE { Err(Lost::TooLong) } else { Ok(None) };
        };
        let end = self.scanned + length;
        let message = serde_json::from_slice(&self.inbox[self.taken..end]);
        self.taken = end + 1;
        self.scanned = end + 1;
        Ok(Some(message?))
    }

    /// Queues a message and sends what the peer takes now.
    pub fn say(&mut self, message: &impl Serialize) -> Result<(), Lost> {
        self.say_with(message, None)
    }

    /// As [`Lines::say`], with a file descriptor.
    pub fn say_with(&mut self, message: &impl Serialize, descriptor: Option<OwnedFd>) -> Result<(), Lost> {
        let mut bytes = serde_json::to_vec(message)?;
        bytes.push(b'\n');
        self.queued += bytes.len();
        if self.queued > 2 * MAX_LINE {
            return Err(Lost::NotReading);
        }
        self.outbox.push_back(Outgoing { bytes, sent: 0, descriptor });
        self.flush()
    }

    /// Is something waiting for the peer to read?
    pub fn is_waiting(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Sends what the peer takes now.
    pub fn flush(&mut self) -> Result<(), Lost> {
        while let Some(next) = self.outbox.front_mut() {
            match send(self.socket.as_fd(), &next.bytes[next.sent..], next.descriptor.as_ref()) {
                Ok(sent) => {
                    next.descriptor = None;
                    next.sent += sent;
                    self.queued -= sent;
                    if next.sent == next.bytes.len() {
                        self.outbox.pop_front();
                    }
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(Lost::Closed),
                Err(error) => return Err(Lost::Io(error.into())),
            }
        }
        Ok(())
    }

    /// Gives up the socket and what was received beyond the lines taken: the connection goes on in another form.
    pub fn into_parts(mut self) -> (OwnedFd, Vec<u8>) {
        self.inbox.drain(..self.taken);
        (self.socket, self.inbox)
    }
}

fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptor: Option<&OwnedFd>) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = descriptor.map(AsFd::as_fd);
    if let Some(descriptor) = &descriptors {
        ancillary.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(descriptor)));
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}
