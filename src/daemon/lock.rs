//! The engine's lock: one engine per state directory, for as long as its process lives. Owns `engine.lock`.
//!
//! The lock is an flock on a descriptor that no child inherits, so it ends with the process, however it ends. What is
//! written into the file is only for people. An engine whose file is taken away (its state directory was removed) has
//! nothing left to guard, and would be in the way of nobody and known to nobody: it ends.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock, inotify};
use tokio::net::unix::pipe::Receiver;

use super::Error;
use crate::clock;

/// How often the lock is tried again, and how long after.
const TRIES: u32 = 10;
const BETWEEN: Duration = Duration::from_millis(10);

/// Held as long as this lives.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Whether the file that is held is still the one that others would find. One that cannot be looked at counts as ours.
    pub(super) fn is_ours(&self) -> bool {
        let (Ok(held), found) = (self.file.metadata(), std::fs::metadata(&self.path)) else { return true };
        match found {
            Ok(found) => (found.dev(), found.ino()) == (held.dev(), held.ino()),
            Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        }
    }

    /// Returns when it is not ours any more; woken by the kernel. Never where that cannot be watched.
    pub(super) async fn lost(&self) {
        let Ok(events) = self.watch() else { return std::future::pending().await };
        while self.is_ours() {
            if events.readable().await.is_err() {
                return std::future::pending().await;
            }
            let mut buffer = [0u8; 4096];
            while events.try_read(&mut buffer).is_ok() {}
        }
    }

    fn watch(&self) -> std::io::Result<Receiver> {
        let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        // A file that is open still says that it has one name less.
        inotify::add_watch(&fd, &self.path, inotify::WatchFlags::ATTRIB | inotify::WatchFlags::MOVE_SELF)?;
        if let Some(dir) = self.path.parent() {
            inotify::add_watch(&fd, dir, inotify::WatchFlags::MOVE_SELF)?;
        }
        Receiver::from_owned_fd_unchecked(fd)
    }
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
    Ok(Lock { file, path: path.into() })
}
