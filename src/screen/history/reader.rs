//! The lines of a log from a place on. What is a line follows from its first byte alone, wherever reading began.

use crate::attempt::Error;
use crate::attempt::log::Piece;
use crate::screen::source::Source;

/// A line that is longer is several; or, where it is written over again and again, only its newest state.
pub(super) const LONGEST: usize = 16 * 1024;
/// Bytes read at once.
const BLOCK: usize = 64 * 1024;

/// A line as it is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Raw<'a> {
    Text {
        /// Without the line feed.
        bytes: &'a [u8],
        /// Where reading may begin to find this line.
        start: u64,
        /// Where the next one begins.
        end: u64,
        /// False for a last line that may still grow, and where reading was to stop in the middle of a long one.
        whole: bool,
    },
    /// Left out.
    Gap { offset: u64, len: u64 },
}

impl Raw<'_> {
    /// Bytes that had to be looked at.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text { bytes, .. } => bytes.len() + 1,
            Self::Gap { .. } => 1,
        }
    }
}

/// Reads lines.
pub(super) struct Reader<'a> {
    source: &'a mut Source,
    /// Read; from `at` on not told yet.
    bytes: Vec<u8>,
    at: usize,
    /// The offset of the byte at `at`.
    offset: u64,
    until: u64,
}

impl<'a> Reader<'a> {
    /// From `offset` on, where a line begins.
    pub(super) fn new(source: &'a mut Source, offset: u64) -> Self {
        Self { source, bytes: Vec::new(), at: 0, offset, until: u64::MAX }
    }

    /// Where reading stops within a line that is longer than [`LONGEST`].
    pub(super) fn until(self, until: u64) -> Self {
        Self { until, ..self }
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Raw<'_>>, Error> {
        let mut looked = 0;
        loop {
            let rest = &self.bytes[self.at..];
            let window = rest.len().min(LONGEST);
            if let Some(feed) = rest[looked..window].iter().position(|byte| *byte == b'\n') {
                return Ok(Some(self.tell(looked + feed, 1, true)));
            }
            if window == LONGEST {
                if self.offset >= self.until {
                    return Ok(Some(self.tell(LONGEST, 0, false)));
                }
                match rest[..LONGEST - 1].iter().rposition(|byte| *byte == b'\r') {
                    // All before it was written over.
                    Some(back) => self.skip(back + 1),
                    None => return Ok(Some(self.tell(LONGEST, 0, true))),
                }
                looked = 0;
                continue;
            }
            looked = window;
            match self.source.read(self.offset + rest.len() as u64, BLOCK)? {
                Some(Piece::Bytes { bytes, .. }) => {
                    self.bytes.drain(..self.at);
                    self.at = 0;
                    self.bytes.extend(bytes);
                }
                Some(Piece::Gap { .. }) if window > 0 => return Ok(Some(self.tell(window, 0, true))),
                Some(Piece::Gap { offset, len }) => {
                    self.offset = offset + len;
                    return Ok(Some(Raw::Gap { offset, len }));
                }
                None if window > 0 => return Ok(Some(self.tell(window, 0, false))),
                None => return Ok(None),
            }
        }
    }

    fn skip(&mut self, count: usize) {
        self.at += count;
        self.offset += count as u64;
    }

    fn tell(&mut self, len: usize, feed: usize, whole: bool) -> Raw<'_> {
        let (from, start) = (self.at, self.offset);
        self.skip(len + feed);
        Raw::Text { bytes: &self.bytes[from..from + len], start, end: self.offset, whole }
    }
}
