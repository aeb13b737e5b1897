//! Secrets whose values have been lost: which lanes wait for them, and what follows when they are there again. Knows names,
//! never a value. Pure.

use crate::model::{Choice, EscalationKind, Principal, What};

use super::Run;
use super::state::LaneRun;

/// Why a lane cannot be started without these.
pub fn lost_secrets_words(names: &[String]) -> String {
    let (value, is) = if names.len() == 1 { ("value", "is") } else { ("values", "are") };
    format!("the {value} of {} {is} not there any more: `dogwatch secret` takes {value} and goes on", names.join(", "))
}

impl Run {
    /// The secrets of this lane's step that have been lost.
    pub fn lost_secrets_of<'a>(&'a self, lane: &'a LaneRun) -> impl Iterator<Item = &'a String> + use<'a> {
        self.step_of(lane).secrets.iter().filter(|name| self.lost_secrets.contains(*name))
    }

    pub(super) fn lacks_secrets(&self, place: usize) -> bool {
        !self.lost_secrets.is_empty() && self.lost_secrets_of(&self.lanes[place]).next().is_some()
    }

    /// Both lanes wait for the value of the same secret.
    pub(super) fn lack_the_same_secret(&self, one: usize, other: usize) -> bool {
        let others: Vec<&String> = self.lost_secrets_of(&self.lanes[other]).collect();
        self.lost_secrets_of(&self.lanes[one]).any(|name| others.contains(&name))
    }

    /// Values are there again: recorded, and questions that asked for nothing else are answered by that. A lane goes on as it
    /// was to.
    pub fn secrets_given(&self, names: &[String], by: &Principal) -> Vec<What> {
        let mut all = vec![What::SecretsGiven { names: names.to_vec(), by: by.clone() }];
        for question in self.questions.values().filter(|question| question.is_open()) {
            let asked = &question.escalation;
            let Some(lane) = self.lane(&asked.lane).filter(|_| asked.kind == EscalationKind::CannotStart) else {
                continue;
            };
            let mut lost = self.lost_secrets_of(lane).peekable();
            if lost.peek().is_none() || !lost.all(|name| names.contains(name)) {
                continue;
            }
            let resumes = lane.unstarted.is_some() && asked.choices.contains(&Choice::Resume);
            let choice = if resumes { Choice::Resume } else { Choice::Retry };
            let note = Some("the secrets that it needs were given".to_owned());
            all.push(What::Answered { escalation: asked.id, choice, by: by.clone(), note });
        }
        all
    }
}
