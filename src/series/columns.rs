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
pub enum Column {
    /// Points whose values are no numbers, and none that is one.
    Gap,
    Span(Span),
}

/// The numbers in one column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    pub least: f64,
    pub most: f64,
    /// The newest of them.
    pub last: f64,
    /// Where on the other axis that is.
    pub other: i64,
}

impl Column {
    fn of(head: &Head, axis: Axis) -> Self {
        let other = if axis == Axis::Step { head.times.1 } else { head.steps.1 };
        if head.least > head.most {
            return Self::Gap;
        }
        Self::Span(Span { least: head.least, most: head.most, last: head.last, other })
    }

    /// With newer points of the same column.
    fn and(self, more: Self) -> Self {
        match (self, more) {
            (Self::Span(one), Self::Span(more)) => Self::Span(Span {
                least: one.least.min(more.least),
                most: one.most.max(more.most),
                last: more.last,
                other: more.other,
            }),
            (Self::Span(span), Self::Gap) | (Self::Gap, Self::Span(span)) => Self::Span(span),
            (Self::Gap, Self::Gap) => Self::Gap,
        }
    }
}

/// Which column of a picture a place on its axis lies in. Where there are no more places than columns, the first place lies in
/// the first column and the last one in the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruler {
    range: RangeInclusive<i64>,
    columns: usize,
}

impl Ruler {
    /// Over this range, with so many columns.
    pub fn new(range: RangeInclusive<i64>, columns: usize) -> Self {
        Self { range, columns }
    }

    fn wide(&self) -> i128 {
        i128::from(*self.range.end()) - i128::from(*self.range.start()) + 1
    }

    /// So many columns to so many places.
    fn scale(&self) -> (i128, i128) {
        let (columns, wide) = (self.columns as i128, self.wide());
        if (2..=columns).contains(&wide) { (columns - 1, wide - 1) } else { (columns, wide) }
    }

    /// The column of a place; `None`: it lies outside.
    pub fn column(&self, x: i64) -> Option<usize> {
        if !self.range.contains(&x) {
            return None;
        }
        let (columns, wide) = self.scale();
        let column = (i128::from(x) - i128::from(*self.range.start())) * columns / wide;
        usize::try_from(column).ok().filter(|column| *column < self.columns)
    }

    /// The first place that is in this column or a later one.
    fn begin(&self, column: usize) -> i64 {
        let (columns, wide) = self.scale();
        let far = (column as i128 * wide + columns - 1) / columns;
        i64::try_from(i128::from(*self.range.start()) + far).unwrap_or(i64::MAX)
    }
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
        let open = Head::of(&self.open);
        range(axis, self.sealed.iter().map(Block::head).chain([&open]))
    }

    /// What lies in each of `columns` equal parts of the range; `None` where there are no points.
    pub fn columns(&self, axis: Axis, range: RangeInclusive<i64>, columns: usize) -> Vec<Option<Column>> {
        let mut picture = Picture::new(axis, range, columns);
        for block in &self.sealed {
            if !picture.head(block.head()) {
                picture.block(block);
            }
        }
        let told = |point: &Point| (point.step, point.at_ms, point.value);
        picture.points(self.open.iter().map(told));
        picture.columns
    }
}

/// A series without its points: the heads of its blocks, oldest first. A picture of much opens few of them, or none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outline {
    heads: Vec<Head>,
}

impl Outline {
    /// Of these blocks.
    pub fn of(heads: Vec<Head>) -> Self {
        Self { heads }
    }

    /// Points, and how many of them are no numbers.
    pub fn counts(&self) -> (usize, usize) {
        self.heads.iter().fold((0, 0), |(points, odd), head| (points + head.points, odd + head.odd))
    }

    /// From where to where it goes; `None` without points.
    pub fn range(&self, axis: Axis) -> Option<RangeInclusive<i64>> {
        range(axis, self.heads.iter())
    }

    /// The blocks that a picture has to open, by their numbers.
    pub fn wanted(&self, axis: Axis, range: &RangeInclusive<i64>, columns: usize) -> Vec<usize> {
        let picture = Picture::new(axis, range.clone(), columns);
        let opened = self.heads.iter().enumerate().filter(|(_, head)| picture.column_of(head).is_none());
        opened.map(|(n, _)| n).collect()
    }

    /// As [`Series::columns`], with the blocks that `open` gives.
    pub fn columns(
        &self,
        axis: Axis,
        range: RangeInclusive<i64>,
        columns: usize,
        mut open: impl FnMut(usize) -> Option<Block>,
    ) -> Vec<Option<Column>> {
        let mut picture = Picture::new(axis, range, columns);
        for (n, head) in self.heads.iter().enumerate() {
            if !picture.head(head)
                && let Some(block) = open(n)
            {
                picture.block(&block);
            }
        }
        picture.columns
    }
}

fn range<'h>(axis: Axis, heads: impl Iterator<Item = &'h Head>) -> Option<RangeInclusive<i64>> {
    let ranges = heads.filter(|head| head.points > 0).map(|head| of(axis, head));
    ranges.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1))).map(|(from, to)| from..=to)
}

fn of(axis: Axis, head: &Head) -> (i64, i64) {
    match axis {
        Axis::Step => head.steps,
        Axis::Time => head.times,
    }
}

/// A block that is narrower than this part of a column lies in the column of its middle: what is drawn then is off by less
/// than half of that.
const NARROW: i128 = 4;

struct Picture {
    axis: Axis,
    ruler: Ruler,
    columns: Vec<Option<Column>>,
    /// Kept for their memory.
    steps: Vec<i64>,
    times: Vec<i64>,
    values: Vec<f64>,
}

/// Where a block lies that is not opened.
enum Lies {
    Outside,
    In(usize),
}

impl Picture {
    fn new(axis: Axis, range: RangeInclusive<i64>, columns: usize) -> Self {
        let memory = || Vec::with_capacity(LARGEST);
        Self {
            axis,
            ruler: Ruler::new(range, columns),
            columns: vec![None; columns],
            steps: memory(),
            times: memory(),
            values: Vec::with_capacity(LARGEST),
        }
    }

    /// `None`: its points lie in several columns.
    fn column_of(&self, head: &Head) -> Option<Lies> {
        let (from, to) = of(self.axis, head);
        if head.points == 0 || from > *self.ruler.range.end() || to < *self.ruler.range.start() {
            return Some(Lies::Outside);
        }
        if let (Some(first), Some(last)) = (self.ruler.column(from), self.ruler.column(to))
            && first == last
        {
            return Some(Lies::In(first));
        }
        let long = i128::from(to) - i128::from(from);
        if long * NARROW * self.columns.len() as i128 > self.ruler.wide() {
            return None;
        }
        Some(self.ruler.column(from.midpoint(to)).map_or(Lies::Outside, Lies::In))
    }

    /// Draws a block without opening it, where that can be done.
    fn head(&mut self, head: &Head) -> bool {
        match self.column_of(head) {
            Some(Lies::In(place)) => self.add(place, Column::of(head, self.axis)),
            Some(Lies::Outside) => {}
            None => return false,
        }
        true
    }

    fn block(&mut self, block: &Block) {
        let (mut steps, mut times) = (std::mem::take(&mut self.steps), std::mem::take(&mut self.times));
        let mut values = std::mem::take(&mut self.values);
        // What cannot be read draws nothing.
        if block.read_all((&mut steps, &mut times), &mut values).is_some() {
            let axes = steps.iter().copied().zip(times.iter().copied()).zip(values.iter().copied());
            self.points(axes.map(|((step, time), value)| (step, time, value)));
        }
        (self.steps, self.times, self.values) = (steps, times, values);
    }

    /// Step, time and value of each. Neighbours lie in the same column mostly: where it begins and ends is reckoned once.
    fn points(&mut self, points: impl Iterator<Item = (i64, i64, f64)>) {
        let mut here = (1, 0, 0);
        for (step, time, value) in points {
            let (x, other) = if self.axis == Axis::Step { (step, time) } else { (time, step) };
            if x < here.0 || x > here.1 {
                let Some(place) = self.ruler.column(x) else { continue };
                here = (self.ruler.begin(place), self.ruler.begin(place + 1) - 1, place);
            }
            let column = if value.is_finite() {
                Column::Span(Span { least: value, most: value, last: value, other })
            } else {
                Column::Gap
            };
            self.add(here.2, column);
        }
    }

    fn add(&mut self, place: usize, more: Column) {
        let column = &mut self.columns[place];
        *column = Some(column.map_or(more, |column| column.and(more)));
    }
}
