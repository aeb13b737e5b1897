//! What needs what, from left to right, each with its state. Where the picture does not fit with all lanes, a matrix becomes
//! one box of it; where it does not fit at all, a list says the same in words. Pure.

mod plan;
mod wires;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::draw::{Frame, Pen, clean, first_shown, fit, row};
use crate::tui::model::{Model, urgency};
use crate::tui::theme::{Role, role_of};
use crate::wire::client::{RunView, StepState, StepView};

pub use plan::{Node, Picture, Way, picture};

/// More nodes than that are no picture any more.
pub const MOST: usize = 60;

/// Every lane as a node of its own.
fn lanes(run: &RunView) -> Vec<Node> {
    let all: Vec<(&str, String, StepState, &[String])> = run
        .steps
        .iter()
        .map(|step| {
            let name = if step.label.is_empty() { &step.step } else { &step.label };
            (step.step.as_str(), name.clone(), step.state, step.needs.as_slice())
        })
        .collect();
    nodes(&all)
}

/// Every step as one node: a matrix is as its most urgent lane.
fn steps(run: &RunView) -> Vec<Node> {
    let mut all: Vec<(&str, String, StepState, &[String])> = Vec::new();
    for step in &run.steps {
        if all.iter().any(|(name, ..)| *name == step.step) {
            continue;
        }
        let of: Vec<&StepView> = run.steps.iter().filter(|other| other.step == step.step).collect();
        let state = of.iter().map(|lane| lane.state).min_by_key(|state| urgency(*state)).unwrap_or(step.state);
        let times = if step.label.is_empty() { String::new() } else { format!(" ×{}", of.len()) };
        all.push((&step.step, format!("{}{times}", step.step), state, &step.needs));
    }
    nodes(&all)
}

fn nodes(all: &[(&str, String, StepState, &[String])]) -> Vec<Node> {
    all.iter()
        .map(|(_, label, state, needs)| Node {
            label: clean(label),
            state: *state,
            needs: (0..all.len()).filter(|place| needs.iter().any(|need| need == all[*place].0)).collect(),
        })
        .collect()
}

/// More steps than a picture can show. Of thousands, no more are looked at than it takes to know.
fn too_many(run: &RunView) -> bool {
    let mut names = std::collections::HashSet::new();
    run.steps.iter().any(|step| {
        names.insert(step.step.as_str());
        names.len() > MOST
    })
}

/// Draws the box.
pub fn draw(model: &Model, area: Rect, buf: &mut Buffer) {
    let theme = &model.manner.theme;
    let inner = Frame::light("Graph").draw(buf, theme, area);
    let Some(run) = &model.run else {
        return;
    };
    if too_many(run) {
        let words = format!("graph: {} lanes, see dogwatch graph", run.steps.len());
        Pen::new(buf, theme, row(inner, 0)).text(Role::Dim, &words);
        return;
    }
    let folded = steps(run);
    let (columns, rows) = (usize::from(inner.width), usize::from(inner.height));
    let whole = (run.steps.len() <= MOST).then(|| lanes(run));
    let drawn = whole.and_then(|nodes| picture(&nodes, columns, rows)).or_else(|| picture(&folded, columns, rows));
    match drawn {
        Some(picture) => paint(model, &picture, inner, buf),
        None => list(model, run, &folded, inner, buf),
    }
}

fn paint(model: &Model, picture: &Picture, area: Rect, buf: &mut Buffer) {
    let theme = &model.manner.theme;
    for (line, text) in (0..area.height).zip(&picture.wires) {
        Pen::new(buf, theme, row(area, line)).text(Role::Border, text);
    }
    for label in &picture.labels {
        let (Ok(x), Ok(y)) = (u16::try_from(label.x), u16::try_from(label.y)) else {
            continue;
        };
        let here = row(area, y);
        let part = Rect { x: here.x + x.min(here.width), width: here.width.saturating_sub(x), ..here };
        let mut pen = Pen::new(buf, theme, part);
        pen.text(Role::Plain, &label.text).space(1).text(role_of(label.state), label.state.shape());
    }
}

/// The same in words: each step with what it needs, those that need nothing first.
fn list(model: &Model, run: &RunView, nodes: &[Node], area: Rect, buf: &mut Buffer) {
    let theme = &model.manner.theme;
    let layers = plan::layers(nodes);
    let selected = model.lane().map(|step| step.step.clone());
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|place| layers[*place]);
    let names: Vec<&str> = {
        let mut names: Vec<&str> = Vec::new();
        for step in &run.steps {
            if !names.contains(&step.step.as_str()) {
                names.push(&step.step);
            }
        }
        names
    };
    let here = order.iter().position(|place| names.get(*place).copied() == selected.as_deref()).unwrap_or(0);
    let first = first_shown(here, order.len(), usize::from(area.height));
    for (line, place) in (0..area.height).zip(order.iter().skip(first)) {
        let node = &nodes[*place];
        let mut pen = Pen::new(buf, theme, row(area, line));
        pen.space(layers[*place].min(6)).text(role_of(node.state), node.state.shape()).space(1);
        let longest = (pen.left() / 2).max(8);
        pen.text(Role::Plain, &fit(&node.label, longest));
        let needs: Vec<&str> = node.needs.iter().map(|need| names[*need]).collect();
        if !needs.is_empty() {
            pen.text(Role::Dim, &format!(" ← {}", needs.join(", ")));
        }
    }
}
