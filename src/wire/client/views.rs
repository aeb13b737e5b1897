//! What the engine shows of itself: runs, steps, questions, checkpoints, resources. Plain data, all of it made when it is
//! asked for; nothing here can be sent to the engine to change it.

use serde::{Deserialize, Serialize};

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
    /// Nothing new starts until somebody lets it go on; also where the state says that it waits.
    #[serde(default)]
    pub paused: bool,
}

impl RunLine {
    /// The state as it is shown: that a run waits for a person does not hide that it is paused; who is asked is counted
    /// beside it.
    pub fn shown(&self) -> RunState {
        if self.paused && self.state == RunState::Waiting { RunState::Paused } else { self.state }
    }
}

/// A run, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    pub line: RunLine,
    pub by: String,
    pub dir: String,
    pub workspace: String,
    /// The workflow file's name.
    #[serde(default)]
    pub file: String,
    #[serde(default)]
    pub params: Vec<(String, String)>,
    /// `None` until its environment was made.
    pub isolation: Option<IsolationView>,
    pub now_ms: i64,
    pub steps: Vec<StepView>,
    pub escalations: Vec<EscalationView>,
    /// Something that concerns the whole run, such as a full disk.
    pub trouble: Option<String>,
    /// The newest record's number: what to ask for events after.
    pub seq: u64,
    /// For whoever cannot be told: when it is worth to ask again, in seconds; `None` when it is over.
    #[serde(default)]
    pub check_again_in_s: Option<u64>,
    /// What is left of all of it; `None` when it is over or being stopped.
    #[serde(default)]
    pub left: Option<RunLeft>,
}

/// What is left of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLeft {
    /// `None` where too little is known: see `unknown`.
    pub range: Option<TimeLeft>,
    /// The lanes that it most likely hangs on, first to last.
    pub by: Vec<String>,
    /// Steps that have never succeeded, or that wait for an answer: of them nothing can be foretold.
    pub unknown: Vec<String>,
    /// A gate is ahead: how long people take is not in it.
    pub people: bool,
}

/// The badge of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsolationView {
    /// Kept apart from the host, by the sandbox or by a container.
    pub sandboxed: bool,
    /// Not kept apart: why not. In a container: in which one.
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
    /// It has ended well, and its `verify` is to say whether it has.
    Verifying,
    /// A service that others can use.
    Ready,
    /// Its environment does not answer; not failed.
    Unreachable,
    Succeeded,
    Failed,
    Skipped,
    Stopped,
}

impl StepState {
    /// Its program runs, and nothing else is going on with it.
    pub fn runs(self) -> bool {
        matches!(self, Self::Running | Self::Ready)
    }

    /// Shape and word: readable without colour.
    pub fn shape(self) -> &'static str {
        match self {
            Self::Waiting => "○",
            Self::Starting | Self::Running | Self::Probing | Self::Verifying | Self::Ready => "●",
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
            Self::Verifying => "verifying",
            Self::Ready => "ready",
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
    /// When the step should save the next one, where it says how often it does.
    #[serde(default)]
    pub checkpoint_due_ms: Option<i64>,
    pub escalation: Option<u64>,
    /// Every timer that runs for it, the nearest first.
    #[serde(default)]
    pub waits: Vec<WaitView>,
    /// Who types into it now.
    #[serde(default)]
    pub attached: Option<AttachedView>,
    /// Its `run` text; empty for a gate.
    #[serde(default)]
    pub command: String,
    /// Its directory on this host, where its files are.
    #[serde(default)]
    pub dir: String,
    /// Milliseconds that all of its attempts have run.
    #[serde(default)]
    pub ran_ms: i64,
    /// How far the live attempt is, and what is left of it.
    #[serde(default)]
    pub progress: Option<ProgressView>,
    /// What the program of the newest attempt said last for people.
    #[serde(default)]
    pub note: Option<NoteView>,
    /// It runs nothing: it waits for something outside, which `detail` names.
    #[serde(default)]
    pub outside: bool,
}

/// What a program said by `dogwatch report note`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteView {
    pub at_ms: i64,
    pub text: String,
}

impl StepView {
    /// For how many milliseconds a checkpoint has been overdue.
    pub fn overdue(&self, now_ms: i64) -> Option<i64> {
        self.checkpoint_due_ms.map(|due| now_ms - due).filter(|late| *late > 0)
    }

    /// It lives and stands still, and a person is asked about it.
    pub fn stands(&self) -> bool {
        self.state == StepState::Running && self.escalation.is_some()
    }

    /// Its shape: readable without colour.
    pub fn shape(&self) -> &'static str {
        if self.stands() { StepState::Asking.shape() } else { self.state.shape() }
    }

    /// `train` or `train[lr=0.1]`.
    pub fn name(&self) -> String {
        if self.label.is_empty() { self.step.clone() } else { format!("{}[{}]", self.step, self.label) }
    }

    /// Whether that is its name. Costs nothing: it is asked of thousands, at every frame.
    pub fn is_named(&self, name: &str) -> bool {
        match name.strip_prefix(&self.step) {
            Some("") => self.label.is_empty(),
            Some(rest) if !self.label.is_empty() => {
                rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) == Some(&self.label)
            }
            Some(_) | None => false,
        }
    }
}

/// How far an attempt is, as far as it says so, and what is left of it, as far as that can be foretold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ProgressView {
    /// From 0 to 1.
    pub done: Option<f64>,
    /// Milliseconds left: one of ten is over by `p10_ms`, nine of ten by `p90_ms`.
    pub left: Option<TimeLeft>,
}

/// Milliseconds that are left, as a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeLeft {
    pub p10_ms: i64,
    pub p50_ms: i64,
    pub p90_ms: i64,
}

/// A timer of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitView {
    pub kind: WaitKind,
    /// When it was set; `None` where that is not known.
    pub since_ms: Option<i64>,
    pub until_ms: i64,
}

/// What happens when the time of a [`WaitView`] has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitKind {
    /// The next attempt starts.
    Retry,
    /// The attempt is stopped: its time limit.
    Timeout,
    /// What is left of a stopped attempt is killed.
    Kill,
    /// An open question is answered by its default.
    Deadline,
    /// An answer takes effect.
    Undo,
    /// The whole run is stopped: its time limit.
    RunTimeout,
    /// Without a sign of life until then, and without work, it stands still.
    Stall,
    /// It is looked whether what is waited for is there.
    Look,
}

/// Who types into a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedView {
    pub by: String,
    pub since_ms: i64,
}

/// A checkpoint that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointView {
    /// `train[lr=0.1]`.
    pub step_name: String,
    pub attempt: u32,
    /// Absolute.
    pub path: String,
    /// As the program counts.
    pub step: Option<i64>,
    pub seen_ms: i64,
    /// `None`: it is not there any more.
    pub bytes: Option<u64>,
    /// What a resumption would take.
    pub newest: bool,
    /// `good`, `damaged (why)`, `unverified`; what came of an order. Empty where nothing is known of it.
    #[serde(default)]
    pub says: String,
    #[serde(default)]
    pub pinned: bool,
    /// What the program said of it besides: `loss`, `1.899`.
    #[serde(default)]
    pub metrics: Vec<(String, String)>,
}

impl CheckpointView {
    /// `loss 1.899 acc 0.61`.
    pub fn metric_words(&self) -> String {
        let words: Vec<String> = self.metrics.iter().map(|(name, value)| format!("{name} {value}")).collect();
        words.join(" ")
    }
}

/// An environment as it was kept after an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptView {
    /// `train[lr=0.1]`.
    pub step_name: String,
    pub attempt: u32,
    pub environment: String,
    /// The image's id.
    pub image: String,
    pub kept_ms: i64,
    /// Beyond what the container was made of.
    pub bytes: u64,
    pub pinned: bool,
    /// The newest of its environment.
    pub newest: bool,
    /// What was found of it, or done to it, in words; empty where nothing was asked.
    pub says: String,
    /// It is not there any more, or what was to be done to it was not.
    pub bad: bool,
}

/// What is left in container engines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcView {
    pub left: Vec<LeftView>,
    /// What stays although it costs something, in words.
    pub notes: Vec<String>,
}

/// Something that no run needs any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftView {
    /// `container`, `network`, `checkpoint`.
    pub kind: String,
    /// As its engine calls it.
    pub id: String,
    /// `name #number`, or the id that a label says.
    pub run: String,
    pub environment: String,
    pub age_ms: Option<i64>,
    pub bytes: Option<u64>,
    /// Why nobody needs it, and what was done.
    pub says: String,
    /// It could not be removed.
    pub bad: bool,
}

/// What is used now.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ResourcesView {
    pub machine: MachineView,
    pub steps: Vec<StepResources>,
}

/// The host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MachineView {
    pub cpus: u32,
    /// Of all of them together, since it was last asked; `None` the first time.
    pub cpu_percent: Option<f32>,
    pub load1: f32,
    pub memory_total: u64,
    pub memory_available: u64,
    /// Of the file system of the run's workspace.
    pub disk_total: u64,
    pub disk_free: u64,
    #[serde(default)]
    pub gpus: Vec<GpuView>,
}

/// One GPU, as `nvidia-smi` tells it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuView {
    pub name: String,
    pub percent: f32,
    pub memory_used: u64,
    pub memory_total: u64,
    pub celsius: Option<f32>,
}

/// What one running step uses, with everything that it has started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepResources {
    /// `train[lr=0.1]`.
    pub step_name: String,
    /// 100 is one core; since it was last asked; `None` the first time.
    pub cpu_percent: Option<f32>,
    /// Resident bytes.
    pub memory: u64,
    pub processes: u32,
}

/// The frozen workflow file of a run, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceView {
    pub file: String,
    pub base: String,
    pub text: String,
    pub params: Vec<(String, String)>,
    /// What became of its steps, in the file's order; of very many the first.
    #[serde(default)]
    pub results: Vec<ResultView>,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultView {
    pub step_name: String,
    pub state: StepState,
    /// Of all its attempts together.
    pub took_ms: i64,
    /// The last value of each series that it told, by name; of very many the first. `None`: it is no number.
    pub numbers: Vec<(String, Option<f64>)>,
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
    /// The same for questions that ask the same: rule, normalised error text, step. Empty: like no other.
    #[serde(default)]
    pub fingerprint: String,
    /// The place in `evidence` of the line that the rule matched.
    #[serde(default)]
    pub matched: Option<usize>,
    /// Labelled facts in the order shown: `checkpoint`, `resources`, `blocked`, `attempts`, `changed`, `starts then`.
    #[serde(default)]
    pub facts: Vec<FactView>,
    /// It was answered, and the effect has not begun: can be taken back until then.
    #[serde(default)]
    pub held: Option<HeldView>,
}

impl EscalationView {
    /// Nobody has answered it.
    pub fn is_open(&self) -> bool {
        self.answer.is_none() && self.held.is_none()
    }
}

/// A labelled fact of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactView {
    pub label: String,
    pub text: String,
}

/// An answer that can still be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldView {
    pub choice: String,
    pub by: String,
    pub until_ms: i64,
}

/// What it takes to choose: see the prompts of the screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// One key.
    #[default]
    Key,
    /// One key, then a summary of what will happen.
    Summary,
    /// The name of the run has to be typed. Never offered for several questions at once.
    Typed,
}

/// One choice of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChoiceView {
    /// What `decide` takes.
    pub word: String,
    /// What it does and what it costs.
    pub effect: String,
    #[serde(default)]
    pub strength: Strength,
    /// The rule that would make it permanent, as text for the workflow file.
    #[serde(default)]
    pub rule: Option<String>,
}

impl ChoiceView {
    /// The step that it sends back to: there may be one such choice for each step that led to a gate.
    pub fn back_to(&self) -> Option<&str> {
        self.word.strip_prefix("send-back:")
    }
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
