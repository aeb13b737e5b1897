//! How a verb ends: exit codes, exactly those of the documentation, and what is said when something went wrong.

use std::process::ExitCode;

use crate::client;
use crate::state_dir;
use crate::wire::client::{RefusalKind, RunState};

/// The exit codes. Scripts and agents rely on them: a number never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Good = 0,
    /// The run or step failed.
    Failed = 1,
    /// Usage or file error.
    Usage = 2,
    /// A person is needed.
    Person = 3,
    /// Stopped or rejected.
    Stopped = 4,
    /// No engine, or no such run.
    Nothing = 5,
    /// The state moved on, or it is not allowed.
    Refused = 6,
    TimedOut = 124,
    /// The client left; the run goes on.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// In the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Good,
        Self::Failed,
        Self::Usage,
        Self::Person,
        Self::Stopped,
        Self::Nothing,
        Self::Refused,
        Self::TimedOut,
        Self::Interrupted,
    ];

    /// For the manual.
    pub fn means(self) -> &'static str {
        match self {
            Self::Good => "Done and good.",
            Self::Failed => "The run or step failed; doctor found something that does not work.",
            Self::Usage => "Usage or file error.",
            Self::Person => "A person is needed (wait, watch, run --no-input).",
            Self::Stopped => "Stopped or rejected.",
            Self::Nothing => "No engine, or no such run, step or question.",
            Self::Refused => "Refused: the state moved on, or it is not allowed.",
            Self::TimedOut => "Timed out (wait).",
            Self::Interrupted => "Interrupted: you left, the run goes on.",
        }
    }

    /// Of a run that is in this state: `None` while it is not over.
    pub fn of_run(state: RunState) -> Option<Self> {
        match state {
            RunState::Succeeded => Some(Self::Good),
            RunState::Failed => Some(Self::Failed),
            RunState::Stopped | RunState::Rejected => Some(Self::Stopped),
            RunState::Running | RunState::Waiting | RunState::Paused | RunState::Stopping => None,
        }
    }

    /// Of a refusal.
    pub fn of_refusal(kind: RefusalKind) -> Self {
        match kind {
            RefusalKind::Usage => Self::Usage,
            RefusalKind::NotFound => Self::Nothing,
            RefusalKind::Refused => Self::Refused,
            RefusalKind::Internal => Self::Failed,
        }
    }
}

/// Why a verb could not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    /// What and why; may have several lines.
    pub words: String,
    /// What to do next.
    pub hint: Option<String>,
    /// The words say everything themselves, with their own beginning.
    pub(crate) whole: bool,
}

impl Failure {
    pub(crate) fn usage(words: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, words: words.into(), hint: Some(hint.into()), whole: false }
    }

    /// Words of another room that need no beginning.
    pub(crate) fn whole(exit: Exit, words: String) -> Self {
        Self { whole: true, ..Self::new(exit, words) }
    }

    pub(crate) fn new(exit: Exit, words: impl Into<String>) -> Self {
        Self { exit, words: words.into(), hint: None, whole: false }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The engine answered with something that this verb does not know.
    pub(crate) fn unexpected(what: &str) -> Self {
        Self::new(Exit::Failed, format!("the engine's answer to {what} is not understood"))
            .hint("is it of another version? dogwatch engine stop, and try again (steps go on)")
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        use client::Error as E;
        let words = error.to_string();
        match error {
            E::Refused(refusal) => {
                Self { exit: Exit::of_refusal(refusal.kind), words, hint: refusal.hint, whole: false }
            }
            E::NoEngine { .. } => Self::new(Exit::Nothing, words).hint("dogwatch engine start"),
            E::NotStarted { .. } => Self::new(Exit::Nothing, words).hint("dogwatch doctor says what is missing"),
            E::Foreign { .. } => Self::new(Exit::Refused, words),
            E::Gone { .. } | E::Silent { .. } | E::Stopped | E::Version { .. } | E::Garbled { .. } => {
                Self::new(Exit::Nothing, words)
            }
        }
    }
}

impl From<state_dir::Error> for Failure {
    fn from(error: state_dir::Error) -> Self {
        Self::new(Exit::Refused, error.to_string())
    }
}

/// Writing the result failed. A reader that went away (`| head`) is no failure.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Good, "");
        }
        Self::new(Exit::Failed, format!("the output cannot be written: {error}"))
    }
}
