//! How much time is left for a whole run: the longest way through its steps, each with what is known of it.
//!
//! The end of a run is the latest of many ends, and its p90 is not the sum of p90s. So a fixed number of possible runs is
//! drawn, evenly over what is possible; the same question has the same answer.

use super::left::Left;
use super::num::{count, quantile};

/// A step that is not over.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// The places of the stages that it waits for; what is over is not among them.
    pub needs: Vec<usize>,
    /// How long it takes once they are over, or what is left of it.
    pub left: Left,
}

/// So many possible runs are drawn.
const DRAWN: usize = 255;
/// Where the share of a bell below it is a tenth.
const TENTH: f64 = 1.2816;

/// What is left of the whole, and the stages that it most likely hangs on, first to last. Stages that wait for each other
/// in a circle wait for nothing.
pub fn whole(stages: &[Stage]) -> (Left, Vec<usize>) {
    let order = order(stages);
    let mut ends = vec![0.0; stages.len()];
    let mut all: Vec<f64> = Vec::with_capacity(DRAWN);
    let mut last = vec![0usize; stages.len()];
    for draw in 0..DRAWN {
        let mut latest: f64 = 0.0;
        let mut which = None;
        for stage in &order {
            let begin = begin(stages, &ends, *stage);
            ends[*stage] = begin + drawn(&stages[*stage].left, draw, *stage);
            if ends[*stage] >= latest {
                (latest, which) = (ends[*stage], Some(*stage));
            }
        }
        all.push(latest);
        if let Some(which) = which {
            last[which] += 1;
        }
        ends.fill(0.0);
    }
    all.sort_by(f64::total_cmp);
    let left = Left { p10: quantile(&all, 0.1), p50: quantile(&all, 0.5), p90: quantile(&all, 0.9) };
    (left, hangs_on(stages, &order, &last))
}

fn begin(stages: &[Stage], ends: &[f64], stage: usize) -> f64 {
    stages[stage].needs.iter().filter_map(|need| ends.get(*need)).fold(0.0, |latest, end| latest.max(*end))
}

/// The stages, each after those that it waits for; what is left of a circle comes as it stands.
fn order(stages: &[Stage]) -> Vec<usize> {
    let mut placed = vec![false; stages.len()];
    let mut order = Vec::with_capacity(stages.len());
    let mut open: Vec<usize> =
        stages.iter().map(|stage| stage.needs.iter().filter(|need| **need < stages.len()).count()).collect();
    let mut after = vec![Vec::new(); stages.len()];
    for (place, stage) in stages.iter().enumerate() {
        for need in stage.needs.iter().filter(|need| **need < stages.len()) {
            after[*need].push(place);
        }
    }
    let mut ready: Vec<usize> = (0..stages.len()).rev().filter(|place| open[*place] == 0).collect();
    while let Some(place) = ready.pop() {
        placed[place] = true;
        order.push(place);
        for next in &after[place] {
            open[*next] -= 1;
            if open[*next] == 0 {
                ready.push(*next);
            }
        }
    }
    order.extend((0..stages.len()).filter(|place| !placed[*place]));
    order
}

/// The way back from the stage that ends last most often, with the middle of everything.
fn hangs_on(stages: &[Stage], order: &[usize], last: &[usize]) -> Vec<usize> {
    let mut ends = vec![0.0; stages.len()];
    for stage in order {
        ends[*stage] = begin(stages, &ends, *stage) + stages[*stage].left.p50;
    }
    let mut way = Vec::new();
    let mut next = (0..stages.len()).max_by_key(|place| last[*place]);
    while let Some(stage) = next.filter(|stage| !way.contains(stage)) {
        way.push(stage);
        let needs = stages[stage].needs.iter().copied().filter(|need| *need < stages.len());
        next = needs.max_by(|one, other| ends[*one].total_cmp(&ends[*other]));
    }
    way.reverse();
    way
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
