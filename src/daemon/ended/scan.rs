//! One pass over the log of an attempt that ended: matches of the step's patterns, checkpoints, the reason of a bad end. Reads
//! in pieces, holds no line that is longer than it needs. Decides nothing.

use std::collections::VecDeque;

use regex::Regex;

use super::Context;
use crate::attempt::{self, log::Log, log::Piece};
use crate::gauge::plain;
use crate::judge::Judge;
use crate::model::{Checkpoint, Hit, Outside};

/// A line is cut here before it is kept or matched.
const LONGEST_LINE: usize = 4096;
/// Lines before and after a match that are kept with it.
const AROUND: usize = 2;
/// What NVIDIA's library says in a container whose devices were taken away, and nowhere else: nvidia-docker#1730.
const GPUS_LOST: &str = "Failed to initialize NVML: Unknown Error";
/// What programs say whose container has too little shared memory; the first with each of its words.
const SHM_FULL: [&[&str]; 3] =
    [&["insufficient shared memory"], &["out of shared memory"], &["/dev/shm", "No space left"]];
/// Bytes read at once.
const CHUNK: usize = 256 * 1024;
/// What a program says of a checkpoint besides, at most.
const METRICS: usize = 8;

/// One pass over a log, line by line.
pub(super) struct Scan<'a> {
    context: &'a Context,
    /// Patterns that have not matched yet, by the place of their rule.
    rules: Vec<(usize, Regex)>,
    checkpoint: Option<Regex>,
    /// Judges what stands in it.
    pub(super) judge: Option<Judge>,
    /// It failed in a container, which may be why.
    contained: bool,
    pub(super) outside: Option<Outside>,
    pub(super) hits: Vec<Hit>,
    pub(super) sightings: Vec<Checkpoint>,
    line_number: u64,
    /// The last lines before this one.
    last: VecDeque<String>,
}

impl<'a> Scan<'a> {
    pub(super) fn new(context: &'a Context, step: &crate::model::Step, good: bool) -> Self {
        let rules = step.on_failure.iter().enumerate().filter(|_| !good);
        let rules = rules.filter_map(|(place, rule)| Some((place, Regex::new(rule.matcher.output.as_deref()?).ok()?)));
        let checkpoint = step.checkpoint.as_ref().and_then(|spec| Regex::new(&spec.pattern).ok());
        Self {
            context,
            rules: rules.collect(),
            checkpoint,
            judge: None,
            contained: !good && context.workflow.environment_of(&context.step).container.is_some(),
            outside: None,
            hits: Vec::new(),
            sightings: Vec::new(),
            line_number: 0,
            last: VecDeque::new(),
        }
    }

    pub(super) fn has_work(&self) -> bool {
        !self.rules.is_empty() || self.checkpoint.is_some() || self.judge.is_some() || self.contained
    }

    pub(super) fn all(&mut self, log: &mut Log) -> Result<(), attempt::Error> {
        let (mut offset, mut rest) = (0, Vec::new());
        let mut cut = false;
        while let Some(piece) = log.read(offset, CHUNK)? {
            offset = piece.next_offset();
            match piece {
                Piece::Bytes { bytes, .. } => {
                    if let Some(judge) = &mut self.judge {
                        judge.bytes(&bytes);
                    }
                    rest.extend_from_slice(&bytes);
                    let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                    for line in rest[..whole].split_inclusive(|byte| *byte == b'\n') {
                        self.line(line, std::mem::take(&mut cut));
                    }
                    rest.drain(..whole);
                    // A line without an end must not fill the memory.
                    if rest.len() > 2 * CHUNK {
                        rest.truncate(LONGEST_LINE);
                    }
                }
                Piece::Gap { .. } => {
                    rest.clear();
                    cut = true;
                    // What stands before it and what comes after are not one line.
                    if let Some(judge) = &mut self.judge {
                        judge.bytes(b"\n");
                    }
                }
            }
        }
        if !rest.is_empty() {
            self.line(&rest, cut);
        }
        Ok(())
    }

    /// One line; of one that is `cut` the beginning is missing, and what it seems to have saved may be another thing.
    fn line(&mut self, bytes: &[u8], cut: bool) {
        self.line_number += 1;
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let line = plain::line(&bytes[..bytes.len().min(LONGEST_LINE)]);
        let number = self.line_number;
        let short = || line.chars().take(400).collect::<String>();
        let near = AROUND as u64;
        for hit in self.hits.iter_mut().filter(|hit| number <= hit.line_number + near) {
            hit.after.push(short());
        }
        if self.contained && self.outside.is_none() {
            self.outside = said_of_its_container(&line);
        }
        let (hits, last) = (&mut self.hits, &self.last);
        self.rules.retain(|(rule, pattern)| {
            let hit = pattern.is_match(&line);
            if hit {
                let before = last.iter().cloned().collect();
                hits.push(Hit { rule: *rule, line_number: number, line: short(), before, after: Vec::new() });
            }
            !hit
        });
        let checkpoint = self.checkpoint.as_ref().filter(|_| !cut);
        if let Some(found) = checkpoint.and_then(|pattern| sighting(pattern, &line, self.context)) {
            self.sightings.push(found);
        }
        // Only patterns of rules are shown with what stands round them.
        if !self.rules.is_empty() {
            if self.last.len() == AROUND {
                self.last.pop_front();
            }
            self.last.push_back(line.chars().take(400).collect());
        }
    }
}

/// What a line says of the container that it was written in.
fn said_of_its_container(line: &str) -> Option<Outside> {
    if line.contains(GPUS_LOST) {
        return Some(Outside::GpusLost);
    }
    let full = SHM_FULL.iter().any(|words| words.iter().all(|word| line.contains(word)));
    full.then_some(Outside::SharedMemoryFull)
}

/// The checkpoint that a line tells of.
pub(in crate::daemon) fn sighting(pattern: &Regex, line: &str, context: &Context) -> Option<Checkpoint> {
    let found = pattern.captures(line)?;
    let path = context.absolute(found.name("path")?.as_str());
    let others = pattern.capture_names().flatten().filter(|name| !["path", "step"].contains(name)).take(METRICS);
    let metric = |name: &str| Some((name.to_owned(), found.name(name)?.as_str().chars().take(40).collect()));
    let metrics = others.filter_map(metric).collect();
    Some(Checkpoint { path, step: found.name("step").and_then(|step| step.as_str().parse().ok()), metrics })
}

/// The last lines of a log, as they are shown.
pub(super) fn tail_of(log: &mut Log, lines: usize) -> Result<Vec<String>, attempt::Error> {
    let offset = log.tail_offset(lines)?;
    let bytes = log.read_all(offset, 64 * 1024)?;
    Ok(plain::lines(&bytes).map(|line| line.chars().take(400).collect()).collect())
}
