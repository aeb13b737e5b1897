//! What is looked at from inside: by a step that waits for something, and by the readiness probe of a service.

use std::time::Duration;

use super::Template;

/// Something that is there, or is not: one look tells. `T` is a [`Template`] in a workflow, a text once it is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look<T = Template> {
    /// A GET of this address is answered with a status from 200 to 399. Nothing is followed.
    Http(T),
    /// `host:port` takes a connection.
    Tcp(T),
    /// There is something at this path.
    File(T),
    /// A script for `sh -e` ends with 0. It runs often, and must change nothing.
    Command(String),
}

impl<T> Look<T> {
    /// With another text in it.
    pub fn fill<U, E>(&self, fill: impl FnOnce(&T) -> Result<U, E>) -> Result<Look<U>, E> {
        Ok(match self {
            Self::Http(text) => Look::Http(fill(text)?),
            Self::Tcp(text) => Look::Tcp(fill(text)?),
            Self::File(text) => Look::File(fill(text)?),
            Self::Command(script) => Look::Command(script.clone()),
        })
    }

    /// One look is given up after this long.
    pub fn limit(&self) -> Duration {
        match self {
            Self::Http(_) | Self::Tcp(_) | Self::File(_) => Duration::from_secs(10),
            Self::Command(_) => Duration::from_secs(60),
        }
    }
}

impl std::fmt::Display for Look<String> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Http(text) | Self::Tcp(text) | Self::File(text) | Self::Command(text)) = self;
        let line = text.trim().lines().next().unwrap_or_default();
        if line.chars().count() > 80 {
            write!(f, "{}…", line.chars().take(79).collect::<String>())
        } else {
            f.write_str(line)
        }
    }
}

/// What looks for an attempt saw.
pub fn seen_words(good: bool, given_up: bool, seen: &str) -> String {
    match (good, given_up) {
        (true, _) => format!("it is there: {seen}"),
        (false, false) => format!("not yet: {seen}"),
        (false, true) => format!("looked for in vain: {seen}"),
    }
}

/// `GPU 0`, `GPUs 0, 3`.
pub fn gpu_words(gpus: &[u32]) -> String {
    let all: Vec<String> = gpus.iter().map(ToString::to_string).collect();
    format!("{} {}", if all.len() == 1 { "GPU" } else { "GPUs" }, all.join(", "))
}

/// `wait_for`: what a step waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitFor {
    pub look: Look,
    /// Two looks are never closer together, nor farther apart.
    pub poll: (Duration, Duration),
}

/// `service = true`: it lives until nobody needs it any more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Without one it is ready as soon as it has started.
    pub readiness: Option<Readiness>,
}

/// `readiness_probe`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    pub look: Look,
    /// Between two looks.
    pub period: Duration,
    /// After so many looks in vain the service has failed.
    pub failure_threshold: u32,
}
