//! A few numbered things to choose from, the first of them harmless: retry…, stop…, copy…. A digit acts at once. Pure.

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Guard, centred};
use crate::tui::draw::{Frame, Pen, blank, first_shown, row, width, wrap};
use crate::tui::keys::{Action, Place};
use crate::tui::message::Effect;
use crate::tui::model::Model;
use crate::tui::theme::Role;

/// Longer names are cut: what they do matters more.
const LONGEST_NAME: usize = 24;

/// A menu.
#[derive(Debug, Clone, PartialEq)]
pub struct Menu {
    pub title: String,
    /// What is said above the items.
    pub words: Vec<String>,
    pub items: Vec<Item>,
    pub cursor: usize,
    /// When it begins to listen.
    pub guard: Guard,
}

impl Menu {
    /// Opened now, the first item marked. One that changes something takes no key before it can have been seen.
    pub fn new(title: String, words: Vec<String>, items: Vec<Item>, now_ms: i64) -> Self {
        let changes = items.iter().flat_map(|item| &item.does).any(|effect| !matches!(effect, Effect::Copy(_)));
        let guard = if changes { Guard::new(now_ms) } else { Guard::none() };
        Self { title, words, items, cursor: 0, guard }
    }
}

/// One thing to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub name: String,
    /// What it does and what it costs.
    pub effect: String,
    /// Empty: nothing is done.
    pub does: Vec<Effect>,
}

impl Item {
    /// The harmless one.
    pub fn nothing(name: &str, effect: &str) -> Self {
        Self::several(name, effect, Vec::new())
    }

    /// One that does something.
    pub fn new(name: &str, effect: impl Into<String>, does: Effect) -> Self {
        Self::several(name, effect, vec![does])
    }

    /// One that does several things.
    pub fn several(name: &str, effect: impl Into<String>, does: Vec<Effect>) -> Self {
        Self { name: name.into(), effect: effect.into(), does }
    }
}

/// A key: chooses, moves, or closes it. The menu is gone after a choice.
pub fn key(model: &mut Model, mut menu: Menu, key: KeyEvent) -> Vec<Effect> {
    if menu.guard.deaf(model.now_ms) {
        model.panels.push(super::Panel::Menu(menu));
        return Vec::new();
    }
    let last = menu.items.len().saturating_sub(1);
    let pressed = model.manner.keys.pressed(Place::Menu, key);
    let chosen = match pressed {
        Some((Action::Choose, nth)) => (nth <= last).then_some(nth),
        Some((Action::Accept, _)) => Some(menu.cursor),
        Some((Action::Up, _)) => {
            menu.cursor = menu.cursor.saturating_sub(1);
            None
        }
        Some((Action::Down, _)) => {
            menu.cursor = (menu.cursor + 1).min(last);
            None
        }
        Some((Action::Back | Action::Leave, _)) => return Vec::new(),
        Some(_) | None => None,
    };
    if let Some(item) = chosen.and_then(|place| menu.items.get(place)) {
        return item.does.clone();
    }
    model.panels.push(super::Panel::Menu(menu));
    Vec::new()
}

/// Draws it in the middle. Items win over what is said above them where not all have room.
pub fn draw(model: &Model, menu: &Menu, room: Rect, buf: &mut Buffer) {
    let names = menu.items.iter().map(|item| width(&item.name)).max().unwrap_or(0).min(LONGEST_NAME);
    let longest = menu.items.iter().map(|item| names + width(&item.effect) + 10).max().unwrap_or(0);
    let said = menu.words.iter().map(|words| width(words) + 4).max().unwrap_or(0);
    let columns = longest.max(said).max(width(&menu.title) + 6).clamp(40, 110).min(usize::from(room.width));
    let effects = columns.saturating_sub(names + 10);
    let items: Vec<Vec<String>> = menu.items.iter().map(|item| wrap(&item.effect, effects)).collect();
    let mut said: Vec<String> = menu.words.iter().flat_map(|words| wrap(words, columns.saturating_sub(4))).collect();
    if !said.is_empty() {
        said.push(String::new());
    }
    let rows = usize::from(room.height).saturating_sub(2);
    let whole = items.iter().map(Vec::len).sum::<usize>() <= rows;
    let lines = |item: &Vec<String>| if whole { item.len() } else { 1 };
    said.truncate(rows.saturating_sub(items.iter().map(lines).sum()));
    let height = said.len() + items.iter().map(lines).sum::<usize>() + 2;
    let narrow = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    let area = centred(room, narrow(columns), narrow(height));
    blank(buf, area);
    let inner = Frame::heavy(&menu.title).draw(buf, &model.manner.theme, area);
    for (line, words) in said.iter().enumerate() {
        Pen::new(buf, &model.manner.theme, row(inner, narrow(line))).space(1).text(Role::Plain, words);
    }
    let mut line = said.len();
    let first = if whole { 0 } else { first_shown(menu.cursor, items.len(), rows) };
    for (place, effect) in items.iter().enumerate().skip(first) {
        let mut pen = Pen::new(buf, &model.manner.theme, row(inner, narrow(line)));
        pen.text(Role::Focus, if place == menu.cursor { " ❯ " } else { "   " });
        pen.text(Role::Key, &format!("{} ", place + 1));
        pen.field(Role::Strong, &menu.items[place].name, names).space(2);
        if !whole {
            pen.text(Role::Plain, &menu.items[place].effect);
            line += 1;
            continue;
        }
        for (more, words) in effect.iter().enumerate() {
            let mut pen = Pen::new(buf, &model.manner.theme, row(inner, narrow(line + more)));
            pen.skip(names + 7).text(Role::Plain, words);
        }
        line += effect.len();
    }
}
