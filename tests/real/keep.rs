//! The keeper with real processes and a real tmux.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Command;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use std::collections::BTreeMap;

use dogwatch::wire::keeper::{Ask, Event, Outcome, Reply, StopReason};
use dogwatch::wire::shim::End;

use crate::house::{kill, signal};
use crate::keeper::{DEADLINE_MS, Engine, Keep, launch, now_ms, place, until};

/// A terminal that was handed out, and all that it has shown.
pub(crate) struct Shown {
    terminal: std::fs::File,
    seen: Vec<u8>,
}

impl Shown {
    pub(crate) fn new(terminal: OwnedFd) -> Self {
        rustix::io::ioctl_fionbio(&terminal, true).expect("a terminal");
        Self { terminal: terminal.into(), seen: Vec::new() }
    }

    fn text(&mut self) -> String {
        let mut block = [0u8; 4096];
        while let Ok(read) = self.terminal.read(&mut block)
            && read > 0
        {
            self.seen.extend_from_slice(&block[..read]);
        }
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    pub(crate) fn wait_for(&mut self, wanted: &str) {
        let deadline = now_ms() + DEADLINE_MS;
        while !self.text().contains(wanted) {
            assert!(now_ms() < deadline, "no {wanted:?} in {:?}", self.text());
            let mut fds = [PollFd::new(&self.terminal, PollFlags::IN)];
            let _ = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 100_000_000 }));
        }
    }

    fn type_in(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).expect("it takes what is typed");
    }
}

fn tmux(keep: &Keep, arguments: &[&str]) -> String {
    let output = Command::new("tmux").arg("-S").arg(keep.dir.path().join("rt/tmux.sock")).args(arguments).output();
    String::from_utf8_lossy(&output.expect("tmux runs").stdout).trim().to_owned()
}

fn open(key: &str, readonly: bool) -> Ask {
    Ask::OpenSession { key: key.into(), rows: 30, cols: 100, readonly }
}

#[test]
fn an_attached_person_sees_the_step_and_types_to_it() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    engine.launch(launch("a", "echo ready; read line; echo got $line; stty size; read line"));
    engine.wait_for(|event| matches!(event, Event::Claimed { .. }));
    let key = place("a").key;
    assert_eq!(engine.reply(open(&key, false)), Reply::Pty);
    let mut shown = Shown::new(engine.terminal());
    shown.wait_for("ready");
    shown.type_in("hello\n");
    shown.wait_for("got hello");
    // The step's terminal has the size of the person's.
    shown.wait_for("30 100");
    shown.type_in("\n");
    shown.wait_for("[exited 0 after");
    assert!(keep.log_text(&place("a")).contains("got hello\r\n30 100\r\n"));
}

#[test]
fn an_attempt_that_has_ended_is_shown_with_its_end() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    engine.launch(launch("a", "echo the last words; exit 3"));
    engine.wait_exited(&place("a"));
    assert_eq!(engine.reply(open(&place("a").key, true)), Reply::Pty);
    let mut shown = Shown::new(engine.terminal());
    shown.wait_for("[exited 3 after 0s]");
    let seen = shown.text();
    assert!(seen.contains("the last words"), "{seen}");
}

#[test]
fn a_tmux_server_killed_twenty_times_comes_back_and_the_step_notices_nothing() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    let script = "i=0; while [ ! -e stop ]; do echo line $i; i=$((i+1)); sleep 0.002; done";
    let mut order = launch("a", script);
    order.cwd = keep.dir.path().to_string_lossy().into_owned();
    engine.launch(order);
    let key = place("a").key;
    let there = || tmux(&keep, &["list-sessions", "-F", "#{session_name}"]).contains(&key);
    let seed = u32::from_le_bytes(dogwatch::clock::random_bytes());
    println!("seed {seed}");
    let mut random = seed;
    // Whatever it waits for in vain, what became of the step says why.
    let patient = |what: &str, is_so: &dyn Fn() -> bool| {
        let came = crate::house::within(DEADLINE_MS, is_so);
        let last = keep.log_text(&place("a")).lines().last().map(str::to_owned);
        assert!(came, "not {what}; its last line is {last:?}, its end {:?}", keep.exit(&place("a")));
    };
    for round in 0..20 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Half of them in the middle of a session being made, half when all is well.
        if round % 2 == 0 {
            patient("back in a session", &there);
        }
        let (length, more) = (keep.log(&place("a")).len(), (random >> 24) as usize);
        patient("printing more", &|| keep.log(&place("a")).len() > length + more);
        let pid = tmux(&keep, &["display-message", "-p", "-t", "=anchor:", "#{pid}"]);
        if pid.is_empty() {
            continue;
        }
        let killed_at = now_ms();
        kill(pid.parse().expect("a pid"));
        engine.wait_for(|event| *event == Event::TmuxRestarted);
        assert!(now_ms() - killed_at < 2_000, "the server was back only after {} ms", now_ms() - killed_at);
    }
    patient("back in a session", &there);
    assert_eq!(engine.reply(open(&key, true)), Reply::Pty);
    Shown::new(engine.terminal()).wait_for("line");
    std::fs::write(keep.dir.path().join("stop"), "").expect("a sign");
    engine.wait_exited(&place("a"));
    let log = keep.log_text(&place("a"));
    let wanted = (0..log.lines().count()).fold(String::new(), |all, i| all + &format!("line {i}\r\n"));
    assert!(log == wanted && log.lines().count() > 100, "the log differs from what was printed");
}

#[test]
fn without_tmux_steps_run_and_a_session_is_refused_with_the_reason() {
    let keep = Keep::start_with(&[("PATH", "/nowhere")], None);
    let mut engine = keep.connect();
    engine.launch(launch("a", "read line"));
    engine.wait_for(|event| matches!(event, Event::Claimed { .. }));
    match engine.ask(open(&place("a").key, false)) {
        Outcome::Refused(why) => assert!(why.contains("tmux"), "{why}"),
        other @ Outcome::Reply(_) => panic!("{other:?}"),
    }
    engine.stop(&place("a"), 0);
    engine.wait_exited(&place("a"));
}

#[test]
fn a_peer_without_the_secret_is_refused_and_an_older_engine_too() {
    let keep = Keep::start();
    let refused = Engine::connect_as(&keep.socket(), 9, &[8; 32]).err().expect("it is refused");
    assert!(refused.contains("does not know the secret"), "{refused}");
    let mut old = Engine::connect(&keep.socket(), 5).expect("epoch 5 is welcome");
    let mut new = Engine::connect(&keep.socket(), 6).expect("epoch 6 is welcome");
    let refused = Engine::connect(&keep.socket(), 5).err().expect("epoch 5 is refused now");
    assert!(refused.contains("a newer engine (epoch 6)"), "{refused}");
    // Also on the connection that it has already.
    match old.ask(Ask::Launch(Box::new(launch("a", "exit 0")))) {
        Outcome::Refused(why) => assert!(why.contains("newer engine"), "{why}"),
        other @ Outcome::Reply(_) => panic!("{other:?}"),
    }
    assert_eq!(new.launch(launch("a", "exit 0")), Reply::Launched);
    new.wait_exited(&place("a"));
}

#[test]
fn a_peer_that_talks_nonsense_or_too_much_is_dropped_and_others_are_served() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    for said in [b"nonsense\n".to_vec(), vec![b'x'; 5 * 1024 * 1024]] {
        let mut peer = std::os::unix::net::UnixStream::connect(keep.socket()).expect("it listens");
        // The keeper closes the connection before it has read all of it.
        let _ = peer.write_all(&said);
        let mut rest = Vec::new();
        let _ = peer.read_to_end(&mut rest);
        assert_eq!(rest.split(|byte| *byte == b'\n').count(), 2, "only the greeting");
    }
    engine.launch(launch("a", "exit 0"));
    engine.wait_exited(&place("a"));
}

#[test]
fn places_that_lead_out_of_the_run_are_refused() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    for dir in ["../../x", "a/../b", "/etc/0/a1", "a/0", "a/0/a1/x", "a//a1", "", "a/0/a1\0"] {
        let mut order = launch("a", "exit 0");
        order.place.dir = dir.into();
        match engine.ask(Ask::Launch(Box::new(order))) {
            Outcome::Refused(why) => assert!(why.contains("step/lane/a1"), "{why}"),
            other @ Outcome::Reply(_) => panic!("{dir}: {other:?}"),
        }
    }
    let mut order = launch("a", "exit 0");
    order.place.key = "dw-a;kill-server".into();
    assert!(matches!(engine.ask(Ask::Launch(Box::new(order))), Outcome::Refused(_)));
    // A link in the place of a directory is not followed either.
    let outside = tempfile::tempdir().expect("a directory");
    std::os::unix::fs::symlink(outside.path(), keep.dir.path().join("run/b")).expect("a link");
    assert!(matches!(engine.ask(Ask::Launch(Box::new(launch("b", "exit 0")))), Outcome::Refused(_)));
    assert_eq!(std::fs::read_dir(outside.path()).expect("a directory").count(), 0);
}

#[test]
fn twenty_steps_at_once_end_each_with_its_own_code_and_log() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    let steps: Vec<(String, i32)> = (0..20).map(|number| (format!("s{number}"), number)).collect();
    for (step, number) in &steps {
        engine.launch(launch(step, &format!("sleep 0.2; echo I am {number}; exit {number}")));
    }
    for (step, number) in &steps {
        engine.wait_exited(&place(step));
        assert_eq!(keep.exit(&place(step)).expect("a record").end, End::Code(*number));
        assert_eq!(keep.log_text(&place(step)), format!("I am {number}\r\n"));
    }
}

#[test]
fn a_new_keeper_finds_the_shims_of_the_old_one() {
    let mut keep = Keep::start();
    let mut engine = keep.connect();
    engine.launch(launch("a", "read line; echo got $line; read line"));
    engine.launch(launch("b", "read line; exit 9"));
    for _ in 0..2 {
        engine.wait_for(|event| matches!(event, Event::Claimed { .. }));
    }
    keep.restart();
    let mut engine = keep.connect();
    assert_eq!(engine.launch(launch("a", "echo a second run")), Reply::AlreadyThere);
    let found = engine.look_up(&place("a"));
    assert!(found.held && !found.exited, "{found:?}");
    let hello = "aGVsbG8K".to_owned();
    until("the shim is found again", || {
        matches!(engine.ask(Ask::Input { key: place("a").key, bytes: hello.clone() }), Outcome::Reply(Reply::Done))
    });
    until("the step has got its line", || keep.log_text(&place("a")).contains("got hello"));
    assert_eq!(engine.reply(open(&place("a").key, false)), Reply::Pty);
    Shown::new(engine.terminal()).wait_for("got hello");
    engine.stop(&place("a"), 0);
    engine.wait_exited(&place("a"));
    // And one that ended while nobody watched.
    engine.reply(Ask::Input { key: place("b").key, bytes: hello });
    engine.wait_exited(&place("b"));
    assert_eq!(keep.exit(&place("b")).expect("a record").end, End::Code(9));
}

#[test]
fn what_a_dead_shim_leaves_behind_is_ended_by_a_stop() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    let mut order = launch("a", "trap '' HUP TERM; echo $$ > pid; sleep 100; sleep 100");
    order.cwd = keep.dir.path().to_string_lossy().into_owned();
    engine.launch(order);
    until("the step runs", || {
        std::fs::read_to_string(keep.dir.path().join("pid")).is_ok_and(|pid| pid.ends_with('\n'))
    });
    let step = std::fs::read_to_string(keep.dir.path().join("pid")).expect("a pid");
    let claim = std::fs::read_to_string(keep.path(&place("a")).join("claim/claim.json")).expect("a claim");
    let shim = serde_json::from_str::<serde_json::Value>(&claim).expect("a claim")["pid"].to_string();
    kill(shim.parse().expect("a pid"));
    engine.wait_for(|event| matches!(event, Event::ShimGone { .. }));
    let proc = std::path::Path::new("/proc").join(step.trim());
    assert!(proc.exists(), "it ignores the hang-up");
    let key = place("a").key;
    assert_eq!(engine.reply(Ask::Stop { key, grace_ms: 100, reason: StopReason::Stop, save: None }), Reply::Done);
    assert!(!proc.exists());
}

#[test]
fn a_probe_gives_back_its_code_and_output_and_is_killed_when_it_is_too_slow() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    let run = |script: &str, timeout_ms| Ask::Run {
        argv: ["/bin/sh", "-c", script].map(String::from).to_vec(),
        env: BTreeMap::from([("A".into(), "b c".into())]),
        cwd: "/".into(),
        timeout_ms,
    };
    let ran = |code, output: &str, timed_out| Reply::Ran { code, output: output.into(), timed_out };
    assert_eq!(engine.reply(run("echo $A; pwd >&2; exit 10", 10_000)), ran(10, "b c\n/\n", false));
    assert_eq!(engine.reply(run("echo slow; sleep 100", 100)), ran(137, "slow\n", true));
    // Something in the background keeps the output open: the probe has ended all the same.
    assert_eq!(engine.reply(run("setsid sleep 3 & echo over", 10_000)), ran(0, "over\n", false));
    let Reply::Ran { output, .. } = engine.reply(run("head -c 200000 /dev/zero | tr '\\0' x", 10_000)) else {
        panic!()
    };
    assert_eq!(output.len(), 64 * 1024);
    let nowhere = Ask::Run { argv: vec!["/nowhere".into()], env: BTreeMap::new(), cwd: "/".into(), timeout_ms: 1 };
    assert!(matches!(engine.ask(nowhere), Outcome::Refused(_)));
}

#[test]
fn a_shell_has_a_terminal_of_its_own_and_is_hung_up_with_it() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    let argv = vec!["/bin/sh".into(), "-c".into(), "stty size; tty; echo $$; read line".into()];
    assert_eq!(
        engine.reply(Ask::OpenPty { argv, env: BTreeMap::new(), cwd: "/".into(), rows: 33, cols: 77 }),
        Reply::Pty
    );
    let mut shown = Shown::new(engine.terminal());
    until("it shows its three lines", || shown.text().matches("\r\n").count() == 3);
    let text = shown.text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0] == "33 77" && lines[1].starts_with("/dev/pts/"), "{text}");
    drop(shown);
    let proc = std::path::Path::new("/proc").join(lines[2]);
    until("it is hung up", || !proc.exists());
}

#[test]
fn a_keeper_with_live_steps_ends_only_by_force() {
    let mut keep = Keep::start();
    let mut engine = keep.connect();
    engine.launch(launch("a", "sleep 1000"));
    engine.wait_for(|event| matches!(event, Event::Claimed { .. }));
    match engine.ask(Ask::Shutdown { force: false }) {
        Outcome::Refused(why) => assert!(why.contains("1 attempts are still running"), "{why}"),
        other @ Outcome::Reply(_) => panic!("{other:?}"),
    }
    signal(i32::try_from(keep.child.id()).expect("a pid"), Signal::TERM);
    assert_eq!(engine.reply(Ask::Shutdown { force: true }), Reply::Done);
    engine.wait_exited(&place("a"));
    until("the keeper has ended", || keep.child.try_wait().expect("a child").is_some());
    assert_eq!(keep.exit(&place("a")).expect("a record").stop, Some(StopReason::Stop));
}

#[test]
fn the_sessions_of_ended_attempts_do_not_pile_up() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    for number in 0..36 {
        let step = format!("s{number}");
        engine.launch(launch(&step, "exit 0"));
        engine.wait_exited(&place(&step));
        assert_eq!(engine.reply(open(&place(&step).key, true)), Reply::Pty);
        Shown::new(engine.terminal()).wait_for("[exited 0");
    }
    let count = || {
        tmux(&keep, &["list-sessions", "-F", "#{session_name}"]).lines().filter(|name| name.starts_with("dw-")).count()
    };
    until("only the newest are kept", || count() == 32);
}

#[test]
fn as_the_first_process_of_a_sandbox_it_reaps_all_and_takes_all_with_it() {
    let Some(mut keep) = Keep::start_in_sandbox() else { return };
    let mut engine = keep.connect();
    // Forked twice and gone: nobody but the first process can reap these.
    let script =
        "i=0; while [ $i -lt 20 ]; do (setsid true &); i=$((i+1)); done; setsid sleep 1000 & sleep 0.1; exit 0";
    engine.launch(launch("a", script));
    engine.wait_exited(&place("a"));
    assert_eq!(keep.exit(&place("a")).expect("a record").leaked.len(), 1);
    engine.launch(launch("b", "echo ready; read line; stty size"));
    engine.wait_for(|event| matches!(event, Event::Claimed { key } if *key == place("b").key));
    assert_eq!(engine.reply(open(&place("b").key, false)), Reply::Pty);
    let mut shown = Shown::new(engine.terminal());
    shown.wait_for("ready");
    shown.type_in("\n");
    shown.wait_for("[exited 0");
    let list = Ask::Run {
        argv: ["/bin/sh", "-c", "cat /proc/[0-9]*/stat"].map(String::from).to_vec(),
        env: BTreeMap::new(),
        cwd: "/".into(),
        timeout_ms: 10_000,
    };
    let Reply::Ran { output, .. } = engine.reply(list) else { panic!("no list of processes") };
    assert!(output.starts_with("1 (dogwatch)"), "{output}");
    // What tmux has not waited for yet is tmux's.
    assert!(output.contains("(sleep)") && !output.contains(") Z 1 "), "{output}");
    assert_eq!(engine.reply(Ask::Shutdown { force: false }), Reply::Done);
    until("the sandbox has ended", || keep.child.try_wait().expect("a child").is_some());
}
