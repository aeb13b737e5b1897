//! What every room of the daemon shares: the parts it is made of, and what can be said to the loop. Decides nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::Clock;
use crate::daemon::adopt::{Found, Life};
use crate::daemon::hands::Keeping;
use crate::daemon::lookout::Sight;
use crate::daemon::requests::{self, Answer};
use crate::daemon::vault::Vault;
use crate::daemon::watch::{Board, Took};
use crate::environment::Sandbox;
use crate::journal::RunRow;
use crate::metrics::Metrics;
use crate::model::{AttemptId, Command, Created, Demand, Event, LaneId, Principal, RunId, Site};
use crate::state_dir::StateDir;
use crate::wire;

/// What every room of the daemon needs.
#[derive(Clone)]
pub(in crate::daemon) struct Parts {
    pub(in crate::daemon) state: StateDir,
    pub(in crate::daemon) clock: Clock,
    pub(in crate::daemon) boot_id: String,
    /// The engine's own binary, as it was found at its start.
    pub(in crate::daemon) exe: std::path::PathBuf,
    /// From which each attempt's key follows.
    pub(in crate::daemon) secret: [u8; 32],
    pub(in crate::daemon) vault: Vault,
    pub(in crate::daemon) sandbox: Arc<Sandbox>,
    pub(in crate::daemon) inputs: mpsc::UnboundedSender<Input>,
    pub(in crate::daemon) changed: watch::Sender<u64>,
    pub(in crate::daemon) board: Board,
    /// What this machine has for steps.
    pub(in crate::daemon) host: Demand,
    /// `None` where they cannot be kept.
    pub(in crate::daemon) metrics: Option<Metrics>,
    /// How long steps took before.
    pub(in crate::daemon) took: Took,
}

impl Parts {
    /// The binary that becomes porter, keeper and shim: where it was at the start (an upgrade may have put a newer one
    /// there), or, where nothing is left there, the one that this engine runs.
    pub(in crate::daemon) fn dogwatch(&self) -> std::path::PathBuf {
        if self.exe.is_file() { self.exe.clone() } else { format!("/proc/{}/exe", std::process::id()).into() }
    }

    /// The key that authenticates an attempt's exit record.
    pub(in crate::daemon) fn mac_key(&self, key: &str) -> [u8; 32] {
        Self::mac_key_of(&self.secret, key)
    }

    /// The same, of an engine with this secret.
    pub(in crate::daemon) fn mac_key_of(secret: &[u8; 32], key: &str) -> [u8; 32] {
        *blake3::keyed_hash(secret, key.as_bytes()).as_bytes()
    }

    /// Says something to the loop. After its end nobody listens, and nothing is lost: it is found again on disk.
    pub(in crate::daemon) fn tell(&self, input: Input) {
        drop(self.inputs.send(input));
    }

    /// Says it a little later.
    pub(in crate::daemon) fn tell_after(&self, wait: Duration, input: Input) {
        let parts = self.clone();
        tokio::spawn(async move {
            crate::clock::sleep(wait).await;
            parts.tell(input);
        });
    }
}

/// What comes to the loop.
pub(in crate::daemon) enum Input {
    /// A client asks.
    Asked { ask: wire::client::Ask, caller: Caller, answer: oneshot::Sender<Answer> },
    /// A connection that had attached to a step has ended.
    Left { connection: u64 },
    /// The terminal that this connection was to type on could not be had.
    NotAttached { lane: (RunId, LaneId), connection: u64 },
    /// The terminals of people who typed into an attempt are to be closed, unless somebody may type again.
    LetGo { attempt: AttemptId },
    /// A new run, checked and with its folder made.
    NewRun { row: Box<RunRow>, created: Box<Created>, answer: oneshot::Sender<Answer> },
    /// Something happened.
    Fact(Event),
    /// What was found of attempts in an environment of a run.
    Looked { run: RunId, site: Site, life: Life, found: Vec<(AttemptId, Found)> },
    /// A keeper of a run said something.
    Keeper { run: RunId, event: wire::keeper::Event },
    /// The connection to the keeper of an environment has ended.
    KeeperGone { run: RunId, site: Site },
    /// What the hands of an environment wait for; nothing any more without words.
    /// With `kept` only that attempt does: the environment is kept after it, or it does not obey.
    Waits { run: RunId, site: Site, words: Option<String>, kept: Option<AttemptId> },
    /// The effect is to be handed out again if it is still owed.
    Again(Command),
    /// One look for what an attempt waits for.
    Peek { attempt: AttemptId, answer: oneshot::Sender<Sight> },
    /// An environment is still to be kept after an attempt.
    Keep(Box<Keeping>),
    /// It is kept, or cannot be: what is to be recorded, the attempt's end at last.
    Kept { attempt: AttemptId, facts: Vec<Event> },
    /// An environment that is over could not be closed yet.
    CloseAgain { run: RunId, site: Site },
    /// An environment of a run is gone. So many of the tasks of its hands were done then.
    Closed { run: RunId, site: Site, done: u64 },
    /// The engine ends; steps go on.
    Stop { deliberate: bool },
    /// What was found in container engines, for whoever asked to have it cleaned up.
    Garbage(Box<requests::kept::Found>),
    /// Whether nobody needs it still, asked by who is about to remove it.
    StillNeedless { one: Box<crate::environment::Left>, answer: oneshot::Sender<bool> },
    /// A try to tell somebody has ended: the row of the notice, the number of the try, how it went or why not.
    Told { id: i64, tries: u32, result: Result<String, String> },
    /// Time to write the records of runs that changed.
    WriteRecords,
}

/// Who asks.
#[derive(Debug, Clone)]
pub(in crate::daemon) struct Caller {
    pub(in crate::daemon) by: Principal,
    /// Counts the connections of this engine.
    pub(in crate::daemon) connection: u64,
}
