//! `inputs` and `outputs` of a step: what it reads and what it must have written. Looks at no file.

use std::path::{Component, Path};

use indexmap::IndexMap;

use super::step::check_variable;
use crate::config::keys::Kind;
use crate::config::read::{At, Item, Reader, Section};
use crate::config::units::is_variable;
use crate::model::{Output, StepId, Template};

/// What the step depends on, by the name that is exported.
pub(super) fn inputs<'a>(
    reader: &mut Reader<'a>,
    section: &Section<'a>,
    env: &IndexMap<String, Template>,
) -> IndexMap<String, Template> {
    let mut inputs = IndexMap::new();
    let Some(item) = section.get("inputs") else { return inputs };
    for (name, item) in reader.names(&item, format!("inputs of {}", section.title)) {
        if env.contains_key(name) {
            reader
                .found
                .error(&item.key_at, format!("`{name}` is both in `env` and in `inputs` of {}", section.title))
                .hint("inputs are exported under their names: give one of them another name");
        } else if !is_variable(name) {
            reader
                .found
                .warning(&item.key_at, format!("input `{name}` is not exported: no variable can have this name"))
                .hint("a letter or _, then letters, digits and _");
        } else {
            check_variable(reader, name, &item.key_at);
        }
        if let Some(template) = reader.template(&item) {
            inputs.insert(name.to_owned(), template);
        }
    }
    inputs
}

/// The files or folders that the step must have written.
pub(super) fn outputs<'a>(
    reader: &mut Reader<'a>,
    section: &Section<'a>,
    has_matrix: bool,
) -> IndexMap<String, Output> {
    let mut outputs = IndexMap::new();
    let Some(item) = section.get("outputs") else { return outputs };
    for (name, item) in reader.names(&item, format!("outputs of {}", section.title)) {
        if StepId::new(name).is_err() {
            let shown: String = name.chars().take(80).collect();
            reader
                .found
                .error(&item.key_at, format!("an output cannot be called `{shown}`"))
                .hint("a-z or 0-9 first, then a-z, 0-9, _ and -, at most 63 characters");
        }
        // A wrong one is kept: what names it is not wrong as well.
        let output = output(reader, name, &item, section, has_matrix);
        outputs.insert(name.to_owned(), output.unwrap_or(Output { path: String::new(), cache: false }));
    }
    cached(reader, &item.at, section, &outputs);
    outputs
}

/// What is left out in a later run must have left nothing else behind.
fn cached<'a>(reader: &mut Reader<'a>, at: &At, section: &Section<'a>, outputs: &IndexMap<String, Output>) {
    if !outputs.values().any(|output| output.cache) {
        return;
    }
    if let Some((name, _)) = outputs.iter().find(|(_, output)| !output.cache) {
        reader
            .found
            .error(at, format!("output `{name}` of {} has no `cache = true`, and another one has", section.title))
            .hint("a step that is not run again makes none of its outputs: write it to all of them, or to none");
    }
    if let Some(item) = section.get("snapshot") {
        reader
            .found
            .error(&item.key_at, format!("{} has `snapshot` and a cached output", section.title))
            .hint("a step that is not run again leaves no environment behind: remove one of the two");
    }
    if section.get("inputs").is_none() {
        reader
            .found
            .warning(at, format!("{} is cached and names no inputs", section.title))
            .hint("it runs again only when its script or variables change; name what it reads: inputs = { code = \"prepare.py\" }");
    }
}

fn output<'a>(
    reader: &mut Reader<'a>,
    name: &str,
    item: &Item<'a>,
    section: &Section<'a>,
    has_matrix: bool,
) -> Option<Output> {
    if let Some(text) = item.value.as_str() {
        let hint = format!("write {name} = {{ path = \"{text}\" }}");
        reader.wrong_type(item, "a table", Some(hint));
        return None;
    }
    let output = reader.section(item, Kind::Output, format!("output `{name}` of {}", section.title))?;
    let Some(path) = output.get("path") else {
        reader.found.error(&output.at, format!("{} has no `path`", output.title)).hint("path = \"results.json\"");
        return None;
    };
    let text = reader.literal(&path)?;
    if let Err((why, hint)) = check_output(text) {
        reader.found.error(&path.at, format!("the path of {} {why}", output.title)).hint(hint);
        return None;
    }
    if has_matrix && !text.starts_with("$DOGWATCH_DIR") {
        reader
            .found
            .warning(&path.at, format!("all lanes of {} write the same path", section.title))
            .hint(format!("path = \"$DOGWATCH_DIR/{text}\": each lane has its own"));
    }
    let cache = output.get("cache");
    if let Some(item) = cache.as_ref().filter(|_| matches!(text, "$DOGWATCH_DIR" | "." | "./" | "$DOGWATCH_DIR/")) {
        reader
            .found
            .error(
                &item.key_at,
                format!("{} is a whole folder that others write to, and cannot be cached", output.title),
            )
            .hint("name a file or a folder in it");
    }
    let cache = cache.and_then(|item| reader.boolean(&item)).unwrap_or(false);
    Some(Output { path: text.to_owned(), cache })
}

/// An output is below the workspace or below the step's own folder.
pub(super) fn check_output(text: &str) -> Result<(), (String, String)> {
    let own = text.strip_prefix("$DOGWATCH_DIR").filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let rest = own.map_or(text, |rest| rest.trim_start_matches('/'));
    if rest.contains('$') {
        let hint = "only $DOGWATCH_DIR can be used, at the beginning: \"$DOGWATCH_DIR/model\"";
        return Err(("holds a variable that is not known here".into(), hint.into()));
    }
    if own.is_none() && text.starts_with('/') || text.starts_with('~') {
        return Err(("is not relative to the workspace".into(), "write \"results/…\" or \"$DOGWATCH_DIR/…\"".into()));
    }
    if Path::new(rest).components().any(|part| part == Component::ParentDir) {
        return Err(("contains `..`".into(), "an output is below the workspace or below $DOGWATCH_DIR".into()));
    }
    Ok(())
}
