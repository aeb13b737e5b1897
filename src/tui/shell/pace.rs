//! When the next frame may be drawn. Pure: times are arguments, in milliseconds of one clock.

/// Frames: at most 30 a second; while somebody types, 120.
const FRAME_MS: i64 = 33;
const TYPING_FRAME_MS: i64 = 8;
/// A terminal that says more than can be taken in is drawn in the middle of it after this time.
const WHOLE_MS: i64 = 120;

/// What that depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// When a frame was made last, and when one changed something.
    pub(super) drawn_ms: i64,
    pub(super) sent_ms: i64,
    /// What comes is the echo of what somebody types into a step.
    pub(super) echo: bool,
    /// Something else than output has changed.
    pub(super) hurry: bool,
    /// The live terminal said more than was taken in yet.
    pub(super) behind: bool,
    /// Output alone is not drawn before: see [`super::terminal::budget`].
    pub(super) budget_ms: i64,
}

impl Pace {
    /// When the next frame may be drawn.
    pub(super) fn due_ms(self) -> i64 {
        let soon = self.sent_ms + if self.echo { TYPING_FRAME_MS } else { FRAME_MS };
        // A frame that changes nothing sends nothing, but making it costs work too.
        let soon = soon.max(self.drawn_ms + if self.echo || self.hurry { TYPING_FRAME_MS } else { FRAME_MS });
        if self.hurry || self.echo {
            return soon;
        }
        // Half of what a program draws looks torn: what has come is taken in first, unless that never ends.
        let whole = if self.behind { self.drawn_ms + WHOLE_MS } else { soon };
        soon.max(whole).max(self.budget_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Pace =
        Pace { drawn_ms: 1_000, sent_ms: 1_000, echo: false, hurry: false, behind: false, budget_ms: 0 };

    #[test]
    fn half_of_a_picture_is_waited_for_but_not_for_ever() {
        assert_eq!(QUIET.due_ms(), 1_033);
        let behind = Pace { behind: true, ..QUIET };
        assert_eq!(behind.due_ms(), 1_120, "what is half drawn would look torn");
        // A flood that never ends is drawn eight times a second, as long as the operator's terminal can bear it.
        let (mut frames, mut pace) = (0, behind);
        for now in 1_000..11_000 {
            if now >= pace.due_ms() {
                (pace.drawn_ms, pace.sent_ms, frames) = (now, now, frames + 1);
            }
        }
        assert!((80..=84).contains(&frames), "{frames}");
        assert_eq!(Pace { budget_ms: 1_500, ..behind }.due_ms(), 1_500);
    }

    #[test]
    fn what_somebody_did_is_never_held_up_by_output() {
        for behind in [false, true] {
            for budget_ms in [0, 1_500] {
                let flood = Pace { behind, budget_ms, ..QUIET };
                assert_eq!(Pace { echo: true, ..flood }.due_ms(), 1_008, "{flood:?}");
                assert_eq!(Pace { hurry: true, ..flood }.due_ms(), 1_033, "{flood:?}");
            }
        }
    }
}
