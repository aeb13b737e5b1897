//! A pane that is a terminal: reads and writes the descriptor that the engine gave, and shows what comes.
//!
//! Nothing here waits: whoever owns the loop polls the descriptor. What the other side does not take is kept up to a
//! bound, so that a program which reads nothing holds up only what is typed to it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::Polled;
use super::grid::{Grid, Size};
use super::sieve::Work;
use crate::spawn;

/// Bytes read at once; a terminal gives at most 4 KiB.
const BLOCK: usize = 4 * 1024;
/// So much that was typed waits for the other side; more is not taken.
const MOST_TYPED: usize = 1024 * 1024;

/// A live pane.
#[derive(Debug)]
pub struct Live {
    terminal: OwnedFd,
    grid: Grid,
    /// Read, but there was no work left for it.
    unread: Vec<u8>,
    /// Typed, but not taken yet.
    typed: Vec<u8>,
    ended: bool,
}

impl Live {
    /// A pane on this terminal, which gets this size.
    pub fn new(terminal: OwnedFd, size: Size) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&terminal)?;
        rustix::fs::fcntl_setfl(&terminal, flags | OFlags::NONBLOCK)?;
        let mut live = Self { terminal, grid: Grid::new(size), unread: Vec::new(), typed: Vec::new(), ended: false };
        live.tell_size()?;
        Ok(live)
    }

    /// To be polled for reading, and for writing while [`Live::wants_to_write`].
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.terminal.as_fd()
    }

    /// Something that was typed is not taken yet.
    pub fn wants_to_write(&self) -> bool {
        !self.typed.is_empty() && !self.ended
    }

    /// The other side hung up: its last picture stays.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Takes in what is there to read, as much as there is work for; passes on what was typed.
    pub fn poll(&mut self, work: &mut Work) -> Polled {
        self.flush();
        let mut changed = false;
        while work.left() {
            if self.unread.is_empty() && !self.read() {
                break;
            }
            let taken = self.grid.feed_some(&self.unread, work);
            self.unread.drain(..taken);
            changed |= taken > 0;
        }
        Polled { changed, behind: !self.unread.is_empty() || (!work.left() && !self.ended) }
    }

    /// Whether something came.
    fn read(&mut self) -> bool {
        if self.ended {
            return false;
        }
        self.unread.resize(BLOCK, 0);
        let read = rustix::io::retry_on_intr(|| rustix::io::read(&self.terminal, &mut self.unread[..]));
        self.unread.truncate(read.unwrap_or(0));
        // A hung-up terminal reads as an input error.
        self.ended = !matches!(read, Ok(1..) | Err(Errno::AGAIN));
        !self.unread.is_empty()
    }

    /// Types. False when the other side has not taken a megabyte of earlier bytes, or is gone: then none of these is kept.
    #[must_use = "what is not taken is to be told"]
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        if self.ended || self.typed.len() + bytes.len() > MOST_TYPED {
            return false;
        }
        self.typed.extend_from_slice(bytes);
        self.flush();
        true
    }

    fn flush(&mut self) {
        while !self.typed.is_empty() {
            match rustix::io::retry_on_intr(|| rustix::io::write(&self.terminal, &self.typed)) {
                Ok(written @ 1..) => drop(self.typed.drain(..written)),
                // Full, or gone: reading tells which.
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// The terminal gets another size; its program is told.
    pub fn resize(&mut self, size: Size) -> io::Result<()> {
        if size == self.grid.size() {
            return Ok(());
        }
        self.grid.resize(size);
        self.tell_size()
    }

    fn tell_size(&mut self) -> io::Result<()> {
        let size = self.grid.size();
        spawn::set_size(&self.terminal, size.rows(), size.cols())
    }

    /// Its cells, title and modes.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Draws it. Every cell of `area` is written.
    pub fn paint(&self, area: Rect, buf: &mut Buffer) {
        self.grid.paint(area, buf);
    }

    /// Draws the part of it round its cursor. Every cell of `area` is written.
    pub fn paint_part(&self, area: Rect, buf: &mut Buffer) {
        self.grid.paint_part(area, buf);
    }

    /// Where the cursor is when it was drawn there.
    pub fn cursor_in(&self, area: Rect) -> Option<Position> {
        self.grid.cursor_in(area)
    }
}
