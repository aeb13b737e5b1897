//! The command line against a real engine: exit codes, following, a terminal of its own, the engine killed meanwhile.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command};
use std::time::Duration;

use dogwatch::clock::{boottime_ms, pause};

use crate::desk::{Desk, PATIENCE_MS, Said, Terminal};

const GOOD: &str = "[steps.a]\nrun = \"echo hello\"\n";

#[test]
fn a_good_run_is_followed_to_its_end_line_by_line() {
    let desk = Desk::new();
    desk.write("good", GOOD);
    let said = desk.run(&["run"]).ends(0);
    assert!(said.out.starts_with("good #1 started"), "{}", said.out);
    assert!(said.out.contains("✓ good #1  succeeded  1/1 steps"), "{}", said.out);
    assert!(!said.out.contains('\u{1b}'), "no colour and no motion off a terminal: {}", said.out);
    // The same as JSON lines, each with version and kind.
    let said = desk.run(&["run", "--json"]).ends(0);
    let kinds: Vec<String> = said
        .out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect(line))
        .inspect(|value| assert_eq!(value["v"], 1))
        .map(|value| value["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds.first().map(String::as_str), Some("run.started"));
    assert_eq!(kinds.last().map(String::as_str), Some("run.status"));
    assert!(kinds.iter().any(|kind| kind == "event"), "{kinds:?}");
    assert_eq!(desk.run(&["run", "-q", "--detach"]).ends(0).out, "good#3\n");
    desk.run(&["wait", "good#3", "--for", "done"]).ends(0);
    assert_eq!(desk.run(&["runs", "--json"]).ends(0).out.lines().count(), 3);
}

#[test]
fn what_an_engine_of_another_build_refuses_is_said_to_be_its_refusal() {
    let desk = Desk::new();
    desk.write("many", "[steps.a]\nrun = \"true\"\nmatrix = { n = [1, 2] }\n");
    desk.run(&["run"]).ends(0);
    // The same build: the refusal is ours as well.
    let same = desk.run(&["why", "many", "a"]).ends(2);
    assert!(!same.err.contains("another build"), "{}", same.err);
    desk.run(&["engine", "stop"]).ends(0);
    // Another build: the same program with one byte more.
    let other = desk.project().join("dogwatch-of-yesterday");
    let mut bytes = std::fs::read(env!("CARGO_BIN_EXE_dogwatch")).expect("the binary");
    bytes.push(0);
    std::fs::write(&other, bytes).expect("written");
    std::fs::set_permissions(&other, PermissionsExt::from_mode(0o755)).expect("made executable");
    let mut start = Command::new(&other);
    start.args(["engine", "start"]);
    desk.prepare(&mut start);
    assert!(start.status().expect("started").success());
    let said = desk.run(&["why", "many", "a"]).ends(2);
    for words in ["name one of them", "another build", "dogwatch engine stop"] {
        assert!(said.err.contains(words), "{words}: {}", said.err);
    }
    // What the state of a run forbids has nothing to do with it.
    let said = desk.run(&["status", "none"]).ends(5);
    assert!(!said.err.contains("another build"), "{}", said.err);
}

#[test]
fn exit_codes_and_words_of_everything_that_goes_wrong() {
    let desk = Desk::new();
    desk.write("bad", "[steps.a]\nrun = \"echo about to fail; exit 3\"\n");
    // A person is needed, and told everything.
    let said = desk.run(&["run", "--no-input"]).ends(3);
    for words in ["? e1", "a failed with exit code 3", "about to fail", "dogwatch decide e1 "] {
        assert!(said.out.contains(words), "{words}: {}", said.out);
    }
    desk.run(&["watch", "bad"]).ends(3);
    let said = desk.run(&["wait", "bad"]).ends(3);
    assert!(said.out.contains("dogwatch show e1"), "{}", said.out);
    assert!(desk.run(&["inbox"]).ends(0).out.starts_with("e1 "));
    // A choice that is none; a choice that ends the run, unconfirmed.
    let said = desk.run(&["decide", "e1", "pray"]).ends(2);
    assert!(said.err.contains("choose one of: retry"), "{}", said.err);
    let said = desk.run(&["decide", "e1", "stop-run"]).ends(2);
    assert!(said.err.contains("--confirm=bad"), "{}", said.err);
    desk.run(&["decide", "e1", "stop-run", "--confirm=wrong"]).ends(6);
    desk.run(&["approve", "e1"]).ends(6);
    // Answered once.
    desk.run(&["decide", "e1", "fail", "-m", "it is broken"]).ends(0);
    let said = desk.run(&["decide", "e1", "retry"]).ends(6);
    assert!(said.err.contains("answered already"), "{}", said.err);
    desk.run(&["wait", "bad"]).ends(1);
    desk.run(&["watch", "bad"]).ends(1);
    assert!(desk.run(&["show", "e1"]).ends(0).out.contains("it is broken"));
    // Stopped.
    desk.write("slow", "[steps.a]\nrun = \"sleep 60\"\n");
    desk.run(&["run", "--detach"]).ends(0);
    desk.run(&["wait", "slow", "--timeout", "300ms"]).ends(124);
    desk.run(&["stop", "slow"]).ends(0);
    desk.run(&["wait", "slow"]).ends(4);
    // Nothing of that name.
    let said = desk.run(&["status", "slwo"]).ends(5);
    assert!(said.err.contains("slow"), "the nearest name: {}", said.err);
    desk.run(&["logs", "slow", "nope"]).ends(5);
    desk.run(&["show", "e99"]).ends(5);
    // Wrong files and usage.
    desk.write("wrong", "[steps.a]\nrum = \"x\"\n");
    let said = desk.run(&["run"]).ends(2);
    assert!(said.err.contains("dogwatch.toml:5:1") && said.err.contains("run"), "{}", said.err);
    desk.run(&["validate"]).ends(2);
    desk.run(&["run", "nowhere.toml"]).ends(2);
    desk.run(&["run", "-p", "novalue"]).ends(2);
    let said = desk.run(&["attach", "slow", "a"]).ends(2);
    assert!(said.err.contains("needs a terminal"), "{}", said.err);
}

#[test]
fn without_an_engine_looking_starts_none() {
    let desk = Desk::new();
    desk.run(&["engine", "status"]).ends(5);
    let said = desk.run(&[]).ends(0);
    assert!(said.out.contains("no engine runs here"), "{}", said.out);
    assert!(!desk.state.join("engine.sock").exists());
    desk.run(&["engine", "start"]).ends(0);
    desk.run(&["engine", "status"]).ends(0);
    desk.run(&["engine", "stop"]).ends(0);
    desk.run(&["engine", "status"]).ends(5);
}

#[test]
fn clients_that_start_at_once_find_one_engine() {
    let desk = Desk::new();
    let clients: Vec<Child> = (0..8).map(|_| desk.spawn(&["ps"])).collect();
    for client in clients {
        Said::from(client.wait_with_output().unwrap()).ends(0);
    }
    let pid = desk.engine_pid().expect("an engine");
    let said = desk.run(&["engine", "run"]);
    assert_ne!(said.code, Some(0), "a second engine is refused");
    assert!(said.err.contains(&pid.to_string()), "and told who is at work: {}", said.err);
}

/// Whoever removes the state directory has no engine left that nobody knows of.
#[test]
fn an_engine_whose_state_directory_is_removed_ends() {
    let desk = Desk::new();
    desk.run(&["engine", "start"]).ends(0);
    let pid = desk.engine_pid().expect("an engine");
    std::fs::remove_dir_all(&desk.state).unwrap();
    crate::house::until("the engine ends", || !crate::house::is_alive(pid));
    // The next one is on its own.
    desk.run(&["engine", "start"]).ends(0);
    assert_ne!(desk.engine_pid(), Some(pid));
}

#[test]
fn a_state_directory_that_cannot_be_trusted_is_refused_and_a_deep_one_works() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new();
    std::fs::create_dir_all(&desk.state).unwrap();
    std::fs::set_permissions(&desk.state, std::fs::Permissions::from_mode(0o777)).unwrap();
    let said = desk.run(&["ps"]).ends(6);
    assert!(said.err.contains("chmod 700"), "{}", said.err);
    std::fs::set_permissions(&desk.state, std::fs::Permissions::from_mode(0o700)).unwrap();
    let deep = Desk::with_state(&"a-folder-with-a-long-name/".repeat(8));
    assert!(deep.state.as_os_str().len() > 150);
    deep.write("good", GOOD);
    deep.run(&["run"]).ends(0);
}

#[test]
fn who_follows_survives_the_death_of_the_engine() {
    let desk = Desk::new();
    desk.write(
        "long",
        "[steps.a]\nrun = \"echo start >> count; touch up; while [ ! -e go ]; do sleep 0.05; done; echo end >> count\"\n",
    );
    let following = desk.spawn(&["run"]);
    desk.wait_file("up");
    let waiting = desk.spawn(&["wait", "long", "--for", "done"]);
    let logging = desk.spawn(&["logs", "long", "a", "-f"]);
    let first = desk.kill_engine();
    // Nobody else starts it: no step ends, no command is given.
    let until = boottime_ms() + PATIENCE_MS;
    let second = loop {
        assert!(boottime_ms() < until, "the engine is not started again");
        match desk.engine_pid() {
            Some(pid) if pid != first => break pid,
            _ => pause(Duration::from_millis(50)),
        }
    };
    std::fs::write(desk.project().join("go"), "").unwrap();
    let said = Said::from(following.wait_with_output().unwrap()).ends(0);
    assert!(said.err.contains(&format!("the engine is back (pid {second})")), "{}", said.err);
    Said::from(waiting.wait_with_output().unwrap()).ends(0);
    Said::from(logging.wait_with_output().unwrap()).ends(0);
    assert_eq!(desk.read("count"), "start\nend\n");
}

#[test]
fn logs_are_plain_text_unless_asked_for_raw() {
    let desk = Desk::new();
    let script =
        r"printf '\033]52;c;AAAA\007\033[31mred\033[0m \033[2J\n1/2\r2/2\n'; for i in 1 2 3 12; do echo line $i; done";
    desk.write("out", &format!("[steps.a]\nrun = '''{script}'''\n"));
    desk.run(&["run"]).ends(0);
    let said = desk.run(&["logs", "out", "a"]).ends(0);
    assert_eq!(said.out, "red\n2/2\nline 1\nline 2\nline 3\nline 12\n");
    assert_eq!(desk.run(&["logs", "out", "a", "--tail", "1"]).ends(0).out, "line 12\n");
    assert_eq!(desk.run(&["logs", "out", "a", "--grep", "1$"]).ends(0).out, "line 1\n");
    assert_eq!(desk.run(&["logs", "out", "a", "--grep", "line 1", "--tail", "1"]).ends(0).out, "line 12\n");
    assert_eq!(desk.run(&["logs", "out", "a", "--since", "1h", "--tail", "2"]).ends(0).out, "line 3\nline 12\n");
    assert_eq!(desk.run(&["logs", "out", "a", "-f"]).ends(0).out, said.out);
    assert!(desk.run(&["logs", "out", "a", "--raw"]).ends(0).out.contains("\u{1b}]52;c;AAAA\u{7}"));
    let json = desk.run(&["logs", "out", "a", "--json", "--tail", "1"]).ends(0).out;
    assert_eq!(json, "{\"v\":1,\"kind\":\"log\",\"step\":\"a\",\"attempt\":1,\"line\":\"line 12\"}\n");
    let said = desk.run(&["logs", "out", "a", "--grep", "("]).ends(2);
    assert!(said.err.contains("--grep"), "{}", said.err);
    // A reader that goes away is no failure.
    let mut child = desk.spawn(&["logs", "out", "a"]);
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

#[test]
fn on_a_terminal_a_run_is_drawn_and_ctrl_c_leaves_it_running() {
    let desk = Desk::new();
    desk.write("live", "[steps.a]\nrun = \"echo working hard; while [ ! -e go ]; do sleep 0.05; done\"\n");
    let mut terminal = desk.on_terminal(&["run", "--follow"]);
    terminal.see("working hard");
    terminal.see("\u{1b}[K");
    terminal.press("\u{3}");
    terminal.see("the run goes on: dogwatch watch live#1");
    terminal.ends(130);
    std::fs::write(desk.project().join("go"), "").unwrap();
    desk.run(&["wait", "live"]).ends(0);
    // NO_COLOR and a dumb terminal: no colour, no motion.
    let mut terminal = desk.on_terminal(&["--color", "never", "watch", "live", "--plain"]);
    terminal.ends(0);
    assert!(!terminal.shown.contains('\u{1b}'), "{:?}", terminal.shown);
}

#[test]
fn a_question_is_answered_by_its_number_on_the_terminal() {
    let desk = Desk::new();
    desk.write("ask", "[steps.a]\nrun = \"exit 9\"\n");
    let mut terminal = desk.on_terminal(&["run", "--follow"]);
    terminal.see("a number decides");
    terminal.press("99\r");
    terminal.see("choose one of");
    terminal.ends_after_decision(&desk);
    // The number of `done`.
    let mut terminal = desk.on_terminal(&["run", "--follow"]);
    terminal.see("a number decides");
    terminal.press("2\r");
    terminal.ends(0);
    assert!(desk.run(&["show", "e2"]).ends(0).out.contains("answered done"));
}

impl Terminal {
    /// Ends with this code; all that it has shown.
    #[track_caller]
    fn ends_with_words(mut self, code: i32) -> String {
        self.ends(code);
        std::mem::take(&mut self.shown)
    }

    /// Answered from another place: whoever follows goes on.
    #[track_caller]
    fn ends_after_decision(&mut self, desk: &Desk) {
        desk.run(&["decide", "e1", "fail"]).ends(0);
        self.ends(1);
    }
}

#[test]
fn attaching_types_into_the_step_and_leaves_the_terminal_as_it_was() {
    let desk = Desk::new();
    desk.write("talk", "[steps.a]\nrun = \"echo ready; read word; echo \\\"$word\\\" > heard; sleep 60\"\n");
    desk.run(&["run", "--detach"]).ends(0);
    let mut terminal = desk.on_terminal(&["attach", "talk", "a"]);
    terminal.see("you are typing into it; Ctrl-] lets go");
    terminal.see("ready");
    assert!(terminal.is_raw());
    terminal.press("hello\r");
    desk.wait_file("heard");
    terminal.press("\u{1d}");
    terminal.see("let go of a after");
    terminal.ends(0);
    assert!(terminal.shown.contains("6 keys sent"), "{:?}", terminal.shown);
    assert!(!terminal.is_raw(), "the terminal is as it was");
    assert_eq!(desk.read("heard"), "hello\n");
    // The step goes on; a signal leaves as tidily; a reader types nothing.
    let mut terminal = desk.on_terminal(&["attach", "talk", "a", "--readonly", "--detach-key", "ctrl-x"]);
    terminal.see("Ctrl-X lets go");
    terminal.see("ready");
    terminal.press("x\u{1d}");
    terminal.press("\u{18}");
    terminal.ends(0);
    assert!(terminal.shown.contains("0 keys sent"), "{:?}", terminal.shown);
    let said = desk.run(&["status", "talk", "--json"]).ends(0);
    assert!(said.out.contains("\"state\":\"running\""), "{}", said.out);
}

#[test]
fn attaching_again_after_the_engine_and_being_taken_over() {
    let desk = Desk::new();
    desk.write("talk", "[steps.a]\nrun = \"while read word; do echo \\\"got $word\\\" >> heard; done\"\n");
    desk.run(&["run", "--detach"]).ends(0);
    let mut first = desk.on_terminal(&["attach", "talk", "a", "--as", "ann@desk"]);
    first.see("you are typing into it");
    let said = desk.on_terminal(&["attach", "talk", "a"]).ends_with_words(6);
    assert!(said.contains("ann@desk is typing into a") && said.contains("--take-over"), "{said}");
    desk.kill_engine();
    desk.run(&["engine", "start"]).ends(0);
    first.see("attaching again");
    first.see("you are typing into it");
    first.press("one\r");
    desk.wait_file("heard");
    let mut second = desk.on_terminal(&["attach", "talk", "a", "--as", "bob@lap", "--take-over"]);
    second.see("you are typing into it");
    first.see("bob@lap took over a");
    first.ends(0);
    assert!(!first.is_raw());
    desk.run(&["detach", "talk", "a"]).ends(0);
    second.see("somebody closed your terminal on a, which goes on");
    second.ends(0);
    desk.run(&["detach", "talk", "a"]).ends(6);
}

#[test]
fn a_shell_beside_a_step_has_its_variables() {
    let desk = Desk::new();
    desk.write("beside", "[env]\nCOLOUR = \"green\"\n[steps.a]\nrun = \"sleep 60\"\n");
    desk.run(&["run", "--detach"]).ends(0);
    desk.run(&["wait", "beside", "--timeout", "1s"]).ends(124);
    let mut terminal = desk.on_terminal(&["shell", "beside", "a"]);
    terminal.see("a shell beside");
    terminal.press("echo \"<$COLOUR>\" > seen; exit\r");
    terminal.see("has ended after");
    terminal.ends(0);
    assert!(!terminal.is_raw());
    assert_eq!(desk.read("seen"), "<green>\n");
}

#[test]
fn a_shell_beside_an_ended_run_is_there_until_it_is_left() {
    let desk = Desk::new();
    desk.write("over", "[steps.a]\nrun = \"echo once\"\n");
    desk.run(&["run"]).ends(0);
    let ended = || {
        let runs = std::fs::read_dir(desk.state.join("runs")).unwrap().flatten();
        runs.map(|run| run.path().join("env/default/ended")).any(|file| file.exists())
    };
    crate::keeper::until("the environment of the run has ended", ended);
    let mut terminal = desk.on_terminal(&["shell", "over", "a"]);
    terminal.see("a shell beside");
    terminal.press("echo \"$DOGWATCH_STEP\" > one\r");
    desk.wait_file("one");
    // The engine has looked after the ended run meanwhile, and has not thrown anybody out.
    desk.run(&["status", "over"]).ends(0);
    terminal.press("cat one > two; exit\r");
    terminal.see("has ended after");
    terminal.ends(0);
    assert_eq!(desk.read("two"), "a\n");
}

#[test]
fn a_gate_is_approved_by_run_and_step_and_rejected_by_its_number() {
    let desk = Desk::new();
    desk.write("gate", "[steps.review]\n[steps.review.approval]\nprompt = \"Ship it?\"\n");
    desk.run(&["run", "--detach"]).ends(0);
    desk.run(&["wait", "gate"]).ends(3);
    let said = desk.run(&["approve", "gate", "nope"]).ends(5);
    assert!(said.err.contains("it has: review"), "{}", said.err);
    desk.run(&["approve", "gate", "review", "-m", "fine"]).ends(0);
    desk.run(&["wait", "gate"]).ends(0);
    desk.run(&["approve", "gate", "review"]).ends(6);
    desk.run(&["run", "--detach"]).ends(0);
    desk.run(&["wait", "@last"]).ends(3);
    desk.run(&["reject", "e2"]).ends(0);
    desk.run(&["wait", "@last"]).ends(4);
}

#[test]
fn a_gate_is_sent_back_and_what_led_to_it_runs_again() {
    let desk = Desk::new();
    let count = "run = \"echo $DOGWATCH_STEP $DOGWATCH_ATTEMPT >> ran\"\n";
    desk.write(
        "back",
        &format!(
            "[steps.data]\n{count}[steps.train]\nneeds = [\"data\"]\n{count}[steps.report]\nneeds = [\"data\"]\n{count}\
             [steps.review]\nneeds = [\"train\", \"report\"]\n[steps.review.approval]\nprompt = \"Ship it?\"\n\
             [steps.ship]\nneeds = [\"review\"]\n{count}"
        ),
    );
    desk.run(&["run", "--detach"]).ends(0);
    desk.run(&["wait", "back"]).ends(3);
    let shown = desk.run(&["show", "e1"]).ends(0);
    assert!(shown.out.contains("send-back:train"), "{}", shown.out);
    assert!(shown.out.contains("runs train again, then asks anew"), "{}", shown.out);
    desk.run(&["decide", "e1", "send-back:ship"]).ends(2);
    desk.run(&["decide", "e1", "send-back:train", "-m", "too few epochs"]).ends(0);
    desk.run(&["wait", "back"]).ends(3);
    let shown = desk.run(&["show", "e2", "--as", "bob"]).ends(0);
    assert!(shown.out.contains("to train by ") && shown.out.contains(": too few epochs"), "{}", shown.out);
    desk.run(&["approve", "e2"]).ends(0);
    desk.run(&["wait", "back"]).ends(0);
    let mut ran: Vec<String> = desk.read("ran").lines().map(str::to_owned).collect();
    ran[1..3].sort();
    assert_eq!(ran, ["data 1", "report 1", "train 1", "train 2", "ship 1"]);
    let shown = desk.run(&["show", "e1"]).ends(0);
    assert!(shown.out.contains("send-back:train by") && shown.out.contains("too few epochs"), "{}", shown.out);
}

#[test]
fn one_command_runs_without_a_file() {
    let desk = Desk::new();
    let said = desk.run(&["exec", "--name", "quick", "--", "printf", "%s|", "a b", "$HOME", "it's"]).ends(0);
    assert!(said.out.starts_with("quick #1 started"), "{}", said.out);
    assert_eq!(desk.run(&["logs", "quick", "run"]).ends(0).out, "a b|$HOME|it's|\n");
    desk.run(&["--no-input", "exec", "--", "false"]).ends(3);
}

#[test]
fn a_dry_run_starts_nothing_not_even_the_engine() {
    let desk = Desk::new();
    desk.write("plan", "[steps.a]\nrun = \"touch ran\"\n[steps.b]\nneeds = [\"a\"]\nrun = \"touch ran\"\n");
    let said = desk.run(&["run", "--dry-run", "--only", "b"]).ends(0);
    assert!(said.out.contains("would be skipped") && said.out.contains("nothing was started"), "{}", said.out);
    assert!(!desk.state.exists() && !desk.project().join("ran").exists());
    let said = desk.run(&["run", "--dry-run", "--from", "bb"]).ends(2);
    assert!(said.err.contains("did you mean b?"), "{}", said.err);
}

#[test]
fn a_line_is_sent_to_a_step() {
    let desk = Desk::new();
    desk.write("listen", "[steps.a]\nrun = \"touch up; read word; echo \\\"$word\\\" > heard\"\n");
    desk.run(&["run", "--detach"]).ends(0);
    desk.wait_file("up");
    desk.run(&["send", "listen", "a", "he", "--no-enter"]).ends(0);
    desk.run(&["send", "listen", "a", "llo"]).ends(0);
    desk.run(&["wait", "listen"]).ends(0);
    assert_eq!(desk.read("heard"), "hello\n");
}
