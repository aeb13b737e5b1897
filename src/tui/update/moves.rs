//! Moving about: in the tree, in lists, back in a pane's output. Changes nothing but the view.

use crate::tui::draw::{Room, layout};
use crate::tui::keys::Action;
use crate::tui::message::Effect;
use crate::tui::model::{Fold, Kind, Model, RowKey, View};
use crate::tui::page::panes;

/// Moves.
pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    match (model.view, action) {
        (_, Action::Follow) => scroll_to(model, 0),
        (View::Overview | View::Panes, Action::PageUp) => scroll(model, 1),
        (View::Overview | View::Panes, Action::PageDown) => scroll(model, -1),
        (View::Overview | View::Panes, Action::Top) if model.zoomed => scroll_to(model, usize::MAX),
        (View::Overview | View::Panes, Action::Bottom) if model.zoomed => scroll_to(model, 0),
        (View::Panes, _) => in_panes(model, action),
        (View::Overview, _) => in_tree(model, action),
        (View::Metrics, _) => super::charts::go(model, action),
        (View::Checkpoints | View::Runs | View::Journal | View::Inbox, _) => super::lists::go(model, action),
    }
    Vec::new()
}

fn in_tree(model: &mut Model, action: Action) {
    let rows = model.rows();
    if rows.is_empty() {
        return;
    }
    let here = rows.iter().position(|row| Some(&row.key) == model.selected.as_ref()).unwrap_or(0);
    let last = rows.len() - 1;
    let there = match action {
        Action::Up => here.saturating_sub(1),
        Action::Down | Action::FocusNext => {
            if here == last && action == Action::FocusNext {
                0
            } else {
                (here + 1).min(last)
            }
        }
        Action::Top => 0,
        Action::Bottom => last,
        Action::Left | Action::Right => return fold(model, here, action == Action::Left),
        _ => here,
    };
    model.selected = Some(rows[there].key.clone());
    model.chosen = true;
}

fn fold(model: &mut Model, here: usize, folded: bool) {
    let rows = model.rows();
    let matrix = rows[..=here].iter().rev().find(|row| matches!(row.kind, Kind::Matrix { .. }));
    let (Some(row), Kind::Lane { .. } | Kind::Matrix { .. }) = (matrix, &rows[here].kind) else {
        return;
    };
    if let RowKey::Matrix(name) = &row.key {
        model.folds.insert(name.clone(), if folded { Fold::Folded } else { Fold::Unfolded });
        if folded {
            model.selected = Some(row.key.clone());
            model.chosen = true;
        }
    }
}

/// The panes are a grid: left, right, up and down go to the neighbour.
fn in_panes(model: &mut Model, action: Action) {
    let Some(room) = layout(model).of(Room::Panes) else {
        return;
    };
    let lanes = panes::shown(model, room);
    let places = panes::places(room, lanes.len());
    let selected = model.lane().map(|step| model.lane_key(step));
    let here = lanes.iter().position(|lane| Some(lane) == selected.as_ref()).unwrap_or(0);
    let Some(from) = places.get(here) else {
        return;
    };
    let middle =
        |area: &ratatui::layout::Rect| (i32::from(area.x + area.width / 2), i32::from(area.y + area.height / 2));
    let (x, y) = middle(from);
    let there = match action {
        Action::FocusNext => Some((here + 1) % lanes.len().max(1)),
        Action::Top => Some(0),
        Action::Bottom => lanes.len().checked_sub(1),
        _ => {
            let beyond = |area: &ratatui::layout::Rect| {
                let (to_x, to_y) = middle(area);
                match action {
                    Action::Left => to_x < x && overlap(area.y, area.bottom(), from.y, from.bottom()),
                    Action::Right => to_x > x && overlap(area.y, area.bottom(), from.y, from.bottom()),
                    Action::Up => to_y < y && overlap(area.x, area.right(), from.x, from.right()),
                    Action::Down => to_y > y && overlap(area.x, area.right(), from.x, from.right()),
                    _ => false,
                }
            };
            let far = |area: &ratatui::layout::Rect| {
                let (to_x, to_y) = middle(area);
                (to_x - x).abs() + (to_y - y).abs()
            };
            (0..places.len()).filter(|place| beyond(&places[*place])).min_by_key(|place| far(&places[*place]))
        }
    };
    if let Some(lane) = there.and_then(|there| lanes.get(there)) {
        model.selected = Some(RowKey::Lane(lane.name.clone()));
        model.chosen = true;
    }
}

fn overlap(from: u16, to: u16, other_from: u16, other_to: u16) -> bool {
    from < other_to && other_from < to
}

/// Scrolls the selected pane by a page back (1) or on (-1).
fn scroll(model: &mut Model, pages: i32) {
    let rows = layout(model).of(Room::Panes).map_or(10, |room| usize::from(room.height.saturating_sub(3)).max(1));
    let back = model.lane().map_or(0, |step| model.scroll.get(&model.lane_key(step)).copied().unwrap_or(0));
    scroll_to(model, if pages > 0 { back.saturating_add(rows) } else { back.saturating_sub(rows) });
}

/// Scrolls the selected pane so many rows back from its end; the picture knows where its beginning is.
pub(super) fn scroll_to(model: &mut Model, back: usize) {
    let Some(key) = model.lane().filter(|step| step.attempt > 0).map(|step| model.lane_key(step)) else {
        return;
    };
    if back == 0 {
        model.scroll.remove(&key);
    } else {
        model.scroll.insert(key, back);
    }
}

/// Marks the selected lane, or all lanes of a matrix; again: takes the marks away.
pub(super) fn mark(model: &mut Model) {
    let Some(run) = &model.run else {
        return;
    };
    let names: Vec<String> = match &model.selected {
        Some(RowKey::Lane(name)) => vec![name.clone()],
        Some(RowKey::Matrix(name)) => {
            run.steps.iter().filter(|step| step.step == *name).map(crate::wire::client::StepView::name).collect()
        }
        None => return,
    };
    let run = run.line.id.clone();
    let keys: Vec<_> = names.into_iter().map(|name| crate::tui::model::LaneKey { run: run.clone(), name }).collect();
    let all = keys.iter().all(|key| model.marked.contains(key));
    for key in keys {
        if all {
            model.marked.remove(&key);
        } else {
            model.marked.insert(key);
        }
    }
}
