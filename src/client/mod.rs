//! The way to the engine for every face: connect, ask, be told of changes, receive a terminal, come back after a crash.
//! Synchronous; decides nothing and shows nothing.
//!
//! * [`Client`]: one connection.
//! * [`Who`]: who asks.
//! * [`Link`]: a connection that survives the engine: for verbs that follow something.
//! * [`start_engine`], [`stop_engine`]: the one background engine of this state directory.

mod build;
mod connection;
mod engine;
mod link;
mod who;

pub use connection::{Client, Wake};
pub use engine::{CANNOT_START, LogFollower, Place, log_tail, start_engine, stop_engine};
pub use link::Link;
pub use who::Who;

use std::path::PathBuf;
use std::time::Duration;

use crate::wire::client::Refusal;

/// How long whoever follows a run waits before it asks again, when the last time took so long: a run of thousands of steps is
/// much to tell, and the engine has other work. At most a fifth of all time is spent on one who follows; nobody is told later
/// than after a second.
pub fn rest(took: Duration) -> Duration {
    took.saturating_mul(4).min(Duration::from_secs(1))
}

/// Why the engine could not be asked, or what it refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no engine answers at {}: {source}", socket.display())]
    NoEngine { socket: PathBuf, source: std::io::Error },
    #[error("the engine at {} belongs to user id {owner}, and you are {me}: nothing was said to it", socket.display())]
    Foreign { socket: PathBuf, owner: u32, me: u32 },
    #[error(
        "the engine speaks version {theirs} and this dogwatch version {ours}; end it with: dogwatch engine stop (steps go on)"
    )]
    Version { theirs: u32, ours: u32 },
    #[error("the engine said something that is not understood ({what}); look at: dogwatch engine logs")]
    Garbled { what: String },
    /// The connection broke: the engine ended or was killed.
    #[error("the engine went away ({why}); steps go on without it")]
    Gone { why: String },
    #[error(
        "the engine (pid {pid}) did not answer within {seconds} s: it is busy or frozen, and steps go on without it; look \
         at: dogwatch engine logs; a frozen one is ended with: kill -9 {pid}, and the next command starts another"
    )]
    Silent { seconds: u64, pid: u32 },
    #[error("the engine could not be started: {why}{}", tail_of(tail))]
    NotStarted { why: String, tail: Vec<String> },
    #[error("the engine was stopped on purpose; start it with: dogwatch engine start")]
    Stopped,
    #[error("{}", .0.words)]
    Refused(Refusal),
}

impl Error {
    /// Whether it may be better after the engine came back.
    pub fn passing(&self) -> bool {
        matches!(self, Self::NoEngine { .. } | Self::Gone { .. })
    }
}

fn tail_of(tail: &[String]) -> String {
    if tail.is_empty() {
        return String::new();
    }
    format!("\n  its last lines:\n    {}", tail.join("\n    "))
}
