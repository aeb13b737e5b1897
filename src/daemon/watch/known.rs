//! What is known of an attempt before anything of it is read: what earlier runs of its step teach, and what engines before this
//! one kept of it. Decides nothing.

use crate::daemon::core::Parts;
use crate::daemon::ended::Context;
use crate::gauge::alert::FAR;
use crate::metrics::{Found, Read};
use crate::patience::{Habits, Past, Poll};
use crate::series::Point;

/// What is known of an attempt and its step before anything is read.
pub(super) struct Known {
    pub(super) past: Past,
    /// How far the numbers of this attempt were read.
    pub(super) read: Read,
    /// What was kept of them: the end of each series.
    pub(super) series: Vec<(String, Vec<Point>)>,
    /// Which of them a person wants.
    pub(super) pinned: Vec<String>,
}

/// What earlier runs of the step teach, and what was kept of this attempt; with `far`, all that conditions may look back on.
pub(super) async fn known(context: &Context, parts: &Parts, far: bool) -> Known {
    let said = context.workflow.steps.get(&context.step).and_then(|step| step.wait.poll);
    let poll = said.map_or_else(Poll::default, |(min, max)| Poll { min, max, ..Poll::default() });
    let (metrics, attempt) = (parts.metrics.clone(), context.attempt.clone());
    let (workflow, step) = (context.workflow.name.clone(), context.step.to_string());
    let none = move || Known {
        past: Past::new(&[], Habits::default(), poll),
        read: Read::default(),
        series: Vec::new(),
        pinned: Vec::new(),
    };
    let look = move || {
        let Some(metrics) = metrics else { return none() };
        let (took, habits) = metrics.lessons(&workflow, &step).unwrap_or_else(|error| {
            tracing::warn!("what earlier runs of {step} teach is not known: {error}");
            Default::default()
        });
        let kept = |found: &Found| (found.lane, found.attempt) == (attempt.lane.lane.0, attempt.n);
        let series = metrics.series(attempt.run.as_str(), Some(&step), !far).unwrap_or_default();
        let end = |found: Found| {
            let points: Vec<Point> = found.series.points().collect();
            (found.name, points[points.len().saturating_sub(FAR)..].to_vec())
        };
        let pins = metrics.pins(&workflow).unwrap_or_default();
        Known {
            past: Past::new(&took, habits, poll),
            read: metrics.read(&attempt).unwrap_or_default(),
            series: series.into_iter().filter(kept).map(end).collect(),
            pinned: pins.into_iter().filter(|(of, _)| *of == step).map(|(_, name)| name).collect(),
        }
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_else(|_| none())
}
