//! Whether a step has to run again: what its result depends on, and the answer that is found. Pure; what lies on the disk is
//! looked at elsewhere.

use std::collections::BTreeMap;

use crate::model::{CacheLook, LaneId, Recipe, Time};

use super::Run;
use super::expr;
use super::patch::patch_of;
use super::state::{Ended, Finish, LaneRun, LaneState};

impl Run {
    /// Nothing was found out about it yet, and its first attempt is the next. Whom a person or a rule told to run runs.
    pub(super) fn wants_look(&self, lane: &LaneRun) -> bool {
        let fresh = lane.n == 0 && lane.next.is_none() && lane.cache.is_none();
        fresh && matches!(lane.state, LaneState::Waiting) && self.step_of(lane).is_cached()
    }

    pub(super) fn cache_looked(&mut self, lane: &LaneId, look: &CacheLook, at: Time) {
        let Some(&place) = self.places.get(lane) else { return };
        if !self.wants_look(&self.lanes[place]) {
            return;
        }
        self.lanes[place].cache = Some(Box::new(look.clone()));
        if let Some(hit) = &look.hit {
            self.lanes[place].numbers.extend(hit.made.numbers.clone());
            let how = Ended::Succeeded(Finish::Cached(hit.from.clone()));
            self.put(place, LaneState::Done { how, at });
        }
    }

    /// What the result of the lane's next or present attempt depends on, but for what lies on the disk; or why a value of it
    /// cannot be had. What the step inherits of whoever started the run is no part of it.
    pub fn recipe(&self, lane: &LaneRun) -> Result<Recipe, String> {
        let step = self.step_of(lane);
        let environment = self.workflow.environment_of(&step.id);
        let mut texts = BTreeMap::new();
        texts.extend(self.script_of(lane).map(|script| ("run".to_owned(), script.to_owned())));
        texts.extend(step.verify.iter().map(|script| ("verify".to_owned(), script.clone())));
        texts.extend(environment.container.iter().map(|container| ("image".to_owned(), container.image.clone())));
        texts.extend(step.outputs.iter().map(|(name, output)| (format!("outputs.{name}"), output.path.clone())));
        // Their values are nowhere but with the steps.
        texts.extend((!step.secrets.is_empty()).then(|| ("secrets".to_owned(), step.secrets.join(" "))));
        let mut inputs = BTreeMap::new();
        self.with_scope(lane, |scope| {
            let value =
                |name: &str, template| expr::render(template, scope).map_err(|error| format!("`{name}`: {error}"));
            for (name, template) in self.workflow.env.iter().chain(&step.env) {
                let name = format!("env.{name}");
                texts.insert(name.clone(), value(&name, template)?);
            }
            for (name, template) in &step.inputs {
                let name = format!("inputs.{name}");
                let text = value(&name, template)?;
                let path = self.absolute(&lane.id, &text);
                inputs.insert(name, (text, path));
            }
            for (name, template) in self.alternative_of(lane).into_iter().flat_map(|other| &other.env) {
                let name = format!("env.{name}");
                texts.insert(name.clone(), value(&name, template)?);
            }
            Ok::<(), String>(())
        })?;
        texts.extend(patch_of(lane).env.iter().map(|(name, value)| (format!("env.{name}"), value.clone())));
        let label = self.lane_name(&lane.id);
        Ok(Recipe {
            scope: format!("{}\n{label}", environment.workspace),
            texts,
            inputs,
            outputs: self.outputs(&lane.id).into_iter().collect(),
            numbers: step.asked.clone(),
            own: self.work_root(),
        })
    }
}
