//! What starts next: lanes whose needs have ended and whose delay is over, as many as there are places. Pure.

use std::collections::HashMap;

use crate::model::{AttemptId, Cause, Command, EscalationId, SkipWhy, Step, StepWhat, Time, What};

use super::Run;
use super::booking::Books;
use super::expr;
use super::state::{LaneRun, LaneState, StepEnd};

/// Whether a lane whose needs have ended is to run.
enum Fate {
    Run,
    Skip(SkipWhy),
    Cannot(String),
}

/// Places that are left, for the run and for each step.
pub(super) struct Places<'a> {
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
    pub(super) fn places(&self) -> Places<'_> {
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
        for place in self.due(now) {
            self.begins(place, &mut places, (now, books), next, out);
        }
        let mut from = 0;
        while let Some(place) = self.next_ready(&places, from) {
            self.begins(place, &mut places, (now, books), next, out);
            from = place + 1;
        }
    }

    /// The first ready lane from this place on for which there is room. Those for which there is none are not looked at one
    /// by one: there may be thousands of them, at every turn.
    fn next_ready(&self, places: &Places<'_>, mut from: usize) -> Option<usize> {
        loop {
            let set = if places.free > 0 { &self.sets.ready } else { &self.sets.placeless };
            let place = *set.range(from..).next()?;
            let lane = &self.lanes[place];
            if !self.takes_place(lane) || places.is_free(lane) {
                return Some(place);
            }
            // No lane of this step may start.
            from = self.steps[lane.step].lanes.end;
        }
    }

    /// The ready lanes for which there is room now, whoever of them comes first.
    pub(super) fn startable(&self) -> impl Iterator<Item = usize> {
        let places = self.places();
        let mut from = 0;
        std::iter::from_fn(move || {
            let place = self.next_ready(&places, from)?;
            from = place + 1;
            Some(place)
        })
    }

    /// What becomes of a lane that could start: its first event, unless it has to wait for something else.
    fn begins(
        &self,
        place: usize,
        places: &mut Places<'_>,
        (now, books): (Time, &Books),
        next: &mut EscalationId,
        out: &mut Vec<Command>,
    ) {
        let lane = &self.lanes[place];
        let step = self.step_of(lane);
        let runs = !matches!(step.what, StepWhat::Approval(_));
        let takes = self.takes_place(lane);
        // A gate takes no place: it opens however busy the run is. Nor do services and what waits for something outside.
        if takes && !places.is_free(lane) || self.waits_for_another(place) {
            return;
        }
        let lane_id = lane.id.clone();
        let what = match self.fate(step, lane) {
            // Meanwhile it has its place: no more is read at once than would run.
            Fate::Run if self.wants_look(lane) => return places.take(lane),
            Fate::Skip(why) => What::Skipped { lane: lane_id, why },
            Fate::Cannot(why) => What::CannotStart { lane: lane_id, why },
            Fate::Run if runs => {
                let gpus = match (step.demand.is_none(), books.never(self, place), books.grant(self, place)) {
                    (true, ..) => Vec::new(),
                    (false, Some(why), _) => {
                        return out.push(self.record(now, What::CannotStart { lane: lane_id, why: why.to_owned() }));
                    }
                    // Others have what it wants, or come first.
                    (false, None, None) => return,
                    (false, None, Some(gpus)) => gpus.to_vec(),
                };
                if takes {
                    places.take(lane);
                }
                return self.begin(lane, gpus, now, out);
            }
            Fate::Run => {
                let Some(escalation) = self.question(lane, *next, now) else { return };
                next.0 += 1;
                What::Opened { escalation: Box::new(escalation) }
            }
        };
        out.push(self.record(now, what));
    }

    /// Lanes that would start now and may not have to.
    pub(super) fn look_ups(&self) -> impl Iterator<Item = &LaneRun> {
        let mut places = self.places();
        let mut from = 0;
        std::iter::from_fn(move || {
            loop {
                let place = self.next_ready(&places, from)?;
                from = place + 1;
                let lane = &self.lanes[place];
                let looks = self.wants_look(lane) && places.is_free(lane);
                if looks && matches!(self.fate(self.step_of(lane), lane), Fate::Run) {
                    places.take(lane);
                    return Some(lane);
                }
            }
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
    pub(super) fn has_place(&self, lane: &LaneRun, places: &Places<'_>) -> bool {
        !self.takes_place(lane) || places.is_free(lane)
    }

    /// Whether another lane of the step has failed for good, at all or since a moment.
    pub(super) fn sibling_failed(&self, lane: &LaneRun, since: Option<Time>) -> bool {
        self.steps[lane.step].failed.is_some_and(|at| since.is_none_or(|since| at >= since))
    }

    /// When a retry of this lane is due, if time is all that it waits for: without a place, only an event helps.
    pub(super) fn retry_deadline(&self, place: usize, places: &Places<'_>) -> Option<Time> {
        let lane = &self.lanes[place];
        if self.waits_for_another(place) {
            return None;
        }
        match &lane.state {
            LaneState::Delayed { until, .. }
                if lane.attached.is_none() && self.steps[lane.step].needs_open == 0 && self.has_place(lane, places) =>
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
