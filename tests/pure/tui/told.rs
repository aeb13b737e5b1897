//! What the screen says of a run and of what was done is so, and is said no longer than it is so.

use dogwatch::tui::message::{Effect, News};
use dogwatch::tui::model::Model;
use dogwatch::wire::client::{Ask, RunState, StepState};

use super::{asked, key, news, press, said, wait};
use crate::support::screen_text::text;
use crate::support::shown::{failed, run, screen, step};

/// A paused run that only waits for a person.
fn paused() -> Model {
    let mut train = step("train", "", StepState::Asking);
    train.escalation = Some(7);
    let mut model = screen(vec![train.clone()]);
    let mut view = run("tqcuq3", 42, vec![train]);
    (view.line.state, view.line.paused) = (RunState::Waiting, true);
    news(&mut model, News::Runs(vec![view.line.clone()]));
    news(&mut model, News::Run(Box::new(view)));
    asked(&mut model, &[failed(7, "train")]);
    model
}

#[test]
fn that_a_run_waits_does_not_hide_that_it_is_paused() {
    let mut model = paused();
    let shown = text(&model);
    assert!(shown.contains("tiny-lm #42  ‖ paused 1h") && shown.contains("1 needs you"), "{shown}");
    assert_eq!(press(&mut model, "p"), [Effect::tell(Ask::Unpause { run: "tqcuq3".into() })]);
    press(&mut model, "5");
    assert!(text(&model).contains("‖ paused"), "{}", text(&model));
}

#[test]
fn nothing_starts_in_a_paused_run_and_no_receipt_says_so() {
    let mut model = paused();
    press(&mut model, "n");
    wait(&mut model, 300);
    press(&mut model, "3");
    let words = said(&model);
    assert!(words.contains("the run is paused: p lets it go on; u undoes") && !words.contains("starts in"), "{words}");
    // Answered, and still paused.
    let mut view = model.run.clone().expect("a run is looked at");
    view.steps[0].state = StepState::Retrying;
    news(&mut model, News::Run(Box::new(view)));
    assert!(text(&model).contains("retry 2/3, paused"), "{}", text(&model));
}

#[test]
fn a_receipt_is_said_as_long_as_it_is_so() {
    let mut model = paused();
    press(&mut model, "n");
    wait(&mut model, 300);
    press(&mut model, "3");
    assert_eq!(model.expires_ms(), Some(model.now_ms + 5_000), "the screen looks again then");
    wait(&mut model, 4_999);
    assert!(said(&model).contains("u undoes"));
    wait(&mut model, 1);
    assert_eq!((said(&model).as_str(), model.expires_ms()), ("", None));
}

#[test]
fn a_step_waits_for_what_is_not_there_yet() {
    let mut last = step("publish", "", StepState::Waiting);
    (last.attempt, last.needs) = (0, vec!["review".into(), "train".into()]);
    let mut model =
        screen(vec![step("review", "", StepState::Gate), step("train", "", StepState::Running), last.clone()]);
    press(&mut model, "G");
    assert!(text(&model).contains("not started: waits for review, train"), "{}", text(&model));
    let passed = [step("review", "", StepState::Succeeded), step("train", "", StepState::Running), last.clone()];
    news(&mut model, News::Run(Box::new(run("tqcuq3", 42, passed.into()))));
    assert!(text(&model).contains("not started: waits for train"), "{}", text(&model));
    last.detail = "waits for a place".into();
    let all = [step("review", "", StepState::Succeeded), step("train", "", StepState::Succeeded), last];
    news(&mut model, News::Run(Box::new(run("tqcuq3", 42, all.into()))));
    assert!(text(&model).contains("not started: waits for a place"), "{}", text(&model));
}

#[test]
fn nobody_is_asked_in_a_run_that_is_over() {
    let mut train = step("train", "", StepState::Asking);
    (train.exit, train.escalation) = (Some("code 1".into()), Some(7));
    let mut gate = step("review", "", StepState::Failed);
    (gate.attempt, gate.command) = (0, String::new());
    let mut view = run("tqcuq3", 42, vec![train, gate]);
    let mut model = screen(view.steps.clone());
    assert!(text(&model).contains("code 1 - needs you") && text(&model).contains("n: decide"), "{}", text(&model));
    (view.line.state, view.line.ended_ms) = (RunState::Stopped, Some(model.now_ms));
    news(&mut model, News::Run(Box::new(view)));
    assert!(!text(&model).contains("needs you") && !text(&model).contains("n: decide"), "{}", text(&model));
    press(&mut model, "G");
    assert!(text(&model).contains("an approval: it was rejected"), "{}", text(&model));
    assert!(!text(&model).contains("× failed"), "{}", text(&model));
}

#[test]
fn a_pane_without_output_has_no_beginning_to_go_to() {
    let mut waiting = step("later", "", StepState::Waiting);
    waiting.attempt = 0;
    let mut model = screen(vec![waiting, step("train", "", StepState::Running)]);
    for way in ["k z g", "pageup", "G g"] {
        for name in way.split(' ') {
            let name = if name == "pageup" { "ctrl-b" } else { name };
            press(&mut model, name);
        }
        assert!(!text(&model).contains(" up") && model.scroll.is_empty(), "{way}: {}", text(&model));
    }
    // One that runs and has printed nothing yet.
    press(&mut model, "z j z g");
    assert!(!text(&model).contains(&usize::MAX.to_string()), "{}", text(&model));
    let wheel = crossterm::event::MouseEvent {
        kind: crossterm::event::MouseEventKind::ScrollUp,
        column: 40,
        row: 10,
        modifiers: key("a").modifiers,
    };
    dogwatch::tui::update::update(&mut model, dogwatch::tui::message::Message::Mouse(wheel));
    assert!(!text(&model).contains(&usize::MAX.to_string()), "{}", text(&model));
}
