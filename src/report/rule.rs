//! The rule that would make an answer permanent, as text for the workflow file. Pure.

use std::fmt::Write;

use crate::engine::{LaneRun, Run};
use crate::model::{Choice, Class, End, Escalation, EscalationKind};

/// The rule; `None`: the answer is none that a rule could give.
pub fn rule(run: &Run, lane: &LaneRun, asked: &Escalation, choice: Choice) -> Option<String> {
    if asked.kind != EscalationKind::Failed {
        return None;
    }
    let action = match choice {
        Choice::Retry => "action = \"retry\"\nretry = { max_attempts = 2 }".to_owned(),
        Choice::Resume => "action = \"resume\"\nretry = { max_attempts = 2 }".to_owned(),
        Choice::Alternative { .. } => {
            let (name, _) = run.alternative_named(choice)?;
            format!("action = \"alternative\"\nuse = {}", quoted(name))
        }
        Choice::Skip => "action = \"skip\"".to_owned(),
        Choice::StopRun => "action = \"abort\"".to_owned(),
        // What is proposed is a rule already; the rest is nothing that a rule can know.
        Choice::Accept
        | Choice::KeepWaiting
        | Choice::Probe
        | Choice::Done
        | Choice::Fail
        | Choice::Approve
        | Choice::Reject
        | Choice::SendBack(_) => return None,
    };
    let step = &lane.id.step;
    let mut text = format!("# Before the other rules of {step}; of e{}\n[[steps.{step}.on_failure]]\n", asked.id.0);
    // Writing into a text does not fail.
    let _ = writeln!(text, "name = {}", quoted(&format!("as e{}", asked.id.0)));
    if let Some(matches) = matches(lane) {
        let _ = writeln!(text, "match = {{ {matches} }}");
    }
    text.push_str(&action);
    text.push('\n');
    Some(text)
}

/// What makes a failure this one: its class, else the code or the signal.
fn matches(lane: &LaneRun) -> Option<String> {
    let exit = lane.last_exit.as_deref()?;
    let class = exit.diagnosis.as_deref().map(|said| said.class);
    match (class, exit.end) {
        (Some(class), _) if !matches!(class, Class::None | Class::Unknown) => {
            Some(format!("class = {}", quoted(class.as_str())))
        }
        (_, End::Code(code)) => Some(format!("exit_code = {code}")),
        (_, End::Signal(signal)) => Some(format!("signal = {signal}")),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
