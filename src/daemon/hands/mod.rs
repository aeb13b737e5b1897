//! The hands of one environment of a run: an actor that has its environment made or adopted, holds the connection to its keeper, and
//! carries out effects there. May never decide what a failure means: it reports facts, or asks to be asked again.
//!
//! * [`task`]: what it can be given.
//! * [`reach`]: how it gets hold of the environment and lets go of it.
//! * [`container`]: what a run in a container needs besides.
//! * [`verify`]: probes, and whether what ended well is a success.
//! * [`peek`]: looks for what is waited for.
//! * [`checkpoints`]: whether they are good.
//! * [`keeping`]: an environment made anew, kept and closed.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use tokio::sync::{mpsc, oneshot};

use super::core::{Input, Parts};
use super::requests::{self, Answer};
use crate::attempt;
use crate::clock;
use crate::engine::Run;
use crate::environment::{self, Spec};
use crate::faults::crash_point;
use crate::model::{AttemptId, Command, Event, RunId, Site, StopReason, What};
use crate::session::{AskError, Keeper};
use crate::wire::keeper::{Ask, Launch, Reply};

mod checkpoints;
mod container;
mod keeping;
mod peek;
mod reach;
mod task;
mod verify;

pub(super) use checkpoints::{By, Flaws};
pub(super) use container::spec;
pub(super) use keeping::Keeping;
pub(super) use peek::Peek;
use reach::NoKeeper;
pub(super) use task::{Task, checks, task};

/// Before something that failed for the moment is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// Between two looks whether the shells in the environment of an ended run are closed.
const BUSY: Duration = Duration::from_secs(5);
/// How often a session that is not there yet is asked for, and between two times.
const BEGINNING: u32 = 10;
const MOMENT: Duration = Duration::from_millis(50);
/// Until the processes of an environment whose keeper is gone must be gone, too.
const DYING: Duration = Duration::from_secs(5);

/// An environment's actor. It ends when this is dropped and its queue is empty; what runs goes on.
pub(super) struct Hands {
    tasks: mpsc::UnboundedSender<Task>,
    counts: Arc<Counts>,
}

/// How much the actor was given: only the loop gives and looks.
#[derive(Default)]
struct Counts {
    given: AtomicU64,
    /// Which of them was the last one to close the environment; none is 0.
    last_close: AtomicU64,
}

impl Counts {
    fn note(&self, task: &Task) {
        let number = self.given.fetch_add(1, Ordering::Relaxed) + 1;
        if matches!(task, Task::Close { .. }) {
            self.last_close.store(number, Ordering::Relaxed);
        }
    }
}

impl Hands {
    pub(super) fn new(run: &Run, site: &Site, parts: &Parts, epoch: u64) -> Self {
        let (tasks, queue) = mpsc::unbounded_channel();
        let actor = Actor {
            run: run.id.clone(),
            spec: spec(run, site, parts),
            site: site.clone(),
            parts: parts.clone(),
            epoch,
            keeper: None,
            told_isolation: run.isolations.contains_key(&site.environment),
            waits: false,
            taken: 0,
            checking: checkpoints::Busy::default(),
        };
        tokio::spawn(actor.work(queue));
        Self { tasks, counts: Arc::default() }
    }

    /// It has more to do than the `done` first of its tasks.
    pub(super) fn has_more(&self, done: u64) -> bool {
        self.counts.given.load(Ordering::Relaxed) > done
    }

    /// It will close its environment after these.
    pub(super) fn closes_after(&self, done: u64) -> bool {
        self.counts.last_close.load(Ordering::Relaxed) > done
    }

    /// Gives a task later, from anywhere.
    pub(super) fn giver(&self) -> impl FnOnce(Task) + 'static {
        let (tasks, counts) = (self.tasks.clone(), Arc::clone(&self.counts));
        move |task| {
            counts.note(&task);
            drop(tasks.send(task));
        }
    }

    pub(super) fn give(&self, task: Task) {
        self.counts.note(&task);
        // The actor lives as long as this does.
        drop(self.tasks.send(task));
    }
}

/// The actor itself.
struct Actor {
    run: RunId,
    site: Site,
    spec: Spec,
    parts: Parts,
    epoch: u64,
    keeper: Option<Keeper>,
    told_isolation: bool,
    /// It was told what is waited for.
    waits: bool,
    /// Tasks that it took so far.
    taken: u64,
    checking: checkpoints::Busy,
}

impl Actor {
    async fn work(mut self, mut queue: mpsc::UnboundedReceiver<Task>) {
        while let Some(task) = queue.recv().await {
            self.taken += 1;
            match task {
                Task::Launch { attempt, launch, work_dir, base, refresh, unwanted } => {
                    if self.prepare(&attempt, base).await && self.refresh(&attempt, refresh).await {
                        self.launch(attempt, launch, work_dir, unwanted).await;
                    }
                }
                Task::Keep(keeping) => self.keep(keeping).await,
                Task::Stop { attempt, reason, grace, save } => self.stop(attempt, reason, (grace, save)).await,
                Task::Peek(peek, answer) => self.peek(*peek, answer).await,
                Task::Probe(beside) => self.probe(beside).await,
                Task::Verify(beside, workflow) => self.verify(beside, workflow).await,
                Task::VerifyCheckpoints(beside, context) => self.verify_checkpoints(beside, *context).await,
                Task::Check(checks) => self.check(*checks).await,
                Task::Look(look) => self.look(look).await,
                Task::Input { key, text, answer } => self.input(key, &text, answer).await,
                Task::Pty { ask, title, work_dir, answer, without } => {
                    let reply = self.pty(ask, title, work_dir).await;
                    if let (Err(_), Some(without)) = (&reply, without) {
                        self.parts.tell(*without);
                    }
                    drop(answer.send(reply.unwrap_or_else(requests::refused)));
                }
                Task::LetGo { attempt } => self.let_go(attempt).await,
                Task::Close { keep } => self.close(keep).await,
            }
        }
    }

    /// Says what is waited for, or that nothing is any more.
    fn wait_for(&mut self, words: Option<String>) {
        if self.waits || words.is_some() {
            self.waits = words.is_some();
            self.parts.tell(Input::Waits { run: self.run.clone(), site: self.site.clone(), words, kept: None });
        }
    }

    /// Says how it stands with keeping the environment after this attempt.
    fn says_of_keeping(&mut self, attempt: &AttemptId, words: String) {
        self.waits = true;
        let (run, site, kept) = (self.run.clone(), self.site.clone(), Some(attempt.clone()));
        self.parts.tell(Input::Waits { run, site, words: Some(words), kept });
    }

    fn fact(&self, what: What) {
        self.parts.tell(Input::Fact(Event { run: self.run.clone(), at: self.parts.clock.now(), what }));
    }

    /// Makes a lane's own place below the run's `work`, where steps may have put anything: no link is followed.
    fn make_work_dir(&self, work_dir: &std::path::Path) -> Result<(), environment::Error> {
        let root = self.spec.work_dir();
        let inside = work_dir.strip_prefix(&root).unwrap_or(work_dir);
        environment::make_below(&root, inside)
    }

    /// Whether this attempt may have begun once, in an environment that is there no more.
    fn may_have_begun(&self, attempt: &AttemptId) -> bool {
        let run_dir = attempt::open_run_dir(&self.spec.run_dir);
        let dir = run_dir.and_then(|run_dir| attempt::open(&run_dir, &attempt.dir()));
        match dir.and_then(|dir| dir.map_or(Ok(None), attempt::claim::probe)) {
            Ok(claim) => claim.is_some(),
            // Who cannot look does not know.
            Err(_) => true,
        }
    }

    async fn launch(&mut self, attempt: AttemptId, mut launch: Box<Launch>, work_dir: PathBuf, unwanted: bool) {
        let again = Input::Again(Command::Launch(attempt.clone()));
        if let Err(error) = self.make_work_dir(&work_dir) {
            tracing::error!("{attempt} has no place to work in: {error}");
            self.wait_for(Some(format!("it has no place to work in: {error}")));
            self.parts.tell_after(AGAIN, again);
            return;
        }
        let keeper = match self.keeper().await {
            Ok(keeper) => keeper,
            Err(NoKeeper::Failed(why)) => {
                tracing::error!("the environment of {attempt} cannot be had: {why}");
                self.fact(What::EnvironmentFailed { environment: self.site.environment.clone(), why: why.clone() });
                self.fact(What::CannotStart { lane: attempt.lane, why });
                return;
            }
            Err(NoKeeper::NotYet(_)) if unwanted && !self.may_have_begun(&attempt) => {
                self.wait_for(None);
                let why = "it was stopped before its environment was there".into();
                self.fact(What::CannotStart { lane: attempt.lane, why });
                return;
            }
            Err(NoKeeper::Later(why) | NoKeeper::NotYet(why)) => {
                tracing::warn!("the environment of {attempt} does not answer: {why}");
                self.parts.tell_after(AGAIN, again);
                return;
            }
        };
        if !launch.secrets.is_empty() && !keeper.hides_secrets() {
            let why = "its environment was started by an older dogwatch, which would not hide the secrets that it needs: \
                       start the run again";
            return self.fact(What::CannotStart { lane: attempt.lane, why: why.into() });
        }
        container::fit(&self.spec, &mut launch.argv, &mut launch.env);
        let (parts, run, site) = (self.parts.clone(), self.run.clone(), self.site.clone());
        let secret = !launch.secrets.is_empty();
        if secret {
            crash_point("hands.before-secrets");
        }
        crash_point("hands.before-launch");
        tokio::spawn(async move {
            let answer = keeper.ask(Ask::Launch(launch)).await;
            crash_point("hands.after-launch");
            if secret {
                crash_point("hands.after-secrets");
            }
            match answer {
                // Its claim is told by the keeper.
                Ok(Reply::Launched) => {}
                // Somebody launched it before: what is there tells how it stands.
                Ok(Reply::AlreadyThere) => parts.tell(Input::KeeperGone { run, site }),
                Ok(other) => {
                    tracing::error!("the keeper answered a launch of {attempt} with {other:?}");
                    parts.tell_after(AGAIN, again);
                }
                Err(AskError::Refused(why)) => {
                    tracing::error!("the keeper refuses to launch {attempt}: {why}");
                    parts.tell_after(AGAIN, again);
                }
                Err(error) => {
                    tracing::warn!("{attempt} is not known to be launched: {error}");
                    parts.tell_after(AGAIN, again);
                }
            }
        });
    }

    async fn stop(&mut self, attempt: AttemptId, reason: StopReason, (grace, save): (Duration, Option<i32>)) {
        let command = Command::Stop { attempt: attempt.clone(), reason, grace, save };
        let wire_reason = match reason {
            StopReason::Timeout => crate::wire::keeper::StopReason::Timeout,
            // Shims of older versions know no other one; the journal says why.
            StopReason::Stop | StopReason::Stall | StopReason::Alert | StopReason::Unneeded | StopReason::NotReady => {
                crate::wire::keeper::StopReason::Stop
            }
        };
        let Ok(keeper) = self.keeper().await else {
            self.parts.tell_after(AGAIN, Input::Again(command));
            return;
        };
        let (parts, run, site) = (self.parts.clone(), self.run.clone(), self.site.clone());
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        crash_point("hands.before-stop");
        tokio::spawn(async move {
            let answer = keeper.ask(Ask::Stop { key: attempt.key(), grace_ms, reason: wire_reason, save }).await;
            crash_point("hands.after-stop");
            if let Err(error) = answer {
                tracing::warn!("{attempt} is not known to be stopped: {error}");
                if let AskError::Refused(why) = error {
                    let words = Some(format!("cannot be stopped: {why}"));
                    parts.tell(Input::Waits { run, site, words, kept: Some(attempt) });
                }
                parts.tell_after(AGAIN, Input::Again(command));
            }
        });
    }

    async fn input(&mut self, key: String, text: &str, answer: oneshot::Sender<Answer>) {
        let bytes = base64::engine::general_purpose::STANDARD.encode(text);
        let reply = match self.keeper().await {
            Ok(keeper) => keeper.ask(Ask::Input { key, bytes }).await.map_err(|error| error.to_string()),
            Err(none) => Err(none.why()),
        };
        drop(answer.send(match reply {
            Ok(_) => requests::done("sent"),
            Err(why) => requests::refused(why),
        }));
    }

    async fn pty(&mut self, mut ask: Ask, title: String, work_dir: Option<PathBuf>) -> Result<Answer, String> {
        if let Some(work_dir) = work_dir
            && let Err(error) = self.make_work_dir(&work_dir)
        {
            tracing::warn!("a shell has no place of its own: {error}");
        }
        let keeper = match self.keeper().await {
            Ok(keeper) => keeper,
            Err(none) => return Err(none.why()),
        };
        if let Ask::OpenPty { argv, env, .. } = &mut ask {
            container::fit(&self.spec, argv, env);
        }
        let fd = self.terminal(&keeper, ask).await.map_err(|error| error.to_string())?;
        Ok(requests::pty(fd, title))
    }

    /// A terminal. The launch of the attempt may have been asked for just before and arrive just after: a keeper that knows
    /// no shim of it is asked again for a moment.
    async fn terminal(&self, keeper: &Keeper, ask: Ask) -> Result<std::os::fd::OwnedFd, AskError> {
        let session = matches!(ask, Ask::OpenSession { .. });
        for _ in 0..BEGINNING {
            match keeper.ask_pty(ask.clone()).await {
                Err(AskError::Refused(_)) if session => clock::sleep(MOMENT).await,
                other => return other,
            }
        }
        keeper.ask_pty(ask).await
    }

    /// Nobody types into it any more. An environment that is gone has no terminals.
    async fn let_go(&mut self, attempt: Option<AttemptId>) {
        if self.keeper.is_none() {
            self.find_keeper().await;
        }
        let Some(keeper) = self.keeper.clone() else { return };
        crash_point("hands.before-let-go");
        let asked = keeper.ask(Ask::LetGo { key: attempt.as_ref().map(AttemptId::key) }).await;
        crash_point("hands.after-let-go");
        if let Err(error) = asked {
            tracing::warn!("terminals in the environment of {} may still be open: {error}", self.run);
            if let Some(attempt) = attempt {
                self.parts.tell_after(AGAIN, Input::LetGo { attempt });
            }
        }
    }
}
