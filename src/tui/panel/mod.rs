//! What lies over a view: menus, typed confirmations, fields, and things to read. Each file owns one kind: its state, what
//! keys do to it, and how it is drawn. Pure.

pub mod again;
pub mod confirm;
pub mod entry;
pub mod field;
pub mod guard;
pub mod menu;
pub mod palette;
pub mod prompt;
pub mod read;
pub mod released;

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::keys::{Action, Place};
use super::message::Effect;
use super::model::Model;
use super::page::panes::Pictures;
use super::update;

pub use again::Again;
pub use confirm::Confirm;
pub use entry::Entry;
pub use field::Field;
pub use guard::Guard;
pub use menu::Menu;
pub use palette::Palette;
pub use prompt::Prompt;
pub use read::compare;
pub use read::help::{self, Help};
pub use read::log::{self, Log};
pub use read::sheet::{self, Sheet};
pub use released::Released;

/// A panel. The innermost takes the keys.
#[derive(Debug, Clone, PartialEq)]
pub enum Panel {
    Menu(Menu),
    Confirm(Confirm),
    Entry(Entry),
    Palette(Palette),
    /// A run again, with other parameters.
    Again(Again),
    /// Something to read, from top to end.
    Sheet(Sheet),
    Help(Help),
    /// The whole log of an attempt.
    Log(Log),
    Prompt(Prompt),
    /// Typing ended without its operator.
    Released(Released),
}

impl Panel {
    /// Where keys act while it is the innermost.
    pub fn place(&self) -> Place {
        match self {
            Self::Menu(_) => Place::Menu,
            Self::Confirm(_) | Self::Entry(_) | Self::Palette(_) | Self::Again(_) => Place::Text,
            Self::Sheet(_) => Place::Describe,
            Self::Help(_) => Place::Help,
            Self::Log(_) => Place::Log,
            Self::Prompt(prompt) => prompt.place(),
            Self::Released(_) => Place::Released,
        }
    }
}

/// A key for the innermost panel, where it is one that takes all keys itself; `None`: the key table says what it does.
pub fn key(model: &mut Model, key: KeyEvent) -> Option<Vec<Effect>> {
    match model.panels.pop()? {
        Panel::Menu(panel) => Some(menu::key(model, panel, key)),
        Panel::Confirm(panel) => Some(confirm::key(model, panel, key)),
        Panel::Entry(panel) => Some(entry::key(model, panel, key)),
        Panel::Palette(panel) => Some(palette::key(model, panel, key)),
        Panel::Again(panel) => Some(again::key(model, panel, key)),
        Panel::Prompt(panel) => Some(update::questions::key(model, panel, key)),
        Panel::Released(panel) => Some(released::key(model, panel, key)),
        panel @ (Panel::Sheet(_) | Panel::Help(_) | Panel::Log(_)) => {
            model.panels.push(panel);
            None
        }
    }
}

/// Text that was pasted over the innermost panel.
pub fn pasted(model: &mut Model, text: &str) {
    match model.panels.pop() {
        Some(Panel::Confirm(mut panel)) => {
            panel.typed.paste(text);
            model.panels.push(Panel::Confirm(panel));
        }
        Some(Panel::Prompt(mut panel)) => {
            if let Some(line) = &mut panel.writing {
                line.paste(text);
            }
            model.panels.push(Panel::Prompt(panel));
        }
        Some(Panel::Entry(panel)) => entry::pasted(model, panel, text),
        Some(Panel::Palette(panel)) => palette::pasted(model, panel, text),
        Some(Panel::Again(panel)) => again::pasted(model, panel, text),
        Some(Panel::Released(mut panel)) => {
            panel.keys += 1;
            panel.heard_ms = model.now_ms;
            model.panels.push(Panel::Released(panel));
        }
        Some(panel @ (Panel::Menu(_) | Panel::Sheet(_) | Panel::Help(_) | Panel::Log(_))) => model.panels.push(panel),
        None => {}
    }
}

/// What an action means to a panel that is read; `None`: nothing, it is the view's.
pub fn act(model: &mut Model, action: Action) -> Option<Vec<Effect>> {
    let panel = model.panels.last()?;
    if matches!(action, Action::Back | Action::Leave) {
        model.panels.pop();
        return Some(Vec::new());
    }
    match panel {
        Panel::Sheet(_) => sheet::act(model, action),
        Panel::Help(_) => help::act(model, action),
        Panel::Log(_) => log::act(model, action),
        Panel::Menu(_)
        | Panel::Confirm(_)
        | Panel::Entry(_)
        | Panel::Palette(_)
        | Panel::Again(_)
        | Panel::Released(_)
        | Panel::Prompt(_) => None,
    }
}

/// Draws a panel over the room between the top line and the hints; gives the place of the cursor of a text field.
pub fn draw(
    model: &Model,
    pictures: &dyn Pictures,
    (panel, room): (&Panel, Rect),
    buf: &mut Buffer,
) -> Option<Position> {
    match panel {
        Panel::Menu(menu) => menu::draw(model, menu, room, buf),
        Panel::Confirm(confirm) => return confirm::draw(model, confirm, room, buf),
        Panel::Entry(entry) => return entry::draw(model, entry, room, buf),
        Panel::Palette(palette) => return palette::draw(model, palette, room, buf),
        Panel::Again(again) => return again::draw(model, again, room, buf),
        Panel::Sheet(sheet) => sheet::draw(model, sheet, room, buf),
        Panel::Help(help) => help::draw(model, help, room, buf),
        Panel::Log(log) => log::draw(model, pictures, (log, room), buf),
        Panel::Released(released) => released::draw(model, released, room, buf),
        Panel::Prompt(prompt) => return prompt::draw(model, prompt, room, buf),
    }
    None
}

/// The room that panels are drawn in: all between the top line and the hints.
pub fn room(model: &Model) -> Rect {
    let rows = model.size.rows;
    Rect { x: 0, y: 1.min(rows), width: model.size.columns, height: rows.saturating_sub(2) }
}

/// A place in the middle of a room.
pub fn centred(room: Rect, columns: u16, rows: u16) -> Rect {
    let (width, height) = (columns.min(room.width), rows.min(room.height));
    Rect { x: room.x + (room.width - width) / 2, y: room.y + (room.height - height) / 2, width, height }
}
