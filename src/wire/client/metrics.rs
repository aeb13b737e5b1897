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
