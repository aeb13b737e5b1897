//! Questions to a person, and what they can be answered with.

use super::{AttemptId, EscalationId, LaneId, Proposal, Time};

/// A question to a person: persisted, answered once.
#[derive(Debug, Clone, PartialEq)]
pub struct Escalation {
    pub id: EscalationId,
    pub lane: LaneId,
    /// The attempt it is about; `None` for a gate and for a step that could not be started.
    pub attempt: Option<AttemptId>,
    pub kind: EscalationKind,
    /// One line.
    pub title: String,
    /// Plain lines: what is known.
    pub evidence: Vec<String>,
    /// The place in `evidence` of the line that the deciding rule matched.
    pub matched: Option<usize>,
    /// The same for questions that ask the same; empty where an older dogwatch asked.
    pub fingerprint: String,
    /// What [`Choice::Accept`] does.
    pub proposal: Option<Box<Proposal>>,
    /// In the order shown, numbered from 1.
    pub choices: Vec<Choice>,
    /// When `on_deadline` is taken.
    pub deadline: Option<Time>,
    pub on_deadline: Option<Choice>,
    /// To approve, the workflow's name is typed.
    pub typed: bool,
}

/// What kind of question it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EscalationKind {
    Failed,
    Unknown,
    CannotStart,
    Gate,
    /// It lives, and stands still.
    Stalled,
}

/// What can be answered. Its word is what the command line takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// What dogwatch proposes.
    Accept,
    /// To an attempt that stands still: it goes on, and its clocks begin anew.
    KeepWaiting,
    /// A new attempt with an alternative, by the places of the step and of the alternative.
    Alternative {
        step: u32,
        place: u32,
    },
    /// A new attempt from the start.
    Retry,
    /// A new attempt from the newest checkpoint.
    Resume,
    /// Run the probe.
    Probe,
    /// It counts as succeeded: fixed by hand.
    Done,
    /// Go on without it.
    Skip,
    /// It failed for good: what needs it is left out.
    Fail,
    /// The run ends.
    StopRun,
    Approve,
    Reject,
    /// To a gate: what led to it runs again, from the step with this place in the workflow; then it asks anew.
    SendBack(u32),
}

impl Choice {
    /// Its word without a name: what is kept over all runs.
    pub fn plain_word(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::KeepWaiting => "keep-waiting",
            Self::Alternative { .. } => "alternative",
            Self::Retry => "retry",
            Self::Resume => "resume",
            Self::Probe => "probe",
            Self::Done => "done",
            Self::Skip => "skip",
            Self::Fail => "fail",
            Self::StopRun => "stop-run",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::SendBack(_) => "send-back",
        }
    }
}
