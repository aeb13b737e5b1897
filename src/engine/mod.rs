//! The mind: what to do next is a function of recorded facts and the time. No clock, no IO, no tokio.
//!
//! The contract:
//! * [`Engine::apply`] folds one recorded event. It is total: an event that does not fit (late, repeated, of an older
//!   attempt, of an unknown run) changes nothing. It decides nothing.
//! * [`Engine::owed`] says what the world is still owed at a moment. It is level-triggered: it may be asked again at any
//!   time, and the same command again means "see to it that this is so", never "once more".
//!   [`Command::Record`]s are decisions and intents: they are journalled and applied first, then `owed` is asked
//!   again, until none is left; only then effects may happen.
//! * [`Engine::next_deadline`] says when to ask again although nothing has happened.
//!
//! Recovery has no path of its own: fold the journal, look up what lives, ask `owed`.

mod apply;
mod booking;
mod cached;
mod checkpoint;
mod escalation;
pub mod expr;
mod fingerprint;
mod judged;
mod keep;
mod lane;
mod lasting;
mod order;
mod owed;
mod patch;
mod people;
pub mod plan;
pub mod policy;
mod recovery;
mod secrets;
mod service;
mod sites;
mod stall;
mod starts;
mod state;
mod timers;
mod told;
mod unanswered;
mod wish;

use std::collections::BTreeMap;

pub use booking::Shortages;
pub use checkpoint::{Quality, Removal, Sighting, damaged_words};
pub use escalation::outside_words;
pub use order::Refused;
pub use recovery::proposal_words;
pub use secrets::lost_secrets_words;
pub use service::Seen;
pub use sites::{Base, Kept, Refresh};
pub use stall::clock_words;
pub use state::{
    Attached, Clocks, Ended, Finish, Held, LaneRun, LaneState, Past, PastEnd, Phase, Question, Run, Stalled,
};
pub use timers::{Timer, Wait};
pub use told::Told;

use crate::model::{Command, Demand, EscalationId, Event, RunId, Time, What};

/// All runs that are going on, folded from the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Engine {
    runs: BTreeMap<RunId, Run>,
    /// The newest escalation's number, over all runs ever.
    newest_escalation: u64,
    /// What there is for steps to have.
    host: Demand,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Engine {
    /// An engine without runs, whose next escalation gets the number after `newest_escalation`.
    pub fn new(newest_escalation: u64) -> Self {
        Self { runs: BTreeMap::new(), newest_escalation, host: Demand::BOUNDLESS }
    }

    /// Folds one recorded fact. Total on (state, event); decides nothing.
    pub fn apply(&mut self, event: &Event) {
        if let What::Created(created) = &event.what {
            self.runs.entry(event.run.clone()).or_insert_with(|| Run::new(event.run.clone(), created, event.at));
            return;
        }
        if let What::Opened { escalation } = &event.what {
            self.newest_escalation = self.newest_escalation.max(escalation.id.0);
        }
        if let Some(run) = self.runs.get_mut(&event.run) {
            run.apply(event);
        }
    }

    /// What the world is still owed. Asks for [`Command::Record`]s come first, and alone.
    pub fn owed(&self, now: Time) -> Vec<Command> {
        let mut commands = Vec::new();
        let mut next = EscalationId(self.newest_escalation + 1);
        let books = self.books(now);
        for run in self.runs.values() {
            run.decisions(now, &books, &mut next, &mut commands);
        }
        if commands.is_empty() {
            for run in self.runs.values() {
                run.effects(&mut commands);
            }
        }
        commands
    }

    /// When to ask again; `None`: only an event can help.
    pub fn next_deadline(&self) -> Option<Time> {
        self.runs.values().filter_map(Run::next_deadline).chain(self.booked_deadline()).min()
    }

    /// A run that is held here.
    pub fn run(&self, id: &RunId) -> Option<&Run> {
        self.runs.get(id)
    }

    /// The runs held here, by id.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.values()
    }

    /// Lets go of a run that has ended: it is folded again when somebody asks.
    pub fn forget(&mut self, id: &RunId) {
        self.runs.remove(id);
    }

    /// Whether the sets that `owed` reads are what a recount from the lanes' states gives. For tests.
    #[doc(hidden)]
    pub fn consistent(&self) -> bool {
        self.runs.values().all(Run::consistent)
    }

    /// The run with an open or answered question of this number.
    pub fn run_of_escalation(&self, id: EscalationId) -> Option<&Run> {
        self.runs.values().find(|run| run.questions.contains_key(&id))
    }
}
