//! The written record of a run: plain Markdown that says at any time what has happened so far. Pure.
//!
//! Invariant: whatever came from a step or a person is only shown: no text of theirs is Markdown, HTML or an order to a
//! terminal.

mod text;
mod words;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::engine::{LaneRun, Phase, Run};
use crate::model::{AttemptId, Check, Escalation, Event, Exit, LaneId, LostWhy, Verdict, What, span_words};

use text::{block, inline, iso};

/// How an attempt ended, as far as it has.
enum Close<'a> {
    Exit(&'a Exit),
    Lost(LostWhy, &'a [String]),
}

/// What the events say about one attempt.
#[derive(Default)]
struct Story<'a> {
    close: Option<Close<'a>>,
    /// What its `verify` said, where that is no success.
    check: Option<&'a Check>,
    verdict: Option<&'a Verdict>,
}

/// `record.md` of a run, of its state and its events in order.
pub fn record(run: &Run, events: &[(u64, Event)]) -> String {
    let stories = stories(events);
    let mut out = String::new();
    head(run, events, &mut out);
    steps(run, &stories, &mut out);
    troubles(run, &stories, &mut out);
    decisions(run, events, &mut out);
    timeline(run, events, &mut out);
    out
}

/// Adds a line. Writing to a text cannot fail.
fn line(out: &mut String, line: std::fmt::Arguments<'_>) {
    out.write_fmt(line).expect("a String takes all that is written");
    out.push('\n');
}

fn stories(events: &[(u64, Event)]) -> BTreeMap<AttemptId, Story<'_>> {
    let mut stories: BTreeMap<AttemptId, Story<'_>> = BTreeMap::new();
    for (_, event) in events {
        match &event.what {
            What::Exited { attempt, exit } => {
                let story = stories.entry(attempt.clone()).or_default();
                story.close.get_or_insert(Close::Exit(exit));
            }
            What::Lost { attempt, why, evidence, .. } => {
                let story = stories.entry(attempt.clone()).or_default();
                story.close.get_or_insert(Close::Lost(*why, evidence));
            }
            What::Verified { attempt, check } => {
                let story = stories.entry(attempt.clone()).or_default();
                story.check = Some(check.as_ref()).filter(|check| !check.how.is_good());
            }
            What::Judged { attempt, verdict } => {
                stories.entry(attempt.clone()).or_default().verdict = Some(verdict);
            }
            What::Created(_)
            | What::EnvironmentReady { .. }
            | What::EnvironmentFailed { .. }
            | What::Intended { .. }
            | What::CacheLooked { .. }
            | What::CannotStart { .. }
            | What::SecretsLost { .. }
            | What::SecretsGiven { .. }
            | What::Claimed { .. }
            | What::Noted { .. }
            | What::ClocksSet { .. }
            | What::Stalled { .. }
            | What::Revived { .. }
            | What::CheckpointSeen { .. }
            | What::Snapshotted { .. }
            | What::NotSnapshotted { .. }
            | What::Keeping { .. }
            | What::Booked { .. }
            | What::Looked { .. }
            | What::SnapshotMarked { .. }
            | What::StopAsked { .. }
            | What::ProbeAsked { .. }
            | What::Probed { .. }
            | What::CheckpointsVerified { .. }
            | What::CheckpointChecked { .. }
            | What::CheckpointMarked { .. }
            | What::CheckpointRemoved { .. }
            | What::Skipped { .. }
            | What::Opened { .. }
            | What::Answered { .. }
            | What::Held { .. }
            | What::Undone { .. }
            | What::Lasting { .. }
            | What::Extended { .. }
            | What::Attached { .. }
            | What::Detached { .. }
            | What::Ordered { .. }
            | What::Paused { .. }
            | What::Unpaused { .. }
            | What::RunStopAsked { .. }
            | What::Resumed { .. }
            | What::Ended { .. } => {}
        }
    }
    stories
}

fn head(run: &Run, events: &[(u64, Event)], out: &mut String) {
    line(out, format_args!("# {} #{}\n", inline(&run.workflow.name), run.number));
    if let Some(description) = &run.workflow.description {
        line(out, format_args!("{}\n", inline(description)));
    }
    line(out, format_args!("- state: **{}**", words::phase(run)));
    let by = inline(&run.by.to_string());
    line(out, format_args!("- begun: {} by {by}", iso(run.created)));
    let newest = events.last().map_or(run.created, |(_, event)| event.at);
    if let Phase::Ended { at, .. } = &run.phase {
        line(out, format_args!("- ended: {}, after {}", iso(*at), span_words(at.since(run.created))));
    } else {
        line(out, format_args!("- last event: {}", iso(newest)));
    }
    line(out, format_args!("- workspace: {}", inline(&run.workflow.environment.workspace)));
    if run.isolations.is_empty() {
        line(out, format_args!("- isolation: not known yet"));
    }
    for (name, isolation) in &run.isolations {
        let of = if run.workflow.environments.is_empty() { String::new() } else { format!(" of {name}") };
        line(out, format_args!("- isolation{of}: {}", words::isolation(isolation)));
    }
    for (name, value) in &run.workflow.params {
        line(out, format_args!("- parameter {} = {}", inline(name), inline(&value.to_string())));
    }
}

fn steps(run: &Run, stories: &BTreeMap<AttemptId, Story<'_>>, out: &mut String) {
    out.push_str("\n## Steps\n\n");
    out.push_str("| step | state | attempts | ran | end | newest checkpoint |\n");
    out.push_str("|---|---|---|---|---|---|\n");
    for lane in &run.lanes {
        let ran = ran(&lane.id, stories);
        let end = lane.last_exit.as_ref().map_or_else(String::new, |exit| words::end(exit.end));
        let row = [
            inline(&run.lane_name(&lane.id)),
            words::lane_state(run, lane),
            lane.n.to_string(),
            ran.map_or_else(String::new, span_words),
            end,
            checkpoint(lane),
        ];
        line(out, format_args!("| {} |", row.join(" | ")));
    }
}

/// How long all attempts of a lane ran that have ended.
fn ran(lane: &LaneId, stories: &BTreeMap<AttemptId, Story<'_>>) -> Option<Duration> {
    let own = stories.iter().filter(|(attempt, _)| attempt.lane == *lane);
    let spans = own.filter_map(|(_, story)| match &story.close {
        Some(Close::Exit(exit)) => Some(exit.ended.since(exit.started)),
        Some(Close::Lost(..)) | None => None,
    });
    spans.reduce(|sum, span| sum + span)
}

fn checkpoint(lane: &LaneRun) -> String {
    match &lane.checkpoint {
        Some(checkpoint) => match checkpoint.step {
            Some(step) => format!("{} at step {step}", inline(&checkpoint.path)),
            None => inline(&checkpoint.path),
        },
        None => String::new(),
    }
}

/// Each attempt that did not succeed, with its evidence.
fn troubles(run: &Run, stories: &BTreeMap<AttemptId, Story<'_>>, out: &mut String) {
    let failed = stories.iter().filter(|(_, story)| story.verdict != Some(&Verdict::Succeeded));
    for (nth, (attempt, story)) in failed.enumerate() {
        if nth == 0 {
            out.push_str("\n## Attempts that did not succeed\n");
        }
        let name = inline(&run.lane_name(&attempt.lane));
        line(out, format_args!("\n### {name}, attempt {}\n", attempt.n));
        match &story.close {
            Some(Close::Exit(exit)) => exit_lines(exit, out),
            Some(Close::Lost(why, _)) => {
                line(out, format_args!("- UNKNOWN: {}", words::lost(*why)));
            }
            None => {}
        }
        if let Some(check) = story.check {
            line(out, format_args!("- {}", check.how));
        }
        if let Some(verdict) = story.verdict {
            line(out, format_args!("- then: {}", words::verdict(verdict)));
        }
        let tail: &[String] = match &story.close {
            Some(Close::Exit(exit)) => story.check.map_or(&exit.tail, |check| &check.output),
            Some(Close::Lost(_, evidence)) => evidence,
            None => &[],
        };
        if !tail.is_empty() {
            out.push('\n');
            out.push_str(&block(tail.iter().map(String::as_str)));
        }
    }
}

fn exit_lines(exit: &Exit, out: &mut String) {
    let ran = span_words(exit.ended.since(exit.started));
    let stop = exit.stop.map_or_else(String::new, |reason| format!(" ({})", words::stop(reason)));
    line(out, format_args!("- {} after {ran}{stop}", words::end(exit.end)));
    if let Some(outside) = exit.outside {
        line(out, format_args!("- {}", crate::engine::outside_words(outside)));
    }
    for missing in &exit.missing {
        line(out, format_args!("- missing output: {}", inline(missing)));
    }
    for hit in &exit.hits {
        line(out, format_args!("- line {}: {}", hit.line_number, inline(&hit.line)));
    }
    if let Some(kills) = exit.oom_kills.filter(|kills| *kills > 0) {
        line(out, format_args!("- killed for memory in this environment meanwhile: {kills}"));
    }
    for (pid, name) in &exit.leaked {
        line(out, format_args!("- left behind: {} (pid {pid})", inline(name)));
    }
}

/// What people and rules decided, and what they were asked.
fn decisions(run: &Run, events: &[(u64, Event)], out: &mut String) {
    out.push_str("\n## Decisions\n\n");
    let mut any = false;
    let mut asked: BTreeMap<_, &Escalation> = BTreeMap::new();
    for (_, event) in events {
        let (what, by, note) = match &event.what {
            What::Opened { escalation } => {
                asked.insert(escalation.id, escalation);
                continue;
            }
            What::Answered { escalation, choice, by, note } => {
                let title = asked.remove(escalation).map_or_else(String::new, |asked| inline(&asked.title));
                (format!("{escalation}, {title}: **{}**", run.word(*choice)), by, note.as_ref())
            }
            What::Ordered { lane, order, by, note } => {
                let name = inline(&run.lane_name(lane));
                (format!("{name}: **{}**", words::order(*order)), by, note.as_ref())
            }
            What::Created(_)
            | What::EnvironmentReady { .. }
            | What::EnvironmentFailed { .. }
            | What::Intended { .. }
            | What::CacheLooked { .. }
            | What::CannotStart { .. }
            | What::SecretsLost { .. }
            | What::SecretsGiven { .. }
            | What::Claimed { .. }
            | What::Noted { .. }
            | What::ClocksSet { .. }
            | What::Stalled { .. }
            | What::Revived { .. }
            | What::CheckpointSeen { .. }
            | What::Snapshotted { .. }
            | What::NotSnapshotted { .. }
            | What::Keeping { .. }
            | What::Booked { .. }
            | What::Looked { .. }
            | What::SnapshotMarked { .. }
            | What::Exited { .. }
            | What::Lost { .. }
            | What::Judged { .. }
            | What::StopAsked { .. }
            | What::ProbeAsked { .. }
            | What::Probed { .. }
            | What::Verified { .. }
            | What::CheckpointsVerified { .. }
            | What::CheckpointChecked { .. }
            | What::CheckpointMarked { .. }
            | What::CheckpointRemoved { .. }
            | What::Skipped { .. }
            | What::Held { .. }
            | What::Undone { .. }
            | What::Lasting { .. }
            | What::Extended { .. }
            | What::Attached { .. }
            | What::Detached { .. }
            | What::Paused { .. }
            | What::Unpaused { .. }
            | What::RunStopAsked { .. }
            | What::Resumed { .. }
            | What::Ended { .. } => continue,
        };
        any = true;
        let note = note.map_or_else(String::new, |note| format!(": {}", inline(note)));
        line(out, format_args!("- {} {what}, by {}{note}", iso(event.at), inline(&by.to_string())));
    }
    let open = run.questions.values().filter(|question| question.answer.is_none());
    for question in open {
        any = true;
        let asked = &question.escalation;
        let choices: Vec<_> = asked.choices.iter().map(|choice| run.word(*choice)).collect();
        let title = inline(&asked.title);
        line(out, format_args!("- **open**: {}, {title} ({})", asked.id, choices.join(", ")));
    }
    if !any {
        out.push_str("None.\n");
    }
}

fn timeline(run: &Run, events: &[(u64, Event)], out: &mut String) {
    out.push_str("\n## Timeline\n\n");
    for (_, event) in events {
        if let Some(words) = words::event(run, event) {
            line(out, format_args!("- {} {words}", iso(event.at)));
        }
    }
}
