//! The numbers in what an attempt prints, as points of series: by the step's own patterns, from its files of JSON lines, or,
//! where it declares neither, what looks like `name=value`. Decides nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::{Read as _, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::gauge::metrics::{self, Metric};
use crate::gauge::updates::{LONGEST, Updates, text};
use crate::model::{MetricSource, MetricSpec, Time};
use crate::series::Point;

/// Series of one attempt; of what nobody declared fewer.
const MOST: usize = 256;
const MOST_FOUND: usize = 32;
/// Of a file so much is read at once.
const CHUNK: u64 = 1024 * 1024;
/// Points that are held; they take some megabytes.
const FULL: usize = 65_536;
/// A report is no longer.
const LONGEST_REPORT: usize = 64 * 1024;
/// What programs call the step that a value belongs to.
const STEPS: [&str; 4] = ["step", "global_step", "iteration", "iter"];

/// What a program said of itself by `dogwatch report`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    Progress(f64),
    Checkpoint { path: String, step: Option<i64> },
    Note(String),
}

/// A source that is a file.
struct Source {
    name: String,
    path: PathBuf,
    x: Option<String>,
    rest: Updates,
}

/// See the module's description.
pub(super) struct Sights {
    patterns: Vec<(Regex, Option<String>)>,
    files: Vec<Source>,
    /// Nothing is declared: what looks like a metric is one.
    found: bool,
    updates: Updates,
    /// How many points each series has.
    counts: HashMap<String, i64>,
    /// Found ones that are kept however many there are.
    pinned: HashSet<String>,
    points: Vec<(String, Point)>,
    /// The report that has no end yet.
    report: Vec<u8>,
}

impl Sights {
    /// For a step with these declarations; `place` makes a file's path one of this host.
    pub(super) fn new(specs: &[MetricSpec], place: impl Fn(&str) -> String) -> Self {
        let mut sights = Self {
            patterns: Vec::new(),
            files: Vec::new(),
            found: specs.is_empty(),
            updates: Updates::default(),
            counts: HashMap::new(),
            pinned: HashSet::new(),
            points: Vec::new(),
            report: Vec::new(),
        };
        for MetricSpec { source, x } in specs {
            match source {
                MetricSource::Pattern(pattern) => {
                    sights.patterns.extend(Regex::new(pattern).ok().map(|pattern| (pattern, x.clone())));
                }
                MetricSource::File(name) => sights.files.push(Source {
                    name: name.clone(),
                    path: PathBuf::from(place(name)),
                    x: x.clone(),
                    rest: Updates::default(),
                }),
            }
        }
        sights
    }

    /// The newest step of each series that was kept before this engine lived.
    pub(super) fn go_on(&mut self, newest: impl Iterator<Item = (String, i64)>) {
        self.counts.extend(newest);
    }

    /// A person wants these, also where more is found than is kept.
    pub(super) fn pin(&mut self, names: impl IntoIterator<Item = String>) {
        self.pinned.extend(names);
    }

    /// Some numbers would be missed if part of the output were left out.
    pub(super) fn reads_all(&self) -> bool {
        !self.patterns.is_empty()
    }

    pub(super) fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// Some output was left out.
    pub(super) fn cut(&mut self) {
        self.updates = Updates::default();
    }

    /// Bytes of the line that has no end yet: its numbers are not told.
    pub(super) fn open(&self) -> u64 {
        let open = self.updates.open();
        if open < LONGEST { open as u64 } else { 0 }
    }

    /// There are so many points that they are better handed over at once.
    pub(super) fn is_full(&self) -> bool {
        self.points.len() >= FULL
    }

    /// Output that came by then.
    pub(super) fn output(&mut self, bytes: &[u8], at: Time) {
        if self.patterns.is_empty() && !self.found {
            return;
        }
        let mut updates = std::mem::take(&mut self.updates);
        updates.feed(bytes, |update| self.line(&text(update), at));
        self.updates = updates;
    }

    fn line(&mut self, line: &str, at: Time) {
        if self.found {
            let pairs = metrics::pairs(line);
            // Where a step is told without a sign between, as in `step 40 loss=0.5`, its number counts as well.
            let step = of(&pairs, None).or_else(|| spoken_step(line).filter(|_| !pairs.is_empty()));
            self.add(&pairs, step, None, at);
            return;
        }
        let patterns = std::mem::take(&mut self.patterns);
        for (pattern, x) in &patterns {
            let groups = metrics::groups(pattern, line);
            let step = of(&groups, x.as_deref());
            self.add(&groups, step, x.as_deref(), at);
        }
        self.patterns = patterns;
    }

    /// What was written to the step's files since; `read` says how far they were read.
    pub(super) fn files(&mut self, read: &mut BTreeMap<String, u64>, at: Time, is_there: impl Fn(&str) -> bool) {
        let mut files = std::mem::take(&mut self.files);
        for source in &mut files {
            let offset = read.entry(source.name.clone()).or_default();
            if !source.path.to_str().is_some_and(&is_there) {
                continue;
            }
            let Some(bytes) = read_on(&source.path, offset) else { continue };
            let mut lines = std::mem::take(&mut source.rest);
            lines.feed(&bytes, |line| {
                let members = metrics::members(&text(line));
                let step = of(&members, source.x.as_deref());
                self.add(&members, step, source.x.as_deref(), at);
            });
            source.rest = lines;
        }
        self.files = files;
    }

    /// What was reported since, from this file of the attempt's, and where each report ends in it; numbers become points.
    pub(super) fn reports(&mut self, path: &Path, offset: &mut u64, at: Time) -> Vec<(u64, Said)> {
        let Some(bytes) = read_on(path, offset) else { return Vec::new() };
        let mut end = offset.saturating_sub(bytes.len() as u64);
        let mut said = Vec::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            end += line.len() as u64;
            self.report.extend_from_slice(&line[..line.len().min(LONGEST_REPORT)]);
            if line.ends_with(b"\n") {
                let report = std::mem::take(&mut self.report);
                said.extend(self.report(&report, at).into_iter().map(|said| (end, said)));
            } else if self.report.len() > LONGEST_REPORT {
                // Nobody wrote that by `dogwatch report`; its end will be none, either.
                self.report.truncate(LONGEST_REPORT);
            }
        }
        said
    }

    fn report(&mut self, line: &[u8], at: Time) -> Vec<Said> {
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(line) else { return Vec::new() };
        let members = metrics::members(&value["metric"].to_string());
        self.add(&members, of(&members, None), None, at);
        let number = |name: &str| value["progress"][name].as_f64();
        let share = number("done").zip(number("total")).map(|(done, total)| done / total);
        let progress = share.filter(|share| (0.0..=1.0).contains(share)).map(Said::Progress);
        let checkpoint = &value["checkpoint"];
        let path = checkpoint["path"].as_str().map(str::to_owned);
        let checkpoint = path.map(|path| Said::Checkpoint { path, step: checkpoint["step"].as_i64() });
        let note = value["note"].as_str().map(|note| Said::Note(note.to_owned()));
        [progress, checkpoint, note].into_iter().flatten().collect()
    }

    /// The notes among the reports up to there that stand after `from`: those that an engine read before which did not live
    /// to record them.
    pub(super) fn notes(path: &Path, from: u64, until: u64) -> Vec<(u64, String)> {
        let (mut own, mut offset, mut notes) = (Self::new(&[], str::to_owned), from, Vec::new());
        while offset < until {
            let before = offset;
            let said = own.reports(path, &mut offset, Time::from_ms(0));
            own.points.clear();
            for (end, said) in said {
                if let Said::Note(note) = said
                    && end <= until
                {
                    notes.push((end, note));
                }
            }
            // At its end, or it became shorter.
            if offset <= before {
                break;
            }
        }
        notes
    }

    fn add(&mut self, told: &[Metric<'_>], step: Option<f64>, x: Option<&str>, at: Time) {
        for metric in told {
            let name = metric.name.as_ref();
            if Some(name) == x || (x.is_none() && STEPS.contains(&name)) {
                continue;
            }
            let most = if self.found && !self.pinned.contains(name) { MOST_FOUND } else { MOST };
            let Some(count) = self.count(name, most) else { continue };
            let step = step.map_or(count, whole);
            self.points.push((name.to_owned(), Point { step, at_ms: at.as_ms(), value: metric.value }));
        }
    }

    /// The number of the next point of a series; `None` when there are too many.
    fn count(&mut self, name: &str, most: usize) -> Option<i64> {
        if let Some(count) = self.counts.get_mut(name) {
            *count += 1;
            return Some(*count);
        }
        if self.counts.len() >= most {
            return None;
        }
        self.counts.insert(name.to_owned(), 0);
        Some(0)
    }

    /// The points since the last time.
    pub(super) fn take(&mut self) -> Vec<(String, Point)> {
        std::mem::take(&mut self.points)
    }
}

/// The step that these values belong to: the named one, else what is called so.
fn of(told: &[Metric<'_>], x: Option<&str>) -> Option<f64> {
    let is_it = |metric: &&Metric<'_>| match x {
        Some(x) => metric.name == x,
        None => STEPS.contains(&metric.name.as_ref()),
    };
    told.iter().find(is_it).map(|metric| metric.value).filter(|value| value.is_finite())
}

/// `step 40`, `Step: 40/100`
fn spoken_step(line: &str) -> Option<f64> {
    let at = line.find("step").or_else(|| line.find("Step"))?;
    let number = line[at + 4..].trim_start_matches([' ', ':', '=', '[']);
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..end].parse().ok()
}

#[expect(clippy::cast_possible_truncation, reason = "a step is a whole number; what is none is cut to one")]
fn whole(step: f64) -> i64 {
    step.clamp(-9e15, 9e15) as i64
}

/// What stands in a file from an offset on. One that became shorter is read from its start.
fn read_on(path: &Path, offset: &mut u64) -> Option<Vec<u8>> {
    let flags = rustix::fs::OFlags::NOFOLLOW.union(rustix::fs::OFlags::NONBLOCK).bits();
    let flags = i32::try_from(flags).ok()?;
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let about = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    if about.len() < *offset {
        *offset = 0;
    }
    file.seek(SeekFrom::Start(*offset)).ok()?;
    let mut bytes = Vec::new();
    file.take(CHUNK).read_to_end(&mut bytes).ok()?;
    *offset += bytes.len() as u64;
    (!bytes.is_empty()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(specs: &[MetricSpec], output: &str) -> Vec<(String, i64, f64)> {
        let mut sights = Sights::new(specs, str::to_owned);
        // Cut anywhere.
        for part in output.as_bytes().chunks(7) {
            sights.output(part, Time::from_ms(5));
        }
        sights.take().into_iter().map(|(name, point)| (name, point.step, point.value)).collect()
    }

    fn pattern(pattern: &str, x: Option<&str>) -> MetricSpec {
        MetricSpec { source: MetricSource::Pattern(pattern.into()), x: x.map(str::to_owned) }
    }

    #[test]
    fn groups_of_patterns_are_series() {
        let spec = pattern(r"at (?P<n>\d+) loss (?P<loss>[\d.]+|nan) lr (?P<lr>[\d.e-]+)", Some("n"));
        let found = told(&[spec], "at 10 loss 2.5 lr 1e-4\nnothing\nat 20 loss \x1b[31m1.5\x1b[0m lr 1e-4\n");
        let names: Vec<_> = found.iter().map(|(name, step, _)| (name.as_str(), *step)).collect();
        assert_eq!(names, [("loss", 10), ("lr", 10), ("loss", 20), ("lr", 20)]);
        assert!((found[2].2 - 1.5).abs() < 1e-9);
    }

    #[test]
    fn without_declarations_pairs_are_found() {
        let found = told(&[], "step 40 loss=2.5 lr=0.1\rstep 41 loss=2.25\n loss=9.5\n");
        let names: Vec<_> = found.iter().map(|(name, step, value)| (name.as_str(), *step, *value)).collect();
        assert_eq!(names, [("loss", 40, 2.5), ("lr", 40, 0.1), ("loss", 41, 2.25), ("loss", 2, 9.5)]);
        let many: Vec<String> = (0..500).map(|n| format!("m{n}=1\n")).collect();
        assert_eq!(told(&[], &many.concat()).len(), MOST_FOUND);
        let mut sights = Sights::new(&[], str::to_owned);
        sights.pin(["m400".to_owned()]);
        sights.output(many.concat().as_bytes(), Time::from_ms(5));
        let kept: Vec<String> = sights.take().into_iter().map(|(name, _)| name).collect();
        assert!(kept.len() == MOST_FOUND + 1 && kept.last().is_some_and(|name| name == "m400"), "{kept:?}");
    }

    #[test]
    fn files_of_json_lines_are_read_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.jsonl");
        let name = path.to_str().expect("a path").to_owned();
        let spec = MetricSpec { source: MetricSource::File(name.clone()), x: Some("step".into()) };
        let mut sights = Sights::new(&[spec], str::to_owned);
        let mut read = BTreeMap::new();
        let mut take = |text: &str| {
            std::fs::write(&path, text).expect("a file");
            sights.files(&mut read, Time::from_ms(5), |_| true);
            sights.take().into_iter().map(|(name, point)| (name, point.step)).collect::<Vec<_>>()
        };
        assert_eq!(take("{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"lo"), [("loss".to_owned(), 1)]);
        assert_eq!(take("{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"loss\":0.25}\n"), [("loss".to_owned(), 2)]);
        std::fs::remove_file(&path).expect("it goes");
        std::os::unix::fs::symlink("/etc/passwd", &path).expect("a link");
        let mut from = 0;
        assert_eq!(read_on(&path, &mut from), None, "no link is followed");
    }
}
