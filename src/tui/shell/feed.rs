//! The screen's connections to the engine: one that is told of changes and asks what is new, one that asks for what the
//! operator wants, and one for terminals that are only looked at. Each on a thread of its own, so that no slow answer
//! holds up a key. What is asked, and what is asked again, is `asking`'s.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};

use super::asking::Asking;
use super::{Event, Over, To};
use crate::client::{Client, Error, Place, Wake, rest};
use crate::clock::{boottime_ms, pause};
use crate::tui::message::{Effect, Link, LiveKind, Message, News, Purpose};
use crate::tui::model::{LaneKey, Size};
use crate::wire::client::{Ask, Reply};

/// Changes that come close together are asked about once.
const GATHER: Duration = Duration::from_millis(40);
/// How often the machine is measured while it is on the screen.
const MEASURE_MS: i64 = 5_000;
/// How often an engine that is away is looked for.
const LOOK: Duration = Duration::from_millis(250);
/// After so many looks it is started from here, unless it was stopped on purpose.
const LOOKS: u32 = 8;
/// Runs that are listed.
const RUNS: usize = 500;
/// Records asked for at once.
const PAGE: usize = 1_000;

/// What the telling connection is to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) run: Option<String>,
    /// Resources are on the screen.
    pub(super) measure: bool,
}

/// What the asking connection is to do.
pub(super) enum Request {
    Ask {
        why: Purpose,
        ask: Box<Ask>,
    },
    Live {
        lane: LaneKey,
        kind: LiveKind,
        /// Which attachment it is for; any for a look.
        number: u64,
        size: Size,
        take_over: bool,
    },
    /// See [`Effect::ExportMetrics`].
    Export {
        run: String,
        names: Vec<String>,
        file: String,
    },
    /// Where an attempt's log lies.
    Log {
        lane: LaneKey,
        attempt: Option<u32>,
    },
}

/// All of them.
pub(super) struct Feed {
    look: Sender<Look>,
    wake: OwnedFd,
    requests: Sender<Request>,
    /// Terminals to look at: nobody who has answered a question waits for one.
    terminals: Sender<Request>,
}

impl Feed {
    /// Starts its threads.
    pub(super) fn start(place: Place, to: &To) -> std::io::Result<Self> {
        let (look, looks) = channel();
        let (requests, asked) = channel();
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let woken = wake.try_clone()?;
        let (first, second) = (place.clone(), place);
        let out = to.clone();
        std::thread::Builder::new().name("news".into()).spawn(move || {
            let telling =
                Telling { place: first, looks, woken, to: out, look: Look::default(), since: 0, saves: false };
            // It ends when the screen does.
            telling.run();
        })?;
        let out = to.clone();
        let third = second.clone();
        std::thread::Builder::new().name("requests".into()).spawn(move || {
            Asking::new(second, out).run(&asked);
        })?;
        let (terminals, asked) = channel();
        let out = to.clone();
        std::thread::Builder::new().name("terminals".into()).spawn(move || {
            Asking::new(third, out).run(&asked);
        })?;
        Ok(Self { look, wake, requests, terminals })
    }

    /// From now on look at this.
    pub(super) fn look(&self, look: Look) {
        // A thread that is over cannot be told; then the screen is over as well.
        let _ = self.look.send(look);
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// Do this.
    pub(super) fn request(&self, request: Request) {
        let only_looks = matches!(request, Request::Live { kind: LiveKind::Look, .. });
        let _ = if only_looks { &self.terminals } else { &self.requests }.send(request);
    }
}

struct Telling {
    place: Place,
    looks: Receiver<Look>,
    woken: OwnedFd,
    to: To,
    look: Look,
    /// Records of the run that were told.
    since: u64,
    /// It has saved checkpoints.
    saves: bool,
}

impl Telling {
    fn run(mut self) {
        let mut looked = 0;
        loop {
            let why = match self.connect(looked) {
                Ok(mut client) => {
                    looked = 0;
                    match self.follow(&mut client) {
                        Ok(()) => return,
                        Err(why) => why,
                    }
                }
                Err(why) => why,
            };
            looked += 1;
            if self.tell(News::Link(Link::Lost { why: why.to_string() })).is_err() {
                return;
            }
            pause(LOOK);
        }
    }

    fn connect(&self, looked: u32) -> Result<Client, Error> {
        if looked == 0 || looked > LOOKS { self.place.connect_or_start() } else { self.place.connect() }
    }

    /// Until the connection breaks; `Ok` when the screen is over.
    fn follow(&mut self, client: &mut Client) -> Result<(), Error> {
        client.subscribe()?;
        self.since = 0;
        let mut measured = 0;
        if self.tell(News::Link(Link::Up)).is_err() {
            return Ok(());
        }
        let mut fresh = true;
        let mut took = Duration::ZERO;
        loop {
            while let Ok(look) = self.looks.try_recv() {
                if look.run != self.look.run {
                    self.since = 0;
                    fresh = true;
                }
                if look.measure && !self.look.measure {
                    measured = 0;
                }
                self.look = look;
            }
            if fresh {
                let asked = boottime_ms();
                if self.all(client)?.is_err() {
                    return Ok(());
                }
                took = Duration::from_millis((boottime_ms() - asked).unsigned_abs());
            }
            if self.look.measure && boottime_ms() >= measured + MEASURE_MS {
                measured = boottime_ms();
                if self.measure(client)?.is_err() {
                    return Ok(());
                }
            }
            let until = if self.look.measure && self.look.run.is_some() { measured + MEASURE_MS } else { i64::MAX / 2 };
            fresh = match client.wait(&[self.woken.as_fd()], until)? {
                Wake::Changed(_) => {
                    pause(GATHER.max(rest(took)));
                    true
                }
                Wake::Other(_) => {
                    let mut count = [0u8; 8];
                    let _ = rustix::io::read(&self.woken, &mut count);
                    false
                }
                Wake::TimedOut => false,
            };
        }
    }

    /// Everything that can have changed.
    fn all(&mut self, client: &mut Client) -> Result<Result<(), Over>, Error> {
        let mut news = Vec::new();
        if let Reply::Engine(engine) = client.ask(Ask::Engine)? {
            news.push(News::Engine(engine));
        }
        if let Reply::Inbox(inbox) = client.ask(Ask::Inbox)? {
            news.push(News::Inbox(inbox));
        }
        if let Some(run) = self.look.run.clone() {
            self.of_run(client, run, &mut news)?;
        }
        if let Reply::Runs(runs) = client.ask(Ask::Runs { limit: RUNS, state: None })? {
            news.push(News::Runs(runs));
        }
        Ok(news.into_iter().try_for_each(|news| self.tell(news)))
    }

    fn of_run(&mut self, client: &mut Client, run: String, news: &mut Vec<News>) -> Result<(), Error> {
        let view = match client.ask(Ask::Status { run }) {
            Ok(Reply::Run(view)) => view,
            // It was never there, or is there no more: the list says so.
            Ok(_) | Err(Error::Refused(_)) => return Ok(()),
            Err(why) => return Err(why),
        };
        let run = view.line.id.clone();
        let saves = view.steps.iter().any(|step| step.checkpoint.is_some());
        let first = self.since == 0;
        news.push(News::Run(Box::new(view)));
        loop {
            let fresh = self.since == 0;
            let asked = Ask::Events { run: run.clone(), since: self.since, limit: PAGE };
            let Reply::Events { events, seq: _ } = client.ask(asked)? else {
                break;
            };
            let Some(last) = events.last() else {
                break;
            };
            self.since = last.seq;
            let more = events.len() == PAGE;
            news.push(News::Events { run: run.clone(), events, fresh });
            if !more {
                break;
            }
        }
        // The engine reads all records of the run for them: of one that saves nothing it is asked once.
        if (first || saves || self.saves)
            && let Ok(Reply::Checkpoints(checkpoints)) = client.ask(Ask::Checkpoints { run: run.clone() })
        {
            self.saves = saves || !checkpoints.is_empty();
            news.push(News::Checkpoints(checkpoints));
        }
        // Only what the journal knows: no container engine is asked.
        if let Ok(Reply::Kept(kept)) = client.ask(Ask::Kept { run, verify: false }) {
            news.push(News::Kept(kept));
        }
        Ok(())
    }

    fn measure(&mut self, client: &mut Client) -> Result<Result<(), Over>, Error> {
        let Some(run) = self.look.run.clone() else {
            return Ok(Ok(()));
        };
        match client.ask(Ask::Resources { run }) {
            Ok(Reply::Resources(resources)) => Ok(self.tell(News::Resources(resources))),
            Ok(_) | Err(Error::Refused(_)) => Ok(Ok(())),
            Err(why) => Err(why),
        }
    }

    fn tell(&self, news: News) -> Result<(), Over> {
        self.to.send(Event::Message(Message::News(Box::new(news))))
    }
}

/// The request that an effect is.
pub(super) fn request(effect: Effect) -> Option<Request> {
    match effect {
        Effect::Ask { why, ask } => Some(Request::Ask { why, ask }),
        Effect::ExportMetrics { run, names, file } => Some(Request::Export { run, names, file }),
        _ => None,
    }
}
