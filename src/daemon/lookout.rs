//! Looking: until what a step waits for is there, or a service is ready. One look at a time, by the hands of the attempt's
//! environment; what was seen is a fact only when it is another thing than before. Nothing of it is kept: a new engine
//! looks anew. Decides nothing about the attempt but when to look next.

use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::core::{Core, Input, Parts};
use super::diagnose;
use super::hands::{Peek, Task};
use super::watch::Looking;
use crate::clock;
use crate::engine::{LaneRun, LaneState, Run};
use crate::judge::Facts;
use crate::model::{AttemptId, End, Event, Exit, StepWhat, StopReason, Time, What};
use crate::patience::{Habits, Past, Patience, Poll};

/// Before an environment that did not answer is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// So many different sights of one attempt are told to the journal by one engine; what comes after is only shown.
const MOST_TOLD: u32 = 100;
/// Of what it took so far, the most that is waited until the next look where nothing is known of earlier ones.
const PART: f64 = 0.2;
/// Timers that are shorter are not announced.
const WORTH_TELLING: Duration = Duration::from_millis(900);

/// What one look saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sight {
    /// `None`: nobody could look.
    pub(super) good: Option<bool>,
    pub(super) words: String,
}

/// When the next look is.
enum Pace {
    /// By what earlier runs took.
    Learned { past: Box<Past>, patience: Box<Patience>, new: Option<Duration> },
    /// Every so often, and in vain so many times more.
    Steady { period: Duration, left: u32 },
}

impl Pace {
    fn wait(&self, now: Time) -> Duration {
        match self {
            Self::Learned { past, patience, new } => {
                let next = patience.next_look(now, past);
                // What was never waited for before is not overslept by more than a part of what it took.
                let part = Duration::try_from_secs_f64(patience.age(now) * PART).unwrap_or_default();
                new.map_or(next, |least| next.min(part.max(least)))
            }
            Self::Steady { period, .. } => *period,
        }
    }

    /// A look was in vain; whether it was the last one.
    fn in_vain(&mut self) -> bool {
        match self {
            Self::Learned { .. } => false,
            Self::Steady { left, .. } => {
                *left = left.saturating_sub(1);
                *left == 0
            }
        }
    }
}

/// One attempt that is looked for.
struct Lookout {
    attempt: AttemptId,
    parts: Parts,
    pace: Pace,
    /// It runs nothing: it has begun with the first look, and ended when it is there.
    waits: Option<Time>,
    claimed: bool,
    seen: Option<String>,
    told: u32,
    now: watch::Receiver<u64>,
}

impl Core {
    /// Looks for this attempt from now on, until nobody wants to know any more.
    pub(super) fn look_out(&mut self, attempt: &AttemptId) {
        let Some(run) = self.engine.run(&attempt.run) else { return };
        let Some(lane) = run.lane(&attempt.lane).filter(|lane| lane.n == attempt.n) else { return };
        if self.lookouts.contains_key(attempt) {
            return;
        }
        let (ring, now) = watch::channel(0);
        self.lookouts.insert(attempt.clone(), ring);
        let begun = lane.started.unwrap_or_else(|| self.parts.clock.now());
        let step = run.step_of(lane);
        let waits = run.is_wait(lane).then_some(begun);
        let seen = lane.seen.as_ref().map(|seen| seen.words.clone());
        let (attempt, parts, claimed) = (attempt.clone(), self.parts.clone(), lane.started.is_some());
        let (workflow, name, what) = (run.workflow.name.clone(), step.id.to_string(), step.what.clone());
        let readiness = step.service.as_ref().and_then(|service| service.readiness.clone());
        tokio::spawn(async move {
            let pace = match (what, readiness) {
                (StepWhat::WaitFor(wait), _) => {
                    let (past, known) = learned(&parts, workflow, name, wait.poll).await;
                    let new = (!known).then_some(wait.poll.0);
                    Pace::Learned { new, past: Box::new(past), patience: Box::new(Patience::new(begun)) }
                }
                (StepWhat::Run { .. } | StepWhat::Approval(_), Some(probe)) => {
                    Pace::Steady { period: probe.period, left: probe.failure_threshold }
                }
                (StepWhat::Run { .. } | StepWhat::Approval(_), None) => return,
            };
            let lookout = Lookout { attempt, parts, pace, waits, claimed, seen, told: 0, now };
            lookout.watch().await;
        });
    }

    /// Those whose look is not owed any more are called in.
    pub(super) fn call_in(&mut self, is_owed: impl Fn(&AttemptId) -> bool) {
        let board = &self.parts.board;
        self.lookouts.retain(|attempt, _| {
            let owed = is_owed(attempt);
            if !owed {
                board.forget_looking(attempt);
            }
            owed
        });
    }

    /// Has it looked at once; whether anything is looked for.
    pub(super) fn look_now(&self, attempt: &AttemptId) -> bool {
        let ring = self.lookouts.get(attempt);
        ring.inspect(|ring| ring.send_modify(|rung| *rung = rung.wrapping_add(1))).is_some()
    }

    /// One look, by the hands of the attempt's environment.
    pub(super) fn peek(&mut self, attempt: &AttemptId, answer: oneshot::Sender<Sight>) {
        let Some(run) = self.engine.run(&attempt.run) else { return };
        let Some(lane) = run.lane(&attempt.lane).filter(|lane| lane.n == attempt.n) else { return };
        let peek = match run.look_of(lane) {
            None => return,
            Some(Ok(look)) => Peek::new(run, attempt, &look),
            Some(Err(why)) => Err(why),
        };
        match peek {
            Ok(peek) => drop(self.hands(attempt).map(|hands| hands.give(Task::Peek(Box::new(peek), answer)))),
            Err(words) => drop(answer.send(Sight { good: Some(false), words })),
        }
    }

    /// The end of an attempt that waits and runs nothing, for whoever wants it ended.
    pub(super) fn end_wait(&self, attempt: &AttemptId, reason: StopReason) -> Option<Event> {
        let run = self.engine.run(&attempt.run)?;
        let lane = run.lane(&attempt.lane)?;
        let words = lane.seen.as_ref().map_or_else(|| "nobody has looked yet".into(), |seen| seen.words.clone());
        let words = self.parts.board.looking(attempt).map_or(words, |looking| looking.seen);
        let told = format!("{}: {words}", run.look_words(lane));
        let now = self.parts.clock.now();
        let diagnosis = (reason == StopReason::Timeout).then(|| {
            let mut judge = diagnose::judge(&run.workflow);
            judge.bytes(told.as_bytes());
            Box::new(judge.end(&Facts { timed_out: true, ..Facts::default() }))
        });
        let exit = exit(End::Signal(15), (lane.started.unwrap_or(now), now), Some(reason), told);
        let exit = Exit { diagnosis, ..exit };
        let what = What::Exited { attempt: attempt.clone(), exit: Box::new(exit) };
        Some(Event { run: run.id.clone(), at: now, what })
    }

    /// It is one that waits for something outside: no environment knows of it.
    pub(super) fn is_wait(&self, attempt: &AttemptId) -> bool {
        let run = self.engine.run(&attempt.run);
        run.is_some_and(|run| run.lane(&attempt.lane).is_some_and(|lane| run.is_wait(lane)))
    }
}

/// What earlier waits of this step took, and whether there were any.
async fn learned(parts: &Parts, workflow: String, step: String, (min, max): (Duration, Duration)) -> (Past, bool) {
    // A look is worth as much as the shortest time between two of them.
    let poll = Poll { min, max, worth: min };
    let metrics = parts.metrics.clone();
    let look = move || {
        let lessons = metrics.and_then(|metrics| metrics.lessons(&workflow, &step).ok());
        let (took, habits) = lessons.unwrap_or_default();
        (Past::new(&took, habits, poll), !took.is_empty())
    };
    let none = |_| (Past::new(&[], Habits::default(), poll), false);
    tokio::task::spawn_blocking(look).await.unwrap_or_else(none)
}

/// The end of an attempt that ran nothing.
fn exit(end: End, (started, ended): (Time, Time), stop: Option<StopReason>, line: String) -> Exit {
    Exit { stop, tail: vec![line], ..Exit::new(end, started, ended) }
}

impl Lookout {
    async fn watch(mut self) {
        loop {
            let Some(sight) = self.look().await else { return };
            let now = self.parts.clock.now();
            let wait = match sight.good {
                Some(true) => return self.there(sight.words, now),
                Some(false) => {
                    self.begun(now);
                    let last = self.pace.in_vain();
                    self.not_yet(&sight.words, last);
                    if last {
                        return;
                    }
                    self.pace.wait(now)
                }
                None => AGAIN,
            };
            self.show(now, wait, &sight.words);
            tokio::select! {
                () = clock::sleep(wait) => {}
                rung = self.now.changed() => if rung.is_err() {
                    return;
                },
            }
        }
    }

    /// One look; `None`: nobody wants to know any more.
    async fn look(&mut self) -> Option<Sight> {
        let (answer, told) = oneshot::channel();
        self.parts.tell(Input::Peek { attempt: self.attempt.clone(), answer });
        tokio::select! {
            sight = told => match sight {
                Ok(sight) => Some(sight),
                // Whoever was to look is gone: others come.
                Err(_) => Some(Sight { good: None, words: "its environment does not answer".into() }),
            },
            () = called_in(&mut self.now) => None,
        }
    }

    fn tell(&self, at: Time, what: What) {
        self.parts.tell(Input::Fact(Event { run: self.attempt.run.clone(), at, what }));
    }

    /// What waits has begun when it was looked at once.
    fn begun(&mut self, at: Time) {
        if self.waits.is_some() && !std::mem::replace(&mut self.claimed, true) {
            self.tell(at, What::Claimed { attempt: self.attempt.clone() });
        }
    }

    fn there(&mut self, words: String, now: Time) {
        self.begun(now);
        let attempt = self.attempt.clone();
        match self.waits {
            Some(begun) => {
                let exit = Box::new(exit(End::Code(0), (begun, now), None, words));
                self.tell(now, What::Exited { attempt, exit });
            }
            None => self.tell(now, What::Looked { attempt, good: true, given_up: false, seen: words }),
        }
    }

    fn not_yet(&mut self, words: &str, last: bool) {
        let news = self.seen.as_deref() != Some(words) && self.told < MOST_TOLD;
        if news || last {
            self.told += 1;
            self.seen = Some(words.to_owned());
            let (attempt, seen) = (self.attempt.clone(), words.to_owned());
            self.tell(self.parts.clock.now(), What::Looked { attempt, good: false, given_up: last, seen });
        }
    }

    /// Puts the timer where it is looked at.
    fn show(&self, now: Time, wait: Duration, words: &str) {
        // Called in: what was known of it is forgotten.
        if self.now.has_changed().is_err() {
            return;
        }
        let looking = Looking { since: now, until: now.plus(wait), seen: words.to_owned() };
        self.parts.board.put_looking(&self.attempt, looking);
        if wait >= WORTH_TELLING {
            self.parts.changed.send_modify(|_| {});
        }
    }
}

/// Returns when nobody rings any more, and never because somebody rings.
async fn called_in(now: &mut watch::Receiver<u64>) {
    while now.changed().await.is_ok() {}
}

/// What a lane waits for outside, in words; `None` where it is no such one.
pub(super) fn words(run: &Run, lane: &LaneRun, seen: Option<&str>) -> Option<String> {
    let LaneState::Active { stop: None, .. } = lane.state else { return None };
    let seen = seen.or(lane.seen.as_ref().map(|seen| seen.words.as_str()));
    let seen = seen.map(|seen| format!(": {seen}")).unwrap_or_default();
    if run.is_wait(lane) {
        return Some(format!("waits for {}{seen}", run.look_words(lane)));
    }
    let service = run.step_of(lane).service.as_ref()?;
    match (run.is_ready(lane), service.readiness.is_some()) {
        (true, true) => Some(format!("ready{seen}")),
        (true, false) => Some("ready".into()),
        (false, true) => Some(format!("not ready{seen}")),
        (false, false) => None,
    }
}
