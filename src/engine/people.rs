//! Folding what people said into one run: answers, orders, resumption. Decides nothing.

use std::collections::BTreeSet;

use crate::model::{
    AttemptId, Cause, Choice, ClockOrder, EscalationId, EscalationKind, LaneId, LostWhy, Order, Patch, Principal,
    RunStopWhy, SkipWhy, Step, StepId, StepWhat, Time,
};

use super::Run;
use super::checkpoint::Sighting;
use super::patch::with_alternative;
use super::stall::asking;
use super::state::{Attached, Ended, Finish, Held, LaneRun, LaneState, Next, Phase};

/// So many times that somebody typed into an attempt are remembered.
const HANDS: usize = 64;
/// A gate offers to go back to so many of the steps before it, the nearest ones.
const MOST_WAYS_BACK: usize = 20;

impl LaneRun {
    /// The clocks go on, if they were held.
    fn go_on(&mut self, at: Time) {
        if let (Some(since), Some(started)) = (self.clocks.held.take(), self.started) {
            let since = since.max(started);
            self.stood_still += at.since(since);
            self.stood(since, at);
        }
    }

    /// Time that did not count.
    fn stood(&mut self, since: Time, until: Time) {
        self.hands.push((since, until));
        let over = self.hands.len().saturating_sub(HANDS);
        self.hands.drain(..over);
    }
}

impl Run {
    pub(super) fn answered(
        &mut self,
        id: EscalationId,
        (choice, by): (Choice, &Principal),
        note: Option<&String>,
        at: Time,
    ) {
        let Some(question) = self.questions.get_mut(&id) else {
            return;
        };
        let Some(&place) = self.places.get(&question.escalation.lane) else {
            return;
        };
        let asks = asking(&self.lanes[place]) == Some(id);
        if question.answer.is_some() || !asks || !question.escalation.choices.contains(&choice) {
            return;
        }
        // The first answer counts, also while it can still be taken back.
        if question.held.as_ref().is_some_and(|held| held.choice != choice || held.by != *by) {
            return;
        }
        question.held = None;
        question.answer = Some((choice, by.clone(), at, note.cloned()));
        if choice == Choice::Resume && *by == Principal::Rule {
            self.lanes[place].resumed_unattended();
        }
        // Whatever the answer was: it is tried again, by this lane or by the next one.
        if question.escalation.kind == EscalationKind::CannotStart {
            let environment = self.environment_at(place).clone();
            self.lacking.remove(&environment);
        }
        if matches!(self.lanes[place].state, LaneState::Active { .. }) {
            return self.answered_stall(place, choice, by, at);
        }
        self.act(place, id, (choice, by), at);
    }

    /// What an answer does to a lane of which nothing lives.
    pub(super) fn act(&mut self, place: usize, id: EscalationId, (choice, by): (Choice, &Principal), at: Time) {
        let done = |how| LaneState::Done { how, at };
        match choice {
            // It has ended: there is nothing to wait for.
            Choice::KeepWaiting => {}
            Choice::Accept => self.accepted(id, place, by, at),
            Choice::Alternative { .. } => {
                let named = self.alternative_named(choice).map(|(name, _)| name);
                let patch = named.map(|name| with_alternative(&self.lanes[place], name));
                self.again(place, by, None, patch);
            }
            Choice::Retry => self.again(place, by, None, None),
            Choice::Resume => self.again(place, by, self.checkpoint_of(place), None),
            Choice::Probe => {
                let lane = &self.lanes[place];
                let why = lane.lost_why.unwrap_or(LostWhy::ShimDied);
                let evidence = lane.lost_evidence.clone();
                self.put(place, LaneState::Probing { why, evidence });
            }
            Choice::Done | Choice::Approve => {
                self.put(place, done(Ended::Succeeded(Finish::Person(by.clone()))));
            }
            Choice::Skip => self.put(place, done(Ended::LeftOut(by.clone()))),
            Choice::Fail => self.put(place, done(Ended::Failed)),
            Choice::Reject => {
                self.put(place, done(Ended::Failed));
                self.stop(RunStopWhy::Rejected, by);
            }
            Choice::StopRun => {
                let how = if *by == Principal::Rule { Ended::Failed } else { Ended::Stopped };
                self.put(place, done(how));
                self.stop(why_stopped(by), by);
            }
            Choice::SendBack(from) => self.send_back(place, from, by),
        }
    }

    /// An answer is there that takes effect later.
    pub(super) fn hold(&mut self, id: EscalationId, held: Held) {
        let Some(question) = self.questions.get_mut(&id) else {
            return;
        };
        let lane = self.places.get(&question.escalation.lane).map(|place| &self.lanes[*place]);
        let asks = lane.is_some_and(|lane| asking(lane) == Some(id));
        let going = !matches!(self.phase, Phase::Ended { .. });
        if going && asks && question.is_open() && question.escalation.choices.contains(&held.choice) {
            question.held = Some(held);
        }
    }

    pub(super) fn extended(&mut self, id: EscalationId, deadline: Time) {
        if let Some(question) = self.questions.get_mut(&id)
            && question.answer.is_none()
            && question.escalation.deadline.is_some()
        {
            question.escalation.deadline = Some(deadline);
        }
    }

    /// The run is over: answers that had not taken effect never will, and nobody's hand is waited for.
    pub(super) fn nobody_waits(&mut self) {
        for question in self.questions.values_mut() {
            question.held = None;
        }
        for lane in &mut self.lanes {
            lane.attached = None;
        }
    }

    pub(super) fn attached(&mut self, attempt: &AttemptId, by: &Principal, at: Time) {
        let Some(place) = self.current(attempt) else {
            return;
        };
        let lane = &mut self.lanes[place];
        if lane.attached.is_none() && matches!(lane.state, LaneState::Active { .. }) {
            // Under somebody's hands time stands still anyway.
            lane.go_on(at);
            lane.attached = Some(Attached { by: by.clone(), since: at });
            lane.touched = true;
            // Who has it in hands decides himself.
            if let Some(question) = asking(lane).and_then(|id| self.questions.get_mut(&id)) {
                (question.escalation.deadline, question.escalation.on_deadline) = (None, None);
            }
        }
    }

    /// What a person said about the clocks of a live attempt.
    pub(super) fn clocks_set(&mut self, attempt: &AttemptId, order: ClockOrder, at: Time) {
        let Some(place) = self.active_place(attempt) else {
            return;
        };
        let lane = &mut self.lanes[place];
        if !matches!(lane.state, LaneState::Active { claimed: Some(_), stop: None, .. }) {
            return;
        }
        match order {
            ClockOrder::More(span) => {
                lane.clocks.more = lane.clocks.more.saturating_add(span);
                lane.stood_still = lane.stood_still.saturating_add(span);
            }
            ClockOrder::Hold if lane.attached.is_none() => {
                lane.clocks.held.get_or_insert(at);
            }
            ClockOrder::Hold => {}
            ClockOrder::GoOn => lane.go_on(at),
            ClockOrder::NeverStall => lane.clocks.never = true,
        }
        let over = matches!(order, ClockOrder::Hold | ClockOrder::NeverStall)
            && self.lanes[place]
                .stall
                .as_ref()
                .is_some_and(|stalled| stalled.answer.is_none() && !stalled.stall.is_alert());
        if over {
            self.settle_stall(place, "its clocks were set", at);
            self.lanes[place].stall = None;
        }
    }

    /// Time that passed while somebody was attached does not count for the attempt's limit.
    pub(super) fn detached(&mut self, attempt: &AttemptId, at: Time) {
        let Some(place) = self.current(attempt) else {
            return;
        };
        let lane = &mut self.lanes[place];
        if let Some(attached) = lane.attached.take()
            && let Some(started) = lane.started
        {
            let since = attached.since.max(started);
            lane.stood_still += at.since(since);
            lane.stood(since, at);
        }
    }

    pub(super) fn stop(&mut self, why: RunStopWhy, by: &Principal) {
        if matches!(self.phase, Phase::Going) {
            self.stopped = Some((why.clone(), by.clone()));
            self.phase = Phase::Stopping { why, by: by.clone() };
        }
    }

    fn checkpoint_of(&self, place: usize) -> Option<String> {
        let checkpoint = self.lanes[place].checkpoint.as_ref();
        checkpoint.map(|checkpoint| checkpoint.path.clone())
    }

    /// What was proposed is done.
    fn accepted(&mut self, id: EscalationId, place: usize, by: &Principal, at: Time) {
        let proposal = self.questions.get(&id).and_then(|question| question.escalation.proposal.clone());
        match proposal {
            Some(proposal) if proposal.skip => {
                self.put(place, LaneState::Done { how: Ended::LeftOut(by.clone()), at });
            }
            Some(proposal) => {
                // It may have been found damaged since.
                let known = proposal.resume.as_ref().and_then(|path| self.lanes[place].sighting(path));
                let newest = || self.checkpoint_of(place);
                let resume = if known.is_none_or(Sighting::is_usable) { proposal.resume } else { newest() };
                self.again(place, by, resume, proposal.patch);
            }
            // Never offered without one.
            None => self.again(place, by, None, None),
        }
    }

    /// The lane gets a new attempt by a person's word.
    fn again(&mut self, place: usize, by: &Principal, resume: Option<String>, patch: Option<Patch>) {
        self.lanes[place].next = Some(Next { cause: Cause::Person(by.clone()), resume, patch, heeds: false });
        self.put(place, LaneState::Waiting);
        self.unskip_after(place);
    }

    /// What was left out because of how this lane had ended waits for it again: what comes after it, and the lanes
    /// beside it that `fail_fast` left out.
    fn unskip_after(&mut self, place: usize) {
        let own = self.lanes[place].step;
        let id = self.steps[own].id.clone();
        let after = self.downstream(&id);
        let none_failed = !self.sibling_failed(&self.lanes[place], None);
        let mut changed = false;
        for lane in self.lanes.iter_mut().filter(|lane| after.contains(&lane.step)) {
            let LaneState::Done { how: Ended::Skipped(why), .. } = &lane.state else {
                continue;
            };
            let waits = match why {
                SkipWhy::Need(need) => lane.step != own || *need == id && none_failed,
                // Its `if` may look at how this lane ends.
                SkipWhy::Condition | SkipWhy::RunEnded | SkipWhy::Unneeded => lane.step != own,
                SkipWhy::NotSelected => false,
            };
            if waits {
                lane.state = LaneState::Waiting;
                changed = true;
            }
        }
        if changed {
            self.recount();
            self.revive();
        }
    }

    pub(super) fn ordered(&mut self, lane: &LaneId, order: Order, by: &Principal, at: Time) {
        let Some(&place) = self.places.get(lane) else {
            return;
        };
        let movable =
            matches!(self.lanes[place].state, LaneState::Waiting | LaneState::Delayed { .. } | LaneState::Done { .. });
        if !movable {
            return;
        }
        if matches!(self.phase, Phase::Ended { .. }) {
            self.phase = Phase::Going;
            self.stopped = None;
            self.since = at;
        }
        self.lacking.clear();
        let how = match order {
            Order::Retry => return self.again(place, by, None, None),
            Order::Resume => return self.again(place, by, self.checkpoint_of(place), None),
            Order::Skip => Ended::LeftOut(by.clone()),
            Order::Done => Ended::Succeeded(Finish::Person(by.clone())),
        };
        self.put(place, LaneState::Done { how, at });
        self.unskip_after(place);
    }

    /// Goes on with a run that had ended or is being stopped. Lanes that cannot be known to have finished stay a question.
    pub(super) fn resumed(&mut self, from: Option<&StepId>, by: &Principal, at: Time) {
        if matches!(self.phase, Phase::Going) {
            return;
        }
        self.phase = Phase::Going;
        self.stopped = None;
        self.since = at;
        self.paused = false;
        self.lacking.clear();
        let again = from.map(|from| self.downstream(from)).unwrap_or_default();
        for place in 0..self.lanes.len() {
            let redo = again.contains(&self.lanes[place].step);
            if self.goes_again(place, redo, at) {
                self.close_question(place, by, at);
                let resume = self.checkpoint_of(place).filter(|_| !redo || self.lanes[place].chosen);
                let cause = Cause::Person(by.clone());
                let lane = &mut self.lanes[place];
                // From where it is named on, all is as the file says.
                let patch = redo.then(Patch::default);
                lane.next = (lane.n > 0).then_some(Next { cause, resume, patch, heeds: true });
                lane.state = LaneState::Waiting;
            }
        }
        self.recount();
        self.revive();
    }

    /// Whether a lane is begun anew when the run is resumed; `redo`: it comes after the step that was named.
    fn goes_again(&self, place: usize, redo: bool, at: Time) -> bool {
        match &self.lanes[place].state {
            LaneState::Done { how, .. } => match how {
                // What an `if` says may be different this time.
                Ended::Failed
                | Ended::Stopped
                | Ended::Skipped(SkipWhy::Need(_) | SkipWhy::RunEnded | SkipWhy::Condition | SkipWhy::Unneeded) => true,
                Ended::Skipped(SkipWhy::NotSelected) => false,
                Ended::Allowed | Ended::LeftOut(_) | Ended::Succeeded(_) => redo,
            },
            LaneState::Asking { escalation } => {
                let question = self.questions.get(escalation);
                question.is_some_and(|question| match question.escalation.kind {
                    EscalationKind::Failed | EscalationKind::CannotStart => true,
                    EscalationKind::Unknown | EscalationKind::Stalled => false,
                    // Nobody could answer while the run stood still: the gate is opened anew, with all its time.
                    EscalationKind::Gate => question.escalation.deadline.is_some_and(|end| end <= at),
                })
            }
            LaneState::Waiting
            | LaneState::Active { .. }
            | LaneState::Exited { .. }
            | LaneState::Lost { .. }
            | LaneState::Probing { .. }
            | LaneState::Verifying { .. }
            | LaneState::Probed { .. }
            | LaneState::Delayed { .. }
            | LaneState::ToAsk { .. } => false,
        }
    }

    /// The steps that run again when this gate is sent back to the step with that place: it, and what of it leads to the
    /// gate. What else came of it stays as it is.
    fn way(&self, from: u32, gate: usize) -> BTreeSet<usize> {
        let Some(from) = self.steps.get(usize::try_from(from).unwrap_or(usize::MAX)) else {
            return BTreeSet::new();
        };
        let before = self.upstream(gate);
        self.downstream(&from.id).intersection(&before).copied().collect()
    }

    /// The steps that come before this one, by place.
    fn upstream(&self, of: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut next = vec![of];
        while let Some(place) = next.pop() {
            let step = self.workflow.steps.get_index(place).map(|(_, step)| step);
            let needs = step.into_iter().flat_map(|step| &step.needs);
            let needs = needs.filter_map(|need| self.workflow.steps.get_index_of(need));
            next.extend(needs.filter(|need| found.insert(*need)));
        }
        found
    }

    /// The step that an answer sends back to.
    pub fn back_to(&self, choice: Choice) -> Option<&Step> {
        let Choice::SendBack(place) = choice else {
            return None;
        };
        Some(self.workflow.steps.get_index(usize::try_from(place).ok()?)?.1)
    }

    /// The lanes that run again when the gate of this step is sent back.
    pub fn sent_back(&self, gate: &StepId, choice: Choice) -> Vec<&LaneRun> {
        let (Choice::SendBack(from), Some(gate)) = (choice, self.workflow.steps.get_index_of(gate)) else {
            return Vec::new();
        };
        let way = self.way(from, gate);
        let ran = |lane: &&LaneRun| way.contains(&lane.step) && can_go_again(lane);
        self.lanes.iter().filter(ran).collect()
    }

    /// The answers that send a gate back, the step before it first.
    pub(super) fn ways_back(&self, gate: &StepId) -> Vec<Choice> {
        let Some(gate) = self.workflow.steps.get_index_of(gate) else {
            return Vec::new();
        };
        let runs = |place: &usize| {
            let step = self.workflow.steps.get_index(*place).map(|(_, step)| &step.what);
            let mut lanes = self.lanes[self.steps[*place].lanes.clone()].iter();
            matches!(step, Some(StepWhat::Run { .. })) && lanes.any(|lane| can_go_again(lane) && lane.n > 0)
        };
        let places = self.upstream(gate).into_iter().rev().filter(runs).take(MOST_WAYS_BACK);
        places.filter_map(|place| u32::try_from(place).ok()).map(Choice::SendBack).collect()
    }

    /// What led to a gate runs again from a step on, from the start; the gate asks anew when that is done.
    fn send_back(&mut self, gate: usize, from: u32, by: &Principal) {
        let way = self.way(from, self.lanes[gate].step);
        for place in 0..self.lanes.len() {
            if way.contains(&self.lanes[place].step) && can_go_again(&self.lanes[place]) {
                let cause = Cause::Person(by.clone());
                let lane = &mut self.lanes[place];
                let patch = Some(Patch::default());
                lane.next = (lane.n > 0).then_some(Next { cause, resume: None, patch, heeds: true });
                // What was saved belongs to what is not wanted any more.
                (lane.checkpoint, lane.chosen) = (None, false);
                lane.sightings.clear();
                lane.damaged.clear();
                lane.state = LaneState::Waiting;
            }
        }
        self.lanes[gate].state = LaneState::Waiting;
        self.recount();
        self.revive();
    }

    fn close_question(&mut self, place: usize, by: &Principal, at: Time) {
        if let LaneState::Asking { escalation } = &self.lanes[place].state
            && let Some(question) = self.questions.get_mut(escalation)
        {
            let note = Some("the run was resumed".into());
            question.held = None;
            question.answer = Some((Choice::Retry, by.clone(), at, note));
        }
    }
}

/// What a run is stopped for by this answer: where nobody gave it, as a rule's `abort`.
pub(super) fn why_stopped(by: &Principal) -> RunStopWhy {
    match by {
        Principal::Rule => RunStopWhy::Abort { rule: "nobody answered in time".into() },
        Principal::Person(_) => RunStopWhy::Asked,
    }
}

/// It has ended, and was meant to run.
fn can_go_again(lane: &LaneRun) -> bool {
    let left_out = matches!(&lane.state, LaneState::Done { how: Ended::Skipped(SkipWhy::NotSelected), .. });
    matches!(lane.state, LaneState::Done { .. }) && !left_out
}
