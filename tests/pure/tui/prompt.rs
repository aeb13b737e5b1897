//! The prompt of a question: opens when it is asked to, listens when it can have been seen, acts on one key, can be taken
//! back, and knows when somebody else was faster.

use dogwatch::tui::draw::{Room, layout};
use dogwatch::tui::keys::Place;
use dogwatch::tui::message::{Effect, LiveKind, Message, News, Purpose};
use dogwatch::tui::model::{LaneKey, Model, Size, Undo, View};
use dogwatch::tui::panel::Panel;
use dogwatch::tui::update::{drawn, update};
use dogwatch::wire::client::{AnswerView, Ask, EscalationView, HeldView, Reply, StepState};

use super::{answered, asked, key, news, press, refused, said, type_in, wait};
use crate::support::screen_text::text;
use crate::support::shown::{NOW, failed, gate, question, run, screen, step};

/// A run whose train needs somebody, with its question in the inbox.
fn one() -> Model {
    let mut train = step("train", "", StepState::Asking);
    train.escalation = Some(7);
    let mut model = screen(vec![step("prepare", "", StepState::Succeeded), train]);
    asked(&mut model, &[failed(7, "train")]);
    model
}

/// The same, its prompt open and listening.
fn open() -> Model {
    let mut model = one();
    press(&mut model, "n");
    wait(&mut model, 300);
    model
}

fn decide(id: u64, choice: &str, note: Option<&str>) -> Effect {
    let ask = Ask::Decide { id, choice: choice.into(), note: note.map(str::to_owned), hold_ms: 5_000, lasting: false };
    Effect::Ask { why: Purpose::Decide { id }, ask: Box::new(ask) }
}

fn prompt_of(model: &Model) -> Option<u64> {
    model.panels.iter().find_map(|panel| if let Panel::Prompt(prompt) = panel { Some(prompt.id) } else { None })
}

#[test]
fn a_question_is_announced_and_never_opens_by_itself() {
    let mut model = one();
    let more = [failed(7, "train"), failed(8, "prepare")];
    assert_eq!(asked(&mut model, &more), [Effect::Bell]);
    assert_eq!(model.panels, []);
    assert!(text(&model).contains("▲ 2 need you (n)"));
}

#[test]
fn one_key_answers_and_the_view_from_before_returns() {
    let mut model = open();
    model.view = View::Panes;
    let effects = press(&mut model, "3");
    assert_eq!(effects, [decide(7, "retry", None)]);
    assert_eq!(model.panels, []);
    assert_eq!(model.view, View::Panes);
    assert_eq!(model.undo, Some(Undo { ids: vec![7], until_ms: NOW + 300 + 5_000 }));
    assert_eq!(said(&model), "retry: attempt 2 from the start, starts in 5s; u undoes");
    let top = text(&model).lines().next().unwrap_or_default().to_owned();
    assert!(!top.contains("need"), "nothing waits although the engine has not said so yet: {top}");
    answered(&mut model, Purpose::Decide { id: 7 }, Reply::Done { words: "train: retry".into() });
    assert_eq!(said(&model), "retry: attempt 2 from the start, starts in 5s; u undoes");
}

#[test]
fn the_marked_choice_is_to_wait_and_waiting_changes_nothing() {
    let mut model = open();
    assert_eq!(press(&mut model, "enter"), []);
    assert_eq!((prompt_of(&model), &model.undo), (None, &None));
    assert_eq!(said(&model), "nothing is changed; n asks again");
    press(&mut model, "n");
    wait(&mut model, 300);
    assert_eq!(press(&mut model, "1"), []);
    assert_eq!(prompt_of(&model), None);
}

#[test]
fn waiting_extends_a_deadline_that_exists() {
    let mut model = one();
    asked(&mut model, &[gate(9)]);
    press(&mut model, "n");
    wait(&mut model, 300);
    assert_eq!(press(&mut model, "1"), [Effect::tell(Ask::Later { id: 9 })]);
}

#[test]
fn a_gate_is_sent_back_to_a_step_that_is_picked() {
    let mut model = one();
    asked(&mut model, &[gate(9)]);
    press(&mut model, "n");
    wait(&mut model, 300);
    assert!(text(&model).contains("4 send back…"), "{}", text(&model));
    press(&mut model, "c");
    type_in(&mut model, "too few epochs");
    assert_eq!(press(&mut model, "enter 4"), []);
    let shown = text(&model);
    let told = ["send back to", "note: too few epochs", "2 evaluate", "3 train", "then asks anew; 1h52m of work is"];
    for words in told {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    // The harmless one is marked, and leads back to the question.
    wait(&mut model, 300);
    press(&mut model, "enter");
    assert_eq!((model.place(), prompt_of(&model)), (Place::Prompt, Some(9)));
    press(&mut model, "4");
    wait(&mut model, 300);
    assert_eq!(press(&mut model, "3"), [decide(9, "send-back:train", Some("too few epochs"))]);
    assert_eq!((prompt_of(&model), model.undo.is_some()), (None, true));
}

#[test]
fn enter_takes_the_marked_choice_once_it_was_moved() {
    let mut model = open();
    assert_eq!(press(&mut model, "down down up enter"), [decide(7, "resume", None)]);
}

#[test]
fn what_was_typed_ahead_decides_nothing() {
    let mut model = one();
    assert_eq!(press(&mut model, "2 n 2 enter 3"), []);
    assert_eq!(prompt_of(&model), Some(7));
    wait(&mut model, 299);
    assert_eq!(press(&mut model, "3"), []);
    wait(&mut model, 1);
    assert_eq!(press(&mut model, "3"), [decide(7, "retry", None)]);
}

#[test]
fn on_a_slow_line_a_prompt_listens_only_when_it_was_drawn() {
    let mut model = one();
    press(&mut model, "n");
    // Writing the frame took four seconds; a key that was pressed meanwhile is read after it.
    wait(&mut model, 4_000);
    drawn(&mut model);
    assert_eq!(press(&mut model, "3"), []);
    wait(&mut model, 300);
    drawn(&mut model);
    assert_eq!(press(&mut model, "3"), [decide(7, "retry", None)]);
}

#[test]
fn the_next_question_ignores_what_was_meant_for_the_one_before() {
    let mut model = open();
    asked(&mut model, &[failed(7, "train"), failed(8, "prepare")]);
    assert_eq!(press(&mut model, "tab 3"), []);
    assert_eq!(prompt_of(&model), Some(8));
    wait(&mut model, 300);
    assert_eq!(press(&mut model, "3"), [decide(8, "retry", None)]);
}

#[test]
fn esc_and_q_decide_later() {
    for way in ["esc", "q"] {
        let mut model = open();
        assert_eq!(press(&mut model, way), []);
        assert_eq!((prompt_of(&model), model.questions().len()), (None, 1));
    }
}

#[test]
fn letters_never_decide() {
    let mut model = open();
    for letter in "abdehijkmoprtuvwxyGSXR".chars() {
        let effects = press(&mut model, &letter.to_string());
        assert_eq!(effects, [], "{letter}");
        assert_eq!(prompt_of(&model), Some(7), "{letter}");
    }
}

#[test]
fn a_digit_without_a_choice_does_nothing() {
    let mut model = open();
    assert_eq!(press(&mut model, "8 9"), []);
    assert_eq!(prompt_of(&model), Some(7));
}

#[test]
fn some_choices_say_first_what_they_do() {
    let mut model = open();
    assert_eq!(press(&mut model, "5"), []);
    assert_eq!(model.place(), Place::Menu);
    assert!(text(&model).contains("go on without it; without its result: server, evaluate"));
    // Two digits in one go say nothing twice.
    assert_eq!(press(&mut model, "2"), []);
    wait(&mut model, 300);
    let mut no = model.clone();
    assert_eq!(press(&mut no, "enter"), []);
    assert_eq!((no.place(), prompt_of(&no)), (Place::Prompt, Some(7)), "no comes back to the prompt");
    assert_eq!(press(&mut model, "2"), [decide(7, "skip", None)]);
    assert_eq!(model.panels, []);
}

#[test]
fn what_cannot_be_undone_asks_for_the_name() {
    let mut model = open();
    assert_eq!(press(&mut model, "7"), []);
    assert_eq!(model.place(), Place::Text);
    type_in(&mut model, "tiny-ln");
    assert_eq!(press(&mut model, "enter"), []);
    assert_eq!(press(&mut model, "backspace"), []);
    type_in(&mut model, "m");
    assert_eq!(press(&mut model, "enter"), [decide(7, "stop-run", None)]);
    assert_eq!(model.panels, []);
    assert!(model.undo.is_some());
}

#[test]
fn esc_leaves_the_name_and_comes_back_to_the_prompt() {
    let mut model = open();
    press(&mut model, "7");
    type_in(&mut model, "tiny-lm");
    assert_eq!(press(&mut model, "esc"), []);
    assert_eq!((model.place(), prompt_of(&model)), (Place::Prompt, Some(7)));
}

#[test]
fn an_answer_is_taken_back_while_it_can_be() {
    let mut model = open();
    press(&mut model, "3");
    asked(&mut model, &[]);
    wait(&mut model, 4_000);
    let undo = Effect::Ask { why: Purpose::Undo { id: 7 }, ask: Box::new(Ask::Undo { id: 7 }) };
    assert_eq!(press(&mut model, "u"), [undo]);
    assert_eq!(model.undo, None);
    answered(&mut model, Purpose::Undo { id: 7 }, Reply::Done { words: "train: e7 is open again".into() });
    assert_eq!(said(&model), "train: e7 is open again");
    asked(&mut model, &[failed(7, "train")]);
    assert_eq!(model.questions().len(), 1);
}

#[test]
fn afterwards_there_is_nothing_to_take_back() {
    let mut model = open();
    press(&mut model, "3");
    wait(&mut model, 5_000);
    assert_eq!(model.undo, None);
    assert_eq!(press(&mut model, "u"), []);
    assert_eq!(said(&model), "there is nothing to take back");
}

#[test]
fn undo_is_the_first_hint_while_it_is_possible() {
    let mut model = open();
    press(&mut model, "3");
    model.flash = None;
    let hints = text(&model).lines().last().unwrap_or_default().to_owned();
    assert!(hints.starts_with(" u undo"), "{hints}");
    wait(&mut model, 5_000);
    assert!(!text(&model).contains("u undo"));
}

#[test]
fn an_answer_that_the_engine_refuses_is_told_and_cannot_be_taken_back() {
    let mut model = open();
    press(&mut model, "3");
    refused(&mut model, Purpose::Decide { id: 7 }, "e7 was answered skip by ada@laptop");
    assert_eq!(said(&model), "e7 was answered skip by ada@laptop");
    assert_eq!(model.undo, None);
}

#[test]
fn somebody_else_was_faster() {
    let by = || "ada@laptop".to_owned();
    let held = EscalationView {
        held: Some(HeldView { choice: "retry".into(), by: by(), until_ms: NOW + 5_000 }),
        ..failed(7, "train")
    };
    let answer = AnswerView { choice: "retry".into(), by: by(), at_ms: NOW, note: None };
    let closed = EscalationView { answer: Some(answer), ..failed(7, "train") };
    for over in [held, closed] {
        let mut model = open();
        asked(&mut model, std::slice::from_ref(&over));
        assert_eq!((prompt_of(&model), said(&model).as_str()), (None, "train: answered retry by ada@laptop"));
        // The run's own news come first.
        let mut model = open();
        let mut view = model.run.clone().expect("a run is looked at");
        view.escalations = vec![over];
        news(&mut model, News::Run(Box::new(view)));
        assert_eq!((prompt_of(&model), said(&model).as_str()), (None, "train: answered retry by ada@laptop"));
    }
}

#[test]
fn a_digit_for_a_prompt_that_somebody_else_closed_is_no_view() {
    let mut model = open();
    asked(&mut model, &[]);
    for name in ["2", "5", "p", "q", "enter"] {
        assert_eq!(press(&mut model, name), [], "{name}");
        wait(&mut model, 100);
    }
    assert_eq!((model.view, said(&model).as_str()), (View::Overview, "e7 was answered meanwhile"));
    wait(&mut model, 200);
    press(&mut model, "2");
    assert_eq!(model.view, View::Panes);
}

#[test]
fn who_was_faster_is_asked_where_it_is_not_known() {
    let mut model = open();
    let ask = Effect::Ask { why: Purpose::Over { id: 7 }, ask: Box::new(Ask::Escalation { id: 7 }) };
    assert_eq!(asked(&mut model, &[]), [ask]);
    assert_eq!((prompt_of(&model), said(&model).as_str()), (None, "e7 was answered meanwhile"));
    let answer = AnswerView { choice: "skip".into(), by: "ada@laptop".into(), at_ms: NOW, note: None };
    let over = EscalationView { answer: Some(answer), ..failed(7, "train") };
    answered(&mut model, Purpose::Over { id: 7 }, Reply::Escalation(over));
    assert_eq!(said(&model), "train: answered skip by ada@laptop");
}

#[test]
fn a_summary_closes_with_its_question() {
    let mut model = open();
    press(&mut model, "5");
    asked(&mut model, &[]);
    assert_eq!(model.panels, []);
}

#[test]
fn a_name_that_is_being_typed_does_not_become_keys() {
    let mut model = open();
    press(&mut model, "7");
    type_in(&mut model, "tiny");
    asked(&mut model, &[]);
    assert_eq!(model.place(), Place::Text);
    type_in(&mut model, "-lm");
    // The engine refuses it, and says who was first.
    assert_eq!(press(&mut model, "enter"), [decide(7, "stop-run", None)]);
    assert_eq!(model.panels, []);
}

#[test]
fn an_old_look_at_a_question_does_not_close_it() {
    let mut model = open();
    let mut view = model.run.clone().expect("a run is looked at");
    view.escalations = vec![failed(7, "train")];
    news(&mut model, News::Run(Box::new(view)));
    asked(&mut model, &[failed(7, "train")]);
    assert_eq!(prompt_of(&model), Some(7));
}

#[test]
fn the_nearest_deadline_comes_first_then_the_oldest() {
    let mut model = one();
    let soon = EscalationView { deadline_ms: Some(NOW + 60_000), ..failed(3, "late") };
    let old = EscalationView { opened_ms: NOW - 9_000_000, ..failed(4, "old") };
    asked(&mut model, &[failed(7, "train"), old, gate(9), soon]);
    let mut order = Vec::new();
    for _ in 0..5 {
        press(&mut model, "n");
        order.extend(prompt_of(&model));
        wait(&mut model, 300);
    }
    assert_eq!(order, [3, 9, 4, 7, 3]);
    press(&mut model, "N");
    assert_eq!(prompt_of(&model), Some(7));
}

#[test]
fn a_question_of_another_run_brings_that_run() {
    let mut model = one();
    press(&mut model, "k");
    asked(&mut model, &[EscalationView { run: "other1".into(), ..failed(7, "train") }]);
    assert_eq!(press(&mut model, "n"), [Effect::Watch { run: "other1".into() }]);
    let mut lane = step("train", "", StepState::Asking);
    lane.escalation = Some(7);
    news(&mut model, News::Run(Box::new(run("other1", 43, vec![lane]))));
    assert_eq!(prompt_of(&model), Some(7));
    // Answered or left, the run from before is back, with what was selected in it.
    for (way, effects) in [("3", 2), ("esc", 1), ("z", 1)] {
        let mut model = model.clone();
        wait(&mut model, 300);
        let watch = Effect::Watch { run: "tqcuq3".into() };
        let caused = press(&mut model, way);
        assert_eq!((caused.last(), caused.len()), (Some(&watch), effects), "{way}");
        assert_eq!(news(&mut model, News::Inbox(Vec::new())), [], "{way}: it is asked for once");
        let mut lane = step("train", "", StepState::Asking);
        lane.escalation = Some(3);
        news(&mut model, News::Run(Box::new(run("tqcuq3", 42, vec![step("prepare", "", StepState::Succeeded), lane]))));
        assert_eq!(model.lane().map(|lane| lane.step.as_str()), Some("prepare"), "{way}");
        assert_eq!(model.aside, None, "{way}");
    }
}

#[test]
fn a_run_that_was_chosen_in_between_stays() {
    let mut model = one();
    asked(&mut model, &[EscalationView { run: "other1".into(), ..failed(7, "train") }]);
    press(&mut model, "n");
    let mut lane = step("train", "", StepState::Asking);
    lane.escalation = Some(7);
    news(&mut model, News::Run(Box::new(run("other1", 43, vec![lane]))));
    wait(&mut model, 300);
    // A question of the run from before is of that run again.
    asked(&mut model, &[EscalationView { run: "other1".into(), ..failed(7, "train") }, failed(8, "train")]);
    assert_eq!(press(&mut model, "tab"), [Effect::Watch { run: "tqcuq3".into() }]);
}

#[test]
fn enter_on_a_row_that_needs_somebody_opens_its_question() {
    let mut model = one();
    press(&mut model, "enter");
    assert_eq!(prompt_of(&model), Some(7));
    // On any other row it zooms.
    press(&mut model, "esc");
    wait(&mut model, 300);
    press(&mut model, "esc up enter");
    assert_eq!((prompt_of(&model), model.zoomed), (None, true));
}

#[test]
fn a_snoozed_question_is_passed_over_for_half_an_hour() {
    let mut model = open();
    assert_eq!(press(&mut model, "z"), []);
    assert_eq!(prompt_of(&model), None);
    press(&mut model, "n");
    assert_eq!(prompt_of(&model), None);
    assert_eq!(said(&model), "nothing needs you now; 1 snoozed: ! lists what is open");
    // Opened nevertheless, Tab goes on from it, past others that were snoozed.
    let mut several = model.clone();
    asked(&mut several, &[failed(6, "a"), failed(7, "train"), failed(8, "b"), failed(9, "c")]);
    press(&mut several, "! enter");
    several.snoozed.insert(8, NOW * 2);
    assert_eq!(prompt_of(&several), Some(7));
    wait(&mut several, 300);
    press(&mut several, "tab");
    assert_eq!(prompt_of(&several), Some(9));
    assert_eq!(model.questions().len(), 1, "it is still open");
    wait(&mut model, 30 * 60_000);
    press(&mut model, "n");
    assert_eq!(prompt_of(&model), Some(7));
}

#[test]
fn a_note_goes_with_the_answer() {
    let mut model = open();
    press(&mut model, "c");
    assert_eq!(model.place(), Place::Text);
    type_in(&mut model, "3 n q: batch is too big");
    assert!(text(&model).contains("note  3 n q: batch is too big"));
    assert_eq!(press(&mut model, "enter"), []);
    assert_eq!(press(&mut model, "3"), [decide(7, "retry", Some("3 n q: batch is too big"))]);
}

#[test]
fn a_note_that_is_left_is_as_it_was() {
    let mut model = open();
    press(&mut model, "c");
    type_in(&mut model, "one");
    press(&mut model, "enter c");
    type_in(&mut model, " two");
    press(&mut model, "esc");
    assert_eq!(press(&mut model, "3"), [decide(7, "retry", Some("one"))]);
}

#[test]
fn a_note_that_was_begun_is_there_again_and_not_sent() {
    // Left by Esc; then the prompt is left, too, in each way there is.
    for way in ["esc", "tab", "z", "q"] {
        let mut model = open();
        asked(&mut model, &[failed(7, "train"), failed(8, "prepare")]);
        press(&mut model, "c");
        type_in(&mut model, "batch is too");
        press(&mut model, &format!("esc {way}"));
        model.panels.clear();
        model.snoozed.clear();
        press(&mut model, "n");
        wait(&mut model, 300);
        assert_eq!(prompt_of(&model), Some(7), "{way}");
        assert!(text(&model).contains("note  not finished, not sent (c): batch is too"), "{way}: {}", text(&model));
        let mut unsent = model.clone();
        assert_eq!(press(&mut unsent, "3"), [decide(7, "retry", None)], "{way}");
        press(&mut model, "c");
        type_in(&mut model, " big");
        press(&mut model, "enter tab");
        model.panels.clear();
        press(&mut model, "n");
        wait(&mut model, 300);
        assert_eq!(press(&mut model, "3"), [decide(7, "retry", Some("batch is too big"))], "{way}");
        // Taken: the next question of that number has no note.
        answered(&mut model, Purpose::Decide { id: 7 }, Reply::Done { words: String::new() });
        assert!(model.notes.is_empty(), "{way}");
    }
}

#[test]
fn an_answer_that_was_not_taken_leaves_the_prompt_as_it_was() {
    let mut model = open();
    press(&mut model, "c");
    type_in(&mut model, "why");
    press(&mut model, "enter down down enter");
    assert_eq!(model.panels, []);
    refused(&mut model, Purpose::Decide { id: 7 }, "the engine went away (Broken pipe); steps go on without it");
    assert_eq!((prompt_of(&model), &model.undo), (Some(7), &None));
    let shown = text(&model);
    assert!(shown.contains("note  why") && shown.contains("❯ 3 retry"), "{shown}");
    // It is not answered by what was typed meanwhile.
    assert_eq!(press(&mut model, "3"), []);
    wait(&mut model, 300);
    assert_eq!(press(&mut model, "3"), [decide(7, "retry", Some("why"))]);
    // Over something else it does not open: what was written is kept.
    press(&mut model, "?");
    refused(&mut model, Purpose::Decide { id: 7 }, "the engine went away");
    assert_eq!((model.place(), prompt_of(&model)), (Place::Help, None));
    assert!(model.notes.contains_key(&7));
    // Nor where somebody else was faster.
    let mut late = open();
    press(&mut late, "3");
    asked(&mut late, &[]);
    refused(&mut late, Purpose::Decide { id: 7 }, "e7 was answered skip by ada@laptop");
    assert_eq!(prompt_of(&late), None);
}

#[test]
fn a_shell_beside_the_step_comes_back_to_the_prompt() {
    let mut model = open();
    model.view = View::Inbox;
    let lane = LaneKey { run: "tqcuq3".into(), name: "train".into() };
    let opens = Effect::OpenLive { lane, kind: LiveKind::Shell, take_over: false };
    assert_eq!(press(&mut model, "s"), [opens]);
    for (columns, rows) in [(40, 12), (80, 24)] {
        model.size = Size { columns, rows };
        assert!(layout(&model).of(Room::Panes).is_some_and(|room| room.width == columns), "{columns}x{rows}");
    }
    let shown = text(&model);
    assert!(shown.contains("ATTACHED") && !shown.contains("1 wait"), "{shown}");
    // Nothing that is typed now reaches the prompt.
    assert_eq!(press(&mut model, "3"), []);
    update(&mut model, Message::LetGo);
    assert_eq!((model.place(), prompt_of(&model)), (Place::Prompt, Some(7)));
}

#[test]
fn the_log_opens_at_the_matched_line_and_esc_comes_back() {
    let mut model = open();
    let lane = LaneKey { run: "tqcuq3".into(), name: "train".into() };
    assert_eq!(press(&mut model, "l"), [Effect::OpenLog { lane, attempt: Some(1) }]);
    let Some(Panel::Log(log)) = model.panels.last() else { panic!("the log is open") };
    assert_eq!(log.pattern, r"torch\.OutOfMemoryError: CUDA out of memory\. Tried to allocate 2\.50 GiB\.");
    // Somebody answers meanwhile: the log stays, and there is no prompt to come back to.
    let mut over = model.clone();
    asked(&mut over, &[]);
    assert_eq!((over.place(), prompt_of(&over)), (Place::Log, None));
    press(&mut model, "esc");
    assert_eq!((model.place(), prompt_of(&model)), (Place::Prompt, Some(7)));
}

#[test]
fn the_same_answer_for_all_that_are_alike() {
    let mut model = open();
    let other_run = EscalationView { run: "other1".into(), ..failed(10, "train") };
    let alike = [failed(7, "train"), failed(8, "prepare"), other_run, gate(9)];
    asked(&mut model, &alike);
    press(&mut model, "f");
    assert!(text(&model).contains("for 2 questions"));
    assert_eq!(press(&mut model, "7"), [], "what ends the run is not for several");
    assert_eq!(said(&model), "stop-run is not for several at once: answer them one by one");
    assert_eq!(press(&mut model, "3"), []);
    assert_eq!(model.place(), Place::Menu);
    wait(&mut model, 300);
    assert_eq!(press(&mut model, "2"), [decide(7, "retry", None), decide(8, "retry", None)]);
    assert_eq!(model.panels, []);
    assert_eq!(said(&model), "retry for 2 questions, starts in 5s; u undoes");
    assert_eq!(press(&mut model, "u").len(), 2);
}

#[test]
fn one_of_its_kind_is_not_answered_for_all() {
    let mut model = open();
    press(&mut model, "f 3");
    let mut alone = open();
    asked(&mut alone, &[question(7, "tqcuq3", "tiny-lm #42", "train"), question(8, "tqcuq3", "tiny-lm #42", "b")]);
    press(&mut alone, "f");
    assert_eq!(said(&alone), "no other open question of this run is like this one");
}

#[test]
fn on_a_read_only_screen_nothing_is_answered() {
    let mut model = one();
    model.manner.readonly = true;
    press(&mut model, "n");
    wait(&mut model, 300);
    for name in ["1", "2", "3", "5", "7", "enter", "c", "f", "s"] {
        assert_eq!(press(&mut model, name), [], "{name}");
        assert!(said(&model).contains("read-only"), "{name}: {}", said(&model));
        assert_eq!(model.panels.len(), 1, "{name}");
    }
    press(&mut model, "esc");
    assert_eq!(prompt_of(&model), None);
}

#[test]
fn an_unknown_end_uses_the_same_prompt() {
    let mut model = one();
    let unknown = EscalationView {
        kind: "unknown".into(),
        title: "UNKNOWN: train may or may not have finished: the host was started anew while it ran".into(),
        evidence: vec!["attempt 1; nothing will be run until you choose".into()],
        matched: None,
        ..failed(7, "train")
    };
    asked(&mut model, &[unknown]);
    press(&mut model, "n");
    wait(&mut model, 300);
    insta::assert_snapshot!("prompt-unknown-80x24", text(&model));
    assert_eq!(press(&mut model, "2"), [decide(7, "resume", None)]);
}

#[test]
fn of_which_run_it_is_is_said_on_every_terminal() {
    for (columns, rows) in [(40, 12), (59, 15), (60, 15), (80, 24), (120, 40), (200, 60)] {
        let mut model = open();
        model.size = Size { columns, rows };
        assert!(text(&model).contains("tiny-lm #42"), "{columns}x{rows}: {}", text(&model));
        // Also before the run that it is of is there.
        asked(&mut model, &[EscalationView { run: "other1".into(), run_name: "etl #9".into(), ..failed(7, "train") }]);
        assert!(text(&model).contains("etl #9"), "{columns}x{rows}: {}", text(&model));
    }
}

#[test]
fn what_was_printed_stands_in_its_order() {
    let order = |evidence: &[&str], matched: usize| {
        let mut model = one();
        let evidence = evidence.iter().map(|line| (*line).to_owned()).collect();
        asked(&mut model, &[EscalationView { evidence, matched: Some(matched), ..failed(7, "train") }]);
        model.size = Size { columns: 120, rows: 40 };
        press(&mut model, "n");
        let shown = text(&model);
        let places: Vec<usize> = ["Traceback", "in main", "in grow", "MemoryError", "[exited 1]"]
            .iter()
            .map(|words| shown.find(words).unwrap_or_else(|| panic!("{words}: {shown}")))
            .collect();
        assert!(places.is_sorted(), "{places:?}: {shown}");
        assert!(shown.lines().any(|line| line.contains("▸ ") && line.contains("MemoryError")), "{shown}");
        assert_eq!(shown.matches("in grow").count(), 1, "{shown}");
    };
    // The output ends with the match; the match is in its end; the match came long before its end.
    let end = ["attempt 1", "| Traceback", "| in main", "line 40: in grow", "line 41: MemoryError", "| [exited 1]"];
    order(&end, 4);
    let within = [
        "attempt 1",
        "line 40: in grow",
        "line 41: MemoryError",
        "| Traceback",
        "| in main",
        "| in grow",
        "| MemoryError",
        "| [exited 1]",
    ];
    order(&within, 2);
    let before = [
        "attempt 1",
        "line 38: Traceback",
        "line 39: in main",
        "line 40: in grow",
        "line 41: MemoryError",
        "| [exited 1]",
    ];
    order(&before, 4);
}

#[test]
fn own_keys_choose_and_are_named() {
    let own = [("choose".to_owned(), vec!["f1".to_owned(), "f2".into(), "f3".into()])].into();
    let mut model = one();
    model.manner.keys = model.manner.keys.with(&own).expect("legal keys");
    press(&mut model, "n");
    wait(&mut model, 300);
    let shown = text(&model);
    assert!(shown.to_lowercase().contains("f1-f3 choose"), "{shown}");
    let f3 = crossterm::event::KeyEvent::new(crossterm::event::KeyCode::F(3), key("a").modifiers);
    let effects = update(&mut model, Message::Key(f3));
    assert_eq!(effects, [decide(7, "retry", None)]);
}
