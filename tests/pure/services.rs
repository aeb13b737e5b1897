//! Services and what is waited for outside: when they begin, when what needs them begins, when they are ended, and what
//! follows when they fail. In virtual time.

use std::time::Duration;

use dogwatch::engine::{Ended, LaneState, Phase};
use dogwatch::model::{
    Choice, Command, End, Look, OnTimeout, Order, Part, Readiness, RunResult, Service, SkipWhy, Step, StepId, StepWhat,
    StopReason, Template, WaitFor, What,
};

use crate::support::make::{gate, person, retry, seconds, step, workflow};
use crate::support::story::Story;

fn look(text: &str) -> Look {
    Look::Http(Template(vec![Part::Text(text.into())]))
}

fn service(name: &str, needs: &[&str], probed: bool) -> Step {
    let readiness = Readiness { look: look("http://x/"), period: seconds(1), failure_threshold: 3 };
    Step { service: Some(Service { readiness: probed.then_some(readiness) }), ..step(name, needs) }
}

fn wait(name: &str, needs: &[&str]) -> Step {
    let wait = WaitFor { look: look("http://x/"), poll: (seconds(1), seconds(60)) };
    Step { what: StepWhat::WaitFor(wait), ..step(name, needs) }
}

fn looked(story: &mut Story, name: &str, good: bool, given_up: bool) {
    let attempt = story.newest(name);
    story.tell(What::Looked { attempt, good, given_up, seen: "503".into() });
}

fn is_done(story: &Story, name: &str, wanted: fn(&Ended) -> bool) -> bool {
    matches!(story.state(name), LaneState::Done { how, .. } if wanted(how))
}

fn looks_out(story: &Story, name: &str) -> bool {
    story.effects.contains(&Command::LookOut(story.newest(name)))
}

fn ended(story: &Story) -> Option<RunResult> {
    match story.run().phase {
        Phase::Ended { result, .. } => Some(result),
        Phase::Going | Phase::Stopping { .. } => None,
    }
}

fn stopped(story: &mut Story, name: &str, reason: StopReason) {
    story.exits_with(name, |exit| (exit.end, exit.stop) = (End::Signal(15), Some(reason)));
}

#[test]
fn what_needs_a_service_begins_when_it_is_ready_and_it_ends_when_that_has_ended() {
    let mut story =
        Story::of(workflow(vec![service("web", &[], true), step("test", &["web"]), step("end", &["test"])]));
    story.claimed("web");
    assert!(looks_out(&story, "web"), "its readiness is looked for");
    assert!(matches!(story.state("test"), LaneState::Waiting));
    looked(&mut story, "web", false, false);
    assert!(matches!(story.state("test"), LaneState::Waiting), "it is not ready yet");
    looked(&mut story, "web", true, false);
    assert!(matches!(story.state("test"), LaneState::Active { .. }));
    assert!(!looks_out(&story, "web"), "nobody looks any more");
    story.claimed("test").skim().exits("test", 0);
    story.says(&[
        "0s test a1 ends: code 0",
        "0s test a1 judged: succeeded",
        "0s web a1 to end: unneeded by dogwatch",
        "0s end a1 starts: first",
    ]);
    stopped(&mut story, "web", StopReason::Unneeded);
    assert!(is_done(&story, "web", |how| matches!(how, Ended::Succeeded(_))));
    story.claimed("end").exits("end", 0);
    assert_eq!(ended(&story), Some(RunResult::Succeeded));
}

#[test]
fn a_service_takes_no_place_and_one_without_a_probe_is_ready_when_it_runs() {
    let mut flow = workflow(vec![service("web", &[], false), wait("db", &[]), step("test", &["web"])]);
    flow.max_parallel = 1;
    let mut story = Story::of(flow);
    assert!(looks_out(&story, "db") && !looks_out(&story, "web"));
    story.claimed("web");
    assert!(matches!(story.state("test"), LaneState::Active { .. }), "the one place is free");
}

#[test]
fn a_service_that_ends_while_it_is_needed_has_failed_and_what_runs_goes_on() {
    let mut web = service("web", &[], true);
    web.retry = retry(2, 5);
    let mut story = Story::of(workflow(vec![web, step("test", &["web"]), step("more", &["web"])]));
    story.claimed("web");
    looked(&mut story, "web", true, false);
    story.claimed("test").claimed("more").skim().exits("web", 0);
    story.says(&["0s web a1 ends: code 0", "0s web a1 judged: again at 5s by retry"]);
    // What fails meanwhile and is tried again waits for it.
    story.exits("more", 1).answers(1, Choice::Retry);
    assert!(matches!(story.state("more"), LaneState::Waiting));
    story.until(5).claimed("web").skim();
    assert!(matches!(story.state("more"), LaneState::Waiting), "it is not ready again yet");
    looked(&mut story, "web", true, false);
    assert!(matches!(story.state("more"), LaneState::Active { .. }));
    // The second end is one too many: a person is asked.
    story.exits("web", 0);
    let asked = story.run().questions.values().last().expect("a question").escalation.clone();
    assert!(
        asked.title.contains("ended with 0 after") && asked.title.contains("while it was needed"),
        "{}",
        asked.title
    );
    // Nobody needs it any more before he answers: nothing is left to be asked.
    story.claimed("more").exits("more", 0).exits("test", 0);
    assert!(is_done(&story, "web", |how| matches!(how, Ended::LeftOut(_))));
    assert_eq!(ended(&story), Some(RunResult::Succeeded));
}

#[test]
fn a_service_that_does_not_become_ready_is_ended_and_judged_as_a_failure() {
    let mut story = Story::of(workflow(vec![service("web", &[], true), step("test", &["web"])]));
    story.claimed("web");
    looked(&mut story, "web", false, true);
    let stop = |command: &Command| matches!(command, Command::Stop { reason: StopReason::NotReady, .. });
    assert!(story.effects.iter().any(stop), "{:?}", story.effects);
    stopped(&mut story, "web", StopReason::NotReady);
    let asked = story.run().questions.values().last().expect("a question").escalation.clone();
    assert!(asked.title.contains("was not ready after"), "{}", asked.title);
    assert!(matches!(story.state("test"), LaneState::Waiting));
    story.answers(1, Choice::Skip);
    assert!(
        is_done(&story, "test", |how| !matches!(how, Ended::Skipped(_)))
            || matches!(story.state("test"), LaneState::Active { .. })
    );
}

#[test]
fn a_service_that_nobody_will_need_is_not_begun_and_a_retry_of_it_is_not_waited_for() {
    let mut web = service("web", &["prepare"], false);
    web.retry = retry(3, 1000);
    let flow = vec![step("prepare", &[]), web, step("test", &["web", "prepare"])];
    let mut story = Story::of(workflow(flow.clone()));
    story.claimed("prepare");
    story.orders("test", Order::Skip).exits("prepare", 0);
    assert!(is_done(&story, "web", |how| matches!(how, Ended::Skipped(SkipWhy::Unneeded))));
    assert_eq!(ended(&story), Some(RunResult::Succeeded));

    let mut story = Story::of(workflow(flow));
    story.claimed("prepare").exits("prepare", 0).claimed("web").claimed("test").exits("web", 1);
    assert!(matches!(story.state("web"), LaneState::Delayed { .. }));
    story.exits("test", 0);
    assert_eq!(ended(&story), Some(RunResult::Succeeded), "the retry is not waited for");
}

#[test]
fn a_service_begins_anew_when_what_needs_it_is_run_again() {
    let mut story = Story::of(workflow(vec![service("web", &[], false), step("test", &["web"])]));
    story.claimed("web").claimed("test").exits("test", 1).answers(1, Choice::Fail);
    stopped(&mut story, "web", StopReason::Unneeded);
    assert_eq!(ended(&story), Some(RunResult::Failed));
    let what = story.run().resume(None, person("ann")).expect("it may be resumed");
    story.tell(what);
    assert_eq!(story.newest("web").n, 2, "it begins anew");
    assert!(matches!(story.state("test"), LaneState::Waiting));
    story.claimed("web");
    assert_eq!(story.newest("test").n, 2);
    story.claimed("test").exits("test", 0);
    stopped(&mut story, "web", StopReason::Unneeded);
    assert_eq!(ended(&story), Some(RunResult::Succeeded));
}

#[test]
fn a_service_lives_for_another_service_and_one_that_nobody_names_until_all_steps_have_ended() {
    let steps = vec![
        service("db", &[], false),
        service("web", &["db"], false),
        service("board", &[], false),
        step("test", &["web"]),
        gate("go", &["test"], None, OnTimeout::Wait),
    ];
    let mut story = Story::of(workflow(steps));
    story.claimed("db").claimed("web").claimed("board").claimed("test").exits("test", 0);
    let is_ending = |story: &Story, name: &str| matches!(story.state(name), LaneState::Active { stop: Some(_), .. });
    assert!(is_ending(&story, "web") && !is_ending(&story, "db") && !is_ending(&story, "board"));
    stopped(&mut story, "web", StopReason::Unneeded);
    assert!(is_ending(&story, "db"), "the one that needed it has ended");
    stopped(&mut story, "db", StopReason::Unneeded);
    assert!(!is_ending(&story, "board"));
    story.answers(1, Choice::Approve);
    assert!(is_ending(&story, "board"));
    stopped(&mut story, "board", StopReason::Unneeded);
    assert_eq!(ended(&story), Some(RunResult::Succeeded));
}

#[test]
fn what_is_waited_for_has_a_time_limit_and_can_be_tried_again() {
    let mut db = wait("db", &[]);
    db.timeout = Some(seconds(30));
    db.retry = retry(2, 10);
    let mut story = Story::of(workflow(vec![db, step("load", &["db"])]));
    story.claimed("db").until(29);
    assert!(looks_out(&story, "db"));
    story.until(30);
    assert!(!looks_out(&story, "db"), "nobody looks any more");
    let stop = |command: &Command| matches!(command, Command::Stop { reason: StopReason::Timeout, .. });
    assert!(story.effects.iter().any(stop));
    stopped(&mut story, "db", StopReason::Timeout);
    story.until(40);
    assert!(looks_out(&story, "db"), "a second attempt");
    story.claimed("db").exits("db", 0).claimed("load").exits("load", 0);
    assert_eq!(ended(&story), Some(RunResult::Succeeded));
}

#[test]
fn a_stopped_run_ends_its_services_and_its_waits() {
    let mut story = Story::of(workflow(vec![service("web", &[], true), wait("db", &["web"]), step("test", &["db"])]));
    story.claimed("web");
    looked(&mut story, "web", true, false);
    story.claimed("db");
    let what = story.run().stop_run(person("ann")).expect("it may be stopped");
    story.tell(what);
    let stops = story.effects.iter().filter(|command| matches!(command, Command::Stop { .. })).count();
    assert_eq!(stops, 2, "{:?}", story.effects);
    stopped(&mut story, "db", StopReason::Stop);
    stopped(&mut story, "web", StopReason::Stop);
    assert_eq!(ended(&story), Some(RunResult::Stopped));
}

#[test]
fn the_whole_run_has_a_time_limit() {
    let mut flow = workflow(vec![service("web", &[], false), wait("db", &["web"])]);
    flow.timeout = Some(Duration::from_secs(60));
    let mut story = Story::of(flow);
    story.claimed("web").claimed("db").until(60);
    assert!(matches!(story.run().phase, Phase::Stopping { .. }));
    stopped(&mut story, "db", StopReason::Stop);
    stopped(&mut story, "web", StopReason::Stop);
    assert_eq!(ended(&story), Some(RunResult::Failed));
}

#[test]
fn what_is_looked_at_is_told_with_its_values() {
    let mut db = wait("db", &[]);
    let file = Look::File(Template(vec![Part::Text("$DOGWATCH_DIR/ready".into())]));
    db.what = StepWhat::WaitFor(WaitFor { look: file, poll: (seconds(1), seconds(2)) });
    let story = Story::of(workflow(vec![db]));
    let run = story.run();
    let lane = &run.lanes[0];
    assert_eq!(run.look_words(lane), format!("{}/ready", run.work_dir(&lane.id)));
    assert!(run.is_open(&StepId::new("db").expect("a name")));
}
