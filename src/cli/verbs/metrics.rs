//! `metrics`: the numbers that steps printed; `report`: what a program says of itself from inside a step.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::Ended;
use crate::cli::Face;
use crate::cli::args::{Metrics, Report, ReportVerb};
use crate::cli::exit::{Exit, Failure};
use crate::cli::text::{Row, Style, width};
use crate::client::Client;
use crate::faces::csv;
use crate::gauge::progress::Parser;
use crate::model::reports_of;
use crate::wire::client::{Ask, PointView, Reply, SeriesView};

/// Characters of a note that are handed on; the engine keeps fewer.
const NOTE: usize = 1_000;

/// What is known of a series in one line.
struct Told {
    step_name: String,
    attempt: u32,
    name: String,
    points: usize,
    least: f64,
    most: f64,
    last: Option<PointView>,
}

/// `metrics`.
pub(super) fn metrics(face: &Face, args: &Metrics) -> Ended {
    let mut client = face.engine()?;
    if args.csv {
        face.screen.write(csv::HEAD)?;
    }
    let mut all: Vec<Told> = Vec::new();
    let mut from = 0;
    loop {
        let (series, more) = part(&mut client, args, from)?;
        for one in series {
            from += one.points.len();
            if args.csv {
                face.screen.write(&csv::lines(&one))?;
            } else if face.screen.json {
                face.screen.json_line("metric", &one)?;
            }
            tell(&mut all, one);
        }
        if !more {
            break;
        }
    }
    if !args.csv && !face.screen.json {
        face.screen.rows(&rows(&all))?;
    }
    if all.is_empty() {
        face.screen
            .note("no numbers were seen; [[steps.NAME.metrics]] says where they are, `name=value` is found by itself");
    }
    Ok(Exit::Good)
}

fn part(client: &mut Client, args: &Metrics, from: usize) -> Result<(Vec<SeriesView>, bool), Failure> {
    let ask =
        Ask::Metrics { run: args.run.clone(), step: args.step.clone(), name: args.name.clone(), from, newest: false };
    let Reply::Metrics { series, more } = client.ask(ask)? else { return Err(Failure::unexpected("metrics")) };
    Ok((series, more))
}

fn tell(all: &mut Vec<Told>, part: SeriesView) {
    let same = |told: &&mut Told| {
        (told.step_name.as_str(), told.attempt, told.name.as_str())
            == (part.step_name.as_str(), part.attempt, part.name.as_str())
    };
    let numbers = || part.points.iter().filter_map(|point| point.value);
    let newest = part.points.last().copied();
    let least = numbers().fold(f64::INFINITY, f64::min);
    let most = numbers().fold(f64::NEG_INFINITY, f64::max);
    if let Some(told) = all.last_mut().filter(same) {
        told.points += part.points.len();
        (told.least, told.most, told.last) = (told.least.min(least), told.most.max(most), newest.or(told.last));
        return;
    }
    let SeriesView { step_name, attempt, name, points } = part;
    all.push(Told { step_name, attempt, name, points: points.len(), least, most, last: newest });
}

/// A number as people read it.
fn short(value: f64) -> String {
    if value != 0.0 && value.is_finite() && !(1e-3..1e6).contains(&value.abs()) {
        return format!("{value:.3e}");
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn rows(all: &[Told]) -> Vec<Row> {
    let columns = |text: fn(&Told) -> &str| all.iter().map(|told| width(text(told))).max().unwrap_or(0).min(32);
    let (steps, names) = (columns(|told| &told.step_name), columns(|told| &told.name));
    let row = |told: &Told| {
        let last = told.last.map_or_else(String::new, |point| format!("{} at {}", short(point.number()), point.step));
        let odd = told.last.is_some_and(|point| point.value.is_none());
        Row::new()
            .field(Style::Bold, &told.step_name, steps)
            .space(2)
            .field(Style::Dim, &format!("attempt {}", told.attempt), 10)
            .space(2)
            .field(Style::Plain, &told.name, names)
            .space(2)
            .add(if odd { Style::Bad } else { Style::Plain }, &last)
            .add(Style::Dim, &format!("  {} to {}, {} points", short(told.least), short(told.most), told.points))
    };
    all.iter().map(row).collect()
}

/// `report`: a line in a file of the step's own folder, which the engine reads; also while no engine lives.
pub(super) fn report(face: &Face, args: &Report) -> Ended {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let place = variable("DOGWATCH_DIR").zip(variable("DOGWATCH_ATTEMPT").and_then(|n| n.parse::<u32>().ok()));
    let Some((dir, attempt)) = place else {
        return Err(Failure::new(Exit::Usage, "`report` is for programs inside a step".to_owned())
            .hint("$DOGWATCH_DIR and $DOGWATCH_ATTEMPT are not set here"));
    };
    let mut line = said(&args.what)?.to_string();
    line.push('\n');
    let path = PathBuf::from(dir).join(reports_of(attempt));
    let mut file = std::fs::OpenOptions::new();
    // One write a line: several processes may report at once.
    let file = file.append(true).create(true).mode(0o600).open(&path);
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot write {}: {error}", path.display())))?;
    face.screen.done("reported")?;
    Ok(Exit::Good)
}

fn said(what: &ReportVerb) -> Result<serde_json::Value, Failure> {
    let wrong = |words: String, hint: &'static str| Failure::new(Exit::Usage, words).hint(hint);
    Ok(match what {
        ReportVerb::Progress { done } => {
            let told = Parser::NOfM.line(done).or_else(|| Parser::Percent.line(done));
            let told = told.ok_or_else(|| wrong(format!("{done:?} tells no progress"), "write 3/10 or 30%"))?;
            serde_json::json!({ "progress": { "done": told.done, "total": told.total } })
        }
        ReportVerb::Metric { pairs } => {
            let mut values = serde_json::Map::new();
            for pair in pairs {
                let number = pair.split_once('=').and_then(|(name, value)| Some((name, value.parse::<f64>().ok()?)));
                let (name, value) =
                    number.ok_or_else(|| wrong(format!("{pair:?} is no number with a name"), "write loss=0.5"))?;
                // JSON has no other word for what is no number.
                let value = serde_json::Number::from_f64(value)
                    .map_or_else(|| serde_json::Value::String(value.to_string()), serde_json::Value::Number);
                values.insert(name.to_owned(), value);
            }
            serde_json::json!({ "metric": values })
        }
        ReportVerb::Note { text } => {
            let text = text.join(" ");
            let short: String = text.chars().take(NOTE).collect();
            if short.trim().is_empty() {
                return Err(wrong("the note says nothing".to_owned(), "write `dogwatch report note \"best so far\"`"));
            }
            serde_json::json!({ "note": short })
        }
        ReportVerb::Checkpoint { path, step } => {
            serde_json::json!({ "checkpoint": { "path": path, "step": step } })
        }
    })
}
