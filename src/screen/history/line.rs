//! One line of a log as it is shown. Pure.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Row, Span};
use unicode_width::UnicodeWidthStr;

use crate::gauge::plain::{self, Hue, Ink};
use crate::screen::paint::palette;

const TAB: usize = 8;

/// A line: plain text in pieces, each of one style. Tabs are expanded, nothing in it controls a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// From 0.
    pub number: u64,
    pub pieces: Vec<(String, Style)>,
}

impl Line {
    pub(super) fn new(number: u64, bytes: &[u8]) -> Self {
        if let Some(text) = as_it_is(bytes) {
            return Self { number, pieces: vec![(text.to_owned(), Style::new())] };
        }
        let mut column = 0;
        let mut pieces = Vec::new();
        for (text, ink) in plain::inked(bytes) {
            let mut shown = String::with_capacity(text.len());
            for (index, part) in text.split('\t').enumerate() {
                if index > 0 {
                    let stop = (column / TAB + 1) * TAB;
                    shown.extend(std::iter::repeat_n(' ', stop - column));
                    column = stop;
                }
                shown.push_str(part);
                column += part.width();
            }
            pieces.push((shown, style(ink)));
        }
        Self { number, pieces }
    }

    /// All of it, without styles.
    pub fn text(&self) -> String {
        self.pieces.iter().map(|(text, _)| text.as_str()).collect()
    }

    /// To be drawn.
    pub fn row(&self) -> Row<'_> {
        self.pieces.iter().map(|(text, style)| Span::styled(text.as_str(), *style)).collect()
    }
}

/// The text of a line that is shown as it stands on disk, as most are: printable, without colours and tabs.
pub(super) fn as_it_is(bytes: &[u8]) -> Option<&str> {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let plain = bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) && bytes.last() != Some(&b' ');
    if plain { std::str::from_utf8(bytes).ok() } else { None }
}

fn style(ink: Ink) -> Style {
    const MARKS: [(u8, Modifier); 5] = [
        (Ink::BOLD, Modifier::BOLD),
        (Ink::DIM, Modifier::DIM),
        (Ink::ITALIC, Modifier::ITALIC),
        (Ink::UNDERLINE, Modifier::UNDERLINED),
        (Ink::INVERSE, Modifier::REVERSED),
    ];
    let mut style = Style::new();
    style.fg = color(ink.fg);
    style.bg = color(ink.bg);
    MARKS.iter().filter(|(bit, _)| ink.marks & bit != 0).fold(style, |style, (_, mark)| style.add_modifier(*mark))
}

fn color(hue: Hue) -> Option<Color> {
    match hue {
        Hue::Usual => None,
        Hue::Palette(number) => Some(palette(number)),
        Hue::Rgb(red, green, blue) => Some(Color::Rgb(red, green, blue)),
    }
}
