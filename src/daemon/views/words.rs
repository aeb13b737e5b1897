//! Recorded facts and decisions as lines for people and as stable words for scripts. Decides nothing.

use crate::attempt::record::signal_name;
use crate::engine::{Run, clock_words, damaged_words, lost_secrets_words};
use crate::model::{
    AskWhy, CacheLook, Cause, CheckpointMark, EnvironmentId, EscalationId, Event, Exit, Isolation, LaneId, LostWhy,
    Order, Principal, RunResult, RunStopWhy, SkipWhy, SnapshotMark, StopReason, Time, Verdict, What, gpu_words,
    seen_words, size_words, span_words,
};
use crate::wire::client::EventView;

use super::exit_words;

/// The event as clients see it.
pub(in crate::daemon) fn event(run: &Run, seq: u64, event: &Event) -> EventView {
    let (kind, lane, attempt, text) = line(run, &event.what, event.at);
    let step = lane.map(|lane| run.lane_name(&lane)).unwrap_or_default();
    EventView { seq, at_ms: event.at.as_ms(), kind: kind.into(), step, attempt, text }
}

type Line = (&'static str, Option<LaneId>, Option<u32>, String);

#[expect(clippy::too_many_lines, reason = "it is a table: one line for each event")]
fn line(run: &Run, what: &What, at: Time) -> Line {
    let about = |attempt: &crate::model::AttemptId| (Some(attempt.lane.clone()), Some(attempt.n));
    match what {
        What::Created(created) => ("run.created", None, None, format!("started by {}", created.by)),
        What::EnvironmentReady { environment, isolation } => {
            ("environment.ready", None, None, ready(environment, isolation))
        }
        What::EnvironmentFailed { why, .. } => ("environment.failed", None, None, why.clone()),
        What::Intended { attempt, cause, resume } => {
            let (lane, n) = about(attempt);
            ("attempt.intended", lane, n, intended(attempt.n, cause, resume.as_deref()))
        }
        What::CacheLooked { lane, look } => (looked_kind(look), Some(lane.clone()), None, looked(look)),
        What::CannotStart { lane, why } => ("step.cannot_start", Some(lane.clone()), None, why.clone()),
        What::SecretsLost { .. } | What::SecretsGiven { .. } => secrets(what),
        What::Claimed { attempt } => {
            let (lane, n) = about(attempt);
            ("attempt.started", lane, n, format!("attempt {} runs", attempt.n))
        }
        What::CheckpointSeen { attempt, checkpoint, .. } => {
            let (lane, n) = about(attempt);
            let step = checkpoint.step.map(|step| format!(" at step {step}")).unwrap_or_default();
            ("checkpoint", lane, n, format!("checkpoint{step}: {}", checkpoint.path))
        }
        What::Snapshotted { attempt, .. }
        | What::Keeping { attempt }
        | What::NotSnapshotted { attempt, .. }
        | What::SnapshotMarked { attempt, .. } => {
            let ((lane, n), (kind, text)) = (about(attempt), kept(what));
            (kind, lane, n, text)
        }
        What::Exited { attempt, exit } => {
            let (lane, n) = about(attempt);
            ("attempt.ended", lane, n, exited(attempt.n, exit))
        }
        What::Stalled { attempt, .. }
        | What::Revived { attempt }
        | What::ClocksSet { attempt, .. }
        | What::Noted { attempt, .. }
        | What::Booked { attempt, .. }
        | What::Looked { attempt, .. } => standing(attempt, what, at),
        What::Lost { attempt, why, .. } => {
            let (lane, n) = about(attempt);
            ("attempt.unknown", lane, n, format!("UNKNOWN whether attempt {} finished: {}", attempt.n, lost(*why)))
        }
        What::Judged { attempt, verdict } => {
            let (lane, n) = about(attempt);
            let (kind, text) = judged(verdict);
            (kind, lane, n, text)
        }
        What::StopAsked { attempt, reason, by, save } => {
            let (lane, n) = about(attempt);
            ("attempt.stopping", lane, n, stop_asked(*reason, by, *save))
        }
        What::CheckpointChecked { lane, .. }
        | What::CheckpointMarked { lane, .. }
        | What::CheckpointRemoved { lane, .. } => {
            let (kind, text) = checkpoint(what);
            (kind, Some(lane.clone()), None, text)
        }
        What::ProbeAsked { attempt, .. }
        | What::Probed { attempt, .. }
        | What::Verified { attempt, .. }
        | What::CheckpointsVerified { attempt, .. } => {
            let ((lane, n), (kind, text)) = (about(attempt), beside(what));
            (kind, lane, n, text)
        }
        What::Skipped { lane, why } => ("step.skipped", Some(lane.clone()), None, skipped(why)),
        What::Opened { escalation } => {
            let n = escalation.attempt.as_ref().map(|attempt| attempt.n);
            let text = format!("{} needs you: {}", escalation.id, escalation.title);
            ("escalation.opened", Some(escalation.lane.clone()), n, text)
        }
        What::Answered { escalation, choice, by, note } => {
            let text = format!("{escalation}: {} by {by}{}", run.word(*choice), noted(note.as_deref()));
            ("escalation.answered", asked(run, *escalation), None, text)
        }
        What::Held { escalation, .. }
        | What::Undone { escalation, .. }
        | What::Lasting { escalation, .. }
        | What::Extended { escalation, .. } => {
            let (kind, text) = about_answer(run, what);
            (kind, asked(run, *escalation), None, text)
        }
        What::Attached { attempt, by } => {
            let (lane, n) = about(attempt);
            ("step.attached", lane, n, format!("{by} types into it"))
        }
        What::Detached { attempt, by, keys } => {
            let (lane, n) = about(attempt);
            let keys = keys.map(|keys| format!("; {keys} key(s) sent")).unwrap_or_default();
            ("step.detached", lane, n, format!("let go, by {by}{keys}"))
        }
        What::Ordered { lane, order, by, note } => {
            let text = format!("{} by {by}{}", ordered(*order), noted(note.as_deref()));
            ("step.ordered", Some(lane.clone()), None, text)
        }
        What::Paused { .. } | What::Unpaused { .. } | What::RunStopAsked { .. } => of_run(what),
        What::Resumed { from, by } => {
            let from = from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
            ("run.resumed", None, None, format!("resumed{from} by {by}"))
        }
        What::Ended { result } => ("run.ended", None, None, ended(*result).into()),
    }
}

/// Values that are not there, or are again.
fn secrets(what: &What) -> Line {
    if let What::SecretsLost { lane, names } = what {
        return ("step.cannot_start", Some(lane.clone()), None, lost_secrets_words(names));
    }
    let given = if let What::SecretsGiven { names, by } = what {
        format!("{} given by {by}", names.join(", "))
    } else {
        String::new()
    };
    ("secrets.given", None, None, given)
}

/// What somebody said about the run as a whole.
fn of_run(what: &What) -> Line {
    let (kind, text) = if let What::Paused { by } = what {
        ("run.paused", format!("paused by {by}"))
    } else if let What::RunStopAsked { by, why } = what {
        ("run.stopping", stopping(by, why))
    } else {
        let by = if let What::Unpaused { by } = what { by.to_string() } else { String::new() };
        ("run.unpaused", format!("goes on, by {by}"))
    };
    (kind, None, None, text)
}

/// Of an attempt that stands still, or goes on, or whose clocks are set.
fn standing(attempt: &crate::model::AttemptId, what: &What, at: Time) -> Line {
    let n = attempt.n;
    let (kind, text) = if let What::Stalled { stall, .. } = what {
        let (kind, stands) =
            if stall.is_alert() { ("attempt.alert", "") } else { ("attempt.stalled", " stands still") };
        (kind, format!("attempt {n}{stands}: {}", stall.words(at)))
    } else if let What::Noted { note, .. } = what {
        ("note", format!("note: {note}"))
    } else if let What::ClocksSet { order, by, .. } = what {
        ("attempt.clocks", format!("{}, by {by}", clock_words(*order)))
    } else if let What::Booked { gpus, .. } = what {
        ("attempt.booked", format!("attempt {n} has {}", gpu_words(gpus)))
    } else if let What::Looked { good, given_up, seen, .. } = what {
        ("attempt.looked", seen_words(*good, *given_up, seen))
    } else {
        ("attempt.revived", format!("attempt {n} goes on by itself"))
    };
    (kind, Some(attempt.lane.clone()), Some(n), text)
}

/// Of an answer that has not taken effect.
fn about_answer(run: &Run, what: &What) -> (&'static str, String) {
    if let What::Held { escalation, choice, by, note, .. } = what {
        let held = format!("{escalation}: {} by {by}, can still be undone", run.word(*choice));
        ("escalation.held", format!("{held}{}", noted(note.as_deref())))
    } else if let What::Undone { escalation, by } = what {
        ("escalation.undone", format!("{escalation}: answer taken back by {by}"))
    } else if let What::Lasting { escalation, by } = what {
        ("escalation.lasting", format!("{escalation}: its answer holds for the same failure in this run, says {by}"))
    } else if let What::Extended { escalation, by, .. } = what {
        ("escalation.extended", format!("{escalation}: later, says {by}"))
    } else {
        ("escalation", String::new())
    }
}

fn stop_asked(reason: StopReason, by: &Principal, save: Option<i32>) -> String {
    let save = save.map(|signal| format!("; {} first, so that it saves", signal_name(signal))).unwrap_or_default();
    match reason {
        StopReason::Timeout => format!("time limit reached: stopping{save}"),
        StopReason::Stop => format!("stopping, by {by}{save}"),
        StopReason::Stall => format!("it stands still: stopping, by {by}{save}"),
        StopReason::Alert => format!("an alert: stopping, by {by}{save}"),
        StopReason::Unneeded => "nobody needs it any more: stopping".into(),
        StopReason::NotReady => "it does not become ready: stopping".into(),
    }
}

/// Of a checkpoint that was looked at, marked or removed.
fn checkpoint(what: &What) -> (&'static str, String) {
    if let What::CheckpointChecked { checkpoint, flaw, .. } = what {
        let is = flaw.as_ref().map_or_else(|| "good".into(), |why| format!("damaged ({why})"));
        ("checkpoint.verified", format!("{} is {is}", checkpoint.path))
    } else if let What::CheckpointRemoved { path, why, .. } = what {
        let done = why.as_ref().map_or_else(|| "is gone".into(), |why| format!("could not be removed: {why}"));
        ("checkpoint.removed", format!("{path} {done}"))
    } else if let What::CheckpointMarked { path, mark, by, .. } = what {
        let done = match mark {
            CheckpointMark::Pinned => "is pinned",
            CheckpointMark::Unpinned => "is not pinned any more",
            CheckpointMark::Removed if *by == Principal::Rule => return ("checkpoint.removing", kept_enough(path)),
            CheckpointMark::Removed => "was removed",
            CheckpointMark::Chosen => "is what it goes on from",
        };
        ("checkpoint.marked", format!("{path} {done}, by {by}"))
    } else {
        ("checkpoint", String::new())
    }
}

fn kept_enough(path: &str) -> String {
    format!("{path} is to be removed: enough newer ones are good (keep)")
}

fn looked_kind(look: &CacheLook) -> &'static str {
    if look.hit.is_some() { "step.cached" } else { "step.not_cached" }
}

/// Whether an earlier result stands for the step.
fn looked(look: &CacheLook) -> String {
    let CacheLook { why, hit, .. } = look;
    if hit.is_some() { format!("not run: {why}") } else { format!("it runs: {why}") }
}

/// Of an environment that was to be kept.
fn kept(what: &What) -> (&'static str, String) {
    if let What::Snapshotted { snapshot, .. } = what {
        let size = size_words(snapshot.bytes);
        ("environment.kept", format!("the environment is kept as it is ({size} of its own)"))
    } else if let What::SnapshotMarked { mark, by, .. } = what {
        let word = match mark {
            SnapshotMark::Pinned => "pinned",
            SnapshotMark::Unpinned => "unpinned",
            SnapshotMark::Removed => "removed",
        };
        ("environment.checkpoint", format!("the environment's checkpoint was {word} by {by}"))
    } else if let What::Keeping { .. } = what {
        ("environment.keeping", "it has ended well; its environment is being kept".into())
    } else {
        let why = if let What::NotSnapshotted { why, .. } = what { why.as_str() } else { "" };
        ("environment.not_kept", format!("the environment could not be kept: {why}"))
    }
}

fn ready(environment: &EnvironmentId, isolation: &Isolation) -> String {
    let words = match isolation {
        Isolation::Sandboxed => "the sandbox is ready".into(),
        Isolation::Container { image, engine, lacks } => {
            let lacks = lacks.as_ref().map(|lacks| format!("; {lacks}")).unwrap_or_default();
            format!("the container of {image} is ready ({engine}){lacks}")
        }
        Isolation::None { why } => format!("NOT ISOLATED: {why}"),
    };
    if *environment == EnvironmentId::default() { words } else { format!("{environment}: {words}") }
}

/// What was asked beside an attempt, and what came of it.
fn beside(what: &What) -> (&'static str, String) {
    if let What::ProbeAsked { by, .. } = what {
        ("attempt.probing", format!("asking the probe, by {by}"))
    } else if let What::Verified { attempt, check } = what {
        ("attempt.verified", format!("attempt {}: {}", attempt.n, check.how))
    } else if let What::CheckpointsVerified { good, damaged, .. } = what {
        let whole =
            good.as_ref().map_or_else(|| "no checkpoint is good".into(), |good| format!("{} is good", good.path));
        ("checkpoint.verified", damaged_words(damaged, good.as_ref()).unwrap_or(whole))
    } else if let What::Probed { code: Some(code), .. } = what {
        ("attempt.probed", format!("the probe said {code}"))
    } else {
        ("attempt.probed", "the probe gave no answer".into())
    }
}

fn exited(n: u32, exit: &Exit) -> String {
    let ran = span_words(exit.ended.since(exit.started));
    let mut text = format!("attempt {} ended with {} after {ran}", n, exit_words(exit.end));
    match exit.stop {
        Some(StopReason::Timeout) => text.push_str(" (time limit)"),
        Some(StopReason::Stop) => text.push_str(" (stopped)"),
        Some(StopReason::Stall) => text.push_str(" (it stood still)"),
        Some(StopReason::Alert) => text.push_str(" (an alert)"),
        Some(StopReason::Unneeded) => text.push_str(" (nobody needs it any more)"),
        Some(StopReason::NotReady) => text.push_str(" (it did not become ready)"),
        None => {}
    }
    if let Some(outside) = exit.outside {
        text = format!("{text}: {}", crate::engine::outside_words(outside));
    }
    if !exit.leaked.is_empty() {
        text = format!("{text}; leaked {} process(es)", exit.leaked.len());
    }
    text
}

/// The lane that a question is about.
fn asked(run: &Run, id: EscalationId) -> Option<LaneId> {
    run.questions.get(&id).map(|question| question.escalation.lane.clone())
}

fn noted(note: Option<&str>) -> String {
    note.map(|note| format!(": {note}")).unwrap_or_default()
}

fn intended(n: u32, cause: &Cause, resume: Option<&str>) -> String {
    let why = match cause {
        Cause::First => String::new(),
        Cause::Retry { rule } => format!(" by rule \"{rule}\""),
        Cause::Disrupted => " because the container engine was started anew".into(),
        Cause::Unknown => " because the one before is not known to have happened".into(),
        Cause::Person(by) => format!(" by {by}"),
    };
    let from = resume.map(|path| format!(", from {path}")).unwrap_or_default();
    format!("attempt {n}{why}{from}")
}

fn judged(verdict: &Verdict) -> (&'static str, String) {
    match verdict {
        Verdict::Succeeded => ("step.succeeded", "succeeded".into()),
        Verdict::Skip { rule } => ("step.skipped", format!("left out, by rule \"{rule}\"")),
        Verdict::Retry { rule, resume, patch, .. } => {
            let from = resume.as_ref().map(|path| format!(", from {path}")).unwrap_or_default();
            let with = patch.as_ref().filter(|patch| !patch.is_empty());
            let with = with.map(|patch| format!(", with {}", patch.words())).unwrap_or_default();
            ("attempt.retry", format!("another attempt by rule \"{rule}\"{from}{with}"))
        }
        Verdict::Allowed => ("step.failed", "failed, which is allowed".into()),
        Verdict::Abort { rule } => ("step.failed", format!("failed; the run ends by rule \"{rule}\"")),
        Verdict::Stopped => ("step.stopped", "stopped".into()),
        Verdict::Answered => ("step.answered", "it was ended while it lived, as was answered".into()),
        Verdict::Ask { why: AskWhy::Failed { attempts, of, rule, because, .. } } => {
            let rule = rule.as_ref().map(|rule| format!(", rule \"{rule}\"")).unwrap_or_default();
            let because = if because.is_empty() { String::new() } else { format!(", for {because}") };
            ("step.failed", format!("failed (attempt {attempts} of {of}{rule}): a person decides{because}"))
        }
        Verdict::Ask { why: AskWhy::Unknown(_) } => ("step.unknown", "a person decides".into()),
    }
}

/// Why it cannot be known, in words.
fn lost(why: LostWhy) -> &'static str {
    match why {
        LostWhy::ShimDied => "its supervisor process was killed",
        LostWhy::HostRestarted => "the host was started anew",
        LostWhy::ClaimGone => "the record of its start is gone",
        LostWhy::EnvironmentGone => "its environment ended",
        LostWhy::Tampered => "its exit record is not authentic",
    }
}

fn skipped(why: &SkipWhy) -> String {
    match why {
        SkipWhy::Condition => "skipped: its `if` is false".into(),
        SkipWhy::Need(need) => format!("skipped: {need} did not succeed"),
        SkipWhy::NotSelected => "not selected".into(),
        SkipWhy::RunEnded => "skipped: the run ended".into(),
        SkipWhy::Unneeded => "skipped: nobody needs it".into(),
    }
}

fn ordered(order: Order) -> &'static str {
    match order {
        Order::Resume => "again from the newest checkpoint",
        Order::Retry => "again from the start",
        Order::Skip => "left out",
        Order::Done => "marked done",
    }
}

fn stopping(by: &Principal, why: &RunStopWhy) -> String {
    match why {
        RunStopWhy::Asked => format!("stopping, by {by}"),
        RunStopWhy::Timeout => "the run's time limit is reached: stopping".into(),
        RunStopWhy::Abort { rule } => format!("stopping by rule \"{rule}\""),
        RunStopWhy::Rejected => format!("rejected by {by}: stopping"),
    }
}

fn ended(result: RunResult) -> &'static str {
    match result {
        RunResult::Succeeded => "succeeded",
        RunResult::Failed => "failed",
        RunResult::Stopped => "stopped",
        RunResult::Rejected => "rejected",
    }
}
