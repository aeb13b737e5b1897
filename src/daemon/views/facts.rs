//! What is known around a question, as labelled lines in the order in which a person needs them. Draws from the mind's
//! state, decides nothing; what is not known is not said.

use std::time::Duration;

use super::exit_words;
use super::question::start;
use crate::engine::{LaneRun, Past, PastEnd, Question, Run};
use crate::model::{Escalation, EscalationKind, LostWhy, Outside, Step, StopReason, size_words, span_words};

/// Attempts that are told one by one.
const ATTEMPTS: usize = 4;
/// Names that are told one by one.
const NAMES: usize = 6;
/// The same where each of them is a reason to say yes or no.
pub(super) const MANY: usize = 30;

/// The facts of a question. Of one that was answered none: what it was about has moved on.
pub(super) fn of(run: &Run, question: &Question) -> Vec<(&'static str, String)> {
    let escalation = &question.escalation;
    let Some(lane) = run.lane(&escalation.lane).filter(|_| question.answer.is_none()) else { return Vec::new() };
    let step = run.step_of(lane);
    let mut facts = Vec::new();
    match escalation.kind {
        EscalationKind::Failed | EscalationKind::Unknown | EscalationKind::Stalled => {
            facts.push(("checkpoint", checkpoint(step, lane, escalation)));
            facts.extend(resources(lane).map(|text| ("resources", text)));
            // That of an attempt that lives is the first one.
            if !lane.past.is_empty() {
                facts.push(("attempts", attempts(lane)));
            }
        }
        EscalationKind::CannotStart => {}
        EscalationKind::Gate => {
            let starts = few(run.starts_after(&step.id).into_iter().map(start), MANY);
            if !starts.is_empty() {
                facts.push(("starts then", starts));
            }
            facts.extend(sent_back(run, lane).map(|text| ("sent back", text)));
        }
    }
    let blocked = names(run.behind(&step.id).into_iter());
    if !blocked.is_empty() {
        facts.push(("blocked", blocked));
    }
    facts
}

/// To where and why this gate was sent back last.
fn sent_back(run: &Run, lane: &LaneRun) -> Option<String> {
    let before = run.questions.values().rev().filter(|question| question.escalation.lane == lane.id);
    let (choice, by, note) = before.filter_map(|question| question.answer.as_ref()).find_map(|answer| {
        let (choice, by, _, note) = answer;
        Some((run.back_to(*choice)?, by, note))
    })?;
    let note = note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
    Some(format!("to {} by {by}{note}", choice.id))
}

/// The first few names, and how many more there are.
pub(super) fn names<'a>(steps: impl Iterator<Item = &'a Step>) -> String {
    few(steps.map(|step| step.id.as_str()), NAMES)
}

/// The first so many, and how many more there are.
pub(super) fn few(all: impl Iterator<Item = impl AsRef<str>>, most: usize) -> String {
    let (mut shown, mut more) = (String::new(), 0);
    for (place, one) in all.enumerate() {
        if place >= most {
            more += 1;
            continue;
        }
        if place > 0 {
            shown.push_str(", ");
        }
        shown.push_str(one.as_ref());
    }
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

fn checkpoint(step: &Step, lane: &LaneRun, escalation: &Escalation) -> String {
    let Some(checkpoint) = &lane.checkpoint else {
        let work = work(lane).map(|work| format!(", {} of work", span_words(work))).unwrap_or_default();
        let none = if step.checkpoint.is_some() { "none was seen" } else { "none: the step declares none" };
        return format!("{none}; again means from the start{work}");
    };
    let what = checkpoint.step.map_or_else(|| checkpoint.path.clone(), |step| format!("step {step}"));
    let lost = lost(lane, escalation);
    let age = lost.age.map(|age| format!(", {} before the failure", span_words(age))).unwrap_or_default();
    match lost.words() {
        words if words.is_empty() => format!("{what}{age}"),
        words => format!("{what}{age} ({words})"),
    }
}

/// What going back to the newest checkpoint costs, as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lost {
    steps: Option<i64>,
    /// Time in which attempts ran since.
    time: Option<Duration>,
    /// How long before the failure it was seen.
    age: Option<Duration>,
}

impl Lost {
    /// `redo 40 steps, about 2m14s`, `redo the last 3m02s`; empty where nothing is known.
    pub(super) fn words(self) -> String {
        match (self.steps, self.time.map(span_words)) {
            (Some(0), _) => "nothing to redo".into(),
            (Some(1), Some(time)) => format!("redo 1 step, about {time}"),
            (Some(steps), Some(time)) => format!("redo {steps} steps, about {time}"),
            (Some(1), None) => "redo 1 step".into(),
            (Some(steps), None) => format!("redo {steps} steps"),
            (None, Some(time)) => format!("redo the last {time}"),
            (None, None) => String::new(),
        }
    }
}

/// What would be done again from the newest checkpoint.
pub(super) fn lost(lane: &LaneRun, escalation: &Escalation) -> Lost {
    let Some(checkpoint) = &lane.checkpoint else { return Lost::default() };
    let told = escalation.evidence.iter().filter_map(|line| step_in(output(line)?));
    let reached = told.max();
    let steps = checkpoint.step.zip(reached).map(|(saved, reached)| reached - saved).filter(|steps| *steps >= 0);
    let since = lane.checkpoint_seen;
    let ran = |past: &Past| since.map_or(Duration::ZERO, |since| past.ended.since(past.started.max(since)));
    let time = since.map(|_| lane.past.iter().map(ran).sum());
    let age = since.zip(lane.past.last()).map(|(since, past)| past.ended.since(since));
    Lost { steps, time, age }
}

/// The output in a line of evidence.
fn output(line: &str) -> Option<&str> {
    let numbered = || Some(line.strip_prefix("line ")?.split_once(": ")?.1);
    line.strip_prefix("| ").or_else(numbered)
}

/// The number after the last `step` in a line of output.
fn step_in(line: &str) -> Option<i64> {
    let lower = line.to_ascii_lowercase();
    let (_, after) = lower.rsplit_once("step")?;
    let number = after.trim_start_matches([' ', '=', ':', '#', '[', '-']);
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..end].parse().ok()
}

/// The work that a start from the beginning throws away: the newest attempt, with those that it went on from.
pub(super) fn work(lane: &LaneRun) -> Option<Duration> {
    let last = lane.past.iter().rposition(|past| !past.resumed).unwrap_or(0);
    let chain = lane.past.get(last..).filter(|chain| !chain.is_empty())?;
    Some(chain.iter().map(|past| past.ended.since(past.started)).sum())
}

fn attempts(lane: &LaneRun) -> String {
    let earlier = lane.past.len().saturating_sub(ATTEMPTS);
    let told = lane.past[earlier..].iter().map(|past| {
        let from = if past.resumed { ", from a checkpoint" } else { "" };
        format!("{}: {} after {}{from}", past.n, how(past.how), span_words(past.ended.since(past.started)))
    });
    let mut parts: Vec<String> = if earlier > 0 { vec![format!("{earlier} earlier")] } else { Vec::new() };
    parts.extend(told);
    parts.join(" · ")
}

fn how(how: PastEnd) -> String {
    match how {
        PastEnd::Exit { stop: Some(StopReason::Timeout), .. } => "time limit".into(),
        PastEnd::Exit { stop: Some(StopReason::Stop), .. } => "stopped".into(),
        PastEnd::Exit { stop: Some(StopReason::Stall), .. } => "stood still".into(),
        PastEnd::Exit { stop: Some(StopReason::Alert), .. } => "ended by an alert".into(),
        PastEnd::Exit { stop: Some(StopReason::Unneeded), .. } => "not needed any more".into(),
        PastEnd::Exit { stop: Some(StopReason::NotReady), .. } => "not ready in time".into(),
        PastEnd::Exit { end, unverified: true, .. } => format!("{}, its verify failed", exit_words(end)),
        PastEnd::Exit { end, missing: true, .. } => format!("{}, an output was missing", exit_words(end)),
        PastEnd::Exit { end, outside: Some(Outside::GpusLost), .. } => format!("{}, GPUs lost", exit_words(end)),
        PastEnd::Exit { end, outside: Some(Outside::SharedMemoryFull), .. } => {
            format!("{}, shared memory too small", exit_words(end))
        }
        PastEnd::Exit { end, .. } => exit_words(end),
        PastEnd::Lost(LostWhy::HostRestarted) => "unknown, host restarted".into(),
        PastEnd::Lost(_) => "unknown".into(),
    }
}

/// What the exit record of the newest attempt holds.
fn resources(lane: &LaneRun) -> Option<String> {
    let exit = lane.last_exit.as_ref()?;
    let mut parts = Vec::new();
    if let Some(kills) = exit.oom_kills.filter(|kills| *kills > 0) {
        parts.push(format!("the kernel killed for memory {kills} time(s) in this environment"));
    }
    if let Some(usage) = exit.usage {
        parts.push(format!("peak memory of a process {}", size_words(usage.peak_bytes)));
        parts.push(format!("CPU time {}", span_words(Duration::from_millis(usage.cpu_ms))));
    }
    (!parts.is_empty()).then(|| parts.join(" · "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_from_a_line() {
        assert_eq!(step_in("step 3660/6000 loss 1.912"), Some(3660));
        assert_eq!(step_in("Step: 12"), Some(12));
        assert_eq!(step_in("global_step=7, lr 0.1"), Some(7));
        assert_eq!(step_in("stepping on"), None);
        assert_eq!(step_in("nothing"), None);
    }
}
