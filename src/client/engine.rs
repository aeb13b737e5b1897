//! Starting and ending the one background engine. The lock decides who it is: starting a second one is harmless, it is
//! refused by itself. Nothing here takes that lock or kills a process.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Client, Error, Who};
use crate::clock::{boottime_ms, pause};
use crate::gauge::plain;
use crate::state_dir::{StateDir, VARIABLE};
use crate::wire::client::Ask;

/// How long a new engine may take until it answers.
const START_MS: i64 = 10_000;
/// How the engine begins to say that it ends at once.
pub const CANNOT_START: &str = "dogwatch: the engine cannot start: ";
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Where the engine is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub state: StateDir,
    /// The socket of an engine that somebody else takes care of: never started from here.
    pub other_socket: Option<PathBuf>,
    /// Who asks there.
    pub who: Who,
    /// Variables that an engine which is started from here does not get: they hold secrets of a run.
    pub withheld: Vec<String>,
}

impl Place {
    /// The socket to connect to.
    pub fn socket(&self) -> PathBuf {
        self.other_socket.clone().unwrap_or_else(|| self.state.socket())
    }

    /// Connects to an engine that is there; starts none.
    pub fn connect(&self) -> Result<Client, Error> {
        Client::connect(&self.socket(), &self.who)
    }

    /// Connects, and starts the engine first where none answers.
    pub fn connect_or_start(&self) -> Result<Client, Error> {
        match self.connect() {
            Err(Error::NoEngine { .. } | Error::Gone { .. }) if self.other_socket.is_none() => {
                start_engine(&self.state, &self.who, &self.withheld)
            }
            other => other,
        }
    }
}

/// Starts the engine in the background and connects to it. Where one runs already, that one answers.
pub fn start_engine(state: &StateDir, who: &Who, withheld: &[String]) -> Result<Client, Error> {
    let not_started = |why: String| Error::NotStarted { why, tail: log_tail(state, 8) };
    let said = first_words_of(state).len();
    let mut starter = launch(state, withheld).map_err(|why| not_started(why.to_string()))?;
    // The starter leaves the terminal, starts the engine and ends: nobody is the engine's parent.
    let status = starter.wait().map_err(|why| not_started(why.to_string()))?;
    if !status.success() {
        return Err(not_started(format!("its starter ended with {status}")));
    }
    let until = boottime_ms() + START_MS;
    loop {
        match Client::connect(&state.socket(), who) {
            Err(why) if why.passing() => {
                if let Some(why) = cannot_start(&first_words_of(state), said) {
                    return Err(Error::NotStarted { why, tail: Vec::new() });
                }
                if boottime_ms() >= until {
                    return Err(not_started(format!("it does not answer after {} s", START_MS / 1000)));
                }
            }
            other => return other,
        }
        pause(LOOK_AGAIN);
    }
}

fn launch(state: &StateDir, withheld: &[String]) -> std::io::Result<std::process::Child> {
    // The engine could tell nobody: its words go into that directory.
    if rustix::fs::statvfs(state.path())?.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        let why = format!("the state directory {} is read-only; make it writable again", state.path().display());
        return Err(std::io::Error::new(std::io::ErrorKind::ReadOnlyFilesystem, why));
    }
    let (out, err) = match first_words(state) {
        Some(file) => (Stdio::from(file.try_clone()?), Stdio::from(file)),
        // A full disk must not keep the engine from starting: it says so itself.
        None => (Stdio::null(), Stdio::null()),
    };
    let mut command = Command::new(own_binary()?);
    for name in withheld {
        command.env_remove(name);
    }
    command
        .args(["engine", "run", "--background"])
        .env(VARIABLE, state.path())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
}

/// This program, also when its file was replaced by a newer one meanwhile.
fn own_binary() -> std::io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    let replaced = path
        .to_str()
        .and_then(|text| text.strip_suffix(" (deleted)"))
        .map(PathBuf::from)
        .filter(|newer| newer.exists());
    Ok(replaced.unwrap_or(path))
}

/// What the engine says before its log is open, or when it panics.
fn first_words(state: &StateDir) -> Option<File> {
    let folder = state.log_dir();
    std::fs::create_dir_all(&folder).ok()?;
    File::options().create(true).append(true).mode(0o600).open(folder.join("start")).ok()
}

/// What engines have said so.
fn first_words_of(state: &StateDir) -> String {
    let bytes = std::fs::read(state.log_dir().join("start")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Why an engine ended at once, in its own words, behind those that were there before. That another one was faster is no such
/// reason: that one answers.
fn cannot_start(words: &str, before: usize) -> Option<String> {
    let new = words.get(before..)?;
    let why = new.lines().find_map(|line| line.strip_prefix(CANNOT_START))?;
    (!why.starts_with("another engine")).then(|| plain::line(why.as_bytes()))
}

/// The last lines of the engine's newest log file, as plain text.
pub fn log_tail(state: &StateDir, count: usize) -> Vec<String> {
    let Some(newest) = newest(&state.log_dir()) else {
        return Vec::new();
    };
    let bytes = std::fs::read(newest).unwrap_or_default();
    let lines: Vec<String> = plain::lines(&bytes).collect();
    lines[lines.len().saturating_sub(count)..].to_vec()
}

fn newest(folder: &Path) -> Option<PathBuf> {
    std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let meta = entry.metadata().ok()?;
            (meta.is_file() && meta.len() > 0).then_some((meta.modified().ok()?, entry.path()))
        })
        .max()
        .map(|(_, path)| path)
}

/// Ends the engine on purpose; steps go on, and do not start it again. Waits until it has gone.
pub fn stop_engine(place: &Place) -> Result<(), Error> {
    let mut client = place.connect()?;
    match client.ask(Ask::StopEngine) {
        // Its end may be faster than its answer.
        Err(Error::Gone { .. }) => return Ok(()),
        other => other?,
    };
    let until = boottime_ms() + START_MS;
    // It hangs up when it has ended.
    while boottime_ms() < until {
        match client.wait_changed(until) {
            Ok(_) => {}
            Err(Error::Gone { .. }) => return Ok(()),
            Err(other) => return Err(other),
        }
    }
    Err(Error::Silent { seconds: START_MS.unsigned_abs() / 1000, pid: client.engine().pid })
}

/// Reads what the engine logs from now on, over its files of each day.
#[derive(Debug)]
pub struct LogFollower {
    folder: PathBuf,
    file: PathBuf,
    offset: u64,
    unfinished: Vec<u8>,
}

impl LogFollower {
    /// Begins behind what is there.
    pub fn after_end(state: &StateDir) -> Self {
        let folder = state.log_dir();
        let file = newest(&folder).unwrap_or_else(|| folder.join("engine.log"));
        let offset = std::fs::metadata(&file).map_or(0, |meta| meta.len());
        Self { folder, file, offset, unfinished: Vec::new() }
    }

    /// Whole lines that were written since, as plain text. A file that cannot be read now is tried again later.
    pub fn more(&mut self) -> Vec<String> {
        let mut lines = self.read_on();
        if let Some(newer) = newest(&self.folder)
            && newer != self.file
        {
            self.file = newer;
            self.offset = 0;
            lines.extend(self.read_on());
        }
        lines
    }

    fn read_on(&mut self) -> Vec<String> {
        let mut fresh = Vec::new();
        let read = File::open(&self.file).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.offset))?;
            file.take(1024 * 1024).read_to_end(&mut fresh)
        });
        self.offset += read.unwrap_or(0) as u64;
        self.unfinished.extend_from_slice(&fresh);
        let Some(end) = self.unfinished.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let whole: Vec<u8> = self.unfinished.drain(..=end).collect();
        plain::lines(&whole).collect()
    }
}
