//! The named stories of what people say, and of what runs at all: gates, orders, conditions, selections.

use dogwatch::engine::{Ended, LaneState, Phase};
use dogwatch::model::{
    Choice, End, EnvironmentId, EscalationId, Exit, OnTimeout, Order, Selection, Step, StopReason, What, Workflow,
};

use crate::support::make::{checkpoint, gate, lanes, person, retry, seconds, step, step_id, workflow};
use crate::support::story::{Story, lane, saved};

const QUESTION: &str = "retry done skip fail stop-run";

/// One step with these changes.
fn one(change: impl FnOnce(&mut Step)) -> Story {
    let mut train = step("train", &[]);
    change(&mut train);
    let mut story = Story::of(workflow(vec![train]));
    story.says(&["0s train a1 starts: first"]);
    story
}

fn two(first: Step, second: Step) -> Workflow {
    workflow(vec![first, second])
}

#[test]
fn a_gate_is_approved_rejected_or_expires() {
    let gated = |on_timeout| Story::of(two(gate("gate", &[], Some(seconds(60)), on_timeout), step("go", &["gate"])));
    let opened = "0s e1 Gate gate: approve reject";
    gated(OnTimeout::Wait).answers(1, Choice::Approve).says(&[
        opened,
        "0s e1 approve by ann",
        "0s go a1 starts: first",
    ]);
    gated(OnTimeout::Wait).answers(1, Choice::Reject).says(&[opened, "0s e1 reject by ann", "0s run ended: Rejected"]);
    gated(OnTimeout::Wait).until(1000).says(&[opened]);
    gated(OnTimeout::Reject)
        .until(59)
        .says(&[opened])
        .until(60)
        .says(&["60s e1 reject by dogwatch", "60s run ended: Rejected"]);
    gated(OnTimeout::Approve).until(60).says(&[opened, "60s e1 approve by dogwatch", "60s go a1 starts: first"]);
}

#[test]
fn a_gate_sends_back_to_a_step_and_asks_again() {
    let steps = vec![
        step("data", &[]),
        step("train", &["data"]),
        step("score", &["train"]),
        step("publish", &["train"]),
        gate("review", &["score"], None, OnTimeout::Wait),
        step("export", &["review"]),
    ];
    let mut story = Story::of(workflow(steps));
    story.exits("data", 0).exits("train", 0).exits("score", 0).skim();
    let choices = |story: &Story, id| story.run().questions[&EscalationId(id)].escalation.choices.clone();
    // The step before it first.
    let back = [Choice::SendBack(2), Choice::SendBack(1), Choice::SendBack(0)];
    assert_eq!(choices(&story, 1), [&[Choice::Approve, Choice::Reject], &back[..]].concat());
    let words: Vec<_> = back.iter().map(|choice| story.run().word(*choice).into_owned()).collect();
    assert_eq!(words, ["send-back:score", "send-back:train", "send-back:data"]);
    // What else came of it, and is still running, is left alone.
    story.answers(1, Choice::SendBack(1)).says(&["0s e1 send-back:train by ann", "0s train a2 starts: by ann"]);
    story.exits("publish", 0).exits("train", 0).says(&[
        "0s publish a1 ends: code 0",
        "0s publish a1 judged: succeeded",
        "0s train a2 ends: code 0",
        "0s train a2 judged: succeeded",
        "0s score a2 starts: by ann",
    ]);
    story.exits("score", 0).says(&[
        "0s score a2 ends: code 0",
        "0s score a2 judged: succeeded",
        "0s e2 Gate review: approve reject send-back:score send-back:train send-back:data",
    ]);
    story.answers(2, Choice::Approve).says(&["0s e2 approve by ann", "0s export a1 starts: first"]);
    story.exits("export", 0).skim();
    assert!(matches!(story.run().phase, Phase::Ended { .. }));
}

#[test]
fn what_is_sent_back_does_not_go_on_from_what_it_saved_before() {
    let mut train = step("train", &[]);
    train.checkpoint = Some(checkpoint());
    train.retry = retry(5, 1);
    let mut story = Story::of(two(train, gate("review", &["train"], None, OnTimeout::Wait)));
    let seen = What::CheckpointSeen { attempt: story.newest("train"), checkpoint: saved("ckpt/9", 9), offset: 0 };
    story.claimed("train").tell(seen).exits("train", 0).answers(1, Choice::SendBack(0)).skim();
    story.claimed("train").exits("train", 1).until(1).skim();
    let lane = story.run().lane(&lane("train")).expect("it is there");
    assert!(matches!(&lane.state, LaneState::Active { resume: None, .. }), "{:?}", lane.state);
}

#[test]
fn a_gate_opens_although_no_place_is_free() {
    let mut workflow = two(step("long", &[]), gate("gate", &[], None, OnTimeout::Wait));
    workflow.max_parallel = 1;
    workflow.steps.insert(step_id("other"), step("other", &[]));
    workflow.steps.move_index(2, 1);
    Story::of(workflow).says(&["0s long a1 starts: first", "0s e1 Gate gate: approve reject"]);
}

#[test]
fn a_stopped_run_goes_on_where_it_was() {
    let mut train = step("train", &["prepare"]);
    train.checkpoint = Some(checkpoint());
    train.retry = retry(5, 1);
    let mut story = Story::of(workflow(vec![step("prepare", &[]), train, step("export", &["train"])]));
    story.exits("prepare", 0).claimed("train").skim();
    let stop = story.run().stop_run(person("ann")).expect("it goes");
    story.tell(stop);
    story.exits_with("train", |exit| {
        exit.end = End::Signal(15);
        exit.stop = Some(StopReason::Stop);
        exit.checkpoint = Some(saved("/c/3", 3));
    });
    story.says(&[
        "0s run to end: Asked by ann",
        "0s train a1 to end: stop by ann",
        "0s train a1 ends: signal 15 (stop)",
        "0s train a1 judged: stopped",
        "0s run ended: Stopped",
    ]);
    assert!(story.run().stop_run(person("ann")).is_err());
    let resume = story.run().resume(None, person("bob")).expect("it can be resumed");
    story.until(50).tell(resume);
    story.says(&["50s resumed by bob", "50s train a2 starts: by bob from /c/3"]);
    story.exits("train", 0).exits("export", 0).skim();
    assert!(story.run().resume(None, person("bob")).is_err());
    let again = story.run().resume(Some(step_id("train")), person("bob")).expect("a part of it");
    story.tell(again).says(&["50s resumed from train by bob", "50s train a3 starts: by bob"]);
    // What comes after it heeds how it ends this time, although it has run before.
    story.exits("train", 1).skim();
    for _ in 0..4 {
        let now = story.engine.next_deadline().expect("a retry is due").as_ms() / 1000;
        story.until(now).exits("train", 1).skim();
    }
    story.answers(1, Choice::Fail).says(&[
        "65s e1 fail by ann",
        "65s export left out: Need(StepId(\"train\"))",
        "65s run ended: Failed",
    ]);
}

#[test]
fn a_pause_starts_nothing_and_stops_nothing() {
    let mut story = Story::of(two(step("a", &[]), step("b", &["a"])));
    story.skim().tell(What::Paused { by: person("ann") });
    assert_eq!(story.effects.len(), 1);
    story.exits("a", 0).until(100);
    story.says(&["0s paused by ann", "0s a a1 ends: code 0", "0s a a1 judged: succeeded"]);
    assert!(story.run().pause(true, person("ann")).is_err());
    story.tell(What::Unpaused { by: person("ann") }).says(&["100s unpaused by ann", "100s b a1 starts: first"]);
}

#[test]
fn a_person_leaves_out_or_says_it_is_done() {
    let mut story = Story::of(workflow(vec![step("a", &[]), step("b", &["a"]), step("c", &["b"])]));
    story.exits("a", 1).skim();
    story.orders("a", Order::Done).says(&["0s e1 done by ann", "0s b a1 starts: first"]);
    story.exits("b", 1).answers(2, Choice::Fail).skim();
    assert!(matches!(story.run().phase, Phase::Ended { .. }));
    // After the end, an order takes the run up again.
    story.orders("b", Order::Skip).says(&["0s b Skip by ann", "0s c a1 starts: first"]);
    story.exits("c", 0).says(&["0s c a1 ends: code 0", "0s c a1 judged: succeeded", "0s run ended: Succeeded"]);
    let running = story.run().order(&lane("nosuch"), Order::Skip, person("ann"), None);
    assert!(running.is_err());
}

#[test]
fn conditions_replace_the_needs() {
    let mut clean = step("clean", &["a"]);
    clean.condition = Some("failed(steps.a)".into());
    let mut story = Story::of(workflow(vec![step("a", &[]), clean, step("b", &["a"]), step("c", &["clean"])]));
    story.exits("a", 1).skim().answers(1, Choice::Fail);
    story.says(&["0s e1 fail by ann", "0s clean a1 starts: first", "0s b left out: Need(StepId(\"a\"))"]);
    story.exits("clean", 0).skim();
    // Done again, and well: what was left out follows, the condition is not asked of what has run.
    story.orders("a", Order::Retry).exits("a", 0).exits("b", 0);
    story.exits("c", 0).skim();
    assert!(
        story.run().lanes.iter().all(|lane| matches!(&lane.state, LaneState::Done { how: Ended::Succeeded(_), .. }))
    );
}

#[test]
fn a_condition_is_asked_again_when_what_it_looks_at_runs_again() {
    let mut clean = step("clean", &["a"]);
    clean.condition = Some("failed(steps.a)".into());
    let mut story = Story::of(two(step("a", &[]), clean));
    story.exits("a", 0).skim();
    story.orders("a", Order::Retry).exits("a", 1).skim().answers(1, Choice::Fail);
    story.says(&["0s e1 fail by ann", "0s clean a1 starts: first"]);
}

#[test]
fn lanes_that_a_condition_leaves_out_do_not_leave_out_what_comes_after() {
    let mut sweep = step("sweep", &[]);
    sweep.lanes = lanes(2);
    sweep.condition = Some("matrix.x != 1".into());
    let mut story = Story::of(two(sweep, step("next", &["sweep"])));
    story.exits("sweep", 0).says(&[
        "0s sweep a1 starts: first",
        "0s sweep.1 left out: Condition",
        "0s sweep a1 ends: code 0",
        "0s sweep a1 judged: succeeded",
        "0s next a1 starts: first",
    ]);
}

#[test]
fn a_condition_that_has_no_value_is_a_question() {
    let mut odd = step("odd", &[]);
    odd.condition = Some("params.x > 1".into());
    Story::of(workflow(vec![odd])).says(&["0s odd cannot start", &format!("0s e1 CannotStart odd: {QUESTION}")]);
}

#[test]
fn a_selection_runs_its_part() {
    let flow = || workflow(vec![step("a", &[]), step("b", &["a"]), step("c", &["b"])]);
    let mut only = Story::selected(flow(), Selection::Only(vec![step_id("b")]));
    only.exits("b", 0).says(&[
        "0s b a1 starts: first",
        "0s b a1 ends: code 0",
        "0s b a1 judged: succeeded",
        "0s run ended: Succeeded",
    ]);
    let mut from = Story::selected(flow(), Selection::From(step_id("b")));
    from.exits("b", 0).exits("c", 0).says(&[
        "0s b a1 starts: first",
        "0s b a1 ends: code 0",
        "0s b a1 judged: succeeded",
        "0s c a1 starts: first",
        "0s c a1 ends: code 0",
        "0s c a1 judged: succeeded",
        "0s run ended: Succeeded",
    ]);
}

fn sweep(fail_fast: bool) -> Story {
    let mut sweep = step("sweep", &[]);
    sweep.lanes = lanes(4);
    sweep.lanes_at_once = Some(2);
    sweep.fail_fast = fail_fast;
    let mut story = Story::of(workflow(vec![sweep]));
    story.says(&["0s sweep a1 starts: first", "0s sweep.1 a1 starts: first"]);
    story.claimed("sweep.1").until(10).exits("sweep", 1).skim().answers(1, Choice::Fail);
    story
}

#[test]
fn fail_fast_ends_the_other_lanes() {
    let mut story = sweep(true);
    story.says(&[
        "10s e1 fail by ann",
        "10s sweep.1 a1 to end: stop by dogwatch",
        "10s sweep.2 a1 to end: stop by dogwatch",
    ]);
    let stopped = |exit: &mut Exit| {
        exit.end = End::Signal(15);
        exit.stop = Some(StopReason::Stop);
    };
    story.exits_with("sweep.1", stopped).says(&[
        "10s sweep.1 a1 ends: signal 15 (stop)",
        "10s sweep.1 a1 judged: stopped",
        "10s sweep.3 left out: Need(StepId(\"sweep\"))",
    ]);
    story.exits_with("sweep.2", stopped).skim();
    // A person has one of them run again: the old failure does not end it.
    story.until(20).orders("sweep.1", Order::Retry).claimed("sweep.1").says(&[
        "20s sweep.1 Retry by ann",
        "20s sweep.1 a2 starts: by ann",
        "20s sweep.1 a2 claimed",
    ]);
    assert_eq!(story.effects, []);
}

#[test]
fn without_fail_fast_the_other_lanes_go_on() {
    sweep(false).says(&["10s e1 fail by ann"]).exits("sweep.1", 0).says(&[
        "10s sweep.1 a1 ends: code 0",
        "10s sweep.1 a1 judged: succeeded",
        "10s sweep.3 a1 starts: first",
    ]);
}

#[test]
fn a_question_has_one_answer() {
    let mut story = one(|_| {});
    story.exits("train", 1).answers(1, Choice::Retry).skim();
    let again = story.run().decide(EscalationId(1), Choice::Fail, person("bob"), None);
    assert_eq!(again.expect_err("it is answered").0, "e1 was answered already: retry by ann");
    let before = story.engine.clone();
    story.tell(What::Answered { escalation: EscalationId(1), choice: Choice::Fail, by: person("bob"), note: None });
    assert!(story.engine == before, "a second answer changed something");
    let wrong = Story::of(workflow(vec![gate("g", &[], None, OnTimeout::Wait)]));
    let wrong = wrong.run().decide(EscalationId(1), Choice::Retry, person("bob"), None);
    assert_eq!(wrong.expect_err("a gate").0, "retry is no answer to e1; it takes: approve, reject");
}

#[test]
fn a_question_of_an_ended_run_waits_for_its_resumption() {
    let mut story = one(|_| {});
    story.exits("train", 1);
    let stop = story.run().stop_run(person("ann")).expect("it goes");
    story.tell(stop).skim();
    let late = story.run().decide(EscalationId(1), Choice::Retry, person("bob"), None);
    assert_eq!(late.expect_err("it has ended").0, "the run has ended; `dogwatch resume` goes on with it");
    let resume = story.run().resume(None, person("bob")).expect("it can be resumed");
    story.tell(resume).says(&["0s resumed by bob", "0s train a2 starts: by bob"]);
}

#[test]
fn what_a_person_stopped_is_not_tried_again() {
    let mut story = one(|step| step.retry = retry(5, 1));
    story.claimed("train").skim();
    let stop = story.run().stop_step(&lane("train"), person("ann")).expect("it runs");
    // It crashes by itself before the stop reaches it.
    story.tell(stop).exits("train", 1).says(&[
        "0s train a1 to end: stop by ann",
        "0s train a1 ends: code 1",
        "0s train a1 judged: stopped",
        "0s run ended: Stopped",
    ]);
}

#[test]
fn what_is_stopped_before_it_could_begin_asks_nobody() {
    let mut story = one(|step| step.retry = retry(5, 1));
    let stop = story.run().stop_run(person("ann")).expect("it goes");
    story.tell(stop).skim();
    let why = "it was stopped before its image was there".to_owned();
    story
        .tell(What::CannotStart { lane: lane("train"), why })
        .says(&["0s train cannot start", "0s run ended: Stopped"]);
    let resume = story.run().resume(None, person("bob")).expect("it can be resumed");
    story.tell(resume).says(&["0s resumed by bob", "0s train a2 starts: by bob"]);
}

/// A wrong image is a question of its own environment: what runs elsewhere starts.
#[test]
fn an_environment_that_cannot_be_had_keeps_nothing_else_waiting() {
    let elsewhere = || EnvironmentId::new("elsewhere").expect("a name");
    let there = |name: &str, needs: &[&str]| {
        let mut step = step(name, needs);
        step.place.environment = elsewhere();
        step
    };
    let steps = vec![there("a", &[]), there("b", &["first"]), step("first", &[]), step("second", &["first"])];
    let mut story = Story::of(workflow(steps));
    story.skim();
    let why = "no such image".to_owned();
    story.tell(What::EnvironmentFailed { environment: elsewhere(), why: why.clone() });
    story.tell(What::CannotStart { lane: lane("a"), why });
    story.exits("first", 0).says(&[
        "0s no environment",
        "0s a cannot start",
        &format!("0s e1 CannotStart a: {QUESTION}"),
        "0s first a1 ends: code 0",
        "0s first a1 judged: succeeded",
        "0s second a1 starts: first",
    ]);
    assert!(!story.run().only_waits(), "second runs");
    story.exits("second", 0).says(&["0s second a1 ends: code 0", "0s second a1 judged: succeeded"]);
    assert!(story.run().only_waits(), "b waits for the answer about a");
    story.answers(1, Choice::Retry).says(&["0s e1 retry by ann", "0s a a2 starts: by ann", "0s b a1 starts: first"]);
}

#[test]
fn without_an_environment_one_question_is_asked() {
    let mut story = Story::of(workflow(vec![step("a", &[]), step("b", &[]), step("c", &[])]));
    story.skim();
    for name in ["b", "a", "c"] {
        let why = "no namespaces".to_owned();
        story.tell(What::EnvironmentFailed { environment: EnvironmentId::default(), why: why.clone() });
        story.tell(What::CannotStart { lane: lane(name), why });
    }
    story.until(1000).says(&[
        "0s no environment",
        "0s b cannot start",
        &format!("0s e1 CannotStart b: {QUESTION}"),
        "0s no environment",
        "0s a cannot start",
        "0s no environment",
        "0s c cannot start",
    ]);
    assert!(story.run().only_waits());
    story.answers(1, Choice::Retry).says(&[
        "1000s e1 retry by ann",
        "1000s a a2 starts: first",
        "1000s b a2 starts: by ann",
        "1000s c a2 starts: first",
    ]);
}

/// A step that needs a secret, as the file has it.
fn secretive(name: &str, needs: &[&str]) -> Step {
    Step { secrets: vec!["TOKEN".into()], ..step(name, needs) }
}

#[test]
fn a_lost_secret_is_one_question_that_its_value_answers() {
    let mut story = Story::of(workflow(vec![secretive("a", &[]), secretive("b", &[]), step("other", &[])]));
    story.skim();
    let lost = |name| What::SecretsLost { lane: lane(name), names: vec!["TOKEN".into()] };
    story.tell(lost("b")).tell(lost("a")).exits("other", 0);
    story.says(&[
        "0s b lacks TOKEN",
        &format!("0s e1 CannotStart b: {QUESTION}"),
        "0s a lacks TOKEN",
        "0s other a1 ends: code 0",
        "0s other a1 judged: succeeded",
    ]);
    assert!(story.run().only_waits());
    let asked = &story.run().questions[&EscalationId(1)].escalation;
    assert_eq!(asked.title, "b waits for the secret TOKEN: dogwatch secret test#1 TOKEN");
    // Another one answers nothing.
    let other = story.run().secrets_given(&["OTHER".into()], &person("ann"));
    assert_eq!(other.len(), 1);
    for what in story.run().secrets_given(&["TOKEN".into()], &person("ann")) {
        story.tell(what);
    }
    story.says(&["0s TOKEN given by ann", "0s a a2 starts: first", "0s e1 retry by ann", "0s b a2 starts: by ann"]);
    story.exits("a", 0).exits("b", 0).skim();
    assert!(matches!(story.run().phase, Phase::Ended { .. }));
}

#[test]
fn an_answer_without_the_value_asks_the_next_one_and_starts_nothing_twice() {
    let mut story = Story::of(workflow(vec![secretive("a", &[]), secretive("b", &[])]));
    story.skim();
    let lost = |name| What::SecretsLost { lane: lane(name), names: vec!["TOKEN".into()] };
    story.tell(lost("a")).tell(lost("b")).skim();
    story.answers(1, Choice::Skip).says(&["0s e1 skip by ann", "0s b a2 starts: first"]);
    story.tell(lost("b")).says(&["0s b lacks TOKEN", &format!("0s e2 CannotStart b: {QUESTION}")]);
    story.answers(2, Choice::Retry).says(&["0s e2 retry by ann", "0s b a3 starts: by ann"]);
}

#[test]
fn what_was_to_go_on_from_a_checkpoint_does_so_when_its_secret_is_there_again() {
    let mut story = one(|train| {
        train.secrets = vec!["TOKEN".into()];
        train.checkpoint = Some(checkpoint());
    });
    let seen = What::CheckpointSeen { attempt: story.newest("train"), checkpoint: saved("ckpt/9", 9), offset: 0 };
    story.claimed("train").tell(seen).exits("train", 1).skim();
    story.answers(1, Choice::Resume).skim();
    story.tell(What::SecretsLost { lane: lane("train"), names: vec!["TOKEN".into()] }).skim();
    for what in story.run().secrets_given(&["TOKEN".into()], &person("ann")) {
        story.tell(what);
    }
    story.says(&["0s TOKEN given by ann", "0s e2 resume by ann", "0s train a3 starts: by ann from ckpt/9"]);
}
