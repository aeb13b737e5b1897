//! The metrics: a chart for each series that is shown, its lanes laid over one another, and beside them the list of all. Draws
//! what the engine made of the points; pure.

mod axis;
mod canvas;
mod chart;
mod marks;
pub mod words;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use self::words::{latest, trend_sign};
use crate::tui::draw::{Frame, Pen, first_shown, row, width, wrap};
use crate::tui::model::{Model, SeriesRow};
use crate::tui::theme::Role;
use crate::wire::client::{ChartAxis, Trend};

/// Columns of the list.
const LIST: u16 = 30;
/// A chart is at least so large.
const LEAST: (u16, u16) = (30, 8);

/// Where the charts stand and where the list, which is empty where there is no room for it.
fn rooms(room: Rect) -> (Rect, Rect) {
    let list = if room.width < 60 || room.height < 10 { 0 } else { LIST.min(room.width * 2 / 5) };
    (Rect { width: room.width - list, ..room }, Rect { x: room.right() - list, width: list, ..room })
}

/// Where so many charts stand: a large one, and the others below it side by side, as many as there is room for.
fn places(area: Rect, charts: usize) -> Vec<Rect> {
    let others = u16::try_from(charts.saturating_sub(1)).unwrap_or(u16::MAX);
    if others == 0 || area.height < 2 * LEAST.1 {
        return vec![area; charts.min(1)];
    }
    let across = (area.width / LEAST.0).clamp(1, others.min(4));
    let below = area.height / if others > across { 2 } else { 3 };
    let below = below.max(LEAST.1).min(area.height - LEAST.1);
    let down = (below / LEAST.1).clamp(1, others.div_ceil(across));
    let mut all = vec![Rect { height: area.height - below, ..area }];
    for n in 0..others.min(across * down) {
        let (column, line) = (n % across, n / across);
        let (from, to) = (area.width * column / across, area.width * (column + 1) / across);
        let (top, bottom) = (below * line / down, below * (line + 1) / down);
        let y = area.bottom() - below + top;
        all.push(Rect { x: area.x + from, y, width: to - from, height: bottom - top });
    }
    all
}

/// Cells that the plot of the largest chart is wide.
pub fn plot_cells(room: Rect) -> usize {
    usize::from(rooms(room).0.width).saturating_sub(2 + axis::LABELS).max(1)
}

/// Draws the page.
pub fn draw(model: &Model, room: Rect, buf: &mut Buffer) {
    let (charts, list) = rooms(room);
    let drawn = model.drawn_series();
    let places = places(charts, drawn.len());
    if drawn.is_empty() {
        nothing(model, charts, buf);
    }
    for (place, (area, row)) in places.iter().zip(&drawn).enumerate() {
        chart::draw(model, row, place == 0, *area, buf);
    }
    if list.width > 0 {
        let hidden = drawn.len().saturating_sub(places.len());
        self::list(model, hidden, list, buf);
    }
}

fn nothing(model: &Model, area: Rect, buf: &mut Buffer) {
    let theme = &model.manner.theme;
    let inner = Frame::light("Metrics").draw(buf, theme, area);
    let words = match (&model.charts.refused, model.chart()) {
        (Some(why), _) => why.clone(),
        (None, None) => "asking the engine …".into(),
        (None, Some(chart)) if chart.lines.is_empty() => {
            "No numbers were seen in this run. What looks like name=value is found by itself; [[steps.x.metrics]] says \
             where others are."
                .into()
        }
        (None, Some(_)) => "No series is shown: Space shows the one under the cursor.".into(),
    };
    let lines = wrap(&words, usize::from(inner.width.saturating_sub(2)));
    for (place, line) in (0..inner.height).zip(lines) {
        Pen::new(buf, theme, row(inner, place)).space(1).text(Role::Dim, &line);
    }
}

/// A line of the list.
enum Item<'a> {
    System,
    One(SeriesRow<'a>),
}

fn list(model: &Model, hidden: usize, area: Rect, buf: &mut Buffer) {
    let theme = &model.manner.theme;
    let filter = &model.filters.metrics;
    let title = if filter.is_empty() { "Series".into() } else { format!("Series / {filter}") };
    let foot = if hidden == 0 { String::new() } else { format!("{hidden} more: no room") };
    let inner = Frame::light(&title).right(&manner(model)).foot(&foot).draw(buf, theme, area);
    let rows = model.series();
    let here = model.series_here().map(|row| row.name.to_owned());
    let mut items = Vec::new();
    for row in rows {
        if row.system && !items.iter().any(|item| matches!(item, Item::System)) {
            items.push(Item::System);
        }
        items.push(Item::One(row));
    }
    let is_here = |item: &Item<'_>| matches!(item, Item::One(row) if Some(row.name) == here.as_deref());
    let cursor = items.iter().position(is_here).unwrap_or(0);
    let first = first_shown(cursor, items.len(), usize::from(inner.height));
    for (line, item) in (0..inner.height).zip(items.iter().skip(first)) {
        let mut pen = Pen::new(buf, theme, row(inner, line));
        match item {
            Item::System => {
                pen.text(Role::Dim, "System");
            }
            Item::One(one) => {
                if is_here(item) {
                    pen = pen.over(Role::Selected);
                }
                series(one, &mut pen);
                pen.rest();
            }
        }
    }
    if items.is_empty() && !filter.is_empty() {
        Pen::new(buf, theme, row(inner, 0)).text(Role::Dim, "no series has that in its name");
    }
}

/// `[x] loss   1.899 ▼`; where lanes differ, the newest of the first.
fn series(one: &SeriesRow<'_>, pen: &mut Pen<'_>) {
    let line = one.lines.first();
    let value = line.map_or_else(String::new, |line| latest(line));
    let trend = line.map_or(Trend::Flat, |line| line.trend);
    let role = match line.and_then(|line| line.last) {
        Some(last) if last.value.is_none() => Role::Bad,
        Some(_) | None => Role::Plain,
    };
    pen.text(Role::Plain, if one.shown { "[x]" } else { "[ ]" });
    pen.text(Role::Focus, if one.pinned { "★" } else { " " });
    let name = one.name.strip_prefix("system/").filter(|_| one.system).unwrap_or(one.name);
    let names = pen.left().saturating_sub(width(&value) + 3);
    pen.field(Role::Plain, name, names).space(1).text(role, &value).space(1).text(Role::Dim, trend_sign(trend));
}

/// How it is drawn: `step`, `time log ~0.6`, where the last is how much it is smoothed.
fn manner(model: &Model) -> String {
    let charts = &model.charts;
    let mut words = vec![if charts.axis == ChartAxis::Step { "step".to_owned() } else { "time".to_owned() }];
    if charts.log {
        words.push("log".into());
    }
    if charts.smooth.weight() > 0.0 {
        words.push(format!("~{}", charts.smooth.weight()));
    }
    words.join(" ")
}
