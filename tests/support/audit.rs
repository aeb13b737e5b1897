//! Watches over a history: what the journal says is checked against what the world knows and against the promises, in
//! rules of its own that share no code with the engine.

use std::collections::{BTreeMap, BTreeSet};

use dogwatch::engine::{Ended, Engine, LaneRun, LaneState, Phase, Run, policy};
use dogwatch::model::{
    Action, AttemptId, Autonomy, Cause, Checkpoint, CheckpointMark, Choice, Class, Demand, End, EscalationId,
    EscalationKind, Event, LaneId, OnUnknown, Order, Principal, RunId, SkipWhy, Spend, Step, StepId, StopReason, Time,
    Verdict, What, Workflow,
};

use super::make::{HOST, mind};
use super::patience::Patience;
use super::world::World;

/// Why a lane may have another attempt.
#[derive(Debug, Clone, PartialEq)]
enum Licence {
    /// Its first one, or the run was resumed.
    Start,
    /// By a rule, not before.
    Rule(Time),
    /// By a person's word about this lane.
    Person,
    /// The last intent came to nothing.
    Again,
}

/// What the journal has said about one lane.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct LaneLog {
    n: u32,
    /// The newest attempt's end is in the journal.
    over: bool,
    lost: bool,
    /// The code, when the probe gave one.
    probed: Option<i32>,
    /// Attempts of the series.
    tries: u32,
    licence: Option<Licence>,
    exit_ok: Option<bool>,
    /// Checkpoints that were found damaged.
    damaged: BTreeSet<String>,
    /// Attempts that were made of each budget since a person's word.
    spent: BTreeMap<String, u32>,
    /// The newest checkpoint when something was taken of a budget the last time.
    saved: BTreeMap<String, Option<Checkpoint>>,
    /// It is ended because nobody needs it any more.
    unneeded: bool,
    /// A person answered while it stood still.
    answered_alive: bool,
    /// The checkpoint that it went on from when nobody had answered.
    unattended: Option<(String, Option<i64>)>,
}

impl LaneLog {
    /// No budget is exceeded, by a count of the auditor's own.
    fn budget(&mut self, step: &Step, spend: &Spend, saved: Option<&Checkpoint>) -> Result<(), String> {
        let hang = (spend.budget == "on_stall" && !step.retry_said).then_some(Class::CollectiveHang);
        let class = spend.budget.strip_prefix("class ").and_then(Class::of).or(hang);
        let by_answer = spend.budget.starts_with("answer ");
        let most = match (class, spend.budget.strip_prefix("rule ")) {
            (Some(class), _) => {
                policy::of_class(class).map_or(2, |policy| policy.retry.max_attempts) * policy::ALL_PRINTS
            }
            (None, Some(name)) => {
                let rule = step.on_failure.iter().find(|rule| rule.name == name).ok_or("a budget of no rule")?;
                rule.retry.as_ref().unwrap_or(&step.retry).max_attempts
            }
            // The one that was answered about, and three by that answer.
            (None, None) if by_answer => 4 + 1,
            (None, None) => step.retry.max_attempts,
        };
        let before = self.saved.insert(spend.budget.clone(), saved.cloned());
        let resumes = step.on_failure.iter().any(|rule| {
            rule.action == Action::Resume && spend.budget.strip_prefix("rule ") == Some(rule.name.as_str())
        });
        let by_class = class.and_then(policy::of_class).is_some_and(|policy| policy.by_progress);
        let progress = (by_class || by_answer || resumes)
            && saved
                .is_some_and(|saved| before.is_some_and(|before| before.is_none_or(|before| saved.step > before.step)));
        let taken = self.spent.entry(spend.budget.clone()).or_default();
        *taken = if progress { 1 } else { *taken + 1 };
        // The first attempt was made of no budget.
        ensure(*taken < most, "more attempts than were allowed")
    }
}

/// The auditor.
pub(crate) struct Audit {
    shadow: Engine,
    lanes: BTreeMap<(RunId, LaneId), LaneLog>,
    intents: BTreeSet<AttemptId>,
    opened: BTreeMap<EscalationId, Vec<Choice>>,
    answered: BTreeSet<EscalationId>,
    patience: Patience,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            shadow: mind(),
            lanes: BTreeMap::new(),
            intents: BTreeSet::new(),
            opened: BTreeMap::new(),
            answered: BTreeSet::new(),
            patience: Patience::default(),
        }
    }
}

impl Audit {
    /// The fold of the journal.
    pub(crate) fn shadow(&self) -> &Engine {
        &self.shadow
    }

    /// The daemon has let go of a run.
    pub(crate) fn forget(&mut self, run: &RunId) {
        self.shadow.forget(run);
    }

    /// A process has started.
    pub(crate) fn started(&self, world: &mut World, attempt: &AttemptId) {
        if !self.intents.contains(attempt) {
            world.complain(|| format!("{attempt} starts, and no journal knows of it"));
        }
        let Some(run) = self.shadow.run(&attempt.run) else { return };
        let live = world.live.iter().filter(|other| other.run == attempt.run && !world.serves(other));
        let live: Vec<AttemptId> = live.cloned().collect();
        let most = usize::try_from(run.workflow.max_parallel).expect("small");
        if live.len() > most {
            world.complain(|| format!("{attempt} starts, and more than {most} live"));
        }
        let step = run.workflow.steps.get(&attempt.lane.step).expect("it has a step");
        let siblings = live.iter().filter(|other| other.lane.step == attempt.lane.step).count();
        if step.lanes_at_once.is_some_and(|most| siblings > usize::try_from(most).expect("small")) {
            world.complain(|| format!("{attempt} starts, and too many lanes of its step live"));
        }
        if !step.demand.is_none() {
            self.booked(world, attempt);
        }
    }

    /// What lives has no more of the host than there is, over all runs, and no GPU twice.
    fn booked(&self, world: &mut World, attempt: &AttemptId) {
        let (mut all, mut gpus) = (Demand::default(), BTreeSet::new());
        let mut beside = false;
        for other in world.live.clone() {
            let Some(run) = self.shadow.run(&other.run) else { continue };
            let Some(lane) = run.lane(&other.lane).filter(|lane| lane.n == other.n) else { continue };
            let demand = run.workflow.steps.get(&other.lane.step).map(|step| step.demand).unwrap_or_default();
            all.milli_cpus += demand.milli_cpus;
            all.memory += demand.memory;
            all.gpus += demand.gpus;
            beside |= !demand.is_none() && other.run != attempt.run;
            let own = u32::try_from(lane.gpus.len()).expect("small");
            if own != demand.gpus || lane.gpus.iter().any(|gpu| *gpu >= HOST.gpus || !gpus.insert(*gpu)) {
                world.complain(|| format!("{other} has the GPUs {:?}, when {attempt} starts", lane.gpus));
            }
        }
        if all.beyond(HOST).next().is_some() {
            world.complain(|| format!("{attempt} starts, and {all:?} is more than the host has"));
        }
        world.counts.booked += 1;
        world.counts.contended += u64::from(beside);
    }

    /// What lives is known to be active.
    pub(crate) fn nothing_vanished(&self, world: &mut World) {
        for attempt in world.live.clone() {
            let lane = self.shadow.run(&attempt.run).and_then(|run| run.lane(&attempt.lane));
            let known = lane.is_some_and(|lane| lane.n == attempt.n && matches!(lane.state, LaneState::Active { .. }));
            if !known {
                world.complain(|| format!("{attempt} lives, and the journal says {:?}", lane.map(|lane| &lane.state)));
            }
        }
    }

    /// An event is committed.
    pub(crate) fn committed(&mut self, world: &mut World, event: &Event) {
        let run = self.shadow.run(&event.run);
        let patient = run.map_or(Ok(()), |run| self.patience.check(run, event));
        if let Err(words) = patient.and_then(|()| self.check(world, event)) {
            world.complain(|| format!("{words}: {event:?}"));
        }
        self.shadow.apply(event);
    }

    fn log(&mut self, attempt: &AttemptId) -> &mut LaneLog {
        self.lanes.entry((attempt.run.clone(), attempt.lane.clone())).or_default()
    }

    #[expect(clippy::too_many_lines, reason = "it is a table: one line for each event")]
    fn check(&mut self, world: &World, event: &Event) -> Result<(), String> {
        match &event.what {
            What::Created(created) => {
                for step in created.workflow.steps.values() {
                    for spec in &step.lanes {
                        let lane = LaneId { step: step.id.clone(), lane: spec.lane };
                        let log = LaneLog { licence: Some(Licence::Start), ..LaneLog::default() };
                        self.lanes.insert((event.run.clone(), lane), log);
                    }
                }
                Ok(())
            }
            What::Intended { attempt, cause, resume } => {
                self.sound(attempt, resume.as_ref())?;
                self.intended(event.at, attempt, cause)
            }
            What::Claimed { attempt } | What::Stalled { attempt, .. } => self.claimed(world, attempt),
            What::Exited { attempt, exit } => {
                let truth = world.procs.get(attempt).and_then(|proc| proc.exit.as_ref());
                ensure(truth == Some(&**exit), "an exit that the world does not know")?;
                if self.newest(attempt) && !self.log(attempt).lost {
                    let ok = exit.end == End::Code(0) && exit.stop.is_none() && exit.missing.is_empty();
                    let step = self.shadow.run(&event.run).and_then(|run| run.workflow.steps.get(&attempt.lane.step));
                    let earned = step.is_some_and(|step| step.verify.is_none());
                    let log = self.log(attempt);
                    // What is to be verified is neither yet; told once more, it is no news.
                    if !log.over || earned || !ok {
                        (log.over, log.exit_ok) = (true, (earned || !ok).then_some(ok));
                    }
                }
                Ok(())
            }
            What::Lost { attempt, .. } => {
                ensure(world.really_lost(attempt), "UNKNOWN, and it could be known")?;
                if self.newest(attempt) && !self.log(attempt).over {
                    let log = self.log(attempt);
                    (log.over, log.lost) = (true, true);
                }
                Ok(())
            }
            What::StopAsked { attempt, reason: StopReason::Unneeded, .. } => self.unneeded(attempt),
            What::Judged { attempt, verdict } => self.judged(attempt, verdict),
            What::Probed { attempt, code, .. } => {
                if self.newest(attempt) {
                    self.log(attempt).probed = *code;
                }
                Ok(())
            }
            What::Verified { attempt, check } => {
                // Told once more, it is no news.
                if self.newest(attempt) && self.log(attempt).over {
                    self.log(attempt).exit_ok.get_or_insert(check.how.is_good());
                }
                Ok(())
            }
            What::CheckpointChecked { .. }
            | What::CheckpointMarked { .. }
            | What::CheckpointRemoved { .. }
            | What::CheckpointsVerified { .. } => self.checkpoints(event),
            What::Opened { escalation } => {
                let fresh = self.opened.insert(escalation.id, escalation.choices.clone()).is_none();
                ensure(fresh, "a question's number is used twice")
            }
            What::Answered { escalation, choice, by, .. } => {
                self.unattended(event, *escalation, *choice, by)?;
                self.answered(event, *escalation, *choice)
            }
            What::Ordered { lane, order, .. } => {
                let log = self.lanes.get_mut(&(event.run.clone(), lane.clone())).ok_or("an order about no lane")?;
                if matches!(order, Order::Retry | Order::Resume) {
                    (log.licence, log.lost) = (Some(Licence::Person), false);
                }
                Ok(())
            }
            What::CacheLooked { lane, look } => self.cache_looked(&event.run, lane, look.hit.is_some()),
            What::CannotStart { .. } | What::SecretsLost { .. } | What::Resumed { .. } => {
                self.anew(world, event);
                Ok(())
            }
            What::Skipped { lane, .. } => self.skipped(&event.run, lane),
            What::Ended { .. } => {
                let live = world.live.iter().any(|attempt| attempt.run == event.run);
                ensure(!live, "the run ends while a step lives")
            }
            What::Held { .. }
            | What::Snapshotted { .. }
            | What::NotSnapshotted { .. }
            | What::Keeping { .. }
            | What::Booked { .. }
            | What::Looked { .. }
            | What::SnapshotMarked { .. }
            | What::Undone { .. }
            | What::Lasting { .. }
            | What::Extended { .. }
            | What::Attached { .. }
            | What::Detached { .. }
            | What::EnvironmentReady { .. }
            | What::EnvironmentFailed { .. }
            | What::SecretsGiven { .. }
            | What::CheckpointSeen { .. }
            | What::Revived { .. }
            | What::Noted { .. }
            | What::ClocksSet { .. }
            | What::StopAsked { .. }
            | What::ProbeAsked { .. }
            | What::Paused { .. }
            | What::Unpaused { .. }
            | What::RunStopAsked { .. } => Ok(()),
        }
    }

    /// Whether a lane has to run: with a hit nobody may start it any more.
    fn cache_looked(&mut self, run: &RunId, lane: &LaneId, hit: bool) -> Result<(), String> {
        let about = self.shadow.run(run).and_then(|run| run.lane(lane)).ok_or("a look for no lane")?;
        // Told once more, when it runs or is done since, it is no news.
        let news = matches!(about.state, LaneState::Waiting) && about.n == 0 && about.cache.is_none();
        if news && hit {
            self.lanes.entry((run.clone(), lane.clone())).or_default().licence = None;
        }
        Ok(())
    }

    /// What was found of checkpoints, and what is done to them.
    fn checkpoints(&mut self, event: &Event) -> Result<(), String> {
        if let What::CheckpointsVerified { attempt, good, damaged, .. } = &event.what {
            self.log(attempt).damaged.extend(damaged.iter().map(|one| one.checkpoint.path.clone()));
            // Told once more, when an attempt has gone on from it long since, it is no news.
            if !self.newest(attempt) {
                return Ok(());
            }
            self.sound(attempt, good.as_ref().map(|good| &good.path))
        } else if let What::CheckpointChecked { lane, checkpoint, flaw: Some(_), .. } = &event.what {
            self.spoilt(&event.run, lane, &checkpoint.path)
        } else if let What::CheckpointMarked { lane, path, mark: CheckpointMark::Removed, .. } = &event.what {
            self.removed(&event.run, lane, path)
        } else if let What::CheckpointRemoved { lane, path, why: Some(_) } = &event.what {
            // It is there still: a person may go on from it.
            let log = self.lanes.get_mut(&(event.run.clone(), lane.clone())).ok_or("a checkpoint of no lane")?;
            log.damaged.remove(path);
            Ok(())
        } else {
            Ok(())
        }
    }

    /// A checkpoint is to be removed.
    fn removed(&mut self, run: &RunId, lane: &LaneId, path: &str) -> Result<(), String> {
        let newest = self.shadow.run(run).and_then(|run| run.lane(lane)).ok_or("a checkpoint of no lane")?;
        let used = newest.checkpoint.as_ref().is_some_and(|one| one.path == path);
        ensure(!used, "the checkpoint that a resumption would take is removed")?;
        let live = matches!(&newest.state, LaneState::Active { resume: Some(from), .. } if from == path);
        ensure(!live, "what an attempt went on from is removed")?;
        ensure(newest.sighting(path).is_some_and(|one| !one.pinned), "what is pinned is removed")?;
        self.spoilt(run, lane, path)
    }

    /// It was found damaged, or removed.
    fn spoilt(&mut self, run: &RunId, lane: &LaneId, path: &str) -> Result<(), String> {
        let log = self.lanes.get_mut(&(run.clone(), lane.clone())).ok_or("a checkpoint of no lane")?;
        log.damaged.insert(path.to_owned());
        Ok(())
    }

    /// Nothing goes on from a checkpoint that was found damaged.
    fn sound(&mut self, attempt: &AttemptId, from: Option<&String>) -> Result<(), String> {
        let damaged = &self.log(attempt).damaged;
        ensure(from.is_none_or(|path| !damaged.contains(path)), "an attempt goes on from what is damaged")
    }

    fn newest(&mut self, attempt: &AttemptId) -> bool {
        self.log(attempt).n == attempt.n
    }

    /// Intents that came to nothing, for sure.
    fn never_started(&mut self, world: &World, run: &RunId, only: &LaneId) {
        for ((of, lane), log) in &mut self.lanes {
            let attempt = AttemptId { run: run.clone(), lane: lane.clone(), n: log.n };
            if of == run && only == lane && log.n > 0 && !world.procs.contains_key(&attempt) {
                log.over = true;
                log.licence.get_or_insert(Licence::Again);
            }
        }
    }

    fn claimed(&mut self, world: &World, attempt: &AttemptId) -> Result<(), String> {
        ensure(world.procs.contains_key(attempt), "a claim that the world does not know")?;
        ensure(self.intents.contains(attempt), "a claim without an intent")
    }

    fn intended(&mut self, at: Time, attempt: &AttemptId, cause: &Cause) -> Result<(), String> {
        let run = self.shadow.run(&attempt.run).ok_or("an intent of no run")?;
        let lane = run.lane(&attempt.lane).ok_or("an intent of no lane")?;
        ensure(matches!(run.phase, Phase::Going), "an intent while the run is not going")?;
        ensure(!run.paused, "an intent while the run is paused")?;
        let serves = |lane: &LaneRun| run.step_of(lane).service.is_some();
        let active = run.lanes.iter().filter(|lane| matches!(lane.state, LaneState::Active { .. }));
        let active = active.filter(|lane| !serves(lane));
        ensure(
            serves(lane) || active.clone().count() < usize::try_from(run.workflow.max_parallel).expect("small"),
            "more than max_parallel",
        )?;
        let step = run.step_of(lane);
        let siblings = active.filter(|other| other.id.step == attempt.lane.step).count();
        ensure(
            step.lanes_at_once.is_none_or(|most| siblings < usize::try_from(most).expect("small")),
            "too many lanes at once",
        )?;
        let licence = self.lanes.get(&(attempt.run.clone(), attempt.lane.clone())).and_then(|log| log.licence.clone());
        // A service begins anew when what needs it does.
        let licence = licence.or(serves(lane).then_some(Licence::Start));
        let licence = licence.ok_or("another attempt that nobody asked for")?;
        Self::needs(run, lane, &licence)?;
        if let Licence::Rule(not_before) = licence {
            ensure(at >= not_before, "a retry before its time")?;
        }
        let log = self.log(attempt);
        ensure(attempt.n == log.n + 1, "a number is left out or used twice")?;
        ensure(log.n == 0 || log.over, "a new attempt before the end of the last one")?;
        ensure(!log.lost, "a new attempt although it is not known how the last one ended")?;
        let by_rule = matches!(licence, Licence::Rule(_));
        let same = matches!(licence, Licence::Again);
        log.tries = if same {
            log.tries
        } else if by_rule && !matches!(cause, Cause::Unknown) {
            log.tries + 1
        } else if by_rule {
            log.tries
        } else {
            1
        };
        if !by_rule && !same {
            log.spent.clear();
            log.saved.clear();
        }
        let (spent, saved) = (std::mem::take(&mut log.spent), std::mem::take(&mut log.saved));
        let damaged = std::mem::take(&mut log.damaged);
        *log = LaneLog { n: attempt.n, tries: log.tries, spent, saved, damaged, ..LaneLog::default() };
        ensure(self.intents.insert(attempt.clone()), "intended twice")
    }

    /// Everything it needs has ended, and well, unless its own condition or a person says otherwise.
    fn needs(run: &Run, lane: &LaneRun, licence: &Licence) -> Result<(), String> {
        let step = run.step_of(lane);
        for need in &step.needs {
            let mut well = 0;
            let mut left_out = 0;
            for other in run.lanes.iter().filter(|other| other.id.step == *need) {
                if run.is_ready(other) {
                    well += 1;
                    continue;
                }
                let LaneState::Done { how, .. } = &other.state else {
                    return Err(format!("{} starts before {need} has ended", lane.id.step));
                };
                match how {
                    Ended::Succeeded(_) | Ended::Allowed | Ended::LeftOut(_) | Ended::Skipped(SkipWhy::NotSelected) => {
                        well += 1;
                    }
                    Ended::Skipped(SkipWhy::Condition) => left_out += 1,
                    Ended::Failed
                    | Ended::Stopped
                    | Ended::Skipped(SkipWhy::Need(_) | SkipWhy::RunEnded | SkipWhy::Unneeded) => {
                        left_out += 1000;
                    }
                }
            }
            let fine = left_out < 1000 && (well > 0 || left_out == 0);
            let heeded = step.condition.is_none() && *licence == Licence::Start;
            ensure(fine || !heeded, "a start although what it needs did not succeed")?;
        }
        Ok(())
    }

    fn unneeded(&mut self, attempt: &AttemptId) -> Result<(), String> {
        self.log(attempt).unneeded = true;
        ensure(!self.is_needed(attempt), "a service is ended that is needed")
    }

    /// A step that names it among its needs has not ended.
    fn is_needed(&self, attempt: &AttemptId) -> bool {
        let Some(run) = self.shadow.run(&attempt.run) else { return false };
        let open = |step: &Step| {
            run.lanes.iter().any(|lane| lane.id.step == step.id && !matches!(lane.state, LaneState::Done { .. }))
        };
        run.workflow.steps.values().any(|other| other.needs.contains(&attempt.lane.step) && open(other))
    }

    fn judged(&mut self, attempt: &AttemptId, verdict: &Verdict) -> Result<(), String> {
        ensure(self.newest(attempt), "a decision about an older attempt")?;
        let run = self.shadow.run(&attempt.run).ok_or("a decision of no run")?;
        let step = run.workflow.steps.get(&attempt.lane.step).ok_or("a decision about no step")?.clone();
        let saved = run.lane(&attempt.lane).and_then(|lane| lane.checkpoint.clone());
        let on_unknown = Some(step.on_unknown.clone());
        let serves = step.service.is_some();
        let needed = self.is_needed(attempt);
        let log = self.log(attempt);
        ensure(log.over, "a decision without its fact")?;
        let by_probe = log.lost && log.probed == Some(0);
        let safe = matches!(on_unknown, Some(OnUnknown::Rerun)) || log.probed == Some(10);
        match verdict {
            Verdict::Succeeded => {
                ensure(log.exit_ok == Some(true) || by_probe || serves, "success without a proof")?;
                ensure(by_probe || !serves || !needed || log.unneeded, "a service has succeeded that is still needed")?;
                // What was answered while it lived has no effect any more.
                (log.lost, log.licence) = (false, None);
                Ok(())
            }
            Verdict::Answered => ensure(log.answered_alive, "ended as was answered, and nobody had answered"),
            Verdict::Retry { at, spend, .. } => {
                if let Some(spend) = spend {
                    let told = step.autonomy == Autonomy::Act || spend.budget.starts_with("answer ");
                    ensure(told, "an attempt by rule though a person is to be asked")?;
                    log.budget(&step, spend, saved.as_ref())?;
                }
                ensure(!log.lost || safe, "an unknown end is repeated without a word")?;
                ensure(serves || log.exit_ok != Some(true), "what succeeded is repeated")?;
                (log.licence, log.lost) = (Some(Licence::Rule(*at)), false);
                Ok(())
            }
            Verdict::Stopped => {
                // What is safe to repeat needs no question before the run is resumed.
                log.lost &= !safe;
                ensure(log.exit_ok != Some(true), "what succeeded is stopped")
            }
            Verdict::Allowed | Verdict::Skip { .. } | Verdict::Abort { .. } => {
                ensure(serves || log.exit_ok == Some(false), "failed without a proof")
            }
            Verdict::Ask { .. } => ensure(serves || log.exit_ok != Some(true), "what succeeded is asked about"),
        }
    }

    /// By itself a question is answered only when its time is over, with what it said, and nothing goes on twice from the
    /// same checkpoint while nobody looks.
    fn unattended(&mut self, event: &Event, id: EscalationId, choice: Choice, by: &Principal) -> Result<(), String> {
        let run = self.shadow.run(&event.run).ok_or("an answer of no run")?;
        let question = run.questions.get(&id).ok_or("the question is not in the run")?;
        if *by != Principal::Rule {
            return Ok(());
        }
        let asked = &question.escalation;
        // What a service is asked about is settled when all that needs it has ended.
        let lane = run.lane(&asked.lane).ok_or("a question of no lane")?;
        let serves = run.step_of(lane).service.is_some();
        let of = AttemptId { run: event.run.clone(), lane: asked.lane.clone(), n: lane.n };
        if serves && choice == Choice::Skip && !self.is_needed(&of) {
            return Ok(());
        }
        let over = asked.deadline.is_some_and(|deadline| deadline <= event.at);
        ensure(over && asked.on_deadline == Some(choice), "answered by a rule before its time, or not as it said")?;
        let step = run.workflow.steps.get(&asked.lane.step).ok_or("a question about no step")?;
        if asked.kind != EscalationKind::Gate {
            ensure(step.autonomy != Autonomy::Observe, "who only observes is obeyed without an answer")?;
        }
        let lane = run.lane(&asked.lane).ok_or("a question about no lane")?;
        let alive = asked.kind == EscalationKind::Stalled;
        ensure(!alive || lane.attached.is_none(), "answered by a rule under somebody's hands")?;
        if choice == Choice::Resume {
            ensure(asked.kind != EscalationKind::Unknown, "what may have finished goes on by itself")?;
            let log = self.lanes.get_mut(&(event.run.clone(), asked.lane.clone())).ok_or("an answer about no lane")?;
            let from = lane.checkpoint.as_ref().map(|one| (one.path.clone(), one.step));
            ensure(from.is_some() && log.unattended != from, "it goes on from the same checkpoint while nobody looks")?;
            log.unattended = from;
        }
        Ok(())
    }

    fn answered(&mut self, event: &Event, id: EscalationId, choice: Choice) -> Result<(), String> {
        let choices = self.opened.get(&id).ok_or("an answer to no question")?;
        ensure(choices.contains(&choice), "an answer that was not offered")?;
        ensure(self.answered.insert(id), "a question is answered twice")?;
        let run = self.shadow.run(&event.run).ok_or("an answer of no run")?;
        let asked = &run.questions.get(&id).ok_or("the question is not in the run")?.escalation;
        let lane = asked.lane.clone();
        let again = match choice {
            Choice::Retry | Choice::Resume | Choice::Alternative { .. } => true,
            Choice::Accept => !asked.proposal.as_ref().ok_or("nothing was proposed")?.skip,
            Choice::Probe
            | Choice::KeepWaiting
            | Choice::Done
            | Choice::Skip
            | Choice::Fail
            | Choice::StopRun
            | Choice::Approve
            | Choice::Reject
            | Choice::SendBack(_) => false,
        };
        if let Some(from) = run.back_to(choice) {
            let back = way(&run.workflow, &from.id, &lane.step);
            ensure(!back.is_empty(), "a gate is sent back to a step that does not lead to it")?;
            for ((of, other), log) in &mut self.lanes {
                // What a person has ordered already and has not started yet is not sent back.
                let done = run.lane(other).is_some_and(|lane| matches!(lane.state, LaneState::Done { .. }));
                let free = !log.lost && (log.n == 0 || log.over) && (done || log.licence.is_none());
                if *of == event.run && back.contains(&other.step) && free {
                    log.licence = Some(Licence::Start);
                }
            }
        }
        let stalled = asked.kind == EscalationKind::Stalled;
        if choice != Choice::Probe
            && let Some(log) = self.lanes.get_mut(&(event.run.clone(), lane))
        {
            log.lost = false;
            log.answered_alive = stalled;
            if again {
                log.licence = Some(Licence::Person);
            }
        }
        Ok(())
    }

    /// A resumed run may go on with all that was not done; an unknown end stays one.
    /// What is to be started once more.
    fn anew(&mut self, world: &World, event: &Event) {
        if let What::CannotStart { lane, .. } | What::SecretsLost { lane, .. } = &event.what {
            self.never_started(world, &event.run, lane);
        } else {
            self.resumed(&event.run);
        }
    }

    fn resumed(&mut self, run: &RunId) {
        for ((_, lane), log) in self.lanes.iter_mut().filter(|((of, _), _)| of == run) {
            let state = self.shadow.run(run).and_then(|run| run.lane(lane)).map(|lane| &lane.state);
            let done = matches!(state, Some(LaneState::Done { .. }));
            if !log.lost && (log.n == 0 || log.over) && (done || log.licence.is_none()) {
                log.licence = Some(Licence::Start);
            }
        }
        // Questions about failures are closed by it.
        let open = self.shadow.run(run).into_iter().flat_map(|run| run.questions.values());
        self.answered.extend(open.filter(|question| question.answer.is_some()).map(|question| question.escalation.id));
    }

    fn skipped(&self, run: &RunId, lane: &LaneId) -> Result<(), String> {
        let run = self.shadow.run(run).ok_or("a skip of no run")?;
        let state = run.lane(lane).map(|lane| &lane.state);
        ensure(matches!(state, Some(LaneState::Waiting | LaneState::Delayed { .. })), "what does not wait is skipped")
    }
}

/// The steps that lead from one to a gate, by what each says that it needs.
fn way(workflow: &Workflow, from: &StepId, gate: &StepId) -> BTreeSet<StepId> {
    let leads = |from: &StepId, to: &StepId| {
        let mut before: Vec<&StepId> = vec![to];
        let mut seen = BTreeSet::new();
        while let Some(step) = before.pop() {
            if step == from {
                return true;
            }
            if seen.insert(step) {
                before.extend(workflow.steps.get(step).into_iter().flat_map(|step| &step.needs));
            }
        }
        false
    };
    workflow.steps.keys().filter(|step| *step != gate && leads(from, step) && leads(step, gate)).cloned().collect()
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}
