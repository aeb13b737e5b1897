//! Two runs side by side: what differs in their parameters and in their frozen workflow files, and what became of their
//! steps: how long each took, and the last of its numbers. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::sheet::Told;
use crate::faces::words::{count, run_name, span};
use crate::tui::model::{Model, Sourced};
use crate::tui::page::charts::words::short as number;
use crate::tui::panel::again::params;
use crate::tui::theme::Role;
use crate::tui::view::shape;
use crate::wire::client::{ResultView, RunLine, SourceView, StepState};

/// Files whose changed parts are longer than that together are not compared line by line.
const MOST_CELLS: usize = 4_000_000;

/// What differs between two frozen files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Name, then the older and the newer value; `None`: it has none.
    pub params: Vec<(String, Option<String>, Option<String>)>,
    /// Lines that only the older or only the newer file has, in order.
    pub lines: Vec<Changed>,
    /// The files' names, where they are not the same.
    pub files: Option<(String, String)>,
}

/// A line that only one of two files has; numbers from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    Gone { number: usize, text: String },
    New { number: usize, text: String },
}

/// Compares two frozen files.
pub fn difference(older: &SourceView, newer: &SourceView) -> Difference {
    let values = |source| {
        let all = params(source).into_iter();
        all.map(|param| (param.name, param.value)).collect::<BTreeMap<String, String>>()
    };
    let (before, after) = (values(older), values(newer));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let differs = |name: &&String| before.get(*name) != after.get(*name);
    let params = names
        .into_iter()
        .filter(differs)
        .map(|name| (name.clone(), before.get(name).cloned(), after.get(name).cloned()))
        .collect();
    let files = (older.file != newer.file).then(|| (older.file.clone(), newer.file.clone()));
    Difference { params, lines: lines(&older.text, &newer.text), files }
}

/// The lines that differ: a longest common subsequence of what is left after the common beginning and end.
fn lines(older: &str, newer: &str) -> Vec<Changed> {
    let (before, after): (Vec<&str>, Vec<&str>) = (older.lines().collect(), newer.lines().collect());
    let head = before.iter().zip(&after).take_while(|(one, other)| one == other).count();
    let tail =
        before[head..].iter().rev().zip(after[head..].iter().rev()).take_while(|(one, other)| one == other).count();
    let (old, new) = (&before[head..before.len() - tail], &after[head..after.len() - tail]);
    let kept = if old.len().saturating_mul(new.len()) > MOST_CELLS { Vec::new() } else { common(old, new) };
    let gone = |place: usize| Changed::Gone { number: head + place + 1, text: old[place].to_owned() };
    let added = |place: usize| Changed::New { number: head + place + 1, text: new[place].to_owned() };
    let mut all = Vec::new();
    let (mut here, mut there) = (0, 0);
    for (one, other) in kept.into_iter().chain([(old.len(), new.len())]) {
        all.extend((here..one).map(gone));
        all.extend((there..other).map(added));
        (here, there) = (one + 1, other + 1);
    }
    all
}

/// The places of a longest common subsequence.
fn common(old: &[&str], new: &[&str]) -> Vec<(usize, usize)> {
    let width = new.len() + 1;
    let mut longest = vec![0u32; (old.len() + 1) * width];
    for one in (0..old.len()).rev() {
        for other in (0..new.len()).rev() {
            longest[one * width + other] = if old[one] == new[other] {
                longest[(one + 1) * width + other + 1] + 1
            } else {
                longest[(one + 1) * width + other].max(longest[one * width + other + 1])
            };
        }
    }
    let mut kept = Vec::new();
    let (mut one, mut other) = (0, 0);
    while one < old.len() && other < new.len() {
        if old[one] == new[other] {
            kept.push((one, other));
            one += 1;
            other += 1;
        } else if longest[(one + 1) * width + other] >= longest[one * width + other + 1] {
            one += 1;
        } else {
            other += 1;
        }
    }
    kept
}

/// In one line: `dogwatch.toml 2 lines · seq_len 2048→4096`.
pub fn short(older: &SourceView, newer: &SourceView) -> String {
    let difference = difference(older, newer);
    let mut words = Vec::new();
    if let Some((before, after)) = &difference.files {
        words.push(format!("{before}→{after}"));
    }
    if !difference.lines.is_empty() {
        let file = newer.file.rsplit('/').next().unwrap_or(&newer.file);
        words.push(format!("{file} {}", count(difference.lines.len(), "line", "lines")));
    }
    words.extend(
        difference
            .params
            .iter()
            .map(|(name, before, after)| format!("{name} {}→{}", or(before.as_ref()), or(after.as_ref()))),
    );
    if words.is_empty() { "same file, same parameters".into() } else { words.join(" · ") }
}

fn or(value: Option<&String>) -> &str {
    value.map_or("-", String::as_str)
}

/// The sheet that compares two runs.
pub(super) fn sheet(model: &Model, older: &str, newer: &str) -> (String, Vec<Told>) {
    let line = |id: &str| model.runs.iter().find(|run| run.id == id);
    let name = |id: &str| line(id).map_or_else(|| id.to_owned(), run_name);
    let mut all = Vec::new();
    for (label, id) in [("older", older), ("newer", newer)] {
        all.push(Told::new(label, Role::Strong, line(id).map_or_else(|| id.to_owned(), |run| how(model, run))));
    }
    match (model.sources.get(older), model.sources.get(newer)) {
        (Some(Sourced::Known(before)), Some(Sourced::Known(after))) => {
            differs(&difference(before, after), &mut all);
            results(&before.results, &after.results, &mut all);
        }
        (Some(Sourced::Refused(why)), _) | (_, Some(Sourced::Refused(why))) => {
            all.push(Told::new("file", Role::Bad, why.clone()));
        }
        _ => all.push(Told::new("file", Role::Dim, "asking the engine …")),
    }
    (format!("{} and {}", name(older), name(newer)), all)
}

/// What became of each step, in the order of the newer file; those that only the older one has come last.
fn results(before: &[ResultView], after: &[ResultView], all: &mut Vec<Told>) {
    let older: HashMap<&str, &ResultView> = before.iter().map(|one| (one.step_name.as_str(), one)).collect();
    let newer: HashSet<&str> = after.iter().map(|one| one.step_name.as_str()).collect();
    let both = after.iter().map(|one| (older.get(one.step_name.as_str()).copied(), Some(one)));
    let gone = before.iter().filter(|one| !newer.contains(one.step_name.as_str())).map(|one| (Some(one), None));
    for (place, (older, newer)) in both.chain(gone).enumerate() {
        let Some(either) = newer.or(older) else { continue };
        let took = |one: Option<&ResultView>| match one.map(|one| (one.state, one.took_ms)) {
            None => "-".to_owned(),
            Some((StepState::Succeeded, took)) => span(took),
            Some((state, 0)) => state.word().to_owned(),
            Some((state, took)) => format!("{} {}", state.word(), span(took)),
        };
        let mut words = vec![format!("{}  {} → {}", either.step_name, took(older), took(newer))];
        let last = |one: Option<&ResultView>, name: &str| {
            let found = one.and_then(|one| one.numbers.iter().find(|(told, _)| told == name));
            found.map_or_else(|| "-".to_owned(), |(_, value)| value.map_or_else(|| "nan".to_owned(), number))
        };
        let mut names: Vec<&String> = either.numbers.iter().map(|(name, _)| name).collect();
        let others = older.into_iter().flat_map(|older| &older.numbers).map(|(name, _)| name);
        names.extend(others.filter(|name| !either.numbers.iter().any(|(own, _)| own == *name)));
        words.extend(names.iter().map(|name| format!("{name} {} → {}", last(older, name), last(newer, name))));
        let label = if place == 0 { "steps" } else { "" };
        let same = older.map(|one| one.state) == newer.map(|one| one.state);
        all.push(Told::new(label, if same { Role::Plain } else { Role::Attention }, words.join("\n  ")));
    }
}

fn how(model: &Model, run: &RunLine) -> String {
    let took = span(run.ended_ms.unwrap_or(model.now_ms) - run.created_ms);
    let (shape, word) = (shape(run.state), run.state.word());
    format!("{}  {shape} {word}  {took}  {}/{} steps", run_name(run), run.steps_done, run.steps)
}

fn differs(difference: &Difference, all: &mut Vec<Told>) {
    if let Some((before, after)) = &difference.files {
        all.push(Told::new("file", Role::Plain, format!("{before} → {after}")));
    }
    if difference.params.is_empty() {
        all.push(Told::new("parameters", Role::Dim, "the same"));
    }
    for (place, (name, before, after)) in difference.params.iter().enumerate() {
        let label = if place == 0 { "parameters" } else { "" };
        all.push(Told::new(
            label,
            Role::Attention,
            format!("{name}: {} → {}", or(before.as_ref()), or(after.as_ref())),
        ));
    }
    if difference.lines.is_empty() {
        all.push(Told::new("lines", Role::Dim, "the same"));
    }
    for (place, changed) in difference.lines.iter().enumerate() {
        let label = if place == 0 { "lines" } else { "" };
        let (role, words) = match changed {
            Changed::Gone { number, text } => (Role::Bad, format!("-{number:>4}  {text}")),
            Changed::New { number, text } => (Role::Good, format!("+{number:>4}  {text}")),
        };
        all.push(Told::new(label, role, words));
    }
}
