//! Numbers with names in lines, and series of them: what was put in comes out, in few bytes.

use dogwatch::gauge::metrics::{groups, members, pairs};
use dogwatch::series::{Axis, Block, Column, HEAD, Head, Outline, Point, Ruler, Series};

use crate::support::rhythms::{Chance, whole};

/// A line, and the names, numbers and units in it.
type Line = (&'static str, &'static [(&'static str, f64, &'static str)]);

#[test]
fn pairs_are_found_and_what_looks_like_them_is_not() {
    let table: &[Line] = &[
        ("loss=0.5 lr=1.00e-01", &[("loss", 0.5, ""), ("lr", 0.1, "")]),
        ("train/loss: -0.5, val_acc = 93.1%", &[("train/loss", -0.5, ""), ("val_acc", 93.1, "%")]),
        (
            "{'loss': 0.25, 'grad_norm': nan, 'epoch': 1.0}",
            &[("loss", 0.25, ""), ("grad_norm", f64::NAN, ""), ("epoch", 1.0, "")],
        ),
        ("{\"loss\":0.25,\"n\":3}", &[("loss", 0.25, ""), ("n", 3.0, "")]),
        ("62%|##| 3/6 [00:01<00:02, 3.4it/s, loss=1.9, v_num=0]", &[("loss", 1.9, ""), ("v_num", 0.0, "")]),
        ("time=12ms rate: 180MB/s mem=1.5GiB.", &[("time", 12.0, "ms"), ("rate", 180.0, "MB/s"), ("mem", 1.5, "GiB")]),
        ("loss:0.5 ppl=-inf", &[("loss", 0.5, ""), ("ppl", f64::NEG_INFINITY, "")]),
        ("done. acc: 3.", &[("acc", 3.0, "")]),
        ("loss=1,lr=2", &[("loss", 1.0, ""), ("lr", 2.0, "")]),
        // Times, addresses, versions, dates, names.
        ("12:30:05 started", &[]),
        ("host:8080 localhost:80", &[]),
        ("version=1.2.3 date=2026-01-02 id=3fa4 x=0x1f", &[]),
        ("http://host:80/a?b=c", &[]),
        ("file.py:12: error", &[]),
        ("a == 3, 5=5, =3, x=", &[]),
        ("state: nano, mode=info", &[]),
        ("", &[]),
    ];
    for (line, expected) in table {
        let found = pairs(line);
        let same = found.len() == expected.len()
            && found.iter().zip(*expected).all(|(found, (name, value, unit))| {
                found.name == *name && found.unit == *unit && found.value.total_cmp(value).is_eq()
            });
        assert!(same, "{line:?} gave {found:?}");
    }
    assert!(pairs(&"a=1 ".repeat(100_000)).len() <= 64);
    for cut in 0..12 {
        pairs(&"größe=1.5e-3µs: é"[..].chars().take(cut).collect::<String>());
    }
}

#[test]
fn groups_and_members_have_names_too() {
    let pattern =
        regex::Regex::new(r"step (?P<step>[\d,]+) .*loss (?P<loss>[\d.]+|nan)(?P<rest>.*)").expect("it is one");
    let found = groups(&pattern, "step 1,200 | loss 1.5 end");
    let pairs: Vec<(&str, f64)> = found.iter().map(|metric| (metric.name.as_ref(), metric.value)).collect();
    assert_eq!(pairs, [("step", 1200.0), ("loss", 1.5)]);
    let found = members("{\"step\": 3, \"eval\": {\"f1\": 0.5, \"name\": \"x\"}, \"loss\": \"nan\", \"deep\": [1]}\n");
    let names: Vec<&str> = found.iter().map(|metric| metric.name.as_ref()).collect();
    assert_eq!(names, ["step", "eval/f1", "loss"]);
    assert!(members("no json").is_empty() && members("[1]").is_empty());
}

fn printed(seed: u64, digits: f64) -> Vec<Point> {
    let mut chance = Chance::new(seed);
    let mut at_ms = 1_700_000_000_000;
    (0..10_000u32)
        .map(|n| {
            at_ms += 600 + i64::try_from(whole(chance.between(0.0, 20.0))).expect("it is small");
            let value = ((2.0 / (1.0 + f64::from(n) / 1000.0) + 0.05 * chance.share()) * digits).round() / digits;
            Point { step: i64::from(n) * 10, at_ms, value }
        })
        .collect()
}

fn series(points: &[Point]) -> (Series, usize) {
    let mut series = Series::default();
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    for point in points {
        blocks.extend(series.push(*point).map(|block| block.bytes().to_vec()));
    }
    blocks.extend(series.unsealed().map(|block| block.bytes().to_vec()));
    let size = blocks.iter().map(Vec::len).sum();
    let opened = blocks.into_iter().map(|bytes| Block::open(bytes).expect("it was just made")).collect();
    (Series::of(opened), size)
}

fn same(one: &[Point], other: &[Point]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| {
            one.step == other.step && one.at_ms == other.at_ms && one.value.to_bits() == other.value.to_bits()
        })
}

#[test]
fn what_is_stored_comes_back_bit_for_bit_in_few_bytes() {
    for (digits, most) in [(1e4, 5), (1e15, 14)] {
        let points = printed(3, digits);
        let (series, size) = series(&points);
        assert!(size < most * points.len(), "{size} bytes");
        assert!(same(&series.points().collect::<Vec<_>>(), &points));
    }
    let odd = [0.0, -0.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, f64::MAX, 1e300, 0.1 + 0.2, -1e-9, 4e15];
    let points: Vec<Point> = odd
        .into_iter()
        .zip([0, 5, i64::MAX, i64::MIN, -1, 7, 7, 7, 3, 0])
        .map(|(value, step)| Point { step, at_ms: step.wrapping_mul(3), value })
        .collect();
    assert!(same(&series(&points).0.points().collect::<Vec<_>>(), &points));
}

#[test]
fn a_picture_is_the_same_as_of_all_points_and_loses_no_spike() {
    let mut points = printed(5, 1e4);
    points[4321].value = 99.0;
    points[77].value = f64::NAN;
    // Went on from a checkpoint: the steps go back.
    for point in &mut points[6000..] {
        point.step -= 20_000;
    }
    let (series, _) = series(&points);
    for (axis, range, columns) in [
        (Axis::Step, series.range(Axis::Step).expect("it has points"), 200),
        (Axis::Time, series.range(Axis::Time).expect("it has points"), 37),
        (Axis::Step, 40_000..=44_444, 160),
        (Axis::Step, 5..=5, 10),
        (Axis::Step, i64::MIN..=i64::MAX, 3),
    ] {
        let picture = series.columns(axis, range.clone(), columns);
        for (place, column) in picture.iter().enumerate() {
            let within = points.iter().filter(|point| {
                let x = if axis == Axis::Step { point.step } else { point.at_ms };
                let wide = i128::from(*range.end()) - i128::from(*range.start()) + 1;
                let far = (i128::from(x) - i128::from(*range.start())) * i128::try_from(columns).expect("it is small");
                range.contains(&x)
                    && far / wide == i128::try_from(place).expect("it is small")
                    && point.value.is_finite()
            });
            let values: Vec<f64> = within.map(|point| point.value).collect();
            let least = values.iter().copied().reduce(f64::min);
            let most = values.iter().copied().reduce(f64::max);
            let span = column.and_then(|column| match column {
                Column::Gap => None,
                Column::Span(span) => Some(span),
            });
            assert_eq!(span.map(|span| (span.least, span.most)), least.zip(most), "{axis:?} {range:?} {place}");
            assert_eq!(span.map(|span| span.last), values.last().copied());
        }
    }
    assert!(Series::default().range(Axis::Step).is_none() && series.columns(Axis::Step, 0..=9, 0).is_empty());
}

#[test]
fn few_steps_fill_the_picture_from_edge_to_edge() {
    for (places, columns) in [(2, 160), (5, 160), (160, 160), (7, 8), (3, 2), (500, 160), (1, 160), (2, 1), (1, 1)] {
        let ruler = Ruler::new(10..=9 + places, columns);
        let all: Vec<usize> = (10..10 + places).map(|x| ruler.column(x).expect("it is within")).collect();
        assert_eq!(all[0], 0);
        assert!(all.is_sorted() && (places == 1 || all.last() == Some(&(columns - 1))), "{places} {columns} {all:?}");
        assert_eq!((ruler.column(9), ruler.column(10 + places)), (None, None));
    }
    let points: Vec<Point> = [1, 2, 2, 3, 5].map(|step| Point { step, at_ms: step, value: 1.0 }).into();
    let (series, _) = series(&points);
    let picture = series.columns(Axis::Step, 1..=5, 101);
    let drawn: Vec<usize> = (0..101).filter(|column| picture[*column].is_some()).collect();
    assert_eq!(drawn, [0, 25, 50, 100]);
}

/// The blocks of these points, and their heads, written and read.
fn outline(points: &[Point]) -> (Outline, Vec<Block>) {
    let blocks: Vec<Block> = points.chunks(dogwatch::series::LARGEST).map(Block::new).collect();
    let heads = blocks.iter().map(|block| Head::open(&block.bytes()[..HEAD]).expect("it was just made"));
    (Outline::of(heads.collect()), blocks)
}

#[test]
fn a_picture_of_much_opens_nothing_and_a_picture_of_little_is_exact() {
    let mut points: Vec<Point> = (0..60i64)
        .flat_map(|part| {
            let mut part_of = printed(5, 1e4);
            for point in &mut part_of {
                point.step += part * 100_000;
                point.at_ms += part * 6_100_000;
            }
            part_of
        })
        .collect();
    points[432_100].value = 99.0;
    points[333_333].value = f64::NAN;
    let (outline, blocks) = outline(&points);
    let whole = outline.range(Axis::Step).expect("it has points");
    assert_eq!(outline.counts(), (600_000, 1));
    assert_eq!(outline.wanted(Axis::Step, &whole, 400), [0; 0], "600,000 points, and none of them is read");
    let all = outline.columns(Axis::Step, whole.clone(), 400, |_| panic!("nothing is opened"));
    let tall: Vec<usize> = all
        .iter()
        .enumerate()
        .filter_map(|(n, column)| match column {
            Some(Column::Span(span)) if span.most > 50.0 => Some(n),
            _ => None,
        })
        .collect();
    let place = usize::try_from(points[432_100].step * 400 / (whole.end() + 1)).expect("it is small");
    assert!(matches!(tall[..], [one] if one.abs_diff(place) <= 1), "the spike is in column {place}, drawn in {tall:?}");
    // Nearer, it is the same as of all points, and what is opened is what is there.
    let near = points[432_000].step..=points[433_000].step;
    let opened = std::cell::Cell::new(0);
    let some = outline.columns(Axis::Step, near.clone(), 400, |n| {
        opened.set(opened.get() + 1);
        Some(blocks[n].clone())
    });
    assert!((1..8).contains(&opened.get()), "{} blocks", opened.get());
    assert_eq!(some, Series::of(blocks.clone()).columns(Axis::Step, near, 400));
    assert!(some.iter().any(|column| matches!(column, Some(Column::Span(span)) if span.most > 50.0)));
    let gap = points[333_333].step..=points[333_333].step;
    let hole = outline.columns(Axis::Step, gap, 1, |n| Some(blocks[n].clone()));
    assert_eq!(hole, [Some(Column::Gap)], "what is no number is a gap, not nothing");
}

#[test]
fn bytes_of_any_kind_are_refused_or_read() {
    let mut chance = Chance::new(1);
    let good = Block::new(&printed(9, 1e4)[..200]).bytes().to_vec();
    for round in 0..3000 {
        let mut bytes = good.clone();
        for _ in 0..=round % 5 {
            let place = chance.below(bytes.len());
            bytes[place] = u8::try_from(chance.below(256)).expect("it is a byte");
        }
        bytes.truncate(chance.below(bytes.len() + 1));
        if let Ok(block) = Block::open(bytes) {
            assert!(block.points().map_or(0, |points| points.len()) <= dogwatch::series::LARGEST);
            Series::of(vec![block]).columns(Axis::Step, 0..=1000, 10);
        }
    }
    assert!(Block::open(Vec::new()).is_err() && Block::open(vec![9; 100]).is_err());
}
