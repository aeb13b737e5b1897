//! What tells a damaged journal from a sound one: a sum beside every row that decisions follow from, `SQLite`'s own check of
//! its pages, and a mark beside the file that says how far it had come. A journal that was damaged is refused, never misread.

use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, params};

use super::{Error, RunRow};

/// The columns, made with version 5 of the tables. Rows from before get their sums then.
pub(super) const COLUMNS: &str = "ALTER TABLE events ADD COLUMN sum INTEGER; ALTER TABLE runs ADD COLUMN sum INTEGER;
     ALTER TABLE boots ADD COLUMN sum INTEGER;";

/// What is larger is checked by its pages only, and row by row when it is read.
const WHOLE: u64 = 256 * 1024 * 1024;
/// Bytes of the mark: it is written in place.
const MARK: usize = 160;

/// The sum of these parts, each with its length.
fn sum(parts: &[&[u8]]) -> i64 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    i64::from_le_bytes(first)
}

/// An event's row.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventRow<'a> {
    pub(super) seq: i64,
    pub(super) run: &'a str,
    pub(super) at: i64,
    pub(super) epoch: i64,
    pub(super) kind: &'a str,
    pub(super) body: &'a str,
}

impl EventRow<'_> {
    pub(super) fn sum(&self) -> i64 {
        let numbers = [self.seq, self.at, self.epoch].map(i64::to_le_bytes).concat();
        sum(&[&numbers, self.run.as_bytes(), self.kind.as_bytes(), self.body.as_bytes()])
    }

    /// Rows that an older dogwatch wrote have none.
    pub(super) fn is_sound(&self, kept: Option<i64>) -> bool {
        kept.is_none_or(|kept| kept == self.sum())
    }
}

/// Of a run's row.
pub(super) fn of_run(row: &RunRow, params: &str) -> i64 {
    let ended = row.ended.map_or_else(|| "-".into(), |ended| ended.as_ms().to_string());
    let result = row.result.clone().unwrap_or_else(|| "-".into());
    let numbers = format!("{} {} {ended} {result}", row.number, row.created.as_ms());
    let texts = [row.id.as_str(), &row.name, &numbers, &row.dir, &row.source, &row.file, &row.base, params];
    sum(&texts.map(str::as_bytes))
}

/// Of a boot's row.
pub(super) fn of_boot(id: &str, offset: i64) -> i64 {
    sum(&[id.as_bytes(), &offset.to_le_bytes()])
}

/// Makes the sum of a run's row anew: after each change of it.
pub(super) fn seal_run(transaction: &Transaction<'_>, id: &str) -> Result<(), Error> {
    let mut rows = super::rows(transaction, "WHERE id = ?1", params![id], false)?;
    if let Some(row) = rows.pop() {
        let text = serde_json::to_string(&row.params).map_err(|error| Error::Unwritable(error.into()))?;
        transaction.execute("UPDATE runs SET sum = ?1 WHERE id = ?2", params![of_run(&row, &text), id])?;
    }
    Ok(())
}

/// Gives the rows of an older version their sums.
pub(super) fn seal_all(transaction: &Transaction<'_>) -> Result<(), Error> {
    let mut all = transaction.prepare("SELECT seq, run, at, epoch, kind, body FROM events WHERE sum IS NULL")?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        let (run, kind, body): (String, String, String) = (row.get(1)?, row.get(4)?, row.get(5)?);
        let (seq, at, epoch) = (row.get(0)?, row.get(2)?, row.get(3)?);
        let sum = EventRow { seq, run: &run, at, epoch, kind: &kind, body: &body }.sum();
        transaction.prepare_cached("UPDATE events SET sum = ?1 WHERE seq = ?2")?.execute(params![sum, seq])?;
    }
    let mut runs = transaction.prepare("SELECT id FROM runs")?;
    let ids = runs.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    for id in ids {
        seal_run(transaction, &id)?;
    }
    let mut boots = transaction.prepare("SELECT id, offset FROM boots")?;
    let boots = boots.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    for (id, offset) in boots.collect::<Result<Vec<_>, _>>()? {
        transaction.execute("UPDATE boots SET sum = ?1 WHERE id = ?2", params![of_boot(&id, offset), id])?;
    }
    Ok(())
}

/// What is wrong with a journal's pages and rows; nothing is changed.
pub(super) fn flaw(db: &Connection, path: &Path) -> Result<Option<String>, rusqlite::Error> {
    let size = std::fs::metadata(path).map_or(0, |meta| meta.len());
    let check = if size > WHOLE { "PRAGMA quick_check(1)" } else { "PRAGMA integrity_check(1)" };
    let said: String = db.query_row(check, [], |row| row.get(0))?;
    if said != "ok" {
        // Its first line is a heading: `*** in database main ***`.
        let told = said.lines().find(|line| !line.starts_with("***")).unwrap_or(&said);
        return Ok(Some(told.trim().to_owned()));
    }
    if size > WHOLE {
        return Ok(None);
    }
    let mut events = db.prepare("SELECT seq, run, at, epoch, kind, body, sum FROM events")?;
    let mut rows = events.query([])?;
    while let Some(row) = rows.next()? {
        let (run, kind, body) = (row.get_ref(1)?.as_str()?, row.get_ref(4)?.as_str()?, row.get_ref(5)?.as_str()?);
        let event = EventRow { seq: row.get(0)?, run, at: row.get(2)?, epoch: row.get(3)?, kind, body };
        if !event.is_sound(row.get(6)?) {
            return Ok(Some(format!("event {} is not as it was written", event.seq)));
        }
    }
    let mut boots = db.prepare("SELECT id, offset, sum FROM boots")?;
    let mut rows = boots.query([])?;
    while let Some(row) = rows.next()? {
        let kept: Option<i64> = row.get(2)?;
        if kept.is_some_and(|kept| {
            row.get_ref(0).is_ok_and(|id| of_boot(id.as_str().unwrap_or(""), row.get(1).unwrap_or(0)) != kept)
        }) {
            return Ok(Some("the clock of a boot is not as it was written".into()));
        }
    }
    match super::rows(db, "", [], true) {
        Ok(_) => Ok(None),
        Err(Error::Sql(error) | Error::NoSpace(error)) => Err(error),
        Err(error) => Ok(Some(error.to_string())),
    }
}

/// How far the journal had come when it was last written, beside it. Written after each transaction and not synced: after a
/// power cut it may be behind, never ahead. A journal that is behind it has lost something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub tables: i64,
    pub seq: u64,
    /// Of the event with that number.
    pub sum: i64,
    pub epoch: u64,
    pub escalation: u64,
}

/// Where it is.
pub(super) fn place(journal: &Path) -> PathBuf {
    let mut name = journal.as_os_str().to_owned();
    name.push(".mark");
    name.into()
}

impl Mark {
    /// The mark of the journal at this path. One that is not whole counts for none.
    pub fn read(journal: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(place(journal)).ok()?;
        let (numbers, check) = text.trim_end().rsplit_once(' ')?;
        if *check != blake3::hash(numbers.as_bytes()).to_hex()[..16] {
            return None;
        }
        let mut words = numbers.split(' ');
        Some(Self {
            tables: words.next()?.parse().ok()?,
            seq: words.next()?.parse().ok()?,
            sum: words.next()?.parse().ok()?,
            epoch: words.next()?.parse().ok()?,
            escalation: words.next()?.parse().ok()?,
        })
    }

    pub(super) fn open(journal: &Path) -> std::io::Result<File> {
        File::options().write(true).create(true).truncate(false).mode(0o600).open(place(journal))
    }

    pub(super) fn write(self, file: &File) -> std::io::Result<()> {
        let Self { tables, seq, sum, epoch, escalation } = self;
        let numbers = format!("{tables} {seq} {sum} {epoch} {escalation}");
        let line = format!("{numbers} {}", &blake3::hash(numbers.as_bytes()).to_hex()[..16]);
        file.write_all_at(format!("{line:<width$}\n", width = MARK - 1).as_bytes(), 0)
    }

    /// What a sound journal with this mark has lost.
    pub(super) fn misses(&self, db: &Connection) -> Result<Option<String>, rusqlite::Error> {
        let number =
            |key: &str| db.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get::<_, i64>(0));
        let behind = |found: i64, marked: u64| u64::try_from(found).is_ok_and(|found| found < marked);
        if behind(number("epoch")?, self.epoch) || behind(number("escalation")?, self.escalation) {
            return Ok(Some("it is older than it was: what was written last is missing".into()));
        }
        if self.seq == 0 {
            return Ok(None);
        }
        let seq = i64::try_from(self.seq).unwrap_or(i64::MAX);
        let kept = db.query_row("SELECT sum FROM events WHERE seq = ?1", [seq], |row| row.get::<_, Option<i64>>(0));
        Ok(match kept {
            Ok(Some(kept)) if kept != self.sum => Some(format!("event {seq} is another one than was written")),
            Ok(_) => None,
            Err(rusqlite::Error::QueryReturnedNoRows) => {
                Some(format!("event {seq} is missing: what was written last has been cut off"))
            }
            Err(error) => return Err(error),
        })
    }
}
