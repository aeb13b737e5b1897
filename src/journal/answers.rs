//! How questions were answered, over all runs, and what came of it: a table beside the events, kept in the same
//! transactions. Owns the table `answers`; what it holds follows from the events.

use rusqlite::{Transaction, params};

use super::{Error, ReadRef};
use crate::model::{EscalationKind, Event, Time, Verdict, What};

/// The table, made with version 2 of the tables. Questions from before are not in it.
pub(super) const TABLE: &str = "CREATE TABLE IF NOT EXISTS answers (
         escalation INTEGER PRIMARY KEY, run TEXT NOT NULL, step TEXT NOT NULL, lane INTEGER NOT NULL,
         print TEXT NOT NULL, choice TEXT, by TEXT, at INTEGER, ended TEXT) STRICT;
     CREATE INDEX IF NOT EXISTS answers_print ON answers (print, at) WHERE choice IS NOT NULL;
     CREATE INDEX IF NOT EXISTS answers_due ON answers (run, step, lane) WHERE ended IS NULL;";

/// An answer that was given to a question like this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    /// The question's number.
    pub escalation: u64,
    /// `name #number` of its run.
    pub run: String,
    pub step: String,
    /// The word of the choice.
    pub choice: String,
    pub by: String,
    pub at: Time,
    /// How the attempt ended that followed; `None`: there was none, or it has not ended.
    pub ended: Option<String>,
}

/// Keeps the table in step with an event.
pub(super) fn note(transaction: &Transaction<'_>, event: &Event) -> Result<(), Error> {
    if let What::Opened { escalation } = &event.what
        && escalation.kind != EscalationKind::Gate
        && !escalation.fingerprint.is_empty()
    {
        let lane = &escalation.lane;
        let sql = "INSERT OR IGNORE INTO answers (escalation, run, step, lane, print) VALUES (?1, ?2, ?3, ?4, ?5)";
        let id = i64::try_from(escalation.id.0).unwrap_or(i64::MAX);
        let print = &escalation.fingerprint;
        let row = params![id, event.run.as_str(), lane.step.as_str(), lane.lane.0, print];
        transaction.prepare_cached(sql)?.execute(row)?;
    }
    if let What::Answered { escalation, choice, by, .. } = &event.what {
        let sql = "UPDATE answers SET choice = ?2, by = ?3, at = ?4 WHERE escalation = ?1";
        let id = i64::try_from(escalation.0).unwrap_or(i64::MAX);
        let word = choice.plain_word();
        transaction.prepare_cached(sql)?.execute(params![id, word, by.to_string(), event.at.as_ms()])?;
    }
    // What was answered about a live attempt has led to nothing yet when that one has ended.
    if let What::Judged { attempt, verdict } = &event.what
        && *verdict != Verdict::Answered
    {
        // Only answers that led to an attempt have an end.
        let sql = "UPDATE answers SET ended = ?4 WHERE run = ?1 AND step = ?2 AND lane = ?3 AND ended IS NULL
             AND choice IN ('accept', 'alternative', 'retry', 'resume', 'probe')";
        let (step, lane) = (attempt.lane.step.as_str(), attempt.lane.lane.0);
        transaction.prepare_cached(sql)?.execute(params![event.run.as_str(), step, lane, ended(verdict)])?;
    }
    Ok(())
}

fn ended(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Succeeded => "it succeeded",
        Verdict::Stopped | Verdict::Answered => "it was stopped",
        Verdict::Retry { .. }
        | Verdict::Skip { .. }
        | Verdict::Allowed
        | Verdict::Abort { .. }
        | Verdict::Ask { .. } => "it failed again",
    }
}

impl ReadRef<'_> {
    /// Answers to other questions with this fingerprint, the newest first.
    pub fn answers_like(&self, print: &str, not: u64, limit: usize) -> Result<Vec<Before>, Error> {
        let sql = "SELECT escalation, runs.name, runs.number, step, choice, by, at, answers.ended FROM answers
             JOIN runs ON runs.id = answers.run WHERE print = ?1 AND choice IS NOT NULL AND escalation != ?2
             ORDER BY at DESC LIMIT ?3";
        let (not, limit) = (i64::try_from(not).unwrap_or(-1), i64::try_from(limit).unwrap_or(i64::MAX));
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement.query_map(params![print, not, limit], |row| {
            Ok(Before {
                escalation: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
                run: format!("{} #{}", row.get::<_, String>(1)?, row.get::<_, i64>(2)?),
                step: row.get(3)?,
                choice: row.get(4)?,
                by: row.get(5)?,
                at: Time::from_ms(row.get(6)?),
                ended: row.get(7)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
