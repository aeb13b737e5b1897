//! Waiting well: when to look next, how much time is left, and when silence means trouble. Pure; time is an argument.
//!
//! ```text
//! let past = Past::new(&durations, habits, poll);      // of the step, whenever it has succeeded once more
//! let mut patience = Patience::new(begun);             // of one attempt; serde keeps it
//! patience.output(now);                                // whenever something was printed
//! patience.progress(now, share_done);                  // whenever `gauge` has read some progress
//! patience.next_look(now, &past);                      // how long to wait
//! patience.left(now, &past);                           // p10, p50, p90
//! patience.stall(now, &limits, &past, load);           // is it stalled, and when to ask again
//! ```
//!
//! Owns what is learned of durations, of pace and of pauses. It never reads text (that is `gauge`'s), never acts, and never
//! decides what a stall leads to.

mod attempt;
mod left;
mod look;
mod num;
mod path;
mod rhythm;
mod spread;
mod story;
mod watch;

pub use attempt::{Past, Patience};
pub use left::{Left, Track};
pub use look::{Plan, Poll};
pub use path::{Places, Stage, whole};
pub use rhythm::{Habit, Rhythm};
pub use spread::Spread;
pub use watch::{Clock, Habits, Limits, Load, Stall, Watch};
