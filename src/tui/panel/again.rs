//! A run again, with other parameters: a small form made from the run's frozen file. Owns what was typed; the engine decides
//! whether the values are right. Pure.

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::{Field, Panel, centred};
use crate::faces::words::run_name;
use crate::tui::draw::{Frame, Pen, blank, first_shown, row, width};
use crate::tui::keys::{Action, Place};
use crate::tui::message::{Effect, Purpose};
use crate::tui::model::{Model, Sourced};
use crate::tui::theme::Role;
use crate::wire::client::{Ask, RunLine, SourceView};
use crate::wire::secrets::Secrets;

/// A parameter of a frozen file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    pub name: String,
    /// As it was in that run.
    pub value: String,
    /// It was given with the run; otherwise it is the file's default.
    pub given: bool,
    /// What the file says of it, and what it can be.
    pub about: String,
}

/// The parameters of a run, in the file's order, those that only the run names last.
pub fn params(source: &SourceView) -> Vec<Param> {
    let given = |name: &str| source.params.iter().find(|(one, _)| one == name).map(|(_, value)| value.clone());
    let mut all = Vec::new();
    // The engine has run it, so it can be read; if this build cannot, the run's own words are left.
    let table = source.text.parse::<toml::Table>().unwrap_or_default();
    for (name, param) in table.get("params").and_then(toml::Value::as_table).into_iter().flatten() {
        let own = given(name);
        let default = param.get("default").map(plain);
        all.push(Param {
            name: name.clone(),
            given: own.is_some(),
            value: own.or(default).unwrap_or_default(),
            about: about(param),
        });
    }
    for (name, value) in &source.params {
        if !all.iter().any(|param| param.name == *name) {
            all.push(Param { name: name.clone(), value: value.clone(), given: true, about: String::new() });
        }
    }
    all
}

fn plain(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn about(param: &toml::Value) -> String {
    let text = param.get("description").and_then(toml::Value::as_str).unwrap_or_default();
    let choices = param.get("choices").and_then(toml::Value::as_array);
    let choices = choices.map(|all| all.iter().map(plain).collect::<Vec<_>>().join(", "));
    match choices {
        Some(choices) if text.is_empty() => format!("one of {choices}"),
        Some(choices) => format!("{text}: {choices}"),
        None => text.into(),
    }
}

/// The form.
#[derive(Debug, Clone, PartialEq)]
pub struct Again {
    pub run: RunLine,
    /// Empty until the file is known.
    pub fields: Vec<(Param, Field)>,
    pub cursor: usize,
    pub known: bool,
}

impl Again {
    /// For this run; its file may still have to come.
    pub fn new(run: RunLine) -> Self {
        Self { run, fields: Vec::new(), cursor: 0, known: false }
    }

    /// The file is known: the form gets its fields, once.
    pub fn fill(&mut self, source: &SourceView) {
        if !self.known {
            self.known = true;
            self.fields = params(source).into_iter().map(|param| (param.clone(), Field::new(&param.value))).collect();
        }
    }

    /// What the new run is given: what was given before, and what was changed now.
    fn given(&self) -> Vec<(String, String)> {
        let differs = |(param, line): &&(Param, Field)| param.given || line.text() != param.value;
        self.fields.iter().filter(differs).map(|(param, line)| (param.name.clone(), line.text().to_owned())).collect()
    }
}

/// A key: types, goes to another field, starts it, or goes back.
pub fn key(model: &mut Model, mut again: Again, key: KeyEvent) -> Vec<Effect> {
    let last = again.fields.len().saturating_sub(1);
    match model.manner.keys.action(Place::Text, key) {
        Some(Action::Back) => return Vec::new(),
        Some(Action::Accept) if again.known => {
            let ask = Ask::Again { run: again.run.id.clone(), params: again.given(), secrets: Secrets::default() };
            return vec![Effect::Ask { why: Purpose::Open, ask: Box::new(ask) }];
        }
        Some(Action::Up) => again.cursor = again.cursor.saturating_sub(1),
        Some(Action::Down) => again.cursor = (again.cursor + 1).min(last),
        Some(Action::FocusNext) => again.cursor = if again.cursor == last { 0 } else { again.cursor + 1 },
        Some(_) | None => {
            if let Some((_, line)) = again.fields.get_mut(again.cursor) {
                line.key(key);
            }
        }
    }
    model.panels.push(Panel::Again(again));
    Vec::new()
}

/// Text that was pasted into it.
pub fn pasted(model: &mut Model, mut again: Again, text: &str) {
    if let Some((_, line)) = again.fields.get_mut(again.cursor) {
        line.paste(text);
    }
    model.panels.push(Panel::Again(again));
}

/// The files that the forms wait for have come.
pub fn fill(model: &mut Model) {
    let (panels, sources) = (&mut model.panels, &model.sources);
    for panel in panels {
        if let Panel::Again(again) = panel
            && let Some(Sourced::Known(source)) = sources.get(&again.run.id)
        {
            again.fill(source);
        }
    }
}

/// Draws it in the middle; gives the place of the cursor.
pub fn draw(model: &Model, again: &Again, room: Rect, buf: &mut Buffer) -> Option<Position> {
    let fields = again.fields.len().max(1);
    let area = centred(room, 76, u16::try_from(fields + 5).unwrap_or(room.height).max(7));
    blank(buf, area);
    let theme = &model.manner.theme;
    let title = format!("Run {} again", run_name(&again.run));
    let inner = Frame::heavy(&title).draw(buf, theme, area);
    let words = "A new run of the same frozen file. Values that stay empty are refused where the file has no default.";
    let said = if again.known && again.fields.is_empty() {
        "A new run of the same frozen file. It has no parameters."
    } else {
        words
    };
    let said = if again.known { said.to_owned() } else { waiting(model, again) };
    let lines = crate::tui::draw::wrap(&said, usize::from(inner.width.saturating_sub(2)));
    for (place, line) in (0..inner.height.min(2)).zip(&lines) {
        Pen::new(buf, theme, row(inner, place)).space(1).text(Role::Dim, line);
    }
    let below = Rect { y: inner.y + 3.min(inner.height), height: inner.height.saturating_sub(3), ..inner };
    form(model, again, below, buf)
}

fn waiting(model: &Model, again: &Again) -> String {
    match model.sources.get(&again.run.id) {
        Some(Sourced::Refused(why)) => why.clone(),
        Some(Sourced::Asked | Sourced::Known(_)) | None => "asking the engine for its file …".into(),
    }
}

fn form(model: &Model, again: &Again, area: Rect, buf: &mut Buffer) -> Option<Position> {
    let theme = &model.manner.theme;
    let names = again.fields.iter().map(|(param, _)| width(&param.name)).max().unwrap_or(0).min(20);
    let first = first_shown(again.cursor, again.fields.len(), usize::from(area.height));
    let mut cursor = None;
    for (place, (number, (param, line))) in (0..area.height).zip(again.fields.iter().enumerate().skip(first)) {
        let here = row(area, place);
        let chosen = number == again.cursor;
        let mut pen = Pen::new(buf, theme, here);
        pen.text(Role::Focus, if chosen { " ❯ " } else { "   " });
        pen.field(if chosen { Role::Strong } else { Role::Plain }, &param.name, names).space(2);
        let left = u16::try_from(pen.left()).unwrap_or(0);
        let typed = (left / 2).max(16).min(left);
        let about = left.saturating_sub(typed + 1);
        let field = Rect { x: here.right() - left, width: typed, ..here };
        let at = line.draw(theme, Role::Strong, "", field, buf);
        if chosen {
            cursor = at;
        }
        Pen::new(buf, theme, Rect { x: here.right() - about, width: about, ..here }).text(Role::Dim, &param.about);
    }
    cursor
}
