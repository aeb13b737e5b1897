//! The journal: every recorded fact and decision, in `SQLite` (WAL, `synchronous=FULL`). Owns `journal.db`, its tables and
//! the stored form of events. It may never decide anything, and never drops or rewrites an event. As long as an engine has
//! it open, no other process gets in: who wants to read it meanwhile asks the engine, or copies it together with its WAL.
//!
//! One transaction holds what belongs together: facts, the decisions about them, and the intents that follow. Every
//! transaction checks that this engine's epoch is still the newest: a frozen engine that wakes up late writes nothing.

mod answers;
mod frozen;
mod notices;
mod record;
mod results;
mod sums;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::model::{Event, RunId, Time, What, Workflow};

pub use answers::Before;
pub use frozen::{FILE as FROZEN, freeze, thaw};
pub use notices::{Change, NewNotice, NoticeRow, NoticeState, Of, Outcome};
pub use record::Unreadable;
pub use results::Result as EarlierResult;
use sums::EventRow;
pub use sums::Mark;
use tables::{connect, migrate};

/// The version of the tables.
const VERSION: i64 = 5;

/// What the journal cannot do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the journal {path} cannot be opened: {source}")]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error(
        "the journal {path} is damaged: {why}; nothing was changed, and running steps go on: `dogwatch recover` keeps the \
         file and makes a new one from the runs' own folders"
    )]
    Damaged { path: PathBuf, why: String },
    #[error(
        "the journal is damaged: {0}; stop the engine, then `dogwatch recover` makes a new one from the runs' own folders"
    )]
    Broken(String),
    #[error(
        "the journal was written by a newer dogwatch (tables of version {found}, this one knows {VERSION}); use that version"
    )]
    Newer { found: i64 },
    #[error("the state directory is full or read-only: {0}")]
    NoSpace(rusqlite::Error),
    #[error("a newer engine (epoch {newest}) has taken over; this one (epoch {mine}) writes no more")]
    Fenced { mine: u64, newest: u64 },
    #[error("the journal cannot be read or written: {0}")]
    Sql(rusqlite::Error),
    #[error("event {seq} of run {run} cannot be understood: {source}")]
    Unreadable { run: String, seq: u64, source: Unreadable },
    #[error("an event cannot be stored: {0}")]
    Unwritable(Unreadable),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{CannotOpen, DatabaseCorrupt, DiskFull, NotADatabase, ReadOnly, SystemIoFailure};
        match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Broken(error.to_string()),
            Some(DiskFull | ReadOnly | SystemIoFailure | CannotOpen) => Self::NoSpace(error),
            _ => Self::Sql(error),
        }
    }
}

/// What is kept of a run beside its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    pub id: RunId,
    pub name: String,
    /// Counts the runs of one name from 1.
    pub number: u64,
    pub created: Time,
    pub ended: Option<Time>,
    /// `succeeded`, …; `None` while it goes on.
    pub result: Option<String>,
    pub dir: String,
    /// The frozen workflow file, its name, the folder it is relative to, and the parameters given.
    pub source: String,
    pub file: String,
    pub base: String,
    pub params: Vec<(String, String)>,
}

/// The open journal of the one engine.
#[derive(Debug)]
pub struct Journal {
    db: Connection,
    epoch: u64,
    path: PathBuf,
    /// Where it is marked how far it has come; `None` where that cannot be written.
    mark: Option<std::fs::File>,
    /// How far it has come.
    come: Mark,
}

impl Journal {
    /// Opens or makes the journal, and takes the next epoch; `boot_id` is that of this host now.
    pub fn open(path: &Path, boot_id: &str) -> Result<Self, Error> {
        let mut db = sound(path)?;
        let found: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found < VERSION {
            migrate(&mut db, found)?;
        }
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("UPDATE meta SET value = value + 1 WHERE key = 'epoch'", [])?;
        let epoch = epoch_of(&transaction)?;
        transaction.execute(
            "INSERT OR REPLACE INTO epochs (epoch, boot) VALUES (?1, ?2)",
            params![i64::try_from(epoch).unwrap_or(i64::MAX), boot_id],
        )?;
        transaction.commit()?;
        let mark = Mark::open(path).inspect_err(|error| tracing::warn!("the journal is not marked: {error}")).ok();
        let read = ReadRef { db: &db };
        let (seq, escalation) = (read.newest_event()?, read.newest_escalation()?);
        let of = params![i64::try_from(seq).unwrap_or(i64::MAX)];
        let sum = db.query_row("SELECT sum FROM events WHERE seq = ?1", of, |row| row.get::<_, Option<i64>>(0));
        let come = Mark { tables: VERSION, seq, sum: sum.optional()?.flatten().unwrap_or(0), epoch, escalation };
        let journal = Self { db, epoch, path: path.to_owned(), mark, come };
        journal.note_mark();
        Ok(journal)
    }

    /// What is wrong with the journal at this path, if anything is; it is not changed by that, nor made.
    pub fn flaw(path: &Path) -> Option<String> {
        match sound(path) {
            Ok(_) => None,
            Err(Error::Damaged { why, .. }) => Some(why),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Makes an empty journal that goes on from this epoch and this question's number.
    pub fn make(path: &Path, boot_id: &str, epoch: u64, escalation: u64) -> Result<Self, Error> {
        let mut db = connect(path).map_err(|source| Error::Open { path: path.to_owned(), source })?;
        migrate(&mut db, 0)?;
        for (key, value) in [("epoch", epoch), ("escalation", escalation)] {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            db.execute("UPDATE meta SET value = ?1 WHERE key = ?2", params![value, key])?;
        }
        drop(db);
        Self::open(path, boot_id)
    }

    /// All that it holds is in the file, and nothing in the WAL, when this ends.
    pub fn close(self) -> Result<(), Error> {
        self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        self.db.close().map_err(|(_, error)| error.into())
    }

    /// Marks how far it has come. Where the disk does not take it, the mark stays behind, which is no harm.
    fn note_mark(&self) {
        if let Some(file) = &self.mark {
            drop(self.come.write(file));
        }
    }

    /// A second connection for reading, which never waits for the writer.
    pub fn reader(&self) -> Result<Reader, Error> {
        let db = connect(&self.path).map_err(|source| Error::Open { path: self.path.clone(), source })?;
        Ok(Reader { db })
    }

    /// This engine's epoch: higher than that of every engine before.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The clock's offset of this boot: the one kept, or `fresh`, which is kept from now on.
    pub fn boot_offset(&mut self, boot_id: &str, fresh: i64) -> Result<i64, Error> {
        let sum = sums::of_boot(boot_id, fresh);
        let row = params![boot_id, fresh, sum];
        self.db.execute("INSERT OR IGNORE INTO boots (id, offset, sum) VALUES (?1, ?2, ?3)", row)?;
        Ok(self.db.query_row("SELECT offset FROM boots WHERE id = ?1", [boot_id], |row| row.get(0))?)
    }

    /// Commits events, the rows of runs that begin with them, and the notices that tell of them, all or none. Gives the
    /// number of the last event.
    pub fn commit(&mut self, events: &[Event], new_runs: &[RunRow], notices: &[(Of, NewNotice)]) -> Result<u64, Error> {
        let mine = self.epoch;
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let newest = epoch_of(&transaction)?;
        if newest != mine {
            return Err(Error::Fenced { mine, newest });
        }
        for run in new_runs {
            insert_run(&transaction, run)?;
        }
        let mut numbers = Vec::with_capacity(events.len());
        let mut next: i64 =
            transaction.prepare_cached("SELECT coalesce(max(seq), 0) FROM events")?.query_row([], |row| row.get(0))?;
        let mut come = self.come;
        for event in events {
            next += 1;
            come.sum = insert_event(&transaction, (next, mine), event)?;
            come.seq = u64::try_from(next).unwrap_or(0);
            if let What::Opened { escalation } = &event.what {
                come.escalation = come.escalation.max(escalation.id.0);
            }
            numbers.push(next);
        }
        for (of, notice) in notices {
            notices::insert(&transaction, *of, &numbers, notice)?;
        }
        transaction.commit()?;
        self.come = come;
        self.note_mark();
        Ok(numbers.last().and_then(|last| u64::try_from(*last).ok()).unwrap_or(0))
    }

    /// Writes and commits something of no meaning: whether the disk takes it again.
    pub fn probe(&mut self) -> Result<(), Error> {
        self.db.execute("UPDATE meta SET value = value WHERE key = 'escalation'", [])?;
        Ok(())
    }

    /// The reading side, on the writer's own connection.
    pub fn read(&self) -> ReadRef<'_> {
        ReadRef { db: &self.db }
    }
}

/// A connection that only reads.
#[derive(Debug)]
pub struct Reader {
    db: Connection,
}

impl Reader {
    /// What can be read.
    pub fn read(&self) -> ReadRef<'_> {
        ReadRef { db: &self.db }
    }
}

/// What can be read of a journal.
#[derive(Debug, Clone, Copy)]
pub struct ReadRef<'a> {
    db: &'a Connection,
}

impl ReadRef<'_> {
    /// The newest escalation's number, over all runs ever.
    pub fn newest_escalation(&self) -> Result<u64, Error> {
        let found: i64 = self.db.query_row("SELECT value FROM meta WHERE key = 'escalation'", [], |row| row.get(0))?;
        Ok(u64::try_from(found).unwrap_or(0))
    }

    /// The newest event's number.
    pub fn newest_event(&self) -> Result<u64, Error> {
        let found: Option<i64> = self.db.query_row("SELECT max(seq) FROM events", [], |row| row.get(0))?;
        Ok(found.and_then(|seq| u64::try_from(seq).ok()).unwrap_or(0))
    }

    /// Runs that have not ended, oldest first.
    pub fn unfinished(&self) -> Result<Vec<RunRow>, Error> {
        self.rows("WHERE ended IS NULL ORDER BY created, rowid", params![])
    }

    /// Runs that have ended, and their folders.
    pub fn ended(&self) -> Result<Vec<(RunId, String)>, Error> {
        let mut statement = self.db.prepare_cached("SELECT id, dir FROM runs WHERE ended IS NOT NULL")?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
        let rows = rows.collect::<Result<Vec<(String, String)>, _>>()?;
        Ok(rows.into_iter().filter_map(|(id, dir)| Some((RunId::new(&id).ok()?, dir))).collect())
    }

    /// All runs, newest first.
    pub fn runs(&self, limit: usize) -> Result<Vec<RunRow>, Error> {
        self.rows("ORDER BY created DESC, rowid DESC LIMIT ?1", params![i64::try_from(limit).unwrap_or(i64::MAX)])
    }

    /// The run with this id.
    pub fn run(&self, id: &RunId) -> Result<Option<RunRow>, Error> {
        Ok(self.rows("WHERE id = ?1", params![id.as_str()])?.pop())
    }

    /// The newest run of this name, or the one with this number.
    pub fn run_named(&self, name: &str, number: Option<u64>) -> Result<Option<RunRow>, Error> {
        let number = number.and_then(|number| i64::try_from(number).ok());
        let clause = "WHERE name = ?1 AND (?2 IS NULL OR number = ?2) ORDER BY number DESC LIMIT 1";
        Ok(self.rows(clause, params![name, number])?.pop())
    }

    /// The newest run with this number, of any name.
    pub fn run_numbered(&self, number: u64) -> Result<Option<RunRow>, Error> {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        Ok(self.rows("WHERE number = ?1 ORDER BY created DESC, rowid DESC LIMIT 1", params![number])?.pop())
    }

    /// The number that the next run of this name gets.
    pub fn next_number(&self, name: &str) -> Result<u64, Error> {
        let newest: Option<i64> =
            self.db.query_row("SELECT max(number) FROM runs WHERE name = ?1", [name], |row| row.get(0))?;
        Ok(newest.and_then(|n| u64::try_from(n).ok()).unwrap_or(0) + 1)
    }

    /// The run in which this question was asked.
    pub fn run_of_escalation(&self, id: u64) -> Result<Option<RunId>, Error> {
        let found: Option<String> = self
            .db
            .query_row(
                "SELECT run FROM events WHERE kind = 'opened' AND json_extract(body, '$.opened.id') = ?1",
                [i64::try_from(id).unwrap_or(-1)],
                |row| row.get(0),
            )
            .optional()?;
        Ok(found.and_then(|id| RunId::new(&id).ok()))
    }

    /// The boot under which an attempt's intent was committed.
    pub fn boot_of_intent(&self, attempt: &crate::model::AttemptId) -> Result<Option<String>, Error> {
        let found = self.db.query_row(
            "SELECT boot FROM events JOIN epochs USING (epoch) WHERE run = ?1 AND kind = 'intended'
             AND json_extract(body, '$.intended.at.step') = ?2 AND json_extract(body, '$.intended.at.lane') = ?3
             AND json_extract(body, '$.intended.at.n') = ?4 ORDER BY seq DESC LIMIT 1",
            params![attempt.run.as_str(), attempt.lane.step.as_str(), attempt.lane.lane.0, attempt.n],
            |row| row.get(0),
        );
        Ok(found.optional()?)
    }

    /// A run's events after `since`, oldest first, with their numbers.
    pub fn events(
        &self,
        run: &RunId,
        since: u64,
        workflow: &dyn Fn() -> Result<Arc<Workflow>, String>,
    ) -> Result<Vec<(u64, Event)>, Error> {
        let mut events = Vec::new();
        self.each(run, since, workflow, &mut |seq, event| events.push((seq, event)))?;
        Ok(events)
    }

    /// The same, one after another: there are never two of them in memory.
    pub fn each(
        &self,
        run: &RunId,
        since: u64,
        workflow: &dyn Fn() -> Result<Arc<Workflow>, String>,
        take: &mut dyn FnMut(u64, Event),
    ) -> Result<(), Error> {
        let mut statement = self.db.prepare_cached(
            "SELECT seq, at, body, epoch, kind, sum FROM events WHERE run = ?1 AND seq > ?2 ORDER BY seq",
        )?;
        let mut rows = statement.query(params![run.as_str(), i64::try_from(since).unwrap_or(i64::MAX)])?;
        while let Some(row) = rows.next()? {
            let (seq, at) = (row.get(0)?, row.get(1)?);
            let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
            let (body, kind) = (text(2)?, text(4)?);
            let stored = EventRow { seq, run: run.as_str(), at, epoch: row.get(3)?, kind, body };
            if !stored.is_sound(row.get(5)?) {
                return Err(Error::Broken(format!("event {seq} is not as it was written")));
            }
            let seq = u64::try_from(seq).unwrap_or(0);
            let what = record::read(run, body, workflow).map_err(|source| Error::Unreadable {
                run: run.to_string(),
                seq,
                source,
            })?;
            take(seq, Event { run: run.clone(), at: Time::from_ms(at), what });
        }
        Ok(())
    }

    fn rows(self, clause: &str, values: impl rusqlite::Params) -> Result<Vec<RunRow>, Error> {
        rows(self.db, clause, values, true)
    }
}

/// Rows of runs; `checked`: those that are not as they were written are an error.
fn rows(db: &Connection, clause: &str, values: impl rusqlite::Params, checked: bool) -> Result<Vec<RunRow>, Error> {
    let sql = format!(
        "SELECT id, name, number, created, ended, result, dir, source, file, base, params, sum FROM runs {clause}"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map(values, |row| {
        let id: String = row.get(0)?;
        let params: String = row.get(10)?;
        let wrong =
            |column, error| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error);
        let run = RunRow {
            id: RunId::new(&id).map_err(|error| wrong(0, error.into()))?,
            name: row.get(1)?,
            number: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
            created: Time::from_ms(row.get(3)?),
            ended: row.get::<_, Option<i64>>(4)?.map(Time::from_ms),
            result: row.get(5)?,
            dir: row.get(6)?,
            source: row.get(7)?,
            file: row.get(8)?,
            base: row.get(9)?,
            params: serde_json::from_str(&params).map_err(|error| wrong(10, error.into()))?,
        };
        let kept: Option<i64> = row.get(11)?;
        let sound = !checked || kept.is_none_or(|kept| kept == sums::of_run(&run, &params));
        Ok((run, sound))
    })?;
    let mut all = Vec::new();
    for row in rows {
        let (run, sound) = row?;
        if !sound {
            return Err(Error::Broken(format!("the row of run {} is not as it was written", run.id)));
        }
        all.push(run);
    }
    Ok(all)
}

/// Opens a journal that is whole, of this version or an older one; an empty one where there is none and was none.
fn sound(path: &Path) -> Result<Connection, Error> {
    let damaged = |why: String| Error::Damaged { path: path.to_owned(), why };
    let mark = Mark::read(path);
    if mark.is_some() && !path.exists() {
        return Err(damaged("the file is gone".into()));
    }
    let wrong = |source: rusqlite::Error| {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match source.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => damaged(source.to_string()),
            _ => Error::Open { path: path.to_owned(), source },
        }
    };
    let db = connect(path).map_err(wrong)?;
    let found: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(wrong)?;
    if mark.is_some_and(|mark| mark.tables != found && (mark.tables == VERSION || found == 0)) {
        return Err(damaged(format!("its tables are said to be of version {found}, and are not")));
    }
    if found > VERSION {
        return Err(Error::Newer { found });
    }
    if found == VERSION {
        let flaw = sums::flaw(&db, path).map_err(wrong)?;
        let missed = mark.map(|mark| mark.misses(&db)).transpose().map_err(wrong)?.flatten();
        if let Some(why) = flaw.or(missed) {
            return Err(damaged(why));
        }
    }
    Ok(db)
}

fn epoch_of(transaction: &Transaction<'_>) -> Result<u64, Error> {
    let mut asked = transaction.prepare_cached("SELECT value FROM meta WHERE key = 'epoch'")?;
    let epoch: i64 = asked.query_row([], |row| row.get(0))?;
    Ok(u64::try_from(epoch).unwrap_or(0))
}

fn insert_run(transaction: &Transaction<'_>, run: &RunRow) -> Result<(), Error> {
    let params_text = serde_json::to_string(&run.params).map_err(|error| Error::Unwritable(error.into()))?;
    transaction
        .prepare_cached(
            "INSERT INTO runs (id, name, number, created, dir, source, file, base, params)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            run.id.as_str(),
            run.name,
            i64::try_from(run.number).unwrap_or(i64::MAX),
            run.created.as_ms(),
            run.dir,
            run.source,
            run.file,
            run.base,
            params_text,
        ])?;
    sums::seal_run(transaction, run.id.as_str())
}

/// Gives the sum of its row.
fn insert_event(transaction: &Transaction<'_>, (seq, epoch): (i64, u64), event: &Event) -> Result<i64, Error> {
    let body = record::write(&event.what).map_err(Error::Unwritable)?;
    let epoch = i64::try_from(epoch).unwrap_or(i64::MAX);
    let (run, at, kind) = (event.run.as_str(), event.at.as_ms(), record::kind(&event.what));
    let sum = EventRow { seq, run, at, epoch, kind, body: &body }.sum();
    transaction
        .prepare_cached(
            "INSERT INTO events (seq, run, at, epoch, kind, body, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![seq, run, at, epoch, kind, body, sum])?;
    if let What::Ended { result } = &event.what {
        let result = format!("{result:?}").to_lowercase();
        let ended = params![event.at.as_ms(), result, event.run.as_str()];
        transaction.execute("UPDATE runs SET ended = ?1, result = ?2 WHERE id = ?3", ended)?;
        sums::seal_run(transaction, event.run.as_str())?;
    }
    if matches!(event.what, What::Resumed { .. } | What::Ordered { .. }) {
        transaction.execute("UPDATE runs SET ended = NULL, result = NULL WHERE id = ?1", [event.run.as_str()])?;
        sums::seal_run(transaction, event.run.as_str())?;
    }
    if let What::Opened { escalation } = &event.what {
        let id = i64::try_from(escalation.id.0).unwrap_or(i64::MAX);
        transaction.execute("UPDATE meta SET value = max(value, ?1) WHERE key = 'escalation'", [id])?;
    }
    answers::note(transaction, event)?;
    results::note(transaction, event)?;
    Ok(sum)
}
