//! Refuses what is TOML 1.1 and not TOML 1.0: the parser reads both, editors do not.
//!
//! Works on sources that the parser has accepted, so it needs to know no more than strings, comments and brackets.

use std::ops::Range;

/// Something of TOML 1.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TooNew {
    pub(super) what: &'static str,
    pub(super) hint: &'static str,
    pub(super) at: Range<usize>,
}

/// What is too new in a source.
pub(super) fn check(source: &str) -> Vec<TooNew> {
    let bytes = source.as_bytes();
    let mut found = Vec::new();
    let mut open: Vec<u8> = Vec::new();
    let mut comma: Option<usize> = None;
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        let inline = open.last() == Some(&b'{');
        let start = at;
        at += 1;
        match byte {
            b'#' => at += source[at..].find('\n').unwrap_or(source.len() - at),
            b'"' | b'\'' => at = string(source, start, &mut found),
            b'{' | b'[' => open.push(byte),
            b'}' | b']' => {
                if let Some(comma) = comma.filter(|_| inline && byte == b'}') {
                    found.push(new(
                        "a comma after the last key of an inline table",
                        "remove the comma",
                        comma..comma + 1,
                    ));
                }
                open.pop();
            }
            b'\n' if inline => {
                let line = source[..start].rfind('\n').map_or(0, |n| n + 1);
                let end = start.max(line + 1);
                let hint = "write it on one line, or as a table of its own: [steps.name.key]";
                found.push(new("an inline table over several lines", hint, end - 1..end));
                // Once for each table is enough.
                open.pop();
                open.push(b'(');
            }
            _ => {}
        }
        comma = match byte {
            b',' => Some(start),
            b' ' | b'\t' | b'\r' | b'\n' | b'#' => comma,
            _ => None,
        };
    }
    found
}

fn new(what: &'static str, hint: &'static str, at: Range<usize>) -> TooNew {
    TooNew { what, hint, at }
}

/// Where the string that begins at `start` ends; notes the escapes of 1.1.
fn string(source: &str, start: usize, found: &mut Vec<TooNew>) -> usize {
    let text = &source[start..];
    let quote = &text[..1];
    let long = text.starts_with(&quote.repeat(3));
    let close = if long { quote.repeat(3) } else { quote.to_owned() };
    let mut at = close.len();
    while at < text.len() {
        let rest = &text[at..];
        if quote == "\"" && rest.starts_with('\\') {
            if rest.starts_with("\\e") || rest.starts_with("\\x") {
                let place = start + at..start + at + 2;
                found.push(new("the escape \\e or \\x", "write \\u001b for escape, \\u00ff for \\xff", place));
            }
            at += 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
        } else if rest.starts_with(&close) {
            // A long string may end in up to two quotes more.
            let more =
                if long { rest[3..].bytes().take(2).take_while(|b| quote.as_bytes() == [*b]).count() } else { 0 };
            return start + at + close.len() + more;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    source.len()
}
