//! The one whole log that is open: counted and searched in steps between frames, so that a log of gigabytes holds up no key.

use std::cell::RefCell;
use std::path::PathBuf;

use ratatui::style::Style;
use ratatui::text::{Line as Row, Span};
use regex::Regex;

use crate::screen::{Direction, History, Searched};
use crate::tui::message::{LogNews, Message, Refused, Search};
use crate::tui::model::LaneKey;

/// Bytes that are read in one step.
const BUDGET: usize = 4 * 1024 * 1024;

/// An open log.
pub(in crate::tui::shell) struct Book {
    pub(in crate::tui::shell) lane: LaneKey,
    /// `None` before it is known where it lies.
    opened: Option<Opened>,
}

struct Opened {
    history: RefCell<History>,
    dir: PathBuf,
    told: Option<(u64, bool)>,
    looking: Option<Looking>,
}

struct Looking {
    pattern: Regex,
    from: u64,
    back: bool,
    began: u64,
}

impl Book {
    /// Before it is known where it lies.
    pub(in crate::tui::shell) fn new(lane: LaneKey) -> Self {
        Self { lane, opened: None }
    }

    /// It lies here.
    pub(in crate::tui::shell) fn open(&mut self, dir: PathBuf) {
        let history = RefCell::new(History::new(dir.clone()));
        self.opened = Some(Opened { history, dir, told: None, looking: None });
    }

    /// Where it lies.
    pub(in crate::tui::shell) fn dir(&self) -> Option<&PathBuf> {
        self.opened.as_ref().map(|opened| &opened.dir)
    }

    /// Looks for a pattern from a line on.
    pub(in crate::tui::shell) fn search(&mut self, pattern: &str, from: u64, back: bool) -> Option<Message> {
        let opened = self.opened.as_mut()?;
        // Small letters find capital ones too; a capital letter means itself.
        let small = !pattern.chars().any(char::is_uppercase);
        match regex::RegexBuilder::new(pattern).case_insensitive(small).size_limit(1 << 20).build() {
            Ok(pattern) => {
                opened.looking = Some(Looking { pattern, from, back, began: from });
                None
            }
            Err(why) => {
                let why = why.to_string();
                let last = why.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
                Some(Message::Found(Search::Wrong(last)))
            }
        }
    }

    /// There is more to count or to search: do not wait.
    pub(in crate::tui::shell) fn busy(&self) -> bool {
        self.opened.as_ref().is_some_and(|opened| opened.looking.is_some() || !matches!(opened.told, Some((_, true))))
    }

    /// It may have grown.
    pub(in crate::tui::shell) fn grew(&mut self) {
        if let Some(opened) = &mut self.opened
            && let Some((_, all)) = &mut opened.told
        {
            *all = false;
        }
    }

    /// One step of counting and searching; what became known.
    pub(in crate::tui::shell) fn step(&mut self) -> Vec<Message> {
        let Some(opened) = &mut self.opened else {
            return Vec::new();
        };
        let mut messages = Vec::new();
        if !matches!(opened.told, Some((_, true))) {
            let history = opened.history.get_mut();
            match history.step(BUDGET) {
                Ok(all) => {
                    let known = (history.count(), all);
                    if opened.told != Some(known) {
                        opened.told = Some(known);
                        messages.push(Message::Log(LogNews::Lines { count: known.0, all }));
                    }
                }
                Err(why) => {
                    opened.told = Some((0, true));
                    messages.push(Message::Log(LogNews::Refused(Refused { words: why.to_string(), hint: None })));
                }
            }
        }
        messages.extend(opened.look());
        messages
    }

    /// Lines as they are drawn.
    pub(in crate::tui::shell) fn lines(&self, first: u64, count: usize) -> Vec<Row<'static>> {
        let Some(opened) = &self.opened else {
            return Vec::new();
        };
        // What cannot be read any more is not drawn; opening it anew says why.
        let lines = opened.history.borrow_mut().lines(first, count).unwrap_or_default();
        let span = |(text, style): (String, Style)| Span::styled(text, style);
        lines.into_iter().map(|line| Row::from(line.pieces.into_iter().map(span).collect::<Vec<_>>())).collect()
    }

    /// A line's text.
    pub(in crate::tui::shell) fn text(&self, line: u64) -> Option<String> {
        let opened = self.opened.as_ref()?;
        let lines = opened.history.borrow_mut().lines(line, 1).ok()?;
        lines.first().map(crate::screen::Line::text)
    }
}

impl Opened {
    fn look(&mut self) -> Option<Message> {
        let looking = self.looking.as_mut()?;
        let direction = if looking.back { Direction::Backward } else { Direction::Forward };
        let search = match self.history.get_mut().search(&looking.pattern, looking.from, direction, BUDGET) {
            Ok(Searched::Found { line, .. }) => Search::At(line),
            Ok(Searched::More { from }) => {
                looking.from = from;
                return Some(Message::Found(Search::Going(looking.began.abs_diff(from))));
            }
            Ok(Searched::No) => Search::Nowhere,
            Err(why) => Search::Wrong(why.to_string()),
        };
        self.looking = None;
        Some(Message::Found(search))
    }
}
