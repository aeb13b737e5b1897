//! The image of a container: there already, fetched, or told why it cannot be had. Owns the words for that; fetching
//! itself is [`super::pull`]'s.

use super::connect::{Engine, QUICK, status, words};
use super::create::LABEL_ENV;
use super::pull::{Asked, Pulls};
use crate::environment::{Container, Error, Pull};

/// What is known of an image.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) id: String,
    /// `NAME=value`.
    pub(super) env: Vec<String>,
}

/// The image of the container, fetched if that is what its `pull` says. While it is being fetched, that is the error.
pub(super) async fn have(engine: &Engine, container: &Container, pulls: &Pulls) -> Result<Image, Error> {
    if let Some(base) = &container.base {
        let gone = "it was removed; `dogwatch checkpoints RUN` lists what there is";
        return look(engine, base).await?.ok_or_else(|| cannot(base, engine, gone));
    }
    let name = container.image.as_str();
    let here = look(engine, name).await?;
    match (here, container.pull) {
        (Some(image), Pull::Missing | Pull::Never) => {
            // Whoever asked for it has it: the end of that transfer must not stand for a later one.
            pulls.forget(engine, name);
            Ok(image)
        }
        (None, Pull::Never) => Err(cannot(name, engine, "it is not there, and pull = \"never\"")),
        (before, Pull::Missing | Pull::Always) => match (pulls.ask(engine, name), before) {
            (Asked::Runs(words), _) => Err(Error::Pulling { words }),
            (Asked::Ended(Ok(())), _) => {
                look(engine, name).await?.ok_or_else(|| cannot(name, engine, "it vanished again"))
            }
            (Asked::Ended(Err(why)), Some(image)) => {
                tracing::warn!("{name} cannot be pulled, the one that is there is used: {why}");
                Ok(image)
            }
            (Asked::Ended(Err(why)), None) => Err(cannot(name, engine, &why)),
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
            let config = found.config.unwrap_or_default();
            // One that was kept of a container has the keeper's variables, and a label with those of its own image.
            let label = config.labels.as_ref().and_then(|labels| labels.get(LABEL_ENV));
            let own = label.and_then(|text| serde_json::from_str(text).ok());
            Ok(Some(Image { id, env: own.or(config.env).unwrap_or_default() }))
        }
        Ok(Err(error)) if status(&error) == Some(404) => Ok(None),
        Ok(Err(error)) => Err(cannot(name, engine, &words(&error))),
    }
}
