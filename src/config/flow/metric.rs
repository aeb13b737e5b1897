//! `progress` and `[[steps.x.metrics]]`: how far a step is, and which of its numbers are kept.

use super::{data, recovery, wait};
use crate::config::keys::{Kind, nearest};
use crate::config::read::{Item, Reader, Section};
use crate::gauge::alert::Condition;
use crate::gauge::progress::Parser;
use crate::model::{AlertSpec, Class, MetricSource, MetricSpec, ProgressSpec, Step};

pub(super) fn progress<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Option<ProgressSpec> {
    let item = section.get("progress")?;
    if let Some(name) = item.value.as_str() {
        if Parser::named(name).is_none() {
            let names: Vec<&str> = Parser::names().collect();
            let near = nearest(name, names.iter().copied()).map(|near| format!("did you mean \"{near}\"?"));
            let all = format!("it is one of {}, or a table with a `pattern`", names.join(", "));
            reader
                .found
                .error(&item.at, format!("{} names no way of telling progress that is known", item.title))
                .hint(near.unwrap_or(all));
        }
        return Some(ProgressSpec::Named(name.to_owned()));
    }
    let table = reader.section(&item, Kind::Progress, format!("progress of {}", section.title))?;
    let Some(item) = table.get("pattern") else {
        reader
            .found
            .error(&table.at, format!("{} has no `pattern`", table.title))
            .hint("pattern = '(?P<done>\\d+)/(?P<total>\\d+)'");
        return None;
    };
    let pattern = recovery::regex(reader, &item)?;
    if let Err(bad) = Parser::pattern(pattern.as_str()) {
        reader.found.error(&item.at, format!("{} tells no progress: {bad}", item.title));
        return None;
    }
    Some(ProgressSpec::Pattern(pattern.as_str().to_owned()))
}

pub(super) fn metrics<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Vec<MetricSpec> {
    let Some(item) = section.get("metrics") else { return vec![] };
    let elements = reader.list(&item).unwrap_or_default();
    let read = |(n, element): (usize, &Item<'a>)| {
        let table = reader.section(element, Kind::Metric, format!("metrics {} of {}", n + 1, section.title))?;
        metric(reader, &table)
    };
    elements.iter().enumerate().filter_map(read).collect()
}

fn metric<'a>(reader: &mut Reader<'a>, table: &Section<'a>) -> Option<MetricSpec> {
    let x = table.get("x").and_then(|item| reader.text(&item)).map(str::to_owned);
    let source = match (table.get("pattern"), table.get("file")) {
        (Some(item), None) => {
            let pattern = recovery::regex(reader, &item)?;
            let groups: Vec<&str> = pattern.capture_names().flatten().collect();
            let named = x.as_deref().is_none_or(|x| groups.contains(&x));
            if groups.is_empty() || !named {
                let what =
                    if groups.is_empty() { "a named group".into() } else { format!("a group `{}`", x.as_deref()?) };
                reader
                    .found
                    .error(&item.at, format!("{} has no {}", item.title, what.trim_start_matches("a ")))
                    .hint("every named group becomes a series: 'loss (?P<loss>[\\d.]+)'");
                return None;
            }
            MetricSource::Pattern(pattern.as_str().to_owned())
        }
        (None, Some(item)) => {
            let path = reader.literal(&item)?;
            if let Err((why, hint)) = data::check_output(path) {
                reader.found.error(&item.at, format!("the file of {} {why}", table.title)).hint(hint);
                return None;
            }
            MetricSource::File(path.to_owned())
        }
        (Some(_), Some(item)) => {
            reader
                .found
                .error(&item.key_at, format!("{} has both `pattern` and `file`", table.title))
                .hint("write two of them");
            return None;
        }
        (None, None) => {
            reader.found.error(&table.at, format!("{} has neither `pattern` nor `file`", table.title)).hint(
                "pattern = 'step (?P<step>\\d+) loss (?P<loss>[\\d.]+)', or file = \"$DOGWATCH_DIR/metrics.jsonl\"",
            );
            return None;
        }
    };
    Some(MetricSpec { source, x })
}

pub(super) fn alerts<'a>(reader: &mut Reader<'a>, section: &Section<'a>, step: &Step) -> Vec<AlertSpec> {
    let Some(item) = section.get("alerts") else { return vec![] };
    let elements = reader.list(&item).unwrap_or_default();
    let read = |(n, element): (usize, &Item<'a>)| {
        let table = reader.section(element, Kind::Alert, format!("alerts {} of {}", n + 1, section.title))?;
        alert(reader, &table, step)
    };
    elements.iter().enumerate().filter_map(read).collect()
}

fn alert<'a>(reader: &mut Reader<'a>, table: &Section<'a>, step: &Step) -> Option<AlertSpec> {
    let action = table.get("action").and_then(|item| wait::action(reader, &item, step, Class::Divergence));
    let message = table.get("message").and_then(|item| reader.filled(&item)).map(str::to_owned);
    let Some(item) = table.get("when") else {
        reader
            .found
            .error(&table.at, format!("{} has no `when`", table.title))
            .hint("when = \"isnan(loss) or loss > 3 * min(loss, last=200)\"");
        return None;
    };
    let when = reader.filled(&item)?;
    if let Err(bad) = Condition::new(when) {
        reader
            .found
            .error(&item.at, format!("{} is no condition on metrics: {bad}", item.title))
            .hint("as in \"isnan(loss) or loss > 3 * min(loss, last=200)\"");
        return None;
    }
    Some(AlertSpec { when: when.to_owned(), action, message })
}
