//! `ui`: the operator's screen. What it is like is the room `tui`'s; here it is opened, and what is left on the terminal
//! afterwards is said.

use std::path::Path;

use super::own::{KEY_VARIABLE, let_go};
use super::{Ended, file, start};
use crate::cli::Face;
use crate::cli::args::Ui;
use crate::cli::exit::{Exit, Failure};
use crate::faces::detach::Key;
use crate::tui::message::Refused;
use crate::tui::model::Manner;
use crate::tui::own;
use crate::tui::shell::{Closed, Left, Options, Wish, open};
use crate::tui::theme::Theme;
use crate::wire::client::{Ask, StartRun};

/// `ui`.
pub(super) fn ui(face: &Face, args: Ui) -> Ended {
    if !face.screen.can_open() {
        return Err(Failure::usage(
            "the screen needs a terminal",
            "dogwatch status and dogwatch watch show the same without one",
        ));
    }
    if let Some(run) = &args.run {
        // A name that is wrong is said where it was typed, not on an empty screen.
        face.engine()?.ask(Ask::Status { run: run.clone() })?;
    }
    let closed = show(face, args)?;
    match closed.left {
        Left::Asked(words) => {
            if !words.is_empty() {
                face.screen.note(&words);
            }
            Ok(Exit::Good)
        }
        Left::Signal(_) => Ok(Exit::Interrupted),
        Left::Broken(why) => {
            Err(Failure::new(Exit::Failed, why).hint("the run goes on; dogwatch ui opens the screen again"))
        }
    }
}

/// The screen on a run that was started just now; ends as the run has ended when it is left.
pub(super) fn of_run(face: &Face, run: &str) -> Ended {
    let closed = show(face, Ui { run: Some(run.to_owned()), ..Ui::default() })?;
    if let Left::Broken(why) = closed.left {
        return Err(Failure::new(Exit::Failed, why).hint("the run goes on; dogwatch ui opens the screen again"));
    }
    if let Left::Asked(words) = &closed.left
        && !words.is_empty()
    {
        face.screen.note(words);
    }
    Ok(closed.state.and_then(Exit::of_run).unwrap_or(Exit::Interrupted))
}

fn show(face: &Face, args: Ui) -> Result<Closed, Failure> {
    let own = face.own()?;
    let theme = match args.theme.as_ref().or(own.theme.as_ref()) {
        Some(name) => Theme::named(name).ok_or_else(|| {
            let all: Vec<&str> = Theme::names().collect();
            Failure::usage(format!("there is no theme {name:?}"), format!("one of: {}", all.join(", ")))
        })?,
        None => Theme::default(),
    };
    let theme = if face.screen.color() { theme } else { Theme::without_colour() };
    let named = std::env::var(KEY_VARIABLE).ok();
    let named = named.map(|key| Key::parse(&key)).transpose();
    let named = named.map_err(|why| Failure::usage(why, format!("set {KEY_VARIABLE} to such a key")))?;
    let detach = let_go(face, named)?;
    let mut place = face.place()?;
    place.who.face = "screen".into();
    let manner = Manner {
        keys: own::keys(&own),
        theme,
        zone: jiff::tz::TimeZone::system(),
        readonly: args.readonly,
        motion: face.screen.motion() && own.motion.unwrap_or(true),
        let_go: detach.to_string(),
        operator: place.who.principal.clone(),
        found: file::found(),
    };
    let options =
        Options { place, manner, run: args.run, mouse: own.mouse.unwrap_or(true), detach, starter: Box::new(starter) };
    open(options).map_err(|why| Failure::new(Exit::Failed, format!("the terminal cannot be used: {why}")))
}

/// Loads what is started from the screen.
fn starter(wish: Wish) -> Result<Option<StartRun>, Refused> {
    let refused = |failure: Failure| Refused { words: failure.words, hint: failure.hint };
    match wish {
        Wish::File(path) => start::from_file(Path::new(&path)).map(Some).map_err(refused),
        Wish::Command(command) => {
            let command = ["sh".to_owned(), "-c".to_owned(), command];
            start::of_command(&command, None).map(Some).map_err(refused)
        }
        Wish::Demo => start::demo().map(Some).map_err(refused),
        Wish::Starter => file::write_starter().map(|()| None).map_err(refused),
    }
}
