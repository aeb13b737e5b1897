//! How long the other side asks to be left alone: `Retry-After: 30`, `try again in 1m30s`. Pure.

use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;

/// Nobody is believed who asks for more, in seconds.
const MOST: u64 = 24 * 3600;

static ASKED: LazyLock<Regex> = LazyLock::new(|| {
    let asks = r#"(?i)\b(?:retry[-_ ]?(?:after|delay)|(?:re)?try (?:again )?(?:in|after))["']?\s*[:=]?\s*["']?"#;
    Regex::new(asks).expect("the pattern is tested")
});

/// A number with its unit.
static PART: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\s?(\d{1,9}(?:\.\d{1,9})?)\s?([A-Za-z]*)").expect("the pattern is tested"));

/// The seconds that a line asks for, rounded up. What a program says that waits by itself is no such line.
pub(super) fn asked(line: &str) -> Option<u64> {
    // Nearly every line ends here.
    if !["etry", "ETRY", "try again", "Try again"].iter().any(|word| line.contains(word)) {
        return None;
    }
    let mut rest = &line[ASKED.find(line)?.end()..];
    let mut all = Duration::ZERO;
    let mut any = false;
    while let Some(part) = PART.captures(rest) {
        let unit = part[2].to_ascii_lowercase();
        let one = match unit.as_str() {
            "" | "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "ms" | "millisecond" | "milliseconds" => 0.001,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3600.0,
            _ => break,
        };
        all += Duration::try_from_secs_f64(part[1].parse::<f64>().ok()? * one).ok()?;
        any = true;
        rest = &rest[part[0].len()..];
        if unit.is_empty() {
            break;
        }
    }
    any.then(|| (all.as_secs() + u64::from(all.subsec_nanos() > 0)).min(MOST))
}

#[cfg(test)]
mod tests {
    use super::asked;

    #[test]
    fn what_is_asked_for_is_understood() {
        for (line, seconds) in [
            ("HTTP/1.1 429 Too Many Requests, Retry-After: 30", Some(30)),
            ("retry-after: 2", Some(2)),
            ("'Retry-After': '120', 'x': '1'", Some(120)),
            ("Rate limit reached. Please try again in 20s.", Some(20)),
            ("Please try again in 1m30s. Visit", Some(90)),
            ("Please try again in 6m0s.", Some(360)),
            ("please retry after 7 seconds", Some(7)),
            ("Please retry in 35.5s.", Some(36)),
            ("retryDelay: \"17s\"", Some(17)),
            ("try again in 250ms", Some(1)),
            ("You have reached the limit, try again in 2 hours", Some(7200)),
            ("try again in 5 minutes", Some(300)),
            ("Retry-After: Wed, 21 Oct 2026 07:28:00 GMT", None),
            ("retrying in 5 seconds", None),
            ("retries: 3", None),
            ("Please try again later", None),
            ("retry 3 of 5", None),
            ("Retry-After: 99999999", Some(86_400)),
            ("429 retry-after 3 blocks", None),
        ] {
            assert_eq!(asked(line), seconds, "{line}");
        }
    }
}
