//! Where each node stands: columns by how deep it is, rows so that lines are short. Pure geometry, no colours.

use super::wires::{self, Net};
use crate::tui::draw::{fit, width};
use crate::wire::client::StepState;

/// Something in the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub label: String,
    pub state: StepState,
    /// Places of what it needs.
    pub needs: Vec<usize>,
}

/// A name in the picture; its state's shape stands one column behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    pub x: usize,
    pub y: usize,
    pub text: String,
    pub state: StepState,
}

/// A picture: lines first, names over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub wires: Vec<String>,
    pub labels: Vec<Label>,
}

/// Names shorter than that say nothing.
const SHORTEST: usize = 6;
/// Names longer than that are cut in any case.
const LONGEST: usize = 24;

/// How deep each node is: 0 where it needs nothing. A node that needs itself, by whatever way, is as deep as it can be.
pub(super) fn layers(nodes: &[Node]) -> Vec<usize> {
    let mut layers = vec![0; nodes.len()];
    for _ in 0..nodes.len() {
        for (place, node) in nodes.iter().enumerate() {
            let deepest = node.needs.iter().map(|need| layers[*need] + 1).max().unwrap_or(0);
            layers[place] = deepest.min(nodes.len());
        }
    }
    layers
}

/// Draws them in so many columns and rows; `None`: it does not fit, or its lines could be read in two ways.
pub fn picture(nodes: &[Node], columns: usize, rows: usize) -> Option<Picture> {
    if nodes.is_empty() || rows == 0 {
        return None;
    }
    let mut points = points(nodes);
    order(&mut points);
    place(&mut points, rows)?;
    let depth = points.iter().map(|point| point.layer).max()? + 1;
    let gutters: Vec<Vec<Net>> = (0..depth - 1).map(|layer| wires::nets(&points, layer)).collect::<Option<_>>()?;
    let between: usize = gutters.iter().map(|nets| wires::width(nets)).sum();
    let longest = (SHORTEST..=LONGEST).rev().find(|longest| {
        let labels: usize = (0..depth).map(|layer| wide(nodes, &points, layer, *longest)).sum();
        labels + between <= columns
    })?;
    Some(paint(nodes, &points, &gutters, longest))
}

/// A node, or a place where a line passes through a layer.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) layer: usize,
    pub(super) node: Option<usize>,
    /// Points of the layer before.
    pub(super) from: Vec<usize>,
    pub(super) y: usize,
    /// Its place in its layer.
    nth: usize,
}

fn points(nodes: &[Node]) -> Vec<Point> {
    let layers = layers(nodes);
    let mut points: Vec<Point> = layers
        .iter()
        .enumerate()
        .map(|(place, layer)| Point { layer: *layer, node: Some(place), from: Vec::new(), y: 0, nth: place })
        .collect();
    for place in 0..nodes.len() {
        for need in needed(nodes, place) {
            let mut last = need;
            // A line that is longer than one gutter passes through the layers between.
            for layer in layers[need] + 1..layers[place] {
                let passed = points
                    .iter()
                    .position(|point| point.node.is_none() && point.layer == layer && point.from == [last]);
                last = passed.unwrap_or_else(|| {
                    let nth = points.len();
                    points.push(Point { layer, node: None, from: vec![last], y: 0, nth });
                    nth
                });
            }
            if layers[need] < layers[place] {
                points[place].from.push(last);
            }
        }
    }
    points
}

/// What a node needs, without what it needs by way of another need anyway.
fn needed(nodes: &[Node], place: usize) -> Vec<usize> {
    let direct = &nodes[place].needs;
    let by_another = |need: &usize| direct.iter().any(|other| other != need && reaches(nodes, *other, *need));
    direct.iter().copied().filter(|need| !by_another(need)).collect()
}

fn reaches(nodes: &[Node], from: usize, to: usize) -> bool {
    let mut seen = vec![false; nodes.len()];
    let mut open = vec![from];
    while let Some(place) = open.pop() {
        if place == to {
            return true;
        }
        if !std::mem::replace(&mut seen[place], true) {
            open.extend(&nodes[place].needs);
        }
    }
    false
}

/// Puts the points of each layer in an order in which few lines cross: each near the middle of its neighbours.
fn order(points: &mut [Point]) {
    let depth = points.iter().map(|point| point.layer).max().unwrap_or(0);
    for sweep in 0..6 {
        let forth = sweep % 2 == 0;
        let layers: Vec<usize> = if forth { (1..=depth).collect() } else { (0..depth).rev().collect() };
        for layer in layers {
            let mut here: Vec<usize> = (0..points.len()).filter(|place| points[*place].layer == layer).collect();
            let middle = |place: &usize| {
                let near: Vec<usize> = if forth {
                    points[*place].from.clone()
                } else {
                    (0..points.len()).filter(|other| points[*other].from.contains(place)).collect()
                };
                let sum: usize = near.iter().map(|other| points[*other].nth * 1000).sum();
                if near.is_empty() { points[*place].nth * 1000 } else { sum / near.len() }
            };
            let keys: Vec<usize> = here.iter().map(middle).collect();
            let mut both: Vec<(usize, usize, usize)> =
                here.iter().zip(keys).map(|(place, key)| (key, points[*place].nth, *place)).collect();
            both.sort_unstable();
            here = both.into_iter().map(|(_, _, place)| place).collect();
            for (nth, place) in here.into_iter().enumerate() {
                points[place].nth = nth;
            }
        }
    }
}

/// Gives every point its row. `None`: a layer has more than there are.
fn place(points: &mut [Point], rows: usize) -> Option<()> {
    let depth = points.iter().map(|point| point.layer).max().unwrap_or(0);
    for layer in 0..=depth {
        let mut here: Vec<usize> = (0..points.len()).filter(|place| points[*place].layer == layer).collect();
        if here.len() > rows {
            return None;
        }
        here.sort_by_key(|place| points[*place].nth);
        let mut next = 0;
        for place in &here {
            let from: Vec<usize> = points[*place].from.iter().map(|other| points[*other].y).collect();
            let wished =
                if from.is_empty() { next } else { (from.iter().sum::<usize>() + from.len() / 2) / from.len() };
            points[*place].y = next.max(wished);
            next = points[*place].y + 1;
        }
        let mut below = rows;
        for place in here.iter().rev() {
            points[*place].y = points[*place].y.min(below - 1);
            below = points[*place].y;
        }
    }
    Some(())
}

/// Columns of a layer: its longest name, a space, the shape, a space.
fn wide(nodes: &[Node], points: &[Point], layer: usize, longest: usize) -> usize {
    let here = points.iter().filter(|point| point.layer == layer).filter_map(|point| point.node);
    here.map(|node| width(&nodes[node].label).min(longest)).max().unwrap_or(0) + 3
}

fn paint(nodes: &[Node], points: &[Point], gutters: &[Vec<Net>], longest: usize) -> Picture {
    let rows = points.iter().map(|point| point.y).max().unwrap_or(0) + 1;
    let depth = gutters.len() + 1;
    let mut columns = Vec::new();
    let mut x = 0;
    for layer in 0..depth {
        let labels = wide(nodes, points, layer, longest);
        columns.push((x, x + labels));
        x += labels + gutters.get(layer).map_or(0, |nets| wires::width(nets));
    }
    let mut canvas = wires::Canvas::new(x, rows);
    let mut labels = Vec::new();
    for (place, point) in points.iter().enumerate() {
        let (left, right) = columns[point.layer];
        let goes_on = points.iter().any(|other| other.from.contains(&place));
        let Some(node) = point.node else {
            canvas.across(point.y, left, right);
            continue;
        };
        let text = fit(&nodes[node].label, longest);
        let end = left + width(&text) + 3;
        labels.push(Label { x: left, y: point.y, text, state: nodes[node].state });
        if goes_on {
            canvas.across(point.y, end, right);
        }
    }
    for (layer, nets) in gutters.iter().enumerate() {
        canvas.gutter(nets, columns[layer].1);
    }
    Picture { wires: canvas.lines(), labels }
}
