//! Bytes, lines and descriptors over one Unix socket, without blocking.
//! Owns the frame limit: a peer that sends an endless line, or descriptors nobody asked for, is cut off.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind, IoSliceMut, Result};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Longest line in either direction.
const FRAME: usize = 4 * 1024 * 1024;
/// Descriptors that may wait for their line.
const FDS: usize = 16;
/// Bytes that may wait to be written.
const UNSENT: usize = 16 * 1024 * 1024;

/// A connected socket with what was read but not taken, and what was given but not written.
#[derive(Debug)]
pub(super) struct Socket {
    stream: UnixStream,
    read: Vec<u8>,
    /// Up to here `read` is known to hold no end of a line.
    searched: usize,
    unsent: VecDeque<u8>,
    /// In the order of the lines they belong to: one that has a descriptor gets the oldest.
    fds: VecDeque<OwnedFd>,
}

impl Socket {
    /// Connects to a socket in a folder, however long its path is.
    pub(super) async fn connect(dir: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(dir, flags, Mode::empty())?;
        let path = format!("/proc/self/fd/{}/keeper.sock", std::os::fd::AsRawFd::as_raw_fd(&folder));
        loop {
            match UnixStream::connect(&path).await {
                // Its queue is full: somebody is there, but does not accept now. The caller has the deadline.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    crate::clock::sleep(std::time::Duration::from_millis(20)).await;
                }
                connected => return connected.map(Self::new),
            }
        }
    }

    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, read: Vec::new(), searched: 0, unsent: VecDeque::new(), fds: VecDeque::new() }
    }

    /// Takes a line that was read already.
    pub(super) fn line(&mut self) -> Option<Vec<u8>> {
        let found = self.read[self.searched..].iter().position(|byte| *byte == b'\n');
        let Some(at) = found.map(|at| at + self.searched) else {
            self.searched = self.read.len();
            return None;
        };
        let rest = self.read.split_off(at + 1);
        let mut line = std::mem::replace(&mut self.read, rest);
        line.pop();
        self.searched = 0;
        Some(line)
    }

    /// The oldest descriptor that came.
    pub(super) fn fd(&mut self) -> Option<OwnedFd> {
        self.fds.pop_front()
    }

    /// Gives a line to be written by [`Socket::turn`].
    pub(super) fn send(&mut self, line: &[u8]) -> Result<()> {
        if line.len() >= FRAME || self.unsent.len() + line.len() >= UNSENT {
            return Err(Error::new(ErrorKind::QuotaExceeded, "too much for the keeper's socket"));
        }
        self.unsent.extend(line);
        self.unsent.push_back(b'\n');
        Ok(())
    }

    /// Waits until something can be read or written, and does it. Cancelling it loses nothing. `Ok(false)`: the end.
    pub(super) async fn turn(&mut self) -> Result<bool> {
        let wanted = if self.unsent.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        let ready = self.stream.ready(wanted).await?;
        if ready.is_writable() && !self.unsent.is_empty() {
            let written = self.stream.try_write(self.unsent.make_contiguous());
            let written = would_block_is(0, written)?;
            self.unsent.drain(..written);
        }
        if ready.is_readable() { self.receive() } else { Ok(true) }
    }

    fn receive(&mut self) -> Result<bool> {
        let mut chunk = [0u8; 16 * 1024];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = self.stream.try_io(Interest::READABLE, || {
            let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
            Ok(recvmsg(&self.stream, &mut [IoSliceMut::new(&mut chunk)], &mut control, flags)?.bytes)
        });
        let Some(received) = would_block_is(None, received.map(Some))? else { return Ok(true) };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                self.fds.extend(fds);
            }
        }
        self.read.extend_from_slice(&chunk[..received]);
        if self.fds.len() > FDS || (self.read.len() > FRAME && !self.read.contains(&b'\n')) {
            return Err(Error::new(ErrorKind::InvalidData, "more than the protocol allows"));
        }
        Ok(received > 0)
    }
}

fn would_block_is<T>(instead: T, result: Result<T>) -> Result<T> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(instead),
        other => other,
    }
}
