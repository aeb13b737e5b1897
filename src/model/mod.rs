//! The nouns: plain types that every other room speaks of. Nothing here reads a clock, a file or a socket.
//!
//! One word per thing: *run* (one execution of a workflow), *step* (a unit of it), *lane* (one combination of a step's
//! matrix), *attempt* (one start of a lane), *session* (tmux's), *environment* (where steps run), *checkpoint*,
//! *escalation* (a question to a person).

mod cache;
mod demand;
mod diagnosis;
mod escalation;
mod event;
mod exit;
mod ids;
mod look;
mod metric;
mod notify;
mod raise;
mod recovery;
mod rule;
mod size;
mod stall;
mod time;
mod workflow;

pub use cache::{Basis, CacheHit, CacheLook, Made, OutputMade, Recipe};
pub use demand::{Demand, Kind as DemandKind};
pub use diagnosis::{Advice, Class, Diagnosis, Evidence, Role};
pub use escalation::{Choice, Escalation, EscalationKind};
pub use event::{
    AskWhy, Cause, Checkpoint, CheckpointMark, ClockOrder, Command, Created, Damaged, Event, Hit, Isolation, LostWhy,
    Order, Outside, RunResult, RunStopWhy, Selection, SkipWhy, Snapshot, SnapshotMark, StopReason, Usage, Verdict,
    What,
};
pub use exit::{Check, Checked, End, Exit};
pub use ids::{
    AttemptId, BadId, EnvironmentId, EscalationId, Lane, LaneId, Principal, RUN_FOLDERS, RunId, Site, StepId,
};
pub use look::{Look, Readiness, Service, WaitFor, gpu_words, seen_words};
pub use metric::{AlertSpec, Alerted, MetricSource, MetricSpec, Number, ProgressSpec, reports_of};
pub use notify::{NotifyRule, Occasion, Target};
pub use raise::{Raise, Raising, Resource};
pub use recovery::{Action, Alternative, Arithmetic, Autonomy, Change, FailureRule, Match, Patch, Proposal, Spend};
pub use rule::{RuleSpec, Strength};
pub use size::size_words;
pub use stall::{Sign, Stall, StallAfter, WaitSpec};
pub use time::{Time, span_words};
pub use workflow::{
    CheckpointSpec, ContainerSpec, EnvironmentSpec, EscalationSpec, Gate, Gpus, IsolationWanted, Keep, LaneSpec, Mount,
    OnTimeout, OnUnknown, Output, Part, Pull, Retry, SecretFrom, Step, StepPlace, StepWhat, Template, Ulimit,
    Unanswered, User, Value, Workflow,
};
