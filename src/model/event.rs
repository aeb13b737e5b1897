//! Recorded facts and decisions, and the commands that follow from them. Plain data; `journal` owns how they are stored.

use std::sync::Arc;

use super::{
    AttemptId, CacheLook, Check, Choice, EnvironmentId, Escalation, EscalationId, Exit, LaneId, Patch, Principal,
    Proposal, RunId, Spend, Stall, StepId, Time, Workflow,
};

/// One recorded fact or decision of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub run: RunId,
    pub at: Time,
    pub what: What,
}

/// What happened, or was decided.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// The first event of every run.
    Created(Box<Created>),
    /// How the environment turned out.
    EnvironmentReady {
        environment: EnvironmentId,
        isolation: Isolation,
    },
    /// The environment could not be had; nothing was started in it.
    EnvironmentFailed {
        environment: EnvironmentId,
        why: String,
    },
    /// An attempt is to be launched: committed before anything is started.
    Intended {
        attempt: AttemptId,
        cause: Cause,
        resume: Option<String>,
    },
    /// The environment of a lane could not be computed: a question, not an attempt.
    CannotStart {
        lane: LaneId,
        why: String,
    },
    /// Whether the lane has to run at all; told before its first attempt, where the step is cached. With a hit it is done.
    CacheLooked {
        lane: LaneId,
        look: Box<CacheLook>,
    },
    /// A lane cannot be started: it needs secrets whose values are not there any more.
    SecretsLost {
        lane: LaneId,
        names: Vec<String>,
    },
    /// The values of these are there again. No event ever holds a value.
    SecretsGiven {
        names: Vec<String>,
        by: Principal,
    },
    /// The shim owns the attempt.
    Claimed {
        attempt: AttemptId,
    },
    /// The program said it saved a checkpoint, and it is there.
    CheckpointSeen {
        attempt: AttemptId,
        checkpoint: Checkpoint,
        /// Where the line ends in the attempt's log that tells of it; 0 where that is not known. Told again, as by an engine
        /// that was started anew, it is no news.
        offset: u64,
    },
    /// The program of an attempt says something for people (`dogwatch report note`).
    Noted {
        attempt: AttemptId,
        note: String,
        /// Where it ends among the attempt's reports. Told again, it is no news.
        offset: u64,
    },
    /// A person says something about the clocks of a live attempt.
    ClocksSet {
        attempt: AttemptId,
        order: ClockOrder,
        by: Principal,
    },
    /// A live attempt stands still. Nothing is done to it by this.
    Stalled {
        attempt: AttemptId,
        stall: Box<Stall>,
    },
    /// An attempt that stood still goes on by itself.
    Revived {
        attempt: AttemptId,
    },
    /// The GPUs of the host that an attempt has for itself, by their numbers: told with its intent.
    Booked {
        attempt: AttemptId,
        gpus: Vec<u32>,
    },
    /// What a look for an attempt saw, where that is another thing than the time before: of a step that waits for something,
    /// or by the readiness probe of a service.
    Looked {
        attempt: AttemptId,
        /// It is there; the service is ready.
        good: bool,
        /// It was looked in vain as often as is allowed: nobody looks any more.
        given_up: bool,
        /// `503 Service Unavailable`.
        seen: String,
    },
    /// The attempt has ended well, and its environment is being kept before that is told: no time limit ends it any more.
    Keeping {
        attempt: AttemptId,
    },
    /// The environment was kept as it was when the attempt had succeeded. Told before its end.
    Snapshotted {
        attempt: AttemptId,
        snapshot: Snapshot,
    },
    /// It was to be kept, and could not be. The attempt's own end is another matter.
    NotSnapshotted {
        attempt: AttemptId,
        why: String,
    },
    /// Somebody pinned the environment's checkpoint of this attempt, or had it removed.
    SnapshotMarked {
        attempt: AttemptId,
        mark: SnapshotMark,
        by: Principal,
    },
    /// The exit record is on disk.
    Exited {
        attempt: AttemptId,
        exit: Box<Exit>,
    },
    /// It cannot be known whether the attempt finished.
    Lost {
        attempt: AttemptId,
        why: LostWhy,
        evidence: Vec<String>,
        checkpoint: Option<Checkpoint>,
    },
    /// Decided about an attempt that ended or was lost.
    Judged {
        attempt: AttemptId,
        verdict: Verdict,
    },
    /// An attempt is to be stopped.
    StopAsked {
        attempt: AttemptId,
        reason: StopReason,
        by: Principal,
        /// The signal that the program is sent before, so that it saves a checkpoint.
        save: Option<i32>,
    },
    /// The probe of a lost attempt is to be run.
    ProbeAsked {
        attempt: AttemptId,
        by: Principal,
    },
    Probed {
        attempt: AttemptId,
        code: Option<i32>,
        output: String,
    },
    /// The `verify` of an attempt that ended well has ended.
    Verified {
        attempt: AttemptId,
        check: Box<Check>,
    },
    /// The checkpoints of an attempt that ended badly were looked at, newest first, until one was good.
    CheckpointsVerified {
        attempt: AttemptId,
        good: Option<Checkpoint>,
        /// Those that were tried before it.
        damaged: Vec<Damaged>,
        /// What the good one held then.
        digest: Option<String>,
    },
    /// A checkpoint of a lane was looked at because somebody wanted that, or because of `keep`.
    CheckpointChecked {
        lane: LaneId,
        checkpoint: Checkpoint,
        /// What is wrong with it.
        flaw: Option<String>,
        /// What it held then, where it is good and that is known.
        digest: Option<String>,
    },
    /// What somebody wants with a checkpoint of a lane; or `keep` has it removed, which is recorded before it is done.
    CheckpointMarked {
        lane: LaneId,
        path: String,
        mark: CheckpointMark,
        by: Principal,
    },
    /// What became of a checkpoint that `keep` has removed: it is gone, or why it is not.
    CheckpointRemoved {
        lane: LaneId,
        path: String,
        why: Option<String>,
    },
    /// A lane will not run.
    Skipped {
        lane: LaneId,
        why: SkipWhy,
    },
    /// A question is open.
    Opened {
        escalation: Box<Escalation>,
    },
    /// A question has its one answer; the rest follows from it.
    Answered {
        escalation: EscalationId,
        choice: Choice,
        by: Principal,
        note: Option<String>,
    },
    /// A question has its one answer, which takes effect at `until` unless it is taken back: then [`What::Answered`]
    /// follows. The first one counts; nobody else can answer meanwhile.
    Held {
        escalation: EscalationId,
        choice: Choice,
        by: Principal,
        note: Option<String>,
        until: Time,
    },
    /// The answer that had not taken effect is taken back: the question is open again.
    Undone {
        escalation: EscalationId,
        by: Principal,
    },
    /// The answer that this question has, or gets next, holds for the same failure in this run from now on: it is not
    /// asked again until that has helped too seldom. Taking the answer back ends it.
    Lasting {
        escalation: EscalationId,
        by: Principal,
    },
    /// Not now: a deadline that the question has is this one from now on.
    Extended {
        escalation: EscalationId,
        deadline: Time,
        by: Principal,
    },
    /// Somebody types into the step from now on: automatic actions on its lane wait.
    Attached {
        attempt: AttemptId,
        by: Principal,
    },
    /// Nobody types into it any more. `by` is who let go or made him; `keys`: how many were sent, where that is known.
    Detached {
        attempt: AttemptId,
        by: Principal,
        keys: Option<u64>,
    },
    /// A person wants a lane that has ended to run again, or says it is done, or leaves it out.
    Ordered {
        lane: LaneId,
        order: Order,
        by: Principal,
        note: Option<String>,
    },
    Paused {
        by: Principal,
    },
    Unpaused {
        by: Principal,
    },
    /// The whole run is to end now; it can be resumed.
    RunStopAsked {
        by: Principal,
        why: RunStopWhy,
    },
    /// A run that had ended goes on, from the named step or where it was.
    Resumed {
        from: Option<StepId>,
        by: Principal,
    },
    Ended {
        result: RunResult,
    },
}

/// How a run begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Created {
    /// Counts the runs of one workflow name from 1: shown as `name #number`.
    pub number: u64,
    pub workflow: Arc<Workflow>,
    /// Absolute path of the run's directory.
    pub dir: String,
    pub selection: Selection,
    /// What every step inherits of the caller's environment.
    pub env: std::collections::BTreeMap<String, String>,
    pub by: Principal,
    /// Every step runs, whatever was made before.
    pub no_cache: bool,
}

/// Which steps of the workflow a run is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    All,
    /// These and nothing else; what they need is taken as there.
    Only(Vec<StepId>),
    /// This step and all that comes after it.
    From(StepId),
}

/// Why an attempt is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    First,
    /// By this rule, or by the step's `retry`.
    Retry {
        rule: String,
    },
    /// It had been lost, and the step is declared safe to repeat or the probe said that it had not happened.
    Unknown,
    /// Its environment was ended by something that was no failure of the step: it does not count as a try.
    Disrupted,
    Person(Principal),
}

/// Whether the steps of an environment are kept apart from the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolation {
    Sandboxed,
    /// In a container of this image, made by this engine (`Docker 20.10.24`).
    Container {
        image: String,
        engine: String,
        /// What it lacks, in words.
        lacks: Option<String>,
    },
    None {
        why: String,
    },
}

/// A checkpoint that a step saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Absolute path.
    pub path: String,
    /// As the program counts.
    pub step: Option<i64>,
    /// What else it said of it, by the names of the pattern's groups: `loss`, `1.899`.
    pub metrics: Vec<(String, String)>,
}

/// A checkpoint that nothing can go on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    pub checkpoint: Checkpoint,
    /// `it is empty`.
    pub why: String,
}

/// An environment's checkpoint: an image of its container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The image's id.
    pub image: String,
    /// What it takes beyond the image that the container was made of.
    pub bytes: u64,
}

/// What is done to a [`Snapshot`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotMark {
    /// It is never removed before it is unpinned.
    Pinned,
    Unpinned,
    /// It is gone.
    Removed,
}

/// What is done to a [`Checkpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointMark {
    /// It is never removed before it is unpinned.
    Pinned,
    Unpinned,
    /// It is to be removed, or was.
    Removed,
    /// The next attempt that goes on from a checkpoint goes on from this one.
    Chosen,
}

/// What happened to the environment of an attempt, and to the attempt with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// Somebody killed the container.
    Killed,
    /// The container's memory was used up.
    OutOfMemory,
    /// The container engine was started anew: a disruption, and no failure of the step.
    EngineRestarted,
    /// The container may not use its GPUs any more, as after `systemctl daemon-reload`. It lives on, and whatever is tried
    /// in it fails until it has been started anew.
    GpusLost,
    /// The container's `/dev/shm` was too small for it.
    SharedMemoryFull,
}

/// What the processes of an attempt used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of all processors, in user and system mode together.
    pub cpu_ms: u64,
    /// The most that one of them had resident at once.
    pub peak_bytes: u64,
}

/// A rule's pattern matched a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hit {
    pub rule: usize,
    /// From 1.
    pub line_number: u64,
    pub line: String,
    /// Up to two lines that stand before it.
    pub before: Vec<String>,
    /// Up to two lines that follow it.
    pub after: Vec<String>,
}

/// Why it cannot be known how an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LostWhy {
    /// Its shim died without an exit record.
    ShimDied,
    /// The host was started anew since.
    HostRestarted,
    /// It had been claimed, and now there is no claim.
    ClaimGone,
    /// Its environment is gone.
    EnvironmentGone,
    /// Its exit record is not authentic.
    Tampered,
}

/// Why dogwatch ends an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    Timeout,
    /// A person, the end of the run, or a failed sibling lane.
    Stop,
    /// It stood still, and a rule or a person did not want to wait any longer.
    Stall,
    /// A number that it printed was trouble, and a rule or a person wanted it ended.
    Alert,
    /// A service that nobody needs any more.
    Unneeded,
    /// A service that did not become ready.
    NotReady,
}

impl StopReason {
    /// It was ended while it lived and wanted to live, for what was seen of it.
    pub fn is_trouble(self) -> bool {
        matches!(self, Self::Stall | Self::Alert)
    }
}

/// Decided about an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Succeeded,
    /// Another attempt, not before `at`.
    Retry {
        at: Time,
        rule: String,
        resume: Option<String>,
        /// What it takes of a budget; `None`: it is no try.
        spend: Option<Spend>,
        /// What it differs in from what the file says; `None`: as the last one.
        patch: Option<Patch>,
    },
    /// It failed, and a rule goes on without it.
    Skip {
        rule: String,
    },
    /// It failed, and the workflow allows it.
    Allowed,
    /// It failed for good by a rule, and the run with it.
    Abort {
        rule: String,
    },
    /// A person had it stopped.
    Stopped,
    /// It stood still and was ended for that: what the person answered follows.
    Answered,
    /// A person decides: [`What::Opened`] follows in the same transaction.
    Ask {
        why: AskWhy,
    },
}

/// Why a person is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskWhy {
    /// By this rule, or no attempt is left.
    Failed {
        rule: Option<String>,
        attempts: u32,
        of: u32,
        /// Why dogwatch does nothing by itself; empty where a rule says so.
        because: String,
        /// What it would do.
        proposal: Option<Box<Proposal>>,
    },
    Unknown(LostWhy),
}

/// Why a lane does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipWhy {
    /// Its `if` is false.
    Condition,
    /// This need did not succeed.
    Need(StepId),
    /// Not among the steps that this run is about.
    NotSelected,
    /// The run ended before.
    RunEnded,
    /// A service that nobody needs any more.
    Unneeded,
}

/// A person's order about a lane, outside a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// A new attempt: from the newest checkpoint where there is one.
    Resume,
    /// A new attempt from the start.
    Retry,
    Skip,
    Done,
}

/// What a person says about the clocks of a live attempt: its time limit, and when it stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockOrder {
    /// So much more time.
    More(std::time::Duration),
    /// They stand still.
    Hold,
    /// They go on.
    GoOn,
    /// No silence of this attempt is a stall.
    NeverStall,
}

/// Why a run is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunStopWhy {
    Asked,
    Timeout,
    /// A rule's `abort`.
    Abort {
        rule: String,
    },
    /// A gate was rejected.
    Rejected,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunResult {
    Succeeded,
    Failed,
    Stopped,
    Rejected,
}

/// What the world is still owed.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// To be journalled and applied, before anything else is done.
    Record(Event),
    /// Find out whether this lane has to run: [`What::CacheLooked`].
    LookUp(RunId, LaneId),
    /// Adopt it if it lives, else launch it.
    Launch(AttemptId),
    /// Look until what it waits for is there, or it is ready, if it is a service.
    LookOut(AttemptId),
    Stop {
        attempt: AttemptId,
        reason: StopReason,
        grace: std::time::Duration,
        /// This signal first, and as much grace again.
        save: Option<i32>,
    },
    Probe(AttemptId),
    /// Ask the `verify` of an attempt that ended well.
    Verify(AttemptId),
    /// Find the newest good checkpoint of an attempt that ended badly.
    VerifyCheckpoints(AttemptId),
    /// Look at a checkpoint of the lane whose newest attempt this is, for `keep`.
    CheckCheckpoint(AttemptId, Checkpoint),
    /// Remove a checkpoint of the lane whose newest attempt this is.
    RemoveCheckpoint(AttemptId, String),
    /// The run is over: its environment may go.
    CloseEnvironment(RunId),
}
