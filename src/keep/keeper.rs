//! The loop of the keeper: connections in, events out, children reaped. Never waits for anything but poll.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitOptions, WaitStatus, wait};

use super::asks::Answer;
use super::jobs::{Asker, Jobs};
use super::sessions::{Effect, Sessions, Source, YOUNG_MS};
use super::shims::Shims;
use super::{Error, Ground};
use crate::attempt::record::signal_name;
use crate::wire::keeper::{
    Asked, Event, FromKeeper, Greeting, Hello, Outcome, Reply, StopReason, VERSION, Welcome, proof,
};
use crate::wire::lines::{Lines, Lost};
use crate::wire::shim::ToShim;
use crate::{clock, spawn};

/// A peer that has not proven itself by then is dropped.
const HANDSHAKE_MS: i64 = 5_000;
/// Connections at the same time.
const PEERS: usize = 32;
/// After a forced end, what is still alive by then dies with the environment.
const CLOSING_MS: i64 = 8_000;

/// Somebody who is connected.
#[derive(Debug)]
struct Peer {
    lines: Lines,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Greeted { nonce: String, until: i64 },
    Engine { epoch: u64 },
}

/// Whom poll has news of.
#[derive(Debug)]
enum News {
    Listener,
    Children,
    Peer(u64),
    Shim(String),
    Probes,
    /// The tmux server has died.
    Tmux,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) shims: Shims,
    pub(super) jobs: Jobs,
    pub(super) sessions: Sessions,
    listener: OwnedFd,
    secret: [u8; 32],
    notify: Option<OwnedFd>,
    peers: BTreeMap<u64, Peer>,
    next_peer: u64,
    /// The highest epoch seen.
    epoch: u64,
    /// Readable when a child has ended.
    children: OwnedFd,
    asked_to_end: Arc<AtomicBool>,
    /// When to go, once asked to.
    closing: Option<i64>,
}

impl Keeper {
    pub(super) fn new(ground: Ground) -> Result<Self, Error> {
        let asked_to_end = Arc::new(AtomicBool::new(false));
        let children = prepare_process(&asked_to_end)?;
        let mut shims = Shims::new(ground.run_dir, ground.secret, &ground.runtime_dir);
        shims.adopt();
        let sessions = Sessions::new(ground.tmux, &ground.dogwatch, &ground.runtime_dir);
        Ok(Self {
            shims,
            sessions,
            jobs: Jobs::default(),
            listener: ground.listener,
            secret: ground.secret,
            notify: ground.notify,
            peers: BTreeMap::new(),
            next_peer: 1,
            epoch: 0,
            children,
            asked_to_end,
            closing: None,
        })
    }

    pub(super) fn run(mut self) -> ExitCode {
        loop {
            for news in self.wait() {
                match news {
                    News::Listener => self.accept(),
                    News::Children => self.reap(),
                    News::Peer(number) => self.serve(number),
                    News::Shim(key) => {
                        let events = self.shims.hear(&key);
                        self.tell(events);
                        if let Some(shim) = self.shims.get(&key) {
                            self.sessions.sized(&key, shim.size);
                        }
                    }
                    News::Probes => self.jobs.read(),
                    // Found again by the turn of the sessions.
                    News::Tmux => {}
                }
            }
            let now = clock::boottime_ms();
            self.drop_silent(now);
            for (asker, reply) in self.jobs.finished(now) {
                self.reply(asker, Outcome::Reply(reply), None);
            }
            self.turn_sessions(now);
            if self.is_done(now) {
                self.sessions.end();
                return ExitCode::SUCCESS;
            }
        }
    }

    fn wait(&self) -> Vec<News> {
        let interest = |lines: &Lines| {
            if lines.is_waiting() { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN }
        };
        let mut of = vec![News::Listener, News::Children];
        let mut fds = vec![PollFd::new(&self.listener, PollFlags::IN), PollFd::new(&self.children, PollFlags::IN)];
        for (number, peer) in &self.peers {
            of.push(News::Peer(*number));
            fds.push(PollFd::new(&peer.lines, interest(&peer.lines)));
        }
        for (key, lines) in self.shims.links() {
            of.push(News::Shim(key.clone()));
            fds.push(PollFd::new(lines, interest(lines)));
        }
        for probe in self.jobs.probes.iter().filter(|probe| probe.is_heard()) {
            of.push(News::Probes);
            fds.push(PollFd::new(&probe.output, PollFlags::IN));
        }
        if let Some(life) = self.sessions.life() {
            of.push(News::Tmux);
            fds.push(PollFd::new(life, PollFlags::IN));
        }
        let left = self.next_deadline().map(|at| at.saturating_sub(clock::boottime_ms()).max(0));
        let timeout = left.map(|left| Timespec { tv_sec: left / 1000, tv_nsec: (left % 1000) * 1_000_000 });
        // Interrupted: whatever it was shows in the next turn.
        let _ = poll(&mut fds, timeout.as_ref());
        let found: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        of.into_iter().zip(found).filter_map(|(news, found)| found.then_some(news)).collect()
    }

    fn next_deadline(&self) -> Option<i64> {
        let silent = self.peers.values().filter_map(|peer| match peer.stage {
            Stage::Greeted { until, .. } => Some(until),
            Stage::Engine { .. } => None,
        });
        let grown = self.without_session().map(|(_, shim)| shim.started_at + YOUNG_MS);
        silent
            .chain(self.jobs.next_deadline())
            .chain(self.sessions.next_deadline())
            .chain(grown)
            .chain(self.closing)
            .min()
    }

    fn without_session(&self) -> impl Iterator<Item = (&String, &super::shims::Shim)> {
        self.shims.live().filter(|(key, shim)| shim.claimed && !shim.is_over() && !self.sessions.has(key))
    }

    /// Attempts that live long enough are shown in tmux; and whatever else tmux has to be told.
    fn turn_sessions(&mut self, now: i64) {
        let grown: Vec<(String, (u16, u16))> = self
            .without_session()
            .filter(|(_, shim)| now >= shim.started_at + YOUNG_MS)
            .map(|(key, shim)| (key.clone(), shim.size))
            .collect();
        for (key, size) in grown {
            let source = Source::Shim(self.shims.socket_of(&key));
            self.sessions.want(&key, source, size);
        }
        let effects = self.sessions.turn(now);
        self.follow(effects);
    }

    fn follow(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Tell(event) => self.tell(vec![event]),
                Effect::Refuse(asker, why) => self.reply(asker, Outcome::Refused(why), None),
                Effect::Hand(asker, terminal) => self.reply(asker, Outcome::Reply(Reply::Pty), Some(terminal)),
            }
        }
    }

    fn accept(&mut self) {
        let Ok(socket) = rustix::net::accept_with(&self.listener, rustix::net::SocketFlags::CLOEXEC) else {
            return;
        };
        if self.peers.len() >= PEERS {
            return;
        }
        let Ok(mut lines) = Lines::new(socket) else {
            return;
        };
        let nonce = blake3::Hash::from_bytes(clock::random_bytes::<32>()).to_hex()[..32].to_owned();
        let greeting =
            Greeting { v: VERSION, boot_id: clock::boot_id(), nonce: nonce.clone(), pid: std::process::id() };
        if lines.say(&greeting).is_ok() {
            let stage = Stage::Greeted { nonce, until: clock::boottime_ms() + HANDSHAKE_MS };
            self.peers.insert(self.next_peer, Peer { lines, stage });
            self.next_peer += 1;
        }
    }

    fn drop_silent(&mut self, now: i64) {
        self.peers.retain(|_, peer| match peer.stage {
            Stage::Greeted { until, .. } => now < until,
            Stage::Engine { .. } => true,
        });
    }

    fn serve(&mut self, number: u64) {
        let Some(peer) = self.peers.get_mut(&number) else {
            return;
        };
        let received = peer.lines.flush().and_then(|()| peer.lines.receive());
        if self.serve_lines(number).and(received).is_err() {
            self.peers.remove(&number);
        }
    }

    fn serve_lines(&mut self, number: u64) -> Result<(), Lost> {
        loop {
            let Some(peer) = self.peers.get_mut(&number) else {
                return Ok(());
            };
            match &peer.stage {
                Stage::Greeted { nonce, .. } => {
                    let nonce = nonce.clone();
                    let Some(hello) = peer.lines.next::<Hello>()? else {
                        return Ok(());
                    };
                    self.welcome(number, &nonce, &hello)?;
                }
                Stage::Engine { epoch } => {
                    let epoch = *epoch;
                    let Some(asked) = peer.lines.next::<Asked>()? else {
                        return Ok(());
                    };
                    self.attend(Asker { peer: number, id: asked.id }, asked, epoch);
                }
            }
        }
    }

    /// Checks what a newcomer knows, and proves the keeper to it.
    fn welcome(&mut self, number: u64, nonce: &str, hello: &Hello) -> Result<(), Lost> {
        let refusal = if hello.v != VERSION {
            Some(format!("this keeper speaks version {VERSION} of the protocol, not {}", hello.v))
        } else if !is_proof(&proof(&self.secret, "engine", nonce), &hello.proof) {
            Some("the peer does not know the secret of this environment".to_owned())
        } else if hello.epoch < self.epoch {
            Some(format!(
                "a newer engine (epoch {}) commands this environment; this one has epoch {}",
                self.epoch, hello.epoch
            ))
        } else {
            None
        };
        let Some(peer) = self.peers.get_mut(&number) else {
            return Ok(());
        };
        if let Some(why) = refusal {
            peer.lines.say(&FromKeeper::Answer { id: 0, result: Outcome::Refused(why) })?;
            return Err(Lost::Closed);
        }
        self.epoch = hello.epoch;
        peer.stage = Stage::Engine { epoch: hello.epoch };
        peer.lines.say(&Welcome { v: VERSION, proof: proof(&self.secret, "keeper", &hello.nonce) })
    }

    fn attend(&mut self, asker: Asker, asked: Asked, epoch: u64) {
        let answer = if epoch < self.epoch {
            let why =
                format!("a newer engine (epoch {}) commands this environment; this one has epoch {epoch}", self.epoch);
            Answer::Now(Outcome::Refused(why))
        } else {
            self.answer(asker, asked.ask, epoch)
        };
        match answer {
            Answer::Now(outcome) => self.reply(asker, outcome, None),
            Answer::Terminal(terminal) => self.reply(asker, Outcome::Reply(Reply::Pty), Some(terminal)),
            Answer::Later => {}
        }
    }

    pub(super) fn reply(&mut self, asker: Asker, result: Outcome, terminal: Option<OwnedFd>) {
        if let Some(peer) = self.peers.get_mut(&asker.peer)
            && peer.lines.say_with(&FromKeeper::Answer { id: asker.id, result }, terminal).is_err()
        {
            self.peers.remove(&asker.peer);
        }
    }

    /// Tells every engine, and whoever starts engines.
    pub(super) fn tell(&mut self, events: Vec<Event>) {
        for event in events {
            if let (Event::Exited { .. } | Event::ShimGone { .. }, Some(notify)) = (&event, &self.notify) {
                // Full or closed: then somebody has been told already, or nobody wants to know.
                let _ = rustix::io::write(notify, b"e");
            }
            if let Event::Exited { key } | Event::ShimGone { key, .. } = &event {
                self.sessions.ended(key);
            }
            let message = FromKeeper::Event(event);
            self.peers.retain(|_, peer| match peer.stage {
                Stage::Engine { .. } => peer.lines.say(&message).is_ok(),
                Stage::Greeted { .. } => true,
            });
        }
    }

    /// Collects every child that has ended, also those that others abandoned.
    fn reap(&mut self) {
        let mut block = [0u8; 64];
        while rustix::io::read(&self.children, &mut block[..]).is_ok_and(|read| read > 0) {}
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get().unsigned_abs();
            self.jobs.reaped(pid, status);
            let effects = self.sessions.reaped(pid, status);
            self.follow(effects);
            let events = self.shims.reaped(pid, &in_words(status));
            self.tell(events);
        }
    }

    /// The environment ends; with `force` also what runs in it.
    pub(super) fn close(&mut self, force: bool) {
        let now = clock::boottime_ms();
        self.closing = Some(now + if force { CLOSING_MS } else { 0 });
        if force {
            let keys: Vec<String> = self.shims.live().map(|(key, _)| key.clone()).collect();
            for key in keys {
                let order = ToShim::Stop { grace_ms: 0, reason: StopReason::Stop, epoch: self.epoch };
                // A shim that cannot be told dies with the environment.
                let _ = self.shims.order(&key, &order);
            }
        }
    }

    fn is_done(&mut self, now: i64) -> bool {
        let idle = self.shims.live().next().is_none();
        // A polite request from outside counts only when nothing would be lost.
        if self.asked_to_end.load(Ordering::Relaxed) && idle {
            return true;
        }
        self.closing.is_some_and(|at| idle || now >= at)
    }
}

/// Compares two proofs in constant time.
fn is_proof(right: &str, given: &str) -> bool {
    matches!((blake3::Hash::from_hex(right), blake3::Hash::from_hex(given)), (Ok(right), Ok(given)) if right == given)
}

fn in_words(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exited {code}"),
        (None, Some(signal)) => format!("killed by {}", signal_name(signal)),
        (None, None) => "ended".into(),
    }
}

/// Closed to other processes of the same user, parent of the abandoned, deaf to the terminal it was started from.
fn prepare_process(asked_to_end: &Arc<AtomicBool>) -> Result<OwnedFd, Error> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(std::io::Error::from)?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(std::io::Error::from)?;
    // Refused to the leader of a group, who needs it less.
    let _ = rustix::process::setsid();
    rustix::process::chdir("/").map_err(std::io::Error::from)?;
    spawn::keep_descriptors_private();
    let heard = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGHUP, signal_hook::consts::SIGINT, signal_hook::consts::SIGQUIT] {
        signal_hook::flag::register(signal, Arc::clone(&heard))?;
    }
    signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(asked_to_end))?;
    let (reader, writer) = std::os::unix::net::UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    // The second one only wakes the loop, which then finds the flag.
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGTERM, writer.try_clone()?)?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGCHLD, writer)?;
    Ok(reader.into())
}
