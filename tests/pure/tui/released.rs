//! Typing into a step that ends without the operator: what is typed on is no command until he has seen it.

use dogwatch::tui::keys::Place;
use dogwatch::tui::message::{Effect, Link, LiveKind, Message, News, Refused};
use dogwatch::tui::model::{LaneKey, Model, Size};
use dogwatch::tui::update::update;
use dogwatch::wire::client::{AttachedView, StepState};

use super::{news, press, said, type_in, wait};
use crate::support::pages::{self, Shown};
use crate::support::screen_text::text;
use crate::support::shown::{NOW, run, screen, step};

fn lane() -> LaneKey {
    LaneKey { run: "tqcuq3".into(), name: "train".into() }
}

fn attach() -> Effect {
    Effect::OpenLive { lane: lane(), kind: LiveKind::Attach, take_over: false }
}

/// Somebody types into train.
fn attached() -> Model {
    let mut model = screen(vec![step("train", "", StepState::Running), step("next", "", StepState::Waiting)]);
    assert_eq!(press(&mut model, "a"), [attach()]);
    update(&mut model, Message::Live { number: 1, result: Ok(()) });
    update(&mut model, Message::Typed { bytes: b"hello".to_vec(), keys: 5 });
    model
}

fn ends(model: &mut Model) {
    let effects = update(model, Message::LiveEnded { lane: lane(), kind: LiveKind::Attach });
    assert_eq!(effects, [Effect::CloseLive { lane: lane(), kind: LiveKind::Attach, keys: 5 }]);
}

fn is(model: &mut Model, state: StepState) -> Vec<Effect> {
    news(
        model,
        News::Run(Box::new(run("tqcuq3", 42, vec![step("train", "", state), step("next", "", StepState::Waiting)]))),
    )
}

fn away(model: &mut Model) {
    news(model, News::Link(Link::Lost { why: "it closed the connection".into() }));
}

#[test]
fn what_is_typed_on_is_no_command() {
    let mut model = attached();
    ends(&mut model);
    is(&mut model, StepState::Succeeded);
    for letter in "pxX2sSrRqQ:n!15".chars() {
        assert_eq!(press(&mut model, &letter.to_string()), [], "{letter}");
        wait(&mut model, 100);
    }
    assert_eq!(press(&mut model, "enter esc"), [], "whoever types on means neither");
    update(&mut model, Message::Pasted("X".into()));
    assert_eq!((model.place(), model.panels.len()), (Place::Released, 1));
    let shown = text(&model);
    for words in ["LET GO", "let go of train", "Its state: succeeded.", "18 keys went nowhere", "Ctrl-] leaves"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(!shown.contains("attach again"), "there is nothing to attach to: {shown}");
    wait(&mut model, 10_000);
    assert!(text(&model).contains("let go of train"), "a lasting word");
    press(&mut model, "esc");
    assert_eq!(model.place(), Place::Step);
}

/// Bytes that were on their way when it ended.
#[test]
fn what_was_read_as_bytes_when_it_ended_is_counted_and_the_key_in_it_leaves() {
    let mut model = attached();
    ends(&mut model);
    wait(&mut model, 10_000);
    update(&mut model, Message::Typed { bytes: b"on".to_vec(), keys: 2 });
    assert!(text(&model).contains("2 keys went nowhere"), "{}", text(&model));
    press(&mut model, "esc");
    assert_eq!(model.place(), Place::Released, "whoever types on does not mean it");
    update(&mut model, Message::LetGo);
    assert_eq!(model.place(), Place::Step);
}

#[test]
fn the_key_that_lets_go_leaves_at_once_also_an_own_one() {
    for (own, name) in [("Ctrl-]", "ctrl-5"), ("Ctrl-X", "ctrl-x")] {
        let mut model = attached();
        model.manner.let_go = own.into();
        ends(&mut model);
        press(&mut model, &format!("p {name}"));
        assert_eq!(model.place(), Place::Step, "{own}");
    }
}

#[test]
fn the_engine_comes_back_and_whoever_waited_types_on() {
    let mut model = attached();
    // Either may be heard of first.
    ends(&mut model);
    away(&mut model);
    assert!(text(&model).contains("The engine went away; the step goes on."), "{}", text(&model));
    assert_eq!(news(&mut model, News::Link(Link::Up)), []);
    assert_eq!(is(&mut model, StepState::Unreachable), []);
    assert_eq!(is(&mut model, StepState::Running), [attach()]);
    assert_eq!(
        (model.place(), said(&model).as_str()),
        (Place::Attached, "the engine is back: you type into train again")
    );
    assert!(model.panels.is_empty());
    // One at a time: the news that follow begin no other.
    assert_eq!(is(&mut model, StepState::Running), []);
}

#[test]
fn a_terminal_that_the_new_engine_closes_is_the_old_ones() {
    let mut model = attached();
    away(&mut model);
    wait(&mut model, 4_000);
    news(&mut model, News::Link(Link::Up));
    assert_eq!(is(&mut model, StepState::Running), []);
    ends(&mut model);
    assert_eq!(is(&mut model, StepState::Running), [attach()]);
    // Whoever is made to let go later is not attached again by himself.
    let mut later = attached();
    away(&mut later);
    news(&mut later, News::Link(Link::Up));
    wait(&mut later, 5_000);
    ends(&mut later);
    assert_eq!(is(&mut later, StepState::Running), []);
    assert!(text(&later).contains("Its terminal was closed."), "{}", text(&later));
}

#[test]
fn whoever_typed_meanwhile_is_asked() {
    let mut model = attached();
    away(&mut model);
    ends(&mut model);
    type_in(&mut model, "rm -r ");
    news(&mut model, News::Link(Link::Up));
    assert_eq!(is(&mut model, StepState::Running), []);
    let shown = text(&model);
    assert!(shown.contains("6 keys went nowhere") && shown.contains("attach again"), "{shown}");
    assert_eq!(press(&mut model, "enter"), [], "it ends the line that was being typed");
    wait(&mut model, 500);
    assert_eq!(press(&mut model, "enter"), [attach()]);
    assert_eq!((model.place(), model.panels.len()), (Place::Attached, 0));
}

#[test]
fn somebody_who_took_over_is_left_alone() {
    let mut model = attached();
    ends(&mut model);
    let mut taken = step("train", "", StepState::Running);
    taken.attached = Some(AttachedView { by: "bob@lap".into(), since_ms: NOW });
    assert_eq!(news(&mut model, News::Run(Box::new(run("tqcuq3", 42, vec![taken])))), []);
    assert!(text(&model).contains("bob@lap types into it now."), "{}", text(&model));
}

#[test]
fn a_refusal_does_not_make_commands_of_what_was_typed_ahead() {
    let mut model = screen(vec![step("train", "", StepState::Running)]);
    press(&mut model, "a");
    type_in(&mut model, "pp");
    let refused = Refused { words: "bob@lap is typing into train".into(), hint: None };
    update(&mut model, Message::Live { number: 1, result: Err(refused) });
    assert_eq!(press(&mut model, "p X"), []);
    let shown = text(&model);
    assert!(shown.contains("bob@lap is typing into train") && shown.contains("4 keys went nowhere"), "{shown}");
}

#[test]
fn a_shell_that_was_left_is_left() {
    let mut model = screen(vec![step("train", "", StepState::Running)]);
    press(&mut model, "s");
    update(&mut model, Message::Live { number: 1, result: Ok(()) });
    update(&mut model, Message::LiveEnded { lane: lane(), kind: LiveKind::Shell });
    assert_eq!(press(&mut model, "p"), [], "typed with the line that ended it");
    assert!(!text(&model).contains("let go of"), "{}", text(&model));
    wait(&mut model, 500);
    assert_eq!(model.place(), Place::Step);
    assert_eq!(press(&mut model, "p").len(), 1);
}

/// The rows of a screen whose pane shows these lines.
fn rows(model: &Model, printed: &[String]) -> Vec<String> {
    let shown = Shown { pane: printed.to_vec(), ..Shown::default() };
    pages::text(model, &shown).lines().map(str::to_owned).collect()
}

/// Where the box stands, and that whatever was printed last is to be seen beside it.
#[test]
fn what_was_printed_last_is_never_covered() {
    for (columns, height) in [(80, 24), (120, 40), (200, 60), (60, 15)] {
        let mut model = attached();
        model.size = Size { columns, rows: height };
        ends(&mut model);
        is(&mut model, StepState::Succeeded);
        for count in [0, 1, 3, usize::from(height) - 10, usize::from(height), 200] {
            let printed: Vec<String> = (0..count).map(|n| format!("line {n} of what was printed")).collect();
            let rows = rows(&model, &printed);
            let at = format!("{columns}x{height}, {count} lines:\n{}", rows.join("\n"));
            let top = rows.iter().position(|row| row.contains(" let go of train ")).expect(&at);
            assert!(rows.iter().any(|row| row.contains("Its state: succeeded.")), "{at}");
            assert!(rows[0].contains("LET GO"), "{at}");
            let fits = usize::from(height) - 4;
            let first = rows.iter().position(|row| row.contains("line "));
            if count + 4 <= fits {
                // There is room below: nothing is covered.
                let all = printed.iter().all(|line| rows.iter().any(|row| row.contains(line.as_str())));
                assert!(all && first.is_none_or(|first| first < top), "{at}");
            } else {
                // None: it stands at the top, for what was printed last is at the end.
                assert_eq!(top, 2, "{at}");
                assert!(rows[usize::from(height) - 3].contains("line "), "{at}");
            }
        }
    }
}
