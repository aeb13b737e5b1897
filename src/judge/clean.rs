//! A line's bytes as text that can be judged: without control sequences, and of a line that was written over with `\r`
//! what was written last.
//!
//! Not for showing: what turns the direction of writing is still in it. Whoever shows a line asks `gauge::plain`.

use std::borrow::Cow;

/// The text of one line.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let bytes = match memchr::memchr(b'\r', bytes) {
        Some(_) => bytes.rsplit(|byte| *byte == b'\r').find(|part| !part.trim_ascii().is_empty()).unwrap_or(&[]),
        None => bytes,
    };
    let plain = |byte: &u8| (*byte >= b' ' && *byte != 0x7f) || *byte == b'\t';
    if bytes.iter().all(plain) {
        if let (true, Ok(text)) = (bytes.is_ascii(), std::str::from_utf8(bytes)) {
            return Cow::Borrowed(text);
        }
        let text = String::from_utf8_lossy(bytes);
        // The C1 controls are two bytes in UTF-8, and as good as an ESC to some terminals.
        return if text.contains(|c: char| c.is_control() && c != '\t') { Cow::Owned(strip(&text)) } else { text };
    }
    Cow::Owned(strip(&String::from_utf8_lossy(bytes)))
}

/// Without escape sequences and control characters.
fn strip(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.next() {
                Some('[') => control(&mut chars),
                Some(']' | 'P' | 'X' | '^' | '_') => skip_string(&mut chars),
                // A character set: one more letter.
                Some('(' | ')' | '*' | '+' | '#' | '%' | ' ') => drop(chars.next()),
                Some(_) | None => {}
            },
            '\u{9b}' => control(&mut chars),
            '\u{90}' | '\u{9d}' => skip_string(&mut chars),
            '\t' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// The rest of a control sequence.
fn control(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(c) = chars.peek() {
        let (end, inside) = (('@'..='~').contains(c), (' '..='?').contains(c));
        if !(end || inside) {
            return;
        }
        chars.next();
        if end {
            return;
        }
    }
}

/// The rest of a string for the terminal. One that never ends hides nothing: it is over at the first character that no
/// title or link has.
fn skip_string(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    let rest = chars.clone();
    for _ in 0..2048 {
        match chars.next() {
            Some('\u{7}' | '\u{9c}') => return,
            Some('\u{1b}') => {
                if chars.peek() == Some(&'\\') {
                    chars.next();
                }
                return;
            }
            Some(_) => {}
            None => break,
        }
    }
    *chars = rest;
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn what_is_left_of_a_line() {
        for (bytes, left) in [
            (&b"plain"[..], "plain"),
            (b"dos\r", "dos"),
            (b" 10%\r 20%\r100% done\r", "100% done"),
            (b" 10%\r\r   ", " 10%"),
            (b"\x1b[31mError:\x1b[0m x", "Error: x"),
            (b"\x1b]0;title\x07Error", "Error"),
            (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            (b"\x1b]never ends Error", "never ends Error"),
            (b"a\x00b\x08c\x7f", "abc"),
            ("\u{9b}31mred".as_bytes(), "red"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            (b"\x1b", ""),
            (b"", ""),
        ] {
            assert_eq!(text(bytes), left);
        }
    }
}
