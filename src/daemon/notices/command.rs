//! A command that tells somebody: as the engine's user, in a process group of its own that ends with it.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use serde_json::Value;

use super::send::Message;
use crate::clock::{boottime_ms, pause};
use crate::faults::crash_point;
use crate::report::notice::clean;

const LIMIT: Duration = Duration::from_secs(30);
/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(20);
/// What is kept of its standard error.
const MOST_READ: usize = 4096;

/// Runs it to its end; good is exit code 0 within the limit.
pub(super) fn run(words: &[String], dir: &Path, message: &Message) -> Result<String, String> {
    let body: Value = serde_json::from_str(&message.body).unwrap_or_default();
    let said = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let variables = [
        ("DOGWATCH_SUMMARY", said("summary")),
        ("DOGWATCH_EVENT", said("event")),
        ("DOGWATCH_RUN", said("run")),
        ("DOGWATCH_STEP", said("step")),
        ("DOGWATCH_JSON", message.body.clone()),
        ("DOGWATCH_NOTICE", message.key.clone()),
    ];
    let [program, arguments @ ..] = words else { return Err("there is no command".into()) };
    // An argument that is a variable becomes its value: no shell is needed, and none sees it.
    let value_of = |argument: &String| {
        let named = argument.strip_prefix('$').and_then(|name| variables.iter().find(|(known, _)| *known == name));
        named.map_or_else(|| argument.clone(), |(_, value)| value.clone())
    };
    let (errors, theirs) = pipe().map_err(|why| format!("no pipe: {why}"))?;
    let mut command = Command::new(program);
    command.args(arguments.iter().map(value_of)).envs(variables.iter().map(|(name, value)| (name, value)));
    command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(theirs).process_group(0);
    crash_point("notice.before-command");
    let started = command.spawn();
    // With it goes this side's end of the pipe.
    drop(command);
    let result = started.map_err(|why| format!("{program} cannot be started: {why}")).and_then(|child| {
        crash_point("notice.after-start");
        end(child, errors)
    });
    crash_point("notice.after-command");
    result
}

/// The end to read, which never waits, and the other one.
fn pipe() -> std::io::Result<(std::fs::File, OwnedFd)> {
    let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    Ok((ours.into(), theirs))
}

fn end(mut child: Child, mut errors: std::fs::File) -> Result<String, String> {
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
        return Err("it has no process".into());
    };
    let until = boottime_ms() + i64::try_from(LIMIT.as_millis()).unwrap_or(i64::MAX);
    let mut said = Vec::new();
    // It is not collected before its group has ended: until then nobody else can have its number.
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let in_time = loop {
        drain(&mut errors, &mut said);
        match waitid(WaitId::Pid(pid), ended) {
            Ok(Some(_)) | Err(_) => break true,
            Ok(None) if boottime_ms() >= until => break false,
            Ok(None) => pause(LOOK),
        }
    };
    let _ = kill_process_group(pid, Signal::KILL);
    let status = child.wait().map_err(|why| format!("its end is not known: {why}"))?;
    drain(&mut errors, &mut said);
    if !in_time {
        return Err(format!("it did not end within {} s and was killed", LIMIT.as_secs()));
    }
    if status.success() {
        return Ok("exit code 0".into());
    }
    let words = clean(String::from_utf8_lossy(&said).trim());
    let status = status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"));
    Err(if words.is_empty() { status } else { format!("{status}: {words}") })
}

/// Reads what is there; keeps the beginning.
fn drain(errors: &mut std::fs::File, said: &mut Vec<u8>) {
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = errors.read(&mut piece) {
        let room = MOST_READ.saturating_sub(said.len()).min(count);
        said.extend_from_slice(&piece[..room]);
    }
}
