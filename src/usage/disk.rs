//! File systems: how much is free, and what a file or a folder takes. Follows no link out of where it was told to look.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A folder with more in it is not counted to its end.
const MOST: usize = 200_000;

/// Total and free bytes of the file system that `path` lies on; zeros where that cannot be told.
pub(super) fn space(path: &Path) -> (u64, u64) {
    let Ok(found) = rustix::fs::statvfs(path) else { return (0, 0) };
    (found.f_blocks.saturating_mul(found.f_frsize), found.f_bavail.saturating_mul(found.f_frsize))
}

/// Bytes that `path` takes on its disk, with all that is in it; `None` when it is not there. A link counts as what it
/// points to only where that lies in one of `inside`.
pub fn on_disk(path: &Path, inside: &[&Path]) -> Option<u64> {
    let own = std::fs::symlink_metadata(path).ok()?;
    if !own.is_symlink() {
        return Some(taken(path, &own));
    }
    let target = std::fs::canonicalize(path).ok()?;
    let is_inside = inside.iter().filter_map(|folder| folder.canonicalize().ok()).any(|it| target.starts_with(it));
    let found = std::fs::symlink_metadata(&target).ok().filter(|_| is_inside);
    Some(found.map_or(own.blocks() * 512, |found| taken(&target, &found)))
}

fn taken(path: &Path, own: &std::fs::Metadata) -> u64 {
    let mut bytes = own.blocks() * 512;
    let mut folders = if own.is_dir() { vec![path.to_owned()] } else { Vec::new() };
    let mut left = MOST;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Some(fewer) = left.checked_sub(1) else { return bytes };
            left = fewer;
            // Of the entry itself, not of what it points to.
            let Ok(found) = entry.metadata() else { continue };
            bytes += found.blocks() * 512;
            if found.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_counted_and_links_are_not_followed_out() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |name: &str| root.path().join(name);
        std::fs::create_dir_all(at("work/ckpt/deep")).expect("folders");
        std::fs::write(at("work/ckpt/deep/a"), vec![7u8; 100_000]).expect("a file");
        std::fs::write(at("outside"), vec![7u8; 1_000_000]).expect("a file");
        std::os::unix::fs::symlink(at("outside"), at("work/ckpt/out")).expect("a link");
        std::os::unix::fs::symlink(at("outside"), at("work/away")).expect("a link");
        std::os::unix::fs::symlink(at("work/ckpt"), at("work/latest")).expect("a link");
        std::os::unix::fs::symlink(at("nowhere"), at("work/dangling")).expect("a link");
        let work = at("work");
        let size = |name: &str| on_disk(&at(name), &[&work]);
        let counted = size("work/ckpt").expect("it is there");
        assert!((100_000..500_000).contains(&counted), "{counted}");
        assert_eq!(size("work/latest"), Some(counted));
        assert!(size("work/away").is_some_and(|bytes| bytes < 100_000));
        assert_eq!([size("work/dangling"), size("work/none")], [None, None]);
    }
}
