//! What a workflow says about how far a step is, which numbers of its are kept, and which of them are trouble. Plain data.

use super::Action;

/// `progress` of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgressSpec {
    /// The program whose way of telling is read.
    Named(String),
    /// A pattern with groups, checked by `config`.
    Pattern(String),
}

/// One of `[[steps.x.metrics]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricSpec {
    pub source: MetricSource,
    /// The member or group that says at which step of the program a value is.
    pub x: Option<String>,
}

/// A number that a step told. Equal to itself also where it is no number.
#[derive(Debug, Clone, Copy)]
pub struct Number(pub f64);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Number {}

/// The file in the step's own folder to which an attempt reports.
pub fn reports_of(attempt: u32) -> String {
    format!("report-a{attempt}.jsonl")
}

/// One of `[[steps.x.alerts]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertSpec {
    /// A condition on metrics, checked by `config`.
    pub when: String,
    /// Without it, the first rule of the step that names the class or what it printed, else a person.
    pub action: Option<Action>,
    pub message: Option<String>,
}

/// A value with which the condition of an [`AlertSpec`] began to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Alerted {
    pub when: String,
    pub message: Option<String>,
    pub action: Option<Action>,
    pub metric: String,
    /// The step of the program, or the number of the value.
    pub step: i64,
    pub value: f64,
}

impl Alerted {
    /// `Loss diverged: loss = nan at step 340`.
    pub fn words(&self) -> String {
        let what = self.message.as_deref().unwrap_or(&self.when);
        format!("{what}: {} = {} at step {}", self.metric, self.value, self.step)
    }
}

/// Where metrics come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricSource {
    /// Every named group of this pattern that is a number, from each line of the output.
    Pattern(String),
    /// Every number of each line of JSON in this file; relative to the workspace, or below `$DOGWATCH_DIR`.
    File(String),
}
