//! The door: how the keeper in a container gets what it must not find by itself. The porter listens at a socket in a
//! folder that is mounted into the container; the first process there connects, and is given the same descriptors that
//! a sandbox's keeper inherits. Then the door is gone.
//!
//! A container's first process is dogwatch and nothing else runs before it has been here. Whoever comes is looked at
//! all the same: it must be the first process of a process namespace.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, Mode};
use rustix::net::{AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType};

use crate::environment::Error;
use crate::environment::dir::{self, Process, note};
use crate::wire::keeper::DOOR;
use crate::{clock, faults};

/// The folder below the environment's own.
pub(in crate::environment) const FOLDER: &str = "door";
/// The socket in it.
pub(in crate::environment) const SOCKET: &str = "door.sock";
/// How long a porter waits for the container's first process. Whoever wants the container sends another porter then.
const WAIT_MS: i64 = 30_000;

/// Waits for the keeper and gives it `descriptors`; who it was, where this host can tell.
pub(in crate::environment) fn hand_over(
    dir: &Path,
    descriptors: &[BorrowedFd<'_>; 4],
) -> Result<Option<Process>, Error> {
    let folder = dir.join(FOLDER);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(Error::io("making the folder", &folder))?;
    let opened = dir::open_dir(&folder)?;
    let door = listen(&opened, &folder)?;
    let given = wait_and_give(&door, descriptors, &folder);
    let _ = rustix::fs::unlinkat(&opened, SOCKET, AtFlags::empty());
    given
}

fn listen(folder: &OwnedFd, path: &Path) -> Result<OwnedFd, Error> {
    let cannot = || Error::io("listening in", path);
    let _ = rustix::fs::unlinkat(folder, SOCKET, AtFlags::empty());
    let address = rustix::net::SocketAddrUnix::new(dir::short(folder, SOCKET)).map_err(cannot())?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(cannot())?;
    rustix::net::bind(&socket, &address).map_err(cannot())?;
    rustix::fs::chmodat(folder, SOCKET, Mode::RUSR | Mode::WUSR, AtFlags::empty()).map_err(cannot())?;
    rustix::net::listen(&socket, 4).map_err(cannot())?;
    Ok(socket)
}

fn wait_and_give(door: &OwnedFd, descriptors: &[BorrowedFd<'_>; 4], path: &Path) -> Result<Option<Process>, Error> {
    let deadline = clock::boottime_ms() + WAIT_MS;
    loop {
        let left = deadline - clock::boottime_ms();
        if left <= 0 {
            return Err(Error::Refused("the container's first process did not come to the door".into()));
        }
        let limit = Timespec { tv_sec: left / 1000, tv_nsec: (left % 1000) * 1_000_000 };
        let _ = poll(&mut [PollFd::new(door, PollFlags::IN)], Some(&limit));
        let Ok(guest) = rustix::net::accept_with(door, SocketFlags::CLOEXEC) else { continue };
        let peer = rustix::net::sockopt::socket_peercred(&guest).map_err(Error::io("asking who came to", path))?;
        let pid = peer.pid.as_raw_nonzero().get();
        if !is_first_of_a_namespace(pid) {
            note(&format!("process {pid} came to the door, but it is no first process: sent away"));
            continue;
        }
        let keeper = Process::of(pid);
        faults::crash_point("porter.before-door");
        let given = give(&guest, descriptors);
        faults::crash_point("porter.after-door");
        match given {
            Ok(()) => return Ok(keeper),
            Err(error) => note(&format!("the keeper went away from the door: {error}")),
        }
    }
}

/// `NSpid:` lists the process's numbers from this namespace inwards. One that cannot be seen from here at all (an engine
/// in a user namespace of its own) has the number 0, and nobody else can reach the folder.
fn is_first_of_a_namespace(pid: i32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else { return pid == 0 };
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    let numbers: Vec<&str> = numbers.split_ascii_whitespace().collect();
    numbers.len() > 1 && numbers.last() == Some(&"1")
}

fn give(guest: &OwnedFd, descriptors: &[BorrowedFd<'_>; 4]) -> rustix::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(rustix::io::Errno::NOBUFS);
    }
    let words = [IoSlice::new(DOOR)];
    rustix::net::sendmsg(guest.as_fd(), &words, &mut control, SendFlags::NOSIGNAL).map(drop)
}
