//! The key table: which key does what in which place. Owns the table and its reading, never what an action does. Hints and
//! help are made from it, so that they cannot go stale.

mod action;
pub mod typed;

pub use action::{Action, Place};

use std::collections::BTreeMap;

use crokey::KeyCombination;
use crossterm::event::KeyEvent;
use serde::Deserialize;

/// The built-in table.
const BUILT_IN: &str = include_str!("../../../config/keys.toml");

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    pub place: Place,
    pub keys: Vec<KeyCombination>,
    pub action: Action,
    /// What the hint line calls it; `None`: only help and palette name it.
    pub hint: Option<String>,
    pub help: String,
    /// Its keys were given in the operator's own file.
    pub own: bool,
}

impl Binding {
    /// Its first key, as people write it.
    pub fn key_words(&self) -> String {
        self.keys.first().map_or_else(String::new, |key| key_words(*key))
    }

    /// All of its keys.
    pub fn all_keys(&self) -> String {
        self.keys.iter().map(|key| key_words(*key)).collect::<Vec<_>>().join(" ")
    }
}

/// All bindings, in the order of the file: the order of hints and help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    bindings: Vec<Binding>,
}

/// Why a table cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Table(String),
    #[error("{key:?} is no key ({why}); write for example: a, A, ctrl-a, alt-x, f5, space, enter, pageup")]
    Key { key: String, why: String },
    #[error("{key} does two things in the same place: {one} and {other}")]
    Twice { key: String, one: String, other: String },
    #[error("no action is called {name:?}{}", nearest.as_ref().map_or(String::new(), |near| format!("; did you mean {near:?}?")))]
    Unknown { name: String, nearest: Option<String> },
    #[error("{key} cannot be used for {action}: it is too easily pressed by accident")]
    Accident { key: String, action: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    key: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    #[serde(rename = "where")]
    place: Place,
    keys: Vec<String>,
    does: Action,
    hint: Option<String>,
    help: String,
}

/// Keys that are never bound: they were pressed by accident in too many programs.
const ACCIDENTS: [&str; 4] = ["ctrl-d", "ctrl-k", "backspace", "delete"];

impl Keys {
    /// The built-in table.
    ///
    /// # Panics
    /// Never: a test parses the built-in table.
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN).expect("a test parses the built-in table")
    }

    /// Reads a whole table.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let file: File = toml::from_str(text).map_err(|why| Error::Table(why.to_string()))?;
        let mut bindings = Vec::new();
        for row in file.key {
            let keys = row.keys.iter().map(|key| parse_key(key)).collect::<Result<_, _>>()?;
            bindings.push(Binding {
                place: row.place,
                keys,
                action: row.does,
                hint: row.hint,
                help: row.help,
                own: false,
            });
        }
        let keys = Self { bindings };
        keys.check()?;
        Ok(keys)
    }

    /// With the operator's own keys, by the action's name, instead of the built-in ones.
    pub fn with(mut self, own: &BTreeMap<String, Vec<String>>) -> Result<Self, Error> {
        for (name, keys) in own {
            let action = Action::named(name).ok_or_else(|| Error::Unknown {
                name: name.clone(),
                nearest: nearest(name, Action::all().map(Action::name)),
            })?;
            let keys: Vec<KeyCombination> = keys.iter().map(|key| parse_key(key)).collect::<Result<_, _>>()?;
            for key in &keys {
                let words = key_words(*key);
                if ACCIDENTS.iter().any(|bad| parse_key(bad) == Ok(*key)) {
                    return Err(Error::Accident { key: words, action: name.clone() });
                }
            }
            for binding in self.bindings.iter_mut().filter(|binding| binding.action == action) {
                binding.keys.clone_from(&keys);
                binding.own = true;
            }
        }
        self.check()?;
        Ok(self)
    }

    fn check(&self) -> Result<(), Error> {
        let mut seen: BTreeMap<(Place, String), &Binding> = BTreeMap::new();
        for binding in &self.bindings {
            for key in &binding.keys {
                let words = key_words(*key);
                if let Some(other) = seen.insert((binding.place, words.clone()), binding) {
                    return Err(Error::Twice {
                        key: words,
                        one: other.action.name().into(),
                        other: binding.action.name().into(),
                    });
                }
            }
        }
        Ok(())
    }

    /// What this key does here.
    pub fn action(&self, place: Place, key: KeyEvent) -> Option<Action> {
        self.pressed(place, key).map(|(action, _)| action)
    }

    /// What this key does here, and the how-manyth of the keys for it this is, from 0: the third key of `choose` chooses
    /// the third thing.
    pub fn pressed(&self, place: Place, key: KeyEvent) -> Option<(Action, usize)> {
        let pressed = KeyCombination::from(key).normalized();
        place.outward().find_map(|here| {
            let mut bindings = self.bindings.iter().filter(|binding| binding.place == here);
            bindings.find_map(|binding| {
                let nth = binding.keys.iter().position(|key| *key == pressed)?;
                Some((binding.action, nth))
            })
        })
    }

    /// The first key of an action here, as people write it; empty where it has none.
    pub fn words_of(&self, place: Place, action: Action) -> String {
        self.of(place, action).map_or_else(String::new, Binding::key_words)
    }

    /// What can be done here, the nearest place first, each in the order of the file.
    pub fn here(&self, place: Place) -> impl Iterator<Item = &Binding> {
        place.outward().flat_map(move |here| self.bindings.iter().filter(move |binding| binding.place == here))
    }

    /// Whether the first key of a binding is its own here: one that is bound nearer does something else.
    pub fn reaches(&self, place: Place, binding: &Binding) -> bool {
        let Some(key) = binding.keys.first() else {
            return false;
        };
        let bound = |here| self.bindings.iter().find(|one| one.place == here && one.keys.contains(key));
        let nearest = place.outward().find_map(bound);
        nearest.is_some_and(|one| one.place == binding.place && one.action == binding.action)
    }

    /// Everything, in the order of the file.
    pub fn all(&self) -> &[Binding] {
        &self.bindings
    }

    /// The binding of an action, the nearest to `place`.
    pub fn of(&self, place: Place, action: Action) -> Option<&Binding> {
        self.here(place).find(|binding| binding.action == action)
    }
}

fn parse_key(text: &str) -> Result<KeyCombination, Error> {
    // crokey reads a capital letter as the small one.
    let shifted = match text.chars().collect::<Vec<_>>()[..] {
        [letter] if letter.is_uppercase() => format!("shift-{}", letter.to_lowercase()),
        _ => text.to_owned(),
    };
    crokey::parse(&shifted)
        .map(KeyCombination::normalized)
        .map_err(|why| Error::Key { key: text.into(), why: why.to_string() })
}

/// `A`, `Ctrl-l`, `Enter`, `Space`: as the hints write it.
pub fn key_words(key: KeyCombination) -> String {
    let format = crokey::KeyCombinationFormat::default().with_implicit_shift();
    let words = format.to_string(key);
    match words.as_str() {
        "Enter" => "↵".into(),
        "Hyphen" => "-".into(),
        "Up" => "↑".into(),
        "Down" => "↓".into(),
        "Left" => "←".into(),
        "Right" => "→".into(),
        "PageUp" => "PgUp".into(),
        "PageDown" => "PgDn".into(),
        _ => words,
    }
}

fn nearest(name: &str, all: impl Iterator<Item = &'static str>) -> Option<String> {
    all.map(|one| (strsim::damerau_levenshtein(name, one), one))
        .min()
        .filter(|(far, _)| *far <= 3)
        .map(|(_, one)| one.to_owned())
}
