//! Looking: `ps`, `runs`, `status`, and the overview of a bare `dogwatch`.

use super::{Ended, run_view};
use crate::cli::Face;
use crate::cli::args::StateArg;
use crate::cli::exit::{Exit, Failure};
use crate::cli::text::{Row, Style, lists, run};
use crate::client::{Client, Error};
use crate::clock::wall_ms;
use crate::wire::client::{Ask, Reply, RunLine, RunState, RunView};

/// More runs at once than this are not listed by `ps`.
const MANY: usize = 1000;

impl From<StateArg> for RunState {
    fn from(state: StateArg) -> Self {
        match state {
            StateArg::Running => Self::Running,
            StateArg::Waiting => Self::Waiting,
            StateArg::Paused => Self::Paused,
            StateArg::Stopping => Self::Stopping,
            StateArg::Succeeded => Self::Succeeded,
            StateArg::Failed => Self::Failed,
            StateArg::Stopped => Self::Stopped,
            StateArg::Rejected => Self::Rejected,
        }
    }
}

/// `runs`.
pub(super) fn runs(face: &Face, state: Option<StateArg>, limit: usize) -> Ended {
    let mut client = face.engine()?;
    let lines = list(&mut client, state.map(Into::into), limit)?;
    if face.screen.json {
        for line in &lines {
            face.screen.json_line("run", line)?;
        }
        return Ok(Exit::Good);
    }
    if lines.is_empty() {
        face.screen.note("no runs yet; start one with: dogwatch run FILE");
    }
    face.screen.rows(&lists::runs(&lines, wall_ms(), &face.screen.look()))?;
    Ok(Exit::Good)
}

/// `ps`.
pub(super) fn ps(face: &Face) -> Ended {
    let mut client = face.engine()?;
    let views = active(&mut client)?;
    if face.screen.json {
        for view in &views {
            face.screen.json_line("run.status", view)?;
        }
        return Ok(Exit::Good);
    }
    if views.is_empty() {
        face.screen.note("nothing runs; start something with: dogwatch run FILE");
    }
    face.screen.rows(&lists::ps(&views, &face.screen.look()))?;
    Ok(Exit::Good)
}

/// `status`.
pub(super) fn status(face: &Face, name: String) -> Ended {
    let mut client = face.engine()?;
    let view = run_view(&mut client, name)?;
    if face.screen.json {
        face.screen.json_line("run.status", &view)?;
    } else {
        face.screen.rows(&run::status(&view, &face.screen.look()))?;
    }
    Ok(Exit::Good)
}

/// A bare `dogwatch`: what is going on, what was last, what to type. Starts nothing, not even the engine.
pub(super) fn overview(face: &Face) -> Ended {
    let mut client = match face.place()?.connect() {
        Ok(client) => client,
        Err(Error::NoEngine { .. }) => {
            if face.screen.json {
                face.screen.json_line("overview", &serde_json::json!({ "engine": null }))?;
            } else {
                face.screen.rows(&[Row::new().text("no engine runs here, so nothing does"), next()])?;
            }
            return Ok(Exit::Good);
        }
        Err(other) => return Err(other.into()),
    };
    let views = active(&mut client)?;
    let last = list(&mut client, None, 5)?;
    if face.screen.json {
        let value = serde_json::json!({ "engine": client.engine(), "active": views, "last": last });
        face.screen.json_line("overview", &value)?;
        return Ok(Exit::Good);
    }
    let look = face.screen.look();
    let mut rows = lists::ps(&views, &look);
    for view in &views {
        rows.extend(run::questions(view));
    }
    let over: Vec<RunLine> = last.into_iter().filter(|line| line.state.ended()).collect();
    rows.extend(lists::runs(&over, wall_ms(), &look));
    if rows.is_empty() {
        rows.push(Row::new().text("nothing has run here yet"));
    }
    rows.push(next());
    face.screen.rows(&rows)?;
    Ok(Exit::Good)
}

fn next() -> Row {
    Row::new().add(Style::Dim, "next: ").text("dogwatch run FILE, dogwatch watch RUN, dogwatch --help")
}

fn list(client: &mut Client, state: Option<RunState>, limit: usize) -> Result<Vec<RunLine>, Failure> {
    let Reply::Runs(lines) = client.ask(Ask::Runs { limit, state })? else {
        return Err(Failure::unexpected("runs"));
    };
    Ok(lines)
}

/// Every run that is not over, newest first.
fn active(client: &mut Client) -> Result<Vec<RunView>, Failure> {
    let mut lines = Vec::new();
    for state in [RunState::Running, RunState::Waiting, RunState::Paused, RunState::Stopping] {
        lines.extend(list(client, Some(state), MANY)?);
    }
    lines.sort_by_key(|line| std::cmp::Reverse(line.created_ms));
    // It may have changed its state between two questions.
    lines.dedup_by(|a, b| a.id == b.id);
    lines.into_iter().map(|line| run_view(client, line.id)).collect()
}
