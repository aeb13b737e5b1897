//! The parent of one step (`dogwatch shim`): claims the attempt, owns the step's terminal, writes its log and its exit
//! record. It outlives the engine, the keeper and tmux; nobody but SIGKILL ends it before its step.
//!
//! Synchronous, one thread, no waiting for anybody: a full disk, a view that does not read, a keeper that is gone change
//! nothing for the step. It may never start a step without holding its claim.

mod descend;
mod end;
mod newcomers;
mod oom;
mod step;
pub mod view;
mod views;
mod watch;

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::attempt::claim::{self, Claimant, Taken};
use crate::attempt::{self, record};
use crate::wire::lines::Lines;
use crate::wire::shim::{FromShim, Order, spoken};
use crate::{clock, faults, spawn};

/// Exit code when the attempt belongs to somebody else; nothing was started.
const NOT_OURS: u8 = 75;
/// Exit code when the claim could not be made; nothing was started.
const NO_CLAIM: u8 = 74;

/// Why a shim cannot even begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("`dogwatch shim` is started by a keeper only: {0}")]
    NotStartedByAKeeper(String),
    #[error("the order of the keeper cannot be read: {0}")]
    BadOrder(String),
    #[error(transparent)]
    Attempt(#[from] attempt::Error),
    #[error("cannot open a terminal for the step: {0}")]
    Terminal(std::io::Error),
    #[error("cannot prepare the shim: {0}")]
    Machine(#[from] std::io::Error),
}

/// The program `dogwatch shim`; see [`Order`] for what it is given.
pub fn main() -> ExitCode {
    faults::crash_point("shim.start");
    let Ok([dir, order, keeper]) = spawn::take_standard() else { return ExitCode::from(NO_CLAIM) };
    let Ok(mut keeper) = Lines::new(keeper) else {
        return ExitCode::from(NO_CLAIM);
    };
    match begin(dir, order) {
        Ok(Some(attempt)) => watch(attempt, keeper),
        Ok(None) => {
            let _ = keeper.say(&FromShim::Refused { why: "somebody else has claimed this attempt".into() });
            ExitCode::from(NOT_OURS)
        }
        Err(error) => {
            let _ = keeper.say(&FromShim::Refused { why: error.to_string() });
            ExitCode::from(NO_CLAIM)
        }
    }
}

/// An attempt that is this process's alone.
#[derive(Debug)]
pub(crate) struct Owned {
    order: Order,
    mac_key: [u8; 32],
    dir: OwnedFd,
    claim: claim::Claim,
    pty: spawn::Pty,
    oom_score: step::OomScore,
    /// Readable when a child has ended.
    children: OwnedFd,
}

fn begin(dir: OwnedFd, order: OwnedFd) -> Result<Option<Owned>, Error> {
    let order = read_order(order)?;
    let mac_key = record::key_from_hex(&order.launch.mac_key)
        .ok_or_else(|| Error::BadOrder("the key of the exit record is malformed".into()))?;
    let oom_score = step::OomScore::open();
    let children = become_a_shim()?;
    // Before the claim: without a terminal the attempt is better not begun.
    let pty = spawn::open_pty(order.launch.rows, order.launch.cols).map_err(Error::Terminal)?;
    rustix::io::ioctl_fionbio(&pty.master, true).map_err(|error| Error::Terminal(error.into()))?;
    let claimant = Claimant {
        v: claim::VERSION,
        key: order.launch.place.key.clone(),
        boot_id: clock::boot_id(),
        pid: std::process::id(),
        start_boottime_ms: clock::boottime_ms(),
        epoch: order.launch.epoch,
    };
    Ok(match claim::take(&dir, &claimant)? {
        Taken::Mine(claim) => Some(Owned { order, mac_key, dir, claim, pty, oom_score, children }),
        Taken::Theirs => None,
    })
}

fn read_order(file: OwnedFd) -> Result<Order, Error> {
    let mut text = Vec::new();
    std::fs::File::from(file).read_to_end(&mut text).map_err(|error| Error::NotStartedByAKeeper(error.to_string()))?;
    let order: Order = serde_json::from_slice(&text).map_err(|error| Error::BadOrder(error.to_string()))?;
    if spoken().has(order.v) { Ok(order) } else { Err(Error::BadOrder(format!("it is of version {}", order.v))) }
}

/// A session of its own, closed to other processes of the same user, the new parent of whatever the step abandons.
fn become_a_shim() -> Result<OwnedFd, Error> {
    // Refused only to the leader of a group, which a child of the keeper never is.
    rustix::process::setsid().map_err(|error| Error::NotStartedByAKeeper(error.to_string()))?;
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(std::io::Error::from)?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(std::io::Error::from)?;
    rustix::process::chdir("/").map_err(std::io::Error::from)?;
    let heard = Arc::new(AtomicBool::new(false));
    for signal in [
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGHUP,
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGQUIT,
    ] {
        // Heard and forgotten: only an order of the keeper ends a step.
        signal_hook::flag::register(signal, Arc::clone(&heard))?;
    }
    let (reader, writer) = std::os::unix::net::UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGCHLD, writer)?;
    Ok(reader.into())
}

fn watch(attempt: Owned, mut keeper: Lines) -> ExitCode {
    let _ = keeper.say(&FromShim::Claimed);
    let listener = listen(Path::new(&attempt.order.socket));
    if let Err(error) = &listener {
        let why = format!("cannot listen at {}: {error}; the step runs, but cannot be viewed", attempt.order.socket);
        let _ = keeper.say(&FromShim::Declined { why });
    }
    match watch::Watch::new(attempt, keeper, listener.ok()) {
        Ok(watch) => watch.run(),
        Err(error) => {
            // Nothing was started: the claim stays, and the attempt is UNKNOWN, which is the truth for the engine.
            drop(error);
            ExitCode::from(NO_CLAIM)
        }
    }
}

/// Binds the control socket. By way of the directory's descriptor, for the path of a socket is limited to 107 bytes.
fn listen(path: &Path) -> std::io::Result<OwnedFd> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(std::io::Error::other("it is not a path of a file"));
    };
    let parent = rustix::fs::open(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    // Left over of an earlier life of the environment: only the holder of the claim comes here.
    let _ = rustix::fs::unlinkat(&parent, name, rustix::fs::AtFlags::empty());
    let address = SocketAddrUnix::new(Path::new(&spawn::proc_path(&parent)).join(name))?;
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, 16)?;
    Ok(socket)
}
