//! What one line says, whatever stands round it. A log repeats itself: what was read of a line with words of trouble is
//! kept, so that the same line is not tried against the patterns again. Keeps a bounded amount.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;

use super::rules::{Rules, Target};
use super::{tone, wait};

/// So many lines are remembered; then all are forgotten.
const MOST: usize = 4096;

/// Longer ones are not, in bytes.
const LONGEST: usize = 1024;

/// What is known of a line by its text alone.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Reading {
    /// The patterns that match, in their order.
    pub(super) hits: Vec<usize>,
    /// It has a word of trouble.
    pub(super) trouble: bool,
    /// It tells of trouble that was overcome; known only where a rule that matches asks for it.
    pub(super) soft: bool,
    /// It names what caused something.
    pub(super) caused: bool,
    /// It has the shape of a line of work.
    pub(super) work: bool,
    /// It is a place of a frame: the next line is source code.
    pub(super) frame: bool,
    /// How long the other side asks to be left alone, in seconds.
    pub(super) asked: Option<u64>,
}

impl Reading {
    fn of(rules: &Rules, line: &str) -> Self {
        let mut hits = Vec::new();
        let trouble = rules.0.find(line, &mut hits);
        hits.retain(|place| rules.0.patterns[*place].0.is_match(line));
        let asks_tone = hits.iter().any(|place| match rules.0.patterns[*place].1 {
            Target::Rule(rule) => rules.0.rules[rule].spec.soft.is_none(),
            Target::Mark(_) => false,
        });
        let caused = !hits.is_empty() && line.contains("Caused by");
        Self { hits, trouble, soft: asks_tone && tone::is_soft(line), caused, ..Self::plain(line) }
    }

    /// Of a line without any word that a rule looks for.
    fn plain(line: &str) -> Self {
        Self { work: tone::is_work(line), frame: tone::is_frame(line), asked: wait::asked(line), ..Self::default() }
    }
}

/// Reads lines, and remembers some.
#[derive(Debug, Default)]
pub(super) struct Reader {
    known: HashMap<Box<str>, Reading, BuildHasherDefault<DefaultHasher>>,
    /// Of a line that is not remembered.
    other: Reading,
}

impl Reader {
    pub(super) fn read(&mut self, rules: &Rules, line: &str) -> &Reading {
        if !rules.0.speaks(line) {
            self.other = Reading::plain(line);
            return &self.other;
        }
        if line.len() > LONGEST {
            self.other = Reading::of(rules, line);
            return &self.other;
        }
        if !self.known.contains_key(line) {
            if self.known.len() == MOST {
                self.known.clear();
            }
            self.known.insert(line.into(), Reading::of(rules, line));
        }
        // It was put there on the line before, where it was not there already.
        self.known.get(line).unwrap_or(&self.other)
    }
}
