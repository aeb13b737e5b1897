//! Questions that nobody answers: what follows by `escalation`, and what never does.

use dogwatch::engine::{Ended, LaneState, Phase};
use dogwatch::model::{
    Autonomy, Checkpoint, Choice, End, EscalationId, EscalationSpec, LostWhy, Principal, RunResult, Step, Unanswered,
    What,
};

use crate::support::make::{checkpoint, person, retry, seconds, step, workflow};
use crate::support::story::{Story, saved, stall};

/// A step that is tried once, whose questions wait a minute.
fn asks(what: Unanswered, change: impl FnOnce(&mut Step)) -> Story {
    let mut train = step("train", &[]);
    (train.retry, train.retry_said) = (retry(1, 0), true);
    train.checkpoint = Some(checkpoint());
    train.escalation = EscalationSpec { timeout: Some(seconds(60)), on_timeout: Some(what), remind: None };
    change(&mut train);
    Story::of(workflow(vec![train, step("eval", &["train"])]))
}

fn fails(story: &mut Story, newest: Option<Checkpoint>) {
    story.claimed("train").exits_with("train", |exit| {
        exit.end = End::Code(1);
        exit.checkpoint = newest;
    });
}

fn deadline(story: &Story, id: u64) -> Option<i64> {
    story.run().questions[&EscalationId(id)].escalation.deadline.map(|at| at.as_ms() / 1000)
}

/// Who answered, and what.
fn answer(story: &Story, id: u64) -> Option<(Choice, Principal)> {
    let (choice, by, ..) = story.run().questions[&EscalationId(id)].answer.clone()?;
    Some((choice, by))
}

#[test]
fn a_question_waits_for_ever_where_nothing_is_said() {
    let mut story = asks(Unanswered::Wait, |_| {});
    fails(&mut story, None);
    assert_eq!(deadline(&story, 1), None);
    story.until(1_000_000);
    assert_eq!(answer(&story, 1), None);
    let mut silent = asks(Unanswered::Skip, |train| train.escalation = EscalationSpec::default());
    fails(&mut silent, None);
    silent.until(1_000_000);
    assert_eq!(answer(&silent, 1), None);
}

#[test]
fn what_was_said_follows_when_the_time_is_over_and_not_before() {
    let mut story = asks(Unanswered::Skip, |_| {});
    fails(&mut story, None);
    assert_eq!(deadline(&story, 1), Some(60));
    story.until(59);
    assert_eq!(answer(&story, 1), None);
    story.until(60);
    assert_eq!(answer(&story, 1), Some((Choice::Skip, Principal::Rule)));
    assert!(matches!(story.state("train"), LaneState::Done { how: Ended::LeftOut(Principal::Rule), .. }));

    let mut story = asks(Unanswered::Abort, |_| {});
    fails(&mut story, None);
    story.until(60);
    assert!(matches!(story.run().phase, Phase::Ended { result: RunResult::Failed, .. }), "{:?}", story.run().phase);

    // Whoever answers in time is the one who decides; who says "not now" has the whole time again.
    let mut story = asks(Unanswered::Abort, |_| {});
    fails(&mut story, None);
    story.until(50);
    let later = story.run().later(EscalationId(1), person("ann@host"), dogwatch::model::Time::from_ms(50_000));
    story.tell(later.unwrap_or_else(|refused| panic!("{refused:?}")));
    assert_eq!(deadline(&story, 1), Some(110));
    story.until(100);
    story.answers(1, Choice::Done);
    story.until(1000);
    assert_eq!(answer(&story, 1).map(|(choice, _)| choice), Some(Choice::Done));
    assert!(!matches!(story.run().phase, Phase::Ended { .. }));
}

#[test]
fn without_an_answer_it_goes_on_from_each_checkpoint_once() {
    let mut story = asks(Unanswered::Resume, |_| {});
    fails(&mut story, Some(saved("/w/ckpt_1", 1)));
    story.until(60);
    assert_eq!(answer(&story, 1), Some((Choice::Resume, Principal::Rule)));
    assert_eq!(story.newest("train").n, 2);
    fails(&mut story, Some(saved("/w/ckpt_2", 2)));
    story.until(1000);
    assert_eq!(story.newest("train").n, 3, "there was progress");
    fails(&mut story, Some(saved("/w/ckpt_2", 2)));
    assert_eq!(deadline(&story, 3), None, "the same checkpoint again");
    story.until(1_000_000);
    assert_eq!(story.newest("train").n, 3);

    // The one that it was to go on from is found damaged meanwhile: not again from the one before.
    let mut story = asks(Unanswered::Resume, |_| {});
    fails(&mut story, Some(saved("/w/ckpt_1", 1)));
    story.until(60);
    fails(&mut story, Some(saved("/w/ckpt_2", 2)));
    let (lane, checkpoint) = (story.newest("train").lane, saved("/w/ckpt_2", 2));
    story.tell(What::CheckpointChecked { lane, checkpoint, flaw: Some("it is empty".into()), digest: None });
    story.until(1_000_000);
    assert_eq!((answer(&story, 2), story.newest("train").n), (None, 2));

    // Without a checkpoint there is nothing to go on from.
    let mut story = asks(Unanswered::Resume, |_| {});
    fails(&mut story, None);
    assert_eq!(deadline(&story, 1), None);
}

#[test]
fn nothing_follows_of_what_may_have_finished_or_is_in_somebodys_hands_or_only_observed() {
    let lost = |what| {
        let mut story = asks(what, |_| {});
        story.claimed("train");
        let (attempt, checkpoint) = (story.newest("train"), Some(saved("/w/ckpt_1", 1)));
        story.tell(What::Lost { attempt, why: LostWhy::ShimDied, evidence: Vec::new(), checkpoint });
        story
    };
    assert_eq!(deadline(&lost(Unanswered::Resume), 1), None, "it may have finished");
    assert_eq!(deadline(&lost(Unanswered::Skip), 1), Some(60), "nothing runs twice");

    let mut story = asks(Unanswered::Skip, |train| train.autonomy = Autonomy::Observe);
    fails(&mut story, None);
    assert_eq!(deadline(&story, 1), None);

    let mut story = asks(Unanswered::Resume, |_| {});
    story.claimed("train").exits_with("train", |exit| {
        exit.end = End::Code(1);
        exit.checkpoint = Some(saved("/w/ckpt_1", 1));
        exit.leaked = vec![(7, "left".into())];
    });
    assert_eq!(deadline(&story, 1), None, "something of it lives");

    let mut story = asks(Unanswered::Skip, |_| {});
    story.claimed("train");
    let attempt = story.newest("train");
    let stalled = stall(dogwatch::model::Time::from_ms(0));
    story.tell(What::Stalled { attempt: attempt.clone(), stall: Box::new(stalled) });
    assert_eq!(deadline(&story, 1), Some(60), "a live one has its time, too");
    story.tell(What::Attached { attempt, by: person("ann@host") });
    assert_eq!(deadline(&story, 1), None, "somebody has it in hands");
    story.until(1_000_000);
    assert_eq!(answer(&story, 1), None);
}
