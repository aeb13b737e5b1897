//! Completions for shells: a short script for each asks dogwatch itself, which knows its verbs and flags, and asks an engine
//! that runs for names. Starts no engine, makes nothing, waits for nobody, and says nothing but candidates: whoever presses a
//! key has not given a command.
//!
//! * [`line`]: the line as bash has it. [`wanted`]: what a word can be.
//!
//! Not clap's own engine for this: it completes a word without the words before it, and a step is one of a run.

pub mod line;
pub mod wanted;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};

use line::Typed;
use wanted::{Candidate, Place, Wanted, wanted};

use crate::client::{Client, Who};
use crate::faces::words::count;
use crate::state_dir;
use crate::wire::client::{Ask, EscalationView, Reply, RunLine};

/// An engine that takes longer is busy or frozen; a prompt does not wait for it.
const PATIENCE: Duration = Duration::from_millis(300);
/// Nobody reads more runs than these.
const MOST_RUNS: usize = 50;
/// A description is cut there.
const LONGEST_ABOUT: usize = 60;

/// `completions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    /// What the shell is to read once.
    pub fn script(self) -> &'static str {
        match self {
            Self::Bash => include_str!("dogwatch.bash"),
            Self::Zsh => include_str!("dogwatch.zsh"),
            Self::Fish => include_str!("dogwatch.fish"),
        }
    }
}

/// `complete`: what a script asks.
#[derive(Debug, Args)]
pub struct Asked {
    #[arg(value_enum)]
    shell: Shell,
    /// For bash: what breaks words there, and the line up to the cursor. For the others: the words without the first, the
    /// last one as far as it is there.
    #[arg(last = true)]
    words: Vec<std::ffi::OsString>,
}

/// Says the candidates, one a line. Ends with 1 where the shell is to complete files.
pub fn main(asked: &Asked) -> ExitCode {
    let words: Vec<String> = asked.words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let said = match (asked.shell, words.as_slice()) {
        (Shell::Bash, [breaks, line]) => for_bash(&Typed::read(line, breaks)),
        (Shell::Zsh | Shell::Fish, [before @ .., last]) => for_others(before, last),
        (Shell::Bash | Shell::Zsh | Shell::Fish, _) => Some(String::new()),
    };
    match said {
        Some(text) => {
            // Nobody is left who could be told.
            let _ = std::io::Write::write_all(&mut std::io::stdout().lock(), text.as_bytes());
            ExitCode::SUCCESS
        }
        None => ExitCode::FAILURE,
    }
}

/// As bash is to write them.
fn for_bash(typed: &Typed) -> Option<String> {
    let before = typed.before.get(1..).unwrap_or_default();
    let found = candidates(&wanted(before, &typed.last))?;
    let fitting = found.iter().filter(|candidate| candidate.word.starts_with(&typed.last));
    Some(fitting.map(|candidate| typed.replacement(&candidate.word) + "\n").collect())
}

/// With what they mean. These shells choose among them and write them as they read them.
fn for_others(before: &[String], last: &str) -> Option<String> {
    let found = candidates(&wanted(before, last))?;
    let line = |candidate: &Candidate| match candidate.about.as_str() {
        "" => format!("{}\n", candidate.word),
        about => format!("{}\t{about}\n", candidate.word),
    };
    Some(found.iter().map(line).collect())
}

/// `None`: files.
fn candidates(place: &Place) -> Option<Vec<Candidate>> {
    let mut found = match &place.wanted {
        Wanted::Files => return None,
        Wanted::Nothing => Vec::new(),
        Wanted::These(all) => all.clone(),
        named @ (Wanted::Runs
        | Wanted::Steps { .. }
        | Wanted::Questions
        | Wanted::Gates
        | Wanted::Choices { .. }
        | Wanted::Checkpoints { .. }) => engine(place).map(|mut client| names(&mut client, named)).unwrap_or_default(),
    };
    for candidate in &mut found {
        candidate.word.insert_str(0, &place.prefix);
        let clean = candidate.about.chars().map(|c| if c.is_control() { ' ' } else { c });
        candidate.about = clean.take(LONGEST_ABOUT).collect();
    }
    // No shell can be given such a name on one line; a number names it as well.
    found.retain(|candidate| !candidate.word.chars().any(char::is_control));
    Some(found)
}

/// Only one that is there. The state directory is neither made nor checked: nothing is done with what it says but to show it.
fn engine(place: &Place) -> Option<Client> {
    let home = || std::env::var("HOME").ok();
    let path = |text: &String| match text.strip_prefix("~/") {
        Some(rest) => home().map(|home| PathBuf::from(home).join(rest)),
        None => Some(PathBuf::from(text)),
    };
    let socket = match (&place.socket, &place.state_dir) {
        (Some(socket), _) => path(socket)?,
        (None, Some(folder)) => path(folder)?.join(state_dir::SOCKET),
        (None, None) => state_dir::place(|name| std::env::var_os(name)).ok()?.join(state_dir::SOCKET),
    };
    Client::connect_within(&socket, &Who::new(None, "cli"), PATIENCE).ok()
}

fn names(client: &mut Client, wanted: &Wanted) -> Vec<Candidate> {
    match wanted {
        Wanted::Runs => runs(client),
        Wanted::Steps { run } => steps(client, run.clone()),
        Wanted::Questions => questions(client, |_| true),
        Wanted::Gates => {
            let mut found = questions(client, |question| question.kind == "gate");
            found.extend(runs(client));
            found
        }
        Wanted::Choices { question } => choices(client, question),
        Wanted::Checkpoints { run, step, also } => {
            let mut found: Vec<Candidate> = also.iter().map(|(word, about)| Candidate::new(*word, *about)).collect();
            found.extend(checkpoints(client, run.clone(), step));
            found
        }
        Wanted::These(_) | Wanted::Files | Wanted::Nothing => Vec::new(),
    }
}

fn runs(client: &mut Client) -> Vec<Candidate> {
    let Ok(Reply::Runs(lines)) = client.ask(Ask::Runs { limit: MOST_RUNS, state: None }) else {
        return Vec::new();
    };
    let one = |line: &RunLine| {
        let about = format!("{}, {}/{}", line.shown().word(), line.steps_done, count(line.steps, "step", "steps"));
        Candidate::new(format!("{}#{}", line.name, line.number), about)
    };
    let newest = lines.first().map(|line| Candidate::new("@last", format!("{}#{}", line.name, line.number)));
    newest.into_iter().chain(lines.iter().map(one)).collect()
}

fn steps(client: &mut Client, run: String) -> Vec<Candidate> {
    let Ok(Reply::StepNames(names)) = client.ask(Ask::StepNames { run }) else {
        return Vec::new();
    };
    names.into_iter().map(|name| Candidate::new(name, "")).collect()
}

fn questions(client: &mut Client, which: impl Fn(&EscalationView) -> bool) -> Vec<Candidate> {
    let Ok(Reply::Inbox(open)) = client.ask(Ask::Inbox) else {
        return Vec::new();
    };
    let one = |question: &EscalationView| {
        Candidate::new(format!("e{}", question.id), format!("{}: {}", question.run_name, question.title))
    };
    open.iter().filter(|question| which(question)).map(one).collect()
}

fn choices(client: &mut Client, question: &str) -> Vec<Candidate> {
    let Ok(id) = crate::cli::args::escalation(question) else {
        return Vec::new();
    };
    let Ok(Reply::Escalation(view)) = client.ask(Ask::Escalation { id }) else {
        return Vec::new();
    };
    view.choices.iter().map(|choice| Candidate::new(choice.word.clone(), choice.effect.clone())).collect()
}

fn checkpoints(client: &mut Client, run: String, step: &str) -> Vec<Candidate> {
    let Ok(Reply::Checkpoints(all)) = client.ask(Ask::Checkpoints { run }) else {
        return Vec::new();
    };
    let of_step = all.iter().filter(|seen| seen.step_name == step && seen.bytes.is_some());
    of_step.map(|seen| Candidate::new(seen.path.clone(), seen.says.clone())).collect()
}
