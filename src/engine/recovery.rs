//! What follows from how an attempt ended: rules of the step, then its `retry`, then the default of its class, then a
//! person. Pure.

use std::borrow::Cow;
use std::time::Duration;

use crate::model::{
    Action, AskWhy, Autonomy, Class, End, Exit, FailureRule, LostWhy, OnUnknown, Outside, Patch, Proposal, Retry, Spend,
    Step, StopReason, Time, Verdict,
};

use super::Run;
use super::policy::{self, ALL_PRINTS};
use super::state::LaneRun;

/// A lost attempt of a step that is declared safe to repeat is repeated this often before a person is asked.
const LOST_AT_MOST: u32 = 5;

/// What may be repeated at all is repeated after a disruption, which is no try, this often.
const DISRUPTED_AT_MOST: u32 = 5;

/// What is to be done, before it is asked whether it may be.
struct Wish<'w> {
    /// What is said to decide: `oom`, `retry`, `network by default`.
    name: String,
    action: Action,
    retry: Cow<'w, Retry>,
    /// Whose budget it takes from.
    budget: String,
    rule: Option<&'w FailureRule>,
    by_progress: bool,
    once: bool,
    /// The budget counts attempts of the same failure; those of all failures are bounded, too.
    by_print: bool,
}

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
    checkpoint: Option<String>,
}

impl LaneRun {
    /// Takes an attempt of a budget.
    pub(super) fn spend(&mut self, spend: &Spend) {
        let checkpoint = self.checkpoint.as_ref().map(|checkpoint| checkpoint.path.clone());
        let spent = self.spent.entry(spend.budget.clone()).or_default();
        let progress = checkpoint.is_some() && checkpoint != spent.checkpoint && spent.total > 0;
        if spend.by_progress && progress {
            *spent = Spent::default();
        }
        spent.same = if spent.print == spend.print { spent.same + 1 } else { 1 };
        spent.total += 1;
        spent.print.clone_from(&spend.print);
        spent.checkpoint = checkpoint;
    }
}

impl Run {
    /// Decides about an attempt with an exit record.
    pub(super) fn judge(&self, lane: &LaneRun, key: &str, exit: &Exit, now: Time) -> Verdict {
        let step = self.step_of(lane);
        if exit.stop == Some(StopReason::Stop) {
            return Verdict::Stopped;
        }
        if exit.stop.is_none() && exit.end == End::Code(0) && exit.missing.is_empty() {
            return Verdict::Succeeded;
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
    fn granted(&self, wish: &Wish<'_>, lane: &LaneRun, key: &str, exit: &Exit, now: Time) -> Verdict {
        let step = self.step_of(lane);
        let rule = wish.rule.map(|rule| rule.name.clone());
        let none = Spent::default();
        let spent = lane.spent.get(&wish.budget).unwrap_or(&none);
        let checkpoint = exit.checkpoint.as_ref().map(|checkpoint| &checkpoint.path);
        let progress = checkpoint.is_some() && checkpoint != spent.checkpoint.as_ref();
        let print = self.print_of(lane, rule.as_deref(), exit);
        let fresh = wish.by_progress && progress;
        let same = !fresh && spent.print == print;
        let of = wish.retry.max_attempts;
        let tries = match (fresh, wish.by_print, same) {
            (true, ..) | (false, true, false) => 1,
            (false, true, true) => spent.same + 1,
            (false, false, _) => spent.total + 1,
        };
        let why_not = |because: String| ask(rule.clone(), tries, of, because, None);
        match wish.action {
            Action::Escalate => return ask(rule, lane.tries, of, String::new(), None),
            Action::Abort if step.autonomy == Autonomy::Act => return Verdict::Abort { rule: wish.name.clone() },
            Action::Skip if step.autonomy == Autonomy::Act => return Verdict::Skip { rule: wish.name.clone() },
            Action::Abort => return why_not(format!("{}, \"{}\" would end the run", may_not(step.autonomy), wish.name)),
            Action::Skip => {
                let proposal = Proposal { rule: wish.name.clone(), skip: true, resume: None, patch: None };
                return self.left_to_a_person(step.autonomy, rule, (tries, of), proposal, String::new());
            }
            Action::Retry | Action::RetryModified | Action::Resume | Action::Alternative => {}
        }
        let used_up = tries >= of || wish.by_print && !fresh && spent.total + 1 >= of.saturating_mul(ALL_PRINTS);
        if used_up {
            if step.allow_failure && wish.rule.is_none() {
                return Verdict::Allowed;
            }
            let because = if of > 1 { format!("{of} attempts are what {} allows", wish.name) } else { String::new() };
            return why_not(because);
        }
        let again = spent.total > 0 && same && !progress;
        if wish.once && again {
            return why_not("the same failure came back, and there was no progress since".into());
        }
        if let Some((pid, name)) = exit.leaked.first() {
            return why_not(format!("{name} ({pid}) of this attempt still lives: two at once would be worse"));
        }
        let patch = match wish.rule.map(|rule| self.changed(lane, rule)) {
            Some(Err(why)) => return why_not(why),
            Some(Ok(patch)) => patch,
            None => None,
        };
        let resume = match wish.action {
            Action::Alternative => None,
            Action::Retry | Action::RetryModified | Action::Resume => resume_path(step, exit),
            Action::Skip | Action::Escalate | Action::Abort => None,
        };
        let approved = |patch: &Patch| {
            let other = patch.alternative.as_ref().and_then(|name| step.alternatives.get(name));
            other.is_none_or(|other| !other.requires_approval)
        };
        let needs_approval = !patch.as_ref().is_none_or(approved);
        if needs_approval || step.autonomy != Autonomy::Act {
            let words = if needs_approval { "the alternative requires approval".to_owned() } else { String::new() };
            let proposal = Proposal { rule: wish.name.clone(), skip: false, resume, patch };
            return self.left_to_a_person(step.autonomy, rule, (tries, of), proposal, words);
        }
        let asked = exit.diagnosis.as_ref().and_then(|said| said.retry_after_s).map(Duration::from_secs);
        let asked = asked.map_or(now, |asked| exit.ended.plus(asked));
        let at = now.plus(delay(&wish.retry, tries, key)).max(asked);
        let spend = Spend { budget: wish.budget.clone(), print, of, by_progress: wish.by_progress };
        Verdict::Retry { at, rule: wish.name.clone(), resume, spend: Some(spend), patch }
    }

    fn left_to_a_person(
        &self,
        autonomy: Autonomy,
        rule: Option<String>,
        (tries, of): (u32, u32),
        proposal: Proposal,
        because: String,
    ) -> Verdict {
        let because = if because.is_empty() { may_not(autonomy).to_owned() } else { because };
        match autonomy {
            Autonomy::Observe => {
                let would = proposal_words(&proposal);
                ask(rule, tries, of, format!("{because}; it would have been: {would}"), None)
            }
            Autonomy::Ask | Autonomy::Act => ask(rule, tries, of, because, Some(Box::new(proposal))),
        }
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

fn ask(rule: Option<String>, attempts: u32, of: u32, because: String, proposal: Option<Box<Proposal>>) -> Verdict {
    Verdict::Ask { why: AskWhy::Failed { rule, attempts, of, because, proposal } }
}

/// What the workflow's rules, the step's `retry` or the default of the class want done; or why none of them speaks.
fn wish<'w>(step: &'w Step, lane: &LaneRun, exit: &Exit) -> Result<Wish<'w>, String> {
    let class = exit.diagnosis.as_deref().map_or(Class::Unknown, |said| said.class);
    let rule = step.on_failure.iter().enumerate().find(|(place, rule)| matches(*place, rule, exit, class));
    if let Some((_, rule)) = rule {
        return Ok(Wish {
            name: rule.name.clone(),
            action: rule.action,
            retry: Cow::Borrowed(rule.retry.as_ref().unwrap_or(&step.retry)),
            budget: format!("rule {}", rule.name),
            rule: Some(rule),
            by_progress: false,
            once: false,
            by_print: false,
        });
    }
    if step.retry_said {
        // To try a wrong password again and again locks the account.
        if class == Class::Auth && step.retry.max_attempts > 1 {
            return Err("to repeat what was refused may lock the account; `retry` does not hold for it".into());
        }
        return Ok(Wish {
            name: "retry".into(),
            action: Action::Retry,
            retry: Cow::Borrowed(&step.retry),
            budget: "retry".into(),
            rule: None,
            by_progress: false,
            once: policy::comes_back(class),
            by_print: false,
        });
    }
    let Some(said) = exit.diagnosis.as_deref() else {
        return Err(String::new());
    };
    let policy = policy::of(said)?;
    if lane.touched {
        return Err("somebody typed into it: what follows is left to a person".into());
    }
    // Hours may be done again, and end at the same limit again.
    if exit.stop == Some(StopReason::Timeout) && resume_path(step, exit).is_none() {
        return Err("it would begin from the start, and reach the same limit".into());
    }
    Ok(Wish {
        name: format!("{} by default", said.class),
        action: policy.action,
        retry: Cow::Owned(policy.retry),
        budget: format!("class {}", said.class),
        rule: None,
        by_progress: policy.by_progress,
        once: policy.once,
        by_print: true,
    })
}

/// Decides about an attempt whose end cannot be known; `None`: its probe is to be asked first.
pub(super) fn judge_lost(step: &Step, lane: &LaneRun, why: LostWhy, now: Time) -> Option<Verdict> {
    match &step.on_unknown {
        OnUnknown::Rerun if lane.stop_asked == Some(StopReason::Stop) => Some(Verdict::Stopped),
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
fn resume_path(step: &Step, exit: &Exit) -> Option<String> {
    step.checkpoint.as_ref()?;
    exit.checkpoint.as_ref().map(|checkpoint| checkpoint.path.clone())
}

/// All that is written in a rule's `match` holds.
fn matches(place: usize, rule: &FailureRule, exit: &Exit, class: Class) -> bool {
    let wanted = &rule.matcher;
    let code = match exit.end {
        End::Code(code) => wanted.exit_code.contains(&code),
        // As the shells tell it.
        End::Signal(signal) => wanted.exit_code.contains(&(128 + signal)),
    };
    let signal = match exit.end {
        End::Code(code) => wanted.signal.iter().any(|signal| code == 128 + signal),
        End::Signal(signal) => wanted.signal.contains(&signal),
    };
    (wanted.class.is_empty() || wanted.class.contains(&class))
        && (wanted.output.is_none() || exit.hits.iter().any(|hit| hit.rule == place))
        && (wanted.exit_code.is_empty() || code)
        && (wanted.signal.is_empty() || signal)
}

/// How long to wait after `tries` attempts: exponential, capped, and up to a quarter longer with jitter, so that lanes
/// that failed together do not come back together. Never shorter than written. The jitter follows from the key: the same
/// journal gives the same times.
fn delay(retry: &Retry, tries: u32, key: &str) -> Duration {
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
