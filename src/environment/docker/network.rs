//! The network of a run with several environments: one per run, and a file of names that its containers have as
//! `/etc/hosts`. The file, for not every engine answers names: Podman needs a plugin for that, Docker rules of a packet
//! filter that it may not be allowed to make.
//!
//! Owns `<run dir>/env/.hosts`, written in place: a file that is mounted is never replaced.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use bollard::models::{ContainerSummary, NetworkCreateRequest};
use bollard::query_parameters::ListContainersOptionsBuilder;

use super::connect::{Engine, QUICK, status, words};
use super::create::{LABEL_ENVIRONMENT, LABEL_RUN, LABEL_STATE};
use super::{failed, inspect};
use crate::environment::{Error, Spec};
use crate::faults;

/// Two containers that start together must not write the file over each other.
static ONE_WRITER: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A container engine makes two networks of one name when it is asked twice at once, and then neither can be named: who looks
/// whether it is there makes it before anybody else looks.
static ONE_MAKER: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const LOCAL: &str = "127.0.0.1 localhost\n::1 localhost\n";

/// The file of names of this run.
pub(super) fn hosts_file(spec: &Spec) -> PathBuf {
    spec.run_dir.join("env").join(".hosts")
}

/// Makes sure that the network is there; in words why it cannot be.
pub(super) async fn make(engine: &Engine, spec: &Spec, name: &str) -> Result<(), String> {
    if faults::mutant("no_bridge") {
        return Err("the test wants no network".into());
    }
    let hosts = hosts_file(spec);
    if !hosts.exists() {
        std::fs::write(&hosts, LOCAL).map_err(|error| format!("{}: {error}", hosts.display()))?;
    }
    let _alone = ONE_MAKER.lock().await;
    match is_our_network(engine, spec, name).await? {
        Some(true) => return Ok(()),
        Some(false) => {
            return Err(format!("there is a network {name} already, and it is not of this dogwatch; remove it"));
        }
        None => {}
    }
    let run = super::ours::run_of(spec);
    let labels =
        [(LABEL_STATE, spec.state_dir.to_string_lossy().into_owned()), (LABEL_RUN, run), super::ours::id_label(spec)];
    let request = NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".into()),
        labels: Some(labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ..NetworkCreateRequest::default()
    };
    faults::crash_point("docker.before-network");
    let made = tokio::time::timeout(QUICK, engine.api.create_network(request)).await;
    faults::crash_point("docker.after-network");
    match made {
        Ok(Ok(_)) => Ok(()),
        // Somebody was quicker.
        Ok(Err(error)) if status(&error) == Some(409) => Ok(()),
        Ok(Err(error)) => Err(words(&error)),
        Err(_) => Err(format!("the engine has not answered for {} s", QUICK.as_secs())),
    }
}

/// Is the network of this name ours, by its labels? `None` where there is none; in words why that cannot be known.
async fn is_our_network(engine: &Engine, spec: &Spec, name: &str) -> Result<Option<bool>, String> {
    match tokio::time::timeout(QUICK, engine.api.inspect_network(name, None)).await {
        Ok(Ok(found)) => {
            let labels = found.labels.unwrap_or_default();
            Ok(Some(super::ours::are_ours(&labels, &spec.state_dir)))
        }
        Ok(Err(error)) if status(&error) == Some(404) => Ok(None),
        Ok(Err(error)) => Err(words(&error)),
        Err(_) => Err(format!("the engine has not answered for {} s", QUICK.as_secs())),
    }
}

/// Writes where each running container of this run is, by the names of their environments.
pub(super) async fn tell_names(engine: &Engine, spec: &Spec, network: &str) -> Result<(), Error> {
    let _one = ONE_WRITER.lock().await;
    let mut text = LOCAL.to_owned();
    for one in of_run(engine, spec, false).await? {
        let Some(id) = one.id.as_deref() else { continue };
        // What one attempt has alone is not found by name: there may be many of it.
        let name = one.labels.as_ref().and_then(|labels| labels.get(LABEL_ENVIRONMENT));
        let Some(name) = name.filter(|name| !name.contains('.')) else { continue };
        let Some(found) = inspect(engine, id).await? else { continue };
        let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        let address = networks.get(network).and_then(|at| at.ip_address.clone()).filter(|address| !address.is_empty());
        if let Some(address) = address {
            let _ = writeln!(text, "{address} {name}");
        }
    }
    let path = hosts_file(spec);
    std::fs::write(&path, text).map_err(Error::io("writing", &path))
}

/// The containers of the run; with `all` also those that do not run.
async fn of_run(engine: &Engine, spec: &Spec, all: bool) -> Result<Vec<ContainerSummary>, Error> {
    let run = super::ours::run_of(spec);
    let filters = HashMap::from([("label", vec![format!("{LABEL_RUN}={run}")])]);
    let options = ListContainersOptionsBuilder::default().all(all).filters(&filters).build();
    let silent = || Error::EngineSilent { socket: engine.socket.clone(), after_s: QUICK.as_secs() };
    let listed = tokio::time::timeout(QUICK, engine.api.list_containers(Some(options))).await.map_err(|_| silent())?;
    let mut listed = listed.map_err(|error| failed("looking beside", &spec.name, engine, &error))?;
    listed.retain(|one| super::ours::is_our_container(one, &spec.state_dir));
    Ok(listed)
}

/// Removes the network of a run, unless one of its containers is still there.
pub(super) async fn remove(engine: &Engine, spec: &Spec, name: &str) {
    // A container that stays will want it again; the last one of the run takes it along.
    let alone = async || matches!(of_run(engine, spec, true).await, Ok(others) if others.is_empty());
    if !alone().await {
        return;
    }
    // Another environment of the run may just be made: with this network, which it has seen, and not yet in it.
    let _turn = super::ours::removing(&super::ours::run_of(spec)).await;
    if !alone().await {
        return;
    }
    match is_our_network(engine, spec, name).await {
        Ok(Some(true)) => {}
        Ok(None) => return,
        Ok(Some(false)) => return tracing::warn!("the network {name} is not of this dogwatch: it stays"),
        Err(why) => return tracing::warn!("the network {name} was not removed: {why}"),
    }
    faults::crash_point("docker.before-network-removal");
    let removed = tokio::time::timeout(QUICK, engine.api.remove_network(name)).await;
    faults::crash_point("docker.after-network-removal");
    match removed {
        Ok(Ok(())) => {}
        Ok(Err(error)) if status(&error) == Some(404) => {}
        Ok(Err(error)) => tracing::warn!("the network {name} was not removed: {}", words(&error)),
        Err(_) => tracing::warn!("the network {name} was not removed: the engine does not answer"),
    }
}
