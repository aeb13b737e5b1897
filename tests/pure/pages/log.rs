//! The whole log of an attempt: opened, scrolled, searched, closed.

use dogwatch::tui::message::{Effect, LogNews, Message, Search};
use dogwatch::tui::model::{LaneKey, Model};
use dogwatch::tui::panel::{Log, Panel};
use dogwatch::tui::update::update;
use dogwatch::wire::client::{RunState, StepState};

use crate::support::pages::{Shown, press, run_line, run_view, screen_of, text};
use crate::support::shown::step;

const LINES: u64 = 1000;

fn lane() -> LaneKey {
    LaneKey { run: "run42".into(), name: "train".into() }
}

fn shown() -> Shown {
    Shown { pane: Vec::new(), log: (0..LINES).map(|n| format!("line {n} of the log")).collect() }
}

fn open() -> Model {
    let mut train = step("train", "", StepState::Running);
    train.attempt = 2;
    let mut model = screen_of(run_view(run_line("tiny-lm", 42, RunState::Running), vec![train]));
    assert_eq!(press(&mut model, "l"), [Effect::OpenLog { lane: lane(), attempt: Some(2) }]);
    update(&mut model, Message::Log(LogNews::Open { lane: lane(), attempt: 2 }));
    update(&mut model, Message::Log(LogNews::Lines { count: LINES, all: true }));
    model
}

fn log(model: &Model) -> &Log {
    let found = model.panels.iter().find_map(|panel| if let Panel::Log(log) = panel { Some(log) } else { None });
    found.expect("a log is open")
}

#[test]
fn it_opens_at_its_end_and_follows() {
    let mut model = open();
    assert!(text(&model, &shown()).contains("line 999 of the log"));
    update(&mut model, Message::Log(LogNews::Lines { count: LINES + 1, all: true }));
    assert_eq!(log(&model).line, LINES);
    press(&mut model, "k");
    update(&mut model, Message::Log(LogNews::Lines { count: LINES + 9, all: true }));
    assert_eq!(log(&model).line, LINES - 1, "whoever reads goes on reading");
    press(&mut model, "G");
    assert_eq!(log(&model).line, LINES + 8);
}

#[test]
fn it_is_scrolled_by_lines_pages_and_to_both_ends() {
    let mut model = open();
    press(&mut model, "g");
    assert!(text(&model, &shown()).contains("line 0 of the log"));
    press(&mut model, "j j <pagedown>");
    assert_eq!(log(&model).line, 21);
    let picture = text(&model, &shown());
    assert!(picture.contains("line 21 of the log") && picture.contains("line 22 of 1000"), "{picture}");
    press(&mut model, "<right>");
    assert!(!text(&model, &shown()).contains("line 21"), "its first columns are left out");
}

#[test]
fn a_search_goes_on_and_begins_anew_once() {
    let mut model = open();
    let caused = press(&mut model, "/ 50. <enter>");
    assert_eq!(caused, [Effect::Search { pattern: "50.".into(), from: 0, back: false }]);
    update(&mut model, Message::Found(Search::Going(400)));
    assert!(text(&model, &shown()).contains("400 lines read"));
    update(&mut model, Message::Found(Search::At(500)));
    assert!(text(&model, &shown()).contains("line 500 of the log"));
    assert_eq!(press(&mut model, "n"), [Effect::Search { pattern: "50.".into(), from: 501, back: false }]);
    let anew = update(&mut model, Message::Found(Search::Nowhere));
    assert_eq!(anew, [Effect::Search { pattern: "50.".into(), from: 0, back: false }], "from the beginning, once");
    assert_eq!(update(&mut model, Message::Found(Search::Nowhere)), []);
    assert!(text(&model, &shown()).contains("is nowhere in this log"));
    assert_eq!(press(&mut model, "N"), [Effect::Search { pattern: "50.".into(), from: 499, back: true }]);
}

#[test]
fn a_bad_pattern_says_why() {
    let mut model = open();
    press(&mut model, "/ ( <enter>");
    update(&mut model, Message::Found(Search::Wrong("unclosed group".into())));
    assert!(text(&model, &shown()).contains("unclosed group"));
}

#[test]
fn it_is_closed_wherever_it_is_left() {
    for keys in ["<esc>", "q", "1", "5"] {
        let mut model = open();
        let caused = press(&mut model, keys);
        assert!(caused.contains(&Effect::CloseLog), "{keys}: {caused:?}");
        assert!(model.panels.is_empty(), "{keys}");
    }
}

#[test]
fn the_attempt_before_and_the_line_can_be_had() {
    let mut model = open();
    press(&mut model, "g j");
    assert_eq!(press(&mut model, "y"), [Effect::CopyLine { line: 1 }]);
    assert_eq!(press(&mut model, "["), [Effect::OpenLog { lane: lane(), attempt: Some(1) }]);
    assert_eq!(press(&mut model, "["), [], "there is none before the first");
    assert_eq!(press(&mut model, "]"), [Effect::OpenLog { lane: lane(), attempt: Some(2) }]);
}
