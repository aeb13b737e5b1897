//! The only reader of time, randomness and the boot id. Nothing else in the crate may ask the machine for them.
//!
//! [`Clock::now`] is the boot-time clock plus one offset per boot, so it never jumps when somebody sets the wall clock,
//! goes on during suspend, and is the same line of time for every engine of one boot. Across boots the offset is taken
//! from the wall clock again.

use std::time::Duration;

use crate::model::Time;

/// Milliseconds of `CLOCK_BOOTTIME`: since the kernel started, suspend included.
pub fn boottime_ms() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}

/// Milliseconds of `CLOCK_MONOTONIC`: stands still while the machine sleeps.
pub fn monotonic_ms() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}

/// Milliseconds of the wall clock since 1970, UTC. For people only: never for deadlines.
pub fn wall_ms() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}

/// The kernel's id of this boot, or `"unknown"` where `/proc` does not tell.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map_or_else(|_| "unknown".into(), |id| id.trim().into())
}

/// `N` bytes from the kernel's random source.
///
/// # Panics
/// When the kernel has no random source: nothing that is to be kept secret can be made then.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0u8; N];
    let mut filled = 0;
    while filled < N {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())
            .expect("getrandom works on every Linux that dogwatch supports");
    }
    bytes
}

/// Engine time of one boot: see the module's description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Milliseconds to add to `CLOCK_BOOTTIME`.
    pub offset: i64,
}

impl Clock {
    /// A clock for a boot that has not been seen before: agrees with the wall clock at this moment.
    pub fn for_new_boot() -> Self {
        Self { offset: wall_ms() - boottime_ms() }
    }

    /// The time now.
    pub fn now(self) -> Time {
        Time::from_ms(boottime_ms() + self.offset)
    }

    /// The engine time of a moment of this boot, given in `CLOCK_BOOTTIME` milliseconds.
    pub fn at_boottime(self, ms: i64) -> Time {
        Time::from_ms(ms + self.offset)
    }
}

/// Blocks this thread. For the synchronous rooms (keeper, shim, command line) where nothing can be waited for instead.
#[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Waits without blocking the thread.
#[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}
