//! What cannot be undone asks for a name to be typed: nothing happens until it is the right one. Pure.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::centred;
use crate::tui::draw::{Frame, Pen, blank, row, width};
use crate::tui::message::Effect;
use crate::tui::model::Model;
use crate::tui::theme::Role;

/// A typed confirmation.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirm {
    pub title: String,
    /// What will happen, what is kept, how to go on afterwards.
    pub words: Vec<String>,
    /// What has to be typed.
    pub name: String,
    pub typed: String,
    pub does: Effect,
}

/// A key: types, confirms, or goes back. Gone after the right name and Enter.
pub fn key(model: &mut Model, mut confirm: Confirm, key: KeyEvent) -> Vec<Effect> {
    match key.code {
        KeyCode::Esc => return Vec::new(),
        KeyCode::Enter if confirm.typed == confirm.name => return vec![confirm.does],
        KeyCode::Backspace => {
            confirm.typed.pop();
        }
        KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => confirm.typed.clear(),
        KeyCode::Char(letter) if !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => {
            confirm.typed.push(letter);
        }
        _ => {}
    }
    model.panels.push(super::Panel::Confirm(confirm));
    Vec::new()
}

/// Text that was pasted into it.
pub fn pasted(confirm: &mut Confirm, text: &str) {
    confirm.typed.push_str(text.trim_end_matches(['\n', '\r']));
}

/// Draws it in the middle; the cursor stands behind what was typed.
pub fn draw(model: &Model, confirm: &Confirm, room: Rect, buf: &mut Buffer) -> Option<Position> {
    let ask = "Type the workflow name to confirm:  ";
    let longest =
        confirm.words.iter().map(|words| width(words)).max().unwrap_or(0).max(width(ask) + 2 + width(&confirm.name));
    let columns = u16::try_from(longest + 4).unwrap_or(room.width).max(60);
    let lines = u16::try_from(confirm.words.len() + 5).unwrap_or(room.height);
    let area = centred(room, columns, lines);
    blank(buf, area);
    let right = confirm.typed == confirm.name;
    let foot =
        if right { "↵ does it   Esc goes back" } else { "nothing happens until the name matches   Esc goes back" };
    let mut frame = Frame::heavy(&confirm.title).foot(foot);
    frame.role = Role::Attention;
    let inner = frame.draw(buf, &model.manner.theme, area);
    let mut line = 0;
    for words in &confirm.words {
        Pen::new(buf, &model.manner.theme, row(inner, line)).space(1).text(Role::Plain, words);
        line += 1;
    }
    let here = row(inner, line + 1);
    let mut pen = Pen::new(buf, &model.manner.theme, here);
    pen.space(1).text(Role::Plain, ask).text(if right { Role::Good } else { Role::Strong }, &confirm.typed);
    let left = u16::try_from(pen.left()).unwrap_or(0);
    if left == 0 {
        return None;
    }
    pen.text(Role::Dim, confirm.name.strip_prefix(confirm.typed.as_str()).unwrap_or(""));
    Some(Position { x: here.right() - left, y: here.y })
}
