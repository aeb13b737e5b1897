//! The top line: whatever stands in it, and however little room there is, two parts never run into one another.

use dogwatch::tui::message::News;
use dogwatch::tui::model::{Model, Size};
use dogwatch::wire::client::{IsolationView, MachineView, ResourcesView, StepState};

use super::{asked, news, press, wait};
use crate::support::screen_text::text;
use crate::support::shown::{gate, screen, step};

const TROUBLE: &str = "the disk of /workspace is full: nothing new is started until there is space";

/// One way in which a top line can be full.
#[derive(Debug, Clone, Copy)]
struct Full {
    name: &'static str,
    questions: u64,
    /// Of [`BARE`] and the others.
    with: u8,
}

const BARE: u8 = 1;
const TROUBLED: u8 = 2;
const PARAMS: u8 = 4;
const MACHINE: u8 = 8;
const READONLY: u8 = 16;

impl Full {
    fn has(self, what: u8) -> bool {
        self.with & what != 0
    }
}

fn shown(full: Full, columns: u16) -> Model {
    let mut model = screen(vec![step("train", "", StepState::Running)]);
    // Few rows: only the first one counts here.
    model.size = Size { columns, rows: 6 };
    model.manner.readonly = full.has(READONLY);
    let mut run = model.run.clone().expect("a run is looked at");
    run.line.name = full.name.into();
    if full.has(BARE) {
        run.isolation = Some(IsolationView { sandboxed: false, why: Some("no namespaces".into()) });
    }
    if full.has(TROUBLED) {
        run.trouble = Some(TROUBLE.into());
    }
    if full.has(PARAMS) {
        run.params = vec![("learning_rate".into(), "0.0003".into()), ("data".into(), "x".repeat(90))];
    }
    news(&mut model, News::Run(Box::new(run)));
    if full.has(MACHINE) {
        let machine = MachineView { cpu_percent: Some(100.0), memory_total: 1 << 38, ..MachineView::default() };
        news(&mut model, News::Resources(ResourcesView { machine, steps: Vec::new() }));
    }
    let questions: Vec<_> = (0..full.questions).map(gate).collect();
    asked(&mut model, &questions);
    model.flash = None;
    model
}

fn all() -> Vec<Full> {
    let names = ["a", "warehouse", "nightly-retraining-of-the-recommender-of-the-second-shop", "モデルの学習と評価"];
    let mut all = Vec::new();
    for name in names {
        for questions in [0, 1, 12] {
            all.extend((0..32).map(|with| Full { name, questions, with }));
        }
    }
    all
}

/// The first line, and each text that can stand in it.
fn parts(model: &Model, full: Full) -> (String, Vec<String>) {
    let top = text(model).lines().next().unwrap_or_default().to_owned();
    let params = format!("learning_rate=0.0003 data={}", "x".repeat(90));
    let fixed = [
        "dogwatch",
        "read-only",
        "NOT ISOLATED",
        TROUBLE,
        &params,
        "● running 1h00m",
        "● 1h00m",
        "CPU 100%",
        "disk 0G",
    ];
    let mut known: Vec<String> = fixed.iter().map(|one| (*one).to_owned()).collect();
    known.push(format!("{} #42", full.name));
    known.push("RAM 256/256G".into());
    for n in [1, 12] {
        known.push(format!("▲ {n} (n)"));
        known.push(format!("▲ {n} {} you (n)", if n == 1 { "needs" } else { "need" }));
    }
    (top, known)
}

#[test]
fn no_two_parts_run_into_one_another() {
    for full in all() {
        for columns in (40..=130).step_by(2).chain([61, 81, 101, 160, 200]) {
            let model = shown(full, columns);
            let (top, known) = parts(&model, full);
            for part in top.split("  ").map(str::trim).filter(|part| !part.is_empty()) {
                let is = |one: &String| match part.strip_suffix('…') {
                    Some(cut) => one.starts_with(cut),
                    None => one == part,
                };
                assert!(known.iter().any(is), "{columns} columns, {full:?}: {part:?} in\n{top}");
            }
        }
    }
}

#[test]
fn what_needs_somebody_is_never_cut_and_names_are_before_badges() {
    for full in all().into_iter().filter(|full| full.questions > 0) {
        for columns in [40, 60, 80, 100, 120, 200] {
            let model = shown(full, columns);
            let (top, _) = parts(&model, full);
            assert!(top.contains(" you (n)") || columns < 60 && top.contains(" (n)"), "{columns}, {full:?}:\n{top}");
            let badge = full.has(BARE) && !full.has(TROUBLED) && columns >= 80;
            assert!(!badge || top.contains("  NOT ISOLATED  "), "{columns}, {full:?}:\n{top}");
            let trouble = full.has(TROUBLED) && columns >= 80;
            assert!(!trouble || top.contains("  the disk of /workspace"), "{columns}, {full:?}:\n{top}");
        }
    }
}

#[test]
fn a_prompt_leaves_its_ways_out_beside_the_badge() {
    let full = Full { name: "warehouse", questions: 2, with: BARE | MACHINE };
    let mut model = shown(full, 80);
    press(&mut model, "n");
    wait(&mut model, 300);
    let (top, _) = parts(&model, full);
    assert!(top.contains("  NOT ISOLATED  ") && top.ends_with("  ▲ 1 of 2  Tab next  Esc later"), "{top}");
}
