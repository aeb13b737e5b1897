//! Environments as they were after a step: images of their containers, known by the label of the attempt that they were
//! kept after, and told to others by their id. Owns these images; may never touch one without this state folder's labels.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::ContainerConfig;
use bollard::query_parameters::{CommitContainerOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder};

use super::connect::{self, Engine, QUICK, status, words};
use super::create::LABEL_KEPT;
use super::{failed, inspect, ours, read};
use crate::environment::{Error, Image, Spec};
use crate::faults;

/// How long keeping a container may take: hundreds of gigabytes are copied, on a slow disk.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Keeps the container of this environment as it is, after this attempt. The same image for any number of calls.
pub(in crate::environment) async fn keep(spec: &Spec, key: &str, alone: bool) -> Result<Image, Error> {
    let record = read(&spec.dir())?.ok_or_else(|| Error::Refused("its container is not there any more".into()))?;
    let engine = match connect::connect(std::slice::from_ref(&record.socket)).await {
        Err(Error::NoEngine { tried }) => return Err(Error::EngineGone { tried }),
        other => other?,
    };
    let base = size(&engine, &record.image_id).await?.unwrap_or(0);
    let id = match find(&engine, spec, key).await? {
        Some(id) => id,
        None => commit(&engine, spec, &record.name, key, alone).await?,
    };
    let bytes = size(&engine, &id).await?.unwrap_or(0).saturating_sub(base);
    Ok(Image { id, bytes })
}

async fn commit(engine: &Engine, spec: &Spec, name: &str, key: &str, alone: bool) -> Result<String, Error> {
    let found = inspect(engine, name).await?;
    let found = found.ok_or_else(|| Error::Refused("its container was removed".into()))?;
    super::is_ours(&found, spec, name)?;
    // Who else runs in it stands still for that moment, lest half of what he writes is kept.
    let options = CommitContainerOptionsBuilder::default()
        .container(name)
        .comment("a dogwatch environment checkpoint")
        .pause(!alone)
        .changes(&format!("LABEL {LABEL_KEPT}={key}"))
        .build();
    faults::crash_point("docker.before-commit");
    // Given up, it would be begun again, and never end.
    let made = engine.api.clone().with_timeout(LONGEST).commit_container(options, ContainerConfig::default()).await;
    faults::crash_point("docker.after-commit");
    let made = made.map_err(|error| failed("keeping", name, engine, &error))?;
    Ok(full(made.id.trim()))
}

/// An image's id as both engines take it everywhere: Podman gives it without its beginning, and takes it for a bad name
/// then when it has no such image.
fn full(id: &str) -> String {
    if id.starts_with("sha256:") { id.to_owned() } else { format!("sha256:{id}") }
}

/// The image that was kept after this attempt.
async fn find(engine: &Engine, spec: &Spec, key: &str) -> Result<Option<String>, Error> {
    // By one label: Podman finds nothing by two, measured.
    let filters = HashMap::from([("label", vec![format!("{LABEL_KEPT}={key}")])]);
    let options = ListImagesOptionsBuilder::default().all(true).filters(&filters).build();
    let silent = || Error::EngineSilent { socket: engine.socket.clone(), after_s: QUICK.as_secs() };
    let listed = tokio::time::timeout(QUICK, engine.api.list_images(Some(options))).await.map_err(|_| silent())?;
    let listed = listed.map_err(|error| failed("looking for what was kept of", &spec.name, engine, &error))?;
    // What was made of it has its labels, too: the oldest one is itself.
    let mine = listed.into_iter().filter(|image| ours::are_ours(&image.labels, &spec.state_dir));
    Ok(mine.min_by_key(|image| image.created).map(|image| full(&image.id)))
}

/// Of an image, in bytes; `None` when it is not there.
async fn size(engine: &Engine, id: &str) -> Result<Option<u64>, Error> {
    match tokio::time::timeout(QUICK, engine.api.inspect_image(id)).await {
        Err(_) => Err(Error::EngineSilent { socket: engine.socket.clone(), after_s: QUICK.as_secs() }),
        Ok(Ok(found)) => Ok(Some(found.size.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0))),
        Ok(Err(error)) if status(&error) == Some(404) => Ok(None),
        Ok(Err(error)) => Err(failed("looking at an image of", id, engine, &error)),
    }
}

/// Whether an image that was kept is there, asked of the engine that this environment had.
pub(in crate::environment) async fn is_there(spec: &Spec, id: &str) -> Result<bool, Error> {
    let engine = ours::engine_of(spec).await?;
    size(&engine, id).await.map(|size| size.is_some())
}

/// Removes an image that was kept. Nothing to do is done well; one that a container is made of is refused.
pub(in crate::environment) async fn remove(spec: &Spec, id: &str) -> Result<(), Error> {
    let engine = ours::engine_of(spec).await?;
    let found = match tokio::time::timeout(QUICK, engine.api.inspect_image(id)).await {
        Err(_) => return Err(Error::EngineSilent { socket: engine.socket.clone(), after_s: QUICK.as_secs() }),
        Ok(Err(error)) if status(&error) == Some(404) => return Ok(()),
        Ok(found) => found.map_err(|error| failed("looking at an image of", id, &engine, &error))?,
    };
    let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
    let mine = labels.contains_key(LABEL_KEPT) && ours::are_ours(&labels, &spec.state_dir);
    if !mine {
        return Err(Error::Refused(format!("the image {id} is not of this dogwatch")));
    }
    remove_image(&engine, id).await.map_err(Error::Refused)
}

/// Removes an image, also when it has no name; in words why not.
pub(super) async fn remove_image(engine: &Engine, id: &str) -> Result<(), String> {
    let options = RemoveImageOptionsBuilder::default().force(false).build();
    faults::crash_point("docker.before-image-removal");
    let removed = engine.api.remove_image(id, Some(options), None).await;
    faults::crash_point("docker.after-image-removal");
    match removed {
        Ok(_) => Ok(()),
        Err(error) if status(&error) == Some(404) => Ok(()),
        Err(error) => Err(words(&error)),
    }
}
