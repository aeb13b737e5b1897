//! `wait_for` and `readiness_probe`: what is looked at, and how often.

use std::time::Duration;

use super::step::script;
use crate::config::keys::Kind;
use crate::config::read::{Item, Reader, Section};
use crate::model::{Look, Part, Readiness, Service, WaitFor};

/// What can be looked at.
const KINDS: [&str; 4] = ["http", "tcp", "file", "command"];
/// Between two looks for something outside, without `poll`.
const POLL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// No look comes sooner after the one before.
const CLOSEST: Duration = Duration::from_millis(100);
/// Between two looks whether a service is ready, without `period`.
const PERIOD: Duration = Duration::from_secs(1);
/// Looks in vain before a service has failed, without `failure_threshold`.
const THRESHOLD: u32 = 60;

/// `wait_for` of a step; `None` when it says something wrong.
pub(super) fn wait_for<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> Option<WaitFor> {
    let title = format!("`wait_for` of [steps.{}]", reader.step.as_deref().unwrap_or_default());
    let table = reader.section(item, Kind::WaitFor, title)?;
    let poll = table.get("poll").map_or(Some(POLL), |item| poll(reader, &item, POLL));
    Some(WaitFor { look: look(reader, &table, &KINDS)?, poll: poll? })
}

/// How far apart two looks are, with what holds where a bound is not said; `None` when it says something wrong.
pub(super) fn poll<'a>(
    reader: &mut Reader<'a>,
    item: &Item<'a>,
    unsaid: (Duration, Duration),
) -> Option<(Duration, Duration)> {
    let title = format!("`poll` of [steps.{}]", reader.step.as_deref().unwrap_or_default());
    let table = reader.section(item, Kind::Poll, title)?;
    let least = table.get("min").map(|item| span(reader, &item));
    let most = table.get("max").map(|item| (span(reader, &item), item.at));
    let said = least.is_some();
    let least = least.unwrap_or(Some(unsaid.0))?;
    match most {
        None => Some((least, unsaid.1.max(least))),
        // Who says only the longest time may say one that is shorter than the shortest would be.
        Some((Some(most), _)) if !said => Some((least.min(most), most)),
        Some((Some(most), _)) if most >= least => Some((least, most)),
        Some((Some(_), at)) => {
            reader.found.error(&at, format!("`max` in {} is shorter than `min`", table.title));
            None
        }
        Some((None, _)) => None,
    }
}

fn span<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> Option<Duration> {
    let span = reader.duration(item)?;
    if span < CLOSEST {
        reader.found.error(&item.at, format!("{} is too short: at least 100ms", item.title)).hint("write \"1s\"");
        return None;
    }
    Some(span)
}

/// `service` and `readiness_probe` of a step with `run`.
pub(super) fn service<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Option<Service> {
    let serves = section.get("service").and_then(|item| reader.boolean(&item)).unwrap_or(false);
    let probe = section.get("readiness_probe");
    if !serves {
        if let Some(probe) = probe {
            reader
                .found
                .error(&probe.key_at, format!("{} has a `readiness_probe`, and is no service", section.title))
                .hint("add service = true, or remove it");
        }
        return None;
    }
    for key in ["verify", "snapshot", "matrix", "outputs"] {
        if let Some(item) = section.get(key) {
            reader
                .found
                .error(
                    &item.key_at,
                    format!("`{key}` has no meaning in {}: a service has no end of its own", section.title),
                )
                .hint("remove it, or put it on a step that needs the service");
        }
    }
    Some(Service { readiness: probe.and_then(|item| readiness(reader, &item)) })
}

fn readiness<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> Option<Readiness> {
    let title = format!("`readiness_probe` of [steps.{}]", reader.step.as_deref().unwrap_or_default());
    let table = reader.section(item, Kind::Readiness, title)?;
    let period = table.get("period").map_or(Some(PERIOD), |item| span(reader, &item));
    let threshold =
        table.get("failure_threshold").map_or(Some(i64::from(THRESHOLD)), |item| reader.integer(&item, 1..=1_000_000));
    let look = look(reader, &table, &["http", "tcp", "command"])?;
    let failure_threshold = u32::try_from(threshold?).unwrap_or(THRESHOLD);
    Some(Readiness { look, period: period?, failure_threshold })
}

/// The one thing of these that is looked at.
fn look<'a>(reader: &mut Reader<'a>, table: &Section<'a>, kinds: &[&str]) -> Option<Look> {
    let said: Vec<(&str, Item<'a>)> = kinds.iter().filter_map(|kind| Some((*kind, table.get(kind)?))).collect();
    let all = kinds.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ");
    match said.as_slice() {
        [] => {
            reader
                .found
                .error(&table.at, format!("{} does not say what is looked at", table.title))
                .hint(format!("one of {all}, like http = \"http://localhost:8000/health\""));
            None
        }
        [(kind, item)] => one(reader, kind, item),
        [_, (kind, second), ..] => {
            reader
                .found
                .error(&second.key_at, format!("{} looks at more than one thing: `{kind}` too", table.title))
                .hint("make a step of each; what needs both waits for both");
            None
        }
    }
}

fn one<'a>(reader: &mut Reader<'a>, kind: &str, item: &Item<'a>) -> Option<Look> {
    if kind == "command" {
        return script(reader, item).map(Look::Command);
    }
    let text = reader.filled(item)?;
    let template = reader.template(item)?;
    // What an expression gives is not known here.
    let plain = template.0.iter().all(|part| matches!(part, Part::Text(_)));
    let wrong = if plain { flaw(kind, text) } else { None };
    if let Some((why, hint)) = wrong {
        reader.found.error(&item.at, format!("{} {why}", item.title)).hint(hint);
        return None;
    }
    Some(match kind {
        "http" => Look::Http(template),
        "tcp" => Look::Tcp(template),
        _ => Look::File(template),
    })
}

fn flaw(kind: &str, text: &str) -> Option<(&'static str, &'static str)> {
    match kind {
        "http" => {
            let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
            let host = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
            (!host || text.contains(char::is_whitespace))
                .then_some(("is no address", "http = \"http://localhost:8000/health\""))
        }
        "tcp" => {
            let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            let port = port.and_then(|(_, port)| port.parse::<u16>().ok());
            port.is_none_or(|port| port == 0).then_some(("is no host with a port", "tcp = \"localhost:5432\""))
        }
        _ => None,
    }
}
