//! The key that lets go, in all the ways in which terminals say it. Pure: bytes in, bytes to pass on out.

use std::fmt;

/// The key that lets go: a control key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The character pressed together with Ctrl, lower case.
    character: u8,
}

impl Key {
    /// `ctrl-]`, `ctrl-x`, `^X`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no key that can let go; written as ctrl-] or ctrl-x \
                 (not ctrl-c, ctrl-i, ctrl-j, ctrl-m or ctrl-[, which programs need)"
            )
        };
        let lower = text.to_ascii_lowercase();
        let rest =
            ["ctrl-", "ctrl+", "c-", "^"].iter().find_map(|start| lower.strip_prefix(start)).ok_or_else(wrong)?;
        match rest.as_bytes() {
            [b'c' | b'i' | b'j' | b'm'] => Err(wrong()),
            [character @ (b'a'..=b'z' | b']' | b'\\' | b'^' | b'_')] => Ok(Self { character: *character }),
            _ => Err(wrong()),
        }
    }

    /// Whether these bytes are what a plain terminal sends for it.
    pub fn is(self, bytes: &[u8]) -> bool {
        *bytes == [self.control()]
    }

    /// What a plain terminal sends for it.
    fn control(self) -> u8 {
        self.character.to_ascii_uppercase() & 0x1f
    }

    /// All that may be sent for it: the control character, kitty's CSI u, xterm's modifyOtherKeys; the latter two also
    /// with Caps Lock or Num Lock on.
    fn spellings(self) -> Vec<Vec<u8>> {
        let code = self.character;
        let mut all = vec![vec![self.control()]];
        for locks in [0, 64, 128, 192] {
            let modifiers = 5 + locks;
            all.push(format!("\x1b[{code};{modifiers}u").into_bytes());
            all.push(format!("\x1b[{code};{modifiers}:1u").into_bytes());
            all.push(format!("\x1b[27;{modifiers};{code}~").into_bytes());
        }
        all
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ctrl-{}", char::from(self.character).to_ascii_uppercase())
    }
}

/// Looks for the key in what is typed.
#[derive(Debug)]
pub struct Watch {
    spellings: Vec<Vec<u8>>,
    /// The beginning of a spelling that is not complete yet.
    held: Vec<u8>,
    keys: Keys,
}

/// What was typed, and whether the key was in it. What came after the key is dropped.
#[derive(Debug, PartialEq, Eq)]
pub struct Typed {
    pub pass: Vec<u8>,
    pub let_go: bool,
}

impl Watch {
    /// For this key.
    pub fn new(key: Key) -> Self {
        Self { spellings: key.spellings(), held: Vec::new(), keys: Keys::default() }
    }

    /// Something was typed.
    pub fn feed(&mut self, bytes: &[u8]) -> Typed {
        let mut pass = Vec::with_capacity(bytes.len());
        for byte in bytes {
            self.held.push(*byte);
            while !self.held.is_empty() && !self.could_become() {
                pass.push(self.held.remove(0));
            }
            if self.spellings.contains(&self.held) {
                self.held.clear();
                self.keys.count(&pass);
                return Typed { pass, let_go: true };
            }
        }
        self.keys.count(&pass);
        Typed { pass, let_go: false }
    }

    fn could_become(&self) -> bool {
        self.spellings.iter().any(|spelling| spelling.starts_with(&self.held))
    }

    /// Whether something is held back: an Escape key looks like the beginning of a spelling.
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Nothing more came for a moment: what was held back is passed on.
    pub fn flush(&mut self) -> Vec<u8> {
        let pass = std::mem::take(&mut self.held);
        self.keys.count(&pass);
        pass
    }

    /// Keys passed on so far. A terminal's own answers and the mouse are none.
    pub fn keys(&self) -> u64 {
        self.keys.pressed
    }
}

/// Counts keys in bytes: a character is one, a key that sends an escape sequence too.
#[derive(Debug, Default)]
struct Keys {
    pressed: u64,
    within: Within,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Within {
    #[default]
    Nothing,
    Escape,
    /// CSI or SS3.
    Sequence,
    /// OSC, DCS, …: a terminal's answer.
    Answer,
}

impl Keys {
    fn count(&mut self, bytes: &[u8]) {
        // An Escape that ends what was passed on was the key itself.
        for byte in bytes {
            self.within = self.next(*byte);
        }
        if self.within == Within::Escape {
            self.pressed += 1;
            self.within = Within::Nothing;
        }
    }

    fn next(&mut self, byte: u8) -> Within {
        match (self.within, byte) {
            (Within::Nothing | Within::Escape, 0x1b) => return Within::Escape,
            // Bytes in the middle of a character.
            (Within::Nothing, 0x80..=0xbf) | (Within::Answer, 0x07 | b'\\') => {}
            (Within::Escape, b'[' | b'O') => return Within::Sequence,
            (Within::Escape, b'P' | b']' | b'_' | b'^' | b'X') | (Within::Answer, _) => return Within::Answer,
            // A character; Alt and a key; a key with a sequence of its own.
            (Within::Nothing | Within::Escape, _)
            | (Within::Sequence, b'A'..=b'H' | b'P' | b'Q' | b'S' | b'Z' | b'~' | b'u') => self.pressed += 1,
            (Within::Sequence, 0x40..=0x7e) => {}
            (Within::Sequence, _) => return Within::Sequence,
        }
        Within::Nothing
    }
}
