//! What one run is owed: decisions and intents first, then effects. Reads the sets that `apply` keeps, never all steps.

use crate::model::{
    AttemptId, Cause, Command, EscalationId, Event, Principal, RunResult, RunStopWhy, SkipWhy,
    Step, StepWhat, StopReason, Time, What,
};

use super::Run;
use super::expr;
use super::recovery;
use super::state::{Ended, LaneRun, LaneState, Phase, StepEnd};

/// Whether a lane whose needs have ended is to run.
enum Fate {
    Run,
    Skip(SkipWhy),
    Cannot(String),
}

impl Run {
    /// Decisions and intents that are due at `now`. Each may change what the others are: after they were applied, ask again.
    pub(super) fn decisions(&self, now: Time, next: &mut EscalationId, out: &mut Vec<Command>) {
        let before = out.len();
        match &self.phase {
            Phase::Ended { .. } => return,
            Phase::Going | Phase::Stopping { .. } => {}
        }
        self.judgements(now, next, out);
        self.limits(now, out);
        match &self.phase {
            Phase::Going => {
                if !self.paused {
                    self.starts(now, next, out);
                }
            }
            Phase::Stopping { by, .. } => self.stops(by, now, out),
            Phase::Ended { .. } => {}
        }
        if out.len() == before
            && let Some(result) = self.result()
        {
            out.push(self.record(now, What::Ended { result }));
        }
    }

    fn record(&self, at: Time, what: What) -> Command {
        Command::Record(Event {
            run: self.id.clone(),
            at,
            what,
        })
    }

    fn judgements(&self, now: Time, next: &mut EscalationId, out: &mut Vec<Command>) {
        for &place in &self.sets.undecided {
            let lane = &self.lanes[place];
            let step = self.step_of(lane);
            let Some(attempt) = self.attempt(lane).or_else(|| self.none_yet(lane)) else {
                continue;
            };
            let verdict = match &lane.state {
                LaneState::Exited { exit } => {
                    recovery::judge(step, lane, &attempt.key(), exit, now)
                }
                LaneState::Lost { why, .. } => match recovery::judge_lost(step, lane, *why, now) {
                    Some(verdict) => verdict,
                    None => {
                        out.push(self.record(
                            now,
                            What::ProbeAsked {
                                attempt,
                                by: Principal::Rule,
                            },
                        ));
                        continue;
                    }
                },
                LaneState::Probed { why, code, .. } => {
                    recovery::judge_probed(lane, *why, *code, now)
                }
                LaneState::ToAsk { .. } => {
                    if let Some(escalation) = self.question(lane, *next, now) {
                        next.0 += 1;
                        out.push(self.record(
                            now,
                            What::Opened {
                                escalation: Box::new(escalation),
                            },
                        ));
                    }
                    continue;
                }
                LaneState::Waiting
                | LaneState::Active { .. }
                | LaneState::Probing { .. }
                | LaneState::Delayed { .. }
                | LaneState::Asking { .. }
                | LaneState::Done { .. } => continue,
            };
            out.push(self.record(now, What::Judged { attempt, verdict }));
        }
    }

    /// A question may be owed before the first attempt.
    fn none_yet(&self, lane: &LaneRun) -> Option<AttemptId> {
        matches!(lane.state, LaneState::ToAsk { .. }).then(|| AttemptId {
            run: self.id.clone(),
            lane: lane.id.clone(),
            n: 0,
        })
    }

    /// Time limits that have passed.
    fn limits(&self, now: Time, out: &mut Vec<Command>) {
        for &place in &self.sets.active {
            let lane = &self.lanes[place];
            if let (Some(deadline), Some(attempt)) =
                (self.attempt_deadline(lane), self.attempt(lane))
                && deadline <= now
            {
                let reason = StopReason::Timeout;
                out.push(self.record(
                    now,
                    What::StopAsked {
                        attempt,
                        reason,
                        by: Principal::Rule,
                    },
                ));
            } else if let (LaneState::Active { stop: None, .. }, Some(attempt)) =
                (&lane.state, self.attempt(lane))
                && self.step_of(lane).fail_fast
                && self.sibling_failed(lane)
            {
                let reason = StopReason::Stop;
                out.push(self.record(
                    now,
                    What::StopAsked {
                        attempt,
                        reason,
                        by: Principal::Rule,
                    },
                ));
            }
        }
        for &place in &self.sets.asking {
            if let LaneState::Asking { escalation } = self.lanes[place].state
                && let Some(question) = self.questions.get(&escalation)
                && let (Some(deadline), Some(choice)) = (
                    question.escalation.deadline,
                    question.escalation.on_deadline,
                )
                && deadline <= now
                && question.answer.is_none()
            {
                let note = Some("nobody answered in time".into());
                out.push(self.record(
                    now,
                    What::Answered {
                        escalation,
                        choice,
                        by: Principal::Rule,
                        note,
                    },
                ));
            }
        }
        if matches!(self.phase, Phase::Going)
            && self.run_deadline().is_some_and(|deadline| deadline <= now)
        {
            out.push(self.record(
                now,
                What::RunStopAsked {
                    by: Principal::Rule,
                    why: RunStopWhy::Timeout,
                },
            ));
        }
    }

    fn attempt_deadline(&self, lane: &LaneRun) -> Option<Time> {
        match &lane.state {
            LaneState::Active {
                claimed: Some(claimed),
                stop: None,
                ..
            } => self
                .step_of(lane)
                .timeout
                .map(|timeout| claimed.plus(timeout)),
            _ => None,
        }
    }

    fn run_deadline(&self) -> Option<Time> {
        self.workflow
            .timeout
            .map(|timeout| self.since.plus(timeout))
    }

    /// Lanes that may start now, in the file's order, as many as there are places.
    fn starts(&self, now: Time, next: &mut EscalationId, out: &mut Vec<Command>) {
        let mut free = usize::try_from(self.workflow.max_parallel)
            .unwrap_or(usize::MAX)
            .saturating_sub(self.sets.active.len());
        let mut taken: std::collections::HashMap<usize, usize> = std::collections::HashMap::new();
        let due = self
            .sets
            .delayed
            .iter()
            .filter(|place| match &self.lanes[**place].state {
                LaneState::Delayed { until, .. } => *until <= now,
                _ => false,
            });
        for &place in due.chain(&self.sets.ready) {
            let lane = &self.lanes[place];
            let step = self.step_of(lane);
            match self.fate(step, lane) {
                Fate::Skip(why) => {
                    out.push(self.record(
                        now,
                        What::Skipped {
                            lane: lane.id.clone(),
                            why,
                        },
                    ));
                    continue;
                }
                Fate::Cannot(why) => {
                    out.push(self.record(
                        now,
                        What::CannotStart {
                            lane: lane.id.clone(),
                            why,
                        },
                    ));
                    continue;
                }
                Fate::Run => {}
            }
            match &step.what {
                StepWhat::Approval(_) => {
                    if let Some(escalation) = self.question(lane, *next, now) {
                        next.0 += 1;
                        out.push(self.record(
                            now,
                            What::Opened {
                                escalation: Box::new(escalation),
                            },
                        ));
                    }
                }
                StepWhat::Run { .. } => {
                    if free == 0 {
                        break;
                    }
                    let taken = taken.entry(lane.step).or_default();
                    let limit = step
                        .lanes_at_once
                        .and_then(|limit| usize::try_from(limit).ok())
                        .unwrap_or(usize::MAX);
                    if self.steps[lane.step].lanes_active + *taken >= limit {
                        continue;
                    }
                    out.push(self.start(lane, now));
                    *taken += 1;
                    free -= 1;
                }
            }
        }
    }

    fn start(&self, lane: &LaneRun, now: Time) -> Command {
        if let Err(why) = self.launch_environment(lane) {
            return self.record(
                now,
                What::CannotStart {
                    lane: lane.id.clone(),
                    why,
                },
            );
        }
        let (cause, resume) = match &lane.next {
            Some(next) => (next.cause.clone(), next.resume.clone()),
            None => (Cause::First, None),
        };
        let attempt = AttemptId {
            run: self.id.clone(),
            lane: lane.id.clone(),
            n: lane.n + 1,
        };
        self.record(
            now,
            What::Intended {
                attempt,
                cause,
                resume,
            },
        )
    }

    /// `if` replaces "all needs succeeded". A lane that has been started once, or was ordered to, is not asked again.
    fn fate(&self, step: &Step, lane: &LaneRun) -> Fate {
        if lane.next.is_some() {
            return Fate::Run;
        }
        if let Some(condition) = &step.condition {
            return match self.with_scope(lane, |scope| expr::holds(condition, scope)) {
                Ok(true) => Fate::Run,
                Ok(false) => Fate::Skip(SkipWhy::Condition),
                Err(error) => Fate::Cannot(format!("`if = \"{condition}\"`: {error}")),
            };
        }
        if step.fail_fast && self.sibling_failed(lane) {
            return Fate::Skip(SkipWhy::Need(step.id.clone()));
        }
        for need in &step.needs {
            match self.step_end(need) {
                Some(StepEnd::Succeeded | StepEnd::Allowed) => {}
                Some(StepEnd::Failed | StepEnd::Skipped) | None => {
                    return Fate::Skip(SkipWhy::Need(need.clone()));
                }
            }
        }
        Fate::Run
    }

    fn sibling_failed(&self, lane: &LaneRun) -> bool {
        self.lanes[self.steps[lane.step].lanes.clone()]
            .iter()
            .any(|other| {
                matches!(
                    other.state,
                    LaneState::Done {
                        how: Ended::Failed,
                        ..
                    }
                )
            })
    }

    /// A stopping run ends what runs.
    fn stops(&self, by: &Principal, now: Time, out: &mut Vec<Command>) {
        for &place in &self.sets.active {
            let lane = &self.lanes[place];
            if let (LaneState::Active { stop: None, .. }, Some(attempt)) =
                (&lane.state, self.attempt(lane))
            {
                let what = What::StopAsked {
                    attempt,
                    reason: StopReason::Stop,
                    by: by.clone(),
                };
                out.push(self.record(now, what));
            }
        }
    }

    /// How the run ends, if there is nothing left that could happen.
    fn result(&self) -> Option<RunResult> {
        let busy = !self.sets.active.is_empty()
            || !self.sets.undecided.is_empty()
            || !self.sets.probing.is_empty();
        match &self.phase {
            _ if busy => None,
            Phase::Stopping { why, .. } => Some(match why {
                RunStopWhy::Asked => RunResult::Stopped,
                RunStopWhy::Timeout | RunStopWhy::Abort { .. } => RunResult::Failed,
                RunStopWhy::Rejected => RunResult::Rejected,
            }),
            Phase::Going => {
                let waits = !self.sets.ready.is_empty()
                    || !self.sets.delayed.is_empty()
                    || !self.sets.asking.is_empty();
                (!waits).then(|| self.outcome())
            }
            Phase::Ended { .. } => None,
        }
    }

    fn outcome(&self) -> RunResult {
        let has = |wanted: fn(&Ended) -> bool| {
            self.lanes
                .iter()
                .any(|lane| matches!(&lane.state, LaneState::Done { how, .. } if wanted(how)))
        };
        if has(|how| matches!(how, Ended::Failed)) {
            RunResult::Failed
        } else if has(|how| matches!(how, Ended::Stopped)) {
            RunResult::Stopped
        } else {
            RunResult::Succeeded
        }
    }

    /// What must be so in the world.
    pub(super) fn effects(&self, out: &mut Vec<Command>) {
        for &place in &self.sets.active {
            let lane = &self.lanes[place];
            let Some(attempt) = self.attempt(lane) else {
                continue;
            };
            match &lane.state {
                LaneState::Active { claimed: None, .. } => out.push(Command::Launch(attempt)),
                LaneState::Active {
                    claimed: Some(_),
                    stop: Some(reason),
                    ..
                } => {
                    let grace = self.step_of(lane).grace;
                    out.push(Command::Stop {
                        attempt,
                        reason: *reason,
                        grace,
                    });
                }
                _ => {}
            }
        }
        for &place in &self.sets.probing {
            out.extend(self.attempt(&self.lanes[place]).map(Command::Probe));
        }
        if matches!(self.phase, Phase::Ended { .. }) {
            out.push(Command::CloseEnvironment(self.id.clone()));
        }
    }

    /// When to ask again although nothing has happened.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        if matches!(self.phase, Phase::Ended { .. }) {
            return None;
        }
        let attempts = self
            .sets
            .active
            .iter()
            .filter_map(|place| self.attempt_deadline(&self.lanes[*place]));
        let retries =
            self.sets
                .delayed
                .iter()
                .filter_map(|place| match &self.lanes[*place].state {
                    LaneState::Delayed { until, .. }
                        if !self.paused && matches!(self.phase, Phase::Going) =>
                    {
                        Some(*until)
                    }
                    _ => None,
                });
        let gates = self
            .sets
            .asking
            .iter()
            .filter_map(|place| match &self.lanes[*place].state {
                LaneState::Asking { escalation } => {
                    self.questions.get(escalation)?.escalation.deadline
                }
                _ => None,
            });
        let run = self
            .run_deadline()
            .filter(|_| matches!(self.phase, Phase::Going));
        attempts.chain(retries).chain(gates).chain(run).min()
    }

    /// When the timer of a lane's state ends, for the screen.
    pub fn until(&self, lane: &LaneRun) -> Option<Time> {
        match &lane.state {
            LaneState::Delayed { until, .. } => Some(*until),
            LaneState::Asking { escalation } => self.questions.get(escalation)?.escalation.deadline,
            LaneState::Waiting
            | LaneState::Active { .. }
            | LaneState::Exited { .. }
            | LaneState::Lost { .. }
            | LaneState::Probing { .. }
            | LaneState::Probed { .. }
            | LaneState::ToAsk { .. }
            | LaneState::Done { .. } => self.attempt_deadline(lane),
        }
    }
}
