//! What a step or a checkpoint is, in words: for a failure first the six things that whoever looks at it wants to know. Pure.

use super::sheet::Told;
use crate::faces::words::{clock, count, run_arg, span, step_arg, took};
use crate::tui::draw::clean;
use crate::tui::keys::{Action, Binding};
use crate::tui::model::{LaneKey, Model};
use crate::tui::page::checkpoints::size;
use crate::tui::page::machine::used_words;
use crate::tui::page::waits::kind_words;
use crate::tui::theme::{Role, role_of};
use crate::wire::client::{CheckpointView, EventView, StepState, StepView};

/// Everything about a step.
pub(super) fn step(model: &Model, lane: &LaneKey) -> (String, Vec<Told>) {
    let Some(step) = model.lane_at(lane) else {
        return (lane.name.clone(), vec![Told::new("", Role::Dim, "this step is not part of the run any more")]);
    };
    let title = format!("{} · {} {}", step.name(), step.state.shape(), step.state.word());
    let mut all = Vec::new();
    let wrong = matches!(
        step.state,
        StepState::Failed | StepState::Asking | StepState::Unknown | StepState::Retrying | StepState::Unreachable
    );
    if wrong {
        failure(model, step, &mut all);
    } else {
        all.push(Told::new("state", role_of(step.state), state(model, step)));
        all.push(Told::new("command", Role::Plain, beginning(step)));
        all.push(Told::new("directory", Role::Plain, step.dir.clone()));
        all.push(Told::new("next", Role::Strong, what_next(model, step)));
    }
    circumstances(model, step, &mut all);
    (title, all)
}

/// Caused by, command, exit, last output, directory, what to do next.
fn failure(model: &Model, step: &StepView, all: &mut Vec<Told>) {
    let asked = model.question_of(step);
    let cause = asked.map(|asked| asked.title.clone()).filter(|title| !title.is_empty());
    let cause = cause.unwrap_or_else(|| state(model, step));
    let line =
        asked.and_then(|asked| asked.evidence.get(asked.matched?)).map_or_else(String::new, |line| format!("\n{line}"));
    all.push(Told::new("caused by", role_of(step.state), format!("{cause}{line}")));
    all.push(Told::new("command", Role::Plain, beginning(step)));
    let exit = step.exit.clone().unwrap_or_else(|| "not known".into());
    let after = took(step, model.now_ms).map_or_else(String::new, |ran| format!(" after {}", span(ran)));
    all.push(Told::new("exit", Role::Plain, format!("{exit}{after}")));
    let output = asked.map(|asked| asked.evidence.join("\n")).filter(|evidence| !evidence.is_empty());
    let logs = key(model, Action::Log);
    let output = output.unwrap_or_else(|| format!("{logs} shows the log"));
    all.push(Told::new("last output", Role::Plain, output));
    all.push(Told::new("directory", Role::Plain, step.dir.clone()));
    all.push(Told::new("next", Role::Strong, what_next(model, step)));
}

/// Lines of a command that the other fields leave room for.
const SHORT: usize = 3;

/// The beginning of its command: the whole of it stands at the end.
fn beginning(step: &StepView) -> String {
    let whole = command(step);
    let lines: Vec<&str> = whole.lines().collect();
    if lines.len() <= SHORT + 1 {
        return whole;
    }
    format!("{}\n… {} more lines, below", lines[..SHORT].join("\n"), lines.len() - SHORT)
}

fn command(step: &StepView) -> String {
    if step.command.is_empty() { "none: a person answers".into() } else { step.command.trim_end().into() }
}

fn state(model: &Model, step: &StepView) -> String {
    let elapsed = took(step, model.now_ms).map(span);
    let mut words = step.state.word().to_owned();
    if let Some(elapsed) = elapsed {
        words = format!("{words}, {elapsed}");
    }
    if !step.detail.is_empty() {
        words = format!("{words}: {}", step.detail);
    }
    words
}

/// The first key of an action, as people write it.
fn key(model: &Model, action: Action) -> String {
    let here = model.manner.keys.of(crate::tui::keys::Place::Step, action);
    here.map_or_else(String::new, Binding::key_words)
}

fn what_next(model: &Model, step: &StepView) -> String {
    let k = |action| key(model, action);
    match step.state {
        StepState::Asking | StepState::Unknown | StepState::Gate => {
            format!("{} opens the question; {} is a shell beside it", k(Action::NextQuestion), k(Action::Shell))
        }
        StepState::Failed | StepState::Stopped => {
            format!("{} runs it again; {} is a shell beside it", k(Action::Retry), k(Action::Shell))
        }
        StepState::Retrying => "nothing: it is tried again by itself".into(),
        StepState::Unreachable => "nothing yet: its environment does not answer; it is not counted as failed".into(),
        StepState::Running if step.stands() => {
            format!("{} opens the question; {} types into it", k(Action::NextQuestion), k(Action::Attach))
        }
        StepState::Running if step.outside => {
            format!(
                "nothing: it is looked for. {} has it looked at now, {} stops it",
                k(Action::Waits),
                k(Action::Stop)
            )
        }
        StepState::Running | StepState::Ready => format!(
            "nothing: it runs. {} types into it, {} is a shell beside it, {} stops it",
            k(Action::Attach),
            k(Action::Shell),
            k(Action::Stop)
        ),
        StepState::Waiting => "nothing: it starts by itself when what it needs is done".into(),
        StepState::Starting | StepState::Probing | StepState::Verifying | StepState::Stopping => {
            "nothing: this passes".into()
        }
        StepState::Succeeded => "nothing".into(),
        StepState::Skipped => format!("{} runs it after all", k(Action::Retry)),
    }
}

/// Attempts, needs, waits, what it uses, its newest checkpoint, how to look at it from a shell.
fn circumstances(model: &Model, step: &StepView, all: &mut Vec<Told>) {
    let needs = if step.needs.is_empty() { "nothing".into() } else { step.needs.join(", ") };
    all.push(Told::new("needs", Role::Plain, needs));
    let tries = format!("{} of {}", step.attempt, step.max_attempts.max(step.attempt));
    let ran = if step.ran_ms > 0 { format!(", together {}", span(step.ran_ms)) } else { String::new() };
    all.push(Told::new("attempts", Role::Plain, format!("{tries}{ran}\n{}", attempts(model, step)).trim_end()));
    for wait in &step.waits {
        let left = span((wait.until_ms - model.now_ms).max(0));
        all.push(Told::new("waits", Role::Waiting, format!("{} {left}", kind_words(wait.kind))));
    }
    if let Some(path) = &step.checkpoint {
        let at = step.checkpoint_step.map_or_else(String::new, |at| format!("step {at}, "));
        all.push(Told::new("checkpoint", Role::Good, format!("{at}{path}")));
    }
    if let Some(late) = step.overdue(model.now_ms) {
        all.push(Told::new("checkpoint", Role::Attention, format!("overdue by {}", span(late))));
    }
    let used = model.resources.iter().flat_map(|all| &all.steps).find(|used| used.step_name == step.name());
    if let Some(used) = used.filter(|_| step.ended_ms.is_none()) {
        all.push(Told::new("uses", Role::Plain, used_words(used)));
    }
    if let Some(writer) = &step.attached {
        let since = span(model.now_ms - writer.since_ms);
        all.push(Told::new("typed into", Role::Attention, format!("by {} for {since}", writer.by)));
    }
    if let Some(run) = &model.run {
        let words = format!("dogwatch logs {} {}", run_arg(&run.line), step_arg(step));
        all.push(Told::new("elsewhere", Role::Dim, words));
    }
    if beginning(step) != command(step) {
        all.push(Told::new("whole command", Role::Plain, command(step)));
    }
}

/// What was recorded of its attempts, the newest last; at most so many.
fn attempts(model: &Model, step: &StepView) -> String {
    const MOST: usize = 12;
    let name = step.name();
    let of = |event: &&EventView| event.step == name && event.kind.starts_with("attempt.");
    let mut lines: Vec<String> = model
        .events
        .iter()
        .rev()
        .filter(of)
        .take(MOST)
        .map(|event| {
            let at = clock(event.at_ms, model.now_ms, &model.manner.zone);
            format!("{at} {}", clean(&event.text))
        })
        .collect();
    lines.reverse();
    lines.join("\n")
}

/// Everything about a checkpoint.
pub(super) fn checkpoint(model: &Model, checkpoint: &CheckpointView) -> (String, Vec<Told>) {
    let at = checkpoint.step.map_or_else(|| "checkpoint".into(), |at| format!("checkpoint at step {at}"));
    let is = match (checkpoint.bytes, checkpoint.newest) {
        (None, _) => "gone: nothing is there any more",
        (Some(_), true) => "the newest: what a resumption takes",
        (Some(_), false) => "an older one: a resumption takes the newest",
    };
    let role = if checkpoint.bytes.is_some() { Role::Good } else { Role::Bad };
    let mut all = vec![
        Told::new("is", role, is),
        Told::new("path", Role::Plain, checkpoint.path.clone()),
        Told::new("size", Role::Plain, checkpoint.bytes.map_or_else(|| "-".into(), size)),
        Told::new(
            "seen",
            Role::Plain,
            format!(
                "{} ago, at {}",
                span(model.now_ms - checkpoint.seen_ms),
                clock(checkpoint.seen_ms, model.now_ms, &model.manner.zone)
            ),
        ),
        Told::new("attempt", Role::Plain, checkpoint.attempt.to_string()),
    ];
    if !checkpoint.says.is_empty() {
        let role = if checkpoint.says.starts_with("damaged") { Role::Bad } else { Role::Plain };
        all.push(Told::new("quality", role, checkpoint.says.clone()));
    }
    for (name, value) in &checkpoint.metrics {
        all.push(Told::new("metric", Role::Plain, format!("{name} {value}")));
    }
    if checkpoint.pinned {
        all.push(Told::new("pinned", Role::Plain, "it is never removed before it is unpinned"));
    }
    let shown = model.checkpoints.iter().filter(|other| other.step_name == checkpoint.step_name).count();
    let others = shown + model.gone.get(&checkpoint.step_name).copied().unwrap_or(0);
    all.push(Told::new("of this step", Role::Plain, count(others, "checkpoint", "checkpoints")));
    (format!("{} · {at}", checkpoint.step_name), all)
}
