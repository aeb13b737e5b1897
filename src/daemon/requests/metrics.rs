//! Requests about metrics: read from their own file, elsewhere than in the loop.

use super::looks::elsewhere;
use super::{Reaction, Refusable, find_lane, refusal, reply};
use crate::daemon::core::Core;
use crate::metrics::Found;
use crate::model::{Lane, LaneId, StepId};
use crate::wire::client::{PointView, RefusalKind, Reply, SeriesView};

/// Which points are wanted.
pub(super) struct Part {
    pub(super) name: Option<String>,
    pub(super) from: usize,
    pub(super) newest: bool,
}

/// Points in one answer.
const AT_ONCE: usize = 50_000;

impl Core {
    /// The points of a run's series, in their order, from the one with this number on.
    pub(super) fn metrics(&self, run: &str, step: Option<&str>, wanted: Part) -> Refusable<Reaction> {
        let Part { name, from, newest } = wanted;
        let run = self.find(run)?;
        let lane = step.map(|step| find_lane(&run, step)).transpose()?;
        let metrics = self.kept_metrics()?;
        Ok(elsewhere(move || {
            let step = lane.as_ref().map(|lane| lane.step.as_str());
            let found = match metrics.series(run.id.as_str(), step, newest) {
                Ok(found) => found,
                Err(error) => return refusal(RefusalKind::Internal, error.to_string(), None),
            };
            let wanted = |found: &Found| {
                let of_lane = lane.as_ref().is_none_or(|lane| lane.lane.0 == found.lane);
                of_lane && name.as_ref().is_none_or(|name| *name == found.name)
            };
            let named = |found: &Found| {
                let id = StepId::new(&found.step).map(|step| LaneId { step, lane: Lane(found.lane) });
                id.map_or_else(|_| found.step.clone(), |id| run.lane_name(&id))
            };
            let (mut series, more) = part(found.iter().filter(|found| wanted(found)), from, named);
            if newest {
                for one in &mut series {
                    one.points.drain(..one.points.len().saturating_sub(1));
                }
            }
            reply(Reply::Metrics { series, more })
        }))
    }
}

/// So many points from a place on, and whether there are more.
fn part<'f>(
    all: impl Iterator<Item = &'f Found>,
    from: usize,
    named: impl Fn(&Found) -> String,
) -> (Vec<SeriesView>, bool) {
    let (mut skip, mut room) = (from, AT_ONCE);
    let mut series = Vec::new();
    for found in all {
        let length = found.series.len();
        if skip >= length && length > 0 {
            skip -= length;
            continue;
        }
        if room == 0 {
            return (series, true);
        }
        let points = found.series.points().skip(std::mem::take(&mut skip)).take(room);
        let points: Vec<PointView> = points.map(|point| PointView::new(point.step, point.at_ms, point.value)).collect();
        room -= points.len();
        let (step_name, name) = (named(found), found.name.clone());
        series.push(SeriesView { step_name, attempt: found.attempt, name, points });
    }
    // Whoever got as many as there may be asks once more, and may get none.
    (series, room == 0)
}
