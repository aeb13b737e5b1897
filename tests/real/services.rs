//! Services and steps that wait for something outside: real servers, real files, kill -9 of the engine.

use std::path::PathBuf;

use crate::house::{House, is_alive, until, within};

/// A server of Python's own: notes each start with its process, and lives until it is ended.
const SERVER: &str = "run = 'echo $$ >> starts; exec python3 -m http.server --bind 127.0.0.1 \"$PORT\"'\n";

fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    free.local_addr().expect("it is bound").port()
}

fn state(house: &House, step: &str) -> String {
    house.lane(step)["state"].as_str().unwrap_or_default().to_owned()
}

fn detail(house: &House, step: &str) -> String {
    house.lane(step)["detail"].as_str().unwrap_or_default().to_owned()
}

/// How many servers of this house live, whatever dogwatch says.
fn servers(port: u16) -> usize {
    let wanted = port.to_string();
    let all = std::fs::read_dir("/proc").expect("processes").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let words = crate::house::cmdline(*pid);
        words.iter().any(|word| word == "http.server") && words.contains(&wanted) && is_alive(*pid)
    })
    .count()
}

fn starts(house: &House) -> usize {
    house.text("starts").lines().count()
}

fn rows(house: &House, kind: &str) -> i64 {
    let sql = "SELECT count(*) FROM events WHERE kind = ?1";
    house.journal().query_row(sql, [kind], |row| row.get(0)).expect("the journal can be counted")
}

#[test]
fn what_needs_a_service_finds_it_ready_and_nothing_of_it_is_left() {
    let house = House::new();
    let port = free_port();
    house.workflow(&format!(
        "[env]\nPORT = '{port}'\n[steps.web]\nservice = true\n{SERVER}grace = '5s'\n\
         readiness_probe = {{ http = 'http://127.0.0.1:{port}/', period = '200ms', failure_threshold = 200 }}\n\
         [steps.check]\nneeds = ['web']\n\
         run = 'python3 -c \"import urllib.request as u; u.urlopen(\\\"http://127.0.0.1:{port}/w.toml\\\")\"; \
         until test -e go; do sleep 0.1; done'\n\
         [steps.after]\nneeds = ['check']\nrun = 'until test -e end; do sleep 0.1; done'\n"
    ));
    house.start();
    until("check runs", || state(&house, "check") == "running");
    assert_eq!((state(&house, "web"), servers(port)), ("ready".into(), 1), "{}", detail(&house, "web"));
    assert!(detail(&house, "web").contains("ready"), "{}", detail(&house, "web"));
    std::fs::write(house.work().join("go"), "").expect("a file");
    until("it ends when nobody needs it", || state(&house, "web") == "succeeded");
    assert_eq!((servers(port), state(&house, "after")), (0, "running".into()), "before the run has ended");
    std::fs::write(house.work().join("end"), "").expect("a file");
    assert_eq!(house.wait(), Some(0), "{}", house.said(&["status"]));
    assert_eq!(starts(&house), 1);
}

/// kill -9 of the engine at the crash points around the start and the stop of a service, and while it serves: it is started
/// once, ended once, and none outlives its run.
#[test]
fn no_service_outlives_its_run_or_is_doubled_wherever_the_engine_is_killed() {
    let points = [
        "hands.before-launch",
        "hands.after-launch",
        "hands.before-probe",
        "hands.after-probe",
        "hands.before-stop",
        "hands.after-stop",
    ];
    let mut killed = 0;
    for point in points {
        let mut house = House::new();
        let once = house.root().join("crashed");
        house.set("DOGWATCH_CRASH", point);
        house.set("DOGWATCH_CRASH_ONCE", once.to_str().expect("a plain path"));
        let port = free_port();
        house.workflow(&format!(
            "[env]\nPORT = '{port}'\n[steps.web]\nservice = true\n{SERVER}grace = '5s'\n\
             readiness_probe = {{ tcp = '127.0.0.1:{port}', period = '200ms', failure_threshold = 200 }}\n\
             [steps.check]\nneeds = ['web']\nrun = 'echo checked >> checks'\n"
        ));
        let _ = house.dogwatch(&["run", "w.toml", "--detach"]);
        // Whoever asks next starts an engine that does not die there.
        let ends = || matches!(house.wait(), Some(0));
        assert!(within(60_000, ends), "{point}: {}", house.said(&["status"]));
        killed += usize::from(once.exists());
        assert_eq!((starts(&house), house.text("checks").lines().count()), (1, 1), "{point}");
        assert!(within(10_000, || servers(port) == 0), "{point}: a server is left");
    }
    assert_eq!(killed, points.len(), "the engine was killed at each point");
}

#[test]
fn a_stopped_run_leaves_no_service() {
    let house = House::new();
    let port = free_port();
    house.workflow(&format!(
        "[env]\nPORT = '{port}'\n[steps.web]\nservice = true\n{SERVER}grace = '5s'\n\
         readiness_probe = {{ tcp = '127.0.0.1:{port}', period = '200ms', failure_threshold = 200 }}\n\
         [steps.check]\nneeds = ['web']\nrun = 'sleep 600'\n"
    ));
    house.start();
    until("it is ready", || state(&house, "web") == "ready");
    house.kill_engine();
    until("a new engine knows that it is ready", || state(&house, "web") == "ready");
    assert_eq!((servers(port), starts(&house)), (1, 1));
    house.said(&["stop", "@last"]);
    until("the run has ended", || house.status()["line"]["state"] == "stopped");
    assert!(within(10_000, || servers(port) == 0), "a server is left");
}

#[test]
fn a_service_that_ends_or_is_not_ready_has_failed_and_says_so() {
    let house = House::new();
    house.workflow(
        "[steps.ends]\nservice = true\nrun = 'exit 0'\n\
         [steps.never]\nservice = true\nrun = 'echo address already in use; exec sleep 600'\ngrace = '1s'\n\
         readiness_probe = { command = 'exit 3', period = '100ms', failure_threshold = 3 }\n\
         [steps.test]\nneeds = ['ends', 'never']\nrun = 'true'\n",
    );
    house.start();
    until("both are asked about", || ["ends", "never"].iter().all(|step| state(&house, step) == "asking"));
    assert!(detail(&house, "ends").contains("while it was needed"), "{}", detail(&house, "ends"));
    assert!(detail(&house, "never").contains("was not ready after"), "{}", detail(&house, "never"));
    assert_eq!(state(&house, "test"), "waiting");
    assert!(detail(&house, "test").contains("to be ready"), "{}", detail(&house, "test"));
    let why = house.said(&["why", "@last", "never"]);
    assert!(why.contains("address already in use"), "{why}");
}

#[test]
fn a_step_waits_for_a_file_a_port_an_address_and_a_command_and_only_news_are_recorded() {
    let house = House::new();
    let port = free_port();
    let there = house.work().join("there");
    house.workflow(&format!(
        "[workflow]\nmax_parallel = 1\n\
         [steps.file]\nwait_for = {{ file = 'there', poll = {{ min = '100ms', max = '300ms' }} }}\n\
         [steps.port]\nwait_for = {{ tcp = '127.0.0.1:{port}', poll = {{ min = '100ms', max = '300ms' }} }}\n\
         [steps.web]\nwait_for = {{ http = 'http://127.0.0.1:{port}/', poll = {{ min = '100ms', max = '300ms' }} }}\n\
         [steps.command]\nwait_for = {{ command = 'echo looked >> looks; test -e there', poll = {{ min = '100ms', max = '300ms' }} }}\n\
         [steps.last]\nneeds = ['file', 'port', 'web', 'command']\nrun = 'echo ran >> ran'\n"
    ));
    house.start();
    until("it was looked many times", || house.text("looks").lines().count() >= 12);
    assert!(detail(&house, "file").contains("not there"), "{}", detail(&house, "file"));
    assert!(detail(&house, "port").contains("connection refused"), "{}", detail(&house, "port"));
    assert!(detail(&house, "command").contains("exit code 1"), "{}", detail(&house, "command"));
    let waits = house.lane("file")["waits"].as_array().cloned().unwrap_or_default();
    assert!(waits.iter().any(|wait| wait["kind"] == "look"), "{waits:?}");
    assert_eq!(rows(&house, "looked"), 4, "each sight is recorded once, however often it was seen");
    house.kill_engine();
    std::fs::write(&there, "").expect("a file");
    until("two of them have ended", || ["file", "command"].iter().all(|step| state(&house, step) == "succeeded"));
    assert_eq!((state(&house, "port"), state(&house, "web")), ("running".into(), "running".into()));
    let root: PathBuf = house.work();
    let mut server = std::process::Command::new("python3")
        .args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()])
        .current_dir(root)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("python3 starts");
    let ended = house.wait();
    server.kill().expect("it is killed");
    server.wait().expect("it has gone");
    assert_eq!(ended, Some(0), "{}", house.said(&["status"]));
    assert_eq!(house.text("ran"), "ran\n");
    assert_eq!(rows(&house, "looked"), 4, "a new engine tells nothing twice");
}

#[test]
fn a_wait_can_be_stopped_and_has_a_time_limit_of_its_own() {
    let house = House::new();
    house.workflow(
        "[steps.limit]\ntimeout = '1s'\nwait_for = { file = 'never', poll = { min = '100ms' } }\n\
         [steps.stop]\nwait_for = { file = 'never', poll = { min = '100ms' } }\n",
    );
    house.start();
    until("its time limit is over", || state(&house, "limit") == "asking");
    assert!(detail(&house, "limit").contains("time limit"), "{}", detail(&house, "limit"));
    house.said(&["stop", "@last", "stop"]);
    until("it is stopped", || state(&house, "stop") == "stopped");
}
