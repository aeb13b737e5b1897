//! Each case, measured in a process of its own; its figures are printed as one line of words.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use dogwatch::journal::Journal;
use dogwatch::model::{AttemptId, Cause, Event, Lane, LaneId, RunId, StepId, Time, Verdict, What};
use dogwatch::tui::keys::Keys;
use dogwatch::tui::message::{Link, Message, News};
use dogwatch::tui::model::{Fold, Found, LaneKey, Manner, Model, RowKey, Size};
use dogwatch::tui::page::panes::Pictures;
use dogwatch::tui::theme::Theme;
use dogwatch::tui::update::update;
use dogwatch::wire::client::RunView;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::Line;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use crate::life::{Life, begun, ended, workflow};
use crate::real::{Engine, cpu_ms};
use crate::{Result, now_ms, peak, source};

pub(crate) const LIFE: &[&str] =
    &["parse [ms]", "plan [ms]", "validate [ms]", "mind [ms]", "journal [ms]", "turns", "events", "peak [MiB]"];
pub(crate) const REPLAY: &[&str] = &["open [ms]", "read+fold [ms]", "both [ms]", "file [MiB]", "peak [MiB]"];
pub(crate) const COMMIT: &[&str] = &["with [us]", "without [us]", "more [%]", "cpu with [us]", "cpu without"];
pub(crate) const VIEWS: &[&str] = &[
    "status [ms]",
    "size [KiB]",
    "engine cpu [ms]",
    "runs [ms]",
    "take [ms]",
    "frame [ms]",
    "open [ms]",
    "key [ms]",
    "engine [MiB]",
];
pub(crate) const REAL: &[&str] =
    &["whole [s]", "a step [ms]", "engine cpu [s]", "status [ms]", "record [KiB]", "engine [MiB]"];

/// Runs one and prints its figures.
pub(crate) fn case(words: &[String]) -> Result<()> {
    let [name, shape, size] = words else { return Err("case NAME SHAPE SIZE".into()) };
    let n: usize = size.parse()?;
    let figures = match name.as_str() {
        "life" => life(shape, n)?,
        "replay" => replay(n)?,
        "commit" => commits(n)?,
        "views" => views(shape, n)?,
        "real" => real(shape, n)?,
        _ => return Err(format!("there is no case {name}").into()),
    };
    let words: Vec<String> = figures.iter().map(|figure| format!("{figure:.1}")).collect();
    Ok(writeln!(std::io::stdout(), "{}", words.join(" "))?)
}

/// On a disk: what is durable takes its time there.
fn folder() -> Result<tempfile::TempDir> {
    let home = std::env::var_os("HOME").map_or("/tmp".into(), PathBuf::from);
    Ok(tempfile::Builder::new().prefix("dwc").tempdir_in(home)?)
}

#[expect(clippy::cast_precision_loss, reason = "sizes are small")]
fn number(n: usize) -> f64 {
    n as f64
}

fn life(shape: &str, n: usize) -> Result<Vec<f64>> {
    let folder = folder()?;
    let text = source(shape, n)?;
    let file = folder.path().join("w.toml");
    std::fs::write(&file, &text)?;
    let begun = now_ms();
    let flow = Arc::new(workflow(&text)?);
    let parse = now_ms() - begun;
    let mut life = Life::new(&folder.path().join("journal.db"))?;
    let id = RunId::new("abc234")?;
    life.begin(&id, &text, flow)?;
    life.live(1, usize::MAX)?;
    let ended = life.engine.run(&id).is_some_and(|run| matches!(run.phase, dogwatch::engine::Phase::Ended { .. }));
    if !ended {
        return Err("the run did not end".into());
    }
    let peak = peak(None)?;
    let begun = now_ms();
    let mut validate = std::process::Command::new(env!("CARGO_BIN_EXE_dogwatch"));
    let said = validate.arg("validate").arg(&file).output()?;
    let validated = now_ms() - begun;
    if !said.status.success() {
        return Err(String::from_utf8_lossy(&said.stderr).into_owned().into());
    }
    let took = life.took;
    Ok(vec![parse, took.plan, validated, took.mind, took.journal, number(took.turns), number(took.events), peak])
}

/// Ten runs that go on, with so many events in all; opened and folded as the engine does at its start.
fn replay(events: usize) -> Result<Vec<f64>> {
    let folder = folder()?;
    let path = folder.path().join("journal.db");
    let text = source("fan", events / 10 / 4 + 8)?;
    let flow = Arc::new(workflow(&text)?);
    let mut made = 0;
    for run in 0..10 {
        let mut life = Life::new(&path)?;
        life.begin(&RunId::new(&format!("run{run}"))?, &text, Arc::clone(&flow))?;
        life.live(512, events / 10)?;
        made += life.took.events;
        life.journal.close()?;
    }
    if made < events {
        return Err(format!("only {made} events").into());
    }
    drop(flow);
    let begun = now_ms();
    let journal = Journal::open(&path, "boot")?;
    let opened = now_ms();
    let mut engine = dogwatch::engine::Engine::new(0);
    for row in journal.read().unfinished()? {
        let flow = || workflow(&row.source).map(Arc::new).map_err(|error| error.to_string());
        journal.read().each(&row.id, 0, &flow, &mut |_, event| engine.apply(&event))?;
    }
    let done = now_ms();
    let file = number(usize::try_from(std::fs::metadata(&path)?.len())?) / 1024.0 / 1024.0;
    Ok(vec![opened - begun, done - opened, done - begun, file, peak(None)?])
}

/// What the end of a step and the start of the next one are written as.
fn four(run: &RunId, n: u32) -> Result<[Event; 4]> {
    let at = Time::from_ms(i64::from(n));
    let attempt = |n| -> Result<AttemptId> {
        let lane = LaneId { step: StepId::new("train")?, lane: Lane::default() };
        Ok(AttemptId { run: run.clone(), lane, n })
    };
    let all = [
        What::Claimed { attempt: attempt(n)? },
        What::Exited { attempt: attempt(n)?, exit: Box::new(ended(at)) },
        What::Judged { attempt: attempt(n)?, verdict: Verdict::Succeeded },
        What::Intended { attempt: attempt(n + 1)?, cause: Cause::First, resume: None },
    ];
    Ok(all.map(|what| Event { run: run.clone(), at, what }))
}

/// The journal's own commits beside the same rows in the same tables without sums and without a mark.
fn commits(n: usize) -> Result<Vec<f64>> {
    let folder = folder()?;
    let path = folder.path().join("journal.db");
    let text = source("chain", 3)?;
    let id = RunId::new("abc234")?;
    let mut journal = Journal::open(&path, "boot")?;
    let (row, first) = begun(&id, &text, Arc::new(workflow(&text)?));
    journal.commit(&[first], &[row], &[])?;
    let all: Vec<[Event; 4]> = (1..=u32::try_from(n)?).map(|n| four(&id, n)).collect::<Result<_>>()?;
    let (clock, cpu) = (now_ms(), cpu_ms(None)?);
    for events in &all {
        journal.commit(events, &[], &[])?;
    }
    let with = (now_ms() - clock, cpu_ms(None)? - cpu);
    journal.close()?;
    let rows = rows(&path)?;
    let mut plain = plain(&folder.path().join("plain.db"))?;
    let (clock, cpu) = (now_ms(), cpu_ms(None)?);
    for some in rows.chunks(4) {
        let transaction = plain.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // As the journal does: its epoch, and the newest number.
        for sql in ["SELECT value FROM meta WHERE key = 'epoch'", "SELECT coalesce(max(seq), 0) FROM events"] {
            let _: i64 = transaction.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        }
        for (seq, run, at, epoch, kind, body) in some {
            let sql = "INSERT INTO events (seq, run, at, epoch, kind, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            transaction.prepare_cached(sql)?.execute(params![seq, run, at, epoch, kind, body])?;
        }
        transaction.commit()?;
    }
    let without = (now_ms() - clock, cpu_ms(None)? - cpu);
    let each = |all: f64| all * 1000.0 / number(n);
    let more = (with.0 / without.0 - 1.0) * 100.0;
    Ok(vec![each(with.0), each(without.0), more, each(with.1), each(without.1)])
}

type Row = (i64, String, i64, i64, String, String);

/// The rows of a closed journal but the first.
fn rows(path: &Path) -> Result<Vec<Row>> {
    let written = Connection::open(path)?;
    let mut all = written.prepare("SELECT seq, run, at, epoch, kind, body FROM events WHERE seq > 1 ORDER BY seq")?;
    let rows =
        all.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)))?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

fn plain(path: &Path) -> Result<Connection> {
    let plain = Connection::open_with_flags_and_vfs(path, OpenFlags::default(), c"unix-excl")?;
    plain.pragma_update(None, "journal_mode", "WAL")?;
    plain.pragma_update(None, "synchronous", "FULL")?;
    plain.execute_batch(
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
         INSERT INTO meta VALUES ('epoch', 1), ('escalation', 0);
         CREATE TABLE events (
             seq INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, at INTEGER NOT NULL, epoch INTEGER NOT NULL,
             kind TEXT NOT NULL, body TEXT NOT NULL) STRICT;
         CREATE INDEX events_run ON events (run, seq);",
    )?;
    Ok(plain)
}

/// A run of so many lanes that waits at its gate: what `status` takes and sends, and what the screen makes of it.
fn views(shape: &str, n: usize) -> Result<Vec<f64>> {
    let text = source(shape, n)?.replacen("run = \"true\"", "approval = { prompt = 'Go?' }", 1);
    let engine = Engine::new()?;
    engine.write(&text)?;
    engine.said(&["run", "w.toml", "--detach", "--no-input"])?;
    let pid = engine.pid()?;
    let (clock, cpu) = (now_ms(), cpu_ms(Some(pid))?);
    let mut said = String::new();
    for _ in 0..5 {
        said = engine.said(&["status", shape, "--json"])?;
    }
    let (status, cpu) = ((now_ms() - clock) / 5.0, (cpu_ms(Some(pid))? - cpu) / 5.0);
    let clock = now_ms();
    for _ in 0..5 {
        engine.said(&["runs", "--json"])?;
    }
    let runs = (now_ms() - clock) / 5.0;
    let view: RunView = serde_json::from_str(said.trim())?;
    let [take, frame, open, key] = screen(&view);
    Ok(vec![status, number(said.len()) / 1024.0, cpu, runs, take, frame, open, key, peak(Some(pid))?])
}

/// No pictures.
struct Blank;

impl Pictures for Blank {
    fn paint(&self, _: &LaneKey, _: Rect, _: usize, _: &mut Buffer) -> Option<Option<Position>> {
        None
    }

    fn log_lines(&self, _: u64, _: usize) -> Vec<Line<'static>> {
        Vec::new()
    }
}

/// Milliseconds of the screen: to take a new state of the run, to draw a frame, one with all lanes unfolded and the last one
/// selected, and a key that goes up there, with its frame.
fn screen(run: &RunView) -> [f64; 4] {
    const TIMES: u32 = 10;
    let manner = Manner {
        keys: Keys::built_in(),
        theme: Theme::default(),
        zone: jiff::tz::TimeZone::UTC,
        readonly: false,
        motion: true,
        let_go: "Ctrl-]".into(),
        operator: "ann@host".into(),
        found: Found::default(),
    };
    let mut model = Model::new(manner, Size { columns: 200, rows: 60 }, run.now_ms);
    let mut tell = |news| drop(update(&mut model, Message::News(Box::new(news))));
    tell(News::Link(Link::Up));
    tell(News::Runs(vec![run.line.clone()]));
    let mut views: Vec<RunView> = (0..TIMES).map(|_| run.clone()).collect();
    let take = each(TIMES, || views.pop().into_iter().for_each(|view| tell(News::Run(Box::new(view)))));
    let frame = each(TIMES, || draw(&model));
    if let Some(last) = run.steps.last() {
        let steps = run.steps.iter().map(|step| step.step.clone());
        model.folds.extend(steps.map(|step| (step, Fold::Unfolded)));
        (model.selected, model.chosen) = (Some(RowKey::Lane(last.name())), true);
    }
    let open = each(TIMES, || draw(&model));
    let key = each(TIMES, || {
        update(&mut model, Message::Key(KeyEvent::new(KeyCode::Up, KeyModifiers::NONE)));
        draw(&model);
    });
    [take, frame, open, key]
}

fn each(times: u32, mut act: impl FnMut()) -> f64 {
    let clock = now_ms();
    (0..times).for_each(|_| act());
    (now_ms() - clock) / f64::from(times)
}

fn draw(model: &Model) {
    let mut buf = Buffer::empty(Rect::new(0, 0, 200, 60));
    dogwatch::tui::view::view(model, &Blank, &mut buf);
}

/// All of it by the engine and its processes.
fn real(shape: &str, n: usize) -> Result<Vec<f64>> {
    let engine = Engine::new()?;
    engine.write(&source(shape, n)?)?;
    engine.said(&["ps"])?;
    let pid = engine.pid()?;
    let (clock, cpu) = (now_ms(), cpu_ms(Some(pid))?);
    engine.said(&["run", "w.toml", "--no-input"])?;
    let (whole, cpu) = (now_ms() - clock, cpu_ms(Some(pid))? - cpu);
    let clock = now_ms();
    engine.said(&["status", shape, "--json"])?;
    let status = now_ms() - clock;
    let record = number(usize::try_from(engine.record()?)?) / 1024.0;
    Ok(vec![whole / 1000.0, whole / number(n), cpu / 1000.0, status, record, peak(Some(pid))?])
}
