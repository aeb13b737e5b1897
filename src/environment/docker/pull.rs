//! Fetching images, beside everything else: whoever needs one asks again until it is there, and is told meanwhile how far
//! it has come. So a run whose image is large can be looked at and stopped. Owns the transfers of one engine life.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bollard::errors::Error as ApiError;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;

use super::connect::{Engine, words};
use crate::faults;
use crate::model::size_words;

/// The transfers that go on, or whose end nobody has asked for yet.
#[derive(Debug, Default, Clone)]
pub(in crate::environment) struct Pulls {
    known: Arc<Mutex<HashMap<(PathBuf, String), Pull>>>,
}

#[derive(Debug)]
enum Pull {
    Runs(Progress),
    Ended(Result<(), String>),
}

/// How far a transfer has come.
#[derive(Debug, Default, Clone)]
struct Progress {
    /// Bytes that are here and bytes in all, by layer.
    layers: BTreeMap<String, (i64, i64)>,
    /// What is said as long as nothing can be counted.
    says: String,
}

/// What is known of a transfer.
#[derive(Debug)]
pub(super) enum Asked {
    /// In words, how far it has come.
    Runs(String),
    /// Told once.
    Ended(Result<(), String>),
}

impl Pulls {
    /// Starts the transfer unless it goes on, and says how it stands.
    pub(super) fn ask(&self, engine: &Engine, name: &str) -> Asked {
        let key = key(engine, name);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.remove(&key) {
            Some(Pull::Ended(how)) => Asked::Ended(how),
            Some(Pull::Runs(progress)) => {
                let words = progress.words(&key.1);
                known.insert(key, Pull::Runs(progress));
                Asked::Runs(words)
            }
            None => {
                let words = Progress::default().words(&key.1);
                known.insert(key.clone(), Pull::Runs(Progress::default()));
                tokio::spawn(self.clone().fetch(engine.clone(), key));
                Asked::Runs(words)
            }
        }
    }

    /// The image is there: an end that nobody has asked for is of no use any more.
    pub(super) fn forget(&self, engine: &Engine, name: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(engine, name);
        if matches!(known.get(&key), Some(Pull::Ended(_))) {
            known.remove(&key);
        }
    }

    fn note(&self, key: &(PathBuf, String), pull: Pull) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), pull);
    }

    /// Fetches it to the end.
    async fn fetch(self, engine: Engine, key: (PathBuf, String)) {
        let name = &key.1;
        tracing::info!("pulling {name}");
        let options = CreateImageOptionsBuilder::default().from_image(name).build();
        let mut progress = Progress::default();
        faults::crash_point("docker.before-pull");
        let mut news = Box::pin(engine.api.create_image(Some(options), None, None));
        let mut end = Ok(());
        while let Some(one) = news.next().await {
            match one {
                Ok(one) => progress.take(one),
                Err(error) => end = Err(said(&error)),
            }
            self.note(&key, Pull::Runs(progress.clone()));
        }
        faults::crash_point("docker.after-pull");
        tracing::info!("{}: {end:?}", progress.words(name));
        self.note(&key, Pull::Ended(end));
    }
}

/// Without a tag all of them would be fetched.
fn key(engine: &Engine, name: &str) -> (PathBuf, String) {
    let tagged = name.contains('@') || name.rsplit('/').next().is_some_and(|last| last.contains(':'));
    let name = if tagged { name.to_owned() } else { format!("{name}:latest") };
    (engine.socket.clone(), name)
}

fn said(error: &ApiError) -> String {
    if let ApiError::DockerStreamError { error } = error { error.trim().to_owned() } else { words(error) }
}

impl Progress {
    fn take(&mut self, news: CreateImageInfo) {
        let says = news.status.unwrap_or_default();
        match (news.id.filter(|id| !id.contains(' ')), news.progress_detail) {
            (Some(layer), Some(detail)) if detail.total.is_some_and(|total| total > 0) => {
                let (current, total) = (detail.current.unwrap_or(0), detail.total.unwrap_or(0));
                // Unpacking is counted in the same numbers again: what is here stays here.
                if says.starts_with("Download") {
                    self.layers.insert(layer, (current, total));
                }
            }
            (Some(layer), _) if says == "Pull complete" || says == "Already exists" || says == "Download complete" => {
                let all = self.layers.entry(layer).or_insert((0, 0));
                all.0 = all.1;
            }
            (Some(layer), _) if says == "Pulling fs layer" || says == "Waiting" => {
                self.layers.entry(layer).or_insert((0, 1));
            }
            (_, _) if !says.is_empty() => {
                self.says = says.lines().next().unwrap_or_default().chars().take(80).collect();
            }
            (_, _) => {}
        }
    }

    /// `pulling bb:1: 2 of 5 layers, 31 MiB of 120 MiB`.
    fn words(&self, name: &str) -> String {
        let bytes = |pick: fn(&(i64, i64)) -> i64| {
            u64::try_from(self.layers.values().map(pick).sum::<i64>()).map_or_else(|_| String::new(), size_words)
        };
        match (self.layers.len(), self.says.as_str()) {
            (0, "") => format!("pulling {name}"),
            (0, says) => format!("pulling {name}: {says}"),
            (layers, _) => {
                let done = self.layers.values().filter(|(here, all)| here >= all).count();
                format!(
                    "pulling {name}: {done} of {layers} layers, {} of {}",
                    bytes(|(here, _)| *here),
                    bytes(|(_, all)| *all)
                )
            }
        }
    }
}
