//! The whole screen from the model: top line, rooms, panels, hints. Pure: the same model gives the same picture.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Color;

use super::draw::{Pen, Room, layout, row, width};
use super::keys::{Action, Binding, Place};
use super::message::{Link, LiveKind};
use super::model::{Model, View};
use super::page::panes::Pictures;
use super::page::{charts, checkpoints, first, graph, inbox, journal, machine, panes, runs, steps, waits};
use super::panel::Panel;
use super::theme::Role;
use super::{panel, update};
use crate::faces::words::{gib, run_left, run_name, span};
use crate::wire::client::RunState;

/// Draws everything; gives where the terminal's own cursor stands, where there is one.
pub fn view(model: &Model, pictures: &dyn Pictures, buf: &mut Buffer) -> Option<Position> {
    let layout = layout(model);
    let mut cursor = None;
    for (room, area) in &layout.rooms {
        match room {
            Room::Top => top(model, *area, buf),
            Room::Hints => hints(model, *area, buf),
            Room::Panes => cursor = panes::draw(model, pictures, *area, buf),
            other => page(model, *other, *area, buf),
        }
    }
    let body = panel::room(model);
    // What is typed into a step is never covered; the panels are back when it is let go.
    for one in model.panels.iter().filter(|_| model.attached.is_none()) {
        cursor = panel::draw(model, pictures, (one, body), buf);
    }
    if let Some((Room::Hints, line)) = layout.rooms.iter().find(|(room, _)| *room == Room::Hints) {
        told(model, *line, buf);
    }
    if let Some(picked) = model.picked.filter(|picked| !picked.is_click()) {
        picked.show(buf);
    }
    if model.manner.theme.is_plain() {
        // Also what steps print is without colour then.
        for cell in &mut buf.content {
            (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
        }
    }
    cursor
}

fn page(model: &Model, room: Room, area: Rect, buf: &mut Buffer) {
    match room {
        Room::Steps => steps::draw(model, area, buf),
        Room::Waits => waits::draw(model, area, buf),
        Room::Page if model.view == View::Inbox => inbox::draw(model, area, buf),
        Room::List => list(model, area, buf),
        Room::Graph => graph::draw(model, area, buf),
        Room::Journal => journal::room(model, area, buf),
        Room::Checkpoints => checkpoints::room(model, area, buf),
        Room::Machine => machine::draw(model, area, buf),
        Room::Page => match model.view {
            View::Overview | View::Panes => first::draw(model, area, buf),
            View::Metrics => charts::draw(model, area, buf),
            View::Checkpoints => checkpoints::draw(model, area, buf),
            View::Runs => runs::draw(model, area, buf),
            View::Journal => journal::draw(model, area, buf),
            View::Inbox => {}
        },
        Room::Top | Room::Hints | Room::Panes => {}
    }
}

/// A terminal that is too small for anything but the states.
fn list(model: &Model, area: Rect, buf: &mut Buffer) {
    let theme = &model.manner.theme;
    let Some(run) = &model.run else {
        Pen::new(buf, theme, row(area, 0)).text(Role::Dim, &no_run(model));
        return;
    };
    let rows = Rect { height: area.height.saturating_sub(1), ..area };
    steps::list(model, run, rows, buf);
    let words = "make the window larger to see panes";
    Pen::new(buf, theme, row(area, area.height.saturating_sub(1))).text(Role::Dim, words);
}

/// What is said where no run is looked at.
pub fn no_run(model: &Model) -> String {
    match &model.link {
        Link::Connecting => "asking the engine …".into(),
        Link::Lost { why } => format!("no engine: {why}"),
        Link::Up if model.runs.is_empty() => "no runs yet".into(),
        Link::Up => "no run is chosen: 5 lists them".into(),
    }
}

/// The top line. While attached it cannot be mistaken.
fn top(model: &Model, area: Rect, buf: &mut Buffer) {
    if attached_line(model, area, buf) {
        return;
    }
    let theme = &model.manner.theme;
    let mut pen = Pen::new(buf, theme, area);
    if let Some(run) = asked_run(model) {
        let need = need(model);
        let room = pen.left().saturating_sub(width(&need) + 3);
        pen.space(1).field(Role::Strong, run, room.min(width(run)));
        pen.until_left(width(&need) + 1).text(Role::Attention, &need);
        return;
    }
    let need = need(model);
    let spared = Spared::of(model, pen.left(), &need);
    if spared.brand {
        pen.space(1).text(Role::Strong, "dogwatch");
    }
    if model.manner.readonly {
        pen.text(Role::Attention, " read-only");
    }
    let reserved = width(&need) + if spared.machine.is_empty() { 0 } else { width(&spared.machine) + 2 } + 2;
    if let Some(run) = &model.run {
        let room = pen.left().saturating_sub(reserved);
        let name = run_name(&run.line);
        let gap = if spared.brand { 2 } else { 1 };
        let named = room.saturating_sub(width(&spared.state) + gap + 4).min(width(&name));
        let role = run_role(run.line.shown());
        pen.space(gap).field(Role::Strong, &name, named).space(2).text(role, &spared.state);
        if let Some(words) = extra(model) {
            pen.space(2).text(Role::Dim, &words);
        }
    }
    pen.until_left(reserved.saturating_sub(1)).text(Role::Attention, &need);
    if !spared.machine.is_empty() {
        pen.space(2).text(Role::Dim, &spared.machine);
    }
}

/// What of the top line gives way to the run's name.
struct Spared {
    brand: bool,
    machine: String,
    state: String,
}

impl Spared {
    fn of(model: &Model, columns: usize, need: &str) -> Self {
        let Some(line) = model.run.as_ref().map(|run| &run.line) else {
            return Self { brand: true, machine: machine(model), state: String::new() };
        };
        let took = span(line.ended_ms.unwrap_or(model.now_ms) - line.created_ms);
        let state = format!("{} {} {took}", shape(line.shown()), line.shown().word());
        let left = model.run.as_ref().and_then(|run| run.left.as_ref()).and_then(run_left);
        let readonly = if model.manner.readonly { 10 } else { 0 };
        let fixed = width(&run_name(line)) + width(need) + readonly + 8;
        let with_left = left.map_or_else(|| state.clone(), |left| format!("{state} · {left}"));
        let mut spared = Self { brand: true, machine: machine(model), state: with_left };
        let fits = |spared: &Self| {
            let brand = if spared.brand { 9 } else { 0 };
            let machine = if spared.machine.is_empty() { 0 } else { width(&spared.machine) + 2 };
            fixed + brand + machine + width(&spared.state) <= columns
        };
        if !fits(&spared) {
            spared.machine.clear();
        }
        if !fits(&spared) {
            spared.state = state;
        }
        if !fits(&spared) {
            spared.brand = false;
        }
        if !fits(&spared) {
            spared.state = format!("{} {took}", shape(line.shown()));
        }
        spared
    }
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

/// What else a wide top line says.
fn extra(model: &Model) -> Option<String> {
    let run = model.run.as_ref()?;
    if let Some(trouble) = &run.trouble {
        return Some(trouble.clone());
    }
    let badge = run.isolation.as_ref().filter(|isolation| !isolation.sandboxed).map(|_| "NOT ISOLATED");
    if let Some(badge) = badge {
        return Some(badge.into());
    }
    if model.size.columns < 120 || run.params.is_empty() {
        return None;
    }
    let params: Vec<String> = run.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
    Some(params.join(" "))
}

fn machine(model: &Model) -> String {
    let Some(machine) = model.resources.as_ref().map(|resources| &resources.machine) else {
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

/// The shape of a run's state.
pub fn shape(state: RunState) -> &'static str {
    match state {
        RunState::Running => "●",
        RunState::Waiting => "▲",
        RunState::Paused => "‖",
        RunState::Stopping | RunState::Stopped => "■",
        RunState::Succeeded => "✓",
        RunState::Failed | RunState::Rejected => "×",
    }
}

/// What a run's state means.
pub fn run_role(state: RunState) -> Role {
    match state {
        RunState::Running => Role::Running,
        RunState::Waiting => Role::Attention,
        RunState::Paused | RunState::Stopping => Role::Waiting,
        RunState::Stopped => Role::Dim,
        RunState::Succeeded => Role::Good,
        RunState::Failed | RunState::Rejected => Role::Bad,
    }
}

fn attached_line(model: &Model, area: Rect, buf: &mut Buffer) -> bool {
    let (sign, what, way_out) = match (&model.attached, model.panels.last()) {
        (Some(attached), _) => {
            let what = if attached.kind == LiveKind::Shell { "beside" } else { "into" };
            ("ATTACHED", format!("you are typing {what} {}", attached.lane.name), "lets go")
        }
        (None, Some(Panel::Released(released))) if !released.fleeting() => {
            ("LET GO", format!("nobody gets what you type: not {}", released.lane.name), "leaves")
        }
        (None, _) => return false,
    };
    let way_out = format!("{} {way_out}", model.manner.let_go);
    let mut pen = Pen::new(buf, &model.manner.theme, area).over(Role::Attached);
    pen.text(Role::Plain, &format!("▓▓ {sign} ▓▓ "));
    let room = pen.left().saturating_sub(width(&way_out) + 8);
    pen.field(Role::Plain, &what, room.min(width(&what))).text(Role::Plain, " ▓▓ ").text(Role::Plain, &way_out);
    let left = pen.left().saturating_sub(1);
    pen.text(Role::Plain, &format!(" {}", "▓".repeat(left)));
    true
}

/// The last line: what just happened, or which keys act now. A key that is shown acts.
fn hints(model: &Model, area: Rect, buf: &mut Buffer) {
    let theme = &model.manner.theme;
    let mut pen = Pen::new(buf, theme, area);
    pen.space(1);
    if let Link::Lost { why } = &model.link {
        pen.text(Role::Attention, &format!("the engine is away, coming back …; steps go on  ({why})"));
        return;
    }
    if let Some(flash) = &model.flash {
        pen.text(if flash.bad { Role::Bad } else { Role::Strong }, &flash.words);
        return;
    }
    if model.place() == Place::Attached {
        let asking = model.questions().len();
        pen.text(Role::Key, &model.manner.let_go).text(Role::Plain, " let go");
        if asking > 0 {
            pen.text(Role::Attention, &format!("   ▲ {asking} need you (never opens over your typing)"));
        }
        pen.text(Role::Dim, "   everything else goes to the program");
        return;
    }
    let place = model.place();
    for binding in hinted(model) {
        if place == Place::Prompt && in_frame(binding.action) {
            continue;
        }
        let key = key_range(model, binding);
        let words = binding.hint.clone().unwrap_or_default();
        if pen.left() < width(&key) + width(&words) + 5 {
            break;
        }
        pen.text(Role::Key, &key).text(Role::Plain, &format!(" {words}  "));
    }
    let help = model.manner.keys.of(place, Action::Help);
    if place == Place::Prompt && !model.manner.readonly {
        let who = format!("recorded as {}", super::draw::clean(&model.manner.operator));
        let after = help.map_or(0, |help| width(&help.key_words()) + 3);
        if pen.left() >= width(&who) + after {
            pen.until_left(width(&who) + after).text(Role::Dim, &who);
        }
    }
    if let Some(help) = help {
        pen.until_left(width(&help.key_words()) + 1).text(Role::Key, &help.key_words());
    }
}

/// What just happened, where one line is too short for it: in some more above the last one.
fn told(model: &Model, line: Rect, buf: &mut Buffer) {
    const MOST: usize = 4;
    let Some(flash) = model.flash.as_ref().filter(|_| !matches!(model.link, Link::Lost { .. })) else { return };
    let words = super::draw::clean(&flash.words);
    if width(&words) < usize::from(line.width) {
        return;
    }
    let columns = usize::from(line.width).saturating_sub(2);
    let lines = super::draw::wrap(&words, columns);
    let rows = u16::try_from(lines.len().min(MOST)).unwrap_or(1).min(line.y.max(1));
    let area = Rect { y: (line.y + 1).saturating_sub(rows), height: rows, ..line };
    super::draw::blank(buf, area);
    let role = if flash.bad { Role::Bad } else { Role::Strong };
    for (place, words) in (0..rows).zip(&lines) {
        // The last one says by `…` that there was more.
        let rest = lines[usize::from(place)..].join(" ");
        let words = if place + 1 == rows { &rest } else { words };
        Pen::new(buf, &model.manner.theme, row(area, place)).space(1).text(role, words);
    }
}

/// The keys that are hinted now: those that act here on what is selected. First the one that is soon too late.
pub fn hinted(model: &Model) -> Vec<&Binding> {
    let place = model.place();
    let keys = &model.manner.keys;
    let acts = |binding: &&Binding| {
        binding.hint.is_some() && keys.reaches(place, binding) && update::available(model, binding.action)
    };
    let mut hinted: Vec<&Binding> = keys.here(place).filter(acts).collect();
    // On a narrow terminal only the first have room: what somebody waits for is one of them.
    let narrow = model.size.columns < 60;
    hinted.sort_by_key(|binding| match binding.action {
        Action::Undo => 0,
        Action::NextQuestion if narrow && place != Place::Prompt => 1,
        _ => 2,
    });
    hinted
}

/// Hints of a prompt that stand in its frame: they help to decide, and decide nothing.
pub fn in_frame(action: Action) -> bool {
    matches!(
        action,
        Action::Log
            | Action::Shell
            | Action::Comment
            | Action::SameForAll
            | Action::SameForRun
            | Action::ShowRule
            | Action::Snooze
            | Action::Compare
    )
}

/// `1-6`: as many of the keys that choose as there are things to choose from.
fn key_range(model: &Model, binding: &Binding) -> String {
    let choices = match (binding.action, model.panels.last()) {
        (Action::Choose, Some(Panel::Prompt(prompt))) => {
            model.question(prompt.id).map_or(1, |asked| panel::prompt::offers(asked).len())
        }
        (Action::Choose, Some(Panel::Menu(menu))) => menu.items.len(),
        (Action::Choose, None) => update::offered(&model.chosen_questions()).len() + 1,
        _ => 1,
    };
    match binding.keys.get(1..choices.min(binding.keys.len())).and_then(<[_]>::last) {
        Some(last) => format!("{}-{}", binding.key_words(), super::keys::key_words(*last)),
        None => binding.key_words(),
    }
}

/// What the machine does is on the screen, so it is measured.
pub fn measures(model: &Model) -> bool {
    model.run.as_ref().is_some_and(|run| !run.line.state.ended())
        && model.size.columns >= 80
        && matches!(model.view, View::Overview | View::Panes | View::Metrics | View::Checkpoints)
}

/// The title of the terminal's window.
pub fn title(model: &Model) -> String {
    match (&model.attached, &model.run) {
        (Some(attached), _) => format!("ATTACHED {}", super::draw::clean(&attached.lane.name)),
        (None, Some(run)) if model.view != View::Runs => {
            format!("dogwatch {}", super::draw::clean(&run_name(&run.line)))
        }
        (None, _) => "dogwatch".into(),
    }
}
