//! What reaches the operator's terminal makes it show what was meant, and is not more than needed.

use dogwatch::screen::{Grid, Size};
use dogwatch::tui::shell::terminal::cells::Cells;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthStr;

use crate::support::dice::Dice;
use crate::support::outer::{DRAWING, unexpected};

const SYMBOLS: [&str; 12] = [" ", " ", " ", "a", "b", "─", "é", "界", "e\u{301}", "7", "█", "~"];
const COLOURS: [Color; 7] = [
    Color::Reset,
    Color::Reset,
    Color::Red,
    Color::LightBlue,
    Color::White,
    Color::Indexed(200),
    Color::Rgb(1, 20, 255),
];
const MARKS: [Modifier; 5] = [
    Modifier::empty(),
    Modifier::empty(),
    Modifier::BOLD,
    Modifier::REVERSED,
    Modifier::UNDERLINED.union(Modifier::DIM),
];

fn one<T: Copy>(dice: &mut Dice, from: &[T]) -> T {
    *dice.pick(from).expect("there is one")
}

/// Writes words of all kinds to some places.
fn scribble(dice: &mut Dice, buf: &mut Buffer) {
    for _ in 0..dice.below(40) {
        let (x, y) = (dice.below(u64::from(buf.area.width)), dice.below(u64::from(buf.area.height)));
        let style = Style::reset().fg(one(dice, &COLOURS)).bg(one(dice, &COLOURS)).add_modifier(one(dice, &MARKS));
        let text: String = (0..dice.below(9)).map(|_| one(dice, &SYMBOLS)).collect();
        let (x, y) = (u16::try_from(x).expect("it is small"), u16::try_from(y).expect("it is small"));
        buf.set_stringn(x, y, text, usize::from(buf.area.width - x), style);
    }
}

/// A wide letter that something was drawn over is none.
fn mend(picture: &mut Buffer) {
    for at in 0..picture.content.len() {
        let covered = at % 33 == 32 || picture.content[at + 1].symbol() != " ";
        if picture.content[at].symbol() == "界" && covered {
            picture.content[at].set_symbol(" ");
        }
    }
}

/// What an eye sees of a buffer: of a blank neither the colour of its letter nor its weight.
fn seen(buf: &Buffer) -> Vec<(String, Style)> {
    let mut all = Vec::new();
    let mut skip = 0;
    for cell in &buf.content {
        if skip > 0 {
            skip -= 1;
            continue;
        }
        skip = cell.symbol().width().saturating_sub(1);
        let plain = !cell.modifier.intersects(Modifier::UNDERLINED | Modifier::REVERSED);
        let style = if cell.symbol() == " " && plain {
            Style::new().bg(cell.bg)
        } else {
            Style::new().fg(cell.fg).bg(cell.bg).add_modifier(cell.modifier)
        };
        all.push((cell.symbol().to_owned(), style));
    }
    all
}

#[test]
fn a_terminal_shows_every_frame_as_it_was_drawn() {
    let area = Rect::new(0, 0, 33, 9);
    let mut frames = 0;
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let (mut cells, mut grid) = (Cells::new(area), Grid::new(Size::new(area.height, area.width)));
        grid.feed(b"left over\x1b[31m from before");
        let mut picture = Buffer::empty(area);
        for _ in 0..25 {
            if dice.below(6) == 0 {
                picture.reset();
            }
            scribble(&mut dice, &mut picture);
            let bytes = cells.frame(|buf| buf.clone_from(&picture)).to_vec();
            mend(&mut picture);
            assert_eq!(unexpected(&bytes, &DRAWING), Vec::<String>::new());
            grid.feed(&bytes);
            let mut decoded = Buffer::empty(area);
            grid.paint(area, &mut decoded);
            for (got, meant) in seen(&decoded).into_iter().zip(seen(&picture)) {
                assert_eq!(got, meant, "seed {seed}, frame {frames}: {}", bytes.escape_ascii());
            }
            frames += 1;
        }
    }
    assert_eq!(frames, 60 * 25);
}

#[test]
fn what_has_not_changed_is_not_sent_and_what_has_is_short() {
    let area = Rect::new(0, 0, 80, 24);
    let red = Style::new().fg(Color::Red);
    let mut cells = Cells::new(area);
    let sent = |cells: &mut Cells, words: &[(u16, u16, &str, Style)]| {
        let bytes =
            cells.frame(|buf| words.iter().for_each(|(x, y, text, style)| buf.set_string(*x, *y, text, *style)));
        bytes.escape_ascii().to_string()
    };
    assert_eq!(sent(&mut cells, &[]), r"\x1b[0m\x1b[2J");
    assert_eq!(sent(&mut cells, &[]), "");
    let plain = Style::new();
    assert_eq!(sent(&mut cells, &[(0, 0, "step 12 of 90", plain)]), r"\x1b[1;1Hstep 12 of 90");
    // A short gap is written once more, a long one is jumped over.
    assert_eq!(sent(&mut cells, &[(0, 0, "stop 13 of 90", plain)]), r"\x1b[1;3Hop 13");
    assert_eq!(sent(&mut cells, &[(0, 0, "stop 13 of 91", red)]), r"\x1b[1;1H\x1b[31mstop 13 of 91");
    assert_eq!(sent(&mut cells, &[(0, 0, "stop 13 of 92", red)]), r"\x1b[1;13H2");
    assert_eq!(sent(&mut cells, &[]), r"\x1b[1;1H             ");
}

#[test]
fn nothing_is_left_beside_a_picture_letter_that_a_terminal_makes_narrow() {
    let area = Rect::new(0, 0, 20, 2);
    let mut cells = Cells::new(area);
    let mut frame = |text: &str| cells.frame(|buf| buf.set_string(0, 0, text, Style::new())).to_vec();
    frame("abcdefgh");
    let bytes = frame("a❤\u{fe0f}defgh");
    // A terminal to which the selector means nothing: one column for the heart, and the next letters at their places.
    let narrow: String = String::from_utf8(bytes.clone()).expect("it is text").replace('\u{fe0f}', "");
    let mut grid = Grid::new(Size::new(2, 20));
    grid.feed(b"abcdefgh");
    grid.feed(narrow.as_bytes());
    assert!(grid.row_text(0).starts_with("a❤ defgh"), "{:?}", grid.row_text(0));
    // One that makes it wide shows it whole.
    let mut grid = Grid::new(Size::new(2, 20));
    grid.feed(b"abcdefgh");
    grid.feed(&bytes);
    assert!(grid.row_text(0).starts_with("a❤\u{fe0f}defgh"), "{:?}", grid.row_text(0));
}
