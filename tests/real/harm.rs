//! What is killed, filled, removed or stopped around a step in a container, and what is told of the step then: the same tests
//! against a real dockerd and a real Podman service.

use rustix::process::Signal;

use crate::containers::{ENVIRONMENT, Terminal, ended_and_gone, house, on_both};
use crate::engines::{Engine, Kind, shared};
use crate::house::{House, kill, lines, signal, until, within, words};

on_both!(
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
    fn a_service_that_is_restarted_is_not_noticed() {
        super::restarted(super::Kind::Podman);
    }
}

/// Nobody took a test out of one of the two lists.
#[test]
fn both_engines_have_the_same_tests() {
    assert_eq!(TESTS, 12);
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
    let done = within(crate::house::DEADLINE_MS, || {
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

/// Processes that a bomb may have: enough to fill its container, and no heavy neighbour of other tests.
const BOMB: usize = 200;

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
