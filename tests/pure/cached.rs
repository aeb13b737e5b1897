//! What is decided about steps that may not have to run.

use dogwatch::model::{Command, Order, Output, Step, What};

use crate::support::make::{person, step, workflow};
use crate::support::story::{Story, lane, looked};

fn cached(name: &str, needs: &[&str]) -> Step {
    let mut step = step(name, needs);
    step.outputs = [("data".to_owned(), Output { path: "data".into(), cache: true })].into();
    step
}

/// Which steps are owed a look.
fn looks(story: &Story) -> Vec<String> {
    let looked = story.effects.iter().filter_map(|effect| match effect {
        Command::LookUp(_, lane) => Some(lane.step.to_string()),
        Command::Record(_)
        | Command::Launch(_)
        | Command::LookOut(_)
        | Command::Stop { .. }
        | Command::Probe(_)
        | Command::Verify(_)
        | Command::VerifyCheckpoints(_)
        | Command::CheckCheckpoint(..)
        | Command::RemoveCheckpoint(..)
        | Command::CloseEnvironment(_) => None,
    });
    looked.collect()
}

fn finds(story: &mut Story, name: &str, hit: bool) {
    story.tell(What::CacheLooked { lane: lane(name), look: Box::new(looked(hit)) });
}

#[test]
fn a_step_with_a_hit_does_not_run_and_what_needs_it_does() {
    let mut story = Story::of(workflow(vec![cached("a", &[]), cached("b", &["a"]), step("c", &["b"])]));
    assert_eq!(looks(&story), ["a"], "before anything is started, and what it needs first");
    finds(&mut story, "a", true);
    assert_eq!(looks(&story), ["b"]);
    finds(&mut story, "b", false);
    assert_eq!(story.run().lane(&lane("b")).map(|lane| lane.n), Some(1));
    assert!(looks(&story).is_empty(), "it is looked at once");
    story.claimed("b").exits("b", 0);
    assert_eq!(story.run().lane(&lane("c")).map(|lane| lane.n), Some(1));
}

#[test]
fn a_look_that_comes_late_or_twice_changes_nothing() {
    let mut story = Story::of(workflow(vec![cached("a", &[])]));
    finds(&mut story, "a", false);
    finds(&mut story, "a", true);
    assert_eq!(story.run().lane(&lane("a")).map(|lane| lane.n), Some(1), "what runs goes on");
    story.claimed("a").exits("a", 0);
    finds(&mut story, "a", true);
    assert!(
        story.run().lane(&lane("a")).is_some_and(|lane| lane.cache.as_ref().is_some_and(|look| look.hit.is_none()))
    );
}

#[test]
fn whom_a_person_tells_to_run_runs() {
    let mut story = Story::of(workflow(vec![cached("a", &[]), step("b", &["a"])]));
    finds(&mut story, "a", true);
    story.tell(What::Ordered { lane: lane("a"), order: Order::Retry, by: person("ann"), note: None });
    assert!(looks(&story).is_empty());
    assert_eq!(story.run().lane(&lane("a")).map(|lane| lane.n), Some(1));
}

#[test]
fn no_more_is_looked_at_than_would_run_and_nothing_while_paused() {
    let mut flow = workflow(vec![cached("a", &[]), cached("b", &[]), cached("c", &[])]);
    flow.max_parallel = 2;
    let mut story = Story::of(flow);
    assert_eq!(looks(&story), ["a", "b"]);
    story.tell(What::Paused { by: person("ann") });
    assert!(looks(&story).is_empty());
    story.tell(What::Unpaused { by: person("ann") });
    finds(&mut story, "a", false);
    assert_eq!(looks(&story), ["b"], "what runs has a place");
}
