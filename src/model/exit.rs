//! How an attempt ended, and what was found at that moment. Plain data.

use std::collections::BTreeMap;

use super::{Checkpoint, Damaged, Diagnosis, Hit, Made, Number, Outside, StopReason, Time, Usage};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Code(i32),
    Signal(i32),
}

/// What the exit record says, and what was found at that moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Exit {
    pub end: End,
    pub started: Time,
    pub ended: Time,
    /// dogwatch had asked for the end.
    pub stop: Option<StopReason>,
    /// Descendants that outlived the step: pid and name.
    pub leaked: Vec<(u32, String)>,
    /// How often the kernel killed for memory meanwhile, in the environment as a whole.
    pub oom_kills: Option<u64>,
    /// What its processes used, as far as they were waited for.
    pub usage: Option<Usage>,
    /// Declared outputs that are not.
    pub missing: Vec<String>,
    /// Rules (by their place) whose `output` pattern matched, with the line.
    pub hits: Vec<Hit>,
    /// The last lines of the log, plain text.
    pub tail: Vec<String>,
    /// The newest checkpoint of the lane that is there and not empty.
    pub checkpoint: Option<Checkpoint>,
    /// Newer ones, newest first.
    pub damaged: Vec<Damaged>,
    /// What was done to its environment, and ended or failed it. There is no exit record where the environment itself was
    /// ended.
    pub outside: Option<Outside>,
    /// Why it failed, where it ended badly by itself.
    pub diagnosis: Option<Box<Diagnosis>>,
    /// What it made, where its step is cached and it can stand for a later run; else why it cannot.
    pub made: Option<Result<Box<Made>, String>>,
    /// What its `verify` said; `None` where it was not asked, or not yet.
    pub verify: Option<Checked>,
    /// The last value of each series of it that an expression of the workflow asks for.
    pub numbers: BTreeMap<String, Number>,
}

/// How a `verify` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    Code(i32),
    /// It gave no answer in its time, or could not be run.
    NoAnswer,
}

impl Checked {
    /// It found nothing wrong.
    pub fn is_good(self) -> bool {
        self == Self::Code(0)
    }
}

impl std::fmt::Display for Checked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(0) => f.write_str("verified"),
            Self::Code(code) => write!(f, "verify failed: code {code}"),
            Self::NoAnswer => f.write_str("verify failed: it gave no answer"),
        }
    }
}

/// What a `verify` said about an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    pub how: Checked,
    /// The last lines that it printed, or why it gave no answer; empty where all is well.
    pub output: Vec<String>,
    /// Rules whose `output` pattern matched what it printed.
    pub hits: Vec<Hit>,
    /// Why it failed, where it did.
    pub diagnosis: Option<Box<Diagnosis>>,
}

impl Exit {
    /// An end of which nothing else is known.
    pub fn new(end: End, started: Time, ended: Time) -> Self {
        Self {
            end,
            started,
            ended,
            stop: None,
            leaked: Vec::new(),
            oom_kills: None,
            usage: None,
            missing: Vec::new(),
            hits: Vec::new(),
            tail: Vec::new(),
            checkpoint: None,
            damaged: Vec::new(),
            outside: None,
            diagnosis: None,
            made: None,
            verify: None,
            numbers: BTreeMap::new(),
        }
    }

    /// It did not do what it was to do, or not by itself.
    pub fn is_bad(&self) -> bool {
        !self.ended_well() || self.verify.is_some_and(|how| !how.is_good())
    }

    /// It ended by itself with 0, and all that it declares is there. Whether that is a success, its `verify` may have to say.
    pub fn ended_well(&self) -> bool {
        self.end == End::Code(0) && self.stop.is_none() && self.missing.is_empty() && self.outside.is_none()
    }

    /// The end with what its `verify` said about it.
    #[must_use]
    pub fn checked(mut self, check: Check) -> Self {
        self.verify = Some(check.how);
        if !check.how.is_good() {
            (self.hits, self.tail, self.diagnosis) = (check.hits, check.output, check.diagnosis);
        }
        self
    }
}
