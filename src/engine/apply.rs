//! Folding one event into one run. Total on (state, event): what does not fit changes nothing. Decides nothing.

use crate::model::{AttemptId, Cause, Checkpoint, Escalation, EscalationKind, Event, LaneId, SkipWhy, Time, What};

use super::Run;
use super::state::{Ended, LaneState, Next, Phase, Question, ToAsk};

impl Run {
    pub(super) fn apply(&mut self, event: &Event) {
        let at = event.at;
        match &event.what {
            What::Created(_) => {}
            What::EnvironmentReady { isolation } => {
                self.isolation = Some(isolation.clone());
                self.no_environment = false;
            }
            What::EnvironmentFailed { .. } => self.no_environment = true,
            What::Intended { attempt, cause, resume } => self.intended(attempt, cause, resume.clone(), at),
            What::CannotStart { lane, why } => self.cannot_start(lane, why),
            What::Claimed { attempt } => self.claimed(attempt, at),
            What::CheckpointSeen { attempt, checkpoint } => self.checkpoint_seen(attempt, checkpoint),
            What::Exited { attempt, exit } => {
                if let Some(place) = self.current(attempt).filter(|place| self.lives_or_lost(*place)) {
                    self.note_checkpoint(place, exit.checkpoint.as_ref());
                    self.lanes[place].last_exit = Some(exit.clone());
                    self.put(place, LaneState::Exited { exit: exit.clone() });
                }
            }
            What::Lost { attempt, why, evidence, checkpoint } => {
                if let Some(place) = self.active_place(attempt) {
                    self.note_checkpoint(place, checkpoint.as_ref());
                    self.lanes[place].lost += 1;
                    self.lanes[place].lost_why = Some(*why);
                    self.lanes[place].lost_evidence.clone_from(evidence);
                    self.put(place, LaneState::Lost { why: *why, evidence: evidence.clone() });
                }
            }
            What::Judged { attempt, verdict } => self.judged(attempt, verdict, at),
            What::StopAsked { attempt, reason, .. } => {
                if let Some(place) = self.active_place(attempt)
                    && let LaneState::Active { stop, .. } = &mut self.lanes[place].state
                    && stop.is_none()
                {
                    *stop = Some(*reason);
                    self.lanes[place].stop_asked = Some(*reason);
                }
            }
            What::ProbeAsked { attempt, .. } => self.probe_asked(attempt),
            What::Probed { attempt, code, output } => self.probed(attempt, *code, output),
            What::Skipped { lane, why } => self.skipped(lane, why, at),
            What::Opened { escalation } => self.opened(escalation, at),
            What::Answered { escalation, choice, by, note } => {
                self.answered(*escalation, (*choice, by), note.as_ref(), at);
            }
            What::Ordered { lane, order, by, .. } => self.ordered(lane, *order, by, at),
            What::Paused { .. } => self.paused = true,
            What::Unpaused { .. } => self.paused = false,
            What::RunStopAsked { by, why } => self.stop(why.clone(), by),
            What::Resumed { from, by } => self.resumed(from.as_ref(), by, at),
            What::Ended { result } => {
                if !matches!(self.phase, Phase::Ended { .. }) {
                    self.phase = Phase::Ended { result: *result, at };
                }
            }
        }
    }

    /// The place of this attempt, if it is the lane's newest and intended or running.
    fn active_place(&self, attempt: &AttemptId) -> Option<usize> {
        self.current(attempt).filter(|place| matches!(self.lanes[*place].state, LaneState::Active { .. }))
    }

    /// An exit record that turns up after the attempt was thought lost still counts, as long as nobody has answered.
    fn lives_or_lost(&self, place: usize) -> bool {
        matches!(self.lanes[place].state, LaneState::Active { .. } | LaneState::Lost { .. })
    }

    fn note_checkpoint(&mut self, place: usize, checkpoint: Option<&Checkpoint>) {
        if self.step_of(&self.lanes[place]).checkpoint.is_some() {
            self.lanes[place].checkpoint = checkpoint.cloned();
        }
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
        lane.next = None;
        lane.started = None;
        lane.last_exit = None;
        lane.stop_asked = None;
        lane.cause = Some(cause.clone());
        match cause {
            Cause::Person(_) | Cause::First => {
                lane.tries = 1;
                lane.lost = 0;
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
        lane.next = Some(Next { cause, resume: resume.clone(), heeds: false });
    }

    /// A lane asks what is to be done. Where it is the environment that cannot be had, one lane asks for all: the others
    /// wait for the answer.
    fn cannot_start(&mut self, lane: &LaneId, why: &str) {
        let Some(&place) = self.places.get(lane) else {
            return;
        };
        let intended = matches!(self.lanes[place].state, LaneState::Active { claimed: None, .. });
        let waits = matches!(self.lanes[place].state, LaneState::Waiting | LaneState::Delayed { .. });
        if intended && self.waits_for_environment() {
            self.not_started(place);
            self.put(place, LaneState::Waiting);
        } else if intended || waits {
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
        }
    }

    fn checkpoint_seen(&mut self, attempt: &AttemptId, checkpoint: &Checkpoint) {
        if let Some(place) = self.active_place(attempt) {
            self.note_checkpoint(place, Some(checkpoint));
        }
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
        let fits = match escalation.kind {
            EscalationKind::Gate => matches!(self.lanes[place].state, LaneState::Waiting),
            EscalationKind::Failed | EscalationKind::Unknown | EscalationKind::CannotStart => {
                matches!(self.lanes[place].state, LaneState::ToAsk { .. })
            }
        };
        if fits && !self.questions.contains_key(&escalation.id) {
            let question = Question { escalation: escalation.clone(), opened: at, answer: None };
            self.questions.insert(escalation.id, question);
            self.put(place, LaneState::Asking { escalation: escalation.id });
        }
    }
}
