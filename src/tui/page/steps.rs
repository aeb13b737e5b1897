//! The steps as a tree: shape, name, and what each waits for or how it is. Readable without colour. Pure.

use std::collections::HashSet;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::faces::words::{span, took};
use crate::tui::draw::{Frame, Pen, bar, first_shown, fit, row, width};
use crate::tui::model::{Kind, Model, Progress, Row, RowKey};
use crate::tui::theme::{Role, role_of};
use crate::wire::client::{RunView, StepState, StepView, WaitKind};

/// Draws the tree in a box.
pub fn draw(model: &Model, area: Rect, buf: &mut Buffer) {
    let Some(run) = &model.run else {
        Frame::light("Steps").draw(buf, &model.manner.theme, area);
        return;
    };
    let counts = counts(run);
    let inner = Frame::light("Steps").right(&counts).draw(buf, &model.manner.theme, area);
    list(model, run, inner, buf);
}

/// Draws the rows alone: the whole screen of a tiny terminal.
pub fn list(model: &Model, run: &RunView, area: Rect, buf: &mut Buffer) {
    let rows = model.rows();
    let cursor = rows.iter().position(|row| Some(&row.key) == model.selected.as_ref()).unwrap_or(0);
    let first = first_shown(cursor, rows.len(), usize::from(area.height));
    for (line, tree_row) in (0..area.height).zip(rows.iter().skip(first)) {
        let here = row(area, line);
        let mut pen = Pen::new(buf, &model.manner.theme, here);
        if Some(&tree_row.key) == model.selected.as_ref() {
            pen = pen.over(Role::Selected);
        }
        one(model, run, tree_row, &mut pen);
        pen.rest();
    }
}

/// `1✓ 2● 1▲`: how many lanes are how, the urgent first.
pub fn counts(run: &RunView) -> String {
    let mut all: Vec<(u8, &str, usize)> = Vec::new();
    for step in &run.steps {
        let shape = step.state.shape();
        match all.iter_mut().find(|(_, one, _)| *one == shape) {
            Some((_, _, count)) => *count += 1,
            None => all.push((crate::tui::model::urgency(step.state), shape, 1)),
        }
    }
    all.sort_unstable();
    all.iter().map(|(_, shape, count)| format!("{count}{shape}")).collect::<Vec<_>>().join(" ")
}

fn one(model: &Model, run: &RunView, tree_row: &Row, pen: &mut Pen<'_>) {
    match &tree_row.kind {
        Kind::Step { place } => lane(model, &run.steps[*place], &run.steps[*place].step, 0, pen),
        Kind::Lane { place } => lane(model, &run.steps[*place], &run.steps[*place].label, 2, pen),
        Kind::Matrix { places, folded } => matrix(model, run, (&tree_row.key, places, *folded), pen),
    }
}

fn matrix(model: &Model, run: &RunView, (key, places, folded): (&RowKey, &[usize], bool), pen: &mut Pen<'_>) {
    let (RowKey::Matrix(name) | RowKey::Lane(name)) = key;
    let mut counts: Vec<(u8, &str, usize)> = Vec::new();
    for place in places {
        let state = run.steps[*place].state;
        match counts.iter_mut().find(|(_, shape, _)| *shape == state.shape()) {
            Some((_, _, count)) => *count += 1,
            None => counts.push((crate::tui::model::urgency(state), state.shape(), 1)),
        }
    }
    counts.sort_unstable();
    let worst =
        places.iter().map(|place| run.steps[*place].state).min_by_key(|state| crate::tui::model::urgency(*state));
    let role = worst.map_or(Role::Plain, role_of);
    let end = counts.iter().map(|(_, shape, count)| format!("{count}{shape}")).collect::<Vec<_>>().join(" ");
    let marked = marks(model, run, places);
    pen.text(role, if folded { "▸" } else { "▾" });
    pen.text(Role::Plain, marked);
    let room = pen.left().saturating_sub(width(&end) + 1);
    pen.field(Role::Plain, &format!("{name}  ×{}", places.len()), room);
    pen.space(1).text(role, &end);
}

fn marks(model: &Model, run: &RunView, places: &[usize]) -> &'static str {
    let marked = |place: &usize| model.marked.contains(&model.lane_key(&run.steps[*place]));
    if !places.is_empty() && places.iter().all(marked) { "*" } else { " " }
}

fn lane(model: &Model, step: &StepView, name: &str, indent: usize, pen: &mut Pen<'_>) {
    let role = if step.stands() { Role::Attention } else { role_of(step.state) };
    pen.space(indent).text(role, step.shape());
    pen.text(Role::Plain, if model.marked.contains(&model.lane_key(step)) { "*" } else { " " });
    let left = pen.left();
    let longest = left.saturating_sub(12).clamp(8, 40).min(left);
    let named = width(name).min(longest);
    let words = state_words(model, step, left.saturating_sub(named + 2));
    let named = left.saturating_sub(width(&words) + 1).max(named.min(left));
    pen.field(if step.state == StepState::Skipped { Role::Dim } else { Role::Plain }, name, named);
    pen.space(1).text(role, &words);
}

/// When the answer to its question takes effect, where there is one that can still be taken back.
pub(super) fn held(step: &StepView) -> Option<i64> {
    step.waits.iter().find(|wait| wait.kind == WaitKind::Undo).map(|wait| wait.until_ms)
}

/// How a lane is and what it waits for, in at most so many columns.
pub fn state_words(model: &Model, step: &StepView, columns: usize) -> String {
    let now = model.now_ms;
    let over = model.run.as_ref().is_some_and(|run| run.line.state.ended());
    let needs_you = |what: &str| format!("{what} needs you");
    if let Some(until) = held(step) {
        return fit(&format!("answered, in {}", span(until - now)), columns);
    }
    let words = match step.state {
        StepState::Running if step.stands() => needs_you("stands still -"),
        StepState::Running => return running(model, step, columns),
        StepState::Ready => {
            format!("ready  {}", took(step, now).map_or_else(String::new, span))
        }
        StepState::Waiting => waiting(model, step),
        StepState::Starting => "starting".into(),
        StepState::Probing => "asks its probe".into(),
        StepState::Verifying => "being verified".into(),
        StepState::Stopping => match step.until_ms {
            Some(until) => format!("stopping, killed in {}", span(until - now)),
            None => "stopping".into(),
        },
        StepState::Retrying => {
            let tries = format!("{}/{}", step.attempt + 1, step.max_attempts.max(step.attempt + 1));
            match step.until_ms {
                Some(until) if until > now => format!("retry {tries} in {}", span(until - now)),
                Some(_) | None if model.run.as_ref().is_some_and(|run| run.line.paused) => {
                    format!("retry {tries}, paused")
                }
                Some(_) | None => format!("retry {tries} now"),
            }
        }
        // Nobody waits for an answer any more.
        StepState::Asking if over => step.exit.clone().unwrap_or_else(|| "not answered".into()),
        StepState::Unknown if over => "UNKNOWN".into(),
        StepState::Asking => needs_you(&step.exit.as_ref().map_or_else(String::new, |exit| format!("{exit} -"))),
        StepState::Unknown => needs_you("UNKNOWN -"),
        StepState::Gate => match step.until_ms {
            Some(until) => format!("approve? {} left", span(until - now)),
            None => "approve?".into(),
        },
        StepState::Unreachable => "UNREACHABLE, waits".into(),
        StepState::Succeeded => took(step, now).map_or_else(|| step.detail.clone(), span),
        StepState::Failed if step.attempt == 0 && step.command.is_empty() => "rejected".into(),
        StepState::Failed => step.exit.clone().unwrap_or_else(|| "failed".into()),
        StepState::Skipped if step.detail.is_empty() => "skipped".into(),
        StepState::Skipped => step.detail.clone(),
        StepState::Stopped => "stopped".into(),
    };
    fit(words.trim(), columns)
}

/// The needs of a step that are not met yet.
pub(super) fn open_needs<'a>(model: &Model, step: &'a StepView) -> Vec<&'a str> {
    // All in one look at the lanes: both may be thousands.
    let wanted: HashSet<&str> = step.needs.iter().map(String::as_str).collect();
    let lanes = model.run.iter().flat_map(|run| &run.steps).filter(|one| wanted.contains(one.step.as_str()));
    let (mut known, mut open) = (HashSet::new(), HashSet::new());
    for lane in lanes {
        known.insert(lane.step.as_str());
        if !matches!(lane.state, StepState::Succeeded | StepState::Skipped) {
            open.insert(lane.step.as_str());
        }
    }
    let is_met = |need: &str| known.contains(need) && !open.contains(need);
    step.needs.iter().map(String::as_str).filter(|need| !is_met(need)).collect()
}

fn waiting(model: &Model, step: &StepView) -> String {
    let open = open_needs(model, step);
    match open[..] {
        [] if step.detail.is_empty() => "waits".into(),
        [] => step.detail.clone(),
        _ => format!("← {}", open.join(", ")),
    }
}

fn running(model: &Model, step: &StepView, columns: usize) -> String {
    let elapsed = took(step, model.now_ms).map_or_else(String::new, span);
    if step.attached.is_some() {
        return fit(&format!("typed into  {elapsed}"), columns);
    }
    if let Some(late) = step.overdue(model.now_ms) {
        return fit(&format!("checkpoint {} late", span(late)), columns);
    }
    if let Some(look) = step.waits.iter().find(|wait| wait.kind == WaitKind::Look) {
        return fit(&format!("next look {}", span(look.until_ms - model.now_ms)), columns);
    }
    // What the engine foretells knows of earlier runs, and says how sure it is.
    let told = step.progress.and_then(|told| told.left).map(|left| left_words(left.p10_ms, left.p90_ms));
    let share = step.progress.and_then(|told| told.done);
    let seen = model.progress.get(&model.lane_key(step)).copied();
    let seen = seen.or(share.map(|fraction| Progress { fraction, left_ms: None }));
    let Some(progress) = seen else {
        let words = told.map_or_else(|| elapsed.clone(), |left| format!("{elapsed}, {left} left"));
        return fit(if width(&words) <= columns { &words } else { &elapsed }, columns);
    };
    let percent = format!("{:.0}%", (progress.fraction * 100.0).clamp(0.0, 100.0).floor());
    let left = told.or(progress.left_ms.map(span)).map_or(elapsed, |left| format!("{left} left"));
    let short = format!("{percent} {left}");
    let rest = columns.saturating_sub(width(&short) + 1);
    if rest < 4 {
        return fit(&short, columns);
    }
    format!("{percent} {} {left}", bar(progress.fraction, rest.min(16)))
}

/// What is left, as a range while it is wide: `1h02m-1h20m`.
fn left_words(low_ms: i64, high_ms: i64) -> String {
    let (low, high) = (span(low_ms), span(high_ms));
    if low == high || high_ms < low_ms + low_ms / 5 { high } else { format!("{low}-{high}") }
}
