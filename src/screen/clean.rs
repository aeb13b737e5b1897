//! Names, titles and labels that a step or a workflow file chose, as they may be drawn outside of panes. Pure.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

use crate::gauge::plain::{hidden, joins};

/// More marks on one character are drawn by nobody.
const MOST_MARKS: usize = 8;

/// One line of text in which nothing can control a terminal, turn the direction of writing or hide: control characters
/// are shown as `^[`, invisible ones as `\u{202e}`; line feeds and tabs become spaces.
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut marks = 0;
    for c in text.chars() {
        let before = shown.chars().next_back();
        marks = if c.width() == Some(0) { marks + 1 } else { 0 };
        match c {
            '\n' | '\t' => shown.push(' '),
            '\0'..='\u{1f}' | '\u{7f}' => {
                shown.push('^');
                shown.push(char::from(u8::try_from(u32::from(c)).unwrap_or(0) ^ 0x40));
            }
            c if c.is_control() || (hidden(c) && !joins(c, before)) => {
                shown.extend(c.escape_unicode());
            }
            _ if marks > MOST_MARKS => {}
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_shows_what_is_in_it() {
        let table = [
            ("train[lr=0.1]", "train[lr=0.1]"),
            ("größe 東京 ✓ 👩\u{200d}💻", "größe 東京 ✓ 👩\u{200d}💻"),
            ("good\rbad", "good^Mbad"),
            ("\x1b]0;x\x07", "^[]0;x^G"),
            ("a\nb\tc", "a b c"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m^?"),
            ("a\u{202e}txt.exe", "a\\u{202e}txt.exe"),
            ("a\u{200d}b", "a\\u{200d}b"),
        ];
        for (text, expected) in table {
            assert_eq!(clean(text), expected);
        }
        assert_eq!(clean(&format!("a{}", "\u{301}".repeat(1000))).chars().count(), 1 + MOST_MARKS);
    }
}
