//! The operator's own file, held against the themes, keys and actions that there are.

use std::path::{Path, PathBuf};

use super::keys::{Action, Error, Keys};
use super::theme::Theme;
use crate::config::Problems;
use crate::config::user::{self, BadKey, KeyLists, Known, Own};
use crate::faces::detach;

/// The file that is read: the one `given`, else the one of this user. `None`: there is no home to have one in.
pub fn path(given: Option<&Path>) -> Option<PathBuf> {
    given.map(Path::to_path_buf).or_else(|| user::place(|name| std::env::var_os(name)))
}

/// Reads it. One that is not there says nothing, unless it was given.
pub fn load(given: Option<&Path>) -> Result<Own, Problems> {
    match path(given) {
        Some(path) => with_known(|known| user::load(&path, given.is_some(), known)),
        None => Ok(Own::default()),
    }
}

/// Reads its text; `file` is what messages call it.
pub fn read(source: &str, file: &str) -> Result<Own, Problems> {
    with_known(|known| user::read(source, file, known))
}

fn with_known<T>(act: impl FnOnce(&Known<'_>) -> T) -> T {
    let themes: Vec<&str> = Theme::names().collect();
    let built_in = Keys::built_in();
    // Only what the table binds can be bound otherwise.
    let bound = |action: &Action| built_in.all().iter().any(|binding| binding.action == *action);
    let actions: Vec<&str> = Action::all().filter(bound).map(Action::name).collect();
    let keys = |own: &KeyLists| Keys::built_in().with(own).map(|_| ()).map_err(|why| bad(&why));
    let detach = |key: &str| detach::Key::parse(key).map(|_| ());
    act(&Known { themes: &themes, actions: &actions, keys: &keys, detach: &detach })
}

fn bad(error: &Error) -> BadKey {
    let words = error.to_string();
    let (actions, key) = match error {
        Error::Table(_) => (Vec::new(), None),
        Error::Key { key, .. } => (Vec::new(), Some(key.clone())),
        // What stands in the file later is what surprises.
        Error::Twice { one, other, .. } => (vec![other.clone(), one.clone()], None),
        Error::Unknown { name, .. } => (vec![name.clone()], None),
        Error::Accident { action, .. } => (vec![action.clone()], None),
    };
    BadKey { actions, key, words }
}

/// The file before anybody has set something: every line says what holds without it.
pub fn beginning() -> String {
    let themes: Vec<&str> = Theme::names().collect();
    format!(
        "# dogwatch's file for you. What has a # before it is as built in; take the # away to change it.\n\
         # dogwatch config show says what holds, dogwatch config edit checks what you write.\n\n\
         [ui]\n\
         # theme = \"default\"       # {}\n\
         # motion = true           # things may move\n\
         # mouse = true\n\
         # detach = \"ctrl-]\"       # lets go of a step\n\
         # operator = \"ann@desk\"   # recorded with what you decide; without it: you, at the host that you come from\n\n\
         [keys]                    # an action and its keys; [] takes them away. The screen shows all of them with ?\n\
         # log = [\"l\"]\n",
        themes.join(", ")
    )
}

/// The keys that it makes. A file that was read makes some: they were checked then.
pub fn keys(own: &Own) -> Keys {
    Keys::built_in().with(&own.keys).unwrap_or_else(|_| Keys::built_in())
}
