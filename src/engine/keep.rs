//! Which checkpoints of a step are looked at and removed because of its `keep`: so many good ones stay. Pure; decides, and
//! touches nothing itself.

use std::collections::BTreeSet;
use std::path::Path;

use crate::model::{CheckpointMark, Command, LaneId, Principal, Time, What};

use super::Run;
use super::checkpoint::{Quality, Removal, Sighting};
use super::order::Refused;
use super::state::{LaneRun, LaneState, Phase};

impl Run {
    /// The newest checkpoints of a lane until `keep` of them are good, and those after them, each newest first.
    fn kept_and_older<'a>(&self, lane: &'a LaneRun) -> Option<(Vec<&'a Sighting>, Vec<&'a Sighting>)> {
        let keep = self.step_of(lane).checkpoint.as_ref()?.keep?;
        let there = |one: &&Sighting| one.removal == Removal::Unwanted;
        let mut good = 0;
        let newest = lane.sightings.iter().rev().filter(there);
        Some(newest.partition(|one| {
            let kept = good < keep;
            good += usize::from(one.quality == Quality::Good);
            kept
        }))
    }

    /// The checkpoint that is to be looked at next.
    fn unchecked<'a>(&self, lane: &'a LaneRun) -> Option<&'a Sighting> {
        // An environment of the attempt's own goes with it: nobody could look from there any more.
        let own = self.step_of(lane).place.fresh || self.raised(&lane.id, lane.n).is_some();
        if own && !matches!(lane.state, LaneState::Active { .. }) {
            return None;
        }
        let (kept, _) = self.kept_and_older(lane)?;
        kept.into_iter().find(|one| one.quality == Quality::Unverified && one.seen.is_some())
    }

    /// Checkpoints that are to be removed: nobody wants them, nothing goes on from them, and nothing that is wanted is in
    /// them.
    fn surplus<'a>(&self, lane: &'a LaneRun) -> Vec<&'a Sighting> {
        // While it is being found out what the next attempt goes on from, all of them may be wanted.
        let settled = match &lane.state {
            LaneState::Waiting
            | LaneState::Active { .. }
            | LaneState::Delayed { .. }
            | LaneState::Asking { .. }
            | LaneState::Done { .. } => true,
            LaneState::Exited { .. }
            | LaneState::Lost { .. }
            | LaneState::Probing { .. }
            | LaneState::Verifying { .. }
            | LaneState::Probed { .. }
            | LaneState::ToAsk { .. } => false,
        };
        if !settled {
            return Vec::new();
        }
        let Some((kept, mut older)) = self.kept_and_older(lane) else {
            return Vec::new();
        };
        let outputs = self.outputs(&lane.id);
        let stays = kept.iter().copied().chain(older.iter().copied().filter(|one| one.pinned));
        let mut needed: Vec<&str> = stays.map(|one| one.checkpoint.path.as_str()).collect();
        needed.extend(self.in_use(lane));
        needed.extend(outputs.values().map(String::as_str));
        older.retain(|one| !one.pinned && is_free(&one.checkpoint.path, &needed));
        older
    }

    /// Paths of checkpoints that an attempt of this lane goes on from, or may.
    pub(super) fn in_use<'a>(&'a self, lane: &'a LaneRun) -> BTreeSet<&'a str> {
        let mut used: BTreeSet<&str> = lane.checkpoint.iter().map(|newest| newest.path.as_str()).collect();
        used.extend(lane.next.iter().filter_map(|next| next.resume.as_deref()));
        match &lane.state {
            LaneState::Active { resume, .. } => used.extend(resume.as_deref()),
            LaneState::Asking { escalation } => {
                let proposal = self.questions.get(escalation).and_then(|asked| asked.escalation.proposal.as_ref());
                used.extend(proposal.and_then(|proposal| proposal.resume.as_deref()));
            }
            LaneState::Waiting
            | LaneState::Exited { .. }
            | LaneState::Lost { .. }
            | LaneState::Probing { .. }
            | LaneState::Verifying { .. }
            | LaneState::Probed { .. }
            | LaneState::Delayed { .. }
            | LaneState::ToAsk { .. }
            | LaneState::Done { .. } => {}
        }
        used
    }

    /// What a person may have removed of a lane's checkpoints: all but what is pinned, what something goes on from or needs,
    /// and the newest `keep` (without it one) that nothing is known against.
    pub fn prunable<'a>(&'a self, lane: &'a LaneRun) -> Vec<&'a Sighting> {
        let keep = self.step_of(lane).checkpoint.as_ref().and_then(|spec| spec.keep).unwrap_or(1);
        let there = lane.sightings.iter().rev().filter(|one| one.removal != Removal::Done);
        let mut whole = 0;
        let (kept, mut older): (Vec<_>, Vec<_>) = there.partition(|one| {
            let damaged = matches!(one.quality, Quality::Damaged { .. });
            whole += usize::from(!damaged);
            one.pinned || !damaged && whole <= keep
        });
        let outputs = self.outputs(&lane.id);
        let mut needed: Vec<&str> = kept.iter().map(|one| one.checkpoint.path.as_str()).collect();
        needed.extend(self.in_use(lane));
        needed.extend(outputs.values().map(String::as_str));
        older.retain(|one| is_free(&one.checkpoint.path, &needed));
        older
    }

    /// The checkpoint of a lane that a person means: by its path, the end of that, or its number; the newest that fits.
    /// Without a word the one that a resumption takes.
    pub fn checkpoint_meant<'a>(&self, lane: &'a LaneRun, which: Option<&str>) -> Result<&'a Sighting, Refused> {
        let name = self.lane_name(&lane.id);
        let Some(which) = which else {
            let newest = lane.checkpoint.as_ref().and_then(|newest| lane.sighting(&newest.path));
            return newest.ok_or_else(|| Refused(format!("{name} has no checkpoint to go on from")));
        };
        let number = which.parse::<i64>().ok();
        let end = format!("/{which}");
        let fits = |one: &&Sighting| {
            let path = one.checkpoint.path.trim_end_matches('/');
            path == which || path.ends_with(&end) || number.is_some() && one.checkpoint.step == number
        };
        let found = lane.sightings.iter().rev().find(fits);
        found.ok_or_else(|| {
            Refused(format!("{name} has saved no checkpoint {which:?} that is remembered: dogwatch checkpoints RUN"))
        })
    }

    /// A person's choice of the checkpoint that the next attempt goes on from: the event, which is folded already.
    pub fn choose(&mut self, lane: &LaneId, which: &str, by: &Principal) -> Result<What, Refused> {
        let Some(run) = self.lane(lane) else {
            return Err(Refused(format!("there is no step {} in this run", lane.step)));
        };
        let one = self.checkpoint_meant(run, Some(which))?;
        if let Quality::Damaged { why } = &one.quality {
            let words = "is damaged ({why}); when it is whole again: dogwatch checkpoints RUN verify";
            return Err(Refused(format!("{} {}", one.checkpoint.path, words.replace("{why}", why))));
        }
        if matches!(one.removal, Removal::Owed | Removal::Done) {
            return Err(Refused(format!("{} was removed", one.checkpoint.path)));
        }
        let (path, mark) = (one.checkpoint.path.clone(), CheckpointMark::Chosen);
        self.checkpoint_marked(lane, &path, mark, by);
        Ok(What::CheckpointMarked { lane: lane.clone(), path, mark, by: by.clone() })
    }

    /// Something is to be done about the checkpoints of this lane.
    pub(super) fn is_to_be_tended(&self, lane: &LaneRun) -> bool {
        let owed = lane.sightings.iter().any(|one| one.removal == Removal::Owed);
        owed || self.unchecked(lane).is_some() || !self.surplus(lane).is_empty()
    }

    /// Nothing of that keeps the run from its end.
    pub(super) fn is_tended(&self) -> bool {
        let going = matches!(self.phase, Phase::Going);
        let owed = |place: &usize| self.lanes[*place].sightings.iter().any(|one| one.removal == Removal::Owed);
        !self.sets.tending.iter().any(|place| going || owed(place))
    }

    /// Removals that `keep` decides.
    pub(super) fn removals(&self, now: Time, out: &mut Vec<Command>) {
        for lane in self.sets.tending.iter().map(|place| &self.lanes[*place]) {
            for one in self.surplus(lane) {
                let (path, mark, by) = (one.checkpoint.path.clone(), CheckpointMark::Removed, Principal::Rule);
                out.push(self.record(now, What::CheckpointMarked { lane: lane.id.clone(), path, mark, by }));
            }
        }
    }

    /// What must be looked at and removed.
    pub(super) fn tending(&self, out: &mut Vec<Command>) {
        for lane in self.sets.tending.iter().map(|place| &self.lanes[*place]) {
            let Some(attempt) = self.attempt(lane) else {
                continue;
            };
            let owed = lane.sightings.iter().filter(|one| one.removal == Removal::Owed);
            out.extend(owed.map(|one| Command::RemoveCheckpoint(attempt.clone(), one.checkpoint.path.clone())));
            if matches!(self.phase, Phase::Going)
                && let Some(one) = self.unchecked(lane)
            {
                out.push(Command::CheckCheckpoint(attempt, one.checkpoint.clone()));
            }
        }
    }
}

/// Nothing that is needed is in it, nor it in what is needed.
fn is_free(path: &str, needed: &[&str]) -> bool {
    let path = Path::new(path);
    !needed.iter().map(Path::new).any(|needed| needed.starts_with(path) || path.starts_with(needed))
}
