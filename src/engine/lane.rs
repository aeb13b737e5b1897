//! One lane of a run: where it is, how it ended, what it asked. Plain data; [`super::state`] keeps it in order.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{
    CacheLook, Cause, Checkpoint, Choice, Damaged, End, Escalation, EscalationId, Exit, LaneId, LostWhy, Number,
    Outside, Patch, Principal, Proposal, Resource, SkipWhy, Stall, StopReason, Time,
};

use super::checkpoint::Sighting;
use super::recovery::Spent;
use super::service::Seen;
use super::told::Told;

/// One lane of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneRun {
    pub id: LaneId,
    pub(super) step: usize,
    pub state: LaneState,
    /// The newest attempt's number; 0 before the first.
    pub n: u32,
    /// Attempts of the present series: a person's answer starts a new one.
    pub tries: u32,
    /// Why the newest attempt was made.
    pub cause: Option<Cause>,
    /// Attempts of the present series that were lost.
    pub lost: u32,
    /// Why the newest lost one was.
    pub lost_why: Option<LostWhy>,
    /// What was found then.
    pub(super) lost_evidence: Vec<String>,
    /// The newest attempt is to end: what it does after that is no failure of its own.
    pub(super) stop_asked: Option<StopReason>,
    /// When that was decided.
    pub(super) stop_since: Option<Time>,
    /// The newest attempt has ended well, and its environment is being kept: nothing stops it any more.
    pub(super) keeping: bool,
    /// The newest one seen, of any attempt.
    pub checkpoint: Option<Checkpoint>,
    /// When it was seen while it was written; `None` where it was found only afterwards.
    pub checkpoint_seen: Option<Time>,
    /// Those that were seen, of any attempt, the newest last.
    pub sightings: Vec<Sighting>,
    /// Those that were found damaged when the last attempt ended, and are newer than `checkpoint`; newest first.
    pub damaged: Vec<Damaged>,
    /// Somebody has chosen `checkpoint` for the next attempt.
    pub(super) chosen: bool,
    /// Every attempt that has ended or was lost, oldest first.
    pub past: Vec<Past>,
    /// Who types into it: meanwhile nothing is done to it automatically.
    pub attached: Option<Attached>,
    /// What looks for the newest attempt saw last, if it is one for which there are looks.
    pub seen: Option<Seen>,
    /// GPUs of the host that the newest attempt has for itself.
    pub gpus: Vec<u32>,
    /// The newest attempt stands still, as far as is known.
    pub stall: Option<Stalled>,
    /// When a person said that it is to go on although it stood still.
    pub spared: Option<Time>,
    /// When somebody typed into the newest attempt, the newest last; what is long ago is forgotten.
    pub hands: Vec<(Time, Time)>,
    /// What people said about the clocks of the newest attempt.
    pub clocks: Clocks,
    /// What its program told people.
    pub told: Told,
    /// How long the time limit of the newest attempt has stood still because somebody was attached.
    pub(super) stood_still: Duration,
    /// How the newest attempt ended, if it did.
    pub last_exit: Option<Box<Exit>>,
    /// When the newest attempt was claimed.
    pub started: Option<Time>,
    /// Somebody has typed into the newest attempt.
    pub(super) touched: bool,
    /// The checkpoint that the newest attempt was to go on from, and could not be started.
    pub(super) unstarted: Option<String>,
    /// What its attempts differ in from what the file says.
    pub patch: Patch,
    /// The checkpoint that it went on from when nobody had answered.
    pub(super) unattended: Option<Checkpoint>,
    /// The attempts, by number, whose container was given more: each has one of its own.
    pub(super) raised: BTreeMap<u32, BTreeMap<Resource, u64>>,
    /// What was taken of each budget in the present series.
    pub(super) spent: BTreeMap<String, Spent>,
    /// How many attempts the budget allows that the newest was made of; `None`: of none.
    pub of: Option<u32>,
    /// Whether it had to run, as was found before its first attempt; only of cached steps.
    pub cache: Option<Box<CacheLook>>,
    /// The last values of its series that expressions ask for, of any attempt.
    pub(super) numbers: BTreeMap<String, Number>,
    /// What the next attempt is to be, when somebody or a rule said.
    pub(super) next: Option<Next>,
}

/// An attempt that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    pub n: u32,
    pub started: Time,
    pub ended: Time,
    pub how: PastEnd,
    /// It went on from a checkpoint.
    pub resumed: bool,
}

/// How a [`Past`] attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PastEnd {
    Exit {
        end: End,
        stop: Option<StopReason>,
        /// A declared output was not there.
        missing: bool,
        outside: Option<Outside>,
        /// Its `verify` failed.
        unverified: bool,
    },
    Lost(LostWhy),
}

/// Somebody who types into a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    pub by: Principal,
    pub since: Time,
}

/// What people said about the clocks of an attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clocks {
    /// Time that was given to it.
    pub more: Duration,
    /// They stand still since then.
    pub held: Option<Time>,
    /// No silence is a stall.
    pub never: bool,
}

/// An attempt that stands still.
#[derive(Debug, Clone, PartialEq)]
pub struct Stalled {
    pub stall: Box<Stall>,
    /// When that was told.
    pub at: Time,
    /// The question about it.
    pub asked: Option<EscalationId>,
    /// What is to be done when it has ended.
    pub(super) answer: Option<(Choice, Principal)>,
}

/// What the next attempt of a lane is to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Next {
    pub(super) cause: Cause,
    pub(super) resume: Option<String>,
    /// `None`: as the last one.
    pub(super) patch: Option<Patch>,
    /// Whether it depends on `if` and on what it needs, as the first one did: so it is when the whole run is resumed.
    /// A rule's retry and a person's word about this very lane do not.
    pub(super) heeds: bool,
}

/// Where a lane is. Each state holds what exists then.
#[derive(Debug, Clone, PartialEq)]
pub enum LaneState {
    /// For what it needs, for a place, or for its gate to be opened.
    Waiting,
    /// An attempt is intended, and perhaps lives.
    Active {
        since: Time,
        /// When the shim took it.
        claimed: Option<Time>,
        resume: Option<String>,
        stop: Option<StopReason>,
    },
    /// Ended; nothing decided yet.
    Exited {
        exit: Box<Exit>,
    },
    /// Lost; nothing decided yet.
    Lost {
        why: LostWhy,
        evidence: Vec<String>,
    },
    /// The probe is to say whether it happened.
    Probing {
        why: LostWhy,
        evidence: Vec<String>,
    },
    Probed {
        why: LostWhy,
        evidence: Vec<String>,
        code: Option<i32>,
        output: String,
    },
    /// Ended well, and its `verify` is to say whether that is a success; or ended badly, and its checkpoints are looked at.
    Verifying {
        exit: Box<Exit>,
    },
    /// Another attempt, not before `until`.
    Delayed {
        until: Time,
        rule: String,
    },
    /// A question is decided on, and not open yet.
    ToAsk {
        why: ToAsk,
    },
    /// A question is open.
    Asking {
        escalation: EscalationId,
    },
    Done {
        how: Ended,
        at: Time,
    },
}

/// What a question that is to be opened is about.
#[derive(Debug, Clone, PartialEq)]
pub enum ToAsk {
    Failed {
        exit: Box<Exit>,
        rule: Option<String>,
        attempts: u32,
        of: u32,
        because: String,
        proposal: Option<Box<Proposal>>,
    },
    Unknown {
        why: LostWhy,
        evidence: Vec<String>,
    },
    CannotStart {
        why: String,
    },
}

/// How a lane is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    Succeeded(Finish),
    /// Failed, and the workflow allows it.
    Allowed,
    Failed,
    Skipped(SkipWhy),
    /// A person said to go on without it.
    LeftOut(Principal),
    Stopped,
}

/// Who says that it succeeded.
#[derive(Debug, Clone, PartialEq)]
pub enum Finish {
    /// Its exit record.
    Exit,
    /// Its probe.
    Probe,
    /// The same was made before, by this run (`name #number`).
    Cached(String),
    /// This person: fixed by hand, or approved.
    Person(Principal),
}

/// A question and its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub escalation: Escalation,
    pub opened: Time,
    pub answer: Option<(Choice, Principal, Time, Option<String>)>,
    /// An answer that can still be taken back; none once there is `answer`.
    pub held: Option<Held>,
}

/// An answer before it takes effect.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    pub choice: Choice,
    pub by: Principal,
    pub note: Option<String>,
    pub at: Time,
    pub until: Time,
}

impl Question {
    /// Nobody has answered it.
    pub fn is_open(&self) -> bool {
        self.answer.is_none() && self.held.is_none()
    }
}

impl Ended {
    /// What needs it may go on.
    pub fn satisfies(&self) -> bool {
        match self {
            Self::Succeeded(_) | Self::Allowed | Self::LeftOut(_) | Self::Skipped(SkipWhy::NotSelected) => true,
            Self::Failed
            | Self::Stopped
            | Self::Skipped(SkipWhy::Condition | SkipWhy::Need(_) | SkipWhy::RunEnded | SkipWhy::Unneeded) => false,
        }
    }
}

impl LaneRun {
    pub(super) fn new(id: LaneId, step: usize) -> Self {
        Self {
            id,
            step,
            state: LaneState::Waiting,
            n: 0,
            tries: 0,
            cause: None,
            lost: 0,
            lost_why: None,
            lost_evidence: Vec::new(),
            stop_asked: None,
            keeping: false,
            stop_since: None,
            checkpoint: None,
            checkpoint_seen: None,
            chosen: false,
            sightings: Vec::new(),
            damaged: Vec::new(),
            past: Vec::new(),
            attached: None,
            seen: None,
            gpus: Vec::new(),
            stall: None,
            clocks: Clocks::default(),
            told: Told::default(),
            spared: None,
            hands: Vec::new(),
            stood_still: Duration::ZERO,
            last_exit: None,
            started: None,
            touched: false,
            unstarted: None,
            patch: Patch::default(),
            unattended: None,
            raised: BTreeMap::new(),
            spent: BTreeMap::new(),
            of: None,
            cache: None,
            numbers: BTreeMap::new(),
            next: None,
        }
    }
}
