//! Requests of hands on: type into a step, attach to it, a shell beside it.

use std::collections::BTreeMap;
use std::path::Path;

use tokio::sync::oneshot;

use super::{Answer, Reaction, Refusable, done, find_lane, internal, refusal, refused};
use crate::daemon::core::{Caller, Core, Input};
use crate::daemon::hands::Task;
use crate::engine::Run;
use crate::model::{AttemptId, Event, LaneId, Principal, RunId, Site, What, span_words};
use crate::wire::client::RefusalKind;
use crate::wire::keeper;

/// How somebody wants to attach.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Rows and columns of the terminal.
    pub(super) size: (u16, u16),
    pub(super) readonly: bool,
    /// From whoever types into it now.
    pub(super) take_over: bool,
}

impl Core {
    pub(super) fn send(&mut self, run: &str, step: &str, text: String, caller: &Caller) -> Refusable<Reaction> {
        let run = self.find(run)?;
        let lane = find_lane(&run, step)?;
        self.may_type(&run, &lane, caller)?;
        let Some(attempt) = run.live(&lane) else {
            return Err(Box::new(refused(format!("{} is not running", run.lane_name(&lane)))));
        };
        self.by_hands(&attempt.clone(), move |answer| Task::Input { key: attempt.key(), text, answer })
    }

    /// A terminal on a session. Who may type is the only one: recorded before the terminal is given.
    pub(super) fn attach(&mut self, run: &str, step: &str, wanted: Wanted, caller: &Caller) -> Refusable<Reaction> {
        let run = self.find(run)?;
        let lane = find_lane(&run, step)?;
        let name = run.lane_name(&lane);
        let Some(attempt) = run.lane(&lane).and_then(|lane| run.attempt(lane)) else {
            return Err(Box::new(refused(format!("{name} has not run yet: there is nothing to attach to"))));
        };
        self.hold(&run)?;
        let Wanted { size: (rows, cols), readonly, take_over } = wanted;
        let ask = keeper::Ask::OpenSession { key: attempt.key(), rows, cols, readonly };
        // Into what has ended nobody can type.
        if readonly || run.live(&lane).is_none() {
            return self.by_hands(&attempt, move |answer| Task::Pty {
                ask,
                title: name,
                work_dir: None,
                answer,
                without: None,
            });
        }
        if !take_over {
            self.may_type(&run, &lane, caller)?;
        }
        let events = self.take_lease(&run, &attempt, caller);
        let key = (run.id.clone(), lane);
        let without = Some(Box::new(Input::NotAttached { lane: key, connection: caller.connection }));
        let later =
            self.by_hands(&attempt, move |answer| Task::Pty { ask, title: name, work_dir: None, answer, without })?;
        match later {
            Reaction::Later(job) => Ok(Reaction::After(events, job)),
            other @ (Reaction::Now(..) | Reaction::After(..)) => Ok(other),
        }
    }

    /// Refused, with who it is, while another connection types into it.
    fn may_type(&self, run: &Run, lane: &LaneId, caller: &Caller) -> Refusable<()> {
        let Some(attached) = run.lane(lane).and_then(|lane| lane.attached.as_ref()) else { return Ok(()) };
        if self.leases.get(&(run.id.clone(), lane.clone())) == Some(&caller.connection) {
            return Ok(());
        }
        let since = span_words(self.parts.clock.now().since(attached.since));
        let words = format!("{} is typing into {} (attached {since} ago)", attached.by, run.lane_name(lane));
        let hint = "look on with --readonly, or take over with --take-over: what he types on ends then";
        Err(Box::new(refusal(RefusalKind::Refused, words, Some(hint))))
    }

    /// This connection is the writer from now on; who was it before is not.
    fn take_lease(&mut self, run: &Run, attempt: &AttemptId, caller: &Caller) -> Vec<Event> {
        let before = self.leases.insert((run.id.clone(), attempt.lane.clone()), caller.connection);
        let attached = run.lane(&attempt.lane).is_some_and(|lane| lane.attached.is_some());
        let (by, at) = (caller.by.clone(), self.parts.clock.now());
        let event = |what| Event { run: run.id.clone(), at, what };
        let mut events = Vec::new();
        if attached && before == Some(caller.connection) {
            return events;
        }
        if attached {
            events.push(event(What::Detached { attempt: attempt.clone(), by: by.clone(), keys: None }));
        }
        events.push(event(What::Attached { attempt: attempt.clone(), by }));
        events
    }

    /// Whoever types into a step lets go, or is made to.
    pub(super) fn detach(&mut self, run: &str, step: &str, keys: Option<u64>, caller: Caller) -> Refusable<Reaction> {
        let run = self.find(run)?;
        let lane = find_lane(&run, step)?;
        let name = run.lane_name(&lane);
        let place = (run.id.clone(), lane);
        if keys.is_some() && self.leases.get(&place) != Some(&caller.connection) {
            return Err(Box::new(refused(format!("it is not you who types into {name}"))));
        }
        let (Some(attempt), Some(event)) = (newest(&run, &place.1), self.end_lease(&place, caller.by, keys)) else {
            return Err(Box::new(refused(format!("nobody types into {name}"))));
        };
        let parts = self.parts.clone();
        Ok(Reaction::After(
            vec![event],
            Box::new(move |answer| {
                parts.tell(Input::LetGo { attempt });
                drop(answer.send(done(format!("let go of {name}"))));
            }),
        ))
    }

    /// A connection has ended, and with it everything that it typed into.
    pub(in crate::daemon) fn left(&mut self, connection: u64) -> Vec<Event> {
        let places: Vec<_> =
            self.leases.iter().filter(|(_, of)| **of == connection).map(|(at, _)| at.clone()).collect();
        places.iter().filter_map(|place| self.let_go(place)).collect()
    }

    /// There was no terminal to type on.
    pub(in crate::daemon) fn not_attached(&mut self, place: &(RunId, LaneId), connection: u64) -> Vec<Event> {
        if self.leases.get(place) != Some(&connection) {
            return Vec::new();
        }
        self.let_go(place).into_iter().collect()
    }

    fn let_go(&mut self, place: &(RunId, LaneId)) -> Option<Event> {
        let run = self.engine.run(&place.0)?;
        let attached = run.lane(&place.1)?.attached.clone();
        let attempt = newest(run, &place.1);
        let event = attached.and_then(|attached| self.end_lease(place, attached.by, None));
        self.leases.remove(place);
        if let Some(attempt) = attempt {
            self.close_terminals(&attempt);
        }
        event
    }

    /// The event by which nobody types into a lane any more, if somebody does.
    fn end_lease(&mut self, place: &(RunId, LaneId), by: Principal, keys: Option<u64>) -> Option<Event> {
        self.leases.remove(place);
        let run = self.engine.run(&place.0)?;
        run.lane(&place.1)?.attached.as_ref()?;
        let attempt = newest(run, &place.1)?;
        Some(Event { run: place.0.clone(), at: self.parts.clock.now(), what: What::Detached { attempt, by, keys } })
    }

    /// Has the terminals of writers closed, unless somebody may type again.
    pub(in crate::daemon) fn close_terminals(&mut self, attempt: &AttemptId) {
        let taken = self.leases.contains_key(&(attempt.run.clone(), attempt.lane.clone()));
        if !taken && let Some(hands) = self.hands(attempt) {
            hands.give(Task::LetGo { attempt: Some(attempt.clone()) });
        }
    }

    /// At the engine's start: whoever attached through the one before has no connection any more. His terminal is closed,
    /// so that nobody types unseen; he may attach again.
    pub(in crate::daemon) fn end_left_over(&mut self, id: &RunId) {
        let Some(run) = self.engine.run(id) else { return };
        let at = self.parts.clock.now();
        let attached = run.lanes.iter().filter(|lane| lane.attached.is_some());
        let attached: Vec<AttemptId> = attached.filter_map(|lane| run.attempt(lane)).collect();
        // One attempt stands for each environment in which somebody may be.
        let live = run.live_attempts().map(|(attempt, _)| attempt);
        let there: BTreeMap<Site, AttemptId> =
            live.chain(attached.iter().cloned()).map(|attempt| (run.site(&attempt), attempt)).collect();
        let left: Vec<Event> = attached
            .into_iter()
            .map(|attempt| What::Detached { attempt, by: Principal::Rule, keys: None })
            .map(|what| Event { run: id.clone(), at, what })
            .collect();
        for attempt in there.values() {
            if let Some(hands) = self.hands(attempt) {
                hands.give(Task::LetGo { attempt: None });
            }
        }
        self.pending.extend(left);
    }

    pub(super) fn shell(&mut self, run: &str, step: &str, rows: u16, cols: u16) -> Refusable<Reaction> {
        let run = self.find(run)?;
        let lane = find_lane(&run, step)?;
        let n = run.lane(&lane).map_or(1, |lane| lane.n.max(1));
        let attempt = AttemptId { run: run.id.clone(), lane: lane.clone(), n };
        let mut env = run.environment(&attempt).map_err(|why| Box::new(refused(why)))?;
        let program = env.get("SHELL").filter(|shell| shell.starts_with('/') && Path::new(shell).exists()).cloned();
        let program = program.unwrap_or_else(|| "/bin/sh".into());
        env.insert("DOGWATCH_SHELL".into(), "1".into());
        let name = run.lane_name(&lane);
        let work_dir = run.work_dir(&lane).into();
        let cwd = run.workflow.environment_of(&lane.step).workspace.clone();
        self.hold(&run)?;
        let ask = keeper::Ask::OpenPty { argv: vec![program], env, cwd, rows, cols };
        self.by_hands(&attempt, move |answer| Task::Pty {
            ask,
            title: name,
            work_dir: Some(work_dir),
            answer,
            without: None,
        })
    }

    /// A run that has ended is held again while somebody works beside it.
    fn hold(&mut self, run: &Run) -> Refusable<()> {
        self.recall(&run.id).map_err(|error| Box::new(internal(&error)))
    }

    fn by_hands(
        &mut self,
        attempt: &AttemptId,
        task: impl FnOnce(oneshot::Sender<Answer>) -> Task + 'static,
    ) -> Refusable<Reaction> {
        let Some(hands) = self.hands(attempt) else {
            return Err(Box::new(refused("the run is not held by the engine any more; try again")));
        };
        let give = hands.giver();
        Ok(Reaction::Later(Box::new(move |answer| give(task(answer)))))
    }
}

/// The newest attempt of a lane.
fn newest(run: &Run, lane: &LaneId) -> Option<AttemptId> {
    run.attempt(run.lane(lane)?)
}
