//! The corpus, and chance: whatever comes, only harmless cells are drawn, nothing panics, and one go does so much and no
//! more.

use dogwatch::gauge::plain;
use dogwatch::screen::{Direction, Grid, History, Searched, Size, Tail, Work, clean};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::support::cells::strange_cells;
use crate::support::dice::Dice;
use crate::support::hostile::corpus;
use crate::support::outer::{DRAWING, harmless, kinds, unexpected};

const SIZES: [(u16, u16); 5] = [(2, 2), (3, 7), (24, 80), (40, 120), (5, 300)];
const AREAS: [Rect; 6] = [
    Rect::new(0, 0, 0, 0),
    Rect::new(0, 0, 1, 1),
    Rect::new(3, 1, 7, 3),
    Rect::new(0, 0, 80, 24),
    Rect::new(1, 1, 119, 40),
    // Partly outside.
    Rect::new(100, 30, 60, 60),
];

/// Draws it in every way, and looks at each cell.
fn examine(grid: &Grid, what: &str) {
    for area in AREAS {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 120, 41));
        grid.paint(area, &mut buffer);
        assert_eq!(strange_cells(&buffer), Vec::<String>::new(), "{what} at {area}");
        if let Some(cursor) = grid.cursor_in(area) {
            assert!(area.contains(cursor), "{what}: the cursor at {cursor} of {area}");
        }
        let mut buffer = Buffer::empty(Rect::new(0, 0, 120, 41));
        grid.paint_wrapped(area, &mut buffer);
        assert_eq!(strange_cells(&buffer), Vec::<String>::new(), "{what}, wrapped, at {area}");
    }
    for row in 0..grid.size().rows() {
        assert!(harmless(&grid.row_text(row)), "{what}: row {row} is {:?}", grid.row_text(row));
    }
    assert!(harmless(grid.title()) && grid.title().chars().count() <= 64, "{what}: {:?}", grid.title());
}

#[test]
fn of_the_corpus_only_harmless_cells_are_drawn() {
    for (name, bytes) in corpus() {
        for (rows, cols) in SIZES {
            let mut grid = Grid::new(Size::new(rows, cols));
            grid.feed(&bytes);
            examine(&grid, &format!("{name} in {rows}x{cols}"));
        }
    }
}

#[test]
fn the_corpus_shows_the_same_however_it_is_cut() {
    let mut dice = Dice::new(3);
    for (name, bytes) in corpus() {
        let (mut whole, mut cut, mut single) =
            (Grid::new(Size::new(24, 80)), Grid::new(Size::new(24, 80)), Grid::new(Size::new(24, 80)));
        whole.feed(&bytes);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let some = usize::try_from(dice.between(1, 50)).expect("small").min(rest.len());
            cut.feed(&rest[..some]);
            rest = &rest[some..];
        }
        for byte in &bytes {
            single.feed(&[*byte]);
        }
        let (one, two, three) =
            (super::painted(&whole, 80, 24), super::painted(&cut, 80, 24), super::painted(&single, 80, 24));
        assert_eq!(one, two, "{name}");
        assert_eq!(one, three, "{name}");
    }
}

#[test]
fn no_attack_hides_what_comes_after_it() {
    for (name, bytes) in corpus() {
        let mut grid = Grid::new(Size::new(24, 80));
        grid.feed(&bytes);
        grid.feed(b"\r\nand it goes on\r\n");
        let rows = super::painted(&grid, 80, 24);
        assert!(rows.iter().any(|row| row.contains("it goes on")), "{name}: {rows:#?}");
    }
}

#[test]
fn the_corpus_reaches_the_operators_terminal_as_drawing_only() {
    let mut drawn = 0;
    for (name, bytes) in corpus() {
        let mut out = Vec::new();
        let area = Rect::new(0, 0, 80, 24);
        let viewport = ratatui::TerminalOptions { viewport: ratatui::Viewport::Fixed(area) };
        let mut terminal = Terminal::with_options(CrosstermBackend::new(&mut out), viewport).expect("a terminal");
        let mut grid = Grid::new(Size::new(24, 80));
        for part in bytes.chunks(bytes.len().div_ceil(4).max(1)) {
            grid.feed(part);
            terminal.draw(|frame| grid.paint(frame.area(), frame.buffer_mut())).expect("it is drawn");
        }
        drop(terminal);
        assert_eq!(unexpected(&out, &DRAWING), Vec::<String>::new(), "{name}");
        drawn += out.len();
    }
    assert!(drawn > 10_000, "only {drawn} bytes were drawn");
}

#[test]
fn the_reader_of_what_is_sent_sees_what_is_not_allowed() {
    let sent = b"\x1b[1;2Hx\x1b[31;1mred\x1b[?1049h\x1b]52;c;AAAA\x07\x1bPq\x1b\\\x07\xc2\x9b\xe2\x80\xae";
    let wrong = unexpected(sent, &DRAWING);
    assert_eq!(wrong, ["0x07", "C1 0x9b", "CSI ?1049h", "DCS ", "ESC \\", "OSC 52", "U+202E"]);
    assert_eq!(kinds(b"plain \xe2\x9c\x93").len(), 0);
    let mut buffer = Buffer::empty(Rect::new(0, 0, 6, 1));
    for (x, symbol) in [(0, "\u{1b}"), (1, "a\u{202e}"), (2, "界"), (3, "x"), (5, "界")] {
        buffer[(x, 0)].set_symbol(symbol);
    }
    assert_eq!(strange_cells(&buffer).len(), 4, "{:?}", strange_cells(&buffer));
}

#[test]
fn the_corpus_in_a_log_is_harmless_in_panes_lines_and_searches() {
    let dir = tempfile::tempdir().expect("a directory");
    let nowhere = regex::Regex::new("[\\x00-\\x1f\\x7f-\\x9f]").expect("a pattern");
    for (name, bytes) in corpus() {
        let place = dir.path().join(&name);
        std::fs::create_dir(&place).expect("a directory");
        std::fs::write(place.join("log"), &bytes).expect("a log");
        let mut tail = Tail::new(&place);
        let mut frames = 0;
        while tail.poll(&mut Work::of(50_000)).expect("it is read").behind {
            frames += 1;
            assert!(frames < 1000, "{name} has no end");
        }
        examine(tail.grid(), &name);
        let last = [tail.last_lines(50).expect("lines"), tail.last_rows(50)].concat();
        assert!(last.iter().all(|line| harmless(&line.replace('\t', " "))), "{name}: {last:?}");
        let mut history = History::new(&place);
        while !history.step(64 * 1024).expect("it is counted") {}
        let area = Rect::new(0, 0, 200, 1);
        for line in history.lines(0, usize::MAX).expect("lines") {
            assert!(harmless(&line.text()), "{name}, line {}: {:?}", line.number, line.text());
            let mut buffer = Buffer::empty(area);
            buffer.set_line(0, 0, &line.row(), 200);
            assert_eq!(strange_cells(&buffer), Vec::<String>::new(), "{name}, line {}", line.number);
        }
        let found = history.search(&nowhere, 0, Direction::Forward, usize::MAX).expect("it is searched");
        assert_eq!(found, Searched::No, "{name}");
    }
}

#[test]
fn names_from_the_corpus_are_one_harmless_line() {
    for (name, bytes) in corpus() {
        let text = String::from_utf8_lossy(&bytes);
        assert!(harmless(&clean(&text)), "{name}");
        for line in text.lines() {
            assert!(harmless(&clean(line)) && !clean(line).contains('\n'), "{name}: {line:?}");
            // What is plain already stays as it is.
            let plain = plain::line(line.as_bytes()).replace('\t', " ");
            assert_eq!(clean(&clean(&plain)), clean(&plain), "{name}");
        }
    }
}

#[test]
fn one_go_does_so_much_and_no_more() {
    const ROWS: u16 = 60;
    const COLS: u16 = 200;
    let all = usize::from(ROWS) * usize::from(COLS);
    let row = usize::from(COLS);
    // How many cells each of them touches at least.
    let table: [(&[u8], usize); 14] = [
        (b"\x1bc", 2 * all),
        (b"\x1b[2J", all),
        (b"\x1b[?2J", all),
        (b"\x1b[65535L", all),
        (b"\x1b[65535M", all),
        (b"\x1b[65535S", all),
        (b"\x1b[65535T", all),
        (b"\x1b[?1049h", all),
        (b"\x1b[?1049;1049;1049h", 3 * all),
        (b"\x1b[65535@", row),
        (b"\x1b[65535P", row),
        (b"\x1b[2K", row),
        (b"\n", row),
        // Printed, which is dearer than erased.
        (b"\x1b[65535b", 16 * row),
    ];
    for (sequence, cells) in table {
        let bytes = sequence.repeat(1_000_000 / sequence.len());
        let mut grid = Grid::new(Size::new(ROWS, COLS));
        grid.feed(b"x");
        let taken = grid.feed_some(&bytes, &mut Work::FRAME.clone()) / sequence.len();
        // 400,000 units of 16 cells, and the one that was begun when there was work left.
        let most = 400_000 * 16 / cells + 1;
        assert!(taken > 100 && taken <= most, "{}: {taken} in one go, not {most}", sequence.escape_ascii());
    }
    for (name, bytes) in corpus() {
        let mut grid = Grid::new(Size::new(ROWS, COLS));
        let (mut rest, mut frames) = (bytes.as_slice(), 0);
        while !rest.is_empty() {
            let mut work = Work::FRAME;
            let taken = grid.feed_some(rest, &mut work);
            assert!(taken > 0 && (taken == rest.len() || !work.left()), "{name}: {taken} bytes");
            rest = &rest[taken..];
            frames += 1;
        }
        // Text is taken in whole; what asks for more than its bytes is spread over frames.
        assert!(frames <= bytes.len().div_ceil(100), "{name}: {frames} frames");
    }
    // None left: nothing is done.
    let mut grid = Grid::new(Size::new(24, 80));
    assert_eq!(grid.feed_some(b"text", &mut Work::of(0)), 0);
    assert_eq!(super::painted(&grid, 4, 1), ["    "]);
}

/// Bytes that are likely to mean something.
fn chunk(dice: &mut Dice) -> Vec<u8> {
    const TEXT: [&str; 16] = [
        "a", "text\r\n", "\u{301}", "\u{fe0f}", "❤", "1", "👩", "\u{200d}", "界", "\u{20e3}", "\u{202e}", "\u{17d8}",
        "🇩", "\u{1100}", "\u{1161}", "\u{fe0e}",
    ];
    const NUMBERS: [u16; 14] = [0, 1, 2, 3, 4, 5, 10, 25, 40, 47, 1000, 1049, 9999, 65535];
    let mut bytes = Vec::new();
    match dice.below(8) {
        0..=2 => {
            for _ in 0..dice.below(6) {
                bytes.extend(dice.pick(&TEXT).expect("there is one").bytes());
            }
        }
        3 => bytes.extend(dice.pick(b"\x08\t\n\r\x0e\x0f\x18\x1b\x7f\x9b")),
        4 => bytes.extend([0x1b, *dice.pick(b"78McDEHPX^_]\\=>(0)B#Z").expect("there is one")]),
        5 | 6 => {
            bytes.extend(b"\x1b[");
            bytes.extend(if dice.per_mille(200) { b"?".as_slice() } else { b"" });
            for number in 0..dice.below(4) {
                bytes.extend(if number > 0 { b";".as_slice() } else { b"" });
                bytes.extend(dice.pick(&NUMBERS).expect("there is one").to_string().bytes());
            }
            bytes.extend(dice.pick(b"@ABCDEFGHIJKLMPSTXZ`abcdefghlmnpqrstu"));
        }
        _ => {
            for _ in 0..dice.below(20) {
                bytes.push(dice.roll().to_le_bytes()[0]);
            }
        }
    }
    bytes
}

#[test]
fn a_hundred_thousand_pieces_of_chance_break_nothing() {
    let mut dice = Dice::new(48);
    for story in 0..2_000 {
        let mut size = || Size::new(small(&mut dice), small(&mut dice));
        let mut grid = Grid::new(size());
        let mut other = size();
        for piece in 0..50 {
            grid.feed(&chunk(&mut dice));
            if dice.per_mille(100) {
                grid.resize(other);
                other = Size::new(small(&mut dice), small(&mut dice));
            }
            // Drawing costs more than all the rest: done for some.
            if piece == 49 && story % 4 == 0 {
                examine(&grid, &format!("story {story}"));
            }
        }
    }
}

#[test]
fn an_emoji_that_is_widened_at_the_edge_leaves_no_half_behind() {
    let mut grid = Grid::new(Size::new(3, 6));
    // In the last column of the last row, cut in every way; then a wide character over what would be left of it.
    grid.feed("\n\n.....❤\u{fe0f}".as_bytes());
    grid.feed(b"\x1b[3;6H\xe2\x9d\xa4\xef");
    grid.feed(b"\xb8");
    grid.feed(b"\x8fx");
    grid.feed("\x1b[2;5H界\x1b[1;5H界".as_bytes());
    examine(&grid, "a widened emoji");
    // Elsewhere it is widened.
    grid.feed("\x1b[H❤\u{fe0f}x".as_bytes());
    assert!(grid.row_text(0).starts_with("❤\u{fe0f}x"), "{}", grid.row_text(0));
    assert!(super::painted(&grid, 6, 3)[0].starts_with("❤\u{fe0f}x"), "{:?}", super::painted(&grid, 6, 3));
}

fn small(dice: &mut Dice) -> u16 {
    u16::try_from(dice.below(12)).expect("small")
}

#[test]
fn a_storm_of_impossible_sizes_breaks_nothing() {
    const ODD: [u16; 9] = [0, 1, 2, 3, 24, 80, 1000, 65_534, 65_535];
    let mut dice = Dice::new(22);
    let mut grid = Grid::new(Size::new(0, 0));
    for _ in 0..2_000 {
        let size = Size::new(*dice.pick(&ODD).expect("one"), *dice.pick(&ODD).expect("one"));
        assert!((2..=500).contains(&size.rows()) && (2..=1000).contains(&size.cols()));
        grid.resize(size);
        grid.feed(&chunk(&mut dice));
        let (row, col) = grid.cursor().unwrap_or_default();
        assert!(row < size.rows() && col < size.cols());
        if dice.per_mille(50) {
            examine(&grid, "a storm");
        }
    }
}
