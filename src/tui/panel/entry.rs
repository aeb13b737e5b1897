//! A field for one line of text: what a list is narrowed to, what a log is searched for, which file or command is to be
//! started. Owns the field, never what follows from its text. Pure.

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::{Field, Panel, centred, help, log};
use crate::tui::draw::{Frame, Pen, blank, row, width};
use crate::tui::keys::{Action, Place};
use crate::tui::message::Effect;
use crate::tui::model::Model;
use crate::tui::theme::Role;

/// What the text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Narrows the list of runs while it is typed.
    Runs,
    /// Narrows the journal while it is typed.
    Journal,
    /// Narrows the list of series while it is typed.
    Metrics,
    /// Narrows the help below it while it is typed.
    Help,
    /// Looks for it in the log below.
    Log,
    /// The workflow file to start.
    File,
    /// The command to run.
    Command,
}

/// A field with what it is for.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub wanted: Wanted,
    pub line: Field,
    /// What the list was narrowed to before: what Esc goes back to.
    before: String,
}

impl Entry {
    /// There is something to take.
    pub fn ready(&self) -> bool {
        let needed = matches!(self.wanted, Wanted::File | Wanted::Command);
        !needed || !self.line.text().trim().is_empty()
    }

    /// Empty, or with what is wanted so far.
    pub fn new(model: &Model, wanted: Wanted) -> Self {
        let before = match wanted {
            Wanted::Runs => model.filters.runs.clone(),
            Wanted::Journal => model.filters.journal.clone(),
            Wanted::Metrics => model.filters.metrics.clone(),
            Wanted::Help => help::filter(model),
            Wanted::File => model.manner.found.workflows.first().cloned().unwrap_or_default(),
            Wanted::Log | Wanted::Command => String::new(),
        };
        Self { wanted, line: Field::new(&before), before }
    }
}

/// A key: types, takes it, or goes back.
pub fn key(model: &mut Model, mut entry: Entry, key: KeyEvent) -> Vec<Effect> {
    match model.manner.keys.action(Place::Text, key) {
        Some(Action::Back) => {
            let before = entry.before.clone();
            narrow(model, entry.wanted, &before);
            Vec::new()
        }
        Some(Action::Accept) => take(model, entry),
        Some(_) | None => {
            if entry.line.key(key) {
                narrow(model, entry.wanted, entry.line.text());
            }
            model.panels.push(Panel::Entry(entry));
            Vec::new()
        }
    }
}

/// Text that was pasted into it.
pub fn pasted(model: &mut Model, mut entry: Entry, text: &str) {
    entry.line.paste(text);
    narrow(model, entry.wanted, entry.line.text());
    model.panels.push(Panel::Entry(entry));
}

/// Lists follow what is typed.
fn narrow(model: &mut Model, wanted: Wanted, text: &str) {
    match wanted {
        Wanted::Runs => {
            text.clone_into(&mut model.filters.runs);
            model.cursors.runs = 0;
        }
        Wanted::Journal => {
            text.clone_into(&mut model.filters.journal);
            model.cursors.journal = 0;
        }
        Wanted::Metrics => text.clone_into(&mut model.filters.metrics),
        Wanted::Help => help::narrow(model, text),
        Wanted::Log | Wanted::File | Wanted::Command => {}
    }
}

fn take(model: &mut Model, entry: Entry) -> Vec<Effect> {
    let text = entry.line.text().trim().to_owned();
    match entry.wanted {
        Wanted::Runs | Wanted::Journal | Wanted::Metrics | Wanted::Help => Vec::new(),
        Wanted::Log => log::look_for(model, entry.line.text()),
        Wanted::File | Wanted::Command if !entry.ready() => {
            model.panels.push(Panel::Entry(entry));
            Vec::new()
        }
        Wanted::File => vec![Effect::StartFile { path: text }],
        Wanted::Command => vec![Effect::Exec { command: text }],
    }
}

/// Draws it: narrowing and searching in the last line of the room, the others in the middle.
pub fn draw(model: &Model, entry: &Entry, room: Rect, buf: &mut Buffer) -> Option<Position> {
    let (title, words) = match entry.wanted {
        Wanted::Runs | Wanted::Journal | Wanted::Metrics | Wanted::Help | Wanted::Log => {
            return at_the_end(model, entry, room, buf);
        }
        Wanted::File => ("Start a workflow file", files(model)),
        Wanted::Command => ("Run one command", vec!["As sh reads it, in this folder, under supervision:".into()]),
    };
    let longest = words.iter().map(|words| width(words) + 4).max().unwrap_or(0).max(60);
    let area = centred(room, u16::try_from(longest).unwrap_or(60), u16::try_from(words.len() + 4).unwrap_or(6));
    blank(buf, area);
    let theme = &model.manner.theme;
    let inner = Frame::heavy(title).draw(buf, theme, area);
    let mut line = 0;
    for words in &words {
        Pen::new(buf, theme, row(inner, line)).space(1).text(Role::Plain, words);
        line += 1;
    }
    let here = row(inner, line + 1);
    Pen::new(buf, theme, here).text(Role::Focus, " ❯ ");
    entry.line.draw(
        theme,
        Role::Strong,
        "",
        Rect { x: here.x + 3.min(here.width), width: here.width.saturating_sub(4), ..here },
        buf,
    )
}

fn files(model: &Model) -> Vec<String> {
    match &model.manner.found.workflows[..] {
        [] => vec!["No workflow file was found in this folder; write the path of one.".into()],
        found => vec![format!("Found here: {}", found.join("  "))],
    }
}

fn at_the_end(model: &Model, entry: &Entry, room: Rect, buf: &mut Buffer) -> Option<Position> {
    let last = row(room, room.height.saturating_sub(1));
    let theme = &model.manner.theme;
    blank(buf, last);
    let words = if entry.wanted == Wanted::Log { " search (regular expression): " } else { " show only: " };
    let mut pen = Pen::new(buf, theme, last);
    pen.text(Role::Key, words);
    let left = u16::try_from(pen.left()).unwrap_or(0);
    entry.line.draw(theme, Role::Strong, "", Rect { x: last.right().saturating_sub(left), width: left, ..last }, buf)
}
