//! What was recorded of the run: a page that follows the newest at its end, and a box with the newest first. Pure.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::faces::words::{clock, count};
use crate::tui::draw::{Frame, Pen, row, width};
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::wire::client::EventView;

/// Draws the page.
pub fn draw(model: &Model, room: Rect, buf: &mut Buffer) {
    let theme = &model.manner.theme;
    let shown = model.shown_events();
    let filter = &model.filters.journal;
    let title = if filter.is_empty() { "Journal".into() } else { format!("Journal / {filter}") };
    let back = model.cursors.journal.min(shown.len().saturating_sub(1));
    let records = count(shown.len(), "record", "records");
    let right = if back == 0 { format!("follow · {records}") } else { format!("{back} up · {records}") };
    let inner = Frame::light(&title).right(&right).draw(buf, theme, room);
    let lines = usize::from(inner.height);
    let cursor = shown.len().saturating_sub(1 + back);
    // Following: the newest is the last line. Else the one that is read stays in the middle.
    let first = if back == 0 {
        shown.len().saturating_sub(lines)
    } else {
        crate::tui::draw::first_shown(cursor, shown.len(), lines)
    };
    for (line, (place, event)) in (0..inner.height).zip(shown.iter().enumerate().skip(first)) {
        let mut pen = Pen::new(buf, theme, row(inner, line));
        if place == cursor {
            pen = pen.over(Role::Selected);
        }
        one(model, event, &mut pen);
        pen.rest();
    }
    if shown.is_empty() {
        let words = if filter.is_empty() { "nothing was recorded yet" } else { "no record has these words" };
        Pen::new(buf, theme, row(inner, 0)).text(Role::Dim, words);
    }
}

/// Draws the box: the newest first.
pub fn room(model: &Model, area: Rect, buf: &mut Buffer) {
    let key = model.manner.keys.of(crate::tui::keys::Place::Any, crate::tui::keys::Action::Journal);
    let right = key.map_or_else(String::new, |key| format!("{} full", key.key_words()));
    let inner = Frame::light("Journal").right(&right).draw(buf, &model.manner.theme, area);
    for (line, event) in (0..inner.height).zip(model.events.iter().rev()) {
        one(model, event, &mut Pen::new(buf, &model.manner.theme, row(inner, line)));
    }
    if model.events.is_empty() {
        Pen::new(buf, &model.manner.theme, row(inner, 0)).text(Role::Dim, "nothing was recorded yet");
    }
}

/// What a record is, by its kind.
fn role(event: &EventView) -> Role {
    match event.kind.as_str() {
        "escalation.opened" | "attempt.unknown" => Role::Attention,
        "step.succeeded" | "checkpoint" => Role::Good,
        "step.failed" => Role::Bad,
        "run.ended" => Role::Strong,
        _ => Role::Plain,
    }
}

fn one(model: &Model, event: &EventView, pen: &mut Pen<'_>) {
    let at = clock(event.at_ms, model.now_ms, &model.manner.zone);
    let wide = if pen.left() < 60 { 9 } else { 17 };
    let at = if wide < width(&at) + 1 { at.split(' ').next_back().unwrap_or(&at).to_owned() } else { at };
    pen.field(Role::Dim, &at, wide.min(width(&at) + 1));
    if !event.step.is_empty() {
        // Where there is little room a lane is known by what is its own.
        let lane = event.step.split_once('[').and_then(|(_, lane)| lane.strip_suffix(']'));
        let name = lane.filter(|_| pen.left() < 60).unwrap_or(&event.step);
        let names = (pen.left() / 4).clamp(8, 28);
        pen.field(Role::Strong, name, names.min(width(name).max(8))).space(1);
    }
    pen.text(role(event), &event.text);
}
