//! How much output alone may cost the operator's terminal. Frames that rewrite a large part of the screen again and again
//! come less often; whatever a person did, and what the engine says, is drawn at once and only counted. Pure: the time is
//! an argument.

/// Bytes a second that output may cost.
const A_SECOND: i64 = 150_000;
/// Bytes of a log between two frames that nobody can have read: some screens full.
pub const UNREAD: u64 = 48 * 1024;
/// A frame of what nobody can read costs so many times its bytes.
const FLOOD: i64 = 4;
/// So much is free after a rest: the first frames of a change come as fast as ever.
const RESERVE: i64 = 48_000;
/// However large a frame was, the next one is not farther away than these bytes take: half a second.
const DEBT: i64 = 75_000;

/// See the module's description.
#[derive(Debug)]
pub struct Budget {
    left: i64,
    /// Milliseconds of the clock when that was so.
    at_ms: i64,
}

impl Budget {
    /// A full one.
    pub fn new(now_ms: i64) -> Self {
        Self { left: RESERVE, at_ms: now_ms }
    }

    /// A frame of so many bytes was sent; of a `flood` that runs by too fast to be read, fewer frames do.
    pub fn spend(&mut self, bytes: usize, flood: bool, now_ms: i64) {
        let times = if flood { FLOOD } else { 1 };
        let gained = (now_ms - self.at_ms).clamp(0, 10_000) * A_SECOND / 1_000;
        let before = (self.left + gained).min(RESERVE);
        self.left = before.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX).saturating_mul(times)).max(-DEBT);
        self.at_ms = now_ms;
    }

    /// Output alone is not drawn before.
    pub fn due_ms(&self) -> i64 {
        // Rounded up: a millisecond too early nothing would be due yet.
        self.at_ms + ((-self.left).max(0) * 1_000 + A_SECOND - 1) / A_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_costs_a_bounded_number_of_bytes_and_its_end_is_not_late() {
        for (size, flood) in
            [500, 5_000, 20_000, 60_000, 1_000_000].into_iter().flat_map(|size| [(size, false), (size, true)])
        {
            let (mut budget, mut sent, mut frames, mut last) = (Budget::new(0), 0, 0, -33);
            for now in 0..10_000 {
                if now >= budget.due_ms() && now >= last + 33 {
                    assert!(now - last <= 500, "{size}: {} ms without a frame", now - last);
                    budget.spend(size, flood, now);
                    (sent, frames, last) = (sent + size, frames + 1, now);
                }
            }
            let (times, large) = if flood { (4, 18_000) } else { (1, 75_000) };
            let most = usize::try_from(A_SECOND * 10 + RESERVE).expect("it is positive") / times + size;
            assert!(sent <= most || size > large, "{size}: {sent} bytes");
            // Small frames are never held back.
            assert!(size > 4_000 / times || frames == 304, "{size}: {frames} frames");
        }
    }

    #[test]
    fn after_a_rest_the_first_frames_come_at_once() {
        let mut budget = Budget::new(0);
        for now in 0..2_000 {
            budget.spend(1_000, false, now);
        }
        assert!(budget.due_ms() > 2_000);
        budget.spend(20_000, false, 5_000);
        assert!(budget.due_ms() <= 5_000);
        budget.spend(20_000, false, 5_033);
        assert!(budget.due_ms() <= 5_033);
    }
}
