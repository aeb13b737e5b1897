//! Which event makes which notice, what is said, what is not told twice, and of what somebody is reminded.

use dogwatch::model::{Choice, EscalationId, Event, NotifyRule, Occasion, Target, What, Workflow};
use dogwatch::report::notice::{Owed, clean, owed, reminder, reminds};

use crate::support::make::{person, seconds, step, workflow};
use crate::support::story::Story;

fn rule(on: &[Occasion]) -> NotifyRule {
    NotifyRule { on: on.to_vec(), to: Target::Url("https://example.com/x".into()), remind: Some(seconds(1800)) }
}

/// Two rules: one for everything, one for the end of a run.
fn telling(names: &[&str]) -> Workflow {
    let mut flow = workflow(names.iter().map(|name| step(name, &[])).collect());
    let all = Occasion::ALL.map(|(_, occasion)| occasion);
    flow.notify = vec![rule(&all), rule(&[Occasion::RunFailed, Occasion::RunSucceeded])];
    flow
}

/// What each event made, as one that writes it all down: rule, kind, whether it joined another one.
fn told(story: &Story) -> Vec<(usize, Event, Owed)> {
    let mut all: Vec<(usize, Event, Owed)> = Vec::new();
    for (_, event) in &story.events {
        let before = |rule: usize, print: &str| {
            let same =
                |(at, _, one): &&(usize, Event, Owed)| *at == rule && one.notice.fingerprint == print && !one.joined;
            all.iter().filter(same).filter_map(|(.., one)| one.notice.escalation).map(|id| id.0).collect()
        };
        let new = owed(story.run(), event, before);
        all.extend(new.into_iter().map(|one| (one.rule, event.clone(), one)));
    }
    all
}

fn kinds(story: &Story) -> Vec<(usize, &'static str, bool)> {
    told(story).iter().map(|(rule, _, one)| (*rule, one.notice.occasion.as_str(), one.joined)).collect()
}

#[test]
fn a_question_and_each_end_of_a_run_are_told_by_the_rules_that_want_them() {
    let mut story = Story::of(telling(&["a"]));
    story.exits("a", 0);
    assert_eq!(kinds(&story), [(0, "run.succeeded", false), (1, "run.succeeded", false)]);

    let mut story = Story::of(telling(&["a"]));
    story.exits("a", 3);
    assert_eq!(kinds(&story), [(0, "escalation", false)]);
    let (_, _, one) = told(&story).remove(0);
    let notice = one.notice;
    assert_eq!(notice.summary, "test #1 needs you: a failed with exit code 3 after 0.0s");
    assert_eq!((notice.step.as_deref(), notice.escalation), (Some("a"), Some(EscalationId(1))));
    assert_eq!(notice.choices, ["retry", "done", "skip", "fail", "stop-run"]);
    assert_eq!(notice.command, "dogwatch decide e1 CHOICE");
    assert_eq!(notice.evidence.as_deref(), Some("| the last line"));
    let json: serde_json::Value = serde_json::from_str(&notice.json()).unwrap();
    assert_eq!((&json["event"], &json["escalation"]), (&"escalation".into(), &"e1".into()));

    story.answers(1, Choice::Fail);
    let ends: Vec<_> = kinds(&story).into_iter().skip(1).collect();
    assert_eq!(ends, [(0, "run.failed", false), (1, "run.failed", false)]);
    let last = told(&story).pop().expect("an end").2.notice;
    assert!(last.summary.starts_with("test #1 failed after") && last.summary.ends_with(": a"), "{}", last.summary);

    let mut story = Story::of(telling(&["a"]));
    story.exits("a", 3).answers(1, Choice::StopRun);
    assert_eq!(kinds(&story), [(0, "escalation", false), (0, "run.stopped", false)]);
    let mut silent = telling(&["a"]);
    silent.notify.clear();
    let mut story = Story::of(silent);
    story.exits("a", 0);
    assert!(told(&story).is_empty());
}

#[test]
fn what_asks_the_same_is_not_told_while_it_is_open_and_is_counted_in_the_reminder() {
    let mut flow = telling(&["a"]);
    let lanes = crate::support::make::lanes(3);
    let step = flow.steps.values_mut().next().expect("a step");
    (step.lanes, step.has_matrix) = (lanes, true);
    let mut story = Story::of(flow);
    story.exits("a.0", 3).exits("a.1", 3);
    assert_eq!(kinds(&story), [(0, "escalation", false), (0, "escalation", true)]);
    let print = story.run().questions[&EscalationId(1)].escalation.fingerprint.clone();
    let again = reminder(story.run(), EscalationId(1), &print, 1).expect("nobody has answered");
    assert_eq!((again.reminder, again.alike, again.escalation), (1, 2, Some(EscalationId(1))));
    assert!(again.summary.contains("(reminder 1)") && again.summary.contains("2 questions ask the same"));
    // The one that was told is answered: a reminder is about the other one.
    story.answers(1, Choice::Skip);
    let again = reminder(story.run(), EscalationId(1), &print, 2).expect("the other one is open");
    assert_eq!((again.alike, again.escalation), (1, Some(EscalationId(2))));
    // A new one of the same kind is told where none that was told is open, and joins one that is.
    story.exits("a.2", 3);
    let is_question = |event: &&Event| matches!(event.what, What::Opened { .. });
    let newest = story.events.iter().rev().map(|(_, event)| event).find(is_question).expect("the third one");
    assert!(!owed(story.run(), newest, |_, _| vec![1])[0].joined);
    assert!(owed(story.run(), newest, |_, _| vec![1, 2])[0].joined);
    story.answers(2, Choice::Skip).answers(3, Choice::Skip);
    assert!(reminder(story.run(), EscalationId(1), &print, 3).is_none(), "there is nothing to be reminded of");
}

#[test]
fn a_step_says_how_often_its_questions_are_told_again_else_the_rule_does() {
    let mut flow = telling(&["a", "b"]);
    let first = flow.steps.values_mut().next().expect("a step");
    first.escalation.remind = Some(seconds(120));
    let mut story = Story::of(flow);
    story.exits("a", 3).exits("b", 3);
    let rule = &story.run().workflow.notify[0];
    let every = |id| reminds(story.run(), rule, EscalationId(id));
    assert_eq!((every(1), every(2)), (Some(seconds(120)), Some(seconds(1800))));
}

#[test]
fn an_order_that_stops_a_run_and_nothing_else_is_told() {
    let mut story = Story::of(telling(&["a", "b"]));
    story.tell(What::Paused { by: person("ann") }).tell(What::Unpaused { by: person("ann") });
    assert!(told(&story).is_empty());
}

#[test]
fn nothing_that_is_told_controls_anything() {
    assert_eq!(clean("a\u{1b}[31mb\u{202e}c\r\nd\te\0\u{9b}"), "a[31mbc d e");
    assert_eq!(clean(&"x".repeat(1000)).chars().count(), 400);
    let shown = |url: &str| Target::Url(url.into()).to_string();
    assert_eq!(shown("https://bob:secret@hooks.example.com/T0/token?key=x"), "https://hooks.example.com");
}
