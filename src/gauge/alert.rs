//! Conditions on metrics: `isnan(loss) or loss > 3 * min(loss, last=200)`. Fed with values, it says when one begins to hold.
//! Pure; what follows from it is others'.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::LazyLock;

use minijinja::{Environment, Value};
use regex::Regex;

/// So many of the newest values of a metric are looked back on, at most.
pub const FAR: usize = 10_000;
/// Steps that one look may take.
const FUEL: u64 = 10_000;
/// The same where nothing is said.
const USUAL: usize = 1_000;

/// A condition that cannot be read, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadCondition(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fold {
    Min,
    Max,
    Mean,
}

/// `min(loss, last=200)`, and the name of its value.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Folded {
    value: String,
    fold: Fold,
    metric: String,
    last: usize,
}

/// `isnan(loss)`, and the name of its value.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Odd {
    value: String,
    /// Else it asks for what is infinite.
    nan: bool,
    metric: String,
}

/// In place of what is no number. Nothing that is compared with it may depend on which of the two it is.
const NEITHER: [f64; 2] = [1e300, -1e300];

/// A condition, and the values that it looks at.
pub struct Condition {
    environment: Environment<'static>,
    source: String,
    folds: Vec<Folded>,
    odd: Vec<Odd>,
    names: BTreeSet<String>,
    seen: HashMap<String, VecDeque<f64>>,
    held: bool,
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Condition").field("names", &self.names).field("held", &self.held).finish_non_exhaustive()
    }
}

impl Condition {
    /// Reads one.
    ///
    /// # Errors
    /// In words, where it is none.
    pub fn new(source: &str) -> Result<Self, BadCondition> {
        static FOLD: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"\b(min|max|mean)\(\s*([A-Za-z_]\w*)\s*(?:,\s*last\s*=\s*(\d{1,6})\s*)?\)")
                .expect("a pattern of this file is well formed")
        });
        static ODD: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"\bis(nan|inf)\(\s*([A-Za-z_]\w*)\s*\)").expect("a pattern of this file is well formed")
        });
        let mut folds: Vec<Folded> = Vec::new();
        let replaced = FOLD.replace_all(source, |found: &regex::Captures<'_>| {
            let fold = match &found[1] {
                "min" => Fold::Min,
                "max" => Fold::Max,
                _ => Fold::Mean,
            };
            let last = found.get(3).and_then(|last| last.as_str().parse().ok()).unwrap_or(USUAL);
            let value = format!("_fold{}", folds.len());
            folds.push(Folded { value: value.clone(), fold, metric: found[2].into(), last: last.clamp(1, FAR) });
            value
        });
        let mut odd: Vec<Odd> = Vec::new();
        let replaced = ODD.replace_all(&replaced, |found: &regex::Captures<'_>| {
            let value = format!("_odd{}", odd.len());
            odd.push(Odd { value: value.clone(), nan: &found[1] == "nan", metric: found[2].into() });
            value
        });
        let mut environment = Environment::empty();
        environment.add_function("isnan", |value: f64| value.is_nan());
        environment.add_function("isinf", |value: f64| value.is_infinite());
        let bad = |error: minijinja::Error| {
            BadCondition(error.detail().map_or_else(|| error.kind().to_string(), str::to_owned))
        };
        environment.set_fuel(Some(FUEL));
        let source = replaced.into_owned();
        let compiled = environment.compile_expression(&source).map_err(bad)?;
        let mut names: BTreeSet<String> = compiled.undeclared_variables(false).into_iter().collect();
        drop(compiled);
        names.retain(|name| {
            let own = name.starts_with("_fold") || name.starts_with("_odd");
            !own && !matches!(name.as_str(), "isnan" | "isinf")
        });
        names.extend(odd.iter().map(|odd| odd.metric.clone()));
        names.extend(folds.iter().map(|fold| fold.metric.clone()));
        if names.is_empty() {
            return Err(BadCondition("it names no metric".into()));
        }
        let mut condition = Self { environment, source, folds, odd, names, seen: HashMap::new(), held: false };
        // With any numbers it must be true or false.
        for name in condition.names.clone() {
            condition.seen.insert(name, VecDeque::from([1.0]));
        }
        condition.holds().map_err(BadCondition)?;
        condition.seen.clear();
        Ok(condition)
    }

    /// A value of a metric. True when the condition begins to hold with it.
    pub fn see(&mut self, metric: &str, value: f64) -> bool {
        if !self.names.contains(metric) {
            return false;
        }
        let far = self.folds.iter().filter(|fold| fold.metric == metric).map(|fold| fold.last).max().unwrap_or(1);
        let seen = self.seen.entry(metric.to_owned()).or_default();
        seen.push_back(value);
        while seen.len() > far {
            seen.pop_front();
        }
        let held = self.held;
        // Without a value of each there is nothing to say.
        self.held = self.seen.len() == self.names.len() && self.holds().unwrap_or(false);
        self.held && !held
    }

    /// It holds with the newest values.
    pub fn is_held(&self) -> bool {
        self.held
    }

    fn holds(&self) -> Result<bool, String> {
        let nan = self.seen.values().any(|seen| seen.back().is_some_and(|newest| newest.is_nan()));
        let [one, other] = NEITHER;
        // What is no number is neither more nor less than any other.
        Ok(self.holds_with(one)? && (!nan || self.holds_with(other)?))
    }

    fn holds_with(&self, neither: f64) -> Result<bool, String> {
        let mut values: BTreeMap<&str, Value> = BTreeMap::new();
        for (name, seen) in &self.seen {
            if let Some(newest) = seen.back() {
                values.insert(name, Value::from(if newest.is_nan() { neither } else { *newest }));
            }
        }
        for Odd { value, nan, metric } in &self.odd {
            let newest = self.seen.get(metric).and_then(VecDeque::back);
            let is_so = newest.is_some_and(|newest| if *nan { newest.is_nan() } else { newest.is_infinite() });
            values.insert(value, Value::from(is_so));
        }
        for Folded { value, fold, metric, last } in &self.folds {
            let seen = self.seen.get(metric).into_iter().flatten().rev().take(*last);
            let numbers: Vec<f64> = seen.copied().filter(|value| value.is_finite()).collect();
            values.insert(value, Value::from(folded(*fold, &numbers)));
        }
        let compiled = self.environment.compile_expression(&self.source).map_err(|error| error.to_string())?;
        let value = compiled.eval(Value::from_pairs(values)).map_err(|error| error.to_string())?;
        let kind = value.kind();
        if kind == minijinja::value::ValueKind::Bool {
            return Ok(value.is_true());
        }
        Err(format!("a condition must be true or false, and this is a {kind}"))
    }
}

fn folded(fold: Fold, numbers: &[f64]) -> f64 {
    match fold {
        Fold::Min => numbers.iter().copied().fold(f64::INFINITY, f64::min),
        Fold::Max => numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        Fold::Mean => {
            let (sum, count) = numbers.iter().fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
            if count > 0.0 { sum / count } else { f64::NAN }
        }
    }
}
