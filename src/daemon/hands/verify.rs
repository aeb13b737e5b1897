//! Scripts that are run beside the steps of an environment and whose end is a fact: probes of lost attempts, and the `verify`
//! of one that ended well. Decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use super::reach::NoKeeper;
use super::task::{Beside, shell};
use super::{AGAIN, Actor, container};
use crate::daemon::core::Input;
use crate::daemon::diagnose;
use crate::faults::crash_point;
use crate::gauge::plain;
use crate::judge::Facts;
use crate::model::{AttemptId, Check, Checked, Class, Command, Event, Hit, What, Workflow, span_words};
use crate::secrets::Mask;
use crate::session::{AskError, Keeper};
use crate::wire::keeper::{Ask, Reply};

/// Lines of a `verify` that are kept.
const TAIL: usize = 20;
/// A line is cut here.
const LONGEST_LINE: usize = 400;

impl Actor {
    pub(super) async fn probe(&mut self, beside: Beside) {
        let command = Command::Probe(beside.attempt.clone());
        self.beside(beside, command, |attempt, code, output| What::Probed { attempt, code, output }).await;
    }

    pub(super) async fn verify(&mut self, beside: Beside, workflow: Arc<Workflow>) {
        let command = Command::Verify(beside.attempt.clone());
        let told = move |attempt, code, output: String| {
            let check = Box::new(check(&workflow, &attempt, code, &output));
            What::Verified { attempt, check }
        };
        self.beside(beside, command, told).await;
    }

    /// Runs a script and tells the fact made of its code (`None`: no answer) and of what it printed. Where the keeper is
    /// gone before its answer, the command is handed out again, and the script runs again.
    async fn beside(
        &mut self,
        beside: Beside,
        command: Command,
        told: impl FnOnce(AttemptId, Option<i32>, String) -> What + Send + 'static,
    ) {
        let Beside { attempt, script, mut env, cwd, work_dir, mask, lacks: _, limit } = beside;
        if let Err(error) = self.make_work_dir(&work_dir) {
            tracing::warn!("what is asked about {attempt} has no place of its own: {error}");
        }
        let keeper = match self.keeper().await {
            Ok(keeper) => keeper,
            Err(NoKeeper::Failed(why)) => return self.fact(told(attempt, None, why)),
            Err(NoKeeper::Later(_) | NoKeeper::NotYet(_)) => {
                return self.parts.tell_after(AGAIN, Input::Again(command));
            }
        };
        let mut argv = shell(&script);
        container::fit(&self.spec, &mut argv, &mut env);
        let (parts, run) = (self.parts.clone(), self.run.clone());
        tokio::spawn(async move {
            let Some((code, output)) = ran(&keeper, (argv, env, cwd), &mask, limit).await else {
                return parts.tell_after(AGAIN, Input::Again(command));
            };
            let what = told(attempt, code, output);
            parts.tell(Input::Fact(Event { run, at: parts.clock.now(), what }));
        });
    }
}

/// The code and the output of a script that the keeper runs, without a code where there was no answer; `None`: the keeper is
/// gone, and nothing is known.
pub(super) async fn ran(
    keeper: &Keeper,
    (argv, env, cwd): (Vec<String>, BTreeMap<String, String>, String),
    mask: &Mask,
    limit: Duration,
) -> Option<(Option<i32>, String)> {
    let timeout_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    crash_point("hands.before-probe");
    let answer = keeper.ask(Ask::Run { argv, env, cwd, timeout_ms }).await;
    crash_point("hands.after-probe");
    let (code, output) = match answer {
        Ok(Reply::Ran { code, output, timed_out: false }) => (Some(code), output),
        Ok(Reply::Ran { output, .. }) => (None, format!("{output}\ngiven up after {}", span_words(limit))),
        Ok(other) => (None, format!("the keeper answered {other:?}")),
        Err(AskError::Gone | AskError::Unreachable(_)) => return None,
        Err(error) => (None, error.to_string()),
    };
    // Hidden before anything is done with it: a cut through a value would hide it no more.
    let output = mask.whole(&output);
    Some((code, plain::lines(output.as_bytes()).collect::<Vec<_>>().join("\n")))
}

/// What a `verify` said: where it found something wrong, why, as far as what it printed tells.
pub(super) fn check(workflow: &Workflow, attempt: &AttemptId, code: Option<i32>, output: &str) -> Check {
    let how = code.map_or(Checked::NoAnswer, Checked::Code);
    if how.is_good() {
        return Check { how, output: Vec::new(), hits: Vec::new(), diagnosis: None };
    }
    let lines: Vec<String> = output.lines().map(|line| line.chars().take(LONGEST_LINE).collect()).collect();
    let rules = workflow.steps.get(&attempt.lane.step).map_or(&[][..], |step| &step.on_failure);
    let hits = rules.iter().enumerate().filter_map(|(rule, spec)| {
        let pattern = Regex::new(spec.matcher.output.as_deref()?).ok()?;
        let (line, line_number) = lines.iter().zip(1..).find(|(line, _)| pattern.is_match(line))?;
        Some(Hit { rule, line_number, line: line.clone(), ..Hit::default() })
    });
    let mut judge = diagnose::judge(workflow);
    judge.bytes(output.as_bytes());
    let mut said = judge.end(&Facts { exit_code: code, ..Facts::default() });
    if matches!(said.class, Class::None | Class::Unknown) {
        said.class = Class::Unknown;
        said.explanation = format!("The step ended well, and its {how}.");
    }
    Check {
        how,
        hits: hits.collect(),
        output: lines[lines.len().saturating_sub(TAIL)..].to_vec(),
        diagnosis: Some(Box::new(said)),
    }
}
