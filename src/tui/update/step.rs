//! What can be done with the selected step, and why not. The engine decides in the end; here only what cannot be meant is
//! refused, so that a key that is shown acts.

use super::attach::{attach, live};
use super::{batch, charts, questions};
use crate::faces::words::{run_arg, span, took};
use crate::tui::keys::Action;
use crate::tui::message::{Effect, LiveKind};
use crate::tui::model::{Fold, Kind, Model, RowKey, View, is_words};
use crate::tui::panel::menu::Item;
use crate::tui::panel::sheet::{self, About};
use crate::tui::panel::{Confirm, Field, Menu, Panel, Sheet, log, released};
use crate::wire::client::{Ask, ClockOrder, Order, RunState, StepState, StepView};

/// Whether an action makes sense now: what is hinted.
pub fn available(model: &Model, action: Action) -> bool {
    allowed(model, &model.panels, action).is_ok()
}

/// Why an action makes no sense with these panels open.
pub fn allowed(model: &Model, panels: &[Panel], action: Action) -> Result<(), String> {
    let changes = matches!(
        action,
        Action::Attach
            | Action::Shell
            | Action::Retry
            | Action::Skip
            | Action::Done
            | Action::Stop
            | Action::Pause
            | Action::StopRun
            | Action::ResumeRun
            | Action::Undo
            | Action::Again
            | Action::Verify
            | Action::Pin
            | Action::Prune
            | Action::Demo
            | Action::Starter
            | Action::OpenFile
            | Action::WrapCommand
    );
    if changes && model.manner.readonly {
        return Err("this screen is read-only".into());
    }
    match panels.last() {
        Some(Panel::Log(log)) => log::allowed(model, log, action)?,
        Some(Panel::Sheet(sheet)) => sheet::allowed(sheet, action)?,
        Some(Panel::Prompt(prompt)) if prompt.writing.is_none() => {
            if let Some(own) = questions::allowed(model, prompt, action) {
                return own;
            }
        }
        Some(Panel::Confirm(confirm)) if action == Action::Accept && !confirm.matches() => {
            return Err("the name does not match".into());
        }
        Some(Panel::Entry(entry)) if action == Action::Accept && !entry.ready() => {
            return Err("nothing was typed".into());
        }
        Some(Panel::Again(again)) if action == Action::Accept && !again.known => {
            return Err("its file is not known yet".into());
        }
        Some(
            Panel::Prompt(_)
            | Panel::Confirm(_)
            | Panel::Menu(_)
            | Panel::Entry(_)
            | Panel::Again(_)
            | Panel::Palette(_),
        ) => return Ok(()),
        Some(Panel::Released(released)) => return released::allowed(model, released, action),
        Some(Panel::Help(_)) => {}
        None => {
            let own = match model.view {
                View::Inbox => batch::allowed(model, action),
                View::Metrics if model.run.is_some() => charts::allowed(model, action),
                _ => None,
            };
            if let Some(answer) = own.or_else(|| super::lists::allowed(model, model.place_under(panels), action)) {
                return answer;
            }
        }
    }
    match action {
        Action::Open
        | Action::Zoom
        | Action::Shell
        | Action::Attach
        | Action::Retry
        | Action::Skip
        | Action::Done
        | Action::Stop
        | Action::Log
        | Action::Describe
        | Action::Waits
        | Action::Follow
        | Action::Copy
        | Action::Mark
            if panels.is_empty() || matches!(action, Action::Log | Action::Shell | Action::Retry) =>
        {
            match model.lane() {
                Some(step) => on_step(model, step, action),
                None => Err("no step is selected".into()),
            }
        }
        Action::Pause | Action::StopRun | Action::ResumeRun => on_run(model, action),
        Action::NextQuestion | Action::PreviousQuestion => questions::next_allowed(model),
        Action::Demo | Action::Starter | Action::OpenFile | Action::WrapCommand => on_first(model, action),
        Action::OpenBegun if model.newcomer().is_none() => Err("no other run has begun meanwhile".into()),
        Action::Undo if model.undo.is_none() => Err("there is nothing to take back".into()),
        _ => Ok(()),
    }
}

fn on_first(model: &Model, action: Action) -> Result<(), String> {
    if !model.first() {
        return Err("there are runs already: the list of runs starts more".into());
    }
    match action {
        Action::Starter if model.manner.found.workflows.iter().any(|name| name == "dogwatch.toml") => {
            Err("there is a dogwatch.toml in this folder already".into())
        }
        _ => Ok(()),
    }
}

fn on_run(model: &Model, action: Action) -> Result<(), String> {
    let state = model.run.as_ref().map(|run| run.line.state).ok_or("no run is looked at")?;
    match action {
        Action::ResumeRun if state.ended() && state != RunState::Succeeded => Ok(()),
        Action::ResumeRun => Err(format!("the run is {}: there is nothing to go on with", state.word())),
        _ if state.ended() => Err(format!("the run is over: {}", state.word())),
        Action::StopRun if state == RunState::Stopping => Err("the run is being stopped".into()),
        _ => Ok(()),
    }
}

fn on_step(model: &Model, step: &StepView, action: Action) -> Result<(), String> {
    let name = step.name();
    let is = is_words(step.state);
    let some = |yes: bool, why: String| if yes { Ok(()) } else { Err(why) };
    let gate = step.command.is_empty() && step.attempt == 0;
    match action {
        Action::Attach | Action::Log if step.outside => {
            Err(format!("{name} runs nothing, it waits for something outside: w has it looked at now"))
        }
        Action::Attach => some(
            matches!(step.state, StepState::Starting | StepState::Running | StepState::Ready | StepState::Stopping),
            format!("{name} {is}: there is no program to type into; s opens a shell beside it"),
        ),
        Action::Shell => some(!gate, format!("{name} is an approval: it has no place of its own")),
        Action::Stop => some(
            matches!(step.state, StepState::Running | StepState::Ready | StepState::Starting),
            format!("{name} {is}: there is nothing to stop"),
        ),
        Action::Retry => some(
            !gate
                && !matches!(
                    step.state,
                    StepState::Running
                        | StepState::Ready
                        | StepState::Starting
                        | StepState::Stopping
                        | StepState::Probing
                        | StepState::Verifying
                ),
            format!("{name} {is}: stop it first"),
        ),
        Action::Skip | Action::Done => some(
            matches!(
                step.state,
                StepState::Waiting | StepState::Retrying | StepState::Failed | StepState::Stopped | StepState::Asking
            ),
            format!("{name} {is}"),
        ),
        Action::Waits => some(step.state.runs(), format!("{name} {is}: it has no clocks")),
        Action::Log => some(step.attempt > 0, format!("{name} has not run yet")),
        Action::Follow => some(
            model.scroll.get(&model.lane_key(step)).is_some_and(|back| *back > 0),
            "the newest output is shown already".into(),
        ),
        _ => Ok(()),
    }
}

/// Does it.
pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    let Some(step) = model.lane().cloned() else {
        return Vec::new();
    };
    match action {
        Action::Open => open(model),
        Action::Zoom => {
            model.zoomed = !model.zoomed;
            Vec::new()
        }
        Action::Shell => live(model, &step, LiveKind::Shell, false),
        Action::Attach => attach(model, &step),
        Action::Retry => menu(model, retry(model, &step)),
        Action::Skip => menu(model, skip(model, &step)),
        Action::Stop => menu(model, stop(model, &step)),
        Action::Waits => menu(model, waits(model, &step)),
        Action::Copy => menu(model, copy(model, &step)),
        Action::Log => log::open(model, model.lane_key(&step), Some(step.attempt), ""),
        Action::Describe => {
            let about = About::Step(model.lane_key(&step));
            model.panels.push(Panel::Sheet(Sheet { about, top: 0 }));
            Vec::new()
        }
        _ => Vec::new(),
    }
}

pub(super) fn menu(model: &mut Model, menu: Menu) -> Vec<Effect> {
    model.panels.push(Panel::Menu(menu));
    Vec::new()
}

/// Enter: a matrix folds, a step that needs somebody opens its question, any other zooms. It never retries.
fn open(model: &mut Model) -> Vec<Effect> {
    if let Some(RowKey::Matrix(name)) = model.selected.clone().filter(|_| model.view == View::Overview && !model.zoomed)
    {
        let folded = model.rows().iter().any(|row| {
            row.key == RowKey::Matrix(name.clone()) && matches!(row.kind, Kind::Matrix { folded: true, .. })
        });
        model.folds.insert(name, if folded { Fold::Unfolded } else { Fold::Folded });
        return Vec::new();
    }
    let open = |id: &u64| model.questions().iter().any(|asked| asked.id == *id);
    if let Some(id) = model.lane().and_then(|step| step.escalation).filter(open) {
        return questions::open(model, id);
    }
    model.zoomed = !model.zoomed;
    Vec::new()
}

/// An order about a lane.
pub(super) fn order(model: &Model, step: &StepView, order: Order) -> Effect {
    let run = model.lane_key(step).run;
    Effect::tell(Ask::Order { run, step: step.name(), order, note: None, checkpoint: None })
}

fn lost(model: &Model, step: &StepView) -> String {
    took(step, model.now_ms).map_or_else(String::new, |ran| format!("; {} of work is done again", span(ran)))
}

fn retry(model: &Model, step: &StepView) -> Menu {
    let mut items = vec![Item::nothing("not now", "nothing is changed")];
    if let Some(path) = &step.checkpoint {
        let at = step.checkpoint_step.map_or_else(|| path.clone(), |at| format!("step {at}"));
        items.push(Item::new("from checkpoint", format!("a new attempt from {at}"), order(model, step, Order::Resume)));
    }
    let effect = format!("a new attempt from the start{}", lost(model, step));
    items.push(Item::new("from the start", effect, order(model, step, Order::Retry)));
    if matches!(step.state, StepState::Failed | StepState::Stopped) {
        items.push(Item::new("mark done", "it counts as succeeded: fixed by hand", order(model, step, Order::Done)));
    }
    Menu::new(format!("run {} again?", step.name()), Vec::new(), items, model.now_ms)
}

fn skip(model: &Model, step: &StepView) -> Menu {
    let items = vec![
        Item::nothing("no", "nothing is changed"),
        Item::new(
            "skip",
            "the run goes on without it; what needs it sees it as left out",
            order(model, step, Order::Skip),
        ),
    ];
    Menu::new(format!("go on without {}?", step.name()), Vec::new(), items, model.now_ms)
}

fn stop(model: &Model, step: &StepView) -> Menu {
    let run = model.lane_key(step).run;
    let ran = took(step, model.now_ms).map_or_else(String::new, span);
    let kept = match (&step.checkpoint, step.checkpoint_step) {
        (Some(_), Some(at)) => format!("Its newest checkpoint, step {at}, is kept."),
        (Some(path), None) => format!("Its newest checkpoint is kept: {path}"),
        (None, _) => format!("It has no checkpoint: {ran} of work is lost."),
    };
    let items = vec![
        Item::nothing("no", "it goes on"),
        Item::new(
            "stop",
            "asked to end (TERM), killed when its grace is over",
            Effect::tell(Ask::StopStep { run, step: step.name() }),
        ),
    ];
    Menu::new(format!("stop {}, after {ran}?", step.name()), vec![kept], items, model.now_ms)
}

/// What can be said about the clocks of a running step.
fn waits(model: &Model, step: &StepView) -> Menu {
    let run = model.run.as_ref().map(|run| run.line.id.clone()).unwrap_or_default();
    let say = |order| Effect::tell(Ask::Clocks { run: run.clone(), step: step.name(), order });
    let timers = step.waits.iter().map(|wait| {
        format!("{} {}", crate::tui::page::waits::kind_words(wait.kind), span((wait.until_ms - model.now_ms).max(0)))
    });
    let mut items = vec![
        Item::nothing("wait", "leave them as they are"),
        Item::new("+15 m", "time limit and stall, a quarter of an hour later", say(ClockOrder::More { ms: 900_000 })),
        Item::new("hold", "they stand still until they are let go on", say(ClockOrder::Hold)),
        Item::new("go on", "they count again", say(ClockOrder::GoOn)),
        Item::new("never stall", "no silence of this attempt is asked about", say(ClockOrder::NeverStall)),
    ];
    if step.waits.iter().any(|wait| wait.kind == crate::wire::client::WaitKind::Look) {
        items.push(Item::new("look now", "whether it is there", say(ClockOrder::LookNow)));
    }
    Menu::new(format!("the clocks of {}", step.name()), timers.collect(), items, model.now_ms)
}

fn copy(model: &Model, step: &StepView) -> Menu {
    let mut items = vec![
        Item::new("name", step.name(), Effect::Copy(step.name())),
        Item::new("command", step.command.clone(), Effect::Copy(step.command.clone())),
        Item::new("directory", step.dir.clone(), Effect::Copy(step.dir.clone())),
    ];
    if let Some(run) = &model.run {
        let words = format!("dogwatch logs {} {}", run_arg(&run.line), crate::faces::words::step_arg(step));
        items.push(Item::new("log command", words.clone(), Effect::Copy(words)));
    }
    if let Some(path) = &step.checkpoint {
        items.push(Item::new("checkpoint", path.clone(), Effect::Copy(path.clone())));
    }
    Menu::new(format!("copy, of {}", step.name()), Vec::new(), items, model.now_ms)
}

/// Stopping the whole run asks for its name.
pub(super) fn stop_run(model: &Model) -> Confirm {
    let (name, number, id, arg) = model.run.as_ref().map_or_else(Default::default, |run| {
        (run.line.name.clone(), run.line.number, run.line.id.clone(), run_arg(&run.line))
    });
    let states = || model.run.iter().flat_map(|run| &run.steps).map(|step| step.state);
    let running = states().filter(|state| state.runs() || *state == StepState::Starting).count();
    let waiting = states().filter(|state| matches!(state, StepState::Waiting | StepState::Retrying)).count();
    Confirm {
        title: format!("Stop run {name} #{number}"),
        words: vec![
            format!(
                "Stops {running} running step(s) now (TERM, then KILL after their grace) and {waiting} waiting one(s)."
            ),
            "Kept: logs, checkpoints, everything that steps wrote.".into(),
            format!("Goes on from there with:  dogwatch resume {arg}"),
        ],
        name,
        typed: Field::default(),
        does: Effect::tell(Ask::StopRun { run: id }),
    }
}
