//! The engine's socket: who connects, what is asked, who is told that something changed. Owns `engine.sock`.
//!
//! A client that does not read is dropped, never waited for. Only the owner's own uid is let in.

use std::io::IoSlice;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::Error;
use super::core::{Caller, Input};
use super::requests::{self, Answer};
use crate::clock::boottime_ms;
use crate::model::Principal;
use crate::state_dir;
use crate::wire::client::{Ask, Asked, EngineView, FromEngine, Greeting, Hello, LONGEST, VERSION};

/// A client must say who it is within this.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// A client that does not take an answer within this is dropped.
const PATIENCE: Duration = Duration::from_secs(10);
/// Clients at once, at most, and of the descriptors that this process may have at most one part in so many.
const MOST_CLIENTS: u64 = 1000;
const PART: u64 = 4;
/// Who has not said who he is says no more than this.
const LONGEST_HELLO: usize = 64 * 1024;
/// What is longer is read of a few clients at once, and has to come whole within [`PATIENCE`]: nobody's unfinished lines fill
/// the memory.
const LONG: usize = 256 * 1024;
const LONG_AT_ONCE: usize = 4;

/// Binds the socket; a stale one is replaced (the lock is held, so nobody else's can be live).
pub(super) fn listen(path: &Path) -> Result<UnixListener, Error> {
    drop(std::fs::remove_file(path));
    let reach = state_dir::reach(path).map_err(Error::io("cannot reach", path))?;
    let listener = std::os::unix::net::UnixListener::bind(reach.path()).map_err(Error::io("cannot listen on", path))?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .map_err(Error::io("cannot protect", path))?;
    listener.set_nonblocking(true).map_err(Error::io("cannot listen on", path))?;
    UnixListener::from_std(listener).map_err(Error::io("cannot listen on", path))
}

/// Lets clients in until the engine ends.
pub(super) async fn serve(
    listener: UnixListener,
    engine: EngineView,
    inputs: mpsc::UnboundedSender<Input>,
    changes: watch::Receiver<u64>,
) {
    let mut connection = 0;
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let seats = Arc::new(Semaphore::new(usize::try_from((files / PART).clamp(8, MOST_CLIENTS)).unwrap_or(8)));
    let long = Arc::new(Semaphore::new(LONG_AT_ONCE));
    loop {
        // Whoever comes when all are taken waits at the door. Nobody closes the semaphore.
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                connection += 1;
                let (engine, inputs, changes) = (engine.clone(), inputs.clone(), changes.clone());
                let long = Arc::clone(&long);
                tokio::spawn(async move {
                    let news = (inputs, changes);
                    if let Err(error) = client(stream, connection, engine, news, long).await {
                        tracing::debug!("a client was dropped: {error}");
                    }
                    drop(seat);
                });
            }
            Err(error) => {
                tracing::error!("no client can be let in: {error}");
                // No descriptor is left, mostly: the client still waits at the door, so asking at once would spin.
                crate::clock::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn client(
    stream: UnixStream,
    connection: u64,
    engine: EngineView,
    (inputs, mut changes): (mpsc::UnboundedSender<Input>, watch::Receiver<u64>),
    long: Arc<Semaphore>,
) -> std::io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    if uid != rustix::process::geteuid().as_raw() {
        return Err(std::io::Error::other(format!("uid {uid} is not the owner's")));
    }
    let (read, mut write) = stream.into_split();
    let mut lines = Lines { from: BufReader::new(read), longest: LONGEST_HELLO, long, reads_long: None };
    send(&mut write, &Greeting { v: VERSION, engine }, None).await?;
    let mut line = Vec::new();
    let hello = tokio::time::timeout(HANDSHAKE, lines.read(&mut line)).await;
    if !hello.map_err(std::io::Error::other)?? {
        return Ok(());
    }
    let hello: Hello = serde_json::from_slice(&line).map_err(std::io::Error::other)?;
    if hello.v != VERSION {
        let words = format!("this engine speaks version {VERSION} of the protocol, the client {}", hello.v);
        let answer =
            requests::usage(words, Some("use the same dogwatch for both: dogwatch engine stop, then try again"));
        return send(&mut write, &FromEngine::Answer { id: 0, result: answer.result }, None).await;
    }
    let by = Principal::Person(crate::gauge::plain::line(hello.principal.as_bytes()).chars().take(100).collect());
    let caller = Caller { by, connection };
    let mut lease = Lease { connection, inputs: inputs.clone(), taken: false };
    let mut subscribed = false;
    line = Vec::new();
    lines.longest = LONGEST;
    changes.mark_unchanged();
    loop {
        tokio::select! {
            more = lines.read(&mut line) => {
                if !more? {
                    return Ok(());
                }
                let asked = serde_json::from_slice::<Asked>(&line);
                // What a long one took is not kept for the next.
                line = Vec::new();
                lines.reads_long = None;
                let (id, answer) = match asked {
                    Ok(Asked { id, ask: Ask::Subscribe }) => {
                        subscribed = true;
                        (id, requests::done("subscribed"))
                    }
                    Ok(Asked { id, ask }) => {
                        lease.taken |= matches!(ask, Ask::Attach { readonly: false, .. });
                        (id, ask_core(&inputs, ask, caller.clone()).await)
                    }
                    Err(error) => (0, requests::usage(format!("the request is not understood: {error}"), None)),
                };
                let message = FromEngine::Answer { id, result: answer.result };
                send(&mut write, &message, answer.fd).await?;
            }
            news = changes.changed(), if subscribed => {
                if news.is_err() {
                    return Ok(());
                }
                let seq = *changes.borrow_and_update();
                send(&mut write, &FromEngine::Changed { seq }, None).await?;
            }
        }
    }
}

/// A connection that may have become the writer of a step: its end is told, however it ends.
struct Lease {
    connection: u64,
    inputs: mpsc::UnboundedSender<Input>,
    taken: bool,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.taken {
            // An engine that is ending lets go of everything with its next start.
            drop(self.inputs.send(Input::Left { connection: self.connection }));
        }
    }
}

async fn ask_core(inputs: &mpsc::UnboundedSender<Input>, ask: Ask, caller: Caller) -> Answer {
    let (answer, reply) = oneshot::channel();
    if inputs.send(Input::Asked { ask, caller, answer }).is_err() {
        return requests::refused("the engine is ending");
    }
    reply.await.unwrap_or_else(|_| requests::refused("the engine is ending"))
}

/// What a client says.
struct Lines {
    from: BufReader<OwnedReadHalf>,
    longest: usize,
    long: Arc<Semaphore>,
    /// The present line is a long one: the right to read it, and until when, in `CLOCK_BOOTTIME` milliseconds.
    reads_long: Option<(OwnedSemaphorePermit, i64)>,
}

impl Lines {
    /// Appends to `line` until a whole line is there, without its end; false at the end of the stream. Safe to be cancelled:
    /// what was read stays in `line`.
    async fn read(&mut self, line: &mut Vec<u8>) -> std::io::Result<bool> {
        loop {
            if line.len() > self.longest {
                return Err(std::io::Error::other("a line is too long"));
            }
            if line.len() > LONG && self.reads_long.is_none() {
                let permit = Arc::clone(&self.long).acquire_owned().await.map_err(std::io::Error::other)?;
                self.reads_long = Some((permit, boottime_ms().saturating_add_unsigned(PATIENCE.as_secs() * 1000)));
            }
            let buffered = match &self.reads_long {
                Some((_, until)) => {
                    let left = Duration::from_millis(u64::try_from(until - boottime_ms()).unwrap_or(0));
                    tokio::time::timeout(left, self.from.fill_buf()).await.map_err(std::io::Error::other)??
                }
                None => self.from.fill_buf().await?,
            };
            if buffered.is_empty() {
                return Ok(false);
            }
            let end = buffered.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(buffered.len());
            line.extend_from_slice(&buffered[..taken]);
            self.from.consume(taken + usize::from(end.is_some()));
            if end.is_some() {
                return if line.len() > self.longest {
                    Err(std::io::Error::other("a line is too long"))
                } else {
                    Ok(true)
                };
            }
        }
    }
}

/// Sends one line; a descriptor goes with its first byte.
async fn send(
    write: &mut tokio::net::unix::OwnedWriteHalf,
    message: &impl serde::Serialize,
    fd: Option<std::os::fd::OwnedFd>,
) -> std::io::Result<()> {
    let mut bytes = serde_json::to_vec(message)?;
    bytes.push(b'\n');
    let all = async {
        let mut from = 0;
        if let Some(fd) = fd {
            from = send_with(write.as_ref(), &bytes, &fd).await?;
        }
        write.write_all(&bytes[from..]).await
    };
    tokio::time::timeout(PATIENCE, all).await.map_err(std::io::Error::other)?
}

async fn send_with(stream: &UnixStream, bytes: &[u8], fd: &std::os::fd::OwnedFd) -> std::io::Result<usize> {
    stream
        .async_io(Interest::WRITABLE, || {
            let fds = [fd.as_fd()];
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
                return Err(std::io::Error::other("no room for a descriptor"));
            }
            Ok(rustix::net::sendmsg(stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
        })
        .await
}
