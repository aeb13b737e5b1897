//! What is wrong with a workflow file, told with place, source line and hint.
//!
//! Owns how a problem looks. Never shows a control character of the file as it is: a file is not trusted to be text.

use std::fmt::{self, Write as _};
use std::ops::Range;

/// How many problems of one file are shown.
pub const MOST: usize = 20;

/// How many are kept.
const KEPT: usize = 200;

/// The widest piece of a source line that is shown, in characters.
const WIDEST: usize = 96;

/// Whether a problem keeps the workflow from running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Where a problem is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the file: line and column count from 1, the column in characters.
    Source { line: usize, column: usize, bytes: Range<usize> },
    /// What was given with `-p`.
    Argument(String),
    /// The file as a whole: it could not be read.
    File,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    pub message: String,
    pub place: Place,
    pub hint: Option<String>,
}

/// The problems of one file, in the file's order. [`fmt::Display`] shows them all, each with its source line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.shown())]
pub struct Problems {
    /// As it was named.
    pub file: String,
    /// The first 200.
    pub list: Vec<Problem>,
    /// How many there are beyond these.
    pub more: usize,
    text: String,
}

impl Problems {
    /// One problem of the file as a whole.
    pub(super) fn of_file(file: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let problem =
            Problem { severity: Severity::Error, message: message.into(), place: Place::File, hint: Some(hint.into()) };
        Self { file: file.into(), list: vec![problem], more: 0, text: String::new() }
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// One problem as it is shown to people.
    pub fn show(&self, problem: &Problem) -> String {
        let mut shown = format!("{}: {}\n", problem.severity, plain(&problem.message));
        let margin = match &problem.place {
            Place::Source { line, column, bytes } => {
                let margin = line.to_string().len();
                let file = plain(&self.file);
                let _ = writeln!(shown, "{:margin$}--> {file}:{line}:{column}", "");
                shown.push_str(&excerpt(&self.text, *line, bytes));
                margin
            }
            Place::Argument(argument) => {
                let _ = writeln!(shown, " --> -p {}", plain(argument));
                1
            }
            Place::File => {
                let _ = writeln!(shown, " --> {}", plain(&self.file));
                1
            }
        };
        if let Some(hint) = &problem.hint {
            let _ = writeln!(shown, "{:margin$} = hint: {}", "", plain(hint));
        }
        shown
    }

    fn shown(&self) -> String {
        let mut blocks: Vec<String> = self.list.iter().take(MOST).map(|problem| self.show(problem)).collect();
        let more = self.list.len() + self.more - blocks.len();
        if more > 0 {
            blocks.push(format!("… and {more} more\n"));
        }
        blocks.join("\n").trim_end().to_owned()
    }
}

/// The source line of a place with carets under it.
fn excerpt(source: &str, line: usize, bytes: &Range<usize>) -> String {
    let start = source[..bytes.start].rfind('\n').map_or(0, |n| n + 1);
    let end = source[bytes.start..].find('\n').map_or(source.len(), |n| bytes.start + n);
    let text = source[start..end].trim_end_matches('\r');
    // A place can be the line's end, and can go on to further lines: only this one is shown.
    let first = bytes.start.min(start + text.len());
    let last = bytes.end.clamp(first, start + text.len());
    let from = source[start..first].chars().count();
    let length = source[first..last].chars().count().max(1);
    let (first, last) = window(text.chars().count(), from);
    let mut shown = String::new();
    let mut carets = String::new();
    if first > 0 {
        shown.push('…');
        carets.push(' ');
    }
    for (i, c) in text.chars().enumerate().take(last).skip(first) {
        let piece = visible(c);
        let mark = if (from..from + length).contains(&i) { "^" } else { " " };
        carets.push_str(&mark.repeat(piece.chars().count()));
        shown.push_str(&piece);
    }
    if last < text.chars().count() {
        shown.push('…');
    }
    if !carets.contains('^') {
        carets.push('^');
    }
    let margin = line.to_string().len();
    format!("{:margin$} |\n{line} | {shown}\n{:margin$} | {}\n", "", "", carets.trim_end())
}

/// Which characters of a line are shown so that the place is among them.
fn window(length: usize, place: usize) -> (usize, usize) {
    if length <= WIDEST {
        return (0, length);
    }
    let first = place.saturating_sub(WIDEST / 3).min(length - WIDEST);
    (first, first + WIDEST)
}

/// A character of the file as it may be written to a terminal.
fn visible(c: char) -> String {
    match c {
        '\t' => "    ".into(),
        c if is_unsafe(c) => c.escape_unicode().to_string(),
        c => c.into(),
    }
}

/// Control characters, and those that change the direction or the shape of what follows.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A text with what is unsafe escaped.
fn plain(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) { c.escape_unicode().to_string() } else { c.into() }).collect()
}

/// Collects what is found while a file is read.
#[derive(Debug, Default)]
pub(super) struct Found {
    list: Vec<(Severity, String, Where, Option<String>)>,
}

#[derive(Debug, PartialEq)]
enum Where {
    Bytes(Range<usize>),
    Argument(String),
}

/// A problem that was just noted: a hint can be added.
pub(super) struct Noted<'a>(&'a mut Option<String>);

impl Noted<'_> {
    pub(super) fn hint(self, hint: impl Into<String>) {
        *self.0 = Some(hint.into());
    }

    pub(super) fn hint_if(self, hint: Option<String>) {
        *self.0 = hint;
    }
}

impl Found {
    pub(super) fn error(&mut self, at: &Range<usize>, message: impl Into<String>) -> Noted<'_> {
        self.note(Severity::Error, message.into(), Where::Bytes(at.clone()))
    }

    pub(super) fn warning(&mut self, at: &Range<usize>, message: impl Into<String>) -> Noted<'_> {
        self.note(Severity::Warning, message.into(), Where::Bytes(at.clone()))
    }

    pub(super) fn argument(&mut self, argument: String, message: impl Into<String>) -> Noted<'_> {
        self.note(Severity::Error, message.into(), Where::Argument(argument))
    }

    fn note(&mut self, severity: Severity, message: String, place: Where) -> Noted<'_> {
        self.list.push((severity, message, place, None));
        Noted(&mut self.list.last_mut().expect("it was pushed on the line before").3)
    }

    /// Whether there are so many problems that hints, which take time, help nobody.
    pub(super) fn is_crowded(&self) -> bool {
        self.list.len() > 1000
    }

    pub(super) fn has_errors(&self) -> bool {
        self.list.iter().any(|(severity, ..)| *severity == Severity::Error)
    }

    /// The errors, or the warnings when there is no error; sorted by place, the same thing told once.
    pub(super) fn into_problems(self, file: &str, source: &str) -> Problems {
        let wanted = if self.has_errors() { Severity::Error } else { Severity::Warning };
        let mut found = self.list;
        found.retain(|(severity, ..)| *severity == wanted);
        found.sort_by_key(|(_, _, place, _)| match place {
            Where::Bytes(bytes) => (1, bytes.start),
            Where::Argument(_) => (0, 0),
        });
        found.dedup();
        let more = found.len().saturating_sub(KEPT);
        found.truncate(KEPT);
        let list = found
            .into_iter()
            .map(|(severity, message, place, hint)| {
                let place = match place {
                    Where::Bytes(bytes) => located(source, bytes),
                    Where::Argument(argument) => Place::Argument(argument),
                };
                Problem { severity, message, place, hint }
            })
            .collect();
        Problems { file: file.into(), list, more, text: source.into() }
    }
}

/// Line and column of a place; one that is outside of the file or inside a character is moved into it.
fn located(source: &str, bytes: Range<usize>) -> Place {
    let inside = |mut n: usize| {
        n = n.min(source.len());
        while !source.is_char_boundary(n) {
            n -= 1;
        }
        n
    };
    let start = inside(bytes.start);
    let end = inside(bytes.end.max(bytes.start)).max(start);
    let before = &source[..start];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    Place::Source { line, column, bytes: start..end }
}
