//! Telling people outside: what is owed is written with its event, sent off the loop, tried again, and recorded.
//!
//! Invariants: a notice is handed to [`send`] only after the transaction that holds it; the loop never waits for anybody
//! who is told; at most [`AT_ONCE`] are told at once, and one at a time by each target.

mod command;
mod send;

use std::collections::HashMap;
use std::time::Duration;

use super::core::{Core, Input};
use crate::faults::crash_point;
use crate::journal::{Change, NewNotice, NoticeRow, NoticeState, Of, Outcome};
use crate::model::{EscalationId, Event, Time};
use crate::report::notice::{self, Notice, clean};
use send::Message;

pub use send::trial;
pub(super) use send::{summary, target_words};

/// Notices on their way at once.
const AT_ONCE: usize = 8;
/// Rows that are looked at in one round.
const MOST: usize = 1000;
/// How long after each try that failed the next one follows; none after the last.
const AGAIN: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(15), Duration::from_secs(5 * 60), Duration::from_secs(55 * 60)];
/// How long the outbox rests when the journal cannot be written.
const REST: Duration = Duration::from_secs(1);

/// What the loop keeps of the outbox.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// When to look at it again; what is on its way tells by itself.
    next: Option<Time>,
    /// On its way, by row, and to whom.
    flying: HashMap<i64, String>,
    /// How tries ended that could not be written yet.
    unwritten: Vec<Outcome>,
}

impl Outbox {
    /// One that is looked at at once.
    pub(super) fn new(now: Time) -> Self {
        Self { next: Some(now), ..Self::default() }
    }

    /// When the loop is to look.
    pub(super) fn next(&self) -> Option<Time> {
        self.next
    }
}

impl Core {
    /// The notices of events that are about to be committed and have been applied.
    pub(super) fn notices_of(&self, events: &[Event]) -> Vec<(Of, NewNotice)> {
        let mut all: Vec<(Of, NewNotice)> = Vec::new();
        for (place, event) in events.iter().enumerate() {
            let Some(run) = self.engine.run(&event.run).filter(|run| !run.workflow.notify.is_empty()) else { continue };
            let told = |rule: usize, print: &str| {
                let same = |new: &&NewNotice| {
                    new.run == run.id && new.rule == rule && new.fingerprint == print && new.state == NoticeState::Due
                };
                let mut ids: Vec<u64> =
                    all.iter().map(|(_, new)| new).filter(same).filter_map(|new| new.escalation).collect();
                // What cannot be read is rather told twice than not at all.
                ids.extend(self.journal.read().told(&run.id, rule, print).unwrap_or_default());
                ids
            };
            let new: Vec<NewNotice> = notice::owed(run, event, told)
                .into_iter()
                .filter_map(|owed| {
                    let rule = run.workflow.notify.get(owed.rule)?;
                    let target = send::address(&rule.to, &run.workflow.environment.workspace);
                    let state = if owed.joined { NoticeState::Joined } else { NoticeState::Due };
                    let remind = owed.notice.escalation.and_then(|id| notice::reminds(run, rule, id));
                    Some(new_row((event, owed.rule, remind), &owed.notice, target, state))
                })
                .collect();
            all.extend(new.into_iter().map(|new| (Of::Place(place), new)));
        }
        all
    }

    /// Something was added to the outbox.
    pub(super) fn wake_outbox(&mut self) {
        self.outbox.next = Some(self.parts.clock.now());
    }

    /// The journal takes nothing at the moment.
    pub(super) fn rest_outbox(&mut self) {
        let later = self.parts.clock.now().plus(REST);
        self.outbox.next = self.outbox.next.map(|next| next.max(later));
    }

    /// Sends what is due, and adds the reminders that are.
    pub(super) fn look_at_outbox(&mut self) {
        let now = self.parts.clock.now();
        if self.outbox.next.is_none_or(|next| next > now) {
            return;
        }
        self.outbox.next = match self.tend(now) {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!("notices wait: {error}");
                Some(now.plus(REST))
            }
        };
    }

    fn tend(&mut self, now: Time) -> Result<Option<Time>, crate::journal::Error> {
        let mut changes: Vec<Change> = self.outbox.unwritten.iter().cloned().map(Change::Ended).collect();
        for row in self.journal.read().notices_to_repeat(now)? {
            changes.push(Change::NoMoreReminders(row.id));
            changes.extend(self.repeated(&row, now).map(|new| Change::New(Of::Number(row.event), Box::new(new))));
        }
        let due = self.journal.read().due_notices(now, MOST)?;
        let (needed, needless): (Vec<_>, Vec<_>) = due.into_iter().partition(|row| self.is_needed(row));
        let is_flying = |row: &&NoticeRow| self.outbox.flying.contains_key(&row.id);
        changes.extend(needless.iter().filter(|row| !is_flying(row)).map(|row| Change::Ended(needless_now(row, now))));
        if !changes.is_empty() {
            crash_point("notice.before-record");
            self.journal.commit_notices(&changes)?;
            crash_point("notice.after-record");
            for ended in std::mem::take(&mut self.outbox.unwritten) {
                self.outbox.flying.remove(&ended.id);
            }
            // What was just added is due, too.
            self.parts.changed.send_modify(|_| {});
            return Ok(Some(now));
        }
        for row in needed {
            self.hand_over(row);
        }
        self.journal.read().next_notice(now)
    }

    /// A question that was answered needs nobody any more; the end of a run stays what it is.
    fn is_needed(&self, row: &NoticeRow) -> bool {
        let Some(id) = row.notice.escalation else { return true };
        let run = self.engine.run(&row.notice.run);
        run.is_some_and(|run| notice::reminder(run, EscalationId(id), &row.notice.fingerprint, 0).is_some())
    }

    /// The reminder of a question that was told and that nobody has answered.
    fn repeated(&self, row: &NoticeRow, now: Time) -> Option<NewNotice> {
        let run = self.engine.run(&row.notice.run)?;
        let told = EscalationId(row.notice.escalation?);
        let every = notice::reminds(run, run.workflow.notify.get(row.notice.rule)?, told)?;
        let number = row.notice.reminder + 1;
        let notice = notice::reminder(run, told, &row.notice.fingerprint, number)?;
        Some(NewNotice {
            reminder: number,
            // The one that is told now: others that ask the same join it.
            escalation: notice.escalation.map(|id| id.0),
            body: notice.json(),
            made: now,
            state: NoticeState::Due,
            remind: Some(now.plus(every)),
            ..row.notice.clone()
        })
    }

    fn hand_over(&mut self, row: NoticeRow) {
        let busy = self.outbox.flying.len() >= AT_ONCE
            || self.outbox.flying.contains_key(&row.id)
            || self.outbox.flying.values().any(|target| *target == row.notice.target);
        if busy {
            return;
        }
        self.outbox.flying.insert(row.id, row.notice.target.clone());
        let parts = self.parts.clone();
        let message = Message { key: row.key(), target: row.notice.target, body: row.notice.body };
        let (id, tries) = (row.id, row.tries);
        let told = move || {
            let result = send::send(&message);
            parts.tell(Input::Told { id, tries: tries + 1, result });
        };
        // A thread of its own: the end of the engine does not wait for whoever hangs.
        if let Err(why) = std::thread::Builder::new().name("notice".into()).spawn(told) {
            let result = Err(format!("no thread could be started: {why}"));
            self.parts.tell(Input::Told { id, tries: tries + 1, result });
        }
    }

    /// A try has ended.
    pub(super) fn told(&mut self, id: i64, tries: u32, result: Result<String, String>) {
        let now = self.parts.clock.now();
        self.outbox.unwritten.push(outcome(id, tries, result, now));
        self.outbox.next = Some(now);
    }
}

fn new_row(
    (event, place, remind): (&Event, usize, Option<Duration>),
    notice: &Notice,
    target: String,
    state: NoticeState,
) -> NewNotice {
    let remind = remind.filter(|_| state == NoticeState::Due);
    NewNotice {
        run: event.run.clone(),
        rule: place,
        reminder: 0,
        kind: notice.occasion.as_str().to_owned(),
        escalation: notice.escalation.map(|id| id.0),
        fingerprint: notice.fingerprint.clone(),
        target,
        body: notice.json(),
        made: event.at,
        state,
        remind: remind.map(|every| event.at.plus(every)),
    }
}

/// What becomes of a notice after this many tries, the last of which ended so.
fn outcome(id: i64, tries: u32, result: Result<String, String>, at: Time) -> Outcome {
    let (state, due, words) = match result {
        Ok(words) => (NoticeState::Sent, None, words),
        Err(words) => {
            let wait = usize::try_from(tries).ok().and_then(|tries| AGAIN.get(tries.checked_sub(1)?));
            let state = if wait.is_some() { NoticeState::Due } else { NoticeState::Failed };
            (state, wait.map(|wait| at.plus(*wait)), words)
        }
    };
    Outcome { id, state, tries, due, at, result: clean(&words) }
}

fn needless_now(row: &NoticeRow, at: Time) -> Outcome {
    let result = "the question was answered before it could be told".to_owned();
    Outcome { id: row.id, state: NoticeState::Needless, tries: row.tries, due: None, at, result }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_tried_five_times_over_about_an_hour() {
        let mut at = Time::from_ms(0);
        let mut tries = 0;
        let last = loop {
            tries += 1;
            let after = outcome(1, tries, Err("500".into()), at);
            match after.due {
                Some(due) => at = due,
                None => break after,
            }
        };
        assert_eq!((last.state, last.tries), (NoticeState::Failed, 5));
        assert!((55..70).contains(&(at.as_ms() / 60_000)), "{at:?}");
        assert_eq!(outcome(1, 3, Ok("200".into()), at).state, NoticeState::Sent);
    }
}
