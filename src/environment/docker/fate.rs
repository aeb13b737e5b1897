//! How a container ended whose keeper is gone: what its engine remembers, put into one of a few words. Asks, and changes
//! nothing. Silence is never an answer: an engine that does not speak, or is just away, is asked again later.

use std::collections::HashMap;

use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum};
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt as _;

use super::connect::{self, Engine, QUICK};
use super::{inspect, is_running, read};
use crate::clock;
use crate::environment::{Error, Fate, Spec};

/// How long an engine may take to notice that a first process has ended.
const NOTICE_MS: i64 = 5_000;
/// Between the end of a container and its removal by the same command.
const REMOVAL_MS: i64 = 2_000;
/// How many events Docker remembers.
const EVENTS: usize = 256;
/// What the kernel reports of a process that a signal ended, and what signals that means.
const BY_SIGNAL: [(i64, i32); 3] = [(137, 9), (143, 15), (130, 2)];

/// The fate of this environment's container.
pub(in crate::environment) async fn fate(spec: &Spec) -> Result<Fate, Error> {
    let Some(record) = read(&spec.dir())? else { return Ok(Fate::Removed) };
    let engine = match connect::connect(std::slice::from_ref(&record.socket)).await {
        Err(Error::NoEngine { tried }) => return Err(Error::EngineGone { tried }),
        other => other?,
    };
    let deadline = clock::boottime_ms() + NOTICE_MS;
    loop {
        let Some(found) = inspect(&engine, &record.name).await? else { return Ok(Fate::Removed) };
        let late = clock::boottime_ms() >= deadline;
        match found.state.as_ref().and_then(|state| state.status) {
            // Whoever removes a container kills it first: that is one deed.
            Some(ContainerStateStatusEnum::REMOVING | ContainerStateStatusEnum::DEAD) if late => {
                return Ok(Fate::Removed);
            }
            Some(ContainerStateStatusEnum::REMOVING | ContainerStateStatusEnum::DEAD) => {}
            Some(_) | None if !is_running(&found) => return ended(&engine, &found).await,
            Some(_) | None if late => return Ok(Fate::Running),
            Some(_) | None => {}
        }
        clock::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn ended(engine: &Engine, found: &ContainerInspectResponse) -> Result<Fate, Error> {
    let state = found.state.clone().unwrap_or_default();
    let code = state.exit_code.unwrap_or_default();
    let id = found.id.as_deref().unwrap_or_default();
    let signal = BY_SIGNAL.iter().find(|(known, _)| *known == code).map(|(_, signal)| *signal);
    if signal.is_some() && state.oom_killed == Some(true) {
        return Ok(Fate::OutOfMemory);
    }
    // Its keeper may have ended in peace before the command came to the point of killing it.
    if engine.podman && is_removed_soon(engine, id).await? {
        return Ok(Fate::Removed);
    }
    let Some(signal) = signal else { return Ok(Fate::Ended { code }) };
    if !engine.podman && restarted(engine, id, &state).await? {
        return Ok(Fate::EngineRestarted);
    }
    Ok(Fate::Killed { signal })
}

/// Podman does not say that it is about to remove what it has killed.
async fn is_removed_soon(engine: &Engine, id: &str) -> Result<bool, Error> {
    let deadline = clock::boottime_ms() + REMOVAL_MS;
    while clock::boottime_ms() < deadline {
        if inspect(engine, id).await?.is_none() {
            return Ok(true);
        }
        clock::sleep(std::time::Duration::from_millis(50)).await;
    }
    Ok(false)
}

/// Without live-restore no container outlives its daemon. A daemon that does not remember the container's start is
/// another one than the one that started it.
async fn restarted(engine: &Engine, id: &str, state: &ContainerState) -> Result<bool, Error> {
    let silent = || Error::EngineSilent { socket: engine.socket.clone(), after_s: QUICK.as_secs() };
    let gone = |error: &bollard::errors::Error| Error::EngineGone {
        tried: format!("{}: {}", engine.socket.display(), connect::words(error)),
    };
    let info = tokio::time::timeout(QUICK, engine.api.info()).await.map_err(|_| silent())?;
    if info.map_err(|error| gone(&error))?.live_restore_enabled == Some(true) {
        return Ok(false);
    }
    let started = state.started_at.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let Some(started) = started else { return Ok(false) };
    // The time of the event is a little later than that of the start.
    let since = started.as_second() - 1;
    let until = clock::wall_ms() / 1000 + 1;
    let options = EventsOptionsBuilder::default()
        .since(&since.to_string())
        .until(&until.to_string())
        .filters(&HashMap::from([("type", vec!["container"])]))
        .build();
    let listen = async {
        let mut events = Box::pin(engine.api.events(Some(options)));
        let (mut count, mut saw_start) = (0, false);
        while let Some(event) = events.next().await {
            let event = event.map_err(|error| gone(&error))?;
            count += 1;
            let about = event.actor.and_then(|actor| actor.id);
            saw_start |= event.action.as_deref() == Some("start") && about.as_deref() == Some(id);
        }
        // A memory that is full may have lost the start.
        Ok::<bool, Error>(!saw_start && count < EVENTS)
    };
    tokio::time::timeout(QUICK, listen).await.map_err(|_| silent())?
}
