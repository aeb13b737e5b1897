//! `[secrets]`, and `secrets` of a step: which values a step gets that nothing may show. Reads no value.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::step::{self, Draft};
use crate::config::keys::{Kind, nearest};
use crate::config::read::{At, Item, Reader, Section};
use crate::model::{SecretFrom, Workflow};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Env,
    File,
    Command,
}

/// The words of `from`, each with the key that says more, whether that must be said, and how it is written.
const FROM: [(&str, From); 3] = [("env", From::Env), ("file", From::File), ("command", From::Command)];

/// `[secrets]`, in the file's order.
pub(super) fn read<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> IndexMap<String, SecretFrom> {
    let mut all = IndexMap::new();
    for (name, item) in reader.names(item, "[secrets]".into()) {
        step::check_variable(reader, name, &item.key_at);
        if item.value.as_str().is_some() {
            // Not shown again: somebody may have written the value itself.
            reader
                .found
                .error(
                    &item.key_at,
                    format!("`{name}` in [secrets] must say where its value comes from, not what it is"),
                )
                .hint(format!("{name} = {{ from = \"env\" }}; a value that was written here should be changed"));
            continue;
        }
        let shown: String = name.chars().take(80).collect();
        let Some(table) = reader.section(&item, Kind::Secret, format!("secret `{shown}`")) else { continue };
        // One that is wrong is kept: what names it is not wrong as well.
        let from = from(reader, name, &table).unwrap_or(SecretFrom::Env(name.to_owned()));
        all.insert(name.to_owned(), from);
    }
    all
}

fn from<'a>(reader: &mut Reader<'a>, name: &str, table: &Section<'a>) -> Option<SecretFrom> {
    let Some(item) = table.get("from") else {
        reader
            .found
            .error(&table.at, format!("{} does not say `from` where", table.title))
            .hint("from = \"env\", \"file\" with `path`, or \"command\" with `run`");
        return None;
    };
    let from = reader.choice(&item, &FROM)?;
    let (own, example) = match from {
        From::Env => ("name", ""),
        From::File => ("path", "path = \"~/.config/token\""),
        From::Command => ("run", "run = \"pass show token\""),
    };
    for (key, other) in table.items().filter(|(key, _)| ["name", "path", "run"].contains(key) && *key != own) {
        reader
            .found
            .error(&other.key_at, format!("`{key}` has no meaning in {} with that `from`", table.title))
            .hint("remove it");
    }
    let said = table.get(own).map(|item| reader.literal(&item).map(|text| (text, item)));
    match (from, said) {
        (_, Some(None)) => None,
        (From::Env, None) => Some(SecretFrom::Env(name.to_owned())),
        (From::Env, Some(Some((text, item)))) => {
            if text.contains('=') {
                reader
                    .found
                    .error(&item.at, format!("{} is no name of a variable", item.title))
                    .hint("name = \"TOKEN\"");
            }
            Some(SecretFrom::Env(text.to_owned()))
        }
        (From::File, Some(Some((text, _)))) => Some(SecretFrom::File(text.to_owned())),
        (From::Command, Some(Some((text, _)))) => Some(SecretFrom::Command(text.to_owned())),
        (From::File | From::Command, None) => {
            reader.found.error(&table.at, format!("{} has no `{own}`", table.title)).hint(example);
            None
        }
    }
}

/// `secrets` of a step.
pub(super) fn named<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Vec<String> {
    let Some(item) = section.get("secrets") else { return Vec::new() };
    let mut all: Vec<String> = Vec::new();
    for element in reader.list(&item).unwrap_or_default() {
        let Some(name) = reader.text(&element) else { continue };
        if all.iter().any(|known| known == name) {
            let shown: String = name.chars().take(80).collect();
            reader.found.error(&element.at, format!("{shown} is there twice")).hint("remove one of them");
        } else {
            all.push(name.to_owned());
        }
    }
    all
}

/// The elements of `secrets` with their places.
pub(super) fn places(section: &Section<'_>) -> Vec<(String, At)> {
    let elements = section.get("secrets").and_then(|item| item.value.as_array());
    let named = elements.into_iter().flatten();
    named.filter_map(|value| Some((value.get_ref().as_str()?.to_owned(), value.span()))).collect()
}

/// Whether steps name what there is, and nothing is set twice.
pub(super) fn judge(reader: &mut Reader<'_>, drafts: &IndexMap<String, Draft>, workflow: &Workflow) {
    let mut used = BTreeSet::new();
    for draft in drafts.values() {
        for (name, at) in &draft.secrets {
            used.insert(name.as_str());
            known(reader, name, at, workflow);
            twice(reader, (name, at), draft, workflow);
        }
    }
    let idle = workflow.secrets.keys().filter(|name| !used.contains(name.as_str()));
    let idle: Vec<&str> = idle.map(String::as_str).collect();
    if !idle.is_empty() && !drafts.is_empty() {
        let words = format!("no step gets {}", idle.join(", "));
        let hint = format!("a step asks for it: secrets = [\"{}\"]", idle[0]);
        reader.found.warning(&(0..0), words).hint(hint);
    }
}

fn known(reader: &mut Reader<'_>, name: &str, at: &At, workflow: &Workflow) {
    if workflow.secrets.contains_key(name) {
        return;
    }
    let shown: String = name.chars().take(80).collect();
    let lower: Vec<String> = workflow.secrets.keys().map(|name| name.to_lowercase()).collect();
    let near = nearest(name, lower.iter().map(String::as_str));
    let near = near.and_then(|near| workflow.secrets.keys().find(|name| name.to_lowercase() == near));
    let hint = match near {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("add [secrets] and below it {shown} = {{ from = \"env\" }}"),
    };
    reader.found.error(at, format!("there is no secret \"{shown}\"")).hint(hint);
}

fn twice(reader: &mut Reader<'_>, (name, at): (&str, &At), draft: &Draft, workflow: &Workflow) {
    let step = &draft.step;
    let others = step.alternatives.values().any(|other| other.env.contains_key(name));
    let place = if step.env.contains_key(name) || others {
        "`env` of the step"
    } else if step.inputs.contains_key(name) {
        "`inputs` of the step"
    } else if workflow.env.contains_key(name) {
        "[env]"
    } else if step.checkpoint.as_ref().and_then(|it| it.resume_env.as_deref()) == Some(name) {
        "`resume_env` of the step"
    } else {
        return;
    };
    reader
        .found
        .error(at, format!("`{name}` is both a secret of the step and in {place}"))
        .hint("give one of them another name");
}
