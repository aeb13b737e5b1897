//! How much time is left, from how progress went on so far. Owns the sights of one step's progress and the foretelling;
//! knows nothing of what is printed.
//!
//! What the pace (time for a piece of progress) over equal pieces of what was seen means is [`super::story`]'s.

use serde::{Deserialize, Serialize};

use super::num::count;
use super::spread::Spread;
use super::story::{self, Story};

/// What is left, in seconds: the real end is later than `low` and earlier than `high` in eight of ten cases.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Left {
    /// One of ten is over by then.
    pub p10: f64,
    /// As likely earlier as later.
    pub p50: f64,
    /// Nine of ten are over by then.
    pub p90: f64,
}

impl Left {
    /// What is left at this age by past durations alone.
    pub fn of_past(spread: &Spread, age: f64) -> Self {
        let after = |q: f64| spread.quantile_after(age, q) - age;
        Self { p10: after(0.1), p50: after(0.5), p90: after(0.9) }
    }
}

/// So many pieces of progress are kept; when there are more, neighbours are put together.
const PIECES: usize = 128;
/// Over so many equal pieces the pace is compared.
const PACES: usize = 20;
/// A smaller drop of progress is another rank that is a little behind, not a new beginning.
const BACK: f64 = 0.02;
/// The progress of one step as it was seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// Seconds, and the share of the whole that was done in them; oldest first.
    pieces: Vec<(f64, f64)>,
    /// The newest sight: when, and the share that was done.
    newest: Option<(f64, f64)>,
    /// A sight far behind the newest: a new beginning if the next one goes on from there.
    behind: Option<(f64, f64)>,
}

impl Track {
    /// At `at` (seconds of the step's running time) the share `done` of the whole was done. True when it is farther.
    pub fn see(&mut self, at: f64, done: f64) -> bool {
        if !(at.is_finite() && (0.0..=1.0).contains(&done)) {
            return false;
        }
        let Some((before, was)) = self.newest else {
            self.newest = Some((at, done));
            return true;
        };
        if done < was - BACK {
            return self.see_behind(at, done);
        }
        if done <= was || at < before {
            return false;
        }
        self.behind = None;
        self.newest = Some((at, done));
        self.push(at - before, done - was);
        true
    }

    /// What goes on from a checkpoint has a pace already; only the time that was lost does not count.
    fn see_behind(&mut self, at: f64, done: f64) -> bool {
        match self.behind {
            Some((since, was)) if done > was && at > since => {
                self.newest = Some((at, done));
                self.behind = None;
                self.push(at - since, done - was);
                true
            }
            Some((_, was)) if done.total_cmp(&was).is_eq() => false,
            Some(_) | None => {
                self.behind = Some((at, done));
                false
            }
        }
    }

    fn push(&mut self, took: f64, done: f64) {
        self.pieces.push((took, done));
        if self.pieces.len() >= PIECES {
            self.pieces = self
                .pieces
                .chunks(2)
                .map(|pair| pair.iter().fold((0.0, 0.0), |sum, piece| (sum.0 + piece.0, sum.1 + piece.1)))
                .collect();
        }
    }

    /// The share of the whole that is done, as far as is known.
    pub fn done(&self) -> Option<f64> {
        self.newest.map(|(_, done)| done)
    }

    /// When something was last seen to be done.
    pub fn moved_at(&self) -> Option<f64> {
        self.newest.map(|(at, _)| at)
    }

    /// Does it say something of the time left by itself?
    pub fn tells(&self) -> bool {
        self.pieces.len() > 1
    }

    /// What is left at `now`; `None` when neither progress nor a past says anything.
    pub fn left(&self, now: f64, past: Option<&Spread>) -> Option<Left> {
        let past = past.map(|spread| Left::of_past(spread, now));
        let Some((stories, since)) = self.newest.and_then(|(at, done)| Some((self.stories(done)?, now - at))) else {
            return past;
        };
        let stories = match past {
            Some(past) => story::with_past(&stories, past, since),
            None => stories,
        };
        let after = |q: f64| (story::quantile(&stories, since, q) - since).max(0.0);
        Some(Left { p10: after(0.1), p50: after(0.5), p90: after(0.9) })
    }

    /// What each story says is left after the newest sight.
    fn stories(&self, done: f64) -> Option<Vec<Story>> {
        let paces = self.paces()?;
        let seen: f64 = self.pieces.iter().map(|(_, done)| done).sum();
        let ahead = (1.0 - done) / seen;
        if ahead <= 0.0 {
            return Some(vec![Story::OVER]);
        }
        Some(story::all(&paces, ahead, (seen * ahead).ln()))
    }

    /// The logs of the pace over equal pieces of what was seen; `None` before it went on twice.
    fn paces(&self) -> Option<Vec<f64>> {
        if self.pieces.len() < 2 {
            return None;
        }
        let seen: f64 = self.pieces.iter().map(|(_, done)| done).sum();
        let number = self.pieces.len().min(PACES);
        let each = seen / count(number);
        let mut paces = Vec::with_capacity(number);
        let (mut took, mut room) = (0.0, each);
        for (time, done) in &self.pieces {
            let (mut time, mut done) = (*time, *done);
            while done >= room && paces.len() < number {
                let part = time * room / done;
                paces.push(((took + part).max(1e-6) / each).ln());
                (time, done, took, room) = (time - part, done - room, 0.0, each);
            }
            took += time;
            room -= done;
        }
        // What rounding left of the last piece.
        if paces.len() < number {
            paces.push((took.max(1e-6) / (each - room).max(each * 0.01)).ln());
        }
        Some(paces)
    }
}
