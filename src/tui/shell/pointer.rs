//! What the operator's terminal sends while somebody types into a step, made fit for the program in the pane: mouse reports
//! are moved to the pane's own corner or taken out, paste marks are taken out where the program did not ask for them.
//! Everything else passes byte by byte. Pure.

use ratatui::layout::Rect;

/// What the program in the pane asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wants {
    pub mouse: bool,
    pub paste: bool,
}

/// Reads along with what is typed.
#[derive(Debug, Default)]
pub struct Pointer {
    /// The beginning of a report that is not complete yet.
    held: Vec<u8>,
}

/// What is left for the program.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Passed {
    pub bytes: Vec<u8>,
    /// The top line was clicked.
    pub banner: bool,
}

/// A report that is longer is none.
const LONGEST: usize = 24;

impl Pointer {
    /// Bytes were typed; `pane` is where the program's picture stands on the screen.
    pub fn feed(&mut self, bytes: &[u8], pane: Rect, wants: Wants) -> Passed {
        let mut passed = Passed::default();
        self.held.extend_from_slice(bytes);
        let all = std::mem::take(&mut self.held);
        let mut rest = &all[..];
        while !rest.is_empty() {
            match piece(rest) {
                Piece::Byte => {
                    passed.bytes.push(rest[0]);
                    rest = &rest[1..];
                }
                Piece::Incomplete => {
                    self.held = rest.to_vec();
                    break;
                }
                Piece::Paste { length } => {
                    if wants.paste {
                        passed.bytes.extend_from_slice(&rest[..length]);
                    }
                    rest = &rest[length..];
                }
                Piece::Mouse { length, report } => {
                    passed.banner |= report.row == 0 && report.button == 0 && report.pressed;
                    if wants.mouse
                        && let Some(moved) = report.within(pane)
                    {
                        passed.bytes.extend_from_slice(moved.as_bytes());
                    }
                    rest = &rest[length..];
                }
            }
        }
        passed
    }

    /// Nothing more came: what looked like the beginning of a report was typed by a person.
    pub fn flush(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// Something is held back until more comes, or until [`Pointer::flush`].
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }
}

enum Piece {
    Byte,
    Incomplete,
    Paste { length: usize },
    Mouse { length: usize, report: Report },
}

#[derive(Debug, Clone, Copy)]
struct Report {
    button: u16,
    /// From 0.
    column: u16,
    row: u16,
    pressed: bool,
}

impl Report {
    fn within(self, pane: Rect) -> Option<String> {
        let inside =
            self.column >= pane.x && self.column < pane.right() && self.row >= pane.y && self.row < pane.bottom();
        let end = if self.pressed { 'M' } else { 'm' };
        inside.then(|| format!("\x1b[<{};{};{}{end}", self.button, self.column - pane.x + 1, self.row - pane.y + 1))
    }
}

fn piece(bytes: &[u8]) -> Piece {
    const PASTE: [&[u8]; 2] = [b"\x1b[200~", b"\x1b[201~"];
    for mark in PASTE {
        if bytes.starts_with(mark) {
            return Piece::Paste { length: mark.len() };
        }
    }
    if let Some(report) = bytes.strip_prefix(b"\x1b[<") {
        let end = report.iter().position(|byte| !(byte.is_ascii_digit() || *byte == b';'));
        return match end {
            Some(end) if matches!(report[end], b'M' | b'm') => match parse(&report[..end], report[end] == b'M') {
                Some(parsed) => Piece::Mouse { length: 3 + end + 1, report: parsed },
                None => Piece::Byte,
            },
            None if report.len() < LONGEST => Piece::Incomplete,
            Some(_) | None => Piece::Byte,
        };
    }
    // A lone Esc is a key; only what can become nothing else is waited for.
    let begins = |whole: &[u8]| bytes.len() >= 3 && bytes.len() < whole.len() && whole.starts_with(bytes);
    if PASTE.iter().any(|mark| begins(mark)) { Piece::Incomplete } else { Piece::Byte }
}

fn parse(text: &[u8], pressed: bool) -> Option<Report> {
    let text = std::str::from_utf8(text).ok()?;
    let mut numbers = text.split(';').map(str::parse::<u16>);
    let (button, column, row) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
    if numbers.next().is_some() {
        return None;
    }
    Some(Report { button, column: column.checked_sub(1)?, row: row.checked_sub(1)?, pressed })
}
