//! Conditions on metrics, and what follows when one begins to hold: the attempt is judged as if it had failed, while it
//! lives.

use dogwatch::config;
use dogwatch::gauge::alert::Condition;
use dogwatch::model::{Action, Alerted, Choice, Class, End, Match, Sign, Step, StopReason, What};

use crate::support::make::{rule, step, workflow};
use crate::support::story::{Story, stall};

/// The places of these values at which the condition begins to hold.
fn fires(condition: &str, values: &[f64]) -> Vec<usize> {
    let mut condition = Condition::new(condition).expect("it is one");
    let seen = values.iter().enumerate();
    seen.filter(|(_, value)| condition.see("loss", **value)).map(|(place, _)| place).collect()
}

#[test]
fn a_condition_fires_when_it_begins_to_hold() {
    assert_eq!(fires("loss > 20", &[1.0, 21.0, 22.0, 3.0, 30.0]), [1, 4]);
    assert_eq!(fires("isnan(loss) or isinf(loss)", &[1.0, f64::NAN, 1.0, f64::INFINITY]), [1, 3]);
    assert_eq!(fires("loss > 3 * min(loss, last=2)", &[1.0, 2.0, 7.0, 30.0]), [2, 3][..1]);
    assert_eq!(fires("loss > 3 * min(loss, last=200)", &[1.0, 2.0, 3.5]), [2]);
    assert_eq!(fires("loss > 2 * mean(loss) and loss < max(loss) + 1", &[1.0, 1.0, 9.0]), [2]);
    // A value that is no number is none to compare with.
    assert_eq!(fires("loss > 20", &[f64::NAN, f64::INFINITY]), [1]);
    assert!(fires("loss < 20 or not isnan(loss) and loss > 99", &[f64::NAN]).is_empty());
    assert_eq!(fires("loss > 3 * min(loss)", &[f64::NAN, 1.0, 4.0]), [2]);
    let mut both = Condition::new("loss > 1 and acc < 0.5").expect("it is one");
    assert!(!both.see("loss", 2.0), "there is no `acc` yet");
    assert!(both.see("acc", 0.1) && !both.see("other", 1.0));
}

#[test]
fn what_is_no_condition_is_refused_with_its_place() {
    for (wrong, words) in [
        ("loss >", "unexpected end"),
        ("loss + 1", "must be true or false"),
        ("1 > 2", "names no metric"),
        ("nonsense(loss)", "not callable"),
    ] {
        let error = Condition::new(wrong).expect_err(wrong).to_string();
        assert!(error.contains(words), "{wrong}: {error}");
        let file = format!("version = 1\n[steps.a]\nrun = 'true'\n[[steps.a.alerts]]\nwhen = '{wrong}'\n");
        let problems = config::parse(&file, "w.toml", std::path::Path::new("/p"), &[]).expect_err(wrong).to_string();
        assert!(problems.contains("w.toml:5:8") && problems.contains("no condition on metrics"), "{problems}");
    }
}

fn alerted(story: &mut Story, action: Option<Action>) {
    alerted_at(story, action, 340);
}

fn alerted_at(story: &mut Story, action: Option<Action>, step: i64) {
    let sign = Sign::Alert(Alerted {
        when: "isnan(loss)".into(),
        message: Some("Loss diverged".into()),
        action,
        metric: "loss".into(),
        step,
        value: f64::NAN,
    });
    let attempt = story.newest("train");
    let stall = Box::new(dogwatch::model::Stall { sign, ..stall(dogwatch::model::Time::from_ms(60_000)) });
    story.tell(What::Stalled { attempt, stall });
}

fn running(change: impl FnOnce(&mut Step)) -> Story {
    let mut train = step("train", &[]);
    train.retry_said = false;
    change(&mut train);
    let mut story = Story::of(workflow(vec![train]));
    story.claimed("train").until(60).skim();
    story
}

#[test]
fn a_person_is_asked_with_the_point_as_evidence() {
    let mut story = running(|_| {});
    alerted(&mut story, Some(Action::Escalate));
    let asked = story.run().questions.values().next().expect("it is asked").escalation.clone();
    assert_eq!(asked.title, "train: Loss diverged: loss = NaN at step 340");
    assert!(asked.evidence[1].contains("by `isnan(loss)`"), "{:?}", asked.evidence);
    // That it prints more is no reason to ask no longer.
    story.revives("train");
    assert!(story.run().questions.values().all(|question| question.answer.is_none()));
    story.answers(1, Choice::Fail).skim();
    story.exits_with("train", |exit| (exit.end, exit.stop) = (End::Signal(15), Some(StopReason::Alert)));
    story.says(&["60s train a1 ends: signal 15 (alert)", "60s train a1 judged: as answered", "60s run ended: Failed"]);
}

#[test]
fn its_action_or_a_rule_for_divergence_decides() {
    let mut story = running(|_| {});
    alerted(&mut story, Some(Action::Skip));
    story.says(&["60s train a1 stands still", "60s train a1 to end: alert by dogwatch"]);
    story.exits_with("train", |exit| (exit.end, exit.stop) = (End::Signal(15), Some(StopReason::Alert)));
    story.says(&[
        "60s train a1 ends: signal 15 (alert)",
        "60s train a1 judged: left out by alert",
        "60s run ended: Succeeded",
    ]);
    let class = |class| Match { class: vec![class], ..Match::default() };
    let mut story = running(|step| {
        step.on_failure = vec![
            rule("hang", class(Class::CollectiveHang), Action::Abort),
            rule("nan", class(Class::Divergence), Action::Skip),
        ];
    });
    alerted(&mut story, None);
    story.skim().exits_with("train", |exit| (exit.end, exit.stop) = (End::Signal(15), Some(StopReason::Alert)));
    story.says(&[
        "60s train a1 ends: signal 15 (alert)",
        "60s train a1 judged: left out by nan",
        "60s run ended: Succeeded",
    ]);
}

#[test]
fn the_same_evidence_alerts_once_and_new_evidence_again() {
    let mut story = running(|_| {});
    alerted(&mut story, None);
    story.answers(1, Choice::KeepWaiting).skim();
    // As by an engine that was started anew, and read the same numbers.
    alerted(&mut story, None);
    assert!(story.run().lanes[0].stall.is_none() && story.run().questions.len() == 1);
    alerted_at(&mut story, None, 341);
    assert_eq!(story.run().questions.len(), 2);
}

#[test]
fn a_note_is_told_once_and_the_newest_is_shown() {
    let mut story = running(|_| {});
    let attempt = story.newest("train");
    let note = |text: &str, offset| What::Noted { attempt: attempt.clone(), note: text.into(), offset };
    story.tell(note("first", 20)).tell(note("second", 40)).tell(note("first", 20));
    let told = story.run().lanes[0].told.clone();
    assert_eq!(told.note, Some((dogwatch::model::Time::from_ms(60_000), "second".to_owned())));
    assert!(story.run().lanes[0].knows_note(1, 40) && !story.run().lanes[0].knows_note(1, 41));
    story.skim().exits("train", 0);
    assert_eq!(story.run().lanes[0].told, told, "what has ended is still told of");
}
