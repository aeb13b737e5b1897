//! More output than anybody keeps: the first and the last half of the log, a marker between them, the last line found at
//! once, and an engine that does not notice. 512 MiB; with `DOGWATCH_TEST_FULL=1` 2 GiB, as a user may have it.

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
