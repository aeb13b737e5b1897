//! Real processes that stand still, and some that only seem to: who prints nothing and computes nothing is asked about, who
//! works in silence is not; and a new engine knows of the silence before it.

use serde_json::Value;

use crate::house::{House, until, within};

/// How often such an event about a step is in the journal.
fn events(house: &House, kind: &str, step: &str) -> i64 {
    let count = "SELECT count(*) FROM events WHERE kind = ?1 AND body LIKE '%\"step\":\"' || ?2 || '\"%'";
    house.journal().query_row(count, [kind, step], |row| row.get(0)).expect("the journal is read")
}

const WAIT: &str = "wait = { stall_after = '3s' }";

#[test]
fn a_silent_hang_is_asked_about_and_silent_work_is_not() {
    let house = House::new();
    house.workflow(&format!(
        "[steps.hangs]\nrun = 'echo begun; sleep 600'\n{WAIT}\n\
         [steps.works]\nrun = 'echo begun; while [ ! -e over ]; do :; done'\n{WAIT}\n\
         [steps.prints]\nrun = 'while [ ! -e over ]; do echo on; sleep 0.2; done'\n{WAIT}\n"
    ));
    house.start();
    until("the hang is asked about", || house.lane("hangs")["escalation"].is_u64());
    let lane = house.lane("hangs");
    assert_eq!(lane["state"], "running", "it lives on: {lane}");
    assert!(lane["detail"].as_str().is_some_and(|words| words.contains("stands still: no output for")), "{lane}");
    // Both others have been silent, or alive, for longer than that by now: twice the limit more.
    let begun = dogwatch::clock::boottime_ms();
    within(7_000, || dogwatch::clock::boottime_ms() - begun > 6_500);
    for name in ["works", "prints"] {
        assert_eq!(events(&house, "stalled", name), 0, "{name}: work and output are signs of life");
    }
    std::fs::write(house.work().join("over"), "").expect("a file");
    let id = lane["escalation"].to_string();
    house.said(&["decide", &id, "fail", "--yes"]);
    until("it has been ended", || house.lane("hangs")["state"] == "failed");
    assert_eq!((events(&house, "stalled", "hangs"), events(&house, "stop_asked", "hangs")), (1, 1));
    assert_eq!(house.wait(), Some(1));
}

#[test]
fn a_question_is_closed_when_it_goes_on() {
    let house = House::new();
    house.workflow(&format!(
        "[steps.pauses]\nrun = 'echo begun; while [ ! -e go ]; do sleep 0.1; done; echo on; while [ ! -e over ]; do sleep 0.1; done'\n{WAIT}\n"
    ));
    house.start();
    until("it is asked about", || house.lane("pauses")["escalation"].is_u64());
    std::fs::write(house.work().join("go"), "").expect("a file");
    until("nobody is asked any more", || house.lane("pauses")["escalation"].is_null());
    assert_eq!(events(&house, "revived", "pauses"), 1);
    std::fs::write(house.work().join("over"), "").expect("a file");
    assert_eq!(house.wait(), Some(0));
}

#[test]
fn a_rule_ends_the_hang_and_it_goes_on_from_its_checkpoint() {
    let house = House::new();
    house.workflow(
        "[steps.train]\nrun = 'if [ -n \"$RESUME\" ]; then echo resumed from $RESUME; exit 0; fi; echo x > c1; echo saved c1; sleep 600'\n\
         grace = '1s'\nretry = { max_attempts = 2, delay = '50ms' }\n\
         checkpoint = { pattern = 'saved (?P<path>\\S+)', resume_env = 'RESUME' }\n\
         wait = { stall_after = '2s', on_stall = 'resume' }\n",
    );
    house.start();
    assert_eq!(house.wait(), Some(0));
    assert!(house.log("train/0/a2").contains("resumed from"), "{}", house.log("train/0/a2"));
    let why = house.said(&["why", "@last", "train", "--attempt", "1"]);
    assert!(why.contains("collective_hang") && why.contains("stands still"), "{why}");
}

#[test]
fn a_new_engine_knows_of_the_silence_before_it() {
    let house = House::new();
    house.workflow("[steps.hangs]\nrun = 'echo begun; sleep 600'\nwait = { stall_after = '6s' }\n");
    house.start();
    let timer = |lane: &Value| {
        let waits = lane["waits"].as_array().cloned().unwrap_or_default();
        waits.into_iter().find(|wait| wait["kind"] == "stall").and_then(|wait| wait["until_ms"].as_i64())
    };
    until("its timer runs", || timer(&house.lane("hangs")).is_some());
    let before = timer(&house.lane("hangs")).expect("it runs");
    house.kill_engine();
    until("the new engine's timer runs", || timer(&house.lane("hangs")).is_some());
    let after = timer(&house.lane("hangs")).expect("it runs");
    assert!((after - before).abs() < 1_500, "{before} is {after} after the restart");
    until("it is asked about", || house.lane("hangs")["escalation"].is_u64());
}
