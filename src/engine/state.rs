//! The state of one run: what [`super::Engine::apply`] keeps and the screen shows. Owns the sets that `owed` reads, so
//! that no question ever walks all steps.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{
    AttemptId, Created, EnvironmentId, EscalationId, Isolation, LaneId, Principal, RunId, RunResult, RunStopWhy,
    Selection, SkipWhy, Step, StepId, Time, Workflow,
};

pub use super::lane::{Attached, Clocks, Ended, Finish, Held, LaneRun, LaneState, Past, PastEnd, Question, Stalled};
pub(super) use super::lane::{Next, ToAsk};
use super::sites::Kept;

/// One run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub id: RunId,
    pub number: u64,
    pub workflow: Arc<Workflow>,
    pub dir: String,
    pub selection: Selection,
    /// No result of an earlier run stands for a step of this one.
    pub no_cache: bool,
    /// What steps inherit of the caller's environment.
    pub env: Arc<BTreeMap<String, String>>,
    pub by: Principal,
    pub created: Time,
    /// Where the run's own time limit counts from: its start, or its last resumption.
    pub since: Time,
    pub phase: Phase,
    /// Why it was stopped before its end, and by whom; until it goes on.
    pub stopped: Option<(RunStopWhy, Principal)>,
    pub paused: bool,
    /// How each environment turned out that has been there.
    pub isolations: BTreeMap<EnvironmentId, Isolation>,
    /// Environments as they were kept, oldest first.
    pub kept: Vec<Kept>,
    /// Environments that could not be had: while a lane asks what is to be done about one, nothing starts in it.
    pub(super) lacking: BTreeSet<EnvironmentId>,
    /// Secrets whose values are not there any more: likewise.
    pub(super) lost_secrets: BTreeSet<String>,
    pub lanes: Vec<LaneRun>,
    pub questions: BTreeMap<EscalationId, Question>,
    /// Failures by their fingerprints, and the question whose answer holds for each of them.
    pub(super) lasting: BTreeMap<String, EscalationId>,
    pub(super) places: HashMap<LaneId, usize>,
    pub(super) steps: Vec<StepRun>,
    pub(super) sets: Sets,
    /// A step of it wants something of the host for itself.
    pub(super) books: bool,
    /// How many of its steps are services.
    pub(super) services: usize,
}

/// Where a run is.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    Going,
    /// Nothing new starts; what runs is being ended.
    Stopping {
        why: RunStopWhy,
        by: Principal,
    },
    Ended {
        result: RunResult,
        at: Time,
    },
}

/// Places of lanes by what is owed for them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sets {
    /// Waiting, and all that the step needs has ended.
    pub(super) ready: BTreeSet<usize>,
    /// Those of them that take no place: they start however busy the run is.
    pub(super) placeless: BTreeSet<usize>,
    /// Intended, running or stopping.
    pub(super) active: BTreeSet<usize>,
    /// Ended or lost, and nothing decided yet; or decided, and the question not open yet.
    pub(super) undecided: BTreeSet<usize>,
    pub(super) delayed: BTreeSet<usize>,
    /// A probe or a `verify` is being asked.
    pub(super) probing: BTreeSet<usize>,
    pub(super) asking: BTreeSet<usize>,
    /// Their checkpoints are to be looked at or removed.
    pub(super) tending: BTreeSet<usize>,
    /// Lanes that are not done.
    pub(super) open: usize,
}

/// A step's bookkeeping.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StepRun {
    pub(super) id: StepId,
    /// Places of its lanes.
    pub(super) lanes: std::ops::Range<usize>,
    /// Steps that need it.
    pub(super) dependents: Vec<usize>,
    /// How many of its needs hold it up: they have lanes that are neither done nor services that are ready.
    pub(super) needs_open: usize,
    /// How many of its lanes are not done.
    pub(super) lanes_open: usize,
    /// How many of its lanes hold up what needs it.
    pub(super) lanes_unmet: usize,
    /// How many of its lanes are active.
    pub(super) lanes_active: usize,
    /// When the last of its lanes failed for good.
    pub(super) failed: Option<Time>,
}

impl Run {
    pub(super) fn new(id: RunId, created: &Created, at: Time) -> Self {
        let workflow = Arc::clone(&created.workflow);
        let mut lanes = Vec::new();
        let mut steps: Vec<StepRun> = Vec::with_capacity(workflow.steps.len());
        for (place, step) in workflow.steps.values().enumerate() {
            let first = lanes.len();
            for spec in &step.lanes {
                lanes.push(LaneRun::new(LaneId { step: step.id.clone(), lane: spec.lane }, place));
            }
            steps.push(StepRun {
                id: step.id.clone(),
                lanes: first..lanes.len(),
                dependents: Vec::new(),
                needs_open: 0,
                lanes_open: 0,
                lanes_unmet: 0,
                lanes_active: 0,
                failed: None,
            });
        }
        for (place, step) in workflow.steps.values().enumerate() {
            for need in &step.needs {
                if let Some(needed) = workflow.steps.get_index_of(need) {
                    steps[needed].dependents.push(place);
                }
            }
        }
        let places = lanes.iter().enumerate().map(|(place, lane)| (lane.id.clone(), place)).collect();
        let mut run = Self {
            id,
            number: created.number,
            workflow,
            dir: created.dir.clone(),
            selection: created.selection.clone(),
            no_cache: created.no_cache,
            env: Arc::new(created.env.clone()),
            by: created.by.clone(),
            created: at,
            since: at,
            phase: Phase::Going,
            stopped: None,
            paused: false,
            isolations: BTreeMap::new(),
            kept: Vec::new(),
            lacking: BTreeSet::new(),
            lost_secrets: BTreeSet::new(),
            lanes,
            questions: BTreeMap::new(),
            lasting: BTreeMap::new(),
            places,
            steps,
            sets: Sets::default(),
            books: false,
            services: 0,
        };
        run.books = run.workflow.steps.values().any(|step| !step.demand.is_none());
        run.services = run.workflow.steps.values().filter(|step| step.service.is_some()).count();
        run.select(at);
        run.recount();
        run
    }

    /// Lanes of steps that this run is not about are done at once.
    fn select(&mut self, at: Time) {
        let selected: BTreeSet<usize> = match &self.selection {
            Selection::All => return,
            Selection::Only(only) => only.iter().filter_map(|id| self.workflow.steps.get_index_of(id)).collect(),
            Selection::From(from) => self.downstream(from),
        };
        for lane in &mut self.lanes {
            if !selected.contains(&lane.step) {
                lane.state = LaneState::Done { how: Ended::Skipped(SkipWhy::NotSelected), at };
            }
        }
    }

    /// The step and all that comes after it, by place.
    pub(super) fn downstream(&self, from: &StepId) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut next: Vec<usize> = self.workflow.steps.get_index_of(from).into_iter().collect();
        while let Some(place) = next.pop() {
            if found.insert(place) {
                next.extend(&self.steps[place].dependents);
            }
        }
        found
    }

    /// Makes every set and count anew from the lanes' states: after the rare events that change many lanes.
    pub(super) fn recount(&mut self) {
        self.sets = Sets::default();
        for step in &mut self.steps {
            step.needs_open = 0;
            step.lanes_open = 0;
            step.lanes_unmet = 0;
            step.lanes_active = 0;
            step.failed = None;
        }
        for place in 0..self.lanes.len() {
            let lane = &self.lanes[place];
            let step = lane.step;
            if !self.is_met(lane) {
                self.steps[step].lanes_unmet += 1;
            }
            if !matches!(lane.state, LaneState::Done { .. }) {
                self.steps[step].lanes_open += 1;
                self.sets.open += 1;
            }
            if matches!(lane.state, LaneState::Active { .. }) {
                self.steps[step].lanes_active += 1;
            }
            self.note_failed(place);
        }
        for place in 0..self.steps.len() {
            if self.steps[place].lanes_unmet > 0 {
                for dependent in self.steps[place].dependents.clone() {
                    self.steps[dependent].needs_open += 1;
                }
            }
        }
        for place in 0..self.lanes.len() {
            self.enter(place);
        }
    }

    pub(super) fn consistent(&self) -> bool {
        let mut recounted = self.clone();
        recounted.recount();
        recounted.sets == self.sets && recounted.steps == self.steps
    }

    fn enter(&mut self, place: usize) {
        let ready = self.steps[self.lanes[place].step].needs_open == 0;
        if let Some(set) = self.sets.of(&self.lanes[place].state, ready) {
            set.insert(place);
        }
        if ready && matches!(self.lanes[place].state, LaneState::Waiting) && !self.takes_place(&self.lanes[place]) {
            self.sets.placeless.insert(place);
        }
        self.tend(place);
    }

    fn note_failed(&mut self, place: usize) {
        let lane = &self.lanes[place];
        if let LaneState::Done { how: Ended::Failed, at } = lane.state {
            let failed = &mut self.steps[lane.step].failed;
            *failed = (*failed).max(Some(at));
        }
    }

    /// Keeps the set of those whose checkpoints are to be tended.
    pub(super) fn tend(&mut self, place: usize) {
        if self.is_to_be_tended(&self.lanes[place]) {
            self.sets.tending.insert(place);
        } else {
            self.sets.tending.remove(&place);
        }
    }

    /// The one way a lane changes its state: keeps the sets and counts right.
    pub(super) fn put(&mut self, place: usize, state: LaneState) {
        let step = self.lanes[place].step;
        let ready = self.steps[step].needs_open == 0;
        if let Some(set) = self.sets.of(&self.lanes[place].state, ready) {
            set.remove(&place);
        }
        self.sets.placeless.remove(&place);
        let was = std::mem::replace(&mut self.lanes[place].state, state);
        let now = &self.lanes[place].state;
        let (was_active, is_active) =
            (matches!(was, LaneState::Active { .. }), matches!(now, LaneState::Active { .. }));
        let (was_done, is_done) = (matches!(was, LaneState::Done { .. }), matches!(now, LaneState::Done { .. }));
        match (was_active, is_active) {
            (false, true) => self.steps[step].lanes_active += 1,
            (true, false) => self.steps[step].lanes_active -= 1,
            (true, true) | (false, false) => {}
        }
        // Whether a service holds up others depends on more than whether it is done.
        if self.step_of(&self.lanes[place]).service.is_some() {
            self.recount();
            if is_done {
                self.revive();
            }
            return;
        }
        match (was_done, is_done) {
            (false, true) => {
                self.note_failed(place);
                self.lane_closed(step);
            }
            (true, false) => {
                self.recount();
                return self.revive();
            }
            (true, true) => self.recount(),
            (false, false) => {}
        }
        self.enter(place);
    }

    fn lane_closed(&mut self, step: usize) {
        self.sets.open -= 1;
        self.steps[step].lanes_open -= 1;
        self.steps[step].lanes_unmet -= 1;
        if self.steps[step].lanes_unmet > 0 {
            return;
        }
        for dependent in self.steps[step].dependents.clone() {
            self.steps[dependent].needs_open -= 1;
            if self.steps[dependent].needs_open == 0 {
                for place in self.steps[dependent].lanes.clone() {
                    self.enter(place);
                }
            }
        }
    }

    /// The place of the lane whose newest attempt this is; `None` for older ones and other runs.
    pub(super) fn current(&self, attempt: &AttemptId) -> Option<usize> {
        let place = *self.places.get(&attempt.lane)?;
        (attempt.run == self.id && self.lanes[place].n == attempt.n && attempt.n > 0).then_some(place)
    }

    /// The lane of this id.
    pub fn lane(&self, id: &LaneId) -> Option<&LaneRun> {
        self.places.get(id).map(|place| &self.lanes[*place])
    }

    /// The workflow's step of a lane.
    ///
    /// # Panics
    /// Never: lanes are made from the workflow's steps.
    pub fn step_of(&self, lane: &LaneRun) -> &Step {
        self.workflow.steps.get_index(lane.step).expect("every lane is made from a step of the workflow").1
    }

    /// The newest attempt of a lane, if there was one.
    pub fn attempt(&self, lane: &LaneRun) -> Option<AttemptId> {
        (lane.n > 0).then(|| AttemptId { run: self.id.clone(), lane: lane.id.clone(), n: lane.n })
    }

    /// `train` or `train[lr=0.1]`.
    pub fn lane_name(&self, id: &LaneId) -> String {
        let spec = self.workflow.steps.get(&id.step).and_then(|step| step.spec(id.lane));
        match spec.map(crate::model::LaneSpec::label) {
            Some(label) if !label.is_empty() => format!("{}[{label}]", id.step),
            _ => id.step.to_string(),
        }
    }

    /// How all lanes of a step ended together; `None` while one has not.
    pub fn step_end(&self, id: &StepId) -> Option<StepEnd> {
        let step = &self.steps[self.workflow.steps.get_index_of(id)?];
        if step.lanes_open > 0 {
            return None;
        }
        let (mut allowed, mut ran, mut left_out) = (false, false, false);
        for lane in &self.lanes[step.lanes.clone()] {
            let LaneState::Done { how, .. } = &lane.state else {
                return None;
            };
            match how {
                Ended::Failed | Ended::Stopped => return Some(StepEnd::Failed),
                Ended::Skipped(SkipWhy::Need(_) | SkipWhy::RunEnded) => {
                    return Some(self.worst_of(step.lanes.clone()));
                }
                Ended::Allowed => (allowed, ran) = (true, true),
                // One lane that its `if` leaves out does not leave out the others.
                Ended::Skipped(SkipWhy::Condition | SkipWhy::Unneeded) => left_out = true,
                Ended::Skipped(SkipWhy::NotSelected) | Ended::LeftOut(_) | Ended::Succeeded(_) => {
                    ran = true;
                }
            }
        }
        let end = match (allowed, ran, left_out) {
            (true, _, _) => StepEnd::Allowed,
            (false, false, true) => StepEnd::Skipped,
            (false, _, _) => StepEnd::Succeeded,
        };
        Some(end)
    }

    /// A step some of whose lanes were left out for want of a need: failed, if another lane failed, else skipped.
    fn worst_of(&self, mut lanes: std::ops::Range<usize>) -> StepEnd {
        let failed = lanes.any(|place| {
            matches!(&self.lanes[place].state, LaneState::Done { how: Ended::Failed | Ended::Stopped, .. })
        });
        if failed { StepEnd::Failed } else { StepEnd::Skipped }
    }

    /// Whether a person is needed and nothing else will happen by itself.
    pub fn only_waits(&self) -> bool {
        let answered = |place: &usize| self.open_question(*place).is_some_and(|question| question.held.is_some());
        if self.sets.asking.iter().any(answered) {
            return false;
        }
        let stands = |place: &usize| self.open_question(*place).is_some_and(Question::is_open);
        let busy = self.sets.active.iter().any(|place| !stands(place) && !self.is_ready(&self.lanes[*place]));
        let quiet = !busy && self.sets.undecided.is_empty() && self.sets.probing.is_empty();
        let mut due = self.sets.delayed.iter().chain(&self.sets.ready);
        // A retry may wait for a service that a person is asked about.
        let held_up = |place: &usize| self.steps[self.lanes[*place].step].needs_open > 0;
        let nothing_starts = due.all(|place| held_up(place) || self.waits_for_another(*place));
        let asks = !self.sets.asking.is_empty() || self.sets.active.iter().any(stands);
        asks && quiet && nothing_starts
    }

    /// How many attempts are intended or live.
    pub fn active(&self) -> usize {
        self.sets.active.len()
    }
}

/// How a step ended, all its lanes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepEnd {
    Succeeded,
    /// Failed, and the workflow allows it.
    Allowed,
    Failed,
    Skipped,
}

impl Sets {
    /// The set that a lane in this state belongs to.
    fn of(&mut self, state: &LaneState, ready: bool) -> Option<&mut BTreeSet<usize>> {
        match state {
            LaneState::Waiting => ready.then_some(&mut self.ready),
            LaneState::Active { .. } => Some(&mut self.active),
            LaneState::Exited { .. } | LaneState::Lost { .. } | LaneState::Probed { .. } | LaneState::ToAsk { .. } => {
                Some(&mut self.undecided)
            }
            LaneState::Probing { .. } | LaneState::Verifying { .. } => Some(&mut self.probing),
            LaneState::Delayed { .. } => Some(&mut self.delayed),
            LaneState::Asking { .. } => Some(&mut self.asking),
            LaneState::Done { .. } => None,
        }
    }
}
