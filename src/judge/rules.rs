//! A set of rules, ready to be asked about many lines: one pass over a line finds which rules it may be about.

use std::collections::HashMap;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::literal::Branch;
use super::rule::{BadRule, Pattern};
use super::sieve::Sieve;
use super::tone;
use crate::model::RuleSpec;

/// What is looked for in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Rule(usize),
    /// A pattern that rules ask for nearby.
    Mark(usize),
}

/// A rule, with the places of the patterns that it asks for.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) spec: RuleSpec,
    pub(super) pattern: Option<usize>,
    pub(super) needs: Option<usize>,
    pub(super) unless: Option<usize>,
    /// It is the operator's own: it comes before those that are built in.
    pub(super) own: bool,
}

#[derive(Debug)]
pub(super) struct Set {
    pub(super) rules: Vec<Rule>,
    pub(super) patterns: Vec<(Pattern, Target)>,
    pub(super) marks: usize,
    finder: AhoCorasick,
    /// By the finder's word: the branches of patterns that ask for it, each with the set of its words that it is of. The first
    /// words are those of trouble and have none.
    wanted: Vec<Vec<(usize, usize)>>,
    /// By branch: its pattern. A pattern without words is one branch.
    pattern_of: Vec<usize>,
    /// What a line without any word leaves.
    blank: Sieve,
    /// Patterns without words: asked about every line.
    always: Vec<usize>,
}

/// Rules in their order; cheap to clone.
#[derive(Debug, Clone)]
pub struct Rules(pub(super) Arc<Set>);

impl Rules {
    /// The operator's own rules and the built-in ones, each in its order. The number in an error is the place of the rule
    /// in `own`, or in `built_in` behind them.
    pub fn new(own: Vec<RuleSpec>, built_in: Vec<RuleSpec>) -> Result<Self, (usize, BadRule)> {
        let mut making = Making::default();
        let first = own.len();
        for (place, spec) in own.into_iter().chain(built_in).enumerate() {
            making.add(spec, place < first).map_err(|error| (place, error))?;
        }
        making.finish().map_err(|_| (0, BadRule::TooLarge))
    }

    /// Says what is wrong with a pattern, also what shows only when it is used.
    pub fn check(pattern: &str) -> Result<(), BadRule> {
        Pattern::compiled(pattern).map(drop)
    }

    /// Every rule in its order.
    pub fn specs(&self) -> impl Iterator<Item = &RuleSpec> {
        self.0.rules.iter().map(|rule| &rule.spec)
    }

    /// The rules whose patterns are tried on every line, for no word is in all that they match.
    pub fn slow(&self) -> impl Iterator<Item = &str> {
        let is_slow = |place: Option<usize>| place.is_some_and(|place| self.0.always.contains(&place));
        let rules = self.0.rules.iter();
        rules
            .filter(move |rule| {
                let marks = [rule.needs, rule.unless].map(|mark| mark.and_then(|mark| self.0.pattern_of_mark(mark)));
                is_slow(rule.pattern) || marks.into_iter().any(is_slow)
            })
            .map(|rule| rule.spec.id.as_str())
    }
}

impl Set {
    fn pattern_of_mark(&self, mark: usize) -> Option<usize> {
        self.patterns.iter().position(|(_, target)| *target == Target::Mark(mark))
    }

    /// Whether any pattern has to be tried on the line.
    pub(super) fn speaks(&self, line: &str) -> bool {
        !self.always.is_empty() || self.finder.is_match(line)
    }

    /// Leaves in `sieve` what the line may match. Answers whether it has a word of trouble.
    pub(super) fn find(&self, line: &str, sieve: &mut Sieve) -> bool {
        sieve.clone_from(&self.blank);
        let mut trouble = false;
        for hit in self.finder.find_overlapping_iter(line) {
            let word = hit.pattern().as_usize();
            trouble |= word < tone::TROUBLE.len();
            self.wanted[word].iter().for_each(|(branch, set)| sieve.put(*branch, *set));
        }
        trouble
    }

    /// The patterns that are left in the sieve, each once, in their order.
    pub(super) fn left(&self, sieve: &Sieve) -> impl Iterator<Item = usize> {
        let mut last = None;
        let patterns = sieve.left().map(|branch| self.pattern_of[branch]);
        patterns.filter(move |pattern| last.replace(*pattern) != Some(*pattern))
    }
}

fn pattern(source: &str, own: bool) -> Result<Pattern, BadRule> {
    if own { Pattern::new(source) } else { Pattern::built_in(source) }
}

#[derive(Default)]
struct Making {
    rules: Vec<Rule>,
    patterns: Vec<(Pattern, Target)>,
    /// By its source.
    marks: HashMap<String, usize>,
}

impl Making {
    fn add(&mut self, spec: RuleSpec, own: bool) -> Result<(), BadRule> {
        let place = self.rules.len();
        let pattern = match &spec.pattern {
            Some(source) => {
                self.patterns.push((pattern(source, own)?, Target::Rule(place)));
                Some(self.patterns.len() - 1)
            }
            None => None,
        };
        let needs = self.mark(spec.needs.as_deref(), own)?;
        let unless = self.mark(spec.unless.as_deref(), own)?;
        self.rules.push(Rule { spec, pattern, needs, unless, own });
        Ok(())
    }

    fn mark(&mut self, source: Option<&str>, own: bool) -> Result<Option<usize>, BadRule> {
        let Some(source) = source else { return Ok(None) };
        if let Some(mark) = self.marks.get(source) {
            return Ok(Some(*mark));
        }
        let mark = self.marks.len();
        self.patterns.push((pattern(source, own)?, Target::Mark(mark)));
        self.marks.insert(source.to_owned(), mark);
        Ok(Some(mark))
    }

    fn finish(self) -> Result<Rules, aho_corasick::BuildError> {
        let mut words: Vec<String> = tone::TROUBLE.iter().map(|word| (*word).to_owned()).collect();
        let mut wanted: Vec<Vec<(usize, usize)>> = vec![Vec::new(); words.len()];
        let mut places: HashMap<String, usize> = HashMap::new();
        let (mut always, mut pattern_of, mut blank) = (Vec::new(), Vec::new(), Sieve::default());
        for (place, (pattern, _)) in self.patterns.iter().enumerate() {
            let unknown = [Branch::new()];
            if pattern.words.is_none() {
                always.push(place);
            }
            for branch in pattern.words.as_deref().unwrap_or(&unknown) {
                for (set, of_set) in branch.iter().enumerate() {
                    for word in of_set {
                        let at = *places.entry(word.clone()).or_insert_with(|| {
                            words.push(word.clone());
                            wanted.push(Vec::new());
                            words.len() - 1
                        });
                        wanted[at].push((pattern_of.len(), set));
                    }
                }
                blank.add(branch.len());
                pattern_of.push(place);
            }
        }
        let finder = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&words)?;
        let marks = self.marks.len();
        Ok(Rules(Arc::new(Set {
            rules: self.rules,
            patterns: self.patterns,
            marks,
            finder,
            wanted,
            pattern_of,
            blank,
            always,
        })))
    }
}
