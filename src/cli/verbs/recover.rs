//! `recover`: a damaged journal is put aside and made anew. Says what was done, what is lost, and what to do next.

use serde_json::json;

use super::Ended;
use crate::cli::Face;
use crate::cli::exit::{Exit, Failure};
use crate::cli::text::{Row, Style};
use crate::daemon::{Rebuilt, rebuild};

/// `recover`.
pub(super) fn recover(face: &Face) -> Ended {
    let place = face.place()?;
    let done =
        rebuild(&place.state).map_err(|why| Failure::new(Exit::Refused, format!("nothing was recovered: {why}")))?;
    let Some(done) = done else {
        face.screen.done("the journal is sound: nothing was changed")?;
        return Ok(Exit::Good);
    };
    if face.screen.json {
        let left_out: Vec<_> = done.left_out.iter().map(|(dir, why)| json!({ "dir": dir, "why": why })).collect();
        face.screen.json_line(
            "recovered",
            &json!({ "why": done.why, "kept": done.kept, "ended": done.ended, "paused": done.paused,
                     "attempts": done.attempts, "left_out": left_out }),
        )?;
    } else {
        face.screen.rows(&rows(&done))?;
    }
    Ok(Exit::Good)
}

fn rows(done: &Rebuilt) -> Vec<Row> {
    let line = |text: String| Row::new().text(&text);
    let mut rows = vec![
        line(format!("the journal was damaged: {}", done.why)),
        line(format!("it is kept as {}", done.kept.display())),
        line(format!(
            "a new one tells of {} run(s) that are over, {} that go on, and {} attempt(s)",
            done.ended,
            done.paused.len(),
            done.attempts
        )),
    ];
    for (dir, why) in &done.left_out {
        rows.push(Row::new().add(Style::Asking, &format!("not in it: {}: {why}", dir.display())));
    }
    if !done.paused.is_empty() {
        rows.push(line("What people decided is lost: gates ask again, and a step that was left out or said to be done is none now.".into()));
        rows.push(line(
            "Therefore these are paused. Steps that live go on; nothing is started before you say so:".into(),
        ));
        rows.extend(done.paused.iter().map(|run| line(format!("  dogwatch status {run}    dogwatch unpause {run}"))));
    }
    rows
}
