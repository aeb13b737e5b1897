//! What cannot be undone asks for a name to be typed: nothing happens until it is the right one. Pure.

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::{Field, centred};
use crate::tui::draw::{Frame, Pen, blank, row, width, wrap};
use crate::tui::keys::{Action, Place};
use crate::tui::message::Effect;
use crate::tui::model::Model;
use crate::tui::theme::Role;

const ASK: &str = "Type the workflow name to confirm:  ";

/// A typed confirmation.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirm {
    pub title: String,
    /// What will happen, what is kept, how to go on afterwards.
    pub words: Vec<String>,
    /// What has to be typed.
    pub name: String,
    pub typed: Field,
    pub does: Effect,
}

impl Confirm {
    /// The right name was typed.
    pub fn matches(&self) -> bool {
        self.typed.text() == self.name
    }
}

/// A key: types, confirms, or goes back. Gone after the right name and Enter.
pub fn key(model: &mut Model, mut confirm: Confirm, key: KeyEvent) -> Vec<Effect> {
    match model.manner.keys.action(Place::Text, key) {
        Some(Action::Back) => return Vec::new(),
        Some(Action::Accept) if confirm.matches() => return vec![confirm.does],
        Some(Action::Accept) => {}
        Some(_) | None => {
            confirm.typed.key(key);
        }
    }
    model.panels.push(super::Panel::Confirm(confirm));
    Vec::new()
}

/// Draws it in the middle; the cursor stands behind what was typed. The name to type is always to be seen whole where
/// the terminal is wide enough for it.
pub fn draw(model: &Model, confirm: &Confirm, room: Rect, buf: &mut Buffer) -> Option<Position> {
    let theme = &model.manner.theme;
    let ask = width(ASK) + width(&confirm.name);
    let longest = confirm.words.iter().map(|words| width(words)).max().unwrap_or(0).max(ask);
    let columns = (longest + 5).clamp(60, 110).min(usize::from(room.width));
    let beside = ask + 5 <= columns;
    let fields = if beside { 1 } else { 2 };
    let rows = usize::from(room.height).saturating_sub(2);
    let mut words: Vec<String> = confirm.words.iter().flat_map(|one| wrap(one, columns.saturating_sub(4))).collect();
    words.truncate(rows.saturating_sub(fields + 1));
    let gap = usize::from(words.len() + fields + 1 < rows);
    let narrow = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    let area = centred(room, narrow(columns), narrow(words.len() + fields + 2 * gap + 2));
    blank(buf, area);
    let right = confirm.matches();
    let foot = if right { "the name matches" } else { "nothing happens until the name matches" };
    let mut frame = Frame::heavy(&confirm.title).foot(foot);
    frame.role = Role::Attention;
    let inner = frame.draw(buf, theme, area);
    for (line, one) in words.iter().enumerate() {
        Pen::new(buf, theme, row(inner, narrow(line))).space(1).text(Role::Plain, one);
    }
    let here = row(inner, narrow(words.len() + gap));
    Pen::new(buf, theme, here).space(1).text(Role::Plain, ASK);
    let (here, skipped) = if beside { (here, narrow(width(ASK) + 1)) } else { (row(inner, here.y - inner.y + 1), 1) };
    let field = Rect { x: here.x + skipped, width: here.width.saturating_sub(skipped), ..here };
    let role = if right { Role::Good } else { Role::Strong };
    confirm.typed.draw(theme, role, &confirm.name, field, buf)
}
