//! What people read: rows of words, cut to a width, coloured where that is wanted. Pure: everything that it depends on is
//! given. Nothing that came from a step or a name reaches a terminal unless it went through [`Row`].

pub mod diagnosis;
pub mod events;
pub mod json;
pub mod kept;
pub mod lists;
pub mod live;
pub mod notices;
pub mod plan;
pub mod question;
pub mod run;

use unicode_width::UnicodeWidthChar;

use crate::gauge::plain;
use crate::wire::client::{RunState, StepState};

/// How things are to look.
#[derive(Debug, Clone)]
pub struct Look {
    /// Columns; [`Look::ENDLESS`] off a terminal.
    pub width: usize,
    pub color: bool,
    /// For times of day.
    pub zone: jiff::tz::TimeZone,
}

impl Look {
    /// Nothing is cut.
    pub const ENDLESS: usize = usize::MAX;
}

/// What a part of a row means. Never the only sign of it: shape and word say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    Bold,
    Dim,
    Active,
    Good,
    Bad,
    Asking,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Active => "36",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Asking => "1;33",
        }
    }

    /// Of a lane.
    pub fn of_step(state: StepState) -> Self {
        match state {
            StepState::Waiting | StepState::Skipped => Self::Dim,
            StepState::Starting
            | StepState::Running
            | StepState::Ready
            | StepState::Probing
            | StepState::Verifying
            | StepState::Stopping
            | StepState::Retrying => Self::Active,
            StepState::Asking | StepState::Unknown | StepState::Gate | StepState::Unreachable => Self::Asking,
            StepState::Succeeded => Self::Good,
            StepState::Failed | StepState::Stopped => Self::Bad,
        }
    }

    /// Of a run.
    pub fn of_run(state: RunState) -> Self {
        match state {
            RunState::Running | RunState::Stopping => Self::Active,
            RunState::Waiting | RunState::Paused => Self::Asking,
            RunState::Succeeded => Self::Good,
            RunState::Failed | RunState::Stopped | RunState::Rejected => Self::Bad,
        }
    }
}

/// One line: parts of text, each with its meaning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    parts: Vec<(Style, String)>,
    /// Never cut: a command that somebody is to type.
    uncut: bool,
}

/// The shape of a run's state.
pub fn run_shape(state: RunState) -> &'static str {
    match state {
        RunState::Running => "●",
        RunState::Waiting => "▲",
        RunState::Paused => "‖",
        RunState::Stopping | RunState::Stopped => "■",
        RunState::Succeeded => "✓",
        RunState::Failed | RunState::Rejected => "×",
    }
}

impl Row {
    /// An empty row.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds text; whatever could control a terminal is taken out of it.
    #[must_use]
    pub fn add(mut self, style: Style, text: &str) -> Self {
        let safe = if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            text.to_owned()
        } else {
            let words = text.trim_end_matches(' ');
            let spaces = text.len() - words.len();
            plain::line(words.as_bytes()).replace('\t', " ") + &" ".repeat(spaces)
        };
        if !safe.is_empty() {
            self.parts.push((style, safe));
        }
        self
    }

    /// Adds text without a meaning of its own.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.add(Style::Plain, text)
    }

    /// Spaces.
    #[must_use]
    pub fn space(mut self, count: usize) -> Self {
        self.parts.push((Style::Plain, " ".repeat(count)));
        self
    }

    /// Spaces up to this column; at least one where the row is longer already.
    #[must_use]
    pub fn to(self, column: usize) -> Self {
        let count = column.saturating_sub(self.width()).max(1);
        self.space(count)
    }

    /// Adds text that is cut or filled to exactly this many columns.
    #[must_use]
    pub fn field(self, style: Style, text: &str, columns: usize) -> Self {
        let start = self.width();
        let probe = Self::new().add(style, text);
        let cut = cut(&probe.plain(), columns);
        let row = self.add(style, &cut);
        let missing = (start + columns).saturating_sub(row.width());
        row.space(missing)
    }

    /// This row is not cut: it holds a command that somebody is to type, and the terminal folds it.
    #[must_use]
    pub fn uncut(mut self) -> Self {
        self.uncut = true;
        self
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.parts.iter().map(|(_, text)| width(text)).sum()
    }

    /// Without colour, uncut.
    pub fn plain(&self) -> String {
        self.parts.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// As it is written to a terminal or a file.
    pub fn show(&self, look: &Look) -> String {
        let mut left = look.width;
        let mut shown = String::new();
        let whole = self.uncut || self.width() <= left;
        for (style, text) in &self.parts {
            let text = if whole { text.clone() } else { cut_part(text, &mut left) };
            paint(&mut shown, *style, &text, look.color);
            if !whole && left == 0 {
                break;
            }
        }
        shown.trim_end_matches(' ').to_owned()
    }
}

fn paint(shown: &mut String, style: Style, text: &str, color: bool) {
    if color && style != Style::Plain && !text.trim().is_empty() {
        shown.push_str("\x1b[");
        shown.push_str(style.code());
        shown.push('m');
        shown.push_str(text);
        shown.push_str("\x1b[0m");
    } else {
        shown.push_str(text);
    }
}

/// Of a row that is too long: as much of this part as still fits, with the sign that something is missing at its end.
fn cut_part(text: &str, left: &mut usize) -> String {
    let here = width(text);
    // One column is kept for the sign: the row as a whole does not fit.
    if here < *left {
        *left -= here;
        return text.to_owned();
    }
    let fitting = cut_hard(text, left.saturating_sub(1));
    *left = 0;
    format!("{fitting}…")
}

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// The text, with `…` at its end where it does not fit.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    if columns == 0 {
        return String::new();
    }
    format!("{}…", cut_hard(text, columns - 1))
}

fn cut_hard(text: &str, columns: usize) -> String {
    let mut used = 0;
    text.chars()
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= columns
        })
        .collect()
}

/// A text in lines of at most this many columns, broken at spaces where there are any.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(10);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let mut word = word.to_owned();
        if !line.is_empty() && width(&line) + 1 + width(&word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        while width(&word) > columns {
            let head = cut_hard(&word, columns);
            word = word[head.len()..].to_owned();
            lines.push(head);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// Rows, each on its line.
pub fn page(rows: &[Row], look: &Look) -> String {
    rows.iter().map(|row| row.show(look) + "\n").collect()
}
