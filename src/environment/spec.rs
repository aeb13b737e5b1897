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
    /// On the host itself, with everything the user can reach.
    None {
        /// For the badge, in words.
        why: String,
    },
}
