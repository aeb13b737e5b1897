//! How much time is left for a whole run: the longest way through its steps, each with what is known of it, and no more of
//! them at once than there are places, nor than the host has room for beside those of other runs.
//!
//! The end of a run is the latest of many ends, and its p90 is not the sum of p90s. So a fixed number of possible runs is
//! drawn, evenly over what is possible; the same question has the same answer.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::left::Left;
use super::num::{count, quantile};
use crate::model::Demand;

/// A lane of a step that is not over. Without a place it needs none: it waits for somebody, or for time to pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// The places of the stages that it waits for; what is over is not among them.
    pub needs: Vec<usize>,
    /// How long it takes once they are over, or what is left of it.
    pub left: Left,
    /// It takes one of the places of the run, and one of this crew's: the lanes of a step.
    pub crew: Option<usize>,
    /// It has begun: it has its place.
    pub begun: bool,
    /// What it has of the host while it goes on. Stages of one crew want the same.
    pub demand: Demand,
    /// It is of another run: it is waited for only where it has what others want.
    pub aside: bool,
}

/// How many stages go on at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Of all that are not aside.
    pub all: usize,
    /// Of each crew; one that is not named has no limit of its own.
    pub crews: Vec<usize>,
    /// What the host has for all of them.
    pub host: Demand,
}

/// So many possible runs are drawn; of a run with very many stages fewer.
const DRAWN: usize = 255;
const DRAWN_OF_MANY: usize = 63;
const MANY: usize = 64;
/// From here on fewer still: each takes its time, and chance evens out over so many.
const VERY_MANY: usize = 640;
const FEWEST: usize = 9;
/// Where the share of a bell below it is a tenth.
const TENTH: f64 = 1.2816;

/// What is left of the whole, and the stages that it hangs on in the middle one of the possible runs, first to last. Stages
/// that wait for each other in a circle wait for nothing.
pub fn whole(stages: &[Stage], places: &Places) -> (Left, Vec<usize>) {
    let drawn = match stages.len() {
        0..=MANY => DRAWN,
        n => (DRAWN_OF_MANY * VERY_MANY / n).clamp(FEWEST, DRAWN_OF_MANY) | 1,
    };
    let mut all: Vec<(f64, Vec<usize>)> = (0..drawn).map(|draw| Course::new(stages, places, draw).run()).collect();
    all.sort_by(|one, other| one.0.total_cmp(&other.0));
    let ends: Vec<f64> = all.iter().map(|(end, _)| *end).collect();
    let left = Left { p10: quantile(&ends, 0.1), p50: quantile(&ends, 0.5), p90: quantile(&ends, 0.9) };
    (left, all.swap_remove(drawn / 2).1)
}

/// When a stage ends, and which one it is; the earliest first in a [`Reverse`].
#[derive(Debug, Clone, Copy, PartialEq)]
struct End(f64, usize);

impl Eq for End {}

impl Ord for End {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then(self.1.cmp(&other.1))
    }
}

impl PartialOrd for End {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// One possible run.
struct Course<'s> {
    stages: &'s [Stage],
    draw: usize,
    /// Places that are free; fewer than none where more have begun than there are.
    all: i64,
    crews: Vec<i64>,
    /// What the host has left of each kind; less than nothing where more is held than it has.
    host: [i64; 3],
    /// Needs that are not over, and who waits for each.
    open: Vec<usize>,
    after: Vec<Vec<usize>>,
    /// Those that wait for a place only, by their crews.
    ready: BTreeSet<(usize, usize)>,
    /// Those that need none.
    free: Vec<usize>,
    runs: BinaryHeap<Reverse<End>>,
    /// The stage whose end let each begin.
    let_by: Vec<Option<usize>>,
}

impl<'s> Course<'s> {
    fn new(stages: &'s [Stage], places: &Places, draw: usize) -> Self {
        let needs = |stage: &'s Stage| stage.needs.iter().copied().filter(|need| *need < stages.len());
        let mut after = vec![Vec::new(); stages.len()];
        for (place, stage) in stages.iter().enumerate() {
            for need in needs(stage) {
                after[need].push(place);
            }
        }
        let open: Vec<usize> = stages.iter().map(|stage| if stage.begun { 0 } else { needs(stage).count() }).collect();
        let ready: Vec<usize> = (0..stages.len()).filter(|place| open[*place] == 0).collect();
        let mut course = Self {
            stages,
            draw,
            all: free(places.all),
            crews: places.crews.iter().copied().map(free).collect(),
            host: parts(places.host),
            open,
            after,
            ready: BTreeSet::new(),
            free: Vec::new(),
            runs: BinaryHeap::new(),
            let_by: vec![None; stages.len()],
        };
        for stage in ready {
            course.is_ready(stage);
        }
        course
    }

    fn is_ready(&mut self, stage: usize) {
        match self.stages[stage].crew {
            Some(crew) => drop(self.ready.insert((crew, stage))),
            None => self.free.push(stage),
        }
    }

    /// When it ends, and what that hung on.
    fn run(mut self) -> (f64, Vec<usize>) {
        let (mut now, mut last) = (End(0.0, usize::MAX), End(0.0, usize::MAX));
        for stage in 0..self.stages.len() {
            if self.stages[stage].begun {
                self.begin(stage, &now);
            }
        }
        let mut all_begun = 0;
        loop {
            self.begin_ready(&now);
            let Some(Reverse(end)) = self.runs.pop() else {
                // What is left waits in a circle, or for a place that nobody has.
                let stuck = (all_begun..self.stages.len()).find(|stage| self.open[*stage] != usize::MAX);
                let Some(stuck) = stuck else { break };
                all_begun = stuck;
                self.begin(stuck, &now);
                continue;
            };
            now = end;
            if !self.stages[end.1].aside {
                last = end;
            }
            self.over(end.1);
        }
        let mut way = Vec::new();
        let mut next = Some(last.1).filter(|stage| *stage < self.stages.len());
        while let Some(stage) = next {
            way.push(stage);
            next = self.let_by[stage];
        }
        way.reverse();
        (last.0, way)
    }

    /// Those that are ready and have a place. Those that have none are not looked at one by one.
    fn begin_ready(&mut self, now: &End) {
        while let Some(stage) = self.free.pop() {
            self.begin(stage, now);
        }
        let mut from = (0, 0);
        while self.all > 0 {
            let Some((crew, stage)) = self.ready.range(from..).next().copied() else { break };
            if self.crews.get(crew).is_none_or(|free| *free > 0) && self.has(self.stages[stage].demand) {
                self.begin(stage, now);
                from = (crew, stage + 1);
            } else {
                from = (crew + 1, 0);
            }
        }
    }

    /// Whether the host has so much left.
    fn has(&self, demand: Demand) -> bool {
        parts(demand).iter().zip(self.host).all(|(wanted, left)| *wanted == 0 || *wanted <= left)
    }

    fn begin(&mut self, stage: usize, now: &End) {
        // It is waited for no more, and begins once.
        if std::mem::replace(&mut self.open[stage], usize::MAX) == usize::MAX {
            return;
        }
        let demand = parts(self.stages[stage].demand);
        self.host.iter_mut().zip(demand).for_each(|(left, taken)| *left = left.saturating_sub(taken));
        if let Some(crew) = self.stages[stage].crew {
            self.ready.remove(&(crew, stage));
            self.all -= 1;
            self.crews.get_mut(crew).into_iter().for_each(|free| *free -= 1);
        }
        self.let_by[stage] = Some(now.1).filter(|by| *by < self.stages.len());
        self.runs.push(Reverse(End(now.0 + drawn(&self.stages[stage].left, self.draw, stage), stage)));
    }

    fn over(&mut self, stage: usize) {
        let demand = parts(self.stages[stage].demand);
        self.host.iter_mut().zip(demand).for_each(|(left, given)| *left = left.saturating_add(given));
        if let Some(crew) = self.stages[stage].crew {
            self.all += 1;
            self.crews.get_mut(crew).into_iter().for_each(|free| *free += 1);
        }
        for next in std::mem::take(&mut self.after[stage]) {
            let open = &mut self.open[next];
            if *open != usize::MAX {
                *open = open.saturating_sub(1);
                if *open == 0 {
                    self.is_ready(next);
                }
            }
        }
    }
}

fn free(places: usize) -> i64 {
    i64::try_from(places).unwrap_or(i64::MAX / 2)
}

/// Each kind of what is wanted. What has no bounds stays far from the end of numbers.
fn parts(demand: Demand) -> [i64; 3] {
    let part = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX).min(i64::MAX / 2);
    [part(demand.gpus.into()), part(demand.milli_cpus), part(demand.memory)]
}

/// What a stage takes in one possible run.
fn drawn(left: &Left, draw: usize, stage: usize) -> f64 {
    if left.p50 <= 0.0 {
        return 0.0;
    }
    // A row of numbers that fills 0 to 1 evenly, another one for each stage.
    let turn = (count(stage) * 0.754_877_666).fract();
    let step = [0.618_033_989, 0.569_840_291, 0.414_213_562, 0.732_050_808, 0.236_067_977][stage % 5];
    let share = ((count(draw) + 0.5) * step + turn).fract().clamp(0.002, 0.998);
    // The logistic bell, which the normal one is like.
    let far = (share / (1.0 - share)).ln() / (9.0f64).ln();
    let (near, to) = if far < 0.0 { (left.p10, -far) } else { (left.p90, far) };
    let width = (near.max(left.p50 * 0.01) / left.p50).ln().abs() / TENTH;
    left.p50 * (width * TENTH * to * if far < 0.0 { -1.0 } else { 1.0 }).exp()
}
