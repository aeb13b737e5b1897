//! The whole log of an attempt by lines: to scroll back and to search, while it goes on being written.
//!
//! Lines are numbered from 0 and keep their numbers. Nothing is held of them but the place of every so many; they are read
//! from disk when they are asked for, and read as `dogwatch logs` shows them: plain, with what was written over gone, with
//! their colours. Each call does a bounded amount of work.

mod index;
mod line;
mod reader;

use std::ops::Range;
use std::path::PathBuf;

use regex::Regex;

use self::index::Index;
pub use self::line::Line;
use self::reader::{Raw, Reader};
use super::source::Source;
use crate::attempt::Error;
use crate::attempt::log::gap_line;

/// Which way is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To newer lines.
    Forward,
    /// To older ones.
    Backward,
}

/// What a search came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a search that is not over is to be gone on with"]
pub enum Searched {
    /// In this line, at these bytes of its text.
    Found { line: u64, at: Range<usize> },
    /// Nothing yet; goes on with this line.
    More { from: u64 },
    /// Not in what is there now.
    No,
}

/// An attempt's log by lines.
#[derive(Debug)]
pub struct History {
    source: Source,
    index: Index,
}

impl History {
    /// Of the attempt in this directory, which need not be there yet. Nothing is read so far.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { source: Source::new(dir.into()), index: Index::default() }
    }

    /// Counts lines, reading about `budget` bytes. True when all that is there now is counted.
    pub fn step(&mut self, budget: usize) -> Result<bool, Error> {
        self.source.look()?;
        self.index.step(&mut self.source, budget as u64)
    }

    /// How many lines are counted, one that is still being written included: the numbers that may be asked for are below.
    pub fn count(&self) -> u64 {
        self.index.count()
    }

    /// Bytes that are counted, and bytes that are there: how far [`History::step`] is.
    pub fn progress(&self) -> (u64, u64) {
        (self.index.end(), self.source.end())
    }

    /// The lines from `from` on, at most `count`, as far as they are counted.
    pub fn lines(&mut self, from: u64, count: usize) -> Result<Vec<Line>, Error> {
        let to = from.saturating_add(count as u64).min(self.count());
        let mut lines = Vec::new();
        self.read(from..to, |number, raw| {
            lines.push(match raw {
                Raw::Text { bytes, .. } => Line::new(number, bytes),
                Raw::Gap { len, .. } => Line::new(number, gap_line(len).trim_end().as_bytes()),
            });
            true
        })?;
        Ok(lines)
    }

    /// Looks for `pattern` from line `from` on, that one included, reading about `budget` bytes. Lines that are not counted
    /// yet are counted on the way.
    pub fn search(
        &mut self,
        pattern: &Regex,
        from: u64,
        direction: Direction,
        budget: usize,
    ) -> Result<Searched, Error> {
        match direction {
            Direction::Forward => self.forward(pattern, from, budget),
            Direction::Backward => self.backward(pattern, from, budget),
        }
    }

    fn forward(&mut self, pattern: &Regex, from: u64, budget: usize) -> Result<Searched, Error> {
        let all = self.step(budget)?;
        let (mut found, mut next, mut left) = (Searched::No, from, budget);
        self.read(from..self.count(), |number, raw| {
            next = number + 1;
            left = left.saturating_sub(raw.len());
            if let Some(at) = place(pattern, &raw) {
                found = Searched::Found { line: number, at };
            }
            found == Searched::No && left > 0
        })?;
        let more = !all || next < self.count();
        Ok(if found == Searched::No && more { Searched::More { from: next } } else { found })
    }

    fn backward(&mut self, pattern: &Regex, from: u64, budget: usize) -> Result<Searched, Error> {
        let mut left = budget;
        let mut next = from.saturating_add(1).min(self.count());
        while next > 0 && left > 0 {
            let first = self.index.place(next - 1).0;
            let mut found = None;
            self.read(first..next, |number, raw| {
                left = left.saturating_sub(raw.len().max(1));
                if let Some(at) = place(pattern, &raw) {
                    found = Some(Searched::Found { line: number, at });
                }
                true
            })?;
            if let Some(found) = found {
                return Ok(found);
            }
            next = first;
        }
        Ok(next.checked_sub(1).map_or(Searched::No, |from| Searched::More { from }))
    }

    /// Tells of each line in `range`, in order, until it is told to stop.
    fn read(&mut self, range: Range<u64>, mut tell: impl FnMut(u64, Raw<'_>) -> bool) -> Result<(), Error> {
        if range.is_empty() {
            return Ok(());
        }
        let mut place = Some(self.index.place(range.start));
        while let Some(from) = place {
            place = self.read_on(&range, from, &mut tell)?;
        }
        Ok(())
    }

    /// The same from a line and its offset on; where to go on when lines are not on disk any more. These keep their numbers,
    /// and are told of as gaps.
    fn read_on(
        &mut self,
        range: &Range<u64>,
        (mut number, offset): (u64, u64),
        tell: &mut impl FnMut(u64, Raw<'_>) -> bool,
    ) -> Result<Option<(u64, u64)>, Error> {
        let mut reader = Reader::new(&mut self.source, offset);
        while number < range.end
            && let Some(raw) = reader.next()?
        {
            let gone = self.index.gone(number, &raw);
            let next = gone.map_or(number + 1, |(next, _)| next);
            while number < next {
                if number >= range.end || (number >= range.start && !tell(number, raw.clone())) {
                    return Ok(None);
                }
                number += 1;
            }
            if gone.is_some() {
                return Ok(gone);
            }
        }
        Ok(None)
    }
}

/// Where the pattern is in the line as it is shown.
fn place(pattern: &Regex, raw: &Raw<'_>) -> Option<Range<usize>> {
    let Raw::Text { bytes, .. } = raw else { return None };
    Some(pattern.find(&line::text_of(bytes))?.range())
}
