//! What the machine and the steps on it use now: `/proc`, file systems, `nvidia-smi`. Measures only when it is asked,
//! starts nothing but `nvidia-smi`, and never decides anything. Blocks: not for the loop.

mod disk;
mod gpu;
mod proc;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::clock;
use crate::wire::client::{MachineView, ResourcesView, StepResources};

pub use disk::on_disk;

/// Two looks that are nearer than this say nothing about the time between them.
const NEAR_MS: i64 = 500;

/// A running step, by the process that all of its own descend from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// What it is called; the same name is the same step at the next look.
    pub name: String,
    /// Its shim, as this host counts.
    pub pid: u32,
}

/// What a step has done until one moment: only the difference of two says something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    ticks: u64,
    /// Read and written, of files and pipes.
    bytes: u64,
    /// A GPU on which one of its processes lives computes.
    gpu: bool,
}

/// What a step does between two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Thousandths of one processor.
    pub permille: u32,
    pub bytes_per_second: u64,
    /// A GPU of its computes.
    pub gpu: bool,
}

impl Work {
    /// What everything below this shim has done until now; `None` where it does not live. Asks for GPUs when `gpus`.
    pub fn of(shim: u32, gpus: bool) -> Option<Self> {
        let table = proc::Table::read(Path::new("/proc"));
        if !table.lives(shim) {
            return None;
        }
        let pids = table.pids_below(shim);
        let bytes = pids.iter().map(|pid| proc::moved(Path::new("/proc"), *pid)).sum();
        let gpu = gpus && gpu::busy(&pids, &gpu_program());
        Some(Self { ticks: table.below(shim).ticks, bytes, gpu })
    }

    /// So many ticks of a processor, and nothing else.
    #[cfg(test)]
    pub(crate) fn computed(ticks: u64) -> Self {
        Self { ticks, ..Self::default() }
    }

    /// What was done from `before` on, which is so long ago.
    pub fn since(&self, before: &Self, span: std::time::Duration) -> Rate {
        let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
        let ticks = self.ticks.saturating_sub(before.ticks);
        let permille = ticks.saturating_mul(1_000_000) / proc::TICKS_PER_SECOND / ms;
        Rate {
            permille: u32::try_from(permille).unwrap_or(u32::MAX),
            bytes_per_second: self.bytes.saturating_sub(before.bytes).saturating_mul(1000) / ms,
            gpu: self.gpu,
        }
    }
}

/// A counter at the last look, and what came out of it.
#[derive(Debug, Clone, Copy)]
struct Look {
    at_ms: i64,
    /// Busy time: ticks.
    busy: u64,
    percent: Option<f32>,
}

/// Remembers the last look, for what is told per time.
#[derive(Debug, Default)]
pub struct Meter {
    machine: Option<Look>,
    steps: HashMap<(String, u32), Look>,
    gpus: gpu::Cache,
}

impl Meter {
    /// Measures the machine, with the file system of `workspace`, and these steps.
    pub fn measure(&mut self, workspace: &Path, roots: &[Root]) -> ResourcesView {
        let now = clock::boottime_ms();
        let table = proc::Table::read(Path::new("/proc"));
        let steps = roots.iter().map(|root| self.step(root, &table, now)).collect();
        self.steps.retain(|(_, pid), _| table.lives(*pid));
        ResourcesView { machine: self.machine(workspace, now), steps }
    }

    fn step(&mut self, root: &Root, table: &proc::Table, now: i64) -> StepResources {
        let tree = table.below(root.pid);
        let key = (root.name.clone(), root.pid);
        let look = look(self.steps.get(&key).copied(), tree.ticks, now, proc::TICKS_PER_SECOND);
        self.steps.insert(key, look);
        StepResources {
            step_name: root.name.clone(),
            cpu_percent: look.percent,
            memory: tree.resident_bytes,
            processes: tree.processes,
        }
    }

    fn machine(&mut self, workspace: &Path, now: i64) -> MachineView {
        let host = proc::Host::read(Path::new("/proc"));
        let per_second = proc::TICKS_PER_SECOND * u64::from(host.cpus.max(1));
        let look = look(self.machine, host.busy_ticks, now, per_second);
        self.machine = Some(look);
        let (disk_total, disk_free) = disk::space(workspace);
        MachineView {
            cpus: host.cpus,
            // The kernel counts in ticks: of a short time there may be one too many.
            cpu_percent: look.percent.map(|percent| percent.min(100.0)),
            load1: host.load1,
            memory_total: host.memory_total,
            memory_available: host.memory_available,
            disk_total,
            disk_free,
            gpus: self.gpus.look(now, &gpu_program()),
        }
    }
}

/// The next look; one that is too near keeps what the last one said.
fn look(last: Option<Look>, busy: u64, at_ms: i64, ticks_per_second: u64) -> Look {
    let Some(last) = last else { return Look { at_ms, busy, percent: None } };
    if at_ms - last.at_ms < NEAR_MS {
        return last;
    }
    let ticks = busy.saturating_sub(last.busy).saturating_mul(100_000);
    let possible = u64::try_from(at_ms - last.at_ms).unwrap_or(1).saturating_mul(ticks_per_second).max(1);
    // Tenths, so that a small number stays one.
    let tenths = u16::try_from(ticks.saturating_mul(10) / possible).unwrap_or(u16::MAX);
    Look { at_ms, busy, percent: Some(f32::from(tenths) / 10.0) }
}

fn gpu_program() -> PathBuf {
    PathBuf::from("nvidia-smi")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_needs_two_looks_that_are_apart() {
        let first = look(None, 1_000, 0, 100);
        assert_eq!(first.percent, None);
        assert_eq!(look(Some(first), 1_010, 100, 100).percent, None);
        let second = look(Some(first), 1_150, 1_000, 100);
        assert_eq!(second.percent, Some(150.0));
        // Asked again at once: what was said before, not nothing.
        assert_eq!(look(Some(second), 1_151, 1_010, 100).percent, Some(150.0));
        // Of four processors together.
        assert_eq!(look(Some(first), 1_200, 1_000, 400).percent, Some(50.0));
    }
}
