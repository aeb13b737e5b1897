//! What the engine says anew: the copy is replaced, and where the operator stands is kept.

use std::collections::{BTreeMap, BTreeSet};

use super::{attach, questions};
use crate::faces::words::run_name;
use crate::tui::keys::{Action, Place};
use crate::tui::message::{Effect, Link, News};
use crate::tui::model::{Model, RowKey, Sourced, View, urgency};
use crate::wire::client::{CheckpointView, RunLine, RunState, RunView, StepView};

/// More records than that are not kept: the journal has them.
const MOST_EVENTS: usize = 20_000;

/// Takes news.
pub(super) fn news(model: &mut Model, news: News) -> Vec<Effect> {
    match news {
        News::Link(link) => {
            if matches!((&model.link, &link), (Link::Lost { .. }, Link::Up)) {
                model.say("the engine is back");
                model.back_ms = Some(model.now_ms);
            }
            if link == Link::Up {
                // What could not be asked can be now.
                model.sources.retain(|_, source| matches!(source, Sourced::Known(_)));
            }
            if matches!(link, Link::Lost { .. }) {
                attach::lost(model);
            }
            model.link = link;
        }
        News::Engine(engine) => model.engine = Some(engine),
        News::Runs(runs) => return heard(model, runs),
        News::Run(run) => {
            let asked = run.escalations.clone();
            run_news(model, *run);
            let mut effects = questions::over(model, &asked, false);
            effects.extend(attach::started(model));
            effects.extend(attach::come_back(model));
            return effects;
        }
        News::Events { run, events, fresh } => {
            if model.run.as_ref().is_some_and(|view| view.line.id == run) {
                if fresh {
                    model.events.clear();
                }
                let shown = model.shown_events().len();
                model.events.extend(events);
                if model.cursors.journal > 0 {
                    // Whoever reads an older record goes on reading it.
                    model.cursors.journal += model.shown_events().len().saturating_sub(shown);
                }
                let over = model.events.len().saturating_sub(MOST_EVENTS);
                model.events.drain(..over);
            }
        }
        News::Inbox(inbox) => return asked(model, inbox),
        News::Checkpoints(checkpoints) => seen(model, checkpoints),
        News::Kept(mut kept) => {
            kept.reverse();
            model.kept = kept;
        }
        News::Resources(resources) => model.resources = Some(resources),
    }
    Vec::new()
}

/// The list of runs. Where no run is looked at yet, one is chosen: that which needs somebody, else the newest that runs,
/// else the newest.
fn heard(model: &mut Model, runs: Vec<RunLine>) -> Vec<Effect> {
    // Where no run was ever started, the first one is what is looked at.
    let first = !model.heard || (model.runs.is_empty() && model.run.is_none());
    model.heard = true;
    let here = model.run_here().map(|run| run.id.clone());
    if !first {
        begun(model, &runs);
    }
    model.runs = runs;
    // The cursor stays on its run when a newer one comes.
    let there = model.shown_runs().iter().position(|run| Some(&run.id) == here.as_ref());
    model.cursors.runs = there.unwrap_or(model.cursors.runs).min(model.shown_runs().len().saturating_sub(1));
    let ids: BTreeSet<String> = model.runs.iter().map(|run| run.id.clone()).collect();
    model.marked_runs.retain(|run| ids.contains(run));
    if !first || model.run.is_some() || model.wanted.is_some() {
        return Vec::new();
    }
    let asks = model.runs.iter().find(|run| run.asking > 0);
    let runs =
        model.runs.iter().find(|run| matches!(run.state, RunState::Running | RunState::Waiting | RunState::Paused));
    let chosen = asks.or(runs).or(model.runs.first());
    chosen.map(|run| Effect::Watch { run: run.id.clone() }).into_iter().collect()
}

/// A run that began while another one was looked at is announced, and never shown by itself.
fn begun(model: &mut Model, runs: &[RunLine]) {
    let newest_ms = model.runs.iter().map(|run| run.created_ms).max().unwrap_or(i64::MIN);
    let here = |run: &RunLine| model.run.as_ref().is_some_and(|view| view.line.id == run.id);
    let newer = runs.iter().filter(|run| run.created_ms > newest_ms && !here(run));
    let Some(newest) = newer.max_by_key(|run| run.created_ms) else { return };
    // Whoever has the list before him sees it there.
    if model.view == View::Runs && model.panels.is_empty() {
        return;
    }
    model.begun = Some(newest.id.clone());
    // What was just done is not talked over, and nothing over what is typed into a step.
    if model.flash.is_none() && model.attached.is_none() {
        let words = begun_words(model, newest);
        model.say(words);
    }
}

fn begun_words(model: &Model, run: &RunLine) -> String {
    let key = model.manner.keys.words_of(Place::Any, Action::OpenBegun);
    format!("{} has begun · {key} opens it", run_name(run))
}

/// Looks at the run that began last.
pub(super) fn open_begun(model: &mut Model) -> Vec<Effect> {
    let Some(run) = model.newcomer().map(|run| run.id.clone()) else { return Vec::new() };
    super::show(model, View::Overview);
    vec![Effect::Watch { run }]
}

/// Checkpoints. The cursor stays on the one it was on.
fn seen(model: &mut Model, checkpoints: Vec<CheckpointView>) {
    let here = model.checkpoint_here().map(|one| (one.step_name.clone(), one.path.clone()));
    (model.checkpoints, model.gone) = folded(checkpoints);
    let same = |one: &CheckpointView| Some((one.step_name.clone(), one.path.clone())) == here;
    let there = model.checkpoints.iter().position(same).unwrap_or(model.cursors.checkpoints);
    model.cursors.checkpoints = there.min(model.checkpoints.len().saturating_sub(1));
}

/// Of each step all checkpoints that are there; of those that are gone the newest, and only as far as the step has few
/// others. How many more are gone is counted.
fn folded(all: Vec<CheckpointView>) -> (Vec<CheckpointView>, BTreeMap<String, usize>) {
    const FEW: usize = 3;
    let (mut there, mut gone) = (BTreeMap::new(), BTreeMap::new());
    for one in all.iter().filter(|one| one.bytes.is_some()) {
        *there.entry(one.step_name.clone()).or_insert(0) += 1;
    }
    let mut shown = Vec::new();
    for one in all {
        let lines: &mut usize = there.entry(one.step_name.clone()).or_insert(0);
        if one.bytes.is_none() && *lines >= FEW {
            *gone.entry(one.step_name).or_insert(0) += 1;
            continue;
        }
        *lines += usize::from(one.bytes.is_none());
        shown.push(one);
    }
    (shown, gone)
}

fn run_news(model: &mut Model, run: RunView) {
    let other = model.run.as_ref().is_none_or(|old| old.line.id != run.line.id);
    if other {
        let back = model.aside.take_if(|aside| aside.over && aside.run == run.line.id);
        (model.selected, model.chosen) = back.map_or((None, false), |aside| (aside.selected, aside.chosen));
        model.events.clear();
        model.checkpoints.clear();
        model.gone.clear();
        model.kept.clear();
        model.scroll.clear();
        model.progress.clear();
        (model.charts.range, model.charts.at, model.charts.with) = (None, None, None);
        model.cursors.journal = 0;
        model.cursors.checkpoints = 0;
    }
    if model.begun.as_ref() == Some(&run.line.id) {
        let told = begun_words(model, &run.line);
        model.flash.take_if(|flash| flash.words == told);
        model.begun = None;
    }
    let known = |key: &RowKey| match key {
        RowKey::Lane(name) => run.steps.iter().any(|step| step.is_named(name)),
        RowKey::Matrix(name) => run.steps.iter().any(|step| step.step == *name),
    };
    if !model.selected.as_ref().is_some_and(known) {
        model.chosen = false;
    }
    if !model.chosen {
        // Of those that are as urgent the one that is selected already.
        let kept = |step: &StepView| Some(RowKey::Lane(step.name())) != model.selected;
        let first = run.steps.iter().min_by_key(|step| (urgency(step.state), kept(step)));
        model.selected = first.map(|step| RowKey::Lane(step.name()));
    }
    // Nothing else was looked at in between.
    model.aside.take_if(|aside| aside.over && aside.run == run.line.id);
    model.run = Some(run);
    // A lane of a folded matrix is not a row: its matrix is.
    let hidden = model.selected.clone().filter(|key| !model.rows().iter().any(|row| row.key == *key));
    if let Some(RowKey::Lane(name)) = hidden {
        let step = model.run.iter().flat_map(|run| &run.steps).find(|step| step.is_named(&name));
        model.selected = step.map(|step| RowKey::Matrix(step.step.clone()));
    }
}

/// Open questions. A new one is announced, never opened.
fn asked(model: &mut Model, inbox: Vec<crate::wire::client::EscalationView>) -> Vec<Effect> {
    let fresh = inbox
        .iter()
        .filter(|asked| asked.answer.is_none() && !model.inbox.iter().any(|old| old.id == asked.id))
        .count();
    let began = model.heard && !model.inbox.is_empty() || model.run.is_some();
    let here = model.inbox_rows().get(model.cursors.inbox).cloned();
    model.inbox = inbox;
    let rows = model.inbox_rows();
    // The cursor stays on its row, however many come before it now.
    let kept = rows.iter().position(|row| Some(row) == here.as_ref()).unwrap_or(model.cursors.inbox);
    model.cursors.inbox = kept.min(rows.len().saturating_sub(1));
    let open: BTreeSet<u64> = model.inbox.iter().map(|asked| asked.id).collect();
    model.marked_questions.retain(|id| open.contains(id));
    model.snoozed.retain(|id, _| open.contains(id));
    let asked = model.inbox.clone();
    let mut effects = questions::over(model, &asked, true);
    if fresh > 0 && began {
        effects.push(Effect::Bell);
    }
    effects
}
