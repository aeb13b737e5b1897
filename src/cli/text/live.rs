//! The live summary of a run: what is drawn anew in place while somebody follows. Pure; never more rows than the
//! terminal has, never wider than it.

use std::collections::BTreeMap;

use super::lists::active;
use super::run::{columns, counts, head, lane, questions, trouble, worth_telling};
use super::{Look, Row, Style};
use crate::wire::client::{RunView, StepView};

/// Rows that are kept free: the cursor's own and one of what was said before.
const FREE: usize = 2;

/// The picture of this moment. `outputs` has the last line of lanes that run, by their names.
pub fn frame(view: &RunView, outputs: &BTreeMap<String, String>, look: &Look, height: usize) -> Vec<Row> {
    let mut rows = vec![head(view)];
    rows.extend(trouble(view));
    let foot = questions(view);
    let room = height.saturating_sub(FREE + rows.len() + foot.len() + 1).max(1);
    let shown = shown(&view.steps, room);
    let at = columns(&shown, look);
    rows.extend(shown.iter().map(|step| {
        let output = outputs.get(&step.name()).map_or("", String::as_str);
        lane(step, view.now_ms, at, output)
    }));
    if shown.len() < view.steps.len() {
        rows.push(counts(&view.steps));
    }
    rows.extend(foot);
    rows.push(Row::new().add(Style::Dim, "Ctrl-C leaves; the run goes on"));
    rows.truncate(height.saturating_sub(1).max(1));
    rows
}

/// All lanes where there is place, else those that do something, want something or failed, in the file's order.
fn shown(steps: &[StepView], room: usize) -> Vec<StepView> {
    if steps.len() <= room {
        return steps.to_vec();
    }
    // One row is for the counts.
    let room = room.saturating_sub(1).max(1);
    let telling: Vec<StepView> = steps.iter().filter(|step| worth_telling(step.state)).cloned().collect();
    if telling.len() <= room {
        return telling;
    }
    telling.into_iter().filter(|step| active(step.state)).take(room).collect()
}

/// What is written to draw `rows` where `before` rows were drawn the last time: up, each row anew, what is left below
/// erased. Written in one piece, so that nothing flickers.
pub fn redraw(rows: &[Row], before: usize, look: &Look) -> String {
    let mut out = if before > 0 { format!("\x1b[{before}A") } else { String::new() };
    out.push('\r');
    for row in rows {
        out.push_str(&row.show(look));
        // Erase what was longer; then down, which scrolls at the bottom.
        out.push_str("\x1b[K\n");
    }
    if rows.len() < before {
        out.push_str("\x1b[J");
    }
    out
}

/// What is written to take a picture of so many rows away again.
pub fn erase(before: usize) -> String {
    if before == 0 { String::new() } else { format!("\x1b[{before}A\r\x1b[J") }
}
