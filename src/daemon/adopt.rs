//! What is found of attempts after any crash, by the look-up table of `session`: the same code at the engine's start,
//! when a keeper's connection ends, and now and then for nothing. Starts and ends nothing.

use super::core::{Core, Input, Parts};
use super::ended::Context;
use super::watch::Orders;
use crate::attempt;
use crate::engine::Run;
use crate::environment::Fate;
use crate::faults::{crash_point, mutant};
use crate::journal::Journal;
use crate::model::{AttemptId, Event, Exit, LostWhy, Outside, RunId, Site, Time, What};
use crate::session::{self, Intent, Verdict, Why};
use crate::wire;

use tokio::sync::watch;

/// Whether the keeper of an environment answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Answers,
    /// Nobody listens: a sandbox is dead then, with all in it.
    Dead,
    /// Nobody listens, and whoever knows how that came cannot be asked now.
    Unexplained,
    /// Somebody is there and says nothing.
    Silent,
}

/// What was found of one attempt.
#[derive(Debug, Clone)]
pub(super) enum Found {
    /// It was never started: the launch is owed.
    Nothing,
    /// Its shim lives.
    Lives,
    Exited(Box<Exit>),
    Lost {
        why: LostWhy,
        evidence: Vec<String>,
        checkpoint: Option<crate::model::Checkpoint>,
    },
    Unreachable,
    /// The state directory could not be read: asked again later.
    Unreadable(String),
}

/// Attempts in one environment of a run, to be looked at.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) run: RunId,
    pub(super) site: Site,
    boot_id: String,
    items: Vec<Item>,
}

#[derive(Debug)]
struct Item {
    context: Context,
    seen_claimed: bool,
    started: Option<Time>,
    boot_of_intent: String,
}

impl Look {
    /// The live attempts in this environment of a run.
    pub(super) fn at(run: &Run, site: &Site, journal: &Journal, parts: &Parts) -> Self {
        let there = run.live_attempts().filter(|(attempt, _)| run.site(attempt) == *site);
        let items = there.map(|(attempt, lane)| {
            let boot = journal.read().boot_of_intent(&attempt).ok().flatten();
            Item {
                seen_claimed: lane.started.is_some(),
                started: lane.started,
                // An intent whose boot cannot be told is taken for one of an earlier boot: never a second run.
                boot_of_intent: boot.unwrap_or_else(|| "unknown".into()),
                context: Context::new(run, lane, attempt, parts),
            }
        });
        let items = items.collect();
        Self { run: run.id.clone(), site: site.clone(), boot_id: parts.boot_id.clone(), items }
    }

    /// Somebody holds the claim of one of them: its shim lives, or is just being ended with its environment.
    pub(super) fn any_held(&self) -> bool {
        self.items.iter().any(|item| matches!(look_up(item), Ok(found) if found.held && !found.exited))
    }

    /// One of them was claimed and has no exit record: how its environment ended is all that can be known.
    pub(super) fn needs_fate(&self) -> bool {
        self.items.iter().any(|item| matches!(look_up(item), Ok(found) if found.claim_boot.is_some() && !found.exited))
    }

    /// Reads the attempts' directories. Blocks on the disk.
    pub(super) fn look(self, life: Life, fate: Option<Fate>) -> Vec<(AttemptId, Found)> {
        let boot_id = self.boot_id;
        self.items.into_iter().map(|item| (item.context.attempt.clone(), found(&item, &boot_id, life, fate))).collect()
    }
}

fn look_up(item: &Item) -> Result<wire::keeper::Found, attempt::Error> {
    let key = item.context.attempt.key();
    match item.context.open()? {
        Some(dir) => attempt::look_up(&dir, &key, Some(&item.context.mac_key)),
        None => Ok(wire::keeper::Found { key, claim_boot: None, exited: false, held: false }),
    }
}

fn found(item: &Item, boot_id: &str, life: Life, fate: Option<Fate>) -> Found {
    let seen = match look_up(item) {
        Ok(seen) => seen,
        Err(attempt::Error::Tampered { why, .. }) => return lost(item, LostWhy::Tampered, vec![why]),
        Err(error) => return Found::Unreadable(error.to_string()),
    };
    if mutant("adopt_by_name_only") {
        return if seen.claim_boot.is_some() { Found::Lives } else { Found::Nothing };
    }
    let intent = Intent { boot_id: &item.boot_of_intent };
    // The environment of an attempt that was never claimed can be made anew: a launch is safe by the claim.
    let answers = life == Life::Answers || (life == Life::Dead && seen.claim_boot.is_none());
    match session::verdict(intent, item.seen_claimed, &seen, boot_id, answers) {
        Verdict::Launch => Found::Nothing,
        Verdict::Adopt => Found::Lives,
        Verdict::JournalExit => exited(item),
        // What follows depends on how the environment ended; nothing is lost by waiting for the answer.
        Verdict::Unknown(Why::ShimDied) if life == Life::Unexplained => Found::Unreachable,
        Verdict::Unknown(Why::ShimDied) if life == Life::Dead => ended_with_its_environment(item, fate),
        Verdict::Unknown(why) => {
            let why = match why {
                Why::ShimDied => LostWhy::ShimDied,
                Why::HostRestarted => LostWhy::HostRestarted,
                Why::ClaimLost => LostWhy::ClaimGone,
            };
            lost(item, why, Vec::new())
        }
        Verdict::Unreachable => Found::Unreachable,
    }
}

/// Its environment is gone, and it has no exit record.
fn ended_with_its_environment(item: &Item, fate: Option<Fate>) -> Found {
    let ended = |outside| Found::Exited(Box::new(item.context.ended_from_outside(outside, item.started)));
    let gone = |words: &str| lost(item, LostWhy::EnvironmentGone, vec![words.to_owned()]);
    match fate {
        Some(Fate::Killed { .. }) => ended(Outside::Killed),
        Some(Fate::OutOfMemory) => ended(Outside::OutOfMemory),
        Some(Fate::EngineRestarted) => ended(Outside::EngineRestarted),
        Some(Fate::Removed) => gone("its container was removed"),
        Some(Fate::Ended { code }) => gone(&format!("its container ended by itself, with exit code {code}")),
        Some(Fate::Running) => gone("its first process is gone, though the container engine says that it runs"),
        None => lost(item, LostWhy::EnvironmentGone, Vec::new()),
    }
}

fn exited(item: &Item) -> Found {
    match item.context.exit() {
        Ok(Some(exit)) => Found::Exited(Box::new(exit)),
        Ok(None) => Found::Unreadable("the exit record vanished while it was read".into()),
        Err(attempt::Error::Tampered { why, .. }) => lost(item, LostWhy::Tampered, vec![why]),
        Err(error) => Found::Unreadable(error.to_string()),
    }
}

fn lost(item: &Item, why: LostWhy, mut evidence: Vec<String>) -> Found {
    evidence.push("no exit record; the last output:".into());
    evidence.extend(item.context.tail(8).into_iter().map(|line| format!("| {line}")));
    let (checkpoint, damaged) = item.context.newest_checkpoint();
    evidence.extend(crate::engine::damaged_words(&damaged, checkpoint.as_ref()));
    Found::Lost { why, evidence, checkpoint }
}

impl Core {
    /// Facts that follow from what was found.
    pub(super) fn looked(
        &mut self,
        run: &RunId,
        site: &Site,
        life: Life,
        found: Vec<(AttemptId, Found)>,
    ) -> Vec<Event> {
        let at = self.parts.clock.now();
        let mut facts = Vec::new();
        let mut again = false;
        for (attempt, found) in found {
            crash_point("engine.before-adoption");
            if matches!(found, Found::Unreachable) {
                again = true;
                self.unreachable.insert(attempt);
                continue;
            }
            self.unreachable.remove(&attempt);
            let what = match found {
                Found::Nothing | Found::Unreachable => continue,
                Found::Unreadable(why) => {
                    tracing::warn!("{attempt} cannot be looked at: {why}");
                    again = true;
                    continue;
                }
                Found::Lives => What::Claimed { attempt },
                Found::Exited(exit) => What::Exited { attempt, exit },
                Found::Lost { why, evidence, checkpoint } => What::Lost { attempt, why, evidence, checkpoint },
            };
            facts.push(Event { run: run.clone(), at, what });
        }
        if again || matches!(life, Life::Silent | Life::Unexplained) {
            let wait = std::time::Duration::from_secs(2);
            self.parts.tell_after(wait, Input::KeeperGone { run: run.clone(), site: site.clone() });
        }
        for event in &facts {
            // What ended while no engine lived has printed, too.
            if let What::Claimed { attempt } | What::Exited { attempt, .. } = &event.what {
                self.watch(attempt);
            }
        }
        crash_point("engine.after-adoption");
        // A claim that is known already is no news.
        facts.retain(|event| !matches!(&event.what, What::Claimed { attempt } if self.is_claimed(attempt)));
        facts
    }

    /// Follows the attempt's output, once per engine life.
    fn watch(&mut self, attempt: &AttemptId) {
        let Some(run) = self.engine.run(&attempt.run) else { return };
        let Some(lane) = run.lane(&attempt.lane) else { return };
        if self.watched.contains_key(attempt) {
            return;
        }
        let began = lane.started.unwrap_or_else(|| self.parts.clock.now());
        let (tell, orders) = watch::channel(Orders::of(run, lane));
        super::watch::start(Context::new(run, lane, attempt.clone(), &self.parts), began, orders, &self.parts);
        self.watched.insert(attempt.clone(), tell);
    }

    fn is_claimed(&self, attempt: &AttemptId) -> bool {
        let lane = self.engine.run(&attempt.run).and_then(|run| run.lane(&attempt.lane));
        lane.is_some_and(|lane| lane.n == attempt.n && lane.started.is_some())
    }

    /// Facts that follow from what a keeper said; what needs the disk is read elsewhere and comes back.
    pub(super) fn keeper_said(&mut self, id: &RunId, event: &wire::keeper::Event) -> Vec<Event> {
        let at = self.parts.clock.now();
        let (wire::keeper::Event::Claimed { key }
        | wire::keeper::Event::Exited { key }
        | wire::keeper::Event::Unrecorded { key, .. }
        | wire::keeper::Event::ShimGone { key, .. }) = event
        else {
            tracing::info!(run = %id, "the tmux server was gone and has been started again; steps went on");
            return Vec::new();
        };
        let Some(run) = self.engine.run(id) else { return Vec::new() };
        let Some((attempt, lane)) = run.live_attempts().find(|(attempt, _)| attempt.key() == *key) else {
            return Vec::new();
        };
        match event {
            wire::keeper::Event::Claimed { .. } => {
                let known = lane.started.is_some();
                self.watch(&attempt);
                let fact = Event { run: id.clone(), at, what: What::Claimed { attempt } };
                if known { Vec::new() } else { vec![fact] }
            }
            wire::keeper::Event::Exited { .. } => {
                let site = run.site(&attempt);
                let context = Context::new(run, lane, attempt, &self.parts);
                self.read_end((id.clone(), site), context);
                Vec::new()
            }
            wire::keeper::Event::Unrecorded { end, why, .. } => {
                let name = run.lane_name(&attempt.lane);
                self.space.unrecorded(attempt, &name, super::ended::end_of(*end), why);
                Vec::new()
            }
            wire::keeper::Event::ShimGone { status, .. } => {
                tracing::warn!("the shim of {key} is gone: {status}");
                let site = run.site(&attempt);
                let command = crate::model::Command::Launch(attempt);
                self.look_at(id, Some(&site));
                // Where nothing is found, the launch is owed again: not at once, for it may fail in the same way.
                self.parts.tell_after(std::time::Duration::from_secs(1), Input::Again(command));
                Vec::new()
            }
            wire::keeper::Event::TmuxRestarted => Vec::new(),
        }
    }

    fn read_end(&self, (run, site): (RunId, Site), context: Context) {
        let parts = self.parts.clone();
        tokio::task::spawn_blocking(move || {
            let attempt = context.attempt.clone();
            match context.exit() {
                Ok(Some(exit)) => {
                    let what = What::Exited { attempt, exit: Box::new(exit) };
                    parts.tell(Input::Fact(Event { run, at: parts.clock.now(), what }));
                }
                Ok(None) if mutant("decide_before_exit") => {
                    let what = What::Exited { attempt, exit: Box::new(context.hearsay()) };
                    parts.tell(Input::Fact(Event { run, at: parts.clock.now(), what }));
                }
                // The look-up tells these apart.
                Ok(None) | Err(_) => parts.tell(Input::KeeperGone { run, site }),
            }
        });
    }
}
