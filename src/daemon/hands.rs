//! The hands of one environment of a run: an actor that has its environment made or adopted, holds the connection to its keeper, and
//! carries out effects there. May never decide what a failure means: it reports facts, or asks to be asked again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use tokio::sync::{mpsc, oneshot};

use super::adopt::{Life, Look};
use super::container;
use super::core::{Input, Parts};
use super::keeping::Keeping;
use super::requests::{self, Answer};
use crate::clock;
use crate::engine::{Base, Run};
use crate::environment::{self, Handle, Spec};
use crate::faults::crash_point;
use crate::model::{AttemptId, Command, Event, Isolation, OnUnknown, RunId, Site, StepWhat, StopReason, What};
use crate::session::{self, AskError, Keeper};
use crate::wire::keeper::{Ask, Launch, Place, Reply};

/// Bytes kept of the start and of the end of a log, each.
const LOG_HALF: u64 = 32 * 1024 * 1024;
/// The terminal that a step starts with.
const ROWS: u16 = 40;
const COLS: u16 = 120;
/// A probe is given up after this long.
const PROBE: Duration = Duration::from_secs(300);
/// Before something that failed for the moment is tried again.
pub(super) const AGAIN: Duration = Duration::from_secs(1);
/// Between two looks whether the shells in the environment of an ended run are closed.
pub(super) const BUSY: Duration = Duration::from_secs(5);
/// Until the processes of an environment whose keeper is gone must be gone, too.
const DYING: Duration = Duration::from_secs(5);

/// What hands can be given.
pub(super) enum Task {
    Launch {
        attempt: AttemptId,
        launch: Box<Launch>,
        work_dir: PathBuf,
        /// What its environment is made of, if not of its image.
        base: Option<Base>,
    },
    /// The environment is to be kept as it is after this attempt, whose end is told afterwards.
    Keep(Keeping),
    Stop {
        attempt: AttemptId,
        reason: StopReason,
        grace: Duration,
    },
    Probe {
        attempt: AttemptId,
        script: String,
        env: BTreeMap<String, String>,
        cwd: String,
        work_dir: PathBuf,
    },
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

/// An environment's actor. It ends when this is dropped and its queue is empty; what runs goes on.
pub(super) struct Hands {
    tasks: mpsc::UnboundedSender<Task>,
}

impl Hands {
    pub(super) fn new(run: &Run, site: &Site, parts: &Parts, epoch: u64) -> Self {
        let (tasks, queue) = mpsc::unbounded_channel();
        let actor = Actor {
            run: run.id.clone(),
            spec: container::spec(run, site, parts),
            site: site.clone(),
            parts: parts.clone(),
            epoch,
            keeper: None,
            told_isolation: run.isolations.contains_key(&site.environment),
            waits: false,
        };
        tokio::spawn(actor.work(queue));
        Self { tasks }
    }

    /// Gives a task later, from anywhere.
    pub(super) fn giver(&self) -> impl FnOnce(Task) + 'static {
        let tasks = self.tasks.clone();
        move |task| drop(tasks.send(task))
    }

    pub(super) fn give(&self, task: Task) {
        // The actor lives as long as this does.
        drop(self.tasks.send(task));
    }
}

/// The task for an effect on an attempt, or the fact that it cannot be one.
pub(super) fn task(run: &Run, command: &Command, parts: &Parts, epoch: u64) -> Result<Option<Task>, Box<Event>> {
    match command {
        Command::Launch(attempt) => launch(run, attempt, parts, epoch).map(Some),
        Command::Stop { attempt, reason, grace } => {
            Ok(Some(Task::Stop { attempt: attempt.clone(), reason: *reason, grace: *grace }))
        }
        Command::Probe(attempt) => probe(run, attempt, parts).map(Some),
        Command::CloseEnvironment(_) | Command::Record(_) => Ok(None),
    }
}

fn launch(run: &Run, attempt: &AttemptId, parts: &Parts, epoch: u64) -> Result<Task, Box<Event>> {
    let cannot = |why: String| {
        let what = What::CannotStart { lane: attempt.lane.clone(), why };
        Box::new(Event { run: run.id.clone(), at: parts.clock.now(), what })
    };
    let env = run.environment(attempt).map_err(cannot)?;
    let script = match run.workflow.steps.get(&attempt.lane.step).map(|step| &step.what) {
        Some(StepWhat::Run { script }) => script.clone(),
        Some(StepWhat::Approval(_)) | None => return Err(cannot("there is nothing to run".into())),
    };
    let key = attempt.key();
    let mac_key = blake3::Hash::from_bytes(parts.mac_key(&key)).to_hex().to_string();
    let launch = Launch {
        place: Place { key, dir: attempt.dir() },
        argv: shell(&script),
        env,
        cwd: run.workflow.environment_of(&attempt.lane.step).workspace.clone(),
        rows: ROWS,
        cols: COLS,
        mac_key,
        epoch,
        log_half: LOG_HALF,
    };
    let work_dir = PathBuf::from(run.work_dir(&attempt.lane));
    let base = run.base(attempt);
    Ok(Task::Launch { attempt: attempt.clone(), launch: Box::new(launch), work_dir, base })
}

fn probe(run: &Run, attempt: &AttemptId, parts: &Parts) -> Result<Task, Box<Event>> {
    let failed = |output: String| {
        let what = What::Probed { attempt: attempt.clone(), code: None, output };
        Box::new(Event { run: run.id.clone(), at: parts.clock.now(), what })
    };
    let env = run.environment(attempt).map_err(failed)?;
    match run.workflow.steps.get(&attempt.lane.step).map(|step| &step.on_unknown) {
        Some(OnUnknown::Probe { script }) => Ok(Task::Probe {
            attempt: attempt.clone(),
            script: script.clone(),
            env,
            cwd: run.workflow.environment_of(&attempt.lane.step).workspace.clone(),
            work_dir: PathBuf::from(run.work_dir(&attempt.lane)),
        }),
        Some(OnUnknown::Ask | OnUnknown::Rerun) | None => Err(failed("the step declares no probe".into())),
    }
}

/// Lets a program deal with Ctrl-C itself, as bash does: dash ends with the signal even when the program that it waited for
/// took it and ended well, so that a Ctrl-C at the prompt of `pdb` would fail the step. Where what ran did not end well, a
/// `read` that was interrupted too, the shell dies of the signal as before. On the script's first line, so that the numbers
/// of its lines stay true.
const CTRL_C: &str = "[ -n \"$BASH_VERSION\" ] || trap '[ $? -eq 0 ] || { trap - INT; kill -INT $$; }' INT; ";

/// `run` and `probe` are scripts for `sh -e`.
fn shell(script: &str) -> Vec<String> {
    vec!["/bin/sh".into(), "-e".into(), "-c".into(), [CTRL_C, script].concat()]
}

/// Why there is no keeper to ask.
enum NoKeeper {
    /// It will not be there by waiting.
    Failed(String),
    /// Try again later.
    Later(String),
}

/// The actor itself; what it does with containers is in [`container`].
pub(super) struct Actor {
    pub(super) run: RunId,
    pub(super) site: Site,
    pub(super) spec: Spec,
    pub(super) parts: Parts,
    epoch: u64,
    pub(super) keeper: Option<Keeper>,
    told_isolation: bool,
    /// It was told what is waited for.
    waits: bool,
}

impl Actor {
    async fn work(mut self, mut queue: mpsc::UnboundedReceiver<Task>) {
        while let Some(task) = queue.recv().await {
            match task {
                Task::Launch { attempt, launch, work_dir, base } => {
                    if self.prepare(&attempt, base).await {
                        self.launch(attempt, launch, work_dir).await;
                    }
                }
                Task::Keep(keeping) => self.keep(keeping).await,
                Task::Stop { attempt, reason, grace } => self.stop(attempt, reason, grace).await,
                Task::Probe { attempt, script, env, cwd, work_dir } => {
                    self.probe(attempt, script, env, cwd, work_dir).await;
                }
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
    pub(super) fn wait_for(&mut self, words: Option<String>) {
        if self.waits || words.is_some() {
            self.waits = words.is_some();
            self.parts.tell(Input::Waits { run: self.run.clone(), site: self.site.clone(), words, kept: None });
        }
    }

    /// Says how it stands with keeping the environment after this attempt.
    pub(super) fn says_of_keeping(&mut self, attempt: &AttemptId, words: String) {
        self.waits = true;
        let (run, site, kept) = (self.run.clone(), self.site.clone(), Some(attempt.clone()));
        self.parts.tell(Input::Waits { run, site, words: Some(words), kept });
    }

    pub(super) fn fact(&self, what: What) {
        self.parts.tell(Input::Fact(Event { run: self.run.clone(), at: self.parts.clock.now(), what }));
    }

    /// The keeper, its environment made or adopted where needed.
    async fn keeper(&mut self) -> Result<Keeper, NoKeeper> {
        if let Some(keeper) = self.keeper.clone() {
            self.wait_for(None);
            return Ok(keeper);
        }
        let found = self.find_or_make().await;
        self.wait_for(if let Err(NoKeeper::Later(why)) = &found { Some(why.clone()) } else { None });
        found
    }

    async fn find_or_make(&mut self) -> Result<Keeper, NoKeeper> {
        crash_point("hands.before-ensure");
        let handle = match self.parts.sandbox.ensure(&self.spec).await {
            Ok(handle) => handle,
            Err(error) if error.passes() => return Err(NoKeeper::Later(error.to_string())),
            Err(error) => return Err(NoKeeper::Failed(error.to_string())),
        };
        crash_point("hands.after-ensure");
        self.tell_isolation(&handle);
        match self.connect(handle.secret()).await {
            Ok(keeper) => Ok(keeper),
            Err(
                error
                @ (session::Error::Impostor { .. } | session::Error::Protocol { .. } | session::Error::Refused(_)),
            ) => Err(NoKeeper::Failed(error.to_string())),
            Err(error) => Err(NoKeeper::Later(error.to_string())),
        }
    }

    /// Makes a lane's own place below the run's `work`, where steps may have put anything: no link is followed.
    fn make_work_dir(&self, work_dir: &std::path::Path) -> Result<(), environment::Error> {
        let root = self.spec.work_dir();
        let inside = work_dir.strip_prefix(&root).unwrap_or(work_dir);
        environment::make_below(&root, inside)
    }

    fn tell_isolation(&mut self, handle: &Handle) {
        if self.told_isolation {
            return;
        }
        self.told_isolation = true;
        let isolation = match handle.isolation() {
            environment::Isolation::Sandboxed { .. } => Isolation::Sandboxed,
            environment::Isolation::Container { image, engine, lacks } => {
                Isolation::Container { image: image.clone(), engine: engine.clone(), lacks: lacks.clone() }
            }
            environment::Isolation::None { why } => Isolation::None { why: why.clone() },
        };
        self.fact(What::EnvironmentReady { environment: self.site.environment.clone(), isolation });
    }

    async fn connect(&mut self, secret: &[u8; 32]) -> Result<Keeper, session::Error> {
        let (keeper, mut events) = Keeper::connect(&self.spec.dir(), secret, self.epoch).await?;
        let (parts, run, site) = (self.parts.clone(), self.run.clone(), self.site.clone());
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                parts.tell(Input::Keeper { run: run.clone(), event });
            }
            parts.tell(Input::KeeperGone { run, site });
        });
        self.keeper = Some(keeper.clone());
        Ok(keeper)
    }

    async fn launch(&mut self, attempt: AttemptId, mut launch: Box<Launch>, work_dir: PathBuf) {
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
                self.fact(What::EnvironmentFailed { why: why.clone() });
                self.fact(What::CannotStart { lane: attempt.lane, why });
                return;
            }
            Err(NoKeeper::Later(why)) => {
                tracing::warn!("the environment of {attempt} does not answer: {why}");
                self.parts.tell_after(AGAIN, again);
                return;
            }
        };
        container::fit(&self.spec, &mut launch.argv, &mut launch.env);
        let (parts, run, site) = (self.parts.clone(), self.run.clone(), self.site.clone());
        crash_point("hands.before-launch");
        tokio::spawn(async move {
            let answer = keeper.ask(Ask::Launch(launch)).await;
            crash_point("hands.after-launch");
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

    async fn stop(&mut self, attempt: AttemptId, reason: StopReason, grace: Duration) {
        let command = Command::Stop { attempt: attempt.clone(), reason, grace };
        let wire_reason = match reason {
            StopReason::Timeout => crate::wire::keeper::StopReason::Timeout,
            StopReason::Stop => crate::wire::keeper::StopReason::Stop,
        };
        let Ok(keeper) = self.keeper().await else {
            self.parts.tell_after(AGAIN, Input::Again(command));
            return;
        };
        let parts = self.parts.clone();
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        crash_point("hands.before-stop");
        tokio::spawn(async move {
            let answer = keeper.ask(Ask::Stop { key: attempt.key(), grace_ms, reason: wire_reason }).await;
            crash_point("hands.after-stop");
            if let Err(error) = answer {
                tracing::warn!("{attempt} is not known to be stopped: {error}");
                parts.tell_after(AGAIN, Input::Again(command));
            }
        });
    }

    async fn probe(
        &mut self,
        attempt: AttemptId,
        script: String,
        env: BTreeMap<String, String>,
        cwd: String,
        work_dir: PathBuf,
    ) {
        let command = Command::Probe(attempt.clone());
        if let Err(error) = self.make_work_dir(&work_dir) {
            tracing::warn!("the probe of {attempt} has no place of its own: {error}");
        }
        let keeper = match self.keeper().await {
            Ok(keeper) => keeper,
            Err(NoKeeper::Failed(why)) => return self.fact(What::Probed { attempt, code: None, output: why }),
            Err(NoKeeper::Later(_)) => return self.parts.tell_after(AGAIN, Input::Again(command)),
        };
        let (mut argv, mut env) = (shell(&script), env);
        container::fit(&self.spec, &mut argv, &mut env);
        let (parts, run) = (self.parts.clone(), self.run.clone());
        crash_point("hands.before-probe");
        tokio::spawn(async move {
            let timeout_ms = u64::try_from(PROBE.as_millis()).unwrap_or(u64::MAX);
            let answer = keeper.ask(Ask::Run { argv, env, cwd, timeout_ms }).await;
            crash_point("hands.after-probe");
            let (code, output) = match answer {
                Ok(Reply::Ran { code, output, timed_out: false }) => (Some(code), output),
                Ok(Reply::Ran { .. }) => (None, format!("given up after {} s", PROBE.as_secs())),
                Ok(other) => (None, format!("the keeper answered {other:?}")),
                Err(AskError::Gone | AskError::Unreachable(_)) => {
                    return parts.tell_after(AGAIN, Input::Again(command));
                }
                Err(error) => (None, error.to_string()),
            };
            let output = crate::gauge::plain::lines(output.as_bytes()).collect::<Vec<_>>().join("\n");
            let what = What::Probed { attempt, code, output };
            parts.tell(Input::Fact(Event { run, at: parts.clock.now(), what }));
        });
    }

    /// Is the environment there, and what is there of these attempts? Starts nothing where nothing lives.
    async fn look(&mut self, look: Look) {
        let connected = match &self.keeper {
            Some(keeper) => keeper.ask(Ask::LookUp { attempts: Vec::new() }).await.is_ok(),
            None => false,
        };
        let mut life = if connected { Life::Answers } else { self.find_keeper().await };
        if life == Life::Dead {
            self.keeper = None;
            let deadline = clock::boottime_ms() + i64::try_from(DYING.as_millis()).unwrap_or(i64::MAX / 2);
            // What a dead sandbox held is ended by the kernel, a moment after its keeper.
            while look.any_held() && clock::boottime_ms() < deadline {
                clock::sleep(Duration::from_millis(20)).await;
            }
            // Without a sandbox shims outlive their keeper: a new one finds them.
            if look.any_held() {
                life = if self.keeper().await.is_ok() { Life::Answers } else { Life::Silent };
            }
        }
        let mut fate = None;
        if life == Life::Dead && look.needs_fate() {
            match environment::fate(&self.spec).await {
                Ok(known) => fate = known,
                Err(error) => {
                    tracing::warn!("how the environment of {} ended is not known yet: {error}", look.run);
                    life = Life::Unexplained;
                }
            }
        }
        let (parts, run, site) = (self.parts.clone(), look.run.clone(), look.site.clone());
        tokio::task::spawn_blocking(move || {
            let found = look.look(life, fate);
            parts.tell(Input::Looked { run, site, life, found });
        });
    }

    async fn find_keeper(&mut self) -> Life {
        self.keeper = None;
        let dir = self.spec.dir();
        let secret = match environment::secret_of(&dir) {
            Ok(Some(secret)) => secret,
            Ok(None) => return Life::Dead,
            Err(error) => {
                tracing::error!("{error}");
                return Life::Silent;
            }
        };
        match self.connect(&secret).await {
            Ok(_) => Life::Answers,
            Err(session::Error::Nobody { .. }) => Life::Dead,
            Err(error) => {
                tracing::warn!("{error}");
                Life::Silent
            }
        }
    }

    async fn input(&mut self, key: String, text: &str, answer: oneshot::Sender<Answer>) {
        let bytes = base64::engine::general_purpose::STANDARD.encode(text);
        let reply = match self.keeper().await {
            Ok(keeper) => keeper.ask(Ask::Input { key, bytes }).await.map_err(|error| error.to_string()),
            Err(NoKeeper::Failed(why) | NoKeeper::Later(why)) => Err(why),
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
            Err(NoKeeper::Failed(why) | NoKeeper::Later(why)) => return Err(why),
        };
        if let Ask::OpenPty { argv, env, .. } = &mut ask {
            container::fit(&self.spec, argv, env);
        }
        let fd = keeper.ask_pty(ask).await.map_err(|error| error.to_string())?;
        Ok(requests::pty(fd, title))
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

    /// Ends what runs in the environment; false while somebody works in a shell there, and `again` is told later.
    pub(super) async fn shut_down(&mut self, again: Input) -> bool {
        let dir = self.spec.dir();
        let keeper = match self.keeper.take() {
            Some(keeper) => Some(keeper),
            None if self.find_keeper().await == Life::Answers => self.keeper.take(),
            None => None,
        };
        if let Some(keeper) = keeper {
            crash_point("hands.before-shutdown");
            let mut asked = keeper.ask(Ask::Shutdown { force: false }).await;
            if let Ok(Reply::Busy { shells }) = asked {
                // Who works in a shell beside a step is not thrown out because the run has ended.
                tracing::info!("the environment of {} stays: {shells} shell(s) are open in it", self.run);
                self.keeper = Some(keeper);
                self.parts.tell_after(BUSY, again);
                return false;
            }
            if matches!(asked, Err(AskError::Refused(_))) {
                asked = keeper.ask(Ask::Shutdown { force: true }).await;
            }
            crash_point("hands.after-shutdown");
            drop(keeper);
            if let Err(error) = asked {
                tracing::warn!("the keeper of {} did not take the shutdown: {error}", self.run);
            }
            if let Err(error) = environment::Sandbox::remove(&dir, Duration::from_secs(10), true).await {
                tracing::warn!("{error}");
            }
        }
        true
    }
}
