//! How fast attempts get on. Known longer than their panes are on the screen: who comes back to one reads the same time
//! left as before.

use std::collections::BTreeMap;

use crate::gauge::progress::{Pace, Progress as Seen};
use crate::tui::model::{LaneKey, Progress};

/// When more are known, only those of the run that is looked at stay.
const MOST: usize = 512;

/// By lane and attempt.
#[derive(Debug, Default)]
pub(super) struct Paces {
    known: BTreeMap<(LaneKey, u32), Pace>,
}

impl Paces {
    /// An attempt is seen to be so far now; what that says to its operator.
    pub(super) fn see(&mut self, lane: &LaneKey, attempt: u32, now_ms: i64, seen: Seen) -> Progress {
        if self.known.len() > MOST {
            self.known.retain(|(other, _), _| other.run == lane.run);
        }
        let pace = self.known.entry((lane.clone(), attempt)).or_default();
        pace.see(now_ms, seen);
        Progress { fraction: seen.fraction(), left_ms: seen.left_ms.or_else(|| pace.left_ms(now_ms)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_attempt_its_own_however_many_there_are() {
        let lane = |run: &str, name: &str| LaneKey { run: run.into(), name: name.into() };
        let at = |done: f64| Seen { done, total: 100.0, left_ms: None };
        let mut paces = Paces::default();
        let train = lane("one", "train");
        assert_eq!(paces.see(&train, 1, 0, at(10.0)).left_ms, None);
        for run in 0..2_000 {
            paces.see(&lane("other", &run.to_string()), 1, 5, at(1.0));
            paces.see(&train, 1, 5, at(10.0));
        }
        assert!(paces.known.len() <= MOST + 2, "{}", paces.known.len());
        assert_eq!(paces.see(&train, 1, 10_000, at(20.0)).left_ms, Some(80_000));
        assert_eq!(paces.see(&train, 2, 10_000, at(20.0)).left_ms, None, "another attempt begins anew");
    }
}
