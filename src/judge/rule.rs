//! One rule at work: what it weighs, when it may speak, and its pattern.

use std::sync::OnceLock;

use regex::Regex;

use crate::model::{RuleSpec, Strength};

use super::facts::Facts;
use super::literal::{self, Branch};

impl Strength {
    /// What it weighs against others.
    pub(super) fn weight(self) -> i32 {
        match self {
            Self::Guess => 20,
            Self::Weak => 40,
            Self::Plain => 75,
            Self::Strong => 90,
            Self::Sure => 100,
        }
    }

    pub(super) fn confidence(self) -> f64 {
        match self {
            Self::Guess => 0.35,
            Self::Weak => 0.55,
            Self::Plain => 0.8,
            Self::Strong => 0.88,
            Self::Sure => 0.95,
        }
    }
}

impl RuleSpec {
    /// Whether the end of the attempt allows it.
    pub(super) fn admits(&self, facts: &Facts) -> bool {
        let code = facts.exit_code.filter(|_| facts.signal.is_none());
        let signal = facts.ended_by();
        if self.exit_codes.is_empty() && self.signals.is_empty() {
            return true;
        }
        if code.is_none() && signal.is_none() {
            return self.pattern.is_some();
        }
        code.is_some_and(|code| self.exit_codes.contains(&code))
            || signal.is_some_and(|signal| self.signals.contains(&signal))
    }
}

/// Why a rule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRule {
    #[error("the pattern is no regular expression: {0}")]
    Pattern(String),
    #[error("the pattern is too large")]
    TooLarge,
    #[error("the pattern matches every line")]
    Everything,
}

/// The largest pattern, compiled, in bytes.
const LARGEST: usize = 2 * 1024 * 1024;

/// A regular expression that is compiled when a line may match it, and the words without which none does.
#[derive(Debug)]
pub(super) struct Pattern {
    source: String,
    compiled: OnceLock<Option<Regex>>,
    /// What is in every line that matches; `None`: nothing is known.
    pub(super) words: Option<Vec<Branch>>,
}

impl Pattern {
    /// A built-in one: its edges of words are those of ASCII, which are found several times as fast in a line with other
    /// letters.
    pub(super) fn built_in(source: &str) -> Result<Self, BadRule> {
        let pattern = Self::new(source)?;
        Ok(Self { source: with_ascii_edges(source), ..pattern })
    }

    /// Checks it without compiling it: a set has hundreds, and a log meets few.
    pub(super) fn new(source: &str) -> Result<Self, BadRule> {
        let hir = regex_syntax::parse(source).map_err(|error| BadRule::Pattern(last_line(&error.to_string())))?;
        if hir.properties().minimum_len() == Some(0) {
            return Err(BadRule::Everything);
        }
        Ok(Self { source: source.into(), compiled: OnceLock::new(), words: literal::branches(&hir) })
    }

    /// Checks also what only compiling tells.
    pub(super) fn compiled(source: &str) -> Result<Self, BadRule> {
        let pattern = Self::new(source)?;
        if pattern.regex().is_none() {
            return Err(BadRule::TooLarge);
        }
        Ok(pattern)
    }

    fn regex(&self) -> Option<&Regex> {
        let compile = || regex::RegexBuilder::new(&self.source).size_limit(LARGEST).build().ok();
        self.compiled.get_or_init(compile).as_ref()
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(text))
    }
}

/// `\b` as `(?-u:\b)`. Inside of brackets it would be something else, and no built-in pattern has it there.
pub(super) fn with_ascii_edges(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut chars = source.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('b')) => out.push_str(r"(?-u:\b)"),
            (c, next) => out.extend([c].into_iter().chain(next)),
        }
    }
    out
}

/// The words of a parse error without the drawing above them.
fn last_line(error: &str) -> String {
    let last = error.lines().last().unwrap_or(error);
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}
