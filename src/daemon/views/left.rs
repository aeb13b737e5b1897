//! What is left of a whole run: what its clocks and earlier runs say of each lane that is not over, put together along the
//! longest way. Where nothing is known of one, nothing is said of the whole. Draws from the mind's state, decides nothing.

use std::collections::HashMap;
use std::time::Duration;

use crate::daemon::watch::{Board, Took};
use crate::engine::{Engine, LaneRun, LaneState, Phase, Run};
use crate::model::{Demand, EscalationKind, LaneId, StepWhat, Time};
use crate::patience::{Left, Places, Stage, whole};
use crate::wire::client::{RunLeft, TimeLeft};

const NOTHING: Left = Left { p10: 0.0, p50: 0.0, p90: 0.0 };

/// What is known of one lane.
enum Known {
    /// So much is left once it may begin; it takes a place.
    Takes(Left),
    /// The same once so many seconds are over: until then it has no place.
    Later(Left, f64),
    /// The same of one that has its place.
    Runs(Left),
    /// Nobody knows how long a person takes.
    Person,
    /// It costs no time.
    Free,
    Unknown,
}

/// What is left of a run that goes on; `None` of any other, and while what is known is still being read.
pub(super) fn of(run: &Run, now: Time, (board, took): (&Board, &Took), engine: &Engine) -> Option<RunLeft> {
    if !matches!(run.phase, Phase::Going) || !took.knows(&run.workflow) {
        return None;
    }
    let open: Vec<&LaneRun> = run.lanes.iter().filter(|lane| !matches!(lane.state, LaneState::Done { .. })).collect();
    let places: HashMap<&LaneId, usize> = open.iter().enumerate().map(|(place, lane)| (&lane.id, place)).collect();
    let mut told = RunLeft::default();
    let (mut stages, mut pauses) = (Vec::with_capacity(open.len()), Vec::new());
    for lane in &open {
        let step = run.step_of(lane);
        let known = known(run, lane, now, (board, took));
        match known {
            Known::Person => told.people = true,
            // The lanes of a step stand side by side.
            Known::Unknown if told.unknown.last().is_none_or(|last| last != step.id.as_str()) => {
                told.unknown.push(step.id.to_string());
            }
            Known::Unknown | Known::Takes(_) | Known::Later(..) | Known::Runs(_) | Known::Free => {}
        }
        let needs = step.needs.iter().filter_map(|need| run.workflow.steps.get(need));
        let needs =
            needs.flat_map(|need| need.lanes.iter().map(|spec| LaneId { step: need.id.clone(), lane: spec.lane }));
        let crew = run.workflow.steps.get_index_of(&step.id);
        let needs = needs.filter_map(|need| places.get(&need).copied()).collect();
        let stage = Stage { needs, left: NOTHING, crew, begun: false, demand: step.demand, aside: false };
        stages.push(match known {
            Known::Takes(left) => Stage { left, ..stage },
            Known::Later(left, wait) => {
                let wait = Left { p10: wait, p50: wait, p90: wait };
                pauses.push(Stage { left: wait, ..going(Demand::default()) });
                let needs = vec![open.len() + pauses.len() - 1];
                Stage { needs, left, ..stage }
            }
            Known::Runs(left) => Stage { left, begun: true, ..stage },
            Known::Person | Known::Free | Known::Unknown => Stage { crew: None, demand: Demand::default(), ..stage },
        });
    }
    let others = others(run, &stages, (board, now), engine);
    if told.unknown.is_empty() {
        told.unknown.extend(others.unknown);
    }
    let first = open.len() + pauses.len();
    stages.extend(pauses.into_iter().chain(others.stages));
    if told.unknown.is_empty() && !open.is_empty() {
        let most = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        let crews = run.workflow.steps.values().map(|step| step.lanes_at_once.map_or(usize::MAX, most)).collect();
        let (left, way) = whole(&stages, &Places { all: most(run.workflow.max_parallel), crews, host: others.host });
        told.range = Some(TimeLeft { p10_ms: ms(left.p10), p50_ms: ms(left.p50), p90_ms: ms(left.p90) });
        let own = |place: usize| open.get(place).map(|lane| run.lane_name(&lane.id));
        let name = |place: usize| own(place).or_else(|| others.names.get(place.checked_sub(first)?).cloned());
        told.by = way.into_iter().filter_map(name).collect();
    }
    Some(told)
}

/// Something beside the steps of the run that goes on now.
fn going(demand: Demand) -> Stage {
    Stage { needs: Vec::new(), left: NOTHING, crew: None, begun: true, demand, aside: true }
}

/// What steps of other runs have of the host, and services of this one.
struct Others {
    /// What is left of the host beside those that keep what they have.
    host: Demand,
    /// Those whose end is foretold, with what they are called.
    stages: Vec<Stage>,
    names: Vec<String>,
    /// Of those whose end nobody knows: who has what a step of this run cannot begin without.
    unknown: Vec<String>,
}

fn others(run: &Run, stages: &[Stage], (board, now): (&Board, Time), engine: &Engine) -> Others {
    let mut others = Others { host: engine.host(), stages: Vec::new(), names: Vec::new(), unknown: Vec::new() };
    if stages.iter().all(|stage| stage.demand.is_none()) {
        return others;
    }
    let mut kept = Vec::new();
    for (other, lane) in engine.holders() {
        let step = other.step_of(lane);
        let own = other.id == run.id;
        if own && step.service.is_none() {
            continue;
        }
        let name = if own {
            other.lane_name(&lane.id)
        } else {
            format!("{} of {} #{}", other.lane_name(&lane.id), other.workflow.name, other.number)
        };
        if let Some(left) = foretold(other, lane, now, board).filter(|_| step.service.is_none()) {
            others.stages.push(Stage { left, ..going(step.demand) });
            others.names.push(name);
        } else {
            others.host = others.host.less(step.demand);
            kept.push((name, step.demand));
        }
    }
    for stage in stages.iter().filter(|stage| !stage.begun) {
        for kind in stage.demand.beyond(others.host) {
            let has = kept
                .iter()
                .filter(|(name, demand)| demand.kinds().any(|has| has == kind) && !others.unknown.contains(name));
            let has: Vec<String> = has.map(|(name, _)| name.clone()).collect();
            others.unknown.extend(has);
        }
    }
    others
}

/// What is left of a live attempt, as far as its clocks tell.
fn foretold(run: &Run, lane: &LaneRun, now: Time, board: &Board) -> Option<Left> {
    let standing = board.get(&run.attempt(lane)?)?;
    Some(later(standing.left?, -now.since(standing.at).as_secs_f64()))
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
            fresh().map_or(Known::Unknown, |left| Known::Later(left, until.since(now).as_secs_f64()))
        }
        LaneState::Active { .. } => foretold(run, lane, now, board).or_else(fresh).map_or(Known::Unknown, Known::Runs),
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
