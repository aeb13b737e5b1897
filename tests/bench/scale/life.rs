//! A run's whole life without any process: what the engine hands out comes back as facts at once.

use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use dogwatch::engine::Engine;
use dogwatch::journal::{Journal, RunRow};
use dogwatch::model::{
    AttemptId, Command, Created, End, EnvironmentId, Event, Exit, Isolation, Principal, RunId, Selection, Time, Usage,
    What, Workflow,
};

use crate::{Result, now_ms};

/// What took how long, in milliseconds.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Took {
    pub(crate) plan: f64,
    pub(crate) mind: f64,
    pub(crate) journal: f64,
    pub(crate) events: usize,
    pub(crate) turns: usize,
}

/// A mind and its journal.
pub(crate) struct Life {
    pub(crate) engine: Engine,
    pub(crate) journal: Journal,
    pub(crate) took: Took,
    now: i64,
    handed: HashSet<AttemptId>,
    facts: VecDeque<Event>,
}

/// As the engine reads it.
pub(crate) fn workflow(source: &str) -> Result<Workflow> {
    let loaded = dogwatch::config::parse(source, "w.toml", Path::new("/tmp"), &[]);
    Ok(loaded.map_err(|problems| problems.to_string())?.workflow)
}

/// The row and the first event of a run.
pub(crate) fn begun(id: &RunId, source: &str, workflow: Arc<Workflow>) -> (RunRow, Event) {
    let (name, at) = (workflow.name.clone(), Time::from_ms(1));
    let number = id.as_str().bytes().fold(7, |sum: u64, byte| (sum * 31 + u64::from(byte)) % 1_000_003);
    let row = RunRow {
        id: id.clone(),
        name,
        number,
        created: at,
        ended: None,
        result: None,
        dir: format!("/tmp/runs/{id}"),
        source: source.to_owned(),
        file: "w.toml".into(),
        base: "/tmp".into(),
        params: Vec::new(),
    };
    let created = Created {
        number: row.number,
        workflow,
        dir: row.dir.clone(),
        selection: Selection::All,
        env: std::iter::once(("PATH".to_owned(), "/usr/bin:/bin".to_owned())).collect(),
        by: Principal::Person("ann@host".into()),
        no_cache: false,
    };
    (row, Event { run: id.clone(), at, what: What::Created(Box::new(created)) })
}

/// Well, at once.
pub(crate) fn ended(at: Time) -> Exit {
    Exit {
        oom_kills: Some(0),
        usage: Some(Usage { cpu_ms: 3, peak_bytes: 3 << 20 }),
        ..Exit::new(End::Code(0), at, at)
    }
}

impl Life {
    pub(crate) fn new(path: &Path) -> Result<Self> {
        Ok(Self {
            engine: Engine::new(0),
            journal: Journal::open(path, "boot")?,
            took: Took::default(),
            now: 1,
            handed: HashSet::new(),
            facts: VecDeque::new(),
        })
    }

    /// A run of this file, and its environment.
    pub(crate) fn begin(&mut self, id: &RunId, source: &str, workflow: Arc<Workflow>) -> Result<()> {
        let (row, event) = begun(id, source, workflow);
        let before = now_ms();
        self.turn(vec![event], &[row])?;
        self.took.plan += now_ms() - before;
        let what = What::EnvironmentReady { environment: EnvironmentId::default(), isolation: Isolation::Sandboxed };
        self.facts.push_back(Event { run: id.clone(), at: Time::from_ms(self.now), what });
        Ok(())
    }

    /// As many facts at once, until nothing is owed or only so many events are left to be written.
    pub(crate) fn live(&mut self, at_once: usize, events: usize) -> Result<()> {
        while !self.facts.is_empty() && self.took.events < events {
            let some = self.facts.drain(..at_once.min(self.facts.len())).collect();
            self.turn(some, &[])?;
        }
        Ok(())
    }

    /// What the engine's loop does with facts.
    fn turn(&mut self, facts: Vec<Event>, rows: &[RunRow]) -> Result<()> {
        self.now += 1;
        let now = Time::from_ms(self.now);
        let before = now_ms();
        for fact in &facts {
            self.engine.apply(fact);
        }
        let mut events = facts;
        let effects = loop {
            let commands = self.engine.owed(now);
            if !matches!(commands.first(), Some(Command::Record(_))) {
                break commands;
            }
            for command in commands {
                if let Command::Record(event) = command {
                    self.engine.apply(&event);
                    events.push(event);
                }
            }
        };
        let _ = self.engine.next_deadline();
        let between = now_ms();
        self.journal.commit(&events, rows, &[])?;
        self.took.journal += now_ms() - between;
        self.took.mind += between - before;
        self.took.events += events.len();
        self.took.turns += 1;
        for effect in effects {
            let Command::Launch(attempt) = effect else { continue };
            if self.handed.insert(attempt.clone()) {
                let run = attempt.run.clone();
                let fact = |what| Event { run: run.clone(), at: now, what };
                self.facts.push_back(fact(What::Claimed { attempt: attempt.clone() }));
                self.facts.push_back(fact(What::Exited { attempt, exit: Box::new(ended(now)) }));
            }
        }
        Ok(())
    }
}
