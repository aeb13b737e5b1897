//! The top line: whose screen it is, the run and how it is, what needs somebody, what the machine does. Between any two of
//! them there are blanks; where there is no room, what matters least gives way, then the run's name is cut. Pure.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{run_role, shape};
use crate::faces::words::{gib, run_left, run_name, span};
use crate::tui::draw::{Pen, clean, fit, width};
use crate::tui::keys::{Action, Place};
use crate::tui::message::LiveKind;
use crate::tui::model::{Model, Stage};
use crate::tui::panel::Panel;
use crate::tui::theme::Role;
use crate::tui::update;

/// Blanks between two parts.
const GAP: usize = 2;
/// A name is not cut to less while anything else can give way.
const NAME: usize = 8;
/// Of parameters less than that says nothing.
const PARAMS: usize = 16;
/// So much of what is wrong with the run is always there.
const TROUBLE: usize = 24;

/// Draws it. While attached it cannot be mistaken.
pub(super) fn draw(model: &Model, area: Rect, buf: &mut Buffer) {
    if attached(model, area, buf) {
        return;
    }
    let mut pen = Pen::new(buf, &model.manner.theme, area);
    let line = Line::of(model, pen.left());
    pen.space(1);
    for (nth, (role, text)) in line.left.iter().enumerate() {
        pen.space(if nth == 0 { 0 } else { GAP }).text(*role, text);
    }
    pen.until_left(line.right_columns() + 1);
    for (nth, (role, text)) in line.right.iter().enumerate() {
        pen.space(if nth == 0 { 0 } else { GAP }).text(*role, text);
    }
}

/// What stands in it, cut to its room.
struct Line {
    left: Vec<(Role, String)>,
    right: Vec<(Role, String)>,
}

impl Line {
    fn of(model: &Model, columns: usize) -> Self {
        let mut parts = Parts::of(model);
        let gives: [fn(&mut Parts); 4] = [
            |parts| parts.machine.clear(),
            |parts| parts.state.clone_from(&parts.without_left),
            |parts| parts.brand = "",
            |parts| parts.state.clone_from(&parts.short),
        ];
        for give in gives {
            if parts.columns() <= columns {
                break;
            }
            give(&mut parts);
        }
        let over = parts.columns().saturating_sub(columns);
        parts.name = fit(&parts.name, width(&parts.name).saturating_sub(over).max(NAME));
        let right: Vec<_> = [(Role::Attention, parts.need.clone()), (Role::Dim, parts.machine.clone())].into();
        let mut line =
            Self { left: Vec::new(), right: right.into_iter().filter(|(_, text)| !text.is_empty()).collect() };
        let after = if line.right.is_empty() { 0 } else { line.right_columns() + GAP };
        let mut room = columns.saturating_sub(after + 2);
        for (role, text) in parts.left() {
            // A few letters and `…` say nothing.
            if room < width(&text).min(if role == Role::Dim { PARAMS } else { 2 }) {
                break;
            }
            let text = fit(&text, room);
            room = room.saturating_sub(width(&text) + GAP);
            line.left.push((role, text));
        }
        line
    }

    fn right_columns(&self) -> usize {
        together(self.right.iter().map(|(_, text)| width(text)))
    }
}

/// All that there is to say.
struct Parts {
    brand: &'static str,
    readonly: &'static str,
    name: String,
    role: Role,
    state: String,
    without_left: String,
    short: String,
    /// What is wrong with the run, or peculiar to it; how much of it has to be there.
    extra: (Role, String, usize),
    need: String,
    machine: String,
}

impl Parts {
    fn of(model: &Model) -> Self {
        let readonly = if model.manner.readonly { "read-only" } else { "" };
        let mut parts = Self {
            // A narrow terminal has better use for it.
            brand: if model.size.columns < 60 && model.run.is_some() { "" } else { "dogwatch" },
            readonly,
            name: String::new(),
            role: Role::Plain,
            state: String::new(),
            without_left: String::new(),
            short: String::new(),
            extra: extra(model),
            need: need(model),
            machine: machine(model),
        };
        if let Some(asked) = asked_run(model) {
            parts =
                Self { brand: "", readonly: "", name: clean(asked), extra: none(), machine: String::new(), ..parts };
        } else if let Some(run) = &model.run {
            let line = &run.line;
            let took = span(line.ended_ms.unwrap_or(model.now_ms) - line.created_ms);
            parts.name = clean(&run_name(line));
            parts.role = run_role(line.shown());
            parts.short = format!("{} {took}", shape(line.shown()));
            parts.without_left = format!("{} {} {took}", shape(line.shown()), line.shown().word());
            let left = run.left.as_ref().and_then(run_left);
            parts.state =
                left.map_or_else(|| parts.without_left.clone(), |left| format!("{} · {left}", parts.without_left));
        }
        parts
    }

    /// Those at the left, in their order.
    fn left(&self) -> impl Iterator<Item = (Role, String)> {
        let parts = [
            (Role::Strong, self.brand.to_owned()),
            (Role::Attention, self.readonly.to_owned()),
            (Role::Strong, self.name.clone()),
            (self.role, self.state.clone()),
            (self.extra.0, self.extra.1.clone()),
        ];
        parts.into_iter().filter(|(_, text)| !text.is_empty())
    }

    /// The columns that all of it needs, with a blank at either end.
    fn columns(&self) -> usize {
        let whole = [self.brand, self.readonly, &self.name, &self.state, &self.need, &self.machine];
        2 + together(whole.iter().map(|text| width(text)).chain([width(&self.extra.1).min(self.extra.2)]))
    }
}

/// The columns of parts beside one another; those of none count for nothing.
fn together(widths: impl Iterator<Item = usize>) -> usize {
    let (parts, columns) = widths.filter(|one| *one > 0).fold((0, 0), |(parts, all), one| (parts + 1, all + one));
    columns + GAP * usize::saturating_sub(parts, 1)
}

/// The run that a prompt asks about, where only the top line has room for its name.
fn asked_run(model: &Model) -> Option<&str> {
    let Some(Panel::Prompt(prompt)) = model.panels.last().filter(|_| model.size.columns < 60) else {
        return None;
    };
    model.question(prompt.id).map(|asked| asked.run_name.as_str())
}

/// How many questions are open and how to come to them; in a prompt: which of them it is, and how to leave it.
fn need(model: &Model) -> String {
    let keys = &model.manner.keys;
    let open = model.questions();
    if let Some(Panel::Prompt(prompt)) = model.panels.last() {
        let place = open.iter().position(|asked| asked.id == prompt.id).map_or(0, |place| place + 1);
        let ways = [(Action::NextQuestion, "next"), (Action::Back, "later")];
        // On a narrow terminal the last line says it.
        let ways = ways.iter().filter(|(action, _)| model.size.columns >= 60 && update::available(model, *action));
        let words = ways.map(|(action, what)| format!("  {} {what}", keys.words_of(Place::Prompt, *action)));
        return format!("▲ {place} of {}{}", open.len(), words.collect::<String>());
    }
    let key = keys.words_of(Place::Any, Action::NextQuestion);
    match open.len() {
        0 => String::new(),
        n if model.size.columns < 60 => format!("▲ {n} ({key})"),
        1 => format!("▲ 1 needs you ({key})"),
        n => format!("▲ {n} need you ({key})"),
    }
}

fn none() -> (Role, String, usize) {
    (Role::Dim, String::new(), 0)
}

/// What is wrong with the run, or that nothing keeps it apart; else, where there is room, with what it runs.
fn extra(model: &Model) -> (Role, String, usize) {
    let Some(run) = &model.run else { return none() };
    if let Some(trouble) = &run.trouble {
        return (Role::Attention, clean(trouble), TROUBLE);
    }
    if run.isolation.as_ref().is_some_and(|isolation| !isolation.sandboxed) {
        return (Role::Attention, "NOT ISOLATED".into(), usize::MAX);
    }
    if model.size.columns < 120 || run.params.is_empty() {
        return none();
    }
    let params: Vec<String> = run.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
    (Role::Dim, clean(&params.join(" ")), 0)
}

fn machine(model: &Model) -> String {
    // Once the run is over nothing is measured any more, nor where the terminal is narrow: an old number is none.
    let going = model.size.columns >= 80 && model.run.as_ref().is_none_or(|run| !run.line.state.ended());
    let Some(machine) = model.resources.as_ref().map(|resources| &resources.machine).filter(|_| going) else {
        return String::new();
    };
    let mut words = Vec::new();
    if let Some(gpu) = machine.gpus.first() {
        words.push(format!("GPU0 {:.0}%", gpu.percent));
    } else if let Some(cpu) = machine.cpu_percent {
        words.push(format!("CPU {cpu:.0}%"));
    }
    if model.size.columns >= 100 {
        let used = machine.memory_total.saturating_sub(machine.memory_available);
        words.push(format!("RAM {}/{}G", gib(used), gib(machine.memory_total)));
        words.push(format!("disk {}G", gib(machine.disk_free)));
    }
    words.join("  ")
}

fn attached(model: &Model, area: Rect, buf: &mut Buffer) -> bool {
    let own = &model.manner.let_go;
    let (sign, what, way_out) = match (&model.attached, model.panels.last()) {
        (Some(attached), _) if attached.stage == Stage::Starts => {
            let esc = "Esc cancels".to_owned();
            ("WAITING", format!("attaching to {} as soon as it starts", attached.lane.name), esc)
        }
        (Some(_), _) if let Some(over) = model.typed_into_over() => {
            let what = format!("{} has ended: nobody gets what you type", over.name);
            ("ENDED", what, format!("{own} lets go"))
        }
        (Some(attached), _) => {
            let what = if attached.kind == LiveKind::Shell { "beside" } else { "into" };
            ("ATTACHED", format!("you are typing {what} {}", attached.lane.name), format!("{own} lets go"))
        }
        (None, Some(Panel::Released(released))) if !released.fleeting() => {
            let what = format!("nobody gets what you type: not {}", released.lane.name);
            ("LET GO", what, format!("{own} leaves"))
        }
        (None, _) => return false,
    };
    let mut pen = Pen::new(buf, &model.manner.theme, area).over(Role::Attached);
    pen.text(Role::Plain, &format!("▓▓ {sign} ▓▓ "));
    let room = pen.left().saturating_sub(width(&way_out) + 8);
    pen.field(Role::Plain, &what, room.min(width(&what))).text(Role::Plain, " ▓▓ ").text(Role::Plain, &way_out);
    let left = pen.left().saturating_sub(1);
    pen.text(Role::Plain, &format!(" {}", "▓".repeat(left)));
    true
}
