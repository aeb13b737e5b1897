//! Where the values of secrets come from: the caller's own variables, files and commands when a run starts, and a person's
//! hand afterwards. A value is never an argument, and never shown.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::Ended;
use crate::cli::Face;
use crate::cli::args::Secret;
use crate::cli::exit::{Exit, Failure};
use crate::config::Loaded;
use crate::model::{SecretFrom, Workflow};
use crate::secrets::{self, LONGEST, trimmed};
use crate::wire::client::{Ask, Reply};
use crate::wire::secrets::Secrets;

/// More than this is no value, whatever it is.
const MOST: u64 = LONGEST as u64 + 2;

/// Who may be asked while values are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// A command may ask on the terminal.
    Terminal,
    /// The screen has the terminal.
    Screen,
}

/// The values of all secrets that steps of this workflow name.
pub(super) fn values(workflow: &Workflow, base: &Path, at: At) -> Result<Secrets, Failure> {
    let mut all = Secrets::default();
    for (name, from) in workflow.secrets_in_use() {
        let value = value(name, from, base, at)?;
        secrets::check(&value).map_err(|why| {
            Failure::usage(
                format!("the value of the secret {name}, {}, cannot be used: {why}", origin(from)),
                place(name, from),
            )
        })?;
        all.0.insert(name.clone(), value);
    }
    Ok(all)
}

/// Those of a frozen workflow.
pub(super) fn values_of_text(
    (source, file, base): (&str, &str, &str),
    params: &[(String, String)],
) -> Result<Secrets, Failure> {
    let loaded = crate::config::parse(source, file, Path::new(base), params);
    let Loaded { workflow, .. } = loaded.map_err(|problems| super::file::wrong(&problems))?;
    values(&workflow, Path::new(base), At::Terminal)
}

/// The variables that hold secrets: an engine that is started now is not to have them.
pub(super) fn variables(workflow: &Workflow) -> Vec<String> {
    let from = workflow.secrets.values();
    from.filter_map(|from| if let SecretFrom::Env(name) = from { Some(name.clone()) } else { None }).collect()
}

fn origin(from: &SecretFrom) -> String {
    match from {
        SecretFrom::Env(name) => format!("the variable {name}"),
        SecretFrom::File(path) => format!("the file {path}"),
        SecretFrom::Command(script) => format!("what `{script}` prints"),
    }
}

fn place(name: &str, from: &SecretFrom) -> String {
    match from {
        SecretFrom::Env(variable) => {
            format!(
                "export {variable}=… and run it again, or write {name} = {{ from = \"file\", path = \"…\" }} into [secrets]"
            )
        }
        SecretFrom::File(path) => format!("put the value into {path}, readable for you alone, and run it again"),
        SecretFrom::Command(script) => format!("see what this prints: {script}"),
    }
}

fn value(name: &str, from: &SecretFrom, base: &Path, at: At) -> Result<String, Failure> {
    let missing = |why: String| Failure::usage(format!("the secret {name} has no value: {why}"), place(name, from));
    match from {
        SecretFrom::Env(variable) => match std::env::var(variable) {
            Ok(value) if !value.is_empty() => Ok(value),
            Ok(_) => Err(missing(format!("the variable {variable} is empty"))),
            Err(std::env::VarError::NotPresent) => Err(missing(format!("the variable {variable} is not set"))),
            Err(std::env::VarError::NotUnicode(_)) => Err(missing(format!("the variable {variable} is no UTF-8"))),
        },
        SecretFrom::File(path) => {
            let path = expanded(path, base);
            let bytes = read(&path).map_err(|why| missing(format!("{} {why}", path.display())))?;
            text(bytes).map_err(|why| missing(format!("{} {why}", path.display())))
        }
        SecretFrom::Command(script) => {
            let bytes = printed(script, base, at).map_err(|why| missing(format!("`{script}` {why}")))?;
            text(bytes).map_err(|why| missing(format!("what `{script}` prints {why}")))
        }
    }
}

fn expanded(path: &str, base: &Path) -> PathBuf {
    let below = path.strip_prefix("~/").zip(std::env::var_os("HOME"));
    below.map_or_else(|| base.join(path), |(rest, home)| PathBuf::from(home).join(rest))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let meta = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
    if !meta.is_file() {
        return Err("is no file".into());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    file.take(MOST).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    Ok(bytes)
}

fn printed(script: &str, base: &Path, at: At) -> Result<Vec<u8>, String> {
    let (input, errors) = match at {
        At::Terminal => (Stdio::inherit(), Stdio::inherit()),
        At::Screen => (Stdio::null(), Stdio::null()),
    };
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).current_dir(base).stdin(input).stderr(errors).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot be started: {error}"))?;
    let mut bytes = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(MOST).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    }
    let status = child.wait().map_err(|error| format!("cannot be waited for: {error}"))?;
    // What writes more than is read ends of that.
    let cut = bytes.len() as u64 == MOST;
    if cut || status.success() { Ok(bytes) } else { Err(format!("ended with {status}")) }
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    let text = String::from_utf8(bytes).map_err(|_| "is no UTF-8")?;
    Ok(trimmed(&text).to_owned())
}

/// `secret`: the value of a secret that a run has lost.
pub(super) fn secret(face: &Face, args: Secret) -> Ended {
    let Secret { run, name, from_env } = args;
    let value = if from_env {
        std::env::var(&name).map_err(|_| {
            Failure::usage(
                format!("the variable {name} is not set"),
                format!("export {name}=…, or leave out --from-env"),
            )
        })?
    } else {
        typed(face, &name)?
    };
    secrets::check(&value)
        .map_err(|why| Failure::usage(format!("that cannot be the value of a secret: {why}"), "nothing was changed"))?;
    let secrets = Secrets([(name, value)].into());
    let Reply::Done { words } = face.engine()?.ask(Ask::GiveSecret { run, secrets })? else {
        return Err(Failure::unexpected("secret"));
    };
    face.screen.done(&words)?;
    Ok(Exit::Good)
}

/// From a pipe to its end; on a terminal one line, which is not shown.
fn typed(face: &Face, name: &str) -> Result<String, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let mut bytes = Vec::new();
        stdin.lock().take(MOST).read_to_end(&mut bytes)?;
        return text(bytes).map_err(|why| Failure::usage(format!("standard input {why}"), "give the value as text"));
    }
    if face.flags.no_input {
        return Err(Failure::usage(
            "a value would be asked for, and --no-input was said",
            format!("pipe it in, or: dogwatch secret RUN {name} --from-env"),
        ));
    }
    let mut line = String::new();
    {
        let _hidden = Hidden::enter(&format!("Value of {name} (not shown): "))?;
        stdin.lock().take(MOST).read_line(&mut line)?;
    }
    Ok(trimmed(&line).to_owned())
}

/// What is typed is not shown as long as this lives.
struct Hidden {
    before: rustix::termios::Termios,
}

impl Hidden {
    fn enter(words: &str) -> std::io::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        // The line's end is still seen.
        hidden.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &hidden)?;
        let guard = Self { before };
        let mut terminal = std::io::stderr().lock();
        terminal.write_all(words.as_bytes())?;
        terminal.flush()?;
        Ok(guard)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}
