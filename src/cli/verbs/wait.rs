//! `wait`: blocks until one of the named things has happened to a run or a step of it.

use std::time::Duration;

use super::{Ended, answer};
use crate::cli::Face;
use crate::cli::args::{self, Wait};
use crate::cli::exit::{Exit, Failure};
use crate::cli::signals::Signals;
use crate::client::{Link, Wake, rest};
use crate::clock::{boottime_ms, pause};
use crate::faces::words;
use crate::gauge::alert::Condition;
use crate::wire::client::{Ask, EventView, Reply, RunView, StepState, StepView};

/// What ended the wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// `done`, `escalation`, `checkpoint`.
    pub condition: &'static str,
    pub exit: Exit,
    /// In words.
    pub words: String,
}

/// Waits.
pub(super) fn wait(face: &Face, args: &Wait) -> Ended {
    let client = face.engine()?;
    let screen = face.screen.clone();
    let mut link = Link::new(face.place()?, client, move |words| screen.note(words))?;
    let leave = Signals::leave()?;
    let deadline =
        args.timeout.map(|limit| boottime_ms().saturating_add(i64::try_from(limit.as_millis()).unwrap_or(i64::MAX)));
    let mut since = None;
    let mut metrics = Looks::new(&args.conditions);
    loop {
        let asked = boottime_ms();
        let view = status(&mut link, &args.run)?;
        let took = Duration::from_millis((boottime_ms() - asked).unsigned_abs());
        // Only what is saved from now on counts as "a checkpoint": an old one is known already.
        let from = *since.get_or_insert(view.seq);
        let fresh = checkpoints(&mut link, args, &view, from)?;
        if let Some(met) = met(&view, args.step.as_deref(), &args.conditions, fresh.as_ref())? {
            return report(face, &view, &met);
        }
        if let Some(met) = metrics.met(&mut link, args, &view)? {
            return report(face, &view, &met);
        }
        // Of numbers nobody is told.
        let often = if metrics.any() { 1_000 } else { 60_000 };
        let until = deadline.unwrap_or(i64::MAX).min(boottime_ms() + often);
        match link.wait(&[leave.fd()], until)? {
            Wake::Other(_) => {
                face.screen.note("the run goes on");
                return Ok(Exit::Interrupted);
            }
            Wake::TimedOut if deadline.is_some_and(|at| boottime_ms() >= at) => {
                return timed_out(face, args);
            }
            Wake::Changed(_) => pause(rest(took)),
            Wake::TimedOut => {}
        }
    }
}

/// Conditions on metrics.
struct Looks {
    conditions: Vec<(String, Condition)>,
}

impl Looks {
    fn new(conditions: &[args::Condition]) -> Self {
        let sources = conditions.iter().filter_map(|one| match one {
            args::Condition::Metric(source) => Some((source.clone(), Condition::new(source).ok()?)),
            args::Condition::Done | args::Condition::Escalation | args::Condition::Checkpoint => None,
        });
        Self { conditions: sources.collect() }
    }

    fn any(&self) -> bool {
        !self.conditions.is_empty()
    }

    /// The first condition that the newest values make hold.
    fn met(&mut self, link: &mut Link, asked: &Wait, view: &RunView) -> Result<Option<Met>, Failure> {
        if !self.any() {
            return Ok(None);
        }
        let (run, step) = (view.line.id.clone(), asked.step.clone());
        let ask = Ask::Metrics { run, step, name: None, from: 0, newest: true };
        let Reply::Metrics { series, .. } = link.ask(&ask)? else { return Err(Failure::unexpected("metrics")) };
        for (source, condition) in &mut self.conditions {
            for (name, point) in series.iter().filter_map(|one| one.points.last().map(|point| (&one.name, point))) {
                if condition.see(name, point.number()) {
                    let words = format!("{source}: {name} = {} at step {}", point.number(), point.step);
                    return Ok(Some(Met { condition: "metric", exit: Exit::Good, words }));
                }
            }
        }
        Ok(None)
    }
}

fn timed_out(face: &Face, args: &Wait) -> Ended {
    if face.screen.json {
        face.screen.json_line("wait", &serde_json::json!({ "met": null, "exit": Exit::TimedOut as u8 }))?;
    }
    let limit =
        args.timeout.map_or(String::new(), |limit| words::span(i64::try_from(limit.as_millis()).unwrap_or(i64::MAX)));
    face.screen.note(&format!("nothing of it happened within {limit}; the run goes on"));
    Ok(Exit::TimedOut)
}

fn status(link: &mut Link, run: &str) -> Result<RunView, Failure> {
    let Reply::Run(view) = link.ask(&Ask::Status { run: run.into() })? else {
        return Err(Failure::unexpected("status"));
    };
    Ok(view)
}

/// The first checkpoint saved after `since`, where that is waited for.
fn checkpoints(link: &mut Link, args: &Wait, view: &RunView, since: u64) -> Result<Option<EventView>, Failure> {
    if !args.conditions.contains(&args::Condition::Checkpoint) {
        return Ok(None);
    }
    let mut after = since;
    loop {
        let ask = Ask::Events { run: view.line.id.clone(), since: after, limit: 500 };
        let Reply::Events { events, .. } = link.ask(&ask)? else {
            return Err(Failure::unexpected("events"));
        };
        let full = events.len() == 500;
        after = events.last().map_or(after, |event| event.seq);
        let found = events
            .into_iter()
            .find(|event| event.kind == "checkpoint" && args.step.as_ref().is_none_or(|step| about(&event.step, step)));
        if found.is_some() || !full {
            return Ok(found);
        }
    }
}

/// Whether `name` (`train[lr=0.1]`) is what was asked about (`train`, `train[lr=0.1]`).
fn about(name: &str, asked: &str) -> bool {
    name == asked || name.split('[').next() == Some(asked)
}

/// Whether the wait is over, and how. Also over when what is waited for cannot happen any more.
pub fn met(
    view: &RunView,
    step: Option<&str>,
    conditions: &[args::Condition],
    checkpoint: Option<&EventView>,
) -> Result<Option<Met>, Failure> {
    let lanes: Vec<&StepView> = match step {
        None => view.steps.iter().collect(),
        Some(asked) => lanes_of(view, asked)?,
    };
    if let Some(event) = checkpoint {
        return Ok(Some(Met { condition: "checkpoint", exit: Exit::Good, words: event.text.clone() }));
    }
    let over = match step {
        None => Exit::of_run(view.line.state),
        Some(_) => lanes_over(&lanes, Exit::of_run(view.line.state)),
    };
    if let Some(exit) = over {
        let wanted = conditions.contains(&args::Condition::Done);
        let subject = step.map_or_else(|| words::run_name(&view.line), str::to_owned);
        return Ok(Some(Met {
            condition: "done",
            // It is over, and the checkpoint that was waited for did not come.
            exit: if exit == Exit::Good && !wanted && conditions.contains(&args::Condition::Checkpoint) {
                Exit::Failed
            } else {
                exit
            },
            words: format!("{subject} is over: {}", how(exit)),
        }));
    }
    if let Some(asked) = open_question(view, &lanes, step.is_some()) {
        let wanted = conditions.contains(&args::Condition::Escalation);
        let stuck = view.line.state == crate::wire::client::RunState::Waiting;
        if wanted || stuck {
            return Ok(Some(Met {
                condition: "escalation",
                exit: Exit::Person,
                words: format!("e{asked} waits for a person: dogwatch show e{asked}"),
            }));
        }
    }
    Ok(None)
}

fn how(exit: Exit) -> &'static str {
    match exit {
        Exit::Good => "good",
        Exit::Stopped => "stopped or rejected",
        Exit::Failed
        | Exit::Usage
        | Exit::Person
        | Exit::Nothing
        | Exit::Refused
        | Exit::TimedOut
        | Exit::Interrupted => "failed",
    }
}

fn lanes_of<'a>(view: &'a RunView, asked: &str) -> Result<Vec<&'a StepView>, Failure> {
    let by_number = |lane: &StepView| format!("{}[{}]", lane.step, lane.lane) == asked;
    let lanes: Vec<&StepView> =
        view.steps.iter().filter(|lane| about(&lane.name(), asked) || by_number(lane)).collect();
    if lanes.is_empty() {
        let names: Vec<String> = view.steps.iter().map(StepView::name).collect();
        return Err(Failure::new(Exit::Nothing, format!("{} has no step {asked:?}", words::run_name(&view.line)))
            .hint(format!("it has: {}", names.join(", "))));
    }
    Ok(lanes)
}

/// How the lanes of a step ended, when all have. Skipped counts as good. A lane that waits when the run is over never ran.
fn lanes_over(lanes: &[&StepView], run: Option<Exit>) -> Option<Exit> {
    let mut worst = Exit::Good;
    for lane in lanes {
        let exit = match lane.state {
            StepState::Succeeded | StepState::Skipped => Exit::Good,
            StepState::Failed => Exit::Failed,
            StepState::Stopped => Exit::Stopped,
            StepState::Waiting
            | StepState::Starting
            | StepState::Running
            | StepState::Ready
            | StepState::Stopping
            | StepState::Retrying
            | StepState::Asking
            | StepState::Unknown
            | StepState::Gate
            | StepState::Probing
            | StepState::Verifying
            | StepState::Unreachable => run?,
        };
        if exit != Exit::Good && worst != Exit::Failed {
            worst = exit;
        }
    }
    Some(worst)
}

fn open_question(view: &RunView, lanes: &[&StepView], of_step: bool) -> Option<u64> {
    view.escalations
        .iter()
        .filter(|asked| asked.is_open())
        .map(|asked| asked.id)
        .find(|id| !of_step || lanes.iter().any(|lane| lane.escalation == Some(*id)))
}

fn report(face: &Face, view: &RunView, met: &Met) -> Ended {
    if face.screen.json {
        let value = serde_json::json!({
            "met": met.condition, "exit": met.exit as u8, "words": met.words, "run": view.line,
        });
        face.screen.json_line("wait", &value)?;
    } else if !face.screen.quiet {
        face.screen.done(&format!("{}: {}", met.condition, met.words))?;
        if met.condition == "escalation" {
            for asked in view.escalations.iter().filter(|a| a.is_open()) {
                answer::present(face, asked)?;
            }
        }
    }
    Ok(met.exit)
}
