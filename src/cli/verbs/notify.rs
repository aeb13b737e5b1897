//! `notices`: who was told of what, or why not. `notify --test`: each rule of a file is tried, without an engine.

use std::path::Path;

use serde_json::json;

use super::{Ended, file};
use crate::cli::Face;
use crate::cli::exit::{Exit, Failure};
use crate::cli::text::{Row, Style, notices as text};
use crate::clock::wall_ms;
use crate::config;
use crate::daemon;
use crate::wire::client::{Ask, Reply};

/// `notices`; a failure where somebody could not be told.
pub(super) fn notices(face: &Face, run: Option<String>, limit: usize) -> Ended {
    let Reply::Notices(all) = face.engine()?.ask(Ask::Notices { run, limit })? else {
        return Err(Failure::unexpected("notices"));
    };
    if face.screen.json {
        for one in &all {
            face.screen.json_line("notice", one)?;
        }
    } else {
        face.screen.rows(&text::notices(&all, wall_ms()))?;
    }
    if all.is_empty() {
        face.screen.note("nobody was told of anything; [[notify]] in a workflow file says who is to be told of what");
    }
    Ok(if all.iter().any(|one| one.state == "failed") { Exit::Failed } else { Exit::Good })
}

/// `notify --test FILE`.
pub(super) fn test(face: &Face, path: &Path) -> Ended {
    let loaded = config::inspect(path, &[]).map_err(|problems| file::wrong(&problems))?;
    let workflow = &loaded.workflow;
    if workflow.notify.is_empty() {
        let words = format!("{} has no [[notify]]: there is nobody to be told", path.display());
        return Err(Failure::usage(words, "add [[notify]] with on = [\"escalation\"] and url = \"https://…\" to it"));
    }
    let mut exit = Exit::Good;
    for (place, rule) in workflow.notify.iter().enumerate() {
        let result = daemon::trial(rule, &workflow.name, &workflow.environment.workspace);
        let good = result.is_ok();
        let words = result.unwrap_or_else(|why| why);
        if !good {
            exit = Exit::Failed;
        }
        if face.screen.json {
            let told = json!({ "rule": place + 1, "to": rule.to.to_string(), "ok": good, "result": words });
            face.screen.json_line("notify.test", &told)?;
        } else {
            let (style, shape) = if good { (Style::Good, "✓ ") } else { (Style::Bad, "× ") };
            let row = Row::new().add(style, shape).text(&format!("rule {}: {}", place + 1, rule.to));
            face.screen.rows(&[row.space(2).add(if good { Style::Dim } else { Style::Bad }, &words)])?;
        }
    }
    Ok(exit)
}
