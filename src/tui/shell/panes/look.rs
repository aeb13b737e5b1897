//! When the selected pane is a terminal that is only looked at, instead of the end of a log: while its program draws its
//! screen itself. Decides when one is asked for and given up, and never asks for two at once. Pure: the time is an argument.

use crate::tui::model::LaneKey;

/// A pane is selected for so long before a terminal is asked for: whoever runs through a list opens none.
const SETTLED_MS: i64 = 150;
/// After one was given up, or has ended, or was refused, the same is not asked for again so soon: a program that changes
/// its ways all the time costs little.
const PAUSE_MS: i64 = 1_000;
const REFUSED_MS: i64 = 10_000;

/// One attempt of a lane.
pub(super) type Wanted = (LaneKey, u32);

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask for a terminal.
    Open(LaneKey),
    /// It is not looked at any more.
    Close(LaneKey),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Nothing,
    /// Until the answer comes no other one is asked for.
    Asked(Wanted),
    There(Wanted),
}

/// The one terminal that is looked at.
#[derive(Debug, Default)]
pub(super) struct Looks {
    stage: Stage,
    /// What is wanted now, and since when.
    wanted: Option<Wanted>,
    since_ms: i64,
    /// What was had last is not asked for before.
    last: Option<(Wanted, i64)>,
}

impl Looks {
    /// What is wanted now; at most one step follows.
    pub(super) fn want(&mut self, wanted: Option<Wanted>, now_ms: i64) -> Option<Step> {
        if wanted != self.wanted {
            self.wanted = wanted;
            self.since_ms = now_ms;
        }
        match &self.stage {
            Stage::There(there) if self.wanted.as_ref() != Some(there) => {
                let there = there.clone();
                let lane = there.0.clone();
                self.over(there, now_ms + PAUSE_MS);
                Some(Step::Close(lane))
            }
            Stage::Nothing if self.due_ms().is_some_and(|due| due <= now_ms) => {
                let wanted = self.wanted.clone()?;
                self.stage = Stage::Asked(wanted.clone());
                Some(Step::Open(wanted.0))
            }
            Stage::Nothing | Stage::Asked(_) | Stage::There(_) => None,
        }
    }

    /// When something is to be done although nothing happens.
    pub(super) fn due_ms(&self) -> Option<i64> {
        let wanted = self.wanted.as_ref().filter(|_| self.stage == Stage::Nothing)?;
        let again = self.last.as_ref().filter(|(last, _)| last == wanted).map_or(i64::MIN, |(_, at)| *at);
        Some(again.max(self.since_ms + SETTLED_MS))
    }

    /// The terminal that was asked for is there; false when nobody wants it any more.
    pub(super) fn came(&mut self, lane: &LaneKey, now_ms: i64) -> bool {
        let Stage::Asked(asked) = std::mem::take(&mut self.stage) else {
            return false;
        };
        let wanted = self.wanted.as_ref() == Some(&asked) && asked.0 == *lane;
        if wanted {
            self.stage = Stage::There(asked);
        } else {
            self.over(asked, now_ms + PAUSE_MS);
        }
        wanted
    }

    /// It was refused.
    pub(super) fn refused(&mut self, now_ms: i64) {
        if let Stage::Asked(asked) = std::mem::take(&mut self.stage) {
            self.over(asked, now_ms + REFUSED_MS);
        }
    }

    /// It has ended, or another terminal took its place.
    pub(super) fn ended(&mut self, now_ms: i64) {
        if let Stage::There(there) = self.stage.clone() {
            self.over(there, now_ms + PAUSE_MS);
        }
    }

    fn over(&mut self, what: Wanted, again_ms: i64) {
        self.last = Some((what, again_ms));
        self.stage = Stage::Nothing;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> LaneKey {
        LaneKey { run: "r".into(), name: name.into() }
    }

    fn lane(name: &str) -> Wanted {
        (key(name), 1)
    }

    fn open(name: &str) -> Step {
        Step::Open(key(name))
    }

    fn close(name: &str) -> Step {
        Step::Close(key(name))
    }

    #[test]
    fn it_is_asked_for_once_and_given_up_when_it_is_not_selected() {
        let mut looks = Looks::default();
        assert_eq!((looks.want(None, 0), looks.due_ms()), (None, None));
        assert_eq!((looks.want(Some(lane("a")), 0), looks.due_ms()), (None, Some(150)));
        // Whoever goes on at once has asked for nothing.
        assert_eq!(looks.want(Some(lane("b")), 100), None);
        assert_eq!(looks.want(Some(lane("b")), 249), None);
        assert_eq!(looks.want(Some(lane("b")), 250), Some(open("b")));
        assert_eq!((looks.want(Some(lane("b")), 900), looks.due_ms()), (None, None));
        assert!(looks.came(&key("b"), 900));
        assert_eq!(looks.want(Some(lane("b")), 90_000), None);
        assert_eq!(looks.want(None, 90_001), Some(close("b")));
        assert_eq!(looks.want(None, 90_002), None);
    }

    #[test]
    fn one_that_comes_too_late_is_not_kept_and_no_second_one_is_asked_for_meanwhile() {
        let mut looks = Looks::default();
        looks.want(Some(lane("a")), 0);
        assert_eq!(looks.want(Some(lane("a")), 150), Some(open("a")));
        assert_eq!(looks.want(Some(lane("b")), 200), None);
        assert_eq!(looks.want(Some(lane("b")), 9_000), None);
        assert!(!looks.came(&key("a"), 9_000));
        assert_eq!(looks.want(Some(lane("b")), 9_001), Some(open("b")));
    }

    #[test]
    fn a_program_that_changes_its_ways_all_the_time_costs_one_terminal_a_second() {
        let (mut looks, mut opened) = (Looks::default(), 0);
        for now in 0..10_000 {
            let wanted = if now % 400 < 200 { Some(lane("a")) } else { None };
            if looks.want(wanted, now) == Some(open("a")) {
                opened += 1;
                assert!(looks.came(&key("a"), now));
            }
        }
        assert!((5..=10).contains(&opened), "{opened}");
        let mut refused = 0;
        for now in 20_000..60_000 {
            if looks.want(Some(lane("b")), now).is_some() {
                refused += 1;
                looks.refused(now);
            }
        }
        assert_eq!(refused, 4);
    }

    #[test]
    fn one_that_has_ended_is_asked_for_again_a_second_later() {
        let mut looks = Looks::default();
        looks.want(Some(lane("a")), 0);
        assert_eq!(looks.want(Some(lane("a")), 150), Some(open("a")));
        assert!(looks.came(&key("a"), 160));
        looks.ended(200);
        assert_eq!((looks.want(Some(lane("a")), 200), looks.due_ms()), (None, Some(1_200)));
        assert_eq!(looks.want(Some(lane("a")), 1_200), Some(open("a")));
    }
}
