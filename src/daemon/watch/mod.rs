//! What a live attempt prints, as it prints it: its checkpoints, and whether it stands still. Woken by the kernel and by
//! its own clocks. What it misses of checkpoints is found again when the attempt ends; what it knows of the attempt's rhythm
//! a new engine reads from the log.

mod alerts;
mod board;
mod clocks;
mod known;
mod last;
mod lines;
mod notes;
mod sights;
mod thin;
mod took;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::Regex;
use rustix::fs::inotify;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;

use alerts::Alerts;
pub(super) use board::{Board, Looking, Orders, Standing};
use clocks::{Clocks, Next, Still, Tick};
use known::{Known, known};
pub(super) use last::Teller;
use lines::WholeLines;
use notes::Notes;
use sights::{Said, Sights};
use thin::Thin;
pub(super) use took::Took;

use super::core::{Input, Parts};
use super::ended::{Context, sighting};
use crate::attempt;
use crate::attempt::log::{Log, Piece, Stamp, read_stamps};
use crate::clock;
use crate::gauge::plain;
use crate::gauge::progress::Parser;
use crate::metrics::Read;
use crate::model::{Alerted, Checkpoint, Event, ProgressSpec, Sign, Stall, Time, What, reports_of};
use crate::secrets::Mask;
use crate::usage::Work;

/// Between two looks at a log that is being written: what came meanwhile is read at once.
const PAUSE: Duration = Duration::from_millis(300);
/// The same where the kernel does not tell that something was written.
const BLIND: Duration = Duration::from_secs(2);
/// What is left is foretold anew after so long.
const FRESH: Duration = Duration::from_secs(60);
const CHUNK: usize = 256 * 1024;
/// Checkpoints that are told of one look.
const AT_ONCE: usize = 16;
/// What the file of reports is called among the sources.
const REPORTS: &str = "dogwatch report";
/// Of more than so much that was written since the last look, only the end is read where no checkpoint can be missed.
const MOST: u64 = 1024 * 1024;
/// Of a log that was written before this engine lived, so much of its end is read for progress.
const TOLD: u64 = 4 * 1024 * 1024;

/// Follows this attempt until its engine ends, its log cannot be read, or nobody wants to know of it any more.
pub(super) fn start(context: Context, began: Time, orders: watch::Receiver<Orders>, parts: &Parts) {
    let parts = parts.clone();
    tokio::spawn(async move {
        let attempt = context.attempt.clone();
        let mut follower = Follower::new(context, began, orders, parts).await;
        if let Err(error) = follower.follow().await {
            tracing::warn!("what {attempt} prints is not followed: {error}");
        }
    });
}

/// One live attempt.
struct Follower {
    context: Context,
    parts: Parts,
    orders: watch::Receiver<Orders>,
    clocks: Clocks,
    sights: Sights,
    alerts: Alerts,
    /// An alert that an engine before saw and did not live to tell of.
    untold: Option<Alerted>,
    notes: Notes,
    /// How far the sources of numbers were read.
    read: Read,
    /// Of checkpoints.
    pattern: Option<Regex>,
    offset: u64,
    /// What was read last is not where this goes on: what stands before the next end of a line is half of one.
    cut: bool,
    thin: Thin,
    /// How far lines were read for checkpoints, and the one that has no end yet: what is written between this read and that
    /// of the clocks belongs to the next one.
    lines: u64,
    rest: WholeLines,
    /// What everybody was told the last time.
    shown: Option<Standing>,
}

impl Follower {
    async fn new(context: Context, began: Time, orders: watch::Receiver<Orders>, parts: Parts) -> Self {
        let step = context.workflow.steps.get(&context.step);
        let pattern = step.and_then(|step| Regex::new(&step.checkpoint.as_ref()?.pattern).ok());
        let spec = step.map(|step| step.wait.clone()).unwrap_or_default();
        let parser = step.and_then(|step| step.progress.as_ref()).and_then(|progress| match progress {
            ProgressSpec::Named(name) => Parser::named(name),
            ProgressSpec::Pattern(pattern) => Parser::pattern(pattern).ok(),
        });
        let declared = step.map(|step| step.metrics.clone()).unwrap_or_default();
        let mut sights = Sights::new(&declared, |path| context.own(path));
        let mut alerts = Alerts::new(step.map(|step| step.alerts.clone()).unwrap_or_default());
        let Known { past, read, series, pinned } = known(&context, &parts, !alerts.is_empty()).await;
        sights.pin(pinned);
        let clocks = Clocks::new(&spec, parser.unwrap_or_default(), past, began);
        sights.go_on(series.iter().filter_map(|(name, points)| Some((name.clone(), points.last()?.step))));
        let untold = alerts.before(&series, context.alerted);
        let (rest, shown, notes) = (WholeLines::default(), None, Notes::new());
        Self {
            notes,
            untold,
            context,
            parts,
            orders,
            clocks,
            sights,
            alerts,
            read,
            pattern,
            offset: 0,
            cut: false,
            thin: Thin::default(),
            lines: 0,
            rest,
            shown,
        }
    }

    async fn follow(&mut self) -> std::io::Result<()> {
        let path = self.context.run_dir.join(self.context.attempt.dir());
        let own = self.context.own("$DOGWATCH_DIR");
        let events = watch_dir(&path, Path::new(&own))
            .inspect_err(|error| tracing::warn!("{} is looked at now and then only: {error}", self.context.attempt));
        let mut events = events.ok();
        self.catch_up().await.map_err(std::io::Error::other)?;
        loop {
            // Asked before the log is read: what was written last is read, too.
            let over = path.join("exit.json").exists();
            if !self.read_new().await.map_err(std::io::Error::other)? || over {
                return Ok(());
            }
            let wake = self.look().await;
            tokio::select! {
                written = written(&mut events) => {
                    written?;
                    clock::sleep(PAUSE).await;
                }
                () = until(wake, &self.parts) => {}
                changed = self.orders.changed() => {
                    if changed.is_err() {
                        // The last of it.
                        self.read_new().await.map_err(std::io::Error::other)?;
                        return Ok(());
                    }
                }
            }
        }
    }

    /// What was printed and done before this engine lived, as far as the log and its stamps tell.
    async fn catch_up(&mut self) -> Result<(), attempt::Error> {
        let (noted, read) = (self.context.noted, self.read.files.get(REPORTS).copied().unwrap_or_default());
        for (offset, note) in Sights::notes(&self.reports(), noted, read) {
            self.note(&note, offset, self.parts.clock.now());
        }
        let Some(dir) = self.context.open()? else { return Ok(()) };
        let stamps = read_stamps(&dir)?;
        let mut log = Log::open(dir)?;
        let end = stamps.last().map_or(0, |stamp| stamp.offset);
        let told = end.saturating_sub(TOLD);
        let orders = self.orders.borrow().clone();
        let mut newest = Time::from_ms(0);
        for Stamp { offset, boottime_ms, .. } in stamps {
            let at = self.parts.clock.at_boottime(boottime_ms);
            self.clocks.before(&orders, newest, at);
            if offset <= told && (offset <= self.read.log || !self.sights.reads_all()) {
                self.clocks.output(&[], at);
                self.jump(offset);
            } else {
                self.read_to(&mut log, offset, at).await?;
            }
            newest = at;
        }
        // What came after the newest stamp came soon after it.
        self.read_to(&mut log, u64::MAX, newest).await?;
        self.clocks.before(&orders, newest, self.parts.clock.now());
        if let Some(alerted) = self.untold.take() {
            self.alert(alerted);
        }
        // Checkpoints may stand anywhere in it.
        self.read_checkpoints(&mut log).await
    }

    /// Goes on from there, and leaves out what stands between.
    fn jump(&mut self, offset: u64) {
        if offset > self.offset {
            (self.offset, self.cut) = (offset, true);
            self.sights.cut();
            self.clocks.cut();
        }
    }

    /// Feeds the clocks with what was written up to an offset by then. A flood of output keeps nobody else waiting, and
    /// takes no more memory than a trickle.
    async fn read_to(&mut self, log: &mut Log, until: u64, at: Time) -> Result<(), attempt::Error> {
        while self.offset < until {
            let wanted = usize::try_from(until - self.offset).unwrap_or(CHUNK).min(CHUNK);
            let Some(piece) = log.read(self.offset, wanted)? else { return Ok(()) };
            let (begin, end) = (self.offset, piece.next_offset());
            if let Piece::Bytes { bytes, .. } = piece {
                self.offset = end;
                let whole = if self.cut { after_line(&bytes) } else { Some(0) };
                self.cut = whole.is_none();
                let whole = whole.unwrap_or(bytes.len());
                self.clocks.output(&bytes[whole..], at);
                // What was read by an engine before is kept already.
                let old = usize::try_from(self.read.log.saturating_sub(begin)).unwrap_or(usize::MAX);
                self.sights.output(bytes.get(old.max(whole)..).unwrap_or_default(), at);
            } else {
                self.jump(end);
            }
            self.read.log = self.read.log.max(self.offset);
            if self.sights.is_full() {
                self.hand_over(at);
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// What was written since. False when there is nothing to read and never will be.
    async fn read_new(&mut self) -> Result<bool, attempt::Error> {
        let Some(dir) = self.context.open()? else { return Ok(false) };
        let mut log = Log::open(dir)?;
        let before = self.offset;
        self.read_checkpoints(&mut log).await?;
        let end = log.end();
        if end.saturating_sub(self.offset) > MOST && !self.sights.reads_all() {
            self.jump(end.saturating_sub(CHUNK as u64));
        }
        let now = self.parts.clock.now();
        self.read_to(&mut log, u64::MAX, now).await?;
        self.keep(now);
        if self.offset > before && self.orders.borrow().may_revive {
            self.tell(What::Revived { attempt: self.context.attempt.clone() });
        }
        Ok(true)
    }

    /// The checkpoints told of in what was written since, the newest last; of very many the newest.
    async fn read_checkpoints(&mut self, log: &mut Log) -> Result<(), attempt::Error> {
        let Some(pattern) = &self.pattern else { return Ok(()) };
        let mut new: Vec<(Checkpoint, u64)> = Vec::new();
        while let Some(piece) = log.read(self.lines, CHUNK)? {
            self.lines = piece.next_offset();
            let Piece::Bytes { bytes, .. } = piece else {
                self.rest.gap();
                continue;
            };
            self.rest.feed(&bytes, self.lines, |line, end| {
                if let Some(found) = sighting(pattern, &plain::line(line), &self.context) {
                    new.retain(|(one, _)| one.path != found.path);
                    new.push((found, end));
                    let over = new.len().saturating_sub(AT_ONCE);
                    new.drain(..over);
                }
            });
            tokio::task::yield_now().await;
        }
        for (checkpoint, offset) in new.into_iter().filter(|(checkpoint, _)| self.context.is_there(&checkpoint.path)) {
            self.tell(What::CheckpointSeen { attempt: self.context.attempt.clone(), checkpoint, offset });
        }
        Ok(())
    }

    /// Hands the numbers over that came since the last time.
    fn keep(&mut self, now: Time) {
        self.reported(now);
        let context = &self.context;
        self.sights.files(&mut self.read.files, now, |path| context.is_there(path));
        self.hand_over(now);
    }

    /// The numbers that were found, to who looks at them and to who keeps them.
    fn hand_over(&mut self, now: Time) {
        let points = self.thin.thin(self.sights.take(), now);
        let begun = self.alerts.see(&points);
        if let Some(alerted) = begun {
            self.alert(alerted);
        }
        if let Some(metrics) = self.parts.metrics.as_ref().filter(|_| !points.is_empty()) {
            // Who goes on begins with the line that has no end yet.
            let mut read = self.read.clone();
            read.log = read.log.saturating_sub(self.sights.open());
            metrics.keep(&self.context.attempt, points, read);
        }
    }

    /// Tells of an alert that begins.
    fn alert(&mut self, alerted: Alerted) {
        if self.orders.borrow().may_stall {
            let (hits, tail) = self.context.so_far();
            let (since, limit) = (self.parts.clock.now(), Duration::ZERO);
            let sign = Sign::Alert(alerted);
            let stall = Stall { sign, since, limit, longest: None, cpu_permille: None, hits, tail };
            self.tell(What::Stalled { attempt: self.context.attempt.clone(), stall: Box::new(stall) });
        }
    }

    fn reports(&self) -> PathBuf {
        Path::new(&self.context.own("$DOGWATCH_DIR")).join(reports_of(self.context.attempt.n))
    }

    fn note(&mut self, text: &str, offset: u64, now: Time) {
        if offset <= self.context.noted {
            return;
        }
        // The step's log hides what it must not say; this comes by another way.
        let (context, vault) = (&self.context, &self.parts.vault);
        let names = context.workflow.steps.get(&context.step).map(|step| step.secrets.as_slice()).unwrap_or_default();
        let text = Mask::new(vault.values(&context.attempt.run, names).0.values()).whole(text);
        if let Some(note) = self.notes.take(&text, now) {
            self.tell(What::Noted { attempt: self.context.attempt.clone(), note, offset });
        }
    }

    /// What the program said of itself since.
    fn reported(&mut self, now: Time) {
        let file = self.reports();
        let offset = self.read.files.entry(REPORTS.into()).or_default();
        for (offset, said) in self.sights.reports(&file, offset, now) {
            match said {
                Said::Note(note) => self.note(&note, offset, now),
                Said::Progress(share) => self.clocks.progress(share, now),
                Said::Checkpoint { path, step } => {
                    let checkpoint = Checkpoint { path: self.context.absolute(&path), step, metrics: Vec::new() };
                    if self.context.is_there(&checkpoint.path) {
                        let attempt = self.context.attempt.clone();
                        self.tell(What::CheckpointSeen { attempt, checkpoint, offset });
                    }
                }
            }
        }
    }

    fn tell(&self, what: What) {
        let run = self.context.attempt.run.clone();
        self.parts.tell(Input::Fact(Event { run, at: self.parts.clock.now(), what }));
    }

    /// Asks the clocks, does what they want, and says when to ask again.
    async fn look(&mut self) -> Option<Time> {
        let orders = self.orders.borrow_and_update().clone();
        let now = self.parts.clock.now();
        self.clocks.tick(Tick { boottime: clock::boottime_ms(), monotonic: clock::monotonic_ms() }, now);
        self.clocks.heed(orders, now);
        self.clocks.settle(now);
        let wake = loop {
            let now = self.parts.clock.now();
            match self.clocks.next(now) {
                Next::Wait(at) => break at,
                Next::Measure => {
                    let work = self.measure().await;
                    self.clocks.worked(work, self.parts.clock.now());
                }
                Next::Still(still) => {
                    self.stands_still(still).await;
                    break Some(now.plus(BLIND));
                }
            }
        };
        self.show();
        // Nobody tells when a file of the step's own was written; and what is left is foretold anew now and then.
        let again = if self.sights.has_files() { BLIND } else { FRESH };
        wake.into_iter().chain(self.clocks.unsettled()).chain([self.parts.clock.now().plus(again)]).min()
    }

    async fn measure(&self) -> Option<Work> {
        let context = self.context.clone();
        let look = move || Work::of(context.shim()?, true);
        tokio::task::spawn_blocking(look).await.ok().flatten()
    }

    async fn stands_still(&self, found: Still) {
        let context = self.context.clone();
        let read = tokio::task::spawn_blocking(move || context.so_far()).await;
        let (hits, tail) = read.unwrap_or_default();
        let Still { sign, since, limit, longest, cpu_permille } = found;
        let stall = Stall { sign, since, limit, longest, cpu_permille: Some(cpu_permille), hits, tail };
        self.tell(What::Stalled { attempt: self.context.attempt.clone(), stall: Box::new(stall) });
    }

    /// Puts the timers where they are looked at. Who looks is told only when they changed by a good part.
    fn show(&mut self) {
        // It is over, and what was known of it is forgotten.
        if self.orders.has_changed().is_err() {
            return;
        }
        let standing = self.clocks.standing(self.parts.clock.now());
        self.parts.board.put(&self.context.attempt, standing);
        if self.shown.is_none_or(|shown| is_news(&shown, &standing)) {
            self.shown = Some(standing);
            self.parts.changed.send_modify(|_| {});
        }
    }
}

/// Where the first whole line begins in the middle of what is printed.
fn after_line(bytes: &[u8]) -> Option<usize> {
    memchr::memchr2(b'\n', b'\r', bytes).map(|end| end + 1)
}

/// What is worth telling everybody who looks.
fn is_news(shown: &Standing, now: &Standing) -> bool {
    let timer = match (shown.stall, now.stall) {
        (Some((_, shown)), Some((since, until))) => {
            until.since(shown).max(shown.since(until)) > until.since(since) / 10
        }
        (None, None) => false,
        (None, Some(_)) | (Some(_), None) => true,
    };
    let moved = (shown.done.unwrap_or(0.0) - now.done.unwrap_or(0.0)).abs() >= 0.01;
    timer || (moved && now.at.since(shown.at) >= BLIND)
}

/// Returns when something was written, or may have been.
async fn written(events: &mut Option<Receiver>) -> std::io::Result<()> {
    let Some(events) = events else {
        clock::sleep(BLIND).await;
        return Ok(());
    };
    events.readable().await?;
    // What the events say does not matter: something was written.
    let mut buffer = [0u8; 4096];
    while events.try_read(&mut buffer).is_ok() {}
    Ok(())
}

async fn until(at: Option<Time>, parts: &Parts) {
    match at {
        Some(at) => clock::sleep(at.since(parts.clock.now()).max(Duration::from_millis(1))).await,
        None => std::future::pending().await,
    }
}

/// Told of what is written in either of these folders.
fn watch_dir(path: &Path, own: &Path) -> std::io::Result<Receiver> {
    let fd: OwnedFd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    let flags = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
    inotify::add_watch(&fd, path, flags | inotify::WatchFlags::ONLYDIR)?;
    // Where it is missing, nothing is reported.
    let _ = inotify::add_watch(&fd, own, flags | inotify::WatchFlags::ONLYDIR);
    // Any descriptor that can be read and polled will do; an inotify one is read like a pipe.
    Receiver::from_owned_fd_unchecked(fd)
}
