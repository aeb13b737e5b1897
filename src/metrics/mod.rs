//! Numbers that steps print, as series, and what finished steps teach of their time: `metrics.db` beside the journal. A
//! thread of its own writes it, so that no commit of the journal ever waits for it; what cannot be written is lost, and said.
//!
//! Owns its tables, and nothing that a decision would need after a crash.

mod look;
mod write;

pub use look::{Look, Outlined};

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};

use crate::model::AttemptId;
use crate::patience::{Habit, Habits};
use crate::series::{Block, Point, Series};

/// What cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the metrics {path} cannot be opened: {source}; move the file away, and new ones are kept in a new one")]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error("the metrics cannot be read: {0}")]
    Read(#[from] rusqlite::Error),
}

/// What a step that has succeeded teaches.
#[derive(Debug, Clone, PartialEq)]
pub struct Lesson {
    pub workflow: String,
    pub step: String,
    pub took: Duration,
    /// Of this one run.
    pub habits: Habits,
}

/// What is written.
enum Order {
    Points {
        attempt: AttemptId,
        points: Vec<(String, Point)>,
        /// `None`: they come from no source that is read on.
        read: Option<Read>,
    },
    Lesson(Lesson),
    Pin(Pin, bool),
    #[cfg(test)]
    Done(mpsc::Sender<()>),
}

/// A series of a step that a person wants to see first, in each run of that workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    pub workflow: String,
    pub step: String,
    pub name: String,
}

/// How far the sources of an attempt have been read: its output, and files by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Read {
    pub log: u64,
    pub files: std::collections::BTreeMap<String, u64>,
}

/// The way to the thread that writes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    path: PathBuf,
    orders: mpsc::Sender<Order>,
}

/// A series that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub step: String,
    pub lane: u32,
    pub attempt: u32,
    pub name: String,
    pub series: Series,
}

/// So many of the newest lessons of a step count.
const LESSONS: usize = 500;

impl Metrics {
    /// The file `metrics.db` in this folder; made when it is not there.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("metrics.db");
        let db = write::open(&path).map_err(|source| Error::Open { path: path.clone(), source })?;
        let (orders, queue) = mpsc::channel();
        std::thread::Builder::new().name("metrics".into()).spawn(move || write::Writer::new(db).run(&queue)).map_err(
            |error| Error::Open {
                path: path.clone(),
                source: rusqlite::Error::ToSqlConversionFailure(Box::new(error)),
            },
        )?;
        Ok(Self { path, orders })
    }

    /// Keeps these points of an attempt, whose sources were read so far.
    pub fn keep(&self, attempt: &AttemptId, points: Vec<(String, Point)>, read: Read) {
        // Nobody writes any more: the engine ends.
        drop(self.orders.send(Order::Points { attempt: attempt.clone(), points, read: Some(read) }));
    }

    /// Keeps what was measured of an attempt from outside.
    pub fn measured(&self, attempt: &AttemptId, points: Vec<(String, Point)>) {
        drop(self.orders.send(Order::Points { attempt: attempt.clone(), points, read: None }));
    }

    /// From now on this series comes first, or not any more.
    pub fn pin(&self, pin: Pin, pinned: bool) {
        drop(self.orders.send(Order::Pin(pin, pinned)));
    }

    /// Keeps what a success teaches.
    pub fn learn(&self, lesson: Lesson) {
        drop(self.orders.send(Order::Lesson(lesson)));
    }

    #[cfg(test)]
    fn settle(&self) {
        let (done, told) = mpsc::channel();
        self.orders.send(Order::Done(done)).expect("it writes");
        told.recv().expect("it has written");
    }

    fn reader(&self) -> Result<Connection, rusqlite::Error> {
        let db = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        db.busy_timeout(Duration::from_secs(5))?;
        Ok(db)
    }

    /// How far the sources of this attempt had been read when its newest points were kept.
    pub fn read(&self, attempt: &AttemptId) -> Result<Read, Error> {
        let sql = "SELECT read FROM sources WHERE run = ?1 AND step = ?2 AND lane = ?3 AND attempt = ?4";
        let db = self.reader()?;
        let mut statement = db.prepare(sql)?;
        let lane = &attempt.lane;
        let mut rows = statement.query(params![attempt.run.as_str(), lane.step.as_str(), lane.lane.0, attempt.n])?;
        let text: Option<String> = rows.next()?.map(|row| row.get(0)).transpose()?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    /// The series of a run, of all steps or of this one, whole or only their ends; blocks that cannot be read are left out.
    pub fn series(&self, run: &str, step: Option<&str>, ends: bool) -> Result<Vec<Found>, Error> {
        let db = self.reader()?;
        let sql = "SELECT id, step, lane, attempt, name FROM series WHERE run = ?1 AND (?2 IS NULL OR step = ?2)
             ORDER BY step, lane, name, attempt";
        let mut statement = db.prepare(sql)?;
        let rows = statement.query_map(params![run, step], |row| {
            let found = Found {
                step: row.get(1)?,
                lane: row.get(2)?,
                attempt: row.get(3)?,
                name: row.get(4)?,
                series: Series::default(),
            };
            Ok((row.get::<_, i64>(0)?, found))
        })?;
        let whole = "SELECT bytes FROM blocks WHERE series = ?1 ORDER BY n";
        let end = "SELECT bytes FROM blocks WHERE series = ?1 ORDER BY n DESC LIMIT 1";
        let mut blocks = db.prepare(if ends { end } else { whole })?;
        let mut all = Vec::new();
        for row in rows {
            let (id, mut found) = row?;
            let stored = blocks.query_map([id], |row| row.get::<_, Vec<u8>>(0))?;
            let readable = stored.filter_map(|bytes| bytes.map(|bytes| Block::open(bytes).ok()).transpose());
            found.series = Series::of(readable.collect::<Result<_, _>>()?);
            all.push(found);
        }
        Ok(all)
    }

    /// For pictures: one look at what is stored.
    pub fn look(&self) -> Result<Look, Error> {
        Ok(Look::new(self.reader()?))
    }

    /// The pinned series of a workflow, as step and name.
    pub fn pins(&self, workflow: &str) -> Result<Vec<(String, String)>, Error> {
        let db = self.reader()?;
        let mut statement = db.prepare("SELECT step, name FROM pins WHERE workflow = ?1")?;
        let rows = statement.query_map([workflow], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What the successes of a step teach: how long they took, oldest first, and their pauses.
    pub fn lessons(&self, workflow: &str, step: &str) -> Result<(Vec<Duration>, Habits), Error> {
        let db = self.reader()?;
        let sql = "SELECT took_ms, first, silence, frozen FROM lessons WHERE workflow = ?1 AND step = ?2
             ORDER BY id DESC LIMIT ?3";
        let mut statement = db.prepare(sql)?;
        let rows = statement.query_map(params![workflow, step, i64::try_from(LESSONS).unwrap_or(i64::MAX)], |row| {
            Ok((row.get::<_, i64>(0)?, [row.get::<_, f64>(1)?, row.get(2)?, row.get(3)?]))
        })?;
        let (mut took, mut habits) = (Vec::new(), Habits::default());
        for row in rows {
            let (ms, [first, silence, frozen]) = row?;
            took.push(Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
            let more = |habit: &mut Habit, longest: f64| {
                habit.runs = habit.runs.saturating_add(1);
                habit.longest = habit.longest.max(longest);
            };
            habits.silence.first = habits.silence.first.max(first);
            more(&mut habits.silence, silence);
            more(&mut habits.frozen, frozen);
        }
        took.reverse();
        Ok((took, habits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Lane, LaneId, RunId, StepId};
    use crate::series::{Axis, HEAD};

    fn attempt() -> AttemptId {
        let lane = LaneId { step: StepId::new("train").expect("legal"), lane: Lane(2) };
        AttemptId { run: RunId::new("abc234").expect("legal"), lane, n: 3 }
    }

    fn points(from: i64, to: i64) -> Vec<(String, Point)> {
        let point = |step: i64| {
            let value = 2.0 + f64::from(u16::try_from(step % 1000).expect("small")).sin() / 10.0;
            Point { step, at_ms: 1_700_000_000_000 + step * 137, value }
        };
        (from..to).map(|step| ("loss".to_owned(), point(step))).collect()
    }

    #[test]
    fn points_are_kept_over_a_restart_and_small() {
        let folder = tempfile::tempdir().expect("a folder");
        let metrics = Metrics::open(folder.path()).expect("it opens");
        let read = |log| Read { log, ..Read::default() };
        for part in 0..100 {
            metrics.keep(&attempt(), points(part * 500, part * 500 + 500), read(part.unsigned_abs()));
        }
        metrics.settle();
        drop(metrics);
        let metrics = Metrics::open(folder.path()).expect("it opens again");
        metrics.keep(&attempt(), points(50_000, 50_100), read(777));
        metrics.settle();
        let all = metrics.series("abc234", Some("train"), false).expect("it is read");
        let [found] = all.as_slice() else { panic!("{} series", all.len()) };
        assert_eq!((found.lane, found.attempt, found.name.as_str()), (2, 3, "loss"));
        let told: Vec<Point> = found.series.points().collect();
        let expected: Vec<Point> = points(0, 50_100).into_iter().map(|(_, point)| point).collect();
        assert_eq!(told, expected);
        assert_eq!(metrics.read(&attempt()).expect("it is read"), read(777));
        assert!(metrics.series("abc234", Some("other"), false).expect("it is read").is_empty());
        let db = metrics.reader().expect("it opens");
        let bytes: i64 = db.query_row("SELECT sum(length(bytes)) FROM blocks", [], |row| row.get(0)).expect("a sum");
        assert!(bytes < 20 * 50_100, "{bytes} bytes");
    }

    #[test]
    fn a_picture_reads_heads_also_where_an_older_engine_wrote_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let metrics = Metrics::open(folder.path()).expect("it opens");
        metrics.keep(&attempt(), points(0, 30_000), Read::default());
        metrics.settle();
        let all = metrics.series("abc234", None, false).expect("it is read");
        let picture = |what: &str| {
            let look = metrics.look().expect("it opens");
            let found = look.outlines("abc234").expect("they are read");
            let [one] = found.as_slice() else { panic!("{what}: {} series", found.len()) };
            let range = one.outline.range(Axis::Step).expect("it has points");
            assert_eq!((range.clone(), one.outline.counts()), (0..=29_999, (30_000, 0)), "{what}");
            for (range, columns) in [(range, 40), (7_000..=7_999, 300), (29_990..=29_999, 10)] {
                let drawn = look.columns(one, Axis::Step, &range, columns).expect("it is read");
                assert_eq!(drawn, all[0].series.columns(Axis::Step, range, columns), "{what}");
            }
            assert_eq!(look.newest(one).expect("it is read").last().map(|point| point.step), Some(29_999));
        };
        picture("as it is written");
        let db = Connection::open(&metrics.path).expect("it opens");
        let groups: i64 = db.query_row("SELECT count(*) FROM heads", [], |row| row.get(0)).expect("a count");
        assert_eq!(groups, 2, "117 complete blocks");
        db.execute("DELETE FROM heads WHERE n = 0", []).expect("it goes");
        picture("the beginning has no heads");
        db.execute("DELETE FROM heads", []).expect("they go");
        picture("nothing has");
        metrics.keep(&attempt(), points(30_000, 30_720), Read::default());
        metrics.settle();
        let length: i64 = db
            .query_row("SELECT length(bytes) FROM heads WHERE n = 1", [], |row| row.get(0))
            .expect("it is there again");
        assert_eq!(usize::try_from(length).expect("small") % HEAD, 0);
        assert_eq!(metrics.look().expect("it opens").outlines("abc234").expect("read")[0].outline.counts().0, 30_720);
    }

    #[test]
    fn what_is_pinned_stays_so_until_it_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let metrics = Metrics::open(folder.path()).expect("it opens");
        let pin = |name: &str| Pin { workflow: "w".into(), step: "train".into(), name: name.into() };
        metrics.pin(pin("loss"), true);
        metrics.pin(pin("loss"), true);
        metrics.pin(pin("lr"), true);
        metrics.pin(pin("lr"), false);
        metrics.settle();
        assert_eq!(metrics.pins("w").expect("they are read"), [("train".to_owned(), "loss".to_owned())]);
        assert!(metrics.pins("other").expect("they are read").is_empty());
    }

    #[test]
    fn successes_teach() {
        let folder = tempfile::tempdir().expect("a folder");
        let metrics = Metrics::open(folder.path()).expect("it opens");
        for took in [10_u32, 30, 20] {
            let silence = Habit { runs: 1, first: 1.5, longest: f64::from(took) };
            let habits = Habits { silence, frozen: Habit { runs: 1, first: 0.0, longest: 7.0 } };
            let took = Duration::from_secs(u64::from(took));
            metrics.learn(Lesson { workflow: "w".into(), step: "a".into(), took, habits });
        }
        metrics.settle();
        let (took, habits) = metrics.lessons("w", "a").expect("it is read");
        assert_eq!(took, [10, 30, 20].map(Duration::from_secs));
        assert_eq!((habits.silence.runs, habits.frozen.runs), (3, 3));
        assert!((habits.silence.longest - 30.0).abs() < 1e-9 && (habits.silence.first - 1.5).abs() < 1e-9);
        assert!(metrics.lessons("w", "b").expect("it is read").0.is_empty());
    }
}
