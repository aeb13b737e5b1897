//! Starting the step: the one effect that must happen at most once.
//!
//! The step gets exactly the environment, directory and arguments of its launch, a terminal, default signals, and a
//! higher oom score, so that the kernel takes it rather than its shim.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;

use rustix::process::Pid;

use crate::spawn::{self, Pty};
use crate::wire::keeper::Launch;
use crate::wire::shim::End;

/// Added to the shim's own score. Raising is always allowed, also in containers.
const OOM_SCORE_RAISE: i32 = 500;

/// Why a step has no process: its exit code by the shells' custom, and words for its log.
#[derive(Debug)]
pub(super) struct NotStarted {
    pub(super) end: End,
    pub(super) why: String,
}

/// The shim's own oom score. Opened before the shim stops being dumpable: from then on the file belongs to root.
#[derive(Debug)]
pub(super) struct OomScore {
    file: Option<std::fs::File>,
    own: i32,
}

impl OomScore {
    pub(super) fn open() -> Self {
        let path = "/proc/self/oom_score_adj";
        let own = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        Self { file: OpenOptions::new().write(true).open(path).ok(), own }
    }

    /// A child inherits the score at its fork. Raised for that moment only, for the child of a process that is not
    /// dumpable could not raise its own.
    fn raised<T>(&mut self, fork: impl FnOnce() -> T) -> T {
        self.set((self.own + OOM_SCORE_RAISE).min(1000));
        let done = fork();
        self.set(self.own);
        done
    }

    fn set(&mut self, score: i32) {
        if let Some(file) = &mut self.file {
            let _ = file.write_all(score.to_string().as_bytes());
        }
    }
}

/// Starts the step on `pty`.
pub(super) fn start(launch: &Launch, pty: &Pty, oom: &mut OomScore) -> Result<Pid, NotStarted> {
    let not_found = |why: String| NotStarted { end: End::Code(127), why };
    let (program, arguments) = launch.argv.split_first().ok_or_else(|| not_found("the step has no command".into()))?;
    // Asked beforehand, because a failed start does not tell whether the directory or the program is missing.
    match std::fs::metadata(&launch.cwd) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => {
            return Err(not_found(format!("its working directory {} is not a directory", launch.cwd)));
        }
        Err(error) => {
            return Err(not_found(format!("cannot enter its working directory {}: {error}", launch.cwd)));
        }
    }
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(&launch.env).envs(&launch.secrets.0).current_dir(&launch.cwd);
    spawn::on_terminal(&mut command, pty)
        .map_err(|error| not_found(format!("cannot prepare its terminal: {error}")))?;
    match oom.raised(|| command.spawn()) {
        Ok(child) => i32::try_from(child.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| not_found("the kernel gave it no process id".into())),
        Err(error) => {
            let code = if error.kind() == std::io::ErrorKind::PermissionDenied { 126 } else { 127 };
            Err(NotStarted { end: End::Code(code), why: format!("cannot start {program}: {error}") })
        }
    }
}
