//! Seeing that an engine is there, from outside, and starting one when there is none and none was told to stop.
//! Owns the engines that this porter started; decides nothing but this. The lock, not this watch, keeps engines apart.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::fs::{FlockOperation, OFlags};

use super::Spec;
use super::dir::note;
use crate::{clock, faults, spawn};

/// Shortest time between two starts; doubled while engines end at once, up to [`SLOWEST_MS`].
const FASTEST_MS: i64 = 1_000;
const SLOWEST_MS: i64 = 60_000;

pub(super) struct EngineWatch {
    state_dir: PathBuf,
    dogwatch: PathBuf,
    /// The engine that this porter started last, until it was seen to end.
    started: Option<Child>,
    /// In boot-time milliseconds: no start before this.
    not_before: i64,
    pause_ms: i64,
}

/// What a look at the engine showed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// There, or not wanted, or just started.
    Fine,
    /// Gone, but one was started a moment ago: look again after so many milliseconds.
    TooSoon(i64),
}

impl EngineWatch {
    pub(super) fn new(spec: &Spec) -> Self {
        let (state_dir, dogwatch) = (spec.state_dir.clone(), spec.dogwatch.clone());
        Self { state_dir, dogwatch, started: None, not_before: 0, pause_ms: FASTEST_MS }
    }

    /// Looks, and starts an engine if one is missing.
    pub(super) fn look(&mut self) -> Seen {
        if let Some(child) = &mut self.started {
            match child.try_wait() {
                Ok(None) => return Seen::Fine,
                Ok(Some(status)) => note(&format!("the engine that was started from here has ended: {status}")),
                Err(error) => note(&format!("the engine that was started from here cannot be waited for: {error}")),
            }
            self.started = None;
        }
        if !self.is_missing() {
            self.pause_ms = FASTEST_MS;
            return Seen::Fine;
        }
        let now = clock::boottime_ms();
        if now < self.not_before {
            return Seen::TooSoon(self.not_before - now);
        }
        self.not_before = now + self.pause_ms;
        self.pause_ms = (self.pause_ms * 2).min(SLOWEST_MS);
        self.start();
        Seen::Fine
    }

    /// Nobody holds the engine's lock, the state is still there, and nobody said `engine stop`.
    fn is_missing(&self) -> bool {
        // In this order: an engine that is stopped on purpose says so before it lets go of its lock.
        let stopped = || std::fs::symlink_metadata(self.state_dir.join("engine.stopped")).is_ok();
        self.lock_is_free() && self.state_dir.is_dir() && !stopped()
    }

    fn lock_is_free(&self) -> bool {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        match OpenOptions::new().read(true).custom_flags(flags).open(self.state_dir.join("engine.lock")) {
            // Shared, and closed at once: two porters that look together do not see each other.
            Ok(lock) => rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared).is_ok(),
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(error) => {
                note(&format!("cannot look at the engine's lock: {error}"));
                false
            }
        }
    }

    fn start(&mut self) {
        note("no engine holds its lock: starting one");
        let mut command = Command::new(&self.dogwatch);
        command.args(["engine", "run", "--state-dir"]).arg(&self.state_dir);
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
        spawn::in_own_session(&mut command);
        faults::crash_point("porter.before-engine");
        let engine = command.spawn();
        faults::crash_point("porter.after-engine");
        match engine {
            Ok(child) => self.started = Some(child),
            Err(error) => note(&format!("{} cannot be started: {error}", self.dogwatch.display())),
        }
    }
}
