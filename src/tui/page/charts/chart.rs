//! One chart: a series, a line for each of its lanes. Pure.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::axis::{LABELS, Lying, Upright, dot_of};
use super::canvas::{Canvas, Dot, Stroke};
use super::marks::{Mark, marks};
use super::words::{latest, number, place, trend_sign};
use crate::tui::draw::{Frame, Pen, Weight, row, width};
use crate::tui::model::{Model, SeriesRow};
use crate::tui::theme::Role;
use crate::wire::client::{ChartAxis, ChartView, LineView, SpanView};

/// Colours of lines, in their order; each has its own stroke, too.
const COLOURS: [Role; 6] = [Role::Running, Role::Attention, Role::Good, Role::Bad, Role::Focus, Role::Key];

/// What lies in a column of dots.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Nothing,
    Gap,
    Span(SpanView),
}

impl Part {
    fn span(self) -> Option<SpanView> {
        match self {
            Self::Span(span) => Some(span),
            Self::Nothing | Self::Gap => None,
        }
    }
}

/// A line with what it is drawn from.
struct Drawn<'a> {
    line: &'a LineView,
    /// For each column of dots.
    parts: Vec<Part>,
    stroke: Stroke,
    role: Role,
}

/// Draws it.
pub(super) fn draw(model: &Model, series: &SeriesRow<'_>, first: bool, area: Rect, buf: &mut Buffer) {
    let Some(chart) = model.chart() else { return };
    let theme = &model.manner.theme;
    let of_series = chart.lines.iter().filter(|line| line.name == series.name);
    let lines: Vec<&LineView> = of_series.collect();
    let (axis, range) = if series.system && chart.axis == ChartAxis::Step {
        (ChartAxis::Time, chart.time_range)
    } else {
        (chart.axis, chart.range)
    };
    let cells = usize::from(area.width).saturating_sub(2 + LABELS);
    let (from, to) = range.unwrap_or((0, 0));
    let lying = Lying { axis, range: (from, to.max(from)), cells, columns: (chart.columns as usize).max(1) };
    let drawn = spans(model, &lines, chart, cells);
    let cursor = model.charts.at.filter(|_| axis == chart.axis).and_then(|at| lying.cell(at));
    let marks = marks(model, &lines, &lying);
    let mut frame = Frame::light(series.name);
    if model.series_here().is_some_and(|here| here.name == series.name) {
        (frame.weight, frame.role) = (Weight::Heavy, Role::Focus);
    }
    let right = right(&lines, first, &marks);
    let foot = foot(model, &drawn, &marks, cursor);
    let inner = frame.right(&right).foot(&foot).draw(buf, theme, area);
    let legend = u16::from(inner.height > 5 && (lines.len() > 1 || cursor.is_some()));
    let below = if inner.height > 4 { 2 } else { 1 };
    let plot = Rect {
        x: inner.x + u16::try_from(LABELS).unwrap_or(0).min(inner.width),
        width: u16::try_from(cells).unwrap_or(0),
        height: inner.height.saturating_sub(below + legend),
        ..inner
    };
    if plot.width == 0 || plot.height == 0 {
        return;
    }
    let lower = Rect { y: plot.bottom(), height: below, ..inner };
    plotted(model, series, &drawn, (plot, inner), cursor, buf);
    let mut signs: Vec<(usize, &str, Role)> = marks.iter().map(|mark| (mark.cell, mark.sign, mark.role)).collect();
    signs.extend(
        cursor.map(|cell| (cell, "┴", Role::Focus)).filter(|(cell, ..)| !signs.iter().any(|sign| sign.0 == *cell)),
    );
    lying.draw(model, &signs, lower, buf);
    if legend == 1 {
        self::legend(model, &drawn, cursor, row(inner, inner.height - 1), buf);
    }
}

fn plotted(
    model: &Model,
    series: &SeriesRow<'_>,
    drawn: &[Drawn<'_>],
    (plot, inner): (Rect, Rect),
    cursor: Option<usize>,
    buf: &mut Buffer,
) {
    let theme = &model.manner.theme;
    let all = drawn.iter().flat_map(|one| one.parts.iter().filter_map(|part| part.span()));
    let Some(upright) =
        Upright::of(all.flat_map(|span| [span.0, span.1]), model.charts.log, usize::from(plot.height) * 4)
    else {
        let words = if model.charts.log { "nothing above 0 to draw" } else { "no points here" };
        Pen::new(buf, theme, row(plot, plot.height / 2)).space(2).text(Role::Dim, words);
        return;
    };
    upright.draw(
        model,
        series.name,
        Rect { width: u16::try_from(LABELS).unwrap_or(0), height: plot.height, ..inner },
        buf,
    );
    if let Some(cell) = cursor {
        for y in 0..plot.height {
            Pen::new(buf, theme, row(plot, y)).skip(cell).text(Role::Focus, "╎");
        }
    }
    let mut canvas = Canvas::new(plot);
    // The first line lies over the others.
    for one in drawn.iter().rev() {
        let dot = |span: SpanView| {
            // Of what lies partly below what the axis can show, the rest is drawn.
            let (top, last) = (upright.dot(span.1)?, upright.dot(span.2));
            let bottom = upright.dot(span.0).unwrap_or(usize::from(plot.height) * 4 - 1);
            Some(Dot::Span { top, bottom, last: last.unwrap_or(bottom) })
        };
        let dots: Vec<Option<Dot>> = one
            .parts
            .iter()
            .map(|part| match part {
                Part::Nothing => None,
                Part::Gap => Some(Dot::Gap),
                Part::Span(span) => Some(dot(*span).unwrap_or(Dot::Gap)),
            })
            .collect();
        canvas.line(&dots, one.stroke, one.role);
    }
    canvas.show(theme, plot, buf);
}

/// The columns that the engine made, as so many columns of dots, smoothed.
fn spans<'a>(model: &Model, lines: &[&'a LineView], chart: &ChartView, cells: usize) -> Vec<Drawn<'a>> {
    let (dots, columns) = (cells * 2, (chart.columns as usize).max(1));
    let weight = model.charts.smooth.weight();
    let drawn = lines.iter().enumerate().map(|(n, line)| {
        let mut parts = vec![Part::Nothing; dots];
        for column in &line.columns {
            let Some(part) = parts.get_mut(dot_of(column.0 as usize, columns, dots)) else { continue };
            *part = match (*part, column.1) {
                (Part::Span(one), Some(more)) => {
                    Part::Span(SpanView(one.0.min(more.0), one.1.max(more.1), more.2, more.3))
                }
                (Part::Nothing | Part::Gap, Some(more)) => Part::Span(more),
                (Part::Span(one), None) => Part::Span(one),
                (Part::Nothing | Part::Gap, None) => Part::Gap,
            };
        }
        if weight > 0.0 {
            smooth(&mut parts, weight);
        }
        let role = if line.with { Role::Dim } else { COLOURS[n % COLOURS.len()] };
        let stroke = if line.with { Stroke::Dotted } else { Stroke::of(n) };
        Drawn { line, parts, stroke, role }
    });
    drawn.collect()
}

/// The mean of all before, weighed less the longer ago; what is no number leaves a gap and begins nothing anew.
fn smooth(parts: &mut [Part], weight: f64) {
    let (mut sum, mut whole) = (0.0, 0.0);
    for part in parts {
        let Part::Span(span) = part else { continue };
        sum = sum * weight + span.2 * (1.0 - weight);
        whole = whole * weight + (1.0 - weight);
        let mean = sum / whole;
        *span = SpanView(mean, mean, mean, span.3);
    }
}

/// At the right end of the title: the newest value, or what the signs mean.
fn right(lines: &[&LineView], first: bool, marks: &[Mark]) -> String {
    let has = |sign: &str| marks.iter().any(|mark| mark.sign == sign);
    let mut words = Vec::new();
    if first {
        words.extend(has("●").then(|| "● checkpoint".to_owned()));
        words.extend(has("▲").then(|| "▲ event".to_owned()));
    }
    if let [line] = lines {
        words.push(format!("{} {}", latest(line), trend_sign(line.trend)));
    }
    words.join("  ")
}

/// What happened where the cursor stands; else what cannot be drawn.
fn foot(model: &Model, drawn: &[Drawn<'_>], marks: &[Mark], cursor: Option<usize>) -> String {
    if let Some(mark) = cursor.and_then(|cell| marks.iter().rev().find(|mark| mark.cell.abs_diff(cell) <= 1)) {
        return format!("{} {}", mark.sign, mark.words);
    }
    let odd: usize = drawn.iter().map(|one| one.line.odd).sum();
    let below = |one: &Drawn<'_>| one.parts.iter().filter_map(|part| part.span()).filter(|span| span.0 <= 0.0).count();
    let low: usize = if model.charts.log { drawn.iter().map(below).sum() } else { 0 };
    let mut words = Vec::new();
    if odd > 0 {
        words.push(format!("gaps: {odd} nan or inf"));
    }
    if low > 0 {
        words.push("log shows nothing at 0 or below".to_owned());
    }
    words.join(", ")
}

/// Which line is whose, with its newest value, or that where the cursor stands.
fn legend(model: &Model, drawn: &[Drawn<'_>], cursor: Option<usize>, area: Rect, buf: &mut Buffer) {
    let mut pen = Pen::new(buf, &model.manner.theme, area);
    pen.space(1);
    if let (Some(_), Some(at)) = (cursor, model.charts.at) {
        pen.text(Role::Focus, &format!("{} ", place(model.charts.axis, at))).space(1);
    }
    let several =
        drawn.iter().any(|one| one.line.step_name.split('[').next() != drawn[0].line.step_name.split('[').next());
    for one in drawn {
        let value = match cursor {
            None => latest(one.line),
            Some(cell) => at_cursor(one, cell).map_or_else(|| "-".into(), |value| number(&one.line.name, value)),
        };
        let words = format!("{} {value}", name(model, one.line, several));
        if pen.left() < width(&words) + 4 {
            pen.text(Role::Dim, "…");
            return;
        }
        pen.text(one.role, one.stroke.sign()).space(1).text(Role::Plain, words.trim()).space(2);
    }
}

/// `lr=1e-4`; with the step where there are several, with the run where it is another.
fn name(model: &Model, line: &LineView, several: bool) -> String {
    let label = line.step_name.split_once('[').map(|(_, label)| label.trim_end_matches(']'));
    let name = if several { line.step_name.as_str() } else { label.unwrap_or_default() };
    let with = model.charts.with.as_ref().filter(|_| line.with);
    match with.and_then(|with| model.runs.iter().find(|run| run.id == *with)) {
        Some(run) => format!("#{} {name}", run.number).trim_end().to_owned(),
        None => name.to_owned(),
    }
}

/// The value at a cell, or the nearest one before it.
fn at_cursor(one: &Drawn<'_>, cell: usize) -> Option<f64> {
    let upto = one.parts.get(..(cell * 2 + 2).min(one.parts.len()))?;
    upto.iter().rev().find(|part| **part != Part::Nothing)?.span().map(|span| span.2)
}
