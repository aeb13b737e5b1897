//! What may stand in a cell: the one guard that every symbol of a step passes. Pure.

use ratatui::buffer::{Cell, CellWidth};
use unicode_width::UnicodeWidthChar;

use crate::gauge::plain::{hidden, joins};

/// Stands for what cannot be shown.
const STRANGE: &str = "\u{fffd}";

/// Puts `text`, the contents of one cell of a terminal, into a cell that is `wide` (two columns) or not. What a terminal
/// would obey, what cannot be seen and what turns the direction of writing is left out. The symbol is exactly as wide as
/// its place, whatever the text claims.
pub(super) fn put(cell: &mut Cell, text: &str, wide: bool) {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (None, _) | (Some(' '), None) => {}
        (Some(c), None) if is_plain(c) && c.width() == Some(columns(wide)) => {
            cell.set_symbol(text);
        }
        (Some(_), _) => {
            let kept = kept(text);
            let first = kept.chars().next().map_or(0, char::len_utf8);
            let fits = |symbol: &&str| usize::from(symbol.cell_width()) == columns(wide);
            if !kept.is_empty() {
                let symbol = [kept.as_str(), &kept[..first]].into_iter().find(fits);
                cell.set_symbol(symbol.unwrap_or(STRANGE));
            }
        }
    }
}

fn columns(wide: bool) -> usize {
    1 + usize::from(wide)
}

fn is_plain(c: char) -> bool {
    !c.is_control() && !hidden(c)
}

/// Without what must not be drawn. A joiner at the end would join what stands in the next cell: some terminals, and tmux,
/// would do so and shift the rest of the row.
fn kept(text: &str) -> String {
    let mut kept = String::new();
    for c in text.chars() {
        if is_plain(c) || joins(c, kept.chars().next_back()) {
            kept.push(c);
        }
    }
    kept.truncate(kept.trim_end_matches('\u{200d}').len());
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_is_harmless_and_as_wide_as_its_place() {
        let table: &[(&str, bool, &str)] = &[
            ("a", false, "a"),
            ("", false, " "),
            ("e\u{301}", false, "e\u{301}"),
            ("界", true, "界"),
            ("❤\u{fe0f}", true, "❤\u{fe0f}"),
            ("1\u{fe0f}\u{20e3}", true, "1\u{fe0f}\u{20e3}"),
            ("👩\u{200d}", true, "👩"),
            ("ن\u{200c}", false, "ن\u{200c}"),
            // Wider or narrower than its place.
            ("界", false, "\u{fffd}"),
            ("❤\u{fe0f}", false, "❤"),
            ("ｶ\u{ff9e}", false, "ｶ"),
            // Direction, invisible, control.
            ("a\u{202e}", false, "a"),
            ("\u{202e}", false, " "),
            ("\u{1b}", false, " "),
            ("x\u{9b}", false, "x"),
            ("a\u{200d}", false, "a"),
            ("\u{115f}", true, " "),
        ];
        for (text, wide, expected) in table {
            let mut cell = Cell::EMPTY;
            put(&mut cell, text, *wide);
            assert_eq!(cell.symbol(), *expected, "{text:?}");
        }
    }
}
