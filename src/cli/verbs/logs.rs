//! `logs`: what a step has printed, as plain text that cannot control the terminal; the bytes themselves only when asked.

use std::collections::VecDeque;
use std::path::Path;

use regex::Regex;

use super::Ended;
use crate::attempt::Error as AttemptError;
use crate::attempt::log::{Log, Piece, gap_line, read_stamps};
use crate::attempt::open_run_dir;
use crate::cli::Face;
use crate::cli::args::Logs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::screen::Screen;
use crate::cli::signals::Signals;
use crate::cli::text::{cut, lists};
use crate::client::{Link, Wake};
use crate::clock::{boottime_ms, wall_ms};
use crate::faces::words;
use crate::gauge::plain;
use crate::wire::client::{Ask, LogPlace, Reply, StepView};

/// Bytes read at once.
const BLOCK: usize = 256 * 1024;
/// A line that is longer is shown in pieces.
const LONGEST_LINE: usize = 1024 * 1024;
/// How often a log that is followed is looked at.
const BEAT_MS: i64 = 200;

impl From<AttemptError> for Failure {
    fn from(error: AttemptError) -> Self {
        Self::new(Exit::Failed, error.to_string())
    }
}

/// `logs`.
pub(super) fn logs(face: &Face, args: &Logs) -> Ended {
    let pattern = args.grep.as_deref().map(Regex::new).transpose().map_err(|why| {
        Failure::usage(
            format!("--grep: {why}"),
            "it takes a regular expression; a dot or a bracket that is meant as such is written \\.",
        )
    })?;
    let (client, reply) = face.first_look(&log_ask(args, args.attempt))?;
    let place = place(reply)?;
    let mut reader = Reader::open(face, args, pattern, &place)?;
    reader.begin(args)?;
    if args.follow {
        let screen = face.screen.clone();
        let link = Link::new(face.place()?, client, move |words| screen.note(words))?;
        return follow(face, args, link, reader);
    }
    reader.copy()?;
    reader.finish()?;
    if reader.offset == 0 && reader.log.is_none() {
        face.screen.note(&format!("{} has not started yet", place.step));
    }
    Ok(Exit::Good)
}

fn log_ask(args: &Logs, attempt: Option<u32>) -> Ask {
    Ask::Log { run: args.run.clone(), step: args.step.clone(), attempt }
}

fn place(reply: Reply) -> Result<LogPlace, Failure> {
    let Reply::Log(place) = reply else {
        return Err(Failure::unexpected("logs"));
    };
    Ok(place)
}

/// Goes on with what comes, over attempts, until the step is over or the client leaves.
fn follow(face: &Face, args: &Logs, mut link: Link, mut reader: Reader<'_>) -> Ended {
    let Reply::Run(view) = link.ask(&Ask::Status { run: args.run.clone() })? else {
        return Err(Failure::unexpected("status"));
    };
    let run = view.line.id.as_str();
    let leave = Signals::leave()?;
    loop {
        // Asked before reading: what is written after the end was seen would be missed otherwise.
        let now = place(link.ask(&log_ask(args, args.attempt))?)?;
        let newer = now.attempt != reader.place.attempt;
        if newer || reader.log.is_none() {
            reader.copy()?;
            if newer {
                reader.finish()?;
                face.screen.note(&format!("{}: attempt {}", now.step, now.attempt));
            }
            reader.turn_to(&now)?;
        }
        reader.copy()?;
        if now.ended && !newer && is_over(face, &mut link, run, &now, args)? {
            reader.finish()?;
            return Ok(Exit::Good);
        }
        reader.show_unfinished()?;
        if !wait(&mut reader, &mut link, &leave)? {
            reader.finish()?;
            face.screen.note("the step goes on");
            return Ok(Exit::Interrupted);
        }
    }
}

/// Copies what comes until the engine has something to tell. `false`: the client is to leave.
fn wait(reader: &mut Reader<'_>, link: &mut Link, leave: &Signals) -> Result<bool, Failure> {
    // Asked anew now and then also without a change.
    for _ in 0..50 {
        match link.wait(&[leave.fd()], boottime_ms() + BEAT_MS)? {
            Wake::Other(_) => return Ok(false),
            Wake::Changed(_) => return Ok(true),
            Wake::TimedOut => {
                reader.copy()?;
                reader.show_unfinished()?;
            }
        }
    }
    Ok(true)
}

/// Whether no further output is to be expected: the attempt asked for has ended, or the lane does nothing any more.
fn is_over(face: &Face, link: &mut Link, run: &str, place: &LogPlace, args: &Logs) -> Result<bool, Failure> {
    if args.attempt.is_some() {
        return Ok(true);
    }
    let Reply::Run(view) = link.ask(&Ask::Status { run: run.into() })? else {
        return Err(Failure::unexpected("status"));
    };
    let lane = view.steps.iter().find(|step| step.is_named(&place.step));
    let over = view.line.state.ended() || lane.is_none_or(|lane| !will_go_on(lane));
    if over && let Some(lane) = lane {
        let took = words::took(lane, view.now_ms).map_or(String::new(), words::span);
        face.screen.note(&format!("{} {} after {took}", place.step, lane.state.word()));
        if let Some(id) = lane.escalation {
            face.screen.note(&format!("next: dogwatch show e{id}"));
        }
    }
    Ok(over)
}

/// Something is done about the lane without a person.
fn will_go_on(lane: &StepView) -> bool {
    lists::active(lane.state) && lane.escalation.is_none()
}

struct Reader<'a> {
    screen: &'a Screen,
    place: LogPlace,
    pattern: Option<Regex>,
    raw: bool,
    /// `None` before the attempt's directory is there.
    log: Option<Log>,
    offset: u64,
    /// The beginning of a line whose end is not there yet.
    unfinished: Vec<u8>,
    /// A line that is not finished stands on the terminal.
    drawn: bool,
    /// With `--tail` and `--grep`: the newest lines that match, until all were read.
    kept: Option<(usize, VecDeque<String>)>,
}

impl<'a> Reader<'a> {
    fn open(face: &'a Face, args: &Logs, pattern: Option<Regex>, place: &LogPlace) -> Result<Self, Failure> {
        Ok(Self {
            screen: &face.screen,
            log: open(place)?,
            place: place.clone(),
            pattern,
            raw: args.raw,
            offset: 0,
            unfinished: Vec::new(),
            drawn: false,
            kept: None,
        })
    }

    /// Goes to where the output that was asked for begins.
    fn begin(&mut self, args: &Logs) -> Result<(), Failure> {
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        if let Some(since) = args.since {
            let from = wall_ms().saturating_sub(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
            let stamps = read_stamps(open_run_dir(Path::new(&self.place.dir))?)?;
            let later = stamps.partition_point(|stamp| stamp.wall_ms < from);
            // The newest one before: what was printed since then is surely behind it.
            self.offset = later.checked_sub(1).map_or(0, |before| stamps[before].offset);
        }
        if let Some(count) = args.tail {
            if self.pattern.is_some() {
                self.kept = Some((count, VecDeque::new()));
                self.copy()?;
                let kept = self.kept.take().map_or_else(VecDeque::new, |(_, lines)| lines);
                for line in kept {
                    self.write(&line)?;
                }
            } else {
                self.offset = self.offset.max(log.tail_offset(count)?);
            }
        }
        Ok(())
    }

    /// A newer attempt, or one that has its directory now.
    fn turn_to(&mut self, place: &LogPlace) -> Result<(), Failure> {
        if self.place.attempt != place.attempt {
            self.offset = 0;
        }
        self.log = open(place)?;
        self.place = place.clone();
        Ok(())
    }

    /// All that is there now.
    fn copy(&mut self) -> Result<(), Failure> {
        if let Some(log) = &mut self.log {
            log.refresh()?;
        }
        while let Some(piece) = match &mut self.log {
            Some(log) => log.read(self.offset, BLOCK)?,
            None => None,
        } {
            self.offset = piece.next_offset();
            match piece {
                Piece::Bytes { bytes, .. } if self.raw => self.screen.bytes(&bytes)?,
                Piece::Bytes { bytes, .. } => self.take(&bytes)?,
                Piece::Gap { len, .. } => {
                    self.finish()?;
                    self.line(gap_line(len).trim_end().as_bytes())?;
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.unfinished.extend_from_slice(part);
            if part.ends_with(b"\n") || self.unfinished.len() > LONGEST_LINE {
                let line = std::mem::take(&mut self.unfinished);
                self.line(line.strip_suffix(b"\n").unwrap_or(&line))?;
            }
        }
        Ok(())
    }

    fn line(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let line = plain::line(bytes);
        if self.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(&line)) {
            return Ok(());
        }
        if let Some((most, kept)) = &mut self.kept {
            kept.push_back(line);
            if kept.len() > *most {
                kept.pop_front();
            }
            return Ok(());
        }
        self.write(&line)
    }

    fn write(&mut self, line: &str) -> Result<(), Failure> {
        if self.screen.json {
            let value = serde_json::json!({
                "step": self.place.step, "attempt": self.place.attempt, "line": line,
            });
            return self.screen.json_line("log", &value);
        }
        if std::mem::take(&mut self.drawn) {
            self.screen.write("\r\x1b[K")?;
        }
        self.screen.write(&format!("{line}\n"))
    }

    /// A last line without its end.
    fn finish(&mut self) -> Result<(), Failure> {
        let rest = std::mem::take(&mut self.unfinished);
        if rest.is_empty() {
            return Ok(());
        }
        self.line(&rest)
    }

    /// A progress line that is written over and over: as it is now, on a terminal only.
    fn show_unfinished(&mut self) -> Result<(), Failure> {
        if self.raw || !self.screen.motion() || self.pattern.is_some() || self.unfinished.is_empty() {
            return Ok(());
        }
        let width = self.screen.look().width.saturating_sub(1);
        let line = plain::line(&self.unfinished).replace('\t', " ");
        self.drawn = true;
        self.screen.write(&format!("\r{}\x1b[K", cut(&line, width)))
    }
}

fn open(place: &LogPlace) -> Result<Option<Log>, Failure> {
    let path = Path::new(&place.dir);
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(Log::open(open_run_dir(path)?)?))
}
