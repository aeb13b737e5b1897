//! When to look next: the times that make `looks + delay / worth` least for a [`Spread`] of durations. A plan is made once
//! for what is known, and asked as often as one likes.
//!
//! Backwards from the far end: what is still to be paid at an age is the least, over all later times, of one look, the
//! delay of those that end before it, and what is still to be paid there.

use std::time::Duration;

use super::num::{seconds_of, span};
use super::spread::Spread;

/// Between which spans looks lie, and what a look is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Poll {
    /// Looks are never closer together.
    pub min: Duration,
    /// Nor farther apart.
    pub max: Duration,
    /// One look costs as much as this delay.
    pub worth: Duration,
}

impl Default for Poll {
    fn default() -> Self {
        Self { min: Duration::from_secs(1), max: Duration::from_secs(86_400), worth: Duration::from_secs(60) }
    }
}

/// Nothing is reckoned with beyond this share of a distribution.
const RARE: f64 = 1e-5;
/// Ages that are told apart: at most so many.
const AGES: usize = 6000;
/// Beyond the plan looks are so far apart as for a chance of ending that is so many in the age.
const TAIL: f64 = 1.0;

/// The best times to look, for one distribution.
#[derive(Debug, Clone)]
pub struct Plan {
    spread: Spread,
    /// In seconds: least, most, worth.
    poll: [f64; 3],
    ages: Vec<Age>,
}

#[derive(Debug, Clone, Copy)]
struct Age {
    at: f64,
    /// The share that takes longer.
    longer: f64,
    /// That share summed over the ages before.
    sum: f64,
    /// What is still to be paid when it was looked at this age, times that share.
    cost: f64,
    /// Which age is looked at next.
    next: usize,
}

impl Plan {
    /// The plan for a distribution. Takes less than a millisecond.
    pub fn new(spread: Spread, poll: Poll) -> Self {
        let poll = [poll.min.max(Duration::from_millis(50)), poll.max.max(poll.min), poll.worth].map(seconds_of);
        let ages = ages(&spread, poll);
        let mut plan = Self { spread, poll, ages };
        // The last age has its own place as the next one already.
        for place in (0..plan.ages.len().saturating_sub(1)).rev() {
            let best = plan.best(plan.ages[place], place + 1, plan.ages[place + 1].next);
            (plan.ages[place].cost, plan.ages[place].next) = best;
        }
        plan
    }

    /// The least cost after a look at this age, and which of the ages is looked at next. Nobody who looked later looks
    /// earlier the next time, so `until` is where the next one goes.
    fn best(&self, now: Age, first: usize, until: usize) -> (f64, usize) {
        let [min, max, worth] = self.poll;
        let mut best = (f64::INFINITY, first);
        for (place, then) in self.ages.iter().enumerate().take(until + 1).skip(first) {
            let span = then.at - now.at;
            if span < min {
                continue;
            }
            if span > max && best.0.is_finite() {
                break;
            }
            let delay = (span * now.longer - (then.sum - now.sum)).max(0.0);
            let cost = now.longer + delay / worth + then.cost;
            if cost < best.0 {
                best = (cost, place);
            }
        }
        if best.0.is_finite() { best } else { (now.longer + self.ages[until].cost, until) }
    }

    /// How long to wait until the next look, when something runs for `age` and has just been looked at.
    pub fn wait(&self, age: Duration) -> Duration {
        let at = seconds_of(age);
        let [min, max, worth] = self.poll;
        let first = self.ages.partition_point(|known| known.at <= at);
        let span_of = |wait: f64| span(wait.clamp(min, max));
        if first == 0 || first + 1 >= self.ages.len() {
            return span_of((2.0 * worth * at.max(1.0) / TAIL).sqrt());
        }
        let before = self.ages[first - 1];
        let now = Age {
            at,
            longer: self.spread.longer_than(at),
            sum: before.sum + (at - before.at) * (before.longer + self.spread.longer_than(at)) / 2.0,
            ..before
        };
        let (_, next) = self.best(now, first, self.ages[first].next);
        span_of(self.ages[next].at - at)
    }

    /// The distribution that it was made for.
    pub fn spread(&self) -> &Spread {
        &self.spread
    }
}

/// The ages at which a look is thought of: as close as it matters.
fn ages(spread: &Spread, [min, max, worth]: [f64; 3]) -> Vec<Age> {
    let mut ages: Vec<Age> = Vec::new();
    let (mut at, mut sum, mut before) = (0.0, 0.0, 1.0);
    while ages.len() < AGES {
        let longer = spread.longer_than(at);
        sum += ages.last().map_or(0.0, |last: &Age| (at - last.at) * (before + longer) / 2.0);
        ages.push(Age { at, longer, sum, cost: 0.0, next: ages.len() });
        if longer < RARE {
            break;
        }
        before = longer;
        // The chance of ending here, and with it how far apart looks would be; a tenth of that is close enough.
        let ahead = (at * 1.01).max(at + 0.2);
        let chance = (longer - spread.longer_than(ahead)).max(0.0) / longer / (ahead - at);
        let apart = (2.0 * worth / chance.max(1e-12)).sqrt();
        at += (apart * 0.1).min(at * 0.02).max(at * 1e-4).max(min * 0.2).min(max * 0.25).max(0.2);
    }
    ages
}
