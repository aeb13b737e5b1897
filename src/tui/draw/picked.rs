//! Text that is picked with the mouse in a pane: from one place to another, as lines. Pure.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

/// A stretch of text on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picked {
    /// What can be picked: the inside of one pane.
    pub area: Rect,
    /// Where the button was pressed, and where the mouse is now or was when it was let go.
    pub from: (u16, u16),
    pub to: (u16, u16),
    /// The button is still down.
    pub going_on: bool,
}

impl Picked {
    /// Begins at a place inside an area.
    pub fn begin(area: Rect, at: (u16, u16)) -> Self {
        Self { area, from: at, to: at, going_on: true }
    }

    /// The mouse went there, wherever that is.
    pub fn move_to(&mut self, (x, y): (u16, u16)) {
        let right = self.area.right().saturating_sub(1).max(self.area.x);
        let bottom = self.area.bottom().saturating_sub(1).max(self.area.y);
        self.to = (x.clamp(self.area.x, right), y.clamp(self.area.y, bottom));
    }

    /// Nothing is picked: it was a click.
    pub fn is_click(&self) -> bool {
        self.from == self.to
    }

    /// Each row that is picked of: its place, first and last column.
    fn rows(&self) -> impl Iterator<Item = (u16, u16, u16)> {
        let ((from_x, from_y), (to_x, to_y)) = if (self.from.1, self.from.0) <= (self.to.1, self.to.0) {
            (self.from, self.to)
        } else {
            (self.to, self.from)
        };
        let (left, right) = (self.area.x, self.area.right().saturating_sub(1));
        (from_y..=to_y).map(move |y| (y, if y == from_y { from_x } else { left }, if y == to_y { to_x } else { right }))
    }

    /// Shows it reversed.
    pub fn show(&self, buf: &mut Buffer) {
        for (y, first, last) in self.rows() {
            for x in first..=last {
                if let Some(cell) = buf.cell_mut((x, y)) {
                    cell.modifier.toggle(Modifier::REVERSED);
                }
            }
        }
    }

    /// What stands there, without the spaces at the ends of lines.
    pub fn text(&self, buf: &Buffer) -> String {
        let line = |(y, first, last): (u16, u16, u16)| {
            let cells = (first..=last).filter_map(|x| buf.cell((x, y)));
            cells.map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned()
        };
        self.rows().map(line).collect::<Vec<_>>().join("\n")
    }
}
