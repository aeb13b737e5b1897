//! A simulated world in virtual time: processes, claims, exit records and the messages to and from the engine. It knows
//! what really happened, so it can tell when dogwatch is wrong.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use dogwatch::model::{
    AttemptId, Checkpoint, Class, Damaged, Diagnosis, End, Evidence, Exit, Hit, LostWhy, Role, Sign, Stall, StopReason,
    Time,
};

use super::dice::{Dice, dice_for};
use super::make::seconds;
pub(crate) use super::trouble::{Counts, Mutant, Trouble};

/// What is on disk and alive of one attempt.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proc {
    pub(crate) live: bool,
    pub(crate) starts: u32,
    pub(crate) exit: Option<Exit>,
    pub(crate) claim_boot: Option<u32>,
    pub(crate) session: bool,
    locked_from: Option<Time>,
    stop: Option<StopReason>,
    started: Time,
    saved: Option<Checkpoint>,
    /// All of them, oldest first.
    saves: Vec<Checkpoint>,
    /// Killed together with its shim: it can never be known how it ended.
    pub(crate) killed: bool,
}

/// What a look-up means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Meaning {
    Launch,
    Adopt,
    Exit(Box<Exit>),
    Lost(LostWhy),
}

/// What a look-up saw.
#[derive(Debug, Clone)]
pub(crate) struct Sight {
    claim_boot: Option<u32>,
    exit: Option<Exit>,
    lock_held: bool,
    session: bool,
    boot: u32,
}

impl Sight {
    /// The table of the architecture, in a copy of its own.
    pub(crate) fn meaning(&self, seen_claimed: bool, intent_boot: u32) -> Meaning {
        match (self.claim_boot, &self.exit) {
            (None, _) if seen_claimed => Meaning::Lost(LostWhy::ClaimGone),
            (None, _) if intent_boot != self.boot => Meaning::Lost(LostWhy::HostRestarted),
            (None, _) => Meaning::Launch,
            (Some(_), Some(exit)) => Meaning::Exit(Box::new(exit.clone())),
            (Some(boot), None) if boot != self.boot => Meaning::Lost(LostWhy::HostRestarted),
            (Some(_), None) if self.lock_held => Meaning::Adopt,
            (Some(_), None) => Meaning::Lost(LostWhy::ShimDied),
        }
    }

    /// What a design without claims and exit records would make of it.
    fn meaning_by_session(&self, seen_claimed: bool) -> Meaning {
        match (self.session, &self.exit) {
            (true, Some(exit)) => Meaning::Exit(Box::new(exit.clone())),
            (true, None) => Meaning::Adopt,
            (false, _) if seen_claimed => Meaning::Lost(LostWhy::ShimDied),
            (false, _) => Meaning::Launch,
        }
    }
}

/// A message to the engine.
#[derive(Debug, Clone)]
pub(crate) enum Report {
    Claimed(AttemptId),
    Saved(AttemptId, Checkpoint),
    Stalled(AttemptId, Box<Stall>),
    Revived(AttemptId),
    Seen(AttemptId, bool),
    Exited(AttemptId, Box<Exit>),
    Looked(AttemptId, Meaning, Box<Sight>, u32),
    Probed(AttemptId, Option<i32>),
    Verified(AttemptId, Option<i32>),
    CheckpointsVerified(AttemptId, Option<Checkpoint>, Vec<Damaged>),
    CheckpointChecked(AttemptId, Checkpoint, Option<String>),
    CheckpointRemoved(AttemptId, String, Option<String>),
    /// Whether an earlier result stands for the lane.
    CacheLooked(dogwatch::model::RunId, dogwatch::model::LaneId, bool),
    /// With the life of the daemon that asked: nobody else hears it.
    Environment(dogwatch::model::RunId, bool, u64),
}

impl Report {
    fn attempt(&self) -> Option<&AttemptId> {
        match self {
            Self::Claimed(attempt)
            | Self::Saved(attempt, _)
            | Self::Stalled(attempt, _)
            | Self::Revived(attempt)
            | Self::Seen(attempt, _)
            | Self::Exited(attempt, _)
            | Self::Looked(attempt, ..)
            | Self::Probed(attempt, _)
            | Self::Verified(attempt, _)
            | Self::CheckpointChecked(attempt, ..)
            | Self::CheckpointRemoved(attempt, ..)
            | Self::CheckpointsVerified(attempt, ..) => Some(attempt),
            Self::Environment(..) | Self::CacheLooked(..) => None,
        }
    }
}

/// What will happen at some time.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    Launch(AttemptId),
    Look {
        attempt: AttemptId,
        seen_claimed: bool,
        intent_boot: u32,
    },
    Stop {
        attempt: AttemptId,
        reason: StopReason,
        grace_ms: u64,
    },
    Probe(AttemptId),
    Peek(AttemptId),
    Verify(AttemptId),
    /// With the paths of those that are being removed.
    VerifyCheckpoints(AttemptId, Vec<String>),
    CheckCheckpoint(AttemptId, Checkpoint),
    RemoveCheckpoint(AttemptId, String),
    Ends(AttemptId, End),
    Saves(AttemptId, i64),
    /// Nothing comes of it any more.
    Stalls(AttemptId),
    /// It goes on.
    Moves(AttemptId),
    KillShim(AttemptId),
    KillTmux,
    Reboot,
    Deliver {
        report: Report,
        sent: u64,
    },
    /// The daemon looks at its hands.
    Tick,
    Person,
}

struct Due {
    at: Time,
    seq: u64,
    what: Happening,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.seq) == (other.at, other.seq)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}

/// The world.
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) boot: u32,
    pub(crate) procs: BTreeMap<AttemptId, Proc>,
    /// Checkpoints that were removed.
    removed: BTreeSet<String>,
    /// Steps that are services: what they run ends when it is ended.
    pub(crate) services: BTreeSet<(dogwatch::model::RunId, dogwatch::model::StepId)>,
    /// Values of secrets that are there.
    pub(crate) secrets: BTreeSet<(dogwatch::model::RunId, String)>,
    /// Attempts that live, in no order.
    pub(crate) live: Vec<AttemptId>,
    pub(crate) trouble: Trouble,
    pub(crate) mutant: Option<Mutant>,
    /// Runs whose environment is there.
    pub(crate) ready: BTreeSet<dogwatch::model::RunId>,
    pub(crate) counts: Counts,
    /// The first thing that must not happen and did.
    pub(crate) wrong: Option<String>,
    pub(crate) seed: u64,
    dice: Dice,
    seq: u64,
    /// Of each attempt, when the newest message that has arrived was sent.
    newest_delivered: BTreeMap<AttemptId, u64>,
    queue: BinaryHeap<Reverse<Due>>,
}

impl World {
    pub(crate) fn new(seed: u64, trouble: Trouble, mutant: Option<Mutant>) -> Self {
        Self {
            now: Time::from_ms(1_000_000),
            boot: 1,
            procs: BTreeMap::new(),
            removed: BTreeSet::new(),
            services: BTreeSet::new(),
            secrets: BTreeSet::new(),
            live: Vec::new(),
            trouble,
            mutant,
            ready: BTreeSet::new(),
            counts: Counts::default(),
            wrong: None,
            seed,
            dice: dice_for(seed, "world"),
            seq: 0,
            newest_delivered: BTreeMap::new(),
            queue: BinaryHeap::new(),
        }
    }

    pub(crate) fn complain(&mut self, words: impl FnOnce() -> String) {
        if self.wrong.is_none() {
            self.wrong = Some(words());
        }
    }

    pub(crate) fn plan(&mut self, after_ms: u64, what: Happening) {
        self.seq += 1;
        let at = self.now.plus(std::time::Duration::from_millis(after_ms));
        self.queue.push(Reverse(Due { at, seq: self.seq, what }));
    }

    pub(crate) fn next_at(&self) -> Option<Time> {
        self.queue.peek().map(|due| due.0.at)
    }

    /// The next thing, if it is due by `until`.
    pub(crate) fn next(&mut self, until: Time) -> Option<Happening> {
        if self.next_at()? > until {
            return None;
        }
        let Reverse(due) = self.queue.pop()?;
        self.now = self.now.max(due.at);
        if let Happening::Deliver { report, sent } = &due.what
            && let Some(attempt) = report.attempt()
        {
            let newest = self.newest_delivered.entry(attempt.clone()).or_default();
            if *sent < *newest {
                self.counts.reordered += 1;
            }
            *newest = (*newest).max(*sent);
        }
        Some(due.what)
    }

    /// Sends a message to the engine, as well as the world lets it.
    pub(crate) fn send(&mut self, report: Report) {
        let travel = self.dice.between(1, 30);
        if self.dice.per_mille(self.trouble.lost) {
            self.counts.lost += 1;
            return;
        }
        self.seq += 1;
        let sent = self.seq;
        let late = self.dice.per_mille(self.trouble.late);
        let behind = self.dice.per_mille(self.trouble.reordered);
        let after = if late {
            self.counts.late += 1;
            self.dice.between(1_000, 40_000)
        } else if behind {
            // Behind what is sent next.
            travel + self.dice.between(50, 900)
        } else {
            travel
        };
        if self.dice.per_mille(self.trouble.repeated) {
            self.counts.repeated += 1;
            let again = after + self.dice.between(1, 20_000);
            self.plan(again, Happening::Deliver { report: report.clone(), sent });
        }
        self.plan(after, Happening::Deliver { report, sent });
    }

    /// A launch has reached the keeper. The claim decides whether anything starts.
    pub(crate) fn launch(&mut self, attempt: &AttemptId) {
        let claimed = self.procs.get(attempt).is_some_and(|proc| proc.claim_boot.is_some());
        if claimed && self.mutant != Some(Mutant::NoClaim) {
            return;
        }
        if let Some(other) = self.live.iter().find(|other| other.run == attempt.run && other.lane == attempt.lane) {
            let words = format!("{attempt} starts while {other} of the same lane lives");
            self.complain(|| words);
        }
        let (now, boot) = (self.now, self.boot);
        let lock_late = self.mutant == Some(Mutant::LockAfterClaim);
        let proc = self.procs.entry(attempt.clone()).or_default();
        proc.starts += 1;
        proc.claim_boot = Some(boot);
        proc.session = true;
        proc.live = true;
        proc.started = now;
        proc.locked_from = Some(if lock_late { now.plus(seconds(2)) } else { now });
        if proc.starts > 1 {
            let words = format!("{attempt} was started {} times", proc.starts);
            self.complain(|| words);
        }
        self.counts.starts += 1;
        if !self.live.contains(attempt) {
            self.live.push(attempt.clone());
        }
        self.send(Report::Claimed(attempt.clone()));
        self.script(attempt);
    }

    pub(crate) fn serves(&self, attempt: &AttemptId) -> bool {
        self.services.contains(&(attempt.run.clone(), attempt.lane.step.clone()))
    }

    /// One look whether it is ready.
    pub(crate) fn peek(&mut self, attempt: &AttemptId) {
        let good = self.dice.per_mille(500);
        if self.procs.get(attempt).is_some_and(|proc| proc.live) {
            self.send(Report::Seen(attempt.clone(), good));
        }
    }

    /// What this attempt does: follows from the seed and its key alone.
    fn script(&mut self, attempt: &AttemptId) {
        let mut dice = dice_for(self.seed, (attempt.lane.step.as_str(), attempt.lane.lane.0, attempt.n));
        let long = dice.between(10, 60_000);
        let saves = dice.below(4);
        for save in 0..saves {
            let step = i64::try_from(save).expect("small");
            self.plan(long * save / 4, Happening::Saves(attempt.clone(), step));
        }
        if dice.per_mille(self.trouble.failures) {
            match dice.below(6) {
                0 => self.plan(long, Happening::Ends(attempt.clone(), End::Signal(9))),
                // As good as for ever: every time limit is shorter.
                1 => self.plan(5_000_000, Happening::Ends(attempt.clone(), End::Code(3))),
                code => {
                    let code = i32::try_from(code - 1).expect("small");
                    self.plan(long, Happening::Ends(attempt.clone(), End::Code(code)));
                }
            }
        } else if !self.serves(attempt) {
            self.plan(long, Happening::Ends(attempt.clone(), End::Code(0)));
        }
        if self.trouble.stalls > 0 && dice.per_mille(self.trouble.stalls) {
            let when = dice.between(1, long);
            self.plan(when, Happening::Stalls(attempt.clone()));
            if dice.per_mille(500) {
                let later = when + dice.between(1, 20_000);
                self.plan(later, Happening::Moves(attempt.clone()));
            }
        }
        let when = self.dice.between(0, 60_000);
        if self.dice.per_mille(self.trouble.shim_kills) {
            self.plan(when, Happening::KillShim(attempt.clone()));
        }
        if self.dice.per_mille(self.trouble.tmux_kills) {
            self.plan(when, Happening::KillTmux);
        }
        if self.dice.per_mille(self.trouble.reboots) {
            self.plan(when, Happening::Reboot);
        }
    }

    pub(crate) fn ends(&mut self, attempt: &AttemptId, end: End) {
        let mut dice = dice_for(self.seed, (attempt.lane.step.as_str(), attempt.lane.lane.0, attempt.n, "end"));
        let (now, failures) = (self.now, self.trouble.failures);
        let Some(proc) = self.procs.get_mut(attempt).filter(|proc| proc.live) else {
            return;
        };
        proc.live = false;
        let missing = end == End::Code(0) && dice.per_mille(failures / 8);
        let boom = end != End::Code(0) && dice.per_mille(500);
        let exit = Exit {
            stop: proc.stop,
            missing: if missing { vec!["model".into()] } else { Vec::new() },
            hits: if boom {
                vec![Hit { rule: 0, line_number: 7, line: "boom".into(), ..Hit::default() }]
            } else {
                Vec::new()
            },
            tail: vec!["the last line".into()],
            checkpoint: proc.saved.clone(),
            diagnosis: (end != End::Code(0)).then(|| Box::new(diagnosis(&mut dice))),
            ..Exit::new(end, proc.started, now)
        };
        proc.exit = Some(exit.clone());
        self.live.retain(|other| other != attempt);
        self.send(Report::Exited(attempt.clone(), Box::new(exit)));
    }

    pub(crate) fn saves(&mut self, attempt: &AttemptId, step: i64) {
        let Some(proc) = self.procs.get_mut(attempt).filter(|proc| proc.live) else {
            return;
        };
        let saved = Checkpoint { path: format!("/w/{}-{step}", attempt.key()), step: Some(step), metrics: Vec::new() };
        proc.saved = Some(saved.clone());
        proc.saves.push(saved.clone());
        self.send(Report::Saved(attempt.clone(), saved));
    }

    /// Whoever follows it says that it stands still; what was going to happen to it still does.
    pub(crate) fn stalls(&mut self, attempt: &AttemptId) {
        if self.procs.get(attempt).is_some_and(|proc| proc.live) {
            self.counts.stalls += 1;
            let stall = Stall {
                sign: Sign::Output,
                since: self.now,
                limit: seconds(1),
                longest: None,
                cpu_permille: Some(0),
                hits: Vec::new(),
                tail: vec!["the last line".into()],
            };
            self.send(Report::Stalled(attempt.clone(), Box::new(stall)));
        }
    }

    pub(crate) fn moves(&mut self, attempt: &AttemptId) {
        if self.procs.get(attempt).is_some_and(|proc| proc.live) {
            self.counts.revived += 1;
            self.send(Report::Revived(attempt.clone()));
        }
    }

    pub(crate) fn stop(&mut self, attempt: &AttemptId, reason: StopReason, grace_ms: u64) {
        let after = self.dice.between(1, grace_ms.max(1));
        let Some(proc) = self.procs.get_mut(attempt).filter(|proc| proc.live) else {
            return;
        };
        if proc.stop.is_none() {
            proc.stop = Some(reason);
            self.plan(after, Happening::Ends(attempt.clone(), End::Signal(15)));
        }
    }

    pub(crate) fn probe(&mut self, attempt: &AttemptId) {
        let mut dice = dice_for(self.seed, (attempt.key(), "probe"));
        let code = *dice.pick(&[Some(0), Some(10), Some(1), None]).expect("four");
        self.send(Report::Probed(attempt.clone(), code));
    }

    pub(crate) fn verify(&mut self, attempt: &AttemptId) {
        let mut dice = dice_for(self.seed, (attempt.key(), "verify"));
        let wrong = dice.per_mille(self.trouble.failures);
        let code = if wrong { *dice.pick(&[Some(1), Some(2), None]).expect("three") } else { Some(0) };
        self.counts.verified += 1;
        self.counts.verify_failed += u64::from(wrong);
        self.send(Report::Verified(attempt.clone(), code));
    }

    /// Some are damaged, as it follows from the seed and the path.
    pub(crate) fn verify_checkpoints(&mut self, attempt: &AttemptId, leaving: &[String]) {
        let own = (1..=attempt.n).rev().map(|n| AttemptId { n, ..attempt.clone() });
        let procs = own.filter_map(|attempt| self.procs.get(&attempt));
        let saved = procs.flat_map(|proc| proc.saves.iter().rev().cloned());
        let candidates: Vec<Checkpoint> =
            saved.filter(|one| !self.removed.contains(&one.path) && !leaving.contains(&one.path)).collect();
        let mut damaged = Vec::new();
        let mut good = None;
        for checkpoint in candidates {
            if !dice_for(self.seed, (checkpoint.path.as_str(), "verify")).per_mille(self.trouble.failures) {
                good = Some(checkpoint);
                break;
            }
            self.counts.damaged += 1;
            damaged.push(Damaged { checkpoint, why: "verify failed: code 1".into() });
        }
        self.send(Report::CheckpointsVerified(attempt.clone(), good, damaged));
    }

    /// A checkpoint is looked at for `keep`; as bad as when all are.
    pub(crate) fn check_checkpoint(&mut self, attempt: &AttemptId, checkpoint: Checkpoint) {
        let bad = dice_for(self.seed, (checkpoint.path.as_str(), "verify")).per_mille(self.trouble.failures);
        let flaw = bad.then(|| "verify failed: code 1".to_owned());
        self.send(Report::CheckpointChecked(attempt.clone(), checkpoint, flaw));
    }

    /// What is gone is gone, however often it is asked for; some cannot be removed.
    pub(crate) fn remove_checkpoint(&mut self, attempt: &AttemptId, path: String) {
        let stays = dice_for(self.seed, (path.as_str(), "remove")).per_mille(self.trouble.failures / 2);
        if !stays {
            self.removed.insert(path.clone());
        }
        self.send(Report::CheckpointRemoved(attempt.clone(), path, stays.then(|| "it is a link".to_owned())));
    }

    pub(crate) fn look(&mut self, attempt: &AttemptId, seen_claimed: bool, intent_boot: u32) {
        let proc = self.procs.get(attempt).cloned().unwrap_or_default();
        let sight = Sight {
            claim_boot: proc.claim_boot,
            exit: proc.exit,
            lock_held: proc.live && proc.locked_from.is_some_and(|from| from <= self.now),
            session: proc.session,
            boot: self.boot,
        };
        let meaning = match self.mutant {
            Some(Mutant::AdoptBySessionName) => sight.meaning_by_session(seen_claimed),
            _ => sight.meaning(seen_claimed, intent_boot),
        };
        self.send(Report::Looked(attempt.clone(), meaning, Box::new(sight), intent_boot));
    }

    pub(crate) fn kill_shim(&mut self, attempt: &AttemptId) {
        let Some(proc) = self.procs.get_mut(attempt).filter(|proc| proc.live) else {
            return;
        };
        (proc.live, proc.killed) = (false, true);
        self.counts.shim_kills += 1;
        self.live.retain(|other| other != attempt);
    }

    pub(crate) fn kill_tmux(&mut self) {
        self.counts.tmux_kills += 1;
        for proc in self.procs.values_mut() {
            proc.session = false;
        }
    }

    /// Everything that lives or is on its way is gone; what is on disk stays.
    pub(crate) fn reboot(&mut self) {
        self.counts.reboots += 1;
        self.boot += 1;
        self.secrets.clear();
        for attempt in std::mem::take(&mut self.live) {
            if let Some(proc) = self.procs.get_mut(&attempt) {
                (proc.live, proc.killed) = (false, true);
            }
        }
        for proc in self.procs.values_mut() {
            proc.session = false;
        }
        let kept = std::mem::take(&mut self.queue).into_iter();
        self.queue = kept.filter(|due| matches!(due.0.what, Happening::Person)).collect();
    }

    /// Whether it can really not be known how this attempt ended.
    pub(crate) fn really_lost(&self, attempt: &AttemptId) -> bool {
        match self.procs.get(attempt) {
            Some(proc) => !proc.live && proc.exit.is_none() && proc.killed,
            // Never started: unknown only to a new boot.
            None => self.boot > 1,
        }
    }
}

/// What a judge might say of a failure: any class, by one of a few lines.
fn diagnosis(dice: &mut Dice) -> Diagnosis {
    let classes = &Class::ALL[1..];
    let (word, class) = *dice.pick(classes).expect("some");
    let line = Evidence { rule: format!("is-{word}"), line: format!("{word} {}", dice.below(3)), number: 3 };
    Diagnosis {
        class,
        advice: class.default_advice(),
        confidence: if dice.per_mille(900) { 0.9 } else { 0.2 },
        rule: Some(line.rule.clone()),
        role: Some(Role::Root),
        evidence: Some(line),
        cascades: Vec::new(),
        retry_after_s: dice.per_mille(200).then(|| dice.below(100)),
        explanation: "It is so.".into(),
    }
}
