//! What is asked of an environment, and how it turned out to be isolated. Plain data with a version; owns no file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The version of `spec.json` that this build writes.
pub(crate) const VERSION: u32 = 1;

/// `isolation = "…"` of the workflow file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// The sandbox where the machine permits it, else none, with the reason as a badge.
    Auto,
    /// The sandbox, or a refusal.
    Required,
    /// No sandbox, not even tried.
    None,
}

/// A host path that the steps see besides the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// On the host, absolute.
    pub source: PathBuf,
    /// Inside, absolute.
    pub target: PathBuf,
    pub writable: bool,
}

/// One environment of one run. All paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    pub v: u32,
    /// The environment's name within its run: `default`.
    pub name: String,
    pub wanted: Wanted,
    pub workspace: PathBuf,
    pub mounts: Vec<Mount>,
    pub run_dir: PathBuf,
    pub state_dir: PathBuf,
    pub home: Option<PathBuf>,
    /// The binary that becomes porter, keeper and shim.
    pub dogwatch: PathBuf,
    /// tmux, when the host has one.
    pub tmux: Option<PathBuf>,
    /// In a container; without one, in the sandbox.
    #[serde(default)]
    pub container: Option<Container>,
    /// Decided by [`super::Sandbox::ensure`]; whatever the caller puts here is overwritten.
    pub isolation: Isolation,
}

impl Spec {
    /// The environment's own directory.
    pub fn dir(&self) -> PathBuf {
        self.run_dir.join("env").join(&self.name)
    }

    /// The folder that holds the `$DOGWATCH_DIR`s of the run's steps; the one part of the state that steps see.
    pub fn work_dir(&self) -> PathBuf {
        self.run_dir.join("work")
    }

    /// Builds a specification with nothing extra: no mounts, isolation where possible.
    pub fn new(run_dir: &Path, state_dir: &Path, workspace: &Path, dogwatch: &Path) -> Self {
        Self {
            v: VERSION,
            name: "default".into(),
            wanted: Wanted::Auto,
            workspace: workspace.to_owned(),
            mounts: Vec::new(),
            run_dir: run_dir.to_owned(),
            state_dir: state_dir.to_owned(),
            home: None,
            dogwatch: dogwatch.to_owned(),
            tmux: None,
            container: None,
            isolation: Isolation::None { why: "not decided yet".into() },
        }
    }
}

/// How an environment is isolated: a fact about what runs, not a wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// In the composed root of bubblewrap.
    Sandboxed {
        /// The bubblewrap that was tried and found to work.
        bwrap: PathBuf,
    },
    /// In a container.
    Container {
        /// The image as it was named.
        image: String,
        /// Who made it: `Docker 20.10.24`.
        engine: String,
        /// What it lacks of what was asked for, in words.
        #[serde(default)]
        lacks: Option<String>,
    },
    /// On the host itself, with everything the user can reach.
    None {
        /// For the badge, in words.
        why: String,
    },
}

/// The container of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its name, by which it is found again: `dogwatch-k3x9ab-default`.
    pub name: String,
    pub image: String,
    pub pull: Pull,
    pub milli_cpus: Option<u64>,
    pub memory: Option<u64>,
    pub shm: Option<u64>,
    pub gpus: Gpus,
    pub network: bool,
    /// Who the steps are by the workflow file: uid and gid. Without it, the owner of the state folder.
    pub user: Option<(u32, u32)>,
    pub caps: Vec<String>,
    pub ulimits: Vec<(String, i64)>,
    pub read_only: bool,
    /// The network that the environments of its run share, where there are several with a network.
    #[serde(default)]
    pub peers: Option<String>,
    /// The id of the image that it is made of instead: what was kept of it after a step.
    #[serde(default)]
    pub base: Option<String>,
    /// `$DOCKER_HOST` of whoever started the run.
    pub host: Option<String>,
    /// `$XDG_RUNTIME_DIR` of whoever started the run: engines without root listen there.
    pub runtime_dir: Option<PathBuf>,
}

impl Container {
    /// With this name, of this image, and the defaults of everything else.
    pub fn of(name: String, image: String) -> Self {
        Self {
            name,
            image,
            pull: Pull::Missing,
            milli_cpus: None,
            memory: None,
            shm: None,
            gpus: Gpus::None,
            network: true,
            user: None,
            caps: Vec::new(),
            ulimits: Vec::new(),
            read_only: false,
            peers: None,
            base: None,
            host: None,
            runtime_dir: None,
        }
    }
}

/// When the image is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pull {
    Missing,
    Always,
    Never,
}

/// The GPUs of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gpus {
    None,
    All,
    Count(u32),
    Ids(Vec<String>),
}
