//! What starts next: lanes whose needs have ended and whose delay is over, as many as there are places. Pure.

use std::collections::HashMap;

use crate::model::{AttemptId, Cause, Command, EscalationId, SkipWhy, Step, StepWhat, Time, What};

use super::Run;
use super::booking::Books;
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
        let taken = self.sets.active.iter().filter(|place| self.takes_place(&self.lanes[**place])).count();
        let mut places = Places { run: self, free: most.saturating_sub(taken), taken: HashMap::new() };
        // What is being verified may need as much as the step itself: it has its place until then.
        self.verifying().for_each(|lane| places.take(lane));
        places
    }

    fn at_once(&self, lane: &LaneRun) -> usize {
        let limit = self.step_of(lane).lanes_at_once;
        limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
    }

    /// Lanes that may start now: retries that are due first, then in the file's order.
    pub(super) fn starts(&self, now: Time, books: &Books, next: &mut EscalationId, out: &mut Vec<Command>) {
        let mut places = self.places();
        for place in self.due(now).chain(self.sets.ready.iter().copied()) {
            let lane = &self.lanes[place];
            let step = self.step_of(lane);
            let runs = !matches!(step.what, StepWhat::Approval(_));
            let takes = self.takes_place(lane);
            // A gate takes no place: it opens however busy the run is. Nor do services and what waits for something outside.
            if takes && !places.is_free(lane) || self.waits_for_another(place) {
                continue;
            }
            let lane_id = lane.id.clone();
            let what = match self.fate(step, lane) {
                // Meanwhile it has its place: no more is read at once than would run.
                Fate::Run if self.wants_look(lane) => {
                    places.take(lane);
                    continue;
                }
                Fate::Skip(why) => What::Skipped { lane: lane_id, why },
                Fate::Cannot(why) => What::CannotStart { lane: lane_id, why },
                Fate::Run if runs => {
                    let gpus = match (step.demand.is_none(), books.never(self, place), books.grant(self, place)) {
                        (true, ..) => Vec::new(),
                        (false, Some(why), _) => {
                            out.push(self.record(now, What::CannotStart { lane: lane_id, why: why.to_owned() }));
                            continue;
                        }
                        // Others have what it wants, or come first.
                        (false, None, None) => continue,
                        (false, None, Some(gpus)) => gpus.to_vec(),
                    };
                    if takes {
                        places.take(lane);
                    }
                    self.begin(lane, gpus, now, out);
                    continue;
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

    /// Lanes that would start now and may not have to.
    pub(super) fn look_ups(&self) -> impl Iterator<Item = &LaneRun> {
        let mut places = self.places();
        let wanted = self.sets.ready.iter().map(|place| &self.lanes[*place]).filter(|lane| self.wants_look(lane));
        wanted.filter(move |lane| {
            let now = places.is_free(lane) && matches!(self.fate(self.step_of(lane), lane), Fate::Run);
            if now {
                places.take(lane);
            }
            now
        })
    }

    /// The retries whose time has come.
    pub(super) fn due(&self, now: Time) -> impl Iterator<Item = usize> {
        let due = self.sets.delayed.iter().filter(move |place| {
            let lane = &self.lanes[**place];
            let over = matches!(&lane.state, LaneState::Delayed { until, .. } if *until <= now);
            // A person may have ordered a step again that this one needs, or looks at what the last attempt left.
            over && lane.attached.is_none() && self.steps[lane.step].needs_open == 0
        });
        due.copied()
    }

    /// The intent of an attempt, with what it has of the host.
    fn begin(&self, lane: &LaneRun, gpus: Vec<u32>, now: Time, out: &mut Vec<Command>) {
        let what = self.start(lane);
        let attempt = if let What::Intended { attempt, .. } = &what { Some(attempt.clone()) } else { None };
        out.push(self.record(now, what));
        if let Some(attempt) = attempt.filter(|_| !gpus.is_empty()) {
            out.push(self.record(now, What::Booked { attempt, gpus }));
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
        if self.is_left_out(lane) {
            return Fate::Skip(SkipWhy::Unneeded);
        }
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
                None if self.is_served(need) => {}
                Some(StepEnd::Failed | StepEnd::Skipped) | None => {
                    return Fate::Skip(SkipWhy::Need(need.clone()));
                }
            }
        }
        Fate::Run
    }

    /// It could start now, as far as places are concerned.
    pub(super) fn has_place(&self, lane: &LaneRun) -> bool {
        !self.takes_place(lane) || self.places().is_free(lane)
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
                if lane.attached.is_none() && self.steps[lane.step].needs_open == 0 && self.has_place(lane) =>
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
