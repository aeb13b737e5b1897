//! What an expression asks of a lane of another step: whether that step has it, and which lane is meant. Reads drafts only.

use std::collections::HashMap;

use super::judge::in_matrix;
use super::keys::nearest;
use super::read::listed;
use crate::engine::expr::{Asked, Which};
use crate::model::{LaneSpec, Step, StepWhat};

/// Whether a step has what is asked of one of its lanes, by a lane of the step `by`.
pub(super) fn has(step: &Step, (which, by): (&Which, Option<&Step>), asked: &Asked) -> Result<(), (String, String)> {
    let id = &step.id;
    let what = match &step.what {
        StepWhat::WaitFor(_) => Some("waits"),
        StepWhat::Approval(_) => Some("is a question"),
        StepWhat::Run { .. } => None,
    };
    if let Some(what) = what {
        let nothing = if matches!(asked, Asked::Output(_)) { "outputs" } else { "numbers" };
        return Err((format!("step {id} {what} and has no {nothing}"), "name a step with `run`".into()));
    }
    match asked {
        Asked::Output(name) => has_output(step, name)?,
        Asked::Matrix(key) => in_matrix(key, step)?,
        Asked::Metric(_) | Asked::Lane => {}
    }
    let first = step.lanes.first().map(LaneSpec::label).unwrap_or_default();
    match which {
        Which::Only if step.has_matrix => Err((
            format!("step {id} has several lanes, and it is not said which one's `{asked}` is meant"),
            match by.filter(|by| partners(step, by).is_ok()) {
                Some(_) => format!("the lane with the same values: same(steps.{id}).{asked}"),
                None => {
                    format!("write best(steps.{id}, by='loss', mode='min').{asked}, or steps['{id}[{first}]'].{asked}")
                }
            },
        )),
        Which::Best { .. } | Which::Same | Which::Lane(_) if !step.has_matrix => {
            let hint = match asked {
                Asked::Output(_) | Asked::Metric(_) => format!("write steps.{id}.{asked}"),
                Asked::Matrix(_) | Asked::Lane => format!("write steps.{id}.outputs.name or steps.{id}.metrics.name"),
            };
            Err((format!("step {id} has no matrix: there is one lane"), hint))
        }
        Which::Lane(label) if !step.lanes.iter().any(|lane| lane.label() == *label) => {
            let labels: Vec<String> = step.lanes.iter().take(1000).map(LaneSpec::label).collect();
            let near = nearest(label, labels.iter().map(String::as_str)).unwrap_or(&first);
            Err((format!("step {id} has no lane `{label}`"), format!("did you mean steps['{id}[{near}]']?")))
        }
        // Outside of a step nothing may be asked, and that is told.
        Which::Same => by.map_or(Ok(()), |by| partners(step, by)),
        Which::Only | Which::Best { .. } | Which::Lane(_) => Ok(()),
    }
}

fn has_output(step: &Step, output: &str) -> Result<(), (String, String)> {
    if step.outputs.contains_key(output) {
        return Ok(());
    }
    let id = &step.id;
    let names: Vec<&str> = step.outputs.keys().map(String::as_str).collect();
    let hint = match nearest(output, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => {
            format!("add it to [steps.{id}]: outputs = {{ {output} = {{ path = \"…\" }} }}")
        }
        None => format!("outputs of step {id} are {}", listed(&names)),
    };
    Err((format!("step {id} has no output `{output}`"), hint))
}

/// Whether each lane of `by` has one lane of `step` with the values that it has itself.
fn partners(step: &Step, by: &Step) -> Result<(), (String, String)> {
    let keys: Vec<&str> =
        step.lanes.first().map(|lane| lane.values.keys().map(String::as_str).collect()).unwrap_or_default();
    let own = |key: &str| by.lanes.first().is_some_and(|lane| lane.values.contains_key(key));
    if let Some(key) = keys.iter().find(|key| !own(key)) {
        let words = format!(
            "same(steps.{}) is not known: its lanes differ by `{key}`, and step {} has no such key",
            step.id, by.id
        );
        return Err((words, format!("add `{key}` to the matrix of step {}, or name one lane", by.id)));
    }
    let there: HashMap<String, &LaneSpec> = step.lanes.iter().map(|lane| (lane.label(), lane)).collect();
    let alone = by.lanes.iter().find(|lane| {
        let values = keys.iter().filter_map(|key| Some(((*key).to_owned(), lane.values.get(*key)?.clone()))).collect();
        let wanted = LaneSpec { lane: lane.lane, values };
        !there.get(&wanted.label()).is_some_and(|found| found.is_part_of(&lane.values))
    });
    match alone {
        Some(lane) => Err((
            format!("{}[{}] has no lane of {} with the same values", by.id, lane.label(), step.id),
            format!("give both matrices the same values of {}, written in the same way", listed(&keys)),
        )),
        None => Ok(()),
    }
}
