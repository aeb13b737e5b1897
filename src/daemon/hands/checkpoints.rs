//! Whether checkpoints are good: a look at their files, then the step's own `checkpoint.verify`, and what they hold. For an
//! attempt that ended badly until one is good; for `keep` and for people one by one. Decides nothing.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::reach::NoKeeper;
use super::task::{Beside, shell};
use super::verify::ran;
use super::{AGAIN, Actor, container};
use crate::daemon::core::Input;
use crate::daemon::ended::Context;
use crate::environment::Spec;
use crate::model::{Checked, Checkpoint, Command, Damaged, Event, LaneId, What};
use crate::secrets::Mask;
use crate::session::Keeper;

/// Of the last line about a checkpoint, so many characters are told.
const SHORT: usize = 80;

/// Lanes one of whose checkpoints is being looked at for `keep`: one at a time.
pub(super) type Busy = Arc<Mutex<HashSet<LaneId>>>;

/// What was found of checkpoints: what is wrong with each.
pub(in crate::daemon) type Flaws = Vec<(Checkpoint, Option<String>)>;

/// Checkpoints of a lane that are to be looked at.
pub(in crate::daemon) struct Checks {
    /// With the step's `checkpoint.verify`, if it has one.
    pub(super) beside: Beside,
    pub(super) verifies: bool,
    pub(super) context: Box<Context>,
    pub(super) wanted: Vec<Checkpoint>,
    pub(super) asked: By,
}

/// Who wants them looked at.
pub(in crate::daemon) enum By {
    /// `keep`: this is what it is owed.
    Owed(Box<Command>),
    Person(Box<dyn FnOnce(Result<Flaws, String>) + Send>),
}

/// What a script is run with.
struct Runner {
    keeper: Result<Keeper, String>,
    spec: Spec,
    script: String,
    env: BTreeMap<String, String>,
    cwd: String,
    mask: Mask,
    limit: Duration,
}

impl Runner {
    /// What is wrong with a checkpoint; `Err`: the keeper is gone, and nothing is known.
    async fn flaw(&self, path: &str) -> Result<Option<String>, ()> {
        let keeper = match &self.keeper {
            Ok(keeper) => keeper,
            Err(why) => return Ok(Some(format!("it cannot be verified: {why}"))),
        };
        let (mut argv, mut env) = (shell(&self.script), self.env.clone());
        env.insert("CHECKPOINT".into(), path.to_owned());
        container::fit(&self.spec, &mut argv, &mut env);
        let ended = ran(keeper, (argv, env, self.cwd.clone()), &self.mask, self.limit).await;
        let Some((code, output)) = ended else {
            return Err(());
        };
        Ok(flaw_of(code, &output))
    }
}

impl Actor {
    /// What runs scripts about checkpoints; `Err`: later.
    async fn runner(&mut self, beside: Beside) -> Result<Runner, String> {
        let Beside { attempt, script, env, cwd, work_dir, mask, lacks, limit } = beside;
        if let Err(error) = self.make_work_dir(&work_dir) {
            tracing::warn!("what is asked about {attempt} has no place of its own: {error}");
        }
        let keeper = match self.keeper().await {
            Ok(keeper) => lacks.map_or(Ok(keeper), Err),
            Err(NoKeeper::Failed(why)) => Err(why),
            Err(NoKeeper::Later(why) | NoKeeper::NotYet(why)) => return Err(why),
        };
        Ok(Runner { keeper, spec: self.spec.clone(), script, env, cwd, mask, limit })
    }

    /// Looks at the checkpoints of an attempt, newest first, until one is good.
    pub(super) async fn verify_checkpoints(&mut self, beside: Beside, context: Context) {
        let attempt = beside.attempt.clone();
        let command = Command::VerifyCheckpoints(attempt.clone());
        let Ok(runner) = self.runner(beside).await else {
            return self.parts.tell_after(AGAIN, Input::Again(command));
        };
        let (parts, run) = (self.parts.clone(), self.run.clone());
        tokio::spawn(async move {
            let candidates = tokio::task::spawn_blocking(move || context.candidates()).await.unwrap_or_default();
            let (mut good, mut damaged) = (None, Vec::new());
            for (checkpoint, flaw) in candidates {
                let flaw = match flaw {
                    Some(flaw) => Some(flaw),
                    None => match runner.flaw(&checkpoint.path).await {
                        Ok(flaw) => flaw,
                        Err(()) => return parts.tell_after(AGAIN, Input::Again(command)),
                    },
                };
                match flaw {
                    None => {
                        good = Some(checkpoint);
                        break;
                    }
                    Some(why) => damaged.push(Damaged { checkpoint, why }),
                }
            }
            let digest = match &good {
                Some(good) => digest(good).await,
                None => None,
            };
            let what = What::CheckpointsVerified { attempt, good, damaged, digest };
            parts.tell(Input::Fact(Event { run, at: parts.clock.now(), what }));
        });
    }

    /// Looks at checkpoints one after the other, and tells what is found of each.
    pub(super) async fn check(&mut self, checks: Checks) {
        let Checks { beside, verifies, context, wanted, asked } = checks;
        let lane = beside.attempt.lane.clone();
        let busy = Arc::clone(&self.checking);
        if let By::Owed(command) = &asked
            && !taken(&busy).insert(lane.clone())
        {
            return self.parts.tell_after(AGAIN, Input::Again(command.as_ref().clone()));
        }
        let runner = match if verifies { self.runner(beside).await.map(Some) } else { Ok(None) } {
            Ok(runner) => runner,
            Err(why) => return self.not_checked(&lane, asked, why),
        };
        let (parts, run) = (self.parts.clone(), self.run.clone());
        let by_person = matches!(asked, By::Person(_));
        tokio::spawn(async move {
            let context = Arc::new(context);
            let (mut found, mut lost) = (Vec::new(), false);
            for checkpoint in wanted {
                let (look, path) = (Arc::clone(&context), checkpoint.path.clone());
                let seen = tokio::task::spawn_blocking(move || look.flaw(&path)).await;
                let flaw = match (seen.unwrap_or_default(), &runner) {
                    (Some(flaw), _) => Ok(Some(flaw)),
                    (None, Some(runner)) => runner.flaw(&checkpoint.path).await,
                    (None, None) => Ok(None),
                };
                let Ok(flaw) = flaw else {
                    lost = true;
                    break;
                };
                // What only `keep` looks at, and nobody verifies, is not read from end to end.
                let read = flaw.is_none() && (by_person || runner.is_some());
                let digest = if read { digest(&checkpoint).await } else { None };
                let (lane, flawed) = (lane.clone(), flaw.clone());
                let what = What::CheckpointChecked { lane, checkpoint: checkpoint.clone(), flaw: flawed, digest };
                parts.tell(Input::Fact(Event { run: run.clone(), at: parts.clock.now(), what }));
                found.push((checkpoint, flaw));
            }
            match asked {
                By::Owed(command) => {
                    taken(&busy).remove(&lane);
                    if lost {
                        parts.tell_after(AGAIN, Input::Again(*command));
                    }
                }
                By::Person(tell) if lost => tell(Err("its environment has gone".into())),
                By::Person(tell) => tell(Ok(found)),
            }
        });
    }

    fn not_checked(&self, lane: &LaneId, asked: By, why: String) {
        match asked {
            By::Owed(command) => {
                taken(&self.checking).remove(lane);
                self.parts.tell_after(AGAIN, Input::Again(*command));
            }
            By::Person(tell) => tell(Err(why)),
        }
    }
}

/// Whoever panicked while he held it left nothing half done.
fn taken(busy: &Busy) -> std::sync::MutexGuard<'_, HashSet<LaneId>> {
    busy.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn digest(checkpoint: &Checkpoint) -> Option<String> {
    let path = checkpoint.path.clone();
    tokio::task::spawn_blocking(move || crate::identity::digest(Path::new(&path)).ok()).await.ok()?
}

/// What the `verify` of a checkpoint found: its code, and the last words that it printed.
fn flaw_of(code: Option<i32>, output: &str) -> Option<String> {
    let how = code.map_or(Checked::NoAnswer, Checked::Code);
    let last = output.lines().rev().find(|line| !line.trim().is_empty());
    let said =
        last.map(|line| format!(", {}", line.trim().chars().take(SHORT).collect::<String>())).unwrap_or_default();
    (!how.is_good()).then(|| format!("{how}{said}"))
}
