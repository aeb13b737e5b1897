//! What was sent to the operator's terminal, taken apart by a reader of its own: which kinds of sequences are in it.

use std::collections::BTreeSet;

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
