//! The command line's grammar. Owns names and flags of verbs; does nothing.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The night watch for long-running engineering workflows.
#[derive(Debug, Parser)]
#[command(
    name = "dogwatch",
    version,
    about,
    max_term_width = 100,
    after_help = "RUN is a number (42), a name (tiny-lm), tiny-lm#42, a run's id or @last. STEP is train or 'train[lr=0.1]'.\n\
                  Exit codes: 0 done and good, 1 failed, 2 usage or file error, 3 a person is needed, 4 stopped or rejected,\n\
                  5 no engine or no such run, 6 refused, 124 timed out, 130 interrupted: the run goes on."
)]
pub struct Line {
    #[command(flatten)]
    pub flags: Flags,
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// Flags that every verb takes.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Flags {
    /// One JSON object; lists and streams as JSON lines
    #[arg(long, global = true)]
    pub json: bool,
    /// Only results and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// More about what is done
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Never ask: a question becomes an error or exit code 3
    #[arg(long, global = true)]
    pub no_input: bool,
    /// Answer simple yes-or-no questions with yes
    #[arg(long, global = true)]
    pub yes: bool,
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// Where dogwatch keeps its state (otherwise `$DOGWATCH_STATE_DIR`, `$XDG_STATE_HOME/dogwatch`)
    #[arg(long, global = true, value_name = "FOLDER")]
    pub state_dir: Option<PathBuf>,
    /// The socket of another engine, which is never started from here
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Your own file of settings and keys (otherwise `$XDG_CONFIG_HOME/dogwatch/config.toml`)
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The name that is recorded with what you decide (otherwise `ui.operator` of your own file, else you at the host that you come from)
    #[arg(long = "as", global = true, value_name = "NAME")]
    pub principal: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// The operator's screen (a bare `dogwatch` on a terminal opens it, too)
    Ui(Ui),
    /// Start a workflow; on a terminal open the screen
    Run(Run),
    /// Supervise one command, without a file
    Exec(Exec),
    /// What runs now
    Ps,
    /// The history of runs
    Runs {
        /// Only runs in this state
        #[arg(long, value_enum)]
        state: Option<StateArg>,
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// One run on one screen
    Status {
        #[arg(default_value = "@last")]
        run: String,
    },
    /// Follow a run; leaving stops nothing
    Watch {
        #[arg(default_value = "@last")]
        run: String,
        /// One line per event, also on a terminal
        #[arg(long)]
        plain: bool,
    },
    /// Block until something has happened
    Wait(Wait),
    /// The output of a step
    Logs(Logs),
    /// Put your terminal on a step; one key lets go
    Attach {
        run: String,
        step: String,
        /// Look, do not type
        #[arg(long)]
        readonly: bool,
        /// Type although somebody else does: his terminal is closed
        #[arg(long, conflicts_with = "readonly")]
        take_over: bool,
        #[command(flatten)]
        key: DetachKey,
    },
    /// Make whoever types into a step let go of it
    Detach { run: String, step: String },
    /// A shell beside a step: its environment, directory and variables
    Shell {
        run: String,
        step: String,
        #[command(flatten)]
        key: DetachKey,
    },
    /// What was seen of the checkpoints of a run, and what was kept of its environments
    Checkpoints(Checkpoints),
    /// The numbers that steps printed
    Metrics(Metrics),
    /// Say how it goes, from inside a step
    Report(Report),
    /// Give a run the value of a secret that it has lost, from standard input
    Secret(Secret),
    /// Remove containers, networks and images of dogwatch's that no run needs any more
    Gc {
        /// Remove nothing, say what would be removed
        #[arg(long)]
        dry_run: bool,
    },
    /// Questions that wait for a person
    Inbox,
    /// A question with its evidence and choices
    Show {
        /// e7 or 7
        #[arg(value_name = "ID", value_parser = escalation)]
        escalation: u64,
    },
    /// Answer a question
    Decide {
        /// e7 or 7
        #[arg(value_name = "ID", value_parser = escalation)]
        escalation: u64,
        /// A choice's word or number, as shown
        choice: String,
        /// Why; recorded with the decision
        #[arg(short, long)]
        message: Option<String>,
        /// The run's name, where the choice ends the run
        #[arg(long, value_name = "RUN")]
        confirm: Option<String>,
        /// The same answer to every question of the run that asks the same
        #[arg(long, conflicts_with = "confirm")]
        all_like_this: bool,
        /// It holds for the same failure in the rest of this run, too
        #[arg(long, conflicts_with = "confirm")]
        for_run: bool,
        /// Decide nothing: print the rule that would always answer so
        #[arg(long, conflicts_with_all = ["confirm", "all_like_this", "for_run", "message"])]
        as_rule: bool,
    },
    /// Take back an answer that has not taken effect yet
    Undo {
        /// e7 or 7
        #[arg(value_name = "ID", value_parser = escalation)]
        escalation: u64,
    },
    /// Approve an open gate
    Approve(GateArgs),
    /// Reject an open gate
    Reject(GateArgs),
    #[command(flatten)]
    Control(Control),
    /// Check workflow files
    Validate { files: Vec<PathBuf> },
    /// Show what depends on what
    Graph {
        file: Option<PathBuf>,
        #[arg(long, value_enum, default_value_t = GraphFormat::Ascii)]
        format: GraphFormat,
    },
    /// Why an attempt of a step failed, by which line, and what was decided
    Why {
        run: String,
        step: String,
        /// This attempt (otherwise the newest that failed)
        #[arg(long, value_name = "N")]
        attempt: Option<u32>,
    },
    /// Who was told by [[notify]] of what, and why not
    Notices {
        /// Of this run only
        run: Option<String>,
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Try each [[notify]] rule of a workflow file: a test is told now
    Notify {
        #[arg(long, value_name = "FILE")]
        test: PathBuf,
    },
    /// Say why a saved log failed, and what to do
    Diagnose(Diagnose),
    /// The JSON Schema of the workflow file
    Schema,
    /// Make a new journal of the runs' folders, when the old one is damaged
    Recover,
    /// Whether this machine has what dogwatch needs, and what to do
    Doctor,
    /// Your own file: theme, name, keys
    Config {
        #[command(subcommand)]
        verb: ConfigVerb,
    },
    /// What your shell is to read to complete words, runs, steps and questions among them
    Completions {
        #[arg(value_enum)]
        shell: crate::cli::complete::Shell,
    },
    /// The manual, with every verb and flag
    Man,
    /// The one background engine
    Engine {
        #[command(subcommand)]
        verb: EngineVerb,
    },
    #[command(flatten)]
    Inner(Inner),
}

/// `diagnose`.
#[derive(Debug, Args)]
pub struct Diagnose {
    /// A log, or `-` for standard input
    pub file: PathBuf,
    /// How it ended, as the shell tells it in $?
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(-64..=255), allow_negative_numbers = true)]
    pub exit_code: Option<i32>,
    /// The signal that ended it: KILL, SIGTERM, 11
    #[arg(long, value_name = "NAME", value_parser = signal)]
    pub signal: Option<i32>,
    /// The kernel ended it for want of memory
    #[arg(long)]
    pub oom: bool,
    /// Judge with the [[rules]] of this workflow file, too
    #[arg(long, value_name = "FILE")]
    pub workflow: Option<PathBuf>,
}

fn signal(text: &str) -> Result<i32, String> {
    crate::config::signal(text).ok_or_else(|| "there is no such signal; write KILL, SIGTERM or 11".into())
}

/// Orders: one request each, done or refused by the engine.
#[derive(Debug, Subcommand)]
pub enum Control {
    /// Type a line into a step
    Send {
        run: String,
        step: String,
        text: String,
        /// Press Enter after it (this is the default)
        #[arg(long, overrides_with = "no_enter")]
        enter: bool,
        /// Only the text
        #[arg(long)]
        no_enter: bool,
    },
    /// Say that a step is done: fixed by hand
    Done {
        run: String,
        step: String,
        /// Why; recorded
        #[arg(short, long)]
        message: String,
    },
    /// Run a step again
    Retry {
        run: String,
        step: String,
        /// Where to begin: start, checkpoint (the newest), or one of its checkpoints: a path, the end of one, or its number
        /// (without it: the newest checkpoint where there is one)
        #[arg(long, value_name = "WHERE", value_parser = retry_from)]
        from: Option<RetryFrom>,
        #[arg(short, long)]
        message: Option<String>,
    },
    /// Go on without a step
    Skip {
        run: String,
        step: String,
        #[arg(short, long)]
        message: Option<String>,
    },
    /// Stop a run, or one step of it; a stopped run can be resumed
    Stop { run: String, step: Option<String> },
    /// Start nothing new; running steps go on
    Pause { run: String },
    /// Go on after a pause
    Unpause { run: String },
    /// Go on with a run that is over: stopped or failed, or succeeded and wanted again with --from
    Resume {
        run: String,
        /// Run this step and what comes after it again
        #[arg(long, value_name = "STEP")]
        from: Option<String>,
        /// With --from: go on from this checkpoint of STEP: a path, the end of one, or its number
        #[arg(long, value_name = "WHICH", requires = "from")]
        checkpoint: Option<String>,
    },
}

/// Entries of the same binary that dogwatch starts itself.
#[derive(Debug, Subcommand)]
pub enum Inner {
    #[command(hide = true)]
    Complete(crate::cli::complete::Asked),
    #[command(hide = true)]
    Keep(crate::keep::KeepArgs),
    #[command(hide = true)]
    Shim,
    #[command(hide = true)]
    View(crate::shim::view::ViewArgs),
    #[command(hide = true)]
    Porter(crate::environment::porter::PorterArgs),
    #[command(hide = true)]
    Peek(crate::peek::PeekArgs),
}

#[derive(Debug, Default, Args)]
pub struct Ui {
    /// The run to look at; without it the one that needs somebody most
    pub run: Option<String>,
    /// Look; nothing can be changed
    #[arg(long)]
    pub readonly: bool,
    /// The colours: default, okabe-ito, high-contrast
    #[arg(long, value_name = "NAME")]
    pub theme: Option<String>,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct Run {
    /// Without it `dogwatch.toml`, or the only `*.dogwatch.toml` of this folder
    pub file: Option<PathBuf>,
    /// A parameter of the workflow
    #[arg(short, long = "param", value_name = "KEY=VALUE", value_parser = pair)]
    pub param: Vec<(String, String)>,
    /// Start it and come back at once
    #[arg(short, long)]
    pub detach: bool,
    /// Follow with a short summary instead of opening the screen
    #[arg(long)]
    pub follow: bool,
    /// Show what would be done; start nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Only this step; what it needs is taken as there (may be repeated)
    #[arg(long, value_name = "STEP", conflicts_with = "from")]
    pub only: Vec<String>,
    /// This step and what comes after it
    #[arg(long, value_name = "STEP")]
    pub from: Option<String>,
    /// Run every step, also where the result of an earlier run stands for it
    #[arg(long)]
    pub no_cache: bool,
    /// Instead of the workflow's own name
    #[arg(long)]
    pub name: Option<String>,
    /// The same file, steps and parameters as this run had, but for those given
    #[arg(long, value_name = "RUN", conflicts_with_all = ["file", "dry_run", "only", "from", "name"])]
    pub again: Option<String>,
}

#[derive(Debug, Args)]
pub struct Exec {
    #[arg(long)]
    pub name: Option<String>,
    /// Start it and come back at once
    #[arg(short, long)]
    pub detach: bool,
    /// Follow with a short summary instead of opening the screen
    #[arg(long)]
    pub follow: bool,
    /// The command and its arguments; no shell looks at them
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Wait {
    pub run: String,
    pub step: Option<String>,
    /// What to wait for; the first that happens ends the wait
    /// (done, escalation, checkpoint, "metric loss<2")
    #[arg(long = "for", value_parser = condition, value_delimiter = ',', default_value = "done,escalation")]
    pub conditions: Vec<Condition>,
    /// Give up after this long: 90s, 50m, 2h30m
    #[arg(long, value_parser = duration)]
    pub timeout: Option<std::time::Duration>,
}

/// What `wait` waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    Done,
    Escalation,
    Checkpoint,
    /// The newest value of a metric makes this hold.
    Metric(String),
}

fn condition(text: &str) -> Result<Condition, String> {
    match text {
        "done" => Ok(Condition::Done),
        "escalation" => Ok(Condition::Escalation),
        "checkpoint" => Ok(Condition::Checkpoint),
        other => {
            let Some(source) = other.strip_prefix("metric ") else {
                return Err("it is done, escalation, checkpoint or \"metric loss<2\"".into());
            };
            crate::gauge::alert::Condition::new(source).map_err(|error| error.to_string())?;
            Ok(Condition::Metric(source.into()))
        }
    }
}

#[derive(Debug, Args)]
pub struct Logs {
    pub run: String,
    pub step: String,
    /// Go on with what comes
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last N lines
    #[arg(long, value_name = "N")]
    pub tail: Option<usize>,
    /// Only what came in the last 10m, 2h
    #[arg(long, value_parser = duration)]
    pub since: Option<std::time::Duration>,
    /// Only lines that match
    #[arg(long, value_name = "RE")]
    pub grep: Option<String>,
    /// Without it the newest
    #[arg(long, value_name = "N")]
    pub attempt: Option<u32>,
    /// The bytes as the step wrote them: they can control your terminal
    #[arg(long, conflicts_with_all = ["grep", "json"])]
    pub raw: bool,
}

#[derive(Debug, Args)]
pub struct DetachKey {
    /// The key that lets go: ctrl-a to ctrl-z, ctrl-], ctrl-\, ctrl-^, ctrl-_ (otherwise `ui.detach` of your own file, else ctrl-])
    #[arg(
        long,
        value_name = "KEY",
        env = "DOGWATCH_DETACH_KEY",
        value_parser = crate::faces::detach::Key::parse
    )]
    pub detach_key: Option<crate::faces::detach::Key>,
}

#[derive(Debug, Args)]
pub struct GateArgs {
    /// A question's number (e7 or 7), or a run
    #[arg(value_name = "ID|RUN")]
    pub what: String,
    /// With a run: the step whose gate is meant
    pub step: Option<String>,
    /// Why; recorded with the decision
    #[arg(short, long)]
    pub message: Option<String>,
    /// The workflow's name, where the gate wants it typed
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
}

/// Where a step begins again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryFrom {
    Checkpoint,
    Start,
    /// A checkpoint, by its path, the end of that, or its number.
    Which(String),
}

fn retry_from(text: &str) -> Result<RetryFrom, String> {
    match text {
        "" => Err("write start, checkpoint, or the path or the number of one".into()),
        "checkpoint" => Ok(RetryFrom::Checkpoint),
        "start" => Ok(RetryFrom::Start),
        which => Ok(RetryFrom::Which(which.into())),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    Ascii,
    Mermaid,
    Json,
}

/// `secret`.
#[derive(Debug, Args)]
pub struct Secret {
    pub run: String,
    /// As [secrets] of the workflow names it
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Take the value of the variable of this name
    #[arg(long)]
    pub from_env: bool,
}

/// `metrics`.
#[derive(Debug, Args)]
pub struct Metrics {
    #[arg(value_name = "RUN", default_value = "@last")]
    pub run: String,
    #[arg(value_name = "STEP")]
    pub step: Option<String>,
    /// Only this one
    #[arg(long)]
    pub name: Option<String>,
    /// Every point, as comma-separated values
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
}

/// `report`.
#[derive(Debug, Args)]
pub struct Report {
    #[command(subcommand)]
    pub what: ReportVerb,
}

/// What a program says of itself.
#[derive(Debug, Subcommand)]
pub enum ReportVerb {
    /// How far it is
    Progress {
        /// 3/10 or 30%
        done: String,
    },
    /// Numbers; one that is called `step` says where they belong
    Metric {
        /// loss=0.5 step=40
        #[arg(required = true, value_name = "NAME=VALUE")]
        pairs: Vec<String>,
    },
    /// Something for people: it stands in the run's journal and in its written record
    Note {
        /// One line
        #[arg(required = true)]
        text: Vec<String>,
    },
    /// That it has saved one
    Checkpoint {
        path: String,
        /// As the program counts
        #[arg(long)]
        step: Option<i64>,
    },
}

/// `checkpoints`.
#[derive(Debug, Clone, clap::Args)]
pub struct Checkpoints {
    #[arg(default_value = "@last")]
    pub run: String,
    /// verify: is it all there, and good? pin, unpin: what STEP saved, or what was kept after it; prune: remove what STEP
    /// saved and nothing needs, without STEP what was kept of environments
    #[arg(value_enum)]
    pub what: Option<CheckpointsVerb>,
    /// Whose; needed for pin and unpin
    #[arg(required_if_eq_any = [("what", "pin"), ("what", "unpin")])]
    pub step: Option<String>,
    /// Which of its checkpoints: a path, the end of one, or its number
    pub which: Option<String>,
    /// For prune: also the newest of each environment
    #[arg(long)]
    pub all: bool,
    /// For prune: remove nothing, say what would be removed
    #[arg(long)]
    pub dry_run: bool,
}

/// What to do about checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckpointsVerb {
    Verify,
    Pin,
    Unpin,
    Prune,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StateArg {
    Running,
    Waiting,
    Paused,
    Stopping,
    Succeeded,
    Failed,
    Stopped,
    Rejected,
}

#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Where it is
    Path,
    /// What holds, and what says so
    Show,
    /// Open it in $VISUAL or $EDITOR; it is checked before it holds
    Edit,
}

#[derive(Debug, Subcommand)]
pub enum EngineVerb {
    /// Start it (every command that needs it does so by itself)
    Start,
    /// End it; steps go on, and do not start it again
    Stop,
    /// Whether it runs
    Status,
    /// Its own log
    Logs {
        #[arg(short, long)]
        follow: bool,
        #[arg(long, value_name = "N", default_value_t = 50)]
        tail: usize,
    },
    /// Have it started after a reboot, as a systemd user service
    Enable,
    #[command(hide = true)]
    Run {
        /// Leave the terminal and the caller first
        #[arg(long)]
        background: bool,
    },
}

/// `7` or `e7`.
pub fn escalation(text: &str) -> Result<u64, String> {
    text.strip_prefix('e')
        .unwrap_or(text)
        .parse()
        .map_err(|_| "a question's number is written e7 or 7; see: dogwatch inbox".into())
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("written as KEY=VALUE, for example: -p epochs=5".into()),
    }
}

/// `90s`, `50m`, `2h30m`, `1d`; a bare number is refused, because nobody knows its unit.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    let wrong = || format!("{text:?} is no duration; written as 90s, 50m, 2h30m or 1d");
    let mut total = 0u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let count: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let unit = match &rest[..letters] {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        rest = &rest[letters..];
        total = count.checked_mul(unit).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
    }
    if text.is_empty() {
        return Err(wrong());
    }
    Ok(std::time::Duration::from_millis(total))
}
