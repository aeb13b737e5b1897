//! What helps to answer a question: a click that marks a choice, what has changed since a good run, as whom it is recorded.

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use dogwatch::tui::message::{Effect, Message, News, Purpose};
use dogwatch::tui::model::Model;
use dogwatch::tui::panel::Panel;
use dogwatch::tui::update::update;
use dogwatch::wire::client::{RunLine, RunState, StepState};

use super::{asked, news, press, said, wait};
use crate::support::screen_text::text;
use crate::support::shown::{failed, screen, step};

/// A prompt that is open and listens.
fn open() -> Model {
    let mut train = step("train", "", StepState::Asking);
    train.escalation = Some(7);
    let mut model = screen(vec![step("prepare", "", StepState::Succeeded), train]);
    asked(&mut model, &[failed(7, "train")]);
    press(&mut model, "n");
    wait(&mut model, 300);
    model
}

#[test]
fn a_click_marks_a_choice_and_never_takes_it() {
    let mut model = open();
    let count = failed(7, "train").choices.len() + 1;
    let mut marked = 0;
    for row in 0..24 {
        let line = text(&model).lines().nth(usize::from(row)).unwrap_or_default().to_owned();
        for kind in [MouseEventKind::Down(MouseButton::Left), MouseEventKind::Up(MouseButton::Left)] {
            let click = MouseEvent { kind, column: 12, row, modifiers: KeyModifiers::NONE };
            assert_eq!(update(&mut model, Message::Mouse(click)), [], "a click answers nothing");
        }
        let Some(Panel::Prompt(prompt)) = model.panels.last() else {
            panic!("a click closed the prompt");
        };
        let number = marked + 1;
        if line.trim_start_matches([' ', '┃', '❯']).starts_with(&format!("{number} ")) {
            marked = number;
        }
        assert_eq!(prompt.cursor + 1, marked.max(1), "{line}");
    }
    assert_eq!(marked, count);
    assert_eq!(press(&mut model, "enter").len(), 0, "the last one asks for the name");
    assert!(matches!(model.panels.last(), Some(Panel::Confirm(_))));
}

#[test]
fn what_has_changed_since_a_good_run_is_shown_over_the_prompt() {
    let mut model = open();
    press(&mut model, "d");
    assert_eq!(said(&model), "no earlier run of this name was good: there is nothing to compare");
    let here = model.runs[0].clone();
    let older = |number: u64, state| RunLine { id: format!("old{number}"), number, state, ..here.clone() };
    let all =
        [older(39, RunState::Succeeded), older(40, RunState::Succeeded), older(41, RunState::Failed), here.clone()];
    news(&mut model, News::Runs(all.to_vec()));
    assert!(text(&model).contains("d changed"), "{}", text(&model));
    let asked: Vec<Effect> = press(&mut model, "d");
    let sources: Vec<String> = asked
        .iter()
        .filter_map(|effect| {
            if let Effect::Ask { why: Purpose::Source { run }, .. } = effect { Some(run.clone()) } else { None }
        })
        .collect();
    assert_eq!(sources, ["old40", here.id.as_str()]);
    press(&mut model, "esc");
    assert!(matches!(model.panels[..], [Panel::Prompt(_)]), "Esc comes back to the prompt");
}

#[test]
fn an_answer_is_recorded_as_somebodys() {
    let mut model = open();
    assert!(
        text(&model).lines().last().is_some_and(|line| line.contains("recorded as ops@gpu-box")),
        "{}",
        text(&model)
    );
    model.manner.readonly = true;
    assert!(!text(&model).contains("recorded as"));
}
