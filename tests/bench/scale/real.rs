//! A real engine with a state directory and a workspace of its own.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::Result;

/// The engine; stopped when this goes.
pub(crate) struct Engine {
    dir: tempfile::TempDir,
}

impl Engine {
    pub(crate) fn new() -> Result<Self> {
        let home = std::env::var_os("HOME").map_or("/tmp".into(), PathBuf::from);
        Ok(Self { dir: tempfile::Builder::new().prefix("dwc").tempdir_in(home)? })
    }

    pub(crate) fn write(&self, workflow: &str) -> Result<()> {
        Ok(std::fs::write(self.dir.path().join("w.toml"), workflow)?)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dogwatch"));
        command.current_dir(self.dir.path()).env("DOGWATCH_STATE_DIR", self.dir.path().join("state"));
        command.stdin(Stdio::null());
        command
    }

    /// What dogwatch prints for these words.
    pub(crate) fn said(&self, words: &[&str]) -> Result<String> {
        let output = self.command().args(words).output()?;
        if !output.status.success() {
            return Err(format!("{words:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    pub(crate) fn pid(&self) -> Result<u32> {
        let lock = std::fs::read_to_string(self.dir.path().join("state/engine.lock"))?;
        Ok(lock.split_whitespace().nth(1).ok_or("the lock names nobody")?.parse()?)
    }

    /// The size of the only run's record, in bytes.
    pub(crate) fn record(&self) -> Result<u64> {
        let runs = std::fs::read_dir(self.dir.path().join("state/runs"))?;
        let sizes = runs.filter_map(|run| Some(run.ok()?.path().join("record.md").metadata().ok()?.len()));
        Ok(sizes.max().unwrap_or(0))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.command().args(["engine", "stop"]).stdout(Stdio::null()).stderr(Stdio::null()).status());
    }
}

/// CPU time that this process, or another one, took so far, with all its threads, in milliseconds.
pub(crate) fn cpu_ms(pid: Option<u32>) -> Result<f64> {
    let Some(pid) = pid else {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let (seconds, nanoseconds) = (u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0));
        return Ok(std::time::Duration::new(seconds, nanoseconds).as_secs_f64() * 1e3);
    };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, words) = stat.rsplit_once(") ").ok_or("no stat")?;
    let ticks: f64 = words.split(' ').skip(11).take(2).filter_map(|word| word.parse::<f64>().ok()).sum();
    // A hundred a second on every Linux.
    Ok(ticks * 10.0)
}
