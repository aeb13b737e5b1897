//! A key that is hinted acts: in prompts, menus, text fields and the inbox it changes the model or causes something.

use dogwatch::tui::keys::{Action, Place};
use dogwatch::tui::message::Message;
use dogwatch::tui::model::Model;
use dogwatch::tui::update::update;
use dogwatch::tui::view::hinted;
use dogwatch::wire::client::{RunState, StepState, StepView};

use super::{asked, press, said, wait};
use crate::support::screen_text::text;
use crate::support::shown::{failed, gate, screen, step};

/// Screens with something in each of the places, with what was done to come there.
fn screens() -> Vec<(String, Model)> {
    let mut all = Vec::new();
    for questions in [vec![failed(7, "train")], vec![gate(9)], vec![failed(7, "train"), failed(8, "eval"), gate(9)]] {
        for readonly in [false, true] {
            for way in [
                "n",
                "n+down",
                "n+down+down",
                "n+3",
                "n+7",
                "n+c",
                "n+tab",
                "n+tab+f",
                "n+tab+3+n",
                "!",
                "!+A",
                "!+A+2",
                "x",
                "y",
                "n+3+n",
            ] {
                let mut model = screen(vec![step("train", "", StepState::Running)]);
                model.manner.readonly = readonly;
                // A run of this name was good before.
                let mut good = model.runs[0].clone();
                (good.id, good.number, good.state) = ("good".into(), 41, RunState::Succeeded);
                model.runs.push(good);
                asked(&mut model, &questions);
                for keys in way.split('+') {
                    press(&mut model, keys);
                    wait(&mut model, 300);
                }
                model.flash = None;
                all.push((format!("{way} of {} readonly={readonly}", questions.len()), model));
            }
        }
    }
    all
}

#[test]
fn each_hinted_key_of_a_prompt_and_its_like_acts() {
    let mut places = std::collections::BTreeSet::new();
    for (way, model) in screens() {
        let place = model.place();
        if !matches!(place, Place::Prompt | Place::Inbox | Place::Menu | Place::Text) {
            continue;
        }
        for binding in hinted(&model).into_iter().filter(|binding| binding.place == place) {
            places.insert((place, binding.action));
            let keys = if binding.action == Action::Choose { &binding.keys[..1] } else { &binding.keys[..] };
            for key in keys {
                let mut after = model.clone();
                let effects = update(&mut after, Message::Key((*key).into()));
                let complained = after.flash.as_ref().is_some_and(|flash| flash.bad);
                let changed = after != model || !effects.is_empty();
                assert!(changed && !complained, "{way}: {} does nothing: {:?}", binding.help, after.flash);
            }
        }
    }
    // The table's hints of these places were all seen somewhere.
    let model = screen(Vec::new());
    for binding in model.manner.keys.all().iter().filter(|binding| binding.hint.is_some()) {
        if matches!(binding.place, Place::Prompt | Place::Inbox | Place::Menu | Place::Text) {
            let seen = places.contains(&(binding.place, binding.action));
            assert!(seen, "never hinted: {:?} {}", binding.place, binding.action.name());
        }
    }
}

#[test]
fn on_a_read_only_screen_no_answer_is_hinted() {
    for (way, model) in screens().into_iter().filter(|(_, model)| model.manner.readonly) {
        let answers =
            [Action::Choose, Action::Accept, Action::Comment, Action::SameForAll, Action::Shell, Action::Undo];
        let place = model.place();
        let wrong = hinted(&model).into_iter().find(|binding| answers.contains(&binding.action));
        // A menu that only copies is nobody's answer.
        assert!(wrong.is_none() || place == Place::Menu, "{way}: {wrong:?}");
    }
}

/// What waits for something outside runs no program: it says what it waits for, and offers no key that types.
#[test]
fn what_runs_nothing_offers_no_program_to_type_into() {
    let waits = StepView {
        outside: true,
        detail: "waits for http://db:5432/: connection refused".into(),
        command: "http://db:5432/".into(),
        ..step("db", "", StepState::Running)
    };
    let mut model = screen(vec![waits, step("train", "", StepState::Waiting)]);
    let shown = text(&model);
    assert!(shown.contains("nothing runs: waits for http://db:5432/"), "{shown}");
    assert!(!hinted(&model).iter().any(|binding| binding.action == Action::Attach), "{shown}");
    assert_eq!(press(&mut model, "a"), []);
    assert!(said(&model).contains("w has it looked at now"), "{}", said(&model));
    press(&mut model, "d");
    assert!(text(&model).contains("w has it looked at now"), "{}", text(&model));
}
