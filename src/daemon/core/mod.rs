//! The loop, the only place where order matters: drain what is ready -> one transaction holds the facts, the decisions
//! about them and the intents that follow -> apply -> tell subscribers -> hand effects out -> their results come back.
//!
//! Invariants: an effect is handed out only after the transaction with its intent is committed. A transaction that
//! cannot be committed (full disk) leaves no trace in the mind: it is folded anew from the journal, the facts are kept
//! and tried again. Nothing here waits for a step, a keeper or a client.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::Error;
use super::notices::Outbox;
use super::requests::{Answer, Reaction};
use super::sites::{AllHands, Waiting};
use super::space::Space;
use super::watch::Orders;
use crate::engine::Engine;
use crate::faults::crash_point;
use crate::journal::Journal;
use crate::model::{AttemptId, Event, LaneId, RunId, Site, Time, What};
use crate::wire::client::RunLine;

mod effects;
mod fold;
mod measured;
mod parts;
mod scribe;
mod turn;

use effects::name_of;
use fold::fold;
pub(super) use measured::{Live, is_measured};
pub(super) use parts::{Caller, Input, Parts};
use scribe::Scribe;
use turn::Turn;

/// How long to wait before something that failed for the moment is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often the attempt directories of live attempts are looked at although nobody said anything.
const LOOK_ROUND: Duration = Duration::from_secs(30);
/// Inputs taken into one transaction.
const MOST_AT_ONCE: usize = 1024;

/// Something that is done after the commit.
pub(super) type After = Box<dyn FnOnce(oneshot::Sender<Answer>)>;

/// The state of the loop.
pub(super) struct Core {
    pub(super) parts: Parts,
    pub(super) journal: Journal,
    pub(super) engine: Engine,
    pub(super) started: Time,
    pub(super) hands: AllHands,
    /// The environments of ended runs that are not gone yet.
    pub(super) closing: HashMap<RunId, BTreeSet<Site>>,
    /// Environments of single attempts that are being closed.
    pub(super) leaving: HashSet<(RunId, Site)>,
    /// Attempts that have ended, and whose environments are being kept.
    pub(super) keeping: HashSet<AttemptId>,
    /// What hands wait for.
    pub(super) waiting: Waiting,
    /// Effects that were handed out and are still owed.
    handed: HashSet<String>,
    /// Environments whose attempts have not been looked up yet: nothing of them is launched.
    pub(super) unadopted: BTreeSet<(RunId, Site)>,
    /// Attempts whose environment does not answer.
    pub(super) unreachable: HashSet<AttemptId>,
    /// Attempts whose output is followed, and what these clocks must heed.
    pub(super) watched: HashMap<AttemptId, watch::Sender<Orders>>,
    /// Attempts that are looked for; told to look at once.
    pub(super) lookouts: HashMap<AttemptId, watch::Sender<u64>>,
    /// The connection that may type into a lane. It never outlives the connection, nor this engine.
    pub(super) leases: HashMap<(RunId, LaneId), u64>,
    /// What was measured last; shared with those who measure.
    pub(super) meter: Arc<std::sync::Mutex<crate::usage::Meter>>,
    /// Facts that could not be committed yet.
    pub(super) pending: Vec<Event>,
    /// Why nothing new starts, if so.
    pub(super) space: Space,
    /// How runs that are over stand in lists.
    pub(super) over: std::sync::Mutex<HashMap<RunId, RunLine>>,
    /// What is still to be told to people outside.
    pub(super) outbox: Outbox,
    /// Runs whose record.md is behind.
    unwritten: BTreeSet<RunId>,
    writing: bool,
    scribe: Scribe,
    next_round: Time,
    stopping: bool,
}

impl Core {
    /// Folds what is going on from the journal.
    pub(super) fn new(parts: Parts, journal: Journal) -> Result<Self, Error> {
        let now = parts.clock.now();
        let engine = fold(&journal, parts.host)?;
        let space = Space::new(parts.state.path().to_owned());
        let scribe = Scribe::new(journal.reader()?);
        Ok(Self {
            parts,
            journal,
            engine,
            started: now,
            hands: AllHands::new(),
            closing: HashMap::new(),
            leaving: HashSet::new(),
            keeping: HashSet::new(),
            waiting: Waiting::default(),
            handed: HashSet::new(),
            unadopted: BTreeSet::new(),
            unreachable: HashSet::new(),
            watched: HashMap::new(),
            lookouts: HashMap::new(),
            leases: HashMap::new(),
            meter: Arc::default(),
            pending: Vec::new(),
            space,
            over: std::sync::Mutex::default(),
            outbox: Outbox::new(now),
            unwritten: BTreeSet::new(),
            writing: false,
            scribe,
            next_round: now.plus(LOOK_ROUND),
            stopping: false,
        })
    }

    /// Runs until it is told to stop.
    pub(super) async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Input>) {
        self.turn(Turn::default());
        for run in self.engine.runs() {
            self.parts.took.read(&self.parts, &run.workflow);
        }
        while !self.stopping {
            let wait = self.next_wake().map(|at| at.since(self.parts.clock.now()));
            let first = tokio::select! {
                input = queue.recv() => input,
                () = sleep_for(wait) => None,
            };
            let mut turn = Turn::default();
            if let Some(input) = first {
                self.take(input, &mut turn);
            }
            for _ in 0..MOST_AT_ONCE {
                let Ok(input) = queue.try_recv() else { break };
                self.take(input, &mut turn);
            }
            self.turn(turn);
            self.look_round();
        }
    }

    fn next_wake(&self) -> Option<Time> {
        let busy = self.engine.runs().any(|run| run.active() > 0);
        let round = busy.then_some(self.next_round);
        let retry = self.space.is_refused().then(|| self.parts.clock.now().plus(AGAIN));
        [self.engine.next_deadline(), self.outbox.next(), round, retry].into_iter().flatten().min()
    }

    fn take(&mut self, input: Input, turn: &mut Turn) {
        match input {
            Input::Asked { ask, caller, answer } => match self.react(ask, caller) {
                Reaction::Now(events, reply) if events.is_empty() => turn.looks.push((answer, *reply)),
                Reaction::Now(events, reply) => {
                    self.stage(events, turn);
                    turn.answers.push((answer, *reply));
                }
                Reaction::Later(job) => job(answer),
                Reaction::After(events, job) => {
                    self.stage(events, turn);
                    turn.after.push((answer, job));
                }
            },
            Input::Left { connection } => {
                let events = self.left(connection);
                self.stage(events, turn);
            }
            Input::NotAttached { lane, connection } => {
                let events = self.not_attached(&lane, connection);
                self.stage(events, turn);
            }
            Input::LetGo { attempt } => self.close_terminals(&attempt),
            Input::NewRun { mut row, mut created, answer } => match self.journal.read().next_number(&row.name) {
                Ok(number) => {
                    row.number = number;
                    created.number = number;
                    let id = row.id.clone();
                    let event = Event { run: id.clone(), at: row.created, what: What::Created(created) };
                    turn.rows.push(*row);
                    if let What::Created(created) = &event.what {
                        self.parts.took.read(&self.parts, &created.workflow);
                    }
                    self.stage(vec![event], turn);
                    turn.answers.push((answer, self.started(&id)));
                }
                Err(error) => turn.answers.push((answer, super::requests::internal(&error))),
            },
            Input::Fact(event) => {
                let events = self.after_keeping(vec![event]);
                self.stage(events, turn);
            }
            Input::Peek { attempt, answer } => self.peek(&attempt, answer),
            Input::Keep(keeping) => self.keep_again(*keeping),
            Input::Kept { attempt, facts } => {
                self.keeping.remove(&attempt);
                self.stage(facts, turn);
            }
            Input::CloseAgain { run, site } => self.close_again(&run, &site),
            Input::Looked { run, site, life, found } => {
                let events = self.looked(&run, &site, life, found);
                let events = self.after_keeping(events);
                self.unadopted.remove(&(run, site));
                self.stage(events, turn);
            }
            Input::Keeper { run, event } => {
                let events = self.keeper_said(&run, &event);
                self.stage(events, turn);
            }
            Input::KeeperGone { run, site } => {
                // To launch and to stop once more does no harm. A probe is asked once: where its answer is lost, its
                // own task says so.
                self.handed.retain(|name| !name.starts_with("launch ") && !name.starts_with("stop "));
                self.look_at(&run, Some(&site));
            }
            Input::Waits { run, site, words, kept } => {
                let words = words.map(|words| (words, kept));
                if self.waiting.note(&run, &site, words, self.parts.clock.now()) {
                    // Nothing was recorded; who looks may look again.
                    self.parts.changed.send_modify(|_| {});
                }
            }
            Input::Again(command) => {
                self.handed.remove(&name_of(&command));
            }
            Input::Closed { run, site, done } => {
                if self.closed(&run, &site, done)
                    && self.engine.run(&run).is_some_and(|run| matches!(run.phase, crate::engine::Phase::Ended { .. }))
                {
                    self.write_record(&run);
                    self.waiting.forget(&run);
                    self.engine.forget(&run);
                }
            }
            Input::Stop { deliberate } => {
                if deliberate && let Err(error) = std::fs::write(self.parts.state.stopped_marker(), b"") {
                    tracing::warn!("the mark of a deliberate stop cannot be written: {error}");
                }
                self.stopping = true;
            }
            Input::Garbage(found) => self.collect(*found),
            // Whoever asked and went away removes nothing.
            Input::StillNeedless { one, answer } => drop(answer.send(matches!(self.needless(&one), Ok(Some(_))))),
            Input::Told { id, tries, result } => self.told(id, tries, result),
            Input::WriteRecords => self.write_records(),
        }
    }

    /// The secrets of runs that ended while no engine lived.
    pub(super) fn forget_left_over(&self) {
        let lives = |id: &str| {
            let run = RunId::new(id).ok().and_then(|id| self.engine.run(&id));
            run.is_some_and(|run| !matches!(run.phase, crate::engine::Phase::Ended { .. }))
        };
        self.parts.vault.sweep(lives);
    }

    /// Every unfinished run: is its environment there, and what is there of its attempts?
    pub(super) fn adopt_all(&mut self) {
        let runs: Vec<RunId> = self.engine.runs().map(|run| run.id.clone()).collect();
        for id in runs {
            crash_point("engine.before-adopt");
            if let Some(run) = self.engine.run(&id) {
                let live = run.live_attempts().map(|(attempt, _)| (id.clone(), run.site(&attempt)));
                self.unadopted.extend(live);
                self.look_at(&id, None);
            }
            self.close_left_over(&id);
            self.end_left_over(&id);
        }
    }

    /// Now and then everything live is looked at although nobody said anything: a message may have been lost.
    fn look_round(&mut self) {
        let now = self.parts.clock.now();
        if now < self.next_round {
            return;
        }
        self.next_round = now.plus(LOOK_ROUND);
        let runs: Vec<RunId> = self.engine.runs().filter(|run| run.active() > 0).map(|run| run.id.clone()).collect();
        for run in runs {
            self.look_at(&run, None);
        }
        self.measure_all();
    }
}

async fn sleep_for(wait: Option<Duration>) {
    match wait {
        Some(wait) => crate::clock::sleep(wait.max(Duration::from_millis(1))).await,
        None => std::future::pending().await,
    }
}
