//! A series as the columns of a picture: the least and the most of each, so that no spike is lost. A block that lies in
//! one column is not opened.

use std::ops::RangeInclusive;

use super::block::{Block, Head, LARGEST, Point};

/// What the picture's columns stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    Step,
    Time,
}

/// What lies in one column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Column {
    pub least: f64,
    pub most: f64,
    /// The newest of them.
    pub last: f64,
}

/// One metric of one attempt: blocks that are complete, and the points since.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    sealed: Vec<Block>,
    open: Vec<Point>,
}

impl Series {
    /// A series that was stored, oldest block first.
    pub fn of(blocks: Vec<Block>) -> Self {
        Self { sealed: blocks, open: Vec::new() }
    }

    /// Takes a point in; gives the block that it completes. What is in none yet is [`Series::unsealed`].
    pub fn push(&mut self, point: Point) -> Option<&Block> {
        self.open.push(point);
        if self.open.len() < LARGEST {
            return None;
        }
        self.sealed.push(Block::new(&self.open));
        self.open.clear();
        self.sealed.last()
    }

    /// The newest points as a block, to be stored now and replaced later.
    pub fn unsealed(&self) -> Option<Block> {
        (!self.open.is_empty()).then(|| Block::new(&self.open))
    }

    pub fn len(&self) -> usize {
        self.sealed.iter().map(|block| block.head().points).sum::<usize>() + self.open.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All points, oldest first; blocks that cannot be read are left out.
    pub fn points(&self) -> impl Iterator<Item = Point> + '_ {
        let sealed = self.sealed.iter().flat_map(|block| block.points().unwrap_or_default());
        sealed.chain(self.open.iter().copied())
    }

    /// From where to where it goes; `None` without points.
    pub fn range(&self, axis: Axis) -> Option<RangeInclusive<i64>> {
        let heads = self.sealed.iter().map(|block| *block.head()).chain([Head::of(&self.open)]);
        let ranges = heads.filter(|head| head.points > 0).map(|head| of(axis, &head));
        ranges.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1))).map(|(from, to)| from..=to)
    }

    /// What lies in each of `columns` equal parts of the range; nothing where there are no numbers.
    pub fn columns(&self, axis: Axis, range: RangeInclusive<i64>, columns: usize) -> Vec<Option<Column>> {
        let mut picture = Picture {
            axis,
            range,
            columns: vec![None; columns],
            places: Vec::with_capacity(LARGEST),
            values: Vec::with_capacity(LARGEST),
        };
        for block in &self.sealed {
            let head = block.head();
            let (from, to) = of(axis, head);
            if head.points == 0 || from > *picture.range.end() || to < *picture.range.start() {
                continue;
            }
            match (picture.place(from), picture.place(to)) {
                (Some(first), Some(last)) if first == last => {
                    picture.add(first, Column { least: head.least, most: head.most, last: head.last });
                }
                _ => picture.block(block),
            }
        }
        picture.open(&self.open);
        picture.columns
    }
}

fn of(axis: Axis, head: &Head) -> (i64, i64) {
    match axis {
        Axis::Step => head.steps,
        Axis::Time => head.times,
    }
}

struct Picture {
    axis: Axis,
    range: RangeInclusive<i64>,
    columns: Vec<Option<Column>>,
    /// Kept for their memory.
    places: Vec<i64>,
    values: Vec<f64>,
}

impl Picture {
    fn place(&self, x: i64) -> Option<usize> {
        if !self.range.contains(&x) {
            return None;
        }
        let wide = i128::from(*self.range.end()) - i128::from(*self.range.start()) + 1;
        let place = (i128::from(x) - i128::from(*self.range.start())) * self.columns.len() as i128 / wide;
        usize::try_from(place).ok().filter(|place| *place < self.columns.len())
    }

    fn block(&mut self, block: &Block) {
        let (mut places, mut values) = (std::mem::take(&mut self.places), std::mem::take(&mut self.values));
        // What cannot be read draws nothing.
        if block.read(self.axis == Axis::Step, &mut places, &mut values).is_some() {
            self.points(places.iter().copied().zip(values.iter().copied()));
        }
        (self.places, self.values) = (places, values);
    }

    fn open(&mut self, points: &[Point]) {
        let axis = self.axis;
        self.points(points.iter().map(|point| match axis {
            Axis::Step => (point.step, point.value),
            Axis::Time => (point.at_ms, point.value),
        }));
    }

    /// Neighbours lie in the same column mostly: where it begins and ends is reckoned once.
    fn points(&mut self, points: impl Iterator<Item = (i64, f64)>) {
        let mut here = (1, 0, 0);
        for (x, value) in points.filter(|(_, value)| value.is_finite()) {
            if x < here.0 || x > here.1 {
                let Some(place) = self.place(x) else { continue };
                here = (self.begin(place), self.begin(place + 1) - 1, place);
            }
            self.add(here.2, Column { least: value, most: value, last: value });
        }
    }

    /// The first place on the axis that is in this column.
    fn begin(&self, place: usize) -> i64 {
        let wide = i128::from(*self.range.end()) - i128::from(*self.range.start()) + 1;
        let columns = self.columns.len() as i128;
        let far = (place as i128 * wide + columns - 1) / columns;
        i64::try_from(i128::from(*self.range.start()) + far).unwrap_or(i64::MAX)
    }

    fn add(&mut self, place: usize, more: Column) {
        // A block of nothing but NaN.
        if more.least > more.most {
            return;
        }
        let column = self.columns[place].get_or_insert(more);
        *column = Column { least: column.least.min(more.least), most: column.most.max(more.most), last: more.last };
    }
}
