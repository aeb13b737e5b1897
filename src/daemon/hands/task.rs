//! What hands can be given, and how an effect that the mind owes becomes one. Decides nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::checkpoints::{By, Checks};
use super::{Keeping, Peek, verify};
use crate::daemon::adopt::Look;
use crate::daemon::core::{Input, Parts};
use crate::daemon::ended::Context;
use crate::daemon::lookout::Sight;
use crate::daemon::requests::Answer;
use crate::engine::{Base, LaneState, Refresh, Run, lost_secrets_words};
use crate::model::{AttemptId, Checkpoint, Command, Event, OnUnknown, StopReason, What, Workflow};
use crate::secrets::Mask;
use crate::wire::keeper::{Ask, Launch, Place};

/// Bytes kept of the start and of the end of a log, each.
const LOG_HALF: u64 = 32 * 1024 * 1024;
/// The terminal that a step starts with.
const ROWS: u16 = 40;
const COLS: u16 = 120;
/// A probe is given up after this long.
const PROBE: Duration = Duration::from_secs(300);
/// The `verify` of a step without a time limit is given up after this long.
const VERIFY: Duration = Duration::from_secs(600);

/// What hands can be given.
pub(in crate::daemon) enum Task {
    Launch {
        attempt: AttemptId,
        launch: Box<Launch>,
        work_dir: PathBuf,
        /// What its environment is made of, if not of its image.
        base: Option<Base>,
        /// Its container is to be started anew before.
        refresh: Option<Refresh>,
        /// It is to be stopped: it is only launched where it may have begun already.
        unwanted: bool,
    },
    /// The environment is to be kept as it is after this attempt, whose end is told afterwards.
    Keep(Keeping),
    Stop {
        attempt: AttemptId,
        reason: StopReason,
        grace: Duration,
        save: Option<i32>,
    },
    Probe(Beside),
    /// One look for what an attempt waits for.
    Peek(Box<Peek>, oneshot::Sender<Sight>),
    /// The `verify` of an attempt of this workflow.
    Verify(Beside, Arc<Workflow>),
    /// The newest good checkpoint is to be found; the script is asked about each.
    VerifyCheckpoints(Beside, Box<Context>),
    /// Checkpoints are to be looked at.
    Check(Box<Checks>),
    Look(Look),
    /// Typing into a step.
    Input {
        key: String,
        text: String,
        answer: oneshot::Sender<Answer>,
    },
    /// A terminal on a session, or a shell.
    Pty {
        ask: Ask,
        title: String,
        work_dir: Option<PathBuf>,
        answer: oneshot::Sender<Answer>,
        /// Told when there is no terminal.
        without: Option<Box<Input>>,
    },
    /// The terminals of people who may type into this attempt, or into any, are to be closed.
    LetGo {
        attempt: Option<AttemptId>,
    },
    /// The environment is over; with `keep` its container stays.
    Close {
        keep: bool,
    },
}

/// A script that is run beside the steps, as if it were one of the attempt's own.
pub(in crate::daemon) struct Beside {
    pub(super) attempt: AttemptId,
    pub(super) script: String,
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: String,
    pub(super) work_dir: PathBuf,
    /// What it prints is hidden by this.
    pub(super) mask: Mask,
    /// Why its script cannot be run.
    pub(super) lacks: Option<String>,
    /// It is given up after this long.
    pub(super) limit: Duration,
}

/// The task for an effect on an attempt, or the fact that it cannot be one.
pub(in crate::daemon) fn task(
    run: &Run,
    command: &Command,
    parts: &Parts,
    epoch: u64,
) -> Result<Option<Task>, Box<Event>> {
    match command {
        Command::Launch(attempt) => launch(run, attempt, parts, epoch).map(Some),
        Command::Stop { attempt, reason, grace, save } => {
            Ok(Some(Task::Stop { attempt: attempt.clone(), reason: *reason, grace: *grace, save: *save }))
        }
        Command::Probe(attempt) => probe(run, attempt, parts).map(Some),
        Command::Verify(attempt) => verify(run, attempt, parts).map(Some),
        Command::VerifyCheckpoints(attempt) => Ok(verify_checkpoints(run, attempt, parts)),
        Command::CheckCheckpoint(attempt, checkpoint) => {
            Ok(checks(run, attempt, vec![checkpoint.clone()], By::Owed(Box::new(command.clone())), parts))
        }
        Command::LookOut(_)
        | Command::RemoveCheckpoint(..)
        | Command::LookUp(..)
        | Command::CloseEnvironment(_)
        | Command::Record(_) => Ok(None),
    }
}

fn launch(run: &Run, attempt: &AttemptId, parts: &Parts, epoch: u64) -> Result<Task, Box<Event>> {
    let cannot = |why: String| {
        let what = What::CannotStart { lane: attempt.lane.clone(), why };
        Box::new(Event { run: run.id.clone(), at: parts.clock.now(), what })
    };
    let env = run.environment(attempt).map_err(cannot)?;
    let Some(script) = run.lane(&attempt.lane).and_then(|lane| run.script_of(lane)) else {
        return Err(cannot("there is nothing to run".into()));
    };
    let wanted = secrets_of(run, attempt);
    let (secrets, lost) = parts.vault.values(&run.id, &wanted);
    if !lost.is_empty() {
        let what = What::SecretsLost { lane: attempt.lane.clone(), names: lost };
        return Err(Box::new(Event { run: run.id.clone(), at: parts.clock.now(), what }));
    }
    let key = attempt.key();
    let mac_key = blake3::Hash::from_bytes(parts.mac_key(&key)).to_hex().to_string();
    let launch = Launch {
        place: Place { key, dir: attempt.dir() },
        argv: shell(script),
        env,
        cwd: run.workflow.environment_of(&attempt.lane.step).workspace.clone(),
        rows: ROWS,
        cols: COLS,
        mac_key,
        epoch,
        log_half: LOG_HALF,
        secrets,
    };
    let work_dir = PathBuf::from(run.work_dir(&attempt.lane));
    let (base, refresh) = (run.base(attempt), run.refresh(attempt));
    let state = run.lane(&attempt.lane).map(|lane| &lane.state);
    let unwanted = matches!(state, Some(LaneState::Active { stop: Some(_), .. }));
    Ok(Task::Launch { attempt: attempt.clone(), launch: Box::new(launch), work_dir, base, refresh, unwanted })
}

fn probe(run: &Run, attempt: &AttemptId, parts: &Parts) -> Result<Task, Box<Event>> {
    let failed = |output: String| {
        let what = What::Probed { attempt: attempt.clone(), code: None, output };
        Box::new(Event { run: run.id.clone(), at: parts.clock.now(), what })
    };
    match run.workflow.steps.get(&attempt.lane.step).map(|step| &step.on_unknown) {
        Some(OnUnknown::Probe { script }) => {
            beside(run, attempt, (script.clone(), PROBE), parts).map(Task::Probe).map_err(failed)
        }
        Some(OnUnknown::Ask | OnUnknown::Rerun) | None => Err(failed("the step declares no probe".into())),
    }
}

fn verify(run: &Run, attempt: &AttemptId, parts: &Parts) -> Result<Task, Box<Event>> {
    let failed = |output: String| {
        let check = Box::new(verify::check(&run.workflow, attempt, None, &output));
        Box::new(Event {
            run: run.id.clone(),
            at: parts.clock.now(),
            what: What::Verified { attempt: attempt.clone(), check },
        })
    };
    let script = run.workflow.steps.get(&attempt.lane.step).and_then(|step| step.verify.clone());
    let script = script.ok_or_else(|| failed("the step declares no verify".into()))?;
    let limit = run.lane(&attempt.lane).and_then(|lane| run.timeout_of(lane)).unwrap_or(VERIFY);
    let beside = beside(run, attempt, (script, limit), parts).map_err(failed)?;
    Ok(Task::Verify(beside, Arc::clone(&run.workflow)))
}

/// `None` where there is nothing to ask any more.
fn verify_checkpoints(run: &Run, attempt: &AttemptId, parts: &Parts) -> Option<Task> {
    let (beside, context) = beside_checkpoints(run, attempt, parts)?;
    (!beside.script.is_empty()).then_some(Task::VerifyCheckpoints(beside, context))
}

/// The look at these checkpoints of a lane.
pub(in crate::daemon) fn checks(
    run: &Run,
    attempt: &AttemptId,
    wanted: Vec<Checkpoint>,
    asked: By,
    parts: &Parts,
) -> Option<Task> {
    let (beside, context) = beside_checkpoints(run, attempt, parts)?;
    let verifies = !beside.script.is_empty();
    Some(Task::Check(Box::new(Checks { beside, verifies, context, wanted, asked })))
}

/// The script is empty where the step has none.
fn beside_checkpoints(run: &Run, attempt: &AttemptId, parts: &Parts) -> Option<(Beside, Box<Context>)> {
    let lane = run.lane(&attempt.lane)?;
    let script = run.step_of(lane).checkpoint.as_ref()?.verify.clone().unwrap_or_default();
    let limit = run.timeout_of(lane).unwrap_or(VERIFY);
    // What the step could not be started with is told when it is.
    let mut env = run.environment(attempt).unwrap_or_default();
    let (secrets, lost) = parts.vault.values(&run.id, &secrets_of(run, attempt));
    let lacks = (!lost.is_empty()).then(|| lost_secrets_words(&lost));
    let mask = Mask::new(secrets.values());
    env.extend(secrets.0);
    let context = Box::new(Context::new(run, lane, attempt.clone(), parts));
    let cwd = run.workflow.environment_of(&attempt.lane.step).workspace.clone();
    let work_dir = PathBuf::from(run.work_dir(&attempt.lane));
    Some((Beside { attempt: attempt.clone(), script, env, cwd, work_dir, mask, lacks, limit }, context))
}

fn beside(
    run: &Run,
    attempt: &AttemptId,
    (script, limit): (String, Duration),
    parts: &Parts,
) -> Result<Beside, String> {
    let (secrets, lost) = parts.vault.values(&run.id, &secrets_of(run, attempt));
    if !lost.is_empty() {
        return Err(lost_secrets_words(&lost));
    }
    let mask = Mask::new(secrets.values());
    let mut env = run.environment(attempt)?;
    env.extend(secrets.0);
    Ok(Beside {
        attempt: attempt.clone(),
        script,
        env,
        cwd: run.workflow.environment_of(&attempt.lane.step).workspace.clone(),
        work_dir: PathBuf::from(run.work_dir(&attempt.lane)),
        mask,
        lacks: None,
        limit,
    })
}

/// The names of the secrets that an attempt gets.
fn secrets_of(run: &Run, attempt: &AttemptId) -> Vec<String> {
    run.workflow.steps.get(&attempt.lane.step).map(|step| step.secrets.clone()).unwrap_or_default()
}

/// Lets a program deal with Ctrl-C itself, as bash does: dash ends with the signal even when the program that it waited for
/// took it and ended well, so that a Ctrl-C at the prompt of `pdb` would fail the step. Where what ran did not end well, a
/// `read` that was interrupted too, the shell dies of the signal as before. On the script's first line, so that the numbers
/// of its lines stay true.
const CTRL_C: &str = "[ -n \"$BASH_VERSION\" ] || trap '[ $? -eq 0 ] || { trap - INT; kill -INT $$; }' INT; ";

/// Gives a script to the program that it is for: as a file, for few programs read their script from anywhere else. It is the
/// step's own process then, as if the kernel had started it (execve(2)); no `chmod`, for an image may have none.
const HAND_OVER: &str = r#"f="$DOGWATCH_DIR/.script-$$"; printf %s "$1" > "$f"; shift; exec "$@" "$f""#;

/// Scripts of a workflow are for `sh -e`, or for the program that their first line names behind `#!`.
pub(super) fn shell(script: &str) -> Vec<String> {
    let mut argv: Vec<String> = ["/bin/sh", "-e", "-c"].map(str::to_owned).into();
    match interpreter(script) {
        None => argv.push([CTRL_C, script].concat()),
        Some((program, argument)) => {
            argv.extend([HAND_OVER, "sh", script, program].map(str::to_owned));
            argv.extend(argument.map(str::to_owned));
        }
    }
    argv
}

/// The program that a script is for, and its one argument, read as execve(2) does.
fn interpreter(script: &str) -> Option<(&str, Option<&str>)> {
    let line = script.strip_prefix("#!")?.lines().next()?.trim();
    let (program, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let argument = argument.trim();
    (!program.is_empty()).then_some((program, Some(argument).filter(|argument| !argument.is_empty())))
}

#[cfg(test)]
mod tests {
    use super::interpreter;

    #[test]
    fn the_first_line_names_the_program_as_the_kernel_reads_it() {
        for (script, program) in [
            ("#!/bin/bash\nexit", Some(("/bin/bash", None))),
            ("#! /usr/bin/env  -S python3 -u \r\nexit()", Some(("/usr/bin/env", Some("-S python3 -u")))),
            ("#!awk\t-f", Some(("awk", Some("-f")))),
            ("#!\nexit", None),
            ("#!", None),
            (" #!/bin/bash", None),
            ("echo '#!/bin/bash'", None),
            ("", None),
        ] {
            assert_eq!(interpreter(script), program, "{script:?}");
        }
    }
}
