//! How events are stored: versioned mirrors of [`crate::model::What`]. A field is never renamed or given a second meaning;
//! a new one has a default. Owns the text in the `body` column and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{
    self, AskWhy, AttemptId, Cause, Choice, End, EscalationId, EscalationKind, Isolation, Lane, LaneId, LostWhy, Order,
    Outside, Principal, RunId, RunResult, RunStopWhy, Selection, SkipWhy, StepId, StopReason, Time, Verdict, What,
    Workflow,
};

/// Why a stored event cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("not the JSON that this version of dogwatch writes: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Id(#[from] model::BadId),
    #[error("{0}")]
    Workflow(String),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stored {
    Created { number: u64, dir: String, selection: StoredSelection, env: BTreeMap<String, String>, by: StoredBy },
    EnvironmentReady { sandboxed: bool, why: Option<String>, container: Option<StoredContainer> },
    EnvironmentFailed { why: String },
    Intended { at: At, cause: StoredCause, resume: Option<String> },
    CannotStart { lane: LaneAt, why: String },
    Claimed { at: At },
    CheckpointSeen { at: At, checkpoint: Checkpoint },
    Exited { at: At, exit: Box<StoredExit> },
    Lost { at: At, why: StoredLost, evidence: Vec<String>, checkpoint: Option<Checkpoint> },
    Judged { at: At, verdict: StoredVerdict },
    StopAsked { at: At, reason: StoredStop, by: StoredBy },
    ProbeAsked { at: At, by: StoredBy },
    Probed { at: At, code: Option<i32>, output: String },
    Skipped { lane: LaneAt, why: StoredSkip },
    Opened(Box<StoredEscalation>),
    Answered { escalation: u64, choice: StoredChoice, by: StoredBy, note: Option<String> },
    Ordered { lane: LaneAt, order: StoredOrder, by: StoredBy, note: Option<String> },
    Paused { by: StoredBy },
    Unpaused { by: StoredBy },
    RunStopAsked { by: StoredBy, why: StoredRunStop },
    Resumed { from: Option<String>, by: StoredBy },
    Ended { result: StoredResult },
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredContainer {
    image: String,
    engine: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct LaneAt {
    step: String,
    lane: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct At {
    step: String,
    lane: u32,
    n: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Checkpoint {
    path: String,
    step: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredExit {
    end: StoredEnd,
    started_ms: i64,
    ended_ms: i64,
    stop: Option<StoredStop>,
    leaked: Vec<(u32, String)>,
    oom_kills: Option<u64>,
    missing: Vec<String>,
    hits: Vec<StoredHit>,
    tail: Vec<String>,
    checkpoint: Option<Checkpoint>,
    outside: Option<StoredOutside>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredHit {
    rule: usize,
    line_number: u64,
    line: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredVerdict {
    Succeeded,
    Retry { at_ms: i64, rule: String, resume: Option<String> },
    Allowed,
    Abort { rule: String },
    Stopped,
    AskFailed { rule: Option<String>, attempts: u32, of: u32 },
    AskUnknown { why: StoredLost },
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredEscalation {
    id: u64,
    lane: LaneAt,
    attempt: Option<u32>,
    kind: StoredKind,
    title: String,
    evidence: Vec<String>,
    choices: Vec<StoredChoice>,
    deadline_ms: Option<i64>,
    on_deadline: Option<StoredChoice>,
}

/// Mirrors an enum whose variants hold the same on both sides.
macro_rules! mirror {
    ($stored:ident = $model:ident { $($variant:ident $(($field:ident))? $({$($name:ident),*})?),* $(,)? }) => {
        impl From<&$model> for $stored {
            fn from(from: &$model) -> Self {
                match from {
                    $($model::$variant $(($field))? $({$($name),*})? =>
                        Self::$variant $(($field.clone().into()))? $({$($name: $name.clone().into()),*})?,)*
                }
            }
        }
        impl From<$stored> for $model {
            fn from(from: $stored) -> Self {
                match from {
                    $($stored::$variant $(($field))? $({$($name),*})? =>
                        Self::$variant $(($field.into()))? $({$($name: $name.into()),*})?,)*
                }
            }
        }
    };
}

macro_rules! stored {
    ($($name:ident { $($variant:tt)* })*) => {
        $(#[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum $name { $($variant)* })*
    };
}

stored! {
    StoredBy { Person(String), Rule }
    StoredLost { ShimDied, HostRestarted, ClaimGone, EnvironmentGone, Tampered }
    StoredStop { Timeout, Stop }
    StoredEnd { Code(i32), Signal(i32) }
    StoredOutside { Killed, OutOfMemory, EngineRestarted }
    StoredKind { Failed, Unknown, CannotStart, Gate }
    StoredChoice { Retry, Resume, Probe, Done, Skip, Fail, StopRun, Approve, Reject }
    StoredOrder { Resume, Retry, Skip, Done }
    StoredRunStop { Asked, Timeout, Abort { rule: String }, Rejected }
    StoredResult { Succeeded, Failed, Stopped, Rejected }
    StoredCause { First, Retry { rule: String }, Unknown, Disrupted, Person(StoredBy) }
    StoredSkip { Condition, Need(String), NotSelected, RunEnded }
    StoredSelection { All, Only(Vec<String>), From(String) }
}

mirror!(StoredBy = Principal { Person(name), Rule });
mirror!(StoredLost = LostWhy { ShimDied, HostRestarted, ClaimGone, EnvironmentGone, Tampered });
mirror!(StoredStop = StopReason { Timeout, Stop });
mirror!(StoredOutside = Outside { Killed, OutOfMemory, EngineRestarted });
mirror!(StoredEnd = End { Code(code), Signal(signal) });
mirror!(StoredKind = EscalationKind { Failed, Unknown, CannotStart, Gate });
mirror!(StoredChoice = Choice { Retry, Resume, Probe, Done, Skip, Fail, StopRun, Approve, Reject });
mirror!(StoredOrder = Order { Resume, Retry, Skip, Done });
mirror!(StoredRunStop = RunStopWhy { Asked, Timeout, Abort { rule }, Rejected });
mirror!(StoredResult = RunResult { Succeeded, Failed, Stopped, Rejected });

impl From<Principal> for StoredBy {
    fn from(by: Principal) -> Self {
        Self::from(&by)
    }
}

mirror!(StoredCause = Cause { First, Retry { rule }, Unknown, Disrupted, Person(by) });

fn lane_at(lane: &LaneId) -> LaneAt {
    LaneAt { step: lane.step.to_string(), lane: lane.lane.0 }
}

fn at(attempt: &AttemptId) -> At {
    At { step: attempt.lane.step.to_string(), lane: attempt.lane.lane.0, n: attempt.n }
}

fn stored_checkpoint(checkpoint: &model::Checkpoint) -> Checkpoint {
    Checkpoint { path: checkpoint.path.clone(), step: checkpoint.step }
}

impl LaneAt {
    fn read(self) -> Result<LaneId, Unreadable> {
        Ok(LaneId { step: StepId::new(&self.step)?, lane: Lane(self.lane) })
    }
}

impl At {
    fn read(self, run: &RunId) -> Result<AttemptId, Unreadable> {
        let lane = LaneAt { step: self.step, lane: self.lane }.read()?;
        Ok(AttemptId { run: run.clone(), lane, n: self.n })
    }
}

impl Checkpoint {
    fn read(self) -> model::Checkpoint {
        model::Checkpoint { path: self.path, step: self.step }
    }
}

/// The stable word of an event: the `kind` column.
pub(super) fn kind(what: &What) -> &'static str {
    match what {
        What::Created(_) => "created",
        What::EnvironmentReady { .. } => "environment_ready",
        What::EnvironmentFailed { .. } => "environment_failed",
        What::Intended { .. } => "intended",
        What::CannotStart { .. } => "cannot_start",
        What::Claimed { .. } => "claimed",
        What::CheckpointSeen { .. } => "checkpoint_seen",
        What::Exited { .. } => "exited",
        What::Lost { .. } => "lost",
        What::Judged { .. } => "judged",
        What::StopAsked { .. } => "stop_asked",
        What::ProbeAsked { .. } => "probe_asked",
        What::Probed { .. } => "probed",
        What::Skipped { .. } => "skipped",
        What::Opened { .. } => "opened",
        What::Answered { .. } => "answered",
        What::Ordered { .. } => "ordered",
        What::Paused { .. } => "paused",
        What::Unpaused { .. } => "unpaused",
        What::RunStopAsked { .. } => "run_stop_asked",
        What::Resumed { .. } => "resumed",
        What::Ended { .. } => "ended",
    }
}

/// The text of an event's `body` column.
pub(super) fn write(what: &What) -> Result<String, Unreadable> {
    let stored = match what {
        What::Created(created) => Stored::Created {
            number: created.number,
            dir: created.dir.clone(),
            selection: write_selection(&created.selection),
            env: created.env.clone(),
            by: (&created.by).into(),
        },
        What::EnvironmentReady { isolation: Isolation::Sandboxed } => {
            Stored::EnvironmentReady { sandboxed: true, why: None, container: None }
        }
        What::EnvironmentReady { isolation: Isolation::Container { image, engine } } => {
            let container = StoredContainer { image: image.clone(), engine: engine.clone() };
            Stored::EnvironmentReady { sandboxed: true, why: None, container: Some(container) }
        }
        What::EnvironmentReady { isolation: Isolation::None { why } } => {
            Stored::EnvironmentReady { sandboxed: false, why: Some(why.clone()), container: None }
        }
        What::EnvironmentFailed { why } => Stored::EnvironmentFailed { why: why.clone() },
        What::Intended { attempt, cause, resume } => {
            Stored::Intended { at: at(attempt), cause: cause.into(), resume: resume.clone() }
        }
        What::CannotStart { lane, why } => Stored::CannotStart { lane: lane_at(lane), why: why.clone() },
        What::Claimed { attempt } => Stored::Claimed { at: at(attempt) },
        What::CheckpointSeen { attempt, checkpoint } => {
            Stored::CheckpointSeen { at: at(attempt), checkpoint: stored_checkpoint(checkpoint) }
        }
        What::Exited { attempt, exit } => Stored::Exited { at: at(attempt), exit: Box::new(write_exit(exit)) },
        What::Lost { attempt, why, evidence, checkpoint } => Stored::Lost {
            at: at(attempt),
            why: why.into(),
            evidence: evidence.clone(),
            checkpoint: checkpoint.as_ref().map(stored_checkpoint),
        },
        What::Judged { attempt, verdict } => Stored::Judged { at: at(attempt), verdict: write_verdict(verdict) },
        What::StopAsked { attempt, reason, by } => {
            Stored::StopAsked { at: at(attempt), reason: reason.into(), by: by.into() }
        }
        What::ProbeAsked { attempt, by } => Stored::ProbeAsked { at: at(attempt), by: by.into() },
        What::Probed { attempt, code, output } => {
            Stored::Probed { at: at(attempt), code: *code, output: output.clone() }
        }
        What::Skipped { lane, why } => Stored::Skipped { lane: lane_at(lane), why: write_skip(why) },
        What::Opened { escalation } => Stored::Opened(Box::new(write_escalation(escalation))),
        What::Answered { escalation, choice, by, note } => {
            Stored::Answered { escalation: escalation.0, choice: choice.into(), by: by.into(), note: note.clone() }
        }
        What::Ordered { lane, order, by, note } => {
            Stored::Ordered { lane: lane_at(lane), order: order.into(), by: by.into(), note: note.clone() }
        }
        What::Paused { by } => Stored::Paused { by: by.into() },
        What::Unpaused { by } => Stored::Unpaused { by: by.into() },
        What::RunStopAsked { by, why } => Stored::RunStopAsked { by: by.into(), why: why.into() },
        What::Resumed { from, by } => Stored::Resumed { from: from.as_ref().map(ToString::to_string), by: by.into() },
        What::Ended { result } => Stored::Ended { result: result.into() },
    };
    Ok(serde_json::to_string(&stored)?)
}

/// The event of a `body` column. `workflow` gives the run's frozen workflow; it is asked for the first event only.
pub(super) fn read(
    run: &RunId,
    body: &str,
    workflow: &dyn Fn() -> Result<Arc<Workflow>, String>,
) -> Result<What, Unreadable> {
    Ok(match serde_json::from_str(body)? {
        Stored::Created { number, dir, selection, env, by } => What::Created(Box::new(model::Created {
            number,
            workflow: workflow().map_err(Unreadable::Workflow)?,
            dir,
            selection: read_selection(selection)?,
            env,
            by: by.into(),
        })),
        Stored::EnvironmentReady { container: Some(StoredContainer { image, engine }), .. } => {
            What::EnvironmentReady { isolation: Isolation::Container { image, engine } }
        }
        Stored::EnvironmentReady { sandboxed: true, .. } => What::EnvironmentReady { isolation: Isolation::Sandboxed },
        Stored::EnvironmentReady { sandboxed: false, why, .. } => {
            What::EnvironmentReady { isolation: Isolation::None { why: why.unwrap_or_default() } }
        }
        Stored::EnvironmentFailed { why } => What::EnvironmentFailed { why },
        Stored::Intended { at, cause, resume } => {
            What::Intended { attempt: at.read(run)?, cause: cause.into(), resume }
        }
        Stored::CannotStart { lane, why } => What::CannotStart { lane: lane.read()?, why },
        Stored::Claimed { at } => What::Claimed { attempt: at.read(run)? },
        Stored::CheckpointSeen { at, checkpoint } => {
            What::CheckpointSeen { attempt: at.read(run)?, checkpoint: checkpoint.read() }
        }
        Stored::Exited { at, exit } => What::Exited { attempt: at.read(run)?, exit: Box::new(read_exit(*exit)) },
        Stored::Lost { at, why, evidence, checkpoint } => What::Lost {
            attempt: at.read(run)?,
            why: why.into(),
            evidence,
            checkpoint: checkpoint.map(Checkpoint::read),
        },
        Stored::Judged { at, verdict } => What::Judged { attempt: at.read(run)?, verdict: read_verdict(verdict) },
        Stored::StopAsked { at, reason, by } => {
            What::StopAsked { attempt: at.read(run)?, reason: reason.into(), by: by.into() }
        }
        Stored::ProbeAsked { at, by } => What::ProbeAsked { attempt: at.read(run)?, by: by.into() },
        Stored::Probed { at, code, output } => What::Probed { attempt: at.read(run)?, code, output },
        Stored::Skipped { lane, why } => What::Skipped { lane: lane.read()?, why: read_skip(why)? },
        Stored::Opened(escalation) => What::Opened { escalation: Box::new(read_escalation(run, *escalation)?) },
        Stored::Answered { escalation, choice, by, note } => {
            What::Answered { escalation: EscalationId(escalation), choice: choice.into(), by: by.into(), note }
        }
        Stored::Ordered { lane, order, by, note } => {
            What::Ordered { lane: lane.read()?, order: order.into(), by: by.into(), note }
        }
        Stored::Paused { by } => What::Paused { by: by.into() },
        Stored::Unpaused { by } => What::Unpaused { by: by.into() },
        Stored::RunStopAsked { by, why } => What::RunStopAsked { by: by.into(), why: why.into() },
        Stored::Resumed { from, by } => {
            What::Resumed { from: from.map(|from| StepId::new(&from)).transpose()?, by: by.into() }
        }
        Stored::Ended { result } => What::Ended { result: result.into() },
    })
}

fn write_selection(selection: &Selection) -> StoredSelection {
    match selection {
        Selection::All => StoredSelection::All,
        Selection::Only(steps) => StoredSelection::Only(steps.iter().map(ToString::to_string).collect()),
        Selection::From(step) => StoredSelection::From(step.to_string()),
    }
}

fn read_selection(selection: StoredSelection) -> Result<Selection, Unreadable> {
    Ok(match selection {
        StoredSelection::All => Selection::All,
        StoredSelection::Only(steps) => {
            Selection::Only(steps.iter().map(|step| StepId::new(step)).collect::<Result<_, _>>()?)
        }
        StoredSelection::From(step) => Selection::From(StepId::new(&step)?),
    })
}

fn write_skip(why: &SkipWhy) -> StoredSkip {
    match why {
        SkipWhy::Condition => StoredSkip::Condition,
        SkipWhy::Need(step) => StoredSkip::Need(step.to_string()),
        SkipWhy::NotSelected => StoredSkip::NotSelected,
        SkipWhy::RunEnded => StoredSkip::RunEnded,
    }
}

fn read_skip(why: StoredSkip) -> Result<SkipWhy, Unreadable> {
    Ok(match why {
        StoredSkip::Condition => SkipWhy::Condition,
        StoredSkip::Need(step) => SkipWhy::Need(StepId::new(&step)?),
        StoredSkip::NotSelected => SkipWhy::NotSelected,
        StoredSkip::RunEnded => SkipWhy::RunEnded,
    })
}

fn write_exit(exit: &model::Exit) -> StoredExit {
    StoredExit {
        end: (&exit.end).into(),
        started_ms: exit.started.as_ms(),
        ended_ms: exit.ended.as_ms(),
        stop: exit.stop.as_ref().map(Into::into),
        leaked: exit.leaked.clone(),
        oom_kills: exit.oom_kills,
        missing: exit.missing.clone(),
        hits: exit
            .hits
            .iter()
            .map(|hit| StoredHit { rule: hit.rule, line_number: hit.line_number, line: hit.line.clone() })
            .collect(),
        tail: exit.tail.clone(),
        checkpoint: exit.checkpoint.as_ref().map(stored_checkpoint),
        outside: exit.outside.as_ref().map(Into::into),
    }
}

fn read_exit(exit: StoredExit) -> model::Exit {
    model::Exit {
        end: exit.end.into(),
        started: Time::from_ms(exit.started_ms),
        ended: Time::from_ms(exit.ended_ms),
        stop: exit.stop.map(Into::into),
        leaked: exit.leaked,
        oom_kills: exit.oom_kills,
        missing: exit.missing,
        hits: exit
            .hits
            .into_iter()
            .map(|hit| model::Hit { rule: hit.rule, line_number: hit.line_number, line: hit.line })
            .collect(),
        tail: exit.tail,
        checkpoint: exit.checkpoint.map(Checkpoint::read),
        outside: exit.outside.map(Into::into),
    }
}

fn write_verdict(verdict: &Verdict) -> StoredVerdict {
    match verdict {
        Verdict::Succeeded => StoredVerdict::Succeeded,
        Verdict::Retry { at, rule, resume } => {
            StoredVerdict::Retry { at_ms: at.as_ms(), rule: rule.clone(), resume: resume.clone() }
        }
        Verdict::Allowed => StoredVerdict::Allowed,
        Verdict::Abort { rule } => StoredVerdict::Abort { rule: rule.clone() },
        Verdict::Stopped => StoredVerdict::Stopped,
        Verdict::Ask { why: AskWhy::Failed { rule, attempts, of } } => {
            StoredVerdict::AskFailed { rule: rule.clone(), attempts: *attempts, of: *of }
        }
        Verdict::Ask { why: AskWhy::Unknown(why) } => StoredVerdict::AskUnknown { why: why.into() },
    }
}

fn read_verdict(verdict: StoredVerdict) -> Verdict {
    match verdict {
        StoredVerdict::Succeeded => Verdict::Succeeded,
        StoredVerdict::Retry { at_ms, rule, resume } => Verdict::Retry { at: Time::from_ms(at_ms), rule, resume },
        StoredVerdict::Allowed => Verdict::Allowed,
        StoredVerdict::Abort { rule } => Verdict::Abort { rule },
        StoredVerdict::Stopped => Verdict::Stopped,
        StoredVerdict::AskFailed { rule, attempts, of } => Verdict::Ask { why: AskWhy::Failed { rule, attempts, of } },
        StoredVerdict::AskUnknown { why } => Verdict::Ask { why: AskWhy::Unknown(why.into()) },
    }
}

fn write_escalation(escalation: &model::Escalation) -> StoredEscalation {
    StoredEscalation {
        id: escalation.id.0,
        lane: lane_at(&escalation.lane),
        attempt: escalation.attempt.as_ref().map(|attempt| attempt.n),
        kind: (&escalation.kind).into(),
        title: escalation.title.clone(),
        evidence: escalation.evidence.clone(),
        choices: escalation.choices.iter().map(Into::into).collect(),
        deadline_ms: escalation.deadline.map(Time::as_ms),
        on_deadline: escalation.on_deadline.as_ref().map(Into::into),
    }
}

fn read_escalation(run: &RunId, stored: StoredEscalation) -> Result<model::Escalation, Unreadable> {
    let lane = stored.lane.read()?;
    Ok(model::Escalation {
        id: EscalationId(stored.id),
        attempt: stored.attempt.map(|n| AttemptId { run: run.clone(), lane: lane.clone(), n }),
        lane,
        kind: stored.kind.into(),
        title: stored.title,
        evidence: stored.evidence,
        choices: stored.choices.into_iter().map(Into::into).collect(),
        deadline: stored.deadline_ms.map(Time::from_ms),
        on_deadline: stored.on_deadline.map(Into::into),
    })
}
