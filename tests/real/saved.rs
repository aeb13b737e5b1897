//! Checkpoints that real steps save: looked at, kept, pinned, removed, gone on from; and programs that are told to save.

use serde_json::Value;

use crate::desk::Desk;
use crate::house::{House, until, within};

const CHECKPOINT: &str = "[steps.train.checkpoint]\n\
                          pattern = 'saved (?P<path>\\S+) at step (?P<step>\\d+)( loss (?P<loss>\\S+))?'\n\
                          resume_env = 'RESUME'\n";

fn state(desk: &Desk, run: &str) -> String {
    let said = desk.run(&["status", run, "--json"]).out;
    let view: Value = serde_json::from_str(said.trim()).expect("it is JSON");
    view["steps"][0]["state"].as_str().unwrap_or_default().to_owned()
}

fn listed(desk: &Desk, run: &str) -> Vec<Value> {
    let said = desk.run(&["checkpoints", run, "--json"]).ends(0);
    said.out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn says(desk: &Desk, run: &str, end: &str) -> String {
    let all = listed(desk, run);
    let one = all.iter().find(|one| one["path"].as_str().is_some_and(|path| path.ends_with(end)));
    one.and_then(|one| one["says"].as_str()).unwrap_or_default().to_owned()
}

fn is_there(desk: &Desk, name: &str) -> bool {
    desk.project().join(name).exists()
}

const KEEPS: &str = r#"
mkdir -p ckpt
ln -s "$OUT/folder" away
ln -s "$OUT/precious" link
echo "saved $OUT/precious at step 1"
echo 'saved away/precious at step 2'
echo 'saved link at step 3'
echo 'saved ckpt/../../outside/precious at step 4'
for n in 10 20; do
  mkdir -p ckpt/$n/deep; echo $n > ckpt/$n/deep/model; ln -s "$OUT" ckpt/$n/out
  echo "saved ckpt/$n at step $n"
done
until test -e go; do sleep 0.05; done
for n in 30 40 50; do echo state $n > ckpt/$n; echo "saved ckpt/$n at step $n"; done
: > ckpt/60; echo "saved ckpt/60 at step 60"
until test -e end; do sleep 0.05; done
"#;

/// What is pinned, outside, behind a link or a link itself stays; so do the newest good ones.
#[test]
fn keep_removes_older_ones_and_nothing_else() {
    let desk = Desk::new();
    let outside = desk.root.path().join("outside");
    std::fs::create_dir_all(outside.join("folder")).expect("a folder");
    std::fs::write(outside.join("precious"), "x").expect("a file");
    std::fs::write(outside.join("folder/precious"), "x").expect("a file");
    let out = outside.display();
    desk.write(
        "keeps",
        &format!(
            "[steps.train]\nenv = {{ OUT = '{out}' }}\nrun = '''{KEEPS}'''\n{CHECKPOINT}keep = 2\n\
             verify = 'test -e \"$CHECKPOINT\" || test -L \"$CHECKPOINT\" || true'\n"
        ),
    );
    desk.run(&["run", "--detach"]).ends(0);
    until("the first ones are good", || says(&desk, "keeps", "ckpt/10") == "good");
    desk.run(&["checkpoints", "keeps", "pin", "train", "10"]).ends(0);
    std::fs::write(desk.project().join("go"), "").expect("a file");
    until("the older ones are removed", || !is_there(&desk, "ckpt/20") && !is_there(&desk, "ckpt/30"));
    until("the rest is left", || says(&desk, "keeps", "link").starts_with("not removed"));
    assert!(["ckpt/10/deep/model", "ckpt/40", "ckpt/50", "link", "away"].iter().all(|name| is_there(&desk, name)));
    assert!(outside.join("precious").exists() && outside.join("folder/precious").exists(), "something outside is gone");
    until("what is behind a link is left", || says(&desk, "keeps", "away/precious").contains("a link on the way"));
    let list = desk.run(&["checkpoints", "keeps"]).out;
    assert!(list.contains("pinned") && list.contains("damaged (it is empty)"), "{list}");
    std::fs::write(desk.project().join("end"), "").expect("a file");
    until("it ends", || state(&desk, "keeps") == "succeeded");
    let record = || {
        let run = std::fs::read_dir(desk.state.join("runs")).expect("runs").flatten().next().expect("a run").path();
        std::fs::read_to_string(run.join("record.md")).unwrap_or_default().replace('\\', "")
    };
    assert!(within(60_000, || record().contains("ckpt/20 is gone")), "{}", record());
}

const CHOSEN: &str = r#"
echo "from ${RESUME:-the start}" >> starts
if test -z "$RESUME"; then
  for n in 1 2 3; do echo whole $n > ckpt_$n; echo "saved ckpt_$n at step $n loss 0.$n"; done
  echo cut > ckpt_3
  until test -e go; do sleep 0.05; done
fi
exit 3
"#;

#[test]
fn a_person_verifies_goes_on_from_a_chosen_one_and_prunes() {
    let desk = Desk::new();
    desk.write(
        "chosen",
        &format!(
            "[steps.train]\nretry = {{ max_attempts = 1 }}\nrun = '''{CHOSEN}'''\n{CHECKPOINT}\
             verify = 'grep -q whole \"$CHECKPOINT\"'\n"
        ),
    );
    desk.run(&["run", "--detach"]).ends(0);
    until("all are seen", || listed(&desk, "chosen").len() == 3);
    assert_eq!(says(&desk, "chosen", "ckpt_2"), "unverified");
    let list = desk.run(&["checkpoints", "chosen"]).out;
    assert!(list.contains("loss 0.2"), "{list}");
    // While it runs, and without a word to the step.
    let said = desk.run(&["checkpoints", "chosen", "verify", "train"]).ends(1);
    assert!(said.out.contains("good") && said.out.contains("damaged (verify failed: code 1)"), "{}", said.out);
    assert_eq!(says(&desk, "chosen", "ckpt_1"), "good");
    std::fs::write(desk.project().join("go"), "").expect("a file");
    until("it asks", || state(&desk, "chosen") == "asking");
    let refused = desk.run(&["retry", "chosen", "train", "--from", "3"]);
    assert_eq!(refused.code, Some(6), "{}", refused.err);
    assert!(refused.err.contains("is damaged"), "{}", refused.err);
    desk.run(&["retry", "chosen", "train", "--from", "ckpt_1"]).ends(0);
    let starts = || desk.read("starts").lines().map(str::to_owned).collect::<Vec<_>>();
    until("it is tried again", || starts().len() == 2 && state(&desk, "chosen") == "asking");
    let from = |n: u32| format!("from {}", desk.project().join(format!("ckpt_{n}")).display());
    assert_eq!(starts()[1], from(1));
    // Of a run that is over, too.
    desk.run(&["stop", "chosen"]).ends(0);
    desk.run(&["wait", "chosen"]).ends(4);
    desk.run(&["resume", "chosen", "--from", "train", "--checkpoint", "2"]).ends(0);
    until("it is tried a third time", || starts().len() == 3 && state(&desk, "chosen") == "asking");
    assert_eq!(starts()[2], from(2));
    let would = desk.run(&["checkpoints", "chosen", "prune", "train", "--dry-run"]).ends(0).out;
    assert!(would.contains("ckpt_1") && would.contains("would be removed") && !would.contains("ckpt_2"), "{would}");
    assert!(is_there(&desk, "ckpt_1"));
    desk.run(&["checkpoints", "chosen", "prune", "train"]).ends(0);
    let there = ["ckpt_1", "ckpt_2", "ckpt_3"].map(|name| is_there(&desk, name));
    assert_eq!(there, [false, true, false]);
}

const CHANGED: &str = r#"
echo "from ${RESUME:-the start}" >> starts
N=$(wc -l < starts)
if test $N = 1; then
  for n in 1 2; do echo whole $n > ckpt_$n; echo "saved ckpt_$n at step $n"; done
  kill -9 $$
fi
if test $N = 2; then echo whole but other > ckpt_2; kill -9 $$; fi
"#;

/// What was good when an attempt went on from it and is another one now is damaged, although its `verify` has no objection.
#[test]
fn a_checkpoint_that_has_changed_since_it_was_verified_is_not_gone_on_from() {
    let desk = Desk::new();
    desk.write(
        "changed",
        &format!(
            "[steps.train]\nretry = {{ max_attempts = 3, delay = '50ms' }}\nrun = '''{CHANGED}'''\n{CHECKPOINT}\
             verify = 'grep -q whole \"$CHECKPOINT\"'\n"
        ),
    );
    desk.run(&["run", "--detach"]).ends(0);
    until("it ends", || ["succeeded", "asking"].contains(&state(&desk, "changed").as_str()));
    let path = |n: u32| format!("from {}", desk.project().join(format!("ckpt_{n}")).display());
    let starts = desk.read("starts");
    assert_eq!(starts.lines().collect::<Vec<_>>(), ["from the start", path(2).as_str(), path(1).as_str()]);
    let list = desk.run(&["checkpoints", "changed"]).out;
    assert!(list.contains("damaged (it has changed since it was verified)"), "{list}");
}

const KILLED: &str = r#"
echo "from ${RESUME:-the start}" >> starts
test -z "$RESUME" || exit 0
echo whole > ckpt_1; echo 'saved ckpt_1 at step 1'; kill -9 $$
"#;

/// kill -9 of the engine while checkpoints are verified: verified again, and the step is started once more, not twice.
#[test]
fn an_engine_that_is_killed_while_checkpoints_are_verified_verifies_them_again() {
    let desk = Desk::new();
    desk.write(
        "again",
        &format!(
            "[steps.train]\nretry = {{ max_attempts = 2, delay = '50ms' }}\nrun = '''{KILLED}'''\n{CHECKPOINT}\
             verify = 'echo asked >> asked; until test -e go; do sleep 0.05; done'\n"
        ),
    );
    desk.run(&["run", "--detach"]).ends(0);
    until("it is verified", || desk.read("asked").lines().count() == 1);
    desk.kill_engine();
    until("it is verified again", || {
        desk.run(&["status", "again"]);
        desk.read("asked").lines().count() == 2
    });
    std::fs::write(desk.project().join("go"), "").expect("a file");
    until("it ends", || state(&desk, "again") == "succeeded");
    let from = format!("from {}", desk.project().join("ckpt_1").display());
    assert_eq!(desk.read("starts").lines().collect::<Vec<_>>(), ["from the start", from.as_str()]);
}

const PROGRAM: &str = r"import os, signal, sys, time
def save(*_):
    open('saved', 'w').write('state')
    print('saved saved at step 7', flush=True)
signal.signal(signal.SIGUSR1, save)
print('ready', flush=True)
open('ready', 'w').close()
while True:
    time.sleep(0.05)
    if os.path.exists('saved') and os.path.exists('quick'):
        sys.exit(0)
";

/// A program that handles the signal saves and then ends; what does not handle it, a pipe's other end, does not die of it.
#[test]
fn a_program_saves_before_a_stop_and_before_its_time_limit() {
    let desk = Desk::new();
    std::fs::write(desk.project().join("train.py"), PROGRAM).expect("a file");
    let write = |name: &str, more: &str| {
        let run = "run = 'python3 train.py | cat'\nretry = { max_attempts = 1 }\ngrace = '1s'\n";
        desk.write(name, &format!("[steps.train]\n{run}{more}{CHECKPOINT}save_signal = 'USR1'\n"));
        for file in ["saved", "ready"] {
            drop(std::fs::remove_file(desk.project().join(file)));
        }
        desk.run(&["run", "--detach"]).ends(0);
        desk.wait_file("ready");
    };
    write("stopped", "");
    desk.run(&["stop", "stopped", "train"]).ends(0);
    until("it is stopped", || state(&desk, "stopped") == "stopped");
    assert_eq!(desk.read("saved"), "state");
    let log = desk.run(&["logs", "stopped", "train"]).out;
    assert!(log.contains("[dogwatch: SIGUSR1 to 1 process(es)") && log.contains("saved saved at step 7"), "{log}");
    let events = desk.run(&["watch", "stopped", "--plain"]).out;
    assert!(events.contains("SIGUSR1 first, so that it saves"), "{events}");
    assert!(listed(&desk, "stopped").iter().any(|one| one["step"] == 7 && one["newest"] == true));
    // Its own time limit; it ends by itself once it has saved.
    std::fs::write(desk.project().join("quick"), "").expect("a file");
    write("limited", "timeout = '2s'\n");
    until("it asks", || state(&desk, "limited") == "asking");
    assert_eq!(desk.read("saved"), "state");
    assert!(desk.run(&["show", "e1"]).out.contains("hit its time limit"));
    // Nobody handles it: it is asked to end at once.
    let deaf = "[steps.train]\nrun = 'touch deaf; sleep 1000'\ngrace = '600s'\n";
    desk.write("deaf", &format!("{deaf}{CHECKPOINT}save_signal = 'USR1'\n"));
    desk.run(&["run", "--detach"]).ends(0);
    desk.wait_file("deaf");
    desk.run(&["stop", "deaf", "train"]).ends(0);
    until("it is stopped", || state(&desk, "deaf") == "stopped");
    let log = desk.run(&["logs", "deaf", "train"]).out;
    assert!(log.contains("none of its processes handles SIGUSR1"), "{log}");
}

const SAVES_TWICE: &str = r#"
[workflow]
name = "dies"
[steps.train]
run = '''
echo started >> starts
for n in 1 2; do mkdir ckpt_$n; echo state > ckpt_$n/model; echo "saved ckpt_$n at step $n"; done
until test -e go; do sleep 0.05; done
'''
checkpoint = { pattern = 'saved (?P<path>\S+) at step (?P<step>\d+)', keep = 1 }
"#;

/// Whatever the engine was about to do with it: it is removed, and nothing else.
#[test]
fn an_engine_that_dies_while_it_removes_a_checkpoint_removes_that_one() {
    let mut injected = 0;
    for point in ["checkpoint.before-remove", "checkpoint.after-remove"] {
        let mut house = House::new();
        let once = house.root().join("died");
        house.set("DOGWATCH_CRASH", point);
        house.set("DOGWATCH_CRASH_ONCE", &once.to_string_lossy());
        house.workflow(SAVES_TWICE);
        house.start();
        until(&format!("{point}: the engine has died"), || once.exists());
        injected += 1;
        // Any command starts the next engine.
        until(&format!("{point}: it is removed"), || {
            house.said(&["checkpoints", "@last"]).contains("removed") && !house.work().join("ckpt_1").exists()
        });
        assert!(house.work().join("ckpt_2/model").exists(), "{point}");
        std::fs::write(house.work().join("go"), b"").expect("a file");
        assert_eq!(house.wait(), Some(0), "{point}");
        assert_eq!(house.text("starts").lines().count(), 1, "{point}");
        let told = |kind: &str| -> i64 {
            let sql = "SELECT count(*) FROM events WHERE kind = ?1";
            house.journal().query_row(sql, [kind], |row| row.get(0)).expect("rows")
        };
        let seen = ["checkpoint_seen", "checkpoint_marked", "checkpoint_removed"].map(told);
        assert_eq!(seen, [2, 1, 1], "{point}: told once, though two engines read the log");
    }
    assert_eq!(injected, 2);
}
