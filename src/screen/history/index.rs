//! Where lines begin: the place of one line in every so many, so that any other is found by reading a little.

use super::reader::{Raw, Reader};
use crate::attempt::Error;
use crate::screen::source::Source;

/// Lines from one mark to the next, at most ...
const LINES: u64 = 64;
/// ... and bytes, about.
const BYTES: u64 = 128 * 1024;

/// Line `number` is found by reading from `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    number: u64,
    offset: u64,
}

/// The lines that were counted.
#[derive(Debug)]
pub(super) struct Index {
    marks: Vec<Mark>,
    /// Whole lines.
    lines: u64,
    /// Where the first line is found that is not counted.
    end: u64,
    /// There is something of it.
    unfinished: bool,
    /// The lines that were gaps when they were counted, and where each ended.
    gaps: Vec<Mark>,
}

impl Default for Index {
    fn default() -> Self {
        let marks = vec![Mark { number: 0, offset: 0 }];
        Self { marks, lines: 0, end: 0, unfinished: false, gaps: Vec::new() }
    }
}

impl Index {
    /// Counts on, about `budget` bytes. True at the end of what is there.
    pub(super) fn step(&mut self, source: &mut Source, budget: u64) -> Result<bool, Error> {
        let until = self.end.saturating_add(budget);
        let mut reader = Reader::new(source, self.end).until(until);
        self.unfinished = false;
        loop {
            match reader.next()? {
                None => return Ok(true),
                Some(Raw::Text { whole: false, start, end, .. }) => {
                    self.end = start;
                    self.unfinished = true;
                    return Ok(end < until);
                }
                Some(Raw::Text { start, end, .. }) => self.add(start, end),
                Some(Raw::Gap { offset, len }) => {
                    self.gaps.push(Mark { number: self.lines, offset: offset + len });
                    self.add(offset, offset + len);
                }
            }
            if self.end >= until {
                return Ok(false);
            }
        }
    }

    fn add(&mut self, start: u64, end: u64) {
        let number = self.lines;
        if start.saturating_sub(self.last().offset) > BYTES {
            self.mark(Mark { number, offset: start });
        }
        self.lines = number + 1;
        self.end = end;
        let last = self.last();
        if self.lines - last.number >= LINES || end.saturating_sub(last.offset) > BYTES {
            self.mark(Mark { number: self.lines, offset: end });
        }
    }

    fn last(&self) -> Mark {
        self.marks.last().copied().expect("the first mark is never removed")
    }

    fn mark(&mut self, mark: Mark) {
        match self.marks.last_mut() {
            // The line is long, and written over: it is found from a later place.
            Some(last) if last.number == mark.number => *last = mark,
            Some(_) | None => self.marks.push(mark),
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.lines + u64::from(self.unfinished)
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The nearest mark at or before line `number`: its number and offset.
    pub(super) fn place(&self, number: u64) -> (u64, u64) {
        // The newest line may be found from a later place than its mark.
        if number >= self.lines {
            return (self.lines, self.end);
        }
        let later = self.marks.partition_point(|mark| mark.number <= number);
        let mark = self.marks[later.saturating_sub(1)];
        (mark.number, mark.offset)
    }

    /// Line `number` is a gap that was not there when lines were counted: the next line that has a number, and where it is.
    pub(super) fn gone(&self, number: u64, raw: &Raw<'_>) -> Option<(u64, u64)> {
        let Raw::Gap { offset, len } = raw else { return None };
        let end = Mark { number, offset: offset + len };
        if *offset >= self.end || self.gaps.contains(&end) {
            return None;
        }
        let later = self.marks.partition_point(|mark| mark.offset < end.offset || mark.number <= number);
        Some(self.marks.get(later).map_or((self.lines, self.end), |mark| (mark.number, mark.offset)))
    }
}
