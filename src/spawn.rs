//! How keeper and shim start programs: clean signals, no descriptor too many, on a terminal where wanted.
//!
//! The one place with `unsafe` in it: taking over a descriptor that was handed down by number, what must happen between
//! fork and exec, and one counter that no safe library reads. It decides nothing and keeps no state.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::pty::{OpenptFlags, grantpt, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::attempt::record::Usage;

/// A terminal: the side of dogwatch and the side of the program.
#[derive(Debug)]
pub struct Pty {
    pub master: OwnedFd,
    pub slave: OwnedFd,
}

/// Opens a new terminal of this size.
pub fn open_pty(rows: u16, cols: u16) -> io::Result<Pty> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let slave =
        rustix::pty::ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    set_size(&master, rows, cols)?;
    Ok(Pty { master, slave })
}

/// Sets the size of a terminal; nothing below 2x2, which some programs do not survive.
pub fn set_size(terminal: impl AsFd, rows: u16, cols: u16) -> io::Result<()> {
    let size = Winsize { ws_row: rows.max(2), ws_col: cols.max(2), ws_xpixel: 0, ws_ypixel: 0 };
    Ok(tcsetwinsize(terminal, size)?)
}

/// Makes `command` start in a session of its own, with default signals and without inherited descriptors.
pub fn in_own_session(command: &mut Command) {
    before_exec(command, || Ok(()));
}

/// As [`in_own_session`], with `pty` as its controlling terminal and its standard input, output and error.
pub fn on_terminal(command: &mut Command, pty: &Pty) -> io::Result<()> {
    command.stdin(pty.slave.try_clone()?).stdout(pty.slave.try_clone()?).stderr(pty.slave.try_clone()?);
    before_exec(command, || Ok(rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?));
    Ok(())
}

#[expect(unsafe_code, reason = "only system calls that are safe between fork and exec; nothing allocates or locks")]
fn before_exec(command: &mut Command, then: impl Fn() -> io::Result<()> + Send + Sync + 'static) {
    let prepare = move || {
        rustix::process::setsid()?;
        then()?;
        reset_signals();
        close_on_exec_from(3);
        Ok(())
    };
    // SAFETY: `prepare` makes only async-signal-safe system calls.
    unsafe { command.pre_exec(prepare) };
}

/// Whatever was ignored by whoever started us must not be ignored by a step. By the bare system call, for the C library
/// refuses two signals that it uses itself.
#[expect(unsafe_code, reason = "no safe library resets a disposition to the default")]
fn reset_signals() {
    /// As the kernel sees it: a handler (none is the default), flags, a restorer and a mask.
    const DEFAULT: [u64; 4] = [0; 4];
    for signal in 1..=64 {
        // SAFETY: the kernel reads the struct and installs no code. That it refuses KILL and STOP does not matter.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), std::ptr::null_mut::<u64>(), 8) };
    }
}

/// Every descriptor from `first` on is closed at the next exec.
#[expect(unsafe_code, reason = "a flag on descriptors by range; nothing is closed in this process")]
fn close_on_exec_from(first: libc::c_uint) {
    // SAFETY: takes three numbers and touches no memory. Without the call (Linux < 5.11) the flag that each open sets remains.
    unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

/// No descriptor of this process, by whomever it was handed down, reaches a child.
pub fn keep_descriptors_private() {
    close_on_exec_from(3);
}

/// What is freed goes back to the system: for a process that lives long, and now and then needs much for a moment. Without
/// it, each thread keeps what it once needed. To be called before there are threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "no safe library sets these")]
pub fn keep_little_memory() {
    const LARGE: libc::c_int = 256 * 1024;
    for (what, value) in [(libc::M_ARENA_MAX, 2), (libc::M_MMAP_THRESHOLD, LARGE), (libc::M_TRIM_THRESHOLD, 4 * LARGE)]
    {
        // SAFETY: takes two numbers; what it refuses stays as it was.
        unsafe { libc::mallopt(what, value) };
    }
}

/// Other C libraries have no such settings.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep_little_memory() {}

/// Takes over the descriptor with this number, handed down by whoever started us.
///
/// # Errors
/// When no such descriptor is open.
#[expect(unsafe_code, reason = "descriptors are handed down by number")]
pub fn take_descriptor(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD only asks whether the number is open.
    if number < 0 || unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(io::Error::other(format!("descriptor {number} is not open")));
    }
    // SAFETY: it is open, and each caller names a number once, at the start, before anything else could own it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC)?;
    Ok(descriptor)
}

/// What the children that were waited for have used.
#[expect(unsafe_code, reason = "rustix does not offer getrusage")]
pub fn children_usage() -> Usage {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills the struct; all-zero is a valid one.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr());
        usage.assume_init()
    };
    let ms = |time: libc::timeval| u64::try_from(time.tv_sec * 1000 + time.tv_usec / 1000).unwrap_or(0);
    Usage {
        user_ms: ms(usage.ru_utime),
        system_ms: ms(usage.ru_stime),
        max_rss_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
    }
}

/// Standard input, output and error as descriptors of other numbers, with `/dev/null` in their place.
pub fn take_standard() -> io::Result<[OwnedFd; 3]> {
    let taken =
        [move_up(rustix::stdio::stdin())?, move_up(rustix::stdio::stdout())?, move_up(rustix::stdio::stderr())?];
    let null = rustix::fs::open(
        "/dev/null",
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(taken)
}

fn move_up(descriptor: impl AsFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(descriptor, 10)?)
}

/// The path under which another process of this one's own tree finds `descriptor`'s file, also where no name leads to it.
pub fn proc_path(descriptor: impl AsFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd())
}
