//! Attaching to a step that is being started: on the screen and on the command line it is waited for, not refused.

#![expect(clippy::unwrap_used, reason = "what cannot be set up ends the test")]

use crate::desk::{Desk, Terminal};

/// Says back what it is told.
const TALKS: &str =
    "[steps.talk]\nrun = \"echo ready; while read line; do echo got $line; [ $line = end ] && exit 0; done\"\n";

/// A run whose step is being started until [`go`]: its shim stands still before it has claimed the attempt.
fn starting() -> Desk {
    let desk = Desk::new();
    desk.write("talks", TALKS);
    let mut run = desk.command(&["run", "--detach"]);
    run.env("DOGWATCH_CRASH", "shim.before-claim-rename").env("DOGWATCH_CRASH_HOLD", "1");
    run.env("DOGWATCH_CRASH_ONCE", desk.project().join("held"));
    assert!(run.output().unwrap().status.success());
    desk.wait_file("held");
    desk
}

fn go(desk: &Desk) {
    std::fs::write(desk.project().join("held.go"), "").unwrap();
}

#[test]
fn it_is_attached_to_on_the_screen_as_soon_as_it_runs() {
    let desk = starting();
    let mut ann = desk.on_terminal(&["ui", "talks"]);
    ann.shows("starting");
    ann.press("a");
    ann.shows("attaching to talk as soon as it starts");
    // Esc cancels, and what is pressed then is a command again.
    ann.press("\u{1b}");
    ann.shows("not attached to talk");
    ann.press("J");
    ann.shows("Journal");
    ann.press("1");
    ann.shows("Steps");
    ann.press("aone\r");
    ann.shows("(4 keys so far)");
    go(&desk);
    ann.shows("▓▓ ATTACHED ▓▓ you are typing into talk");
    ann.shows("got one");
    ann.press("end\r");
    ann.shows("got end");
    ann.press("\u{1d}");
    ann.until("it is over", |picture| picture.contains("succeeded") && !picture.contains("ATTACHED"));
    ann.press("q");
    ann.ends(0);
}

#[test]
fn it_is_attached_to_on_the_command_line_as_soon_as_it_runs() {
    let desk = starting();
    let attach = |words: &[&str]| -> Terminal {
        let mut terminal = desk.on_terminal(words);
        terminal.see("attaching to talk as soon as it starts; Ctrl-C cancels");
        terminal
    };
    let mut ann = attach(&["attach", "talks", "talk"]);
    let mut bob = attach(&["attach", "talks", "talk", "--readonly"]);
    let mut carol = attach(&["attach", "talks", "talk"]);
    carol.press("\u{3}");
    carol.ends_somehow();
    assert!(!carol.shown.contains("attached to talk"), "{}", carol.shown);
    go(&desk);
    ann.see("attached to talk: you are typing into it");
    bob.see("looking at talk, not typing");
    ann.press("end\r");
    ann.see("got end");
    bob.see("got end");
    ann.ends(0);
    bob.ends_somehow();
    desk.run(&["wait", "talks"]).ends(0);
}
