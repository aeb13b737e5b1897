//! People at a run: answers that can be taken back, and one writer at a time, also when the engine is killed meanwhile.

use std::os::fd::OwnedFd;

use dogwatch::client::{Client, Error, Who};
use dogwatch::wire::client::{Ask, Refusal, RefusalKind, Reply, RunView, StepView};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::house::{House, until};

/// Fails the first time, and counts its starts.
const FAILS: &str = r#"
[workflow]
name = "fails"
[steps.train]
run = '''
echo "start $DOGWATCH_KEY" >> effects
if ! [ -e "$DOGWATCH_DIR/again" ]; then touch "$DOGWATCH_DIR/again"; exit 3; fi
'''
"#;

/// Says back what it is told.
const TALKS: &str = r#"
[workflow]
name = "talks"
[steps.talk]
run = 'while read line; do echo "got $line"; [ "$line" = end ] && exit 0; done'
"#;

fn client(house: &House, name: &str) -> Client {
    let who = Who::new(Some(name), "cli");
    Client::connect(&house.state().join("engine.sock"), &who).expect("an engine answers")
}

#[track_caller]
fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn view(client: &mut Client) -> RunView {
    let reply = client.ask(Ask::Status { run: "@last".into() }).expect("it answers");
    let Reply::Run(view) = reply else { panic!("{reply:?}") };
    view
}

fn first_step(client: &mut Client) -> StepView {
    view(client).steps.remove(0)
}

/// How often each kind of event is in the journal.
fn recorded(house: &House, kind: &str) -> i64 {
    let count = "SELECT count(*) FROM events WHERE kind = ?1";
    house.journal().query_row(count, [kind], |row| row.get(0)).expect("the journal is read")
}

fn decide(client: &mut Client, choice: &str, hold_ms: u64) -> Result<Reply, Error> {
    client.ask(Ask::Decide { id: 1, choice: choice.into(), note: None, hold_ms, lasting: false })
}

#[test]
fn a_held_answer_is_the_only_one_and_survives_the_engine() {
    let house = House::new();
    house.workflow(FAILS);
    house.start();
    assert_eq!(house.wait(), Some(3));
    let mut ann = client(&house, "ann@desk");
    decide(&mut ann, "retry", 50_000).expect("it is taken");
    let mut bob = client(&house, "bob@lap");
    let second = refusal(decide(&mut bob, "skip", 0));
    assert_eq!(second.kind, RefusalKind::Refused);
    assert!(second.words.contains("retry by ann@desk"), "{second:?}");
    house.kill_engine();
    house.said(&["engine", "start"]);
    let mut bob = client(&house, "bob@lap");
    let held = view(&mut bob).escalations.remove(0).held.expect("it is still held");
    assert_eq!((held.choice.as_str(), held.by.as_str()), ("retry", "ann@desk"));
    let text = house.said(&["undo", "e1", "--as", "bob@lap"]);
    assert!(text.contains("open again"), "{text}");
    let open = view(&mut bob);
    assert!(open.escalations[0].is_open() && open.steps[0].attempt == 1, "{open:?}");
    // This time nobody takes it back, and no engine is there when its time comes.
    decide(&mut bob, "retry", 1_500).expect("it is taken");
    house.kill_engine();
    let due = "SELECT json_extract(body, '$.held.until_ms') FROM events WHERE kind = 'held' ORDER BY seq DESC LIMIT 1";
    let until_ms: i64 = house.journal().query_row(due, [], |row| row.get(0)).expect("it is recorded");
    house.said(&["engine", "start"]);
    assert_eq!(house.wait(), Some(0));
    let answered = "SELECT at, json_extract(body, '$.answered.by.person') FROM events WHERE kind = 'answered'";
    let (at, by): (i64, String) =
        house.journal().query_row(answered, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("one answer");
    assert!(at >= until_ms, "it took effect {} ms too early", until_ms - at);
    assert_eq!(by, "bob@lap");
    assert_eq!([recorded(&house, "held"), recorded(&house, "undone"), recorded(&house, "answered")], [2, 1, 1]);
    assert_eq!(house.effects().len(), 2, "{:?}", house.effects());
    let late = house.dogwatch(&["undo", "e1"]);
    assert_eq!(late.status.code(), Some(6), "{late:?}");
}

/// The engine dies at each point between an answer that is held and its effect.
#[test]
fn a_held_answer_has_its_effect_once_wherever_the_engine_dies() {
    for point in [
        "journal.before-commit:1",
        "journal.after-commit:1",
        "journal.before-commit:2",
        "journal.after-commit:2",
        "engine.before-effect:1",
        "engine.after-effect:1",
    ] {
        let mut house = House::new();
        house.workflow(FAILS);
        house.start();
        assert_eq!(house.wait(), Some(3));
        // Stopped on purpose: nobody but the next line starts one, so that it is the one that dies at the point.
        house.said(&["engine", "stop"]);
        house.set("DOGWATCH_CRASH", point);
        house.said(&["engine", "start"]);
        let engine = house.engine().expect("it was started");
        let told = decide(&mut client(&house, "ann@desk"), "retry", 300);
        until("the engine has died", || !crate::house::is_alive(engine));
        house.unset("DOGWATCH_CRASH");
        house.said(&["engine", "start"]);
        let lost = recorded(&house, "held") == 0;
        assert_eq!(lost, point == "journal.before-commit:1", "{point}");
        assert!(!lost || told.is_err(), "{point}: she was told yes, and it was forgotten");
        if lost {
            decide(&mut client(&house, "ann@desk"), "retry", 0).expect("it is taken");
        }
        assert_eq!(house.wait(), Some(0), "{point}");
        assert_eq!(recorded(&house, "answered"), 1, "{point}");
        assert!(house.effects().values().all(|count| *count == 1), "{point}: {:?}", house.effects());
        assert_eq!(house.effects().len(), 2, "{point}: {:?}", house.effects());
    }
}

fn attach(client: &mut Client, readonly: bool, take_over: bool) -> Result<OwnedFd, Error> {
    let ask = Ask::Attach { run: "@last".into(), step: "talk".into(), rows: 24, cols: 80, readonly, take_over };
    client.ask_pty(ask).map(|(terminal, _)| terminal)
}

/// A house with a step that talks, and a first writer.
fn talking() -> (House, Client, OwnedFd) {
    let house = House::new();
    house.workflow(TALKS);
    house.start();
    until("the step runs", || house.lane("talk")["state"] == "running");
    let mut ann = client(&house, "ann@desk");
    let terminal = attach(&mut ann, false, false).expect("a terminal");
    assert_eq!(first_step(&mut ann).attached.map(|attached| attached.by).as_deref(), Some("ann@desk"));
    (house, ann, terminal)
}

/// Reads what there is; whether the other side has hung up.
fn is_over(terminal: &OwnedFd) -> bool {
    loop {
        let mut fds = [PollFd::new(terminal, PollFlags::IN)];
        if poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) != Ok(1) {
            return false;
        }
        let mut bytes = [0u8; 4096];
        match rustix::io::read(terminal, &mut bytes) {
            Ok(0) | Err(rustix::io::Errno::IO) => return true,
            Ok(_) => {}
            Err(errno) => panic!("{errno}"),
        }
    }
}

/// Types a line, and sees that the step got it.
#[track_caller]
fn types(house: &House, terminal: &OwnedFd, line: &str) {
    until("the terminal takes keys", || {
        is_over(terminal);
        let typed = format!("{line}\r");
        rustix::io::write(terminal, typed.as_bytes()).expect("it takes keys");
        // A client that has just attached may not listen yet.
        crate::house::within(1_000, || house.log("talk/0/a1").contains(&format!("got {line}")))
    });
}

#[test]
fn one_person_types_at_a_time() {
    let (house, mut ann, first) = talking();
    types(&house, &first, "one");
    let mut bob = client(&house, "bob@lap");
    let refused = refusal(attach(&mut bob, false, false));
    assert!(refused.words.starts_with("ann@desk is typing into talk (attached"), "{refused:?}");
    assert!(refused.hint.is_some_and(|hint| hint.contains("--take-over")));
    let sent = refusal(bob.ask(Ask::Send { run: "@last".into(), step: "talk".into(), text: "x\r".into() }));
    assert!(sent.words.contains("ann@desk"), "{sent:?}");
    let looks = attach(&mut bob, true, false).expect("looking is free");
    assert!(!is_over(&first), "who looks on disturbs nobody");
    let second = attach(&mut bob, false, true).expect("taken over");
    until("the first terminal is closed", || is_over(&first));
    assert!(!is_over(&looks), "who looks on goes on");
    types(&house, &second, "two");
    // She lets go of what she does not have any more: that is no matter of his.
    let late = refusal(ann.ask(Ask::Detach { run: "@last".into(), step: "talk".into(), keys: Some(3) }));
    assert!(late.words.contains("not you"), "{late:?}");
    assert!(!is_over(&second), "who took over keeps it");
    assert_eq!(first_step(&mut ann).attached.map(|attached| attached.by).as_deref(), Some("bob@lap"));
    // What was taken from him he cannot let go of; another may be made to let go.
    house.said(&["detach", "@last", "talk", "--as", "eve@box"]);
    until("the second terminal is closed", || is_over(&second));
    assert_eq!(first_step(&mut ann).attached, None);
    let third = attach(&mut ann, false, false).expect("it is free");
    ann.ask(Ask::Detach { run: "@last".into(), step: "talk".into(), keys: Some(41) }).expect("she lets go");
    until("the third terminal is closed", || is_over(&third));
    let fourth = attach(&mut ann, false, false).expect("it is free");
    drop(ann);
    until("the fourth terminal is closed", || is_over(&fourth));
    assert_eq!(first_step(&mut bob).attached, None);
    assert_eq!([recorded(&house, "attached"), recorded(&house, "detached")], [4, 4]);
    let keys = "SELECT count(*) FROM events WHERE json_extract(body, '$.detached.keys') = 41";
    assert_eq!(house.journal().query_row(keys, [], |row| row.get::<_, i64>(0)), Ok(1));
    house.said(&["send", "@last", "talk", "end"]);
    assert_eq!(house.wait(), Some(0));
}

#[test]
fn a_lease_does_not_outlive_the_engine_and_the_terminal_not_the_lease() {
    let (house, ann, terminal) = talking();
    types(&house, &terminal, "one");
    house.kill_engine();
    drop(ann);
    // Without an engine the terminal goes on.
    types(&house, &terminal, "two");
    house.said(&["engine", "start"]);
    until("the new engine closes it", || is_over(&terminal));
    let mut bob = client(&house, "bob@lap");
    assert_eq!(first_step(&mut bob).attached, None);
    assert_eq!([recorded(&house, "attached"), recorded(&house, "detached")], [1, 1]);
    let again = attach(&mut bob, false, false).expect("it is free");
    types(&house, &again, "three");
    drop(bob);
    house.said(&["send", "@last", "talk", "end"]);
    assert_eq!(house.wait(), Some(0));
}

/// Whoever writes `#!` at the beginning of a script means it: the program gets the script as a file, and is the step's own
/// process.
#[test]
fn a_script_is_for_the_program_that_its_first_line_names() {
    let house = House::new();
    house.workflow(
        r##"
[steps.python]
run = '''
#!/usr/bin/env -S python3 -u
import os, sys
print(f"it's {6 * 7} \\ $HOME", len(sys.argv), os.environ["DOGWATCH_STEP"])
raise SystemExit(open(sys.argv[0]).read().count("\n"))
'''
allow_failure = true
[steps.bash]
run = '''
#!/bin/bash -e
a=(1 2 3); echo "${#a[@]}"
false | true
echo "$-" | grep -c e
'''
verify = "#!/usr/bin/env python3\nprint('looked')"
[steps.none]
run = "#!/no/such/program\necho no"
allow_failure = true
"##,
    );
    house.start();
    assert_eq!(house.wait(), Some(0));
    assert_eq!(house.log("python/0/a1"), "it's 42 \\ $HOME 1 python\r\n");
    assert_eq!(house.lane("python")["exit"], "code 4", "lines of the script, each with its end");
    assert_eq!(house.log("bash/0/a1"), "3\r\n1\r\n");
    assert_eq!(house.lane("none")["exit"], "code 127");
    assert!(house.log("none/0/a1").contains("/no/such/program"), "{}", house.log("none/0/a1"));
}

/// Ctrl-C is for the program: one that deals with it (a debugger, a training that saves first) goes on, one that dies of it
/// ends its step with that signal.
#[test]
fn ctrl_c_is_for_the_program() {
    let house = House::new();
    house.workflow(
        r#"
[steps.debugger]
run = '''
python3 -c '
try:
    input("(ask) ")
except KeyboardInterrupt:
    print("taken")
'
echo "and on"
'''
[steps.plain]
run = '''
echo "(ask) "
sleep 600
echo "and on"
'''
"#,
    );
    house.start();
    until("it asks", || house.log("debugger/0/a1").contains("(ask)"));
    house.said(&["send", "@last", "debugger", "\x03"]);
    until("it asks", || house.log("plain/0/a1").contains("(ask)"));
    // Again and again: a shell that is between two commands has nobody who dies of it.
    until("it has died", || {
        house.dogwatch(&["send", "@last", "plain", "\x03"]);
        crate::house::within(200, || house.lane("plain")["state"] == "asking")
    });
    assert_eq!(house.wait(), Some(3));
    assert_eq!(house.lane("debugger")["state"], "succeeded", "{}", house.lane("debugger"));
    assert!(house.log("debugger/0/a1").contains("taken\r\nand on"), "{}", house.log("debugger/0/a1"));
    assert_eq!(house.lane("plain")["exit"], "signal 2 (SIGINT)", "{}", house.lane("plain"));
    assert!(!house.log("plain/0/a1").contains("and on"));
}
