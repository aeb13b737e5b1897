//! The whole file: `version`, `[workflow]`, `[env]`, and the other tables put together.

mod container;
mod data;
mod escalation;
mod look;
mod matrix;
mod metric;
mod notify;
mod other;
mod params;
mod place;
mod raise;
mod recovery;
mod secret;
mod step;
mod wait;

use std::path::Path;
use std::sync::LazyLock;

use indexmap::IndexMap;
use toml::de::{DeTable, DeValue};

use super::judge::Judge;
use super::keys::Kind;
use super::problems::Found;
use super::read::{At, Item, Limit, Reader, Section};
use super::rules;
use crate::model::{RuleSpec, StepId, Workflow};
pub(super) use params::Missing;
use place::{Placed, Wanted};
use step::Defaults;
pub(super) use step::Draft;

/// The version of the format that this program reads.
const VERSION: i64 = 1;

/// The most lanes of all steps together.
const MOST_LANES_IN_ALL: usize = 100_000;

/// Steps and lanes at once without `max_parallel`.
const PARALLEL: u32 = 4;

/// What a file says, when it says nothing wrong.
pub(super) struct Read {
    pub(super) workflow: Workflow,
    /// All environments.
    placed: Vec<Placed>,
    /// `[[rules]]`, with the places of their examples.
    rules: Vec<(RuleSpec, At)>,
    /// What steps want of the host, with the places.
    demands: Vec<Wanted>,
}

impl Read {
    /// Notes what is not there on this host, or is not what it seems; and rules that do not do what their example says.
    pub(super) fn look(&self, found: &mut Found) {
        self.placed.iter().for_each(|placed| place::look(placed, found));
        // Another version may judge otherwise, and must still be able to read what this one froze.
        if !self.rules.is_empty() && !found.has_errors() {
            rules::try_examples(&self.rules, found);
        }
        place::look_at_host(&self.demands, found);
    }
}

/// What a file is read with.
#[derive(Clone, Copy)]
pub(super) struct With<'g> {
    /// Name for a workflow that has none.
    pub(super) name: &'g str,
    pub(super) base: &'g Path,
    pub(super) params: &'g [(String, String)],
    pub(super) missing: Missing,
}

/// Reads the whole tree. The result is of use only when nothing wrong was found.
pub(super) fn read<'a>(reader: &mut Reader<'a>, table: &'a DeTable<'a>, with: With<'_>) -> Option<Read> {
    if !version(reader, table) {
        return None;
    }
    let file = reader.file(table);
    let (values, declared) = params::read(reader, file.get("params").as_ref(), with.params, with.missing);
    let env = file.get("env").map(|item| step::env(reader, &item, "[env]")).unwrap_or_default();
    let environment = file.get("environment");
    let placed = place::read(reader, environment.as_ref().map(|item| (item, "[environment]".into())), with.base);
    let others = file.get("environments").map(|item| place::others(reader, &item, with.base)).unwrap_or_default();
    let rules = file.get("rules").map(|item| rules::read(&mut reader.found, &item)).unwrap_or_default();
    let mut defaults = Defaults::default();
    let mut workflow = Workflow {
        name: with.name.to_owned(),
        description: None,
        max_parallel: PARALLEL,
        timeout: None,
        params: values,
        env,
        secrets: file.get("secrets").map(|item| secret::read(reader, &item)).unwrap_or_default(),
        environment: placed.spec.clone(),
        environments: others.iter().map(|(name, placed)| (name.clone(), placed.spec.clone())).collect(),
        steps: IndexMap::new(),
        notify: file.get("notify").map(|item| notify::read(reader, &item)).unwrap_or_default(),
        rules: rules.iter().map(|(spec, _)| spec.clone()).collect(),
    };
    if let Some(item) = file.get("workflow") {
        about(reader, &item, &mut workflow, &mut defaults);
    }
    if let Some(item) = file.get("defaults") {
        recovery::defaults(reader, &item, &mut defaults);
    }
    let (mut drafts, written) = steps(reader, &file, &defaults);
    place::judge_names(reader, &drafts, &workflow);
    place::images(&mut drafts, &mut workflow);
    place::judge(reader, &drafts, &workflow);
    other::resolve(reader, &mut drafts);
    secret::judge(reader, &drafts, &workflow);
    other::check_changes(reader, &drafts, &workflow.env);
    raise::check(reader, &drafts, &workflow);
    escalation::check(reader, &workflow.notify);
    let judge = Judge { drafts: &mut drafts, written: &written, params: &workflow.params, declared: &declared };
    judge.judge(reader);
    let wanting = drafts.iter().filter(|(_, draft)| !draft.step.demand.is_none());
    let demands = wanting.map(|(name, draft)| (name.clone(), draft.step.demand, draft.demand_at.clone())).collect();
    workflow.steps = drafts.into_values().map(|draft| (draft.step.id.clone(), draft.step)).collect();
    let placed = std::iter::once(placed).chain(others.into_iter().map(|(_, placed)| placed)).collect();
    Some(Read { workflow, placed, rules, demands })
}

/// Whether the file is of a version that is known here. Another one is told alone: its keys may mean something else.
fn version<'a>(reader: &mut Reader<'a>, table: &'a DeTable<'a>) -> bool {
    let hint = format!("write this at the top: version = {VERSION}");
    let Some((key, value)) = table.get_key_value("version") else {
        reader.found.error(&(0..0), "the file has no `version`").hint(hint);
        return true;
    };
    let DeValue::Integer(n) = value.get_ref() else {
        let item = Item { title: "`version`".into(), key_at: key.span(), value: value.get_ref(), at: value.span() };
        reader.wrong_type(&item, "an integer", Some(hint));
        return true;
    };
    let known = i64::from_str_radix(n.as_str(), n.radix()) == Ok(VERSION);
    if !known {
        reader
            .found
            .error(&value.span(), format!("version {n} of the file format is not known"))
            .hint(format!("this dogwatch reads version {VERSION}"));
    }
    known
}

fn about<'a>(reader: &mut Reader<'a>, item: &Item<'a>, workflow: &mut Workflow, defaults: &mut Defaults) {
    let Some(section) = reader.section(item, Kind::Workflow, "[workflow]".into()) else { return };
    if let Some(item) = section.get("name")
        && let Some(name) = reader.text(&item)
    {
        if let Err(bad) = StepId::new(name) {
            let shown: String = name.chars().take(80).collect();
            reader
                .found
                .error(&item.at, format!("a workflow cannot be called \"{shown}\": {}", bad.why))
                .hint(format!("name = \"{}\"", usable(name)));
        }
        name.clone_into(&mut workflow.name);
    }
    defaults.autonomy = other::autonomy(reader, &section).unwrap_or_default();
    workflow.description = section.get("description").and_then(|item| reader.text(&item)).map(str::to_owned);
    let parallel = section.get("max_parallel").and_then(|item| reader.integer(&item, 1..=i64::from(u32::MAX)));
    workflow.max_parallel = parallel.and_then(|n| u32::try_from(n).ok()).unwrap_or(PARALLEL);
    workflow.timeout = section.get("timeout").and_then(|item| reader.limit(&item)).and_then(Limit::duration);
}

fn steps<'a>(
    reader: &mut Reader<'a>,
    file: &Section<'a>,
    defaults: &Defaults,
) -> (IndexMap<String, Draft>, Vec<&'a str>) {
    let mut drafts = IndexMap::new();
    let example = "[steps.hello]\nrun = \"echo hello\"".replace('\n', " and below it ");
    let Some(item) = file.get("steps") else {
        reader.found.error(&(0..0), "the file has no steps").hint(format!("add {example}"));
        return (drafts, vec![]);
    };
    let tables = reader.names(&item, "[steps]".into());
    if tables.is_empty() && item.value.is_table() {
        reader.found.error(&item.key_at, "there are no steps").hint(format!("add {example}"));
    }
    let mut lanes = 0;
    for (name, item) in &tables {
        if let Some(draft) = step::read(reader, name, item, defaults) {
            lanes += draft.step.lanes.len();
            drafts.insert((*name).to_owned(), draft);
        }
    }
    if lanes > MOST_LANES_IN_ALL {
        let words = format!("the steps have {lanes} lanes in all; a workflow may have {MOST_LANES_IN_ALL}");
        reader.found.error(&item.key_at, words);
    }
    (drafts, tables.into_iter().map(|(name, _)| name).collect())
}

/// A name made of a text that is none: for a file's name, and for a hint.
pub(super) fn usable(text: &str) -> String {
    static OTHER: LazyLock<regex::Regex> =
        LazyLock::new(|| regex::Regex::new("[^a-z0-9_]+").expect("the pattern is a constant"));
    let lower = text.to_lowercase();
    let name: String = OTHER.replace_all(&lower, "-").trim_matches(['-', '_']).chars().take(63).collect();
    if name.is_empty() { "workflow".into() } else { name }
}
