//! The first process of an environment (`dogwatch keep`): starts shims, reaps, shows attempts in tmux, and answers the
//! engine. It decides nothing about steps, and nothing that runs depends on it.
//!
//! One thread, one poll loop, no tokio; whatever takes time (tmux, probes, an engine that does not read) is a child or a
//! queue, never a wait.

mod asks;
mod door;
mod jobs;
mod keeper;
mod link;
mod orphans;
mod peers;
mod sessions;
mod shims;
mod tmux;

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::{attempt, spawn};

/// Arguments of `dogwatch keep`. Whatever has a path can instead be a descriptor that was opened outside, for a place
/// that the environment itself cannot reach.
#[derive(Debug, Clone, clap::Args)]
pub struct KeepArgs {
    /// In a container: the socket at which descriptors of all that follows are given.
    #[arg(long, conflicts_with_all = ["run_dir_fd", "run_dir", "listen_fd", "listen", "secret_fd", "notify_fd"])]
    pub door: Option<PathBuf>,
    /// Descriptor of the run's directory.
    #[arg(long, required_unless_present_any = ["run_dir", "door"])]
    pub run_dir_fd: Option<i32>,
    /// The run's directory.
    #[arg(long, conflicts_with = "run_dir_fd")]
    pub run_dir: Option<PathBuf>,
    /// Descriptor of a listening socket.
    #[arg(long, required_unless_present_any = ["listen", "door"])]
    pub listen_fd: Option<i32>,
    /// Where to listen.
    #[arg(long, conflicts_with = "listen_fd")]
    pub listen: Option<PathBuf>,
    /// Descriptor from which the secret of the environment is read: 32 bytes, then the end.
    #[arg(long, required_unless_present = "door")]
    pub secret_fd: Option<i32>,
    /// Descriptor of a pipe that gets a byte for each step that ended, so that somebody outside can start the engine.
    #[arg(long)]
    pub notify_fd: Option<i32>,
    /// Where the sockets of shims and tmux live.
    #[arg(long)]
    pub runtime_dir: PathBuf,
    /// The dogwatch binary, as a pane of tmux can start it.
    #[arg(long)]
    pub dogwatch: PathBuf,
    /// The tmux binary.
    #[arg(long, default_value = "tmux")]
    pub tmux: PathBuf,
}

/// Why a keeper cannot do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot take over {what}: {source}")]
    Inherited { what: &'static str, source: std::io::Error },
    #[error("the secret of the environment is not 32 bytes long")]
    BadSecret,
    #[error("cannot listen at {path}: {source}")]
    Listen { path: PathBuf, source: std::io::Error },
    #[error("cannot prepare the runtime directory {path}: {source}")]
    RuntimeDir { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Attempt(#[from] attempt::Error),
    #[error("cannot prepare the keeper: {0}")]
    Machine(#[from] std::io::Error),
}

/// What a keeper works with, opened.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) run_dir: OwnedFd,
    pub(crate) listener: OwnedFd,
    pub(crate) secret: [u8; 32],
    pub(crate) notify: Option<OwnedFd>,
    pub(crate) runtime_dir: PathBuf,
    pub(crate) dogwatch: PathBuf,
    pub(crate) tmux: PathBuf,
}

/// The program `dogwatch keep`.
pub fn main(args: KeepArgs) -> ExitCode {
    match open_ground(args).and_then(keeper::Keeper::new) {
        Ok(keeper) => keeper.run(),
        Err(error) => {
            eprintln!("dogwatch keep: {error}");
            ExitCode::FAILURE
        }
    }
}

fn open_ground(args: KeepArgs) -> Result<Ground, Error> {
    spawn::keep_descriptors_private();
    let Given { run_dir, listener, secret, notify } = given(&args)?;
    rustix::io::ioctl_fionbio(&listener, true).map_err(std::io::Error::from)?;
    if let Some(notify) = &notify {
        rustix::io::ioctl_fionbio(notify, true).map_err(std::io::Error::from)?;
    }
    // The keeper leaves the directory it was started in.
    let runtime_dir = std::path::absolute(&args.runtime_dir)?;
    prepare_runtime_dir(&runtime_dir).map_err(|source| Error::RuntimeDir { path: runtime_dir.clone(), source })?;
    Ok(Ground { run_dir, listener, secret, notify, runtime_dir, dogwatch: args.dogwatch, tmux: args.tmux })
}

/// What comes from outside.
struct Given {
    run_dir: OwnedFd,
    listener: OwnedFd,
    secret: [u8; 32],
    notify: Option<OwnedFd>,
}

fn given(args: &KeepArgs) -> Result<Given, Error> {
    let inherited = |what, number| spawn::take_descriptor(number).map_err(|source| Error::Inherited { what, source });
    let missing = |what| Error::Inherited { what, source: std::io::Error::other("it is not given") };
    if let Some(door) = &args.door {
        // Before anything can be asked of this process: nobody else in the container may look into it.
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
            .map_err(std::io::Error::from)?;
        let [listener, run_dir, notify, secret] =
            door::receive(door).map_err(|source| Error::Inherited { what: "what the door gives", source })?;
        return Ok(Given { run_dir, listener, secret: read_secret(secret)?, notify: Some(notify) });
    }
    let secret = read_secret(inherited("the secret", args.secret_fd.ok_or_else(|| missing("the secret"))?)?)?;
    let run_dir = match (args.run_dir_fd, &args.run_dir) {
        (Some(number), _) => inherited("the run's directory", number)?,
        (None, Some(path)) => attempt::open_run_dir(path)?,
        (None, None) => return Err(missing("the run's directory")),
    };
    let listener = match (args.listen_fd, &args.listen) {
        (Some(number), _) => inherited("the listening socket", number)?,
        (None, Some(path)) => listen(path).map_err(|source| Error::Listen { path: path.clone(), source })?,
        (None, None) => return Err(missing("the listening socket")),
    };
    let notify = args.notify_fd.map(|number| inherited("the pipe for notices", number)).transpose()?;
    Ok(Given { run_dir, listener, secret, notify })
}

fn read_secret(from: OwnedFd) -> Result<[u8; 32], Error> {
    let mut bytes = Vec::new();
    std::fs::File::from(from).take(33).read_to_end(&mut bytes)?;
    bytes.try_into().map_err(|_| Error::BadSecret)
}

/// By way of the directory's descriptor, for the path of a socket is limited to 107 bytes.
fn listen(path: &Path) -> std::io::Result<OwnedFd> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(std::io::Error::other("it is not a path of a file"));
    };
    let parent = rustix::fs::open(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
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

/// Ours alone: what is in it commands steps.
fn prepare_runtime_dir(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    for dir in [path.to_owned(), path.join("s"), path.join("t")] {
        match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let stat = rustix::fs::lstat(&dir)?;
        let is_dir = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir();
        if !is_dir || stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(std::io::Error::other("it is not a directory of our own"));
        }
        rustix::fs::chmod(&dir, Mode::RWXU)?;
    }
    Ok(())
}
