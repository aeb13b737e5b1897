//! "The same for this run": an answer that holds for the same failure, in every lane of the step, until it has helped too
//! seldom. Pure.

use std::time::Duration;

use crate::model::{
    AskWhy, Choice, EscalationId, EscalationKind, Exit, Principal, Proposal, Retry, Spend, Time, Verdict, What,
};

use super::Run;
use super::order::Refused;
use super::patch::with_alternative;
use super::recovery::{delay, resume_path};
use super::state::{LaneRun, Question};

/// So often a lane is tried again by one answer without a newer checkpoint in between; then a person is asked anew.
const AT_MOST: u32 = 3;

/// Between the attempts, from the second one on longer.
const PAUSE: Retry = Retry {
    max_attempts: AT_MOST + 1,
    delay: Duration::from_secs(10),
    backoff: 2.0,
    max_delay: Duration::from_secs(600),
    jitter: true,
};

/// Can this be the answer for the rest of the run? What ends something for good is asked each time.
fn can_last(choice: Choice) -> bool {
    match choice {
        Choice::Retry | Choice::Resume | Choice::Accept | Choice::Alternative { .. } | Choice::Skip => true,
        Choice::KeepWaiting
        | Choice::Probe
        | Choice::Done
        | Choice::Fail
        | Choice::StopRun
        | Choice::Approve
        | Choice::Reject
        | Choice::SendBack(_) => false,
    }
}

impl Run {
    /// That the answer to this question holds for the same failure in this run, as an event: before the answer itself.
    ///
    /// # Errors
    /// In words where this question or this choice cannot be answered for the rest of a run.
    pub fn last(&self, id: EscalationId, choice: Choice, by: Principal) -> Result<What, Refused> {
        let Some(question) = self.questions.get(&id) else {
            return Err(Refused(format!("there is no question {id} in this run")));
        };
        let asked = &question.escalation;
        if asked.kind != EscalationKind::Failed || asked.fingerprint.is_empty() {
            return Err(Refused(format!("{id} is not about a failure: it is asked each time")));
        }
        if !can_last(choice) {
            let words = "only retry, resume, accept, an alternative or skip can be the answer for the rest of a run";
            return Err(Refused(format!("{} is decided each time: {words}", self.word(choice))));
        }
        Ok(What::Lasting { escalation: id, by })
    }

    /// How the failures that this question asks about are answered from now on; the newest word counts.
    pub(super) fn lasts(&mut self, id: EscalationId) {
        if let Some(question) = self.questions.get(&id).filter(|question| question.is_open()) {
            self.lasting.insert(question.escalation.fingerprint.clone(), id);
        }
    }

    /// A question about the same failure, open already when the lasting answer was given, is answered with it. Not a later
    /// one: that is asked because the answer has helped too seldom.
    pub(super) fn answered_alike(&self, question: &Question) -> Option<What> {
        let asked = &question.escalation;
        let id = self.lasting.get(&asked.fingerprint).filter(|id| question.is_open() && **id != asked.id)?;
        let (choice, by, at, _) = self.questions.get(id)?.answer.as_ref()?;
        let open_then = asked.kind == EscalationKind::Failed && question.opened < *at;
        (open_then && asked.choices.contains(choice)).then(|| What::Answered {
            escalation: asked.id,
            choice: *choice,
            by: by.clone(),
            note: Some(format!("as {id}, for this run")),
        })
    }

    /// What a lasting answer does instead of a question.
    pub(super) fn as_answered(
        &self,
        lane: &LaneRun,
        (key, exit, now): (&str, &Exit, Time),
        asks: &AskWhy,
    ) -> Option<Verdict> {
        let AskWhy::Failed { rule, proposal, .. } = asks else {
            return None;
        };
        let of_rule = rule;
        let print = self.print_of(lane, rule.as_deref(), exit);
        let id = self.lasting.get(&print)?;
        let (choice, by, ..) = self.questions.get(id)?.answer.as_ref()?;
        let rule = format!("the answer to {id} by {by}, for this run");
        let (resume, patch) = match (choice, proposal.as_deref()) {
            (Choice::Skip, _) | (Choice::Accept, Some(Proposal { skip: true, .. })) => {
                return Some(Verdict::Skip { rule });
            }
            (Choice::Accept, Some(Proposal { resume, patch, .. })) => (resume.clone(), patch.clone()),
            (Choice::Retry, _) => (None, None),
            (Choice::Resume, _) => (Some(resume_path(self.step_of(lane), exit)?), None),
            (Choice::Alternative { .. }, _) => {
                let (name, _) = self.alternative_named(*choice)?;
                let failed = lane.patch.alternative.as_deref() == Some(name);
                (None, Some((!failed).then(|| with_alternative(lane, name))?))
            }
            (
                Choice::Accept
                | Choice::KeepWaiting
                | Choice::Probe
                | Choice::Done
                | Choice::Fail
                | Choice::StopRun
                | Choice::Approve
                | Choice::Reject
                | Choice::SendBack(_),
                _,
            ) => return None,
        };
        // Two at once would be worse than a question; and what follows a person's hands is left to a person.
        if !exit.leaked.is_empty() || lane.touched {
            return None;
        }
        let budget = format!("answer {id}");
        let tries = lane.tries_of(&budget);
        if tries > AT_MOST {
            let because = format!("{rule}, was tried {AT_MOST} times and brought nothing new");
            let (rule, proposal) = (of_rule.clone(), proposal.clone());
            return Some(Verdict::Ask { why: AskWhy::Failed { rule, attempts: tries, of: tries, because, proposal } });
        }
        let pause = if tries == 1 { Duration::ZERO } else { delay(&PAUSE, tries - 1, key) };
        // As attempts are numbered: those that led to the answer are not of it.
        let of = lane.n + AT_MOST + 1 - tries;
        let spend = Spend { budget, print, of, by_progress: true };
        Some(Verdict::Retry { at: now.plus(pause), rule, resume, spend: Some(spend), patch })
    }
}
