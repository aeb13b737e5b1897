//! Workflow files: which one is meant, and what is wrong with it, before anything is said to the engine.

use std::path::{Path, PathBuf};

use super::Ended;
use crate::cli::Face;
use crate::cli::exit::{Exit, Failure};
use crate::cli::text::plan;
use crate::config::{self, Loaded, Problems};
use crate::model::{LaneSpec, Selection, StepId, Workflow};
use crate::tui::model::Found;

/// The name that is looked for first.
const DEFAULT: &str = "dogwatch.toml";
const ENDING: &str = ".dogwatch.toml";

/// The file named, else the folder's own.
pub(super) fn named_or_only(given: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = given {
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

/// Names of a folder that are looked at; one with more is no place for a first workflow.
const MOST_NAMES: usize = 10_000;

fn names() -> Vec<String> {
    let entries = std::fs::read_dir(".").into_iter().flatten().flatten().take(MOST_NAMES);
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// What the first screen offers of this folder.
pub(super) fn found() -> Found {
    let names = names();
    let workflows = names.iter().filter(|name| *name == DEFAULT || name.ends_with(ENDING) && name.len() > ENDING.len());
    Found { workflows: workflows.cloned().collect(), files: config::known_files(&names) }
}

/// Writes a first workflow file for this folder; never over one that is there.
pub(super) fn write_starter() -> Result<(), Failure> {
    let cannot = |why: std::io::Error| {
        let failure = Failure::new(Exit::Usage, format!("{DEFAULT} cannot be written: {why}"));
        failure.hint("nothing was changed; start dogwatch in a folder that you can write to")
    };
    let here = std::env::current_dir().map_err(cannot)?;
    let folder = here.file_name().map_or_else(|| "first".into(), |name| name.to_string_lossy().into_owned());
    let text = config::starter(&folder, &names());
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(DEFAULT).map_err(cannot)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(cannot)
}

/// The only workflow file among these names.
pub fn choose(names: Vec<String>) -> Result<String, Failure> {
    let mut found: Vec<String> =
        names.into_iter().filter(|name| name.ends_with(ENDING) && name.len() > ENDING.len()).collect();
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

/// Reads and checks it. What is wrong is told whole, with its places; what is doubtful too.
pub(super) fn load(face: &Face, path: &Path, params: &[(String, String)]) -> Result<Loaded, Failure> {
    let loaded = config::load(path, params).map_err(|problems| wrong(&problems))?;
    if !loaded.warnings.is_empty() {
        face.screen.note(&loaded.warnings.to_string());
    }
    Ok(loaded)
}

/// The problems as a failure: their text says file, line, column, the line itself and a hint.
pub(super) fn wrong(problems: &Problems) -> Failure {
    Failure::whole(Exit::Usage, problems.to_string())
}

/// Which steps are meant, checked against the file.
pub(super) fn selection(loaded: &Loaded, only: &[String], from: Option<&str>) -> Result<Selection, Failure> {
    if let Some(first) = from {
        return Ok(Selection::From(step(&loaded.workflow, first, "--from")?));
    }
    if only.is_empty() {
        return Ok(Selection::All);
    }
    only.iter().map(|name| step(&loaded.workflow, name, "--only")).collect::<Result<_, _>>().map(Selection::Only)
}

fn step(workflow: &Workflow, name: &str, flag: &str) -> Result<StepId, Failure> {
    if let Some(id) = workflow.steps.keys().find(|id| id.as_str() == name) {
        return Ok(id.clone());
    }
    let names: Vec<&str> = workflow.steps.keys().map(StepId::as_str).collect();
    Err(Failure::usage(format!("{flag}: {} has no step {name:?}", workflow.name), nearest(name, &names)))
}

/// `did you mean train?`, else what there is.
pub fn nearest(name: &str, names: &[&str]) -> String {
    names
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .min()
        .filter(|(distance, _)| *distance <= 2.max(name.len() / 3))
        .map_or_else(|| format!("it has: {}", names.join(", ")), |(_, known)| format!("did you mean {known}?"))
}

/// `run --dry-run`.
pub(super) fn plan(face: &Face, loaded: &Loaded, selection: &Selection) -> Ended {
    let workflow = &loaded.workflow;
    if face.screen.json {
        let chosen = plan::selected(workflow, selection);
        for (place, wave) in plan::waves(workflow).into_iter().enumerate() {
            for step in wave {
                let lanes: Vec<String> = step.lanes.iter().map(LaneSpec::label).collect();
                let needs: Vec<&str> = step.needs.iter().map(StepId::as_str).collect();
                face.screen.json_line(
                    "plan.step",
                    &serde_json::json!({
                        "step": step.id.as_str(), "order": place + 1, "needs": needs, "lanes": lanes,
                        "if": step.condition, "skipped": !chosen.contains(&step.id),
                    }),
                )?;
            }
        }
    } else {
        face.screen.rows(&plan::plan(workflow, selection, &face.screen.look()))?;
    }
    Ok(Exit::Good)
}

/// The workflow of one command.
pub(super) fn for_command(command: &[String], name: Option<&str>) -> Result<String, Failure> {
    config::for_command(command, name).map_err(|why| Failure::new(Exit::Usage, why.to_string()))
}
