//! Success must be earned: what ended well is verified before it counts.

use dogwatch::engine::{Ended, LaneState, PastEnd};
use dogwatch::model::{Choice, Command, EscalationId, Exit, FailureRule, Hit, Match, Order, Step, StopReason, What};

use crate::support::make::{person, retry, rule, step, workflow};
use crate::support::story::{Story, check, lane};

/// `train`, which is verified, and `next`, which needs it.
fn story(change: impl FnOnce(&mut Step)) -> Story {
    let mut train = step("train", &[]);
    train.verify = Some("./check.sh".into());
    change(&mut train);
    let mut story = Story::of(workflow(vec![train, step("next", &["train"])]));
    story.says(&["0s train a1 starts: first"]);
    story
}

#[test]
fn what_ended_well_is_a_success_only_when_it_is_verified() {
    let mut story = story(|_| {});
    story.claimed("train").skim().exits("train", 0).says(&["0s train a1 ends: code 0"]);
    assert!(matches!(story.state("train"), LaneState::Verifying { .. }));
    assert_eq!(story.effects, [Command::Verify(story.newest("train"))]);
    assert!(!story.run().only_waits(), "something happens by itself");
    story.verified("train", Some(0)).says(&[
        "0s train a1 verified",
        "0s train a1 judged: succeeded",
        "0s next a1 starts: first",
    ]);
}

#[test]
fn a_failed_verify_is_a_failure_of_the_attempt() {
    let mut story = story(|step| step.retry = retry(2, 5));
    story.exits("train", 0).skim().verified("train", Some(3)).until(5).says(&[
        "0s train a1 verify failed: code 3",
        "0s train a1 judged: again at 5s by retry",
        "5s train a2 starts: retry by retry",
    ]);
    let past = &story.run().lane(&lane("train")).expect("it is there").past[0];
    assert!(matches!(past.how, PastEnd::Exit { unverified: true, missing: false, .. }));
    story.exits("train", 0).skim().verified("train", None).says(&[
        "5s train a2 verify failed: it gave no answer",
        "5s train a2 judged: ask",
        "5s e1 Failed train: retry done skip fail stop-run",
    ]);
    let asked = &story.run().questions[&EscalationId(1)].escalation;
    assert_eq!(asked.title, "train ended well after 1.0s, but its verify failed: it gave no answer");
    assert!(asked.evidence.contains(&"| expected 3 rows, found 2".into()), "{:?}", asked.evidence);
    // Whoever looked himself may say that all is well.
    story.answers(1, Choice::Done);
    assert!(matches!(story.state("train"), LaneState::Done { how: Ended::Succeeded(_), .. }));
}

#[test]
fn rules_match_what_the_verify_printed() {
    let mut story = story(|step| {
        let matcher = Match { output: Some("found \\d+".into()), ..Match::default() };
        step.on_failure =
            vec![FailureRule { retry: Some(retry(2, 1)), ..rule("rows", matcher, dogwatch::model::Action::Retry) }];
    });
    let hit = Hit { rule: 0, line_number: 1, line: "expected 3 rows, found 2".into(), ..Hit::default() };
    let mut said = check(Some(1));
    said.hits = vec![hit];
    let attempt = story.newest("train");
    story.exits("train", 0).skim().tell(What::Verified { attempt, check: Box::new(said) });
    story.says(&["0s train a1 verify failed: code 1", "0s train a1 judged: again at 1s by rows"]);
}

#[test]
fn what_did_not_end_well_is_not_verified() {
    let ends = |change: fn(&mut Exit)| {
        let mut story = story(|_| {});
        story.exits_with("train", change);
        assert!(matches!(story.state("train"), LaneState::Asking { .. }), "{:?}", story.state("train"));
        // An answer that belongs to nothing changes nothing.
        let before = story.engine.clone();
        story.verified("train", Some(0));
        assert!(story.engine == before);
    };
    ends(|exit| exit.end = dogwatch::model::End::Code(1));
    ends(|exit| exit.missing = vec!["model: out".into()]);
    ends(|exit| exit.stop = Some(StopReason::Timeout));
}

#[test]
fn what_is_being_verified_has_its_place_and_can_be_stopped() {
    let mut one = step("one", &[]);
    one.verify = Some("x".into());
    let mut workflow = workflow(vec![one, step("two", &[])]);
    workflow.max_parallel = 1;
    let mut story = Story::of(workflow);
    story.skim().exits("one", 0).says(&["0s one a1 ends: code 0"]);
    let refused = story.run().order(&lane("one"), Order::Retry, person("ann"), None).expect_err("not now");
    assert!(refused.0.contains("being verified"), "{refused:?}");
    let stop = story.run().stop_step(&lane("one"), person("ann")).expect("it can be stopped");
    story.tell(stop).says(&["0s one a1 to end: stop by ann", "0s one a1 judged: stopped", "0s two a1 starts: first"]);
    // What its verify says now is too late.
    story.verified("one", Some(0)).says(&["0s one a1 verified"]);
    assert!(matches!(story.state("one"), LaneState::Done { how: Ended::Stopped, .. }));
}

#[test]
fn a_run_that_is_stopped_waits_for_no_verify() {
    let mut story = story(|_| {});
    story.exits("train", 0).skim();
    let stop = story.run().stop_run(person("ann")).expect("it goes");
    story.tell(stop).says(&[
        "0s run to end: Asked by ann",
        "0s train a1 to end: stop by ann",
        "0s train a1 judged: stopped",
        "0s run ended: Stopped",
    ]);
}
