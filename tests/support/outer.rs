//! What was sent to the operator's terminal, taken apart by a reader of its own: which kinds of sequences are in it.

use std::collections::BTreeSet;

use super::cells::harmless;

/// Kinds that a screen may be drawn with: place, colours, erasing, showing and hiding the cursor.
pub(crate) const DRAWING: [&str; 6] = ["CSI H", "CSI m", "CSI J", "CSI K", "CSI ?25h", "CSI ?25l"];

/// Each kind of control sequence in `bytes`, such as `CSI m`, `CSI ?1049h`, `OSC 52`, `ESC 7`, `0x07`; of CSI the numbers
/// are left out unless it is a mode. Characters that hide or turn text are `U+202E`.
pub(crate) fn kinds(bytes: &[u8]) -> BTreeSet<String> {
    let mut kinds = BTreeSet::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (kind, len) = match rest {
            [0x1b, b'[', parameters @ ..] => csi(parameters),
            [0x1b, b']', text @ ..] => string("OSC", text),
            [0x1b, b'P', text @ ..] => string("DCS", text),
            [0x1b, b'_' | b'^' | b'X', text @ ..] => string("STRING", text),
            [0x1b, other, ..] => (Some(format!("ESC {}", char::from(*other))), 2),
            [byte @ (0..0x20 | 0x7f), ..] => (Some(format!("{byte:#04x}")), 1),
            // A C1 control, as a character.
            [0xc2, byte @ 0x80..=0x9f, ..] => (Some(format!("C1 {byte:#04x}")), 2),
            _ => (None, 1),
        };
        kinds.extend(kind);
        at += len;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => kinds.extend(text.chars().filter_map(hidden)),
        Err(error) => drop(kinds.insert(format!("no UTF-8: {error}"))),
    }
    kinds
}

/// Kinds in `bytes` that are not in `allowed`.
pub(crate) fn unexpected(bytes: &[u8], allowed: &[&str]) -> Vec<String> {
    kinds(bytes).into_iter().filter(|kind| !allowed.contains(&kind.as_str())).collect()
}

/// A character that cannot be seen or turns the direction of writing; joiners have their places.
fn hidden(c: char) -> Option<String> {
    let joins = matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}');
    (u32::from(c) > 0x9f && !joins && !harmless(c.encode_utf8(&mut [0; 4]))).then(|| format!("U+{:04X}", u32::from(c)))
}

fn csi(parameters: &[u8]) -> (Option<String>, usize) {
    let end = parameters.iter().position(|byte| (0x40..=0x7e).contains(byte)).unwrap_or(parameters.len() - 1);
    let text = String::from_utf8_lossy(&parameters[..=end]);
    let mode = text.starts_with(['?', '>', '<', '=']);
    let kind =
        if mode { text.into_owned() } else { text.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').into() };
    (Some(format!("CSI {kind}")), 2 + end + 1)
}

fn string(what: &str, text: &[u8]) -> (Option<String>, usize) {
    let end = text.iter().position(|byte| matches!(byte, 0x07 | 0x1b)).unwrap_or(text.len());
    let number = text.iter().take_while(|byte| byte.is_ascii_digit()).map(|byte| char::from(*byte)).collect::<String>();
    (Some(format!("{what} {number}")), 2 + end + usize::from(text.get(end) == Some(&0x07)))
}
