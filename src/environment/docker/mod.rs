//! Containers: one per environment of a run, made by Docker Engine or Podman's service, with dogwatch's keeper as its
//! first process. Any image will do: what the keeper needs comes along as a [`bundle`].
//!
//! ```text
//! DIR = <run dir>/env/<name>, as for the sandbox, and besides:
//!   container.json   which container this environment has, and where its engine listens
//!   door/            mounted into it: where the keeper gets its descriptors (see [`door`])
//!   cover/           empty folders, mounted over what nobody inside may see
//!   home/            mounted into it: $HOME of steps whose image has none
//! ```
//!
//! Owns the container and nothing else of the engine's: what does not carry this state folder's label is never touched.
//! A container is found again by its name; it is started, never run a second time beside itself. Once the keeper speaks
//! nothing of a step goes through the engine: it may be frozen or restarted (with live-restore) without anybody noticing.

mod bundle;
mod connect;
mod create;
pub(super) mod door;
mod elf;
mod fate;
mod image;
mod make;
mod network;
mod ours;
mod pull;
mod record;
mod snapshot;

use std::path::Path;
use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::RemoveContainerOptionsBuilder;

pub(super) use self::bundle::LIBRARIES;
pub use self::connect::EngineFacts;
pub(super) use self::connect::facts;
use self::connect::{Engine, QUICK, status, with_remedy, words};
use self::create::Limits;
pub(super) use self::fate::fate;
use self::make::{Wish, make, start_as_it_can};
pub(super) use self::ours::{all as everything, remove as remove_left};
pub(super) use self::pull::Pulls;
pub(super) use self::record::{RECORD, inside, is_made_for, is_to_go, leave, note_made_for, was_started_before};
use self::record::{change, read};
pub(super) use self::snapshot::{is_there as is_kept, keep, remove as forget};
use super::{Container, Error, Isolation, Spec};
use crate::{clock, faults};

/// How long an engine may refuse to remove a container that is just ending, and how often it is asked.
const ENDING_MS: i64 = 10_000;
const AGAIN: Duration = Duration::from_millis(200);

/// Makes sure that the container is there and runs, and says how it is isolated. Its keeper waits at the door then, or
/// is just being started.
pub(super) async fn run(spec: &Spec, container: &Container, pulls: &Pulls) -> Result<Isolation, Error> {
    let dir = spec.dir();
    let known = read(&dir)?;
    let places = match &known {
        Some(record) => vec![record.socket.clone()],
        None => connect::candidates(container)?,
    };
    let engine = match connect::connect(&places).await {
        // It had one: it is being restarted, and so may this container be.
        Err(Error::NoEngine { tried }) if known.is_some() => return Err(Error::EngineGone { tried }),
        other => other?,
    };
    let _few = engine.turn().await;
    let _turn = ours::making(spec).await;
    let found = inspect(&engine, &container.name).await?;
    if let Some(found) = &found {
        is_ours(found, spec, &container.name)?;
    }
    if found.is_none() || known.is_none() {
        let wish = Wish { limits: Limits::Generous, lacks: None };
        make(&engine, spec, container, (found.is_some(), wish), pulls).await?;
    } else if known.is_some_and(|record| record.left) {
        change(&dir, |record| record.left = false)?;
    }
    if !found.as_ref().is_some_and(is_running) {
        if let (Some(network), Some(_)) = (&container.peers, &found) {
            // It may have gone meanwhile; without it the start says so.
            let _ = network::make(&engine, spec, network).await;
        }
        start_as_it_can(&engine, spec, container, pulls).await?;
    }
    if let Some(network) = &container.peers {
        // It runs well: that others do not find it by name is no reason to have none.
        if let Err(error) = network::tell_names(&engine, spec, network).await {
            tracing::warn!("the names of the environments of {} may be behind: {error}", spec.run_dir.display());
        }
    }
    let lacks = read(&dir)?.and_then(|record| record.lacks);
    Ok(Isolation::Container { image: container.image.clone(), engine: engine.name, lacks })
}

fn is_running(found: &ContainerInspectResponse) -> bool {
    found.state.as_ref().is_some_and(|state| state.running == Some(true))
}

/// Somebody else's container of the same name is not ours to use.
fn is_ours(found: &ContainerInspectResponse, spec: &Spec, name: &str) -> Result<(), Error> {
    let labels = found.config.as_ref().and_then(|config| config.labels.as_ref());
    if labels.is_some_and(|labels| ours::are_ours(labels, &spec.state_dir)) {
        Ok(())
    } else {
        Err(Error::Refused(format!("there is a container {name} already, and it is not of this dogwatch; remove it")))
    }
}

async fn inspect(engine: &Engine, name: &str) -> Result<Option<ContainerInspectResponse>, Error> {
    match tokio::time::timeout(QUICK, engine.api.inspect_container(name, None)).await {
        Err(_) => Err(Error::EngineSilent { socket: engine.socket.clone(), after_s: QUICK.as_secs() }),
        Ok(Ok(found)) => Ok(Some(found)),
        Ok(Err(error)) if status(&error) == Some(404) => Ok(None),
        Ok(Err(error)) => Err(failed("looking at", name, engine, &error)),
    }
}

/// An error of the engine about a container. Without a number it did not answer to the end: it may be asked again.
fn failed(what: &'static str, name: &str, engine: &Engine, error: &bollard::errors::Error) -> Error {
    match status(error) {
        Some(_) => Error::Container {
            what,
            name: name.to_owned(),
            engine: engine.name.clone(),
            why: with_remedy(words(error).trim_end_matches('.')),
        },
        None => Error::EngineGone { tried: format!("{}: {}", engine.socket.display(), words(error)) },
    }
}

async fn delete(engine: &Engine, name: &str) -> Result<(), Error> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    let deadline = clock::boottime_ms() + ENDING_MS;
    loop {
        faults::crash_point("docker.before-remove");
        let removed = engine.api.remove_container(name, Some(options.clone())).await;
        faults::crash_point("docker.after-remove");
        match removed {
            Ok(()) => return Ok(()),
            Err(error) if status(&error) == Some(404) => return Ok(()),
            // Podman refuses to kill what has just ended before it has noticed that (measured, with a killed conmon).
            Err(error) if status(&error).is_some() && clock::boottime_ms() < deadline => {
                tracing::info!("{name} cannot be removed yet: {}", words(&error));
            }
            Err(error) => return Err(failed("removing", name, engine, &error)),
        }
        clock::sleep(AGAIN).await;
    }
}

/// Removes the container of an environment that has ended. Nothing to do is done well.
pub(super) async fn remove(spec: &Spec) -> Result<(), Error> {
    let dir = spec.dir();
    let Some(record) = read(&dir)? else { return Ok(()) };
    let engine = match connect::connect(std::slice::from_ref(&record.socket)).await {
        Err(Error::NoEngine { tried }) => return Err(Error::EngineGone { tried }),
        other => other?,
    };
    if let Some(found) = inspect(&engine, &record.name).await? {
        is_ours(&found, spec, &record.name)?;
        delete(&engine, &record.name).await?;
    }
    if let Some(network) = spec.container.as_ref().and_then(|container| container.peers.as_deref()) {
        network::remove(&engine, spec, network).await;
    }
    let path = dir.join(RECORD);
    std::fs::remove_file(&path).map_err(Error::io("removing", &path))
}

/// How a container stands whose keeper has not spoken yet: `None` while it runs.
pub(super) async fn ended(dir: &Path) -> Result<Option<String>, Error> {
    let Some(record) = read(dir)? else { return Ok(Some("it was not made".into())) };
    let engine = connect::connect(std::slice::from_ref(&record.socket)).await?;
    let Some(found) = inspect(&engine, &record.name).await? else { return Ok(Some("it was removed".into())) };
    if is_running(&found) {
        return Ok(None);
    }
    let state = found.state.unwrap_or_default();
    let mut words = format!("it ended with exit code {}", state.exit_code.unwrap_or_default());
    if state.oom_killed == Some(true) {
        words.push_str(" for want of memory");
    }
    if let Some(error) = state.error.filter(|error| !error.is_empty()) {
        words.push_str(": ");
        words.push_str(&error);
    }
    Ok(Some(words))
}
