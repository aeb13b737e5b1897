//! The environments of a run as the loop knows them: whose hands they are, which of them are closed at the end, and what a
//! step waits for whose environment is not there yet. Decides nothing about steps.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::adopt::Look;
use super::core::{Core, Parts};
use super::hands::{Hands, Task};
use crate::engine::{LaneRun, LaneState, Phase, Run};
use crate::environment;
use crate::model::{AttemptId, EnvironmentId, RunId, Site, Time, span_words};

/// The hands of all environments.
pub(super) type AllHands = HashMap<(RunId, Site), Hands>;

fn hands_of<'a>(all: &'a mut AllHands, run: &Run, site: &Site, parts: &Parts, epoch: u64) -> &'a Hands {
    let key = (run.id.clone(), site.clone());
    all.entry(key).or_insert_with(|| Hands::new(run, site, parts, epoch))
}

/// What is waited for, and the only attempt that waits, where it is one: the one after which an environment is being kept, or
/// which does not obey.
type Words = (String, Option<AttemptId>);

/// What the hands of an environment wait for, in words, and since when.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    known: BTreeMap<(RunId, Site), (Time, Words)>,
}

impl Waiting {
    /// Notes what it waits for, or that it waits no more; whether that is news.
    pub(super) fn note(&mut self, run: &RunId, site: &Site, words: Option<Words>, now: Time) -> bool {
        let key = (run.clone(), site.clone());
        match (words, self.known.get_mut(&key)) {
            (None, None) => false,
            (None, Some(_)) => self.known.remove(&key).is_some(),
            (Some(words), Some((_, known))) => {
                let news = *known != words;
                *known = words;
                news
            }
            (Some(words), None) => {
                self.known.insert(key, (now, words));
                true
            }
        }
    }

    pub(super) fn forget(&mut self, run: &RunId) {
        self.known.retain(|(of, _), _| of != run);
    }

    /// What this lane waits for; `silent`: its environment does not answer.
    pub(super) fn words(&self, run: &Run, lane: &LaneRun, now: Time, silent: bool) -> Option<String> {
        let LaneState::Active { claimed, .. } = lane.state else { return None };
        let attempt = run.attempt(lane)?;
        let (since, (words, kept)) = self.known.get(&(run.id.clone(), run.site(&attempt)))?;
        // What has begun waits for nothing, unless its environment is being kept after it, or does not
        // obey.
        if !silent && kept.as_ref().map_or(claimed.is_some(), |kept| *kept != attempt) {
            return None;
        }
        let waited = now.since(*since);
        if waited.as_secs() == 0 { Some(words.clone()) } else { Some(format!("{words} (for {})", span_words(waited))) }
    }
}

impl Core {
    /// The environments of a run that have been there, or are to be.
    fn sites(&self, run: &Run) -> BTreeSet<Site> {
        let found = std::fs::read_dir(Path::new(&run.dir).join("env")).into_iter().flatten().flatten();
        let found = found.filter_map(|entry| Site::parse(entry.file_name().to_str()?));
        let known = self.hands.keys().filter(|(of, _)| *of == run.id).map(|(_, site)| site.clone());
        found.chain(known).collect()
    }

    /// Has every environment of a run that is over closed.
    pub(super) fn close_all(&mut self, id: &RunId) {
        let Some(run) = self.engine.run(id) else { return };
        self.parts.vault.forget(id);
        let mut sites = self.sites(run);
        if sites.is_empty() {
            // Nothing was ever made: said by the hands of one that never was.
            sites.insert(Site { environment: EnvironmentId::default(), own: None });
        }
        for site in &sites {
            let keep = run.stays(site);
            hands_of(&mut self.hands, run, site, &self.parts, self.journal.epoch()).give(Task::Close { keep });
        }
        self.closing.insert(id.clone(), sites);
    }

    /// An environment has ended; true when it was the last one of a run that is over. Its hands had done so many tasks then:
    /// who has more to do, for the run was resumed or somebody opens a shell, stays its only hands.
    pub(super) fn closed(&mut self, run: &RunId, site: &Site, done: u64) -> bool {
        let key = (run.clone(), site.clone());
        if let Some(hands) = self.hands.get(&key).filter(|hands| hands.has_more(done)) {
            if !hands.closes_after(done) {
                // What comes first may have made it anew.
                self.close_again(run, site);
            }
            return false;
        }
        self.hands.remove(&key);
        self.waiting.note(run, site, None, self.parts.clock.now());
        self.leaving.remove(&(run.clone(), site.clone()));
        let Some(open) = self.closing.get_mut(run) else { return false };
        open.remove(site);
        let last = open.is_empty();
        if last {
            self.closing.remove(run);
        }
        last
    }

    /// Environments that one attempt had alone go with it.
    pub(super) fn close_left(&mut self) {
        let own = self.hands.keys().filter(|(_, site)| site.own.is_some());
        let is_left = |run: &RunId, site: &Site| self.engine.run(run).is_some_and(|run| run.is_left(site));
        let left: Vec<(RunId, Site)> = own.filter(|(run, site)| is_left(run, site)).cloned().collect();
        for (run, site) in left {
            self.close_one(&run, &site);
        }
    }

    /// At the engine's start: those of an earlier engine, which had no time to close them.
    pub(super) fn close_left_over(&mut self, id: &RunId) {
        let Some(run) = self.engine.run(id) else { return };
        let there = |site: &Site| environment::is_there(&Path::new(&run.dir).join("env").join(site.to_string()));
        let left: Vec<Site> = self.sites(run).into_iter().filter(|site| run.is_left(site) && there(site)).collect();
        for site in left {
            self.close_one(id, &site);
        }
    }

    fn close_one(&mut self, id: &RunId, site: &Site) {
        let Some(run) = self.engine.run(id) else { return };
        // Once: whoever is closing it says when it is closed.
        if self.leaving.insert((id.clone(), site.clone())) {
            let keep = run.stays(site);
            hands_of(&mut self.hands, run, site, &self.parts, self.journal.epoch()).give(Task::Close { keep });
        }
    }

    /// Tries once more to close an environment that is over, unless it is wanted again.
    pub(super) fn close_again(&mut self, id: &RunId, site: &Site) {
        let Some(run) = self.engine.run(id) else { return };
        let over = matches!(run.phase, Phase::Ended { .. }) || run.is_left(site);
        if over {
            let keep = run.stays(site);
            hands_of(&mut self.hands, run, site, &self.parts, self.journal.epoch()).give(Task::Close { keep });
        } else {
            self.leaving.remove(&(id.clone(), site.clone()));
            if let Some(open) = self.closing.get_mut(id) {
                open.remove(site);
            }
        }
    }

    /// The hands of an attempt's environment, made when they are first needed.
    pub(super) fn hands(&mut self, attempt: &AttemptId) -> Option<&Hands> {
        let run = self.engine.run(&attempt.run)?;
        let site = run.site(attempt);
        Some(hands_of(&mut self.hands, run, &site, &self.parts, self.journal.epoch()))
    }

    /// Asks what is there of the live attempts of a run, or of those in one of its environments.
    pub(super) fn look_at(&mut self, id: &RunId, only: Option<&Site>) {
        let Some(run) = self.engine.run(id) else { return };
        let live = run.live_attempts().map(|(attempt, _)| run.site(&attempt)).collect::<BTreeSet<Site>>();
        self.unadopted.retain(|(of, site)| of != id || live.contains(site));
        for site in live.iter().filter(|site| only.is_none_or(|only| only == *site)) {
            let look = Look::at(run, site, &self.journal, &self.parts);
            hands_of(&mut self.hands, run, site, &self.parts, self.journal.epoch()).give(Task::Look(look));
        }
    }
}
