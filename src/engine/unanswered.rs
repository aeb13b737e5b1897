//! Questions that nobody answers: what `escalation` has follow then, and what may follow without a person. Pure.

use crate::model::{Autonomy, Choice, Escalation, EscalationKind, Time, Unanswered};

use super::Run;
use super::recovery::is_beyond;
use super::state::{LaneRun, Question};

impl Run {
    /// The question with what follows when nobody answers it, and when.
    pub(super) fn timed(&self, lane: &LaneRun, asked: Escalation, now: Time) -> Escalation {
        let spec = &self.step_of(lane).escalation;
        let choice = spec.on_timeout.and_then(|what| self.without_answer(lane, &asked, what));
        match (spec.timeout, choice) {
            (Some(timeout), Some(choice)) => {
                Escalation { deadline: Some(now.plus(timeout)), on_deadline: Some(choice), ..asked }
            }
            (_, _) => asked,
        }
    }

    /// When an open question is answered without a person, and how, as things are now: the checkpoint that it was to go on
    /// from may have been found damaged since, and the one before is not gone on from again.
    pub fn falls_due(&self, question: &Question) -> Option<(Time, Choice)> {
        let asked = &question.escalation;
        let (deadline, choice) = (asked.deadline?, asked.on_deadline?);
        if choice == Choice::Resume {
            let lane = self.lane(&asked.lane)?;
            is_beyond(lane.checkpoint.as_ref(), lane.unattended.as_ref()).then_some((deadline, choice))
        } else {
            Some((deadline, choice))
        }
    }

    /// What may be done without a person; `None`: the question waits.
    fn without_answer(&self, lane: &LaneRun, asked: &Escalation, what: Unanswered) -> Option<Choice> {
        let step = self.step_of(lane);
        // Who only wants to see what would be done has nothing done.
        if step.autonomy == Autonomy::Observe {
            return None;
        }
        let choice = match what {
            Unanswered::Wait => return None,
            Unanswered::Skip => Choice::Skip,
            Unanswered::Abort => Choice::StopRun,
            Unanswered::Resume => {
                // Of what may have finished nothing runs again by itself, nor beside what is left of the last attempt, nor
                // after somebody's hands, nor again and again from the same place.
                let failed = matches!(asked.kind, EscalationKind::Failed | EscalationKind::Stalled);
                let leaked = lane.last_exit.as_ref().is_some_and(|exit| !exit.leaked.is_empty());
                if !failed || leaked || lane.touched || !is_beyond(lane.checkpoint.as_ref(), lane.unattended.as_ref()) {
                    return None;
                }
                Choice::Resume
            }
        };
        asked.choices.contains(&choice).then_some(choice)
    }
}

impl LaneRun {
    /// It goes on from its newest checkpoint because nobody answered: not again from the same one.
    pub(super) fn resumed_unattended(&mut self) {
        self.unattended.clone_from(&self.checkpoint);
    }
}
