//! What a panel that acts on one key ignores: whatever was pressed before it can have been seen was not meant for it. Pure.

/// For so long after it came to the screen a panel takes no key, milliseconds.
pub const GUARD_MS: i64 = 300;

/// When a panel begins to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// Engine time when it came to the screen.
    opened_ms: i64,
    /// Nobody can have seen it yet: see [`Guard::seen`].
    unseen: bool,
}

impl Guard {
    /// Of a panel that opens now.
    pub fn new(now_ms: i64) -> Self {
        Self { opened_ms: now_ms, unseen: true }
    }

    /// Of one that changes nothing: it listens at once.
    pub fn none() -> Self {
        Self { opened_ms: i64::MIN / 2, unseen: false }
    }

    /// It does not listen yet.
    pub fn deaf(self, now_ms: i64) -> bool {
        now_ms < self.opened_ms + GUARD_MS
    }

    /// A picture with it has reached the terminal: from now on its time counts, for on a slow line keys are pressed
    /// before it is to be seen.
    pub fn seen(&mut self, now_ms: i64) {
        if self.unseen {
            self.unseen = false;
            self.opened_ms = now_ms;
        }
    }
}
