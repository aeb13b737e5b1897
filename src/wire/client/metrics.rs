//! Metrics as the engine shows them. Plain data.

use serde::{Deserialize, Serialize};

/// Some points of one series; a series may come in several parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesView {
    /// `train[lr=0.1]`.
    pub step_name: String,
    pub attempt: u32,
    pub name: String,
    /// Oldest first.
    pub points: Vec<PointView>,
}

/// One value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PointView {
    /// The step of the program, or the number of the point.
    pub step: i64,
    pub at_ms: i64,
    /// JSON knows no `nan`, no `inf`: what is no number is `None`, and [`PointView::odd`] says what it was.
    pub value: Option<f64>,
    /// `nan`, `inf` or `-inf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub odd: Option<Odd>,
}

/// A value that is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Odd {
    #[serde(rename = "nan")]
    Nan,
    #[serde(rename = "inf")]
    Infinity,
    #[serde(rename = "-inf")]
    MinusInfinity,
}

impl PointView {
    /// Of a value of any kind.
    pub fn new(step: i64, at_ms: i64, value: f64) -> Self {
        let odd = match value {
            _ if value.is_nan() => Some(Odd::Nan),
            f64::INFINITY => Some(Odd::Infinity),
            f64::NEG_INFINITY => Some(Odd::MinusInfinity),
            _ => None,
        };
        Self { step, at_ms, value: Some(value).filter(|value| value.is_finite()), odd }
    }

    /// The value itself.
    pub fn number(&self) -> f64 {
        match (self.value, self.odd) {
            (Some(value), _) => value,
            (None, Some(Odd::Infinity)) => f64::INFINITY,
            (None, Some(Odd::MinusInfinity)) => f64::NEG_INFINITY,
            (None, Some(Odd::Nan) | None) => f64::NAN,
        }
    }
}

/// Which picture of a run's series is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChartAsk {
    pub run: String,
    /// An earlier run to lay over it.
    #[serde(default)]
    pub with: Option<String>,
    pub axis: ChartAxis,
    /// On the axis; without it, all there is.
    pub range: Option<(i64, i64)>,
    /// Into how many equal parts the range is divided.
    pub columns: u32,
    /// The series that are drawn, by their names; of the others only is told that they are there.
    pub names: Vec<String>,
}

/// What the columns of a picture stand for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChartAxis {
    /// As the program counts. What is measured from outside has no step: it is drawn over its time.
    #[default]
    Step,
    /// Milliseconds since the start of the run.
    Time,
}

/// A picture of series.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChartView {
    pub axis: ChartAxis,
    /// What the columns show.
    pub range: Option<(i64, i64)>,
    /// From where to where the drawn series go.
    pub extent: Option<(i64, i64)>,
    /// The same of what is drawn over its time although the axis counts steps.
    pub time_range: Option<(i64, i64)>,
    pub columns: u32,
    pub lines: Vec<LineView>,
}

/// One series of one lane, all of its attempts: where a later attempt begins, an earlier one ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineView {
    /// Of the run that is laid over.
    pub with: bool,
    /// `train[lr=0.1]`.
    pub step_name: String,
    pub name: String,
    /// Comes first, because a person wants it so.
    pub pinned: bool,
    /// Measured from outside: drawn over its time.
    pub system: bool,
    pub points: usize,
    /// How many of them are no numbers.
    pub odd: usize,
    pub last: Option<PointView>,
    pub trend: Trend,
    /// Those that are not empty, in their order.
    pub columns: Vec<ColumnView>,
}

/// How the newest points lie to those before them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trend {
    Up,
    Down,
    /// No difference that is more than their noise.
    #[default]
    Flat,
}

/// A part of the range, by its number, and what lies in it; `None`: points whose values are no numbers, and none that is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ColumnView(pub u32, pub Option<SpanView>);

/// The least, the most and the newest number of a part, and where that is on the other axis.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SpanView(pub f64, pub f64, pub f64, pub i64);
