//! What steps have of the host for themselves: never more than there is, over all runs. Who asked first gets it first; what
//! others hold is found in their states, so nothing has to be given back and nothing is forgotten by a crash. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{AttemptId, Demand, DemandKind as Kind, EscalationKind, Gpus, LostWhy, RunId, Time};

use super::state::{LaneRun, LaneState, Phase, Sets};
use super::{Engine, Run};

/// Who may start now of those who want something of the host: the GPUs of each.
#[derive(Debug, Default)]
pub(super) struct Books {
    grants: BTreeMap<(RunId, usize), Vec<u32>>,
    /// Who asks for what others have, and what of it is short.
    short: BTreeMap<(RunId, usize), Vec<Kind>>,
    /// Who asks for more than the host has.
    never: BTreeMap<(RunId, usize), String>,
}

impl Books {
    /// The GPUs of a lane that may start, empty where it wants none; `None`: it waits.
    pub(super) fn grant(&self, run: &Run, place: usize) -> Option<&[u32]> {
        self.grants.get(&(run.id.clone(), place)).map(Vec::as_slice)
    }

    /// Why a lane will never get what it wants.
    pub(super) fn never(&self, run: &Run, place: usize) -> Option<&str> {
        self.never.get(&(run.id.clone(), place)).map(String::as_str)
    }
}

impl Engine {
    /// With this host, instead of one without bounds.
    #[must_use]
    pub fn on(mut self, host: Demand) -> Self {
        self.host = host;
        self
    }

    fn asking_runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.values().filter(|run| run.books)
    }

    /// What is held now, the GPUs by their numbers.
    fn held(&self) -> (Demand, BTreeSet<u32>) {
        let (mut all, mut gpus) = (Demand::default(), BTreeSet::new());
        for run in self.asking_runs() {
            for lane in run.holders() {
                let demand = run.step_of(lane).demand;
                all.milli_cpus = all.milli_cpus.saturating_add(demand.milli_cpus);
                all.memory = all.memory.saturating_add(demand.memory);
                gpus.extend(&lane.gpus);
            }
        }
        (all, gpus)
    }

    /// Who may start at this moment.
    pub(super) fn books(&self, now: Time) -> Books {
        let mut books = Books::default();
        let mut asks: Vec<(Time, Time, &Run, usize)> = Vec::new();
        for run in self.asking_runs() {
            asks.extend(run.wanting(now).map(|(place, since)| (since, run.created, run, place)));
        }
        if asks.is_empty() {
            return books;
        }
        asks.sort_by(|a, b| (a.0, a.1, &a.2.id, a.3).cmp(&(b.0, b.1, &b.2.id, b.3)));
        let (mut taken, mut gpus) = self.held();
        let mut waited_for: BTreeSet<Kind> = BTreeSet::new();
        for (_, _, run, place) in asks {
            let key = (run.id.clone(), place);
            let lane = &run.lanes[place];
            let demand = run.step_of(lane).demand;
            if let Some(kind) = demand.beyond(self.host).next() {
                let why = format!("it wants {}, and this host has {}", demand.words(kind), self.host.words(kind));
                books.never.insert(key, why);
                continue;
            }
            let free = run.gpus_for(lane, self.host.gpus).filter(|gpu| !gpus.contains(gpu));
            let free: Vec<u32> = free.take(usize::try_from(demand.gpus).unwrap_or(usize::MAX)).collect();
            let there = Demand { gpus: u32::try_from(free.len()).unwrap_or(u32::MAX), ..self.host.less(taken) };
            // Nobody overtakes who waits for the same.
            let short: Vec<Kind> = demand
                .kinds()
                .filter(|kind| waited_for.contains(kind) || demand.beyond(there).any(|lacks| lacks == *kind))
                .collect();
            if short.is_empty() {
                taken.milli_cpus = taken.milli_cpus.saturating_add(demand.milli_cpus);
                taken.memory = taken.memory.saturating_add(demand.memory);
                gpus.extend(&free);
                books.grants.insert(key, free);
            } else {
                waited_for.extend(&short);
                books.short.insert(key, short);
            }
        }
        books
    }

    /// What there is for all runs.
    pub fn host(&self) -> Demand {
        self.host
    }

    /// The lanes of all runs that have something of the host for themselves.
    pub fn holders(&self) -> impl Iterator<Item = (&Run, &LaneRun)> {
        self.asking_runs().flat_map(|run| run.holders().map(move |lane| (run, lane)))
    }

    /// What lanes wait for at this moment that others have.
    pub fn shortages(&self, now: Time) -> Shortages<'_> {
        let books = self.books(now);
        // Where nobody waits, nobody asks who has it.
        let holders = if books.short.is_empty() { Vec::new() } else { self.holders().collect() };
        Shortages { books, holders }
    }

    /// When a retry is due that gets what it wants then; what has to wait for others is started by their ends.
    pub(super) fn booked_deadline(&self) -> Option<Time> {
        let mut soonest: Option<Time> = None;
        for run in self.asking_runs().filter(|run| run.starts_anything()) {
            let places = run.places();
            for &place in &run.sets.delayed {
                let due = run.retry_deadline(place, &places).filter(|due| soonest.is_none_or(|soonest| *due < soonest));
                let wants = !run.step_of(&run.lanes[place]).demand.is_none();
                if let Some(due) = due.filter(|due| wants && self.books(*due).grant(run, place).is_some()) {
                    soonest = Some(due);
                }
            }
        }
        soonest
    }
}

/// What lanes wait for that others have, at one moment.
#[derive(Debug)]
pub struct Shortages<'e> {
    books: Books,
    holders: Vec<(&'e Run, &'e LaneRun)>,
}

impl Shortages<'_> {
    /// What a lane waits for, in words: `1 GPU: train of digits #3 has it`.
    pub fn of(&self, run: &Run, lane: &LaneRun) -> Option<String> {
        if !run.books {
            return None;
        }
        let place = *run.places.get(&lane.id)?;
        let short = self.books.short.get(&(run.id.clone(), place))?;
        let demand = run.step_of(lane).demand;
        let wanted: Vec<String> = short.iter().map(|kind| demand.words(*kind)).collect();
        let has = |other: &Demand, kind: &Kind| other.kinds().any(|has| has == *kind);
        let of_it = |(other, lane): &&(&Run, &LaneRun)| {
            let demand = other.step_of(lane).demand;
            short.iter().any(|kind| has(&demand, kind))
        };
        let holders = self.holders.iter().filter(of_it);
        let holders: Vec<String> = holders
            .map(|(other, lane)| {
                let name = other.lane_name(&lane.id);
                if other.id == run.id { name } else { format!("{name} of {} #{}", other.workflow.name, other.number) }
            })
            .collect();
        let who = match holders.as_slice() {
            [] => "somebody who asked before comes first".to_owned(),
            [one] => format!("{one} has it"),
            [one, other] => format!("{one} and {other} have them"),
            [one, rest @ ..] => format!("{one} and {} others have them", rest.len()),
        };
        Some(format!("waits for {}: {who}", wanted.join(", ")))
    }
}

impl Run {
    pub(super) fn starts_anything(&self) -> bool {
        !self.paused && matches!(self.phase, Phase::Going)
    }

    /// The lanes whose newest attempts have what their steps want of the host.
    fn holders(&self) -> impl Iterator<Item = &LaneRun> {
        let Sets { active, undecided, probing, asking, .. } = &self.sets;
        let places: BTreeSet<usize> = [active, undecided, probing, asking].into_iter().flatten().copied().collect();
        places.into_iter().map(|place| &self.lanes[place]).filter(|lane| self.holds(lane))
    }

    /// Its newest attempt has what its step wants of the host: it lives, or may live.
    pub fn holds(&self, lane: &LaneRun) -> bool {
        if self.step_of(lane).demand.is_none() {
            return false;
        }
        // What ended with the host or with its environment lives no more, whatever else is not known of it.
        let may_live = !matches!(lane.lost_why, Some(LostWhy::HostRestarted | LostWhy::EnvironmentGone));
        match &lane.state {
            LaneState::Active { .. } | LaneState::Exited { .. } | LaneState::Verifying { .. } => true,
            LaneState::Lost { .. } | LaneState::Probing { .. } | LaneState::Probed { .. } => may_live,
            LaneState::ToAsk { why } => may_live && matches!(why, super::state::ToAsk::Unknown { .. }),
            LaneState::Asking { escalation } => {
                let kind = self.questions.get(escalation).map(|question| question.escalation.kind);
                may_live && kind == Some(EscalationKind::Unknown)
            }
            LaneState::Waiting | LaneState::Delayed { .. } | LaneState::Done { .. } => false,
        }
    }

    /// The lanes that could start now if they got what they want of the host, and since when they could.
    fn wanting(&self, now: Time) -> impl Iterator<Item = (usize, Time)> {
        let going = self.starts_anything();
        let places = self.places();
        let due = self.due(now).filter(move |place| self.has_place(&self.lanes[*place], &places));
        due.chain(self.startable()).filter(move |_| going).filter_map(|place| {
            let lane = &self.lanes[place];
            let free = !self.step_of(lane).demand.is_none() && !self.waits_for_another(place);
            free.then(|| (place, self.ready_since(lane)))
        })
    }

    fn ready_since(&self, lane: &LaneRun) -> Time {
        if let LaneState::Delayed { until, .. } = &lane.state {
            return *until;
        }
        let needs = self.step_of(lane).needs.iter().filter_map(|need| self.workflow.steps.get_index_of(need));
        let lanes = needs.flat_map(|step| &self.lanes[self.steps[step].lanes.clone()]);
        let met = lanes.filter_map(|lane| match &lane.state {
            LaneState::Done { at, .. } => Some(*at),
            LaneState::Active { .. } => lane.seen.as_ref().map(|seen| seen.at).or(lane.started),
            LaneState::Waiting
            | LaneState::Exited { .. }
            | LaneState::Lost { .. }
            | LaneState::Probing { .. }
            | LaneState::Verifying { .. }
            | LaneState::Probed { .. }
            | LaneState::Delayed { .. }
            | LaneState::ToAsk { .. }
            | LaneState::Asking { .. } => None,
        });
        // A person's answer may have begun it anew long after.
        met.chain(lane.past.last().map(|past| past.ended)).max().unwrap_or(self.since).max(self.since)
    }

    /// The GPUs of the host that a lane may have: those of its container, where it runs in one.
    fn gpus_for(&self, lane: &LaneRun, host: u32) -> Box<dyn Iterator<Item = u32> + '_> {
        match self.gpus_of_container(lane) {
            None => Box::new(0..host),
            Some(own) => Box::new(own.into_iter().filter(move |gpu| *gpu < host)),
        }
    }

    /// The numbers that the GPUs of a lane's container have on the host, in the order in which the container counts them;
    /// `None`: it sees them as the host does.
    fn gpus_of_container(&self, lane: &LaneRun) -> Option<Vec<u32>> {
        match &self.workflow.environment_of(&lane.id.step).container.as_ref()?.gpus {
            Gpus::None | Gpus::All => None,
            Gpus::Count(n) => Some((0..*n).collect()),
            Gpus::Ids(ids) => Some(ids.iter().filter_map(|id| id.parse().ok()).collect()),
        }
    }

    /// What `CUDA_VISIBLE_DEVICES` says for an attempt; `None` where its step wants no GPU.
    pub(super) fn visible(&self, attempt: &AttemptId) -> Option<String> {
        let lane = self.lane(&attempt.lane).filter(|lane| lane.n == attempt.n)?;
        if self.step_of(lane).demand.gpus == 0 {
            return None;
        }
        let own = self.gpus_of_container(lane);
        let inside = |gpu: &u32| match &own {
            None => usize::try_from(*gpu).ok(),
            Some(own) => own.iter().position(|known| known == gpu),
        };
        let numbers: Vec<String> = lane.gpus.iter().filter_map(inside).map(|number| number.to_string()).collect();
        Some(numbers.join(","))
    }
}
