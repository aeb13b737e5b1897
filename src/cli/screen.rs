//! Where output goes: results to standard output, everything else to standard error. Owns what is known about the
//! terminal; never decides what is said.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::args::{Color, Flags};
use super::exit::Failure;
use super::text::{Look, Row, Style, json, page};

/// The two outputs, and how they are to look.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct Screen {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    yes: bool,
    input: bool,
    /// Standard output is a terminal that can be drawn on.
    motion: bool,
    /// There is a terminal for the operator's screen, and a person at it.
    opens: bool,
    out: Look,
    err: Look,
}

/// What the surroundings say about colour and motion.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings {
    pub(crate) terminal: bool,
    pub(crate) dumb: bool,
    pub(crate) no_color: bool,
}

/// Whether there is colour, and whether things may move.
pub(crate) fn color_and_motion(wanted: Color, around: Surroundings) -> (bool, bool) {
    let calm = !around.terminal || around.dumb || around.no_color;
    match wanted {
        Color::Always => (true, around.terminal && !around.dumb),
        Color::Never => (false, around.terminal && !around.dumb && !around.no_color),
        Color::Auto => (!calm, !calm),
    }
}

impl Screen {
    /// Of this process.
    pub(crate) fn new(flags: &Flags) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let around = |terminal| Surroundings { terminal, dumb, no_color: set("NO_COLOR") };
        let (out_color, motion) = color_and_motion(flags.color, around(io::stdout().is_terminal()));
        let (err_color, _) = color_and_motion(flags.color, around(io::stderr().is_terminal()));
        let zone = jiff::tz::TimeZone::system();
        Self {
            json: flags.json,
            quiet: flags.quiet,
            verbose: flags.verbose,
            yes: flags.yes,
            input: !flags.no_input && !flags.json && io::stdin().is_terminal(),
            motion: motion && !flags.json && !flags.quiet,
            opens: io::stdin().is_terminal()
                && io::stdout().is_terminal()
                && !dumb
                && !(flags.json || flags.quiet || flags.no_input),
            out: Look { width: columns(io::stdout().is_terminal()), color: out_color, zone: zone.clone() },
            err: Look { width: Look::ENDLESS, color: err_color, zone },
        }
    }

    /// How results look; the width is looked up anew, for a window changes.
    pub(crate) fn look(&self) -> Look {
        Look { width: columns(io::stdout().is_terminal()), ..self.out.clone() }
    }

    /// Rows of the terminal.
    pub(crate) fn height() -> usize {
        rustix::termios::tcgetwinsize(io::stdout())
            .ok()
            .map(|size| usize::from(size.ws_row))
            .filter(|rows| *rows > 0)
            .unwrap_or(24)
    }

    /// May things be drawn anew in place?
    pub(crate) fn motion(&self) -> bool {
        self.motion
    }

    /// Can the operator's screen be opened here?
    pub(crate) fn can_open(&self) -> bool {
        self.opens
    }

    /// Are there to be colours?
    pub(crate) fn color(&self) -> bool {
        self.out.color
    }

    /// Is there a person who can be asked?
    pub(crate) fn can_ask(&self) -> bool {
        self.input
    }

    /// Are simple questions to be taken as answered with yes?
    pub(crate) fn yes(&self) -> bool {
        self.yes
    }

    /// Results for people.
    pub(crate) fn rows(&self, rows: &[Row]) -> Result<(), Failure> {
        self.write(&page(rows, &self.look()))
    }

    /// A result as a JSON line.
    pub(crate) fn json_line(&self, kind: &str, value: &impl Serialize) -> Result<(), Failure> {
        self.write(&(json::line(kind, value) + "\n"))
    }

    /// Text as it is: whoever calls has made it safe.
    pub(crate) fn write(&self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes())
    }

    /// Bytes as they are.
    #[expect(clippy::unused_self, reason = "standard output belongs to the screen")]
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()?;
        Ok(())
    }

    /// A result that is one sentence.
    pub(crate) fn done(&self, words: &str) -> Result<(), Failure> {
        if self.json {
            return self.json_line("done", &serde_json::json!({ "words": words }));
        }
        if self.quiet {
            return Ok(());
        }
        self.rows(&[Row::new().text(words)])
    }

    /// Said beside the result. A standard error that cannot be written to has nobody to be told to.
    pub(crate) fn note(&self, words: &str) {
        if !self.quiet {
            for line in words.lines() {
                self.say(&Row::new().add(Style::Dim, line));
            }
        }
    }

    /// As [`Screen::note`], with `-v` only.
    pub(crate) fn detail(&self, words: &str) {
        if self.verbose {
            self.say(&Row::new().add(Style::Dim, words));
        }
    }

    /// A row on standard error.
    pub(crate) fn say(&self, row: &Row) {
        let _ = writeln!(io::stderr(), "{}", row.show(&self.err));
    }

    /// What went wrong, why, and what to do.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.json {
            let value = serde_json::json!({
                "exit": failure.exit as u8,
                "words": failure.words,
                "hint": failure.hint,
            });
            let _ = writeln!(io::stderr(), "{}", json::line("error", &value));
            return;
        }
        let mut lines = failure.words.lines();
        if !failure.whole {
            let first = lines.next().unwrap_or_default();
            self.say(&Row::new().add(Style::Bad, "error: ").text(first));
        }
        for line in lines {
            self.say(&Row::new().text(line));
        }
        for hint in failure.hint.iter().flat_map(|hint| hint.lines()) {
            self.say(&Row::new().add(Style::Dim, "  → ").text(hint));
        }
    }
}

fn columns(terminal: bool) -> usize {
    if !terminal {
        return Look::ENDLESS;
    }
    rustix::termios::tcgetwinsize(io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0)
        .unwrap_or(80)
}
