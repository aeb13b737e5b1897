//! Values in a stream of bytes, found and hidden however the stream is cut: each value itself and its base64 in the three
//! ways in which it can lie in a longer text. Line ends within are overlooked, for `base64` and terminals put them there.
//!
//! What may become a value is held back until it is clear; [`Mask::rest`] gives it out. Time and space grow with the
//! values' length and the stream's, whatever both hold.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Stands for a value.
const STARS: &[u8] = b"***";
/// A piece of base64 that is shorter than that is in every text.
const SHORTEST_CODE: usize = 4;

/// A state of the search: the longest beginning of a pattern that the stream ends with.
#[derive(Debug, Clone, Default)]
struct Node {
    next: Vec<(u8, u32)>,
    /// The state of the longest shorter one.
    fail: u32,
    /// Bytes of the beginning.
    depth: usize,
    /// Length of the longest pattern that ends here; 0: none.
    ends: usize,
}

/// See the module's description.
#[derive(Clone)]
pub struct Mask {
    nodes: Vec<Node>,
    /// The state after each first byte.
    first: Box<[u32; 256]>,
    state: u32,
    /// What is not decided: each byte, and whether it is part of a value.
    held: VecDeque<(u8, bool)>,
    /// How many of the last of `held` are part of values.
    run: usize,
    /// Bytes of `held` that are no line ends: as many as the state's depth, when all that is decided was let go.
    solid: usize,
    /// How many of `held` were given out already.
    shown: usize,
    /// The last thing given out were stars.
    starred: bool,
    /// A beginning that is shorter is not held back: nothing is told by it.
    hold_from: usize,
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mask").field("states", &self.nodes.len()).finish_non_exhaustive()
    }
}

impl Mask {
    /// Hides these values.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut patterns: Vec<Vec<u8>> = values.into_iter().flat_map(patterns).collect();
        patterns.sort_unstable();
        patterns.dedup();
        let shortest = patterns.iter().map(Vec::len).min().unwrap_or(0);
        let mut nodes = vec![Node::default()];
        for pattern in &patterns {
            grow(&mut nodes, pattern);
        }
        link(&mut nodes);
        let mut first = Box::new([0; 256]);
        for (byte, to) in &nodes[0].next {
            first[usize::from(*byte)] = *to;
        }
        let hold_from = (shortest / 4).clamp(1, 4);
        Self { nodes, first, state: 0, held: VecDeque::new(), run: 0, solid: 0, shown: 0, starred: false, hold_from }
    }

    /// There is nothing to hide.
    pub fn is_idle(&self) -> bool {
        self.nodes.len() == 1
    }

    /// The next bytes of the stream; gives what can be shown of it.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if self.held.is_empty() {
                // Nothing begins before the next first byte of a pattern.
                let plain = rest.iter().position(|byte| self.first[usize::from(*byte)] != 0).unwrap_or(rest.len());
                if plain > 0 {
                    out.extend_from_slice(&rest[..plain]);
                    self.starred = false;
                    rest = &rest[plain..];
                    continue;
                }
            }
            self.take(byte, &mut out);
            rest = after;
        }
        if self.nodes[self.state as usize].depth < self.hold_from {
            self.show(&mut out);
        }
        out
    }

    /// What is held back, at the end of the stream or of patience: what comes later and makes a value of it is still hidden.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.show(&mut out);
        out
    }

    /// A whole text at once.
    pub fn whole(&self, text: &str) -> String {
        let mut mask = self.clone();
        let mut out = mask.push(text.as_bytes());
        out.extend(mask.rest());
        String::from_utf8_lossy(&out).into_owned()
    }

    fn take(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.held.push_back((byte, false));
        let run = std::mem::take(&mut self.run);
        if !is_line_end(byte) {
            self.solid += 1;
            self.state = self.after(byte);
            let ends = self.nodes[self.state as usize].ends;
            if ends > 0 {
                self.hide(ends, run);
            }
        }
        // What comes before the longest beginning is decided.
        let depth = self.nodes[self.state as usize].depth;
        let mut decided = 0;
        while self.solid > depth || (self.solid == depth && self.held.get(decided).is_some_and(|b| is_line_end(b.0))) {
            let Some(&(byte, hidden)) = self.held.get(decided) else { break };
            self.give((byte, hidden), decided < self.shown, out);
            if !is_line_end(byte) {
                self.solid -= 1;
            }
            decided += 1;
        }
        self.held.drain(..decided);
        self.shown = self.shown.saturating_sub(decided);
    }

    fn after(&self, byte: u8) -> u32 {
        let mut state = self.state;
        loop {
            if state == 0 {
                return self.first[usize::from(byte)];
            }
            let node = &self.nodes[state as usize];
            if let Some((_, to)) = node.next.iter().find(|(of, _)| *of == byte) {
                return *to;
            }
            state = node.fail;
        }
    }

    /// The last `length` bytes but line ends are a value; `run` before the last one are part of one already.
    fn hide(&mut self, length: usize, run: usize) {
        self.run = (run + 1).max(length);
        // A value that repeats itself is found at every byte.
        let mut left = if run >= length { 1 } else { length };
        for (byte, hidden) in self.held.iter_mut().rev() {
            if left == 0 {
                return;
            }
            *hidden = true;
            left -= usize::from(!is_line_end(*byte));
        }
    }

    fn give(&mut self, (byte, hidden): (u8, bool), shown: bool, out: &mut Vec<u8>) {
        if hidden && !self.starred {
            out.extend_from_slice(STARS);
        } else if !hidden && !shown {
            out.push(byte);
        }
        self.starred = hidden;
    }

    /// Gives out what is held without forgetting it.
    fn show(&mut self, out: &mut Vec<u8>) {
        for place in self.shown..self.held.len() {
            self.give(self.held[place], false, out);
        }
        self.shown = self.held.len();
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// Everything that a value is hidden as, without line ends.
fn patterns(value: &str) -> Vec<Vec<u8>> {
    let solid: Vec<u8> = value.bytes().filter(|byte| !is_line_end(*byte)).collect();
    if solid.len() < super::SHORTEST {
        return Vec::new();
    }
    let mut all = vec![solid];
    // As a program reads it, and as a shell hands it on to `base64`: with the line end that `echo` adds it is the same.
    for before in 0..3 {
        let mut padded = vec![0; before];
        padded.extend_from_slice(value.as_bytes());
        // Characters that hold bits of what stands before or after are not the value's own.
        let own = (before * 8).div_ceil(6)..(padded.len() * 8) / 6;
        for code in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            all.extend(code.as_bytes().get(own.clone()).filter(|code| code.len() >= SHORTEST_CODE).map(<[u8]>::to_vec));
        }
    }
    all
}

fn grow(nodes: &mut Vec<Node>, pattern: &[u8]) {
    let mut at = 0;
    for byte in pattern {
        let known = nodes[at].next.iter().find(|(of, _)| of == byte).map(|(_, to)| *to);
        at = known.unwrap_or_else(|| {
            let fresh = u32::try_from(nodes.len()).expect("values are at most 64 KiB each, and few");
            let depth = nodes[at].depth + 1;
            nodes[at].next.push((*byte, fresh));
            nodes.push(Node { depth, ..Node::default() });
            fresh
        }) as usize;
    }
    nodes[at].ends = pattern.len();
}

/// Where each state goes on when the next byte does not fit: Aho's and Corasick's way, level by level.
fn link(nodes: &mut [Node]) {
    let mut queue = VecDeque::from([0u32]);
    while let Some(at) = queue.pop_front() {
        for (byte, to) in nodes[at as usize].next.clone() {
            let mut back = nodes[at as usize].fail;
            let fail = loop {
                let known = nodes[back as usize].next.iter().find(|(of, _)| *of == byte).map(|(_, to)| *to);
                match known.filter(|known| *known != to) {
                    Some(known) => break known,
                    None if back == 0 => break 0,
                    None => back = nodes[back as usize].fail,
                }
            };
            let ends = nodes[fail as usize].ends;
            let node = &mut nodes[to as usize];
            node.fail = fail;
            node.ends = node.ends.max(ends);
            queue.push_back(to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "DWCANARY-5f3c!";

    fn masked(values: &[&str], pieces: &[&[u8]]) -> String {
        let mut mask = Mask::new(values.iter().copied());
        let mut out: Vec<u8> = pieces.iter().flat_map(|piece| mask.push(piece)).collect();
        out.extend(mask.rest());
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The text cut at every place into two, and into single bytes.
    fn in_pieces(values: &[&str], text: &str) -> Vec<String> {
        let bytes = text.as_bytes();
        let cuts = (0..=bytes.len()).map(|cut| masked(values, &[&bytes[..cut], &bytes[cut..]]));
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        cuts.chain([masked(values, &single)]).collect()
    }

    #[test]
    fn a_value_is_hidden_wherever_the_stream_is_cut() {
        let text = format!("begin {VALUE} and DWCANARY-5f3c? {VALUE}{VALUE}\r\nend DWCAN");
        let told = in_pieces(&[VALUE], &text);
        assert_eq!(told[0], "begin *** and DWCANARY-5f3c? ***\r\nend DWCAN");
        for one in &told {
            assert!(!one.contains(VALUE), "{one}");
            // At most three bytes of its beginning were there before it was clear.
            assert!(
                !one.contains("DWCANARY-5f3c!") && one.starts_with("begin ") && one.ends_with("\r\nend DWCAN"),
                "{one}"
            );
        }
    }

    #[test]
    fn base64_is_hidden_however_it_lies_in_a_longer_text() {
        for before in ["", "a", "ab", "abc", "user:"] {
            for after in ["", "\n", "xyz"] {
                let code = STANDARD_NO_PAD.encode(format!("{before}{VALUE}{after}"));
                for one in in_pieces(&[VALUE], &format!("[{code}]")) {
                    let left = one.trim_matches(['[', ']']).replace("***", "");
                    assert!(
                        one.contains("***") && left.len() <= before.len() * 4 / 3 + after.len() * 4 / 3 + 8,
                        "{one}"
                    );
                }
            }
        }
    }

    #[test]
    fn line_ends_within_a_value_or_its_base64_are_overlooked() {
        let key = "-----BEGIN KEY-----\nabcdefgh\nijklmnop\n-----END KEY-----";
        let shown = key.replace('\n', "\r\n");
        assert_eq!(masked(&[key], &[format!("x\r\n{shown}\r\ny").as_bytes()]), "x\r\n***\r\ny");
        let code = STANDARD_NO_PAD.encode(key);
        let wrapped: Vec<&str> = code.as_bytes().chunks(10).map(|c| std::str::from_utf8(c).expect("ascii")).collect();
        let told = masked(&[key], &[wrapped.join("\r\n").as_bytes()]);
        assert!(told.starts_with("***") && told.len() <= 6, "{told}");
    }

    #[test]
    fn what_only_begins_like_a_value_comes_out_as_it_was() {
        for text in ["DWCANARY", "DDWCANARY-5f3cDWCANARY-5f3c", "D\r\nW\r\n\r\nC", "\n\n", "aaab aab"] {
            for one in in_pieces(&[VALUE, "aaaa"], text) {
                assert_eq!(one, text);
            }
        }
    }

    #[test]
    fn a_value_within_another_and_values_that_overlap_are_hidden_whole() {
        assert_eq!(masked(&["abcdefgh", "cdef"], &[b"1abcdefgh2cdef3abcdefg4"]), "1***2***3ab***g4");
        assert_eq!(masked(&["abcdef", "defghi"], &[b"1abcdefghi2"]), "1***2");
        assert_eq!(masked(&["aaaa"], &[b"1aaaaaaaaa2"]), "1***2");
    }

    #[test]
    fn what_was_given_out_in_impatience_is_completed_by_stars() {
        let mut mask = Mask::new([VALUE]);
        let mut out = mask.push(b"> DWCANARY");
        out.extend(mask.rest());
        out.extend(mask.push(b"-5f3c! <"));
        assert_eq!(String::from_utf8_lossy(&out), "> DWCANARY*** <");
    }

    #[test]
    fn a_long_value_of_one_letter_takes_no_longer() {
        let value = "a".repeat(LONGEST_TESTED);
        let mut mask = Mask::new([value.as_str()]);
        let flood = vec![b'a'; 4 * LONGEST_TESTED];
        let mut out = mask.push(&flood);
        out.extend(mask.push(b"b"));
        assert_eq!(out, b"***b");
    }

    const LONGEST_TESTED: usize = 32 * 1024;
}
