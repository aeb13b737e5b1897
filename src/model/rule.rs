//! Rules that judge failures, as they are written: built in, the operator's own, or of a workflow.

use super::{Advice, Class, Role};

/// How much one line says, from a proof to a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Strength {
    /// Nothing better is known.
    Guess,
    /// Words that many failures share.
    Weak,
    #[default]
    Plain,
    /// A fact, or words that leave little room.
    Strong,
    /// Words that only this cause makes.
    Sure,
}

impl Strength {
    /// Every strength, with the word that stands for it.
    pub const ALL: [(&'static str, Self); 5] = [
        ("guess", Self::Guess),
        ("weak", Self::Weak),
        ("plain", Self::Plain),
        ("strong", Self::Strong),
        ("sure", Self::Sure),
    ];
}

/// A rule as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSpec {
    pub id: String,
    pub class: Class,
    pub role: Role,
    /// A regular expression for one line; `None`: the exit code or signal alone is the sign.
    pub pattern: Option<String>,
    /// Another line that must be within `within` lines of it.
    pub needs: Option<String>,
    /// Another line that must not be within `within` lines of it.
    pub unless: Option<String>,
    /// In lines, before and after.
    pub within: u64,
    /// Where the exit code is known it must be one of these; empty: any.
    pub exit_codes: Vec<i32>,
    /// Where the end is known it must be one of these signals; empty: any.
    pub signals: Vec<i32>,
    /// What is to be done; `None`: the default of the class.
    pub advice: Option<Advice>,
    pub strength: Strength,
    /// `Some(true)`: the line always tells of trouble that was overcome; `Some(false)`: never; `None`: its words tell.
    pub soft: Option<bool>,
    /// It counts although the exit code is 0.
    pub despite_success: bool,
    /// Output that shows it, and is judged into its class.
    pub example: String,
    /// One sentence for a person.
    pub means: String,
}

impl RuleSpec {
    /// How far `needs` and `unless` look when nothing else is written.
    pub const WITHIN: u64 = 40;

    /// What it advises.
    pub fn advises(&self) -> Advice {
        self.advice.unwrap_or_else(|| self.class.default_advice())
    }
}
