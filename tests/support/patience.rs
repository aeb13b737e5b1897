//! What the journal may not say while somebody can still take back an answer, or types into a step. Rules of its own that
//! share no code with the engine.

use std::collections::BTreeMap;
use std::time::Duration;

use dogwatch::engine::Run;
use dogwatch::model::{
    AttemptId, Cause, Choice, EscalationId, Event, LaneId, Principal, RunId, StopReason, Time, What,
};

/// What waits for a person.
#[derive(Default)]
pub(crate) struct Patience {
    held: BTreeMap<EscalationId, (RunId, Choice, Principal, Time)>,
    attached: BTreeMap<(RunId, LaneId), Time>,
    /// When each attempt was claimed, and how long somebody has typed into it since.
    claimed: BTreeMap<AttemptId, (Time, Duration)>,
}

impl Patience {
    pub(crate) fn check(&mut self, run: &Run, event: &Event) -> Result<(), String> {
        let place = |attempt: &AttemptId| (attempt.run.clone(), attempt.lane.clone());
        match &event.what {
            What::Held { escalation, choice, by, until, .. } => {
                let held = (event.run.clone(), *choice, by.clone(), *until);
                ensure(self.held.insert(*escalation, held).is_none(), "a second answer while the first is held")
            }
            What::Lasting { escalation, .. } => {
                ensure(!self.held.contains_key(escalation), "an answer is to last that is given already")
            }
            What::Undone { escalation, .. } => {
                ensure(self.held.remove(escalation).is_some(), "taken back, and nothing was held")
            }
            What::Answered { escalation, choice, by, .. } => match self.held.remove(escalation) {
                Some((_, held, who, until)) => {
                    ensure((held, &who) == (*choice, by), "another answer than the held one")?;
                    ensure(event.at >= until, "a held answer before its time")
                }
                None => Ok(()),
            },
            What::Ended { .. } | What::Resumed { .. } => {
                self.held.retain(|_, (of, ..)| *of != event.run);
                self.attached.retain(|(of, _), _| *of != event.run);
                Ok(())
            }
            What::Attached { attempt, .. } => {
                self.attached.entry(place(attempt)).or_insert(event.at);
                Ok(())
            }
            What::Detached { attempt, .. } => {
                let since = self.attached.remove(&place(attempt));
                let newest = run.lane(&attempt.lane).and_then(|lane| run.attempt(lane));
                if let (Some(since), Some(known)) = (since, newest.and_then(|newest| self.claimed.get_mut(&newest))) {
                    known.1 += event.at.since(since.max(known.0));
                }
                Ok(())
            }
            What::Claimed { attempt } => {
                self.claimed.entry(attempt.clone()).or_insert((event.at, Duration::ZERO));
                Ok(())
            }
            What::StopAsked { attempt, reason: StopReason::Stall, by: Principal::Rule, .. } => {
                ensure(!self.attached.contains_key(&place(attempt)), "ended for a stall while somebody is attached")
            }
            What::StopAsked { attempt, reason: StopReason::Timeout, .. } => self.timed_out(run, attempt, event.at),
            What::Intended { attempt, cause: Cause::Retry { .. }, .. } => {
                ensure(!self.attached.contains_key(&place(attempt)), "a retry while somebody is attached")
            }
            What::Intended { attempt, .. } => {
                self.attached.remove(&place(attempt));
                Ok(())
            }
            What::Created(_)
            | What::EnvironmentReady { .. }
            | What::EnvironmentFailed { .. }
            | What::CannotStart { .. }
            | What::SecretsLost { .. }
            | What::SecretsGiven { .. }
            | What::CheckpointSeen { .. }
            | What::Stalled { .. }
            | What::Noted { .. }
            | What::ClocksSet { .. }
            | What::Revived { .. }
            | What::Exited { .. }
            | What::Lost { .. }
            | What::Judged { .. }
            | What::StopAsked { .. }
            | What::ProbeAsked { .. }
            | What::Snapshotted { .. }
            | What::CacheLooked { .. }
            | What::NotSnapshotted { .. }
            | What::Keeping { .. }
            | What::Booked { .. }
            | What::Looked { .. }
            | What::SnapshotMarked { .. }
            | What::Probed { .. }
            | What::Verified { .. }
            | What::CheckpointsVerified { .. }
            | What::CheckpointChecked { .. }
            | What::CheckpointMarked { .. }
            | What::CheckpointRemoved { .. }
            | What::Skipped { .. }
            | What::Opened { .. }
            | What::Extended { .. }
            | What::Ordered { .. }
            | What::Paused { .. }
            | What::Unpaused { .. }
            | What::RunStopAsked { .. } => Ok(()),
        }
    }

    fn timed_out(&self, run: &Run, attempt: &AttemptId, at: Time) -> Result<(), String> {
        let place = (attempt.run.clone(), attempt.lane.clone());
        ensure(!self.attached.contains_key(&place), "a time limit while somebody is attached")?;
        let limit = run.workflow.steps.get(&attempt.lane.step).and_then(|step| step.timeout).ok_or("no time limit")?;
        let (claimed, stood) = self.claimed.get(attempt).ok_or("a time limit of nothing that runs")?;
        ensure(at >= claimed.plus(limit).plus(*stood), "a time limit before its time")
    }
}

fn ensure(holds: bool, words: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(words.into()) }
}
