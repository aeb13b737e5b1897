//! Typed reading from toml's spanned tree: each value with its place, each mistake noted, nothing ever assumed.
//!
//! A reading function that finds a mistake notes it and answers `None`; the caller goes on, so that all mistakes of a file
//! are told at once.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::foreign;
use super::keys::{Kind, nearest};
use super::phrase::Use;
use super::problems::Found;
use super::units;
use crate::model::Value;

/// The longest text of a file: the kernel takes no argument or variable above 128 KiB.
const LONGEST_TEXT: usize = 100 * 1024;

/// A place in the file, in bytes.
pub(super) type At = Range<usize>;

/// A value with the words that name it.
#[derive(Clone)]
pub(super) struct Item<'a> {
    /// As in "`timeout` in [steps.train]".
    pub(super) title: String,
    pub(super) key_at: At,
    pub(super) value: &'a DeValue<'a>,
    pub(super) at: At,
}

/// A table whose keys have been checked.
pub(super) struct Section<'a> {
    kind: Kind,
    /// As in "[steps.train]".
    pub(super) title: String,
    table: &'a DeTable<'a>,
    /// The place of its name.
    pub(super) at: At,
}

impl<'a> Section<'a> {
    /// Whether it is a table of this kind.
    pub(super) fn is(&self, kind: Kind) -> bool {
        self.kind == kind
    }

    /// The value of a supported key.
    pub(super) fn get(&self, key: &str) -> Option<Item<'a>> {
        debug_assert!(self.kind.keys().contains(&key), "{key} is not in the list of keys");
        let (spelled, value) = self.table.get_key_value(key)?;
        Some(self.item(spelled, value))
    }

    /// Every key with its value.
    pub(super) fn items(&self) -> impl Iterator<Item = (&'a str, Item<'a>)> + use<'a, '_> {
        self.table.iter().map(|(key, value)| (key.get_ref().as_ref(), self.item(key, value)))
    }

    fn item(&self, key: &'a Spanned<toml::de::DeString<'a>>, value: &'a Spanned<DeValue<'a>>) -> Item<'a> {
        let title = format!("`{}` in {}", key.get_ref(), self.title);
        Item { title, key_at: key.span(), value: value.get_ref(), at: value.span() }
    }
}

/// A limit that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    None,
    Of(Duration),
}

impl Limit {
    pub(super) fn duration(self) -> Option<Duration> {
        match self {
            Self::None => None,
            Self::Of(duration) => Some(duration),
        }
    }
}

/// Reads one file.
pub(super) struct Reader<'a> {
    pub(super) source: &'a str,
    pub(super) found: Found,
    pub(super) uses: Vec<Use>,
    /// The step that is being read.
    pub(super) step: Option<String>,
    /// Where questions are said to be told again.
    pub(super) reminders: Vec<At>,
}

impl<'a> Reader<'a> {
    /// The file's own table.
    pub(super) fn file(&mut self, table: &'a DeTable<'a>) -> Section<'a> {
        let section = Section { kind: Kind::File, title: "the top level of the file".into(), table, at: 0..0 };
        self.check_keys(&section);
        section
    }

    /// A table with the keys of `kind`.
    pub(super) fn section(&mut self, item: &Item<'a>, kind: Kind, title: String) -> Option<Section<'a>> {
        let section = self.table(item, kind, title)?;
        self.check_keys(&section);
        Some(section)
    }

    /// A table whose keys are names that the writer chose.
    pub(super) fn names(&mut self, item: &Item<'a>, title: String) -> Vec<(&'a str, Item<'a>)> {
        match self.table(item, Kind::File, title) {
            Some(section) => section.items().collect(),
            None => vec![],
        }
    }

    fn table(&mut self, item: &Item<'a>, kind: Kind, title: String) -> Option<Section<'a>> {
        if let DeValue::Table(table) = item.value {
            return Some(Section { kind, title, table, at: item.key_at.clone() });
        }
        let list = item.value.as_array();
        if list.is_some_and(|list| !list.is_empty() && list.iter().all(|value| value.get_ref().is_table())) {
            let hint = format!("write {title} once, with single brackets");
            self.found
                .error(&item.key_at, format!("{} must be one table, not a list of tables", item.title))
                .hint(hint);
        } else {
            self.wrong_type(item, "a table", None);
        }
        None
    }

    fn check_keys(&mut self, section: &Section<'a>) {
        for (key, item) in section.items() {
            if section.kind.keys().contains(&key) {
                continue;
            }
            if let Some(known) = section.kind.not_yet().iter().find(|known| known.key == key) {
                let place = if section.kind == Kind::File { String::new() } else { format!(" in {}", section.title) };
                self.found.error(&item.key_at, format!("`{key}`{place} is not supported yet")).hint(known.hint);
                continue;
            }
            let hint = if self.found.is_crowded() { None } else { hint_for(section.kind, key) };
            let hint = hint.unwrap_or_else(|| format!("keys are {}", listed(section.kind.keys())));
            let shown: String = key.chars().take(80).collect();
            let place = if section.kind == Kind::File { "at" } else { "in" };
            self.found.error(&item.key_at, format!("unknown key `{shown}` {place} {}", section.title)).hint(hint);
        }
    }

    pub(super) fn wrong_type(&mut self, item: &Item<'a>, wanted: &str, hint: Option<String>) {
        let is = type_words(item.value);
        self.found.error(&item.at, format!("{} must be {wanted}, not {is}", item.title)).hint_if(hint);
    }

    /// A text, with the checks that hold for every text.
    pub(super) fn text(&mut self, item: &Item<'a>) -> Option<&'a str> {
        let Some(text) = item.value.as_str() else {
            let hint = scalar(item.value).map(|value| format!("write \"{value}\""));
            self.wrong_type(item, "a text", hint);
            return None;
        };
        if text.contains('\0') {
            self.found.error(&item.at, format!("{} contains a NUL character", item.title)).hint("remove it");
            return None;
        }
        if text.len() > LONGEST_TEXT {
            let size = text.len() / 1024;
            self.found
                .error(&item.key_at, format!("{} is {size} KiB long; a text may have 100 KiB", item.title))
                .hint("put it into a file of the workspace and name that");
            return None;
        }
        Some(text)
    }

    /// A text that is not empty.
    pub(super) fn filled(&mut self, item: &Item<'a>) -> Option<&'a str> {
        let text = self.text(item)?;
        if text.trim().is_empty() {
            self.found.error(&item.at, format!("{} is empty", item.title));
            return None;
        }
        Some(text)
    }

    /// A text in which `${{ }}` would not be evaluated.
    pub(super) fn literal(&mut self, item: &Item<'a>) -> Option<&'a str> {
        let text = self.filled(item)?;
        if text.contains("${{") {
            self.found
                .error(&item.at, format!("{} cannot hold an expression", item.title))
                .hint("expressions work in `env`, `inputs`, `if` and in an approval's `prompt` and `show`");
            return None;
        }
        Some(text)
    }

    pub(super) fn boolean(&mut self, item: &Item<'a>) -> Option<bool> {
        let value = item.value.as_bool();
        if value.is_none() {
            let hint = item.value.as_str().filter(|text| matches!(*text, "true" | "false"));
            self.wrong_type(item, "true or false", hint.map(|text| format!("write {text} without quotes")));
        }
        value
    }

    /// An integer from `range`.
    pub(super) fn integer(&mut self, item: &Item<'a>, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let DeValue::Integer(number) = item.value else {
            let hint = item.value.as_str().and_then(|text| text.trim().parse::<i64>().ok());
            self.wrong_type(item, "an integer", hint.map(|n| format!("write {n} without quotes")));
            return None;
        };
        let (low, high) = (*range.start(), *range.end());
        let value = i64::from_str_radix(number.as_str(), number.radix()).ok().filter(|n| range.contains(n));
        if value.is_none() {
            self.found.error(&item.at, format!("{} must be {low} to {high}", item.title));
        }
        value
    }

    /// An integer or a float, finite and at least `low`.
    pub(super) fn number(&mut self, item: &Item<'a>, low: f64) -> Option<f64> {
        let value = if let DeValue::Float(n) = item.value {
            n.as_str().parse().ok()
        } else if let DeValue::Integer(n) = item.value {
            n.to_string().parse().ok()
        } else {
            self.wrong_type(item, "a number", None);
            return None;
        };
        let value = value.filter(|n: &f64| n.is_finite() && *n >= low);
        if value.is_none() {
            let least = if low > f64::MIN { format!(" of at least {low}") } else { String::new() };
            self.found.error(&item.at, format!("{} must be a finite number{least}", item.title));
        }
        value
    }

    pub(super) fn duration(&mut self, item: &Item<'a>) -> Option<Duration> {
        let Some(text) = item.value.as_str() else {
            let hint =
                scalar(item.value).map_or("write \"90s\"".into(), |n| format!("write \"{n}s\", \"{n}m\" or \"{n}h\""));
            self.wrong_type(item, "a duration like \"8h\"", Some(hint));
            return None;
        };
        match units::duration(text) {
            Ok(duration) => Some(duration),
            Err(bad) => {
                let shown: String = text.chars().take(40).collect();
                self.found.error(&item.at, format!("\"{shown}\" {}: {}", bad.message, item.title)).hint(bad.hint);
                None
            }
        }
    }

    /// A limit in time: above zero, or `"none"` for no limit.
    pub(super) fn limit(&mut self, item: &Item<'a>) -> Option<Limit> {
        if item.value.as_str() == Some("none") {
            return Some(Limit::None);
        }
        let limit = self.duration(item)?;
        if limit.is_zero() {
            self.found
                .error(&item.at, format!("{} must be longer than zero", item.title))
                .hint("\"none\" means no limit");
            return None;
        }
        Some(Limit::Of(limit))
    }

    /// The elements of a list.
    pub(super) fn list(&mut self, item: &Item<'a>) -> Option<Vec<Item<'a>>> {
        let DeValue::Array(array) = item.value else {
            let quoted = item.value.as_str().map(|text| format!("\"{text}\""));
            let hint = quoted.or_else(|| scalar(item.value)).map(|value| format!("write [{value}]"));
            self.wrong_type(item, "a list", hint);
            return None;
        };
        let element = |value: &'a Spanned<DeValue<'a>>| Item {
            title: format!("an element of {}", item.title),
            key_at: value.span(),
            value: value.get_ref(),
            at: value.span(),
        };
        Some(array.iter().map(element).collect())
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(&mut self, item: &Item<'a>, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(item)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let hint = nearest(text, all.iter().copied()).map(|near| format!("did you mean \"{near}\"?"));
        let quoted: Vec<String> = all.iter().map(|word| format!("\"{word}\"")).collect();
        let shown: String = text.chars().take(40).collect();
        self.found
            .error(&item.at, format!("{} must be {}, not \"{shown}\"", item.title, any_of(&quoted)))
            .hint_if(hint);
        None
    }

    /// A value of a parameter or of a matrix.
    pub(super) fn scalar(&mut self, item: &Item<'a>) -> Option<Value> {
        match item.value {
            DeValue::String(_) => self.text(item).map(|text| Value::Text(text.into())),
            DeValue::Boolean(value) => Some(Value::Boolean(*value)),
            DeValue::Integer(_) => self.integer(item, i64::MIN..=i64::MAX).map(Value::Integer),
            DeValue::Float(_) => self.number(item, f64::MIN).map(Value::Number),
            DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                self.wrong_type(item, "a text, a number or a boolean", None);
                None
            }
        }
    }
}

/// What to write instead of a key that is none; `None`: nothing is like it.
fn hint_for(kind: Kind, key: &str) -> Option<String> {
    if kind == Kind::Defaults && Kind::Step.keys().contains(&key) {
        return Some(format!("`{key}` belongs to a step; defaults are {}", listed(kind.keys())));
    }
    foreign::instead(kind, key).or_else(|| kind.nearest(key).map(|near| format!("did you mean `{near}`?")))
}

/// A number or boolean as it is written, without quotes.
pub(super) fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(n) => Some(n.to_string()),
        DeValue::Float(n) => Some(n.as_str().to_owned()),
        DeValue::Boolean(b) => Some(b.to_string()),
        DeValue::String(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn type_words(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// `a, b and c`.
pub(super) fn listed(words: &[&str]) -> String {
    match words {
        [] => "none".into(),
        [one] => (*one).into(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

/// `a, b or c`.
pub(super) fn any_of(words: &[String]) -> String {
    match words {
        [] => "nothing".into(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} or {last}", all.join(", ")),
    }
}
