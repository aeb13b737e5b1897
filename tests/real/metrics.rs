//! Numbers of real steps, from their output, from their files and by `dogwatch report`, as series that outlive engines; and
//! how far a step is, with what is left of it.

use serde_json::Value;

use crate::desk::Desk;
use crate::house::{House, until, words};

/// The points of a series of the newest run: step and value.
fn points(house: &House, step: &str, name: &str) -> Vec<(i64, Option<f64>)> {
    let output = house.dogwatch(&["metrics", "@last", step, "--name", name, "--json"]);
    assert!(output.status.success(), "{}", words(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let parts = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let all = parts.flat_map(|part| part["points"].as_array().cloned().unwrap_or_default());
    all.filter_map(|point| Some((point["step"].as_i64()?, point["value"].as_f64()))).collect()
}

#[test]
fn output_files_and_reports_become_series() {
    let house = House::new();
    house.workflow(
        "[steps.prints]\nrun = 'for n in 1 2 3; do echo \"at $n the loss is 0.$n\"; done; echo at 4 the loss is nan'\n\
         [[steps.prints.metrics]]\npattern = 'at (?P<at>\\d+) the loss is (?P<loss>[\\d.]+|nan)'\nx = 'at'\n\
         [steps.writes]\nrun = 'for n in 1 2 3; do echo \"{\\\"step\\\":$n,\\\"acc\\\":0.$n}\" >> $DOGWATCH_DIR/m.jsonl; sleep 0.1; done'\n\
         [[steps.writes.metrics]]\nfile = '$DOGWATCH_DIR/m.jsonl'\n\
         [steps.found]\nrun = 'printf \"step 7 lr=0.5\\rstep 8 lr=0.25\\n\"'\n\
         [steps.says]\nrun = 'dogwatch report metric score=1.5 step=40; \"$DOGWATCH_BIN\" report metric score=nan step=41; sleep 0.5'\n"
    );
    house.start();
    assert_eq!(house.wait(), Some(0));
    let numbers = [(1, Some(0.1)), (2, Some(0.2)), (3, Some(0.3)), (4, None)];
    until("the loss is kept", || points(&house, "prints", "loss").len() == 4);
    assert_eq!(points(&house, "prints", "loss"), numbers);
    until("the file is read", || points(&house, "writes", "acc").len() == 3);
    assert_eq!(points(&house, "writes", "acc"), numbers[..3]);
    until("pairs are found", || points(&house, "found", "lr").len() == 2);
    assert_eq!(points(&house, "found", "lr"), [(7, Some(0.5)), (8, Some(0.25))]);
    until("reports are read", || points(&house, "says", "score").len() == 2);
    assert_eq!(points(&house, "says", "score"), [(40, Some(1.5)), (41, None)]);
    let csv = house.said(&["metrics", "@last", "prints", "--csv"]);
    let rows: Vec<&str> = csv.lines().collect();
    assert_eq!(rows[0], "step_name,attempt,metric,step,time_ms,value");
    assert!(rows[4].starts_with("prints,1,loss,4,") && rows[4].ends_with(",NaN"), "{csv}");
    let table = house.said(&["metrics", "@last"]);
    assert!(table.contains("loss") && table.contains("0.1 to 0.3, 4 points"), "{table}");
}

/// Whatever folder the binary is in, and whatever the step has under that name stays its own.
#[test]
fn a_step_reports_from_a_sandbox_that_hides_the_binary_and_without_one() {
    for isolation in ["required", "none"] {
        let mut house = House::new();
        let hidden = house.root().join(".ssh");
        std::fs::create_dir(&hidden).expect("a folder of the home");
        std::fs::copy(env!("CARGO_BIN_EXE_dogwatch"), hidden.join("build")).expect("a copy");
        house.use_build(Some(hidden.join("build")));
        house.workflow(&format!(
            "[environment]\nisolation = '{isolation}'\n[steps.says]\nrun = '''\n\
             ls \"$HOME/.ssh\"; ls \"${{PATH##*:}}\"\n\
             dogwatch report metric score=1 step=1; env -u PATH \"$DOGWATCH_BIN\" report metric score=2 step=2\n\
             mkdir own; printf '#!/bin/sh\\necho mine\\n' > own/dogwatch; chmod +x own/dogwatch\n\
             PATH=\"$PWD/own:$PATH\" dogwatch report progress 1/2\n'''\n"
        ));
        house.start();
        assert_eq!(house.wait(), Some(0), "{}", house.log("says/0/a1"));
        let log = house.log("says/0/a1");
        let seen = if isolation == "none" { "build\r\n" } else { "" };
        assert_eq!(log, format!("{seen}dogwatch\r\nreported\r\nreported\r\nmine\r\n"), "{isolation}");
        until("reports are read", || points(&house, "says", "score").len() == 2);
    }
}

#[test]
fn no_point_is_lost_or_told_twice_when_the_engine_dies() {
    let house = House::new();
    house.workflow("[steps.train]\nrun = 'n=0; while [ $n -lt 600 ]; do n=$((n+1)); echo \"step $n loss=$n\"; [ $((n % 20)) -ne 0 ] || sleep 0.1; done'\n");
    house.start();
    for _ in 0..3 {
        let before = points(&house, "train", "loss").len();
        until("more is kept", || points(&house, "train", "loss").len() > before);
        house.kill_engine();
    }
    assert_eq!(house.wait(), Some(0));
    until("all of it is kept", || points(&house, "train", "loss").len() >= 600);
    let expected: Vec<(i64, Option<f64>)> = (1..=600).map(|n: i32| (i64::from(n), Some(f64::from(n)))).collect();
    assert_eq!(points(&house, "train", "loss"), expected);
}

#[test]
fn how_far_it_is_and_what_is_left_is_told() {
    let house = House::new();
    house.workflow(
        "[steps.train]\nprogress = { pattern = 'done (?P<done>\\d+) out of (?P<total>\\d+)' }\n\
         wait = { poll = { min = '70s', max = '90s' } }\n\
         run = 'n=0; while [ $n -lt 40 ]; do n=$((n+1)); echo \"done $n out of 80\"; sleep 0.1; done; until [ -e over ]; do sleep 0.1; done'\n\
         [steps.after]\nneeds = ['train']\nrun = 'sleep 0.2'\n",
    );
    house.start();
    let told = |lane: &Value| lane["progress"]["done"].as_f64().unwrap_or(0.0);
    until("half of it is done", || told(&house.lane("train")) >= 0.5);
    let lane = house.lane("train");
    let left = &lane["progress"]["left"];
    let [low, middle, high] = ["p10_ms", "p50_ms", "p90_ms"].map(|name| left[name].as_i64().unwrap_or(-1));
    assert!(0 < low && low <= middle && middle <= high, "{lane}");
    // What is left are seconds, and the step says that nobody needs to look so soon.
    assert!(house.status()["check_again_in_s"].as_u64().is_some_and(|s| (70..=90).contains(&s)), "{}", house.status());
    // Of the whole nothing is said: nobody knows how long the next step takes.
    let whole = house.status()["left"].clone();
    assert!(whole["range"].is_null() && whole["unknown"][0] == "after", "{whole}");
    assert!(house.said(&["status", "@last"]).contains("time left unknown: after has not ended well before"));
    std::fs::write(house.work().join("over"), "").expect("a file");
    assert_eq!(house.wait(), Some(0));
    assert!(house.status()["check_again_in_s"].is_null() && house.status()["left"].is_null(), "it is over");
    // A second run knows from the first how long it takes, before it says a word.
    house.start();
    until("what is left is known", || house.lane("train")["progress"]["left"]["p50_ms"].is_i64());
    let whole = house.status()["left"].clone();
    assert!(whole["range"]["p10_ms"].as_i64() <= whole["range"]["p90_ms"].as_i64(), "{whole}");
    assert_eq!((&whole["by"], &whole["unknown"]), (&serde_json::json!(["train", "after"]), &serde_json::json!([])));
    assert!(house.said(&["status", "@last"]).lines().next().is_some_and(|head| head.ends_with(" left")));
    assert_eq!(house.wait(), Some(0));
}

#[test]
fn an_alert_ends_what_diverges_and_the_rule_takes_another_way() {
    let house = House::new();
    house.workflow(
        "[steps.train]\ngrace = '1s'\nrun = 'n=0; while [ $n -lt 300 ]; do n=$((n+1)); echo \"step $n loss=$((n * RATE))\"; sleep 0.05; [ $RATE -gt 0 ] || exit 0; done'\n\
         env = { RATE = '10' }\n\
         [[steps.train.alerts]]\nwhen = 'loss > 50'\nmessage = 'Loss diverged'\n\
         [[steps.train.on_failure]]\nmatch = { class = 'divergence' }\naction = 'alternative'\nuse = 'slow'\nretry = { max_attempts = 2, delay = '50ms' }\n\
         [steps.train.alternatives.slow]\nenv = { RATE = '0' }\n",
    );
    house.start();
    assert_eq!(house.wait(), Some(0), "{}", house.status());
    assert_eq!(house.lane("train")["attempt"], 2);
    let why = house.said(&["why", "@last", "train", "--attempt", "1"]);
    assert!(why.contains("divergence") && why.contains("Loss diverged: loss = 60 at step 6"), "{why}");
}

/// How many events of this kind are in the journal.
fn recorded(house: &House, kind: &str) -> i64 {
    let count = "SELECT count(*) FROM events WHERE kind = ?1";
    house.journal().query_row(count, [kind], |row| row.get(0)).expect("the journal is read")
}

#[test]
fn an_alert_is_told_once_however_many_engines_see_it() {
    let house = House::new();
    house.workflow(
        "[steps.train]\nrun = 'n=0; while [ ! -e over ]; do n=$((n+1)); echo \"step $n loss=$n\"; sleep 0.1; done'\n\
         [[steps.train.alerts]]\nwhen = 'loss > 5'\nmessage = 'Loss diverged'\n",
    );
    house.start();
    until("a person is asked", || house.lane("train")["escalation"].is_u64());
    house.said(&["decide", &house.lane("train")["escalation"].to_string(), "keep-waiting", "--yes"]);
    until("it goes on", || house.lane("train")["escalation"].is_null());
    for _ in 0..3 {
        house.kill_engine();
        let before = points(&house, "train", "loss").len();
        until("its numbers are read on", || points(&house, "train", "loss").len() > before + 5);
        assert_eq!((recorded(&house, "stalled"), recorded(&house, "opened")), (1, 1), "it holds as it did");
    }
    std::fs::write(house.work().join("over"), "").expect("a file");
    assert_eq!(house.wait(), Some(0));
}

#[test]
fn notes_stand_in_the_journal_once_and_without_what_a_terminal_obeys() {
    let house = House::new();
    house.workflow(
        "[steps.train]\nrun = '''\n\
         dogwatch report note \"$(printf 'best \\033[31mso far\\a')\" 0.93\n\
         dogwatch report note ' ' || echo refused\n\
         until [ -e more ]; do sleep 0.1; done\n\
         n=0; while [ $n -lt 100 ]; do n=$((n+1)); echo '{\"note\":\"many '$n'\"}' >> $DOGWATCH_DIR/report-a1.jsonl; done\n\
         until [ -e over ]; do sleep 0.1; done'''\n",
    );
    house.start();
    until("the note is there", || house.lane("train")["note"]["text"] == "best so far 0.93");
    assert!(house.said(&["status", "@last"]).contains("note: best so far 0.93"));
    house.kill_engine();
    std::fs::write(house.work().join("more"), "").expect("a file");
    until("others are there", || !house.status().is_null() && recorded(&house, "noted") >= 20);
    house.kill_engine();
    std::fs::write(house.work().join("over"), "").expect("a file");
    assert_eq!(house.wait(), Some(0));
    let log = house.log("train/0/a1");
    assert!(
        log.starts_with("reported\r\n") && log.contains("the note says nothing") && log.ends_with("refused\r\n"),
        "{log}"
    );
    let count = "SELECT count(*) FROM events WHERE kind = 'noted' AND body LIKE '%best so far 0.93%'";
    let first: i64 = house.journal().query_row(count, [], |row| row.get(0)).expect("the journal is read");
    assert_eq!(first, 1);
    let told = recorded(&house, "noted");
    assert!((21..=62).contains(&told), "each engine takes twenty at once: {told}");
    let dir = house.status()["dir"].as_str().expect("its folder").to_owned();
    until("the record tells it", || {
        std::fs::read_to_string(std::path::Path::new(&dir).join("record.md"))
            .is_ok_and(|text| text.contains("notes: best so far 0.93"))
    });
}

#[test]
fn a_wait_ends_when_a_metric_is_there() {
    let house = House::new();
    house.workflow("[steps.train]\nrun = 'n=9; while [ $n -gt 0 ]; do n=$((n-1)); echo \"step $n loss=$n\"; sleep 0.3; done; until [ -e over ]; do sleep 0.1; done'\n");
    house.start();
    let waited = house.json(&["wait", "@last", "--for", "metric loss<3", "--timeout", "60s"]).expect("it says so");
    assert_eq!((waited["met"].as_str(), waited["exit"].as_i64()), (Some("metric"), Some(0)), "{waited}");
    std::fs::write(house.work().join("over"), "").expect("a file");
    assert_eq!(house.wait(), Some(0));
}

/// Fits a curve as long as it is let, and a second one when it is told to.
const TRAINS: &str = "[steps.train]\nmatrix = { lr = [1, 2] }\nenv = { LR = '${{ matrix.lr }}' }\n\
    run = 'n=0; while [ $n -lt 200 ]; do n=$((n+1)); echo \"step $n loss=$((1000 / (n * LR))).5 grad=$((n % 7))\"; done; \
    until [ -e more ]; do sleep 0.05; done; echo step 201 loss=77.25; until [ -e over ]; do sleep 0.05; done'\n";

#[test]
fn the_screen_draws_what_comes_writes_it_down_and_keeps_what_is_pinned_first() {
    let desk = Desk::new();
    desk.write("tiny-lm", TRAINS);
    desk.run(&["run", "--detach"]).ends(0);
    let mut screen = desk.on_terminal_of(&["ui", "tiny-lm#1"], 100, 30);
    screen.shows("train");
    screen.press("3");
    let dots = |picture: &str| picture.chars().filter(|c| ('\u{2801}'..='\u{28ff}').contains(c)).count();
    screen.until("a line for each lane", |picture| {
        dots(picture) > 60 && picture.contains("━ lr=1") && picture.contains("╍ lr=2") && picture.contains("[x] loss")
    });
    // Nobody presses a key.
    std::fs::write(desk.project().join("more"), "").expect("a file");
    screen
        .until("the newest value of both", |picture| picture.contains("lr=1 77.25") && picture.contains("lr=2 77.25"));
    screen.press("e");
    screen.shows("tiny-lm-1-metrics.csv");
    let csv = desk.read("tiny-lm-1-metrics.csv");
    assert!(csv.starts_with("step_name,attempt,metric,step,time_ms,value\n"), "{csv}");
    let of = |name: &str| csv.lines().filter(|line| line.contains(&format!(",{name},"))).count();
    assert_eq!((of("loss"), of("grad")), (402, 400), "every point of both lanes");
    assert!(csv.lines().any(|line| line.starts_with("train[lr=2],1,loss,201,") && line.ends_with(",77.25")), "{csv}");
    screen.press("P");
    screen.shows("★");
    screen.press("q");
    screen.ends(0);
    // In the next run of the workflow it is still first, and the one before can be laid over it.
    desk.run(&["run", "--detach"]).ends(0);
    let mut screen = desk.on_terminal_of(&["ui", "tiny-lm#2"], 100, 30);
    screen.shows("tiny-lm #2");
    screen.press("3");
    screen.until("it is pinned", |picture| picture.contains("[x]★loss") && dots(picture) > 60);
    screen.press("o");
    screen.until("the run before it", |picture| picture.contains("#1 lr=1"));
    screen.press("q");
    screen.ends(0);
    std::fs::write(desk.project().join("over"), "").expect("a file");
}
