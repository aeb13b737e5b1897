//! Whether the state directory has room for another attempt. Reads two numbers of the file system; starts and stops nothing.

use std::path::Path;

use rustix::fs::{StatVfsMountFlags, statvfs};

/// What an attempt needs at least: its claim, its record, the beginning of its log, and the journal's words about it.
const ROOM: u64 = 1024 * 1024;

/// What is missing, in words; `None` when there is room, or when nobody can tell.
pub(super) fn shortage(state: &Path) -> Option<String> {
    let found = statvfs(state).ok()?;
    let then = "nothing new starts until that changes, what runs goes on";
    if found.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Some(format!("the state directory {} is read-only; {then}", state.display()));
    }
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    // Some file systems count no inodes at all.
    let no_files = found.f_files > 0 && found.f_favail == 0;
    let full = free < ROOM || no_files;
    full.then(|| format!("the state directory {} is full ({} KiB left); {then}", state.display(), free / 1024))
}

#[cfg(test)]
mod tests {
    use super::shortage;

    #[test]
    fn a_folder_with_room_lacks_nothing_and_proc_is_full() {
        assert_eq!(shortage(&std::env::temp_dir()), None);
        let words = shortage(std::path::Path::new("/proc")).expect("no room there");
        assert!(words.contains("/proc is full"), "{words}");
    }
}
