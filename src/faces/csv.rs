//! Points of series as comma-separated values, as RFC 4180 has them. Pure.

use crate::wire::client::{PointView, SeriesView};

/// The first line.
pub const HEAD: &str = "step_name,attempt,metric,step,time_ms,value\n";

/// The lines of all points of a part of a series.
pub fn lines(series: &SeriesView) -> String {
    series.points.iter().map(|point| line(series, point)).collect()
}

fn line(series: &SeriesView, point: &PointView) -> String {
    let (step_name, name) = (field(&series.step_name), field(&series.name));
    format!("{step_name},{},{name},{},{},{}\n", series.attempt, point.step, point.at_ms, point.number())
}

fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
