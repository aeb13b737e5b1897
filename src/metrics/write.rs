//! The thread that writes: points gathered into blocks, one transaction for all that has come meanwhile.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::look::GROUP;
use super::{Order, Read};
use crate::clock;
use crate::model::AttemptId;
use crate::series::{Block, HEAD, LARGEST, Point, Series};

/// What comes in so short a time is written together.
const TOGETHER: Duration = Duration::from_millis(500);
/// Orders in one transaction.
const MOST: usize = 4096;
/// Series whose newest points are held; when there are more, they are read again.
const HELD: usize = 4096;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS series (
        id INTEGER PRIMARY KEY, run TEXT NOT NULL, step TEXT NOT NULL, lane INTEGER NOT NULL, attempt INTEGER NOT NULL,
        name TEXT NOT NULL, UNIQUE (run, step, lane, attempt, name));
    CREATE TABLE IF NOT EXISTS blocks (
        series INTEGER NOT NULL, n INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (series, n)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS heads (
        series INTEGER NOT NULL, n INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (series, n)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS pins (
        workflow TEXT NOT NULL, step TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (workflow, step, name)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS sources (
        run TEXT NOT NULL, step TEXT NOT NULL, lane INTEGER NOT NULL, attempt INTEGER NOT NULL, read TEXT NOT NULL,
        PRIMARY KEY (run, step, lane, attempt)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS lessons (
        id INTEGER PRIMARY KEY, workflow TEXT NOT NULL, step TEXT NOT NULL, took_ms INTEGER NOT NULL, first REAL NOT NULL,
        silence REAL NOT NULL, frozen REAL NOT NULL);
    CREATE INDEX IF NOT EXISTS lessons_of ON lessons (workflow, step, id);
";

/// Opens the file for writing. A crash of the machine may cost the newest points, never the file.
pub(super) fn open(path: &Path) -> Result<Connection, rusqlite::Error> {
    let db = Connection::open(path)?;
    db.busy_timeout(Duration::from_secs(5))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "NORMAL")?;
    db.execute_batch(TABLES)?;
    Ok(db)
}

/// Points by their series.
type Named = HashMap<String, Vec<Point>>;

/// The newest points of a series, which are in no complete block yet.
struct Held {
    id: i64,
    n: i64,
    series: Series,
}

pub(super) struct Writer {
    db: Connection,
    held: HashMap<(AttemptId, String), Held>,
    /// That something could not be written was said.
    said: bool,
}

impl Writer {
    pub(super) fn new(db: Connection) -> Self {
        Self { db, held: HashMap::new(), said: false }
    }

    /// Until nobody can give an order any more.
    pub(super) fn run(mut self, queue: &Receiver<Order>) {
        while let Ok(first) = queue.recv() {
            let mut orders = vec![first];
            clock::pause(TOGETHER);
            orders.extend(queue.try_iter().take(MOST));
            match self.write(orders) {
                Ok(()) => self.said = false,
                Err(error) => {
                    // What is held may differ from what is stored: it is read again.
                    self.held.clear();
                    if !std::mem::replace(&mut self.said, true) {
                        tracing::warn!("metrics are lost: {error}");
                    }
                }
            }
        }
    }

    fn write(&mut self, orders: Vec<Order>) -> Result<(), rusqlite::Error> {
        if self.held.len() > HELD {
            self.held.clear();
        }
        let transaction = self.db.transaction()?;
        let mut touched: HashMap<AttemptId, (Named, Option<Read>)> = HashMap::new();
        #[cfg(test)]
        let mut waiting = Vec::new();
        for order in orders {
            match order {
                Order::Points { attempt, points, read } => {
                    let (series, newest) = touched.entry(attempt).or_default();
                    *newest = read.or(newest.take());
                    for (name, point) in points {
                        series.entry(name).or_default().push(point);
                    }
                }
                Order::Lesson(lesson) => learn(&transaction, &lesson)?,
                Order::Pin(pin, true) => mark(&transaction, &pin, "INSERT OR IGNORE INTO pins VALUES (?1, ?2, ?3)")?,
                Order::Pin(pin, false) => {
                    mark(&transaction, &pin, "DELETE FROM pins WHERE workflow = ?1 AND step = ?2 AND name = ?3")?;
                }
                #[cfg(test)]
                Order::Done(done) => waiting.push(done),
            }
        }
        for (attempt, (series, read)) in touched {
            for (name, points) in series {
                put(&transaction, &mut self.held, (&attempt, name), &points)?;
            }
            read.map_or(Ok(()), |read| sources(&transaction, &attempt, &read))?;
        }
        transaction.commit()?;
        #[cfg(test)]
        for done in waiting {
            let _ = done.send(());
        }
        Ok(())
    }
}

fn learn(transaction: &Transaction<'_>, lesson: &super::Lesson) -> Result<(), rusqlite::Error> {
    let sql = "INSERT INTO lessons (workflow, step, took_ms, first, silence, frozen) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let took = i64::try_from(lesson.took.as_millis()).unwrap_or(i64::MAX);
    let (silence, frozen) = (lesson.habits.silence, lesson.habits.frozen);
    transaction.prepare_cached(sql)?.execute(params![
        lesson.workflow,
        lesson.step,
        took,
        silence.first,
        silence.longest,
        frozen.longest
    ])?;
    Ok(())
}

fn mark(transaction: &Transaction<'_>, pin: &super::Pin, sql: &str) -> Result<(), rusqlite::Error> {
    transaction.prepare_cached(sql)?.execute(params![pin.workflow, pin.step, pin.name]).map(drop)
}

fn sources(transaction: &Transaction<'_>, attempt: &AttemptId, read: &Read) -> Result<(), rusqlite::Error> {
    let sql = "INSERT OR REPLACE INTO sources (run, step, lane, attempt, read) VALUES (?1, ?2, ?3, ?4, ?5)";
    let text = serde_json::to_string(read).unwrap_or_default();
    let lane = &attempt.lane;
    transaction.prepare_cached(sql)?.execute(params![
        attempt.run.as_str(),
        lane.step.as_str(),
        lane.lane.0,
        attempt.n,
        text
    ])?;
    Ok(())
}

/// Appends points to a series: complete blocks stay as they are, the newest one is replaced.
fn put(
    transaction: &Transaction<'_>,
    held: &mut HashMap<(AttemptId, String), Held>,
    (attempt, name): (&AttemptId, String),
    points: &[Point],
) -> Result<(), rusqlite::Error> {
    let key = (attempt.clone(), name);
    if !held.contains_key(&key) {
        let found = find(transaction, attempt, &key.1)?;
        held.insert(key.clone(), found);
    }
    let Some(held) = held.get_mut(&key) else { return Ok(()) };
    let id = held.id;
    let store = |n: i64, block: &Block| {
        let sql = "INSERT OR REPLACE INTO blocks (series, n, bytes) VALUES (?1, ?2, ?3)";
        transaction.prepare_cached(sql)?.execute(params![id, n, block.bytes()]).map(drop)
    };
    for point in points {
        if let Some(block) = held.series.push(*point) {
            store(held.n, block)?;
            sealed(transaction, id, held.n, block)?;
            held.n += 1;
            held.series = Series::default();
        }
    }
    held.series.unsealed().map_or(Ok(()), |block| store(held.n, &block))
}

/// The head of a block that is complete, beside those before it: a picture of all of a series reads nothing else.
fn sealed(transaction: &Transaction<'_>, series: i64, n: i64, block: &Block) -> Result<(), rusqlite::Error> {
    let (group, place) = (n / GROUP, usize::try_from(n % GROUP).unwrap_or(0));
    let known = "SELECT bytes FROM heads WHERE series = ?1 AND n = ?2";
    let known: Option<Vec<u8>> =
        transaction.prepare_cached(known)?.query_row(params![series, group], |row| row.get(0)).optional()?;
    let mut heads = known.unwrap_or_default();
    if heads.len() != place * HEAD {
        // Blocks that were stored before there were heads beside them.
        heads.clear();
        let before = "SELECT bytes FROM blocks WHERE series = ?1 AND n >= ?2 AND n < ?3 ORDER BY n";
        let mut statement = transaction.prepare_cached(before)?;
        let rows = statement.query_map(params![series, group * GROUP, n], |row| row.get::<_, Vec<u8>>(0))?;
        for bytes in rows {
            heads.extend(Block::open(bytes?).map(|block| block.head().bytes()).unwrap_or_default());
        }
        if heads.len() != place * HEAD {
            return Ok(());
        }
    }
    heads.extend(block.head().bytes());
    let sql = "INSERT OR REPLACE INTO heads (series, n, bytes) VALUES (?1, ?2, ?3)";
    transaction.prepare_cached(sql)?.execute(params![series, group, heads]).map(drop)
}

/// The series as it is stored; made when it is not there.
fn find(transaction: &Transaction<'_>, attempt: &AttemptId, name: &str) -> Result<Held, rusqlite::Error> {
    let lane = &attempt.lane;
    let keys = params![attempt.run.as_str(), lane.step.as_str(), lane.lane.0, attempt.n, name];
    let make = "INSERT OR IGNORE INTO series (run, step, lane, attempt, name) VALUES (?1, ?2, ?3, ?4, ?5)";
    transaction.prepare_cached(make)?.execute(keys)?;
    let of = "SELECT id FROM series WHERE run = ?1 AND step = ?2 AND lane = ?3 AND attempt = ?4 AND name = ?5";
    let id: i64 = transaction.prepare_cached(of)?.query_row(keys, |row| row.get(0))?;
    let newest = "SELECT n, bytes FROM blocks WHERE series = ?1 ORDER BY n DESC LIMIT 1";
    let newest: Option<(i64, Vec<u8>)> =
        transaction.prepare_cached(newest)?.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((n, bytes)) = newest else { return Ok(Held { id, n: 0, series: Series::default() }) };
    let points = Block::open(bytes).ok().and_then(|block| block.points().ok()).unwrap_or_default();
    let mut series = Series::default();
    if points.is_empty() || points.len() >= LARGEST {
        return Ok(Held { id, n: n + 1, series });
    }
    for point in points {
        series.push(point);
    }
    Ok(Held { id, n, series })
}
