//! What follows from how an attempt ended: rules of the step, then its `retry`, then a person. Pure.

use std::time::Duration;

use crate::model::{
    Action, AskWhy, End, Exit, FailureRule, LostWhy, OnUnknown, Outside, Retry, Step, StopReason, Time, Verdict,
};

use super::state::LaneRun;

/// A lost attempt of a step that is declared safe to repeat is repeated this often before a person is asked.
const LOST_AT_MOST: u32 = 5;

/// What may be repeated at all is repeated after a disruption, which is no try, this often.
const DISRUPTED_AT_MOST: u32 = 5;

/// Decides about an attempt with an exit record.
pub(super) fn judge(step: &Step, lane: &LaneRun, key: &str, exit: &Exit, now: Time) -> Verdict {
    if exit.stop == Some(StopReason::Stop) {
        return Verdict::Stopped;
    }
    if exit.stop.is_none() && exit.end == End::Code(0) && exit.missing.is_empty() {
        return Verdict::Succeeded;
    }
    // It ended by itself just before the stop reached it: still nobody wants it repeated.
    if lane.stop_asked == Some(StopReason::Stop) {
        return Verdict::Stopped;
    }
    let rule =
        step.on_failure.iter().enumerate().find(|(place, rule)| matches(*place, rule, exit)).map(|(_, rule)| rule);
    let name = rule.map(|rule| rule.name.clone());
    let retry = rule.and_then(|rule| rule.retry.as_ref()).unwrap_or(&step.retry);
    let ask = |rule| Verdict::Ask { why: AskWhy::Failed { rule, attempts: lane.tries, of: retry.max_attempts } };
    match rule.map(|rule| rule.action) {
        Some(Action::Escalate) => return ask(name),
        Some(Action::Abort) => {
            return Verdict::Abort { rule: name.unwrap_or_default() };
        }
        Some(Action::Retry | Action::Resume) | None => {}
    }
    let disrupted = exit.outside == Some(Outside::EngineRestarted);
    if disrupted && retry.max_attempts > 1 && lane.n.saturating_sub(lane.tries) < DISRUPTED_AT_MOST {
        let rule = "the container engine was started anew".into();
        return Verdict::Retry { at: now, rule, resume: resume_path(step, exit) };
    }
    if lane.tries < retry.max_attempts {
        let at = now.plus(delay(retry, lane.tries, key));
        let resume = resume_path(step, exit);
        return Verdict::Retry { at, rule: name.unwrap_or_else(|| "retry".into()), resume };
    }
    if step.allow_failure { Verdict::Allowed } else { ask(name) }
}

/// Decides about an attempt whose end cannot be known; `None`: its probe is to be asked first.
pub(super) fn judge_lost(step: &Step, lane: &LaneRun, why: LostWhy, now: Time) -> Option<Verdict> {
    match &step.on_unknown {
        OnUnknown::Rerun if lane.stop_asked == Some(StopReason::Stop) => Some(Verdict::Stopped),
        OnUnknown::Rerun if lane.lost <= LOST_AT_MOST => Some(rerun(lane, "on_unknown = \"rerun\"", now)),
        OnUnknown::Ask | OnUnknown::Rerun => Some(Verdict::Ask { why: AskWhy::Unknown(why) }),
        OnUnknown::Probe { .. } => None,
    }
}

/// Decides about a lost attempt by what its probe said.
pub(super) fn judge_probed(lane: &LaneRun, why: LostWhy, code: Option<i32>, now: Time) -> Verdict {
    match code {
        Some(0) => Verdict::Succeeded,
        Some(10) if lane.stop_asked == Some(StopReason::Stop) => Verdict::Stopped,
        Some(10) if lane.lost <= LOST_AT_MOST => rerun(lane, "the probe said that it had not happened", now),
        Some(_) | None => Verdict::Ask { why: AskWhy::Unknown(why) },
    }
}

fn rerun(lane: &LaneRun, rule: &str, now: Time) -> Verdict {
    let resume = lane.checkpoint.as_ref().map(|checkpoint| checkpoint.path.clone());
    Verdict::Retry { at: now, rule: rule.into(), resume }
}

/// A retry goes on from the newest good checkpoint, where the step has them.
fn resume_path(step: &Step, exit: &Exit) -> Option<String> {
    step.checkpoint.as_ref()?;
    exit.checkpoint.as_ref().map(|checkpoint| checkpoint.path.clone())
}

/// All that is written in a rule's `match` holds.
fn matches(place: usize, rule: &FailureRule, exit: &Exit) -> bool {
    let wanted = &rule.matcher;
    let code = match exit.end {
        End::Code(code) => wanted.exit_code.contains(&code),
        // As the shells tell it.
        End::Signal(signal) => wanted.exit_code.contains(&(128 + signal)),
    };
    let signal = match exit.end {
        End::Code(code) => wanted.signal.iter().any(|signal| code == 128 + signal),
        End::Signal(signal) => wanted.signal.contains(&signal),
    };
    (wanted.output.is_none() || exit.hits.iter().any(|hit| hit.rule == place))
        && (wanted.exit_code.is_empty() || code)
        && (wanted.signal.is_empty() || signal)
}

/// How long to wait after `tries` attempts: exponential, capped, and up to a quarter longer with jitter, so that lanes
/// that failed together do not come back together. Never shorter than written. The jitter follows from the key: the same
/// journal gives the same times.
fn delay(retry: &Retry, tries: u32, key: &str) -> Duration {
    // Zero times an infinite factor is no number.
    if retry.delay.is_zero() {
        return Duration::ZERO;
    }
    let exponent = i32::try_from(tries.saturating_sub(1)).unwrap_or(i32::MAX);
    let seconds = (retry.delay.as_secs_f64() * retry.backoff.powi(exponent)).min(retry.max_delay.as_secs_f64());
    let stretch = if retry.jitter { 1.0 + 0.25 * unit(key) } else { 1.0 };
    Duration::try_from_secs_f64(seconds * stretch).unwrap_or(retry.max_delay)
}

/// A number in 0..1 that follows from the text.
fn unit(key: &str) -> f64 {
    let hash = blake3::hash(key.as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    f64::from(u32::from_le_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
}
