//! The room `screen`: bytes of a step as cells and lines, and the hostile corpus through all of it.

#[path = "screen/follow.rs"]
mod follow;
#[path = "screen/history.rs"]
mod history;
#[path = "screen/hostile.rs"]
mod hostile;
#[path = "screen/paint.rs"]
mod paint;
#[path = "screen/sent.rs"]
mod sent;

use dogwatch::screen::Grid;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// The rows of a buffer as text; the second half of a wide character is left out.
fn rows(buffer: &Buffer) -> Vec<String> {
    let area = buffer.area;
    let row = |y: u16| {
        let mut text = String::new();
        let mut x = area.left();
        while x < area.right() {
            let symbol = buffer[(x, y)].symbol();
            text.push_str(symbol);
            x += u16::try_from(unicode_width::UnicodeWidthStr::width(symbol)).expect("a cell is narrow").max(1);
        }
        text
    };
    (area.top()..area.bottom()).map(row).collect()
}

/// A grid as it is drawn wrapped into an area of this size.
fn wrapped(grid: &Grid, width: u16, height: u16) -> Vec<String> {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    grid.paint_wrapped(area, &mut buffer);
    rows(&buffer)
}

/// A grid as it is drawn as it is.
fn painted(grid: &Grid, width: u16, height: u16) -> Vec<String> {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    grid.paint(area, &mut buffer);
    rows(&buffer)
}
