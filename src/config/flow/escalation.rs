//! Questions to a person: `[steps.x.approval]`, and `escalation` of `[defaults]` and of a step: what becomes of questions
//! that nobody answers.

use std::time::Duration;

use toml::de::DeValue;

use super::notify::SHORTEST_REMINDER;
use crate::config::keys::Kind;
use crate::config::phrase::Wanted;
use crate::config::read::{At, Item, Limit, Reader, Section};
use crate::model::{CheckpointSpec, EscalationSpec, Gate, NotifyRule, Occasion, OnTimeout, Template, Unanswered};

/// How an approval can be confirmed.
const CONFIRM: [&str; 2] = ["key", "type-name"];

/// `escalation = { … }`, key by key over `base`.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    section: &Section<'a>,
    base: &EscalationSpec,
    checkpoint: Option<&CheckpointSpec>,
) -> EscalationSpec {
    let mut spec = base.clone();
    let Some(item) = section.get("escalation") else { return spec };
    let Some(table) = reader.section(&item, Kind::Escalation, format!("`escalation` in {}", section.title)) else {
        return spec;
    };
    let timeout = table.get("timeout").and_then(|item| Some((reader.limit(&item)?, item.key_at)));
    let what = table.get("on_timeout").and_then(|item| Some((reader.choice(&item, &Unanswered::ALL)?, item)));
    if let Some((limit, _)) = &timeout {
        spec.timeout = limit.duration();
    }
    if let Some((what, _)) = &what {
        spec.on_timeout = Some(*what);
    }
    match (&timeout, &what) {
        (Some((Limit::Of(_), at)), _) if spec.on_timeout.is_none() && table.get("on_timeout").is_none() => {
            reader
                .found
                .error(at, format!("{} has a `timeout`, and does not say what happens then", table.title))
                .hint("on_timeout = \"wait\", \"resume\", \"skip\" or \"abort\"");
        }
        (_, Some((what, item))) if spec.timeout.is_none() && *what != Unanswered::Wait && timeout.is_none() => {
            reader
                .found
                .error(&item.key_at, format!("{} has `on_timeout`, and no `timeout`", table.title))
                .hint("timeout = \"2h\"");
        }
        (_, _) => {}
    }
    // Of `[defaults]` it holds where there is a checkpoint; a step must mean what it says.
    let own = section.is(Kind::Step) && checkpoint.is_none();
    if let Some((_, item)) = what.as_ref().filter(|(what, _)| *what == Unanswered::Resume && own) {
        let words = format!("{} saves no checkpoint to resume from", section.title);
        reader.found.error(&item.at, words).hint("add a table `checkpoint`, or use \"wait\", \"skip\" or \"abort\"");
    }
    if let Some(every) = table.get("remind").and_then(|item| remind(reader, &item)) {
        spec.remind = Some(every);
    }
    spec
}

/// How often a question is told again. Noted with its place: somebody must be told at all.
pub(super) fn remind<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> Option<Duration> {
    let every = reader.duration(item)?;
    if every < SHORTEST_REMINDER {
        reader.found.error(&item.at, format!("{} must be at least 1m", item.title)).hint("\"30m\"");
        return None;
    }
    reader.reminders.push(item.key_at.clone());
    Some(every)
}

/// Notes reminders of which nobody is told.
pub(super) fn check(reader: &mut Reader<'_>, rules: &[NotifyRule]) {
    if rules.iter().any(|rule| rule.on.contains(&Occasion::Escalation)) {
        return;
    }
    let places: Vec<At> = std::mem::take(&mut reader.reminders);
    for at in places {
        reader
            .found
            .warning(&at, "`remind` reminds nobody: no [[notify]] is told of questions")
            .hint("[[notify]] with on = [\"escalation\"] and a `command` or a `url`");
    }
}

/// `remind` of `[steps.x.approval]`.
pub(super) fn gate_reminds<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Option<Duration> {
    let item = section.get("approval")?;
    let DeValue::Table(table) = item.value else { return None };
    let (key, value) = table.get_key_value("remind")?;
    let title = format!("`remind` in [steps.{}.approval]", reader.step.as_deref().unwrap_or_default());
    let item = Item { title, key_at: key.span(), value: value.get_ref(), at: value.span() };
    remind(reader, &item)
}

/// How an approval is confirmed: a word, or a text with expressions that becomes one.
fn confirm<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> Option<Template> {
    let text = reader.text(item)?;
    if !text.contains("${{") && !CONFIRM.contains(&text) {
        let shown: String = text.chars().take(40).collect();
        reader
            .found
            .error(&item.at, format!("\"{shown}\" is no way to confirm: {}", item.title))
            .hint("\"key\" or \"type-name\", or an expression that becomes one of them");
        return None;
    }
    reader.template(item)
}

/// `[steps.x.approval]`.
pub(super) fn approval<'a>(reader: &mut Reader<'a>, gate: &Section<'a>) -> Gate {
    let prompt = gate.get("prompt");
    if prompt.is_none() {
        reader.found.error(&gate.at, format!("{} has no `prompt`", gate.title)).hint("prompt = \"Publish it?\"");
    }
    let prompt = prompt.and_then(|item| reader.filled(&item).and_then(|_| reader.template(&item)));
    let show = gate.get("show").and_then(|item| reader.list(&item)).unwrap_or_default();
    let show = show.iter().filter_map(|element| reader.expression(element, Wanted::Text)).collect();
    let timeout = gate.get("timeout").and_then(|item| Some((reader.limit(&item)?, item.key_at)));
    let words = [("wait", OnTimeout::Wait), ("reject", OnTimeout::Reject), ("approve", OnTimeout::Approve)];
    let on_timeout = gate.get("on_timeout").and_then(|item| Some((reader.choice(&item, &words)?, item.key_at)));
    match (&timeout, &on_timeout) {
        (Some((Limit::Of(_), at)), None) if gate.get("on_timeout").is_none() => reader
            .found
            .error(at, format!("{} has a `timeout`, and does not say what happens then", gate.title))
            .hint("on_timeout = \"reject\", \"approve\" or \"wait\""),
        (None | Some((Limit::None, _)), Some((OnTimeout::Reject | OnTimeout::Approve, at)))
            if gate.get("timeout").is_none() =>
        {
            reader
                .found
                .error(at, format!("{} has `on_timeout`, and no `timeout`", gate.title))
                .hint("timeout = \"24h\"");
        }
        _ => {}
    }
    let confirm = gate.get("confirm").and_then(|item| confirm(reader, &item));
    Gate {
        confirm,
        prompt: prompt.unwrap_or(Template(vec![])),
        show,
        timeout: timeout.and_then(|(timeout, _)| timeout.duration()),
        on_timeout: on_timeout.map_or(OnTimeout::Wait, |(on_timeout, _)| on_timeout),
    }
}
