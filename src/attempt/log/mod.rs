//! The log of an attempt: the bytes of the step's terminal, as a stream with offsets that never change.
//!
//! The first `half` bytes are in `log`; what follows is in segments `log.<offset>` of `half / 2` bytes, of which only
//! the newest are kept, as many as cover at least `half` bytes. What lies between is left out, and every reader is told
//! so by a [`Piece::Gap`]. Reading never needs more memory than is asked for, however long the stream is.

mod times;
mod writer;

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use super::Error;
pub use times::{Stamp, newest_stamp, offset_at, read_stamps};
pub use writer::Writer;

const HEAD: &str = "log";
const TIMES: &str = "log.times";
/// How much is read at once when lines are looked for from the end.
const BLOCK: u64 = 64 * 1024;

fn segment_name(start: u64) -> String {
    if start == 0 { HEAD.into() } else { format!("{HEAD}.{start}") }
}

/// The line that stands where output was left out.
pub fn gap_line(bytes: u64) -> String {
    format!("[dogwatch: {bytes} bytes of output are left out here]\n")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    start: u64,
    len: u64,
}

impl Segment {
    fn end(self) -> u64 {
        self.start + self.len
    }
}

/// A piece of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Bytes {
        offset: u64,
        bytes: Vec<u8>,
    },
    /// Left out; the stream goes on at `offset + len`.
    Gap {
        offset: u64,
        len: u64,
    },
}

impl Piece {
    /// The offset of what follows.
    pub fn next_offset(&self) -> u64 {
        match self {
            Self::Bytes { offset, bytes } => offset + bytes.len() as u64,
            Self::Gap { offset, len } => offset + len,
        }
    }
}

/// A reader of one attempt's log. It looks at the directory once; [`Log::refresh`] sees what was written since.
#[derive(Debug)]
pub struct Log {
    dir: OwnedFd,
    segments: Vec<Segment>,
}

impl Log {
    /// The log in the attempt directory `dir`; an attempt that has not started has an empty one.
    pub fn open(dir: OwnedFd) -> Result<Self, Error> {
        let mut opened = Self { dir, segments: Vec::new() };
        opened.refresh()?;
        Ok(opened)
    }

    /// Looks again.
    pub fn refresh(&mut self) -> Result<(), Error> {
        let mut segments = Vec::new();
        let entries = rustix::fs::Dir::read_from(&self.dir).map_err(|source| Error::io("list the log", source))?;
        for entry in entries {
            let entry = entry.map_err(|source| Error::io("list the log", source))?;
            let Some(start) = entry.file_name().to_str().ok().and_then(start_of) else {
                continue;
            };
            match statat(&self.dir, segment_name(start), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) => segments.push(Segment { start, len: u64::try_from(found.st_size).unwrap_or(0) }),
                // The shim dropped it meanwhile.
                Err(Errno::NOENT) => {}
                Err(source) => return Err(Error::io("look at the log", source)),
            }
        }
        segments.sort_by_key(|segment| segment.start);
        self.segments = segments;
        Ok(())
    }

    /// Length of the stream: the offset of the next byte that will be written.
    pub fn end(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.end())
    }

    /// What follows at `offset`, at most `limit` bytes; `None` at the end.
    pub fn read(&mut self, offset: u64, limit: usize) -> Result<Option<Piece>, Error> {
        loop {
            let Some(segment) = self.segments.iter().copied().find(|segment| segment.end() > offset) else {
                return Ok(None);
            };
            if segment.start > offset {
                return Ok(Some(Piece::Gap { offset, len: segment.start - offset }));
            }
            let wanted = usize::try_from(segment.end() - offset).unwrap_or(usize::MAX).min(limit);
            if let Some(bytes) = self.read_segment(segment, offset, wanted)? {
                return Ok(Some(Piece::Bytes { offset, bytes }));
            }
            // The segment was dropped between looking and reading: what is there now has a gap in its place.
            self.refresh()?;
            self.segments.retain(|kept| kept.start != segment.start);
        }
    }

    fn read_segment(&self, segment: Segment, offset: u64, wanted: usize) -> Result<Option<Vec<u8>>, Error> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match openat(&self.dir, segment_name(segment.start), flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(source) => return Err(Error::io("open the log", source)),
        };
        let mut bytes = vec![0; wanted];
        let mut filled = 0;
        while filled < wanted {
            let at = offset - segment.start + filled as u64;
            match rustix::io::retry_on_intr(|| rustix::io::pread(&file, &mut bytes[filled..], at)) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(source) => return Err(Error::io("read the log", source)),
            }
        }
        bytes.truncate(filled);
        Ok(if bytes.is_empty() { None } else { Some(bytes) })
    }

    /// Where the last `lines` lines begin. A last line without a newline counts; a gap ends a line.
    pub fn tail_offset(&mut self, lines: usize) -> Result<u64, Error> {
        let (mut missing, mut at) = (lines, self.end());
        if missing == 0 {
            return Ok(at);
        }
        let mut last = true;
        for segment in self.segments.clone().into_iter().rev() {
            if at > segment.end() && !last {
                // A gap: what follows it starts a line of its own.
                missing -= 1;
                if missing == 0 {
                    return Ok(at);
                }
            }
            at = segment.end();
            while at > segment.start {
                let from = at.saturating_sub(BLOCK).max(segment.start);
                let wanted = usize::try_from(at - from).unwrap_or(usize::MAX);
                let Some(bytes) = self.read_segment(segment, from, wanted)? else {
                    return Ok(at);
                };
                for (index, _) in bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
                    let after = from + index as u64 + 1;
                    // The newline at the very end closes the last line and starts none.
                    if last && after == self.end() {
                        last = false;
                        continue;
                    }
                    last = false;
                    missing -= 1;
                    if missing == 0 {
                        return Ok(after);
                    }
                }
                last = false;
                at = from;
            }
        }
        Ok(0)
    }

    /// All that is kept from `offset` on, gaps as their marker line, at most `limit` bytes: for small logs and tests.
    pub fn read_all(&mut self, mut offset: u64, limit: usize) -> Result<Vec<u8>, Error> {
        let mut all = Vec::new();
        while all.len() < limit
            && let Some(piece) = self.read(offset, limit - all.len())?
        {
            offset = piece.next_offset();
            match piece {
                Piece::Bytes { bytes, .. } => all.extend(bytes),
                Piece::Gap { len, .. } => all.extend(gap_line(len).into_bytes()),
            }
        }
        Ok(all)
    }
}

/// The stream offset at which the file of this name starts, if it is a part of the log.
fn start_of(name: &str) -> Option<u64> {
    match name.strip_prefix(HEAD)? {
        "" => Some(0),
        rest => rest.strip_prefix('.')?.parse().ok().filter(|start| *start > 0),
    }
}

/// A second descriptor for the same directory.
pub(crate) fn again(dir: impl AsFd) -> Result<OwnedFd, Error> {
    rustix::io::fcntl_dupfd_cloexec(dir, 3).map_err(|source| Error::io("open the attempt directory again", source))
}
