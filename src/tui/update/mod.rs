//! What every message does to the model, and what it causes outside. Pure: no clock, no IO; the same messages give the same
//! model and the same effects.

mod attach;
mod batch;
mod mouse;
mod moves;
mod news;
mod questions;
mod step;

pub use batch::{offered, withheld};
pub use questions::{HOLD_MS, SNOOZE_MS};
pub use step::available;

use crossterm::event::{KeyEvent, KeyEventKind};

use super::keys::{Action, Place};
use super::message::{Effect, Message, Purpose, Refused};
use super::model::{Model, View};
use super::panel::{Panel, confirm, menu};
use crate::faces::words::{run_arg, run_name};
use crate::wire::client::{Ask, Reply};

/// Takes a message.
pub fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    expire(model);
    match message {
        Message::Key(key) if key.kind == KeyEventKind::Release => Vec::new(),
        Message::Key(key) => pressed(model, key),
        Message::Mouse(mouse) => mouse::mouse(model, mouse),
        Message::Pasted(text) => pasted(model, &text),
        Message::Typed(bytes) => attach::typed(model, bytes),
        Message::LetGo => attach::let_go(model),
        Message::Resized(size) => {
            model.size = size;
            Vec::new()
        }
        Message::Tick => Vec::new(),
        Message::News(news) => news::news(model, *news),
        Message::Answered { why, result } => answered(model, why, result),
        Message::Live { lane, kind, result } => attach::opened(model, &lane, kind, result),
        Message::LiveEnded { lane, kind } => attach::ended(model, &lane, kind),
        Message::Found(_) => Vec::new(),
    }
}

/// What is over is taken away.
fn expire(model: &mut Model) {
    let now = model.now_ms;
    model.flash.take_if(|flash| flash.until_ms <= now);
    model.undo.take_if(|undo| undo.until_ms <= now);
}

/// A picture of the model has reached the terminal. A prompt listens only from then on.
pub fn drawn(model: &mut Model) {
    let now = model.now_ms;
    if let Some(Panel::Prompt(prompt)) = model.panels.last_mut() {
        prompt.seen(now);
    }
}

fn pressed(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    if model.attached.is_some() {
        return attach::key(model, key);
    }
    // What was said is read by now; the key still does what it does.
    model.flash = None;
    if let Some(panel) = model.panels.pop() {
        let effects = match panel {
            Panel::Menu(panel) => menu::key(model, panel, key),
            Panel::Confirm(panel) => confirm::key(model, panel, key),
            Panel::Prompt(panel) => return questions::key(model, panel, key),
        };
        questions::sent(model, &effects);
        return effects;
    }
    match model.manner.keys.pressed(model.place(), key) {
        // Where nothing is marked digits are views, as everywhere.
        Some((Action::Choose, _)) if model.marked_questions.is_empty() => {
            let outside = model.manner.keys.action(Place::Any, key);
            outside.map(|action| act(model, action)).unwrap_or_default()
        }
        Some((Action::Choose, nth)) if available(model, Action::Choose) => batch::choose(model, nth),
        Some((action, _)) => act(model, action),
        None => Vec::new(),
    }
}

fn pasted(model: &mut Model, text: &str) -> Vec<Effect> {
    if model.attached.is_some() {
        return attach::pasted(model, text);
    }
    match model.panels.last_mut() {
        Some(Panel::Confirm(panel)) => panel.typed.paste(text),
        Some(Panel::Prompt(panel)) => {
            if let Some(field) = &mut panel.writing {
                field.paste(text);
            }
        }
        Some(Panel::Menu(_)) | None => {}
    }
    Vec::new()
}

/// Does what a key, the palette or the mouse wants.
pub fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    if let Err(why) = step::allowed(model, action) {
        model.complain(why);
        return Vec::new();
    }
    match action {
        Action::Overview => show(model, View::Overview),
        Action::Panes => show(model, View::Panes),
        Action::Checkpoints => show(model, View::Checkpoints),
        Action::Runs => show(model, View::Runs),
        Action::Journal => show(model, View::Journal),
        Action::Inbox => show(model, View::Inbox),
        Action::Redraw => vec![Effect::Redraw],
        Action::Suspend => vec![Effect::Suspend],
        Action::NotSo => {
            let key = model
                .manner
                .keys
                .of(Place::Any, Action::Leave)
                .map_or_else(String::new, super::keys::Binding::key_words);
            model.say(format!("{key} leaves; the run goes on. Ctrl-C stops nothing here"));
            Vec::new()
        }
        Action::Leave => leave(model),
        Action::Back => back(model),
        Action::Undo => questions::undo(model),
        Action::NextQuestion => questions::next(model, false),
        Action::PreviousQuestion => questions::next(model, true),
        Action::Pause | Action::StopRun | Action::ResumeRun => on_run(model, action),
        Action::Up
        | Action::Down
        | Action::Left
        | Action::Right
        | Action::PageUp
        | Action::PageDown
        | Action::Top
        | Action::Bottom
        | Action::FocusNext
        | Action::Follow => moves::act(model, action),
        Action::Open | Action::Mark | Action::MarkGroup if model.view == View::Inbox => batch::act(model, action),
        Action::Mark => moves::act(model, action),
        Action::Open
        | Action::Zoom
        | Action::Shell
        | Action::Attach
        | Action::Retry
        | Action::Skip
        | Action::Done
        | Action::Stop
        | Action::Copy => step::act(model, action),
        // Panels take these as keys; the rooms of the others are not built yet.
        Action::Palette
        | Action::Help
        | Action::Log
        | Action::Describe
        | Action::Find
        | Action::FindNext
        | Action::FindPrevious
        | Action::Choose
        | Action::Accept
        | Action::Comment
        | Action::SameForAll
        | Action::ShowRule
        | Action::Snooze
        | Action::MarkGroup
        | Action::Compare
        | Action::Again
        | Action::LetGo
        | Action::Demo
        | Action::Starter
        | Action::OpenFile
        | Action::WrapCommand => Vec::new(),
    }
}

/// Goes to a view; what lay over the one before is closed.
fn show(model: &mut Model, view: View) -> Vec<Effect> {
    model.panels.clear();
    model.view = view;
    model.zoomed = false;
    Vec::new()
}

/// Back one: zoom, then the overview. Never leaves.
fn back(model: &mut Model) -> Vec<Effect> {
    if model.zoomed {
        model.zoomed = false;
    } else if model.view != View::Overview {
        model.view = View::Overview;
    }
    Vec::new()
}

/// Closes what is open; from a view itself it leaves, and says that the run goes on.
fn leave(model: &mut Model) -> Vec<Effect> {
    if model.zoomed {
        model.zoomed = false;
        return Vec::new();
    }
    let words = match &model.run {
        Some(run) if !run.line.state.ended() => format!(
            "left; {} goes on.  dogwatch          comes back\n{:indent$}dogwatch status {}",
            run_name(&run.line),
            "",
            run_arg(&run.line),
            indent = run_name(&run.line).chars().count() + 16,
        ),
        Some(_) | None => String::new(),
    };
    vec![Effect::Leave { words }]
}

fn on_run(model: &mut Model, action: Action) -> Vec<Effect> {
    let Some(line) = model.run.as_ref().map(|run| run.line.clone()) else {
        return Vec::new();
    };
    let run = line.id.clone();
    match action {
        Action::Pause if line.state == crate::wire::client::RunState::Paused => {
            vec![Effect::tell(Ask::Unpause { run })]
        }
        Action::Pause => vec![Effect::tell(Ask::Pause { run })],
        Action::ResumeRun => vec![Effect::tell(Ask::Resume { run, from: None })],
        _ => {
            model.panels.push(Panel::Confirm(step::stop_run(model)));
            Vec::new()
        }
    }
}

fn answered(model: &mut Model, why: Purpose, result: Result<Reply, Refused>) -> Vec<Effect> {
    if why == Purpose::Quiet {
        return Vec::new();
    }
    let reply = match result {
        Ok(reply) => reply,
        Err(refused) => {
            if let Purpose::Decide { id } = why {
                questions::refused(model, id);
            }
            let hint = refused.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            model.complain(format!("{}{hint}", refused.words));
            return Vec::new();
        }
    };
    match (why, reply) {
        (Purpose::Open, Reply::Run(run)) => {
            let id = run.line.id.clone();
            model.say(format!("{} started", run_name(&run.line)));
            model.view = View::Overview;
            vec![Effect::Watch { run: id }]
        }
        (Purpose::Over { .. }, Reply::Escalation(asked)) => {
            if let Some(words) = questions::over_words(&asked) {
                model.complain(words);
            }
            Vec::new()
        }
        // The receipt was shown when it was sent.
        (Purpose::Decide { .. }, _) => Vec::new(),
        (
            Purpose::Tell
            | Purpose::Quiet
            | Purpose::Undo { .. }
            | Purpose::Over { .. }
            | Purpose::Open
            | Purpose::Compare { .. },
            reply,
        ) => told(model, reply),
    }
}

fn told(model: &mut Model, reply: Reply) -> Vec<Effect> {
    if let Reply::Done { words } = reply {
        model.say(words);
    }
    Vec::new()
}
