//! A question as clients see it: its evidence, the facts around it, and its choices with what each does and costs.
//! Draws from the mind's state, decides nothing.

use std::time::Duration;

use indexmap::IndexSet;

use super::facts::{self, names};
use super::run_name;
use crate::engine::{LaneRun, LaneState, Question, Run, proposal_words};
use crate::model::{Choice, EscalationKind, OnUnknown, Step, span_words};
use crate::report;
use crate::wire::client::{AnswerView, ChoiceView, EscalationView, FactView, HeldView, Strength};

/// A question, whole.
pub(in crate::daemon) fn escalation(run: &Run, question: &Question) -> EscalationView {
    let escalation = &question.escalation;
    let kind = match escalation.kind {
        EscalationKind::Failed => "failed",
        EscalationKind::Unknown => "unknown",
        EscalationKind::CannotStart => "cannot_start",
        EscalationKind::Gate => "gate",
        EscalationKind::Stalled => "stalled",
    };
    let due = run.falls_due(question);
    let if_unanswered = match due {
        Some((_, choice)) => format!("{} when the time is over", run.word(choice)),
        None => "waits for you".to_owned(),
    };
    let choices = escalation.choices.iter().map(|choice| ChoiceView {
        word: run.word(*choice).into(),
        effect: effect(run, question, *choice),
        strength: if escalation.typed && *choice == Choice::Approve { Strength::Typed } else { strength(*choice) },
        rule: run.lane(&escalation.lane).and_then(|lane| report::rule::rule(run, lane, escalation, *choice)),
    });
    EscalationView {
        id: escalation.id.0,
        run: run.id.to_string(),
        run_name: run_name(run),
        step: run.lane_name(&escalation.lane),
        attempt: escalation.attempt.as_ref().map(|attempt| attempt.n),
        kind: kind.into(),
        title: escalation.title.clone(),
        evidence: escalation.evidence.clone(),
        choices: choices.collect(),
        opened_ms: question.opened.as_ms(),
        deadline_ms: due.map(|(deadline, _)| deadline.as_ms()),
        if_unanswered,
        answer: question.answer.as_ref().map(|(choice, by, at, note)| AnswerView {
            choice: run.word(*choice).into(),
            by: by.to_string(),
            at_ms: at.as_ms(),
            note: note.clone(),
        }),
        fingerprint: escalation.fingerprint.clone(),
        matched: escalation.matched,
        facts: facts::of(run, question)
            .into_iter()
            .map(|(label, text)| FactView { label: label.into(), text })
            .collect(),
        held: question.held.as_ref().map(|held| HeldView {
            choice: run.word(held.choice).into(),
            by: held.by.to_string(),
            until_ms: held.until.as_ms(),
        }),
    }
}

/// What a wrong key may not do needs more than one.
fn strength(choice: Choice) -> Strength {
    match choice {
        Choice::Accept
        | Choice::KeepWaiting
        | Choice::Alternative { .. }
        | Choice::Retry
        | Choice::Resume
        | Choice::Probe
        | Choice::Approve
        | Choice::SendBack(_) => Strength::Key,
        Choice::Done | Choice::Skip | Choice::Fail | Choice::Reject => Strength::Summary,
        Choice::StopRun => Strength::Typed,
    }
}

/// What a choice does and what it costs. An attempt that stands still lives: most choices end it first.
fn effect(run: &Run, question: &Question, choice: Choice) -> String {
    let words = effect_of(run, question, choice);
    let stops =
        question.escalation.kind == EscalationKind::Stalled && !matches!(choice, Choice::KeepWaiting | Choice::StopRun);
    if stops { format!("stops it; {words}") } else { words }
}

fn effect_of(run: &Run, question: &Question, choice: Choice) -> String {
    let Some(lane) = run.lane(&question.escalation.lane) else { return String::new() };
    let step = run.step_of(lane);
    let next = lane.n + 1;
    let after = names(run.behind(&step.id).into_iter());
    let follows = |before: &str, after: &str| if after.is_empty() { String::new() } else { format!("{before}{after}") };
    match choice {
        Choice::Accept => {
            let Some(proposal) = question.escalation.proposal.as_deref() else { return String::new() };
            if proposal.skip {
                return proposal_words(proposal);
            }
            let with = proposal.patch.as_ref().map(|patch| format!(" with {}", patch.words())).unwrap_or_default();
            let from = if proposal.resume.is_some() { checkpoint(lane) } else { "the start".into() };
            format!("attempt {next}{with}, from {from}; as {} says", proposal.rule)
        }
        Choice::KeepWaiting => "it goes on, and its clocks begin anew".into(),
        Choice::Alternative { .. } => {
            let about = run.alternative_named(choice).and_then(|(_, other)| other.description.clone());
            let about = about.map(|about| format!("{about}; ")).unwrap_or_default();
            format!("{about}attempt {next} from the start{}", done_again(lane, question))
        }
        Choice::Resume => {
            let lost = facts::lost(lane, &question.escalation).words();
            format!("attempt {next} from {}{}", checkpoint(lane), follows("; ", &lost))
        }
        Choice::Retry => format!("attempt {next} from the start{}", done_again(lane, question)),
        Choice::Probe => "runs the step's probe: did it finish?".into(),
        Choice::Done => format!("it counts as succeeded: fixed by hand{}", follows("; then: ", &after)),
        Choice::Skip => format!("go on without it{}", follows("; without its result: ", &after)),
        Choice::Fail => {
            let lanes = if step.fail_fast && step.lanes.len() > 1 { "; its other lanes are stopped" } else { "" };
            format!("it has failed for good{}{lanes}", follows("; left out: ", &after))
        }
        Choice::StopRun => ends(run, "the run ends and can be resumed; logs and checkpoints are kept"),
        Choice::Approve => {
            let starts = facts::few(run.starts_after(&step.id).into_iter().map(start), facts::MANY);
            if starts.is_empty() { "the run goes on".into() } else { format!("starts {starts} now") }
        }
        Choice::Reject => ends(run, "the run ends as rejected, everything is kept"),
        Choice::SendBack(_) => {
            let lanes = run.sent_back(&step.id, choice);
            let again: IndexSet<&str> = lanes.iter().map(|lane| lane.id.step.as_str()).collect();
            let work: Duration = lanes.iter().filter_map(|lane| facts::work(lane)).sum();
            let words = format!("runs {} again, then asks anew", facts::few(again.into_iter(), facts::MANY));
            // Less than a second is no cost.
            if work.as_secs() == 0 { words } else { format!("{words}; {} of work is done again", span_words(work)) }
        }
    }
}

/// The work that a new start does again. Less than a second is no cost.
fn done_again(lane: &LaneRun, question: &Question) -> String {
    let lives = question.escalation.kind == EscalationKind::Stalled;
    let resumed = matches!(&lane.state, LaneState::Active { resume: Some(_), .. });
    let before = || if resumed { facts::work(lane).unwrap_or_default() } else { Duration::ZERO };
    let so_far = || lane.started.map(|started| question.opened.since(started) + before());
    let work = if lives { so_far() } else { facts::work(lane) };
    let work = work.filter(|work| work.as_secs() > 0);
    work.map(|work| format!("; {} of work is done again", span_words(work))).unwrap_or_default()
}

/// What cannot be undone when the run ends: work of running steps that they have not saved.
fn ends(run: &Run, words: &str) -> String {
    match run.active() {
        0 => words.to_owned(),
        1 => format!("{words}; 1 running step is stopped, and what it has not saved is lost"),
        n => format!("{words}; {n} running steps are stopped, and what they have not saved is lost"),
    }
}

fn checkpoint(lane: &LaneRun) -> String {
    match &lane.checkpoint {
        Some(checkpoint) => match checkpoint.step {
            Some(step) => format!("step {step} ({})", checkpoint.path),
            None => checkpoint.path.clone(),
        },
        None => "the newest checkpoint".into(),
    }
}

/// A step that starts next, with what makes starting it a decision.
pub(super) fn start(step: &Step) -> String {
    let attempts = match step.retry.max_attempts {
        1 => "1 attempt".to_owned(),
        n => format!("{n} attempts"),
    };
    match step.on_unknown {
        OnUnknown::Ask => format!("{} (not repeatable, {attempts})", step.id),
        OnUnknown::Rerun | OnUnknown::Probe { .. } => format!("{} ({attempts})", step.id),
    }
}
