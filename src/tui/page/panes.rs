//! Panes: what steps print. The pictures are the room `screen`'s; here are their frames and places. Pure.

use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Position, Rect};
use ratatui::text::Line;

use super::steps::{held, open_needs, state_words};
use crate::faces::words::span;
use crate::tui::draw::{Frame, Pen, Weight, row, wrap};
use crate::tui::message::LiveKind;
use crate::tui::model::{LaneKey, Model, Size, Stage, View};
use crate::tui::theme::{Role, role_of};
use crate::wire::client::{StepState, StepView};

/// At most so many panes at once.
pub const MOST: usize = 16;

/// Where the pictures of the panes come from.
pub trait Pictures {
    /// Paints the picture of a lane, so many rows scrolled back. `None`: it has none yet. Else where its cursor stands,
    /// if it is to be seen.
    fn paint(&self, lane: &LaneKey, area: Rect, back: usize, buf: &mut Buffer) -> Option<Option<Position>>;

    /// The size of the whole terminal where [`Pictures::paint`] shows only a part of one.
    fn part_of(&self, _lane: &LaneKey, _area: Rect) -> Option<Size> {
        None
    }

    /// Lines of the log that is open, from this one on (from 0), at most so many; fewer where it ends.
    fn log_lines(&self, first: u64, count: usize) -> Vec<Line<'static>>;
}

/// Which lanes are shown, in order: the attached or selected one alone, or the grid.
pub fn shown(model: &Model, room: Rect) -> Vec<LaneKey> {
    let Some(run) = &model.run else {
        return Vec::new();
    };
    if let Some(lane) = model.typed_into() {
        return vec![lane.clone()];
    }
    let selected = model.lane().map(|step| model.lane_key(step));
    let grid =
        !model.zoomed && (model.view == View::Panes || (model.view == View::Overview && model.size.columns >= 140));
    if !grid {
        return selected.into_iter().collect();
    }
    let most = capacity(room);
    let marked: Vec<LaneKey> =
        run.steps.iter().map(|step| model.lane_key(step)).filter(|key| model.marked.contains(key)).collect();
    let mut lanes: Vec<&StepView> = if marked.is_empty() {
        run.steps.iter().filter(|step| step.attempt > 0).collect()
    } else {
        run.steps.iter().filter(|step| marked.contains(&model.lane_key(step))).collect()
    };
    if lanes.len() > most {
        lanes.sort_by_key(|step| (crate::tui::model::urgency(step.state), std::cmp::Reverse(step.started_ms)));
        lanes.truncate(most);
    }
    let mut keys: Vec<LaneKey> = lanes.into_iter().map(|step| model.lane_key(step)).collect();
    if let Some(selected) = selected
        && !keys.contains(&selected)
    {
        keys.truncate(most.saturating_sub(1));
        keys.insert(0, selected);
    }
    keys
}

/// How many panes a room can hold: each at least 38 columns and 6 rows.
fn capacity(room: Rect) -> usize {
    (usize::from(room.width / 38).max(1) * usize::from(room.height / 6).max(1)).min(MOST)
}

/// Where so many panes stand in a room.
pub fn places(room: Rect, count: usize) -> Vec<Rect> {
    if count == 0 {
        return Vec::new();
    }
    let fits = usize::from(room.width / 38).max(1);
    let columns = (1..=fits).find(|columns| columns * columns >= count).unwrap_or(fits);
    let rows = count.div_ceil(columns);
    let mut all = Vec::new();
    for place in 0..count {
        let (down, across) = (place / columns, place % columns);
        // The last row is shared by those that are in it.
        let here = if down + 1 == rows { count - down * columns } else { columns };
        let (x, right) = (part(room.width, across, here), part(room.width, across + 1, here));
        let (y, bottom) = (part(room.height, down, rows), part(room.height, down + 1, rows));
        all.push(Rect { x: room.x + x, y: room.y + y, width: right - x, height: bottom - y });
    }
    all
}

fn part(whole: u16, nth: usize, of: usize) -> u16 {
    u16::try_from(usize::from(whole) * nth / of.max(1)).unwrap_or(whole)
}

/// Draws all panes of the room; gives the place of the cursor when somebody types into one.
pub fn draw(model: &Model, pictures: &dyn Pictures, room: Rect, buf: &mut Buffer) -> Option<Position> {
    let lanes = shown(model, room);
    if lanes.is_empty() {
        let inner = Frame::light("").draw(buf, &model.manner.theme, room);
        Pen::new(buf, &model.manner.theme, row(inner, 0)).text(Role::Dim, "no step has run yet");
        return None;
    }
    let several = lanes.len() > 1;
    let mut cursor = None;
    for (place, (lane, area)) in lanes.iter().zip(places(room, lanes.len())).enumerate() {
        let at = pane(model, pictures, (lane, area), several.then_some(place + 1), buf);
        cursor = cursor.or(at);
    }
    cursor
}

fn pane(
    model: &Model,
    pictures: &dyn Pictures,
    (lane, area): (&LaneKey, Rect),
    number: Option<usize>,
    buf: &mut Buffer,
) -> Option<Position> {
    let attached = model.attached.as_ref().filter(|attached| attached.lane == *lane && attached.stage != Stage::Starts);
    let step = model.lane_at(lane);
    let selected = model.lane().is_some_and(|selected| model.lane_key(selected) == *lane);
    let back = model.scroll.get(lane).copied().unwrap_or(0);
    let number = number.map_or_else(String::new, |number| format!("{number} "));
    let title = match attached.map(|attached| attached.kind) {
        Some(LiveKind::Shell) => format!("shell beside {}", lane.name),
        Some(LiveKind::Attach | LiveKind::Look) | None => format!("{number}{}", lane.name),
    };
    let right = step.map_or_else(String::new, |step| status(model, step, back, area));
    let mut foot = step.map_or_else(String::new, |step| foot(model, step, attached.map(|attached| attached.kind)));
    let part = pictures.part_of(lane, area.inner(Margin::new(1, 1))).filter(|_| back == 0 && attached.is_none());
    if let Some(whole) = part.filter(|_| foot.is_empty()) {
        foot = format!("part of {}x{}", whole.columns, whole.rows);
    }
    let heavy = attached.is_some() || (selected && (!number.is_empty() || model.zoomed));
    let frame = Frame {
        weight: if heavy { Weight::Heavy } else { Weight::Light },
        role: if heavy { Role::Focus } else { step.map_or(Role::Border, |step| frame_role(step.state)) },
        title: &title,
        right: &right,
        foot: &foot,
    };
    let inner = frame.draw(buf, &model.manner.theme, area);
    if let Some(cursor) = pictures.paint(lane, inner, back, buf) {
        return cursor.filter(|_| attached.is_some());
    }
    let words = step.map_or_else(|| "this step is not part of the run".into(), |step| nothing(model, step));
    for (nth, words) in (0..inner.height).zip(wrap(&words, usize::from(inner.width))) {
        Pen::new(buf, &model.manner.theme, row(inner, nth)).text(Role::Dim, &words);
    }
    None
}

fn frame_role(state: StepState) -> Role {
    match role_of(state) {
        Role::Attention => Role::Attention,
        Role::Bad => Role::Bad,
        _ => Role::Border,
    }
}

fn nothing(model: &Model, step: &StepView) -> String {
    let needs = open_needs(model, step);
    match step.state {
        StepState::Gate => "an approval: nothing runs; ↵ opens the question".into(),
        StepState::Waiting if !needs.is_empty() => format!("not started: waits for {}", needs.join(", ")),
        StepState::Waiting if !step.detail.is_empty() => format!("not started: {}", step.detail),
        StepState::Failed if step.attempt == 0 && step.command.is_empty() => "an approval: it was rejected".into(),
        StepState::Succeeded if step.attempt == 0 && step.command.is_empty() => {
            let by = if step.detail.is_empty() { String::new() } else { format!(" {}", step.detail) };
            format!("an approval: it was given{by}")
        }
        StepState::Running if step.outside => format!("nothing runs: {}", step.detail),
        _ if step.attempt == 0 => format!("not started: {}", step.state.word()),
        _ => "no output yet".into(),
    }
}

fn status(model: &Model, step: &StepView, back: usize, area: Rect) -> String {
    let columns = usize::from(area.width).saturating_sub(24).clamp(6, 40);
    let words = if area.width < 44 { step.state.word().to_owned() } else { state_words(model, step, columns) };
    let scrolled = match back {
        0 => String::new(),
        // How far that is is not counted yet.
        usize::MAX => " · top".into(),
        _ => format!(" · {back} up"),
    };
    format!("{} {words}{scrolled}", step.state.shape())
}

fn foot(model: &Model, step: &StepView, attached: Option<LiveKind>) -> String {
    let lives = matches!(step.state, StepState::Running | StepState::Ready | StepState::Starting | StepState::Stopping);
    match attached {
        Some(LiveKind::Attach | LiveKind::Look) if !lives => {
            return format!("it has ended: {} lets go", model.manner.let_go);
        }
        Some(LiveKind::Attach | LiveKind::Look) => {
            return "its time limit and retries stand still while you are attached".into();
        }
        Some(LiveKind::Shell) => return "a shell beside the step: exit ends it".into(),
        None => {}
    }
    let over = model.run.as_ref().is_some_and(|run| run.line.state.ended());
    if let Some(writer) = &step.attached {
        return format!("{} is typing ({} ago)", writer.by, span(model.now_ms - writer.since_ms));
    }
    match step.state {
        StepState::Asking | StepState::Unknown | StepState::Gate if held(step).is_some() => String::new(),
        StepState::Asking | StepState::Unknown | StepState::Gate if over => String::new(),
        StepState::Asking | StepState::Unknown => "▲ n: decide".into(),
        StepState::Running if step.stands() && held(step).is_none() => "▲ n: it stands still, decide".into(),
        StepState::Gate => "◆ n: answer".into(),
        StepState::Unreachable => "its environment does not answer; not failed".into(),
        StepState::Failed | StepState::Stopped => "s opens a shell beside it".into(),
        StepState::Waiting
        | StepState::Starting
        | StepState::Running
        | StepState::Ready
        | StepState::Stopping
        | StepState::Retrying
        | StepState::Probing
        | StepState::Verifying
        | StepState::Succeeded
        | StepState::Skipped => String::new(),
    }
}
