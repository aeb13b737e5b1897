//! Two builds of dogwatch: a newer one goes on with what an older one started, and what it has no language in common with is
//! left alone and told. In containers the same tests against a real dockerd and a real Podman service.

use dogwatch::wire::keeper::{Ask, Event, Outcome, Reply, StopReason};
use dogwatch::wire::shim::End;

use crate::containers::{Terminal, ended_and_gone, house, on_both};
use crate::engines::{Kind, shared};
use crate::house::{House, kill, lines, until};
use crate::intruders::{COUNTED, ONE, ran_once};
use crate::keep::Shown;
use crate::keeper::{Keep, launch, place};

on_both!(a_newer_build_adopts_what_an_older_one_started, a_keeper_that_speaks_no_common_version_is_left_alone);

/// Nobody took a test out of one of the two lists.
#[test]
fn both_engines_have_the_same_tests() {
    assert_eq!(TESTS, 2);
}

/// The older one differs in its bytes: so it has another bundle, and another binary is the first process of the container.
/// And it speaks only the first version of the keeper's protocol, as the builds before version 2 did.
fn a_newer_build_adopts_what_an_older_one_started(kind: Kind) {
    let (engine, mut house) = (shared(kind), house(shared(kind)));
    let older = house.root().join("older");
    let mut bytes = std::fs::read(env!("CARGO_BIN_EXE_dogwatch")).expect("the build under test");
    bytes.extend_from_slice(b"an older build");
    std::fs::write(&older, bytes).expect("an older build");
    std::fs::set_permissions(&older, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a program");
    house.use_build(Some(older.clone()));
    house.set("DOGWATCH_PROTOCOL", "1-1");
    let script = COUNTED.replace("BEFORE", "touch /bin/mark");
    house.workflow(&format!(
        "{ONE}[steps.work]\nallow_failure = true\nrun = \"\"\"{}\"\"\"\n\
         [steps.next]\nneeds = [\"work\"]\nrun = 'ls /bin/mark'\n\
         [steps.fresh]\nfresh = true\nneeds = [\"work\"]\nrun = 'echo fresh'\n",
        script.replace('\\', "\\\\")
    ));
    house.start();
    until("the step prints", || house.log("work/0/a1").lines().count() > 3);
    let state = house.state();
    let bundles = || std::fs::read_dir(state.join("bundle")).map_or(0, Iterator::count);
    let (containers, before) = (engine.containers(&state), bundles());
    // As an upgrade does it: the old one is told to end, for its porters would start it again.
    house.said(&["engine", "stop"]);
    until("the older engine has ended", || house.engine().is_none());
    std::fs::remove_file(&older).expect("nothing is left of it");
    house.use_build(None);
    house.unset("DOGWATCH_PROTOCOL");
    house.said(&["engine", "start"]);
    assert_eq!(engine.containers(&house.state()), containers, "it was adopted");
    ended_and_gone(&house, engine, 0);
    ran_once(&house);
    assert_eq!(house.log("next/0/a1"), "/bin/mark\r\n", "what comes next runs in the same container");
    assert_eq!(house.log("fresh/0/a1"), "fresh\r\n", "and in new ones of the new build");
    assert_eq!(bundles(), before + 1, "there were two builds");
}

/// Started by a build whose oldest version this one does not know: nothing is given up, and the words say why.
fn a_keeper_that_speaks_no_common_version_is_left_alone(kind: Kind) {
    let (engine, mut house) = (shared(kind), house(shared(kind)));
    house.set("DOGWATCH_PROTOCOL", "7-8");
    let script = COUNTED.replace("BEFORE", "until [ -e go ]; do echo waits; sleep 0.1; done");
    house.workflow(&format!(
        "{ONE}[steps.work]\nallow_failure = true\nrun = '''{script}'''\n[steps.next]\nneeds = [\"work\"]\nrun = 'echo on'\n"
    ));
    house.start();
    until("the step prints", || house.log("work/0/a1").contains("waits"));
    let containers = engine.containers(&house.state());
    house.said(&["engine", "stop"]);
    until("its engine has ended", || house.engine().is_none());
    house.unset("DOGWATCH_PROTOCOL");
    house.said(&["engine", "start"]);
    let detail = || house.lane("work")["detail"].as_str().unwrap_or_default().to_owned();
    until("it is told", || detail().contains("was started by a newer dogwatch (it speaks versions 7 to 8"));
    assert_eq!(house.lane("work")["state"], "unreachable", "{}", house.lane("work"));
    // Its end is on disk, and needs nobody to be told; what comes next has to wait.
    std::fs::write(house.work().join("go"), "").expect("a file");
    until("its end is known", || house.lane("work")["exit"] == "code 7");
    let waits = || house.lane("next")["detail"].as_str().unwrap_or_default().to_owned();
    until("the next one waits", || waits().contains("was started by a newer dogwatch"));
    assert_eq!(house.status()["line"]["asking"], 0, "nobody is asked: nothing has failed");
    assert_eq!(engine.containers(&house.state()), containers, "nothing was removed");
    // The newer one goes on with it.
    house.said(&["engine", "stop"]);
    until("its engine has ended", || house.engine().is_none());
    house.set("DOGWATCH_PROTOCOL", "7-8");
    house.said(&["engine", "start"]);
    ended_and_gone(&house, engine, 0);
    assert_eq!(house.log("next/0/a1"), "on\r\n");
    assert_eq!(house.effects().into_values().collect::<Vec<_>>(), [1, 1], "{:?}", house.effects());
}

/// A shim of a build that speaks only the first version of the shim's protocol, and the other way round: what stands between is
/// a keeper of this build, and the pane's view.
#[test]
fn a_keeper_and_a_shim_of_two_builds_speak_the_older_ones_version() {
    for (of_shim, of_keeper) in [(Some("1-1"), None), (None, Some("1-1")), (Some("2-9"), None)] {
        let vars = |range: Option<&'static str>| range.map(|range| (VARIABLE, range)).into_iter().collect::<Vec<_>>();
        let mut keep = Keep::start_with(&vars(of_shim), None);
        let mut engine = keep.connect();
        engine.launch(launch("a", "read line; echo got $line; trap 'exit 5' TERM; read line"));
        engine.wait_for(|event| matches!(event, Event::Claimed { .. }));
        keep.restart_with(&vars(of_keeper));
        let mut engine = keep.connect();
        let hello = "aGVsbG8K".to_owned();
        until("the shim is found again", || {
            let typed = engine.ask(Ask::Input { key: place("a").key, bytes: hello.clone() });
            matches!(typed, Outcome::Reply(Reply::Done))
        });
        let session = Ask::OpenSession { key: place("a").key, rows: 24, cols: 80, readonly: false };
        assert_eq!(engine.reply(session), Reply::Pty);
        Shown::new(engine.terminal()).wait_for("got hello");
        engine.stop(&place("a"), 20_000);
        engine.wait_exited(&place("a"));
        assert_eq!(keep.exit(&place("a")).expect("a record").end, End::Code(5), "{of_shim:?} {of_keeper:?}");
    }
}

const VARIABLE: &str = "DOGWATCH_SHIM_PROTOCOL";

#[test]
fn a_shim_that_speaks_no_common_version_is_left_alone_and_its_end_is_found() {
    let mut keep = Keep::start_with(&[(VARIABLE, "7-8")], None);
    let go = keep.dir.path().join("go");
    let mut engine = keep.connect();
    engine.launch(launch("a", &format!("until [ -e {} ]; do sleep 0.05; done; echo gone on; exit 6", go.display())));
    engine.wait_for(|event| matches!(event, Event::Claimed { .. }));
    keep.restart();
    let mut engine = keep.connect();
    let stop = Ask::Stop { key: place("a").key, grace_ms: 0, reason: StopReason::Stop, save: None };
    let words = "by a newer dogwatch (it speaks versions 7 to 8 of its protocol, this one versions 1 to 2)";
    until(
        "to stop it is refused with the reason",
        || matches!(engine.ask(stop.clone()), Outcome::Refused(why) if why.contains(words)),
    );
    assert_eq!(engine.launch(launch("a", "echo a second run")), Reply::AlreadyThere);
    let session = Ask::OpenSession { key: place("a").key, rows: 24, cols: 80, readonly: true };
    assert_eq!(engine.reply(session), Reply::Pty);
    Shown::new(engine.terminal()).wait_for("its supervisor process was started");
    let found = engine.look_up(&place("a"));
    assert!(found.held && !found.exited, "{found:?}");
    std::fs::write(&go, "").expect("a sign");
    engine.wait_exited(&place("a"));
    assert_eq!(keep.exit(&place("a")).expect("a record").end, End::Code(6));
    assert_eq!(keep.log_text(&place("a")), "gone on\r\n");
}

/// Through the engine: a person who wants to stop it reads why that cannot be, and its end is known all the same.
#[test]
fn who_stops_the_step_of_a_shim_of_another_language_is_told_why_it_goes_on() {
    let mut house = House::with(&[(VARIABLE, "7-8")]);
    let script = COUNTED.replace("BEFORE", "until [ -e go ]; do sleep 0.1; done");
    house.workflow(&format!("[environment]\nisolation = \"none\"\n[steps.work]\nrun = '''{script}'''\n"));
    house.start();
    until("the step has begun", || house.effects().len() == 1);
    house.said(&["engine", "stop"]);
    until("its engine has ended", || house.engine().is_none());
    let keepers = house.keepers();
    assert_eq!(keepers.len(), 1, "{keepers:?}");
    keepers.into_iter().for_each(kill);
    house.unset(VARIABLE);
    house.said(&["engine", "start"]);
    let mut terminal = Terminal::of(&house, &["attach", "@last", "work", "--readonly"]);
    terminal.see("supervisor process was started");
    drop(terminal);
    house.said(&["stop", "@last"]);
    let detail = || house.lane("work")["detail"].as_str().unwrap_or_default().to_owned();
    until("it is told", || {
        detail().contains("cannot be stopped: its supervisor process was started by a newer dogwatch")
    });
    std::fs::write(house.work().join("go"), "").expect("a file");
    assert_eq!(house.wait(), Some(4), "{}", house.said(&["status"]));
    assert_eq!(house.effects().into_values().collect::<Vec<_>>(), [1, 1], "{:?}", house.effects());
    assert_eq!(house.log("work/0/a1"), lines("line", 30));
}
