//! An attachment that ended without its operator: whoever types does not see that at once, so what is typed on goes
//! nowhere until he has seen it. Owns how that is told and which keys end it; attaching again is `update`'s. Pure.

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Panel, centred};
use crate::faces::detach;
use crate::faces::words::count;
use crate::tui::draw::{Frame, Pen, blank, row, wrap};
use crate::tui::keys::{Action, Place, typed::encode};
use crate::tui::message::{Effect, Link, LiveKind};
use crate::tui::model::{LaneKey, Model, is_words};
use crate::tui::theme::Role;
use crate::tui::update;
use crate::wire::client::{StepState, StepView};

/// Keys mean something again when none came for so long: whoever types on does not mean this.
pub const QUIET_MS: i64 = 500;

/// What was let go of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    pub lane: LaneKey,
    pub kind: LiveKind,
    /// The engine went away: it is attached again by itself, unless something was typed meanwhile.
    pub lost: bool,
    /// Why, where the engine said it.
    pub why: Option<String>,
    /// Engine time when it ended, or when the last key came.
    pub heard_ms: i64,
    /// Keys that went nowhere.
    pub keys: usize,
}

impl Released {
    /// A program that its operator may have ended himself: only what was still being typed goes nowhere.
    pub fn fleeting(&self) -> bool {
        self.kind == LiveKind::Shell && !self.lost && self.why.is_none()
    }

    /// No key came for a while.
    pub fn quiet(&self, now_ms: i64) -> bool {
        now_ms >= self.heard_ms + QUIET_MS
    }
}

/// The key that lets go while somebody is attached.
pub fn lets_go(model: &Model, bytes: &[u8]) -> bool {
    detach::Key::parse(&model.manner.let_go).is_ok_and(|key| key.is(bytes))
}

/// Why a key does nothing here; a step that has ended cannot be attached to.
pub fn allowed(model: &Model, released: &Released, action: Action) -> Result<(), String> {
    if action != Action::Attach {
        return Ok(());
    }
    if model.link != Link::Up {
        return Err("the engine is not back yet".into());
    }
    let lives =
        |state| matches!(state, StepState::Starting | StepState::Running | StepState::Ready | StepState::Stopping);
    match model.lane_at(&released.lane) {
        Some(step) if released.kind == LiveKind::Shell || lives(step.state) => Ok(()),
        Some(step) => Err(format!("{} {}: there is no program to type into", step.name(), is_words(step.state))),
        None => Err("another run is looked at".into()),
    }
}

/// A key. Only the one that lets go acts at once; the others when nobody types any more.
pub fn key(model: &mut Model, mut released: Released, key: KeyEvent) -> Vec<Effect> {
    if encode(key).is_some_and(|bytes| lets_go(model, &bytes)) {
        return Vec::new();
    }
    let action = model.manner.keys.action(Place::Released, key).filter(|_| released.quiet(model.now_ms));
    match action {
        Some(Action::Back) => return Vec::new(),
        Some(Action::Attach) if allowed(model, &released, Action::Attach).is_ok() => {
            return update::attach_again(model, released);
        }
        Some(_) | None => {}
    }
    released.keys += 1;
    released.heard_ms = model.now_ms;
    model.panels.push(Panel::Released(released));
    Vec::new()
}

/// What happened, and what becomes of what is typed.
fn words(model: &Model, released: &Released) -> Vec<String> {
    let name = &released.lane.name;
    let mut all = vec![format!("You do not type into {name} any more."), why(model, released)];
    if released.keys > 0 {
        all.push(format!("{} went nowhere.", count(released.keys, "key", "keys")));
    } else if released.lost && allowed(model, released, Action::Attach).is_err() {
        all.push("It is attached to again when it can be.".into());
    }
    all
}

fn why(model: &Model, released: &Released) -> String {
    if let Some(why) = &released.why {
        return format!("{why}.");
    }
    if model.link != Link::Up {
        return "The engine went away; the step goes on.".into();
    }
    let step = model.lane_at(&released.lane).filter(|_| released.kind == LiveKind::Attach);
    match step {
        Some(step) if !step.state.runs() => format!("Its state: {}.", step.state.word()),
        Some(StepView { attached: Some(writer), .. }) => format!("{} types into it now.", writer.by),
        Some(_) | None if released.lost => "The engine was restarted; the step went on.".into(),
        Some(_) | None => "Its terminal was closed.".into(),
    }
}

/// Where it covers nothing that was printed, if there is such a place: below it; else at the top, for what was printed last
/// stands at the end.
fn beside_text(area: Rect, room: Rect, buf: &Buffer) -> Rect {
    let room = room.intersection(buf.area);
    let columns = room.x + 1..room.right().saturating_sub(1);
    let blank = |y: &u16| columns.clone().all(|x| buf[(x, *y)].symbol() == " ");
    // The frame of the pane stands in the last row.
    let last = room.bottom().saturating_sub(1);
    let free = (room.y..last).rev().take_while(blank).count();
    if free >= usize::from(area.height) {
        return Rect { y: last.saturating_sub(area.height), ..area };
    }
    Rect { y: (room.y + 1).min(room.bottom().saturating_sub(area.height)), ..area }
}

/// Draws it beside what was printed, with the keys that end it.
pub fn draw(model: &Model, released: &Released, room: Rect, buf: &mut Buffer) {
    if released.fleeting() {
        return;
    }
    let theme = &model.manner.theme;
    let columns = usize::from(room.width).min(64);
    let lines: Vec<String> =
        words(model, released).iter().flat_map(|one| wrap(one, columns.saturating_sub(4))).collect();
    let narrow = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    let area = beside_text(centred(room, narrow(columns), narrow(lines.len() + 2)), room, buf);
    blank(buf, area);
    let beside = if released.kind == LiveKind::Shell { "the shell beside " } else { "" };
    let title = format!("let go of {beside}{}", released.lane.name);
    let mut foot = format!("{} leaves", model.manner.let_go);
    let again = model.manner.keys.of(Place::Released, Action::Attach);
    if let Some(again) = again.filter(|_| allowed(model, released, Action::Attach).is_ok()) {
        let keys = [again.key_words(), again.hint.clone().unwrap_or_default()];
        foot = format!("{foot}  {}", keys.join(" "));
    }
    let frame = Frame { role: Role::Attention, ..Frame::heavy(&title).foot(&foot) };
    let inner = frame.draw(buf, theme, area);
    for (line, words) in lines.iter().enumerate() {
        Pen::new(buf, theme, row(inner, narrow(line))).space(1).text(Role::Strong, words);
    }
}
