//! What operators do with the pages, key by key.

use dogwatch::tui::message::{Effect, Link, LiveKind, Message, News, Purpose, Refused};
use dogwatch::tui::model::{LaneKey, Model, Stage, View};
use dogwatch::tui::panel::Panel;
use dogwatch::tui::panel::sheet::About;
use dogwatch::tui::update::update;
use dogwatch::wire::client::{
    Ask, AttachedView, CheckpointOrder, CheckpointView, KeptView, Order, Reply, RunState, SourceView, StepState,
    StepView, WaitKind, WaitView,
};
use dogwatch::wire::secrets::Secrets;

use crate::support::pages::{Shown, event, press, run_line, run_view, screen, screen_of, tell, text, text_at};
use crate::support::shown::{NOW, step};

const FILE: &str = "version = 1\n[params]\nlr = { type = \"number\", default = 0.1, description = \"Learning rate\" }\n\
                    size = { type = \"string\", default = \"small\", choices = [\"small\", \"large\"] }\n\
                    [steps.train]\nrun = \"python3 train.py\"\n";

fn source(text: &str, params: &[(&str, &str)]) -> SourceView {
    SourceView {
        file: "dogwatch.toml".into(),
        base: "/data".into(),
        text: text.into(),
        results: Vec::new(),
        params: params.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
    }
}

fn known(model: &mut Model, run: &str, source: SourceView) -> Vec<Effect> {
    let why = Purpose::Source { run: run.into() };
    update(model, Message::Answered { why, result: Ok(Reply::Source(source)) })
}

fn history() -> Model {
    let mut good = run_line("tiny-lm", 41, RunState::Succeeded);
    good.created_ms = NOW - 90_000_000;
    good.ended_ms = Some(NOW - 90_000_000 + 17_160_000);
    let runs = vec![
        run_line("tiny-lm", 42, RunState::Running),
        run_line("etl", 7, RunState::Failed),
        good,
        run_line("tiny-lm", 40, RunState::Stopped),
    ];
    let mut model = screen(runs);
    model.view = View::Runs;
    model
}

#[test]
fn a_run_is_opened_from_the_list() {
    let mut model = history();
    let caused = press(&mut model, "j <enter>");
    assert!(caused.contains(&Effect::Watch { run: "run7".into() }), "{caused:?}");
    assert_eq!(model.view, View::Overview);
}

#[test]
fn the_list_of_runs_is_narrowed_while_it_is_typed_and_widened_by_esc() {
    let mut model = history();
    press(&mut model, "/ etl");
    assert_eq!(model.shown_runs().len(), 1, "while it is typed");
    press(&mut model, "<enter>");
    assert!(text(&model, &Shown::default()).contains("Runs / etl"), "the title says so");
    assert!(text(&model, &Shown::default()).contains("1 of 4"));
    press(&mut model, "<esc>");
    assert_eq!((model.shown_runs().len(), model.view), (4, View::Runs), "esc goes back one: the filter");
    press(&mut model, "<esc>");
    assert_eq!(model.view, View::Overview);
    press(&mut model, "5 / stop <esc>");
    assert_eq!(model.shown_runs().len(), 4, "esc in the field takes back what was typed");
}

#[test]
fn the_cursor_stays_on_its_run_when_a_newer_one_comes() {
    let mut model = history();
    press(&mut model, "j j");
    let mut runs = model.runs.clone();
    runs.insert(0, run_line("tiny-lm", 43, RunState::Running));
    tell(&mut model, News::Runs(runs));
    assert_eq!(model.run_here().map(|run| run.number), Some(41));
}

#[test]
fn what_differs_from_the_run_before_is_asked_for_once_and_shown() {
    let mut model = history();
    let caused = press(&mut model, "k");
    let asks = |run: &str| Effect::Ask {
        why: Purpose::Source { run: run.into() },
        ask: Box::new(Ask::Source { run: run.into() }),
    };
    assert_eq!(caused, [asks("run41"), asks("run42")]);
    assert_eq!(press(&mut model, "k k"), [], "asked once");
    known(&mut model, "run41", source(FILE, &[]));
    known(&mut model, "run42", source(&FILE.replace("train.py", "train.py --fast"), &[("lr", "0.3")]));
    let shown = text_at(&model, &Shown::default(), 120, 40);
    assert!(shown.contains("#41 → #42  dogwatch.toml 2 lines · lr 0.1→0.3"), "{shown}");
    assert!(shown.contains("usual: 4h46m (median of 1 good run)"), "{shown}");
}

#[test]
fn a_refused_file_is_told_and_asked_for_again_when_the_engine_is_back() {
    let mut model = history();
    press(&mut model, "k");
    let refused = Refused { words: "this engine has no files".into(), hint: None };
    let why = Purpose::Source { run: "run41".into() };
    assert_eq!(update(&mut model, Message::Answered { why, result: Err(refused) }), []);
    assert!(model.flash.is_none(), "nobody pressed a key for it");
    assert!(text_at(&model, &Shown::default(), 120, 40).contains("this engine has no files"));
    tell(&mut model, News::Link(Link::Lost { why: "killed".into() }));
    let caused = tell(&mut model, News::Link(Link::Up));
    assert_eq!(caused.len(), 2, "{caused:?}");
}

#[test]
fn two_marked_runs_are_compared() {
    let mut model = history();
    press(&mut model, "<space> j j <space> d");
    let Some(Panel::Sheet(sheet)) = model.panels.last() else {
        panic!("no sheet: {:?}", model.panels);
    };
    assert_eq!(sheet.about, About::Runs("run41".into(), "run42".into()), "the older first");
    known(&mut model, "run41", source(FILE, &[("size", "small")]));
    known(&mut model, "run42", source(FILE, &[("size", "large")]));
    let shown = text(&model, &Shown::default());
    assert!(shown.contains("size: small → large"), "{shown}");
    press(&mut model, "<esc>");
    assert_eq!((model.panels.len(), model.view), (0, View::Runs));
}

#[test]
fn a_run_is_started_again_with_another_parameter() {
    let mut model = history();
    let caused = press(&mut model, "R");
    assert!(
        caused
            .iter()
            .any(|effect| matches!(effect, Effect::Ask { why: Purpose::Source { run }, .. } if run == "run42"))
    );
    assert_eq!(press(&mut model, "<enter>"), [], "nothing starts before its file is known");
    known(&mut model, "run42", source(FILE, &[("size", "large")]));
    let shown = text(&model, &Shown::default());
    assert!(shown.contains("Learning rate") && shown.contains("one of small, large"), "{shown}");
    let caused = press(&mut model, "<backspace> 5 <enter>");
    let wanted = Ask::Again {
        run: "run42".into(),
        params: vec![("lr".into(), "0.5".into()), ("size".into(), "large".into())],
        secrets: Secrets::default(),
    };
    assert_eq!(caused, [Effect::Ask { why: Purpose::Open, ask: Box::new(wanted) }]);
    assert!(model.panels.is_empty());
}

#[test]
fn a_read_only_screen_starts_nothing() {
    let mut model = history();
    model.manner.readonly = true;
    for key in ["R", "o", "w"] {
        assert_eq!(press(&mut model, key).iter().filter(|effect| !matches!(effect, Effect::Ask { .. })).count(), 0);
        assert!(model.panels.is_empty(), "{key}");
        assert_eq!(model.flash.as_ref().map(|flash| flash.words.as_str()), Some("this screen is read-only"), "{key}");
    }
}

fn checkpoint(step: &str, at: i64, newest: bool, bytes: Option<u64>) -> CheckpointView {
    CheckpointView {
        step_name: step.into(),
        attempt: 1,
        path: format!("/data/ckpt/{step}/step-{at}"),
        step: Some(at),
        seen_ms: NOW - 240_000,
        bytes,
        newest,
        says: String::new(),
        pinned: false,
        metrics: Vec::new(),
    }
}

fn with_checkpoints(state: StepState) -> Model {
    let mut model = screen_of(run_view(
        run_line("tiny-lm", 42, RunState::Running),
        vec![step("prepare", "", StepState::Succeeded), step("train", "lr=0.1", state)],
    ));
    tell(
        &mut model,
        News::Checkpoints(vec![
            checkpoint("train[lr=0.1]", 3600, true, Some(2_254_857_830)),
            checkpoint("train[lr=0.1]", 2400, false, Some(2_254_857_830)),
            checkpoint("train[lr=0.1]", 1200, false, None),
        ]),
    );
    press(&mut model, "4");
    model
}

fn kept(step: &str, newest: bool, pinned: bool) -> KeptView {
    KeptView {
        step_name: step.into(),
        attempt: 1,
        environment: "gpu".into(),
        image: format!("sha256:{}", "0123456789abcdef".repeat(4)),
        kept_ms: NOW - 240_000,
        bytes: 3 << 20,
        pinned,
        newest,
        says: String::new(),
        bad: false,
    }
}

#[test]
fn environments_that_were_kept_are_shown_before_the_checkpoints_of_steps() {
    let mut model = with_checkpoints(StepState::Running);
    tell(&mut model, News::Kept(vec![kept("setup", false, true), kept("prepare", true, false)]));
    let shown = text(&model, &Shown::default());
    let line =
        |what: &str| shown.lines().position(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {shown}"));
    assert!(line("environments") < line("after prepare") && line("after prepare") < line("after setup"), "{shown}");
    assert!(line("after setup") < line("step 3600"), "{shown}");
    for fact in ["4m00s ago", "3.0M ★", "pinned", "gpu", "0123456789ab"] {
        assert!(shown.contains(fact), "{fact}: {shown}");
    }
    // Keys are for the checkpoints of steps.
    assert_eq!(press(&mut model, "y"), [Effect::Copy("/data/ckpt/train[lr=0.1]/step-3600".into())]);
    // Many are folded, and another run has none of them.
    tell(&mut model, News::Kept((0..9).map(|n| kept(&format!("s{n}"), n == 8, false)).collect()));
    let shown = text(&model, &Shown::default());
    assert!(shown.contains("after s8") && !shown.contains("after s3") && shown.contains("+4 more"), "{shown}");
    tell(&mut model, News::Run(Box::new(run_view(run_line("other", 7, RunState::Running), Vec::new()))));
    assert!(!text(&model, &Shown::default()).contains("after s8"));
}

#[test]
fn a_step_goes_on_from_its_newest_checkpoint() {
    let mut model = with_checkpoints(StepState::Failed);
    press(&mut model, "j r");
    let shown = text(&model, &Shown::default());
    assert!(shown.contains("a new attempt from step 3600"), "{shown}");
    assert!(shown.contains("a new attempt from step 2400; 1200 steps are done again"), "{shown}");
    model.now_ms += 300;
    let caused = press(&mut model, "2");
    let order = |checkpoint: Option<&str>| Ask::Order {
        run: "run42".into(),
        step: "train[lr=0.1]".into(),
        order: Order::Resume,
        note: None,
        checkpoint: checkpoint.map(str::to_owned),
    };
    assert_eq!(caused, [Effect::tell(order(None))]);
    press(&mut model, "r");
    model.now_ms += 300;
    assert_eq!(press(&mut model, "3"), [Effect::tell(order(Some("/data/ckpt/train[lr=0.1]/step-2400")))]);
    // What is gone is not gone on from.
    press(&mut model, "j r");
    assert!(text(&model, &Shown::default()).contains("Nothing goes on from step 1200: it is gone."));
}

#[test]
fn checkpoints_are_looked_at_pinned_and_removed_by_keys_that_say_what_they_do() {
    let mut model = with_checkpoints(StepState::Running);
    let (step, path) = ("train[lr=0.1]".to_owned(), "/data/ckpt/train[lr=0.1]/step-3600".to_owned());
    let asked = |order| Effect::tell(Ask::OrderCheckpoints { run: "run42".into(), order });
    let pin = CheckpointOrder::Pin { step: step.clone(), which: Some(path.clone()) };
    assert_eq!(press(&mut model, "P"), [asked(pin)]);
    assert_eq!(press(&mut model, "V"), []);
    let shown = text(&model, &Shown::default());
    assert!(shown.contains("its `checkpoint.verify` looks at step 3600") && shown.contains("all 3"), "{shown}");
    model.now_ms += 300;
    let verify = CheckpointOrder::Verify { step: Some(step.clone()), which: Some(path) };
    assert_eq!(press(&mut model, "2"), [asked(verify)]);
    assert_eq!(press(&mut model, "D"), []);
    let shown = text(&model, &Shown::default());
    assert!(shown.contains("that cannot be undone") && shown.contains("says what would be removed"), "{shown}");
    model.now_ms += 300;
    assert_eq!(press(&mut model, "3"), [asked(CheckpointOrder::Prune { step, dry_run: false })]);
}

#[test]
fn a_running_step_is_not_resumed() {
    let mut model = with_checkpoints(StepState::Running);
    assert_eq!(press(&mut model, "r"), []);
    let said = model.flash.as_ref().map(|flash| flash.words.clone());
    assert_eq!(said.as_deref(), Some("train[lr=0.1] is running: stop it first"));
}

#[test]
fn a_checkpoints_path_is_copied_and_its_details_are_read() {
    let mut model = with_checkpoints(StepState::Running);
    assert_eq!(press(&mut model, "y"), [Effect::Copy("/data/ckpt/train[lr=0.1]/step-3600".into())]);
    press(&mut model, "j j <enter>");
    assert!(text(&model, &Shown::default()).contains("gone: nothing is there any more"));
}

fn with_records(many: u64) -> Model {
    let mut model = screen_of(run_view(
        run_line("tiny-lm", 42, RunState::Running),
        vec![step("prepare", "", StepState::Succeeded), step("train", "", StepState::Running)],
    ));
    let events = (1..=many).map(|seq| event(seq, 100, "attempt.claimed", "train", &format!("record {seq}"))).collect();
    tell(&mut model, News::Events { run: "run42".into(), events, fresh: true });
    press(&mut model, "J");
    model
}

#[test]
fn the_journal_follows_until_somebody_reads_back() {
    let mut model = with_records(100);
    let more = |model: &mut Model, seq| {
        let events = vec![event(seq, 1, "attempt.exited", "train", &format!("record {seq}"))];
        tell(model, News::Events { run: "run42".into(), events, fresh: false });
    };
    more(&mut model, 101);
    assert_eq!(model.event_here().map(|event| event.seq), Some(101), "it follows");
    press(&mut model, "k k k");
    more(&mut model, 102);
    assert_eq!(model.event_here().map(|event| event.seq), Some(98), "whoever reads goes on reading");
    press(&mut model, "f");
    assert_eq!(model.event_here().map(|event| event.seq), Some(102));
    press(&mut model, "g");
    assert_eq!(model.event_here().map(|event| event.seq), Some(1));
    press(&mut model, "G");
    assert_eq!(model.cursors.journal, 0, "at the end it follows again");
}

#[test]
fn the_journal_is_narrowed_and_leads_to_the_step() {
    let mut model = with_records(100);
    press(&mut model, "/ 77 <enter>");
    assert_eq!(model.shown_events().len(), 1);
    press(&mut model, "<enter>");
    assert_eq!(model.view, View::Overview);
    assert_eq!(model.lane().map(StepView::name), Some("train".into()));
}

fn first() -> Model {
    let mut model = screen(Vec::new());
    model.manner.found.workflows = vec!["etl.dogwatch.toml".into()];
    model.manner.found.files = vec!["train.py".into()];
    model
}

#[test]
fn the_first_screen_starts_things() {
    assert_eq!(press(&mut first(), "d"), [Effect::Demo]);
    assert_eq!(press(&mut first(), "n"), [Effect::Starter]);
    let mut model = first();
    assert_eq!(press(&mut model, "o <enter>"), [Effect::StartFile { path: "etl.dogwatch.toml".into() }]);
    let mut model = first();
    assert_eq!(press(&mut model, "w make <space> test <enter>"), [Effect::Exec { command: "make test".into() }]);
    let mut model = first();
    press(&mut model, "w <enter>");
    assert_eq!(model.panels.len(), 1, "an empty command is none");
    press(&mut model, "<esc>");
    assert!(model.panels.is_empty());
}

#[test]
fn a_file_with_mistakes_is_shown_whole() {
    let mut model = first();
    let words = "error: `neds` is no key\n --> etl.dogwatch.toml:3:1\n = hint: did you mean `needs`?";
    let refused = Refused { words: words.into(), hint: None };
    update(&mut model, Message::Answered { why: Purpose::Open, result: Err(refused) });
    let shown = text(&model, &Shown::default());
    assert!(shown.contains("etl.dogwatch.toml:3:1") && shown.contains("did you mean"), "{shown}");
}

#[test]
fn checkpoints_that_are_gone_are_folded() {
    let mut model = with_checkpoints(StepState::Running);
    let all = |there: std::ops::Range<i64>| {
        let of = |step: &'static str, there: std::ops::Range<i64>| {
            let one = move |at: i64| checkpoint(step, at * 100, at == 39, there.contains(&at).then_some(1 << 20));
            (0..40).rev().map(one)
        };
        News::Checkpoints(of("prepare", 0..0).chain(of("train[lr=0.1]", there)).collect())
    };
    tell(&mut model, all(38..40));
    press(&mut model, "4");
    let shown = text(&model, &Shown::default());
    // Of a step without any the newest, to be looked at; of one with some, none but to fill up.
    for line in ["step 3900", "step 3800", "step 3700", "+37 gone"] {
        assert_eq!(shown.matches(line).count(), 2, "{line}: {shown}");
    }
    assert!(!shown.contains("step 3600"), "{shown}");
    // The cursor goes over what is shown, and stays on what it was on.
    press(&mut model, "G");
    assert_eq!(model.checkpoint_here().map(|one| one.path.clone()), Some("/data/ckpt/train[lr=0.1]/step-3700".into()));
    press(&mut model, "k k");
    tell(&mut model, all(10..40));
    assert_eq!(model.checkpoint_here().map(|one| one.path.clone()), Some("/data/ckpt/train[lr=0.1]/step-3900".into()));
    let shown = text(&model, &Shown::default());
    assert!(shown.contains("+37 gone") && model.gone["train[lr=0.1]"] == 10, "{shown}");
}

#[test]
fn help_is_narrowed_and_says_whose_a_key_is() {
    let mut model = history();
    model.manner.keys =
        model.manner.keys.clone().with(&[("compare".to_owned(), vec!["v".to_owned()])].into()).expect("v is free");
    press(&mut model, "? / differs <enter>");
    let shown = text(&model, &Shown::default());
    assert!(shown.contains("yours") && shown.contains("/differs"), "{shown}");
    press(&mut model, "q");
    assert_eq!((model.panels.len(), model.view), (0, View::Runs), "q closes the innermost");
}

#[test]
fn the_palette_does_what_a_few_letters_name() {
    let mut model = history();
    press(&mut model, ": jourl <enter>");
    assert_eq!(model.view, View::Journal, "fuzzy");
    press(&mut model, ": quit");
    press(&mut model, "<esc>");
    assert_eq!((model.panels.len(), model.view), (0, View::Journal));
    let mut model = history();
    press(&mut model, ": undo");
    let shown = text(&model, &Shown::default());
    assert!(shown.contains("there is nothing to take back"), "it says why not: {shown}");
}

#[test]
fn a_failed_step_is_described_in_six_fields() {
    let mut failed = step("train", "", StepState::Failed);
    failed.exit = Some("code 1".into());
    failed.detail = "its last attempt failed".into();
    failed.ended_ms = Some(NOW - 1000);
    let mut model = screen_of(run_view(run_line("tiny-lm", 42, RunState::Failed), vec![failed]));
    press(&mut model, "d");
    let shown = text(&model, &Shown::default());
    for field in ["caused by", "command", "exit", "last output", "directory", "next"] {
        assert!(shown.contains(&format!("│{field}")), "{field}: {shown}");
    }
    let caused = press(&mut model, "y");
    assert!(matches!(&caused[..], [Effect::Copy(text)] if text.contains("exit: code 1 after 1m01s")), "{caused:?}");
}

#[test]
fn a_step_whose_question_is_answered_asks_no_more() {
    let mut review = step("review", "", StepState::Gate);
    review.until_ms = Some(NOW + 4_000);
    let held = WaitView { kind: WaitKind::Undo, since_ms: None, until_ms: NOW + 4_000 };
    let shown = |review: &StepView| {
        let steps = vec![review.clone()];
        text(&screen_of(run_view(run_line("tiny-lm", 42, RunState::Waiting), steps)), &Shown::default())
    };
    assert!(shown(&review).contains("approve?") && shown(&review).contains("◆ n: answer"));
    review.waits = vec![held];
    let answered = shown(&review);
    assert!(answered.contains("answered, in 4s"), "{answered}");
    assert!(!answered.contains("approve?") && !answered.contains("n: answer"), "{answered}");
}

#[test]
fn a_shell_from_a_sheet_is_not_hidden_by_it() {
    let failed = step("train", "", StepState::Failed);
    let mut model = screen_of(run_view(run_line("tiny-lm", 42, RunState::Failed), vec![failed]));
    press(&mut model, "d s");
    assert!(model.panels.is_empty() && model.attached.is_some());
}

#[test]
fn a_terminal_that_comes_after_it_was_let_go_is_not_the_next_ones() {
    let train = step("train", "", StepState::Running);
    let mut model = screen_of(run_view(run_line("tiny-lm", 42, RunState::Running), vec![train]));
    press(&mut model, "a");
    update(&mut model, Message::LetGo);
    press(&mut model, "a");
    // Typed before its terminal is there.
    press(&mut model, "x");
    assert_eq!(update(&mut model, Message::Live { number: 1, result: Ok(()) }), []);
    let behind = Refused { words: "too behind".into(), hint: None };
    assert_eq!(update(&mut model, Message::Live { number: 1, result: Err(behind) }), []);
    assert_eq!(model.attached.as_ref().map(|attached| (attached.number, attached.stage)), Some((2, Stage::Asked)));
    let lane = LaneKey { run: "run42".into(), name: "train".into() };
    let write = Effect::Write { lane, kind: LiveKind::Attach, bytes: b"x".to_vec() };
    assert_eq!(update(&mut model, Message::Live { number: 2, result: Ok(()) }), [write]);
    // That it was let go is not known yet where the step is shown: whoever is said to type was this screen.
    update(&mut model, Message::LetGo);
    let typing = |since_ms| {
        let mut train = step("train", "", StepState::Running);
        train.attached = Some(AttachedView { by: "ann@desk".into(), since_ms });
        News::Run(Box::new(run_view(run_line("tiny-lm", 42, RunState::Running), vec![train])))
    };
    tell(&mut model, typing(NOW));
    assert!(matches!(&press(&mut model, "a")[..], [Effect::OpenLive { take_over: false, .. }]));
    update(&mut model, Message::LetGo);
    tell(&mut model, typing(NOW + 60_000));
    press(&mut model, "a");
    assert!(model.attached.is_none() && text(&model, &Shown::default()).contains("take over"));
}
