//! What steps saved, on the disk: where it may lie, and its removal. A step may have put anything there: no link is followed, and
//! nothing outside of the places of its step is touched. Decides nothing.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, open, openat, statat, unlinkat};
use rustix::io::Errno;

use crate::engine::Run;
use crate::faults::crash_point;
use crate::model::{LaneId, Time};

/// The clocks of a file system and of an engine may differ by that.
const SLACK_MS: u128 = 2_000;

/// Where a lane may save: its workspace and its `$DOGWATCH_DIR`.
pub(super) fn places(run: &Run, lane: &LaneId) -> Vec<PathBuf> {
    let workspace = run.workflow.environment_of(&lane.step).workspace.clone();
    vec![PathBuf::from(run.work_dir(lane)), PathBuf::from(workspace)]
}

/// Somebody wrote to it after that.
pub(super) fn is_newer(path: &Path, than: Time) -> bool {
    let written = path.symlink_metadata().and_then(|about| about.modified()).ok();
    let since = written.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let limit = u128::try_from(than.as_ms()).unwrap_or(0) + SLACK_MS;
    since.is_some_and(|since| since.as_millis() > limit)
}

/// Removes a checkpoint that lies in one of `places`; what is not there any more is removed. Else why it is there still.
pub(super) fn remove(path: &Path, places: &[PathBuf]) -> Result<(), String> {
    let inside = places.iter().find_map(|place| Some((place, path.strip_prefix(place).ok()?)));
    let Some((place, inside)) = inside else {
        return Err("it is neither in the workspace nor in $DOGWATCH_DIR".into());
    };
    let mut names = Vec::new();
    for part in inside.components() {
        match part {
            Component::Normal(name) => names.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err("its path goes up again".into());
            }
        }
    }
    let Some(name) = names.pop() else { return Err("it is the whole place of its step".into()) };
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = open(place, flags, Mode::empty()).map_err(|error| error.to_string())?;
    for folder in names {
        at = match openat(&at, folder, flags | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(next) => next,
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::LOOP | Errno::NOTDIR) => return Err("there is a link on the way to it".into()),
            Err(error) => return Err(error.to_string()),
        };
    }
    crash_point("checkpoint.before-remove");
    let removed = match statat(&at, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.to_string()),
        Ok(about) => {
            let kind = FileType::from_raw_mode(about.st_mode);
            if kind == FileType::Symlink {
                Err("it is a link".into())
            } else if kind == FileType::Directory {
                remove_folder(&at, name).map_err(|error| error.to_string())
            } else {
                unlinkat(&at, name, AtFlags::empty()).map_err(|error| error.to_string())
            }
        }
    };
    crash_point("checkpoint.after-remove");
    removed
}

/// A folder and all that is in it, from the bottom: what is below links stays.
fn remove_folder(parent: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut open_folders = vec![(openat(parent, name, flags, Mode::empty())?, name.to_owned())];
    while let Some((folder, _)) = open_folders.last() {
        if let Some(inside) = first_folder_after_files(folder)? {
            let deeper = openat(folder, &inside, flags, Mode::empty())?;
            open_folders.push((deeper, inside));
        } else if let Some((_, done)) = open_folders.pop() {
            let above = open_folders.last().map_or(parent.as_fd(), |(folder, _)| folder.as_fd());
            unlinkat(above, &done, AtFlags::REMOVEDIR)?;
        }
    }
    Ok(())
}

/// Removes the files of a folder until there is a folder in it.
fn first_folder_after_files(folder: &OwnedFd) -> Result<Option<std::ffi::OsString>, Errno> {
    use std::os::unix::ffi::OsStrExt as _;
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let about = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(about.st_mode) == FileType::Directory {
            return Ok(Some(name.to_owned()));
        }
        unlinkat(folder, name, AtFlags::empty())?;
    }
    Ok(None)
}
