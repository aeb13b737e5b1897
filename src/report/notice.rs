//! What is told to somebody outside: which event makes which notice by which rule, and its words. Pure.
//!
//! Invariant: nothing that came from a step or a person controls a terminal or hides: such characters are left out.

use std::time::Duration;

use serde_json::json;

use crate::engine::{Ended, LaneState, Question, Run};
use crate::gauge::plain::hidden;
use crate::model::{EscalationId, EscalationKind, Event, NotifyRule, Occasion, RunResult, What, span_words};

/// Characters of the longest line that is told.
const LONGEST: usize = 400;
/// Names of steps and choices that are told.
const MOST: usize = 20;

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub occasion: Occasion,
    /// 0: the first time it is told.
    pub reminder: u32,
    /// Open questions that ask the same, this one included; 0 without a question.
    pub alike: usize,
    /// One line that says it all.
    pub summary: String,
    /// `name #number`.
    pub run: String,
    pub run_id: String,
    pub step: Option<String>,
    pub escalation: Option<EscalationId>,
    /// Of the question; empty without one.
    pub fingerprint: String,
    /// The class of the failure.
    pub class: Option<&'static str>,
    /// The line that says why.
    pub evidence: Option<String>,
    /// What can be answered.
    pub choices: Vec<String>,
    /// The command that answers, or shows more.
    pub command: String,
}

/// A notice by one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    /// The place of the rule in the workflow.
    pub rule: usize,
    pub notice: Notice,
    /// A question that asks the same is open and was told by this rule: this one is not told by itself.
    pub joined: bool,
}

/// The notices of an event of `run`, which has been applied. `told` gives the questions of the run that a rule, by its
/// place, has told of a fingerprint.
pub fn owed(run: &Run, event: &Event, told: impl Fn(usize, &str) -> Vec<u64>) -> Vec<Owed> {
    let Some(notice) = notice(run, event) else { return Vec::new() };
    let mut owed = Vec::new();
    for (rule, _) in run.workflow.notify.iter().enumerate().filter(|(_, rule)| rule.on.contains(&notice.occasion)) {
        let is_open = |id: &u64| {
            let question = run.questions.get(&EscalationId(*id));
            Some(EscalationId(*id)) != notice.escalation && question.is_some_and(|question| question.answer.is_none())
        };
        let print = &notice.fingerprint;
        let joined = !print.is_empty() && told(rule, print).iter().any(is_open);
        owed.push(Owed { rule, notice: notice.clone(), joined });
    }
    owed
}

fn notice(run: &Run, event: &Event) -> Option<Notice> {
    if let What::Opened { escalation } = &event.what {
        return run.questions.get(&escalation.id).map(|question| asked(run, question, 0));
    }
    let What::Ended { result } = &event.what else { return None };
    let name = name(run);
    let after = span_words(event.at.since(run.created));
    let (occasion, words) = match result {
        RunResult::Succeeded => (Occasion::RunSucceeded, format!("{name} succeeded after {after}")),
        RunResult::Failed => (Occasion::RunFailed, format!("{name} failed after {after}{}", failed(run))),
        RunResult::Stopped => (Occasion::RunStopped, format!("{name} was stopped after {after}")),
        RunResult::Rejected => (Occasion::RunStopped, format!("{name} was rejected after {after}")),
    };
    Some(Notice {
        occasion,
        reminder: 0,
        alike: 0,
        summary: clean(&words),
        run: name,
        run_id: run.id.to_string(),
        step: None,
        escalation: None,
        fingerprint: String::new(),
        class: None,
        evidence: None,
        choices: Vec::new(),
        command: format!("dogwatch status {}", run.id),
    })
}

/// `: train, evaluate`; empty where no step failed for good.
fn failed(run: &Run) -> String {
    let is_failed = |lane: &&crate::engine::LaneRun| matches!(lane.state, LaneState::Done { how: Ended::Failed, .. });
    let names: Vec<String> = run.lanes.iter().filter(is_failed).map(|lane| run.lane_name(&lane.id)).collect();
    match names.len() {
        0 => String::new(),
        n if n > MOST => format!(": {} and {} more", names[..MOST].join(", "), n - MOST),
        _ => format!(": {}", names.join(", ")),
    }
}

/// The question that somebody is reminded of when `told` is due again: the oldest that asks the same and that nobody has
/// answered. `None`: there is none any more.
pub fn reminder(run: &Run, told: EscalationId, fingerprint: &str, reminder: u32) -> Option<Notice> {
    let same = |question: &&Question| {
        let print = question.escalation.fingerprint.as_str();
        question.answer.is_none() && (question.escalation.id == told || !fingerprint.is_empty() && print == fingerprint)
    };
    run.questions.values().find(same).map(|question| asked(run, question, reminder))
}

/// How often a question is told again: as its step says, else as the rule does.
pub fn reminds(run: &Run, rule: &NotifyRule, id: EscalationId) -> Option<Duration> {
    let asked = run.questions.get(&id).map(|question| &question.escalation.lane.step);
    let of_step = asked.and_then(|step| run.workflow.steps.get(step)).and_then(|step| step.escalation.remind);
    of_step.or(rule.remind)
}

fn asked(run: &Run, question: &Question, reminder: u32) -> Notice {
    let escalation = &question.escalation;
    let name = name(run);
    let print = &escalation.fingerprint;
    let is_like = |other: &&Question| {
        let same = !print.is_empty() && other.escalation.fingerprint == *print;
        other.answer.is_none() && (same || other.escalation.id == escalation.id)
    };
    let alike = run.questions.values().filter(is_like).count();
    let again = if reminder > 0 { format!(" (reminder {reminder})") } else { String::new() };
    let more = if alike > 1 { format!(" ({alike} questions ask the same)") } else { String::new() };
    let exit = run.lane(&escalation.lane).and_then(|lane| lane.last_exit.as_ref());
    let said = exit.and_then(|exit| exit.diagnosis.as_ref()).filter(|_| escalation.kind == EscalationKind::Failed);
    let line = escalation.matched.and_then(|place| escalation.evidence.get(place)).or(escalation.evidence.last());
    Notice {
        occasion: Occasion::Escalation,
        reminder,
        alike,
        summary: clean(&format!("{name} needs you{again}: {}{more}", escalation.title)),
        run: name,
        run_id: run.id.to_string(),
        step: Some(clean(&run.lane_name(&escalation.lane))),
        escalation: Some(escalation.id),
        fingerprint: print.clone(),
        class: said.map(|said| said.class.as_str()),
        evidence: line.map(|line| clean(line)),
        choices: escalation.choices.iter().take(MOST).map(|choice| clean(&run.word(*choice))).collect(),
        command: format!("dogwatch decide {} CHOICE", escalation.id),
    }
}

/// As it is posted and handed over: one object; what is not known is `null`.
impl Notice {
    /// The object as text. `text` is what chat programs show of it.
    pub fn json(&self) -> String {
        json!({
            "version": 1,
            "event": self.occasion.as_str(),
            "summary": self.summary,
            "text": self.summary,
            "run": self.run,
            "run_id": self.run_id,
            "step": self.step,
            "escalation": self.escalation.map(|id| id.to_string()),
            "class": self.class,
            "evidence": self.evidence,
            "choices": self.choices,
            "command": self.command,
            "reminder": self.reminder,
            "alike": self.alike,
        })
        .to_string()
    }

    /// What a rule is tried with: nothing has happened.
    pub fn trial(workflow: &str, occasion: Occasion) -> Self {
        let words = format!("{workflow}: this is a test of [[notify]], nothing has happened ({})", occasion.as_str());
        Self {
            occasion,
            reminder: 0,
            alike: 0,
            summary: clean(&words),
            run: workflow.to_owned(),
            run_id: "test".into(),
            step: None,
            escalation: None,
            fingerprint: String::new(),
            class: None,
            evidence: None,
            choices: Vec::new(),
            command: "dogwatch ps".into(),
        }
    }
}

fn name(run: &Run) -> String {
    format!("{} #{}", run.workflow.name, run.number)
}

/// One line without control characters and without what cannot be seen.
pub fn clean(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => Some(' '),
        c if c.is_control() || hidden(c) => None,
        c => Some(c),
    };
    let line: String = text.chars().filter_map(shown).take(LONGEST + 1).collect();
    if line.chars().count() > LONGEST { line.chars().take(LONGEST - 1).chain(['…']).collect() } else { line }
}
