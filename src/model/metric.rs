//! What a workflow says about how far a step is and which numbers of its are kept. Plain data.

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

/// The file in the step's own folder to which an attempt reports.
pub fn reports_of(attempt: u32) -> String {
    format!("report-a{attempt}.jsonl")
}

/// Where metrics come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricSource {
    /// Every named group of this pattern that is a number, from each line of the output.
    Pattern(String),
    /// Every number of each line of JSON in this file; relative to the workspace, or below `$DOGWATCH_DIR`.
    File(String),
}
