//! What an attempt is started with: its variables, where its outputs are, what expressions see. Pure.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::model::{AttemptId, LaneId, Step, StepId, Value};

use super::Run;
use super::expr::{self, Asked, Mode, Scope, StepState, Which};
use super::patch::patch_of;
use super::state::{Ended, LaneRun, LaneState, StepEnd};

impl Run {
    /// The folder that all steps of the run may write, below the run's: `<dir>/work`.
    pub fn work_root(&self) -> String {
        format!("{}/work", self.dir)
    }

    /// The lane's own place, kept across attempts: its `$DOGWATCH_DIR`.
    pub fn work_dir(&self, lane: &LaneId) -> String {
        format!("{}/{}/{}", self.work_root(), lane.step, lane.lane)
    }

    /// Where the declared outputs of a lane are to be: name -> absolute path.
    pub fn outputs(&self, lane: &LaneId) -> IndexMap<String, String> {
        let Some(step) = self.workflow.steps.get(&lane.step) else {
            return IndexMap::new();
        };
        step.outputs.iter().map(|(name, output)| (name.clone(), self.absolute(lane, &output.path))).collect()
    }

    /// A path as a step means it: `$DOGWATCH_DIR` put in, relative to the workspace.
    pub fn absolute(&self, lane: &LaneId, path: &str) -> String {
        let own = self.work_dir(lane);
        let text = path.replace("${DOGWATCH_DIR}", &own).replace("$DOGWATCH_DIR", &own);
        self.workflow.environment_of(&lane.step).on_host(&text)
    }

    /// The steps that wait for this one, also through others, in the file's order.
    pub fn behind(&self, id: &StepId) -> Vec<&Step> {
        let open = |place: &usize| self.steps[*place].lanes_open > 0 && self.steps[*place].id != *id;
        let places = self.downstream(id).into_iter().filter(open);
        places.filter_map(|place| Some(self.workflow.steps.get_index(place)?.1)).collect()
    }

    /// The steps that wait for nothing but this one.
    pub fn starts_after(&self, id: &StepId) -> Vec<&Step> {
        let Some(place) = self.workflow.steps.get_index_of(id) else {
            return Vec::new();
        };
        let next = self.steps[place].dependents.iter().filter(|next| self.steps[**next].needs_open == 1);
        let next = next.filter(|next| self.steps[**next].lanes_open > 0);
        next.filter_map(|next| Some(self.workflow.steps.get_index(*next)?.1)).collect()
    }

    /// The attempts that are intended or live, with their lanes: those that run something.
    pub fn live_attempts(&self) -> impl Iterator<Item = (AttemptId, &LaneRun)> {
        let lanes = self.sets.active.iter().map(|place| &self.lanes[*place]).filter(|lane| !self.is_wait(lane));
        lanes.filter_map(|lane| Some((self.attempt(lane)?, lane)))
    }

    /// Runs `f` with what expressions of this lane see.
    pub(super) fn with_scope<T>(&self, lane: &LaneRun, f: impl FnOnce(&Scope<'_>) -> T) -> T {
        let none = IndexMap::new();
        let spec = self.step_of(lane).spec(lane.id.lane);
        let matrix = spec.map_or(&none, |spec| &spec.values);
        let step = |name: &str| self.state_of(name);
        let of = |step: &str, which: &Which, asked: &Asked| self.of(step, (which, matrix), asked);
        f(&Scope { params: &self.workflow.params, matrix, step: &step, of: &of })
    }

    fn state_of(&self, name: &str) -> Option<StepState> {
        let id = StepId::new(name).ok()?;
        self.workflow.steps.get(&id)?;
        Some(match self.step_end(&id) {
            Some(StepEnd::Succeeded) => StepState::Succeeded,
            Some(StepEnd::Failed | StepEnd::Allowed) => StepState::Failed,
            Some(StepEnd::Skipped) => StepState::Skipped,
            None if self.is_served(&id) => StepState::Succeeded,
            // A failure is known before a person has said what follows from it: `if = "failed(…)"` may look into it.
            None => StepState::Unfinished,
        })
    }

    /// What a lane with the values `own` asks of a lane of another step, or why that has no value.
    fn of(&self, name: &str, (which, own): (&Which, &IndexMap<String, Value>), asked: &Asked) -> Result<Value, String> {
        let id = StepId::new(name).ok();
        let found = id.and_then(|id| self.workflow.steps.get_full(&id));
        let Some((place, _, step)) = found else { return Err(format!("there is no step `{name}`")) };
        let mut lanes = self.steps[place].lanes.clone().map(|place| &self.lanes[place]);
        let lane = match which {
            Which::Only => lanes.next(),
            Which::Lane(label) => lanes.find(|lane| step.spec(lane.id.lane).is_some_and(|spec| spec.label() == *label)),
            Which::Same => lanes.find(|lane| step.spec(lane.id.lane).is_some_and(|spec| spec.is_part_of(own))),
            Which::Best { by, mode } => Some(best(lanes, by, *mode).ok_or_else(|| {
                format!("no lane of {name} that has succeeded told a number `{by}`: see [[steps.{name}.metrics]]")
            })?),
        };
        let Some(lane) = lane else { return Err(format!("{name} has no such lane")) };
        match asked {
            Asked::Output(output) => self.outputs(&lane.id).shift_remove(output).map(Value::Text),
            Asked::Metric(metric) => lane.numbers.get(metric).map(|number| Value::Number(number.0)),
            Asked::Matrix(key) => step.spec(lane.id.lane).and_then(|spec| spec.values.get(key).cloned()),
            Asked::Lane => Some(Value::Text(self.lane_name(&lane.id))),
        }
        .ok_or_else(|| {
            let lane = self.lane_name(&lane.id);
            match asked {
                Asked::Metric(metric) => format!("{lane} told no number `{metric}`: see [[steps.{name}.metrics]]"),
                Asked::Output(_) | Asked::Matrix(_) | Asked::Lane => format!("{lane} has no {asked}"),
            }
        })
    }

    /// All variables of the lane's next or present attempt but those of the attempt itself, or why they have no value.
    pub(super) fn launch_environment(&self, lane: &LaneRun) -> Result<BTreeMap<String, String>, String> {
        let step = self.step_of(lane);
        // A container has its own programs, and its own variables for them.
        let host = self.workflow.environment_named(&step.place.environment).container.is_none();
        let mut env = if host { (*self.env).clone() } else { BTreeMap::new() };
        for name in FOR_THE_ENGINE {
            env.remove(name);
        }
        env.insert("TERM".into(), "xterm-256color".into());
        let none = IndexMap::new();
        let other = self.alternative_of(lane).map_or(&none, |alternative| &alternative.env);
        let patch = patch_of(lane);
        self.with_scope(lane, |scope| {
            let tables = [("env", &self.workflow.env), ("env", &step.env), ("inputs", &step.inputs), ("env", other)];
            for (table, values) in tables {
                for (name, template) in values {
                    let value = expr::render(template, scope).map_err(|error| format!("`{table}.{name}`: {error}"))?;
                    if legal_variable(name) {
                        env.insert(name.clone(), value);
                    }
                }
            }
            env.extend(patch.env.clone());
            Ok(env)
        })
    }

    /// All variables of an attempt; exactly what its step sees.
    pub fn environment(&self, attempt: &AttemptId) -> Result<BTreeMap<String, String>, String> {
        let Some(lane) = self.lane(&attempt.lane) else {
            return Err("there is no such step".into());
        };
        let mut env = self.launch_environment(lane)?;
        if let LaneState::Active { resume: Some(path), .. } = &lane.state
            && let Some(name) = resume_env(self.step_of(lane))
        {
            env.insert(name.to_owned(), path.clone());
        }
        let own = [
            ("DOGWATCH_KEY", attempt.key()),
            ("DOGWATCH_RUN", self.id.to_string()),
            ("DOGWATCH_STEP", attempt.lane.step.to_string()),
            ("DOGWATCH_LANE", attempt.lane.lane.to_string()),
            ("DOGWATCH_ATTEMPT", attempt.n.to_string()),
            ("DOGWATCH_DIR", self.work_dir(&attempt.lane)),
            ("DOGWATCH_RUN_DIR", self.work_root()),
            ("DOGWATCH_WORKSPACE", self.workflow.environment_of(&attempt.lane.step).workspace.clone()),
        ];
        env.extend(own.map(|(name, value)| (name.to_owned(), value)));
        env.extend(self.visible(attempt).map(|gpus| ("CUDA_VISIBLE_DEVICES".to_owned(), gpus)));
        Ok(env)
    }
}

/// Of the lanes that have succeeded, the first with the smallest or largest number; what is no number is never best.
fn best<'r>(lanes: impl Iterator<Item = &'r LaneRun>, by: &str, mode: Mode) -> Option<&'r LaneRun> {
    let told = |lane: &'r LaneRun| {
        let succeeded = matches!(lane.state, LaneState::Done { how: Ended::Succeeded(_), .. });
        lane.numbers.get(by).map(|number| number.0).filter(|number| succeeded && !number.is_nan())
    };
    let numbered = lanes.filter_map(|lane| Some((told(lane)?, lane)));
    let better = |new: f64, old: f64| match mode {
        Mode::Min => new < old,
        Mode::Max => new > old,
    };
    let best = numbered.reduce(|old, new| if better(new.0, old.0) { new } else { old });
    best.map(|(_, lane)| lane)
}

/// Variables of whoever started the run that say where a container engine listens: nothing for steps.
const FOR_THE_ENGINE: [&str; 2] = ["DOCKER_HOST", "XDG_RUNTIME_DIR"];

fn resume_env(step: &Step) -> Option<&str> {
    step.checkpoint.as_ref()?.resume_env.as_deref()
}

/// A name that a shell takes for a variable.
pub fn legal_variable(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
