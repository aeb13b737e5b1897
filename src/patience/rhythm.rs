//! The gaps between a run's signs of life, and which gap is too long for this run. Owns what was learned of them; knows no
//! time of day, nor what the signs are.
//!
//! A gap that is `UNSEEN` times the usual one was never a pause of a healthy run; one that is `AGAIN` times the longest is
//! none that this run makes. The usual gap is the middle one, lines that come in one burst counted as one.

use serde::{Deserialize, Serialize};

use super::num::{count, index};

/// Gaps are told apart by this factor.
const STEP: f64 = 1.15;
/// Signs of life that are closer together, in seconds, are one.
const SHORTEST: f64 = 0.1;
/// To some years.
const BINS: usize = 150;
/// Gaps so much shorter than those that most of the time passes in are within one burst.
const BURST: f64 = 0.02;
/// A pause that this run has not made yet is not longer than this many usual gaps. It stays so however long the run goes on:
/// a factor that shrinks with the number of gaps finds more hangs of runs with short pauses (92 instead of 60 of a hundred
/// when it shrinks with the root), and takes every fifth run for hanging whose first long pause comes late (simulated,
/// 2026-11-23). What finished runs teach finds nearly all of them without that.
const UNSEEN: f64 = 25.0;
/// The same when finished runs are known.
const UNSEEN_KNOWN: f64 = 4.0;
/// A pause is not longer than so many of the longest so far.
const AGAIN: f64 = 2.2;
/// Few gaps say little of the usual one: as many more times as this is of their number.
const FEW: f64 = 3.0;

/// The gaps of one run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rhythm {
    /// How many gaps of each length, by bin; only as far as there are any.
    counts: Vec<u32>,
    gaps: usize,
    /// When the newest gap ended that was counted, and when the newest sign of life came.
    counted_at: f64,
    newest: Option<f64>,
    /// Seconds.
    longest: f64,
    /// The longest of those that were announced.
    longest_quiet: f64,
}

/// What finished runs of the same step teach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Habit {
    /// How many runs were healthy to their end.
    pub runs: u32,
    /// The longest time to the first sign of life, in seconds.
    pub first: f64,
    /// The longest gap, in seconds.
    pub longest: f64,
}

impl Habit {
    /// One more run that was healthy to its end.
    pub fn add(&mut self, first: f64, rhythm: &Rhythm) {
        self.runs = self.runs.saturating_add(1);
        self.first = self.first.max(first);
        self.longest = self.longest.max(rhythm.longest).max(rhythm.longest_quiet);
    }
}

impl Rhythm {
    /// A sign of life at this second of the run; `quiet` when a pause before it had been announced.
    pub fn sign(&mut self, at: f64, quiet: bool) {
        let Some(newest) = self.newest.filter(|newest| *newest <= at) else {
            (self.newest, self.counted_at) = (Some(at), at);
            return;
        };
        self.newest = Some(at);
        if at - self.counted_at >= SHORTEST {
            self.counted_at = at;
            self.add((at - newest).max(SHORTEST), quiet);
        }
    }

    /// When the newest sign came.
    pub fn newest(&self) -> Option<f64> {
        self.newest
    }

    fn add(&mut self, gap: f64, quiet: bool) {
        if quiet {
            self.longest_quiet = self.longest_quiet.max(gap);
            return;
        }
        self.longest = self.longest.max(gap);
        let bin = index((gap / SHORTEST).ln() / STEP.ln()).min(BINS - 1);
        if self.counts.len() <= bin {
            self.counts.resize(bin + 1, 0);
        }
        self.counts[bin] = self.counts[bin].saturating_add(1);
        self.gaps += 1;
    }

    /// The usual gap in seconds; `None` before the third.
    pub fn usual(&self) -> Option<f64> {
        self.counted().map(|(usual, _)| usual)
    }

    /// The longest gap in seconds that was not announced.
    pub fn longest(&self) -> f64 {
        self.longest
    }

    /// The usual gap, and of how many it is the middle.
    fn counted(&self) -> Option<(f64, f64)> {
        if self.gaps < 3 {
            return None;
        }
        let bins = || self.counts.iter().enumerate().map(|(bin, times)| (length(bin), f64::from(*times)));
        let all: f64 = bins().map(|(gap, times)| gap * times).sum();
        let mut passed = 0.0;
        let most = bins().find(|(gap, times)| {
            passed += gap * times;
            passed >= all / 2.0
        });
        let least = most.map_or(0.0, |(gap, _)| gap * BURST);
        let number: f64 = bins().filter(|(gap, _)| *gap >= least).map(|(_, times)| times).sum();
        let mut seen = 0.0;
        let middle = bins().filter(|(gap, _)| *gap >= least).find(|(_, times)| {
            seen += times;
            seen >= number / 2.0
        });
        middle.map(|(gap, _)| (gap, number))
    }

    /// How long a gap must be to be no pause of a healthy run, in seconds; `None` while the run has no rhythm.
    pub fn limit(&self, quiet: bool, past: &Habit) -> Option<f64> {
        let (usual, number) = self.counted()?;
        let unseen = if past.runs > 1 { UNSEEN_KNOWN } else { UNSEEN };
        let limit = (unseen * usual * (1.0 + FEW / number)).max(AGAIN * self.longest.max(past.longest));
        // Who announces a pause has a reason to: it may be longer than all that were not announced.
        Some(if quiet { (2.0 * limit).max(AGAIN * self.longest_quiet) } else { limit })
    }
}

/// The middle length of a bin.
fn length(bin: usize) -> f64 {
    SHORTEST * STEP.powf(count(bin) + 0.5)
}
