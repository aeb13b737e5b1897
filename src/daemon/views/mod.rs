//! Runs and steps as clients see them; [`question`]: questions. Draws from the mind's state, decides nothing.

use std::collections::HashSet;
use std::time::Duration;

use super::sites::Waiting;
use super::space::Space;
use super::watch::{Board, Took};
use crate::engine::{Ended, Engine, Finish, LaneRun, LaneState, Phase, Question, Run, Shortages, Timer, Wait};
use crate::model::{
    AttemptId, End, EscalationKind, Exit, Isolation, RunResult, RunStopWhy, SkipWhy, Step, StepWhat, StopReason, Time,
    gpu_words, span_words,
};
use crate::wire::client::{
    AttachedView, IsolationView, NoteView, ProgressView, RunLine, RunState, RunView, StepState, StepView, TimeLeft,
    WaitKind, WaitView,
};

mod facts;
mod left;
mod question;
pub(super) mod words;

pub(super) use question::escalation;

/// `name #number`.
pub(super) fn run_name(run: &Run) -> String {
    format!("{} #{}", run.workflow.name, run.number)
}

/// A run in a list.
pub(super) fn run_line(run: &Run) -> RunLine {
    let done = run.lanes.iter().filter(|lane| matches!(lane.state, LaneState::Done { .. })).count();
    RunLine {
        id: run.id.to_string(),
        name: run.workflow.name.clone(),
        number: run.number,
        state: state(run),
        created_ms: run.created.as_ms(),
        ended_ms: match &run.phase {
            Phase::Ended { at, .. } => Some(at.as_ms()),
            Phase::Going | Phase::Stopping { .. } => None,
        },
        steps: run.lanes.len(),
        steps_done: done,
        asking: run.questions.values().filter(|question| question.is_open()).count(),
        paused: run.paused && matches!(run.phase, Phase::Going),
    }
}

fn state(run: &Run) -> RunState {
    match &run.phase {
        Phase::Ended { result, .. } => match result {
            RunResult::Succeeded => RunState::Succeeded,
            RunResult::Failed => RunState::Failed,
            RunResult::Stopped => RunState::Stopped,
            RunResult::Rejected => RunState::Rejected,
        },
        Phase::Stopping { .. } => RunState::Stopping,
        Phase::Going if run.only_waits() => RunState::Waiting,
        Phase::Going if run.paused => RunState::Paused,
        Phase::Going => RunState::Running,
    }
}

/// What is known of a run beside the mind's state of it.
pub(super) struct Beside<'a> {
    /// The workflow file's name.
    pub(super) file: String,
    pub(super) now: Time,
    /// The newest record's number.
    pub(super) seq: u64,
    pub(super) unreachable: &'a HashSet<AttemptId>,
    pub(super) space: &'a Space,
    pub(super) waiting: &'a Waiting,
    pub(super) board: &'a Board,
    pub(super) took: &'a Took,
    pub(super) engine: &'a Engine,
}

/// A run, whole.
pub(super) fn run(run: &Run, beside: Beside<'_>) -> RunView {
    let Beside { file, now, seq, unreachable, space, waiting, board, took, engine } = beside;
    let params = run.workflow.params.iter().map(|(name, value)| (name.clone(), value.to_string()));
    let shortages = engine.shortages(now);
    RunView {
        line: run_line(run),
        by: run.by.to_string(),
        dir: run.dir.clone(),
        workspace: run.workflow.environment.workspace.clone(),
        file,
        params: params.collect(),
        isolation: isolation(run),
        now_ms: now.as_ms(),
        steps: run
            .lanes
            .iter()
            .map(|lane| step(run, lane, now, (unreachable, space, waiting, board, &shortages)))
            .collect(),
        escalations: run.questions.values().filter(|q| q.answer.is_none()).map(|q| escalation(run, q)).collect(),
        trouble: space.trouble(),
        seq,
        check_again_in_s: check_again(run, now, board),
        left: left::of(run, now, (board, took), engine),
    }
}

/// The badge: of the one environment, or of all that have been there together.
fn isolation(run: &Run) -> Option<IsolationView> {
    let one = |isolation: &Isolation| match isolation {
        Isolation::Sandboxed => IsolationView { sandboxed: true, why: None },
        Isolation::Container { image, engine, lacks } => {
            let lacks = lacks.as_ref().map(|lacks| format!("; {lacks}")).unwrap_or_default();
            IsolationView { sandboxed: true, why: Some(format!("in a container of {image} by {engine}{lacks}")) }
        }
        Isolation::None { why } => IsolationView { sandboxed: false, why: Some(why.clone()) },
    };
    if run.isolations.len() < 2 {
        return run.isolations.values().next().map(one);
    }
    let views = run.isolations.iter().map(|(name, isolation)| (name, one(isolation)));
    // What is not kept apart is told first: it says that the whole is not.
    let (open, kept): (Vec<_>, Vec<_>) = views.partition(|(_, view)| !view.sandboxed);
    let sandboxed = open.is_empty();
    let words = open.into_iter().chain(kept).map(|(name, view)| {
        let why = view.why.unwrap_or_else(|| "in the sandbox".into());
        format!("{name}: {why}")
    });
    Some(IsolationView { sandboxed, why: Some(words.collect::<Vec<_>>().join(" · ")) })
}

/// What stands beside the mind's state of a step.
type Aside<'a> = (&'a HashSet<AttemptId>, &'a Space, &'a Waiting, &'a Board, &'a Shortages<'a>);

fn step(run: &Run, lane: &LaneRun, now: Time, (unreachable, space, waiting, board, shortages): Aside<'_>) -> StepView {
    let step = run.step_of(lane);
    let label = step.spec(lane.id.lane).map(crate::model::LaneSpec::label);
    let exit = lane.last_exit.as_ref();
    let live = run.attempt(lane).filter(|_| matches!(lane.state, LaneState::Active { .. }));
    let silent = live.is_some_and(|attempt| unreachable.contains(&attempt));
    let state = if silent { StepState::Unreachable } else { step_state(run, lane) };
    let held = run.attempt(lane).and_then(|attempt| space.held(&attempt).map(exit_words));
    StepView {
        step: lane.id.step.to_string(),
        lane: lane.id.lane.0,
        label: label.unwrap_or_default(),
        state,
        needs: step.needs.iter().map(ToString::to_string).collect(),
        attempt: lane.n,
        max_attempts: lane.of.unwrap_or(step.retry.max_attempts),
        started_ms: exit.map(|exit| exit.started).or(lane.started).map(Time::as_ms),
        ended_ms: exit.map(|exit| exit.ended.as_ms()),
        exit: exit.map(|exit| ended_words(exit)),
        detail: held.map_or_else(
            || {
                let own =
                    || looked(run, lane, board).or_else(|| has(run, lane)).unwrap_or_else(|| detail(run, step, lane));
                let own = || shortages.of(run, lane).unwrap_or_else(own);
                waiting.words(run, lane, now, silent).unwrap_or_else(own)
            },
            |end| format!("ended, {end}; not recorded yet"),
        ),
        until_ms: run.until(lane).map(Time::as_ms),
        checkpoint: lane.checkpoint.as_ref().map(|checkpoint| checkpoint.path.clone()),
        checkpoint_step: lane.checkpoint.as_ref().and_then(|checkpoint| checkpoint.step),
        checkpoint_due_ms: run.checkpoint_due(lane).map(Time::as_ms),
        escalation: run.asks(lane).map(|id| id.0),
        waits: waits(run, lane, board),
        attached: lane
            .attached
            .as_ref()
            .map(|attached| AttachedView { by: attached.by.to_string(), since_ms: attached.since.as_ms() }),
        command: match &step.what {
            StepWhat::Run { .. } => run.script_of(lane).unwrap_or_default().to_owned(),
            StepWhat::Approval(_) => String::new(),
            StepWhat::WaitFor(_) => run.look_words(lane),
        },
        dir: run.work_dir(&lane.id),
        ran_ms: ran(lane, now),
        progress: progress(run, lane, now, board),
        outside: run.is_wait(lane),
        note: lane.told.note.as_ref().map(|(at, text)| NoteView { at_ms: at.as_ms(), text: text.clone() }),
    }
}

/// How far a live attempt is now, by what was known when its clocks were looked at.
fn progress(run: &Run, lane: &LaneRun, now: Time, board: &Board) -> Option<ProgressView> {
    let live = run.attempt(lane).filter(|_| matches!(lane.state, LaneState::Active { .. }))?;
    let standing = board.get(&live)?;
    let gone = now.since(standing.at);
    let ms = |seconds: f64| {
        let left = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX).saturating_sub(gone);
        i64::try_from(left.as_millis()).unwrap_or(i64::MAX)
    };
    let left = standing.left.map(|left| TimeLeft { p10_ms: ms(left.p10), p50_ms: ms(left.p50), p90_ms: ms(left.p90) });
    (standing.done.is_some() || left.is_some()).then_some(ProgressView { done: standing.done, left })
}

/// Nobody is told to look later than in so long, unless the workflow says so.
const AN_HOUR: Duration = Duration::from_secs(3600);
/// What is told where nothing is known.
const A_MINUTE: Duration = Duration::from_secs(60);

/// In how many seconds it is worth to look again, for whoever is not told: by what is left, within the `poll` of the step, and
/// by timers.
fn check_again(run: &Run, now: Time, board: &Board) -> Option<u64> {
    if matches!(run.phase, Phase::Ended { .. }) {
        return None;
    }
    let looks = run.live_attempts().filter_map(|(attempt, lane)| {
        let next = board.get(&attempt).map(|standing| standing.next_look.saturating_sub(now.since(standing.at)));
        match run.step_of(lane).wait.poll {
            Some((min, max)) => Some(next.unwrap_or(A_MINUTE).clamp(min, max)),
            None => Some(next?.min(AN_HOUR)),
        }
    });
    let timers = run.lanes.iter().filter_map(|lane| run.until(lane)).map(|until| until.since(now));
    let peeks = run.lanes.iter().filter_map(|lane| board.looking(&run.attempt(lane)?));
    let peeks = peeks.map(|looking| looking.until.since(now));
    let soonest = looks.min().into_iter().chain(timers.chain(peeks).min().map(|timer| timer.min(AN_HOUR))).min();
    Some(soonest.unwrap_or(A_MINUTE).as_secs().max(1))
}

/// Every timer of a lane, the nearest first.
fn waits(run: &Run, lane: &LaneRun, board: &Board) -> Vec<WaitView> {
    let mut waits = run.waits(lane);
    let live = run.attempt(lane).filter(|_| matches!(lane.state, LaneState::Active { .. }));
    if let Some((since, until)) = live.and_then(|attempt| board.get(&attempt)?.stall) {
        waits.push(Wait { timer: Timer::Stall, since: Some(since), until });
    }
    if let Some(looking) = run.attempt(lane).and_then(|attempt| board.looking(&attempt)) {
        waits.push(Wait { timer: Timer::Look, since: Some(looking.since), until: looking.until });
    }
    waits.sort_by_key(|wait| wait.until);
    waits.into_iter().map(wait).collect()
}

fn wait(wait: Wait) -> WaitView {
    let kind = match wait.timer {
        Timer::Retry => WaitKind::Retry,
        Timer::Timeout => WaitKind::Timeout,
        Timer::Kill => WaitKind::Kill,
        Timer::Deadline => WaitKind::Deadline,
        Timer::Undo => WaitKind::Undo,
        Timer::RunTimeout => WaitKind::RunTimeout,
        Timer::Stall => WaitKind::Stall,
        Timer::Look => WaitKind::Look,
    };
    WaitView { kind, since_ms: wait.since.map(Time::as_ms), until_ms: wait.until.as_ms() }
}

/// The GPUs that it has, where there is nothing more to say of it.
fn has(run: &Run, lane: &LaneRun) -> Option<String> {
    let plain = matches!(lane.state, LaneState::Active { claimed: Some(_), resume: None, stop: None, .. });
    let plain = plain && run.asks(lane).is_none() && lane.clocks.held.is_none() && !lane.gpus.is_empty();
    plain.then(|| format!("has {}", gpu_words(&lane.gpus)))
}

/// What looks for it saw, where there are looks and nothing else is the matter.
fn looked(run: &Run, lane: &LaneRun, board: &Board) -> Option<String> {
    if run.asks(lane).is_some() || lane.clocks.held.is_some() {
        return None;
    }
    let looking = run.attempt(lane).and_then(|attempt| board.looking(&attempt));
    super::lookout::words(run, lane, looking.as_ref().map(|looking| looking.seen.as_str()))
}

/// Milliseconds that all attempts of a lane have run.
fn ran(lane: &LaneRun, now: Time) -> i64 {
    let over: i64 = lane.past.iter().map(|past| (past.ended.as_ms() - past.started.as_ms()).max(0)).sum();
    let lives = matches!(lane.state, LaneState::Active { claimed: Some(_), .. });
    let live = lane.started.filter(|_| lives).map_or(0, |started| (now.as_ms() - started.as_ms()).max(0));
    over + live
}

pub(super) fn step_state(run: &Run, lane: &LaneRun) -> StepState {
    match &lane.state {
        LaneState::Waiting => StepState::Waiting,
        LaneState::Active { stop: Some(_), .. } => StepState::Stopping,
        LaneState::Active { .. } if run.is_ready(lane) => StepState::Ready,
        LaneState::Active { claimed: Some(_), .. } | LaneState::Exited { .. } => StepState::Running,
        LaneState::Active { claimed: None, .. } => StepState::Starting,
        LaneState::Lost { .. } | LaneState::Probed { .. } => StepState::Unknown,
        LaneState::Probing { .. } => StepState::Probing,
        LaneState::Verifying { .. } => StepState::Verifying,
        LaneState::Delayed { .. } => StepState::Retrying,
        LaneState::ToAsk { .. } => StepState::Asking,
        LaneState::Asking { escalation } => match run.questions.get(escalation).map(|q| q.escalation.kind) {
            Some(EscalationKind::Unknown) => StepState::Unknown,
            Some(EscalationKind::Gate) => StepState::Gate,
            Some(EscalationKind::Failed | EscalationKind::CannotStart | EscalationKind::Stalled) | None => {
                StepState::Asking
            }
        },
        LaneState::Done { how, .. } => match how {
            Ended::Succeeded(_) => StepState::Succeeded,
            Ended::Allowed | Ended::Failed => StepState::Failed,
            Ended::Skipped(_) | Ended::LeftOut(_) => StepState::Skipped,
            Ended::Stopped => StepState::Stopped,
        },
    }
}

/// What it waits for, or why it is as it is.
fn detail(run: &Run, step: &Step, lane: &LaneRun) -> String {
    match &lane.state {
        LaneState::Waiting => waiting(run, step),
        LaneState::Active { claimed: None, .. } => "starting".into(),
        LaneState::Active { stop: Some(StopReason::Timeout), .. } => "time limit reached, being stopped".into(),
        LaneState::Active { stop: Some(StopReason::Stop), .. } => "being stopped".into(),
        LaneState::Active { stop: Some(StopReason::Stall), .. } => "it stands still, being stopped".into(),
        LaneState::Active { stop: Some(StopReason::Alert), .. } => "an alert, being stopped".into(),
        LaneState::Active { stop: Some(StopReason::Unneeded), .. } => "nobody needs it any more, being stopped".into(),
        LaneState::Active { stop: Some(StopReason::NotReady), .. } => "it does not become ready, being stopped".into(),
        LaneState::Active { .. } if let Some(question) = run.asks(lane).and_then(|id| run.questions.get(&id)) => {
            asked(run, question)
        }
        LaneState::Active { .. } if lane.clocks.held.is_some() => "its clocks stand still".into(),
        LaneState::Active { resume: Some(path), .. } => {
            let damaged = lane.damaged_words().filter(|_| lane.checkpoint.as_ref().is_some_and(|it| it.path == *path));
            damaged.map_or_else(|| format!("resumed from {path}"), |words| format!("resumed from {path}: {words}"))
        }
        LaneState::Active { .. } | LaneState::Exited { .. } => String::new(),
        LaneState::Lost { .. } | LaneState::Probed { .. } => "it cannot be known whether it finished".into(),
        LaneState::Probing { .. } => "asking its probe whether it finished".into(),
        LaneState::Verifying { exit } if exit.is_bad() => {
            format!("{}; its checkpoints are being verified", ended_words(exit))
        }
        LaneState::Verifying { .. } => "ended well; its verify is to say whether that is a success".into(),
        LaneState::Delayed { rule, .. } => {
            let how = lane.last_exit.as_deref().map(ended_words).unwrap_or_default();
            format!("{how}; attempt {} by rule \"{rule}\"", lane.n + 1)
        }
        LaneState::ToAsk { .. } => "a question is being opened".into(),
        LaneState::Asking { escalation } => {
            run.questions.get(escalation).map_or_else(String::new, |question| asked(run, question))
        }
        LaneState::Done { how, .. } => done(run, lane, how),
    }
}

/// What an open question asks, or the answer that takes effect next.
fn asked(run: &Run, question: &Question) -> String {
    match &question.held {
        Some(held) => format!("{} by {}, takes effect in a moment", run.word(held.choice), held.by),
        None => question.escalation.title.clone(),
    }
}

fn waiting(run: &Run, step: &Step) -> String {
    let serves = |need: &crate::model::StepId| run.workflow.steps.get(need).is_some_and(|step| step.service.is_some());
    let open = step.needs.iter().filter(|need| run.is_open(need));
    let open = open.map(|need| if serves(need) { format!("{need} to be ready") } else { need.to_string() });
    let open = facts::few(open, facts::MANY);
    if !open.is_empty() {
        return format!("waits for {open}");
    }
    match &run.phase {
        Phase::Going if run.paused => "the run is paused".into(),
        Phase::Going => "waits for a place".into(),
        Phase::Stopping { .. } | Phase::Ended { .. } => "not started".into(),
    }
}

fn done(run: &Run, lane: &LaneRun, how: &Ended) -> String {
    let leaked = lane.last_exit.as_ref().filter(|exit| !exit.leaked.is_empty()).map(|exit| {
        let names: Vec<String> = exit.leaked.iter().map(|(pid, name)| format!("{name} ({pid})")).collect();
        format!("leaked: {}", names.join(", "))
    });
    let words = match how {
        Ended::Succeeded(Finish::Exit) => String::new(),
        Ended::Succeeded(Finish::Cached(from)) => format!("cached: as {from} made it"),
        Ended::Succeeded(Finish::Probe) => "its probe said that it had finished".into(),
        Ended::Succeeded(Finish::Person(by)) => format!("by {by}"),
        Ended::Allowed => "failed, which is allowed".into(),
        Ended::Failed => lane.last_exit.as_deref().map(ended_words).unwrap_or_default(),
        Ended::Skipped(SkipWhy::Condition) => "its `if` is false".into(),
        Ended::Skipped(SkipWhy::Need(need)) => format!("{need} did not succeed"),
        Ended::Skipped(SkipWhy::NotSelected) => "not selected".into(),
        Ended::Skipped(SkipWhy::RunEnded) => "the run ended before".into(),
        Ended::Skipped(SkipWhy::Unneeded) => "nobody needs it any more".into(),
        Ended::LeftOut(by) => format!("left out by {by}"),
        Ended::Stopped => stopped(run),
    };
    match leaked {
        Some(leaked) if words.is_empty() => leaked,
        Some(leaked) => format!("{words}; {leaked}"),
        None => words,
    }
}

/// Why a step was stopped: with its run, unless somebody stopped it alone.
pub(super) fn stopped(run: &Run) -> String {
    match &run.stopped {
        Some((RunStopWhy::Timeout, _)) => {
            let limit = run.workflow.timeout.map(span_words).unwrap_or_default();
            format!("stopped: the run's time limit of {limit} was over")
        }
        Some((RunStopWhy::Abort { rule }, _)) => format!("stopped with the run, by rule \"{rule}\""),
        Some((RunStopWhy::Rejected, by)) => format!("stopped with the run, which {by} rejected"),
        Some((RunStopWhy::Asked, _)) | None => "stopped".into(),
    }
}

/// How an attempt ended, with what its `verify` said of it.
pub(super) fn ended_words(exit: &Exit) -> String {
    exit.verify.filter(|how| !how.is_good()).map_or_else(|| exit_words(exit.end), |how| how.to_string())
}

/// `code 1`, `signal 9 (SIGKILL)`.
pub(super) fn exit_words(end: End) -> String {
    match end {
        End::Code(code) => format!("code {code}"),
        End::Signal(signal) => match signal_hook::low_level::signal_name(signal) {
            Some(name) => format!("signal {signal} ({name})"),
            None => format!("signal {signal}"),
        },
    }
}
