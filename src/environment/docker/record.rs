//! What is noted of an environment's container beside it, and what steps find inside by that: written before it is started,
//! so that whoever comes later knows what it is without its engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::bundle;
use crate::environment::{Error, Inside, dir};

/// The file that says which container an environment has.
pub(in crate::environment) const RECORD: &str = "container.json";

/// What an environment's container is, written before it is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) v: u32,
    pub(super) name: String,
    /// Where the engine listens that has it.
    pub(super) socket: PathBuf,
    pub(super) engine: String,
    pub(super) image: String,
    pub(super) image_id: String,
    /// Variables that the image gives its programs.
    pub(super) env: BTreeMap<String, String>,
    /// The words that start a shell.
    pub(super) shell: Vec<String>,
    /// What it lacks of what was asked for.
    #[serde(default)]
    pub(super) lacks: Option<String>,
    /// It stays although its environment has ended.
    #[serde(default)]
    pub(super) left: bool,
    /// The attempt that it was made anew for.
    #[serde(default)]
    pub(super) made_for: Option<String>,
    /// When it was last started, in milliseconds since 1970; noted just before.
    #[serde(default)]
    pub(super) started_ms: Option<i64>,
}

/// What steps find inside, of an environment that was made before.
pub(in crate::environment) fn inside(dir: &Path) -> Result<Inside, Error> {
    let record = read(dir)?.ok_or_else(|| Error::Refused(format!("{} has no {RECORD}", dir.display())))?;
    let (dogwatch, bin) = (PathBuf::from(bundle::DOGWATCH), PathBuf::from(bundle::BIN));
    Ok(Inside { env: record.env, shell: Some(record.shell), dogwatch, bin })
}

pub(super) fn read(dir: &Path) -> Result<Option<Record>, Error> {
    dir::read_json(dir, RECORD)
}

/// Is there a container that goes with its environment?
pub(in crate::environment) fn is_to_go(dir: &Path) -> bool {
    dir.join(RECORD).exists() && !matches!(read(dir), Ok(Some(record)) if record.left)
}

/// See [`crate::environment::is_made_for`].
pub(in crate::environment) fn is_made_for(dir: &Path, key: &str) -> bool {
    matches!(read(dir), Ok(Some(record)) if record.made_for.as_deref() == Some(key))
}

/// See [`crate::environment::note_made_for`].
pub(in crate::environment) fn note_made_for(dir: &Path, key: &str) -> Result<(), Error> {
    change(dir, |record| record.made_for = Some(key.to_owned()))
}

/// See [`crate::environment::was_started_before`].
pub(in crate::environment) fn was_started_before(dir: &Path, wall_ms: i64) -> bool {
    matches!(read(dir), Ok(Some(Record { started_ms: Some(started), .. })) if started < wall_ms)
}

/// See [`crate::environment::leave_container`].
pub(in crate::environment) fn leave(dir: &Path) -> Result<(), Error> {
    change(dir, |record| record.left = true)
}

pub(super) fn change(dir: &Path, change: impl FnOnce(&mut Record)) -> Result<(), Error> {
    let Some(mut record) = read(dir)? else { return Ok(()) };
    change(&mut record);
    dir::replace_json(dir, RECORD, &record)
}
