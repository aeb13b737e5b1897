//! What is kept and what is left: `checkpoints` and `gc`.

use super::Ended;
use crate::cli::Face;
use crate::cli::args::{Checkpoints, CheckpointsVerb};
use crate::cli::exit::{Exit, Failure};
use crate::cli::text::kept;
use crate::cli::text::lists;
use crate::client::Client;
use crate::clock::wall_ms;
use crate::wire::client::{Ask, KeptOrder, KeptView, Reply};

/// `checkpoints`.
pub(super) fn checkpoints(face: &Face, args: Checkpoints) -> Ended {
    let Checkpoints { run, what, step, all, dry_run } = args;
    let mut client = face.engine()?;
    let step = step.unwrap_or_default();
    let order = match what {
        None => return list(face, &mut client, run, false),
        Some(CheckpointsVerb::Verify) => return list(face, &mut client, run, true),
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

fn environments(client: &mut Client, ask: Ask) -> Result<Vec<KeptView>, Failure> {
    let Reply::Kept(kept) = client.ask(ask)? else { return Err(Failure::unexpected("checkpoints")) };
    Ok(kept)
}

/// What steps saved, and what was kept of environments; with `verify` a failure where something is gone.
fn list(face: &Face, client: &mut Client, run: String, verify: bool) -> Ended {
    let Reply::Checkpoints(seen) = client.ask(Ask::Checkpoints { run: run.clone() })? else {
        return Err(Failure::unexpected("checkpoints"));
    };
    let kept = environments(client, Ask::Kept { run, verify })?;
    if face.screen.json {
        for checkpoint in &seen {
            face.screen.json_line("checkpoint", checkpoint)?;
        }
    } else {
        face.screen.rows(&lists::checkpoints(&seen, wall_ms()))?;
    }
    tell(face, &kept)?;
    if seen.is_empty() && kept.is_empty() {
        let how =
            "a step tells of them by [steps.NAME.checkpoint] pattern, and `snapshot = true` keeps its environment";
        face.screen.note(&format!("no checkpoint was seen; {how}"));
    }
    let gone = seen.iter().any(|one| one.newest && one.bytes.is_none()) || kept.iter().any(|one| one.bad);
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
