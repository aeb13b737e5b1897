//! What lies over a view: menus, typed confirmations, prompts. Each file owns one kind: its state, what keys do to it, and
//! how it is drawn. Pure.

pub mod confirm;
pub mod field;
pub mod menu;
pub mod prompt;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::keys::Place;
use super::model::Model;

pub use confirm::Confirm;
pub use field::Field;
pub use menu::Menu;
pub use prompt::Prompt;

/// A panel. The innermost takes the keys.
#[derive(Debug, Clone, PartialEq)]
pub enum Panel {
    Menu(Menu),
    Confirm(Confirm),
    Prompt(Prompt),
}

impl Panel {
    /// Where keys act while it is the innermost.
    pub fn place(&self) -> Place {
        match self {
            Self::Menu(_) => Place::Menu,
            Self::Confirm(_) => Place::Text,
            Self::Prompt(prompt) => prompt.place(),
        }
    }
}

/// Draws a panel over the room between the top line and the hints; gives the place of the cursor of a text field.
pub fn draw(model: &Model, panel: &Panel, room: Rect, buf: &mut Buffer) -> Option<Position> {
    match panel {
        Panel::Menu(menu) => {
            menu::draw(model, menu, room, buf);
            None
        }
        Panel::Confirm(confirm) => confirm::draw(model, confirm, room, buf),
        Panel::Prompt(prompt) => prompt::draw(model, prompt, room, buf),
    }
}

/// A place in the middle of a room.
pub fn centred(room: Rect, columns: u16, rows: u16) -> Rect {
    let (width, height) = (columns.min(room.width), rows.min(room.height));
    Rect { x: room.x + (room.width - width) / 2, y: room.y + (room.height - height) / 2, width, height }
}
