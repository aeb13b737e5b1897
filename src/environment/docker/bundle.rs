//! The bundle: everything of dogwatch that a container needs, whatever its image lacks. dogwatch, tmux and a shell of
//! this host with the libraries and the loader they were built for, a UTF-8 locale and a few terminals.
//!
//! Owns `<state>/bundle`: one folder per digest of its sources, never changed once it has its name, for containers have
//! it mounted. The copies name the bundle's own loader (the path inside the container), so that they start where no
//! loader is, and `/proc/self/exe` is still dogwatch. The copy of dogwatch may be executed but not read, for the reason
//! that `binary` gives. Libraries are found by `LD_LIBRARY_PATH` in the keeper's own environment, which no step gets; the
//! copy of dogwatch names their folder, too, so that a step can start it (`dogwatch report`) in whatever image it is.

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::StatVfsMountFlags;

use super::elf;
use crate::clock;
use crate::environment::Error;
use crate::environment::dir::{hex, note};

/// Where the bundle is mounted. Short, for it must fit where the path of another loader stood.
pub(super) const INSIDE: &str = "/run/dogwatch/b";
/// Where its libraries are.
pub(in crate::environment) const LIBRARIES: &str = "/run/dogwatch/b/lib";
const LOADER: &str = "/run/dogwatch/b/ld.so";
/// The libraries' folder, with its final zero: copies of dogwatch name this place of their own read-only data.
const SEARCHED: &[u8] = b"/run/dogwatch/b/lib\0";
/// dogwatch inside, and a folder that holds a link to it and nothing else.
pub(super) const DOGWATCH: &str = "/run/dogwatch/b/dogwatch";
pub(super) const BIN: &str = "/run/dogwatch/b/bin";

/// Terminals that tmux and people's shells ask for.
const TERMINALS: [&str; 5] = ["xterm-256color", "tmux-256color", "screen-256color", "xterm", "linux"];
const TERMINFO: [&str; 4] = ["/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo", "/usr/lib/terminfo"];
const LOCALES: [&str; 2] = ["/usr/lib/locale/C.utf8/LC_CTYPE", "/usr/lib/locale/C.UTF-8/LC_CTYPE"];

/// A bundle that is there.
#[derive(Debug, Clone)]
pub(super) struct Bundle {
    /// On this host.
    pub(super) path: PathBuf,
}

impl Bundle {
    /// The words that start a shell where the image has none.
    pub(super) fn shell(&self) -> Vec<String> {
        let is_there = |name: &str| self.path.join(name).exists();
        match (is_there("sh"), is_there("ld.so")) {
            (false, _) => vec!["/bin/sh".into()],
            (true, false) => vec![format!("{INSIDE}/sh")],
            (true, true) => {
                vec![LOADER.into(), "--library-path".into(), format!("{INSIDE}/lib"), format!("{INSIDE}/sh")]
            }
        }
    }
}

/// What goes into the bundle: place inside -> file on this host.
#[derive(Debug, Default)]
struct Sources {
    files: BTreeMap<String, PathBuf>,
    loader: Option<PathBuf>,
}

/// The bundle of this dogwatch and this tmux, made if it is not there yet.
pub(super) fn make(dogwatch: &Path, tmux: Option<&Path>, state_dir: &Path) -> Result<Bundle, Error> {
    let sources = gather(dogwatch, tmux)?;
    let folder = state_dir.join("bundle");
    make_dir(&folder, 0o700)?;
    let flags = rustix::fs::statvfs(&folder).map_err(Error::io("looking at", &folder))?.f_flag;
    if flags.contains(StatVfsMountFlags::NOEXEC) {
        let why = "nothing can be executed on its file system, and containers execute dogwatch from there";
        return Err(Error::Refused(format!(
            "{}: {why}; put the state elsewhere by DOGWATCH_STATE_DIR",
            folder.display()
        )));
    }
    let path = folder.join(digest(&sources)?);
    if path.is_dir() {
        return Ok(Bundle { path });
    }
    let fresh = folder.join(format!(".{}", hex(&clock::random_bytes::<8>())));
    write(&sources, &fresh)?;
    match std::fs::rename(&fresh, &path) {
        Ok(()) => {}
        // Somebody else was quicker; a folder that is mounted is never replaced.
        Err(_) if path.is_dir() => drop(std::fs::remove_dir_all(&fresh)),
        Err(source) => return Err(Error::io("putting in place", &path)(source)),
    }
    Ok(Bundle { path })
}

fn make_dir(path: &Path, mode: u32) -> Result<(), Error> {
    std::fs::DirBuilder::new().recursive(true).mode(mode).create(path).map_err(Error::io("making the folder", path))
}

fn gather(dogwatch: &Path, tmux: Option<&Path>) -> Result<Sources, Error> {
    let mut sources = Sources::default();
    add_program(&mut sources, "dogwatch", dogwatch)?;
    let shell = Path::new("/bin/sh").canonicalize().ok();
    for (name, program) in [("tmux", tmux.map(Path::to_owned)), ("sh", shell)] {
        let Some(program) = program else { continue };
        // Without them there is no picture of a step, or no step in an image without a shell; all else works.
        if let Err(error) = add_program(&mut sources, name, &program) {
            note(&format!("{} stays out of the bundle: {error}", program.display()));
        }
    }
    for terminal in TERMINALS {
        let initial = terminal.chars().next().unwrap_or('x');
        let relative = [format!("{initial}/{terminal}"), format!("{:x}/{terminal}", u32::from(initial))];
        let found =
            TERMINFO.iter().flat_map(|folder| relative.iter().map(move |one| (one, Path::new(folder).join(one))));
        if let Some((relative, file)) = found.into_iter().find(|(_, file)| file.is_file()) {
            sources.files.insert(format!("terminfo/{relative}"), file);
        }
    }
    if let Some(locale) = LOCALES.iter().map(PathBuf::from).find(|file| file.is_file()) {
        sources.files.insert("locale/C.utf8/LC_CTYPE".into(), locale);
    }
    Ok(sources)
}

/// A program with its loader and its libraries.
fn add_program(sources: &mut Sources, name: &str, program: &Path) -> Result<(), Error> {
    let refuse = |why: String| Error::Refused(format!("{} {why}", program.display()));
    let bytes = std::fs::read(program).map_err(Error::io("reading", program))?;
    if let Some(loader) = elf::loader(&bytes).map_err(|error| refuse(error.to_string()))? {
        let loader = PathBuf::from(loader);
        let real = loader.canonicalize().map_err(Error::io("finding", &loader))?;
        if sources.loader.as_ref().is_some_and(|other| *other != real) {
            return Err(refuse(format!("is loaded by {}, unlike the rest", loader.display())));
        }
        let libraries = libraries(&loader, program)?;
        sources.files.insert("ld.so".into(), real.clone());
        sources.loader = Some(real);
        for (library, file) in libraries {
            sources.files.insert(format!("lib/{library}"), file);
        }
    }
    sources.files.insert(name.into(), program.to_owned());
    Ok(())
}

/// What the loader says that the program needs: `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`.
fn libraries(loader: &Path, program: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let mut command = Command::new(loader);
    command.arg("--list").arg(program).env_clear().stdin(Stdio::null());
    let output = command.output().map_err(Error::io("asking the loader of", program))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::Refused(format!("{} cannot be loaded: {said}", program.display())));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut found = Vec::new();
    for line in text.lines() {
        let Some((name, rest)) = line.trim().split_once(" => ") else { continue };
        let path = PathBuf::from(rest.split(" (").next().unwrap_or(rest));
        if path.is_absolute() && !name.contains('/') {
            found.push((name.to_owned(), path));
        }
    }
    Ok(found)
}

/// Of the files as they are now, by what changes when they are replaced: reading them all would take as long as copying.
fn digest(sources: &Sources) -> Result<String, Error> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"dogwatch bundle 2\0");
    for (place, file) in &sources.files {
        let meta = std::fs::metadata(file).map_err(Error::io("looking at", file))?;
        let facts = format!("{place}\0{}\0{}\0{}\0{}\0", meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec());
        hasher.update(facts.as_bytes());
        hasher.update(file.as_os_str().as_encoded_bytes());
        hasher.update(b"\0");
    }
    Ok(hasher.finalize().to_hex()[..24].to_owned())
}

fn write(sources: &Sources, folder: &Path) -> Result<(), Error> {
    for (place, file) in &sources.files {
        let path = folder.join(place);
        make_dir(path.parent().unwrap_or(folder), 0o755)?;
        let mut bytes = std::fs::read(file).map_err(Error::io("reading", file))?;
        let mode = match place.as_str() {
            "dogwatch" => 0o111,
            "tmux" | "ld.so" | "sh" => 0o755,
            _ => 0o644,
        };
        if matches!(place.as_str(), "dogwatch" | "tmux") {
            elf::set_loader(&mut bytes, LOADER)
                .map_err(|error| Error::Refused(format!("{} {error}", file.display())))?;
        }
        // The keeper needs it not: without it only what steps report is lost, and only in some images.
        if place == "dogwatch"
            && let Err(error) = elf::set_search(&mut bytes, SEARCHED)
        {
            note(&format!("`dogwatch report` may not start in containers: {} {error}", file.display()));
        }
        let mut options = std::fs::OpenOptions::new();
        let mut copy =
            options.write(true).create_new(true).mode(0o600).open(&path).map_err(Error::io("making", &path))?;
        // On the disk before the folder has its final name: it must not stand for half a program after a power cut.
        std::io::Write::write_all(&mut copy, &bytes)
            .and_then(|()| copy.sync_all())
            .and_then(|()| copy.set_permissions(std::fs::Permissions::from_mode(mode)))
            .map_err(Error::io("writing", &path))?;
    }
    let link = folder.join("bin/dogwatch");
    make_dir(&folder.join("bin"), 0o755)?;
    std::os::unix::fs::symlink("../dogwatch", &link).map_err(Error::io("making", &link))
}
