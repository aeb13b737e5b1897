//! `config`: where the operator's own file is, what holds and what says so.

mod edit;

use std::path::Path;

use serde_json::{Map, Value, json};

use super::Ended;
use crate::cli::Face;
use crate::cli::args::ConfigVerb;
use crate::cli::exit::{Exit, Failure};
use crate::cli::text::{Row, Style};
use crate::client::Who;
use crate::config::user::{Own, lines};
use crate::faces::detach::Key;
use crate::state_dir;
use crate::tui::own;

/// Says the key that lets go.
pub(super) const KEY_VARIABLE: &str = "DOGWATCH_DETACH_KEY";
/// The key that lets go where none was named.
const LET_GO: &str = "ctrl-]";
/// The theme where none was named.
const THEME: &str = "default";

/// `config`.
pub(super) fn config(face: &Face, verb: &ConfigVerb) -> Ended {
    let path = own::path(face.flags.config.as_deref()).ok_or_else(|| {
        Failure::usage(
            "neither XDG_CONFIG_HOME nor HOME is set, so there is no place for a file of yours",
            "name one: --config FILE",
        )
    })?;
    let shown = path.display().to_string();
    match verb {
        ConfigVerb::Path if face.screen.json => {
            face.screen.json_line("config.path", &json!({ "path": shown, "exists": path.exists() }))?;
        }
        ConfigVerb::Path => face.screen.write(&format!("{shown}\n"))?,
        ConfigVerb::Show => {
            let own = face.own()?;
            if face.screen.json {
                face.screen.json_line("config", &as_json(face, &own, &path))?;
            } else {
                face.screen.rows(&rows(face, &own, &path))?;
            }
        }
        ConfigVerb::Edit => return edit::edit(face, &path),
    }
    Ok(Exit::Good)
}

/// The key that lets go: as given (by a flag or the variable), else as the operator's own file has it.
pub(super) fn let_go(face: &Face, given: Option<Key>) -> Result<Key, Failure> {
    let parse = |text: &str| Key::parse(text).map_err(|why| Failure::usage(why, "dogwatch config edit"));
    match given {
        Some(key) => Ok(key),
        None => parse(face.own()?.detach.as_deref().unwrap_or(LET_GO)),
    }
}

/// A setting as it holds now.
struct Setting {
    name: &'static str,
    value: Value,
    /// What says so: a place in the file, a variable, a flag.
    from: String,
}

/// All of `[ui]`.
fn settings(face: &Face, own: &Own, path: &Path) -> Vec<Setting> {
    let source = std::fs::read_to_string(path).unwrap_or_default();
    let lines = lines(&source);
    let set = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let whose = |name: &'static str| {
        lines
            .get(&format!("ui.{name}"))
            .map_or_else(|| "default".to_owned(), |line| format!("{}:{line}", path.display()))
    };
    let calm = if set("NO_COLOR").is_some() {
        Some("NO_COLOR")
    } else {
        set("TERM").filter(|term| term == "dumb").map(|_| "TERM=dumb")
    };
    let theme = whose("theme") + &calm.map_or_else(String::new, |why| format!(", without colours by {why}"));
    let (motion, motion_from) = match calm {
        Some(why) => (false, why.to_owned()),
        None => (own.motion.unwrap_or(true), whose("motion")),
    };
    let (detach, detach_from) = match (set(KEY_VARIABLE), &own.detach) {
        (Some(key), _) => (key, KEY_VARIABLE.to_owned()),
        (None, key) => (key.clone().unwrap_or_else(|| LET_GO.into()), whose("detach")),
    };
    let flag = face.flags.principal.as_deref();
    let operator = Who::new(flag.or(own.operator.as_deref()), "cli").principal;
    let operator_from = match (flag, &own.operator) {
        (Some(_), _) => "--as".to_owned(),
        (None, Some(_)) => whose("operator"),
        (None, None) => "default: you at the host that you come from".to_owned(),
    };
    let setting = |name, value, from| Setting { name, value, from };
    vec![
        setting("theme", json!(own.theme.as_deref().unwrap_or(THEME)), theme),
        setting("motion", json!(motion), motion_from),
        setting("mouse", json!(own.mouse.unwrap_or(true)), whose("mouse")),
        setting("detach", json!(detach), detach_from),
        setting("operator", json!(operator), operator_from),
    ]
}

/// The state directory, and what says that it is this one; it is not made for that.
fn state(face: &Face) -> (String, &'static str) {
    if let Some(path) = &face.flags.state_dir {
        return (path.display().to_string(), "--state-dir");
    }
    let variable = |name: &str| std::env::var_os(name);
    let path = state_dir::place(variable).map_or_else(|why| why.to_string(), |path| path.display().to_string());
    let named = [state_dir::VARIABLE, "XDG_STATE_HOME"].into_iter().find(|name| {
        // As it is looked for: see there.
        let only = |other: &str| variable(other).filter(|_| other == *name || other == state_dir::VARIABLE);
        state_dir::place(only).is_ok()
    });
    (path, named.unwrap_or("default"))
}

fn as_json(face: &Face, own: &Own, path: &Path) -> Value {
    let mut all = Map::new();
    let mut from = Map::new();
    all.insert("path".into(), json!(path.display().to_string()));
    for setting in settings(face, own, path) {
        all.insert(setting.name.into(), setting.value);
        from.insert(setting.name.into(), json!(setting.from));
    }
    let (state, said_by) = state(face);
    all.insert("state_dir".into(), json!(state));
    from.insert("state_dir".into(), json!(said_by));
    all.insert("keys".into(), json!(own.keys));
    all.insert("from".into(), Value::Object(from));
    Value::Object(all)
}

/// As a file that says the same, with what says so.
fn rows(face: &Face, own: &Own, path: &Path) -> Vec<Row> {
    let shown = path.display();
    let head =
        if path.exists() { shown.to_string() } else { format!("{shown} is not there: dogwatch config edit makes it") };
    let mut rows = vec![Row::new().add(Style::Dim, &format!("# {head}")), Row::new().text("[ui]")];
    let quoted = |text: &str| toml::Value::from(text).to_string();
    for setting in settings(face, own, path) {
        let value = setting.value.as_str().map_or_else(|| setting.value.to_string(), &quoted);
        let line = format!("{} = {value}", setting.name);
        rows.push(Row::new().field(Style::Plain, &line, 34).add(Style::Dim, &format!("# {}", setting.from)));
    }
    rows.push(Row::new().text("[keys]"));
    let keys = own::keys(&Own::default());
    for (action, own_keys) in &own.keys {
        let words: Vec<String> = own_keys.iter().map(|key| quoted(key)).collect();
        let mut built_in: Vec<String> = keys
            .all()
            .iter()
            .filter(|binding| binding.action.name() == action)
            .map(crate::tui::keys::Binding::all_keys)
            .collect();
        built_in.dedup();
        let line = format!("{action} = [{}]", words.join(", "));
        let whose = format!("# yours; built in: {}", built_in.join(" "));
        rows.push(Row::new().field(Style::Plain, &line, 34).add(Style::Dim, &whose));
    }
    if own.keys.is_empty() {
        rows.push(Row::new().add(Style::Dim, "# all as built in; dogwatch shows them with ?"));
    }
    let (state, said_by) = state(face);
    rows.push(Row::new().add(Style::Dim, &format!("# state directory: {state}  ({said_by})")));
    rows
}
