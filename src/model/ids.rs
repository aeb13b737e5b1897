//! Names of things. Every id is a type of its own; their texts are safe in paths, tmux targets and shells.

use std::fmt;
use std::str::FromStr;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {kind}: {why}")]
pub struct BadId {
    pub kind: &'static str,
    pub text: String,
    pub why: &'static str,
}

fn check(kind: &'static str, text: &str, longest: usize) -> Result<(), BadId> {
    let bad = |why| Err(BadId { kind, text: text.chars().take(80).collect(), why });
    let Some(first) = text.chars().next() else {
        return bad("it is empty");
    };
    if !(first.is_ascii_lowercase() || first.is_ascii_digit()) {
        return bad("it must start with a-z or 0-9");
    }
    if text.len() > longest {
        return bad("it is too long");
    }
    if !text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-') {
        return bad("only a-z, 0-9, _ and - are allowed");
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $longest:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(std::sync::Arc<str>);

        impl $type {
            /// Checks and takes the text.
            pub fn new(text: &str) -> Result<Self, BadId> {
                check($kind, text, $longest)?;
                Ok(Self(text.into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::new(text)
            }
        }
    };
}

name!(
    /// A run's id: six letters or digits, never shown alone where the run's name and number can be.
    RunId, "run id", 16
);
name!(
    /// A step's name in its workflow: `[a-z0-9][a-z0-9_-]{0,62}`.
    StepId, "step name", 63
);

name!(
    /// An environment's name in its workflow: `default` is that of `[environment]`.
    EnvironmentId, "environment name", 63
);

impl Default for EnvironmentId {
    fn default() -> Self {
        Self("default".into())
    }
}

/// An environment of a run that is there or is to be: shared by attempts, or one attempt's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    pub environment: EnvironmentId,
    /// The only attempt in it.
    pub own: Option<(LaneId, u32)>,
}

impl Site {
    /// The site of this text, as [`Site`] is displayed.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let environment = EnvironmentId::new(parts.next()?).ok()?;
        let own = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (None, ..) => None,
            (Some(step), Some(lane), Some(n), None) => {
                let lane = LaneId { step: StepId::new(step).ok()?, lane: Lane(lane.parse().ok()?) };
                Some((lane, n.parse().ok()?))
            }
            (Some(_), ..) => return None,
        };
        Some(Self { environment, own })
    }
}

/// `serving`, or `serving.train.0.2`: no name has a dot in it.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.environment.fmt(f)?;
        match &self.own {
            Some((lane, n)) => write!(f, ".{}.{}.{n}", lane.step, lane.lane),
            None => Ok(()),
        }
    }
}

impl RunId {
    /// Six letters or digits from 8 random bytes.
    pub fn from_random(bytes: [u8; 8]) -> Self {
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let text: String = bytes.iter().take(6).map(|b| char::from(LETTERS[usize::from(b % 32)])).collect();
        Self(text.into())
    }
}

/// A lane of a step's matrix; 0 without a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lane(pub u32);

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One lane of one step of a run: what is scheduled, retried and asked about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId {
    pub step: StepId,
    pub lane: Lane,
}

/// One attempt at one lane. Its [`AttemptId::key`] names it everywhere outside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId {
    pub run: RunId,
    pub lane: LaneId,
    /// Counts from 1.
    pub n: u32,
}

impl AttemptId {
    /// `dw-<run>-<step>-<lane>-a<n>`: the tmux session's name, the label, `DOGWATCH_KEY`.
    pub fn key(&self) -> String {
        format!("dw-{}-{}-{}-a{}", self.run, self.lane.step, self.lane.lane, self.n)
    }

    /// The attempt's directory below the run's: `<step>/<lane>/a<n>`. A step that has the name of one of the run's own
    /// folders is set apart by a letter that no name begins with: what lies in `work` may be written by every step.
    pub fn dir(&self) -> String {
        let step = self.lane.step.as_str();
        let apart = if RUN_FOLDERS.contains(&step) { "_" } else { "" };
        format!("{apart}{step}/{}/a{}", self.lane.lane, self.n)
    }
}

/// The run's own folders, beside those of its steps: what steps write, and where its environments are.
pub const RUN_FOLDERS: [&str; 2] = ["work", "env"];

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key())
    }
}

/// The number of an escalation, counted over all runs; shown as `e7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EscalationId(pub u64);

impl fmt::Display for EscalationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}", self.0)
    }
}

/// Who asks for something: recorded with each decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Somebody at a terminal or a script of theirs: `user@host`.
    Person(String),
    /// dogwatch itself, by a rule or a limit of the workflow.
    Rule,
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(name) => f.write_str(name),
            Self::Rule => f.write_str("dogwatch"),
        }
    }
}
