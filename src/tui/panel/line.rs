//! One line of text that is being typed: for every field of the screen. Owns editing keys, never what the text is for.

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
pub struct Line {
    input: Input,
}

impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text() && self.input.cursor() == other.input.cursor()
    }
}

impl Line {
    /// With this text, the cursor behind it.
    pub fn new(text: &str) -> Self {
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

    /// Draws it at the beginning of an area; gives the place of the cursor.
    pub fn draw(&self, theme: &Theme, area: Rect, buf: &mut Buffer) -> Option<Position> {
        let area = area.intersection(buf.area);
        let columns = usize::from(area.width);
        if columns < 2 || area.height == 0 {
            return None;
        }
        let before: String = self.text().chars().take(self.input.cursor()).collect();
        let after: String = self.text().chars().skip(self.input.cursor()).collect();
        let (before, after) = (clean(&before), clean(&after));
        let shown = tail(&before, columns - 1);
        let mut pen = Pen::new(buf, theme, area);
        pen.text(Role::Strong, &shown).text(Role::Strong, &after);
        pen.rest();
        let at = u16::try_from(width(&shown)).unwrap_or(0).min(area.width - 1);
        Some(Position { x: area.x + at, y: area.y })
    }
}

/// The end of a text, so many columns of it.
fn tail(text: &str, columns: usize) -> String {
    let mut used = 0;
    let mut kept: Vec<&str> = Vec::new();
    for cluster in unicode_segmentation::UnicodeSegmentation::graphemes(text, true).rev() {
        used += width(cluster);
        if used > columns {
            break;
        }
        kept.push(cluster);
    }
    kept.into_iter().rev().collect()
}

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
