//! Raw mode with a guard: however this process leaves, short of kill -9, the terminal is as it was.

use std::io::{self, Write};

use rustix::termios::{OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr};

/// The terminal is in raw mode as long as this lives.
pub(super) struct Raw {
    before: Termios,
    /// Said to the terminal at the end.
    pub(super) farewell: Vec<u8>,
}

impl Raw {
    /// Takes the terminal of standard input.
    pub(super) fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { before, farewell: Vec::new() })
    }
}

impl Drop for Raw {
    /// Also when this thread panics. A terminal that is gone cannot be put in order.
    fn drop(&mut self) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(&self.farewell);
        let _ = out.flush();
        // What was typed after the key that lets go was not meant for the shell.
        let _ = tcflush(io::stdin(), QueueSelector::IFlush);
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
