//! A block of points as bytes: a head that says what is in it, and the points.

use super::bytes;

/// One value of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The step of the program, or the number of the point where it has none.
    pub step: i64,
    /// When it was seen, in milliseconds.
    pub at_ms: i64,
    pub value: f64,
}

/// No block has more points.
pub const LARGEST: usize = 256;

/// What a block holds, as a whole. Values that are no numbers count as points, not as values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Head {
    pub points: usize,
    /// Of them, those whose value is no number.
    pub odd: usize,
    pub steps: (i64, i64),
    pub times: (i64, i64),
    /// Of the values that are numbers; least above most when there are none.
    pub least: f64,
    pub most: f64,
    /// The newest value that is a number.
    pub last: f64,
}

/// Bytes that are no block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no block of a series: {0}")]
pub struct Bad(&'static str);

/// The points of one part of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    head: Head,
    bytes: Vec<u8>,
}

/// The first byte of a block: which format.
const FORMAT: u8 = 2;
/// One whose head does not say how many values are no numbers.
const FIRST_FORMAT: u8 = 1;
/// Format, number of points, seven numbers of eight bytes, and how many values are no numbers.
pub const HEAD: usize = FIRST_HEAD + 2;
const FIRST_HEAD: usize = 1 + 2 + 7 * 8;

impl Head {
    /// Of no points.
    pub const NOTHING: Self = Self {
        points: 0,
        odd: 0,
        steps: (i64::MAX, i64::MIN),
        times: (i64::MAX, i64::MIN),
        least: f64::INFINITY,
        most: f64::NEG_INFINITY,
        last: f64::NAN,
    };

    /// As it stands at the beginning of a block.
    pub fn bytes(&self) -> Vec<u8> {
        let short = |number: usize| u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes();
        let mut out = Vec::with_capacity(HEAD);
        out.push(FORMAT);
        out.extend(short(self.points));
        for number in [self.steps.0, self.steps.1, self.times.0, self.times.1] {
            out.extend(number.to_le_bytes());
        }
        for value in [self.least, self.most, self.last] {
            out.extend(value.to_le_bytes());
        }
        out.extend(short(self.odd));
        out
    }

    /// What [`Head::bytes`] wrote, or the beginning of a block of the first format.
    pub fn open(bytes: &[u8]) -> Result<Self, Bad> {
        let (Some(head), Some(FORMAT | FIRST_FORMAT)) = (bytes.get(..FIRST_HEAD), bytes.first().copied()) else {
            return Err(Bad("another format, or cut off"));
        };
        let short =
            |place: usize| bytes.get(place..place + 2).and_then(|two| two.try_into().ok()).map(u16::from_le_bytes);
        let points = usize::from(short(1).ok_or(Bad("cut off"))?);
        let odd = if bytes[0] == FORMAT { usize::from(short(FIRST_HEAD).ok_or(Bad("cut off"))?) } else { 0 };
        if points > LARGEST || odd > points {
            return Err(Bad("too many points"));
        }
        let mut eight = head[3..].chunks_exact(8).map(|chunk| chunk.try_into().unwrap_or([0; 8]));
        let mut next = || eight.next().unwrap_or([0; 8]);
        let steps = (i64::from_le_bytes(next()), i64::from_le_bytes(next()));
        let times = (i64::from_le_bytes(next()), i64::from_le_bytes(next()));
        let [least, most, newest] = [next(), next(), next()].map(f64::from_le_bytes);
        Ok(Self { points, odd, steps, times, least, most, last: newest })
    }

    pub(super) fn of(points: &[Point]) -> Self {
        let mut head = Self { points: points.len(), ..Self::NOTHING };
        for point in points {
            head.steps = (head.steps.0.min(point.step), head.steps.1.max(point.step));
            head.times = (head.times.0.min(point.at_ms), head.times.1.max(point.at_ms));
            if point.value.is_finite() {
                (head.least, head.most) = (head.least.min(point.value), head.most.max(point.value));
                head.last = point.value;
            } else {
                head.odd += 1;
            }
        }
        head
    }
}

impl Block {
    /// The block of these points, of which at most [`LARGEST`] are taken.
    pub fn new(points: &[Point]) -> Self {
        let points = &points[..points.len().min(LARGEST)];
        let head = Head::of(points);
        let mut out = head.bytes();
        out.reserve(points.len() * 8);
        bytes::put_even(&mut out, points.iter().map(|point| point.step));
        bytes::put_even(&mut out, points.iter().map(|point| point.at_ms));
        bytes::put_values(&mut out, &points.iter().map(|point| point.value).collect::<Vec<_>>());
        Self { head, bytes: out }
    }

    /// A block that was stored. Only its head is read.
    pub fn open(bytes: Vec<u8>) -> Result<Self, Bad> {
        let mut block = Self { head: Head::open(&bytes)?, bytes };
        if block.bytes[0] == FIRST_FORMAT {
            block.head.odd = block.points()?.iter().filter(|point| !point.value.is_finite()).count();
        }
        Ok(block)
    }

    /// What is to be stored.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Where the points are on both axes, and their values, into lists that are used again.
    pub(super) fn read_all(&self, (steps, times): (&mut Vec<i64>, &mut Vec<i64>), values: &mut Vec<f64>) -> Option<()> {
        let mut rest = &self.bytes[if self.bytes[0] == FORMAT { HEAD } else { FIRST_HEAD }..];
        steps.clear();
        times.clear();
        values.clear();
        bytes::each_even(&mut rest, self.head.points, |step| steps.push(step))?;
        bytes::each_even(&mut rest, self.head.points, |time| times.push(time))?;
        bytes::each_value(&mut rest, self.head.points, |value| values.push(value))
    }

    /// All points, in the order in which they came.
    pub fn points(&self) -> Result<Vec<Point>, Bad> {
        let (mut steps, mut times, mut values) = (Vec::new(), Vec::new(), Vec::new());
        self.read_all((&mut steps, &mut times), &mut values).ok_or(Bad("cut off, or nothing that was written"))?;
        Ok(steps
            .into_iter()
            .zip(times)
            .zip(values)
            .map(|((step, at_ms), value)| Point { step, at_ms, value })
            .collect())
    }
}
