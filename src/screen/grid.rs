//! A terminal of a size, fed with bytes: `vt100` behind a face that no input and no size can break. Pure.

use std::num::NonZeroU16;

use super::clean;
use super::sieve::{Extent, Sieve, Work};

/// Rows and columns of a terminal, always between 2x2 and 500x1000: the parser does not stand less, the memory not more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    rows: u16,
    cols: u16,
}

impl Size {
    /// The nearest size that is possible.
    pub fn new(rows: u16, cols: u16) -> Self {
        Self { rows: rows.clamp(2, 500), cols: cols.clamp(2, 1000) }
    }

    pub fn rows(self) -> u16 {
        self.rows
    }

    pub fn cols(self) -> u16 {
        self.cols
    }

    fn parts(self) -> (NonZeroU16, NonZeroU16) {
        let nonzero = |n| NonZeroU16::new(n).expect("a size is at least 2x2");
        (nonzero(self.rows), nonzero(self.cols))
    }

    fn extent(self) -> Extent {
        Extent { rows: usize::from(self.rows), cols: usize::from(self.cols) }
    }
}

/// Which events of the mouse a program wants to be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pointing {
    /// Buttons when they are pressed.
    Press,
    /// ... and when they are let go.
    Buttons,
    /// ... and movement with a button held.
    Drag,
    /// ... and all movement.
    Motion,
}

/// What a program wants to be told of the mouse, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mouse {
    pub of: Pointing,
    /// As `ESC [<b;x;yM`, not in the old way that ends at column 223.
    pub sgr: bool,
}

/// What the program in a terminal asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modes {
    /// Cursor keys are sent as `ESC O A`.
    pub application_cursor: bool,
    /// What is pasted is put between `ESC [200~` and `ESC [201~`.
    pub bracketed_paste: bool,
    pub mouse: Option<Mouse>,
    /// The whole screen belongs to the program: there is nothing to scroll back to.
    pub alternate_screen: bool,
}

/// Longest title, in characters.
const LONGEST_TITLE: usize = 64;
/// The parser gets bytes in pieces of at most this.
const PIECE: usize = 16 * 1024;
/// The character that asks for an emoji in the place of the text character before it.
const SELECTOR: [u8; 3] = [0xef, 0xb8, 0x8f];

/// What the parser hears beside cells. Queries, clipboards, bells and everything else are not answered nor handed on.
#[derive(Debug, Default)]
struct Heard {
    title: String,
}

impl vt100::Callbacks for Heard {
    fn set_window_title(&mut self, _: &mut vt100::Screen, title: &[u8]) {
        self.title = clean(&String::from_utf8_lossy(title)).chars().take(LONGEST_TITLE).collect();
    }

    fn unhandled_osc(&mut self, screen: &mut vt100::Screen, params: &[&[u8]]) {
        // The parser cuts at semicolons, also within a title.
        if let [b"0" | b"2", title @ ..] = params {
            self.set_window_title(screen, &title.join(&b';'));
        }
    }
}

/// A terminal's cells. Scrollback is not kept: it is on disk.
pub struct Grid {
    parser: vt100::Parser<Heard>,
    sieve: Sieve,
    size: Size,
    /// Not handed to the parser yet.
    sifted: Vec<u8>,
}

impl std::fmt::Debug for Grid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grid").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Grid {
    /// An empty terminal.
    pub fn new(size: Size) -> Self {
        let (rows, cols) = size.parts();
        let parser = vt100::Parser::new_with_callbacks(rows, cols, 0, Heard::default());
        Self { parser, sieve: Sieve::default(), size, sifted: Vec::new() }
    }

    /// Takes in all of `bytes`, whatever it costs: for small pieces of which the caller knows the length.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let mut work = Work::FRAME;
            let taken = self.feed_some(rest, &mut work);
            rest = &rest[taken..];
        }
    }

    /// Takes in as much of `bytes` as there is work for; how many bytes that were. The rest is to be given again.
    pub fn feed_some(&mut self, bytes: &[u8], work: &mut Work) -> usize {
        let mut taken = 0;
        while taken < bytes.len() && work.left() {
            let piece = &bytes[taken..bytes.len().min(taken + PIECE)];
            taken += self.sieve.pass(piece, self.size.extent(), work, &mut self.sifted);
            self.process();
        }
        taken
    }

    /// Hands to the parser what was sifted, but for the beginning of a selector whose rest is still to come.
    ///
    /// The selector widens the character before it. Where that stands in the last column of the last row the parser
    /// (vt100 0.18.1) leaves half a wide character behind, and panics when it is overwritten: there it stays narrow.
    fn process(&mut self) {
        let mut done = 0;
        while let Some(at) = self.sifted[done..].iter().position(|byte| *byte == SELECTOR[0]) {
            self.parser.process(&self.sifted[done..done + at]);
            done += at;
            let rest = &self.sifted[done..];
            let here = &rest[..rest.len().min(SELECTOR.len())];
            if !SELECTOR.starts_with(here) {
                self.parser.process(&here[..1]);
                done += 1;
            } else if here.len() < SELECTOR.len() {
                break;
            } else {
                if self.screen().cursor_position().1 < self.size.cols {
                    self.parser.process(&SELECTOR);
                }
                done += SELECTOR.len();
            }
        }
        if !SELECTOR.starts_with(&self.sifted[done..]) {
            self.parser.process(&self.sifted[done..]);
            done = self.sifted.len();
        }
        self.sifted.drain(..done);
    }

    /// What comes next stands on one of the two screens, and it is not known on which.
    pub(super) fn lose(&mut self) {
        self.sieve.lose();
    }

    /// What comes next has nothing to do with what came before: ends an unfinished sequence, and colours.
    pub(super) fn cut(&mut self) {
        self.feed(b"\x18\x1b(B\x1b)B\x0f\x1b[m");
    }

    /// Gives the terminal another size. The rows at the cursor stay.
    pub fn resize(&mut self, size: Size) {
        if size != self.size {
            let (rows, cols) = size.parts();
            self.parser.set_size(rows, cols);
            self.size = size;
        }
    }

    pub fn size(&self) -> Size {
        self.size
    }

    /// Row and column of the cursor, from 0; `None` while the program hides it.
    pub fn cursor(&self) -> Option<(u16, u16)> {
        (!self.screen().hide_cursor()).then(|| self.cursor_place())
    }

    /// The title that the program gave its terminal, cleaned; empty without one.
    pub fn title(&self) -> &str {
        &self.parser.callbacks().title
    }

    /// What the program asked for.
    pub fn modes(&self) -> Modes {
        let screen = self.screen();
        let of = match screen.mouse_protocol_mode() {
            vt100::MouseProtocolMode::None => None,
            vt100::MouseProtocolMode::Press => Some(Pointing::Press),
            vt100::MouseProtocolMode::PressRelease => Some(Pointing::Buttons),
            vt100::MouseProtocolMode::ButtonMotion => Some(Pointing::Drag),
            vt100::MouseProtocolMode::AnyMotion => Some(Pointing::Motion),
        };
        let sgr = screen.mouse_protocol_encoding() == vt100::MouseProtocolEncoding::Sgr;
        Modes {
            application_cursor: screen.application_cursor(),
            bracketed_paste: screen.bracketed_paste(),
            mouse: of.map(|of| Mouse { of, sgr }),
            alternate_screen: screen.alternate_screen(),
        }
    }

    /// The program draws its screen itself instead of printing lines: only a whole terminal shows what it means.
    pub fn draws_itself(&self) -> bool {
        self.screen().alternate_screen() || self.sieve.places()
    }

    /// Nothing was drawn yet.
    pub fn is_empty(&self) -> bool {
        self.content_rows() == 0
    }

    /// The text of a row, cleaned, without the blanks at its end: to copy and to search. Empty below the last row.
    pub fn row_text(&self, row: u16) -> String {
        let mut text = String::new();
        let mut col = 0;
        while let Some(cell) = self.screen().cell(row, col) {
            text.push_str(if cell.has_contents() { cell.contents() } else { " " });
            col += if cell.is_wide() { 2 } else { 1 };
        }
        clean(text.trim_end()).into_owned()
    }

    pub(super) fn screen(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    /// Also of a cursor that is hidden. One that waits behind the last column is in it.
    pub(super) fn cursor_place(&self) -> (u16, u16) {
        let (row, col) = self.screen().cursor_position();
        (row.min(self.size.rows - 1), col.min(self.size.cols - 1))
    }
}
