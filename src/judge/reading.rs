//! What one line says, whatever stands round it. A log repeats itself: what was read of a line with words of trouble that
//! came before is kept, so that it is not tried against the patterns a third time. Keeps a bounded amount.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use super::rules::{Rules, Target};
use super::sieve::Sieve;
use super::{tone, wait};

/// So many lines are remembered; then all are forgotten.
const MOST: usize = 4096;

/// Longer ones are not, in bytes.
const LONGEST: usize = 1024;

/// So many lines that came once are told from new ones.
const ONCE: usize = 16 * 1024;

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
    /// With `hits` for the memory of the patterns that match.
    fn of(rules: &Rules, line: &str, sieve: &mut Sieve, mut hits: Vec<usize>) -> Self {
        let trouble = rules.0.find(line, sieve);
        hits.extend(rules.0.left(sieve).filter(|place| rules.0.patterns[*place].0.is_match(line)));
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
#[derive(Debug)]
pub(super) struct Reader {
    /// By the line's hash.
    known: HashMap<u64, (Box<str>, Reading), BuildHasherDefault<Same>>,
    /// What lines that came before are to a hash, each in the place that the hash names; most lines never come again, and are
    /// not worth more.
    once: Vec<u64>,
    /// Of a line that is not remembered.
    other: Reading,
    sieve: Sieve,
}

impl Default for Reader {
    fn default() -> Self {
        Self { known: HashMap::default(), once: vec![0; ONCE], other: Reading::default(), sieve: Sieve::default() }
    }
}

impl Reader {
    pub(super) fn read(&mut self, rules: &Rules, line: &str) -> &Reading {
        if !rules.0.speaks(line) {
            self.other = Reading { hits: self.emptied(), ..Reading::plain(line) };
            return &self.other;
        }
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(line);
        if line.len() > LONGEST || !self.came_before(hash) {
            let hits = self.emptied();
            self.other = Reading::of(rules, line, &mut self.sieve, hits);
            return &self.other;
        }
        if self.known.len() == MOST && !self.known.contains_key(&hash) {
            self.known.clear();
        }
        let sieve = &mut self.sieve;
        let read = |sieve: &mut Sieve| (line.into(), Reading::of(rules, line, sieve, Vec::new()));
        let known = self.known.entry(hash).or_insert_with(|| read(sieve));
        if *known.0 != *line {
            // Another line of the same hash: the newer one is kept.
            *known = read(sieve);
        }
        &known.1
    }

    /// The memory of the last reading.
    fn emptied(&mut self) -> Vec<usize> {
        let mut hits = std::mem::take(&mut self.other.hits);
        hits.clear();
        hits
    }

    /// Whether a line of this hash came before, as far as that is remembered; notes that it did.
    fn came_before(&mut self, hash: u64) -> bool {
        let place = usize::try_from(hash % (ONCE as u64)).unwrap_or(0);
        std::mem::replace(&mut self.once[place], hash) == hash
    }
}

/// A hash is hashed no further.
#[derive(Default)]
struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}
