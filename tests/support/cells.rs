//! What may stand on an operator's screen, told by a list of its own: not by the code that is tested.

use ratatui::buffer::Buffer;
use unicode_width::UnicodeWidthStr;

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

/// May this text be sent to a terminal?
pub(crate) fn harmless(text: &str) -> bool {
    let mut before = None;
    text.chars().all(|c| {
        let joins = matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}');
        let in_place = joins && before.is_some_and(|b: char| !b.is_ascii() || b.is_ascii_digit());
        before = Some(c);
        in_place || !forbidden(c)
    })
}

/// Control characters; format characters (category Cf) that are not part of a script's own writing; what Unicode calls
/// ignorable by default; separators of lines and paragraphs; noncharacters.
fn forbidden(c: char) -> bool {
    const CODES: [std::ops::RangeInclusive<u32>; 24] = [
        0x00..=0x1f,
        0x7f..=0x9f,
        0xad..=0xad,
        0x34f..=0x34f,
        0x61c..=0x61c,
        0x115f..=0x1160,
        0x17b4..=0x17b5,
        0x180b..=0x180f,
        0x200b..=0x200f,
        0x2028..=0x202e,
        0x2060..=0x206f,
        0x3164..=0x3164,
        0xfe00..=0xfe0f,
        0xfeff..=0xfeff,
        0xffa0..=0xffa0,
        0xfff0..=0xfffb,
        0xfffe..=0xffff,
        0x1_bca0..=0x1_bca3,
        0x1_d173..=0x1_d17a,
        0x1_fffe..=0x1_ffff,
        0x2_fffe..=0x2_ffff,
        0xe_0000..=0xe_0fff,
        0xf_fffe..=0xf_ffff,
        0x10_fffe..=0x10_ffff,
    ];
    CODES.iter().any(|range| range.contains(&u32::from(c)))
}
