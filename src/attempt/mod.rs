//! The attempt directory: what is left of one attempt on disk, and the only code that reads or writes its shape.
//!
//! ```text
//! <run dir>/<step>/<lane>/a<n>/
//!    claim/            made under another name with its lock already held, then renamed: see [`claim`]
//!       claim.json     who claimed, on which boot
//!       lock           held by the shim as long as it lives
//!       exit.tmp       room for the exit record, allocated before the step starts; gone once it is written
//!    log               the first bytes of the step's terminal, see [`log`]
//!    log.<offset>      the newest bytes beyond that
//!    log.times         offset, times and terminal size, a line now and then
//!    exit.json         how it ended, authenticated: see [`record`]
//! ```
//! Everything is opened relative to a descriptor and without following links: what is found there may have been put
//! there by somebody else. Nothing here decides anything.

pub mod claim;
pub mod log;
pub mod record;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat};

use crate::wire::keeper::Found;

/// Why an attempt's directory could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the attempt directory name `{0}` is not of the form step/lane/a1")]
    BadPlace(String),
    #[error(
        "cannot {what} in the attempt directory: {source}; check the disk and the permissions of the state directory"
    )]
    Io { what: String, source: io::Error },
    #[error("the exit record of {key} is tampered: {why}; it is not trusted, look at the log and decide by hand")]
    Tampered { key: String, why: String },
}

impl Error {
    pub(crate) fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io { what: what.into(), source: source.into() }
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens a directory that is trusted, such as a run's, by its path.
pub fn open_run_dir(path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|source| Error::io(format!("open {}", path.display()), source))
}

/// The parts of `step/lane/a<n>`; nothing else passes, so no name can lead out of the run's directory.
fn parts(place: &str) -> Result<Vec<&str>, Error> {
    let plain = |part: &&str| {
        !part.is_empty()
            && part.len() <= 100
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let parts: Vec<&str> = place.split('/').collect();
    if parts.len() == 3 && parts.iter().all(plain) { Ok(parts) } else { Err(Error::BadPlace(place.into())) }
}

/// Opens the attempt directory `place` (`step/lane/a<n>`) below a run's directory; `None` when it is not there.
pub fn open(run_dir: impl AsFd, place: &str) -> Result<Option<OwnedFd>, Error> {
    let mut here: Option<OwnedFd> = None;
    for part in parts(place)? {
        let at = here.as_ref().map_or_else(|| run_dir.as_fd(), AsFd::as_fd);
        match openat(at, part, DIRECTORY, Mode::empty()) {
            Ok(next) => here = Some(next),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(source) => return Err(Error::io(format!("open {place}"), source)),
        }
    }
    Ok(here)
}

/// Makes the attempt directory `place` where it is missing, and opens it.
pub fn make(run_dir: impl AsFd, place: &str) -> Result<OwnedFd, Error> {
    let mut here: Option<OwnedFd> = None;
    for part in parts(place)? {
        let at = here.as_ref().map_or_else(|| run_dir.as_fd(), AsFd::as_fd);
        match rustix::fs::mkdirat(at, part, Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(source) => return Err(Error::io(format!("make {place}"), source)),
        }
        here = Some(
            openat(at, part, DIRECTORY, Mode::empty()).map_err(|source| Error::io(format!("open {place}"), source))?,
        );
    }
    here.ok_or_else(|| Error::BadPlace(place.into()))
}

/// The attempt's key as a file and session name: letters, digits, `-` and `_` only.
pub fn is_key(key: &str) -> bool {
    key.len() <= 200
        && key.starts_with("dw-")
        && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

/// What is there of one attempt. With its key, only an authentic exit record counts, and one that is not is an error;
/// without (a keeper knows no keys of attempts it did not start), a regular file is enough.
pub fn look_up(dir: impl AsFd, key: &str, mac_key: Option<&[u8; 32]>) -> Result<Found, Error> {
    let dir = dir.as_fd();
    let claim = claim::probe(dir)?;
    let exited = match mac_key {
        Some(mac_key) => record::read(dir, key, mac_key)?.is_some(),
        None => record::is_there(dir),
    };
    Ok(Found {
        key: key.into(),
        claim_boot: claim.as_ref().map(|claim| claim.boot_id.clone()),
        exited,
        held: claim.is_some_and(|claim| claim.held),
    })
}

/// Reads the regular file `name` if it has at most `limit` bytes; `None` when it is not there.
pub(crate) fn read_small(dir: impl AsFd, name: &str, limit: usize) -> Result<Option<Vec<u8>>, Error> {
    let Some((file, _)) = open_own(dir, name)? else { return Ok(None) };
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, limit as u64 + 1), &mut bytes)
        .map_err(|source| Error::io(format!("read {name}"), source))?;
    if bytes.len() > limit {
        return Err(Error::io(format!("read {name}"), io::Error::other(format!("it is longer than {limit} bytes"))));
    }
    Ok(Some(bytes))
}

/// Reads the last `limit` bytes, or fewer, of the regular file `name`; `None` when it is not there.
pub(crate) fn read_end(dir: impl AsFd, name: &str, limit: usize) -> Result<Option<Vec<u8>>, Error> {
    let Some((file, len)) = open_own(dir, name)? else { return Ok(None) };
    let mut bytes = vec![0; limit];
    let read = std::os::unix::fs::FileExt::read_at(&file, &mut bytes, len.saturating_sub(limit as u64))
        .map_err(|source| Error::io(format!("read {name}"), source))?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// Opens a regular file that is our own, and tells its length.
fn open_own(dir: impl AsFd, name: &str) -> Result<Option<(std::fs::File, u64)>, Error> {
    // Not blocking: a FIFO in the file's place must not stop the reader.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match openat(dir, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(source) => return Err(Error::io(format!("open {name}"), source)),
    };
    let stat = rustix::fs::fstat(&file).map_err(|source| Error::io(format!("look at {name}"), source))?;
    if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() {
        return Err(Error::io(format!("read {name}"), io::Error::other("it is not a regular file")));
    }
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(Error::io(format!("read {name}"), io::Error::other("it belongs to somebody else")));
    }
    Ok(Some((std::fs::File::from(file), u64::try_from(stat.st_size).unwrap_or(0))))
}
