//! Limits of a container that a rule raises for the next attempt.

use super::{ContainerSpec, size_words};

/// What a container has a limit of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// In bytes.
    Memory,
    /// `/dev/shm`, in bytes.
    Shm,
    /// In thousandths of a processor.
    Cpus,
}

impl Resource {
    /// Every one, with its key in `[environment]`.
    pub const ALL: [(&'static str, Self); 3] = [("memory", Self::Memory), ("shm", Self::Shm), ("cpus", Self::Cpus)];

    /// Its key.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Shm => "shm",
            Self::Cpus => "cpus",
        }
    }

    /// The one that a key stands for.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == word).map(|(_, resource)| *resource)
    }

    /// The limit that the workflow file gives.
    pub fn limit(self, container: &ContainerSpec) -> Option<u64> {
        match self {
            Self::Memory => container.memory,
            Self::Shm => container.shm,
            Self::Cpus => container.milli_cpus,
        }
    }

    /// Gives it this limit.
    pub fn set(self, container: &mut ContainerSpec, limit: u64) {
        match self {
            Self::Memory => container.memory = Some(limit),
            Self::Shm => container.shm = Some(limit),
            Self::Cpus => container.milli_cpus = Some(limit),
        }
    }

    /// `64 GiB`, `2.5`.
    pub fn words(self, amount: u64) -> String {
        match self {
            Self::Memory | Self::Shm => size_words(amount),
            Self::Cpus if amount.is_multiple_of(1000) => (amount / 1000).to_string(),
            Self::Cpus => {
                let text = format!("{}.{:03}", amount / 1000, amount % 1000);
                text.trim_end_matches('0').to_owned()
            }
        }
    }
}

/// `change = { memory = "* 2" }`: the container of the next attempt gets more of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Raise {
    pub resource: Resource,
    pub by: Raising,
    /// Never beyond this.
    pub most: Option<u64>,
}

/// What is done to a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Raising {
    /// By a factor above 1.
    Times(f64),
    /// By so much.
    Plus(u64),
}

/// No machine has more of anything.
const MOST: u64 = 1 << 60;

impl Raise {
    /// The limit after one more raise; `None`: it is as high as it may be.
    pub fn after(&self, limit: u64) -> Option<u64> {
        let raised = match self.by {
            Raising::Times(factor) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    clippy::cast_precision_loss,
                    reason = "a cast to an integer saturates, and the last bits of a limit mean nothing"
                )]
                let raised = (limit as f64 * factor).ceil() as u64;
                raised
            }
            Raising::Plus(more) => limit.saturating_add(more),
        };
        let raised = raised.min(self.most.unwrap_or(MOST)).min(MOST);
        (raised > limit).then_some(raised)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_raised_up_to_the_most() {
        let raise = |by, most| Raise { resource: Resource::Memory, by, most };
        assert_eq!(raise(Raising::Times(2.0), None).after(64), Some(128));
        assert_eq!(raise(Raising::Times(1.5), None).after(3), Some(5));
        assert_eq!(raise(Raising::Plus(8), None).after(64), Some(72));
        assert_eq!(raise(Raising::Times(2.0), Some(100)).after(64), Some(100));
        assert_eq!(raise(Raising::Times(2.0), Some(100)).after(100), None);
        assert_eq!(raise(Raising::Times(1e300), None).after(64), Some(MOST));
        assert_eq!(raise(Raising::Times(2.0), None).after(MOST), None);
        assert_eq!(raise(Raising::Plus(u64::MAX), None).after(u64::MAX - 1), None);
        assert_eq!(Resource::Cpus.words(2500), "2.5");
        assert_eq!(Resource::Cpus.words(4000), "4");
        assert_eq!(Resource::Memory.words(64 << 20), "64 MiB");
    }
}
