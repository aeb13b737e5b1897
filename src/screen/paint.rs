//! Cells of a [`Grid`] onto a buffer of the operator's screen. Pure; writes nothing but cells.

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Modifier};

use super::glyph;
use super::grid::Grid;

/// Cells in a row, second halves of wide characters included.
type Cells<'a> = Vec<&'a vt100::Cell>;

impl Grid {
    /// Draws the part of the terminal that fits, row by row as it is: of a larger one the rows at the cursor. Every cell of
    /// `area` is written.
    pub fn paint(&self, area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        clear(area, buf);
        let first = self.first_row(area.height);
        for y in 0..area.height {
            // One more: a wide character whose second half is outside is not drawn.
            let cells = self.cells(first + y, area.width.saturating_add(1));
            each(&cells, |at, cell, wide| {
                let x = u16::try_from(at).unwrap_or(u16::MAX);
                if x.saturating_add(u16::from(wide)) < area.width {
                    draw(buf, Position::new(area.x + x, area.y + y), cell, wide);
                }
            });
        }
    }

    /// Where [`Grid::paint`] puts the cursor; `None` where it is hidden or outside.
    pub fn cursor_in(&self, area: Rect) -> Option<Position> {
        let (row, col) = self.cursor()?;
        let y = row.checked_sub(self.first_row(area.height))?;
        (y < area.height && col < area.width).then(|| Position::new(area.x + col, area.y + y))
    }

    /// Draws the part of the terminal round its cursor; of one that hides it, the part from its first cell on. Every cell
    /// of `area` is written.
    pub fn paint_part(&self, area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        clear(area, buf);
        let (top, left) = self.corner(area);
        for y in 0..area.height {
            let cells = self.cells(top + y, left.saturating_add(area.width).saturating_add(1));
            let cells = cells.get(usize::from(left)..).unwrap_or_default();
            each(cells, |at, cell, wide| {
                let x = u16::try_from(at).unwrap_or(u16::MAX);
                if x.saturating_add(u16::from(wide)) < area.width {
                    draw(buf, Position::new(area.x + x, area.y + y), cell, wide);
                }
            });
        }
    }

    /// The row and the column of the first cell of [`Grid::paint_part`].
    fn corner(&self, area: Rect) -> (u16, u16) {
        let Some((row, col)) = self.cursor() else {
            return (0, 0);
        };
        let size = self.size();
        // What stands after the cursor is looked at, too.
        let first = |at: u16, fits: u16, all: u16| {
            if at < fits - fits / 4 {
                0
            } else {
                (at + 1 + fits / 4).saturating_sub(fits).min(all.saturating_sub(fits))
            }
        };
        let (row, col) = (row.min(size.rows() - 1), col.min(size.cols() - 1));
        (first(row, area.height, size.rows()), first(col, area.width, size.cols()))
    }

    /// Draws the last lines of the terminal as wide as `area` is: longer lines go on in the next row, and those that the
    /// terminal itself had to wrap are put together again. For a program that owns the whole screen as [`Grid::paint`].
    pub fn paint_wrapped(&self, area: Rect, buf: &mut Buffer) {
        if self.screen().alternate_screen() {
            return self.paint(area, buf);
        }
        let area = area.intersection(buf.area);
        clear(area, buf);
        let (height, width) = (usize::from(area.height), usize::from(area.width));
        let (mut lines, mut total) = (Vec::new(), 0);
        let mut below = self.size().rows();
        while below > 0 && total < height && width > 0 {
            let first = self.line_start(below - 1);
            let cells = self.line(first, below);
            below = first;
            // What is empty below the last line is not shown.
            if !cells.is_empty() || total > 0 {
                let count = wrap(&cells, width, |_, _, _, _| {});
                lines.push((cells, count));
                total += count;
            }
        }
        // Where not all fits the topmost line loses its beginning.
        let (mut next, hidden) = (0, total.saturating_sub(height));
        for (cells, count) in lines.into_iter().rev() {
            wrap(&cells, width, |line, x, cell, wide| {
                if let Some(y) = (next + line).checked_sub(hidden)
                    && let (Ok(x), Ok(y)) = (u16::try_from(x), u16::try_from(y))
                {
                    draw(buf, Position::new(area.x + x, area.y + y), cell, wide);
                }
            });
            next += count;
        }
    }

    /// The text of the last lines, oldest first, each without the blanks at its end.
    pub(super) fn last_lines(&self, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        let mut below = self.content_rows();
        while below > 0 && lines.len() < count {
            let first = self.line_start(below - 1);
            lines.push((first..below).map(|row| self.row_text(row)).collect());
            below = first;
        }
        lines.reverse();
        lines
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
    pub(super) fn content_rows(&self) -> u16 {
        let rows = self.size().rows();
        (0..rows).rev().find(|row| !self.line(*row, row + 1).is_empty()).map_or(0, |row| row + 1)
    }

    /// The first row of the line that `row` is a part of.
    fn line_start(&self, row: u16) -> u16 {
        (0..row).rev().take_while(|above| self.screen().row_wrapped(*above)).last().unwrap_or(row)
    }

    /// The cells of the rows from `first` to before `below`, which are one line, up to the last with something in it.
    fn line(&self, first: u16, below: u16) -> Cells<'_> {
        let mut all = self.cells(first, self.size().cols());
        for row in first + 1..below {
            // Nothing is in the last column where a wide character did not fit into it.
            all.pop_if(|last| !last.has_contents() && !last.is_wide_continuation());
            all.extend(self.cells(row, self.size().cols()));
        }
        let end = all.iter().rposition(|cell| !is_blank(cell)).map_or(0, |last| last + 1);
        all.truncate(end);
        all
    }

    /// Looking a cell up is what drawing spends most of its time with: each is looked up once.
    fn cells(&self, row: u16, most: u16) -> Cells<'_> {
        (0..most.min(self.size().cols())).filter_map(|col| self.screen().cell(row, col)).collect()
    }
}

fn is_blank(cell: &vt100::Cell) -> bool {
    !cell.is_wide_continuation()
        && (!cell.has_contents() || cell.contents() == " ")
        && cell.bgcolor() == vt100::Color::Default
        && !cell.inverse()
        && !cell.underline()
}

/// Tells of each character: its place, its cell, and whether its second half is where it belongs.
fn each<'a>(cells: &[&'a vt100::Cell], mut tell: impl FnMut(usize, &'a vt100::Cell, bool)) {
    let mut at = 0;
    while let Some(cell) = cells.get(at) {
        let wide = cell.is_wide() && cells.get(at + 1).is_some_and(|next| next.is_wide_continuation());
        tell(at, cell, wide);
        at += columns(wide);
    }
}

/// Tells where each character of a line is drawn that is wrapped at `width`: row, column, cell, wide or not. How many rows
/// that are.
fn wrap<'a>(
    cells: &[&'a vt100::Cell],
    width: usize,
    mut tell: impl FnMut(usize, usize, &'a vt100::Cell, bool),
) -> usize {
    let (mut line, mut x) = (0, 0);
    each(cells, |_, cell, wide| {
        let columns = columns(wide);
        if x + columns > width && x > 0 {
            line += 1;
            x = 0;
        }
        if columns <= width {
            tell(line, x, cell, wide);
        }
        x += columns;
    });
    line + 1
}

fn columns(wide: bool) -> usize {
    1 + usize::from(wide)
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
