//! What an expression refers to, and how that is written: `params.x`, `steps.x.outputs.y`, `best(…).outputs.y`. Evaluates
//! nothing.

use std::fmt;
use std::ops::Range;

use super::ExprError;

/// What an expression refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mention {
    Param(String),
    Matrix(String),
    /// A step as a whole: `failed(steps.x)`.
    Step(String),
    /// Something of one lane of a step.
    Of {
        step: String,
        which: Which,
        asked: Asked,
    },
}

/// Which lane of a step is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The only one.
    Only,
    /// The one with these values, as its name has them: `lr=0.1,seed=1`.
    Lane(String),
    /// The one with the values that the asking lane has too: of a step whose matrix has no other keys.
    Same,
    /// Of those that succeeded, the one with the smallest or largest last value of a series.
    Best { by: String, mode: Mode },
}

/// What is best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Min,
    Max,
}

/// What is asked of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The path of this output.
    Output(String),
    /// The last value of this series.
    Metric(String),
    /// Its value of this key of the matrix.
    Matrix(String),
    /// Its name, `train[lr=0.1]`.
    Lane,
}

impl fmt::Display for Mention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Param(name) => write!(f, "params.{name}"),
            Self::Matrix(name) => write!(f, "matrix.{name}"),
            Self::Step(step) => write!(f, "steps.{step}"),
            Self::Of { step, which, asked } => match which {
                Which::Only => write!(f, "steps.{step}.{asked}"),
                Which::Lane(lane) => write!(f, "steps['{step}[{lane}]'].{asked}"),
                Which::Same => write!(f, "same(steps.{step}).{asked}"),
                Which::Best { by, mode } => write!(f, "best(steps.{step}, by='{by}', mode='{mode}').{asked}"),
            },
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Min => "min",
            Self::Max => "max",
        })
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output(name) => write!(f, "outputs.{name}"),
            Self::Metric(name) => write!(f, "metrics.{name}"),
            Self::Matrix(name) => write!(f, "matrix.{name}"),
            Self::Lane => f.write_str("lane"),
        }
    }
}

/// The reference that begins with the root in `root`, and where it ends.
pub(super) fn path(source: &str, root: &Range<usize>) -> Result<(Mention, usize), ExprError> {
    let word = &source[root.clone()];
    if word == "steps" {
        return of_step(source, root);
    }
    let Some((name, end)) = segment(source, root.end, Names::Plain) else {
        return Err(ExprError::new(format!("`{word}` must be followed by a name"))
            .at(root.clone())
            .hint(format!("write it as in `{word}.name`")));
    };
    Ok((if word == "params" { Mention::Param(name) } else { Mention::Matrix(name) }, end))
}

/// `steps.x`, `steps.x.outputs.y`, `steps['x[lr=0.1]'].metrics.loss`
fn of_step(source: &str, root: &Range<usize>) -> Result<(Mention, usize), ExprError> {
    let Some((name, end)) = segment(source, root.end, Names::Lanes) else {
        return Err(ExprError::new("`steps` must be followed by a name")
            .at(root.clone())
            .hint("write it as in `steps.train.outputs.model`"));
    };
    let lane =
        name.split_once('[').and_then(|(step, lane)| Some((step.to_owned(), lane.strip_suffix(']')?.to_owned())));
    let (step, which) = match lane {
        Some((step, lane)) => (step, Which::Lane(lane)),
        None => (name, Which::Only),
    };
    let Some((what, after)) = segment(source, end, Names::Dashed) else {
        return match which {
            Which::Only => Ok((Mention::Step(step), end)),
            Which::Lane(_) | Which::Same | Which::Best { .. } => Err(ExprError::new("a lane as a whole has no value")
                .at(root.start..end)
                .hint(format!("write steps['{step}[…]'].outputs.name, or ask for the step: succeeded(steps.{step})"))),
        };
    };
    let (asked, end) = asked(source, &what, end..after)?.ok_or_else(|| {
        ExprError::new(format!("a step has no `{what}`")).at(end..after).hint(format!(
            "write steps.{step}.outputs.name, steps.{step}.metrics.name, failed(steps.{step}) or succeeded(steps.{step})"
        ))
    })?;
    Ok((Mention::Of { step, which, asked }, end))
}

/// What follows `outputs` or `metrics`, which stands at `at`; `None` for another word.
fn asked(source: &str, what: &str, at: Range<usize>) -> Result<Option<(Asked, usize)>, ExprError> {
    let (names, make): (_, fn(String) -> Asked) = match what {
        "outputs" => (Names::Dashed, Asked::Output),
        "metrics" => (Names::Any, Asked::Metric),
        _ => return Ok(None),
    };
    match segment(source, at.end, names) {
        Some((name, end)) => Ok(Some((make(name), end))),
        None => Err(ExprError::new(format!("`{what}` must be followed by a name"))
            .at(at)
            .hint(format!("write it as in `steps.train.{what}.name`"))),
    }
}

/// How `best` is written.
const BEST: &str = "write it as in best(steps.train, by='loss', mode='min').outputs.model";

/// `best(steps.x, by='loss', mode='min').outputs.y`, which begins with the word in `root`; and where it ends.
pub(super) fn best(source: &str, root: &Range<usize>) -> Result<(Mention, usize), ExprError> {
    let mut at = root.end;
    let wrong = |what: &str, at: usize| {
        let end = source[at..].chars().next().map_or(at, |c| at + c.len_utf8());
        let place = if end > at { at..end } else { root.clone() };
        ExprError::new(what).at(place).hint(BEST)
    };
    expect(source, &mut at, "(").ok_or_else(|| wrong("`best` is a function", source.len()))?;
    at = skip(source, at);
    if !source[at..].starts_with("steps") {
        return Err(wrong("best() takes a step first", at));
    }
    let (mention, end) = of_step(source, &(at..at + "steps".len()))?;
    let Mention::Step(step) = mention else {
        return Err(ExprError::new("best() takes a step, not something of it").at(at..end).hint(BEST));
    };
    at = end;
    let (mut by, mut mode) = (None, None);
    while expect(source, &mut at, ",").is_some() {
        let start = skip(source, at);
        if source[start..].starts_with(')') {
            break;
        }
        let (key, value, end) =
            keyword(source, start).ok_or_else(|| wrong("best() takes by='…' and mode='…'", start))?;
        match (key, value) {
            ("by", value) if !value.is_empty() => by = Some(value.to_owned()),
            ("mode", "min") => mode = Some(Mode::Min),
            ("mode", "max") => mode = Some(Mode::Max),
            ("mode", _) => return Err(ExprError::new("`mode` of best() is 'min' or 'max'").at(start..end).hint(BEST)),
            (_, _) => return Err(ExprError::new("best() takes by='…' and mode='…'").at(start..end).hint(BEST)),
        }
        at = end;
    }
    let close = at;
    expect(source, &mut at, ")").ok_or_else(|| wrong("`best(` is never closed", close))?;
    let call = root.start..at;
    let by =
        by.ok_or_else(|| ExprError::new("best() needs by='…', the name of a metric").at(call.clone()).hint(BEST))?;
    let mode =
        mode.ok_or_else(|| ExprError::new("best() needs mode='min' or mode='max'").at(call.clone()).hint(BEST))?;
    let (asked, end) = of_lane(source, call)?;
    Ok((Mention::Of { step, which: Which::Best { by, mode }, asked }, end))
}

/// How `same` is written.
const SAME: &str = "write it as in same(steps.train).outputs.model";

/// `same(steps.x).outputs.y`, which begins with the word in `root`; and where it ends.
pub(super) fn same(source: &str, root: &Range<usize>) -> Result<(Mention, usize), ExprError> {
    let mut at = root.end;
    let wrong = |what: &str, at: Range<usize>| ExprError::new(what).at(at).hint(SAME);
    expect(source, &mut at, "(").ok_or_else(|| wrong("`same` is a function", root.clone()))?;
    at = skip(source, at);
    if !source[at..].starts_with("steps") {
        return Err(wrong("same() takes a step", root.clone()));
    }
    let (mention, end) = of_step(source, &(at..at + "steps".len()))?;
    let Mention::Step(step) = mention else {
        return Err(wrong("same() takes a step, not something of it", at..end));
    };
    at = end;
    expect(source, &mut at, ")").ok_or_else(|| wrong("same() takes one step, and `)` follows it", root.start..end))?;
    let (asked, end) = of_lane(source, root.start..at)?;
    Ok((Mention::Of { step, which: Which::Same, asked }, end))
}

/// What is asked of the lane that the call in `call` chooses; and where it ends.
fn of_lane(source: &str, call: Range<usize>) -> Result<(Asked, usize), ExprError> {
    let incomplete = || {
        ExprError::new("what of that lane is meant is not said")
            .at(call.clone())
            .hint("write .outputs.name, .metrics.name, .matrix.key or .lane behind it")
    };
    let (what, after) = segment(source, call.end, Names::Dashed).ok_or_else(incomplete)?;
    Ok(match what.as_str() {
        "lane" => (Asked::Lane, after),
        "matrix" => {
            let (key, end) = segment(source, after, Names::Plain).ok_or_else(incomplete)?;
            (Asked::Matrix(key), end)
        }
        other => asked(source, other, call.end..after)?.ok_or_else(incomplete)?,
    })
}

/// `by = 'loss'` at `at`: the key, the text, and where it ends.
fn keyword(source: &str, at: usize) -> Option<(&str, &str, usize)> {
    let key = source[at..].split(|c| !is_name(c)).next()?;
    let mut end = at + key.len();
    expect(source, &mut end, "=")?;
    let start = skip(source, end);
    let quote = source[start..].chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let length = source[start + 1..].find(quote)?;
    let text = &source[start + 1..start + 1 + length];
    (!text.contains('\\')).then_some((key, text, start + length + 2))
}

/// Takes a sign, also behind spaces.
fn expect(source: &str, at: &mut usize, sign: &str) -> Option<()> {
    let start = skip(source, *at);
    source[start..].starts_with(sign).then(|| *at = start + sign.len())
}

fn skip(source: &str, at: usize) -> usize {
    source.len() - source[at..].trim_start().len()
}

/// Which signs a name may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Plain,
    Dashed,
    /// In quotes also with a lane behind it: `train[lr=0.1]`.
    Lanes,
    /// In quotes anything.
    Any,
}

/// `.name` or `['name']` at `at`: the name, and where it ends.
fn segment(source: &str, at: usize, names: Names) -> Option<(String, usize)> {
    let rest = &source[at..];
    if let Some(name) = rest.strip_prefix('.') {
        let dashes = names != Names::Plain;
        let end = name.find(|c| !(is_name(c) || dashes && c == '-')).unwrap_or(name.len());
        return (end > 0).then(|| (name[..end].to_owned(), at + 1 + end));
    }
    for quote in ['\'', '"'] {
        if let Some(inner) = rest.strip_prefix('[').and_then(|rest| rest.strip_prefix(quote)) {
            let (name, after) = inner.split_once(quote)?;
            let plain = |text: &str| !text.is_empty() && text.chars().all(|c| is_name(c) || c == '-');
            let usable = match names {
                Names::Plain | Names::Dashed => plain(name),
                Names::Lanes => {
                    plain(name) || name.ends_with(']') && name.split_once('[').is_some_and(|(step, _)| plain(step))
                }
                Names::Any => !name.is_empty() && !name.contains('\\'),
            };
            return (usable && after.starts_with(']')).then(|| (name.to_owned(), at + name.len() + 4));
        }
    }
    None
}

pub(super) fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
