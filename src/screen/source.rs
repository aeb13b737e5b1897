//! The log of one attempt, followed while it is being written. Reads only; an attempt that has not started has an empty log.

use std::path::PathBuf;

use rustix::io::Errno;

use crate::attempt::log::{Log, Piece, Stamp, newest_stamp};
use crate::attempt::{Error, open_run_dir};
use crate::gauge::plain;

/// An attempt's log by its directory.
#[derive(Debug)]
pub(super) struct Source {
    dir: PathBuf,
    /// `None` before the directory is there.
    log: Option<Log>,
}

impl Source {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir, log: None }
    }

    /// Looks again, and tells the length of the stream.
    pub(super) fn look(&mut self) -> Result<u64, Error> {
        if let Some(log) = &mut self.log {
            log.refresh()?;
        } else if self.is_there()? {
            self.log = Some(Log::open(open_run_dir(&self.dir)?)?);
        }
        Ok(self.end())
    }

    fn is_there(&self) -> Result<bool, Error> {
        match rustix::fs::stat(&self.dir) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(source) => Err(Error::Io { what: format!("look at {}", self.dir.display()), source: source.into() }),
        }
    }

    /// The length of the stream when it was looked at.
    pub(super) fn end(&self) -> u64 {
        self.log.as_ref().map_or(0, Log::end)
    }

    /// What follows at `offset`, at most `limit` bytes; `None` at the end.
    pub(super) fn read(&mut self, offset: u64, limit: usize) -> Result<Option<Piece>, Error> {
        self.log.as_mut().map_or(Ok(None), |log| log.read(offset, limit))
    }

    /// The bytes of `from..to` that are there, as one piece: what was left out is left out.
    pub(super) fn bytes(&mut self, from: u64, to: u64) -> Result<Vec<u8>, Error> {
        let (mut all, mut offset) = (Vec::new(), from);
        while offset < to
            && let Some(piece) = self.read(offset, usize::try_from(to - offset).unwrap_or(usize::MAX))?
        {
            offset = piece.next_offset();
            if let Piece::Bytes { bytes, .. } = piece {
                all.extend(bytes);
            }
        }
        Ok(all)
    }

    /// The size that the step's terminal has, as far as it was noted.
    pub(super) fn stamp(&self) -> Result<Option<Stamp>, Error> {
        if self.log.is_some() { newest_stamp(open_run_dir(&self.dir)?) } else { Ok(None) }
    }

    /// The last `count` lines as plain text, oldest first, of the last `limit` bytes.
    pub(super) fn last_lines(&mut self, count: usize, limit: u64) -> Result<Vec<String>, Error> {
        let end = self.end();
        let from = end.saturating_sub(limit);
        let bytes = self.bytes(from, end)?;
        // The first line is cut off somewhere.
        let whole = if from == 0 { 0 } else { bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1) };
        let mut lines: Vec<String> = plain::lines(&bytes[whole..]).collect();
        lines.drain(..lines.len().saturating_sub(count));
        Ok(lines)
    }
}

/// How much of the end of a log is looked at for its last lines.
pub(super) const GLANCE: u64 = 16 * 1024;

/// A step that is not on screen as a pane: only its last lines, for its progress.
#[derive(Debug)]
pub struct Glance {
    source: Source,
    end: u64,
}

impl Glance {
    /// Of the attempt in this directory, which need not be there yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { source: Source::new(dir.into()), end: 0 }
    }

    /// The last `count` lines as plain text, oldest first, if something was written since the last look. Of long output
    /// only the last 16 KiB are read.
    pub fn poll(&mut self, count: usize) -> Result<Option<Vec<String>>, Error> {
        let end = self.source.look()?;
        if end == self.end {
            return Ok(None);
        }
        self.end = end;
        self.source.last_lines(count, GLANCE).map(Some)
    }
}
