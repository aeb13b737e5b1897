//! Which modes a program has changed in its terminal: so that exactly these are taken back in a person's, or put on again in
//! a terminal that begins in the middle of what it shows. Pure.

use std::collections::BTreeSet;

/// Modes that are off in a terminal that nobody has changed: cursor keys, mouse, focus, alternate screen, paste, output
/// that is held back.
const OFF: &[u16] = &[1, 9, 47, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016, 1047, 1049, 2004, 2026];
/// Modes that are on: wrapping, the cursor.
const ON: &[u16] = &[7, 25];
/// Those of [`OFF`] that change to the other screen.
const SCREENS: [u16; 3] = [47, 1047, 1049];

/// More than any terminal takes in one sequence.
const LONGEST: usize = 64;

/// Reads along with what is shown.
#[derive(Debug, Default)]
pub struct Modes {
    at: At,
    /// The parameters of a sequence that is not whole yet.
    held: Vec<u8>,
    changed: BTreeSet<u16>,
    keypad: bool,
    other_keys: bool,
    touched: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    #[default]
    Ground,
    Escape,
    Csi,
}

impl Modes {
    /// Something is shown.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.touched |= !bytes.is_empty();
        let mut rest = bytes;
        // What is printed changes nothing: of a flood only its sequences are looked at.
        while let Some(at) = if self.at == At::Ground { memchr::memchr(0x1b, rest) } else { Some(0) } {
            let Some((byte, after)) = rest[at..].split_first() else { return };
            self.at = match self.at {
                At::Ground => At::Escape,
                At::Escape => self.escape(*byte),
                At::Csi => self.csi(*byte),
            };
            rest = after;
        }
    }

    fn escape(&mut self, byte: u8) -> At {
        match byte {
            b'[' => {
                self.held.clear();
                return At::Csi;
            }
            0x1b => return At::Escape,
            b'=' => self.keypad = true,
            b'>' => self.keypad = false,
            // A full reset.
            b'c' => *self = Self { touched: true, ..Self::default() },
            _ => {}
        }
        At::Ground
    }

    fn csi(&mut self, byte: u8) -> At {
        match byte {
            0x1b => return At::Escape,
            0x20..=0x3f if self.held.len() < LONGEST => {
                self.held.push(byte);
                return At::Csi;
            }
            b'h' | b'l' => {
                let held = std::mem::take(&mut self.held);
                self.set(&held, byte == b'h');
                self.held = held;
            }
            b'm' if self.held.starts_with(b">4") => self.other_keys = self.held.len() > 3,
            _ => {}
        }
        At::Ground
    }

    fn set(&mut self, parameters: &[u8], on: bool) {
        let Some(numbers) = parameters.strip_prefix(b"?") else {
            return;
        };
        for number in numbers.split(|byte| *byte == b';') {
            let Some(mode) = std::str::from_utf8(number).ok().and_then(|n| n.parse().ok()) else {
                continue;
            };
            let usual = ON.contains(&mode);
            if !usual && !OFF.contains(&mode) {
                continue;
            }
            if on == usual {
                self.changed.remove(&mode);
            } else {
                self.changed.insert(mode);
            }
        }
    }

    /// The program has the whole screen to itself.
    pub fn alternate(&self) -> bool {
        SCREENS.iter().any(|mode| self.changed.contains(mode))
    }

    /// What to say to a terminal that nobody has changed, so that it has these modes; but for the screen.
    pub fn put_on(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for mode in self.changed.iter().filter(|mode| !SCREENS.contains(mode)) {
            let end = if ON.contains(mode) { 'l' } else { 'h' };
            out.extend_from_slice(format!("\x1b[?{mode}{end}").as_bytes());
        }
        if self.keypad {
            out.extend_from_slice(b"\x1b=");
        }
        out
    }

    /// What to say to the terminal so that it is as it was: every mode that is still changed, and the colours, the
    /// character set, the scrolling region and the cursor's form, which nobody can look up.
    pub fn take_back(&self) -> Vec<u8> {
        if !self.touched {
            return Vec::new();
        }
        // An unfinished sequence of the inner program must not swallow ours.
        let mut out = b"\x18\x1b\\".to_vec();
        out.extend_from_slice(b"\x1b[0m\x1b(B\x0f\x1b7\x1b[r\x1b8\x1b[0 q");
        // The screens last: leaving the alternate one brings the cursor back to its place.
        let (last, first): (Vec<u16>, Vec<u16>) = self.changed.iter().partition(|mode| SCREENS.contains(mode));
        for mode in first.into_iter().chain(last) {
            let end = if ON.contains(&mode) { 'h' } else { 'l' };
            out.extend_from_slice(format!("\x1b[?{mode}{end}").as_bytes());
        }
        if self.keypad {
            out.extend_from_slice(b"\x1b>");
        }
        if self.other_keys {
            out.extend_from_slice(b"\x1b[>4m");
        }
        out
    }
}
