//! The mind as the journal tells it, and each run's record as a file. What is read here is never changed on the way.

use std::sync::Arc;

use super::{Core, Input};
use crate::daemon::begin;
use crate::daemon::watch::Orders;
use crate::engine::{Engine, LaneState, Run};
use crate::journal::{self, Journal, RunRow};
use crate::metrics::Lesson;
use crate::model::{Demand, Event, RunId, Verdict, What};

pub(super) fn fold(journal: &Journal, host: Demand) -> Result<Engine, journal::Error> {
    let read = journal.read();
    let mut engine = Engine::new(read.newest_escalation()?).on(host);
    let mut rows = read.unfinished()?;
    // A run that has ended is held until its environment has, too: an engine may have died between the two.
    for (id, dir) in read.ended()? {
        if crate::environment::outlives(std::path::Path::new(&dir)) {
            rows.extend(read.run(&id)?);
        }
    }
    for row in rows {
        read.each(&row.id, 0, &|| workflow_of(&row), &mut |_, event| engine.apply(&event))?;
    }
    Ok(engine)
}

/// The frozen workflow of a run.
fn workflow_of(row: &RunRow) -> Result<Arc<crate::model::Workflow>, String> {
    begin::parse(&row.source, &row.file, &row.base, &row.params, Some(&row.name)).map(Arc::new)
}

impl Core {
    /// What the mind knows now, to those who follow attempts. An attempt that lives no more is not followed any more.
    pub(super) fn tell_watched(&mut self) {
        let (engine, board) = (&self.engine, &self.parts.board);
        self.watched.retain(|attempt, tell| {
            let run = engine.run(&attempt.run);
            let lane = run.and_then(|run| run.lane(&attempt.lane)).filter(|lane| lane.n == attempt.n);
            let live = lane.filter(|lane| matches!(lane.state, LaneState::Active { .. }));
            let Some(orders) = run.zip(live).map(|(run, lane)| Orders::of(run, lane)) else {
                board.forget(attempt);
                return false;
            };
            tell.send_if_modified(|known| {
                let other = *known != orders;
                if other {
                    *known = orders;
                }
                other
            });
            true
        });
    }

    /// What attempts that have succeeded teach for the next runs. One that went on from a checkpoint took less than all.
    pub(super) fn learn(&self, events: &[Event]) {
        let Some(metrics) = &self.parts.metrics else { return };
        for event in events {
            let What::Judged { attempt, verdict: Verdict::Succeeded } = &event.what else { continue };
            let Some(run) = self.engine.run(&attempt.run) else { continue };
            let past = run.lane(&attempt.lane).and_then(|lane| lane.past.last()).filter(|past| past.n == attempt.n);
            let habits = self.parts.board.get(attempt).map(|standing| standing.habits);
            // What waits prints nothing: only how long it took is learned.
            let habits = habits.or_else(|| self.is_wait(attempt).then(Default::default));
            if let (Some(past), Some(habits)) = (past.filter(|past| !past.resumed), habits) {
                let took = past.ended.since(past.started);
                self.parts.took.add(&run.workflow.name, attempt.lane.step.as_str(), took);
                metrics.learn(Lesson {
                    workflow: run.workflow.name.clone(),
                    step: attempt.lane.step.to_string(),
                    took,
                    habits,
                });
            }
        }
    }

    /// The records of runs that changed, unless it is too early for the next ones.
    pub(super) fn write_records(&mut self) {
        if let Some(rest) = self.scribe.rests() {
            self.parts.tell_after(rest, Input::WriteRecords);
            return;
        }
        self.writing = false;
        for run in std::mem::take(&mut self.unwritten) {
            self.write_record(&run);
        }
    }

    pub(super) fn write_record(&mut self, id: &RunId) {
        let Some(run) = self.engine.run(id) else { return };
        match self.journal.read().newest_event() {
            Ok(newest) => self.scribe.write(run.clone(), newest),
            Err(error) => tracing::warn!("record.md of {id} is behind: {error}"),
        }
    }

    /// The run, from memory or folded from the journal.
    pub(in crate::daemon) fn run_or_fold(&self, id: &RunId) -> Result<Option<Run>, journal::Error> {
        if let Some(run) = self.engine.run(id) {
            return Ok(Some(run.clone()));
        }
        let Some(row) = self.journal.read().run(id)? else { return Ok(None) };
        let mut engine = Engine::default();
        self.journal.read().each(id, 0, &|| workflow_of(&row), &mut |_, event| engine.apply(&event))?;
        Ok(engine.run(id).cloned())
    }

    /// Holds a run that had ended again, so that an order about it can be taken.
    pub(in crate::daemon) fn recall(&mut self, id: &RunId) -> Result<(), journal::Error> {
        if self.engine.run(id).is_some() {
            return Ok(());
        }
        let Some(row) = self.journal.read().run(id)? else { return Ok(()) };
        // All of it or nothing: half a run would be believed by the next order.
        for (_, event) in self.journal.read().events(id, 0, &|| workflow_of(&row))? {
            self.engine.apply(&event);
        }
        Ok(())
    }
}
