//! The inbox: every open question of every run, those that ask the same under one head, and what can be answered for all
//! that are marked. Pure.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::faces::words::{count, span};
use crate::tui::draw::{Frame, Pen, clean, first_shown, row, width, wrap};
use crate::tui::model::{Group, InboxRow, Model};
use crate::tui::panel::prompt::{later_word, matched_text, run_word};
use crate::tui::theme::Role;
use crate::tui::update;
use crate::wire::client::EscalationView;

/// Draws the page.
pub fn draw(model: &Model, area: Rect, buf: &mut Buffer) {
    let groups = model.groups();
    let total = groups.iter().map(|group| group.questions.len()).sum();
    let title = match total {
        0 => "Inbox".to_owned(),
        1 => "▲ Inbox: 1 needs you".to_owned(),
        n => format!("▲ Inbox: {n} need you, {}", count(groups.len(), "group", "groups")),
    };
    let inner = Frame::heavy(&title).draw(buf, &model.manner.theme, area);
    if total == 0 {
        let words = "nothing needs you: what waits for a person is listed here";
        Pen::new(buf, &model.manner.theme, row(inner, 0)).space(1).text(Role::Dim, words);
        return;
    }
    let answers = answers(model, usize::from(inner.width).saturating_sub(2));
    // The list is never less than half of it.
    let below = u16::try_from(answers.len()).unwrap_or(u16::MAX).min(inner.height / 2);
    let list = Rect { height: inner.height - below, ..inner };
    rows(model, &groups, list, buf);
    for (line, words) in (0..below).zip(&answers) {
        let role = if line <= 1 { Role::Strong } else { Role::Dim };
        Pen::new(buf, &model.manner.theme, row(inner, list.height + line)).space(1).text(role, words);
    }
}

fn rows(model: &Model, groups: &[Group<'_>], area: Rect, buf: &mut Buffer) {
    let all = model.inbox_rows();
    let cursor = model.cursors.inbox.min(all.len().saturating_sub(1));
    let first = first_shown(cursor, all.len(), usize::from(area.height));
    for (line, (place, one)) in (0..area.height).zip(all.iter().enumerate().skip(first)) {
        let mut pen = Pen::new(buf, &model.manner.theme, row(area, line));
        if place == cursor {
            pen = pen.over(Role::Selected);
        }
        let has = |group: &&Group<'_>| match one {
            InboxRow::Group(print) => group.questions[0].fingerprint == *print,
            InboxRow::Question(id) => group.questions.iter().any(|asked| asked.id == *id),
        };
        if let Some(group) = groups.iter().find(has) {
            match one {
                InboxRow::Group(_) => head(model, group, &mut pen),
                InboxRow::Question(id) => question(model, group, *id, &mut pen),
            }
        }
        pen.rest();
    }
}

fn shape(asked: &EscalationView) -> &'static str {
    if asked.kind == "gate" { "◆" } else { "▲" }
}

/// `▾ 4 × out of memory …`: what they have in common, and how long the oldest has waited.
fn head(model: &Model, group: &Group<'_>, pen: &mut Pen<'_>) {
    let first = group.questions[0];
    let oldest = group.questions.iter().map(|asked| asked.opened_ms).min().unwrap_or(model.now_ms);
    let end = format!("oldest {} ", span(model.now_ms - oldest));
    let what = matched_text(first).unwrap_or_else(|| first.title.clone());
    pen.space(1).text(Role::Attention, "▾ ").text(Role::Strong, &format!("{} × same: ", group.questions.len()));
    let room = pen.left().saturating_sub(width(&end) + 1);
    pen.field(Role::Plain, &what, room).space(1).text(Role::Dim, &end);
}

/// One question: marked or not, of which step and run, its checkpoint, its time, and how it differs.
fn question(model: &Model, group: &Group<'_>, id: u64, pen: &mut Pen<'_>) {
    let Some(asked) = group.questions.iter().find(|asked| asked.id == id) else {
        return;
    };
    let several = group.questions.len() > 1;
    let mark = if model.marked_questions.contains(&id) { "[x] " } else { "[ ] " };
    pen.space(if several { 3 } else { 1 }).text(Role::Key, mark).text(Role::Attention, shape(asked)).space(1);
    let time = time(model, asked);
    let differs = group.differs(asked).map(|why| format!("differs: {why}  ")).unwrap_or_default();
    let room = pen.left().saturating_sub(width(&time) + width(&differs) + 2);
    let name = named(asked);
    let known = about(asked, several);
    // Names stand in one column; where it is narrow the step wins over what is known of it.
    let longest = model.questions().iter().map(|other| width(&named(other))).max().unwrap_or(0);
    let name_room = if room < 40 { room } else { longest.min(room * 3 / 5) };
    pen.field(Role::Plain, &name, name_room);
    let known_room = room.saturating_sub(name_room + 2);
    if known_room > 0 {
        pen.space(2).field(Role::Dim, &known, known_room);
    }
    pen.space(1).text(Role::Attention, &differs).text(Role::Dim, &time);
}

/// Its step and its run.
fn named(asked: &EscalationView) -> String {
    clean(&format!("{}  {}", asked.step, asked.run_name))
}

/// What is known of it: of one of several its checkpoint, else what is asked.
fn about(asked: &EscalationView, several: bool) -> String {
    let checkpoint = asked.facts.iter().find(|fact| fact.label == "checkpoint").filter(|_| several);
    if let Some(fact) = checkpoint {
        return format!("checkpoint {}", clean(&fact.text));
    }
    let title = asked.title.strip_prefix(asked.step.as_str()).unwrap_or(&asked.title);
    clean(title.trim_start_matches([':', ' ']))
}

fn time(model: &Model, asked: &EscalationView) -> String {
    if let Some(until) = model.snoozed_until(asked.id) {
        return format!("snoozed {} ", span(until - model.now_ms));
    }
    match asked.deadline_ms {
        Some(at) => format!("{} in {} ", verb(asked), span(at - model.now_ms)),
        None => format!("{} ago ", span(model.now_ms - asked.opened_ms)),
    }
}

/// What happens at the deadline, in a word.
fn verb(asked: &EscalationView) -> &str {
    asked.if_unanswered.split(' ').next().filter(|word| !word.is_empty()).unwrap_or("expires")
}

/// What can be answered for all that are marked, and what cannot.
fn answers(model: &Model, columns: usize) -> Vec<String> {
    let marked = model.chosen_questions();
    let Some(first) = marked.first() else {
        return Vec::new();
    };
    let offered = update::offered(&marked);
    let choices = offered.iter().enumerate().map(|(place, choice)| format!("   {} {}", place + 2, choice.word));
    let words = format!("{} marked:  1 {}{}", marked.len(), later_word(first), choices.collect::<String>());
    let mut lines = vec![String::new()];
    lines.extend(wrap(&words, columns));
    let alone = update::withheld(&marked);
    if !alone.is_empty() {
        let words = format!("not for several at once: {}: answer those one by one", alone.join(", "));
        lines.extend(wrap(&words, columns));
    }
    let mut runs: Vec<&str> = marked.iter().map(|asked| run_word(asked)).collect();
    runs.dedup();
    if runs.len() > 1 {
        lines.extend(wrap(&format!("of several workflows: {}", runs.join(", ")), columns));
    }
    lines
}
