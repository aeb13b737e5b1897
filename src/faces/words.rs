//! Times and names as people say them. Pure.

use crate::wire::client::{RunLeft, RunLine, StepView};

/// `0.4s`, `41s`, `2m14s`, `1h09m`, `2d03h`.
pub fn span(ms: i64) -> String {
    let ms = ms.max(0);
    let seconds = ms / 1000;
    match seconds {
        0 => format!("0.{}s", ms / 100),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// `21:35:02`; with the date when it is not of the same day as `now_ms`.
pub fn clock(ms: i64, now_ms: i64, zone: &jiff::tz::TimeZone) -> String {
    let at = |ms| jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_zoned(zone.clone());
    let (then, now) = (at(ms), at(now_ms));
    if then.date() == now.date() {
        then.strftime("%H:%M:%S").to_string()
    } else {
        then.strftime("%Y-%m-%d %H:%M").to_string()
    }
}

/// `1h09m-1h40m left`, `12m00s-15m10s left, gates aside`, `time left unknown`; `None` where there is nothing to say, as where
/// only people are waited for.
pub fn run_left(left: &RunLeft) -> Option<String> {
    let people = if left.people { ", gates aside" } else { "" };
    if let Some(range) = left.range {
        if left.people && range.p90_ms == 0 {
            return None;
        }
        return Some(match (span(range.p10_ms), span(range.p90_ms)) {
            (low, high) if low == high => format!("{high} left{people}"),
            (low, high) => format!("{low}-{high} left{people}"),
        });
    }
    (!left.unknown.is_empty()).then(|| "time left unknown".into())
}

/// `tiny-lm #3`.
pub fn run_name(line: &RunLine) -> String {
    format!("{} #{}", line.name, line.number)
}

/// The run as a command takes it: `tiny-lm#3`.
pub fn run_arg(line: &RunLine) -> String {
    quote(&format!("{}#{}", line.name, line.number))
}

/// A step as a command takes it.
pub fn step_arg(step: &StepView) -> String {
    quote(&step.name())
}

/// For a shell to read: as it is where that is safe.
pub fn quote(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    // A # begins a comment only at the beginning of a word.
    let inside = |c: char| safe(c) || c == '#';
    if text.starts_with(safe) && text.chars().all(inside) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A line in which each long path is only the last part of its name, so that what stands behind it is seen, too:
/// `Saved checkpoint …/epoch-030.json at step 30`.
pub fn short_paths(line: &str) -> String {
    let words: Vec<String> = line.split(' ').map(short_path).collect();
    words.join(" ")
}

/// Beyond so many bytes a path is long.
const LONG_PATH: usize = 24;

fn short_path(word: &str) -> String {
    let path = word.find('/').filter(|_| !word.contains("://")).map(|start| word.split_at(start));
    match path {
        Some((before, path)) if path.len() > LONG_PATH => match path.rfind('/') {
            Some(last) if last > 0 && last + 1 < path.len() => format!("{before}…{}", &path[last..]),
            Some(_) | None => word.to_owned(),
        },
        Some(_) | None => word.to_owned(),
    }
}

/// How long a lane's newest attempt has taken, or took.
pub fn took(step: &StepView, now_ms: i64) -> Option<i64> {
    step.started_ms.map(|start| step.ended_ms.unwrap_or(now_ms) - start)
}

/// Bytes in GiB, without the unit: `64`, and `0.8` where a whole number would say too little.
pub fn gib(bytes: u64) -> String {
    const GIB: u64 = 1 << 30;
    if bytes == 0 || bytes >= 10 * GIB {
        return (bytes / GIB).to_string();
    }
    // In tenths, cut: what is free is never told as more.
    let tenths = bytes / (GIB / 10);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// `1 step`, `3 steps`.
pub fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
