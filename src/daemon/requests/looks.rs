//! Requests that look at more than the mind knows: checkpoints on their disk, what is used now, the frozen file; and a new
//! run of that file. What has to read the disk answers from elsewhere: the loop waits for nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::saved::says;
use super::{Answer, Reaction, Refusable, find_lane, internal, refusal, reply};
use crate::daemon::core::{Core, Live};
use crate::daemon::views::{ended_words, step_state, stopped, words};
use crate::engine::{LaneRun, Run};
use crate::journal::RunRow;
use crate::metrics::Metrics;
use crate::model::{AttemptId, CacheLook, Checkpoint, Event, Exit, LaneId, Principal, Selection, Time, Verdict, What};
use crate::usage;
use crate::wire::client::{
    self as wire, CachedView, CheckpointView, RefusalKind, Reply, ResultView, SourceView, WhyView,
};
use crate::wire::secrets::Secrets;

impl Core {
    /// What was seen of the checkpoints of a run, and what of it is there.
    pub(super) fn checkpoints(&self, run: &str) -> Refusable<Reaction> {
        let run = self.find(run)?;
        let workflow = || Ok(std::sync::Arc::clone(&run.workflow));
        let events = self.journal.read().events(&run.id, 0, &workflow).map_err(|error| Box::new(internal(&error)))?;
        let mut seen = sightings(&run, events.iter().map(|(_, event)| event));
        let spaces = run.workflow.all_environments().map(|(_, spec)| PathBuf::from(&spec.workspace));
        let inside: Vec<PathBuf> = spaces.chain([PathBuf::from(run.work_root())]).collect();
        Ok(elsewhere(move || {
            let inside: Vec<&Path> = inside.iter().map(PathBuf::as_path).collect();
            for checkpoint in &mut seen {
                checkpoint.bytes = usage::on_disk(Path::new(&checkpoint.path), &inside);
            }
            reply(Reply::Checkpoints(seen))
        }))
    }

    /// Why the newest attempt of a step that ended badly did so, or this one; and what was decided about it.
    pub(super) fn why(&self, run: &str, step: &str, n: Option<u32>) -> Refusable<Answer> {
        let run = self.find(run)?;
        let lane = find_lane(&run, step)?;
        let name = run.lane_name(&lane);
        let workflow = || Ok(std::sync::Arc::clone(&run.workflow));
        let events = self.journal.read().events(&run.id, 0, &workflow).map_err(|error| Box::new(internal(&error)))?;
        let is_meant = |attempt: &AttemptId| attempt.lane == lane && n.is_none_or(|n| attempt.n == n);
        let ended = events.iter().enumerate().rev().find_map(|(place, (_, event))| {
            let What::Exited { attempt, exit } = &event.what else { return None };
            let exit = is_meant(attempt).then(|| verified(attempt, exit, &events[place..]))?;
            exit.is_bad().then_some((attempt, exit))
        });
        let look = run.lane(&lane).and_then(|lane| lane.cache.as_deref()).filter(|_| n.is_none());
        if let (None, Some(CacheLook { hit, why, .. })) = (&ended, look) {
            let from = hit.as_ref().map(|hit| hit.from.clone());
            return Ok(reply(Reply::Cached(CachedView { step_name: name, from, why: why.clone() })));
        }
        let Some((attempt, exit)) = ended else {
            let which = n.map_or_else(|| "no attempt".to_owned(), |n| format!("attempt {n}"));
            let words = match n {
                None => format!("{which} of {name} has ended badly"),
                Some(_) => format!("{which} of {name} has not ended badly"),
            };
            return Err(Box::new(refusal(RefusalKind::Refused, words, Some("dogwatch status shows how it is"))));
        };
        let decided = events.iter().rev().find_map(|(seq, event)| {
            let What::Judged { attempt: about, verdict } = &event.what else { return None };
            let was_stopped = matches!(verdict, Verdict::Stopped);
            (about == attempt).then(|| if was_stopped { stopped(&run) } else { words::event(&run, *seq, event).text })
        });
        let rule = exit.diagnosis.as_ref().and_then(|said| said.rule.as_ref());
        Ok(reply(Reply::Why(Box::new(WhyView {
            of_workflow: run.workflow.rules.iter().any(|own| Some(&own.id) == rule),
            step_name: name,
            attempt: attempt.n,
            end: ended_words(&exit),
            ran_ms: i64::try_from(exit.ended.since(exit.started).as_millis()).unwrap_or(i64::MAX),
            decided: decided.unwrap_or_default(),
            diagnosis: exit.diagnosis.as_deref().map(Into::into),
        }))))
    }

    /// What the machine and each running step of the run use now.
    pub(super) fn resources(&self, run: &str) -> Refusable<Reaction> {
        let live = Live::of(&self.find(run)?);
        let (meter, metrics) = (std::sync::Arc::clone(&self.meter), self.parts.metrics.clone());
        let clock = self.parts.clock;
        Ok(elsewhere(move || reply(Reply::Resources(live.measure(&meter, metrics.as_ref(), clock.now())))))
    }

    /// The frozen file, with the values that its parameters have in this run, and what became of its steps.
    pub(super) fn source(&self, run: &str) -> Refusable<Reaction> {
        let run = self.find(run)?;
        let row = self.row(&run)?;
        let params = run.workflow.params.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
        let results = run.lanes.iter().take(RESULTS).map(|lane| (lane.id.clone(), result(&run, lane))).collect();
        let view = SourceView { file: row.file, base: row.base, text: row.source, params, results: Vec::new() };
        let (metrics, id) = (self.parts.metrics.clone(), run.id.clone());
        Ok(elsewhere(move || {
            let results = numbered(results, metrics.as_ref(), id.as_str());
            reply(Reply::Source(SourceView { results, ..view }))
        }))
    }

    /// A new run of the same frozen file, of the same steps, with these parameters.
    pub(super) fn again(
        &self,
        run: &str,
        (params, secrets): (Vec<(String, String)>, Secrets),
        by: Principal,
    ) -> Refusable<Reaction> {
        let run = self.find(run)?;
        let row = self.row(&run)?;
        let (only, from) = match &run.selection {
            Selection::All => (Vec::new(), None),
            Selection::Only(steps) => (steps.iter().map(ToString::to_string).collect(), None),
            Selection::From(step) => (Vec::new(), Some(step.to_string())),
        };
        let start = wire::StartRun {
            source: row.source,
            file: row.file,
            base: row.base,
            params,
            name: Some(row.name),
            only,
            from,
            no_cache: run.no_cache,
            env: (*run.env).clone(),
            secrets,
        };
        Ok(self.start_run(start, Some(run.id), by))
    }

    fn row(&self, run: &Run) -> Refusable<RunRow> {
        let row = self.journal.read().run(&run.id).map_err(|error| Box::new(internal(&error)))?;
        row.ok_or_else(|| {
            Box::new(refusal(RefusalKind::Refused, "the run is not written yet".into(), Some("try again in a moment")))
        })
    }
}

/// Steps whose results are told with the file of a run, and series of each.
const RESULTS: usize = 500;
const NUMBERS: usize = 8;

fn result(run: &Run, lane: &LaneRun) -> ResultView {
    let took = lane.past.iter().map(|past| past.ended.since(past.started).as_millis()).sum::<u128>();
    ResultView {
        step_name: run.lane_name(&lane.id),
        state: step_state(run, lane),
        took_ms: i64::try_from(took).unwrap_or(i64::MAX),
        numbers: Vec::new(),
    }
}

/// With the last value of each series that the steps told themselves; those of later attempts count. Blocks on the disk.
fn numbered(results: Vec<(LaneId, ResultView)>, metrics: Option<&Metrics>, run: &str) -> Vec<ResultView> {
    let found = metrics.map(|metrics| metrics.series(run, None, true)).transpose().unwrap_or_else(|error| {
        tracing::warn!("a comparison is without numbers: {error}");
        None
    });
    let mut told: BTreeMap<(String, u32), BTreeMap<String, Option<f64>>> = BTreeMap::new();
    for one in found.into_iter().flatten().filter(|one| !one.name.starts_with("system/")) {
        if let Some(last) = one.series.points().last() {
            let value = Some(last.value).filter(|value| value.is_finite());
            told.entry((one.step, one.lane)).or_default().insert(one.name, value);
        }
    }
    let with = |(lane, result): (LaneId, ResultView)| {
        let own = told.get(&(lane.step.to_string(), lane.lane.0)).cloned().unwrap_or_default();
        ResultView { numbers: own.into_iter().take(NUMBERS).collect(), ..result }
    };
    results.into_iter().map(with).collect()
}

/// How this attempt ended, with what its `verify` said of it later.
fn verified(attempt: &AttemptId, exit: &Exit, later: &[(u64, Event)]) -> Exit {
    let check = later.iter().find_map(|(_, event)| {
        let What::Verified { attempt: about, check } = &event.what else { return None };
        (about == attempt).then(|| check.as_ref().clone())
    });
    check.map_or_else(|| exit.clone(), |check| exit.clone().checked(check))
}

/// An answer that has to read the disk.
pub(super) fn elsewhere(look: impl FnOnce() -> Answer + Send + 'static) -> Reaction {
    Reaction::Later(Box::new(move |answer| {
        tokio::task::spawn_blocking(move || drop(answer.send(look())));
    }))
}

/// Every checkpoint of the run once, in the order of the steps, newest first within each.
fn sightings<'a>(run: &Run, events: impl Iterator<Item = &'a Event>) -> Vec<CheckpointView> {
    let mut seen: Vec<(AttemptId, Time, Checkpoint)> = Vec::new();
    for event in events {
        let (attempt, found, told) = match &event.what {
            What::CheckpointSeen { attempt, checkpoint, .. } => (attempt, checkpoint, true),
            What::Exited { attempt, exit } => match &exit.checkpoint {
                Some(checkpoint) => (attempt, checkpoint, false),
                None => continue,
            },
            What::Lost { attempt, checkpoint: Some(checkpoint), .. } => (attempt, checkpoint, false),
            What::Created(_)
            | What::EnvironmentReady { .. }
            | What::EnvironmentFailed { .. }
            | What::Intended { .. }
            | What::CacheLooked { .. }
            | What::CannotStart { .. }
            | What::SecretsLost { .. }
            | What::SecretsGiven { .. }
            | What::Claimed { .. }
            | What::Noted { .. }
            | What::ClocksSet { .. }
            | What::Stalled { .. }
            | What::Revived { .. }
            | What::Snapshotted { .. }
            | What::NotSnapshotted { .. }
            | What::Keeping { .. }
            | What::Booked { .. }
            | What::Looked { .. }
            | What::SnapshotMarked { .. }
            | What::Lost { .. }
            | What::Judged { .. }
            | What::StopAsked { .. }
            | What::ProbeAsked { .. }
            | What::Probed { .. }
            | What::Verified { .. }
            | What::CheckpointsVerified { .. }
            | What::CheckpointChecked { .. }
            | What::CheckpointMarked { .. }
            | What::CheckpointRemoved { .. }
            | What::Skipped { .. }
            | What::Opened { .. }
            | What::Answered { .. }
            | What::Held { .. }
            | What::Undone { .. }
            | What::Lasting { .. }
            | What::Extended { .. }
            | What::Attached { .. }
            | What::Detached { .. }
            | What::Ordered { .. }
            | What::Paused { .. }
            | What::Unpaused { .. }
            | What::RunStopAsked { .. }
            | What::Resumed { .. }
            | What::Ended { .. } => continue,
        };
        let known = seen.iter().position(|(of, _, known)| of.lane == attempt.lane && known.path == found.path);
        // What is found again at the end of an attempt is no news, unless it was never seen while it was written.
        if !told && known.is_some_and(|known| seen[known].2 == *found) {
            continue;
        }
        if let Some(known) = known {
            seen.remove(known);
        }
        seen.push((attempt.clone(), event.at, found.clone()));
    }
    let views = run.lanes.iter().flat_map(|lane| {
        let of_lane = seen.iter().rev().filter(|(attempt, ..)| attempt.lane == lane.id);
        of_lane.map(|(attempt, at, checkpoint)| CheckpointView {
            step_name: run.lane_name(&lane.id),
            attempt: attempt.n,
            path: checkpoint.path.clone(),
            step: checkpoint.step,
            seen_ms: at.as_ms(),
            bytes: None,
            newest: lane.checkpoint.as_ref().is_some_and(|newest| newest.path == checkpoint.path),
            says: lane.sighting(&checkpoint.path).map(says).unwrap_or_default(),
            metrics: checkpoint.metrics.clone(),
            pinned: lane.sighting(&checkpoint.path).is_some_and(|one| one.pinned),
        })
    });
    views.collect()
}
