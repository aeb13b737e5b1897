//! The mouse: select, mark a choice, scroll, let go by a click on the banner. Nothing is only possible with it.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Margin, Rect};

use super::attach;
use super::moves::scroll_to;
use crate::tui::draw::{Picked, Room, first_shown, layout};
use crate::tui::keys::Action;
use crate::tui::message::Effect;
use crate::tui::model::{Model, RowKey, View};
use crate::tui::page::{panes, runs};
use crate::tui::panel::{self, Panel, prompt};

/// Rows that one turn of the wheel moves.
const WHEEL: usize = 3;

/// Takes what the mouse did.
pub(super) fn mouse(model: &mut Model, event: MouseEvent) -> Vec<Effect> {
    let (x, y) = (event.column, event.row);
    if model.attached.is_some() {
        let banner = y == 0 && matches!(event.kind, MouseEventKind::Down(MouseButton::Left));
        return if banner { attach::let_go(model) } else { Vec::new() };
    }
    if y == 0 && matches!((event.kind, model.panels.last()), (MouseEventKind::Down(_), Some(Panel::Released(_)))) {
        return attach::let_go(model);
    }
    if !model.panels.is_empty() {
        return over_panel(model, event.kind, (x, y));
    }
    let layout = layout(model);
    let room = layout.at(x, y);
    match event.kind {
        MouseEventKind::Drag(MouseButton::Left) => {
            if let Some(picked) = model.picked.as_mut().filter(|picked| picked.going_on) {
                picked.move_to((x, y));
            }
            return Vec::new();
        }
        MouseEventKind::Up(MouseButton::Left) => return let_up(model),
        MouseEventKind::Down(_) => model.picked = None,
        _ => {}
    }
    match (event.kind, room) {
        (MouseEventKind::Down(MouseButton::Left), Some(Room::Steps)) => {
            select_row(model, layout.of(Room::Steps).unwrap_or_default(), y);
        }
        (MouseEventKind::Down(MouseButton::Left), Some(Room::Panes)) => {
            select_pane(model, layout.of(Room::Panes).unwrap_or_default(), (x, y));
        }
        (MouseEventKind::ScrollUp, Some(Room::Panes)) => wheel(model, true),
        (MouseEventKind::ScrollDown, Some(Room::Panes)) => wheel(model, false),
        (MouseEventKind::ScrollUp, Some(Room::Page | Room::Steps | Room::List)) => return turn(model, Action::Up),
        (MouseEventKind::ScrollDown, Some(Room::Page | Room::Steps | Room::List)) => return turn(model, Action::Down),
        (MouseEventKind::Down(MouseButton::Left), Some(Room::Page)) if model.view == View::Runs => {
            if let Some(place) = runs::at(model, layout.of(Room::Page).unwrap_or_default(), y) {
                model.cursors.runs = place;
            }
        }
        _ => {}
    }
    Vec::new()
}

/// Over something that is read, the wheel scrolls it. In a prompt a click marks a choice, and never takes it.
fn over_panel(model: &mut Model, kind: MouseEventKind, at: (u16, u16)) -> Vec<Effect> {
    if let Some(Panel::Prompt(prompt)) = model.panels.last() {
        let clicked = kind == MouseEventKind::Down(MouseButton::Left);
        let choice = prompt::choice_at(model, prompt, panel::room(model), at).filter(|_| clicked);
        if let (Some(choice), Some(Panel::Prompt(prompt))) = (choice, model.panels.last_mut()) {
            prompt.cursor = choice;
        }
        return Vec::new();
    }
    let read = matches!(model.panels.last(), Some(Panel::Sheet(_) | Panel::Help(_) | Panel::Log(_)));
    if read && kind == MouseEventKind::ScrollUp {
        turn(model, Action::Up)
    } else if read && kind == MouseEventKind::ScrollDown {
        turn(model, Action::Down)
    } else {
        Vec::new()
    }
}

fn turn(model: &mut Model, action: Action) -> Vec<Effect> {
    (0..WHEEL).flat_map(|_| super::act(model, action)).collect()
}

fn select_row(model: &mut Model, area: Rect, y: u16) {
    let rows = model.rows();
    let lines = usize::from(area.height.saturating_sub(2));
    let cursor = rows.iter().position(|row| Some(&row.key) == model.selected.as_ref()).unwrap_or(0);
    let first = first_shown(cursor, rows.len(), lines);
    let Some(line) = y.checked_sub(area.y + 1).map(usize::from).filter(|line| *line < lines) else {
        return;
    };
    if let Some(row) = rows.get(first + line) {
        model.selected = Some(row.key.clone());
        model.chosen = true;
    }
}

fn select_pane(model: &mut Model, room: Rect, (x, y): (u16, u16)) {
    let lanes = panes::shown(model, room);
    let places = panes::places(room, lanes.len());
    let inside = |area: &Rect| x >= area.x && x < area.right() && y >= area.y && y < area.bottom();
    if let Some(lane) = places.iter().position(inside).and_then(|place| lanes.get(place)) {
        model.selected = Some(RowKey::Lane(lane.name.clone()));
        model.chosen = true;
    }
    let inside = places.iter().map(|area| area.inner(Margin::new(1, 1))).find(inside);
    model.picked = inside.map(|area| Picked::begin(area, (x, y)));
}

/// The button was let go: what was picked is copied, and stays marked until the next key.
fn let_up(model: &mut Model) -> Vec<Effect> {
    let Some(picked) = model.picked.as_mut().filter(|picked| picked.going_on) else {
        return Vec::new();
    };
    picked.going_on = false;
    if picked.is_click() {
        model.picked = None;
        return Vec::new();
    }
    vec![Effect::CopyPicked(*picked)]
}

fn wheel(model: &mut Model, back: bool) {
    let now = model.lane().map_or(0, |step| model.scroll.get(&model.lane_key(step)).copied().unwrap_or(0));
    scroll_to(model, if back { now.saturating_add(WHEEL) } else { now.saturating_sub(WHEEL) });
}
