//! The command line: verbs, exit codes, plain output, JSON. A face: it shows what came over the wire and says what it was
//! told to say; it never names the engine and decides nothing about a run.
//!
//! * [`args`]: the grammar. [`exit`]: exit codes and failures. [`text`]: what people read, [`man`]: the manual (pure).
//! * [`complete`]: what a shell completes. `screen`: the two outputs. `terminal`: a terminal in raw mode. `verbs`: what each verb does.

pub mod args;
pub mod complete;
pub mod exit;
pub mod man;
mod screen;
mod signals;
pub mod terminal;
pub mod text;
pub mod verbs;

use std::process::ExitCode;

use clap::Parser;

use args::{Inner, Line};
use exit::{Exit, Failure};
use screen::Screen;

use crate::client::{Client, Place, Who};
use crate::config::user::Own;
use crate::state_dir::StateDir;
use crate::wire::client::{Ask, Reply};

/// How often an engine that dies at once is tried.
const LOOKS: usize = 5;

/// What every verb has at hand.
struct Face {
    screen: Screen,
    flags: args::Flags,
}

impl Face {
    /// Where the engine is; the state directory is made and checked.
    fn place(&self) -> Result<Place, Failure> {
        let state = match &self.flags.state_dir {
            Some(path) => {
                let path = std::path::absolute(path)?;
                StateDir::at(&path)?
            }
            None => StateDir::find()?,
        };
        let own = self.own()?;
        let who = Who::new(self.flags.principal.as_deref().or(own.operator.as_deref()), "cli");
        Ok(Place { state, other_socket: self.flags.socket.clone(), who, withheld: Vec::new() })
    }

    /// The operator's own file. One with mistakes is refused: it may name who decides.
    fn own(&self) -> Result<Own, Failure> {
        crate::tui::own::load(self.flags.config.as_deref())
            .map_err(|problems| Failure::whole(Exit::Usage, problems.to_string()))
    }

    /// The engine; started where none answers.
    fn engine(&self) -> Result<Client, Failure> {
        self.engine_without(&[])
    }

    /// The engine; one that is started for that does not get these variables.
    fn engine_without(&self, withheld: &[String]) -> Result<Client, Failure> {
        let client = Place { withheld: withheld.to_vec(), ..self.place()? }.connect_or_start()?;
        let engine = client.engine();
        self.screen.detail(&format!("engine {} (pid {}, epoch {})", engine.version, engine.pid, engine.epoch));
        if let Some(trouble) = &engine.trouble {
            self.screen.note(trouble);
        }
        Ok(client)
    }

    /// The engine, and its answer to a first question. One that dies between the two is found again: nothing was asked
    /// that could happen twice.
    fn first_look(&self, ask: &Ask) -> Result<(Client, Reply), Failure> {
        for _ in 1..LOOKS {
            let mut client = self.engine()?;
            match client.ask(ask.clone()) {
                Err(why) if why.passing() => {}
                Err(why) => return Err(why.into()),
                Ok(reply) => return Ok((client, reply)),
            }
        }
        let mut client = self.engine()?;
        let reply = client.ask(ask.clone())?;
        Ok((client, reply))
    }
}

/// Entry of the binary.
pub fn main() -> ExitCode {
    let line = Line::parse();
    let verb = match line.verb {
        // Entries for dogwatch itself: no face, no colours, their own exit codes.
        Some(args::Verb::Inner(inner)) => return enter(inner),
        Some(args::Verb::Engine { verb: args::EngineVerb::Run { background } }) => {
            return verbs::engine::become_engine(&line.flags, background);
        }
        verb => verb,
    };
    let face = Face { screen: Screen::new(&line.flags), flags: line.flags };
    match verbs::act(&face, verb) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if failure.exit != Exit::Good {
                face.screen.failure(&failure);
            }
            failure.exit.into()
        }
    }
}

fn enter(inner: Inner) -> ExitCode {
    match inner {
        Inner::Porter(args) => crate::environment::porter::main(&args),
        Inner::Complete(asked) => complete::main(&asked),
        Inner::Keep(args) => crate::keep::main(args),
        Inner::Shim => crate::shim::main(),
        Inner::Peek(args) => crate::peek::main(&args),
        Inner::View(args) => crate::shim::view::main(&args),
    }
}
