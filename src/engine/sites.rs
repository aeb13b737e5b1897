//! Where attempts run: environments that they share or have alone, and what such an environment is made of: its image, or
//! what was kept of it after a step. Pure.

use std::collections::BTreeMap;

use crate::model::{
    AttemptId, EnvironmentId, Keep, LaneId, Outside, Resource, RunResult, Site, Snapshot, SnapshotMark, Time,
};

use super::Run;
use super::state::{Ended, LaneRun, LaneState, Past, PastEnd, Phase};

/// An environment as it was when an attempt had succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub attempt: AttemptId,
    pub snapshot: Snapshot,
    pub at: Time,
    pub pinned: bool,
    /// It is there no more.
    pub removed: bool,
}

/// What the environment of an attempt is made of, instead of its image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Of a checkpoint.
    pub image: String,
    /// The environment is to be made anew of it for this attempt: all that ran in it since is to be done again.
    pub anew: bool,
}

/// A container that is to be started anew, with what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refresh {
    /// Unless it was started after this.
    pub since: Time,
    /// Nothing else runs in it. Else that is waited for.
    pub alone: bool,
}

impl Run {
    /// Where an attempt runs.
    pub fn site(&self, attempt: &AttemptId) -> Site {
        let step = self.workflow.steps.get(&attempt.lane.step);
        let fresh = step.is_some_and(|step| step.place.fresh) || self.raised(&attempt.lane, attempt.n).is_some();
        let own = fresh.then(|| (attempt.lane.clone(), attempt.n));
        Site { environment: step.map(|step| step.place.environment.clone()).unwrap_or_default(), own }
    }

    /// The limits of the container that this attempt has alone, where a rule raised some.
    pub fn raised(&self, lane: &LaneId, n: u32) -> Option<&BTreeMap<Resource, u64>> {
        self.lane(lane)?.raised.get(&n)
    }

    /// The environment of the lane at this place.
    pub(super) fn environment_at(&self, place: usize) -> &EnvironmentId {
        &self.step_of(&self.lanes[place]).place.environment
    }

    /// The attempt that has this environment alone is over: nothing more will happen in it.
    pub fn is_left(&self, site: &Site) -> bool {
        let Some((lane, n)) = &site.own else { return false };
        self.lane(lane).is_none_or(|lane| match &lane.state {
            LaneState::Waiting | LaneState::Delayed { .. } | LaneState::Done { .. } => true,
            LaneState::Active { .. }
            | LaneState::Exited { .. }
            | LaneState::Lost { .. }
            | LaneState::Probing { .. }
            | LaneState::Verifying { .. }
            | LaneState::Probed { .. }
            | LaneState::ToAsk { .. }
            | LaneState::Asking { .. } => lane.n != *n,
        })
    }

    /// The container of an environment that is over stays.
    pub fn stays(&self, site: &Site) -> bool {
        let keep =
            self.workflow.environment_named(&site.environment).container.as_ref().map(|container| container.keep);
        let good = match (&site.own, &self.phase) {
            (Some((lane, n)), _) => self.lane(lane).is_some_and(|lane| {
                lane.n == *n && matches!(&lane.state, LaneState::Done { how: Ended::Succeeded(_), .. })
            }),
            (None, Phase::Ended { result, .. }) => *result == RunResult::Succeeded,
            (None, Phase::Going | Phase::Stopping { .. }) => false,
        };
        match keep {
            None | Some(Keep::Never) => false,
            Some(Keep::Failed) => !good,
            Some(Keep::Always) => true,
        }
    }

    /// The environment that attempts of this lane go on from: what was kept last of the environment of its step, unless it
    /// was kept after this step or one that comes after it.
    pub fn base(&self, attempt: &AttemptId) -> Option<Base> {
        // Asked before each launch, of runs of thousands of steps that keep nothing.
        if self.kept.is_empty() {
            return None;
        }
        let site = self.site(attempt);
        let later = self.downstream(&attempt.lane.step);
        let place_of = |lane: &LaneId| self.workflow.steps.get_index_of(&lane.step);
        let kept = self.kept.iter().rev().find(|kept| {
            let earlier = place_of(&kept.attempt.lane).is_some_and(|place| !later.contains(&place));
            earlier && !kept.removed && self.site(&kept.attempt).environment == site.environment
        })?;
        Some(Base {
            image: kept.snapshot.image.clone(),
            anew: self.is_to_be_anew(attempt, &site, self.contains_until(kept)),
        })
    }

    /// What was kept last of this environment, and is there still: what somebody finds who looks into it.
    pub fn newest_kept(&self, environment: &EnvironmentId) -> Option<&Kept> {
        let mut kept = self.kept.iter().rev();
        kept.find(|kept| !kept.removed && self.site(&kept.attempt).environment == *environment)
    }

    /// When what was kept was as it is: at its attempt's end. That may be recorded much later, after a crash.
    fn contains_until(&self, kept: &Kept) -> Time {
        let past =
            self.lane(&kept.attempt.lane).and_then(|lane| lane.past.iter().find(|past| past.n == kept.attempt.n));
        past.map_or(kept.at, |past| past.ended)
    }

    /// Only what is to be done again, by this lane or after it, has run there since, and nothing runs there now.
    fn is_to_be_anew(&self, attempt: &AttemptId, site: &Site, since: Time) -> bool {
        if attempt.n < 2 || site.own.is_some() {
            return false;
        }
        let later = self.downstream(&attempt.lane.step);
        let mut any = false;
        for lane in self.lanes.iter().filter(|lane| lane.n > 0) {
            let there = self.attempt(lane).is_some_and(|attempt| self.site(&attempt) == *site);
            let own = lane.id == attempt.lane;
            let lives = !own && matches!(lane.state, LaneState::Active { .. });
            let ran = lives || lane.past.iter().any(|past| past.ended > since);
            // What comes later and is done already stays done: it does not run again because this lane does.
            let pending = matches!(lane.state, LaneState::Waiting | LaneState::Delayed { .. });
            let again = own || lane.id.step != attempt.lane.step && later.contains(&lane.step) && pending;
            if there && (lives || ran && !again) {
                return false;
            }
            any |= there && ran;
        }
        any
    }

    /// The environment of this attempt lost its GPUs: its container is to be started anew before anything else runs there,
    /// unless that was done since.
    pub fn refresh(&self, attempt: &AttemptId) -> Option<Refresh> {
        let site = self.site(attempt);
        if site.own.is_some() {
            return None;
        }
        let there = |lane: &&LaneRun| self.attempt(lane).is_some_and(|attempt| self.site(&attempt) == site);
        let lost = |past: &Past| {
            matches!(past.how, PastEnd::Exit { outside: Some(Outside::GpusLost), .. }).then_some(past.ended)
        };
        // What is rare is looked for first.
        let have_lost = self.lanes.iter().filter(|lane| lane.past.iter().any(|past| lost(past).is_some()));
        let since = have_lost.filter(there).flat_map(|lane| lane.past.iter().filter_map(lost)).max()?;
        let runs = |lane: &LaneRun| matches!(lane.state, LaneState::Active { claimed: Some(_), .. });
        let alone = !self.lanes.iter().filter(there).any(|lane| lane.id != attempt.lane && runs(lane));
        Some(Refresh { since, alone })
    }

    pub(super) fn keep(&mut self, attempt: &AttemptId, snapshot: &Snapshot, at: Time) {
        let known = self.kept.iter().any(|kept| kept.attempt == *attempt);
        if attempt.run == self.id && !known {
            let (attempt, snapshot) = (attempt.clone(), snapshot.clone());
            self.kept.push(Kept { attempt, snapshot, at, pinned: false, removed: false });
        }
    }

    pub(super) fn mark(&mut self, attempt: &AttemptId, mark: SnapshotMark) {
        let Some(kept) = self.kept.iter_mut().find(|kept| kept.attempt == *attempt) else { return };
        match mark {
            SnapshotMark::Pinned => kept.pinned = true,
            SnapshotMark::Unpinned => kept.pinned = false,
            SnapshotMark::Removed => kept.removed = true,
        }
    }
}
