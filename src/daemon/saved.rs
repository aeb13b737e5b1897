//! What steps saved, on the disk: what it holds, and its removal. A step may have put anything there: no link is followed, and
//! nothing outside of the places of its step is touched. Decides nothing.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, open, openat, statat, unlinkat};
use rustix::io::Errno;

use crate::engine::Run;
use crate::faults::crash_point;
use crate::model::{LaneId, Time};

/// Bytes read at once.
const CHUNK: usize = 1024 * 1024;
/// Files of one checkpoint. What has more is no checkpoint.
const MOST_FILES: usize = 100_000;
/// The clocks of a file system and of an engine may differ by that.
const SLACK_MS: u128 = 2_000;

/// Where a lane may save: its workspace and its `$DOGWATCH_DIR`.
pub(super) fn places(run: &Run, lane: &LaneId) -> Vec<PathBuf> {
    let workspace = run.workflow.environment_of(&lane.step).workspace.clone();
    vec![PathBuf::from(run.work_dir(lane)), PathBuf::from(workspace)]
}

/// What a checkpoint holds: the same text for the same names and bytes. `None` where that cannot be known.
pub(super) fn digest(path: &Path) -> Option<String> {
    let real = path.canonicalize().ok()?;
    let mut hasher = blake3::Hasher::new();
    if real.is_dir() {
        folder(&real, &mut hasher, &mut 0)?;
    } else {
        file(&real, &mut hasher)?;
    }
    Some(hasher.finalize().to_hex().to_string())
}

fn folder(path: &Path, hasher: &mut blake3::Hasher, seen: &mut usize) -> Option<()> {
    let entries = std::fs::read_dir(path).ok()?;
    let mut names: Vec<_> = entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>().ok()?;
    names.sort();
    for name in names {
        *seen += 1;
        if *seen > MOST_FILES {
            return None;
        }
        let inside = path.join(&name);
        let about = inside.symlink_metadata().ok()?;
        hasher.update(&name.len().to_le_bytes());
        hasher.update(name.as_encoded_bytes());
        if about.is_dir() {
            hasher.update(b"(");
            folder(&inside, hasher, seen)?;
            hasher.update(b")");
        } else if about.is_symlink() {
            hasher.update(b"->");
            hasher.update(std::fs::read_link(&inside).ok()?.as_os_str().as_encoded_bytes());
        } else if about.is_file() {
            hasher.update(&about.len().to_le_bytes());
            file(&inside, hasher)?;
        }
    }
    Some(())
}

fn file(path: &Path, hasher: &mut blake3::Hasher) -> Option<()> {
    // A pipe that has taken the file's place must not hold whoever opens it.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(open(path, flags, Mode::empty()).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk).ok()? {
            0 => return Some(()),
            read => drop(hasher.update(&chunk[..read])),
        }
    }
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
