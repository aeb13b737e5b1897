//! One line of text that is being typed. Owns the text; what happens with it is its panel's. Pure.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::tui::draw::{Pen, clean, width};
use crate::tui::theme::{Role, Theme};

/// More is not taken: a note is a line, not a file.
const LONGEST: usize = 1000;

/// A line of text; its cursor is at its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Field {
    pub text: String,
}

impl Field {
    /// With a text in it already.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }

    /// A key that types or erases; any other is ignored.
    pub fn key(&mut self, key: KeyEvent) {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        if key.code == KeyCode::Backspace {
            let mut clusters = unicode_segmentation::UnicodeSegmentation::grapheme_indices(self.text.as_str(), true);
            let end = clusters.next_back().map_or(0, |(place, _)| place);
            self.text.truncate(end);
        } else if key.code == KeyCode::Char('u') && ctrl {
            self.text.clear();
        } else if key.code == KeyCode::Char('w') && ctrl {
            let kept = self.text.trim_end().rfind(' ').map_or(0, |space| space + 1);
            self.text.truncate(kept);
        } else if let KeyCode::Char(letter) = key.code
            && !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT)
        {
            self.push(letter);
        }
    }

    /// Text that was pasted: its first line.
    pub fn paste(&mut self, text: &str) {
        for letter in text.lines().next().unwrap_or("").chars() {
            self.push(letter);
        }
    }

    fn push(&mut self, letter: char) {
        if !letter.is_control() && self.text.len() + letter.len_utf8() <= LONGEST {
            self.text.push(letter);
        }
    }

    /// Draws it, its end always to be seen, and what is still missing of `whole` after it; gives the cursor's place.
    pub fn draw(&self, theme: &Theme, role: Role, whole: &str, area: Rect, buf: &mut Buffer) -> Option<Position> {
        let mut pen = Pen::new(buf, theme, area);
        if pen.left() == 0 {
            return None;
        }
        let shown = tail(&clean(&self.text), pen.left() - 1);
        pen.text(role, &shown);
        let x = area.x + u16::try_from(width(&shown)).unwrap_or(0);
        pen.text(Role::Dim, whole.strip_prefix(self.text.as_str()).unwrap_or(""));
        Some(Position { x, y: area.y })
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
