//! How far a step is, by the whole of what it printed: outputs that were captured from real programs, formats of
//! frameworks, and hostile output.

use std::fmt::Write as _;

use dogwatch::gauge::progress::{BadPattern, Meter, Parser, Progress};

/// A parser's name, what was printed, and how much of how much that means.
type Told = (&'static str, &'static str, Option<(f64, f64)>);

/// What was told of these bytes, one after the other, when they come in pieces of this size, a moment apart.
fn told(parser: &Parser, bytes: &[u8], size: usize) -> Vec<f64> {
    let mut meter = Meter::new(parser.clone());
    let mut all: Vec<f64> = Vec::new();
    let mut now = 0;
    for piece in bytes.chunks(size) {
        now += 60;
        all.extend(meter.bytes(piece, now).map(Progress::fraction));
    }
    let before = meter.progress();
    meter.settle(now + 1000);
    if meter.progress() != before {
        all.extend(meter.progress().map(Progress::fraction));
    }
    all
}

fn named(name: &str) -> Parser {
    Parser::named(name).expect("it is a name")
}

fn last(name: &str, lines: &str) -> Option<(f64, f64)> {
    let mut meter = Meter::new(named(name));
    meter.bytes(lines.as_bytes(), 1);
    meter.settle(1000);
    meter.progress().map(|progress| (progress.done, progress.total))
}

#[test]
fn captured_outputs_go_from_beginning_to_end() {
    let table: &[(&str, &[u8], usize)] = &[
        ("tqdm", include_bytes!("data/progress/tqdm.txt"), 8),
        ("tqdm", include_bytes!("data/progress/tqdm_nested.txt"), 8),
        ("pytest", include_bytes!("data/progress/pytest.txt"), 2),
        ("pytest", include_bytes!("data/progress/pytest_v.txt"), 90),
        ("cargo", include_bytes!("data/progress/cargo.txt"), 4),
    ];
    for (name, bytes, least) in table {
        for parser in [named(name), Parser::Auto] {
            for size in [7, 100] {
                let told = told(&parser, bytes, size);
                assert!(told.len() >= *least, "{name} {size}: {told:?}");
                assert!(told.is_sorted(), "{name} {size}: {told:?}");
                let end = if *name == "cargo" { 0.75 } else { 1.0 };
                assert!((told[told.len() - 1] - end).abs() < 1e-9, "{name} {size}: {told:?}");
            }
        }
    }
    // Three bars one after the other, two of them at once; the last one never ends.
    let told = told(&named("rich"), include_bytes!("data/progress/rich.txt"), 100);
    assert!(told.len() > 20 && told.contains(&1.0) && told[told.len() - 1] >= 0.5, "{told:?}");
}

#[test]
fn epochs_and_the_bars_within_are_one() {
    let table: &[Told] = &[
        ("keras", "Epoch 3/10\n340/680 ━━━━━━━━━━━━━━━━━━━━ 0s 2ms/step - loss: 0.4\r", Some((2.5, 10.0))),
        ("keras", "Epoch 1/5\n938/938 [==============================] - 2s 2ms/step\nEpoch 2/5\n", Some((1.0, 5.0))),
        ("keras", "Epoch 5/5\n\r938/938 [==============================] - 2s 2ms/step", Some((5.0, 5.0))),
        ("lightning", "Epoch 3:  50%|█████     | 17/34 [00:01<00:01, 12.0it/s, v_num=0]", Some((17.0, 34.0))),
        ("lightning", "Epoch 0/9  ━━━━━━━━╸━━━ 17/34 0:00:01 • 0:00:02 12.0it/s loss: 0.4", Some((0.5, 9.0))),
        ("auto", "Epoch 1/3:  50%|#####     | 20/40 [00:00<00:00, 97.79it/s]", Some((0.5, 3.0))),
        ("auto", "Epoch 3/10\n340/680 ━━━━━━━━━━━━━━━━━━━━ 0s 2ms/step - loss: 0.4\r", Some((2.5, 10.0))),
        ("auto", "    Building [=====>   ] 12/60: serde, regex\r", Some((12.0, 60.0))),
        ("auto", "epoch 3/10 step 100/400", Some((2.25, 10.0))),
        ("auto", "epoch 3/10", Some((3.0, 10.0))),
        // A bar of the evaluation does not take what was done back.
        ("auto", "epoch 3/10 step 300/400\nepoch 3/10 step 1/20", Some((2.75, 10.0))),
        ("hf-trainer", "  6%|▌     | 63/1000 [00:10<02:30]\r 50%|█████ | 10/20 [00:01<00:01]\r", Some((63.0, 1000.0))),
        ("hf-trainer", "  Num Epochs = 3\n{'loss': 0.5, 'learning_rate': 5e-05, 'epoch': 0.75}\n", Some((0.75, 3.0))),
        ("rich", "Working... ━━━━━━━╸━━━━  29% 0:00:08", Some((29.0, 100.0))),
        ("percent", "disk 10% done 62.5%", Some((62.5, 100.0))),
        ("n-of-m", "copied 3 of 10 things, 7/10 checked", Some((7.0, 10.0))),
        ("json-lines", "{\"step\": 40, \"total_steps\": 100, \"loss\": 1.0}\n{\"loss\": 2}", Some((40.0, 100.0))),
        ("json-lines", "{\"percent\": 12.5}", Some((12.5, 100.0))),
        ("cargo", "   Compiling serde v1.0.0\n    Building [=====>   ] 12/60: serde, regex\r", Some((12.0, 60.0))),
        ("pytest", "[gw0] [ 62%] PASSED tests/test_a.py::test_b\n", Some((62.0, 100.0))),
        ("tqdm", "62% of the memory", None),
        ("keras", "step 3/10", None),
    ];
    for (name, lines, expected) in table {
        let found = last(name, lines);
        let close = match (found, expected) {
            (Some(found), Some(expected)) => (found.0 - expected.0).abs() < 1e-9 && (found.1 - expected.1).abs() < 1e-9,
            (found, expected) => found == *expected,
        };
        assert!(close, "{name}: {lines:?} gave {found:?}");
    }
    assert!(Parser::names().all(|name| Parser::named(name).is_some()) && Parser::named("nothing").is_none());
}

#[test]
fn layers_of_an_image_count_together() {
    let text = "Pulling from library/python\r\naaaaaaaaaaaa: Pulling fs layer \r\nbbbbbbbbbbbb: Already exists \r\n\
                \x1b[2A\x1b[2Kaaaaaaaaaaaa: Downloading [==>     ]  10.5MB/21MB\r\x1b[2B";
    let found = last("docker-pull", text).expect("there are layers");
    assert!((found.0 - 1.35).abs() < 1e-9 && (found.1 - 2.0).abs() < 1e-9, "{found:?}");
    let done = format!("{text}aaaaaaaaaaaa: Pull complete \r\n");
    assert_eq!(last("docker-pull", &done), Some((2.0, 2.0)));
}

#[test]
fn own_patterns_say_what_they_count() {
    let parser =
        Parser::pattern(r"(?P<current>\d+)/(?P<total>[\d,]+) \[(?P<eta>[\d:]+)\]").expect("it has both groups");
    let found = parser.line("12/1,000 [01:00]").expect("it matches");
    assert_eq!((found.done, found.total, found.left_ms), (12.0, 1000.0, Some(60_000)));
    let percent = Parser::pattern(r"at (?P<percent>[\d.]+)").expect("it has its group");
    assert_eq!(percent.line("at 12.5").map(|found| found.done), Some(12.5));
    assert!(percent.line("at 120").is_none());
    assert_eq!(Parser::pattern(r"(?P<done>\d+)").err(), Some(BadPattern::Groups));
    assert!(matches!(Parser::pattern("(").err(), Some(BadPattern::Regex(_))));
}

#[test]
fn of_interleaved_ranks_the_last_one_counts() {
    let mut meter = Meter::new(Parser::Auto);
    let mut text = String::new();
    for step in 1..=50 {
        for (rank, form) in ["[rank0]: ", "rank 1 | ", "[default2]:", "3: "].into_iter().enumerate() {
            writeln!(text, "{form}step {}/100 loss 0.4", (step - rank).max(1)).expect("a text takes everything");
            if step < 4 {
                break;
            }
        }
    }
    for (moment, piece) in (1..).zip(text.as_bytes().chunks(64)) {
        meter.bytes(piece, moment * 60);
    }
    assert_eq!(meter.progress().map(|progress| progress.done), Some(47.0));
}

#[test]
fn a_flood_costs_little_and_what_counts_is_the_newest() {
    let mut meter = Meter::new(Parser::Auto);
    // A million bars within one moment.
    let mut text = String::new();
    for round in 0..100u32 {
        text.clear();
        for bar in 0..10_000u32 {
            let done = round * 10_000 + bar + 1;
            write!(text, "\r 50%|#####     | {done}/1000000 [00:10<00:10, 1it/s]").expect("a text takes everything");
        }
        meter.bytes(text.as_bytes(), 7);
    }
    meter.settle(100);
    assert_eq!(meter.progress().map(|progress| progress.done), Some(1_000_000.0));
    // One line that never ends, and what comes after it.
    let mut meter = Meter::new(Parser::Auto);
    let block = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        meter.bytes(&block, 200);
    }
    meter.bytes(b"\nstep 3/10\n", 300);
    assert_eq!(meter.progress().map(|progress| progress.done), Some(3.0));
    assert!(format!("{meter:?}").len() < 100_000, "it keeps no line");
    // Nothing at all makes it panic.
    let mut meter = Meter::new(Parser::Auto);
    for byte in 0..=255u8 {
        meter.bytes(&[0x1b, b'[', byte, b'A', byte, b'%', b'3', b'/', b'4', b'\r', byte], i64::from(byte) * 60);
    }
    meter.bytes(b"epoch 1/1\n", i64::MAX);
    meter.bytes(b"epoch 1/1\n", i64::MIN);
    assert!(meter.progress().is_some());
}
