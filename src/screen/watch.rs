//! Which logs were written to, as the kernel tells it: nothing is woken while all are quiet.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::inotify;
use rustix::io::Errno;

/// Watches attempt directories, each under a name of the caller's.
#[derive(Debug)]
pub struct Watch<K> {
    fd: OwnedFd,
    names: BTreeMap<i32, K>,
}

impl<K: Copy + Ord> Watch<K> {
    pub fn new() -> io::Result<Self> {
        let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        Ok(Self { fd, names: BTreeMap::new() })
    }

    /// From now on this directory is watched under `name`. False when it is not there yet: ask again when the engine tells
    /// of a change. On file systems that tell nothing (some network ones) it is true and nothing comes: look now and then.
    pub fn add(&mut self, dir: &Path, name: K) -> io::Result<bool> {
        let flags = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
        match inotify::add_watch(&self.fd, dir, flags | inotify::WatchFlags::ONLYDIR) {
            Ok(id) => {
                self.names.insert(id, name);
                Ok(true)
            }
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// No longer.
    pub fn remove(&mut self, name: K) {
        let ids: Vec<i32> = self.names.iter().filter(|(_, other)| **other == name).map(|(id, _)| *id).collect();
        for id in ids {
            self.names.remove(&id);
            // One whose directory was deleted is gone already.
            let _ = inotify::remove_watch(&self.fd, id);
        }
    }

    /// To be polled for reading.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The names of the directories that were written to since the last call.
    pub fn changed(&mut self) -> BTreeSet<K> {
        let mut changed = BTreeSet::new();
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.fd, &mut buffer);
        // Any error says that nothing more is there now.
        while let Ok(event) = events.next() {
            if event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW) {
                changed.extend(self.names.values());
            }
            changed.extend(self.names.get(&event.wd()));
        }
        changed
    }
}
