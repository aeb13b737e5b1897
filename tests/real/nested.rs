//! Hands on through two more tmux servers: the operator's own around dogwatch, and one that runs inside the step. Driven by
//! `send-keys`, as a keyboard would.

use std::path::PathBuf;
use std::process::Command;

use crate::house::{DEADLINE_MS, House, until, within, words};

/// The step `inner` is a tmux with a program in it that writes down what it reads; `plain` tells the size of its terminal.
const WORKFLOW: &str = r#"
[workflow]
name = "nested"
[steps.inner]
run = '''
tmux -S "$DOGWATCH_DIR/in" -f /dev/null new-session 'stty raw -echo; echo ready; exec cat > keys'
echo the inner one is left
sleep 600
'''
[steps.chatter]
run = '''
stty raw -echo
(while :; do printf 'tick %s\r\n' "$((n += 1))"; sleep 0.01; done) &
cat > heard
'''
[steps.plain]
run = '''
trap 'stty size >> sizes' WINCH
while :; do
    if [ -e ask ]; then rm ask; stty size > answer; fi
    sleep 0.05
done
'''
"#;

/// The operator's own tmux.
struct Outer<'a> {
    house: &'a House,
    socket: PathBuf,
}

impl<'a> Outer<'a> {
    /// A window of 100 columns and 30 rows with this command line of dogwatch in it.
    fn open(house: &'a House, arguments: &[&str]) -> Self {
        let outer = Self { house, socket: house.root().join("outer") };
        outer.tmux(&["new-session", "-d", "-s", "desk", "-x", "100", "-y", "30", "exec sleep 600"]);
        outer.tmux(&["set-option", "-g", "remain-on-exit", "on"]);
        outer.show(arguments);
        outer
    }

    fn command(&self) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).args(["-f", "/dev/null"]).env_remove("TMUX");
        command.env("DOGWATCH_STATE_DIR", self.house.state()).env("HOME", self.house.root());
        command.current_dir(self.house.work());
        command
    }

    #[track_caller]
    fn tmux(&self, arguments: &[&str]) -> String {
        let output = self.command().args(arguments).output().expect("tmux starts");
        assert!(output.status.success(), "{arguments:?}: {}", words(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The same window with another command line in it.
    #[track_caller]
    fn show(&self, arguments: &[&str]) {
        let all = [&["respawn-pane", "-k", "-t", "desk", env!("CARGO_BIN_EXE_dogwatch")], arguments].concat();
        self.tmux(&all);
    }

    #[track_caller]
    fn press(&self, key: &str) {
        self.tmux(&["send-keys", "-t", "desk", key]);
    }

    #[track_caller]
    fn see(&self, text: &str) {
        let shown = || self.tmux(&["capture-pane", "-p", "-t", "desk"]);
        assert!(within(DEADLINE_MS, || shown().contains(text)), "{text:?} is not on the screen:\n{}", shown());
    }

    #[track_caller]
    fn resize(&self, cols: &str, rows: &str) {
        self.tmux(&["resize-window", "-t", "desk", "-x", cols, "-y", rows]);
    }
}

impl Drop for Outer<'_> {
    fn drop(&mut self) {
        let _ = self.command().arg("kill-server").output();
    }
}

fn house() -> House {
    // As if `dogwatch run` was typed in a tmux: what that one says of itself is of no use inside.
    let house = House::with(&[("TMUX", "/tmp/somebody-elses,1,0"), ("TMUX_PANE", "%0")]);
    house.workflow(WORKFLOW);
    house.start();
    house
}

fn bytes(house: &House, name: &str) -> Vec<u8> {
    std::fs::read(house.work().join(name)).unwrap_or_default()
}

/// Presses each of them and waits until the innermost program has read what it stands for.
fn all_arrive(outer: &Outer<'_>, file: &str, keys: &[(&[&str], &[u8])]) {
    let mut wanted = Vec::new();
    for (pressed, read) in keys {
        pressed.iter().for_each(|key| outer.press(key));
        wanted.extend_from_slice(read);
        until(&format!("{pressed:?} arrive as {read:x?}"), || bytes(outer.house, file) == wanted);
    }
}

/// The beginning of the inner one's status line. Once that is drawn its questions to the terminal are answered, too, and
/// no answer gets between two keys.
const INNER: &str = "[0] 0:";

/// The inner tmux takes the first Ctrl-b, as everywhere, and passes on the second.
const KEYS: &[(&[&str], &[u8])] = &[
    (&["C-b", "C-b"], b"\x02"),
    (&["Escape"], b"\x1b"),
    (&["M-x"], b"\x1bx"),
    (&["C-c", "C-z", "C-q"], b"\x03\x1a\x11"),
    (&["\u{e9}"], "\u{e9}".as_bytes()),
];

#[test]
fn every_key_reaches_a_program_in_a_tmux_in_a_step_in_a_tmux() {
    let house = house();
    let outer = Outer::open(&house, &["attach", "nested", "inner"]);
    outer.see("ready");
    outer.see(INNER);
    all_arrive(&outer, "keys", KEYS);
    // The inner one's own keys are its own: this one leaves it, and not the step.
    outer.press("C-b");
    outer.press("d");
    outer.see("the inner one is left");
    outer.press("C-]");
    outer.see("let go of inner");
    assert_eq!(house.lane("inner")["state"], "running");
}

#[test]
fn every_key_reaches_a_program_in_a_tmux_in_a_shell_in_a_tmux() {
    let house = house();
    let outer = Outer::open(&house, &["shell", "nested", "plain"]);
    outer.see("a shell beside plain");
    outer.press("tmux -S $DOGWATCH_DIR/in -f /dev/null new-session 'stty raw -echo; exec cat > typed'");
    outer.press("Enter");
    until("the innermost program reads", || house.work().join("typed").exists());
    outer.see(INNER);
    all_arrive(&outer, "typed", KEYS);
    outer.press("C-b");
    outer.press("d");
    outer.see("detached");
    outer.press("C-]");
    outer.see("let go of the shell beside plain");
    assert_eq!(house.lane("plain")["state"], "running");
}

/// An Escape may be the beginning of a longer key and is held back for a moment, which must end while output comes.
#[test]
fn a_lone_escape_reaches_a_step_that_prints_without_a_pause() {
    let house = house();
    let outer = Outer::open(&house, &["attach", "nested", "chatter"]);
    outer.see("tick");
    all_arrive(&outer, "heard", &[(&["Escape"], b"\x1b"), (&["Escape"], b"\x1b"), (&["x"], b"x")]);
}

#[test]
fn the_step_follows_the_window_of_who_is_attached_and_keeps_the_size_afterwards() {
    let house = house();
    let outer = Outer::open(&house, &["attach", "nested", "plain"]);
    let newest = || house.text("sizes").lines().last().unwrap_or_default().to_owned();
    until("it has the size of the window", || newest() == "30 100");
    outer.resize("130", "45");
    until("it grows", || newest() == "45 130");
    outer.resize("70", "20");
    until("it shrinks", || newest() == "20 70");
    outer.press("C-]");
    outer.see("let go of plain");
    outer.resize("110", "35");
    // Somebody looks without touching; then the step tells its size.
    outer.show(&["logs", "nested", "plain"]);
    std::fs::write(house.work().join("ask"), b"").expect("the workspace has room");
    until("it tells its size", || house.text("answer").ends_with('\n'));
    assert_eq!(house.text("answer"), "20 70\n", "{}", house.text("sizes"));
}
