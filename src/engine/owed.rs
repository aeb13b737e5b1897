//! What one run is owed: decisions and intents first, then effects. Reads the sets that `apply` keeps, never all steps.

use crate::model::{
    AttemptId, Command, EscalationId, EscalationKind, Event, Principal, RunResult, RunStopWhy, StepWhat, StopReason,
    Time, Verdict, What,
};

use super::Run;
use super::booking::Books;
use super::recovery;
use super::state::{Ended, LaneRun, LaneState, Phase, Question, ToAsk};

impl Run {
    /// Decisions and intents that are due at `now`. Each may change what the others are: after they were applied, ask again.
    pub(super) fn decisions(&self, now: Time, books: &Books, next: &mut EscalationId, out: &mut Vec<Command>) {
        let before = out.len();
        match &self.phase {
            Phase::Ended { .. } => return,
            Phase::Going | Phase::Stopping { .. } => {}
        }
        self.judgements(now, next, out);
        self.limits(now, next, out);
        if matches!(self.phase, Phase::Going) {
            self.removals(now, out);
        }
        match &self.phase {
            Phase::Going => {
                // What was decided just now may end the run, or leave out what would start.
                if !self.paused && out.len() == before {
                    self.starts(now, books, next, out);
                }
            }
            Phase::Stopping { by, .. } => {
                if out.len() == before {
                    self.stops(by, now, out);
                }
            }
            Phase::Ended { .. } => {}
        }
        if out.len() == before
            && let Some(result) = self.result()
        {
            out.push(self.record(now, What::Ended { result }));
        }
    }

    /// What this lane needs could not be had, its environment or a secret, and a lane that needs the same asks what is to be
    /// done. A gate needs neither.
    pub(super) fn waits_for_another(&self, of: usize) -> bool {
        let environment = self.environment_at(of);
        let runs = !matches!(self.step_of(&self.lanes[of]).what, StepWhat::Approval(_));
        let (lacks, lost) = (self.lacking.contains(environment), self.lacks_secrets(of));
        if !runs || !(lacks || lost) {
            return false;
        }
        let asks = |place: &usize| match &self.lanes[*place].state {
            LaneState::ToAsk { why } => matches!(why, ToAsk::CannotStart { .. }),
            LaneState::Asking { .. }
            | LaneState::Waiting
            | LaneState::Active { .. }
            | LaneState::Exited { .. }
            | LaneState::Lost { .. }
            | LaneState::Probing { .. }
            | LaneState::Verifying { .. }
            | LaneState::Probed { .. }
            | LaneState::Delayed { .. }
            | LaneState::Done { .. } => {
                let question = self.open_question(*place);
                question.is_some_and(|q| q.escalation.kind == EscalationKind::CannotStart)
            }
        };
        let same = |place: usize| {
            (lacks && self.environment_at(place) == environment) || (lost && self.lack_the_same_secret(of, place))
        };
        let mut others = self.sets.undecided.union(&self.sets.asking);
        others.any(|place| *place != of && same(*place) && asks(place))
    }

    pub(super) fn record(&self, at: Time, what: What) -> Command {
        Command::Record(Event { run: self.id.clone(), at, what })
    }

    fn judgements(&self, now: Time, next: &mut EscalationId, out: &mut Vec<Command>) {
        for &place in &self.sets.undecided {
            let lane = &self.lanes[place];
            let step = self.step_of(lane);
            let Some(attempt) = self.attempt(lane).or_else(|| self.none_yet(lane)) else {
                continue;
            };
            let verdict = match &lane.state {
                LaneState::Exited { exit } => self.judge(lane, &attempt.key(), exit, now),
                LaneState::Lost { why, .. } => {
                    if let Some(verdict) = recovery::judge_lost(step, lane, *why, now) {
                        verdict
                    } else {
                        let by = Principal::Rule;
                        out.push(self.record(now, What::ProbeAsked { attempt, by }));
                        continue;
                    }
                }
                LaneState::Probed { why, code, .. } => recovery::judge_probed(lane, *why, *code, now),
                LaneState::ToAsk { .. } => {
                    if let Some(escalation) = self.question(lane, *next, now) {
                        next.0 += 1;
                        out.push(self.record(now, What::Opened { escalation: Box::new(escalation) }));
                    }
                    continue;
                }
                LaneState::Waiting
                | LaneState::Active { .. }
                | LaneState::Probing { .. }
                | LaneState::Verifying { .. }
                | LaneState::Delayed { .. }
                | LaneState::Asking { .. }
                | LaneState::Done { .. } => continue,
            };
            out.push(self.record(now, What::Judged { attempt, verdict }));
        }
        // Nobody waits for what a `verify` says of an attempt that is to end.
        for lane in self.verifying().filter(|lane| lane.stop_asked.is_some() && !asks_checkpoints(lane)) {
            let judged = |attempt| self.record(now, What::Judged { attempt, verdict: Verdict::Stopped });
            out.extend(self.attempt(lane).map(judged));
        }
    }

    /// Lanes whose `verify` is being asked.
    pub(super) fn verifying(&self) -> impl Iterator<Item = &LaneRun> {
        let lanes = self.sets.probing.iter().map(|place| &self.lanes[*place]);
        lanes.filter(|lane| matches!(lane.state, LaneState::Verifying { .. }))
    }

    /// A question may be owed before the first attempt.
    fn none_yet(&self, lane: &LaneRun) -> Option<AttemptId> {
        matches!(lane.state, LaneState::ToAsk { .. }).then(|| AttemptId {
            run: self.id.clone(),
            lane: lane.id.clone(),
            n: 0,
        })
    }

    /// Time limits that have passed, and lanes that are no longer wanted.
    fn limits(&self, now: Time, next: &mut EscalationId, out: &mut Vec<Command>) {
        let places = self.sets.active.iter();
        out.extend(places.filter_map(|place| self.over_limit(*place, now)));
        let places = self.sets.asking.union(&self.sets.active);
        out.extend(places.filter_map(|place| self.unanswered(*place, now)));
        if matches!(self.phase, Phase::Going) {
            self.stalls(now, next, out);
            self.services(now, out);
        }
        if matches!(self.phase, Phase::Going) && self.run_deadline().is_some_and(|deadline| deadline <= now) {
            let (by, why) = (Principal::Rule, RunStopWhy::Timeout);
            out.push(self.record(now, What::RunStopAsked { by, why }));
        }
    }

    pub(super) fn over_limit(&self, place: usize, now: Time) -> Option<Command> {
        let lane = &self.lanes[place];
        let LaneState::Active { since, stop: None, .. } = &lane.state else {
            return None;
        };
        // Nobody's step is ended under his hands, and none that has ended.
        if lane.attached.is_some() || lane.keeping {
            return None;
        }
        let timed_out = self.attempt_deadline(lane).is_some_and(|deadline| deadline <= now);
        // A lane that a person had started after the failure is wanted.
        let unwanted = self.step_of(lane).fail_fast && self.sibling_failed(lane, Some(*since));
        let reason = match (timed_out, unwanted) {
            (true, _) => StopReason::Timeout,
            (false, true) => StopReason::Stop,
            (false, false) => return None,
        };
        let attempt = self.attempt(lane)?;
        let (by, save) = (Principal::Rule, self.save_signal(lane));
        Some(self.record(now, What::StopAsked { attempt, reason, by, save }))
    }

    /// The answer that takes effect now: one that was held back until then, or what follows when nobody gave one in time.
    pub(super) fn unanswered(&self, place: usize, now: Time) -> Option<Command> {
        let question = self.open_question(place)?;
        if let Some(held) = question.held.as_ref().filter(|_| question.answer.is_none()) {
            let (escalation, by, note) = (question.escalation.id, held.by.clone(), held.note.clone());
            let what = What::Answered { escalation, choice: held.choice, by, note };
            return (held.until <= now).then(|| self.record(now, what));
        }
        if let Some(what) = self.answered_alike(question) {
            return Some(self.record(now, what));
        }
        let (deadline, choice) = self.falls_due(question)?;
        if deadline > now || question.answer.is_some() {
            return None;
        }
        Some(self.record(
            now,
            What::Answered {
                escalation: question.escalation.id,
                choice,
                by: Principal::Rule,
                note: Some("nobody answered in time".into()),
            },
        ))
    }

    /// The signal that a running program is sent before it is asked to end.
    pub(super) fn save_signal(&self, lane: &LaneRun) -> Option<i32> {
        self.step_of(lane).checkpoint.as_ref()?.save_signal
    }

    pub(super) fn open_question(&self, place: usize) -> Option<&Question> {
        self.questions.get(&self.asks(&self.lanes[place])?)
    }

    /// A stopping run ends what runs.
    fn stops(&self, by: &Principal, now: Time, out: &mut Vec<Command>) {
        for &place in &self.sets.active {
            let lane = &self.lanes[place];
            let attempt = self.attempt(lane).filter(|_| !lane.keeping);
            if let (LaneState::Active { stop: None, .. }, Some(attempt)) = (&lane.state, attempt) {
                let (by, save) = (by.clone(), self.save_signal(lane));
                let what = What::StopAsked { attempt, reason: StopReason::Stop, by, save };
                out.push(self.record(now, what));
            }
        }
        let unasked = |lane: &&LaneRun| lane.stop_asked.is_none() && !asks_checkpoints(lane);
        for attempt in self.verifying().filter(unasked).filter_map(|lane| self.attempt(lane)) {
            let what = What::StopAsked { attempt, reason: StopReason::Stop, by: by.clone(), save: None };
            out.push(self.record(now, what));
        }
    }

    /// How the run ends, if there is nothing left that could happen.
    fn result(&self) -> Option<RunResult> {
        let busy = !self.sets.active.is_empty() || !self.sets.undecided.is_empty() || !self.sets.probing.is_empty();
        match &self.phase {
            _ if busy || !self.is_tended() => None,
            Phase::Stopping { why, .. } => Some(match why {
                RunStopWhy::Asked => RunResult::Stopped,
                RunStopWhy::Timeout | RunStopWhy::Abort { .. } => RunResult::Failed,
                RunStopWhy::Rejected => RunResult::Rejected,
            }),
            Phase::Going => {
                let waits =
                    !self.sets.ready.is_empty() || !self.sets.delayed.is_empty() || !self.sets.asking.is_empty();
                (!waits).then(|| self.outcome())
            }
            Phase::Ended { .. } => None,
        }
    }

    fn outcome(&self) -> RunResult {
        let has = |wanted: fn(&Ended) -> bool| {
            self.lanes.iter().any(|lane| matches!(&lane.state, LaneState::Done { how, .. } if wanted(how)))
        };
        if has(|how| matches!(how, Ended::Failed)) {
            RunResult::Failed
        } else if has(|how| matches!(how, Ended::Stopped)) {
            RunResult::Stopped
        } else {
            RunResult::Succeeded
        }
    }

    /// What must be so in the world.
    pub(super) fn effects(&self, out: &mut Vec<Command>) {
        for &place in &self.sets.active {
            let lane = &self.lanes[place];
            let Some(attempt) = self.attempt(lane) else {
                continue;
            };
            let LaneState::Active { claimed, stop, .. } = &lane.state else {
                continue;
            };
            if self.is_wait(lane) {
                let grace = self.step_of(lane).grace;
                out.push(match *stop {
                    Some(reason) => Command::Stop { attempt, reason, grace, save: None },
                    None => Command::LookOut(attempt),
                });
            } else if claimed.is_none() {
                // Also when it is to be stopped: whether it was started already, only its look-up can tell.
                out.push(Command::Launch(attempt));
            } else if let Some(reason) = *stop {
                let grace = self.step_of(lane).grace;
                out.push(Command::Stop { attempt, reason, grace, save: self.save_signal(lane) });
            } else if self.is_looked_for(lane) {
                out.push(Command::LookOut(attempt));
            }
        }
        for &place in &self.sets.probing {
            let lane = &self.lanes[place];
            let verifies = matches!(lane.state, LaneState::Verifying { .. });
            let command = match (verifies, asks_checkpoints(lane)) {
                (false, _) => Command::Probe,
                (true, false) => Command::Verify,
                (true, true) => Command::VerifyCheckpoints,
            };
            out.extend(self.attempt(lane).map(command));
        }
        if matches!(self.phase, Phase::Going) && !self.paused {
            out.extend(self.look_ups().map(|lane| Command::LookUp(self.id.clone(), lane.id.clone())));
        }
        self.tending(out);
        if matches!(self.phase, Phase::Ended { .. }) {
            out.push(Command::CloseEnvironment(self.id.clone()));
        }
    }
}

/// It ended badly, and its checkpoints are looked at.
fn asks_checkpoints(lane: &LaneRun) -> bool {
    matches!(&lane.state, LaneState::Verifying { exit } if exit.is_bad())
}
