//! What clients ask, turned into events, replies or refusals. Every change of a run is an event that the mind allows;
//! nothing is changed here.

use super::core::{After, Caller, Core, Input};
use super::vault;
use super::views::{self, words};
use crate::engine::{self, LaneState, Phase, Run};
use crate::journal::{self, RunRow};
use crate::model::{ClockOrder, Event, LaneId, Order, Principal, RunId, StepId, Time, What};
use crate::wire::client::{self as wire, Ask, Refusal, RefusalKind, Reply};
use std::os::fd::OwnedFd;
use std::sync::PoisonError;

mod charts;
mod hands_on;
pub(super) mod kept;
mod looks;
mod metrics;
mod notices;
mod questions;
mod saved;

/// What a client gets; a descriptor comes with [`Reply::Pty`].
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) result: wire::Result,
    pub(super) fd: Option<OwnedFd>,
}

/// How a request is taken.
pub(super) enum Reaction {
    /// These events, and this answer once they are committed.
    Now(Vec<Event>, Box<Answer>),
    /// These events, and when they are committed, somebody else answers.
    After(Vec<Event>, After),
    /// Somebody else answers.
    Later(After),
}

fn reply(reply: Reply) -> Answer {
    Answer { result: wire::Result::Reply(Box::new(reply)), fd: None }
}

pub(super) fn refusal(kind: RefusalKind, words: String, hint: Option<&str>) -> Answer {
    Answer { result: wire::Result::Refused(Refusal { kind, words, hint: hint.map(str::to_owned) }), fd: None }
}

pub(super) fn done(words: impl Into<String>) -> Answer {
    reply(Reply::Done { words: words.into() })
}

pub(super) fn refused(words: impl Into<String>) -> Answer {
    refusal(RefusalKind::Refused, words.into(), None)
}

pub(super) fn usage(words: impl Into<String>, hint: Option<&str>) -> Answer {
    refusal(RefusalKind::Usage, words.into(), hint)
}

/// Why values of secrets are not taken.
pub(super) fn not_kept(error: &vault::Error) -> Answer {
    match error {
        vault::Error::Unfit { .. } => usage(error.to_string(), None),
        vault::Error::Nowhere | vault::Error::Foreign { .. } | vault::Error::Io { .. } => {
            refusal(RefusalKind::Internal, error.to_string(), None)
        }
    }
}

pub(super) fn internal(error: &journal::Error) -> Answer {
    refusal(RefusalKind::Internal, error.to_string(), None)
}

pub(super) fn pty(fd: OwnedFd, title: String) -> Answer {
    Answer { result: wire::Result::Reply(Box::new(Reply::Pty { title })), fd: Some(fd) }
}

pub(super) type Refusable<T> = Result<T, Box<Answer>>;

impl Core {
    /// The answer to a started run.
    pub(super) fn started(&self, id: &RunId) -> Answer {
        match self.engine.run(id) {
            Some(run) => reply(Reply::Run(self.run_view(run))),
            None => refused("the run was not taken"),
        }
    }

    /// Takes a request.
    pub(super) fn react(&mut self, ask: Ask, caller: Caller) -> Reaction {
        self.try_react(ask, caller).unwrap_or_else(|answer| Reaction::Now(Vec::new(), answer))
    }

    fn try_react(&mut self, ask: Ask, caller: Caller) -> Refusable<Reaction> {
        let by = caller.by.clone();
        let now = |answer: Answer| Ok(Reaction::Now(Vec::new(), Box::new(answer)));
        match ask {
            Ask::Engine => now(reply(Reply::Engine(self.engine_view()))),
            Ask::Subscribe => now(done("subscribed")),
            Ask::StopEngine => now(self.stop_engine()),
            Ask::StartRun(start) => Ok(self.start_run(*start, None, by)),
            Ask::Runs { limit, state } => now(self.runs(limit, state)?),
            Ask::Status { run } => {
                let id = self.find_id(&run)?;
                // What is held is looked at where it is: a run of thousands of steps is not copied for that.
                let answer = match self.engine.run(&id) {
                    Some(held) => self.run_view(held),
                    None => self.run_view(&self.find(&run)?),
                };
                now(reply(Reply::Run(answer)))
            }
            Ask::StepNames { run } => {
                let run = self.find(&run)?;
                let names = run.lanes.iter().map(|lane| run.lane_name(&lane.id)).collect();
                now(reply(Reply::StepNames(names)))
            }
            Ask::Events { run, since, limit } => {
                let id = self.find_id(&run)?;
                now(match self.engine.run(&id) {
                    Some(held) => self.events(held, since, limit)?,
                    None => self.events(&self.find(&run)?, since, limit)?,
                })
            }
            Ask::Log { run, step, attempt } => {
                let run = self.find(&run)?;
                now(log_place(&run, &step, attempt)?)
            }
            Ask::Inbox => now(reply(Reply::Inbox(self.inbox()))),
            Ask::Escalation { id } => now(self.question(id)?),
            Ask::Decide { id, choice, note, hold_ms, lasting } => {
                let hold = std::time::Duration::from_millis(hold_ms);
                self.decide(id, &choice, questions::Manner { by, note, hold, lasting })
            }
            Ask::Undo { id } => self.undo(id, by),
            Ask::Later { id } => self.later(id, by),
            Ask::Order { run, step, order, note, checkpoint } => {
                self.order(&run, &step, (order, checkpoint.as_deref()), by, note)
            }
            Ask::Clocks { run, step, order } => self.set_clocks(&run, &step, order, by),
            Ask::StopStep { run, step } => self.change(&run, |run| {
                let lane = find_lane(run, &step)?;
                let what = run.stop_step(&lane, by).map_err(refuse)?;
                Ok((what, format!("stopping {}", run.lane_name(&lane))))
            }),
            Ask::StopRun { run } => self.change(&run, |run| {
                Ok((run.stop_run(by).map_err(refuse)?, format!("stopping {}", views::run_name(run))))
            }),
            Ask::Pause { run } => self.change(&run, |run| {
                let words = format!(
                    "{} is paused: nothing new starts, {} running step(s) go on",
                    views::run_name(run),
                    run.active()
                );
                Ok((run.pause(true, by).map_err(refuse)?, words))
            }),
            Ask::Unpause { run } => self.change(&run, |run| {
                Ok((run.pause(false, by).map_err(refuse)?, format!("{} goes on", views::run_name(run))))
            }),
            Ask::Resume { run, from, checkpoint } => self.resume(&run, from.as_deref(), checkpoint.as_deref(), by),
            Ask::Send { run, step, text } => self.send(&run, &step, text, &caller),
            Ask::Attach { run, step, rows, cols, readonly, take_over } => {
                let wanted = hands_on::Wanted { size: (rows, cols), readonly, take_over };
                self.attach(&run, &step, wanted, &caller)
            }
            Ask::Detach { run, step, keys } => self.detach(&run, &step, keys, caller),
            Ask::Shell { run, step, rows, cols } => self.shell(&run, &step, rows, cols),
            Ask::Checkpoints { run } => self.checkpoints(&run),
            Ask::OrderCheckpoints { run, order } => self.order_checkpoints(&run, order, &by),
            Ask::Why { run, step, attempt } => now(self.why(&run, &step, attempt)?),
            Ask::Kept { run, verify } => self.kept(&run, verify),
            Ask::OrderKept { run, order } => self.order_kept(&run, order, &by),
            Ask::Gc { dry_run, host, runtime_dir } => Ok(self.gc(dry_run, host, runtime_dir)),
            Ask::Resources { run } => self.resources(&run),
            Ask::Metrics { run, step, name, from, newest } => {
                self.metrics(&run, step.as_deref(), metrics::Part { name, from, newest })
            }
            Ask::Chart(ask) => self.chart(ask),
            Ask::PinMetric { run, step, name, pinned } => now(self.pin_metric(&run, &step, name, pinned)?),
            Ask::Source { run } => self.source(&run),
            Ask::Notices { run, limit } => now(self.notices(run.as_deref(), limit)?),
            Ask::Again { run, params, secrets } => self.again(&run, (params, secrets), by),
            Ask::GiveSecret { run, secrets } => self.give_secret(&run, &secrets, &by),
        }
    }

    /// What somebody says about the clocks of a live attempt.
    fn set_clocks(&mut self, run: &str, step: &str, order: wire::ClockOrder, by: Principal) -> Refusable<Reaction> {
        let order = match order {
            wire::ClockOrder::More { ms } => ClockOrder::More(std::time::Duration::from_millis(ms)),
            wire::ClockOrder::Hold => ClockOrder::Hold,
            wire::ClockOrder::GoOn => ClockOrder::GoOn,
            wire::ClockOrder::NeverStall => ClockOrder::NeverStall,
            wire::ClockOrder::LookNow => return self.look_at_once(run, step),
        };
        self.change(run, |run| {
            let lane = find_lane(run, step)?;
            let what = run.set_clocks(&lane, order, by).map_err(refuse)?;
            Ok((what, format!("{}: {}", run.lane_name(&lane), engine::clock_words(order))))
        })
    }

    /// What a step waits for is looked at once. Nothing is recorded: what was seen is.
    fn look_at_once(&self, run: &str, step: &str) -> Refusable<Reaction> {
        let run = self.find(run)?;
        let lane = find_lane(&run, step)?;
        let name = run.lane_name(&lane);
        let attempt = run.lane(&lane).and_then(|lane| run.attempt(lane));
        if attempt.is_some_and(|attempt| self.look_now(&attempt)) {
            return Ok(Reaction::Now(Vec::new(), Box::new(done(format!("{name}: it is looked at now")))));
        }
        Err(Box::new(refused(format!("{name} waits for nothing that could be looked at"))))
    }

    fn stop_engine(&self) -> Answer {
        let running = self.engine.runs().map(Run::active).sum::<usize>();
        self.parts.tell(Input::Stop { deliberate: true });
        done(match running {
            0 => "the engine ends; no step is running".to_owned(),
            n => {
                format!("the engine ends; {n} running step(s) go on, and nothing new starts until it is started again")
            }
        })
    }

    fn start_run(&self, start: wire::StartRun, again: Option<RunId>, by: Principal) -> Reaction {
        let parts = self.parts.clone();
        Reaction::Later(Box::new(move |answer| {
            tokio::task::spawn_blocking(move || super::begin::start_run(&start, again.as_ref(), by, &parts, answer));
        }))
    }

    /// A change of one run: the event that the mind allows, and what is said when it is committed.
    fn change(&mut self, run: &str, make: impl FnOnce(&Run) -> Refusable<(What, String)>) -> Refusable<Reaction> {
        let run = self.find(run)?;
        let (what, words) = make(&run)?;
        self.changes(&run, vec![what], words)
    }

    fn changes(&mut self, run: &Run, all: Vec<What>, words: String) -> Refusable<Reaction> {
        self.recall(&run.id).map_err(|error| Box::new(internal(&error)))?;
        let at = self.parts.clock.now();
        let events = all.into_iter().map(|what| Event { run: run.id.clone(), at, what }).collect();
        Ok(Reaction::Now(events, Box::new(done(words))))
    }

    fn order(
        &mut self,
        run: &str,
        step: &str,
        (order, checkpoint): (wire::Order, Option<&str>),
        by: Principal,
        note: Option<String>,
    ) -> Refusable<Reaction> {
        if let Some(which) = checkpoint {
            return self.resume_from(run, step, which, by, note);
        }
        let (order, word) = match order {
            wire::Order::Resume => (Order::Resume, "again, from the newest checkpoint where there is one"),
            wire::Order::Retry => (Order::Retry, "again, from the start"),
            wire::Order::Skip => (Order::Skip, "left out"),
            wire::Order::Done => (Order::Done, "done"),
        };
        self.change(run, |run| {
            let lane = find_lane(run, step)?;
            let what = run.order(&lane, order, by, note).map_err(refuse)?;
            Ok((what, format!("{}: {word}", run.lane_name(&lane))))
        })
    }

    /// The run that a text names: its id, `@last`, a number, a name, or `name#number`.
    pub(super) fn find(&self, text: &str) -> Refusable<Run> {
        let id = self.find_id(text)?;
        let found = self.run_or_fold(&id).map_err(|error| Box::new(internal(&error)))?;
        found.ok_or_else(|| Box::new(self.no_such_run(text)))
    }

    fn find_id(&self, text: &str) -> Refusable<RunId> {
        // Who follows a run asks for it by its id, again and again.
        if let Some(held) = RunId::new(text).ok().and_then(|id| self.engine.run(&id)) {
            return Ok(held.id.clone());
        }
        let read = self.journal.read();
        let broken = |error: journal::Error| Box::new(internal(&error));
        let text = text.trim();
        let number = |text: &str| text.strip_prefix('#').unwrap_or(text).parse::<u64>().ok();
        let by_id = match RunId::new(text) {
            Ok(id) => read.run(&id).map_err(broken)?,
            Err(_) => None,
        };
        let row = if text == "@last" {
            read.runs(1).map_err(broken)?.pop()
        } else if by_id.is_some() {
            by_id
        } else if let Some(number) = number(text) {
            read.run_numbered(number).map_err(broken)?
        } else if let Some((name, wanted)) = text.rsplit_once('#') {
            read.run_named(name.trim_end(), wanted.trim().parse().ok().or(Some(0))).map_err(broken)?
        } else {
            read.run_named(text, None).map_err(broken)?
        };
        row.map(|row| row.id).ok_or_else(|| Box::new(self.no_such_run(text)))
    }

    fn no_such_run(&self, text: &str) -> Answer {
        let names: std::collections::BTreeSet<String> =
            self.journal.read().runs(200).unwrap_or_default().into_iter().map(|row| row.name).collect();
        let near = nearest(text, names.iter().map(String::as_str));
        let hint = match (near, names.is_empty()) {
            (_, true) => "there are no runs yet: dogwatch run FILE".to_owned(),
            (Some(near), _) => format!("did you mean {near}? dogwatch runs lists them"),
            (None, _) => "dogwatch runs lists them".to_owned(),
        };
        refusal(RefusalKind::NotFound, format!("there is no run {text:?}"), Some(&hint))
    }

    fn runs(&self, limit: usize, state: Option<wire::RunState>) -> Refusable<Answer> {
        let broken = |error: journal::Error| Box::new(internal(&error));
        let mut lines = Vec::new();
        // With a filter all are looked at: the newest that match may be old.
        for row in self.journal.read().runs(if state.is_some() { usize::MAX } else { limit }).map_err(broken)? {
            let Some(line) = self.line(&row).map_err(broken)? else { continue };
            if state.is_none_or(|state| line.state == state) {
                lines.push(line);
            }
            if lines.len() >= limit {
                break;
            }
        }
        Ok(reply(Reply::Runs(lines)))
    }

    /// A run in a list. One that is over is folded once: the list is asked for at every change.
    fn line(&self, row: &RunRow) -> Result<Option<wire::RunLine>, journal::Error> {
        if let Some(run) = self.engine.run(&row.id) {
            return Ok(Some(views::run_line(run)));
        }
        let ended = row.ended.map(Time::as_ms);
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = over.get(&row.id).filter(|known| known.ended_ms == ended && ended.is_some()) {
            return Ok(Some(known.clone()));
        }
        let line = self.run_or_fold(&row.id)?.as_ref().map(views::run_line);
        if let Some(line) = line.as_ref().filter(|line| line.ended_ms == ended && ended.is_some()) {
            over.insert(row.id.clone(), line.clone());
        }
        Ok(line)
    }

    fn events(&self, run: &Run, since: u64, limit: usize) -> Refusable<Answer> {
        let workflow = || Ok(std::sync::Arc::clone(&run.workflow));
        let events =
            self.journal.read().events(&run.id, since, &workflow).map_err(|error| Box::new(internal(&error)))?;
        let seq = events.last().map_or(since, |(seq, _)| *seq);
        let cut = events.len().saturating_sub(limit);
        let events = events.iter().skip(cut).map(|(seq, event)| words::event(run, *seq, event)).collect();
        Ok(reply(Reply::Events { events, seq }))
    }

    /// The engine about itself.
    pub(super) fn engine_view(&self) -> wire::EngineView {
        wire::EngineView {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            epoch: self.journal.epoch(),
            started_ms: self.started.as_ms(),
            active_runs: self.engine.runs().filter(|run| !matches!(run.phase, Phase::Ended { .. })).count(),
            running_steps: self.engine.runs().map(Run::active).sum(),
            trouble: self.space.trouble(),
        }
    }

    fn run_view(&self, run: &Run) -> wire::RunView {
        let seq = self.journal.read().newest_event().unwrap_or(0);
        // A run that is not written yet has no file to tell of.
        let file = self.journal.read().run(&run.id).ok().flatten().map(|row| row.file).unwrap_or_default();
        let now = self.parts.clock.now();
        self.parts.took.read(&self.parts, &run.workflow);
        let mut view = views::run(
            run,
            views::Beside {
                file,
                now,
                seq,
                unreachable: &self.unreachable,
                space: &self.space,
                waiting: &self.waiting,
                board: &self.parts.board,
                took: &self.parts.took,
                engine: &self.engine,
            },
        );
        for asked in &mut view.escalations {
            self.remember(asked);
        }
        view
    }
}

#[expect(clippy::unnecessary_box_returns, reason = "refusals travel boxed, and this is for map_err")]
fn refuse(why: engine::Refused) -> Box<Answer> {
    Box::new(refused(why.0))
}

fn log_place(run: &Run, step: &str, attempt: Option<u32>) -> Refusable<Answer> {
    let id = find_lane(run, step)?;
    let name = run.lane_name(&id);
    let newest = run.lane(&id).map_or(0, |lane| lane.n);
    let n = attempt.unwrap_or(newest);
    if n == 0 || n > newest {
        let words = match (newest, attempt) {
            (0, _) => format!("{name} has not run yet"),
            (newest, _) => format!("{name} has had {newest} attempt(s); there is no attempt {n}"),
        };
        return Err(Box::new(refusal(RefusalKind::NotFound, words, None)));
    }
    let attempt = crate::model::AttemptId { run: run.id.clone(), lane: id.clone(), n };
    let lives = run.lane(&id).is_some_and(|lane| matches!(lane.state, LaneState::Active { .. })) && n == newest;
    let dir = format!("{}/{}", run.dir, attempt.dir());
    Ok(reply(Reply::Log(wire::LogPlace { dir, attempt: n, step: name, ended: !lives })))
}

/// The lane that a text names: `train`, `train[lr=0.1]`, `train[1]`.
fn find_lane(run: &Run, text: &str) -> Refusable<LaneId> {
    let (name, inside) = match text.split_once('[') {
        Some((name, rest)) => (name, Some(rest.trim_end_matches(']'))),
        None => (text, None),
    };
    let step = StepId::new(name).ok().and_then(|id| run.workflow.steps.get(&id));
    let Some(step) = step else {
        let near = nearest(name, run.workflow.steps.keys().map(StepId::as_str));
        let hint = near.map(|near| format!("did you mean {near}?"));
        let words = format!("there is no step {name:?} in {}", views::run_name(run));
        return Err(Box::new(refusal(RefusalKind::NotFound, words, hint.as_deref())));
    };
    let lane = |lane| Ok(LaneId { step: step.id.clone(), lane });
    match (inside, step.lanes.as_slice()) {
        (None, [only]) => lane(only.lane),
        (None, many) => {
            let names: Vec<String> = many.iter().take(8).map(|spec| format!("{name}[{}]", spec.label())).collect();
            Err(Box::new(usage(format!("{name} has {} lanes; name one of them", many.len()), Some(&names.join("  ")))))
        }
        (Some(inside), lanes) => {
            let wanted = inside.trim();
            let found = lanes.iter().find(|spec| spec.label() == wanted || spec.lane.to_string() == wanted);
            let Some(spec) = found else {
                let names: Vec<String> = lanes.iter().take(8).map(|spec| format!("{name}[{}]", spec.label())).collect();
                let words = format!("{name} has no lane [{wanted}]");
                return Err(Box::new(refusal(RefusalKind::NotFound, words, Some(&names.join("  ")))));
            };
            lane(spec.lane)
        }
    }
}

pub(super) fn nearest<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    names
        .map(|name| (strsim::damerau_levenshtein(text, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min()
        .map(|(_, name)| name.to_owned())
}
