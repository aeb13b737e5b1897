//! How long something takes, as a distribution learned from past durations. Owns the smoothing; knows no time of day.
//!
//! A past of a thousand durations is no distribution: whoever waits for exactly the times that were seen waits long for
//! all others. So durations are smeared out in log time, by several widths at once, and how much each width counts is what
//! foretells best those durations that it has not seen (leave one out). With them stands a wide distribution for what was
//! never seen, whose tail thins out so slowly that waiting grows with the time waited.

use super::left::Left;
use super::num::{count, index};

/// The distribution is kept at points of log time so far apart.
const BIN: f64 = 0.01;
/// The shortest time that is told apart, in seconds.
const SHORTEST: f64 = 0.05;
/// Points of log time: to a thousand years.
const BINS: usize = 2700;
/// The newest durations are learned from, no more.
const LEARNED: usize = 2000;

/// Widths that a bell can have, in log time.
const WIDTHS: [f64; 14] = [0.012, 0.018, 0.027, 0.04, 0.06, 0.09, 0.13, 0.2, 0.3, 0.45, 0.67, 1.0, 1.5, 2.2];
/// Ways of smearing, and how many sights each is worth before anything was seen.
const WAYS: [(Way, f64); 7] = [
    (Way::Even(0), 0.2),
    (Way::Even(6), 0.3),
    (Way::Even(9), 0.5),
    (Way::Even(11), 0.4),
    (Way::Near(8.0), 0.1),
    (Way::Near(20.0), 0.1),
    (Way::Near(60.0), 0.1),
];
/// The same for the wide distribution of what was never seen.
const WIDE_WORTH: f64 = 0.6;
/// It is log-logistic with this scale: a tail of `1 / t`.
const WIDE_SCALE: f64 = 1.0;
/// Its median in seconds when there is no history, and how many durations that is worth.
const WIDE_MEDIAN: (f64, f64) = (120.0, 0.5);

/// How wide the bells of one way of smearing are.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// All alike: which of [`WIDTHS`].
    Even(usize),
    /// As far as the nearest so many others are.
    Near(f64),
}

/// What is left by progress is wrong in so many cases: something else comes after it.
const SURPRISE: f64 = 0.05;

/// A distribution of durations in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    /// The share that takes longer than [`time_of`] each bin's beginning.
    longer: Vec<f64>,
}

/// The time at which a bin begins.
fn time_of(bin: usize) -> f64 {
    SHORTEST * (count(bin) * BIN).exp()
}

/// Where on the axis of bins a time is.
fn place_of(time: f64) -> f64 {
    (time.max(SHORTEST) / SHORTEST).ln() / BIN
}

impl Spread {
    /// What `durations` (seconds, oldest first) teach; none at all is fine. What is no duration is left out.
    pub fn learn(durations: &[f64]) -> Self {
        let newest = &durations[durations.len().saturating_sub(LEARNED)..];
        let known = || newest.iter().filter(|time| time.is_finite() && **time >= 0.0);
        let mut counts = vec![0.0; BINS];
        for time in known() {
            counts[index(place_of(*time)).min(BINS - 1)] += 1.0;
        }
        let wide = wide(known().map(|time| time.max(SHORTEST).ln()));
        let total: f64 = counts.iter().sum();
        let bells = WIDTHS.map(bell);
        let smeared = WAYS.map(|(way, _)| smear(&counts, &bells, way));
        let shares = shares(&counts, &smeared, &wide);
        let mut mass: Vec<f64> = wide.iter().map(|mass| mass * shares[WAYS.len()]).collect();
        if total > 0.0 {
            for ((smeared, _), share) in smeared.iter().zip(&shares) {
                for (mass, more) in mass.iter_mut().zip(smeared) {
                    *mass += share * more / total;
                }
            }
        }
        Self::of_mass(&mass)
    }

    /// Of what is left by progress: log-normal on both sides of the middle, with a share of surprise.
    pub fn around(left: Left) -> Self {
        let middle = left.p50.max(SHORTEST);
        let below = ((middle / left.p10.max(SHORTEST)).ln() / 1.2816).clamp(0.02, 3.0);
        let above = ((left.p90.max(middle) / middle).ln() / 1.2816).clamp(0.02, 3.0);
        let mut mass = wide(std::iter::once(middle.ln()));
        for (bin, mass) in mass.iter_mut().enumerate() {
            let far = count(bin) * BIN + BIN / 2.0 + SHORTEST.ln() - middle.ln();
            let width = if far < 0.0 { below } else { above };
            let seen = (-0.5 * (far / width).powi(2)).exp() / (below + above) * BIN * 0.798;
            *mass = SURPRISE * *mass + (1.0 - SURPRISE) * seen;
        }
        Self::of_mass(&mass)
    }

    fn of_mass(mass: &[f64]) -> Self {
        let total: f64 = mass.iter().sum();
        let mut longer = vec![0.0; mass.len() + 1];
        // From the far end, so that little numbers are summed first.
        for bin in (0..mass.len()).rev() {
            longer[bin] = longer[bin + 1] + mass[bin] / total.max(f64::MIN_POSITIVE);
        }
        Self { longer }
    }

    /// The share that takes longer than `time`.
    pub fn longer_than(&self, time: f64) -> f64 {
        if time <= 0.0 {
            return 1.0;
        }
        let place = place_of(time);
        let bin = index(place).min(BINS - 1);
        let part = (place - count(bin)).clamp(0.0, 1.0);
        self.longer[bin] + (self.longer[bin + 1] - self.longer[bin]) * part
    }

    /// The time at which the share `q` of those that take longer than `age` is over.
    pub fn quantile_after(&self, age: f64, q: f64) -> f64 {
        let left = self.longer_than(age) * (1.0 - q.clamp(0.0, 1.0));
        let bin = self.longer.partition_point(|longer| *longer > left);
        if bin == 0 || bin > BINS {
            return age.max(time_of(bin.min(BINS)));
        }
        let (before, after) = (self.longer[bin - 1], self.longer[bin]);
        let part = if before > after { (before - left) / (before - after) } else { 0.0 };
        age.max(SHORTEST * ((count(bin - 1) + part) * BIN).exp())
    }
}

/// The mass of a bell of this width by its distance in bins from the middle; one side.
fn bell(width: f64) -> Vec<f64> {
    let bins = width / BIN;
    let half: Vec<f64> = (0..=index(bins * 4.0) + 1).map(|far| (-0.5 * (count(far) / bins).powi(2)).exp()).collect();
    let sum = half[0] + 2.0 * half[1..].iter().sum::<f64>();
    half.iter().map(|mass| mass / sum).collect()
}

/// The smeared counts, and what of it each seen bin gave to itself for each count.
fn smear(counts: &[f64], bells: &[Vec<f64>], way: Way) -> (Vec<f64>, Vec<f64>) {
    let seen: Vec<(usize, f64)> = counts.iter().copied().enumerate().filter(|(_, seen)| *seen > 0.0).collect();
    let mut out = vec![0.0; counts.len()];
    let mut own = Vec::with_capacity(seen.len());
    for (at, (bin, times)) in seen.iter().enumerate() {
        let bell = &bells[match way {
            Way::Even(width) => width,
            Way::Near(others) => width_for(&seen, at, others),
        }];
        own.push(bell[0]);
        for (far, mass) in bell.iter().enumerate() {
            if let Some(to) = out.get_mut(bin + far) {
                *to += times * mass;
            }
            if far > 0 && *bin >= far {
                out[bin - far] += times * mass;
            }
        }
    }
    (out, own)
}

/// Which of [`WIDTHS`] reaches from this seen bin to the nearest so many others; to all, when there are fewer.
fn width_for(seen: &[(usize, f64)], at: usize, others: f64) -> usize {
    let (bin, times) = seen[at];
    let (mut low, mut high, mut found, mut far) = (at, at + 1, times - 1.0, 0);
    while found < others {
        let below = low.checked_sub(1).map(|place| (bin - seen[place].0, seen[place].1));
        let above = seen.get(high).map(|(other, times)| (other - bin, *times));
        match (below, above) {
            (Some(near), other) if other.is_none_or(|other| near.0 <= other.0) => {
                (low, far, found) = (low - 1, near.0, found + near.1);
            }
            (_, Some(near)) => (high, far, found) = (high + 1, near.0, found + near.1),
            (_, None) => return WIDTHS.len() - 1,
        }
    }
    let width = count(far) * BIN;
    WIDTHS.iter().position(|known| *known >= width).unwrap_or(WIDTHS.len() - 1)
}

/// What is thought of what was never seen: about the middle of what was, and very wide.
fn wide(logs: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut logs: Vec<f64> = logs.collect();
    logs.sort_by(f64::total_cmp);
    let n = count(logs.len());
    let seen = super::num::quantile(&logs, 0.5);
    let middle = (seen * n + WIDE_MEDIAN.0.ln() * WIDE_MEDIAN.1) / (n + WIDE_MEDIAN.1);
    let below = |place: f64| 1.0 / (1.0 + (-(place * BIN + SHORTEST.ln() - middle) / WIDE_SCALE).exp());
    (0..BINS).map(|bin| below(count(bin + 1)) - below(count(bin))).collect()
}

/// How much each width counts, and last the wide distribution: what foretells best what it has not seen.
fn shares(counts: &[f64], smeared: &[(Vec<f64>, Vec<f64>)], wide: &[f64]) -> Vec<f64> {
    let worth: Vec<f64> = WAYS.iter().map(|(_, worth)| *worth).chain([WIDE_WORTH]).collect();
    let total: f64 = counts.iter().sum();
    let others = (total - 1.0).max(1.0);
    let seen: Vec<(f64, Vec<f64>)> = counts
        .iter()
        .enumerate()
        .filter(|(_, seen)| **seen > 0.0)
        .enumerate()
        .map(|(at, (bin, seen))| {
            let unseen = smeared.iter().map(|(smeared, own)| (smeared[bin] - own[at]).max(0.0) / others);
            (*seen, unseen.chain([wide[bin]]).collect())
        })
        .collect();
    let sum: f64 = worth.iter().sum();
    let mut shares: Vec<f64> = worth.iter().map(|worth| worth / sum).collect();
    for _ in 0..40 {
        let mut votes = worth.clone();
        for (times, likely) in &seen {
            let all: f64 = likely.iter().zip(&shares).map(|(likely, share)| likely * share).sum();
            for ((vote, likely), share) in votes.iter_mut().zip(likely).zip(&shares) {
                *vote += times * likely * share / all.max(f64::MIN_POSITIVE);
            }
        }
        let sum: f64 = votes.iter().sum();
        shares = votes.iter().map(|vote| vote / sum).collect();
    }
    shares
}
