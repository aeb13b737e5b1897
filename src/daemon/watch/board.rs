//! What the loop and those who follow attempts tell each other: what of the mind's state concerns the clocks of an attempt,
//! and how these stand, for whoever looks. Decides nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::engine::{LaneRun, Run};
use crate::model::{AttemptId, Time};
use crate::patience::{Habits, Left};

/// What the mind knows that the clocks of an attempt must heed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::daemon) struct Orders {
    /// Somebody types into it since then: its time stands still.
    pub(in crate::daemon) held: Option<Time>,
    /// When somebody did before, the newest last.
    pub(in crate::daemon) hands: Vec<(Time, Time)>,
    /// A person said then that it is to go on although it stood still.
    pub(in crate::daemon) spared: Option<Time>,
    /// Time that a person gave to it.
    pub(in crate::daemon) more: Duration,
    /// That it stands still would be news.
    pub(in crate::daemon) may_stall: bool,
    /// That it goes on would be news.
    pub(in crate::daemon) may_revive: bool,
}

impl Orders {
    pub(in crate::daemon) fn of(run: &Run, lane: &LaneRun) -> Self {
        Self {
            held: lane.attached.as_ref().map(|attached| attached.since).or(lane.clocks.held),
            more: lane.clocks.more,
            hands: lane.hands.clone(),
            spared: lane.spared,
            may_stall: lane.may_stall(),
            may_revive: run.may_revive(lane),
        }
    }
}

/// How the clocks of an attempt stand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::daemon) struct Standing {
    /// When it was so.
    pub(in crate::daemon) at: Time,
    /// The sign of life that the nearest limit counts from, and when it ends without another one.
    pub(in crate::daemon) stall: Option<(Time, Time)>,
    /// The share of the whole that is done.
    pub(in crate::daemon) done: Option<f64>,
    pub(in crate::daemon) left: Option<Left>,
    /// How long to wait before it is worth a look.
    pub(in crate::daemon) next_look: Duration,
    /// What this attempt teaches if it ends well.
    pub(in crate::daemon) habits: Habits,
}

/// How it stands with looks for what an attempt waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::daemon) struct Looking {
    /// The last look.
    pub(in crate::daemon) since: Time,
    /// The next one.
    pub(in crate::daemon) until: Time,
    /// What was seen.
    pub(in crate::daemon) seen: String,
}

/// The standings of all attempts that are followed, and of those that are looked for.
#[derive(Debug, Clone, Default)]
pub(in crate::daemon) struct Board {
    standings: Arc<Mutex<HashMap<AttemptId, Standing>>>,
    looks: Arc<Mutex<HashMap<AttemptId, Looking>>>,
}

impl Board {
    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<AttemptId, Standing>> {
        // Whoever panicked in it left figures behind, nothing that could be wrong.
        self.standings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn looks(&self) -> std::sync::MutexGuard<'_, HashMap<AttemptId, Looking>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::daemon) fn looking(&self, attempt: &AttemptId) -> Option<Looking> {
        self.looks().get(attempt).cloned()
    }

    pub(in crate::daemon) fn put_looking(&self, attempt: &AttemptId, looking: Looking) {
        self.looks().insert(attempt.clone(), looking);
    }

    pub(in crate::daemon) fn forget_looking(&self, attempt: &AttemptId) {
        self.looks().remove(attempt);
    }

    pub(in crate::daemon) fn get(&self, attempt: &AttemptId) -> Option<Standing> {
        self.all().get(attempt).copied()
    }

    pub(super) fn put(&self, attempt: &AttemptId, standing: Standing) {
        self.all().insert(attempt.clone(), standing);
    }

    pub(in crate::daemon) fn forget(&self, attempt: &AttemptId) {
        self.all().remove(attempt);
    }
}
