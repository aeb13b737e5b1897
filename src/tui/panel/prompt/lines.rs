//! Which lines of a prompt are shown where not all have room, and how a text is made to fit its lines. Owns only the
//! arithmetic. Pure.

use crate::tui::draw::{clean, middle, width, wrap};
use crate::tui::theme::Role;

/// A text of a prompt with what stands before its first line. Its later lines are indented as far.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    pub(super) head: Vec<(Role, String)>,
    pub(super) role: Role,
    pub(super) text: String,
    /// How soon each of its lines is given up: the lowest number last. It never takes more lines than ranks.
    pub(super) ranks: &'static [u8],
    pub(super) kind: Kind,
    /// It is this choice, from 0.
    pub(super) choice: Option<usize>,
}

/// What is drawn in a block's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// A line from side to side.
    Rule,
    /// The text that is being typed.
    Field,
}

impl Block {
    pub(super) fn new(head: Vec<(Role, String)>, role: Role, text: impl Into<String>, ranks: &'static [u8]) -> Self {
        Self { head, role, text: text.into(), ranks, kind: Kind::Text, choice: None }
    }

    /// An empty line, or a rule.
    pub(super) fn gap(kind: Kind, ranks: &'static [u8]) -> Self {
        Self { head: Vec::new(), role: Role::Border, text: String::new(), ranks, kind, choice: None }
    }

    /// Columns before its text.
    pub(super) fn indent(&self) -> usize {
        self.head.iter().map(|(_, text)| width(&clean(text))).sum()
    }

    fn wants(&self, columns: usize) -> usize {
        if self.ranks.len() < 2 {
            return self.ranks.len();
        }
        wrap(&self.text, columns.saturating_sub(self.indent())).len().min(self.ranks.len())
    }
}

/// How many lines each block gets of so many.
pub(super) fn share(blocks: &[Block], columns: usize, rows: usize) -> Vec<usize> {
    let mut wanted: Vec<(u8, usize)> = Vec::new();
    for (place, block) in blocks.iter().enumerate() {
        wanted.extend(block.ranks.iter().take(block.wants(columns)).map(|rank| (*rank, place)));
    }
    wanted.sort_unstable();
    let mut given = vec![0; blocks.len()];
    for (_, place) in wanted.into_iter().take(rows) {
        given[place] += 1;
    }
    given
}

/// The text in so many lines of so many columns. Where it is too long its middle is left out: its beginning says what
/// happens, its end what it costs.
pub(super) fn squeeze(text: &str, columns: usize, lines: usize) -> Vec<String> {
    let text = clean(text);
    let whole = wrap(&text, columns);
    if whole.len() <= lines || lines == 0 {
        return whole.into_iter().take(lines).collect();
    }
    let mut room = columns * lines;
    while room > columns {
        let shorter = wrap(&middle(&text, room), columns);
        if shorter.len() <= lines {
            return shorter;
        }
        room -= 1;
    }
    vec![middle(&text, columns)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginning_and_end_of_a_long_text_stay() {
        let text = "attempt 2 from step 1800 (/a/very/long/path/that/nobody/reads/ckpt.pt); redo 40 steps";
        assert_eq!(middle(text, 40), "attempt 2 from step 1800…; redo 40 steps");
        assert_eq!(squeeze(text, 200, 1), [text]);
        for columns in 1..90 {
            for lines in 1..4 {
                let fitting = squeeze(text, columns, lines);
                assert!(fitting.len() <= lines, "{columns}x{lines}");
                assert!(fitting.iter().all(|line| width(line) <= columns), "{columns}x{lines}: {fitting:?}");
            }
        }
    }

    #[test]
    fn the_lowest_ranks_get_the_lines() {
        let block = |ranks| Block::new(Vec::new(), Role::Plain, "one two three", ranks);
        let blocks = [block(&[5, 6, 7]), block(&[0, 9]), block(&[1])];
        assert_eq!(share(&blocks, 5, 1), [0, 1, 0]);
        assert_eq!(share(&blocks, 5, 4), [2, 1, 1]);
        assert_eq!(share(&blocks, 5, 99), [3, 2, 1]);
        assert_eq!(share(&blocks, 80, 99), [1, 1, 1]);
    }
}
