//! Effects that are owed, given to their hands: each once, until it is owed no more. Decides nothing.

use std::collections::HashSet;

use super::{Core, Input};
use crate::daemon::hands;
use crate::faults::crash_point;
use crate::model::{AttemptId, Command};

impl Core {
    /// Gives each effect that is owed to its hands, once.
    pub(super) fn hand_out(&mut self, effects: &[Command]) {
        let owed: HashSet<String> = effects.iter().map(name_of).collect();
        self.handed.retain(|name| owed.contains(name));
        self.call_in(|attempt| owed.contains(&format!("look out {attempt}")));
        let starts =
            |command: &&Command| matches!(command, Command::Launch(_)) && !self.handed.contains(&name_of(command));
        if effects.iter().any(|command| starts(&command)) {
            self.space.look();
        }
        for command in effects {
            let waits = match command {
                Command::Launch(attempt) => self.is_unadopted(attempt) || self.space.trouble().is_some(),
                Command::Record(_) => true,
                Command::Stop { .. }
                | Command::LookUp(..)
                | Command::LookOut(_)
                | Command::Probe(_)
                | Command::Verify(_)
                | Command::VerifyCheckpoints(_)
                | Command::CheckCheckpoint(..)
                | Command::RemoveCheckpoint(..)
                | Command::CloseEnvironment(_) => false,
            };
            if !waits && self.handed.insert(name_of(command)) {
                self.effect(command);
            }
        }
    }

    fn effect(&mut self, command: &Command) {
        crash_point("engine.before-effect");
        let attempt = match command {
            Command::Launch(attempt)
            | Command::Probe(attempt)
            | Command::Verify(attempt)
            | Command::VerifyCheckpoints(attempt)
            | Command::CheckCheckpoint(attempt, _)
            | Command::Stop { attempt, .. } => attempt,
            Command::LookOut(attempt) => return self.look_out(attempt),
            Command::CloseEnvironment(run) => return self.close_all(run),
            Command::LookUp(run, lane) => return self.look_up(run, lane),
            Command::RemoveCheckpoint(attempt, path) => return self.remove_checkpoint(attempt, path),
            Command::Record(_) => return,
        };
        if let Command::Stop { attempt, reason, .. } = command
            && self.is_wait(attempt)
        {
            // It runs nothing: all that is to be done about it is to say so.
            if let Some(ended) = self.end_wait(attempt, *reason) {
                self.parts.tell(Input::Fact(ended));
            }
            return;
        }
        let Some(run) = self.engine.run(&attempt.run) else { return };
        match hands::task(run, command, &self.parts, self.journal.epoch()) {
            Ok(Some(task)) => drop(self.hands(attempt).map(|hands| hands.give(task))),
            Ok(None) => {}
            Err(fact) => return self.parts.tell(Input::Fact(*fact)),
        }
        crash_point("engine.after-effect");
    }

    fn is_unadopted(&self, attempt: &AttemptId) -> bool {
        let site = self.engine.run(&attempt.run).map(|run| run.site(attempt));
        site.is_some_and(|site| self.unadopted.contains(&(attempt.run.clone(), site)))
    }
}

/// The same effect has the same name.
pub(super) fn name_of(command: &Command) -> String {
    match command {
        Command::Record(_) => String::new(),
        Command::Launch(attempt) => format!("launch {attempt}"),
        Command::LookUp(run, lane) => format!("look up {run} {}/{}", lane.step, lane.lane),
        Command::LookOut(attempt) => format!("look out {attempt}"),
        Command::Stop { attempt, .. } => format!("stop {attempt}"),
        Command::Probe(attempt) => format!("probe {attempt}"),
        Command::Verify(attempt) => format!("verify {attempt}"),
        Command::VerifyCheckpoints(attempt) => format!("verify checkpoints {attempt}"),
        Command::CheckCheckpoint(attempt, one) => format!("check {attempt} {:?} {}", one.step, one.path),
        Command::RemoveCheckpoint(attempt, path) => format!("remove {attempt} {path}"),
        Command::CloseEnvironment(run) => format!("close {run}"),
    }
}
