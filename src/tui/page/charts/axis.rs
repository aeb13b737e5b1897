//! The axes of a chart: which value lies where, and what is written beside and below. Pure.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::words::{number, place};
use crate::series::Ruler;
use crate::tui::draw::{Pen, row, width};
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::wire::client::ChartAxis;

/// Cells left of a plot: a label and its tick.
pub(super) const LABELS: usize = 7;

/// The upright axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Upright {
    /// Powers of ten.
    log: bool,
    /// As the axis counts.
    from: f64,
    to: f64,
    rows: usize,
}

impl Upright {
    /// For all of these values; `None` where none can be drawn. `rows` of dots.
    pub(super) fn of(values: impl Iterator<Item = f64>, log: bool, rows: usize) -> Option<Self> {
        let on_axis = values.filter_map(|value| scaled(value, log));
        let (from, to) = on_axis.fold((f64::INFINITY, f64::NEG_INFINITY), |(from, to), at| (from.min(at), to.max(at)));
        if from > to || rows == 0 {
            return None;
        }
        let pad = if to - from > f64::EPSILON * to.abs().max(from.abs()) * 8.0 {
            0.0
        } else if log {
            0.5
        } else {
            // A line that is level lies in the middle.
            // Always the same: in the middle, between numbers that can be read.
            if from == 0.0 { 1.0 } else { from.abs() * 0.05 }
        };
        Some(Self { log, from: from - pad, to: to + pad, rows })
    }

    /// The row of dots of a value, from the top; `None` where the axis has no place for it.
    pub(super) fn dot(&self, value: f64) -> Option<usize> {
        let far = (scaled(value, self.log)? - self.from) / (self.to - self.from);
        let last = self.rows - 1;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the rows of a screen")]
        let up = (far.clamp(0.0, 1.0) * rows(last)).round() as usize;
        Some(last - up.min(last))
    }

    /// The value in the middle of a row of cells.
    fn value(&self, cell: usize) -> f64 {
        let last = rows(self.rows.saturating_sub(1).max(1));
        let dot = (rows(cell) * 4.0 + 1.5).min(last);
        let at = self.to - (self.to - self.from) * dot / last;
        if self.log { 10f64.powf(at) } else { at }
    }

    /// Labels beside some of the rows, with the ticks of all.
    pub(super) fn draw(&self, model: &Model, name: &str, area: Rect, buf: &mut Buffer) {
        let every = if area.height > 8 { 3 } else { 2 };
        for line in 0..area.height {
            let text = if line % every == 0 { number(name, self.value(usize::from(line))) } else { String::new() };
            let mut pen = Pen::new(buf, &model.manner.theme, row(area, line));
            let room = usize::from(area.width).saturating_sub(1);
            pen.space(room.saturating_sub(width(&text))).text(Role::Dim, &text);
            pen.text(Role::Border, if text.is_empty() { "│" } else { "┤" });
        }
    }
}

fn scaled(value: f64, log: bool) -> Option<f64> {
    match log {
        _ if !value.is_finite() => None,
        true => (value > 0.0).then(|| value.log10()),
        false => Some(value),
    }
}

fn rows(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The lying axis, in cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lying {
    pub(super) axis: ChartAxis,
    pub(super) range: (i64, i64),
    pub(super) cells: usize,
    /// Of the picture that the engine made.
    pub(super) columns: usize,
}

/// The column of dots of a column of the engine's picture: the first and the last stay what they are.
pub(super) fn dot_of(column: usize, columns: usize, dots: usize) -> usize {
    if dots > columns && columns > 1 { column * (dots - 1) / (columns - 1) } else { column * dots / columns.max(1) }
}

impl Lying {
    /// The cell of a place.
    pub(super) fn cell(&self, at: i64) -> Option<usize> {
        let column = Ruler::new(self.range.0..=self.range.1, self.columns).column(at)?;
        Some(self.cell_of(column))
    }

    /// The cell of a column of the picture.
    pub(super) fn cell_of(&self, column: usize) -> usize {
        dot_of(column, self.columns, self.cells * 2) / 2
    }

    /// The line itself, with these signs on it, and below it, where there is room, what stands where.
    pub(super) fn draw(&self, model: &Model, signs: &[(usize, &str, Role)], area: Rect, buf: &mut Buffer) {
        let theme = &model.manner.theme;
        let ticks: Vec<(usize, i64)> = self.ticks().into_iter().filter_map(|at| Some((self.cell(at)?, at))).collect();
        let mut line: Vec<(&str, Role)> = vec![("─", Role::Border); self.cells];
        for (cell, _) in ticks.iter().filter(|_| area.height > 1) {
            line[*cell] = ("┬", Role::Border);
        }
        for (cell, sign, role) in signs {
            line[*cell] = (sign, *role);
        }
        let mut pen = Pen::new(buf, theme, row(area, 0));
        pen.space(LABELS - 1).text(Role::Border, "└");
        for (sign, role) in line {
            pen.text(role, sign);
        }
        if area.height < 2 {
            return;
        }
        let mut pen = Pen::new(buf, theme, row(area, 1));
        pen.space(LABELS);
        let mut used = 0;
        for (cell, at) in ticks {
            let label = place(self.axis, at);
            if cell < used || cell + width(&label) > self.cells {
                continue;
            }
            pen.space(cell - used).text(Role::Dim, &label);
            used = cell + width(&label) + 1;
            pen.space(1);
        }
        let what = if self.axis == ChartAxis::Step { "step" } else { "time" };
        if pen.left() > width(what) {
            pen.until_left(width(what)).text(Role::Dim, what);
        }
    }

    /// Round numbers, not more than there is room for.
    fn ticks(&self) -> Vec<i64> {
        let (from, to) = self.range;
        let wide = to.saturating_sub(from).max(1);
        let most = i64::try_from(self.cells / 10).unwrap_or(1).clamp(1, 20);
        let apart = match self.axis {
            ChartAxis::Step => {
                (0..18).flat_map(|power| [1, 2, 5].map(|one: i64| one * 10i64.pow(power))).collect::<Vec<_>>()
            }
            ChartAxis::Time => {
                TIMES.iter().map(|seconds| seconds * 1000).chain((0..12).map(|power| 86_400_000 << power)).collect()
            }
        };
        let apart = apart.into_iter().find(|apart| wide / apart < most.max(2)).unwrap_or(wide);
        let first = from.div_euclid(apart).saturating_mul(apart);
        let first = if first < from { first.saturating_add(apart) } else { first };
        (0..=most).map(|n| first.saturating_add(n.saturating_mul(apart))).take_while(|at| *at <= to).collect()
    }
}

/// Round times, in seconds.
const TIMES: [i64; 13] = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 10_800, 21_600];
