//! Rules that judge failures: the built-in ones (`config/rules.toml`) and the operator's own file of the same format. Every
//! mistake is told with its place and a hint. Owns the format; what rules do is the judge's.

use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::nearest;
use super::problems::{Found, Problems};
use super::units;
use crate::judge::{RuleSpec, Rules, Strength};
use crate::model::{Advice, Class, Role};

const BUILT_IN: &str = include_str!("../../config/rules.toml");

const KEYS: [&str; 15] = [
    "id",
    "class",
    "role",
    "pattern",
    "needs",
    "unless",
    "within",
    "exit_code",
    "signal",
    "action",
    "strength",
    "soft",
    "despite_success",
    "example",
    "means",
];

/// More rules than anybody writes; each costs memory in every judge.
const MOST: usize = 2000;

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

/// The operator's own rules before the built-in ones. A file that is not there says nothing.
pub fn load(path: Option<&Path>) -> Result<Rules, Problems> {
    let Some(path) = path.filter(|path| path.exists()) else { return Ok(built_in()) };
    let file = path.to_string_lossy();
    let own = parse(&super::text(path, &file)?, &file)?;
    Rules::new(own, built_in_specs()).map_err(|(_, error)| Problems::of_file(&file, error.to_string(), "remove it"))
}

/// Reads rules from their text.
pub fn parse(source: &str, file: &str) -> Result<Vec<RuleSpec>, Problems> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let (tree, errors) = DeTable::parse_recoverable(source);
    let mut found = Found::default();
    super::syntax(&mut found, source, &errors);
    let mut rules = Vec::new();
    if !found.has_errors() {
        let mut reader = Reader { found, ids: Vec::new() };
        rules = reader.file(tree.get_ref());
        found = reader.found;
    }
    if found.has_errors() { Err(found.into_problems(file, source)) } else { Ok(rules) }
}

type Value<'a> = Spanned<DeValue<'a>>;

struct Reader {
    found: Found,
    ids: Vec<String>,
}

impl Reader {
    fn file(&mut self, table: &DeTable<'_>) -> Vec<RuleSpec> {
        let mut rules = Vec::new();
        for (key, value) in table {
            if key.get_ref() != "rules" {
                let hint = "the file has only [[rules]]";
                self.found.error(&key.span(), format!("unknown key `{}`", shown(key.get_ref()))).hint(hint);
                continue;
            }
            let Some(list) = value.get_ref().as_array() else {
                self.found.error(&key.span(), "`rules` must be a list of tables").hint("write [[rules]]");
                continue;
            };
            if list.len() > MOST {
                self.found.error(&key.span(), format!("there are more than {MOST} rules")).hint("remove some");
            }
            for one in list.iter().take(MOST) {
                match one.get_ref().as_table() {
                    Some(rule) => rules.extend(self.rule(rule, &one.span())),
                    None => {
                        self.found.error(&one.span(), "a rule must be a table").hint("write [[rules]]");
                    }
                }
            }
        }
        rules
    }

    fn rule(&mut self, table: &DeTable<'_>, at: &Range<usize>) -> Option<RuleSpec> {
        for (key, _) in table {
            let name = key.get_ref().as_ref();
            if !KEYS.contains(&name) {
                let hint = match nearest(name, KEYS.into_iter()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("a rule has: {}", KEYS.join(", ")),
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
        self.choice(table, "class", &Class::ALL)
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
