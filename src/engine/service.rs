//! What lives beside the steps: services, which live as long as others need them, and what is waited for outside. Folds
//! what looks saw, and decides when a service is stopped, left out or started anew. Pure.

use crate::model::{
    AttemptId, Choice, Command, EscalationKind, Look, Principal, SkipWhy, StepId, StepWhat, StopReason,
};
use crate::model::{Time, What};

use super::Run;
use super::expr;
use super::state::{Ended, Finish, LaneRun, LaneState, Next};

/// What looks for the newest attempt of a lane saw, the last time that it was another thing than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub at: Time,
    pub good: bool,
    /// Nobody looks any more.
    pub given_up: bool,
    pub words: String,
}

impl Run {
    /// It runs nothing: it waits for something outside.
    pub fn is_wait(&self, lane: &LaneRun) -> bool {
        matches!(self.step_of(lane).what, StepWhat::WaitFor(_))
    }

    /// A service that what needs it can use now.
    pub fn is_ready(&self, lane: &LaneRun) -> bool {
        let Some(service) = &self.step_of(lane).service else { return false };
        let lives = matches!(lane.state, LaneState::Active { claimed: Some(_), stop: None, .. });
        lives && (service.readiness.is_none() || lane.seen.as_ref().is_some_and(|seen| seen.good))
    }

    /// It is done, or a service that is ready: it holds up nothing.
    pub(super) fn is_met(&self, lane: &LaneRun) -> bool {
        matches!(lane.state, LaneState::Done { .. }) || self.is_ready(lane)
    }

    /// Whether a need of a step still holds it up.
    pub fn is_open(&self, need: &StepId) -> bool {
        let place = self.workflow.steps.get_index_of(need);
        place.is_some_and(|place| self.steps[place].lanes_unmet > 0)
    }

    /// Every lane of the step is a service that is ready, or is done, and one of them lives.
    pub(super) fn is_served(&self, id: &StepId) -> bool {
        let Some((place, _, step)) = self.workflow.steps.get_full(id) else { return false };
        step.service.is_some() && self.steps[place].lanes_unmet == 0 && self.steps[place].lanes_open > 0
    }

    /// A lane of this step, while it lives, takes one of the places that `max_parallel` gives.
    pub(super) fn takes_place(&self, lane: &LaneRun) -> bool {
        let step = self.step_of(lane);
        step.service.is_none() && matches!(step.what, StepWhat::Run { .. })
    }

    /// Somebody that needs this service has not ended; where nobody says that he needs it, any step that is no service.
    pub(super) fn is_needed(&self, lane: &LaneRun) -> bool {
        let dependents = &self.steps[lane.step].dependents;
        if !dependents.is_empty() {
            return dependents.iter().any(|step| self.steps[*step].lanes_open > 0);
        }
        let mut others = self.steps.iter().zip(self.workflow.steps.values());
        others.any(|(run, step)| step.service.is_none() && run.lanes_open > 0)
    }

    fn is_superfluous(&self, place: usize) -> bool {
        let lane = &self.lanes[place];
        self.step_of(lane).service.is_some() && !self.is_needed(lane)
    }

    /// A service that is not to be begun, for nobody needs it any more.
    pub(super) fn is_left_out(&self, lane: &LaneRun) -> bool {
        self.step_of(lane).service.is_some() && !self.is_needed(lane)
    }

    /// What is looked at for a lane, with its values filled in; `None` where nothing is.
    pub fn look_of(&self, lane: &LaneRun) -> Option<Result<Look<String>, String>> {
        let step = self.step_of(lane);
        let look = match &step.what {
            StepWhat::WaitFor(wait) => &wait.look,
            StepWhat::Run { .. } => &step.service.as_ref()?.readiness.as_ref()?.look,
            StepWhat::Approval(_) => return None,
        };
        let filled = self.with_scope(lane, |scope| look.fill(|text| expr::render(text, scope)));
        Some(filled.map_err(|error| error.to_string()).map(|look| match look {
            Look::File(path) => Look::File(self.absolute(&lane.id, &path)),
            other @ (Look::Http(_) | Look::Tcp(_) | Look::Command(_)) => other,
        }))
    }

    /// What is looked at, in words.
    pub fn look_words(&self, lane: &LaneRun) -> String {
        match self.look_of(lane) {
            Some(Ok(look)) => look.to_string(),
            Some(Err(why)) => format!("({why})"),
            None => String::new(),
        }
    }

    pub(super) fn booked(&mut self, attempt: &AttemptId, gpus: &[u32]) {
        if let Some(place) = self.active_place(attempt) {
            gpus.clone_into(&mut self.lanes[place].gpus);
        }
    }

    pub(super) fn looked(&mut self, attempt: &AttemptId, (good, given_up): (bool, bool), words: &str, at: Time) {
        let Some(place) = self.active_place(attempt) else { return };
        let lane = &mut self.lanes[place];
        // What was there once is not looked at again.
        if lane.seen.as_ref().is_some_and(|before| before.good || before.given_up) {
            return;
        }
        lane.seen = Some(Seen { at, good, given_up, words: words.to_owned() });
        self.count_service(place);
    }

    /// A service may have become ready, or is it no more.
    pub(super) fn count_service(&mut self, place: usize) {
        if self.step_of(&self.lanes[place]).service.is_some() {
            self.recount();
        }
    }

    /// Services that have ended because nobody needed them are needed again: they begin anew.
    pub(super) fn revive(&mut self) {
        if self.services == 0 {
            return;
        }
        loop {
            let ended = |lane: &LaneRun| match &lane.state {
                LaneState::Done { how, .. } => {
                    matches!(how, Ended::Succeeded(Finish::Exit) | Ended::Skipped(SkipWhy::Unneeded))
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
                | LaneState::Asking { .. } => false,
            };
            let again = |lane: &LaneRun| {
                let depended = !self.steps[lane.step].dependents.is_empty();
                ended(lane) && depended && self.step_of(lane).service.is_some() && self.is_needed(lane)
            };
            let places: Vec<usize> = (0..self.lanes.len()).filter(|place| again(&self.lanes[*place])).collect();
            if places.is_empty() {
                return;
            }
            for place in places {
                let lane = &mut self.lanes[place];
                let cause = crate::model::Cause::First;
                lane.next = (lane.n > 0).then_some(Next { cause, resume: None, patch: None, heeds: true });
                lane.state = LaneState::Waiting;
            }
            self.recount();
        }
    }

    /// Services that nobody needs any more, and those that do not become ready.
    pub(super) fn services(&self, now: Time, out: &mut Vec<Command>) {
        if self.services == 0 {
            return;
        }
        let by = || Principal::Rule;
        for &place in &self.sets.active {
            let lane = &self.lanes[place];
            let LaneState::Active { stop: None, .. } = &lane.state else { continue };
            // Nobody's step is ended under his hands.
            if lane.attached.is_some() || self.over_limit(place, now).is_some() {
                continue;
            }
            let given_up = lane.seen.as_ref().is_some_and(|seen| seen.given_up && !seen.good);
            let reason = if self.is_superfluous(place) {
                StopReason::Unneeded
            } else if given_up && self.step_of(lane).service.is_some() {
                StopReason::NotReady
            } else {
                continue;
            };
            if let Some(attempt) = self.attempt(lane) {
                let what = What::StopAsked { attempt, reason, by: by(), save: self.save_signal(lane) };
                out.push(self.record(now, what));
            }
        }
        for &place in self.sets.delayed.iter().filter(|place| self.is_superfluous(**place)) {
            let what = What::Skipped { lane: self.lanes[place].id.clone(), why: SkipWhy::Unneeded };
            out.push(self.record(now, what));
        }
        for &place in self.sets.asking.iter().filter(|place| self.is_superfluous(**place)) {
            let open = self.open_question(place).filter(|question| question.is_open());
            let open = open.filter(|question| question.escalation.kind != EscalationKind::Unknown);
            let Some(question) = open.filter(|_| self.unanswered(place, now).is_none()) else {
                continue;
            };
            let (escalation, note) = (question.escalation.id, Some("nobody needs it any more".into()));
            if question.escalation.choices.contains(&Choice::Skip) {
                let what = What::Answered { escalation, choice: Choice::Skip, by: by(), note };
                out.push(self.record(now, what));
            }
        }
    }

    /// A service whose readiness is still looked for.
    pub(super) fn is_looked_for(&self, lane: &LaneRun) -> bool {
        let probed = self.step_of(lane).service.as_ref().is_some_and(|service| service.readiness.is_some());
        probed && !lane.seen.as_ref().is_some_and(|seen| seen.good || seen.given_up)
    }
}
