//! Bytes of a terminal -> cells that can be drawn on another one, and text of a step as a person may read it.
//!
//! * [`Grid`]: what a terminal of a size shows after some bytes. The only place where a step's bytes become cells.
//! * [`Tail`]: a pane that only looks: the end of an attempt's log on disk. [`Glance`]: the same without cells.
//! * [`Live`]: a pane that is a terminal: its descriptor came from the engine.
//! * [`History`]: the whole log on disk, by lines, to scroll back and to search.
//! * [`Watch`]: which logs were written to.
//!
//! Invariants: nothing here writes to the operator's terminal, answers a query of a step, or hands on a title or a
//! clipboard; no cell holds a character that controls a terminal, turns the direction of writing or cannot be seen; the
//! work of one call is bounded by a [`Work`] that the caller gives, whatever the bytes say. Scrollback is on disk only.

mod clean;
mod glyph;
mod grid;
mod history;
mod live;
mod paint;
mod sieve;
mod source;
mod tail;
mod watch;

pub use clean::clean;
pub use grid::{Grid, Modes, Mouse, Pointing, Size};
pub use history::{Direction, History, Line, Searched};
pub use live::Live;
pub use sieve::Work;
pub use source::Glance;
pub use tail::Tail;
pub use watch::Watch;

/// What a look at new output brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use = "a pane that changed is to be drawn, one that is behind to be polled again"]
pub struct Polled {
    /// There is something new to draw.
    pub changed: bool,
    /// There is more to take in than there was work for: poll again soon, also without a new event.
    pub behind: bool,
}
