//! Every timer of the run: what happens when, and how far it is. Pure.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::faces::words::span;
use crate::tui::draw::{Frame, Pen, bar, row};
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::wire::client::{StepView, WaitKind, WaitView};

/// What a timer is called.
pub fn kind_words(kind: WaitKind) -> &'static str {
    match kind {
        WaitKind::Retry => "retry in",
        WaitKind::Timeout => "times out in",
        WaitKind::Kill => "killed in",
        WaitKind::Deadline => "expires in",
        WaitKind::Undo => "takes effect in",
        WaitKind::RunTimeout => "run ends in",
        WaitKind::Stall => "stall in",
        WaitKind::Look => "next look",
    }
}

/// Draws the box: timers, the nearest first, then the newest checkpoint of each running lane.
pub fn draw(model: &Model, area: Rect, buf: &mut Buffer) {
    let inner = Frame::light("Waits").draw(buf, &model.manner.theme, area);
    let Some(run) = &model.run else {
        return;
    };
    let mut timers: Vec<(&StepView, &WaitView)> =
        run.steps.iter().flat_map(|step| step.waits.iter().map(move |wait| (step, wait))).collect();
    timers.sort_by_key(|(_, wait)| wait.until_ms);
    let mut line = 0;
    // Of thousands only those that are seen are drawn.
    for (step, wait) in timers.into_iter().take(usize::from(inner.height)) {
        timer(model, step, wait, &mut Pen::new(buf, &model.manner.theme, row(inner, line)));
        line += 1;
    }
    let saved = run.steps.iter().filter(|step| step.checkpoint.is_some() && step.ended_ms.is_none());
    for step in saved.take(usize::from(inner.height - line.min(inner.height))) {
        let at = step.checkpoint_step.map_or_else(|| "seen".into(), |at| format!("step {at}"));
        let mut pen = Pen::new(buf, &model.manner.theme, row(inner, line));
        pen.text(Role::Good, "ckpt ").text(Role::Plain, &short(step)).text(Role::Dim, &format!("  {at}"));
        line += 1;
    }
    if line == 0 {
        let words = if run.line.state.ended() { "the run is over" } else { "no timer runs" };
        Pen::new(buf, &model.manner.theme, row(inner, 0)).text(Role::Dim, words);
    }
}

/// A lane's name in a narrow place: its label, where it has one.
pub fn short(step: &StepView) -> String {
    if step.label.is_empty() { step.step.clone() } else { step.label.clone() }
}

fn timer(model: &Model, step: &StepView, wait: &WaitView, pen: &mut Pen<'_>) {
    let left = (wait.until_ms - model.now_ms).max(0);
    let names = if pen.left() > 40 { 14 } else { 10 };
    pen.field(Role::Plain, &short(step), names).space(1);
    let end = span(left);
    let words = kind_words(wait.kind);
    pen.field(Role::Waiting, words, words.len() + 1).text(Role::Strong, &end);
    let Some(since) = wait.since_ms.filter(|since| wait.until_ms > *since) else {
        return;
    };
    let whole = wait.until_ms - since;
    let of = format!(" of {}", span(whole));
    if pen.left() > of.len() + 6 {
        let columns = (pen.left() - of.len() - 1).min(12);
        #[expect(clippy::cast_precision_loss, reason = "a picture of a few columns")]
        let gone = (whole - left) as f64 / whole as f64;
        pen.space(1).text(Role::Dim, &bar(gone, columns));
    }
    if pen.left() >= of.len() {
        pen.text(Role::Dim, &of);
    }
}
