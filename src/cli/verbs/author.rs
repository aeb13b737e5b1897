//! For authors of workflow files: `validate`, `graph`, `schema`. Needs no engine and no state directory.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Ended, file};
use crate::cli::Face;
use crate::cli::args::GraphFormat;
use crate::cli::exit::{Exit, Failure};
use crate::cli::text::{Row, Style};
use crate::config::{self, Loaded, Place, Problem, Problems};
use crate::faces::words::count;
use crate::report::graph::{Format, render};

/// `validate`: every file is looked at, also after one that is wrong.
pub(super) fn validate(face: &Face, files: Vec<PathBuf>) -> Ended {
    let files = if files.is_empty() { vec![file::named_or_only(None)?] } else { files };
    let mut exit = Exit::Good;
    for path in &files {
        let found = config::inspect(path, &[]);
        if found.is_err() {
            exit = Exit::Usage;
        }
        if face.screen.json {
            tell_machine(face, path, &found)?;
        } else {
            tell(face, path, &found)?;
        }
    }
    Ok(exit)
}

fn tell(face: &Face, path: &Path, found: &Result<Loaded, Problems>) -> Result<(), Failure> {
    match found {
        Ok(loaded) => {
            if !loaded.warnings.is_empty() {
                face.screen.note(&loaded.warnings.to_string());
            }
            if face.screen.quiet {
                return Ok(());
            }
            let steps = loaded.workflow.steps.len();
            let lanes: usize = loaded.workflow.steps.values().map(|step| step.lanes.len()).sum();
            face.screen.rows(&[Row::new()
                .add(Style::Good, "✓ ")
                .text(&path.display().to_string())
                .add(Style::Dim, &format!("  {}, {}", count(steps, "step", "steps"), count(lanes, "lane", "lanes")))])
        }
        Err(problems) => {
            face.screen.failure(&file::wrong(problems));
            Ok(())
        }
    }
}

fn tell_machine(face: &Face, path: &Path, found: &Result<Loaded, Problems>) -> Result<(), Failure> {
    let problems = match found {
        Ok(loaded) => &loaded.warnings,
        Err(problems) => problems,
    };
    let list: Vec<_> = problems.list.iter().map(problem).collect();
    face.screen.json_line(
        "validation",
        &json!({
            "file": path.display().to_string(), "good": found.is_ok(), "problems": list,
            "more": problems.more,
        }),
    )
}

fn problem(problem: &Problem) -> serde_json::Value {
    let (line, column) = match &problem.place {
        Place::Source { line, column, .. } => (Some(*line), Some(*column)),
        Place::Argument(_) | Place::File => (None, None),
    };
    json!({
        "severity": problem.severity.to_string(), "message": problem.message,
        "line": line, "column": column, "hint": problem.hint,
    })
}

/// `graph`.
pub(super) fn graph(face: &Face, named: Option<&Path>, format: GraphFormat) -> Ended {
    let path = file::named_or_only(named)?;
    let loaded = config::inspect(&path, &[]).map_err(|problems| file::wrong(&problems))?;
    let format = match format {
        // `--json` is the same wish, said at the other place.
        _ if face.screen.json => Format::Json,
        GraphFormat::Ascii => Format::Ascii,
        GraphFormat::Mermaid => Format::Mermaid,
        GraphFormat::Json => Format::Json,
    };
    face.screen.write(&ended(render(&loaded.workflow, format)))?;
    Ok(Exit::Good)
}

/// `schema`.
pub(super) fn schema(face: &Face) -> Ended {
    face.screen.write(&ended(config::schema()))?;
    Ok(Exit::Good)
}

fn ended(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
