//! Orders to a run or a step: said to the engine, which does them or says why not. One question, one answer.

use super::{Ended, run_view};
use crate::cli::Face;
use crate::cli::args::{Control, RetryFrom};
use crate::cli::exit::{Exit, Failure};
use crate::client::Client;
use crate::wire::client::{Ask, Order, Reply, StepView};

/// Does one of the control verbs.
pub(super) fn order(face: &Face, verb: Control) -> Ended {
    let mut client = face.engine()?;
    let ask = request(&mut client, verb)?;
    let reply = client.ask(ask)?;
    if let Reply::Done { words } = reply {
        face.screen.done(&words)?;
    } else if let Reply::Run(view) = reply {
        super::start::started(face, &view)?;
    } else {
        return Err(Failure::unexpected("this order"));
    }
    Ok(Exit::Good)
}

fn request(client: &mut Client, verb: Control) -> Result<Ask, Failure> {
    Ok(match verb {
        Control::Retry { run, step, from, message } => {
            if let Some(RetryFrom::Which(which)) = from {
                let which = super::kept::there(client, &run, &step, &which)?;
                let (order, note, checkpoint) = (Order::Resume, message, Some(which));
                return Ok(Ask::Order { run, step, order, note, checkpoint });
            }
            let order = retry(client, &run, &step, from.as_ref())?;
            lane(run, step, order, message)
        }
        Control::Done { run, step, message } => lane(run, step, Order::Done, Some(message)),
        Control::Skip { run, step, message } => lane(run, step, Order::Skip, message),
        Control::Stop { run, step: Some(step) } => Ask::StopStep { run, step },
        Control::Stop { run, step: None } => Ask::StopRun { run },
        Control::Pause { run } => Ask::Pause { run },
        Control::Unpause { run } => Ask::Unpause { run },
        Control::Resume { run, from, checkpoint } => {
            let which = from.as_ref().zip(checkpoint);
            let checkpoint = which.map(|(step, which)| super::kept::there(client, &run, step, &which)).transpose()?;
            Ask::Resume { run, from, checkpoint }
        }
        Control::Send { run, step, text, enter: _, no_enter } => Ask::Send { run, step, text: typed(text, !no_enter) },
    })
}

fn lane(run: String, step: String, order: Order, note: Option<String>) -> Ask {
    Ask::Order { run, step, order, note, checkpoint: None }
}

fn retry(client: &mut Client, run: &str, step: &str, from: Option<&RetryFrom>) -> Result<Order, Failure> {
    match from {
        Some(RetryFrom::Start) => Ok(Order::Retry),
        Some(RetryFrom::Checkpoint) => {
            let view = run_view(client, run.to_owned())?;
            has_checkpoint(&view.steps, step)?;
            Ok(Order::Resume)
        }
        // From the newest checkpoint where there is one.
        Some(RetryFrom::Which(_)) | None => Ok(Order::Resume),
    }
}

/// What the keyboard would send: Enter is a carriage return.
fn typed(text: String, enter: bool) -> String {
    if enter { text + "\r" } else { text }
}

/// Asked for a checkpoint: where there is none the start would be a silent surprise.
fn has_checkpoint(steps: &[StepView], step: &str) -> Result<(), Failure> {
    let lane = steps.iter().find(|lane| lane.is_named(step) || lane.step == step);
    match lane {
        Some(lane) if lane.checkpoint.is_none() => {
            Err(Failure::new(Exit::Refused, format!("{step} has saved no checkpoint"))
                .hint("--from start begins it anew"))
        }
        // The engine knows the names better: it refuses an unknown one with the nearest.
        Some(_) | None => Ok(()),
    }
}
