//! A run that begins while another one is looked at is announced with the key that opens it, and never steals the view.

use dogwatch::tui::keys::Action;
use dogwatch::tui::message::{Effect, Message, News};
use dogwatch::tui::model::{Model, View};
use dogwatch::tui::update::{available, update};
use dogwatch::tui::view::hinted;
use dogwatch::wire::client::{RunLine, RunState, StepState};

use super::{news, press, said, wait};
use crate::support::screen_text::text;
use crate::support::shown::{NOW, run, screen, step};

/// Somebody looks at run 42, which is in this state.
fn looking(state: RunState) -> Model {
    let mut model = screen(vec![step("train", "", StepState::Succeeded)]);
    let mut view = model.run.clone().expect("a run is looked at");
    view.line.state = state;
    view.line.ended_ms = state.ended().then_some(NOW);
    news(&mut model, News::Runs(vec![view.line.clone()]));
    news(&mut model, News::Run(Box::new(view)));
    model
}

fn newer() -> RunLine {
    let mut line = run("nrt4xk", 43, Vec::new()).line;
    line.created_ms = NOW + 1_000;
    line
}

/// Run 43 begins.
fn begins(model: &mut Model) -> Vec<Effect> {
    let old = model.runs.clone();
    news(model, News::Runs([vec![newer()], old].concat()))
}

#[test]
fn it_is_told_and_opened_by_its_key_and_nothing_is_shown_by_itself() {
    let mut model = looking(RunState::Succeeded);
    let before = text(&model);
    assert!(!available(&model, Action::OpenBegun) && !before.contains("#43"), "{before}");
    assert_eq!(begins(&mut model), [], "the view is not stolen");
    assert_eq!(said(&model), "tiny-lm #43 has begun · O opens it");
    // The notice goes, the way to it stays.
    wait(&mut model, 60_000);
    assert!(
        text(&model).lines().last().is_some_and(|line| line.starts_with(" O open tiny-lm #43  ")),
        "{}",
        text(&model)
    );
    assert_eq!(press(&mut model, "O"), [Effect::Watch { run: "nrt4xk".into() }]);
    let mut view = run("nrt4xk", 43, vec![step("train", "", StepState::Running)]);
    view.line = newer();
    news(&mut model, News::Run(Box::new(view)));
    assert!(!available(&model, Action::OpenBegun) && !text(&model).contains("O open"), "{}", text(&model));
}

#[test]
fn whoever_looks_at_a_run_that_goes_on_is_told_once_and_can_open_it() {
    let mut model = looking(RunState::Running);
    begins(&mut model);
    assert!(said(&model).contains("#43 has begun"));
    wait(&mut model, 10_000);
    assert!(!hinted(&model).iter().any(|binding| binding.action == Action::OpenBegun), "it is not in the way");
    let mut over = model.clone();
    assert_eq!(press(&mut model, "O"), [Effect::Watch { run: "nrt4xk".into() }]);
    // When the run that is looked at is over, that is what comes next.
    let mut view = over.run.clone().expect("a run is looked at");
    view.line.state = RunState::Failed;
    news(&mut over, News::Run(Box::new(view)));
    assert!(text(&over).contains(" O open tiny-lm #43"), "{}", text(&over));
}

#[test]
fn whoever_sees_it_in_the_list_is_not_told_and_no_word_is_talked_over() {
    let mut model = looking(RunState::Succeeded);
    press(&mut model, "5");
    begins(&mut model);
    assert_eq!((said(&model).as_str(), model.begun.as_deref()), ("", None));
    let mut later = looking(RunState::Succeeded);
    later.say("copied");
    begins(&mut later);
    assert_eq!(said(&later), "copied");
    press(&mut later, "5");
    assert_eq!((later.view, later.begun.as_deref()), (View::Runs, None), "it stands in the list");
}

#[test]
fn one_that_was_begun_from_here_is_not_told_as_a_strangers() {
    let mut model = looking(RunState::Succeeded);
    // Its place in the list may be heard of before the answer.
    begins(&mut model);
    let mut view = run("nrt4xk", 43, vec![step("train", "", StepState::Running)]);
    view.line = newer();
    news(&mut model, News::Run(Box::new(view)));
    assert_eq!(said(&model), "");
}

#[test]
fn old_runs_that_come_into_the_list_have_not_begun() {
    let mut model = looking(RunState::Succeeded);
    let mut older = run("old111", 7, Vec::new()).line;
    older.created_ms = NOW - 90_000_000;
    let old = model.runs.clone();
    news(&mut model, News::Runs([old, vec![older]].concat()));
    assert_eq!((said(&model).as_str(), model.begun.as_deref()), ("", None));
}

#[test]
fn the_first_run_that_ever_begins_is_looked_at() {
    let mut model = screen(Vec::new());
    (model.run, model.heard, model.runs) = (None, true, Vec::new());
    assert!(text(&model).contains("d demo"), "{}", text(&model));
    let caused = news(&mut model, News::Runs(vec![newer()]));
    assert_eq!(caused, [Effect::Watch { run: "nrt4xk".into() }]);
    assert_eq!(update(&mut model, Message::Tick), []);
}
