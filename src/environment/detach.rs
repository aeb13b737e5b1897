//! Starting a process that must outlive whoever starts it. Owns the one system call that `std` does not offer.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Puts the command into a session of its own, so that no terminal's end and no group's signal reaches it.
#[expect(unsafe_code, reason = "std has no stable way to start a child in a new session")]
pub(super) fn own_session(command: &mut Command) -> &mut Command {
    // SAFETY: setsid is async-signal-safe, touches no memory of this process and allocates nothing.
    unsafe { command.pre_exec(|| rustix::process::setsid().map(|_| ()).map_err(Into::into)) }
}
