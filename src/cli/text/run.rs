//! One run on one screen, and what is said when it has ended. Pure.

use super::{Look, Row, Style, run_shape, width};
use crate::faces::words::{count, run_arg, run_left, run_name, short_paths, span, step_arg, took};
use crate::wire::client::{RunLeft, RunState, RunView, StepState, StepView};

/// The whole run: head, lanes, questions, and what can be done next.
pub fn status(view: &RunView, look: &Look) -> Vec<Row> {
    let mut rows = vec![head(view), place(view)];
    rows.extend(trouble(view));
    let columns = columns(&view.steps, look);
    rows.extend(view.steps.iter().map(|step| lane(step, view.now_ms, columns, "")));
    rows.extend(questions(view));
    rows.extend(next(view));
    rows
}

/// `● digits #3  running  2/6 steps  4m12s`.
pub fn head(view: &RunView) -> Row {
    let line = &view.line;
    let style = Style::of_run(line.shown());
    let end = line.ended_ms.unwrap_or(view.now_ms);
    Row::new()
        .add(style, run_shape(line.shown()))
        .space(1)
        .add(Style::Bold, &run_name(line))
        .space(2)
        .add(style, line.shown().word())
        .space(2)
        .text(&format!("{}/{} steps", line.steps_done, line.steps))
        .space(2)
        .text(&span(end - line.created_ms))
        .add(Style::Dim, &view.left.as_ref().and_then(left).map(|words| format!("  {words}")).unwrap_or_default())
}

/// What is left of it, with what is not known.
fn left(left: &RunLeft) -> Option<String> {
    let words = run_left(left)?;
    let unknown = if left.range.is_none() { left.unknown.as_slice() } else { &[] };
    match unknown {
        [] => Some(words),
        [one] => Some(format!("{words}: {one} has not ended well before, or waits for you")),
        [one, rest @ ..] => {
            let more = rest.len();
            Some(format!("{words}: {one} and {more} more have not ended well before, or wait for you"))
        }
    }
}

fn place(view: &RunView) -> Row {
    let badge = match &view.isolation {
        None if view.line.ended_ms.is_some() => "its environment is not known".to_owned(),
        None => "no environment yet".to_owned(),
        Some(isolation) if isolation.sandboxed => isolation.why.clone().unwrap_or_else(|| "sandboxed".into()),
        Some(isolation) => format!("NOT SANDBOXED: {}", isolation.why.as_deref().unwrap_or("by the workflow")),
    };
    let unsafe_badge = view.isolation.as_ref().is_some_and(|i| !i.sandboxed);
    Row::new()
        .space(2)
        .add(if unsafe_badge { Style::Asking } else { Style::Dim }, &badge)
        .add(Style::Dim, &format!(", in {}, by {}", view.workspace, view.by))
}

/// Something that concerns the whole run.
pub fn trouble(view: &RunView) -> Option<Row> {
    view.trouble.as_ref().map(|words| Row::new().space(2).add(Style::Asking, words))
}

/// Where the columns of the lanes begin: names, and whether there is place for more than name, word and time.
#[derive(Debug, Clone, Copy)]
pub struct Columns {
    name: usize,
}

/// For these lanes at this width.
pub fn columns(steps: &[StepView], look: &Look) -> Columns {
    let longest = steps.iter().map(|step| width(&step.name())).max().unwrap_or(0);
    let most = (look.width / 3).clamp(8, 48);
    Columns { name: longest.min(most) }
}

/// `  ● train[lr=0.1]  running     1m02s  attempt 2/3 · loss 0.31`. `output` is its last line, where it is known.
pub fn lane(step: &StepView, now_ms: i64, columns: Columns, output: &str) -> Row {
    let style = Style::of_step(step.state);
    let time = took(step, now_ms).filter(|_| shows_time(step.state)).map_or(String::new(), span);
    Row::new()
        .space(2)
        .add(style, step.state.shape())
        .space(1)
        .field(Style::Plain, &step.name(), columns.name)
        .space(2)
        .field(style, step.state.word(), 11)
        .space(1)
        .field(Style::Plain, &format!("{time:>6}"), 6)
        .space(2)
        .add(Style::Dim, &about(step, now_ms, output))
}

fn shows_time(state: StepState) -> bool {
    !matches!(state, StepState::Waiting | StepState::Skipped | StepState::Gate | StepState::Retrying)
}

/// What else there is to say about a lane, shortest first.
pub fn about(step: &StepView, now_ms: i64, output: &str) -> String {
    let mut parts = Vec::new();
    if step.attempt > 1 {
        parts.push(if step.attempt <= step.max_attempts {
            format!("attempt {}/{}", step.attempt, step.max_attempts)
        } else {
            format!("attempt {}", step.attempt)
        });
    }
    if step.state == StepState::Retrying
        && let Some(until) = step.until_ms
    {
        parts.push(format!("again in {}", span(until - now_ms)));
    }
    if let Some(progress) = step.progress.filter(|_| step.state.runs()) {
        parts.extend(progress.done.map(|done| format!("{:.0} %", (done * 100.0).floor())));
        parts.extend(progress.left.map(|left| match (span(left.p10_ms), span(left.p90_ms)) {
            (low, high) if low == high => format!("{high} left"),
            (low, high) => format!("{low}-{high} left"),
        }));
    }
    if let Some(late) = step.overdue(now_ms) {
        parts.push(format!("checkpoint overdue by {}", span(late)));
    }
    // What a step says itself is newer than what is known about it.
    if !output.is_empty() {
        parts.push(short_paths(output));
        return parts.join(" · ");
    }
    if step.state != StepState::Succeeded
        && let Some(exit) = &step.exit
        && !step.detail.contains(exit.as_str())
    {
        parts.push(exit.clone());
    }
    if !step.detail.is_empty() {
        parts.push(step.detail.clone());
    }
    if let Some(number) = step.checkpoint_step
        && matches!(step.state, StepState::Running | StepState::Ready | StepState::Retrying)
    {
        parts.push(format!("checkpoint {number}"));
    }
    if let Some(id) = step.escalation {
        parts.push(format!("e{id}"));
    }
    if let Some(note) = &step.note {
        parts.push(format!("note: {}", note.text));
    }
    parts.join(" · ")
}

/// Open questions, one row each, with the command that shows them.
pub fn questions(view: &RunView) -> Vec<Row> {
    view.escalations
        .iter()
        .filter(|question| question.is_open())
        .map(|question| {
            Row::new()
                .add(Style::Asking, &format!("? e{}", question.id))
                .space(1)
                .text(&question.title)
                .space(2)
                .add(Style::Dim, &format!("dogwatch show e{}", question.id))
        })
        .collect()
}

/// The commands that a person would type next, where there are obvious ones.
pub fn next(view: &RunView) -> Vec<Row> {
    let run = run_arg(&view.line);
    let commands = match view.line.shown() {
        // Its time was over, or a rule ended it: what was stopped goes on.
        RunState::Failed if view.steps.iter().any(|step| step.state == StepState::Stopped) => {
            vec![format!("dogwatch resume {run}")]
        }
        RunState::Failed => after_failure(view, &run),
        RunState::Stopped => vec![format!("dogwatch resume {run}")],
        RunState::Paused => vec![format!("dogwatch unpause {run}")],
        RunState::Running | RunState::Waiting | RunState::Stopping | RunState::Succeeded | RunState::Rejected => {
            Vec::new()
        }
    };
    commands.iter().map(|command| Row::new().add(Style::Dim, "next: ").text(command).uncut()).collect()
}

fn after_failure(view: &RunView, run: &str) -> Vec<String> {
    let failed = view.steps.iter().find(|step| step.state == StepState::Failed && step.attempt > 0);
    let Some(step) = failed.map(step_arg) else {
        return vec![format!("dogwatch resume {run}")];
    };
    vec![format!("dogwatch logs {run} {step} --tail 50"), format!("dogwatch retry {run} {step}")]
}

/// What is said when a run has ended that somebody followed.
pub fn summary(view: &RunView, look: &Look) -> Vec<Row> {
    let mut rows = vec![head(view)];
    rows.extend(trouble(view));
    let columns = columns(&view.steps, look);
    let shown = view.steps.iter().filter(|step| view.steps.len() <= 40 || worth_telling(step.state));
    rows.extend(shown.map(|step| lane(step, view.now_ms, columns, "")));
    if view.steps.len() > 40 {
        rows.push(counts(&view.steps));
    }
    rows.push(Row::new().add(Style::Dim, "record: ").text(&format!("{}/record.md", view.dir)).uncut());
    rows.extend(next(view));
    rows
}

/// Lanes that are told even where there are too many to tell all.
pub fn worth_telling(state: StepState) -> bool {
    !matches!(state, StepState::Waiting | StepState::Succeeded | StepState::Skipped)
}

/// `  12 succeeded, 3 waiting`.
pub fn counts(steps: &[StepView]) -> Row {
    let mut seen: Vec<(&'static str, usize)> = Vec::new();
    for step in steps {
        let word = step.state.word();
        match seen.iter_mut().find(|(known, _)| *known == word) {
            Some((_, n)) => *n += 1,
            None => seen.push((word, 1)),
        }
    }
    let parts: Vec<String> = seen.into_iter().map(|(word, n)| format!("{n} {word}")).collect();
    Row::new().space(2).add(Style::Dim, &format!("{}: {}", count(steps.len(), "lane", "lanes"), parts.join(", ")))
}
