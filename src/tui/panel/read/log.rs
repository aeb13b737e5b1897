//! The whole log of an attempt: scrolled, searched, followed. Owns where the reader stands; the lines come from outside, for
//! a log can be larger than memory. Pure.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::draw::{Frame, Pen, blank, row};
use crate::tui::keys::Action;
use crate::tui::message::{Effect, LogNews, Search};
use crate::tui::model::{LaneKey, Model};
use crate::tui::page::panes::Pictures;
use crate::tui::panel::{Entry, Panel, entry, room};
use crate::tui::theme::Role;

/// Columns that one key moves sideways.
const ASIDE: usize = 20;

/// How the last search went on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seek {
    back: bool,
    /// It began anew at the other end.
    wrapped: bool,
}

/// A log that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub lane: LaneKey,
    /// `None` until it is known which one is the newest.
    pub attempt: Option<u32>,
    /// Lines that are known of.
    pub count: u64,
    /// These are all, as far as was written until now.
    pub all: bool,
    /// The line that keys are about, from 0.
    pub line: u64,
    /// The first line on the screen.
    top: u64,
    /// Columns that are left out at the beginning of each line.
    across: usize,
    /// The newest line is always the one.
    pub follow: bool,
    /// What was searched last; empty: nothing.
    pub pattern: String,
    seek: Seek,
    pub search: Option<Search>,
    pub refused: Option<String>,
}

/// Opens the log of an attempt over what is shown; without `attempt` of the newest, and with `pattern` at the first line that
/// has it.
pub fn open(model: &mut Model, lane: LaneKey, attempt: Option<u32>, pattern: &str) -> Vec<Effect> {
    let effect = Effect::OpenLog { lane: lane.clone(), attempt };
    model.panels.push(Panel::Log(Log::new(lane, attempt, pattern)));
    vec![effect]
}

impl Log {
    fn new(lane: LaneKey, attempt: Option<u32>, pattern: &str) -> Self {
        Self {
            lane,
            attempt,
            count: 0,
            all: false,
            line: 0,
            top: 0,
            across: 0,
            follow: pattern.is_empty(),
            pattern: pattern.into(),
            seek: Seek::default(),
            search: None,
            refused: None,
        }
    }

    fn last(&self) -> u64 {
        self.count.saturating_sub(1)
    }

    /// Moves to a line and keeps it on the screen.
    fn go(&mut self, line: u64, rows: u64) {
        self.line = line.min(self.last());
        self.follow = false;
        self.top = self.shown_from(rows);
    }

    /// The first line to show so that the reader's is among so many.
    fn shown_from(&self, rows: u64) -> u64 {
        let rows = rows.max(1);
        if self.follow {
            return self.count.saturating_sub(rows);
        }
        let lowest = (self.line + 1).saturating_sub(rows);
        self.top.clamp(lowest, self.line.max(lowest))
    }

    fn look(&mut self, from: u64, back: bool) -> Vec<Effect> {
        self.seek.back = back;
        self.search = Some(Search::Going(0));
        vec![Effect::Search { pattern: self.pattern.clone(), from, back }]
    }
}

/// Lines of the log that the screen has room for.
fn rows(model: &Model) -> u64 {
    u64::from(room(model).height.saturating_sub(2)).max(1)
}

fn of(model: &mut Model) -> Option<&mut Log> {
    model.panels.iter_mut().rev().find_map(|panel| if let Panel::Log(log) = panel { Some(log) } else { None })
}

/// Something became known of it.
pub fn news(model: &mut Model, news: LogNews) -> Vec<Effect> {
    let Some(log) = of(model) else {
        return Vec::new();
    };
    match news {
        LogNews::Open { lane, attempt } if lane == log.lane => {
            log.attempt = Some(attempt);
            log.refused = None;
            if !log.pattern.is_empty() && log.search.is_none() {
                return log.look(0, false);
            }
        }
        LogNews::Open { .. } => {}
        LogNews::Lines { count, all } => {
            log.count = count;
            log.all = all;
            log.line = if log.follow { log.last() } else { log.line.min(log.last()) };
        }
        LogNews::Refused(refused) => log.refused = Some(refused.words),
    }
    Vec::new()
}

/// The outcome of a search. At the end it goes on from the beginning, once.
pub fn found(model: &mut Model, search: Search) -> Vec<Effect> {
    let rows = rows(model);
    let Some(log) = of(model) else {
        return Vec::new();
    };
    let mut words = None;
    match search {
        Search::At(line) => {
            // The search may have read further than was told of.
            log.count = log.count.max(line + 1);
            log.go(line, rows);
            if log.seek.wrapped {
                words = Some(if log.seek.back { "from the end again" } else { "from the beginning again" });
            }
            log.seek.wrapped = false;
        }
        Search::Nowhere if !log.seek.wrapped => {
            log.seek.wrapped = true;
            let (from, back) = if log.seek.back { (log.last(), true) } else { (0, false) };
            return log.look(from, back);
        }
        Search::Nowhere => {
            log.seek.wrapped = false;
        }
        Search::Going(_) | Search::Wrong(_) => {}
    }
    log.search = Some(search);
    if let Some(words) = words {
        model.say(words);
    }
    Vec::new()
}

/// A pattern was typed.
pub fn look_for(model: &mut Model, pattern: &str) -> Vec<Effect> {
    let Some(log) = of(model) else {
        return Vec::new();
    };
    pattern.clone_into(&mut log.pattern);
    log.seek.wrapped = false;
    if pattern.is_empty() {
        log.search = None;
        return Vec::new();
    }
    // Whoever stands at the end of a log searches the whole of it.
    let from = if log.follow { 0 } else { log.line };
    log.look(from, false)
}

/// Why an action makes no sense in this log.
#[expect(clippy::wildcard_enum_match_arm, reason = "of the many actions a panel takes few")]
pub fn allowed(model: &Model, log: &Log, action: Action) -> Result<(), String> {
    let newest = model.lane_at(&log.lane).map_or(0, |step| step.attempt);
    match action {
        Action::FindNext | Action::FindPrevious if log.pattern.is_empty() => Err("nothing was searched yet".into()),
        Action::OlderAttempt if log.attempt.is_none_or(|attempt| attempt <= 1) => {
            Err("this is the first attempt".into())
        }
        Action::NewerAttempt if log.attempt.is_none_or(|attempt| attempt >= newest) => {
            Err("this is the newest attempt".into())
        }
        Action::Follow if log.follow => Err("the newest line is shown already".into()),
        Action::Copy if log.count == 0 => Err("there is no line".into()),
        _ => Ok(()),
    }
}

/// An action in a log.
#[expect(clippy::wildcard_enum_match_arm, reason = "of the many actions a panel takes few")]
pub fn act(model: &mut Model, action: Action) -> Option<Vec<Effect>> {
    let rows = rows(model);
    let log = of(model)?;
    let page = rows.saturating_sub(1).max(1);
    match action {
        Action::Up => log.go(log.line.saturating_sub(1), rows),
        Action::Down => log.go(log.line + 1, rows),
        Action::PageUp => log.go(log.line.saturating_sub(page), rows),
        Action::PageDown => log.go(log.line + page, rows),
        Action::Top => log.go(0, rows),
        Action::Bottom | Action::Follow => {
            log.follow = true;
            log.line = log.last();
        }
        Action::Left => log.across = log.across.saturating_sub(ASIDE),
        Action::Right => log.across = (log.across + ASIDE).min(10_000),
        Action::FindNext => {
            let from = (log.line + 1).min(log.count);
            return Some(log.look(from, false));
        }
        Action::FindPrevious => {
            let Some(from) = log.line.checked_sub(1) else {
                log.seek.wrapped = true;
                let last = log.last();
                return Some(log.look(last, true));
            };
            return Some(log.look(from, true));
        }
        Action::Copy => return Some(vec![Effect::CopyLine { line: log.line }]),
        Action::OlderAttempt => return Some(other(log, |attempt| attempt - 1)),
        Action::NewerAttempt => return Some(other(log, |attempt| attempt + 1)),
        Action::Find => {
            let entry = Entry::new(model, entry::Wanted::Log);
            model.panels.push(Panel::Entry(entry));
        }
        _ => return None,
    }
    Some(Vec::new())
}

/// The log of another attempt of the same lane.
fn other(log: &mut Log, which: impl FnOnce(u32) -> u32) -> Vec<Effect> {
    let attempt = log.attempt.map(which);
    let lane = log.lane.clone();
    *log = Log { pattern: String::new(), ..Log::new(lane.clone(), attempt, "") };
    vec![Effect::OpenLog { lane, attempt }]
}

/// Draws it over the whole room.
pub fn draw(model: &Model, pictures: &dyn Pictures, (log, room): (&Log, Rect), buf: &mut Buffer) {
    blank(buf, room);
    let theme = &model.manner.theme;
    let attempt = log.attempt.map_or_else(String::new, |attempt| format!(" · attempt {attempt}"));
    let title = format!("log of {}{attempt}", log.lane.name);
    let (right, foot) = (standing(log), state(log));
    let mut frame = Frame::light(&title).right(&right).foot(&foot);
    if matches!(log.search, Some(Search::Nowhere | Search::Wrong(_))) {
        frame.role = Role::Attention;
    }
    let inner = frame.draw(buf, theme, room);
    if let Some(words) = &log.refused {
        Pen::new(buf, theme, row(inner, 0)).text(Role::Bad, words);
        return;
    }
    if log.count == 0 {
        let words = if log.all { "nothing was written" } else { "reading …" };
        Pen::new(buf, theme, row(inner, 0)).text(Role::Dim, words);
        return;
    }
    let top = log.shown_from(u64::from(inner.height));
    let lines = pictures.log_lines(top, usize::from(inner.height));
    for (place, (number, line)) in (0..inner.height).zip((top..log.count).zip(lines)) {
        let mut pen = Pen::new(buf, theme, row(inner, place));
        if number == log.line && !log.follow {
            pen = pen.over(Role::Selected);
        }
        let mut skip = log.across;
        for span in &line.spans {
            let kept = without(&crate::tui::draw::clean(&span.content), &mut skip);
            pen.styled(line.style.patch(span.style), &kept);
        }
        pen.rest();
    }
}

/// A text without its first columns.
fn without(text: &str, columns: &mut usize) -> String {
    let mut kept = String::new();
    for cluster in unicode_segmentation::UnicodeSegmentation::graphemes(text, true) {
        if *columns == 0 {
            kept.push_str(cluster);
        } else {
            *columns = columns.saturating_sub(crate::tui::draw::width(cluster));
        }
    }
    kept
}

fn standing(log: &Log) -> String {
    let more = if log.all { "" } else { "+" };
    let aside = if log.across > 0 { format!(" · from column {}", log.across + 1) } else { String::new() };
    match log.count {
        0 => String::new(),
        _ if log.follow => format!("follow · {}{more} lines{aside}", log.count),
        _ => format!("line {} of {}{more}{aside}", log.line + 1, log.count),
    }
}

fn state(log: &Log) -> String {
    let pattern = &log.pattern;
    match &log.search {
        None => String::new(),
        Some(Search::Going(read)) => format!("looking for {pattern} … {read} lines read"),
        Some(Search::At(_)) => format!("/{pattern}"),
        Some(Search::Nowhere) => format!("{pattern} is nowhere in this log"),
        Some(Search::Wrong(why)) => format!("{pattern} is no regular expression: {why}"),
    }
}
