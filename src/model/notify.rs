//! Who is told of what: the rules of `[[notify]]`.

use std::time::Duration;

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyRule {
    /// At least one, each once.
    pub on: Vec<Occasion>,
    pub to: Target,
    /// How long after a question was told it is told again, while nobody has answered it.
    pub remind: Option<Duration>,
}

/// What somebody is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// A question to a person is open.
    Escalation,
    RunFailed,
    RunSucceeded,
    /// Stopped or rejected.
    RunStopped,
}

impl Occasion {
    /// Every one, with the word that stands for it.
    pub const ALL: [(&'static str, Self); 4] = [
        ("escalation", Self::Escalation),
        ("run.failed", Self::RunFailed),
        ("run.succeeded", Self::RunSucceeded),
        ("run.stopped", Self::RunStopped),
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, occasion)| *occasion == self).map_or("escalation", |(word, _)| word)
    }
}

/// How somebody is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A program with its arguments, started by the engine as its own user; not empty, and no shell looks at it.
    Command(Vec<String>),
    /// A JSON object is posted to this `http://` or `https://` address.
    Url(String),
}

impl std::fmt::Display for Target {
    /// For people: of an address only the host, for the rest of it is often a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Command(words) => f.write_str(words.first().map_or("", String::as_str)),
            Self::Url(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
                let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
                let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
                write!(f, "{scheme}://{host}")
            }
        }
    }
}
