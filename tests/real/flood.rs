//! More output than anybody keeps: the first and the last half of the log, a marker between them, the last line found at
//! once, and an engine that does not notice. 512 MiB; with `DOGWATCH_TEST_FULL=1` 2 GiB, as a user may have it.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use crate::house::{House, until};

const HALF: u64 = 32 * 1024 * 1024;
const LINE: &str = "0123456789abcdefghijklmnopqrstuvwxyz-0123456789abcdefghijklmnopq";

#[test]
fn a_flood_of_output_keeps_both_ends_of_the_log_and_the_engine_small() {
    let bytes: u64 = if std::env::var_os("DOGWATCH_TEST_FULL").is_some() { 2 << 30 } else { 512 << 20 };
    let house = House::new();
    house.workflow(&format!(
        "[workflow]\nname = \"flood\"\n[steps.work]\nrun = 'yes {LINE} | head -c {bytes}; echo; echo the-unique-last-line'\n"
    ));
    let began = dogwatch::clock::boottime_ms();
    house.start();
    // A look at it now and then, as somebody with a screen would.
    until_ended(&house);
    let took = dogwatch::clock::boottime_ms() - began;
    assert_eq!(house.lane("work")["exit"], "code 0");
    assert_eq!(house.said(&["logs", "@last", "work", "--tail", "1"]).trim_end(), "the-unique-last-line");

    let dir = house.attempts()["work/0/a1"].clone();
    let record: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(dir.join("exit.json")).expect("a record")).expect("a record");
    // The terminal makes two bytes of each end of a line.
    let lines = bytes / (LINE.len() as u64 + 1);
    assert!(record["log_bytes"].as_u64().is_some_and(|all| all >= bytes + lines), "{record}");
    assert_eq!(record["log_dropped_bytes"], 0, "{record}");

    let first = read(&dir.join("log"), 0, HALF);
    let wanted = format!("{LINE}\r\n");
    let whole = wanted.repeat(usize::try_from(HALF).expect("it fits") / wanted.len());
    assert!(first.len() as u64 >= HALF - 4096 && first.starts_with(&whole.as_bytes()[..first.len().min(whole.len())]));
    let kept = kept_bytes(&dir);
    assert!((2 * HALF..=2 * HALF + HALF + 1024 * 1024).contains(&kept), "{kept} bytes are kept");
    let raw = house.dogwatch(&["logs", "@last", "work"]).stdout;
    let text = String::from_utf8_lossy(&raw);
    assert!(text.contains("not kept") || text.contains("left out"), "a marker: {}", marker(&text));
    assert!(text.trim_end().ends_with("the-unique-last-line"));

    let engine = house.engine().expect("the engine is there");
    let peak = peak_kib(engine);
    eprintln!("{} MiB in {took} ms, engine at most {} MiB", bytes >> 20, peak / 1024);
    assert!(peak < 200 * 1024, "the engine needed {peak} KiB");
}

/// The series of a step: name, number of points, least, largest and newest value.
fn series(house: &House, step: &str) -> BTreeMap<String, (usize, f64, f64, f64)> {
    let mut all = BTreeMap::new();
    for line in house.said(&["metrics", "@last", step, "--csv"]).lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let value: f64 = fields[5].parse().expect("a number");
        let one = all.entry(fields[2].to_owned()).or_insert((0, f64::INFINITY, f64::NEG_INFINITY, value));
        *one = (one.0 + 1, one.1.min(value), one.2.max(value), value);
    }
    all
}

/// More lines, and longer ones, than anybody can read: what is told of them is right all the same, and the engine small.
#[test]
fn numbers_in_a_flood_are_right_and_the_engine_stays_small() {
    let house = House::new();
    let end = |name: &str| format!("echo; echo 'step 9 {name}=0.125'");
    house.workflow(&format!(
        "[steps.found]\nrun = \"yes 'epoch_loss=0.5 learning_rate=0.001 step 4/10' | head -c 40000000; {}\"\n\
         [steps.line]\nrun = \"yes 'a line that has no end; ' | tr -d '\\\\n' | head -c 100000000; {}\"\n\
         [steps.bars]\nprogress = 'tqdm'\nrun = \"yes ' 50%|#####     | 500/1000 [00:10<00:10, 1it/s]' | tr '\\\\n' '\\\\r' | head -c 20000000; {}; printf '\\\\r 75%%|#######   | 750/1000 [00:15<00:05, 1it/s]'; until [ -e over ]; do sleep 0.1; done\"\n\
         [steps.ranks]\nrun = \"yes '[rank0] step 4 loss=0.5' | head -c 4000000 & yes '[rank1] step 4 loss=0.5' | head -c 4000000; wait; echo; echo '[rank1] step 5 loss=99'; yes '[rank2] step 6 loss=0.5' | head -c 4000000; {}\"\n\
         [[steps.ranks.metrics]]\npattern = 'step (?P<step>\\d+) (?P<name>loss)=(?P<loss>[\\d.]+)'\nx = 'step'\n",
        end("epoch_loss"), end("loss"), end("loss"), end("loss")
    ));
    house.start();
    until("half of it is told", || house.lane("bars")["progress"]["done"].as_f64().is_some_and(|done| done > 0.74));
    std::fs::write(house.work().join("over"), "").expect("a file");
    assert_eq!(house.wait(), Some(0));
    let newest = |step: &str, name: &str| series(&house, step).get(name).map(|found| found.3);
    until("all of it is read", || {
        ["line", "bars", "ranks"].iter().all(|step| newest(step, "loss") == Some(0.125))
            && newest("found", "epoch_loss") == Some(0.125)
    });
    let found = series(&house, "found");
    assert_eq!(found.keys().collect::<Vec<_>>(), ["epoch_loss", "learning_rate"], "no half of a line tells anything");
    let rate = found["learning_rate"];
    assert!((rate.1 - 0.001).abs() < 1e-12 && (rate.2 - 0.001).abs() < 1e-12, "{rate:?}");
    assert_eq!(series(&house, "line").keys().collect::<Vec<_>>(), ["loss"]);
    let ranks = series(&house, "ranks")["loss"];
    assert!((ranks.1 - 0.125).abs() < 1e-12 && (ranks.2 - 99.0).abs() < 1e-12, "the peak is kept: {ranks:?}");
    assert!(ranks.0 > 10_000 && ranks.0 < 400_000, "{ranks:?}");
    let peak = peak_kib(house.engine().expect("the engine is there"));
    assert!(peak < 250 * 1024, "the engine needed {peak} KiB");
}

fn until_ended(house: &House) {
    let mut looks = 0;
    while house.lane("work")["ended_ms"].is_null() {
        let _ = house.dogwatch(&["logs", "@last", "work", "--tail", "5"]);
        looks += 1;
        assert!(looks < 5_000, "it does not end");
    }
    until("the run has ended", || house.status()["line"]["state"] == "succeeded");
}

fn read(path: &std::path::Path, from: u64, limit: u64) -> Vec<u8> {
    let mut file = std::fs::File::open(path).expect("a log");
    file.seek(SeekFrom::Start(from)).expect("a log");
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).expect("a log");
    bytes
}

fn kept_bytes(dir: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("an attempt").flatten();
    let logs = entries.filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name == "log" || name.strip_prefix("log.").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
    });
    logs.filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).sum()
}

/// The line in the middle that is not like the others.
fn marker(text: &str) -> String {
    text.lines().find(|line| *line != LINE).unwrap_or_default().into()
}

fn peak_kib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}
