//! Lines of braille dots: two beside each other and four below one another in each cell. Pure.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::theme::{Role, Theme};

/// Dots, and which line each cell belongs to.
pub(super) struct Canvas {
    columns: usize,
    rows: usize,
    cells: Vec<(u8, Role)>,
}

/// What lies in one column of dots, as rows of dots from the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dot {
    /// Values that are no numbers, or cannot be drawn: the line ends, and begins anew.
    Gap,
    Span {
        top: usize,
        bottom: usize,
        last: usize,
    },
}

/// How a line is drawn, so that several can be told apart without colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stroke {
    Solid,
    Dashed,
    Dotted,
}

impl Stroke {
    /// Of the line with this number.
    pub(super) fn of(number: usize) -> Self {
        [Self::Solid, Self::Dashed, Self::Dotted][number % 3]
    }

    /// As the legend shows it.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Solid => "━",
            Self::Dashed => "╍",
            Self::Dotted => "┄",
        }
    }

    fn draws(self, column: usize) -> bool {
        match self {
            Self::Solid => true,
            Self::Dashed => column % 8 < 5,
            Self::Dotted => column.is_multiple_of(3),
        }
    }
}

impl Canvas {
    /// Empty, of so many cells.
    pub(super) fn new(area: Rect) -> Self {
        let (columns, rows) = (usize::from(area.width), usize::from(area.height));
        Self { columns, rows, cells: vec![(0, Role::Plain); columns * rows] }
    }

    fn set(&mut self, x: usize, y: usize, role: Role) {
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        if x >= self.columns * 2 || y >= self.rows * 4 {
            return;
        }
        let cell = &mut self.cells[(y / 4) * self.columns + x / 2];
        *cell = (cell.0 | BITS[y % 4][x % 2], role);
    }

    /// A line through these columns of dots; where nothing is known it goes on straight.
    pub(super) fn line(&mut self, dots: &[Option<Dot>], stroke: Stroke, role: Role) {
        let mut before: Option<(usize, usize)> = None;
        for (x, dot) in dots.iter().enumerate() {
            match dot {
                None => {}
                Some(Dot::Gap) => before = None,
                Some(Dot::Span { top, bottom, last }) => {
                    if let Some(from) = before {
                        self.stretch(from, (x, (*last).clamp(*top, *bottom)), stroke, role);
                    }
                    // What stands out is never between two dashes.
                    if before.is_none() || stroke.draws(x) || bottom - top > 2 {
                        (*top..=*bottom).for_each(|y| self.set(x, y, role));
                    }
                    before = Some((x, *last));
                }
            }
        }
    }

    /// Straight from one dot to another.
    fn stretch(&mut self, from: (usize, usize), to: (usize, usize), stroke: Stroke, role: Role) {
        let wide = to.0 - from.0;
        let high = from.1.abs_diff(to.1);
        for n in 0..=wide.max(high) {
            let part = |length: usize| (length * n * 2 + wide.max(high)) / (wide.max(high) * 2).max(1);
            let (x, y) = (from.0 + part(wide), if to.1 >= from.1 { from.1 + part(high) } else { from.1 - part(high) });
            if stroke.draws(x) {
                self.set(x, y, role);
            }
        }
    }

    /// Onto the screen; cells without a dot are left as they are.
    pub(super) fn show(&self, theme: &Theme, area: Rect, buf: &mut Buffer) {
        for (place, (dots, role)) in self.cells.iter().enumerate().filter(|(_, (dots, _))| *dots > 0) {
            let (x, y) = (place % self.columns, place / self.columns);
            let at = (area.x + u16::try_from(x).unwrap_or(0), area.y + u16::try_from(y).unwrap_or(0));
            if let Some(cell) = buf.cell_mut(at) {
                let sign = char::from_u32(0x2800 + u32::from(*dots)).unwrap_or('⠿');
                cell.set_char(sign).set_style(theme.style(*role));
            }
        }
    }
}
