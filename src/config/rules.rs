//! Rules that judge failures: the built-in ones (`config/rules.toml`), the operator's own file of the same format, and
//! `[[rules]]` of a workflow. Every mistake is told with its place and a hint. Owns the format; what rules do is the judge's.

use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Kind, nearest};
use super::problems::{Found, Problems};
use super::read::{At, Item};
use super::units;
use crate::judge::{BadRule, Facts, Judge, Rules};
use crate::model::{Advice, Class, Role, RuleSpec, Strength};

const BUILT_IN: &str = include_str!("../../config/rules.toml");

/// More rules than anybody writes; each costs memory in every judge.
const MOST: usize = 2000;

/// Of one workflow: each is tried with its example before a run starts.
const MOST_OF_A_WORKFLOW: usize = 200;

/// Where the operator's own rules are looked for: beside his `config.toml`. `None`: there is no home.
pub fn place(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    super::user::place(variable).map(|file| file.with_file_name("rules.toml"))
}

/// The built-in rules as they are written.
///
/// # Panics
///
/// Never in a program whose tests pass: one of them reads the file.
pub fn built_in_specs() -> Vec<RuleSpec> {
    parse(BUILT_IN, "config/rules.toml").expect("a test reads them")
}

/// The built-in rules, ready.
///
/// # Panics
///
/// Never in a program whose tests pass: one of them makes them ready.
pub fn built_in() -> Rules {
    static READY: LazyLock<Rules> =
        LazyLock::new(|| Rules::new(vec![], built_in_specs()).expect("a test makes them ready"));
    READY.clone()
}

/// The rules of a workflow, then the operator's own, before the built-in ones. A file that is not there says nothing.
pub fn load(path: Option<&Path>, workflow: &[RuleSpec]) -> Result<Rules, Problems> {
    let path = path.filter(|path| path.exists());
    let file = path.map(Path::to_string_lossy).unwrap_or_default();
    let own = path.map_or_else(|| Ok(Vec::new()), |path| parse(&super::text(path, &file)?, &file))?;
    before_built_in(workflow.iter().cloned().chain(own).collect())
        .map_err(|error| Problems::of_file(&file, error.to_string(), "remove some of the rules"))
}

/// The rules of a workflow alone before the built-in ones.
pub fn of_workflow(workflow: &[RuleSpec]) -> Result<Rules, BadRule> {
    before_built_in(workflow.to_vec())
}

fn before_built_in(own: Vec<RuleSpec>) -> Result<Rules, BadRule> {
    if own.is_empty() {
        return Ok(built_in());
    }
    Rules::new(own, built_in_specs()).map_err(|(_, error)| error)
}

/// Reads rules from their text.
pub fn parse(source: &str, file: &str) -> Result<Vec<RuleSpec>, Problems> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let (tree, errors) = DeTable::parse_recoverable(source);
    let mut found = Found::default();
    super::syntax(&mut found, source, &errors);
    let mut rules = Vec::new();
    if !found.has_errors() {
        let mut reader = Reader { found: &mut found, ids: Vec::new(), examples: None };
        rules = reader.file(tree.get_ref());
    }
    if found.has_errors() { Err(found.into_problems(file, source)) } else { Ok(rules) }
}

/// `[[rules]]` of a workflow, each with the place of its example.
pub(super) fn read(found: &mut Found, item: &Item<'_>) -> Vec<(RuleSpec, At)> {
    let mut reader = Reader { found, ids: Vec::new(), examples: Some(Vec::new()) };
    let rules = reader.list(&item.key_at, item.value, MOST_OF_A_WORKFLOW);
    let examples = reader.examples.unwrap_or_default();
    rules.into_iter().zip(examples).collect()
}

/// Notes rules of a workflow whose example is judged by another rule, or not at all.
pub(super) fn try_examples(rules: &[(RuleSpec, At)], found: &mut Found) {
    let specs: Vec<RuleSpec> = rules.iter().map(|(spec, _)| spec.clone()).collect();
    let all = match of_workflow(&specs) {
        Ok(all) => all,
        Err(bad) => {
            if let Some((_, at)) = rules.first() {
                found.error(at, format!("the rules cannot be used together: {bad}")).hint("make them fewer or smaller");
            }
            return;
        }
    };
    let reasons = rules.iter().filter(|(spec, _)| spec.role == Role::Root && spec.pattern.is_some());
    for (spec, at) in reasons {
        let mut judge = Judge::new(&all);
        spec.example.lines().for_each(|line| judge.line(line));
        let (exit_code, signal) = match (spec.exit_codes.first(), spec.signals.first()) {
            (None, Some(signal)) => (None, Some(*signal)),
            (code, _) => (Some(code.copied().unwrap_or(1)), None),
        };
        let said = judge.end(&Facts { exit_code, signal, ..Facts::default() });
        if said.rule.as_deref() != Some(spec.id.as_str()) && said.class != spec.class {
            let by = said.rule.map_or_else(|| "no rule".to_owned(), |rule| format!("rule {rule}"));
            found
                .error(
                    at,
                    format!("the example of rule {} is judged {} by {by}, not {}", spec.id, said.class, spec.class),
                )
                .hint("say more in the example, also what `needs` asks for, or give the rule another `strength`");
        }
    }
}

type Value<'a> = Spanned<DeValue<'a>>;

struct Reader<'f> {
    found: &'f mut Found,
    ids: Vec<String>,
    /// Of a workflow: every rule with a pattern has an example, and this is where they stand.
    examples: Option<Vec<At>>,
}

impl Reader<'_> {
    fn file(&mut self, table: &DeTable<'_>) -> Vec<RuleSpec> {
        let mut rules = Vec::new();
        for (key, value) in table {
            if key.get_ref() != "rules" {
                let hint = "the file has only [[rules]]";
                self.found.error(&key.span(), format!("unknown key `{}`", shown(key.get_ref()))).hint(hint);
                continue;
            }
            rules.extend(self.list(&key.span(), value.get_ref(), MOST));
        }
        rules
    }

    fn list(&mut self, key_at: &At, value: &DeValue<'_>, most: usize) -> Vec<RuleSpec> {
        let Some(list) = value.as_array() else {
            self.found.error(key_at, "`rules` must be a list of tables").hint("write [[rules]]");
            return Vec::new();
        };
        if list.len() > most {
            self.found.error(key_at, format!("there are more than {most} rules")).hint("remove some");
        }
        let mut rules = Vec::new();
        for one in list.iter().take(most) {
            match one.get_ref().as_table() {
                Some(rule) => rules.extend(self.rule(rule, &one.span())),
                None => {
                    self.found.error(&one.span(), "a rule must be a table").hint("write [[rules]]");
                }
            }
        }
        rules
    }

    fn rule(&mut self, table: &DeTable<'_>, at: &Range<usize>) -> Option<RuleSpec> {
        for (key, _) in table {
            let name = key.get_ref().as_ref();
            let keys = Kind::Judging.keys();
            if !keys.contains(&name) {
                let hint = match nearest(name, keys.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("a rule has: {}", keys.join(", ")),
                };
                self.found.error(&key.span(), format!("unknown key `{}` of a rule", shown(name))).hint(hint);
            }
        }
        let id = self.id(table, at);
        let class = self.class(table, at);
        let pattern = self.pattern(table, "pattern");
        let exit_codes = self.codes(table);
        let signals = self.signals(table);
        if !table.contains_key("pattern") && exit_codes.is_empty() && signals.is_empty() {
            self.found
                .error(at, "the rule has no `pattern`, and neither `exit_code` nor `signal`")
                .hint("pattern = 'No space left on device'");
        }
        let (id, class) = (id?, class?);
        let rule = RuleSpec {
            role: self.choice(table, "role", &Role::ALL).unwrap_or(Role::Root),
            needs: self.pattern(table, "needs"),
            unless: self.pattern(table, "unless"),
            within: self.within(table),
            advice: self.choice(table, "action", &Advice::ALL),
            strength: self.choice(table, "strength", &Strength::ALL).unwrap_or_default(),
            soft: self.boolean(table, "soft"),
            despite_success: self.boolean(table, "despite_success").unwrap_or(false),
            example: self.text(table, "example").map(|(text, _)| text).unwrap_or_default(),
            means: self.text(table, "means").map_or_else(|| class.words().to_owned(), |(text, _)| text),
            id,
            class,
            pattern,
            exit_codes,
            signals,
        };
        self.example(table, &rule);
        if let Some(examples) = &mut self.examples {
            let example = table.get("example");
            if example.is_none() && rule.pattern.is_some() {
                self.found
                    .error(at, format!("rule {} has no `example`", rule.id))
                    .hint("example = \"a line of output that it is about\"");
            }
            examples.push(example.map_or_else(|| at.clone(), Spanned::span));
        }
        Some(rule)
    }

    /// An example that the rule's own pattern does not match shows a mistake in one of them.
    fn example(&mut self, table: &DeTable<'_>, rule: &RuleSpec) {
        let (Some(pattern), Some(example)) = (&rule.pattern, table.get("example")) else { return };
        let regex = regex::Regex::new(pattern);
        if regex.is_ok_and(|regex| !rule.example.lines().any(|line| regex.is_match(line))) {
            self.found
                .error(&example.span(), format!("the pattern of rule {} does not match its example", rule.id))
                .hint("one line of the example must match");
        }
    }

    fn id(&mut self, table: &DeTable<'_>, at: &Range<usize>) -> Option<String> {
        if !table.contains_key("id") {
            self.found.error(at, "the rule has no `id`").hint("id = \"a-short-name\"");
            return None;
        }
        let (id, at) = self.text(table, "id")?;
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if id.is_empty() || id.len() > 60 || !id.chars().all(legal) {
            self.found
                .error(&at, "an `id` is a short name of small letters, digits and dashes")
                .hint("id = \"license-server-down\"");
            return None;
        }
        if self.ids.contains(&id) {
            self.found.error(&at, format!("two rules are called {id}")).hint("rename one of them");
            return None;
        }
        self.ids.push(id.clone());
        Some(id)
    }

    fn class(&mut self, table: &DeTable<'_>, at: &Range<usize>) -> Option<Class> {
        if !table.contains_key("class") {
            self.found.error(at, "the rule has no `class`").hint("class = \"network\"");
            return None;
        }
        // Nothing that went well is judged by rules.
        self.choice(table, "class", &Class::ALL[1..])
    }

    fn text(&mut self, table: &DeTable<'_>, key: &str) -> Option<(String, Range<usize>)> {
        let value = table.get(key)?;
        let Some(text) = value.get_ref().as_str() else {
            self.found.error(&value.span(), format!("`{key}` must be a text")).hint("a text is written in quotes");
            return None;
        };
        Some((text.to_owned(), value.span()))
    }

    fn choice<T: Copy>(&mut self, table: &DeTable<'_>, key: &str, all: &[(&'static str, T)]) -> Option<T> {
        let (word, at) = self.text(table, key)?;
        let found = all.iter().find(|(known, _)| *known == word).map(|(_, value)| *value);
        if found.is_none() {
            let words = || all.iter().map(|(known, _)| *known);
            let hint = match nearest(&word, words()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("one of: {}", words().collect::<Vec<_>>().join(", ")),
            };
            self.found.error(&at, format!("there is no {key} \"{}\"", shown(&word))).hint(hint);
        }
        found
    }

    fn pattern(&mut self, table: &DeTable<'_>, key: &str) -> Option<String> {
        let (pattern, at) = self.text(table, key)?;
        if let Err(bad) = Rules::check(&pattern) {
            self.found
                .error(&at, format!("`{key}`: {bad}"))
                .hint("it is a regular expression for one line, best in single quotes: 'No space left'");
            return None;
        }
        Some(pattern)
    }

    fn boolean(&mut self, table: &DeTable<'_>, key: &str) -> Option<bool> {
        let value = table.get(key)?;
        let answer = value.get_ref().as_bool();
        if answer.is_none() {
            self.found.error(&value.span(), format!("`{key}` must be true or false"));
        }
        answer
    }

    fn within(&mut self, table: &DeTable<'_>) -> u64 {
        let Some(value) = table.get("within") else { return RuleSpec::WITHIN };
        let lines = integer(value.get_ref()).and_then(|lines| u64::try_from(lines).ok());
        if lines.is_none() {
            self.found.error(&value.span(), "`within` must be a number of lines").hint("within = 40");
        }
        lines.unwrap_or(RuleSpec::WITHIN)
    }

    /// One value or a list of them.
    fn several<'t>(table: &'t DeTable<'_>, key: &str) -> Vec<&'t Value<'t>> {
        match table.get(key) {
            None => vec![],
            Some(value) => match value.get_ref().as_array() {
                Some(list) => list.iter().collect(),
                None => vec![value],
            },
        }
    }

    fn codes(&mut self, table: &DeTable<'_>) -> Vec<i32> {
        let mut codes = Vec::new();
        for value in Self::several(table, "exit_code") {
            match integer(value.get_ref()).and_then(|code| i32::try_from(code).ok()) {
                Some(code @ 0..=255) => codes.push(code),
                Some(_) | None => {
                    self.found
                        .error(&value.span(), "an exit code is a number from 0 to 255")
                        .hint("exit_code = [1, 2]");
                }
            }
        }
        codes
    }

    fn signals(&mut self, table: &DeTable<'_>) -> Vec<i32> {
        let mut signals = Vec::new();
        for value in Self::several(table, "signal") {
            match value.get_ref().as_str().and_then(units::signal) {
                Some(signal) => signals.push(signal),
                None => {
                    self.found.error(&value.span(), "there is no such signal").hint("signal = [\"KILL\", \"TERM\"]");
                }
            }
        }
        signals
    }
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok()
}

fn shown(word: &str) -> String {
    word.chars().take(80).collect()
}
