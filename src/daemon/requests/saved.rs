//! Requests about the checkpoints that steps saved: are they good, pinned, removed, gone on from. What has to read the disk or
//! to ask a step's `verify` answers from elsewhere: the loop waits for nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Answer, Reaction, Refusable, find_lane, internal, refuse, reply, usage};
use crate::clock;
use crate::daemon::core::{Core, Parts};
use crate::daemon::ended::Context;
use crate::daemon::hands::{self, By, Flaws};
use crate::daemon::{saved, views};
use crate::engine::{LaneRun, Phase, Quality, Removal, Run, Sighting};
use crate::model::{AttemptId, Checkpoint, CheckpointMark, Event, LaneId, Order, Principal, StepId, Time, What};
use crate::usage::on_disk;
use crate::wire::client::{CheckpointOrder, CheckpointView, Reply};

/// Whoever asks for a look is told after this long how far it has come; the rest is recorded when it is known.
const PATIENCE: Duration = Duration::from_secs(45);

impl Core {
    /// What somebody wants done to checkpoints.
    pub(super) fn order_checkpoints(
        &mut self,
        run: &str,
        order: CheckpointOrder,
        by: &Principal,
    ) -> Refusable<Reaction> {
        let run = self.find(run)?;
        // A run that has ended is folded again when somebody asks; what is marked now must reach it.
        self.recall(&run.id).map_err(|error| Box::new(internal(&error)))?;
        match order {
            CheckpointOrder::Verify { step, which } => self.verify_saved(&run, step.as_deref(), which.as_deref()),
            CheckpointOrder::Pin { step, which } => {
                self.mark_saved(&run, (&step, which.as_deref()), CheckpointMark::Pinned, by)
            }
            CheckpointOrder::Unpin { step, which } => {
                self.mark_saved(&run, (&step, which.as_deref()), CheckpointMark::Unpinned, by)
            }
            CheckpointOrder::Prune { step, dry_run } => self.prune_saved(&run, &step, dry_run, by),
        }
    }

    /// A new attempt from a checkpoint that somebody chose.
    pub(super) fn resume_from(
        &mut self,
        run: &str,
        step: &str,
        which: &str,
        by: Principal,
        note: Option<String>,
    ) -> Refusable<Reaction> {
        let mut run = self.find(run)?;
        let lane = find_lane(&run, step)?;
        let chosen = run.choose(&lane, which, &by).map_err(refuse)?;
        let ordered = run.order(&lane, Order::Resume, by, note).map_err(refuse)?;
        let words = format!("{}: again, from {}", run.lane_name(&lane), chosen_path(&chosen));
        self.both(&run, [chosen, ordered], words)
    }

    /// Goes on with a run; from a step on, and there from a checkpoint that somebody chose.
    pub(super) fn resume(
        &mut self,
        run: &str,
        from: Option<&str>,
        checkpoint: Option<&str>,
        by: Principal,
    ) -> Refusable<Reaction> {
        let step = from.map(StepId::new).transpose().map_err(|error| Box::new(usage(error.to_string(), None)))?;
        let Some(which) = checkpoint else {
            return self.change(run, |run| {
                Ok((run.resume(step, by).map_err(refuse)?, format!("{} goes on", views::run_name(run))))
            });
        };
        let Some(from) = from else {
            let hint = "dogwatch resume RUN --from STEP --checkpoint WHICH";
            return Err(Box::new(usage("a checkpoint is one of a step".to_owned(), Some(hint))));
        };
        let mut run = self.find(run)?;
        let lane = find_lane(&run, from)?;
        let chosen = run.choose(&lane, which, &by).map_err(refuse)?;
        let resumed = run.resume(step, by).map_err(refuse)?;
        let words = format!("{} goes on, {from} from {}", views::run_name(&run), chosen_path(&chosen));
        self.both(&run, [chosen, resumed], words)
    }

    fn both(&mut self, run: &Run, what: [What; 2], words: String) -> Refusable<Reaction> {
        self.recall(&run.id).map_err(|error| Box::new(internal(&error)))?;
        let at = self.parts.clock.now();
        let events = what.into_iter().map(|what| Event { run: run.id.clone(), at, what });
        Ok(Reaction::Now(events.collect(), Box::new(super::done(words))))
    }

    fn mark_saved(
        &mut self,
        run: &Run,
        (step, which): (&str, Option<&str>),
        mark: CheckpointMark,
        by: &Principal,
    ) -> Refusable<Reaction> {
        let id = find_lane(run, step)?;
        let Some(lane) = run.lane(&id) else { return Ok(told(Vec::new())) };
        let one = run.checkpoint_meant(lane, which).map_err(refuse)?;
        let what = What::CheckpointMarked { lane: id.clone(), path: one.checkpoint.path.clone(), mark, by: by.clone() };
        let event = Event { run: run.id.clone(), at: self.parts.clock.now(), what };
        let pinned = mark == CheckpointMark::Pinned;
        let says = if pinned { "is pinned" } else { "is not pinned" };
        let mut shown = view(run, lane, one, says.into());
        shown.pinned = pinned;
        let inside = saved::places(run, &id);
        Ok(Reaction::After(
            vec![event],
            Box::new(move |answer| {
                tokio::task::spawn_blocking(move || drop(answer.send(sized(vec![shown], &inside))));
            }),
        ))
    }

    /// Removes them, and says so when it is done. What is removed is recorded first: nothing goes on from it any more. What
    /// cannot be removed then is listed as before, and can be pruned again.
    fn prune_saved(&mut self, run: &Run, step: &str, dry_run: bool, by: &Principal) -> Refusable<Reaction> {
        let id = find_lane(run, step)?;
        let Some(lane) = run.lane(&id) else { return Ok(told(Vec::new())) };
        let all = run.prunable(lane);
        let at = self.parts.clock.now();
        let marked = |one: &&Sighting| {
            let (path, mark) = (one.checkpoint.path.clone(), CheckpointMark::Removed);
            let what = What::CheckpointMarked { lane: id.clone(), path, mark, by: by.clone() };
            Event { run: run.id.clone(), at, what }
        };
        let events = if dry_run { Vec::new() } else { all.iter().map(marked).collect() };
        let views: Vec<_> = all.iter().map(|one| view(run, lane, one, String::new())).collect();
        let inside = saved::places(run, &id);
        let job = move |answer: oneshot::Sender<Answer>| {
            tokio::task::spawn_blocking(move || {
                let shown = views.into_iter().map(|shown| pruned(shown, &inside, dry_run)).collect();
                drop(answer.send(reply(Reply::Checkpoints(shown))));
            });
        };
        Ok(if events.is_empty() { Reaction::Later(Box::new(job)) } else { Reaction::After(events, Box::new(job)) })
    }

    /// Removes a checkpoint that `keep` has no use for, and tells what became of it.
    pub(in crate::daemon) fn remove_checkpoint(&self, attempt: &AttemptId, path: &str) {
        let Some(run) = self.engine.run(&attempt.run) else { return };
        let (places, path, lane) = (saved::places(run, &attempt.lane), path.to_owned(), attempt.lane.clone());
        let seen = run.lane(&attempt.lane).and_then(|lane| lane.sighting(&path)?.seen);
        let (run, parts) = (attempt.run.clone(), self.parts.clone());
        tokio::task::spawn_blocking(move || {
            let anew = seen.is_some_and(|seen| saved::is_newer(Path::new(&path), seen));
            let anew = anew.then(|| "it was written to since it was seen".to_owned());
            let why = anew.or_else(|| saved::remove(Path::new(&path), &places).err());
            let what = What::CheckpointRemoved { lane, path, why };
            parts.tell(super::Input::Fact(Event { run, at: parts.clock.now(), what }));
        });
    }

    /// Looks at checkpoints: with the step's own `verify` while the run is going on, else at their files only.
    fn verify_saved(&mut self, run: &Run, step: Option<&str>, which: Option<&str>) -> Refusable<Reaction> {
        let lanes: Vec<LaneId> = match step {
            Some(step) => vec![find_lane(run, step)?],
            None => run.lanes.iter().map(|lane| lane.id.clone()).collect(),
        };
        let ended = matches!(run.phase, Phase::Ended { .. });
        let mut looks = Vec::new();
        for lane in lanes.iter().filter_map(|id| run.lane(id)) {
            let Some(attempt) = run.attempt(lane) else { continue };
            let wanted: Vec<&Sighting> = match which {
                Some(which) => vec![run.checkpoint_meant(lane, Some(which)).map_err(refuse)?],
                None => lane.sightings.iter().rev().filter(|one| one.removal != Removal::Done).collect(),
            };
            if wanted.is_empty() {
                continue;
            }
            let views: Vec<_> = wanted.iter().map(|one| view(run, lane, one, says(one))).collect();
            let wanted: Vec<Checkpoint> = wanted.into_iter().map(|one| one.checkpoint.clone()).collect();
            let (tell, found) = oneshot::channel();
            if ended {
                look_only(run, lane, &attempt, wanted, &self.parts, tell);
            } else {
                let by = By::Person(Box::new(move |found| drop(tell.send(found))));
                let task = hands::checks(run, &attempt, wanted, by, &self.parts);
                if let Some((hands, task)) = self.hands(&attempt).zip(task) {
                    hands.give(task);
                }
            }
            looks.push((views, saved::places(run, &lane.id), found));
        }
        Ok(Reaction::Later(Box::new(move |answer| {
            tokio::spawn(async move {
                let mut shown = Vec::new();
                for (views, inside, found) in looks {
                    let found = tokio::select! {
                        found = found => found.unwrap_or_else(|_| Err("nobody can look at it now".into())),
                        () = clock::sleep(PATIENCE) => Err("is being verified still".into()),
                    };
                    shown.push((verified(views, found), inside));
                }
                let sizes = move || shown.into_iter().flat_map(|(views, inside)| with_sizes(views, &inside)).collect();
                let shown = tokio::task::spawn_blocking(sizes).await.unwrap_or_default();
                drop(answer.send(reply(Reply::Checkpoints(shown))));
            });
        })))
    }
}

fn chosen_path(chosen: &What) -> String {
    if let What::CheckpointMarked { path, .. } = chosen { path.clone() } else { String::new() }
}

/// The environment of the run has gone, and nobody can run the step's `verify` there: the files tell what they can.
fn look_only(
    run: &Run,
    lane: &LaneRun,
    attempt: &AttemptId,
    wanted: Vec<Checkpoint>,
    parts: &Parts,
    tell: oneshot::Sender<Result<Flaws, String>>,
) {
    let verifies = run.step_of(lane).checkpoint.as_ref().is_some_and(|spec| spec.verify.is_some());
    let context = Context::new(run, lane, attempt.clone(), parts);
    let (run, parts) = (run.id.clone(), parts.clone());
    tokio::task::spawn_blocking(move || {
        let mut found = Vec::new();
        for checkpoint in wanted {
            let flaw = context.flaw(&checkpoint.path).or_else(|| context.changed(&checkpoint.path));
            // What its own `verify` has not seen is not good yet.
            if flaw.is_some() || !verifies {
                let digest =
                    flaw.is_none().then(|| crate::identity::digest(Path::new(&checkpoint.path)).ok()).flatten();
                let (lane, checkpoint, flaw) = (context.attempt.lane.clone(), checkpoint.clone(), flaw.clone());
                let what = What::CheckpointChecked { lane, checkpoint, flaw, digest };
                parts.tell(super::Input::Fact(Event { run: run.clone(), at: parts.clock.now(), what }));
            }
            let unseen = "is there; its `verify` runs only while the run goes on";
            found.push((checkpoint, flaw.or_else(|| verifies.then(|| unseen.into()))));
        }
        drop(tell.send(Ok(found)));
    });
}

/// What is known of a checkpoint, in words.
pub(super) fn says(one: &Sighting) -> String {
    match (&one.quality, &one.removal) {
        (_, Removal::Owed) => "is being removed".into(),
        (_, Removal::Done) => "removed".into(),
        (_, Removal::Failed { why }) => format!("not removed ({why})"),
        (Quality::Good, Removal::Unwanted) => "good".into(),
        (Quality::Damaged { why }, Removal::Unwanted) => format!("damaged ({why})"),
        (Quality::Unverified, Removal::Unwanted) => "unverified".into(),
    }
}

fn view(run: &Run, lane: &LaneRun, one: &Sighting, says: String) -> CheckpointView {
    CheckpointView {
        step_name: run.lane_name(&lane.id),
        attempt: lane.n,
        path: one.checkpoint.path.clone(),
        step: one.checkpoint.step,
        seen_ms: one.seen.map_or_else(|| lane.past.last().map_or(0, |past| past.ended.as_ms()), Time::as_ms),
        bytes: None,
        newest: lane.checkpoint.as_ref() == Some(&one.checkpoint),
        says,
        pinned: one.pinned,
        metrics: one.checkpoint.metrics.clone(),
    }
}

fn verified(views: Vec<CheckpointView>, found: Result<Flaws, String>) -> Vec<CheckpointView> {
    let found = match found {
        Ok(found) => found,
        Err(why) => return views.into_iter().map(|view| CheckpointView { says: why.clone(), ..view }).collect(),
    };
    let say = |view: CheckpointView| {
        let of = found.iter().find(|(one, _)| one.path == view.path);
        let says = match of {
            Some((_, Some(why))) if why.starts_with("is there;") => why.clone(),
            Some((_, Some(why))) => format!("damaged ({why})"),
            Some((_, None)) => "good".into(),
            None => view.says.clone(),
        };
        CheckpointView { says, ..view }
    };
    views.into_iter().map(say).collect()
}

fn pruned(mut shown: CheckpointView, inside: &[PathBuf], dry_run: bool) -> CheckpointView {
    let roots: Vec<&Path> = inside.iter().map(PathBuf::as_path).collect();
    shown.bytes = on_disk(Path::new(&shown.path), &roots);
    shown.says = match (dry_run, shown.bytes) {
        (_, None) => "was gone".into(),
        (true, Some(_)) => "would be removed".into(),
        (false, Some(_)) => match saved::remove(Path::new(&shown.path), inside) {
            Ok(()) => "was removed".into(),
            Err(why) => format!("was not removed: {why}"),
        },
    };
    shown
}

fn with_sizes(mut views: Vec<CheckpointView>, inside: &[PathBuf]) -> Vec<CheckpointView> {
    let roots: Vec<&Path> = inside.iter().map(PathBuf::as_path).collect();
    for view in &mut views {
        view.bytes = on_disk(Path::new(&view.path), &roots);
    }
    views
}

fn sized(views: Vec<CheckpointView>, inside: &[PathBuf]) -> Answer {
    reply(Reply::Checkpoints(with_sizes(views, inside)))
}

fn told(views: Vec<CheckpointView>) -> Reaction {
    Reaction::Now(Vec::new(), Box::new(reply(Reply::Checkpoints(views))))
}
