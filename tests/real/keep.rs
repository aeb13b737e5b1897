//! The keeper with real processes and a real tmux.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Command;

use dogwatch::wire::keeper::{Ask, Event, Outcome, Reply};

use crate::keeper::{Keep, launch, now_ms, place, until};

/// A terminal that was handed out, and all that it has shown.
struct Shown {
    terminal: std::fs::File,
    seen: Vec<u8>,
}

impl Shown {
    fn new(terminal: OwnedFd) -> Self {
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

    fn wait_for(&mut self, wanted: &str) {
        until(&format!("the terminal shows {wanted:?}"), || self.text().contains(wanted));
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
fn a_killed_tmux_server_comes_back_and_the_step_notices_nothing() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    let script = "i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); sleep 0.005; done";
    engine.launch(launch("a", script));
    let key = place("a").key;
    for _ in 0..4 {
        until("the session is there", || tmux(&keep, &["list-sessions", "-F", "#{session_name}"]).contains(&key));
        let pid = tmux(&keep, &["display-message", "-p", "-t", "=anchor:", "#{pid}"]);
        let killed_at = now_ms();
        assert!(Command::new("kill").args(["-9", &pid]).status().expect("kill runs").success());
        engine.wait_for(|event| *event == Event::TmuxRestarted);
        assert!(now_ms() - killed_at < 2_000, "the server was back only after {} ms", now_ms() - killed_at);
    }
    until("the session is back", || tmux(&keep, &["list-sessions", "-F", "#{session_name}"]).contains(&key));
    engine.wait_exited(&place("a"));
    let wanted: String = (0..400).map(|i| format!("line {i}\r\n")).collect();
    assert_eq!(keep.log_text(&place("a")), wanted);
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
