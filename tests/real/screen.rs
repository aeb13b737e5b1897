//! The operator's screen on a real terminal with a real engine: driven by keys, its output decoded by another emulator, and
//! the terminal afterwards as it was before.

#![expect(clippy::unwrap_used, reason = "what cannot be set up ends the test")]

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{Termios, tcgetattr};

use crate::desk::{Desk, Terminal};

/// One step that talks, and waits for `go`.
const TALK: &str = "[steps.a]\nrun = \"echo ready; read word; echo heard $word; echo $word > heard; \
                    while [ ! -e go ]; do sleep 0.05; done\"\n[steps.b]\nneeds = [\"a\"]\nrun = \"echo after\"\n";

/// What of a terminal's modes can be compared.
fn modes(terminal: &Terminal) -> String {
    words(&tcgetattr(&terminal.slave).unwrap())
}

fn words(modes: &Termios) -> String {
    format!(
        "{:?} {:?} {:?} {:?} {:?}",
        modes.input_modes, modes.output_modes, modes.control_modes, modes.local_modes, modes.special_codes
    )
}

/// The private modes that were set and not taken back, the cursor, the screen.
fn left_on(raw: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(raw);
    let mut on = std::collections::BTreeSet::new();
    for piece in text.split("\u{1b}[?").skip(1) {
        let end = piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len());
        match (&piece[..end], piece[end..].chars().next()) {
            (mode, Some('h')) => _ = on.insert(mode.to_owned()),
            (mode, Some('l')) => _ = on.remove(mode),
            _ => {}
        }
    }
    // The cursor is on in a terminal that nobody changed.
    if !on.remove("25") && text.contains("\u{1b}[?25l") {
        on.insert("no cursor".into());
    }
    on.into_iter().collect()
}

/// The child that `setsid` started: the screen itself.
fn screen_of(terminal: &Terminal) -> Pid {
    let pid = terminal.child.id();
    let children = format!("/proc/{pid}/task/{pid}/children");
    let inner = std::fs::read_to_string(children).unwrap_or_default();
    let pid = inner.split_whitespace().next().map_or(pid, |child| child.parse().unwrap());
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

#[test]
fn a_step_is_typed_into_and_let_go_and_leaving_stops_nothing() {
    let desk = Desk::new();
    desk.write("talk", TALK);
    let mut terminal = desk.on_terminal(&["run"]);
    let before = words(&terminal.found);
    terminal.runs("ready");
    terminal.shows("talk #1");
    assert!(terminal.is_raw() && !terminal.cursor_visible(), "the cursor is hidden but while typing");
    terminal.press("a");
    terminal.shows("▓▓ ATTACHED ▓▓ you are typing into a");
    terminal.press("hello\r");
    terminal.shows("heard hello");
    assert!(terminal.cursor_visible(), "the terminal's own cursor is one of the four signs");
    desk.wait_file("heard");
    terminal.press("\u{1d}");
    terminal.shows("let go of a after");
    terminal.shows("6 keys sent");
    // Everything else goes to the program: what was typed after letting go went nowhere.
    terminal.press("q");
    terminal.ends(130);
    assert_eq!(modes(&terminal), before);
    assert_eq!(left_on(&terminal.raw), Vec::<String>::new(), "{:?}", terminal.shown);
    assert_eq!(desk.read("heard"), "hello\n");
    assert!(terminal.shown.contains("talk #1 goes on"), "{}", terminal.shown);
    std::fs::write(desk.project().join("go"), "").unwrap();
    desk.run(&["wait", "talk"]).ends(0);
    // A run that is over: leaving its screen tells how it ended.
    let mut terminal = desk.on_terminal(&["ui", "talk"]);
    terminal.shows("succeeded");
    terminal.press("q");
    terminal.ends(0);
}

#[test]
fn a_shell_beside_a_step_reaches_its_programs_with_every_key() {
    let desk = Desk::new();
    desk.write("beside", TALK);
    let mut terminal = desk.on_terminal(&["run"]);
    terminal.shows("ready");
    terminal.press("s");
    terminal.shows("you are typing beside a");
    // Every byte that a key can send, but the one that lets go: cat -v shows what arrived.
    // What it says before it listens does not stand in the line that is typed.
    let listens = "stty -ixon raw -echo; printf 'listen%s' ing; dd bs=1 count=6 2>/dev/null | od -An -tx1; stty sane\r";
    terminal.press(listens);
    terminal.shows("listening");
    terminal.press("\u{2}\u{1b}x\u{3}\u{1a}z");
    terminal.shows("02 1b 78 03 1a 7a");
    terminal.press("exit\r");
    terminal.shows("the shell beside a has ended");
    std::fs::write(desk.project().join("go"), "").unwrap();
    // What is typed with the line that ends the shell is for nobody.
    let left = crate::house::within(60_000, || {
        terminal.press("q");
        crate::house::within(2_000, || {
            terminal.read();
            terminal.child.try_wait().expect("its state").is_some()
        })
    });
    assert!(left, "it cannot be left:\n{}", terminal.picture());
}

#[test]
fn the_terminal_is_left_as_it_was_by_every_signal_and_by_panics() {
    let desk = Desk::new();
    desk.write("leave", TALK);
    desk.run(&["run", "--detach"]).ends(0);
    let mut faults = 0;
    for signal in [Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT] {
        let mut terminal = desk.on_terminal(&["ui", "leave"]);
        let before = words(&terminal.found);
        terminal.shows("leave #1");
        kill_process(screen_of(&terminal), signal).unwrap();
        terminal.ends(130);
        assert_eq!((modes(&terminal), left_on(&terminal.raw)), (before, Vec::new()), "{signal:?}");
        faults += 1;
    }
    for place in ["screen.draw:3", "screen.input"] {
        let mut terminal = desk.on_terminal_with(&["ui", "leave"], &[("DOGWATCH_PANIC", place)]);
        let before = words(&terminal.found);
        terminal.press("j");
        terminal.ends_somehow();
        assert_eq!((modes(&terminal), left_on(&terminal.raw)), (before, Vec::new()), "{place}");
        assert!(terminal.shown.contains("panicked") || terminal.shown.contains("defect"), "{}", terminal.shown);
        faults += 1;
    }
    assert_eq!(faults, 6);
    let said = desk.run(&["status", "leave", "--json"]).ends(0);
    assert!(said.out.contains("\"state\":\"running\""), "{}", said.out);
    std::fs::write(desk.project().join("go"), "").unwrap();
}

#[test]
fn a_stopped_screen_comes_back_whole() {
    let desk = Desk::new();
    desk.write("stop", TALK);
    desk.run(&["run", "--detach"]).ends(0);
    let mut terminal = desk.on_terminal(&["ui", "stop"]);
    terminal.shows("stop #1");
    let screen = screen_of(&terminal);
    kill_process(screen, Signal::TSTP).unwrap();
    let stopped = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", screen.as_raw_nonzero())).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    };
    crate::keeper::until("the screen stands still", || {
        terminal.read();
        stopped()
    });
    assert!(!terminal.is_raw(), "the shell has its terminal back");
    assert_eq!(left_on(&terminal.raw), Vec::<String>::new());
    kill_process(screen, Signal::CONT).unwrap();
    terminal.until("the screen is back", |picture| picture.contains("stop #1"));
    assert!(terminal.is_raw());
    std::fs::write(desk.project().join("go"), "").unwrap();
    terminal.press("q");
    terminal.ends_somehow();
}

#[test]
fn storms_of_sizes_break_nothing() {
    let desk = Desk::new();
    desk.write("sizes", TALK);
    desk.run(&["run", "--detach"]).ends(0);
    let mut terminal = desk.on_terminal(&["ui", "sizes"]);
    terminal.shows("sizes #1");
    let sizes =
        [(0, 0), (1, 1), (65535, 1), (1, 65535), (2, 2), (65535, 65535), (3, 500), (200, 60), (40, 12), (0, 24)];
    let mut sent = 0;
    for round in 0..5 {
        for (columns, rows) in sizes {
            terminal.resize(columns, rows);
            terminal.read();
            if round == 2 {
                terminal.press("a");
            } else if round == 3 {
                terminal.press("\u{1d}z");
            }
            sent += 1;
        }
    }
    assert_eq!(sent, 50);
    terminal.press("\u{1d}");
    terminal.resize(120, 40);
    terminal.shows("sizes #1");
    std::fs::write(desk.project().join("go"), "").unwrap();
    // What is typed in one go with the key that lets go is for nobody; who sees that it is still there types again.
    let left = crate::house::within(60_000, || {
        terminal.press("q");
        crate::house::within(500, || {
            terminal.read();
            terminal.child.try_wait().expect("its state").is_some()
        })
    });
    assert!(left, "it cannot be left:\n{}", terminal.picture());
    terminal.ends_somehow();
    assert_eq!(left_on(&terminal.raw), Vec::<String>::new());
}

#[test]
fn who_is_attached_while_the_engine_dies_goes_on_and_types_no_commands_when_the_step_ends() {
    let desk = Desk::new();
    desk.write("lost", TALK);
    desk.run(&["run", "--detach"]).ends(0);
    let mut terminal = desk.on_terminal(&["ui", "lost"]);
    terminal.runs("ready");
    terminal.press("a");
    terminal.shows("▓▓ ATTACHED ▓▓ you are typing into a");
    terminal.press("hel");
    terminal.until("the step echoes it", |picture| picture.lines().any(|line| line.starts_with("┃hel ")));
    desk.kill_engine();
    terminal.shows("the engine is back: you type into a again");
    terminal.press("lo\r");
    terminal.shows("heard hello");
    std::fs::write(desk.project().join("go"), "").unwrap();
    terminal.shows("You do not type into a any more.");
    terminal.press("pX");
    terminal.shows("2 keys went nowhere.");
    terminal.press("\u{1d}");
    terminal.until("it is left", |picture| !picture.contains("LET GO"));
    let said = desk.run(&["status", "lost", "--json"]).ends(0);
    assert!(said.out.contains("\"paused\":false"), "{}", said.out);
    terminal.press("q");
    terminal.ends_somehow();
    assert_eq!(desk.read("heard"), "hello\n");
}

#[test]
fn the_first_answer_after_the_engine_was_started_anew_is_taken() {
    let desk = Desk::new();
    desk.write("anew", "[steps.a]\nrun = \"[ -e go ]\"\n");
    desk.run(&["run", "--detach"]);
    let mut terminal = desk.on_terminal(&["ui", "anew"]);
    terminal.shows("1 needs you");
    // The connection that asks was used before.
    terminal.press("p");
    terminal.shows("‖ paused");
    let mut faults = 0;
    for _ in 0..2 {
        desk.kill_engine();
        desk.run(&["engine", "start"]);
        faults += 1;
        terminal.shows("the engine is back");
        terminal.press("p");
        terminal.until("p is taken", |picture| picture.contains("‖ paused") == (faults % 2 == 0));
    }
    desk.kill_engine();
    desk.run(&["engine", "start"]);
    std::fs::write(desk.project().join("go"), "").unwrap();
    terminal.press("p");
    terminal.until("it goes on", |picture| !picture.contains("‖ paused"));
    terminal.press("n");
    terminal.shows("❯ 1 wait");
    crate::keeper::until("it is answered", || {
        terminal.press("2");
        terminal.read();
        terminal.picture().contains("u undoes")
    });
    terminal.shows("✓ succeeded");
    for words in ["before you ask again", "answer again"] {
        assert!(!terminal.shown.contains(words), "{words}: {}", terminal.shown);
    }
    assert_eq!(faults, 2);
    terminal.press("q");
    terminal.ends_somehow();
}

#[test]
fn the_first_key_after_a_change_of_the_size_acts() {
    let desk = Desk::new();
    desk.write("first", TALK);
    desk.run(&["run", "--detach"]).ends(0);
    let mut terminal = desk.on_terminal(&["ui", "first"]);
    terminal.shows("ready");
    let mut acted = 0;
    for round in 0..6 {
        terminal.resize(80 + round * 10, 24 + round);
        // The picture of that size is there: nobody is looking for keys any more.
        terminal.until("it fits", |picture| {
            picture.lines().nth(23 + usize::from(round)).is_some_and(|l| l.contains("more"))
        });
        let zoomed = terminal.picture().contains("┌ Waits");
        terminal.press("z");
        terminal.until("z acts", |picture| picture.contains("┌ Waits") != zoomed);
        acted += 1;
    }
    assert_eq!(acted, 6);
    terminal.press("q");
    terminal.ends(0);
}

#[test]
fn a_run_that_is_not_there_is_said_and_no_screen_opens() {
    let desk = Desk::new();
    let mut terminal = desk.on_terminal(&["ui", "talkk"]);
    terminal.ends_somehow();
    assert!(terminal.picture().contains("there is no run \"talkk\""), "{}", terminal.picture());
    assert!(!terminal.picture().contains("Steps"), "{}", terminal.picture());
}
