//! The checkpoints of a lane: which ones were seen, which are known to be good or damaged, and which one an attempt goes on
//! from. Folds what was found, decides nothing.

use std::time::Duration;

use crate::model::{AttemptId, Checkpoint, CheckpointMark, Damaged, LaneId, Principal, Time};

use super::Run;
use super::state::{LaneRun, LaneState};

/// Sightings of a lane that are remembered; a path counts once.
const SIGHTINGS: usize = 64;

/// A checkpoint that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    pub checkpoint: Checkpoint,
    /// When it was seen while it was written; `None` where it was found only afterwards.
    pub seen: Option<Time>,
    /// The attempt that told of it, and where in its log; at the end of all where it was found when the attempt had ended.
    pub told: (u32, u64),
    pub quality: Quality,
    /// What it held when it was found good, where that is known.
    pub digest: Option<String>,
    /// It is never removed.
    pub pinned: bool,
    pub removal: Removal,
}

/// How it stands with the removal of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    Unwanted,
    /// It is recorded, and not known to be done.
    Owed,
    Done,
    /// It is there still, as far as is known, and is left alone: only a person goes on from it.
    Failed {
        why: String,
    },
}

impl Sighting {
    /// Nothing is known against it, and nobody wanted it removed.
    pub fn is_usable(&self) -> bool {
        !self.is_leaving() && !matches!(self.quality, Quality::Damaged { .. })
    }

    /// It is to be removed, or was; or a part of it may be gone.
    pub fn is_leaving(&self) -> bool {
        self.removal != Removal::Unwanted
    }
}

/// What is known of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quality {
    /// Nobody has looked.
    Unverified,
    /// Its `verify` found nothing wrong.
    Good,
    Damaged {
        why: String,
    },
}

impl LaneRun {
    /// Older ones that nothing is known against, newest first.
    pub fn older_checkpoints(&self) -> impl Iterator<Item = &Checkpoint> {
        self.sightings.iter().rev().filter(|one| one.is_usable()).map(|one| &one.checkpoint)
    }

    /// What is known of the checkpoint of this path.
    pub fn sighting(&self, path: &str) -> Option<&Sighting> {
        self.sightings.iter().find(|one| one.checkpoint.path == path)
    }

    fn is_leaving(&self, checkpoint: &Checkpoint) -> bool {
        self.sighting(&checkpoint.path).is_some_and(Sighting::is_leaving)
    }

    /// When the program should have saved the next one: an interval after the last one, or after the attempt began.
    fn next_checkpoint(&self, every: Duration) -> Option<Time> {
        let LaneState::Active { claimed: Some(claimed), stop: None, .. } = &self.state else {
            return None;
        };
        Some(self.checkpoint_seen.map_or(*claimed, |seen| seen.max(*claimed)).plus(every))
    }

    /// `ckpt_1800 is damaged (it is empty): from ckpt_1200 instead; redo 600 steps`; `None` where nothing is.
    pub fn damaged_words(&self) -> Option<String> {
        damaged_words(&self.damaged, self.checkpoint.as_ref())
    }

    /// It was told of there already, or later in the same attempt.
    pub fn knows(&self, path: &str, told: (u32, u64)) -> bool {
        told.1 > 0 && self.sighting(path).is_some_and(|one| one.told >= told)
    }

    /// One of which nothing is known yet, in the place of what was known of its path.
    fn fresh(&mut self, checkpoint: &Checkpoint, seen: Option<Time>, told: (u32, u64)) -> Sighting {
        let known = self.sightings.iter().position(|one| one.checkpoint.path == checkpoint.path);
        let pinned = known.is_some_and(|known| self.sightings.remove(known).pinned);
        let (checkpoint, quality, removal) = (checkpoint.clone(), Quality::Unverified, Removal::Unwanted);
        Sighting { checkpoint, seen, told, quality, digest: None, pinned, removal }
    }

    /// It was found at the end of the newest attempt.
    fn found(&mut self, checkpoint: &Checkpoint) {
        // What is known is no news.
        if !self.sightings.iter().any(|one| one.checkpoint == *checkpoint) {
            let one = self.fresh(checkpoint, None, (self.n, u64::MAX));
            self.sightings.push(one);
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let over = self.sightings.len().saturating_sub(SIGHTINGS);
        self.sightings.drain(..over);
    }

    fn mark(&mut self, checkpoint: &Checkpoint, quality: Quality, digest: Option<String>) {
        if self.sighting(&checkpoint.path).is_none() {
            self.found(checkpoint);
        }
        if let Some(one) = self.sightings.iter_mut().find(|one| one.checkpoint.path == checkpoint.path) {
            (one.quality, one.digest) = (quality, digest);
        }
    }
}

impl Run {
    /// When a running step that says how often it saves is to save next.
    pub fn checkpoint_due(&self, lane: &LaneRun) -> Option<Time> {
        lane.next_checkpoint(self.step_of(lane).checkpoint.as_ref()?.every?)
    }

    /// A program told of a checkpoint. What is told late, or once more, is sorted in where it belongs.
    pub(super) fn checkpoint_seen(&mut self, attempt: &AttemptId, (checkpoint, offset): (&Checkpoint, u64), at: Time) {
        let Some(place) = self.current(attempt) else {
            return;
        };
        if self.step_of(&self.lanes[place]).checkpoint.is_none() {
            return;
        }
        let lane = &mut self.lanes[place];
        let active = matches!(lane.state, LaneState::Active { .. });
        let known = lane.sighting(&checkpoint.path).is_some();
        // What was known at the attempt's end was looked at then.
        if lane.knows(&checkpoint.path, (attempt.n, offset)) || known && !active {
            return;
        }
        let one = lane.fresh(checkpoint, Some(at), (attempt.n, offset));
        let after = lane.sightings.iter().rposition(|other| other.told <= one.told);
        let after = after.map_or(0, |other| other + 1);
        lane.sightings.insert(after, one);
        if active && after + 1 == lane.sightings.len() {
            (lane.checkpoint, lane.checkpoint_seen) = (Some(checkpoint.clone()), Some(at));
        }
        lane.forget_oldest();
        self.tend(place);
    }

    /// The newest checkpoint when an attempt is over: the one that was found then, else the one known before, else the newest
    /// seen, and of these the first that nothing is known against. Whoever looked may not have found all that was seen, as in
    /// a log with a gap.
    pub(super) fn usable_checkpoint(&self, place: usize, found: Option<Checkpoint>) -> Option<Checkpoint> {
        let lane = &self.lanes[place];
        let usable = |one: &Checkpoint| lane.sighting(&one.path).is_none_or(Sighting::is_usable);
        let known = || lane.checkpoint.clone().filter(usable);
        // Where nothing but its file is looked at, that was done just now.
        let verifies = self.step_of(lane).checkpoint.as_ref().is_some_and(|spec| spec.verify.is_some());
        let there = |one: &Checkpoint| if verifies { usable(one) } else { !lane.is_leaving(one) };
        found.filter(there).or_else(known).or_else(|| lane.older_checkpoints().next().cloned())
    }

    /// What is the newest checkpoint now.
    pub(super) fn note_checkpoint(&mut self, place: usize, checkpoint: Option<&Checkpoint>) {
        if self.step_of(&self.lanes[place]).checkpoint.is_none() {
            return;
        }
        let lane = &mut self.lanes[place];
        if let Some(checkpoint) = checkpoint {
            lane.found(checkpoint);
            let known = lane.sightings.iter_mut().find(|one| one.checkpoint == *checkpoint);
            if let Some(one) = known.filter(|one| matches!(one.quality, Quality::Damaged { .. })) {
                one.quality = Quality::Unverified;
            }
        }
        if lane.checkpoint.as_ref() != checkpoint {
            let known = lane.sightings.iter().find(|one| Some(&one.checkpoint) == checkpoint);
            lane.checkpoint_seen = known.and_then(|one| one.seen);
        }
        lane.checkpoint = checkpoint.cloned();
    }

    /// Newer ones than that were found damaged.
    pub(super) fn note_damaged(&mut self, place: usize, damaged: &[Damaged]) {
        let lane = &mut self.lanes[place];
        for one in damaged.iter().rev() {
            lane.mark(&one.checkpoint, Quality::Damaged { why: one.why.clone() }, None);
        }
        lane.damaged = damaged.to_vec();
    }

    pub(super) fn checkpoints_verified(
        &mut self,
        attempt: &AttemptId,
        (good, digest): (Option<&Checkpoint>, Option<&String>),
        found: &[Damaged],
    ) {
        let Some(place) = self.current(attempt) else {
            return;
        };
        let LaneState::Verifying { exit } = &self.lanes[place].state else {
            return;
        };
        if !exit.is_bad() {
            return;
        }
        let mut exit = exit.clone();
        let good = good.filter(|good| !self.lanes[place].is_leaving(good));
        exit.checkpoint = good.cloned();
        // All of them were looked at anew.
        exit.damaged = found.to_vec();
        self.note_damaged(place, found);
        self.note_checkpoint(place, good);
        if let Some(good) = good {
            self.lanes[place].mark(good, Quality::Good, digest.cloned());
        }
        self.lanes[place].last_exit = Some(exit.clone());
        self.put(place, LaneState::Exited { exit });
    }

    /// One that was saved anew since is another one: what is said of the one before does not count for it.
    pub(super) fn checkpoint_checked(
        &mut self,
        lane: &LaneId,
        checkpoint: &Checkpoint,
        (flaw, digest): (Option<&String>, Option<&String>),
    ) {
        let Some(&place) = self.places.get(lane) else {
            return;
        };
        let lane = &mut self.lanes[place];
        if !lane.sightings.iter().any(|one| one.checkpoint == *checkpoint) {
            return;
        }
        let is_newest = lane.checkpoint.as_ref() == Some(checkpoint);
        if let Some(why) = flaw {
            lane.mark(checkpoint, Quality::Damaged { why: why.clone() }, None);
            if is_newest {
                lane.damaged.push(Damaged { checkpoint: checkpoint.clone(), why: why.clone() });
            }
            let before = self.usable_checkpoint(place, None);
            let next = self.lanes[place].next.as_mut();
            if let Some(next) = next.filter(|next| next.resume.as_ref() == Some(&checkpoint.path)) {
                next.resume = before.as_ref().map(|before| before.path.clone());
            }
            if is_newest {
                self.note_checkpoint(place, before.as_ref());
            }
        } else {
            lane.mark(checkpoint, Quality::Good, digest.cloned());
            let was_damaged = lane.damaged.iter().position(|one| one.checkpoint == *checkpoint);
            if let Some(at) = was_damaged {
                lane.damaged.truncate(at);
            }
            if was_damaged.is_some() || lane.checkpoint.is_none() {
                self.note_checkpoint(place, Some(checkpoint));
            }
        }
        self.tend(place);
    }

    pub(super) fn checkpoint_marked(&mut self, lane: &LaneId, path: &str, mark: CheckpointMark, by: &Principal) {
        let Some(&place) = self.places.get(lane) else {
            return;
        };
        let lane = &mut self.lanes[place];
        let Some(one) = lane.sightings.iter_mut().find(|one| one.checkpoint.path == path) else {
            return;
        };
        match mark {
            CheckpointMark::Pinned => one.pinned = true,
            CheckpointMark::Unpinned => one.pinned = false,
            // Whoever removes one himself is told what became of it.
            CheckpointMark::Removed if *by == Principal::Rule => one.removal = Removal::Owed,
            CheckpointMark::Removed => one.removal = Removal::Done,
            CheckpointMark::Chosen => {
                (lane.checkpoint, lane.checkpoint_seen) = (Some(one.checkpoint.clone()), one.seen);
                // What is left of one that could not be removed is what he wants.
                one.removal = Removal::Unwanted;
                lane.chosen = true;
                lane.damaged.clear();
            }
        }
        self.tend(place);
    }

    pub(super) fn checkpoint_removed(&mut self, lane: &LaneId, path: &str, why: Option<&String>) {
        let Some(&place) = self.places.get(lane) else {
            return;
        };
        let sightings = &mut self.lanes[place].sightings;
        if let Some(one) = sightings.iter_mut().find(|one| one.checkpoint.path == path) {
            one.removal = why.map_or(Removal::Done, |why| Removal::Failed { why: why.clone() });
        }
        self.tend(place);
    }
}

/// What is said where the newest checkpoints are damaged, and what is gone on from instead.
pub fn damaged_words(damaged: &[Damaged], good: Option<&Checkpoint>) -> Option<String> {
    let newest = damaged.first()?;
    let more = damaged.len() - 1;
    let and = if more > 0 { format!(", and {more} more") } else { String::new() };
    let head = format!("{} is damaged ({}){and}", name(&newest.checkpoint), newest.why);
    let Some(good) = good else {
        return Some(format!("{head}: no good one is left, from the start instead"));
    };
    let redo = newest.checkpoint.step.zip(good.step).map(|(lost, kept)| lost - kept).filter(|steps| *steps > 0);
    let redo =
        redo.map(|steps| format!("; redo {steps} step{}", if steps == 1 { "" } else { "s" })).unwrap_or_default();
    Some(format!("{head}: from {} instead{redo}", name(good)))
}

fn name(checkpoint: &Checkpoint) -> &str {
    let path = checkpoint.path.trim_end_matches('/');
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}
