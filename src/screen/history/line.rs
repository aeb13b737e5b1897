//! One line of a log as it is shown. Pure.

use std::borrow::Cow;

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Row, Span};
use unicode_width::UnicodeWidthChar;

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
        let pieces = plain::inked(bytes).into_iter();
        Self { number, pieces: pieces.map(|(text, ink)| (expanded(text, &mut column), style(ink))).collect() }
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

/// [`Line::text`] of the line of these bytes, faster.
pub(super) fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    match as_it_is(bytes) {
        Some(text) => Cow::Borrowed(text),
        None => Cow::Owned(expanded(plain::line(bytes), &mut 0)),
    }
}

/// Tabs as spaces, in a text that begins in this column.
fn expanded(text: String, column: &mut usize) -> String {
    let mut shown = String::new();
    let tabs = text.contains('\t');
    for c in text.chars() {
        let columns = if c == '\t' { TAB - *column % TAB } else { c.width().unwrap_or(0) };
        *column += columns;
        match c {
            '\t' => shown.extend(std::iter::repeat_n(' ', columns)),
            _ if tabs => shown.push(c),
            _ => {}
        }
    }
    if tabs { shown } else { text }
}

/// The text of a line that is shown as it stands on disk, as most are: printable, without colours and tabs.
fn as_it_is(bytes: &[u8]) -> Option<&str> {
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
