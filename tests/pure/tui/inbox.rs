//! The inbox: groups of questions that ask the same, marks, one answer for several after a summary.

use dogwatch::tui::keys::Place;
use dogwatch::tui::message::{Effect, Purpose};
use dogwatch::tui::model::{InboxRow, Model, Size, View};
use dogwatch::tui::panel::Panel;
use dogwatch::wire::client::{Ask, EscalationView, StepState};

use super::{asked, press, said, wait};
use crate::support::screen_text::text;
use crate::support::shown::{NOW, failed, gate, screen, step};

/// Four alike, the last without a checkpoint, and an approval; the inbox is looked at.
fn full() -> Model {
    let mut model = screen(vec![step("train", "", StepState::Asking)]);
    asked(&mut model, &questions());
    press(&mut model, "!");
    assert_eq!(model.view, View::Inbox);
    model
}

fn questions() -> Vec<EscalationView> {
    let mut odd = failed(4, "train[lr=3e-4 seed=4]");
    odd.choices.remove(0);
    odd.facts[0].text = "none was seen; again means from the start, 4m of work".into();
    let mut all: Vec<EscalationView> = (1..4).map(|n| failed(n, &format!("train[lr=3e-4 seed={n}]"))).collect();
    all.extend([odd, gate(9)]);
    all
}

fn decided(effects: &[Effect]) -> Vec<(u64, &str)> {
    let mut all = Vec::new();
    for effect in effects {
        if let Effect::Ask { why: Purpose::Decide { id }, ask } = effect
            && let Ask::Decide { choice, hold_ms: 5_000, .. } = &**ask
        {
            all.push((*id, choice.as_str()));
        }
    }
    all
}

#[test]
fn those_that_ask_the_same_stand_together() {
    let model = full();
    let print = questions()[0].fingerprint.clone();
    let rows: Vec<InboxRow> = model.inbox_rows();
    let question = InboxRow::Question;
    assert_eq!(rows, [question(9), InboxRow::Group(print), question(1), question(2), question(3), question(4)]);
}

#[test]
fn a_group_is_marked_without_the_odd_one_out() {
    let mut model = full();
    press(&mut model, "down down A");
    assert_eq!(model.marked_questions, [1, 2, 3].into());
    assert!(text(&model).contains("differs: no checkpoint"));
    press(&mut model, "A");
    assert!(model.marked_questions.is_empty(), "again takes the marks away");
    // By itself it can be marked, and then nothing is offered that it does not have.
    press(&mut model, "A G space");
    assert_eq!(model.marked_questions, [1, 2, 3, 4].into());
    assert!(text(&model).contains("4 marked:  1 wait   2 retry   3 done"), "{}", text(&model));
}

#[test]
fn marked_ones_get_one_answer_after_a_summary() {
    let mut model = full();
    press(&mut model, "down space");
    assert_eq!(press(&mut model, "2"), []);
    assert_eq!(model.place(), Place::Menu);
    let shown = text(&model);
    assert!(shown.contains("resume for 3 questions?") && shown.contains("redo 40 steps"), "{shown}");
    wait(&mut model, 300);
    let mut no = model.clone();
    assert_eq!(press(&mut no, "enter"), []);
    assert_eq!(no.marked_questions, [1, 2, 3].into(), "no keeps the marks");
    let effects = press(&mut model, "2");
    assert_eq!(decided(&effects), [(1, "resume"), (2, "resume"), (3, "resume")]);
    assert_eq!((model.view, model.panels.len()), (View::Inbox, 0));
    assert!(model.marked_questions.is_empty());
    assert_eq!(said(&model), "resume for 3 questions, starts in 5s; u undoes");
    assert_eq!(model.questions().len(), 2);
    assert_eq!(press(&mut model, "u").len(), 3);
}

#[test]
fn what_ends_a_run_is_not_offered_for_several() {
    let mut model = full();
    press(&mut model, "down space");
    let shown = text(&model);
    assert!(shown.contains("1 wait   2 resume   3 retry   4 done   5 skip   6 fail"), "{shown}");
    assert!(shown.contains("not for several at once: stop-run"), "{shown}");
    assert_eq!(press(&mut model, "7 8 9"), []);
    assert_eq!(model.panels, []);
}

#[test]
fn without_marks_digits_are_views() {
    let mut model = full();
    press(&mut model, "2");
    assert_eq!(model.view, View::Panes);
}

#[test]
fn waiting_for_all_that_are_marked_extends_deadlines() {
    let mut model = full();
    press(&mut model, "space");
    assert_eq!(press(&mut model, "1"), [Effect::tell(Ask::Later { id: 9 })]);
    assert!(model.marked_questions.is_empty());
}

#[test]
fn enter_opens_one_and_the_answer_comes_back_to_the_inbox() {
    let mut model = full();
    press(&mut model, "down down down enter");
    assert!(matches!(&model.panels[..], [Panel::Prompt(prompt)] if prompt.id == 2));
    wait(&mut model, 300);
    assert_eq!(decided(&press(&mut model, "3")), [(2, "retry")]);
    assert_eq!((model.view, model.panels.len()), (View::Inbox, 0));
}

#[test]
fn the_cursor_stays_on_its_question_when_others_go() {
    let mut model = full();
    press(&mut model, "G");
    let rest: Vec<EscalationView> = questions().into_iter().filter(|one| one.id != 9 && one.id != 1).collect();
    asked(&mut model, &rest);
    assert_eq!(model.inbox_rows()[model.cursors.inbox], InboxRow::Question(4));
}

#[test]
fn marks_of_answered_questions_go() {
    let mut model = full();
    press(&mut model, "down space");
    asked(&mut model, &questions()[1..]);
    assert_eq!(model.marked_questions, [2, 3].into());
}

#[test]
fn a_read_only_screen_answers_nothing() {
    let mut model = full();
    model.manner.readonly = true;
    press(&mut model, "down space");
    assert_eq!(press(&mut model, "3"), []);
    assert!(said(&model).contains("read-only"));
    assert_eq!(model.panels, []);
}

#[test]
fn an_empty_inbox_says_so() {
    let mut model = full();
    asked(&mut model, &[]);
    assert!(text(&model).contains("nothing needs you"));
    for name in ["enter", "space", "A", "1", "up", "G"] {
        press(&mut model, name);
    }
}

#[test]
fn the_inbox_at_every_size() {
    let mut model = full();
    model.snoozed.insert(2, NOW + 600_000);
    press(&mut model, "down A");
    for (columns, rows) in [(80, 24), (120, 40), (200, 60), (40, 12)] {
        model.size = Size { columns, rows };
        insta::assert_snapshot!(format!("inbox-{columns}x{rows}"), text(&model));
    }
}
