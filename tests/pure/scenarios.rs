//! The named stories of how attempts end, and what follows by itself, with exact times.

use dogwatch::engine::LaneState;
use dogwatch::model::{
    Action, AttemptId, Choice, Class, Command, Diagnosis, End, EscalationId, Evidence, Exit, Hit, LostWhy, Match,
    OnUnknown, Role, RunStopWhy, Step, StopReason, Time, What, Workflow,
};

use crate::support::make::{checkpoint, person, retry, rule, seconds, step, step_id, workflow};
use crate::support::story::{Story, exit, saved};

const QUESTION: &str = "retry done skip fail stop-run";

/// One step with these changes.
fn one(change: impl FnOnce(&mut Step)) -> Story {
    let mut train = step("train", &[]);
    change(&mut train);
    let mut story = Story::of(workflow(vec![train]));
    story.says(&["0s train a1 starts: first"]);
    story
}

fn two(first: Step, second: Step) -> Workflow {
    workflow(vec![first, second])
}

#[test]
fn retries_wait_longer_each_time() {
    let mut story = one(|step| step.retry = retry(5, 10));
    let mut at = 0;
    for (n, wait) in [(1, 10), (2, 20), (3, 40), (4, 80)] {
        story.claimed("train").exits("train", 1);
        at += wait;
        story.says(&[
            &format!("{}s train a{n} claimed", at - wait),
            &format!("{}s train a{n} ends: code 1", at - wait),
            &format!("{}s train a{n} judged: again at {at}s by retry", at - wait),
        ]);
        story.until(at).says(&[&format!("{at}s train a{} starts: retry by retry", n + 1)]);
    }
    story.exits("train", 0).says(&[
        "150s train a5 ends: code 0",
        "150s train a5 judged: succeeded",
        "150s run ended: Succeeded",
    ]);
}

#[test]
fn a_wait_is_never_longer_than_the_longest() {
    let mut story = one(|step| {
        step.retry = retry(9, 100);
        step.retry.max_delay = seconds(150);
    });
    story.exits("train", 1).until(100).exits("train", 1);
    story.skim().until(249).says(&[]).until(250).says(&["250s train a3 starts: retry by retry"]);
}

#[test]
fn retries_used_up_are_a_question() {
    let mut story = one(|step| step.retry = retry(2, 0));
    story.exits("train", 1).exits("train", 2);
    story.says(&[
        "0s train a1 ends: code 1",
        "0s train a1 judged: again at 0s by retry",
        "0s train a2 starts: retry by retry",
        "0s train a2 ends: code 2",
        "0s train a2 judged: ask",
        &format!("0s e1 Failed train: {QUESTION}"),
    ]);
    assert!(story.run().only_waits());
    assert_eq!(story.engine.next_deadline(), None);
    // A person's word begins a new series.
    story.answers(1, Choice::Retry).exits("train", 1);
    story.says(&[
        "0s e1 retry by ann",
        "0s train a3 starts: by ann",
        "0s train a3 ends: code 1",
        "0s train a3 judged: again at 0s by retry",
        "0s train a4 starts: retry by retry",
    ]);
}

#[test]
fn a_retry_goes_on_from_the_newest_checkpoint() {
    let mut story = one(|step| {
        step.retry = retry(2, 5);
        step.checkpoint = Some(checkpoint());
    });
    story.exits_with("train", |exit| {
        exit.end = End::Signal(9);
        exit.checkpoint = Some(saved("/c/7", 7));
    });
    story.until(5).says(&[
        "0s train a1 ends: signal 9",
        "0s train a1 judged: again at 5s by retry from /c/7",
        "5s train a2 starts: retry by retry from /c/7",
    ]);
    let environment = story.run().environment(&story.newest("train")).expect("it has one");
    assert_eq!(environment.get("RESUME").map(String::as_str), Some("/c/7"));
    story.exits_with("train", |exit| {
        exit.end = End::Code(1);
        exit.checkpoint = Some(saved("/c/9", 9));
    });
    story.answers(1, Choice::Resume).says(&[
        "5s train a2 ends: code 1",
        "5s train a2 judged: ask",
        "5s e1 Failed train: resume retry done skip fail stop-run",
        "5s e1 resume by ann",
        "5s train a3 starts: by ann from /c/9",
    ]);
}

#[test]
fn the_first_rule_that_matches_decides() {
    let rules = || {
        vec![
            rule("memory", Match { output: Some("x".into()), ..Match::default() }, Action::Escalate),
            rule("killed", Match { signal: vec![9], ..Match::default() }, Action::Retry),
            rule("three", Match { exit_code: vec![3, 143], ..Match::default() }, Action::Resume),
        ]
    };
    let with = |change: fn(&mut Exit)| {
        let mut story = one(|step| {
            step.on_failure = rules();
            step.on_failure[1].retry = Some(retry(2, 1));
            step.on_failure[2].retry = Some(retry(2, 2));
        });
        story.exits_with("train", change);
        let (_, event) =
            story.events.iter().find(|(_, event)| matches!(event.what, What::Judged { .. })).expect("it is judged");
        crate::support::story::words(story.run(), event)
    };
    assert_eq!(with(|exit| exit.end = End::Code(3)), "0s train a1 judged: again at 2s by three");
    assert_eq!(with(|exit| exit.end = End::Signal(15)), "0s train a1 judged: again at 2s by three");
    assert_eq!(with(|exit| exit.end = End::Code(137)), "0s train a1 judged: again at 1s by killed");
    assert_eq!(with(|exit| exit.end = End::Signal(9)), "0s train a1 judged: again at 1s by killed");
    assert_eq!(with(|exit| exit.end = End::Code(1)), "0s train a1 judged: ask");
    let hit = |exit: &mut Exit| {
        exit.end = End::Signal(9);
        exit.hits = vec![Hit { rule: 0, line_number: 1, line: "x".into(), ..Hit::default() }];
    };
    assert_eq!(with(hit), "0s train a1 judged: ask");
}

#[test]
fn abort_ends_the_run_and_what_runs() {
    let mut bad = step("bad", &[]);
    bad.on_failure = vec![rule("fatal", Match::default(), Action::Abort)];
    let mut story = Story::of(workflow(vec![bad, step("long", &[]), step("after", &["long"])]));
    story.claimed("long").skim().exits("bad", 1);
    story.says(&["0s bad a1 ends: code 1", "0s bad a1 judged: abort by fatal", "0s long a1 to end: stop by dogwatch"]);
    assert!(matches!(story.effects.as_slice(), [Command::Stop { reason: StopReason::Stop, .. }]));
    story.exits_with("long", |exit| {
        exit.end = End::Signal(15);
        exit.stop = Some(StopReason::Stop);
    });
    story.says(&["0s long a1 ends: signal 15 (stop)", "0s long a1 judged: stopped", "0s run ended: Failed"]);
    assert_eq!(story.state("after"), &LaneState::Waiting);
}

#[test]
fn an_abort_lets_nothing_start_in_the_same_moment() {
    let mut bad = step("bad", &[]);
    bad.on_failure = vec![rule("fatal", Match::default(), Action::Abort)];
    let mut workflow = two(bad, step("next", &[]));
    workflow.max_parallel = 1;
    let mut story = Story::of(workflow);
    story.skim().exits("bad", 1);
    story.says(&["0s bad a1 ends: code 1", "0s bad a1 judged: abort by fatal", "0s run ended: Failed"]);
}

#[test]
fn a_failure_that_is_allowed_stops_nobody() {
    let mut lint = step("lint", &[]);
    lint.allow_failure = true;
    let mut story = Story::of(two(lint, step("next", &["lint"])));
    story.skim().exits("lint", 1).exits("next", 0).says(&[
        "0s lint a1 ends: code 1",
        "0s lint a1 judged: allowed to fail",
        "0s next a1 starts: first",
        "0s next a1 ends: code 0",
        "0s next a1 judged: succeeded",
        "0s run ended: Succeeded",
    ]);
}

#[test]
fn an_unknown_end_is_asked_about() {
    let mut story = one(|step| step.retry = retry(5, 0));
    story.claimed("train").lost("train").until(100_000);
    story.says(&[
        "0s train a1 claimed",
        "0s train a1 lost",
        "0s train a1 judged: ask",
        &format!("0s e1 Unknown train: {QUESTION}"),
    ]);
    assert_eq!(story.effects, []);
    // The exit of an attempt that is asked about comes too late: the person's answer counts.
    story.exits("train", 0).says(&["100000s train a1 ends: code 0"]);
    assert!(matches!(story.state("train"), LaneState::Asking { .. }));
    story.answers(1, Choice::Done).says(&["100000s e1 done by ann", "100000s run ended: Succeeded"]);
}

#[test]
fn what_is_safe_to_repeat_is_repeated_but_not_for_ever() {
    let mut story = one(|step| step.on_unknown = OnUnknown::Rerun);
    for n in 1..=5 {
        story.lost("train").says(&[
            &format!("0s train a{n} lost"),
            &format!("0s train a{n} judged: again at 0s by on_unknown = \"rerun\""),
            &format!("0s train a{} starts: unknown", n + 1),
        ]);
    }
    story.lost("train").says(&[
        "0s train a6 lost",
        "0s train a6 judged: ask",
        &format!("0s e1 Unknown train: {QUESTION}"),
    ]);
}

#[test]
fn a_lost_attempt_uses_up_no_try() {
    let mut story = one(|step| {
        step.on_unknown = OnUnknown::Rerun;
        step.retry = retry(2, 0);
    });
    story.lost("train").exits("train", 1).skim().exits("train", 1);
    story.says(&["0s train a3 ends: code 1", "0s train a3 judged: ask", &format!("0s e1 Failed train: {QUESTION}")]);
}

#[test]
fn a_probe_says_whether_it_happened() {
    let probed = |code| {
        let mut story = one(|step| step.on_unknown = OnUnknown::Probe { script: "x".into() });
        story.lost("train").says(&["0s train a1 lost", "0s train a1 to be probed"]);
        let attempt = story.newest("train");
        assert_eq!(story.effects, [Command::Probe(attempt.clone())]);
        story.tell(What::Probed { attempt, code, output: "said".into() });
        story
    };
    probed(Some(0)).says(&["0s train a1 probed: Some(0)", "0s train a1 judged: succeeded", "0s run ended: Succeeded"]);
    probed(Some(10)).says(&[
        "0s train a1 probed: Some(10)",
        "0s train a1 judged: again at 0s by the probe said that it had not happened",
        "0s train a2 starts: unknown",
    ]);
    let asks = "0s e1 Unknown train: probe retry done skip fail stop-run";
    probed(None).says(&["0s train a1 probed: None", "0s train a1 judged: ask", asks]);
    let mut story = probed(Some(1));
    story.says(&["0s train a1 probed: Some(1)", "0s train a1 judged: ask", asks]);
    let evidence = |story: &Story, id| story.run().questions[&EscalationId(id)].escalation.evidence.clone();
    let first = evidence(&story, 1);
    // Asked for once more, it is not told twice.
    story.answers(1, Choice::Probe);
    let attempt = story.newest("train");
    story.tell(What::Probed { attempt, code: Some(1), output: "said".into() });
    assert_eq!(evidence(&story, 2), first);
}

#[test]
fn a_time_limit_fails_whatever_the_code() {
    let mut story = one(|step| {
        step.timeout = Some(seconds(60));
        step.retry = retry(2, 1);
    });
    // It counts from the claim.
    story.until(30).claimed("train").until(89).says(&["30s train a1 claimed"]);
    story.until(90).says(&["90s train a1 to end: timeout by dogwatch"]);
    assert!(matches!(story.effects.as_slice(), [Command::Stop { reason: StopReason::Timeout, .. }]));
    story.exits_with("train", |exit| exit.stop = Some(StopReason::Timeout));
    story.says(&["90s train a1 ends: code 0 (timeout)", "90s train a1 judged: again at 91s by retry"]);
}

#[test]
fn an_older_attempt_says_nothing_any_more() {
    let mut story = one(|step| step.retry = retry(2, 0));
    let old = story.newest("train");
    story.exits("train", 1).skim();
    let before = story.engine.clone();
    story.tell(What::Exited { attempt: old.clone(), exit: Box::new(exit(End::Code(0), Time::from_ms(0))) });
    story.tell(What::Claimed { attempt: old });
    assert!(story.engine == before, "an older attempt changed something");
}

#[test]
fn a_run_has_a_time_limit() {
    let mut workflow = workflow(vec![step("a", &[])]);
    workflow.timeout = Some(seconds(100));
    let mut story = Story::of(workflow);
    story.claimed("a").skim().until(100);
    story.says(&[
        &format!("100s run to end: {:?} by dogwatch", RunStopWhy::Timeout),
        "100s a a1 to end: stop by dogwatch",
    ]);
    story.exits_with("a", |exit| exit.stop = Some(StopReason::Stop));
    story.says(&["100s a a1 ends: code 0 (stop)", "100s a a1 judged: stopped", "100s run ended: Failed"]);
    // It counts anew when the run is resumed.
    let resume = story.run().resume(None, person("bob")).expect("it can be resumed");
    story.until(500).tell(resume).skim().until(599).says(&[]);
    story.until(600).says(&["600s run to end: Timeout by dogwatch", "600s a a2 to end: stop by dogwatch"]);
}

#[test]
fn a_due_retry_without_a_place_waits_for_an_event_not_for_time() {
    let mut a = step("a", &[]);
    a.retry = retry(3, 10);
    let mut workflow = two(a, step("b", &[]));
    workflow.max_parallel = 1;
    let mut story = Story::of(workflow);
    story.exits("a", 1).skim().until(60);
    assert_eq!(story.engine.next_deadline(), None);
    story.exits("b", 0).says(&[
        "60s b a1 ends: code 0",
        "60s b a1 judged: succeeded",
        "60s a a2 starts: retry by retry",
    ]);
}

/// `work` goes on from what was kept after `setup`, and `last` comes after it; the attempt that would be next of `work`.
fn kept_after_setup() -> Story {
    let mut setup = step("setup", &[]);
    setup.place.snapshot = true;
    let mut story = Story::of(workflow(vec![setup, step("work", &["setup"]), step("last", &["work"])]));
    story.claimed("setup").tell_kept("setup").exits("setup", 0);
    story.until(10).claimed("work").exits("work", 0);
    story.until(20).claimed("last").exits("last", 0);
    story
}

fn is_anew(story: &Story, name: &str, n: u32) -> bool {
    let attempt = AttemptId { n, ..story.newest(name) };
    story.run().base(&attempt).expect("something was kept").anew
}

#[test]
fn what_comes_later_and_stays_done_is_not_thrown_away() {
    let mut story = kept_after_setup();
    // `last` has run there, and would not run again.
    assert!(!is_anew(&story, "work", 2));
    story.tell(What::Resumed { from: Some(step_id("work")), by: person("ann") });
    assert_eq!(story.newest("work").n, 2);
    assert!(is_anew(&story, "work", 2), "`last` is to be done again");
}

#[test]
fn a_snapshot_contains_what_was_there_when_its_attempt_ended() {
    let mut setup = step("setup", &[]);
    setup.place.snapshot = true;
    let mut work = step("work", &["setup"]);
    work.retry = retry(2, 0);
    let mut story = Story::of(workflow(vec![setup, step("beside", &[]), work]));
    story.claimed("setup").claimed("beside");
    story.until(50).exits("beside", 0);
    // It is recorded late: its attempt ended long before `beside` did.
    story.until(100).tell_kept("setup").exits_with("setup", |exit| exit.ended = Time::from_ms(10_000));
    story.claimed("work").until(110).exits("work", 1);
    assert_eq!(story.newest("work").n, 2);
    assert!(!is_anew(&story, "work", 2), "what `beside` did would be lost");
}

#[test]
fn a_question_says_why_it_failed_and_points_at_the_line() {
    let judged = |class: Class, line: &str| {
        let mut story = one(|step| step.retry = retry(1, 0));
        story.exits_with("train", |exit| {
            exit.end = End::Code(1);
            exit.diagnosis = Some(Box::new(Diagnosis {
                class,
                advice: class.default_advice(),
                confidence: 0.9,
                rule: Some("cuda-oom".into()),
                role: Some(Role::Root),
                evidence: Some(Evidence { rule: "cuda-oom".into(), line: line.into(), number: 211 }),
                cascades: Vec::new(),
                retry_after_s: None,
                explanation: "Its memory was too small.".into(),
            }));
        });
        story.run().questions[&EscalationId(1)].escalation.clone()
    };
    let asked = judged(Class::DeviceOom, "CUDA out of memory. Tried to allocate 2.50 GiB");
    assert_eq!(
        asked.evidence[1..],
        [
            "device_oom: Its memory was too small.",
            "line 211: CUDA out of memory. Tried to allocate 2.50 GiB",
            "| the last line"
        ]
    );
    assert_eq!(asked.matched, Some(2));
    // The same failure of another size is the same; another one is not.
    assert_eq!(
        judged(Class::DeviceOom, "CUDA out of memory. Tried to allocate 1.25 GiB").fingerprint,
        asked.fingerprint
    );
    assert_ne!(judged(Class::DeviceOom, "CUBLAS_STATUS_ALLOC_FAILED").fingerprint, asked.fingerprint);
    // What nobody knows is not told as if somebody did.
    let unknown = judged(Class::Unknown, "the last line");
    assert_eq!((unknown.matched, unknown.evidence.len()), (None, 2));
}

#[test]
fn an_end_that_is_told_once_more_is_known_however_old_it_is() {
    let mut story = one(|step| step.retry = retry(3, 0));
    let first = story.newest("train");
    let end = |attempt: &AttemptId| {
        let exit = Box::new(exit(End::Code(1), Time::from_ms(0)));
        What::Exited { attempt: attempt.clone(), exit }
    };
    let lost = |attempt: &AttemptId| {
        let (attempt, why, evidence) = (attempt.clone(), LostWhy::ShimDied, Vec::new());
        What::Lost { attempt, why, evidence, checkpoint: None }
    };
    assert!(!story.engine.knows(&end(&first)) && !story.engine.knows(&lost(&first)), "it lives");
    story.claimed("train").exits("train", 1);
    let second = story.newest("train");
    assert_eq!((first.n, second.n), (1, 2), "the next one goes on already");
    assert!(story.engine.knows(&end(&first)), "a look that was asked for late tells it once more");
    assert!(story.engine.knows(&lost(&first)));
    assert!(!story.engine.knows(&end(&second)) && !story.engine.knows(&lost(&second)), "this one lives");
    story.lost("train");
    assert!(story.engine.knows(&lost(&second)) && !story.engine.knows(&end(&second)), "its record may still be found");
    let other = AttemptId { run: dogwatch::model::RunId::new("other").expect("an id"), ..first };
    assert!(!story.engine.knows(&end(&other)), "of a run that is not held nothing is known");
}
