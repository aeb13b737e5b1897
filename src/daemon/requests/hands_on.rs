//! Requests of hands on: type into a step, attach to it, a shell beside it.

use std::path::Path;

use tokio::sync::oneshot;

use super::{Answer, Reaction, Refusable, find_lane, internal, refused};
use crate::daemon::core::Core;
use crate::daemon::hands::Task;
use crate::engine::Run;
use crate::model::RunId;
use crate::wire::keeper;

impl Core {
    pub(super) fn send(&mut self, run: &str, step: &str, text: String) -> Refusable<Reaction> {
        let run = self.find(run)?;
        let lane = find_lane(&run, step)?;
        let Some(attempt) = run.live(&lane) else {
            return Err(Box::new(refused(format!("{} is not running", run.lane_name(&lane)))));
        };
        self.by_hands(&run.id, move |answer| Task::Input { key: attempt.key(), text, answer })
    }

    pub(super) fn attach(
        &mut self,
        run: &str,
        step: &str,
        rows: u16,
        cols: u16,
        readonly: bool,
    ) -> Refusable<Reaction> {
        let run = self.find(run)?;
        let lane = find_lane(&run, step)?;
        let name = run.lane_name(&lane);
        let Some(attempt) = run.lane(&lane).and_then(|lane| run.attempt(lane)) else {
            return Err(Box::new(refused(format!("{name} has not run yet: there is nothing to attach to"))));
        };
        self.hold(&run)?;
        let ask = keeper::Ask::OpenSession { key: attempt.key(), rows, cols, readonly };
        self.by_hands(&run.id, move |answer| Task::Pty { ask, title: name, work_dir: None, answer })
    }

    pub(super) fn shell(&mut self, run: &str, step: &str, rows: u16, cols: u16) -> Refusable<Reaction> {
        let run = self.find(run)?;
        let lane = find_lane(&run, step)?;
        let n = run.lane(&lane).map_or(1, |lane| lane.n.max(1));
        let attempt = crate::model::AttemptId { run: run.id.clone(), lane: lane.clone(), n };
        let mut env = run.environment(&attempt).map_err(|why| Box::new(refused(why)))?;
        let program = env.get("SHELL").filter(|shell| shell.starts_with('/') && Path::new(shell).exists()).cloned();
        let program = program.unwrap_or_else(|| "/bin/sh".into());
        env.insert("DOGWATCH_SHELL".into(), "1".into());
        let name = run.lane_name(&lane);
        let work_dir = run.work_dir(&lane).into();
        let cwd = run.workflow.environment.workspace.clone();
        self.hold(&run)?;
        let ask = keeper::Ask::OpenPty { argv: vec![program], env, cwd, rows, cols };
        self.by_hands(&run.id, move |answer| Task::Pty { ask, title: name, work_dir: Some(work_dir), answer })
    }

    /// A run that has ended is held again while somebody works beside it.
    fn hold(&mut self, run: &Run) -> Refusable<()> {
        self.recall(&run.id).map_err(|error| Box::new(internal(&error)))
    }

    fn by_hands(
        &mut self,
        run: &RunId,
        task: impl FnOnce(oneshot::Sender<Answer>) -> Task + 'static,
    ) -> Refusable<Reaction> {
        let Some(hands) = self.hands(run) else {
            return Err(Box::new(refused("the run is not held by the engine any more; try again")));
        };
        let give = hands.giver();
        Ok(Reaction::Later(Box::new(move |answer| give(task(answer)))))
    }
}
