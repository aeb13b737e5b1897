//! What the engine shows, made by hand: the smallest true views, for tests of the faces. Overwrite what the story is about.

use dogwatch::wire::client::{ChoiceView, EscalationView, StepState, StepView, Strength};

/// The engine's clock in these stories: 2026-11-22 22:00 UTC.
pub(crate) const NOW: i64 = 1_795_384_800_000;

/// A lane whose first attempt began 62 s ago.
pub(crate) fn step(name: &str, label: &str, state: StepState) -> StepView {
    StepView {
        step: name.into(),
        lane: 0,
        label: label.into(),
        state,
        needs: Vec::new(),
        attempt: 1,
        max_attempts: 3,
        started_ms: Some(NOW - 62_000),
        ended_ms: None,
        exit: None,
        detail: String::new(),
        until_ms: None,
        checkpoint: None,
        checkpoint_step: None,
        escalation: None,
        waits: Vec::new(),
        attached: None,
        command: "python3 train.py".into(),
        dir: "/state/runs/tqcuq3/work/train/0".into(),
        ran_ms: 62_000,
    }
}

/// A choice that one key makes.
pub(crate) fn choice(word: &str, effect: &str) -> ChoiceView {
    ChoiceView { word: word.into(), effect: effect.into(), strength: Strength::Key }
}

/// A question that was opened just now, without evidence, choices or answer.
pub(crate) fn question(id: u64, run: &str, run_name: &str, step: &str) -> EscalationView {
    EscalationView {
        id,
        run: run.into(),
        run_name: run_name.into(),
        step: step.into(),
        attempt: None,
        kind: "failed".into(),
        title: String::new(),
        evidence: Vec::new(),
        choices: Vec::new(),
        opened_ms: NOW,
        deadline_ms: None,
        if_unanswered: "waits for you".into(),
        answer: None,
        fingerprint: String::new(),
        matched: None,
        facts: Vec::new(),
        held: None,
    }
}
