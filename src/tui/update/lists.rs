//! The lists: runs, checkpoints, the journal. What keys do in them, and what has to be asked for them.

use super::step::order;
use crate::tui::keys::{Action, Place};
use crate::tui::message::{Effect, Link, Purpose, Refused};
use crate::tui::model::{Model, RowKey, Sourced, View};
use crate::tui::page::checkpoints::size;
use crate::tui::panel::menu::Item;
use crate::tui::panel::sheet::About;
use crate::tui::panel::{Again, Entry, Menu, Panel, Sheet, again, entry};
use crate::wire::client::{Ask, CheckpointOrder, CheckpointView, Order, Reply, StepState};

/// Frozen files that are kept.
const MOST_SOURCES: usize = 200;

/// Why an action makes no sense in a list; `None`: it is not the list's.
pub(super) fn allowed(model: &Model, place: Place, action: Action) -> Option<Result<(), String>> {
    let some = |there: bool, why: &str| Some(if there { Ok(()) } else { Err(why.to_owned()) });
    match (place, action) {
        (Place::Runs, Action::Open | Action::Mark | Action::Again) => {
            some(model.run_here().is_some(), "there is no run here")
        }
        (Place::Runs, Action::Compare) => {
            some(compared(model).is_some(), "mark two runs, or stand on one that has another of its name before it")
        }
        (Place::Runs, Action::Find) => some(!model.runs.is_empty(), "there is no run yet"),
        (Place::Runs, Action::OpenFile | Action::WrapCommand) => Some(Ok(())),
        (Place::Checkpoints, Action::Open | Action::Copy) => {
            some(model.checkpoint_here().is_some(), "there is no checkpoint here")
        }
        (Place::Checkpoints, Action::Retry) => Some(resumable(model)),
        (Place::Checkpoints, Action::Verify | Action::Pin | Action::Prune) => Some(orderable(model)),
        (Place::Journal, Action::Find) => some(!model.events.is_empty(), "nothing was recorded yet"),
        (Place::Journal, Action::Open) => {
            let named = model.event_here().is_some_and(|event| !event.step.is_empty());
            some(named, "this record is not about a step")
        }
        (Place::Journal, Action::Copy) => some(model.event_here().is_some(), "there is no record here"),
        (Place::Journal, Action::Follow) => some(model.cursors.journal > 0, "the newest record is shown already"),
        _ => None,
    }
}

/// Whether something can be done about the checkpoint.
fn orderable(model: &Model) -> Result<(), String> {
    let here = model.checkpoint_here().ok_or("there is no checkpoint here")?;
    model.lane().map(|_| ()).ok_or_else(|| format!("{} is not a step of this run any more", here.step_name))
}

/// Whether the step of the checkpoint can go on from it.
fn resumable(model: &Model) -> Result<(), String> {
    let here = model.checkpoint_here().ok_or("there is no checkpoint here")?;
    let name = &here.step_name;
    let step = model.lane().ok_or_else(|| format!("{name} is not a step of this run any more"))?;
    match step.state {
        StepState::Running
        | StepState::Ready
        | StepState::Starting
        | StepState::Stopping
        | StepState::Probing
        | StepState::Verifying => Err(format!("{name} is {}: stop it first", step.state.word())),
        _ if !model.checkpoints.iter().any(|one| one.step_name == *name && one.bytes.is_some()) => {
            Err(format!("no checkpoint of {name} is there any more"))
        }
        StepState::Waiting
        | StepState::Retrying
        | StepState::Asking
        | StepState::Unknown
        | StepState::Gate
        | StepState::Unreachable
        | StepState::Succeeded
        | StepState::Failed
        | StepState::Skipped
        | StepState::Stopped => Ok(()),
    }
}

/// The two runs to compare, the older first: those that are marked, the marked one and this one, or this one and the one
/// before it.
fn compared(model: &Model) -> Option<(String, String)> {
    let mut both: Vec<_> = model.runs.iter().filter(|run| model.marked_runs.contains(&run.id)).collect();
    let here = model.run_here()?;
    match both.len() {
        0 => both.extend([model.run_before(here)?, here]),
        1 => both.push(here),
        _ => {}
    }
    both.sort_by_key(|run| run.created_ms);
    match both[..] {
        [older, newer] if older.id != newer.id => Some((older.id.clone(), newer.id.clone())),
        _ => None,
    }
}

/// Does it; `None`: it is not the list's.
pub(super) fn act(model: &mut Model, action: Action) -> Option<Vec<Effect>> {
    match (model.place(), action) {
        (Place::Runs, Action::Open) => {
            let run = model.run_here()?.id.clone();
            model.view = View::Overview;
            return Some(vec![Effect::Watch { run }]);
        }
        (Place::Runs, Action::Mark) => {
            let run = model.run_here()?.id.clone();
            if !model.marked_runs.remove(&run) {
                model.marked_runs.insert(run);
            }
        }
        (Place::Runs, Action::Compare) => {
            let (older, newer) = compared(model)?;
            model.panels.push(Panel::Sheet(Sheet { about: About::Runs(older, newer), top: 0 }));
        }
        (Place::Runs, Action::Again) => {
            let run = model.run_here()?.clone();
            model.panels.push(Panel::Again(Again::new(run)));
            again::fill(model);
        }
        (Place::Runs, Action::Find) => entry(model, entry::Wanted::Runs),
        (Place::Journal, Action::Find) => entry(model, entry::Wanted::Journal),
        (Place::Journal, Action::Follow) => model.cursors.journal = 0,
        (Place::Journal, Action::Open) => {
            let step = model.event_here()?.step.clone();
            model.selected = Some(RowKey::Lane(step));
            model.chosen = true;
            model.view = View::Overview;
        }
        (Place::Journal, Action::Copy) => {
            let event = model.event_here()?;
            let words = [event.step.as_str(), event.text.as_str()].join(" ");
            return Some(vec![Effect::Copy(words.trim().to_owned())]);
        }
        (Place::Checkpoints, Action::Open) => {
            let about = About::Checkpoint(model.checkpoint_here()?.clone());
            model.panels.push(Panel::Sheet(Sheet { about, top: 0 }));
        }
        (Place::Checkpoints, Action::Copy) => {
            return Some(vec![Effect::Copy(model.checkpoint_here()?.path.clone())]);
        }
        (Place::Checkpoints, Action::Retry) => resume(model)?,
        (Place::Checkpoints, Action::Verify) => verify(model)?,
        (Place::Checkpoints, Action::Pin) => return pin(model),
        (Place::Checkpoints, Action::Prune) => prune(model)?,
        _ => return None,
    }
    Some(Vec::new())
}

/// Opens a field.
pub(super) fn entry(model: &mut Model, wanted: entry::Wanted) {
    let entry = Entry::new(model, wanted);
    model.panels.push(Panel::Entry(entry));
}

/// `step 1200`, or its path.
fn at(one: &CheckpointView) -> String {
    one.step.map_or_else(|| one.path.clone(), |at| format!("step {at}"))
}

/// Asks before a step goes on from a checkpoint: from the newest good one, or from the one under the cursor.
fn resume(model: &mut Model) -> Option<()> {
    let step = model.lane()?.clone();
    let here = model.checkpoint_here()?;
    let newest = model.checkpoints.iter().find(|one| one.step_name == here.step_name && one.newest);
    let mut words = Vec::new();
    let mut items = vec![Item::nothing("not now", "nothing is changed")];
    if let Some(newest) = newest {
        let effect = format!("a new attempt from {}", at(newest));
        items.push(Item::new("from the newest", effect, order(model, &step, Order::Resume)));
    }
    let usable = here.bytes.is_some() && !here.says.starts_with("damaged");
    if newest != Some(here) && usable {
        let again = newest.and_then(|newest| newest.step).zip(here.step).map(|(newest, here)| newest - here);
        let again = again.filter(|steps| *steps > 0).map(|steps| format!("; {steps} steps are done again"));
        let effect = format!("a new attempt from {}{}", at(here), again.unwrap_or_default());
        let (run, step) = (model.lane_key(&step).run, step.name());
        let checkpoint = Some(here.path.clone());
        let ask = Ask::Order { run, step, order: Order::Resume, note: None, checkpoint };
        items.push(Item::new("from this one", effect, Effect::tell(ask)));
    } else if newest != Some(here) {
        let why = if here.bytes.is_none() { "it is gone" } else { here.says.as_str() };
        words.push(format!("Nothing goes on from {}: {why}.", at(here)));
    }
    let title = format!("go on with {} from its checkpoint?", step.name());
    model.panels.push(Panel::Menu(Menu::new(title, words, items, model.now_ms)));
    Some(())
}

/// An order about checkpoints of the run.
fn checkpoints(model: &Model, order: CheckpointOrder) -> Option<Effect> {
    let run = model.run.as_ref()?.line.id.clone();
    Some(Effect::tell(Ask::OrderCheckpoints { run, order }))
}

/// Offers to look at the checkpoint under the cursor, or at all of its step.
fn verify(model: &mut Model) -> Option<()> {
    let here = model.checkpoint_here()?;
    let (step, which) = (Some(here.step_name.clone()), Some(here.path.clone()));
    let all = model.checkpoints.iter().filter(|one| one.step_name == here.step_name).count();
    let title = format!("verify checkpoints of {}?", here.step_name);
    let one = format!("its `checkpoint.verify` looks at {}", at(here));
    let this = checkpoints(model, CheckpointOrder::Verify { step: step.clone(), which })?;
    let every = checkpoints(model, CheckpointOrder::Verify { step, which: None })?;
    let words = vec!["Nothing is changed but what is known of them: a damaged one is not gone on from.".into()];
    let items = vec![
        Item::nothing("not now", "nothing is looked at"),
        Item::new("this one", one, this),
        Item::new("all of its step", format!("all {all}, one after the other"), every),
    ];
    model.panels.push(Panel::Menu(Menu::new(title, words, items, model.now_ms)));
    Some(())
}

/// Pins the checkpoint under the cursor, or unpins it.
fn pin(model: &Model) -> Option<Vec<Effect>> {
    let here = model.checkpoint_here()?;
    let (step, which) = (here.step_name.clone(), Some(here.path.clone()));
    let order = if here.pinned { CheckpointOrder::Unpin { step, which } } else { CheckpointOrder::Pin { step, which } };
    Some(vec![checkpoints(model, order)?])
}

/// Offers to remove what a step saved and nothing needs.
fn prune(model: &mut Model) -> Option<()> {
    let here = model.checkpoint_here()?;
    let step = here.step_name.clone();
    let title = format!("remove checkpoints of {step}?");
    let words = vec![
        "Kept: what is pinned, what something goes on from, and the newest good one (as many as `keep` says).".into(),
        "The others are removed from the disk, and that cannot be undone.".into(),
    ];
    let look = checkpoints(model, CheckpointOrder::Prune { step: step.clone(), dry_run: true })?;
    let remove = checkpoints(model, CheckpointOrder::Prune { step, dry_run: false })?;
    let items = vec![
        Item::nothing("not now", "nothing is removed"),
        Item::new("look", "says what would be removed", look),
        Item::new("remove", "removes them", remove),
    ];
    model.panels.push(Panel::Menu(Menu::new(title, words, items, model.now_ms)));
    Some(())
}

/// What was done to checkpoints, in a line.
pub(super) fn done_words(done: &[CheckpointView]) -> String {
    let bytes: u64 = done.iter().filter_map(|one| one.bytes).sum();
    match done {
        [] => "no checkpoint is there that could go".into(),
        [one] => format!("{}: {}", at(one), one.says),
        many => {
            let mut counts: Vec<(&str, usize)> = Vec::new();
            for one in many {
                let says = one.says.split(['(', ':']).next().unwrap_or_default().trim();
                match counts.iter_mut().find(|(known, _)| *known == says) {
                    Some((_, count)) => *count += 1,
                    None => counts.push((says, 1)),
                }
            }
            let words: Vec<_> = counts.into_iter().map(|(says, count)| format!("{count} {says}")).collect();
            format!("{}, {} in all", words.join(", "), size(bytes))
        }
    }
}

/// Moves in a list.
#[expect(clippy::wildcard_enum_match_arm, reason = "of the many actions a list takes few")]
pub(super) fn go(model: &mut Model, action: Action) {
    let length = match model.view {
        View::Runs => model.shown_runs().len(),
        View::Checkpoints => model.checkpoints.len(),
        View::Journal => model.shown_events().len(),
        View::Inbox => model.inbox_rows().len(),
        View::Overview | View::Panes | View::Metrics => return,
    };
    let page = usize::from(model.size.rows.saturating_sub(6)).max(1);
    let last = length.saturating_sub(1);
    let there = |place: usize| {
        match action {
            Action::Up => place.saturating_sub(1),
            Action::Down | Action::FocusNext => place + 1,
            Action::PageUp => place.saturating_sub(page),
            Action::PageDown => place + page,
            Action::Top => 0,
            Action::Bottom => last,
            _ => place,
        }
        .min(last)
    };
    match model.view {
        View::Runs => model.cursors.runs = there(model.cursors.runs.min(last)),
        View::Checkpoints => model.cursors.checkpoints = there(model.cursors.checkpoints.min(last)),
        // Kept as the distance from the newest, so that it stays the newest.
        View::Journal => model.cursors.journal = last - there(last.saturating_sub(model.cursors.journal)),
        View::Inbox | View::Overview | View::Panes | View::Metrics => {
            model.cursors.inbox = there(model.cursors.inbox.min(last));
        }
    }
}

/// The filter of the list that is shown is taken away; false: there is none.
pub(super) fn widen(model: &mut Model) -> bool {
    let filter = match model.view {
        View::Runs => &mut model.filters.runs,
        View::Journal => &mut model.filters.journal,
        View::Overview | View::Panes | View::Metrics | View::Checkpoints | View::Inbox => return false,
    };
    if filter.is_empty() {
        return false;
    }
    filter.clear();
    true
}

/// Asks for the frozen files that are on the screen and not known yet.
pub(super) fn wants(model: &mut Model) -> Vec<Effect> {
    if model.link != Link::Up {
        return Vec::new();
    }
    let mut wanted: Vec<String> = Vec::new();
    if model.view == View::Runs
        && let Some(here) = model.run_here()
    {
        wanted.extend(model.run_before(here).into_iter().chain([here]).map(|run| run.id.clone()));
    }
    for panel in &model.panels {
        if let Panel::Sheet(Sheet { about: About::Runs(older, newer), .. }) = panel {
            wanted.extend([older, newer].map(Clone::clone));
        } else if let Panel::Again(again) = panel {
            wanted.push(again.run.id.clone());
        }
    }
    wanted.retain(|run| !model.sources.contains_key(run));
    wanted.dedup();
    if model.sources.len() > MOST_SOURCES {
        model.sources.clear();
    }
    let mut asked = Vec::new();
    for run in wanted {
        model.sources.insert(run.clone(), Sourced::Asked);
        let ask = Box::new(Ask::Source { run: run.clone() });
        asked.push(Effect::Ask { why: Purpose::Source { run }, ask });
    }
    asked
}

/// The engine's answer to [`wants`].
pub(super) fn sourced(model: &mut Model, run: String, result: Result<Reply, Refused>) {
    let known = match result {
        Ok(Reply::Source(source)) => Sourced::Known(source),
        Ok(_) => Sourced::Refused("the engine answered with something else: is it of another version?".into()),
        Err(refused) => Sourced::Refused(refused.words),
    };
    model.sources.insert(run, known);
    again::fill(model);
}
