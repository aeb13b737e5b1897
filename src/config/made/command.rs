//! A workflow for one command without a file: `dogwatch exec -- CMD…`.

use std::fmt::Write as _;

use crate::config::flow::usable;

/// A command that cannot be written into a workflow file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotToml {
    #[error("there is no command; write it after --: dogwatch exec -- make test")]
    Empty,
    #[error("argument {n} contains a NUL character, and no argument can")]
    Nul { n: usize },
    #[error("the command is longer than 100 KiB; put it into a script and run that")]
    TooLong,
}

/// The text of a workflow with the one step `run`, which runs exactly this command.
pub fn for_command(argv: &[String], name: Option<&str>) -> Result<String, NotToml> {
    let Some(program) = argv.first() else { return Err(NotToml::Empty) };
    if let Some(n) = argv.iter().position(|word| word.contains('\0')) {
        return Err(NotToml::Nul { n: n + 1 });
    }
    let quoted: Vec<String> = argv.iter().map(|word| quote(word)).collect();
    // With `exec`, signals reach the command itself; after it no word is a keyword or an assignment.
    let script = format!("exec {}", quoted.join(" "));
    if script.len() > 100 * 1024 {
        return Err(NotToml::TooLong);
    }
    let called = name.unwrap_or_else(|| program.rsplit('/').next().unwrap_or(program));
    let name = toml_text(&usable(called));
    Ok(format!("version = 1\n\n[workflow]\nname = {name}\n\n[steps.run]\nrun = {}\n", toml_text(&script)))
}

/// A word that sh takes as it is.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    // A script may not hold an expression: the `$` gets quotes of its own.
    format!("'{}'", word.replace('\'', r"'\''").replace("${{", "$''{{"))
}

/// A basic string of TOML 1.0.
pub(super) fn toml_text(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
