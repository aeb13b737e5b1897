//! Typing into a step or into a shell beside it. While it lasts every key is the program's, but one; nothing opens over it.

use crossterm::event::KeyEvent;

use crate::faces::words::{count, span};
use crate::tui::keys::typed::encode;
use crate::tui::message::{Effect, LiveKind, Refused};
use crate::tui::model::{LaneKey, Model};

/// A key that came before the pane was there, or from a terminal that is not read as bytes.
pub(super) fn key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    match encode(key) {
        Some(bytes) if bytes == [0x1d] => let_go(model),
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
        model.attached = None;
        let hint = refused.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        model.complain(format!("{}{hint}", refused.words));
        return Vec::new();
    }
    attached.open = true;
    let bytes = std::mem::take(&mut attached.ahead);
    if bytes.is_empty() {
        return Vec::new();
    }
    vec![Effect::Write { lane: attached.lane.clone(), kind: attached.kind, bytes }]
}

/// The program ended, or somebody took over.
pub(super) fn ended(model: &mut Model, lane: &LaneKey, kind: LiveKind) -> Vec<Effect> {
    let ours = model.attached.as_ref().is_some_and(|attached| attached.lane == *lane && attached.kind == kind);
    if !ours {
        return Vec::new();
    }
    let keys = model.attached.take().map_or(0, |attached| attached.keys);
    model.say(match kind {
        LiveKind::Shell => format!("the shell beside {} has ended", lane.name),
        LiveKind::Attach | LiveKind::Look => {
            format!("you type no more: {} has ended, or somebody else types into it", lane.name)
        }
    });
    vec![Effect::CloseLive { lane: lane.clone(), kind, keys }]
}
