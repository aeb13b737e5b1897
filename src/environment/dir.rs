//! The environment's directory: its files, its lock, and reaching its socket by a path of any length.
//! Owns the names; it may never be given a directory that a step can write to.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::net::{AddressFamily, SocketType};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Error, Isolation, Spec};
use crate::clock;

pub(super) const SPEC: &str = "spec.json";
pub(super) const SECRET: &str = "secret";
pub(super) const LOCK: &str = "lock";
pub(super) const SOCKET: &str = "keeper.sock";
pub(super) const RUNNING: &str = "running.json";
pub(super) const ENDED: &str = "ended";
pub(super) const LOG: &str = "porter.log";

/// What runs now; written by the porter that started it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Running {
    pub(super) v: u32,
    pub(super) isolation: Isolation,
    /// The keeper, once it is known: absent for a moment after the start.
    pub(super) keeper: Option<Process>,
}

/// A process that can be told from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    pub(super) pid: i32,
    /// Start time in clock ticks since boot.
    pub(super) start: u64,
    pub(super) boot_id: String,
}

impl Process {
    /// The process that has this number now.
    pub(super) fn of(pid: i32) -> Option<Self> {
        Some(Self { pid, start: start_ticks(pid)?, boot_id: clock::boot_id() })
    }

    /// A file descriptor of the process, if it is still the same one. Opened before it is compared: what the
    /// descriptor names cannot be replaced any more.
    pub(super) fn open(&self) -> Option<OwnedFd> {
        let pid = rustix::process::Pid::from_raw(self.pid)?;
        let fd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()?;
        (Self::of(self.pid).as_ref() == Some(self)).then_some(fd)
    }
}

/// Field 22 of `/proc/<pid>/stat`; counted from the last `)`, for a name may hold anything. A zombie has ended.
fn start_ticks(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Makes the directory (0700) with its secret, if they are not there yet, and gives the secret.
pub(super) fn prepare(dir: &Path) -> Result<[u8; 32], Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(Error::io("making the folder", dir))?;
    let meta = std::fs::symlink_metadata(dir).map_err(Error::io("looking at", dir))?;
    if !meta.is_dir() {
        return Err(Error::Refused(format!("{} is not a folder", dir.display())));
    }
    std::fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .map_err(Error::io("protecting", dir))?;
    let path = dir.join(SECRET);
    if let Some(secret) = read_secret(dir)? {
        return Ok(secret);
    }
    // The first of several callers wins: all must end up with the same secret, and never with half of one.
    let fresh = dir.join(format!("{SECRET}.{}", hex(&clock::random_bytes::<8>())));
    write_new(&fresh, &clock::random_bytes::<32>())?;
    match rustix::fs::renameat_with(rustix::fs::CWD, &fresh, rustix::fs::CWD, &path, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(rustix::io::Errno::EXIST) => drop(std::fs::remove_file(&fresh)),
        Err(source) => return Err(Error::io("putting in place", &path)(source)),
    }
    read_secret(dir)?.ok_or_else(|| Error::Refused(format!("{} vanished while it was made", path.display())))
}

/// The secret, if there is one.
pub(super) fn read_secret(dir: &Path) -> Result<Option<[u8; 32]>, Error> {
    let path = dir.join(SECRET);
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(&path);
    let mut bytes = Vec::with_capacity(33);
    match file {
        Ok(file) => file.take(33).read_to_end(&mut bytes).map_err(Error::io("reading", &path))?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("opening", &path)(error)),
    };
    let secret = bytes.try_into();
    secret
        .map(Some)
        .map_err(|_| Error::Refused(format!("{} does not hold 32 bytes; remove the folder it is in", path.display())))
}

/// Writes a file that must not exist, readable by the owner only.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(Error::io("making", path))?;
    file.write_all(bytes).and_then(|()| file.sync_data()).map_err(Error::io("writing", path))
}

/// Replaces a file in one step: a reader sees the old or the new one, never half of it.
pub(super) fn replace(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let fresh = dir.join(format!("{name}.{}", hex(&clock::random_bytes::<8>())));
    let path = dir.join(name);
    let replaced =
        write_new(&fresh, bytes).and_then(|()| std::fs::rename(&fresh, &path).map_err(Error::io("replacing", &path)));
    if replaced.is_err() {
        // On a full disk every try would leave one behind; whether this works changes nothing.
        let _ = std::fs::remove_file(&fresh);
    }
    replaced
}

/// Replaces a file by the JSON of `value`.
pub(super) fn replace_json<T: Serialize>(dir: &Path, name: &str, value: &T) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(value)
        .map_err(|error| Error::Refused(format!("{name} cannot be written: {error} (are all paths UTF-8?)")))?;
    replace(dir, name, &text)
}

/// Reads a JSON file; `None` when it is not there.
pub(super) fn read_json<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<Option<T>, Error> {
    let path = dir.join(name);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("reading", &path)(error)),
    };
    let value = serde_json::from_slice(&text);
    value.map(Some).map_err(|error| Error::Refused(format!("{} is not understood: {error}", path.display())))
}

/// The specification in the directory.
pub(super) fn read_spec(dir: &Path) -> Result<Spec, Error> {
    let spec = read_json::<Spec>(dir, SPEC)?;
    spec.ok_or_else(|| Error::Refused(format!("{} has no {SPEC}", dir.display())))
}

/// Takes the porter's lock, or gives `None` when another one lives. Closed on exec: no child keeps it alive.
pub(super) fn lock(dir: &Path) -> Result<Option<File>, Error> {
    let path = dir.join(LOCK);
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(&path)
        .map_err(Error::io("opening", &path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(source) => Err(Error::io("locking", &path)(source)),
    }
}

/// A handle on a folder, for paths that are too long for a socket address.
pub(super) fn open_dir(path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(Error::io("opening", path))
}

/// A short name of `name` in the folder: socket addresses end at 107 bytes, paths do not.
pub(super) fn short(dir: &OwnedFd, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", dir.as_fd().as_raw_fd()))
}

/// Binds the keeper's socket; whatever was left there is replaced in one step, so that a caller finds the old one
/// (and is refused) or the new one, never a gap that looks like a broken folder.
pub(super) fn listen(dir: &Path) -> Result<UnixListener, Error> {
    let fd = open_dir(dir)?;
    let fresh = format!("{SOCKET}.{}", hex(&clock::random_bytes::<4>()));
    let path = dir.join(SOCKET);
    let listener = UnixListener::bind(short(&fd, &fresh)).map_err(Error::io("binding", &path))?;
    rustix::fs::chmodat(&fd, &fresh, Mode::RUSR | Mode::WUSR, AtFlags::empty())
        .map_err(Error::io("protecting", &path))?;
    rustix::fs::renameat(&fd, &fresh, &fd, SOCKET).map_err(Error::io("putting in place", &path))?;
    Ok(listener)
}

/// Does a keeper hold the socket open? Says nothing about whether it still speaks.
pub(super) fn is_listened(dir: &Path) -> bool {
    let Ok(fd) = open_dir(dir) else { return false };
    let Ok(address) = rustix::net::SocketAddrUnix::new(short(&fd, SOCKET)) else { return false };
    let flags = rustix::net::SocketFlags::NONBLOCK | rustix::net::SocketFlags::CLOEXEC;
    let Ok(socket) = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None) else {
        return false;
    };
    // AGAIN: its queue is full, so somebody owns it and does not accept.
    matches!(rustix::net::connect(&socket, &address), Ok(()) | Err(rustix::io::Errno::AGAIN))
}

/// The last lines of the log, for an error message.
pub(super) fn log_tail(dir: &Path) -> String {
    let text = std::fs::read(dir.join(LOG)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(4096)..]).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// A line in the porter's log. On a full disk it is lost, and nothing else: `eprintln!` would end the porter.
pub(super) fn note(words: &str) {
    let at =
        jiff::Timestamp::from_millisecond(clock::wall_ms()).map_or_else(|_| String::new(), |at| format!("{at:.0}"));
    let _ = writeln!(std::io::stderr(), "{at} {words}");
}

/// Makes the folders of `relative` below `base`, whatever a step has put there: no link is followed, so nothing is
/// ever made outside of `base`.
pub fn make_below(base: &Path, relative: &Path) -> Result<(), Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder = open_dir(base)?;
    let mut path = base.to_owned();
    for part in relative.components() {
        path.push(part);
        let Component::Normal(name) = part else {
            return Err(Error::Refused(format!("{} is not a plain path below its folder", relative.display())));
        };
        match rustix::fs::mkdirat(&folder, name, Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(source) => return Err(Error::io("making the folder", &path)(source)),
        }
        folder = rustix::fs::openat(&folder, name, flags, Mode::empty()).map_err(Error::io("entering", &path))?;
    }
    Ok(())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
