//! `engine`: starting, ending and looking at the one background engine, and becoming it.

pub mod enable;

use std::process::{Command, ExitCode, Stdio};

use super::Ended;
use crate::cli::args::{EngineVerb, Flags};
use crate::cli::exit::{Exit, Failure};
use crate::cli::signals::Signals;
use crate::cli::text::{Row, Style};
use crate::cli::{Face, Screen};
use crate::client::{Error, log_tail, stop_engine};
use crate::clock::wall_ms;
use crate::faces::words;
use crate::wire::client::{Ask, EngineView, Reply};

/// Does one of the engine's verbs.
pub(super) fn engine(face: &Face, verb: &EngineVerb) -> Ended {
    match verb {
        EngineVerb::Start => start(face),
        EngineVerb::Stop => stop(face),
        EngineVerb::Status => status(face),
        EngineVerb::Logs { follow, tail } => logs(face, *follow, *tail),
        EngineVerb::Enable => enable::enable(face),
        EngineVerb::Run { .. } => Err(Failure::unexpected("engine run")),
    }
}

fn start(face: &Face) -> Ended {
    let client = face.place()?.connect_or_start()?;
    let engine = client.engine();
    face.screen.done(&format!("the engine runs (pid {})", engine.pid))?;
    Ok(Exit::Good)
}

fn stop(face: &Face) -> Ended {
    match stop_engine(&face.place()?) {
        Ok(()) => face.screen.done("the engine has ended; steps go on, and the next command starts it again")?,
        Err(Error::NoEngine { .. }) => face.screen.done("no engine was running")?,
        Err(other) => return Err(other.into()),
    }
    Ok(Exit::Good)
}

fn status(face: &Face) -> Ended {
    let place = face.place()?;
    let mut client = match place.connect() {
        Ok(client) => client,
        Err(Error::NoEngine { .. }) => {
            if face.screen.json {
                face.screen.json_line("engine", &serde_json::json!({ "running": false }))?;
            } else {
                face.screen
                    .rows(&[Row::new().text("no engine runs; any command starts it, or: dogwatch engine start")])?;
            }
            return Ok(Exit::Nothing);
        }
        Err(other) => return Err(other.into()),
    };
    let Reply::Engine(view) = client.ask(Ask::Engine)? else {
        return Err(Failure::unexpected("engine status"));
    };
    if face.screen.json {
        face.screen.json_line("engine", &view)?;
        return Ok(Exit::Good);
    }
    face.screen.rows(&about(&view, wall_ms()))?;
    face.screen.note(&format!("state: {}", place.state.path().display()));
    Ok(Exit::Good)
}

fn about(view: &EngineView, now_ms: i64) -> Vec<Row> {
    let mut row = Row::new()
        .add(Style::Good, "●")
        .text(&format!(" engine {} runs (pid {}, epoch {}", view.version, view.pid, view.epoch));
    if view.started_ms > 0 {
        row = row.text(&format!(", for {}", words::span(now_ms - view.started_ms)));
    }
    let row = row.text(&format!(
        "): {} with {}",
        words::count(view.active_runs, "active run", "active runs"),
        words::count(view.running_steps, "running step", "running steps")
    ));
    let mut rows = vec![row];
    rows.extend(view.trouble.as_ref().map(|trouble| Row::new().space(2).add(Style::Asking, trouble)));
    rows
}

fn logs(face: &Face, follow: bool, tail: usize) -> Ended {
    let place = face.place()?;
    let lines = log_tail(&place.state, tail);
    if lines.is_empty() {
        face.screen.note(&format!("the engine has logged nothing yet in {}", place.state.log_dir().display()));
    }
    tell(&face.screen, &lines)?;
    if !follow {
        return Ok(Exit::Good);
    }
    let leave = Signals::leave()?;
    let mut tail = crate::client::LogFollower::after_end(&place.state);
    loop {
        if leave.wait(std::time::Duration::from_millis(250))? {
            return Ok(Exit::Interrupted);
        }
        tell(&face.screen, &tail.more())?;
    }
}

fn tell(screen: &Screen, lines: &[String]) -> Result<(), Failure> {
    for line in lines {
        if screen.json {
            screen.json_line("engine.log", &serde_json::json!({ "line": line }))?;
        } else {
            screen.write(&format!("{line}\n"))?;
        }
    }
    Ok(())
}

/// This process becomes the engine. In the background: it leaves its terminal, starts the engine as a process of its own
/// and ends, so that nobody is the engine's parent.
pub(in crate::cli) fn become_engine(flags: &Flags, background: bool) -> ExitCode {
    let screen = Screen::new(flags);
    let face = Face { screen, flags: flags.clone() };
    let place = match face.place() {
        Ok(place) => place,
        Err(failure) => {
            face.screen.failure(&failure);
            return failure.exit.into();
        }
    };
    if background {
        return match leave_and_start(&place.state) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                face.screen.failure(&Failure::new(Exit::Nothing, format!("the engine cannot be started: {why}")));
                Exit::Nothing.into()
            }
        };
    }
    crate::daemon::main(crate::daemon::DaemonArgs { state_dir: place.state })
}

fn leave_and_start(state: &crate::state_dir::StateDir) -> std::io::Result<()> {
    // Whoever started this one is the leader of its group at most: a new session is always possible for a child.
    rustix::process::setsid()?;
    Command::new(std::env::current_exe()?)
        .args(["engine", "run"])
        .env(crate::state_dir::VARIABLE, state.path())
        .stdin(Stdio::null())
        .spawn()
        .map(drop)
}
