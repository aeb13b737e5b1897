//! What a person may order, and when it is refused: the state moved on. Pure; makes the event that records the order.

use crate::model::{
    AttemptId, Choice, ClockOrder, EscalationId, LaneId, Order, Principal, RunStopWhy, StepId, StepWhat, StopReason,
    Time, What,
};

use super::Run;
use super::state::{LaneRun, LaneState, Phase};

/// Why an order is not taken, in words for the one who gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

fn refused<T>(words: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(words.into()))
}

impl Run {
    /// The answer to a question, as an event.
    pub fn decide(
        &self,
        id: EscalationId,
        choice: Choice,
        by: Principal,
        note: Option<String>,
    ) -> Result<What, Refused> {
        let Some(question) = self.questions.get(&id) else {
            return refused(format!("there is no question {id} in this run"));
        };
        if let Some((answer, who, ..)) = &question.answer {
            return refused(format!("{id} was answered already: {} by {who}", self.word(*answer)));
        }
        if let Some(held) = &question.held {
            let words = format!("{id} was answered just now: {} by {}", self.word(held.choice), held.by);
            return refused(format!("{words}; it can be taken back for a moment: dogwatch undo {id}"));
        }
        if matches!(self.phase, Phase::Ended { .. }) {
            return refused("the run has ended; `dogwatch resume` goes on with it");
        }
        if !question.escalation.choices.contains(&choice) {
            let words: Vec<_> = question.escalation.choices.iter().map(|choice| self.word(*choice)).collect();
            return refused(format!("{} is no answer to {id}; it takes: {}", self.word(choice), words.join(", ")));
        }
        Ok(What::Answered { escalation: id, choice, by, note })
    }

    /// The answer to a question that takes effect at `until` and can be taken back before, as an event.
    pub fn decide_later(
        &self,
        id: EscalationId,
        choice: Choice,
        by: Principal,
        note: Option<String>,
        until: Time,
    ) -> Result<What, Refused> {
        self.decide(id, choice, by.clone(), note.clone())?;
        Ok(What::Held { escalation: id, choice, by, note, until })
    }

    /// The taking back of an answer that has not taken effect, as an event. Anybody may.
    pub fn undo(&self, id: EscalationId, by: Principal) -> Result<What, Refused> {
        let Some(question) = self.questions.get(&id) else {
            return refused(format!("there is no question {id} in this run"));
        };
        match (&question.held, &question.answer) {
            (Some(_), _) => Ok(What::Undone { escalation: id, by }),
            (None, Some((answer, who, ..))) => {
                refused(format!("too late: {} by {who} has taken effect already", self.word(*answer)))
            }
            (None, None) => refused(format!("{id} has no answer that could be taken back")),
        }
    }

    /// Not now: the deadline of a question begins anew at `now`, as an event.
    pub fn later(&self, id: EscalationId, by: Principal, now: Time) -> Result<What, Refused> {
        let Some(question) = self.questions.get(&id) else {
            return refused(format!("there is no question {id} in this run"));
        };
        if let Some((answer, who, ..)) = &question.answer {
            return refused(format!("{id} was answered already: {} by {who}", self.word(*answer)));
        }
        if let Some(held) = &question.held {
            return refused(format!("{id} was answered just now: {} by {}", self.word(held.choice), held.by));
        }
        let timeout = match self.workflow.steps.get(&question.escalation.lane.step).map(|step| &step.what) {
            Some(StepWhat::Approval(gate)) => gate.timeout,
            Some(StepWhat::Run { .. }) => {
                self.workflow.steps.get(&question.escalation.lane.step).and_then(|step| step.escalation.timeout)
            }
            Some(StepWhat::WaitFor(_)) | None => None,
        };
        match (question.escalation.deadline, timeout) {
            (Some(_), Some(timeout)) => Ok(What::Extended { escalation: id, deadline: now.plus(timeout), by }),
            (_, _) => refused(format!("{id} has no deadline: it waits for you")),
        }
    }

    /// An order about a lane, as an event. Where a question about the lane is open, the order is its answer.
    pub fn order(&self, lane: &LaneId, order: Order, by: Principal, note: Option<String>) -> Result<What, Refused> {
        let Some(run) = self.lane(lane) else {
            return refused(format!("there is no step {} in this run", lane.step));
        };
        let name = self.lane_name(lane);
        if let Some(escalation) = self.asks(run) {
            return self.order_as_answer(run, escalation, order, by, note);
        }
        match &run.state {
            LaneState::Asking { .. } => refused(format!("{name} has just been decided about; ask again")),
            LaneState::Active { .. } => refused(format!("{name} is running; stop it first: dogwatch stop RUN {name}")),
            LaneState::Probing { .. } => refused(format!("{name} is being probed; wait for the answer")),
            LaneState::Verifying { .. } => {
                refused(format!("{name} is being verified; wait, or stop it: dogwatch stop RUN {name}"))
            }
            LaneState::Exited { .. } | LaneState::Lost { .. } | LaneState::Probed { .. } | LaneState::ToAsk { .. } => {
                refused(format!("{name} has just ended; ask again"))
            }
            LaneState::Waiting if matches!(order, Order::Retry | Order::Resume) => {
                refused(format!("{name} has not run yet; it starts when what it needs is done"))
            }
            LaneState::Waiting | LaneState::Delayed { .. } | LaneState::Done { .. } => {
                if matches!(self.phase, Phase::Stopping { .. }) {
                    return refused("the run is being stopped; wait for its end, then resume it");
                }
                Ok(What::Ordered { lane: lane.clone(), order, by, note })
            }
        }
    }

    /// Where a question about the lane is open, an order is its answer.
    fn order_as_answer(
        &self,
        lane: &LaneRun,
        id: EscalationId,
        order: Order,
        by: Principal,
        note: Option<String>,
    ) -> Result<What, Refused> {
        let choice = match order {
            Order::Resume if lane.checkpoint.is_some() => Choice::Resume,
            Order::Retry | Order::Resume => Choice::Retry,
            Order::Skip => Choice::Skip,
            Order::Done => Choice::Done,
        };
        let gate = self.questions.get(&id).is_some_and(|q| q.escalation.choices.contains(&Choice::Approve));
        let choice = if gate && order == Order::Done { Choice::Approve } else { choice };
        self.decide(id, choice, by, note)
    }

    /// What is said about the clocks of a live attempt, as an event.
    pub fn set_clocks(&self, lane: &LaneId, order: ClockOrder, by: Principal) -> Result<What, Refused> {
        let Some(run) = self.lane(lane) else {
            return refused(format!("there is no step {} in this run", lane.step));
        };
        let name = self.lane_name(lane);
        let Some(attempt) = self.live(lane) else {
            return refused(format!("{name} does not run: it has no clocks"));
        };
        match order {
            ClockOrder::Hold if run.attached.is_some() => {
                refused(format!("{name} is typed into: its clocks stand still"))
            }
            ClockOrder::Hold if run.clocks.held.is_some() => {
                refused(format!("the clocks of {name} stand still already"))
            }
            ClockOrder::GoOn if run.clocks.held.is_none() => refused(format!("the clocks of {name} are not held")),
            ClockOrder::More(_) | ClockOrder::Hold | ClockOrder::GoOn | ClockOrder::NeverStall => {
                Ok(What::ClocksSet { attempt, order, by })
            }
        }
    }

    /// The stop of one step, as an event.
    pub fn stop_step(&self, lane: &LaneId, by: Principal) -> Result<What, Refused> {
        let Some(run) = self.lane(lane) else {
            return refused(format!("there is no step {} in this run", lane.step));
        };
        let name = self.lane_name(lane);
        match (&run.state, self.attempt(run)) {
            (LaneState::Active { stop: None, .. }, Some(attempt)) => {
                Ok(What::StopAsked { attempt, reason: StopReason::Stop, by, save: self.save_signal(run) })
            }
            (LaneState::Verifying { exit }, Some(attempt)) if run.stop_asked.is_none() && !exit.is_bad() => {
                Ok(What::StopAsked { attempt, reason: StopReason::Stop, by, save: None })
            }
            (LaneState::Active { stop: Some(_), .. }, _) => refused(format!("{name} is being stopped already")),
            (LaneState::Done { .. }, _) => refused(format!("{name} has ended already")),
            (LaneState::Asking { escalation }, _) => {
                refused(format!("{name} does not run; it waits for an answer: dogwatch show {escalation}"))
            }
            (_, _) => refused(format!("{name} does not run; to leave it out: dogwatch skip RUN {name}")),
        }
    }

    /// The stop of the run, as an event.
    pub fn stop_run(&self, by: Principal) -> Result<What, Refused> {
        match &self.phase {
            Phase::Going => Ok(What::RunStopAsked { by, why: RunStopWhy::Asked }),
            Phase::Stopping { by, .. } => refused(format!("the run is being stopped already, by {by}")),
            Phase::Ended { .. } => refused("the run has ended already"),
        }
    }

    /// `pause` and `unpause`, as an event.
    pub fn pause(&self, pause: bool, by: Principal) -> Result<What, Refused> {
        match (&self.phase, self.paused, pause) {
            (Phase::Ended { .. }, ..) => refused("the run has ended"),
            (_, true, true) => refused("the run is paused already"),
            (_, false, false) => refused("the run is not paused"),
            (_, _, true) => Ok(What::Paused { by }),
            (_, _, false) => Ok(What::Unpaused { by }),
        }
    }

    /// `resume`, as an event.
    pub fn resume(&self, from: Option<StepId>, by: Principal) -> Result<What, Refused> {
        if let Some(from) = &from
            && !self.workflow.steps.contains_key(from)
        {
            return refused(format!("there is no step {from} in this run"));
        }
        match &self.phase {
            Phase::Ended { result: crate::model::RunResult::Succeeded, .. } if from.is_none() => {
                refused("the run has succeeded; to do a part again: dogwatch resume RUN --from STEP")
            }
            Phase::Ended { .. } => Ok(What::Resumed { from, by }),
            Phase::Going if self.paused => refused("the run is paused: dogwatch unpause RUN"),
            Phase::Going => refused("the run is going on"),
            Phase::Stopping { .. } => refused("the run is being stopped; wait for its end"),
        }
    }

    /// The newest attempt of a lane that is live, for hands on.
    pub fn live(&self, lane: &LaneId) -> Option<AttemptId> {
        let run = self.lane(lane)?;
        matches!(run.state, LaneState::Active { claimed: Some(_), .. }).then(|| self.attempt(run))?
    }
}
