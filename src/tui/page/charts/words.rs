//! Numbers of charts in few letters. Pure.

use crate::faces::words::span;
use crate::tui::page::checkpoints::size;
use crate::wire::client::{ChartAxis, LineView, Odd, Trend};

/// `1.899`, `9.0e-5`, `41.2k`, `128`.
pub fn short(value: f64) -> String {
    let far = value.abs();
    if !value.is_finite() {
        return format!("{value}");
    }
    if far == 0.0 {
        return "0".into();
    }
    if !(1e-3..1e6).contains(&far) {
        return format!("{value:.1e}");
    }
    if far >= 10_000.0 {
        return format!("{:.1}k", value / 1000.0);
    }
    if value.fract() == 0.0 {
        return format!("{value:.0}");
    }
    match far {
        1000.0.. => format!("{value:.0}"),
        100.0.. => format!("{value:.1}"),
        10.0.. => format!("{value:.2}"),
        0.1.. => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

/// With its unit, where the engine measured it.
pub fn number(name: &str, value: f64) -> String {
    match name.strip_prefix("system/") {
        Some(what) if what.ends_with("memory") => size(bytes(value)),
        Some(_) => format!("{value:.0} %"),
        None => short(value),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped; a picture needs no more")]
fn bytes(value: f64) -> u64 {
    value.clamp(0.0, 1e18) as u64
}

/// The newest value.
pub fn latest(line: &LineView) -> String {
    match line.last.map(|last| (last.value, last.odd)) {
        Some((Some(value), _)) => number(&line.name, value),
        Some((None, Some(Odd::Infinity))) => "inf".into(),
        Some((None, Some(Odd::MinusInfinity))) => "-inf".into(),
        Some((None, Some(Odd::Nan) | None)) => "nan".into(),
        None => "-".into(),
    }
}

/// A place on the axis.
pub fn place(axis: ChartAxis, at: i64) -> String {
    match axis {
        ChartAxis::Step => at.to_string(),
        ChartAxis::Time => span(at),
    }
}

/// How it goes.
pub fn trend_sign(trend: Trend) -> &'static str {
    match trend {
        Trend::Up => "▲",
        Trend::Down => "▼",
        Trend::Flat => "─",
    }
}
