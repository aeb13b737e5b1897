//! Stories that may explain how the pace went: it is the same all along, or it changes steadily, or in a way that wears
//! off; and the first pieces belong to it or were a warming-up. Each foretells the rest with its own doubt, and counts as
//! much as it explains what was seen for its number of assumptions. Past durations of the same step are one more voice.
//!
//! Paces are logs of seconds. The constants are of the theory of least squares, or were set so that simulated runs of five
//! kinds end within the range in eight of ten cases (`cargo bench --bench patience` prints how often they do).

use super::left::Left;
use super::num::{bell_below, count};

/// What is thought of the noise before anything was seen: this much, as if from so many pieces.
const NOISE: (f64, f64) = (0.012, 2.0);
/// No story is trusted more than this, in log time, for as much progress again as was seen.
const DOUBT: f64 = 0.006;
/// A change that goes on is trusted less the farther it goes.
const BENT: f64 = 0.45;
/// Slow pieces come seldom: what was seen of them is doubted so many times as much as of even ones ...
const UNEVEN: f64 = 1.15;
/// ... and fewer were seen than there are, mostly.
const SKEW: f64 = 0.5;
/// What a warming-up costs as an assumption, and a change, in logs of likelihood.
const ASSUMED: (f64, f64) = (3.0, 2.0);
/// The pace of what is ahead is reckoned at so many places.
const AHEAD: usize = 8;

/// How the pace changes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Same,
    Steady,
    /// Much at first, then less and less.
    Wearing,
    /// Slow only in the beginning, and gone after about this part of what was seen.
    Fading(f64),
}

const SHAPES: [Shape; 5] = [Shape::Same, Shape::Steady, Shape::Wearing, Shape::Fading(0.08), Shape::Fading(0.25)];

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

/// What one story says is left: a bell in log time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Story {
    weight: f64,
    middle: f64,
    doubt: f64,
}

impl Story {
    /// Nothing is left.
    pub(super) const OVER: Self = Self { weight: 1.0, middle: -7.0, doubt: 0.1 };
}

/// All stories of these paces, oldest first; `ahead` is how much is left for each that was seen, `time` the log of it.
pub(super) fn all(paces: &[f64], ahead: f64, time: f64) -> Vec<Story> {
    let fits = (0..=paces.len() / 2).flat_map(|skipped| SHAPES.map(|shape| Fit::new(paces, skipped, shape)));
    let mut stories: Vec<Story> = fits.flatten().map(|fit| fit.tell(ahead)).collect();
    let most = stories.iter().map(|story| story.weight).fold(f64::NEG_INFINITY, f64::max);
    for story in &mut stories {
        story.weight = (story.weight - most).exp();
        story.middle += time;
    }
    stories
}

/// One story fitted to the paces after the skipped ones, by least squares.
struct Fit<'p> {
    paces: &'p [f64],
    skipped: usize,
    shape: Shape,
    /// The middle of the regressor and of the paces, the sum of squares of the first, and what the second gains with it.
    x: f64,
    y: f64,
    squares: f64,
    slope: f64,
    /// How far each pace is off.
    faults: Vec<f64>,
    /// Pieces that the noise is known from, and its square.
    known: f64,
    noise: f64,
}

impl<'p> Fit<'p> {
    /// `None` where the paces cannot say such a thing.
    fn new(paces: &'p [f64], skipped: usize, shape: Shape) -> Option<Self> {
        let kept = &paces[skipped..];
        let n = count(kept.len());
        let free = if shape == Shape::Same { 1.0 } else { 2.0 };
        if shape != Shape::Same && kept.len() < 3 {
            return None;
        }
        let place = |at: usize| (count(at + skipped) + 0.5) / count(paces.len());
        let points = || kept.iter().enumerate().map(|(at, pace)| (shape.at(place(at)), *pace));
        let (x, y) = points().fold((0.0, 0.0), |sum, (x, y)| (sum.0 + x / n, sum.1 + y / n));
        let squares: f64 = points().map(|(at, _)| (at - x).powi(2)).sum();
        let both: f64 = points().map(|(at, pace)| (at - x) * (pace - y)).sum();
        let slope = if squares > 0.0 { both / squares } else { 0.0 };
        // What fades was slow: the other way round it would be a change that ends where nobody has looked yet.
        if matches!(shape, Shape::Fading(_)) && slope <= 0.0 {
            return None;
        }
        let faults: Vec<f64> = points().map(|(at, pace)| pace - y - slope * (at - x)).collect();
        let known = n - free + NOISE.1;
        let off: f64 = faults.iter().map(|fault| fault * fault).sum();
        let noise = (off + NOISE.0 * NOISE.0 * NOISE.1) / known;
        Some(Self { paces, skipped, shape, x, y, squares, slope, faults, known, noise })
    }

    fn n(&self) -> f64 {
        count(self.faults.len())
    }

    fn off(&self) -> f64 {
        self.faults.iter().map(|fault| fault * fault).sum()
    }

    /// How well it explains what was seen, in logs: the likelihood, less what its assumptions cost.
    fn weight(&self) -> f64 {
        let n = self.n();
        let changes = f64::from(u8::from(self.shape != Shape::Same));
        let strange = 1.0 + 9.0 * self.noise;
        let skipped = self.paces[..self.skipped].iter();
        let skipped: f64 = skipped.map(|pace| -0.5 * ((pace - self.y).powi(2) / strange + strange.ln()) - 0.92).sum();
        let warm = if self.skipped > 0 { ASSUMED.0 + count(self.paces.len() / 2).ln() } else { 0.0 };
        let kept = -0.5 * n * (self.noise.ln() + self.off() / self.noise / n + 1.84);
        kept + skipped - 0.5 * (changes + 2.0) * n.ln() - ASSUMED.1 * changes - warm
    }

    /// How many times as much doubt there is because a slow piece is followed by slow ones.
    fn alike(&self) -> f64 {
        let near: f64 = self.faults.windows(2).map(|pair| pair[0] * pair[1]).sum();
        let alike = (near / self.off().max(1e-12) * self.n() / (self.n() + 3.0)).clamp(0.0, 0.8);
        (1.0 + alike) / (1.0 - alike)
    }

    /// How far the pace has wandered, squared, beyond what noise does.
    fn wandered(&self) -> f64 {
        let (early, late) = self.faults.split_at(self.faults.len() / 2);
        let mean = |part: &[f64]| part.iter().sum::<f64>() / count(part.len().max(1));
        ((mean(late) - mean(early)).powi(2) - 4.0 * self.noise / self.n()).max(0.0)
    }

    /// How the pace at this value of the regressor differs from the middle.
    fn change(&self, at: f64) -> f64 {
        (self.slope * (at - self.x)).clamp(-3.0, 3.0)
    }

    fn tell(&self, ahead: f64) -> Story {
        let n = self.n();
        // What gets faster and faster is seldom: it was warming up, and goes on as it does now.
        let gets_faster = self.slope * (self.shape.at(1.0) - self.shape.at(0.9)) < 0.0;
        let place = |step: usize| if gets_faster { 1.0 } else { 1.0 + ahead * (count(step) + 0.5) / count(AHEAD) };
        let rest = [0, 1, 2, 3, 4, 5, 6, 7].map(|step| self.shape.at(place(step)));
        let told = (rest.iter().map(|at| self.change(*at).exp()).sum::<f64>() / count(AHEAD)).ln();
        let far = rest.iter().sum::<f64>() / count(AHEAD);
        let lean = if self.squares > 0.0 { (far - self.x).powi(2) / self.squares } else { 0.0 };
        // Slow pieces count as what they are: the mean of what is ahead, not the middle.
        let level = self.faults.iter().map(|fault| fault.exp()).sum::<f64>() / n;
        let uneven: f64 = self.faults.iter().map(|fault| (fault.exp() / level - 1.0).powi(2)).sum();
        let uneven = (uneven + NOISE.0 * NOISE.0 * NOISE.1) / self.known;
        let to_come = (ahead * count(self.paces.len())).max(1.0);
        let seen = UNEVEN * uneven * (1.0 / n + 1.0 / to_come) + self.noise * lean;
        // Few pieces: the bell is wider than it seems.
        let few = (1.0 + 0.66 / self.known).powi(2);
        let bent = (self.change(self.shape.at(1.0)) - told).powi(2) * BENT * BENT;
        let doubt =
            self.alike() * seen * few + bent + self.wandered() * (1.0 + ahead) + DOUBT * DOUBT * ahead.max(0.05);
        let middle = self.y + told + level.ln() + SKEW * self.alike() * uneven / n;
        Story { weight: self.weight(), middle, doubt: doubt.sqrt().min(3.0) }
    }
}

/// The time below which the share `q` of those that take longer than `since` lies.
pub(super) fn quantile(stories: &[Story], since: f64, q: f64) -> f64 {
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
        let middle = f64::midpoint(low, high);
        if below(middle) < wanted { low = middle } else { high = middle }
    }
    f64::midpoint(low, high).exp()
}

/// The past as one more voice: who is surer counts more, and a past that says something quite different counts less.
pub(super) fn with_past(stories: &[Story], past: Left, since: f64) -> Vec<Story> {
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
