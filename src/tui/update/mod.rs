//! What every message does to the model, and what it causes outside. Pure: no clock, no IO; the same messages give the same
//! model and the same effects.

mod answers;
mod attach;
mod batch;
mod charts;
mod lists;
mod mouse;
mod moves;
mod news;
pub(super) mod questions;
mod step;

pub use answers::HOLD_MS;
pub(super) use attach::again as attach_again;
pub use batch::{offered, withheld};
pub use questions::SNOOZE_MS;
pub use step::{allowed, available};

use crossterm::event::{KeyEvent, KeyEventKind};

use super::keys::{Action, Place};
use super::message::{Effect, Message, Purpose, Refused};
use super::model::{Model, View};
use super::panel::sheet::About;
use super::panel::{self, Help, Palette, Panel, Sheet, entry, log};
use crate::faces::words::{run_arg, run_name};
use crate::wire::client::{Ask, Reply};

/// Takes a message.
pub fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    expire(model);
    let read = reads(model);
    let mut effects = take(model, message);
    // Wherever a panel was closed: a log that nobody reads is not kept open.
    if read && !reads(model) {
        effects.push(Effect::CloseLog);
    }
    questions::look_back(model, &mut effects);
    effects.extend(lists::wants(model));
    effects.extend(charts::wants(model));
    effects
}

/// A log is open.
fn reads(model: &Model) -> bool {
    model.panels.iter().any(|panel| matches!(panel, Panel::Log(_)))
}

fn take(model: &mut Model, message: Message) -> Vec<Effect> {
    match message {
        Message::Key(key) if key.kind == KeyEventKind::Release => Vec::new(),
        Message::Key(key) => pressed(model, key),
        Message::Mouse(mouse) => mouse::mouse(model, mouse),
        Message::Pasted(text) => pasted(model, &text),
        Message::Typed { bytes, keys } => attach::typed(model, bytes, keys),
        Message::LetGo => attach::let_go(model),
        Message::Resized(size) => {
            model.size = size;
            Vec::new()
        }
        Message::Tick => Vec::new(),
        Message::News(news) => news::news(model, *news),
        Message::Answered { why, result } => answered(model, why, result),
        Message::Live { number, result } => attach::opened(model, number, result),
        Message::LiveEnded { lane, kind } => attach::ended(model, &lane, kind),
        Message::Found(search) => log::found(model, search),
        Message::Log(news) => log::news(model, news),
    }
}

/// What is over is taken away.
fn expire(model: &mut Model) {
    let now = model.now_ms;
    model.flash.take_if(|flash| flash.until_ms <= now);
    model.undo.take_if(|undo| undo.until_ms <= now);
    // A shell that has ended is left by what is typed after a moment.
    model.panels.pop_if(|panel| matches!(panel, Panel::Released(one) if one.fleeting() && one.quiet(now)));
}

/// A picture of the model has reached the terminal. What acts on one key listens only from then on.
pub fn drawn(model: &mut Model) {
    let now = model.now_ms;
    match model.panels.last_mut() {
        Some(Panel::Prompt(prompt)) => prompt.guard.seen(now),
        Some(Panel::Menu(menu)) => menu.guard.seen(now),
        Some(_) | None => {}
    }
}

fn pressed(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    if model.attached.is_some() {
        return attach::key(model, key);
    }
    if model.panels.is_empty() && model.now_ms < model.deaf_until_ms {
        return Vec::new();
    }
    // What was said is read by now; the key still does what it does.
    model.flash = None;
    model.picked = None;
    let prompted = matches!(model.panels.last(), Some(Panel::Prompt(_)));
    if let Some(effects) = panel::key(model, key) {
        if !prompted {
            answers::sent(model, &effects);
        }
        attach::opening(model, &effects);
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
    panel::pasted(model, text);
    Vec::new()
}

/// Does what a key, the palette or the mouse wants.
pub fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    if let Err(why) = allowed(model, &model.panels, action) {
        model.complain(why);
        return Vec::new();
    }
    let own = if !model.panels.is_empty() {
        panel::act(model, action)
    } else if model.place() == Place::Metrics {
        charts::act(model, action)
    } else {
        lists::act(model, action)
    };
    if let Some(effects) = own {
        return effects;
    }
    if let Some(view) = view_of(action) {
        return show(model, view);
    }
    match action {
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
        Action::Undo => answers::undo(model),
        Action::NextQuestion => questions::next(model, false),
        Action::PreviousQuestion => questions::next(model, true),
        Action::Pause | Action::StopRun | Action::ResumeRun => on_run(model, action),
        Action::OpenBegun => news::open_begun(model),
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
        Action::Mark => {
            moves::mark(model);
            Vec::new()
        }
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
        | Action::Copy => step::act(model, action),
        Action::Palette => open(model, Panel::Palette(Palette::default())),
        Action::Help => {
            let place = model.place();
            open(model, Panel::Help(Help { place, filter: String::new(), top: 0 }))
        }
        Action::Demo => {
            model.say("the demo is being started …");
            vec![Effect::Demo]
        }
        Action::Starter => vec![Effect::Starter],
        Action::OpenFile => type_in(model, entry::Wanted::File),
        Action::WrapCommand => type_in(model, entry::Wanted::Command),
        // Views are shown by now; panels and lists take the others as keys.
        _ => Vec::new(),
    }
}

fn view_of(action: Action) -> Option<View> {
    Some(match action {
        Action::Overview => View::Overview,
        Action::Panes => View::Panes,
        Action::Metrics => View::Metrics,
        Action::Checkpoints => View::Checkpoints,
        Action::Runs => View::Runs,
        Action::Journal => View::Journal,
        Action::Inbox => View::Inbox,
        _ => return None,
    })
}

fn type_in(model: &mut Model, wanted: entry::Wanted) -> Vec<Effect> {
    lists::entry(model, wanted);
    Vec::new()
}

fn open(model: &mut Model, panel: Panel) -> Vec<Effect> {
    model.panels.push(panel);
    Vec::new()
}

/// Goes to a view; what lay over the one before is closed.
fn show(model: &mut Model, view: View) -> Vec<Effect> {
    model.panels.clear();
    model.view = view;
    model.zoomed = false;
    if view == View::Runs {
        // It stands at the top of the list.
        model.begun = None;
    }
    Vec::new()
}

/// Back one: filter, zoom, then the overview. Never leaves.
fn back(model: &mut Model) -> Vec<Effect> {
    if (model.place() == Place::Metrics && charts::back(model)) || lists::widen(model) {
        return Vec::new();
    }
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
        Action::Pause if line.paused => {
            vec![Effect::tell(Ask::Unpause { run })]
        }
        Action::Pause => vec![Effect::tell(Ask::Pause { run })],
        Action::ResumeRun => vec![Effect::tell(Ask::Resume { run, from: None, checkpoint: None })],
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
    if let Purpose::Chart { .. } = why {
        charts::answered(model, result);
        return Vec::new();
    }
    if let Purpose::Source { run } = why {
        lists::sourced(model, run, result);
        return Vec::new();
    }
    let reply = match result {
        Ok(reply) => reply,
        Err(refused) if refused.words.contains('\n') => {
            // A file's mistakes with their places: more than a line can say.
            let about = About::Words { title: "It was not started".into(), text: refused.words };
            return open(model, Panel::Sheet(Sheet { about, top: 0 }));
        }
        Err(refused) => {
            if let Purpose::Decide { id } = why {
                answers::refused(model, id);
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
        (Purpose::Starter, reply) => {
            model.manner.found.workflows.insert(0, "dogwatch.toml".into());
            told(model, reply)
        }
        (Purpose::Over { .. }, Reply::Escalation(asked)) => {
            if let Some(words) = answers::over_words(&asked) {
                model.complain(words);
            }
            Vec::new()
        }
        // The receipt was shown when it was sent.
        (Purpose::Decide { id }, _) => {
            answers::taken(model, id);
            Vec::new()
        }
        (
            Purpose::Tell
            | Purpose::Quiet
            | Purpose::Undo { .. }
            | Purpose::Over { .. }
            | Purpose::Open
            | Purpose::Source { .. }
            | Purpose::Chart { .. },
            reply,
        ) => told(model, reply),
    }
}

fn told(model: &mut Model, reply: Reply) -> Vec<Effect> {
    if let Reply::Done { words } = reply {
        model.say(words);
    } else if let Reply::Checkpoints(done) = reply {
        model.say(lists::done_words(&done));
    }
    Vec::new()
}
