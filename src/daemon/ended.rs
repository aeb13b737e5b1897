//! From an exit record and a log to a fact: how an attempt ended, which patterns matched, which outputs and which
//! checkpoint are there. Reads the attempt's directory without trusting it. Decides nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use super::cached::Making;
use super::diagnose;
use super::watch::Teller;
use crate::attempt::{self, log::Log, record};
use crate::clock::Clock;
use crate::engine::{LaneRun, LaneState, Run, Sighting};
use crate::gauge::plain;
use crate::judge::Facts;
use crate::model::{
    AttemptId, Checkpoint, Damaged, Diagnosis, End, Exit, Hit, Made, Number, Outside, Stall, StepId, StopReason, Time,
    Usage, Workflow,
};
use crate::wire;

mod scan;

pub(super) use scan::sighting;
use scan::{Scan, tail_of};

/// Lines of the log's end that are kept with the fact.
const TAIL: usize = 20;
/// The same of one that stands still.
const STALLED_TAIL: usize = 8;
/// Checkpoints that are looked at, at most, to find one that is good.
const CANDIDATES: usize = 16;

/// What an exit record alone tells of an end: nothing was read of the log.
pub(super) fn bare(record: &record::ExitRecord) -> Exit {
    let stop = record.stop.map(|reason| match reason {
        wire::keeper::StopReason::Timeout => StopReason::Timeout,
        wire::keeper::StopReason::Stop => StopReason::Stop,
    });
    Exit {
        stop,
        oom_kills: record.oom_kills,
        ..Exit::new(end_of(record.end), Time::from_ms(record.start_wall_ms), Time::from_ms(record.end_wall_ms))
    }
}

/// What is needed to know of an attempt to tell how it ended.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) attempt: AttemptId,
    pub(super) run_dir: PathBuf,
    /// The step's own folder.
    work: String,
    pub(super) workflow: Arc<Workflow>,
    pub(super) step: StepId,
    pub(super) outputs: IndexMap<String, String>,
    /// Checkpoints known of the lane that nothing is known against, newest first.
    pub(super) older: Vec<Checkpoint>,
    /// It stood still, and is ended for that.
    stall: Option<(Box<Stall>, Time)>,
    /// Why it is being ended, where its shim does not know that word.
    asked: Option<StopReason>,
    /// Paths of those that are being removed, or were.
    leaving: HashSet<String>,
    /// What those that were found good held then, by their paths.
    digests: HashMap<String, String>,
    /// Its checkpoints are verified after its end.
    verifies: bool,
    /// Its step is cached.
    making: Option<Making>,
    /// Up to where its notes are recorded, among its reports.
    pub(super) noted: u64,
    /// When an alert of it was recorded last, or it was told to go on.
    pub(super) alerted: Option<Time>,
    pub(super) mac_key: [u8; 32],
    pub(super) clock: Clock,
    pub(super) boot_id: String,
}

impl Context {
    pub(super) fn new(run: &Run, lane: &LaneRun, attempt: AttemptId, parts: &super::core::Parts) -> Self {
        Self {
            run_dir: PathBuf::from(&run.dir),
            work: run.work_dir(&lane.id),
            workflow: Arc::clone(&run.workflow),
            step: lane.id.step.clone(),
            outputs: run.outputs(&lane.id),
            stall: stall_of(lane),
            asked: asked_of(lane),
            older: lane.checkpoint.iter().chain(lane.older_checkpoints()).cloned().collect(),
            leaving: lane.sightings.iter().filter(|one| one.is_leaving()).map(path_of).collect(),
            digests: lane.sightings.iter().filter_map(digest_of).collect(),
            noted: if lane.n == attempt.n { lane.told.noted } else { u64::MAX },
            alerted: lane.told.alerted.max(lane.spared),
            verifies: run.step_of(lane).checkpoint.as_ref().is_some_and(|spec| spec.verify.is_some()),
            making: Making::of(run, lane),
            mac_key: parts.mac_key(&attempt.key()),
            clock: parts.clock,
            boot_id: parts.boot_id.clone(),
            attempt,
        }
    }

    /// The attempt's directory, if it is there.
    pub(super) fn open(&self) -> Result<Option<OwnedFd>, attempt::Error> {
        let run_dir = attempt::open_run_dir(&self.run_dir)?;
        attempt::open(&run_dir, &self.attempt.dir())
    }

    /// The fact of the attempt's end; `None` when there is no exit record.
    pub(super) fn exit(&self) -> Result<Option<Exit>, attempt::Error> {
        let Some(dir) = self.open()? else { return Ok(None) };
        let Some(record) = record::read(&dir, &self.attempt.key(), &self.mac_key)? else { return Ok(None) };
        Ok(Some(self.fact(&record, dir)))
    }

    /// The end that a mutant believes in without a record.
    pub(super) fn hearsay(&self) -> Exit {
        Exit::new(End::Code(0), self.clock.now(), self.clock.now())
    }

    /// The end of an attempt whose environment was ended with it. Whatever it was doing ended then, and badly.
    pub(super) fn ended_from_outside(&self, outside: Outside, started: Option<Time>) -> Exit {
        let now = self.clock.now();
        let facts = diagnose::facts_outside(outside);
        let read = self.open().ok().flatten().map(|dir| self.read_log(dir, false, facts));
        let Read { hits, tail, checkpoint, damaged, diagnosis, .. } = read.unwrap_or_else(|| self.unread());
        let kills = matches!(outside, Outside::OutOfMemory).then_some(1);
        Exit {
            oom_kills: kills,
            hits,
            tail,
            checkpoint,
            damaged,
            outside: Some(outside),
            diagnosis,
            ..Exit::new(End::Signal(9), started.unwrap_or(now), now)
        }
    }

    fn fact(&self, record: &record::ExitRecord, dir: OwnedFd) -> Exit {
        let end = end_of(record.end);
        let stop = record.stop.map(|reason| match reason {
            wire::keeper::StopReason::Timeout => StopReason::Timeout,
            // Who ended it for standing still asked for it in the same way.
            wire::keeper::StopReason::Stop if let Some((stall, _)) = &self.stall => stall.reason(),
            wire::keeper::StopReason::Stop => self.asked.unwrap_or(StopReason::Stop),
        });
        let stall = self.stall.as_ref().filter(|_| stop.is_some_and(StopReason::is_trouble));
        let stall = stall.map(|(stall, at)| Box::new(stall.diagnosis(*at)));
        let good = end == End::Code(0) && stop.is_none();
        let missing: Vec<String> = if good { self.missing() } else { Vec::new() };
        let made = self.making.as_ref().filter(|_| good && missing.is_empty()).map(Making::made);
        let numbers = self.numbers();
        let made = made.map(|made| made.map(|made| Box::new(Made { numbers: numbers.clone(), ..*made })));
        let places = [self.run_dir.as_path(), Path::new(&self.workflow.environment_of(&self.step).workspace)];
        let facts = diagnose::facts(end, stop, record.oom_kills, &places);
        let read = self.read_log(dir, good && missing.is_empty(), facts);
        // Times of this boot are exact; of an earlier one the wall clock has to do.
        let at = |boottime, wall| {
            let this_boot = record.boot_id == self.boot_id;
            if this_boot { self.clock.at_boottime(boottime) } else { Time::from_ms(wall) }
        };
        Exit {
            stop,
            leaked: record.leaked.iter().map(|process| (process.pid, plain::line(process.comm.as_bytes()))).collect(),
            oom_kills: record.oom_kills,
            usage: Some(Usage {
                cpu_ms: record.rusage.user_ms + record.rusage.system_ms,
                peak_bytes: record.rusage.max_rss_kib.saturating_mul(1024),
            }),
            missing,
            hits: read.hits,
            tail: read.tail,
            checkpoint: read.checkpoint,
            damaged: read.damaged,
            outside: read.outside,
            diagnosis: stall.or(read.diagnosis),
            made,
            numbers,
            ..Exit::new(
                end,
                at(record.start_boottime_ms, record.start_wall_ms),
                at(record.end_boottime_ms, record.end_wall_ms),
            )
        }
    }

    /// The last values of the series that the workflow's expressions ask for.
    fn numbers(&self) -> BTreeMap<String, Number> {
        let told = || Some(self.teller()?.last(self.open().ok()??, |path| self.is_there(path)));
        told().unwrap_or_default()
    }

    fn teller(&self) -> Option<Teller<'_>> {
        let step = self.workflow.steps.get(&self.step)?;
        let environment = self.workflow.environment_of(&self.step);
        Some(Teller { step, environment, work: &self.work, attempt: self.attempt.n })
    }

    /// Declared outputs that are not there.
    fn missing(&self) -> Vec<String> {
        let gone = self.outputs.iter().filter(|(_, path)| !self.is_there(path));
        gone.map(|(name, path)| format!("{name}: {path}")).collect()
    }

    /// What a live attempt has printed so far: lines that rules of the step match, and the last ones.
    pub(super) fn so_far(&self) -> (Vec<Hit>, Vec<String>) {
        let read = self.open().ok().flatten().map(|dir| self.read_log(dir, false, None));
        let mut read = read.unwrap_or_default();
        let before = read.tail.len().saturating_sub(STALLED_TAIL);
        (read.hits, read.tail.split_off(before))
    }

    /// The shim of the attempt while it lives, as this host counts.
    pub(super) fn shim(&self) -> Option<u32> {
        attempt::claim::holder(self.open().ok()??).ok()?
    }

    /// The last lines of the log, plain.
    pub(super) fn tail(&self, lines: usize) -> Vec<String> {
        let tail = || -> Result<Vec<String>, attempt::Error> {
            let Some(dir) = self.open()? else { return Ok(Vec::new()) };
            tail_of(&mut Log::open(dir)?, lines)
        };
        tail().unwrap_or_else(|error| vec![format!("(the log cannot be read: {error})")])
    }

    /// The newest checkpoint that is there, also of an attempt without an exit record.
    pub(super) fn newest_checkpoint(&self) -> (Option<Checkpoint>, Vec<Damaged>) {
        let read = match self.open() {
            Ok(Some(dir)) => self.read_log(dir, false, None),
            Ok(None) | Err(_) => self.unread(),
        };
        (read.checkpoint, read.damaged)
    }

    /// Without a log: what was known before.
    fn unread(&self) -> Read {
        let (checkpoint, damaged) = self.usable(&[]);
        Read { checkpoint, damaged, ..Read::default() }
    }

    /// Checkpoints that an attempt could go on from, newest first, as far as a look at the files tells: those that its log
    /// tells of, then older ones of the lane.
    pub(super) fn candidates(&self) -> Vec<(Checkpoint, Option<String>)> {
        let dir = self.open().ok().flatten();
        let sighted = dir.map(|dir| self.read_log(dir, false, None).sighted).unwrap_or_default();
        let own: HashSet<String> = sighted.iter().map(|one| one.path.clone()).collect();
        let all = self.newest_first(sighted.into_iter().chain(self.older.iter().cloned()));
        let flaw = |path: &str| self.flaw(path).or_else(|| self.changed(path).filter(|_| !own.contains(path)));
        all.map(|found| (found.clone(), flaw(&found.path))).collect()
    }

    /// Each path once, and none that is being removed.
    fn newest_first(&self, all: impl Iterator<Item = Checkpoint>) -> impl Iterator<Item = Checkpoint> {
        let mut seen = HashSet::new();
        all.filter(move |one| !self.leaving.contains(&one.path) && seen.insert(one.path.clone())).take(CANDIDATES)
    }

    /// The first of those that this attempt saved, newest first, and older ones that is there and not empty, and those before
    /// it.
    fn usable(&self, own: &[Checkpoint]) -> (Option<Checkpoint>, Vec<Damaged>) {
        let mut damaged = Vec::new();
        let saved = |path: &str| own.iter().any(|one| one.path == path);
        for checkpoint in self.newest_first(own.iter().chain(&self.older).cloned()) {
            let path = checkpoint.path.as_str();
            // What this attempt saved is not what was there before; and what is verified in a moment is compared then.
            let changed = || self.changed(path).filter(|_| !self.verifies && !saved(path));
            match self.flaw(path).or_else(changed) {
                None => return (Some(checkpoint), damaged),
                Some(why) => damaged.push(Damaged { checkpoint, why }),
            }
        }
        (None, damaged)
    }

    /// What was verified is not what is there.
    pub(super) fn changed(&self, path: &str) -> Option<String> {
        let before = self.digests.get(path)?;
        let now = crate::identity::digest(Path::new(path)).ok()?;
        (now != *before).then(|| "it has changed since it was verified".into())
    }

    /// What is wrong with a checkpoint, as far as a look at it tells. Whoever wrote it has ended: its size changes no more.
    pub(super) fn flaw(&self, path: &str) -> Option<String> {
        if !self.is_there(path) {
            return Some("it is gone".into());
        }
        (!has_bytes(Path::new(path))).then(|| "it is empty".into())
    }

    /// Reads the log once, for everything that is looked for in it; with the facts of a bad end, for its reason too.
    fn read_log(&self, dir: OwnedFd, good: bool, facts: Option<Facts>) -> Read {
        let mut read = Read::default();
        let Some(step) = self.workflow.steps.get(&self.step) else { return read };
        let mut scan = Scan::new(self, step, good);
        scan.judge = facts.as_ref().map(|_| diagnose::judge(&self.workflow));
        let result = Log::open(dir).and_then(|mut log| {
            if !good {
                read.tail = tail_of(&mut log, TAIL)?;
            }
            if scan.has_work() { scan.all(&mut log) } else { Ok(()) }
        });
        if let Err(error) = result {
            read.tail.push(format!("(the log cannot be read: {error})"));
        }
        read.hits = scan.hits;
        read.diagnosis = scan.judge.zip(facts).map(|(judge, facts)| Box::new(judge.end(&facts)));
        read.outside = scan.outside;
        read.sighted = scan.sightings.into_iter().rev().collect();
        (read.checkpoint, read.damaged) = self.usable(&read.sighted);
        read
    }

    /// Whether a file that the step names is there. A link of a container may name a path of this host that the container
    /// has not: nothing is there then.
    pub(super) fn is_there(&self, path: &str) -> bool {
        let Ok(real) = Path::new(path).canonicalize() else { return false };
        let environment = self.workflow.environment_of(&self.step);
        let mounts = environment.mounts.iter().map(|mount| PathBuf::from(&mount.source));
        let mut roots = mounts.chain([PathBuf::from(&environment.workspace), self.run_dir.join("work")]);
        environment.container.is_none()
            || roots.any(|root| root.canonicalize().is_ok_and(|root| real.starts_with(root)))
    }

    /// A path of the file, with the step's own folder filled in, as it is on this host.
    pub(super) fn own(&self, path: &str) -> String {
        self.teller().map_or_else(|| self.absolute(path), |teller| teller.own(path))
    }

    /// A checkpoint's path as the step meant it.
    pub(super) fn absolute(&self, path: &str) -> String {
        self.workflow.environment_of(&self.step).on_host(path)
    }
}

/// Why a service is being ended.
fn asked_of(lane: &LaneRun) -> Option<StopReason> {
    let LaneState::Active { stop, .. } = lane.state else { return None };
    stop.filter(|reason| matches!(reason, StopReason::Unneeded | StopReason::NotReady))
}

/// The stall that the newest attempt of this lane is being ended for.
fn stall_of(lane: &LaneRun) -> Option<(Box<Stall>, Time)> {
    let ended = matches!(lane.state, LaneState::Active { stop: Some(reason), .. } if reason.is_trouble());
    lane.stall.as_ref().filter(|_| ended).map(|stalled| (stalled.stall.clone(), stalled.at))
}

/// The end as the mind knows it.
pub(super) fn end_of(end: wire::shim::End) -> End {
    match end {
        wire::shim::End::Code(code) => End::Code(code),
        wire::shim::End::Signal(signal) => End::Signal(signal),
    }
}

#[derive(Default)]
struct Read {
    diagnosis: Option<Box<Diagnosis>>,
    hits: Vec<Hit>,
    tail: Vec<String>,
    checkpoint: Option<Checkpoint>,
    damaged: Vec<Damaged>,
    /// All that the log tells of, newest first.
    sighted: Vec<Checkpoint>,
    outside: Option<Outside>,
}

fn path_of(one: &Sighting) -> String {
    one.checkpoint.path.clone()
}

fn digest_of(one: &Sighting) -> Option<(String, String)> {
    Some((one.checkpoint.path.clone(), one.digest.clone()?))
}

/// A file that is not empty, or a folder with one in it.
fn has_bytes(path: &Path) -> bool {
    let Ok(about) = path.metadata() else { return false };
    if !about.is_dir() {
        return about.len() > 0;
    }
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            // Of the entry itself: no link is followed.
            match entry.metadata() {
                Ok(found) if found.is_dir() => folders.push(entry.path()),
                Ok(found) if found.len() > 0 => return true,
                Ok(_) | Err(_) => {}
            }
        }
    }
    false
}
