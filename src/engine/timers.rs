//! Every timer of a run, by name: when it was set and when it ends. Reads the state, decides nothing; what follows when a
//! time has come is `owed`'s.

use crate::model::Time;

use super::Run;
use super::state::{LaneRun, LaneState, Phase};

/// What happens when the time of a [`Wait`] has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// The next attempt starts.
    Retry,
    /// The attempt is stopped: its time limit.
    Timeout,
    /// What is left of a stopped attempt is killed, by its shim.
    Kill,
    /// An open question takes its default answer.
    Deadline,
    /// An answer takes effect that could be taken back until then.
    Undo,
    /// The whole run is stopped: its time limit.
    RunTimeout,
    /// Without a sign of life until then, and without work, it stands still.
    Stall,
    /// It is looked whether what is waited for is there.
    Look,
}

/// A timer that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    pub timer: Timer,
    /// When it was set; `None` where that is not known.
    pub since: Option<Time>,
    pub until: Time,
}

impl Run {
    /// The time limit of a live attempt. It stands still while somebody types into the step.
    pub(super) fn attempt_deadline(&self, lane: &LaneRun) -> Option<Time> {
        let LaneState::Active { claimed: Some(claimed), stop: None, .. } = &lane.state else {
            return None;
        };
        if lane.attached.is_some() || lane.keeping || lane.clocks.held.is_some() {
            return None;
        }
        Some(claimed.plus(self.timeout_of(lane)?).plus(lane.stood_still))
    }

    pub(super) fn run_deadline(&self) -> Option<Time> {
        self.workflow.timeout.map(|timeout| self.since.plus(timeout))
    }

    /// When to ask again although nothing has happened.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        if matches!(self.phase, Phase::Ended { .. }) {
            return None;
        }
        let attempts = self.sets.active.iter().filter_map(|place| self.attempt_deadline(&self.lanes[*place]));
        let starts = self.starts_anything();
        // What wants something of the host has to heed other runs, too.
        let alone = |place: &&usize| self.step_of(&self.lanes[**place]).demand.is_none();
        let retries = self.sets.delayed.iter().filter(|_| starts).filter(alone);
        let places = self.places();
        let retries = retries.filter_map(|place| self.retry_deadline(*place, &places));
        let asking = self.sets.asking.union(&self.sets.active);
        let answers = asking.filter_map(|place| self.answer_wait(*place)).map(|wait| wait.until);
        let run = self.run_deadline().filter(|_| matches!(self.phase, Phase::Going));
        attempts.chain(retries).chain(answers).chain(run).min()
    }

    /// When an open question gets an answer by itself: the one that is held back, or the default.
    fn answer_wait(&self, place: usize) -> Option<Wait> {
        let question = self.open_question(place)?;
        if let Some(held) = &question.held {
            return Some(Wait { timer: Timer::Undo, since: Some(held.at), until: held.until });
        }
        let (until, _) = self.falls_due(question)?;
        Some(Wait { timer: Timer::Deadline, since: Some(question.opened), until })
    }

    /// When the timer of a lane's state ends, for the screen.
    pub fn until(&self, lane: &LaneRun) -> Option<Time> {
        let wait = self.state_wait(lane)?;
        (wait.timer != Timer::Kill).then_some(wait.until)
    }

    /// Every timer that runs for a lane, the nearest first.
    pub fn waits(&self, lane: &LaneRun) -> Vec<Wait> {
        let mut waits: Vec<Wait> = self.state_wait(lane).into_iter().collect();
        let begun = !matches!(lane.state, LaneState::Waiting | LaneState::Done { .. });
        if let Some(until) = self.run_deadline().filter(|_| begun && matches!(self.phase, Phase::Going)) {
            waits.push(Wait { timer: Timer::RunTimeout, since: Some(self.since), until });
        }
        waits.sort_by_key(|wait| wait.until);
        waits
    }

    /// The timer of the lane's own state.
    fn state_wait(&self, lane: &LaneRun) -> Option<Wait> {
        match &lane.state {
            LaneState::Delayed { until, .. } => {
                let since = lane.past.last().map(|past| past.ended);
                Some(Wait { timer: Timer::Retry, since, until: *until })
            }
            LaneState::Asking { .. } => self.answer_wait(*self.places.get(&lane.id)?),
            LaneState::Active { claimed: Some(_), stop: Some(_), .. } => {
                let since = lane.stop_since?;
                let grace = self.step_of(lane).grace;
                let grace = if self.save_signal(lane).is_some() { grace.saturating_mul(2) } else { grace };
                Some(Wait { timer: Timer::Kill, since: Some(since), until: since.plus(grace) })
            }
            LaneState::Waiting
            | LaneState::Active { .. }
            | LaneState::Exited { .. }
            | LaneState::Lost { .. }
            | LaneState::Probing { .. }
            | LaneState::Verifying { .. }
            | LaneState::Probed { .. }
            | LaneState::ToAsk { .. }
            | LaneState::Done { .. } => {
                let until = self.attempt_deadline(lane)?;
                Some(Wait { timer: Timer::Timeout, since: lane.started, until })
            }
        }
    }
}
