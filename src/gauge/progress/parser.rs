//! Which program's way of telling progress is read. Reads one line at a time; what several lines mean together is
//! [`super::Meter`]'s.

use std::sync::LazyLock;

use regex::Regex;

use super::{Progress, alone, clock, eta, of_line, regex, scaled, tqdm};

/// A way of telling progress.
#[derive(Debug, Clone, Default)]
pub enum Parser {
    /// Whatever is known, with care: what may be something else does not count.
    #[default]
    Auto,
    Tqdm,
    Rich,
    HfTrainer,
    Lightning,
    Keras,
    /// Any number of per cent, the last of a line.
    Percent,
    /// Any `3/10` or `3 of 10`, the last of a line.
    NOfM,
    DockerPull,
    Cargo,
    Pytest,
    /// The workflow's own: groups `done` (or `current`) and `total`, or `percent`, or `fraction`; `eta` where there is one.
    Pattern(Box<Regex>),
    /// Lines of JSON with such members.
    JsonLines,
}

/// A pattern that tells no progress, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    #[error("{0}")]
    Regex(String),
    #[error("it names no group of progress: (?P<done>…) and (?P<total>…), or (?P<percent>…), or (?P<fraction>…)")]
    Groups,
}

/// The names in workflow files.
const NAMES: [(&str, Parser); 12] = [
    ("auto", Parser::Auto),
    ("tqdm", Parser::Tqdm),
    ("rich", Parser::Rich),
    ("hf-trainer", Parser::HfTrainer),
    ("lightning", Parser::Lightning),
    ("keras", Parser::Keras),
    ("percent", Parser::Percent),
    ("n-of-m", Parser::NOfM),
    ("docker-pull", Parser::DockerPull),
    ("cargo", Parser::Cargo),
    ("pytest", Parser::Pytest),
    ("json-lines", Parser::JsonLines),
];

/// Members and groups that say how much is done, and of how much.
const DONE: [&str; 5] = ["done", "current", "n", "step", "completed"];
const TOTAL: [&str; 3] = ["total", "total_steps", "max_steps"];

impl Parser {
    /// All names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// By its name in a workflow file.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, parser)| parser.clone())
    }

    /// The workflow's own pattern.
    pub fn pattern(pattern: &str) -> Result<Self, BadPattern> {
        let regex = Regex::new(pattern).map_err(|error| BadPattern::Regex(error.to_string()))?;
        let has = |names: &[&str]| regex.capture_names().flatten().any(|name| names.contains(&name));
        if (has(&DONE) && has(&TOTAL)) || has(&["percent", "fraction"]) {
            Ok(Self::Pattern(Box::new(regex)))
        } else {
            Err(BadPattern::Groups)
        }
    }

    /// Can these bytes tell any? Quick, and wrong only in one way.
    pub(super) fn may(&self, line: &[u8]) -> bool {
        let told = || memchr::memchr2(b'/', b'%', line).is_some() || memchr::memmem::find(line, b" of ").is_some();
        match self {
            Self::Pattern(_) => true,
            Self::JsonLines => line.trim_ascii_start().starts_with(b"{"),
            Self::DockerPull => line.contains(&b':'),
            Self::HfTrainer => told() || memchr::memmem::find(line, b"poch").is_some(),
            Self::Auto
            | Self::Tqdm
            | Self::Rich
            | Self::Lightning
            | Self::Keras
            | Self::Percent
            | Self::NOfM
            | Self::Cargo
            | Self::Pytest => told(),
        }
    }

    /// Do its programs tell of epochs apart from the bars within?
    pub(super) fn has_epochs(&self) -> bool {
        match self {
            Self::Auto | Self::Tqdm | Self::Rich | Self::Lightning | Self::Keras => true,
            Self::HfTrainer
            | Self::Percent
            | Self::NOfM
            | Self::DockerPull
            | Self::Cargo
            | Self::Pytest
            | Self::Pattern(_)
            | Self::JsonLines => false,
        }
    }

    /// What one line of plain text tells by itself.
    pub fn line(&self, line: &str) -> Option<Progress> {
        match self {
            Self::Auto => of_line(line),
            Self::Tqdm | Self::HfTrainer => tqdm(line),
            Self::Rich => rich(line),
            Self::Lightning => tqdm(line).or_else(|| rich_steps(line)),
            Self::Keras => keras(line),
            Self::Percent => percent(line),
            Self::NOfM => n_of_m(line),
            Self::DockerPull => None,
            Self::Cargo => building(line),
            Self::Pytest => pytest(line),
            Self::Pattern(regex) => own(regex, line),
            Self::JsonLines => json(line),
        }
    }
}

/// Bars of single programs that cannot be mistaken.
pub(super) fn known(line: &str) -> Option<Progress> {
    building(line).or_else(|| keras(line)).or_else(|| rich_steps(line))
}

/// `Working... ━━━━━━━╸━━━━  29% 0:00:08`
fn rich(line: &str) -> Option<Progress> {
    static PATTERN: LazyLock<Regex> =
        LazyLock::new(|| regex(r"[━╸╺]{2}\s+(\d{1,3})%(?:\s+(?:(\d+:\d\d:\d\d)|-:--:--))?"));
    if let Some(found) = PATTERN.captures(line) {
        let left = found.get(2).and_then(|text| clock(text.as_str()));
        return Progress::new(found[1].parse().ok()?, 100.0, left);
    }
    rich_steps(line).or_else(|| of_line(line))
}

/// `Epoch 0/9 ━━━━━━━╸━━━ 17/34 0:00:01 • 0:00:02 12.0it/s`
fn rich_steps(line: &str) -> Option<Progress> {
    static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
        regex(r"[━╸╺]{2}\s+([\d.]+)/([\d.]+)(?:\s+\S+)?(?:\s+\d+:\d\d:\d\d)?(?:\s+•\s+(\d+:\d\d:\d\d|-:--:--))?")
    });
    let found = PATTERN.captures(line)?;
    Progress::new(found[1].parse().ok()?, found[2].parse().ok()?, found.get(3).and_then(|text| clock(text.as_str())))
}

/// `340/938 ━━━━━━━╸━━━ 1s 2ms/step`, `340/938 [=====>....] - ETA: 12s`
fn keras(line: &str) -> Option<Progress> {
    static PATTERN: LazyLock<Regex> =
        LazyLock::new(|| regex(r"^\s*(\d+)/(\d+)\s+(?:[━╸╺]{2,}|\[[=>.]+\])(?:\s+(\d+:\d\d(?::\d\d)?|\d+s)\b)?"));
    let found = PATTERN.captures(line)?;
    let (done, total): (f64, f64) = (found[1].parse().ok()?, found[2].parse().ok()?);
    // The time of a bar that is full is what it took.
    let left = eta(line).or_else(|| {
        let text = found.get(3)?.as_str();
        text.strip_suffix('s').map_or_else(|| clock(text), |seconds| seconds.parse::<i64>().ok()?.checked_mul(1000))
    });
    Progress::new(done, total, if done < total { left } else { None })
}

/// `    Building [=======>      ] 123/456: serde, regex`
fn building(line: &str) -> Option<Progress> {
    static PATTERN: LazyLock<Regex> =
        LazyLock::new(|| regex(r"^\s*(?:Building|Checking|Downloading|Compiling)\s+\[[=> ]*\]\s+(\d+)/(\d+)"));
    let found = PATTERN.captures(line)?;
    Progress::new(found[1].parse().ok()?, found[2].parse().ok()?, None)
}

/// `tests/test_a.py ....... [ 62%]`
fn pytest(line: &str) -> Option<Progress> {
    static PATTERN: LazyLock<Regex> =
        LazyLock::new(|| regex(r"(?:^\[gw\d+\] \[\s*(\d{1,3})%\])|\[\s*(\d{1,3})%\]\s*$|\[\s*(\d+)/(\d+)\]\s*$"));
    let found = PATTERN.captures(line)?;
    if let (Some(done), Some(total)) = (found.get(3), found.get(4)) {
        return Progress::new(done.as_str().parse().ok()?, total.as_str().parse().ok()?, None);
    }
    Progress::new(found.get(1).or(found.get(2))?.as_str().parse().ok()?, 100.0, None)
}

fn percent(line: &str) -> Option<Progress> {
    static PATTERN: LazyLock<Regex> = LazyLock::new(|| regex(r"(?:^|[^\w.,])(\d{1,3}(?:\.\d+)?)\s?%"));
    let found = PATTERN.captures_iter(line).last()?;
    Progress::new(found[1].parse().ok()?, 100.0, eta(line))
}

fn n_of_m(line: &str) -> Option<Progress> {
    static PATTERN: LazyLock<Regex> =
        LazyLock::new(|| regex(r"(\d+(?:\.\d+)?[kKMGT]?)(?:\s*/\s*|\s+of\s+)(\d+(?:\.\d+)?[kKMGT]?)"));
    let found = PATTERN.captures_iter(line).filter(|found| alone(line, found)).last()?;
    Progress::new(scaled(&found[1])?, scaled(&found[2])?, eta(line))
}

fn own(regex: &Regex, line: &str) -> Option<Progress> {
    let found = regex.captures(line)?;
    let number = |names: &[&str]| names.iter().find_map(|name| scaled(&found.name(name)?.as_str().replace(',', "")));
    let left =
        found.name("eta").and_then(|text| clock(text.as_str()).or_else(|| eta(&format!("eta {}", text.as_str()))));
    if let (Some(done), Some(total)) = (number(&DONE), number(&TOTAL)) {
        return Progress::new(done, total, left);
    }
    if let Some(percent) = number(&["percent"]) {
        return Progress::new(percent, 100.0, left);
    }
    Progress::new(number(&["fraction"])?, 1.0, left)
}

fn json(line: &str) -> Option<Progress> {
    let value: serde_json::Value = serde_json::from_str(line.trim()).ok()?;
    let number = |names: &[&str]| names.iter().find_map(|name| value.get(*name)?.as_f64());
    if let (Some(done), Some(total)) = (number(&DONE), number(&TOTAL)) {
        return Progress::new(done, total, None);
    }
    if let Some(percent) = number(&["percent"]) {
        return Progress::new(percent, 100.0, None);
    }
    Progress::new(number(&["fraction", "progress"])?, 1.0, None)
}
