//! Panes on real terminals and real logs: what is typed and shown, sizes, ends, programs that read nothing or never stop, a
//! tmux client, and who is told that a log was written to.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use dogwatch::screen::{Live, Size, Watch, Work};
use dogwatch::spawn;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::keeper::until;

/// A program on a terminal of its own; ended when this is dropped.
struct Program {
    child: Child,
    live: Live,
}

impl Program {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let pty = spawn::open_pty(24, 80).expect("a terminal");
        let mut command = Command::new(program);
        command.args(arguments).env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8");
        spawn::on_terminal(&mut command, &pty).expect("it is prepared");
        let child = command.spawn().expect("it starts");
        let live = Live::new(pty.master, Size::new(24, 80)).expect("a pane");
        Self { child, live }
    }

    fn sh(script: &str) -> Self {
        Self::start("sh", &["-c", script])
    }

    fn text(&self) -> String {
        (0..self.live.grid().size().rows()).map(|row| self.live.grid().row_text(row) + "\n").collect()
    }

    fn shows(&mut self, text: &str) {
        let mut last = String::new();
        until(&format!("{text:?} is shown"), || {
            let _ = self.live.poll(&mut Work::of(1_000_000));
            last = self.text();
            last.contains(text)
        });
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_is_typed_reaches_the_program_and_what_it_prints_is_shown() {
    let mut program =
        Program::sh("printf 'name? '; read name; printf '\\033[31mhello %s\\033[m\\n' \"$name\"; sleep 60");
    program.shows("name?");
    assert!(program.live.write("Ada 東京\r".as_bytes()));
    program.shows("hello Ada 東京");
    assert!(!program.live.ended());
}

#[test]
fn a_program_is_told_its_size_and_every_change_of_it() {
    let script = "trap 'stty size' WINCH; stty size; while :; do sleep 60 & wait; done";
    let mut program = Program::sh(script);
    program.shows("24 80");
    program.live.resize(Size::new(30, 100)).expect("resized");
    program.shows("30 100");
    // Nothing below 2x2 reaches it.
    program.live.resize(Size::new(0, 0)).expect("resized");
    program.live.resize(Size::new(31, 101)).expect("resized");
    program.shows("31 101");
}

#[test]
fn the_last_picture_of_a_program_that_ended_stays() {
    let mut program = Program::sh("echo the last words");
    until("it has ended", || {
        let _ = program.live.poll(&mut Work::FRAME.clone());
        program.live.ended()
    });
    assert!(program.text().contains("the last words"));
    assert!(!program.live.write(b"x") && !program.live.wants_to_write());
    let polled = program.live.poll(&mut Work::FRAME.clone());
    assert!(!polled.changed && !polled.behind);
}

#[test]
fn a_program_that_reads_nothing_holds_up_only_what_is_typed_to_it() {
    let mut program = Program::sh("stty raw -echo; echo ready; sleep 60");
    program.shows("ready");
    let block = vec![b'x'; 64 * 1024];
    let mut taken = 0;
    while program.live.write(&block) {
        taken += block.len();
        assert!(taken < 8 * 1024 * 1024, "a program that reads nothing was sent {taken} bytes");
    }
    assert!(taken >= 1024 * 1024 - block.len(), "only {taken} bytes were kept");
    assert!(program.live.wants_to_write() && !program.live.ended());
    let _ = program.live.poll(&mut Work::FRAME.clone());
    assert!(program.live.wants_to_write());
}

#[test]
fn of_a_program_that_never_stops_each_look_takes_a_bounded_part() {
    let mut program = Program::sh("yes 0123456789abcdef");
    program.shows("0123456789abcdef");
    let mut behind = 0;
    for _ in 0..200 {
        let mut fds = [PollFd::from_borrowed_fd(program.live.fd(), PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 10, tv_nsec: 0 })).expect("it is polled");
        let mut work = Work::of(2_000);
        behind += usize::from(program.live.poll(&mut work).behind);
    }
    assert!(behind > 0, "a flood was never behind");
    assert!(program.live.write(b"\x03"));
    until("it has ended", || {
        let _ = program.live.poll(&mut Work::of(1_000_000));
        program.live.ended()
    });
}

#[test]
fn a_client_of_tmux_is_shown_with_wide_characters_lines_and_modes() {
    let dir = tempfile::Builder::new().prefix("dws").tempdir().expect("a directory");
    let socket = dir.path().join("t").display().to_string();
    let inner =
        "printf '東京 e\\314\\201 \\033(0lqk\\033(B \\033[35mcolour\\033[m\\n\\033[?2004h\\033[?1000h'; sleep 60";
    let mut program =
        Program::start("tmux", &["-u", "-S", &socket, "-f", "/dev/null", "new-session", "-s", "one", inner]);
    program.shows("東京 e\u{301} ┌─┐ colour");
    program.shows("[one]");
    let modes = program.live.grid().modes();
    assert!(modes.alternate_screen);
    until("the program's modes are known", || {
        let _ = program.live.poll(&mut Work::FRAME.clone());
        let modes = program.live.grid().modes();
        modes.bracketed_paste && modes.mouse.is_some()
    });
    program.live.resize(Size::new(10, 40)).expect("resized");
    program.shows("東京 e\u{301} ┌─┐ colour");
    let ended = Command::new("tmux").args(["-S", &socket, "kill-server"]).stderr(Stdio::null()).status();
    assert!(ended.expect("tmux").success());
    until("the client has ended", || {
        let _ = program.live.poll(&mut Work::FRAME.clone());
        program.live.ended()
    });
}

#[test]
fn only_logs_that_were_written_to_are_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut watch = Watch::new().expect("a watch");
    let place = |name: &str| dir.path().join(name);
    assert!(!watch.add(&place("a"), 1).expect("it is looked at"), "it is not there yet");
    for (name, number) in [("a", 1), ("b", 2), ("c", 3)] {
        std::fs::create_dir(place(name)).expect("a directory");
        assert!(watch.add(&place(name), number).expect("it is watched"));
    }
    assert!(watch.changed().is_empty());
    let mut log = std::fs::File::create(place("b").join("log")).expect("a log");
    for _ in 0..10_000 {
        log.write_all(b"x").expect("written");
    }
    std::fs::write(place("c").join("log"), "y").expect("written");
    let mut fds = [PollFd::from_borrowed_fd(watch.fd(), PollFlags::IN)];
    assert_eq!(poll(&mut fds, Some(&Timespec { tv_sec: 10, tv_nsec: 0 })), Ok(1));
    assert_eq!(watch.changed().into_iter().collect::<Vec<i32>>(), [2, 3]);
    watch.remove(2);
    log.write_all(b"x").expect("written");
    assert!(watch.changed().is_empty());
}
