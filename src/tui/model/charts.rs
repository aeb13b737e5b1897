//! Where the operator stands among the metrics, and what follows from it: which series are drawn, and which picture is wanted
//! of the engine. Pure.

use std::collections::BTreeMap;

use super::{Model, View};
use crate::wire::client::{ChartAsk, ChartAxis, ChartView, LineView, RunLine};

/// A picture is not made anew sooner by itself, in milliseconds.
const LIVE_MS: i64 = 1_000;
/// So long after the end of a run its last points may still come.
const LATE_MS: i64 = 3_000;
/// Earlier runs that can be laid over one.
const OVERLAYS: usize = 9;

/// How much of the points before goes into each point of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Smooth {
    #[default]
    Off,
    Some,
    Much,
}

impl Smooth {
    /// As a weight of 0 to 1.
    pub fn weight(self) -> f64 {
        match self {
            Self::Off => 0.0,
            Self::Some => 0.6,
            Self::Much => 0.9,
        }
    }

    /// The next one.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Off => Self::Some,
            Self::Some => Self::Much,
            Self::Much => Self::Off,
        }
    }
}

/// What was asked of the engine last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedChart {
    pub ask: ChartAsk,
    pub at_ms: i64,
    /// It has not answered yet.
    pub open: bool,
}

/// Where the operator stands among the metrics.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Charts {
    /// Series that are drawn, or not, because the operator wants it so.
    pub shown: BTreeMap<String, bool>,
    /// The series under the cursor of the list.
    pub selected: Option<String>,
    pub log: bool,
    pub smooth: Smooth,
    pub axis: ChartAxis,
    /// The part that is looked at; `None`: everything, also what comes.
    pub range: Option<(i64, i64)>,
    /// Where the cursor stands on the axis.
    pub at: Option<i64>,
    /// The id of the earlier run that is laid over.
    pub with: Option<String>,
    /// The newest picture, and of which run.
    pub view: Option<(String, ChartView)>,
    pub asked: Option<AskedChart>,
    /// Why there is none.
    pub refused: Option<String>,
}

/// A line of the list of series: one name, whatever steps and lanes have it.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesRow<'a> {
    pub name: &'a str,
    pub system: bool,
    pub pinned: bool,
    pub shown: bool,
    /// Of the run itself, in the order of its steps.
    pub lines: Vec<&'a LineView>,
}

impl Model {
    /// The picture of the run that is looked at.
    pub fn chart(&self) -> Option<&ChartView> {
        let run = &self.run.as_ref()?.line.id;
        self.charts.view.as_ref().filter(|(of, _)| of == run).map(|(_, view)| view)
    }

    /// All series: what is pinned, what programs say, what is measured; as far as the filter leaves them.
    pub fn series(&self) -> Vec<SeriesRow<'_>> {
        let wanted = self.filters.metrics.to_lowercase();
        let mut rows = self.all_series();
        rows.retain(|row| wanted.split_whitespace().all(|word| row.name.to_lowercase().contains(word)));
        rows
    }

    fn all_series(&self) -> Vec<SeriesRow<'_>> {
        let mut rows: Vec<SeriesRow<'_>> = Vec::new();
        for line in self.chart().iter().flat_map(|chart| &chart.lines).filter(|line| !line.with) {
            if let Some(row) = rows.iter_mut().find(|row| row.name == line.name) {
                row.pinned |= line.pinned;
                row.lines.push(line);
                continue;
            }
            let (name, system, pinned) = (line.name.as_str(), line.system, line.pinned);
            rows.push(SeriesRow { name, system, pinned, shown: false, lines: vec![line] });
        }
        // What one looks at first: a loss, else what comes first, and the one after it.
        let own = |row: &&SeriesRow<'_>| !row.system;
        let loss = rows.iter().filter(own).find(|row| row.name.contains("loss")).map(|row| row.name);
        let first = loss.or_else(|| rows.iter().find(own).map(|row| row.name));
        let second = rows.iter().filter(own).find(|row| Some(row.name) != first).map(|row| row.name);
        for row in &mut rows {
            let usual = Some(row.name) == first || Some(row.name) == second;
            row.shown = self.charts.shown.get(row.name).copied().unwrap_or(usual);
        }
        rows
    }

    /// The series under the cursor.
    pub fn series_here(&self) -> Option<SeriesRow<'_>> {
        let mut rows = self.series();
        let selected = self.charts.selected.as_deref();
        let place = rows.iter().position(|row| Some(row.name) == selected);
        // Until the operator chooses one: a loss that is drawn, else what is drawn first.
        let loss = || rows.iter().position(|row| row.shown && row.name.contains("loss"));
        let place = place.or_else(loss).or_else(|| rows.iter().position(|row| row.shown)).unwrap_or(0);
        (place < rows.len()).then(|| rows.swap_remove(place))
    }

    /// The series that are drawn: the one under the cursor first, which is the largest.
    pub fn drawn_series(&self) -> Vec<SeriesRow<'_>> {
        let here = self.series_here().map(|row| row.name);
        let mut rows: Vec<_> = self.all_series().into_iter().filter(|row| row.shown).collect();
        rows.sort_by_key(|row| (Some(row.name) != here, !row.name.contains("loss")));
        rows
    }

    /// Runs of the same workflow before this one, newest first: they can be laid over it.
    pub fn overlays(&self) -> Vec<&RunLine> {
        let Some(line) = self.run.as_ref().map(|run| &run.line) else { return Vec::new() };
        let mut older: Vec<_> =
            self.runs.iter().filter(|run| run.name == line.name && run.number < line.number).collect();
        older.sort_by_key(|run| std::cmp::Reverse(run.number));
        older.truncate(OVERLAYS);
        older
    }

    /// The picture that is wanted now, of so many columns.
    pub fn chart_wanted(&self, columns: u32) -> Option<ChartAsk> {
        if self.view != View::Metrics {
            return None;
        }
        let run = self.run.as_ref()?.line.id.clone();
        let names = self.drawn_series().iter().map(|row| row.name.to_owned()).collect();
        let Charts { axis, range, with, .. } = &self.charts;
        Some(ChartAsk { run, with: with.clone(), axis: *axis, range: *range, columns, names })
    }

    /// Whether it has to be asked for now: another one than before, or a new one because points may have come.
    pub fn chart_due(&self, ask: &ChartAsk) -> bool {
        let Some(asked) = &self.charts.asked else { return true };
        if asked.open {
            return false;
        }
        let ended = self.run.as_ref().and_then(|run| run.line.ended_ms);
        let comes = ended.is_none_or(|ended| asked.at_ms < ended + LATE_MS);
        asked.ask != *ask || (comes && self.now_ms >= asked.at_ms + LIVE_MS)
    }
}
