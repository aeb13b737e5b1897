//! A few numbered things to choose from, the first of them harmless: retry…, stop…, copy…. A digit acts at once. Pure.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::centred;
use crate::tui::draw::{Frame, Pen, blank, row, width};
use crate::tui::message::Effect;
use crate::tui::model::Model;
use crate::tui::theme::Role;

/// A menu.
#[derive(Debug, Clone, PartialEq)]
pub struct Menu {
    pub title: String,
    /// What is said above the items.
    pub words: Vec<String>,
    pub items: Vec<Item>,
    pub cursor: usize,
}

/// One thing to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub name: String,
    /// What it does and what it costs.
    pub effect: String,
    /// `None`: nothing is done.
    pub does: Option<Effect>,
}

impl Item {
    /// The harmless one.
    pub fn nothing(name: &str, effect: &str) -> Self {
        Self { name: name.into(), effect: effect.into(), does: None }
    }

    /// One that does something.
    pub fn new(name: &str, effect: impl Into<String>, does: Effect) -> Self {
        Self { name: name.into(), effect: effect.into(), does: Some(does) }
    }
}

/// A key: chooses, moves, or closes it. The menu is gone after a choice.
pub fn key(model: &mut Model, mut menu: Menu, key: KeyEvent) -> Vec<Effect> {
    let last = menu.items.len().saturating_sub(1);
    let chosen = match key.code {
        KeyCode::Char(digit @ '1'..='9') => {
            let place = digit as usize - '1' as usize;
            (place <= last).then_some(place)
        }
        KeyCode::Enter => Some(menu.cursor),
        KeyCode::Up | KeyCode::Char('k') => {
            menu.cursor = menu.cursor.saturating_sub(1);
            None
        }
        KeyCode::Down | KeyCode::Char('j') => {
            menu.cursor = (menu.cursor + 1).min(last);
            None
        }
        KeyCode::Esc | KeyCode::Char('q') => return Vec::new(),
        _ => None,
    };
    match chosen.and_then(|place| menu.items.get(place)) {
        Some(item) => item.does.clone().into_iter().collect(),
        None => {
            model.panels.push(super::Panel::Menu(menu));
            Vec::new()
        }
    }
}

/// Draws it in the middle.
pub fn draw(model: &Model, menu: &Menu, room: Rect, buf: &mut Buffer) {
    let names = menu.items.iter().map(|item| width(&item.name)).max().unwrap_or(0);
    let longest = menu.items.iter().map(|item| names + width(&item.effect) + 8).max().unwrap_or(0);
    let said = menu.words.iter().map(|words| width(words) + 4).max().unwrap_or(0);
    let columns = u16::try_from(longest.max(said).max(width(&menu.title) + 6).max(40)).unwrap_or(room.width);
    let lines = menu.items.len() + menu.words.len() + usize::from(!menu.words.is_empty()) + 2;
    let area = centred(room, columns, u16::try_from(lines).unwrap_or(room.height));
    blank(buf, area);
    let foot = format!("1-{} choose  ↵ the marked one  Esc back", menu.items.len());
    let inner = Frame::heavy(&menu.title).foot(&foot).draw(buf, &model.manner.theme, area);
    let mut line = 0;
    for words in &menu.words {
        Pen::new(buf, &model.manner.theme, row(inner, line)).space(1).text(Role::Plain, words);
        line += 1;
    }
    line += u16::from(!menu.words.is_empty());
    for (place, item) in menu.items.iter().enumerate() {
        let mut pen = Pen::new(buf, &model.manner.theme, row(inner, line));
        pen.text(Role::Focus, if place == menu.cursor { " ❯ " } else { "   " });
        pen.text(Role::Key, &format!("{} ", place + 1));
        pen.field(Role::Strong, &item.name, names).space(2).text(Role::Plain, &item.effect);
        line += 1;
    }
}
