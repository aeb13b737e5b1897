//! One shim as its keeper knows it, and what the two say: the greeting of one that was found, its news, its silence.
//!
//! A shim that this build has no language in common with is left alone: it is not asked for anything, and its end is found by
//! its claim, not by its connection.

use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::wire::keeper::{Event, Place, proof};
use crate::wire::lines::{Lines, Lost};
use crate::wire::shim::{End, FromShim, Greeting, Opening, Want};
use crate::{attempt, clock, spawn};

/// How often it is looked whether a shim that cannot be heard has ended.
const LOOK_MS: i64 = 1_000;

/// A shim that lives, as far as is known.
#[derive(Debug)]
pub(super) struct Shim {
    pub(super) place: Place,
    link: Link,
    /// Its pid, if it is a child of this very keeper.
    pub(super) child: Option<u32>,
    pub(super) claimed: bool,
    pub(super) exited: Option<End>,
    /// Its own words for not starting or not obeying.
    pub(super) last_words: Option<String>,
    pub(super) started_at: i64,
    pub(super) size: (u16, u16),
}

#[derive(Debug)]
enum Link {
    /// Its greeting is awaited.
    Greeting(Lines),
    Ready(Lines),
    /// Nothing that it says is understood, for this reason; when to look whether it has ended.
    Strange {
        why: String,
        look_at: i64,
    },
    /// It closed its end.
    Closed,
}

impl Shim {
    /// One that this keeper has just started.
    pub(super) fn begun(place: Place, lines: Lines, pid: u32, size: (u16, u16)) -> Self {
        let link = Link::Ready(lines);
        let started_at = clock::boottime_ms();
        Self { place, link, child: Some(pid), claimed: false, exited: None, last_words: None, started_at, size }
    }

    /// One that an earlier keeper of this environment left behind.
    pub(super) fn found(place: Place, lines: Lines) -> Self {
        let (link, started_at, size) = (Link::Greeting(lines), clock::boottime_ms(), (40, 120));
        Self { place, link, child: None, claimed: true, exited: None, last_words: None, started_at, size }
    }

    /// Has its end been told?
    pub(super) fn is_over(&self) -> bool {
        self.exited.is_some()
    }

    /// Nobody will say its end but what it left on disk.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.link, Link::Closed) && self.child.is_none()
    }

    /// Where it speaks.
    pub(super) fn lines(&self) -> Option<&Lines> {
        match &self.link {
            Link::Greeting(lines) | Link::Ready(lines) => Some(lines),
            Link::Strange { .. } | Link::Closed => None,
        }
    }

    /// Where it takes orders.
    pub(super) fn ready(&mut self) -> Option<&mut Lines> {
        match &mut self.link {
            Link::Ready(lines) => Some(lines),
            Link::Greeting(_) | Link::Strange { .. } | Link::Closed => None,
        }
    }

    /// Why it is not spoken to.
    pub(super) fn strange(&self) -> Option<&str> {
        match &self.link {
            Link::Strange { why, .. } => Some(why),
            Link::Greeting(_) | Link::Ready(_) | Link::Closed => None,
        }
    }

    /// When to look whether it has ended, where it does not say so.
    pub(super) fn look_at(&self) -> Option<i64> {
        match &self.link {
            Link::Strange { look_at, .. } => Some(*look_at),
            Link::Greeting(_) | Link::Ready(_) | Link::Closed => None,
        }
    }

    /// Is it time to look? Once.
    pub(super) fn is_due(&mut self, now: i64) -> bool {
        match &mut self.link {
            Link::Strange { look_at, .. } if *look_at <= now => {
                *look_at = now + LOOK_MS;
                true
            }
            Link::Strange { .. } | Link::Greeting(_) | Link::Ready(_) | Link::Closed => false,
        }
    }

    /// It says no more, or nothing that is understood: then it lives on as far as is known.
    pub(super) fn lost(&mut self, lost: &Lost) {
        self.link = match (&self.link, lost) {
            (Link::Strange { .. }, _) => return,
            (Link::Greeting(_), Lost::NotUnderstood(_) | Lost::TooLong) => {
                Link::Strange { why: format!("its supervisor process is not understood: {lost}"), look_at: 0 }
            }
            (Link::Greeting(_) | Link::Ready(_) | Link::Closed, _) => Link::Closed,
        };
    }

    /// Hears what it has to say.
    pub(super) fn listen(&mut self, control_key: &str, events: &mut Vec<Event>) -> Result<(), Lost> {
        if let Link::Greeting(lines) = &mut self.link {
            let received = lines.receive();
            let Some(greeting) = lines.take::<Greeting>()? else {
                return received;
            };
            let v = match greeting.agree() {
                Ok(version) => version,
                Err(other) => {
                    self.link = Link::Strange { why: other.to_string(), look_at: 0 };
                    return Ok(());
                }
            };
            let key = attempt::record::key_from_hex(control_key).unwrap_or_default();
            let want = Want::Command { proof: proof(&key, "keeper", &greeting.nonce) };
            lines.say(&Opening { v, want })?;
            self.place.dir = greeting.dir;
            self.size = (greeting.rows, greeting.cols);
            self.link = match std::mem::replace(&mut self.link, Link::Closed) {
                Link::Greeting(lines) => Link::Ready(lines),
                other @ (Link::Ready(_) | Link::Strange { .. } | Link::Closed) => other,
            };
            received?;
        }
        let Link::Ready(lines) = &mut self.link else {
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

/// By way of the directory's descriptor, for the path of a socket is limited to 107 bytes.
pub(super) fn connect(path: &Path) -> std::io::Result<Lines> {
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
