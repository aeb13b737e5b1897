//! What is left of a whole run: what its clocks and earlier runs say of each lane that is not over, put together along the
//! longest way. Where nothing is known of one, nothing is said of the whole. Draws from the mind's state, decides nothing.

use std::collections::HashMap;
use std::time::Duration;

use crate::daemon::watch::{Board, Took};
use crate::engine::{LaneRun, LaneState, Phase, Run};
use crate::model::{EscalationKind, LaneId, StepWhat, Time};
use crate::patience::{Left, Places, Stage, whole};
use crate::wire::client::{RunLeft, TimeLeft};

const NOTHING: Left = Left { p10: 0.0, p50: 0.0, p90: 0.0 };

/// What is known of one lane.
enum Known {
    /// So much is left once it may begin; it takes a place.
    Takes(Left),
    /// The same of one that has its place.
    Runs(Left),
    /// Nobody knows how long a person takes.
    Person,
    /// It costs no time.
    Free,
    Unknown,
}

/// What is left of a run that goes on; `None` of any other, and while what is known is still being read.
pub(super) fn of(run: &Run, now: Time, board: &Board, took: &Took) -> Option<RunLeft> {
    if !matches!(run.phase, Phase::Going) || !took.knows(&run.workflow) {
        return None;
    }
    let open: Vec<&LaneRun> = run.lanes.iter().filter(|lane| !matches!(lane.state, LaneState::Done { .. })).collect();
    let places: HashMap<&LaneId, usize> = open.iter().enumerate().map(|(place, lane)| (&lane.id, place)).collect();
    let mut told = RunLeft::default();
    let mut stages = Vec::with_capacity(open.len());
    for lane in &open {
        let step = run.step_of(lane);
        let known = known(run, lane, now, (board, took));
        match known {
            Known::Person => told.people = true,
            // The lanes of a step stand side by side.
            Known::Unknown if told.unknown.last().is_none_or(|last| last != step.id.as_str()) => {
                told.unknown.push(step.id.to_string());
            }
            Known::Unknown | Known::Takes(_) | Known::Runs(_) | Known::Free => {}
        }
        let needs = step.needs.iter().filter_map(|need| run.workflow.steps.get(need));
        let needs =
            needs.flat_map(|need| need.lanes.iter().map(|spec| LaneId { step: need.id.clone(), lane: spec.lane }));
        let crew = run.workflow.steps.get_index_of(&step.id);
        let needs = needs.filter_map(|need| places.get(&need).copied()).collect();
        stages.push(match known {
            Known::Takes(left) => Stage { needs, left, crew, begun: false },
            Known::Runs(left) => Stage { needs, left, crew, begun: true },
            Known::Person | Known::Free | Known::Unknown => Stage { needs, left: NOTHING, crew: None, begun: false },
        });
    }
    if told.unknown.is_empty() && !stages.is_empty() {
        let most = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        let crews = run.workflow.steps.values().map(|step| step.lanes_at_once.map_or(usize::MAX, most)).collect();
        let (left, way) = whole(&stages, &Places { all: most(run.workflow.max_parallel), crews });
        told.range = Some(TimeLeft { p10_ms: ms(left.p10), p50_ms: ms(left.p50), p90_ms: ms(left.p90) });
        told.by = way.into_iter().map(|place| run.lane_name(&open[place].id)).collect();
    }
    Some(told)
}

fn known(run: &Run, lane: &LaneRun, now: Time, (board, took): (&Board, &Took)) -> Known {
    let step = run.step_of(lane);
    let fresh = || match &step.what {
        StepWhat::Approval(_) => None,
        StepWhat::Run { .. } | StepWhat::WaitFor(_) => took.of(&run.workflow.name, step.id.as_str()),
    };
    match &lane.state {
        // It ends when nobody needs it any more.
        _ if step.service.is_some() => Known::Free,
        LaneState::Done { .. }
        | LaneState::Exited { .. }
        | LaneState::Probing { .. }
        | LaneState::Probed { .. }
        | LaneState::Verifying { .. } => Known::Free,
        LaneState::Waiting if matches!(step.what, StepWhat::Approval(_)) => Known::Person,
        // What depends on a condition and has never run may not run this time, either.
        LaneState::Waiting if step.condition.is_some() => fresh().map_or(Known::Free, Known::Takes),
        LaneState::Waiting => fresh().map_or(Known::Unknown, Known::Takes),
        LaneState::Delayed { until, .. } => {
            let wait = until.since(now).as_secs_f64();
            fresh().map_or(Known::Unknown, |left| Known::Takes(later(left, wait)))
        }
        LaneState::Active { .. } => {
            let standing = run.attempt(lane).and_then(|attempt| board.get(&attempt));
            let left = standing.and_then(|standing| {
                let gone = now.since(standing.at).as_secs_f64();
                Some(later(standing.left?, -gone))
            });
            left.or_else(fresh).map_or(Known::Unknown, Known::Runs)
        }
        LaneState::Asking { escalation } => match run.questions.get(escalation).map(|asked| asked.escalation.kind) {
            Some(EscalationKind::Gate) => Known::Person,
            Some(_) | None => Known::Unknown,
        },
        LaneState::Lost { .. } | LaneState::ToAsk { .. } => Known::Unknown,
    }
}

/// The same, so many seconds later.
fn later(left: Left, seconds: f64) -> Left {
    let later = |value: f64| (value + seconds).max(0.0);
    Left { p10: later(left.p10), p50: later(left.p50), p90: later(left.p90) }
}

fn ms(seconds: f64) -> i64 {
    let span = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
