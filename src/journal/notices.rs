//! The outbox: what is still to be told to somebody outside. A row is written in the transaction of the event that it
//! tells of, so that a process killed between any two writes loses none; and there is one row for each event, rule and
//! reminder, so that none is there twice. Owns the table `notices`; sends nothing.

use rusqlite::{Row, Transaction, TransactionBehavior, params};

use super::{Error, Journal, ReadRef, epoch_of};
use crate::model::{RunId, Time};

/// The tables of version 3.
pub(super) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS notices (
        id INTEGER PRIMARY KEY, run TEXT NOT NULL, event INTEGER NOT NULL, rule INTEGER NOT NULL, reminder INTEGER NOT NULL,
        kind TEXT NOT NULL, escalation INTEGER, fingerprint TEXT NOT NULL, target TEXT NOT NULL, body TEXT NOT NULL,
        made INTEGER NOT NULL, state TEXT NOT NULL, tries INTEGER NOT NULL, due INTEGER, remind INTEGER, done INTEGER,
        result TEXT NOT NULL, UNIQUE (run, event, rule, reminder)) STRICT;
    CREATE INDEX IF NOT EXISTS notices_due ON notices (due) WHERE due IS NOT NULL;
    CREATE INDEX IF NOT EXISTS notices_remind ON notices (remind) WHERE remind IS NOT NULL;";

/// Where a notice is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeState {
    /// To be sent at `due`.
    Due,
    Sent,
    /// Every try failed.
    Failed,
    /// Another one that asks the same was told and is open: not told by itself.
    Joined,
    /// Its question was answered before it could be told.
    Needless,
}

impl NoticeState {
    /// Every state, with the word that is stored and shown.
    pub const ALL: [(&'static str, Self); 5] = [
        ("due", Self::Due),
        ("sent", Self::Sent),
        ("failed", Self::Failed),
        ("joined", Self::Joined),
        ("needless", Self::Needless),
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, state)| *state == self).map_or("failed", |(word, _)| word)
    }

    fn of(word: &str) -> Self {
        Self::ALL.iter().find(|(known, _)| *known == word).map_or(Self::Failed, |(_, state)| *state)
    }
}

/// A notice that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNotice {
    pub run: RunId,
    /// The place of the rule in the workflow.
    pub rule: usize,
    /// 0: the first time it is told.
    pub reminder: u32,
    /// The word of what it tells of.
    pub kind: String,
    pub escalation: Option<u64>,
    /// Of the question; empty without one.
    pub fingerprint: String,
    /// To whom, as `daemon` writes it.
    pub target: String,
    /// What is told, as JSON.
    pub body: String,
    pub made: Time,
    /// [`NoticeState::Due`] or [`NoticeState::Joined`].
    pub state: NoticeState,
    /// When it is told again.
    pub remind: Option<Time>,
}

/// Of which event a new notice tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The one with this place among those that are committed with it.
    Place(usize),
    /// The one with this number.
    Number(u64),
}

/// A notice as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRow {
    pub id: i64,
    /// The number of the event that it tells of.
    pub event: u64,
    pub notice: NewNotice,
    /// How often it was tried.
    pub tries: u32,
    pub due: Option<Time>,
    pub done: Option<Time>,
    /// How the last try ended, in words; empty before.
    pub result: String,
}

impl NoticeRow {
    /// The same however often this notice is sent, and another one for every other notice.
    pub fn key(&self) -> String {
        let NewNotice { run, rule, reminder, .. } = &self.notice;
        format!("dw-{run}-{}-{rule}-{reminder}", self.event)
    }
}

/// What becomes of a notice after a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub id: i64,
    pub state: NoticeState,
    pub tries: u32,
    /// When it is tried again.
    pub due: Option<Time>,
    pub at: Time,
    pub result: String,
}

/// A change of the outbox without an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Ended(Outcome),
    /// It is not told again by itself.
    NoMoreReminders(i64),
    New(Of, Box<NewNotice>),
}

const COLUMNS: &str = "id, run, event, rule, reminder, kind, escalation, fingerprint, target, body, made, state, tries, due, \
                       remind, done, result";

impl Journal {
    /// Writes changes of the outbox, all or none.
    pub fn commit_notices(&mut self, changes: &[Change]) -> Result<(), Error> {
        let mine = self.epoch;
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let newest = epoch_of(&transaction)?;
        if newest != mine {
            return Err(Error::Fenced { mine, newest });
        }
        for change in changes {
            match change {
                Change::Ended(outcome) => end(&transaction, outcome)?,
                Change::NoMoreReminders(id) => {
                    transaction.execute("UPDATE notices SET remind = NULL WHERE id = ?1", [id])?;
                }
                Change::New(of, notice) => insert(&transaction, *of, &[], notice)?,
            }
        }
        Ok(transaction.commit()?)
    }
}

/// Writes a new notice; one that is there already stays as it is.
pub(super) fn insert(transaction: &Transaction<'_>, of: Of, numbers: &[i64], new: &NewNotice) -> Result<(), Error> {
    let event = match of {
        Of::Place(place) => numbers.get(place).copied().unwrap_or(0),
        Of::Number(number) => i64::try_from(number).unwrap_or(i64::MAX),
    };
    let due = (new.state == NoticeState::Due).then_some(new.made.as_ms());
    transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO notices (run, event, rule, reminder, kind, escalation, fingerprint, target, body, made,
             state, tries, due, remind, result) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0, ?12, ?13, '')",
        )?
        .execute(params![
            new.run.as_str(),
            event,
            i64::try_from(new.rule).unwrap_or(i64::MAX),
            new.reminder,
            new.kind,
            new.escalation.and_then(|id| i64::try_from(id).ok()),
            new.fingerprint,
            new.target,
            new.body,
            new.made.as_ms(),
            new.state.as_str(),
            due,
            new.remind.map(Time::as_ms),
        ])?;
    Ok(())
}

fn end(transaction: &Transaction<'_>, outcome: &Outcome) -> Result<(), Error> {
    let Outcome { id, state, tries, due, at, result } = outcome;
    let done = due.is_none().then_some(at.as_ms());
    transaction
        .prepare_cached("UPDATE notices SET state = ?2, tries = ?3, due = ?4, done = ?5, result = ?6 WHERE id = ?1")?
        .execute(params![id, state.as_str(), tries, due.map(Time::as_ms), done, result])?;
    Ok(())
}

impl ReadRef<'_> {
    /// Notices of a run, oldest first; of all runs without one.
    pub fn notices(&self, run: Option<&RunId>, limit: usize) -> Result<Vec<NoticeRow>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = self.notice_rows(
            "WHERE ?1 IS NULL OR run = ?1 ORDER BY id DESC LIMIT ?2",
            params![run.map(RunId::as_str), limit],
        )?;
        rows.reverse();
        Ok(rows)
    }

    /// Notices to be sent now, those that wait longest first.
    pub fn due_notices(&self, now: Time, limit: usize) -> Result<Vec<NoticeRow>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.notice_rows("WHERE due <= ?1 ORDER BY due, id LIMIT ?2", params![now.as_ms(), limit])
    }

    /// Told questions of which somebody is to be reminded now.
    pub fn notices_to_repeat(&self, now: Time) -> Result<Vec<NoticeRow>, Error> {
        self.notice_rows("WHERE remind <= ?1 ORDER BY remind, id", params![now.as_ms()])
    }

    /// When a notice becomes due, or a reminder, after `now`.
    pub fn next_notice(&self, now: Time) -> Result<Option<Time>, Error> {
        let of = |sql| self.db.query_row(sql, [now.as_ms()], |row| row.get::<_, Option<i64>>(0));
        let due = of("SELECT min(due) FROM notices WHERE due > ?1")?;
        let remind = of("SELECT min(remind) FROM notices WHERE remind > ?1")?;
        Ok([due, remind].into_iter().flatten().min().map(Time::from_ms))
    }

    /// The questions of a run with this fingerprint that this rule has told, or is about to tell.
    pub fn told(&self, run: &RunId, rule: usize, fingerprint: &str) -> Result<Vec<u64>, Error> {
        let mut statement = self.db.prepare_cached(
            "SELECT escalation FROM notices WHERE run = ?1 AND rule = ?2 AND fingerprint = ?3 AND state <> 'joined'
             AND escalation IS NOT NULL",
        )?;
        let rule = i64::try_from(rule).unwrap_or(i64::MAX);
        let found = statement.query_map(params![run.as_str(), rule, fingerprint], |row| row.get::<_, i64>(0))?;
        let found = found.collect::<Result<Vec<i64>, _>>()?;
        Ok(found.into_iter().filter_map(|id| u64::try_from(id).ok()).collect())
    }

    fn notice_rows(self, clause: &str, values: impl rusqlite::Params) -> Result<Vec<NoticeRow>, Error> {
        let mut statement = self.db.prepare_cached(&format!("SELECT {COLUMNS} FROM notices {clause}"))?;
        Ok(statement.query_map(values, read)?.collect::<Result<_, _>>()?)
    }
}

fn read(row: &Row<'_>) -> Result<NoticeRow, rusqlite::Error> {
    let run: String = row.get(1)?;
    let wrong = |error: crate::model::BadId| {
        rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, error.into())
    };
    let number = |n: i64| u64::try_from(n).unwrap_or(0);
    let time = |ms: Option<i64>| ms.map(Time::from_ms);
    Ok(NoticeRow {
        id: row.get(0)?,
        event: number(row.get(2)?),
        notice: NewNotice {
            run: RunId::new(&run).map_err(wrong)?,
            rule: usize::try_from(row.get::<_, i64>(3)?).unwrap_or(usize::MAX),
            reminder: row.get(4)?,
            kind: row.get(5)?,
            escalation: row.get::<_, Option<i64>>(6)?.map(number),
            fingerprint: row.get(7)?,
            target: row.get(8)?,
            body: row.get(9)?,
            made: Time::from_ms(row.get(10)?),
            state: NoticeState::of(&row.get::<_, String>(11)?),
            remind: time(row.get(14)?),
        },
        tries: row.get(12)?,
        due: time(row.get(13)?),
        done: time(row.get(15)?),
        result: row.get(16)?,
    })
}
