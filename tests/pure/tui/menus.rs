//! Menus: what changes something listens only when it can have been seen.

use dogwatch::tui::keys::Place;
use dogwatch::tui::message::Effect;
use dogwatch::tui::update::drawn;
use dogwatch::wire::client::{Ask, AttachedView, StepState};

use super::{press, wait};
use crate::support::shown::{NOW, screen, step};

#[test]
fn two_keys_in_one_go_stop_nothing() {
    for (way, state) in [("x", StepState::Running), ("r", StepState::Failed), ("S", StepState::Failed)] {
        let mut model = screen(vec![step("train", "", state)]);
        assert_eq!(press(&mut model, &format!("{way} 2 enter down enter")), [], "{way}");
        assert_eq!(model.place(), Place::Menu, "{way}: it is still open");
        // The frame took its time: it listens a moment after it was drawn.
        wait(&mut model, 4_000);
        drawn(&mut model);
        assert_eq!(press(&mut model, "2"), [], "{way}");
        wait(&mut model, 300);
        assert_eq!(press(&mut model, "2").len(), 1, "{way}");
    }
}

#[test]
fn nobody_is_taken_over_by_accident() {
    let mut train = step("train", "", StepState::Running);
    train.attached = Some(AttachedView { by: "ann@desk".into(), since_ms: NOW });
    let mut model = screen(vec![train]);
    assert_eq!(press(&mut model, "a 2"), []);
    wait(&mut model, 300);
    assert!(matches!(press(&mut model, "2")[..], [Effect::OpenLive { take_over: true, .. }]));
}

#[test]
fn copying_is_as_quick_as_keys_are() {
    let mut model = screen(vec![step("train", "", StepState::Running)]);
    assert_eq!(press(&mut model, "y 1"), [Effect::Copy("train".into())]);
}

#[test]
fn a_run_that_is_stopped_asks_for_its_name_whatever_was_typed_ahead() {
    let mut model = screen(vec![step("train", "", StepState::Running)]);
    assert_eq!(press(&mut model, "X enter t i n y - l n enter backspace m"), []);
    let stop = Effect::tell(Ask::StopRun { run: "tqcuq3".into() });
    assert_eq!(press(&mut model, "enter"), [stop]);
}
