//! What is measured of steps from outside, as series beside those that they print. Measured when everything live is looked at
//! anyway, and when somebody asks; decides nothing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Core, Parts};
use crate::engine::Run;
use crate::metrics::Metrics;
use crate::model::{AttemptId, Time};
use crate::series::Point;
use crate::usage::{Meter, Root};
use crate::wire::client::ResourcesView;

/// What the names of these series begin with.
const MEASURED: &str = "system/";

/// A series of what was measured, by its name.
pub(in crate::daemon) fn is_measured(name: &str) -> bool {
    name.starts_with(MEASURED)
}

/// The live attempts of a run, and where they are.
pub(in crate::daemon) struct Live {
    dir: PathBuf,
    workspace: PathBuf,
    /// The lane's name, the attempt, its folder in the run's.
    attempts: Vec<(String, AttemptId)>,
}

impl Live {
    pub(in crate::daemon) fn of(run: &Run) -> Self {
        let claimed = run.live_attempts().filter(|(_, lane)| lane.started.is_some());
        Self {
            dir: PathBuf::from(&run.dir),
            workspace: PathBuf::from(&run.workflow.environment.workspace),
            attempts: claimed.map(|(attempt, lane)| (run.lane_name(&lane.id), attempt)).collect(),
        }
    }

    /// Measures now, and keeps it as series. Blocks.
    pub(in crate::daemon) fn measure(
        &self,
        meter: &Mutex<Meter>,
        metrics: Option<&Metrics>,
        now: Time,
    ) -> ResourcesView {
        let root = |(name, attempt): &(String, AttemptId)| {
            Some(Root { name: name.clone(), pid: shim_of(&self.dir, &attempt.dir())? })
        };
        let roots: Vec<Root> = self.attempts.iter().filter_map(root).collect();
        // Whoever panicked in it left figures behind, nothing that could be wrong.
        let view = meter.lock().unwrap_or_else(PoisonError::into_inner).measure(&self.workspace, &roots);
        for (name, attempt) in &self.attempts {
            let points = points(&view, name, now);
            if let Some(metrics) = metrics.filter(|_| !points.is_empty()) {
                metrics.measured(attempt, points);
            }
        }
        view
    }
}

/// The shim of a live attempt, as this host counts.
fn shim_of(run_dir: &Path, place: &str) -> Option<u32> {
    let run_dir = crate::attempt::open_run_dir(run_dir).ok()?;
    let dir = crate::attempt::open(&run_dir, place).ok()??;
    crate::attempt::claim::holder(&dir).ok()?
}

/// What concerns this lane: its own processes, and the machine's GPUs, of which nobody says whose work it is.
fn points(view: &ResourcesView, name: &str, now: Time) -> Vec<(String, Point)> {
    let Some(used) = view.steps.iter().find(|used| used.step_name == name) else { return Vec::new() };
    let point = |what: String, value: f64| {
        let at_ms = now.as_ms();
        (format!("{MEASURED}{what}"), Point { step: 0, at_ms, value })
    };
    let mut all = Vec::new();
    all.extend(used.cpu_percent.map(|percent| point("cpu".into(), f64::from(percent))));
    all.push(point("memory".into(), bytes(used.memory)));
    for (place, gpu) in view.machine.gpus.iter().enumerate() {
        all.push(point(format!("gpu{place}"), f64::from(gpu.percent)));
        all.push(point(format!("gpu{place}-memory"), bytes(gpu.memory_used)));
    }
    all
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 8 PiB")]
fn bytes(bytes: u64) -> f64 {
    bytes as f64
}

impl Core {
    /// Of every live attempt.
    pub(in crate::daemon) fn measure_all(&self) {
        let live: Vec<Live> = self.engine.runs().filter(|run| run.active() > 0).map(Live::of).collect();
        let (meter, Parts { metrics, clock, .. }) = (Arc::clone(&self.meter), self.parts.clone());
        if live.is_empty() || metrics.is_none() {
            return;
        }
        tokio::task::spawn_blocking(move || {
            for live in live {
                live.measure(&meter, metrics.as_ref(), clock.now());
            }
        });
    }
}
