//! A diagnosis for people and for machines. Pure. Lines of a log are shown only as [`Row`] makes them safe.

use serde_json::{Value, json};

use super::{Row, Style, wrap};
use crate::faces::words::span;
use crate::gauge::plain;
use crate::model::{Class, Diagnosis, Evidence};
use crate::wire::client::WhyView;

/// Where the words begin that stand beside a name.
const COLUMN: usize = 11;

/// Columns of the words where the width is not known.
const READABLE: usize = 100;

/// How many lines that were set aside are shown.
const MOST: usize = 4;

/// The rows of a diagnosis, for so many columns. `of_workflow`: the rule that decided is one of the workflow's own.
pub fn rows(said: &Diagnosis, of_workflow: bool, width: usize) -> Vec<Row> {
    let columns = width.min(READABLE).saturating_sub(COLUMN).max(20);
    let (style, shape) = match said.class {
        Class::None => (Style::Good, "✓"),
        Class::Unknown => (Style::Asking, "?"),
        Class::DeviceOom
        | Class::HostResource
        | Class::DiskFull
        | Class::Hardware
        | Class::CollectiveHang
        | Class::Divergence
        | Class::Interrupted
        | Class::Network
        | Class::RateLimit
        | Class::LockContention
        | Class::Capacity
        | Class::Auth
        | Class::Environment
        | Class::InputData
        | Class::CodeConfig
        | Class::TestFailure => (Style::Bad, "×"),
    };
    let class = if said.class == Class::None { "no failure" } else { said.class.as_str() };
    let sure = format!("  {} sure", percent(said.confidence));
    let mut rows = vec![Row::new().add(style, shape).space(1).add(Style::Bold, class).add(Style::Dim, &sure)];
    beside(&mut rows, "why", &said.explanation, columns);
    if let Some(line) = &said.evidence {
        beside(&mut rows, &format!("line {}", line.number), &safe(&line.line), columns);
    }
    if let (Some(rule), Some(role)) = (&said.rule, said.role) {
        let whose = if of_workflow { ", of the workflow" } else { "" };
        beside(&mut rows, "rule", &format!("{rule} ({}{whose})", role.as_str()), columns);
    }
    if said.class != Class::None {
        beside(&mut rows, "do", &format!("{}: {}", said.advice, said.advice.words()), columns);
    }
    for (place, line) in said.cascades.iter().take(MOST).enumerate() {
        let name = if place == 0 { "aside" } else { "" };
        let row = named(name).add(Style::Dim, &format!("line {}: {}", line.number, safe(&line.line)));
        rows.push(row);
    }
    if said.cascades.len() > MOST {
        rows.push(named("").add(Style::Dim, &format!("and {} more", said.cascades.len() - MOST)));
    }
    rows
}

/// The rows of what the engine found about an attempt, and decided.
pub fn of_attempt(view: WhyView, width: usize) -> Vec<Row> {
    let head = format!("{} attempt {}: {} after {}", view.step_name, view.attempt, view.end, span(view.ran_ms));
    let mut all = vec![Row::new().add(Style::Bold, &head)];
    match view.diagnosis {
        Some(said) => all.extend(rows(&said.into(), view.of_workflow, width)),
        None => all.push(Row::new().add(Style::Dim, "not judged: it was ended on somebody's word, or left no trace")),
    }
    if !view.decided.is_empty() {
        beside(&mut all, "decided", &view.decided, width.min(READABLE).saturating_sub(COLUMN).max(20));
    }
    all
}

fn named(name: &str) -> Row {
    Row::new().space(2).field(Style::Dim, name, COLUMN - 2)
}

fn beside(rows: &mut Vec<Row>, name: &str, words: &str, columns: usize) {
    let name = if name.len() > COLUMN - 3 { name.replacen("line ", "", 1) } else { name.to_owned() };
    for (place, line) in wrap(words, columns).iter().enumerate() {
        rows.push(named(if place == 0 { &name } else { "" }).text(line));
    }
}

fn percent(confidence: f64) -> String {
    format!("{:.0} %", confidence * 100.0)
}

/// The line as it may be shown, also by a program that prints JSON to a terminal.
fn safe(line: &str) -> String {
    plain::line(line.as_bytes())
}

/// As one object.
pub fn object(said: &Diagnosis) -> Value {
    let line = |line: &Evidence| json!({ "rule": line.rule, "line": safe(&line.line), "line_number": line.number });
    json!({
        "class": said.class.as_str(),
        "action": said.advice.as_str(),
        "confidence": said.confidence,
        "rule": said.rule,
        "role": said.role.map(crate::model::Role::as_str),
        "line": said.evidence.as_ref().map(|line| safe(&line.line)),
        "line_number": said.evidence.as_ref().map(|line| line.number),
        "explanation": said.explanation,
        "cascades": said.cascades.iter().map(line).collect::<Vec<_>>(),
    })
}
