//! The engine's lock: one engine per state directory, for as long as its process lives. Owns `engine.lock`.
//!
//! The lock is an flock on a descriptor that no child inherits, so it ends with the process, however it ends. What is
//! written into the file is only for people.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::Error;
use crate::clock;

/// How often the lock is tried again, and how long after.
const TRIES: u32 = 10;
const BETWEEN: Duration = Duration::from_millis(10);

/// Held as long as this lives.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Takes the lock, or says who has it.
pub(super) fn take(path: &Path) -> Result<Lock, Error> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(Error::io("cannot open", path))?;
    // A porter looks whether the lock is free by holding it, shared, for a moment.
    let mut taken = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
    for _ in 0..TRIES {
        if taken {
            break;
        }
        clock::pause(BETWEEN);
        taken = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
    }
    if !taken {
        let mut owner = String::new();
        let told = file.read_to_string(&mut owner).is_ok() && !owner.trim().is_empty();
        let owner = if told { owner.trim().to_owned() } else { "an unnamed process".into() };
        return Err(Error::Owned(format!("{owner} holds {}", path.display())));
    }
    let since =
        jiff::Timestamp::from_millisecond(clock::wall_ms()).map_or_else(|_| String::new(), |t| format!("{t:.0}"));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let text = format!("pid {} on {host} since {since}\n", std::process::id());
    // Only words: on a full disk the lock itself still holds.
    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
    if let Err(error) = written {
        tracing::warn!("{} cannot name its owner: {error}", path.display());
    }
    Ok(Lock { _file: file })
}
