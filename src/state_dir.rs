//! Where dogwatch keeps everything: which folder that is, whether it can be trusted, and how its sockets are reached.
//! Owns the names of what lies in it; never opens the journal, takes the engine's lock or speaks on a socket.
//!
//! Invariant: a [`StateDir`] that exists was made 0700 or checked: it is the user's own, nobody else may write to it, and
//! it lies on a file system where locks and `SQLite`'s shared memory work.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FsWord, Mode, OFlags};

/// The name of the engine's socket in it.
pub const SOCKET: &str = "engine.sock";
/// The variable that says where the state lies.
pub const VARIABLE: &str = "DOGWATCH_STATE_DIR";

/// Why the state directory cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "none of {VARIABLE}, XDG_STATE_HOME and HOME is set, so there is no place to keep state; set {VARIABLE} to a folder of your own"
    )]
    Nowhere,
    #[error(
        "the state directory {} is not an absolute path; set {VARIABLE} to one that begins with /", path.display()
    )]
    Relative { path: PathBuf },
    #[error("the state directory {} cannot be {act}: {source}; make it yours, or set {VARIABLE} to another folder", path.display())]
    Io { path: PathBuf, act: &'static str, source: std::io::Error },
    #[error("the state directory {} is not a folder; move that file away, or set {VARIABLE} to another folder", path.display())]
    NoFolder { path: PathBuf },
    #[error(
        "the state directory {} belongs to user id {owner}, and you are {me}: its journal could be forged; set {VARIABLE} to a folder of your own", path.display()
    )]
    Foreign { path: PathBuf, owner: u32, me: u32 },
    #[error(
        "the state directory {} can be written by others (mode {mode:04o}): its journal could be forged; check what is in it, then: chmod 700 {}", path.display(), path.display()
    )]
    Writable { path: PathBuf, mode: u32 },
    #[error(
        "the state directory {} is on {kind}, where locks and SQLite's journal cannot be relied on; set {VARIABLE} to a folder on a local disk", path.display()
    )]
    Shared { path: PathBuf, kind: &'static str },
}

/// The state directory of this user, made and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// The folder that the environment names, made when it is not there yet.
    pub fn find() -> Result<Self, Error> {
        Self::at(&place(|name| std::env::var_os(name))?)
    }

    /// This folder, made when it is not there yet.
    pub fn at(path: &Path) -> Result<Self, Error> {
        if !path.is_absolute() {
            return Err(Error::Relative { path: path.into() });
        }
        let io = |act| move |source| Error::Io { path: path.into(), act, source };
        if !path.exists() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io("made"))?;
        }
        // What is checked is what is used: no link is followed later.
        let path = path.canonicalize().map_err(io("read"))?;
        check(&path)?;
        Ok(Self { path })
    }

    /// The folder, absolute, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whoever holds the lock of this file is the engine.
    pub fn engine_lock(&self) -> PathBuf {
        self.path.join("engine.lock")
    }

    /// The engine's socket. May be longer than a socket's name may be: use [`reach`].
    pub fn socket(&self) -> PathBuf {
        self.path.join(SOCKET)
    }

    /// The journal's database.
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal.db")
    }

    /// What is given back to a full disk so that exits can still be recorded.
    pub fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// One folder per run.
    pub fn runs(&self) -> PathBuf {
        self.path.join("runs")
    }

    /// One run's folder.
    pub fn run(&self, run: &crate::model::RunId) -> PathBuf {
        self.runs().join(run.as_str())
    }

    /// There while a person has stopped the engine on purpose: no ending step starts it then.
    pub fn stopped_marker(&self) -> PathBuf {
        self.path.join("engine.stopped")
    }

    /// The engine's own log files, and what it said when it could not start.
    pub fn log_dir(&self) -> PathBuf {
        self.path.join("log")
    }
}

/// Which folder the variables name; nothing is made or checked.
pub fn place(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, Error> {
    let set = |name: &str| variable(name).filter(|text| !text.is_empty()).map(PathBuf::from);
    if let Some(path) = set(VARIABLE) {
        return Ok(path);
    }
    // A relative XDG path is to be ignored, says its specification.
    if let Some(base) = set("XDG_STATE_HOME").filter(|p| p.is_absolute()) {
        return Ok(base.join("dogwatch"));
    }
    let home = set("HOME").ok_or(Error::Nowhere)?;
    Ok(home.join(".local/state/dogwatch"))
}

fn check(path: &Path) -> Result<(), Error> {
    let meta = std::fs::metadata(path).map_err(|source| Error::Io { path: path.into(), act: "read", source })?;
    if !meta.is_dir() {
        return Err(Error::NoFolder { path: path.into() });
    }
    let me = rustix::process::geteuid().as_raw();
    if meta.uid() != me {
        return Err(Error::Foreign { path: path.into(), owner: meta.uid(), me });
    }
    if meta.mode() & 0o022 != 0 {
        return Err(Error::Writable { path: path.into(), mode: meta.mode() & 0o7777 });
    }
    let magic = file_system(path).map_err(|source| Error::Io { path: path.into(), act: "read", source })?;
    match unreliable(magic) {
        Some(kind) => Err(Error::Shared { path: path.into(), kind }),
        None => Ok(()),
    }
}

/// The kernel's number for the file system that this path lies on.
pub fn file_system(path: &Path) -> std::io::Result<FsWord> {
    Ok(rustix::fs::statfs(path)?.f_type)
}

/// What is refused: file systems whose locks other hosts share, or whose shared memory is none.
pub fn unreliable(magic: FsWord) -> Option<&'static str> {
    match magic {
        0x6969 => Some("NFS"),
        0x6573_5546 => Some("FUSE"),
        0x517B | 0xFE53_4D42 | 0xFF53_4D42 => Some("SMB"),
        _ => None,
    }
}

/// A socket's path that is short enough for the kernel, good as long as this lives.
#[derive(Debug)]
pub struct Reach {
    _dir: OwnedFd,
    path: PathBuf,
}

impl Reach {
    /// What to bind or connect to.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A socket's name may be 107 bytes long, a state directory's may be longer: goes through a descriptor of its folder.
pub fn reach(socket: &Path) -> std::io::Result<Reach> {
    let (Some(folder), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let dir = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let path = Path::new("/proc/self/fd").join(dir.as_fd().as_raw_fd().to_string()).join(name);
    Ok(Reach { _dir: dir, path })
}
