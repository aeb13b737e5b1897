//! One attempt's patience: fed with what was seen and when, asked when to look, what is left and whether it stalls. The
//! clock of the attempt stands still while it is paused; a clock that goes backwards stands still, too.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::left::{Left, Track};
use super::look::{Plan, Poll};
use super::num::{seconds, seconds_of, span};
use super::spread::Spread;
use super::watch::{Clock, Habits, Limits, Load, Stall, Watch};
use crate::model::Time;

/// What finished runs of the same step teach. Made anew when one is added; asked often.
#[derive(Debug, Clone)]
pub struct Past {
    plan: Plan,
    any: bool,
    poll: Poll,
    habits: Habits,
}

impl Past {
    /// From the durations of its successes, oldest first, and what their pauses were. Takes some milliseconds.
    pub fn new(durations: &[Duration], habits: Habits, poll: Poll) -> Self {
        let durations: Vec<f64> = durations.iter().copied().map(seconds_of).collect();
        let plan = Plan::new(Spread::learn(&durations), poll);
        Self { plan, any: !durations.is_empty(), poll, habits }
    }

    /// What is left of an attempt of this age by the past alone; `None` without one.
    pub fn left(&self, age: f64) -> Option<Left> {
        self.any.then(|| Left::of_past(self.plan.spread(), age))
    }

    fn spread(&self) -> Option<&Spread> {
        self.any.then_some(self.plan.spread())
    }
}

/// What is known of one attempt. Kept as JSON, so that a new engine goes on with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Patience {
    begun_ms: i64,
    /// How long it stood still.
    stood_ms: i64,
    /// Since when it stands still.
    paused_ms: Option<i64>,
    /// The latest time that was seen.
    latest_ms: i64,
    track: Track,
    watch: Watch,
}

impl Patience {
    /// An attempt that begins.
    pub fn new(begun: Time) -> Self {
        let ms = begun.as_ms();
        Self {
            begun_ms: ms,
            stood_ms: 0,
            paused_ms: None,
            latest_ms: ms,
            track: Track::default(),
            watch: Watch::default(),
        }
    }

    /// The seconds that it has run by then.
    pub fn age(&self, now: Time) -> f64 {
        let until = self.paused_ms.unwrap_or_else(|| now.as_ms().max(self.latest_ms));
        seconds(until.saturating_sub(self.begun_ms).saturating_sub(self.stood_ms).max(0))
    }

    fn at(&mut self, at: Time) -> f64 {
        self.latest_ms = self.latest_ms.max(at.as_ms());
        self.age(at)
    }

    /// Output came.
    pub fn output(&mut self, at: Time) {
        let at = self.at(at);
        self.watch.output(at);
    }

    /// So large a share of the whole was done.
    pub fn progress(&mut self, at: Time, done: f64) {
        let at = self.at(at);
        if self.track.see(at, done) {
            self.watch.moved(at, done >= 1.0);
        }
    }

    /// Somebody says that it is well although nothing came for long: both clocks begin anew, and such a pause is no news.
    pub fn spare(&mut self, at: Time) {
        let at = self.at(at);
        self.watch.spare(at);
    }

    /// The second of the run of the newest sign of life.
    pub fn sign(&self) -> f64 {
        self.watch.newest()
    }

    /// The longest pause of one of its signs of life so far, in seconds.
    pub fn longest(&self, clock: Clock) -> f64 {
        self.watch.longest(clock)
    }

    /// The newest line announces a pause.
    pub fn quiet(&mut self) {
        self.watch.quiet();
    }

    /// From now on its time stands still: somebody types into it, or it is held.
    pub fn pause(&mut self, at: Time) {
        self.at(at);
        self.paused_ms.get_or_insert(at.as_ms().max(self.begun_ms));
    }

    /// Its time goes on.
    pub fn unpause(&mut self, at: Time) {
        if let Some(since) = self.paused_ms.take() {
            self.stood_ms = self.stood_ms.saturating_add(at.as_ms().saturating_sub(since).max(0));
            self.at(at);
        }
    }

    /// The machine slept for so long until now.
    pub fn slept(&mut self, at: Time, span: Duration) {
        if self.paused_ms.is_none() {
            let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
            self.stood_ms = self.stood_ms.saturating_add(span.min(at.as_ms().saturating_sub(self.latest_ms).max(0)));
        }
        self.at(at);
    }

    /// The share that is done.
    pub fn done(&self) -> Option<f64> {
        self.track.done()
    }

    /// What is left; `None` when neither progress nor a past says anything.
    pub fn left(&self, now: Time, past: &Past) -> Option<Left> {
        self.track.left(self.age(now), past.spread())
    }

    /// How long to wait from now, when somebody looks now and it is not over.
    pub fn next_look(&self, now: Time, past: &Past) -> Duration {
        let age = self.age(now);
        match self.track.left(age, past.spread()).filter(|_| self.track.tells()) {
            Some(left) => Plan::new(Spread::around(left), past.poll).wait(Duration::ZERO),
            None => past.plan.wait(span(age)),
        }
    }

    /// Is it stalled? Never while its time stands still.
    pub fn stall(&self, now: Time, limits: &Limits, past: &Past, load: Load) -> Stall {
        if self.paused_ms.is_some() {
            return Stall::None { at: None };
        }
        self.watch.stall(self.age(now), limits, &past.habits, load)
    }

    /// When to ask again although nothing came; `None` while its time stands still.
    pub fn next_alarm(&self, now: Time, limits: &Limits, past: &Past, load: Load) -> Option<Time> {
        match self.stall(now, limits, past, load) {
            Stall::None { at } => at.map(|at| now.plus(span(at - self.age(now)))),
            Stall::Is { .. } => Some(now),
        }
    }

    /// What this attempt teaches when it was healthy to its end.
    pub fn teach(&self, habits: &mut Habits) {
        self.watch.teach(habits);
    }
}
