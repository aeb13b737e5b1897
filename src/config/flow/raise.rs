//! `change` of a rule where it is about the container's limits: `{ memory = "* 2" }`, `{ memory = { by = "* 2", max = "64GiB" } }`.

use indexmap::IndexMap;

use super::Draft;
use super::container::{cpus, size};
use crate::config::keys::Kind;
use crate::config::read::{Item, Reader};
use crate::config::units;
use crate::model::{ContainerSpec, Raise, Raising, Resource, Workflow};

/// One key of `change` that names a resource.
pub(super) fn read<'a>(reader: &mut Reader<'a>, item: &Item<'a>, resource: Resource, rule: &str) -> Option<Raise> {
    let name = resource.as_str();
    if !item.value.is_table() {
        let by = by(reader, item, resource)?;
        return Some(Raise { resource, by, most: None });
    }
    let table = reader.section(item, Kind::Raise, format!("`{name}` in `change` of {rule}"))?;
    let most = table.get("max").and_then(|item| match resource {
        Resource::Memory | Resource::Shm => size(reader, &item),
        Resource::Cpus => cpus(reader, &item),
    });
    let Some(item) = table.get("by") else {
        reader.found.error(&table.at, format!("{} does not say by how much", table.title)).hint("by = \"* 2\"");
        return None;
    };
    Some(Raise { resource, by: by(reader, &item, resource)?, most })
}

fn by<'a>(reader: &mut Reader<'a>, item: &Item<'a>, resource: Resource) -> Option<Raising> {
    let text = reader.text(item)?;
    let raising = raising(text, resource);
    if raising.is_none() {
        let shown: String = text.chars().take(40).collect();
        let more = match resource {
            Resource::Memory | Resource::Shm => "+ 8GiB",
            Resource::Cpus => "+ 2",
        };
        reader
            .found
            .error(&item.at, format!("\"{shown}\" does not raise {}", resource.as_str()))
            .hint(format!("\"* 2\" or \"{more}\": limits are only raised"));
    }
    raising
}

fn raising(text: &str, resource: Resource) -> Option<Raising> {
    let text = text.trim();
    if let Some(factor) = text.strip_prefix('*') {
        let factor: f64 = factor.trim().parse().ok()?;
        return (factor.is_finite() && factor > 1.0).then_some(Raising::Times(factor));
    }
    let more = text.strip_prefix('+')?.trim();
    let more = match resource {
        Resource::Memory | Resource::Shm => units::size(more)?,
        Resource::Cpus => {
            let cpus: f64 = more.parse().ok().filter(|cpus: &f64| (0.001..=100_000.0).contains(cpus))?;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 100,000,000")]
            let milli = (cpus * 1000.0).round() as u64;
            milli
        }
    };
    (more > 0).then_some(Raising::Plus(more))
}

/// Notes rules that raise what is not there, or is at its most already.
pub(super) fn check(reader: &mut Reader<'_>, drafts: &IndexMap<String, Draft>, workflow: &Workflow) {
    for draft in drafts.values() {
        let step = &draft.step;
        let environment = workflow.environment_named(&step.place.environment);
        let title = match step.place.environment.as_str() {
            "default" => "[environment]".to_owned(),
            name => format!("[environments.{name}]"),
        };
        let raises: Vec<&Raise> = step.on_failure.iter().flat_map(|rule| &rule.raise).collect();
        for (name, at) in &draft.changes {
            let Some(resource) = Resource::of(name) else { continue };
            for raise in raises.iter().filter(|raise| raise.resource == resource) {
                if let Some((words, hint)) = wrong(raise, environment.container.as_ref(), &title) {
                    reader.found.error(at, format!("step {}: {words}", step.id)).hint(hint);
                }
            }
            if !raises.is_empty() && workflow.env.contains_key(name) {
                reader
                    .found
                    .error(at, format!("`{name}` is a variable of [env] and a limit of the container"))
                    .hint("rename the variable");
            }
        }
    }
}

/// Why there is nothing to raise, and what to do.
fn wrong(raise: &Raise, container: Option<&ContainerSpec>, title: &str) -> Option<(String, String)> {
    let name = raise.resource.as_str();
    let Some(container) = container else {
        let words = format!("there is no {name} to raise: the built-in sandbox has no limits");
        return Some((words, format!("give {title} an `image` and `{name}`; a variable is set in `env`")));
    };
    let example = match raise.resource {
        Resource::Memory | Resource::Shm => "\"16GiB\"",
        Resource::Cpus => "4",
    };
    let Some(limit) = raise.resource.limit(container) else {
        return Some((format!("{title} sets no `{name}`: there is nothing to raise"), format!("{name} = {example}")));
    };
    let most = raise.most.filter(|most| *most <= limit)?;
    let (most, limit) = (raise.resource.words(most), raise.resource.words(limit));
    Some((format!("`max` of {name} is {most}, and {title} has {limit} already"), "write a larger `max`".into()))
}
