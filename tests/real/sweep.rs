//! The sweep: a workflow with a retry, a matrix, a time limit, a killed shim with a probe, run once in peace and then once
//! per numbered point of its way. At that point the engine is killed (or whoever passes it), then things go on by
//! themselves. Nothing may run twice, nothing may be lost, and the end must be that of the calm run.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;

use crate::house::{House, is_alive, kill, within, words};

/// At least three of everything that can be interrupted. Each step counts its starts and ends.
const WORKFLOW: &str = r#"
[workflow]
name = "sweep"
max_parallel = 3
[steps.first]
run = 'echo "start $DOGWATCH_KEY" >> effects; echo hello; echo "end $DOGWATCH_KEY" >> effects'
[steps.lanes]
needs = ["first"]
env = { X = "${{ matrix.x }}" }
retry = { max_attempts = 2, delay = "50ms", jitter = false }
run = '''
echo "start $DOGWATCH_KEY" >> effects
echo lane $X
if [ "$X" = b ] && ! [ -e "$DOGWATCH_DIR/again" ]; then touch "$DOGWATCH_DIR/again"; exit 3; fi
sleep 0.3
echo "end $DOGWATCH_KEY" >> effects
'''
[steps.lanes.matrix]
x = ["a", "b"]
[steps.slow]
needs = ["first"]
timeout = "1s"
grace = "100ms"
allow_failure = true
run = '''
trap '' TERM
echo "start $DOGWATCH_KEY" >> effects
setsid sleep 77 &
sleep 60
'''
[steps.lost]
needs = ["first"]
on_unknown = "probe"
probe = 'exit 10'
run = '''
echo "start $DOGWATCH_KEY" >> effects
if ! [ -e "$DOGWATCH_DIR/again" ]; then touch "$DOGWATCH_DIR/again"; kill -9 $PPID; sleep 20; fi
echo "end $DOGWATCH_KEY" >> effects
'''
[steps.last]
needs = ["lanes", "slow", "lost"]
allow_failure = true
run = '''
echo "start $DOGWATCH_KEY" >> effects
sort effects | uniq -c | wc -l
echo "end $DOGWATCH_KEY" >> effects
exit 5
'''
"#;

/// Houses at the same time: they wait most of the time.
const AT_ONCE: usize = 5;
/// A run takes two seconds; with a kill in it, and on a busy machine, not more than this.
const RUN_MS: i64 = crate::house::DEADLINE_MS;

/// Who dies at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// The engine, at a point of its own or while another process stands at its point.
    Engine,
    /// The shim, keeper or porter that passes the point.
    Itself,
}

/// One numbered point.
#[derive(Debug, Clone)]
struct Point {
    name: String,
    nth: usize,
    who: Who,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let who = if self.who == Who::Engine { "the engine" } else { "whoever is there" };
        write!(f, "{}:{} ({who} dies)", self.name, self.nth)
    }
}

impl Point {
    fn is_engines(&self) -> bool {
        ["engine.", "journal.", "hands.", "environment.", "vault."].iter().any(|room| self.name.starts_with(room))
    }
}

/// What is left of a run, without times and names of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
struct History {
    state: String,
    /// Each lane: state, attempt, exit.
    lanes: Vec<String>,
    /// The recorded facts and decisions that must be the same in every order of things.
    facts: Vec<String>,
    logs: BTreeMap<String, String>,
    effects: BTreeMap<String, usize>,
}

impl History {
    fn of(house: &House) -> Self {
        let status = house.status();
        let run = status["line"]["id"].as_str().unwrap_or("?").to_owned();
        let lanes = status["steps"].as_array().cloned().unwrap_or_default();
        let lane = |lane: &serde_json::Value| {
            format!("{} {} {} a{} {}", lane["step"], lane["label"], lane["state"], lane["attempt"], lane["exit"])
        };
        let logs = house.attempts().into_keys().map(|place| (place.clone(), house.log(&place))).collect();
        let effects = house.effects().into_iter().map(|(line, count)| (line.replace(&run, "RUN"), count));
        let mut effects: BTreeMap<String, usize> = effects.collect();
        // Its time limit runs while its shim is held at a point, or while the machine is busy with others: it may be over
        // before its first line.
        effects.entry("start dw-RUN-slow-0-a1".into()).or_insert(1);
        Self {
            state: status["line"]["state"].as_str().unwrap_or("?").into(),
            lanes: lanes.iter().map(lane).collect(),
            facts: facts(house),
            logs,
            effects,
        }
    }

    /// The rules that hold whatever was killed.
    fn broken_rule(&self, house: &House) -> Option<String> {
        if let Some((line, count)) = self.effects.iter().find(|(_, count)| **count > 1) {
            return Some(format!("doubled: `{line}` was written {count} times"));
        }
        without_record(house)
    }

    fn difference(&self, calm: &Self) -> Option<String> {
        let of = |what: &str, mine: String, theirs: String| {
            (mine != theirs).then(|| format!("{what} is\n  {mine}\ninstead of\n  {theirs}"))
        };
        of("the state", self.state.clone(), calm.state.clone())
            .or_else(|| of("what was written", format!("{:?}", self.effects), format!("{:?}", calm.effects)))
            .or_else(|| of("the lanes", self.lanes.join("\n  "), calm.lanes.join("\n  ")))
            .or_else(|| of("the record", self.facts.join("\n  "), calm.facts.join("\n  ")))
            .or_else(|| of("the logs", format!("{:?}", self.logs), format!("{:?}", calm.logs)))
    }
}

/// Intents, exits, losses and verdicts, sorted: a claim need not be seen when the exit was.
fn facts(house: &House) -> Vec<String> {
    let journal = house.journal();
    // An engine may have died before it had made its tables.
    let Ok(mut query) = journal.prepare(
        "SELECT kind || ' ' || coalesce(json_extract(body, '$.' || kind || '.at.step'), '') || ' '
                 || coalesce(json_extract(body, '$.' || kind || '.at.lane'), '') || ' a'
                 || coalesce(json_extract(body, '$.' || kind || '.at.n'), '') || ' '
                 || coalesce(json_extract(body, '$.' || kind || '.exit.end'), '')
             FROM events WHERE kind IN ('intended', 'exited', 'lost', 'probed', 'judged', 'opened', 'ended')",
    ) else {
        return Vec::new();
    };
    let rows = query.query_map([], |row| row.get::<_, String>(0)).expect("the journal is read");
    let mut facts: Vec<String> = rows.map(|row| row.expect("a fact")).collect();
    facts.sort_unstable();
    facts
}

/// An end that the journal knows and no record tells of: it was decided before it was on disk.
fn without_record(house: &House) -> Option<String> {
    let attempts = house.attempts();
    let ended: Vec<String> = facts(house).into_iter().filter(|fact| fact.starts_with("exited ")).collect();
    ended.into_iter().find_map(|fact| {
        let words: Vec<&str> = fact.split(' ').collect();
        let place = format!("{}/{}/{}", words[1], words[2], words[3]);
        // Written and synced is enough: the name follows.
        let written = |dir: &std::path::PathBuf| {
            let reserve = std::fs::read_to_string(dir.join("claim/exit.tmp")).unwrap_or_default();
            dir.join("exit.json").exists() || reserve.starts_with('{')
        };
        let there = attempts.get(&place).is_some_and(written);
        (!there).then(|| format!("decided without an exit record: {fact}"))
    })
}

/// How a run with a kill in it came out.
enum Outcome {
    /// The point was never passed.
    NotReached,
    Good,
    /// What is wrong.
    Violation(String),
}

/// The variables of the crash points; the files lie where steps and shims can write.
fn aim(house: &mut House, point: &Point) {
    let place = |name: &str| house.work().join(name).to_string_lossy().into_owned();
    let (log, once) = (place("points"), place("once"));
    house.set("DOGWATCH_CRASH", &format!("{}:{}", point.name, point.nth));
    house.set("DOGWATCH_CRASH_LOG", &log);
    house.set("DOGWATCH_CRASH_ONCE", &once);
    if point.who == Who::Engine && !point.is_engines() {
        house.set("DOGWATCH_CRASH_HOLD", "1");
    }
}

fn run_with(point: &Point, calm: &History, mutant: Option<&str>) -> Outcome {
    let mut house = House::with(&mutant.map(|name| ("DOGWATCH_MUTANT", name)).into_iter().collect::<Vec<_>>());
    house.workflow(WORKFLOW);
    aim(&mut house, point);
    let _ = house.dogwatch(&["run", "w.toml", "--detach"]);
    let once = house.work().join("once");
    let is_over = |house: &House| {
        let status = house.journal().query_row("SELECT ended IS NOT NULL FROM runs", [], |row| row.get::<_, bool>(0));
        status.unwrap_or(false)
    };
    // A journal that is not there yet must not be made by looking.
    let journal = house.state().join("journal.db");
    let is_done = || is_over(&house) && house.keepers().is_empty() && house.porters().is_empty();
    within(RUN_MS, || once.exists() || (journal.exists() && is_done()));
    // The written record of a run follows it by half a second.
    if !within(1_500, || once.exists()) {
        return Outcome::NotReached;
    }
    let holds = point.who == Who::Engine && !point.is_engines();
    if let Some(engine) = house.engine().filter(|_| holds) {
        kill(engine);
        within(RUN_MS, || !is_alive(engine));
    }
    let early = started_before_intent(&house);
    for name in ["DOGWATCH_CRASH", "DOGWATCH_CRASH_LOG", "DOGWATCH_CRASH_ONCE", "DOGWATCH_CRASH_HOLD"] {
        house.unset(name);
    }
    // Every other time the next engine looks while the other process still stands there.
    if holds && point.nth.is_multiple_of(2) {
        let _ = house.dogwatch(&["engine", "start"]);
        within(200, || false);
    }
    std::fs::write(house.work().join("once.go"), b"").expect("the workspace can be written");
    early.or_else(|| end_of(&house, point, calm)).map_or(Outcome::Good, Outcome::Violation)
}

/// An attempt that was begun although the journal has no word of it. Asked while no engine is there, or the one that
/// is there has nothing to do with it.
fn started_before_intent(house: &House) -> Option<String> {
    // In this order: what is begun while the journal is read is no news.
    let begun = house.attempts();
    let intended = facts(house);
    begun.into_keys().find_map(|place| {
        let intent = format!("intended {} ", place.replace('/', " "));
        (!intended.contains(&intent)).then(|| format!("started before its intent was recorded: {place}"))
    })
}

/// Goes on as a user would, and judges the end.
fn end_of(house: &House, point: &Point, calm: &History) -> Option<String> {
    let started = house.dogwatch(&["engine", "start"]);
    if !started.status.success() {
        return Some(format!("the engine does not start again: {}", words(&started)));
    }
    let runs = house.said(&["runs", "--json"]);
    if runs.trim().is_empty() {
        // It died before it had taken the order: the client was told so, and orders again.
        house.start();
    } else if runs.lines().count() > 1 {
        return Some(format!("one order made two runs: {runs}"));
    }
    if point.who == Who::Itself {
        answer_questions(house);
    }
    let asks = |state: Option<&str>| point.who == Who::Engine && state == Some("waiting");
    let ended = within(RUN_MS, || {
        let status = house.status();
        let state = status["line"]["state"].as_str();
        matches!(state, Some("succeeded" | "failed")) || asks(state)
    });
    let history = History::of(house);
    if let Some(broken) = history.broken_rule(house) {
        return Some(broken);
    }
    if asks(Some(&history.state)) {
        return Some(format!(
            "a person is asked although no shim was killed: {}",
            house.dogwatch(&["status"]).pretty()
        ));
    }
    if !ended {
        return Some(format!("the run does not end: {}", house.dogwatch(&["status"]).pretty()));
    }
    if !within(RUN_MS, || house.keepers().is_empty() && house.porters().is_empty()) {
        return Some(format!("its environment outlives the run: {:?}", house.left()));
    }
    match point.who {
        Who::Engine => history.difference(calm),
        // What was lost with its shim ran again after an answer, so it has one more attempt.
        Who::Itself => (history.state != calm.state).then(|| format!("it ends as {}", history.state)),
    }
}

trait Pretty {
    fn pretty(&self) -> String;
}

impl Pretty for std::process::Output {
    fn pretty(&self) -> String {
        words(self)
    }
}

/// UNKNOWN is right when a shim or its keeper dies; a person says: again.
fn answer_questions(house: &House) {
    let asks = |house: &House| {
        let status = house.status();
        let over = matches!(status["line"]["state"].as_str(), Some("succeeded" | "failed"));
        (over, status["escalations"][0]["id"].as_u64())
    };
    within(RUN_MS, || {
        let (over, question) = asks(house);
        if let Some(id) = question {
            let _ = house.dogwatch(&["decide", &format!("e{id}"), "retry"]);
        }
        over
    });
}

/// The calm run, and how often it passes each point.
fn calm_run() -> (History, BTreeMap<String, usize>) {
    let mut house = House::new();
    house.workflow(WORKFLOW);
    let log = house.work().join("points").to_string_lossy().into_owned();
    house.set("DOGWATCH_CRASH_LOG", &log);
    house.start();
    assert_eq!(house.wait(), Some(0), "{}", words(&house.dogwatch(&["status"])));
    crate::house::until("the environment has ended", || house.keepers().is_empty() && house.porters().is_empty());
    let history = History::of(&house);
    assert_eq!(history.broken_rule(&house), None);
    let mut points = BTreeMap::new();
    for line in house.text("points").lines() {
        *points.entry(line.to_owned()).or_insert(0) += 1;
    }
    (history, points)
}

/// Each point of the calm run, as often as it is passed there.
fn points_of(passed: &BTreeMap<String, usize>, who: Who) -> Vec<Point> {
    let all = passed.iter().flat_map(|(name, count)| (1..=*count).map(move |nth| (name.clone(), nth)));
    let points = all.map(|(name, nth)| Point { name, nth, who });
    points.filter(|point| who == Who::Engine || !point.is_engines()).collect()
}

/// Runs all of them, some at a time; gives what is wrong and the points that were never passed.
fn sweep(points: Vec<Point>, calm: &History, mutant: Option<&str>) -> (Vec<String>, Vec<Point>) {
    let (queue, wrong, missed) = (Mutex::new(VecDeque::from(points)), Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let enough = |wrong: &Vec<String>| wrong.len() >= if mutant.is_some() { 1 } else { 10 };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("nobody panicked").pop_front();
                    let Some(point) = next.filter(|_| !enough(&wrong.lock().expect("nobody panicked"))) else { return };
                    match run_with(&point, calm, mutant) {
                        Outcome::Good => {}
                        Outcome::NotReached => missed.lock().expect("nobody panicked").push(point),
                        Outcome::Violation(what) => {
                            eprintln!("{point}: {what}");
                            wrong.lock().expect("nobody panicked").push(format!("{point}: {what}"));
                        }
                    }
                }
            });
        }
    });
    (wrong.into_inner().expect("nobody panicked"), missed.into_inner().expect("nobody panicked"))
}

/// How often a point is passed depends a little on who is quicker, so the last times of some may not come; but each
/// point must have been killed at, and nearly all of its times.
fn assert_reached(points: &[Point], missed: &[Point]) {
    let killed: BTreeSet<&str> = points
        .iter()
        .filter(|point| !missed.iter().any(|other| other.name == point.name && other.nth == point.nth))
        .map(|point| point.name.as_str())
        .collect();
    for point in points {
        assert!(killed.contains(point.name.as_str()), "never killed at {}", point.name);
    }
    let listed: Vec<String> = missed.iter().map(ToString::to_string).collect();
    eprintln!("not passed so often this time: {listed:?}");
    assert!(missed.len() * 10 <= points.len(), "{} of {} points were not reached", missed.len(), points.len());
}

fn tell(title: &str, points: &[Point]) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for point in points {
        *counts.entry(&point.name).or_insert(0) += 1;
    }
    eprintln!("{title}: {} points", points.len());
    for (name, count) in counts {
        eprintln!("  {count:>3} {name}");
    }
}

#[test]
fn the_engine_dies_at_every_point_and_the_end_is_the_same() {
    let (calm, passed) = calm_run();
    let points = points_of(&passed, Who::Engine);
    tell("the engine is killed", &points);
    let (wrong, missed) = sweep(points.clone(), &calm, None);
    assert!(wrong.is_empty(), "{} of {} points:\n{}", wrong.len(), points.len(), wrong.join("\n\n"));
    assert_reached(&points, &missed);
}

#[test]
fn shim_keeper_or_porter_die_at_every_point_and_nothing_runs_twice() {
    let (calm, passed) = calm_run();
    let points = points_of(&passed, Who::Itself);
    tell("whoever passes is killed", &points);
    let (wrong, missed) = sweep(points.clone(), &calm, None);
    assert!(wrong.is_empty(), "{} of {} points:\n{}", wrong.len(), points.len(), wrong.join("\n\n"));
    assert_reached(&points, &missed);
}

/// The part of the sweep that must find this mutant finds it.
#[track_caller]
fn caught(mutant: &str, name: &str, who: Who, wanted: &str) {
    let (calm, passed) = calm_run();
    let points: Vec<Point> = points_of(&passed, who).into_iter().filter(|point| point.name == name).collect();
    let (wrong, _) = sweep(points.clone(), &calm, Some(mutant));
    assert!(!wrong.is_empty(), "the mutant {mutant} was not caught at any of {} points", points.len());
    eprintln!("{mutant} is caught: {}", wrong[0]);
    assert!(wrong.iter().any(|what| what.contains(wanted)), "caught for another reason: {wrong:?}");
}

#[test]
fn a_mutant_that_starts_before_the_intent_is_caught() {
    caught("start_before_intent", "journal.before-commit", Who::Engine, "started before its intent was recorded");
}

#[test]
fn a_mutant_that_locks_after_the_rename_of_the_claim_is_caught() {
    caught("lock_after_rename", "shim.after-claim-rename", Who::Engine, "UNKNOWN");
}

#[test]
fn a_mutant_that_decides_before_the_exit_record_is_caught() {
    caught("decide_before_exit", "shim.before-exit-record", Who::Itself, "decided without an exit record");
}
