//! How events are stored: versioned mirrors of [`crate::model::What`]. A field is never renamed or given a second meaning;
//! a new one has a default. Owns the text in the `body` column and nothing else.

use std::sync::Arc;

use crate::model::{
    self, AttemptId, EnvironmentId, EscalationId, Isolation, Lane, LaneId, RunId, Selection, SkipWhy, StepId, Time,
    What, Workflow,
};

pub(super) mod cache;
mod check;
mod diagnosis;
mod stall;
mod stored;
mod verdict;

use stored::{
    At, Checkpoint, LaneAt, Stored, StoredContainer, StoredDamaged, StoredEscalation, StoredExit, StoredLooked,
    StoredSelection, StoredSkip, StoredUsage,
};

/// Why a stored event cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("not the JSON that this version of dogwatch writes: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Id(#[from] model::BadId),
    #[error("{0}")]
    Workflow(String),
}

fn lane_at(lane: &LaneId) -> LaneAt {
    LaneAt { step: lane.step.to_string(), lane: lane.lane.0 }
}

fn at(attempt: &AttemptId) -> At {
    At { step: attempt.lane.step.to_string(), lane: attempt.lane.lane.0, n: attempt.n }
}

fn stored_checkpoint(checkpoint: &model::Checkpoint) -> Checkpoint {
    Checkpoint { path: checkpoint.path.clone(), step: checkpoint.step, metrics: checkpoint.metrics.clone() }
}

fn write_damaged(damaged: &model::Damaged) -> StoredDamaged {
    StoredDamaged { checkpoint: stored_checkpoint(&damaged.checkpoint), why: damaged.why.clone() }
}

impl StoredDamaged {
    fn read(self) -> model::Damaged {
        model::Damaged { checkpoint: self.checkpoint.read(), why: self.why }
    }
}

impl LaneAt {
    fn read(self) -> Result<LaneId, Unreadable> {
        Ok(LaneId { step: StepId::new(&self.step)?, lane: Lane(self.lane) })
    }
}

impl At {
    fn read(self, run: &RunId) -> Result<AttemptId, Unreadable> {
        let lane = LaneAt { step: self.step, lane: self.lane }.read()?;
        Ok(AttemptId { run: run.clone(), lane, n: self.n })
    }
}

impl StoredLooked {
    fn read(self, run: &RunId) -> Result<What, Unreadable> {
        let Self { at, good, given_up, seen } = self;
        Ok(What::Looked { attempt: at.read(run)?, good, given_up, seen })
    }
}

impl Checkpoint {
    fn read(self) -> model::Checkpoint {
        model::Checkpoint { path: self.path, step: self.step, metrics: self.metrics }
    }
}

/// The stable word of an event: the `kind` column.
pub(super) fn kind(what: &What) -> &'static str {
    match what {
        What::Created(_) => "created",
        What::EnvironmentReady { .. } => "environment_ready",
        What::EnvironmentFailed { .. } => "environment_failed",
        What::Intended { .. } => "intended",
        What::CacheLooked { .. } => "cache_looked",
        What::CannotStart { .. } => "cannot_start",
        What::SecretsLost { .. } => "secrets_lost",
        What::SecretsGiven { .. } => "secrets_given",
        What::Claimed { .. } => "claimed",
        What::CheckpointSeen { .. } => "checkpoint_seen",
        What::Snapshotted { .. } => "snapshotted",
        What::NotSnapshotted { .. } => "not_snapshotted",
        What::Noted { .. } => "noted",
        What::ClocksSet { .. } => "clocks_set",
        What::Stalled { .. } => "stalled",
        What::Revived { .. } => "revived",
        What::Keeping { .. } => "keeping",
        What::Booked { .. } => "booked",
        What::Looked { .. } => "looked",
        What::SnapshotMarked { .. } => "snapshot_marked",
        What::Exited { .. } => "exited",
        What::Lost { .. } => "lost",
        What::Judged { .. } => "judged",
        What::StopAsked { .. } => "stop_asked",
        What::ProbeAsked { .. } => "probe_asked",
        What::Probed { .. } => "probed",
        What::Verified { .. } => "verified",
        What::CheckpointsVerified { .. } => "checkpoints_verified",
        What::CheckpointChecked { .. } => "checkpoint_checked",
        What::CheckpointMarked { .. } => "checkpoint_marked",
        What::CheckpointRemoved { .. } => "checkpoint_removed",
        What::Skipped { .. } => "skipped",
        What::Opened { .. } => "opened",
        What::Answered { .. } => "answered",
        What::Held { .. } => "held",
        What::Undone { .. } => "undone",
        What::Lasting { .. } => "lasting",
        What::Extended { .. } => "extended",
        What::Attached { .. } => "attached",
        What::Detached { .. } => "detached",
        What::Ordered { .. } => "ordered",
        What::Paused { .. } => "paused",
        What::Unpaused { .. } => "unpaused",
        What::RunStopAsked { .. } => "run_stop_asked",
        What::Resumed { .. } => "resumed",
        What::Ended { .. } => "ended",
    }
}

/// The text of an event's `body` column.
#[expect(clippy::too_many_lines, reason = "it is a table: one line for each event")]
pub(super) fn write(what: &What) -> Result<String, Unreadable> {
    let stored = match what {
        What::Created(created) => Stored::Created {
            number: created.number,
            dir: created.dir.clone(),
            selection: write_selection(&created.selection),
            env: created.env.clone(),
            by: (&created.by).into(),
            no_cache: created.no_cache,
        },
        What::EnvironmentReady { environment, isolation } => write_ready(environment, isolation),
        What::EnvironmentFailed { environment, why } => {
            Stored::EnvironmentFailed { why: why.clone(), environment: Some(environment.to_string()) }
        }
        What::Intended { attempt, cause, resume } => {
            Stored::Intended { at: at(attempt), cause: cause.into(), resume: resume.clone() }
        }
        What::CacheLooked { lane, look } => Stored::CacheLooked { lane: lane_at(lane), look: cache::write_look(look) },
        What::CannotStart { lane, why } => Stored::CannotStart { lane: lane_at(lane), why: why.clone() },
        What::SecretsLost { lane, names } => Stored::SecretsLost { lane: lane_at(lane), names: names.clone() },
        What::SecretsGiven { names, by } => Stored::SecretsGiven { names: names.clone(), by: by.into() },
        What::Claimed { attempt } => Stored::Claimed { at: at(attempt) },
        What::CheckpointSeen { attempt, checkpoint, offset } => {
            Stored::CheckpointSeen { at: at(attempt), checkpoint: stored_checkpoint(checkpoint), offset: *offset }
        }
        What::Snapshotted { attempt, snapshot } => {
            Stored::Snapshotted { at: at(attempt), image: snapshot.image.clone(), bytes: snapshot.bytes }
        }
        What::Noted { attempt, note, offset } => Stored::Noted { at: at(attempt), note: note.clone(), offset: *offset },
        What::ClocksSet { attempt, order, by } => {
            Stored::ClocksSet { at: at(attempt), order: stall::write_order(*order), by: by.into() }
        }
        What::Stalled { attempt, stall } => Stored::Stalled { at: at(attempt), stall: Box::new(stall::write(stall)) },
        What::Revived { attempt } => Stored::Revived { at: at(attempt) },
        What::Keeping { attempt } => Stored::Keeping { at: at(attempt) },
        What::Booked { attempt, gpus } => Stored::Booked { at: at(attempt), gpus: gpus.clone() },
        What::Looked { attempt, good, given_up, seen } => {
            Stored::Looked(StoredLooked { at: at(attempt), good: *good, given_up: *given_up, seen: seen.clone() })
        }
        What::NotSnapshotted { attempt, why } => Stored::NotSnapshotted { at: at(attempt), why: why.clone() },
        What::SnapshotMarked { attempt, mark, by } => {
            Stored::SnapshotMarked { at: at(attempt), mark: mark.into(), by: by.into() }
        }
        What::Exited { attempt, exit } => Stored::Exited { at: at(attempt), exit: Box::new(write_exit(exit)) },
        What::Lost { attempt, why, evidence, checkpoint } => Stored::Lost {
            at: at(attempt),
            why: why.into(),
            evidence: evidence.clone(),
            checkpoint: checkpoint.as_ref().map(stored_checkpoint),
        },
        What::Judged { attempt, verdict } => Stored::Judged { at: at(attempt), verdict: verdict::write(verdict) },
        What::StopAsked { attempt, reason, by, save } => {
            Stored::StopAsked { at: at(attempt), reason: reason.into(), by: by.into(), save: *save }
        }
        What::ProbeAsked { attempt, by } => Stored::ProbeAsked { at: at(attempt), by: by.into() },
        What::Probed { attempt, code, output } => {
            Stored::Probed { at: at(attempt), code: *code, output: output.clone() }
        }
        What::Verified { attempt, check } => Stored::Verified { at: at(attempt), check: Box::new(check::write(check)) },
        What::CheckpointsVerified { attempt, good, damaged, digest } => Stored::CheckpointsVerified {
            at: at(attempt),
            good: good.as_ref().map(stored_checkpoint),
            damaged: damaged.iter().map(write_damaged).collect(),
            digest: digest.clone(),
        },
        What::CheckpointChecked { lane, checkpoint, flaw, digest } => Stored::CheckpointChecked {
            lane: lane_at(lane),
            checkpoint: stored_checkpoint(checkpoint),
            flaw: flaw.clone(),
            digest: digest.clone(),
        },
        What::CheckpointMarked { lane, path, mark, by } => {
            Stored::CheckpointMarked { lane: lane_at(lane), path: path.clone(), mark: mark.into(), by: by.into() }
        }
        What::CheckpointRemoved { lane, path, why } => {
            Stored::CheckpointRemoved { lane: lane_at(lane), path: path.clone(), why: why.clone() }
        }
        What::Skipped { lane, why } => Stored::Skipped { lane: lane_at(lane), why: write_skip(why) },
        What::Opened { escalation } => Stored::Opened(Box::new(write_escalation(escalation))),
        What::Answered { escalation, choice, by, note } => {
            Stored::Answered { escalation: escalation.0, choice: choice.into(), by: by.into(), note: note.clone() }
        }
        What::Held { escalation, choice, by, note, until } => Stored::Held {
            escalation: escalation.0,
            choice: choice.into(),
            by: by.into(),
            note: note.clone(),
            until_ms: until.as_ms(),
        },
        What::Undone { escalation, by } => Stored::Undone { escalation: escalation.0, by: by.into() },
        What::Lasting { escalation, by } => Stored::Lasting { escalation: escalation.0, by: by.into() },
        What::Extended { escalation, deadline, by } => {
            Stored::Extended { escalation: escalation.0, deadline_ms: deadline.as_ms(), by: by.into() }
        }
        What::Attached { attempt, by } => Stored::Attached { at: at(attempt), by: by.into() },
        What::Detached { attempt, by, keys } => Stored::Detached { at: at(attempt), by: by.into(), keys: *keys },
        What::Ordered { lane, order, by, note } => {
            Stored::Ordered { lane: lane_at(lane), order: order.into(), by: by.into(), note: note.clone() }
        }
        What::Paused { by } => Stored::Paused { by: by.into() },
        What::Unpaused { by } => Stored::Unpaused { by: by.into() },
        What::RunStopAsked { by, why } => Stored::RunStopAsked { by: by.into(), why: why.into() },
        What::Resumed { from, by } => Stored::Resumed { from: from.as_ref().map(ToString::to_string), by: by.into() },
        What::Ended { result } => Stored::Ended { result: result.into() },
    };
    Ok(serde_json::to_string(&stored)?)
}

fn read_isolation(sandboxed: bool, why: Option<String>, container: Option<StoredContainer>) -> Isolation {
    match container {
        Some(StoredContainer { image, engine, lacks }) => Isolation::Container { image, engine, lacks },
        None if sandboxed => Isolation::Sandboxed,
        None => Isolation::None { why: why.unwrap_or_default() },
    }
}

/// The event of a `body` column. `workflow` gives the run's frozen workflow; it is asked for the first event only.
#[expect(clippy::too_many_lines, reason = "it is a table: one line for each event")]
pub(super) fn read(
    run: &RunId,
    body: &str,
    workflow: &dyn Fn() -> Result<Arc<Workflow>, String>,
) -> Result<What, Unreadable> {
    Ok(match serde_json::from_str(body)? {
        Stored::Created { number, dir, selection, env, by, no_cache } => What::Created(Box::new(model::Created {
            number,
            workflow: workflow().map_err(Unreadable::Workflow)?,
            dir,
            selection: read_selection(selection)?,
            env,
            by: by.into(),
            no_cache,
        })),
        Stored::EnvironmentReady { sandboxed, why, container, environment } => What::EnvironmentReady {
            environment: environment_named(environment)?,
            isolation: read_isolation(sandboxed, why, container),
        },
        Stored::EnvironmentFailed { why, environment } => {
            What::EnvironmentFailed { environment: environment_named(environment)?, why }
        }
        Stored::Intended { at, cause, resume } => {
            What::Intended { attempt: at.read(run)?, cause: cause.into(), resume }
        }
        Stored::CacheLooked { lane, look } => {
            What::CacheLooked { lane: lane.read()?, look: Box::new(cache::read_look(*look)) }
        }
        Stored::CannotStart { lane, why } => What::CannotStart { lane: lane.read()?, why },
        Stored::SecretsLost { lane, names } => What::SecretsLost { lane: lane.read()?, names },
        Stored::SecretsGiven { names, by } => What::SecretsGiven { names, by: by.into() },
        Stored::Claimed { at } => What::Claimed { attempt: at.read(run)? },
        Stored::CheckpointSeen { at, checkpoint, offset } => {
            What::CheckpointSeen { attempt: at.read(run)?, checkpoint: checkpoint.read(), offset }
        }
        Stored::Snapshotted { at, image, bytes } => {
            What::Snapshotted { attempt: at.read(run)?, snapshot: model::Snapshot { image, bytes } }
        }
        Stored::Noted { at, note, offset } => What::Noted { attempt: at.read(run)?, note, offset },
        Stored::ClocksSet { at, order, by } => {
            What::ClocksSet { attempt: at.read(run)?, order: stall::read_order(order), by: by.into() }
        }
        Stored::Stalled { at, stall } => What::Stalled { attempt: at.read(run)?, stall: Box::new(stall::read(*stall)) },
        Stored::Revived { at } => What::Revived { attempt: at.read(run)? },
        Stored::Keeping { at } => What::Keeping { attempt: at.read(run)? },
        Stored::Booked { at, gpus } => What::Booked { attempt: at.read(run)?, gpus },
        Stored::Looked(seen) => seen.read(run)?,
        Stored::NotSnapshotted { at, why } => What::NotSnapshotted { attempt: at.read(run)?, why },
        Stored::SnapshotMarked { at, mark, by } => {
            What::SnapshotMarked { attempt: at.read(run)?, mark: mark.into(), by: by.into() }
        }
        Stored::Exited { at, exit } => What::Exited { attempt: at.read(run)?, exit: Box::new(read_exit(*exit)) },
        Stored::Lost { at, why, evidence, checkpoint } => What::Lost {
            attempt: at.read(run)?,
            why: why.into(),
            evidence,
            checkpoint: checkpoint.map(Checkpoint::read),
        },
        Stored::Judged { at, verdict } => What::Judged { attempt: at.read(run)?, verdict: verdict::read(verdict) },
        Stored::StopAsked { at, reason, by, save } => {
            What::StopAsked { attempt: at.read(run)?, reason: reason.into(), by: by.into(), save }
        }
        Stored::ProbeAsked { at, by } => What::ProbeAsked { attempt: at.read(run)?, by: by.into() },
        Stored::Probed { at, code, output } => What::Probed { attempt: at.read(run)?, code, output },
        Stored::Verified { at, check } => {
            What::Verified { attempt: at.read(run)?, check: Box::new(check::read(*check)) }
        }
        Stored::CheckpointsVerified { at, good, damaged, digest } => What::CheckpointsVerified {
            attempt: at.read(run)?,
            good: good.map(Checkpoint::read),
            damaged: damaged.into_iter().map(StoredDamaged::read).collect(),
            digest,
        },
        Stored::CheckpointChecked { lane, checkpoint, flaw, digest } => {
            What::CheckpointChecked { lane: lane.read()?, checkpoint: checkpoint.read(), flaw, digest }
        }
        Stored::CheckpointMarked { lane, path, mark, by } => {
            What::CheckpointMarked { lane: lane.read()?, path, mark: mark.into(), by: by.into() }
        }
        Stored::CheckpointRemoved { lane, path, why } => What::CheckpointRemoved { lane: lane.read()?, path, why },
        Stored::Skipped { lane, why } => What::Skipped { lane: lane.read()?, why: read_skip(why)? },
        Stored::Opened(escalation) => What::Opened { escalation: Box::new(read_escalation(run, *escalation)?) },
        Stored::Answered { escalation, choice, by, note } => {
            What::Answered { escalation: EscalationId(escalation), choice: choice.into(), by: by.into(), note }
        }
        Stored::Held { escalation, choice, by, note, until_ms } => What::Held {
            escalation: EscalationId(escalation),
            choice: choice.into(),
            by: by.into(),
            note,
            until: Time::from_ms(until_ms),
        },
        Stored::Undone { escalation, by } => What::Undone { escalation: EscalationId(escalation), by: by.into() },
        Stored::Lasting { escalation, by } => What::Lasting { escalation: EscalationId(escalation), by: by.into() },
        Stored::Extended { escalation, deadline_ms, by } => {
            What::Extended { escalation: EscalationId(escalation), deadline: Time::from_ms(deadline_ms), by: by.into() }
        }
        Stored::Attached { at, by } => What::Attached { attempt: at.read(run)?, by: by.into() },
        Stored::Detached { at, by, keys } => What::Detached { attempt: at.read(run)?, by: by.into(), keys },
        Stored::Ordered { lane, order, by, note } => {
            What::Ordered { lane: lane.read()?, order: order.into(), by: by.into(), note }
        }
        Stored::Paused { by } => What::Paused { by: by.into() },
        Stored::Unpaused { by } => What::Unpaused { by: by.into() },
        Stored::RunStopAsked { by, why } => What::RunStopAsked { by: by.into(), why: why.into() },
        Stored::Resumed { from, by } => {
            What::Resumed { from: from.map(|from| StepId::new(&from)).transpose()?, by: by.into() }
        }
        Stored::Ended { result } => What::Ended { result: result.into() },
    })
}

/// Events of older versions do not say which one: there was one then.
fn environment_named(name: Option<String>) -> Result<EnvironmentId, Unreadable> {
    Ok(name.map(|name| EnvironmentId::new(&name)).transpose()?.unwrap_or_default())
}

fn write_ready(environment: &EnvironmentId, isolation: &Isolation) -> Stored {
    let (sandboxed, why, container) = match isolation {
        Isolation::Sandboxed => (true, None, None),
        Isolation::Container { image, engine, lacks } => {
            let (image, engine, lacks) = (image.clone(), engine.clone(), lacks.clone());
            (true, None, Some(StoredContainer { image, engine, lacks }))
        }
        Isolation::None { why } => (false, Some(why.clone()), None),
    };
    Stored::EnvironmentReady { sandboxed, why, container, environment: Some(environment.to_string()) }
}

fn write_selection(selection: &Selection) -> StoredSelection {
    match selection {
        Selection::All => StoredSelection::All,
        Selection::Only(steps) => StoredSelection::Only(steps.iter().map(ToString::to_string).collect()),
        Selection::From(step) => StoredSelection::From(step.to_string()),
    }
}

fn read_selection(selection: StoredSelection) -> Result<Selection, Unreadable> {
    Ok(match selection {
        StoredSelection::All => Selection::All,
        StoredSelection::Only(steps) => {
            Selection::Only(steps.iter().map(|step| StepId::new(step)).collect::<Result<_, _>>()?)
        }
        StoredSelection::From(step) => Selection::From(StepId::new(&step)?),
    })
}

fn write_skip(why: &SkipWhy) -> StoredSkip {
    match why {
        SkipWhy::Condition => StoredSkip::Condition,
        SkipWhy::Need(step) => StoredSkip::Need(step.to_string()),
        SkipWhy::NotSelected => StoredSkip::NotSelected,
        SkipWhy::RunEnded => StoredSkip::RunEnded,
        SkipWhy::Unneeded => StoredSkip::Unneeded,
    }
}

fn read_skip(why: StoredSkip) -> Result<SkipWhy, Unreadable> {
    Ok(match why {
        StoredSkip::Condition => SkipWhy::Condition,
        StoredSkip::Need(step) => SkipWhy::Need(StepId::new(&step)?),
        StoredSkip::NotSelected => SkipWhy::NotSelected,
        StoredSkip::RunEnded => SkipWhy::RunEnded,
        StoredSkip::Unneeded => SkipWhy::Unneeded,
    })
}

fn write_exit(exit: &model::Exit) -> StoredExit {
    StoredExit {
        end: (&exit.end).into(),
        started_ms: exit.started.as_ms(),
        ended_ms: exit.ended.as_ms(),
        stop: exit.stop.as_ref().map(Into::into),
        leaked: exit.leaked.clone(),
        oom_kills: exit.oom_kills,
        usage: exit.usage.map(|usage| StoredUsage { cpu_ms: usage.cpu_ms, peak_bytes: usage.peak_bytes }),
        missing: exit.missing.clone(),
        hits: exit.hits.iter().map(check::write_hit).collect(),
        tail: exit.tail.clone(),
        checkpoint: exit.checkpoint.as_ref().map(stored_checkpoint),
        damaged: exit.damaged.iter().map(write_damaged).collect(),
        outside: exit.outside.as_ref().map(Into::into),
        diagnosis: exit.diagnosis.as_deref().map(diagnosis::write).map(Box::new),
        made: exit.made.as_ref().map(cache::write_result),
        numbers: cache::write_numbers(&exit.numbers),
    }
}

fn read_exit(exit: StoredExit) -> model::Exit {
    model::Exit {
        end: exit.end.into(),
        started: Time::from_ms(exit.started_ms),
        ended: Time::from_ms(exit.ended_ms),
        stop: exit.stop.map(Into::into),
        leaked: exit.leaked,
        oom_kills: exit.oom_kills,
        usage: exit.usage.map(|usage| model::Usage { cpu_ms: usage.cpu_ms, peak_bytes: usage.peak_bytes }),
        missing: exit.missing,
        hits: exit.hits.into_iter().map(check::read_hit).collect(),
        tail: exit.tail,
        checkpoint: exit.checkpoint.map(Checkpoint::read),
        damaged: exit.damaged.into_iter().map(StoredDamaged::read).collect(),
        outside: exit.outside.map(Into::into),
        diagnosis: exit.diagnosis.map(|said| Box::new(diagnosis::read(*said))),
        made: exit.made.map(cache::read_result),
        // Told by an event of its own.
        verify: None,
        numbers: cache::read_numbers(exit.numbers),
    }
}

fn write_escalation(escalation: &model::Escalation) -> StoredEscalation {
    StoredEscalation {
        id: escalation.id.0,
        lane: lane_at(&escalation.lane),
        attempt: escalation.attempt.as_ref().map(|attempt| attempt.n),
        kind: (&escalation.kind).into(),
        title: escalation.title.clone(),
        evidence: escalation.evidence.clone(),
        matched: escalation.matched,
        fingerprint: escalation.fingerprint.clone(),
        proposal: escalation.proposal.as_deref().map(|proposal| Box::new(verdict::write_proposal(proposal))),
        choices: escalation.choices.iter().map(Into::into).collect(),
        deadline_ms: escalation.deadline.map(Time::as_ms),
        on_deadline: escalation.on_deadline.as_ref().map(Into::into),
        typed: escalation.typed,
    }
}

fn read_escalation(run: &RunId, stored: StoredEscalation) -> Result<model::Escalation, Unreadable> {
    let lane = stored.lane.read()?;
    Ok(model::Escalation {
        id: EscalationId(stored.id),
        attempt: stored.attempt.map(|n| AttemptId { run: run.clone(), lane: lane.clone(), n }),
        lane,
        kind: stored.kind.into(),
        title: stored.title,
        evidence: stored.evidence,
        matched: stored.matched,
        fingerprint: stored.fingerprint,
        proposal: stored.proposal.map(|proposal| Box::new(verdict::read_proposal(*proposal))),
        choices: stored.choices.into_iter().map(Into::into).collect(),
        deadline: stored.deadline_ms.map(Time::from_ms),
        on_deadline: stored.on_deadline.map(Into::into),
        typed: stored.typed,
    })
}

#[cfg(test)]
mod tests;
