//! An output of an earlier run, copied to where another run wants it. Steps of both runs may put anything into these folders
//! meanwhile: folders are entered one by one and never through a link, and nothing that is there is written over.

use std::ffi::OsStr;
use std::fs::{File, FileTimes};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, mkdirat, open, openat, readlinkat, renameat_with, statat,
    symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::walk::digest;
use crate::clock;
use crate::faults::crash_point;

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Copies `from`, which lies below `of`, to `to`, which is to lie below `own`; both are folders that dogwatch made: whole or not at all. What is there already and holds
/// the same is taken as it is. An error is in words.
pub(super) fn copy(from: &Path, of: &Path, own: &Path, to: &Path) -> Result<(), String> {
    // The output itself may be a link to what its step made beside it.
    let (from, of) = (from.canonicalize().map_err(words)?, of.canonicalize().map_err(words)?);
    let inside = from.strip_prefix(&of).map_err(|_| "it is a link that leads out of its run".to_owned())?;
    let (source, name) = enter(&of, inside, false)?;
    let below = to.strip_prefix(own).map_err(|_| "it would lie outside of the run's folder".to_owned())?;
    let (target, last) = enter(own, below, true)?;
    let fresh = format!(".dogwatch-{:x}", u64::from_le_bytes(clock::random_bytes::<8>()));
    let fresh = OsStr::new(&fresh);
    let copied = entry((source.as_fd(), &name), (target.as_fd(), fresh), 0);
    crash_point("identity.before-placed");
    let placed = copied.map_err(words).and_then(|()| {
        match renameat_with(&target, fresh, &target, &*last, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(()),
            // An engine that was killed has done it before; what a step has put there is another matter.
            Err(Errno::EXIST) => match (digest(&from), digest(to)) {
                (Ok(one), Ok(other)) if one == other => Ok(()),
                _ => Err("something else lies at its place".into()),
            },
            Err(errno) => Err(errno.to_string()),
        }
    });
    crash_point("identity.after-placed");
    remove(target.as_fd(), fresh);
    placed
}

/// The folder of the last part of `inside`, below `base`, and that part.
fn enter<'a>(base: &Path, inside: &'a Path, make: bool) -> Result<(OwnedFd, std::borrow::Cow<'a, OsStr>), String> {
    let mut names = Vec::new();
    for part in inside.components() {
        match part {
            Component::Normal(name) => names.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err("its path goes up".into()),
        }
    }
    let name = names.pop().ok_or("it is the step's whole folder: name a file or a folder in it")?;
    let mut at = open(base, FOLDER, Mode::empty()).map_err(words)?;
    for folder in names {
        if make
            && let Err(errno) = mkdirat(&at, folder, Mode::RWXU)
            && errno != Errno::EXIST
        {
            return Err(errno.to_string());
        }
        at = openat(&at, folder, FOLDER, Mode::empty()).map_err(words)?;
    }
    Ok((at, name.into()))
}

/// One file, link or folder with all that it holds.
fn entry(
    (from, name): (BorrowedFd<'_>, &OsStr),
    (to, fresh): (BorrowedFd<'_>, &OsStr),
    depth: usize,
) -> std::io::Result<()> {
    let about = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(about.st_mode) {
        FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let mut source = File::from(openat(from, name, flags, Mode::empty())?);
            let known = source.metadata()?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut target = File::from(openat(to, fresh, flags, Mode::RUSR | Mode::WUSR)?);
            std::io::copy(&mut source, &mut target)?;
            target.set_permissions(std::fs::Permissions::from_mode(known.permissions().mode() & 0o777))?;
            target.set_times(FileTimes::new().set_modified(known.modified()?))?;
            target.sync_all()
        }
        FileType::Symlink => Ok(symlinkat(readlinkat(from, name, Vec::new())?, to, fresh)?),
        FileType::Directory if depth < 128 => {
            let source = openat(from, name, FOLDER, Mode::empty())?;
            mkdirat(to, fresh, Mode::RWXU)?;
            let target = openat(to, fresh, FOLDER, Mode::empty())?;
            for inner in Dir::read_from(&source)? {
                let inner = OsStr::from_bytes(inner?.file_name().to_bytes()).to_owned();
                if inner != "." && inner != ".." {
                    entry((source.as_fd(), &inner), (target.as_fd(), &inner), depth + 1)?;
                }
            }
            Ok(())
        }
        FileType::Directory
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => Err(std::io::Error::other(format!("{} is no file", name.display()))),
    }
}

/// What was copied and not put in its place. Whatever cannot be removed is a hidden folder of the step's own.
fn remove(at: BorrowedFd<'_>, name: &OsStr) {
    let Ok(folder) = openat(at, name, FOLDER, Mode::empty()) else {
        let _ = unlinkat(at, name, AtFlags::empty());
        return;
    };
    for inner in Dir::read_from(&folder).into_iter().flatten().flatten() {
        let inner = OsStr::from_bytes(inner.file_name().to_bytes()).to_owned();
        if inner != "." && inner != ".." {
            remove(folder.as_fd(), &inner);
        }
    }
    let _ = unlinkat(at, name, AtFlags::REMOVEDIR);
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}
