//! Several environments in one run, environments of single attempts, and what is left of environments afterwards: the same
//! tests against a real dockerd and a real Podman service.

use crate::containers::{dies_once_at, ended_and_gone, house, on_both};
use crate::engines::{Engine, Kind, shared};
use crate::house::{House, until, words};

on_both!(
    each_environment_is_a_container_of_its_own,
    environments_find_each_other_by_name,
    a_machine_that_makes_no_network_is_told_and_steps_run,
    a_fresh_step_has_a_container_for_each_attempt,
    a_container_stays_when_its_run_has_failed_and_gc_removes_it,
    gc_touches_nothing_that_is_not_ours,
    what_a_step_left_is_there_when_the_run_is_resumed,
    a_retry_goes_on_from_what_was_kept,
    the_engine_is_killed_while_an_environment_is_kept,
    checkpoints_are_listed_verified_pinned_and_pruned,
    an_image_is_fetched_and_how_far_it_has_come_is_told,
    a_run_is_stopped_while_its_image_is_fetched,
    an_image_is_fetched_when_its_pull_says_so,
    an_engine_that_stands_still_is_told_with_how_long,
    the_engine_is_killed_while_an_image_is_fetched,
    a_step_that_commands_the_tmux_server_commands_nothing_here,
    a_link_that_a_step_planted_leads_nowhere,
    services_are_probed_and_waits_look_inside_their_containers,
);

/// Nobody took a test out of one of the two lists.
#[test]
fn both_engines_have_the_same_tests() {
    assert_eq!(TESTS, 18);
}

const TWO: &str =
    "[environment]\nimage = \"bb:1\"\nnetwork = false\n[environments.other]\nimage = \"bb:1\"\nnetwork = false\n";
const ONE: &str = "[environment]\nimage = \"bb:1\"\nnetwork = false\n";

fn each_environment_is_a_container_of_its_own(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow(&format!(
        "{TWO}[steps.a]\nrun = 'touch /bin/in-a; echo a > from-a; sleep 1'\n\
         [steps.b]\nenvironment = \"other\"\nneeds = [\"a\"]\nrun = 'hostname; cat from-a; ls /bin/in-a 2>&1 || ps | grep -c \"[s]leep 62\" || true'\n\
         [steps.c]\nrun = 'sleep 62 & until [ -e done ]; do sleep 0.1; done; kill %1'\n\
         [steps.d]\nneeds = [\"b\"]\nrun = 'ls /bin/in-a; touch done'\n"
    ));
    house.start();
    // They are adopted each.
    until("b has ended", || house.lane("b")["state"] == "succeeded");
    assert_eq!(engine.containers(&house.state()).len(), 2);
    house.kill_engine();
    house.said(&["engine", "start"]);
    ended_and_gone(&house, engine, 0);
    let log = house.log("b/0/a1");
    assert_eq!(log, "other\r\na\r\nls: /bin/in-a: No such file or directory\r\n0\r\n");
    assert_eq!(house.log("d/0/a1"), "/bin/in-a\r\n");
    let status = house.said(&["status"]);
    assert!(status.contains("default: in a container of bb:1") && status.contains("other: in a container"), "{status}");
}

const TALK: &str = r#"[environment]
image = "bb:1"
[environments.serving]
image = "bb:1"
[steps.serve]
environment = "serving"
run = 'while [ ! -e done ]; do echo served | nc -l -p 7000 -w 5; done; true'
[steps.ask]
run = '''
until nc -w 2 serving 7000 </dev/null > got 2>/dev/null && grep -q served got; do sleep 0.1; done
cat got; touch done; nc -w 1 serving 7000 </dev/null >/dev/null 2>&1; true
'''
"#;

fn environments_find_each_other_by_name(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow(TALK);
    house.start();
    ended_and_gone(&house, engine, 0);
    assert_eq!(house.log("ask/0/a1"), "served\r\n");
    until("its network is gone", || engine.networks(&house.state()).is_empty());
}

/// What cannot be made is a network of this kind: its driver was taken away.
fn a_machine_that_makes_no_network_is_told_and_steps_run(kind: Kind) {
    let (engine, mut house) = (shared(kind), house(shared(kind)));
    house.set("DOGWATCH_MUTANT", "no_bridge");
    house.workflow(
        "[environment]\nimage = \"bb:1\"\n[environments.other]\nimage = \"bb:1\"\n[steps.a]\nrun = 'echo on'\n\
         [steps.b]\nenvironment = \"other\"\nrun = 'echo on'\n",
    );
    house.start();
    ended_and_gone(&house, engine, 0);
    let status = house.said(&["status"]);
    assert!(status.contains("do not find each other by name"), "{status}");
}

fn a_fresh_step_has_a_container_for_each_attempt(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow(&format!(
        "{ONE}[steps.a]\nfresh = true\nretry = {{ max_attempts = 2, delay = \"0s\" }}\n\
         run = 'ls /bin/mark 2>&1 || touch /bin/mark; [ \"$DOGWATCH_ATTEMPT\" = 2 ]'\n\
         [steps.b]\nneeds = [\"a\"]\nrun = 'ls /bin/mark 2>&1 || true; until [ -e go ]; do sleep 0.1; done'\n"
    ));
    house.start();
    until("b runs", || house.log("b/0/a1").contains("mark"));
    let gone = "ls: /bin/mark: No such file or directory\r\n";
    assert_eq!(["a/0/a1", "a/0/a2", "b/0/a1"].map(|attempt| house.log(attempt)), [gone; 3]);
    // What one attempt had alone goes with it, not with the run.
    until("one is left", || engine.containers(&house.state()).len() == 1);
    std::fs::write(house.work().join("go"), "").expect("a file");
    ended_and_gone(&house, engine, 0);
}

/// A run that fails, in a container that stays then.
fn failed_and_kept(engine: &Engine, more: &str) -> House {
    let house = house(engine);
    house.workflow(&format!(
        "{ONE}keep = \"failed\"\n{more}[steps.a]\nrun = 'echo \"made by a\" > /bin/mark'\n\
         [steps.b]\nneeds = [\"a\"]\nrun = 'cat /bin/mark; [ -e fixed ]'\n"
    ));
    house.start();
    assert_eq!(house.wait(), Some(3), "{}", house.said(&["status"]));
    house.said(&["decide", "e1", "fail"]);
    assert_eq!(house.wait(), Some(1), "{}", house.said(&["status"]));
    house
}

fn a_container_stays_when_its_run_has_failed_and_gc_removes_it(kind: Kind) {
    let engine = shared(kind);
    let house = failed_and_kept(engine, "");
    until("its keeper has ended", || house.keepers().is_empty());
    let kept = engine.containers(&house.state());
    assert_eq!(kept.len(), 1);
    // An engine that starts anew leaves it, too.
    house.kill_engine();
    let said = house.said(&["gc", "--dry-run"]);
    assert!(said.contains("container") && said.contains("w #1") && said.contains("would be removed"), "{said}");
    assert_eq!(engine.containers(&house.state()), kept, "a dry run removes nothing");
    // The run goes on in it, with all that was done there.
    std::fs::write(house.work().join("fixed"), "").expect("a file");
    house.said(&["resume", "@last"]);
    ended_and_gone(&house, engine, 0);
    assert_eq!(house.log("b/0/a2"), "made by a\r\n");
    // And once more, for gc to take it.
    let house = failed_and_kept(engine, "");
    // Its keeper ends before the container engine says that the container stands, and until then it is being closed.
    until("it is left", || house.said(&["gc", "--dry-run"]).contains("would be removed"));
    let said = house.said(&["gc"]);
    assert!(said.contains("removed"), "{said}");
    assert!(engine.containers(&house.state()).is_empty(), "{said}");
    assert!(house.said(&["gc"]).contains("nothing"), "nothing is left");
}

fn gc_touches_nothing_that_is_not_ours(kind: Kind) {
    let engine = shared(kind);
    let house = house(engine);
    house.workflow(&format!(
        "{ONE}[steps.a]\nrun = 'until [ -e go ]; do sleep 0.1; done'\n[steps.b]\nneeds = [\"a\"]\nsnapshot = true\nrun = 'true'\n"
    ));
    house.start();
    until("its container is there", || engine.containers(&house.state()).len() == 1);
    let label = format!("dogwatch.state={}", house.state().display());
    let make = |name: &str, labels: &[&str]| {
        let mut words = vec!["create", "--name", name];
        words.extend(labels.iter().flat_map(|label| ["--label", label]));
        words.extend(["bb:1", "/bin/sleep", "1"]);
        engine.said(&words)
    };
    let tag = house.root().file_name().expect("a name").to_string_lossy().to_lowercase().replace('.', "");
    // Another program's; one of another state folder at the same path; one whose run the journal does not know.
    let (run, environment) = ("dogwatch.run=abc234", "dogwatch.environment=default");
    let others = make(&format!("others-{tag}"), &["dogwatch.state=/elsewhere", run, environment]);
    let old = ["dogwatch.id=0123456789abcdef", "dogwatch.run=abc235", environment];
    let older = make("dogwatch-abc235-default", &[&label, old[0], old[1], old[2]]);
    let orphan = make("dogwatch-abc234-default", &[&label, run, environment]);
    let said = house.said(&["gc"]);
    assert!(said.contains("no run") && said.matches("removed").count() == 1, "{said}");
    let left = engine.said(&["ps", "--all", "--quiet", "--no-trunc"]);
    assert!(left.contains(&others) && left.contains(&older) && !left.contains(&orphan), "{left}");
    std::fs::write(house.work().join("go"), "").expect("a file");
    engine.said(&["rm", &others, &older]);
    // The run's own was left alone.
    ended_and_gone(&house, engine, 0);
    // What somebody makes of what was kept has all our labels, and is his.
    let kept = engine.images(&house.state());
    assert_eq!(kept.len(), 1);
    let copy = engine.said(&["create", "--name", &format!("copy-{tag}"), &kept[0]]);
    let labels = engine.said(&["inspect", "--format", "{{json .Config.Labels}}", &copy]);
    assert!(labels.contains("dogwatch.run") && labels.contains("dogwatch.environment"), "{labels}");
    let said = house.said(&["gc"]);
    assert!(!said.contains("; removed"), "{said}");
    assert!(engine.said(&["ps", "--all", "--quiet", "--no-trunc"]).contains(&copy), "{said}");
    engine.said(&["rm", &copy]);
    forget_kept(&house);
}

const SNAPSHOT: &str = r#"[steps.setup]
snapshot = true
run = 'echo "start $DOGWATCH_KEY" >> effects; echo "made by setup" > /bin/mark; echo "$COLOUR"'
[steps.work]
needs = ["setup"]
run = 'echo "start $DOGWATCH_KEY" >> effects; cat /bin/mark; echo spoilt >> /bin/mark; env | grep -c LD_LIBRARY || echo "$COLOUR"'
"#;

fn what_a_step_left_is_there_when_the_run_is_resumed(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow(&format!("{ONE}{SNAPSHOT}allow_failure = true\n"));
    house.start();
    ended_and_gone(&house, engine, 0);
    // Its container has gone with the run; what was kept has not.
    house.said(&["resume", "@last", "--from", "work"]);
    ended_and_gone(&house, engine, 0);
    let counted = house.effects();
    assert_eq!(counted.len(), 3, "{counted:?}");
    assert_eq!(house.log("work/0/a1"), "made by setup\r\n0\r\ngreen\r\n");
    assert_eq!(house.log("work/0/a2"), "made by setup\r\n0\r\ngreen\r\n");
    forget_kept(&house);
}

/// What was kept would stay in the shared engine.
fn forget_kept(house: &House) {
    house.said(&["checkpoints", "@last", "prune", "--all"]);
}

fn a_retry_goes_on_from_what_was_kept(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow(&format!(
        "{ONE}[steps.setup]\nsnapshot = true\nrun = 'echo clean > /bin/mark'\n\
         [steps.work]\nneeds = [\"setup\"]\nretry = {{ max_attempts = 3, delay = \"0s\" }}\n\
         run = 'cat /bin/mark; echo spoilt > /bin/mark; [ \"$DOGWATCH_ATTEMPT\" = 3 ]'\n\
         [steps.last]\nneeds = [\"work\"]\nrun = 'cat /bin/mark'\n"
    ));
    house.start();
    ended_and_gone(&house, engine, 0);
    assert_eq!(["work/0/a1", "work/0/a2", "work/0/a3"].map(|attempt| house.log(attempt)), ["clean\r\n"; 3]);
    assert_eq!(house.log("last/0/a1"), "spoilt\r\n", "what comes after goes on in the same container");
    forget_kept(&house);
}

/// Where the engine acts on the container engine to keep an environment, and to make it anew.
const POINTS: [&str; 8] = [
    "hands.before-keep",
    "docker.before-commit",
    "docker.after-commit",
    "hands.after-keep",
    "hands.before-anew",
    "docker.before-remove",
    "docker.after-create",
    "hands.after-anew",
];

fn the_engine_is_killed_while_an_environment_is_kept(kind: Kind) {
    let engine = shared(kind);
    let workflow = format!(
        "{ONE}[steps.setup]\nsnapshot = true\nrun = 'echo \"start $DOGWATCH_KEY\" >> effects; echo clean > /bin/mark'\n\
         [steps.work]\nneeds = [\"setup\"]\nretry = {{ max_attempts = 2, delay = \"0s\" }}\n\
         run = 'echo \"start $DOGWATCH_KEY\" >> effects; cat /bin/mark; echo spoilt > /bin/mark; [ \"$DOGWATCH_ATTEMPT\" = 2 ]'\n"
    );
    let mut died = 0;
    for point in POINTS {
        // The container is made twice: the second time of what was kept.
        let of_second = if point == "docker.after-create" { "docker.after-create:2" } else { point };
        let house = dies_once_at(engine, of_second, &workflow, &[1, 1, 1]);
        died += 1;
        assert_eq!(house.log("work/0/a2"), "clean\r\n", "{point}");
        assert_eq!(engine.images(&house.state()).len(), 1, "{point}: it is kept once");
        forget_kept(&house);
    }
    assert_eq!(died, POINTS.len(), "faults that were injected");
}

fn checkpoints_are_listed_verified_pinned_and_pruned(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow(&format!(
        "{ONE}[steps.one]\nsnapshot = true\nrun = 'dd if=/dev/zero of=/bin/big bs=1M count=3 2>/dev/null'\n\
         [steps.two]\nneeds = [\"one\"]\nsnapshot = true\nrun = 'true'\n\
         [steps.three]\nneeds = [\"two\"]\nsnapshot = true\nrun = 'true'\n"
    ));
    house.start();
    ended_and_gone(&house, engine, 0);
    let listed = house.said(&["checkpoints", "@last"]);
    assert!(listed.contains("one") && listed.contains("environment") && listed.contains("3.0 MiB"), "{listed}");
    let all = || {
        let said = house.said(&["checkpoints", "@last", "--json"]);
        said.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")).collect::<Vec<_>>()
    };
    assert_eq!(all().len(), 3, "{listed}");
    assert_eq!(engine.images(&house.state()).len(), 3);
    house.said(&["checkpoints", "@last", "pin", "one"]);
    let said = house.said(&["checkpoints", "@last", "prune", "--dry-run"]);
    assert!(said.contains("two") && !said.contains("one"), "{said}");
    assert_eq!(engine.images(&house.state()).len(), 3, "a dry run removes nothing");
    house.said(&["checkpoints", "@last", "prune"]);
    // The newest one and the pinned one stay.
    assert_eq!(engine.images(&house.state()).len(), 2);
    house.said(&["checkpoints", "@last", "verify"]);
    let images = engine.images(&house.state());
    engine.said(&["rmi", "--force", &images[0]]);
    let verified = house.dogwatch(&["checkpoints", "@last", "verify"]);
    assert!(!verified.status.success() && words(&verified).contains("gone"), "{}", words(&verified));
    house.said(&["checkpoints", "@last", "unpin", "one"]);
    forget_kept(&house);
    assert!(engine.images(&house.state()).is_empty());
}

fn an_image_is_fetched_and_how_far_it_has_come_is_told(kind: Kind) {
    // One of its own: its registry stands still.
    let engine = Engine::start(kind, false);
    let house = house(&engine);
    let image = format!("{}/slow:1", engine.registry.name());
    house.workflow(&format!(
        "[environment]\nimage = \"{image}\"\nnetwork = false\n[steps.a]\nrun = 'echo \"$COLOUR\"'\n"
    ));
    house.start();
    let detail = || house.lane("a")["detail"].as_str().unwrap_or_default().to_owned();
    until("it is being fetched", || detail().starts_with(&format!("pulling {image}")));
    if kind == Kind::Docker {
        let told = || detail().contains("0 of 1 layers, ") && detail().contains(" of 4.9 MiB");
        let told = crate::house::within(20_000, told);
        assert!(told, "{}", detail());
    }
    // Who looks and who asks is answered meanwhile; a new engine begins anew.
    assert!(house.said(&["status"]).contains("pulling"), "{}", house.said(&["status"]));
    house.kill_engine();
    house.said(&["engine", "start"]);
    until("it is being fetched again", || detail().starts_with("pulling"));
    engine.registry.go_on(true);
    ended_and_gone(&house, &engine, 0);
    assert_eq!(house.log("a/0/a1"), "red\r\n");
}

fn a_run_is_stopped_while_its_image_is_fetched(kind: Kind) {
    // One of its own: its registry stands still.
    let engine = Engine::start(kind, false);
    let house = house(&engine);
    let image = format!("{}/slow:1", engine.registry.name());
    let start = "run = 'echo \"start $DOGWATCH_KEY\" >> effects'";
    house.workflow(&format!(
        "[environment]\nimage = \"{image}\"\nnetwork = false\n[steps.a]\n{start}\n[steps.b]\n{start}\n"
    ));
    house.start();
    let fetched = |name: &str| house.lane(name)["detail"].as_str().unwrap_or_default().starts_with("pulling");
    until("it is being fetched", || fetched("a") && fetched("b"));
    house.said(&["stop", "@last"]);
    until("the run has ended, though its image never came", || house.status()["line"]["state"] == "stopped");
    assert_eq!((&house.lane("a")["state"], &house.lane("b")["state"]), (&"stopped".into(), &"stopped".into()));
    assert!(house.effects().is_empty(), "nothing has begun");
    // It goes on where it was, once the image can be had.
    engine.registry.go_on(true);
    house.said(&["resume", "@last"]);
    ended_and_gone(&house, &engine, 0);
    assert_eq!(house.effects().into_values().collect::<Vec<usize>>(), [1, 1], "{:?}", house.effects());
}

fn an_image_is_fetched_when_its_pull_says_so(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    engine.registry.go_on(true);
    let image = format!("{}/{}:1", engine.registry.name(), "policy");
    let run = |pull: &str| {
        house.workflow(&format!(
            "[environment]\nimage = \"{image}\"\npull = \"{pull}\"\nnetwork = false\n[steps.a]\nrun = 'echo on'\n"
        ));
        let before = engine.registry.asked();
        house.start();
        (house.wait(), engine.registry.asked() - before)
    };
    let (code, asked) = run("never");
    assert_eq!((code, asked), (Some(3), 0));
    let shown = house.said(&["show", "e1"]);
    assert!(
        shown.contains(&format!("the image {image} cannot be had")) && shown.contains("pull = \"never\""),
        "{shown}"
    );
    house.said(&["stop", "@last"]);
    assert!(run("missing").1 > 0, "it was fetched");
    assert_eq!(run("missing"), (Some(0), 0), "it is there");
    assert!(run("always").1 > 0, "it was fetched anew");
    assert_eq!(run("never"), (Some(0), 0));
}

fn an_engine_that_stands_still_is_told_with_how_long(kind: Kind) {
    let engine = Engine::start(kind, false);
    let house = house(&engine);
    crate::house::signal(engine.pid(), rustix::process::Signal::STOP);
    house.workflow(&format!("{ONE}[steps.a]\nrun = 'echo on'\n"));
    house.start();
    let detail = || house.lane("a")["detail"].as_str().unwrap_or_default().to_owned();
    until("it is told", || detail().contains("has not answered for 10 s (for "));
    assert_eq!(house.status()["line"]["asking"], 0, "nobody is asked: it may speak again");
    crate::house::signal(engine.pid(), rustix::process::Signal::CONT);
    ended_and_gone(&house, &engine, 0);
}

fn the_engine_is_killed_while_an_image_is_fetched(kind: Kind) {
    let engine = shared(kind);
    engine.registry.go_on(true);
    let mut died = 0;
    for point in ["docker.before-pull", "docker.after-pull", "docker.before-network", "docker.after-network"] {
        let image = format!("{}/{}:1", engine.registry.name(), point.replace("docker.", ""));
        let start = "run = 'echo \"start $DOGWATCH_KEY\" >> effects'";
        let workflow = format!(
            "[environment]\nimage = \"{image}\"\n[environments.two]\nimage = \"{image}\"\n\
             [steps.a]\n{start}\n[steps.b]\nneeds = [\"a\"]\nenvironment = \"two\"\n{start}\n"
        );
        let house = dies_once_at(engine, point, &workflow, &[1, 1]);
        died += 1;
        until(&format!("{point}: no network is left"), || engine.networks(&house.state()).is_empty());
    }
    assert_eq!(died, 4, "faults that were injected");
}

/// A server makes its clients execute a command: that happens in the container, for that is where they run.
fn a_step_that_commands_the_tmux_server_commands_nothing_here(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    let canary = house.root().join("canary");
    let script = r#"
b=/run/dogwatch/b
t() { LOCPATH=$b/locale TERMINFO=$b/terminfo $b/ld.so --library-path $b/lib $b/tmux -S /run/dogwatch/rt/k/tmux.sock "$@"; }
until [ -e go ]; do sleep 0.1; done
t detach-client -s "=$DOGWATCH_KEY" -E "touch CANARY /workspace/done" >> said 2>&1 || true
until [ -e stop ]; do sleep 0.1; done
"#;
    let script = script.replace("CANARY", &canary.to_string_lossy());
    house.workflow(&format!("{ONE}[steps.a]\nrun = '''{script}'''\n"));
    house.start();
    let mut terminal = crate::containers::Terminal::of(&house, &["attach", "@last", "a"]);
    terminal.see("\u{1b}[?25h");
    std::fs::write(house.work().join("go"), "").expect("a file");
    let done = crate::house::within(20_000, || house.work().join("done").exists());
    assert!(done, "its client has executed the command: {}", house.text("said"));
    assert!(!canary.exists(), "it was executed on this host");
    drop(terminal);
    std::fs::write(house.work().join("stop"), "").expect("a file");
    ended_and_gone(&house, engine, 0);
}

fn a_link_that_a_step_planted_leads_nowhere(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    let outside = house.root().join("outside");
    std::fs::create_dir(&outside).expect("a folder");
    house.workflow(&format!(
        "{ONE}[steps.a]\nretry = {{ max_attempts = 2, delay = \"0s\" }}\n\
         run = 'cd \"$DOGWATCH_RUN_DIR\"; mv a gone; ln -s \"{}\" a; exit 3'\n",
        outside.display()
    ));
    house.start();
    let detail = || house.lane("a")["detail"].as_str().unwrap_or_default().to_owned();
    until("it is told", || detail().contains("it has no place to work in"));
    assert_eq!(std::fs::read_dir(&outside).expect("a folder").count(), 0, "nothing was made behind the link");
    let run = std::fs::read_dir(house.state().join("runs")).expect("runs").flatten().next().expect("a run").path();
    std::fs::remove_file(run.join("work/a")).expect("the link");
    assert_eq!(house.wait(), Some(3));
    house.said(&["stop", "@last"]);
    ended_and_gone(&house, engine, 4);
}

/// What is there in one container is nowhere else: not in the other one, and not on this machine.
fn services_are_probed_and_waits_look_inside_their_containers(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    let poll = "poll = { min = '100ms', max = '300ms' }";
    let probe = "period = '100ms', failure_threshold = 600";
    house.workflow(&format!(
        "{TWO}[steps.port]\nenvironment = \"other\"\nservice = true\n\
         readiness_probe = {{ tcp = '127.0.0.1:7431', {probe} }}\n\
         run = 'sleep 1; echo port >> up; while :; do nc -l -p 7431 </dev/null; done'\n\
         [steps.file]\nenvironment = \"other\"\nservice = true\n\
         readiness_probe = {{ command = 'cat /bin/up', {probe} }}\n\
         run = 'sleep 1; echo file >> up; echo on > /bin/up; sleep 600'\n\
         [steps.mark]\nneeds = [\"port\", \"file\"]\nrun = 'sort up; ls /bin/up || true; sleep 1; echo on > /bin/mark'\n\
         [steps.here]\nneeds = [\"port\", \"file\"]\n\
         wait_for = {{ command = 'cat /bin/mark && ! ls /bin/up', {poll} }}\n\
         [steps.there]\nenvironment = \"other\"\nneeds = [\"mark\"]\n\
         wait_for = {{ command = 'cat /bin/up && ! ls /bin/mark', {poll} }}\n\
         [steps.last]\nneeds = [\"here\", \"there\"]\nrun = 'cat /bin/mark'\n"
    ));
    house.start();
    ended_and_gone(&house, engine, 0);
    // It ran when both were ready, and saw nothing of their container.
    assert_eq!(house.log("mark/0/a1"), "file\r\nport\r\nls: /bin/up: No such file or directory\r\n");
    assert_eq!(house.log("last/0/a1"), "on\r\n");
}
