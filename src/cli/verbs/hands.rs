//! Hands on: `attach` and `shell`. The engine hands over a terminal; from then on it is not needed.

use std::io::IsTerminal;

use super::{Ended, run_view};
use crate::cli::Face;
use crate::cli::exit::{Exit, Failure};
use crate::cli::terminal::detach::Key;
use crate::cli::terminal::{Left, Visit, size, visit};
use crate::cli::text::words::{count, quote, span};
use crate::client::Client;
use crate::clock::boottime_ms;
use crate::wire::client::{Ask, StepState};

/// How long a step may take to begin when somebody wants to attach to it.
const STARTING_MS: i64 = 10_000;

/// `attach`.
pub(super) fn attach(face: &Face, run: String, step: String, readonly: bool, key: Key) -> Ended {
    on_a_terminal("attach", &format!("dogwatch logs {} {} -f", quote(&run), quote(&step)))?;
    let (rows, cols) = size();
    let mut client = face.engine()?;
    begun(&mut client, &run, &step)?;
    let ask = Ask::Attach { run, step, rows, cols, readonly };
    let (terminal, title) = client.ask_pty(ask)?;
    face.screen.note(&if readonly {
        format!("looking at {title}, not typing; {key} lets go")
    } else {
        format!("attached to {title}: you are typing into it; {key} lets go")
    });
    let seen = visit(&terminal, key, readonly)?;
    drop(terminal);
    receipt(face, &title, seen);
    Ok(Exit::Good)
}

/// `shell`.
pub(super) fn shell(face: &Face, run: String, step: String, key: Key) -> Ended {
    on_a_terminal("shell", "use a terminal, or ssh -t")?;
    let (rows, cols) = size();
    let ask = Ask::Shell { run, step, rows, cols };
    let (terminal, title) = face.engine()?.ask_pty(ask)?;
    face.screen.note(&format!("a shell beside {title}; exit ends it, {key} too"));
    let seen = visit(&terminal, key, false)?;
    drop(terminal);
    if seen.left != Left::Ended {
        // The shell's prompt stands in this line.
        face.screen.write("\n")?;
    }
    receipt(face, &format!("the shell beside {title}"), seen);
    Ok(Exit::Good)
}

/// A step that is being started has no session yet: waits for it a moment. Everything else is the engine's to say.
fn begun(client: &mut Client, run: &str, step: &str) -> Result<(), Failure> {
    client.subscribe()?;
    let until = boottime_ms() + STARTING_MS;
    loop {
        let view = run_view(client, run.to_owned())?;
        let starting = view
            .steps
            .iter()
            .any(|lane| lane.state == StepState::Starting && (lane.name() == step || lane.step == step));
        if !starting || boottime_ms() >= until {
            return Ok(());
        }
        client.wait_changed(until)?;
    }
}

fn on_a_terminal(verb: &str, instead: &str) -> Result<(), Failure> {
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Failure::usage(format!("{verb} needs a terminal for input and output, and this is none"), instead))
}

fn receipt(face: &Face, title: &str, seen: Visit) {
    let how = match seen.left {
        Left::LetGo => format!("let go of {title}"),
        Left::Ended => format!("{title} has ended"),
        Left::Signal => format!("left {title}"),
    };
    let keys = usize::try_from(seen.keys).unwrap_or(usize::MAX);
    face.screen.note(&format!("{how} after {}; {} sent", span(seen.ms), count(keys, "key", "keys")));
}
