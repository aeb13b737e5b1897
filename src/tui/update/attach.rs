//! Typing into a step or into a shell beside it. While it lasts every key is the program's, but one; nothing opens over it.

use crossterm::event::KeyEvent;

use crate::faces::words::{count, span};
use crate::tui::keys::{Action, typed::encode};
use crate::tui::message::{Effect, Link, LiveKind, Refused};
use crate::tui::model::{LaneKey, Model};
use crate::tui::panel::{Panel, Released, released};

/// So long after it came back an engine may close what the one before it had opened.
const CLOSING_MS: i64 = 5_000;

/// A key that came before the pane was there, or from a terminal that is not read as bytes.
pub(super) fn key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    match encode(key) {
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
    if !attached.open {
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
    let after = span(model.now_ms - attached.since_ms);
    let what = match attached.kind {
        LiveKind::Shell => format!("the shell beside {}", attached.lane.name),
        LiveKind::Attach | LiveKind::Look => attached.lane.name.clone(),
    };
    if attached.kind == LiveKind::Attach {
        model.let_go = Some((attached.lane.clone(), model.now_ms));
    }
    let keys = usize::try_from(attached.keys).unwrap_or(usize::MAX);
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
        let why = format!("{}{hint}", refused.words);
        if attached.keys > 0 {
            // Whoever types already types on.
            let (lane, kind, keys) = (attached.lane.clone(), attached.kind, attached.keys);
            model.attached = None;
            release(model, lane, kind, Some(why), usize::try_from(keys).unwrap_or(usize::MAX));
        } else {
            model.attached = None;
            model.complain(why);
        }
        return Vec::new();
    }
    attached.open = true;
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
    let Released { lane, kind, .. } = released;
    super::step::begin(model, lane.clone(), kind);
    vec![Effect::OpenLive { lane, kind, take_over: false }]
}
