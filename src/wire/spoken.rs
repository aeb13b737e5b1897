//! Which versions of a protocol a build speaks, and the one in which two builds speak with each other.
//! Nothing is said in a version that does not have it.

/// The versions of a protocol that a build speaks, all between the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spoken {
    pub newest: u32,
    pub oldest: u32,
}

impl Spoken {
    /// By who greets with this newest version; version 1 does not say the oldest, and is spoken alone then.
    pub fn said(newest: u32, oldest: Option<u32>) -> Self {
        Self { newest, oldest: oldest.unwrap_or(newest).min(newest) }
    }

    /// Does it speak this version?
    pub fn has(self, version: u32) -> bool {
        (self.oldest..=self.newest).contains(&version)
    }

    /// The newest version that both speak.
    pub fn with(self, other: Self) -> Option<u32> {
        Some(self.newest.min(other.newest)).filter(|version| self.has(*version) && other.has(*version))
    }

    /// What kind of dogwatch it is, seen by one that speaks these.
    pub fn age(self, ours: Self) -> &'static str {
        if self.newest > ours.newest { "a newer" } else { "an older" }
    }
}

impl std::fmt::Display for Spoken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.oldest == self.newest {
            write!(f, "version {}", self.newest)
        } else {
            write!(f, "versions {} to {}", self.oldest, self.newest)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken(oldest: u32, newest: u32) -> Spoken {
        Spoken { newest, oldest }
    }

    #[test]
    fn two_builds_speak_the_newest_version_that_both_know() {
        assert_eq!(spoken(1, 2).with(spoken(1, 2)), Some(2));
        assert_eq!(spoken(1, 2).with(spoken(1, 1)), Some(1), "one of an older build");
        assert_eq!(spoken(1, 2).with(spoken(2, 5)), Some(2), "one of a newer build that still knows ours");
        assert_eq!(spoken(1, 2).with(spoken(3, 5)), None);
        assert_eq!(spoken(3, 5).with(spoken(1, 2)), None);
    }
}
