//! The whole screen from the model: top line, rooms, panels, hints. Pure: the same model gives the same picture.

mod top;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Color;

use super::draw::{Pen, Room, clean, layout, middle, row, width};
use super::keys::{Action, Binding, Place};
use super::message::Link;
use super::model::{Model, Stage, View};
use super::page::panes::Pictures;
use super::page::{charts, checkpoints, first, graph, inbox, journal, machine, panes, runs, steps, waits};
use super::panel::Panel;
use super::theme::Role;
use super::{draw, panel, update};
use crate::faces::words::{count, run_name};
use crate::wire::client::RunState;

/// Draws everything; gives where the terminal's own cursor stands, where there is one.
pub fn view(model: &Model, pictures: &dyn Pictures, buf: &mut Buffer) -> Option<Position> {
    let layout = layout(model);
    let mut cursor = None;
    for (room, area) in &layout.rooms {
        match room {
            Room::Top => top::draw(model, *area, buf),
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
    if let Some(attached) = model.attached.as_ref().filter(|attached| attached.stage == Stage::Starts) {
        pen.text(Role::Key, "Esc").text(Role::Plain, " cancels   ");
        let keys = usize::try_from(attached.keys).unwrap_or(usize::MAX);
        let kept = if keys == 0 { String::new() } else { format!(" ({} so far)", count(keys, "key", "keys")) };
        pen.text(Role::Dim, &format!("what you type goes to the program when it runs{kept}"));
        return;
    }
    if model.place() == Place::Attached {
        let asking = model.questions().len();
        pen.text(Role::Key, &model.manner.let_go).text(Role::Plain, " let go");
        if asking > 0 {
            pen.text(Role::Attention, &format!("   ▲ {asking} need you (never opens over your typing)"));
        }
        let over = model.typed_into_over().is_some();
        let words =
            if over { "   it has ended: no other key does anything" } else { "   everything else goes to the program" };
        pen.text(Role::Dim, words);
        return;
    }
    let place = model.place();
    for binding in hinted(model) {
        if place == Place::Prompt && in_frame(binding.action) {
            continue;
        }
        let key = key_range(model, binding);
        let words = hint(model, binding);
        if pen.left() < width(&key) + width(&words) + 5 {
            break;
        }
        pen.text(Role::Key, &key).text(Role::Plain, &format!(" {words}  "));
    }
    let help = model.manner.keys.of(place, Action::Help);
    if place == Place::Prompt && !model.manner.readonly {
        let who = format!("recorded as {}", clean(&model.manner.operator));
        let after = help.map_or(0, |help| width(&help.key_words()) + 3);
        if pen.left() >= width(&who) + after {
            pen.until_left(width(&who) + after).text(Role::Dim, &who);
        }
    }
    if let Some(help) = help {
        pen.until_left(width(&help.key_words()) + 1).text(Role::Key, &help.key_words());
    }
}

/// What a key is called in the last line.
fn hint(model: &Model, binding: &Binding) -> String {
    let words = binding.hint.clone().unwrap_or_default();
    match model.newcomer().filter(|_| binding.action == Action::OpenBegun) {
        Some(run) => format!("{words} {}", middle(&clean(&run_name(run)), 24)),
        None => words,
    }
}

/// What just happened, where one line is too short for it: in some more above the last one.
fn told(model: &Model, line: Rect, buf: &mut Buffer) {
    const MOST: usize = 4;
    let Some(flash) = model.flash.as_ref().filter(|_| !matches!(model.link, Link::Lost { .. })) else { return };
    let words = clean(&flash.words);
    if width(&words) < usize::from(line.width) {
        return;
    }
    let columns = usize::from(line.width).saturating_sub(2);
    let lines = draw::wrap(&words, columns);
    let rows = u16::try_from(lines.len().min(MOST)).unwrap_or(1).min(line.y.max(1));
    let area = Rect { y: (line.y + 1).saturating_sub(rows), height: rows, ..line };
    draw::blank(buf, area);
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
    let over = model.run.as_ref().is_none_or(|run| run.line.state.ended());
    let acts = |binding: &&Binding| {
        binding.hint.is_some()
            && keys.reaches(place, binding)
            && update::available(model, binding.action)
            // Whoever looks at a run that goes on was told once that another one began.
            && (over || binding.action != Action::OpenBegun)
    };
    let mut hinted: Vec<&Binding> = keys.here(place).filter(acts).collect();
    // On a narrow terminal only the first have room: what somebody waits for is one of them.
    let narrow = model.size.columns < 60;
    hinted.sort_by_key(|binding| match binding.action {
        Action::Undo => 0,
        Action::OpenBegun => 1,
        Action::NextQuestion if narrow && place != Place::Prompt => 2,
        _ => 3,
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
        (Some(attached), _) if attached.stage != Stage::Starts => format!("ATTACHED {}", clean(&attached.lane.name)),
        (_, Some(run)) if model.view != View::Runs => {
            format!("dogwatch {}", clean(&run_name(&run.line)))
        }
        (_, _) => "dogwatch".into(),
    }
}
