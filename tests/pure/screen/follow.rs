//! Passive panes: the end of a log that is being written, capped, flooded, or not there yet.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use dogwatch::attempt::log::{Stamp, Writer};
use dogwatch::attempt::open_run_dir;
use dogwatch::screen::{Glance, Polled, Size, Tail, Work};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

fn append(dir: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().create(true).append(true).open(dir.join("log")).expect("a log");
    file.write_all(bytes).expect("written");
}

fn poll(tail: &mut Tail) -> Polled {
    tail.poll(&mut Work::of(1_000_000)).expect("it is read")
}

fn shown(tail: &Tail, width: u16, height: u16) -> Vec<String> {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    tail.paint(area, &mut buffer);
    super::rows(&buffer).into_iter().map(|row| row.trim_end().to_owned()).collect()
}

#[test]
fn an_attempt_without_a_log_is_an_empty_pane_until_there_is_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let place = dir.path().join("a1");
    let (mut tail, mut glance) = (Tail::new(&place), Glance::new(&place));
    assert_eq!(poll(&mut tail), Polled::default());
    assert_eq!(glance.poll(3).expect("it is looked at"), None);
    std::fs::create_dir(&place).expect("a directory");
    assert_eq!(poll(&mut tail), Polled::default());
    append(&place, b"hello\r\n");
    assert_eq!(poll(&mut tail), Polled { changed: true, behind: false });
    assert_eq!(poll(&mut tail), Polled::default());
    append(&place, b"\x1b[31mwor");
    append(&place, b"ld");
    assert!(poll(&mut tail).changed);
    assert_eq!(shown(&tail, 20, 3), ["hello", "world", ""]);
    assert_eq!(tail.last_lines(9).expect("lines"), ["hello", "world"]);
    assert_eq!(tail.last_rows(1), ["world"]);
    assert_eq!(glance.poll(1).expect("it is looked at"), Some(vec!["world".into()]));
    assert_eq!(glance.poll(1).expect("it is looked at"), None);
}

#[test]
fn a_pane_begins_near_the_end_where_a_line_begins() {
    let dir = tempfile::tempdir().expect("a directory");
    let all: String = (0..100_000).map(|n| format!("line {n} ✓\r\n")).collect::<Vec<_>>().concat();
    append(dir.path(), all.as_bytes());
    let mut tail = Tail::new(dir.path());
    while poll(&mut tail).behind {}
    assert_eq!(shown(&tail, 20, 2), ["line 99998 ✓", "line 99999 ✓"]);
    assert_eq!(shown(&tail, 20, 40)[0], "line 99961 ✓");
    let read = all.len() as u64 - tail.left_out();
    assert!((60_000..70_000).contains(&read), "{read} bytes were taken in");
}

#[test]
fn a_line_without_an_end_is_begun_where_nothing_is_cut_in_two() {
    let dir = tempfile::tempdir().expect("a directory");
    append(dir.path(), "\x1b[32m█\x1b[m".repeat(100_000).as_bytes());
    let mut tail = Tail::new(dir.path());
    while poll(&mut tail).behind {}
    let row = &shown(&tail, 10, 1)[0];
    assert!(row.chars().all(|c| c == '█') && !row.is_empty(), "{row:?}");
    // All of it, not a part of a sequence.
    assert!(tail.last_rows(1)[0].chars().all(|c| c == '█'), "{:?}", tail.last_rows(1));
}

#[test]
fn a_flood_is_left_out_and_its_end_is_shown() {
    let dir = tempfile::tempdir().expect("a directory");
    append(dir.path(), b"begin\r\n");
    let mut tail = Tail::new(dir.path());
    assert!(poll(&mut tail).changed);
    let flood: String =
        (0..400_000).map(|n| format!("\x1b[3{}mflood {n}\x1b[m\r\n", n % 8)).collect::<Vec<_>>().concat();
    append(dir.path(), flood.as_bytes());
    let mut work = Work::of(1_000_000);
    let polled = tail.poll(&mut work).expect("it is read");
    assert_eq!(polled, Polled { changed: true, behind: false });
    assert!(work.left(), "a flood of {} bytes cost a million units", flood.len());
    assert_eq!(shown(&tail, 20, 1), ["flood 399999"]);
    assert!(tail.left_out() > flood.len() as u64 * 9 / 10, "{} left out", tail.left_out());
    // A little more than can be drawn at once is all taken in.
    let before = tail.left_out();
    append(dir.path(), &flood.as_bytes()[..200_000]);
    while poll(&mut tail).behind {}
    assert_eq!(tail.left_out(), before);
}

#[test]
fn a_pane_that_gets_no_work_says_that_it_is_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    append(dir.path(), &b"0123456789".repeat(1000));
    let mut tail = Tail::new(dir.path());
    assert_eq!(tail.poll(&mut Work::of(0)).expect("it is read"), Polled { changed: false, behind: true });
    let mut polls = 0;
    while tail.poll(&mut Work::of(1000)).expect("it is read").behind {
        polls += 1;
    }
    assert!((9..=10).contains(&polls), "{polls} polls");
}

#[test]
fn a_full_screen_program_that_began_long_ago_is_still_one() {
    let dir = tempfile::tempdir().expect("a directory");
    append(dir.path(), b"before\r\n\x1b[?1049h\x1b[2J");
    let frame = format!("\x1b[H{}", (1..=40).map(|n| format!("\x1b[{n};1Hrow {n}\x1b[K")).collect::<Vec<_>>().concat());
    append(dir.path(), frame.repeat(250).as_bytes());
    let mut tail = Tail::new(dir.path());
    while poll(&mut tail).behind {}
    assert!(tail.grid().modes().alternate_screen);
    append(dir.path(), b"\x1b[?1049lafter\r\n");
    assert!(poll(&mut tail).changed);
    assert!(!tail.grid().modes().alternate_screen);
}

#[test]
fn a_capped_log_says_what_is_missing_and_dropped_segments_do_not_matter() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut writer = Writer::new(open_run_dir(dir.path()).expect("a directory"), 64 * 1024);
    let now = Stamp { offset: 0, boottime_ms: 1, wall_ms: 1, rows: 30, cols: 100 };
    let mut tail = Tail::new(dir.path());
    let mut gaps = 0;
    for n in 0..40_000 {
        writer.append(format!("line {n}\r\n").as_bytes(), now);
        if n % 5_000 == 4_999 {
            while poll(&mut tail).behind {}
            assert_eq!(shown(&tail, 20, 1), [format!("line {n}")]);
        }
    }
    assert_eq!(tail.grid().size(), Size::new(30, 100));
    // One that reads slowly meets the gap: more than a flood leaves out is not asked of it.
    let mut slow = Tail::new(dir.path());
    assert!(slow.poll(&mut Work::of(100)).expect("it is read").behind);
    for n in 0..20_000 {
        writer.append(format!("more {n}\r\n").as_bytes(), now);
        if n % 1_000 == 999 {
            assert!(slow.poll(&mut Work::of(2_000)).expect("it is read").changed);
            gaps +=
                usize::from(slow.last_rows(40).iter().any(|row| row.contains("bytes of output are left out here]")));
        }
    }
    while poll(&mut slow).behind {}
    assert_eq!(shown(&slow, 20, 1), ["more 19999"]);
    assert!(gaps <= 20);
}

#[test]
fn the_gap_of_a_capped_log_is_shown_where_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    append(dir.path(), b"first half\x1b[31");
    std::fs::write(dir.path().join("log.5000"), b"second half\r\n").expect("a segment");
    let mut tail = Tail::new(dir.path());
    assert!(poll(&mut tail).changed);
    let gap = format!("[dogwatch: {} bytes of output are left out here]", 5000 - 14);
    assert_eq!(shown(&tail, 70, 4), ["first half", &gap, "second half", ""]);
}

#[test]
fn a_log_that_lost_its_end_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    append(dir.path(), b"one\r\n[half a mark");
    let mut tail = Tail::new(dir.path());
    assert!(poll(&mut tail).changed);
    let file = OpenOptions::new().write(true).open(dir.path().join("log")).expect("a log");
    file.set_len(5).expect("cut");
    assert_eq!(poll(&mut tail), Polled::default());
    append(dir.path(), b"two\r\n");
    assert!(poll(&mut tail).changed);
}

#[test]
fn a_pane_has_the_size_of_the_steps_terminal() {
    let dir = tempfile::tempdir().expect("a directory");
    append(dir.path(), b"x");
    let mut tail = Tail::new(dir.path());
    assert!(poll(&mut tail).changed);
    assert_eq!(tail.grid().size(), Size::new(40, 120));
    std::fs::write(dir.path().join("log.times"), "1 5 5 40 120\n1 6 6 50 200\n2 7 7 1").expect("times");
    append(dir.path(), b"y");
    assert!(poll(&mut tail).changed);
    assert_eq!(tail.grid().size(), Size::new(50, 200));
    std::fs::write(dir.path().join("log.times"), "1 5 5 0 65535\n").expect("times");
    append(dir.path(), b"z");
    assert!(poll(&mut tail).changed);
    assert_eq!(tail.grid().size(), Size::new(2, 1000));
}
