//! Having an environment: adopt the one that lives, or start one, and end it.
//! Owns nothing but the result of one trial per engine life; everything else is on disk and in the porter, so that
//! any number of callers and any number of kills in between come to the same one environment.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::dir::{self, Running};
use super::{Error, Isolation, Spec, Wanted, compose, docker, launch, porter, trial};
use crate::wire::keeper::Greeting;
use crate::{clock, faults, spawn};

/// Until the keeper must have answered.
const START: Duration = Duration::from_secs(20);
/// How long one greeting may take before it is asked for again.
const GREETING: Duration = Duration::from_secs(5);
/// Between two looks at a keeper that is starting.
const LOOK: Duration = Duration::from_millis(10);
/// Between two questions whether a container that is starting has ended instead.
const ASK_MS: i64 = 500;
/// A log that is larger is begun anew.
const LOG_CAP: u64 = 1024 * 1024;

/// An environment that is there.
#[derive(Clone)]
pub struct Handle {
    dir: PathBuf,
    secret: [u8; 32],
    isolation: Isolation,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("dir", &self.dir).field("isolation", &self.isolation).finish_non_exhaustive()
    }
}

impl Handle {
    /// The environment's directory; the keeper's socket is in it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the engine must know to command the keeper.
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// How what runs now is isolated.
    pub fn isolation(&self) -> &Isolation {
        &self.isolation
    }
}

/// The built-in sandbox. One per engine life.
#[derive(Debug)]
pub struct Sandbox {
    search: Option<OsString>,
    trial: tokio::sync::OnceCell<trial::Trial>,
    pulls: docker::Pulls,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Sandbox {
    /// Nothing tried yet; bubblewrap will be looked for in `$PATH`.
    pub fn new() -> Self {
        Self::looking_in(std::env::var_os("PATH"))
    }

    /// As [`Sandbox::new`], with another search path.
    pub fn looking_in(search: Option<OsString>) -> Self {
        Self { search, trial: tokio::sync::OnceCell::new(), pulls: docker::Pulls::default() }
    }

    /// Whether this machine gives a sandbox, without starting one for keeps. For `doctor`.
    pub async fn try_out(&self) -> Result<PathBuf, String> {
        match self.trial().await {
            trial::Trial::Works(bwrap) => Ok(bwrap.clone()),
            trial::Trial::Fails(why) => Err(why.clone()),
        }
    }

    async fn trial(&self) -> &trial::Trial {
        self.trial.get_or_init(|| trial::run(self.search.as_deref())).await
    }

    /// Adopts the environment if it lives, else starts it. The same result for any number of callers at once, and
    /// after a kill at any point in between.
    pub async fn ensure(&self, spec: &Spec) -> Result<Handle, Error> {
        let dir = spec.dir();
        let secret = dir::prepare(&dir)?;
        if !adopt(&dir, spec).await? {
            compose::check(spec)?;
            let isolation = match &spec.container {
                Some(container) => docker::run(spec, container, &self.pulls).await?,
                None => self.isolation(spec.wanted).await?,
            };
            dir::replace_json(&dir, dir::SPEC, &Spec { isolation, ..spec.clone() })?;
            start(&dir, spec).await?;
        }
        let running = dir::read_json::<Running>(&dir, dir::RUNNING)?;
        let isolation =
            running.ok_or_else(|| Error::Refused(format!("{} does not say how it runs", dir.display())))?.isolation;
        Ok(Handle { dir, secret, isolation })
    }

    async fn isolation(&self, wanted: Wanted) -> Result<Isolation, Error> {
        let trial = if wanted == Wanted::None { None } else { Some(self.trial().await) };
        trial::decide(wanted, trial)
    }

    /// Waits until the environment has ended, after its keeper was asked to. With `force`, a keeper that is still
    /// there after `patience` is killed; it is known by its start time and boot, not by its number alone.
    pub async fn remove(dir: &Path, patience: Duration, force: bool) -> Result<(), Error> {
        if !dir.exists() || ended_within(dir, patience).await {
            launch::forget_runtime_dir(dir);
            return Ok(());
        }
        let refuse = |why: &str| Err(Error::NotEnded { dir: dir.to_owned(), why: why.into() });
        if !force {
            return refuse("its keeper still holds its socket");
        }
        let why = match noted_keeper(dir).await? {
            Noted::Lives(process) => {
                rustix::process::pidfd_send_signal(&process, Signal::KILL)
                    .map_err(Error::io("killing the keeper of", dir))?;
                "its keeper was killed but is still there"
            }
            // It has just ended, and its porter is about to see that; on a starved machine that takes a while.
            Noted::Gone => "its keeper has ended, but something else holds its socket or its lock; nothing was killed",
            Noted::Nobody => return refuse("nobody noted which process its keeper is, so nothing was killed"),
        };
        if ended_within(dir, START).await {
            launch::forget_runtime_dir(dir);
            return Ok(());
        }
        refuse(why)
    }
}

/// What was noted of a keeper.
enum Noted {
    Lives(OwnedFd),
    /// The process that was noted is there no more.
    Gone,
    Nobody,
}

/// The keeper's process. Its porter notes it a moment after it started, when it may have been spoken to already.
async fn noted_keeper(dir: &Path) -> Result<Noted, Error> {
    let deadline = clock::boottime_ms() + 2_000;
    loop {
        let noted = dir::read_json::<Running>(dir, dir::RUNNING)?.and_then(|running| running.keeper);
        let keeper = noted.or_else(|| launch::named_keeper(dir));
        if keeper.is_some() || clock::boottime_ms() >= deadline {
            return Ok(keeper.map_or(Noted::Nobody, |keeper| keeper.open().map_or(Noted::Gone, Noted::Lives)));
        }
        clock::sleep(LOOK).await;
    }
}

/// Gone: nobody holds the keeper's socket, and no porter is left to say so.
async fn ended_within(dir: &Path, patience: Duration) -> bool {
    let deadline = clock::boottime_ms() + i64::try_from(patience.as_millis()).unwrap_or(i64::MAX / 2);
    loop {
        if !dir::is_listened(dir) && matches!(dir::lock(dir), Ok(Some(_))) {
            return true;
        }
        if clock::boottime_ms() >= deadline {
            return false;
        }
        clock::sleep(LOOK).await;
    }
}

fn start_porter(dir: &Path, spec: &Spec, task: &str) -> Result<Child, Error> {
    let path = dir.join(dir::LOG);
    let large = std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.len() > LOG_CAP);
    let mut options = OpenOptions::new();
    options.create(true).mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    if large {
        // Emptied first, then appended to: a porter that still writes goes on at its end.
        options.clone().write(true).truncate(true).open(&path).map_err(Error::io("emptying", &path))?;
    }
    let log = options.append(true).open(&path).map_err(Error::io("opening", &path))?;
    let mut command = std::process::Command::new(&spec.dogwatch);
    command.args(["porter", task, "--env-dir"]).arg(dir).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    spawn::in_own_session(&mut command);
    faults::crash_point("environment.before-porter");
    let porter = Command::from(command).spawn().map_err(Error::io("starting", &spec.dogwatch));
    faults::crash_point("environment.after-porter");
    porter
}

/// Says whether the environment lives. Its porter may have been killed, so another one is sent to watch: it ends at
/// once where the first one is, and never starts anything, for the environment may just be ending.
async fn adopt(dir: &Path, spec: &Spec) -> Result<bool, Error> {
    if !dir::is_listened(dir) {
        return Ok(false);
    }
    drop(start_porter(dir, spec, porter::WATCH)?);
    let deadline = deadline();
    loop {
        match greeting(dir).await {
            Greeted::Yes => return Ok(true),
            Greeted::Nobody => return Ok(false),
            Greeted::Silent if clock::boottime_ms() >= deadline => {
                return Err(Error::Silent { dir: dir.to_owned(), after_s: START.as_secs() });
            }
            Greeted::Silent => {}
        }
    }
}

fn deadline() -> i64 {
    clock::boottime_ms() + i64::try_from(START.as_millis()).unwrap_or(i64::MAX / 2)
}

/// Starts the environment and waits for its keeper's greeting.
async fn start(dir: &Path, spec: &Spec) -> Result<(), Error> {
    let deadline = deadline();
    let mut porter = start_porter(dir, spec, porter::START)?;
    let mut ended = 0;
    let mut asked = clock::boottime_ms();
    loop {
        let silent = match greeting(dir).await {
            Greeted::Yes => return Ok(()),
            Greeted::Silent => true,
            Greeted::Nobody => false,
        };
        let late = clock::boottime_ms() >= deadline;
        if late && silent {
            return Err(Error::Silent { dir: dir.to_owned(), after_s: START.as_secs() });
        }
        match porter.try_wait() {
            Ok(None) | Err(_) => {}
            // Another one is at work, which may itself be ending.
            Ok(Some(status)) if status.code() == Some(porter::ANOTHER.into()) => {
                clock::sleep(LOOK * 5).await;
                porter = start_porter(dir, spec, porter::START)?;
            }
            // Once is no reason: it may have seen the end of an earlier environment.
            Ok(Some(_)) => {
                ended += 1;
                porter = start_porter(dir, spec, porter::START)?;
            }
        }
        let no_keeper = |why: &str| Error::NoKeeper { log: dir.join(dir::LOG), tail: dir::log_tail(dir) + why };
        if late || ended > 1 {
            return Err(no_keeper(""));
        }
        if spec.container.is_some() && clock::boottime_ms() >= asked + ASK_MS {
            asked = clock::boottime_ms();
            if let Some(why) = docker::ended(dir).await? {
                return Err(no_keeper(&format!("\nof its container: {why}")));
            }
        }
        clock::sleep(LOOK).await;
    }
}

enum Greeted {
    Yes,
    /// Connected, but nothing was said.
    Silent,
    Nobody,
}

/// Connects and reads the keeper's first line; nothing is said to it.
async fn greeting(dir: &Path) -> Greeted {
    let Ok(folder) = dir::open_dir(dir) else { return Greeted::Nobody };
    let Ok(stream) = UnixStream::connect(dir::short(&folder, dir::SOCKET)).await else { return Greeted::Nobody };
    let mut line = String::new();
    let mut reader = BufReader::new(tokio::io::AsyncReadExt::take(stream, 4096));
    match tokio::time::timeout(GREETING, reader.read_line(&mut line)).await {
        Ok(Ok(_)) if serde_json::from_str::<Greeting>(&line).is_ok() => Greeted::Yes,
        // Closed without a word: it ended, or had not started yet.
        Ok(_) => Greeted::Nobody,
        Err(_) => Greeted::Silent,
    }
}
