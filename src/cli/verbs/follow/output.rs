//! The last line that each running lane has printed, read from its log. What cannot be read is shown as nothing: the
//! summary is a view, `dogwatch logs` says why.

use std::collections::BTreeMap;
use std::path::Path;

use crate::attempt::log::{Log, Piece};
use crate::attempt::{Error as AttemptError, open_run_dir};
use crate::client::{Error, Link};
use crate::gauge::plain;
use crate::wire::client::{Ask, Reply, RunView, StepState, StepView};

/// Lanes that are looked at: more do not fit on a terminal.
const MOST: usize = 50;
/// Bytes of the log's end in which the last line is looked for.
const END: u64 = 4096;

/// Last lines by the lanes' names.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    logs: BTreeMap<String, Reading>,
    lines: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Reading {
    attempt: u32,
    log: Log,
    seen: u64,
}

impl Outputs {
    /// Of the lanes that run now.
    pub(super) fn last_lines(&mut self, link: &mut Link, view: &RunView) -> Result<&BTreeMap<String, String>, Error> {
        let running: Vec<&StepView> = view
            .steps
            .iter()
            .filter(|step| matches!(step.state, StepState::Running | StepState::Ready | StepState::Stopping))
            .take(MOST)
            .collect();
        let keep = |name: &String| running.iter().any(|step| step.is_named(name));
        self.logs.retain(|name, _| keep(name));
        self.lines.retain(|name, _| keep(name));
        for step in running {
            let name = step.name();
            if self.logs.get(&name).is_none_or(|known| known.attempt != step.attempt) {
                self.lines.remove(&name);
                self.open(link, view, step)?;
            }
            if let Some(reading) = self.logs.get_mut(&name)
                && let Ok(Some(line)) = reading.last_line()
            {
                self.lines.insert(name, line);
            }
        }
        Ok(&self.lines)
    }

    fn open(&mut self, link: &mut Link, view: &RunView, step: &StepView) -> Result<(), Error> {
        let ask = Ask::Log { run: view.line.id.clone(), step: step.name(), attempt: Some(step.attempt) };
        let place = match link.ask(&ask) {
            Ok(Reply::Log(place)) => place,
            // The step moved on between two questions.
            Ok(_) | Err(Error::Refused(_)) => return Ok(()),
            Err(other) => return Err(other),
        };
        if let Ok(log) = open_run_dir(Path::new(&place.dir)).and_then(Log::open) {
            let reading = Reading { attempt: step.attempt, log, seen: 0 };
            self.logs.insert(step.name(), reading);
        }
        Ok(())
    }
}

impl Reading {
    /// The newest line with something in it, when there is more than the last time.
    fn last_line(&mut self) -> Result<Option<String>, AttemptError> {
        self.log.refresh()?;
        let end = self.log.end();
        if end == self.seen {
            return Ok(None);
        }
        self.seen = end;
        let mut offset = end.saturating_sub(END);
        let mut bytes = Vec::new();
        while let Some(piece) = self.log.read(offset, 8192)? {
            offset = piece.next_offset();
            if let Piece::Bytes { bytes: more, .. } = piece {
                bytes.extend(more);
            }
        }
        Ok(plain::lines(&bytes).filter(|line| !line.trim().is_empty()).last())
    }
}
