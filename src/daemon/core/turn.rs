//! One turn of the loop: facts are staged, decisions follow, one transaction holds them all, then everybody is told. Hands
//! nothing out before it is committed.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::oneshot;

use super::fold::fold;
use super::{After, Core, Input, scribe};
use crate::daemon::rebuild::folder;
use crate::daemon::requests::{self, Answer};
use crate::faults::{crash_point, mutant};
use crate::journal::{self, NewNotice, Of, RunRow};
use crate::model::{Command, Event, RunId, What};

/// What one turn of the loop gathers before it commits.
#[derive(Default)]
pub(super) struct Turn {
    pub(super) events: Vec<Event>,
    pub(super) rows: Vec<RunRow>,
    pub(super) answers: Vec<(oneshot::Sender<Answer>, Answer)>,
    /// Answers that record nothing: given also when nothing can be recorded.
    pub(super) looks: Vec<(oneshot::Sender<Answer>, Answer)>,
    /// What gives its answer itself, once the events are committed.
    pub(super) after: Vec<(oneshot::Sender<Answer>, After)>,
}

impl Core {
    pub(super) fn stage(&mut self, events: Vec<Event>, turn: &mut Turn) {
        // What could not be written the last time comes first: else the same could be told once more beside it.
        let untold = std::mem::take(&mut self.pending);
        for event in untold.into_iter().chain(events) {
            if !self.engine.knows(&event.what) {
                if let What::Exited { attempt, .. } | What::Lost { attempt, .. } = &event.what {
                    self.space.recorded(attempt);
                }
                self.engine.apply(&event);
                turn.events.push(event);
            }
        }
    }

    /// Decides, commits, answers, hands out.
    pub(super) fn turn(&mut self, mut turn: Turn) {
        let now = self.parts.clock.now();
        let mut events = std::mem::take(&mut self.pending);
        for event in &events {
            self.engine.apply(event);
        }
        events.append(&mut turn.events);
        let effects = loop {
            let commands = self.engine.owed(now);
            if !matches!(commands.first(), Some(Command::Record(_))) {
                break commands;
            }
            for command in commands {
                if let Command::Record(event) = command {
                    self.engine.apply(&event);
                    events.push(event);
                }
            }
        };
        if mutant("start_before_intent") {
            self.hand_out(&effects);
            // Long enough for the hands to have done it.
            crate::clock::pause(Duration::from_millis(300));
        }
        let notices = self.notices_of(&events);
        let committed = self.commit(&events, &turn.rows, &notices);
        for (answer, reply) in turn.looks.drain(..) {
            drop(answer.send(reply));
        }
        match committed {
            Ok(()) => {
                for (answer, reply) in turn.answers {
                    drop(answer.send(reply));
                }
                for (answer, job) in turn.after {
                    job(answer);
                }
                self.learn(&events);
                self.tell_watched();
                self.hand_out(&effects);
                self.close_left();
                self.look_at_outbox();
            }
            Err(error) => self.uncommitted(&error, events, turn),
        }
    }

    fn commit(&mut self, events: &[Event], rows: &[RunRow], notices: &[(Of, NewNotice)]) -> Result<(), journal::Error> {
        if events.is_empty() {
            if self.space.is_refused() {
                self.journal.probe()?;
                self.space.works_again();
            }
            return Ok(());
        }
        if !notices.is_empty() {
            crash_point("notice.before-owed");
        }
        crash_point("journal.before-commit");
        let seq = self.journal.commit(events, rows, notices)?;
        crash_point("journal.after-commit");
        self.space.works_again();
        if !notices.is_empty() {
            crash_point("notice.after-owed");
            self.wake_outbox();
        }
        for event in events {
            self.unwritten.insert(event.run.clone());
            if let Some(run) = self.engine.run(&event.run) {
                folder::note(std::path::Path::new(&run.dir), event);
            }
        }
        self.parts.changed.send_replace(seq);
        if !self.writing {
            self.writing = true;
            self.parts.tell_after(scribe::OFTEN, Input::WriteRecords);
        }
        Ok(())
    }

    /// The transaction left no trace: the mind is folded anew, facts are kept, who asked is told.
    fn uncommitted(&mut self, error: &journal::Error, events: Vec<Event>, turn: Turn) {
        if matches!(error, journal::Error::Fenced { .. }) {
            tracing::error!("{error}");
            self.stopping = true;
            return;
        }
        self.rest_outbox();
        self.space.refused(format!("{error}; nothing new starts until it works again, what runs goes on"));
        for (answer, _) in turn.answers {
            drop(answer.send(requests::internal(error)));
        }
        for (answer, _) in turn.after {
            drop(answer.send(requests::internal(error)));
        }
        let new: BTreeSet<&RunId> = turn.rows.iter().map(|row| &row.id).collect();
        for run in &new {
            self.parts.vault.forget(run);
        }
        self.pending = events.into_iter().filter(|event| is_fact(&event.what) && !new.contains(&event.run)).collect();
        match fold(&self.journal, self.parts.host) {
            Ok(engine) => self.engine = engine,
            Err(error) => {
                // What is in memory may hold decisions that are nowhere written: nothing may follow from them.
                tracing::error!("the journal cannot be read back: {error}; the engine ends, steps go on");
                self.stopping = true;
            }
        }
    }
}

/// Facts are kept when they cannot be committed; decisions are made again.
fn is_fact(what: &What) -> bool {
    matches!(
        what,
        What::Claimed { .. }
            | What::CacheLooked { .. }
            | What::CheckpointSeen { .. }
            | What::Noted { .. }
            | What::Revived { .. }
            | What::Looked { .. }
            | What::Snapshotted { .. }
            | What::NotSnapshotted { .. }
            | What::Keeping { .. }
            | What::Exited { .. }
            | What::Lost { .. }
            | What::Probed { .. }
            | What::Verified { .. }
            | What::CheckpointsVerified { .. }
            | What::CheckpointChecked { .. }
            | What::CheckpointRemoved { .. }
            | What::EnvironmentReady { .. }
            | What::EnvironmentFailed { .. }
            | What::SecretsLost { .. }
            | What::Detached { .. }
    )
}
