//! Pictures of series: made small here, so that no client ever gets a million points. Read from their own file, elsewhere than
//! in the loop.

use std::ops::RangeInclusive;

use super::looks::elsewhere;
use super::{Answer, Reaction, Refusable, done, find_lane, refusal, reply};
use crate::daemon::core::{Core, is_measured};
use crate::engine::Run;
use crate::metrics::{Error, Look, Metrics, Outlined, Pin};
use crate::model::{Lane, LaneId, StepId};
use crate::series::{Axis, Column, Point};
use crate::wire::client::{
    ChartAsk, ChartAxis, ChartView, ColumnView, LineView, PointView, RefusalKind, Reply, SpanView, Trend,
};

/// More parts no picture has.
const MOST_COLUMNS: u32 = 4000;

impl Core {
    /// A picture of the series of a run, with another one laid over it where that is wanted.
    pub(super) fn chart(&self, ask: ChartAsk) -> Refusable<Reaction> {
        let run = self.find(&ask.run)?;
        let with = ask.with.as_deref().map(|with| self.find(with)).transpose()?;
        let metrics = self.kept_metrics()?;
        Ok(elsewhere(move || match picture(&metrics, &run, with.as_ref(), &ask) {
            Ok(view) => reply(Reply::Chart(view)),
            Err(error) => refusal(RefusalKind::Internal, error.to_string(), None),
        }))
    }

    pub(super) fn pin_metric(&self, run: &str, step: &str, name: String, pinned: bool) -> Refusable<Answer> {
        let run = self.find(run)?;
        let lane = find_lane(&run, step)?;
        let words = if pinned {
            format!("{name} comes first from now on, in every run of {}", run.workflow.name)
        } else {
            format!("{name} is not pinned any more")
        };
        let pin = Pin { workflow: run.workflow.name.clone(), step: lane.step.to_string(), name };
        self.kept_metrics()?.pin(pin, pinned);
        Ok(done(words))
    }

    pub(super) fn kept_metrics(&self) -> Refusable<Metrics> {
        self.parts.metrics.clone().ok_or_else(|| {
            let hint = Some("the engine's log says why: dogwatch engine logs");
            Box::new(refusal(RefusalKind::Internal, "no metrics are kept".into(), hint))
        })
    }
}

/// The attempts of a lane's series, oldest first, and of which run they are.
struct Line<'r> {
    run: &'r Run,
    with: bool,
    attempts: Vec<Outlined>,
}

impl Line<'_> {
    fn name(&self) -> &str {
        self.attempts.first().map_or("", |one| one.name.as_str())
    }

    fn step_name(&self) -> String {
        let Some(one) = self.attempts.first() else { return String::new() };
        let id = StepId::new(&one.step).map(|step| LaneId { step, lane: Lane(one.lane) });
        id.map_or_else(|_| one.step.clone(), |id| self.run.lane_name(&id))
    }

    /// Of all attempts, times counted from the start of the run.
    fn range(&self, axis: Axis) -> Option<RangeInclusive<i64>> {
        let ranges = self.attempts.iter().filter_map(|one| one.outline.range(axis));
        let all = ranges.reduce(union)?;
        Some(shifted(&all, if axis == Axis::Time { -self.run.created.as_ms() } else { 0 }))
    }
}

fn union(one: RangeInclusive<i64>, other: RangeInclusive<i64>) -> RangeInclusive<i64> {
    *one.start().min(other.start())..=*one.end().max(other.end())
}

fn shifted(range: &RangeInclusive<i64>, by: i64) -> RangeInclusive<i64> {
    range.start().saturating_add(by)..=range.end().saturating_add(by)
}

fn picture(metrics: &Metrics, run: &Run, with: Option<&Run>, ask: &ChartAsk) -> Result<ChartView, Error> {
    let look = metrics.look()?;
    let pins = metrics.pins(&run.workflow.name)?;
    let mut lines = lines(&look, run, false)?;
    if let Some(with) = with {
        lines.extend(
            self::lines(&look, with, true)?.into_iter().filter(|line| ask.names.iter().any(|name| name == line.name())),
        );
    }
    let columns = usize::try_from(ask.columns.clamp(1, MOST_COLUMNS)).unwrap_or(1);
    let drawn = |line: &Line<'_>| ask.names.iter().any(|name| name == line.name());
    let axis_of = |line: &Line<'_>| match ask.axis {
        ChartAxis::Step if !is_measured(line.name()) => Axis::Step,
        ChartAxis::Step | ChartAxis::Time => Axis::Time,
    };
    let (asked, by_time) = if ask.axis == ChartAxis::Step { (Axis::Step, true) } else { (Axis::Time, false) };
    let extent_on = |axis: Axis| {
        let on = lines.iter().filter(|line| drawn(line) && axis_of(line) == axis);
        on.filter_map(|line| line.range(axis)).reduce(union)
    };
    let extent = extent_on(asked);
    let time_range = if by_time { extent_on(Axis::Time) } else { None };
    let range = ask.range.filter(|(from, to)| from <= to).map(|(from, to)| from..=to).or_else(|| extent.clone());
    let mut view = ChartView {
        axis: ask.axis,
        range: range.clone().map(RangeInclusive::into_inner),
        extent: extent.map(RangeInclusive::into_inner),
        time_range: time_range.clone().map(RangeInclusive::into_inner),
        columns: u32::try_from(columns).unwrap_or(MOST_COLUMNS),
        lines: Vec::new(),
    };
    for line in &lines {
        let axis = axis_of(line);
        let over = if axis == asked { &range } else { &time_range };
        let over = over.as_ref().filter(|_| drawn(line));
        let columns = over.map_or(Ok(Vec::new()), |range| line_columns(&look, line, axis, range, columns))?;
        let pinned = line.attempts.first().is_some_and(|one| pins.contains(&(one.step.clone(), one.name.clone())));
        view.lines.push(line_view(&look, line, pinned, &columns)?);
    }
    // What a person wants first, then what programs say, then what is measured.
    view.lines.sort_by_key(|line| (!line.pinned, line.system));
    Ok(view)
}

fn lines<'r>(look: &Look, run: &'r Run, with: bool) -> Result<Vec<Line<'r>>, Error> {
    let mut lines: Vec<Line<'r>> = Vec::new();
    for one in look.outlines(run.id.as_str())? {
        let same = |line: &&mut Line<'_>| {
            let first = line.attempts.first();
            first.is_some_and(|first| (&first.step, first.lane, &first.name) == (&one.step, one.lane, &one.name))
        };
        match lines.last_mut().filter(same) {
            Some(line) => line.attempts.push(one),
            None => lines.push(Line { run, with, attempts: vec![one] }),
        }
    }
    Ok(lines)
}

/// The line that counts: from where a later attempt begins, an earlier one is not drawn.
fn line_columns(
    look: &Look,
    line: &Line<'_>,
    axis: Axis,
    range: &RangeInclusive<i64>,
    columns: usize,
) -> Result<Vec<Option<Column>>, Error> {
    let range = shifted(range, if axis == Axis::Time { line.run.created.as_ms() } else { 0 });
    let mut all: Vec<Option<Column>> = vec![None; columns];
    for one in &line.attempts {
        let Some(own) = one.outline.range(axis) else { continue };
        let drawn = look.columns(one, axis, &range, columns)?;
        let from = if own.start() <= range.start() { Some(0) } else { drawn.iter().position(Option::is_some) };
        if let Some(from) = from {
            all.splice(from.., drawn.into_iter().skip(from));
        }
    }
    Ok(all)
}

fn line_view(look: &Look, line: &Line<'_>, pinned: bool, columns: &[Option<Column>]) -> Result<LineView, Error> {
    let counts = line.attempts.iter().map(|one| one.outline.counts());
    let (points, odd) = counts.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    let newest = line.attempts.last().map_or(Ok(Vec::new()), |one| look.newest(one))?;
    let told = (0u32..).zip(columns).filter_map(|(n, column)| {
        let span = match (*column)? {
            Column::Gap => None,
            Column::Span(span) => Some(SpanView(span.least, span.most, span.last, span.other)),
        };
        Some(ColumnView(n, span))
    });
    Ok(LineView {
        with: line.with,
        step_name: line.step_name(),
        name: line.name().to_owned(),
        pinned,
        system: is_measured(line.name()),
        points,
        odd,
        last: newest.last().map(|point| PointView::new(point.step, point.at_ms, point.value)),
        trend: trend(&newest),
        columns: told.collect(),
    })
}

/// Whether the newer half of these points lies higher or lower than the older one, by more than twice what chance would do.
fn trend(points: &[Point]) -> Trend {
    let values: Vec<f64> = points.iter().map(|point| point.value).filter(|value| value.is_finite()).collect();
    let (older, newer) = values.split_at(values.len() / 2);
    let (Some((before, old_noise)), Some((after, new_noise))) = (mean(older), mean(newer)) else {
        return Trend::Flat;
    };
    let noise = 2.0 * (old_noise + new_noise).sqrt();
    if after - before > noise {
        Trend::Up
    } else if before - after > noise {
        Trend::Down
    } else {
        Trend::Flat
    }
}

/// The mean, and the square of its standard error.
fn mean(values: &[f64]) -> Option<(f64, f64)> {
    let count = f64::from(u32::try_from(values.len()).ok().filter(|count| *count > 0)?);
    let mean = values.iter().sum::<f64>() / count;
    let spread = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    Some((mean, spread / count))
}
