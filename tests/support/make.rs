//! Makes workflows: plain ones for scenarios, random ones for histories.

use std::sync::Arc;
use std::time::Duration;

use dogwatch::engine::Engine;
use dogwatch::model::{
    Action, Alternative, Arithmetic, Autonomy, Change, CheckpointSpec, Class, ContainerSpec, Created, Demand,
    EnvironmentSpec, EscalationSpec, FailureRule, Gate, IsolationWanted, Lane, LaneSpec, Look, Match, OnTimeout,
    OnUnknown, Output, Part, Principal, Raise, Raising, Readiness, Resource, Retry, SecretFrom, Selection, Service,
    Step, StepId, StepPlace, StepWhat, Template, Unanswered, Value, WaitSpec, Workflow,
};
use indexmap::IndexMap;

use super::dice::Dice;

pub(crate) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) fn step_id(name: &str) -> StepId {
    StepId::new(name).expect("tests use legal names")
}

pub(crate) fn person(name: &str) -> Principal {
    Principal::Person(name.into())
}

fn one_lane() -> Vec<LaneSpec> {
    vec![LaneSpec { lane: Lane(0), values: IndexMap::new() }]
}

/// Lanes `x = 0`, `x = 1`, …
pub(crate) fn lanes(n: u32) -> Vec<LaneSpec> {
    let spec = |lane| {
        let values = [("x".to_owned(), Value::Integer(i64::from(lane)))].into_iter().collect();
        LaneSpec { lane: Lane(lane), values }
    };
    (0..n).map(spec).collect()
}

/// A step that runs once and asks when it fails.
pub(crate) fn step(name: &str, needs: &[&str]) -> Step {
    Step {
        id: step_id(name),
        description: None,
        needs: needs.iter().map(|need| step_id(need)).collect(),
        place: StepPlace::default(),
        what: StepWhat::Run { script: "true".into() },
        service: None,
        demand: Demand::default(),
        condition: None,
        env: IndexMap::new(),
        secrets: Vec::new(),
        inputs: IndexMap::new(),
        lanes: one_lane(),
        has_matrix: false,
        lanes_at_once: None,
        fail_fast: false,
        timeout: None,
        grace: seconds(5),
        retry: Retry::default(),
        retry_said: true,
        autonomy: Autonomy::Act,
        allow_failure: false,
        outputs: IndexMap::new(),
        verify: None,
        checkpoint: None,
        on_failure: Vec::new(),
        alternatives: IndexMap::new(),
        on_unknown: OnUnknown::Ask,
        wait: WaitSpec::default(),
        progress: None,
        metrics: Vec::new(),
        alerts: Vec::new(),
        asked: std::collections::BTreeSet::new(),
        escalation: EscalationSpec::default(),
    }
}

/// A gate.
pub(crate) fn gate(name: &str, needs: &[&str], timeout: Option<Duration>, on_timeout: OnTimeout) -> Step {
    let prompt = Template(vec![Part::Text("go on?".into())]);
    let what = StepWhat::Approval(Gate { prompt, show: Vec::new(), timeout, on_timeout, confirm: None });
    Step { what, ..step(name, needs) }
}

pub(crate) fn retry(max_attempts: u32, delay: u64) -> Retry {
    Retry { max_attempts, delay: seconds(delay), backoff: 2.0, max_delay: seconds(600), jitter: false }
}

pub(crate) fn rule(name: &str, matcher: Match, action: Action) -> FailureRule {
    FailureRule {
        name: name.into(),
        matcher,
        action,
        retry: None,
        alternative: None,
        change: Vec::new(),
        raise: Vec::new(),
    }
}

pub(crate) fn checkpoint() -> CheckpointSpec {
    CheckpointSpec {
        pattern: "saved (?P<path>.*)".into(),
        resume_env: Some("RESUME".into()),
        every: None,
        verify: None,
        keep: None,
        save_signal: None,
    }
}

pub(crate) fn workflow(steps: Vec<Step>) -> Workflow {
    Workflow {
        name: "test".into(),
        description: None,
        max_parallel: 4,
        timeout: None,
        params: IndexMap::new(),
        env: IndexMap::new(),
        secrets: IndexMap::new(),
        environment: EnvironmentSpec {
            workspace: "/w".into(),
            isolation: IsolationWanted::Auto,
            mounts: Vec::new(),
            container: None,
        },
        environments: IndexMap::new(),
        steps: steps.into_iter().map(|step| (step.id.clone(), step)).collect(),
        notify: Vec::new(),
        rules: Vec::new(),
    }
}

pub(crate) fn created(workflow: Workflow, selection: Selection) -> Created {
    Created {
        number: 1,
        workflow: Arc::new(workflow),
        dir: "/state/runs/r".into(),
        selection,
        env: std::collections::BTreeMap::new(),
        by: person("ann@host"),
        no_cache: false,
    }
}

/// What the simulated host has.
pub(crate) const HOST: Demand = Demand { gpus: 2, milli_cpus: 4_000, memory: 8 << 30 };

/// The mind of that host.
pub(crate) fn mind() -> Engine {
    Engine::default().on(HOST)
}

/// Steps that want something of the host for themselves, now and then more than it has. Services want nothing: one that lives
/// for a step that wants what it has would be waited for by it for ever.
pub(crate) fn want_of_host(dice: &mut Dice, workflow: &mut Workflow) {
    for step in workflow.steps.values_mut() {
        let runs = matches!(step.what, StepWhat::Run { .. }) && step.service.is_none();
        if runs && dice.per_mille(500) {
            let most = if dice.per_mille(10) { 2 } else { 1 };
            step.demand = Demand {
                gpus: u32::try_from(dice.below(3).min(dice.below(3)) * most).expect("small"),
                milli_cpus: dice.below(5).min(dice.below(5)) * 1_000 * most,
                memory: (dice.below(9).min(dice.below(9)) * most) << 30,
            };
        }
    }
}

/// Steps that get secrets.
pub(crate) fn keep_secrets(dice: &mut Dice, workflow: &mut Workflow) {
    for name in ["KEY", "TOKEN"] {
        workflow.secrets.insert(name.into(), SecretFrom::Env(name.into()));
        for step in workflow.steps.values_mut() {
            if matches!(step.what, StepWhat::Run { .. }) && dice.per_mille(600) {
                step.secrets.push(name.into());
            }
        }
    }
}

/// A random workflow of 5 to 30 lanes. A `steady` one has nothing whose end depends on which of two things came first.
pub(crate) fn random_workflow(dice: &mut Dice, steady: bool) -> Workflow {
    let mut steps: Vec<Step> = Vec::new();
    let mut lanes_left = dice.between(5, 30);
    while lanes_left > 0 && steps.len() < 26 {
        let mut step = random_step(dice, &steps, steady);
        step.lanes.truncate(usize::try_from(lanes_left).expect("small"));
        lanes_left -= step.lanes.len() as u64;
        steps.push(step);
    }
    let mut workflow = workflow(steps);
    workflow.max_parallel = u32::try_from(dice.between(1, 6)).expect("small");
    if dice.per_mille(500) {
        let container = ContainerSpec { memory: Some(2 << 30), ..ContainerSpec::of("image".into()) };
        workflow.environment.container = Some(container);
    }
    if !steady && dice.per_mille(150) {
        workflow.timeout = Some(seconds(dice.between(60, 900)));
    }
    workflow
}

fn random_step(dice: &mut Dice, before: &[Step], steady: bool) -> Step {
    let mut needs: Vec<&str> = Vec::new();
    for _ in 0..dice.below(3) {
        if let Some(need) = dice.pick(before) {
            needs.push(need.id.as_str());
        }
    }
    // The same need twice is legal.
    if !dice.per_mille(50) {
        needs.sort_unstable();
        needs.dedup();
    }
    let name = format!("s{}", before.len());
    if dice.per_mille(100) {
        let on_timeout = *dice.pick(&[OnTimeout::Wait, OnTimeout::Reject, OnTimeout::Approve]).expect("three");
        let on_timeout = if steady { OnTimeout::Wait } else { on_timeout };
        let timeout = dice.per_mille(700).then(|| seconds(dice.between(1, 120)));
        let mut step = gate(&name, &needs, timeout, on_timeout);
        step.condition = random_condition(dice, &needs, false);
        return step;
    }
    let mut step = step(&name, &needs);
    if dice.per_mille(250) {
        step.lanes = lanes(u32::try_from(dice.between(2, 5)).expect("small"));
        step.has_matrix = true;
        step.lanes_at_once = dice.per_mille(400).then(|| u32::try_from(dice.between(1, 3)).expect("small"));
        step.fail_fast = !steady && dice.per_mille(400);
    }
    step.condition = random_condition(dice, &needs, step.has_matrix);
    step.timeout = dice.per_mille(600).then(|| seconds(dice.between(300, 400)));
    step.retry = Retry {
        jitter: dice.per_mille(500),
        ..retry(u32::try_from(dice.between(1, 4)).expect("small"), dice.below(20))
    };
    step.retry_said = dice.per_mille(600);
    step.autonomy = match dice.below(8) {
        0 => Autonomy::Observe,
        1 => Autonomy::Ask,
        _ => Autonomy::Act,
    };
    random_alternatives(dice, &mut step);
    step.allow_failure = dice.per_mille(150);
    if dice.per_mille(200) {
        step.outputs = [("data".to_owned(), Output { path: "data".into(), cache: true })].into();
    }
    step.verify = dice.per_mille(200).then(|| "true".into());
    let verify = dice.per_mille(500).then(|| "true".to_owned());
    step.checkpoint = dice.per_mille(300).then(|| {
        // Where nothing verifies, the look at the end of an attempt is the newest word, and that is not simulated.
        let keeps = verify.is_some() && dice.per_mille(600);
        let keep = keeps.then(|| usize::try_from(dice.between(1, 2)).expect("small"));
        CheckpointSpec { verify, keep, ..checkpoint() }
    });
    step.on_unknown = match dice.below(4) {
        0 => OnUnknown::Rerun,
        1 => OnUnknown::Probe { script: "true".into() },
        _ => OnUnknown::Ask,
    };
    random_rules(dice, &mut step, steady);
    if !steady && dice.per_mille(400) {
        let what = [Unanswered::Wait, Unanswered::Resume, Unanswered::Skip, Unanswered::Abort];
        let (timeout, on_timeout) = (seconds(dice.between(1, 120)), dice.pick(&what).copied());
        step.escalation = EscalationSpec { timeout: Some(timeout), on_timeout, remind: None };
    }
    if !steady && !step.has_matrix && dice.per_mille(80) {
        let look = Look::Tcp(Template(vec![Part::Text("db:5432".into())]));
        let readiness = Readiness { look, period: seconds(1), failure_threshold: 60 };
        step.service = Some(Service { readiness: dice.per_mille(600).then_some(readiness) });
        (step.verify, step.outputs) = (None, IndexMap::new());
    }
    let on_stall = [None, None, Some(Action::Retry), Some(Action::Skip), Some(Action::Resume)];
    step.wait.on_stall = if steady { None } else { dice.pick(&on_stall).copied().flatten() };
    step
}

fn random_condition(dice: &mut Dice, needs: &[&str], matrix: bool) -> Option<String> {
    if matrix && dice.per_mille(200) {
        return Some("matrix.x != 1".into());
    }
    if !dice.per_mille(200) {
        return None;
    }
    let need = dice.pick(needs)?;
    Some(match dice.below(3) {
        0 => format!("failed(steps.{need})"),
        1 => format!("succeeded(steps.{need})"),
        _ => format!("failed(steps.{need}) or succeeded(steps.{need})"),
    })
}

/// Two other ways, one of which a person must pick, and a number that can be changed.
fn random_alternatives(dice: &mut Dice, step: &mut Step) {
    let batch = |n: u64| ("BATCH".to_owned(), Template(vec![Part::Text(n.to_string())]));
    step.env = [batch(1 << dice.below(5))].into();
    let other = |env, requires_approval| Alternative {
        description: None,
        script: Some("true".into()),
        env,
        timeout: None,
        requires_approval,
    };
    step.alternatives.insert("other".into(), other(IndexMap::new(), dice.per_mille(500)));
    step.alternatives.insert("small".into(), other([batch(2)].into(), false));
}

fn random_rules(dice: &mut Dice, step: &mut Step, steady: bool) {
    let actions: &[Action] = if steady {
        &[Action::Retry, Action::RetryModified, Action::Resume, Action::Alternative, Action::Skip, Action::Escalate]
    } else {
        &Action::ALL.map(|(_, action)| action)
    };
    for place in 0..dice.below(3) {
        let matcher = match dice.below(5) {
            4 => {
                let classes =
                    [*dice.pick(&Class::ALL[1..]).expect("some"), *dice.pick(&Class::ALL[1..]).expect("some")];
                Match { class: classes.map(|(_, class)| class).to_vec(), ..Match::default() }
            }
            0 => Match { exit_code: vec![1], ..Match::default() },
            1 => Match { exit_code: vec![2, 137], ..Match::default() },
            2 => Match { signal: vec![9], ..Match::default() },
            _ => Match { output: Some("boom".into()), ..Match::default() },
        };
        let mut rule = rule(&format!("rule {place}"), matcher, *dice.pick(actions).expect("some"));
        rule.retry = dice.per_mille(300).then(|| retry(3, dice.below(10)));
        if rule.action == Action::Alternative || rule.action == Action::RetryModified && dice.per_mille(300) {
            rule.alternative = Some((*dice.pick(&["other", "small"]).expect("some")).into());
        } else if rule.action == Action::RetryModified {
            let by = if dice.per_mille(500) { Arithmetic::Divide(2.0) } else { Arithmetic::Multiply(2.0) };
            rule.change = vec![Change { variable: "BATCH".into(), by }];
            if dice.per_mille(300) {
                let most = dice.per_mille(500).then_some(7 << 30);
                rule.raise = vec![Raise { resource: Resource::Memory, by: Raising::Times(1.5), most }];
            }
        }
        step.on_failure.push(rule);
    }
}
