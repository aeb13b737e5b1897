//! How far a step is, by all that it printed so far: which of its bars is the one that counts, epochs with the bar of each,
//! layers of an image, ranks that print all at once. Pure.
//!
//! Bounded: so many updates of a moment are read and no more, then only the newest of them; so many layers and ranks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::LazyLock;

use regex::Regex;

use super::{Parser, Progress, alone, regex};
use crate::gauge::updates::{Updates, text};

/// A moment, in milliseconds, and how many updates of it are read.
const MOMENT: (i64, u32) = (50, 64);
/// So many of the updates that are not read at once are kept for its end.
const KEPT: usize = 8;
/// Layers of an image, ranks of a job.
const MOST: usize = 256;
/// Another bar is within the one that counts, unless that one has not moved for so many sights and so many milliseconds.
const WITHIN: (u32, i64) = (20, 600_000);
/// A rank that is silent while so many others speak counts no more.
const SILENT: u64 = 200;

/// The progress of one attempt.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    parser: Parser,
    updates: Updates,
    /// When the moment began, and how many updates were read in it.
    moment: (i64, u32),
    waiting: VecDeque<Vec<u8>>,
    fed_ms: i64,
    ranks: BTreeMap<u32, Rank>,
    sights: u64,
    layers: BTreeMap<String, f64>,
    /// What the Trainer said that it will do.
    num_epochs: Option<f64>,
}

/// One rank's bars.
#[derive(Debug, Clone, Default)]
struct Rank {
    main: Option<Progress>,
    /// What stands before that bar.
    label: String,
    /// When that moved, and how many sights of others there were since.
    moved: (i64, u32),
    epochs: Option<Epochs>,
    newest: Option<Progress>,
    sight: u64,
}

#[derive(Debug, Clone, Copy)]
struct Epochs {
    /// Which one it is, from zero on.
    now: f64,
    total: f64,
    /// They count from zero.
    from_zero: bool,
    /// Of this one.
    done: f64,
    /// A bar within was seen.
    inner: bool,
}

impl Meter {
    pub fn new(parser: Parser) -> Self {
        Self { parser, ..Self::default() }
    }

    /// Output as it comes, cut anywhere, at a time in milliseconds; gives the progress if it is another one.
    pub fn bytes(&mut self, chunk: &[u8], at_ms: i64) -> Option<Progress> {
        let mut updates = std::mem::take(&mut self.updates);
        let before = self.progress();
        self.settle(at_ms);
        updates.feed(chunk, |update| self.update(update, at_ms));
        self.fed_ms = at_ms;
        self.updates = updates;
        self.progress().filter(|now| Some(*now) != before)
    }

    /// Something was left out: what comes next is not the rest of what has no end yet.
    pub fn cut(&mut self) {
        self.updates = Updates::default();
    }

    /// Reads what was left for later; to be called now and then while nothing comes.
    pub fn settle(&mut self, at_ms: i64) {
        if at_ms.saturating_sub(self.moment.0).unsigned_abs() < MOMENT.0.unsigned_abs() {
            return;
        }
        self.moment = (at_ms, 0);
        for update in std::mem::take(&mut self.waiting) {
            self.read(&update, at_ms);
        }
        // What has no end yet, and nothing was added to it for a moment: a bar that stands there.
        if at_ms.saturating_sub(self.fed_ms) >= MOMENT.0 {
            let updates = std::mem::take(&mut self.updates);
            updates.rest(|update| self.update(update, at_ms));
            self.updates = updates;
        }
    }

    /// How far it is; of several ranks the one that is last.
    pub fn progress(&self) -> Option<Progress> {
        if !self.layers.is_empty() {
            let total = super::units(self.layers.len());
            return Progress::new(self.layers.values().sum::<f64>(), total, None);
        }
        let speaks = |rank: &&Rank| rank.sight + SILENT > self.sights;
        let told = self.ranks.values().filter(speaks).filter_map(|rank| rank.newest);
        told.min_by(|one, other| one.fraction().total_cmp(&other.fraction()))
    }

    fn update(&mut self, update: &[u8], at_ms: i64) {
        if !self.parser.may(update) {
            return;
        }
        if self.moment.1 < MOMENT.1 {
            self.moment.1 += 1;
            self.read(update, at_ms);
            return;
        }
        let mut kept =
            if self.waiting.len() == KEPT { self.waiting.pop_front().unwrap_or_default() } else { Vec::new() };
        kept.clear();
        kept.extend_from_slice(update);
        self.waiting.push_back(kept);
    }

    fn read(&mut self, update: &[u8], at_ms: i64) {
        let text = text(update);
        if let Parser::DockerPull = self.parser {
            return self.layer(&text);
        }
        let (rank, line) = of_rank(&text);
        let line =
            if line.len() > 1024 { line.char_indices().nth(1024).map_or(line, |(end, _)| &line[..end]) } else { line };
        let (epochs, line) = if self.parser.has_epochs() { epochs(line) } else { (None, line) };
        let seen = if let Parser::HfTrainer = self.parser { self.trainer(line) } else { self.parser.line(line) };
        if seen.is_none() && epochs.is_none() {
            return;
        }
        self.sights += 1;
        let sights = self.sights;
        if self.ranks.len() < MOST || self.ranks.contains_key(&rank) {
            let rank = self.ranks.entry(rank).or_default();
            rank.sight = sights;
            rank.see(line, seen, epochs, at_ms);
        }
    }

    /// The bar of the Trainer, or without one what it logs: `{'loss': 0.5, 'epoch': 0.25}` after `Num Epochs = 3`.
    fn trainer(&mut self, line: &str) -> Option<Progress> {
        static ALL: LazyLock<Regex> = LazyLock::new(|| regex(r"Num Epochs = ([\d,]{1,12})"));
        static NOW: LazyLock<Regex> = LazyLock::new(|| regex(r"^\s*\{.*'epoch': '?([\d.]{1,12})'?"));
        if let Some(found) = ALL.captures(line) {
            self.num_epochs = found[1].replace(',', "").parse().ok();
        }
        let logged = || Progress::new(NOW.captures(line)?[1].parse().ok()?, self.num_epochs?, None);
        Parser::HfTrainer.line(line).or_else(logged)
    }

    /// `a1b2c3d4e5f6: Downloading [==>   ]  1.2MB/3.4MB`
    fn layer(&mut self, line: &str) {
        static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
            regex(
                r"^([0-9a-f]{12}): (Pulling fs layer|Waiting|Downloading|Verifying Checksum|Download complete|Extracting|Pull complete|Already exists)(?:.*?([\d.]+)\s?([kMG]?)B/([\d.]+)\s?([kMG]?)B)?",
            )
        });
        let Some(found) = PATTERN.captures(line) else { return };
        let size = |number: usize, unit: usize| {
            super::scaled(&format!("{}{}", found.get(number)?.as_str(), found.get(unit)?.as_str()))
        };
        let part = size(3, 4).zip(size(5, 6)).map_or(0.0, |(done, total)| (done / total.max(1e-9)).clamp(0.0, 1.0));
        let done = match &found[2] {
            "Pull complete" | "Already exists" => 1.0,
            "Extracting" => 0.7 + 0.3 * part,
            "Download complete" | "Verifying Checksum" => 0.7,
            "Downloading" => 0.7 * part,
            _ => 0.0,
        };
        if self.layers.len() < MOST || self.layers.contains_key(&found[1]) {
            let known = self.layers.entry(found[1].to_owned()).or_default();
            *known = known.max(done);
        }
    }
}

impl Rank {
    fn see(&mut self, line: &str, seen: Option<Progress>, told: Option<(f64, f64)>, at_ms: i64) {
        if let Some((now, total)) = told {
            self.epoch(now, total);
        }
        let Some(epochs) = &mut self.epochs else {
            self.newest = seen.and_then(|seen| self.bar(label(line), seen, at_ms)).or(self.newest);
            return;
        };
        if let Some(seen) = seen {
            // A bar of the epochs themselves says how many are over.
            let of_epochs = told.is_none() && label(line).to_ascii_lowercase().contains("epoch");
            if !of_epochs {
                (epochs.inner, epochs.done) = (true, epochs.done.max(seen.fraction()));
            } else if seen.total.total_cmp(&epochs.total).is_eq() && seen.done > epochs.now {
                (epochs.now, epochs.done, epochs.inner) = (seen.done, 0.0, true);
            }
        }
        // Without bars within, an epoch that is told is over, as far as anybody knows.
        let done =
            if epochs.inner { epochs.now + epochs.done } else { epochs.now + f64::from(u8::from(!epochs.from_zero)) };
        self.newest = Progress::new(done.min(epochs.total), epochs.total, None);
    }

    fn epoch(&mut self, told: f64, total: f64) {
        let known = self.epochs.filter(|known| known.total.total_cmp(&total).is_eq());
        let from_zero = told == 0.0 || known.is_some_and(|known| known.from_zero);
        let now = if from_zero { told } else { told - 1.0 };
        if known.is_none_or(|known| known.now.total_cmp(&now).is_ne()) {
            let inner = known.is_some_and(|known| known.inner);
            self.epochs = Some(Epochs { now, total, from_zero, done: 0.0, inner });
        }
    }

    /// A bar of its own, or one within the bar that counts.
    fn bar(&mut self, label: &str, seen: Progress, at_ms: i64) -> Option<Progress> {
        let other = |main: &Progress| main.total.total_cmp(&seen.total).is_ne() || self.label != label;
        if let Some(main) = self.main.filter(|main| other(main) && main.fraction() < 1.0) {
            let (since, others) = self.moved;
            self.moved.1 = others.saturating_add(1);
            let left_alone = others >= WITHIN.0 && at_ms.saturating_sub(since) >= WITHIN.1;
            if !left_alone {
                return Some(main);
            }
        }
        (self.main, self.moved) = (Some(seen), (at_ms, 0));
        if self.label != label {
            label.clone_into(&mut self.label);
        }
        self.main
    }
}

/// What stands before a bar: what it is of. Lines without a bar are all of the same.
fn label(line: &str) -> &str {
    if !line.contains(['|', '━', '╸', '█']) {
        return "";
    }
    let end = line.find(|c: char| c.is_ascii_digit() || matches!(c, '[' | '|' | '━' | '╸' | '█' | '#')).unwrap_or(0);
    line[..end].trim()
}

/// The rank that a line is of, and the line without it: `[rank3]: …`, `rank 3 | …`, `[default3]:…`, `3: …`.
fn of_rank(line: &str) -> (u32, &str) {
    static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
        regex(
            r"^\s*(?:\[(?:rank|Rank|RANK|default|worker)[ :=]?(\d{1,6})\]:?|(?:rank|Rank|RANK|worker)[ :=]?(\d{1,6})\s*[:|\]]|(\d{1,6}): )\s*",
        )
    });
    let first = line.trim_start().as_bytes().first();
    if !first.is_some_and(|first| matches!(first, b'[' | b'r' | b'R' | b'w' | b'0'..=b'9')) {
        return (0, line);
    }
    let Some(found) = PATTERN.captures(line) else { return (0, line) };
    let rank = (1..=3).find_map(|group| found.get(group)?.as_str().parse().ok());
    (rank.unwrap_or(0), &line[found.get(0).map_or(0, |all| all.end())..])
}

/// `Epoch 3/10`, and what of the line comes after it.
fn epochs(line: &str) -> (Option<(f64, f64)>, &str) {
    static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
        regex(r"(?i)\bepoch[ \t:=#]*[\[(]?[ \t]*(\d{1,9})(?:[ \t]*/[ \t]*|[ \t]+of[ \t]+)(\d{1,9})[\])]?")
    });
    let told = PATTERN.captures(line).filter(|found| alone(line, found)).and_then(|found| {
        let (now, total) = (found[1].parse::<f64>().ok()?, found[2].parse::<f64>().ok()?);
        (now <= total && total > 0.0).then_some(((now, total), found.get(0)?.end()))
    });
    told.map_or((None, line), |(epochs, end)| (Some(epochs), &line[end..]))
}
