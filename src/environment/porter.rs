//! `dogwatch porter`: one process outside each environment. It starts the keeper, sees it end, and sees to it that an
//! engine is there as long as the environment lives, for the engine may be killed while its steps go on.
//! Owns the environment's directory while it holds its lock. Synchronous; talks to nobody, commands no step, and when
//! it is killed itself everything goes on without it: the next engine starts another one, which then only watches.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::dir::{self, Running, note};
use super::engine_watch::{EngineWatch, Seen};
use super::launch::{self, Started};
use super::{Error, Isolation, Spec};
use crate::{faults, spawn};

/// How often the engine is looked for without a reason.
const LOOK_MS: i64 = 10_000;

/// Arguments that say what it is for.
pub(super) const START: &str = "--start";
pub(super) const WATCH: &str = "--watch";

/// Arguments of `dogwatch porter`.
#[derive(Debug, clap::Args)]
pub struct PorterArgs {
    /// Start the environment where none lives (what it does without any of the two).
    #[arg(long, conflicts_with = "watch")]
    pub start: bool,
    /// Only watch one that lives; end at once where none does.
    #[arg(long)]
    pub watch: bool,
    /// The environment's directory, with `spec.json` and `secret` in it.
    #[arg(long)]
    pub env_dir: PathBuf,
}

/// Exit code when another porter has the environment already: `EX_TEMPFAIL`.
pub(super) const ANOTHER: u8 = 75;

/// Runs until the environment has ended.
pub fn main(args: &PorterArgs) -> ExitCode {
    // Fails when whoever started us has done it already.
    let _ = rustix::process::setsid();
    // Whatever was left open on the way here must not end up in an environment.
    spawn::keep_descriptors_private();
    match tend(&args.env_dir, args.watch) {
        Ok(Tended::ToItsEnd | Tended::NothingThere) => ExitCode::SUCCESS,
        Ok(Tended::ByAnother) => ExitCode::from(ANOTHER),
        Err(error) => {
            note(&format!("porter: {error}"));
            ExitCode::FAILURE
        }
    }
}

enum Tended {
    ToItsEnd,
    ByAnother,
    NothingThere,
}

fn tend(dir: &Path, only_watch: bool) -> Result<Tended, Error> {
    let Some(_lock) = dir::lock(dir)? else { return Ok(Tended::ByAnother) };
    let spec = dir::read_spec(dir)?;
    let secret = dir::read_secret(dir)?.ok_or_else(|| Error::Refused(format!("{} has no secret", dir.display())))?;
    let engine = EngineWatch::new(&spec);
    let how = if dir::is_listened(dir) {
        note(&format!("the keeper of {} lives: watching it", dir.display()));
        adopt(dir, engine)?
    } else if only_watch {
        return Ok(Tended::NothingThere);
    } else {
        begin(dir, &spec, secret, engine)?
    };
    note(&format!("the environment has ended: {how}"));
    faults::crash_point("porter.before-ended");
    if let Err(error) = dir::replace(dir, dir::ENDED, format!("{how}\n").as_bytes()) {
        note(&error.to_string());
    }
    faults::crash_point("porter.after-ended");
    let socket = dir.join(dir::SOCKET);
    std::fs::remove_file(&socket).map_err(Error::io("removing", &socket))?;
    Ok(Tended::ToItsEnd)
}

/// Starts the keeper and watches it to its end.
fn begin(dir: &Path, spec: &Spec, secret: [u8; 32], engine: EngineWatch) -> Result<String, Error> {
    let ended = dir.join(dir::ENDED);
    match std::fs::remove_file(&ended) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("removing", &ended)(error)),
        Ok(()) | Err(_) => {}
    }
    let Started { child, keeper, bell } = launch::start(dir, spec, secret)?;
    let keeper = keeper.and_then(|process| process.open());
    let first = child.as_ref().map(pidfd).transpose()?;
    // bubblewrap may be killed and its sandbox live on: the environment ends with its keeper.
    let watched = [first, keeper];
    Watch { dir, engine, bell: Some(bell) }.until_ended(watched.iter().flatten().map(AsFd::as_fd).collect());
    let Some(mut child) = child else { return Ok("its container's first process is gone".into()) };
    let status = child.wait().map_err(Error::io("waiting for the keeper of", dir))?;
    Ok(status.to_string())
}

fn pidfd(child: &Child) -> Result<OwnedFd, Error> {
    let raw = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    let pid = raw.ok_or_else(|| Error::Refused("a child without a number".into()))?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
        .map_err(Error::io("watching", Path::new("the keeper")))
}

/// Watches a keeper that an earlier porter started.
fn adopt(dir: &Path, engine: EngineWatch) -> Result<String, Error> {
    let mut keeper = None;
    if let Some(mut running) = dir::read_json::<Running>(dir, dir::RUNNING)? {
        if running.keeper.is_none() && matches!(running.isolation, Isolation::Sandboxed { .. }) {
            // That porter was killed before it noted whom it had started.
            running.keeper = launch::wait_for_keeper(dir, || dir::is_listened(dir));
            launch::note_running(dir, &running);
        }
        keeper = running.keeper.and_then(|process| process.open());
    }
    Watch { dir, engine, bell: None }.until_ended(keeper.iter().map(AsFd::as_fd).collect());
    Ok("seen from outside, its status is not known".into())
}

struct Watch<'a> {
    dir: &'a Path,
    engine: EngineWatch,
    bell: Option<OwnedFd>,
}

impl Watch<'_> {
    /// Waits until all of these processes have ended; without one, until nobody holds the keeper's socket.
    fn until_ended(mut self, mut processes: Vec<BorrowedFd<'_>>) {
        let by_socket = processes.is_empty();
        let mut timeout = LOOK_MS;
        loop {
            let rung = self.wait(&mut processes, timeout);
            let over = if by_socket { !rung && !dir::is_listened(self.dir) } else { processes.is_empty() };
            timeout = match self.engine.look() {
                Seen::Fine => LOOK_MS,
                Seen::TooSoon(ms) => ms.clamp(10, LOOK_MS),
            };
            if over {
                return;
            }
        }
    }

    /// One wait: takes ended processes out, empties the bell and tells whether it rang.
    fn wait(&mut self, processes: &mut Vec<BorrowedFd<'_>>, timeout_ms: i64) -> bool {
        let limit = Timespec { tv_sec: timeout_ms / 1000, tv_nsec: (timeout_ms % 1000) * 1_000_000 };
        let mut fds: Vec<PollFd<'_>> =
            processes.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        if let Some(bell) = &self.bell {
            fds.push(PollFd::from_borrowed_fd(bell.as_fd(), PollFlags::IN));
        }
        // An interruption counts as a wait that is over: the loop looks at everything anyway.
        let _ = poll(&mut fds, Some(&limit));
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        let mut at = 0;
        processes.retain(|_| {
            at += 1;
            !ready[at - 1]
        });
        let rang = self.bell.is_some() && ready.last() == Some(&true);
        if rang {
            self.empty_bell();
        }
        rang
    }

    fn empty_bell(&mut self) {
        let mut bytes = [0u8; 4096];
        if let Some(bell) = &self.bell
            && !rustix::io::read(bell, &mut bytes).is_ok_and(|read| read > 0)
        {
            // Nobody holds the other end any more; a closed pipe would be ready for ever.
            self.bell = None;
        }
    }
}
