//! Writes each run's record as a file, elsewhere than in the loop: it reads the whole journal of a run, which may be long.
//! One record after another, and no more often than is worth what it takes. Decides nothing.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::boottime_ms;
use crate::engine::Run;
use crate::faults::crash_point;
use crate::journal::{self, Reader};

/// Between two records at least.
pub(super) const OFTEN: Duration = Duration::from_millis(500);
/// Of all time, writing records takes at most one part in so many.
const PART: i64 = 20;

/// A record that is to be written: the run as it is now, and the number of the newest event then.
struct Job {
    run: Run,
    newest: u64,
}

#[derive(Default)]
struct Desk {
    jobs: VecDeque<Job>,
    /// Somebody is writing.
    busy: bool,
    /// For who writes next. Open from the beginning: on a disk that is in trouble no file is opened anew.
    reader: Option<Reader>,
    /// In `CLOCK_BOOTTIME` milliseconds: until then those that are only behind can wait.
    rests_until: i64,
}

/// Who writes. Cheap to clone.
#[derive(Clone)]
pub(super) struct Scribe(Arc<Mutex<Desk>>);

impl Scribe {
    /// One that reads the journal by this.
    pub(super) fn new(reader: Reader) -> Self {
        Self(Arc::new(Mutex::new(Desk { reader: Some(reader), ..Desk::default() })))
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Whoever panicked there left whole jobs behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a record that is only behind can wait; `None`: it is to be written now.
    pub(super) fn rests(&self) -> Option<Duration> {
        let desk = self.desk();
        let left = desk.rests_until - boottime_ms();
        if desk.busy {
            return Some(OFTEN);
        }
        u64::try_from(left).ok().filter(|left| *left > 0).map(Duration::from_millis)
    }

    /// Has a record written, after those before it.
    pub(super) fn write(&self, run: Run, newest: u64) {
        let mut desk = self.desk();
        // What is newer makes what was to be written needless.
        desk.jobs.retain(|job| job.run.id != run.id);
        desk.jobs.push_back(Job { run, newest });
        if !std::mem::replace(&mut desk.busy, true) {
            let scribe = self.clone();
            tokio::task::spawn_blocking(move || scribe.work());
        }
    }

    fn work(&self) {
        let began = boottime_ms();
        let reader = self.desk().reader.take();
        loop {
            let job = {
                let mut desk = self.desk();
                let Some(job) = desk.jobs.pop_front() else {
                    desk.busy = false;
                    desk.reader = reader;
                    let now = boottime_ms();
                    desk.rests_until = now + (now - began) * PART;
                    return;
                };
                job
            };
            let Some(read) = &reader else { continue };
            // A defect there costs this record, not those after it.
            let id = &job.run.id;
            match catch_unwind(AssertUnwindSafe(|| record(&job, read))) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!("record.md of {id} is behind: {error}"),
                Err(_) => tracing::error!("record.md of {id} cannot be written; this is a defect of dogwatch"),
            }
        }
    }
}

fn record(job: &Job, reader: &Reader) -> Result<(), journal::Error> {
    let run = &job.run;
    let mut events = Vec::new();
    reader.read().each(&run.id, 0, &|| Ok(Arc::clone(&run.workflow)), &mut |seq, event| {
        if seq <= job.newest {
            events.push((seq, event));
        }
    })?;
    let text = crate::report::record::record(run, &events);
    drop(events);
    let path = Path::new(&run.dir).join("record.md");
    let fresh = path.with_extension("new");
    // In one step: a reader sees the old or the new one.
    crash_point("engine.before-record");
    if let Err(error) = std::fs::write(&fresh, text).and_then(|()| std::fs::rename(&fresh, &path)) {
        tracing::warn!("{} is behind: {error}", path.display());
    }
    crash_point("engine.after-record");
    Ok(())
}
