//! Prompts at every size: what has to be decided, what each choice costs and what happens without an answer are always to
//! be seen; evidence gives way.

use dogwatch::tui::model::{Model, Size};
use dogwatch::tui::panel::prompt;
use dogwatch::tui::theme::Theme;
use dogwatch::wire::client::{ChoiceView, EscalationView, FactView, StepState, Strength};

use super::{asked, press, wait};
use crate::support::screen_text::{drawn, lines, styled, text};
use crate::support::shown::{failed, gate, screen, step};

const SIZES: [(u16, u16); 4] = [(80, 24), (120, 40), (200, 60), (40, 12)];

fn shown(question: &EscalationView, (columns, rows): (u16, u16)) -> Model {
    let mut model = screen(vec![step("train", "", StepState::Asking)]);
    model.size = Size { columns, rows };
    asked(&mut model, std::slice::from_ref(question));
    press(&mut model, "n");
    wait(&mut model, 300);
    model
}

/// Everything as long as it can be.
fn extreme() -> EscalationView {
    let name = format!("{}-the-end-of-a-name", "step".repeat(11));
    let label = "learning_rate=0.00030000,seed=12345678901234567890,fold=12";
    let lane = format!("{name}[{label}]");
    let path = format!("/workspace/{}/checkpoint-000000001800.pt", "deep/".repeat(30));
    let after = format!("{name}-a, {name}-b, {name}-c and 40 more");
    let long = |word: &str, effect: String, strength| ChoiceView { word: word.into(), effect, strength, rule: None };
    let mut asked = failed(7, &lane);
    asked.run_name = format!("{name} #123456");
    asked.title = format!("{lane} failed with signal 9 (SIGKILL) after 41h02m");
    asked.evidence = vec![
        "attempt 12 (try 12 of 12), rule \"out-of-memory-of-the-device\"".into(),
        format!("line 123456789: {}", "CUDA out of memory; ".repeat(40)),
        "the kernel killed for memory in this environment meanwhile".into(),
        "left behind: python (1234), python (1235), python (1236)".into(),
    ];
    asked.evidence.extend((0..8).map(|n| format!("| {n} {}", "output ".repeat(60))));
    asked.choices = vec![
        long("resume", format!("attempt 13 from step 1800 ({path}); redo 40 steps, about 2m14s"), Strength::Key),
        long("probe", "runs the step's probe: did it finish?".into(), Strength::Key),
        long("retry", "attempt 13 from the start; 41h02m of work is done again".into(), Strength::Key),
        long("done", format!("it counts as succeeded: fixed by hand; then: {after}"), Strength::Summary),
        long("skip", format!("go on without it; without its result: {after}"), Strength::Summary),
        long("fail", format!("it has failed for good; left out: {after}"), Strength::Summary),
        long("stop-run", "the run ends; 3 running steps lose what is not saved".into(), Strength::Typed),
    ];
    asked.facts = vec![
        fact("checkpoint", format!("{path}, 3m before the failure (redo 40 steps, about 2m14s)")),
        fact("resources", "the kernel killed for memory 3 time(s) in this environment · CPU time 39h".into()),
        fact("attempts", "9 earlier · 10: code 1 after 41h · 11: code 1 after 41h · 12: signal 9 after 41h".into()),
        fact("blocked", after),
    ];
    asked.deadline_ms = Some(asked.opened_ms + 7_200_000);
    asked.if_unanswered = "fail when the time is over".into();
    asked
}

fn fact(label: &str, text: String) -> FactView {
    FactView { label: label.into(), text }
}

#[test]
fn prompts_at_every_size() {
    for size in SIZES {
        let (columns, rows) = size;
        insta::assert_snapshot!(format!("prompt-{columns}x{rows}"), text(&shown(&failed(7, "train[lr=3e-4]"), size)));
        insta::assert_snapshot!(format!("gate-{columns}x{rows}"), text(&shown(&gate(9), size)));
        insta::assert_snapshot!(format!("prompt-extreme-{columns}x{rows}"), text(&shown(&extreme(), size)));
    }
}

#[test]
fn colours_carry_what_shapes_and_words_say() {
    let mut model = shown(&failed(7, "train[lr=3e-4]"), (80, 24));
    model.manner.theme = Theme::default();
    insta::assert_snapshot!("prompt-colours-80x24", styled(&model));
}

#[test]
fn what_is_needed_to_decide_is_always_there() {
    for question in [extreme(), failed(7, "train"), gate(9)] {
        for columns in [40, 52, 60, 80, 100, 200] {
            for rows in [12, 15, 18, 24, 40, 60] {
                let shown = text(&shown(&question, (columns, rows)));
                let at = format!("{columns}x{rows}\n{shown}");
                assert!(shown.contains("if nobody answers: "), "{at}");
                let mut choices: Vec<(&str, &str)> = question
                    .choices
                    .iter()
                    .filter(|choice| choice.back_to().is_none())
                    .map(|choice| (choice.word.as_str(), choice.effect.as_str()))
                    .collect();
                if choices.len() < question.choices.len() {
                    choices.push(("send back…", "again"));
                }
                for (place, (word, effect)) in choices.into_iter().enumerate() {
                    let number = format!(" {} {word}", place + 2);
                    let line = shown.lines().position(|line| line.contains(&number)).expect(&at);
                    // What it costs is said at the end.
                    let own = shown.lines().skip(line).take(3).collect::<Vec<_>>().join(" ");
                    let end: String = effect.chars().rev().take(5).collect::<Vec<_>>().into_iter().rev().collect();
                    let whole: String = own.split_whitespace().collect::<Vec<_>>().join(" ");
                    assert!(whole.contains(end.split_whitespace().last().unwrap_or("")), "{end}: {at}");
                }
            }
        }
    }
}

/// As the engine asks about a step that stands still.
fn stalled() -> EscalationView {
    let mut asked = failed(7, "train[lr=3e-4]");
    asked.kind = "stalled".into();
    asked.title = "train[lr=3e-4] stands still: no sign of life for 12m04s".into();
    asked.matched = None;
    asked.evidence = vec![
        "attempt 2 lives and goes on until you choose, rule \"on_stall\"; not ended by itself: no attempts are left".into(),
        "It has printed nothing for 12m04s, although it never was silent for longer than 48s before, its progress stands at \
         61.0% and neither its processors nor a GPU of its worked meanwhile: a collective operation that waits for a rank \
         which is gone looks exactly like that."
            .into(),
        "asked after 12m00s".into(),
    ];
    asked.evidence.extend((0..6).map(|n| format!("| step {n} of the output before it went silent")));
    asked
}

#[test]
fn why_a_step_is_taken_to_stand_still_is_never_cut_at_80x24() {
    let shown = text(&shown(&stalled(), (80, 24)));
    let whole: String = shown.replace(['┃', '│'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
    for needed in [
        "stands still: no sign of life for 12m04s",
        "exactly like that.",
        "never was silent for longer than 48s",
        "which is gone",
        "step 5 of the output before it went silent",
        "checkpoint",
        "if nobody answers: ",
    ] {
        assert!(whole.contains(needed), "{needed:?} is missing:\n{shown}");
    }
    for choice in &stalled().choices {
        assert!(shown.contains(&choice.word), "{}:\n{shown}", choice.word);
    }
}

#[test]
fn a_receipt_that_is_too_long_for_a_line_is_told_in_several() {
    let mut model = screen(vec![step("train", "", StepState::Running)]);
    let words = "half-batch from step 1800, attempt 2, starts in 5 s; u undoes; the other 2 lanes go on";
    model.say(words);
    for (columns, rows) in [(40, 12), (80, 24), (60, 15)] {
        model.size = Size { columns, rows };
        let shown: String =
            text(&model).lines().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(" ");
        let whole = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(whole.ends_with(words), "{columns}x{rows}: {whole}");
    }
}

#[test]
fn at_80x24_evidence_and_checkpoint_are_there_with_names_of_60_columns() {
    let shown = text(&shown(&extreme(), (80, 24)));
    assert!(shown.contains("failed with signal 9 (SIGKILL) after 41h02m"), "{shown}");
    assert!(shown.contains("▸ line 123456789: CUDA out of memory"), "{shown}");
    assert!(shown.contains("checkpoint") && shown.contains("(redo 40 steps, about 2m14s)"), "{shown}");
    assert!(shown.contains("if nobody answers: in 1h53m"), "{shown}");
}

#[test]
fn the_matched_line_has_its_neighbours() {
    let shown = text(&shown(&failed(7, "train"), (80, 24)));
    let lines: Vec<&str> = shown.lines().collect();
    let place = lines.iter().position(|line| line.contains('▸')).expect("a line is marked");
    assert!(lines[place].contains("▸ torch.OutOfMemoryError"), "{shown}");
    assert!(lines[place - 2].contains("step 1840/6000") && lines[place - 1].contains("loss.backward()"), "{shown}");
    assert!(lines[place + 1].contains("GPU 0 has a total") && lines[place + 2].contains("[exited 1]"), "{shown}");
    assert_eq!(shown.matches("OutOfMemoryError").count(), 1, "the line stands there once");
}

#[test]
fn a_cursor_can_be_seen_where_a_text_is_typed() {
    for size in SIZES {
        for (keys, question) in [("c", extreme()), ("8", extreme()), ("c", gate(9))] {
            let mut model = shown(&question, size);
            press(&mut model, keys);
            super::type_in(&mut model, &"long ".repeat(60));
            let (buf, cursor) = drawn(&model);
            let cursor = cursor.expect("a text field has a cursor");
            assert!(cursor.x < buf.area.width && cursor.y < buf.area.height, "{size:?}");
            let line = &lines(&buf)[usize::from(cursor.y)];
            assert!(line.contains("long"), "what was typed last is to be seen: {size:?} {line}");
        }
    }
}

#[test]
fn the_name_to_type_is_to_be_seen_whole() {
    let question = extreme();
    let mut model = shown(&question, (80, 24));
    press(&mut model, "8");
    let name = prompt::run_word(&question);
    assert_eq!(name.len(), 62);
    let shown = text(&model);
    assert!(shown.contains(name), "{shown}");
    insta::assert_snapshot!("confirm-extreme-80x24", shown);
}

#[test]
fn hostile_text_changes_nothing_outside_of_its_place() {
    let evil = "\u{1b}[2J\u{1b}]0;title\u{7}\u{202e}evil\u{200b}\r\n\t👩‍👩‍👧 \u{9b}31m";
    let mut question = extreme();
    for text in [&mut question.title, &mut question.step, &mut question.run_name, &mut question.if_unanswered] {
        text.push_str(evil);
    }
    question.evidence.iter_mut().chain(question.choices.iter_mut().map(|one| &mut one.effect)).for_each(|text| {
        *text = format!("{evil}{text}");
    });
    question.facts.iter_mut().for_each(|fact| {
        fact.label.push_str(evil);
        fact.text.insert_str(0, evil);
    });
    for size in [(80, 24), (40, 12), (200, 60), (20, 6), (3, 3), (1, 1), (0, 0)] {
        let mut model = shown(&question, size);
        for keys in ["", "c", "esc", "8", "esc", "5", "esc"] {
            if !keys.is_empty() {
                press(&mut model, keys);
            }
            for line in lines(&drawn(&model).0) {
                assert!(
                    !line.contains(['\u{1b}', '\u{202e}', '\u{200b}', '\u{9b}', '\r', '\u{7}']),
                    "{size:?}: {line:?}"
                );
            }
        }
    }
}
