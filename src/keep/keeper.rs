//! The loop of the keeper: connections in, events out, children reaped. Never waits for anything but poll.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitOptions, WaitStatus, wait};

use super::jobs::Jobs;
use super::orphans::Orphans;
use super::peers::{Peer, Stage};
use super::sessions::{Effect, Sessions, Source, YOUNG_MS};
use super::shims::Shims;
use super::{Error, Ground};
use crate::attempt::record::signal_name;
use crate::wire::keeper::{Outcome, Reply, StopReason};
use crate::wire::lines::Lines;
use crate::wire::shim::ToShim;
use crate::{clock, spawn};

/// After a forced end, what is still alive by then dies with the environment.
const CLOSING_MS: i64 = 8_000;

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
    pub(super) orphans: Orphans,
    pub(super) listener: OwnedFd,
    pub(super) secret: [u8; 32],
    pub(super) notify: Option<OwnedFd>,
    pub(super) peers: BTreeMap<u64, Peer>,
    pub(super) next_peer: u64,
    /// The highest epoch seen.
    pub(super) epoch: u64,
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
            orphans: Orphans::default(),
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
            // A sandbox dies with its first process, and every step in it: a defect here may cost the connections, never
            // the keeper. What caused it came from a peer, who has to come again.
            match catch_unwind(AssertUnwindSafe(|| self.turn())) {
                Ok(true) => return ExitCode::SUCCESS,
                Ok(false) => {}
                Err(_) => self.peers.clear(),
            }
        }
    }

    /// Waits for news and deals with it; true when the keeper has to go.
    fn turn(&mut self) -> bool {
        for news in self.wait() {
            match news {
                News::Listener => self.accept(),
                News::Children => self.reap(),
                News::Peer(number) => self.serve(number),
                News::Shim(key) => self.hear(&key),
                News::Probes => self.jobs.read(),
                // Found again by the turn of the sessions.
                News::Tmux => {}
            }
        }
        let now = clock::boottime_ms();
        self.drop_silent(now);
        let events = self.shims.turn(now);
        self.tell(events);
        for (asker, reply) in self.jobs.finished(now) {
            self.reply(asker, Outcome::Reply(reply), None);
        }
        for (asker, outcome) in self.orphans.turn(now) {
            self.reply(asker, outcome, None);
        }
        self.turn_sessions(now);
        let done = self.is_done(now);
        if done {
            self.sessions.end();
        }
        done
    }

    fn hear(&mut self, key: &str) {
        let events = self.shims.hear(key);
        self.tell(events);
        if let Some(shim) = self.shims.get(key) {
            self.sessions.sized(key, shim.size);
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
            .chain(self.orphans.next_deadline())
            .chain(self.shims.next_deadline())
            .chain(grown)
            .chain(self.closing)
            .min()
    }

    fn without_session(&self) -> impl Iterator<Item = (&String, &super::link::Shim)> {
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
                let order = ToShim::Stop { grace_ms: 0, reason: StopReason::Stop, epoch: self.epoch, save: None };
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
