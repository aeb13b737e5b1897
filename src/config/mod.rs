//! The workflow file: TOML in, [`Workflow`] out, and every mistake with its place, its source line and a hint.
//!
//! Owns the file format. Nothing else makes a [`Workflow`]. Never guesses, never ignores a key, never panics on a file.

mod asked;
mod flow;
mod foreign;
mod judge;
mod keys;
mod made;
mod phrase;
mod problems;
mod read;
pub mod rules;
mod schema;
mod toml10;
mod units;
pub mod user;

use std::io::Read as _;
use std::path::Path;

use toml::de::DeTable;

pub use keys::{Kind, NotYet};
pub use made::{NotToml, for_command, known_files, starter};
pub use problems::{MOST, Place, Problem, Problems, Severity};
pub use schema::schema;
pub use units::{BadDuration, duration, is_variable, signal};

use crate::model::Workflow;
use flow::Missing;
use problems::Found;
use read::Reader;

/// How many places that are no TOML are looked at: behind them nothing means what it seems.
const MOST_SYNTAX: usize = 50;

/// The largest workflow file, in bytes.
pub const LARGEST: usize = 4 * 1024 * 1024;

/// A workflow that can be run.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub workflow: Workflow,
    /// What is probably not meant; may be empty.
    pub warnings: Problems,
    /// The file's text, to be frozen with the run.
    pub source: String,
}

/// Reads a workflow file for a run with these parameters.
pub fn load(path: &Path, params: &[(String, String)]) -> Result<Loaded, Problems> {
    open(path, params, Missing::Refuse)
}

/// Reads a workflow file to look at it: a parameter without a value gets an example and a warning.
pub fn inspect(path: &Path, params: &[(String, String)]) -> Result<Loaded, Problems> {
    open(path, params, Missing::Imagine)
}

/// Reads a workflow from its text, without looking at any file: the same text, name, base and parameters always give the
/// same workflow. `file` is the original's name: a workflow that has no name of its own is called after it.
pub fn parse(source: &str, file: &str, base: &Path, params: &[(String, String)]) -> Result<Loaded, Problems> {
    let given = Given { file, base, params, missing: Missing::Refuse, look: false };
    understand(source, given)
}

#[derive(Clone, Copy)]
struct Given<'g> {
    file: &'g str,
    base: &'g Path,
    params: &'g [(String, String)],
    missing: Missing,
    /// Whether the workspace and the mounts must be there.
    look: bool,
}

fn open(path: &Path, params: &[(String, String)], missing: Missing) -> Result<Loaded, Problems> {
    let file = path.to_string_lossy();
    let source = text(path, &file)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    understand(&source, Given { file: &file, base: parent, params, missing, look: true })
}

/// The text of a file, which must not be too large.
fn text(path: &Path, file: &str) -> Result<String, Problems> {
    let unreadable = |error: std::io::Error| {
        let hint = if error.kind() == std::io::ErrorKind::PermissionDenied {
            "make it readable for this user"
        } else {
            "name a workflow file, or start in a folder with a dogwatch.toml"
        };
        Problems::of_file(file, format!("the file cannot be read: {error}"), hint)
    };
    let opened = std::fs::File::open(path).map_err(unreadable)?;
    if opened.metadata().map_err(unreadable)?.is_dir() {
        return Err(Problems::of_file(file, "this is a folder", "name the workflow file in it"));
    }
    let mut bytes = Vec::new();
    // One byte more than allowed tells that there is more; a device or a pipe may never end.
    opened.take(LARGEST as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > LARGEST {
        let words = format!("the file is larger than {} MiB", LARGEST / 1024 / 1024);
        return Err(Problems::of_file(file, words, "this is no workflow file, or its data belongs into other files"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let source = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let mut found = Found::default();
        let hint = "save the file as UTF-8";
        found.error(&(at..at + 1), "this is not UTF-8").hint(hint);
        found.into_problems(file, &source)
    })
}

fn understand(source: &str, given: Given<'_>) -> Result<Loaded, Problems> {
    // Some editors begin every file with a byte order mark.
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    if source.len() > LARGEST {
        let words = format!("the file is larger than {} MiB", LARGEST / 1024 / 1024);
        return Err(Problems::of_file(given.file, words, "its data belongs into other files"));
    }
    if given.base.to_str().is_none() {
        let words = "the folder of the file has a name that is not UTF-8";
        return Err(Problems::of_file(given.file, words, "move the file to a folder whose whole path is UTF-8"));
    }
    let (tree, errors) = DeTable::parse_recoverable(source);
    let mut reader = Reader { source, found: Found::default(), uses: vec![], step: None, reminders: vec![] };
    syntax(&mut reader.found, source, &errors);
    let mut read = None;
    if !reader.found.has_errors() {
        let name = flow::usable(stem(given.file));
        let with = flow::With { name: &name, base: given.base, params: given.params, missing: given.missing };
        read = flow::read(&mut reader, tree.get_ref(), with);
    }
    if let Some(read) = read.as_ref().filter(|_| given.look) {
        read.look(&mut reader.found);
    }
    let failed = reader.found.has_errors();
    let problems = reader.found.into_problems(given.file, source);
    match read {
        Some(read) if !failed => Ok(Loaded { workflow: read.workflow, warnings: problems, source: source.into() }),
        Some(_) | None => Err(problems),
    }
}

/// Notes what is no TOML, once for each line: what follows a mistake is rarely another one.
fn syntax(found: &mut Found, source: &str, errors: &[toml::de::Error]) {
    if let Some((at, words)) = errors.first().and_then(|_| other_language(source)) {
        let hint = "[steps.build] and below it run = \"make\"; `dogwatch init` writes a whole file to begin with";
        found.error(&at, format!("this is {words}, and workflow files are TOML")).hint(hint);
        return;
    }
    let mut last = None;
    for error in errors.iter().take(MOST_SYNTAX) {
        let at = error.span().unwrap_or(0..0);
        let line = source.get(..at.start).map_or(0, |before| before.matches('\n').count());
        if last != Some(line) {
            let words = error.message().lines().next().unwrap_or("this is not TOML").to_owned();
            let twice = source.get(at.clone()).filter(|key| words == "duplicate key" && key.len() < 80);
            match twice {
                Some(key) => found.error(&at, format!("`{key}` is there twice")).hint("remove one of them"),
                None => found.error(&at, words).hint_if(hint_for(source, &at)),
            }
        }
        last = Some(line);
    }
    if errors.is_empty() {
        for new in toml10::check(source) {
            found.error(&new.at, format!("{} is TOML 1.1; workflow files are TOML 1.0", new.what)).hint(new.hint);
        }
    }
}

/// What a file is that is no TOML at all, and its first line that shows it. Told once: each of its lines is a mistake.
fn other_language(source: &str) -> Option<(std::ops::Range<usize>, &'static str)> {
    let mut at = 0;
    let (mut yaml, mut toml, mut first) = (0, 0, None);
    for raw in source.split_inclusive('\n').take(200) {
        let line = raw.trim();
        let start = at + (raw.len() - raw.trim_start().len());
        at += raw.len();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = start..start + line.len();
        if first.is_none() {
            if line.starts_with('{') {
                return Some((place, "JSON"));
            }
            if line.starts_with("process ") && line.ends_with('{') || line.starts_with("nextflow.") {
                return Some((place, "a Nextflow script"));
            }
        }
        let entry = line.strip_prefix("- ").unwrap_or(line);
        let key = entry.split_once(':').map(|(key, value)| (key.trim_matches(['"', '\'']), value));
        if key.is_some_and(|(key, value)| is_bare(key) && (value.is_empty() || value.starts_with(' '))) || line == "---"
        {
            yaml += 1;
            first.get_or_insert(place);
        } else if line.starts_with('[') || line.contains(" = ") {
            toml += 1;
            first.get_or_insert(place);
        }
    }
    first.filter(|_| yaml > 2 * toml).map(|place| (place, "YAML"))
}

/// Whether this may be a key that needs no quotes.
fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c))
}

/// A word about the mistakes that people make most.
fn hint_for(source: &str, at: &std::ops::Range<usize>) -> Option<String> {
    if source.contains('\0') {
        return Some("the file contains a NUL character: this is no text file".into());
    }
    let start = source.get(..at.start)?.rfind('\n').map_or(0, |n| n + 1);
    let line = source.get(start..)?.lines().next()?.trim();
    if line.split_once(':').is_some_and(|(key, value)| is_bare(key) && (value.is_empty() || value.starts_with(' '))) {
        return Some("a key and its value have `=` between them".into());
    }
    let value = line.split_once('=').map(|(_, value)| value.trim())?;
    let first = value.chars().next()?;
    let bare = first.is_alphabetic() || matches!(first, '/' | '$' | '.' | '~');
    (bare && !matches!(value, "true" | "false")).then(|| "a text is written in quotes".into())
}

/// The name of a file without its endings.
fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    let name = name.strip_suffix(".toml").unwrap_or(name);
    name.strip_suffix(".dogwatch").unwrap_or(name)
}
