//! Steps in containers: the same tests against a real dockerd and a real Podman service.

use std::io::{Read, Write};
use std::process::Command;

use crate::engines::{Engine, Kind, shared};
use crate::house::{House, kill, lines, signal, until, within, words};
use rustix::process::Signal;

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
    the_engine_is_killed_and_the_step_goes_on,
    the_tmux_server_is_killed_and_comes_back,
    the_porter_is_killed_with_the_engine,
    the_engine_is_killed_at_every_point_of_a_containers_life,
    a_killed_container_is_a_failure_with_its_cause,
    a_killed_keeper_is_a_failure_with_its_cause,
    a_removed_container_is_unknown_and_nothing_runs_twice,
    a_killed_shim_is_unknown_and_the_container_lives_on,
    memory_that_is_used_up_is_told_by_the_counter,
    memory_is_raised_by_rule_in_a_container_that_goes_with_its_attempt,
    a_fork_bomb_stays_inside_and_is_stopped,
    a_container_engine_that_stands_still_changes_nothing,
    the_example_trains_in_a_container,
    doctor_names_the_engine_and_its_risk,
    a_step_reaches_nothing_of_dogwatchs,
    what_a_step_names_below_workspace_is_found_here,
    a_step_reports_from_an_image_that_has_nothing,
);

/// What only Docker can do: its daemon takes its containers along, or does not.
mod only_docker {
    #[test]
    fn a_daemon_that_is_restarted_disrupts_its_steps_and_that_does_not_count() {
        super::restarted_without_live_restore();
    }

    #[test]
    fn with_live_restore_a_restart_is_not_noticed() {
        super::restarted(super::Kind::Docker);
    }
}

/// What only Podman is: nobody's daemon.
mod only_podman {
    #[test]
    fn without_root_steps_write_their_users_files_and_limits_that_do_not_hold_are_told() {
        super::without_root();
    }

    #[test]
    fn a_service_that_is_restarted_is_not_noticed() {
        super::restarted(super::Kind::Podman);
    }
}

/// Nobody took a test out of one of the two lists.
#[test]
fn both_engines_have_the_same_tests() {
    assert_eq!(TESTS, 24);
}

const ENVIRONMENT: &str = "[environment]\nimage = \"bb:1\"\nnetwork = false\n";

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

/// Runs a workflow with an engine that dies once at this point. It ends well all the same, each of its lanes did its work so
/// often, and no container of it is left.
pub(crate) fn dies_once_at(engine: &Engine, point: &str, workflow: &str, effects: &[usize]) -> House {
    let once = tempfile::tempdir().expect("a folder");
    let mark = once.path().join("died");
    let house = House::with(&[
        ("DOCKER_HOST", &engine.host()),
        ("DOGWATCH_CRASH", point),
        ("DOGWATCH_CRASH_ONCE", &mark.to_string_lossy()),
    ]);
    house.workflow(workflow);
    let started = house.dogwatch(&["run", "w.toml", "--detach"]);
    assert!(started.status.success(), "{point}: {}", words(&started));
    until(&format!("somebody died at {point}"), || mark.exists());
    // Whoever asks starts the engine again, where its porter has not done it already.
    let done = within(30_000, || {
        house.dogwatch(&["engine", "start"]);
        house.status()["line"]["state"] == "succeeded"
    });
    assert!(done, "{point}: {}", house.said(&["status"]));
    let counts: Vec<usize> = house.effects().into_values().collect();
    assert_eq!(counts, effects, "{point}: {:?}", house.effects());
    until(&format!("{point}: no container is left"), || engine.containers(&house.state()).is_empty());
    house
}

fn the_engine_is_killed_at_every_point_of_a_containers_life(kind: Kind) {
    let workflow = format!(
        "{ENVIRONMENT}[steps.a]\nrun = 'echo \"start $DOGWATCH_KEY\" >> effects; sleep 0.2; echo \"end $DOGWATCH_KEY\" >> effects'\n"
    );
    let mut died = 0;
    for point in POINTS {
        drop(dies_once_at(shared(kind), point, &workflow, &[1, 1]));
        died += 1;
    }
    assert_eq!(died, 9, "faults that were injected");
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

/// A run that may try twice, whose step waits; its container.
fn waiting(engine: &Engine, step: &str) -> (House, String) {
    let house = house(engine);
    house.workflow(&format!(
        "{ENVIRONMENT}[steps.work]\n{step}\nrun = 'echo \"start $DOGWATCH_KEY\" >> effects; echo on; sleep 61'\n"
    ));
    house.start();
    until("the step prints", || house.log("work/0/a1").contains("on"));
    let containers = engine.containers(&house.state());
    assert_eq!(containers.len(), 1, "{containers:?}");
    (house, containers[0].clone())
}

/// The person who is asked reads this, and nothing was started again.
#[track_caller]
fn asked(house: &House, kind: &str, wanted: &str) {
    assert_eq!(house.wait(), Some(3), "{}", house.said(&["status"]));
    let question = house.json(&["inbox"]).expect("a question");
    assert_eq!(question["escalation_kind"], kind, "{question}");
    let shown = house.said(&["show", &format!("e{}", question["id"])]);
    assert!(shown.contains(wanted), "{wanted:?} is not in {shown}");
    assert_eq!(house.effects().into_values().collect::<Vec<_>>(), [1], "{:?}", house.effects());
}

/// The run is stopped, and its container goes.
#[track_caller]
fn stopped(house: &House, engine: &Engine) {
    house.said(&["stop", "@last"]);
    ended_and_gone(house, engine, 4);
}

fn a_killed_container_is_a_failure_with_its_cause(kind: Kind) {
    let engine = shared(kind);
    let (house, container) = waiting(engine, "");
    engine.said(&["kill", &container]);
    asked(&house, "failed", "killed from outside (137, not for want of memory)");
    // Another attempt has the same container again, with all that was done in it.
    house.said(&["decide", "e1", "retry"]);
    until("the second attempt runs", || house.log("work/0/a2").contains("on"));
    assert_eq!(engine.containers(&house.state()), [container]);
    stopped(&house, engine);
}

fn a_killed_keeper_is_a_failure_with_its_cause(kind: Kind) {
    let engine = shared(kind);
    let (house, _) = waiting(engine, "");
    let (keepers, inside) = (house.keepers(), house.inside());
    assert_eq!(keepers.len(), 1, "{keepers:?}");
    keepers.into_iter().for_each(kill);
    asked(&house, "failed", "killed from outside");
    assert!(inside.iter().all(|pid| !crate::house::is_alive(*pid)), "it took everything along");
    stopped(&house, engine);
}

fn a_removed_container_is_unknown_and_nothing_runs_twice(kind: Kind) {
    let engine = shared(kind);
    let (house, container) = waiting(engine, "retry = { max_attempts = 3, delay = \"0s\" }");
    engine.said(&["rm", "--force", &container]);
    asked(&house, "unknown", "its container was removed");
    stopped(&house, engine);
}

fn a_killed_shim_is_unknown_and_the_container_lives_on(kind: Kind) {
    let engine = shared(kind);
    let (house, container) = waiting(engine, "retry = { max_attempts = 3, delay = \"0s\" }");
    let shims = house.shims();
    assert_eq!(shims.len(), 1, "{shims:?}");
    shims.into_iter().for_each(kill);
    asked(&house, "unknown", "its supervisor process was killed");
    assert_eq!(engine.containers(&house.state()), [container]);
    assert_eq!(house.keepers().len(), 1);
    stopped(&house, engine);
}

fn memory_that_is_used_up_is_told_by_the_counter(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    // The step's child is killed, and the step itself ends with a code of its own.
    house.workflow(&format!(
        "{ENVIRONMENT}memory = \"64MiB\"\n[steps.work]\n\
         run = 'echo \"start $DOGWATCH_KEY\" >> effects; dd if=/dev/zero of=/dev/null bs=300M count=1 || exit 9'\n"
    ));
    house.start();
    asked(&house, "failed", "the kernel killed for memory in this environment");
    assert_eq!(house.lane("work")["exit"], "code 9");
    assert_eq!(house.keepers().len(), 1, "the keeper was spared");
    stopped(&house, engine);
}

/// The step needs twice what its container may have: killed for it once, it succeeds in a container of its own that has
/// it, beside the one of the run, where the next step runs. None is left.
fn memory_is_raised_by_rule_in_a_container_that_goes_with_its_attempt(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    // Podman here has an old control group, where the limit is under another name.
    let limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max";
    house.workflow(&format!(
        "{ENVIRONMENT}memory = \"48MiB\"\n[steps.work]\n\
         run = 'echo \"start $DOGWATCH_KEY\" >> effects; {limit}; dd if=/dev/zero of=/dev/null bs=64M count=1; hostname > own; \
         while test -e hold; do sleep 0.1; done'\n\
         [[steps.work.on_failure]]\nname = \"more\"\nmatch = {{ class = \"host_resource\" }}\naction = \"retry_modified\"\n\
         retry = {{ max_attempts = 3, delay = \"0s\" }}\nchange = {{ memory = {{ by = \"* 2\", max = \"1GiB\" }} }}\n\
         [steps.after]\nneeds = [\"work\"]\nrun = '{limit}; touch over; while test -e held; do sleep 0.1; done'\n"
    ));
    for name in ["hold", "held"] {
        std::fs::write(house.work().join(name), "").expect("a file");
    }
    house.start();
    until("the second attempt has what it needs", || house.work().join("own").exists());
    assert_eq!(engine.containers(&house.state()).len(), 2, "one of the run, one of the attempt");
    std::fs::remove_file(house.work().join("hold")).expect("it was there");
    until("the next step runs", || house.work().join("over").exists());
    until("the attempt's own is gone, and the run's is there", || engine.containers(&house.state()).len() == 1);
    std::fs::remove_file(house.work().join("held")).expect("it was there");
    ended_and_gone(&house, engine, 0);
    assert_eq!(house.effects().into_values().collect::<Vec<_>>(), [1, 1], "each attempt began once");
    let said = |place: &str| house.log(place).lines().next().unwrap_or_default().to_owned();
    assert_eq!((said("work/0/a1"), said("work/0/a2")), ((48 << 20).to_string(), (96 << 20).to_string()));
    assert_eq!(said("after/0/a1"), (48 << 20).to_string(), "the others have what they had");
    let why = house.said(&["why", "@last", "work", "--attempt", "1"]);
    assert!(why.contains("with memory 96 MiB in a container of its own"), "{why}");
}

/// Processes that a bomb may have: enough to fill its container, and no heavy neighbour of other tests.
const BOMB: usize = 200;

fn a_fork_bomb_stays_inside_and_is_stopped(kind: Kind) {
    // One at a time: two of them would take both processors of a small machine.
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let engine = shared(kind);
    let house = house(engine);
    house.workflow(&format!(
        "{ENVIRONMENT}cpus = 0.5\n[steps.work]\ngrace = \"100ms\"\n\
         run = 'echo \"start $DOGWATCH_KEY\" >> effects; echo on; until [ -e go ]; do sleep 0.1; done; \
         f() {{ f | f & sleep 67; }}; f & exec sleep 68'\n"
    ));
    house.start();
    until("the step prints", || house.log("work/0/a1").contains("on"));
    until("the step is shown", || house.tmux_servers().len() == 1);
    let group = limit_processes(house.keepers()[0], BOMB);
    std::fs::write(house.work().join("go"), "").expect("a file");
    let refused = || std::fs::read_to_string(format!("{group}/pids.events")).unwrap_or_default();
    until("it has filled its container", || {
        refused().trim().strip_prefix("max ").is_some_and(|count| count.parse::<usize>().is_ok_and(|count| count > 20))
    });
    // Who looks at it and who stops it is not kept out by it for long: its client needs one process, as soon as one ends.
    let mut refused = String::new();
    let looked = within(crate::house::DEADLINE_MS, || {
        let mut terminal = Terminal::of(&house, &["attach", "@last", "work", "--readonly"]);
        let seen = terminal.sees("can't fork", 5_000);
        refused.clone_from(&terminal.shown);
        seen
    });
    assert!(looked, "{refused:?}");
    stopped(&house, engine);
    until("all of it has gone", || house.inside().is_empty());
}

/// The container of this process may have so many processes from now on; the folder of its control group.
fn limit_processes(pid: i32, most: usize) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it has a control group");
    let of = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let root = match controllers {
            "" => "/sys/fs/cgroup",
            list if list.split(',').any(|one| one == "pids") => "/sys/fs/cgroup/pids",
            _ => return None,
        };
        Some(format!("{root}{path}")).filter(|group| std::path::Path::new(group).join("pids.max").exists())
    };
    let group = text.lines().find_map(of).expect("the container's own limit");
    std::fs::write(format!("{group}/pids.max"), most.to_string()).expect("the limit is set");
    group
}

fn a_container_engine_that_stands_still_changes_nothing(kind: Kind) {
    let engine = Engine::start(kind, false);
    let house = counted(&engine);
    signal(engine.pid(), Signal::STOP);
    // Nothing of the step goes through it, also when dogwatch itself starts anew.
    house.kill_engine();
    house.said(&["engine", "start"]);
    until("the step has ended", || house.lane("work")["exit"] == "code 7");
    assert_eq!(house.log("work/0/a1"), lines("line", 30));
    signal(engine.pid(), Signal::CONT);
    ran_once(&house, &engine);
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

/// A restart that containers survive: docker with live-restore, podman always.
fn restarted(kind: Kind) {
    let engine = Engine::start(kind, true);
    for by in [Signal::TERM, Signal::KILL] {
        let house = counted(&engine);
        engine.end(by);
        engine.begin();
        ran_once(&house, &engine);
    }
}

fn restarted_without_live_restore() {
    let engine = Engine::start(Kind::Docker, false);
    // Not to be repeated: a person is asked, and told why.
    let (house, _) = waiting(&engine, "");
    engine.end(Signal::KILL);
    engine.begin();
    asked(&house, "failed", "the container engine was started anew, and its containers ended with it");
    stopped(&house, &engine);
    // May be repeated once: the disruption is not that once.
    let house = self::house(&engine);
    house.workflow(&format!(
        "{ENVIRONMENT}[steps.work]\nallow_failure = true\nretry = {{ max_attempts = 2, delay = \"0s\" }}\n\
         run = 'echo \"start $DOGWATCH_KEY\" >> effects; echo on; [ \"$DOGWATCH_ATTEMPT\" = 1 ] && sleep 62; exit 7'\n"
    ));
    house.start();
    until("the step prints", || house.log("work/0/a1").contains("on"));
    engine.end(Signal::TERM);
    engine.begin();
    ended_and_gone(&house, &engine, 0);
    let lane = house.lane("work");
    assert_eq!((lane["exit"].as_str(), lane["attempt"].as_i64()), (Some("code 7"), Some(3)), "{lane}");
    assert_eq!(house.effects().into_values().collect::<Vec<_>>(), [1, 1, 1], "{:?}", house.effects());
}

/// A terminal with a dogwatch on it.
pub(crate) struct Terminal {
    master: std::fs::File,
    child: std::process::Child,
    shown: String,
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

    fn sees(&mut self, wanted: &str, deadline_ms: i64) -> bool {
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
