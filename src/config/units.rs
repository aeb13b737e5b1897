//! Durations, signals and variable names as people write them.

use std::time::Duration;

/// The longest duration: beyond it arithmetic with times would saturate, and nobody means it.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadDuration {
    pub message: String,
    pub hint: String,
}

/// `90s`, `1h30m`, `500ms`, `2d`.
pub fn duration(text: &str) -> Result<Duration, BadDuration> {
    let bad = |message: &str, hint: &str| BadDuration { message: message.into(), hint: hint.into() };
    match read(text) {
        Ok(total) if total > LONGEST => Err(bad("is longer than ten years", "write a shorter duration")),
        Ok(total) => Ok(total),
        Err(Wrong::Order) => Err(bad("is not a duration", "write the larger unit first, and each unit once")),
        Err(Wrong::Form) => {
            let hint = meant(text).map(|meant| format!("write \"{meant}\""));
            let examples = "write it like \"90s\", \"45m\", \"1h30m\", \"500ms\" or \"2d\"";
            Err(bad("is not a duration", hint.as_deref().unwrap_or(examples)))
        }
    }
}

enum Wrong {
    Form,
    Order,
}

fn read(text: &str) -> Result<Duration, Wrong> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    let mut last = Duration::MAX;
    while !rest.is_empty() || text.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_lowercase).count();
        // A number with more digits than fit is too long, whatever its unit.
        let n = rest[..digits].parse::<u32>().or(if digits > 0 { Ok(u32::MAX) } else { Err(Wrong::Form) })?;
        let unit = unit(&rest[digits..digits + letters]).ok_or(Wrong::Form)?;
        if unit >= last {
            return Err(Wrong::Order);
        }
        last = unit;
        total = total.saturating_add(unit.saturating_mul(n));
        rest = &rest[digits + letters..];
    }
    Ok(total)
}

fn unit(word: &str) -> Option<Duration> {
    match word {
        "ms" => Some(Duration::from_millis(1)),
        "s" => Some(Duration::from_secs(1)),
        "m" => Some(Duration::from_secs(60)),
        "h" => Some(Duration::from_secs(3600)),
        "d" => Some(Duration::from_secs(24 * 3600)),
        _ => None,
    }
}

/// What somebody meant who wrote `8 hours`, `1.5h` or `30`.
fn meant(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(format!("{text}s\", \"{text}m\" or \"{text}h"));
    }
    let mut written = String::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let after = rest[number..].trim_start();
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, next) = match &after[..letters] {
            "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => ("ms", None),
            "s" | "sec" | "secs" | "second" | "seconds" => ("s", None),
            "m" | "min" | "mins" | "minute" | "minutes" => ("m", Some("s")),
            "h" | "hr" | "hrs" | "hour" | "hours" => ("h", Some("m")),
            "d" | "day" | "days" => ("d", Some("h")),
            _ => return None,
        };
        written.push_str(&counted(&rest[..number], unit, next)?);
        rest = after[letters..].trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        rest = rest.strip_prefix("and ").unwrap_or(rest).trim_start();
    }
    read(&written).ok()?;
    Some(written)
}

/// `1.5` hours as `1h30m`.
fn counted(number: &str, unit: &str, smaller: Option<&str>) -> Option<String> {
    let Some((whole, part)) = number.split_once('.') else { return Some(format!("{number}{unit}")) };
    let parts_per = if unit == "d" { 24 } else { 60 };
    let scale = 10u32.checked_pow(u32::try_from(part.len()).ok()?)?;
    let rest = part.parse::<u32>().ok()?.checked_mul(parts_per)? / scale;
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(match (whole, rest) {
        ("0", rest) => format!("{rest}{}", smaller?),
        (whole, 0) => format!("{whole}{unit}"),
        (whole, rest) => format!("{whole}{unit}{rest}{}", smaller?),
    })
}

/// The bytes of `512MiB`, `16GiB`, `2GB` or `1.5GiB`; a bare number is no size, for nobody knows of what.
pub(super) fn size(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 10] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1_000),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("B", 1),
    ];
    let (number, unit) = UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?.trim_end(), *unit)))?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) || number.ends_with('.') {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let thousandths: u64 = if part.is_empty() { 0 } else { format!("{part:0<3}").parse().ok()? };
    // Beyond this no size is meant, and engines count with a sign.
    whole.checked_mul(unit)?.checked_add(thousandths * (unit / 1_000)).filter(|bytes| *bytes <= 1 << 60)
}

/// Linux's signals by number, from 1.
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];

/// The number of `SIGKILL`, `KILL` or `9`.
pub fn signal(text: &str) -> Option<i32> {
    let upper = text.to_uppercase();
    if let Ok(number) = upper.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    SIGNALS.iter().position(|signal| *signal == name).and_then(|n| i32::try_from(n + 1).ok())
}

/// The names of signals, for suggestions.
pub(super) fn signal_names() -> impl Iterator<Item = &'static str> {
    SIGNALS.into_iter()
}

/// Whether a shell can have a variable of this name.
pub fn is_variable(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
