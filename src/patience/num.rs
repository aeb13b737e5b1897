//! Conversions between counts, times and the numbers that are reckoned with, and a little statistics. Never panics: what
//! has no answer is zero.

use std::time::Duration;

/// A count as a number. Nobody counts so far that a unit is lost.
#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
pub(super) fn count(n: usize) -> f64 {
    n as f64
}

/// Milliseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "2^52 ms are 142,000 years")]
pub(super) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1e3
}

/// Seconds as a span; what is negative or no number is none at all.
pub(super) fn span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(if seconds > 0.0 { Duration::MAX } else { Duration::ZERO })
}

/// The whole number below, as an index.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what an index can be")]
pub(super) fn index(x: f64) -> usize {
    x.clamp(0.0, 1e9) as usize
}

/// The value below which the share `q` of the sorted values lies, between two neighbours in proportion.
pub(super) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = q.clamp(0.0, 1.0) * count(last);
    let low = index(place).min(last);
    let high = (low + 1).min(last);
    sorted[low] + (sorted[high] - sorted[low]) * (place - count(low))
}

/// A span in seconds.
pub(super) fn seconds_of(span: Duration) -> f64 {
    span.as_secs_f64()
}

/// The share of a standard bell below `x`; to four digits, which is more than anybody knows of a future.
pub(super) fn bell_below(x: f64) -> f64 {
    1.0 / (1.0 + (-1.5976 * x - 0.070_565_992 * x.powi(3)).exp())
}
