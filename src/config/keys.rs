//! Every key of the file format, table by table: supported, or known and not supported yet, with what to do instead.
//!
//! A key that is not here is a mistake of the writer. A test holds this list against the schema and the whole example.

/// A table of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    Workflow,
    Param,
    Secret,
    Environment,
    Mount,
    Defaults,
    Retry,
    Step,
    Output,
    Checkpoint,
    Approval,
    Rule,
    Match,
    Alternative,
    Notify,
    Wait,
    Progress,
    Metric,
    Alert,
    /// A rule that judges failures.
    Judging,
    /// A limit that a rule raises.
    Raise,
    Escalation,
    WaitFor,
    Poll,
    Readiness,
}

/// A key of the format that this version refuses.
#[derive(Debug, Clone, Copy)]
pub struct NotYet {
    pub key: &'static str,
    /// What to do.
    pub hint: &'static str,
}

const fn not_yet(key: &'static str, hint: &'static str) -> NotYet {
    NotYet { key, hint }
}

impl Kind {
    /// All tables.
    pub const ALL: [Self; 26] = [
        Self::File,
        Self::Workflow,
        Self::Param,
        Self::Secret,
        Self::Environment,
        Self::Mount,
        Self::Defaults,
        Self::Retry,
        Self::Step,
        Self::Output,
        Self::Checkpoint,
        Self::Approval,
        Self::Rule,
        Self::Match,
        Self::Alternative,
        Self::Notify,
        Self::Wait,
        Self::Progress,
        Self::Metric,
        Self::Alert,
        Self::Judging,
        Self::Raise,
        Self::Escalation,
        Self::WaitFor,
        Self::Poll,
        Self::Readiness,
    ];

    /// Keys that are supported.
    #[expect(clippy::too_many_lines, reason = "it is a table")]
    pub const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::File => &[
                "version",
                "workflow",
                "params",
                "env",
                "secrets",
                "environment",
                "environments",
                "defaults",
                "steps",
                "notify",
                "rules",
            ],
            Self::Workflow => &["name", "description", "max_parallel", "timeout", "autonomy"],
            Self::Param => &["type", "default", "description", "choices", "min", "max"],
            Self::Secret => &["from", "name", "path", "run"],
            Self::Environment => &[
                "workspace",
                "isolation",
                "mounts",
                "image",
                "pull",
                "cpus",
                "memory",
                "shm",
                "gpus",
                "network",
                "user",
                "caps",
                "ulimits",
                "read_only",
                "keep",
            ],
            Self::Mount => &["source", "target", "readonly"],
            Self::Defaults => &["timeout", "grace", "retry", "allow_failure", "on_unknown", "autonomy", "escalation"],
            Self::Retry => &["max_attempts", "delay", "backoff", "max_delay", "jitter"],
            Self::Step => &[
                "description",
                "needs",
                "environment",
                "image",
                "fresh",
                "snapshot",
                "run",
                "if",
                "env",
                "secrets",
                "inputs",
                "outputs",
                "verify",
                "matrix",
                "timeout",
                "grace",
                "retry",
                "allow_failure",
                "checkpoint",
                "on_failure",
                "alternatives",
                "autonomy",
                "on_unknown",
                "probe",
                "wait",
                "progress",
                "metrics",
                "alerts",
                "escalation",
                "approval",
                "wait_for",
                "service",
                "readiness_probe",
                "gpus",
                "cpus",
                "memory",
            ],
            Self::Output => &["path", "cache"],
            Self::Checkpoint => &["pattern", "resume_env", "verify", "every", "keep", "save_signal"],
            Self::Approval => &["prompt", "show", "timeout", "on_timeout", "remind", "confirm"],
            Self::Rule => &["name", "match", "action", "retry", "use", "change"],
            Self::Match => &["class", "output", "exit_code", "signal"],
            Self::Alternative => &["description", "run", "env", "timeout", "requires_approval"],
            Self::Notify => &["on", "command", "url", "remind"],
            Self::Wait => &["poll", "stall_after", "on_stall", "quiet"],
            Self::Progress => &["pattern"],
            Self::Metric => &["pattern", "file", "x"],
            Self::Alert => &["when", "action", "message"],
            Self::Raise => &["by", "max"],
            Self::Escalation => &["timeout", "on_timeout", "remind"],
            Self::Judging => &[
                "id",
                "class",
                "role",
                "pattern",
                "needs",
                "unless",
                "within",
                "exit_code",
                "signal",
                "action",
                "strength",
                "soft",
                "despite_success",
                "example",
                "means",
            ],
            Self::WaitFor => &["http", "tcp", "file", "command", "poll"],
            Self::Poll => &["min", "max"],
            Self::Readiness => &["http", "tcp", "command", "period", "failure_threshold"],
        }
    }

    /// Keys of the format that are not supported yet.
    pub const fn not_yet(self) -> &'static [NotYet] {
        match self {
            Self::File => FILE,
            Self::Step => STEP,
            Self::Output => OUTPUT,
            Self::Approval => APPROVAL,
            Self::Rule => RULE,
            Self::Workflow
            | Self::Param
            | Self::Secret
            | Self::Environment
            | Self::Mount
            | Self::Retry
            | Self::Match
            | Self::Checkpoint
            | Self::Alternative
            | Self::Notify
            | Self::Progress
            | Self::Metric
            | Self::Alert
            | Self::Judging
            | Self::Raise
            | Self::Escalation
            | Self::Wait
            | Self::WaitFor
            | Self::Poll
            | Self::Readiness
            | Self::Defaults => &[],
        }
    }

    /// The supported or known key that is most like `key`, when one is like it.
    pub fn nearest(self, key: &str) -> Option<&'static str> {
        nearest(key, self.keys().iter().copied().chain(self.not_yet().iter().map(|not_yet| not_yet.key)))
    }
}

/// The one of `names` that is most like `word`, when one is like it at all.
pub(super) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    names
        .filter_map(|name| {
            // What is much longer or shorter is not measured.
            if word.len() > name.len() * 3 || name.len() > word.len() * 3 {
                return None;
            }
            let distance = strsim::damerau_levenshtein(&word, name);
            let longest = word.chars().count().max(name.chars().count());
            let begins = word.len() >= 3 && (name.starts_with(&word) || word.starts_with(name) && name.len() >= 3);
            let part = name.split('_').any(|part| part.len() > 4 && strsim::damerau_levenshtein(&word, part) <= 1);
            let close = distance * 3 <= longest || begins || part || longest <= 4 && distance == 1;
            close.then_some((distance, name))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

const FILE: &[NotYet] =
    &[not_yet("agents", "remove it"), not_yet("on", "remove it; a last step with `needs` can do the same")];

const STEP: &[NotYet] = &[
    not_yet("agent", "remove the step, or start the agent's command in `run`"),
    not_yet("agent_input", "remove it"),
    not_yet("prompt", "remove it; for a question to a person use [steps.x.approval] with `prompt`"),
    not_yet("requires_approval", "remove it; a step with [steps.x.approval] asks before what needs it"),
    not_yet("confirm", "remove it; a step with [steps.x.approval] asks before what needs it"),
];

const OUTPUT: &[NotYet] = &[not_yet("format", "remove it; an output is its path")];

const APPROVAL: &[NotYet] =
    &[not_yet("input", "remove it; an answer can carry a note: dogwatch approve RUN STEP -m TEXT")];

const RULE: &[NotYet] = &[not_yet("message", "remove it; `name` is shown with the question")];
