//! Hands on: `attach` and `shell`. The engine hands over a terminal; from then on it is not needed.

use std::io::IsTerminal;

use super::Ended;
use crate::cli::Face;
use crate::cli::exit::{Exit, Failure};
use crate::cli::terminal::detach::Key;
use crate::cli::terminal::{Left, Visit, size, visit};
use crate::cli::text::words::{count, quote, span};
use crate::wire::client::Ask;

/// `attach`.
pub(super) fn attach(face: &Face, run: String, step: String, readonly: bool, key: Key) -> Ended {
    on_a_terminal("attach", &format!("dogwatch logs {} {} -f", quote(&run), quote(&step)))?;
    let (rows, cols) = size();
    let ask = Ask::Attach { run, step, rows, cols, readonly };
    let (terminal, title) = face.engine()?.ask_pty(ask)?;
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
    receipt(face, &format!("the shell beside {title}"), seen);
    Ok(Exit::Good)
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
