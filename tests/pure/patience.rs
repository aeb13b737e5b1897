//! What waits for a person's hand: answers that can be taken back, deadlines that begin anew, steps that somebody types into.

use dogwatch::engine::{Timer, Wait};
use dogwatch::model::{Action, Choice, End, EscalationId, Hit, Match, OnTimeout, StopReason, Time, What};

use crate::support::make::{checkpoint, gate, lanes, person, retry, rule, seconds, step, workflow};
use crate::support::story::{Story, lane, saved};

fn asked() -> Story {
    let mut story = Story::of(workflow(vec![step("train", &[]), step("next", &["train"])]));
    story.exits("train", 1).skim();
    story
}

#[test]
fn a_held_answer_takes_effect_at_its_time() {
    let mut story = asked();
    story.until(10).answers_held(1, Choice::Retry).says(&["10s e1 retry by ann, held until 15s"]);
    assert!(!story.run().only_waits(), "something will happen by itself");
    assert_eq!(story.engine.next_deadline(), Some(Time::from_ms(15_000)));
    story.until(14).says(&[]);
    story.until(15).says(&["15s e1 retry by ann", "15s train a2 starts: by ann"]);
}

#[test]
fn a_held_answer_can_be_taken_back_by_anybody() {
    let mut story = asked();
    let none = story.run().undo(EscalationId(1), person("bob")).expect_err("nothing is held");
    assert_eq!(none.0, "e1 has no answer that could be taken back");
    let undo = story.answers_held(1, Choice::StopRun).run().undo(EscalationId(1), person("bob")).expect("in time");
    story.until(4).tell(undo).until(100);
    story.says(&["0s e1 stop-run by ann, held until 5s", "4s e1 undone by bob"]);
    assert!(story.run().only_waits());
    story.answers_held(1, Choice::Done).until(105);
    let late = story.run().undo(EscalationId(1), person("bob")).expect_err("too late");
    assert_eq!(late.0, "too late: done by ann has taken effect already");
}

#[test]
fn the_first_answer_counts_also_while_it_is_held() {
    let mut story = asked();
    story.answers_held(1, Choice::Retry).skim();
    let second = story.run().decide(EscalationId(1), Choice::Fail, person("bob"), None).expect_err("it is answered");
    let words = "e1 was answered just now: retry by ann; it can be taken back for a moment: dogwatch undo e1";
    assert_eq!(second.0, words);
    let before = story.engine.clone();
    for what in [
        What::Answered { escalation: EscalationId(1), choice: Choice::Fail, by: person("bob"), note: None },
        What::Held {
            escalation: EscalationId(1),
            choice: Choice::Fail,
            by: person("bob"),
            note: None,
            until: Time::from_ms(1),
        },
    ] {
        story.tell(what);
        assert!(story.engine == before, "a second answer changed something");
    }
}

#[test]
fn a_run_that_ends_forgets_answers_that_had_no_effect_yet() {
    let mut story = Story::of(workflow(vec![step("train", &[]), step("long", &[])]));
    story.lost("train").skim().answers_held(1, Choice::Retry);
    let stop = story.run().stop_run(person("bob")).expect("it goes");
    story.tell(stop).exits_with("long", |exit| exit.stop = Some(StopReason::Stop)).skim();
    let resume = story.run().resume(None, person("bob")).expect("it can be resumed");
    // What was unknown is asked about as before; nothing is run because of an answer of yesterday.
    story.until(90_000).tell(resume).says(&["90000s resumed by bob", "90000s long a2 starts: by bob"]);
    assert!(story.run().questions[&EscalationId(1)].is_open());
}

#[test]
fn a_deadline_waits_for_a_held_answer_and_begins_anew_later() {
    let gated = || Story::of(workflow(vec![gate("gate", &[], Some(seconds(60)), OnTimeout::Reject)]));
    let mut story = gated();
    story.skim().until(58).answers_held(1, Choice::Approve).until(63);
    story.says(&["58s e1 approve by ann, held until 63s", "63s e1 approve by ann", "63s run ended: Succeeded"]);
    let mut story = gated();
    let later = story.skim().until(50).run().later(EscalationId(1), person("ann"), Time::from_ms(50_000));
    story.tell(later.expect("it has a deadline")).until(109).says(&["50s e1 until 110s by ann"]);
    story.until(110).says(&["110s e1 reject by dogwatch", "110s run ended: Rejected"]);
    let none = asked().run().later(EscalationId(1), person("ann"), Time::from_ms(0)).expect_err("none to extend");
    assert_eq!(none.0, "e1 has no deadline: it waits for you");
}

#[test]
fn a_time_limit_stands_still_while_somebody_is_attached() {
    let mut train = step("train", &[]);
    train.timeout = Some(seconds(60));
    let mut story = Story::of(workflow(vec![train]));
    story.until(10).claimed("train").until(30).skim();
    let attempt = story.newest("train");
    story.tell(What::Attached { attempt: attempt.clone(), by: person("ann") }).until(500);
    assert_eq!(story.engine.next_deadline(), None);
    assert_eq!(
        story.run().lane(&lane("train")).and_then(|lane| lane.attached.clone()).map(|a| a.by),
        Some(person("ann"))
    );
    story.tell(What::Detached { attempt, by: person("ann"), keys: Some(41) });
    story.until(539).says(&["30s train a1 attached by ann", "500s train a1 detached by ann"]);
    story.until(540).says(&["540s train a1 to end: timeout by dogwatch"]);
}

#[test]
fn a_retry_waits_until_nobody_is_attached_and_a_person_may_order_it() {
    let failed = || {
        let mut train = step("train", &[]);
        train.retry = retry(3, 10);
        let mut story = Story::of(workflow(vec![train]));
        let attempt = story.claimed("train").newest("train");
        story.tell(What::Attached { attempt: attempt.clone(), by: person("ann") });
        story.exits("train", 1).until(100).skim();
        assert_eq!(story.engine.next_deadline(), None);
        (story, attempt)
    };
    let (mut story, attempt) = failed();
    story.tell(What::Detached { attempt, by: person("ann"), keys: None });
    story.says(&["100s train a1 detached by ann", "100s train a2 starts: retry by retry"]);
    let (mut story, _) = failed();
    story.orders("train", dogwatch::model::Order::Retry);
    story.says(&["100s train Retry by ann", "100s train a2 starts: by ann"]);
}

#[test]
fn timers_are_told_by_name() {
    let mut train = step("train", &[]);
    train.timeout = Some(seconds(60));
    train.grace = seconds(7);
    train.retry = retry(2, 30);
    train.checkpoint = Some(checkpoint());
    let mut flow = workflow(vec![train]);
    flow.timeout = Some(seconds(1000));
    let mut story = Story::of(flow);
    let waits = |story: &Story| {
        let run = story.run();
        let waits = run.waits(run.lane(&lane("train")).expect("it is there"));
        waits
            .iter()
            .map(|Wait { timer, since, until }| (*timer, since.map(Time::as_ms), until.as_ms()))
            .collect::<Vec<_>>()
    };
    let run = (Timer::RunTimeout, Some(0), 1_000_000);
    assert_eq!(waits(&story), [run]);
    story.until(2).claimed("train");
    assert_eq!(waits(&story), [(Timer::Timeout, Some(2_000), 62_000), run]);
    story.until(62);
    assert_eq!(waits(&story), [(Timer::Kill, Some(62_000), 69_000), run]);
    story.until(63).exits_with("train", |exit| {
        exit.stop = Some(StopReason::Timeout);
        exit.checkpoint = Some(saved("/c/1", 1));
    });
    assert_eq!(waits(&story), [(Timer::Retry, Some(63_000), 93_000), run]);
    story.until(93).exits("train", 1).until(100).answers_held(1, Choice::Skip);
    assert_eq!(waits(&story), [(Timer::Undo, Some(100_000), 105_000), run]);
    story.until(105);
    assert_eq!(waits(&story), []);
}

#[test]
fn a_failure_is_asked_with_the_line_that_matched_and_those_round_it() {
    let mut train = step("train", &[]);
    train.on_failure = vec![rule("oom", Match { output: Some("memory".into()), ..Match::default() }, Action::Escalate)];
    train.lanes = lanes(2);
    let mut story = Story::of(workflow(vec![train]));
    let text = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let fails = |story: &mut Story, name: &str, tail: &[&str], size: &str| {
        let line = format!("out of memory: {size} GiB");
        let hit = Hit { rule: 0, line_number: 7, line: line.clone(), before: text(&["a", "b"]), after: text(&["c"]) };
        let tail = tail.iter().map(|known| if *known == "X" { line.clone() } else { (*known).to_owned() }).collect();
        story.exits_with(name, |exit| {
            (exit.end, exit.hits, exit.tail) = (End::Code(1), vec![hit], tail);
        });
    };
    fails(&mut story, "train", &["0", "a", "b", "X", "c"], "2.5");
    fails(&mut story, "train.1", &["much", "later"], "17");
    let asked = |id| &story.run().questions[&EscalationId(id)].escalation;
    // What is shown as the match is not told twice, and what was printed before it stands before it.
    let first = "attempt 1 (try 1 of 1), rule \"oom\"";
    let lines = ["| 0", "line 5: a", "line 6: b", "line 7: out of memory: 2.5 GiB", "line 8: c"];
    assert_eq!(asked(1).evidence, [&[first][..], &lines[..]].concat());
    assert_eq!(asked(1).matched, Some(4));
    assert_eq!(asked(2).evidence[4..], ["line 8: c", "| much", "| later"]);
    // The other lane asks the same, although the numbers differ.
    assert_eq!(asked(1).fingerprint, asked(2).fingerprint);
}
