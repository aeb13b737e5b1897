//! The prompt of a question: what is known, numbered choices with what each does and costs, what happens if nobody
//! answers. Owns where its operator stands in it, never the question: that is looked up each time, so that it cannot go
//! stale. Choice 1 is always to leave everything as it is. Pure.

mod draw;
mod lines;
mod told;

pub use draw::{choice_at, draw};
pub use told::{consequence, later_effect, later_word, matched_text};

use super::{Field, Guard};
use crate::tui::keys::Place;
use crate::wire::client::{ChoiceView, EscalationView};

/// The prompt of one question.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// The question's number.
    pub id: u64,
    /// When it begins to listen.
    pub guard: Guard,
    /// The marked choice; 0 leaves everything as it is.
    pub cursor: usize,
    /// The answer is for all questions of the run that ask the same.
    pub all: bool,
    /// The answer holds for the same failure in the rest of the run, and for those that are open.
    pub lasting: bool,
    /// Goes with the answer.
    pub note: Option<String>,
    /// A note that was begun and left: not sent.
    pub draft: Option<String>,
    /// The note while it is being written.
    pub writing: Option<Field>,
}

impl Prompt {
    /// Of a question, opened now; the harmless choice is marked.
    pub fn new(id: u64, now_ms: i64) -> Self {
        Self {
            id,
            guard: Guard::new(now_ms),
            cursor: 0,
            all: false,
            lasting: false,
            note: None,
            draft: None,
            writing: None,
        }
    }

    /// Where keys act while it is the innermost panel.
    pub fn place(&self) -> Place {
        if self.writing.is_some() { Place::Text } else { Place::Prompt }
    }
}

/// One thing that can be chosen, as it is numbered on the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Offer<'a> {
    /// Everything stays as it is: nobody's choice but the screen's.
    Later,
    One(&'a ChoiceView),
    /// Which of the steps to send back to is chosen next.
    Back(Vec<&'a ChoiceView>),
}

/// What can be chosen. The steps that a gate can be sent back to are one choice.
pub fn offers(asked: &EscalationView) -> Vec<Offer<'_>> {
    let (back, others): (Vec<&ChoiceView>, Vec<&ChoiceView>) =
        asked.choices.iter().partition(|choice| choice.back_to().is_some());
    let mut all = vec![Offer::Later];
    all.extend(others.into_iter().map(Offer::One));
    all.extend((!back.is_empty()).then_some(Offer::Back(back)));
    all
}

/// The name of a question's run without its number: what is typed to confirm.
pub fn run_word(asked: &EscalationView) -> &str {
    asked.run_name.rsplit_once(" #").map_or(asked.run_name.as_str(), |(name, _)| name)
}
