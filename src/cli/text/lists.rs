//! Lists: runs, what runs now, the inbox. Pure.

use super::run::{about, columns, lane};
use super::{Look, Row, Style, run_shape, width};
use crate::faces::words::{clock, run_name, span};
use crate::model::size_words;
use crate::wire::client::{CheckpointView, EscalationView, RunLine, RunView, StepState};

/// One row a run, newest first.
pub fn runs(lines: &[RunLine], now_ms: i64, look: &Look) -> Vec<Row> {
    let names: Vec<String> = lines.iter().map(run_name).collect();
    let longest = names.iter().map(|name| width(name)).max().unwrap_or(0);
    let columns = longest.min((look.width / 3).clamp(8, 48));
    let row = |(line, name): (&RunLine, &String)| {
        let style = Style::of_run(line.shown());
        let took = span(line.ended_ms.unwrap_or(now_ms) - line.created_ms);
        let asking = match line.asking {
            0 => String::new(),
            1 => "  1 question".into(),
            n => format!("  {n} questions"),
        };
        Row::new()
            .add(style, run_shape(line.shown()))
            .space(1)
            .field(Style::Bold, name, columns)
            .space(2)
            .field(style, line.shown().word(), 9)
            .space(2)
            .field(Style::Plain, &format!("{}/{}", line.steps_done, line.steps), 7)
            .field(Style::Plain, &format!("{took:>6}"), 6)
            .space(2)
            .add(Style::Dim, &clock(line.created_ms, now_ms, &look.zone))
            .add(Style::Asking, &asking)
    };
    lines.iter().zip(&names).map(row).collect()
}

/// What runs now: each run that is not over with its lanes that do something or want something.
pub fn ps(views: &[RunView], look: &Look) -> Vec<Row> {
    let mut rows = Vec::new();
    for view in views {
        rows.push(super::run::head(view));
        rows.extend(super::run::trouble(view));
        let busy: Vec<_> = view.steps.iter().filter(|step| active(step.state)).cloned().collect();
        let at = columns(&busy, look);
        rows.extend(busy.iter().map(|step| lane(step, view.now_ms, at, "")));
    }
    rows
}

/// Does something, or wants something.
pub fn active(state: StepState) -> bool {
    !matches!(
        state,
        StepState::Waiting | StepState::Succeeded | StepState::Failed | StepState::Skipped | StepState::Stopped
    )
}

/// Open questions, oldest first.
pub fn inbox(questions: &[EscalationView], now_ms: i64, look: &Look) -> Vec<Row> {
    let wheres: Vec<String> = questions.iter().map(|q| format!("{} {}", q.run_name, q.step)).collect();
    let longest = wheres.iter().map(|w| width(w)).max().unwrap_or(0);
    let columns = longest.min((look.width / 3).clamp(8, 48));
    questions
        .iter()
        .zip(&wheres)
        .map(|(question, place)| {
            Row::new()
                .field(Style::Asking, &format!("e{}", question.id), 5)
                .field(Style::Bold, place, columns)
                .space(2)
                .field(Style::Dim, &format!("{:>6}", span(now_ms - question.opened_ms)), 6)
                .space(2)
                .text(&question.title)
        })
        .collect()
}

/// The checkpoints of a run, under the name of each step.
pub fn checkpoints(seen: &[CheckpointView], now_ms: i64) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut step = "";
    for checkpoint in seen {
        if checkpoint.step_name != step {
            step = &checkpoint.step_name;
            rows.push(Row::new().add(Style::Bold, step));
        }
        let damaged = checkpoint.says.starts_with("damaged");
        let (style, shape) = match (checkpoint.bytes.filter(|_| !damaged), checkpoint.newest) {
            (None, _) => (Style::Bad, "×"),
            (Some(_), true) => (Style::Good, "●"),
            (Some(_), false) => (Style::Plain, "○"),
        };
        let number = checkpoint.step.map_or_else(String::new, |step| format!("step {step}"));
        let size = checkpoint.bytes.map_or_else(|| "gone".into(), size_words);
        let says = Some(format!("  {}", checkpoint.says)).filter(|_| !checkpoint.says.is_empty()).unwrap_or_default();
        let metrics = Some(checkpoint.metric_words()).filter(|words| !words.is_empty());
        let metrics = metrics.map(|words| format!("  {words}")).unwrap_or_default();
        let pinned = if checkpoint.pinned { "  pinned" } else { "" };
        let mark = if checkpoint.newest { "  a resumption takes it" } else { "" };
        rows.push(
            Row::new()
                .space(2)
                .add(style, shape)
                .space(1)
                .field(Style::Plain, &number, 12)
                .field(Style::Dim, &format!("{:>6}", span(now_ms - checkpoint.seen_ms)), 6)
                .space(2)
                .field(style, &format!("{size:>9}"), 9)
                .space(2)
                .text(&checkpoint.path)
                .text(&metrics)
                .add(if damaged { Style::Bad } else { Style::Dim }, &says)
                .add(Style::Dim, pinned)
                .add(Style::Dim, mark),
        );
    }
    rows
}

/// For `ps --json` and the like: a lane in words.
pub fn in_words(view: &RunView) -> Vec<String> {
    view.steps
        .iter()
        .filter(|step| active(step.state))
        .map(|step| format!("{} {} {}", step.name(), step.state.word(), about(step, view.now_ms, "")))
        .collect()
}
