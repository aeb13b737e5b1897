//! A simulated daemon in exactly the shape of the real loop: facts -> one transaction with the decisions and intents that
//! follow -> commit -> effects. It can be killed at any point; then a new engine is folded from the journal.

use std::collections::BTreeMap;

use dogwatch::engine::{Engine, LaneState, Phase, Run};
use dogwatch::model::{
    AttemptId, Cause, Choice, Command, EnvironmentId, Event, Isolation, RunId, StopReason, Time, Verdict, What,
};

use super::audit::Audit;
use super::dice::{Dice, dice_for};
use super::make::mind;
use super::story::{check, looked};
use super::world::{Happening, Meaning, Mutant, Report, World};

/// How often a hand looks whether what it holds is still so.
const LOOK_EVERY_MS: u64 = 20_000;

/// Rounds of decisions in one turn, at most: each must bring the run nearer to rest.
const ROUNDS: usize = 200;

/// What the daemon remembers about an attempt until it dies.
#[derive(Debug, Clone, Copy, Default)]
struct Hand {
    next_look: Option<Time>,
    next_probe: Option<Time>,
}

/// An environment, as the daemon knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Asked,
    Ready,
}

pub(crate) struct Daemon {
    pub(crate) engine: Engine,
    pub(crate) journal: Vec<Event>,
    pub(crate) audit: Audit,
    hands: BTreeMap<AttemptId, Hand>,
    places: BTreeMap<RunId, Place>,
    /// Runs are let go of when they have ended and their environment has, as the real daemon does: what they held is free
    /// then. Elsewhere people may go on with them later.
    pub(crate) forgets: bool,
    /// As they were then.
    pub(crate) gone: BTreeMap<RunId, Run>,
    /// The boot in which each intent was committed: the journal keeps it beside the event.
    intent_boots: BTreeMap<AttemptId, u32>,
    /// Facts that a mutant commits too late.
    withheld: Vec<Event>,
    dice: Dice,
    ticking: bool,
    /// How often it has died in the tenth of a second that began then.
    deaths: (Time, u32),
    /// Counts its restarts.
    life: u64,
}

/// Deaths in a tenth of a second.
const DEATHS: u32 = 8;

impl Daemon {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            engine: mind(),
            journal: Vec::new(),
            audit: Audit::default(),
            hands: BTreeMap::new(),
            places: BTreeMap::new(),
            forgets: false,
            gone: BTreeMap::new(),
            intent_boots: BTreeMap::new(),
            withheld: Vec::new(),
            dice: dice_for(seed, "daemon"),
            ticking: false,
            deaths: (Time::from_ms(0), 0),
            life: 0,
        }
    }

    /// What a message means, as facts to be recorded.
    pub(crate) fn facts(&mut self, world: &mut World, report: Report) -> Vec<Event> {
        let fact = |run: &RunId, what| vec![Event { run: run.clone(), at: world.now, what }];
        match report {
            Report::Claimed(attempt) => fact(&attempt.run.clone(), What::Claimed { attempt }),
            Report::Stalled(attempt, stall) => fact(&attempt.run.clone(), What::Stalled { attempt, stall }),
            Report::Revived(attempt) => fact(&attempt.run.clone(), What::Revived { attempt }),
            Report::Seen(attempt, good) => {
                let seen = if good { "200" } else { "503" }.to_owned();
                fact(&attempt.run.clone(), What::Looked { attempt, good, given_up: false, seen })
            }
            Report::Saved(attempt, checkpoint) => fact(
                &attempt.run.clone(),
                What::CheckpointSeen {
                    attempt,
                    offset: checkpoint.step.map_or(0, |n| n.unsigned_abs() + 1),
                    checkpoint,
                },
            ),
            Report::Exited(attempt, exit) => {
                fact(&attempt.run.clone(), What::Exited { attempt: self.mistake(world, attempt), exit })
            }
            Report::Probed(attempt, code) => {
                fact(&attempt.run.clone(), What::Probed { attempt, code, output: String::new() })
            }
            Report::Verified(attempt, code) => {
                fact(&attempt.run.clone(), What::Verified { attempt, check: Box::new(check(code)) })
            }
            Report::CheckpointsVerified(attempt, good, damaged) => {
                fact(&attempt.run.clone(), What::CheckpointsVerified { attempt, good, damaged, digest: None })
            }
            Report::CheckpointChecked(attempt, checkpoint, flaw) => {
                let what = What::CheckpointChecked { lane: attempt.lane, checkpoint, flaw, digest: None };
                fact(&attempt.run, what)
            }
            Report::CheckpointRemoved(attempt, path, why) => {
                fact(&attempt.run, What::CheckpointRemoved { lane: attempt.lane, path, why })
            }
            Report::CacheLooked(run, lane, hit) => {
                let look = looked(hit);
                fact(&run, What::CacheLooked { lane, look: Box::new(look) })
            }
            Report::Environment(_, _, life) if life != self.life => Vec::new(),
            Report::Environment(run, true, _) => {
                self.places.insert(run.clone(), Place::Ready);
                fact(
                    &run,
                    What::EnvironmentReady { environment: EnvironmentId::default(), isolation: Isolation::Sandboxed },
                )
            }
            Report::Environment(run, false, _) => {
                self.places.remove(&run);
                let mut facts = fact(
                    &run,
                    What::EnvironmentFailed { environment: EnvironmentId::default(), why: "no bubblewrap".into() },
                );
                // Whatever waited for it has not been launched.
                let waiting = self.engine.run(&run).into_iter().flat_map(Run::live_attempts);
                let waiting = waiting.filter(|(_, lane)| lane.started.is_none());
                facts.extend(waiting.flat_map(|(attempt, _)| {
                    fact(&run, What::CannotStart { lane: attempt.lane, why: "no bubblewrap".into() })
                }));
                facts
            }
            Report::Looked(attempt, meaning, sight, boot) => {
                let stale = world.mutant == Some(Mutant::StaleLook);
                let meaning = if stale { sight.meaning(self.active(&attempt) == Some(true), boot) } else { meaning };
                self.looked(world, attempt, meaning)
            }
        }
    }

    /// The mutant takes the exit of an older attempt for the newest one's.
    fn mistake(&self, world: &World, attempt: AttemptId) -> AttemptId {
        let newest = self.engine.run(&attempt.run).and_then(|run| run.attempt(run.lane(&attempt.lane)?));
        match (world.mutant, newest) {
            (Some(Mutant::LateExitAccepted), Some(newest)) => newest,
            _ => attempt,
        }
    }

    /// Whether the attempt is the lane's newest and active: `Some(claimed)`.
    fn active(&self, attempt: &AttemptId) -> Option<bool> {
        let run = self.engine.run(&attempt.run)?;
        let lane = run.lane(&attempt.lane)?;
        let LaneState::Active { claimed, .. } = &lane.state else { return None };
        (lane.n == attempt.n).then_some(claimed.is_some())
    }

    fn looked(&mut self, world: &mut World, attempt: AttemptId, meaning: Meaning) -> Vec<Event> {
        let Some(claimed) = self.active(&attempt) else { return Vec::new() };
        let (run, at) = (attempt.run.clone(), world.now);
        let what = match meaning {
            Meaning::Launch => {
                let lost = if claimed { Vec::new() } else { self.lost_secrets(world, &attempt) };
                if !lost.is_empty() {
                    world.counts.secrets_lost += 1;
                    return vec![Event { run, at, what: What::SecretsLost { lane: attempt.lane, names: lost } }];
                }
                if !claimed {
                    world.plan(3, Happening::Launch(attempt));
                }
                return Vec::new();
            }
            Meaning::Adopt if claimed => return Vec::new(),
            Meaning::Adopt => What::Claimed { attempt },
            Meaning::Exit(exit) => What::Exited { attempt, exit },
            Meaning::Lost(why) => {
                What::Lost { attempt, why, evidence: vec!["the lock is free".into()], checkpoint: None }
            }
        };
        vec![Event { run, at, what }]
    }

    /// The secrets that it needs whose values went with the host's memory.
    fn lost_secrets(&self, world: &World, attempt: &AttemptId) -> Vec<String> {
        let step = self.engine.run(&attempt.run).and_then(|run| run.workflow.steps.get(&attempt.lane.step));
        let wanted = step.into_iter().flat_map(|step| &step.secrets);
        wanted.filter(|name| !world.secrets.contains(&(attempt.run.clone(), (*name).clone()))).cloned().collect()
    }

    /// One turn of the loop. The daemon may be killed in it, and is then a new one.
    pub(crate) fn turn(&mut self, world: &mut World, facts: Vec<Event>) {
        world.counts.turns += 1;
        let mut transaction = std::mem::take(&mut self.withheld);
        // What is told of a run that is over and gone changes nothing.
        for fact in facts.into_iter().filter(|fact| !self.gone.contains_key(&fact.run)) {
            self.engine.apply(&fact);
            if world.mutant == Some(Mutant::DecisionBeforeFact) && matches!(fact.what, What::Exited { .. }) {
                self.withheld.push(fact);
            } else {
                transaction.push(fact);
            }
        }
        let effects = self.settle(world, &mut transaction);
        if world.mutant == Some(Mutant::StartBeforeIntent) {
            self.hand_out_early(world, &effects);
        }
        if self.dies(world) {
            world.counts.killed_before_commit += 1;
            return self.restart(world);
        }
        self.commit(world, transaction);
        if self.dies(world) {
            world.counts.killed_after_commit += 1;
            return self.restart(world);
        }
        for command in effects {
            self.perform(world, command);
            if self.dies(world) {
                world.counts.killed_during_effects += 1;
                return self.restart(world);
            }
        }
        if self.engine.runs().any(|run| run.active() > 0) {
            self.tick_later(world);
        }
    }

    /// One tick at a time: each may bring the next.
    fn tick_later(&mut self, world: &mut World) {
        if !self.ticking {
            self.ticking = true;
            world.plan(LOOK_EVERY_MS, Happening::Tick);
        }
    }

    /// Who looks up forty attempts each time he is born and dies of each second answer would never come to an end.
    fn dies(&mut self, world: &World) -> bool {
        let (since, deaths) = self.deaths;
        let anew = world.now.since(since) > std::time::Duration::from_millis(100);
        if !self.dice.per_mille(world.trouble.engine_kills) || !anew && deaths >= DEATHS {
            return false;
        }
        self.deaths = if anew { (world.now, 1) } else { (since, deaths + 1) };
        true
    }

    /// Records what is owed until only effects are.
    fn settle(&mut self, world: &mut World, transaction: &mut Vec<Event>) -> Vec<Command> {
        for _ in 0..ROUNDS {
            let mut owed = self.engine.owed(world.now);
            if self.dice.per_mille(20) && owed != self.engine.owed(world.now) {
                world.complain(|| "`owed` said two different things about one state".into());
            }
            let records = owed.iter().filter(|command| matches!(command, Command::Record(_))).count();
            if records == 0 {
                return owed;
            }
            if records < owed.len() {
                world.complain(|| format!("effects beside decisions: {owed:?}"));
            }
            for command in owed.drain(..) {
                if let Command::Record(mut event) = command {
                    if world.mutant == Some(Mutant::RetryUncounted)
                        && let What::Intended { cause, .. } = &mut event.what
                    {
                        *cause = Cause::First;
                    }
                    let before = self.engine.clone_if(self.dice.per_mille(10));
                    self.engine.apply(&event);
                    if before.is_some_and(|before| before == self.engine) {
                        world.complain(|| format!("a decision that changes nothing is owed for ever: {event:?}"));
                    }
                    transaction.push(event);
                }
            }
        }
        let owed = self.engine.owed(world.now);
        world.complain(|| format!("decisions without end: {owed:?}"));
        Vec::new()
    }

    /// A mutant: the world hears of launches that no journal knows.
    fn hand_out_early(&mut self, world: &mut World, effects: &[Command]) {
        for command in effects {
            if let Command::Launch(attempt) = command
                && !self.intent_boots.contains_key(attempt)
            {
                world.launch(attempt);
                self.audit.started(world, attempt);
            }
        }
    }

    fn commit(&mut self, world: &mut World, transaction: Vec<Event>) {
        for event in transaction {
            if let What::Intended { attempt, .. } = &event.what {
                self.intent_boots.insert(attempt.clone(), world.boot);
                let step = self.engine.run(&attempt.run).and_then(|run| run.workflow.steps.get(&attempt.lane.step));
                if step.is_some_and(|step| step.service.is_some()) {
                    world.services.insert((attempt.run.clone(), attempt.lane.step.clone()));
                }
            }
            world.counts.unknown += u64::from(matches!(event.what, What::Lost { .. }));
            world.counts.held += u64::from(matches!(event.what, What::Held { .. }));
            world.counts.undone += u64::from(matches!(event.what, What::Undone { .. }));
            let sent_back = matches!(event.what, What::Answered { choice: Choice::SendBack(_), .. });
            world.counts.sent_back += u64::from(sent_back);
            let stalled = matches!(event.what, What::StopAsked { reason: StopReason::Stall, .. });
            world.counts.ended_stalls += u64::from(stalled);
            world.counts.attached += u64::from(matches!(event.what, What::Attached { .. }));
            self.audit.committed(world, &event);
            self.journal.push(event);
        }
        if self.dice.per_mille(60) {
            self.check_fold(world);
        }
        if self.dice.per_mille(60) && !self.engine.consistent() {
            world.complain(|| "the sets differ from a recount".into());
        }
        if self.engine.next_deadline().is_some_and(|deadline| deadline <= world.now) {
            world.complain(|| {
                format!("a deadline that has passed wakes the daemon for ever: {:?}", self.engine.next_deadline())
            });
        }
    }

    /// The journal alone gives the same state.
    pub(crate) fn check_fold(&self, world: &mut World) {
        if self.withheld.is_empty() && *self.audit.shadow() != self.engine {
            world.complain(|| "the fold of the journal differs from the live state".into());
        }
    }

    /// Killed and started anew: everything but the journal is forgotten.
    pub(crate) fn restart(&mut self, world: &mut World) {
        let mut engine = mind();
        for event in &self.journal {
            engine.apply(event);
        }
        self.gone.keys().for_each(|run| engine.forget(run));
        if engine != *self.audit.shadow() {
            world.complain(|| "two folds of one journal differ".into());
        }
        self.engine = engine;
        self.life += 1;
        self.hands.clear();
        self.places.clear();
        self.withheld.clear();
        self.ticking = false;
        if world.mutant == Some(Mutant::BlindRestart) {
            self.blind(world);
        }
        self.lets_go(world);
        // The loop begins by asking what is owed, and by looking up everything that may live.
        self.look(world);
        world.plan(1, Happening::Tick);
        self.ticking = true;
    }

    /// Nobody types into a step through an engine that has died.
    fn lets_go(&mut self, world: &mut World) {
        let mut events = Vec::new();
        for run in self.engine.runs() {
            for lane in run.lanes.iter().filter(|lane| lane.attached.is_some()) {
                let Some(attempt) = run.attempt(lane) else { continue };
                let what = What::Detached { attempt, by: dogwatch::model::Principal::Rule, keys: None };
                events.push(Event { run: run.id.clone(), at: world.now, what });
            }
        }
        for event in &events {
            self.engine.apply(event);
        }
        for event in &events {
            self.audit.committed(world, event);
        }
        self.journal.extend(events);
    }

    /// A mutant: what was running when the engine died is taken for failed, and run again.
    fn blind(&mut self, world: &mut World) {
        let mut events = Vec::new();
        for run in self.engine.runs() {
            for attempt in run
                .lanes
                .iter()
                .filter(|lane| matches!(lane.state, LaneState::Active { .. }))
                .filter_map(|lane| run.attempt(lane))
            {
                let why = dogwatch::model::LostWhy::ShimDied;
                let verdict =
                    Verdict::Retry { at: world.now, rule: "blind".into(), resume: None, spend: None, patch: None };
                let lost = What::Lost { attempt: attempt.clone(), why, evidence: Vec::new(), checkpoint: None };
                for what in [lost, What::Judged { attempt, verdict }] {
                    events.push(Event { run: run.id.clone(), at: world.now, what });
                }
            }
        }
        for event in &events {
            self.engine.apply(event);
        }
        self.commit(world, events);
    }

    /// Looks up every attempt whose hand has not looked for a while.
    pub(crate) fn look(&mut self, world: &mut World) {
        let mut due = Vec::new();
        for run in self.engine.runs() {
            for lane in &run.lanes {
                let LaneState::Active { claimed, .. } = &lane.state else { continue };
                due.extend(run.attempt(lane).map(|attempt| (attempt, claimed.is_some())));
            }
        }
        self.hands.retain(|attempt, hand| hand.next_probe.is_some() || due.iter().any(|(other, _)| other == attempt));
        for (attempt, claimed) in due {
            if self.places.get(&attempt.run) == Some(&Place::Ready) || claimed {
                self.look_up(world, attempt, claimed);
            }
        }
    }

    /// Called by the daemon's own tick.
    pub(crate) fn tick(&mut self, world: &mut World) {
        self.ticking = false;
        self.look(world);
        self.turn(world, Vec::new());
    }

    fn look_up(&mut self, world: &mut World, attempt: AttemptId, seen_claimed: bool) {
        let hand = self.hands.entry(attempt.clone()).or_default();
        if hand.next_look.is_some_and(|next| next > world.now) {
            return;
        }
        hand.next_look = Some(world.now.plus(std::time::Duration::from_millis(LOOK_EVERY_MS - 1)));
        let intent_boot = self.intent_boots.get(&attempt).copied().unwrap_or(world.boot);
        world.plan(2, Happening::Look { attempt, seen_claimed, intent_boot });
    }

    /// What is asked beside an attempt is asked again when no answer has come for a while.
    fn due(&mut self, world: &mut World, attempt: &AttemptId) -> bool {
        self.tick_later(world);
        let hand = self.hands.entry(attempt.clone()).or_default();
        if hand.next_probe.is_some_and(|next| next > world.now) {
            return false;
        }
        hand.next_probe = Some(world.now.plus(std::time::Duration::from_millis(LOOK_EVERY_MS)));
        true
    }

    fn perform(&mut self, world: &mut World, command: Command) {
        match command {
            Command::Record(_) => world.complain(|| "a decision among effects".into()),
            Command::Launch(attempt) => match self.places.get(&attempt.run) {
                Some(Place::Ready) => self.look_up(world, attempt, false),
                Some(Place::Asked) => {}
                None => {
                    self.places.insert(attempt.run.clone(), Place::Asked);
                    let fails =
                        !world.ready.contains(&attempt.run) && self.dice.per_mille(world.trouble.no_environment);
                    if !fails {
                        world.ready.insert(attempt.run.clone());
                    }
                    world.counts.no_environment += u64::from(fails);
                    let report = Report::Environment(attempt.run, !fails, self.life);
                    world.plan(5, Happening::Deliver { report, sent: 0 });
                }
            },
            // No history waits for something outside: all that is looked for are services.
            Command::LookOut(attempt) => {
                if self.due(world, &attempt) {
                    world.plan(5, Happening::Peek(attempt));
                }
            }
            Command::Stop { attempt, reason, grace, save: _ } => {
                let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
                world.plan(2, Happening::Stop { attempt, reason, grace_ms });
            }
            Command::LookUp(run, lane) => {
                let asked = AttemptId { run: run.clone(), lane: lane.clone(), n: 0 };
                if self.due(world, &asked) {
                    let mut dice = dice_for(world.seed, (lane.step.as_str(), lane.lane.0, 0, "cache"));
                    let hit = dice.per_mille(400);
                    world.counts.cached += u64::from(hit);
                    world.plan(5, Happening::Deliver { report: Report::CacheLooked(run, lane, hit), sent: 0 });
                }
            }
            Command::Probe(attempt) => {
                if self.due(world, &attempt) {
                    world.plan(5, Happening::Probe(attempt));
                }
            }
            Command::Verify(attempt) => {
                if self.due(world, &attempt) {
                    world.plan(5, Happening::Verify(attempt));
                }
            }
            Command::VerifyCheckpoints(attempt) => {
                if self.due(world, &attempt) {
                    let lane = self.engine.run(&attempt.run).and_then(|run| run.lane(&attempt.lane));
                    let sightings = lane.map_or(&[][..], |lane| &lane.sightings).iter();
                    let leaving = sightings.filter(|one| one.is_leaving()).map(|one| one.checkpoint.path.clone());
                    let leaving = leaving.collect();
                    world.plan(5, Happening::VerifyCheckpoints(attempt, leaving));
                }
            }
            Command::CheckCheckpoint(attempt, checkpoint) => {
                if self.due(world, &attempt) {
                    world.plan(5, Happening::CheckCheckpoint(attempt, checkpoint));
                }
            }
            Command::RemoveCheckpoint(attempt, path) => {
                if self.due(world, &attempt) {
                    world.plan(5, Happening::RemoveCheckpoint(attempt, path));
                }
            }
            Command::CloseEnvironment(run) => {
                self.places.remove(&run);
                if world.live.iter().any(|attempt| attempt.run == run) {
                    world.complain(|| format!("the environment of {run} is closed while a step lives in it"));
                }
                if let Some(over) = self.engine.run(&run).filter(|_| self.forgets).cloned() {
                    self.engine.forget(&run);
                    self.audit.forget(&run);
                    self.gone.insert(run, over);
                }
            }
        }
    }

    /// Whether every run has ended.
    pub(crate) fn all_ended(&self) -> bool {
        self.engine.runs().all(|run| matches!(run.phase, Phase::Ended { .. }))
    }
}

trait CloneIf {
    fn clone_if(&self, wanted: bool) -> Option<Engine>;
}

impl CloneIf for Engine {
    fn clone_if(&self, wanted: bool) -> Option<Engine> {
        wanted.then(|| self.clone())
    }
}
