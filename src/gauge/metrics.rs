//! Numbers with names in what a step prints: `loss=0.5`, `loss: 0.5`, `'loss': 0.5`, named groups of a pattern, members of
//! lines of JSON. Pure.
//!
//! What is found without a pattern is an offer that a person pins; so what may be a time, an address or a version is none.

use std::borrow::Cow;

use regex::Regex;

/// A number with a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric<'l> {
    pub name: Cow<'l, str>,
    pub value: f64,
    /// What stands right behind the number: `%`, `ms`, `it/s`; often nothing.
    pub unit: &'l str,
}

/// Names are not longer, in bytes.
const LONGEST_NAME: usize = 64;
/// Nor units.
const LONGEST_UNIT: usize = 12;
/// Of a line so many are found.
const MOST: usize = 64;

/// The pairs of a line of plain text. Costs about a nanosecond a byte.
pub fn pairs(line: &str) -> Vec<Metric<'_>> {
    let bytes = line.as_bytes();
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = memchr::memchr2(b'=', b':', &bytes[from..]).map(|at| from + at) {
        from = at + 1;
        if let Some((metric, end)) = pair(line, at) {
            found.push(metric);
            from = end;
            if found.len() == MOST {
                break;
            }
        }
    }
    found
}

/// The pair with its sign at this place, and where it ends.
fn pair(line: &str, at: usize) -> Option<(Metric<'_>, usize)> {
    let bytes = line.as_bytes();
    let before = &line[..at];
    let name = before.strip_suffix(['"', '\'']).unwrap_or(before);
    let quoted = name.len() < before.len();
    let name = name.trim_end_matches(' ');
    let start = name.bytes().rposition(|byte| !is_name(byte)).map_or(0, |place| place + 1);
    let name = name[start..].trim_start_matches(['.', '/', '-', '@']);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        return None;
    }
    let after = &line[at + 1..];
    let value = after.trim_start_matches(' ');
    // `host:80` and `12:30` have nothing between; `loss:0.5` is written seldom, and then with a fraction.
    if bytes[at] == b':'
        && !quoted
        && value.len() == after.len()
        && !value.starts_with(|c: char| c == '-' || c.is_ascii_digit())
    {
        return None;
    }
    let tight = bytes[at] == b':' && !quoted && value.len() == after.len();
    let quote = value.strip_prefix(['"', '\'']);
    let value = quote.unwrap_or(value);
    let (length, number) = number(value)?;
    if tight && !value[..length].contains('.') {
        return None;
    }
    let unit = unit(&value[length..])?;
    let end = line.len() - value.len() + length + unit.len();
    Some((Metric { name: Cow::Borrowed(name), value: number, unit }, end))
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-' | b'@') || byte >= 0x80
}

/// The number that a text begins with, and how long it is.
fn number(text: &str) -> Option<(usize, f64)> {
    let bytes = text.as_bytes();
    let sign = usize::from(bytes.first().is_some_and(|byte| matches!(byte, b'+' | b'-')));
    for (word, value) in [("nan", f64::NAN), ("inf", f64::INFINITY), ("infinity", f64::INFINITY)].iter().rev() {
        if text.get(sign..sign + word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)) {
            let next = bytes.get(sign + word.len());
            return (!next.is_some_and(u8::is_ascii_alphanumeric))
                .then_some((sign + word.len(), if bytes[0] == b'-' { -value } else { *value }));
        }
    }
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(sign);
    let mut end = sign + whole;
    let mut part = 0;
    if bytes.get(end) == Some(&b'.') {
        part = digits(end + 1);
        end += 1 + part;
    }
    if whole + part == 0 {
        return None;
    }
    if bytes.get(end).is_some_and(|byte| matches!(byte, b'e' | b'E')) {
        let sign = usize::from(bytes.get(end + 1).is_some_and(|byte| matches!(byte, b'+' | b'-')));
        let power = bytes.get(end + 1 + sign..).map_or(0, |_| digits(end + 1 + sign));
        if power > 0 {
            end += 1 + sign + power;
        }
    }
    // `3.` at the end of a sentence.
    let used = if bytes[end - 1] == b'.' { end - 1 } else { end };
    text[..used].parse().ok().map(|value| (used, value))
}

/// What stands behind a number; `None` when the number is only the beginning of something else.
fn unit(rest: &str) -> Option<&str> {
    let length = rest.find(|c: char| !(c.is_alphabetic() || matches!(c, '%' | '/' | '°' | 'µ'))).unwrap_or(rest.len());
    let mut next = rest[length..].chars();
    let (first, second) = (next.next(), next.next());
    let goes_on = match first {
        Some(c) if c.is_ascii_digit() || matches!(c, '_' | '\\' | '@') => true,
        Some('.' | ':' | '-' | '+' | '=' | ',') => {
            second.is_some_and(|c| c.is_ascii_digit()) && length == 0 && first != Some(',')
        }
        Some(_) | None => false,
    };
    (!goes_on && length <= LONGEST_UNIT && !rest.starts_with('/')).then_some(&rest[..length])
}

/// The named groups of a pattern that are numbers, as `(?P<loss>…)`; numbers may have commas.
pub fn groups<'l>(pattern: &'l Regex, line: &'l str) -> Vec<Metric<'l>> {
    let Some(found) = pattern.captures(line) else { return Vec::new() };
    let named = pattern.capture_names().flatten();
    named
        .filter_map(|name| {
            let text = found.name(name)?.as_str().trim();
            let value = number(text).filter(|(length, _)| *length == text.len()).map(|(_, value)| value);
            let value = value.or_else(|| text.replace(',', "").parse().ok())?;
            Some(Metric { name: Cow::Borrowed(name), value, unit: "" })
        })
        .collect()
}

/// The members of a line of JSON that are numbers; those of objects in it as `outer/inner`.
pub fn members(line: &str) -> Vec<Metric<'static>> {
    let mut found = Vec::new();
    if let Ok(serde_json::Value::Object(object)) = serde_json::from_str(line.trim()) {
        gather("", &object, &mut found);
    }
    found
}

fn gather(outer: &str, object: &serde_json::Map<String, serde_json::Value>, found: &mut Vec<Metric<'static>>) {
    for (name, value) in object {
        let name = if outer.is_empty() { name.clone() } else { format!("{outer}/{name}") };
        if found.len() == MOST || name.len() > LONGEST_NAME {
            continue;
        }
        let spoken = || value.as_str().and_then(|text| number(text).filter(|(length, _)| *length == text.len()));
        if let Some(value) =
            value.as_f64().or_else(|| spoken().map(|(_, value)| value).filter(|value| !value.is_finite()))
        {
            found.push(Metric { name: Cow::Owned(name), value, unit: "" });
        } else if let Some(object) = value.as_object() {
            gather(&name, object, found);
        }
    }
}
