//! The dogwatch that is shown inside: a copy that may be executed but not read, one per build of the binary.
//! Owns `<state>/bin`; never touches the binary it copies.
//!
//! Keeper and shim hold what no step may have (the run's folder, keys of exit records) and make themselves
//! undumpable, but only some instructions after their start: in between, another step of the same user could attach a
//! debugger. The kernel makes a process undumpable from its first instruction on when its binary cannot be read by its
//! user, so the copy has mode 0111; inside it lies on a read-only mount, where that cannot be changed.

use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;

use super::Error;
use super::dir::{hex, note};
use crate::clock;

/// The copy of this binary, made if it is not there yet. Copies of other builds are removed: whoever has them
/// mounted keeps them.
pub(super) fn copy(dogwatch: &Path, state_dir: &Path) -> Result<PathBuf, Error> {
    let meta = std::fs::metadata(dogwatch).map_err(Error::io("looking at", dogwatch))?;
    let folder = state_dir.join("bin");
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(Error::io("making the folder", &folder))?;
    let flags = rustix::fs::statvfs(&folder).map_err(Error::io("looking at", &folder))?.f_flag;
    if flags.contains(StatVfsMountFlags::NOEXEC) {
        note(&format!(
            "nothing can be executed on the file system of {}: {} itself is shown inside",
            folder.display(),
            dogwatch.display()
        ));
        return Ok(dogwatch.to_owned());
    }
    let name = format!("dogwatch-{:x}-{:x}-{:x}-{:x}", meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec());
    let path = folder.join(&name);
    if std::fs::metadata(&path).is_ok_and(|copy| copy.len() == meta.len()) {
        return Ok(path);
    }
    let fresh = folder.join(format!(".{}", hex(&clock::random_bytes::<8>())));
    write(dogwatch, &fresh)?;
    std::fs::rename(&fresh, &path).map_err(Error::io("putting in place", &path))?;
    for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
        let other = entry.file_name();
        if other != name.as_str() && other.to_string_lossy().starts_with("dogwatch-") {
            // Somebody else may have been quicker; nothing depends on it.
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(path)
}

fn write(dogwatch: &Path, fresh: &Path) -> Result<(), Error> {
    let mut from = std::fs::File::open(dogwatch).map_err(Error::io("reading", dogwatch))?;
    let mut options = std::fs::OpenOptions::new();
    let mut into = options.write(true).create_new(true).mode(0o700).open(fresh).map_err(Error::io("making", fresh))?;
    std::io::copy(&mut from, &mut into).map_err(Error::io("copying to", fresh))?;
    // On the disk before it has its final name: after a power cut the name must not stand for half a binary.
    into.sync_all().map_err(Error::io("writing", fresh))?;
    into.set_permissions(std::fs::Permissions::from_mode(0o111)).map_err(Error::io("protecting", fresh))
}
