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
    pub way: Way,
    pub wires: Vec<String>,
    pub labels: Vec<Label>,
}

/// Names are cut to that before the picture is given up.
const SHORT: usize = 8;
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

/// Which way lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From left to right.
    Right,
    /// From top to bottom, in tall and narrow places.
    Down,
}

/// Draws them in so many columns and rows; `None`: it does not fit, or its lines could be read in two ways.
pub fn picture(nodes: &[Node], columns: usize, rows: usize) -> Option<Picture> {
    if nodes.is_empty() || rows == 0 {
        return None;
    }
    let ways = [(Way::Right, LONGEST), (Way::Down, LONGEST), (Way::Down, SHORT), (Way::Right, SHORT)];
    ways.into_iter().find_map(|(way, longest)| try_one(nodes, (columns, rows), way, longest))
}

fn try_one(nodes: &[Node], (columns, rows): (usize, usize), way: Way, longest: usize) -> Option<Picture> {
    let mut points = points(nodes, longest, way);
    order(&mut points);
    let (along, across) = match way {
        Way::Right => (columns, rows),
        Way::Down => (rows, columns),
    };
    place(&mut points, across)?;
    let depth = points.iter().map(|point| point.layer).max()? + 1;
    let gutters: Vec<Vec<Net>> = (0..depth - 1).map(|layer| wires::nets(&points, layer)).collect::<Option<_>>()?;
    let thick = |layer| {
        let here = points.iter().filter(|point| point.layer == layer);
        here.map(|point| point.thick).max().unwrap_or(0)
    };
    let mut starts = Vec::new();
    let mut end = 0;
    for layer in 0..depth {
        starts.push((end, end + thick(layer)));
        end += thick(layer) + gutters.get(layer).map_or(0, |nets| wires::width(nets, way));
    }
    (end <= along).then(|| paint(nodes, &points, (&gutters, &starts), (way, longest)))
}

/// A node, or a place where a line passes through a layer.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) layer: usize,
    pub(super) node: Option<usize>,
    /// Points of the layer before.
    pub(super) from: Vec<usize>,
    /// Where its lines begin and end, across the way of the lines.
    pub(super) at: usize,
    /// Where it begins, across.
    start: usize,
    /// Cells that it needs across, and along.
    broad: usize,
    thick: usize,
    /// Its place in its layer.
    nth: usize,
}

fn points(nodes: &[Node], longest: usize, way: Way) -> Vec<Point> {
    let layers = layers(nodes);
    let mut points: Vec<Point> = layers
        .iter()
        .enumerate()
        .map(|(place, layer)| {
            // The name, a space, the shape; a line from the left leaves a space before it.
            let columns = width(&nodes[place].label).min(longest) + 2;
            let (broad, thick) = match way {
                Way::Right => (1, columns + 1),
                Way::Down => (columns + 2, 1),
            };
            Point { layer: *layer, node: Some(place), from: Vec::new(), at: 0, start: 0, broad, thick, nth: place }
        })
        .collect();
    for place in 0..nodes.len() {
        for need in needed(nodes, place) {
            let mut last = need;
            // A line that is longer than one gutter passes through the layers between.
            for layer in layers[need] + 1..layers[place] {
                let same = |point: &Point| point.node.is_none() && point.layer == layer && point.from == [last];
                last = points.iter().position(same).unwrap_or_else(|| {
                    let nth = points.len();
                    let broad = if way == Way::Right { 1 } else { 3 };
                    points.push(Point { layer, node: None, from: vec![last], at: 0, start: 0, broad, thick: 1, nth });
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

/// Gives every point its place across: near what it needs, then near what needs it. `None`: a layer is too broad.
fn place(points: &mut [Point], across: usize) -> Option<()> {
    let depth = points.iter().map(|point| point.layer).max().unwrap_or(0);
    for layer in 0..=depth {
        settle(points, layer, across, |points, place| {
            points[place].from.iter().map(|other| points[*other].at).collect()
        })?;
    }
    for layer in (0..depth).rev() {
        settle(points, layer, across, |points, place| {
            points.iter().filter(|point| point.from.contains(&place)).map(|point| point.at).collect()
        })?;
    }
    Some(())
}

fn settle(
    points: &mut [Point],
    layer: usize,
    across: usize,
    near: impl Fn(&[Point], usize) -> Vec<usize>,
) -> Option<()> {
    let mut here: Vec<usize> = (0..points.len()).filter(|place| points[*place].layer == layer).collect();
    here.sort_by_key(|place| points[*place].nth);
    if here.iter().map(|place| points[*place].broad).sum::<usize>() > across {
        return None;
    }
    let mut next = 0;
    for place in &here {
        let near = near(points, *place);
        let broad = points[*place].broad;
        let wished = match near.len() {
            0 => points[*place].start,
            n => (near.iter().sum::<usize>() / n).saturating_sub(middle(broad)),
        };
        points[*place].start = next.max(wished);
        next = points[*place].start + broad;
    }
    let mut end = across;
    for place in here.iter().rev() {
        let point = &mut points[*place];
        point.start = point.start.min(end - point.broad);
        end = point.start;
        point.at = point.start + middle(point.broad);
    }
    Some(())
}

/// Where in a place that is so broad lines begin and end: below the middle of its name.
fn middle(broad: usize) -> usize {
    broad.saturating_sub(2) / 2
}

fn paint(
    nodes: &[Node],
    points: &[Point],
    (gutters, starts): (&[Vec<Net>], &[(usize, usize)]),
    (way, longest): (Way, usize),
) -> Picture {
    let broad = points.iter().map(|point| point.start + point.broad).max().unwrap_or(0);
    let mut canvas = wires::Canvas::new(starts.last().map_or(0, |(_, end)| *end), broad, way);
    let mut labels = Vec::new();
    for (place, point) in points.iter().enumerate() {
        let (from, to) = starts[point.layer];
        let Some(node) = point.node else {
            canvas.along(point.at, from, to);
            continue;
        };
        let text = fit(&nodes[node].label, longest);
        let end = from + if way == Way::Right { width(&text) + 3 } else { 1 };
        let (x, y) = if way == Way::Right { (from + 1, point.at) } else { (point.start, from) };
        labels.push(Label { x, y, text, state: nodes[node].state });
        if points.iter().any(|other| other.from.contains(&place)) {
            canvas.along(point.at, end, to);
        }
    }
    for (layer, nets) in gutters.iter().enumerate() {
        canvas.gutter(nets, starts[layer].1);
    }
    Picture { way, wires: canvas.lines(), labels }
}
