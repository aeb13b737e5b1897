//! What an attempt differs in from what the file says: alternatives, and arithmetic on variables. Pure.

use std::collections::BTreeMap;

use crate::model::{Alternative, Arithmetic, Change, FailureRule, Patch, Raise, StepWhat};

use super::Run;
use super::state::{LaneRun, LaneState};

impl Run {
    /// The alternative that the lane takes, if it takes one.
    pub(super) fn alternative_of(&self, lane: &LaneRun) -> Option<&Alternative> {
        self.step_of(lane).alternatives.get(patch_of(lane).alternative.as_ref()?)
    }

    /// What the lane runs; `None`: it is a question.
    pub fn script_of(&self, lane: &LaneRun) -> Option<&str> {
        match &self.step_of(lane).what {
            StepWhat::Run { script } => {
                let other = self.alternative_of(lane).and_then(|alternative| alternative.script.as_ref());
                Some(other.unwrap_or(script))
            }
            StepWhat::Approval(_) | StepWhat::WaitFor(_) => None,
        }
    }

    /// The time limit of the lane's attempts.
    pub fn timeout_of(&self, lane: &LaneRun) -> Option<std::time::Duration> {
        let own = self.alternative_of(lane).and_then(|alternative| alternative.timeout);
        own.unwrap_or(self.step_of(lane).timeout)
    }

    /// What a rule changes about the next attempt; `None`: nothing. Or why it cannot.
    pub(super) fn changed(&self, lane: &LaneRun, rule: &FailureRule) -> Result<Option<Patch>, String> {
        if let Some(name) = &rule.alternative {
            if lane.patch.alternative.as_ref() == Some(name) && !rule.changes() {
                return Err(format!("alternative \"{name}\" has failed as well"));
            }
            let patch = with_alternative(lane, name);
            return self.with_changes(lane, rule, patch).map(Some);
        }
        if !rule.changes() {
            return Ok(None);
        }
        self.with_changes(lane, rule, lane.patch.clone()).map(Some)
    }

    fn with_changes(&self, lane: &LaneRun, rule: &FailureRule, patch: Patch) -> Result<Patch, String> {
        let mut patch = patch;
        self.raise(lane, &rule.raise, &mut patch)?;
        let changes: &[Change] = &rule.change;
        if changes.is_empty() {
            return Ok(patch);
        }
        let env = self.variables(lane, &patch)?;
        for change in changes {
            let name = &change.variable;
            let now = env.get(name).ok_or_else(|| format!("{name} is not set, so it cannot be changed"))?;
            let value = changed(now, change.by).map_err(|why| format!("{name} = \"{now}\": {why}"))?;
            patch.env.insert(name.clone(), value);
        }
        Ok(patch)
    }

    /// Raises limits of the container above what they are now.
    fn raise(&self, lane: &LaneRun, wanted: &[Raise], patch: &mut Patch) -> Result<(), String> {
        let container = self.workflow.environment_of(&lane.id.step).container.as_ref();
        for raise in wanted {
            let name = raise.resource.as_str();
            let written = container.and_then(|container| raise.resource.limit(container));
            let now = patch.resources.get(&raise.resource).copied().or(written);
            let now = now.ok_or_else(|| format!("{name} has no limit, so it cannot be raised"))?;
            let words = raise.resource.words(now);
            let raised =
                raise.after(now).ok_or_else(|| format!("{name} is {words}, and the rule raises it no more"))?;
            patch.resources.insert(raise.resource, raised);
        }
        Ok(())
    }

    /// The variables of the step as they are with this patch.
    fn variables(&self, lane: &LaneRun, patch: &Patch) -> Result<BTreeMap<String, String>, String> {
        let lane = LaneRun { patch: patch.clone(), next: None, ..lane.clone() };
        self.launch_environment(&lane)
    }
}

/// What the lane's newest attempt, or the one that is to be made now, differs in.
pub(super) fn patch_of(lane: &LaneRun) -> &Patch {
    // Until it is intended, what is decided about the next one holds.
    let ahead = matches!(lane.state, LaneState::Waiting | LaneState::Delayed { .. });
    let next = lane.next.as_ref().filter(|_| ahead).and_then(|next| next.patch.as_ref());
    next.unwrap_or(&lane.patch)
}

/// The patch that the lane gets with this alternative.
pub(super) fn with_alternative(lane: &LaneRun, name: &str) -> Patch {
    Patch { alternative: Some(name.to_owned()), ..lane.patch.clone() }
}

/// Whole numbers stay whole, and what is divided stays at least 1; what cannot change is an error.
fn changed(text: &str, by: Arithmetic) -> Result<String, String> {
    let number: f64 = text.trim().parse().map_err(|_| "it is no number".to_owned())?;
    let whole = text.trim().parse::<i64>().is_ok();
    let result = match by {
        Arithmetic::Add(n) => number + n,
        Arithmetic::Subtract(n) => number - n,
        Arithmetic::Multiply(n) => number * n,
        Arithmetic::Divide(n) => number / n,
    };
    let result = if whole { result.floor() } else { result };
    if !result.is_finite() || (whole && result.abs() > 9e15) {
        return Err(format!("{by} leads beyond all numbers"));
    }
    if whole && matches!(by, Arithmetic::Divide(_)) && number >= 1.0 && result < 1.0 {
        return Err(format!("{by} leads below 1"));
    }
    let same = result.total_cmp(&number).is_eq();
    if same { Err(format!("{by} changes nothing")) } else { Ok(format!("{result}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_changed_and_stay_what_they_are() {
        use Arithmetic::{Add, Divide, Multiply, Subtract};
        for (text, by, result) in [
            ("16", Divide(2.0), Ok("8")),
            ("5", Divide(2.0), Ok("2")),
            ("1", Divide(2.0), Err("/ 2 leads below 1")),
            ("4", Multiply(2.0), Ok("8")),
            ("0.1", Divide(10.0), Ok("0.01")),
            ("0.5", Multiply(2.0), Ok("1")),
            (" 8 ", Subtract(2.0), Ok("6")),
            ("0", Add(1.0), Ok("1")),
            ("0", Multiply(2.0), Err("* 2 changes nothing")),
            ("auto", Divide(2.0), Err("it is no number")),
            ("", Divide(2.0), Err("it is no number")),
            ("1e308", Multiply(1e10), Err("* 10000000000 leads beyond all numbers")),
        ] {
            let told = changed(text, by);
            assert_eq!(told.as_deref().map_err(String::as_str), result, "{text} {by}");
        }
    }
}
