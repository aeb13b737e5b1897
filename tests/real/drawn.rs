//! Programs that draw their screen themselves, looked at by somebody who does not attach: with ncurses, a real engine, a
//! real tmux and a real screen.

#![expect(clippy::unwrap_used, reason = "what cannot be set up ends the test")]

use crate::desk::{Desk, Terminal};
use crate::keeper::until;

/// Draws 40 rows once, then one of them so often that the rest is far back in the log. `e` ends the drawing, `q` the
/// program; changes of its size are written down.
const DRAW: &str = r#"
import curses, os
os.environ["TERM"] = "xterm-256color"
def drawn(screen):
    curses.curs_set(0)
    for row in range(curses.LINES):
        screen.addstr(row, 0, f"row {row:02} of a picture")
    screen.refresh()
    # Slow enough for every view: one that falls behind loses what came before.
    curses.napms(1000)
    size = 0
    while size < 3_000_000:
        for number in range(500):
            screen.addstr(5, 30, f"{number:05}" * 8)
            screen.refresh()
            size += 50
        curses.napms(20)
    open("drawn", "w").close()
    while True:
        key = screen.getch()
        if key == curses.KEY_RESIZE:
            open("sizes", "a").write(f"{curses.LINES} {curses.COLS}\n")
        if key == ord("n"):
            screen.addstr(9, 0, "the next picture    ")
        if key == ord("e"):
            return
curses.wrapper(drawn)
print("plain again: " + "a line that is longer than the pane is wide " * 2 + "and ends here")
open("plain", "w").close()
while os.read(0, 1) not in (b"q", b""):
    pass
"#;

const STEPS: &str = "[steps.draw]\nrun = \"PATH=/usr/bin:$PATH python3 draw.py\"\n[steps.other]\nrun = \"echo nothing \
                     to see; while [ ! -e go ]; do sleep 0.05; done\"\n";

/// tmux clients of this desk's environments.
fn clients(desk: &Desk) -> usize {
    let run = status(desk)["line"]["id"].as_str().unwrap().to_owned();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| {
            let line = String::from_utf8_lossy(line);
            line.contains("attach-session") && line.contains(&format!("=dw-{run}-"))
        })
        .count()
}

fn status(desk: &Desk) -> serde_json::Value {
    serde_json::from_str(desk.run(&["status", "--json"]).out.lines().next().unwrap_or_default()).unwrap_or_default()
}

fn clients_are(desk: &Desk, terminal: &mut Terminal, count: usize) {
    until(&format!("{count} tmux clients"), || {
        terminal.read();
        clients(desk) == count
    });
}

#[test]
fn a_picture_that_was_drawn_long_ago_is_whole_and_who_looks_changes_nothing() {
    let desk = Desk::new();
    std::fs::write(desk.project().join("draw.py"), DRAW).unwrap();
    desk.write("drawn", STEPS);
    desk.run(&["run", "--detach"]).ends(0);
    desk.wait_file("drawn");
    let mut terminal = desk.on_terminal_of(&["ui", "drawn"], 100, 30);
    terminal.shows("drawn #1");
    terminal.press("g");
    // Rows that stand megabytes before the end of the log.
    terminal.shows("row 02 of a picture");
    assert_eq!(clients(&desk), 1);
    assert!(terminal.picture().contains("row 03 of a picture"), "{}", terminal.picture());
    terminal.press("z");
    terminal.shows("row 20 of a picture");
    terminal.shows("part of 120x40");
    desk.run(&["send", "drawn", "draw", "--no-enter", "n"]).ends(0);
    terminal.shows("the next picture");
    assert_eq!(desk.read("sizes"), "", "who looks on has resized it");
    assert!(status(&desk)["steps"][0]["attached"].is_null(), "who looks on has taken the lease");
    // Not selected, not looked at.
    terminal.press("z");
    terminal.press("j");
    terminal.shows("nothing to see");
    clients_are(&desk, &mut terminal, 0);
    terminal.press("k");
    terminal.shows("row 03 of a picture");
    assert_eq!(clients(&desk), 1);
    terminal.press("a");
    terminal.shows("ATTACHED");
    until("attaching resizes it", || {
        terminal.read();
        !desk.read("sizes").is_empty()
    });
    terminal.press("\u{1d}");
    terminal.shows("let go of draw");
    terminal.shows("row 03 of a picture");
    clients_are(&desk, &mut terminal, 1);
    // Plain again: its lines are wrapped, as those of every log.
    desk.run(&["send", "drawn", "draw", "--no-enter", "e"]).ends(0);
    desk.wait_file("plain");
    terminal.shows("longer than the pane is");
    terminal.shows("ends here");
    clients_are(&desk, &mut terminal, 0);
    std::fs::write(desk.project().join("go"), "").unwrap();
    desk.run(&["send", "drawn", "draw", "q"]).ends(0);
    desk.run(&["wait", "drawn"]).ends(0);
    terminal.shows("succeeded");
    terminal.press("q");
    terminal.ends(0);
}

#[test]
fn a_step_that_is_looked_at_ends_as_it_would_and_the_screen_stays() {
    let desk = Desk::new();
    std::fs::write(desk.project().join("draw.py"), DRAW.replace("3_000_000", "1000")).unwrap();
    desk.write("ends", STEPS);
    std::fs::write(desk.project().join("go"), "").unwrap();
    desk.run(&["run", "--detach"]).ends(0);
    desk.wait_file("drawn");
    let mut terminal = desk.on_terminal(&["ui", "ends"]);
    terminal.shows("row 02 of a picture");
    clients_are(&desk, &mut terminal, 1);
    desk.run(&["send", "ends", "draw", "--no-enter", "eq"]).ends(0);
    desk.run(&["wait", "ends"]).ends(0);
    terminal.shows("succeeded");
    terminal.shows("ends here");
    assert_eq!(clients(&desk), 0);
    terminal.press("q");
    terminal.ends(0);
}
