//! `dogwatch recover`: a new journal made of what the runs' own folders say, when the old one is damaged. The old one is kept.
//!
//! What was claimed is never started again by this: an attempt without an authentic exit record is adopted when it lives, and
//! UNKNOWN when it does not, as after any crash. Runs that were going on are paused, because what people decided is lost.

pub(super) mod folder;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::core::Parts;
use super::watch::Teller;
use super::{Error, lock};
use crate::attempt::{self, record};
use crate::clock::{self, Clock};
use crate::engine::Engine;
use crate::faults::crash_point;
use crate::journal::{self, Journal, Mark, RunRow};
use crate::model::{
    AttemptId, Cause, Created, Event, Exit, LaneId, LostWhy, Number, Principal, RunId, Time, Verdict, What,
};
use crate::state_dir::StateDir;

/// Shims refuse orders of an older engine than they know: the new journal begins so far ahead.
const AHEAD: u64 = 16;

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct Rebuilt {
    /// What was wrong with the old journal.
    pub why: String,
    /// Where it is now.
    pub kept: PathBuf,
    /// Runs that are over.
    pub ended: usize,
    /// `name#number` of those that were going on, and are paused.
    pub paused: Vec<String>,
    /// Attempts that were found.
    pub attempts: usize,
    /// Folders that tell too little, and why.
    pub left_out: Vec<(PathBuf, String)>,
}

/// Rebuilds the journal of a state directory that no engine has; `None`: nothing is wrong with it.
///
/// # Errors
/// In words, with what to do.
pub fn rebuild(state: &StateDir) -> Result<Option<Rebuilt>, String> {
    let _lock = lock::take(&state.engine_lock()).map_err(|error| format!("{error}; `dogwatch engine stop` ends it"))?;
    let path = state.journal();
    let Some(why) = Journal::flaw(&path) else { return Ok(None) };
    let words = |error: Error| error.to_string();
    let key = super::start::secret(&state.path().join("secret")).map_err(words)?;
    let mark = Mark::read(&path);
    let fresh = beside(&path, "new");
    for old in [fresh.clone(), beside(&fresh, "mark"), wal(&fresh)] {
        drop(std::fs::remove_file(old));
    }
    let (runs, left_out) = runs(state);
    let mut rebuilt = Rebuilt { why, left_out, ..Rebuilt::default() };
    let stories: Vec<Story> = runs.into_iter().map(|(row, created)| Story::of(row, created, &key)).collect();
    let epochs = stories.iter().map(|story| story.epoch).chain(mark.map(|mark| mark.epoch));
    let epoch = epochs.max().unwrap_or(0) + AHEAD;
    let boot_id = clock::boot_id();
    let make = || -> Result<(), journal::Error> {
        let mut journal = Journal::make(&fresh, &boot_id, epoch, mark.map_or(0, |mark| mark.escalation))?;
        for story in &stories {
            crash_point("recover.before-commit");
            journal.commit(&story.events, std::slice::from_ref(&story.row), &[])?;
            crash_point("recover.after-commit");
        }
        journal.close()
    };
    make().map_err(|error| error.to_string())?;
    rebuilt.kept = swap(&path, &fresh).map_err(|error| format!("the journals cannot be exchanged: {error}"))?;
    for story in stories {
        rebuilt.attempts += story.attempts;
        if story.over {
            rebuilt.ended += 1;
        } else {
            rebuilt.paused.push(format!("{}#{}", story.row.name, story.row.number));
        }
    }
    Ok(Some(rebuilt))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn wal(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// The old journal is put aside, with its WAL, and the new one takes its place; between the two there is none, which the mark
/// beside it says to whoever comes then.
fn swap(path: &Path, fresh: &Path) -> std::io::Result<PathBuf> {
    let kept =
        (0..10_000).map(|n| beside(path, &format!("damaged-{n}"))).find(|kept| !kept.exists() && !wal(kept).exists());
    let kept = kept.ok_or_else(|| std::io::Error::other("there is no name left"))?;
    crash_point("recover.before-swap");
    for (from, to) in [(path.to_owned(), kept.clone()), (wal(path), wal(&kept))] {
        match std::fs::rename(from, to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    crash_point("recover.between-swap");
    std::fs::rename(fresh, path)?;
    std::fs::rename(beside(fresh, "mark"), beside(path, "mark"))?;
    crash_point("recover.after-swap");
    Ok(kept)
}

type Found = (Vec<(RunRow, Box<Created>)>, Vec<(PathBuf, String)>);

/// The runs that their folders tell of, oldest first, with their numbers.
fn runs(state: &StateDir) -> Found {
    let (mut runs, mut left_out) = (Vec::new(), Vec::new());
    let entries = std::fs::read_dir(state.runs()).into_iter().flatten().flatten();
    for dir in entries.map(|entry| entry.path()).filter(|path| path.is_dir()) {
        match run(&dir) {
            Ok(run) => runs.push(run),
            Err(why) => left_out.push((dir, why)),
        }
    }
    runs.sort_by_key(|(row, _)| (row.created, row.id.clone()));
    let mut numbers: BTreeMap<String, u64> = BTreeMap::new();
    for (row, created) in &mut runs {
        let number = numbers.entry(row.name.clone()).or_default();
        *number += 1;
        (row.number, created.number) = (*number, *number);
    }
    (runs, left_out)
}

fn run(dir: &Path) -> Result<(RunRow, Box<Created>), String> {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let id = RunId::new(name).map_err(|error| error.to_string())?;
    let read =
        |name: &str| std::fs::read_to_string(dir.join(name)).map_err(|error| format!("{name} cannot be read: {error}"));
    let (source, text) = (read("workflow.toml")?, read(journal::FROZEN)?);
    let workflow = |row: &RunRow| super::begin::parse(&row.source, &row.file, &row.base, &row.params, Some(&row.name));
    journal::thaw(&text, (id, dir, source), &workflow).map_err(|error| error.to_string())
}

/// A run as its folder tells it.
struct Story {
    row: RunRow,
    events: Vec<Event>,
    engine: Engine,
    attempts: usize,
    /// The newest epoch that its attempts know.
    epoch: u64,
    over: bool,
}

impl Story {
    fn of(row: RunRow, created: Box<Created>, key: &[u8; 32]) -> Self {
        let over = folder::ended(Path::new(&row.dir));
        let lanes: Vec<LaneId> = created
            .workflow
            .steps
            .values()
            .flat_map(|step| step.lanes.iter().map(|spec| LaneId { step: step.id.clone(), lane: spec.lane }))
            .collect();
        let begun = row.created;
        let mut story =
            Self { row, events: Vec::new(), engine: Engine::default(), attempts: 0, epoch: 0, over: over.is_some() };
        story.add(begun, What::Created(created));
        for lane in lanes {
            story.lane(&lane, key);
        }
        let by = Principal::Person("dogwatch recover".into());
        match over {
            Some((result, at)) => story.add(at, What::Ended { result }),
            None => story.add(Clock::for_new_boot().now(), What::Paused { by }),
        }
        story
    }

    fn add(&mut self, at: Time, what: What) {
        let event = Event { run: self.row.id.clone(), at, what };
        self.engine.apply(&event);
        self.events.push(event);
    }

    /// The attempts of a lane that were claimed, in their order. The newest of a run that goes on is left to the engine, which
    /// looks whether it lives or has ended.
    fn lane(&mut self, lane: &LaneId, key: &[u8; 32]) {
        let attempt = |n| AttemptId { run: self.row.id.clone(), lane: lane.clone(), n };
        let run_dir = PathBuf::from(&self.row.dir);
        let newest = newest(&run_dir.join(attempt(1).dir()));
        let found = |n| (attempt(n), Seen::of(&run_dir, &attempt(n), key));
        let mut seen: Vec<(AttemptId, Option<Seen>)> = (1..=newest).map(found).collect();
        // What was never claimed has never begun.
        while seen.pop_if(|(_, seen)| seen.is_none()).is_some() {}
        let unseen = || Seen { began: self.row.created, epoch: 0, exit: None };
        let seen: Vec<(AttemptId, Seen)> =
            seen.into_iter().map(|(id, seen)| (id, seen.unwrap_or_else(unseen))).collect();
        let last = seen.len();
        for (place, (id, found)) in seen.into_iter().enumerate() {
            self.attempts += 1;
            self.epoch = self.epoch.max(found.epoch);
            let cause =
                if place == 0 { Cause::First } else { Cause::Person(Principal::Person("dogwatch recover".into())) };
            self.add(found.began, What::Intended { attempt: id.clone(), cause, resume: None });
            self.add(found.began, What::Claimed { attempt: id.clone() });
            if place + 1 < last || self.over {
                self.closed(id, found, place + 1 == last);
            }
        }
    }

    fn closed(&mut self, attempt: AttemptId, found: Seen, newest: bool) {
        let at = found.exit.as_ref().map_or(found.began, |exit| exit.ended);
        let good = found.exit.as_ref().is_some_and(|exit| !exit.is_bad());
        let what = match found.exit {
            Some(mut exit) => {
                exit.numbers = self.numbers(&attempt);
                What::Exited { attempt: attempt.clone(), exit }
            }
            None => What::Lost {
                attempt: attempt.clone(),
                why: LostWhy::ShimDied,
                evidence: vec!["the journal was rebuilt, and there is no exit record".into()],
                checkpoint: None,
            },
        };
        self.add(at, what);
        let verdict = match (newest, good) {
            (true, true) => Verdict::Succeeded,
            (true, false) => Verdict::Stopped,
            (false, _) => Verdict::Retry { at, rule: "recovered".into(), resume: None, spend: None, patch: None },
        };
        self.add(at, What::Judged { attempt, verdict });
    }
}

impl Story {
    /// The last values of its series that expressions ask for.
    fn numbers(&self, attempt: &AttemptId) -> BTreeMap<String, Number> {
        let told = || {
            let run = self.engine.run(&attempt.run)?;
            let step = run.workflow.steps.get(&attempt.lane.step)?;
            let environment = run.workflow.environment_of(&attempt.lane.step);
            let work = run.work_dir(&attempt.lane);
            let dir = attempt::open(&attempt::open_run_dir(Path::new(&run.dir)).ok()?, &attempt.dir()).ok()??;
            // What a container's step calls its own is in one of these.
            let roots = [work.as_str(), environment.workspace.as_str()].map(|root| Path::new(root).canonicalize().ok());
            let inside = |path: &str| {
                let real = Path::new(path).canonicalize().ok();
                environment.container.is_none()
                    || real.is_some_and(|real| roots.iter().flatten().any(|root| real.starts_with(root)))
            };
            let teller = Teller { step, environment, work: &work, attempt: attempt.n };
            Some(teller.last(dir, inside))
        };
        told().unwrap_or_default()
    }
}

/// The highest number of an attempt beside this one.
fn newest(first: &Path) -> u32 {
    let entries = first.parent().and_then(|lane| std::fs::read_dir(lane).ok()).into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix('a')?.parse().ok());
    numbers.max().unwrap_or(0)
}

/// What is there of one attempt.
struct Seen {
    began: Time,
    epoch: u64,
    exit: Option<Box<Exit>>,
}

impl Seen {
    /// `None`: it was never claimed.
    fn of(run_dir: &Path, attempt: &AttemptId, key: &[u8; 32]) -> Option<Self> {
        let dir = attempt::open(&attempt::open_run_dir(run_dir).ok()?, &attempt.dir()).ok()??;
        let claimant = attempt::claim::claimant(&dir).ok()??;
        let mac_key = Parts::mac_key_of(key, &attempt.key());
        let exit = record::read(&dir, &attempt.key(), &mac_key).ok().flatten();
        let age = clock::boottime_ms() - claimant.start_boottime_ms;
        let same_boot = claimant.boot_id == clock::boot_id();
        let began = match &exit {
            Some(exit) => exit.start_wall_ms,
            None if same_boot => clock::wall_ms() - age,
            None => clock::wall_ms(),
        };
        Some(Self {
            began: Time::from_ms(began),
            epoch: claimant.epoch,
            exit: exit.map(|exit| Box::new(super::ended::bare(&exit))),
        })
    }
}
