//! What is left of environments: containers that stay, what steps kept of them, and what `gc` and `prune` remove. The same
//! tests against a real dockerd and a real Podman service.

use crate::containers::{ended_and_gone, house, on_both};
use crate::engines::{Engine, Kind, shared};
use crate::environments::ONE;
use crate::harm::dies_once_at;
use crate::house::{House, until, words};

on_both!(
    a_container_stays_when_its_run_has_failed_and_gc_removes_it,
    gc_touches_nothing_that_is_not_ours,
    what_a_step_left_is_there_when_the_run_is_resumed,
    a_retry_goes_on_from_what_was_kept,
    the_engine_is_killed_while_an_environment_is_kept,
    checkpoints_are_listed_verified_pinned_and_pruned,
);

/// Nobody took a test out of one of the two lists.
#[test]
fn both_engines_have_the_same_tests() {
    assert_eq!(TESTS, 6);
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
