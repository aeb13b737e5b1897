//! What every view draws with: text that fits, boxes, bars. Pure. All text from outside passes through [`Pen::text`], which
//! lets no control, bidirectional or invisible character through.

mod layout;
mod picked;

pub use layout::{Layout, Room, layout};
pub use picked::Picked;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use super::theme::{Role, Theme};

/// Draws text into a row, from left to right, and never beyond its end.
pub struct Pen<'a> {
    buf: &'a mut Buffer,
    theme: &'a Theme,
    x: u16,
    y: u16,
    end: u16,
    /// Over every style: the selection.
    over: Style,
}

impl<'a> Pen<'a> {
    /// At the beginning of the first row of `area`.
    pub fn new(buf: &'a mut Buffer, theme: &'a Theme, area: Rect) -> Self {
        let inside = area.intersection(buf.area);
        let end = if inside.height == 0 { inside.x } else { inside.right() };
        Self { buf, theme, x: inside.x, y: inside.y, end, over: Style::new() }
    }

    /// Everything from here on is drawn with this on top.
    #[must_use]
    pub fn over(mut self, role: Role) -> Self {
        self.over = self.theme.style(role);
        self
    }

    /// Columns that are left.
    pub fn left(&self) -> usize {
        usize::from(self.end.saturating_sub(self.x))
    }

    /// Text in a meaning's style, cut with `…` where it does not fit.
    pub fn text(&mut self, role: Role, text: &str) -> &mut Self {
        let style = self.theme.style(role);
        self.styled(style, text)
    }

    /// Text in a style.
    pub fn styled(&mut self, style: Style, text: &str) -> &mut Self {
        let clean = clean(text);
        let fitting = fit(&clean, self.left());
        if self.left() > 0 {
            let (x, _) = self.buf.set_stringn(self.x, self.y, &fitting, self.left(), style.patch(self.over));
            self.x = x;
        }
        self
    }

    /// Text in exactly so many columns: cut, or filled with spaces.
    pub fn field(&mut self, role: Role, text: &str, columns: usize) -> &mut Self {
        let columns = columns.min(self.left());
        let fitting = fit(&clean(text), columns);
        let filled = format!("{fitting}{}", " ".repeat(columns.saturating_sub(fitting.width())));
        self.text(role, &filled)
    }

    /// Spaces until so many columns are left.
    pub fn until_left(&mut self, columns: usize) -> &mut Self {
        let spaces = self.left().saturating_sub(columns);
        self.space(spaces)
    }

    /// So many spaces.
    pub fn space(&mut self, columns: usize) -> &mut Self {
        self.text(Role::Plain, &" ".repeat(columns.min(self.left())))
    }

    /// Goes so many columns on and leaves what stands there.
    pub fn skip(&mut self, columns: usize) -> &mut Self {
        let step = columns.min(self.left());
        self.x += u16::try_from(step).unwrap_or(0);
        self
    }

    /// Fills the rest of the row.
    pub fn rest(&mut self) {
        let left = self.left();
        self.space(left);
    }
}

/// Text from anywhere, as one line that changes nothing on a terminal.
pub fn clean(text: &str) -> String {
    crate::screen::clean(text).into_owned()
}

/// The columns that a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text, cut with `…` to so many columns.
pub fn fit(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for cluster in unicode_segmentation::UnicodeSegmentation::graphemes(text, true) {
        let wide = cluster.width();
        if used + wide + 1 > columns {
            break;
        }
        used += wide;
        kept.push_str(cluster);
    }
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// The text in at most so many columns, its middle replaced by `…`: two parts of the beginning for one of the end.
pub fn middle(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    if columns < 8 {
        return fit(text, columns);
    }
    let end_room = (columns - 1) * 2 / 5;
    let start_room = columns - 1 - end_room;
    let clusters: Vec<&str> = unicode_segmentation::UnicodeSegmentation::graphemes(text, true).collect();
    let taken = |clusters: &mut dyn Iterator<Item = &&str>, room: usize| {
        let mut used = 0;
        clusters
            .take_while(|cluster| {
                used += width(cluster);
                used <= room
            })
            .count()
    };
    let start = taken(&mut clusters.iter(), start_room);
    let end = taken(&mut clusters.iter().rev(), end_room);
    format!("{}…{}", clusters[..start].concat(), clusters[clusters.len() - end..].concat())
}

/// Broken into lines of so many columns, at spaces where there are any.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = vec![String::new()];
    for word in clean(text).split(' ') {
        let mut word = word.to_owned();
        while let Some(line) = lines.last_mut() {
            let gap = usize::from(!line.is_empty());
            if line.width() + gap + word.width() <= columns {
                if gap == 1 {
                    line.push(' ');
                }
                line.push_str(&word);
                break;
            }
            if line.is_empty() {
                // A word that no line can hold is broken where the line ends.
                let (head, tail) = split_at(&word, columns);
                line.push_str(&head);
                word = tail;
                if word.is_empty() {
                    break;
                }
            }
            lines.push(String::new());
        }
    }
    lines
}

fn split_at(text: &str, columns: usize) -> (String, String) {
    let mut used = 0;
    let mut cut = 0;
    for (place, cluster) in unicode_segmentation::UnicodeSegmentation::grapheme_indices(text, true) {
        let wide = cluster.width();
        if used + wide > columns && cut > 0 {
            break;
        }
        used += wide;
        cut = place + cluster.len();
    }
    (text[..cut].to_owned(), text[cut..].to_owned())
}

/// How heavy a box is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    Light,
    /// Selected, a prompt, or typed into.
    Heavy,
}

/// A box with titles, and what is inside of it.
#[derive(Debug, Clone)]
pub struct Frame<'a> {
    pub weight: Weight,
    pub role: Role,
    pub title: &'a str,
    /// At the right end of the top line.
    pub right: &'a str,
    /// In the bottom line.
    pub foot: &'a str,
}

impl<'a> Frame<'a> {
    /// A light one.
    pub fn light(title: &'a str) -> Self {
        Self { weight: Weight::Light, role: Role::Border, title, right: "", foot: "" }
    }

    /// A heavy one.
    pub fn heavy(title: &'a str) -> Self {
        Self { weight: Weight::Heavy, role: Role::Focus, title, right: "", foot: "" }
    }

    /// With something at the right end of the top line.
    #[must_use]
    pub fn right(self, right: &'a str) -> Self {
        Self { right, ..self }
    }

    /// With something in the bottom line.
    #[must_use]
    pub fn foot(self, foot: &'a str) -> Self {
        Self { foot, ..self }
    }

    /// Draws it and gives the room inside.
    pub fn draw(&self, buf: &mut Buffer, theme: &Theme, area: Rect) -> Rect {
        let area = area.intersection(buf.area);
        if area.width < 2 || area.height < 2 {
            return Rect { width: 0, height: 0, ..area };
        }
        let [corners, across, down] = match self.weight {
            Weight::Light => ["┌┐└┘", "─", "│"],
            Weight::Heavy => ["┏┓┗┛", "━", "┃"],
        };
        let corner: Vec<char> = corners.chars().collect();
        let style = theme.style(self.role);
        let inner = usize::from(area.width) - 2;
        let line = |left: char, right: char, words: &str, end: &str| {
            let (words, end) = (clean(words), clean(end));
            let end = if end.is_empty() { String::new() } else { format!(" {} ", fit(&end, inner.saturating_sub(8))) };
            let room = inner.saturating_sub(end.width() + 1);
            let words =
                if words.is_empty() { String::new() } else { format!(" {} ", fit(&words, room.saturating_sub(2))) };
            let fill = inner.saturating_sub(words.width() + end.width());
            format!("{left}{words}{}{end}{right}", across.repeat(fill))
        };
        buf.set_stringn(area.x, area.y, line(corner[0], corner[1], self.title, self.right), inner + 2, style);
        buf.set_stringn(area.x, area.bottom() - 1, line(corner[2], corner[3], self.foot, ""), inner + 2, style);
        for y in area.y + 1..area.bottom() - 1 {
            buf.set_stringn(area.x, y, down, 1, style);
            buf.set_stringn(area.right() - 1, y, down, 1, style);
        }
        Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: area.height - 2 }
    }
}

/// Makes an area empty, whatever was drawn there.
pub fn blank(buf: &mut Buffer, area: Rect) {
    let area = area.intersection(buf.area);
    for y in area.y..area.bottom() {
        for x in area.x..area.right() {
            buf[(x, y)].reset();
        }
    }
}

/// `██████▏···`: so many columns, filled up to a fraction of 0 to 1.
pub fn bar(fraction: f64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let whole = u16::try_from(columns).unwrap_or(u16::MAX);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=8*65535 before")]
    let filled = (fraction.clamp(0.0, 1.0) * f64::from(whole) * 8.0).round() as usize;
    let (full, part) = (filled / 8, EIGHTHS[filled % 8]);
    let empty = columns.saturating_sub(full + usize::from(!part.is_empty()));
    format!("{}{part}{}", "█".repeat(full.min(columns)), "·".repeat(empty))
}

/// The row of an area, by its place from the top; empty when it has none.
pub fn row(area: Rect, place: u16) -> Rect {
    if place >= area.height {
        return Rect { height: 0, ..area };
    }
    Rect { y: area.y + place, height: 1, ..area }
}

/// The first of `rows` items to show in so many lines so that `cursor` is visible.
pub fn first_shown(cursor: usize, rows: usize, lines: usize) -> usize {
    if lines == 0 || rows <= lines {
        return 0;
    }
    cursor.saturating_sub(lines / 2).min(rows - lines)
}
