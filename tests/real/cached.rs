//! What is not run again: with real steps, files and runs, and with the engine killed on the way.

use crate::desk::Desk;

const FILE: &str = r#"
[steps.prepare]
run = '''
echo prepare >> ran
mkdir -p data
cut -c1-3 raw > data/words
'''
inputs = { raw = "raw" }
outputs = { words = { path = "data", cache = true } }

[steps.train]
needs = ["prepare"]
run = '''
echo "train $LR" >> ran
wc -l < "$WORDS/words" > "$DOGWATCH_DIR/model"
'''
env = { LR = "${{ matrix.lr }}" }
inputs = { WORDS = "${{ steps.prepare.outputs.words }}" }
outputs = { model = { path = "$DOGWATCH_DIR/model", cache = true } }
matrix = { lr = ["0.1", "0.2"] }

[steps.report]
needs = ["train"]
run = 'echo report >> ran; cat "$DOGWATCH_RUN_DIR"/train/*/model'
"#;

/// What has run since the last time it was asked, sorted.
fn ran(desk: &Desk) -> Vec<String> {
    let path = desk.project().join("ran");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let _ = std::fs::remove_file(&path);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("etl", FILE);
    std::fs::write(desk.project().join("raw"), "alpha\nbeta\n").expect("written");
    desk.run(&["run", "-q"]).ends(0);
    assert_eq!(ran(&desk), ["prepare", "report", "train 0.1", "train 0.2"]);
    desk
}

/// What is said of the first step of a run.
fn why(desk: &Desk, run: &str) -> String {
    desk.run(&["why", run, "prepare"]).ends(0).out
}

#[test]
fn an_unchanged_step_is_not_run_again_and_what_has_changed_is_named() {
    let desk = desk();
    // Nothing has changed: only what is not cached runs, and it sees what was made before.
    let said = desk.run(&["run"]).ends(0);
    assert_eq!(ran(&desk), ["report"]);
    assert!(said.out.contains("etl #2  succeeded"), "{}", said.out);
    assert!(desk.run(&["status", "etl#2"]).ends(0).out.contains("cached: as etl #1 made it"));
    assert_eq!(desk.run(&["logs", "etl#2", "report"]).ends(0).out.matches('2').count(), 2, "both models are there");
    assert_eq!(why(&desk, "etl#2"), "prepare was not run: nothing has changed since etl #1\n");
    // Written anew with the same content: the same.
    std::fs::write(desk.project().join("raw"), "alpha\nbeta\n").expect("written");
    desk.run(&["run", "-q"]).ends(0);
    assert_eq!(ran(&desk), ["report"]);
    // Another input whose result is the same: what comes after it does not run.
    std::fs::write(desk.project().join("raw"), "alphabet\nbeta\n").expect("written");
    desk.run(&["run", "-q"]).ends(0);
    assert_eq!(ran(&desk), ["prepare", "report"]);
    assert_eq!(why(&desk, "etl#4"), "prepare had to run: inputs.raw has changed since etl #3\n");
    // Another one whose result is another.
    std::fs::write(desk.project().join("raw"), "alpha\nbeta\ngamma\n").expect("written");
    desk.run(&["run", "-q"]).ends(0);
    assert_eq!(ran(&desk), ["prepare", "report", "train 0.1", "train 0.2"]);
    // Back to what once was: the newest of all earlier results is not the only one that counts. Its data are gone, though.
    std::fs::write(desk.project().join("raw"), "alpha\nbeta\n").expect("written");
    desk.run(&["run", "-q"]).ends(0);
    assert_eq!(ran(&desk), ["prepare", "report"], "data has changed since, and both models were made of the same");
    // An output that somebody has changed.
    std::fs::write(desk.project().join("data/words"), "xxx\n").expect("written");
    desk.run(&["run", "-q"]).ends(0);
    assert_eq!(ran(&desk), ["prepare", "report"]);
    assert_eq!(why(&desk, "etl#7"), "prepare had to run: output words of etl #6 has changed since\n");
    // One lane's variable; then by the command line; then by a person.
    desk.write("etl", &FILE.replace("\"0.2\"", "\"0.3\""));
    desk.run(&["run", "-q"]).ends(0);
    assert_eq!(ran(&desk), ["report", "train 0.3"]);
    desk.run(&["run", "-q", "--no-cache"]).ends(0);
    assert_eq!(ran(&desk), ["prepare", "report", "train 0.1", "train 0.3"]);
    assert!(why(&desk, "etl#9").contains("--no-cache"));
    desk.run(&["run", "-q"]).ends(0);
    assert_eq!(ran(&desk), ["report"], "what was made without a look counts for the next run");
    desk.run(&["retry", "etl#10", "prepare"]).ends(0);
    desk.run(&["wait", "etl#10"]).ends(0);
    assert_eq!(ran(&desk), ["prepare"], "whom a person tells to run runs");
}

#[test]
fn what_failed_or_was_made_of_what_has_changed_meanwhile_stands_for_nothing() {
    let desk = Desk::new();
    let step = r#"
[steps.a]
run = '''
echo a >> ran
cp raw out
test ! -e fail
if test -e meddle; then rm meddle; echo other > raw; fi
'''
inputs = { raw = "raw" }
outputs = { out = { path = "out", cache = true } }
[[steps.a.on_failure]]
action = "abort"
"#;
    desk.write("one", step);
    let project = desk.project();
    std::fs::write(project.join("raw"), "x").expect("written");
    std::fs::write(project.join("fail"), "").expect("written");
    desk.run(&["run", "-q"]).ends(1);
    std::fs::remove_file(project.join("fail")).expect("removed");
    // It changes its own input: which of the two the result was made of, nobody knows.
    std::fs::write(project.join("meddle"), "").expect("written");
    desk.run(&["run", "-q"]).ends(0);
    assert_eq!(ran(&desk), ["a", "a"]);
    desk.run(&["run", "-q"]).ends(0);
    assert_eq!(ran(&desk), ["a"], "neither the failure nor the doubtful success stood for it");
    desk.run(&["run", "-q"]).ends(0);
    assert_eq!(ran(&desk), Vec::<String>::new());
}

#[test]
fn an_engine_killed_around_each_look_neither_runs_twice_nor_loses_what_was_made() {
    let mut killed = 0;
    for point in ["cached.before-look", "cached.after-look", "identity.before-placed", "identity.after-placed"] {
        let desk = desk();
        desk.run(&["engine", "stop"]).ends(0);
        let mut start = desk.command(&["engine", "start"]);
        let once = desk.project().join("died");
        start.env("DOGWATCH_CRASH", point).env("DOGWATCH_CRASH_ONCE", &once);
        assert!(start.status().expect("started").success());
        // The command itself may lose its engine on the way.
        let _ = desk.run(&["run", "-q", "--detach"]);
        desk.run(&["engine", "start"]);
        let said = desk.run(&["wait", "etl#2", "--timeout", "60s"]);
        said.ends(0);
        killed += usize::from(once.exists());
        assert_eq!(ran(&desk), ["report"], "{point}");
        assert!(desk.run(&["status", "etl#2"]).ends(0).out.contains("cached"), "{point}");
    }
    assert_eq!(killed, 4, "each point was met");
}
