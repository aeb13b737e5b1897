//! The shims of this environment: started, heard, found again after the keeper's own restart.
//!
//! A shim needs its keeper for nothing. What is kept here is only whom to pass orders to and whom to expect news from.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{MemfdFlags, memfd_create};

use super::link::{self, Shim};
use crate::attempt;
use crate::faults;
use crate::model::RUN_FOLDERS;
use crate::wire::keeper::{Event, Launch, Place, proof};
use crate::wire::lines::{Lines, Lost};
use crate::wire::shim::{Order, ToShim, spoken};

/// How much of the log of an ended attempt a pane shows.
const PICTURE: u64 = 32 * 1024;
const PICTURE_LINES: usize = 1000;
/// The variable by which a dogwatch that is not static finds its libraries.
const LIBRARIES: &str = "LD_LIBRARY_PATH";
/// How many ends are remembered.
const ENDED: usize = 4096;

/// Why an order could not be passed on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("`{0}` is not a key of an attempt")]
    BadKey(String),
    #[error(transparent)]
    Attempt(#[from] attempt::Error),
    #[error("cannot start a shim for {key}: {source}")]
    Start { key: String, source: std::io::Error },
    #[error("no shim of {0} is alive in this environment")]
    NoShim(String),
    #[error("cannot write {path}: {source}")]
    Picture { path: PathBuf, source: std::io::Error },
    #[error("the shim of {key} cannot be reached: {source}")]
    Unreachable { key: String, source: Lost },
    /// There is no language that both speak.
    #[error("{0}")]
    Strange(String),
}

/// All shims of the environment.
#[derive(Debug)]
pub(super) struct Shims {
    run_dir: OwnedFd,
    secret: [u8; 32],
    sockets: PathBuf,
    pictures: PathBuf,
    live: BTreeMap<String, Shim>,
    /// Attempts that ended while this keeper watched, and where they are.
    ended: BTreeMap<String, Place>,
}

impl Shims {
    pub(super) fn new(run_dir: OwnedFd, secret: [u8; 32], runtime_dir: &Path) -> Self {
        Self {
            run_dir,
            secret,
            sockets: runtime_dir.join("s"),
            pictures: runtime_dir.join("t"),
            live: BTreeMap::new(),
            ended: BTreeMap::new(),
        }
    }

    pub(super) fn run_dir(&self) -> &OwnedFd {
        &self.run_dir
    }

    pub(super) fn live(&self) -> impl Iterator<Item = (&String, &Shim)> {
        self.live.iter()
    }

    pub(super) fn get(&self, key: &str) -> Option<&Shim> {
        self.live.get(key)
    }

    pub(super) fn socket_of(&self, key: &str) -> PathBuf {
        self.sockets.join(key)
    }

    fn control_key(&self, key: &str) -> String {
        proof(&self.secret, "shim", key)
    }

    /// Starts a shim for the attempt; false when there is one, or was one.
    pub(super) fn launch(&mut self, launch: Launch) -> Result<bool, Error> {
        let key = launch.place.key.clone();
        if !attempt::is_key(&key) {
            return Err(Error::BadKey(key));
        }
        if self.live.contains_key(&key) {
            return Ok(false);
        }
        let dir = attempt::make(&self.run_dir, &launch.place.dir)?;
        let found = attempt::look_up(&dir, &key, None)?;
        if found.claim_boot.is_some() && !faults::mutant("no_claim") {
            return Ok(false);
        }
        faults::crash_point("keep.before-launch");
        let shim = self.start(launch, dir).map_err(|source| Error::Start { key: key.clone(), source })?;
        // A shim that died before its claim may have been here under the same key: an order is for the one that lives.
        self.ended.remove(&key);
        self.live.insert(key, shim);
        faults::crash_point("keep.after-launch");
        Ok(true)
    }

    fn start(&self, launch: Launch, dir: OwnedFd) -> std::io::Result<Shim> {
        let (place, size) = (launch.place.clone(), (launch.rows, launch.cols));
        let order = Order {
            v: spoken().newest,
            control_key: self.control_key(&place.key),
            socket: self.socket_of(&place.key).to_string_lossy().into_owned(),
            launch,
        };
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        // No `pre_exec` here: without it the standard library uses the fast way to start a process.
        let child = Command::new("/proc/self/exe")
            .arg0("dogwatch")
            .arg("shim")
            .env_clear()
            .envs(faults::handed_on())
            // Where dogwatch was brought along with its libraries. The step gets none of it.
            .envs(std::env::var_os(LIBRARIES).map(|path| (LIBRARIES, path)))
            .stdin(Stdio::from(dir))
            .stdout(Stdio::from(order_file(&order)?))
            .stderr(Stdio::from(OwnedFd::from(theirs)))
            .spawn()?;
        Ok(Shim::begun(place, Lines::new(ours.into())?, child.id(), size))
    }

    /// Shims that an earlier keeper of this environment left behind.
    pub(super) fn adopt(&mut self) {
        let Ok(entries) = std::fs::read_dir(&self.sockets) else {
            return;
        };
        for entry in entries.flatten() {
            let Some(key) = entry.file_name().to_str().filter(|name| attempt::is_key(name)).map(str::to_owned) else {
                continue;
            };
            match link::connect(&entry.path()) {
                Ok(lines) => {
                    let place = place_of(&key).unwrap_or_else(|| Place { key: key.clone(), dir: String::new() });
                    self.live.insert(key, Shim::found(place, lines));
                }
                // Nobody listens: the shim has gone, and its attempt directory tells how.
                Err(_) => {
                    let _ = std::fs::remove_file(entry.path());
                }
            }
        }
    }

    pub(super) fn links(&self) -> impl Iterator<Item = (&String, &Lines)> {
        self.live.iter().filter_map(|(key, shim)| Some((key, shim.lines()?)))
    }

    /// Passes an order on.
    pub(super) fn order(&mut self, key: &str, order: &ToShim) -> Result<(), Error> {
        let shim = self.live.get_mut(key).ok_or_else(|| Error::NoShim(key.into()))?;
        if let Some(why) = shim.strange() {
            return Err(Error::Strange(why.to_owned()));
        }
        let lines = shim.ready().ok_or_else(|| Error::NoShim(key.into()))?;
        lines.say(order).map_err(|source| Error::Unreachable { key: key.into(), source })
    }

    /// When to look after those that cannot be heard.
    pub(super) fn next_deadline(&self) -> Option<i64> {
        self.live.values().filter_map(Shim::look_at).min()
    }

    /// Finds the end of shims that cannot be heard: by their claim's lock.
    pub(super) fn turn(&mut self, now: i64) -> Vec<Event> {
        let due =
            self.live.iter_mut().filter_map(|(key, shim)| shim.is_due(now).then(|| (key.clone(), shim.place.clone())));
        let due: Vec<(String, Place)> = due.collect();
        let gone = due.into_iter().filter(|(key, place)| {
            let dir = attempt::open(&self.run_dir, &place.dir).ok().flatten();
            // What cannot be looked at may live.
            dir.is_some_and(|dir| attempt::look_up(dir, key, None).is_ok_and(|found| !found.held))
        });
        let gone: Vec<String> = gone.map(|(key, _)| key).collect();
        gone.into_iter().filter_map(|key| self.bury(&key, "it has ended")).collect()
    }

    /// Hears what the shim of `key` has to say.
    pub(super) fn hear(&mut self, key: &str) -> Vec<Event> {
        let control_key = self.control_key(key);
        let Some(shim) = self.live.get_mut(key) else {
            return Vec::new();
        };
        let mut events = Vec::new();
        if let Err(lost) = shim.listen(&control_key, &mut events) {
            shim.lost(&lost);
        }
        if shim.is_gone() {
            events.extend(self.bury(key, "it closed its connection"));
        }
        events
    }

    /// A file with the end of the log of an attempt that has ended, for a pane: the log itself cannot be reached there.
    pub(super) fn last_picture(&self, key: &str) -> Result<PathBuf, Error> {
        if !attempt::is_key(key) {
            return Err(Error::BadKey(key.into()));
        }
        let place = self.ended.get(key).cloned().or_else(|| place_of(key)).ok_or_else(|| Error::BadKey(key.into()))?;
        let dir = attempt::open(&self.run_dir, &place.dir)?.ok_or_else(|| Error::NoShim(key.into()))?;
        let end = attempt::record::peek(&dir);
        let mut log = attempt::log::Log::open(dir)?;
        let from = log.tail_offset(PICTURE_LINES)?.max(log.end().saturating_sub(PICTURE));
        let mut picture = log.read_all(from, usize::MAX)?;
        let words = end.map_or_else(|| "[its end is not known]".into(), |record| record.last_line());
        picture.extend_from_slice(format!("\r\n{words}\r\n").as_bytes());
        let path = self.pictures.join(key);
        let _ = std::fs::remove_file(&path);
        write_new(&path, &picture).map_err(|source| Error::Picture { path: path.clone(), source })?;
        Ok(path)
    }

    /// A child of the keeper has ended; if it was a shim, that is news.
    pub(super) fn reaped(&mut self, pid: u32, status: &str) -> Vec<Event> {
        let Some(key) = self.live.iter().find(|(_, shim)| shim.child == Some(pid)).map(|(key, _)| key.clone()) else {
            return Vec::new();
        };
        // Its last words may still be in the socket.
        let mut events = self.hear(&key);
        events.extend(self.bury(&key, status));
        events
    }

    /// The shim is gone: either its attempt has an exit record, or nobody knows how it ended.
    fn bury(&mut self, key: &str, status: &str) -> Option<Event> {
        let shim = self.live.remove(key)?;
        let _ = std::fs::remove_file(self.socket_of(key));
        let told = shim.exited.is_some();
        let on_disk =
            || attempt::open(&self.run_dir, &shim.place.dir).ok().flatten().is_some_and(attempt::record::is_there);
        let event = if told {
            None
        } else if on_disk() && shim.claimed {
            Some(Event::Exited { key: key.into() })
        } else {
            let status = shim.last_words.map_or_else(|| status.to_owned(), |words| format!("{status}: {words}"));
            Some(Event::ShimGone { key: key.into(), status })
        };
        if shim.claimed {
            self.ended.insert(key.into(), shim.place);
        }
        while self.ended.len() > ENDED {
            self.ended.pop_first();
        }
        event
    }
}

/// Where the attempt of this key lives, by the rule that both follow: `dw-<run>-<step>-<lane>-a<n>` in `step/lane/a<n>`,
/// with the folders of [`RUN_FOLDERS`] set apart.
fn place_of(key: &str) -> Option<Place> {
    let (_run, rest) = key.strip_prefix("dw-")?.split_once('-')?;
    let (rest, attempt) = rest.rsplit_once('-')?;
    let (step, lane) = rest.rsplit_once('-')?;
    let apart = if RUN_FOLDERS.contains(&step) { "_" } else { "" };
    Some(Place { key: key.into(), dir: format!("{apart}{step}/{lane}/{attempt}") })
}

fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
}

/// The order in a file that has no name anywhere.
fn order_file(order: &Order) -> std::io::Result<OwnedFd> {
    let file = memfd_create("order", MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(file);
    file.write_all(&serde_json::to_vec(order)?)?;
    std::io::Seek::rewind(&mut file)?;
    Ok(file.into())
}
