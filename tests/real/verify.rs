//! Success must be earned: real commands look at what real steps left.

use serde_json::Value;

use crate::desk::Desk;
use crate::house::within;

fn status(desk: &Desk, run: &str) -> Value {
    serde_json::from_str(desk.run(&["status", run, "--json"]).out.trim()).expect("it is JSON")
}

fn step<'v>(view: &'v Value, name: &str) -> &'v Value {
    let steps = view["steps"].as_array().expect("steps");
    steps.iter().find(|step| step["step"] == name).expect("the step is there")
}

#[test]
fn what_ends_well_and_is_wrong_is_tried_again_or_asked_about() {
    let desk = Desk::new();
    // The first attempt of `export` writes too little, the second one enough. `hang` is never told whether it is good.
    desk.write(
        "earned",
        "[steps.export]\nenv = { WANTED = '2' }\nrun = 'echo row >> rows; echo \"attempt $(wc -l < rows)\"'\n\
         verify = 'n=$(wc -l < rows); echo \"expected $WANTED rows, found $n\"; test \"$n\" -ge \"$WANTED\"'\n\
         retry = { max_attempts = 3, delay = '50ms' }\n\
         [steps.after]\nneeds = ['export']\nrun = 'true'\nverify = 'echo ModuleNotFoundError: No module named x; exit 3'\n\
         [steps.hang]\nrun = 'true'\ntimeout = '1s'\nverify = 'sleep 600'\n",
    );
    desk.run(&["run", "--detach"]).ends(0);
    let ended = |view: &Value| {
        step(view, "export")["state"] == "succeeded"
            && ["after", "hang"].iter().all(|name| step(view, name)["state"] == "asking")
    };
    assert!(within(60_000, || ended(&status(&desk, "earned"))), "{}", desk.run(&["status", "earned"]).out);
    assert_eq!(std::fs::read_to_string(desk.project().join("rows")).expect("it is there").lines().count(), 2);
    let why = desk.run(&["why", "earned", "export", "--attempt", "1"]).ends(0);
    assert!(why.out.contains("verify failed: code 1"), "{}", why.out);
    let why = desk.run(&["why", "earned", "after", "--json"]).ends(0);
    let view: Value = serde_json::from_str(why.out.trim()).expect("it is JSON");
    assert_eq!(view["diagnosis"]["class"], "environment", "{}", why.out);
    let inbox = desk.run(&["inbox"]).out;
    assert!(inbox.contains("but its verify failed: code 3"), "{inbox}");
    assert!(inbox.contains("but its verify failed: it gave no answer"), "{inbox}");
    let shown = ["e1", "e2"].map(|id| desk.run(&["show", id]).out);
    assert!(shown.iter().any(|text| text.contains("ModuleNotFoundError: No module named x")), "{shown:?}");
}

/// kill -9 of the engine while it verifies: verified again, and the step itself is not started again.
#[test]
fn an_engine_that_is_killed_while_it_verifies_verifies_again() {
    let desk = Desk::new();
    desk.write(
        "killed",
        "[steps.export]\nrun = 'echo ran >> ran'\nverify = 'echo asked >> asked; until test -e go; do sleep 0.1; done'\n",
    );
    desk.run(&["run", "--detach"]).ends(0);
    let lines = |name: &str| {
        std::fs::read_to_string(desk.project().join(name)).map(|text| text.lines().count()).unwrap_or_default()
    };
    assert!(within(60_000, || lines("asked") == 1), "it is not verified");
    assert_eq!(step(&status(&desk, "killed"), "export")["state"], "verifying");
    let pid = desk.engine_pid().expect("an engine runs");
    let pid = rustix::process::Pid::from_raw(pid).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it can be killed");
    assert!(within(60_000, || {
        desk.run(&["status", "killed"]);
        lines("asked") == 2
    }));
    std::fs::write(desk.project().join("go"), "").expect("it can be written");
    assert!(within(60_000, || step(&status(&desk, "killed"), "export")["state"] == "succeeded"));
    assert_eq!(lines("ran"), 1, "the step itself ran again");
}

/// The newest checkpoint is cut short, the one before it empty: the third counts, and that is said.
#[test]
fn a_damaged_checkpoint_is_not_gone_on_from() {
    let desk = Desk::new();
    desk.write(
        "damaged",
        "[steps.train]\nretry = { max_attempts = 2, delay = '50ms' }\nrun = '''\n\
         echo \"from ${RESUME:-the start}\" >> starts\ntest -z \"$RESUME\" || exit 0\n\
         for n in 600 1200 1800; do echo \"state $n whole\" > ckpt_$n; echo \"saved ckpt_$n at step $n\"; done\n\
         : > ckpt_1200; echo \"state\" > ckpt_1800; kill -9 $$\n'''\n\
         [steps.train.checkpoint]\npattern = 'saved (?P<path>\\S+) at step (?P<step>\\d+)'\nresume_env = 'RESUME'\n\
         verify = 'grep -q whole \"$CHECKPOINT\" || { echo cut short; exit 1; }'\n",
    );
    desk.run(&["run", "--detach"]).ends(0);
    assert!(
        within(60_000, || step(&status(&desk, "damaged"), "train")["state"] == "succeeded"),
        "{}",
        desk.run(&["status", "damaged"]).out
    );
    let starts = std::fs::read_to_string(desk.project().join("starts")).expect("it was started");
    let from = format!("from {}", desk.project().join("ckpt_600").display());
    assert_eq!(starts.lines().collect::<Vec<_>>(), ["from the start", from.as_str()]);
    let said =
        "ckpt_1800 is damaged (verify failed: code 1, cut short), and 1 more: from ckpt_600 instead; redo 1200 steps";
    let record = || {
        let run = std::fs::read_dir(desk.state.join("runs")).expect("runs").flatten().next().expect("a run").path();
        std::fs::read_to_string(run.join("record.md")).unwrap_or_default().replace('\\', "")
    };
    assert!(within(60_000, || record().contains(said)), "{}", record());
    let listed = desk.run(&["checkpoints", "damaged"]).out;
    assert!(listed.contains("damaged (it is empty)") && listed.contains("good"), "{listed}");
}

/// Without a `verify`, what is there and not empty counts.
#[test]
fn an_empty_checkpoint_is_not_gone_on_from() {
    let desk = Desk::new();
    desk.write(
        "empty",
        "[steps.train]\nretry = { max_attempts = 1 }\nrun = '''\n\
         for n in 1 2; do echo x > ckpt_$n; echo \"saved ckpt_$n at step $n\"; done; : > ckpt_2; exit 3\n'''\n\
         [steps.train.checkpoint]\npattern = 'saved (?P<path>\\S+) at step (?P<step>\\d+)'\n",
    );
    desk.run(&["run", "--detach"]).ends(0);
    let asks = || step(&status(&desk, "empty"), "train")["state"] == "asking";
    assert!(within(60_000, asks), "{}", desk.run(&["status", "empty"]).out);
    let shown = desk.run(&["show", "e1"]).out;
    assert!(shown.contains("ckpt_2 is damaged (it is empty): from ckpt_1 instead; redo 1 step"), "{shown}");
}
