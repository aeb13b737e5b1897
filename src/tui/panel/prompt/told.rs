//! What a prompt says of a question, in words: its title in two parts, its evidence in the order of importance, its first
//! choice and what happens without an answer. Pure.

use crate::faces::words::{clock, span};
use crate::tui::model::Model;
use crate::wire::client::EscalationView;

/// What the choice is called that leaves everything as it is.
pub fn later_word(asked: &EscalationView) -> &'static str {
    if asked.kind == "gate" { "decide later" } else { "wait" }
}

/// What it does.
pub fn later_effect(asked: &EscalationView) -> &'static str {
    match (asked.kind == "gate", asked.deadline_ms.is_some()) {
        (true, false) => "nothing is decided; it stays in the inbox",
        (true, true) => "nothing is decided; its time begins anew",
        (false, false) => "keep everything as it is; it stays in the inbox",
        (false, true) => "keep everything as it is; its time begins anew",
    }
}

/// What happens if nobody answers, and when.
pub fn consequence(model: &Model, asked: &EscalationView) -> String {
    let what = if asked.if_unanswered.is_empty() { "waits for you" } else { asked.if_unanswered.as_str() };
    match asked.deadline_ms {
        Some(at) => {
            let left = span(at - model.now_ms);
            let at = clock(at, model.now_ms, &model.manner.zone);
            format!("if nobody answers: in {left} ({at}): {}", what.trim_end_matches(" when the time is over"))
        }
        None => format!("if nobody answers: {what}"),
    }
}

/// A title as step and what happened to it, where it begins with the step.
pub(super) fn title(asked: &EscalationView) -> (&str, &str) {
    let rest = asked.title.strip_prefix(asked.step.as_str());
    match rest.map(|rest| rest.trim_start_matches([':', ' '])).filter(|rest| !rest.is_empty()) {
        Some(rest) => (asked.step.as_str(), rest),
        None => (asked.step.as_str(), asked.title.as_str()),
    }
}

/// One line of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proof {
    pub(super) text: String,
    /// A person reads this one first: what the rule matched, else the last that the step printed.
    pub(super) focus: bool,
    /// It is what the rule matched.
    pub(super) matched: bool,
    /// How many lines of output lie between it and the one that is read first; `None`: not output.
    pub(super) away: Option<usize>,
}

/// The evidence in its order: what is known first, then what the step printed. `| ` begins a line of output.
pub(super) fn evidence(asked: &EscalationView) -> Vec<Proof> {
    let has_output = asked.evidence.iter().any(|line| output(line).is_some());
    let known_checkpoint = asked.facts.iter().any(|fact| fact.label == "checkpoint");
    let mut notes = Vec::new();
    let mut printed: Vec<(&str, bool)> = Vec::new();
    for (place, line) in asked.evidence.iter().enumerate() {
        let matched = asked.matched == Some(place);
        match output(line) {
            Some(line) => printed.push((line, matched)),
            None if matched || (asked.matched.is_some() && (!has_output || numbered(line).is_some())) => {
                printed.push((line, matched));
            }
            // The fact says it, with what is lost.
            None if known_checkpoint && line.starts_with("newest checkpoint:") => {}
            None => notes.push(line.as_str()),
        }
    }
    let printed = joined(printed);
    let focus = printed
        .iter()
        .position(|(_, matched)| *matched)
        .or_else(|| printed.iter().rposition(|(line, _)| !line.trim().is_empty()));
    let mut proofs: Vec<Proof> = notes
        .iter()
        .enumerate()
        .map(|(place, text)| Proof {
            text: (*text).to_owned(),
            focus: focus.is_none() && place == 0,
            matched: false,
            away: None,
        })
        .collect();
    proofs.extend(printed.iter().enumerate().map(|(place, (text, matched))| Proof {
        text: (*text).to_owned(),
        focus: focus == Some(place),
        matched: *matched,
        away: focus.map(|focus| focus.abs_diff(place)),
    }));
    proofs
}

fn output(line: &str) -> Option<&str> {
    line.strip_prefix("| ").or_else(|| (line == "|").then_some(""))
}

/// What the rule matched, without its place in the log: at most so much of it as no terminal breaks.
pub fn matched_text(asked: &EscalationView) -> Option<String> {
    const ENOUGH: usize = 80;
    let line = asked.evidence.get(asked.matched?)?;
    let text = numbered(line).or(output(line)).unwrap_or(line).trim();
    Some(text.chars().take(ENOUGH).collect()).filter(|text: &String| !text.is_empty())
}

/// The text of `line 211: text`.
fn numbered(line: &str) -> Option<&str> {
    let (number, text) = line.strip_prefix("line ")?.split_once(": ")?;
    number.chars().all(|c| c.is_ascii_digit()).then_some(text)
}

/// `line 211: text` once more where it was printed: there it is marked, with the lines round it.
fn joined(mut printed: Vec<(&str, bool)>) -> Vec<(&str, bool)> {
    let again: Vec<Option<usize>> = printed
        .iter()
        .map(|(line, _)| {
            let text = numbered(line)?.trim();
            printed.iter().rposition(|(other, _)| numbered(other).is_none() && other.trim() == text)
        })
        .collect();
    let marked = printed.iter().position(|(_, matched)| *matched).and_then(|place| again[place]);
    let Some(marked) = marked else {
        return printed;
    };
    printed[marked].1 = true;
    printed.into_iter().zip(again).filter(|(_, again)| again.is_none()).map(|(line, _)| line).collect()
}
