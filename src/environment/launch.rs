//! Starting the keeper, in the sandbox or without one, and handing it what it must not find by itself.
//! Owns the porter's child; may never leave the child anything open but the four descriptors that are meant for it.
//!
//! What the keeper gets is open already, so that none of it needs a path inside: its listening socket, the run's
//! folder, the write end of the bell (a byte for each ended step) and the secret.

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::FdFlags;
use rustix::pipe::{PipeFlags, pipe_with};

use super::dir::{self, Process, Running, note};
use super::{Error, Isolation, Spec, binary, compose, docker};
use crate::{clock, faults};

/// A keeper that was started, and how to hear from it.
pub(super) struct Started {
    /// bubblewrap, or the keeper itself; a container is nobody's child here.
    pub(super) child: Option<Child>,
    /// The keeper: the first process of the sandbox.
    pub(super) keeper: Option<Process>,
    /// A byte arrives for each step that ended.
    pub(super) bell: OwnedFd,
}

/// What bubblewrap says of itself; one line for the start, one for the end.
const STATUS: &str = "bwrap.json";

/// The folder of a link to dogwatch, by which steps without isolation find it under its name.
pub(super) const BIN: &str = "bin";

/// What the keeper inherits. Dropped right after the start: from then on only the keeper has them.
struct Inherited {
    listener: OwnedFd,
    run_dir: OwnedFd,
    bell: OwnedFd,
    secret: OwnedFd,
}

/// Starts the keeper of this directory. Writes [`dir::RUNNING`] before and after.
pub(super) fn start(dir: &Path, spec: &Spec, secret: [u8; 32]) -> Result<Started, Error> {
    make_work_dir(spec)?;
    let mut running = Running { v: 1, isolation: spec.isolation.clone(), keeper: None };
    dir::replace_json(dir, dir::RUNNING, &running)?;
    let (bell, inherited) = open(dir, spec, secret)?;
    let (child, keeper) = match &spec.isolation {
        Isolation::Sandboxed { bwrap } => sandboxed(dir, spec, bwrap, &inherited)?,
        Isolation::None { .. } => unisolated(dir, spec, &inherited)?,
        Isolation::Container { .. } => {
            let Inherited { listener, run_dir, bell, secret } = &inherited;
            (None, docker::door::hand_over(dir, &[listener, run_dir, bell, secret].map(AsFd::as_fd))?)
        }
    };
    drop(inherited);
    running.keeper.clone_from(&keeper);
    faults::crash_point("porter.before-note");
    note_running(dir, &running);
    faults::crash_point("porter.after-note");
    Ok(Started { child, keeper, bell })
}

/// Notes who the keeper is. It runs already: a disk that is full now must not end its porter.
pub(super) fn note_running(dir: &Path, running: &Running) {
    if let Err(error) = dir::replace_json(dir, dir::RUNNING, running) {
        note(&error.to_string());
    }
}

fn make_work_dir(spec: &Spec) -> Result<(), Error> {
    let work = spec.work_dir();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&work).map_err(Error::io("making the folder", &work))
}

fn open(dir: &Path, spec: &Spec, secret: [u8; 32]) -> Result<(OwnedFd, Inherited), Error> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(Error::io("making a pipe for", dir));
    let (bell, ring) = pipe()?;
    let (secret_out, secret_in) = pipe()?;
    std::fs::File::from(secret_in).write_all(&secret).map_err(Error::io("handing over the secret of", dir))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let run_dir = rustix::fs::open(&spec.run_dir, flags, Mode::empty()).map_err(Error::io("opening", &spec.run_dir))?;
    // The keeper must never wait for a porter that does not read.
    rustix::io::ioctl_fionbio(&ring, true).map_err(Error::io("making a pipe for", dir))?;
    Ok((bell, Inherited { listener: dir::listen(dir)?.into(), run_dir, bell: ring, secret: secret_out }))
}

/// The keeper's arguments; opens the descriptors for its inheritance. This process has one thread and starts nothing
/// else before they are closed again.
fn keeper_arguments(
    spec: &Spec,
    inherited: &Inherited,
    runtime: &Path,
    dogwatch: &Path,
) -> Result<Vec<std::ffi::OsString>, Error> {
    let mut words: Vec<std::ffi::OsString> = vec!["keep".into()];
    let Inherited { listener, run_dir, bell, secret } = inherited;
    for (option, fd) in
        [("--listen-fd", listener), ("--run-dir-fd", run_dir), ("--notify-fd", bell), ("--secret-fd", secret)]
    {
        rustix::io::fcntl_setfd(fd, FdFlags::empty()).map_err(Error::io("handing over a descriptor to", dogwatch))?;
        words.extend([option.into(), fd.as_raw_fd().to_string().into()]);
    }
    words.extend(["--runtime-dir".into(), runtime.into(), "--dogwatch".into(), dogwatch.into()]);
    if let Some(tmux) = &spec.tmux {
        words.extend(["--tmux".into(), tmux.into()]);
    }
    Ok(words)
}

/// What stands between the porter and the keeper, and the keeper.
type Begun = (Option<Child>, Option<Process>);

fn sandboxed(dir: &Path, spec: &Spec, bwrap: &Path, inherited: &Inherited) -> Result<Begun, Error> {
    let copy = binary::copy(&spec.dogwatch, &spec.state_dir)?;
    let blank = dir.join("blank");
    std::fs::write(&blank, b"").map_err(Error::io("making", &blank))?;
    let status = status_file(dir)?;
    let mut command = Command::new(bwrap);
    command.args(compose::arguments(spec, &copy, &blank)?);
    command.args(["--json-status-fd", &status.as_raw_fd().to_string(), "--", compose::BINARY]);
    command.args(keeper_arguments(spec, inherited, Path::new(compose::RUNTIME), Path::new(compose::BINARY))?);
    let mut child = first_to_go(|| begin(&mut command, bwrap))?;
    let keeper = wait_for_keeper(dir, || child.try_wait().is_ok_and(|ended| ended.is_none()));
    Ok((Some(child), keeper))
}

/// Starts a child that the kernel takes before other processes when memory runs out, and all that the child starts.
/// An ordinary user's shim cannot raise its step's score by itself: it was never dumpable, so that file is root's. With
/// the same score for both, the kernel takes the larger one, which is the step. Root's shim can, and does.
fn first_to_go<T>(start: impl FnOnce() -> T) -> T {
    const PATH: &str = "/proc/self/oom_score_adj";
    let own = std::fs::read_to_string(PATH).ok().and_then(|text| text.trim().parse::<i32>().ok());
    let Some(own) = own.filter(|_| !rustix::process::geteuid().is_root()) else { return start() };
    let set = |score: i32| {
        if let Err(error) = std::fs::write(PATH, score.to_string()) {
            note(&format!("the kernel's order of victims stays as it is: {error}"));
        }
    };
    set((own + 500).min(1000));
    let started = start();
    set(own);
    started
}

/// Where bubblewrap writes the keeper's number. A file, not a pipe: its reader may be killed, and bubblewrap, killed by
/// the broken pipe, would leave a half-made sandbox that waits for ever and holds the keeper's socket (measured). With
/// room in it from the start, for on a full disk the same would happen.
fn status_file(dir: &Path) -> Result<std::fs::File, Error> {
    let path = dir.join(STATUS);
    let room = std::fs::write(&path, [b' '; 512]).and_then(|()| std::fs::OpenOptions::new().write(true).open(&path));
    let file = room.map_err(Error::io("making", &path))?;
    rustix::io::fcntl_setfd(&file, FdFlags::empty()).map_err(Error::io("handing over a descriptor to", &path))?;
    Ok(file)
}

/// The keeper, as soon as bubblewrap has named it; at most 5 s, and only while `goes_on`.
pub(super) fn wait_for_keeper(dir: &Path, mut goes_on: impl FnMut() -> bool) -> Option<Process> {
    let deadline = clock::boottime_ms() + 5_000;
    loop {
        // Asked first: what ended after it was named has been named.
        let last = !goes_on() || clock::boottime_ms() >= deadline;
        let keeper = named_keeper(dir);
        if keeper.is_some() || last {
            return keeper;
        }
        clock::pause(Duration::from_millis(1));
    }
}

/// Whom bubblewrap named, if that process is still the first one of a namespace.
pub(super) fn named_keeper(dir: &Path) -> Option<Process> {
    let text = std::fs::read_to_string(dir.join(STATUS)).ok()?;
    let first: serde_json::Value = serde_json::from_str(text.lines().next()?).ok()?;
    let pid = first.get("child-pid")?.as_i64()?.try_into().ok()?;
    let process = Process::of(pid)?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let inner = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_ascii_whitespace().nth(1)?;
    (inner == "1").then_some(process)
}

fn unisolated(dir: &Path, spec: &Spec, inherited: &Inherited) -> Result<Begun, Error> {
    let runtime = runtime_dir(dir)?;
    link_to(&spec.dogwatch, &dir.join(BIN));
    let mut command = Command::new(&spec.dogwatch);
    command.args(keeper_arguments(spec, inherited, &runtime, &spec.dogwatch)?);
    let child = begin(&mut command, &spec.dogwatch)?;
    let keeper = i32::try_from(child.id()).ok().and_then(Process::of);
    Ok((Some(child), keeper))
}

/// Makes a folder in which dogwatch has its name. Without it steps still have its path in a variable.
fn link_to(dogwatch: &Path, bin: &Path) {
    let link = bin.join("dogwatch");
    if std::fs::read_link(&link).is_ok_and(|goal| goal == dogwatch) {
        return;
    }
    // What is there is of another build, or nothing.
    let _ = std::fs::remove_file(&link);
    let made = std::fs::create_dir_all(bin).and_then(|()| std::os::unix::fs::symlink(dogwatch, &link));
    if let Err(error) = made {
        note(&format!("{} cannot be made: {error}", link.display()));
    }
}

fn begin(command: &mut Command, what: &Path) -> Result<Child, Error> {
    command.env_clear().envs(environment()).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
    faults::crash_point("porter.before-keeper");
    let child = command.spawn().map_err(Error::io("starting", what));
    faults::crash_point("porter.after-keeper");
    child
}

/// The keeper's own environment; a step's is given with its launch. Nothing here is secret.
fn environment() -> impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)> {
    const NAMES: &[&str] = &["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ"];
    std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        NAMES.contains(&name.as_ref()) || (cfg!(feature = "faults") && faults::VARIABLES.contains(&name.as_ref()))
    })
}

/// Room for the rest of a socket's path in the 107 bytes that an address has.
const SHORT: usize = 70;

/// Where tmux's socket lies without a sandbox: in the environment's own folder if its path is short enough, else in
/// a folder of ours with a short one.
fn runtime_dir(dir: &Path) -> Result<PathBuf, Error> {
    let near = dir.join("rt");
    if near.as_os_str().len() <= SHORT {
        own_dir(&near)?;
        return Ok(near);
    }
    let (base, path) = short_dir(dir);
    own_dir(&base)?;
    own_dir(&path)?;
    Ok(path)
}

/// A folder with a short path for this environment, below one that is ours alone.
fn short_dir(dir: &Path) -> (PathBuf, PathBuf) {
    let name = blake3::hash(dir.as_os_str().as_encoded_bytes()).to_hex()[..16].to_owned();
    let given = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let base = given.filter(|path| path.is_dir() && path.as_os_str().len() < 40).map_or_else(
        || PathBuf::from(format!("/tmp/dogwatch-{}", rustix::process::geteuid().as_raw())),
        |runtime| runtime.join("dogwatch"),
    );
    let path = base.join(name);
    (base, path)
}

/// Removes what lies outside the environment's own folder, after its end; not while a shim's socket is in it.
pub(super) fn forget_runtime_dir(dir: &Path) {
    let (_, path) = short_dir(dir);
    let shims = std::fs::read_dir(path.join("s")).into_iter().flatten().count();
    if shims == 0 {
        // It is mostly not there at all.
        let _ = std::fs::remove_dir_all(path);
    }
}

/// Makes a folder that is ours alone, or refuses one that somebody else put there first.
fn own_dir(path: &Path) -> Result<(), Error> {
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(Error::io("making the folder", path)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let meta = std::fs::symlink_metadata(path).map_err(Error::io("looking at", path))?;
    let ours = meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw() && meta.mode().trailing_zeros() >= 6;
    if ours {
        Ok(())
    } else {
        Err(Error::Refused(format!("{} is not a private folder of yours; remove it", path.display())))
    }
}
