//! The metrics as charts: pictures, keys, and what is asked of the engine for them. The points are made down by dogwatch's own
//! series; what an engine answers otherwise is made here.

use dogwatch::series::{Axis, Column, Point, Series};
use dogwatch::tui::message::{Effect, Message, News, Purpose};
use dogwatch::tui::model::{Model, Size};
use dogwatch::tui::update::update;
use dogwatch::wire::client::{
    Ask, ChartAsk, ChartAxis, ChartView, CheckpointView, ColumnView, LineView, PointView, Reply, RunState, SpanView,
    StepState, Trend,
};

use crate::support::pages::{Shown, event, harmless, press, run_line, run_view, screen_of, tell, text_at};
use crate::support::shown::{NOW, step};

/// When the run began.
const BEGAN: i64 = NOW - 3_600_000;

/// A series that an engine could have: whose, called what, over which points.
struct Made {
    with: bool,
    step_name: &'static str,
    name: &'static str,
    pinned: bool,
    trend: Trend,
    points: Vec<Point>,
}

fn points(count: i64, value: impl Fn(f64) -> f64) -> Vec<Point> {
    let at = |n: i64| f64::from(u32::try_from(n).expect("it is small"));
    (0..count).map(|n| Point { step: n * 10, at_ms: BEGAN + 60_000 + n * 5_000, value: value(at(n)) }).collect()
}

fn all() -> Vec<Made> {
    let made = |step_name, name, trend, points| Made { with: false, step_name, name, pinned: false, trend, points };
    let loss = |rate: f64| move |n: f64| 1.0 + 2.4 / (1.0 + n * rate) + 0.05 * (n * 1.7).sin();
    let mut spiked = points(360, loss(0.01));
    spiked[100].value = 3.2;
    for point in &mut spiked[200..240] {
        point.value = f64::NAN;
    }
    vec![
        made("train[lr=1e-4]", "lr", Trend::Down, points(360, |n| 1e-4 / (1.0 + n / 50.0))),
        made("train[lr=1e-3]", "loss", Trend::Down, spiked),
        made("train[lr=1e-4]", "loss", Trend::Down, points(300, loss(0.05))),
        made("train[lr=1e-4]", "grad_norm", Trend::Flat, points(360, |n| 0.4 + 0.1 * (n * 0.9).sin())),
        made("train[lr=1e-4]", "system/cpu", Trend::Flat, points(100, |n| 610.0 + (n * 0.3).sin() * 20.0)),
        made("train[lr=1e-4]", "system/memory", Trend::Up, points(100, |n| 4e10 + n * 1e7)),
        Made { with: true, ..made("train[lr=1e-4]", "loss", Trend::Flat, points(360, loss(0.03))) },
    ]
}

/// What an engine with these series would answer.
fn answer(all: &[Made], ask: &ChartAsk) -> ChartView {
    let axis = |made: &Made| {
        if ask.axis == ChartAxis::Step && !made.name.starts_with("system/") { Axis::Step } else { Axis::Time }
    };
    let series = |made: &Made| {
        let mut series = Series::default();
        for point in &made.points {
            series.push(Point { at_ms: point.at_ms - BEGAN, ..*point });
        }
        series
    };
    let there: Vec<&Made> = all.iter().filter(|made| !made.with || ask.with.is_some()).collect();
    let asked = if ask.axis == ChartAxis::Step { Axis::Step } else { Axis::Time };
    let over = |wanted: Axis| {
        let drawn = there.iter().filter(|made| ask.names.iter().any(|name| name == made.name) && axis(made) == wanted);
        let ranges = drawn.filter_map(|made| series(made).range(wanted));
        ranges.map(std::ops::RangeInclusive::into_inner).reduce(|one, more| (one.0.min(more.0), one.1.max(more.1)))
    };
    let time_range = if asked == Axis::Step { over(Axis::Time) } else { None };
    let range = ask.range.or(over(asked));
    let line = |made: &&Made| {
        let drawn = ask.names.iter().any(|name| name == made.name);
        let range = if axis(made) == asked { range } else { time_range };
        let columns = range.filter(|_| drawn).map(|(from, to)| {
            series(made).columns(axis(made), from..=to, usize::try_from(ask.columns).expect("it is small"))
        });
        let told = |(n, column): (u32, Option<Column>)| {
            Some(ColumnView(
                n,
                match column? {
                    Column::Gap => None,
                    Column::Span(span) => Some(SpanView(span.least, span.most, span.last, span.other + BEGAN)),
                },
            ))
        };
        LineView {
            with: made.with,
            step_name: made.step_name.into(),
            name: made.name.into(),
            pinned: made.pinned,
            system: made.name.starts_with("system/"),
            points: made.points.len(),
            odd: made.points.iter().filter(|point| !point.value.is_finite()).count(),
            last: made.points.last().map(|point| PointView::new(point.step, point.at_ms, point.value)),
            trend: made.trend,
            columns: (0..).zip(columns.into_iter().flatten()).filter_map(told).collect(),
        }
    };
    let mut lines: Vec<LineView> = there.iter().map(line).collect();
    lines.sort_by_key(|line| (!line.pinned, line.system));
    ChartView { axis: ask.axis, range, extent: over(asked), time_range, columns: ask.columns, lines }
}

/// The pictures that these effects ask for.
fn asks(effects: &[Effect]) -> Vec<ChartAsk> {
    let asked = effects.iter().filter_map(|effect| {
        if let Effect::Ask { ask, why: Purpose::Chart { .. } } = effect { Some(&**ask) } else { None }
    });
    asked.filter_map(|ask| if let Ask::Chart(ask) = ask { Some(ask.clone()) } else { None }).collect()
}

/// Answers until nothing more is asked; gives what was asked.
fn served(model: &mut Model, all: &[Made], mut effects: Vec<Effect>) -> Vec<ChartAsk> {
    let mut told = Vec::new();
    for _ in 0..8 {
        let asked = asks(&effects);
        assert!(asked.len() <= 1, "one picture at a time: {asked:?}");
        let Some(ask) = asked.into_iter().next() else { return told };
        let result = Ok(Reply::Chart(answer(all, &ask)));
        effects = update(model, Message::Answered { why: Purpose::Chart { live: false }, result });
        told.push(ask);
    }
    panic!("it asks without an end: {told:?}");
}

/// Keys one after the other, each with what it asks for.
fn pressed(model: &mut Model, keys: &str) -> Vec<ChartAsk> {
    let mut asked = Vec::new();
    for key in keys.split(' ') {
        let effects = press(model, key);
        asked.extend(served(model, &all(), effects));
    }
    asked
}

/// A run of two lanes, with a checkpoint, a failure, and a run before it.
pub(crate) fn charted(keys: &str) -> Model {
    let (one, two) = (step("train", "lr=1e-4", StepState::Running), step("train", "lr=1e-3", StepState::Failed));
    let mut model = screen_of(run_view(run_line("tiny-lm", 42, RunState::Running), vec![one, two]));
    let runs = vec![run_line("tiny-lm", 42, RunState::Running), run_line("tiny-lm", 41, RunState::Succeeded)];
    tell(&mut model, News::Runs(runs));
    let saved = |at: i64| CheckpointView {
        step_name: "train[lr=1e-4]".into(),
        attempt: 1,
        path: format!("/data/ckpt/{at}"),
        step: Some(at),
        seen_ms: BEGAN + 60_000 + at * 500,
        bytes: Some(1),
        newest: at == 2400,
        says: String::new(),
        pinned: false,
        metrics: Vec::new(),
    };
    tell(&mut model, News::Checkpoints(vec![saved(2400), saved(1200)]));
    let failed = event(7, 3_600 - 560, "step.failed", "train[lr=1e-3]", "failed (attempt 1 of 3): a person decides");
    tell(&mut model, News::Events { run: "run42".into(), events: vec![failed], fresh: true });
    pressed(&mut model, keys);
    model
}

#[test]
fn charts_at_every_size() {
    let pages = [
        ("charts", charted("3")),
        ("charts-cursor", charted("3 + <right> <right> <right> <right>")),
        ("charts-log", charted("3 y s j j <space>")),
        ("charts-time", charted("3 x o G <space> k <space>")),
    ];
    for (page, model) in pages {
        let sizes = [(80, 24), (120, 40), (200, 60), (40, 12)];
        let picture = |(columns, rows): (u16, u16)| {
            let mut model = model.clone();
            // A larger window wants more columns.
            let resized = update(&mut model, Message::Resized(Size { columns, rows }));
            served(&mut model, &all(), resized);
            format!("== {page} {columns}x{rows} ==\n{}", text_at(&model, &Shown::default(), columns, rows))
        };
        insta::assert_snapshot!(page, sizes.map(picture).join("\n"));
    }
}

fn picture(model: &Model) -> String {
    text_at(model, &Shown::default(), model.size.columns, model.size.rows)
}

#[test]
fn each_key_does_what_its_hint_says() {
    let mut model = charted("3");
    let names = |asked: &[ChartAsk]| asked.last().map(|ask| ask.names.clone()).unwrap_or_default();
    assert_eq!(
        model.drawn_series().iter().map(|row| row.name).collect::<Vec<_>>(),
        ["loss", "lr"],
        "a loss comes first"
    );
    // Space shows and hides.
    assert_eq!(names(&pressed(&mut model, "<space>")), ["lr"], "the cursor stands on the loss");
    assert!(!picture(&model).contains(" loss ──"), "{}", picture(&model));
    pressed(&mut model, "<space>");
    assert_eq!(names(&pressed(&mut model, "j <space>")), ["grad_norm", "loss", "lr"], "under the cursor: the largest");
    // Nearer and farther, and the whole again.
    pressed(&mut model, "g");
    let near = pressed(&mut model, "+");
    let (from, to) = near[0].range.expect("a part");
    assert!(to == 3590 && (1790..1800).contains(&from), "without a cursor the newest half: {from}..{to}");
    pressed(&mut model, "<right>");
    assert_eq!(model.charts.at, Some(from), "the cursor begins at the left edge");
    pressed(&mut model, "<left>");
    let at = model.charts.at.expect("a cursor");
    assert!(at < from && model.charts.range.is_some_and(|range| range.0 == at), "what is looked at moves along");
    let nearer = pressed(&mut model, "+");
    assert!(nearer[0].range.is_some_and(|(from, to)| (from..=to).contains(&at)), "round the cursor");
    pressed(&mut model, "-");
    assert_eq!(pressed(&mut model, "-")[0].range, None, "farther than everything there is nothing");
    // Esc: first the cursor, then the part, then the view.
    pressed(&mut model, "+ <esc>");
    assert!(model.charts.at.is_none() && model.charts.range.is_some());
    pressed(&mut model, "<esc>");
    assert!(model.charts.range.is_none());
    // Steps or time.
    assert_eq!(pressed(&mut model, "x")[0].axis, ChartAxis::Time);
    assert!(picture(&model).contains("time"));
    pressed(&mut model, "x");
    // Earlier runs, one after the other, and none.
    assert_eq!(pressed(&mut model, "o")[0].with.as_deref(), Some("run41"));
    assert!(picture(&model).contains("tiny-lm #41 is laid over it"), "{}", picture(&model));
    assert_eq!(pressed(&mut model, "o")[0].with, None);
    // A file of what is shown.
    let mut exported = press(&mut model, "e");
    let Some(Effect::ExportMetrics { run, names: told, file }) = exported.pop() else { panic!("{exported:?}") };
    assert_eq!((run.as_str(), file.as_str(), told.len()), ("run42", "tiny-lm-42-metrics", 3));
    // Pinned: for the step, not for each lane.
    pressed(&mut model, "j");
    let mut effects = press(&mut model, "P");
    effects.retain(|effect| matches!(effect, Effect::Ask { ask, .. } if matches!(**ask, Ask::PinMetric { .. })));
    let [Effect::Ask { ask, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(matches!(&**ask, Ask::PinMetric { name, pinned: true, .. } if name == "loss"), "{ask:?}");
    // Found by a part of the name.
    pressed(&mut model, "/ grad <enter>");
    assert_eq!(model.series().len(), 1);
    assert_eq!(model.series_here().map(|row| row.name.to_owned()).as_deref(), Some("grad_norm"));
}

#[test]
fn a_spike_is_drawn_and_what_is_no_number_is_a_gap_and_counted() {
    let model = charted("3");
    let shown = picture(&model);
    assert!(shown.contains("gaps: 40 nan or inf"), "{shown}");
    let mut alone = charted("3");
    let only: Vec<Made> =
        all().into_iter().filter(|made| made.name == "loss" && made.step_name.contains("1e-3")).collect();
    let ask = ChartAsk {
        run: "run42".into(),
        with: None,
        axis: ChartAxis::Step,
        range: None,
        columns: 80,
        names: vec!["loss".into()],
    };
    alone.charts.view = Some(("run42".into(), answer(&only, &ask)));
    let shown = picture(&alone);
    let plot = shown.lines().skip(2).take_while(|line| !line.contains('└'));
    let plot: Vec<String> = plot.map(|line| line.chars().skip(8).take(40).collect()).collect();
    assert!(plot.len() > 12, "{shown}");
    let dots = |column: usize| plot.iter().filter(|line| line.chars().nth(column).is_some_and(is_dots)).count();
    let cells: Vec<usize> = (0..40).map(dots).collect();
    let (spike, hole) = (100 * 40 / 360, 220 * 40 / 360);
    assert!(
        cells[spike - 1..=spike + 1].iter().any(|dots| *dots >= 4),
        "the spike is as high as it was: {cells:?}\n{shown}"
    );
    assert_eq!(cells[hole], 0, "the gap is empty: {cells:?}\n{shown}");
    assert!(cells[..spike].iter().all(|dots| *dots > 0), "elsewhere the line goes on: {cells:?}\n{shown}");
}

fn is_dots(letter: char) -> bool {
    ('\u{2801}'..='\u{28ff}').contains(&letter)
}

#[test]
fn new_points_come_by_themselves_once_a_second_and_one_picture_at_a_time() {
    let mut model = charted("3");
    let mut tick = |after: i64| {
        model.now_ms += after;
        asks(&update(&mut model, Message::Tick))
    };
    assert!(tick(300).is_empty() && tick(300).is_empty(), "not before a second is over");
    assert_eq!(tick(500).len(), 1, "then once");
    assert!(tick(5_000).is_empty(), "and not again before it was answered");
    // What keys want meanwhile waits, and is asked for with the answer.
    assert!(asks(&press(&mut model, "+")).is_empty());
    let result = Ok(Reply::Chart(ChartView::default()));
    let after = update(&mut model, Message::Answered { why: Purpose::Chart { live: true }, result });
    assert_eq!(asks(&after).len(), 1, "{after:?}");
    // Nobody who looks at something else asks for it.
    press(&mut model, "1");
    let result = Ok(Reply::Chart(ChartView::default()));
    update(&mut model, Message::Answered { why: Purpose::Chart { live: true }, result });
    model.now_ms += 10_000;
    assert!(asks(&update(&mut model, Message::Tick)).is_empty());
    // A run that is over has no new points.
    let mut over = charted("3");
    let line = run_line("tiny-lm", 42, RunState::Succeeded);
    tell(&mut over, News::Run(Box::new(run_view(line, Vec::new()))));
    served(&mut over, &all(), Vec::new());
    over.now_ms += 60_000;
    let last = update(&mut over, Message::Tick);
    served(&mut over, &all(), last);
    over.now_ms += 60_000;
    assert!(asks(&update(&mut over, Message::Tick)).is_empty());
}

#[test]
fn names_and_numbers_of_any_kind_break_no_frame() {
    let names = [
        "\u{1b}[31mred\u{1b}]0;t\u{7}",
        "\u{202e}evil\u{200b}",
        "宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽",
        "a\nb\tc\r",
        "",
    ];
    let spans = [
        SpanView(f64::MIN, f64::MAX, 0.0, i64::MAX),
        SpanView(-0.0, 1e-300, 5e-324, i64::MIN),
        SpanView(3.0, 3.0, 3.0, 0),
        SpanView(f64::MAX, f64::MAX, f64::MAX, -1),
    ];
    let ranges = [(i64::MIN, i64::MAX), (0, 0), (i64::MAX - 1, i64::MAX), (-5, 9_000_000_000_000_000)];
    let mut drawn = 0;
    for (name, range) in names.iter().flat_map(|name| ranges.map(|range| (name, range))) {
        let line = |n: u32| LineView {
            with: n == 2,
            step_name: format!("train[{name}]"),
            name: (*name).to_owned(),
            pinned: true,
            system: n == 3,
            points: usize::MAX,
            odd: 1,
            last: Some(PointView::new(i64::MIN, i64::MAX, if n == 1 { f64::NAN } else { f64::MAX })),
            trend: Trend::Up,
            columns: (0..8).map(|at| ColumnView(at * 7 * n, spans.get(at as usize % 5).copied())).collect(),
        };
        let lines = (0..4).map(line).collect();
        let view = ChartView {
            axis: ChartAxis::Step,
            range: Some(range),
            extent: Some(range),
            time_range: Some(range),
            columns: 40,
            lines,
        };
        for keys in ["3", "3 y s", "3 <right> <right> + <left> -", "3 x + + +"] {
            let mut model = charted("3");
            model.charts.shown.insert((*name).to_owned(), true);
            model.charts.view = Some(("run42".into(), view.clone()));
            press(&mut model, keys);
            for (columns, rows) in [(80, 24), (200, 60), (40, 12), (1, 1), (9, 4), (60, 15), (300, 5), (31, 60)] {
                model.size = Size { columns, rows };
                harmless(&model, &Shown::default());
                drawn += 1;
            }
        }
    }
    assert!(drawn > 600, "{drawn}");
}
