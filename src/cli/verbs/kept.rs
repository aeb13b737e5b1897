//! What is kept and what is left: `checkpoints` and `gc`.

use super::Ended;
use crate::cli::Face;
use crate::cli::args::{Checkpoints, CheckpointsVerb};
use crate::cli::exit::{Exit, Failure};
use crate::cli::text::kept;
use crate::cli::text::lists;
use crate::client::Client;
use crate::clock::wall_ms;
use crate::wire::client::{Ask, CheckpointOrder, CheckpointView, KeptOrder, KeptView, Reply};

/// `checkpoints`.
pub(super) fn checkpoints(face: &Face, args: Checkpoints) -> Ended {
    let Checkpoints { run, what, step, which, all, dry_run } = args;
    let mut client = face.engine()?;
    if let Some(order) = of_step(&mut client, &run, what, step.as_ref(), (which, dry_run))? {
        return saved(face, &mut client, run, order);
    }
    let step = step.unwrap_or_default();
    let order = match what {
        None => return list(face, &mut client, run, false),
        Some(CheckpointsVerb::Verify) => {
            let order = CheckpointOrder::Verify { step: None, which: None };
            client.ask(Ask::OrderCheckpoints { run: run.clone(), order })?;
            return list(face, &mut client, run, true);
        }
        Some(CheckpointsVerb::Pin) => KeptOrder::Pin { step },
        Some(CheckpointsVerb::Unpin) => KeptOrder::Unpin { step },
        Some(CheckpointsVerb::Prune) => KeptOrder::Prune { all, dry_run },
    };
    let done = environments(&mut client, Ask::OrderKept { run, order })?;
    tell(face, &done)?;
    if done.is_empty() {
        face.screen.note("nothing was kept of the environments of this run that could go");
    }
    Ok(if done.iter().any(|one| one.bad) { Exit::Failed } else { Exit::Good })
}

/// What is meant of the checkpoints of a step; `None`: what was kept of environments is meant.
fn of_step(
    client: &mut Client,
    run: &str,
    what: Option<CheckpointsVerb>,
    step: Option<&String>,
    (which, dry_run): (Option<String>, bool),
) -> Result<Option<CheckpointOrder>, Failure> {
    let (Some(what), Some(step)) = (what, step.cloned()) else { return Ok(None) };
    let pins = matches!(what, CheckpointsVerb::Pin | CheckpointsVerb::Unpin);
    if pins && which.is_none() {
        let kept = environments(client, Ask::Kept { run: run.to_owned(), verify: false })?;
        if kept.iter().any(|one| one.step_name == step) {
            return Ok(None);
        }
    }
    Ok(Some(match what {
        CheckpointsVerb::Verify => CheckpointOrder::Verify { step: Some(step), which },
        CheckpointsVerb::Pin => CheckpointOrder::Pin { step, which },
        CheckpointsVerb::Unpin => CheckpointOrder::Unpin { step, which },
        CheckpointsVerb::Prune => CheckpointOrder::Prune { step, dry_run },
    }))
}

/// Has it done to checkpoints of a step, and says to which.
fn saved(face: &Face, client: &mut Client, run: String, order: CheckpointOrder) -> Ended {
    let done = seen(client, Ask::OrderCheckpoints { run, order })?;
    show(face, &done)?;
    if done.is_empty() {
        face.screen.note("it has saved no checkpoint that this could be done to");
    }
    let bad = |one: &CheckpointView| one.says.starts_with("damaged") || one.says.starts_with("was not removed");
    Ok(if done.iter().any(bad) { Exit::Failed } else { Exit::Good })
}

fn seen(client: &mut Client, ask: Ask) -> Result<Vec<CheckpointView>, Failure> {
    let Reply::Checkpoints(seen) = client.ask(ask)? else { return Err(Failure::unexpected("checkpoints")) };
    Ok(seen)
}

fn show(face: &Face, seen: &[CheckpointView]) -> Result<(), Failure> {
    if face.screen.json {
        return seen.iter().try_for_each(|one| face.screen.json_line("checkpoint", one));
    }
    face.screen.rows(&lists::checkpoints(seen, wall_ms()))
}

/// The checkpoint of a step that is meant, if it is there: to begin anew without it would be a silent surprise. The engine
/// knows the names better: it refuses what there is not.
pub(super) fn there(client: &mut Client, run: &str, step: &str, which: &str) -> Result<String, Failure> {
    let seen = seen(client, Ask::Checkpoints { run: run.to_owned() })?;
    let end = format!("/{which}");
    let fits = |one: &&CheckpointView| {
        one.path == which || one.path.ends_with(&end) || one.step.is_some_and(|at| at.to_string() == which)
    };
    match seen.iter().filter(|one| one.step_name == step).find(fits) {
        Some(one) if one.bytes.is_none() => {
            Err(Failure::new(Exit::Refused, format!("{} is not there any more", one.path))
                .hint("dogwatch checkpoints RUN lists those that are"))
        }
        Some(one) => Ok(one.path.clone()),
        None => Ok(which.to_owned()),
    }
}

fn environments(client: &mut Client, ask: Ask) -> Result<Vec<KeptView>, Failure> {
    let Reply::Kept(kept) = client.ask(ask)? else { return Err(Failure::unexpected("checkpoints")) };
    Ok(kept)
}

/// What steps saved, and what was kept of environments; with `verify` a failure where something is gone.
fn list(face: &Face, client: &mut Client, run: String, verify: bool) -> Ended {
    let seen = seen(client, Ask::Checkpoints { run: run.clone() })?;
    let kept = environments(client, Ask::Kept { run, verify })?;
    show(face, &seen)?;
    tell(face, &kept)?;
    if seen.is_empty() && kept.is_empty() {
        let how =
            "a step tells of them by [steps.NAME.checkpoint] pattern, and `snapshot = true` keeps its environment";
        face.screen.note(&format!("no checkpoint was seen; {how}"));
    }
    let is_bad = |one: &CheckpointView| {
        one.newest && one.bytes.is_none() || one.says.starts_with("damaged") && one.bytes.is_some()
    };
    let gone = seen.iter().any(is_bad) || kept.iter().any(|one| one.bad);
    Ok(if verify && gone { Exit::Failed } else { Exit::Good })
}

fn tell(face: &Face, kept: &[KeptView]) -> Result<(), Failure> {
    if face.screen.json {
        return kept.iter().try_for_each(|one| face.screen.json_line("environment", one));
    }
    face.screen.rows(&kept::environments(kept, wall_ms()))
}

/// `gc`.
pub(super) fn gc(face: &Face, dry_run: bool) -> Ended {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let ask = Ask::Gc { dry_run, host: variable("DOCKER_HOST"), runtime_dir: variable("XDG_RUNTIME_DIR") };
    let Reply::Gc(view) = face.engine()?.ask(ask)? else { return Err(Failure::unexpected("gc")) };
    if face.screen.json {
        for one in &view.left {
            face.screen.json_line("left", one)?;
        }
    } else {
        face.screen.rows(&kept::left(&view))?;
    }
    let bad = view.left.iter().any(|one| one.bad);
    for note in &view.notes {
        face.screen.note(note);
    }
    Ok(if bad { Exit::Failed } else { Exit::Good })
}
