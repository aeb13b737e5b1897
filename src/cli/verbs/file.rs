//! Workflow files: which one is meant, and what is wrong with it, before anything is said to the engine.

use std::path::{Path, PathBuf};

use super::Ended;
use crate::cli::Face;
use crate::cli::exit::{Exit, Failure};

/// The name that is looked for first.
const DEFAULT: &str = "dogwatch.toml";
const ENDING: &str = ".dogwatch.toml";

/// The file named, else the folder's own.
pub(super) fn named_or_only(named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = named {
        return Ok(path.into());
    }
    if Path::new(DEFAULT).is_file() {
        return Ok(DEFAULT.into());
    }
    let names = std::fs::read_dir(".")
        .map_err(|why| Failure::new(Exit::Usage, format!("this folder cannot be read: {why}")))?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    choose(names.collect()).map(PathBuf::from)
}

/// The only workflow file among these names.
fn choose(names: Vec<String>) -> Result<String, Failure> {
    let mut found: Vec<String> = names
        .into_iter()
        .filter(|name| name.ends_with(ENDING) && name.len() > ENDING.len())
        .collect();
    found.sort();
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Failure::usage(
            "there is no dogwatch.toml and no *.dogwatch.toml in this folder",
            "name the file: dogwatch run FILE",
        )),
        several => Err(Failure::usage(
            format!("this folder has several workflow files: {}", several.join(", ")),
            format!("name one: dogwatch run {}", several[0]),
        )),
    }
}

/// The file's text.
pub(super) fn source(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|why| {
        Failure::usage(
            format!("{} cannot be read: {why}", path.display()),
            "name a workflow file: dogwatch run FILE",
        )
    })
}
