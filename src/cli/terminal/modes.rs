//! Which modes the inner program left on in a person's terminal, so that exactly these are taken back. Pure.

use std::collections::BTreeSet;

/// Modes that are off in a terminal that nobody has changed: cursor keys, mouse, focus, alternate screen, paste, output
/// that is held back.
const OFF: &[u16] = &[1, 9, 47, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016, 1047, 1049, 2004, 2026];
/// Modes that are on: wrapping, the cursor.
const ON: &[u16] = &[7, 25];

/// More than any terminal takes in one sequence.
const LONGEST: usize = 64;

/// Reads along with what is shown.
#[derive(Debug, Default)]
pub struct Modes {
    at: At,
    changed: BTreeSet<u16>,
    keypad: bool,
    other_keys: bool,
    touched: bool,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum At {
    #[default]
    Ground,
    Escape,
    Csi(Vec<u8>),
}

impl Modes {
    /// Something is shown.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.touched |= !bytes.is_empty();
        for byte in bytes {
            self.at = match std::mem::take(&mut self.at) {
                At::Ground if *byte == 0x1b => At::Escape,
                At::Ground => At::Ground,
                At::Escape => self.escape(*byte),
                At::Csi(parameters) => self.csi(parameters, *byte),
            };
        }
    }

    fn escape(&mut self, byte: u8) -> At {
        match byte {
            b'[' => return At::Csi(Vec::new()),
            0x1b => return At::Escape,
            b'=' => self.keypad = true,
            b'>' => self.keypad = false,
            // A full reset.
            b'c' => *self = Self { touched: true, ..Self::default() },
            _ => {}
        }
        At::Ground
    }

    fn csi(&mut self, mut parameters: Vec<u8>, byte: u8) -> At {
        match byte {
            0x1b => return At::Escape,
            0x20..=0x3f if parameters.len() < LONGEST => {
                parameters.push(byte);
                return At::Csi(parameters);
            }
            b'h' | b'l' => self.set(&parameters, byte == b'h'),
            b'm' if parameters.starts_with(b">4") => self.other_keys = parameters.len() > 3,
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
        let screens = [47, 1047, 1049];
        let (last, first): (Vec<u16>, Vec<u16>) = self.changed.iter().partition(|mode| screens.contains(mode));
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
