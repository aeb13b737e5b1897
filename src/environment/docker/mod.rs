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
mod network;
mod ours;
mod pull;
mod snapshot;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum};
use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder,
};
use serde::{Deserialize, Serialize};

use self::bundle::Bundle;
pub(super) use self::bundle::LIBRARIES;
pub use self::connect::EngineFacts;
pub(super) use self::connect::facts;
use self::connect::{Engine, QUICK, status, with_remedy, words};
use self::create::Limits;
pub(super) use self::fate::fate;
pub(super) use self::ours::{all as everything, remove as remove_left};
pub(super) use self::pull::Pulls;
pub(super) use self::snapshot::{is_there as is_kept, keep, remove as forget};
use super::{Container, Error, Inside, Isolation, Spec, dir};
use crate::{clock, faults};

/// The file that says which container an environment has.
pub(super) const RECORD: &str = "container.json";

/// How long an engine may refuse to remove a container that is just ending, and how often it is asked.
const ENDING_MS: i64 = 10_000;
const AGAIN: Duration = Duration::from_millis(200);

/// What an environment's container is, written before it is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    v: u32,
    name: String,
    /// Where the engine listens that has it.
    socket: PathBuf,
    engine: String,
    image: String,
    image_id: String,
    /// Variables that the image gives its programs.
    env: BTreeMap<String, String>,
    /// The words that start a shell.
    shell: Vec<String>,
    /// What it lacks of what was asked for.
    #[serde(default)]
    lacks: Option<String>,
    /// It stays although its environment has ended.
    #[serde(default)]
    left: bool,
    /// The attempt that it was made anew for.
    #[serde(default)]
    made_for: Option<String>,
    /// When it was last started, in milliseconds since 1970; noted just before.
    #[serde(default)]
    started_ms: Option<i64>,
}

/// The path of programs in images that do not say it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What steps find inside, of an environment that was made before.
pub(super) fn inside(dir: &Path) -> Result<Inside, Error> {
    let record = read(dir)?.ok_or_else(|| Error::Refused(format!("{} has no {RECORD}", dir.display())))?;
    let (dogwatch, bin) = (PathBuf::from(bundle::DOGWATCH), PathBuf::from(bundle::BIN));
    Ok(Inside { env: record.env, shell: Some(record.shell), dogwatch, bin })
}

fn read(dir: &Path) -> Result<Option<Record>, Error> {
    dir::read_json(dir, RECORD)
}

/// Is there a container that goes with its environment?
pub(super) fn is_to_go(dir: &Path) -> bool {
    dir.join(RECORD).exists() && !matches!(read(dir), Ok(Some(record)) if record.left)
}

/// See [`super::is_made_for`].
pub(super) fn is_made_for(dir: &Path, key: &str) -> bool {
    matches!(read(dir), Ok(Some(record)) if record.made_for.as_deref() == Some(key))
}

/// See [`super::note_made_for`].
pub(super) fn note_made_for(dir: &Path, key: &str) -> Result<(), Error> {
    change(dir, |record| record.made_for = Some(key.to_owned()))
}

/// See [`super::was_started_before`].
pub(super) fn was_started_before(dir: &Path, wall_ms: i64) -> bool {
    matches!(read(dir), Ok(Some(Record { started_ms: Some(started), .. })) if started < wall_ms)
}

/// See [`super::leave_container`].
pub(super) fn leave(dir: &Path) -> Result<(), Error> {
    change(dir, |record| record.left = true)
}

fn change(dir: &Path, change: impl FnOnce(&mut Record)) -> Result<(), Error> {
    let Some(mut record) = read(dir)? else { return Ok(()) };
    change(&mut record);
    dir::replace_json(dir, RECORD, &record)
}

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

/// What a container is asked for beyond its specification, and what it has to do without.
#[derive(Debug, Clone)]
struct Wish {
    limits: Limits,
    /// Why it has not the network of its run.
    lacks: Option<String>,
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

/// Creates the container, unless that was done before somebody died, and notes what is in it.
async fn make(
    engine: &Engine,
    spec: &Spec,
    container: &Container,
    (is_there, mut wish): (bool, Wish),
    pulls: &Pulls,
) -> Result<(), Error> {
    engine.serves_us()?;
    let image = image::have(engine, container, pulls).await?;
    let bundle = bundle_of(spec).await?;
    if !is_there {
        if let (Some(network), None) = (&container.peers, &wish.lacks)
            && let Err(why) = network::make(engine, spec, network).await
        {
            wish.lacks = Some(without_network(&why));
        }
        create(engine, spec, container, (&image, &bundle), &wish).await?;
    }
    let shell = shell(engine, &container.name, &bundle).await?;
    let mut env: BTreeMap<String, String> = image
        .env
        .iter()
        .filter_map(|variable| variable.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    env.entry("PATH".into()).or_insert_with(|| PATH.into());
    env.entry("HOME".into()).or_insert_with(|| create::HOME.into());
    let record = Record {
        v: 1,
        name: container.name.clone(),
        socket: engine.socket.clone(),
        engine: engine.name.clone(),
        image: container.image.clone(),
        image_id: image.id,
        env,
        shell,
        lacks: wish.lacks,
        left: false,
        made_for: None,
        started_ms: None,
    };
    dir::replace_json(&spec.dir(), RECORD, &record)
}

async fn bundle_of(spec: &Spec) -> Result<Bundle, Error> {
    let (dogwatch, tmux, state) = (spec.dogwatch.clone(), spec.tmux.clone(), spec.state_dir.clone());
    let made = tokio::task::spawn_blocking(move || bundle::make(&dogwatch, tmux.as_deref(), &state)).await;
    made.map_err(|error| Error::Refused(format!("the bundle cannot be made: {error}")))?
}

async fn create(
    engine: &Engine,
    spec: &Spec,
    container: &Container,
    (image, bundle): (&image::Image, &Bundle),
    wish: &Wish,
) -> Result<(), Error> {
    let rootless = engine.is_rootless().await?;
    let facts = create::Facts {
        bundle,
        image_id: &image.id,
        image_env: &image.env,
        rootless,
        podman: engine.podman,
        cdi: cdi_file().is_some(),
        limits: wish.limits,
        network: container.peers.as_deref().filter(|_| wish.lacks.is_none()),
    };
    prepare(spec)?;
    let body = create::body(spec, container, &facts)?;
    let options = CreateContainerOptionsBuilder::default().name(&container.name).build();
    faults::crash_point("docker.before-create");
    let created = engine.api.create_container(Some(options), body).await;
    faults::crash_point("docker.after-create");
    match created {
        Ok(_) => Ok(()),
        // Somebody was quicker, with the same specification.
        Err(error) if status(&error) == Some(409) && inspect(engine, &container.name).await?.is_some() => Ok(()),
        Err(error) => Err(failed("creating", &container.name, engine, &error)),
    }
}

/// The file on this host that describes NVIDIA's devices, if one does.
fn cdi_file() -> Option<PathBuf> {
    ["/etc/cdi", "/var/run/cdi"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten())
        .find(|entry| entry.file_name().to_string_lossy().contains("nvidia"))
        .map(|entry| entry.path())
}

/// The folders that are mounted must be there, or the engine would make them as root.
fn prepare(spec: &Spec) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    let dir = spec.dir();
    let work = spec.work_dir();
    let below = work.strip_prefix(&spec.state_dir).unwrap_or(Path::new(""));
    let (cover, cover_state) = (dir.join(create::COVER), dir.join(create::COVER_STATE).join(below));
    for folder in [dir.join(door::FOLDER), dir.join(create::HOME_FOLDER), cover, cover_state, work.clone()] {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(Error::io("making the folder", &folder))?;
    }
    let blank = dir.join("blank");
    std::fs::write(&blank, b"").map_err(Error::io("making", &blank))
}

/// The image's own shell, else the bundle's.
async fn shell(engine: &Engine, name: &str, bundle: &Bundle) -> Result<Vec<String>, Error> {
    let options = ContainerArchiveInfoOptionsBuilder::default().path("/bin/sh").build();
    let looked = tokio::time::timeout(QUICK, engine.api.get_container_archive_info(name, Some(options))).await;
    match looked {
        Err(_) => Err(Error::EngineSilent { socket: engine.socket.clone(), after_s: QUICK.as_secs() }),
        Ok(Err(error)) if status(&error) == Some(404) => Ok(bundle.shell()),
        Ok(Err(error)) if status(&error).is_some_and(|status| status >= 500) => {
            Err(failed("looking for a shell in", name, engine, &error))
        }
        Ok(Ok(_) | Err(_)) => Ok(vec!["/bin/sh".into()]),
    }
}

async fn start(engine: &Engine, name: &str) -> Result<(), Error> {
    faults::crash_point("docker.before-start");
    let started = engine.api.start_container(name, None).await;
    faults::crash_point("docker.after-start");
    started.map_err(|error| failed("starting", name, engine, &error))
}

/// What is said of a container without the network of its run.
fn without_network(why: &str) -> String {
    format!("the environments of this run do not find each other by name: {}", why.trim_end_matches('.'))
}

/// Starts it. Where the host may not raise the limits that training likes, or cannot make the run's network, the container
/// is made anew without them.
async fn start_as_it_can(engine: &Engine, spec: &Spec, container: &Container, pulls: &Pulls) -> Result<(), Error> {
    let record = read(&spec.dir())?;
    // Of the same image: a tag may lead elsewhere by now, and `pull = "always"` would fetch it once more.
    let again = Container { base: record.as_ref().map(|record| record.image_id.clone()), ..container.clone() };
    let mut wish = Wish { limits: Limits::Generous, lacks: record.and_then(|record| record.lacks) };
    loop {
        change(&spec.dir(), |record| record.started_ms = Some(clock::wall_ms()))?;
        let Err(why) = start(engine, &container.name).await else { return Ok(()) };
        let Error::Container { why: said, .. } = &why else { return Err(why) };
        let found = inspect(engine, &container.name).await?;
        let status = found.and_then(|found| found.state).and_then(|state| state.status);
        if status != Some(ContainerStateStatusEnum::CREATED) {
            // It has run before, and what was done in it would be lost.
            return Err(why);
        }
        let of_networks = ["network", "iptables", "nftables", "veth", "bridge", "cni", "netavark"];
        let lower = said.to_lowercase();
        if wish.limits == Limits::Generous && lower.contains("rlimit") {
            wish.limits = Limits::Modest;
        } else if container.peers.is_some()
            && wish.lacks.is_none()
            && of_networks.iter().any(|word| lower.contains(word))
        {
            wish.lacks = Some(without_network(said));
        } else {
            return Err(why);
        }
        tracing::info!("{} cannot be started as it is ({said}): it is made anew with less", container.name);
        delete(engine, &container.name).await?;
        make(engine, spec, &again, (false, wish.clone()), pulls).await?;
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
