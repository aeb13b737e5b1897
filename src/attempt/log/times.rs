//! `log.times`: which offset of the log was reached when, and how large the terminal was.
//!
//! A line `offset boottime_ms wall_ms rows cols`, at most one a second and only after new output. The longer the file,
//! the rarer its lines, so that a step that prints for a month does not fill the disk with them.

use std::os::fd::AsFd;

use super::{Error, TIMES};
use crate::attempt::{read_end, read_small};

/// Longest file that a reader takes; the writer stays far below.
const LIMIT: usize = 16 * 1024 * 1024;
/// The last whole line is in the last so many bytes.
const NEWEST: usize = 256;
/// With every so many bytes the distance between lines doubles.
const DOUBLES_EVERY: u64 = 256 * 1024;

/// When an offset was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub offset: u64,
    pub boottime_ms: i64,
    pub wall_ms: i64,
    pub rows: u16,
    pub cols: u16,
}

impl Stamp {
    pub(super) fn line(self) -> String {
        let Self { offset, boottime_ms, wall_ms, rows, cols } = self;
        format!("{offset} {boottime_ms} {wall_ms} {rows} {cols}\n")
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let stamp = Self {
            offset: words.next()?.parse().ok()?,
            boottime_ms: words.next()?.parse().ok()?,
            wall_ms: words.next()?.parse().ok()?,
            rows: words.next()?.parse().ok()?,
            cols: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(stamp)
    }
}

/// Milliseconds between two lines when the file has this length.
pub(super) fn distance_ms(file_len: u64) -> i64 {
    1000 << (file_len / DOUBLES_EVERY).min(16)
}

/// All stamps of the attempt in `dir`, oldest first. A last line that is still being written is left out.
pub fn read_stamps(dir: impl AsFd) -> Result<Vec<Stamp>, Error> {
    let bytes = read_small(dir, TIMES, LIMIT)?.unwrap_or_default();
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    Ok(String::from_utf8_lossy(&bytes[..whole]).lines().filter_map(Stamp::parse).collect())
}

/// The newest stamp of the attempt in `dir`, by reading only the end of the file.
pub fn newest_stamp(dir: impl AsFd) -> Result<Option<Stamp>, Error> {
    let bytes = read_end(dir, TIMES, NEWEST)?.unwrap_or_default();
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    Ok(String::from_utf8_lossy(&bytes[..whole]).lines().rev().find_map(Stamp::parse))
}

/// The offset that surely contains what was printed since `boottime_ms`: the newest one that was reached before.
pub fn offset_at(stamps: &[Stamp], boottime_ms: i64) -> u64 {
    let later = stamps.partition_point(|stamp| stamp.boottime_ms < boottime_ms);
    later.checked_sub(1).map_or(0, |before| stamps[before].offset)
}
