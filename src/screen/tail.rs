//! A pane that only looks: the end of an attempt's log as its terminal shows it.
//!
//! It begins near the end, goes on where it was, and leaves out what came too fast: a person reads none of 10 MB a second.
//! Each call reads and takes in a bounded number of bytes.

use std::path::PathBuf;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Polled;
use super::grid::{Grid, Size};
use super::sieve::Work;
use super::source::{GLANCE, Source};
use crate::attempt::Error;
use crate::attempt::log::{Piece, gap_line};

/// The terminal of an attempt before anybody attached.
const USUAL: (u16, u16) = (40, 120);
/// How much of the end is taken in when a pane is opened: what full-screen programs draw over many writes, too.
const OPENED: u64 = 64 * 1024;
/// A pane that is farther behind leaves something out ...
const FAR: u64 = 256 * 1024;
/// ... and goes on so far from the end: some screens full.
const NEAR: u64 = 24 * 1024;
/// How far before a place is looked for the last change between the two screens of a terminal ...
const SCREENS: u64 = 256 * 1024;
/// ... and how far when a pane is opened.
const SCREENS_OPENED: u64 = 2 * 1024 * 1024;
/// Bytes read at once.
const BLOCK: usize = 32 * 1024;

/// A passive pane.
#[derive(Debug)]
pub struct Tail {
    source: Source,
    grid: Grid,
    /// All before this is taken in or left out; `None` before the first look.
    offset: Option<u64>,
    left_out: u64,
}

impl Tail {
    /// A pane on the attempt in this directory, which need not be there yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            source: Source::new(dir.into()),
            grid: Grid::new(Size::new(USUAL.0, USUAL.1)),
            offset: None,
            left_out: 0,
        }
    }

    /// Takes in what was written since, as much as there is work for.
    pub fn poll(&mut self, work: &mut Work) -> Result<Polled, Error> {
        let end = self.source.look()?;
        // Half of a marker that found no room on a full disk was taken back.
        self.offset = self.offset.map(|offset| offset.min(end));
        let mut offset = self.offset.unwrap_or(0);
        // A program may have another size and say nothing of it.
        self.fit()?;
        if offset == end {
            return Ok(Polled::default());
        }
        let (most, back) = if self.offset.is_none() { (OPENED, OPENED) } else { (FAR, NEAR) };
        if end - offset > most {
            let near = self.start_near(end - back, end)?;
            self.left_out += near - offset;
            offset = near;
        }
        self.offset = Some(offset);
        let start = offset;
        while work.left()
            && let Some(piece) = self.source.read(offset, BLOCK)?
        {
            offset = match &piece {
                Piece::Bytes { offset, bytes } => offset + self.grid.feed_some(bytes, work) as u64,
                Piece::Gap { len, .. } => {
                    self.grid.cut();
                    self.grid.feed(format!("\r\n{}\r", gap_line(*len)).as_bytes());
                    piece.next_offset()
                }
            };
            self.offset = Some(offset);
        }
        Ok(Polled { changed: offset != start, behind: offset < self.source.end() })
    }

    /// The terminal gets the size that the step's one has.
    fn fit(&mut self) -> Result<(), Error> {
        if let Some(stamp) = self.source.stamp()? {
            self.grid.resize(Size::new(stamp.rows, stamp.cols));
        }
        Ok(())
    }

    /// The first place from `from` on where a line begins, or at least a sequence. What the bytes before it did to the
    /// terminal as a whole is made up for, as far as it can be seen.
    fn start_near(&mut self, from: u64, end: u64) -> Result<u64, Error> {
        let far = if self.offset.is_none() { SCREENS_OPENED } else { SCREENS };
        let before = self.source.bytes(from.saturating_sub(far), from)?;
        self.grid.cut();
        match last_screen(&before) {
            Some(true) => self.grid.feed(b"\x1b[?1049h"),
            Some(false) => self.grid.feed(b"\x1b[?1049l"),
            None if self.offset.is_none() && from > SCREENS_OPENED => self.grid.lose(),
            None => {}
        }
        let bytes = self.source.bytes(from, end.min(from + NEAR))?;
        let after = |wanted: u8| bytes.iter().position(|byte| *byte == wanted);
        let start = after(b'\n').map(|at| at + 1).or_else(|| after(b'\r')).or_else(|| after(0x1b)).unwrap_or(0);
        Ok(from + start as u64)
    }

    /// Draws it, wrapped to the width of `area`. Every cell of `area` is written.
    pub fn paint(&self, area: Rect, buf: &mut Buffer) {
        self.grid.paint_wrapped(area, buf);
    }

    /// Its terminal.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Up to where the log is taken in or left out; `None` before the first look.
    pub fn offset(&self) -> Option<u64> {
        self.offset
    }

    /// How many bytes were not shown because they came too fast, or before the pane was opened.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The text of the last `count` lines on it, oldest first, lines that its terminal had to wrap put together: for
    /// [`crate::gauge::progress`]. Costs little, and nothing is read.
    pub fn last_rows(&self, count: usize) -> Vec<String> {
        self.grid.last_lines(count)
    }

    /// The last `count` lines as plain text, oldest first, of the last 16 KiB: for evidence. Read anew from disk.
    pub fn last_lines(&mut self, count: usize) -> Result<Vec<String>, Error> {
        self.source.look()?;
        self.source.last_lines(count, GLANCE)
    }
}

/// Whether the last change of screens in `bytes` was to the other one; `None` without a change.
fn last_screen(bytes: &[u8]) -> Option<bool> {
    let mut below = bytes.len();
    while let Some(at) = bytes[..below].iter().rposition(|byte| *byte == 0x1b) {
        let rest = &bytes[at..];
        let end = ["\x1b[?1049", "\x1b[?47"].iter().find_map(|switch| rest.strip_prefix(switch.as_bytes())?.first());
        match end {
            Some(b'h') => return Some(true),
            Some(b'l') => return Some(false),
            Some(_) | None => below = at,
        }
    }
    None
}
