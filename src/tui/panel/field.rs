//! One line of text that is being typed: for every field of the screen. Owns the text and its editing keys; what happens
//! with it is its panel's. Pure.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use tui_input::{Input, InputRequest};

use crate::tui::draw::{Pen, clean, width};
use crate::tui::theme::{Role, Theme};

/// Longer than that no line can be typed or pasted.
const LONGEST: usize = 4096;

/// A line of text with a cursor in it.
#[derive(Debug, Clone, Default)]
pub struct Field {
    input: Input,
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text() && self.input.cursor() == other.input.cursor()
    }
}

impl Field {
    /// With this text, the cursor behind it.
    pub fn new(text: impl Into<String>) -> Self {
        Self { input: Input::new(text.into()) }
    }

    /// What was typed.
    pub fn text(&self) -> &str {
        self.input.value()
    }

    /// Takes an editing key; false: the key is none, and belongs to whoever owns the line.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        let Some(request) = request(key) else {
            return false;
        };
        let full = self.text().len() >= LONGEST && matches!(request, InputRequest::InsertChar(_));
        if !full {
            self.input.handle(request);
        }
        true
    }

    /// Text that was pasted: its lines become one.
    pub fn paste(&mut self, text: &str) {
        for letter in text.trim_end_matches(['\n', '\r']).chars() {
            let letter = if letter.is_control() { ' ' } else { letter };
            if self.text().len() < LONGEST {
                self.input.handle(InputRequest::InsertChar(letter));
            }
        }
    }

    /// Draws it so that its cursor is to be seen, and after it what is still missing of `whole`; gives the cursor's place.
    pub fn draw(&self, theme: &Theme, role: Role, whole: &str, area: Rect, buf: &mut Buffer) -> Option<Position> {
        let area = area.intersection(buf.area);
        if area.width == 0 || area.height == 0 {
            return None;
        }
        let columns = usize::from(area.width);
        let before: String = self.text().chars().take(self.input.cursor()).collect();
        let after: String = self.text().chars().skip(self.input.cursor()).collect();
        let shown = tail(&clean(&before), columns - 1);
        let mut pen = Pen::new(buf, theme, area);
        pen.text(role, &shown).text(role, &after);
        pen.text(Role::Dim, whole.strip_prefix(self.text()).unwrap_or("")).rest();
        let at = u16::try_from(width(&shown)).unwrap_or(0).min(area.width - 1);
        Some(Position { x: area.x + at, y: area.y })
    }
}

/// The end of a text in at most so many columns, with `…` before it where something is missing.
fn tail(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut from = text.len();
    for (place, _) in unicode_segmentation::UnicodeSegmentation::grapheme_indices(text, true).rev() {
        if width(&text[place..]) + 1 > columns {
            break;
        }
        from = place;
    }
    if columns == 0 { String::new() } else { format!("…{}", &text[from..]) }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of the many keys few edit")]
fn request(key: KeyEvent) -> Option<InputRequest> {
    let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    match key.code {
        KeyCode::Char('a') if ctrl => Some(InputRequest::GoToStart),
        KeyCode::Char('e') if ctrl => Some(InputRequest::GoToEnd),
        KeyCode::Char('u') if ctrl => Some(InputRequest::DeleteLine),
        KeyCode::Char('w') if ctrl => Some(InputRequest::DeletePrevWord),
        KeyCode::Char(_) if ctrl || alt => None,
        KeyCode::Char(letter) => Some(InputRequest::InsertChar(letter)),
        KeyCode::Backspace if ctrl || alt => Some(InputRequest::DeletePrevWord),
        KeyCode::Backspace => Some(InputRequest::DeletePrevChar),
        KeyCode::Delete => Some(InputRequest::DeleteNextChar),
        KeyCode::Left if ctrl => Some(InputRequest::GoToPrevWord),
        KeyCode::Right if ctrl => Some(InputRequest::GoToNextWord),
        KeyCode::Left => Some(InputRequest::GoToPrevChar),
        KeyCode::Right => Some(InputRequest::GoToNextChar),
        KeyCode::Home => Some(InputRequest::GoToStart),
        KeyCode::End => Some(InputRequest::GoToEnd),
        _ => None,
    }
}
