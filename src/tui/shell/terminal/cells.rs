//! Cells -> the bytes that make a terminal show them, as few as possible: what has not changed is not sent, a colour is set
//! when it differs from the one before, a short gap is written once more instead of jumped over. Pure; writes nothing but
//! places, colours and what stands in cells.

use std::io::Write as _;

use ratatui::buffer::{Buffer, Cell, CellWidth as _};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

/// A gap of so many columns is written once more: to jump over it costs as much.
const GAP: u16 = 6;

/// Makes a letter a picture, of two columns on most terminals and of one on others.
const EMOJI: char = '\u{fe0f}';

/// Stands in no cell that is to be shown.
const NOTHING: &str = "";

/// How the terminal writes now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Ink {
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

impl Ink {
    fn of(cell: &Cell) -> Self {
        Self { fg: cell.fg, bg: cell.bg, modifier: cell.modifier }
    }

    /// Writes this cell with it: of a blank the colour of letters is not to be seen.
    fn fits(self, cell: &Cell) -> bool {
        const SEEN: Modifier = Modifier::UNDERLINED.union(Modifier::REVERSED).union(Modifier::CROSSED_OUT);
        let blank = cell.symbol() == " ";
        let plain = |modifier: Modifier| !modifier.intersects(SEEN);
        let same_blank = blank && self.bg == cell.bg && plain(self.modifier) && plain(cell.modifier);
        same_blank || self == Self::of(cell)
    }
}

/// A terminal as far as cells go: what it shows, and what it is to show.
#[derive(Debug)]
pub struct Cells {
    shown: Buffer,
    next: Buffer,
    ink: Ink,
    /// Nothing is known of what it shows: it is cleared first.
    unknown: bool,
    out: Vec<u8>,
}

impl Cells {
    /// A terminal of which nothing is known.
    pub fn new(area: Rect) -> Self {
        Self {
            shown: Buffer::empty(area),
            next: Buffer::empty(area),
            ink: Ink::default(),
            unknown: true,
            out: Vec::new(),
        }
    }

    /// Where it can show something.
    pub fn area(&self) -> Rect {
        self.next.area
    }

    /// The next frame: `paint` draws on an empty buffer; gives the bytes that bring it to the terminal.
    pub fn frame(&mut self, paint: impl FnOnce(&mut Buffer)) -> &[u8] {
        self.next.reset();
        paint(&mut self.next);
        mend(&mut self.next);
        self.out.clear();
        if std::mem::take(&mut self.unknown) {
            self.ink = Ink::default();
            self.out.extend_from_slice(b"\x1b[0m\x1b[2J");
            self.shown.reset();
        }
        self.changes();
        std::mem::swap(&mut self.shown, &mut self.next);
        &self.out
    }

    fn changes(&mut self) {
        let Self { shown, next, ink, out, .. } = self;
        forget_halves(shown, next);
        // The column after the last one that was written, where it is certain.
        let mut here: Option<(u16, u16)> = None;
        for (x, y, cell) in shown.diff_iter(next) {
            // A second half was written with its letter; a blank there would erase it.
            if x > next.area.x && is_wide(&next[(x - 1, y)]) {
                here = None;
                continue;
            }
            if here != Some((x, y)) && !bridge(next, *ink, here, (x, y), out) {
                // To memory: it cannot fail.
                let _ = write!(out, "\x1b[{};{}H", y + 1, x + 1);
            }
            if !ink.fits(cell) {
                set(out, *ink, Ink::of(cell));
                *ink = Ink::of(cell);
            }
            if is_wide(cell) && cell.symbol().contains(EMOJI) {
                // Some terminals make it one column wide: what stood in the second one is not left there.
                let _ = write!(out, "\x1b[{};{}H \x1b[{};{}H", y + 1, x + 2, y + 1, x + 1);
            }
            out.extend_from_slice(cell.symbol().as_bytes());
            // Of what else is in a cell terminals differ about the width.
            here = simple(cell).then_some((x + 1, y));
        }
    }
}

/// Whether a letter begins here that takes two columns.
fn is_wide(cell: &Cell) -> bool {
    // As wide as the buffer counts it, which differs from the width of its letters for half-width katakana.
    cell.symbol().len() > 1 && cell.cell_width() > 1
}

/// A wide letter whose second half was drawn over is a blank, as on every terminal.
fn mend(buf: &mut Buffer) {
    let width = usize::from(buf.area.width.max(1));
    for at in 0..buf.content.len() {
        let whole = |half: &Cell| (at + 1) % width != 0 && half.symbol() == " ";
        if is_wide(&buf.content[at]) && !buf.content.get(at + 1).is_some_and(whole) {
            buf.content[at].set_symbol(" ");
        }
    }
}

/// Where a wide letter goes away, terminals differ about what is left of its second half: that is sent in any case.
fn forget_halves(shown: &mut Buffer, next: &Buffer) {
    for at in 1..shown.content.len() {
        if is_wide(&shown.content[at - 1]) && shown.content[at - 1] != next.content[at - 1] {
            shown.content[at].set_symbol(NOTHING);
        }
    }
}

/// One letter in one column.
fn simple(cell: &Cell) -> bool {
    let symbol = cell.symbol();
    symbol.len() == 1 || (symbol.chars().nth(1).is_none() && symbol.width() == 1)
}

/// Writes what stands between two places of a row once more, if that is cheap.
fn bridge(next: &Buffer, ink: Ink, from: Option<(u16, u16)>, (x, y): (u16, u16), out: &mut Vec<u8>) -> bool {
    let Some((before, _)) = from.filter(|(before, row)| *row == y && *before < x && x - before <= GAP) else {
        return false;
    };
    let between = || (before..x).map(|x| &next[(x, y)]);
    let cheap = between().all(|cell| cell.symbol().len() == 1 && ink.fits(cell));
    if cheap {
        between().for_each(|cell| out.extend_from_slice(cell.symbol().as_bytes()));
    }
    cheap
}

/// Changes how the terminal writes.
fn set(out: &mut Vec<u8>, from: Ink, to: Ink) {
    out.extend_from_slice(b"\x1b[");
    let start = out.len();
    let mut from = from;
    if to == Ink::default() {
        out.push(b'm');
        return;
    }
    if !to.modifier.contains(from.modifier) {
        out.push(b'0');
        from = Ink::default();
    }
    for (number, modifier) in MODIFIERS {
        if to.modifier.contains(modifier) && !from.modifier.contains(modifier) {
            parameter(out, start, &[number]);
        }
    }
    if to.fg != from.fg {
        colour(out, start, to.fg, 30);
    }
    if to.bg != from.bg {
        colour(out, start, to.bg, 40);
    }
    out.push(b'm');
}

const MODIFIERS: [(u8, Modifier); 9] = [
    (1, Modifier::BOLD),
    (2, Modifier::DIM),
    (3, Modifier::ITALIC),
    (4, Modifier::UNDERLINED),
    (5, Modifier::SLOW_BLINK),
    (6, Modifier::RAPID_BLINK),
    (7, Modifier::REVERSED),
    (8, Modifier::HIDDEN),
    (9, Modifier::CROSSED_OUT),
];

fn parameter(out: &mut Vec<u8>, start: usize, numbers: &[u8]) {
    for number in numbers {
        if out.len() > start {
            out.push(b';');
        }
        // To memory: it cannot fail.
        let _ = write!(out, "{number}");
    }
}

/// `first` is 30 for letters and 40 for what is behind them.
fn colour(out: &mut Vec<u8>, start: usize, colour: Color, first: u8) {
    let numbers: &[u8] = match colour {
        Color::Reset => &[first + 9],
        Color::Black => &[first],
        Color::Red => &[first + 1],
        Color::Green => &[first + 2],
        Color::Yellow => &[first + 3],
        Color::Blue => &[first + 4],
        Color::Magenta => &[first + 5],
        Color::Cyan => &[first + 6],
        Color::Gray => &[first + 7],
        Color::DarkGray => &[first + 60],
        Color::LightRed => &[first + 61],
        Color::LightGreen => &[first + 62],
        Color::LightYellow => &[first + 63],
        Color::LightBlue => &[first + 64],
        Color::LightMagenta => &[first + 65],
        Color::LightCyan => &[first + 66],
        Color::White => &[first + 67],
        Color::Indexed(number) => &[first + 8, 5, number],
        Color::Rgb(red, green, blue) => &[first + 8, 2, red, green, blue],
    };
    parameter(out, start, numbers);
}
