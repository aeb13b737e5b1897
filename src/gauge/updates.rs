//! Output as it comes, cut into updates: lines, and what bars write over with `\r` or by moving the cursor. Pure.
//!
//! Of an update longer than [`LONGEST`] only the beginning is handed over, so that a line of any length costs no memory.

use std::borrow::Cow;

use super::plain;

/// So many bytes of an update are looked at.
pub const LONGEST: usize = 2048;

/// The unfinished update.
#[derive(Debug, Clone, Default)]
pub struct Updates {
    open: Vec<u8>,
}

impl Updates {
    /// Hands over every update that is complete, raw: [`text`] makes it readable.
    pub fn feed(&mut self, mut chunk: &[u8], mut each: impl FnMut(&[u8])) {
        while let Some(end) = memchr::memchr2(b'\n', b'\r', chunk) {
            let (update, rest) = chunk.split_at(end);
            chunk = &rest[1..];
            if self.open.is_empty() {
                pieces(&update[..update.len().min(LONGEST)], &mut each);
            } else {
                self.extend(update);
                pieces(&self.open, &mut each);
                self.open.clear();
            }
        }
        self.extend(chunk);
    }

    /// Hands over what has no end: a bar that is written as `\r` and text stands there until the next one.
    pub fn rest(&self, mut each: impl FnMut(&[u8])) {
        pieces(&self.open, &mut each);
    }

    /// So many bytes of the unfinished update are known; of a longer one not all.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    fn extend(&mut self, more: &[u8]) {
        let room = LONGEST.saturating_sub(self.open.len());
        self.open.extend_from_slice(&more[..more.len().min(room)]);
    }
}

/// Cuts an update where the cursor goes elsewhere.
fn pieces(mut update: &[u8], each: &mut impl FnMut(&[u8])) {
    let mut from = 0;
    while let Some(at) = memchr::memchr(0x1b, &update[from..]).map(|at| from + at) {
        from = at + 1;
        if update.get(from) != Some(&b'[') {
            continue;
        }
        let length = update[from + 1..].iter().position(|byte| (b'@'..=b'~').contains(byte));
        let Some(end) = length.map(|length| from + 1 + length) else { break };
        from = end + 1;
        if matches!(update[end], b'A'..=b'H' | b'J' | b'f') {
            hand(&update[..at], each);
            update = &update[from..];
            from = 0;
        }
    }
    hand(update, each);
}

fn hand(piece: &[u8], each: &mut impl FnMut(&[u8])) {
    if !piece.trim_ascii().is_empty() {
        each(piece);
    }
}

/// An update as text.
pub fn text(update: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(update) {
        Ok(text) if !text.bytes().any(|byte| byte < b' ' || byte == 0x7f) => Cow::Borrowed(text),
        Ok(_) | Err(_) => Cow::Owned(plain::line(update)),
    }
}
