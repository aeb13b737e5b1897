//! The screen on a real terminal: its loop, threads and connections. Owns all of its IO; every decision is `update`'s and
//! every picture `view`'s.

mod asking;
mod causes;
mod copy;
mod export;
mod feed;
mod frames;
mod input;
mod pace;
mod panes;
pub mod pointer;
pub mod terminal;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use rustix::event::{EventfdFlags, eventfd};

use self::feed::{Feed, Look};
use self::input::Raw;
use self::panes::Panes;
use self::panes::book::Book;
use self::pointer::Pointer;
use self::terminal::Screen;
use self::terminal::budget::Budget;
use super::message::{LiveKind, LogNews, Message, News, Purpose, Refused, Search};
use super::model::{LaneKey, Manner, Model, Stage};
use super::panel::Panel;
use super::{update, view};
use crate::client::Place;
use crate::clock::boottime_ms;
use crate::faces::detach;
use crate::wire::client::{LogPlace, RunState, StartRun};

/// Messages that wait; then whoever has more waits too.
const QUEUE: usize = 256;
/// Messages taken before a frame is drawn.
const GULP: usize = 512;
/// For so long after a key the step's output is its echo.
const ECHO_MS: i64 = 500;
/// An Esc that begins a report is a report within this time, else a key.
const HELD_MS: i64 = 30;

/// How the screen is opened.
pub struct Options {
    pub place: Place,
    pub manner: Manner,
    /// The run to look at; without it the one that needs somebody most.
    pub run: Option<String>,
    pub mouse: bool,
    /// The key that lets go.
    pub detach: detach::Key,
    /// Loads what is to be started from the first screen.
    pub starter: Starter,
}

/// What the first screen can start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// A workflow file.
    File(String),
    /// One command, as `sh` reads it.
    Command(String),
    Demo,
    /// Writes a first workflow file; starts nothing.
    Starter,
}

/// Loads a workflow, or says what is wrong with it. `None`: there is nothing to start.
pub type Starter = Box<dyn Fn(Wish) -> Result<Option<StartRun>, Refused>>;

/// How it was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// By the operator; these words are for the terminal.
    Asked(String),
    /// By a signal.
    Signal(i32),
    /// The terminal went away, or something broke.
    Broken(String),
}

/// How the screen ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    pub left: Left,
    /// How the run is that was looked at last.
    pub state: Option<RunState>,
}

/// What reaches the loop.
#[expect(clippy::large_enum_variant, reason = "at most a queue full of them")]
enum Event {
    Message(Message),
    /// While attached: as they came.
    Bytes(Vec<u8>),
    Resized,
    Suspend,
    /// Continued after somebody else stopped us.
    Resumed,
    Leave(i32),
    Gone(String),
    Live {
        lane: LaneKey,
        kind: LiveKind,
        number: u64,
        result: Result<OwnedFd, Refused>,
    },
    LogPlace {
        lane: LaneKey,
        /// `None`: the newest.
        attempt: Option<u32>,
        place: Result<LogPlace, Refused>,
    },
}

/// Opens the screen and stays until it is left.
pub fn open(options: Options) -> std::io::Result<Closed> {
    let (sender, events) = sync_channel(QUEUE);
    let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let to = To { sender, wake: Arc::clone(&wake) };
    let raw: Raw = Arc::new(AtomicBool::new(false));
    // Before the size is asked for: a change from then on is told.
    input::signals(to.clone())?;
    let screen = Screen::enter(options.mouse)?;
    input::keys(Arc::clone(&raw), to.clone())?;
    let feed = Feed::start(options.place, &to)?;
    let mut model = Model::new(options.manner, screen.size(), boottime_ms());
    // Asked for by name: nothing else is chosen.
    model.wanted.clone_from(&options.run);
    let mut shell = Shell {
        model,
        screen,
        panes: Panes::new()?,
        wake,
        feed,
        raw,
        watch: detach::Watch::new(options.detach),
        detach: options.detach,
        starter: options.starter,
        pointer: Pointer::default(),
        look: Look { run: options.run, measure: false },
        ahead_ms: 0,
        dirty: true,
        hurry: true,
        budget: Budget::new(boottime_ms()),
        drawn_ms: 0,
        sent_ms: 0,
        typed_ms: 0,
        left: None,
    };
    shell.feed.look(shell.look.clone());
    let left = shell.run(&events)?;
    let state = shell.model.run.as_ref().map(|run| run.line.state);
    drop(shell);
    Ok(Closed { left, state })
}

struct Shell {
    model: Model,
    screen: Screen,
    panes: Panes,
    /// Readable when something is in the queue.
    wake: Arc<OwnedFd>,
    feed: Feed,
    raw: Raw,
    watch: detach::Watch,
    detach: detach::Key,
    starter: Starter,
    pointer: Pointer,
    look: Look,
    /// Engine time minus boot time.
    ahead_ms: i64,
    /// Something has changed.
    dirty: bool,
    /// ... and it was not only a step's output.
    hurry: bool,
    budget: Budget,
    drawn_ms: i64,
    /// When something was sent to the terminal last: a frame that changes nothing holds up none.
    sent_ms: i64,
    /// When keys came last while attached.
    typed_ms: i64,
    left: Option<Left>,
}

impl Shell {
    fn run(&mut self, events: &Receiver<Event>) -> std::io::Result<Left> {
        loop {
            if let Some(left) = self.left.take() {
                return Ok(left);
            }
            self.draw_if_due()?;
            self.wait()?;
            for _ in 0..GULP {
                match events.try_recv() {
                    Ok(event) => self.take(event)?,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        return Ok(Left::Broken("the screen's threads have ended".into()));
                    }
                }
            }
            self.time_goes_on();
            for message in self.panes.book.as_mut().map(Book::step).unwrap_or_default() {
                let output = matches!(message, Message::Log(LogNews::Lines { .. }) | Message::Found(Search::Going(_)));
                let hurry = self.hurry;
                self.tell(message);
                // That a log grows is output like any other: it may wait for the budget.
                if output {
                    self.hurry = hurry;
                }
            }
            self.look_again();
        }
    }

    fn take(&mut self, event: Event) -> std::io::Result<()> {
        match event {
            Event::Message(message) => self.tell(message),
            Event::Bytes(bytes) => self.typed(&bytes),
            Event::Resized => {
                let size = terminal::size();
                self.screen.resize(size);
                self.tell(Message::Resized(size));
            }
            Event::Suspend => self.suspend()?,
            Event::Resumed => {
                self.screen.forget();
                self.dirty = true;
                self.hurry = true;
            }
            Event::Leave(signal) => self.left = Some(Left::Signal(signal)),
            Event::Gone(why) => self.left = Some(Left::Broken(why)),
            Event::Live { lane, kind, number, result } => self.live(lane, kind, number, result),
            Event::LogPlace { lane, attempt, place } => {
                self.placed(lane, attempt, place);
            }
        }
        Ok(())
    }

    /// Gives the model a message and does what follows.
    fn tell(&mut self, message: Message) {
        let now = boottime_ms();
        if let Message::News(news) = &message
            && let News::Run(run) = &**news
        {
            self.ahead_ms = run.now_ms - now;
            self.panes.recorded();
        }
        self.model.now_ms = now + self.ahead_ms;
        let drawn = self.is_drawn(&message);
        self.dirty |= drawn;
        self.hurry |= drawn;
        for effect in update::update(&mut self.model, message) {
            self.cause(effect);
        }
        let typing = self.model.attached.as_ref().is_some_and(|attached| attached.stage == Stage::Open);
        if typing && !self.raw.swap(true, Ordering::SeqCst) {
            self.watch = detach::Watch::new(self.detach);
            self.pointer = Pointer::default();
        } else if !typing {
            self.raw.store(false, Ordering::SeqCst);
        }
    }

    /// Whether this message makes a frame. What is typed does not: its echo does. What is measured again and again comes
    /// with the next second, where a clock is shown anyway.
    fn is_drawn(&self, message: &Message) -> bool {
        let again = self.model.resources.is_some() && self.model.ticks();
        match message {
            Message::Typed { .. } => self.model.attached.is_none(),
            Message::News(news) => !(again && matches!(**news, News::Resources(_))),
            Message::Answered { why: Purpose::Chart { live: true }, .. } => !self.model.ticks(),
            _ => true,
        }
    }

    /// Keys as bytes, while somebody types into a step.
    fn typed(&mut self, bytes: &[u8]) {
        // Typed after the key that lets go: meant for nobody. When it was let go without that key, it may be in these.
        if self.model.attached.is_none() && !matches!(self.model.panels.last(), Some(Panel::Released(_))) {
            return;
        }
        self.typed_ms = boottime_ms();
        let (pane, wants) = self.panes.typed_into();
        let passed = self.pointer.feed(bytes, pane, wants);
        let before = self.watch.keys();
        let typed = self.watch.feed(&passed.bytes);
        self.pass(typed.pass, before);
        if typed.let_go || passed.banner {
            self.tell(Message::LetGo);
        }
    }

    /// Something that was typed looks like the beginning of a report or of the key that lets go.
    fn holds(&self) -> bool {
        self.model.attached.is_some() && (self.pointer.holds() || self.watch.holds())
    }

    fn pass(&mut self, bytes: Vec<u8>, keys_before: u64) {
        if !bytes.is_empty() {
            let keys = self.watch.keys() - keys_before;
            self.tell(Message::Typed { bytes, keys });
        }
    }

    fn live(&mut self, lane: LaneKey, kind: LiveKind, number: u64, result: Result<OwnedFd, Refused>) {
        if kind == LiveKind::Look {
            self.dirty = true;
            return self.panes.looked(lane, result.ok(), &self.model, boottime_ms());
        }
        if self.model.attached.as_ref().is_none_or(|attached| attached.number != number) {
            // Let go before it came: its terminal is closed, and never stands in for the next one.
            return;
        }
        let result = result.and_then(|terminal| {
            self.panes
                .live(lane, kind, terminal, &self.model)
                .map_err(|why| Refused { words: format!("its terminal cannot be read: {why}"), hint: None })
        });
        self.tell(Message::Live { number, result });
    }

    fn suspend(&mut self) -> std::io::Result<()> {
        self.screen.suspend()?;
        self.tell(Message::Resized(self.screen.size()));
        Ok(())
    }

    /// A pane whose program draws its screen itself is looked at as a terminal.
    fn look_at_terminal(&mut self) {
        if let Some((lane, size)) = self.panes.look(&self.model, boottime_ms()) {
            self.feed.request(feed::Request::Live { lane, kind: LiveKind::Look, number: 0, size, take_over: false });
        }
    }

    /// What is on the screen decides what is read and asked for.
    fn look_again(&mut self) {
        for wanted in self.panes.show(&self.model) {
            self.feed.request(feed::Request::Log { lane: wanted.0, attempt: Some(wanted.1) });
        }
        self.look_at_terminal();
        let measure = view::measures(&self.model);
        if measure != self.look.measure {
            self.look.measure = measure;
            self.feed.look(self.look.clone());
        }
    }
}

/// Nobody listens any more: the screen is closed.
struct Over;

/// The end of the queue that threads send to; wakes the loop.
#[derive(Clone)]
struct To {
    sender: SyncSender<Event>,
    wake: Arc<OwnedFd>,
}

impl To {
    fn send(&self, event: Event) -> Result<(), Over> {
        self.sender.send(event).map_err(|_| Over)?;
        // A counter that is full is readable.
        let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
        Ok(())
    }
}
