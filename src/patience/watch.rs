//! When silence means trouble: two clocks, of output and of progress, each against the run's own rhythm. Owns the clocks;
//! decides nothing: it says what is the matter and when to ask again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::num::seconds_of;
use super::rhythm::{Habit, Rhythm};

/// What a workflow says about stalls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Declared: so much silence is a stall. What is learned of progress may still be longer.
    pub after: Option<Duration>,
    /// Nothing shorter is a stall, however quick the rhythm is.
    pub least: Duration,
    /// So long it may take until there is a rhythm.
    pub first: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { after: None, least: Duration::from_secs(300), first: Duration::from_secs(1800) }
    }
}

/// What finished runs of the same step teach of its pauses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Habits {
    /// Of output.
    pub silence: Habit,
    /// Of progress.
    pub frozen: Habit,
}

/// What the processors do that the step uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Load {
    /// Nobody measures it.
    #[default]
    Unknown,
    /// All of them idle: a silence is no work.
    Idle,
    /// It may be work, or a loop that waits for nothing: a stall is told a little later.
    Busy,
}

/// Which sign of life stays away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// No output at all.
    Silence,
    /// Output, but the same progress.
    Frozen,
}

/// Is there a stall?
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stall {
    /// No; without a sign of life there is one at this second of the run. `None`: never by itself.
    None { at: Option<f64> },
    /// Yes.
    Is {
        clock: Clock,
        /// The second of the run of the last sign.
        since: f64,
        /// How long that may stay away, in seconds.
        limit: f64,
        /// Nothing computes either.
        confirmed: bool,
    },
}

/// While something computes, a limit is so many times as long. Together with what is learned it stays below three times
/// the longest pause.
const BUSY: f64 = 1.35;

/// Both clocks of one attempt. Times are seconds of its running time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    silence: Rhythm,
    frozen: Rhythm,
    /// The first output.
    first: Option<f64>,
    /// A pause was announced, and nothing came since.
    quiet: bool,
    /// The same of progress: other lines do not end that pause.
    still: bool,
    /// All is done: progress is over, though the step is not.
    over: bool,
}

impl Watch {
    /// Output came.
    pub fn output(&mut self, at: f64) {
        self.first.get_or_insert(at);
        self.silence.sign(at, self.quiet);
        self.quiet = false;
    }

    /// Progress was made; `over` when there is none left to make.
    pub fn moved(&mut self, at: f64, over: bool) {
        self.frozen.sign(at, self.still);
        (self.still, self.over) = (false, over);
    }

    /// Both clocks begin anew.
    pub fn spare(&mut self, at: f64) {
        self.silence.sign(at, self.quiet);
        if self.frozen.newest().is_some() {
            self.frozen.sign(at, self.still);
        }
    }

    /// The second of the newest sign of life.
    pub fn newest(&self) -> f64 {
        let newest = |rhythm: &Rhythm| rhythm.newest().unwrap_or(0.0);
        newest(&self.silence).max(newest(&self.frozen))
    }

    /// The longest pause so far, in seconds.
    pub fn longest(&self, clock: Clock) -> f64 {
        match clock {
            Clock::Silence => self.silence.longest(),
            Clock::Frozen => self.frozen.longest(),
        }
    }

    /// The newest line announces a pause.
    pub fn quiet(&mut self) {
        (self.quiet, self.still) = (true, true);
    }

    /// What this attempt, healthy to its end, teaches for the next one.
    pub fn teach(&self, habits: &mut Habits) {
        habits.silence.add(self.first.unwrap_or(0.0), &self.silence);
        habits.frozen.add(0.0, &self.frozen);
    }

    /// Is it stalled at this second?
    pub fn stall(&self, now: f64, limits: &Limits, past: &Habits, load: Load) -> Stall {
        let busy = if load == Load::Busy { BUSY } else { 1.0 };
        let silence = (self.silence.newest().unwrap_or(0.0), self.silence_limit(limits, past) * busy);
        let frozen = self.frozen_limit(limits, past).map(|limit| limit * busy);
        let frozen = self.frozen.newest().zip(frozen);
        let over = |clock: (f64, f64)| now - clock.0 >= clock.1;
        let stalled = if over(silence) {
            Some((Clock::Silence, silence))
        } else {
            frozen.filter(|frozen| over(*frozen)).map(|frozen| (Clock::Frozen, frozen))
        };
        if let Some((clock, (since, limit))) = stalled {
            return Stall::Is { clock, since, limit, confirmed: load == Load::Idle };
        }
        let ends = silence.0 + silence.1;
        Stall::None { at: Some(frozen.map_or(ends, |frozen| ends.min(frozen.0 + frozen.1))) }
    }

    fn silence_limit(&self, limits: &Limits, past: &Habits) -> f64 {
        if let Some(after) = limits.after {
            return seconds_of(after) * if self.quiet { 2.0 } else { 1.0 };
        }
        let none = || seconds_of(limits.first).max(2.2 * past.silence.first);
        self.silence.limit(self.quiet, &past.silence).unwrap_or_else(none).max(seconds_of(limits.least))
    }

    fn frozen_limit(&self, limits: &Limits, past: &Habits) -> Option<f64> {
        if self.over {
            return None;
        }
        let least = limits.after.unwrap_or(limits.least).max(limits.least);
        Some(self.frozen.limit(self.still, &past.frozen)?.max(seconds_of(least)))
    }
}
