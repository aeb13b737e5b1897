//! The one background engine of a user: events -> journal -> fold -> owed -> hands.
//!
//! Owns the order in which things happen, the lock, the sockets and the hands that carry out effects. It may never
//! decide what follows from a fact: that is the mind's. Faces are clients of its socket; closing one stops nothing.
//!
//! * [`core`]: the loop, the only place where order matters.
//! * [`adopt`]: what is found of attempts after any crash.
//! * [`hands`]: one actor per environment of a run, talking to its keeper: what it is given, how it gets hold of the environment,
//!   what a container needs besides, an environment made anew, kept and closed.
//! * [`sites`]: the environments of a run, and what a step waits for.
//! * [`ended`]: from an exit record and a log to a fact; [`diagnose`]: what the judge of its failure is told.
//! * [`watch`]: checkpoints as they are printed.
//! * [`vault`]: the values of secrets while a run needs them.
//! * [`notices`]: telling people outside.
//! * [`rebuild`]: a new journal where the old one is damaged.
//! * [`hub`]: the socket; [`requests`]: what clients ask; [`begin`]: how a run begins; [`views`]: what they are shown.

mod adopt;
mod begin;
mod cached;
mod core;
mod diagnose;
mod ended;
mod hands;
mod hub;
mod lock;
mod lookout;
mod notices;
mod rebuild;
mod requests;
mod saved;
mod sites;
mod space;
mod start;
mod vault;
mod views;
mod watch;

use std::process::ExitCode;

pub use notices::trial;
pub use rebuild::{Rebuilt, rebuild};
pub use start::{DaemonArgs, main};

/// What is wrong with the journal at this path, if anything is; it is neither changed nor made.
pub fn flaw_of_journal(path: &std::path::Path) -> Option<String> {
    crate::journal::Journal::flaw(path)
}

/// Why the engine cannot do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    StateDir(#[from] crate::state_dir::Error),
    #[error("another engine is at work: {0}")]
    Owned(String),
    #[error(transparent)]
    Journal(#[from] crate::journal::Error),
    #[error("{what} {path}: {source}")]
    Io { what: &'static str, path: String, source: std::io::Error },
}

impl Error {
    fn io(what: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Io { what, path, source }
    }

    /// The command line's exit code for it.
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Owned(_) => ExitCode::from(6),
            Self::StateDir(_) => ExitCode::from(2),
            Self::Journal(_) | Self::Io { .. } => ExitCode::FAILURE,
        }
    }
}
