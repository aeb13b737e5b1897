//! One connection to the engine: handshake, numbered requests, changes, received descriptors. Blocks, always with a
//! deadline; never reconnects and never repeats a request by itself.

use std::collections::VecDeque;
use std::io::{IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde::de::DeserializeOwned;

use super::build::other_build;
use super::{Error, Who};
use crate::clock::boottime_ms;
use crate::state_dir::reach;
use crate::wire::client::{
    Ask, Asked, EngineView, FromEngine, Greeting, Hello, LONGEST, Refusal, RefusalKind, Reply, Result as Answer,
    VERSION,
};

/// A greeting that takes longer means that the engine is stuck.
const GREETING: Duration = Duration::from_secs(5);
/// An answer that takes longer means that the engine is stuck; making an environment is part of some.
const ANSWER: Duration = Duration::from_secs(60);

/// A connection to the engine.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    unread: Vec<u8>,
    /// So much of it holds no end of a line.
    searched: usize,
    descriptors: VecDeque<OwnedFd>,
    next: u64,
    changed: Option<u64>,
    engine: EngineView,
    /// How long an answer may take.
    patience: Duration,
}

/// Why [`Client::wait`] came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Something was recorded; the newest number.
    Changed(u64),
    /// The descriptor at this place can be read, or was hung up.
    Other(usize),
    TimedOut,
}

impl Client {
    /// Connects to the engine's socket and shakes hands.
    pub fn connect(socket: &Path, who: &Who) -> Result<Self, Error> {
        Self::reaching(socket, who, GREETING, ANSWER)
    }

    /// As [`Client::connect`], for who waits no longer than this for anything.
    pub fn connect_within(socket: &Path, who: &Who, patience: Duration) -> Result<Self, Error> {
        Self::reaching(socket, who, patience, patience)
    }

    fn reaching(socket: &Path, who: &Who, greeting: Duration, patience: Duration) -> Result<Self, Error> {
        let unreachable = |source| Error::NoEngine { socket: socket.into(), source };
        let way = reach(socket).map_err(unreachable)?;
        let stream = UnixStream::connect(way.path()).map_err(unreachable)?;
        let peer = rustix::net::sockopt::socket_peercred(&stream).map_err(|errno| unreachable(errno.into()))?;
        let owner = peer.uid.as_raw();
        let me = rustix::process::geteuid().as_raw();
        if owner != me {
            return Err(Error::Foreign { socket: socket.into(), owner, me });
        }
        stream.set_write_timeout(Some(patience)).map_err(unreachable)?;
        let mut client = Self {
            stream,
            unread: Vec::new(),
            searched: 0,
            descriptors: VecDeque::new(),
            next: 1,
            changed: None,
            engine: EngineView {
                version: String::new(),
                // Who listens, also where it is too busy to say so.
                pid: peer.pid.as_raw_nonzero().get().unsigned_abs(),
                epoch: 0,
                started_ms: 0,
                active_runs: 0,
                running_steps: 0,
                trouble: None,
            },
            patience,
        };
        client.shake_hands(who, greeting)?;
        Ok(client)
    }

    fn shake_hands(&mut self, who: &Who, within: Duration) -> Result<(), Error> {
        let greeting: Greeting = self.read_within(within)?;
        if greeting.v != VERSION {
            return Err(Error::Version { theirs: greeting.v, ours: VERSION });
        }
        self.engine = greeting.engine;
        self.say(&Hello { v: VERSION, principal: who.principal.clone(), client: who.face.clone() })
    }

    /// Who it is, as greeted.
    pub fn engine(&self) -> &EngineView {
        &self.engine
    }

    /// Asks, and waits for the answer. A refusal is [`Error::Refused`].
    pub fn ask(&mut self, ask: Ask) -> Result<Reply, Error> {
        let id = self.next;
        self.next += 1;
        self.descriptors.clear();
        self.say(&Asked { id, ask })?;
        let until = boottime_ms() + millis(self.patience);
        loop {
            match self.read_until(until, self.patience)? {
                FromEngine::Changed { seq } => self.changed = Some(seq),
                // Number 0: what was asked could not be read there, as with an older engine and a newer request.
                FromEngine::Answer { id: of, result } if of == id || of == 0 => {
                    return match result {
                        Answer::Reply(reply) => Ok(*reply),
                        Answer::Refused(refusal) => Err(Error::Refused(self.with_build(refusal))),
                    };
                }
                // The late answer to a request that was given up.
                FromEngine::Answer { .. } => {}
            }
        }
    }

    /// The refusal, with a word about the engine's build where that may be the reason.
    fn with_build(&self, mut refusal: Refusal) -> Refusal {
        if refusal.kind == RefusalKind::Usage
            && let Some(words) = other_build(self.engine.pid)
        {
            refusal.hint = Some(refusal.hint.map_or_else(|| words.to_owned(), |hint| format!("{hint}\n{words}")));
        }
        refusal
    }

    /// Asks for a terminal: its descriptor and what it is called.
    pub fn ask_pty(&mut self, ask: Ask) -> Result<(OwnedFd, String), Error> {
        let Reply::Pty { title } = self.ask(ask)? else {
            return Err(Error::Garbled { what: "asked for a terminal, got something else".into() });
        };
        match self.descriptors.pop_front() {
            Some(terminal) => Ok((terminal, title)),
            None => Err(Error::Garbled { what: "the terminal came without its descriptor".into() }),
        }
    }

    /// Nobody is at the other end any more.
    pub fn is_over(&self) -> bool {
        let mut one = [0u8; 1];
        let looked = rustix::net::recv(&self.stream, &mut one, RecvFlags::PEEK | RecvFlags::DONTWAIT);
        match looked {
            Ok((_, count)) => count == 0,
            Err(errno) => !matches!(errno, rustix::io::Errno::AGAIN | rustix::io::Errno::INTR),
        }
    }

    /// From now on changes are told: see [`Client::wait`].
    pub fn subscribe(&mut self) -> Result<(), Error> {
        self.ask(Ask::Subscribe).map(drop)
    }

    /// Waits until something was recorded, or `until` (boot time, milliseconds) has come: then `None`.
    pub fn wait_changed(&mut self, until: i64) -> Result<Option<u64>, Error> {
        match self.wait(&[], until)? {
            Wake::Changed(seq) => Ok(Some(seq)),
            Wake::Other(_) | Wake::TimedOut => Ok(None),
        }
    }

    /// Waits for a change, for one of `others` to be readable, or until `until` (boot time, milliseconds).
    pub fn wait(&mut self, others: &[BorrowedFd<'_>], until: i64) -> Result<Wake, Error> {
        loop {
            while let Some(said) = self.unread_line::<FromEngine>()? {
                if let FromEngine::Changed { seq } = said {
                    self.changed = Some(seq);
                }
            }
            if let Some(seq) = self.changed.take() {
                return Ok(Wake::Changed(seq));
            }
            let mut watched = vec![PollFd::from_borrowed_fd(self.stream.as_fd(), PollFlags::IN)];
            watched.extend(others.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)));
            if !poll_until(&mut watched, until)? {
                return Ok(Wake::TimedOut);
            }
            let other = watched[1..].iter().position(|fd| !fd.revents().is_empty());
            let ours = !watched[0].revents().is_empty();
            drop(watched);
            if ours {
                self.receive()?;
            }
            if let Some(place) = other {
                return Ok(Wake::Other(place));
            }
        }
    }

    fn say(&mut self, message: &impl serde::Serialize) -> Result<(), Error> {
        let mut line = serde_json::to_vec(message).map_err(|why| Error::Garbled { what: why.to_string() })?;
        line.push(b'\n');
        self.stream.write_all(&line).map_err(|why| gone(&why))
    }

    fn read_within<T: DeserializeOwned>(&mut self, limit: Duration) -> Result<T, Error> {
        self.read_until(boottime_ms() + millis(limit), limit)
    }

    fn read_until<T: DeserializeOwned>(&mut self, until: i64, limit: Duration) -> Result<T, Error> {
        loop {
            if let Some(said) = self.unread_line()? {
                return Ok(said);
            }
            let mut watched = [PollFd::from_borrowed_fd(self.stream.as_fd(), PollFlags::IN)];
            if !poll_until(&mut watched, until)? {
                return Err(Error::Silent { seconds: limit.as_secs(), pid: self.engine.pid });
            }
            self.receive()?;
        }
    }

    /// The next whole line of what was received.
    fn unread_line<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        // What was looked through already has no end: a run of thousands of steps comes in hundreds of pieces.
        let Some(end) = memchr::memchr(b'\n', &self.unread[self.searched..]) else {
            self.searched = self.unread.len();
            return Ok(None);
        };
        let line: Vec<u8> = self.unread.drain(..=self.searched + end).collect();
        self.searched = 0;
        serde_json::from_slice(&line).map(Some).map_err(|why| Error::Garbled { what: why.to_string() })
    }

    /// Takes what the socket has: bytes, and the descriptors that came with them.
    fn receive(&mut self) -> Result<(), Error> {
        let mut bytes = [0u8; 16 * 1024];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(&self.stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC);
        let count = match received {
            Ok(received) => received.bytes,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return Ok(()),
            Err(errno) => return Err(gone(&errno.into())),
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        if count == 0 {
            return Err(Error::Gone { why: "it closed the connection".into() });
        }
        self.unread.extend_from_slice(&bytes[..count]);
        if self.unread.len() > LONGEST {
            return Err(Error::Garbled { what: "a line without an end".into() });
        }
        Ok(())
    }
}

fn gone(why: &std::io::Error) -> Error {
    Error::Gone { why: why.to_string() }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Whether one of them became ready before `until` (boot time, milliseconds).
pub(super) fn poll_until(watched: &mut [PollFd<'_>], until: i64) -> Result<bool, Error> {
    loop {
        let left = (until - boottime_ms()).max(0);
        let timeout = Timespec { tv_sec: left / 1000, tv_nsec: (left % 1000) * 1_000_000 };
        match poll(watched, Some(&timeout)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            // A signal: whoever asked for it is told through a descriptor of its own.
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(gone(&errno.into())),
        }
    }
}
