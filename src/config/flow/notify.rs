//! `[[notify]]`: who is told when a person is needed or the run has ended.

use std::time::Duration;

use crate::config::keys::Kind;
use crate::config::read::{Item, Reader, Section};
use crate::model::{NotifyRule, Occasion, Target};

/// Nobody wants to be reminded more often, and every rule is asked at each event.
pub(super) const SHORTEST_REMINDER: Duration = Duration::from_secs(60);
const MOST_RULES: usize = 100;

const EXAMPLE: &str =
    "write [[notify]] with double brackets, and below it on = [\"escalation\"] and url = \"https://…\"";

/// The rules in the file's order.
pub(super) fn read<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> Vec<NotifyRule> {
    if item.value.is_table() {
        reader.found.error(&item.key_at, "`notify` must be a list of rules").hint(EXAMPLE);
        return Vec::new();
    }
    let elements = reader.list(item).unwrap_or_default();
    if elements.len() > MOST_RULES {
        let words = format!("there are {} [[notify]] rules; a file may have {MOST_RULES}", elements.len());
        reader.found.error(&item.key_at, words);
        return Vec::new();
    }
    let mut rules = Vec::new();
    for (n, element) in elements.iter().enumerate() {
        if let Some(table) = reader.section(element, Kind::Notify, format!("[[notify]] rule {}", n + 1)) {
            rules.extend(rule(reader, element, &table));
        }
    }
    rules
}

fn rule<'a>(reader: &mut Reader<'a>, element: &Item<'a>, table: &Section<'a>) -> Option<NotifyRule> {
    let on = occasions(reader, element, table);
    let to = target(reader, element, table);
    let remind = table.get("remind").and_then(|item| remind(reader, &item, &on));
    Some(NotifyRule { on, to: to?, remind })
}

fn occasions<'a>(reader: &mut Reader<'a>, element: &Item<'a>, table: &Section<'a>) -> Vec<Occasion> {
    let words = "on = [\"escalation\", \"run.failed\", \"run.succeeded\", \"run.stopped\"], or some of these";
    let mut all = Vec::new();
    let Some(item) = table.get("on") else {
        reader.found.error(&element.at, format!("{} does not say `on` what", table.title)).hint(words);
        return all;
    };
    let Some(elements) = reader.list(&item) else { return all };
    if elements.is_empty() {
        reader.found.error(&item.at, format!("{} is empty: nobody is ever told", item.title)).hint(words);
    }
    for element in &elements {
        let Some(occasion) = reader.choice(element, &Occasion::ALL) else { continue };
        if all.contains(&occasion) {
            reader.found.error(&element.at, format!("{} is there twice", occasion.as_str())).hint("remove one of them");
        } else {
            all.push(occasion);
        }
    }
    all
}

fn target<'a>(reader: &mut Reader<'a>, element: &Item<'a>, table: &Section<'a>) -> Option<Target> {
    match (table.get("command"), table.get("url")) {
        (Some(item), None) => command(reader, &item),
        (None, Some(item)) => url(reader, &item),
        (Some(_), Some(item)) => {
            let words = format!("{} has both a `command` and a `url`", table.title);
            reader.found.error(&item.key_at, words).hint("make it two rules");
            None
        }
        (None, None) => {
            let words = format!("{} does not say how to tell it", table.title);
            reader.found.error(&element.at, words).hint("url = \"https://…\" or command = [\"program\", \"argument\"]");
            None
        }
    }
}

fn command<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> Option<Target> {
    let elements = reader.list(item)?;
    let count = elements.len();
    let words: Vec<String> = elements.iter().filter_map(|element| reader.literal(element)).map(str::to_owned).collect();
    if count == 0 {
        reader.found.error(&item.at, format!("{} is empty", item.title)).hint("[\"program\", \"argument\"]");
    }
    (count > 0 && words.len() == count).then_some(Target::Command(words))
}

fn url<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> Option<Target> {
    let text = reader.literal(item)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let Some(rest) = rest else {
        let words = format!("{} must begin with https:// or http://", item.title);
        let hint = match text.split_once("://") {
            Some((_, rest)) => format!("url = \"https://{rest}\""),
            None => "url = \"https://hooks.example.com/…\"".to_owned(),
        };
        reader.found.error(&item.at, words).hint(hint);
        return None;
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let odd = text.chars().any(|c| c.is_whitespace() || c.is_control() || !c.is_ascii() || "\"<>\\^`{|}".contains(c));
    if host.is_empty() || host.starts_with(':') || host.ends_with('@') || odd {
        let words = format!("{} is no address", item.title);
        let hint = if odd { "write %20 for a blank, and other characters likewise" } else { "name a host" };
        reader.found.error(&item.at, words).hint(hint);
        return None;
    }
    Some(Target::Url(text.to_owned()))
}

fn remind<'a>(reader: &mut Reader<'a>, item: &Item<'a>, on: &[Occasion]) -> Option<Duration> {
    let every = reader.duration(item)?;
    if every < SHORTEST_REMINDER {
        reader.found.error(&item.at, format!("{} must be at least 1m", item.title)).hint("\"30m\"");
        return None;
    }
    if !on.is_empty() && !on.contains(&Occasion::Escalation) {
        let words = format!("{} reminds of nothing: only questions are told again", item.title);
        reader.found.error(&item.key_at, words).hint("remove it, or add \"escalation\" to `on`");
    }
    Some(every)
}
