//! One rule: what a line must look like, and what it means.

use std::sync::OnceLock;

use regex::Regex;

use crate::model::{Advice, Class, Role};

use super::facts::Facts;
use super::literal;

/// How much one line says, from a proof to a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Strength {
    /// Nothing better is known.
    Guess,
    /// Words that many failures share.
    Weak,
    #[default]
    Plain,
    /// A fact, or words that leave little room.
    Strong,
    /// Words that only this cause makes.
    Sure,
}

impl Strength {
    /// Every strength, with the word that stands for it.
    pub const ALL: [(&'static str, Self); 5] = [
        ("guess", Self::Guess),
        ("weak", Self::Weak),
        ("plain", Self::Plain),
        ("strong", Self::Strong),
        ("sure", Self::Sure),
    ];

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

/// A rule as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSpec {
    pub id: String,
    pub class: Class,
    pub role: Role,
    /// A regular expression for one line; `None`: the exit code or signal alone is the sign.
    pub pattern: Option<String>,
    /// Another line that must be within `within` lines of it.
    pub needs: Option<String>,
    /// Another line that must not be within `within` lines of it.
    pub unless: Option<String>,
    /// In lines, before and after.
    pub within: u64,
    /// Where the exit code is known it must be one of these; empty: any.
    pub exit_codes: Vec<i32>,
    /// Where the end is known it must be one of these signals; empty: any.
    pub signals: Vec<i32>,
    /// What is to be done; `None`: the default of the class.
    pub advice: Option<Advice>,
    pub strength: Strength,
    /// `Some(true)`: the line always tells of trouble that was overcome; `Some(false)`: never; `None`: its words tell.
    pub soft: Option<bool>,
    /// It counts although the exit code is 0.
    pub despite_success: bool,
    /// Output that shows it, and is judged into its class.
    pub example: String,
    /// One sentence for a person.
    pub means: String,
}

impl RuleSpec {
    /// How far `needs` and `unless` look when nothing else is written.
    pub const WITHIN: u64 = 40;

    /// What it advises.
    pub fn advises(&self) -> Advice {
        self.advice.unwrap_or_else(|| self.class.default_advice())
    }

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
    /// One of these is in every line that matches, in any case of letters; `None`: nothing is known.
    pub(super) words: Option<Vec<String>>,
}

impl Pattern {
    /// Checks it without compiling it: a set has hundreds, and a log meets few.
    pub(super) fn new(source: &str) -> Result<Self, BadRule> {
        let hir = regex_syntax::parse(source).map_err(|error| BadRule::Pattern(last_line(&error.to_string())))?;
        if hir.properties().minimum_len() == Some(0) {
            return Err(BadRule::Everything);
        }
        Ok(Self { source: source.into(), compiled: OnceLock::new(), words: literal::required(&hir) })
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

/// The words of a parse error without the drawing above them.
fn last_line(error: &str) -> String {
    let last = error.lines().last().unwrap_or(error);
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}
