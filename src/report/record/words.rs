//! States, ends and events in words, for the record. Pure.

use crate::engine::lost_secrets_words;
use crate::engine::{Ended, Finish, LaneRun, LaneState, Phase, Run};
use crate::model::{
    AttemptId, Cause, CheckpointMark, End, EnvironmentId, Event, Isolation, LaneId, LostWhy, Order, Principal,
    RunResult, RunStopWhy, SkipWhy, SnapshotMark, StopReason, Verdict, What, size_words,
};

use super::text::{inline, iso};

pub(super) fn phase(run: &Run) -> String {
    match &run.phase {
        Phase::Going if run.paused => "paused".into(),
        Phase::Going if run.only_waits() => "waits for a person".into(),
        Phase::Going => "going on".into(),
        Phase::Stopping { why, by } => format!("being stopped: {}", stop_why(why, &by.to_string())),
        Phase::Ended { result, .. } => result_word(*result).into(),
    }
}

fn result_word(result: RunResult) -> &'static str {
    match result {
        RunResult::Succeeded => "succeeded",
        RunResult::Failed => "failed",
        RunResult::Stopped => "stopped",
        RunResult::Rejected => "rejected",
    }
}

fn stop_why(why: &RunStopWhy, by: &str) -> String {
    match why {
        RunStopWhy::Asked => format!("asked for by {}", inline(by)),
        RunStopWhy::Timeout => "its time limit".into(),
        RunStopWhy::Abort { rule } => format!("rule {}", inline(rule)),
        RunStopWhy::Rejected => format!("rejected by {}", inline(by)),
    }
}

pub(super) fn isolation(isolation: &Isolation) -> String {
    match isolation {
        Isolation::Sandboxed => "sandboxed".into(),
        Isolation::Container { image, engine, lacks } => {
            let lacks = lacks.as_ref().map(|lacks| format!("; {}", inline(lacks))).unwrap_or_default();
            format!("container of {} by {}{lacks}", inline(image), inline(engine))
        }
        Isolation::None { why } => format!("**none**: {}", inline(why)),
    }
}

pub(super) fn end(end: End) -> String {
    match end {
        End::Code(code) => format!("exit code {code}"),
        End::Signal(signal) => format!("signal {signal}"),
    }
}

pub(super) fn stop(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Timeout => "time limit",
        StopReason::Stop => "stopped",
        StopReason::Stall => "stood still",
        StopReason::Alert => "an alert",
        StopReason::Unneeded => "nobody needed it any more",
        StopReason::NotReady => "it did not become ready",
    }
}

pub(super) fn lost(why: LostWhy) -> &'static str {
    match why {
        LostWhy::ShimDied => "its supervisor process was killed",
        LostWhy::HostRestarted => "the host was started anew",
        LostWhy::ClaimGone => "its record is gone",
        LostWhy::EnvironmentGone => "its environment ended",
        LostWhy::Tampered => "its exit record is not authentic",
    }
}

fn skipped(why: &SkipWhy) -> String {
    match why {
        SkipWhy::Condition => "its condition is false".into(),
        SkipWhy::Need(step) => format!("{step} did not succeed"),
        SkipWhy::NotSelected => "not part of this run".into(),
        SkipWhy::RunEnded => "the run ended before".into(),
        SkipWhy::Unneeded => "nobody needed it".into(),
    }
}

pub(super) fn lane_state(run: &Run, lane: &LaneRun) -> String {
    match &lane.state {
        LaneState::Waiting => "waiting".into(),
        LaneState::Active { claimed: None, .. } => "starting".into(),
        LaneState::Active { stop: Some(_), .. } => "being stopped".into(),
        LaneState::Active { .. } => match run.asks(lane) {
            Some(id) => format!("running, stands still; waits for an answer to {id}"),
            None => "running".into(),
        },
        LaneState::Exited { .. } => "ended".into(),
        LaneState::Verifying { .. } => "ended well, being verified".into(),
        LaneState::Lost { .. } | LaneState::Probing { .. } | LaneState::Probed { .. } => "UNKNOWN".into(),
        LaneState::Delayed { until, .. } => format!("retries at {}", iso(*until)),
        LaneState::ToAsk { .. } => "waits for a person".into(),
        LaneState::Asking { escalation } => {
            let kind = run.questions.get(escalation).map(|question| question.escalation.kind);
            let before = match kind {
                Some(crate::model::EscalationKind::Unknown) => "UNKNOWN, ",
                Some(_) | None => "",
            };
            format!("{before}waits for an answer to {escalation}")
        }
        LaneState::Done { how, .. } => match how {
            Ended::Succeeded(Finish::Exit) => "succeeded".into(),
            Ended::Succeeded(Finish::Cached(from)) => format!("cached, from {}", inline(from)),
            Ended::Succeeded(Finish::Probe) => "succeeded, says its probe".into(),
            Ended::Succeeded(Finish::Person(by)) => {
                format!("done, says {}", inline(&by.to_string()))
            }
            Ended::Allowed => "failed, which is allowed".into(),
            Ended::Failed => "failed".into(),
            Ended::Skipped(why) => format!("left out: {}", skipped(why)),
            Ended::LeftOut(by) => format!("left out by {}", inline(&by.to_string())),
            Ended::Stopped => "stopped".into(),
        },
    }
}

pub(super) fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Succeeded => "succeeded".into(),
        Verdict::Retry { at, rule, resume, patch, .. } => {
            let from = resume.as_deref().map_or_else(String::new, |path| format!(", from {}", inline(path)));
            let with = patch.as_ref().filter(|patch| !patch.is_empty());
            let with = with.map_or_else(String::new, |patch| format!(", with {}", inline(&patch.words())));
            format!("tried again at {} ({}){from}{with}", iso(*at), inline(rule))
        }
        Verdict::Skip { rule } => format!("left out, by rule {}", inline(rule)),
        Verdict::Allowed => "failed, which is allowed".into(),
        Verdict::Abort { rule } => format!("the run ends, by rule {}", inline(rule)),
        Verdict::Stopped => "stopped".into(),
        Verdict::Answered => "ended while it lived, as was answered".into(),
        Verdict::Ask { .. } => "a person is asked".into(),
    }
}

pub(super) fn order(order: Order) -> &'static str {
    match order {
        Order::Resume => "run again from the newest checkpoint",
        Order::Retry => "run again",
        Order::Skip => "go on without it",
        Order::Done => "it is done",
    }
}

/// What was found of a checkpoint, or done to it.
fn checkpoint(run: &Run, what: &What) -> String {
    if let What::CheckpointMarked { lane, path, mark, by } = what {
        let done = match mark {
            CheckpointMark::Pinned => "is pinned",
            CheckpointMark::Unpinned => "is not pinned any more",
            CheckpointMark::Removed if *by == Principal::Rule => "is removed: newer ones are good (`keep`)",
            CheckpointMark::Removed => "is removed",
            CheckpointMark::Chosen => "is what it goes on from",
        };
        format!("{}: {} {done}, by {}", inline(&run.lane_name(lane)), inline(path), inline(&by.to_string()))
    } else if let What::CheckpointRemoved { lane, path, why } = what {
        let done =
            why.as_ref().map_or_else(|| "is gone".into(), |why| format!("could not be removed: {}", inline(why)));
        format!("{}: {} {done}", inline(&run.lane_name(lane)), inline(path))
    } else if let What::CheckpointChecked { lane, checkpoint, flaw, .. } = what {
        let is = flaw.as_ref().map_or_else(|| "good".into(), |why| format!("damaged ({})", inline(why)));
        format!("{}: {} is {is}", inline(&run.lane_name(lane)), inline(&checkpoint.path))
    } else {
        String::new()
    }
}

/// The name of an environment, where the workflow has more than one.
fn which(run: &Run, environment: &EnvironmentId) -> String {
    if run.workflow.environments.is_empty() { String::new() } else { format!(" {environment}") }
}

/// What an attempt has of the host, or what was seen of what it waits for.
fn told(name: &str, what: &What) -> String {
    let words = if let What::Looked { good, given_up, seen, .. } = what {
        inline(&crate::model::seen_words(*good, *given_up, seen))
    } else if let What::Booked { gpus, .. } = what {
        crate::model::gpu_words(gpus)
    } else {
        String::new()
    };
    format!("{name}: {words}")
}

fn not_started(run: &Run, lane: &LaneId, why: &str) -> String {
    format!("{} cannot be started: {}", inline(&run.lane_name(lane)), inline(why))
}

/// One line of the timeline; `None` for what would only make it long.
pub(super) fn event(run: &Run, event: &Event) -> Option<String> {
    let name = |attempt: &AttemptId| format!("{} attempt {}", inline(&run.lane_name(&attempt.lane)), attempt.n);
    let by = |by: &Principal| inline(&by.to_string());
    let what = &event.what;
    Some(match what {
        What::Created(created) => format!("run {} begins, by {}", created.number, by(&created.by)),
        What::EnvironmentReady { environment, isolation: found } => {
            format!("environment{}: {}", which(run, environment), isolation(found))
        }
        What::EnvironmentFailed { environment, why } => {
            format!("no environment{}: {}", which(run, environment), inline(why))
        }
        What::Intended { attempt, cause, .. } => {
            format!("{} is started: {}", name(attempt), cause_words(cause))
        }
        What::CacheLooked { lane, look } => {
            let runs = if look.hit.is_some() { "is not run" } else { "is run" };
            format!("{} {runs}: {}", inline(&run.lane_name(lane)), inline(&look.why))
        }
        What::CannotStart { lane, why } => not_started(run, lane, why),
        What::SecretsLost { lane, names } => not_started(run, lane, &lost_secrets_words(names)),
        What::SecretsGiven { names, by: who } => format!("{} given by {}", inline(&names.join(", ")), by(who)),
        What::Booked { attempt, .. } | What::Looked { attempt, .. } => told(&name(attempt), what),
        What::Snapshotted { attempt, .. }
        | What::Keeping { attempt }
        | What::NotSnapshotted { attempt, .. }
        | What::SnapshotMarked { attempt, .. } => kept(&name(attempt), &event.what),
        What::Claimed { .. } | What::CheckpointSeen { .. } | What::Probed { .. } => return None,
        What::Noted { attempt, note, .. } => format!("{} notes: {}", name(attempt), inline(note)),
        What::ClocksSet { attempt, order, by: who } => {
            format!("{}: {}, by {}", name(attempt), crate::engine::clock_words(*order), by(who))
        }
        What::Stalled { attempt, stall } if stall.is_alert() => {
            format!("{}: {}", name(attempt), inline(&stall.words(event.at)))
        }
        What::Stalled { attempt, stall } => format!("{} stands still: {}", name(attempt), stall.words(event.at)),
        What::Revived { attempt } => format!("{} goes on by itself", name(attempt)),
        What::Exited { attempt, exit } => format!("{} ends: {}", name(attempt), end(exit.end)),
        What::Lost { attempt, why, .. } => format!("{} is UNKNOWN: {}", name(attempt), lost(*why)),
        What::Judged { attempt, verdict: decided } => format!("{}: {}", name(attempt), verdict(decided)),
        What::StopAsked { attempt, reason, by: who, save } => {
            let save = save.map_or_else(String::new, |signal| format!("; signal {signal} first, so that it saves"));
            format!("{} is to end ({}), by {}{save}", name(attempt), stop(*reason), by(who))
        }
        What::ProbeAsked { attempt, by: who } => {
            format!("{} is probed, by {}", name(attempt), by(who))
        }
        What::CheckpointChecked { .. } | What::CheckpointMarked { .. } | What::CheckpointRemoved { .. } => {
            checkpoint(run, &event.what)
        }
        What::CheckpointsVerified { attempt, good, damaged, .. } => {
            let words = crate::engine::damaged_words(damaged, good.as_ref());
            let words = words.unwrap_or_else(|| "the newest checkpoint is good".into());
            format!("{}: {}", name(attempt), inline(&words))
        }
        What::Verified { attempt, check } => format!("{}: {}", name(attempt), check.how),
        What::Skipped { lane, why } => format!("{} is left out: {}", inline(&run.lane_name(lane)), skipped(why)),
        What::Opened { escalation } => {
            format!("{} is asked: {}", escalation.id, inline(&escalation.title))
        }
        What::Answered { escalation, choice, by: who, .. } => {
            format!("{escalation} is answered: {}, by {}", run.word(*choice), by(who))
        }
        What::Held { escalation, choice, by: who, until, .. } => {
            format!(
                "{escalation} is answered: {}, by {}; it takes effect at {}",
                run.word(*choice),
                by(who),
                iso(*until)
            )
        }
        What::Undone { escalation, by: who } => format!("the answer to {escalation} is taken back, by {}", by(who)),
        What::Lasting { escalation, by: who } => {
            format!("the answer to {escalation} holds for the same failure in this run, says {}", by(who))
        }
        What::Extended { escalation, deadline, by: who } => {
            format!("{escalation} can be answered until {}, says {}", iso(*deadline), by(who))
        }
        What::Attached { attempt, by: who } => format!("{} types into {}", by(who), name(attempt)),
        What::Detached { attempt, by: who, keys } => {
            let keys = keys.map_or_else(String::new, |keys| format!(", {keys} keys sent"));
            format!("{} is let go of, by {}{keys}", name(attempt), by(who))
        }
        What::Ordered { lane, order: wanted, by: who, .. } => {
            format!("{}: {}, says {}", inline(&run.lane_name(lane)), order(*wanted), by(who))
        }
        What::Paused { by: who } => format!("paused by {}", by(who)),
        What::Unpaused { by: who } => format!("unpaused by {}", by(who)),
        What::RunStopAsked { by: who, why } => {
            format!("the run is stopped: {}", stop_why(why, &who.to_string()))
        }
        What::Resumed { from: Some(step), by: who } => format!("resumed from {step} by {}", by(who)),
        What::Resumed { from: None, by: who } => format!("resumed by {}", by(who)),
        What::Ended { result } => format!("the run has {}", ended(*result)),
    })
}

/// Of an environment that was to be kept after the attempt of this name.
fn kept(name: &str, what: &What) -> String {
    if let What::Snapshotted { snapshot, .. } = what {
        format!("the environment of {name} is kept, {}", size_words(snapshot.bytes))
    } else if let What::NotSnapshotted { why, .. } = what {
        format!("the environment of {name} could not be kept: {}", inline(why))
    } else if let What::SnapshotMarked { mark, by, .. } = what {
        let done = match mark {
            SnapshotMark::Pinned => "pinned",
            SnapshotMark::Unpinned => "unpinned",
            SnapshotMark::Removed => "removed",
        };
        format!("what was kept after {name} is {done}, by {}", inline(&by.to_string()))
    } else {
        format!("{name} has ended well, and its environment is being kept")
    }
}

fn ended(result: RunResult) -> &'static str {
    match result {
        RunResult::Succeeded => "succeeded",
        RunResult::Failed => "failed",
        RunResult::Stopped => "been stopped",
        RunResult::Rejected => "been rejected",
    }
}

fn cause_words(cause: &Cause) -> String {
    match cause {
        Cause::First => "first".into(),
        Cause::Retry { rule } => format!("again, by {}", inline(rule)),
        Cause::Disrupted => "again, for the container engine was started anew".into(),
        Cause::Unknown => "again, for it is safe to repeat".into(),
        Cause::Person(by) => format!("again, by {}", inline(&by.to_string())),
    }
}
