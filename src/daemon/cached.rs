//! Whether a lane has to run, and what an attempt made that can stand for a later one: the disk is looked at beside the loop,
//! and the answer comes back as a fact. Decides nothing.

use super::core::{Core, Input, Parts};
use crate::engine::{LaneRun, Run};
use crate::faults::crash_point;
use crate::identity::{self, Candidate};
use crate::journal::Journal;
use crate::model::{Basis, CacheLook, Event, LaneId, Made, Recipe, RunId, What};

/// Earlier successes that are compared.
const CANDIDATES: usize = 20;

/// What is known of the result of a live attempt, for its end. `None`: its step is not cached.
#[derive(Debug, Clone)]
pub(super) struct Making {
    recipe: Result<Recipe, String>,
    /// What it depended on when it was looked up.
    before: Option<Basis>,
}

impl Making {
    pub(super) fn of(run: &Run, lane: &LaneRun) -> Option<Self> {
        let cached = run.step_of(lane).is_cached();
        let before = lane.cache.as_ref().and_then(|look| look.basis.clone());
        cached.then(|| Self { recipe: run.recipe(lane), before })
    }

    /// What it made, or why that can stand for nothing. Blocks on the disk.
    pub(super) fn made(&self) -> Result<Box<Made>, String> {
        let recipe = self.recipe.as_ref().map_err(Clone::clone)?;
        let Some(before) = &self.before else { return Err("it was not known what it was made of".into()) };
        let now = identity::basis(recipe, &[before])?;
        if now.parts != before.parts {
            return Err(identity::difference(before, &now, "it began"));
        }
        identity::made(recipe, now).map(Box::new)
    }
}

impl Core {
    /// Looks whether an earlier result stands for this lane; its candidates are read from the journal now.
    pub(super) fn look_up(&self, run: &RunId, lane: &LaneId) {
        let Some(run) = self.engine.run(run) else { return };
        let Some(about) = run.lane(lane) else { return };
        let recipe = run.recipe(about);
        let candidates = match &recipe {
            Ok(recipe) => candidates(&self.journal, &recipe.scope),
            Err(_) => Vec::new(),
        };
        let (parts, id, lane, never) = (self.parts.clone(), run.id.clone(), lane.clone(), run.no_cache);
        tokio::task::spawn_blocking(move || {
            crash_point("cached.before-look");
            let look = recipe.map_or_else(unknown, |recipe| look(&recipe, &candidates, never));
            crash_point("cached.after-look");
            tell(&parts, id, lane, look);
        });
    }
}

fn tell(parts: &Parts, run: RunId, lane: LaneId, look: CacheLook) {
    let what = What::CacheLooked { lane, look: Box::new(look) };
    parts.tell(Input::Fact(Event { run, at: parts.clock.now(), what }));
}

fn candidates(journal: &Journal, scope: &str) -> Vec<Candidate> {
    match journal.read().results(scope, CANDIDATES) {
        Ok(found) => found
            .into_iter()
            .map(|one| Candidate { from: one.from, own: format!("{}/work", one.dir), made: one.made })
            .collect(),
        Err(error) => {
            tracing::warn!("earlier results cannot be read, the step runs: {error}");
            Vec::new()
        }
    }
}

fn look(recipe: &Recipe, candidates: &[Candidate], never: bool) -> CacheLook {
    let known: Vec<&Basis> = candidates.iter().map(|one| &one.made.basis).collect();
    let basis = match identity::basis(recipe, &known) {
        Ok(basis) => basis,
        Err(why) => return unknown(why),
    };
    let found = if never {
        Err("the run was started with --no-cache".to_owned())
    } else {
        identity::find(recipe, &basis, candidates)
    };
    match found {
        Ok(hit) => {
            let why = format!("nothing has changed since {}", hit.from);
            CacheLook { basis: Some(basis), hit: Some(hit), why }
        }
        Err(why) => CacheLook { basis: Some(basis), hit: None, why },
    }
}

fn unknown(why: String) -> CacheLook {
    CacheLook { basis: None, hit: None, why }
}
