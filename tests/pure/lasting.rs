//! "The same for this run": which answers can hold for the rest of a run, for what, and for how long.

use dogwatch::model::{Autonomy, Choice, Class, Diagnosis, End, EscalationId, Evidence, Role, Step};

use crate::support::make::{checkpoint, gate, lanes, person, step, workflow};
use crate::support::story::{Story, saved};

fn said(line: &str) -> Box<Diagnosis> {
    Box::new(Diagnosis {
        class: Class::InputData,
        advice: Class::InputData.default_advice(),
        confidence: 0.9,
        rule: Some("a-rule".into()),
        role: Some(Role::Root),
        evidence: Some(Evidence { rule: "a-rule".into(), line: line.into(), number: 3 }),
        cascades: Vec::new(),
        retry_after_s: None,
        explanation: "It is so.".into(),
    })
}

/// Two lanes of a step that says nothing about failures.
fn story(change: impl FnOnce(&mut Step)) -> Story {
    let mut train = step("train", &[]);
    (train.lanes, train.has_matrix, train.retry_said) = (lanes(2), true, false);
    train.allow_failure = false;
    change(&mut train);
    Story::of(workflow(vec![train]))
}

fn fails(story: &mut Story, lane: &str, why: &str) {
    story.claimed(lane).skim().exits_with(lane, |exit| {
        exit.end = End::Code(1);
        exit.diagnosis = Some(said(why));
    });
}

#[test]
fn the_same_failure_is_not_asked_about_again_in_any_lane() {
    let mut story = story(|_| {});
    fails(&mut story, "train.0", "row 17 is cut short");
    story.skim().answers_for_run(1, Choice::Retry).says(&[
        "0s e1 holds for the run, says ann",
        "0s e1 retry by ann",
        "0s train a2 starts: by ann",
    ]);
    fails(&mut story, "train.1", "row 17 is cut short");
    story.says(&[
        "0s train.1 a1 ends: code 1",
        "0s train.1 a1 judged: again at 0s by the answer to e1 by ann, for this run",
        "0s train.1 a2 starts: retry by the answer to e1 by ann, for this run",
    ]);
    assert_eq!(story.run().questions.len(), 1);
    // Another failure is another question.
    fails(&mut story, "train.1", "the header is missing");
    assert_eq!(story.run().questions.len(), 2);
}

/// An answer that does not help is no answer.
#[test]
fn after_three_attempts_without_progress_a_person_is_asked_anew() {
    let mut story = story(|step| step.checkpoint = Some(checkpoint()));
    let mut saves = 0;
    let mut round = |story: &mut Story, newer: bool| {
        saves += i64::from(newer);
        story.claimed("train.0").exits_with("train.0", |exit| {
            exit.end = End::Code(1);
            exit.diagnosis = Some(said("row 17 is cut short"));
            exit.checkpoint = Some(saved(&format!("/w/ckpt_{saves}"), saves));
        });
        if let Some(next) = story.engine.next_deadline() {
            story.until(next.as_ms() / 1000 + 1);
        }
        story.run().questions.len()
    };
    assert_eq!(round(&mut story, true), 1);
    story.answers_for_run(1, Choice::Resume);
    // As long as it goes on, it may go on.
    assert!((0..8).all(|_| round(&mut story, true) == 1), "progress, and yet a question");
    let mut asked = 0;
    while asked < 10 && round(&mut story, false) == 1 {
        asked += 1;
    }
    assert_eq!(asked, 2, "the one with the last progress, and two more");
    // The numbers agree: the last attempt that was told of is the last one that was made.
    let train = &story.run().lanes[0];
    assert_eq!(train.of, Some(train.n));
    let why = &story.run().questions[&EscalationId(2)].escalation.evidence[0];
    let said = "no rule matched; not repeated: the answer to e1 by ann, for this run, was tried 3 times and brought nothing new";
    assert!(why.contains("(try 4 of 4)") && why.ends_with(said), "{why}");
}

#[test]
fn what_was_taken_back_or_ends_something_does_not_last() {
    let mut story = story(|step| step.autonomy = Autonomy::Ask);
    fails(&mut story, "train.0", "row 17 is cut short");
    for choice in [Choice::Done, Choice::Fail, Choice::StopRun] {
        let refused = story.run().last(EscalationId(1), choice, person("ann")).expect_err("it ends something").0;
        assert!(refused.contains("is decided each time"), "{refused}");
    }
    let lasting = story.run().last(EscalationId(1), Choice::Skip, person("ann")).expect("it can last");
    story.tell(lasting).answers_held(1, Choice::Skip);
    let undone = story.run().undo(EscalationId(1), person("bob")).expect("there is time");
    story.tell(undone).answers(1, Choice::Retry);
    fails(&mut story, "train.1", "row 17 is cut short");
    assert_eq!(story.run().questions.len(), 2, "nobody has said what to do with others");
    // Nor is a gate a failure.
    let mut story = Story::of(workflow(vec![gate("ok", &[], None, dogwatch::model::OnTimeout::Wait)]));
    story.skim();
    let refused = story.run().last(EscalationId(1), Choice::Skip, person("ann")).expect_err("it is a gate").0;
    assert!(refused.contains("not about a failure"), "{refused}");
}

#[test]
fn what_is_left_out_once_is_left_out_in_every_lane() {
    let mut story = story(|_| {});
    fails(&mut story, "train.0", "row 17 is cut short");
    story.answers_for_run(1, Choice::Skip).skim();
    fails(&mut story, "train.1", "row 17 is cut short");
    assert!(story.run().questions.len() == 1 && story.engine.next_deadline().is_none());
    assert!(matches!(story.run().phase, dogwatch::engine::Phase::Ended { .. }), "both are left out");
}

/// Those who wait already wait for the same answer.
#[test]
fn what_is_asked_already_is_answered_alike() {
    let mut story = story(|_| {});
    fails(&mut story, "train.0", "row 17 is cut short");
    fails(&mut story, "train.1", "row 17 is cut short");
    assert_eq!(story.run().questions.len(), 2);
    story.skim().until(5).answers_for_run(2, Choice::Retry).says(&[
        "5s e2 holds for the run, says ann",
        "5s e2 retry by ann",
        "5s e1 retry by ann",
        "5s train a2 starts: by ann",
        "5s train.1 a2 starts: by ann",
    ]);
}
