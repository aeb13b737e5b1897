//! Whether the state directory takes what has to be written, and if not, why nothing new starts. Starts and stops nothing.
//!
//! Three things tell: a commit that is refused, a look before something starts, and a shim that cannot record an end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags, openat, statvfs};
use rustix::io::Errno;

use super::views::exit_words;
use crate::model::{AttemptId, End};

/// What an attempt needs at least: its claim, its record, the beginning of its log, and the journal's words about it.
const ROOM: u64 = 1024 * 1024;
const THEN: &str = "nothing new starts until that changes, what runs goes on";

/// What is known of the state directory's file system.
#[derive(Debug)]
pub(super) struct Space {
    state: PathBuf,
    /// Why a commit or a look was refused, the last time.
    refused: Option<String>,
    /// Attempts that ended and whose shims cannot record it.
    unrecorded: BTreeMap<AttemptId, Unrecorded>,
}

#[derive(Debug, PartialEq, Eq)]
struct Unrecorded {
    end: End,
    words: String,
}

impl Space {
    pub(super) fn new(state: PathBuf) -> Self {
        Self { state, refused: None, unrecorded: BTreeMap::new() }
    }

    /// Why nothing new starts, in words for people; `None` when nothing is wrong.
    pub(super) fn trouble(&self) -> Option<String> {
        self.refused.clone().or_else(|| self.unrecorded.values().next().map(|one| one.words.clone()))
    }

    /// Is the disk to be tried again by whoever was refused?
    pub(super) fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// Something could not be written.
    pub(super) fn refused(&mut self, words: String) {
        if self.refused.as_ref() != Some(&words) {
            tracing::error!("{words}");
            self.refused = Some(words);
        }
    }

    /// Something was written. That proves little: it may have used what was its own already.
    pub(super) fn works_again(&mut self) {
        if self.refused.is_some() && shortage(&self.state).is_none() {
            tracing::info!("the state directory can be written to again");
            self.refused = None;
        }
    }

    /// Nothing is started that could not write its claim and its log.
    pub(super) fn look(&mut self) {
        if self.refused.is_none()
            && let Some(words) = shortage(&self.state)
        {
            self.refused(words);
        }
    }

    /// The attempt has ended like this, and its shim is refused the record.
    pub(super) fn unrecorded(&mut self, attempt: AttemptId, name: &str, end: End, why: &str) {
        let words = format!(
            "{name} has ended ({}), but that cannot be recorded: {why}; it is tried again every second, {THEN}",
            exit_words(end)
        );
        let one = Unrecorded { end, words };
        if self.unrecorded.get(&attempt) != Some(&one) {
            tracing::error!("{}", one.words);
            self.unrecorded.insert(attempt, one);
        }
    }

    /// The end of the attempt is known by its record, or it will never be.
    pub(super) fn recorded(&mut self, attempt: &AttemptId) {
        self.unrecorded.remove(attempt);
    }

    /// How the attempt ended, if its shim holds that.
    pub(super) fn held(&self, attempt: &AttemptId) -> Option<End> {
        self.unrecorded.get(attempt).map(|one| one.end)
    }
}

/// What is missing, in words; `None` when there is room, or when nobody can tell.
fn shortage(state: &Path) -> Option<String> {
    let found = statvfs(state).ok()?;
    let at = state.display();
    if found.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Some(format!("the state directory {at} is read-only; {THEN}"));
    }
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    // Some file systems count no inodes at all.
    let no_files = found.f_files > 0 && found.f_favail == 0;
    if free < ROOM || no_files {
        return Some(format!("the state directory {at} is full ({} KiB left); {THEN}", free / 1024));
    }
    let refused = std::io::Error::from(try_to_write(state).err()?);
    Some(format!("the state directory {at} cannot be written to: {refused}; {THEN}"))
}

/// A file without a name, with a page in it. The numbers alone do not tell of a quota, nor of an ext4 that has met an error
/// of the disk: that one refuses every write and is still mounted `rw`.
fn try_to_write(state: &Path) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
    match openat(CWD, state, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => rustix::io::retry_on_intr(|| rustix::io::write(&file, &[0; 4096])).map(drop),
        // Not every file system can make one.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::shortage;

    #[test]
    fn a_folder_with_room_lacks_nothing_and_proc_is_full() {
        assert_eq!(shortage(&std::env::temp_dir()), None);
        let words = shortage(Path::new("/proc")).expect("no room there");
        assert!(words.contains("/proc is full"), "{words}");
    }
}
