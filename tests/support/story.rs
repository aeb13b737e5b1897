//! One engine in virtual time, told facts one by one; what it decides is written down in short lines.

use std::collections::BTreeMap;

use dogwatch::engine::{Engine, LaneState, Run};
use dogwatch::model::{
    AttemptId, Basis, CacheHit, CacheLook, Cause, Check, Checked, Checkpoint, Choice, Command, End, EscalationId,
    Event, Exit, Isolation, Lane, LaneId, LostWhy, Made, Number, Order, RunId, Selection, Sign, Snapshot, Stall,
    StopReason, Time, Verdict, What, Workflow,
};

use super::make::{created, person, step_id};

pub(crate) struct Story {
    pub(crate) engine: Engine,
    pub(crate) events: Vec<(u64, Event)>,
    pub(crate) effects: Vec<Command>,
    now: Time,
    told: usize,
}

/// `train` or `train.1`: a lane by name.
pub(crate) fn lane(name: &str) -> LaneId {
    let (step, lane) = name.split_once('.').unwrap_or((name, "0"));
    LaneId { step: step_id(step), lane: Lane(lane.parse().expect("a lane is a number")) }
}

pub(crate) fn run_id() -> RunId {
    RunId::new("abc234").expect("legal")
}

/// An exit record with nothing special.
pub(crate) fn exit(end: End, now: Time) -> Exit {
    Exit { tail: vec!["the last line".into()], ..Exit::new(end, Time::from_ms((now.as_ms() - 1000).max(0)), now) }
}

/// Ten seconds of silence, after pauses of one second at most.
pub(crate) fn stall(now: Time) -> Stall {
    Stall {
        sign: Sign::Output,
        since: Time::from_ms((now.as_ms() - 10_000).max(0)),
        limit: std::time::Duration::from_secs(10),
        longest: Some(std::time::Duration::from_secs(1)),
        cpu_permille: Some(3),
        hits: Vec::new(),
        tail: vec!["step 40".into()],
    }
}

/// What a `verify` said that ended with this code, or gave no answer.
pub(crate) fn check(code: Option<i32>) -> Check {
    let output = if code == Some(0) { Vec::new() } else { vec!["expected 3 rows, found 2".into()] };
    Check { how: code.map_or(Checked::NoAnswer, Checked::Code), output, hits: Vec::new(), diagnosis: None }
}

impl Story {
    pub(crate) fn of(workflow: Workflow) -> Self {
        Self::selected(workflow, Selection::All)
    }

    pub(crate) fn selected(workflow: Workflow, selection: Selection) -> Self {
        let mut story =
            Self { engine: Engine::default(), events: Vec::new(), effects: Vec::new(), now: Time::from_ms(0), told: 0 };
        story.tell(What::Created(Box::new(created(workflow, selection))));
        story.told = 1;
        story
    }

    pub(crate) fn run(&self) -> &Run {
        self.engine.run(&run_id()).expect("the run is there")
    }

    pub(crate) fn state(&self, name: &str) -> &LaneState {
        &self.run().lane(&lane(name)).expect("there is such a lane").state
    }

    pub(crate) fn newest(&self, name: &str) -> AttemptId {
        let n = self.run().lane(&lane(name)).expect("there is such a lane").n;
        AttemptId { run: run_id(), lane: lane(name), n }
    }

    /// Time goes on to this second; every deadline on the way is kept.
    pub(crate) fn until(&mut self, second: i64) -> &mut Self {
        let end = Time::from_ms(second * 1000);
        while let Some(deadline) = self.engine.next_deadline().filter(|deadline| *deadline <= end) {
            assert!(deadline > self.now, "a deadline that has passed: {deadline}");
            self.now = deadline;
            self.settle();
        }
        self.now = end;
        self.settle();
        self
    }

    /// A fact, and all that follows from it.
    pub(crate) fn tell(&mut self, what: What) -> &mut Self {
        let event = Event { run: run_id(), at: self.now, what };
        self.note(event);
        self.settle();
        self
    }

    fn note(&mut self, event: Event) {
        self.engine.apply(&event);
        let seq = self.events.len() as u64 + 1;
        self.events.push((seq, event));
        assert!(self.engine.consistent(), "the sets differ from a recount");
    }

    fn settle(&mut self) {
        for _ in 0..100 {
            let owed = self.engine.owed(self.now);
            if !matches!(owed.first(), Some(Command::Record(_))) {
                self.effects = owed;
                return;
            }
            for command in owed {
                if let Command::Record(event) = command {
                    self.note(event);
                }
            }
        }
        panic!("decisions without end");
    }

    pub(crate) fn claimed(&mut self, name: &str) -> &mut Self {
        let attempt = self.newest(name);
        self.tell(What::Claimed { attempt })
    }

    pub(crate) fn exits(&mut self, name: &str, code: i32) -> &mut Self {
        self.exits_with(name, |exit| exit.end = End::Code(code))
    }

    pub(crate) fn exits_with(&mut self, name: &str, change: impl FnOnce(&mut Exit)) -> &mut Self {
        let attempt = self.newest(name);
        let mut record = exit(End::Code(0), self.now);
        change(&mut record);
        self.tell(What::Exited { attempt, exit: Box::new(record) })
    }

    /// The environment of its newest attempt was kept.
    pub(crate) fn tell_kept(&mut self, name: &str) -> &mut Self {
        let attempt = self.newest(name);
        let snapshot = Snapshot { image: format!("sha256:{name}"), bytes: 0 };
        self.tell(What::Snapshotted { attempt, snapshot })
    }

    /// Its `verify` ended with this code, or gave no answer.
    pub(crate) fn verified(&mut self, name: &str, code: Option<i32>) -> &mut Self {
        let attempt = self.newest(name);
        self.tell(What::Verified { attempt, check: Box::new(check(code)) })
    }

    pub(crate) fn lost(&mut self, name: &str) -> &mut Self {
        let attempt = self.newest(name);
        self.tell(What::Lost { attempt, why: LostWhy::ShimDied, evidence: vec!["no record".into()], checkpoint: None })
    }

    /// It has printed nothing for ten seconds.
    pub(crate) fn stalls(&mut self, name: &str) -> &mut Self {
        let attempt = self.newest(name);
        let stall = Box::new(stall(self.now));
        self.tell(What::Stalled { attempt, stall })
    }

    pub(crate) fn revives(&mut self, name: &str) -> &mut Self {
        let attempt = self.newest(name);
        self.tell(What::Revived { attempt })
    }

    pub(crate) fn answers(&mut self, id: u64, choice: Choice) -> &mut Self {
        let what = self.run().decide(EscalationId(id), choice, person("ann"), None);
        self.tell(what.expect("it may be answered"))
    }

    /// An answer that holds for the rest of the run.
    pub(crate) fn answers_for_run(&mut self, id: u64, choice: Choice) -> &mut Self {
        let what = self.run().last(EscalationId(id), choice, person("ann"));
        self.tell(what.expect("it may hold for the run")).answers(id, choice)
    }

    /// An answer that can be taken back for five seconds.
    pub(crate) fn answers_held(&mut self, id: u64, choice: Choice) -> &mut Self {
        let until = self.now.plus(std::time::Duration::from_secs(5));
        let what = self.run().decide_later(EscalationId(id), choice, person("ann"), None, until);
        self.tell(what.expect("it may be answered"))
    }

    pub(crate) fn orders(&mut self, name: &str, order: Order) -> &mut Self {
        let what = self.run().order(&lane(name), order, person("ann"), None);
        self.tell(what.expect("it may be ordered"))
    }

    /// What was written down since the last time, line by line.
    pub(crate) fn says(&mut self, expected: &[&str]) -> &mut Self {
        let lines: Vec<String> = self.events[self.told..].iter().map(|(_, event)| words(self.run(), event)).collect();
        self.told = self.events.len();
        assert_eq!(lines, expected);
        self
    }

    /// Forgets what was written down so far.
    pub(crate) fn skim(&mut self) -> &mut Self {
        self.told = self.events.len();
        self
    }
}

fn name(lane: &LaneId) -> String {
    if lane.lane.0 == 0 { lane.step.to_string() } else { format!("{}.{}", lane.step, lane.lane) }
}

fn attempt(attempt: &AttemptId) -> String {
    format!("{} a{}", name(&attempt.lane), attempt.n)
}

fn seconds(time: Time) -> String {
    let ms = time.as_ms();
    if ms % 1000 == 0 { format!("{}s", ms / 1000) } else { format!("{ms}ms") }
}

pub(crate) fn end(end: End) -> String {
    match end {
        End::Code(code) => format!("code {code}"),
        End::Signal(signal) => format!("signal {signal}"),
    }
}

fn stop(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Timeout => "timeout",
        StopReason::Stop => "stop",
        StopReason::Stall => "stall",
        StopReason::Alert => "alert",
        StopReason::Unneeded => "unneeded",
        StopReason::NotReady => "not ready",
    }
}

fn from(resume: Option<&String>) -> String {
    resume.map_or_else(String::new, |path| format!(" from {path}"))
}

fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Succeeded => "succeeded".into(),
        Verdict::Retry { at, rule, resume, patch, .. } => {
            let with = patch.as_ref().map(|patch| format!(" with {}", patch.words())).unwrap_or_default();
            format!("again at {} by {rule}{}{with}", seconds(*at), from(resume.as_ref()))
        }
        Verdict::Skip { rule } => format!("left out by {rule}"),
        Verdict::Allowed => "allowed to fail".into(),
        Verdict::Abort { rule } => format!("abort by {rule}"),
        Verdict::Stopped => "stopped".into(),
        Verdict::Answered => "as answered".into(),
        Verdict::Ask { .. } => "ask".into(),
    }
}

/// An event in one short line.
pub(crate) fn words(run: &Run, event: &Event) -> String {
    let what = match &event.what {
        What::Created(_) => "created".into(),
        What::EnvironmentReady { isolation: Isolation::Sandboxed, .. } => "sandboxed".into(),
        What::EnvironmentReady { isolation: Isolation::Container { image, .. }, .. } => {
            format!("in a container of {image}")
        }
        What::EnvironmentReady { isolation: Isolation::None { .. }, .. } => "not isolated".into(),
        What::EnvironmentFailed { .. } => "no environment".into(),
        What::Snapshotted { .. } => "environment kept".into(),
        What::Keeping { .. } => "environment is being kept".into(),
        What::Booked { attempt: id, gpus } => format!("{} has GPUs {gpus:?}", attempt(id)),
        What::Looked { attempt: id, good, given_up, .. } => {
            let words = if *good {
                "is there"
            } else if *given_up {
                "given up"
            } else {
                "is not there"
            };
            format!("{} looked: {words}", attempt(id))
        }
        What::NotSnapshotted { .. } => "environment not kept".into(),
        What::SnapshotMarked { mark, .. } => format!("environment's checkpoint: {mark:?}"),
        What::Intended { attempt: id, cause, resume } => {
            let cause = match cause {
                Cause::First => "first".into(),
                Cause::Retry { rule } => format!("retry by {rule}"),
                Cause::Unknown => "unknown".into(),
                Cause::Disrupted => "disrupted".into(),
                Cause::Person(by) => format!("by {by}"),
            };
            format!("{} starts: {cause}{}", attempt(id), from(resume.as_ref()))
        }
        What::CacheLooked { lane: of, look } => {
            let words = if look.hit.is_some() { "is cached" } else { "is not cached" };
            format!("{} {words}", of.step)
        }
        What::SecretsLost { lane, names } => format!("{} lacks {}", name(lane), names.join(", ")),
        What::SecretsGiven { names, by } => format!("{} given by {by}", names.join(", ")),
        What::CannotStart { lane, .. } => format!("{} cannot start", name(lane)),
        What::Claimed { attempt: id } => format!("{} claimed", attempt(id)),
        What::ClocksSet { attempt: id, order, by } => format!("{} {order:?} by {by}", attempt(id)),
        What::Stalled { attempt: id, .. } => format!("{} stands still", attempt(id)),
        What::Noted { attempt: id, note, .. } => format!("{} notes {note}", attempt(id)),
        What::Revived { attempt: id } => format!("{} goes on", attempt(id)),
        What::CheckpointSeen { attempt: id, .. } => format!("{} saved", attempt(id)),
        What::Exited { attempt: id, exit } => {
            let stopped = exit.stop.map_or_else(String::new, |reason| format!(" ({})", stop(reason)));
            format!("{} ends: {}{stopped}", attempt(id), end(exit.end))
        }
        What::Lost { attempt: id, .. } => format!("{} lost", attempt(id)),
        What::Judged { attempt: id, verdict: decided } => format!("{} judged: {}", attempt(id), verdict(decided)),
        What::StopAsked { attempt: id, reason, by, save } => {
            let save = save.map_or_else(String::new, |signal| format!(", signal {signal} first"));
            format!("{} to end: {} by {by}{save}", attempt(id), stop(*reason))
        }
        What::ProbeAsked { attempt: id, .. } => format!("{} to be probed", attempt(id)),
        What::Probed { attempt: id, code, .. } => format!("{} probed: {code:?}", attempt(id)),
        What::CheckpointChecked { lane, checkpoint, flaw, .. } => {
            format!("{}: {} is {}", name(lane), checkpoint.path, flaw.as_deref().unwrap_or("good"))
        }
        What::CheckpointMarked { lane, path, mark, by } => format!("{}: {path} {mark:?} by {by}", name(lane)),
        What::CheckpointRemoved { lane, path, why } => {
            format!("{}: {path} {}", name(lane), why.as_deref().unwrap_or("is gone"))
        }
        What::CheckpointsVerified { attempt: id, good, damaged, .. } => {
            let good = good.as_ref().map_or("none", |good| good.path.as_str());
            format!("{} checkpoints: {} damaged, {good} is good", attempt(id), damaged.len())
        }
        What::Verified { attempt: id, check } => format!("{} {}", attempt(id), check.how),
        What::Skipped { lane, why } => format!("{} left out: {why:?}", name(lane)),
        What::Opened { escalation } => {
            let choices: Vec<_> = escalation.choices.iter().map(|choice| run.word(*choice)).collect();
            format!("{} {:?} {}: {}", escalation.id, escalation.kind, name(&escalation.lane), choices.join(" "))
        }
        What::Answered { escalation, choice, by, .. } => format!("{escalation} {} by {by}", run.word(*choice)),
        What::Held { escalation, choice, by, until, .. } => {
            format!("{escalation} {} by {by}, held until {}", run.word(*choice), seconds(*until))
        }
        What::Undone { escalation, by } => format!("{escalation} undone by {by}"),
        What::Lasting { escalation, by } => format!("{escalation} holds for the run, says {by}"),
        What::Extended { escalation, deadline, by } => format!("{escalation} until {} by {by}", seconds(*deadline)),
        What::Attached { attempt: id, by } => format!("{} attached by {by}", attempt(id)),
        What::Detached { attempt: id, by, .. } => format!("{} detached by {by}", attempt(id)),
        What::Ordered { lane, order, by, .. } => format!("{} {order:?} by {by}", name(lane)),
        What::Paused { by } => format!("paused by {by}"),
        What::Unpaused { by } => format!("unpaused by {by}"),
        What::RunStopAsked { by, why } => format!("run to end: {why:?} by {by}"),
        What::Resumed { from, by } => {
            let from = from.as_ref().map_or_else(String::new, |step| format!(" from {step}"));
            format!("resumed{from} by {by}")
        }
        What::Ended { result } => format!("run ended: {result:?}"),
    };
    format!("{} {what}", seconds(event.at))
}

pub(crate) fn saved(path: &str, step: i64) -> Checkpoint {
    Checkpoint { path: path.into(), step: Some(step), metrics: Vec::new() }
}

/// A result without outputs.
pub(crate) fn made() -> Made {
    Made {
        scope: "s".into(),
        basis: Basis::default(),
        outputs: BTreeMap::new(),
        numbers: BTreeMap::from([("loss".into(), Number(f64::NAN))]),
    }
}

/// That an earlier result stands for a lane, or that none does.
pub(crate) fn looked(hit: bool) -> CacheLook {
    let hit = hit.then(|| CacheHit { from: "test #1".into(), made: made() });
    CacheLook { basis: Some(Basis::default()), hit, why: "x".into() }
}
