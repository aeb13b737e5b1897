//! How long the steps of workflows took before, as what a whole attempt of one takes. Read from the metrics once for each
//! step, and kept in step with what is learned since. Decides nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::daemon::core::Parts;
use crate::model::Workflow;
use crate::patience::{Left, Spread};

/// So many of the newest durations of a step count.
const MOST: usize = 500;

/// A step of a workflow, by their names.
type Name = (String, String);

#[derive(Debug, Default)]
struct Known {
    /// In seconds, oldest first.
    took: Vec<f64>,
    /// `None` without any.
    left: Option<Left>,
    /// What is written was read.
    read: bool,
}

impl Known {
    fn learn(&mut self) {
        let over = self.took.len().saturating_sub(MOST);
        self.took.drain(..over);
        self.left = (!self.took.is_empty()).then(|| Left::of_past(&Spread::learn(&self.took), 0.0));
    }
}

/// What is known of all steps that somebody looked at. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(in crate::daemon) struct Took(Arc<Mutex<HashMap<Name, Known>>>);

impl Took {
    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<Name, Known>> {
        // Whoever panicked in it left figures behind, nothing that could be wrong.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an attempt of this step takes, as far as its successes tell; nothing is known of what was not read yet.
    pub(in crate::daemon) fn of(&self, workflow: &str, step: &str) -> Option<Left> {
        self.all().get(&(workflow.to_owned(), step.to_owned()))?.left
    }

    /// All that is written of this workflow's steps was read.
    pub(in crate::daemon) fn knows(&self, workflow: &Workflow) -> bool {
        let all = self.all();
        let known = |step: &crate::model::StepId| all.get(&(workflow.name.clone(), step.to_string()));
        workflow.steps.keys().all(|step| known(step).is_some_and(|known| known.read))
    }

    /// Reads what is known of this workflow's steps, elsewhere than here, unless somebody did; who looks is told then.
    pub(in crate::daemon) fn read(&self, parts: &Parts, workflow: &Workflow) {
        let mut all = self.all();
        let names = workflow.steps.keys().map(|step| (workflow.name.clone(), step.to_string()));
        let new: Vec<Name> = names.filter(|name| !all.contains_key(name)).collect();
        if new.is_empty() {
            return;
        }
        for name in &new {
            all.insert(name.clone(), Known::default());
        }
        drop(all);
        let (took, metrics, changed) = (self.clone(), parts.metrics.clone(), parts.changed.clone());
        tokio::task::spawn_blocking(move || {
            for name in new {
                let lessons = metrics.as_ref().map(|metrics| metrics.lessons(&name.0, &name.1));
                let durations = lessons.and_then(Result::ok).unwrap_or_default().0;
                if let Some(known) = took.all().get_mut(&name) {
                    known.took.splice(..0, durations.iter().map(Duration::as_secs_f64));
                    known.learn();
                    known.read = true;
                }
            }
            changed.send_modify(|_| {});
        });
    }

    /// One more success took so long.
    pub(in crate::daemon) fn add(&self, workflow: &str, step: &str, took: Duration) {
        // What nobody has looked at is read when somebody does.
        if let Some(known) = self.all().get_mut(&(workflow.to_owned(), step.to_owned())) {
            known.took.push(took.as_secs_f64());
            known.learn();
        }
    }
}
