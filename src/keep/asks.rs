//! What an engine may ask, and the answers.

use super::jobs::{Asker, Task, on_new_terminal};
use super::keeper::Keeper;
use super::sessions::Source;
use crate::attempt;
use crate::wire::keeper::{Ask, Found, Launch, Outcome, Place, Reply};
use crate::wire::shim::ToShim;

/// An answer that can be given at once.
pub(super) enum Answer {
    Now(Outcome),
    /// A terminal goes along.
    Terminal(std::os::fd::OwnedFd),
    /// It comes when something else has happened.
    Later,
}

impl Answer {
    fn of<E: std::fmt::Display>(result: Result<Reply, E>) -> Self {
        Self::Now(result.map_or_else(|error| Outcome::Refused(error.to_string()), Outcome::Reply))
    }
}

impl Keeper {
    pub(super) fn answer(&mut self, asker: Asker, ask: Ask, epoch: u64) -> Answer {
        match ask {
            Ask::Launch(launch) => Answer::of(self.launch(*launch)),
            Ask::LookUp { attempts } => Answer::of(self.look_up(attempts)),
            Ask::Stop { key, grace_ms, reason, save } => {
                self.stop(asker, &key, &ToShim::Stop { grace_ms, reason, epoch, save }, grace_ms)
            }
            Ask::Input { key, bytes } => {
                Answer::of(self.shims.order(&key, &ToShim::Input { bytes, epoch }).map(|()| Reply::Done))
            }
            Ask::Run { argv, env, cwd, timeout_ms } => self.probe(asker, &Task { argv, env, cwd }, timeout_ms),
            Ask::OpenPty { argv, env, cwd, rows, cols } => {
                match on_new_terminal(&Task { argv, env, cwd }, rows, cols) {
                    Ok((terminal, pid)) => {
                        self.jobs.shells.insert(pid);
                        Answer::Terminal(terminal)
                    }
                    Err(error) => Answer::Now(Outcome::Refused(format!("cannot start it on a terminal: {error}"))),
                }
            }
            Ask::OpenSession { key, rows, cols, readonly } => self.open_session(asker, &key, (rows, cols), readonly),
            Ask::LetGo { key } => {
                self.sessions.let_go(key.as_deref());
                Answer::Now(Outcome::Reply(Reply::Done))
            }
            Ask::Shutdown { force } => self.shut_down(force),
        }
    }

    fn launch(&mut self, launch: Launch) -> Result<Reply, super::shims::Error> {
        Ok(if self.shims.launch(launch)? { Reply::Launched } else { Reply::AlreadyThere })
    }

    fn look_up(&self, attempts: Vec<Place>) -> Result<Reply, attempt::Error> {
        let found = attempts.into_iter().map(|place| match attempt::open(self.shims.run_dir(), &place.dir)? {
            Some(dir) => attempt::look_up(dir, &place.key, None),
            None => Ok(Found { key: place.key, claim_boot: None, exited: false, held: false }),
        });
        found.collect::<Result<Vec<_>, _>>().map(Reply::Found)
    }

    /// A shim ends its step and all that descends from it. Where there is none any more, what is left of the attempt is
    /// ended without it; nothing left is no error.
    fn stop(&mut self, asker: Asker, key: &str, order: &ToShim, grace_ms: u64) -> Answer {
        if self.shims.get(key).is_some_and(|shim| !shim.is_over()) {
            return Answer::of(self.shims.order(key, order).map(|()| Reply::Done));
        }
        self.orphans.end(asker, key, grace_ms);
        Answer::Later
    }

    fn probe(&mut self, asker: Asker, task: &Task, timeout_ms: u64) -> Answer {
        match self.jobs.run(asker, task, timeout_ms) {
            Ok(()) => Answer::Later,
            Err(error) => Answer::Now(Outcome::Refused(format!("cannot run it in {}: {error}", task.cwd))),
        }
    }

    fn shut_down(&mut self, force: bool) -> Answer {
        let alive = self.shims.live().filter(|(_, shim)| !shim.is_over()).count();
        if alive > 0 && !force {
            return Answer::Now(Outcome::Refused(format!("{alive} attempts are still running in this environment")));
        }
        let shells = self.jobs.shells.len();
        if shells > 0 && !force {
            return Answer::Now(Outcome::Reply(Reply::Busy { shells }));
        }
        self.close(force);
        Answer::Now(Outcome::Reply(Reply::Done))
    }

    fn open_session(&mut self, asker: Asker, key: &str, size: (u16, u16), readonly: bool) -> Answer {
        if !self.sessions.has(key) {
            match self.shims.get(key).filter(|shim| shim.claimed && !shim.is_over()).map(|shim| shim.size) {
                Some(size) => self.sessions.want(key, Source::Shim(self.shims.socket_of(key)), size),
                None => match self.shims.last_picture(key) {
                    Ok(picture) => self.sessions.want(key, Source::File(picture), size),
                    Err(error) => return Answer::Now(Outcome::Refused(error.to_string())),
                },
            }
        }
        self.sessions.open(asker, key, size, readonly);
        Answer::Later
    }
}
