//! Every key with what it does, made from the key table; can be narrowed. Pure.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::draw::{Frame, Pen, blank, row, width};
use crate::tui::keys::{Action, Binding, Place};
use crate::tui::message::Effect;
use crate::tui::model::Model;
use crate::tui::panel::{Entry, Panel, entry, room};
use crate::tui::theme::Role;

/// What stands in the operator's own file.
const YOURS: &str = "yours";

/// The list of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Help {
    /// The place that it was asked in: its keys come first.
    pub place: Place,
    pub filter: String,
    pub top: usize,
}

/// A row of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelpRow {
    pub place: &'static str,
    pub keys: String,
    pub help: String,
    /// `default`, or `yours` when it stands in the operator's own file.
    pub source: &'static str,
}

/// What a place is called.
pub fn place_words(place: Place) -> &'static str {
    match place {
        Place::Any => "everywhere",
        Place::Step => "on a step",
        Place::Log => "in a log",
        Place::Describe => "in a text",
        Place::Metrics => "metrics",
        Place::Checkpoints => "checkpoints",
        Place::Runs => "runs",
        Place::Journal => "journal",
        Place::Inbox => "inbox",
        Place::Help => "help",
        Place::First => "first screen",
        Place::Prompt => "a question",
        Place::Menu => "a menu",
        Place::Text => "a text field",
        Place::Attached => "attached",
        Place::Released => "let go of",
    }
}

/// All rows that have what is looked for: those of the place first, then the others in the table's order.
pub fn rows(model: &Model, help: &Help) -> Vec<HelpRow> {
    let keys = &model.manner.keys;
    let near: Vec<&Binding> = keys.here(help.place).collect();
    let far = keys.all().iter().filter(|binding| !help.place.outward().any(|place| place == binding.place));
    let all = near.iter().copied().chain(far).map(|binding| HelpRow {
        place: place_words(binding.place),
        keys: binding.all_keys(),
        help: binding.help.clone(),
        source: if binding.own { YOURS } else { "default" },
    });
    let wanted = help.filter.to_lowercase();
    all.filter(|row| {
        let words = format!("{} {} {} {}", row.place, row.keys, row.help, row.source).to_lowercase();
        wanted.split_whitespace().all(|word| words.contains(word))
    })
    .collect()
}

/// A line of the list.
enum Listed<'a> {
    /// What is below it, up to the next of these, works here.
    Place(&'static str),
    Key(&'a HelpRow),
}

/// The rows, each place once above its own.
fn under_headings(rows: &[HelpRow]) -> Vec<Listed<'_>> {
    let mut listed = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        if at.checked_sub(1).is_none_or(|before| rows[before].place != row.place) {
            listed.push(Listed::Place(row.place));
        }
        listed.push(Listed::Key(row));
    }
    listed
}

fn of(model: &mut Model) -> Option<&mut Help> {
    model.panels.iter_mut().rev().find_map(|panel| if let Panel::Help(help) = panel { Some(help) } else { None })
}

/// What the list is narrowed to.
pub fn filter(model: &Model) -> String {
    let of = |panel: &Panel| if let Panel::Help(help) = panel { Some(help.filter.clone()) } else { None };
    model.panels.iter().rev().find_map(of).unwrap_or_default()
}

/// Narrows the list.
pub fn narrow(model: &mut Model, text: &str) {
    if let Some(help) = of(model) {
        text.clone_into(&mut help.filter);
        help.top = 0;
    }
}

/// An action in the list.
pub fn act(model: &mut Model, action: Action) -> Option<Vec<Effect>> {
    if action == Action::Find {
        let entry = Entry::new(model, entry::Wanted::Help);
        model.panels.push(Panel::Entry(entry));
        return Some(Vec::new());
    }
    let lines = usize::from(room(model).height.saturating_sub(2)).max(1);
    let Some(Panel::Help(help)) = model.panels.last() else {
        return None;
    };
    let last = under_headings(&rows(model, help)).len().saturating_sub(lines);
    let help = of(model)?;
    help.top = super::sheet::moved(help.top, action, lines, last)?;
    Some(Vec::new())
}

/// Draws it over the whole room.
pub fn draw(model: &Model, help: &Help, room: Rect, buf: &mut Buffer) {
    blank(buf, room);
    let theme = &model.manner.theme;
    let all = rows(model, help);
    let listed = under_headings(&all);
    let lines = usize::from(room.height.saturating_sub(2));
    let top = help.top.min(listed.len().saturating_sub(lines));
    let narrowed = if help.filter.is_empty() { String::new() } else { format!("/{} · ", help.filter) };
    let right = format!("{narrowed}{} keys", all.len());
    let inner = Frame::light("Keys").right(&right).draw(buf, theme, room);
    let roomy = inner.width >= 100;
    let keys = all.iter().map(|row| width(&row.keys)).max().unwrap_or(0).min(if roomy { 18 } else { 11 });
    for (line, listed) in (0..inner.height).zip(listed.iter().skip(top)) {
        let mut pen = Pen::new(buf, theme, row(inner, line));
        let help_row = match listed {
            Listed::Place(place) => {
                pen.text(Role::Strong, place);
                continue;
            }
            Listed::Key(help_row) => help_row,
        };
        pen.space(1).field(Role::Key, &help_row.keys, keys).space(2);
        // What is as built in needs no word where there is little room.
        let source = if roomy || help_row.source == YOURS { help_row.source } else { "" };
        let gap = if source.is_empty() { 0 } else { width(source) + 2 };
        let room = pen.left().saturating_sub(gap);
        pen.field(Role::Plain, &help_row.help, room).space(2).text(Role::Dim, source);
    }
    if all.is_empty() {
        Pen::new(buf, theme, row(inner, 0)).text(Role::Dim, "no key has that in its words");
    }
}
