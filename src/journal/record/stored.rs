//! The texts of stored events: one type beside each noun of [`crate::model`] that an event holds. Plain data and nothing else; a field
//! is never renamed, a new one has a default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cache::{StoredLook, StoredNumbers, StoredOutcome};
use super::stall::StoredStall;

use crate::model::{
    Cause, CheckpointMark, Choice, End, EscalationKind, LostWhy, Order, Outside, Principal, RunResult, RunStopWhy,
    SnapshotMark, StopReason,
};

/// What looks for an attempt saw.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredLooked {
    pub(super) at: At,
    pub(super) good: bool,
    #[serde(default)]
    pub(super) given_up: bool,
    #[serde(default)]
    pub(super) seen: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stored {
    Created {
        number: u64,
        dir: String,
        selection: StoredSelection,
        env: BTreeMap<String, String>,
        by: StoredBy,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        no_cache: bool,
    },
    EnvironmentReady {
        sandboxed: bool,
        why: Option<String>,
        container: Option<StoredContainer>,
        environment: Option<String>,
    },
    EnvironmentFailed {
        why: String,
        environment: Option<String>,
    },
    Intended {
        at: At,
        cause: StoredCause,
        resume: Option<String>,
    },
    CacheLooked {
        lane: LaneAt,
        look: Box<StoredLook>,
    },
    CannotStart {
        lane: LaneAt,
        why: String,
    },
    SecretsLost {
        lane: LaneAt,
        names: Vec<String>,
    },
    SecretsGiven {
        names: Vec<String>,
        by: StoredBy,
    },
    Claimed {
        at: At,
    },
    CheckpointSeen {
        at: At,
        checkpoint: Checkpoint,
        #[serde(default)]
        offset: u64,
    },
    Noted {
        at: At,
        note: String,
        #[serde(default)]
        offset: u64,
    },
    ClocksSet {
        at: At,
        order: StoredClockOrder,
        by: StoredBy,
    },
    Stalled {
        at: At,
        stall: Box<StoredStall>,
    },
    Revived {
        at: At,
    },
    Booked {
        at: At,
        gpus: Vec<u32>,
    },
    Looked(StoredLooked),
    Keeping {
        at: At,
    },
    Snapshotted {
        at: At,
        image: String,
        bytes: u64,
    },
    NotSnapshotted {
        at: At,
        why: String,
    },
    SnapshotMarked {
        at: At,
        mark: StoredMark,
        by: StoredBy,
    },
    Exited {
        at: At,
        exit: Box<StoredExit>,
    },
    Lost {
        at: At,
        why: StoredLost,
        evidence: Vec<String>,
        checkpoint: Option<Checkpoint>,
    },
    Judged {
        at: At,
        verdict: StoredVerdict,
    },
    StopAsked {
        at: At,
        reason: StoredStop,
        by: StoredBy,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        save: Option<i32>,
    },
    ProbeAsked {
        at: At,
        by: StoredBy,
    },
    Probed {
        at: At,
        code: Option<i32>,
        output: String,
    },
    Verified {
        at: At,
        check: Box<StoredCheck>,
    },
    CheckpointsVerified {
        at: At,
        good: Option<Checkpoint>,
        #[serde(default)]
        damaged: Vec<StoredDamaged>,
        #[serde(default)]
        digest: Option<String>,
    },
    CheckpointChecked {
        lane: LaneAt,
        checkpoint: Checkpoint,
        flaw: Option<String>,
        digest: Option<String>,
    },
    CheckpointMarked {
        lane: LaneAt,
        path: String,
        mark: StoredCheckpointMark,
        by: StoredBy,
    },
    CheckpointRemoved {
        lane: LaneAt,
        path: String,
        why: Option<String>,
    },
    Skipped {
        lane: LaneAt,
        why: StoredSkip,
    },
    Opened(Box<StoredEscalation>),
    Answered {
        escalation: u64,
        choice: StoredChoice,
        by: StoredBy,
        note: Option<String>,
    },
    Held {
        escalation: u64,
        choice: StoredChoice,
        by: StoredBy,
        note: Option<String>,
        until_ms: i64,
    },
    Undone {
        escalation: u64,
        by: StoredBy,
    },
    Lasting {
        escalation: u64,
        by: StoredBy,
    },
    Extended {
        escalation: u64,
        deadline_ms: i64,
        by: StoredBy,
    },
    Attached {
        at: At,
        by: StoredBy,
    },
    Detached {
        at: At,
        by: StoredBy,
        keys: Option<u64>,
    },
    Ordered {
        lane: LaneAt,
        order: StoredOrder,
        by: StoredBy,
        note: Option<String>,
    },
    Paused {
        by: StoredBy,
    },
    Unpaused {
        by: StoredBy,
    },
    RunStopAsked {
        by: StoredBy,
        why: StoredRunStop,
    },
    Resumed {
        from: Option<String>,
        by: StoredBy,
    },
    Ended {
        result: StoredResult,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredContainer {
    pub(super) image: String,
    pub(super) engine: String,
    pub(super) lacks: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LaneAt {
    pub(super) step: String,
    pub(super) lane: u32,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct At {
    pub(super) step: String,
    pub(super) lane: u32,
    pub(super) n: u32,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    pub(super) path: String,
    pub(super) step: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) metrics: Vec<(String, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredDamaged {
    pub(super) checkpoint: Checkpoint,
    pub(super) why: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredExit {
    pub(super) end: StoredEnd,
    pub(super) started_ms: i64,
    pub(super) ended_ms: i64,
    pub(super) stop: Option<StoredStop>,
    pub(super) leaked: Vec<(u32, String)>,
    pub(super) oom_kills: Option<u64>,
    #[serde(default)]
    pub(super) usage: Option<StoredUsage>,
    pub(super) missing: Vec<String>,
    pub(super) hits: Vec<StoredHit>,
    pub(super) tail: Vec<String>,
    pub(super) checkpoint: Option<Checkpoint>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) damaged: Vec<StoredDamaged>,
    pub(super) outside: Option<StoredOutside>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) diagnosis: Option<Box<StoredDiagnosis>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) made: Option<StoredOutcome>,
    #[serde(default, skip_serializing_if = "StoredNumbers::is_empty")]
    pub(super) numbers: StoredNumbers,
}

/// Its words are those of the rules' file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredDiagnosis {
    pub(super) class: String,
    pub(super) advice: String,
    pub(super) confidence: f64,
    pub(super) rule: Option<String>,
    pub(super) role: Option<String>,
    pub(super) evidence: Option<StoredEvidence>,
    pub(super) cascades: Vec<StoredEvidence>,
    #[serde(default)]
    pub(super) retry_after_s: Option<u64>,
    pub(super) explanation: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredEvidence {
    pub(super) rule: String,
    pub(super) line: String,
    pub(super) number: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredUsage {
    pub(super) cpu_ms: u64,
    pub(super) peak_bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredCheck {
    /// `None`: it gave no answer.
    pub(super) code: Option<i32>,
    #[serde(default)]
    pub(super) output: Vec<String>,
    #[serde(default)]
    pub(super) hits: Vec<StoredHit>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) diagnosis: Option<Box<StoredDiagnosis>>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StoredClockOrder {
    More { ms: u64 },
    Hold,
    GoOn,
    NeverStall,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredHit {
    pub(super) rule: usize,
    pub(super) line_number: u64,
    pub(super) line: String,
    #[serde(default)]
    pub(super) before: Vec<String>,
    #[serde(default)]
    pub(super) after: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StoredVerdict {
    Succeeded,
    Retry {
        at_ms: i64,
        rule: String,
        resume: Option<String>,
        #[serde(default)]
        spend: Option<StoredSpend>,
        #[serde(default)]
        patch: Option<StoredPatch>,
    },
    Skip {
        rule: String,
    },
    Allowed,
    Abort {
        rule: String,
    },
    Stopped,
    Answered,
    AskFailed {
        rule: Option<String>,
        attempts: u32,
        of: u32,
        #[serde(default)]
        because: String,
        #[serde(default)]
        proposal: Option<Box<StoredProposal>>,
    },
    AskUnknown {
        why: StoredLost,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredSpend {
    pub(super) budget: String,
    pub(super) print: String,
    pub(super) of: u32,
    pub(super) by_progress: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredPatch {
    pub(super) alternative: Option<String>,
    pub(super) env: BTreeMap<String, String>,
    /// By the words of the file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) resources: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredProposal {
    pub(super) rule: String,
    #[serde(default)]
    pub(super) skip: bool,
    pub(super) resume: Option<String>,
    pub(super) patch: Option<StoredPatch>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredEscalation {
    pub(super) id: u64,
    pub(super) lane: LaneAt,
    pub(super) attempt: Option<u32>,
    pub(super) kind: StoredKind,
    pub(super) title: String,
    pub(super) evidence: Vec<String>,
    #[serde(default)]
    pub(super) matched: Option<usize>,
    #[serde(default)]
    pub(super) fingerprint: String,
    #[serde(default)]
    pub(super) proposal: Option<Box<StoredProposal>>,
    pub(super) choices: Vec<StoredChoice>,
    pub(super) deadline_ms: Option<i64>,
    pub(super) on_deadline: Option<StoredChoice>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) typed: bool,
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
        pub(super) enum $name { $($variant)* })*
    };
}

stored! {
    StoredBy { Person(String), Rule }
    StoredLost { ShimDied, HostRestarted, ClaimGone, EnvironmentGone, Tampered }
    StoredMark { Pinned, Unpinned, Removed }
    StoredCheckpointMark { Pinned, Unpinned, Removed, Chosen }
    StoredStop { Timeout, Stop, Stall, Alert, Unneeded, NotReady }
    StoredEnd { Code(i32), Signal(i32) }
    StoredOutside { Killed, OutOfMemory, EngineRestarted, GpusLost, SharedMemoryFull }
    StoredKind { Failed, Unknown, CannotStart, Gate, Stalled }
    StoredChoice { Accept, KeepWaiting, Alternative { step: u32, place: u32 }, Retry, Resume, Probe, Done, Skip, Fail, StopRun, Approve, Reject, SendBack(u32) }
    StoredOrder { Resume, Retry, Skip, Done }
    StoredRunStop { Asked, Timeout, Abort { rule: String }, Rejected }
    StoredResult { Succeeded, Failed, Stopped, Rejected }
    StoredCause { First, Retry { rule: String }, Unknown, Disrupted, Person(StoredBy) }
    StoredSkip { Condition, Need(String), NotSelected, RunEnded, Unneeded }
    StoredSelection { All, Only(Vec<String>), From(String) }
}

mirror!(StoredBy = Principal { Person(name), Rule });
mirror!(StoredLost = LostWhy { ShimDied, HostRestarted, ClaimGone, EnvironmentGone, Tampered });
mirror!(StoredMark = SnapshotMark { Pinned, Unpinned, Removed });
mirror!(StoredCheckpointMark = CheckpointMark { Pinned, Unpinned, Removed, Chosen });
mirror!(StoredStop = StopReason { Timeout, Stop, Stall, Alert, Unneeded, NotReady });
mirror!(StoredOutside = Outside { Killed, OutOfMemory, EngineRestarted, GpusLost, SharedMemoryFull });
mirror!(StoredEnd = End { Code(code), Signal(signal) });
mirror!(StoredKind = EscalationKind { Failed, Unknown, CannotStart, Gate, Stalled });
mirror!(StoredChoice = Choice {
    Accept, KeepWaiting, Alternative { step, place }, Retry, Resume, Probe, Done, Skip, Fail, StopRun, Approve, Reject,
    SendBack(place)
});
mirror!(StoredOrder = Order { Resume, Retry, Skip, Done });
mirror!(StoredRunStop = RunStopWhy { Asked, Timeout, Abort { rule }, Rejected });
mirror!(StoredResult = RunResult { Succeeded, Failed, Stopped, Rejected });

impl From<Principal> for StoredBy {
    fn from(by: Principal) -> Self {
        Self::from(&by)
    }
}

mirror!(StoredCause = Cause { First, Retry { rule }, Unknown, Disrupted, Person(by) });
