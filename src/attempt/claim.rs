//! The claim: one attempt is run by one shim, whoever asks how often.
//!
//! The directory is made under a name of its own, the lock in it is taken, everything is written, and only then is it
//! renamed to `claim`. So a claim that can be seen is whole, and there is no moment in which the claim of a live shim
//! looks abandoned. The lock dies with the shim: no pid has to be trusted. It is a POSIX record lock, not a `flock`: that
//! one would also be held by a child between its fork and its exec, and a killed shim would look alive for that moment.
//!
//! The claim is not synced to disk. After a power cut the boot id is another one, and the intent in the journal alone
//! already says that the attempt may have run.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FlockOperation, Mode, OFlags, RenameFlags, fcntl_lock, mkdirat, openat, renameat_with, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Flock, FlockOffsetType, FlockType, fcntl_getlk};
use serde::{Deserialize, Serialize};

use super::{DIRECTORY, Error, read_small};
use crate::{clock, faults};

/// Version of `claim.json`.
pub const VERSION: u32 = 1;

const CLAIM: &str = "claim";
/// Room for the exit record: what is allocated now cannot be missing when the disk is full then.
pub(super) const RESERVED: usize = 4096;
pub(super) const RESERVE: &str = "exit.tmp";

/// `claim.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimant {
    pub v: u32,
    pub key: String,
    pub boot_id: String,
    /// In the pid namespace of its environment.
    pub pid: u32,
    pub start_boottime_ms: i64,
    pub epoch: u64,
}

/// A claim that this process holds.
#[derive(Debug)]
pub struct Claim {
    /// The directory `claim`.
    pub(super) dir: OwnedFd,
    /// Where the exit record will be written.
    pub(super) reserve: OwnedFd,
    /// Open as long as the claim is held.
    lock: OwnedFd,
}

/// What came of trying to claim.
#[derive(Debug)]
pub enum Taken {
    Mine(Claim),
    /// There is a claim already; nothing of ours is left behind.
    Theirs,
}

/// What a prober sees of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub boot_id: String,
    /// The shim lives.
    pub held: bool,
}

/// Tries to claim the attempt whose directory is `dir`.
pub fn take(dir: impl AsFd, claimant: &Claimant) -> Result<Taken, Error> {
    let dir = dir.as_fd();
    // Not by the pid alone: two environments may have shims of the same number.
    let own = format!("{CLAIM}.{}-{:08x}", claimant.pid, u32::from_le_bytes(clock::random_bytes()));
    let claim = prepare(dir, &own, claimant).inspect_err(|_| discard(dir, &own))?;
    faults::crash_point("shim.before-claim-rename");
    match rename_claim(dir, &own) {
        Ok(()) => {
            faults::crash_point("shim.after-claim-rename");
            if faults::mutant("lock_after_rename") {
                clock::pause(std::time::Duration::from_millis(300));
                lock(&claim.lock)?;
            }
            Ok(Taken::Mine(claim))
        }
        Err(Errno::EXIST | Errno::NOTEMPTY) if faults::mutant("no_claim") => Ok(Taken::Mine(claim)),
        Err(Errno::EXIST | Errno::NOTEMPTY) => {
            discard(dir, &own);
            Ok(Taken::Theirs)
        }
        Err(source) => {
            discard(dir, &own);
            Err(Error::io("put the claim in place", source))
        }
    }
}

/// File systems without `RENAME_NOREPLACE` (NFS, some FUSE) refuse the flag. A plain rename is as exclusive there, for
/// a directory never replaces one that is not empty, and a claim never is.
fn rename_claim(dir: BorrowedFd<'_>, own: &str) -> Result<(), Errno> {
    match renameat_with(dir, own, dir, CLAIM, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::renameat(dir, own, dir, CLAIM),
        other => other,
    }
}

fn prepare(at: BorrowedFd<'_>, own: &str, claimant: &Claimant) -> Result<Claim, Error> {
    mkdirat(at, own, Mode::RWXU).map_err(|source| Error::io("make the claim", source))?;
    let dir = openat(at, own, DIRECTORY, Mode::empty()).map_err(|source| Error::io("open the claim", source))?;
    let held = create(&dir, "lock")?;
    if !faults::mutant("lock_after_rename") {
        lock(&held)?;
    }
    let text = serde_json::to_vec(claimant).map_err(|source| Error::io("write claim.json", io::Error::from(source)))?;
    write_all(&create(&dir, "claim.json")?, &text).map_err(|source| Error::io("write claim.json", source))?;
    let reserve = create(&dir, RESERVE)?;
    // Blanks, so that a record with the rest of its room behind it is still JSON.
    write_all(&reserve, &[b' '; RESERVED]).map_err(|source| Error::io("reserve room for the exit record", source))?;
    Ok(Claim { dir, reserve, lock: held })
}

fn create(dir: impl AsFd, name: &str) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|source| Error::io(format!("make {name} of the claim"), source))
}

/// Nothing else in this process may open the file: its closing would let go of the lock.
fn lock(file: &OwnedFd) -> Result<(), Error> {
    fcntl_lock(file, FlockOperation::NonBlockingLockExclusive).map_err(|source| Error::io("lock the claim", source))
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(file, bytes))?;
        bytes = &bytes[written..];
    }
    Ok(())
}

/// Removes a claim that never became one. Failing is harmless: nobody reads it under this name.
fn discard(at: BorrowedFd<'_>, own: &str) {
    if let Ok(dir) = openat(at, own, DIRECTORY, Mode::empty()) {
        for name in ["lock", "claim.json", RESERVE] {
            let _ = unlinkat(&dir, name, AtFlags::empty());
        }
        let _ = unlinkat(at, own, AtFlags::REMOVEDIR);
    }
}

/// Looks at the claim in `dir`; `None` when there is none.
pub fn probe(dir: impl AsFd) -> Result<Option<Seen>, Error> {
    let claim = match openat(dir, CLAIM, DIRECTORY, Mode::empty()) {
        Ok(claim) => claim,
        Err(Errno::NOENT) => return Ok(None),
        Err(source) => return Err(Error::io("open the claim", source)),
    };
    let boot_id = read_small(&claim, "claim.json", RESERVED)?
        .and_then(|bytes| serde_json::from_slice::<Claimant>(&bytes).ok())
        .map_or_else(|| "unknown".into(), |claimant| claimant.boot_id);
    Ok(Some(Seen { boot_id, held: is_held(&claim)? }))
}

/// Who has claimed the attempt whose directory is `dir`; `None` when nobody has. What cannot be read of it is told as nothing.
pub fn claimant(dir: impl AsFd) -> Result<Option<Claimant>, Error> {
    let claim = match openat(dir, CLAIM, DIRECTORY, Mode::empty()) {
        Ok(claim) => claim,
        Err(Errno::NOENT) => return Ok(None),
        Err(source) => return Err(Error::io("open the claim", source)),
    };
    let bytes = read_small(&claim, "claim.json", RESERVED)?.unwrap_or_default();
    let unknown = || Claimant {
        v: VERSION,
        key: String::new(),
        boot_id: "unknown".into(),
        pid: 0,
        start_boottime_ms: 0,
        epoch: 0,
    };
    Ok(Some(serde_json::from_slice(&bytes).unwrap_or_else(|_| unknown())))
}

/// Asks who holds the lock, and takes none: probers cannot take each other for the shim.
fn is_held(claim: &OwnedFd) -> Result<bool, Error> {
    Ok(lock_of(claim)?.is_some())
}

/// The process that holds the claim of the attempt whose directory is `dir`, as this process counts; `None` when nobody
/// does, or from where it cannot be seen. Never asked by the shim itself.
pub fn holder(dir: impl AsFd) -> Result<Option<u32>, Error> {
    let claim = match openat(dir, CLAIM, DIRECTORY, Mode::empty()) {
        Ok(claim) => claim,
        Err(Errno::NOENT) => return Ok(None),
        Err(source) => return Err(Error::io("open the claim", source)),
    };
    let pid = lock_of(&claim)?.and_then(|held| held.pid);
    Ok(pid.map(|pid| pid.as_raw_nonzero().get().unsigned_abs()))
}

fn lock_of(claim: &OwnedFd) -> Result<Option<Flock>, Error> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match openat(claim, "lock", flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(source) => return Err(Error::io("open the lock of the claim", source)),
    };
    let whole = Flock { start: 0, length: 0, pid: None, typ: FlockType::ReadLock, offset_type: FlockOffsetType::Set };
    fcntl_getlk(&file, &whole).map_err(|source| Error::io("probe the lock of the claim", source))
}
