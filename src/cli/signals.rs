//! Signals as descriptors that can be waited for: that somebody wants to leave, and that the window has another size.
//! A second Ctrl-C ends the process at once, whatever it does.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};
use signal_hook::{flag, low_level::pipe};

/// Signals of one kind.
#[derive(Debug)]
pub(in crate::cli) struct Signals {
    arrived: UnixStream,
}

impl Signals {
    /// Somebody wants this client to leave.
    pub(in crate::cli) fn leave() -> std::io::Result<Self> {
        let second = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register_conditional_default(signal, Arc::clone(&second))?;
            flag::register(signal, Arc::clone(&second))?;
        }
        Self::of(&[SIGINT, SIGTERM, SIGHUP])
    }

    /// As [`Signals::leave`], for somebody who has a terminal to put in order: a second signal changes nothing.
    pub(in crate::cli) fn leave_tidily() -> std::io::Result<Self> {
        Self::of(&[SIGINT, SIGTERM, SIGHUP, SIGQUIT])
    }

    /// The window has another size.
    pub(in crate::cli) fn resized() -> std::io::Result<Self> {
        Self::of(&[SIGWINCH])
    }

    fn of(signals: &[i32]) -> std::io::Result<Self> {
        let (arrived, sent) = UnixStream::pair()?;
        arrived.set_nonblocking(true)?;
        for signal in signals {
            pipe::register(*signal, sent.try_clone()?)?;
        }
        Ok(Self { arrived })
    }

    /// What to wait for.
    pub(in crate::cli) fn fd(&self) -> BorrowedFd<'_> {
        self.arrived.as_fd()
    }

    /// Waits for one at most this long.
    pub(in crate::cli) fn wait(&self, limit: std::time::Duration) -> std::io::Result<bool> {
        let timeout = Timespec::try_from(limit).map_err(std::io::Error::other)?;
        let mut fds = [PollFd::from_borrowed_fd(self.fd(), PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(true),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Forgets those that have arrived; whether there were any.
    pub(in crate::cli) fn take(&self) -> bool {
        let mut bytes = [0u8; 64];
        matches!((&self.arrived).read(&mut bytes), Ok(count) if count > 0)
    }
}
