//! Questions to a person: what is asked, with which evidence, which choices, and what happens if nobody answers. Pure.

use std::borrow::Cow;

use crate::model::{
    Alternative, Choice, Class, Diagnosis, End, Escalation, EscalationId, EscalationKind, Evidence, Exit, Hit, LostWhy,
    OnTimeout, OnUnknown, Outside, Proposal, StepWhat, Time, span_words,
};

use super::Run;
use super::expr::{self, ExprError};
use super::fingerprint::fingerprint;
use super::state::{LaneRun, LaneState, ToAsk};

/// Lines of the log's end that go into a question.
const TAIL: usize = 8;

/// `code 1`, `signal 9 (SIGKILL)`.
pub(super) fn end_words(end: End) -> String {
    match end {
        End::Code(code) => format!("exit code {code}"),
        End::Signal(signal) => format!("signal {signal}"),
    }
}

/// What ended the environment of an attempt, in words.
pub fn outside_words(outside: Outside) -> &'static str {
    match outside {
        Outside::Killed => "its container was killed from outside (137, not for want of memory)",
        Outside::OutOfMemory => "its container's memory was used up, and the kernel killed it",
        Outside::EngineRestarted => "the container engine was started anew, and its containers ended with it",
        Outside::GpusLost => {
            "its container lost its GPUs (as after `systemctl daemon-reload`); a retry starts the container anew, with what is in it"
        }
        Outside::SharedMemoryFull => {
            "its container's shared memory (/dev/shm) was too small: say `shm = \"8GiB\"` in its [environment] (without, it \
             is as large as `memory`), or use fewer workers"
        }
    }
}

/// Why it cannot be known, in words.
pub(super) fn lost_words(why: LostWhy) -> &'static str {
    match why {
        LostWhy::ShimDied => "its supervisor process was killed before it could record the end",
        LostWhy::HostRestarted => "the host was started anew while it ran",
        LostWhy::ClaimGone => "it had been started, and its record is gone",
        LostWhy::EnvironmentGone => "its environment ended while it ran",
        LostWhy::Tampered => "its exit record is not authentic",
    }
}

impl Run {
    /// What the command line calls a choice: `retry`, `send-back:train`.
    pub fn word(&self, choice: Choice) -> Cow<'static, str> {
        let named = self.alternative_named(choice).map(|(name, _)| name);
        match named.or_else(|| self.back_to(choice).map(|step| step.id.as_str())) {
            Some(name) => Cow::Owned(format!("{}:{name}", choice.plain_word())),
            None => Cow::Borrowed(choice.plain_word()),
        }
    }

    /// The question that a lane in [`LaneState::ToAsk`] owes, or a gate that is to be opened.
    pub(super) fn question(&self, lane: &LaneRun, id: EscalationId, now: Time) -> Option<Escalation> {
        let asked = self.question_of(lane, id, now)?;
        Some(if asked.kind == EscalationKind::Gate { asked } else { self.timed(lane, asked, now) })
    }

    fn question_of(&self, lane: &LaneRun, id: EscalationId, now: Time) -> Option<Escalation> {
        match &lane.state {
            LaneState::ToAsk { why: ToAsk::Failed { exit, rule, attempts, of, because, proposal } } => {
                let asked = self.failed(lane, id, exit, rule.as_deref(), (*attempts, *of), because);
                Some(offering(asked, proposal.as_deref()))
            }
            LaneState::ToAsk { why: ToAsk::Unknown { why, evidence } } => Some(self.unknown(lane, id, *why, evidence)),
            LaneState::ToAsk { why: ToAsk::CannotStart { why } } => Some(self.cannot(lane, id, why)),
            LaneState::Waiting => self.gate(lane, id, now),
            LaneState::Active { .. }
            | LaneState::Exited { .. }
            | LaneState::Lost { .. }
            | LaneState::Probing { .. }
            | LaneState::Verifying { .. }
            | LaneState::Probed { .. }
            | LaneState::Delayed { .. }
            | LaneState::Asking { .. }
            | LaneState::Done { .. } => None,
        }
    }

    fn failed(
        &self,
        lane: &LaneRun,
        id: EscalationId,
        exit: &Exit,
        rule: Option<&str>,
        (attempts, of): (u32, u32),
        because: &str,
    ) -> Escalation {
        let ran = span_words(exit.ended.since(exit.started));
        let what = match exit.stop {
            Some(crate::model::StopReason::Timeout) => format!("hit its time limit after {ran}"),
            Some(crate::model::StopReason::Stop) => format!("was stopped after {ran}"),
            Some(crate::model::StopReason::Stall) => format!("stood still and was ended after {ran}"),
            Some(crate::model::StopReason::Alert) => format!("was ended by an alert after {ran}"),
            Some(crate::model::StopReason::Unneeded) => format!("was not needed any more after {ran}"),
            Some(crate::model::StopReason::NotReady) => format!("was not ready after {ran}"),
            None if let Some(how) = exit.verify.filter(|how| !how.is_good()) => {
                format!("ended well after {ran}, but its {how}")
            }
            None if exit.end == End::Code(0) && exit.missing.is_empty() => {
                format!("ended with 0 after {ran}, while it was needed")
            }
            None if exit.end == End::Code(0) => {
                format!("ended well after {ran}, but an output is missing")
            }
            None => match exit.outside {
                Some(outside @ (Outside::GpusLost | Outside::SharedMemoryFull)) => {
                    format!("failed with {} after {ran}: {}", end_words(exit.end), outside_words(outside))
                }
                Some(outside) => format!("was ended after {ran}: {}", outside_words(outside)),
                None => format!("failed with {} after {ran}", end_words(exit.end)),
            },
        };
        let decided = rule.map_or_else(|| "no rule matched".to_owned(), |rule| format!("rule \"{rule}\""));
        let because = if because.is_empty() { String::new() } else { format!("; not repeated: {because}") };
        let mut evidence = vec![format!("attempt {} (try {attempts} of {of}), {decided}{because}", lane.n)];
        evidence.extend(exit.missing.iter().map(|missing| format!("missing output: {missing}")));
        let told = known(exit);
        evidence.extend(told.map(|said| format!("{}: {}", said.class, said.explanation)));
        let Pointed { of_rule, shown, line: pointed, words, rule: deciding } = self.pointed(lane, rule, exit);
        // In the order in which it was printed: what stands round the match may be the end of the output.
        let twice = shown.map_or(0, |hit| told_already(hit, &exit.tail));
        let end = exit.tail.len() - twice;
        let tail = exit.tail[end.saturating_sub(TAIL)..end].iter().map(|line| format!("| {line}"));
        let (before, after) = if twice > 0 { (Some(tail), None) } else { (None, Some(tail)) };
        evidence.extend(before.into_iter().flatten());
        let mut matched = of_rule.map(|hit| evidence.len() + hit.before.len());
        evidence.extend(shown.into_iter().flat_map(around));
        if let Some(pointed) = pointed {
            matched = Some(evidence.len());
            evidence.push(format!("line {}: {}", pointed.number, pointed.line));
        }
        if exit.oom_kills.is_some_and(|kills| kills > 0) {
            evidence.push("the kernel killed for memory in this environment meanwhile".into());
        }
        if !exit.leaked.is_empty() {
            let names: Vec<String> = exit.leaked.iter().map(|(pid, name)| format!("{name} ({pid})")).collect();
            evidence.push(format!("left behind: {}", names.join(", ")));
        }
        evidence.extend(checkpoint_line(lane));
        evidence.extend(lane.damaged_words());
        evidence.extend(after.into_iter().flatten());
        let print = fingerprint(EscalationKind::Failed, &lane.id.step, deciding, words);
        let title = format!("{} {what}", self.lane_name(&lane.id));
        let asked = self.escalation(lane, id, EscalationKind::Failed, title, evidence);
        Escalation { matched, fingerprint: print, ..asked }
    }

    /// What is the same about two failures that are the same.
    pub(super) fn print_of(&self, lane: &LaneRun, rule: Option<&str>, exit: &Exit) -> String {
        let pointed = self.pointed(lane, rule, exit);
        fingerprint(EscalationKind::Failed, &lane.id.step, pointed.rule, pointed.words)
    }

    /// Where the reason stands: the line of the rule that decided, else the one that the judge points at, else the last.
    fn pointed<'a>(&self, lane: &LaneRun, rule: Option<&'a str>, exit: &'a Exit) -> Pointed<'a> {
        let told = known(exit);
        let of_rule = rule.and_then(|rule| self.hit_of(lane, rule, exit));
        let shown = of_rule.or(exit.hits.first());
        let judged = told.and_then(|said| said.evidence.as_ref()).filter(|_| shown.is_none());
        let last = exit.tail.iter().rev().find(|line| !line.trim().is_empty());
        let words = of_rule.map(|hit| &hit.line).or(judged.map(|at| &at.line)).or(last).map_or("", String::as_str);
        Pointed { of_rule, shown, line: judged, words, rule: rule.or(told.and_then(|said| said.rule.as_deref())) }
    }

    /// An alternative that an answer names, with its name.
    pub fn alternative_named(&self, choice: Choice) -> Option<(&str, &Alternative)> {
        let Choice::Alternative { step, place } = choice else {
            return None;
        };
        let (_, step) = self.workflow.steps.get_index(usize::try_from(step).ok()?)?;
        let (name, alternative) = step.alternatives.get_index(usize::try_from(place).ok()?)?;
        Some((name, alternative))
    }

    /// The alternatives of a lane's step, as answers; not the one that has just failed.
    fn alternatives(&self, lane: &LaneRun) -> impl Iterator<Item = Choice> {
        let step = u32::try_from(lane.step).unwrap_or(u32::MAX);
        let taken = lane.patch.alternative.as_ref();
        let names = self.step_of(lane).alternatives.keys().enumerate().filter(move |(_, name)| Some(*name) != taken);
        names.filter_map(move |(place, _)| Some(Choice::Alternative { step, place: u32::try_from(place).ok()? }))
    }

    /// The line that the pattern of this rule matched.
    fn hit_of<'a>(&self, lane: &LaneRun, rule: &str, exit: &'a Exit) -> Option<&'a Hit> {
        let place = self.step_of(lane).on_failure.iter().position(|known| known.name == rule)?;
        exit.hits.iter().find(|hit| hit.rule == place)
    }

    fn unknown(&self, lane: &LaneRun, id: EscalationId, why: LostWhy, evidence: &[String]) -> Escalation {
        let title = format!("UNKNOWN: {} may or may not have finished: {}", self.lane_name(&lane.id), lost_words(why));
        let mut lines = vec![format!("attempt {}; nothing will be run until you choose", lane.n)];
        lines.extend(checkpoint_line(lane));
        lines.extend_from_slice(evidence);
        let print = fingerprint(EscalationKind::Unknown, &lane.id.step, None, lost_words(why));
        let asked = self.escalation(lane, id, EscalationKind::Unknown, title, lines);
        Escalation { fingerprint: print, ..asked }
    }

    fn cannot(&self, lane: &LaneRun, id: EscalationId, why: &str) -> Escalation {
        let lost: Vec<&str> = self.lost_secrets_of(lane).map(String::as_str).collect();
        let name = self.lane_name(&lane.id);
        let title = if let [first, ..] = lost[..] {
            let run = format!("{}#{}", self.workflow.name, self.number);
            format!("{name} waits for the secret {}: dogwatch secret {run} {first}", lost.join(", "))
        } else {
            format!("{name} cannot be started")
        };
        let print = fingerprint(EscalationKind::CannotStart, &lane.id.step, None, why);
        let asked = self.escalation(lane, id, EscalationKind::CannotStart, title, vec![why.to_owned()]);
        Escalation { fingerprint: print, ..asked }
    }

    pub(super) fn escalation(
        &self,
        lane: &LaneRun,
        id: EscalationId,
        kind: EscalationKind,
        title: String,
        evidence: Vec<String>,
    ) -> Escalation {
        let mut choices = Vec::new();
        if lane.checkpoint.is_some() {
            choices.push(Choice::Resume);
        }
        if kind == EscalationKind::Unknown && matches!(self.step_of(lane).on_unknown, OnUnknown::Probe { .. }) {
            choices.push(Choice::Probe);
        }
        if matches!(kind, EscalationKind::Failed | EscalationKind::Unknown | EscalationKind::Stalled) {
            choices.extend(self.alternatives(lane));
        }
        choices.extend([Choice::Retry, Choice::Done, Choice::Skip, Choice::Fail, Choice::StopRun]);
        Escalation {
            id,
            lane: lane.id.clone(),
            attempt: if kind == EscalationKind::CannotStart { None } else { self.attempt(lane) },
            kind,
            title,
            evidence,
            matched: None,
            fingerprint: String::new(),
            proposal: None,
            choices,
            deadline: None,
            on_deadline: None,
            typed: false,
        }
    }

    fn gate(&self, lane: &LaneRun, id: EscalationId, now: Time) -> Option<Escalation> {
        let StepWhat::Approval(gate) = &self.step_of(lane).what else {
            return None;
        };
        let (title, evidence): (String, Vec<String>) = self.with_scope(lane, |scope| {
            let words = |error: ExprError| format!("({error})");
            let title = expr::render(&gate.prompt, scope).unwrap_or_else(words);
            let show = |source: &String| format!("{source} = {}", expr::value(source, scope).unwrap_or_else(words));
            (title, gate.show.iter().map(show).collect())
        });
        // What is no word of it is the safer one.
        let typed = gate.confirm.as_ref().is_some_and(|confirm| {
            let word = self.with_scope(lane, |scope| expr::render(confirm, scope));
            word.map_or(true, |word| word.trim() != "key")
        });
        let on_deadline = match gate.on_timeout {
            OnTimeout::Wait => None,
            OnTimeout::Reject => Some(Choice::Reject),
            OnTimeout::Approve => Some(Choice::Approve),
        };
        Some(Escalation {
            id,
            lane: lane.id.clone(),
            attempt: None,
            kind: EscalationKind::Gate,
            fingerprint: fingerprint(EscalationKind::Gate, &lane.id.step, None, &title),
            title: format!("{}: {title}", lane.id.step),
            evidence,
            matched: None,
            proposal: None,
            choices: [Choice::Approve, Choice::Reject].into_iter().chain(self.ways_back(&lane.id.step)).collect(),
            deadline: gate.timeout.filter(|_| on_deadline.is_some()).map(|timeout| now.plus(timeout)),
            on_deadline,
            typed,
        })
    }
}

/// Where the reason of a failure stands.
struct Pointed<'a> {
    /// The line of the rule that decided.
    of_rule: Option<&'a Hit>,
    /// That, or the first that any rule of the step matched.
    shown: Option<&'a Hit>,
    /// Where none of them points at a line, the one that the judge points at.
    line: Option<&'a Evidence>,
    /// The text of it; of the last line where there is none.
    words: &'a str,
    /// The rule of the step, or of the judge.
    rule: Option<&'a str>,
}

/// What the judge knows; `None` where it knows nothing.
fn known(exit: &Exit) -> Option<&Diagnosis> {
    let known = |said: &&Diagnosis| !matches!(said.class, Class::None | Class::Unknown);
    exit.diagnosis.as_deref().filter(known)
}

/// The question with what dogwatch proposes as its first choice.
pub(super) fn offering(mut asked: Escalation, proposal: Option<&Proposal>) -> Escalation {
    if let Some(proposal) = proposal {
        asked.choices.insert(0, Choice::Accept);
        // The same twice would only be read twice.
        let twice = if proposal.skip { Choice::Skip } else { Choice::Resume };
        if proposal.skip || proposal.patch.is_none() && proposal.resume.is_some() {
            asked.choices.retain(|choice| *choice != twice);
        }
        asked.proposal = Some(Box::new(proposal.clone()));
    }
    asked
}

/// The line that matched, with those round it, numbered.
fn around(hit: &Hit) -> impl Iterator<Item = String> {
    let first = hit.line_number.saturating_sub(hit.before.len() as u64);
    let lines = hit.before.iter().chain([&hit.line]).chain(&hit.after);
    lines.zip(first..).map(|(line, number)| format!("line {number}: {line}"))
}

/// How many lines at the end of the output are the match and what stands round it.
fn told_already(hit: &Hit, tail: &[String]) -> usize {
    let told: Vec<&String> = hit.before.iter().chain([&hit.line]).chain(&hit.after).collect();
    let count = told.len().min(tail.len());
    if tail[tail.len() - count..].iter().eq(told[told.len() - count..].iter().copied()) { count } else { 0 }
}

pub(super) fn checkpoint_line(lane: &LaneRun) -> Option<String> {
    lane.checkpoint.as_ref().map(|checkpoint| match checkpoint.step {
        Some(step) => format!("newest checkpoint: {} (step {step})", checkpoint.path),
        None => format!("newest checkpoint: {}", checkpoint.path),
    })
}
