//! Making a container: created with what was asked for, started with what its host can give. What it has to do without is
//! noted. It may never be made anew once something ran in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bollard::models::ContainerStateStatusEnum;
use bollard::query_parameters::{ContainerArchiveInfoOptionsBuilder, CreateContainerOptionsBuilder};

use super::bundle::{self, Bundle};
use super::connect::{Engine, QUICK, status};
use super::create::{self, Limits};
use super::pull::Pulls;
use super::record::{RECORD, Record, change, read};
use super::{delete, door, failed, image, inspect, network};
use crate::environment::{Container, Error, Spec, dir};
use crate::{clock, faults};

/// The path of programs in images that do not say it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a container is asked for beyond its specification, and what it has to do without.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) limits: Limits,
    /// Why it has not the network of its run.
    pub(super) lacks: Option<String>,
}

/// Creates the container, unless that was done before somebody died, and notes what is in it.
pub(super) async fn make(
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
pub(super) fn cdi_file() -> Option<PathBuf> {
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
pub(super) async fn start_as_it_can(
    engine: &Engine,
    spec: &Spec,
    container: &Container,
    pulls: &Pulls,
) -> Result<(), Error> {
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
