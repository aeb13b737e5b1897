//! The end of a step: who is still there, who is asked, who is killed, and the record of it all.
//!
//! [`Ending`] decides from the time and the census of descendants; it touches nothing itself.

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::oom;
use super::watch::Watch;
use crate::attempt::record::{self, ExitRecord, Leaked};
use crate::wire::keeper::StopReason;
use crate::wire::shim::{End, FromShim};
use crate::{attempt, clock, faults, spawn};

/// Grace of what outlives a step that failed.
const GRACE_MS: i64 = 2_000;
/// After that long, what KILL does not end is told as leaked.
const KILL_MS: i64 = 5_000;
/// A hang-up reaches the background of a step that ended well only after its end: they get this long to go.
const SETTLE_MS: i64 = 100;
/// How often the census is taken meanwhile.
const CENSUS_MS: i64 = 10;
/// Views get this long to show the end.
const VIEWS_MS: i64 = 1_000;
/// The record is tried again that often when the disk refuses it.
const RECORD_MS: i64 = 1_000;
/// More than a terminal can hold: what the step wrote before its end is in this much.
const LAST_BYTES: usize = 1024 * 1024;

/// What the watch has to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    Waiting,
    /// It has had its time to save: ask it to end.
    Saved,
    /// Ask these to end.
    Ask(Vec<Leaked>),
    Kill(Vec<Leaked>),
    /// All that can end has ended; these have not.
    Record(Vec<Leaked>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// It was told to save before it is asked to end.
    Saving {
        ask_at: i64,
        grace_ms: u64,
    },
    /// It, or what is left of it, was asked to end.
    Asked {
        kill_at: i64,
    },
    Killing {
        until: i64,
    },
    /// It ended well and something is left.
    Settling {
        until: i64,
    },
    /// The disk refused the record.
    Recording {
        again_at: i64,
    },
}

/// How far the end has come.
#[derive(Debug)]
pub(super) struct Ending {
    stage: Stage,
    /// The end of the step's own process.
    pub(super) end: Option<End>,
    stop: Option<StopReason>,
    /// What was left after the step's own process was asked as well.
    asked_all: bool,
    /// The next time to look who is left.
    census_at: i64,
    /// How it ended, held here as long as the disk refuses it.
    held: Option<ExitRecord>,
    start_boottime_ms: i64,
    start_wall_ms: i64,
    oom_kills: Option<u64>,
}

impl Ending {
    pub(super) fn begin() -> Self {
        Self {
            stage: Stage::Running,
            end: None,
            stop: None,
            asked_all: false,
            census_at: 0,
            held: None,
            start_boottime_ms: clock::boottime_ms(),
            start_wall_ms: clock::wall_ms(),
            oom_kills: oom::kills(),
        }
    }

    /// It can be told to save: nobody has asked it to end yet.
    pub(super) fn may_save(&self) -> bool {
        self.stage == Stage::Running && self.end.is_none()
    }

    /// Somebody wants it to end, and it was told to save before.
    pub(super) fn save(&mut self, reason: StopReason, grace_ms: u64, now: i64) {
        self.stop = Some(reason);
        self.stage =
            Stage::Saving { ask_at: now.saturating_add(i64::try_from(grace_ms).unwrap_or(i64::MAX)), grace_ms };
    }

    /// Somebody wants it to end; true when it has to be asked. A second, shorter stop shortens the first, and what it has
    /// left to save.
    pub(super) fn stop(&mut self, reason: StopReason, grace_ms: u64, now: i64) -> bool {
        let kill_at = now.saturating_add(i64::try_from(grace_ms).unwrap_or(i64::MAX));
        match self.stage {
            Stage::Running => {
                self.stop = Some(reason);
                self.stage = Stage::Asked { kill_at };
                true
            }
            Stage::Asked { kill_at: before } => {
                self.stop.get_or_insert(reason);
                self.stage = Stage::Asked { kill_at: kill_at.min(before) };
                true
            }
            // The same stop once more is no haste.
            Stage::Saving { grace_ms: before, .. } if grace_ms >= before => false,
            Stage::Saving { .. } => {
                self.stage = Stage::Asked { kill_at };
                true
            }
            Stage::Settling { .. } | Stage::Killing { .. } | Stage::Recording { .. } => false,
        }
    }

    pub(super) fn next_deadline(&self) -> Option<i64> {
        match (self.stage, self.end) {
            (Stage::Running, _) => None,
            (Stage::Asked { kill_at }, None) => Some(kill_at),
            (Stage::Saving { ask_at, .. }, None) => Some(ask_at),
            (Stage::Recording { again_at }, _) => Some(again_at),
            (Stage::Saving { .. } | Stage::Asked { .. } | Stage::Killing { .. } | Stage::Settling { .. }, _) => {
                Some(self.census_at)
            }
        }
    }

    /// Is it time to look who is left?
    pub(super) fn needs_census(&self) -> bool {
        let due = clock::boottime_ms() >= self.census_at;
        match self.stage {
            Stage::Running => self.end.is_some(),
            Stage::Saving { ask_at, .. } => self.end.is_some() || clock::boottime_ms() >= ask_at,
            Stage::Asked { kill_at } => due && (self.end.is_some() || clock::boottime_ms() >= kill_at),
            Stage::Killing { .. } | Stage::Settling { .. } => due,
            Stage::Recording { again_at } => clock::boottime_ms() >= again_at,
        }
    }

    /// Decides; `left` is the census if [`Ending::needs_census`] asked for one.
    pub(super) fn next(&mut self, now: i64, left: Vec<Leaked>) -> Phase {
        if !self.needs_census() {
            return if self.stage == Stage::Running { Phase::Running } else { Phase::Waiting };
        }
        self.census_at = now + CENSUS_MS;
        if self.end.is_some() && left.is_empty() {
            return Phase::Record(left);
        }
        match self.stage {
            Stage::Running if self.end == Some(End::Code(0)) => {
                self.stage = Stage::Settling { until: now + SETTLE_MS };
                Phase::Waiting
            }
            Stage::Saving { grace_ms, .. } if self.end.is_none() => {
                self.stage = Stage::Asked { kill_at: now.saturating_add(i64::try_from(grace_ms).unwrap_or(i64::MAX)) };
                Phase::Saved
            }
            // Or it has saved and ended by itself: what is left of it is asked.
            Stage::Running | Stage::Saving { .. } => {
                self.stage = Stage::Asked { kill_at: now + GRACE_MS };
                self.asked_all = true;
                Phase::Ask(left)
            }
            // A stop asks the step's session; what has left that session is asked once the step itself has gone.
            Stage::Asked { kill_at } if now < kill_at => {
                if std::mem::replace(&mut self.asked_all, true) {
                    Phase::Waiting
                } else {
                    Phase::Ask(left)
                }
            }
            Stage::Asked { .. } => {
                self.stage = Stage::Killing { until: now + KILL_MS };
                Phase::Kill(left)
            }
            Stage::Killing { until } if now < until => Phase::Kill(left),
            Stage::Settling { until } if now < until => Phase::Waiting,
            Stage::Killing { .. } | Stage::Settling { .. } | Stage::Recording { .. } => Phase::Record(left),
        }
    }
}

impl Watch {
    /// Writes the exit record; true when that has to be tried again.
    pub(super) fn record(&mut self, leaked: Vec<Leaked>) -> bool {
        if self.step.is_some() {
            // The terminal holds what was written before the end. A survivor may write for ever, so not all is waited for.
            let mut taken = 0;
            while taken < LAST_BYTES {
                match self.pump(LAST_BYTES - taken) {
                    0 => break,
                    read => taken += read,
                }
            }
        }
        self.let_out();
        self.log.sync();
        if faults::mutant("decide_before_exit") {
            self.tell(&FromShim::Exited { end: self.ending.end.unwrap_or(End::Signal(9)) });
            clock::pause(std::time::Duration::from_millis(200));
        }
        faults::crash_point("shim.before-exit-record");
        // What was true at the end stays true, however long the disk refuses it; only the log may have gone on.
        let record = match self.ending.held.take() {
            Some(held) => ExitRecord { log_bytes: self.log.offset(), log_dropped_bytes: self.log.dropped(), ..held },
            None => self.exit_record(leaked),
        };
        match record::write(&self.owned.dir, &self.owned.claim, &record, &self.owned.mac_key) {
            Ok(()) => {
                self.tell(&FromShim::Exited { end: record.end });
                faults::crash_point("shim.after-exit-report");
                false
            }
            Err(error) => self.record_later(record, &error),
        }
    }

    /// A disk that refuses now may not refuse later; as long as it does, the attempt stays claimed.
    fn record_later(&mut self, record: ExitRecord, error: &attempt::Error) -> bool {
        self.tell(&FromShim::Unrecorded { end: record.end, why: error.to_string() });
        self.ending.held = Some(record);
        self.ending.stage = Stage::Recording { again_at: clock::boottime_ms() + RECORD_MS };
        // The directory was deleted under us: there is nothing left to record.
        !matches!(error, attempt::Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }

    fn exit_record(&self, leaked: Vec<Leaked>) -> ExitRecord {
        let (launch, ending) = (&self.owned.order.launch, &self.ending);
        ExitRecord {
            v: record::VERSION,
            key: launch.place.key.clone(),
            epoch: launch.epoch,
            boot_id: clock::boot_id(),
            // Not even KILL ended it (it hangs in the kernel): that is what it will die of.
            end: ending.end.unwrap_or(End::Signal(9)),
            start_boottime_ms: ending.start_boottime_ms,
            start_wall_ms: ending.start_wall_ms,
            end_boottime_ms: clock::boottime_ms(),
            end_wall_ms: clock::wall_ms(),
            stop: ending.stop,
            leaked,
            leaked_more: 0,
            rusage: spawn::children_usage(),
            oom_kills: oom::kills().zip(ending.oom_kills).map(|(now, before)| now.saturating_sub(before)),
            log_bytes: self.log.offset(),
            log_dropped_bytes: self.log.dropped(),
        }
    }

    /// Lets the views show the end, then goes.
    pub(super) fn close(&mut self) {
        let words = record::end_in_words(self.ending.end, clock::boottime_ms() - self.ending.start_boottime_ms);
        let recent = &self.recent;
        self.views.iter_mut().for_each(|view| view.close(&words, recent));
        self.views.retain_mut(|view| view.flush(recent).is_ok() && view.is_waiting());
        let until = clock::boottime_ms() + VIEWS_MS;
        while !self.views.is_empty() && clock::boottime_ms() < until {
            let mut fds: Vec<PollFd<'_>> = self.views.iter().map(|view| PollFd::new(view, PollFlags::OUT)).collect();
            let timeout = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
            let _ = poll(&mut fds, Some(&timeout));
            self.views.retain_mut(|view| view.flush(recent).is_ok() && view.is_waiting());
        }
    }
}
