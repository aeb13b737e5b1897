//! The headline test: whoever is killed during a step, the step starts once, ends once, and its log and its exit code are
//! what they would have been. Only a killed keeper takes its steps with it, and then that is said.

use crate::house::{House, is_alive, kill, lines, signal, until, words};

const STEP: &str = r#"
[workflow]
name = "headline"
[steps.work]
run = '''
echo "start $DOGWATCH_KEY" >> effects
i=0; while [ $i -lt 40 ]; do echo "line $i"; i=$((i+1)); sleep 0.1; done
echo "end $DOGWATCH_KEY" >> effects
exit 7
'''
"#;

/// A run of four seconds that prints something all the time.
fn house() -> House {
    let house = House::new();
    house.workflow(STEP);
    house.start();
    until("the step prints", || house.log("work/0/a1").lines().count() > 5);
    house
}

#[track_caller]
fn ran_once(house: &House) {
    until("the run has ended", || matches!(house.status()["line"]["state"].as_str(), Some("failed" | "waiting")));
    let counts: Vec<usize> = house.effects().into_values().collect();
    assert_eq!(counts, [1, 1], "starts and ends: {:?}", house.effects());
    let lane = house.lane("work");
    assert_eq!((lane["exit"].as_str(), lane["attempt"].as_i64()), (Some("code 7"), Some(1)), "{lane}");
    assert_eq!(house.log("work/0/a1"), lines("line", 40));
}

#[test]
fn the_engine_is_killed_and_started_again() {
    let house = house();
    house.kill_engine();
    house.said(&["engine", "start"]);
    ran_once(&house);
}

#[test]
fn the_engine_is_killed_and_the_end_of_the_step_starts_another() {
    let house = house();
    let first = house.engine();
    house.kill_engine();
    until("another engine is there", || house.engine().is_some());
    assert_ne!(house.engine(), first);
    // Whoever only looks starts none.
    ran_once(&house);
}

#[test]
fn the_tmux_server_is_killed() {
    let house = house();
    until("a tmux server is there", || house.tmux_servers().len() == 1);
    let first = house.tmux_servers();
    first.iter().copied().for_each(kill);
    until("another tmux server is there", || house.tmux_servers().iter().any(|pid| !first.contains(pid)));
    ran_once(&house);
}

#[test]
fn engine_and_tmux_server_are_killed_together() {
    let house = house();
    until("a tmux server is there", || house.tmux_servers().len() == 1);
    house.tmux_servers().into_iter().for_each(kill);
    house.kill_engine();
    house.said(&["engine", "start"]);
    ran_once(&house);
}

#[test]
fn the_porter_is_killed() {
    let house = house();
    let porters = house.porters();
    assert_eq!(porters.len(), 1, "{porters:?}");
    porters.into_iter().for_each(kill);
    house.kill_engine();
    house.said(&["engine", "start"]);
    ran_once(&house);
}

/// A sandbox ends with its first process, and with it all that ran there: nobody can say how far that was.
#[test]
fn the_keeper_is_killed_and_nothing_is_started_again_without_an_answer() {
    let house = house();
    let keepers = house.keepers();
    assert_eq!(keepers.len(), 1, "{keepers:?}");
    let inside = house.inside();
    keepers.into_iter().for_each(kill);
    until("it is UNKNOWN", || house.lane("work")["state"] == "unknown");
    until("all of it has gone", || inside.iter().all(|pid| !is_alive(*pid)));
    assert_eq!(house.effects().values().copied().collect::<Vec<_>>(), [1]);
    assert_eq!(house.wait(), Some(3), "a person is needed");
    let inbox = house.json(&["inbox"]).expect("a question");
    assert_eq!((inbox["escalation_kind"].as_str(), inbox["step"].as_str()), (Some("unknown"), Some("work")), "{inbox}");
    assert_eq!(house.effects().values().copied().collect::<Vec<_>>(), [1]);
    house.said(&["decide", &format!("e{}", inbox["id"]), "retry"]);
    until("the second attempt has ended", || house.lane("work")["exit"] == "code 7");
    assert_eq!(house.effects().values().copied().collect::<Vec<_>>(), [1, 1, 1], "{:?}", house.effects());
}

#[test]
fn a_second_engine_is_refused_and_told_who_is_there() {
    let house = House::new();
    house.said(&["engine", "start"]);
    let owner = house.engine().expect("an engine");
    for _ in 0..20 {
        let mut rivals: Vec<_> = (0..3).map(|_| house.spawn(&["engine", "run"])).collect();
        for rival in &mut rivals {
            assert_eq!(rival.wait().expect("it ends").code(), Some(6));
        }
    }
    assert_eq!(house.engine(), Some(owner), "the first one is still there");
    refused_by_name(&house, owner);
    // Frozen, it still holds the lock.
    signal(owner, rustix::process::Signal::STOP);
    refused_by_name(&house, owner);
    let asked = house.dogwatch(&["ps"]);
    assert!(!asked.status.success(), "a frozen engine answers nobody: {}", words(&asked));
    assert!(words(&asked).contains("did not answer"), "{}", words(&asked));
    assert!(words(&asked).contains(&format!("kill -9 {owner}")), "{}", words(&asked));
    signal(owner, rustix::process::Signal::CONT);
    house.said(&["ps"]);
    assert_eq!(house.engine(), Some(owner));
}

#[track_caller]
fn refused_by_name(house: &House, owner: i32) {
    let second = house.dogwatch(&["engine", "run"]);
    let said = words(&second);
    assert_eq!(second.status.code(), Some(6), "{said}");
    assert!(said.contains(&format!("pid {owner} ")) && said.contains(" since 20"), "{said}");
}
