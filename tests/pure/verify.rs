//! Success must be earned: what ended well is verified before it counts.

use dogwatch::engine::{Ended, LaneState, PastEnd, Quality};
use dogwatch::model::{
    CheckpointMark, CheckpointSpec, Choice, Command, Damaged, End, EscalationId, Exit, FailureRule, Hit, Match, Order,
    Step, StopReason, What,
};

use crate::support::make::{checkpoint, person, retry, rule, seconds, step, workflow};
use crate::support::story::{Story, check, lane, saved};

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
    ends(|exit| exit.end = End::Code(1));
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

/// `train` fails after it has saved at 1200 and at 1800, and its checkpoints are to be verified.
fn saved_twice(max_attempts: u32) -> Story {
    let mut story = story(|step| {
        step.checkpoint = Some(CheckpointSpec { verify: Some("./check.sh".into()), ..checkpoint() });
        step.retry = retry(max_attempts, 5);
    });
    for step in [1200, 1800] {
        let attempt = story.claimed("train").newest("train");
        story.tell(What::CheckpointSeen { attempt, checkpoint: saved(&format!("/c/ckpt_{step}"), step), offset: 0 });
    }
    story.skim().exits_with("train", |exit| {
        exit.end = End::Signal(9);
        exit.checkpoint = Some(saved("/c/ckpt_1800", 1800));
    });
    story.says(&["0s train a1 ends: signal 9"]);
    assert_eq!(story.effects, [Command::VerifyCheckpoints(story.newest("train"))]);
    story
}

fn damaged(path: &str, step: i64) -> Damaged {
    Damaged { checkpoint: saved(path, step), why: "it is empty".into() }
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before() {
    let mut story = saved_twice(2);
    let attempt = story.newest("train");
    let (good, damaged) = (Some(saved("/c/ckpt_1200", 1200)), vec![damaged("/c/ckpt_1800", 1800)]);
    story.tell(What::CheckpointsVerified { attempt, good, damaged, digest: None }).until(5).says(&[
        "0s train a1 checkpoints: 1 damaged, /c/ckpt_1200 is good",
        "0s train a1 judged: again at 5s by retry from /c/ckpt_1200",
        "5s train a2 starts: retry by retry from /c/ckpt_1200",
    ]);
    let train = story.run().lane(&lane("train")).expect("it is there");
    let words = "ckpt_1800 is damaged (it is empty): from ckpt_1200 instead; redo 600 steps";
    assert_eq!(train.damaged_words().as_deref(), Some(words));
    let known: Vec<_> = train.sightings.iter().map(|one| (one.checkpoint.path.as_str(), one.quality.clone())).collect();
    let bad = Quality::Damaged { why: "it is empty".into() };
    assert_eq!(known, [("/c/ckpt_1200", Quality::Good), ("/c/ckpt_1800", bad)]);
    // What is damaged is no candidate of the next attempt.
    assert_eq!(train.older_checkpoints().map(|one| one.path.as_str()).collect::<Vec<_>>(), ["/c/ckpt_1200"]);
}

#[test]
fn the_question_says_what_is_damaged_and_what_is_left() {
    let mut story = saved_twice(1);
    let attempt = story.newest("train");
    let both = vec![damaged("/c/ckpt_1800", 1800), damaged("/c/ckpt_1200", 1200)];
    story.tell(What::CheckpointsVerified { attempt, good: None, damaged: both, digest: None }).says(&[
        "0s train a1 checkpoints: 2 damaged, none is good",
        "0s train a1 judged: ask",
        "0s e1 Failed train: retry done skip fail stop-run",
    ]);
    let asked = &story.run().questions[&EscalationId(1)].escalation;
    let words = "ckpt_1800 is damaged (it is empty), and 1 more: no good one is left, from the start instead";
    assert!(asked.evidence.contains(&words.into()), "{:?}", asked.evidence);
}

/// A run that is stopped is told how it stands with its checkpoints: somebody may resume it.
#[test]
fn a_stopped_run_still_looks_at_its_checkpoints() {
    let mut story = story(|step| step.checkpoint = Some(CheckpointSpec { verify: Some("x".into()), ..checkpoint() }));
    story.claimed("train");
    let stop = story.run().stop_run(person("ann")).expect("it goes");
    story.tell(stop).skim().exits_with("train", |exit| {
        (exit.end, exit.stop) = (End::Signal(15), Some(StopReason::Stop));
        exit.checkpoint = Some(saved("/c/1", 1));
    });
    story.says(&["0s train a1 ends: signal 15 (stop)"]);
    let attempt = story.newest("train");
    story
        .tell(What::CheckpointsVerified { attempt, good: None, damaged: vec![damaged("/c/1", 1)], digest: None })
        .skim();
    let resume = story.run().resume(None, person("bob")).expect("it can be resumed");
    story.tell(resume).says(&["0s resumed by bob", "0s train a2 starts: by bob"]);
}

/// A log with a gap does not tell at its end of all that was seen while it was written.
#[test]
fn what_was_seen_is_gone_on_from_though_the_end_does_not_tell_of_it() {
    let seen = || {
        let mut story = story(|step| {
            step.checkpoint = Some(checkpoint());
            step.retry = retry(2, 5);
        });
        for step in [1200, 1800] {
            let attempt = story.claimed("train").newest("train");
            story.tell(What::CheckpointSeen {
                attempt,
                checkpoint: saved(&format!("/c/ckpt_{step}"), step),
                offset: 0,
            });
        }
        story.skim();
        story
    };
    seen()
        .exits("train", 1)
        .says(&["0s train a1 ends: code 1", "0s train a1 judged: again at 5s by retry from /c/ckpt_1800"]);
    // Of the newest it is known that it is gone.
    let mut story = seen();
    story.exits_with("train", |exit| {
        exit.end = End::Code(1);
        exit.damaged = vec![damaged("/c/ckpt_1800", 1800)];
    });
    story.says(&["0s train a1 ends: code 1", "0s train a1 judged: again at 5s by retry from /c/ckpt_1200"]);
    seen().lost("train").says(&[
        "0s train a1 lost",
        "0s train a1 judged: ask",
        "0s e1 Unknown train: resume retry done skip fail stop-run",
    ]);
}

#[test]
fn a_checkpoint_is_due_an_interval_after_the_last_one() {
    let mut story = story(|step| {
        step.checkpoint = Some(CheckpointSpec { every: Some(seconds(60)), ..checkpoint() });
    });
    let due = |story: &Story| {
        let train = story.run().lane(&lane("train")).expect("it is there");
        story.run().checkpoint_due(train).map(|due| due.as_ms() / 1000)
    };
    assert_eq!(due(&story), None, "it does not run yet");
    story.until(10).claimed("train");
    assert_eq!(due(&story), Some(70));
    let attempt = story.until(50).newest("train");
    story.tell(What::CheckpointSeen { attempt, checkpoint: saved("/c/1", 1), offset: 0 });
    assert_eq!(due(&story), Some(110));
    story.until(200).exits("train", 1);
    assert_eq!(due(&story), None);
    // What an earlier attempt saved is no checkpoint of this one.
    story.answers(1, Choice::Resume).until(300).claimed("train");
    assert_eq!(due(&story), Some(360));
}

/// `train` is running and has saved these steps; of them `keep` stay.
fn saving(keep: usize, steps: &[i64]) -> Story {
    let mut story = story(|step| step.checkpoint = Some(CheckpointSpec { keep: Some(keep), ..checkpoint() }));
    story.claimed("train").skim();
    for step in steps {
        save(&mut story, *step);
    }
    story.skim();
    story
}

fn save(story: &mut Story, step: i64) {
    let attempt = story.newest("train");
    story.tell(What::CheckpointSeen { attempt, checkpoint: saved(&format!("/c/{step}"), step), offset: 0 });
}

/// What is looked at next is good, or is not.
fn looked(story: &mut Story, flaw: Option<&str>) -> String {
    let [Command::CheckCheckpoint(attempt, checkpoint)] = &story.effects[..] else { panic!("{:?}", story.effects) };
    let (lane, checkpoint, flaw) = (attempt.lane.clone(), checkpoint.clone(), flaw.map(str::to_owned));
    let path = checkpoint.path.clone();
    story.tell(What::CheckpointChecked { lane, checkpoint, flaw, digest: None });
    path
}

fn removed(story: &mut Story, path: &str, why: Option<&str>) {
    let attempt = story.newest("train");
    assert!(story.effects.contains(&Command::RemoveCheckpoint(attempt, path.into())), "{:?}", story.effects);
    story.tell(What::CheckpointRemoved { lane: lane("train"), path: path.into(), why: why.map(str::to_owned) });
}

#[test]
fn older_checkpoints_go_once_enough_newer_ones_are_good() {
    let mut story = saving(2, &[1, 2]);
    assert_eq!(looked(&mut story, None), "/c/2");
    assert_eq!(looked(&mut story, None), "/c/1");
    save(&mut story, 3);
    story.skim();
    assert_eq!(looked(&mut story, Some("it is empty")), "/c/3");
    story.says(&["0s train: /c/3 is it is empty"]);
    save(&mut story, 4);
    story.skim();
    assert_eq!(looked(&mut story, None), "/c/4");
    story.says(&["0s train: /c/4 is good", "0s train: /c/1 Removed by dogwatch"]);
    // Until it is known to be done, it is owed; and nothing goes on from it.
    removed(&mut story, "/c/1", None);
    story.says(&["0s train: /c/1 is gone"]);
    assert!(story.effects.is_empty(), "{:?}", story.effects);
    let train = story.run().lane(&lane("train")).expect("it is there");
    assert_eq!(train.older_checkpoints().map(|one| one.path.as_str()).collect::<Vec<_>>(), ["/c/4", "/c/2"]);
}

#[test]
fn what_is_pinned_or_gone_on_from_is_never_removed() {
    let mut story = saving(1, &[1]);
    story.tell(What::CheckpointMarked {
        lane: lane("train"),
        path: "/c/1".into(),
        mark: CheckpointMark::Pinned,
        by: person("ann"),
    });
    save(&mut story, 2);
    looked(&mut story, None);
    story.exits_with("train", |exit| {
        exit.end = End::Code(1);
        exit.checkpoint = Some(saved("/c/2", 2));
    });
    story.answers(1, Choice::Resume).claimed("train");
    save(&mut story, 3);
    story.skim();
    looked(&mut story, None);
    story.says(&["0s train: /c/3 is good"]);
    let owed = |story: &Story| story.effects.iter().any(|effect| matches!(effect, Command::RemoveCheckpoint(..)));
    assert!(!owed(&story), "the one before is gone on from, and the first is pinned");
    // Nothing goes on from it any more. What cannot be removed is left alone.
    story.exits("train", 1).skim();
    removed(&mut story, "/c/2", Some("it is a link"));
    story.says(&["0s train: /c/2 it is a link"]);
    assert!(story.effects.is_empty(), "{:?}", story.effects);
}

#[test]
fn a_run_ends_when_what_it_keeps_is_known_and_the_rest_is_gone() {
    let mut story = saving(1, &[1, 2]);
    story.exits("train", 0).verified("train", Some(0)).exits("next", 0).skim();
    looked(&mut story, None);
    story.says(&["0s train: /c/2 is good", "0s train: /c/1 Removed by dogwatch"]);
    removed(&mut story, "/c/1", None);
    story.says(&["0s train: /c/1 is gone", "0s run ended: Succeeded"]);
    // Who has it stopped does not wait for a look.
    let mut story = saving(1, &[1, 2]);
    let stop = story.run().stop_run(person("ann")).expect("it goes");
    story.tell(stop).skim().exits_with("train", |exit| exit.stop = Some(StopReason::Stop));
    story.says(&["0s train a1 ends: code 0 (stop)", "0s train a1 judged: stopped", "0s run ended: Stopped"]);
}

#[test]
fn a_person_chooses_what_is_gone_on_from() {
    let mut story = story(|step| step.checkpoint = Some(checkpoint()));
    story.claimed("train");
    for step in [1, 2] {
        save(&mut story, step);
    }
    story.exits("train", 1).skim();
    let mut run = story.run().clone();
    let chosen = run.choose(&lane("train"), "1", &person("ann")).expect("it is there");
    let again = run.order(&lane("train"), Order::Resume, person("ann"), None).expect("it may");
    story.tell(chosen).tell(again).says(&[
        "0s train: /c/1 Chosen by ann",
        "0s e1 resume by ann",
        "0s train a2 starts: by ann from /c/1",
    ]);
    // It stays what is gone on from until there is a newer one.
    story.claimed("train").exits("train", 1).answers(2, Choice::Resume);
    story.skim().claimed("train").exits("train", 1);
    assert_eq!(story.run().lane(&lane("train")).and_then(|lane| lane.checkpoint.clone()), Some(saved("/c/1", 1)));
    let (lane_id, checkpoint) = (lane("train"), saved("/c/2", 2));
    let flaw = Some("it is empty".to_owned());
    story.tell(What::CheckpointChecked { lane: lane_id, checkpoint, flaw, digest: None });
    let refused = story.run().clone().choose(&lane("train"), "/c/2", &person("ann")).expect_err("it is damaged");
    assert!(refused.0.contains("is damaged (it is empty)"), "{refused:?}");
    let refused = story.run().clone().choose(&lane("train"), "7", &person("ann")).expect_err("there is none");
    assert!(refused.0.contains("has saved no checkpoint \"7\""), "{refused:?}");
}

#[test]
fn a_newest_checkpoint_that_is_found_damaged_is_not_gone_on_from() {
    let mut story = story(|step| step.checkpoint = Some(checkpoint()));
    story.claimed("train");
    for step in [1, 2] {
        save(&mut story, step);
    }
    let checked = |flaw: Option<&str>| What::CheckpointChecked {
        lane: lane("train"),
        checkpoint: saved("/c/2", 2),
        flaw: flaw.map(str::to_owned),
        digest: None,
    };
    let newest = |story: &Story| story.run().lane(&lane("train")).and_then(|lane| lane.checkpoint.clone());
    story.tell(checked(Some("it is empty")));
    assert_eq!(newest(&story), Some(saved("/c/1", 1)));
    // Whoever mends it has it looked at again.
    story.tell(checked(None));
    assert_eq!(newest(&story), Some(saved("/c/2", 2)));
}

#[test]
fn a_program_is_told_to_save_before_it_is_asked_to_end() {
    let mut story = story(|step| step.checkpoint = Some(CheckpointSpec { save_signal: Some(10), ..checkpoint() }));
    story.claimed("train").skim();
    let stop = story.run().stop_step(&lane("train"), person("ann")).expect("it runs");
    story.tell(stop).says(&["0s train a1 to end: stop by ann, signal 10 first"]);
    assert!(matches!(&story.effects[..], [Command::Stop { save: Some(10), .. }]), "{:?}", story.effects);
}

/// As by an engine that was started anew and reads the log from its beginning.
#[test]
fn what_is_told_again_is_no_news() {
    let mut story = story(|step| step.checkpoint = Some(CheckpointSpec { keep: Some(1), ..checkpoint() }));
    story.claimed("train");
    let told = |story: &mut Story, step: i64, offset: u64| {
        let attempt = story.newest("train");
        story.tell(What::CheckpointSeen { attempt, checkpoint: saved(&format!("/c/{step}"), step), offset });
    };
    let known = |story: &Story| {
        let train = story.run().lane(&lane("train")).expect("it is there");
        let of = |one: &dogwatch::engine::Sighting| (one.checkpoint.path.clone(), one.quality == Quality::Good);
        (train.checkpoint.clone(), train.sightings.iter().map(of).collect::<Vec<_>>())
    };
    told(&mut story, 2, 200);
    assert_eq!(looked(&mut story, None), "/c/2");
    told(&mut story, 3, 300);
    assert_eq!(looked(&mut story, None), "/c/3");
    removed(&mut story, "/c/2", None);
    let before = known(&story);
    told(&mut story, 2, 200);
    told(&mut story, 3, 300);
    assert_eq!(known(&story), before);
    // What came late is older all the same.
    told(&mut story, 1, 100);
    assert_eq!(known(&story).0, Some(saved("/c/3", 3)));
    assert_eq!(known(&story).1[0], ("/c/1".to_owned(), false));
    // The same saved again is another one.
    told(&mut story, 3, 400);
    assert_eq!(known(&story).1.last(), Some(&("/c/3".to_owned(), false)));
}
