//! What is to be done about a failure, before it is asked whether it may be: the first rule of the step that matches, then
//! the step's `retry`, then the default of its class. Pure.

use std::borrow::Cow;

use crate::model::{Action, Class, End, Exit, FailureRule, Retry, Step, StopReason};

use super::policy;
use super::recovery::resume_path;
use super::state::LaneRun;

/// What is to be done, before it is asked whether it may be.
pub(super) struct Wish<'w> {
    /// What is said to decide: `oom`, `retry`, `network by default`.
    pub(super) name: String,
    pub(super) action: Action,
    pub(super) retry: Cow<'w, Retry>,
    /// Whose budget it takes from.
    pub(super) budget: String,
    pub(super) rule: Option<&'w FailureRule>,
    pub(super) by_progress: bool,
    pub(super) once: bool,
    /// The budget counts attempts of the same failure; those of all failures are bounded, too.
    pub(super) by_print: bool,
}

/// What the workflow's rules, the step's `retry` or the default of the class want done; or why none of them speaks.
pub(super) fn wish<'w>(step: &'w Step, lane: &LaneRun, exit: &Exit) -> Result<Wish<'w>, String> {
    let class = exit.diagnosis.as_deref().map_or(Class::Unknown, |said| said.class);
    let rule = step.on_failure.iter().enumerate().find(|(place, rule)| matches(*place, rule, exit, class));
    if let Some((_, rule)) = rule {
        return Ok(Wish {
            name: rule.name.clone(),
            action: rule.action,
            retry: Cow::Borrowed(rule.retry.as_ref().unwrap_or(&step.retry)),
            budget: format!("rule {}", rule.name),
            rule: Some(rule),
            // A run that is interrupted every day goes on as long as it gets on.
            by_progress: rule.action == Action::Resume,
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

/// All that is written in a rule's `match` holds.
pub(super) fn matches(place: usize, rule: &FailureRule, exit: &Exit, class: Class) -> bool {
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
