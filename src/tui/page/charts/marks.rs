//! What happened meanwhile, on the axis of a chart: checkpoints that were saved, failures and the like. Pure.

use super::axis::Lying;
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::wire::client::{ChartAxis, LineView};

/// Records that explain a line.
const KINDS: [&str; 8] = [
    "attempt.retry",
    "attempt.stalled",
    "attempt.alert",
    "attempt.unknown",
    "escalation.opened",
    "step.failed",
    "step.unknown",
    "step.stopped",
];

/// Something on the axis.
pub(super) struct Mark {
    pub(super) cell: usize,
    pub(super) sign: &'static str,
    pub(super) role: Role,
    pub(super) words: String,
}

/// What concerns these lines, events last: they are never hidden by a checkpoint.
pub(super) fn marks(model: &Model, lines: &[&LineView], lying: &Lying) -> Vec<Mark> {
    let began = model.run.as_ref().map_or(0, |run| run.line.created_ms);
    let of = |name: &str| lines.iter().copied().find(|line| !line.with && line.step_name == name);
    let cell = |line: &LineView, step: Option<i64>, at_ms: i64| match (lying.axis, step) {
        (ChartAxis::Time, _) => lying.cell(at_ms - began),
        (ChartAxis::Step, Some(step)) => lying.cell(step),
        (ChartAxis::Step, None) => when(line, at_ms).map(|column| lying.cell_of(column)),
    };
    let saved = model.checkpoints.iter().filter_map(|one| {
        let line = of(&one.step_name)?;
        let words = one.step.map_or_else(|| "checkpoint".into(), |step| format!("checkpoint at step {step}"));
        Some(Mark { cell: cell(line, one.step, one.seen_ms)?, sign: "●", role: Role::Good, words })
    });
    let happened = model.events.iter().filter(|event| KINDS.contains(&event.kind.as_str())).filter_map(|event| {
        let cell = cell(of(&event.step)?, None, event.at_ms)?;
        let words = format!("{}: {}", event.step, event.text);
        Some(Mark { cell, sign: "▲", role: Role::Attention, words })
    });
    saved.chain(happened).collect()
}

/// The column of a line in which this moment lies.
fn when(line: &LineView, at_ms: i64) -> Option<usize> {
    let spans = line.columns.iter().filter_map(|column| Some((column.0, column.1?)));
    let mut before = None;
    for (n, span) in spans {
        if span.3 >= at_ms {
            return Some(n as usize);
        }
        before = Some(n as usize);
    }
    before
}
