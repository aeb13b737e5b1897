//! Attempts that stand still, in virtual time: asked about while they live, ended by a rule or a person, and judged like
//! any failure then.

use std::time::Duration;

use dogwatch::config;
use dogwatch::model::{
    Action, Choice, Class, ClockOrder, Command, End, Event, Match, Order, StallAfter, Step, StopReason, What,
};

use crate::support::make::{checkpoint, person, retry, rule, seconds, step, workflow};
use crate::support::story::{Story, lane, run_id, saved, stall};

/// A step that runs, with one after it.
fn running(change: impl FnOnce(&mut Step)) -> Story {
    let mut train = step("train", &[]);
    train.retry_said = false;
    change(&mut train);
    let mut story = Story::of(workflow(vec![train, step("after", &["train"])]));
    story.claimed("train").until(60).skim();
    story
}

const ASKED: &str = "60s e1 Stalled train: keep-waiting retry done skip fail stop-run";

#[test]
fn by_default_a_person_is_asked_and_the_attempt_lives_on() {
    let mut story = running(|_| {});
    story.stalls("train").says(&["60s train a1 stands still", ASKED]);
    assert!(story.effects.is_empty(), "nothing is done to it");
    assert!(story.run().only_waits(), "nothing else will happen by itself");
    let asked = &story.run().questions.values().next().expect("it is asked").escalation;
    assert_eq!(asked.title, "train stands still: no output for 10s");
    assert_eq!(
        asked.evidence,
        [
            "attempt 1 lives and goes on until you choose",
            "It stands still: no output for 10s, after pauses of 1.0s at most; its processes use 0.3 % of a processor.",
            "asked after 10s",
            "| step 40",
        ]
    );
    // It ends well by itself: nobody is needed.
    story.exits("train", 0).says(&[
        "60s train a1 ends: code 0",
        "60s train a1 judged: succeeded",
        "60s after a1 starts: first",
    ]);
    let question = story.run().questions.values().next().expect("it was asked");
    let (choice, _, _, note) = question.answer.as_ref().expect("it is closed");
    assert_eq!((*choice, note.as_deref()), (Choice::KeepWaiting, Some("it has ended")));
}

#[test]
fn a_sign_of_life_closes_the_question() {
    let mut story = running(|_| {});
    story.stalls("train").skim().revives("train").says(&["60s train a1 goes on"]);
    assert!(!story.run().only_waits());
    assert!(story.run().questions.values().all(|question| question.answer.is_some()));
    // And it may stand still once more.
    story
        .until(90)
        .stalls("train")
        .says(&["90s train a1 stands still", "90s e2 Stalled train: keep-waiting retry done skip fail stop-run"]);
}

#[test]
fn who_keeps_waiting_is_asked_again_only_after_another_stall() {
    let mut story = running(|_| {});
    story.stalls("train").skim().answers(1, Choice::KeepWaiting).says(&["60s e1 keep-waiting by ann"]);
    let lane = &story.run().lanes[0];
    assert!(lane.stall.is_none() && lane.may_stall());
    assert_eq!(lane.spared, Some(dogwatch::model::Time::from_ms(60_000)));
    story.until(90).stalls("train");
    assert_eq!(story.run().questions.len(), 2);
}

#[test]
fn an_answer_ends_it_first_and_takes_effect_then() {
    let mut story = running(|step| step.checkpoint = Some(checkpoint()));
    let attempt = story.newest("train");
    story.tell(What::CheckpointSeen { attempt, checkpoint: saved("/c", 7), offset: 1 }).stalls("train").skim();
    story.answers(1, Choice::Resume).says(&["60s e1 resume by ann", "60s train a1 to end: stall by ann"]);
    assert!(matches!(story.effects.as_slice(), [Command::Stop { reason: StopReason::Stall, .. }]));
    story.exits_with("train", |exit| {
        (exit.end, exit.stop, exit.checkpoint) = (End::Signal(15), Some(StopReason::Stall), Some(saved("/c", 7)));
    });
    story.says(&[
        "60s train a1 ends: signal 15 (stall)",
        "60s train a1 judged: as answered",
        "60s train a2 starts: by ann from /c",
    ]);
    // What was decided about the first one is not held against the second.
    story.claimed("train").exits("train", 0).skim();
    assert!(story.run().lanes[0].stall.is_none());
}

#[test]
fn what_ends_well_before_the_stop_reaches_it_has_succeeded() {
    let mut story = running(|_| {});
    story.stalls("train").answers(1, Choice::Fail).skim().exits("train", 0);
    story.says(&["60s train a1 ends: code 0", "60s train a1 judged: succeeded", "60s after a1 starts: first"]);
}

#[test]
fn skipping_it_goes_on_without_it() {
    let mut story = running(|_| {});
    story.stalls("train").orders("train", Order::Skip).skim();
    story.exits_with("train", |exit| (exit.end, exit.stop) = (End::Signal(15), Some(StopReason::Stall)));
    story.says(&[
        "60s train a1 ends: signal 15 (stall)",
        "60s train a1 judged: as answered",
        "60s after a1 starts: first",
    ]);
}

#[test]
fn on_stall_ends_it_by_rule_as_often_as_is_allowed() {
    let mut story = running(|step| {
        step.wait.on_stall = Some(Action::Retry);
        (step.retry, step.retry_said) = (retry(2, 5), true);
    });
    story.stalls("train").says(&["60s train a1 stands still", "60s train a1 to end: stall by dogwatch"]);
    let stopped = |exit: &mut dogwatch::model::Exit| {
        (exit.end, exit.stop) = (End::Signal(15), Some(StopReason::Stall));
    };
    story
        .exits_with("train", stopped)
        .says(&["60s train a1 ends: signal 15 (stall)", "60s train a1 judged: again at 65s by on_stall"]);
    story.until(70).claimed("train").skim().stalls("train");
    story.says(&["70s train a2 stands still", "70s e1 Stalled train: keep-waiting retry done skip fail stop-run"]);
}

#[test]
fn a_rule_for_the_class_decides_and_one_for_everything_does_not() {
    let everything = rule("all", Match::default(), Action::Retry);
    let class = Match { class: vec![Class::CollectiveHang], ..Match::default() };
    let mut story = running(|step| {
        (step.retry, step.retry_said) = (retry(3, 5), true);
        step.on_failure = vec![everything.clone()];
    });
    story.stalls("train").says(&["60s train a1 stands still", ASKED]);
    let mut story = running(|step| {
        (step.retry, step.retry_said) = (retry(3, 5), true);
        step.on_failure = vec![everything, rule("hang", class, Action::Retry)];
    });
    story.stalls("train").says(&["60s train a1 stands still", "60s train a1 to end: stall by dogwatch"]);
}

#[test]
fn nothing_is_asked_or_ended_under_somebodys_hands() {
    let mut story = running(|step| step.wait.on_stall = Some(Action::Retry));
    let attempt = story.newest("train");
    story.tell(What::Attached { attempt: attempt.clone(), by: person("ann") }).skim();
    story.stalls("train").says(&["60s train a1 stands still"]);
    assert!(story.run().lanes[0].stall.is_none(), "it is no stall while somebody types");
    story.tell(What::Detached { attempt, by: person("ann"), keys: None });
    assert_eq!(story.run().lanes[0].hands, [(story_time(60), story_time(60))]);
}

/// The stall was recorded, and somebody attached before anything was decided about it.
#[test]
fn who_attaches_in_the_same_moment_keeps_it_alive() {
    let mut story = running(|step| step.wait.on_stall = Some(Action::Retry));
    let (attempt, at) = (story.newest("train"), story_time(60));
    let stalled = What::Stalled { attempt: attempt.clone(), stall: Box::new(stall(at)) };
    let ends = |owed: &Command| matches!(owed, Command::Record(Event { what: What::StopAsked { .. }, .. }));
    for (what, ended) in [(stalled, true), (What::Attached { attempt, by: person("ann") }, false)] {
        story.engine.apply(&Event { run: run_id(), at, what });
        assert_eq!(story.engine.owed(at).iter().any(ends), ended);
    }
}

fn story_time(second: i64) -> dogwatch::model::Time {
    dogwatch::model::Time::from_ms(second * 1000)
}

#[test]
fn a_run_that_is_stopped_asks_nobody() {
    let mut story = running(|_| {});
    story.stalls("train").answers(1, Choice::StopRun).skim();
    story.exits_with("train", |exit| (exit.end, exit.stop) = (End::Signal(15), Some(StopReason::Stop)));
    let told: Vec<_> = story.events.iter().rev().take(2).map(|(_, event)| event.what.clone()).collect();
    assert!(matches!(told.first(), Some(What::Ended { .. })), "{told:?}");
}

#[test]
fn the_file_says_when_and_what() {
    let read = |text: &str| {
        let file = format!("version = 1\n[steps.a]\nrun = 'true'\n[steps.a.wait]\n{text}\n");
        config::parse(&file, "w.toml", std::path::Path::new("/p"), &[]).map(|loaded| {
            let wait = &loaded.workflow.steps[0].wait;
            (wait.stall_after, wait.on_stall, wait.quiet.clone(), wait.poll)
        })
    };
    let said = read("stall_after = '15m'\non_stall = 'retry'\nquiet = ['^compiling']").expect("it is right");
    assert_eq!(said, (StallAfter::After(seconds(900)), Some(Action::Retry), vec!["^compiling".to_owned()], None));
    assert_eq!(read("stall_after = 'never'").expect("it is right").0, StallAfter::Never);
    assert_eq!(read("").expect("it is right").0, StallAfter::Learned);
    let poll = |text: &str| read(&format!("poll = {text}")).expect("it is right").3;
    assert_eq!(poll("{ min = '2s', max = '2m' }"), Some((seconds(2), seconds(120))));
    assert_eq!(poll("{ min = '2h' }"), Some((seconds(7200), seconds(7200))));
    assert_eq!(poll("{ max = '500ms' }"), Some((Duration::from_millis(500), Duration::from_millis(500))));
    assert_eq!(poll("{ }"), Some((seconds(1), seconds(3600))));
    for (wrong, words) in [
        ("poll = '2s'", "must be a table"),
        ("poll = { min = '10ms' }", "is too short"),
        ("poll = { min = '9s', max = '2s' }", "is shorter than `min`"),
        ("poll = { least = '9s' }", "unknown key `least`"),
        ("stall_after = '0s'", "must be longer than zero"),
        ("on_stall = 'resume'", "saves no checkpoint"),
        ("on_stall = 'alternative'", "cannot say what to change"),
        ("quiet = ['(']", "is not a pattern"),
        ("stall_afte = '15m'", "did you mean `stall_after`"),
    ] {
        let problems = read(wrong).expect_err("it is wrong").to_string();
        assert!(problems.contains(words), "{wrong}: {problems}");
    }
}

#[test]
fn what_is_said_about_clocks_holds_for_this_attempt() {
    let order = |story: &mut Story, order| {
        let what = story.run().set_clocks(&lane("train"), order, person("ann")).expect("it may be said");
        story.tell(what);
    };
    let mut story = running(|step| step.timeout = Some(seconds(100)));
    order(&mut story, ClockOrder::Hold);
    assert_eq!(story.engine.next_deadline(), None, "its time limit stands still");
    story.stalls("train").says(&["60s train a1 Hold by ann", "60s train a1 stands still"]);
    assert!(story.run().set_clocks(&lane("train"), ClockOrder::Hold, person("bob")).is_err());
    story.until(200);
    order(&mut story, ClockOrder::GoOn);
    assert_eq!(story.engine.next_deadline(), Some(story_time(240)));
    order(&mut story, ClockOrder::More(seconds(30)));
    assert_eq!(story.engine.next_deadline(), Some(story_time(270)));
    story.skim().stalls("train").answers(1, Choice::KeepWaiting).skim();
    order(&mut story, ClockOrder::NeverStall);
    assert!(!story.run().lanes[0].may_stall());
    // The next attempt has clocks of its own.
    story.until(300).exits_with("train", |exit| (exit.end, exit.stop) = (End::Signal(15), Some(StopReason::Timeout)));
    story.answers(2, Choice::Retry).claimed("train");
    assert!(story.run().lanes[0].may_stall());
}
