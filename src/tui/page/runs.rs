//! The history of runs, and under it what the selected one has that the one before had not. Pure.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::faces::words::{count, run_name, span};
use crate::tui::draw::{Frame, Pen, first_shown, row, width};
use crate::tui::model::{Model, Sourced};
use crate::tui::panel::compare;
use crate::tui::theme::Role;
use crate::tui::view::{run_role, shape};
use crate::wire::client::RunLine;

/// Lines below the table: an empty one, what differs, what is usual.
const BELOW: u16 = 3;

/// Where the rows of the table stand in the room of the page.
pub fn table(room: Rect) -> Rect {
    let inner = Rect {
        x: room.x + 1.min(room.width),
        y: room.y + 1.min(room.height),
        width: room.width.saturating_sub(2),
        height: room.height.saturating_sub(2),
    };
    let below = if inner.height > BELOW + 4 { BELOW } else { 0 };
    Rect { y: inner.y + 1.min(inner.height), height: inner.height.saturating_sub(1 + below), ..inner }
}

/// The run in a row of the screen.
pub fn at(model: &Model, room: Rect, y: u16) -> Option<usize> {
    let area = table(room);
    let shown = model.shown_runs().len();
    let cursor = model.cursors.runs.min(shown.saturating_sub(1));
    let first = first_shown(cursor, shown, usize::from(area.height));
    let line = usize::from(y.checked_sub(area.y).filter(|line| *line < area.height)?);
    Some(first + line).filter(|place| *place < shown)
}

/// Draws the page.
pub fn draw(model: &Model, room: Rect, buf: &mut Buffer) {
    let theme = &model.manner.theme;
    let shown = model.shown_runs();
    let title = if model.filters.runs.is_empty() { "Runs".into() } else { format!("Runs / {}", model.filters.runs) };
    let right = if shown.len() == model.runs.len() {
        count(shown.len(), "run", "runs")
    } else {
        format!("{} of {}", shown.len(), model.runs.len())
    };
    let marks = model.marked_runs.len();
    let foot = match marks {
        0 => String::new(),
        2 => "2 marked".into(),
        _ => format!("{marks} marked: two can be compared"),
    };
    let inner = Frame::light(&title).right(&right).foot(&foot).draw(buf, theme, room);
    let area = table(room);
    let columns = Columns::new(model, usize::from(area.width), &shown);
    head(model, &columns, row(inner, 0), buf);
    let cursor = model.cursors.runs.min(shown.len().saturating_sub(1));
    let first = first_shown(cursor, shown.len(), usize::from(area.height));
    for (line, (place, run)) in (0..area.height).zip(shown.iter().enumerate().skip(first)) {
        let mut pen = Pen::new(buf, theme, row(area, line));
        if place == cursor {
            pen = pen.over(Role::Selected);
        }
        one(model, run, &columns, place == cursor, &mut pen);
        pen.rest();
    }
    if shown.is_empty() {
        let words = if model.runs.is_empty() { "no runs yet" } else { "no run has that in its name or state" };
        Pen::new(buf, theme, row(area, 0)).space(2).text(Role::Dim, words);
    }
    if inner.bottom() > area.bottom() {
        let below = Rect { y: area.bottom() + 1, height: inner.bottom().saturating_sub(area.bottom() + 1), ..inner };
        about(model, below, buf);
    }
}

/// How wide each column is; 0: it is left out.
struct Columns {
    number: usize,
    name: usize,
    state: usize,
    started: usize,
    took: usize,
    steps: usize,
    asked: usize,
}

impl Columns {
    /// What matters least goes first where there is no room.
    fn new(model: &Model, width: usize, shown: &[&RunLine]) -> Self {
        let longest = shown.iter().map(|run| super::super::draw::width(&run.name)).max().unwrap_or(8).max(8);
        let numbers = shown.iter().map(|run| run.number.to_string().len() + 1).max().unwrap_or(3).max(3);
        let asked = if model.runs.iter().any(|run| run.asking > 0) { 5 } else { 0 };
        let mut columns = Self { number: numbers, name: 0, state: 11, started: 15, took: 6, steps: 7, asked };
        for (least, needed) in [(&mut columns.started, 64), (&mut columns.steps, 50), (&mut columns.took, 40)] {
            if width < needed {
                *least = 0;
            }
        }
        let gaps = [columns.number, columns.state, columns.started, columns.took, columns.steps, columns.asked];
        let used: usize = 2 + gaps.iter().filter(|one| **one > 0).map(|one| one + 2).sum::<usize>();
        columns.name = longest.min(width.saturating_sub(used).max(8));
        columns
    }
}

fn head(model: &Model, columns: &Columns, area: Rect, buf: &mut Buffer) {
    let mut pen = Pen::new(buf, &model.manner.theme, area);
    pen.space(2);
    let names = [
        ("RUN", columns.number),
        ("WORKFLOW", columns.name),
        ("STATE", columns.state),
        ("STARTED", columns.started),
        ("TOOK", columns.took),
        ("STEPS", columns.steps),
        ("ASKS", columns.asked),
    ];
    for (name, wide) in names.into_iter().filter(|(_, wide)| *wide > 0) {
        pen.field(Role::Dim, name, wide).space(2);
    }
}

fn one(model: &Model, run: &RunLine, columns: &Columns, here: bool, pen: &mut Pen<'_>) {
    pen.text(Role::Focus, if here { "❯" } else { " " });
    pen.text(Role::Focus, if model.marked_runs.contains(&run.id) { "*" } else { " " });
    pen.field(Role::Strong, &format!("#{}", run.number), columns.number).space(2);
    pen.field(Role::Plain, &run.name, columns.name).space(2);
    let state = format!("{} {}", shape(run.shown()), run.shown().word());
    pen.field(run_role(run.shown()), &state, columns.state).space(2);
    if columns.started > 0 {
        pen.field(Role::Dim, &started(model, run.created_ms), columns.started).space(2);
    }
    if columns.took > 0 {
        let took = span(run.ended_ms.unwrap_or(model.now_ms) - run.created_ms);
        pen.field(Role::Plain, &format!("{took:>6}"), columns.took).space(2);
    }
    if columns.steps > 0 {
        pen.field(Role::Plain, &format!("{}/{}", run.steps_done, run.steps), columns.steps).space(2);
    }
    if columns.asked > 0 && run.asking > 0 {
        pen.text(Role::Attention, &format!("▲ {}", run.asking));
    }
}

/// `today 13:02`, `yesterday 08:10`, `Nov 19 08:10`, `2025-11-19`.
pub fn started(model: &Model, ms: i64) -> String {
    let zone = &model.manner.zone;
    let at = |ms| jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_zoned(zone.clone());
    let (then, now) = (at(ms), at(model.now_ms));
    let days = now.date() - then.date();
    match days.get_days() {
        0 => then.strftime("today %H:%M").to_string(),
        1 => then.strftime("yesterday %H:%M").to_string(),
        _ if then.year() == now.year() => then.strftime("%b %-d %H:%M").to_string(),
        _ => then.strftime("%Y-%m-%d").to_string(),
    }
}

/// What differs of the selected run from the one before, and how long such runs take.
fn about(model: &Model, area: Rect, buf: &mut Buffer) {
    let Some(here) = model.run_here() else {
        return;
    };
    let theme = &model.manner.theme;
    if let Some(before) = model.run_before(here) {
        let mut pen = Pen::new(buf, theme, row(area, 0));
        pen.space(2).text(Role::Strong, &format!("#{} → #{}", before.number, here.number)).space(2);
        let words = match (model.sources.get(&before.id), model.sources.get(&here.id)) {
            (Some(Sourced::Known(older)), Some(Sourced::Known(newer))) => compare::short(older, newer),
            (Some(Sourced::Refused(why)), _) | (_, Some(Sourced::Refused(why))) => why.clone(),
            _ => "…".into(),
        };
        pen.text(Role::Plain, &words);
    } else {
        let words = format!("{} is the first run of its name", run_name(here));
        Pen::new(buf, theme, row(area, 0)).space(2).text(Role::Dim, &words);
    }
    let mut pen = Pen::new(buf, theme, row(area, 1));
    pen.space(2);
    match model.usual_ms(&here.name) {
        Some((usual, runs)) => {
            let words = format!("usual: {} (median of {})", span(usual), count(runs, "good run", "good runs"));
            pen.text(Role::Plain, &words);
        }
        None => {
            pen.text(Role::Dim, "no good run of this name yet");
        }
    }
    if here.ended_ms.is_none() {
        let words = format!("   this one: {} so far", span(model.now_ms - here.created_ms));
        if width(&words) <= pen.left() {
            pen.text(Role::Dim, &words);
        }
    }
}
