//! What starts next: lanes whose needs have ended and whose delay is over, as many as there are places. Pure.

use std::collections::HashMap;

use crate::model::{AttemptId, Cause, Command, EscalationId, SkipWhy, Step, StepWhat, Time, What};

use super::Run;
use super::expr;
use super::state::{Ended, LaneRun, LaneState, StepEnd};

/// Whether a lane whose needs have ended is to run.
enum Fate {
    Run,
    Skip(SkipWhy),
    Cannot(String),
}

/// Places that are left, for the run and for each step.
struct Places<'a> {
    run: &'a Run,
    free: usize,
    taken: HashMap<usize, usize>,
}

impl Places<'_> {
    fn is_free(&self, lane: &LaneRun) -> bool {
        let taken = self.taken.get(&lane.step).copied().unwrap_or(0);
        self.free > 0 && self.run.steps[lane.step].lanes_active + taken < self.run.at_once(lane)
    }

    fn take(&mut self, lane: &LaneRun) {
        self.free = self.free.saturating_sub(1);
        *self.taken.entry(lane.step).or_default() += 1;
    }
}

impl Run {
    fn places(&self) -> Places<'_> {
        let most = usize::try_from(self.workflow.max_parallel).unwrap_or(usize::MAX);
        let mut places = Places { run: self, free: most.saturating_sub(self.sets.active.len()), taken: HashMap::new() };
        // What is being verified may need as much as the step itself: it has its place until then.
        self.verifying().for_each(|lane| places.take(lane));
        places
    }

    fn at_once(&self, lane: &LaneRun) -> usize {
        let limit = self.step_of(lane).lanes_at_once;
        limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
    }

    /// Lanes that may start now: retries that are due first, then in the file's order.
    pub(super) fn starts(&self, now: Time, next: &mut EscalationId, out: &mut Vec<Command>) {
        let mut places = self.places();
        let due = self.sets.delayed.iter().filter(|place| {
            let lane = &self.lanes[**place];
            let over = matches!(&lane.state, LaneState::Delayed { until, .. } if *until <= now);
            // A person may have ordered a step again that this one needs, or looks at what the last attempt left.
            over && lane.attached.is_none() && self.steps[lane.step].needs_open == 0
        });
        for &place in due.chain(&self.sets.ready) {
            let lane = &self.lanes[place];
            let step = self.step_of(lane);
            let runs = matches!(step.what, StepWhat::Run { .. });
            // A gate takes no place: it opens however busy the run is.
            if runs && !places.is_free(lane) || self.waits_for_another(place) {
                continue;
            }
            let lane_id = lane.id.clone();
            let what = match self.fate(step, lane) {
                Fate::Skip(why) => What::Skipped { lane: lane_id, why },
                Fate::Cannot(why) => What::CannotStart { lane: lane_id, why },
                Fate::Run if runs => {
                    places.take(lane);
                    self.start(lane)
                }
                Fate::Run => {
                    let Some(escalation) = self.question(lane, *next, now) else {
                        continue;
                    };
                    next.0 += 1;
                    What::Opened { escalation: Box::new(escalation) }
                }
            };
            out.push(self.record(now, what));
        }
    }

    fn start(&self, lane: &LaneRun) -> What {
        if let Err(why) = self.launch_environment(lane) {
            return What::CannotStart { lane: lane.id.clone(), why };
        }
        let (cause, resume) = match &lane.next {
            Some(next) => (next.cause.clone(), next.resume.clone()),
            None => (Cause::First, None),
        };
        let attempt = AttemptId { run: self.id.clone(), lane: lane.id.clone(), n: lane.n + 1 };
        What::Intended { attempt, cause, resume }
    }

    /// `if` replaces "all needs succeeded". A retry, and a lane that a person ordered to run, is not asked again.
    fn fate(&self, step: &Step, lane: &LaneRun) -> Fate {
        let retry = matches!(lane.state, LaneState::Delayed { .. });
        if retry && step.fail_fast && self.sibling_failed(lane, None) {
            return Fate::Skip(SkipWhy::Need(step.id.clone()));
        }
        if retry || lane.next.as_ref().is_some_and(|next| !next.heeds) {
            return Fate::Run;
        }
        if let Some(condition) = &step.condition {
            return match self.with_scope(lane, |scope| expr::holds(condition, scope)) {
                Ok(true) => Fate::Run,
                Ok(false) => Fate::Skip(SkipWhy::Condition),
                Err(error) => Fate::Cannot(format!("`if = \"{condition}\"`: {error}")),
            };
        }
        if step.fail_fast && self.sibling_failed(lane, None) {
            return Fate::Skip(SkipWhy::Need(step.id.clone()));
        }
        for need in &step.needs {
            match self.step_end(need) {
                Some(StepEnd::Succeeded | StepEnd::Allowed) => {}
                Some(StepEnd::Failed | StepEnd::Skipped) | None => {
                    return Fate::Skip(SkipWhy::Need(need.clone()));
                }
            }
        }
        Fate::Run
    }

    /// Whether another lane of the step has failed for good, at all or since a moment.
    pub(super) fn sibling_failed(&self, lane: &LaneRun, since: Option<Time>) -> bool {
        self.lanes[self.steps[lane.step].lanes.clone()].iter().any(|other| match &other.state {
            LaneState::Done { how: Ended::Failed, at } => since.is_none_or(|since| *at >= since),
            LaneState::Waiting
            | LaneState::Active { .. }
            | LaneState::Exited { .. }
            | LaneState::Lost { .. }
            | LaneState::Probing { .. }
            | LaneState::Verifying { .. }
            | LaneState::Probed { .. }
            | LaneState::Delayed { .. }
            | LaneState::ToAsk { .. }
            | LaneState::Asking { .. }
            | LaneState::Done { .. } => false,
        })
    }

    /// When a retry of this lane is due, if time is all that it waits for: without a place, only an event helps.
    pub(super) fn retry_deadline(&self, place: usize) -> Option<Time> {
        let lane = &self.lanes[place];
        if self.waits_for_another(place) {
            return None;
        }
        match &lane.state {
            LaneState::Delayed { until, .. }
                if lane.attached.is_none() && self.steps[lane.step].needs_open == 0 && self.places().is_free(lane) =>
            {
                Some(*until)
            }
            LaneState::Waiting
            | LaneState::Active { .. }
            | LaneState::Exited { .. }
            | LaneState::Lost { .. }
            | LaneState::Probing { .. }
            | LaneState::Verifying { .. }
            | LaneState::Probed { .. }
            | LaneState::Delayed { .. }
            | LaneState::ToAsk { .. }
            | LaneState::Asking { .. }
            | LaneState::Done { .. } => None,
        }
    }
}
