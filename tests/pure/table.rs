//! Every state of a lane and every event that can meet it: what state follows, as one table. Generated, so that a change of
//! any pair is seen.

use std::fmt::Write as _;

use dogwatch::engine::{Engine, LaneState, Phase};
use dogwatch::model::{
    AskWhy, AttemptId, Cause, CheckpointMark, CheckpointSpec, Choice, ClockOrder, End, EnvironmentId, EscalationId,
    Event, Isolation, LostWhy, OnUnknown, Order, RunResult, RunStopWhy, SkipWhy, Snapshot, SnapshotMark, Step,
    StopReason, Time, Verdict, What,
};

use crate::support::make::{checkpoint, person, retry, step, step_id, workflow};
use crate::support::story::{Story, check, exit, lane, looked, run_id, saved, stall};

fn state_word(state: &LaneState) -> &'static str {
    match state {
        LaneState::Waiting => "Waiting",
        LaneState::Active { claimed: None, stop: None, .. } => "Active",
        LaneState::Active { claimed: Some(_), stop: None, .. } => "Active claimed",
        LaneState::Active { claimed: None, stop: Some(_), .. } => "Active stopping",
        LaneState::Active { claimed: Some(_), stop: Some(_), .. } => "Active claimed stopping",
        LaneState::Exited { .. } => "Exited",
        LaneState::Lost { .. } => "Lost",
        LaneState::Probing { .. } => "Probing",
        LaneState::Probed { .. } => "Probed",
        LaneState::Verifying { exit } if exit.is_bad() => "Verifying checkpoints",
        LaneState::Verifying { .. } => "Verifying",
        LaneState::Delayed { .. } => "Delayed",
        LaneState::ToAsk { .. } => "ToAsk",
        LaneState::Asking { .. } => "Asking",
        LaneState::Done { .. } => "Done",
    }
}

fn told(engine: &Engine) -> String {
    let run = engine.run(&run_id()).expect("it is there");
    let state = &run.lane(&lane("a")).expect("it is there").state;
    let stands = run.lane(&lane("a")).is_some_and(|lane| lane.stall.is_some());
    let stands = if stands { " standing still" } else { "" };
    let how = if let LaneState::Done { how, .. } = state { format!(" {how:?}") } else { String::new() };
    let phase = match &run.phase {
        Phase::Going if run.paused => ", paused",
        Phase::Going => "",
        Phase::Stopping { .. } => ", run stopping",
        Phase::Ended { .. } => ", run ended",
    };
    format!("{}{how}{stands}{phase}", state_word(state))
}

/// Applies one fact and decides nothing.
fn raw(story: &Story, what: What) -> Engine {
    let mut engine = story.engine.clone();
    engine.apply(&Event { run: run_id(), at: Time::from_ms(5_000), what });
    engine
}

/// An engine for every state, with the lane `a` in it.
fn states() -> Vec<Engine> {
    let begin = |change: fn(&mut Step)| {
        let mut a = step("a", &["first"]);
        a.checkpoint = Some(checkpoint());
        change(&mut a);
        Story::of(workflow(vec![step("first", &[]), a, step("other", &[])]))
    };
    let started = |change: fn(&mut Step)| {
        let mut story = begin(change);
        story.exits("first", 0);
        story
    };
    let mut all = vec![begin(|_| {}).engine];
    let mut active = started(|_| {});
    let attempt = active.newest("a");
    all.push(active.engine.clone());
    let record = Box::new(exit(End::Code(1), Time::from_ms(0)));
    let exited = raw(&active, What::Exited { attempt: attempt.clone(), exit: record });
    all.push(exited.clone());
    all.push(active.claimed("a").engine.clone());
    let stop = What::StopAsked { attempt: attempt.clone(), reason: StopReason::Stop, by: person("ann"), save: None };
    all.push(raw(&active, stop));
    let lost = What::Lost { attempt: attempt.clone(), why: LostWhy::ShimDied, evidence: Vec::new(), checkpoint: None };
    all.push(raw(&active, lost));
    let mut probing = started(|step| step.on_unknown = OnUnknown::Probe { script: "x".into() });
    all.push(probing.lost("a").engine.clone());
    all.push(raw(&probing, What::Probed { attempt: attempt.clone(), code: Some(1), output: String::new() }));
    all.push(started(|step| step.verify = Some("x".into())).exits("a", 0).engine.clone());
    let mut saved_then_failed = started(|step| {
        step.checkpoint = Some(CheckpointSpec { verify: Some("x".into()), ..checkpoint() });
    });
    all.push(
        saved_then_failed
            .exits_with("a", |exit| {
                exit.end = End::Code(1);
                exit.checkpoint = Some(saved("/c", 1));
            })
            .engine
            .clone(),
    );
    all.push(started(|step| step.retry = retry(2, 10)).exits("a", 1).engine.clone());
    let why = AskWhy::Failed { rule: None, attempts: 1, of: 1, because: String::new(), proposal: None };
    let mut to_ask = exited;
    let what = What::Judged { attempt, verdict: Verdict::Ask { why } };
    to_ask.apply(&Event { run: run_id(), at: Time::from_ms(5_000), what });
    all.push(to_ask);
    all.push(started(|_| {}).claimed("a").stalls("a").engine.clone());
    all.push(started(|_| {}).claimed("a").stalls("a").answers(1, Choice::Retry).engine.clone());
    all.push(started(|_| {}).exits("a", 1).engine.clone());
    all.push(started(|_| {}).lost("a").engine.clone());
    all.push(started(|_| {}).exits("a", 0).engine.clone());
    all.push(started(|_| {}).exits("a", 0).exits("other", 0).engine.clone());
    all
}

#[expect(clippy::too_many_lines, reason = "it is a table: each event once")]
fn events(engine: &Engine) -> Vec<(&'static str, What)> {
    let run = engine.run(&run_id()).expect("it is there");
    let n = run.lane(&lane("a")).expect("it is there").n;
    let of = |n| AttemptId { run: run_id(), lane: lane("a"), n };
    let at = Time::from_ms(9_000);
    let ann = || person("ann");
    let judged = |verdict| What::Judged { attempt: of(n), verdict };
    let answered = |choice| What::Answered { escalation: EscalationId(1), choice, by: ann(), note: None };
    let ordered = |order| What::Ordered { lane: lane("a"), order, by: ann(), note: None };
    let opened = run
        .questions
        .values()
        .next()
        .map(|question| What::Opened { escalation: Box::new(question.escalation.clone()) });
    let record = || Box::new(exit(End::Code(0), Time::from_ms(0)));
    let mut all = vec![
        (
            "EnvironmentReady",
            What::EnvironmentReady { environment: EnvironmentId::default(), isolation: Isolation::Sandboxed },
        ),
        ("EnvironmentFailed", What::EnvironmentFailed { environment: EnvironmentId::default(), why: "x".into() }),
        ("Intended next", What::Intended { attempt: of(n + 1), cause: Cause::First, resume: None }),
        ("Intended again", What::Intended { attempt: of(n), cause: Cause::First, resume: None }),
        ("SecretsLost", What::SecretsLost { lane: lane("a"), names: vec!["TOKEN".into()] }),
        ("SecretsGiven", What::SecretsGiven { names: vec!["TOKEN".into()], by: ann() }),
        ("CannotStart", What::CannotStart { lane: lane("a"), why: "x".into() }),
        ("CacheLooked hit", What::CacheLooked { lane: lane("a"), look: Box::new(looked(true)) }),
        ("CacheLooked miss", What::CacheLooked { lane: lane("a"), look: Box::new(looked(false)) }),
        ("Snapshotted", What::Snapshotted { attempt: of(n), snapshot: Snapshot { image: "i".into(), bytes: 1 } }),
        ("Keeping", What::Keeping { attempt: of(n) }),
        ("Booked", What::Booked { attempt: of(n), gpus: vec![0] }),
        ("Looked", What::Looked { attempt: of(n), good: true, given_up: false, seen: "200".into() }),
        ("NotSnapshotted", What::NotSnapshotted { attempt: of(n), why: "x".into() }),
        ("SnapshotMarked", What::SnapshotMarked { attempt: of(n), mark: SnapshotMark::Pinned, by: ann() }),
        ("Claimed", What::Claimed { attempt: of(n) }),
        ("Stalled", What::Stalled { attempt: of(n), stall: Box::new(stall(at)) }),
        ("ClocksSet Hold", What::ClocksSet { attempt: of(n), order: ClockOrder::Hold, by: ann() }),
        ("Revived", What::Revived { attempt: of(n) }),
        ("Noted", What::Noted { attempt: of(n), note: "well".into(), offset: 9 }),
        ("CheckpointSeen", What::CheckpointSeen { attempt: of(n), checkpoint: saved("/c", 1), offset: 0 }),
        ("Exited", What::Exited { attempt: of(n), exit: record() }),
        ("Exited of an older one", What::Exited { attempt: of(n.saturating_sub(1)), exit: record() }),
        ("Lost", What::Lost { attempt: of(n), why: LostWhy::ShimDied, evidence: Vec::new(), checkpoint: None }),
        ("Judged Succeeded", judged(Verdict::Succeeded)),
        ("Judged Retry", judged(Verdict::Retry { at, rule: "r".into(), resume: None, spend: None, patch: None })),
        ("Judged Skip", judged(Verdict::Skip { rule: "r".into() })),
        ("Judged Allowed", judged(Verdict::Allowed)),
        ("Judged Abort", judged(Verdict::Abort { rule: "r".into() })),
        ("Judged Stopped", judged(Verdict::Stopped)),
        ("Judged Answered", judged(Verdict::Answered)),
        (
            "Judged Ask",
            judged(Verdict::Ask {
                why: AskWhy::Failed { rule: None, attempts: 1, of: 1, because: String::new(), proposal: None },
            }),
        ),
        ("StopAsked", What::StopAsked { attempt: of(n), reason: StopReason::Stop, by: ann(), save: None }),
        ("ProbeAsked", What::ProbeAsked { attempt: of(n), by: ann() }),
        ("Probed", What::Probed { attempt: of(n), code: Some(0), output: String::new() }),
        ("Verified", What::Verified { attempt: of(n), check: Box::new(check(Some(0))) }),
        ("Verified, and bad", What::Verified { attempt: of(n), check: Box::new(check(None)) }),
        (
            "CheckpointsVerified",
            What::CheckpointsVerified { attempt: of(n), good: None, damaged: Vec::new(), digest: None },
        ),
        (
            "CheckpointChecked",
            What::CheckpointChecked { lane: lane("a"), checkpoint: saved("/c", 1), flaw: None, digest: None },
        ),
        (
            "CheckpointMarked",
            What::CheckpointMarked { lane: lane("a"), path: "/c".into(), mark: CheckpointMark::Pinned, by: ann() },
        ),
        ("CheckpointRemoved", What::CheckpointRemoved { lane: lane("a"), path: "/c".into(), why: None }),
        ("Skipped", What::Skipped { lane: lane("a"), why: SkipWhy::Condition }),
        ("Answered Retry", answered(Choice::Retry)),
        ("Answered KeepWaiting", answered(Choice::KeepWaiting)),
        ("Answered Probe", answered(Choice::Probe)),
        ("Answered Done", answered(Choice::Done)),
        ("Answered Skip", answered(Choice::Skip)),
        ("Answered Fail", answered(Choice::Fail)),
        ("Answered StopRun", answered(Choice::StopRun)),
        ("Answered Approve", answered(Choice::Approve)),
        ("Answered SendBack", answered(Choice::SendBack(0))),
        (
            "Held Retry",
            What::Held { escalation: EscalationId(1), choice: Choice::Retry, by: ann(), note: None, until: at },
        ),
        ("Undone", What::Undone { escalation: EscalationId(1), by: ann() }),
        ("Lasting", What::Lasting { escalation: EscalationId(1), by: ann() }),
        ("Extended", What::Extended { escalation: EscalationId(1), deadline: at, by: ann() }),
        ("Attached", What::Attached { attempt: of(n), by: ann() }),
        ("Detached", What::Detached { attempt: of(n), by: ann(), keys: None }),
        ("Ordered Resume", ordered(Order::Resume)),
        ("Ordered Retry", ordered(Order::Retry)),
        ("Ordered Skip", ordered(Order::Skip)),
        ("Ordered Done", ordered(Order::Done)),
        ("Paused", What::Paused { by: ann() }),
        ("Unpaused", What::Unpaused { by: ann() }),
        ("RunStopAsked", What::RunStopAsked { by: ann(), why: RunStopWhy::Asked }),
        ("Resumed", What::Resumed { from: None, by: ann() }),
        ("Resumed from a", What::Resumed { from: Some(step_id("a")), by: ann() }),
        ("Ended", What::Ended { result: RunResult::Failed }),
    ];
    all.extend(opened.map(|what| ("Opened again", what)));
    all
}

#[test]
fn every_state_meets_every_event() {
    let mut table = String::new();
    for engine in states() {
        let before = told(&engine);
        writeln!(table, "{before}").expect("a String takes it");
        for (name, what) in events(&engine) {
            let mut after = engine.clone();
            let event = Event { run: run_id(), at: Time::from_ms(9_000), what };
            after.apply(&event);
            assert!(after.consistent(), "{before} x {name}: the sets differ from a recount");
            let followed = if after == engine { "-".into() } else { told(&after) };
            writeln!(table, "    {name:<24}{followed}").expect("a String takes it");
        }
    }
    insta::assert_snapshot!("state_by_event", table);
}
