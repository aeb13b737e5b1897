//! Two things at once around containers: what is removed while it is wanted again, what is stopped while it cannot begin,
//! what takes longer than it may. The same tests against a real dockerd and a real Podman service. One of the two stands
//! still at a named place meanwhile, so that none of them depends on luck.

use std::path::PathBuf;
use std::process::Command;

use crate::containers::{ended_and_gone, house, on_both};
use crate::engines::{Engine, Kind, shared};
use crate::house::{House, signal, until, within, words};
use rustix::process::Signal;

on_both!(
    a_network_stays_while_a_container_of_its_run_is_being_made,
    a_network_of_somebody_else_is_not_used_and_not_removed,
    names_that_cannot_be_told_stop_no_step,
    gc_leaves_a_container_that_is_wanted_again,
    a_run_that_is_resumed_while_it_is_closed_has_one_pair_of_hands,
    a_run_is_stopped_while_its_container_engine_is_frozen,
    a_run_is_stopped_while_its_container_engine_is_gone,
    a_wrong_image_stops_nothing_elsewhere,
    a_time_limit_that_passes_while_the_environment_is_kept_ends_nothing,
    a_shell_after_a_stop_finds_what_was_kept,
    an_environment_whose_checkpoint_is_gone_is_not_given_up,
    a_checkpoint_that_cannot_be_removed_is_gcs,
);

/// Nobody took a test out of one of the two lists.
#[test]
fn both_engines_have_the_same_tests() {
    assert_eq!(TESTS, 12);
}

const ONE: &str = "[environment]\nimage = \"bb:1\"\nnetwork = false\n";
/// How long what must not happen is given to happen. A race that is lost is lost in less.
const NEVER_MS: i64 = 1_500;

/// A place where the engine stands still when it comes there the first time.
struct Held {
    house: House,
    _folder: tempfile::TempDir,
    mark: PathBuf,
}

impl Held {
    /// A house, and a place for its engine to say that it stands still.
    fn new(engine: &Engine) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mark = folder.path().join("held");
        Self { house: house(engine), _folder: folder, mark }
    }

    /// A house whose engine stands still when it comes to this point.
    fn at(engine: &Engine, point: &str) -> Self {
        let mut held = Self::new(engine);
        held.stands_still_at(point);
        held
    }

    fn stands_still_at(&mut self, point: &str) {
        self.house.set("DOGWATCH_CRASH", point);
        self.house.set("DOGWATCH_CRASH_ONCE", &self.mark.to_string_lossy());
        self.house.set("DOGWATCH_CRASH_HOLD", "1");
    }

    /// The engine is another one from now on, and stands still when it comes to this point.
    fn with_a_new_engine_at(&mut self, point: &str) {
        self.house.kill_engine();
        self.stands_still_at(point);
        self.house.said(&["engine", "start"]);
    }

    /// It has come there.
    #[track_caller]
    fn reached(&self) {
        until("somebody stands still", || self.mark.exists());
    }

    fn go_on(&self) {
        let mut go = self.mark.clone().into_os_string();
        go.push(".go");
        std::fs::write(go, "").expect("a file");
    }
}

fn touch(house: &House, name: &str) {
    std::fs::write(house.work().join(name), "").expect("a file");
}

fn run_dir(house: &House) -> PathBuf {
    std::fs::read_dir(house.state().join("runs")).expect("runs").flatten().next().expect("a run").path()
}

fn a_network_stays_while_a_container_of_its_run_is_being_made(kind: Kind) {
    let engine = shared(kind);
    let mut held = Held::new(engine);
    held.house.workflow(
        "[environment]\nimage = \"bb:1\"\n[environments.two]\nimage = \"bb:1\"\n[environments.here]\n\
         [steps.a]\nfresh = true\nrun = 'echo on; until [ -e go-a ]; do sleep 0.1; done'\n\
         [steps.c]\nenvironment = \"here\"\nrun = 'until [ -e go-b ]; do sleep 0.1; done'\n\
         [steps.b]\nneeds = [\"c\"]\nenvironment = \"two\"\nrun = 'true'\n",
    );
    held.house.start();
    until("a runs", || held.house.log("a/0/a1").contains("on"));
    // The second one has seen the network then, and is not in it yet.
    held.with_a_new_engine_at("docker.before-create");
    let house = &held.house;
    touch(house, "go-b");
    held.reached();
    // The only container of the network goes now, and takes the network along if it may.
    touch(house, "go-a");
    until("a's container is gone", || engine.containers(&house.state()).is_empty());
    within(NEVER_MS, || engine.networks(&house.state()).is_empty());
    held.go_on();
    ended_and_gone(house, engine, 0);
    let status = house.said(&["status"]);
    assert!(!status.contains("do not find each other by name"), "{status}");
    until("its network is gone", || engine.networks(&house.state()).is_empty());
}

fn a_network_of_somebody_else_is_not_used_and_not_removed(kind: Kind) {
    let engine = shared(kind);
    let held = Held::at(engine, "hands.before-ensure");
    let house = &held.house;
    house.workflow(
        "[environment]\nimage = \"bb:1\"\n[environments.two]\nimage = \"bb:1\"\n[steps.a]\nrun = 'true'\n\
         [steps.b]\nneeds = [\"a\"]\nenvironment = \"two\"\nrun = 'true'\n",
    );
    house.start();
    held.reached();
    let name = format!("dogwatch-{}", run_dir(house).file_name().expect("an id").to_string_lossy());
    engine.said(&["network", "create", &name]);
    held.go_on();
    ended_and_gone(house, engine, 0);
    let status = house.said(&["status"]);
    assert!(status.contains("do not find each other by name"), "{status}");
    assert!(engine.said(&["network", "ls"]).contains(&name), "it stays");
    engine.said(&["network", "rm", &name]);
}

fn names_that_cannot_be_told_stop_no_step(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow(
        "[environment]\nimage = \"bb:1\"\n[environments.two]\nimage = \"bb:1\"\n\
         [steps.a]\nrun = 'until [ -e go ]; do sleep 0.1; done'\n\
         [steps.b]\nneeds = [\"a\"]\nenvironment = \"two\"\nrun = 'grep -c two /etc/hosts || true'\n",
    );
    house.start();
    until("a runs", || house.lane("a")["state"] == "running");
    let names = run_dir(&house).join("env/.hosts");
    let immutable = |sign: &str| Command::new("chattr").arg(sign).arg(&names).status().is_ok_and(|done| done.success());
    assert!(immutable("+i"), "the file of names refuses every change");
    touch(&house, "go");
    let code = house.wait();
    assert!(immutable("-i"));
    assert_eq!((code, house.log("b/0/a1").as_str()), (Some(0), "0\r\n"), "{}", house.said(&["status"]));
    until("its container is gone", || engine.containers(&house.state()).is_empty());
}

fn gc_leaves_a_container_that_is_wanted_again(kind: Kind) {
    let engine = shared(kind);
    let held = Held::at(engine, "gc.before-question");
    let house = &held.house;
    house.workflow(&format!(
        "{ONE}keep = \"failed\"\n[steps.a]\nrun = 'echo \"made by a\" > /bin/mark'\n[steps.b]\nneeds = [\"a\"]\n\
         run = 'cat /bin/mark; [ -e fixed ]; echo on; until [ -e go ]; do sleep 0.1; done'\n"
    ));
    house.start();
    assert_eq!(house.wait(), Some(3), "{}", house.said(&["status"]));
    house.said(&["decide", "e1", "fail"]);
    assert_eq!(house.wait(), Some(1), "{}", house.said(&["status"]));
    until("its keeper has ended", || house.keepers().is_empty());
    let kept = engine.containers(&house.state());
    assert_eq!(kept.len(), 1);
    // Somebody starts it by hand: it runs when it is listed, and its run has ended.
    engine.said(&["start", &kept[0]]);
    let mut gc = house.spawn(&["gc"]);
    held.reached();
    touch(house, "fixed");
    house.said(&["resume", "@last"]);
    until("the step runs again", || house.log("b/0/a2").contains("on"));
    held.go_on();
    assert!(gc.wait().is_ok_and(|status| status.success()), "nothing has failed");
    assert_eq!(engine.containers(&house.state()), kept, "it is there still");
    touch(house, "go");
    ended_and_gone(house, engine, 0);
    assert_eq!(house.log("b/0/a2"), "made by a\r\non\r\n");
}

fn a_run_that_is_resumed_while_it_is_closed_has_one_pair_of_hands(kind: Kind) {
    let engine = Engine::start(kind, false);
    let mut held = Held::new(&engine);
    held.house.workflow(&format!(
        "{ONE}[steps.a]\nallow_failure = true\n\
         run = 'echo on; until [ -e go ]; do sleep 0.1; done; [ -e stay ] && sleep 60'\n"
    ));
    held.house.start();
    until("a runs", || held.house.log("a/0/a1").contains("on"));
    let points = held.house.root().join("points");
    held.house.set("DOGWATCH_CRASH_LOG", &points.to_string_lossy());
    held.with_a_new_engine_at("docker.before-create");
    let house = &held.house;
    // It cannot be closed to the end: its container's engine does not answer.
    signal(engine.pid(), Signal::STOP);
    touch(house, "go");
    assert_eq!(house.wait(), Some(0), "{}", house.said(&["status"]));
    touch(house, "stay");
    house.said(&["resume", "@last", "--from", "a"]);
    signal(engine.pid(), Signal::CONT);
    held.reached();
    // Whoever else has its environment would make it now, for somebody who wants a shell.
    let mut shell = crate::containers::Terminal::of(house, &["shell", "@last", "a"]);
    let made = || {
        let text = std::fs::read_to_string(&points).unwrap_or_default();
        text.lines().filter(|line| *line == "hands.after-ensure").count()
    };
    within(2 * NEVER_MS, || made() > 0);
    held.go_on();
    shell.see("a shell beside");
    shell.press("exit\r");
    shell.see("has ended after");
    house.said(&["stop", "@last"]);
    ended_and_gone(house, &engine, 4);
    assert_eq!(made(), 1, "how often the environment of one attempt was made");
}

/// The image of the run is being fetched; its step waits for that.
fn fetching(engine: &Engine, name: &str) -> House {
    let house = house(engine);
    let image = format!("{}/{name}:1", engine.registry.name());
    house.workflow(&format!("[environment]\nimage = \"{image}\"\nnetwork = false\n[steps.a]\nrun = 'touch begun'\n"));
    house.start();
    let detail = || house.lane("a")["detail"].as_str().unwrap_or_default().to_owned();
    until("it is being fetched", || detail().starts_with("pulling"));
    house
}

#[track_caller]
fn stops_without_having_begun(house: &House) {
    house.said(&["stop", "@last"]);
    assert_eq!(house.wait(), Some(4), "{}", house.said(&["status"]));
    assert!(!house.work().join("begun").exists());
}

fn a_run_is_stopped_while_its_container_engine_is_frozen(kind: Kind) {
    let engine = Engine::start(kind, false);
    let house = fetching(&engine, "frozen");
    signal(engine.pid(), Signal::STOP);
    stops_without_having_begun(&house);
    signal(engine.pid(), Signal::CONT);
    engine.registry.go_on(true);
    until("nothing was made", || engine.containers(&house.state()).is_empty());
}

fn a_run_is_stopped_while_its_container_engine_is_gone(kind: Kind) {
    let engine = Engine::start(kind, false);
    let house = fetching(&engine, "gone");
    engine.end(Signal::KILL);
    stops_without_having_begun(&house);
}

fn a_wrong_image_stops_nothing_elsewhere(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow(
        "[environment]\nimage = \"bb:1\"\nnetwork = false\n[environments.wrong]\nimage = \"localhost:1/wrong:1\"\nnetwork = false\n\
         [steps.a]\nenvironment = \"wrong\"\nrun = 'true'\n[steps.b]\nenvironment = \"wrong\"\nrun = 'true'\n\
         [steps.c]\nrun = 'until [ -e go ]; do sleep 0.1; done'\n[steps.d]\nneeds = [\"c\"]\nrun = 'echo on'\n",
    );
    house.start();
    until("somebody is asked", || house.status()["line"]["asking"] == 1);
    touch(&house, "go");
    until("what comes after c runs", || house.lane("d")["state"] == "succeeded");
    assert_eq!(house.wait(), Some(3));
    assert_eq!(house.status()["line"]["asking"], 1, "one question for both steps of that environment");
    house.said(&["stop", "@last"]);
    until("it has stopped", || house.status()["line"]["state"] == "stopped");
    ended_and_gone(&house, engine, 4);
}

fn a_time_limit_that_passes_while_the_environment_is_kept_ends_nothing(kind: Kind) {
    let engine = shared(kind);
    let held = Held::at(engine, "docker.before-commit");
    let house = &held.house;
    house.workflow(&format!(
        "{ONE}[steps.a]\nsnapshot = true\ntimeout = \"2s\"\nrun = 'true'\n[steps.b]\nneeds = [\"a\"]\nrun = 'echo on'\n"
    ));
    house.start();
    held.reached();
    let stopping = || house.lane("a")["state"] != "running";
    assert!(!within(4_000, stopping), "{}", house.lane("a"));
    held.go_on();
    ended_and_gone(house, engine, 0);
    assert_eq!(house.lane("a")["state"], "succeeded");
    assert_eq!(engine.images(&house.state()).len(), 1);
    house.said(&["checkpoints", "@last", "prune", "--all"]);
}

fn a_shell_after_a_stop_finds_what_was_kept(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow(&format!(
        "{ONE}[environments.here]\n[steps.a]\nsnapshot = true\nrun = 'echo kept > /bin/mark'\n\
         [steps.between]\nneeds = [\"a\"]\nenvironment = \"here\"\nrun = 'until [ -e go ]; do sleep 0.1; done'\n\
         [steps.b]\nneeds = [\"between\"]\nrun = 'cat /bin/mark /bin/by-hand'\n"
    ));
    house.start();
    until("a has ended", || house.lane("between")["state"] == "running");
    house.said(&["stop", "@last"]);
    ended_and_gone(&house, engine, 4);
    let mut shell = crate::containers::Terminal::of(&house, &["shell", "@last", "b"]);
    shell.see("a shell beside");
    shell.press("cat /bin/mark > seen 2>&1; echo too > /bin/by-hand\r");
    until("the shell has looked", || !house.text("seen").is_empty());
    assert_eq!(house.text("seen"), "kept\n");
    // It is the environment in which the run goes on.
    touch(&house, "go");
    house.said(&["resume", "@last"]);
    until("b has run", || house.lane("b")["state"] == "succeeded");
    shell.press("exit\r");
    drop(shell);
    ended_and_gone(&house, engine, 0);
    assert_eq!(house.log("b/0/a1"), "kept\r\ntoo\r\n");
    house.said(&["checkpoints", "@last", "prune", "--all"]);
}

fn an_environment_whose_checkpoint_is_gone_is_not_given_up(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow(&format!(
        "{ONE}[steps.a]\nsnapshot = true\nrun = 'true'\n\
         [steps.b]\nneeds = [\"a\"]\nretry = {{ max_attempts = 2, delay = \"0s\" }}\n\
         run = 'echo work > /bin/mark; echo on; until [ -e go ]; do sleep 0.1; done; exit 3'\n"
    ));
    house.start();
    until("b runs", || house.log("b/0/a1").contains("on"));
    let containers = engine.containers(&house.state());
    let kept = engine.images(&house.state());
    assert_eq!((containers.len(), kept.len()), (1, 1));
    engine.said(&["rmi", "--force", &kept[0]]);
    touch(&house, "go");
    assert_eq!(house.wait(), Some(3), "{}", house.said(&["status"]));
    let shown = house.said(&["show", "e1"]);
    assert!(shown.contains("was removed from the container engine"), "{shown}");
    assert_eq!(engine.containers(&house.state()), containers, "what was done in it is there");
    assert_eq!(engine.said(&["exec", &containers[0], "cat", "/bin/mark"]), "work");
    house.said(&["stop", "@last"]);
    ended_and_gone(&house, engine, 4);
}

fn a_checkpoint_that_cannot_be_removed_is_gcs(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow(&format!("{ONE}[steps.a]\nsnapshot = true\nrun = 'true'\n"));
    house.start();
    ended_and_gone(&house, engine, 0);
    let kept = engine.images(&house.state());
    assert_eq!(kept.len(), 1);
    let tag = house.root().file_name().expect("a name").to_string_lossy().to_lowercase().replace('.', "");
    let user = engine.said(&["create", "--name", &format!("user-{tag}"), &kept[0]]);
    let pruned = house.dogwatch(&["checkpoints", "@last", "prune", "--all"]);
    let said = words(&pruned);
    assert!(!pruned.status.success() && said.contains("was not removed") && said.contains("gc"), "{said}");
    // No attempt goes on from it any more, and it is not listed.
    assert!(
        !house.said(&["checkpoints", "@last"]).contains("environment"),
        "{}",
        house.said(&["checkpoints", "@last"])
    );
    engine.said(&["rm", &user]);
    let said = house.said(&["gc"]);
    assert!(said.contains("it was pruned; removed"), "{said}");
    assert!(engine.images(&house.state()).is_empty());
}
