//! A first workflow file for a folder, from the names of the files in it. Never looks into a file, never guesses more than a
//! name says; what is not known becomes a step to fill in.

use std::fmt::Write as _;

use super::command::toml_text;
use crate::config::flow::usable;

/// Files whose name says what can be done with them, in the order in which steps would use them.
const KNOWN: [&str; 14] = [
    "requirements.txt",
    "package.json",
    "Cargo.toml",
    "go.mod",
    "Makefile",
    "prepare.py",
    "preprocess.py",
    "train.py",
    "train.sh",
    "main.py",
    "evaluate.py",
    "eval.py",
    "export.py",
    "run.sh",
];

/// The names among these that [`starter`] can use.
pub fn known_files(names: &[String]) -> Vec<String> {
    KNOWN.iter().filter(|known| names.iter().any(|name| name == *known)).map(|known| (*known).to_owned()).collect()
}

struct Draft {
    name: &'static str,
    about: &'static str,
    run: String,
    /// Lines of its own, below.
    more: &'static str,
}

const CHECKPOINT: &str = "\
# Where your program prints that it saved one, a retry goes on from there:\n\
# checkpoint = { pattern = 'Saved checkpoint (?P<path>.+) at step (?P<step>\\d+)', resume_env = \"RESUME\" }\n";

/// The text of the file: one step after another, as far as the names say what they are.
pub fn starter(folder: &str, names: &[String]) -> String {
    let has = |name: &str| names.iter().any(|one| one == name);
    let python = if has("requirements.txt") { ".venv/bin/python" } else { "python3" };
    let mut drafts = Vec::new();
    let mut add = |name, about, run: String, more| drafts.push(Draft { name, about, run, more });
    if has("requirements.txt") {
        let run = "test -d .venv || python3 -m venv .venv\n.venv/bin/python -m pip install -q -r requirements.txt";
        add("install", "Packages into .venv, once", run.into(), "");
    } else if has("package.json") {
        add("install", "Packages", "npm ci".into(), "");
    }
    if has("Cargo.toml") {
        add("build", "Build", "cargo build --release".into(), "");
    } else if has("go.mod") {
        add("build", "Build", "go build ./...".into(), "");
    } else if has("Makefile") {
        add("build", "Build", "make".into(), "");
    }
    let first = |all: [&'static str; 2]| all.into_iter().find(|name| has(name));
    if let Some(script) = first(["prepare.py", "preprocess.py"]) {
        add("prepare", "Make the data ready", format!("{python} {script}"), "");
    }
    if let Some(script) = first(["train.py", "main.py"]) {
        add("train", "The long part", format!("{python} {script}"), CHECKPOINT);
    } else if let Some(script) = first(["train.sh", "run.sh"]) {
        add("train", "The long part", format!("sh {script}"), CHECKPOINT);
    }
    if let Some(script) = first(["evaluate.py", "eval.py"]) {
        add("evaluate", "Judge the result", format!("{python} {script}"), "");
    }
    if has("export.py") {
        add("export", "Hand the result over", format!("{python} export.py"), "");
    }
    if drafts.is_empty() {
        let run = "echo 'put your command here'".to_owned();
        drafts.push(Draft { name: "first", about: "Put your command into run", run, more: CHECKPOINT });
    }
    write(folder, &drafts)
}

fn write(folder: &str, drafts: &[Draft]) -> String {
    let mut text = String::from(
        "# A first workflow: one step after another. Change it, check it, run it:\n\
         #\n\
         #   dogwatch validate dogwatch.toml\n\
         #   dogwatch run\n\
         version = 1\n\n[workflow]\n",
    );
    let _ = writeln!(text, "name = {}", toml_text(&usable(folder)));
    text.push_str("\n[defaults]\nretry = { max_attempts = 3, delay = \"10s\", backoff = 2.0 }\n");
    let mut before: Option<&str> = None;
    for draft in drafts {
        let _ = writeln!(text, "\n[steps.{}]\ndescription = {}", draft.name, toml_text(draft.about));
        if let Some(before) = before {
            let _ = writeln!(text, "needs = [\"{before}\"]");
        }
        if draft.run.contains('\n') {
            let _ = writeln!(text, "run = '''\n{}\n'''", draft.run);
        } else {
            let _ = writeln!(text, "run = {}", toml_text(&draft.run));
        }
        text.push_str(draft.more);
        before = Some(draft.name);
    }
    text
}
