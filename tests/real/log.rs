//! The log and the exit record against floods, full disks, slow views and forgers.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use dogwatch::attempt::log::{Log, Piece, Stamp, Writer, offset_at, read_stamps};
use dogwatch::attempt::{self, record};
use dogwatch::wire::keeper::Event;
use dogwatch::wire::shim::{End, Frame, Opening, Want, spoken};

use crate::keeper::{Keep, MAC_KEY, launch, now_ms, place, until};

fn tail(log: &mut Log, lines: usize) -> String {
    let from = log.tail_offset(lines).expect("an offset");
    String::from_utf8(log.read_all(from, usize::MAX).expect("the log")).expect("text")
}

#[test]
fn a_flood_keeps_its_first_and_last_half_and_a_marker() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    let half = 64 * 1024;
    let mut order = launch("a", "seq 1 300000; echo the unique last line");
    order.log_half = half;
    engine.launch(order);
    engine.wait_exited(&place("a"));
    let whole: String =
        (1..=300_000).fold(String::new(), |all, i| all + &i.to_string() + "\r\n") + "the unique last line\r\n";
    let mut log = Log::open(keep.dirfd(&place("a"))).expect("a log");
    assert_eq!(log.end(), whole.len() as u64);
    assert_eq!(keep.exit(&place("a")).expect("a record").log_bytes, whole.len() as u64);
    // What is there is what was printed, at the offset at which it was printed.
    let (mut offset, mut kept, mut gaps) = (0, Vec::new(), Vec::new());
    while let Some(piece) = log.read(offset, 10_000).expect("a piece") {
        offset = piece.next_offset();
        match piece {
            Piece::Bytes { offset, bytes } => {
                let at = usize::try_from(offset).expect("an offset");
                assert!(whole.as_bytes()[at..at + bytes.len()] == bytes, "other bytes at {offset}");
                kept.push((offset, bytes.len() as u64));
            }
            Piece::Gap { offset, len } => gaps.push((offset, len)),
        }
    }
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0].0, half);
    let last: u64 = kept.iter().filter(|(offset, _)| *offset > half).map(|(_, len)| len).sum();
    assert!((half..=2 * half).contains(&last), "{last} bytes of the end are kept");
    assert_eq!(tail(&mut log, 1), "the unique last line\r\n");
    assert_eq!(tail(&mut log, 3), "299999\r\n300000\r\nthe unique last line\r\n");
    let text = String::from_utf8(log.read_all(0, usize::MAX).expect("the log")).expect("text");
    assert!(text.contains(&format!("[dogwatch: {} bytes of output are left out here]\n", gaps[0].1)));
    // More lines than are kept: all of it, with the marker.
    assert_eq!(tail(&mut log, 400_000), text);
}

#[test]
fn a_tail_finds_lines_of_any_shape() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name);
    let open = || Log::open(attempt::open_run_dir(dir.path()).expect("a directory")).expect("a log");
    assert_eq!((open().end(), open().tail_offset(3).expect("an offset")), (0, 0));
    std::fs::write(path("log"), "one\ntwo\nthree").expect("a log");
    for (lines, wanted) in [(0, ""), (1, "three"), (2, "two\nthree"), (3, "one\ntwo\nthree"), (9, "one\ntwo\nthree")] {
        assert_eq!(tail(&mut open(), lines), wanted);
    }
    std::fs::write(path("log"), "one\ntwo\n\n").expect("a log");
    for (lines, wanted) in [(1, "\n"), (2, "two\n\n"), (3, "one\ntwo\n\n")] {
        assert_eq!(tail(&mut open(), lines), wanted);
    }
    // Across the border of two segments without a gap, and across one with.
    std::fs::write(path("log.9"), "thr").expect("a segment");
    assert_eq!(tail(&mut open(), 2), "\nthr");
    std::fs::remove_file(path("log.9")).expect("removed");
    std::fs::write(path("log.100"), "ee\nfour\n").expect("a segment");
    assert_eq!(tail(&mut open(), 1), "four\n");
    assert_eq!(tail(&mut open(), 2), "ee\nfour\n");
    // A line longer than a block of the search.
    std::fs::write(path("log.100"), format!("{}\nend", "x".repeat(300_000))).expect("a segment");
    assert_eq!(tail(&mut open(), 1), "end");
    assert_eq!(tail(&mut open(), 2).len(), 300_004);
}

#[test]
fn times_tell_what_was_printed_since() {
    let dir = tempfile::tempdir().expect("a directory");
    let fd = attempt::open_run_dir(dir.path()).expect("a directory");
    let mut writer = Writer::new(attempt::open_run_dir(dir.path()).expect("a directory"), 1 << 20);
    let at =
        |seconds: i64| Stamp { offset: 0, boottime_ms: seconds * 1000, wall_ms: seconds * 1000, rows: 40, cols: 120 };
    for second in 0..100 {
        writer.append(b"0123456789", at(second));
        // Less than a second later: no line of its own.
        writer.append(b"01234", Stamp { boottime_ms: second * 1000 + 500, ..at(second) });
    }
    let stamps = read_stamps(&fd).expect("the times");
    assert_eq!(stamps.len(), 100);
    assert_eq!((stamps[0].offset, stamps[99].offset, stamps[99].rows), (10, 99 * 15 + 10, 40));
    assert_eq!(
        (offset_at(&stamps, 0), offset_at(&stamps, 50_000), offset_at(&stamps, i64::MAX)),
        (0, 49 * 15 + 10, 99 * 15 + 10)
    );
}

/// A small file system of its own, or `None` where that is not permitted.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "dogwatch-test"])
            .arg(dir.path())
            .output();
        if mounted.is_ok_and(|done| done.status.success()) {
            return Some(Self(dir));
        }
        crate::keeper::skip("mounting a tmpfs is not permitted here");
        None
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.path().join("filler")).expect("a file");
        while file.write_all(&[0; 4096]).is_ok() {}
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_costs_output_but_neither_the_step_nor_its_exit() {
    let Some(disk) = Tmpfs::mount("1m") else { return };
    let keep = Keep::start_with(&[], Some(disk.0.path().join("run")));
    let mut engine = keep.connect();
    let go = keep.dir.path().join("go");
    let wait = |n: u8| format!("while [ ! -e {}{n} ]; do sleep 0.01; done", go.display());
    engine.launch(launch(
        "a",
        &format!(
            "echo before; {}; echo lost in between; echo full > {}done; {}; echo after; exit 6",
            wait(1),
            go.display(),
            wait(2)
        ),
    ));
    engine.launch(launch("b", &format!("{}; exit 5", wait(1))));
    until("the step has begun", || keep.log_text(&place("a")).contains("before"));
    until("the other one, too", || keep.path(&place("b")).join("claim").exists());
    disk.fill();
    // So full that the log, which has room left in its page, cannot grow either.
    let log = keep.path(&place("a")).join("log");
    let fill = vec![b'.'; 4096 - usize::try_from(std::fs::metadata(&log).expect("a log").len()).expect("a length")];
    std::fs::OpenOptions::new().append(true).open(&log).expect("a log").write_all(&fill).expect("room in the page");
    std::fs::write(keep.dir.path().join("go1"), "").expect("a sign");
    engine.wait_exited(&place("b"));
    assert_eq!(keep.exit(&place("b")).expect("a record").end, End::Code(5));
    until("the first step prints", || keep.dir.path().join("godone").exists());
    // A new one is refused, in words, and not begun.
    let dogwatch::wire::keeper::Outcome::Refused(why) =
        engine.ask(dogwatch::wire::keeper::Ask::Launch(Box::new(launch("c", "exit 0"))))
    else {
        let gone = engine.wait_for(|event| matches!(event, Event::ShimGone { key, .. } if *key == place("c").key));
        assert!(format!("{gone:?}").contains("No space left"), "{gone:?}");
        return finish(&keep, &mut engine, &disk);
    };
    assert!(why.contains("No space left"), "{why}");
    finish(&keep, &mut engine, &disk);
}

fn finish(keep: &Keep, engine: &mut crate::keeper::Engine, disk: &Tmpfs) {
    std::fs::remove_file(disk.0.path().join("filler")).expect("space again");
    std::fs::write(keep.dir.path().join("go2"), "").expect("a sign");
    engine.wait_exited(&place("a"));
    let record = keep.exit(&place("a")).expect("a record");
    assert_eq!((record.end, record.log_dropped_bytes), (End::Code(6), 17));
    let text = keep.log_text(&place("a"));
    assert!(text.contains("[dogwatch: 17 bytes of output are lost here: No space left on device"), "{text}");
    assert!(text.starts_with("before\r\n") && text.ends_with("after\r\n"), "{text}");
    // And a new one starts.
    engine.launch(launch("d", "exit 0"));
    engine.wait_exited(&place("d"));
}

/// A step that runs this once somebody looks at it who reads nothing until it has said "flood over"; then what was shown,
/// until it ends with `last`.
fn shown_late(keep: &Keep, engine: &mut crate::keeper::Engine, script: &str, last: &str) -> (UnixStream, String) {
    let go = keep.dir.path().join("go");
    let wait = format!("while [ ! -e {} ]; do sleep 0.01; done", go.display());
    engine.launch(launch("a", &format!("echo hello; {wait}; {script}")));
    engine.wait_for(|event| matches!(event, Event::Claimed { .. }));
    let socket = keep.dir.path().join("rt/s").join(place("a").key);
    // The file is there a moment before somebody listens at it.
    let mut view = None;
    until("the shim listens", || {
        view = UnixStream::connect(&socket).ok();
        view.is_some()
    });
    let mut view = view.expect("it was waited for");
    let mut byte = [0];
    while byte != *b"\n" {
        view.read_exact(&mut byte).expect("a greeting");
    }
    let opening = serde_json::to_string(&Opening { v: spoken().newest, want: Want::View }).expect("an opening");
    view.write_all(format!("{opening}\n").as_bytes()).expect("the shim reads");
    std::fs::write(&go, "").expect("a sign");
    until("the step is through although nobody reads", || {
        let mut log = Log::open(keep.dirfd(&place("a"))).expect("a log");
        tail(&mut log, 1).contains("flood over")
    });
    let (mut inbox, mut shown) = (Vec::new(), Vec::new());
    while !shown.ends_with(last.as_bytes()) {
        let mut block = vec![0; 65536];
        let read = view.read(&mut block).expect("the shim speaks");
        assert!(read > 0, "the shim closed the view");
        inbox.extend_from_slice(&block[..read]);
        while let Some((frame, bytes)) = Frame::take(&mut inbox).expect("a frame") {
            assert_eq!(frame, Frame::Output);
            shown.extend(bytes);
        }
    }
    (view, String::from_utf8(shown).expect("text"))
}

#[test]
fn a_view_that_does_not_read_costs_the_step_nothing_and_gets_a_fresh_picture_later() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    let script = "seq 1 400000; echo flood over; read line";
    let (mut view, text) = shown_late(&keep, &mut engine, script, "flood over\r\n");
    let reset = text.find("\u{1b}c").expect("it starts anew after it fell behind");
    assert!(text.len() < 2_000_000, "it was shown {} bytes", text.len());
    // The fresh picture begins with a whole line, and is the end of the log.
    let picture = &text[reset + 2..];
    assert!(keep.log_text(&place("a")).ends_with(&format!("\n{picture}")), "{picture}");
    view.write_all(&Frame::Input.of(b"over\n")).expect("the shim reads");
    engine.wait_exited(&place("a"));
    let mut ending = Vec::new();
    view.read_to_end(&mut ending).expect("the end");
    assert!(String::from_utf8_lossy(&ending).contains("[exited 0 after"), "{}", String::from_utf8_lossy(&ending));
}

/// What a view has lost of a program that has the screen to itself comes back: its screen and its modes at once, what it drew
/// before as soon as it draws anew, which it is asked for.
#[test]
fn a_view_that_fell_behind_a_program_that_draws_is_whole_again() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    let drawn = keep.dir.path().join("drawn");
    let script = format!(
        "printf '\\033[?1049h\\033[?1000h\\033[?2004h\\033[?25l\\033[?1h'; trap 'touch {0}' WINCH; seq 1 400000; echo flood \
         over; while [ ! -e {0} ]; do sleep 0.05; done; printf '\\033[?1h\\033[Hthe whole picture'; read line",
        drawn.display()
    );
    let (mut view, text) = shown_late(&keep, &mut engine, &script, "the whole picture");
    let reset = text.rfind("\u{1b}c").expect("it starts anew after it fell behind");
    let picture = &text[reset + 2..];
    let modes = "\u{1b}[?1049h\u{1b}[?1h\u{1b}[?25l\u{1b}[?1000h\u{1b}[?2004h";
    assert!(
        picture.starts_with(modes),
        "on its own screen, with its keys, mouse and paste: {}",
        picture.escape_debug()
    );
    view.write_all(&Frame::Input.of(b"over\n")).expect("the shim reads");
    engine.wait_exited(&place("a"));
}

fn is_tampered(dir: impl AsFd, key: &str) -> bool {
    matches!(record::read(dir, key, &MAC_KEY), Err(attempt::Error::Tampered { .. }))
}

#[test]
fn a_forged_record_is_never_taken_for_an_end() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    engine.launch(launch("a", "exit 3"));
    engine.launch(launch("b", "exit 0"));
    engine.wait_exited(&place("a"));
    engine.wait_exited(&place("b"));
    let (dir, key) = (keep.dirfd(&place("a")), place("a").key);
    let path = keep.path(&place("a")).join("exit.json");
    let honest = std::fs::read_to_string(&path).expect("a record");
    assert!(!is_tampered(&dir, &key));
    let plant = |make: &dyn Fn(&Path)| {
        let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir(&path));
        make(&path);
        is_tampered(&dir, &key)
    };
    let write = |text: String| move |path: &Path| std::fs::write(path, &text).expect("a file");
    assert!(plant(&write(honest.replace("{\"code\":3}", "{\"code\":0}"))), "another code");
    assert!(plant(&write(honest.replace("\"mac\":\"", "\"mac\":\"0"))), "another code of authentication");
    assert!(plant(&write(honest.replace(",\"mac\"", ",\"x\":1,\"mac\""))), "one more member");
    assert!(plant(&write(String::new())), "empty");
    assert!(plant(&write("{}".into())), "no record");
    assert!(plant(&write("[".repeat(60_000))), "deep nesting");
    assert!(plant(&write("\0".repeat(100_000))), "too long");
    assert!(plant(&write("é\"}".into())), "no code");
    let other = std::fs::read_to_string(keep.path(&place("b")).join("exit.json")).expect("a record");
    assert!(plant(&write(other)), "the record of another attempt");
    assert!(plant(&|path| std::os::unix::fs::symlink("/etc/passwd", path).expect("a link")), "a link");
    assert!(plant(&|path| std::fs::create_dir(path).expect("a directory")), "a directory");
    assert!(
        plant(&|path| assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo runs").success())),
        "a fifo"
    );
    assert!(!plant(&write(honest)), "the honest one is good again");
}

#[test]
fn planted_links_are_not_followed() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    let outside = keep.dir.path().join("outside");
    std::fs::write(&outside, "precious\n").expect("a file");
    let dir = keep.path(&place("a"));
    std::fs::create_dir_all(&dir).expect("a directory");
    for name in ["log", "log.times", "exit.json"] {
        std::os::unix::fs::symlink(&outside, dir.join(name)).expect("a link");
    }
    engine.launch(launch("a", "echo overwritten; exit 0"));
    engine.wait_exited(&place("a"));
    assert_eq!(std::fs::read_to_string(&outside).expect("a file"), "precious\n");
    // The rename took the link's place; the log could not be written, and that is told.
    let record = keep.exit(&place("a")).expect("a record");
    assert_eq!((record.end, record.log_bytes, record.log_dropped_bytes), (End::Code(0), 0, 13));
    assert!(
        Log::open(keep.dirfd(&place("a"))).expect("a log").read_all(0, 100).is_err(),
        "the reader does not follow it either"
    );
    // A claim that leads elsewhere is no claim of ours: nothing is started.
    let dir = keep.path(&place("b"));
    std::fs::create_dir_all(&dir).expect("a directory");
    std::os::unix::fs::symlink(keep.path(&place("a")).join("claim"), dir.join("claim")).expect("a link");
    assert!(matches!(
        engine.ask(dogwatch::wire::keeper::Ask::Launch(Box::new(launch("b", "exit 0")))),
        dogwatch::wire::keeper::Outcome::Refused(_)
    ));
    assert!(!dir.join("log").exists());
}

#[test]
fn a_long_stop_can_be_shortened() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    engine.launch(launch("a", "trap '' TERM; echo ready; while :; do sleep 0.01; done"));
    until("the step is ready", || {
        keep.path(&place("a")).join("log").exists() && keep.log_text(&place("a")).contains("ready")
    });
    let asked = now_ms();
    engine.stop(&place("a"), 600_000);
    engine.stop(&place("a"), 0);
    engine.wait_exited(&place("a"));
    assert!(now_ms() - asked < 5_000);
    assert_eq!(keep.exit(&place("a")).expect("a record").end, End::Signal(9));
}

#[test]
fn a_record_that_the_disk_refuses_is_tried_again_until_it_is_there() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    let path = keep.path(&place("a")).join("exit.json");
    // A directory in the record's place refuses the rename, as a broken disk would.
    std::fs::create_dir_all(&path).expect("a directory");
    engine.launch(launch("a", "echo over; exit 8"));
    until("the step is over", || {
        let stamps = read_stamps(keep.dirfd(&place("a"))).expect("the times");
        !stamps.is_empty() && keep.log_text(&place("a")) == "over\r\n"
    });
    let found = engine.look_up(&place("a"));
    assert!(found.held, "{found:?}");
    assert!(
        !engine.events.iter().any(|event| matches!(event, Event::Exited { .. })),
        "it was told before it was there"
    );
    std::fs::remove_dir(&path).expect("removed");
    engine.wait_exited(&place("a"));
    assert_eq!(keep.exit(&place("a")).expect("a record").end, End::Code(8));
}
