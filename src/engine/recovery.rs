//! What follows from how an attempt ended: rules of the step, then its `retry`, then the default of its class, then a
//! person. Pure.

use std::time::Duration;

use crate::model::{
    Action, AskWhy, Autonomy, Checkpoint, End, Exit, LostWhy, OnUnknown, Outside, Proposal, Retry, Spend, Step,
    StopReason, Time, Verdict,
};

use super::Run;
use super::policy::ALL_PRINTS;
use super::state::LaneRun;
use super::wish::{Wish, wish};

/// A lost attempt of a step that is declared safe to repeat is repeated this often before a person is asked.
const LOST_AT_MOST: u32 = 5;

/// What may be repeated at all is repeated after a disruption, which is no try, this often.
const DISRUPTED_AT_MOST: u32 = 5;

/// What has been taken of one budget in the present series of attempts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spent {
    /// Attempts that were made of it.
    total: u32,
    /// Those after the same failure as the last one.
    same: u32,
    /// The fingerprint of that failure.
    print: String,
    /// The newest checkpoint then.
    checkpoint: Option<Checkpoint>,
}

/// Progress: a checkpoint beyond the one that was there when something was taken of the budget. Where both tell their
/// step, that counts, whatever they are called.
fn is_newer(checkpoint: Option<&Checkpoint>, taken: &Spent) -> bool {
    is_beyond(checkpoint, taken.checkpoint.as_ref())
}

/// The checkpoint is another one than `then`, and a later one where both tell their step.
pub(super) fn is_beyond(checkpoint: Option<&Checkpoint>, then: Option<&Checkpoint>) -> bool {
    match (checkpoint, then) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(now), Some(then)) => match (now.step, then.step) {
            (Some(now), Some(then)) => now > then,
            (_, _) => now.path != then.path,
        },
    }
}

impl LaneRun {
    /// The number of the attempt that has ended, in a budget that a newer checkpoint begins anew.
    pub(super) fn tries_of(&self, budget: &str) -> u32 {
        let taken = self.spent.get(budget).filter(|taken| !is_newer(self.checkpoint.as_ref(), taken));
        taken.map_or(1, |taken| taken.total + 1)
    }

    /// Takes an attempt of a budget.
    pub(super) fn spend(&mut self, spend: &Spend) {
        let checkpoint = self.checkpoint.clone();
        let taken = self.spent.entry(spend.budget.clone()).or_default();
        let progress = is_newer(checkpoint.as_ref(), taken) && taken.total > 0;
        if spend.by_progress && progress {
            *taken = Spent::default();
        }
        taken.same = if taken.print == spend.print { taken.same + 1 } else { 1 };
        taken.total += 1;
        taken.print.clone_from(&spend.print);
        taken.checkpoint = checkpoint;
    }
}

impl Run {
    /// Decides about an attempt with an exit record. Before a person is asked, an answer that was to last is looked for.
    pub(super) fn judge(&self, lane: &LaneRun, key: &str, exit: &Exit, now: Time) -> Verdict {
        let verdict = self.judge_anew(lane, key, exit, now);
        let answered =
            if let Verdict::Ask { why } = &verdict { self.as_answered(lane, (key, exit, now), why) } else { None };
        answered.unwrap_or(verdict)
    }

    fn judge_anew(&self, lane: &LaneRun, key: &str, exit: &Exit, now: Time) -> Verdict {
        let step = self.step_of(lane);
        let stalled = lane.stop_asked.is_some_and(StopReason::is_trouble);
        // However it ends then.
        if lane.stop_asked == Some(StopReason::Unneeded) {
            return Verdict::Succeeded;
        }
        // What serves others does not end before them.
        let serves = step.service.is_some() && self.is_needed(lane);
        if exit.stop == Some(StopReason::Stop) && !stalled {
            return Verdict::Stopped;
        }
        if exit.stop.is_none() && exit.end == End::Code(0) && exit.missing.is_empty() && !exit.is_bad() && !serves {
            return Verdict::Succeeded;
        }
        if stalled {
            return self.judge_stall(lane, key, exit, now);
        }
        // It ended by itself just before the stop reached it: still nobody wants it repeated.
        if lane.stop_asked == Some(StopReason::Stop) {
            return Verdict::Stopped;
        }
        let disrupted = exit.outside == Some(Outside::EngineRestarted);
        match wish(step, lane, exit) {
            Ok(wish) if disrupted && wish.action.is_again() && wish.retry.max_attempts > 1 => {
                if lane.n.saturating_sub(lane.tries) < DISRUPTED_AT_MOST {
                    let rule = "the container engine was started anew".into();
                    let resume = resume_path(step, exit);
                    return Verdict::Retry { at: now, rule, resume, spend: None, patch: None };
                }
                self.granted(&wish, lane, key, exit, now)
            }
            Ok(wish) => self.granted(&wish, lane, key, exit, now),
            Err(_) if step.allow_failure => Verdict::Allowed,
            Err(because) => ask(None, lane.tries, step.retry.max_attempts, because, None),
        }
    }

    /// What becomes of a wish: budgets, progress, a person's hands, and how much dogwatch may do by itself.
    pub(super) fn granted(&self, wish: &Wish<'_>, lane: &LaneRun, key: &str, exit: &Exit, now: Time) -> Verdict {
        let step = self.step_of(lane);
        let act = step.autonomy == Autonomy::Act;
        let rule = wish.rule.map(|rule| rule.name.clone());
        let standing = self.standing(wish, lane, exit);
        let (tries, of) = (standing.tries, wish.retry.max_attempts);
        let refuse = |because: String| ask(rule.clone(), tries, of, because, None);
        let again = |resume, patch| Proposal { rule: wish.name.clone(), skip: false, resume, patch };
        let resume = match wish.action {
            Action::Escalate => return ask(rule, lane.tries, of, String::new(), None),
            Action::Abort if act => return Verdict::Abort { rule: wish.name.clone() },
            Action::Skip if act => return Verdict::Skip { rule: wish.name.clone() },
            Action::Abort => return refuse(format!("{}, \"{}\" would end the run", may_not(step.autonomy), wish.name)),
            Action::Skip => {
                let skip = Proposal { skip: true, ..again(None, None) };
                return left_to_a_person(step.autonomy, rule, (tries, of), skip, None);
            }
            Action::Alternative => None,
            Action::Retry | Action::RetryModified | Action::Resume => resume_path(step, exit),
        };
        if standing.used_up && step.allow_failure && wish.rule.is_none() {
            return Verdict::Allowed;
        }
        if let Some(because) = standing.against(wish, exit) {
            return refuse(because);
        }
        let patch = match wish.rule.map(|rule| self.changed(lane, rule)).transpose() {
            Ok(patch) => patch.flatten(),
            Err(why) => return refuse(why),
        };
        let other = patch.as_ref().and_then(|patch| step.alternatives.get(patch.alternative.as_ref()?));
        let approval =
            other.is_some_and(|other| other.requires_approval).then_some("the alternative requires approval");
        if approval.is_some() || !act {
            return left_to_a_person(step.autonomy, rule, (tries, of), again(resume, patch), approval);
        }
        let asked = exit.diagnosis.as_ref().and_then(|said| said.retry_after_s).map(Duration::from_secs);
        let asked = asked.map_or(now, |asked| exit.ended.plus(asked));
        let at = now.plus(delay(&wish.retry, tries, key)).max(asked);
        let budget = wish.budget.clone();
        let spend = Some(Spend { budget, print: standing.print, of, by_progress: wish.by_progress });
        Verdict::Retry { at, rule: wish.name.clone(), resume, spend, patch }
    }

    /// Where a lane stands with what it wants.
    fn standing(&self, wish: &Wish<'_>, lane: &LaneRun, exit: &Exit) -> Standing {
        let none = Spent::default();
        let taken = lane.spent.get(&wish.budget).unwrap_or(&none);
        let progress = is_newer(lane.checkpoint.as_ref(), taken);
        let print = self.print_of(lane, wish.rule.map(|rule| rule.name.as_str()), exit);
        let anew = wish.by_progress && progress;
        let same = !anew && taken.print == print;
        let of = wish.retry.max_attempts;
        let tries = match (anew, wish.by_print, same) {
            (true, ..) | (false, true, false) => 1,
            (false, true, true) => taken.same + 1,
            (false, false, _) => taken.total + 1,
        };
        let all = wish.by_print && !anew && taken.total + 1 >= of.saturating_mul(ALL_PRINTS);
        Standing { tries, used_up: tries >= of || all, came_back: taken.total > 0 && same && !progress, print }
    }
}

/// Where a lane stands with the budget of what it wants.
struct Standing {
    /// This attempt, counted in that budget.
    tries: u32,
    used_up: bool,
    /// The same failure as the last time, and no newer checkpoint.
    came_back: bool,
    /// The fingerprint of the failure.
    print: String,
}

impl Standing {
    /// Why there is no other attempt.
    fn against(&self, wish: &Wish<'_>, exit: &Exit) -> Option<String> {
        if self.used_up {
            let of = wish.retry.max_attempts;
            return Some(if of > 1 { format!("{of} attempts are what {} allows", wish.name) } else { String::new() });
        }
        if wish.once && self.came_back {
            return Some("the same failure came back, and there was no progress since".into());
        }
        let (pid, name) = exit.leaked.first()?;
        Some(format!("{name} ({pid}) of this attempt still lives: two at once would be worse"))
    }
}

/// What would be done, as a question.
fn left_to_a_person(
    autonomy: Autonomy,
    rule: Option<String>,
    (tries, of): (u32, u32),
    proposal: Proposal,
    because: Option<&str>,
) -> Verdict {
    let because = because.unwrap_or_else(|| may_not(autonomy)).to_owned();
    match autonomy {
        Autonomy::Observe => {
            let would = proposal_words(&proposal);
            ask(rule, tries, of, format!("{because}; it would have been: {would}"), None)
        }
        Autonomy::Ask | Autonomy::Act => ask(rule, tries, of, because, Some(Box::new(proposal))),
    }
}

fn may_not(autonomy: Autonomy) -> &'static str {
    match autonomy {
        Autonomy::Observe => "autonomy = \"observe\"",
        Autonomy::Ask => "autonomy = \"ask\"",
        Autonomy::Act => "it needs a person",
    }
}

/// What a proposal does, in words.
pub fn proposal_words(proposal: &Proposal) -> String {
    if proposal.skip {
        return format!("go on without it, by {}", proposal.rule);
    }
    let with = proposal.patch.as_ref().map(|patch| format!(" with {}", patch.words())).unwrap_or_default();
    let from = proposal.resume.as_ref().map(|path| format!(" from {path}")).unwrap_or_default();
    format!("another attempt{with}{from}, by {}", proposal.rule)
}

pub(super) fn ask(
    rule: Option<String>,
    attempts: u32,
    of: u32,
    because: String,
    proposal: Option<Box<Proposal>>,
) -> Verdict {
    Verdict::Ask { why: AskWhy::Failed { rule, attempts, of, because, proposal } }
}

/// Decides about an attempt whose end cannot be known; `None`: its probe is to be asked first.
pub(super) fn judge_lost(step: &Step, lane: &LaneRun, why: LostWhy, now: Time) -> Option<Verdict> {
    match &step.on_unknown {
        OnUnknown::Rerun if matches!(lane.stop_asked, Some(StopReason::Stop | StopReason::Unneeded)) => {
            Some(Verdict::Stopped)
        }
        OnUnknown::Rerun if lane.lost <= LOST_AT_MOST => Some(rerun(lane, "on_unknown = \"rerun\"", now)),
        OnUnknown::Ask | OnUnknown::Rerun => Some(Verdict::Ask { why: AskWhy::Unknown(why) }),
        OnUnknown::Probe { .. } => None,
    }
}

/// Decides about a lost attempt by what its probe said.
pub(super) fn judge_probed(lane: &LaneRun, why: LostWhy, code: Option<i32>, now: Time) -> Verdict {
    match code {
        Some(0) => Verdict::Succeeded,
        Some(10) if lane.stop_asked == Some(StopReason::Stop) => Verdict::Stopped,
        Some(10) if lane.lost <= LOST_AT_MOST => rerun(lane, "the probe said that it had not happened", now),
        Some(_) | None => Verdict::Ask { why: AskWhy::Unknown(why) },
    }
}

fn rerun(lane: &LaneRun, rule: &str, now: Time) -> Verdict {
    let resume = lane.checkpoint.as_ref().map(|checkpoint| checkpoint.path.clone());
    Verdict::Retry { at: now, rule: rule.into(), resume, spend: None, patch: None }
}

/// A retry goes on from the newest good checkpoint, where the step has them.
pub(super) fn resume_path(step: &Step, exit: &Exit) -> Option<String> {
    step.checkpoint.as_ref()?;
    exit.checkpoint.as_ref().map(|checkpoint| checkpoint.path.clone())
}

/// How long to wait after `tries` attempts: exponential, capped, and up to a quarter longer with jitter, so that lanes
/// that failed together do not come back together. Never shorter than written. The jitter follows from the key: the same
/// journal gives the same times.
pub(super) fn delay(retry: &Retry, tries: u32, key: &str) -> Duration {
    // Zero times an infinite factor is no number.
    if retry.delay.is_zero() {
        return Duration::ZERO;
    }
    let exponent = i32::try_from(tries.saturating_sub(1)).unwrap_or(i32::MAX);
    let seconds = (retry.delay.as_secs_f64() * retry.backoff.powi(exponent)).min(retry.max_delay.as_secs_f64());
    let stretch = if retry.jitter { 1.0 + 0.25 * unit(key) } else { 1.0 };
    Duration::try_from_secs_f64(seconds * stretch).unwrap_or(retry.max_delay)
}

/// A number in 0..1 that follows from the text.
fn unit(key: &str) -> f64 {
    let hash = blake3::hash(key.as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    f64::from(u32::from_le_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
}
