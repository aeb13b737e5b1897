//! The examples in `workflows/` as somebody runs them who has copied the folder: each to its end, and each once with its input
//! broken, to see the right step fail.

use std::path::{Path, PathBuf};

use crate::house::{House, until};

/// The folder `workflows` in the workspace of a new house.
fn house() -> House {
    let house = House::new();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("workflows"), &house.work().join("workflows"));
    house
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the examples are there").flatten() {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).expect("it is copied");
        }
    }
}

fn change(house: &House, file: &str, from: &str, to: &str) {
    let path = house.work().join("workflows").join(file);
    let text = std::fs::read_to_string(&path).expect("it is there");
    assert!(text.contains(from), "{file} has no {from:?}");
    std::fs::write(&path, text.replacen(from, to, 1)).expect("it is written");
}

fn start(house: &House, example: &str, more: &[&str]) {
    let file = format!("workflows/{example}.toml");
    house.said(&[&["run", &file, "--detach"], more].concat());
}

fn state(house: &House, step: &str) -> String {
    house.lane(step)["state"].as_str().unwrap_or_default().to_owned()
}

fn log(house: &House, step: &str) -> String {
    house.said(&["logs", "@last", step])
}

/// The folder of the only run.
fn run(house: &House) -> PathBuf {
    let runs = std::fs::read_dir(house.state().join("runs")).expect("runs").flatten();
    runs.map(|entry| entry.path()).next().expect("a run")
}

#[test]
fn twelve_thousand_orders_come_into_the_warehouse_to_the_cent() {
    let house = house();
    start(&house, "warehouse", &[]);
    assert_eq!(house.wait(), Some(0), "{}", house.said(&["status"]));
    let db = run(&house).join("work/load/0/warehouse.db");
    let db = rusqlite::Connection::open_with_flags(db, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a database");
    let count: i64 = db.query_row("SELECT count(*) FROM orders", [], |row| row.get(0)).expect("orders");
    assert_eq!(count, 12_000);
    assert!(log(&house, "check").contains("12000 orders, 2749089.15 in all"), "{}", log(&house, "check"));
}

#[test]
fn a_price_that_is_none_fails_the_transforms_and_nothing_is_loaded() {
    let house = house();
    change(&house, "warehouse/catalog.csv", "drill,149.00", "drill,on request");
    start(&house, "warehouse", &[]);
    until("both are asked about", || ["clean", "totals"].iter().all(|step| state(&house, step) == "asking"));
    assert_eq!((state(&house, "extract"), state(&house, "load")), ("succeeded".into(), "waiting".into()));
    assert!(log(&house, "clean").contains("price 'on request' is no amount of money"), "{}", log(&house, "clean"));
}

#[test]
fn what_is_tested_is_built_and_tried() {
    let house = house();
    start(&house, "ci", &[]);
    assert_eq!(house.wait(), Some(0), "{}", house.said(&["status"]));
    let ran = ["suite=test_numerals", "suite=test_text"].map(|lane| log(&house, &format!("test[{lane}]")));
    let tests = ran.iter().flat_map(|text| text.lines()).filter(|line| line.contains("... ok")).count();
    assert!(tests >= 20, "{tests} tests");
    assert!(log(&house, "try").contains("3999 MMMCMXCIX 3999"), "{}", log(&house, "try"));
}

#[test]
fn a_broken_program_fails_its_tests_and_is_not_built() {
    let house = house();
    change(&house, "ci/program/numerals.py", "(4, \"IV\"), ", "");
    start(&house, "ci", &[]);
    let broken = "test[suite=test_numerals]";
    until("a test has failed", || state(&house, broken) == "asking");
    assert_eq!((state(&house, "compile"), state(&house, "build")), ("succeeded".into(), "waiting".into()));
    let why = house.said(&["why", "@last", broken]);
    assert!(why.contains("a-test-failed"), "{why}");
}

/// Starts the deployment and says yes.
fn deploy(house: &House) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = free.local_addr().expect("it is bound").port();
    drop(free);
    start(house, "deploy", &["-p", &format!("port={port}")]);
    until("a person is asked", || state(house, "gate") == "gate");
    assert_eq!(state(house, "server"), "ready");
    house.said(&["approve", "@last", "gate"]);
}

#[test]
fn a_release_is_deployed_and_healthy() {
    let house = house();
    deploy(&house);
    assert_eq!(house.wait(), Some(0), "{}", house.said(&["status"]));
    assert!(log(&house, "announce").contains("live: v2"), "{}", log(&house, "announce"));
    assert_eq!((house.lane("health")["attempt"].as_u64(), state(&house, "server")), (Some(1), "succeeded".into()));
}

#[test]
fn a_release_that_is_not_healthy_is_rolled_back() {
    let house = house();
    change(&house, "deploy/release/health.json", "\"ok\"", "\"database is gone\"");
    deploy(&house);
    assert_eq!(house.wait(), Some(0), "{}", house.said(&["status"]));
    let first = house.said(&["logs", "@last", "health", "--attempt", "1"]);
    assert!(first.contains("health check failed"), "{first}");
    assert_eq!(house.lane("health")["attempt"].as_u64(), Some(2), "the rollback is its second attempt");
    assert!(log(&house, "announce").contains("live: v1"), "{}", log(&house, "announce"));
}
