//! Several environments in one run, environments of single attempts, and the fetching of their images: the same tests against
//! a real dockerd and a real Podman service.

use crate::containers::{ended_and_gone, house, on_both};
use crate::engines::{Engine, Kind, shared};
use crate::harm::dies_once_at;
use crate::house::until;

on_both!(
    each_environment_is_a_container_of_its_own,
    steps_name_their_image_themselves_and_share_its_container,
    environments_find_each_other_by_name,
    a_machine_that_makes_no_network_is_told_and_steps_run,
    a_fresh_step_has_a_container_for_each_attempt,
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
    assert_eq!(TESTS, 13);
}

const TWO: &str =
    "[environment]\nimage = \"bb:1\"\nnetwork = false\n[environments.other]\nimage = \"bb:1\"\nnetwork = false\n";
pub(crate) const ONE: &str = "[environment]\nimage = \"bb:1\"\nnetwork = false\n";

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

/// The first one runs in the sandbox; the script of the last one is for a program of its image.
fn steps_name_their_image_themselves_and_share_its_container(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow(
        "[steps.a]\nrun = 'touch from-a'\n\
         [steps.b]\nimage = \"bb:1\"\nneeds = [\"a\"]\nrun = 'ls from-a; touch /bin/by-b'\n\
         [steps.c]\nimage = \"bb:1\"\nneeds = [\"b\"]\nrun = 'ls /bin/by-b'\n\
         [steps.d]\nimage = \"bb:1\"\nrun = \"#!/bin/cat\\nno shell\"\n",
    );
    house.start();
    ended_and_gone(&house, engine, 0);
    assert_eq!(house.log("b/0/a1"), "from-a\r\n");
    assert_eq!(house.log("c/0/a1"), "/bin/by-b\r\n");
    assert_eq!(house.log("d/0/a1"), "#!/bin/cat\r\nno shell");
    let status = house.said(&["status"]);
    assert!(status.contains("bb-1: in a container of bb:1"), "{status}");
}

const TALK: &str = r#"[environment]
image = "bb:1"
[environments.serving]
image = "bb:1"
[steps.serve]
environment = "serving"
run = 'while [ ! -e done ]; do echo served | nc -l -p 7000 -w 5 || true; done'
[steps.ask]
run = '''
until nc -w 2 serving 7000 </dev/null > got 2>/dev/null && grep -q served got; do sleep 0.1; done
cat got; touch done; nc -w 1 serving 7000 </dev/null >/dev/null 2>&1 || true
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
         run = 'sleep 1; echo port >> up; while :; do nc -l -p 7431 </dev/null || true; done'\n\
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
