//! What is ours in a container engine: containers, networks and images with the labels of this state folder. For
//! `dogwatch gc`. Both the folder's path and the id of its secret must be right: a folder that was made anew at the same
//! place has nothing to do with what the old one left, and neither has another machine's.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum as State};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder,
};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::connect::{self, Engine, QUICK, words};
use super::create::{LABEL_ENVIRONMENT, LABEL_ID, LABEL_KEPT, LABEL_RUN, LABEL_STATE};
use super::{read, snapshot};
use crate::environment::{Container, Error, Left, LeftKind, Removal, Spec, container_name};
use crate::faults;

/// The runs that somebody makes or removes something of. Only the engine of a state folder does, so locks of its own
/// process are enough.
static TURNS: LazyLock<Mutex<HashMap<String, Weak<RwLock<()>>>>> = LazyLock::new(Mutex::default);

fn turn(run: &str) -> Arc<RwLock<()>> {
    let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    turns.retain(|_, lock| lock.strong_count() > 0);
    let known = turns.get(run).and_then(Weak::upgrade);
    let lock = known.unwrap_or_default();
    turns.insert(run.to_owned(), Arc::downgrade(&lock));
    lock
}

/// While this is held nothing that the containers of this run share is removed, and none of them is by `gc`.
pub(super) async fn making(spec: &Spec) -> OwnedRwLockReadGuard<()> {
    turn(&run_of(spec)).read_owned().await
}

/// While this is held no container of this run is being made or started.
pub(super) async fn removing(run: &str) -> OwnedRwLockWriteGuard<()> {
    turn(run).write_owned().await
}

/// The id of the run whose environment this is, as its labels say it.
pub(super) fn run_of(spec: &Spec) -> String {
    spec.run_dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Which state folder it is, by its secret; empty where it has none.
fn id_of(state_dir: &Path) -> String {
    let secret = std::fs::read(state_dir.join("secret")).unwrap_or_default();
    if secret.is_empty() {
        return String::new();
    }
    blake3::Hash::from_bytes(blake3::derive_key("dogwatch state folder 1", &secret)).to_hex()[..16].to_owned()
}

/// The label that says so.
pub(super) fn id_label(spec: &Spec) -> (&'static str, String) {
    (LABEL_ID, id_of(&spec.state_dir))
}

/// Do these labels say that it is this state folder's? What an older dogwatch made has no id.
pub(super) fn are_ours(labels: &HashMap<String, String>, state_dir: &Path) -> bool {
    let path = labels.get(LABEL_STATE).is_some_and(|path| Path::new(path) == state_dir);
    path && labels.get(LABEL_ID).is_none_or(|id| *id == id_of(state_dir))
}

/// Is this container one that this state folder made? Its labels alone do not say so: an image that was kept has them,
/// and so has whatever somebody makes of it. Its name must be the one that we give, too.
pub(super) fn is_our_container(one: &ContainerSummary, state_dir: &Path) -> bool {
    let Some(labels) = &one.labels else { return false };
    let (Some(run), Some(site)) = (labels.get(LABEL_RUN), labels.get(LABEL_ENVIRONMENT)) else { return false };
    let name = container_name(run, site);
    let named = one.names.iter().flatten().any(|known| known.trim_start_matches('/') == name);
    named && are_ours(labels, state_dir)
}

/// The engine that this environment has its container in, or would have.
pub(super) async fn engine_of(spec: &Spec) -> Result<Engine, Error> {
    let places = match (read(&spec.dir())?, &spec.container) {
        (Some(record), _) => vec![record.socket],
        (None, Some(container)) => connect::candidates(container)?,
        (None, None) => return Err(Error::Refused(format!("{} has no container", spec.name))),
    };
    match connect::connect(&places).await {
        Err(Error::NoEngine { tried }) => Err(Error::EngineGone { tried }),
        other => other,
    }
}

/// Where the engines of all containers listen that this state folder knows of, and where one may listen for the caller.
fn places(state_dir: &Path, caller: &Container) -> BTreeSet<PathBuf> {
    let runs = std::fs::read_dir(state_dir.join("runs")).into_iter().flatten().flatten();
    let dirs = runs.flat_map(|run| std::fs::read_dir(run.path().join("env")).into_iter().flatten().flatten());
    let known = dirs.filter_map(|dir| read(&dir.path()).ok().flatten()).map(|record| record.socket);
    let near = connect::candidates(caller).unwrap_or_default().into_iter().filter(|place| place.exists());
    let all = known.chain(near);
    // One socket may have two names.
    all.map(|place| place.canonicalize().unwrap_or(place)).collect()
}

/// Everything with this state folder's labels, in every engine that can be asked; and which could not.
pub(in crate::environment) async fn all(state_dir: &Path, caller: &Container) -> (Vec<Left>, Vec<String>) {
    let (mut found, mut silent) = (Vec::new(), Vec::new());
    for place in places(state_dir, caller) {
        let listed = match connect::connect(std::slice::from_ref(&place)).await {
            Ok(engine) => list(&engine, state_dir).await,
            Err(error) => Err(error.to_string()),
        };
        match listed {
            Ok(mut listed) => found.append(&mut listed),
            Err(why) => silent.push(format!("{}: {why}", place.display())),
        }
    }
    (found, silent)
}

async fn list(engine: &Engine, state_dir: &Path) -> Result<Vec<Left>, String> {
    let filter = HashMap::from([("label", vec![format!("{LABEL_STATE}={}", state_dir.display())])]);
    let late = || format!("it has not answered for {} s", QUICK.as_secs());
    let mut found = Vec::new();
    let mut take =
        |(kind, running), id: String, labels: HashMap<String, String>, created: Option<i64>, bytes: Option<i64>| {
            if are_ours(&labels, state_dir) {
                found.push(Left {
                    kind,
                    id,
                    engine: engine.socket.clone(),
                    running,
                    run: labels.get(LABEL_RUN).cloned().unwrap_or_default(),
                    environment: labels.get(LABEL_ENVIRONMENT).cloned().unwrap_or_default(),
                    after: labels.get(LABEL_KEPT).cloned(),
                    created_s: created,
                    bytes: bytes.and_then(|bytes| u64::try_from(bytes).ok()),
                });
            }
        };
    let options = ListContainersOptionsBuilder::default().all(true).size(true).filters(&filter).build();
    let containers = tokio::time::timeout(QUICK * 6, engine.api.list_containers(Some(options))).await;
    for one in containers.map_err(|_| late())?.map_err(|error| words(&error))? {
        if !is_our_container(&one, state_dir) {
            continue;
        }
        if let Some(id) = one.id {
            let stands = matches!(one.state, Some(State::CREATED | State::EXITED | State::DEAD));
            let kind = (LeftKind::Container, !stands);
            take(kind, id, one.labels.unwrap_or_default(), one.created, one.size_rw);
        }
    }
    let options = ListNetworksOptionsBuilder::default().filters(&filter).build();
    let networks = tokio::time::timeout(QUICK, engine.api.list_networks(Some(options))).await;
    for one in networks.map_err(|_| late())?.map_err(|error| words(&error))? {
        if let Some(name) = one.name {
            take((LeftKind::Network, false), name, one.labels.unwrap_or_default(), None, None);
        }
    }
    let options = ListImagesOptionsBuilder::default().all(true).filters(&filter).build();
    let images = tokio::time::timeout(QUICK, engine.api.list_images(Some(options))).await;
    for one in images.map_err(|_| late())?.map_err(|error| words(&error))? {
        if one.labels.contains_key(LABEL_KEPT) {
            take((LeftKind::Checkpoint, false), one.id, one.labels, Some(one.created), Some(one.size));
        }
    }
    Ok(found)
}

/// Removes one of [`all`], unless it is wanted by now, or says in words why not. `still`: is it needless still? Asked when
/// nobody can begin to use it any more before it has gone.
pub(in crate::environment) async fn remove(left: &Left, still: impl AsyncFnOnce() -> bool) -> Result<Removal, String> {
    let _turn = removing(&left.run).await;
    if !still().await {
        return Ok(Removal::Wanted);
    }
    remove_it(left).await.map(|()| Removal::Done)
}

async fn remove_it(left: &Left) -> Result<(), String> {
    let engine = connect::connect(std::slice::from_ref(&left.engine)).await.map_err(|error| error.to_string())?;
    match left.kind {
        LeftKind::Container => {
            // What was started since it was found is somebody's: without force the engine refuses to remove it.
            let options = RemoveContainerOptionsBuilder::default().force(left.running).v(true).build();
            faults::crash_point("docker.before-gc");
            let removed = engine.api.remove_container(&left.id, Some(options)).await;
            faults::crash_point("docker.after-gc");
            match removed {
                Err(error) if connect::status(&error) != Some(404) => Err(words(&error)),
                Ok(()) | Err(_) => Ok(()),
            }
        }
        LeftKind::Network => match engine.api.remove_network(&left.id).await {
            Err(error) if connect::status(&error) != Some(404) => Err(words(&error)),
            Ok(()) | Err(_) => Ok(()),
        },
        LeftKind::Checkpoint => snapshot::remove_image(&engine, &left.id).await,
    }
}
