//! Other ways: `alternatives`, the arithmetic of `change`, and `autonomy`.

use indexmap::IndexMap;
use toml::de::DeValue;

use super::raise;
use super::step::{self, Draft};
use crate::config::keys::{Kind, nearest};
use crate::config::read::{At, Item, Limit, Reader, Section};
use crate::model::{Alternative, Arithmetic, Autonomy, Change, Raise, Resource, Step, StepId, StepWhat, Template};

/// Names with their places.
pub(super) type Names = Vec<(String, At)>;

/// How an alternative that is a step of its own is named.
const STEPS: &str = "steps.";

/// `autonomy`.
pub(super) fn autonomy<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Option<Autonomy> {
    section.get("autonomy").and_then(|item| reader.choice(&item, &Autonomy::ALL))
}

/// `[steps.x.alternatives.NAME]`.
pub(super) fn alternatives<'a>(
    reader: &mut Reader<'a>,
    section: &Section<'a>,
    step: &Step,
) -> IndexMap<String, Alternative> {
    let mut all = IndexMap::new();
    let Some(item) = section.get("alternatives") else { return all };
    for (name, item) in reader.names(&item, format!("[steps.{}.alternatives]", step.id)) {
        if StepId::new(name).is_err() {
            let shown: String = name.chars().take(80).collect();
            reader
                .found
                .error(&item.key_at, format!("an alternative cannot be called `{shown}`"))
                .hint("a-z or 0-9 first, then a-z, 0-9, _ and -, at most 63 characters");
        }
        let title = format!("[steps.{}.alternatives.{name}]", step.id);
        if let Some(table) = reader.section(&item, Kind::Alternative, title) {
            all.insert(name.to_owned(), alternative(reader, &table));
        }
    }
    all
}

fn alternative<'a>(reader: &mut Reader<'a>, table: &Section<'a>) -> Alternative {
    let env = table.get("env").map(|item| step::env(reader, &item, &format!("env of {}", table.title)));
    let alternative = Alternative {
        description: table.get("description").and_then(|item| reader.text(&item)).map(str::to_owned),
        script: table.get("run").and_then(|item| step::script(reader, &item)),
        env: env.unwrap_or_default(),
        timeout: table.get("timeout").and_then(|item| reader.limit(&item)).map(Limit::duration),
        requires_approval: table.get("requires_approval").and_then(|item| reader.boolean(&item)).unwrap_or(false),
    };
    let says = ["run", "env", "timeout"].into_iter().any(|key| table.get(key).is_some());
    if !says {
        reader
            .found
            .error(&table.at, format!("{} changes nothing", table.title))
            .hint("env = { … }, run = \"…\" or timeout = \"…\"");
    }
    alternative
}

/// `use` of a rule: the name of an alternative of the step, or `steps.other`, which is looked for later.
pub(super) fn used<'a>(reader: &mut Reader<'a>, item: &Item<'a>, step: &Step) -> Option<String> {
    let name = reader.text(item)?;
    if name.starts_with(STEPS) || step.alternatives.contains_key(name) {
        return Some(name.to_owned());
    }
    let hint = match nearest(name, step.alternatives.keys().map(String::as_str)) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("add [steps.{}.alternatives.NAME], or write use = \"steps.NAME\"", step.id),
    };
    let shown: String = name.chars().take(80).collect();
    reader.found.error(&item.at, format!("step {} has no alternative \"{shown}\"", step.id)).hint(hint);
    None
}

/// Whether the step's own `env` and the like, or an alternative of it, sets this variable.
fn sets(step: &Step, name: &str) -> bool {
    let other = step.alternatives.values().any(|other| other.env.contains_key(name));
    other || step.env.contains_key(name) || step.inputs.contains_key(name)
}

/// `change = { BATCH = "/ 2", memory = "* 2" }`: variables, and limits of the container where no variable is called so.
pub(super) fn changes<'a>(
    reader: &mut Reader<'a>,
    item: &Item<'a>,
    rule: &str,
    step: &Step,
) -> (Vec<Change>, Vec<Raise>) {
    let (mut all, mut raises) = (Vec::new(), Vec::new());
    for (name, item) in reader.names(item, format!("`change` of {rule}")) {
        if let Some(resource) = Resource::of(name).filter(|_| !sets(step, name)) {
            raises.extend(raise::read(reader, &item, resource, rule));
            continue;
        }
        step::check_variable(reader, name, &item.key_at);
        let Some(text) = reader.text(&item) else { continue };
        if let Some(by) = arithmetic(text) {
            all.push(Change { variable: name.to_owned(), by });
        } else {
            let shown: String = text.chars().take(40).collect();
            reader
                .found
                .error(&item.at, format!("\"{shown}\" changes no number"))
                .hint("\"/ 2\", \"* 2\", \"+ 1\" or \"- 1\"");
        }
    }
    (all, raises)
}

fn arithmetic(text: &str) -> Option<Arithmetic> {
    let mut chars = text.trim().chars();
    let sign = chars.next()?;
    let number: f64 = chars.as_str().trim().parse().ok().filter(|n: &f64| n.is_finite() && *n > 0.0)?;
    match sign {
        '+' => Some(Arithmetic::Add(number)),
        '-' => Some(Arithmetic::Subtract(number)),
        '*' => Some(Arithmetic::Multiply(number)),
        '/' => Some(Arithmetic::Divide(number)),
        _ => None,
    }
}

/// Steps that are alternatives of others become patches over them: what they run, with their variables, in the place of
/// the step that has failed.
pub(super) fn resolve(reader: &mut Reader<'_>, drafts: &mut IndexMap<String, Draft>) {
    let mut found: Vec<(String, String, Alternative)> = Vec::new();
    for (name, draft) in drafts.iter() {
        for (used, at) in &draft.uses {
            let Some(other) = used.strip_prefix(STEPS) else { continue };
            match whole_step(drafts, name, other) {
                Ok(alternative) => found.push((name.clone(), used.clone(), alternative)),
                Err((words, hint)) => {
                    reader.found.error(at, words).hint(hint);
                }
            }
        }
    }
    for (step, used, alternative) in found {
        let secrets = used.strip_prefix(STEPS).and_then(|other| drafts.get(other)).map(|other| &other.step.secrets);
        let secrets = secrets.cloned().unwrap_or_default();
        if let Some(draft) = drafts.get_mut(&step) {
            draft.step.alternatives.insert(used, alternative);
            // What takes the place of the step needs what it needs as a step.
            let new = secrets.into_iter().filter(|name| !draft.step.secrets.contains(name)).collect::<Vec<_>>();
            draft.step.secrets.extend(new);
        }
    }
}

fn whole_step(drafts: &IndexMap<String, Draft>, step: &str, other: &str) -> Result<Alternative, (String, String)> {
    let Some(draft) = drafts.get(other).filter(|_| other != step) else {
        let hint = nearest(other, drafts.keys().map(String::as_str).filter(|name| *name != step));
        let hint = hint
            .map_or_else(|| "name another step of this file".into(), |near| format!("did you mean \"steps.{near}\"?"));
        return Err((format!("there is no other step \"{other}\""), hint));
    };
    let StepWhat::Run { script } = &draft.step.what else {
        return Err((
            format!("step {other} runs nothing: it cannot take the place of {step}"),
            "name a step with `run`".into(),
        ));
    };
    if draft.step.has_matrix {
        return Err((
            format!("step {other} has a matrix: it cannot take the place of one lane of {step}"),
            "name a step without `matrix`".into(),
        ));
    }
    if drafts.get(step).is_some_and(|own| own.step.place.environment != draft.step.place.environment) {
        return Err((
            format!("step {other} runs in another environment than {step}"),
            "both must have the same `environment`".into(),
        ));
    }
    let env = draft.step.env.iter().chain(&draft.step.inputs);
    Ok(Alternative {
        description: draft.step.description.clone(),
        script: Some(script.clone()),
        env: env.map(|(name, value)| (name.clone(), value.clone())).collect(),
        timeout: Some(draft.step.timeout),
        requires_approval: false,
    })
}

/// Notes variables that a rule changes and nothing sets.
pub(super) fn check_changes(
    reader: &mut Reader<'_>,
    drafts: &IndexMap<String, Draft>,
    env: &IndexMap<String, Template>,
) {
    for draft in drafts.values() {
        let step = &draft.step;
        for (name, at) in &draft.changes {
            if Resource::of(name).is_none() && !sets(step, name) && !env.contains_key(name) {
                let words = format!("no `env` sets {name} for step {}: there is nothing to change", step.id);
                let hint = format!("[steps.{}.env] with {name} = \"…\"", step.id);
                reader.found.error(at, words).hint(hint);
            }
        }
    }
}

/// The places of what the rules of a step use and change.
pub(super) fn places(section: &Section<'_>) -> (Names, Names) {
    let (mut uses, mut changes) = (Names::new(), Names::new());
    let Some(DeValue::Array(rules)) = section.get("on_failure").map(|item| item.value) else {
        return (uses, changes);
    };
    for rule in rules {
        let DeValue::Table(rule) = rule.get_ref() else { continue };
        if let Some(value) = rule.get("use")
            && let DeValue::String(name) = value.get_ref()
        {
            uses.push((name.to_string(), value.span()));
        }
        if let Some(DeValue::Table(table)) = rule.get("change").map(toml::Spanned::get_ref) {
            changes.extend(table.keys().map(|name| (name.get_ref().to_string(), name.span())));
        }
    }
    (uses, changes)
}
