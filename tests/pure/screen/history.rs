//! The whole log by lines: the same lines however they are read, also while it grows and is capped.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use dogwatch::attempt::log::{Stamp, Writer};
use dogwatch::attempt::open_run_dir;
use dogwatch::gauge::plain;
use dogwatch::screen::{Direction, History, Searched};
use ratatui::style::{Color, Style};
use regex::Regex;

use crate::support::dice::Dice;

fn log(bytes: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    append(dir.path(), bytes);
    dir
}

fn append(dir: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().create(true).append(true).open(dir.join("log")).expect("a log");
    file.write_all(bytes).expect("written");
}

fn counted(dir: &Path) -> History {
    let mut history = History::new(dir);
    while !history.step(1 << 20).expect("it is counted") {}
    history
}

fn texts(history: &mut History, from: u64, count: usize) -> Vec<String> {
    history.lines(from, count).expect("lines").into_iter().map(|line| line.text()).collect()
}

#[test]
fn lines_are_those_of_dogwatch_logs_with_their_colours() {
    let dir = log(b"plain\r\n\x1b[31mred\x1b[m and not\r\n\r\na\tb\r\n 10%|#\r 62%|######\r\nlast");
    let mut history = counted(dir.path());
    assert_eq!(history.count(), 6);
    assert_eq!(texts(&mut history, 0, 99), ["plain", "red and not", "", "a       b", " 62%|######", "last"]);
    assert_eq!(texts(&mut history, 4, 1), [" 62%|######"]);
    assert_eq!(texts(&mut history, 6, 1), Vec::<String>::new());
    let red = &history.lines(1, 1).expect("a line")[0];
    assert_eq!(red.number, 1);
    assert_eq!(red.pieces[0], ("red".into(), Style::new().fg(Color::Red)));
    assert_eq!(red.pieces[1], (" and not".into(), Style::new()));
    assert_eq!(red.row().width(), 11);
}

#[test]
fn a_log_that_grows_keeps_its_numbers() {
    let dir = log(b"");
    let mut history = counted(dir.path());
    assert_eq!(history.count(), 0);
    append(dir.path(), b"one\ntw");
    assert!(history.step(100).expect("counted"));
    assert_eq!(texts(&mut history, 0, 9), ["one", "tw"]);
    append(dir.path(), b"o\nthree\n");
    assert!(history.step(100).expect("counted"));
    assert_eq!(texts(&mut history, 0, 9), ["one", "two", "three"]);
    assert_eq!(history.count(), 3);
    assert_eq!(History::new(dir.path().join("nowhere")).lines(0, 9).expect("no lines"), []);
}

#[test]
fn counting_goes_in_bounded_steps() {
    let bytes = b"some line of a log\n".repeat(100_000);
    let dir = log(&bytes);
    let mut history = History::new(dir.path());
    let mut steps = 1;
    while !history.step(100_000).expect("counted") {
        let (counted, there) = history.progress();
        assert!(counted <= steps * 110_000 && there == bytes.len() as u64);
        steps += 1;
    }
    assert!((18..=20).contains(&steps), "{steps} steps");
    assert_eq!(history.count(), 100_000);
}

#[test]
fn lines_are_the_same_wherever_reading_begins() {
    let mut dice = Dice::new(5);
    for story in 0..30 {
        // Short lines, long ones, those that are written over for long, and empty ones.
        let mut bytes = Vec::new();
        for n in 0..400u32 {
            match dice.below(8) {
                0 => {}
                1 => bytes.extend("long ".repeat(usize::try_from(dice.below(20_000)).expect("small")).bytes()),
                2 => {
                    for state in 0..dice.below(8_000) {
                        bytes.extend(format!("\r{state} of many").bytes());
                    }
                }
                _ => bytes.extend(format!("\x1b[3{}mline {n}", n % 8).bytes()),
            }
            bytes.extend(b"\r\n");
        }
        let dir = log(&bytes);
        let mut whole = counted(dir.path());
        let all = texts(&mut whole, 0, usize::MAX);
        assert_eq!(all.len() as u64, whole.count());
        let mut slow = History::new(dir.path());
        while !slow.step(usize::try_from(dice.between(1, 40_000)).expect("small")).expect("counted") {}
        assert_eq!(slow.count(), whole.count(), "story {story}");
        for _ in 0..50 {
            let (from, count) = (dice.below(all.len() as u64 + 2), usize::try_from(dice.below(90)).expect("small"));
            let at = usize::try_from(from).expect("small").min(all.len());
            let expected = &all[at..(at + count).min(all.len())];
            assert_eq!(texts(&mut slow, from, count), expected, "story {story} from {from}");
        }
    }
}

#[test]
fn a_line_that_is_written_over_for_hours_is_its_newest_state() {
    let mut bytes = b"before\r\n".to_vec();
    for n in 0..100_000 {
        bytes.extend(format!("\r{:3}%|{}| {n}/100000", n / 1000, "#".repeat(20)).bytes());
    }
    let dir = log(&bytes);
    let mut history = counted(dir.path());
    assert_eq!(history.count(), 2);
    assert!(texts(&mut history, 1, 1)[0].ends_with("99999/100000"));
    append(dir.path(), b"\r\nafter\r\n");
    assert!(history.step(1 << 20).expect("counted"));
    assert!(texts(&mut history, 1, 1)[0].ends_with("99999/100000"));
    assert_eq!(texts(&mut history, 2, 1), ["after"]);
    // Counted in small steps it is the same.
    let mut slow = History::new(dir.path());
    let mut steps = 0;
    while !slow.step(50_000).expect("counted") {
        steps += 1;
    }
    assert!(steps > 50, "{steps} steps");
    assert_eq!(texts(&mut slow, 0, 9), texts(&mut history, 0, 9));
}

#[test]
fn a_search_finds_what_is_shown_in_both_directions() {
    let mut bytes = Vec::new();
    for n in 0..10_000 {
        bytes.extend(match n {
            77 => b"\x1b[31mloss is \x1b[1mnan\x1b[m here\r\n".to_vec(),
            5_000 => b"loss is 1.0\rloss is nan\r\n".to_vec(),
            9_990 => b"loss is nan, again\r\n".to_vec(),
            6_000 => b"loss is nan\rloss is fine\r\n".to_vec(),
            _ => format!("step {n} of 10000\r\n").into_bytes(),
        });
    }
    let dir = log(&bytes);
    let nan = Regex::new("loss is nan").expect("a pattern");
    let all = |direction: Direction, budget: usize| {
        let mut history = History::new(dir.path());
        let mut from = if direction == Direction::Forward { 0 } else { u64::MAX };
        if direction == Direction::Backward {
            while !history.step(1 << 20).expect("counted") {}
        }
        let (mut found, mut goes) = (Vec::new(), 0);
        loop {
            goes += 1;
            match history.search(&nan, from, direction, budget).expect("searched") {
                Searched::Found { line, at } => {
                    let text = texts(&mut history, line, 1).remove(0);
                    assert_eq!(&text[at], "loss is nan");
                    found.push(line);
                    from = if direction == Direction::Forward { line + 1 } else { line - 1 };
                }
                Searched::More { from: next } => from = next,
                Searched::No => return (found, goes),
            }
        }
    };
    assert_eq!(all(Direction::Forward, usize::MAX), (vec![77, 5_000, 9_990], 4));
    assert_eq!(all(Direction::Backward, usize::MAX), (vec![9_990, 5_000, 77], 4));
    let (found, goes) = all(Direction::Forward, 10_000);
    assert_eq!(found, [77, 5_000, 9_990]);
    assert!((15..=25).contains(&goes), "{goes} goes");
    let (found, goes) = all(Direction::Backward, 10_000);
    assert_eq!(found, [9_990, 5_000, 77]);
    assert!((15..=25).contains(&goes), "{goes} goes");
}

#[test]
fn a_place_that_was_found_is_that_of_the_text_that_is_shown() {
    let mut dice = Dice::new(11);
    for story in 0..300 {
        let bytes: Vec<u8> = (0..200)
            .map(|_| *dice.pick(b"abx \t\t\r\n\x1b[[mK013;\xe2\x9c\x93\xcc\x81\x9b").expect("there is one"))
            .collect();
        let dir = log(&bytes);
        let mut history = counted(dir.path());
        let pattern = Regex::new("x.?[ b]*").expect("a pattern");
        let expected = history.lines(0, 999).expect("lines").into_iter().find_map(|line| {
            let at = pattern.find(&line.text())?.range();
            Some(Searched::Found { line: line.number, at })
        });
        let found = history.search(&pattern, 0, Direction::Forward, usize::MAX).expect("searched");
        assert_eq!(found, expected.unwrap_or(Searched::No), "story {story}");
    }
}

#[test]
fn what_is_dropped_from_a_capped_log_keeps_its_numbers() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut writer = Writer::new(open_run_dir(dir.path()).expect("a directory"), 32 * 1024);
    let now = Stamp { offset: 0, boottime_ms: 1, wall_ms: 1, rows: 24, cols: 80 };
    let mut write = |range: std::ops::Range<u32>| {
        range.for_each(|n| writer.append(format!("line {n:06}\r\n").as_bytes(), now));
    };
    write(0..4_000);
    let mut history = counted(dir.path());
    assert_eq!(history.count(), 4_000, "nothing is left out yet");
    write(4_000..20_000);
    while !history.step(1 << 20).expect("counted") {}
    let kept = |history: &mut History| {
        let lines = history.lines(0, usize::MAX).expect("lines");
        assert_eq!(lines.len() as u64, history.count());
        assert!(lines.iter().enumerate().all(|(at, line)| line.number == at as u64));
        lines
    };
    let lines = kept(&mut history);
    let gone = lines.iter().filter(|line| line.text().contains("bytes of output are left out")).count();
    assert!(gone > 1_000, "{gone} lines are gone");
    assert_eq!(lines[0].text(), "line 000000");
    assert_eq!(lines[lines.len() - 1].text(), "line 019999");
    // Whoever counts only now has one line for all of it.
    let fresh = kept(&mut counted(dir.path()));
    assert_eq!(fresh.iter().filter(|line| line.text().contains("left out")).count(), 1);
    // Lines that are there have the numbers that they had, from wherever they are read.
    write(20_000..21_000);
    while !history.step(1 << 20).expect("counted") {}
    for (at, line) in lines.iter().enumerate().step_by(97) {
        let now = texts(&mut history, at as u64, 1);
        assert!(now == [line.text()] || now[0].contains("left out"), "line {at}: {now:?}, was {:?}", line.text());
    }
    let end = Regex::new("line 020999").expect("a pattern");
    let last = history.count() - 1;
    assert_eq!(
        history.search(&end, 0, Direction::Forward, usize::MAX).expect("searched"),
        Searched::Found { line: last, at: 0..11 }
    );
}

#[test]
fn coloured_pieces_together_are_the_plain_line() {
    let mut dice = Dice::new(9);
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..dice.below(40))
            .map(|_| *dice.pick(b"ab \t\r\x08\x1b[[mmK0123457;:8C\xe2\x9c\x93\x9b\xc2\xad").expect("there is one"))
            .collect();
        let pieces: String = plain::inked(&bytes).into_iter().map(|(text, _)| text).collect();
        assert_eq!(pieces, plain::line(&bytes), "{}", bytes.escape_ascii());
    }
}

#[test]
fn colours_are_read_in_every_way_they_are_written() {
    use dogwatch::gauge::plain::{Hue, Ink};
    let plain = Ink::default();
    let table: &[(&str, Ink)] = &[
        ("31", Ink { fg: Hue::Palette(1), ..plain }),
        ("97;100", Ink { fg: Hue::Palette(15), bg: Hue::Palette(8), ..plain }),
        ("38;5;208", Ink { fg: Hue::Palette(208), ..plain }),
        ("38:5:208", Ink { fg: Hue::Palette(208), ..plain }),
        ("48;2;1;2;3", Ink { bg: Hue::Rgb(1, 2, 3), ..plain }),
        ("48:2:1:2:3", Ink { bg: Hue::Rgb(1, 2, 3), ..plain }),
        ("48:2::1:2:3", Ink { bg: Hue::Rgb(1, 2, 3), ..plain }),
        (
            "38;2;255;255;255;48;2;100;100;100",
            Ink { fg: Hue::Rgb(255, 255, 255), bg: Hue::Rgb(100, 100, 100), ..plain },
        ),
        ("1;4:3", Ink { marks: Ink::BOLD | Ink::UNDERLINE, ..plain }),
        ("1;3;7;22;23;27", plain),
        ("4;4:0", plain),
        ("31;0", plain),
        ("31;", plain),
        // What is broken or hides is not taken.
        ("38;5;999", plain),
        ("38", plain),
        ("8", plain),
    ];
    for (sequence, ink) in table {
        let pieces = plain::inked(format!("\x1b[{sequence}mx").as_bytes());
        assert_eq!(pieces, [("x".to_owned(), *ink)], "{sequence}");
    }
}
