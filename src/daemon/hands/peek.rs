//! One look from inside an environment: an address, a port, a file, or a script beside the steps. Decides nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::oneshot;

use super::reach::NoKeeper;
use super::task::shell;
use super::verify::ran;
use super::{Actor, container};
use crate::daemon::lookout::Sight;
use crate::engine::Run;
use crate::environment;
use crate::model::{AttemptId, Look, What};
use crate::secrets::Mask;

/// The keeper's own program, whatever the image has: a process that was only forked is still it.
const DOGWATCH: &str = "/proc/self/exe";
/// What a look is given over its own limit, to say that there was no answer.
const LEISURE: Duration = Duration::from_secs(2);

/// One look.
pub(in crate::daemon) struct Peek {
    attempt: AttemptId,
    argv: Vec<String>,
    env: BTreeMap<String, String>,
    cwd: String,
    work_dir: std::path::PathBuf,
    limit: Duration,
    /// A script of the workflow, in the step's own surroundings.
    is_script: bool,
}

impl Peek {
    /// A look for this attempt, or why it cannot be had.
    pub(in crate::daemon) fn new(run: &Run, attempt: &AttemptId, look: &Look<String>) -> Result<Self, String> {
        let mut env = run.environment(attempt)?;
        let limit = look.limit();
        let (kind, place) = match look {
            Look::Http(place) => ("http", place),
            Look::Tcp(place) => ("tcp", place),
            Look::File(place) => ("file", place),
            Look::Command(script) => ("", script),
        };
        let is_script = kind.is_empty();
        let argv = if is_script {
            shell(place)
        } else {
            env.retain(|name, _| name.to_ascii_lowercase().ends_with("_proxy"));
            let limit = limit.as_millis().to_string();
            [DOGWATCH, "peek", "--limit-ms", &limit, "--", kind, place].map(str::to_owned).to_vec()
        };
        Ok(Self {
            attempt: attempt.clone(),
            argv,
            env,
            cwd: run.workflow.environment_of(&attempt.lane.step).workspace.clone(),
            work_dir: run.work_dir(&attempt.lane).into(),
            limit: if is_script { limit } else { limit + LEISURE },
            is_script,
        })
    }
}

impl Actor {
    /// Looks once and says what was seen. Where there never will be an environment, the attempt cannot be started.
    pub(super) async fn peek(&mut self, peek: Peek, answer: oneshot::Sender<Sight>) {
        let Peek { attempt, mut argv, mut env, cwd, work_dir, limit, is_script } = peek;
        if let Err(error) = self.make_work_dir(&work_dir) {
            tracing::warn!("what is looked at for {attempt} has no place of its own: {error}");
        }
        let keeper = match self.keeper().await {
            Ok(keeper) => keeper,
            Err(NoKeeper::Failed(why)) => {
                self.fact(What::EnvironmentFailed { environment: self.site.environment.clone(), why: why.clone() });
                return self.fact(What::CannotStart { lane: attempt.lane, why });
            }
            Err(NoKeeper::Later(words) | NoKeeper::NotYet(words)) => {
                return drop(answer.send(Sight { good: None, words }));
            }
        };
        if is_script {
            container::fit(&self.spec, &mut argv, &mut env);
        } else if let Some(libraries) = environment::libraries(&self.spec) {
            env.insert("LD_LIBRARY_PATH".into(), libraries.into());
        }
        tokio::spawn(async move {
            // It has none of the step's secrets.
            let nothing = Mask::new([]);
            let sight = match ran(&keeper, (argv, env, cwd), &nothing, limit).await {
                None => Sight { good: None, words: "its environment does not answer".into() },
                Some((Some(0), said)) => Sight { good: Some(true), words: seen(is_script, 0, &said) },
                Some((Some(code), said)) => Sight { good: Some(false), words: seen(is_script, code, &said) },
                Some((None, said)) => {
                    let last = said.lines().last().unwrap_or("no answer").to_owned();
                    Sight { good: Some(false), words: last }
                }
            };
            drop(answer.send(sight));
        });
    }
}

/// The words for what was seen: of a script its code alone, for what it prints may be another thing each time.
fn seen(is_script: bool, code: i32, said: &str) -> String {
    let first = said.lines().next().map(str::trim).filter(|line| !line.is_empty() && !is_script);
    first.map_or_else(|| format!("exit code {code}"), |line| line.chars().take(200).collect())
}
