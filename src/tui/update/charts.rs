//! What keys do among the metrics, and the pictures that are asked for because of it.

use crate::faces::words::run_name;
use crate::tui::draw::Room;
use crate::tui::draw::layout;
use crate::tui::keys::Action;
use crate::tui::message::{Effect, Link, Purpose, Refused};
use crate::tui::model::{AskedChart, Model, View};
use crate::tui::page::charts;
use crate::wire::client::{Ask, ChartAxis, Reply};

/// Why an action makes no sense here; `None`: it is not of this page.
pub(super) fn allowed(model: &Model, action: Action) -> Option<Result<(), String>> {
    let some = |there: bool, why: &str| Some(if there { Ok(()) } else { Err(why.to_owned()) });
    let drawn = || model.chart().is_some_and(|chart| chart.range.is_some());
    match action {
        Action::Mark | Action::Pin => some(model.series_here().is_some(), "there is no series here"),
        Action::Find => some(model.chart().is_some_and(|chart| !chart.lines.is_empty()), "there are no series yet"),
        Action::Left | Action::Right | Action::LogAxis | Action::Smooth | Action::StepOrTime => {
            some(drawn(), "nothing is drawn")
        }
        Action::ZoomIn => some(drawn() && narrowed(model, true).is_some(), "nearer than that there is nothing"),
        Action::ZoomOut => some(model.charts.range.is_some(), "everything is shown already"),
        Action::Overlay => some(!model.overlays().is_empty(), "there is no earlier run of this workflow"),
        Action::Export => some(!model.drawn_series().is_empty(), "no series is shown"),
        _ => None,
    }
}

/// Does it; `None`: it is not of this page.
pub(super) fn act(model: &mut Model, action: Action) -> Option<Vec<Effect>> {
    match action {
        Action::Mark => {
            let (name, shown) = model.series_here().map(|row| (row.name.to_owned(), row.shown))?;
            // The cursor stays, whatever is drawn now.
            model.charts.selected = Some(name.clone());
            model.charts.shown.insert(name, !shown);
        }
        Action::Pin => return pin(model),
        Action::Left | Action::Right => step(model, if action == Action::Left { -1 } else { 1 }),
        Action::ZoomIn => model.charts.range = narrowed(model, true),
        Action::ZoomOut => model.charts.range = narrowed(model, false),
        Action::LogAxis => model.charts.log = !model.charts.log,
        Action::Smooth => model.charts.smooth = model.charts.smooth.next(),
        Action::StepOrTime => {
            let other = if model.charts.axis == ChartAxis::Step { ChartAxis::Time } else { ChartAxis::Step };
            (model.charts.axis, model.charts.range, model.charts.at) = (other, None, None);
        }
        Action::Overlay => overlay(model),
        Action::Export => return export(model),
        Action::Find => super::lists::entry(model, crate::tui::panel::entry::Wanted::Metrics),
        _ => return None,
    }
    Some(Vec::new())
}

fn pin(model: &mut Model) -> Option<Vec<Effect>> {
    let run = model.run.as_ref()?.line.id.clone();
    let row = model.series_here()?;
    let (name, pinned) = (row.name.to_owned(), !row.pinned);
    // Lanes of a step are one step.
    let mut steps: Vec<&str> = row.lines.iter().map(|line| line.step_name.as_str()).collect();
    steps.dedup_by_key(|name| name.split('[').next().unwrap_or_default());
    let ask = |step: &str| {
        Effect::tell(Ask::PinMetric { run: run.clone(), step: step.to_owned(), name: name.clone(), pinned })
    };
    let effects = steps.into_iter().map(ask).collect();
    model.charts.selected = Some(name.clone());
    Some(effects)
}

/// How many of its units one cell of the largest plot is wide, at least one.
fn cell(model: &Model) -> Option<(i64, (i64, i64))> {
    let range = model.chart()?.range?;
    let cells = i64::try_from(charts::plot_cells(room(model))).unwrap_or(1).max(1);
    Some((((range.1.saturating_sub(range.0)).saturating_add(1) / cells).max(1), range))
}

pub(super) fn room(model: &Model) -> ratatui::layout::Rect {
    layout(model).of(Room::Page).unwrap_or_default()
}

/// Moves the cursor by a cell; at the edge what is looked at moves along.
fn step(model: &mut Model, by: i64) {
    let Some((cell, (from, to))) = cell(model) else { return };
    let extent = model.chart().and_then(|chart| chart.extent).unwrap_or((from, to));
    let at = model.charts.at.map_or(if by < 0 { to } else { from }, |at| at.saturating_add(by.saturating_mul(cell)));
    let at = at.clamp(extent.0.min(from), extent.1.max(to));
    if let Some((from, to)) = model.charts.range
        && (at < from || at > to)
    {
        let shift = if at < from { at - from } else { at - to };
        model.charts.range = Some((from.saturating_add(shift), to.saturating_add(shift)));
    }
    model.charts.at = Some(at);
}

/// Half of what is looked at, or twice as much, round the cursor; `None`: everything, or no less.
fn narrowed(model: &Model, nearer: bool) -> Option<(i64, i64)> {
    let chart = model.chart()?;
    let ((from, to), extent) = (model.charts.range.or(chart.range)?, chart.extent?);
    let wide = to.saturating_sub(from);
    let wide = if nearer { wide / 2 } else { wide.saturating_mul(2).saturating_add(1) };
    if nearer && wide < 1 {
        return None;
    }
    // Without a cursor: the newest.
    let at = model.charts.at.unwrap_or(to).clamp(from, to);
    let far = i128::from(at.saturating_sub(from)) * i128::from(wide) / i128::from(to.saturating_sub(from).max(1));
    let begin = at.saturating_sub(i64::try_from(far).unwrap_or(0));
    let range = (begin, begin.saturating_add(wide));
    let all = range.0 <= extent.0 && range.1 >= extent.1 || wide >= extent.1.saturating_sub(extent.0);
    (nearer || !all).then_some(range)
}

/// The next earlier run; after the oldest none.
fn overlay(model: &mut Model) {
    let older: Vec<(String, String)> = model.overlays().iter().map(|run| (run.id.clone(), run_name(run))).collect();
    let next = match &model.charts.with {
        None => 0,
        Some(with) => older.iter().position(|(id, _)| id == with).map_or(0, |place| place + 1),
    };
    model.charts.with = older.get(next).map(|(id, _)| id.clone());
    match older.get(next) {
        Some((_, name)) => model.say(format!("{name} is laid over it; again: one before that")),
        None => model.say("no other run is laid over it"),
    }
}

fn export(model: &mut Model) -> Option<Vec<Effect>> {
    let line = &model.run.as_ref()?.line;
    let names = model.drawn_series().iter().map(|row| row.name.to_owned()).collect();
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' };
    let file = format!("{}-{}-metrics", line.name.chars().take(64).map(safe).collect::<String>(), line.number);
    Some(vec![Effect::ExportMetrics { run: line.id.clone(), names, file }])
}

/// Moves in the list of series.
pub(super) fn go(model: &mut Model, action: Action) {
    let names: Vec<String> = model.series().iter().map(|row| row.name.to_owned()).collect();
    let Some(last) = names.len().checked_sub(1) else { return };
    let here = model.series_here().and_then(|row| names.iter().position(|name| name == row.name)).unwrap_or(0);
    let page = usize::from(model.size.rows.saturating_sub(6)).max(1);
    let there = match action {
        Action::Up => here.saturating_sub(1),
        Action::Down => here + 1,
        Action::FocusNext => (here + 1) % names.len(),
        Action::PageUp => here.saturating_sub(page),
        Action::PageDown => here + page,
        Action::Top => 0,
        Action::Bottom => last,
        _ => here,
    };
    model.charts.selected = Some(names[there.min(last)].clone());
}

/// Esc: without a cursor, then all of it, then the whole list; false: there is nothing to go back from.
pub(super) fn back(model: &mut Model) -> bool {
    model.charts.at.take().is_some()
        || model.charts.range.take().is_some()
        || !std::mem::take(&mut model.filters.metrics).is_empty()
}

/// Asks for the picture that is not there yet.
pub(super) fn wants(model: &mut Model) -> Option<Effect> {
    if model.link != Link::Up || model.view != View::Metrics {
        return None;
    }
    let columns = u32::try_from(charts::plot_cells(room(model)) * 2).unwrap_or(2);
    let ask = model.chart_wanted(columns)?;
    if !model.chart_due(&ask) {
        return None;
    }
    let live = model.charts.asked.as_ref().is_some_and(|asked| asked.ask == ask);
    let at_ms = model.now_ms;
    model.charts.asked = Some(AskedChart { ask: ask.clone(), at_ms, open: true });
    Some(Effect::Ask { why: Purpose::Chart { live }, ask: Box::new(Ask::Chart(ask)) })
}

/// The engine's answer to [`wants`].
pub(super) fn answered(model: &mut Model, result: Result<Reply, Refused>) {
    let Some(asked) = &mut model.charts.asked else { return };
    asked.open = false;
    match result {
        Ok(Reply::Chart(view)) => {
            model.charts.view = Some((asked.ask.run.clone(), view));
            model.charts.refused = None;
        }
        Ok(_) => model.charts.refused = Some("the engine's answer is not understood".into()),
        Err(refused) => model.charts.refused = Some(refused.words),
    }
}
