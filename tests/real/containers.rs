//! Steps in containers: the same tests against a real dockerd and a real Podman service.

use std::io::{Read, Write};
use std::process::Command;

use crate::engines::{Engine, Kind, shared};
use crate::house::{House, until, within, words};

/// The tests that both engines must pass, under their own names.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        /// How many there are; each is run twice.
        const TESTS: usize = [$(stringify!($name)),+].len();
        mod docker {
            $(#[test] fn $name() { super::$name($crate::engines::Kind::Docker); })+
        }
        mod podman {
            $(#[test] fn $name() { super::$name($crate::engines::Kind::Podman); })+
        }
    };
}

pub(crate) use on_both;

on_both!(
    a_step_runs_in_a_container_that_goes_with_the_run,
    a_step_has_the_variables_of_its_image_and_none_of_dogwatchs,
    an_image_with_one_static_program_runs_a_script,
    a_read_only_container_of_an_ordinary_user_without_capabilities,
    a_person_attaches_types_and_opens_a_shell,
    a_step_is_stopped_with_all_that_it_started,
    an_image_that_cannot_be_had_is_told_by_its_name,
    the_example_trains_in_a_container,
    doctor_names_the_engine_and_its_risk,
    a_step_reaches_nothing_of_dogwatchs,
    what_a_step_names_below_workspace_is_found_here,
    a_step_reports_from_an_image_that_has_nothing,
);

/// What only Podman is: nobody's daemon.
mod only_podman {
    #[test]
    fn without_root_steps_write_their_users_files_and_limits_that_do_not_hold_are_told() {
        super::without_root();
    }
}

/// Nobody took a test out of one of the two lists.
#[test]
fn both_engines_have_the_same_tests() {
    assert_eq!(TESTS, 12);
}

pub(crate) const ENVIRONMENT: &str = "[environment]\nimage = \"bb:1\"\nnetwork = false\n";

/// A house whose runs use this engine.
pub(crate) fn house(engine: &Engine) -> House {
    House::with(&[("DOCKER_HOST", &engine.host())])
}

/// The run has ended and nothing of it is left in the engine.
#[track_caller]
pub(crate) fn ended_and_gone(house: &House, engine: &Engine, code: i32) {
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

/// Not even a loader: dogwatch brings its own, and what variables say of libraries is meant for others.
fn a_step_reports_from_an_image_that_has_nothing(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow(
        "[environment]\nimage = \"one:1\"\nnetwork = false\n[steps.a]\nenv = { LD_LIBRARY_PATH = \"/nowhere\" }\n\
         run = 'dogwatch report metric score=1 step=1; /bin/echo $?; \"$DOGWATCH_BIN\" report metric score=2 step=2'\n",
    );
    house.start();
    ended_and_gone(&house, engine, 0);
    assert_eq!(house.log("a/0/a1"), "reported\r\n0\r\nreported\r\n");
    let told = || house.said(&["metrics", "@last", "a", "--csv"]);
    until("both are kept", || told().lines().count() == 3);
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

/// As root of the container, which is the most that a step can be: without capabilities.
fn a_step_reaches_nothing_of_dogwatchs(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    let script = r#"
sleep 0.5
echo "door: $(ls -A /run/dogwatch/door)"
echo "run: $(ls -A $DOGWATCH_RUN_DIR/..)"
for one in 1 $PPID; do
    for fd in /proc/$one/fd/*; do [ -e "$fd" ] && echo "through $fd"; done
    cat /proc/$one/environ 2>/dev/null && echo "environment of $one"
    ls /proc/$one/root/ 2>/dev/null && echo "root of $one"
done
cat /run/dogwatch/b/dogwatch 2>/dev/null && echo binary
echo "state: $(ls -A s) $(ls -A s/runs/*) $(ls -A .ssh)"
find . \( -name journal.db -o -name exit.json -o -name secret -o -name key -o -name '*.sock' \)
touch /run/dogwatch/b/x /run/dogwatch/door/x s/x .ssh/x 2>/dev/null && echo written
find / -xdev \( -name keeper.sock -o -name door.sock -o -name exit.json -o -name secret -o -name claim \) 2>/dev/null
true
"#;
    // The worst workspace: one with the state and with credentials in it.
    std::fs::create_dir(house.root().join(".ssh")).expect("a folder");
    std::fs::write(house.root().join(".ssh/key"), "secret").expect("a key");
    house.workflow(&format!("{ENVIRONMENT}workspace = \"..\"\n[steps.a]\nrun = '''{script}'''\n"));
    house.start();
    ended_and_gone(&house, engine, 0);
    assert_eq!(house.log("a/0/a1"), "door: \r\nrun: work\r\nstate: runs work \r\n");
}

fn what_a_step_names_below_workspace_is_found_here(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    let script = r#"
echo two > ckpt; echo "saved /workspace/ckpt"
[ "$RESUME" ] || exit 3
cat "$RESUME"
"#;
    house.workflow(&format!(
        "{ENVIRONMENT}[steps.a]\nrun = '''{script}'''\nretry = {{ max_attempts = 2, delay = \"0s\" }}\n\
         [steps.a.checkpoint]\npattern = 'saved (?P<path>\\S+)'\nresume_env = \"RESUME\"\n"
    ));
    house.start();
    ended_and_gone(&house, engine, 0);
    assert_eq!(house.log("a/0/a2"), "saved /workspace/ckpt\r\ntwo\r\n");
}

fn doctor_names_the_engine_and_its_risk(kind: Kind) {
    let house = house(shared(kind));
    let said = house.dogwatch(&["doctor", "--json"]);
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let line = |what: &str| {
        let line = text.lines().find(|line| line.contains(&format!("\"what\":\"{what}\"")));
        line.unwrap_or_else(|| panic!("a line about {what}: {text}"))
    };
    let engine = line("containers");
    match kind {
        Kind::Docker => {
            let told = ["\"warn\"", "Docker ", "live-restore"].iter().all(|word| engine.contains(word));
            assert!(told, "{engine}");
        }
        Kind::Podman => assert!(engine.contains("\"ok\"") && engine.contains("Podman "), "{engine}"),
    }
    assert!(line("runtime").contains("runc 1."), "{}", line("runtime"));
    assert!(line("cgroups").contains("version ") && line("gpus").contains("\"mark\""), "{text}");
}

/// The same file as a user runs, with an image of the same name.
fn the_example_trains_in_a_container(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    let project = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(project.join("workflows/container.toml")).expect("the example");
    let image = text.lines().find_map(|line| line.strip_prefix("image = \"")?.split('"').next()).expect("its image");
    engine.import_python(image);
    // A copy, for the steps write beside their scripts.
    for folder in ["workflows", "assets"] {
        let copied = Command::new("cp").arg("-r").arg(project.join(folder)).arg(house.root()).status();
        assert!(copied.is_ok_and(|status| status.success()), "{folder} is copied");
    }
    let file = house.root().join("workflows/container.toml");
    house.said(&["run", &file.to_string_lossy(), "--detach", "-p", "epochs=2"]);
    let wait = house.dogwatch(&["wait", "@last", "--timeout", "120s"]);
    assert!(wait.status.success(), "{}{}", house.said(&["status"]), words(&wait));
    assert_eq!(house.log("show/0/a1"), "trained with learning rate 0.1\r\n");
    until("its container is gone", || engine.containers(&house.state()).is_empty());
}

/// The files that a step writes are its user's, and limits that do not hold are told.
fn without_root() {
    let engine = Engine::start_without_root();
    let mut house = house(&engine);
    house.become_ordinary();
    let said = house.dogwatch(&["doctor", "--json"]);
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(text.contains("without root"), "{text}");
    if has_old_cgroups() {
        assert!(text.contains("memory and the limit of processes do not hold"), "{text}");
    }
    house.workflow(&format!(
        "{ENVIRONMENT}memory = \"256MiB\"\n[steps.a]\nsnapshot = true\nrun = 'id -u; echo made > made; touch /bin/mark'\n\
         [steps.b]\nneeds = [\"a\"]\nrun = 'ls /bin/mark; echo \"start $DOGWATCH_KEY\" >> effects'\n"
    ));
    house.start();
    ended_and_gone(&house, &engine, 0);
    assert_eq!((house.log("a/0/a1").as_str(), house.log("b/0/a1").as_str()), ("0\r\n", "/bin/mark\r\n"));
    let made = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(house.work().join("made")).expect("it is there"));
    assert_eq!(made, 65534, "root inside is its user outside");
    house.said(&["checkpoints", "@last", "prune", "--all"]);
    // Somebody else's engine without root cannot give this user's files to a container.
    let other = self::house(&engine);
    other.workflow(&format!("{ENVIRONMENT}[steps.a]\nrun = 'true'\n"));
    other.start();
    assert_eq!(other.wait(), Some(3), "{}", other.said(&["status"]));
    let shown = other.said(&["show", "e1"]);
    assert!(shown.contains("belongs to user 65534"), "{shown}");
    other.said(&["stop", "@last"]);
}

fn has_old_cgroups() -> bool {
    !std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// A terminal with a dogwatch on it.
pub(crate) struct Terminal {
    master: std::fs::File,
    child: std::process::Child,
    pub(crate) shown: String,
}

impl Terminal {
    pub(crate) fn of(house: &House, arguments: &[&str]) -> Self {
        let pty = dogwatch::spawn::open_pty(24, 80).expect("a terminal");
        let mut command: Command = house.command(arguments);
        command.env("TERM", "xterm-256color");
        dogwatch::spawn::on_terminal(&mut command, &pty).expect("a terminal");
        let child = command.spawn().expect("dogwatch starts");
        rustix::io::ioctl_fionbio(&pty.master, true).expect("a terminal that does not block");
        Self { master: pty.master.into(), child, shown: String::new() }
    }

    #[track_caller]
    pub(crate) fn see(&mut self, wanted: &str) {
        let seen = self.sees(wanted, crate::house::DEADLINE_MS);
        assert!(seen, "{wanted:?} was not seen in {:?}", self.shown);
    }

    pub(crate) fn sees(&mut self, wanted: &str, deadline_ms: i64) -> bool {
        within(deadline_ms, || self.has_shown(wanted))
    }

    pub(crate) fn has_shown(&mut self, wanted: &str) -> bool {
        let mut block = [0u8; 4096];
        while let Ok(read @ 1..) = self.master.read(&mut block) {
            self.shown.push_str(&String::from_utf8_lossy(&block[..read]));
        }
        self.shown.contains(wanted)
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id")
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
