//! What stands between a step's bytes and the terminal parser: it counts what the bytes ask for, and takes out what would
//! cost without bound. Pure.
//!
//! A sequence of a few bytes can ask for any amount of work (repeat a character 65535 times, a reset at every second
//! byte), and a string that never ends hides all that follows. So every sequence is looked at before the parser gets it:
//! it is charged to a [`Work`], repetition is cut to one row, strings for nobody are dropped, and one that reaches a line
//! feed ends there, as in `gauge::plain`. The old set of line-drawing characters is put into words that the parser knows.

/// How much may be done in one go, in units of about one printed character (20 to 40 ns).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work(i64);

impl Work {
    /// For all panes of one frame together: below 20 ms.
    pub const FRAME: Self = Self(400_000);

    /// So many units.
    pub fn of(units: u32) -> Self {
        Self(i64::from(units))
    }

    /// Is there any left?
    pub fn left(self) -> bool {
        self.0 > 0
    }

    /// It was done.
    pub(super) fn spend(&mut self, units: usize) {
        self.0 = self.0.saturating_sub(i64::try_from(units).unwrap_or(i64::MAX));
    }
}

/// A longer sequence means nothing to any terminal: it is dropped.
const LONGEST_SEQUENCE: usize = 256;
/// Of a title more is never shown.
const LONGEST_TITLE: usize = 256;
/// A picture that is longer is given up: what follows is shown.
const LONGEST_PICTURE: usize = 1024 * 1024;
/// What the set of lines and corners has in the place of the characters from the backquote on.
const LINES: [&str; 31] = [
    "◆", "▒", "␉", "␌", "␍", "␊", "°", "±", "␤", "␋", "┘", "┐", "┌", "└", "┼", "⎺", "⎻", "─", "⎼", "⎽", "├", "┤", "┴",
    "┬", "│", "≤", "≥", "π", "≠", "£", "·",
];
/// A cell that is erased costs this part of one that is printed.
const ERASED: usize = 16;

/// Where the stream is; the names are those of the VT500 state diagram.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum At {
    #[default]
    Ground,
    Escape,
    /// Escape and an intermediate byte, such as the one that says which set of characters is chosen.
    Choice(u8),
    /// CSI; its bytes are held back.
    Csi,
    /// OSC; so many bytes of it came.
    Title(usize),
    /// DCS, before it is known what it is.
    Unknown,
    /// DCS, SOS, PM, APC: nobody listens.
    Dropped,
    /// A picture, which may span many lines: so many bytes came.
    Picture(usize),
}

/// The state between two pieces of a stream.
#[derive(Debug, Default)]
pub(super) struct Sieve {
    at: At,
    held: Vec<u8>,
    /// Whether the first and the second set of characters are the lines and corners, and which of them is in use.
    lines: [bool; 2],
    second: bool,
    own: Own,
    /// The stream was begun in its middle, and nothing tells on which of the two screens.
    lost: bool,
}

/// Whether a program draws its screen itself instead of printing lines, as far as its sequences tell.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Own {
    #[default]
    Lines,
    /// The cursor was sent home, as `clear` does, so many lines ago; a second time it is a habit.
    Once(usize),
    /// A place on the screen was named so many lines ago.
    Placed(usize),
}

impl Own {
    /// The cursor is sent to a place.
    fn to(self, home: bool) -> Self {
        match self {
            // Nothing was printed between two of them: it is one.
            Self::Lines | Self::Once(0) if home => Self::Once(0),
            Self::Lines | Self::Once(_) | Self::Placed(_) => Self::Placed(0),
        }
    }

    /// A line was ended. Once more of them came than a screen has twice, all that was drawn has scrolled away.
    fn line(self, rows: usize) -> Self {
        match self {
            Self::Once(lines) if lines < 2 * rows => Self::Once(lines + 1),
            Self::Placed(lines) if lines < 2 * rows => Self::Placed(lines + 1),
            Self::Lines | Self::Once(_) | Self::Placed(_) => Self::Lines,
        }
    }
}

/// Which rows and columns the work depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) rows: usize,
    pub(super) cols: usize,
}

impl Sieve {
    /// Moves bytes of `bytes` to `out` as long as there is work left; how many were taken. At least one is.
    pub(super) fn pass(&mut self, bytes: &[u8], extent: Extent, work: &mut Work, out: &mut Vec<u8>) -> usize {
        let mut taken = 0;
        while taken < bytes.len() && (taken == 0 || work.left()) {
            if self.at == At::Ground {
                let text = text_len(&bytes[taken..], *work);
                self.text(&bytes[taken..taken + text], out);
                work.spend(text);
                taken += text;
                if text > 0 {
                    continue;
                }
            }
            let cost = self.byte(bytes[taken], extent, out);
            work.spend(cost);
            taken += 1;
        }
        taken
    }

    /// From here on it is not known which of the two screens is shown.
    pub(super) fn lose(&mut self) {
        self.lost = true;
    }

    /// The program sends its cursor to places of the screen instead of printing one line after the other.
    pub(super) fn places(&self) -> bool {
        matches!(self.own, Own::Placed(_))
    }

    /// Between two sequences: nothing that is cut off here changes what its bytes mean.
    #[cfg(test)]
    fn at_ground(&self) -> bool {
        self.at == At::Ground
    }

    fn text(&self, text: &[u8], out: &mut Vec<u8>) {
        if !self.lines[usize::from(self.second)] {
            out.extend_from_slice(text);
            return;
        }
        for byte in text {
            match byte {
                b'`'..=b'~' => out.extend_from_slice(LINES[usize::from(byte - b'`')].as_bytes()),
                _ => out.push(*byte),
            }
        }
    }

    fn byte(&mut self, byte: u8, extent: Extent, out: &mut Vec<u8>) -> usize {
        match (std::mem::take(&mut self.at), byte) {
            // Cancel and substitute end everything, escape begins anew.
            (At::Title(_), 0x18 | 0x1a) => out.push(byte),
            (_, 0x18 | 0x1a) => {}
            (At::Title(_), 0x1b) => {
                out.push(0x18);
                self.at = At::Escape;
            }
            (_, 0x1b) => self.at = At::Escape,
            (At::Ground, 0x0e | 0x0f) => self.second = byte == 0x0e,
            (At::Ground, byte) => {
                if byte == b'\n' {
                    self.own = self.own.line(extent.rows);
                }
                return control(byte, extent, out);
            }
            (At::Escape, byte) => return self.escape(byte, extent, out),
            (At::Choice(which), byte) => self.choice(which, byte),
            (At::Csi, byte) => return self.csi(byte, extent, out),
            (At::Title(len), byte) => self.title(len, byte, out),
            (At::Unknown | At::Dropped, b'\n') => return control(byte, extent, out),
            (At::Unknown, b'0'..=b'9' | b';') => self.at = At::Unknown,
            (At::Unknown, b'q') => self.at = At::Picture(0),
            (At::Unknown | At::Dropped, _) => self.at = At::Dropped,
            (At::Picture(len), _) if len < LONGEST_PICTURE => self.at = At::Picture(len + 1),
            (At::Picture(_), _) => {}
        }
        1
    }

    fn escape(&mut self, byte: u8, extent: Extent, out: &mut Vec<u8>) -> usize {
        match byte {
            b'[' => {
                self.held.clear();
                self.at = At::Csi;
            }
            b']' => {
                out.extend_from_slice(b"\x1b]");
                self.at = At::Title(0);
            }
            b'P' => self.at = At::Unknown,
            b'X' | b'^' | b'_' => self.at = At::Dropped,
            b' '..=b'/' => self.at = At::Choice(byte),
            b'0'..=b'~' => {
                if byte == b'c' {
                    *self = Self::default();
                }
                out.extend_from_slice(&[0x1b, byte]);
                return escape_cost(byte, extent);
            }
            // A control character is obeyed in the middle of a sequence.
            0..=0x1f => {
                let cost = control(byte, extent, out);
                self.at = At::Escape;
                return cost;
            }
            0x7f => self.at = At::Escape,
            // Text: the sequence is given up.
            0x80..=0xff => out.push(byte),
        }
        1
    }

    fn choice(&mut self, which: u8, byte: u8) {
        match (which, byte) {
            (b'(', b'0'..=b'~') => self.lines[0] = byte == b'0',
            (b')', b'0'..=b'~') => self.lines[1] = byte == b'0',
            (_, b'0'..=b'~') => {}
            (_, _) => self.at = At::Choice(which),
        }
    }

    fn csi(&mut self, byte: u8, extent: Extent, out: &mut Vec<u8>) -> usize {
        match byte {
            0x40..=0x7e if self.held.len() < LONGEST_SEQUENCE => return self.order(byte, extent, out),
            0x40..=0x7e => {}
            0..=0x1f => {
                let cost = control(byte, extent, out);
                self.at = At::Csi;
                return cost;
            }
            0x20..=0x3f => {
                if self.held.len() < LONGEST_SEQUENCE {
                    self.held.push(byte);
                }
                self.at = At::Csi;
            }
            0x7f => self.at = At::Csi,
            // Text: the sequence is given up.
            0x80..=0xff => out.push(byte),
        }
        1
    }

    /// A sequence is whole.
    fn order(&mut self, order: u8, extent: Extent, out: &mut Vec<u8>) -> usize {
        let repeated = (order == b'b').then(|| first_number(&self.held).clamp(1, extent.cols));
        out.extend_from_slice(b"\x1b[");
        if let Some(times) = repeated {
            out.extend_from_slice(times.to_string().as_bytes());
        } else {
            out.extend_from_slice(&self.held);
        }
        out.push(order);
        let switch = matches!(self.held.as_slice(), b"?1049" | b"?47") && matches!(order, b'h' | b'l');
        if switch && std::mem::take(&mut self.lost) && order == b'l' {
            // It was the other one. What was drawn on this one until now was never here.
            out.extend_from_slice(b"\x1b[H\x1b[2J");
        }
        match order {
            b'H' | b'f' => self.own = self.own.to(self.held.iter().all(|byte| matches!(byte, b'1' | b';'))),
            b'd' => self.own = self.own.to(false),
            // A program that owned the whole screen has left it.
            b'l' if switch => self.own = Own::Lines,
            _ => {}
        }
        let row = 1 + extent.cols / ERASED;
        let all = 1 + extent.rows * extent.cols / ERASED;
        match order {
            b'b' => repeated.unwrap_or(1),
            b'@' | b'P' | b'X' | b'K' => row,
            b'J' | b'L' | b'M' | b'S' | b'T' => all,
            // Another screen, perhaps, and each of its parameters one more.
            b'h' | b'l' => all * self.held.split(|byte| *byte == b';').count(),
            _ => 2 + self.held.len() / 2,
        }
    }

    fn title(&mut self, len: usize, byte: u8, out: &mut Vec<u8>) {
        match byte {
            0x07 => out.push(byte),
            b'\n' => out.extend_from_slice(b"\x18\n"),
            _ => {
                if len < LONGEST_TITLE && byte >= b' ' {
                    out.push(byte);
                }
                self.at = At::Title(len + 1);
            }
        }
    }
}

/// How many bytes from the start are text that is printed as it is, as far as there is work for it.
fn text_len(bytes: &[u8], work: Work) -> usize {
    let most = usize::try_from(work.0).unwrap_or(0).max(1).min(bytes.len());
    bytes[..most].iter().position(|byte| *byte < b' ' || *byte == 0x7f).unwrap_or(most)
}

/// A control character outside of sequences.
fn control(byte: u8, extent: Extent, out: &mut Vec<u8>) -> usize {
    match byte {
        // A new row is an erased one.
        0x0a..=0x0c => {
            out.push(byte);
            1 + extent.cols / ERASED
        }
        0x08 | b'\t' | b'\r' => {
            out.push(byte);
            1
        }
        _ => 1,
    }
}

fn escape_cost(byte: u8, extent: Extent) -> usize {
    match byte {
        // All is made anew.
        b'c' => 64 + extent.rows * (8 + extent.cols / ERASED * 4),
        b'M' | b'D' | b'E' => 1 + extent.cols / ERASED,
        _ => 2,
    }
}

/// The first parameter; what is no number is none.
fn first_number(parameters: &[u8]) -> usize {
    let digits = parameters.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0usize, |number, byte| (number * 10 + usize::from(byte - b'0')).min(65_535))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENT: Extent = Extent { rows: 24, cols: 80 };

    fn passed(bytes: &[u8]) -> (String, bool) {
        let (mut sieve, mut out) = (Sieve::default(), Vec::new());
        let mut work = Work::of(u32::MAX);
        assert_eq!(sieve.pass(bytes, EXTENT, &mut work, &mut out), bytes.len());
        (out.escape_ascii().to_string(), sieve.at_ground())
    }

    #[test]
    fn what_costs_without_bound_does_not_reach_the_parser() {
        let long = [b"\x1b[".as_slice(), &[b'1'; 1000], b"mok"].concat();
        let title = [b"\x1b]2;".as_slice(), &[b't'; 1000], b"\x07ok"].concat();
        let table: &[(&[u8], &str)] = &[
            (b"plain \xe2\x9c\x93\r\n", r"plain \xe2\x9c\x93\r\n"),
            (b"a\x1b[65535b\x1b[b\x1b[7;9b", r"a\x1b[80b\x1b[1b\x1b[7b"),
            (b"\x1b[31mred\x1b[m", r"\x1b[31mred\x1b[m"),
            (&long, "ok"),
            (b"\x1bPq#0;2;0;0;0~-\x1b\\ok", r"\x1b\\ok"),
            (b"\x1bP0;1q#0~-\n-~\x1b\\ok", r"\x1b\\ok"),
            (b"\x1bP$qm no end\nok", r"\nok"),
            (b"\x1b_no end\nok", r"\nok"),
            (b"\x1b]52;c;AAAA\x07ok", r"\x1b]52;c;AAAA\x07ok"),
            (b"\x1b]0;no end\nok", r"\x1b]0;no end\x18\nok"),
            (b"\x1b]0;t\x1b\\ok", r"\x1b]0;t\x18\x1b\\ok"),
            (b"\x1b[3\r\n1mred", r"\r\n\x1b[31mred"),
            ("\x1b(0lqk\x1b(B x\x1b)0\x0elqk\x0f".as_bytes(), "┌─┐ x┌─┐"),
            (b"\x1b#8\x1b*0lq", "lq"),
            (b"\x07\x00\x05", ""),
        ];
        for (bytes, expected) in table {
            let expected =
                if expected.is_ascii() { (*expected).into() } else { expected.as_bytes().escape_ascii().to_string() };
            assert_eq!(passed(bytes).0, expected, "{}", bytes.escape_ascii());
        }
        let shown = passed(&title).0;
        assert!(shown.len() < 300 && shown.ends_with(r"\x07ok"), "{shown}");
    }

    #[test]
    fn a_program_that_names_places_draws_its_screen_itself() {
        let lines = |count: usize| "line\n".repeat(count);
        let table = [
            (lines(100), false),
            ("\r 3%|###  |\x1b[A\x1b[K\r 4%".into(), false),
            // `clear`, also more than once, with output between.
            ("\x1b[H\x1b[2J\x1b[3J".into(), false),
            (format!("\x1b[H\x1b[2J{}\x1b[H\x1b[2J", lines(60)), false),
            // `top`, `watch`: home again and again.
            (format!("\x1b[H{}\x1b[H", lines(20)), true),
            ("\x1b[5;7Hhere".into(), true),
            ("\x1b[12dhere".into(), true),
            ("\x1b[5;7fhere".into(), true),
            (format!("\x1b[5;7H{}", lines(30)), true),
            (format!("\x1b[5;7H{}", lines(60)), false),
            ("\x1b[5;7H\x1b[?1049l".into(), false),
            ("\x1b[5;7H\x1bc".into(), false),
        ];
        for (bytes, own) in table {
            let (mut sieve, mut out) = (Sieve::default(), Vec::new());
            sieve.pass(bytes.as_bytes(), EXTENT, &mut Work::of(u32::MAX), &mut out);
            assert_eq!(sieve.places(), own, "{}", bytes.escape_debug());
        }
    }
}
