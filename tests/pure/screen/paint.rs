//! Cells on the screen: what is cut, what is wrapped, which colours.

use dogwatch::screen::{Grid, Pointing, Size};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Modifier};

use super::{painted, wrapped};

fn grid(rows: u16, cols: u16, bytes: &str) -> Grid {
    let mut grid = Grid::new(Size::new(rows, cols));
    grid.feed(bytes.as_bytes());
    grid
}

#[test]
fn of_a_larger_terminal_the_rows_at_the_cursor_are_drawn() {
    let ten: String = (0..10).map(|n| format!("line {n}\r\n")).collect::<Vec<_>>().concat();
    let grid = grid(40, 120, &ten);
    assert_eq!(painted(&grid, 7, 3), ["line 8 ", "line 9 ", "       "]);
    assert_eq!(grid.cursor_in(Rect::new(5, 5, 7, 3)), Some(Position::new(5, 7)));
    assert_eq!(painted(&grid, 4, 12)[0], "line");
    // A program that owns the screen: from the top as far as the cursor.
    let mut full = Grid::new(Size::new(10, 20));
    full.feed(b"\x1b[?1049h\x1b[Htop\x1b[10;1Hbottom\x1b[2;1H");
    assert_eq!(wrapped(&full, 6, 3), ["top   ", "      ", "      "]);
    full.feed(b"\x1b[10;3H\x1b[?25l");
    assert_eq!(wrapped(&full, 6, 2), ["      ", "bottom"]);
    assert_eq!(full.cursor_in(Rect::new(0, 0, 6, 2)), None);
}

#[test]
fn long_lines_go_on_in_the_next_row_and_come_together_again() {
    let grid = grid(6, 10, "abcdefghijklmnop\r\nshort\r\n");
    assert_eq!(painted(&grid, 10, 3), ["klmnop    ", "short     ", "          "]);
    assert_eq!(wrapped(&grid, 20, 3), ["abcdefghijklmnop    ", "short               ", "                    "]);
    assert_eq!(wrapped(&grid, 6, 5), ["abcdef", "ghijkl", "mnop  ", "short ", "      "]);
    // The end is what counts.
    assert_eq!(wrapped(&grid, 6, 2), ["mnop  ", "short "]);
    assert_eq!(wrapped(&grid, 6, 1), ["short "]);
}

#[test]
fn a_progress_bar_that_is_wider_than_its_pane_stays_one_line() {
    let mut grid = Grid::new(Size::new(40, 40));
    for done in 0..100 {
        grid.feed(format!("\r{done:3}%|{}| step", "#".repeat(20)).as_bytes());
    }
    let expected = ["", "", " 99%|#####", "##########", "#####| ste", "p"].map(|row| format!("{row:<10}"));
    assert_eq!(wrapped(&grid, 10, 6)[..4], expected[2..]);
    assert_eq!(wrapped(&grid, 10, 6)[4..], expected[..2]);
}

#[test]
fn wide_characters_are_never_halved() {
    let grid = grid(4, 10, "ab界cd界\r\n界界界界界界\r\n");
    assert_eq!(painted(&grid, 3, 1), ["   "]);
    assert_eq!(painted(&grid, 10, 4), ["ab界cd界  ", "界界界界界", "界        ", "          "]);
    assert_eq!(painted(&grid, 9, 4), ["ab界cd界 ", "界界界界 ", "界       ", "         "]);
    assert_eq!(wrapped(&grid, 5, 6), ["ab界c", "d界  ", "界界 ", "界界 ", "界界 ", "     "]);
    // No room for any: its place is empty.
    assert_eq!(wrapped(&grid, 1, 13)[..7], ["a", "b", " ", "c", "d", " ", " "]);
}

#[test]
fn joiners_and_marks_are_right() {
    let grid = grid(4, 40, "e\u{301} 👩\u{200d}💻 ❤\u{fe0f} 1\u{fe0f}\u{20e3} 🇩🇪 a\u{200d}b\r\n");
    // Two people side by side, as in the step's own terminal: a joiner between cells would shift the row in some terminals.
    let expected = "e\u{301} 👩💻 ❤\u{fe0f} 1\u{fe0f}\u{20e3} 🇩🇪 ab";
    assert_eq!(painted(&grid, 30, 3)[0].trim_end(), expected);
    // To copy and to search it is there.
    assert!(grid.row_text(0).starts_with("e\u{301} 👩\u{200d}💻 ❤\u{fe0f}"), "{}", grid.row_text(0));
}

#[test]
fn colours_are_those_of_the_step() {
    let grid = grid(4, 20, "\x1b[31;1mr\x1b[0;94;3mb\x1b[0;38;5;200;4mp\x1b[0;48;2;1;2;3;7mi\x1b[0;2md\x1b[m.");
    let area = Rect::new(0, 0, 10, 1);
    let mut buffer = Buffer::empty(area);
    buffer.set_string(0, 0, "XXXXXXXXXX", Modifier::CROSSED_OUT);
    grid.paint(Rect::new(0, 0, 10, 1), &mut buffer);
    let styles: Vec<_> = (0..7).map(|x| (buffer[(x, 0)].fg, buffer[(x, 0)].bg, buffer[(x, 0)].modifier)).collect();
    let none = Modifier::empty();
    let expected = [
        (Color::Red, Color::Reset, Modifier::BOLD),
        (Color::LightBlue, Color::Reset, Modifier::ITALIC),
        (Color::Indexed(200), Color::Reset, Modifier::UNDERLINED),
        (Color::Reset, Color::Rgb(1, 2, 3), Modifier::REVERSED),
        (Color::Reset, Color::Reset, Modifier::DIM),
        (Color::Reset, Color::Reset, none),
        (Color::Reset, Color::Reset, none),
    ];
    assert_eq!(styles, expected);
}

#[test]
fn what_a_program_asks_for_is_known_and_not_handed_on() {
    let mut grid = Grid::new(Size::new(24, 80));
    assert_eq!((grid.modes().mouse, grid.title()), (None, ""));
    grid.feed(b"\x1b[?1h\x1b[?2004h\x1b[?1002h\x1b[?1006h\x1b]0;vim; \x1b[1m\x07");
    grid.feed(b"\x1b]2;vim; a file\x07");
    let modes = grid.modes();
    assert!(modes.application_cursor && modes.bracketed_paste && !modes.alternate_screen);
    assert_eq!(modes.mouse.map(|mouse| (mouse.of, mouse.sgr)), Some((Pointing::Drag, true)));
    assert_eq!(grid.title(), "vim; a file");
    grid.feed(b"\x1b[?1049h");
    assert!(grid.modes().alternate_screen);
}

#[test]
fn lines_and_corners_of_the_old_kind_are_drawn() {
    let grid = grid(4, 20, "\x1b(0lqk\x1b(B text\r\n\x1b)0\x0ex x\x0f\r\n");
    assert_eq!(painted(&grid, 8, 2), ["│ │     ", "        "]);
    assert_eq!(painted(&grid, 8, 3), ["┌─┐ text", "│ │     ", "        "]);
}

#[test]
fn of_a_larger_terminal_that_is_looked_at_the_part_round_the_cursor_is_drawn() {
    let part = |grid: &Grid, width: u16, height: u16| {
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        grid.paint_part(area, &mut buffer);
        super::rows(&buffer)
    };
    let rows: Vec<String> = (0..20).map(|row| format!("\x1b[{};1H{row:02}3456789 abcdefghi", row + 1)).collect();
    let mut grid = grid(20, 30, &rows.concat());
    assert!(grid.draws_itself());
    grid.feed(b"\x1b[2;2H");
    assert_eq!(part(&grid, 6, 3), ["003456", "013456", "023456"]);
    // Some of what comes after the cursor is seen, too.
    grid.feed(b"\x1b[10;15H");
    assert_eq!(part(&grid, 8, 4), [" abcdefg"; 4]);
    grid.feed(b"\x1b[20;30H");
    assert_eq!(part(&grid, 8, 2), ["        ", "        "]);
    assert_eq!(part(&grid, 40, 30)[19], format!("{:<40}", "193456789 abcdefghi"));
    // Without a cursor it is where people begin to read.
    grid.feed(b"\x1b[?25l");
    assert_eq!(part(&grid, 6, 2), ["003456", "013456"]);
    // Half of a wide character is none.
    let mut wide = Grid::new(Size::new(4, 12));
    wide.feed("界界界界界\x1b[1;9H".as_bytes());
    assert_eq!(part(&wide, 5, 1), [" 界界"]);
}
