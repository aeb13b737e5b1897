//! The first screen: no run was ever started here; what can be done, and what was found. Pure.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::draw::{Frame, Pen, row};
use crate::tui::keys::{Action, Binding, Place};
use crate::tui::model::Model;
use crate::tui::theme::Role;

/// Draws it.
pub fn draw(model: &Model, room: Rect, buf: &mut Buffer) {
    let theme = &model.manner.theme;
    let inner = Frame::light("").draw(buf, theme, room);
    let all = lines(model);
    let roomy = usize::from(inner.height) >= all.len() + 2;
    let left = if inner.width >= 70 { 6 } else { 1 };
    let mut line = u16::from(roomy);
    for one in all {
        if !roomy && one.text.is_empty() && one.key.is_empty() {
            continue;
        }
        let mut pen = Pen::new(buf, theme, row(inner, line));
        pen.space(left);
        if one.indented {
            pen.field(Role::Key, &one.key, 4);
        }
        pen.text(one.role, &one.text);
        line += 1;
    }
}

struct Line {
    key: String,
    indented: bool,
    role: Role,
    text: String,
}

fn lines(model: &Model) -> Vec<Line> {
    let found = &model.manner.found;
    let empty = || Line { key: String::new(), indented: false, role: Role::Plain, text: String::new() };
    let more = |role, text: String| Line { key: String::new(), indented: true, role, text };
    let mut all = vec![Line { role: Role::Strong, text: "No runs yet.".into(), ..empty() }, empty()];
    let mut offer = |action: Action, text: &str, below: Vec<Line>| {
        if !crate::tui::update::available(model, action) {
            return;
        }
        let key = model.manner.keys.of(Place::First, action).map_or_else(String::new, Binding::key_words);
        all.push(Line { key, indented: true, role: Role::Plain, text: text.into() });
        all.extend(below);
        all.push(empty());
    };
    let what = "it trains a toy model, runs out of memory on purpose and asks you";
    offer(
        Action::Demo,
        "watch a 90-second demo run here  (no Docker, no GPU, no install)",
        vec![more(Role::Dim, what.into())],
    );
    let files = if found.files.is_empty() { "nothing that it knows".into() } else { found.files.join(", ") };
    offer(
        Action::Starter,
        "write a starter dogwatch.toml for this folder",
        vec![more(Role::Dim, format!("found: {files}"))],
    );
    let workflows = match found.workflows.len() {
        0 => Vec::new(),
        _ => vec![more(Role::Good, format!("found: {}", found.workflows.join(", ")))],
    };
    offer(Action::OpenFile, "open a workflow file…", workflows);
    offer(Action::WrapCommand, "wrap one command:   dogwatch exec -- python train.py", Vec::new());
    if model.manner.readonly {
        all.push(more(Role::Dim, "this screen is read-only: nothing can be started from here".into()));
        all.push(empty());
    }
    if let Some(engine) = &model.engine {
        all.push(Line {
            role: Role::Dim,
            text: format!("engine {} runs (pid {})", engine.version, engine.pid),
            ..empty()
        });
    }
    let doctor = "dogwatch doctor says what this machine has and what is missing";
    all.push(Line { role: Role::Dim, text: doctor.into(), ..empty() });
    all
}
