//! What is asked for beside the state of a run: what steps use, checkpoints on their disk, the frozen file and a new run of
//! it, and one answer to many questions.

use std::os::unix::fs::PermissionsExt;

use dogwatch::client::{Client, Who};
use dogwatch::wire::client::{Ask, Reply, ResourcesView};

use crate::house::{House, until, words};

fn client(house: &House) -> Client {
    Client::connect(&house.state().join("engine.sock"), &Who::new(None, "cli")).expect("an engine answers")
}

fn resources(client: &mut Client) -> ResourcesView {
    let reply = client.ask(Ask::Resources { run: "@last".into() }).expect("it answers");
    let Reply::Resources(view) = reply else { panic!("{reply:?}") };
    view
}

/// A program in the way to all others.
fn program(house: &House, name: &str, script: &str) {
    let folder = house.root().join("bin");
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a program");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it may run");
}

#[test]
fn what_each_step_uses_is_told_with_all_that_it_has_started() {
    let mut house = House::new();
    program(&house, "nvidia-smi", "echo 'Test GPU, 97, 1000, 2000, 71'");
    let path = std::env::var("PATH").unwrap_or_default();
    house.set("PATH", &format!("{}:{path}", house.root().join("bin").display()));
    house.workflow(
        r#"
[workflow]
name = "uses"
[steps.busy]
run = 'sh -c "while :; do :; done" & setsid sleep 1000 & wait'
[steps.big]
run = '(head -c 80000000 /dev/zero; sleep 1000) | tail -c 80000000'
"#,
    );
    house.start();
    let mut client = client(&house);
    let mut last = ResourcesView::default();
    until("both are seen at work", || {
        last = resources(&mut client);
        let of = |name: &str| last.steps.iter().find(|step| step.step_name == name);
        let busy = of("busy").is_some_and(|step| step.cpu_percent.is_some_and(|cpu| cpu > 0.5) && step.processes == 3);
        let big = of("big").is_some_and(|step| step.memory > 60_000_000 && step.processes >= 3);
        // On a busy machine the tool may miss its deadline the first time.
        busy && big && !last.machine.gpus.is_empty()
    });
    let machine = &last.machine;
    assert!(machine.cpus > 0 && machine.cpu_percent.is_some_and(|cpu| (0.0..=100.0).contains(&cpu)), "{machine:?}");
    assert!(machine.memory_total > machine.memory_available && machine.memory_available > 0, "{machine:?}");
    assert!(machine.disk_total > machine.disk_free, "{machine:?}");
    assert_eq!((machine.gpus[0].name.as_str(), machine.gpus[0].memory_used), ("Test GPU", 1000 << 20));
    house.said(&["stop", "@last"]);
    until("the run has ended", || house.status()["line"]["state"] == "stopped");
    assert_eq!(resources(&mut client).steps, []);
}

#[test]
fn a_gpu_tool_that_hangs_holds_up_nobody_else() {
    let mut house = House::new();
    program(&house, "nvidia-smi", "echo $$ > \"$0.pid\"; exec sleep 1000");
    let path = std::env::var("PATH").unwrap_or_default();
    house.set("PATH", &format!("{}:{path}", house.root().join("bin").display()));
    house.workflow("[steps.a]\nrun = 'sleep 1000'\n");
    house.start();
    let mut slow = client(&house);
    let asked = std::thread::spawn(move || resources(&mut slow));
    let pid = house.root().join("bin/nvidia-smi.pid");
    until("it is asked", || std::fs::read_to_string(&pid).is_ok_and(|pid| pid.ends_with('\n')));
    let pid: i32 = std::fs::read_to_string(&pid).expect("a pid").trim().parse().expect("a number");
    // The loop goes on meanwhile.
    assert_eq!(house.lane("a")["attempt"], 1);
    assert!(!asked.is_finished(), "it was to wait for the tool");
    assert_eq!(asked.join().expect("it answers").machine.gpus, []);
    assert!(!crate::house::is_alive(pid), "the tool is left behind");
    house.said(&["stop", "@last"]);
}

#[test]
fn checkpoints_are_told_with_what_is_there_of_them() {
    let house = House::new();
    house.workflow(
        r#"
[workflow]
name = "saves"
[steps.train]
run = '''
for n in 1 2 3; do
  mkdir -p ckpt/$n; head -c 100000 /dev/urandom > ckpt/$n/model; echo "saved ckpt/$n at step $n"
  while ! [ -e go$n ]; do sleep 0.02; done
done
exit 3
'''
checkpoint = { pattern = 'saved (?P<path>\S+) at step (?P<step>\d+)' }
"#,
    );
    house.start();
    let list = || -> Vec<serde_json::Value> {
        let text = house.said(&["checkpoints", "--json"]);
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    for n in 1..=3usize {
        until("it is seen", || list().len() == n);
        std::fs::write(house.work().join(format!("go{n}")), b"").expect("a file");
    }
    assert_eq!(house.wait(), Some(3));
    std::fs::remove_dir_all(house.work().join("ckpt/2")).expect("it was there");
    let all = list();
    let told: Vec<_> = all.iter().map(|one| (one["step"].as_i64(), one["newest"].as_bool())).collect();
    assert_eq!(told, [(Some(3), Some(true)), (Some(2), Some(false)), (Some(1), Some(false))]);
    assert!(all[0]["bytes"].as_u64().is_some_and(|bytes| (100_000..1_000_000).contains(&bytes)), "{all:?}");
    assert!(all[1]["bytes"].is_null(), "{all:?}");
    let text = house.said(&["checkpoints"]);
    assert!(text.contains("gone") && text.contains("a resumption takes it"), "{text}");
    let question = house.said(&["show", "e1"]);
    assert!(question.contains("checkpoint") && question.contains("before the failure (nothing to redo)"), "{question}");
}

const SWEEP: &str = r#"
[workflow]
name = "many"
[params]
code = { type = "integer", default = 3 }
[steps.lanes]
env = { CODE = "${{ params.code }}" }
run = 'echo begins; echo "lane $DOGWATCH_LANE broke at $$" >&2; exit $CODE'
on_failure = [{ name = "broke", match = { output = "broke" }, action = "escalate" }]
[steps.lanes.matrix]
x = ["a", "b", "c"]
[steps.other]
run = 'exit 4'
"#;

#[test]
fn one_answer_to_all_questions_that_ask_the_same() {
    let house = House::new();
    house.workflow(SWEEP);
    house.start();
    until("all ask", || house.status()["line"]["asking"] == 4);
    let open = |house: &House| house.status()["line"]["asking"].as_u64();
    let status = house.status();
    let asked = status["escalations"].as_array().expect("questions");
    let lanes: Vec<_> = asked.iter().filter(|one| one["step"] != "other").collect();
    assert!(lanes.iter().all(|one| one["fingerprint"] == lanes[0]["fingerprint"] && one["matched"] == 2), "{lanes:?}");
    let id = format!("e{}", lanes[1]["id"]);
    let refused = house.dogwatch(&["decide", &id, "stop-run", "--all-like-this"]);
    assert_eq!(refused.status.code(), Some(2), "{}", words(&refused));
    let said = house.said(&["decide", &id, "skip", "--all-like-this", "-m", "known"]);
    assert_eq!(said.lines().count(), 3, "{said}");
    assert_eq!(open(&house), Some(1));
    // The same file again, with one parameter changed: nothing but it.
    std::fs::remove_file(house.work().join("w.toml")).expect("it is frozen");
    let wrong = house.dogwatch(&["run", "--again", "@last", "-p", "code=many", "--detach"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", words(&wrong));
    house.said(&["run", "--again", "many#1", "-p", "code=0", "--detach"]);
    until("only one asks", || open(&house) == Some(1));
    let again = house.status();
    assert_eq!((&again["line"]["number"], &again["params"][0][1]), (&2.into(), &"0".into()), "{again}");
    for run in ["many#1", "many#2"] {
        house.said(&["stop", run]);
    }
}
