//! A workflow as it is run: checked, complete, with every default filled in. Made only by `config`.
//!
//! Invariants (kept by `config`): `needs` name steps of the workflow and have no cycle; every expression compiles and
//! names only what exists; every pattern is a valid regex; a step has at least one lane.

use std::collections::BTreeSet;
use std::time::Duration;

use indexmap::IndexMap;

use super::{
    AlertSpec, Alternative, Autonomy, Demand, EnvironmentId, FailureRule, Lane, MetricSpec, NotifyRule, ProgressSpec,
    RuleSpec, Service, StepId, WaitFor, WaitSpec,
};

/// A value of a parameter or of a matrix.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    Integer(i64),
    Number(f64),
    Boolean(bool),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(n) => n.fmt(f),
            // As expressions write it: 1.0 stays 1.0, 1e-7 stays short.
            Self::Number(n) => write!(f, "{n:?}"),
            Self::Boolean(b) => b.fmt(f),
        }
    }
}

/// A text with `${{ … }}` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(pub Vec<Part>);

/// A part of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Text(String),
    /// The source of an expression, without the braces.
    Expression(String),
}

/// A whole workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflow {
    /// `[workflow] name`, or the file's name without its endings.
    pub name: String,
    pub description: Option<String>,
    /// Steps at once, all lanes together; at least 1.
    pub max_parallel: u32,
    /// Of the whole run.
    pub timeout: Option<Duration>,
    /// With the values of this run.
    pub params: IndexMap<String, Value>,
    /// What every step sees.
    pub env: IndexMap<String, Template>,
    /// `[secrets]`: where each value comes from.
    pub secrets: IndexMap<String, SecretFrom>,
    /// `[environment]`: where steps run that name no other one.
    pub environment: EnvironmentSpec,
    /// `[environments.x]`, in the file's order.
    pub environments: IndexMap<EnvironmentId, EnvironmentSpec>,
    /// In the file's order.
    pub steps: IndexMap<StepId, Step>,
    /// In the file's order; a rule is known by its place.
    pub notify: Vec<NotifyRule>,
    /// `[[rules]]`: they judge failures before any other, in the file's order.
    pub rules: Vec<RuleSpec>,
}

impl Workflow {
    /// The environment of this name; `[environment]` where there is no such one.
    pub fn environment_named(&self, name: &EnvironmentId) -> &EnvironmentSpec {
        self.environments.get(name).unwrap_or(&self.environment)
    }

    /// Where this step runs; `[environment]` where there is no such step.
    pub fn environment_of(&self, step: &StepId) -> &EnvironmentSpec {
        self.steps.get(step).map_or(&self.environment, |step| self.environment_named(&step.place.environment))
    }

    /// The secrets that steps name, each once, in the order of `[secrets]`.
    pub fn secrets_in_use(&self) -> impl Iterator<Item = (&String, &SecretFrom)> {
        let used: BTreeSet<&String> = self.steps.values().flat_map(|step| &step.secrets).collect();
        self.secrets.iter().filter(move |(name, _)| used.contains(name))
    }

    /// Every environment, with its name: first the one of `[environment]`.
    pub fn all_environments(&self) -> impl Iterator<Item = (EnvironmentId, &EnvironmentSpec)> {
        let rest = self.environments.iter().map(|(name, spec)| (name.clone(), spec));
        std::iter::once((EnvironmentId::default(), &self.environment)).chain(rest)
    }
}

/// Where the value of a secret comes from when a run starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretFrom {
    /// The variable of this name of whoever starts the run.
    Env(String),
    /// A file: absolute, below `~`, or relative to the workflow file's folder.
    File(String),
    /// What a script for `sh` prints, run by whoever starts the run.
    Command(String),
}

/// Where steps run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentSpec {
    /// Absolute path of the folder that steps work in.
    pub workspace: String,
    pub isolation: IsolationWanted,
    pub mounts: Vec<Mount>,
    /// In a container; without one, in the built-in sandbox.
    pub container: Option<ContainerSpec>,
}

impl EnvironmentSpec {
    /// A path as a step means it, as it is on the host: absolute, and the workspace by its own name. Containers have the
    /// workspace at `/workspace`, too.
    pub fn on_host(&self, path: &str) -> String {
        let second = self.container.as_ref().and_then(|_| path.strip_prefix("/workspace"));
        match second {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{}{rest}", self.workspace),
            Some(_) | None if path.starts_with('/') => path.to_owned(),
            Some(_) | None => format!("{}/{path}", self.workspace),
        }
    }
}

/// How the container of an environment is made. Sizes are in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// A name that a container engine takes, and nothing else: checked by `config`.
    pub image: String,
    pub pull: Pull,
    /// Thousandths of a processor.
    pub milli_cpus: Option<u64>,
    pub memory: Option<u64>,
    pub shm: Option<u64>,
    pub gpus: Gpus,
    pub network: bool,
    /// Who the steps are; without it, the owner of the engine.
    pub user: Option<User>,
    /// Without `CAP_`; nothing else is permitted.
    pub caps: Vec<String>,
    pub ulimits: Vec<Ulimit>,
    pub read_only: bool,
    pub keep: Keep,
}

/// Whether the container of an environment stays when its run has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    Never,
    /// When the run has not succeeded.
    Failed,
    Always,
}

impl ContainerSpec {
    /// Of this image, with the defaults of everything else.
    pub fn of(image: String) -> Self {
        Self {
            image,
            pull: Pull::Missing,
            milli_cpus: None,
            memory: None,
            shm: None,
            gpus: Gpus::None,
            network: true,
            user: None,
            caps: Vec::new(),
            ulimits: Vec::new(),
            read_only: false,
            keep: Keep::Never,
        }
    }
}

/// When an image is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// When the engine does not have it.
    Missing,
    /// At the start of every environment.
    Always,
    Never,
}

/// The GPUs of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gpus {
    None,
    All,
    Count(u32),
    /// By number or id.
    Ids(Vec<String>),
}

/// A user by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

/// A limit of a process; -1 is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ulimit {
    pub name: String,
    pub value: i64,
}

/// `isolation` of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsolationWanted {
    /// The sandbox where it is permitted, else none with a visible badge.
    Auto,
    /// The sandbox or nothing.
    Required,
    /// No sandbox.
    None,
}

/// A host folder made visible in the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Absolute path on the host.
    pub source: String,
    /// Absolute path inside.
    pub target: String,
    pub readonly: bool,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own")]
pub struct Step {
    pub id: StepId,
    pub description: Option<String>,
    pub needs: Vec<StepId>,
    pub place: StepPlace,
    pub what: StepWhat,
    /// It lives as long as others need it; only with [`StepWhat::Run`].
    pub service: Option<Service>,
    /// What each attempt takes of the host for itself.
    pub demand: Demand,
    /// Replaces "all needs succeeded" when there is one. An expression's source.
    pub condition: Option<String>,
    pub env: IndexMap<String, Template>,
    /// The secrets that it gets, each as the variable of this name.
    pub secrets: Vec<String>,
    /// Exported under their names when these are legal variable names.
    pub inputs: IndexMap<String, Template>,
    /// At least one; `values` is empty without a matrix.
    pub lanes: Vec<LaneSpec>,
    pub has_matrix: bool,
    /// Lanes of this step at once.
    pub lanes_at_once: Option<u32>,
    /// The other lanes are stopped when one has failed for good.
    pub fail_fast: bool,
    /// Of one attempt.
    pub timeout: Option<Duration>,
    /// Between TERM and KILL.
    pub grace: Duration,
    pub retry: Retry,
    /// `retry` is written somewhere: then it holds in place of the defaults of the classes.
    pub retry_said: bool,
    pub autonomy: Autonomy,
    pub allow_failure: bool,
    pub outputs: IndexMap<String, Output>,
    /// A script for `sh -e` that must end with 0 before an attempt that ended well counts as a success. It may run more than
    /// once for the same attempt.
    pub verify: Option<String>,
    pub checkpoint: Option<CheckpointSpec>,
    /// First that matches wins.
    pub on_failure: Vec<FailureRule>,
    /// In the file's order.
    pub alternatives: IndexMap<String, Alternative>,
    pub on_unknown: OnUnknown,
    pub wait: WaitSpec,
    /// How it tells how far it is; without it, whatever is known.
    pub progress: Option<ProgressSpec>,
    /// Without any, what looks like `name=value` is kept.
    pub metrics: Vec<MetricSpec>,
    pub alerts: Vec<AlertSpec>,
    /// The series whose last values expressions of the file ask for.
    pub asked: BTreeSet<String>,
    /// What becomes of questions about it that nobody answers.
    pub escalation: EscalationSpec,
}

/// `escalation = { … }`: of questions about failures. A gate has its own time, and only `remind` of these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EscalationSpec {
    /// How long a question waits; `None`: for ever.
    pub timeout: Option<Duration>,
    /// What follows then; `None`: nothing is said.
    pub on_timeout: Option<Unanswered>,
    /// It is told again so often, over what the rules of `[[notify]]` say.
    pub remind: Option<Duration>,
}

/// What follows when nobody has answered a question in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    Wait,
    /// From the newest checkpoint, where there is one beyond that of the last time; else it waits.
    Resume,
    Skip,
    /// The run ends as failed; it can be resumed.
    Abort,
}

impl Unanswered {
    /// Every one, with its word.
    pub const ALL: [(&'static str, Self); 4] =
        [("wait", Self::Wait), ("resume", Self::Resume), ("skip", Self::Skip), ("abort", Self::Abort)];
}

/// Where a step runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepPlace {
    pub environment: EnvironmentId,
    /// Each attempt has an environment of its own.
    pub fresh: bool,
    /// The environment is kept as a checkpoint when the step has succeeded.
    pub snapshot: bool,
}

/// What a step is.
#[derive(Debug, Clone, PartialEq)]
pub enum StepWhat {
    /// A script for `sh -e` in the workspace.
    Run { script: String },
    /// A question to a person.
    Approval(Gate),
    /// It runs nothing and ends when something is there.
    WaitFor(WaitFor),
}

/// `[steps.x.approval]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    pub prompt: Template,
    /// Expressions' sources whose values are shown with the question.
    pub show: Vec<String>,
    pub timeout: Option<Duration>,
    pub on_timeout: OnTimeout,
    /// `key`, or `type-name`: to approve, the workflow's name is typed. May hold expressions.
    pub confirm: Option<Template>,
}

/// What happens to a question that nobody answered in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTimeout {
    Wait,
    Reject,
    Approve,
}

/// One combination of a matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneSpec {
    pub lane: Lane,
    pub values: IndexMap<String, Value>,
}

impl Step {
    /// The combination of this lane.
    pub fn spec(&self, lane: Lane) -> Option<&LaneSpec> {
        // Lanes are counted in their order.
        let counted = usize::try_from(lane.0).ok().and_then(|place| self.lanes.get(place));
        counted.filter(|spec| spec.lane == lane).or_else(|| self.lanes.iter().find(|spec| spec.lane == lane))
    }

    /// It does not run again while all that its result depends on is the same.
    pub fn is_cached(&self) -> bool {
        self.outputs.values().any(|output| output.cache)
    }
}

impl LaneSpec {
    /// `lr=0.1,seed=2`; empty without a matrix.
    pub fn label(&self) -> String {
        let pairs: Vec<String> = self.values.iter().map(|(k, v)| format!("{k}={v}")).collect();
        pairs.join(",")
    }

    /// Whether all its values are among these; never without any.
    pub fn is_part_of(&self, values: &IndexMap<String, Value>) -> bool {
        !self.values.is_empty() && self.values.iter().all(|(key, value)| values.get(key) == Some(value))
    }
}

/// `retry = { … }`.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Counts the first one; at least 1.
    pub max_attempts: u32,
    pub delay: Duration,
    /// Factor per further attempt; at least 1.
    pub backoff: f64,
    pub max_delay: Duration,
    pub jitter: bool,
}

impl Default for Retry {
    /// One attempt: nothing is repeated that nobody asked to repeat.
    fn default() -> Self {
        Self {
            max_attempts: 1,
            delay: Duration::from_secs(10),
            backoff: 2.0,
            max_delay: Duration::from_secs(600),
            jitter: true,
        }
    }
}

/// `outputs = { name = { path = "…" } }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Relative to the workspace; may begin with `$DOGWATCH_DIR`.
    pub path: String,
    /// A later run takes it as it is, while all that it depends on is the same. All outputs of a step say so, or none.
    pub cache: bool,
}

/// `[steps.x.checkpoint]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointSpec {
    /// A regex with a group `path` and, if it likes, `step`; other groups are shown with the checkpoint.
    pub pattern: String,
    /// The variable that tells a new attempt where to go on from.
    pub resume_env: Option<String>,
    /// How often the program should save one; nothing follows from being late but that it is shown.
    pub every: Option<Duration>,
    /// A script for `sh -e` that must end with 0 before an attempt goes on from `$CHECKPOINT`. It may run more than once.
    pub verify: Option<String>,
    /// Older ones are removed once so many newer ones are good; at least 1.
    pub keep: Option<usize>,
    /// Sent before the program is asked to end, so that it saves one.
    pub save_signal: Option<i32>,
}

/// `on_unknown`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnUnknown {
    Ask,
    /// The step is declared safe to repeat.
    Rerun,
    /// A script for `sh -e`: 0 = it had finished, 10 = it had not happened, else ask.
    Probe {
        script: String,
    },
}
