//! Following a run: a live summary on a terminal, one line per event elsewhere, questions to the person who is there.
//! Survives the engine; leaving stops nothing.

mod output;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::Read;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use self::output::Outputs;
use super::{Ended, answer};
use crate::cli::Face;
use crate::cli::exit::{Exit, Failure};
use crate::cli::screen::Screen;
use crate::cli::signals::Signals;
use crate::cli::text::{Row, Style, events, live, question, run};
use crate::client::{Client, Link, Wake, rest};
use crate::clock::{boottime_ms, pause};
use crate::faces::words;
use crate::wire::client::{Ask, EscalationView, Reply, RunState, RunView};

/// How often a live summary is drawn anew when nothing happens: its times go on.
const BEAT_MS: i64 = 1_000;
/// Changes that come close together are shown together.
const GATHER: Duration = Duration::from_millis(25);
/// Records asked for at once.
const PAGE: usize = 500;

/// What kind of following it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// Drawn anew in place; otherwise a line per event.
    pub(super) live: bool,
    /// Ends with exit code 3 as soon as only a person can go on.
    pub(super) leave_to_person: bool,
    /// Events after this one are told.
    pub(super) since: u64,
}

/// `watch`.
pub(super) fn watch(face: &Face, name: String, plain: bool) -> Ended {
    let (client, Reply::Run(view)) = face.first_look(&Ask::Status { run: name })? else {
        return Err(Failure::unexpected("status"));
    };
    let manner = Manner {
        live: face.screen.motion() && !plain,
        leave_to_person: !face.screen.can_ask(),
        since: if view.line.state.ended() {
            0
        } else {
            // What happened before is one summary, not a flood.
            view.seq
        },
    };
    if !manner.live && !face.screen.json && !view.line.state.ended() {
        face.screen.rows(&run::status(&view, &face.screen.look()))?;
    }
    follow(face, client, &view.line.id, manner)
}

/// Follows until the run is over, a person is needed and none is here, or the client leaves.
pub(super) fn follow(face: &Face, client: Client, id: &str, manner: Manner) -> Ended {
    let drawn = Rc::new(Cell::new(0));
    let (screen, picture) = (face.screen.clone(), Rc::clone(&drawn));
    let link = Link::new(face.place()?, client, move |words| {
        // The live summary stands where this is to be said. If it cannot be erased, drawing it will say why.
        let _ = screen.write(&live::erase(picture.take()));
        screen.note(words);
    })?;
    let mut following = Following {
        face,
        link,
        id,
        manner,
        since: manner.since,
        told: BTreeSet::new(),
        drawn,
        drawn_at: Cell::new(0),
        outputs: Outputs::default(),
        took: Duration::ZERO,
        leave: Signals::leave()?,
        resized: Signals::resized()?,
    };
    let ended = following.run();
    if ended.is_err() {
        following.clear()?;
    }
    ended
}

struct Following<'a> {
    face: &'a Face,
    link: Link,
    id: &'a str,
    manner: Manner,
    since: u64,
    /// Questions that were shown.
    told: BTreeSet<u64>,
    /// Rows of the live summary that stand on the terminal.
    drawn: Rc<Cell<usize>>,
    /// The window's width at that time.
    drawn_at: Cell<usize>,
    outputs: Outputs,
    /// How long the engine took to tell the state of the run.
    took: Duration,
    leave: Signals,
    resized: Signals,
}

impl Following<'_> {
    fn run(&mut self) -> Ended {
        loop {
            let view = self.status()?;
            if !self.manner.live {
                self.tell_events(&view)?;
            }
            self.tell_questions(&view)?;
            if let Some(exit) = Exit::of_run(view.line.state) {
                self.end(&view)?;
                return Ok(exit);
            }
            if view.line.state == RunState::Waiting && self.manner.leave_to_person {
                self.clear()?;
                return Ok(Exit::Person);
            }
            if self.manner.live {
                self.draw(&view)?;
            }
            if !self.wait()? {
                self.clear()?;
                let run = words::run_arg(&view.line);
                self.face.screen.note(&format!("the run goes on: dogwatch watch {run}"));
                return Ok(Exit::Interrupted);
            }
        }
    }

    fn status(&mut self) -> Result<RunView, Failure> {
        let (ask, asked) = (Ask::Status { run: self.id.into() }, boottime_ms());
        let Reply::Run(view) = self.link.ask(&ask)? else {
            return Err(Failure::unexpected("status"));
        };
        self.took = Duration::from_millis((boottime_ms() - asked).unsigned_abs());
        Ok(view)
    }

    fn screen(&self) -> &Screen {
        &self.face.screen
    }

    fn tell_events(&mut self, view: &RunView) -> Result<(), Failure> {
        loop {
            let ask = Ask::Events { run: self.id.into(), since: self.since, limit: PAGE };
            let Reply::Events { events, seq } = self.link.ask(&ask)? else {
                return Err(Failure::unexpected("events"));
            };
            let look = self.screen().look();
            for event in &events {
                if self.screen().json {
                    self.screen().json_line("event", event)?;
                } else if !self.screen().quiet {
                    self.screen().rows(&[events::event(event, view.now_ms, &look)])?;
                }
            }
            let last = events.last().map_or(seq, |event| event.seq);
            if events.len() < PAGE {
                self.since = self.since.max(seq).max(last);
                return Ok(());
            }
            self.since = last;
        }
    }

    /// Each open question once: asked where somebody can answer, else told with the command that answers it.
    fn tell_questions(&mut self, view: &RunView) -> Result<(), Failure> {
        for asked in &view.escalations {
            if !asked.is_open() || !self.told.insert(asked.id) {
                continue;
            }
            self.clear()?;
            answer::present(self.face, asked)?;
            if self.manner.live && self.screen().can_ask() {
                self.ask(asked)?;
            }
        }
        Ok(())
    }

    /// Waits for a number, for somebody else's answer, or for Ctrl-C, which the main loop sees.
    fn ask(&mut self, asked: &EscalationView) -> Result<(), Failure> {
        self.screen().say(&Row::new().add(Style::Asking, "a number decides").text("; Enter leaves it for later:"));
        let stdin = std::io::stdin();
        loop {
            let wake = self.link.wait(&[stdin.as_fd(), self.leave.fd()], boottime_ms() + 60 * BEAT_MS)?;
            match wake {
                Wake::Other(0) => break,
                // Left where it is, for the main loop.
                Wake::Other(_) => return Ok(()),
                Wake::Changed(_) | Wake::TimedOut => {
                    if self.answered_meanwhile(asked.id)? {
                        return Ok(());
                    }
                }
            }
        }
        let typed = typed_line()?;
        if let Some(choice) = answer::ask_here(self.face, asked, &typed)? {
            let ask = Ask::Decide { id: asked.id, choice, note: None, hold_ms: 0, lasting: false };
            match self.link.order(ask) {
                Ok(Reply::Done { words }) => self.screen().note(&words),
                Ok(_) => return Err(Failure::unexpected("decide")),
                // Somebody else was faster, or the state moved on: told, and the run is followed on.
                Err(why) => self.screen().failure(&why.into()),
            }
        } else {
            self.screen().say(&question::command(asked));
        }
        Ok(())
    }

    fn answered_meanwhile(&mut self, id: u64) -> Result<bool, Failure> {
        let Reply::Escalation(now) = self.link.ask(&Ask::Escalation { id })? else {
            return Err(Failure::unexpected("show"));
        };
        let Some(answer) = now.answer else {
            return Ok(false);
        };
        self.screen().note(&format!("e{id} was answered by {}: {}", answer.by, answer.choice));
        Ok(true)
    }

    fn draw(&mut self, view: &RunView) -> Result<(), Failure> {
        let look = self.screen().look();
        let outputs = self.outputs.last_lines(&mut self.link, view)?;
        let rows = live::frame(view, outputs, &look, Screen::height());
        self.screen().write(&live::redraw(&rows, self.drawn.get(), &look))?;
        self.drawn.set(rows.len());
        self.drawn_at.set(look.width);
        Ok(())
    }

    /// Takes the live summary away, so that something can be said that stays.
    fn clear(&mut self) -> Result<(), Failure> {
        let text = live::erase(self.drawn.take());
        self.screen().write(&text)
    }

    fn end(&mut self, view: &RunView) -> Result<(), Failure> {
        self.clear()?;
        if self.screen().json {
            return self.screen().json_line("run.status", view);
        }
        let rows = run::summary(view, &self.screen().look());
        self.screen().rows(&rows)
    }

    /// Rows that are wider than the window were folded anew by the terminal: the next picture begins below them.
    fn resized(&self) {
        if self.screen().look().width < self.drawn_at.get() {
            self.drawn.set(0);
        }
    }

    /// Waits for something to show. `false`: the client is to leave.
    fn wait(&mut self) -> Result<bool, Failure> {
        let beat = if self.manner.live { 1 } else { 60 };
        let until = boottime_ms() + beat * BEAT_MS;
        let watched = [self.leave.fd(), self.resized.fd()];
        let wake = self.link.wait(&watched, until)?;
        if self.leave.take() {
            return Ok(false);
        }
        if self.resized.take() {
            self.resized();
        }
        if let Wake::Changed(_) = wake {
            pause(GATHER.max(rest(self.took)));
        }
        Ok(true)
    }
}

/// One line of what was typed; nothing of the next one is taken.
fn typed_line() -> Result<String, Failure> {
    let mut line = Vec::new();
    let mut byte = [0u8; 1];
    let mut stdin = std::io::stdin().lock();
    while stdin.read(&mut byte)? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}
