//! Recorded facts and decisions, one line each. Pure.

use super::{Look, Row, Style};
use crate::faces::words::clock;
use crate::wire::client::EventView;

/// `21:35:02  train[lr=0.1]  attempt 2 begins in 10 s: code 1`.
pub fn event(event: &EventView, now_ms: i64, look: &Look) -> Row {
    let row = Row::new().add(Style::Dim, &clock(event.at_ms, now_ms, &look.zone)).space(2);
    let row = if event.step.is_empty() { row } else { row.add(Style::Bold, &event.step).space(2) };
    row.add(style(&event.kind), &event.text)
}

fn style(kind: &str) -> Style {
    match kind {
        "step.succeeded" => Style::Good,
        "step.failed" | "attempt.unknown" => Style::Bad,
        "escalation.opened" => Style::Asking,
        "checkpoint" => Style::Dim,
        _ => Style::Plain,
    }
}
