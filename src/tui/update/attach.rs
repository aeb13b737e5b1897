//! Typing into a step or into a shell beside it. While it lasts every key is the program's, but one; nothing opens over it.

use crossterm::event::{KeyCode, KeyEvent};

use super::step;
use crate::faces::words::{count, span};
use crate::tui::keys::{Action, typed::encode};
use crate::tui::message::{Effect, Link, LiveKind, Refused};
use crate::tui::model::{Attached, LaneKey, Model, Stage, is_words};
use crate::tui::panel::menu::Item;
use crate::tui::panel::{Menu, Panel, Released, released};
use crate::wire::client::{StepState, StepView};

/// So long after it came back an engine may close what the one before it had opened.
const CLOSING_MS: i64 = 5_000;

/// Attaches; asks first where somebody else types into it.
pub(super) fn attach(model: &mut Model, step: &StepView) -> Vec<Effect> {
    let lane = model.lane_key(step);
    // Whoever began before this screen let go of it was this screen: the news of that is on its way.
    let let_go = model.let_go.as_ref().filter(|(of, _)| *of == lane).map_or(i64::MIN, |(_, at)| *at);
    let Some(writer) = step.attached.as_ref().filter(|writer| writer.since_ms > let_go) else {
        return live(model, step, LiveKind::Attach, false);
    };
    let words = format!("{} is typing ({} ago).", writer.by, span(model.now_ms - writer.since_ms));
    let take = Effect::OpenLive { lane, kind: LiveKind::Attach, take_over: true };
    step::menu(
        model,
        Menu::new(
            format!("attach to {}", step.name()),
            vec![words],
            vec![
                Item::nothing("watch", "go on looking; what is typed is seen here"),
                Item::new("take over", "the other terminal is let go", take),
            ],
            model.now_ms,
        ),
    )
}

/// Opens a live pane to type into.
pub(super) fn live(model: &mut Model, step: &StepView, kind: LiveKind, take_over: bool) -> Vec<Effect> {
    let lane = model.lane_key(step);
    // What is read would lie over what is typed into.
    model.panels.retain(|panel| !matches!(panel, Panel::Sheet(_) | Panel::Help(_) | Panel::Log(_)));
    begin(model, lane, kind, take_over)
}

/// A panel asked for a pane to type into, such as one that is taken over.
pub(super) fn opening(model: &mut Model, effects: &[Effect]) {
    for effect in effects {
        if let Effect::OpenLive { lane, kind, .. } = effect
            && model.attached.is_none()
        {
            attached(model, lane.clone(), *kind, Stage::Asked);
        }
    }
}

/// From now on keys go to the pane, also those that come before it is there. A step that is being started has no terminal
/// yet: it is asked for when it has.
pub(super) fn begin(model: &mut Model, lane: LaneKey, kind: LiveKind, take_over: bool) -> Vec<Effect> {
    let starting = model.lane_at(&lane).is_some_and(|step| step.state == StepState::Starting);
    if kind == LiveKind::Attach && starting {
        attached(model, lane, kind, Stage::Starts);
        return Vec::new();
    }
    attached(model, lane.clone(), kind, Stage::Asked);
    vec![Effect::OpenLive { lane, kind, take_over }]
}

fn attached(model: &mut Model, lane: LaneKey, kind: LiveKind, stage: Stage) {
    model.attachments += 1;
    let (number, since_ms) = (model.attachments, model.now_ms);
    model.attached = Some(Attached { lane, kind, number, since_ms, keys: 0, stage, ahead: Vec::new() });
}

/// A key that came before the pane was there, or from a terminal that is not read as bytes.
pub(super) fn key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let starts = model.attached.as_ref().is_some_and(|attached| attached.stage == Stage::Starts);
    match encode(key) {
        Some(_) if starts && key.code == KeyCode::Esc => let_go(model),
        Some(bytes) if released::lets_go(model, &bytes) => let_go(model),
        Some(bytes) => typed(model, bytes, 1),
        None => Vec::new(),
    }
}

/// Pasted before the pane was there.
pub(super) fn pasted(model: &mut Model, text: &str) -> Vec<Effect> {
    typed(model, text.as_bytes().to_vec(), 1)
}

/// Bytes for the program.
pub(super) fn typed(model: &mut Model, bytes: Vec<u8>, keys: u64) -> Vec<Effect> {
    let Some(attached) = &mut model.attached else {
        // Read before its end was known here.
        if let Some(Panel::Released(released)) = model.panels.last_mut() {
            released.keys += usize::try_from(keys).unwrap_or(usize::MAX);
            released.heard_ms = model.now_ms;
        }
        return Vec::new();
    };
    attached.keys += keys;
    if attached.stage != Stage::Open {
        attached.ahead.extend(bytes);
        return Vec::new();
    }
    vec![Effect::Write { lane: attached.lane.clone(), kind: attached.kind, bytes }]
}

/// The key that lets go.
pub(super) fn let_go(model: &mut Model) -> Vec<Effect> {
    let Some(attached) = model.attached.take() else {
        // It had ended already.
        model.panels.pop_if(|panel| matches!(panel, Panel::Released(_)));
        return Vec::new();
    };
    let keys = usize::try_from(attached.keys).unwrap_or(usize::MAX);
    if attached.stage == Stage::Starts {
        // Nobody was asked for anything.
        let lost = if keys == 0 { String::new() } else { format!("; {} went nowhere", count(keys, "key", "keys")) };
        model.say(format!("not attached to {}{lost}", attached.lane.name));
        return Vec::new();
    }
    let after = span(model.now_ms - attached.since_ms);
    let what = match attached.kind {
        LiveKind::Shell => format!("the shell beside {}", attached.lane.name),
        LiveKind::Attach | LiveKind::Look => attached.lane.name.clone(),
    };
    if attached.kind == LiveKind::Attach {
        model.let_go = Some((attached.lane.clone(), model.now_ms));
    }
    model.say(format!("let go of {what} after {after}; {} sent", count(keys, "key", "keys")));
    vec![Effect::CloseLive { lane: attached.lane, kind: attached.kind, keys: attached.keys }]
}

/// The pane is there, or was refused.
pub(super) fn opened(model: &mut Model, number: u64, result: Result<(), Refused>) -> Vec<Effect> {
    let Some(attached) = model.attached.as_mut().filter(|attached| attached.number == number) else {
        // Let go before it came, which was said to the engine then.
        return Vec::new();
    };
    if let Err(refused) = result {
        let hint = refused.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        refuse(model, format!("{}{hint}", refused.words));
        return Vec::new();
    }
    attached.stage = Stage::Open;
    let bytes = std::mem::take(&mut attached.ahead);
    if bytes.is_empty() {
        return Vec::new();
    }
    vec![Effect::Write { lane: attached.lane.clone(), kind: attached.kind, bytes }]
}

/// The program ended, somebody took over, or the engine went away. What is typed on goes nowhere until the operator has
/// seen it.
pub(super) fn ended(model: &mut Model, lane: &LaneKey, kind: LiveKind) -> Vec<Effect> {
    let ours = model.attached.as_ref().is_some_and(|attached| attached.lane == *lane && attached.kind == kind);
    if !ours {
        return Vec::new();
    }
    let keys = model.attached.take().map_or(0, |attached| attached.keys);
    if kind == LiveKind::Shell {
        model.say(format!("the shell beside {} has ended", lane.name));
    }
    release(model, lane.clone(), kind, None, 0);
    vec![Effect::CloseLive { lane: lane.clone(), kind, keys }]
}

fn release(model: &mut Model, lane: LaneKey, kind: LiveKind, why: Option<String>, keys: usize) {
    // An engine that was started anew closes the terminals of the one before.
    let just_back = model.back_ms.is_some_and(|at| model.now_ms < at + CLOSING_MS);
    let lost = just_back || matches!(model.link, Link::Lost { .. });
    let heard_ms = model.now_ms;
    model.panels.push(Panel::Released(Released { lane, kind, lost, why, heard_ms, keys }));
}

/// The engine went away: that is why it ended.
pub(super) fn lost(model: &mut Model) {
    if let Some(Panel::Released(released)) = model.panels.last_mut() {
        released.lost = true;
    }
}

/// The engine is back and the step still lives: whoever has not typed meanwhile goes on where he was. Who has would not
/// know which of his keys arrived: he is asked.
pub(super) fn come_back(model: &mut Model) -> Vec<Effect> {
    let Some(Panel::Released(released)) = model.panels.last() else {
        return Vec::new();
    };
    let writer = model.lane_at(&released.lane).is_some_and(|step| step.attached.is_some());
    let can = released::allowed(model, released, Action::Attach).is_ok();
    if !released.lost || released.why.is_some() || released.keys > 0 || writer || !can {
        return Vec::new();
    }
    let Some(Panel::Released(released)) = model.panels.pop() else {
        return Vec::new();
    };
    model.say(format!("the engine is back: you type into {} again", released.lane.name));
    again(model, released)
}

/// Attaches to what was let go of; nobody is taken over.
pub(in crate::tui) fn again(model: &mut Model, released: Released) -> Vec<Effect> {
    begin(model, released.lane, released.kind, false)
}

/// A step that was waited for runs: its terminal is asked for. One that does not begin is not waited for any more.
pub(super) fn started(model: &mut Model) -> Vec<Effect> {
    let Some(attached) = model.attached.as_ref().filter(|attached| attached.stage == Stage::Starts) else {
        return Vec::new();
    };
    let Some(state) = model.lane_at(&attached.lane).map(|step| step.state) else {
        return Vec::new();
    };
    match state {
        StepState::Starting | StepState::Unreachable => Vec::new(),
        StepState::Running | StepState::Ready | StepState::Stopping => {
            let (lane, kind) = (attached.lane.clone(), attached.kind);
            if let Some(attached) = &mut model.attached {
                attached.stage = Stage::Asked;
            }
            vec![Effect::OpenLive { lane, kind, take_over: false }]
        }
        StepState::Waiting
        | StepState::Retrying
        | StepState::Asking
        | StepState::Unknown
        | StepState::Gate
        | StepState::Probing
        | StepState::Verifying
        | StepState::Succeeded
        | StepState::Failed
        | StepState::Skipped
        | StepState::Stopped => {
            let name = attached.lane.name.clone();
            refuse(model, format!("there is no program to type into: {name} {}", is_words(state)));
            Vec::new()
        }
    }
}

/// There is no terminal to type on. Whoever types already types on: that is no command.
fn refuse(model: &mut Model, why: String) {
    let Some(attached) = model.attached.take() else { return };
    if attached.keys == 0 {
        return model.complain(why);
    }
    let keys = usize::try_from(attached.keys).unwrap_or(usize::MAX);
    release(model, attached.lane, attached.kind, Some(why), keys);
}
