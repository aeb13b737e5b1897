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
const FORMAT: u8 = 1;
/// Format, number of points, and seven numbers of eight bytes.
const HEAD: usize = 1 + 2 + 7 * 8;

impl Head {
    pub(super) fn of(points: &[Point]) -> Self {
        let mut head = Self {
            points: points.len(),
            steps: (i64::MAX, i64::MIN),
            times: (i64::MAX, i64::MIN),
            least: f64::INFINITY,
            most: f64::NEG_INFINITY,
            last: f64::NAN,
        };
        for point in points {
            head.steps = (head.steps.0.min(point.step), head.steps.1.max(point.step));
            head.times = (head.times.0.min(point.at_ms), head.times.1.max(point.at_ms));
            if point.value.is_finite() {
                (head.least, head.most) = (head.least.min(point.value), head.most.max(point.value));
                head.last = point.value;
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
        let mut out = Vec::with_capacity(HEAD + points.len() * 8);
        out.push(FORMAT);
        out.extend(u16::try_from(points.len()).unwrap_or(u16::MAX).to_le_bytes());
        for number in [head.steps.0, head.steps.1, head.times.0, head.times.1] {
            out.extend(number.to_le_bytes());
        }
        for value in [head.least, head.most, head.last] {
            out.extend(value.to_le_bytes());
        }
        bytes::put_even(&mut out, points.iter().map(|point| point.step));
        bytes::put_even(&mut out, points.iter().map(|point| point.at_ms));
        bytes::put_values(&mut out, &points.iter().map(|point| point.value).collect::<Vec<_>>());
        Self { head, bytes: out }
    }

    /// A block that was stored. Only its head is read.
    pub fn open(bytes: Vec<u8>) -> Result<Self, Bad> {
        let (Some(head), Some(FORMAT)) = (bytes.get(..HEAD), bytes.first().copied()) else {
            return Err(Bad("another format, or cut off"));
        };
        let (number, rest) = head[1..].split_at(2);
        let points = usize::from(u16::from_le_bytes(number.try_into().map_err(|_| Bad("cut off"))?));
        if points > LARGEST {
            return Err(Bad("too many points"));
        }
        let mut eight = rest.chunks_exact(8).map(|chunk| chunk.try_into().unwrap_or([0; 8]));
        let mut next = || eight.next().unwrap_or([0; 8]);
        let steps = (i64::from_le_bytes(next()), i64::from_le_bytes(next()));
        let times = (i64::from_le_bytes(next()), i64::from_le_bytes(next()));
        let [least, most, newest] = [next(), next(), next()].map(f64::from_le_bytes);
        Ok(Self { head: Head { points, steps, times, least, most, last: newest }, bytes })
    }

    /// What is to be stored.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Where the points are on one axis, and their values, into lists that are used again.
    pub(super) fn read(&self, steps: bool, places: &mut Vec<i64>, values: &mut Vec<f64>) -> Option<()> {
        let mut rest = &self.bytes[HEAD..];
        places.clear();
        values.clear();
        bytes::each_even(&mut rest, self.head.points, |step| steps.then(|| places.push(step)))?;
        bytes::each_even(&mut rest, self.head.points, |time| (!steps).then(|| places.push(time)))?;
        bytes::each_value(&mut rest, self.head.points, |value| values.push(value))
    }

    /// All points, in the order in which they came.
    pub fn points(&self) -> Result<Vec<Point>, Bad> {
        let (mut steps, mut times, mut values) = (Vec::new(), Vec::new(), Vec::new());
        self.read(true, &mut steps, &mut values)
            .and_then(|()| self.read(false, &mut times, &mut values))
            .ok_or(Bad("cut off, or nothing that was written"))?;
        Ok(steps
            .into_iter()
            .zip(times)
            .zip(values)
            .map(|((step, at_ms), value)| Point { step, at_ms, value })
            .collect())
    }
}
