//! The pictures on the screen: which logs are read, which terminal is live. Reads only what is shown; owns every descriptor
//! that a pane has.

pub(super) mod book;
mod live;
mod look;
mod paces;
mod scrolled;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::Line;

use self::book::Book;
use self::live::LivePane;
use self::look::Looks;
use self::paces::Paces;
use self::scrolled::Scrolled;
use super::terminal::budget::UNREAD;
use crate::gauge::progress;
use crate::screen::{Glance, Tail, Watch, Work};
use crate::tui::draw::{Room, layout};
use crate::tui::message::LiveKind;
use crate::tui::model::{LaneKey, Model, Size};
use crate::tui::page::panes::{Pictures, places, shown};
use crate::wire::client::LogPlace;

/// Lines of a log's end that progress is read from.
const PROGRESS_LINES: usize = 12;
/// How often a pane's progress is read from its log.
const PACE_MS: i64 = 1_000;
/// Running lanes whose progress is read although they are not on the screen as panes.
const GLANCES: usize = 64;

/// Everything that is shown.
pub(in crate::tui::shell) struct Panes {
    /// By lane and attempt: where its log lies; `None` while that is being asked.
    found: BTreeMap<(LaneKey, u32), Option<PathBuf>>,
    passive: BTreeMap<LaneKey, Passive>,
    paces: Paces,
    live: Option<LivePane>,
    looks: Looks,
    watch: Watch<u32>,
    next: u32,
    /// The whole log that is open.
    pub(in crate::tui::shell) book: Option<Book>,
}

struct Passive {
    attempt: u32,
    /// Its name in the watch.
    name: u32,
    watched: bool,
    picture: Picture,
    dir: PathBuf,
    /// Something was written that is not taken in.
    fresh: bool,
    /// When it was last looked at how far it is.
    paced_ms: i64,
    /// While somebody scrolls back in it.
    scrolled: Option<Scrolled>,
}

enum Picture {
    Tail(Box<Tail>),
    /// Not on the screen as a pane: only how far it is.
    Glance(Glance),
}

impl Panes {
    pub(in crate::tui::shell) fn new() -> std::io::Result<Self> {
        Ok(Self {
            found: BTreeMap::new(),
            passive: BTreeMap::new(),
            paces: Paces::default(),
            live: None,
            looks: Looks::default(),
            watch: Watch::new()?,
            next: 0,
            book: None,
        })
    }

    /// A pane on the screen is not where its log is: another frame is needed.
    pub(in crate::tui::shell) fn unsettled(&self) -> bool {
        let tail = |pane: &Passive| matches!(pane.picture, Picture::Tail(_));
        self.passive
            .values()
            .any(|pane| (pane.fresh && tail(pane)) || pane.scrolled.as_ref().is_some_and(|scrolled| scrolled.counting))
    }

    /// Opens what is shown now and closes what is not; gives the logs whose place has to be asked for.
    pub(in crate::tui::shell) fn show(&mut self, model: &Model) -> Vec<(LaneKey, u32)> {
        let wanted = wanted(model);
        self.found.retain(|(lane, _), _| model.run.as_ref().is_some_and(|run| run.line.id == lane.run));
        let gone: Vec<LaneKey> = self
            .passive
            .iter()
            .filter(|(lane, pane)| {
                !wanted.iter().any(|(other, attempt, tail)| {
                    other == *lane && *attempt == pane.attempt && *tail == matches!(pane.picture, Picture::Tail(_))
                })
            })
            .map(|(lane, _)| lane.clone())
            .collect();
        for lane in gone {
            if let Some(pane) = self.passive.remove(&lane) {
                self.watch.remove(pane.name);
            }
        }
        let mut ask = Vec::new();
        for (lane, attempt, tail) in wanted {
            if self.passive.contains_key(&lane) {
                continue;
            }
            match self.found.get(&(lane.clone(), attempt)) {
                Some(Some(dir)) => {
                    let dir = dir.clone();
                    self.open(lane, attempt, dir, tail);
                }
                Some(None) => {}
                None => {
                    self.found.insert((lane.clone(), attempt), None);
                    ask.push((lane, attempt));
                }
            }
        }
        ask
    }

    fn open(&mut self, lane: LaneKey, attempt: u32, dir: PathBuf, tail: bool) {
        let name = self.next;
        self.next += 1;
        let picture = if tail {
            Picture::Tail(Box::new(Tail::new(dir.clone())))
        } else {
            Picture::Glance(Glance::new(dir.clone()))
        };
        // An attempt directory that cannot be watched is looked at with every change that the engine tells.
        let watched = self.watch.add(&dir, name).unwrap_or(false);
        self.passive
            .insert(lane, Passive { attempt, name, watched, picture, dir, fresh: true, paced_ms: 0, scrolled: None });
    }

    /// The engine said where a log lies.
    pub(in crate::tui::shell) fn placed(&mut self, lane: LaneKey, attempt: u32, place: Option<LogPlace>) {
        match place {
            Some(place) => {
                self.found.insert((lane, attempt), Some(PathBuf::from(place.dir)));
            }
            // Asked again when the run has changed.
            None => {
                self.found.remove(&(lane, attempt));
            }
        }
    }

    /// The kernel says which logs were written to; true when one of them is on the screen.
    pub(in crate::tui::shell) fn grew(&mut self) -> bool {
        let names: BTreeSet<u32> = self.watch.changed();
        let mut any = false;
        // What is shown as a terminal says itself that it changes, a moment after its log: a frame for the log's sake would
        // hold up the one that shows something.
        let live = self.live.as_ref().filter(|pane| pane.drawn).map(|pane| &pane.lane);
        for (lane, pane) in self.passive.iter_mut().filter(|(_, pane)| names.contains(&pane.name)) {
            pane.fresh = true;
            // How far the others are is looked at with the next second.
            any |= matches!(pane.picture, Picture::Tail(_)) && live != Some(lane);
        }
        if let Some(book) = &mut self.book {
            book.grew();
        }
        any
    }

    /// Something was recorded: attempts that had no directory yet may have one.
    pub(in crate::tui::shell) fn recorded(&mut self) {
        for pane in self.passive.values_mut().filter(|pane| !pane.watched) {
            pane.watched = self.watch.add(&pane.dir, pane.name).unwrap_or(false);
            pane.fresh = true;
        }
    }

    /// Before a frame: takes in what was written, and gives the live terminal the size of its pane. True when more came since
    /// the frame before than anybody can have read.
    pub(in crate::tui::shell) fn settle(&mut self, model: &mut Model) -> bool {
        let (mut work, mut flood) = (Work::FRAME, false);
        for (lane, pane) in self.passive.iter_mut().filter(|(_, pane)| pane.fresh) {
            let lines = match &mut pane.picture {
                Picture::Tail(tail) => {
                    let before = tail.offset();
                    // A log that cannot be read keeps its last picture; `logs` says why.
                    pane.fresh = tail.poll(&mut work).is_ok_and(|polled| polled.behind);
                    let came = before.zip(tail.offset()).map_or(0, |(before, after)| after.saturating_sub(before));
                    flood |= came > UNREAD;
                    let due = model.now_ms >= pane.paced_ms + PACE_MS;
                    due.then(|| tail.last_lines(PROGRESS_LINES).ok()).flatten()
                }
                Picture::Glance(glance) => {
                    pane.fresh = false;
                    glance.poll(PROGRESS_LINES).ok().flatten()
                }
            };
            if let Some(newest) = lines.and_then(|lines| progress::newest(lines.iter().map(String::as_str))) {
                pane.paced_ms = model.now_ms;
                let progress = self.paces.see(lane, pane.attempt, model.now_ms, newest);
                model.progress.insert(lane.clone(), progress);
            }
        }
        self.scroll(model);
        self.fit_live(model);
        flood
    }

    /// Panes that are scrolled back show the log from disk.
    fn scroll(&mut self, model: &mut Model) {
        for (lane, pane) in &mut self.passive {
            let Some(back) = model.scroll.get(lane).copied().filter(|back| *back > 0) else {
                pane.scrolled = None;
                continue;
            };
            let rows = inner(model, lane).height;
            let scrolled = pane.scrolled.get_or_insert_with(|| Scrolled::new(pane.dir.clone()));
            match scrolled.to(back, rows) {
                // There is nothing before what the pane shows: it stays as it is.
                Ok(0) | Err(_) => {
                    model.scroll.remove(lane);
                    pane.scrolled = None;
                }
                Ok(back) => _ = model.scroll.insert(lane.clone(), back),
            }
        }
        // Where nothing was printed there is nothing to go back in.
        let here = model.lane().map(|step| model.lane_key(step)).filter(|lane| !self.passive.contains_key(lane));
        if let Some(lane) = here {
            model.scroll.remove(&lane);
        }
    }
}

/// The size that a live pane of this lane will have.
pub(in crate::tui::shell) fn size_for(model: &Model, lane: &LaneKey) -> Size {
    let area = inner(model, lane);
    Size { columns: area.width, rows: area.height }
}

/// The inside of a lane's pane on the screen.
fn inner(model: &Model, lane: &LaneKey) -> Rect {
    let Some(room) = layout(model).of(Room::Panes) else {
        return Rect::default();
    };
    let lanes = shown(model, room);
    let areas = places(room, lanes.len());
    let area = lanes.iter().position(|one| one == lane).and_then(|place| areas.get(place).copied()).unwrap_or(room);
    Rect { x: area.x + 1, y: area.y + 1, width: area.width.saturating_sub(2), height: area.height.saturating_sub(2) }
}

/// Which attempts are read, and which of them as panes.
fn wanted(model: &Model) -> Vec<(LaneKey, u32, bool)> {
    let Some(run) = &model.run else {
        return Vec::new();
    };
    let mut wanted = Vec::new();
    if let Some(room) = layout(model).of(Room::Panes) {
        for lane in shown(model, room) {
            if let Some(step) = model.lane_at(&lane).filter(|step| step.attempt > 0 && !step.outside) {
                wanted.push((lane, step.attempt, true));
            }
        }
    }
    let running = run.steps.iter().filter(|step| step.state.runs() && !step.outside);
    for step in running.take(GLANCES) {
        let lane = model.lane_key(step);
        if !wanted.iter().any(|(other, _, _)| *other == lane) {
            wanted.push((lane, step.attempt, false));
        }
    }
    wanted
}

impl Pictures for Panes {
    fn paint(&self, lane: &LaneKey, area: Rect, _back: usize, buf: &mut Buffer) -> Option<Option<Position>> {
        let live = self.live.as_ref().filter(|pane| pane.lane == *lane);
        if let Some(pane) = live.filter(|pane| pane.kind != LiveKind::Look) {
            pane.live.paint(area, buf);
            return Some(pane.live.cursor_in(area));
        }
        let pane = self.passive.get(lane)?;
        if let Some(scrolled) = &pane.scrolled {
            scrolled.paint(area, buf);
            return Some(None);
        }
        if let Some(looked) = live.filter(|looked| looked.drawn) {
            looked.live.paint_part(area, buf);
            return Some(None);
        }
        match &pane.picture {
            Picture::Tail(tail) => {
                tail.paint(area, buf);
                Some(None)
            }
            Picture::Glance(_) => None,
        }
    }

    fn part_of(&self, lane: &LaneKey, area: Rect) -> Option<Size> {
        let looked = |pane: &&LivePane| pane.lane == *lane && pane.kind == LiveKind::Look && pane.drawn;
        let size = self.live.as_ref().filter(looked)?.live.grid().size();
        let clipped = size.cols() > area.width || size.rows() > area.height;
        clipped.then_some(Size { columns: size.cols(), rows: size.rows() })
    }

    fn log_lines(&self, first: u64, count: usize) -> Vec<Line<'static>> {
        self.book.as_ref().map(|book| book.lines(first, count)).unwrap_or_default()
    }
}
