//! `[steps.x]`: one step, complete in itself. What it says about other steps is judged later, in `judge`.

use std::collections::BTreeSet;
use std::time::Duration;

use indexmap::IndexMap;

use super::{container, data, escalation, look, matrix, metric, other, recovery, secret, wait};
use crate::config::keys::Kind;
use crate::config::phrase::Wanted;
use crate::config::read::{At, Item, Reader, Section};
use crate::config::units::is_variable;
use crate::model::{
    Autonomy, CheckpointSpec, Demand, DemandKind, EnvironmentId, EscalationSpec, Lane, LaneSpec, OnUnknown, Retry,
    Step, StepId, StepPlace, StepWhat, Template, WaitSpec,
};

/// The longest script, in bytes.
const LONGEST_SCRIPT: usize = 100 * 1024;

/// What `[defaults]` says, or dogwatch's own.
#[derive(Debug, Clone)]
pub(super) struct Defaults {
    pub(super) timeout: Option<Duration>,
    pub(super) grace: Duration,
    pub(super) retry: Retry,
    pub(super) retry_said: bool,
    pub(super) autonomy: Autonomy,
    pub(super) allow_failure: bool,
    pub(super) on_unknown: OnUnknown,
    pub(super) escalation: EscalationSpec,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            timeout: None,
            grace: Duration::from_secs(30),
            retry: Retry::default(),
            retry_said: false,
            autonomy: Autonomy::default(),
            allow_failure: false,
            on_unknown: OnUnknown::Ask,
            escalation: EscalationSpec::default(),
        }
    }
}

/// A step with the places that later judgement needs.
pub(in crate::config) struct Draft {
    pub(in crate::config) step: Step,
    /// The place of its name.
    pub(in crate::config) at: At,
    /// The places of `needs`, in their order, as written.
    pub(in crate::config) needs: Vec<(String, At)>,
    /// The place of `environment`, where it is written.
    pub(in crate::config) environment_at: Option<At>,
    /// The image that it names itself.
    pub(in crate::config) image: Option<String>,
    /// The place of `snapshot`, where it is written.
    pub(in crate::config) snapshot_at: Option<At>,
    /// The places of `gpus`, `cpus` and `memory`, where they are written.
    pub(in crate::config) demand_at: Vec<(DemandKind, At)>,
    /// The places of `secrets`, in their order, as written.
    pub(in crate::config) secrets: Vec<(String, At)>,
    /// What its rules `use`, with the places.
    pub(in crate::config) uses: Vec<(String, At)>,
    /// The variables that its rules `change`, with the places.
    pub(in crate::config) changes: Vec<(String, At)>,
}

/// Keys that a question to a person can have.
const GATE_KEYS: [&str; 4] = ["description", "needs", "if", "approval"];

/// Keys that a step can have that waits for something outside.
const WAIT_KEYS: [&str; 13] = [
    "description",
    "needs",
    "if",
    "wait_for",
    "environment",
    "env",
    "inputs",
    "timeout",
    "retry",
    "allow_failure",
    "on_failure",
    "autonomy",
    "matrix",
];

/// Reads one step.
pub(super) fn read<'a>(reader: &mut Reader<'a>, name: &str, item: &Item<'a>, defaults: &Defaults) -> Option<Draft> {
    let id = match StepId::new(name) {
        Ok(id) => id,
        Err(bad) => {
            let shown: String = name.chars().take(80).collect();
            reader
                .found
                .error(&item.key_at, format!("a step cannot be called `{shown}`: {}", bad.why))
                .hint("a-z or 0-9 first, then a-z, 0-9, _ and -, at most 63 characters");
            return None;
        }
    };
    reader.step = Some(name.to_owned());
    let draft = reader.section(item, Kind::Step, format!("[steps.{name}]")).map(|section| {
        let (uses, changes) = other::places(&section);
        Draft {
            at: section.at.clone(),
            needs: needs(reader, &section),
            environment_at: section.get("environment").map(|item| item.at),
            image: section.get("image").and_then(|item| container::image(reader, &item)),
            snapshot_at: section.get("snapshot").map(|item| item.key_at),
            demand_at: [(DemandKind::Gpus, "gpus"), (DemandKind::Processors, "cpus"), (DemandKind::Memory, "memory")]
                .into_iter()
                .filter_map(|(kind, key)| Some((kind, section.get(key)?.at)))
                .collect(),
            secrets: secret::places(&section),
            step: step(reader, id, &section, defaults),
            uses,
            changes,
        }
    });
    reader.step = None;
    draft
}

fn needs<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Vec<(String, At)> {
    let Some(elements) = section.get("needs").and_then(|item| reader.list(&item)) else { return vec![] };
    elements.iter().filter_map(|element| Some((reader.text(element)?.to_owned(), element.at.clone()))).collect()
}

fn step<'a>(reader: &mut Reader<'a>, id: StepId, section: &Section<'a>, defaults: &Defaults) -> Step {
    let condition = section.get("if").and_then(|item| match item.value.as_bool() {
        Some(value) => Some(value.to_string()),
        None => reader.expression(&item, Wanted::Condition),
    });
    let description = section.get("description").and_then(|item| reader.text(&item)).map(str::to_owned);
    let what = what(reader, section);
    let plain = !matches!(what, StepWhat::Approval(_));
    let waits = matches!(what, StepWhat::WaitFor(_));
    let mut step = Step {
        id,
        description,
        needs: vec![],
        place: StepPlace::default(),
        what,
        service: None,
        demand: Demand::default(),
        condition,
        env: IndexMap::new(),
        secrets: vec![],
        inputs: IndexMap::new(),
        lanes: vec![LaneSpec { lane: Lane(0), values: IndexMap::new() }],
        has_matrix: false,
        lanes_at_once: None,
        fail_fast: false,
        timeout: defaults.timeout.filter(|_| plain),
        grace: defaults.grace,
        retry: defaults.retry.clone(),
        retry_said: defaults.retry_said,
        autonomy: defaults.autonomy,
        allow_failure: defaults.allow_failure && plain,
        outputs: IndexMap::new(),
        verify: None,
        checkpoint: None,
        on_failure: vec![],
        alternatives: IndexMap::new(),
        on_unknown: defaults.on_unknown.clone(),
        wait: WaitSpec::default(),
        progress: None,
        metrics: vec![],
        alerts: vec![],
        asked: BTreeSet::new(),
        escalation: defaults.escalation.clone(),
    };
    if plain {
        run_keys(reader, section, &mut step);
    }
    if waits {
        not_for_a_wait(reader, section);
    }
    if !plain {
        // A gate has a time of its own.
        let remind = escalation::gate_reminds(reader, section).or(step.escalation.remind);
        step.escalation = EscalationSpec { remind, ..EscalationSpec::default() };
        for (key, item) in
            section.items().filter(|(key, _)| Kind::Step.keys().contains(key) && !GATE_KEYS.contains(key))
        {
            if !matches!(key, "run" | "wait_for") {
                reader
                    .found
                    .error(
                        &item.key_at,
                        format!("`{key}` has no meaning in {}: it is a question to a person", section.title),
                    )
                    .hint("remove it, or put it on the step that comes before or after");
            }
        }
    }
    step
}

/// Notes keys that mean nothing where no program runs.
fn not_for_a_wait<'a>(reader: &mut Reader<'a>, section: &Section<'a>) {
    let known = |key: &str| Kind::Step.keys().contains(&key) && !WAIT_KEYS.contains(&key);
    for (key, item) in section.items().filter(|(key, _)| known(key) && !matches!(*key, "run" | "approval")) {
        reader
            .found
            .error(&item.key_at, format!("`{key}` has no meaning in {}: it runs nothing, it waits", section.title))
            .hint("remove it, or put it on the step that comes after");
    }
}

/// What only a step with `run` has.
fn run_keys<'a>(reader: &mut Reader<'a>, section: &Section<'a>, step: &mut Step) {
    step.env =
        section.get("env").map(|item| env(reader, &item, &format!("env of {}", section.title))).unwrap_or_default();
    step.secrets = secret::named(reader, section);
    step.inputs = data::inputs(reader, section, &step.env);
    if let Some(limit) = section.get("timeout").and_then(|item| reader.limit(&item)) {
        step.timeout = limit.duration();
    }
    if let Some(grace) = section.get("grace").and_then(|item| reader.duration(&item)) {
        step.grace = grace;
    }
    if let Some(text) = section.get("environment").and_then(|item| reader.text(&item)) {
        // One that cannot be a name is not among those that there are.
        step.place.environment = EnvironmentId::new(text).unwrap_or_default();
    }
    step.place.fresh = section.get("fresh").and_then(|item| reader.boolean(&item)).unwrap_or(false);
    step.place.snapshot = section.get("snapshot").and_then(|item| reader.boolean(&item)).unwrap_or(false);
    if let Some(item) = section.get("retry") {
        step.retry_said = true;
        step.retry = recovery::retry(reader, &item, &step.retry, &format!("retry of {}", section.title));
    }
    if let Some(allowed) = section.get("allow_failure").and_then(|item| reader.boolean(&item)) {
        step.allow_failure = allowed;
    }
    if let Some(item) = section.get("matrix") {
        matrix::read(reader, &item, step);
    }
    step.demand = demand(reader, section);
    step.service = look::service(reader, section);
    if step.service.is_some() {
        // Its time ends when nobody needs it.
        step.timeout = section.get("timeout").and(step.timeout);
    }
    step.outputs = data::outputs(reader, section, step.has_matrix);
    step.verify = section.get("verify").and_then(|item| script(reader, &item));
    step.checkpoint = checkpoint(reader, section);
    step.autonomy = other::autonomy(reader, section).unwrap_or(step.autonomy);
    step.alternatives = other::alternatives(reader, section, step);
    step.wait = wait::read(reader, section, step);
    step.progress = metric::progress(reader, section);
    step.metrics = metric::metrics(reader, section);
    step.alerts = metric::alerts(reader, section, step);
    step.escalation = escalation::read(reader, section, &step.escalation, step.checkpoint.as_ref());
    recovery::unknown(reader, section, step);
    recovery::rules(reader, section, step);
}

/// What it takes of the host for itself.
fn demand<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Demand {
    let gpus = section.get("gpus").and_then(|item| reader.integer(&item, 0..=1024));
    let gpus = gpus.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    let own = section.get("env").filter(|_| gpus > 0);
    if let Some((_, item)) = own.and_then(|item| {
        let names = reader.names(&item, format!("env of {}", section.title));
        names.into_iter().find(|(name, _)| *name == "CUDA_VISIBLE_DEVICES")
    }) {
        reader
            .found
            .error(
                &item.key_at,
                format!("{} has `gpus`: dogwatch says which ones by CUDA_VISIBLE_DEVICES", section.title),
            )
            .hint("remove one of the two");
    }
    let milli_cpus = section.get("cpus").and_then(|item| container::cpus(reader, &item)).unwrap_or(0);
    let memory = section.get("memory").and_then(|item| container::size(reader, &item)).unwrap_or(0);
    Demand { gpus, milli_cpus, memory }
}

fn what<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> StepWhat {
    let nothing = || StepWhat::Run { script: String::new() };
    match (section.get("run"), section.get("approval"), section.get("wait_for")) {
        (Some(run), Some(_), _) => {
            reader
                .found
                .error(&run.key_at, format!("{} has both `run` and `approval`", section.title))
                .hint("make the question a step of its own, and let the other one need it");
            nothing()
        }
        (Some(_), None, Some(wait)) | (None, Some(_), Some(wait)) => {
            let other = if section.get("run").is_some() { "run" } else { "approval" };
            reader
                .found
                .error(&wait.key_at, format!("{} has both `{other}` and `wait_for`", section.title))
                .hint("make the waiting a step of its own, and let the other one need it");
            nothing()
        }
        (Some(item), None, None) => script(reader, &item).map_or_else(nothing, |script| StepWhat::Run { script }),
        (None, Some(item), None) => {
            let title = format!("[steps.{}.approval]", reader.step.as_deref().unwrap_or_default());
            match reader.section(&item, Kind::Approval, title) {
                Some(gate) => StepWhat::Approval(escalation::approval(reader, &gate)),
                None => nothing(),
            }
        }
        (None, None, Some(item)) => look::wait_for(reader, &item).map_or_else(nothing, StepWhat::WaitFor),
        (None, None, None) => {
            // `agent = …` already says that it is not supported.
            if !section.items().any(|(key, _)| key == "agent") {
                reader
                    .found
                    .error(&section.at, format!("{} has neither `run` nor `approval` nor `wait_for`", section.title))
                    .hint("run = \"a command\", a table `approval` with a `prompt`, or wait_for = { file = \"PATH\" }");
            }
            nothing()
        }
    }
}

/// A script for `sh -e`, or for the program that its first line names, with the line ends that a shell understands.
pub(super) fn script<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> Option<String> {
    if let Some(text) = item.value.as_str().filter(|text| text.len() > LONGEST_SCRIPT) {
        let size = text.len() / 1024;
        reader
            .found
            .error(&item.key_at, format!("{} is {size} KiB long; a script may have 100 KiB", item.title))
            .hint("put it into a file of the workspace and run that");
        return None;
    }
    let text = reader.filled(item)?;
    if !text.starts_with("#!") && text.trim_start().starts_with("#!") {
        let words = format!("`#!` in {} is not at its very beginning: the script is read by sh", item.title);
        reader.found.warning(&item.at, words).hint("begin the text with it, without a blank or an empty line before");
    }
    let Some(place) = text.find("${{") else {
        // Only line ends of the file itself: an escaped \r\n is meant.
        let windows = reader.source.get(item.at.clone()).is_some_and(|raw| raw.contains("\r\n"));
        return Some(if windows { text.replace("\r\n", "\n") } else { text.to_owned() });
    };
    let inner = text[place + 3..].split("}}").next().unwrap_or_default().trim();
    let name: String = inner
        .rsplit(['.', '[', '(', ' '])
        .find(|word| word.chars().any(|c| c.is_ascii_alphanumeric()))
        .unwrap_or("value")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    let name = name.trim_matches('_');
    let name = if is_variable(name) { name } else { "VALUE" };
    let inner = if inner.len() > 80 { "…" } else { inner };
    let at = reader.inside(item, text, place..place + 3);
    reader
        .found
        .error(&at, format!("{} cannot hold an expression: values enter a script as variables", item.title))
        .hint(format!("write env = {{ {name} = \"${{{{ {inner} }}}}\" }} and use \"${name}\" in the script"));
    None
}

/// Variables for steps.
pub(super) fn env<'a>(reader: &mut Reader<'a>, item: &Item<'a>, title: &str) -> IndexMap<String, Template> {
    let mut env = IndexMap::new();
    for (name, item) in reader.names(item, title.into()) {
        check_variable(reader, name, &item.key_at);
        if let Some(template) = reader.template(&item) {
            env.insert(name.to_owned(), template);
        }
    }
    env
}

/// Notes a name that no variable can have, or that dogwatch sets itself.
pub(super) fn check_variable(reader: &mut Reader<'_>, name: &str, at: &At) {
    if !is_variable(name) {
        let shown: String = name.chars().take(80).collect();
        reader
            .found
            .error(at, format!("a variable cannot be called `{shown}`"))
            .hint("a letter or _, then letters, digits and _");
    } else if name.starts_with("DOGWATCH_") {
        reader
            .found
            .error(at, format!("`{name}` cannot be set: dogwatch sets the variables that begin with DOGWATCH_"))
            .hint("choose another name");
    }
}

fn checkpoint<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Option<CheckpointSpec> {
    let item = section.get("checkpoint")?;
    let title = format!("[steps.{}.checkpoint]", reader.step.as_deref().unwrap_or_default());
    let table = reader.section(&item, Kind::Checkpoint, title)?;
    let resume_env = table.get("resume_env").and_then(|item| {
        let name = reader.text(&item)?;
        check_variable(reader, name, &item.at);
        Some(name.to_owned())
    });
    let every = table.get("every").and_then(|item| reader.duration(&item));
    let verify = table.get("verify").and_then(|item| script(reader, &item));
    let keep = table.get("keep").and_then(|item| reader.integer(&item, 1..=1000)).and_then(|n| usize::try_from(n).ok());
    let save_signal = table.get("save_signal").and_then(|item| save_signal(reader, &item));
    let Some(item) = table.get("pattern") else {
        reader
            .found
            .error(&table.at, format!("{} has no `pattern`", table.title))
            .hint("pattern = 'saved (?P<path>\\S+) at step (?P<step>\\d+)'");
        return None;
    };
    let pattern = recovery::regex(reader, &item)?;
    if !pattern.capture_names().flatten().any(|group| group == "path") {
        reader
            .found
            .error(&item.at, format!("{} has no group `path`", item.title))
            .hint("name the part that is the checkpoint's path: (?P<path>\\S+)");
        return None;
    }
    Some(CheckpointSpec { pattern: pattern.as_str().to_owned(), resume_env, every, verify, keep, save_signal })
}

/// A signal that a program can handle, and that is not what it is asked to end with.
fn save_signal<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> Option<i32> {
    const KILL: i32 = 9;
    const TERM: i32 = 15;
    const STOP: i32 = 19;
    let signal = recovery::signal(reader, item)?;
    let why = match signal {
        KILL | STOP => "no program can handle it",
        32.. => "only signals 1 to 31 can be sent",
        TERM => "it is what the program is asked to end with, in any case",
        _ => return Some(signal),
    };
    reader.found.error(&item.at, format!("{} cannot be that: {why}", item.title)).hint("save_signal = \"USR1\"");
    None
}
