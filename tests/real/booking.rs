//! What steps have of the host for themselves: real runs that want the same GPU, and an engine that is killed meanwhile.
//! There is no GPU here: the engine is told how many it is to take for there.

use crate::house::{House, until, words};

/// Notes which GPU it has and for how long; two that have the same one at once would find each other's folder.
const TRAIN: &str = "run = '''
gpu=\"$CUDA_VISIBLE_DEVICES\"
mkdir \"busy-$gpu\" || { echo \"$gpu\" >> clashes; exit 1; }
sleep 0.4
rmdir \"busy-$gpu\"
echo \"$gpu\" >> had
'''\n";

fn lines(house: &House, name: &str) -> Vec<String> {
    house.text(name).lines().map(str::to_owned).collect()
}

/// kill -9 of the engine three times while two runs of four lanes each fight for one GPU.
#[test]
fn two_runs_fight_for_one_gpu_and_never_have_it_at_once() {
    let house = House::with(&[("DOGWATCH_GPUS", "1")]);
    house.workflow(&format!("[steps.train]\ngpus = 1\n{TRAIN}matrix = {{ n = [1, 2, 3, 4] }}\n"));
    house.start();
    house.start();
    let waits = || {
        let status = house.status();
        let steps = status["steps"].as_array().cloned().unwrap_or_default();
        steps.iter().any(|step| step["detail"].as_str().is_some_and(|words| words.contains("waits for 1 GPU: train")))
    };
    until("it is said who has it", waits);
    let mut killed = 0;
    for done in [1, 3, 5] {
        until("some have had it", || lines(&house, "had").len() >= done);
        house.kill_engine();
        killed += 1;
        house.status();
    }
    until("all have had it", || {
        house.status();
        lines(&house, "had").len() >= 8
    });
    assert_eq!((killed, lines(&house, "had")), (3, vec!["0".to_owned(); 8]));
    assert_eq!(lines(&house, "clashes"), Vec::<String>::new());
    assert_eq!(house.wait(), Some(0), "{}", house.said(&["status"]));
}

#[test]
fn two_gpus_are_had_side_by_side_and_a_retry_that_waits_holds_none() {
    let house = House::with(&[("DOGWATCH_GPUS", "2")]);
    house.workflow(
        "[steps.fails]\ngpus = 2\nretry = { max_attempts = 2, delay = '3s' }\nrun = 'test -e second || { touch second; exit 1; }'\n\
         [steps.meanwhile]\ngpus = 2\nrun = 'echo \"$CUDA_VISIBLE_DEVICES\" > had; until test -e go; do sleep 0.1; done'\n",
    );
    house.start();
    until("the other one has both", || house.text("had") == "0,1\n");
    let fails = || house.lane("fails");
    until("the retry waits", || fails()["detail"].as_str().is_some_and(|words| words.contains("meanwhile has it")));
    std::fs::write(house.work().join("go"), "").expect("a file");
    assert_eq!(house.wait(), Some(0), "{}", house.said(&["status"]));
}

#[test]
fn what_the_host_never_has_is_refused_and_said_before() {
    let house = House::with(&[("DOGWATCH_GPUS", "1")]);
    house.workflow("[steps.train]\ngpus = 2\nrun = 'true'\n");
    let checked = words(&house.dogwatch(&["validate", "w.toml"]));
    assert!(checked.contains("step train wants 2 GPUs, and this host has 1 GPU"), "{checked}");
    assert!(checked.contains("w.toml:3:8"), "{checked}");
    let run = house.dogwatch(&["run", "w.toml", "--detach"]);
    assert_eq!(run.status.code(), Some(2), "{}", words(&run));
    assert!(words(&run).contains("step train wants 2 GPUs, and this host has 1 GPU"), "{}", words(&run));
    let doctor = words(&house.dogwatch(&["doctor"]));
    assert!(doctor.contains("1 GPU") && doctor.contains("DOGWATCH_GPUS"), "{doctor}");
}
