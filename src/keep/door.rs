//! In a container: going to the door for what a sandbox's keeper inherits. See the environment's side of it.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketAddrUnix, SocketType};

use crate::wire::keeper::DOOR;
use crate::{clock, spawn};

/// Whoever started the container may be gone; then nobody needs it until it is started again.
const PATIENCE_MS: i64 = 60_000;
const LONGEST: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(5);

/// The listening socket, the run's directory, the bell, and the secret to be read: in this order.
pub(super) fn receive(door: &Path) -> std::io::Result<[OwnedFd; 4]> {
    let deadline = clock::boottime_ms() + PATIENCE_MS;
    loop {
        match try_once(door) {
            Ok(given) => return Ok(given),
            Err(error) if clock::boottime_ms() >= deadline => return Err(error),
            // Nobody is there yet, or a porter died with the door in its hand.
            Err(_) => clock::pause(LOOK),
        }
    }
}

fn try_once(door: &Path) -> std::io::Result<[OwnedFd; 4]> {
    let (Some(parent), Some(name)) = (door.parent(), door.file_name()) else {
        return Err(std::io::Error::other("the door is not a path of a file"));
    };
    let parent = rustix::fs::open(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let address = SocketAddrUnix::new(Path::new(&spawn::proc_path(&parent)).join(name))?;
    let flags = rustix::net::SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // A porter that does not speak is as good as none: the next one does.
    rustix::net::sockopt::set_socket_timeout(&socket, rustix::net::sockopt::Timeout::Recv, Some(LONGEST))?;
    rustix::net::connect(&socket, &address)?;
    let mut words = [0u8; DOOR.len()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let read =
        rustix::net::recvmsg(&socket, &mut [IoSliceMut::new(&mut words)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut given = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            given.extend(descriptors);
        }
    }
    if read.bytes != DOOR.len() || words != *DOOR {
        return Err(std::io::Error::other("what was said at the door is not understood"));
    }
    given.try_into().map_err(|_| std::io::Error::other("the door did not give four descriptors"))
}
