//! One answer for several questions that ask the same, after a summary; and the inbox, where they are marked. What cannot
//! be undone is never offered here.

use super::answers::{Answer, later};
use super::questions::open;
use crate::faces::words::count;
use crate::tui::keys::Action;
use crate::tui::message::Effect;
use crate::tui::model::{InboxRow, Model};
use crate::tui::panel::menu::Item;
use crate::tui::panel::{Menu, Panel};
use crate::wire::client::{ChoiceView, EscalationView, Strength};

/// So many questions are named one by one.
const NAMED: usize = 6;

/// A choice that all of several questions have; of those that cost differently the first one's words.
pub fn offered(questions: &[&EscalationView]) -> Vec<ChoiceView> {
    let Some((first, others)) = questions.split_first() else {
        return Vec::new();
    };
    let has = |asked: &&EscalationView, word: &str| {
        asked.choices.iter().any(|choice| choice.word == word && choice.strength != Strength::Typed)
    };
    let common = |choice: &&ChoiceView| {
        choice.strength != Strength::Typed
            && choice.back_to().is_none()
            && others.iter().all(|asked| has(asked, &choice.word))
    };
    first.choices.iter().filter(common).cloned().collect()
}

/// The choices that some of them have and that are not offered for all.
pub fn withheld(questions: &[&EscalationView]) -> Vec<String> {
    let offered = offered(questions);
    let mut words: Vec<String> = Vec::new();
    for choice in questions.iter().flat_map(|asked| &asked.choices) {
        let word = if choice.back_to().is_some() { "send back" } else { &choice.word };
        if !words.iter().any(|known| known == word) && !offered.iter().any(|one| one.word == word) {
            words.push(word.to_owned());
        }
    }
    words
}

/// Says what one answer will do to each, and asks once more.
pub(super) fn summary(
    model: &mut Model,
    targets: &[EscalationView],
    choice: &ChoiceView,
    answer: &Answer,
) -> Vec<Effect> {
    let all: Vec<&EscalationView> = targets.iter().collect();
    if !offered(&all).iter().any(|one| one.word == choice.word) {
        let words = format!("{} is not for several at once: answer them one by one", choice.word);
        model.complain(words);
        return Vec::new();
    }
    let mut words: Vec<String> = targets.iter().take(NAMED).map(|asked| line(asked, &choice.word)).collect();
    if targets.len() > NAMED {
        words.push(format!("and {} more", targets.len() - NAMED));
    }
    let later = if answer.lasting { ", and for the rest of the run" } else { "" };
    let title = format!("{} for {}{later}?", choice.word, count(targets.len(), "question", "questions"));
    let effects = targets.iter().map(|asked| answer.to(asked.id)).collect();
    let items = vec![
        Item::nothing("no", "nothing is decided"),
        Item::several(&choice.word, format!("all {} of them", targets.len()), effects),
    ];
    model.panels.push(Panel::Menu(Menu::new(title, words, items, model.now_ms)));
    Vec::new()
}

fn line(asked: &EscalationView, word: &str) -> String {
    let effect = asked.choices.iter().find(|choice| choice.word == word).map_or("", |choice| choice.effect.as_str());
    format!("{}  {}: {effect}", asked.run_name, asked.step)
}

/// Why an action makes no sense in the inbox; `None`: it is none of the inbox's own.
#[expect(clippy::wildcard_enum_match_arm, reason = "the inbox names only the actions that are its own")]
pub(super) fn allowed(model: &Model, action: Action) -> Option<Result<(), String>> {
    let marked = || if model.marked_questions.is_empty() { Err("nothing is marked".to_owned()) } else { Ok(()) };
    match action {
        Action::Choose if model.manner.readonly => {
            Some(Err("this screen is read-only: answer from another one".into()))
        }
        Action::Choose => Some(marked()),
        Action::Open | Action::Mark | Action::MarkGroup => {
            let any = !model.questions().is_empty();
            Some(if any { Ok(()) } else { Err("nothing needs you".into()) })
        }
        _ => None,
    }
}

/// In the inbox: opens, marks.
#[expect(clippy::wildcard_enum_match_arm, reason = "the inbox names only the actions that are its own")]
pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    let rows = model.inbox_rows();
    let Some(row) = rows.get(model.cursors.inbox.min(rows.len().saturating_sub(1))).cloned() else {
        return Vec::new();
    };
    match action {
        Action::Open => {
            let first = model.of_row(&row).first().map(|asked| asked.id);
            return first.map(|id| open(model, id)).unwrap_or_default();
        }
        Action::Mark => mark(model, &row, false),
        Action::MarkGroup => {
            let whole = group_row(model, &row);
            mark(model, &whole, true);
        }
        _ => {}
    }
    Vec::new()
}

/// The head of the group that a row is in.
fn group_row(model: &Model, row: &InboxRow) -> InboxRow {
    let print = model.of_row(row).first().map(|asked| asked.fingerprint.clone()).unwrap_or_default();
    if print.is_empty() { row.clone() } else { InboxRow::Group(print) }
}

/// Marks what a row stands for; again: takes the marks away. Of a whole group the odd ones out stay unmarked.
fn mark(model: &mut Model, row: &InboxRow, whole: bool) {
    let whole = whole || matches!(row, InboxRow::Group(_));
    let ids: Vec<u64> = {
        let groups = model.groups();
        let of_row = model.of_row(row);
        let odd = |asked: &EscalationView| {
            groups
                .iter()
                .any(|group| group.questions.iter().any(|one| one.id == asked.id) && group.differs(asked).is_some())
        };
        of_row.iter().filter(|asked| !whole || !odd(asked)).map(|asked| asked.id).collect()
    };
    if ids.iter().all(|id| model.marked_questions.contains(id)) {
        for id in ids {
            model.marked_questions.remove(&id);
        }
    } else {
        model.marked_questions.extend(ids);
    }
}

/// A digit in the inbox: the answer for all that are marked, the first of them to wait.
pub(super) fn choose(model: &mut Model, place: usize) -> Vec<Effect> {
    let targets: Vec<EscalationView> = model.chosen_questions().into_iter().cloned().collect();
    let all: Vec<&EscalationView> = targets.iter().collect();
    match place.checked_sub(1) {
        None => {
            model.marked_questions.clear();
            later(model, &targets)
        }
        Some(nth) => match offered(&all).get(nth) {
            Some(choice) => {
                let answer = Answer { choice: choice.word.clone(), note: None, lasting: false };
                summary(model, &targets, choice, &answer)
            }
            None => Vec::new(),
        },
    }
}
