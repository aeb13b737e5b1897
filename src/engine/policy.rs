//! What is done about a failure that no rule of the workflow speaks of: the defaults of the classes, with their budgets.
//! Pure. The table is that of the documentation, and the tests hold both together.

use std::time::Duration;

use crate::model::{Action, Advice, Class, Diagnosis, Retry};

/// Of what is said with less confidence, nothing follows by itself.
const SURE_ENOUGH: f64 = 0.4;

/// What a class gets done without a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub action: Action,
    /// With `max_attempts` of the same failure, the first one among them.
    pub retry: Retry,
    /// The budget begins anew when there is a newer checkpoint than at the last failure.
    pub by_progress: bool,
    /// The same failure without progress since is not tried again.
    pub once: bool,
}

/// Attempts of one class in all are at most so many times those of one failure.
pub const ALL_PRINTS: u32 = 3;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn retry(max_attempts: u32, delay: u64, max_delay: u64) -> Retry {
    Retry { max_attempts, delay: seconds(delay), backoff: 2.0, max_delay: seconds(max_delay), jitter: true }
}

/// What the class gets done by itself; `None`: a person is asked.
pub fn of_class(class: Class) -> Option<Policy> {
    let again = |action, retry| Policy { action, retry, by_progress: false, once: false };
    match class {
        Class::Network => Some(again(Action::Retry, retry(5, 10, 600))),
        Class::RateLimit => Some(again(Action::Retry, retry(6, 30, 1800))),
        Class::LockContention => Some(again(Action::Retry, retry(5, 15, 300))),
        // There may be room in hours, not in seconds.
        Class::Capacity => Some(again(Action::Retry, retry(6, 300, 3600))),
        Class::Hardware => {
            Some(Policy { action: Action::Resume, retry: retry(3, 30, 300), by_progress: true, once: false })
        }
        Class::CollectiveHang => {
            Some(Policy { action: Action::Resume, retry: retry(2, 30, 300), by_progress: true, once: true })
        }
        Class::Interrupted => {
            Some(Policy { action: Action::Resume, retry: retry(3, 10, 300), by_progress: true, once: false })
        }
        Class::None
        | Class::DeviceOom
        | Class::HostResource
        | Class::DiskFull
        | Class::Divergence
        | Class::Auth
        | Class::Environment
        | Class::InputData
        | Class::CodeConfig
        | Class::TestFailure
        | Class::Unknown => None,
    }
}

/// What a diagnosis gets done by itself, or why nothing.
pub(super) fn of(said: &Diagnosis) -> Result<Policy, String> {
    let class = said.class;
    if said.confidence < SURE_ENOUGH {
        return Err(format!("it may be {class}, and that is not sure enough to act on"));
    }
    match said.advice {
        Advice::Escalate | Advice::None => Err(String::new()),
        Advice::RetryModified => {
            Err("the same again would fail again, and no rule says what to change (`change` or `use`)".into())
        }
        Advice::Alternative if class != Class::Capacity => {
            Err("the same again would fail again, and no rule names an alternative".into())
        }
        // A rule of the judge may advise what its class does not get: once.
        Advice::Retry if class == Class::CodeConfig => {
            Ok(Policy { action: Action::Retry, retry: retry(2, 10, 10), by_progress: false, once: true })
        }
        Advice::Retry | Advice::Resume | Advice::Alternative => of_class(class).ok_or_else(String::new),
    }
}

/// Classes in which the same failure comes back as long as nobody changes anything: to repeat it is of no use.
pub(super) fn comes_back(class: Class) -> bool {
    match class {
        Class::DeviceOom
        | Class::HostResource
        | Class::DiskFull
        | Class::Divergence
        | Class::Environment
        | Class::InputData
        | Class::CodeConfig
        | Class::TestFailure => true,
        Class::None
        | Class::Hardware
        | Class::CollectiveHang
        | Class::Interrupted
        | Class::Network
        | Class::RateLimit
        | Class::LockContention
        | Class::Capacity
        | Class::Auth
        | Class::Unknown => false,
    }
}
