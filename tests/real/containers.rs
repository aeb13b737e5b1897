//! Steps in containers: the same tests against a real dockerd and a real Podman service.

use std::io::{Read, Write};
use std::process::Command;

use crate::engines::{Engine, Kind, shared};
use crate::house::{House, kill, lines, until, within, words};

/// The tests that both engines must pass, under their own names.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        /// How many there are; each is run twice.
        const TESTS: usize = [$(stringify!($name)),+].len();
        mod docker {
            $(#[test] fn $name() { super::$name(super::Kind::Docker); })+
        }
        mod podman {
            $(#[test] fn $name() { super::$name(super::Kind::Podman); })+
        }
    };
}

on_both!(
    a_step_runs_in_a_container_that_goes_with_the_run,
    a_step_has_the_variables_of_its_image_and_none_of_dogwatchs,
    an_image_with_one_static_program_runs_a_script,
    a_read_only_container_of_an_ordinary_user_without_capabilities,
    a_person_attaches_types_and_opens_a_shell,
    a_step_is_stopped_with_all_that_it_started,
    an_image_that_cannot_be_had_is_told_by_its_name,
    the_engine_is_killed_and_the_step_goes_on,
    the_tmux_server_is_killed_and_comes_back,
    the_porter_is_killed_with_the_engine,
    the_engine_is_killed_at_every_point_of_a_containers_life,
);

/// Nobody took a test out of one of the two lists.
#[test]
fn both_engines_have_the_same_tests() {
    assert_eq!(TESTS, 11);
}

const ENVIRONMENT: &str = "[environment]\nimage = \"bb:1\"\nnetwork = false\n";

/// A house whose runs use this engine.
fn house(engine: &Engine) -> House {
    House::with(&[("DOCKER_HOST", &engine.host())])
}

/// The run has ended and nothing of it is left in the engine.
#[track_caller]
fn ended_and_gone(house: &House, engine: &Engine, code: i32) {
    assert_eq!(
        house.wait(),
        Some(code),
        "{}{:?}",
        house.said(&["status"]),
        house.attempts().keys().map(|place| house.log(place)).collect::<Vec<_>>()
    );
    until("its container is gone", || engine.containers(&house.state()).is_empty());
}

fn a_step_runs_in_a_container_that_goes_with_the_run(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow(&format!(
        "{ENVIRONMENT}[steps.a]\nrun = 'pwd; echo one > from-a; echo two > /workspace/too; touch /bin/inside; ls -1 /'\n\
         [steps.b]\nneeds = [\"a\"]\nrun = 'cat from-a too; ls /bin/inside; exit 7'\nallow_failure = true\n"
    ));
    house.start();
    ended_and_gone(&house, engine, 0);
    assert_eq!(house.lane("b")["exit"], "code 7");
    // The same container for both: what one leaves outside of the workspace the other one finds.
    assert_eq!(house.log("b/0/a1"), "one\r\ntwo\r\n/bin/inside\r\n");
    let log = house.log("a/0/a1");
    assert!(log.starts_with(&format!("{}\r\n", house.work().display())), "{log}");
    assert!(!log.contains("\r\nhome\r\n") && log.contains("\r\nworkspace\r\n"), "{log}");
    let status = house.said(&["status"]);
    let name = if kind == Kind::Docker { "by Docker " } else { "by Podman " };
    assert!(status.contains("in a container of bb:1") && status.contains(name), "{status}");
}

fn a_step_has_the_variables_of_its_image_and_none_of_dogwatchs(kind: Kind) {
    let (engine, mut house) = (shared(kind), house(shared(kind)));
    house.set("LC_ALL", "C.UTF-8");
    house.workflow(&format!("{ENVIRONMENT}[env]\nOWN = \"yes\"\n[steps.a]\nrun = 'env; ls /run/dogwatch/rt 2>&1'\n"));
    house.start();
    ended_and_gone(&house, engine, 0);
    let log = house.log("a/0/a1");
    let names: Vec<&str> = log.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    for wanted in ["COLOUR", "OWN", "PATH", "HOME", "TERM", "DOGWATCH_KEY"] {
        assert!(names.contains(&wanted), "{wanted} is missing: {log}");
    }
    let mine = |name: &&&str| !name.starts_with("DOGWATCH_");
    let others: Vec<&&str> = names
        .iter()
        .filter(mine)
        .filter(|name| !["COLOUR", "OWN", "PATH", "HOME", "TERM", "PWD", "SHLVL", "OLDPWD", "_"].contains(name))
        .collect();
    assert!(others.is_empty(), "{others:?} leaked into the step");
}

fn an_image_with_one_static_program_runs_a_script(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow(
        "[environment]\nimage = \"one:1\"\nnetwork = false\n[steps.a]\n\
         run = 'for i in 1 2; do /bin/echo line $i; done; [ -z \"$LD_LIBRARY_PATH\" ]; exit 3'\nallow_failure = true\n",
    );
    house.start();
    ended_and_gone(&house, engine, 0);
    assert_eq!(
        (house.lane("a")["exit"].as_str(), house.log("a/0/a1").as_str()),
        (Some("code 3"), "line 1\r\nline 2\r\n")
    );
}

/// dogwatch itself is the ordinary user: root of the engine has nothing to do with it.
fn a_read_only_container_of_an_ordinary_user_without_capabilities(kind: Kind) {
    let engine = shared(kind);
    let mut house = house(engine);
    house.workflow(&format!(
        "{ENVIRONMENT}read_only = true\nmemory = \"64MiB\"\ncpus = 0.5\n[steps.a]\nrun = '''\n\
         id -u; grep Cap /proc/self/status; touch /bin/x 2>/dev/null || echo read-only\n\
         touch $HOME/x && touch x && echo home; sleep 1; exit 4\n'''\nallow_failure = true\n"
    ));
    house.become_ordinary();
    house.start();
    let size = until_view(&house);
    ended_and_gone(&house, engine, 0);
    let log = house.log("a/0/a1");
    assert_eq!(house.lane("a")["exit"], "code 4", "{log}");
    let mut lines = log.lines();
    assert_eq!(lines.next(), Some("65534"), "{log}");
    let caps: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("Cap")?.split('\t').nth(1)).collect();
    assert_eq!(caps, ["0000000000000000"; 5], "{log}");
    assert!(log.ends_with("read-only\r\nhome\r\n"), "{log}");
    assert!(size, "a session of it was shown");
}

/// A tmux server shows the step.
fn until_view(house: &House) -> bool {
    within(20_000, || !house.tmux_servers().is_empty())
}

fn a_person_attaches_types_and_opens_a_shell(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow(&format!(
        "{ENVIRONMENT}[steps.a]\nrun = 'echo ready; read word; echo \"<$word>\" > heard; sleep 60'\n"
    ));
    house.start();
    let mut terminal = Terminal::of(&house, &["attach", "@last", "a"]);
    terminal.see("ready");
    terminal.press("hello\r");
    until("the step has read it", || house.text("heard") == "<hello>\n");
    terminal.press("\u{1d}");
    terminal.see("let go of a");
    let mut shell = Terminal::of(&house, &["shell", "@last", "a"]);
    shell.see("a shell beside");
    shell.press("echo \"<$COLOUR$DOGWATCH_STEP>\" > seen; exit\r");
    shell.see("has ended after");
    assert_eq!(house.text("seen"), "<greena>\n");
    house.said(&["stop", "@last"]);
    ended_and_gone(&house, engine, 4);
}

fn a_step_is_stopped_with_all_that_it_started(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow(&format!(
        "{ENVIRONMENT}[steps.a]\ngrace = \"200ms\"\nrun = '''\ntrap \"\" TERM\n(sleep 71 &)\necho on\nsleep 72\nsleep 73\n'''\n"
    ));
    house.start();
    until("the step prints", || house.log("a/0/a1").contains("on"));
    let inside = house.inside();
    assert!(inside.len() >= 3, "{inside:?}");
    house.said(&["stop", "@last"]);
    ended_and_gone(&house, engine, 4);
    until("all of it has gone", || inside.iter().all(|pid| !crate::house::is_alive(*pid)));
}

fn an_image_that_cannot_be_had_is_told_by_its_name(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow("[environment]\nimage = \"localhost:1/nobody/has-this:7\"\n[steps.a]\nrun = 'true'\n");
    house.start();
    assert_eq!(house.wait(), Some(3), "a person is asked");
    let shown = house.said(&["show", "e1"]);
    assert!(shown.contains("the image localhost:1/nobody/has-this:7 cannot be had: "), "{shown}");
    assert!(shown.contains("correct `image`"), "{shown}");
    assert!(engine.containers(&house.state()).is_empty());
}

const COUNTED: &str = r#"[steps.work]
allow_failure = true
run = '''
echo "start $DOGWATCH_KEY" >> effects
i=0; while [ $i -lt 30 ]; do echo "line $i"; i=$((i+1)); sleep 0.1; done
echo "end $DOGWATCH_KEY" >> effects
exit 7
'''
"#;

/// A run of three seconds that prints something all the time.
fn counted(engine: &Engine) -> House {
    let house = house(engine);
    house.workflow(&format!("{ENVIRONMENT}{COUNTED}"));
    house.start();
    until("the step prints", || house.log("work/0/a1").lines().count() > 5);
    house
}

#[track_caller]
fn ran_once(house: &House, engine: &Engine) {
    ended_and_gone(house, engine, 0);
    let counts: Vec<usize> = house.effects().into_values().collect();
    assert_eq!(counts, [1, 1], "starts and ends: {:?}", house.effects());
    let lane = house.lane("work");
    assert_eq!((lane["exit"].as_str(), lane["attempt"].as_i64()), (Some("code 7"), Some(1)), "{lane}");
    assert_eq!(house.log("work/0/a1"), lines("line", 30));
}

fn the_engine_is_killed_and_the_step_goes_on(kind: Kind) {
    let house = counted(shared(kind));
    house.kill_engine();
    house.said(&["engine", "start"]);
    ran_once(&house, shared(kind));
}

fn the_tmux_server_is_killed_and_comes_back(kind: Kind) {
    let house = counted(shared(kind));
    until("a tmux server is there", || house.tmux_servers().len() == 1);
    let first = house.tmux_servers();
    first.iter().copied().for_each(kill);
    until("another tmux server is there", || house.tmux_servers().iter().any(|pid| !first.contains(pid)));
    ran_once(&house, shared(kind));
}

fn the_porter_is_killed_with_the_engine(kind: Kind) {
    let house = counted(shared(kind));
    house.porters().into_iter().for_each(kill);
    house.kill_engine();
    house.said(&["engine", "start"]);
    ran_once(&house, shared(kind));
}

/// Where the engine acts on the container engine. It dies before and after each of them, once.
const POINTS: [&str; 9] = [
    "docker.before-create",
    "docker.after-create",
    "docker.before-start",
    "docker.after-start",
    "hands.before-launch",
    "hands.after-launch",
    "docker.before-remove",
    "docker.after-remove",
    "porter.after-door",
];

fn the_engine_is_killed_at_every_point_of_a_containers_life(kind: Kind) {
    let engine = shared(kind);
    let mut died = 0;
    for point in POINTS {
        let once = tempfile::tempdir().expect("a folder");
        let mark = once.path().join("died");
        let house = House::with(&[
            ("DOCKER_HOST", &engine.host()),
            ("DOGWATCH_CRASH", point),
            ("DOGWATCH_CRASH_ONCE", &mark.to_string_lossy()),
        ]);
        house.workflow(&format!(
            "{ENVIRONMENT}[steps.a]\nrun = 'echo \"start $DOGWATCH_KEY\" >> effects; sleep 0.2; echo \"end $DOGWATCH_KEY\" >> effects'\n"
        ));
        let started = house.dogwatch(&["run", "w.toml", "--detach"]);
        assert!(started.status.success(), "{point}: {}", words(&started));
        until(&format!("somebody died at {point}"), || mark.exists());
        died += 1;
        // Whoever asks starts the engine again, where its porter has not done it already.
        let done = within(30_000, || {
            house.dogwatch(&["engine", "start"]);
            house.status()["line"]["state"] == "succeeded"
        });
        assert!(done, "{point}: {}", house.said(&["status"]));
        let counts: Vec<usize> = house.effects().into_values().collect();
        assert_eq!(counts, [1, 1], "{point}: {:?}", house.effects());
        until(&format!("{point}: no container is left"), || engine.containers(&house.state()).is_empty());
    }
    assert_eq!(died, POINTS.len(), "faults that were injected");
}

/// A terminal with a dogwatch on it.
struct Terminal {
    master: std::fs::File,
    child: std::process::Child,
    shown: String,
}

impl Terminal {
    fn of(house: &House, arguments: &[&str]) -> Self {
        let pty = dogwatch::spawn::open_pty(24, 80).expect("a terminal");
        let mut command: Command = house.command(arguments);
        command.env("TERM", "xterm-256color");
        dogwatch::spawn::on_terminal(&mut command, &pty).expect("a terminal");
        let child = command.spawn().expect("dogwatch starts");
        rustix::io::ioctl_fionbio(&pty.master, true).expect("a terminal that does not block");
        Self { master: pty.master.into(), child, shown: String::new() }
    }

    #[track_caller]
    fn see(&mut self, wanted: &str) {
        let seen = within(crate::house::DEADLINE_MS, || {
            let mut block = [0u8; 4096];
            while let Ok(read @ 1..) = self.master.read(&mut block) {
                self.shown.push_str(&String::from_utf8_lossy(&block[..read]));
            }
            self.shown.contains(wanted)
        });
        assert!(seen, "{wanted:?} was not seen in {:?}", self.shown);
    }

    fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
