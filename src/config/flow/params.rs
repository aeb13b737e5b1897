//! `[params]` and `-p name=value`: typed values of one run.

use indexmap::IndexMap;

use crate::config::keys::{Kind, nearest};
use crate::config::read::{Item, Reader, Section, any_of, listed};
use crate::config::units::is_variable;
use crate::model::Value;

/// What to do about a parameter that has neither a default nor a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Missing {
    /// The workflow is to be run.
    Refuse,
    /// The file is only looked at: an example stands for the value, and a warning is given.
    Imagine,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Text,
    Integer,
    Number,
    Boolean,
}

const TYPES: [(&str, Type); 4] =
    [("string", Type::Text), ("integer", Type::Integer), ("number", Type::Number), ("boolean", Type::Boolean)];

/// One declared parameter.
struct Declared {
    kind: Type,
    choices: Vec<Value>,
    min: Option<Value>,
    max: Option<Value>,
}

/// The values of all parameters, and their names: also of those whose value is wrong.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    table: Option<&Item<'a>>,
    given: &[(String, String)],
    missing: Missing,
) -> (IndexMap<String, Value>, Vec<&'a str>) {
    let mut values = IndexMap::new();
    let declared = table.map_or_else(Vec::new, |table| reader.names(table, "[params]".into()));
    let names: Vec<&str> = declared.iter().map(|(name, _)| *name).collect();
    for (name, item) in &declared {
        if !is_variable(name) {
            reader
                .found
                .error(&item.key_at, format!("a parameter cannot be called `{name}`"))
                .hint("a letter or _, then letters, digits and _");
        }
        let given = given.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        if let Some(value) = one(reader, name, item, given, missing) {
            values.insert((*name).to_owned(), value);
        }
    }
    for (key, value) in given.iter().filter(|(key, _)| !names.contains(&key.as_str())) {
        let hint = match nearest(key, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("parameters of this workflow: {}", listed(&names)),
        };
        reader.found.argument(format!("{key}={value}"), format!("there is no parameter `{key}`")).hint(hint);
    }
    (values, names)
}

fn one<'a>(
    reader: &mut Reader<'a>,
    name: &str,
    item: &Item<'a>,
    given: Option<&str>,
    missing: Missing,
) -> Option<Value> {
    if !item.value.is_table() {
        let hint = shorthand(reader, item).map(|hint| format!("write {name} = {hint}"));
        reader.wrong_type(item, "a table", hint);
        return None;
    }
    let section = reader.section(item, Kind::Param, format!("params.{name}"))?;
    let declared = declaration(reader, &section)?;
    let default = section.get("default").and_then(|item| {
        let value = reader.typed(&item, declared.kind)?;
        if let Err(why) = declared.allows(&value) {
            reader.found.error(&item.at, format!("the default of parameter `{name}` {why}"));
            return None;
        }
        Some(value)
    });
    if let Some(text) = given {
        return match declared.parse(text) {
            Ok(value) => Some(value),
            Err(why) => {
                reader.found.argument(format!("{name}={text}"), format!("parameter `{name}` {why}"));
                None
            }
        };
    }
    if default.is_none() && section.get("default").is_none() {
        return declared.absent(reader, name, item, missing);
    }
    default
}

/// `{ type = "integer", default = 3 }` for somebody who wrote `3`.
fn shorthand<'a>(reader: &Reader<'a>, item: &Item<'a>) -> Option<String> {
    let kind = match item.value {
        value if value.is_str() => "string",
        value if value.is_integer() => "integer",
        value if value.is_float() => "number",
        value if value.is_bool() => "boolean",
        _ => return None,
    };
    let written = reader.source.get(item.at.clone()).filter(|written| written.len() < 60)?;
    Some(format!("{{ type = \"{kind}\", default = {written} }}"))
}

fn declaration<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Option<Declared> {
    if let Some(description) = section.get("description") {
        reader.text(&description);
    }
    let Some(kind) = section.get("type") else {
        reader
            .found
            .error(&section.at, format!("{} has no `type`", section.title))
            .hint("type is \"string\", \"integer\", \"number\" or \"boolean\"");
        return None;
    };
    let kind = reader.choice(&kind, &TYPES)?;
    let mut bound = |key: &str| {
        let item = section.get(key)?;
        if matches!(kind, Type::Text | Type::Boolean) {
            reader.found.error(&item.key_at, format!("`{key}` is for integers and numbers only")).hint("remove it");
            return None;
        }
        reader.typed(&item, kind)
    };
    let (min, max) = (bound("min"), bound("max"));
    if let (Some(low), Some(high)) = (&min, &max)
        && above(low, high)
    {
        reader.found.error(&section.at, format!("`min` of {} is above its `max`", section.title));
    }
    let mut choices = Vec::new();
    if let Some(item) = section.get("choices") {
        let elements = reader.list(&item)?;
        if elements.is_empty() {
            reader.found.error(&item.at, format!("{} is empty: no value is allowed", item.title));
        }
        choices = elements.iter().filter_map(|element| reader.typed(element, kind)).collect();
    }
    Some(Declared { kind, choices, min, max })
}

impl<'a> Reader<'a> {
    fn typed(&mut self, item: &Item<'a>, kind: Type) -> Option<Value> {
        match kind {
            Type::Text => self.text(item).map(|text| Value::Text(text.into())),
            Type::Integer => self.integer(item, i64::MIN..=i64::MAX).map(Value::Integer),
            Type::Number => self.number(item, f64::MIN).map(Value::Number),
            Type::Boolean => self.boolean(item).map(Value::Boolean),
        }
    }
}

fn above(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => a > b,
        (Value::Number(a), Value::Number(b)) => a > b,
        _ => false,
    }
}

impl Declared {
    fn allows(&self, value: &Value) -> Result<(), String> {
        let shown = match value {
            Value::Text(text) => format!("\"{}\"", text.chars().take(60).collect::<String>()),
            Value::Integer(_) | Value::Number(_) | Value::Boolean(_) => value.to_string(),
        };
        if let Some(min) = self.min.as_ref().filter(|min| above(min, value)) {
            return Err(format!("must be at least {min}, not {shown}"));
        }
        if let Some(max) = self.max.as_ref().filter(|max| above(value, max)) {
            return Err(format!("must be at most {max}, not {shown}"));
        }
        if !self.choices.is_empty() && !self.choices.contains(value) {
            let choices: Vec<String> = self.choices.iter().map(ToString::to_string).collect();
            return Err(format!("must be {}, not {shown}", any_of(&choices)));
        }
        Ok(())
    }

    /// A value from the command line.
    fn parse(&self, text: &str) -> Result<Value, String> {
        let shown: String = text.chars().take(60).collect();
        let value = match self.kind {
            Type::Text if text.contains('\0') => return Err("contains a NUL character".into()),
            Type::Text => Value::Text(text.into()),
            Type::Integer => Value::Integer(text.parse().map_err(|_| format!("must be an integer, not \"{shown}\""))?),
            Type::Number => {
                let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
                Value::Number(number.ok_or_else(|| format!("must be a number, not \"{shown}\""))?)
            }
            Type::Boolean => {
                Value::Boolean(text.parse().map_err(|_| format!("must be true or false, not \"{shown}\""))?)
            }
        };
        self.allows(&value)?;
        Ok(value)
    }

    fn absent(&self, reader: &mut Reader<'_>, name: &str, item: &Item<'_>, missing: Missing) -> Option<Value> {
        let hint = format!("give it with -p {name}=VALUE, or write a `default`");
        let words = format!("parameter `{name}` has no default and no value");
        if missing == Missing::Refuse {
            reader.found.error(&item.key_at, words).hint(hint);
            return None;
        }
        reader.found.warning(&item.key_at, words).hint(hint);
        let first = self.choices.first().or(self.min.as_ref()).or(self.max.as_ref()).cloned();
        Some(first.unwrap_or(match self.kind {
            Type::Text => Value::Text(name.into()),
            Type::Integer => Value::Integer(1),
            Type::Number => Value::Number(1.0),
            Type::Boolean => Value::Boolean(true),
        }))
    }
}
