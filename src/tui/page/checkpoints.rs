//! Checkpoints: a page with all of them, what was kept of environments before those of steps, and a short box. Pure.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::faces::words::{count, span};
use crate::tui::draw::{Frame, Pen, first_shown, row, width};
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::wire::client::{CheckpointView, KeptView};

/// `2.1G`, `340M`, `12K`, `800B`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "K", "M", "G", "T"];
    let mut whole = bytes;
    let mut unit = 0;
    let mut tenths = 0;
    while whole >= 1024 && unit + 1 < UNITS.len() {
        tenths = whole % 1024 * 10 / 1024;
        whole /= 1024;
        unit += 1;
    }
    if unit == 0 || whole >= 100 {
        format!("{whole}{}", UNITS[unit])
    } else {
        format!("{whole}.{tenths}{}", UNITS[unit])
    }
}

/// Environments that are listed; the command line lists all of them.
const ENVIRONMENTS: usize = 5;

/// A line of the page: an environment that was kept and how many more there are, a step's name, one of its checkpoints by
/// its place in the model, or how many more are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item<'a> {
    Environments,
    Kept(&'a KeptView),
    More(usize),
    Step(&'a str),
    One(usize),
    Gone(usize),
}

fn items(model: &Model) -> Vec<Item<'_>> {
    let mut all = Vec::new();
    if !model.kept.is_empty() {
        all.push(Item::Environments);
        all.extend(model.kept.iter().take(ENVIRONMENTS).map(Item::Kept));
        let more = model.kept.len().saturating_sub(ENVIRONMENTS);
        all.extend((more > 0).then_some(Item::More(more)));
    }
    let mut of = None;
    for (place, one) in model.checkpoints.iter().enumerate() {
        if of != Some(&one.step_name) {
            all.extend(of.and_then(|of| model.gone.get(of)).map(|more| Item::Gone(*more)));
            all.push(Item::Step(&one.step_name));
            of = Some(&one.step_name);
        }
        all.push(Item::One(place));
    }
    all.extend(of.and_then(|of| model.gone.get(of)).map(|more| Item::Gone(*more)));
    all
}

/// Draws the page.
pub fn draw(model: &Model, room: Rect, buf: &mut Buffer) {
    let is_good = |one: &&CheckpointView| one.bytes.is_some() && !one.says.starts_with("damaged");
    let good = model.checkpoints.iter().filter(is_good).count();
    let bytes: u64 = model.checkpoints.iter().filter_map(|one| one.bytes).sum();
    let right = format!("{good} good, {}", size(bytes));
    let foot = match (model.resources.as_ref(), &model.run) {
        (Some(resources), Some(_)) => format!("{} free on disk", size(resources.machine.disk_free)),
        _ => String::new(),
    };
    let inner = Frame::light("Checkpoints").right(&right).foot(&foot).draw(buf, &model.manner.theme, room);
    let all = items(model);
    let cursor = model.cursors.checkpoints.min(model.checkpoints.len().saturating_sub(1));
    // Whoever stands on the first one sees what is above it.
    let line = all.iter().position(|item| *item == Item::One(cursor)).unwrap_or(0);
    let line = if cursor == 0 && line < usize::from(inner.height) { 0 } else { line };
    let first = first_shown(line, all.len(), usize::from(inner.height));
    for (place, item) in (0..inner.height).zip(all.iter().skip(first)) {
        let mut pen = Pen::new(buf, &model.manner.theme, row(inner, place));
        match item {
            Item::Environments => {
                pen.space(1).text(Role::Strong, "environments");
            }
            Item::Kept(one) => kept(model, one, &mut pen),
            Item::More(more) => {
                pen.space(2).text(Role::Dim, &format!("+{more} more: dogwatch checkpoints RUN"));
            }
            Item::Step(name) => {
                pen.space(1).text(Role::Strong, name);
            }
            Item::One(place) => {
                if *place == cursor {
                    pen = pen.over(Role::Selected);
                }
                one(model, &model.checkpoints[*place], &mut pen);
                pen.rest();
            }
            Item::Gone(more) => {
                pen.space(2).text(Role::Dim, &format!("+{more} gone"));
            }
        }
    }
    if all.is_empty() {
        nothing(model, inner, buf);
    }
}

fn nothing(model: &Model, inner: Rect, buf: &mut Buffer) {
    let words = [
        "No checkpoint was seen in this run.",
        "A step names its own with [steps.x.checkpoint] pattern = '…'; then a retry can go on from there.",
    ];
    let lines =
        words.iter().flat_map(|words| crate::tui::draw::wrap(words, usize::from(inner.width.saturating_sub(2))));
    for (place, line) in (0..inner.height).zip(lines) {
        Pen::new(buf, &model.manner.theme, row(inner, place)).space(1).text(Role::Dim, &line);
    }
}

fn one(model: &Model, checkpoint: &CheckpointView, pen: &mut Pen<'_>) {
    let damaged = checkpoint.says.starts_with("damaged");
    let there = checkpoint.bytes.is_some() && !damaged;
    let (role, mark) = if there { (Role::Good, "●") } else { (Role::Bad, "×") };
    pen.space(2).text(role, mark).space(1);
    let at = checkpoint.step.map_or_else(|| "seen".into(), |at| format!("step {at}"));
    let age = format!("{} ago", span(model.now_ms - checkpoint.seen_ms));
    let end = match checkpoint.bytes {
        Some(bytes) => format!("{:>6} {}", size(bytes), if checkpoint.newest { "★" } else { " " }),
        None => "  gone  ".into(),
    };
    let attempt = format!("attempt {}", checkpoint.attempt);
    let at_columns = pen.left().saturating_sub(width(&end) + 14).clamp(6, 14);
    pen.field(Role::Plain, &at, at_columns).space(1).field(Role::Dim, &age, 11).space(1).text(role, &end);
    if pen.left() > width(&attempt) + 2 {
        pen.space(2).text(Role::Dim, &attempt);
    }
    let metrics = checkpoint.metric_words();
    if !metrics.is_empty() && pen.left() > width(&metrics) + 2 {
        pen.space(2).text(Role::Plain, &metrics);
    }
    if checkpoint.pinned && pen.left() > 8 {
        pen.space(2).text(Role::Dim, "pinned");
    }
    let says = if damaged { "damaged" } else { checkpoint.says.as_str() };
    if !says.is_empty() && pen.left() > width(says) + 2 {
        pen.space(2).text(if damaged { Role::Bad } else { Role::Dim }, says);
    }
    // What is left of the line is the end of the path: what tells one file from another.
    let left = pen.left();
    if left > 14 {
        pen.space(2).text(Role::Dim, &end_of(&checkpoint.path, left - 2));
    }
}

/// As it is listed by the command line.
fn kept(model: &Model, kept: &KeptView, pen: &mut Pen<'_>) {
    let (role, mark) = if kept.newest { (Role::Good, "●") } else { (Role::Plain, "○") };
    pen.space(2).text(role, mark).space(1);
    let end = format!("{:>6} {}", size(kept.bytes), if kept.newest { "★" } else { " " });
    let after = format!("after {}", kept.step_name);
    let columns = pen.left().saturating_sub(width(&end) + 14).clamp(6, 30);
    let age = format!("{} ago", span(model.now_ms - kept.kept_ms));
    pen.field(Role::Plain, &after, columns).space(1).field(Role::Dim, &age, 11).space(1).text(role, &end);
    let id = kept.image.strip_prefix("sha256:").unwrap_or(&kept.image);
    let facts = [(kept.pinned, "pinned"), (true, kept.environment.as_str()), (true, id.get(..12).unwrap_or(id))];
    for (_, fact) in facts.into_iter().filter(|(is_so, _)| *is_so) {
        if pen.left() > width(fact) + 2 {
            pen.space(2).text(Role::Dim, fact);
        }
    }
}

/// The end of a path in so many columns.
fn end_of(path: &str, columns: usize) -> String {
    let path = crate::tui::draw::clean(path);
    if width(&path) <= columns {
        return path;
    }
    let parts: Vec<&str> = path.split('/').collect();
    let fits = (1..parts.len()).map(|from| format!("…/{}", parts[from..].join("/"))).find(|end| width(end) <= columns);
    fits.unwrap_or_else(|| crate::tui::draw::fit(parts.last().copied().unwrap_or(""), columns))
}

/// Draws the box: for each step its newest first, as many as there is room for.
pub fn room(model: &Model, area: Rect, buf: &mut Buffer) {
    let good = model.checkpoints.iter().filter(|one| one.bytes.is_some()).count();
    let right = count(good, "good", "good");
    let inner = Frame::light("Checkpoints").right(&right).draw(buf, &model.manner.theme, area);
    for (place, item) in (0..inner.height).zip(items(model)) {
        let mut pen = Pen::new(buf, &model.manner.theme, row(inner, place));
        match item {
            Item::Environments => pen.text(Role::Plain, "environments"),
            Item::Kept(one) => {
                let mark = if one.newest { "●" } else { "○" };
                pen.space(1).text(Role::Good, mark).space(1).field(Role::Plain, &one.step_name, 12).space(1);
                pen.field(Role::Dim, &span(model.now_ms - one.kept_ms), 6).space(1);
                pen.text(Role::Good, &format!("{:>6}{}", size(one.bytes), if one.newest { " ★" } else { "" }))
            }
            Item::More(more) => pen.space(1).text(Role::Dim, &format!("+{more} more")),
            Item::Step(name) => pen.text(Role::Plain, name),
            Item::One(place) => {
                short(model, &model.checkpoints[place], &mut pen);
                &mut pen
            }
            Item::Gone(more) => pen.space(1).text(Role::Dim, &format!("+{more} gone")),
        };
    }
    if items(model).is_empty() {
        Pen::new(buf, &model.manner.theme, row(inner, 0)).text(Role::Dim, "none seen");
    }
}

fn short(model: &Model, checkpoint: &CheckpointView, pen: &mut Pen<'_>) {
    let (role, mark) = if checkpoint.bytes.is_some() { (Role::Good, "●") } else { (Role::Bad, "×") };
    let at = checkpoint.step.map_or_else(|| "seen".into(), |at| format!("step {at}"));
    pen.space(1).text(role, mark).space(1).field(Role::Plain, &at, 12).space(1);
    pen.field(Role::Dim, &span(model.now_ms - checkpoint.seen_ms), 6).space(1);
    let end = checkpoint.bytes.map_or_else(|| "gone".into(), size);
    pen.field(role, &format!("{end:>6}"), 6).text(Role::Good, if checkpoint.newest { " ★" } else { "" });
}
