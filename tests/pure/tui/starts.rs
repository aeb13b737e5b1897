//! Attaching to a step that is being started: it is waited for, what is typed meanwhile is no command, and Esc cancels.

use dogwatch::tui::keys::Place;
use dogwatch::tui::message::{Effect, LiveKind, Message, News, Refused};
use dogwatch::tui::model::{LaneKey, Model};
use dogwatch::tui::update::update;
use dogwatch::wire::client::StepState;

use super::{news, press, said, type_in, wait};
use crate::support::screen_text::text;
use crate::support::shown::{run, screen, step};

fn lane() -> LaneKey {
    LaneKey { run: "tqcuq3".into(), name: "train".into() }
}

fn attach() -> Effect {
    Effect::OpenLive { lane: lane(), kind: LiveKind::Attach, take_over: false }
}

/// Somebody wants to type into train, which is being started.
fn waiting() -> Model {
    let mut model = screen(vec![step("train", "", StepState::Starting), step("next", "", StepState::Waiting)]);
    assert_eq!(press(&mut model, "a"), [], "there is no session yet: asked now, it would be refused");
    model
}

fn is(model: &mut Model, state: StepState) -> Vec<Effect> {
    let steps = vec![step("train", "", state), step("next", "", StepState::Waiting)];
    news(model, News::Run(Box::new(run("tqcuq3", 42, steps))))
}

#[test]
fn it_is_attached_to_as_soon_as_it_runs() {
    let mut model = waiting();
    let shown = text(&model);
    assert!(shown.contains("attaching to train as soon as it starts ▓▓ Esc cancels"), "{shown}");
    assert!(!shown.contains("ATTACHED") && !shown.contains("while you are attached"), "nobody types yet: {shown}");
    assert_eq!(is(&mut model, StepState::Starting), []);
    wait(&mut model, 90_000);
    assert_eq!(is(&mut model, StepState::Running), [attach()]);
    assert_eq!(is(&mut model, StepState::Running), [], "it is asked for once");
    update(&mut model, Message::Live { number: 1, result: Ok(()) });
    assert!(text(&model).contains("ATTACHED ▓▓ you are typing into train"), "{}", text(&model));
}

#[test]
fn what_is_typed_meanwhile_reaches_the_program_and_is_no_command() {
    let mut model = waiting();
    type_in(&mut model, "qX5");
    assert_eq!((model.place(), press(&mut model, "enter")), (Place::Attached, vec![]));
    assert!(text(&model).contains("(4 keys so far)"), "{}", text(&model));
    assert_eq!(is(&mut model, StepState::Running), [attach()]);
    let typed = update(&mut model, Message::Live { number: 1, result: Ok(()) });
    assert_eq!(typed, [Effect::Write { lane: lane(), kind: LiveKind::Attach, bytes: b"qX5\r".to_vec() }]);
    // From now on Esc is the program's.
    let esc = update(&mut model, Message::Typed { bytes: vec![0x1b], keys: 1 });
    assert_eq!(esc, [Effect::Write { lane: lane(), kind: LiveKind::Attach, bytes: vec![0x1b] }]);
}

#[test]
fn esc_and_the_key_that_lets_go_cancel_it() {
    for (key, typed, words) in
        [("esc", "", "not attached to train"), ("ctrl-5", "ls", "not attached to train; 2 keys went nowhere")]
    {
        let mut model = waiting();
        type_in(&mut model, typed);
        assert_eq!(press(&mut model, key), [], "nobody was asked for anything: there is nothing to let go of");
        assert_eq!((model.place(), said(&model).as_str()), (Place::Step, words));
        assert_eq!(is(&mut model, StepState::Running), [], "it stays cancelled");
    }
}

#[test]
fn one_that_does_not_begin_is_not_waited_for_and_no_key_becomes_a_command() {
    let mut model = waiting();
    assert_eq!(is(&mut model, StepState::Asking), []);
    assert_eq!(
        (model.place(), said(&model).as_str()),
        (Place::Step, "there is no program to type into: train needs you")
    );
    let mut model = waiting();
    type_in(&mut model, "pp");
    is(&mut model, StepState::Retrying);
    assert_eq!(press(&mut model, "p X"), []);
    let shown = text(&model);
    assert!(shown.contains("train is retrying") && shown.contains("4 keys went nowhere"), "{shown}");
}

#[test]
fn an_engine_that_goes_away_meanwhile_changes_nothing() {
    let mut model = waiting();
    assert_eq!(is(&mut model, StepState::Unreachable), []);
    assert_eq!(is(&mut model, StepState::Starting), []);
    assert_eq!(is(&mut model, StepState::Running), [attach()]);
    let refused = Refused { words: "bob@lap is typing into train".into(), hint: None };
    update(&mut model, Message::Live { number: 1, result: Err(refused) });
    assert_eq!((model.place(), said(&model).as_str()), (Place::Step, "bob@lap is typing into train"));
}
