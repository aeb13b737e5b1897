//! Folding one event into one run. Total on (state, event): what does not fit changes nothing. Decides nothing.

use crate::model::{
    AttemptId, Cause, Checkpoint, Choice, EscalationId, EscalationKind, Event, LaneId, Order,
    Principal, SkipWhy, StepId, Time, Verdict, What,
};

use super::Run;
use super::state::{Ended, Finish, LaneState, Next, Phase, Question, ToAsk};

impl Run {
    pub(super) fn apply(&mut self, event: &Event) {
        let at = event.at;
        match &event.what {
            What::Created(_) => {}
            What::EnvironmentReady { isolation } => self.isolation = Some(isolation.clone()),
            What::EnvironmentFailed { .. } => {}
            What::Intended {
                attempt,
                cause,
                resume,
            } => self.intended(attempt, cause, resume.clone(), at),
            What::CannotStart { lane, why } => self.cannot_start(lane, why),
            What::Claimed { attempt } => self.claimed(attempt, at),
            What::CheckpointSeen {
                attempt,
                checkpoint,
            } => self.checkpoint_seen(attempt, checkpoint),
            What::Exited { attempt, exit } => {
                if let Some(place) = self
                    .current(attempt)
                    .filter(|place| self.lives_or_lost(*place))
                {
                    self.note_checkpoint(place, exit.checkpoint.as_ref());
                    self.lanes[place].last_exit = Some(exit.clone());
                    self.put(place, LaneState::Exited { exit: exit.clone() });
                }
            }
            What::Lost {
                attempt,
                why,
                evidence,
                checkpoint,
            } => {
                if let Some(place) = self.active_place(attempt) {
                    self.note_checkpoint(place, checkpoint.as_ref());
                    self.lanes[place].lost += 1;
                    self.lanes[place].lost_why = Some(*why);
                    self.put(
                        place,
                        LaneState::Lost {
                            why: *why,
                            evidence: evidence.clone(),
                        },
                    );
                }
            }
            What::Judged { attempt, verdict } => self.judged(attempt, verdict, at),
            What::StopAsked {
                attempt, reason, ..
            } => {
                if let Some(place) = self.active_place(attempt)
                    && let LaneState::Active { stop, .. } = &mut self.lanes[place].state
                    && stop.is_none()
                {
                    *stop = Some(*reason);
                }
            }
            What::ProbeAsked { attempt, .. } => self.probe_asked(attempt),
            What::Probed {
                attempt,
                code,
                output,
            } => self.probed(attempt, *code, output),
            What::Skipped { lane, why } => self.skipped(lane, why, at),
            What::Opened { escalation } => self.opened(escalation, at),
            What::Answered {
                escalation,
                choice,
                by,
                note,
            } => self.answered(*escalation, *choice, by, note.as_ref(), at),
            What::Ordered {
                lane, order, by, ..
            } => self.ordered(lane, *order, by, at),
            What::Paused { .. } => self.paused = true,
            What::Unpaused { .. } => self.paused = false,
            What::RunStopAsked { by, why } => {
                if matches!(self.phase, Phase::Going) {
                    self.phase = Phase::Stopping {
                        why: why.clone(),
                        by: by.clone(),
                    };
                }
            }
            What::Resumed { from, by } => self.resumed(from.as_ref(), by, at),
            What::Ended { result } => {
                if !matches!(self.phase, Phase::Ended { .. }) {
                    self.phase = Phase::Ended {
                        result: *result,
                        at,
                    };
                }
            }
        }
    }

    /// The place of this attempt, if it is the lane's newest and intended or running.
    fn active_place(&self, attempt: &AttemptId) -> Option<usize> {
        self.current(attempt)
            .filter(|place| matches!(self.lanes[*place].state, LaneState::Active { .. }))
    }

    /// An exit record that turns up after the attempt was thought lost still counts, as long as nobody has answered.
    fn lives_or_lost(&self, place: usize) -> bool {
        matches!(
            self.lanes[place].state,
            LaneState::Active { .. } | LaneState::Lost { .. }
        )
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
        match cause {
            Cause::Person(_) | Cause::First => {
                lane.tries = 1;
                lane.lost = 0;
            }
            Cause::Retry { .. } | Cause::Unknown => lane.tries += 1,
        }
        self.put(
            place,
            LaneState::Active {
                since: at,
                claimed: None,
                resume,
                stop: None,
            },
        );
    }

    fn cannot_start(&mut self, lane: &LaneId, why: &str) {
        let Some(&place) = self.places.get(lane) else {
            return;
        };
        if matches!(
            self.lanes[place].state,
            LaneState::Waiting
                | LaneState::Delayed { .. }
                | LaneState::Active { claimed: None, .. }
        ) {
            self.put(
                place,
                LaneState::ToAsk {
                    why: ToAsk::CannotStart {
                        why: why.to_owned(),
                    },
                },
            );
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
            self.lanes[place].checkpoint = Some(checkpoint.clone());
        }
    }

    fn judged(&mut self, attempt: &AttemptId, verdict: &Verdict, at: Time) {
        let Some(place) = self.current(attempt) else {
            return;
        };
        let (exit, unknown) = match &self.lanes[place].state {
            LaneState::Exited { exit } => (Some(exit.clone()), None),
            LaneState::Lost { why, evidence } => (None, Some((*why, evidence.clone()))),
            LaneState::Probed {
                why,
                evidence,
                code,
                output,
            } => (None, Some((*why, probed_evidence(evidence, *code, output)))),
            LaneState::Waiting
            | LaneState::Active { .. }
            | LaneState::Probing { .. }
            | LaneState::Delayed { .. }
            | LaneState::ToAsk { .. }
            | LaneState::Asking { .. }
            | LaneState::Done { .. } => return,
        };
        match verdict {
            Verdict::Succeeded => {
                let by = if exit.is_some() {
                    Finish::Exit
                } else {
                    Finish::Probe
                };
                self.put(
                    place,
                    LaneState::Done {
                        how: Ended::Succeeded(by),
                        at,
                    },
                );
            }
            Verdict::Retry {
                at: until,
                rule,
                resume,
            } => {
                let cause = if exit.is_some() {
                    Cause::Retry { rule: rule.clone() }
                } else {
                    Cause::Unknown
                };
                self.lanes[place].next = Some(Next {
                    cause,
                    resume: resume.clone(),
                });
                self.put(
                    place,
                    LaneState::Delayed {
                        until: *until,
                        rule: rule.clone(),
                    },
                );
            }
            Verdict::Allowed => self.put(
                place,
                LaneState::Done {
                    how: Ended::Allowed,
                    at,
                },
            ),
            Verdict::Abort { rule } => {
                self.put(
                    place,
                    LaneState::Done {
                        how: Ended::Failed,
                        at,
                    },
                );
                if matches!(self.phase, Phase::Going) {
                    let why = crate::model::RunStopWhy::Abort { rule: rule.clone() };
                    self.phase = Phase::Stopping {
                        why,
                        by: Principal::Rule,
                    };
                }
            }
            Verdict::Stopped => self.put(
                place,
                LaneState::Done {
                    how: Ended::Stopped,
                    at,
                },
            ),
            Verdict::Ask { why } => {
                let why = match (why, exit, unknown) {
                    (crate::model::AskWhy::Failed { rule, of, .. }, Some(exit), _) => {
                        ToAsk::Failed {
                            exit,
                            rule: rule.clone(),
                            of: *of,
                        }
                    }
                    (_, _, Some((why, evidence))) => ToAsk::Unknown { why, evidence },
                    (_, _, None) => return,
                };
                self.put(place, LaneState::ToAsk { why });
            }
        }
    }

    fn probe_asked(&mut self, attempt: &AttemptId) {
        let Some(place) = self.current(attempt) else {
            return;
        };
        if let LaneState::Lost { why, evidence } = &self.lanes[place].state {
            let state = LaneState::Probing {
                why: *why,
                evidence: evidence.clone(),
            };
            self.put(place, state);
        }
    }

    fn probed(&mut self, attempt: &AttemptId, code: Option<i32>, output: &str) {
        let Some(place) = self.current(attempt) else {
            return;
        };
        if let LaneState::Probing { why, evidence } = &self.lanes[place].state {
            let state = LaneState::Probed {
                why: *why,
                evidence: evidence.clone(),
                code,
                output: output.to_owned(),
            };
            self.put(place, state);
        }
    }

    fn skipped(&mut self, lane: &LaneId, why: &SkipWhy, at: Time) {
        let Some(&place) = self.places.get(lane) else {
            return;
        };
        if matches!(self.lanes[place].state, LaneState::Waiting) {
            self.put(
                place,
                LaneState::Done {
                    how: Ended::Skipped(why.clone()),
                    at,
                },
            );
        }
    }

    fn opened(&mut self, escalation: &crate::model::Escalation, at: Time) {
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
            let question = Question {
                escalation: escalation.clone(),
                opened: at,
                answer: None,
            };
            self.questions.insert(escalation.id, question);
            self.put(
                place,
                LaneState::Asking {
                    escalation: escalation.id,
                },
            );
        }
    }

    fn answered(
        &mut self,
        id: EscalationId,
        choice: Choice,
        by: &Principal,
        note: Option<&String>,
        at: Time,
    ) {
        let Some(question) = self.questions.get_mut(&id) else {
            return;
        };
        let Some(&place) = self.places.get(&question.escalation.lane) else {
            return;
        };
        let asks =
            matches!(self.lanes[place].state, LaneState::Asking { escalation } if escalation == id);
        if question.answer.is_some() || !asks || !question.escalation.choices.contains(&choice) {
            return;
        }
        question.answer = Some((choice, by.clone(), at, note.cloned()));
        let evidence = question.escalation.evidence.clone();
        let done = |how| LaneState::Done { how, at };
        match choice {
            Choice::Retry => self.again(place, by, None),
            Choice::Resume => {
                let resume = self.lanes[place]
                    .checkpoint
                    .as_ref()
                    .map(|checkpoint| checkpoint.path.clone());
                self.again(place, by, resume);
            }
            Choice::Probe => {
                let why = self.lanes[place]
                    .lost_why
                    .unwrap_or(crate::model::LostWhy::ShimDied);
                self.put(place, LaneState::Probing { why, evidence });
            }
            Choice::Done | Choice::Approve => {
                self.put(place, done(Ended::Succeeded(Finish::Person(by.clone()))))
            }
            Choice::Skip => self.put(place, done(Ended::LeftOut(by.clone()))),
            Choice::Fail => self.put(place, done(Ended::Failed)),
            Choice::Reject => {
                self.put(place, done(Ended::Failed));
                self.stop(crate::model::RunStopWhy::Rejected, by);
            }
            Choice::StopRun => {
                self.put(place, done(Ended::Stopped));
                self.stop(crate::model::RunStopWhy::Asked, by);
            }
        }
    }

    fn stop(&mut self, why: crate::model::RunStopWhy, by: &Principal) {
        if matches!(self.phase, Phase::Going) {
            self.phase = Phase::Stopping {
                why,
                by: by.clone(),
            };
        }
    }

    /// The lane gets a new attempt by a person's word.
    fn again(&mut self, place: usize, by: &Principal, resume: Option<String>) {
        self.lanes[place].next = Some(Next {
            cause: Cause::Person(by.clone()),
            resume,
        });
        self.put(place, LaneState::Waiting);
        self.unskip_after(place);
    }

    /// What was left out because this lane had not succeeded waits for it again.
    fn unskip_after(&mut self, place: usize) {
        let step = self.steps[self.lanes[place].step].id.clone();
        let after = self.downstream(&step);
        let own = self.lanes[place].step;
        let mut changed = false;
        for lane in self
            .lanes
            .iter_mut()
            .filter(|lane| lane.step != own && after.contains(&lane.step))
        {
            let skipped = matches!(
                lane.state,
                LaneState::Done {
                    how: Ended::Skipped(SkipWhy::Need(_) | SkipWhy::RunEnded),
                    ..
                }
            );
            if skipped {
                lane.state = LaneState::Waiting;
                changed = true;
            }
        }
        if changed {
            self.recount();
        }
    }

    fn ordered(&mut self, lane: &LaneId, order: Order, by: &Principal, at: Time) {
        let Some(&place) = self.places.get(lane) else {
            return;
        };
        let movable = matches!(
            self.lanes[place].state,
            LaneState::Waiting | LaneState::Delayed { .. } | LaneState::Done { .. }
        );
        if !movable {
            return;
        }
        if matches!(self.phase, Phase::Ended { .. }) {
            self.phase = Phase::Going;
            self.since = at;
        }
        match order {
            Order::Retry => self.again(place, by, None),
            Order::Resume => {
                let resume = self.lanes[place]
                    .checkpoint
                    .as_ref()
                    .map(|checkpoint| checkpoint.path.clone());
                self.again(place, by, resume);
            }
            Order::Skip => {
                self.put(
                    place,
                    LaneState::Done {
                        how: Ended::LeftOut(by.clone()),
                        at,
                    },
                );
                self.unskip_after(place);
            }
            Order::Done => {
                let how = Ended::Succeeded(Finish::Person(by.clone()));
                self.put(place, LaneState::Done { how, at });
                self.unskip_after(place);
            }
        }
    }

    /// Goes on with a run that had ended or is being stopped. Lanes that cannot be known to have finished stay a question.
    fn resumed(&mut self, from: Option<&StepId>, by: &Principal, at: Time) {
        if matches!(self.phase, Phase::Going) {
            return;
        }
        self.phase = Phase::Going;
        self.since = at;
        self.paused = false;
        let again = from.map(|from| self.downstream(from));
        for place in 0..self.lanes.len() {
            let redo = again
                .as_ref()
                .is_some_and(|again| again.contains(&self.lanes[place].step));
            let next = Next {
                cause: Cause::Person(by.clone()),
                resume: if redo {
                    None
                } else {
                    self.lanes[place]
                        .checkpoint
                        .as_ref()
                        .map(|c| c.path.clone())
                },
            };
            let asking = match &self.lanes[place].state {
                LaneState::Asking { escalation } => Some(*escalation),
                _ => None,
            };
            let goes = match &self.lanes[place].state {
                LaneState::Done { how, .. } => match how {
                    Ended::Failed | Ended::Stopped => true,
                    Ended::Skipped(SkipWhy::Need(_) | SkipWhy::RunEnded) => true,
                    Ended::Skipped(SkipWhy::NotSelected) => false,
                    Ended::Skipped(SkipWhy::Condition)
                    | Ended::Allowed
                    | Ended::LeftOut(_)
                    | Ended::Succeeded(_) => redo,
                },
                LaneState::Asking { escalation } => {
                    self.questions.get(escalation).is_some_and(|q| {
                        matches!(
                            q.escalation.kind,
                            EscalationKind::Failed | EscalationKind::CannotStart
                        )
                    })
                }
                LaneState::Waiting
                | LaneState::Active { .. }
                | LaneState::Exited { .. }
                | LaneState::Lost { .. }
                | LaneState::Probing { .. }
                | LaneState::Probed { .. }
                | LaneState::Delayed { .. }
                | LaneState::ToAsk { .. } => false,
            };
            if goes {
                if let Some(question) = asking.and_then(|id| self.questions.get_mut(&id)) {
                    question.answer = Some((
                        Choice::Retry,
                        by.clone(),
                        at,
                        Some("the run was resumed".into()),
                    ));
                }
                let lane = &mut self.lanes[place];
                lane.next = (lane.n > 0).then_some(next);
                lane.state = LaneState::Waiting;
            }
        }
        self.recount();
    }
}

/// The evidence of a lost attempt, and what its probe said.
pub(super) fn probed_evidence(evidence: &[String], code: Option<i32>, output: &str) -> Vec<String> {
    let mut lines = evidence.to_vec();
    lines.push(match code {
        Some(code) => format!(
            "the probe ended with code {code} (0: it had finished, 10: it had not happened)"
        ),
        None => "the probe gave no answer".into(),
    });
    lines.extend(
        output
            .lines()
            .rev()
            .take(3)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .map(|line| format!("probe: {line}")),
    );
    lines
}
