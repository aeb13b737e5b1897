//! How a run begins: its file is checked, its folder made, and the loop told. Decides nothing about it afterwards.

use std::collections::BTreeMap;
use std::path::Path;

use tokio::sync::oneshot;

use super::core::{Input, Parts};
use super::rebuild::folder;
use super::requests::{Answer, Refusable, nearest, not_kept, refusal, usage};
use crate::clock;
use crate::journal::RunRow;
use crate::model::{Created, Demand, Principal, RunId, SecretFrom, Selection, StepId, Workflow};
use crate::wire::client::{self as wire, RefusalKind};
use crate::wire::secrets::Secrets;

/// Reads a workflow from its text; the same for a new run and for a frozen copy.
pub(super) fn parse(
    source: &str,
    file: &str,
    base: &str,
    params: &[(String, String)],
    name: Option<&str>,
) -> Result<Workflow, String> {
    let loaded =
        crate::config::parse(source, file, Path::new(base), params).map_err(|problems| problems.to_string())?;
    let mut workflow = loaded.workflow;
    if let Some(name) = name {
        name.clone_into(&mut workflow.name);
    }
    Ok(workflow)
}

/// Checks the workflow, makes the run's folder, and tells the loop. Blocks on the disk.
/// `again`: the run that this one repeats.
pub(super) fn start_run(
    start: &wire::StartRun,
    again: Option<&RunId>,
    by: Principal,
    parts: &Parts,
    answer: oneshot::Sender<Answer>,
) {
    match new_run(start, again, by, parts) {
        Ok((row, created)) => parts.tell(Input::NewRun { row: Box::new(row), created: Box::new(created), answer }),
        Err(refusal) => drop(answer.send(*refusal)),
    }
}

fn new_run(
    start: &wire::StartRun,
    again: Option<&RunId>,
    by: Principal,
    parts: &Parts,
) -> Refusable<(RunRow, Created)> {
    let workflow = parse(&start.source, &start.file, &start.base, &start.params, start.name.as_deref())
        .map_err(|problems| Box::new(usage(problems, None)))?;
    let selection = selection(start, &workflow)?;
    fits(&workflow, &selection, parts.host)?;
    let workspaces = workflow.all_environments().map(|(_, spec)| &spec.workspace);
    if let Some(workspace) = workspaces.into_iter().find(|workspace| !Path::new(workspace).is_dir()) {
        let words = format!("the workspace {workspace} is not a folder");
        return Err(Box::new(usage(words, Some("make it, or change `workspace` of the environment"))));
    }
    let secrets = secrets(start, again, &workflow, parts)?;
    let id = RunId::from_random(clock::random_bytes::<8>());
    // First: a run that is recorded has its secrets.
    parts.vault.keep(&id, &secrets).map_err(|error| {
        parts.vault.forget(&id);
        Box::new(not_kept(&error))
    })?;
    let dir = parts.state.run(&id);
    let row = RunRow {
        id,
        name: workflow.name.clone(),
        number: 0,
        created: parts.clock.now(),
        ended: None,
        result: None,
        dir: dir.to_string_lossy().into_owned(),
        source: start.source.clone(),
        file: start.file.clone(),
        base: start.base.clone(),
        params: start.params.clone(),
    };
    let created = Created {
        number: 0,
        dir: row.dir.clone(),
        selection,
        env: without_secrets(&start.env, &workflow),
        by,
        no_cache: start.no_cache,
        workflow: std::sync::Arc::new(workflow),
    };
    let make = || -> std::io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir.join("work"))?;
        std::fs::write(dir.join("workflow.toml"), &start.source)?;
        folder::begun(&dir, &row, &created)
    };
    make().map_err(|error| {
        parts.vault.forget(&row.id);
        let words = format!("the run's folder {} cannot be made: {error}", dir.display());
        Box::new(refusal(RefusalKind::Internal, words, Some("check the space and the rights of the state directory")))
    })?;
    Ok((row, created))
}

/// What asks for more than this host has would wait for ever.
fn fits(workflow: &Workflow, selection: &Selection, host: Demand) -> Refusable<()> {
    let chosen = |step: &StepId| match selection {
        Selection::Only(only) => only.contains(step),
        Selection::All | Selection::From(_) => true,
    };
    for step in workflow.steps.values().filter(|step| chosen(&step.id)) {
        if let Some(kind) = step.demand.beyond(host).next() {
            let (wanted, there) = (step.demand.words(kind), host.words(kind));
            let words = format!("step {} wants {wanted}, and this host has {there}", step.id);
            return Err(Box::new(usage(
                words,
                Some("ask for less, or run it on another machine; see: dogwatch doctor"),
            )));
        }
    }
    Ok(())
}

/// The values that the new run gets. One that repeats another takes what that has still, and asks for the rest when a step
/// needs it.
fn secrets(start: &wire::StartRun, again: Option<&RunId>, workflow: &Workflow, parts: &Parts) -> Refusable<Secrets> {
    let names: Vec<String> = workflow.secrets_in_use().map(|(name, _)| name.clone()).collect();
    let mut values = start.secrets.clone();
    values.0.retain(|name, _| names.contains(name));
    let missing: Vec<String> = names.into_iter().filter(|name| !values.0.contains_key(name)).collect();
    if let Some(old) = again {
        values.0.extend(parts.vault.values(old, &missing).0.0);
    } else if let Some(name) = missing.first() {
        let hint = "whoever starts a run brings the values of its secrets: start it with this version of dogwatch";
        return Err(Box::new(usage(format!("the value of the secret {name} was not given"), Some(hint))));
    }
    Ok(values)
}

/// What steps inherit is recorded: no secret may be among it, under any of its names.
fn without_secrets(env: &BTreeMap<String, String>, workflow: &Workflow) -> BTreeMap<String, String> {
    let secret = |name: &String| {
        workflow.secrets.iter().any(|(own, from)| own == name || *from == SecretFrom::Env(name.clone()))
    };
    env.iter().filter(|(name, _)| !secret(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn selection(start: &wire::StartRun, workflow: &Workflow) -> Refusable<Selection> {
    let step = |name: &str| {
        let id = StepId::new(name).ok().filter(|id| workflow.steps.contains_key(id));
        id.ok_or_else(|| {
            let near = nearest(name, workflow.steps.keys().map(StepId::as_str));
            let hint = near.map(|near| format!("did you mean {near}?"));
            Box::new(usage(format!("there is no step {name:?} in {}", start.file), hint.as_deref()))
        })
    };
    match (start.only.as_slice(), &start.from) {
        ([], None) => Ok(Selection::All),
        ([], Some(from)) => Ok(Selection::From(step(from)?)),
        (only, None) => Ok(Selection::Only(only.iter().map(|name| step(name)).collect::<Result<_, _>>()?)),
        (_, Some(_)) => Err(Box::new(usage("--only and --from cannot be said together", None))),
    }
}
