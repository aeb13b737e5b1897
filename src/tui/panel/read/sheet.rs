//! A sheet to read from top to end: what a step is and why, a checkpoint, two runs side by side. Owns how it is scrolled and
//! drawn; what stands on it is made anew from the model for every frame. Pure.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{compare, describe};
use crate::tui::draw::{Frame, Pen, blank, row, wrap};
use crate::tui::keys::Action;
use crate::tui::message::Effect;
use crate::tui::model::{LaneKey, Model};
use crate::tui::panel::{Panel, room};
use crate::tui::theme::Role;
use crate::wire::client::CheckpointView;

/// Columns of the labels.
const LABELS: u16 = 13;

/// What a sheet is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// A step, described.
    Step(LaneKey),
    Checkpoint(CheckpointView),
    /// Two runs, by their ids, the older first.
    Runs(String, String),
    /// Something that was said, longer than a line.
    Words {
        title: String,
        text: String,
    },
}

/// A sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    pub about: About,
    /// Lines above the first that is shown.
    pub top: usize,
}

/// A labelled text on it; it takes as many lines as it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub label: &'static str,
    pub role: Role,
    pub text: String,
}

impl Told {
    pub(super) fn new(label: &'static str, role: Role, text: impl Into<String>) -> Self {
        Self { label, role, text: text.into() }
    }
}

/// The title and what stands on it.
pub fn told(model: &Model, about: &About) -> (String, Vec<Told>) {
    match about {
        About::Step(lane) => describe::step(model, lane),
        About::Checkpoint(checkpoint) => describe::checkpoint(model, checkpoint),
        About::Runs(older, newer) => compare::sheet(model, older, newer),
        About::Words { title, text } => (title.clone(), vec![Told::new("", Role::Plain, text.clone())]),
    }
}

/// One line of the screen.
struct Row {
    label: &'static str,
    role: Role,
    text: String,
}

/// A line broken into several, each as far from the left as it was.
fn indented(line: &str, columns: usize) -> Vec<String> {
    let text = line.trim_start_matches(' ');
    let indent = " ".repeat((line.len() - text.len()).min(columns / 2));
    wrap(text, columns - indent.len()).into_iter().map(|part| format!("{indent}{part}")).collect()
}

fn rows(all: &[Told], columns: u16) -> Vec<Row> {
    let columns = usize::from(columns.saturating_sub(LABELS + 1)).max(1);
    let mut rows = Vec::new();
    for told in all {
        let mut label = told.label;
        for text in told.text.split('\n').flat_map(|line| indented(line, columns)) {
            rows.push(Row { label, role: told.role, text });
            label = "";
        }
    }
    rows
}

/// Where a list of lines is after an action: `page` lines fit, `last` is the highest place. `None`: it is no movement.
#[expect(clippy::wildcard_enum_match_arm, reason = "of the many actions a panel takes few")]
pub(super) fn moved(top: usize, action: Action, page: usize, last: usize) -> Option<usize> {
    let top = top.min(last);
    let there = match action {
        Action::Up => top.saturating_sub(1),
        Action::Down => top + 1,
        Action::PageUp => top.saturating_sub(page),
        Action::PageDown => top + page,
        Action::Top => 0,
        Action::Bottom => last,
        _ => return None,
    };
    Some(there.min(last))
}

/// Why an action makes no sense on this sheet.
pub fn allowed(sheet: &Sheet, action: Action) -> Result<(), String> {
    match (&sheet.about, action) {
        (About::Checkpoint(_) | About::Runs(..) | About::Words { .. }, Action::Log | Action::Shell | Action::Retry) => {
            Err("this is not about a step".into())
        }
        _ => Ok(()),
    }
}

/// An action on a sheet.
pub fn act(model: &mut Model, action: Action) -> Option<Vec<Effect>> {
    let Some(Panel::Sheet(sheet)) = model.panels.last() else {
        return None;
    };
    if action == Action::Copy {
        let (_, all) = told(model, &sheet.about);
        let lines: Vec<String> = all.iter().map(line).collect();
        return Some(vec![Effect::Copy(lines.join("\n"))]);
    }
    let area = room(model);
    let lines = usize::from(area.height.saturating_sub(2)).max(1);
    let length = rows(&told(model, &sheet.about).1, area.width.saturating_sub(2)).len();
    let there = moved(sheet.top, action, lines, length.saturating_sub(lines))?;
    if let Some(Panel::Sheet(sheet)) = model.panels.last_mut() {
        sheet.top = there;
    }
    Some(Vec::new())
}

fn line(told: &Told) -> String {
    if told.label.is_empty() { told.text.clone() } else { format!("{}: {}", told.label, told.text) }
}

/// Draws it over the whole room.
pub fn draw(model: &Model, sheet: &Sheet, room: Rect, buf: &mut Buffer) {
    blank(buf, room);
    let theme = &model.manner.theme;
    let (title, all) = told(model, &sheet.about);
    let rows = rows(&all, room.width.saturating_sub(2));
    let lines = usize::from(room.height.saturating_sub(2));
    let top = sheet.top.min(rows.len().saturating_sub(lines));
    let below = rows.len().saturating_sub(top + lines);
    let right = match (top, below) {
        (0, 0) => String::new(),
        (_, 0) => "end".into(),
        _ => format!("{below} more below"),
    };
    let inner = Frame::light(&title).right(&right).draw(buf, theme, room);
    for (place, one) in (0..inner.height).zip(rows.iter().skip(top)) {
        let mut pen = Pen::new(buf, theme, row(inner, place));
        pen.field(Role::Dim, one.label, usize::from(LABELS)).space(1).text(one.role, &one.text);
    }
}
