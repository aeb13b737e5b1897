//! The engine's conversation with one keeper, and what its answers about an attempt mean.
//! Owns the connection: handshake, numbering, deadlines, received descriptors. It may never decide anything about an
//! attempt beyond the look-up table of [`verdict`], and never take silence for an answer: a keeper that does not reply
//! in time is [`AskError::Unreachable`], one whose connection has ended is [`AskError::Gone`].

mod connection;
mod handshake;
mod socket;
mod verdict;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::wire::keeper::{Ask, Event, Outcome, Reply, WITH_SECRETS};
use crate::wire::spoken::Spoken;
pub use verdict::{Intent, Verdict, Why, verdict};

/// Deadline of an ask that has none of its own.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens: the environment is not there (any more).
    #[error("no keeper listens in {dir}: {source}", dir = dir.display())]
    Nobody { dir: std::path::PathBuf, source: std::io::Error },
    /// Somebody listens but did not get through the handshake in time.
    #[error("the keeper in {dir} did not answer within {} s", PATIENCE.as_secs(), dir = dir.display())]
    Unreachable { dir: std::path::PathBuf },
    /// Whoever listens could not prove that it knows the environment's secret.
    #[error("what listens in {dir} is not this environment's keeper: its proof is wrong", dir = dir.display())]
    Impostor { dir: std::path::PathBuf },
    /// The keeper refuses this engine, in its words.
    #[error("the keeper refuses: {0}")]
    Refused(String),
    /// A keeper of another build of dogwatch, and there is no version of the protocol that both speak.
    #[error(
        "its environment was started by {age} dogwatch (it speaks {theirs} of the protocol, this one {ours}): what runs \
         there goes on, and nothing can be started or stopped there but by that dogwatch; start its engine again, or let \
         the run end"
    )]
    OtherBuild { age: &'static str, theirs: Spoken, ours: Spoken },
    /// It speaks, but not this protocol.
    #[error("the keeper in {dir} is not understood: {what}", dir = dir.display())]
    Protocol { dir: std::path::PathBuf, what: String },
}

/// Why an ask has no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The connection has ended: connect again, or ensure the environment again. Whether the ask had its effect is
    /// not known; every ask with an effect may be repeated.
    #[error("the connection to the keeper has ended")]
    Gone,
    /// No reply in time. The connection is still open; a late reply is dropped.
    #[error("the keeper did not answer within {0} ms")]
    Unreachable(u64),
    /// The keeper said no, in words fit for the operator.
    #[error("{0}")]
    Refused(String),
    /// A reply that this ask cannot have.
    #[error("the keeper gave an answer that does not fit: {0}")]
    Unfit(String),
}

/// A keeper that has proven itself. Clones share the connection; it ends with the last of them.
#[derive(Debug, Clone)]
pub struct Keeper {
    asks: mpsc::Sender<connection::Order>,
    boot_id: std::sync::Arc<str>,
    pid: u32,
    version: u32,
}

impl Keeper {
    /// Connects to `keeper.sock` in the environment's directory and proves both sides. The events end when the
    /// connection does. Nobody may leave them unread for long: while 1,024 wait, no reply is read either.
    pub async fn connect(dir: &Path, secret: &[u8; 32], epoch: u64) -> Result<(Self, mpsc::Receiver<Event>), Error> {
        let shaken = tokio::time::timeout(PATIENCE, handshake::shake(dir, secret, epoch)).await;
        let shaken = shaken.map_err(|_| Error::Unreachable { dir: dir.to_owned() })??;
        let (events, seen) = mpsc::channel(1024);
        let (asks, orders) = mpsc::channel(256);
        tokio::spawn(connection::run(shaken.socket, orders, events));
        let (version, greeting) = (shaken.version, shaken.greeting);
        Ok((Self { asks, boot_id: greeting.boot_id.into(), pid: greeting.pid, version }, seen))
    }

    /// The boot id of the environment's host.
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// The keeper's number as it counts itself: 1 in a sandbox.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// It hands secrets on, and its shims hide them.
    pub fn hides_secrets(&self) -> bool {
        self.version >= WITH_SECRETS
    }

    /// Asks and waits for the reply.
    pub async fn ask(&self, ask: Ask) -> Result<Reply, AskError> {
        let (reply, _) = self.exchange(ask).await?;
        Ok(reply)
    }

    /// Asks for a terminal: the master's descriptor, closed on exec.
    pub async fn ask_pty(&self, ask: Ask) -> Result<OwnedFd, AskError> {
        match self.exchange(ask).await? {
            (Reply::Pty, Some(fd)) => Ok(fd),
            (Reply::Pty, None) => Err(AskError::Unfit("a terminal without a descriptor".into())),
            (other, _) => Err(AskError::Unfit(format!("{other:?} instead of a terminal"))),
        }
    }

    async fn exchange(&self, ask: Ask) -> Result<(Reply, Option<OwnedFd>), AskError> {
        let patience = patience(&ask);
        let (answer, answered) = oneshot::channel();
        let exchange = async {
            self.asks.send(connection::Order { ask, answer }).await.map_err(|_| AskError::Gone)?;
            answered.await.map_err(|_| AskError::Gone)?
        };
        let late = || AskError::Unreachable(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX));
        let (outcome, fd) = tokio::time::timeout(patience, exchange).await.map_err(|_| late())??;
        match outcome {
            Outcome::Reply(reply) => Ok((reply, fd)),
            Outcome::Refused(why) => Err(AskError::Refused(why)),
        }
    }
}

/// How long this ask may take.
fn patience(ask: &Ask) -> Duration {
    if let Ask::Run { timeout_ms, .. } = ask { PATIENCE + Duration::from_millis(*timeout_ms) } else { PATIENCE }
}
