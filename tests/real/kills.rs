//! Kills at seeded moments, shims that die, hosts that restart, steps that leave something behind: nothing runs twice
//! without an answer, nothing is lost, every log is whole.

use crate::house::{House, comm, is_alive, kill, lines, until, within};

/// Two lanes, then one more step; each prints for a second and counts its start and its end.
const CHAIN: &str = r#"
[workflow]
name = "chain"
[steps.lanes]
env = { X = "${{ matrix.x }}" }
run = '''
echo "start $DOGWATCH_KEY" >> effects
i=0; while [ $i -lt 25 ]; do echo "$X line $i"; i=$((i+1)); sleep 0.04; done
echo "end $DOGWATCH_KEY" >> effects
'''
[steps.lanes.matrix]
x = ["a", "b"]
[steps.last]
needs = ["lanes"]
run = '''
echo "start $DOGWATCH_KEY" >> effects
i=0; while [ $i -lt 25 ]; do echo "c line $i"; i=$((i+1)); sleep 0.04; done
echo "end $DOGWATCH_KEY" >> effects
'''
"#;

/// The same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[derive(Debug, Default)]
struct Faults {
    engine: usize,
    tmux: usize,
}

impl Faults {
    fn enough(&self) -> bool {
        self.engine + self.tmux >= 200 && self.engine >= 50 && self.tmux >= 50
    }
}

fn is_over(house: &House) -> bool {
    let open = "SELECT count(*) FROM runs WHERE ended IS NULL";
    house.journal().query_row(open, [], |row| row.get::<_, i64>(0)).is_ok_and(|open| open == 0)
}

/// One run, killed at again and again until it ends.
fn harass(house: &House, seed: u64, faults: &mut Faults) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    house.start();
    while !is_over(house) {
        // The moment is the seed's; the run may end before.
        if within(i64::try_from(dice.roll(90)).unwrap_or(0), || is_over(house)) {
            break;
        }
        if dice.roll(2) == 0 {
            if let Some(engine) = house.engine() {
                kill(engine);
                until("the engine has gone", || !is_alive(engine));
                faults.engine += 1;
            }
            // Else somebody else starts it: the next command, or the end of a step.
            if dice.roll(4) > 0 {
                house.said(&["engine", "start"]);
            }
        } else if within(1_000, || is_over(house) || !house.tmux_servers().is_empty()) {
            for server in house.tmux_servers() {
                kill(server);
                faults.tmux += 1;
            }
        }
    }
}

fn judge(house: &House, seed: u64, runs: usize) {
    let status = house.status();
    assert_eq!(status["line"]["state"], "succeeded", "seed {seed}: {status}");
    let effects = house.effects();
    assert!(effects.values().all(|count| *count == 1), "seed {seed}: {effects:?}");
    assert_eq!(effects.len(), runs * 6, "seed {seed}: three starts and three ends of each run");
    let lost: i64 = house
        .journal()
        .query_row("SELECT count(*) FROM events WHERE kind = 'lost'", [], |row| row.get(0))
        .expect("the journal is read");
    assert_eq!(lost, 0, "seed {seed}: UNKNOWN");
    let dir = status["dir"].as_str().expect("the run's folder").to_owned();
    for (place, letter) in [("lanes/0", 'a'), ("lanes/1", 'b'), ("last/0", 'c')] {
        let whole = lines(&format!("{letter} line"), 25);
        let log = std::fs::read_to_string(format!("{dir}/{place}/a1/log")).expect("a log");
        assert_eq!(log, whole, "seed {seed}: {place}");
    }
}

#[test]
fn two_hundred_kills_lose_nothing_and_double_nothing() {
    let house = House::new();
    house.workflow(CHAIN);
    let mut faults = Faults::default();
    let mut runs = 0;
    while !faults.enough() {
        runs += 1;
        let seed = 7_000 + runs as u64;
        harass(&house, seed, &mut faults);
        judge(&house, seed, runs);
        assert!(runs < 200, "too few faults: {faults:?}");
    }
    eprintln!("{runs} runs: {faults:?}");
    until("every environment has ended", || house.keepers().is_empty() && house.porters().is_empty());
}

const LONG: &str = r#"
[workflow]
name = "long"
[steps.work]
run = '''
echo "start $DOGWATCH_KEY" >> effects
if [ -e quick ]; then exit 0; fi
echo here
sleep 60
'''
"#;

fn long() -> House {
    let house = House::new();
    house.workflow(LONG);
    house.start();
    until("the step runs", || house.log("work/0/a1").contains("here"));
    house
}

fn question(house: &House) -> u64 {
    house.json(&["inbox"]).and_then(|one| one["id"].as_u64()).expect("a question")
}

/// UNKNOWN within `ms` after its only shim was killed?
fn unknown_after_a_killed_shim(house: &House, ms: i64) -> bool {
    let shims = house.shims();
    assert_eq!(shims.len(), 1, "{shims:?}");
    shims.into_iter().for_each(kill);
    within(ms, || house.lane("work")["state"] == "unknown")
}

#[test]
fn a_killed_shim_is_unknown_and_only_an_answer_starts_it_again() {
    let house = long();
    assert!(unknown_after_a_killed_shim(&house, 20_000), "{}", house.lane("work"));
    // Neither time nor a new engine makes a second run of it.
    house.kill_engine();
    house.said(&["engine", "start"]);
    assert!(!within(1_500, || house.effects().len() > 1), "{:?}", house.effects());
    assert_eq!(house.lane("work")["state"], "unknown");
    std::fs::write(house.work().join("quick"), b"").expect("the workspace can be written");
    house.said(&["decide", &format!("e{}", question(&house)), "retry"]);
    until("attempt 2 has ended", || house.lane("work")["state"] == "succeeded");
    assert_eq!(house.lane("work")["attempt"], 2);
    assert_eq!(house.effects().len(), 2);
    let twice = house.dogwatch(&["decide", "e1", "retry"]);
    assert_eq!(twice.status.code(), Some(6), "an answer is given once");
}

#[test]
fn a_mutant_that_adopts_by_name_only_is_caught() {
    let house = House::with(&[("DOGWATCH_MUTANT", "adopt_by_name_only")]);
    house.workflow(LONG);
    house.start();
    until("the step runs", || house.log("work/0/a1").contains("here"));
    assert!(!unknown_after_a_killed_shim(&house, 4_000), "the mutant tells a dead shim from a live one");
    eprintln!("adopt_by_name_only is caught: a dead step is shown as {}", house.lane("work")["state"]);
}

/// The claim and the intent of an earlier boot of the host: whether it ran to its end cannot be known.
#[test]
fn a_claim_of_an_earlier_boot_is_unknown() {
    let house = long();
    // Nobody else starts the engine meanwhile.
    std::fs::write(house.state().join("engine.stopped"), b"").expect("the state can be written");
    house.kill_engine();
    let claim = house.attempts()["work/0/a1"].join("claim/claim.json");
    let text = std::fs::read_to_string(&claim).expect("a claim");
    let mut fields: serde_json::Value = serde_json::from_str(&text).expect("a claim");
    fields["boot_id"] = "0f0f0f0f-earlier".into();
    std::fs::write(&claim, fields.to_string()).expect("a claim");
    house
        .journal_to_change()
        .execute("UPDATE epochs SET boot = '0f0f0f0f-earlier'", [])
        .expect("the journal is written");
    house.said(&["engine", "start"]);
    until("it is UNKNOWN", || house.lane("work")["state"] == "unknown");
    let inbox = house.json(&["inbox"]).expect("a question");
    assert!(inbox["title"].as_str().is_some_and(|title| title.contains("the host was started anew")), "{inbox}");
    assert_eq!(house.effects().len(), 1);
}

/// A step that kills its own shim, once.
fn unknown_step(keys: &str) -> House {
    let house = House::new();
    house.workflow(&format!(
        r#"
[workflow]
name = "unknown"
[steps.work]
{keys}
run = '''
echo "start $DOGWATCH_KEY" >> effects
if ! [ -e again ]; then touch again; kill -9 $PPID; sleep 20; fi
'''
"#
    ));
    house.start();
    house
}

#[test]
fn an_unknown_step_is_run_again_where_it_says_so() {
    let house = unknown_step(r#"on_unknown = "rerun""#);
    assert_eq!(house.wait(), Some(0));
    assert_eq!(house.lane("work")["attempt"], 2);
    assert_eq!(house.effects().values().copied().collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn a_probe_says_that_an_unknown_step_had_finished() {
    let house = unknown_step("on_unknown = \"probe\"\nprobe = 'test -e again'");
    assert_eq!(house.wait(), Some(0));
    assert_eq!(house.lane("work")["attempt"], 1);
    assert_eq!(house.effects().values().copied().collect::<Vec<_>>(), [1]);
}

#[test]
fn a_probe_that_does_not_know_leaves_it_to_a_person() {
    let house = unknown_step("on_unknown = \"probe\"\nprobe = 'exit 3'");
    assert_eq!(house.wait(), Some(3));
    assert_eq!(house.effects().values().copied().collect::<Vec<_>>(), [1]);
}

const SPAWNING: &str = r#"
[workflow]
name = "spawning"
[steps.work]
grace = "200ms"
KEYS
run = '''
setsid sleep 301 &
(setsid sh -c 'trap "" TERM HUP; sleep 301; sleep 301' &)
nohup sleep 301 > /dev/null 2>&1 &
echo ready
LAST
'''
"#;

fn spawning(keys: &str, last: &str) -> House {
    let house = House::new();
    house.workflow(&SPAWNING.replace("KEYS", keys).replace("LAST", last));
    house.start();
    house
}

/// What the steps of this house have started and is still there.
fn sleepers(house: &House) -> usize {
    house.inside().into_iter().filter(|pid| comm(*pid).trim() == "sleep").count()
}

#[test]
fn everything_is_gone_after_a_time_limit() {
    let house = spawning("timeout = \"800ms\"", "sleep 301");
    until("all of it is there", || sleepers(&house) == 4);
    until("it has ended", || house.lane("work")["ended_ms"].is_i64());
    assert!(
        house.lane("work")["detail"].as_str().is_some_and(|words| !words.contains("leaked")),
        "{}",
        house.lane("work")
    );
    assert_eq!(sleepers(&house), 0);
}

/// Where steps run is told by whoever made the environment: an engine that dies just then leaves that to the next one.
#[test]
fn where_steps_run_is_known_although_the_engine_died_as_it_was_made() {
    let mut house = House::new();
    house.workflow("[steps.work]\nrun = 'until [ -e go ]; do sleep 0.05; done'\n");
    let once = house.work().join("once");
    house.set("DOGWATCH_CRASH", "hands.after-ensure");
    house.set("DOGWATCH_CRASH_ONCE", &once.to_string_lossy());
    house.start();
    until("the engine has died", || once.exists());
    house.unset("DOGWATCH_CRASH");
    until("it runs", || house.lane("work")["state"] == "running");
    until("where it runs is known", || house.status()["isolation"]["sandboxed"] == true);
    std::fs::write(house.work().join("go"), "").expect("it can be written");
    assert_eq!(house.wait(), Some(0));
}

/// Also what people read afterwards says that it was the run's limit, not the step's nor somebody's word.
#[test]
fn a_run_whose_time_is_over_says_so() {
    let house = House::new();
    house.workflow("[workflow]\ntimeout = \"2s\"\n[steps.work]\nrun = 'sleep 303'\n[steps.after]\nneeds = [\"work\"]\nrun = 'true'\n");
    house.start();
    assert_eq!(house.wait(), Some(1));
    let why = "stopped: the run's time limit of 2.0s was over";
    assert_eq!(house.lane("work")["detail"], why);
    let told = house.said(&["why", "@last", "work"]);
    assert!(told.contains(why), "{told}");
    assert!(house.said(&["status"]).contains("next: dogwatch resume w#1"), "{}", house.said(&["status"]));
    house.said(&["resume", "@last"]);
    until("it is tried again", || house.lane("work")["state"] == "running");
    assert_eq!(house.lane("work")["detail"], "");
    house.said(&["stop", "@last"]);
    until("it has ended", || house.lane("work")["detail"] == "stopped");
}

#[test]
fn everything_is_gone_after_a_stop() {
    let house = spawning("", "sleep 301");
    until("all of it is there", || sleepers(&house) == 4);
    house.said(&["stop", "@last"]);
    assert_eq!(house.wait(), Some(4));
    assert_eq!(sleepers(&house), 0);
    until("its environment has gone, too", || house.keepers().is_empty());
}

#[test]
fn what_outlives_a_good_end_is_told_with_its_number() {
    // The second step keeps the environment there while the first one's rest is looked at.
    let house = House::new();
    let work = SPAWNING.replace("KEYS", "").replace("LAST", "sleep 0.4");
    house.workflow(&format!("{work}\n[steps.other]\nrun = 'sleep 302'\n"));
    house.start();
    until("it has ended", || house.lane("work")["state"] == "succeeded");
    let lane = house.lane("work");
    let detail = lane["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("leaked: ") && detail.contains("sleep ("), "{lane}");
}

/// Two shims of one attempt at the same time: the first one stands just before its claim while its keeper dies, and a
/// new keeper starts another one. How often the step was started.
fn starts_with_two_shims(vars: &[(&str, &str)]) -> usize {
    let mut house = House::with(vars);
    let place = |name: &str| house.work().join(name).to_string_lossy().into_owned();
    let (log, once) = (place("points"), place("once"));
    house.set("DOGWATCH_CRASH", "shim.before-claim-rename:1");
    house.set("DOGWATCH_CRASH_LOG", &log);
    house.set("DOGWATCH_CRASH_ONCE", &once);
    house.set("DOGWATCH_CRASH_HOLD", "1");
    house.workflow(
        r#"
[workflow]
name = "two"
[environment]
isolation = "none"
[steps.work]
run = 'echo "start $DOGWATCH_KEY" >> effects; sleep 2'
"#,
    );
    house.start();
    until("the first shim stands there", || house.work().join("once").exists());
    let keepers = house.keepers();
    assert_eq!(keepers.len(), 1, "{keepers:?}");
    keepers.into_iter().for_each(kill);
    until("the second shim has started the step", || !house.effects().is_empty());
    std::fs::write(house.work().join("once.go"), b"").expect("the workspace can be written");
    until("it has ended", || matches!(house.lane("work")["state"].as_str(), Some("succeeded" | "unknown" | "asking")));
    house.effects().values().sum()
}

#[test]
fn one_attempt_has_one_shim() {
    assert_eq!(starts_with_two_shims(&[]), 1);
}

#[test]
fn a_mutant_without_a_claim_is_caught() {
    assert_eq!(starts_with_two_shims(&[("DOGWATCH_MUTANT", "no_claim")]), 2, "the mutant no_claim was not caught");
}
