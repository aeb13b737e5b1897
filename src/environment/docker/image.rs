//! The image of a container: there already, fetched, or told why it cannot be had. Owns the words for that.

use std::collections::BTreeMap;

use bollard::errors::Error as ApiError;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;

use super::connect::{Engine, QUICK, status, words};
use crate::environment::{Container, Error, Pull};
use crate::faults;

/// What is known of an image.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) id: String,
    /// `NAME=value`.
    pub(super) env: Vec<String>,
}

/// The image of the container, fetched if that is what its `pull` says.
pub(super) async fn have(engine: &Engine, container: &Container) -> Result<Image, Error> {
    let name = container.image.as_str();
    let here = look(engine, name).await?;
    match (here, container.pull) {
        (Some(image), Pull::Missing | Pull::Never) => Ok(image),
        (None, Pull::Never) => Err(cannot(name, engine, "it is not there, and pull = \"never\"")),
        (before, Pull::Missing | Pull::Always) => match (pull(engine, name).await, before) {
            (Ok(()), _) => look(engine, name).await?.ok_or_else(|| cannot(name, engine, "it vanished again")),
            (Err(why), Some(image)) => {
                tracing::warn!("{name} cannot be pulled, the one that is there is used: {why}");
                Ok(image)
            }
            (Err(why), None) => Err(cannot(name, engine, &why)),
        },
    }
}

fn cannot(name: &str, engine: &Engine, why: &str) -> Error {
    Error::NoImage { image: name.to_owned(), engine: engine.name.clone(), why: why.trim_end_matches('.').to_owned() }
}

async fn look(engine: &Engine, name: &str) -> Result<Option<Image>, Error> {
    let looked = tokio::time::timeout(QUICK, engine.api.inspect_image(name)).await;
    match looked {
        Err(_) => Err(Error::EngineSilent { socket: engine.socket.clone(), after_s: QUICK.as_secs() }),
        Ok(Ok(found)) => {
            let id = found.id.ok_or_else(|| cannot(name, engine, "the engine tells no id of it"))?;
            Ok(Some(Image { id, env: found.config.and_then(|config| config.env).unwrap_or_default() }))
        }
        Ok(Err(error)) if status(&error) == Some(404) => Ok(None),
        Ok(Err(error)) => Err(cannot(name, engine, &words(&error))),
    }
}

/// Fetches it to the end; in words why not.
async fn pull(engine: &Engine, name: &str) -> Result<(), String> {
    // Without a tag all of them would be fetched.
    let tagged = name.contains('@') || name.rsplit('/').next().is_some_and(|last| last.contains(':'));
    let name = if tagged { name.to_owned() } else { format!("{name}:latest") };
    tracing::info!("pulling {name}");
    let options = CreateImageOptionsBuilder::default().from_image(&name).build();
    faults::crash_point("docker.before-pull");
    let mut progress = Box::pin(engine.api.create_image(Some(options), None, None));
    let mut layers: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    while let Some(news) = progress.next().await {
        let news = news.map_err(|error: ApiError| words(&error))?;
        if let (Some(layer), Some(detail)) = (news.id, news.progress_detail)
            && let (Some(done), Some(all)) = (detail.current, detail.total)
        {
            layers.insert(layer, (done, all));
        }
    }
    faults::crash_point("docker.after-pull");
    let bytes: i64 = layers.values().map(|(_, all)| all).sum();
    tracing::info!("pulled {name}: {} layers, {} MiB", layers.len(), bytes / 1024 / 1024);
    Ok(())
}
