//! Requests about notices: who was told of what, and why not. Changes nothing.

use super::{Answer, Refusable, internal, reply};
use crate::daemon::core::Core;
use crate::daemon::notices::{summary, target_words};
use crate::journal::NoticeRow;
use crate::model::{EscalationId, Time};
use crate::wire::client::{NoticeView, Reply};

impl Core {
    /// The newest notices of a run, or of all, oldest first.
    pub(super) fn notices(&self, run: Option<&str>, limit: usize) -> Refusable<Answer> {
        let run = run.map(|run| self.find(run)).transpose()?;
        let rows = self.journal.read().notices(run.as_ref().map(|run| &run.id), limit);
        let rows = rows.map_err(|error| Box::new(internal(&error)))?;
        Ok(reply(Reply::Notices(rows.into_iter().map(view).collect())))
    }
}

fn view(row: NoticeRow) -> NoticeView {
    let key = row.key();
    let NoticeRow { notice, tries, due, done, result, .. } = row;
    NoticeView {
        run: notice.run.to_string(),
        event: notice.kind,
        escalation: notice.escalation.map(|id| EscalationId(id).to_string()),
        rule: notice.rule + 1,
        reminder: notice.reminder,
        to: target_words(&notice.target),
        summary: summary(&notice.body),
        state: notice.state.as_str().to_owned(),
        tries,
        result,
        key,
        made_ms: notice.made.as_ms(),
        due_ms: due.map(Time::as_ms),
        done_ms: done.map(Time::as_ms),
    }
}
