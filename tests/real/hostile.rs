//! The hostile corpus printed by real steps, seen through the real screen: over every view and panel, only sequences on a
//! list reach the operator's terminal.

use crate::corpus::corpus;
use crate::desk::{Desk, Terminal};
use crate::outer::{DRAWING, unexpected};

/// What the screen itself says to its terminal: modes when it comes and goes, its title, the shape of the cursor, a bell.
const OWN: [&str; 14] = [
    "CSI ?1049h",
    "CSI ?1049l",
    "CSI ?1000h",
    "CSI ?1000l",
    "CSI ?1002h",
    "CSI ?1002l",
    "CSI ?1006h",
    "CSI ?1006l",
    "CSI ?2004h",
    "CSI ?2004l",
    "CSI t",
    "CSI  q",
    "OSC 2",
    "0x07",
];

/// Each key, what is on the screen then, and what is not any more.
const TOUR: [(&str, &str, &str); 14] = [
    ("z", "dogwatch", "┌ Steps"),
    ("z", "┌ Steps", "never shown"),
    ("d", "last output", "never shown"),
    ("q", "┌ Steps", "last output"),
    ("l", "log of ", "never shown"),
    ("q", "┌ Steps", "log of "),
    ("2", "dogwatch", "┌ Steps"),
    ("4", "No checkpoint was seen", "never shown"),
    ("5", "RUN", "No checkpoint"),
    ("J", "┌ Journal", "RUN"),
    ("!", "Inbox", "┌ Journal"),
    ("?", "┌ Keys", "never shown"),
    ("q", "Inbox", "┌ Keys"),
    ("1", "┌ Steps", "Inbox"),
];

/// Everything that the terminal was sent is on the list; how many bytes that were.
fn checked(terminal: &mut Terminal, what: &str) -> usize {
    let allowed = [&DRAWING[..], &OWN[..], &["0x18"]].concat();
    // What is cut in the middle is looked at with the rest.
    let end = terminal.raw.iter().rposition(|byte| *byte == 0x1b).unwrap_or(0);
    let strange = unexpected(&terminal.raw[..end], &allowed);
    assert_eq!(strange, Vec::<String>::new(), "{what}\n{}", terminal.picture());
    terminal.raw.drain(..end);
    end
}

#[test]
fn of_a_hostile_log_nothing_reaches_the_operators_terminal_from_any_page() {
    let desk = Desk::new();
    let attacks = corpus();
    let mut steps = String::new();
    for (name, bytes) in &attacks {
        std::fs::write(desk.project().join(format!("{name}.out")), bytes).expect("the project has room");
        // Most stay, some ask: what they printed is evidence then.
        let retry = "retry = { max_attempts = 1 }";
        steps += &["[steps.", name, "]\n", retry, "\nrun = \"cat ", name, ".out; exit 3\"\n"].concat();
    }
    desk.write("hostile", &format!("max_parallel = 4\n{steps}"));
    desk.run(&["run", "--detach"]).ends(0);
    desk.run(&["wait", "hostile", "--timeout", "60s"]);
    let (mut bytes, mut pages) = (0, 0);
    for (columns, rows) in [(80, 24), (200, 60)] {
        let mut terminal = desk.on_terminal_of(&["ui", "hostile"], columns, rows);
        terminal.shows("hostile #1");
        terminal.press("g");
        for (name, _) in &attacks {
            for (key, shown, gone) in TOUR {
                terminal.press(key);
                let what = format!("{name}: {key:?} shows {shown:?} and not {gone:?}");
                terminal.until(&what, |picture| picture.contains(shown) && !picture.contains(gone));
                bytes += checked(&mut terminal, name);
                pages += 1;
            }
            terminal.press("n");
            terminal.shows("if nobody answers");
            bytes += checked(&mut terminal, name);
            terminal.press("q");
            terminal.until("the prompt is closed", |picture| !picture.contains("if nobody answers"));
            terminal.press("j");
        }
        terminal.press("q");
        terminal.ends_somehow();
        bytes += checked(&mut terminal, "at the end");
    }
    assert_eq!(pages, 2 * TOUR.len() * attacks.len());
    assert!(bytes > 1_000_000, "only {bytes} bytes were looked at");
}
