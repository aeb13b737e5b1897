//! What steps say about each other: `needs`, cycles, and what expressions mention.
//!
//! No recursion over `needs`: a chain of ten thousand steps is judged like one of three.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;
use regex::Regex;

use super::asked;
use super::flow::Draft;
use super::keys::nearest;
use super::phrase::{Use, Wanted};
use super::problems::MOST;
use super::read::{At, Reader, listed};
use crate::engine::expr::{self, Asked, ExprError, Mention, Scope, StepState, Which};
use crate::model::{MetricSource, MetricSpec, Step, Value};

/// Lanes whose values an expression is tried with.
const TRIED_LANES: usize = 10;

/// The steps of a file while they are judged.
pub(super) struct Judge<'a, 'd> {
    pub(super) drafts: &'d mut IndexMap<String, Draft>,
    /// All steps that are written, also those that could not be read.
    pub(super) written: &'d [&'a str],
    pub(super) params: &'d IndexMap<String, Value>,
    pub(super) declared: &'d [&'a str],
}

impl<'a> Judge<'a, '_> {
    /// Fills in the steps' `needs` and notes everything that is wrong between steps.
    pub(super) fn judge(mut self, reader: &mut Reader<'a>) {
        self.needs(reader);
        self.cycles(reader);
        let uses = std::mem::take(&mut reader.uses);
        let (mut far, mut numbers) = (Vec::new(), Vec::new());
        for one in &uses {
            if reader.found.is_crowded() {
                break;
            }
            self.check(reader, one, &mut far, &mut numbers);
        }
        self.reach(reader, far);
        for Wish { step, name, at } in numbers {
            let Some(draft) = self.drafts.get_mut(&step) else { continue };
            // Each name once.
            if !draft.step.asked.insert(name.clone())
                || draft.step.metrics.is_empty()
                || tells(&draft.step.metrics, &name)
            {
                continue;
            }
            let hint = format!(
                "name a group of a pattern so, as in (?P<{name}>…), or `dogwatch report metric {name}=…` in the step"
            );
            reader
                .found
                .warning(&at, format!("no pattern of [[steps.{step}.metrics]] has a group `{name}`"))
                .hint(hint);
        }
    }

    fn needs(&mut self, reader: &mut Reader<'a>) {
        let ids: HashMap<String, _> = self.drafts.iter().map(|(name, d)| (name.clone(), d.step.id.clone())).collect();
        let written: HashSet<&str> = self.written.iter().copied().collect();
        for (name, draft) in self.drafts.iter_mut() {
            let mut seen = HashSet::new();
            for (need, at) in &draft.needs {
                if need == name {
                    reader.found.error(at, format!("step {name} needs itself")).hint("remove it");
                } else if !seen.insert(need) {
                    reader.found.error(at, format!("step {name} needs {need} twice")).hint("remove one of them");
                } else if let Some(id) = ids.get(need) {
                    draft.step.needs.push(id.clone());
                } else if !written.contains(need.as_str()) {
                    let words = format!("step {name} needs `{need}`, and there is no such step");
                    let near = if reader.found.is_crowded() { None } else { Some(near_step(need, self.written)) };
                    reader.found.error(at, words).hint_if(near);
                }
            }
        }
    }

    /// One problem for each circle of steps that a walk in the file's order meets.
    fn cycles(&self, reader: &mut Reader<'a>) {
        let mut done = vec![false; self.drafts.len()];
        let mut on_path = vec![false; self.drafts.len()];
        let mut circles = 0;
        for start in 0..self.drafts.len() {
            // Each entry: a step, and how many of its needs have been walked.
            let mut path = vec![(start, 0)];
            while let Some((at, walked)) = path.last_mut() {
                let at = *at;
                let need = if done[at] { None } else { self.drafts[at].step.needs.get(*walked) };
                *walked += 1;
                on_path[at] = need.is_some();
                let Some(need) = need else {
                    done[at] = true;
                    path.pop();
                    continue;
                };
                let Some(next) = self.drafts.get_index_of(need.as_str()) else { continue };
                if on_path[next] && circles < MOST {
                    circles += 1;
                    let circle = path.iter().skip_while(|(step, _)| *step != next).map(|(step, _)| *step);
                    self.circle(reader, &circle.collect::<Vec<_>>());
                } else if !done[next] && !on_path[next] {
                    path.push((next, 0));
                }
            }
        }
    }

    fn circle(&self, reader: &mut Reader<'a>, circle: &[usize]) {
        let name = |n: usize| self.drafts[n].step.id.as_str();
        let mut names: Vec<&str> = circle.iter().map(|n| name(*n)).collect();
        names.push(name(circle[0]));
        if names.len() > 12 {
            names.splice(6..names.len() - 5, ["…"]);
        }
        let last = &self.drafts[*circle.last().expect("a circle has a step")];
        let at = last.needs.iter().find(|(need, _)| need == name(circle[0])).map_or(&last.at, |(_, at)| at);
        reader
            .found
            .error(at, format!("steps need each other in a circle: {}", names.join(" -> ")))
            .hint("a -> b: a needs b; remove one of these needs");
    }

    /// Checks one expression. Steps that are not needed directly are added to `far`, series of steps to `numbers`.
    fn check<'u>(&self, reader: &mut Reader<'a>, one: &'u Use, far: &mut Vec<Far<'u>>, numbers: &mut Vec<Wish>) {
        let mentions = match expr::mentions(&one.source) {
            Ok(mentions) => mentions,
            Err(error) => return tell(reader, one, &error),
        };
        let mut good = true;
        for (mention, place) in &mentions {
            let at = one.place(Some(place));
            match self.mention(one, mention) {
                Ok(None) => {}
                Ok(Some(target)) => far.push(Far { target, by: one.step.as_deref().unwrap_or_default(), at }),
                Err((message, hint)) => {
                    reader.found.error(&at, message).hint(hint);
                    good = false;
                }
            }
            numbers.extend(series(mention).map(|(step, name)| Wish {
                step: step.to_owned(),
                name: name.to_owned(),
                at: one.place(Some(place)),
            }));
        }
        if good {
            self.attempt(reader, one, &mentions);
        }
    }

    /// Whether a mention is right; the step that must be among the needs, when it is not directly.
    fn mention(&self, one: &Use, mention: &Mention) -> Result<Option<usize>, (String, String)> {
        let draft = one.step.as_ref().and_then(|step| self.drafts.get(step));
        match mention {
            Mention::Param(name) if self.declared.contains(&name.as_str()) => Ok(None),
            Mention::Param(name) => Err(no_param(name, self.declared)),
            Mention::Matrix(name) => match draft {
                None if one.step.is_some() => Ok(None),
                None => {
                    Err((format!("`matrix.{name}` is used outside of a step"), "move it into `env` of the step".into()))
                }
                Some(draft) => in_matrix(name, &draft.step).map(|()| None),
            },
            Mention::Step(step) => self.other(one, step),
            Mention::Of { step, which, asked } => {
                if let Some(target) = self.drafts.get(step) {
                    asked::has(&target.step, (which, draft.map(|by| &by.step)), asked)?;
                }
                self.other(one, step)
            }
        }
    }

    fn other(&self, one: &Use, name: &str) -> Result<Option<usize>, (String, String)> {
        let Some(by) = &one.step else {
            let hint = "move it into `env` or `inputs` of the step that needs it";
            return Err((format!("`steps.{name}` is used outside of a step"), hint.into()));
        };
        if by == name {
            return Err((format!("step {name} cannot use its own result"), "name an earlier step".into()));
        }
        let Some(target) = self.drafts.get_index_of(name) else {
            if self.written.contains(&name) {
                return Ok(None);
            }
            return Err((format!("there is no step `{name}`"), near_step(name, self.written)));
        };
        let direct = self.drafts.get(by).is_none_or(|d| d.step.needs.iter().any(|need| need.as_str() == name));
        Ok((!direct).then_some(target))
    }

    /// Notes mentions of steps that need not have ended before: one walk over all steps for 64 of those mentioned.
    fn reach(&self, reader: &mut Reader<'a>, mut far: Vec<Far<'_>>) {
        if far.is_empty() {
            return;
        }
        let needs = |draft: &Draft| {
            let known = draft.step.needs.iter().filter_map(|need| self.drafts.get_index_of(need.as_str()));
            known.collect::<Vec<usize>>()
        };
        let needs: Vec<Vec<usize>> = self.drafts.values().map(needs).collect();
        let order = in_order(&needs);
        if order.len() < needs.len() {
            // In a circle no step comes before another, and that has been told.
            return;
        }
        far.sort_by_key(|far| far.target);
        let mut targets: Vec<usize> = far.iter().map(|far| far.target).collect();
        targets.dedup();
        let mut rest = far.as_slice();
        for group in targets.chunks(64) {
            let mut before = vec![0u64; needs.len()];
            for &n in &order {
                let own = group.binary_search(&n).map_or(0, |bit| 1 << bit);
                before[n] = needs[n].iter().fold(own, |all, need| all | before[*need]);
            }
            let (these, others) = rest.split_at(rest.partition_point(|far| group.last() >= Some(&far.target)));
            rest = others;
            for far in these {
                let bit = group.binary_search(&far.target).map_or(0, |bit| 1 << bit);
                if self.drafts.get_index_of(far.by).is_some_and(|by| before[by] & bit == 0) {
                    let name = self.drafts[far.target].step.id.as_str();
                    reader
                        .found
                        .error(&far.at, format!("step {} uses step {name} and does not need it", far.by))
                        .hint(format!("add \"{name}\" to `needs` of [steps.{}]", far.by));
                }
            }
        }
    }

    /// Tries the expression with the values that are known, so that a wrong type is told before anything runs.
    fn attempt(&self, reader: &mut Reader<'a>, one: &Use, mentions: &[(Mention, At)]) {
        let has = |wanted: fn(&Mention) -> bool| mentions.iter().any(|(mention, _)| wanted(mention));
        let valued = mentions.iter().all(|(m, _)| !matches!(m, Mention::Param(p) if !self.params.contains_key(p)));
        let draft = one.step.as_ref().and_then(|step| self.drafts.get(step));
        let none = IndexMap::new();
        let mut lanes: Vec<&IndexMap<String, Value>> = vec![&none];
        if has(|mention| matches!(mention, Mention::Matrix(_))) {
            lanes = draft.into_iter().flat_map(|d| &d.step.lanes).map(|lane| &lane.values).take(TRIED_LANES).collect();
            lanes.retain(|values| !values.is_empty());
        }
        let states = if has(|mention| matches!(mention, Mention::Step(_))) {
            &[StepState::Succeeded, StepState::Failed][..]
        } else {
            &[StepState::Succeeded][..]
        };
        let later = has(|mention| matches!(mention, Mention::Of { .. }));
        let tries = lanes.iter().flat_map(|lane| states.iter().map(move |state| (*lane, *state)));
        for (matrix, state) in tries.filter(|_| valued) {
            let step = |_: &str| Some(state);
            let of = |step: &str, _: &Which, asked: &Asked| Ok(self.sample(step, asked));
            let scope = Scope { params: self.params, matrix, step: &step, of: &of };
            let result = match one.wanted {
                Wanted::Condition => expr::holds(&one.source, &scope).map(drop),
                Wanted::Text => expr::value(&one.source, &scope).map(drop),
            };
            match result {
                // What is known only later can make a difference to the value, not to its type.
                Err(error) if error.wrong_type || !later => return tell(reader, one, &error),
                Ok(()) | Err(_) => {}
            }
        }
    }

    /// Something of the type that it will have.
    fn sample(&self, step: &str, asked: &Asked) -> Value {
        let step = self.drafts.get(step).map(|draft| &draft.step);
        let known = match asked {
            Asked::Output(name) => {
                step.and_then(|step| step.outputs.get(name)).map(|output| Value::Text(output.path.clone()))
            }
            Asked::Matrix(key) => step.and_then(|step| step.lanes.first()?.values.get(key).cloned()),
            Asked::Metric(_) => Some(Value::Number(1.0)),
            Asked::Lane => None,
        };
        known.unwrap_or_else(|| Value::Text("text".into()))
    }
}

/// The steps so that each comes after its needs; those in a circle, and after one, are missing.
fn in_order(needs: &[Vec<usize>]) -> Vec<usize> {
    let mut after = vec![vec![]; needs.len()];
    let mut open: Vec<usize> = needs.iter().map(Vec::len).collect();
    for (n, needs) in needs.iter().enumerate() {
        for need in needs {
            after[*need].push(n);
        }
    }
    let mut order: Vec<usize> = (0..needs.len()).filter(|n| open[*n] == 0).collect();
    let mut next = 0;
    while let Some(&n) = order.get(next) {
        next += 1;
        for &later in &after[n] {
            open[later] -= 1;
            if open[later] == 0 {
                order.push(later);
            }
        }
    }
    order
}

/// A mention of a step that is not needed directly.
struct Far<'u> {
    target: usize,
    by: &'u str,
    at: At,
}

fn tell(reader: &mut Reader<'_>, one: &Use, error: &ExprError) {
    reader.found.error(&one.place(error.at.as_ref()), error.message.clone()).hint_if(error.hint.clone());
}

fn near_step(name: &str, written: &[&str]) -> String {
    // Ten thousand misspelt needs among ten thousand steps would be compared all day.
    match nearest(name, written.iter().copied().take(1000)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if written.len() <= 12 => format!("steps are {}", listed(written)),
        None => format!("add a table [steps.{name}]"),
    }
}

fn no_param(name: &str, declared: &[&str]) -> (String, String) {
    let hint = match nearest(name, declared.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("add it to [params]: {name} = {{ type = \"string\", default = \"…\" }}"),
    };
    (format!("there is no parameter `{name}`"), hint)
}

pub(super) fn in_matrix(name: &str, step: &Step) -> Result<(), (String, String)> {
    if !step.has_matrix {
        let hint = format!("add [steps.{}.matrix] with a list `{name}`", step.id);
        return Err((format!("`matrix.{name}` is used, and step {} has no matrix", step.id), hint));
    }
    let values = &step.lanes[0].values;
    // No values: the matrix itself is wrong, and that has been told.
    if values.is_empty() || values.contains_key(name) {
        return Ok(());
    }
    let keys: Vec<&str> = values.keys().map(String::as_str).collect();
    let hint = match nearest(name, keys.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("keys of the matrix are {}", listed(&keys)),
    };
    Err((format!("the matrix of step {} has no key `{name}`", step.id), hint))
}

/// A series of a step whose last value an expression asks for.
struct Wish {
    step: String,
    name: String,
    at: At,
}

/// Whether a series of this name may come of what a step declares: files may hold anything.
fn tells(declared: &[MetricSpec], name: &str) -> bool {
    declared.iter().any(|spec| match &spec.source {
        MetricSource::File(_) => true,
        MetricSource::Pattern(pattern) => {
            Regex::new(pattern).is_ok_and(|pattern| pattern.capture_names().flatten().any(|group| group == name))
        }
    })
}

/// The series that a mention needs the last value of, with their steps.
fn series(mention: &Mention) -> impl Iterator<Item = (&str, &str)> {
    let (by, own) = match mention {
        Mention::Of { step, which, asked } => {
            let by = if let Which::Best { by, .. } = which { Some((step.as_str(), by.as_str())) } else { None };
            let own = if let Asked::Metric(name) = asked { Some((step.as_str(), name.as_str())) } else { None };
            (by, own)
        }
        Mention::Param(_) | Mention::Matrix(_) | Mention::Step(_) => (None, None),
    };
    by.into_iter().chain(own)
}
