//! How far a step is, by what it prints: `tqdm` and its like, bars with a percentage, counts with a word. Pure.
//!
//! A guess that is wrong is worse than none: a fraction counts only with a word, a bar or brackets around it, never within
//! a path, a date, an address or a version.

mod meter;
mod parser;

use std::sync::LazyLock;

use regex::{Captures, Regex};

pub use meter::Meter;
pub use parser::{BadPattern, Parser};

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Of [`Progress::total`], in units of the step's own; per cent where it prints only that.
    pub done: f64,
    pub total: f64,
    /// What is left, in milliseconds, where the step itself says so.
    pub left_ms: Option<i64>,
}

impl Progress {
    /// From 0 to 1.
    pub fn fraction(self) -> f64 {
        self.done / self.total
    }

    fn new(done: f64, total: f64, left_ms: Option<i64>) -> Option<Self> {
        (total > 0.0 && total.is_finite() && (0.0..=total).contains(&done)).then_some(Self { done, total, left_ms })
    }
}

/// The newest progress that these lines tell of; they are plain text, oldest first.
pub fn newest<'a>(lines: impl DoubleEndedIterator<Item = &'a str>) -> Option<Progress> {
    lines.rev().find_map(of_line)
}

/// Of a longer line only so many characters are looked at.
const LONGEST: usize = 1024;

/// What one line of plain text tells.
pub fn of_line(line: &str) -> Option<Progress> {
    let line = line.char_indices().nth(LONGEST).map_or(line, |(end, _)| &line[..end]);
    if !line.contains(['/', '%']) && !line.contains(" of ") {
        return None;
    }
    tqdm(line).or_else(|| counted(line)).or_else(|| barred(line)).or_else(|| parser::known(line))
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern of this file is well formed")
}

/// ` 62%|██████▏   | 3700/6000 [1:50:11<1:09:02, 0.55it/s]`
fn tqdm(line: &str) -> Option<Progress> {
    static PATTERN: LazyLock<Regex> =
        LazyLock::new(|| regex(r"\d%\|[^|]*\|\s*([\d.]+[kKMGTP]?)/([\d.]+[kKMGTP]?)\w*\s*\[[\d:]+<([\d:]+|\?)"));
    let found = PATTERN.captures(line)?;
    Progress::new(scaled(&found[1])?, scaled(&found[2])?, clock(&found[3]))
}

/// A count as a number.
#[expect(clippy::cast_precision_loss, reason = "layers are few")]
fn units(n: usize) -> f64 {
    n as f64
}

/// `1.5k`
fn scaled(text: &str) -> Option<f64> {
    let (number, factor) = match text.char_indices().next_back()? {
        (at, 'k' | 'K') => (&text[..at], 1e3),
        (at, 'M') => (&text[..at], 1e6),
        (at, 'G') => (&text[..at], 1e9),
        (at, 'T') => (&text[..at], 1e12),
        (at, 'P') => (&text[..at], 1e15),
        _ => (text, 1.0),
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}

/// What is counted in logs of training, evaluation, builds, tests and transfers.
const WORDS: &str = "epoch|step|iter|iteration|batch|batche|minibatch|round|trial|fold|chunk|shard|file|sample|test|case|\
                     task|example|episode|frame|page|item|block|part|game|generation|layer|image|row|record|request|job|\
                     stage|phase|pass|passe|update|token|document|query|querie|object|package|progress|done|complete|\
                     completed|processed|finished|downloaded|uploaded";

/// `epoch 12/60`, `12/60 epochs`, `step 12 of 60`, `[12/60]`, `12/60 [====>...]`
fn counted(line: &str) -> Option<Progress> {
    static BEFORE: LazyLock<Regex> = LazyLock::new(|| {
        regex(&format!(r"(?i)\b(?:{WORDS})s?\b[ \t:=#]*[\[(]?[ \t]*(\d+)(?:[ \t]*/[ \t]*|[ \t]+of[ \t]+)(\d+)"))
    });
    static AFTER: LazyLock<Regex> = LazyLock::new(|| {
        regex(&format!(
            r"(?i)(\d+)(?:[ \t]*/[ \t]*|[ \t]+of[ \t]+)(\d+)[ \t]*[\])]?[ \t]*(?:(?:{WORDS})s?\b|\[[=>#.\- ]{{3,}}\])"
        ))
    });
    static BRACKETS: LazyLock<Regex> = LazyLock::new(|| regex(r"\[[ \t]*(\d+)[ \t]*/[ \t]*(\d+)[ \t]*\]"));
    let patterns: [&Regex; 3] = [&BEFORE, &AFTER, &BRACKETS];
    let first = patterns.iter().flat_map(|pattern| pattern.captures_iter(line)).filter(|found| alone(line, found));
    let first = first.min_by_key(|found| found.get(1).map_or(0, |number| number.start()))?;
    let number = |group: usize| first[group].parse::<f64>().ok();
    Progress::new(number(1)?, number(2)?, eta(line))
}

/// Is the fraction a thing of its own? `/usr/3/4`, `1/2/2026`, `10.0.0.1/24`, `1.2/3` and `v1/2` are not.
fn alone(line: &str, found: &Captures<'_>) -> bool {
    let (Some(done), Some(total)) = (found.get(1), found.get(2)) else { return false };
    let glued = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '\\' | ',');
    let before = line[..done.start()].chars().next_back();
    let mut after = line[total.end()..].chars();
    // A full stop or a comma that ends a sentence is no part of it.
    let (next, second) = (after.next(), after.next());
    let ends = matches!(next, Some('.' | ',' | '-')) && !second.is_some_and(char::is_alphanumeric);
    !before.is_some_and(glued) && (ends || !next.is_some_and(glued))
}

/// `62%|████`, `[=====>   ] 62%`, `━━━━━╸━━ 62%`, `[ 62%] Building`, `######  62.5%`
fn barred(line: &str) -> Option<Progress> {
    static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
        const NUMBER: &str = r"(\d{1,3}(?:\.\d+)?)\s*%";
        const BLOCKS: &str = r"[█▉▊▋▌▍▎▏░▒▓━╸╺■□▰▱⣿⣀]";
        const DRAWN: &str = r"\[[=#>*\-. ]*[=#>*]{2}[=#>*\-. ]*\]";
        regex(&format!(
            r"(?:^|[^\w.,/]){NUMBER}\s*(?:[|\[(]?\s?{BLOCKS}{{2}}|{DRAWN})|(?:{BLOCKS}{{2}}[\s|\])]*|{DRAWN}\s*|^#+\s+|\[\s*){NUMBER}"
        ))
    });
    let found = PATTERN.captures(line)?;
    let percent = found.get(1).or(found.get(2))?.as_str().parse().ok()?;
    Progress::new(percent, 100.0, eta(line))
}

/// `eta 0:12:03`, `ETA: 12s`, `eta 1m 3s`
fn eta(line: &str) -> Option<i64> {
    static PATTERN: LazyLock<Regex> =
        LazyLock::new(|| regex(r"(?i)\beta[: \t]*(?:(\d+(?::\d+){1,2})|(?:(\d+)h)?\s*(?:(\d+)m)?\s*(?:(\d+)s)?)"));
    let found = PATTERN.captures(line)?;
    if let Some(text) = found.get(1) {
        return clock(text.as_str());
    }
    let part = |group: usize| found.get(group).map(|text| text.as_str().parse::<i64>());
    let parts = [(part(2), 3_600_000), (part(3), 60_000), (part(4), 1_000)];
    if parts.iter().all(|(part, _)| part.is_none()) {
        return None;
    }
    parts
        .into_iter()
        .try_fold(0i64, |sum, (part, ms)| sum.checked_add(part.map_or(Some(0), Result::ok)?.checked_mul(ms)?))
}

/// `1:09:02` or `09:02` in milliseconds.
fn clock(text: &str) -> Option<i64> {
    let seconds = text.split(':').try_fold(0i64, |sum, part| sum.checked_mul(60)?.checked_add(part.parse().ok()?))?;
    seconds.checked_mul(1000)
}

/// How fast a step goes on, for those that do not say how long it takes: fed with what was seen when.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    /// Time in milliseconds, and how much was done.
    seen: Vec<(i64, f64)>,
    total: f64,
}

/// So many sights are kept; when there are more, every second one is forgotten.
const SIGHTS: usize = 32;

impl Pace {
    /// At `at_ms` it was so far. A step that begins anew, or with another total, is measured anew.
    pub fn see(&mut self, at_ms: i64, progress: Progress) {
        let newest = self.seen.last().copied();
        if newest.is_some_and(|(at, done)| progress.done < done || at_ms < at)
            || progress.total.total_cmp(&self.total).is_ne()
        {
            self.seen.clear();
        }
        self.total = progress.total;
        if self.seen.last().is_some_and(|(_, done)| progress.done <= *done) {
            return;
        }
        self.seen.push((at_ms, progress.done));
        if self.seen.len() > SIGHTS {
            let mut index = 0;
            self.seen.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
    }

    /// What is left at `now_ms`, in milliseconds, if it goes on as it did; `None` before anything was seen to go on.
    pub fn left_ms(&self, now_ms: i64) -> Option<i64> {
        let ((first_at, first), (last_at, last)) = (self.seen.first()?, self.seen.last()?);
        let (took, gained) = (last_at.checked_sub(*first_at)?, last - first);
        if took <= 0 || gained <= 0.0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "of times between two sights no bit is lost that anybody sees")]
        let per_unit = took as f64 / gained;
        // What is left since the last sight, of which some time has gone by.
        #[expect(clippy::cast_possible_truncation, reason = "too long is as long as can be told")]
        let left = ((self.total - last) * per_unit) as i64;
        Some(left.saturating_sub(now_ms.saturating_sub(*last_at)).max(0))
    }
}
