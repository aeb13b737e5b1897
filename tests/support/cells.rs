//! What may stand on an operator's screen, told by a list of its own: not by the code that is tested.

use ratatui::buffer::Buffer;
use unicode_width::UnicodeWidthStr;

use super::outer::harmless;

/// Cells that a terminal would obey, that cannot be seen, or that are not as wide as their place: with where they are.
/// Empty for every screen that dogwatch may draw.
pub(crate) fn strange_cells(buffer: &Buffer) -> Vec<String> {
    let mut strange = Vec::new();
    for y in buffer.area.top()..buffer.area.bottom() {
        let mut covered = 0;
        for x in buffer.area.left()..buffer.area.right() {
            let symbol = buffer[(x, y)].symbol();
            if covered > 0 {
                covered -= 1;
                if symbol != " " {
                    strange.push(format!("{x},{y}: {symbol:?} under a wide character"));
                }
                continue;
            }
            let width = symbol.width();
            if !harmless(symbol) || !(1..=2).contains(&width) {
                strange.push(format!("{x},{y}: {symbol:?} of width {width}"));
            }
            if width == 2 && x + 1 == buffer.area.right() {
                strange.push(format!("{x},{y}: {symbol:?} leaves the screen"));
            }
            covered = width.saturating_sub(1);
        }
    }
    strange
}
