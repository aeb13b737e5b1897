//! Folding one event into one run. Total on (state, event): what does not fit changes nothing. Decides nothing.

use std::time::Duration;

use crate::model::{
    AttemptId, Cause, Checkpoint, Escalation, EscalationKind, Event, Exit, LaneId, LostWhy, SkipWhy, StopReason, Time,
    What,
};

use super::Run;
use super::secrets::lost_secrets_words;
use super::state::{Clocks, Ended, Held, LaneState, Next, Past, PastEnd, Phase, Question, ToAsk};
use super::told::Told;

impl Run {
    pub(super) fn apply(&mut self, event: &Event) {
        let at = event.at;
        match &event.what {
            What::Created(_) | What::NotSnapshotted { .. } => {}
            What::EnvironmentReady { environment, isolation } => {
                self.isolations.insert(environment.clone(), isolation.clone());
                self.lacking.remove(environment);
            }
            What::EnvironmentFailed { environment, .. } => {
                self.lacking.insert(environment.clone());
            }
            What::Intended { attempt, cause, resume } => self.intended(attempt, cause, resume.clone(), at),
            What::CacheLooked { lane, look } => self.cache_looked(lane, look, at),
            What::CannotStart { lane, why } => self.cannot_start(lane, why, at),
            What::SecretsLost { lane, names } => self.secrets_lost(lane, names, at),
            What::SecretsGiven { names, .. } => self.lost_secrets.retain(|name| !names.contains(name)),
            What::Claimed { attempt } => self.claimed(attempt, at),
            What::Noted { attempt, note, offset } => self.noted(attempt, note, *offset, at),
            What::Booked { attempt, gpus } => self.booked(attempt, gpus),
            What::Looked { attempt, good, given_up, seen } => self.looked(attempt, (*good, *given_up), seen, at),
            What::ClocksSet { attempt, order, .. } => self.clocks_set(attempt, *order, at),
            What::Stalled { attempt, stall } => self.stalled(attempt, stall, at),
            What::Revived { attempt } => self.revived(attempt, at),
            What::CheckpointSeen { attempt, checkpoint, offset } => {
                self.checkpoint_seen(attempt, (checkpoint, *offset), at);
            }
            What::Keeping { attempt } => self.is_kept_now(attempt),
            What::Snapshotted { attempt, snapshot } => self.keep(attempt, snapshot, at),
            What::SnapshotMarked { attempt, mark, .. } => self.mark(attempt, *mark),
            What::Exited { attempt, exit } => self.exited(attempt, exit, at),
            What::Lost { attempt, why, evidence, checkpoint } => {
                self.lost(attempt, (*why, evidence), checkpoint.as_ref(), at);
            }
            What::Judged { attempt, verdict } => self.judged(attempt, verdict, at),
            What::StopAsked { attempt, reason, .. } => self.stop_asked(attempt, *reason, at),
            What::ProbeAsked { attempt, .. } => self.probe_asked(attempt),
            What::Probed { attempt, code, output } => self.probed(attempt, *code, output),
            What::Verified { attempt, check } => self.verified(attempt, check),
            What::CheckpointsVerified { attempt, good, damaged, digest } => {
                self.checkpoints_verified(attempt, (good.as_ref(), digest.as_ref()), damaged);
            }
            What::CheckpointChecked { lane, checkpoint, flaw, digest } => {
                self.checkpoint_checked(lane, checkpoint, (flaw.as_ref(), digest.as_ref()));
            }
            What::CheckpointMarked { lane, path, mark, by } => self.checkpoint_marked(lane, path, *mark, by),
            What::CheckpointRemoved { lane, path, why } => self.checkpoint_removed(lane, path, why.as_ref()),
            What::Skipped { lane, why } => self.skipped(lane, why, at),
            What::Opened { escalation } => self.opened(escalation, at),
            What::Answered { escalation, choice, by, note } => {
                self.answered(*escalation, (*choice, by), note.as_ref(), at);
            }
            What::Held { escalation, choice, by, note, until } => {
                let held = Held { choice: *choice, by: by.clone(), note: note.clone(), at, until: *until };
                self.hold(*escalation, held);
            }
            What::Lasting { escalation, .. } => self.lasts(*escalation),
            What::Undone { escalation, .. } => {
                self.lasting.retain(|_, of| of != escalation);
                if let Some(question) = self.questions.get_mut(escalation) {
                    question.held = None;
                }
            }
            What::Extended { escalation, deadline, .. } => self.extended(*escalation, *deadline),
            What::Attached { attempt, by } => self.attached(attempt, by, at),
            What::Detached { attempt, .. } => self.detached(attempt, at),
            What::Ordered { lane, order, by, .. } => self.ordered(lane, *order, by, at),
            What::Paused { .. } => self.paused = true,
            What::Unpaused { .. } => self.paused = false,
            What::RunStopAsked { by, why } => self.stop(why.clone(), by),
            What::Resumed { from, by } => self.resumed(from.as_ref(), by, at),
            What::Ended { result } => {
                if !matches!(self.phase, Phase::Ended { .. }) {
                    self.phase = Phase::Ended { result: *result, at };
                    self.nobody_waits();
                }
            }
        }
    }

    fn exited(&mut self, attempt: &AttemptId, exit: &Exit, at: Time) {
        let Some(place) = self.current(attempt).filter(|place| self.lives_or_lost(*place)) else { return };
        self.settle_stall(place, "it has ended", at);
        self.note_damaged(place, &exit.damaged);
        let mut exit = Box::new(exit.clone());
        exit.checkpoint = self.usable_checkpoint(place, exit.checkpoint.take());
        self.note_checkpoint(place, exit.checkpoint.as_ref());
        let (end, stop, missing) = (exit.end, exit.stop, !exit.missing.is_empty());
        let how = PastEnd::Exit { end, stop, missing, outside: exit.outside, unverified: false };
        self.note_past(place, (exit.started, exit.ended), how);
        self.lanes[place].numbers.extend(exit.numbers.clone());
        self.lanes[place].last_exit = Some(exit.clone());
        let state = self.closed(place, exit);
        self.put(place, state);
    }

    fn lost(
        &mut self,
        attempt: &AttemptId,
        (why, evidence): (LostWhy, &[String]),
        checkpoint: Option<&Checkpoint>,
        at: Time,
    ) {
        let Some(place) = self.active_place(attempt) else { return };
        self.settle_stall(place, "it is not known whether it has ended", at);
        self.note_damaged(place, &[]);
        let checkpoint = self.usable_checkpoint(place, checkpoint.cloned());
        self.note_checkpoint(place, checkpoint.as_ref());
        let started = self.lanes[place].started.unwrap_or(at);
        self.note_past(place, (started, at), PastEnd::Lost(why));
        self.lanes[place].lost += 1;
        self.lanes[place].lost_why = Some(why);
        self.lanes[place].lost_evidence = evidence.to_vec();
        self.put(place, LaneState::Lost { why, evidence: evidence.to_vec() });
    }

    fn is_kept_now(&mut self, attempt: &AttemptId) {
        if let Some(place) = self.active_place(attempt) {
            self.lanes[place].keeping = true;
        }
    }

    fn secrets_lost(&mut self, lane: &LaneId, names: &[String], at: Time) {
        self.lost_secrets.extend(names.iter().cloned());
        self.cannot_start(lane, &lost_secrets_words(names), at);
    }

    /// The place of this attempt, if it is the lane's newest and intended or running.
    pub(super) fn active_place(&self, attempt: &AttemptId) -> Option<usize> {
        self.current(attempt).filter(|place| matches!(self.lanes[*place].state, LaneState::Active { .. }))
    }

    /// An exit record that turns up after the attempt was thought lost still counts, as long as nobody has answered.
    fn lives_or_lost(&self, place: usize) -> bool {
        matches!(self.lanes[place].state, LaneState::Active { .. } | LaneState::Lost { .. })
    }

    fn note_past(&mut self, place: usize, (started, ended): (Time, Time), how: PastEnd) {
        let lane = &mut self.lanes[place];
        let known = lane.past.pop_if(|past| past.n == lane.n);
        let resumed = match &lane.state {
            LaneState::Active { resume, .. } => resume.is_some(),
            LaneState::Waiting
            | LaneState::Exited { .. }
            | LaneState::Lost { .. }
            | LaneState::Probing { .. }
            | LaneState::Verifying { .. }
            | LaneState::Probed { .. }
            | LaneState::Delayed { .. }
            | LaneState::ToAsk { .. }
            | LaneState::Asking { .. }
            | LaneState::Done { .. } => known.is_some_and(|known| known.resumed),
        };
        lane.past.push(Past { n: lane.n, started, ended, how, resumed });
    }

    fn intended(&mut self, attempt: &AttemptId, cause: &Cause, resume: Option<String>, at: Time) {
        let Some(&place) = self.places.get(&attempt.lane) else {
            return;
        };
        let lane = &mut self.lanes[place];
        let startable = matches!(lane.state, LaneState::Waiting | LaneState::Delayed { .. });
        if attempt.run != self.id || attempt.n != lane.n + 1 || !startable {
            return;
        }
        lane.n = attempt.n;
        if let Some(patch) = lane.next.take().and_then(|next| next.patch) {
            lane.patch = patch;
        }
        if !lane.patch.resources.is_empty() {
            lane.raised.insert(lane.n, lane.patch.resources.clone());
        }
        lane.touched = false;
        lane.unstarted = None;
        lane.chosen = false;
        lane.started = None;
        lane.last_exit = None;
        lane.stop_asked = None;
        lane.stop_since = None;
        lane.keeping = false;
        // Who is attached to the last one has its terminal, not that of the next one.
        lane.attached = None;
        lane.stood_still = Duration::ZERO;
        (lane.stall, lane.spared, lane.clocks) = (None, None, Clocks::default());
        (lane.seen, lane.gpus) = (None, Vec::new());
        lane.hands.clear();
        lane.told = Told::default();
        lane.cause = Some(cause.clone());
        match cause {
            Cause::Person(_) | Cause::First => {
                lane.tries = 1;
                lane.lost = 0;
                lane.spent.clear();
                lane.of = None;
            }
            Cause::Retry { .. } => lane.tries += 1,
            // It was not the step that failed: see `recovery` for how often this is done.
            Cause::Unknown | Cause::Disrupted => {}
        }
        self.put(place, LaneState::Active { since: at, claimed: None, resume, stop: None });
    }

    /// The intent came to nothing: the next one is made for the same reason.
    fn not_started(&mut self, place: usize) {
        let lane = &mut self.lanes[place];
        let LaneState::Active { resume, .. } = &lane.state else {
            return;
        };
        let cause = lane.cause.clone().unwrap_or(Cause::First);
        if matches!(cause, Cause::Retry { .. }) {
            lane.tries -= 1;
        }
        lane.next = Some(Next { cause, resume: resume.clone(), patch: None, heeds: false });
    }

    /// A lane asks what is to be done. Where it is the environment that cannot be had, or a secret, one lane asks for all:
    /// the others wait for the answer.
    fn cannot_start(&mut self, lane: &LaneId, why: &str, at: Time) {
        let Some(&place) = self.places.get(lane) else {
            return;
        };
        let intended = matches!(self.lanes[place].state, LaneState::Active { claimed: None, .. });
        let waits = matches!(self.lanes[place].state, LaneState::Waiting | LaneState::Delayed { .. });
        if matches!(self.lanes[place].state, LaneState::Active { claimed: None, stop: Some(_), .. }) {
            // It was to be stopped, and has never begun: nobody is asked.
            self.put(place, LaneState::Done { how: Ended::Stopped, at });
        } else if intended && self.waits_for_another(place) {
            self.not_started(place);
            self.put(place, LaneState::Waiting);
        } else if intended || waits {
            if let LaneState::Active { resume, .. } = &self.lanes[place].state {
                self.lanes[place].unstarted = resume.clone();
            }
            let why = why.to_owned();
            let why = ToAsk::CannotStart { why };
            self.put(place, LaneState::ToAsk { why });
        }
    }

    fn claimed(&mut self, attempt: &AttemptId, at: Time) {
        if let Some(place) = self.active_place(attempt)
            && let LaneState::Active { claimed, .. } = &mut self.lanes[place].state
            && claimed.is_none()
        {
            *claimed = Some(at);
            self.lanes[place].started = Some(at);
            self.count_service(place);
        }
    }

    fn stop_asked(&mut self, attempt: &AttemptId, reason: StopReason, at: Time) {
        let Some(place) = self.current(attempt) else {
            return;
        };
        let lane = &mut self.lanes[place];
        match &mut lane.state {
            LaneState::Active { stop, .. } if !lane.keeping && stop.is_none() => *stop = Some(reason),
            LaneState::Verifying { .. } if lane.stop_asked.is_none() => {}
            LaneState::Waiting
            | LaneState::Active { .. }
            | LaneState::Exited { .. }
            | LaneState::Lost { .. }
            | LaneState::Probing { .. }
            | LaneState::Probed { .. }
            | LaneState::Verifying { .. }
            | LaneState::Delayed { .. }
            | LaneState::ToAsk { .. }
            | LaneState::Asking { .. }
            | LaneState::Done { .. } => return,
        }
        lane.stop_asked = Some(reason);
        lane.stop_since = Some(at);
        if !reason.is_trouble() {
            self.settle_stall(place, "it is being stopped", at);
            self.lanes[place].stall = None;
        }
        self.count_service(place);
    }

    fn skipped(&mut self, lane: &LaneId, why: &SkipWhy, at: Time) {
        let Some(&place) = self.places.get(lane) else {
            return;
        };
        if matches!(self.lanes[place].state, LaneState::Waiting | LaneState::Delayed { .. }) {
            self.lanes[place].next = None;
            self.put(place, LaneState::Done { how: Ended::Skipped(why.clone()), at });
        }
    }

    fn opened(&mut self, escalation: &Escalation, at: Time) {
        let Some(&place) = self.places.get(&escalation.lane) else {
            return;
        };
        if escalation.kind == EscalationKind::Stalled {
            return self.opened_stall(place, escalation, at);
        }
        let fits = match escalation.kind {
            EscalationKind::Stalled => false,
            EscalationKind::Gate => matches!(self.lanes[place].state, LaneState::Waiting),
            EscalationKind::Failed | EscalationKind::Unknown | EscalationKind::CannotStart => {
                matches!(self.lanes[place].state, LaneState::ToAsk { .. })
            }
        };
        if fits && !self.questions.contains_key(&escalation.id) {
            let question = Question { escalation: escalation.clone(), opened: at, answer: None, held: None };
            self.questions.insert(escalation.id, question);
            self.put(place, LaneState::Asking { escalation: escalation.id });
        }
    }
}
