//! The file itself: how it is opened, and its tables of each version.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{Error, VERSION, answers, notices, results, sums};

/// `unix-excl` keeps the index of the WAL in memory and lets no other process in. Usually that index is a mapped file, and
/// a file system that cannot take a change of it (a full btrfs, measured; an XFS that was shut down) ends the process with
/// SIGBUS: the engine would die of what it has to watch out for.
pub(super) fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let db = Connection::open_with_flags_and_vfs(path, OpenFlags::default(), c"unix-excl")?;
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.set_prepared_statement_cache_capacity(32);
    Ok(db)
}

pub(super) fn migrate(db: &mut Connection, found: i64) -> Result<(), Error> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
         INSERT OR IGNORE INTO meta VALUES ('epoch', 0), ('escalation', 0);
         CREATE TABLE IF NOT EXISTS boots (id TEXT PRIMARY KEY, offset INTEGER NOT NULL) STRICT;
         CREATE TABLE IF NOT EXISTS epochs (epoch INTEGER PRIMARY KEY, boot TEXT NOT NULL) STRICT;
         CREATE TABLE IF NOT EXISTS runs (
             id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, number INTEGER NOT NULL, created INTEGER NOT NULL, ended INTEGER,
             result TEXT, dir TEXT NOT NULL, source TEXT NOT NULL, file TEXT NOT NULL, base TEXT NOT NULL, params TEXT NOT NULL,
             UNIQUE (name, number)) STRICT;
         CREATE INDEX IF NOT EXISTS runs_open ON runs (created) WHERE ended IS NULL;
         CREATE TABLE IF NOT EXISTS events (
             seq INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, at INTEGER NOT NULL, epoch INTEGER NOT NULL,
             kind TEXT NOT NULL, body TEXT NOT NULL) STRICT;
         CREATE INDEX IF NOT EXISTS events_run ON events (run, seq);",
    )?;
    if found < 2 {
        transaction.execute_batch(answers::TABLE)?;
    }
    if found < 3 {
        transaction.execute_batch(notices::TABLES)?;
    }
    if found < 4 {
        transaction.execute_batch(results::TABLE)?;
    }
    if found < 5 {
        transaction.execute_batch(sums::COLUMNS)?;
        sums::seal_all(&transaction)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(transaction.commit()?)
}
