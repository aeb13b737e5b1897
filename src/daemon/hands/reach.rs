//! How hands get hold of an environment and let go of it: its keeper found or the environment made, looked at after a crash,
//! shut down. Starts no step.

use std::time::Duration;

use super::{AGAIN, Actor, BUSY, DYING};
use crate::clock;
use crate::daemon::adopt::{Life, Look};
use crate::daemon::core::Input;
use crate::environment;
use crate::faults::crash_point;
use crate::model::{Isolation, What};
use crate::session::{self, AskError, Keeper};
use crate::wire::keeper::{Ask, Reply};

/// Why there is no keeper to ask.
pub(super) enum NoKeeper {
    /// It will not be there by waiting.
    Failed(String),
    /// Try again later.
    Later(String),
    /// Try again later: there was never an environment, and nothing has begun in it. Its image is being fetched, or the
    /// container engine does not answer.
    NotYet(String),
}

impl NoKeeper {
    pub(super) fn why(self) -> String {
        match self {
            Self::Failed(why) | Self::Later(why) | Self::NotYet(why) => why,
        }
    }
}

impl Actor {
    /// The keeper, its environment made or adopted where needed.
    pub(super) async fn keeper(&mut self) -> Result<Keeper, NoKeeper> {
        if let Some(keeper) = self.keeper.clone() {
            self.wait_for(None);
            return Ok(keeper);
        }
        let found = self.find_or_make().await;
        self.wait_for(match &found {
            Err(NoKeeper::Later(why) | NoKeeper::NotYet(why)) => Some(why.clone()),
            Err(NoKeeper::Failed(_)) | Ok(_) => None,
        });
        found
    }

    async fn find_or_make(&mut self) -> Result<Keeper, NoKeeper> {
        crash_point("hands.before-ensure");
        let handle = match self.parts.sandbox.ensure(&self.spec).await {
            Ok(handle) => handle,
            Err(environment::Error::Pulling { words }) => return Err(NoKeeper::NotYet(words)),
            Err(error @ (environment::Error::EngineSilent { .. } | environment::Error::EngineGone { .. }))
                if !environment::is_made(&self.spec) =>
            {
                return Err(NoKeeper::NotYet(error.to_string()));
            }
            Err(error) if error.passes() => return Err(NoKeeper::Later(error.to_string())),
            Err(error) => return Err(NoKeeper::Failed(error.to_string())),
        };
        crash_point("hands.after-ensure");
        self.tell_isolation(handle.isolation());
        match self.connect(handle.secret()).await {
            Ok(keeper) => Ok(keeper),
            Err(
                error
                @ (session::Error::Impostor { .. } | session::Error::Protocol { .. } | session::Error::Refused(_)),
            ) => Err(NoKeeper::Failed(error.to_string())),
            Err(error) => Err(NoKeeper::Later(error.to_string())),
        }
    }

    fn tell_isolation(&mut self, isolation: &environment::Isolation) {
        if self.told_isolation {
            return;
        }
        self.told_isolation = true;
        let isolation = match isolation {
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

    /// Is the environment there, and what is there of these attempts? Starts nothing where nothing lives.
    pub(super) async fn look(&mut self, look: Look) {
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

    pub(super) async fn find_keeper(&mut self) -> Life {
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
            Ok(_) => {
                self.wait_for(None);
                // Whoever made it may have died before it could say what it made.
                if let Ok(Some(isolation)) = environment::isolation_of(&dir) {
                    self.tell_isolation(&isolation);
                }
                Life::Answers
            }
            Err(session::Error::Nobody { .. }) => Life::Dead,
            Err(error) => {
                tracing::warn!("{error}");
                if matches!(error, session::Error::OtherBuild { .. }) {
                    self.wait_for(Some(error.to_string()));
                }
                Life::Silent
            }
        }
    }

    /// Ends what runs in the environment; false while somebody works in a shell there, and `again` is told later. Without
    /// `force` also while a step runs there.
    pub(super) async fn shut_down(&mut self, again: Input, force: bool) -> bool {
        let dir = self.spec.dir();
        let keeper = match self.keeper.take() {
            Some(keeper) => Some(keeper),
            None if self.find_keeper().await == Life::Answers => self.keeper.take(),
            None => None,
        };
        if let Some(keeper) = keeper {
            crash_point("hands.before-shutdown");
            let mut asked = keeper.ask(Ask::Shutdown { force: false }).await;
            if let Some((why, later)) = stays(&asked, force) {
                tracing::info!("the environment of {} stays: {why}", self.run);
                self.keeper = Some(keeper);
                self.parts.tell_after(later, again);
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

/// Why an environment is not shut down by what its keeper said, and when it is to be asked again.
fn stays(asked: &Result<Reply, AskError>, force: bool) -> Option<(String, Duration)> {
    match asked {
        // Who works in a shell beside a step is not thrown out because the run has ended.
        Ok(Reply::Busy { shells }) => Some((format!("{shells} shell(s) are open in it"), BUSY)),
        Err(AskError::Refused(why)) if !force => Some((why.clone(), AGAIN)),
        Ok(_) | Err(_) => None,
    }
}
