//! Where rules and marks were seen. Keeps a few places for each, however often it comes.

use std::collections::VecDeque;

/// Lines of work after which what was seen before them belongs to another episode.
pub(super) const EPISODE: u64 = 3;

/// The longest text that is kept of a line, in characters.
const LONGEST: usize = 400;

/// One line that a rule matched.
#[derive(Debug, Clone)]
pub(super) struct Sighting {
    pub(super) number: u64,
    pub(super) text: String,
    /// It begins with "Caused by": what a Java program names last is what came first.
    pub(super) caused: bool,
}

/// The sightings of one rule in one tone.
#[derive(Debug)]
pub(super) struct Seen {
    /// The first of all.
    pub(super) first: Sighting,
    /// The first of the newest episode, where that is another one.
    pub(super) newest: Option<Sighting>,
    /// Lines of work before the last sighting.
    pub(super) work: u64,
    pub(super) last: u64,
    pub(super) count: u64,
}

impl Seen {
    fn new(sighting: Sighting, work: u64) -> Self {
        Self { last: sighting.number, first: sighting, newest: None, work, count: 1 }
    }

    /// Folds one more sighting in; its text is asked for only where it is kept.
    fn add(&mut self, number: u64, work: u64, caused: bool, text: &str) {
        if work >= self.work + EPISODE || caused {
            self.newest = Some(sighting(number, caused, text));
        }
        self.work = work;
        self.last = number;
        self.count += 1;
    }

    /// The first of its newest episode.
    pub(super) fn begins(&self) -> &Sighting {
        self.newest.as_ref().unwrap_or(&self.first)
    }
}

fn sighting(number: u64, caused: bool, text: &str) -> Sighting {
    let text = text.trim();
    let cut = text.char_indices().nth(LONGEST).map_or(text.len(), |(at, _)| at);
    let end = if cut < text.len() { "…" } else { "" };
    Sighting { number, text: format!("{}{end}", &text[..cut]), caused }
}

/// Folds one sighting into a place.
pub(super) fn note(place: &mut Option<Seen>, (number, work): (u64, u64), text: &str, caused: bool) {
    match place {
        Some(seen) => seen.add(number, work, caused, text),
        None => *place = Some(Seen::new(sighting(number, caused, text), work)),
    }
}

/// Where a pattern was seen that rules ask for nearby: the first and the last places.
#[derive(Debug, Default)]
pub(super) struct Mark {
    first: Vec<u64>,
    last: VecDeque<u64>,
}

impl Mark {
    const FIRST: usize = 32;
    const LAST: usize = 96;

    pub(super) fn note(&mut self, number: u64) {
        if self.first.len() < Self::FIRST {
            self.first.push(number);
            return;
        }
        if self.last.len() == Self::LAST {
            self.last.pop_front();
        }
        self.last.push_back(number);
    }

    /// Whether it was seen at most so many lines away.
    pub(super) fn is_near(&self, number: u64, within: u64) -> bool {
        self.first.iter().chain(&self.last).any(|place| place.abs_diff(number) <= within)
    }
}
