//! Requests about what is kept and what is left: checkpoints of environments, and what of ours is in container engines. What
//! has to ask an engine answers from elsewhere: the loop waits for nothing. Nothing is touched that is not ours, nor what a
//! run that is going on needs.

use std::collections::BTreeSet;

use tokio::sync::oneshot;

use super::{Answer, Reaction, Refusable, find_lane, internal, reply, usage};
use crate::clock;
use crate::daemon::core::{Core, Input, Parts};
use crate::daemon::{hands, views};
use crate::engine::{Kept, Phase, Run};
use crate::environment::{self, Left, LeftKind, Removal, Spec};
use crate::faults::crash_point;
use crate::model::{AttemptId, Event, Principal, RunId, SnapshotMark, What, size_words};
use crate::wire::client::{GcView, KeptOrder, KeptView, LeftView, Reply};

/// What container engines say, for the loop, which knows the runs.
pub(in crate::daemon) struct Found {
    left: Vec<Left>,
    silent: Vec<String>,
    dry_run: bool,
    answer: oneshot::Sender<Answer>,
}

/// One that is kept, with what it takes to ask for it.
struct One {
    attempt: AttemptId,
    view: KeptView,
    spec: Spec,
}

impl Core {
    /// What was kept of the environments of a run.
    pub(super) fn kept(&self, run: &str, verify: bool) -> Refusable<Reaction> {
        let run = self.find(run)?;
        let all = ones(&run, &self.parts);
        Ok(elsewhere(async move {
            let mut views = Vec::new();
            for One { mut view, spec, .. } in all {
                if verify {
                    (view.says, view.bad) = match environment::is_kept(&spec, &view.image).await {
                        Ok(true) => ("is there".into(), false),
                        Ok(false) => ("is gone".into(), true),
                        Err(error) => (format!("cannot be asked for: {error}"), true),
                    };
                }
                views.push(view);
            }
            reply(Reply::Kept(views))
        }))
    }

    /// What somebody wants done to it.
    pub(super) fn order_kept(&mut self, run: &str, order: KeptOrder, by: &Principal) -> Refusable<Reaction> {
        let run = self.find(run)?;
        // A run that has ended is folded again when somebody asks; what is marked now must reach it.
        self.recall(&run.id).map_err(|error| Box::new(internal(&error)))?;
        let mut all = ones(&run, &self.parts);
        let (mark, step) = match order {
            KeptOrder::Prune { all: also_newest, dry_run } => {
                all.retain(|one| !one.view.pinned && (also_newest || !one.view.newest));
                return Ok(if dry_run { told(all, "would be removed") } else { self.prune(all, by) });
            }
            KeptOrder::Pin { step } => (SnapshotMark::Pinned, step),
            KeptOrder::Unpin { step } => (SnapshotMark::Unpinned, step),
        };
        let lane = find_lane(&run, &step)?;
        all.retain(|one| one.attempt.lane == lane);
        if all.is_empty() {
            let hint = "`snapshot = true` keeps the environment of a step when it has succeeded";
            return Err(Box::new(usage(format!("nothing was kept after {step}"), Some(hint))));
        }
        let at = self.parts.clock.now();
        let events = all.iter().map(|one| {
            let what = What::SnapshotMarked { attempt: one.attempt.clone(), mark, by: by.clone() };
            Event { run: run.id.clone(), at, what }
        });
        let events = events.collect();
        let pinned = mark == SnapshotMark::Pinned;
        let views = all
            .into_iter()
            .map(|one| KeptView { pinned, ..said(one.view, if pinned { "is pinned" } else { "is not pinned" }) });
        Ok(Reaction::Now(events, Box::new(reply(Reply::Kept(views.collect())))))
    }

    /// Removes them, and says so when it is done. What is removed is recorded first: an attempt that begins meanwhile is not
    /// to go on from it. What cannot be removed then is nobody's any more, and `gc` takes it.
    fn prune(&self, all: Vec<One>, by: &Principal) -> Reaction {
        let at = self.parts.clock.now();
        let marked = all.iter().map(|One { attempt, .. }| {
            let what = What::SnapshotMarked { attempt: attempt.clone(), mark: SnapshotMark::Removed, by: by.clone() };
            Event { run: attempt.run.clone(), at, what }
        });
        let marked = marked.collect();
        let removal = async move {
            let mut views = Vec::new();
            for One { mut view, spec, .. } in all {
                match environment::forget(&spec, &view.image).await {
                    Ok(()) => view.says = "was removed".into(),
                    Err(error) => {
                        view.says = format!("was not removed: {error}; `dogwatch gc` tries again");
                        view.bad = true;
                    }
                }
                views.push(view);
            }
            reply(Reply::Kept(views))
        };
        Reaction::After(
            marked,
            Box::new(move |answer| {
                tokio::spawn(async move { drop(answer.send(removal.await)) });
            }),
        )
    }

    /// What is left in container engines. They are asked first; then the loop says what of it nobody needs.
    pub(super) fn gc(&self, dry_run: bool, host: Option<String>, runtime_dir: Option<String>) -> Reaction {
        let parts = self.parts.clone();
        Reaction::Later(Box::new(move |answer| {
            tokio::spawn(async move {
                let state = parts.state.path();
                let (left, silent) = environment::everything(state, host, runtime_dir.map(Into::into)).await;
                parts.tell(Input::Garbage(Box::new(Found { left, silent, dry_run, answer })));
            });
        }))
    }

    /// Removes what nobody needs.
    pub(in crate::daemon) fn collect(&mut self, found: Found) {
        let Found { left, silent, dry_run, answer } = found;
        let mut notes: Vec<String> = silent.into_iter().map(|words| format!("could not be asked: {words}")).collect();
        let (mut garbage, mut kept) = (Vec::new(), Vec::new());
        for one in left {
            match self.needless(&one) {
                Ok(Some((run, why))) => garbage.push((one, run, why)),
                Ok(None) if one.kind == LeftKind::Checkpoint => kept.push(one),
                Ok(None) => {}
                Err(error) => return drop(answer.send(internal(&error))),
            }
        }
        notes.extend(kept_words(&kept));
        // A network goes after the containers that are in it.
        garbage.sort_by_key(|(one, ..)| one.kind == LeftKind::Network);
        let parts = self.parts.clone();
        tokio::spawn(async move {
            let mut view = GcView { left: Vec::new(), notes };
            for (one, run, why) in garbage {
                let done = if dry_run { None } else { Some(remove(&one, &parts).await) };
                let (says, bad) = match done {
                    None => (format!("{why}; would be removed"), false),
                    Some(Ok(Removal::Done)) => (format!("{why}; removed"), false),
                    Some(Ok(Removal::Wanted)) => ("is wanted again; it stays".into(), false),
                    Some(Err(error)) => (format!("{why}; not removed: {error}"), true),
                };
                view.left.push(left_view(one, run, (says, bad)));
            }
            drop(answer.send(reply(Reply::Gc(view))));
        });
    }

    /// Why nobody needs it, with the name of its run; `None` where somebody may.
    pub(in crate::daemon) fn needless(&self, one: &Left) -> Result<Option<(String, String)>, crate::journal::Error> {
        let row = match RunId::new(&one.run) {
            Ok(id) => self.journal.read().run(&id)?,
            Err(_) => None,
        };
        let Some(row) = row else {
            return Ok(Some((one.run.clone(), "no run of this journal made it".into())));
        };
        // What is held here is going on, or just being closed.
        if one.kind != LeftKind::Checkpoint && self.engine.run(&row.id).is_some() {
            return Ok(None);
        }
        let Some(run) = self.run_or_fold(&row.id)? else { return Ok(None) };
        if one.kind == LeftKind::Checkpoint {
            let image = |id: &str| id.trim_start_matches("sha256:").to_owned();
            let pruned = run.kept.iter().any(|kept| kept.removed && image(&kept.snapshot.image) == image(&one.id));
            return Ok(pruned.then(|| (views::run_name(&run), "it was pruned".into())));
        }
        let ended = matches!(run.phase, Phase::Ended { .. });
        Ok(ended.then(|| (views::run_name(&run), "its run has ended".into())))
    }
}

/// Removes what nobody needs, if that is so still: its run may have been resumed since it was looked for.
async fn remove(one: &Left, parts: &Parts) -> Result<Removal, String> {
    crash_point("gc.before-question");
    environment::remove_left(one, async || {
        let (answer, told) = oneshot::channel();
        parts.tell(Input::StillNeedless { one: Box::new(one.clone()), answer });
        told.await.unwrap_or(false)
    })
    .await
}

fn kept_words(kept: &[Left]) -> Option<String> {
    let runs: BTreeSet<&str> = kept.iter().map(|one| one.run.as_str()).collect();
    let bytes: u64 = kept.iter().filter_map(|one| one.bytes).sum();
    (!kept.is_empty()).then(|| {
        format!(
            "{} checkpoint(s) of environments of {} run(s) stay ({} with their images): dogwatch checkpoints RUN prune",
            kept.len(),
            runs.len(),
            size_words(bytes)
        )
    })
}

fn left_view(one: Left, run: String, (says, bad): (String, bool)) -> LeftView {
    let kind = match one.kind {
        LeftKind::Container => "container",
        LeftKind::Network => "network",
        LeftKind::Checkpoint => "checkpoint",
    };
    LeftView {
        kind: kind.into(),
        id: one.id,
        run,
        environment: one.environment,
        age_ms: one.created_s.map(|created| (clock::wall_ms() - created.saturating_mul(1000)).max(0)),
        bytes: one.bytes,
        says,
        bad,
    }
}

/// Everything of a run that is kept, oldest first.
fn ones(run: &Run, parts: &Parts) -> Vec<One> {
    let there: Vec<&Kept> = run.kept.iter().filter(|kept| !kept.removed).collect();
    let of = |kept: &Kept| run.site(&kept.attempt).environment;
    let is_newest = |place: usize| !there[place + 1..].iter().any(|later| of(later) == of(there[place]));
    let one = |(place, kept): (usize, &&Kept)| One {
        attempt: kept.attempt.clone(),
        spec: hands::spec(run, &run.site(&kept.attempt), parts),
        view: KeptView {
            step_name: run.lane_name(&kept.attempt.lane),
            attempt: kept.attempt.n,
            environment: of(kept).to_string(),
            image: kept.snapshot.image.clone(),
            kept_ms: kept.at.as_ms(),
            bytes: kept.snapshot.bytes,
            pinned: kept.pinned,
            newest: is_newest(place),
            says: String::new(),
            bad: false,
        },
    };
    there.iter().enumerate().map(one).collect()
}

fn said(view: KeptView, says: &str) -> KeptView {
    KeptView { says: says.into(), ..view }
}

fn told(all: Vec<One>, says: &str) -> Reaction {
    let views = all.into_iter().map(|one| said(one.view, says)).collect();
    Reaction::Now(Vec::new(), Box::new(reply(Reply::Kept(views))))
}

/// An answer that has to ask a container engine.
fn elsewhere(ask: impl Future<Output = Answer> + Send + 'static) -> Reaction {
    Reaction::Later(Box::new(move |answer| {
        tokio::spawn(async move { drop(answer.send(ask.await)) });
    }))
}
