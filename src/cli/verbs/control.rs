//! Orders to a run or a step: said to the engine, which does them or says why not. One question, one answer.

use super::{Ended, run_view};
use crate::cli::Face;
use crate::cli::args::{RetryFrom, Verb};
use crate::cli::exit::{Exit, Failure};
use crate::wire::client::{Ask, Order, Reply, StepView};

/// Does one of the control verbs.
pub(super) fn order(face: &Face, verb: Verb) -> Ended {
    let mut client = face.engine()?;
    let ask = match verb {
        Verb::Retry {
            run,
            step,
            from,
            message,
        } => {
            let order = match from {
                Some(RetryFrom::Start) => Order::Retry,
                Some(RetryFrom::Checkpoint) => {
                    let view = run_view(&mut client, run.clone())?;
                    has_checkpoint(&view.steps, &step)?;
                    Order::Resume
                }
                // From the newest checkpoint where there is one.
                None => Order::Resume,
            };
            lane(run, step, order, message)
        }
        other => simple(other)?,
    };
    match client.ask(ask)? {
        Reply::Done { words } => face.screen.done(&words)?,
        Reply::Run(view) => super::start::started(face, &view)?,
        _ => return Err(Failure::unexpected("this order")),
    }
    Ok(Exit::Good)
}

fn lane(run: String, step: String, order: Order, note: Option<String>) -> Ask {
    Ask::Order {
        run,
        step,
        order,
        note,
    }
}

/// Verbs that are one request.
fn simple(verb: Verb) -> Result<Ask, Failure> {
    Ok(match verb {
        Verb::Done { run, step, message } => lane(run, step, Order::Done, Some(message)),
        Verb::Skip { run, step, message } => lane(run, step, Order::Skip, message),
        Verb::Stop {
            run,
            step: Some(step),
        } => Ask::StopStep { run, step },
        Verb::Stop { run, step: None } => Ask::StopRun { run },
        Verb::Pause { run } => Ask::Pause { run },
        Verb::Unpause { run } => Ask::Unpause { run },
        Verb::Resume { run, from } => Ask::Resume { run, from },
        Verb::Send {
            run,
            step,
            text,
            enter: _,
            no_enter,
        } => Ask::Send {
            run,
            step,
            text: typed(text, !no_enter),
        },
        _ => return Err(Failure::unexpected("this verb")),
    })
}

/// What the keyboard would send: Enter is a carriage return.
fn typed(text: String, enter: bool) -> String {
    if enter { text + "\r" } else { text }
}

/// Asked for a checkpoint: where there is none the start would be a silent surprise.
fn has_checkpoint(steps: &[StepView], step: &str) -> Result<(), Failure> {
    let lane = steps.iter().find(|lane| lane.name() == step || lane.step == step);
    match lane {
        Some(lane) if lane.checkpoint.is_none() => Err(Failure::new(
            Exit::Refused,
            format!("{step} has saved no checkpoint"),
        )
        .hint("--from start begins it anew")),
        // The engine knows the names better: it refuses an unknown one with the nearest.
        Some(_) | None => Ok(()),
    }
}
