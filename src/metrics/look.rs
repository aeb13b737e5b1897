//! Reading for pictures: the heads of all blocks, and only those blocks whose points lie in several columns.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use rusqlite::{Connection, params};

use super::Error;
use crate::series::{Axis, Block, Column, HEAD, Head, Outline, Point};

/// Heads of so many blocks stand in one row.
pub(super) const GROUP: i64 = 64;
/// Where more than one of so many blocks is opened, all between the first and the last are read at once.
const SPARSE: usize = 4;

/// One look at what is stored.
pub struct Look {
    db: Connection,
}

/// A series without its points.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlined {
    id: i64,
    pub step: String,
    pub lane: u32,
    pub attempt: u32,
    pub name: String,
    pub outline: Outline,
}

impl Look {
    pub(super) fn new(db: Connection) -> Self {
        Self { db }
    }

    /// All series of a run, by step, lane, name and attempt.
    pub fn outlines(&self, run: &str) -> Result<Vec<Outlined>, Error> {
        let sql = "SELECT id, step, lane, attempt, name FROM series WHERE run = ?1 ORDER BY step, lane, name, attempt";
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement.query_map([run], |row| {
            let outline = Outline::default();
            let (id, step, lane) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Outlined { id, step, lane, attempt: row.get(3)?, name: row.get(4)?, outline })
        })?;
        let mut all = rows.collect::<Result<Vec<_>, _>>()?;
        for one in &mut all {
            one.outline = Outline::of(self.heads(one.id)?);
        }
        Ok(all)
    }

    fn heads(&self, series: i64) -> Result<Vec<Head>, Error> {
        let mut statement = self.db.prepare_cached("SELECT n, bytes FROM heads WHERE series = ?1 ORDER BY n")?;
        let mut rows = statement.query([series])?;
        let mut heads = Vec::new();
        while let Some(row) = rows.next()? {
            let (group, bytes) = (row.get::<_, i64>(0)?, row.get_ref(1)?.as_blob().unwrap_or_default());
            self.whole(series, &mut heads, group * GROUP)?;
            heads.extend(bytes.chunks_exact(HEAD).map(|bytes| Head::open(bytes).unwrap_or(Head::NOTHING)));
        }
        self.whole(series, &mut heads, i64::MAX)?;
        Ok(heads)
    }

    /// Up to this one, the heads of blocks that do not stand beside them: the newest, and what was stored by an older engine.
    fn whole(&self, series: i64, heads: &mut Vec<Head>, to: i64) -> Result<(), Error> {
        let from = i64::try_from(heads.len()).unwrap_or(i64::MAX);
        if from >= to {
            return Ok(());
        }
        for (_, block) in self.blocks(series, from, to)? {
            heads.push(block.map_or(Head::NOTHING, |block| *block.head()));
        }
        Ok(())
    }

    fn blocks(&self, series: i64, from: i64, to: i64) -> Result<Vec<(i64, Option<Block>)>, Error> {
        let sql = "SELECT n, bytes FROM blocks WHERE series = ?1 AND n >= ?2 AND n < ?3 ORDER BY n";
        let mut statement = self.db.prepare_cached(sql)?;
        let rows =
            statement.query_map(params![series, from, to], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        rows.map(|row| row.map(|(n, bytes)| (n, Block::open(bytes).ok())).map_err(Error::from)).collect()
    }

    /// What lies in each of so many equal parts of the range.
    pub fn columns(
        &self,
        of: &Outlined,
        axis: Axis,
        range: &RangeInclusive<i64>,
        columns: usize,
    ) -> Result<Vec<Option<Column>>, Error> {
        let wanted = of.outline.wanted(axis, range, columns);
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let mut blocks = BTreeMap::new();
        if let (Some(first), Some(last)) = (wanted.first().copied(), wanted.last().copied()) {
            if wanted.len() * SPARSE > last - first {
                blocks.extend(self.blocks(of.id, number(first), number(last + 1))?);
            } else {
                for n in wanted {
                    blocks.extend(self.blocks(of.id, number(n), number(n + 1))?);
                }
            }
        }
        Ok(of.outline.columns(axis, range.clone(), columns, |n| blocks.remove(&number(n)).flatten()))
    }

    /// The newest points, of at most two blocks, oldest first.
    pub fn newest(&self, of: &Outlined) -> Result<Vec<Point>, Error> {
        let sql = "SELECT bytes FROM blocks WHERE series = ?1 ORDER BY n DESC LIMIT 2";
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement.query_map([of.id], |row| row.get::<_, Vec<u8>>(0))?;
        let mut blocks = rows.collect::<Result<Vec<_>, _>>()?;
        blocks.reverse();
        let points = blocks.into_iter().filter_map(|bytes| Block::open(bytes).ok()?.points().ok());
        Ok(points.flatten().collect())
    }
}
