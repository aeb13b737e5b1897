//! What each verb does: asks the engine, shows the answer. One file per kind of verb.

mod answer;
mod author;
mod control;
mod diagnose;
pub mod doctor;
pub mod engine;
pub mod file;
mod follow;
mod hands;
mod kept;
mod logs;
mod look;
mod metrics;
mod notify;
mod own;
mod recover;
mod secret;
mod start;
mod ui;
pub mod wait;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Face;
use super::args::{Ui, Verb};
use super::exit::{Exit, Failure};
use crate::wire::client::{Ask, Reply, RunView};

/// How a verb ends.
pub(super) type Ended = Result<Exit, Failure>;

/// Does what was typed. A bare `dogwatch` shows what is going on.
pub(super) fn act(face: &Face, verb: Option<Verb>) -> Ended {
    let Some(verb) = verb else {
        return if face.screen.can_open() { ui::ui(face, Ui::default()) } else { look::overview(face) };
    };
    match verb {
        Verb::Ui(args) => ui::ui(face, args),
        Verb::Run(run) => start::run(face, run),
        Verb::Exec(exec) => start::exec(face, &exec),
        Verb::Ps => look::ps(face),
        Verb::Runs { state, limit } => look::runs(face, state, limit),
        Verb::Status { run } => look::status(face, run),
        Verb::Watch { run, plain } => follow::watch(face, run, plain),
        Verb::Wait(wait) => wait::wait(face, &wait),
        Verb::Inbox => answer::inbox(face),
        Verb::Show { escalation } => answer::show(face, escalation),
        Verb::Decide { escalation, choice, as_rule: true, .. } => answer::as_rule(face, escalation, &choice),
        Verb::Decide { escalation, choice, message, all_like_this: true, for_run, .. } => {
            answer::decide_all(face, escalation, &choice, &answer::With { note: message, lasting: for_run })
        }
        Verb::Decide { escalation, choice, message, confirm, for_run, .. } => {
            let with = answer::With { note: message, lasting: for_run };
            answer::decide(face, escalation, &choice, with, confirm.as_deref())
        }
        Verb::Checkpoints(args) => kept::checkpoints(face, args),
        Verb::Metrics(args) => metrics::metrics(face, &args),
        Verb::Report(args) => metrics::report(face, &args),
        Verb::Secret(args) => secret::secret(face, args),
        Verb::Gc { dry_run } => kept::gc(face, dry_run),
        Verb::Undo { escalation } => answer::undo(face, escalation),
        Verb::Approve(gate) => answer::gate(face, gate, "approve"),
        Verb::Reject(gate) => answer::gate(face, gate, "reject"),
        Verb::Engine { verb } => engine::engine(face, &verb),
        Verb::Control(control) => control::order(face, control),
        Verb::Attach { run, step, readonly, take_over, key } => {
            let manner = hands::Manner { readonly, take_over, key: own::let_go(face, key.detach_key)? };
            hands::attach(face, &run, &step, manner)
        }
        Verb::Detach { run, step } => hands::detach(face, run, step),
        Verb::Shell { run, step, key } => hands::shell(face, run, step, own::let_go(face, key.detach_key)?),
        Verb::Logs(logs) => logs::logs(face, &logs),
        Verb::Validate { files } => author::validate(face, files),
        Verb::Graph { file, format } => author::graph(face, file.as_deref(), format),
        Verb::Why { run, step, attempt } => diagnose::why(face, run, step, attempt),
        Verb::Notices { run, limit } => notify::notices(face, run, limit),
        Verb::Notify { test } => notify::test(face, &test),
        Verb::Diagnose(args) => diagnose::diagnose(face, &args),
        Verb::Schema => author::schema(face),
        Verb::Completions { shell } => face.screen.write(shell.script()).map(|()| Exit::Good),
        Verb::Man => man(face),
        Verb::Recover => recover::recover(face),
        Verb::Doctor => doctor::doctor(face),
        Verb::Config { verb } => own::config(face, &verb),
        Verb::Inner(_) => Err(Failure::unexpected("an inner entry")),
    }
}

/// The manual: read at once on a terminal where there is something to read it with.
fn man(face: &Face) -> Ended {
    let page = super::man::page();
    let reader = if face.screen.can_open() { find("man") } else { None };
    let Some(reader) = reader else {
        face.screen.write(&page)?;
        return Ok(Exit::Good);
    };
    let mut reading = Command::new(reader).args(["-l", "-"]).stdin(Stdio::piped()).spawn()?;
    if let Some(mut pages) = reading.stdin.take() {
        // Whoever has read enough closes it.
        let _ = std::io::Write::write_all(&mut pages, page.as_bytes());
    }
    reading.wait()?;
    Ok(Exit::Good)
}

/// The program of this name on `$PATH`; one with a `/` in its name is where that says.
fn find(name: &str) -> Option<PathBuf> {
    let runs = |path: &PathBuf| path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(runs);
    }
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(runs)
}

/// What is opened where neither variable says it.
const EDITORS: [&str; 4] = ["editor", "nano", "vim", "vi"];

/// The operator's editor, and the variable that names it.
fn editor() -> Option<(&'static str, OsString)> {
    let set = |name| std::env::var_os(name).filter(|text| !text.is_empty()).map(|text| (name, text));
    let usual = || EDITORS.into_iter().find_map(find).map(|path| ("EDITOR", path.into_os_string()));
    set("VISUAL").or_else(|| set("EDITOR")).or_else(usual)
}

/// The run as it is now.
fn run_view(client: &mut crate::client::Client, run: String) -> Result<RunView, Failure> {
    let Reply::Run(view) = client.ask(Ask::Status { run })? else {
        return Err(Failure::unexpected("status"));
    };
    Ok(view)
}
