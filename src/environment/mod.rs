//! Where the steps of a run live: the built-in sandbox, and the porter that stands outside its door.
//!
//! ```text
//! engine -> dogwatch porter --env-dir DIR -> bwrap … dogwatch keep …   (or the keeper directly where isolation is off)
//! DIR = <run dir>/env/<name>, 0700:
//!   spec.json      what was asked for, and how it is isolated; written by the engine
//!   secret         32 bytes, 0600: what engine and keeper know and a step does not
//!   lock           held by the living porter
//!   keeper.sock    the keeper's listening socket; it has no path inside the sandbox
//!   running.json   how the environment that runs now is isolated, and its first process
//!   bwrap.json     what bubblewrap says of its child
//!   blank          empty; covers a file that is hidden where steps may write
//!   bin/dogwatch   a link to it, for steps without isolation
//!   ended          how the last one ended
//!   porter.log     what porter, bubblewrap and keeper had to say
//! ```
//! Owns these files and the processes named above. It may never talk to a keeper beyond its greeting (that is
//! `session`), never decide what a missing environment means for a step, and never switch isolation off unasked:
//! what runs without it says so in [`Isolation`].

mod aliases;
mod binary;
mod compose;
mod dir;
mod docker;
mod engine_watch;
mod hidden;
mod launch;
pub mod porter;
mod sandbox;
mod spec;
mod trial;

pub use dir::make_below;
pub use docker::EngineFacts;
pub use sandbox::{Handle, Sandbox};
pub use spec::{Container, Gpus, Isolation, Mount, Pull, Spec, Wanted};

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Why an environment is not there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The specification cannot be honoured; nothing was started.
    #[error("{0}")]
    Refused(String),
    /// `isolation = "required"`, and this machine does not give it.
    #[error("isolation is required, but {why}")]
    NotIsolated { why: String },
    /// The environment ended before its keeper spoke, or its keeper never spoke.
    #[error("the environment does not start; the end of {log}:\n{tail}", log = log.display())]
    NoKeeper { log: PathBuf, tail: String },
    /// A keeper is there (its socket is open), but it does not speak: frozen, or the machine is starved.
    #[error("the keeper of {} is there but has not answered for {after_s} s; it is left alone", dir.display())]
    Silent { dir: PathBuf, after_s: u64 },
    /// A file or process of dogwatch's own could not be made or read.
    #[error("{what} {}: {source}", path.display())]
    Io { what: &'static str, path: PathBuf, source: std::io::Error },
    /// No container engine answers at any of the places where one may be.
    #[error(
        "no container engine can be used ({tried}); start Docker (`sudo systemctl start docker`) or Podman \
         (`systemctl --user start podman.socket`), or set DOCKER_HOST"
    )]
    NoEngine { tried: String },
    /// The container engine that has this environment's container is not there now.
    #[error("the container engine is not there ({tried}); what runs goes on, nothing new starts until it is back")]
    EngineGone { tried: String },
    /// It is there, but does not speak: frozen, or the machine is starved.
    #[error("the container engine at {} has not answered for {after_s} s", socket.display())]
    EngineSilent { socket: PathBuf, after_s: u64 },
    /// The image is not there and cannot be fetched.
    #[error(
        "the image {image} cannot be had: {why} ({engine}); correct `image`, build or load it there, or log in where it \
         comes from"
    )]
    NoImage { image: String, engine: String, why: String },
    /// The container engine refuses.
    #[error("{what} the container {name} was refused by {engine}: {why}")]
    Container { what: &'static str, name: String, engine: String, why: String },
    /// The image is being fetched. Ask again.
    #[error("{words}")]
    Pulling { words: String },
    /// The environment did not end when it was told to.
    #[error("the environment in {} did not end: {why}", dir.display())]
    NotEnded { dir: PathBuf, why: String },
}

/// What steps find inside of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// Variables that the image gives.
    pub env: BTreeMap<String, String>,
    /// The words that start a shell, before its own arguments; `None`: this host's.
    pub shell: Option<Vec<String>>,
    /// dogwatch, as steps can start it.
    pub dogwatch: PathBuf,
    /// A folder with nothing but `dogwatch` in it.
    pub bin: PathBuf,
}

/// What steps find in this environment, which must have been made.
pub fn inside(spec: &Spec) -> Result<Inside, Error> {
    let dir = spec.dir();
    if spec.container.is_some() {
        return docker::inside(&dir);
    }
    let (dogwatch, bin) = match dir::read_json::<dir::Running>(&dir, dir::RUNNING)?.map(|running| running.isolation) {
        Some(Isolation::Sandboxed { .. }) => (PathBuf::from(compose::BINARY), PathBuf::from(compose::BIN)),
        Some(Isolation::None { .. } | Isolation::Container { .. }) | None => {
            (spec.dogwatch.clone(), dir.join(launch::BIN))
        }
    };
    Ok(Inside { env: BTreeMap::new(), shell: None, dogwatch, bin })
}

/// Where dogwatch finds its libraries in this environment, where that is not as on this host.
pub fn libraries(spec: &Spec) -> Option<&'static str> {
    spec.container.as_ref().map(|_| docker::LIBRARIES)
}

/// Is there still something of an environment of this run: a keeper that listens, a container that was not removed?
pub fn outlives(run_dir: &std::path::Path) -> bool {
    let dirs = std::fs::read_dir(run_dir.join("env")).into_iter().flatten().flatten().map(|entry| entry.path());
    dirs.into_iter().any(|dir| is_there(&dir))
}

/// Is there still something of the environment with this directory? A container that was told to stay is not.
pub fn is_there(dir: &std::path::Path) -> bool {
    dir::is_listened(dir) || docker::is_to_go(dir)
}

/// The name of the container of this environment of a run, by which it is found again: `dogwatch-k3x9ab-default`.
pub fn container_name(run: &str, site: &str) -> String {
    format!("dogwatch-{run}-{site}")
}

/// An image of a container, as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub id: String,
    /// Beyond what the container was made of.
    pub bytes: u64,
}

/// What of ours is in a container engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    pub kind: LeftKind,
    /// As its engine calls it.
    pub id: String,
    /// Where that engine listens.
    pub engine: PathBuf,
    /// A container that ran when it was found.
    pub running: bool,
    /// The run's id, as the label says.
    pub run: String,
    pub environment: String,
    /// Of a checkpoint: the key of the attempt that it was kept after.
    pub after: Option<String>,
    /// Seconds since 1970.
    pub created_s: Option<i64>,
    pub bytes: Option<u64>,
}

/// What a [`Left`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftKind {
    Container,
    Network,
    Checkpoint,
}

/// Keeps the environment as it is, after the attempt with this key; the same image for any number of calls. `alone`:
/// nothing else runs in it, so nobody has to stand still meanwhile.
pub async fn keep(spec: &Spec, key: &str, alone: bool) -> Result<Image, Error> {
    docker::keep(spec, key, alone).await
}

/// Is this image, which was kept, still there?
pub async fn is_kept(spec: &Spec, image: &str) -> Result<bool, Error> {
    docker::is_kept(spec, image).await
}

/// Removes an image that was kept.
pub async fn forget(spec: &Spec, image: &str) -> Result<(), Error> {
    docker::forget(spec, image).await
}

/// Everything of this state folder in the container engines that it knows of, and in the one that a caller with these
/// `$DOCKER_HOST` and `$XDG_RUNTIME_DIR` would use; and which engines did not answer.
pub async fn everything(
    state_dir: &std::path::Path,
    host: Option<String>,
    runtime_dir: Option<PathBuf>,
) -> (Vec<Left>, Vec<String>) {
    let caller = Container { host, runtime_dir, ..Container::of(String::new(), String::new()) };
    docker::everything(state_dir, &caller).await
}

/// How it went with removing a [`Left`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    Done,
    /// Somebody wants it by now: it was left alone.
    Wanted,
}

/// Removes one of [`everything`]; in words why not. `still` says whether nobody needs it: it is asked once, and until it is
/// removed then no environment of its run is made or started.
pub async fn remove_left(left: &Left, still: impl AsyncFnOnce() -> bool) -> Result<Removal, String> {
    docker::remove_left(left, still).await
}

/// Was the container of this environment ever made? Nothing can have begun in one that was not.
pub fn is_made(spec: &Spec) -> bool {
    spec.dir().join(docker::RECORD).exists()
}

/// The container of this environment was made anew for the attempt with this key.
pub fn is_made_for(spec: &Spec, key: &str) -> bool {
    docker::is_made_for(&spec.dir(), key)
}

/// Notes that it was, so that it is not made anew for the same attempt again.
pub fn note_made_for(spec: &Spec, key: &str) -> Result<(), Error> {
    docker::note_made_for(&spec.dir(), key)
}

/// Was the container of this environment last started before this, in milliseconds since 1970? False where that is not known.
pub fn was_started_before(spec: &Spec, wall_ms: i64) -> bool {
    spec.container.is_some() && docker::was_started_before(&spec.dir(), wall_ms)
}

/// Leaves the container of an environment whose keeper has ended where it is, until `dogwatch gc` or another attempt.
pub fn leave_container(spec: &Spec) -> Result<(), Error> {
    docker::leave(&spec.dir())
}

/// How a container ended, as its engine remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// From outside, by this signal; not for want of memory.
    Killed { signal: i32 },
    /// The kernel ended it, its memory was used up.
    OutOfMemory,
    /// Its engine was started anew, and containers do not outlive that.
    EngineRestarted,
    /// By itself.
    Ended { code: i64 },
    /// Somebody removed it.
    Removed,
    /// Its engine believes that it runs.
    Running,
}

/// How the container of an environment ended whose keeper is gone; `None` where it has no container.
pub async fn fate(spec: &Spec) -> Result<Option<Fate>, Error> {
    if spec.container.is_some() { docker::fate(spec).await.map(Some) } else { Ok(None) }
}

/// Removes what is left of an environment whose keeper has ended: its container.
pub async fn remove_container(spec: &Spec) -> Result<(), Error> {
    docker::remove(spec).await
}

/// The secret of an environment that was made before; `None` where there never was one.
pub fn secret_of(dir: &std::path::Path) -> Result<Option<[u8; 32]>, Error> {
    dir::read_secret(dir)
}

/// How an environment runs that was made before; `None` where it is not known.
pub fn isolation_of(dir: &std::path::Path) -> Result<Option<Isolation>, Error> {
    Ok(dir::read_json::<dir::Running>(dir, dir::RUNNING)?.map(|running| running.isolation))
}

/// Whether this machine gives a sandbox, found out by making one: where bubblewrap is, or why it does not work and what
/// to do. For `dogwatch doctor`.
pub async fn sandbox_works(search: Option<&std::ffi::OsStr>) -> Result<PathBuf, String> {
    match trial::run(search).await {
        trial::Trial::Works(bwrap) => Ok(bwrap),
        trial::Trial::Fails(why) => Err(why),
    }
}

/// The container engine that a run started with these `$DOCKER_HOST` and `$XDG_RUNTIME_DIR` would use. For
/// `dogwatch doctor`.
pub async fn container_engine(host: Option<String>, runtime_dir: Option<PathBuf>) -> Result<EngineFacts, Error> {
    docker::facts(&Container { host, runtime_dir, ..Container::of(String::new(), String::new()) }).await
}

impl Error {
    /// Will it go by itself? A keeper that is silent may speak again, and a full or read-only disk be made writable:
    /// nothing was wrong with what was asked for.
    pub fn passes(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match self {
            Self::Pulling { .. } | Self::Silent { .. } | Self::EngineGone { .. } | Self::EngineSilent { .. } => true,
            Self::Io { source, .. } => matches!(source.kind(), StorageFull | ReadOnlyFilesystem | QuotaExceeded),
            Self::Refused(_)
            | Self::NotIsolated { .. }
            | Self::NoKeeper { .. }
            | Self::NoEngine { .. }
            | Self::NoImage { .. }
            | Self::Container { .. }
            | Self::NotEnded { .. } => false,
        }
    }

    /// Wraps an input or output error of `path`; for `map_err`.
    pub(crate) fn io<E: Into<std::io::Error>>(what: &'static str, path: &std::path::Path) -> impl FnOnce(E) -> Self {
        move |source| Self::Io { what, path: path.to_owned(), source: source.into() }
    }
}
