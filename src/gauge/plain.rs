//! Output of a step as plain text: nothing in it can control the terminal that it is shown on. Pure.
//!
//! Escape sequences and control characters are taken out; characters that cannot be seen or that turn the direction of
//! writing are shown as `\u{202e}`; bytes that are no UTF-8 as `\x9b`. Of a line that the program wrote over (`\r`,
//! backspace, "erase line") only what stood there in the end is left, as a terminal would show it. No line can grow by
//! more than a small factor, and none hides its text behind a string that it never ends.

mod ink;

pub use ink::{Hue, Ink};

/// One line, without its line feed.
pub fn line(bytes: &[u8]) -> String {
    Row::of(bytes).finish().into_iter().map(|(c, _)| c).collect()
}

/// One line, without its line feed, in pieces of one colour each. Together they are the text of [`line`].
pub fn inked(bytes: &[u8]) -> Vec<(String, Ink)> {
    let mut pieces: Vec<(String, Ink)> = Vec::new();
    for (c, ink) in Row::of(bytes).finish() {
        match pieces.last_mut() {
            Some((text, before)) if *before == ink => text.push(c),
            Some(_) | None => pieces.push((c.into(), ink)),
        }
    }
    pieces
}

/// All lines of a text. A last line without a line feed counts.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = String> + '_ {
    let ended = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let none = bytes.is_empty();
    ended.split(|byte| *byte == b'\n').filter(move |_| !none).map(line)
}

/// Where the parser is; the names are those of the VT500 state diagram.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum At {
    #[default]
    Ground,
    Escape,
    /// Its parameters; `None` when there are bytes in it that make it private or strange.
    Csi(Option<String>),
    /// OSC, DCS, SOS, PM, APC: what was said so far, and whether an ESC came that may end it.
    Text {
        said: String,
        escaped: bool,
    },
}

#[derive(Debug, Default)]
struct Row {
    at: At,
    cells: Vec<(char, Ink)>,
    cursor: usize,
    /// Of what is written next.
    ink: Ink,
}

/// More parameters than any program writes: the rest is not kept.
const LONGEST_PARAMETERS: usize = 64;

/// No progress line is longer. In longer ones nothing is erased: erasing costs as much as the row is long, and a line
/// of megabytes could ask for it at every third byte.
const LONGEST_ERASED: usize = 1024;

impl Row {
    fn of(bytes: &[u8]) -> Self {
        let mut row = Self::default();
        for chunk in bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                row.feed(c);
            }
            for byte in chunk.invalid() {
                row.raw(*byte);
            }
        }
        row
    }

    fn feed(&mut self, c: char) {
        match std::mem::take(&mut self.at) {
            At::Ground => self.ground(c),
            At::Escape => self.escape(c),
            At::Csi(parameters) => self.csi(parameters, c),
            At::Text { said, escaped } => self.text(said, escaped, c),
        }
    }

    fn ground(&mut self, c: char) {
        match c {
            '\x1b' => self.at = At::Escape,
            '\u{9b}' => self.at = At::Csi(Some(String::new())),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => self.at = string(),
            '\r' => self.cursor = 0,
            '\x08' => self.cursor = self.cursor.saturating_sub(1),
            '\t' => self.put('\t'),
            c if c.is_control() => {}
            c => self.show(c),
        }
    }

    fn escape(&mut self, c: char) {
        match c {
            '[' => self.at = At::Csi(Some(String::new())),
            ']' | 'P' | 'X' | '^' | '_' => self.at = string(),
            // Intermediate bytes: the sequence goes on.
            ' '..='/' => self.at = At::Escape,
            '0'..='~' | '\x18' | '\x1a' => {}
            c => self.ground(c),
        }
    }

    fn csi(&mut self, parameters: Option<String>, c: char) {
        match c {
            '0'..='9' | ';' | ':' => {
                let kept = parameters.map(|mut text| {
                    if text.len() < LONGEST_PARAMETERS {
                        text.push(c);
                    }
                    text
                });
                self.at = At::Csi(kept);
            }
            ' '..='?' => self.at = At::Csi(None),
            '@'..='~' => {
                if let Some(parameters) = parameters {
                    self.order(c, &parameters);
                }
            }
            '\x18' | '\x1a' => {}
            '\r' | '\x08' => {
                self.ground(c);
                self.at = At::Csi(parameters);
            }
            // A sequence that is cut short by text: the text is shown.
            c => self.ground(c),
        }
    }

    fn text(&mut self, mut said: String, escaped: bool, c: char) {
        match c {
            '\\' if escaped => {}
            // Any other escape ends the string and begins anew.
            c if escaped => self.escape(c),
            '\x07' | '\u{9c}' | '\x18' | '\x1a' => {}
            '\x1b' => {
                self.at = At::Text { said, escaped: true };
            }
            c => {
                said.push(c);
                self.at = At::Text { said, escaped: false };
            }
        }
    }

    /// Colours, and the few sequences that progress lines are made with. To the right only as far as there is text.
    fn order(&mut self, order: char, parameters: &str) {
        if order == 'm' {
            self.ink.set(parameters);
        }
        if order == 'm' || parameters.contains(':') {
            return;
        }
        let n = parameters.split(';').next().and_then(|text| text.parse::<usize>().ok());
        let count = n.unwrap_or(1).max(1);
        match order {
            'K' if self.cells.len().max(self.cursor) > LONGEST_ERASED => {}
            'K' => match n.unwrap_or(0) {
                0 => self.cells.truncate(self.cursor),
                1 => {
                    let end = (self.cursor + 1).min(self.cells.len());
                    self.cells[..end].fill((' ', Ink::default()));
                }
                _ => self.cells.truncate(0),
            },
            'C' => self.cursor = self.cursor.saturating_add(count).min(self.cells.len()),
            'D' => self.cursor = self.cursor.saturating_sub(count),
            'G' => self.cursor = (count - 1).min(self.cells.len()),
            _ => {}
        }
    }

    fn raw(&mut self, byte: u8) {
        // A byte that is no text ends every sequence, so that it cannot be hidden in one.
        self.at = At::Ground;
        self.escaped(&format!("\\x{byte:02x}"));
    }

    fn show(&mut self, c: char) {
        let before = self.cursor.checked_sub(1).and_then(|at| self.cells.get(at)).map(|(c, _)| *c);
        if hidden(c) && !joins(c, before) {
            self.escaped(&format!("\\u{{{:x}}}", u32::from(c)));
        } else {
            self.put(c);
        }
    }

    fn escaped(&mut self, text: &str) {
        for c in text.chars() {
            self.put(c);
        }
    }

    fn put(&mut self, c: char) {
        // Erasing may have taken the text before the cursor away.
        while self.cells.len() < self.cursor {
            self.cells.push((' ', Ink::default()));
        }
        if let Some(cell) = self.cells.get_mut(self.cursor) {
            *cell = (c, self.ink);
        } else {
            self.cells.push((c, self.ink));
        }
        self.cursor += 1;
    }

    fn finish(mut self) -> Vec<(char, Ink)> {
        // A string that the line never ends would hide all that follows its beginning: it is shown instead.
        if let At::Text { said, .. } = std::mem::take(&mut self.at) {
            for c in said.chars().filter(|c| !c.is_control()) {
                self.show(c);
            }
        }
        let end = self.cells.iter().rposition(|(c, _)| !matches!(c, ' ' | '\t')).map_or(0, |last| last + 1);
        self.cells.truncate(end);
        self.cells
    }
}

fn string() -> At {
    At::Text { said: String::new(), escaped: false }
}

/// Joiners and the emoji selector are harmless after a character that is not ASCII (or a keycap's digit).
pub fn joins(c: char, before: Option<char>) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}')
        && before.is_some_and(|before| !before.is_ascii() || before.is_ascii_digit())
}

/// Cannot be seen, turns the direction of writing, ends a line for some and not for others, or is three columns wide, of
/// which no two terminals think the same.
pub fn hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{17d8}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
        // No characters at all.
        || u32::from(c) & 0xfffe == 0xfffe
}
