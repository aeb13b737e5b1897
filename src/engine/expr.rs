//! Expressions: what `if`, `show` and `${{ … }}` mean. Minijinja's expression mode over params, matrix and earlier steps.
//!
//! Pure and bounded: no filter reads a file, evaluation has fuel, a source has at most [`LONGEST`] bytes. Undefined is an
//! error, never empty, and only a boolean is a condition.
//!
//! `params.x`, `matrix.x`, `steps.x`, `steps.x.outputs.y`, `same(…).outputs.y` and `best(…).outputs.y` are replaced by names of the same length
//! before minijinja sees them. So a step may be called `half-batch` or `7b` (to minijinja the first is a subtraction), what an expression
//! mentions is known without running it, only that much is looked up, and the places of errors stay true.

mod path;
mod scan;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use indexmap::IndexMap;
use minijinja::value::{Object, Rest, ValueKind};
use minijinja::{Environment, ErrorKind, UndefinedBehavior};

use crate::model::{Part, Template, Value};
pub use path::{Asked, Mention, Mode, Which};
use scan::{Scanned, placeholder};
pub use scan::{pieces, split};

/// The longest source of an expression, in bytes: bounds how deep minijinja can recurse.
pub const LONGEST: usize = 1000;

/// Instructions and memory that one evaluation may use, in minijinja's units.
const FUEL: u64 = 50_000;

/// Functions that an expression may call.
const FUNCTIONS: [&str; 5] = ["failed", "succeeded", "min", "max", "isnan"];

/// What an expression sees.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub params: &'a IndexMap<String, Value>,
    /// The lane's values; empty without a matrix.
    pub matrix: &'a IndexMap<String, Value>,
    /// How far a step is; asked only for the steps that the expression mentions.
    pub step: &'a dyn Fn(&str) -> Option<StepState>,
    /// What is asked of a lane of a step, or why that has no value.
    pub of: &'a dyn Fn(&str, &Which, &Asked) -> Result<Value, String>,
}

/// How far a step is, as expressions see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    Succeeded,
    Failed,
    Skipped,
    Unfinished,
}

/// Why an expression cannot be read or has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExprError {
    pub message: String,
    pub hint: Option<String>,
    /// Bytes of the source; for a [`Template`], of the whole text.
    pub at: Option<Range<usize>>,
    /// It has a value, and this is of the wrong type.
    pub wrong_type: bool,
}

impl ExprError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, at: None, wrong_type: false }
    }

    fn wrong_type(message: impl Into<String>) -> Self {
        Self { wrong_type: true, ..Self::new(message) }
    }

    fn at(mut self, at: Range<usize>) -> Self {
        self.at = Some(at);
        self
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Moves the place to where the expression's source begins in a larger text.
    #[must_use]
    pub fn shifted(mut self, by: usize) -> Self {
        self.at = self.at.map(|at| at.start + by..at.end + by);
        self
    }
}

/// The text of a template with the values of a scope in it.
pub fn render(template: &Template, scope: &Scope<'_>) -> Result<String, ExprError> {
    let mut text = String::new();
    for part in &template.0 {
        match part {
            Part::Text(plain) => text.push_str(plain),
            Part::Expression(source) => text.push_str(&value(source, scope)?),
        }
    }
    Ok(text)
}

/// The value of one expression as text. Only texts, numbers and booleans have one.
pub fn value(source: &str, scope: &Scope<'_>) -> Result<String, ExprError> {
    let value = evaluate(source, scope)?;
    let kind = value.kind();
    if kind == ValueKind::Bool {
        // As the file writes them; minijinja says `True` and `0.0000001`.
        return Ok(Value::Boolean(value.is_true()).to_string());
    }
    if kind == ValueKind::Number {
        let float = f64::try_from(value.clone()).ok().filter(|_| !value.is_integer());
        return Ok(float.map_or_else(|| value.to_string(), |float| Value::Number(float).to_string()));
    }
    if kind == ValueKind::String {
        return Ok(value.to_string());
    }
    let words = format!("the expression gives {}, not a text, a number or a boolean", in_words(&value));
    Err(ExprError::wrong_type(words).at(0..source.len()))
}

/// Whether a condition holds. Anything but a boolean is an error.
pub fn holds(source: &str, scope: &Scope<'_>) -> Result<bool, ExprError> {
    let value = evaluate(source, scope)?;
    if value.kind() == ValueKind::Bool {
        return Ok(value.is_true());
    }
    Err(ExprError::wrong_type(format!("a condition must be true or false, and this is {}", in_words(&value)))
        .at(0..source.len())
        .hint("compare it with something, as in `params.target == 'prod'`"))
}

/// Checks the syntax and the functions of an expression and tells what it mentions, with the place of each.
pub fn mentions(source: &str) -> Result<Vec<(Mention, Range<usize>)>, ExprError> {
    let scanned = Scanned::new(source)?;
    scanned.compile()?;
    Ok(scanned.mentions)
}

fn in_words(value: &minijinja::Value) -> String {
    if value.downcast_object_ref::<StepObject>().is_some() {
        return "a step".into();
    }
    let words = [
        (ValueKind::Undefined, "nothing"),
        (ValueKind::None, "nothing"),
        (ValueKind::Bool, "a boolean"),
        (ValueKind::String, "a text"),
        (ValueKind::Seq, "a list"),
        (ValueKind::Iterable, "a list"),
        (ValueKind::Map, "a table"),
    ];
    let kind = value.kind();
    match words.iter().find(|(known, _)| *known == kind) {
        Some((_, words)) => (*words).to_owned(),
        None => format!("the {kind} {value}"),
    }
}

fn evaluate(source: &str, scope: &Scope<'_>) -> Result<minijinja::Value, ExprError> {
    let scanned = Scanned::new(source)?;
    let compiled = scanned.compile()?;
    let mut values = BTreeMap::new();
    for (n, (mention, at)) in scanned.mentions.iter().enumerate() {
        let value = look_up(mention, scope).map_err(|error| error.at(at.clone()))?;
        values.insert(placeholder(n, at.len()), value);
    }
    compiled.eval(minijinja::Value::from(values)).map_err(|error| told(&error, source))
}

fn look_up(mention: &Mention, scope: &Scope<'_>) -> Result<minijinja::Value, ExprError> {
    let unknown = || ExprError::new(format!("there is no `{mention}`"));
    Ok(match mention {
        Mention::Param(name) => plain(scope.params.get(name).ok_or_else(unknown)?),
        Mention::Matrix(name) => plain(scope.matrix.get(name).ok_or_else(unknown)?),
        Mention::Step(step) => minijinja::Value::from_object(StepObject((scope.step)(step).ok_or_else(unknown)?)),
        Mention::Of { step, which, asked } => plain(&(scope.of)(step, which, asked).map_err(ExprError::new)?),
    })
}

fn plain(value: &Value) -> minijinja::Value {
    match value {
        Value::Text(text) => minijinja::Value::from(text.as_str()),
        Value::Integer(n) => minijinja::Value::from(*n),
        Value::Number(n) => minijinja::Value::from(*n),
        Value::Boolean(b) => minijinja::Value::from(*b),
    }
}

/// A step as an argument of `failed()` and `succeeded()`. It has no text and no attributes.
#[derive(Debug)]
struct StepObject(StepState);

impl Object for StepObject {}

impl Scanned<'_> {
    fn compile(&self) -> Result<minijinja::Expression<'static, 'static>, ExprError> {
        let compiled = ENVIRONMENT
            .compile_expression_owned(self.code.clone())
            .map_err(|error| told(&error, self.source).or_operators(self.source))?;
        let mut unknown: Vec<String> = compiled.undeclared_variables(false).into_iter().collect();
        unknown.retain(|name| {
            !FUNCTIONS.contains(&name.as_str())
                && !self.mentions.iter().enumerate().any(|(n, (_, at))| placeholder(n, at.len()) == *name)
        });
        unknown.sort();
        match unknown.first() {
            Some(name) => Err(self.unknown(name)),
            None => Ok(compiled),
        }
    }

    fn unknown(&self, name: &str) -> ExprError {
        let at = self.names.iter().find(|at| self.source[(*at).clone()] == *name).cloned();
        let at = at.unwrap_or(0..self.source.len());
        let hint = foreign(name).map_or_else(|| near(name), str::to_owned);
        ExprError::new(format!("there is nothing called `{name}` in expressions")).at(at).hint(hint)
    }
}

/// What is most like the name, or what there is.
fn near(name: &str) -> String {
    let known = ["params", "matrix", "steps", "best", "same"].into_iter().chain(FUNCTIONS);
    let near = known
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.8);
    match near {
        Some((_, known)) => format!("did you mean `{known}`?"),
        None => format!("a text is quoted: '{name}'; values are params.x, matrix.x and steps.x.outputs.y"),
    }
}

/// What is written here instead of a name of other tools' expressions.
fn foreign(name: &str) -> Option<&'static str> {
    Some(match name {
        "success" => "a step runs when all that it needs succeeded; another one is asked for by succeeded(steps.NAME)",
        "failure" | "cancelled" => "failed(steps.NAME) asks for a step by its name",
        "always" => {
            "a step runs whatever became of another one with: succeeded(steps.NAME) or not succeeded(steps.NAME)"
        }
        "env" | "vars" => {
            "a script sees variables itself: \"$NAME\" in `run`; what decides is a parameter: params.NAME"
        }
        "secrets" | "secret" => "write secrets = [\"NAME\"] in the step: its script sees \"$NAME\"",
        "needs" | "tasks" | "jobs" => "it is steps.NAME.outputs.OUTPUT",
        "inputs" | "github" | "runner" | "workflow" | "event" => {
            "what a run is given is a parameter: [params], params.NAME and -p NAME=VALUE"
        }
        _ => return None,
    })
}

impl ExprError {
    /// People who write C or shell every day write its operators.
    fn or_operators(mut self, source: &str) -> Self {
        if ["&&", "||", "!"].iter().any(|op| source.replace("!=", "").contains(op)) {
            self.hint = Some("the operators are called `and`, `or` and `not`".into());
        } else if source.contains('=') && !["==", "!=", "<=", ">="].iter().any(|op| source.contains(op)) {
            self.hint = Some("equality is written `==`".into());
        }
        self
    }
}

/// Minijinja with its filters and tests, none of its globals, and our functions.
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    let builtin: Vec<String> = environment.globals().map(|(name, _)| name.to_owned()).collect();
    for name in builtin {
        environment.remove_global(&name);
    }
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_debug(true);
    environment.add_function("failed", |step: minijinja::Value| in_state("failed", &step, StepState::Failed));
    environment.add_function("succeeded", |step: minijinja::Value| in_state("succeeded", &step, StepState::Succeeded));
    environment.add_function("isnan", |value: minijinja::Value| match f64::try_from(value) {
        Ok(number) => Ok(number.is_nan()),
        Err(_) => Err(minijinja::Error::new(ErrorKind::InvalidOperation, "isnan() takes a number")),
    });
    environment.add_function("min", |values: Rest<minijinja::Value>| extreme("min", &values, std::cmp::Ordering::Less));
    environment
        .add_function("max", |values: Rest<minijinja::Value>| extreme("max", &values, std::cmp::Ordering::Greater));
    environment
});

fn in_state(name: &str, step: &minijinja::Value, state: StepState) -> Result<bool, minijinja::Error> {
    let Some(object) = step.downcast_object_ref::<StepObject>() else {
        let words = format!("{name}() takes a step, as in {name}(steps.train)");
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, words));
    };
    Ok(object.0 == state)
}

/// The smallest or largest of the arguments, or of the one list that is given.
fn extreme(
    name: &str,
    values: &[minijinja::Value],
    wanted: std::cmp::Ordering,
) -> Result<minijinja::Value, minijinja::Error> {
    let wrong = || minijinja::Error::new(ErrorKind::InvalidOperation, format!("{name}() takes numbers"));
    let list: Vec<minijinja::Value> = match values {
        [one] if one.kind() == ValueKind::Seq => one.try_iter()?.collect(),
        several => several.to_vec(),
    };
    if list.is_empty() || list.iter().any(|value| value.kind() != ValueKind::Number) {
        return Err(wrong());
    }
    list.into_iter().reduce(|best, next| if next.cmp(&best) == wanted { next } else { best }).ok_or_else(wrong)
}

/// Minijinja's error in our words.
fn told(error: &minijinja::Error, source: &str) -> ExprError {
    let message = if error.kind() == ErrorKind::OutOfFuel {
        "the expression takes too long to evaluate".to_owned()
    } else {
        error.detail().map_or_else(|| error.kind().to_string(), str::to_owned)
    };
    let whole = 0..source.len();
    let at = error.range().filter(|at| {
        at.start < at.end
            && source.is_char_boundary(at.start)
            && at.end <= source.len()
            && source.is_char_boundary(at.end)
    });
    ExprError::new(message).at(at.unwrap_or(whole))
}

/// A scope in which nothing but `params` exists, for tests and for texts that stand outside of steps.
pub fn outside(params: &IndexMap<String, Value>) -> Scope<'_> {
    static NONE: LazyLock<Arc<IndexMap<String, Value>>> = LazyLock::new(Arc::default);
    Scope { params, matrix: &NONE, step: &|_| None, of: &|_, _, _| Err("there are no steps here".into()) }
}
