//! How much time is left, from how progress went on so far. Owns the sights of one step's progress and the foretelling;
//! knows nothing of what is printed.
//!
//! What is looked at is the pace (time for a piece of progress) over equal pieces of what was seen. Several stories may
//! explain it: it is the same all along, or it changes steadily, or in a way that wears off; and the first pieces belong to
//! it or were a warming-up. Each story foretells the rest with its own doubt, and counts as much as it explains what was
//! seen for its number of assumptions. Past durations of the same step are one more voice.

use serde::{Deserialize, Serialize};

use super::num::{bell_below, count};
use super::spread::Spread;

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
/// What is thought of the noise before anything was seen: this much, as if from so many pieces.
const NOISE: (f64, f64) = (0.012, 2.0);
/// No story is trusted more than this, in log time, for as much progress again as was seen.
const DOUBT: f64 = 0.006;
/// A change that goes on is trusted less the farther it goes.
const BENT: f64 = 0.45;
const UNEVEN: f64 = 1.15;
const SKEW: f64 = 0.5;
const DRIFT: f64 = 1.0;
const SKIP: f64 = 3.0;
const TREND: f64 = 2.0;

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
            Some((_, was)) if done == was => false,
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
            Some(past) => with_past(&stories, past, since),
            None => stories,
        };
        let after = |q: f64| (quantile(&stories, since, q) - since).max(0.0);
        Some(Left { p10: after(0.1), p50: after(0.5), p90: after(0.9) })
    }

    /// What each story says is left after the newest sight.
    fn stories(&self, done: f64) -> Option<Vec<Story>> {
        let paces = self.paces()?;
        let seen: f64 = self.pieces.iter().map(|(_, done)| done).sum();
        let ahead = (1.0 - done) / seen;
        if ahead <= 0.0 {
            return Some(vec![Story { weight: 1.0, middle: 1e-3f64.ln(), doubt: 0.1 }]);
        }
        let mut stories = Vec::new();
        for skipped in 0..=paces.len() / 2 {
            for shape in SHAPES {
                stories.extend(tell(&paces, skipped, shape, ahead));
            }
        }
        let most = stories.iter().map(|story| story.weight).fold(f64::NEG_INFINITY, f64::max);
        let time = (seen * ahead).ln();
        for story in &mut stories {
            story.weight = (story.weight - most).exp();
            story.middle += time;
        }
        Some(stories)
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

/// How the pace changes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Same,
    Steady,
    /// Much at first, then less and less.
    Wearing,
    /// Only in the beginning, and gone after about this part of what was seen.
    Fading(f64),
}

const SHAPES: [Shape; 5] = [Shape::Same, Shape::Steady, Shape::Wearing, Shape::Fading(0.08), Shape::Fading(0.25)];

/// What one story says: a bell in log time.
#[derive(Debug, Clone, Copy)]
struct Story {
    /// In logs at first.
    weight: f64,
    middle: f64,
    doubt: f64,
}

impl Shape {
    /// The regressor at a place, where 0 to 1 is what was seen.
    fn at(self, place: f64) -> f64 {
        match self {
            Self::Same => 0.0,
            Self::Steady => place,
            Self::Wearing => (place + 0.1).ln(),
            Self::Fading(part) => (-place / part).exp(),
        }
    }
}

/// Fits one story to the paces after the skipped ones, and lets it tell the pace of what is ahead.
fn tell(paces: &[f64], skipped: usize, shape: Shape, ahead: f64) -> Option<Story> {
    let kept = &paces[skipped..];
    let n = count(kept.len());
    let free = if shape == Shape::Same { 1.0 } else { 2.0 };
    if n < free + 1.0 && shape != Shape::Same {
        return None;
    }
    let place = |at: usize| (count(at + skipped) + 0.5) / count(paces.len());
    let points = || kept.iter().enumerate().map(|(at, pace)| (shape.at(place(at)), *pace));
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / n;
    let (x, y) = (mean(&mut points().map(|(x, _)| x)), mean(&mut points().map(|(_, y)| y)));
    let spread: f64 = points().map(|(at, _)| (at - x).powi(2)).sum();
    let slope = if spread > 0.0 { points().map(|(at, pace)| (at - x) * (pace - y)).sum::<f64>() / spread } else { 0.0 };
    if matches!(shape, Shape::Fading(_)) && slope <= 0.0 {
        return None;
    }
    let faults: Vec<f64> = points().map(|(at, pace)| pace - y - slope * (at - x)).collect();
    let squares: f64 = faults.iter().map(|fault| fault * fault).sum();
    let known = n - free + NOISE.1;
    let noise = (squares + NOISE.0 * NOISE.0 * NOISE.1) / known;
    // What is near in time is alike: a slow piece is followed by slow ones.
    let alike = faults.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / squares.max(1e-12);
    let alike = (alike * n / (n + 3.0)).clamp(0.0, 0.8);
    let same = (1.0 + alike) / (1.0 - alike);
    let strange = 1.0 + 9.0 * noise;
    let skips: f64 =
        paces[..skipped].iter().map(|pace| -0.5 * ((pace - y).powi(2) / strange + strange.ln()) - 0.92).sum();
    let weight =
        -0.5 * n * (noise.ln() + squares / noise / n + 1.84) - 0.5 * (free + 1.0) * n.ln() - TREND * (free - 1.0)
            + skips
            - if skipped > 0 { SKIP + count(paces.len() / 2).ln() } else { 0.0 };
    // What gets faster and faster is seldom: it was warming up, and goes on as it does now.
    let gets_faster = slope * (shape.at(1.0) - shape.at(0.9)) < 0.0;
    let steps = 8;
    let ahead_at =
        |step: usize| shape.at(if gets_faster { 1.0 } else { 1.0 + ahead * (count(step) + 0.5) / count(steps) });
    let change = |at: f64| (slope * (at - x)).clamp(-3.0, 3.0);
    let told = (0..steps).map(|step| change(ahead_at(step)).exp()).sum::<f64>() / count(steps);
    let far = (0..steps).map(ahead_at).sum::<f64>() / count(steps);
    let lean = if spread > 0.0 { (far - x).powi(2) / spread } else { 0.0 };
    // Slow pieces count as what they are: the mean of what is ahead, not the middle.
    let level = faults.iter().map(|fault| fault.exp()).sum::<f64>() / n;
    let uneven = faults.iter().map(|fault| (fault.exp() / level - 1.0).powi(2)).sum::<f64>();
    let uneven = (uneven + NOISE.0 * NOISE.0 * NOISE.1) / known;
    // A pace that wandered will wander on.
    let (early, late) = faults.split_at(faults.len() / 2);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / count(part.len().max(1));
    let wandered = ((mean(late) - mean(early)).powi(2) - 4.0 * noise / n).max(0.0) * DRIFT;
    let to_come = (ahead * count(paces.len())).max(1.0);
    let bent = (change(shape.at(1.0)) - told.ln()).powi(2) * BENT * BENT;
    let doubt = (same * (UNEVEN * uneven * (1.0 / n + 1.0 / to_come) + noise * lean)) * (1.0 + 0.66 / known).powi(2)
        + bent
        + wandered * (1.0 + ahead)
        + DOUBT * DOUBT * ahead.max(0.05);
    Some(Story { weight, middle: y + told.ln() + level.ln() + SKEW * same * uneven / n, doubt: doubt.sqrt().min(3.0) })
}

/// The time below which the share `q` of those that take longer than `since` lies.
fn quantile(stories: &[Story], since: f64, q: f64) -> f64 {
    let all: f64 = stories.iter().map(|story| story.weight).sum();
    let below = |log: f64| -> f64 {
        stories.iter().map(|story| story.weight * bell_below((log - story.middle) / story.doubt)).sum::<f64>() / all
    };
    let gone = if since > 0.0 { below(since.ln()) } else { 0.0 };
    // Later than all stories can explain: as long again as it is late.
    if gone > 0.999 {
        return since * (1.0 + 0.3 * q);
    }
    let wanted = gone + q * (1.0 - gone);
    let (mut low, mut high) = (-10.0, 30.0);
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if below(middle) < wanted { low = middle } else { high = middle }
    }
    f64::midpoint(low, high).exp()
}

/// The past as one more voice: who is surer counts more, and a past that says something quite different counts less.
fn with_past(stories: &[Story], past: Left, since: f64) -> Vec<Story> {
    let middle = (past.p50 + since).max(1e-3).ln();
    let width = (((past.p90 + since).max(1e-3) / (past.p10 + since).max(1e-3)).ln() / 2.563).max(0.03);
    let told = quantile(stories, 0.0, 0.5).ln();
    stories
        .iter()
        .map(|story| {
            let apart = (told - middle).powi(2);
            let width = width * width + (apart - 2.0 * (width * width + story.doubt * story.doubt)).max(0.0);
            let (own, other) = (1.0 / (story.doubt * story.doubt), 1.0 / width);
            Story {
                weight: story.weight,
                middle: (story.middle * own + middle * other) / (own + other),
                doubt: (1.0 / (own + other)).sqrt(),
            }
        })
        .collect()
}
