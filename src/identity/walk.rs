//! One walk over a file or a folder: what the file system says of it, and what it holds.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};

/// Bytes read at once.
const CHUNK: usize = 1024 * 1024;
/// Files of one folder. What has more takes longer to look at than to make.
const MOST_FILES: usize = 1_000_000;
/// Folders in each other.
const DEEPEST: usize = 128;

/// Why it cannot be said what lies there.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("{path}: {source}")]
    Io { path: String, source: std::io::Error },
    #[error("it holds more than {MOST_FILES} files")]
    TooMany,
    #[error("its folders lie more than {DEEPEST} deep")]
    TooDeep,
    #[error("{0} was replaced while it was read")]
    Replaced(String),
}

/// What the file system says of a file, or of all files of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The same while names, sizes, times and places are the same.
    pub stamp: String,
    /// Of all regular files together.
    pub bytes: u64,
}

/// Size, times and place of a file, or of each file below a folder. Reads no file.
pub fn stamp(path: &Path) -> Result<Stamp, Refused> {
    let mut found = Stamping { hasher: blake3::Hasher::new(), bytes: 0 };
    let real = path.canonicalize().map_err(io(path))?;
    let about = real.symlink_metadata().map_err(io(path))?;
    if about.is_dir() {
        each_below(&real, (0, &mut 0), &mut found)?;
    } else {
        found.file(&real, &about)?;
    }
    Ok(Stamp { stamp: found.hasher.finalize().to_hex().to_string(), bytes: found.bytes })
}

/// What it holds: the same text for the same names and bytes, wherever and whenever they were written. Digests are compared
/// with those of earlier builds: what is digested never changes.
pub fn digest(path: &Path) -> Result<String, Refused> {
    let mut hasher = blake3::Hasher::new();
    let real = path.canonicalize().map_err(io(path))?;
    if real.is_dir() {
        each_below(&real, (0, &mut 0), &mut hasher)?;
    } else {
        contents(&real, &mut hasher)?;
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// What is noted of each entry of a folder.
trait Notes {
    fn name(&mut self, name: &[u8]);
    /// Before and after the entries of a folder.
    fn folder(&mut self, mark: &'static [u8]);
    /// Whatever is no folder.
    fn file(&mut self, path: &Path, about: &Metadata) -> Result<(), Refused>;
}

struct Stamping {
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Notes for Stamping {
    fn name(&mut self, name: &[u8]) {
        self.hasher.name(name);
    }

    fn folder(&mut self, mark: &'static [u8]) {
        self.hasher.folder(mark);
    }

    fn file(&mut self, _: &Path, about: &Metadata) -> Result<(), Refused> {
        for number in [about.mode().into(), about.ino(), about.dev(), about.len()] {
            self.hasher.update(&number.to_le_bytes());
        }
        for number in [about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec()] {
            self.hasher.update(&number.to_le_bytes());
        }
        if about.is_file() {
            self.bytes += about.len();
        }
        Ok(())
    }
}

impl Notes for blake3::Hasher {
    fn name(&mut self, name: &[u8]) {
        self.update(&name.len().to_le_bytes());
        self.update(name);
    }

    fn folder(&mut self, mark: &'static [u8]) {
        self.update(mark);
    }

    fn file(&mut self, path: &Path, about: &Metadata) -> Result<(), Refused> {
        if about.is_symlink() {
            self.update(b"->");
            self.update(std::fs::read_link(path).map_err(io(path))?.as_os_str().as_encoded_bytes());
        } else if about.is_file() {
            self.update(&about.len().to_le_bytes());
            contents(path, self)?;
        }
        Ok(())
    }
}

/// Every entry below a folder, in the order of names; no link is followed.
fn each_below(path: &Path, (depth, seen): (usize, &mut usize), notes: &mut impl Notes) -> Result<(), Refused> {
    if depth > DEEPEST {
        return Err(Refused::TooDeep);
    }
    let entries = std::fs::read_dir(path).map_err(io(path))?;
    let names: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
    let mut names = names.map_err(io(path))?;
    names.sort();
    for name in names {
        *seen += 1;
        if *seen > MOST_FILES {
            return Err(Refused::TooMany);
        }
        let inside = path.join(&name);
        let about = inside.symlink_metadata().map_err(io(&inside))?;
        notes.name(name.as_encoded_bytes());
        if about.is_dir() {
            notes.folder(b"(");
            each_below(&inside, (depth + 1, &mut *seen), notes)?;
            notes.folder(b")");
        } else {
            notes.file(&inside, &about)?;
        }
    }
    Ok(())
}

fn contents(path: &Path, hasher: &mut blake3::Hasher) -> Result<(), Refused> {
    // A pipe that has taken the file's place must not hold whoever opens it.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(open(path, flags, Mode::empty()).map_err(|errno| io(path)(errno.into()))?);
    if !file.metadata().map_err(io(path))?.is_file() {
        return Err(Refused::Replaced(path.display().to_string()));
    }
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk).map_err(io(path))? {
            0 => return Ok(()),
            read => drop(hasher.update(&chunk[..read])),
        }
    }
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> Refused + '_ {
    move |source| Refused::Io { path: path.display().to_string(), source }
}
