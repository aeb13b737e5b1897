//! Everything that can be done now, found by a few letters; what cannot be done now says why not. Pure.

use crossterm::event::KeyEvent;
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::{Field, Panel, centred};
use crate::tui::draw::{Frame, Pen, blank, first_shown, row, width};
use crate::tui::keys::{Action, Place};
use crate::tui::message::Effect;
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::tui::update;

/// The palette.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Palette {
    pub line: Field,
    pub cursor: usize,
}

/// Something that can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    pub action: Action,
    pub help: String,
    pub keys: String,
    /// Why it cannot be done now.
    pub not: Option<String>,
}

/// Everything that fits what was typed, the best first; what can be done before what cannot. `panels` are those below it.
pub fn deeds(model: &Model, panels: &[Panel], wanted: &str) -> Vec<Deed> {
    let mut all: Vec<Deed> = Vec::new();
    let (place, keys) = (model.place_under(panels), &model.manner.keys);
    for binding in keys.here(place) {
        let known = all.iter().any(|deed| deed.action == binding.action);
        if !known && named(binding.action) {
            all.push(Deed {
                action: binding.action,
                help: binding.help.clone(),
                keys: if keys.reaches(place, binding) { binding.all_keys() } else { String::new() },
                not: update::allowed(model, panels, binding.action).err(),
            });
        }
    }
    let mut matcher = Matcher::new(Config::DEFAULT);
    let pattern = Pattern::parse(wanted, CaseMatching::Ignore, Normalization::Smart);
    let mut letters = Vec::new();
    let mut scored: Vec<(bool, u32, Deed)> = Vec::new();
    for deed in all {
        // Its name counts more than what is said of it.
        let mut score = |text: &str| pattern.score(Utf32Str::new(text, &mut letters), &mut matcher);
        let name = score(deed.action.name()).map(|score| score.saturating_mul(2));
        let help = score(&deed.help);
        if let Some(score) = name.into_iter().chain(help).max() {
            scored.push((deed.not.is_some(), score, deed));
        }
    }
    // A stable sort: what fits as well stays in the order of the table.
    scored.sort_by_key(|(not, score, _)| (*not, std::cmp::Reverse(*score)));
    scored.into_iter().map(|(_, _, deed)| deed).collect()
}

/// Moving about needs no name, and the palette is open already.
fn named(action: Action) -> bool {
    !matches!(
        action,
        Action::Up
            | Action::Down
            | Action::Left
            | Action::Right
            | Action::PageUp
            | Action::PageDown
            | Action::Palette
            | Action::NotSo
            | Action::Choose
            | Action::Accept
    )
}

/// A key: types, moves, does, or goes back.
pub fn key(model: &mut Model, mut palette: Palette, key: KeyEvent) -> Vec<Effect> {
    let all = deeds(model, &model.panels, palette.line.text());
    let last = all.len().saturating_sub(1);
    match model.manner.keys.action(Place::Text, key) {
        Some(Action::Back) => return Vec::new(),
        Some(Action::Accept) => {
            return match all.get(palette.cursor.min(last)) {
                Some(deed) => update::act(model, deed.action),
                None => Vec::new(),
            };
        }
        Some(Action::Up) => palette.cursor = palette.cursor.saturating_sub(1),
        Some(Action::Down | Action::FocusNext) => palette.cursor = (palette.cursor + 1).min(last),
        Some(_) | None => {
            if palette.line.key(key) {
                palette.cursor = 0;
            }
        }
    }
    model.panels.push(Panel::Palette(palette));
    Vec::new()
}

/// Text that was pasted into it.
pub fn pasted(model: &mut Model, mut palette: Palette, text: &str) {
    palette.line.paste(text);
    palette.cursor = 0;
    model.panels.push(Panel::Palette(palette));
}

/// Draws it in the middle; gives the place of the cursor.
pub fn draw(model: &Model, palette: &Palette, room: Rect, buf: &mut Buffer) -> Option<Position> {
    let below = model.panels.iter().position(|panel| matches!(panel, Panel::Palette(_))).unwrap_or(model.panels.len());
    let all = deeds(model, &model.panels[..below], palette.line.text());
    let lines = u16::try_from(all.len().max(1) + 3).unwrap_or(room.height);
    let area = centred(room, 100.min(room.width.saturating_sub(4)).max(40), lines.min(room.height.saturating_sub(2)));
    blank(buf, area);
    let theme = &model.manner.theme;
    let inner = Frame::heavy("Commands").foot("type a few letters").draw(buf, theme, area);
    let keys = all.iter().map(|deed| width(&deed.keys)).max().unwrap_or(0).min(14);
    let below = Rect { y: inner.y + 1.min(inner.height), height: inner.height.saturating_sub(1), ..inner };
    let cursor = palette.cursor.min(all.len().saturating_sub(1));
    let first = first_shown(cursor, all.len(), usize::from(below.height));
    for (place, (number, deed)) in (0..below.height).zip(all.iter().enumerate().skip(first)) {
        let mut pen = Pen::new(buf, theme, row(below, place));
        if number == cursor {
            pen = pen.over(Role::Selected);
        }
        let named = if deed.not.is_some() { Role::Dim } else { Role::Strong };
        let plain = if deed.not.is_some() { Role::Dim } else { Role::Plain };
        pen.space(1).field(named, deed.action.name(), 18).field(Role::Key, &deed.keys, keys).space(2);
        pen.text(plain, deed.not.as_deref().unwrap_or(&deed.help)).rest();
    }
    if all.is_empty() {
        Pen::new(buf, theme, row(below, 0)).text(Role::Dim, " nothing is called like that");
    }
    let here = row(inner, 0);
    Pen::new(buf, theme, here).text(Role::Focus, " : ");
    palette.line.draw(
        theme,
        Role::Strong,
        "",
        Rect { x: here.x + 3.min(here.width), width: here.width.saturating_sub(4), ..here },
        buf,
    )
}
