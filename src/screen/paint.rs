//! Cells of a [`Grid`] onto a buffer of the operator's screen. Pure; writes nothing but cells.

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Modifier};

use super::glyph;
use super::grid::Grid;

impl Grid {
    /// Draws the part of the terminal that fits, row by row as it is: of a larger one the rows at the cursor. Every cell of
    /// `area` is written.
    pub fn paint(&self, area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        let first = self.first_row(area.height);
        for y in 0..area.height {
            self.row(first + y, Rect { y: area.y + y, height: 1, ..area }, buf);
        }
    }

    /// Where [`Grid::paint`] puts the cursor; `None` where it is hidden or outside.
    pub fn cursor_in(&self, area: Rect) -> Option<Position> {
        let (row, col) = self.cursor()?;
        let y = row.checked_sub(self.first_row(area.height))?;
        (y < area.height && col < area.width).then(|| Position::new(area.x + col, area.y + y))
    }

    /// Draws the last lines of the terminal as wide as `area` is: longer lines go on in the next row, and those that the
    /// terminal itself had to wrap are put together again. For a program that owns the whole screen as [`Grid::paint`].
    pub fn paint_wrapped(&self, area: Rect, buf: &mut Buffer) {
        if self.screen().alternate_screen() {
            return self.paint(area, buf);
        }
        let area = area.intersection(buf.area);
        clear(area, buf);
        if area.is_empty() {
            return;
        }
        let height = usize::from(area.height);
        let (mut lines, mut total) = (Vec::new(), 0);
        let mut below = self.content_rows();
        while below > 0 && total < height {
            let mut first = below - 1;
            while first > 0 && self.screen().row_wrapped(first - 1) {
                first -= 1;
            }
            let mut count = 0;
            self.walk(first..below, area.width, |_, line, _, _| count = line + 1);
            let count = count.max(1);
            lines.push((first..below, count));
            total += count;
            below = first;
        }
        // Where not all fits the topmost line loses its beginning.
        let (mut next, hidden) = (0, total.saturating_sub(height));
        for (rows, count) in lines.into_iter().rev() {
            self.walk(rows, area.width, |cell, line, x, wide| {
                if let Some(y) = (next + line).checked_sub(hidden).and_then(|y| u16::try_from(y).ok())
                    && y < area.height
                {
                    draw(buf, Position::new(area.x + x, area.y + y), cell, wide);
                }
            });
            next += count;
        }
    }

    /// The first row that is drawn where `height` rows fit.
    fn first_row(&self, height: u16) -> u16 {
        let last = if self.screen().alternate_screen() {
            self.cursor_place().0
        } else {
            self.cursor_place().0.max(self.content_rows().saturating_sub(1))
        };
        (last + 1).saturating_sub(height)
    }

    /// How many rows from the top there is something in.
    fn content_rows(&self) -> u16 {
        (0..self.size().rows()).rev().find(|row| self.used(*row) > 0).map_or(0, |row| row + 1)
    }

    /// How many columns of a row there is something in.
    fn used(&self, row: u16) -> u16 {
        let blank = |cell: &vt100::Cell| {
            matches!(cell.contents(), "" | " ")
                && cell.bgcolor() == vt100::Color::Default
                && !cell.inverse()
                && !cell.underline()
        };
        let cols = self.size().cols();
        (0..cols)
            .rev()
            .find(|col| self.screen().cell(row, *col).is_some_and(|cell| !blank(cell)))
            .map_or(0, |col| col + 1)
    }

    /// Tells for each cell of some rows, which are one line, where it is drawn when the line is wrapped at `width`:
    /// `tell(cell, line, x, wide)`.
    fn walk(&self, rows: std::ops::Range<u16>, width: u16, mut tell: impl FnMut(&vt100::Cell, usize, u16, bool)) {
        let (mut line, mut x) = (0, 0);
        let last = rows.end - 1;
        for row in rows {
            // A wrapped row is full, but for a wide character that did not fit into its last column.
            let end = if row == last { self.used(row) } else { self.full(row) };
            let mut col = 0;
            while col < end {
                let Some(cell) = self.screen().cell(row, col) else { break };
                let wide = self.is_wide(row, col);
                let columns = 1 + u16::from(wide);
                if x + columns > width && x > 0 {
                    line += 1;
                    x = 0;
                }
                if columns <= width {
                    tell(cell, line, x, wide);
                }
                x += columns;
                col += columns;
            }
        }
    }

    fn full(&self, row: u16) -> u16 {
        let cols = self.size().cols();
        let empty =
            self.screen().cell(row, cols - 1).is_none_or(|cell| !cell.has_contents() && !cell.is_wide_continuation());
        cols - u16::from(empty)
    }

    /// A wide character whose second half is where it belongs.
    fn is_wide(&self, row: u16, col: u16) -> bool {
        let screen = self.screen();
        screen.cell(row, col).is_some_and(vt100::Cell::is_wide)
            && screen.cell(row, col + 1).is_some_and(vt100::Cell::is_wide_continuation)
    }

    /// Draws a row into an area that is one row high.
    fn row(&self, row: u16, area: Rect, buf: &mut Buffer) {
        clear(area, buf);
        let mut col = 0;
        while col < area.width {
            let Some(cell) = self.screen().cell(row, col) else { break };
            // Half of a wide character is not drawn.
            let wide = self.is_wide(row, col) && col + 1 < area.width;
            draw(buf, Position::new(area.x + col, area.y), cell, wide);
            col += 1 + u16::from(wide);
        }
    }
}

fn clear(area: Rect, buf: &mut Buffer) {
    for position in area.positions() {
        buf[position].reset();
    }
}

/// Draws one cell, and its second half.
fn draw(buf: &mut Buffer, at: Position, from: &vt100::Cell, wide: bool) {
    let cell = &mut buf[at];
    colour(cell, from);
    if wide || !from.is_wide() {
        glyph::put(cell, from.contents(), wide);
    }
    if wide {
        colour(&mut buf[Position::new(at.x + 1, at.y)], from);
    }
}

fn colour(cell: &mut Cell, from: &vt100::Cell) {
    cell.fg = color(from.fgcolor());
    cell.bg = color(from.bgcolor());
    let marks = [
        (from.bold(), Modifier::BOLD),
        (from.dim(), Modifier::DIM),
        (from.italic(), Modifier::ITALIC),
        (from.underline(), Modifier::UNDERLINED),
        (from.inverse(), Modifier::REVERSED),
    ];
    cell.modifier = marks.into_iter().filter(|(set, _)| *set).map(|(_, mark)| mark).collect();
}

fn color(color: vt100::Color) -> Color {
    match color {
        vt100::Color::Default => Color::Reset,
        vt100::Color::Idx(number) => palette(number),
        vt100::Color::Rgb(red, green, blue) => Color::Rgb(red, green, blue),
    }
}

/// The first sixteen by their names, so that a theme of the operator's terminal applies.
pub(super) fn palette(number: u8) -> Color {
    const NAMED: [Color; 16] = [
        Color::Black,
        Color::Red,
        Color::Green,
        Color::Yellow,
        Color::Blue,
        Color::Magenta,
        Color::Cyan,
        Color::Gray,
        Color::DarkGray,
        Color::LightRed,
        Color::LightGreen,
        Color::LightYellow,
        Color::LightBlue,
        Color::LightMagenta,
        Color::LightCyan,
        Color::White,
    ];
    NAMED.get(usize::from(number)).copied().unwrap_or(Color::Indexed(number))
}
