//! What may be done about a failure: rules, alternatives, how much of it dogwatch does by itself, and what an attempt
//! differs in from what the file says.

use std::collections::BTreeMap;
use std::time::Duration;

use indexmap::IndexMap;

use super::{Class, Raise, Resource, Template};

/// How much recovery dogwatch does by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Autonomy {
    /// Nothing: a person is asked, and what would have been done is recorded with the question.
    Observe,
    /// Nothing: a person is asked, and what would have been done is the first choice.
    Ask,
    /// What the rules and the defaults of the classes say.
    #[default]
    Act,
}

impl Autonomy {
    /// Every one, with the word that stands for it.
    pub const ALL: [(&'static str, Self); 3] = [("observe", Self::Observe), ("ask", Self::Ask), ("act", Self::Act)];
}

/// `[[steps.x.on_failure]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct FailureRule {
    /// As written, or `rule 1`, `rule 2`, …
    pub name: String,
    pub matcher: Match,
    pub action: Action,
    /// Replaces the step's own.
    pub retry: Option<super::Retry>,
    /// The alternative of the step that is taken, by its name.
    pub alternative: Option<String>,
    /// What the next attempt gets changed.
    pub change: Vec<Change>,
    /// What its container gets more of: then it has one of its own.
    pub raise: Vec<Raise>,
}

impl FailureRule {
    /// It says what the next attempt differs in, besides the alternative.
    pub fn changes(&self) -> bool {
        !self.change.is_empty() || !self.raise.is_empty()
    }
}

/// `match = { … }`: all that is written must hold; nothing written matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Match {
    /// What the judge says of it is one of these.
    pub class: Vec<Class>,
    /// A regex, tried on each line of the attempt's output.
    pub output: Option<String>,
    pub exit_code: Vec<i32>,
    /// Signal numbers.
    pub signal: Vec<i32>,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Retry,
    /// Retry with variables changed, or with an alternative.
    RetryModified,
    /// Retry from the newest good checkpoint.
    Resume,
    /// Another way to the same goal, from the start.
    Alternative,
    /// Go on without the step.
    Skip,
    Escalate,
    /// The run ends as failed.
    Abort,
}

impl Action {
    /// Every action, with its word.
    pub const ALL: [(&'static str, Self); 7] = [
        ("retry", Self::Retry),
        ("retry_modified", Self::RetryModified),
        ("resume", Self::Resume),
        ("alternative", Self::Alternative),
        ("skip", Self::Skip),
        ("escalate", Self::Escalate),
        ("abort", Self::Abort),
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, action)| *action == self).map_or("escalate", |(word, _)| word)
    }

    /// Another attempt follows.
    pub fn is_again(self) -> bool {
        matches!(self, Self::Retry | Self::RetryModified | Self::Resume | Self::Alternative)
    }
}

/// `change = { BATCH = "/ 2" }`: arithmetic on a variable of the step.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub variable: String,
    pub by: Arithmetic,
}

/// What is done to a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arithmetic {
    Add(f64),
    Subtract(f64),
    Multiply(f64),
    /// Never by zero. A whole number stays one, and at least 1.
    Divide(f64),
}

impl std::fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Add(n) => write!(f, "+ {n}"),
            Self::Subtract(n) => write!(f, "- {n}"),
            Self::Multiply(n) => write!(f, "* {n}"),
            Self::Divide(n) => write!(f, "/ {n}"),
        }
    }
}

/// `[steps.x.alternatives.NAME]`: a patch over the step; what it does not say stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Alternative {
    pub description: Option<String>,
    /// Instead of the step's `run`.
    pub script: Option<String>,
    /// Over the step's own.
    pub env: IndexMap<String, Template>,
    /// Instead of the step's; `Some(None)`: no limit.
    pub timeout: Option<Option<Duration>>,
    /// Only when a person picks it.
    pub requires_approval: bool,
}

/// What attempts of a lane differ in from what the file says, from one attempt on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// The alternative that is taken.
    pub alternative: Option<String>,
    /// Variables with their values.
    pub env: BTreeMap<String, String>,
    /// Limits of its container that were raised; it has one of its own then.
    pub resources: BTreeMap<Resource, u64>,
}

impl Patch {
    /// `half-batch, BATCH=8, memory 128 GiB in a container of its own`; empty where nothing differs.
    pub fn words(&self) -> String {
        let pairs = self.env.iter().map(|(name, value)| format!("{name}={value}"));
        let limits = |(resource, limit): (&Resource, &u64)| format!("{} {}", resource.as_str(), resource.words(*limit));
        let limits = self.resources.iter().map(limits);
        let mut words = self.alternative.iter().cloned().chain(pairs).chain(limits).collect::<Vec<_>>().join(", ");
        if !self.resources.is_empty() {
            words.push_str(" in a container of its own");
        }
        words
    }

    /// Nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What an attempt that is made by rule takes of a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spend {
    /// Whose budget: `rule oom`, `retry`, `class network`.
    pub budget: String,
    /// The fingerprint of the failure.
    pub print: String,
    /// How many attempts it allows, the first one among them.
    pub of: u32,
    /// It begins anew when there is a newer checkpoint.
    pub by_progress: bool,
}

/// What dogwatch would do, and leaves to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// By which rule, in words.
    pub rule: String,
    /// Go on without the step; else another attempt.
    pub skip: bool,
    /// The checkpoint that the attempt would go on from.
    pub resume: Option<String>,
    pub patch: Option<Patch>,
}
