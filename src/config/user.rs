//! The operator's own file: how the screen looks and which keys do what. Read like a workflow file: every mistake with its
//! place and a hint, nothing ignored. Owns the format; what themes, keys and actions there are is told by whoever has them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::nearest;
use super::problems::{Found, Problems};

/// What the file says. What it does not say is as built in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    pub theme: Option<String>,
    /// Things may move on the screen.
    pub motion: Option<bool>,
    /// The name that is recorded with decisions.
    pub operator: Option<String>,
    pub mouse: Option<bool>,
    /// The key that lets go of a step.
    pub detach: Option<String>,
    /// By the action's name: its keys instead of the built-in ones.
    pub keys: KeyLists,
}

/// Why a table of keys cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadKey {
    /// The actions that it is about, by name.
    pub actions: Vec<String>,
    /// The key as it is written in the file, where it is about one.
    pub key: Option<String>,
    pub words: String,
}

/// Keys by the action's name, as they are written.
pub type KeyLists = BTreeMap<String, Vec<String>>;
/// Says what is wrong with them.
pub type CheckKeys = dyn Fn(&KeyLists) -> Result<(), BadKey>;

/// What there is to choose from.
pub struct Known<'k> {
    pub themes: &'k [&'k str],
    pub actions: &'k [&'k str],
    /// Whether these keys can be used together.
    pub keys: &'k CheckKeys,
    /// Whether this key can let go.
    pub detach: &'k dyn Fn(&str) -> Result<(), String>,
}

const TABLES: [&str; 2] = ["ui", "keys"];
const UI: [&str; 5] = ["theme", "motion", "operator", "mouse", "detach"];

/// Where the file is looked for: `$XDG_CONFIG_HOME/dogwatch/config.toml`, else below `~/.config`. `None`: there is no home.
pub fn place(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The standard says that a relative path is to be ignored.
    let base = set("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let base = base.or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(base.join("dogwatch").join("config.toml"))
}

/// Reads the file. One that is not there says nothing, unless it was `named`.
pub fn load(path: &Path, named: bool, known: &Known<'_>) -> Result<Own, Problems> {
    if !named && !path.exists() {
        return Ok(Own::default());
    }
    let file = path.to_string_lossy();
    read(&super::text(path, &file)?, &file, known)
}

/// Reads its text.
pub fn read(source: &str, file: &str, known: &Known<'_>) -> Result<Own, Problems> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let (tree, errors) = DeTable::parse_recoverable(source);
    let mut found = Found::default();
    super::syntax(&mut found, source, &errors);
    let mut own = Own::default();
    if !found.has_errors() {
        let mut reader = Reader { found, known };
        reader.file(tree.get_ref(), &mut own);
        found = reader.found;
    }
    if found.has_errors() { Err(found.into_problems(file, source)) } else { Ok(own) }
}

/// In which line of the file each key of a table stands: `ui.theme`. Of a text that cannot be read: of what can be.
pub fn lines(source: &str) -> BTreeMap<String, usize> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let (tree, _) = DeTable::parse_recoverable(source);
    let mut found = BTreeMap::new();
    for (table, value) in tree.get_ref() {
        for key in value.get_ref().as_table().into_iter().flat_map(|table| table.keys()) {
            let line = source[..key.span().start].matches('\n').count() + 1;
            found.insert(format!("{}.{}", table.get_ref(), key.get_ref()), line);
        }
    }
    found
}

type Value<'a> = Spanned<DeValue<'a>>;
/// A key, and where it stands.
type Written = (String, Range<usize>);

struct Reader<'k> {
    found: Found,
    known: &'k Known<'k>,
}

impl Reader<'_> {
    fn file(&mut self, table: &DeTable<'_>, own: &mut Own) {
        for (key, value) in table {
            let (name, at) = (key.get_ref().as_ref(), key.span());
            match (name, value.get_ref()) {
                ("ui", DeValue::Table(ui)) => self.ui(ui, own),
                ("keys", DeValue::Table(keys)) => self.keys(keys, own),
                ("ui" | "keys", _) => self.wrong(&at, &format!("`{name}`"), "a table", &format!("write [{name}]")),
                _ => self.unknown(&at, name, "the file", &TABLES),
            }
        }
    }

    fn ui(&mut self, ui: &DeTable<'_>, own: &mut Own) {
        for (key, value) in ui {
            match key.get_ref().as_ref() {
                "theme" => own.theme = self.theme(value),
                "motion" => own.motion = self.boolean("motion", value),
                "operator" => own.operator = self.operator(value),
                "mouse" => own.mouse = self.boolean("mouse", value),
                "detach" => own.detach = self.detach(value),
                other => self.unknown(&key.span(), other, "[ui]", &UI),
            }
        }
    }

    fn theme(&mut self, value: &Value<'_>) -> Option<String> {
        let name = self.text("`theme` in [ui]", value)?;
        if !self.known.themes.contains(&name.as_str()) {
            let near = nearest(&name, self.known.themes.iter().copied());
            let hint = near.map_or_else(
                || format!("one of: {}", self.known.themes.join(", ")),
                |near| format!("did you mean {near:?}?"),
            );
            self.found.error(&value.span(), format!("there is no theme {name:?}")).hint(hint);
            return None;
        }
        Some(name)
    }

    fn operator(&mut self, value: &Value<'_>) -> Option<String> {
        let name = self.text("`operator` in [ui]", value)?;
        if name.trim().is_empty() || name.chars().any(char::is_control) {
            let words = "`operator` in [ui] must be a name";
            self.found.error(&value.span(), words).hint("leave it out: then it is you at this host");
            return None;
        }
        Some(name)
    }

    fn detach(&mut self, value: &Value<'_>) -> Option<String> {
        let key = self.text("`detach` in [ui]", value)?;
        if let Err(why) = (self.known.detach)(&key) {
            self.found.error(&value.span(), why);
            return None;
        }
        Some(key)
    }

    fn keys(&mut self, keys: &DeTable<'_>, own: &mut Own) {
        let mut places: BTreeMap<String, (Range<usize>, Vec<Written>)> = BTreeMap::new();
        for (action, value) in keys {
            let name = action.get_ref().as_ref();
            if !self.known.actions.contains(&name) {
                self.unknown_action(&action.span(), name);
                continue;
            }
            if let Some(all) = self.list(name, value) {
                places.insert(name.to_owned(), (action.span(), all));
            }
        }
        own.keys = places
            .iter()
            .map(|(name, (_, keys))| (name.clone(), keys.iter().map(|(key, _)| key.clone()).collect()))
            .collect();
        let Err(bad) = (self.known.keys)(&own.keys) else {
            return;
        };
        let written = |(key, at): &Written| (Some(key) == bad.key.as_ref()).then(|| at.clone());
        let by_key = places.values().flat_map(|(_, keys)| keys).find_map(written);
        let by_action = bad.actions.iter().find_map(|action| places.get(action).map(|(at, _)| at.clone()));
        let at = by_key.or(by_action).unwrap_or(0..0);
        self.found.error(&at, bad.words).hint("dogwatch shows all keys with ?");
    }

    /// `"x"` or `["x", "ctrl-x"]`; an empty list takes the keys away.
    fn list(&mut self, action: &str, value: &Value<'_>) -> Option<Vec<Written>> {
        let title = format!("`{action}` in [keys]");
        if value.get_ref().is_str() {
            return Some(vec![(self.text(&title, value)?, value.span())]);
        }
        let DeValue::Array(all) = value.get_ref() else {
            self.wrong(&value.span(), &title, "a list of keys", &format!("{action} = [\"x\", \"ctrl-x\"]"));
            return None;
        };
        all.iter().map(|one| Some((self.text(&title, one)?, one.span()))).collect()
    }

    fn text(&mut self, title: &str, value: &Value<'_>) -> Option<String> {
        let text = value.get_ref().as_str().map(str::to_owned);
        if text.is_none() {
            self.wrong(&value.span(), title, "a text", "a text is written in quotes");
        }
        text
    }

    fn boolean(&mut self, name: &str, value: &Value<'_>) -> Option<bool> {
        let answer = value.get_ref().as_bool();
        if answer.is_none() {
            self.wrong(&value.span(), &format!("`{name}` in [ui]"), "true or false", &format!("{name} = false"));
        }
        answer
    }

    fn wrong(&mut self, at: &Range<usize>, title: &str, wanted: &str, hint: &str) {
        self.found.error(at, format!("{title} must be {wanted}")).hint(hint);
    }

    fn unknown(&mut self, at: &Range<usize>, key: &str, place: &str, all: &[&str]) {
        let near = nearest(key, all.iter().copied());
        let hint = near.map_or_else(|| format!("it has: {}", all.join(", ")), |near| format!("did you mean `{near}`?"));
        self.found.error(at, format!("`{key}` is no key of {place}")).hint(hint);
    }

    fn unknown_action(&mut self, at: &Range<usize>, name: &str) {
        let near = nearest(name, self.known.actions.iter().copied());
        let hint = near
            .map_or_else(|| "dogwatch shows all actions with :".to_owned(), |near| format!("did you mean `{near}`?"));
        self.found.error(at, format!("no action is called `{name}`")).hint(hint);
    }
}
