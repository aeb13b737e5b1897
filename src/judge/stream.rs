//! The judge while output comes: which rules matched, and what else has to be remembered of a line.

use std::collections::VecDeque;

use crate::model::{Class, Diagnosis, Role, RuleSpec, Strength};

use super::clean;
use super::decide;
use super::facts::Facts;
use super::lines::{Lines, Piece};
use super::prefix;
use super::reading::{Reader, Reading};
use super::rules::{Rules, Target};
use super::sighting::{Mark, Seen, note};

/// How many of the last lines are kept, to see whether they speak of success.
const TAIL: usize = 12;

/// How much is kept of each of them, in bytes.
const LONGEST_WORD: usize = 240;

/// After a cascade so many lines are its epilogue, not work that goes on.
const EPILOGUE: u64 = 40;

/// What was seen of one rule, apart by tone.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) hard: Option<Seen>,
    pub(super) soft: Option<Seen>,
}

/// Judges one attempt. One is made for each attempt, fed with its output, and asked at its end.
#[derive(Debug)]
pub struct Judge {
    rules: Rules,
    lines: Lines,
    reader: Reader,
    look: Look,
}

/// All that is remembered of the lines so far.
#[derive(Debug)]
pub(super) struct Look {
    /// By rule.
    pub(super) found: Vec<Found>,
    /// By mark.
    pub(super) marks: Vec<Mark>,
    /// Lines of ordinary work so far.
    pub(super) work: u64,
    /// The last lines that are not blank, with their numbers.
    pub(super) tail: VecDeque<(u64, String)>,
    /// What was asked for last, in seconds.
    pub(super) retry_after_s: Option<u64>,
    /// Where the newest cascade was.
    cascade: Option<u64>,
    /// The next line is source code of a frame.
    source: bool,
}

impl Judge {
    /// A judge that has seen nothing yet.
    pub fn new(rules: &Rules) -> Self {
        let look = Look {
            found: rules.0.rules.iter().map(|_| Found::default()).collect(),
            marks: (0..rules.0.marks).map(|_| Mark::default()).collect(),
            work: 0,
            tail: VecDeque::with_capacity(TAIL),
            retry_after_s: None,
            cascade: None,
            source: false,
        };
        Self { rules: rules.clone(), lines: Lines::default(), reader: Reader::default(), look }
    }

    /// Output as it comes, cut anywhere.
    pub fn bytes(&mut self, chunk: &[u8]) {
        let Self { rules, lines, reader, look } = self;
        lines.feed(chunk, |piece| look.piece(rules, reader, &piece));
    }

    /// One line, without its end.
    pub fn line(&mut self, line: &str) {
        self.bytes(line.as_bytes());
        self.bytes(b"\n");
    }

    /// What it all means.
    pub fn end(mut self, facts: &Facts) -> Diagnosis {
        let Self { rules, lines, reader, look } = &mut self;
        lines.finish(|piece| look.piece(rules, reader, &piece));
        decide::decide(rules, look, facts)
    }

    /// How often each rule has matched so far, in the order of the rules.
    pub fn matches(&self) -> impl Iterator<Item = (&str, u64)> {
        let count = |seen: &Option<Seen>| seen.as_ref().map_or(0, |seen| seen.count);
        let found = self.look.found.iter().map(move |found| count(&found.hard) + count(&found.soft));
        self.rules.specs().map(|spec| spec.id.as_str()).zip(found)
    }
}

impl Look {
    fn piece(&mut self, rules: &Rules, reader: &mut Reader, piece: &Piece<'_>) {
        let text = clean::text(piece.bytes);
        if text.trim_ascii().is_empty() {
            return;
        }
        let (shown, line) = (prefix::of_no_worker(&text), prefix::bare(&text));
        if std::mem::take(&mut self.source) && line.starts_with("    ") {
            return;
        }
        let read = reader.read(rules, line);
        self.source = read.frame;
        self.retry_after_s = read.asked.or(self.retry_after_s);
        let matched = self.matched(rules, shown, read, piece.number);
        if !read.trouble && !matched && read.work && !self.is_epilogue(piece.number) {
            self.work += 1;
        }
        self.keep(piece.number, line);
    }

    /// Notes what matches; answers whether a rule does.
    fn matched(&mut self, rules: &Rules, shown: &str, read: &Reading, number: u64) -> bool {
        if read.hits.is_empty() {
            return false;
        }
        let hit = |place: &usize| match rules.0.patterns[*place].1 {
            Target::Rule(rule) => Some((rule, &rules.0.rules[rule].spec)),
            Target::Mark(_) => None,
        };
        let all = || read.hits.iter().filter_map(hit);
        // A line that follows from another failure is no reason for having the looks of one, and what a failed test is
        // called or says is no failure of what it speaks of.
        let follows = all().any(|(_, spec)| spec.role == Role::Cascade);
        let test = all().any(|(_, spec)| spec.class == Class::TestFailure);
        let counts = |spec: &RuleSpec| match spec.role {
            Role::Root if test => spec.class == Class::TestFailure,
            Role::Root => !follows || spec.strength > Strength::Weak,
            Role::Cascade | Role::Confirmation => true,
        };
        for (rule, spec) in all().filter(|(_, spec)| counts(spec)) {
            let soft = spec.soft.unwrap_or(read.soft);
            if spec.role == Role::Cascade && !soft {
                self.cascade = Some(number);
            }
            let found = &mut self.found[rule];
            let place = if soft { &mut found.soft } else { &mut found.hard };
            note(place, (number, self.work), shown, read.caused);
        }
        for place in &read.hits {
            if let Target::Mark(mark) = rules.0.patterns[*place].1 {
                self.marks[mark].note(number);
            }
        }
        all().next().is_some()
    }

    fn is_epilogue(&self, number: u64) -> bool {
        self.cascade.is_some_and(|cascade| number - cascade <= EPILOGUE)
    }

    /// Keeps the line among the last ones; the memory of the one that leaves is used again.
    fn keep(&mut self, number: u64, line: &str) {
        let mut text = if self.tail.len() == TAIL {
            self.tail.pop_front().map(|(_, text)| text).unwrap_or_default()
        } else {
            String::new()
        };
        text.clear();
        let mut cut = line.len().min(LONGEST_WORD);
        while !line.is_char_boundary(cut) {
            cut -= 1;
        }
        text.push_str(&line[..cut]);
        self.tail.push_back((number, text));
    }
}
