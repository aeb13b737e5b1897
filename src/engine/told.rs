//! What the program of a lane's newest attempt told people: its newest note, and the alerts that its numbers gave. Owns what
//! makes the same thing no news when it is told again, as by an engine that was started anew. Decides nothing.

use crate::model::{Alerted, AttemptId, Sign, Stall, Time, What};

use super::lane::LaneRun;
use super::{Engine, LaneState, Run};

/// So many alerts of an attempt are remembered; more than that a person hardly answers.
const ALERTS: usize = 64;

/// What an attempt told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// Its newest note, and when it came.
    pub note: Option<(Time, String)>,
    /// Where that ends among its reports: what stands before it is known.
    pub noted: u64,
    /// When it alerted last.
    pub alerted: Option<Time>,
    alerts: Vec<Alerted>,
}

impl Engine {
    /// What was told is recorded already, or no news any more: it is not to be recorded (once more). The end of an attempt may
    /// be told twice, by its keeper and by each look for it, and checkpoints by each engine that reads the log.
    pub fn knows(&self, what: &What) -> bool {
        let of = |attempt: &AttemptId| {
            let run = self.run(&attempt.run)?;
            run.lane(&attempt.lane).map(|lane| (run, lane))
        };
        let newest = |attempt: &AttemptId| of(attempt).filter(|(_, lane)| lane.n == attempt.n);
        // Clocks run on until they are told.
        if let What::Stalled { attempt, stall } = what {
            return !newest(attempt).is_some_and(|(_, lane)| lane.may_stall() && !lane.knows_alert(stall));
        }
        if let What::Noted { attempt, offset, .. } = what {
            return newest(attempt).is_some_and(|(_, lane)| lane.knows_note(attempt.n, *offset));
        }
        if let What::Revived { attempt } = what {
            return !newest(attempt).is_some_and(|(run, lane)| run.may_revive(lane));
        }
        if let What::CheckpointSeen { attempt, checkpoint, offset } = what {
            return of(attempt).is_some_and(|(_, lane)| lane.knows(&checkpoint.path, (attempt.n, *offset)));
        }
        let (What::Exited { attempt, .. } | What::Lost { attempt, .. }) = what else { return false };
        of(attempt).is_some_and(|(_, lane)| lane.knows_end(attempt.n, matches!(what, What::Lost { .. })))
    }
}

impl LaneRun {
    /// How this attempt ended is known. Of an attempt before the newest everything is: looks that were asked for late tell it
    /// once more. What is lost is no news of what does not live.
    fn knows_end(&self, n: u32, is_lost: bool) -> bool {
        let lost = is_lost && !matches!(self.state, LaneState::Active { .. });
        n < self.n || n == self.n && (self.last_exit.is_some() || lost)
    }

    /// This note of the newest attempt, which ends there among its reports, is known already.
    pub fn knows_note(&self, n: u32, offset: u64) -> bool {
        self.n == n && offset <= self.told.noted
    }

    /// The newest attempt alerted with this very value before.
    pub fn knows_alert(&self, stall: &Stall) -> bool {
        let Sign::Alert(new) = &stall.sign else { return false };
        // What is no number equals nothing, not even itself.
        let same =
            |old: &Alerted| old.value.to_bits() == new.value.to_bits() || (old.value.is_nan() && new.value.is_nan());
        let mut known = self.told.alerts.iter().filter(|old| (&old.when, &old.metric) == (&new.when, &new.metric));
        known.any(|old| old.step == new.step && same(old))
    }
}

impl Run {
    pub(super) fn noted(&mut self, attempt: &AttemptId, note: &str, offset: u64, at: Time) {
        if let Some(place) = self.current(attempt)
            && !self.lanes[place].knows_note(attempt.n, offset)
        {
            let told = &mut self.lanes[place].told;
            (told.note, told.noted) = (Some((at, note.to_owned())), offset);
        }
    }

    pub(super) fn note_alert(&mut self, place: usize, stall: &Stall, at: Time) {
        if let Sign::Alert(alerted) = &stall.sign {
            let told = &mut self.lanes[place].told;
            told.alerted = Some(at);
            if told.alerts.len() >= ALERTS {
                told.alerts.remove(0);
            }
            told.alerts.push(alerted.clone());
        }
    }
}
