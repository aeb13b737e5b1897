//! What the engine shows, made by hand: the smallest true views, for tests of the faces. Overwrite what the story is about.

use dogwatch::tui::keys::Keys;
use dogwatch::tui::message::{Link, Message, News};
use dogwatch::tui::model::{Found, Manner, Model, Size};
use dogwatch::tui::theme::Theme;
use dogwatch::tui::update::update;
use dogwatch::wire::client::{
    ChoiceView, EscalationView, FactView, IsolationView, RunLine, RunState, RunView, StepState, StepView, Strength,
};

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
        outside: false,
        until_ms: None,
        checkpoint: None,
        checkpoint_step: None,
        checkpoint_due_ms: None,
        escalation: None,
        waits: Vec::new(),
        attached: None,
        command: "python3 train.py".into(),
        dir: "/state/runs/tqcuq3/work/train/0".into(),
        ran_ms: 62_000,
        progress: None,
        note: None,
    }
}

/// A choice that one key makes.
pub(crate) fn choice(word: &str, effect: &str) -> ChoiceView {
    let rule = (word == "retry").then(|| "[[steps.train.on_failure]]\naction = \"retry\"\n".to_owned());
    ChoiceView { word: word.into(), effect: effect.into(), strength: Strength::Key, rule }
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

/// The screen of somebody who looks at run `tqcuq3`, tiny-lm #42, with these lanes; 80x24, without colour, in UTC.
pub(crate) fn screen(steps: Vec<StepView>) -> Model {
    let manner = Manner {
        keys: Keys::built_in(),
        theme: Theme::without_colour(),
        zone: jiff::tz::TimeZone::UTC,
        readonly: false,
        motion: false,
        let_go: "Ctrl-]".into(),
        operator: "ops@gpu-box".into(),
        found: Found::default(),
    };
    let mut model = Model::new(manner, Size { columns: 80, rows: 24 }, NOW);
    let run = run("tqcuq3", 42, steps);
    update(&mut model, Message::News(Box::new(News::Link(Link::Up))));
    update(&mut model, Message::News(Box::new(News::Runs(vec![run.line.clone()]))));
    update(&mut model, Message::News(Box::new(News::Run(Box::new(run)))));
    model
}

/// A run of the workflow tiny-lm that began an hour ago.
pub(crate) fn run(id: &str, number: u64, steps: Vec<StepView>) -> RunView {
    let line = RunLine {
        id: id.into(),
        name: "tiny-lm".into(),
        number,
        state: RunState::Running,
        created_ms: NOW - 3_600_000,
        ended_ms: None,
        steps: steps.len(),
        steps_done: 0,
        paused: false,
        asking: 0,
    };
    RunView {
        line,
        by: "ops@gpu-box".into(),
        dir: format!("/state/runs/{id}"),
        workspace: "/workspace".into(),
        file: "workflow.toml".into(),
        params: Vec::new(),
        isolation: Some(IsolationView { sandboxed: true, why: None }),
        now_ms: NOW,
        steps,
        escalations: Vec::new(),
        trouble: None,
        seq: 1,
        check_again_in_s: None,
        left: None,
    }
}

/// A failed lane as the engine asks about it: evidence, facts, and every choice that there can be.
pub(crate) fn failed(id: u64, step: &str) -> EscalationView {
    let strong = |word: &str, effect: &str, strength| ChoiceView { strength, ..choice(word, effect) };
    let fact = |label: &str, text: &str| FactView { label: label.into(), text: text.into() };
    EscalationView {
        attempt: Some(1),
        title: format!("{step} failed with exit code 1 after 41m02s"),
        evidence: vec![
            "attempt 1 (try 1 of 3), rule \"oom\"".into(),
            "line 211: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB.".into(),
            "newest checkpoint: ckpt/step-1800.pt (step 1800)".into(),
            "| step 1840/6000 loss 2.113".into(),
            "|   loss.backward()".into(),
            "| torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB.".into(),
            "| GPU 0 has a total capacity of 79.15 GiB of which 1.12 GiB is free.".into(),
            "| [exited 1]".into(),
        ],
        choices: vec![
            choice("resume", "attempt 2 from step 1800 (ckpt/step-1800.pt); redo 40 steps, about 2m14s"),
            choice("retry", "attempt 2 from the start; 41m02s of work is done again"),
            strong("done", "it counts as succeeded: fixed by hand; then: server, evaluate", Strength::Summary),
            strong("skip", "go on without it; without its result: server, evaluate", Strength::Summary),
            strong("fail", "it has failed for good; left out: server, evaluate", Strength::Summary),
            strong("stop-run", "the run ends and can be resumed; logs and checkpoints are kept", Strength::Typed),
        ],
        opened_ms: NOW - 360_000,
        fingerprint: "9c41aef0".into(),
        matched: Some(1),
        facts: vec![
            fact("checkpoint", "step 1800, 3m before the failure (redo 40 steps, about 2m14s)"),
            fact("resources", "peak memory of a process 41 GiB · CPU time 39m12s"),
            fact("attempts", "1: code 1 after 41m02s"),
            fact("blocked", "server, evaluate, review, export"),
        ],
        ..question(id, "tqcuq3", "tiny-lm #42", step)
    }
}

/// An open approval.
pub(crate) fn gate(id: u64) -> EscalationView {
    let reject =
        ChoiceView { strength: Strength::Summary, ..choice("reject", "the run ends as rejected, everything is kept") };
    EscalationView {
        kind: "gate".into(),
        title: "review: Publish gpt2 to staging?".into(),
        evidence: vec!["accuracy = 0.969".into(), "loss = 0.071".into()],
        choices: vec![
            choice("approve", "starts export (not repeatable, 1 attempt) now"),
            reject,
            choice("send-back:evaluate", "runs evaluate again, then asks anew; 2m10s of work is done again"),
            choice("send-back:train", "runs train, evaluate again, then asks anew; 1h52m of work is done again"),
        ],
        opened_ms: NOW - 540_000,
        deadline_ms: Some(NOW + 57_600_000),
        if_unanswered: "reject when the time is over".into(),
        fingerprint: "77ab0c12".into(),
        facts: vec![
            FactView { label: "starts then".into(), text: "export (not repeatable, 1 attempt)".into() },
            FactView { label: "blocked".into(), text: "export".into() },
        ],
        ..question(id, "tqcuq3", "tiny-lm #42", "review")
    }
}
