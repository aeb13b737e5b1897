//! `retry`, `on_failure`, `on_unknown` and `probe`: what is done when an attempt does not succeed.

use super::escalation;
use super::other;
use super::step::{self, Defaults};
use crate::config::keys::{Kind, nearest};
use crate::config::read::{Item, Reader, Section};
use crate::config::units;
use crate::model::{Action, Class, FailureRule, Match, OnUnknown, Retry, Step};

/// `retry = { … }`, key by key over `base`.
pub(super) fn retry<'a>(reader: &mut Reader<'a>, item: &Item<'a>, base: &Retry, title: &str) -> Retry {
    let mut retry = base.clone();
    if item.value.is_integer() {
        let written = crate::config::read::scalar(item.value).unwrap_or_default();
        reader.wrong_type(item, "a table", Some(format!("write {{ max_attempts = {written} }}")));
        return retry;
    }
    let Some(section) = reader.section(item, Kind::Retry, title.into()) else { return retry };
    if let Some(n) = section.get("max_attempts").and_then(|item| reader.integer(&item, 1..=1_000_000)) {
        retry.max_attempts = u32::try_from(n).expect("the range was checked");
    }
    if let Some(delay) = section.get("delay").and_then(|item| reader.duration(&item)) {
        retry.delay = delay;
    }
    if let Some(backoff) = section.get("backoff").and_then(|item| reader.number(&item, 1.0)) {
        retry.backoff = backoff;
    }
    if let Some(jitter) = section.get("jitter").and_then(|item| reader.boolean(&item)) {
        retry.jitter = jitter;
    }
    match section.get("max_delay") {
        None => retry.max_delay = retry.max_delay.max(retry.delay),
        Some(item) => {
            if let Some(longest) = reader.duration(&item) {
                retry.max_delay = longest;
                if longest < retry.delay {
                    reader.found.error(&item.at, format!("{} is shorter than `delay`", item.title));
                }
            }
        }
    }
    retry
}

/// `[defaults]`.
pub(super) fn defaults<'a>(reader: &mut Reader<'a>, item: &Item<'a>, defaults: &mut Defaults) {
    let Some(section) = reader.section(item, Kind::Defaults, "[defaults]".into()) else { return };
    if let Some(autonomy) = other::autonomy(reader, &section) {
        defaults.autonomy = autonomy;
    }
    if let Some(limit) = section.get("timeout").and_then(|item| reader.limit(&item)) {
        defaults.timeout = limit.duration();
    }
    if let Some(grace) = section.get("grace").and_then(|item| reader.duration(&item)) {
        defaults.grace = grace;
    }
    if let Some(item) = section.get("retry") {
        defaults.retry_said = true;
        defaults.retry = retry(reader, &item, &defaults.retry, "retry of [defaults]");
    }
    if let Some(allowed) = section.get("allow_failure").and_then(|item| reader.boolean(&item)) {
        defaults.allow_failure = allowed;
    }
    defaults.escalation = escalation::read(reader, &section, &defaults.escalation, None);
    if let Some(item) = section.get("on_unknown") {
        if item.value.as_str() == Some("probe") {
            reader
                .found
                .error(&item.at, "`probe` cannot be a default: each step has its own command")
                .hint("write on_unknown and probe in the steps");
        } else if let Some(answer) = reader.choice(&item, &[("ask", false), ("rerun", true)]) {
            defaults.on_unknown = if answer { OnUnknown::Rerun } else { OnUnknown::Ask };
        }
    }
}

/// `on_unknown` and `probe` of a step.
pub(super) fn unknown<'a>(reader: &mut Reader<'a>, section: &Section<'a>, step: &mut Step) {
    #[derive(Clone, Copy, PartialEq)]
    enum Word {
        Ask,
        Rerun,
        Probe,
    }
    let words = [("ask", Word::Ask), ("rerun", Word::Rerun), ("probe", Word::Probe)];
    let word = section.get("on_unknown").and_then(|item| Some((reader.choice(&item, &words)?, item.key_at)));
    let probe = section.get("probe").map(|item| (step::script(reader, &item), item.key_at));
    match (word, probe) {
        (Some((Word::Probe, at)), None) => reader
            .found
            .error(&at, format!("{} has no `probe` to run", section.title))
            .hint("probe = \"a command\": 0 = it had finished, 10 = it had not happened, else a person is asked"),
        (Some((Word::Ask | Word::Rerun, _)), Some((_, at))) => reader
            .found
            .error(&at, format!("the `probe` of {} is never run", section.title))
            .hint("on_unknown = \"probe\""),
        (Some((Word::Ask, _)), None) => step.on_unknown = OnUnknown::Ask,
        (Some((Word::Rerun, _)), None) => step.on_unknown = OnUnknown::Rerun,
        (Some((Word::Probe, _)), Some((script, _))) => {
            step.on_unknown = OnUnknown::Probe { script: script.unwrap_or_default() };
        }
        (None, Some((_, at))) if section.get("on_unknown").is_none() => reader
            .found
            .error(&at, format!("the `probe` of {} is never run", section.title))
            .hint("on_unknown = \"probe\""),
        (None, _) => {}
    }
}

/// What a rule with `action = "retry"` or `"resume"` gives, where neither it nor the step nor `[defaults]` says how often.
const ATTEMPTS_OF_A_RULE: u32 = 3;

/// `[[steps.x.on_failure]]`.
pub(super) fn rules<'a>(reader: &mut Reader<'a>, section: &Section<'a>, step: &mut Step) {
    let Some(item) = section.get("on_failure") else { return };
    if item.value.is_table() {
        reader
            .found
            .error(&item.key_at, format!("{} must be a list of rules", item.title))
            .hint(format!("write [[steps.{}.on_failure]] with double brackets", step.id));
        return;
    }
    let Some(elements) = reader.list(&item) else { return };
    let mut rest: Option<String> = None;
    for (n, element) in elements.iter().enumerate() {
        let title = format!("rule {} of {}", n + 1, section.title);
        let Some(table) = reader.section(element, Kind::Rule, title) else { continue };
        if let Some(rest) = &rest {
            reader
                .found
                .warning(&element.at, format!("{} is never reached: {rest} matches everything", table.title))
                .hint("put the rule without `match` last");
        }
        if let Some(rule) = rule(reader, n, element, &table, step) {
            if rule.matcher == Match::default() && rest.is_none() {
                rest = Some(rule.name.clone());
            }
            step.on_failure.push(rule);
        }
    }
}

fn rule<'a>(
    reader: &mut Reader<'a>,
    n: usize,
    element: &Item<'a>,
    table: &Section<'a>,
    step: &Step,
) -> Option<FailureRule> {
    let name = table.get("name").and_then(|item| reader.filled(&item)).map(str::to_owned);
    if name.as_ref().is_some_and(|name| step.on_failure.iter().any(|rule| rule.name == *name)) {
        reader.found.error(&element.at, format!("two rules of step {} have the same name", step.id));
    }
    let matcher = match table.get("match") {
        Some(item) => matcher(reader, &item, &table.title),
        None => Some(Match::default()),
    };
    let retry = table.get("retry").map(|item| {
        let title = format!("retry of {}", table.title);
        (retry(reader, &item, &step.retry, &title), item.key_at)
    });
    let Some(item) = table.get("action") else {
        reader.found.error(&element.at, format!("{} has no `action`", table.title)).hint(
            "action = \"retry\", \"retry_modified\", \"resume\", \"alternative\", \"skip\", \"escalate\" or \"abort\"",
        );
        return None;
    };
    let action = reader.choice(&item, &Action::ALL)?;
    let again = action.is_again();
    let alternative = table.get("use").and_then(|item| other::used(reader, &item, step));
    let (change, raise) =
        table.get("change").map(|item| other::changes(reader, &item, &table.title, step)).unwrap_or_default();
    modified(reader, table, &item, action);
    if let Some((_, at)) = retry.as_ref().filter(|_| !again) {
        reader
            .found
            .error(at, format!("`retry` has no effect in {}", table.title))
            .hint("action = \"retry\", \"retry_modified\", \"resume\" or \"alternative\"");
    }
    if action == Action::Resume && step.checkpoint.is_none() {
        reader
            .found
            .error(&item.at, format!("step {} saves no checkpoint to resume from", step.id))
            .hint(format!("add [steps.{}.checkpoint], or use action = \"retry\"", step.id));
    }
    // Who writes `action = "retry"` and says nowhere how often means that it is repeated.
    let unsaid = again && retry.is_none() && !step.retry_said;
    let retry = if unsaid {
        Some((Retry { max_attempts: ATTEMPTS_OF_A_RULE, ..step.retry.clone() }, element.at.clone()))
    } else {
        retry
    };
    let attempts = retry.as_ref().map_or(step.retry.max_attempts, |(retry, _)| retry.max_attempts);
    if again && attempts == 1 {
        reader
            .found
            .warning(
                &item.at,
                format!("{} repeats nothing: max_attempts is 1, and the first attempt counts", table.title),
            )
            .hint("retry = { max_attempts = 3 }, in the rule, in the step or in [defaults]");
    }
    Some(FailureRule {
        name: name.unwrap_or_else(|| format!("rule {}", n + 1)),
        matcher: matcher?,
        action,
        retry: retry.map(|(retry, _)| retry),
        alternative,
        change,
        raise,
    })
}

/// `use` and `change` belong to the actions that change something, and these need one of them.
fn modified<'a>(reader: &mut Reader<'a>, table: &Section<'a>, action_at: &Item<'a>, action: Action) {
    let (used, change) = (table.get("use"), table.get("change"));
    let modifies = matches!(action, Action::RetryModified | Action::Alternative);
    if modifies && used.is_none() && (change.is_none() || action == Action::Alternative) {
        let (what, hint) = if action == Action::Alternative {
            ("take", "use = \"NAME\" of [steps.x.alternatives.NAME], or use = \"steps.NAME\"")
        } else {
            ("change", "change = { BATCH = \"/ 2\" }, or use = \"NAME\" of [steps.x.alternatives.NAME]")
        };
        let words = format!("{} does not say what to {what}", table.title);
        reader.found.error(&action_at.at, words).hint(hint);
    }
    for item in [used, change].into_iter().flatten().filter(|_| !modifies) {
        reader
            .found
            .error(&item.key_at, format!("{} has no effect with action = \"{}\"", item.title, action.as_str()))
            .hint("action = \"retry_modified\" or \"alternative\"");
    }
}

fn matcher<'a>(reader: &mut Reader<'a>, item: &Item<'a>, rule: &str) -> Option<Match> {
    let table = reader.section(item, Kind::Match, format!("`match` of {rule}"))?;
    let classes = table.get("class").map(|item| one_or_more(reader, &item));
    let output = table.get("output").map(|item| regex(reader, &item));
    let codes = table.get("exit_code").map(|item| one_or_more(reader, &item));
    let signals = table.get("signal").map(|item| one_or_more(reader, &item));
    let mut matcher = Match::default();
    for item in codes.flatten().unwrap_or_default() {
        if let Some(code) = reader.integer(&item, 0..=255) {
            matcher.exit_code.push(i32::try_from(code).expect("the range was checked"));
        }
    }
    for item in signals.flatten().unwrap_or_default() {
        matcher.signal.extend(signal(reader, &item));
    }
    for item in classes.flatten().unwrap_or_default() {
        matcher.class.extend(reader.choice(&item, failures()));
    }
    match output {
        Some(None) => return None,
        Some(Some(pattern)) => matcher.output = Some(pattern.as_str().to_owned()),
        None => {}
    }
    Some(matcher)
}

/// The classes that a failure can have.
fn failures() -> &'static [(&'static str, Class)] {
    // The first one is that of a success.
    &Class::ALL[1..]
}

/// A list that is not empty, or one value in its place.
fn one_or_more<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> Option<Vec<Item<'a>>> {
    if !item.value.is_array() {
        return Some(vec![item.clone()]);
    }
    let elements = reader.list(item)?;
    if elements.is_empty() {
        reader.found.error(&item.at, format!("{} is empty: it matches nothing", item.title)).hint("remove it");
        return None;
    }
    Some(elements)
}

/// A signal by its name or its number.
pub(super) fn signal<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> Option<i32> {
    if item.value.is_integer() {
        return reader.integer(item, 1..=64).and_then(|n| i32::try_from(n).ok());
    }
    let text = reader.text(item)?;
    let number = units::signal(text);
    if number.is_none() {
        let upper = text.to_uppercase();
        let bare = upper.strip_prefix("SIG").unwrap_or(&upper).to_lowercase();
        let names: Vec<String> = units::signal_names().map(str::to_lowercase).collect();
        let hint = match nearest(&bare, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean \"SIG{}\"?", near.to_uppercase()),
            None => "write a name like \"SIGKILL\" or a number like 9".into(),
        };
        let shown: String = text.chars().take(40).collect();
        reader.found.error(&item.at, format!("there is no signal \"{shown}\"")).hint(hint);
    }
    number
}

/// A regex that compiles.
pub(super) fn regex<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> Option<regex::Regex> {
    let text = reader.filled(item)?;
    match regex::Regex::new(text) {
        Ok(regex) => Some(regex),
        Err(error) => {
            let words = error.to_string();
            let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            let why = last.trim().trim_start_matches("error: ").to_owned();
            let quoted =
                reader.source.get(item.at.clone()).is_some_and(|raw| raw.starts_with('"') && text.contains('\\'));
            let hint = if quoted {
                "write it in single quotes: then a backslash needs no second one"
            } else {
                "the syntax is that of docs.rs/regex"
            };
            reader.found.error(&item.at, format!("{} is not a pattern: {why}", item.title)).hint(hint);
            None
        }
    }
}
