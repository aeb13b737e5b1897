//! Folding what was decided about an attempt that ended or was lost, and what its probe or its `verify` said. Decides
//! nothing.

use crate::model::{AskWhy, AttemptId, Cause, Check, Exit, LostWhy, Outside, Principal, RunStopWhy, Time, Verdict};

use super::Run;
use super::state::{Ended, Finish, LaneState, Next, PastEnd, ToAsk};

/// What a decision is about.
enum Close {
    Exit(Box<Exit>),
    Unknown(LostWhy, Vec<String>),
}

impl Run {
    /// How the lane's newest attempt ended, while nothing is decided about it.
    fn close(&self, place: usize) -> Option<Close> {
        match &self.lanes[place].state {
            LaneState::Exited { exit } | LaneState::Verifying { exit } => Some(Close::Exit(exit.clone())),
            LaneState::Lost { why, evidence } => Some(Close::Unknown(*why, evidence.clone())),
            LaneState::Probed { why, evidence, code, output } => {
                Some(Close::Unknown(*why, probed_evidence(evidence, *code, output)))
            }
            LaneState::Waiting
            | LaneState::Active { .. }
            | LaneState::Probing { .. }
            | LaneState::Delayed { .. }
            | LaneState::ToAsk { .. }
            | LaneState::Asking { .. }
            | LaneState::Done { .. } => None,
        }
    }

    pub(super) fn judged(&mut self, attempt: &AttemptId, verdict: &Verdict, at: Time) {
        let Some(place) = self.current(attempt) else {
            return;
        };
        let Some(close) = self.close(place) else {
            return;
        };
        let done = |how| LaneState::Done { how, at };
        let state = match verdict {
            Verdict::Succeeded => done(Ended::Succeeded(match close {
                Close::Exit(_) => Finish::Exit,
                Close::Unknown(..) => Finish::Probe,
            })),
            Verdict::Retry { at: until, rule, resume, spend, patch } => {
                let cause = match close {
                    Close::Exit(exit) if exit.outside == Some(Outside::EngineRestarted) => Cause::Disrupted,
                    Close::Exit(_) => Cause::Retry { rule: rule.clone() },
                    Close::Unknown(..) => Cause::Unknown,
                };
                let lane = &mut self.lanes[place];
                lane.next = Some(Next { cause, resume: resume.clone(), patch: patch.clone(), heeds: false });
                lane.of = spend.as_ref().map(|spend| spend.of);
                if let Some(spend) = spend {
                    lane.spend(spend);
                }
                let (until, rule) = (*until, rule.clone());
                LaneState::Delayed { until, rule }
            }
            Verdict::Skip { .. } => done(Ended::LeftOut(Principal::Rule)),
            Verdict::Allowed => done(Ended::Allowed),
            Verdict::Abort { rule } => {
                let why = RunStopWhy::Abort { rule: rule.clone() };
                self.stop(why, &Principal::Rule);
                done(Ended::Failed)
            }
            Verdict::Stopped => done(Ended::Stopped),
            Verdict::Answered => return self.ended_as_answered(place, at),
            Verdict::Ask { why } => {
                let why = match (why, close) {
                    (AskWhy::Failed { rule, attempts, of, because, proposal }, Close::Exit(exit)) => ToAsk::Failed {
                        exit,
                        rule: rule.clone(),
                        attempts: *attempts,
                        of: *of,
                        because: because.clone(),
                        proposal: proposal.clone(),
                    },
                    (_, Close::Unknown(why, evidence)) => ToAsk::Unknown { why, evidence },
                    (AskWhy::Unknown(_), Close::Exit(_)) => return,
                };
                LaneState::ToAsk { why }
            }
        };
        self.put(place, state);
    }

    pub(super) fn probe_asked(&mut self, attempt: &AttemptId) {
        let Some(place) = self.current(attempt) else {
            return;
        };
        if let LaneState::Lost { why, evidence } = &self.lanes[place].state {
            let state = LaneState::Probing { why: *why, evidence: evidence.clone() };
            self.put(place, state);
        }
    }

    pub(super) fn probed(&mut self, attempt: &AttemptId, code: Option<i32>, output: &str) {
        let Some(place) = self.current(attempt) else {
            return;
        };
        if let LaneState::Probing { why, evidence } = &self.lanes[place].state {
            let state = LaneState::Probed { why: *why, evidence: evidence.clone(), code, output: output.to_owned() };
            self.put(place, state);
        }
    }

    /// Where an attempt is that has an exit record: what ended well may have to be verified first, and where it ended badly,
    /// what the next one is to go on from.
    pub(super) fn closed(&self, place: usize, exit: Box<Exit>) -> LaneState {
        let step = self.step_of(&self.lanes[place]);
        let success = exit.ended_well() && exit.verify.is_none() && step.verify.is_some();
        let declared = step.checkpoint.as_ref().is_some_and(|spec| spec.verify.is_some());
        // Also what was found damaged before: it may have been saved anew.
        let any = exit.checkpoint.is_some() || self.lanes[place].sightings.iter().any(|one| !one.is_leaving());
        let checkpoints = exit.is_bad() && any && declared;
        if success || checkpoints { LaneState::Verifying { exit } } else { LaneState::Exited { exit } }
    }

    pub(super) fn verified(&mut self, attempt: &AttemptId, check: &Check) {
        let Some(place) = self.current(attempt) else {
            return;
        };
        let lane = &mut self.lanes[place];
        let LaneState::Verifying { exit } = &lane.state else {
            return;
        };
        if exit.is_bad() {
            return;
        }
        let exit = Box::new(exit.as_ref().clone().checked(check.clone()));
        if let Some(PastEnd::Exit { unverified, .. }) = lane.past.last_mut().map(|past| &mut past.how) {
            *unverified = !check.how.is_good();
        }
        lane.last_exit = Some(exit.clone());
        let state = self.closed(place, exit);
        self.put(place, state);
    }
}

/// The evidence of a lost attempt, and what its probe said.
fn probed_evidence(evidence: &[String], code: Option<i32>, output: &str) -> Vec<String> {
    let mut lines = evidence.to_vec();
    lines.push(match code {
        Some(code) => format!("the probe ended with code {code} (0: it had finished, 10: it had not happened)"),
        None => "the probe gave no answer".into(),
    });
    lines.extend(
        output.lines().rev().take(3).collect::<Vec<_>>().into_iter().rev().map(|line| format!("probe: {line}")),
    );
    lines
}
