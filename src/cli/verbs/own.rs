//! `config`: where the operator's own file is, and what holds with it.

use serde_json::json;

use super::Ended;
use crate::cli::Face;
use crate::cli::args::ConfigVerb;
use crate::cli::exit::{Exit, Failure};
use crate::cli::text::{Row, Style};
use crate::config::user::Own;
use crate::tui::own;

/// The key that lets go where none was named.
pub(super) const LET_GO: &str = "ctrl-]";
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
                face.screen.json_line("config", &as_json(&own, &shown))?;
            } else {
                face.screen.rows(&rows(&own, &shown, path.exists()))?;
            }
        }
    }
    Ok(Exit::Good)
}

fn as_json(own: &Own, path: &str) -> serde_json::Value {
    json!({
        "path": path,
        "theme": own.theme.as_deref().unwrap_or(THEME),
        "motion": own.motion.unwrap_or(true),
        "mouse": own.mouse.unwrap_or(true),
        "detach": own.detach.as_deref().unwrap_or(LET_GO),
        "operator": own.operator,
        "keys": own.keys,
    })
}

/// As a file that says the same, with what is of whom.
fn rows(own: &Own, path: &str, exists: bool) -> Vec<Row> {
    let head = if exists { path.to_owned() } else { format!("{path} is not there: everything is as built in") };
    let mut rows = vec![Row::new().add(Style::Dim, &format!("# {head}")), Row::new().text("[ui]")];
    let mut set = |name: &str, value: String, yours: bool| {
        let whose = if yours { "yours" } else { "default" };
        rows.push(
            Row::new().field(Style::Plain, &format!("{name} = {value}"), 34).add(Style::Dim, &format!("# {whose}")),
        );
    };
    let quoted = |text: &str| toml::Value::from(text).to_string();
    set("theme", quoted(own.theme.as_deref().unwrap_or(THEME)), own.theme.is_some());
    set("motion", own.motion.unwrap_or(true).to_string(), own.motion.is_some());
    set("mouse", own.mouse.unwrap_or(true).to_string(), own.mouse.is_some());
    set("detach", quoted(own.detach.as_deref().unwrap_or(LET_GO)), own.detach.is_some());
    match &own.operator {
        Some(name) => set("operator", quoted(name), true),
        None => rows.push(Row::new().add(Style::Dim, "# operator: you at the host that you come from")),
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
    rows
}
