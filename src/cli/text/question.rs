//! A question to a person, with its evidence, its choices and the exact commands. Pure.

use super::{Look, Row, Style, wrap};
use crate::faces::words::{clock, span};
use crate::wire::client::EscalationView;

/// The choice that ends the whole run: its run's name has to be typed.
pub const ENDS_RUN: &str = "stop-run";

/// The whole question.
pub fn question(asked: &EscalationView, now_ms: i64, look: &Look) -> Vec<Row> {
    let mut rows = head(asked, look);
    rows.push(
        Row::new()
            .space(2)
            .add(Style::Dim, &format!("asked {} ago{}", span(now_ms - asked.opened_ms), deadline(asked, now_ms))),
    );
    rows.extend(evidence(asked, look));
    rows.extend(facts(asked, look));
    if let Some(answer) = &asked.answer {
        let note = answer.note.as_ref().map_or(String::new(), |note| format!(": {note}"));
        rows.push(Row::new().add(
            Style::Good,
            &format!(
                "answered {} by {} at {}{note}",
                answer.choice,
                answer.by,
                clock(answer.at_ms, now_ms, &look.zone)
            ),
        ));
    } else if let Some(held) = &asked.held {
        let left = span((held.until_ms - now_ms).max(0));
        rows.push(
            Row::new()
                .add(Style::Good, &format!("answered {} by {}, takes effect in {left}", held.choice, held.by))
                .add(Style::Dim, &format!("   dogwatch undo e{}", asked.id)),
        );
    } else {
        rows.extend(choices(asked, look));
        rows.push(command(asked));
    }
    rows
}

/// `? e7  digits #3  train[lr=0.1]  attempt 3`, and what is asked.
fn head(asked: &EscalationView, look: &Look) -> Vec<Row> {
    let attempt = asked.attempt.map_or(String::new(), |n| format!("  attempt {n}"));
    let mut rows = vec![
        Row::new()
            .add(Style::Asking, &format!("? e{}", asked.id))
            .space(2)
            .add(Style::Bold, &format!("{}  {}{attempt}", asked.run_name, asked.step)),
    ];
    let title = Row::new().text(&asked.title).plain();
    let lines = wrap(&title, look.width.saturating_sub(2));
    rows.extend(lines.iter().map(|line| Row::new().space(2).text(line)));
    rows
}

fn deadline(asked: &EscalationView, now_ms: i64) -> String {
    match asked.deadline_ms {
        Some(at) if asked.answer.is_none() => {
            format!("; without an answer in {}: {}", span(at - now_ms), asked.if_unanswered)
        }
        _ => String::new(),
    }
}

/// What is known, each line at its whole length.
pub fn evidence(asked: &EscalationView, look: &Look) -> Vec<Row> {
    let columns = look.width.saturating_sub(4);
    asked
        .evidence
        .iter()
        .flat_map(|line| {
            let clean = Row::new().text(line).plain();
            wrap(&clean, columns)
        })
        .map(|line| Row::new().add(Style::Dim, "  │ ").text(&line))
        .collect()
}

/// What is known around it: `checkpoint  step 1800, 3m02s before the failure`.
pub fn facts(asked: &EscalationView, look: &Look) -> Vec<Row> {
    let longest = asked.facts.iter().map(|fact| super::width(&fact.label)).max().unwrap_or(0);
    let columns = look.width.saturating_sub(2 + longest + 2);
    let mut rows = Vec::new();
    for fact in &asked.facts {
        let text = Row::new().text(&fact.text).plain();
        for (line, words) in wrap(&text, columns).iter().enumerate() {
            let label = if line == 0 { fact.label.as_str() } else { "" };
            rows.push(Row::new().space(2).field(Style::Dim, label, longest).space(2).text(words));
        }
    }
    rows
}

/// Numbered from 1, with what each does and costs.
pub fn choices(asked: &EscalationView, look: &Look) -> Vec<Row> {
    let longest = asked.choices.iter().map(|choice| super::width(&choice.word)).max().unwrap_or(0);
    let indent = 2 + 2 + 1 + longest + 2;
    let mut rows = Vec::new();
    for (place, choice) in asked.choices.iter().enumerate() {
        let effect = Row::new().text(&choice.effect).plain();
        let columns = look.width.saturating_sub(indent);
        for (line, words) in wrap(&effect, columns).iter().enumerate() {
            let row = if line == 0 {
                Row::new()
                    .space(2)
                    .add(Style::Bold, &format!("{:>2}", place + 1))
                    .space(1)
                    .field(Style::Bold, &choice.word, longest)
                    .space(2)
            } else {
                Row::new().space(indent)
            };
            rows.push(row.text(words));
        }
    }
    rows
}

/// The command that answers it, as it can be typed: the first choice, and which others there are.
pub fn command(asked: &EscalationView) -> Row {
    let mut words = asked.choices.iter().map(|choice| choice.word.as_str());
    let first = words.next().unwrap_or("CHOICE");
    let others: Vec<&str> = words.collect();
    let row = Row::new().add(Style::Dim, "answer: ").text(&format!("dogwatch decide e{} {first}", asked.id));
    let row = if others.is_empty() { row } else { row.add(Style::Dim, &format!("   (or {})", others.join(", "))) };
    row.uncut()
}
