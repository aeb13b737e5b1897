//! One history: a random workflow, a world with trouble, a daemon that may die at any point, and people.

use std::collections::{BTreeMap, BTreeSet};

use dogwatch::engine::{Ended, LaneState, Phase, Run};
use dogwatch::model::{
    CheckpointMark, Choice, EscalationId, EscalationKind, Event, LaneId, Order, Principal, RunId, RunResult, Selection,
    Time, What, Workflow,
};

use super::daemon::Daemon;
use super::dice::{Dice, dice_for};
use super::make::{created, keep_secrets, mind, person, random_workflow, want_of_host};
use super::world::{Counts, Happening, Mutant, Trouble, World};

/// Things that happen in one history, at most.
const LONGEST: u64 = 150_000;

/// What one history is about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) trouble: Trouble,
    pub(crate) people: People,
    pub(crate) mutant: Option<Mutant>,
    /// The workflow has nothing whose end depends on which of two things came first.
    pub(crate) steady: bool,
}

/// Who is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum People {
    /// They answer every question, always in the same way, and do nothing else.
    Steady,
    /// They do what they like, and clear up in the end.
    Wild,
    /// Nobody ever answers.
    Nobody,
}

/// How a history ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) results: Vec<Option<RunResult>>,
    /// How each lane is done, without times.
    pub(crate) lanes: BTreeMap<(RunId, LaneId), (u32, Option<Ended>)>,
    pub(crate) counts: Counts,
    pub(crate) attempts: u64,
    pub(crate) lane_count: usize,
}

/// What a history did wrong.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) words: String,
    pub(crate) setup: Setup,
    pub(crate) journal: Vec<Event>,
}

struct History {
    setup: Setup,
    world: World,
    daemon: Daemon,
    dice: Dice,
    /// Until then people do what they like.
    wild_until: Time,
}

/// Plays the history of a random workflow.
pub(crate) fn play(setup: Setup) -> Result<Outcome, Box<Violation>> {
    let mut dice = dice_for(setup.seed, "workflow");
    let mut runs = vec![random_workflow(&mut dice, setup.steady)];
    if dice.per_mille(100) {
        runs.push(random_workflow(&mut dice, setup.steady));
    }
    if setup.people == People::Wild {
        let mut dice = dice_for(setup.seed, "wants");
        if dice.per_mille(500) {
            // Two fight for it.
            runs.truncate(1);
            runs.push(random_workflow(&mut dice, setup.steady));
            for run in &mut runs {
                want_of_host(&mut dice, run);
            }
        }
        if dice.per_mille(900) {
            for run in &mut runs {
                keep_secrets(&mut dice, run);
            }
        }
    }
    play_workflows(setup, runs)
}

/// Plays the history of these workflows, all at once.
pub(crate) fn play_workflows(setup: Setup, workflows: Vec<Workflow>) -> Result<Outcome, Box<Violation>> {
    let mut history = History {
        setup,
        world: World::new(setup.seed, setup.trouble, setup.mutant),
        daemon: Daemon::new(setup.seed),
        dice: dice_for(setup.seed, "history"),
        wild_until: Time::from_ms(1_000_000),
    };
    history.wild_until =
        history.world.now.plus(std::time::Duration::from_millis(history.dice.between(60_000, 1_500_000)));
    let wants = |workflow: &Workflow| workflow.steps.values().any(|step| !step.demand.is_none());
    history.daemon.forgets = workflows.iter().any(wants);
    history.begin(workflows);
    history.live_through();
    history.close()
}

impl History {
    fn begin(&mut self, workflows: Vec<Workflow>) {
        for (place, workflow) in workflows.into_iter().enumerate() {
            let run = RunId::new(&format!("run{place}")).expect("legal");
            let secrets = workflow.secrets.keys().map(|name| (run.clone(), name.clone()));
            self.world.secrets.extend(secrets);
            let selection = self.selection(&workflow);
            let what = What::Created(Box::new(created(workflow, selection)));
            let event = Event { run, at: self.world.now, what };
            // The client that asked for the run asks again until it has an answer.
            while !self.daemon.journal.contains(&event) && self.world.wrong.is_none() {
                self.daemon.turn(&mut self.world, vec![event.clone()]);
            }
        }
        if self.setup.people != People::Nobody {
            self.world.plan(self.dice.between(1, 5_000), Happening::Person);
        }
    }

    fn selection(&mut self, workflow: &Workflow) -> Selection {
        let ids: Vec<_> = workflow.steps.keys().cloned().collect();
        if self.setup.steady || !self.dice.per_mille(80) {
            return Selection::All;
        }
        let one = self.dice.pick(&ids).expect("a workflow has steps").clone();
        if self.dice.per_mille(500) { Selection::From(one) } else { Selection::Only(vec![one]) }
    }

    fn live_through(&mut self) {
        for _ in 0..LONGEST {
            if self.world.wrong.is_some() || self.is_over() {
                return;
            }
            let deadline = self.daemon.engine.next_deadline();
            let limit = deadline.unwrap_or(Time::from_ms(i64::MAX));
            match self.world.next(limit) {
                Some(what) => self.happen(what),
                None if deadline.is_some() => {
                    self.world.now = self.world.now.max(limit);
                    self.daemon.turn(&mut self.world, Vec::new());
                }
                None => return self.at_rest(),
            }
            self.daemon.audit.nothing_vanished(&mut self.world);
        }
        let owed = self.daemon.engine.owed(self.world.now);
        let (now, due) = (self.world.now, self.daemon.engine.next_deadline());
        let runs = self.daemon.engine.runs().filter(|run| !matches!(run.phase, Phase::Ended { .. }));
        let open: Vec<_> = runs
            .flat_map(|run| run.lanes.iter().map(move |lane| (&run.id, run.step_of(lane), lane)))
            .filter(|(.., lane)| !matches!(lane.state, LaneState::Done { .. }))
            .map(|(run, step, lane)| (run, &lane.id, &lane.state, &step.needs, step.demand, &step.secrets))
            .collect();
        let words = format!("the history does not end at {now}, due at {due:?}; owed: {owed:?}; open: {open:?}");
        self.world.wrong.get_or_insert(words);
    }

    fn is_over(&self) -> bool {
        let over = self.daemon.all_ended() && (self.setup.people != People::Wild || self.world.now > self.wild_until);
        over || self.setup.people == People::Nobody && self.only_serves()
    }

    /// Services live on for steps about which a person is asked, and nobody answers.
    fn only_serves(&self) -> bool {
        let runs = || self.daemon.engine.runs();
        let serves = runs().any(|run| run.lanes.iter().any(|lane| run.is_ready(lane)));
        serves && runs().all(|run| matches!(run.phase, Phase::Ended { .. }) || run.only_waits())
    }

    /// Nothing will ever happen again by itself: each run has ended or waits for a person.
    fn at_rest(&mut self) {
        for run in self.daemon.engine.runs() {
            let waits = run.only_waits() && self.setup.people == People::Nobody;
            if !matches!(run.phase, Phase::Ended { .. }) && !waits {
                let lanes: Vec<_> = run.lanes.iter().map(|lane| (&lane.id, &lane.state)).collect();
                self.world
                    .wrong
                    .get_or_insert_with(|| format!("{} sleeps for ever: {:?} {lanes:?}", run.id, run.phase));
            }
        }
    }

    fn happen(&mut self, what: Happening) {
        let world = &mut self.world;
        match what {
            Happening::Launch(attempt) => {
                let before = world.counts.starts;
                world.launch(&attempt);
                if world.counts.starts > before {
                    self.daemon.audit.started(world, &attempt);
                }
            }
            Happening::Look { attempt, seen_claimed, intent_boot } => world.look(&attempt, seen_claimed, intent_boot),
            Happening::Stop { attempt, reason, grace_ms } => world.stop(&attempt, reason, grace_ms),
            Happening::Probe(attempt) => world.probe(&attempt),
            Happening::Peek(attempt) => world.peek(&attempt),
            Happening::Verify(attempt) => world.verify(&attempt),
            Happening::VerifyCheckpoints(attempt, leaving) => world.verify_checkpoints(&attempt, &leaving),
            Happening::CheckCheckpoint(attempt, checkpoint) => world.check_checkpoint(&attempt, checkpoint),
            Happening::RemoveCheckpoint(attempt, path) => world.remove_checkpoint(&attempt, path),
            Happening::Ends(attempt, end) => world.ends(&attempt, end),
            Happening::Saves(attempt, step) => world.saves(&attempt, step),
            Happening::Stalls(attempt) => world.stalls(&attempt),
            Happening::Moves(attempt) => world.moves(&attempt),
            Happening::KillShim(attempt) => world.kill_shim(&attempt),
            Happening::KillTmux => world.kill_tmux(),
            Happening::Reboot => {
                world.reboot();
                self.daemon.restart(world);
            }
            Happening::Deliver { report, .. } => {
                let facts = self.daemon.facts(world, report);
                if !facts.is_empty() || world.trouble != Trouble::default() {
                    self.daemon.turn(world, facts);
                }
            }
            Happening::Tick => self.daemon.tick(world),
            Happening::Person => self.somebody(),
        }
    }

    fn somebody(&mut self) {
        let wild = self.setup.people == People::Wild && self.world.now < self.wild_until;
        if !wild {
            self.world.trouble = Trouble { failures: self.world.trouble.failures, ..Trouble::default() };
        }
        if self.setup.people == People::Steady {
            self.world.trouble = self.setup.trouble;
        }
        let runs: Vec<RunId> = self.daemon.engine.runs().map(|run| run.id.clone()).collect();
        for id in runs {
            let Some(run) = self.daemon.engine.run(&id) else { continue };
            let lost: BTreeSet<String> = run.lanes.iter().flat_map(|lane| run.lost_secrets_of(lane)).cloned().collect();
            if !lost.is_empty() && (!wild || self.dice.per_mille(700)) {
                self.world.counts.secrets_given += 1;
                let names: Vec<String> = lost.into_iter().collect();
                let at = self.world.now;
                let given = run.secrets_given(&names, &person("ann@host"));
                let facts = given.into_iter().map(|what| Event { run: id.clone(), at, what }).collect();
                self.world.secrets.extend(names.into_iter().map(|name| (id.clone(), name)));
                self.daemon.turn(&mut self.world, facts);
                continue;
            }
            let orders = match (self.setup.people, wild) {
                (People::Wild, true) => wild_order(&mut self.dice, run, self.world.now),
                (People::Wild, false) => clear_up(run),
                (People::Steady | People::Nobody, _) => steady_answers(self.setup.seed, run, self.world.now),
            };
            let at = self.world.now;
            if !orders.is_empty() {
                self.world.counts.orders += 1;
                let facts = orders.into_iter().map(|what| Event { run: id.clone(), at, what }).collect();
                self.daemon.turn(&mut self.world, facts);
            }
        }
        // Who has a moment to take an answer back is still there.
        let held = |run: &Run| run.questions.values().any(|question| question.held.is_some());
        let longest = if wild && self.daemon.engine.runs().any(held) { 6_000 } else { 60_000 };
        self.world.plan(self.dice.between(1_000, longest), Happening::Person);
    }

    fn close(mut self) -> Result<Outcome, Box<Violation>> {
        self.daemon.check_fold(&mut self.world);
        self.prefixes();
        if std::env::var_os("TRACE").is_some() {
            for event in self.daemon.journal.iter().filter(|event| !matches!(event.what, What::Created(_))) {
                eprintln!("{} {} {:?}", event.run, event.at, event.what);
            }
        }
        if let Some(words) = self.world.wrong {
            return Err(Box::new(Violation { words, setup: self.setup, journal: self.daemon.journal }));
        }
        let mut outcome = Outcome {
            results: Vec::new(),
            lanes: BTreeMap::new(),
            counts: self.world.counts,
            attempts: self.world.procs.len() as u64,
            lane_count: 0,
        };
        for run in self.daemon.engine.runs().chain(self.daemon.gone.values()) {
            outcome.results.push(match &run.phase {
                Phase::Ended { result, .. } => Some(*result),
                Phase::Going | Phase::Stopping { .. } => None,
            });
            outcome.lane_count += run.lanes.len();
            for lane in &run.lanes {
                let how = if let LaneState::Done { how, .. } = &lane.state { Some(how.clone()) } else { None };
                outcome.lanes.insert((run.id.clone(), lane.id.clone()), (lane.n, how));
            }
        }
        Ok(outcome)
    }

    /// Every prefix of the journal folds to a state that is consistent and owes the same twice. A sample of histories.
    fn prefixes(&mut self) {
        if !self.dice.per_mille(30) {
            return;
        }
        let mut engine = mind();
        for event in &self.daemon.journal {
            engine.apply(event);
            if !engine.consistent() || engine.owed(event.at) != engine.owed(event.at) {
                self.world.complain(|| format!("a prefix of the journal is not consistent at {event:?}"));
            }
        }
    }
}

/// The same answer to the same question, whenever it is asked.
fn steady_answers(seed: u64, run: &Run, now: Time) -> Vec<What> {
    let mut answers = Vec::new();
    for lane in &run.lanes {
        let Some(escalation) = run.asks(lane) else { continue };
        let nth = run.questions.values().filter(|question| question.escalation.lane == lane.id).count();
        let mut dice = dice_for(seed, (run.id.as_str(), lane.id.step.as_str(), lane.id.lane.0, nth));
        let last = nth > 3;
        answers.extend(answer(&mut dice, run, escalation, last, false, now));
    }
    answers
}

fn answer(dice: &mut Dice, run: &Run, id: EscalationId, last: bool, wild: bool, now: Time) -> Option<What> {
    let question = run.questions.get(&id)?;
    let choices: Vec<Choice> = question
        .escalation
        .choices
        .iter()
        .copied()
        .filter(|choice| match choice {
            // Which steps can be gone back to depends on what else has ended by then.
            Choice::StopRun | Choice::Reject | Choice::SendBack(_) => wild,
            Choice::Accept
            | Choice::KeepWaiting
            | Choice::Alternative { .. }
            | Choice::Retry
            | Choice::Resume
            | Choice::Probe => !last,
            Choice::Done | Choice::Skip | Choice::Fail | Choice::Approve => true,
        })
        .collect();
    let choice = *dice.pick(&choices)?;
    // Every other answer can be taken back for a moment.
    if dice.per_mille(500) {
        let until = now.plus(std::time::Duration::from_secs(5));
        return run.decide_later(id, choice, person("ann@host"), None, until).ok();
    }
    run.decide(id, choice, person("ann@host"), None).ok()
}

fn wild_order(dice: &mut Dice, run: &Run, now: Time) -> Vec<What> {
    let by = person("bob@host");
    let lane = dice.pick(&run.lanes).expect("a run has lanes").id.clone();
    let open: Vec<EscalationId> = run.lanes.iter().filter_map(|lane| run.asks(lane)).collect();
    let what = match dice.below(26) {
        24 | 25 => return with_checkpoints(dice, run, &by),
        18..22 => dice.pick(&open).and_then(|id| run.undo(*id, by).ok()),
        22 | 23 => hands_on(dice, run, by),
        0 => run.stop_run(by).ok(),
        1 => run.pause(true, by).ok(),
        2 | 3 => run.pause(false, by).ok(),
        4 | 5 => {
            let from = dice.per_mille(500).then(|| lane.step.clone());
            run.resume(from, by).ok()
        }
        6 => run.stop_step(&lane, by).ok(),
        7..11 => {
            let order = *dice.pick(&[Order::Retry, Order::Resume, Order::Skip, Order::Done]).expect("four");
            run.order(&lane, order, by, None).ok()
        }
        _ => dice.pick(&open).copied().and_then(|id| answer(dice, run, id, false, true, now)),
    };
    // Every other answer is for the rest of the run, where it can be.
    let lasting = match &what {
        Some(What::Answered { escalation, choice, by, .. } | What::Held { escalation, choice, by, .. })
            if dice.per_mille(500) =>
        {
            run.last(*escalation, *choice, by.clone()).ok()
        }
        Some(_) | None => None,
    };
    if lasting.is_some() {
        return lasting.into_iter().chain(what).collect();
    }
    // Who is not sure that it arrived says it again.
    let mut said: Vec<What> = what.into_iter().collect();
    if dice.per_mille(50)
        && !matches!(said.first(), Some(What::Answered { .. } | What::Held { .. } | What::Undone { .. }))
    {
        said.extend(said.clone());
    }
    said
}

/// Somebody pins a checkpoint, or has a step go on from one that he chose.
fn with_checkpoints(dice: &mut Dice, run: &Run, by: &Principal) -> Vec<What> {
    let lanes: Vec<_> = run.lanes.iter().filter(|lane| !lane.sightings.is_empty()).collect();
    let Some(lane) = dice.pick(&lanes) else { return Vec::new() };
    let path = dice.pick(&lane.sightings).expect("it has some").checkpoint.path.clone();
    let lane = lane.id.clone();
    if dice.per_mille(400) {
        let mark = *dice.pick(&[CheckpointMark::Pinned, CheckpointMark::Unpinned]).expect("two");
        return vec![What::CheckpointMarked { lane, path, mark, by: by.clone() }];
    }
    let mut chosen = run.clone();
    let Ok(choice) = chosen.choose(&lane, &path, by) else { return Vec::new() };
    let again = chosen.order(&lane, Order::Resume, by.clone(), None);
    again.map(|again| vec![choice, again]).unwrap_or_default()
}

/// Somebody attaches to a step that runs, or lets go.
fn hands_on(dice: &mut Dice, run: &Run, by: Principal) -> Option<What> {
    let held: Vec<_> = run.lanes.iter().filter(|lane| lane.attached.is_some()).collect();
    if let Some(lane) = dice.pick(&held) {
        return Some(What::Detached { attempt: run.attempt(lane)?, by, keys: Some(7) });
    }
    let live: Vec<_> = run.live_attempts().map(|(attempt, _)| attempt).collect();
    Some(What::Attached { attempt: dice.pick(&live)?.clone(), by })
}

/// Brings a run to its end.
fn clear_up(run: &Run) -> Vec<What> {
    let by = person("ann@host");
    if run.paused
        && let Ok(what) = run.pause(false, by.clone())
    {
        return vec![what];
    }
    if let Some(attempt) = run.lanes.iter().find(|lane| lane.attached.is_some()).and_then(|lane| run.attempt(lane)) {
        return vec![What::Detached { attempt, by, keys: None }];
    }
    for lane in &run.lanes {
        if let Some(escalation) = run.asks(lane) {
            let gate = run.questions.get(&escalation).is_some_and(|q| q.escalation.kind == EscalationKind::Gate);
            let choice = if gate { Choice::Approve } else { Choice::Done };
            if let Ok(what) = run.decide(escalation, choice, by.clone(), Some("fixed".into())) {
                return vec![what];
            }
        }
    }
    Vec::new()
}
