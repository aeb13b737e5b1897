//! The operator's screen as text: drawn into a buffer of the model's size, line by line, with colours where they count.

use dogwatch::tui::model::{LaneKey, Model};
use dogwatch::tui::page::panes::Pictures;
use dogwatch::tui::view::view;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use unicode_width::UnicodeWidthStr;

/// No step has printed anything.
pub(crate) struct NoPictures;

impl Pictures for NoPictures {
    fn paint(&self, _: &LaneKey, _: Rect, _: usize, _: &mut Buffer) -> Option<Option<Position>> {
        None
    }

    fn log_lines(&self, _: u64, _: usize) -> Vec<Line<'static>> {
        Vec::new()
    }
}

/// What the whole screen shows.
pub(crate) fn drawn(model: &Model) -> (Buffer, Option<Position>) {
    let mut buf = Buffer::empty(Rect::new(0, 0, model.size.columns, model.size.rows));
    let cursor = view(model, &NoPictures, &mut buf);
    (buf, cursor)
}

/// The screen as lines, without blanks at their ends.
pub(crate) fn text(model: &Model) -> String {
    lines(&drawn(model).0).join("\n")
}

/// A buffer as lines, without blanks at their ends.
pub(crate) fn lines(buf: &Buffer) -> Vec<String> {
    let area = buf.area;
    (area.y..area.bottom()).map(|y| line(buf, y).trim_end().to_owned()).collect()
}

fn line(buf: &Buffer, y: u16) -> String {
    let mut text = String::new();
    let mut x = buf.area.x;
    while x < buf.area.right() {
        let symbol = buf[(x, y)].symbol();
        text.push_str(symbol);
        // The cells behind a wide character are its own.
        x += u16::try_from(symbol.width().max(1)).unwrap_or(1);
    }
    text
}

/// The screen as lines in which each change of style is named: `{bold,red}`, `{}`.
pub(crate) fn styled(model: &Model) -> String {
    let (buf, _) = drawn(model);
    let mut all = Vec::new();
    for y in buf.area.y..buf.area.bottom() {
        let mut text = String::new();
        let mut before = Style::reset();
        let mut x = buf.area.x;
        while x < buf.area.right() {
            let cell = &buf[(x, y)];
            if name(cell.style()) != name(before) {
                text.push('{');
                text.push_str(&name(cell.style()));
                text.push('}');
                before = cell.style();
            }
            text.push_str(cell.symbol());
            x += u16::try_from(cell.symbol().width().max(1)).unwrap_or(1);
        }
        all.push(text.trim_end().to_owned());
    }
    all.join("\n")
}

fn name(style: Style) -> String {
    let mut parts: Vec<String> = Vec::new();
    for (modifier, word) in [(Modifier::BOLD, "bold"), (Modifier::DIM, "dim"), (Modifier::REVERSED, "reversed")] {
        if style.add_modifier.contains(modifier) {
            parts.push(word.into());
        }
    }
    match style.fg {
        None | Some(Color::Reset) => {}
        Some(color) => parts.push(color.to_string().to_lowercase()),
    }
    parts.join(",")
}
