//! The mind in simulated worlds: thousands of random histories in virtual time, with every kind of trouble, counted; and
//! broken variants that the histories must find.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use dogwatch::model::RunResult;

use crate::support::history::{People, Setup, Violation, play};
use crate::support::world::{Counts, Mutant, Trouble};

/// Engine kills and an unreliable line: nothing that may change how the run ends.
const KILLS: Trouble = Trouble {
    lost: 50,
    late: 60,
    repeated: 60,
    reordered: 80,
    engine_kills: 12,
    shim_kills: 0,
    tmux_kills: 30,
    reboots: 0,
    failures: 250,
    no_environment: 0,
    stalls: 0,
};

/// Everything at once.
const ALL: Trouble = Trouble { shim_kills: 60, reboots: 10, no_environment: 100, stalls: 150, ..KILLS };

fn setup(seed: u64) -> Setup {
    let (trouble, people, steady) = match seed % 4 {
        0 => (ALL, People::Wild, false),
        1 => (ALL, People::Nobody, false),
        2 => (KILLS, People::Wild, false),
        _ => (KILLS, People::Steady, true),
    };
    Setup { seed, trouble, people, mutant: None, steady }
}

/// Switches off what the violation does not need, kind by kind.
fn shrink(violation: Box<Violation>) -> Box<Violation> {
    let mut smallest = violation;
    let off: [fn(&mut Setup); 11] = [
        |s| s.people = People::Steady,
        |s| s.trouble.reboots = 0,
        |s| s.trouble.shim_kills = 0,
        |s| s.trouble.tmux_kills = 0,
        |s| s.trouble.engine_kills = 0,
        |s| s.trouble.lost = 0,
        |s| s.trouble.late = 0,
        |s| s.trouble.repeated = 0,
        |s| s.trouble.reordered = 0,
        |s| s.trouble.no_environment = 0,
        |s| s.trouble.stalls = 0,
    ];
    for switch in off {
        let mut setup = smallest.setup;
        switch(&mut setup);
        if let Err(smaller) = play(setup) {
            smallest = smaller;
        }
    }
    smallest
}

fn report(violation: Box<Violation>) -> String {
    let first = violation.words.clone();
    let small = shrink(violation);
    let from = small.journal.len().saturating_sub(60);
    let mut text = format!("seed {}: {first}\nsmallest: {}\n{:?}\n", small.setup.seed, small.words, small.setup);
    for event in small.journal[from..].iter().filter(|event| !matches!(event.what, dogwatch::model::What::Created(_))) {
        writeln!(text, "{} {} {:?}", event.run, event.at, event.what).expect("a String takes it");
    }
    text
}

/// Plays many histories on all cores.
fn many(seeds: std::ops::Range<u64>, one: impl Fn(u64) -> Result<Counts, String> + Sync) -> Counts {
    let next = AtomicU64::new(seeds.start);
    let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let work = || {
        let mut sum = Counts::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return Ok(sum);
            }
            match one(seed) {
                Ok(counts) => sum.add(&counts),
                Err(words) => {
                    next.store(seeds.end, Ordering::Relaxed);
                    return Err(words);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let mut sum = Counts::default();
        for thread in threads {
            match thread.join().expect("a worker does not panic") {
                Ok(counts) => sum.add(&counts),
                Err(words) => panic!("{words}"),
            }
        }
        sum
    })
}

#[test]
fn ten_thousand_histories_keep_every_promise() {
    let first = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = first.map_or(0..10_000, |seed: u64| seed..seed + 1);
    let whole = seeds.end - seeds.start == 10_000;
    let total = many(seeds, |seed| {
        let outcome = play(setup(seed)).map_err(report)?;
        if outcome.lane_count < 5 {
            return Err(format!("seed {seed}: a history of {} lanes proves little", outcome.lane_count));
        }
        if setup(seed).steady {
            let calm = Trouble { failures: KILLS.failures, ..Trouble::default() };
            let undisturbed = play(Setup { trouble: calm, ..setup(seed) }).map_err(report)?;
            if undisturbed.lanes != outcome.lanes || undisturbed.results != outcome.results {
                let differ: Vec<_> =
                    undisturbed.lanes.iter().filter(|(id, how)| outcome.lanes.get(*id) != Some(how)).collect();
                let instead: Vec<_> = differ.iter().map(|(id, _)| outcome.lanes.get(*id)).collect();
                return Err(format!(
                    "seed {seed}: ends otherwise than the calm run, which was: {differ:?}, instead: {instead:?}"
                ));
            }
        }
        Ok(outcome.counts)
    });
    println!("{total:#?}");
    if whole {
        let enough = [
            ("lost", total.lost),
            ("late", total.late),
            ("repeated", total.repeated),
            ("reordered", total.reordered),
            ("killed before the commit", total.killed_before_commit),
            ("killed after the commit", total.killed_after_commit),
            ("killed during the effects", total.killed_during_effects),
            ("shim kills", total.shim_kills),
            ("tmux kills", total.tmux_kills),
            ("reboots", total.reboots),
            ("no environment", total.no_environment),
            ("cached", total.cached),
            ("unknown", total.unknown),
            ("orders", total.orders),
            ("held answers", total.held),
            ("answers taken back", total.undone),
            ("gates sent back", total.sent_back),
            ("attached", total.attached),
            ("verified", total.verified),
            ("not verified", total.verify_failed),
            ("damaged checkpoints", total.damaged),
            ("stalls", total.stalls),
            ("revived", total.revived),
            ("ended stalls", total.ended_stalls),
            ("attempts that have something of the host", total.booked),
            ("those of them beside another run's", total.contended),
            ("lost secrets", total.secrets_lost),
        ];
        for (kind, count) in enough {
            assert!(count >= 500, "only {count} times: {kind}");
        }
        // One word is for all that one restart of the host took.
        assert!(total.secrets_given >= 300, "only {} times: secrets given", total.secrets_given);
    }
}

#[test]
fn a_calm_run_that_can_succeed_succeeds() {
    many(0..500, |seed| {
        let setup = Setup { trouble: Trouble::default(), people: People::Steady, steady: true, ..setup(seed) };
        let outcome = play(setup).map_err(report)?;
        if outcome.results.iter().all(|result| *result == Some(RunResult::Succeeded)) {
            Ok(outcome.counts)
        } else {
            Err(format!("seed {seed}: {:?} {:?}", outcome.results, outcome.lanes))
        }
    });
}

/// Histories that a broken variant may survive before it must be found.
const PATIENCE: u64 = 400;

fn is_found(mutant: Mutant) {
    let found = (0..PATIENCE).find_map(|seed| play(Setup { mutant: Some(mutant), ..setup(seed) }).err());
    let violation = found.unwrap_or_else(|| panic!("{mutant:?} was not found in {PATIENCE} histories"));
    eprintln!("{mutant:?}: seed {}: {}", violation.setup.seed, violation.words);
}

#[test]
fn a_start_before_its_intent_is_found() {
    is_found(Mutant::StartBeforeIntent);
}

#[test]
fn a_claim_that_stops_nobody_is_found() {
    is_found(Mutant::NoClaim);
}

#[test]
fn adoption_by_session_name_is_found() {
    is_found(Mutant::AdoptBySessionName);
}

#[test]
fn a_decision_before_its_fact_is_found() {
    is_found(Mutant::DecisionBeforeFact);
}

#[test]
fn retries_that_nobody_counts_are_found() {
    is_found(Mutant::RetryUncounted);
}

#[test]
fn a_late_exit_of_an_older_attempt_is_found() {
    is_found(Mutant::LateExitAccepted);
}

#[test]
fn a_lock_that_comes_after_its_claim_is_found() {
    is_found(Mutant::LockAfterClaim);
}

#[test]
fn a_look_up_judged_by_later_knowledge_is_found() {
    is_found(Mutant::StaleLook);
}

#[test]
fn a_blind_restart_is_found() {
    is_found(Mutant::BlindRestart);
}
