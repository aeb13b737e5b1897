//! What a run would do, from its file alone: `run --dry-run`. Pure; the values of variables are not shown.

use std::collections::BTreeSet;

use super::{Look, Row, Style, width};
use crate::faces::words::count;
use crate::model::{
    self, EnvironmentId, EnvironmentSpec, IsolationWanted, Selection, Step, StepId, StepWhat, Workflow,
};

/// Steps in the order in which they can begin: `[[prepare], [train, lint], [evaluate]]`.
pub fn waves(workflow: &Workflow) -> Vec<Vec<&Step>> {
    let mut placed: BTreeSet<&StepId> = BTreeSet::new();
    let mut waves = Vec::new();
    while placed.len() < workflow.steps.len() {
        let wave: Vec<&Step> = workflow
            .steps
            .values()
            .filter(|step| !placed.contains(&step.id))
            .filter(|step| step.needs.iter().all(|need| placed.contains(need)))
            .collect();
        if wave.is_empty() {
            // The config room lets no cycle through.
            break;
        }
        placed.extend(wave.iter().map(|step| &step.id));
        waves.push(wave);
    }
    waves
}

/// The steps that a run with this selection is about.
pub fn selected(workflow: &Workflow, selection: &Selection) -> BTreeSet<StepId> {
    match selection {
        Selection::All => workflow.steps.keys().cloned().collect(),
        Selection::Only(steps) => steps.iter().cloned().collect(),
        Selection::From(first) => {
            let mut chosen = BTreeSet::from([first.clone()]);
            for step in waves(workflow).into_iter().flatten() {
                if step.needs.iter().any(|need| chosen.contains(need)) {
                    chosen.insert(step.id.clone());
                }
            }
            chosen
        }
    }
}

/// The plan for people.
pub fn plan(workflow: &Workflow, selection: &Selection, look: &Look) -> Vec<Row> {
    let chosen = selected(workflow, selection);
    let lanes: usize =
        workflow.steps.values().filter(|step| chosen.contains(&step.id)).map(|step| step.lanes.len()).sum();
    let mut rows = vec![Row::new().add(Style::Bold, &workflow.name).text(&format!(
        ": {}, {}, at most {} at once",
        count(chosen.len(), "step", "steps"),
        count(lanes, "lane", "lanes"),
        workflow.max_parallel
    ))];
    for (name, spec) in workflow.all_environments() {
        let used = workflow.steps.values().any(|step| step.place.environment == name);
        if used || workflow.environments.is_empty() {
            rows.push(environment(&name, spec));
        }
    }
    if !workflow.params.is_empty() {
        let params: Vec<String> = workflow.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        rows.push(detail("params", &params.join(" ")));
    }
    let column = workflow.steps.keys().map(|id| width(id.as_str())).max().unwrap_or(0).min((look.width / 3).max(8));
    for (place, wave) in waves(workflow).into_iter().enumerate() {
        for step in wave {
            rows.extend(step_rows(workflow, step, (place + 1, column), chosen.contains(&step.id)));
        }
    }
    rows.push(Row::new().add(Style::Dim, "nothing was started"));
    rows
}

fn environment(name: &EnvironmentId, spec: &EnvironmentSpec) -> Row {
    let isolation = match (&spec.container, spec.isolation) {
        (Some(container), _) => format!("a container of {}", container.image),
        (None, IsolationWanted::Auto) => "the sandbox where it is permitted".into(),
        (None, IsolationWanted::Required) => "the sandbox or nothing".into(),
        (None, IsolationWanted::None) => "NOT SANDBOXED, as the file says".into(),
    };
    let mut parts = vec![format!("{isolation}; workspace {}", spec.workspace)];
    parts.extend(spec.mounts.iter().map(|mount| {
        let how = if mount.readonly { " (read-only)" } else { "" };
        format!("{} at {}{how}", mount.source, mount.target)
    }));
    let title =
        if *name == EnvironmentId::default() { "environment".to_owned() } else { format!("environment {name}") };
    detail(&title, &parts.join("; "))
}

fn detail(name: &str, text: &str) -> Row {
    Row::new().space(2).add(Style::Dim, &format!("{name}: ")).text(text)
}

fn step_rows(workflow: &Workflow, step: &Step, (place, column): (usize, usize), chosen: bool) -> Vec<Row> {
    let head = Row::new()
        .space(2)
        .text(&format!("{place:>2}"))
        .space(2)
        .field(if chosen { Style::Bold } else { Style::Dim }, step.id.as_str(), column)
        .space(2);
    if !chosen {
        return vec![head.add(Style::Dim, "would be skipped: not among the chosen steps")];
    }
    let mut about = Vec::new();
    if matches!(step.what, StepWhat::Approval(_)) {
        about.push("approval: a person decides".to_owned());
    }
    if let StepWhat::WaitFor(wait) = &step.what {
        let what = match &wait.look {
            model::Look::Http(_) => "an address",
            model::Look::Tcp(_) => "a port",
            model::Look::File(_) => "a file",
            model::Look::Command(_) => "a command",
        };
        about.push(format!("waits for {what}"));
    }
    if step.service.is_some() {
        about.push("a service: lives until nobody needs it".to_owned());
    }
    if !step.needs.is_empty() {
        let needs: Vec<&str> = step.needs.iter().map(StepId::as_str).collect();
        about.push(format!("after {}", needs.join(", ")));
    }
    if step.retry.max_attempts > 1 {
        about.push(format!("up to {} attempts", step.retry.max_attempts));
    }
    if step.place.environment != EnvironmentId::default() || step.place.fresh {
        let fresh = if step.place.fresh { "one of its own of " } else { "" };
        about.push(format!("in {fresh}{}", step.place.environment));
    }
    if let Some(condition) = &step.condition {
        about.push(format!("only if {condition}, else skipped"));
    }
    let indent = 2 + 2 + 2;
    let mut rows = vec![head.text(&about.join("; "))];
    for lane in step.lanes.iter().filter(|_| step.has_matrix) {
        rows.push(Row::new().space(indent + 2).text(&format!("[{}]", lane.label())));
    }
    let names: BTreeSet<&str> = [&workflow.env, &step.env, &step.inputs]
        .into_iter()
        .flat_map(|table| table.keys().map(String::as_str))
        .collect();
    if !names.is_empty() {
        let names: Vec<&str> = names.into_iter().collect();
        rows.push(Row::new().space(indent + 2).add(Style::Dim, &format!("env: {}", names.join(" "))));
    }
    rows
}
