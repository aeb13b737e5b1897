//! Hands on: `attach` and `shell`. The engine hands over a terminal; from then on it is not needed.

use std::io::IsTerminal;

use super::{Ended, run_view};
use crate::cli::Face;
use crate::cli::exit::{Exit, Failure};
use crate::cli::terminal::{Left, Visit, size, visit};
use crate::client::Client;
use crate::faces::detach::Key;
use crate::faces::words::{count, quote, span};
use crate::wire::client::{Ask, Reply, StepState, StepView};

/// How somebody attaches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub(super) readonly: bool,
    pub(super) take_over: bool,
    pub(super) key: Key,
}

/// What follows when a terminal was left.
enum Next {
    Leave,
    /// The engine was started anew, which closes the terminals of those who type.
    Again,
}

/// `attach`.
pub(super) fn attach(face: &Face, run: &str, step: &str, manner: Manner) -> Ended {
    on_a_terminal("attach", &format!("dogwatch logs {} {} -f", quote(run), quote(step)))?;
    if let Some(by) = begun(face, run, step)?.filter(|_| manner.readonly) {
        face.screen.note(&format!("{by} is typing into it"));
    }
    let mut take_over = manner.take_over;
    loop {
        match once(face, run, step, Manner { take_over, ..manner })? {
            Next::Leave => return Ok(Exit::Good),
            Next::Again => {
                face.screen.note("the engine was started anew and closed the terminal: attaching again");
                take_over = false;
            }
        }
    }
}

/// One visit. This connection is kept as long as it lasts: with it ends the right to type.
fn once(face: &Face, run: &str, step: &str, manner: Manner) -> Result<Next, Failure> {
    let (rows, cols) = size();
    let Manner { readonly, take_over, key } = manner;
    let mut client = face.engine()?;
    let (terminal, title) =
        client.ask_pty(Ask::Attach { run: run.into(), step: step.into(), rows, cols, readonly, take_over })?;
    face.screen.note(&if readonly {
        format!("looking at {title}, not typing; {key} lets go")
    } else {
        format!("attached to {title}: you are typing into it; {key} lets go")
    });
    let seen = visit(&terminal, key, readonly)?;
    drop(terminal);
    if readonly {
        receipt(face, &title, seen, None);
        return Ok(Next::Leave);
    }
    if seen.left != Left::Ended {
        // Where the engine has gone, it lets go with its next start.
        drop(client.ask(Ask::Detach { run: run.into(), step: step.into(), keys: Some(seen.keys) }));
        receipt(face, &title, seen, None);
        return Ok(Next::Leave);
    }
    let gone = matches!(client.ask(Ask::Engine), Err(why) if why.passing());
    if gone {
        client = face.engine()?;
    }
    let lane = lane(&mut client, run, step)?;
    let runs = lane.as_ref().is_some_and(|lane| lane.state.runs());
    let taken = lane.and_then(|lane| lane.attached).map(|attached| attached.by);
    if gone && runs && taken.is_none() {
        return Ok(Next::Again);
    }
    let who = match taken {
        Some(by) => Some(format!("{by} took over {title}")),
        None if runs => Some(format!("somebody closed your terminal on {title}, which goes on")),
        None => None,
    };
    receipt(face, &title, seen, who);
    Ok(Next::Leave)
}

/// `detach`.
pub(super) fn detach(face: &Face, run: String, step: String) -> Ended {
    let Reply::Done { words } = face.engine()?.ask(Ask::Detach { run, step, keys: None })? else {
        return Err(Failure::unexpected("detach"));
    };
    face.screen.done(&words)?;
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
    receipt(face, &format!("the shell beside {title}"), seen, None);
    Ok(Exit::Good)
}

/// A step that is being started has no session yet: waits for it, however long that takes. Everything else is the engine's
/// to say. Gives who types into it.
fn begun(face: &Face, run: &str, step: &str) -> Result<Option<String>, Failure> {
    let mut client = face.engine()?;
    client.subscribe()?;
    let mut told = false;
    loop {
        let lane = lane(&mut client, run, step)?;
        let Some(starting) = lane.as_ref().filter(|lane| lane.state == StepState::Starting) else {
            return Ok(lane.and_then(|lane| lane.attached).map(|attached| attached.by));
        };
        if !told {
            face.screen.note(&format!("attaching to {} as soon as it starts; Ctrl-C cancels", starting.name()));
            told = true;
        }
        client.wait_changed(i64::MAX / 2)?;
    }
}

/// The lane that these words name, where they name one.
fn lane(client: &mut Client, run: &str, step: &str) -> Result<Option<StepView>, Failure> {
    let view = run_view(client, run.to_owned())?;
    Ok(view.steps.into_iter().find(|lane| lane.is_named(step) || lane.step == step))
}

fn on_a_terminal(verb: &str, instead: &str) -> Result<(), Failure> {
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Failure::usage(format!("{verb} needs a terminal for input and output, and this is none"), instead))
}

/// What the visit was. `ended`: why the terminal was closed, where it was not the step that ended.
fn receipt(face: &Face, title: &str, seen: Visit, ended: Option<String>) {
    let how = match seen.left {
        Left::Ended if ended.is_some() => ended.unwrap_or_default(),
        Left::LetGo => format!("let go of {title}"),
        Left::Ended => format!("{title} has ended"),
        Left::Signal => format!("left {title}"),
    };
    let keys = usize::try_from(seen.keys).unwrap_or(usize::MAX);
    face.screen.note(&format!("{how} after {}; {} sent", span(seen.ms), count(keys, "key", "keys")));
}
