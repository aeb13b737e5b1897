//! The values of secrets, from the start of a run to its end: files of the owner's alone on a file system that is no disk.
//! Never writes one anywhere else, never logs one. After a restart of the host it is empty, and steps wait for a person.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::faults::crash_point;
use crate::model::RunId;
use crate::secrets;
use crate::state_dir;
use crate::wire::secrets::Secrets;

/// tmpfs and ramfs.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// Why values cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(
        "there is no place in memory to keep secrets in: neither /dev/shm nor $XDG_RUNTIME_DIR is a tmpfs of yours"
    )]
    Nowhere,
    #[error("{path} is not a private folder of yours: somebody else may have put it there; remove it")]
    Foreign { path: PathBuf },
    #[error("{path} cannot be written: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("the value of {name} cannot be used: {why}")]
    Unfit { name: String, why: secrets::Unfit },
}

/// Where the values of all runs of one state directory lie.
#[derive(Debug, Clone)]
pub(super) struct Vault {
    /// Where it can be, the best first. What was kept is looked for in all: variables may be others in the next engine.
    places: Vec<PathBuf>,
}

impl Vault {
    /// The one of the engine with this key: nobody else can know its name.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let id = &blake3::Hash::from_bytes(blake3::derive_key("dogwatch vault 1", key)).to_hex()[..16];
        // What a sandbox shows its steps is its own /dev/shm, and its own /run.
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.starts_with("/run"));
        let roots = std::iter::once(PathBuf::from("/dev/shm")).chain(runtime);
        Self { places: roots.map(|root| root.join(format!("dogwatch-{id}"))).collect() }
    }

    /// Keeps these values for a run, beside those that it has.
    pub(super) fn keep(&self, run: &RunId, values: &Secrets) -> Result<(), Error> {
        if values.is_empty() {
            return Ok(());
        }
        for (name, value) in &values.0 {
            secrets::check(value).map_err(|why| Error::Unfit { name: name.clone(), why })?;
        }
        let base = self.places.iter().find(|place| in_memory(place)).ok_or(Error::Nowhere)?;
        own_dir(base)?;
        let dir = base.join(run.as_str());
        own_dir(&dir)?;
        crash_point("vault.before-write");
        for (name, value) in &values.0 {
            let path = dir.join(name);
            write(&path, value).map_err(|source| Error::Io { path, source })?;
            crash_point("vault.after-write");
        }
        Ok(())
    }

    /// The values of these that are there, and the names of those that are not.
    pub(super) fn values(&self, run: &RunId, names: &[String]) -> (Secrets, Vec<String>) {
        let (mut found, mut lost) = (Secrets::default(), Vec::new());
        for name in names {
            match self.places.iter().find_map(|place| read(&place.join(run.as_str()), name)) {
                Some(value) => drop(found.0.insert(name.clone(), value)),
                None => lost.push(name.clone()),
            }
        }
        (found, lost)
    }

    /// The run has ended: nobody needs them any more.
    pub(super) fn forget(&self, run: &RunId) {
        crash_point("vault.before-forget");
        for place in &self.places {
            remove(&place.join(run.as_str()));
        }
        crash_point("vault.after-forget");
    }

    /// At the engine's start: what is left of runs that are over, or never began.
    pub(super) fn sweep(&self, lives: impl Fn(&str) -> bool) {
        for place in &self.places {
            for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
                if entry.file_name().to_str().is_none_or(|run| !lives(run)) {
                    remove(&entry.path());
                }
            }
        }
    }
}

fn remove(dir: &Path) {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::error!("secrets of a run that is over are still in {}: {error}", dir.display());
        }
        Ok(()) | Err(_) => {}
    }
}

/// It would be on a file system that is no disk, and can be written.
fn in_memory(place: &Path) -> bool {
    let Some(root) = place.parent() else { return false };
    let kind = state_dir::file_system(root).ok().and_then(|kind| u64::try_from(kind).ok());
    let writable = rustix::fs::access(root, rustix::fs::Access::WRITE_OK).is_ok();
    writable && kind.is_some_and(|kind| IN_MEMORY.contains(&kind))
}

/// Makes a folder that is ours alone, or refuses one that somebody else put there first.
fn own_dir(path: &Path) -> Result<(), Error> {
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(source) if source.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(Error::Io { path: path.into(), source });
        }
        Ok(()) | Err(_) => {}
    }
    if is_ours(path) { Ok(()) } else { Err(Error::Foreign { path: path.into() }) }
}

fn is_ours(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|meta| {
        meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw() && meta.mode().trailing_zeros() >= 6
    })
}

/// In one step: whoever reads sees the old value or the new one.
fn write(path: &Path, value: &str) -> std::io::Result<()> {
    let fresh =
        path.with_file_name(format!(".{}", path.file_name().and_then(|name| name.to_str()).unwrap_or_default()));
    drop(std::fs::remove_file(&fresh));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o400).open(&fresh)?;
    file.write_all(value.as_bytes())?;
    crash_point("vault.before-value");
    std::fs::rename(&fresh, path)?;
    crash_point("vault.after-value");
    Ok(())
}

fn read(dir: &Path, name: &str) -> Option<String> {
    if !is_ours(dir) {
        return None;
    }
    let value = std::fs::read_to_string(dir.join(name)).ok()?;
    secrets::check(&value).ok().map(|()| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_for_the_owner_alone_and_forgotten_with_the_run() {
        let key = crate::clock::random_bytes::<32>();
        let (vault, run) = (Vault::new(&key), RunId::new("abc234").expect("legal"));
        let names = ["TOKEN".to_owned(), "OTHER".to_owned()];
        let values = Secrets([("TOKEN".to_owned(), "canary-1".to_owned())].into());
        vault.keep(&run, &values).expect("there is a tmpfs");
        assert_eq!(vault.values(&run, &names), (values, vec!["OTHER".to_owned()]));
        // A new engine with the same key finds them, another one does not.
        assert!(Vault::new(&key).values(&run, &names[..1]).1.is_empty());
        assert_eq!(Vault::new(&[7; 32]).values(&run, &names[..1]).1.len(), 1);
        let dir = vault.places[0].join("abc234");
        let modes =
            [dir.clone(), dir.join("TOKEN")].map(|path| std::fs::metadata(path).expect("it is there").mode() & 0o777);
        assert_eq!(modes, [0o700, 0o400]);
        let short = Secrets([("OTHER".to_owned(), "ab".to_owned())].into());
        let told = vault.keep(&run, &short).expect_err("it cannot be hidden").to_string();
        assert!(told.starts_with("the value of OTHER cannot be used: it has fewer than 4"), "{told}");
        vault.sweep(|run| run == "abc234");
        assert!(dir.exists());
        vault.forget(&run);
        assert!(!dir.exists());
        std::fs::remove_dir(&vault.places[0]).expect("nothing else is in it");
    }
}
