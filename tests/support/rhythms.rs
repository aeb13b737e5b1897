//! Simulated runs for `patience`: how progress goes on, and when signs of life come. The same seed, the same run. Shared by
//! the tests and `tests/bench/patience.rs`.

/// Seeded chance, in numbers with fractions.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }

    /// From 0 to 1.
    pub(crate) fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        f64::from(u32::try_from((z ^ (z >> 31)) >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.share()
    }

    /// Of the standard bell.
    pub(crate) fn bell(&mut self) -> f64 {
        let (far, turn) = (self.share().max(1e-9), self.share());
        (-2.0 * far.ln()).sqrt() * (std::f64::consts::TAU * turn).cos()
    }

    /// A place in a list of this length.
    pub(crate) fn below(&mut self, length: usize) -> usize {
        whole(self.share() * real(length)).min(length.saturating_sub(1))
    }
}

pub(crate) fn real(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::MAX, f64::from)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of a simulation")]
pub(crate) fn whole(x: f64) -> usize {
    x.max(0.0) as usize
}

/// How progress goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    Steady,
    Warming,
    Slowing,
    Bursty,
    Restarted,
}

pub(crate) const COURSES: [Course; 5] =
    [Course::Steady, Course::Warming, Course::Slowing, Course::Bursty, Course::Restarted];

/// When which share was done, from the first sight to the end: 20 to 3,000 steps of 0.1 to 30 s with noise.
pub(crate) fn progress(course: Course, chance: &mut Chance) -> Vec<(f64, f64)> {
    let steps = whole(10f64.powf(chance.between(1.3, 3.5)));
    let pace = 10f64.powf(chance.between(-1.0, 1.5));
    let noise = chance.between(0.05, 0.4);
    let (warm_part, warm) = (chance.between(0.02, 0.15), chance.between(2.0, 10.0));
    let (slower, straight) = (chance.between(0.5, 2.0), chance.share() < 0.5);
    let (burst, burst_long) = (chance.between(0.02, 0.2), chance.between(3.0, 15.0));
    let restarted = course == Course::Restarted;
    let start = if restarted { whole(chance.between(0.1, 0.45) * real(steps)) } else { 0 };
    // Half of the restarted ones fall back while they run.
    let mut falls = (restarted && chance.share() < 0.5)
        .then(|| start + whole(chance.between(0.15, 0.4) * real(steps - start)))
        .filter(|falls| *falls > start + 2);
    let (mut at, mut done) = (chance.between(0.0, 30.0) * pace, start);
    let mut seen = vec![(at, real(done) / real(steps))];
    while done < steps {
        let part = real(done) / real(steps);
        let usual = pace * (noise * chance.bell() - noise * noise / 2.0).exp();
        at += match course {
            Course::Warming => usual * (1.0 + warm * (-2.0 * part / warm_part).exp()),
            Course::Slowing if straight => usual * (1.0 + slower * part),
            Course::Slowing => usual * (1.0 + slower).powf(part),
            Course::Bursty if chance.share() < burst => usual * burst_long * (0.5 * chance.bell()).exp(),
            Course::Steady | Course::Restarted | Course::Bursty => usual,
        };
        done += 1;
        if falls == Some(done) {
            falls = None;
            done = start + whole(real(done - start) * chance.between(0.2, 0.8));
            at += pace * chance.between(5.0, 100.0);
        }
        seen.push((at, real(done) / real(steps)));
    }
    seen
}

/// The gaps between a run's signs of life: 300 to 3,000 of 1 to 100 s with noise, a compilation near the beginning, a
/// checkpoint every 20 to 200 and an evaluation every 100 to 500, whose pauses are up to `most` times the middle gap.
pub(crate) fn gaps(most: (f64, f64), chance: &mut Chance) -> Vec<f64> {
    let middle = 10f64.powf(chance.between(0.0, 2.0));
    let noise = chance.between(0.05, 0.6);
    let number = whole(chance.between(300.0, 3000.0));
    let (saves, evaluates) = (whole(chance.between(20.0, 200.0)), whole(chance.between(100.0, 500.0)));
    let compiles = whole(chance.between(3.0, 10.0));
    let top = chance.between(most.0, most.1);
    let (compile, save) = (chance.between(0.5, 1.0) * top, chance.between(0.2, 0.8) * top);
    let uneven = chance.between(0.0, 0.2);
    let mut gap = |place: usize| match place {
        0 => 1.0,
        place if place.is_multiple_of(evaluates) => top * (1.0 - uneven * chance.share()),
        place if place.is_multiple_of(saves) => save * (1.0 - uneven * chance.share()),
        place if place == compiles => compile,
        _ => (noise * chance.bell()).exp().min(3.0),
    };
    (0..number).map(|place| gap(place) * middle).collect()
}

/// Durations of many kinds.
pub(crate) const KINDS: [&str; 6] =
    ["log-normal 0.3", "log-normal 1.5", "two kinds", "constant", "heavy tail", "any time"];

pub(crate) fn duration(kind: usize, chance: &mut Chance) -> f64 {
    let (bell, share) = (chance.bell(), chance.share().max(1e-5));
    match kind {
        0 => (7.0 + 0.3 * bell).exp(),
        1 => (7.0 + 1.5 * bell).exp(),
        2 => (if share < 0.5 { 60.0 } else { 7200.0 }) * (0.05 * bell).exp(),
        3 => 3600.0,
        4 => 60.0 / share,
        _ => -1800.0 * share.ln(),
    }
}
