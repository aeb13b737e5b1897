//! Every page as it is drawn, at four sizes, and with names that nobody should have.

use dogwatch::tui::message::{LogNews, Message, News, Purpose};
use dogwatch::tui::model::{LaneKey, Model, Size};
use dogwatch::tui::update::update;
use dogwatch::wire::client::{
    CheckpointView, GpuView, MachineView, Reply, ResourcesView, ResultView, RunState, SourceView, StepResources,
    StepState, StepView,
};

use crate::support::pages::{Shown, event, harmless, press, run_line, run_view, screen, screen_of, tell, text_at};
use crate::support::shown::{NOW, step};

const SIZES: [(u16, u16); 4] = [(80, 24), (120, 40), (200, 60), (40, 12)];

fn lanes(name: &str) -> Vec<StepView> {
    let mut prepare = step("prepare", "", StepState::Succeeded);
    prepare.started_ms = Some(NOW - 900_000);
    prepare.ended_ms = Some(NOW - 168_000);
    let lane = |label: &str, state| {
        let mut lane = step(name, label, state);
        lane.needs = vec!["prepare".into()];
        lane
    };
    let mut failed = lane("lr=3e-4", StepState::Failed);
    failed.exit = Some("code 1".into());
    failed.ended_ms = Some(NOW - 10_000);
    let mut retrying = lane("lr=1e-3", StepState::Retrying);
    retrying.until_ms = Some(NOW + 48_000);
    let waiting = |name: &str, needs: &[&str]| {
        let mut one = step(name, "", StepState::Waiting);
        one.attempt = 0;
        one.started_ms = None;
        one.needs = needs.iter().map(|need| (*need).to_owned()).collect();
        one
    };
    vec![
        prepare,
        lane("lr=1e-4", StepState::Running),
        failed,
        retrying,
        waiting("server", &[name]),
        waiting("evaluate", &[name, "server"]),
        waiting("export", &["evaluate"]),
    ]
}

fn busy(name: &str) -> Model {
    let line = run_line("tiny-lm", 42, RunState::Running);
    let mut model = screen_of(run_view(line.clone(), lanes(name)));
    let mut good = run_line("tiny-lm", 41, RunState::Succeeded);
    good.created_ms = NOW - 90_000_000;
    good.ended_ms = Some(NOW - 73_000_000);
    let mut asks = run_line("nightly-etl", 7, RunState::Waiting);
    asks.asking = 2;
    asks.created_ms = NOW - 86_400_000 * 9;
    tell(&mut model, News::Runs(vec![line, good, asks, run_line(name, 3, RunState::Failed)]));
    let checkpoint = |at: i64, newest, bytes| CheckpointView {
        step_name: format!("{name}[lr=1e-4]"),
        attempt: 1,
        path: format!("/data/tiny-lm/ckpt/step-{at}"),
        step: Some(at),
        seen_ms: NOW - (4_000 - at) * 600,
        bytes,
        newest,
        says: String::new(),
        pinned: false,
        metrics: Vec::new(),
    };
    let good = Some(2_254_857_830);
    tell(
        &mut model,
        News::Checkpoints(vec![
            checkpoint(3600, true, good),
            checkpoint(2400, false, good),
            checkpoint(1200, false, None),
        ]),
    );
    let train = format!("{name}[lr=1e-4]");
    let events = vec![
        event(1, 3600, "run.created", "", "started by ops@gpu-box"),
        event(2, 3590, "attempt.claimed", &train, "attempt 1 began"),
        event(3, 62, "checkpoint", &train, "checkpoint at step 3600"),
        event(4, 10, "attempt.exited", &format!("{name}[lr=3e-4]"), "attempt 1 ended: code 1"),
    ];
    tell(&mut model, News::Events { run: "run42".into(), events, fresh: true });
    let gib = 1u64 << 30;
    let machine = MachineView {
        cpus: 32,
        cpu_percent: Some(33.0),
        load1: 21.4,
        memory_total: 256 * gib,
        memory_available: 215 * gib,
        disk_total: 900 * gib,
        disk_free: 212 * gib,
        gpus: vec![GpuView {
            name: "H200".into(),
            percent: 97.0,
            memory_used: 71 * gib,
            memory_total: 80 * gib,
            celsius: Some(71.0),
        }],
    };
    let used = StepResources { step_name: train, cpu_percent: Some(612.0), memory: 41 * gib, processes: 9 };
    tell(&mut model, News::Resources(ResourcesView { machine, steps: vec![used] }));
    model
}

fn result(step: &str, state: StepState, took_ms: i64, numbers: &[(&str, Option<f64>)]) -> ResultView {
    let numbers = numbers.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    ResultView { step_name: step.into(), state, took_ms, numbers }
}

/// What the run and the one before were started with.
fn with_files(mut model: Model) -> Model {
    let file = |lr: &str, run: &str| SourceView {
        file: "dogwatch.toml".into(),
        base: "/data".into(),
        text: format!(
            "[params]\nlr = {{ default = 0.1, description = \"Learning rate\" }}\nsize = {{ choices = [\"small\", \"large\"] }}\n\
             [steps.train]\nrun = \"{run}\"\n"
        ),
        params: vec![("lr".into(), lr.into()), ("size".into(), "small".into())],
        results: if run.contains("fast") {
            vec![
                result("prepare", StepState::Succeeded, 61_000, &[]),
                result("train", StepState::Running, 480_000, &[("acc", Some(0.91)), ("loss", None)]),
            ]
        } else {
            vec![
                result("prepare", StepState::Succeeded, 60_000, &[]),
                result("train", StepState::Succeeded, 17_000_000, &[("loss", Some(1.899))]),
                result("export", StepState::Failed, 900, &[]),
            ]
        },
    };
    for (run, source) in [("run41", file("0.1", "train.py")), ("run42", file("0.3", "train.py --fast"))] {
        let why = Purpose::Source { run: run.into() };
        update(&mut model, Message::Answered { why, result: Ok(Reply::Source(source)) });
    }
    model
}

fn shown() -> Shown {
    Shown {
        pane: vec!["step 3690/6000 loss 1.904".into(), "step 3700/6000 loss 1.899".into()],
        log: (0..50).map(|n| format!("step {n}/6000 loss 2.{n}")).collect(),
    }
}

/// Each page, by its name.
fn pages(name: &str) -> Vec<(&'static str, Model)> {
    let busy = busy(name);
    let at = |keys: &str| {
        let mut model = busy.clone();
        press(&mut model, keys);
        model
    };
    let mut log = at("l");
    let lane = LaneKey { run: "run42".into(), name: log.lane().map(StepView::name).unwrap_or_default() };
    update(&mut log, Message::Log(LogNews::Open { lane, attempt: 1 }));
    update(&mut log, Message::Log(LogNews::Lines { count: 50, all: true }));
    press(&mut log, "g j j");
    let mut first = screen(Vec::new());
    first.manner.found.workflows = vec!["etl.dogwatch.toml".into()];
    first.manner.found.files = vec![format!("{name}.py"), "requirements.txt".into()];
    vec![
        ("overview", at("k")),
        ("checkpoints", at("4")),
        ("runs", with_files(at("5"))),
        ("runs-filter", at("5 / tiny")),
        ("compare", with_files(at("5 d"))),
        ("again", with_files(at("5 R"))),
        ("journal", at("J")),
        ("help", at("?")),
        ("palette", at(": re")),
        ("describe", at("d")),
        ("log", log),
        ("first", first.clone()),
        ("open-file", {
            press(&mut first, "o");
            first
        }),
    ]
}

#[test]
fn every_page_at_every_size() {
    for (page, model) in pages("train") {
        let pictures: Vec<String> = SIZES
            .iter()
            .map(|(columns, rows)| {
                let picture = text_at(&model, &shown(), *columns, *rows);
                format!("== {page} {columns}x{rows} ==\n{picture}")
            })
            .collect();
        insta::assert_snapshot!(page, pictures.join("\n"));
    }
}

#[test]
fn hostile_names_never_break_a_frame() {
    let names = [
        "\u{1b}[31mred\u{1b}]0;title\u{7}".to_owned(),
        "\u{202e}evil\u{200b}\u{feff}".to_owned(),
        "x".repeat(200),
        "👩‍👩‍👧‍👦🏳️‍🌈宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽宽".to_owned(),
        "a\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\nb\tc\r".to_owned(),
        String::new(),
    ];
    let sizes = [(80, 24), (200, 60), (40, 12), (60, 15), (1, 1), (2, 3), (100, 4), (7, 40)];
    let mut drawn = 0;
    for name in &names {
        for (_, mut model) in pages(name) {
            for (columns, rows) in sizes {
                model.size = Size { columns, rows };
                harmless(&model, &shown());
                drawn += 1;
            }
        }
    }
    assert!(drawn >= 600, "{drawn}");
}
