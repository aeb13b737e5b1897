//! What a run's folder says of the run beside its attempts: what it was begun with, and whether it is over. Read only when
//! the journal is rebuilt; a file that cannot be written is said and nothing else.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::faults::crash_point;
use crate::journal::{self, RunRow};
use crate::model::{Created, Event, RunResult, Time, What};

/// There as long as the run is over.
const ENDED: &str = "ended.json";

#[derive(Serialize, Deserialize)]
struct Ended {
    v: u32,
    result: String,
    at_ms: i64,
}

const RESULTS: [(&str, RunResult); 4] = [
    ("succeeded", RunResult::Succeeded),
    ("failed", RunResult::Failed),
    ("stopped", RunResult::Stopped),
    ("rejected", RunResult::Rejected),
];

/// Notes what a new run is begun with.
pub(in crate::daemon) fn begun(dir: &Path, row: &RunRow, created: &Created) -> std::io::Result<()> {
    let text = journal::freeze(row, created).map_err(std::io::Error::other)?;
    write(dir, journal::FROZEN, &text)
}

/// Notes whether a run is over, after that was recorded.
pub(in crate::daemon) fn note(dir: &Path, event: &Event) {
    let noted = if let What::Ended { result } = &event.what {
        let result = RESULTS.iter().find(|(_, known)| known == result).map_or("failed", |(word, _)| word);
        let ended = Ended { v: 1, result: result.into(), at_ms: event.at.as_ms() };
        serde_json::to_string(&ended).map_err(std::io::Error::other).and_then(|text| write(dir, ENDED, &text))
    } else if matches!(event.what, What::Resumed { .. } | What::Ordered { .. }) {
        gone(dir)
    } else {
        return;
    };
    if let Err(error) = noted {
        tracing::warn!("{} does not say whether its run is over: {error}", dir.display());
    }
}

fn gone(dir: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(dir.join(ENDED)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// How the run ended, and when; `None` while it goes on.
pub(super) fn ended(dir: &Path) -> Option<(RunResult, Time)> {
    let ended: Ended = serde_json::from_str(&std::fs::read_to_string(dir.join(ENDED)).ok()?).ok()?;
    let (_, result) = RESULTS.iter().find(|(word, _)| *word == ended.result)?;
    Some((*result, Time::from_ms(ended.at_ms)))
}

/// In one step: who reads sees the old one or the new one.
fn write(dir: &Path, name: &str, text: &str) -> std::io::Result<()> {
    let fresh = dir.join(format!("{name}.new"));
    std::fs::write(&fresh, text)?;
    crash_point("engine.before-run-note");
    std::fs::rename(&fresh, dir.join(name))?;
    crash_point("engine.after-run-note");
    Ok(())
}
