//! What steps made that need not run again, over all runs: a table beside the events, kept in the same transactions. Owns the
//! table `results`; what it holds follows from the events.

use rusqlite::{Transaction, params};

use super::record::cache::{StoredMade, read, write};
use super::{Error, ReadRef};
use crate::model::{Event, LaneId, Made, Verdict, What};

/// The table, made with version 4 of the tables. What was made before is not in it.
pub(super) const TABLE: &str = "CREATE TABLE IF NOT EXISTS results (
         run TEXT NOT NULL, step TEXT NOT NULL, lane INTEGER NOT NULL, n INTEGER NOT NULL, scope TEXT NOT NULL,
         at INTEGER NOT NULL, good INTEGER NOT NULL, made TEXT NOT NULL, PRIMARY KEY (run, step, lane, n)) STRICT;
     CREATE INDEX IF NOT EXISTS results_scope ON results (scope, at) WHERE good = 1;";

/// A result that was a success.
#[derive(Debug, Clone)]
pub struct Result {
    /// `name #number` of its run.
    pub from: String,
    /// The folder of its run.
    pub dir: String,
    pub made: Made,
}

/// Keeps the table in step with an event.
pub(super) fn note(transaction: &Transaction<'_>, event: &Event) -> std::result::Result<(), Error> {
    if let What::Exited { attempt, exit } = &event.what
        && let Some(Ok(made)) = &exit.made
    {
        insert(transaction, event, (&attempt.lane, attempt.n), made, false)?;
    }
    if let What::CacheLooked { lane, look } = &event.what
        && let Some(hit) = &look.hit
    {
        insert(transaction, event, (lane, 0), &hit.made, true)?;
    }
    if let What::Judged { attempt, verdict: Verdict::Succeeded } = &event.what {
        let sql = "UPDATE results SET good = 1 WHERE run = ?1 AND step = ?2 AND lane = ?3 AND n = ?4";
        let (step, lane) = (attempt.lane.step.as_str(), attempt.lane.lane.0);
        transaction.prepare_cached(sql)?.execute(params![event.run.as_str(), step, lane, attempt.n])?;
    }
    Ok(())
}

fn insert(
    transaction: &Transaction<'_>,
    event: &Event,
    (lane, n): (&LaneId, u32),
    made: &Made,
    good: bool,
) -> std::result::Result<(), Error> {
    let sql = "INSERT OR REPLACE INTO results (run, step, lane, n, scope, at, good, made)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let text = serde_json::to_string(&write(made)).map_err(|error| Error::Unwritable(error.into()))?;
    let row = params![event.run.as_str(), lane.step.as_str(), lane.lane.0, n, made.scope, event.at.as_ms(), good, text];
    transaction.prepare_cached(sql)?.execute(row)?;
    Ok(())
}

impl ReadRef<'_> {
    /// Successes of this scope, the newest first.
    pub fn results(&self, scope: &str, limit: usize) -> std::result::Result<Vec<Result>, Error> {
        let sql = "SELECT runs.name, runs.number, runs.dir, made FROM results JOIN runs ON runs.id = results.run
             WHERE scope = ?1 AND good = 1 ORDER BY at DESC LIMIT ?2";
        let mut statement = self.db.prepare_cached(sql)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![scope, limit], |row| {
            let from = format!("{} #{}", row.get::<_, String>(0)?, row.get::<_, i64>(1)?);
            Ok((from, row.get::<_, String>(2)?, row.get::<_, String>(3)?))
        })?;
        let mut found = Vec::new();
        for row in rows {
            let (from, dir, text) = row?;
            // One that cannot be read stands for nothing; the step runs.
            if let Ok(made) = serde_json::from_str::<StoredMade>(&text) {
                found.push(Result { from, dir, made: read(made) });
            }
        }
        Ok(found)
    }
}
