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
    },
    Order {
        run: String,
        step: String,
        order: Order,
        note: Option<String>,
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
    },
    /// A shell with the step's environment, directory and variables; answered by [`Reply::Pty`].
    Shell {
        run: String,
        step: String,
        rows: u16,
        cols: u16,
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
    /// What steps inherit of the caller's environment; see [`inherited`].
    pub env: BTreeMap<String, String>,
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
    Events {
        events: Vec<EventView>,
        seq: u64,
    },
    Log(LogPlace),
    Inbox(Vec<EscalationView>),
    Escalation(EscalationView),
    /// Comes with a file descriptor.
    Pty {
        title: String,
    },
}

/// The engine about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineView {
    pub version: String,
    pub pid: u32,
    pub epoch: u64,
    #[serde(default)]
    pub started_ms: i64,
    #[serde(default)]
    pub active_runs: usize,
    #[serde(default)]
    pub running_steps: usize,
    /// Something that stops it from starting new steps, such as a full disk.
    #[serde(default)]
    pub trouble: Option<String>,
}

/// How a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Running,
    /// Nothing runs; a person is needed.
    Waiting,
    Paused,
    Stopping,
    Succeeded,
    Failed,
    Stopped,
    Rejected,
}

impl RunState {
    /// Over, unless somebody resumes it.
    pub fn ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Stopped | Self::Rejected)
    }

    /// The word shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "needs you",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Rejected => "rejected",
        }
    }
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLine {
    pub id: String,
    pub name: String,
    pub number: u64,
    pub state: RunState,
    pub created_ms: i64,
    pub ended_ms: Option<i64>,
    pub steps: usize,
    pub steps_done: usize,
    /// Open questions.
    pub asking: usize,
}

/// A run, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    pub line: RunLine,
    pub by: String,
    pub dir: String,
    pub workspace: String,
    /// `None` until its environment was made.
    pub isolation: Option<IsolationView>,
    pub now_ms: i64,
    pub steps: Vec<StepView>,
    pub escalations: Vec<EscalationView>,
    /// Something that concerns the whole run, such as a full disk.
    pub trouble: Option<String>,
    /// The newest record's number: what to ask for events after.
    pub seq: u64,
}

/// The badge of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsolationView {
    pub sandboxed: bool,
    pub why: Option<String>,
}

/// How a step's lane is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// For what it needs, or for a place.
    Waiting,
    Starting,
    Running,
    Stopping,
    /// Another attempt comes at `until_ms`.
    Retrying,
    /// It failed; a person decides.
    Asking,
    /// It cannot be known whether it finished; a person decides.
    Unknown,
    /// An approval is open.
    Gate,
    Probing,
    /// Its environment does not answer; not failed.
    Unreachable,
    Succeeded,
    Failed,
    Skipped,
    Stopped,
}

impl StepState {
    /// Shape and word: readable without colour.
    pub fn shape(self) -> &'static str {
        match self {
            Self::Waiting => "○",
            Self::Starting | Self::Running | Self::Probing => "●",
            Self::Stopping | Self::Stopped => "■",
            Self::Retrying => "↻",
            Self::Asking | Self::Unknown | Self::Unreachable => "▲",
            Self::Gate => "◆",
            Self::Succeeded => "✓",
            Self::Failed => "×",
            Self::Skipped => "–",
        }
    }

    /// The word shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Retrying => "retrying",
            Self::Asking => "needs you",
            Self::Unknown => "UNKNOWN",
            Self::Gate => "approval",
            Self::Probing => "probing",
            Self::Unreachable => "UNREACHABLE",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Stopped => "stopped",
        }
    }
}

/// One lane of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepView {
    pub step: String,
    pub lane: u32,
    /// `lr=0.1`; empty without a matrix.
    pub label: String,
    pub state: StepState,
    pub needs: Vec<String>,
    /// The newest attempt; 0 before the first.
    pub attempt: u32,
    /// By the step's `retry`.
    pub max_attempts: u32,
    /// Of the newest attempt.
    pub started_ms: Option<i64>,
    pub ended_ms: Option<i64>,
    /// `code 1`, `signal 9 (SIGKILL)`.
    pub exit: Option<String>,
    /// What it waits for or why it is as it is, in words.
    pub detail: String,
    /// When the state's timer ends: retry, timeout, gate.
    pub until_ms: Option<i64>,
    /// The newest checkpoint seen.
    pub checkpoint: Option<String>,
    pub checkpoint_step: Option<i64>,
    pub escalation: Option<u64>,
}

impl StepView {
    /// `train` or `train[lr=0.1]`.
    pub fn name(&self) -> String {
        if self.label.is_empty() { self.step.clone() } else { format!("{}[{}]", self.step, self.label) }
    }
}

/// A question to a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscalationView {
    pub id: u64,
    pub run: String,
    /// `name #number`.
    pub run_name: String,
    pub step: String,
    pub attempt: Option<u32>,
    /// `failed`, `unknown`, `cannot_start`, `gate`.
    pub kind: String,
    pub title: String,
    pub evidence: Vec<String>,
    pub choices: Vec<ChoiceView>,
    pub opened_ms: i64,
    pub deadline_ms: Option<i64>,
    /// What happens if nobody answers.
    pub if_unanswered: String,
    pub answer: Option<AnswerView>,
}

/// One choice of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChoiceView {
    /// What `decide` takes.
    pub word: String,
    /// What it does and what it costs.
    pub effect: String,
}

/// The one answer that a question got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerView {
    pub choice: String,
    pub by: String,
    pub at_ms: i64,
    pub note: Option<String>,
}

/// One recorded fact or decision, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventView {
    pub seq: u64,
    pub at_ms: i64,
    /// A stable word: `run.created`, `attempt.claimed`, `attempt.exited`, `attempt.unknown`, `attempt.retry`,
    /// `step.succeeded`, `step.skipped`, `checkpoint`, `escalation.opened`, `escalation.answered`, `run.ended`, …
    pub kind: String,
    /// `train[lr=0.1]`, or empty where it is about the run.
    pub step: String,
    pub attempt: Option<u32>,
    /// One line.
    pub text: String,
}

/// Where an attempt's log lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPlace {
    /// The attempt's directory, absolute.
    pub dir: String,
    pub attempt: u32,
    pub step: String,
    /// No more will be written.
    pub ended: bool,
}
