//! A pane that is scrolled back: lines of the whole log on disk. What is looked at stays where it is while the log grows.

use std::path::PathBuf;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::attempt::Error;
use crate::screen::{History, Line};

/// Bytes of the log that are counted for one frame.
const BUDGET: usize = 8 * 1024 * 1024;

/// One pane's place in its log.
pub(super) struct Scrolled {
    history: History,
    /// The line below the last one that is shown.
    below: u64,
    back: usize,
    lines: Vec<Line>,
    /// Not all of the log is counted yet.
    pub(super) counting: bool,
}

impl Scrolled {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { history: History::new(dir), below: u64::MAX, back: 0, lines: Vec::new(), counting: true }
    }

    /// Goes so many lines back from the end, or as far as there is something; gives how far that is.
    pub(super) fn to(&mut self, back: usize, rows: u16) -> Result<usize, Error> {
        self.counting = !self.history.step(BUDGET)?;
        let count = self.history.count();
        let rows = u64::from(rows.max(1));
        if count <= rows && !self.counting {
            // All of it is on the screen.
            return Ok(0);
        }
        let (was, wish) = (self.back as u64, back as u64);
        let from = self.below.min(count);
        let below = if wish >= was { from.saturating_sub(wish - was) } else { from.saturating_add(was - wish) };
        // The first page stays full.
        self.below = below.max(rows.min(count)).min(count);
        // Where the wish went beyond the beginning, only what could be gone counts.
        self.back = if self.below == below {
            back
        } else {
            usize::try_from(was + (from - self.below.min(from))).unwrap_or(back)
        };
        let first = self.below.saturating_sub(rows);
        let take = usize::try_from(self.below - first).unwrap_or(0);
        self.lines = self.history.lines(first, take)?;
        Ok(self.back)
    }

    /// Draws the lines, the newest at the bottom; long ones go on in the next row.
    pub(super) fn paint(&self, area: Rect, buf: &mut Buffer) {
        crate::tui::draw::blank(buf, area);
        let mut rows: Vec<Vec<(String, Style)>> = Vec::new();
        for line in self.lines.iter().rev() {
            for row in wrapped(line, usize::from(area.width.max(1))).into_iter().rev() {
                rows.push(row);
            }
            if rows.len() >= usize::from(area.height) {
                break;
            }
        }
        for (up, row) in (1..=area.height).zip(rows) {
            let mut x = area.x;
            for (text, style) in row {
                let left = usize::from(area.right().saturating_sub(x));
                (x, _) = buf.set_stringn(x, area.bottom() - up, &text, left, style);
            }
        }
    }
}

fn wrapped(line: &Line, columns: usize) -> Vec<Vec<(String, Style)>> {
    let mut rows = vec![Vec::new()];
    let mut used = 0;
    for (text, style) in &line.pieces {
        let mut part = String::new();
        for cluster in text.graphemes(true) {
            let wide = cluster.width();
            if used + wide > columns {
                if let Some(row) = rows.last_mut() {
                    row.push((std::mem::take(&mut part), *style));
                }
                rows.push(Vec::new());
                used = 0;
            }
            used += wide;
            part.push_str(cluster);
        }
        if let Some(row) = rows.last_mut() {
            row.push((part, *style));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_goes_back_further_than_there_is_something() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut scrolled = Scrolled::new(dir.path().into());
        assert_eq!(scrolled.to(usize::MAX, 20).expect("no log is an empty one"), 0);
        std::fs::write(dir.path().join("log"), "1\r\n2\r\n3\r\n4\r\n5\r\n").expect("a log");
        let mut scrolled = Scrolled::new(dir.path().into());
        assert_eq!(scrolled.to(3, 20).expect("it can be read"), 0, "all of it is to be seen");
        let mut scrolled = Scrolled::new(dir.path().into());
        let back = scrolled.to(usize::MAX, 3).expect("it can be read");
        assert!((1..=3).contains(&back), "{back}");
    }
}
