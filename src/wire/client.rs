//! Clients (command line, screen, agents) <-> engine, one JSON object a line, over `engine.sock`. Version 1.
//!
//! ```text
//! engine: {"v":1,"engine":{"version":"0.1.0","pid":4711,"epoch":7}}
//! client: {"v":1,"principal":"ops@gpu-box","client":"cli"}
//! client: {"id":1,"ask":{"status":{"run":"@last"}}}
//! engine: {"answer":{"id":1,"result":{"run":{…}}}}
//! engine: {"changed":{"seq":815}}                 after a `subscribe`: something changed; ask again
//! ```
//! The engine checks the peer's uid before it says anything. A subscriber is only told *that* something changed, so it can
//! never hold a stale copy; one that does not read is dropped. [`Reply::Pty`] comes with one file descriptor
//! (`SCM_RIGHTS`, with the first byte of its line).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::secrets::Secrets;

mod metrics;
mod notices;
mod views;
mod why;

pub use metrics::{ChartAsk, ChartAxis, ChartView, ColumnView, LineView, Odd, PointView, SeriesView, SpanView, Trend};
pub use notices::NoticeView;
pub use views::*;
pub use why::{CachedView, DiagnosisView, EvidenceView, WhyView};

/// The version that this build speaks.
pub const VERSION: u32 = 1;
/// Longest line either side accepts.
pub const LONGEST: usize = 16 * 1024 * 1024;

/// First line, from the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    pub v: u32,
    pub engine: EngineView,
}

/// Second line, from the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub v: u32,
    /// `user@host`, recorded with each decision.
    pub principal: String,
    /// `cli`, `screen`, `mcp`.
    pub client: String,
}

/// A request with its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    pub id: u64,
    pub ask: Ask,
}

/// What a client may ask. `run` is anything that names a run: `42`, `tiny-lm`, `tiny-lm#42`, its id, `@last`.
/// `step` is `train`, `train[lr=0.1]` or `train[1]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    Engine,
    /// Ends the engine; steps go on.
    StopEngine,
    StartRun(Box<StartRun>),
    /// Newest first.
    Runs {
        limit: usize,
        state: Option<RunState>,
    },
    Status {
        run: String,
    },
    /// How the steps of a run are called, in their order: for who needs no more of a run with thousands of them. Answered
    /// by [`Reply::StepNames`].
    StepNames {
        run: String,
    },
    /// What was recorded of a run after `since` (0: from the start), oldest first.
    Events {
        run: String,
        since: u64,
        limit: usize,
    },
    /// Where an attempt's log lies; the newest attempt without `attempt`.
    Log {
        run: String,
        step: String,
        attempt: Option<u32>,
    },
    Inbox,
    Escalation {
        id: u64,
    },
    /// `choice` is a choice's word or its number.
    Decide {
        id: u64,
        choice: String,
        note: Option<String>,
        /// How long the effect waits, so that the answer can still be taken back; 0: at once.
        #[serde(default)]
        hold_ms: u64,
        /// It holds for the same failure in this run from now on.
        #[serde(default)]
        lasting: bool,
    },
    /// Takes back an answer whose effect has not begun.
    Undo {
        id: u64,
    },
    /// Not now: a deadline that the question has begins anew.
    Later {
        id: u64,
    },
    Order {
        run: String,
        step: String,
        order: Order,
        note: Option<String>,
        /// With [`Order::Resume`]: the one to go on from, as in [`CheckpointOrder`].
        #[serde(default)]
        checkpoint: Option<String>,
    },
    /// What is said about the clocks of a live attempt of a step.
    Clocks {
        run: String,
        step: String,
        order: ClockOrder,
    },
    StopStep {
        run: String,
        step: String,
    },
    StopRun {
        run: String,
    },
    Pause {
        run: String,
    },
    Unpause {
        run: String,
    },
    Resume {
        run: String,
        from: Option<String>,
        /// The checkpoint of `from` to go on from, as in [`CheckpointOrder`].
        #[serde(default)]
        checkpoint: Option<String>,
    },
    /// The value of a secret of a run, which has lost it or is to have another one.
    GiveSecret {
        run: String,
        secrets: Secrets,
    },
    /// Types text into a step.
    Send {
        run: String,
        step: String,
        text: String,
    },
    /// A terminal on the step's session; answered by [`Reply::Pty`].
    Attach {
        run: String,
        step: String,
        rows: u16,
        cols: u16,
        readonly: bool,
        /// From whoever types into it now; without it, that is a refusal that says who.
        #[serde(default)]
        take_over: bool,
    },
    /// Lets go of a step that this connection types into, after so many keys: who has taken it over meanwhile keeps it. The
    /// end of the connection does so too. Without a number of keys, whoever types into it is made to let go.
    Detach {
        run: String,
        step: String,
        #[serde(default)]
        keys: Option<u64>,
    },
    /// A shell with the step's environment, directory and variables; answered by [`Reply::Pty`].
    Shell {
        run: String,
        step: String,
        rows: u16,
        cols: u16,
    },
    /// What was seen of the checkpoints of a run, newest first within each step.
    Checkpoints {
        run: String,
    },
    /// What is done to checkpoints of steps. Answered by [`Reply::Checkpoints`]: those that it was done to, and what came of it.
    OrderCheckpoints {
        run: String,
        order: CheckpointOrder,
    },
    /// Why an attempt of a step ended badly: the newest one that did, or this one.
    Why {
        run: String,
        step: String,
        attempt: Option<u32>,
    },
    /// What was kept of the environments of a run, oldest first; with `verify`, whether it is there.
    Kept {
        run: String,
        #[serde(default)]
        verify: bool,
    },
    /// What is done to it. Answered by [`Reply::Kept`]: what it was done to.
    OrderKept {
        run: String,
        order: KeptOrder,
    },
    /// What is left in container engines that no run needs any more; removed unless `dry_run`.
    Gc {
        dry_run: bool,
        /// `$DOCKER_HOST` of the caller.
        host: Option<String>,
        /// `$XDG_RUNTIME_DIR` of the caller.
        runtime_dir: Option<String>,
    },
    /// What the machine and each running step of the run use now. Measured when it is asked; it becomes points of the series
    /// `system/…`, too.
    Resources {
        run: String,
    },
    /// The points of the series of a run, of a step, or of this name, from the one with this number on: see
    /// [`Reply::Metrics`].
    Metrics {
        run: String,
        step: Option<String>,
        name: Option<String>,
        from: usize,
        /// Only the newest point of each.
        #[serde(default)]
        newest: bool,
    },
    /// A picture of series: never more points than it has columns. Answered by [`Reply::Chart`].
    Chart(ChartAsk),
    /// A series of a step of this run, and of each later one of its workflow, comes first, or not any more. It is kept also
    /// where a step prints more series than are kept.
    PinMetric {
        run: String,
        /// `train[lr=0.1]`: all lanes of the step.
        step: String,
        name: String,
        pinned: bool,
    },
    /// The frozen workflow file of a run, with its parameters.
    Source {
        run: String,
    },
    /// A new run of the same frozen file, with these parameters instead of its own. Answered by [`Reply::Run`].
    Again {
        run: String,
        params: Vec<(String, String)>,
        /// Instead of the values that the run has, if it has them still.
        #[serde(default, skip_serializing_if = "Secrets::is_empty")]
        secrets: Secrets,
    },
    /// Who was told of what, oldest first: the newest `limit` of this run, or of all.
    Notices {
        run: Option<String>,
        limit: usize,
    },
    /// From now on [`FromEngine::Changed`] is said.
    Subscribe,
}

/// [`Ask::StartRun`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartRun {
    /// The workflow file's text.
    pub source: String,
    /// Its name, for messages.
    pub file: String,
    /// The folder that its paths are relative to, absolute.
    pub base: String,
    pub params: Vec<(String, String)>,
    /// Instead of the workflow's own name.
    pub name: Option<String>,
    pub only: Vec<String>,
    pub from: Option<String>,
    /// No earlier result stands for a step.
    #[serde(default)]
    pub no_cache: bool,
    /// What steps inherit of the caller's environment; see [`inherited`].
    pub env: BTreeMap<String, String>,
    /// The values of the secrets that its steps name.
    #[serde(default, skip_serializing_if = "Secrets::is_empty")]
    pub secrets: Secrets,
}

/// Which variables of the caller's environment every step inherits: those that say where tools are, and how to print.
/// Nothing that commonly holds a credential.
pub fn inherited(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "PYTHONPATH",
        "VIRTUAL_ENV",
        "LD_LIBRARY_PATH",
        "JAVA_HOME",
        "GOPATH",
        "GOROOT",
        "CARGO_HOME",
        "RUSTUP_HOME",
        "NVM_DIR",
        "CC",
        "CXX",
        "PKG_CONFIG_PATH",
        "MANPATH",
        // For the engine, to find a container engine: steps do not get them.
        "DOCKER_HOST",
        "XDG_RUNTIME_DIR",
    ];
    const STARTS: &[&str] = &["LC_", "CONDA_", "PYENV_", "CUDA_", "NVIDIA_", "ROCM_", "OMP_", "MKL_"];
    NAMES.contains(&name) || STARTS.iter().any(|start| name.starts_with(start))
}

/// What a person may order about a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// From the newest checkpoint where there is one.
    Resume,
    /// From the start.
    Retry,
    Skip,
    Done,
}

/// What is done to checkpoints of steps. `which` is a path, its end, or the number that the program counts with; without it
/// the one that a resumption takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointOrder {
    /// Is it good? Without a step all of the run, without `which` all of the step.
    Verify {
        step: Option<String>,
        which: Option<String>,
    },
    /// It is not removed before it is unpinned.
    Pin {
        step: String,
        which: Option<String>,
    },
    Unpin {
        step: String,
        which: Option<String>,
    },
    /// All of the step but what is pinned, what something goes on from, and as many good ones as its `keep` says (1).
    Prune {
        step: String,
        dry_run: bool,
    },
}

/// What is said about the clocks of a live attempt: its time limit, and when it stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockOrder {
    More {
        ms: u64,
    },
    Hold,
    GoOn,
    NeverStall,
    /// What is waited for is looked at once.
    LookNow,
}

/// What is done to what was kept of environments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptOrder {
    /// It is not removed before it is unpinned.
    Pin {
        step: String,
    },
    Unpin {
        step: String,
    },
    /// All but what is pinned, and the newest of each environment; that one, too, with `all`.
    Prune {
        all: bool,
        dry_run: bool,
    },
}

/// What the engine says after the handshake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromEngine {
    /// To request `id`.
    Answer { id: u64, result: Result },
    /// To subscribers: something was recorded; `seq` is the newest number.
    Changed { seq: u64 },
}

/// A reply or a refusal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Result {
    Reply(Box<Reply>),
    Refused(Refusal),
}

/// Why not, in words, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub kind: RefusalKind,
    pub words: String,
    pub hint: Option<String>,
}

/// Decides the exit code: 2, 5, 6, 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The request or the workflow file is wrong.
    Usage,
    /// There is no such run, step or escalation.
    NotFound,
    /// The state moved on, or it is not allowed.
    Refused,
    /// dogwatch itself could not do it.
    Internal,
}

/// What the engine answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Engine(EngineView),
    Done {
        words: String,
    },
    Run(RunView),
    Runs(Vec<RunLine>),
    StepNames(Vec<String>),
    Events {
        events: Vec<EventView>,
        seq: u64,
    },
    Log(LogPlace),
    Inbox(Vec<EscalationView>),
    Escalation(EscalationView),
    Checkpoints(Vec<CheckpointView>),
    Why(Box<WhyView>),
    Cached(CachedView),
    Kept(Vec<KeptView>),
    Gc(GcView),
    Resources(ResourcesView),
    Source(SourceView),
    Notices(Vec<NoticeView>),
    /// With `more`, ask again from after the points that were told.
    Metrics {
        series: Vec<SeriesView>,
        more: bool,
    },
    Chart(ChartView),
    /// Comes with a file descriptor.
    Pty {
        title: String,
    },
}
