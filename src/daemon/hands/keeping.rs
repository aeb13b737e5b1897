//! What happens to an environment as a whole, beside its steps: made anew of what was kept, kept after a step, closed. The
//! hands' part of it, and the loop's. Decides nothing about steps; the end of one that is to be kept is told when that is
//! done, so that nothing which needs it has begun before.

use super::{AGAIN, Actor, BUSY, Task};
use crate::daemon::core::{Core, Input};
use crate::engine::{Base, Refresh, Run};
use crate::environment;
use crate::faults::crash_point;
use crate::model::{AttemptId, Command, Event, Exit, Snapshot, What};

/// An environment that is to be kept after an attempt.
#[derive(Debug)]
pub(in crate::daemon) struct Keeping {
    attempt: AttemptId,
    exit: Box<Exit>,
    /// Nothing else runs in it.
    alone: bool,
}

impl Core {
    /// Of these facts, those that are told now: the end of an attempt whose environment is to be kept is told after that.
    pub(in crate::daemon) fn after_keeping(&mut self, facts: Vec<Event>) -> Vec<Event> {
        facts.into_iter().filter_map(|fact| self.kept_first(fact)).collect()
    }

    /// The fact that is told now.
    fn kept_first(&mut self, fact: Event) -> Option<Event> {
        let What::Exited { attempt, exit } = &fact.what else { return Some(fact) };
        let Some(run) = self.engine.run(&attempt.run) else { return Some(fact) };
        let wanted = run.workflow.steps.get(&attempt.lane.step).is_some_and(|step| step.place.snapshot);
        let good = exit.ended_well();
        let live = run.live_attempts().any(|(live, _)| live == *attempt);
        if !wanted || !good || !live {
            return Some(fact);
        }
        let alone = is_alone(run, attempt);
        if !self.keeping.insert(attempt.clone()) {
            return None;
        }
        let keeping = Keeping { attempt: attempt.clone(), exit: exit.clone(), alone };
        if let Some(hands) = self.hands(attempt) {
            hands.give(Task::Keep(keeping));
        }
        Some(Event { what: What::Keeping { attempt: attempt.clone() }, ..fact.clone() })
    }

    /// Gives it to the hands once more. Others may have begun or ended there meanwhile.
    pub(in crate::daemon) fn keep_again(&mut self, mut keeping: Keeping) {
        let attempt = keeping.attempt.clone();
        if let Some(run) = self.engine.run(&attempt.run) {
            keeping.alone = is_alone(run, &attempt);
        }
        if let Some(hands) = self.hands(&attempt) {
            hands.give(Task::Keep(keeping));
        }
    }
}

/// Nothing else runs in the environment of this attempt.
fn is_alone(run: &Run, attempt: &AttemptId) -> bool {
    let site = run.site(attempt);
    run.live_attempts().filter(|(live, _)| run.site(live) == site).count() < 2
}

impl Actor {
    /// Makes the environment anew where the attempt is to go on from what was kept; false when it has to be tried again.
    pub(super) async fn prepare(&mut self, attempt: &AttemptId, base: Option<Base>) -> bool {
        let Some(container) = &mut self.spec.container else { return true };
        container.base = base.as_ref().map(|base| base.image.clone());
        let key = attempt.key();
        let Some(base) = base.filter(|base| base.anew && !environment::is_made_for(&self.spec, &key)) else {
            return true;
        };
        let again = || Input::Again(Command::Launch(attempt.clone()));
        if !self.has_base(attempt, &base).await {
            return false;
        }
        crash_point("hands.before-anew");
        if !self.shut_down(again(), true).await {
            self.wait_for(Some("a shell is open in the environment, which is to be made anew".into()));
            return false;
        }
        let made = match environment::remove_container(&self.spec).await {
            Ok(()) => self.parts.sandbox.ensure(&self.spec).await.map(drop),
            Err(error) => Err(error),
        };
        crash_point("hands.after-anew");
        match made.and_then(|()| environment::note_made_for(&self.spec, &key)) {
            Ok(()) => {
                tracing::info!("the environment of {attempt} was made anew of what was kept");
                true
            }
            Err(error) if error.passes() => {
                self.wait_for(Some(error.to_string()));
                self.parts.tell_after(AGAIN, again());
                false
            }
            Err(error) => {
                let why = format!("its environment cannot be made anew: {error}");
                self.fact(What::EnvironmentFailed { environment: self.site.environment.clone(), why: why.clone() });
                self.fact(What::CannotStart { lane: attempt.lane.clone(), why });
                false
            }
        }
    }

    /// Starts the container anew where it lost its GPUs, with all that is in it: only then are they given to it again. False
    /// when it has to be tried again.
    pub(super) async fn refresh(&mut self, attempt: &AttemptId, refresh: Option<Refresh>) -> bool {
        let Some(refresh) =
            refresh.filter(|refresh| environment::was_started_before(&self.spec, refresh.since.as_ms()))
        else {
            return true;
        };
        let again = || Input::Again(Command::Launch(attempt.clone()));
        if !refresh.alone {
            self.wait_for(Some(
                "its container lost its GPUs: it is started anew when what runs in it has ended".into(),
            ));
            self.parts.tell_after(AGAIN, again());
            return false;
        }
        crash_point("hands.before-refresh");
        if !self.shut_down(again(), false).await {
            let words = "its container lost its GPUs: it is started anew when the shells and steps in it have ended";
            self.wait_for(Some(words.into()));
            return false;
        }
        // Its engine notices the end a moment later, and would start nothing before.
        let noticed = environment::fate(&self.spec).await;
        crash_point("hands.after-refresh");
        if let Err(error) = noticed {
            tracing::warn!("{error}");
        }
        tracing::info!("the container of {attempt} is started anew: it had lost its GPUs");
        true
    }

    /// Is that there which the environment is to be made anew of? The old one is not given up before that is known. Where
    /// it is not, the attempt cannot start; where nobody answers, it is tried again.
    async fn has_base(&mut self, attempt: &AttemptId, base: &Base) -> bool {
        let why = match environment::is_kept(&self.spec, &base.image).await {
            Ok(true) => return true,
            Ok(false) => format!(
                "what was kept of its environment was removed from the container engine ({}); resume the run from the \
                 step that it was kept after, or from an earlier one (`dogwatch checkpoints RUN` lists what is kept)",
                base.image
            ),
            Err(error) if error.passes() => {
                self.wait_for(Some(error.to_string()));
                self.parts.tell_after(AGAIN, Input::Again(Command::Launch(attempt.clone())));
                return false;
            }
            Err(error) => format!("what was kept of its environment cannot be looked at: {error}"),
        };
        self.fact(What::CannotStart { lane: attempt.lane.clone(), why });
        false
    }

    /// Keeps the environment, and then tells the attempt's end.
    pub(super) async fn keep(&mut self, keeping: Keeping) {
        let Keeping { attempt, exit, alone } = keeping;
        self.says_of_keeping(&attempt, "it has ended well; its environment is being kept".into());
        crash_point("hands.before-keep");
        let kept = environment::keep(&self.spec, &attempt.key(), alone).await;
        crash_point("hands.after-keep");
        let about = match kept {
            Ok(image) => {
                let snapshot = Snapshot { image: image.id, bytes: image.bytes };
                What::Snapshotted { attempt: attempt.clone(), snapshot }
            }
            Err(error) if error.passes() => {
                let words = format!("it has ended well; its environment is to be kept, but {error}");
                self.says_of_keeping(&attempt, words);
                return self.parts.tell_after(AGAIN, Input::Keep(Box::new(Keeping { attempt, exit, alone })));
            }
            Err(error) => {
                tracing::error!("the environment of {attempt} cannot be kept: {error}");
                What::NotSnapshotted { attempt: attempt.clone(), why: error.to_string() }
            }
        };
        self.wait_for(None);
        let at = self.parts.clock.now();
        let facts = [about, What::Exited { attempt: attempt.clone(), exit }];
        let facts = facts.map(|what| Event { run: self.run.clone(), at, what }).into();
        self.parts.tell(Input::Kept { attempt, facts });
    }

    /// Ends an environment that is over.
    pub(super) async fn close(&mut self, keep: bool) {
        crash_point("hands.before-close");
        let again = || Input::CloseAgain { run: self.run.clone(), site: self.site.clone() };
        let (shell, later) = (again(), again());
        if !self.shut_down(shell, true).await {
            return;
        }
        let done = if keep {
            environment::leave_container(&self.spec)
        } else {
            environment::remove_container(&self.spec).await
        };
        if let Err(error) = done {
            tracing::warn!("{error}");
            if error.passes() {
                return self.parts.tell_after(BUSY, later);
            }
        }
        crash_point("hands.after-close");
        self.parts.tell(Input::Closed { run: self.run.clone(), site: self.site.clone(), done: self.taken });
    }
}
