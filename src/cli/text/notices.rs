//! Who was told of what, as rows. Pure.

use super::{Row, Style};
use crate::faces::words::span;
use crate::wire::client::NoticeView;

/// Two rows for each notice, oldest first: what was told, and how that went.
pub fn notices(all: &[NoticeView], now_ms: i64) -> Vec<Row> {
    all.iter().flat_map(|one| rows(one, now_ms)).collect()
}

fn rows(one: &NoticeView, now_ms: i64) -> [Row; 2] {
    let (style, shape) = match one.state.as_str() {
        "sent" => (Style::Good, "✓"),
        "failed" => (Style::Bad, "×"),
        "due" => (Style::Plain, "↻"),
        _ => (Style::Dim, "○"),
    };
    let tries = match one.tries {
        0 => String::new(),
        1 => ", 1 try".to_owned(),
        n => format!(", {n} tries"),
    };
    let result = if one.result.is_empty() { String::new() } else { format!(": {}", one.result) };
    let again = match one.due_ms {
        Some(due) if one.tries > 0 && due > now_ms => format!("; again in {}", span(due - now_ms)),
        Some(_) | None => String::new(),
    };
    let state = match one.state.as_str() {
        "joined" => "not told by itself: another question that asks the same was",
        other => other,
    };
    [
        Row::new()
            .add(style, shape)
            .space(1)
            .field(Style::Dim, &format!("{:>6}", span(now_ms - one.made_ms)), 6)
            .space(2)
            .text(&one.summary),
        Row::new().space(10).add(style, &format!("{} by {}{tries}{result}{again}", state, one.to)),
    ]
}
