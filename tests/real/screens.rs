//! Several real screens on one engine: both see the same, the first answer wins, one types at a time; and a screen that does
//! not go on, or does not read, holds up nobody.

#![expect(clippy::unwrap_used, reason = "what cannot be set up ends the test")]

use dogwatch::clock::boottime_ms;
use rustix::process::{Pid, Signal, kill_process};

use crate::desk::{Desk, PATIENCE_MS, Terminal};
use crate::keeper::until;

/// Asks after its first attempt.
const ASKS: &str = "[steps.train]\nretry = { max_attempts = 1 }\nrun = \"echo start >> starts; \
                    if [ ! -e again ]; then touch again; exit 3; fi; echo good\"\n";
/// Says back what it is told.
const TALKS: &str =
    "[steps.talk]\nrun = \"echo ready; while read line; do echo got $line; [ $line = end ] && exit 0; done\"\n";

/// Reads from all of them until it is so.
#[track_caller]
fn all_until(screens: &mut [&mut Terminal], what: &str, is_so: impl Fn(&[String]) -> bool) {
    let deadline = boottime_ms() + PATIENCE_MS;
    loop {
        let pictures: Vec<String> = screens.iter().map(|screen| screen.picture()).collect();
        if is_so(&pictures) {
            return;
        }
        assert!(boottime_ms() < deadline, "never came: {what}\n{}", pictures.join("\n=====\n"));
        for screen in screens.iter_mut() {
            screen.read();
        }
    }
}

/// A picture without the numbers of its clocks.
fn timeless(picture: &str) -> String {
    let known = |letter: char| !letter.is_ascii_digit() && !matches!(letter, ' ' | 'm' | 's' | '─');
    picture.chars().filter(|letter| known(*letter)).collect()
}

/// The number of a choice on the screen.
#[track_caller]
fn number_of(screen: &Terminal, choice: &str) -> String {
    let picture = screen.picture();
    let place = picture.lines().find_map(|line| {
        let (before, _) = line.split_once(&format!(" {choice} "))?;
        before.trim_end().chars().next_back().filter(char::is_ascii_digit)
    });
    place.unwrap_or_else(|| panic!("{choice} is not offered:\n{picture}")).to_string()
}

/// Presses a key of a prompt or a menu, which ignores keys for a moment after it has come.
#[track_caller]
fn answer(screen: &mut Terminal, key: &str, receipt: &str) {
    let mut pressed_ms = 0;
    let deadline = boottime_ms() + PATIENCE_MS;
    while !screen.picture().contains(receipt) {
        let asks =
            ["if nobody answers", "take over", "the clocks of"].iter().any(|words| screen.picture().contains(words));
        if asks && boottime_ms() > pressed_ms + 1_000 {
            pressed_ms = boottime_ms();
            screen.press(key);
        }
        assert!(boottime_ms() < deadline, "{receipt:?} never came:\n{}", screen.picture());
        screen.read();
    }
}

#[test]
fn two_screens_see_the_same_and_the_second_is_told_who_answered_first() {
    let desk = Desk::new();
    desk.write("asks", ASKS);
    desk.run(&["run", "--detach"]).ends(0);
    let mut ann = desk.on_terminal(&["ui", "asks", "--as", "ann@desk"]);
    let mut bob = desk.on_terminal(&["ui", "asks", "--as", "bob@lap"]);
    all_until(&mut [&mut ann, &mut bob], "both see the question", |pictures| {
        pictures.iter().all(|picture| picture.contains("1 needs you"))
    });
    all_until(&mut [&mut ann, &mut bob], "both see the same", |pictures| {
        timeless(&pictures[0]) == timeless(&pictures[1])
    });
    ann.press("n");
    bob.press("n");
    all_until(&mut [&mut ann, &mut bob], "both have the prompt", |pictures| {
        pictures.iter().all(|picture| picture.contains("if nobody answers"))
    });
    ann.shows("recorded as ann@desk");
    let key = number_of(&ann, "retry");
    answer(&mut ann, &key, "u undoes");
    // His prompt closes by itself, and what he presses now answers nothing.
    bob.shows("answered retry by ann@desk");
    assert!(!bob.picture().contains("if nobody answers"), "{}", bob.picture());
    all_until(&mut [&mut ann, &mut bob], "both see the end", |pictures| {
        pictures.iter().all(|picture| picture.contains("succeeded"))
    });
    assert_eq!(desk.read("starts"), "start\nstart\n");
    for screen in [&mut ann, &mut bob] {
        screen.press("q");
        screen.ends(0);
    }
}

#[test]
fn a_terminal_is_taken_over_from_another_screen_and_that_one_is_told() {
    let desk = Desk::new();
    desk.write("talks", TALKS);
    desk.run(&["run", "--detach"]).ends(0);
    let mut ann = desk.on_terminal(&["ui", "talks", "--as", "ann@desk"]);
    let mut bob = desk.on_terminal(&["ui", "talks", "--as", "bob@lap"]);
    ann.runs("ready");
    ann.press("a");
    ann.shows("ATTACHED");
    ann.press("one\r");
    ann.shows("got one");
    bob.shows("ann@desk is typing");
    bob.press("a");
    bob.shows("take over");
    answer(&mut bob, "2", "ATTACHED");
    all_until(&mut [&mut ann, &mut bob], "he types, she is told", |pictures| {
        pictures[0].contains("bob@lap types into it now") && pictures[1].contains("ATTACHED")
    });
    bob.press("two\r");
    bob.shows("got two");
    assert!(!ann.picture().contains("ATTACHED"), "{}", ann.picture());
    // What she goes on typing is nobody's, until she has let go, too.
    ann.press("p");
    ann.shows("1 key went nowhere");
    ann.press("\u{1d}");
    ann.until("she has seen it", |picture| !picture.contains("LET GO"));
    ann.shows("bob@lap is typing");
    bob.press("end\r");
    bob.until("it has ended", |picture| picture.contains("exited 0") || picture.contains("succeeded"));
    bob.press("\u{1d}");
    desk.run(&["wait", "talks"]).ends(0);
    for screen in [&mut ann, &mut bob] {
        screen.until("it is over", |picture| picture.contains("succeeded") && !picture.contains("ATTACHED"));
        screen.press("q");
        screen.ends(0);
    }
}

/// Prints without a pause on a screen that it draws itself, until it is told to stop; then asks.
const FLOODS: &str = "[steps.flood]\nretry = { max_attempts = 1 }\nrun = \"printf '\\\\033[?1049h'; n=0; while [ ! -e \
                      go ]; do n=$((n+1)); printf '\\\\033[%d;1Hline %d of a flood' $((n%40+1)) $n; done; echo $n > \
                      count; exit 3\"\n[steps.talk]\nrun = \"while read line; do echo got $line; [ $line = end ] && \
                      exit 0; done\"\n";

/// One of two screens does not go on; the other one sees, types and answers, and nothing of the run waits.
fn nobody_waits(stop: impl Fn(&Terminal), stands: impl Fn(&mut Terminal) -> bool, go_on: impl Fn(&mut Terminal)) {
    let desk = Desk::new();
    desk.write("floods", FLOODS);
    desk.run(&["run", "--detach"]).ends(0);
    let mut slow = desk.on_terminal_of(&["ui", "floods", "--as", "slow@desk"], 120, 40);
    // Looked at as a terminal, so that it has one that it does not read.
    slow.shows("of a flood");
    stop(&slow);
    let printed = || {
        let logs = std::fs::read_dir(desk.state.join("runs")).unwrap().flatten();
        logs.filter_map(|run| std::fs::metadata(run.path().join("flood/0/a1/log")).ok())
            .map(|log| log.len())
            .sum::<u64>()
    };
    let before = printed();
    until("megabytes were printed meanwhile", || {
        // It stands still all the while.
        assert!(stands(&mut slow));
        printed() > before + 4_000_000
    });
    let mut other = desk.on_terminal(&["ui", "floods", "--as", "other@lap"]);
    other.shows("floods #1");
    let mut typed = 0;
    for word in ["one", "two", "three"] {
        desk.run(&["send", "floods", "talk", word]).ends(0);
        typed += 1;
    }
    other.press("j");
    other.shows("got three");
    other.press("a");
    other.shows("ATTACHED");
    other.press("four\r");
    other.shows("got four");
    other.press("end\r");
    other.shows("exited 0");
    other.press("\u{1d}");
    other.until("it is let go", |picture| !picture.contains("ATTACHED"));
    std::fs::write(desk.project().join("go"), "").unwrap();
    desk.wait_file("count");
    other.shows("1 needs you");
    other.press("n");
    other.shows("if nobody answers");
    other.shows("recorded as other@lap");
    let key = number_of(&other, "done");
    answer(&mut other, &key, "nothing is decided");
    answer(&mut other, "2", "u undoes");
    desk.run(&["wait", "floods"]).ends(0);
    other.shows("succeeded");
    assert_eq!(typed, 3);
    assert!(stands(&mut slow), "it was not stopped all the while");
    go_on(&mut slow);
    slow.shows("succeeded");
    for screen in [&mut slow, &mut other] {
        screen.press("q");
        screen.ends_somehow();
    }
}

/// The child that `setsid` started: the screen itself.
fn screen_of(terminal: &Terminal) -> Pid {
    let pid = terminal.child.id();
    let inner = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let pid = inner.split_whitespace().next().map_or(pid, |child| child.parse().unwrap());
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

fn is_stopped(terminal: &Terminal) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", screen_of(terminal).as_raw_nonzero()));
    stat.unwrap_or_default().rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
}

#[test]
fn a_screen_that_is_stopped_holds_up_nobody() {
    nobody_waits(
        |slow| {
            kill_process(screen_of(slow), Signal::STOP).unwrap();
            until("it stands still", || is_stopped(slow));
        },
        |slow| is_stopped(slow),
        |slow| kill_process(screen_of(slow), Signal::CONT).unwrap(),
    );
}

#[test]
fn a_screen_whose_terminal_is_not_read_holds_up_nobody() {
    // Nobody reads what it writes: soon the terminal takes no more.
    nobody_waits(|_| {}, |_| true, |slow| _ = slow.read());
}

#[test]
fn who_lets_go_and_attaches_again_in_one_go_types_into_the_step() {
    let desk = Desk::new();
    desk.write("talks", TALKS);
    desk.run(&["run", "--detach"]).ends(0);
    let mut ann = desk.on_terminal(&["ui", "talks"]);
    ann.shows("ready");
    let mut words = 0;
    for word in ["one", "two", "three", "end"] {
        ann.press(&format!("a\u{1d}a{word}\r"));
        words += 1;
        // That it let go of her may stand before the last answer.
        if word != "end" {
            ann.shows(&format!("got {word}"));
            assert!(ann.picture().contains("ATTACHED"), "{}", ann.picture());
            ann.press("\u{1d}");
            ann.until("it is let go", |picture| !picture.contains("ATTACHED"));
        }
    }
    assert_eq!(words, 4);
    ann.shows("succeeded");
    // The step ended under her.
    ann.press("\u{1d}");
    ann.until("she has seen it", |picture| !picture.contains("ATTACHED") && !picture.contains("LET GO"));
    ann.shows("got end");
    ann.press("q");
    ann.ends(0);
}

/// A gate whose approval cannot be undone.
const PUBLISHES: &str = "[steps.gate]\napproval = { prompt = \"Publish it?\", confirm = \"type-name\" }\n\
                         [steps.publish]\nneeds = [\"gate\"]\nrun = \"echo published >> published\"\n";

#[test]
fn what_cannot_be_undone_is_typed_by_name_on_the_command_line() {
    let desk = Desk::new();
    desk.write("publishes", PUBLISHES);
    // A name that looks like the name and number of another run.
    desk.run(&["run", "--detach", "--name", "site #2"]).ends(0);
    desk.run(&["wait", "@last"]).ends(3);
    // Nothing but the name approves, whichever way it is said.
    for wrong in [
        &["approve", "e1"][..],
        &["approve", "e1", "--yes"],
        &["decide", "e1", "approve"],
        &["decide", "e1", "1"],
        &["decide", "e1", "approve", "--all-like-this"],
    ] {
        let said = desk.run(wrong).ends(2);
        assert!(said.out.is_empty(), "{wrong:?}: {}", said.out);
    }
    let said = desk.run(&["approve", "@last", "gate"]).ends(2);
    assert!(said.err.contains("--confirm=") && said.err.contains("site #2"), "{}", said.err);
    for near in ["site", "publishes", "site #2 #1", "SITE #2", ""] {
        let said = desk.run(&["approve", "e1", &format!("--confirm={near}")]).ends(6);
        assert!(said.err.contains("nothing was decided"), "{near:?}: {}", said.err);
    }
    let mut terminal = desk.on_terminal(&["approve", "e1"]);
    terminal.see("to go on:");
    assert!(terminal.shown.contains("site #2") && !terminal.shown.contains("site #2 #"), "{}", terminal.shown);
    terminal.press("yes\r");
    terminal.ends(6);
    assert_eq!(desk.read("published"), "");
    assert!(desk.run(&["inbox"]).ends(0).out.starts_with("e1 "), "it is still open");
    let mut terminal = desk.on_terminal(&["approve", "e1"]);
    terminal.see("to go on:");
    terminal.press("site #2\r");
    terminal.ends(0);
    desk.run(&["wait", "@last", "--for", "done"]).ends(0);
    assert_eq!(desk.read("published"), "published\n");
    // To reject is no risk, and takes no name.
    desk.run(&["run", "--detach"]).ends(0);
    desk.run(&["wait", "@last"]).ends(3);
    desk.run(&["reject", "e2"]).ends(0);
    desk.run(&["wait", "@last", "--for", "done"]).ends(4);
    assert_eq!(desk.read("published"), "published\n");
}

#[test]
fn what_cannot_be_undone_is_typed_by_name_on_the_screen() {
    let desk = Desk::new();
    desk.write("publishes", PUBLISHES);
    desk.run(&["run", "--detach"]).ends(0);
    desk.run(&["wait", "@last"]).ends(3);
    let mut ann = desk.on_terminal(&["ui", "publishes", "--as", "ann@desk"]);
    ann.shows("1 needs you");
    ann.press("n");
    ann.shows("if nobody answers");
    let key = number_of(&ann, "approve");
    answer(&mut ann, &key, "Type the workflow name to confirm");
    ann.shows("nothing happens until the name matches");
    // Neither Enter alone, nor with a part of it, nor the key that chose it.
    ann.press("\r");
    ann.press("publish");
    ann.shows("publish");
    ann.press("\r");
    ann.press(&key);
    ann.press("\r");
    ann.shows(&format!("publish{key}"));
    assert!(ann.picture().contains("nothing happens until the name matches"), "{}", ann.picture());
    assert!(desk.run(&["inbox"]).ends(0).out.starts_with("e1 "), "it is still open");
    assert_eq!(desk.read("published"), "");
    ann.press("\u{7f}es");
    ann.until("the name matches", |picture| !picture.contains("until the name matches"));
    ann.press("\r");
    ann.shows("u undoes");
    ann.shows("succeeded");
    assert_eq!(desk.read("published"), "published\n");
    assert!(desk.run(&["show", "e1"]).ends(0).out.contains("ann@desk"));
    ann.press("q");
    ann.ends(0);
}

/// What is outside is looked for seldom; who knows that it is there has it looked at now.
#[test]
fn who_waits_for_something_outside_has_it_looked_at_now() {
    let desk = Desk::new();
    desk.write(
        "outside",
        "[steps.gift]\nwait_for = { file = 'gift', poll = { min = '1h', max = '2h' } }\n\
         [steps.open]\nneeds = ['gift']\nrun = 'cat gift'\n",
    );
    desk.run(&["run", "--detach"]).ends(0);
    let mut screen = desk.on_terminal(&["ui", "outside"]);
    screen.until("it says what it waits for", |picture| picture.contains("nothing runs: waits for"));
    screen.shows("not there");
    let look = |screen: &mut Terminal, receipt: &str| {
        screen.press("w");
        screen.shows("the clocks of gift");
        let key = number_of(screen, "look now");
        answer(screen, &key, receipt);
    };
    look(&mut screen, "it is looked at now");
    assert!(screen.picture().contains("not there"), "{}", screen.picture());
    std::fs::write(desk.project().join("gift"), "a bicycle\n").unwrap();
    look(&mut screen, "succeeded");
    desk.run(&["wait", "outside"]).ends(0);
    screen.until("it is over", |picture| picture.contains("2✓"));
    screen.press("q");
    screen.ends(0);
}
