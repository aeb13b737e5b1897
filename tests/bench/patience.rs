//! How well dogwatch waits: `cargo bench --bench patience -- [--trace FILE] [--history N] [--seed N]`.
//!
//! `FILE` holds one runtime in seconds a line (what is no number is left out). The first N (1,000) are the history, the rest
//! is tried: the mean of looks + delay / 60 s of each. `fixed` and `backoff` are the best of their kind, and `optimum` the
//! best of all, in hindsight; `naive` is the optimum for the history as it stands. Without a file, and after it: durations
//! of other kinds, the calibration of the time left, stalls, series, and what it all costs.
//!
//! Stalls of a first run: its first pause of 20 middle gaps may come after any number of gaps without one, so until then no
//! limit may be shorter, and a hang is found within three of its longest gaps only where these have 20 / 3 middle ones: the
//! column "possible" (with pauses of 1 to 20, two of three runs). What finished runs teach finds the others.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

#[path = "../support/rhythms.rs"]
mod rhythms;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use dogwatch::clock::boottime_ms;
use dogwatch::gauge::metrics::pairs;
use dogwatch::gauge::progress::{Meter, Parser};
use dogwatch::metrics::{Metrics, Read};
use dogwatch::model::{AttemptId, Demand, Lane, LaneId, RunId, StepId, Time};
use dogwatch::patience::{
    Habit, Habits, Left, Past, Patience, Places, Plan, Poll, Rhythm, Spread, Stage, Track, whole as left_of_all,
};
use dogwatch::series::{Axis, Block, Column, Point, Series};
use dogwatch::tui::keys::Keys;
use dogwatch::tui::model::{Found, Manner, Model, Size, View};
use dogwatch::tui::page::charts;
use dogwatch::tui::theme::Theme;
use dogwatch::wire::client::{ChartView, ColumnView, LineView, PointView, RunView, SpanView, Trend};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use self::rhythms::{COURSES, Chance, KINDS, duration, gaps, progress, real, whole};

struct Wishes {
    trace: Option<PathBuf>,
    history: usize,
    seed: u64,
}

fn main() {
    let mut wishes = Wishes { trace: None, history: 1000, seed: 1 };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|text| text.parse::<u64>().ok());
        match arg.as_str() {
            "--history" => wishes.history = number().and_then(|n| usize::try_from(n).ok()).unwrap_or(1000),
            "--seed" => wishes.seed = number().unwrap_or(1),
            "--trace" => wishes.trace = args.next().map(PathBuf::from),
            _ => {}
        }
    }
    if let Some(trace) = &wishes.trace {
        looks(trace, &wishes);
    }
    kinds(wishes.seed);
    time_left(wishes.seed);
    whole_runs(wishes.seed);
    stalls(wishes.seed);
    stored();
    charts();
    costs();
}

/// What a way of looking costs for one duration: the next look by the time of the last one.
fn cost(takes: f64, mut next: impl FnMut(f64) -> f64) -> f64 {
    let (mut now, mut looks) = (0.0, 0.0);
    while now < takes {
        now = next(now);
        looks += 1.0;
    }
    looks + (now - takes) / 60.0
}

fn mean(durations: &[f64], mut of: impl FnMut(f64) -> f64) -> f64 {
    durations.iter().map(|takes| of(*takes)).sum::<f64>() / real(durations.len())
}

fn planned(plan: &Plan, durations: &[f64]) -> f64 {
    mean(durations, |takes| cost(takes, |now| now + plan.wait(Duration::from_secs_f64(now)).as_secs_f64()))
}

/// The best times to look for exactly these durations.
fn optimum(durations: &[f64]) -> Vec<f64> {
    let mut sorted = durations.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut ends = sorted.clone();
    ends.dedup();
    let mut sums = vec![0.0];
    for takes in &sorted {
        sums.push(sums[sums.len() - 1] + takes);
    }
    let over: Vec<usize> = ends.iter().map(|end| sorted.partition_point(|takes| takes <= end)).collect();
    let mut costs = vec![0.0; ends.len() + 1];
    let mut next = vec![ends.len(); ends.len()];
    for looked in (0..ends.len()).rev() {
        let gone = if looked == 0 { 0 } else { over[looked - 1] };
        let mut best = f64::INFINITY;
        for then in looked..ends.len() {
            let delay = (ends[then] * real(over[then] - gone) - (sums[over[then]] - sums[gone])) / 60.0;
            if delay > best {
                break;
            }
            let cost = real(sorted.len() - gone) + delay + costs[then + 1];
            if cost < best {
                (best, next[looked]) = (cost, then);
            }
        }
        costs[looked] = best;
    }
    let mut looks = Vec::new();
    let mut looked = 0;
    while looked < ends.len() {
        looks.push(ends[next[looked]]);
        looked = next[looked] + 1;
    }
    looks
}

/// The cost of looking at these times, and at twice the time after the last one.
fn listed(looks: &[f64], takes: f64) -> f64 {
    cost(takes, |now| looks.get(looks.partition_point(|look| *look <= now)).copied().unwrap_or(now * 2.0))
}

fn looks(trace: &PathBuf, wishes: &Wishes) {
    let text = std::fs::read_to_string(trace).expect("the file of runtimes can be read");
    let all: Vec<f64> = text.lines().filter_map(|line| line.trim().parse().ok()).collect();
    let (history, tried) = all.split_at(wishes.history.min(all.len() / 2));
    println!("{} runtimes of history, {} tried: mean of looks + delay / 60 s", history.len(), tried.len());
    let dogwatch = planned(&Plan::new(Spread::learn(history), Poll::default()), tried);
    println!("dogwatch   {dogwatch:>8.2}");
    let fixed = (1..80)
        .map(|n| 10.0 * 1.1f64.powi(n))
        .map(|every| mean(tried, |takes| (takes / every).ceil() + ((takes / every).ceil() * every - takes) / 60.0));
    println!("fixed      {:>8.2}", fixed.fold(f64::INFINITY, f64::min));
    println!("backoff    {:>8.2}", backoff(tried));
    let best = optimum(tried);
    println!("optimum    {:>8.2}", mean(tried, |takes| listed(&best, takes)));
    let naive = optimum(history);
    println!("naive      {:>8.2}\n", mean(tried, |takes| listed(&naive, takes)));
    splits(&all, wishes.seed);
}

/// The best first interval, growth and longest interval, looked for on a part and tried on all.
fn backoff(tried: &[f64]) -> f64 {
    let mean = |durations: &[f64], (first, more, most): (f64, f64, f64)| {
        mean(durations, |takes| {
            let mut span: f64 = first / more;
            cost(takes, |now| {
                span = (span * more).min(most);
                now + span
            })
        })
    };
    let part: Vec<f64> = tried.iter().copied().step_by(7).collect();
    let mut best = (f64::INFINITY, (60.0, 2.0, f64::INFINITY));
    for first in (0..16).map(|n| 20.0 * 1.3f64.powi(n)) {
        for more in (1..24).map(|n| 1.0 + 0.03 * f64::from(n)) {
            for most in [1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0, f64::INFINITY] {
                let cost = mean(&part, (first, more, most));
                if cost < best.0 {
                    best = (cost, (first, more, most));
                }
            }
        }
    }
    mean(tried, best.1)
}

/// Other histories of the same file, in another order.
fn splits(all: &[f64], seed: u64) {
    let mut chance = Chance::new(seed);
    println!("history   mean of 20 shuffles   worst");
    for known in [0, 1, 5, 20, 100, 1000] {
        let costs: Vec<f64> = (0..20)
            .map(|_| {
                let picked: Vec<f64> = (0..known + 5000).map(|_| all[chance.below(all.len())]).collect();
                planned(&Plan::new(Spread::learn(&picked[..known]), Poll::default()), &picked[known..])
            })
            .collect();
        let worst = costs.iter().copied().fold(0.0, f64::max);
        println!("{known:>7} {:>21.2} {worst:>7.2}", costs.iter().sum::<f64>() / real(costs.len()));
    }
    println!();
}

fn kinds(seed: u64) {
    println!("other durations      history 0       1       5      20    1000   optimum");
    for (kind, name) in KINDS.iter().enumerate() {
        let mut chance = Chance::new(seed);
        let all: Vec<f64> = (0..9000).map(|_| duration(kind, &mut chance)).collect();
        let tried = &all[5000..];
        print!("{name:<20}");
        for known in [0, 1, 5, 20, 1000] {
            let costs = (0..5).map(|part| &all[part * 1000..part * 1000 + known]);
            let costs = costs.map(|history| planned(&Plan::new(Spread::learn(history), Poll::default()), tried));
            print!(" {:>7.2}{}", costs.sum::<f64>() / 5.0, if known == 0 { "  " } else { "" });
        }
        let best = optimum(tried);
        println!("{:>8.2}", mean(tried, |takes| listed(&best, takes)));
    }
    println!();
}

fn time_left(seed: u64) {
    for (what, share) in [
        ("half of the progress", 0.5),
        ("half of the time", 0.0),
        ("a fifth of the progress", 0.2),
        ("four fifths", 0.8),
    ] {
        println!("time left at {what:<24} held   early    late   width   error");
        let mut sum = [0.0; 2];
        for course in COURSES {
            let (mut early, mut late) = (0, 0);
            let (mut widths, mut errors) = (Vec::new(), Vec::new());
            let mut chance = Chance::new(seed ^ 0x5eed);
            for _ in 0..1000 {
                let sights = progress(course, &mut chance);
                let (first, end) = (sights[0], sights[sights.len() - 1]);
                let reached = |sight: &(f64, f64)| {
                    if share == 0.0 {
                        sight.0 <= f64::midpoint(first.0, end.0)
                    } else {
                        sight.1 <= first.1 + (1.0 - first.1) * share
                    }
                };
                let now = sights.iter().rposition(reached).unwrap_or(0);
                let mut track = Track::default();
                for sight in &sights[..=now] {
                    track.see(sight.0, sight.1);
                }
                let Some(left) = track.left(sights[now].0, None) else { continue };
                let real = end.0 - sights[now].0;
                early += usize::from(real < left.p10);
                late += usize::from(real > left.p90);
                widths.push((left.p90 - left.p10) / real);
                errors.push((left.p50 / real - 1.0).abs());
            }
            let middle = |values: &mut Vec<f64>| {
                values.sort_by(f64::total_cmp);
                100.0 * values[values.len() / 2]
            };
            let (all, early, late) = (real(widths.len()), 100.0 * real(early), 100.0 * real(late));
            let (width, error) = (middle(&mut widths), middle(&mut errors));
            let held = 100.0 - (early + late) / all;
            sum = [sum[0] + held / 5.0, sum[1] + width / 5.0];
            println!(
                "{:<36} {held:>5.1} % {:>5.1} % {:>5.1} % {width:>5.1} % {error:>5.1} %",
                format!("{course:?}").to_lowercase(),
                early / all,
                late / all
            );
        }
        println!("{:<36} {:>5.1} % {:>25.1} %\n", "all", sum[0], sum[1]);
    }
}

/// A run of steps that need each other, at most three at once: how long each takes in the middle, how much that varies, and
/// what it needs.
fn workflow(chance: &mut Chance) -> Vec<(f64, f64, Vec<usize>)> {
    let steps = 4 + chance.below(10);
    (0..steps)
        .map(|place| {
            let needs = (0..place).filter(|_| chance.share() < 1.5 / real(place.max(1))).collect();
            (chance.between(2.0, 8.0).exp(), chance.between(0.05, 0.5), needs)
        })
        .collect()
}

/// What the steps of one run take.
fn takes(steps: &[(f64, f64, Vec<usize>)], chance: &mut Chance) -> Vec<f64> {
    let bell = |chance: &mut Chance| (0..12).map(|_| chance.share()).sum::<f64>() - 6.0;
    steps.iter().map(|(middle, width, _)| middle * (bell(chance) * width).exp()).collect()
}

/// When each step of a run begins and ends that has these durations, with three places, in the order of the file.
fn played(steps: &[(f64, f64, Vec<usize>)], takes: &[f64]) -> Vec<(f64, f64)> {
    let mut done: Vec<Option<(f64, f64)>> = vec![None; steps.len()];
    let mut now = 0.0;
    while done.iter().any(Option::is_none) {
        for place in 0..steps.len() {
            let over = |need: &usize| done[*need].is_some_and(|(_, end)| end <= now);
            let busy = done.iter().flatten().filter(|(_, end)| *end > now).count();
            if done[place].is_none() && busy < 3 && steps[place].2.iter().all(over) {
                done[place] = Some((now, now + takes[place]));
            }
        }
        now = done.iter().flatten().map(|(_, end)| *end).filter(|end| *end > now).fold(f64::INFINITY, f64::min);
    }
    done.into_iter().flatten().collect()
}

/// The time left of whole runs at a random moment, by earlier runs alone.
fn whole_runs(seed: u64) {
    println!("time left of a whole run at a random moment    held   early    late   width   error");
    for known in [1usize, 3, 10, 50] {
        let mut chance = Chance::new(seed ^ 0x3417);
        let (mut early, mut late, mut widths, mut errors) = (0, 0, Vec::new(), Vec::new());
        for _ in 0..1000 {
            let steps = workflow(&mut chance);
            let past: Vec<Vec<f64>> = (0..known).map(|_| takes(&steps, &mut chance)).collect();
            let run = played(&steps, &takes(&steps, &mut chance));
            let end = run.iter().map(|(_, end)| *end).fold(0.0, f64::max);
            let now = chance.between(0.0, 0.9) * end;
            let open: Vec<usize> = (0..steps.len()).filter(|place| run[*place].1 > now).collect();
            let stages: Vec<Stage> = open
                .iter()
                .map(|place| {
                    let took: Vec<f64> = past.iter().map(|run| run[*place]).collect();
                    let left = Left::of_past(&Spread::learn(&took), (now - run[*place].0).max(0.0));
                    let needs = steps[*place].2.iter().filter_map(|need| open.iter().position(|one| one == need));
                    Stage {
                        needs: needs.collect(),
                        left,
                        crew: Some(*place),
                        begun: run[*place].0 <= now,
                        demand: Demand::default(),
                        aside: false,
                    }
                })
                .collect();
            let (left, _) = left_of_all(&stages, &Places { all: 3, crews: Vec::new(), host: Demand::BOUNDLESS });
            let truth = end - now;
            early += usize::from(truth < left.p10);
            late += usize::from(truth > left.p90);
            widths.push((left.p90 - left.p10) / truth);
            errors.push((left.p50 / truth - 1.0).abs());
        }
        let middle = |values: &mut Vec<f64>| {
            values.sort_by(f64::total_cmp);
            100.0 * values[values.len() / 2]
        };
        let (early, late) = (real(early) / 10.0, real(late) / 10.0);
        println!(
            "{:<43} {:>6.1} % {early:>5.1} % {late:>5.1} % {:>5.1} % {:>5.1} %",
            format!("{known} earlier run(s) known"),
            100.0 - early - late,
            middle(&mut widths),
            middle(&mut errors)
        );
    }
    println!();
}

fn stalls(seed: u64) {
    println!(
        "1,000 runs with pauses of …           false alarms   hangs found within 3 longest gaps   possible   limit / longest"
    );
    for (what, most, known) in [
        ("10 to 20 middle gaps", (10.0, 20.0), false),
        ("10 to 20, two finished runs known", (10.0, 20.0), true),
        ("1 to 20", (1.0, 20.0), false),
        ("1 to 20, two finished runs known", (1.0, 20.0), true),
    ] {
        let mut chance = Chance::new(seed ^ 0x57a11);
        let (mut alarms, mut found, mut possible, mut ratios) = (0, 0, 0, Vec::new());
        for _ in 0..1000 {
            let gaps = gaps(most, &mut chance);
            let longest = gaps.iter().copied().fold(0.0, f64::max);
            let hangs = 4 + chance.below(gaps.len() - 4);
            let mut sorted = gaps.clone();
            sorted.sort_by(f64::total_cmp);
            possible += usize::from(known || 3.0 * longest >= 20.0 * sorted[sorted.len() / 2]);
            let past = if known { habit(&gaps) } else { Habit::default() };
            let (mut rhythm, mut now, mut alarmed) = (Rhythm::default(), 0.0, false);
            rhythm.sign(now, false);
            for (place, gap) in gaps.iter().enumerate() {
                let limit = rhythm.limit(false, &past).unwrap_or(f64::INFINITY);
                alarmed |= *gap > limit;
                if place == hangs {
                    found += usize::from(limit <= 3.0 * longest);
                    ratios.push(limit / longest);
                }
                now += gap;
                rhythm.sign(now, false);
            }
            alarms += usize::from(alarmed);
        }
        ratios.sort_by(f64::total_cmp);
        println!("{what:<38} {alarms:>11} {found:>31} of 1000 {possible:>10} {:>17.2}", ratios[500]);
    }
    println!();
}

fn habit(gaps: &[f64]) -> Habit {
    let (mut rhythm, mut now, mut habit) = (Rhythm::default(), 0.0, Habit::default());
    for gap in gaps {
        rhythm.sign(now, false);
        now += gap;
    }
    rhythm.sign(now, false);
    habit.add(0.0, &rhythm);
    habit.add(0.0, &rhythm);
    habit
}

fn stored() {
    println!("20 series of 1,000,000 points    bytes a point   opened ms   drawn ms   zoomed ms (400 columns each)");
    for (what, digits) in [("printed with 4 digits", 1e4), ("32 bit numbers", 0.0), ("64 bit noise", 1e16)] {
        let blocks: Vec<Vec<Vec<u8>>> = (0..20).map(|seed| blocks(seed, digits)).collect();
        let size: usize = blocks.iter().flatten().map(Vec::len).sum();
        let begun = boottime_ms();
        let all: Vec<Series> = blocks
            .into_iter()
            .map(|blocks| Series::of(blocks.into_iter().filter_map(|bytes| Block::open(bytes).ok()).collect()))
            .collect();
        let opened = boottime_ms();
        let draw = |part: i64| {
            let ranges = all.iter().filter_map(|series| Some((series, series.range(Axis::Time)?)));
            let columns = ranges.map(|(series, range)| {
                let (from, to) = range.into_inner();
                series.columns(Axis::Time, from + (to - from) / 3 * (part - 1)..=from + (to - from) / part, 400)
            });
            columns.map(|columns| columns.iter().flatten().count()).sum::<usize>()
        };
        let (whole, drawn) = (draw(1), boottime_ms());
        let (part, zoomed) = (draw(2), boottime_ms());
        assert!(whole > 7000 && part > 7000, "there is something in each column");
        println!(
            "{what:<32} {:>13.2} {:>11} {:>10} {:>11}",
            real(size) / 20e6,
            opened - begun,
            drawn - opened,
            zoomed - drawn
        );
    }
    println!();
}

/// What a look at the metrics takes, from the file to the picture: the same as the engine and the screen do, without a socket
/// between them.
fn charts() {
    println!(
        "chart of 20 series of 1,000,000 points   outlines ms   columns ms   as json ms   drawn ms   all ms  (200x60)"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let metrics = Metrics::open(folder.path()).expect("it opens");
    let lane = LaneId { step: StepId::new("train").expect("legal"), lane: Lane(0) };
    let attempt = AttemptId { run: RunId::new("abc234").expect("legal"), lane, n: 1 };
    for series in 0..20u64 {
        let points = points(series, 1e4);
        for part in points.chunks(50_000) {
            let named = part.iter().map(|point| (format!("m{series:02}"), *point)).collect();
            metrics.keep(&attempt, named, Read::default());
        }
    }
    let counted = || -> usize {
        let all = metrics.look().and_then(|look| look.outlines("abc234")).unwrap_or_default();
        all.iter().map(|one| one.outline.counts().0).sum()
    };
    while counted() < 20_000_000 {
        dogwatch::clock::pause(Duration::from_millis(100));
    }
    for (what, part) in [("all of it", 1), ("a hundredth", 100), ("a ten-thousandth", 10_000)] {
        let mut looks: Vec<[f64; 4]> = (0..7).map(|_| look(&metrics, part)).collect();
        looks.sort_by(|one, other| one.iter().sum::<f64>().total_cmp(&other.iter().sum::<f64>()));
        let median = looks[looks.len() / 2];
        let all: f64 = median.iter().sum();
        println!(
            "{what:<38} {:>13.1} {:>12.1} {:>12.1} {:>10.1} {all:>8.1}",
            median[0], median[1], median[2], median[3]
        );
    }
    println!();
}

/// One look; milliseconds of its parts.
fn look(metrics: &Metrics, part: i64) -> [f64; 4] {
    const COLUMNS: usize = 322;
    let began = now_ms();
    let look = metrics.look().expect("it opens");
    let all = look.outlines("abc234").expect("they are read");
    let outlined = now_ms();
    let (from, to) = all[0].outline.range(Axis::Step).expect("it has points").into_inner();
    let range = from + (to - from) / 2..=from + (to - from) / 2 + (to - from) / part;
    let range = if part == 1 { from..=to } else { range };
    let lines = all.iter().map(|one| {
        let columns = look.columns(one, Axis::Step, &range, COLUMNS).expect("they are read");
        let told = columns.iter().zip(0..).filter_map(|(column, n)| {
            let span = match (*column)? {
                Column::Gap => None,
                Column::Span(span) => Some(SpanView(span.least, span.most, span.last, span.other)),
            };
            Some(ColumnView(n, span))
        });
        let last =
            look.newest(one).expect("it is read").last().map(|one| PointView::new(one.step, one.at_ms, one.value));
        LineView {
            with: false,
            step_name: "train".into(),
            name: one.name.clone(),
            pinned: false,
            system: false,
            points: one.outline.counts().0,
            odd: 0,
            last,
            trend: Trend::Flat,
            columns: told.collect(),
        }
    });
    let lines: Vec<LineView> = lines.collect();
    let drawable = lines.iter().map(|line| line.columns.len()).sum::<usize>();
    assert!(drawable > 1_000, "{drawable} columns");
    let columns = now_ms();
    let over = Some((*range.start(), *range.end()));
    let view = ChartView { range: over, extent: Some((from, to)), columns: 322, lines, ..ChartView::default() };
    let text = serde_json::to_string(&view).expect("it is plain data");
    let view: ChartView = serde_json::from_str(&text).expect("it was just written");
    let told = now_ms();
    let mut model = screen();
    model.charts.shown = view.lines.iter().map(|line| (line.name.clone(), true)).collect();
    model.charts.view = Some(("abc234".into(), view));
    let mut buf = Buffer::empty(Rect::new(0, 0, 200, 60));
    charts::draw(&model, buf.area, &mut buf);
    assert!(buf.content.iter().any(|cell| ('\u{2801}'..='\u{28ff}').any(|dots| cell.symbol().starts_with(dots))));
    let drawn = now_ms();
    [outlined - began, columns - outlined, told - columns, drawn - told]
}

/// Milliseconds, finer than the clock of dogwatch counts them.
fn now_ms() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let fraction = Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0));
    fraction.as_secs_f64() * 1e3
}

/// A screen of 200x60 that looks at a run and its metrics.
fn screen() -> Model {
    let manner = Manner {
        keys: Keys::built_in(),
        theme: Theme::default(),
        zone: jiff::tz::TimeZone::UTC,
        readonly: false,
        motion: false,
        let_go: "Ctrl-]".into(),
        operator: String::new(),
        found: Found::default(),
    };
    let mut model = Model::new(manner, Size { columns: 200, rows: 60 }, 0);
    let run = serde_json::json!({
        "line": { "id": "abc234", "name": "a", "number": 1, "state": "running", "created_ms": 0, "ended_ms": null, "steps": 1,
                  "steps_done": 0, "asking": 0 },
        "by": "", "dir": "", "workspace": "", "isolation": null, "now_ms": 0, "steps": [], "escalations": [], "trouble": null,
        "seq": 1
    });
    model.run = Some(serde_json::from_value::<RunView>(run).expect("it is one"));
    model.view = View::Metrics;
    model
}

fn points(seed: u64, digits: f64) -> Vec<Point> {
    let mut chance = Chance::new(seed);
    let mut at_ms = 1_700_000_000_000;
    (0..1_000_000u32)
        .map(|n| {
            at_ms += 600 + i64::try_from(whole(chance.between(0.0, 20.0))).unwrap_or(0);
            let value = 2.0 / (1.0 + f64::from(n) * 1e-5) + 0.05 * chance.share();
            Point { step: i64::from(n) * 10, at_ms, value: (value * digits).round() / digits }
        })
        .collect()
}

fn blocks(seed: u64, digits: f64) -> Vec<Vec<u8>> {
    let mut chance = Chance::new(seed);
    let (mut series, mut blocks, mut at_ms) = (Series::default(), Vec::new(), 1_700_000_000_000);
    for n in 0..1_000_000u32 {
        at_ms += 600 + i64::try_from(whole(chance.between(0.0, 20.0))).unwrap_or(0);
        let value = 2.0 / (1.0 + f64::from(n) * 1e-5) + 0.05 * chance.share();
        let value = if digits == 0.0 { single(value) } else { (value * digits).round() / digits };
        let block = series.push(Point { step: i64::from(n) * 10, at_ms, value });
        blocks.extend(block.map(|block| block.bytes().to_vec()));
    }
    blocks.extend(series.unsealed().map(|block| block.bytes().to_vec()));
    blocks
}

#[expect(clippy::cast_possible_truncation, reason = "this is what a program of 32 bit numbers does")]
fn single(value: f64) -> f64 {
    f64::from(value as f32)
}

fn costs() {
    println!("what it costs                              each");
    let mut chance = Chance::new(3);
    let durations: Vec<Duration> = (0..1000).map(|_| Duration::from_secs_f64(duration(1, &mut chance))).collect();
    let mut past = Past::new(&durations, Habits::default(), Poll::default());
    timed("learning 1,000 durations", 200, |_| past = Past::new(&durations, Habits::default(), Poll::default()));
    let mut patience = Patience::new(Time::from_ms(0));
    timed("next look by the past", 100_000, |n| _ = patience.next_look(Time::from_ms(n * 500), &past));
    timed("a line, and progress", 1_000_000, |n| {
        patience.output(Time::from_ms(n * 1000));
        patience.progress(Time::from_ms(n * 1000), f64::from(u32::try_from(n).unwrap_or(0)) / 2e6);
    });
    let now = Time::from_ms(1_000_000_000);
    timed("time left by progress", 2000, |_| _ = patience.left(now, &past));
    timed("next look by progress", 2000, |_| _ = patience.next_look(now, &past));
    let out = written(400_000, |out, n| {
        writeln!(out, "[2026-01-02 03:04:05] step {n:>8} | loss=2.3620 | lr=1.00e-01 | tok/s 18018 | epoch: 0.71")
    });
    let lines = i64::try_from(out.lines().count()).unwrap_or(1);
    let mib = real(out.len()) / 1_048_576.0;
    let begun = boottime_ms();
    let found: usize = out.lines().map(|line| pairs(line).len()).sum();
    assert!(i64::try_from(found).unwrap_or(0) >= 3 * lines, "they were found");
    println!("{:<34} {:>8.0} MiB/s", "pairs in lines", speed(mib, begun));
    let bars = written(500_000, |out, n| write!(out, "\r 50%|#####     | {n}/1000000 [00:10<00:10, 1it/s]"));
    for (what, text) in [("progress in lines without any", &out), ("progress in nothing but bars", &bars)] {
        let mut meter = Meter::new(Parser::Auto);
        let (begun, mib) = (boottime_ms(), real(text.len()) / 1_048_576.0);
        for (at, chunk) in (0..).zip(text.as_bytes().chunks(64 * 1024)) {
            // As it comes at 50 MB a second.
            meter.bytes(chunk, at * 13 / 10);
        }
        println!("{what:<34} {:>8.0} MiB/s", speed(mib, begun));
    }
}

fn written(times: u32, each: impl Fn(&mut String, u32) -> std::fmt::Result) -> String {
    let mut out = String::new();
    for n in 0..times {
        each(&mut out, n).expect("a text takes everything");
    }
    out
}

fn speed(mib: f64, begun: i64) -> f64 {
    mib * 1e3 / real(usize::try_from(boottime_ms() - begun).unwrap_or(0)).max(1.0)
}

fn timed(what: &str, times: i64, mut each: impl FnMut(i64)) {
    let begun = boottime_ms();
    for n in 0..times {
        each(n);
    }
    let took = real(usize::try_from(boottime_ms() - begun).unwrap_or(0));
    println!("{what:<34} {:>8.2} µs", took * 1e3 / real(usize::try_from(times).unwrap_or(1)));
}
