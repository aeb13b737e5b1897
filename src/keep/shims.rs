//! The shims of this environment: started, heard, found again after the keeper's own restart.
//!
//! A shim needs its keeper for nothing. What is kept here is only whom to pass orders to and whom to expect news from.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::attempt;
use crate::model::RUN_FOLDERS;
use crate::wire::keeper::{Event, Launch, Place, proof};
use crate::wire::lines::{Lines, Lost};
use crate::wire::shim::{End, FromShim, Greeting, Opening, Order, ToShim, VERSION, Want};
use crate::{clock, faults, spawn};

/// How much of the log of an ended attempt a pane shows.
const PICTURE: u64 = 32 * 1024;
const PICTURE_LINES: usize = 1000;
/// The variable by which a dogwatch that is not static finds its libraries.
const LIBRARIES: &str = "LD_LIBRARY_PATH";
/// How many ends are remembered.
const ENDED: usize = 4096;

/// A shim that lives, as far as is known.
#[derive(Debug)]
pub(super) struct Shim {
    place: Place,
    /// `None` once it closed its end.
    link: Option<Link>,
    /// Its pid, if it is a child of this very keeper.
    child: Option<u32>,
    pub(super) claimed: bool,
    exited: Option<End>,
    /// Its own words for not starting or not obeying.
    last_words: Option<String>,
    pub(super) started_at: i64,
    pub(super) size: (u16, u16),
}

#[derive(Debug)]
enum Link {
    /// Its greeting is awaited.
    Greeting(Lines),
    Ready(Lines),
}

impl Link {
    fn lines(&self) -> &Lines {
        let (Self::Greeting(lines) | Self::Ready(lines)) = self;
        lines
    }
}

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
            v: VERSION,
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
        Ok(Shim {
            place,
            link: Some(Link::Ready(Lines::new(ours.into())?)),
            child: Some(child.id()),
            claimed: false,
            exited: None,
            last_words: None,
            started_at: clock::boottime_ms(),
            size,
        })
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
            match connect(&entry.path()) {
                Ok(lines) => {
                    let place = Place { key: key.clone(), dir: String::new() };
                    let shim = Shim {
                        place,
                        link: Some(Link::Greeting(lines)),
                        child: None,
                        claimed: true,
                        exited: None,
                        last_words: None,
                        started_at: clock::boottime_ms(),
                        size: (40, 120),
                    };
                    self.live.insert(key, shim);
                }
                // Nobody listens: the shim has gone, and its attempt directory tells how.
                Err(_) => {
                    let _ = std::fs::remove_file(entry.path());
                }
            }
        }
    }

    pub(super) fn links(&self) -> impl Iterator<Item = (&String, &Lines)> {
        self.live.iter().filter_map(|(key, shim)| Some((key, shim.link.as_ref()?.lines())))
    }

    /// Passes an order on.
    pub(super) fn order(&mut self, key: &str, order: &ToShim) -> Result<(), Error> {
        let shim = self.live.get_mut(key).ok_or_else(|| Error::NoShim(key.into()))?;
        let Some(Link::Ready(lines)) = &mut shim.link else {
            return Err(Error::NoShim(key.into()));
        };
        lines.say(order).map_err(|source| Error::Unreachable { key: key.into(), source })
    }

    /// Hears what the shim of `key` has to say.
    pub(super) fn hear(&mut self, key: &str) -> Vec<Event> {
        let control_key = self.control_key(key);
        let Some(shim) = self.live.get_mut(key) else {
            return Vec::new();
        };
        let mut events = Vec::new();
        if shim.listen(&control_key, &mut events).is_err() {
            shim.link = None;
        }
        if shim.link.is_none() && shim.child.is_none() {
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

impl Shim {
    /// Has its end been told?
    pub(super) fn is_over(&self) -> bool {
        self.exited.is_some()
    }

    fn listen(&mut self, control_key: &str, events: &mut Vec<Event>) -> Result<(), Lost> {
        if let Some(Link::Greeting(lines)) = &mut self.link {
            let received = lines.receive();
            let Some(greeting) = lines.take::<Greeting>()? else {
                return received;
            };
            let key = attempt::record::key_from_hex(control_key).unwrap_or_default();
            let want = Want::Command { proof: proof(&key, "keeper", &greeting.nonce) };
            lines.say(&Opening { v: VERSION, want })?;
            self.place.dir = greeting.dir;
            self.size = (greeting.rows, greeting.cols);
            self.link = self.link.take().map(|link| match link {
                Link::Greeting(lines) | Link::Ready(lines) => Link::Ready(lines),
            });
            received?;
        }
        let Some(Link::Ready(lines)) = &mut self.link else {
            return Ok(());
        };
        lines.flush()?;
        let received = lines.receive();
        let mut said = Vec::new();
        while let Some(message) = lines.take::<FromShim>()? {
            said.push(message);
        }
        for message in said {
            events.extend(self.note(message));
        }
        received
    }

    fn note(&mut self, message: FromShim) -> Option<Event> {
        match message {
            FromShim::Claimed => {
                self.claimed = true;
                return Some(Event::Claimed { key: self.place.key.clone() });
            }
            FromShim::Exited { end } => {
                self.exited = Some(end);
                return Some(Event::Exited { key: self.place.key.clone() });
            }
            FromShim::Unrecorded { end, why } => {
                return Some(Event::Unrecorded { key: self.place.key.clone(), end, why });
            }
            FromShim::Sized { rows, cols } => self.size = (rows, cols),
            FromShim::Refused { why } | FromShim::Declined { why } => self.last_words = Some(why),
        }
        None
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

/// By way of the directory's descriptor, for the path of a socket is limited to 107 bytes.
fn connect(path: &Path) -> std::io::Result<Lines> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(std::io::Error::other("it is not a path of a file"));
    };
    let parent = rustix::fs::open(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let address = SocketAddrUnix::new(Path::new(&spawn::proc_path(&parent)).join(name))?;
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    rustix::net::connect(&socket, &address)?;
    Lines::new(socket)
}
