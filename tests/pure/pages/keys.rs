//! Every key that a hint names acts, everywhere; the help is the table; own keys are the operator's.

use dogwatch::tui::keys::{Action, Keys, Place};
use dogwatch::tui::message::{LogNews, Message, News};
use dogwatch::tui::model::{LaneKey, Model};
use dogwatch::tui::panel::{Help, help};
use dogwatch::tui::update::update;
use dogwatch::tui::view::hinted;
use dogwatch::wire::client::{CheckpointView, RunState, StepState};

use crate::support::pages::{event, manner, press, run_line, run_view, screen, screen_of, tell};
use crate::support::shown::{NOW, step};

/// A screen in each place whose keys stand in the table and are hinted.
fn places() -> Vec<(&'static str, Model)> {
    let mut train = step("train", "", StepState::Failed);
    train.attempt = 2;
    train.checkpoint = Some("/data/ckpt".into());
    let mut model = screen_of(run_view(
        run_line("tiny-lm", 42, RunState::Running),
        vec![step("prepare", "", StepState::Running), train],
    ));
    let events = vec![event(1, 9, "attempt.claimed", "train", "began"), event(2, 8, "run.paused", "train", "paused")];
    tell(&mut model, News::Events { run: "run42".into(), events, fresh: true });
    let path = "/data/ckpt".to_owned();
    let seen = CheckpointView {
        step_name: "train".into(),
        attempt: 1,
        path,
        step: Some(3),
        seen_ms: NOW,
        bytes: Some(1),
        newest: true,
        says: String::new(),
        pinned: false,
        metrics: Vec::new(),
    };
    tell(&mut model, News::Checkpoints(vec![seen]));
    let runs = vec![run_line("tiny-lm", 42, RunState::Running), run_line("tiny-lm", 41, RunState::Failed)];
    tell(&mut model, News::Runs(runs));
    let at = |keys: &str| {
        let mut model = model.clone();
        press(&mut model, keys);
        model
    };
    let mut log = at("j l");
    let lane = LaneKey { run: "run42".into(), name: "train".into() };
    update(&mut log, Message::Log(LogNews::Open { lane, attempt: 2 }));
    update(&mut log, Message::Log(LogNews::Lines { count: 50, all: true }));
    press(&mut log, "g / x <enter>");
    vec![
        ("a running step", at("k")),
        ("a failed step", at("j")),
        ("panes", at("2")),
        ("checkpoints", at("4")),
        ("metrics", super::charts::charted("3")),
        ("metrics, read", super::charts::charted("3 + <left>")),
        ("runs", at("5")),
        ("journal", at("J")),
        ("journal, read back", at("J k")),
        ("log", log),
        ("describe", at("j d")),
        ("help", at("?")),
        ("first screen", screen(Vec::new())),
    ]
}

#[test]
fn every_hinted_key_acts() {
    let mut tried = 0;
    for (place, model) in places() {
        let bindings: Vec<_> = hinted(&model).into_iter().cloned().collect();
        assert!(bindings.len() >= 2, "{place} hints at nothing");
        for binding in bindings {
            for key in &binding.keys {
                let meant = model.manner.keys.action(model.place(), (*key).into());
                assert_eq!(meant, Some(binding.action), "{place}: {} means something else", binding.key_words());
                let mut after = model.clone();
                let effects = update(&mut after, Message::Key((*key).into()));
                let complained = after.flash.as_ref().filter(|flash| flash.bad).map(|flash| flash.words.clone());
                assert_eq!(complained, None, "{place}: {} is hinted and refused", binding.key_words());
                after.flash.clone_from(&model.flash);
                let acted = !effects.is_empty() || after != model;
                assert!(acted, "{place}: {} ({}) does nothing", binding.key_words(), binding.action.name());
                tried += 1;
            }
        }
    }
    assert!(tried > 40, "only {tried} keys were tried");
}

#[test]
fn every_action_of_the_table_is_built() {
    // An action that is in the table and does nothing anywhere would be a promise that nobody keeps.
    let keys = Keys::built_in();
    for action in Action::all() {
        let Some(binding) = keys.all().iter().find(|binding| binding.action == action) else {
            continue;
        };
        assert!(!binding.help.is_empty(), "{}", action.name());
    }
}

#[test]
fn the_help_is_the_table() {
    let model = screen(Vec::new());
    for place in [Place::Any, Place::Step, Place::Runs, Place::Log, Place::First] {
        let rows = help::rows(&model, &Help { place, filter: String::new(), top: 0 });
        let table = model.manner.keys.all();
        assert_eq!(rows.len(), table.len(), "{place:?}: every row once");
        for binding in table {
            let row = rows.iter().filter(|row| {
                row.keys == binding.all_keys()
                    && row.help == binding.help
                    && row.place == help::place_words(binding.place)
            });
            assert_eq!(row.count(), 1, "{place:?}: {}", binding.help);
        }
        assert_eq!(rows[0].place, help::place_words(place), "its own keys come first");
    }
}

#[test]
fn the_names_in_the_table_are_those_that_it_is_read_with() {
    for action in Action::all() {
        let read: Result<Action, _> = serde_json::from_value(serde_json::Value::String(action.name().into()));
        assert_eq!(read.ok(), Some(action), "{}", action.name());
    }
}

#[test]
fn ones_own_keys_stand_in_hints_and_help() {
    let mut model = places().remove(1).1;
    model.manner.keys = manner().keys.with(&[("log".to_owned(), vec!["v".to_owned()])].into()).expect("v is free");
    assert!(hinted(&model).iter().any(|binding| binding.key_words() == "v" && binding.own));
    press(&mut model, "v");
    assert_eq!(model.place(), Place::Log);
}
