//! `[steps.x.wait]`: when silence means trouble, what is done then, and when it is worth to look.

use std::time::Duration;

use super::{look, recovery};
use crate::config::keys::Kind;
use crate::config::read::{Item, Reader, Section};
use crate::model::{Action, Class, StallAfter, Step, WaitSpec};

/// What is told to those who ask when to look again, without `poll`.
const POLL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

/// What can be done about a stall without saying more.
const ACTIONS: [(&str, Action); 5] = [
    ("escalate", Action::Escalate),
    ("retry", Action::Retry),
    ("resume", Action::Resume),
    ("skip", Action::Skip),
    ("abort", Action::Abort),
];

pub(super) fn read<'a>(reader: &mut Reader<'a>, section: &Section<'a>, step: &Step) -> WaitSpec {
    let mut wait = WaitSpec::default();
    if step.service.is_some() {
        // It is silent when nobody asks.
        wait.stall_after = StallAfter::Never;
    }
    let Some(item) = section.get("wait") else { return wait };
    let Some(table) = reader.section(&item, Kind::Wait, format!("[steps.{}.wait]", step.id)) else { return wait };
    wait.poll = table.get("poll").and_then(|item| look::poll(reader, &item, POLL));
    if let Some(item) = table.get("stall_after") {
        wait.stall_after = stall_after(reader, &item).unwrap_or_default();
    }
    wait.on_stall = table.get("on_stall").and_then(|item| action(reader, &item, step, Class::CollectiveHang));
    let quiet = table.get("quiet").and_then(|item| reader.list(&item)).unwrap_or_default();
    wait.quiet = quiet.iter().filter_map(|item| Some(recovery::regex(reader, item)?.as_str().to_owned())).collect();
    wait
}

fn stall_after<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> Option<StallAfter> {
    if item.value.as_str() == Some("never") {
        return Some(StallAfter::Never);
    }
    let after = reader.duration(item)?;
    if after.is_zero() {
        reader
            .found
            .error(&item.at, format!("{} must be longer than zero", item.title))
            .hint("\"never\" means that no silence is a stall");
        return None;
    }
    Some(StallAfter::After(after))
}

/// What is done about a live attempt that was found to be in trouble of this class.
pub(super) fn action<'a>(reader: &mut Reader<'a>, item: &Item<'a>, step: &Step, class: Class) -> Option<Action> {
    if matches!(item.value.as_str(), Some("retry_modified" | "alternative")) {
        let written = item.value.as_str().unwrap_or_default();
        let hint = format!(
            "write a rule: [[steps.{}.on_failure]] match = {{ class = \"{class}\" }}, action = \"{written}\", use = \"NAME\"",
            step.id
        );
        reader.found.error(&item.at, format!("{} cannot say what to change", item.title)).hint(hint);
        return None;
    }
    let action = reader.choice(item, &ACTIONS)?;
    if action == Action::Resume && step.checkpoint.is_none() {
        reader
            .found
            .error(&item.at, format!("step {} saves no checkpoint to resume from", step.id))
            .hint(format!("add [steps.{}.checkpoint], or use \"retry\"", step.id));
    }
    Some(action)
}
