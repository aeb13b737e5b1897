//! JSON Schema of the supported format, so that an editor says the same as `dogwatch validate`.
//!
//! Describes only: `flow` and its neighbours read the file, with better words than a schema can find. A test holds both
//! against the list in `keys`.

#![expect(dead_code, reason = "the types are never made: schemars reads their shape and their comments")]

use std::borrow::Cow;

use indexmap::IndexMap;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value as Json;

use crate::model;

/// The schema as text, for draft 7: what editors' TOML tools know best.
pub fn schema() -> String {
    let settings = SchemaSettings::draft07();
    let mut schema = settings.into_generator().into_root_schema_for::<File>().to_value();
    without_null(&mut schema);
    format!("{schema:#}\n")
}

/// A key can be left out; TOML has no null to write instead.
fn without_null(schema: &mut Json) {
    let null = Json::String("null".into());
    match schema {
        Json::Object(map) => {
            if let Some(Json::Array(types)) = map.get_mut("type") {
                types.retain(|kind| *kind != null);
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    map.insert("type".into(), one);
                }
            }
            if let Some(Json::Array(all)) = map.get_mut("anyOf") {
                all.retain(|one| one.get("type") != Some(&null));
                if let [Json::Object(one)] = all.as_slice() {
                    let one = one.clone();
                    map.remove("anyOf");
                    for (key, value) in one {
                        map.entry(key).or_insert(value);
                    }
                }
            }
            // Draft 7 ignores what stands beside a reference, and descriptions belong there.
            if map.len() > 1
                && let Some(reference) = map.remove("$ref")
            {
                map.insert("allOf".into(), serde_json::json!([{ "$ref": reference }]));
            }
            map.values_mut().for_each(without_null);
        }
        Json::Array(all) => all.iter_mut().for_each(without_null),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// A dogwatch workflow.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "dogwatch workflow")]
struct File {
    /// Version of the file format.
    #[schemars(range(min = 1, max = 1))]
    version: u32,
    /// The workflow as a whole.
    workflow: Option<About>,
    /// Typed parameters; a run overrides them with -p name=value.
    #[schemars(extend("propertyNames" = { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" }))]
    params: Option<IndexMap<String, Param>>,
    /// Variables that every step sees. `${{ params.x }}` works here.
    env: Option<Variables>,
    /// Values that are never logged or recorded; a step gets those that its `secrets` names.
    #[schemars(extend("propertyNames" = { "pattern": "^(?!DOGWATCH_)[A-Za-z_][A-Za-z0-9_]*$" }))]
    secrets: Option<IndexMap<String, Secret>>,
    /// Where steps run.
    environment: Option<Environment>,
    /// More of them, by the name that a step gives as its `environment`. Those with a network find each other by name.
    #[schemars(extend("propertyNames" = { "pattern": "^(?!default$)[a-z0-9][a-z0-9_-]{0,62}$" }))]
    environments: Option<IndexMap<String, Environment>>,
    /// For all steps; a step may override any of these.
    defaults: Option<Defaults>,
    /// The steps by name, in the order in which they are shown.
    #[schemars(extend("minProperties" = 1, "propertyNames" = { "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$" }))]
    steps: IndexMap<String, Step>,
    /// Who is told when a person is needed or the run has ended.
    notify: Option<Vec<Notify>>,
    /// Rules that judge failures before the built-in ones do.
    rules: Option<Vec<Judging>>,
}

/// A duration like "90s", "45m", "1h30m", "500ms" or "2d".
#[derive(JsonSchema)]
struct Duration(#[schemars(regex(pattern = r"^(?=.)(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$"))] String);

/// A duration, or "none" for no limit.
#[derive(JsonSchema)]
struct Limit(#[schemars(regex(pattern = r"^(none|(?=.)(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?)$"))] String);

/// Variables by name; a value may hold `${{ … }}`. Names that begin with DOGWATCH_ are dogwatch's own.
#[derive(JsonSchema)]
#[schemars(extend("propertyNames" = { "pattern": "^(?!DOGWATCH_)[A-Za-z_][A-Za-z0-9_]*$" }))]
struct Variables(IndexMap<String, Scalar>);

/// A text, a number or a boolean.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Scalar {
    Text(String),
    Integer(i64),
    Number(f64),
    Boolean(bool),
}

/// One or several.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum OneOrMore<T> {
    One(T),
    More(#[schemars(length(min = 1))] Vec<T>),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct About {
    /// The file's name without its endings, when it is not given.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9_-]{0,62}$"))]
    name: Option<String>,
    description: Option<String>,
    /// Steps at once, all lanes together. Default 4.
    #[schemars(range(min = 1))]
    max_parallel: Option<u32>,
    /// Of the whole run.
    timeout: Option<Limit>,
    /// How much recovery dogwatch does by itself. Default: act.
    autonomy: Option<Autonomy>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Autonomy {
    /// A person is asked; what would have been done is recorded.
    Observe,
    /// A person is asked; what would have been done is the first choice.
    Ask,
    /// What the rules and the defaults of the classes say.
    Act,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Param {
    r#type: ParamType,
    /// Without one, every run must give a value with -p.
    default: Option<Scalar>,
    description: Option<String>,
    /// The only values that are allowed.
    #[schemars(length(min = 1))]
    choices: Option<Vec<Scalar>>,
    /// For integers and numbers.
    min: Option<f64>,
    /// For integers and numbers.
    max: Option<f64>,
}

/// Where a value comes from, when a run starts.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Secret {
    from: SecretFrom,
    /// With from = "env": the variable of whoever starts the run. Default: the secret's own name.
    name: Option<String>,
    /// With from = "file": a path; `~/` is your home, and others are relative to this file.
    path: Option<String>,
    /// With from = "command": what prints the value, for `sh`.
    run: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum SecretFrom {
    Env,
    File,
    Command,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum ParamType {
    String,
    Integer,
    Number,
    Boolean,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Environment {
    /// The folder that steps work in, relative to this file. Default: this file's folder.
    workspace: Option<String>,
    /// The sandbox where it is permitted (auto), the sandbox or nothing (required), no sandbox (none).
    isolation: Option<Isolation>,
    /// Folders of this host that steps see.
    mounts: Option<Vec<Mount>>,
    /// The image of the container that steps run in: "python:3.12-slim". Without one: the built-in sandbox.
    image: Option<String>,
    /// When the image is fetched. Default: when it is missing.
    pull: Option<Pull>,
    /// Processors that the container may use.
    #[schemars(range(min = 0.01))]
    cpus: Option<f64>,
    /// What the container may use, without swap: "64GiB".
    memory: Option<String>,
    /// Size of /dev/shm: "16GiB". Default: half of the memory.
    shm: Option<String>,
    /// How many, which ones, or "all".
    gpus: Option<Gpus>,
    /// Whether the steps reach a network. Default: true.
    network: Option<bool>,
    /// Who the steps are: "root" or "1000:1000". Default: you.
    user: Option<String>,
    /// Capabilities of the steps, like `SYS_PTRACE`. Default: none.
    caps: Option<Vec<String>>,
    /// Limits of each process: { nofile = 65536, memlock = -1 }.
    ulimits: Option<std::collections::BTreeMap<String, i64>>,
    /// The image's own files cannot be changed. Default: false.
    read_only: Option<bool>,
    /// Whether the container stays when the run has ended; `dogwatch gc` removes it then. Default: never.
    keep: Option<Keep>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Keep {
    Never,
    /// When the run has not succeeded.
    Failed,
    Always,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Pull {
    Missing,
    Always,
    Never,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Gpus {
    Count(#[schemars(range(max = 1024))] u32),
    Ids(Vec<String>),
    All(#[schemars(regex(pattern = "^all$"))] String),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Isolation {
    Auto,
    Required,
    None,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Mount {
    /// "source:target" or "source:target:ro".
    Short(#[schemars(regex(pattern = "^[^:]+:/[^:]*(:r[ow])?$"))] String),
    Long(LongMount),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct LongMount {
    /// On this host: absolute, below ~, or relative to this file.
    source: String,
    /// Absolute path inside.
    #[schemars(regex(pattern = "^/"))]
    target: String,
    /// Default false.
    readonly: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Defaults {
    /// Of one attempt.
    timeout: Option<Limit>,
    /// Between TERM and KILL. Default 30s.
    grace: Option<Duration>,
    retry: Option<Retry>,
    /// What needs the step runs also when it failed.
    allow_failure: Option<bool>,
    /// When it cannot be known whether an attempt finished: ask a person, or run the step again.
    on_unknown: Option<DefaultUnknown>,
    /// How much recovery dogwatch does by itself.
    autonomy: Option<Autonomy>,
    /// What becomes of questions that nobody answers.
    escalation: Option<Escalation>,
}

/// What becomes of questions about failures that nobody answers. Without it they wait for ever.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Escalation {
    /// How long a question waits. Default: none.
    timeout: Option<Limit>,
    /// What follows then. Nothing does with autonomy = "observe".
    on_timeout: Option<Unanswered>,
    /// It is told again so often, instead of what the rules of `notify` say.
    remind: Option<Duration>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Unanswered {
    Wait,
    /// From the newest checkpoint, where there is one beyond that of the last time.
    Resume,
    /// Go on without the step.
    Skip,
    /// The run ends as failed; it can be resumed.
    Abort,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum DefaultUnknown {
    Ask,
    Rerun,
}

/// When and how often an attempt that failed is repeated.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Retry {
    /// Counts the first one. Default 1: nothing is repeated.
    #[schemars(range(min = 1, max = 1_000_000))]
    max_attempts: Option<u32>,
    /// Before the second attempt. Default 10s.
    delay: Option<Duration>,
    /// Factor for each further attempt. Default 2.
    #[schemars(range(min = 1))]
    backoff: Option<f64>,
    /// Default 10m.
    max_delay: Option<Duration>,
    /// Whether delays vary a little, so that lanes do not all come back at once. Default true.
    jitter: Option<bool>,
}

/// A step: a script, a question to a person, or something outside that is waited for.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("oneOf" = [{ "required": ["run"] }, { "required": ["approval"] }, { "required": ["wait_for"] }]))]
struct Step {
    description: Option<String>,
    /// Steps that must have succeeded before.
    needs: Option<Vec<String>>,
    /// Where it runs: a name of [environments]. Default: [environment].
    environment: Option<String>,
    /// The image of its container: all else is as in its environment. Steps of a run with the same image share the container.
    image: Option<String>,
    /// Each attempt gets an environment of its own, made anew. Default: false.
    fresh: Option<bool>,
    /// When the step has succeeded, its container is kept as a checkpoint that later attempts start from. Default: false.
    snapshot: Option<bool>,
    /// A script for `sh -e`, or for the program that its first line names behind `#!`, in the workspace. Values come in as variables, by `env` and `inputs`.
    run: Option<String>,
    /// Replaces "all needs succeeded": an expression like failed(steps.train).
    r#if: Option<Condition>,
    /// Variables of this step.
    env: Option<Variables>,
    /// The secrets that it gets, each as the variable of this name. What it prints of them is hidden.
    secrets: Option<Vec<String>>,
    /// What the step depends on; exported under their names.
    inputs: Option<IndexMap<String, Scalar>>,
    /// Files or folders that the step must have written when it ends.
    #[schemars(extend("propertyNames" = { "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$" }))]
    outputs: Option<IndexMap<String, Output>>,
    /// A script that must end with 0 before an attempt that ended well counts as a success; else the attempt has failed. It
    /// has the step's environment and its `timeout` (without one: 10m), and must be repeatable: it runs again when dogwatch
    /// was killed meanwhile.
    verify: Option<String>,
    /// One lane for each combination of values.
    matrix: Option<Matrix>,
    /// Of one attempt.
    timeout: Option<Limit>,
    /// Between TERM and KILL. Default 30s.
    grace: Option<Duration>,
    retry: Option<Retry>,
    /// What needs this step runs also when it failed.
    allow_failure: Option<bool>,
    /// What the step saves itself, and how it goes on from there.
    checkpoint: Option<Checkpoint>,
    /// The first rule that matches a failure decides.
    on_failure: Option<Vec<Rule>>,
    /// Other ways to do it, by name: patches over the step that a rule or a person picks.
    #[schemars(extend("propertyNames" = { "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$" }))]
    alternatives: Option<IndexMap<String, Alternative>>,
    /// How much recovery dogwatch does by itself.
    autonomy: Option<Autonomy>,
    /// When it cannot be known whether an attempt finished: ask a person, run it again, or run `probe`.
    on_unknown: Option<Unknown>,
    /// A script: 0 = the step had finished, 10 = it had not happened, else a person is asked.
    probe: Option<String>,
    /// When silence means trouble, and what is done then.
    wait: Option<Wait>,
    /// How the program tells how far it is: the name of a way that is known, or an own pattern. Default: whatever is known.
    progress: Option<ProgressKey>,
    /// Numbers that are kept as series. Default: what looks like name=value in the output.
    metrics: Option<Vec<Metric>>,
    /// Conditions on metrics that are trouble: a live attempt is judged as if it had failed (class `divergence`).
    alerts: Option<Vec<Alert>>,
    /// What becomes of questions about it that nobody answers.
    escalation: Option<Escalation>,
    /// A question to a person.
    approval: Option<Approval>,
    /// Something outside: the step runs nothing, and ends when it is there. Looked at from where the step would run.
    wait_for: Option<WaitFor>,
    /// It lives until nobody needs it any more: what needs it starts as soon as it is ready. Default: false.
    service: Option<bool>,
    /// When the service is ready. Default: as soon as it has started.
    readiness_probe: Option<Readiness>,
    /// GPUs of the host that each attempt has for itself: dogwatch sets `CUDA_VISIBLE_DEVICES`. It waits until they are free.
    #[schemars(range(max = 1024))]
    gpus: Option<u32>,
    /// Processors of the host that are booked for each attempt. Nothing is limited by it.
    #[schemars(range(min = 0.01))]
    cpus: Option<f64>,
    /// Memory of the host that is booked for each attempt: "16GiB". Nothing is limited by it.
    memory: Option<String>,
}

/// What is waited for: one of the four.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct WaitFor {
    /// An address that answers a GET with a status from 200 to 399.
    http: Option<String>,
    /// "host:port" that takes a connection.
    tcp: Option<String>,
    /// A path at which there is something, relative to the workspace; may begin with `$DOGWATCH_DIR`.
    file: Option<String>,
    /// A script for `sh -e` that ends with 0. It runs often, and must change nothing.
    command: Option<String>,
    /// How often it is looked, by what earlier runs took. Default: 1s to 1m.
    poll: Option<Poll>,
}

/// Two looks are never closer together than `min`, nor farther apart than `max`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Poll {
    min: Option<Duration>,
    max: Option<Duration>,
}

/// When a service is ready: one of the three, looked at from inside its environment until it is.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Readiness {
    /// An address that answers a GET with a status from 200 to 399.
    http: Option<String>,
    /// "host:port" that takes a connection.
    tcp: Option<String>,
    /// A script for `sh -e` that ends with 0.
    command: Option<String>,
    /// Between two looks. Default 1s.
    period: Option<Duration>,
    /// After so many looks in vain the service has failed. Default 60.
    #[schemars(range(min = 1, max = 1_000_000))]
    failure_threshold: Option<u32>,
}

/// An attempt stands still when it shows no sign of life for longer than it ever does and nothing of it computes.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Wait {
    /// Between which spans `check_again_in_s` of `status --json` lies while it runs. Default: 1s to 1h.
    poll: Option<Poll>,
    /// How long neither output nor progress may come, or "never". Default: learned from the run's own rhythm.
    stall_after: Option<StallAfter>,
    /// What is done then. Default: the first rule of `on_failure` that names the class `collective_hang` or an output, else a
    /// person is asked; meanwhile it goes on.
    on_stall: Option<OnStall>,
    /// What the program prints before a pause that is none: regexes, tried on the last line.
    quiet: Option<Vec<String>>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum ProgressKey {
    /// "auto", "tqdm", "rich", "hf-trainer", "lightning", "keras", "percent", "n-of-m", "docker-pull", "cargo", "pytest" or
    /// "json-lines".
    Named(String),
    Own(Progress),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Progress {
    /// A regex with groups `done` (or `current`) and `total`, or `percent`, or `fraction`.
    pattern: String,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Alert {
    /// A condition on metrics: "isnan(loss) or loss > 3 * min(loss, last=200)". There are isnan, isinf, min, max and mean.
    when: String,
    /// Default: the first rule of `on_failure` that names the class `divergence` or an output, else a person is asked;
    /// meanwhile the step goes on.
    action: Option<OnStall>,
    /// What is said then.
    message: Option<String>,
}

/// Either of `pattern` and `file`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Metric {
    /// A regex: every named group that is a number becomes a series.
    pattern: Option<String>,
    /// A file of JSON lines that the step writes: every number becomes a series. Relative to the workspace, or below
    /// `$DOGWATCH_DIR`.
    file: Option<String>,
    /// The group or member that says at which step of the program a value is. Default: one that is called `step`.
    x: Option<String>,
}

/// A duration, or "never".
#[derive(JsonSchema)]
struct StallAfter(#[schemars(regex(pattern = r"^(never|(?=.)(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?)$"))] String);

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum OnStall {
    /// A person is asked.
    Escalate,
    /// It is ended, and begins anew.
    Retry,
    /// It is ended, and a new attempt goes on from the newest good checkpoint.
    Resume,
    /// It is ended, and what needs it goes on without it.
    Skip,
    /// It is ended, and the run with it.
    Abort,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Condition {
    Expression(String),
    Constant(bool),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Unknown {
    Ask,
    Rerun,
    Probe,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Output {
    /// Relative to the workspace, or below `$DOGWATCH_DIR`.
    path: String,
    /// The step does not run again while all that its result depends on is the same: its script, its variables, its inputs and
    /// what lies at their paths. All outputs of a step say so, or none.
    cache: Option<bool>,
}

/// Lists of values by name; every combination is a lane.
#[derive(JsonSchema)]
struct Matrix {
    /// Combinations to leave out.
    exclude: Option<Vec<IndexMap<String, Scalar>>>,
    /// Lanes of this step at once.
    #[schemars(range(min = 1))]
    max_parallel: Option<u32>,
    /// Stop the other lanes when one has failed for good. Default false.
    fail_fast: Option<bool>,
    #[schemars(flatten)]
    axes: IndexMap<String, Axis>,
}

#[derive(JsonSchema)]
struct Axis(#[schemars(length(min = 1))] Vec<Scalar>);

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Checkpoint {
    /// What the program prints when it has saved one: a regex with a group `path` and, if you like, `step`;
    /// other named groups (`loss`) are shown with the checkpoint.
    #[schemars(regex(pattern = r"\(\?P?<path>"))]
    pattern: String,
    /// The variable that tells a new attempt which checkpoint to go on from.
    #[schemars(regex(pattern = "^(?!DOGWATCH_)[A-Za-z_][A-Za-z0-9_]*$"))]
    resume_env: Option<String>,
    /// How often the program saves one; when it is late, that is shown.
    every: Option<Duration>,
    /// A script that must end with 0 before an attempt goes on from the checkpoint `$CHECKPOINT`; else the one before is
    /// tried. It has the step's environment and its `timeout` (without one: 10m), and must be repeatable. Without it, a
    /// checkpoint counts when it is there and not empty.
    verify: Option<String>,
    /// So many good ones stay: older ones that dogwatch saw are removed, but none that is pinned or that something goes on
    /// from, and nothing outside of the workspace and `$DOGWATCH_DIR`. Default: dogwatch removes none.
    #[schemars(range(min = 1, max = 1000))]
    keep: Option<u32>,
    /// Sent before a stop or a time limit ends the program, to each of its processes that handles it, so that it saves a
    /// checkpoint: `USR1`. It has `grace` for that, and then `grace` again to end.
    save_signal: Option<Signal>,
}

/// What to do about a failure.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Rule {
    /// Shown where the rule decided.
    name: Option<String>,
    /// All that is written must hold; without it, the rule matches everything.
    r#match: Option<Match>,
    action: Action,
    /// Over the step's own, key by key.
    retry: Option<Retry>,
    /// The alternative that is taken: its name, or "steps.NAME" for what another step runs.
    r#use: Option<String>,
    /// Arithmetic on variables of the step, each time anew: `{ BATCH = "/ 2", GRAD_ACCUM = "* 2" }`. `memory`, `shm` and
    /// `cpus` are limits of its container: the next attempt has one of its own with more of it.
    change: Option<IndexMap<String, Changed>>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Changed {
    Arithmetic(Arithmetic),
    Raise(Raise),
}

/// A limit of the container, raised each time anew.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Raise {
    /// "* 2", "+ 8GiB"; of cpus "+ 2".
    by: String,
    /// Never beyond this: "64GiB"; of cpus 16.
    max: Option<Amount>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Amount {
    Size(String),
    Cpus(f64),
}

/// "/ 2", "* 2", "+ 1" or "- 1".
#[derive(JsonSchema)]
struct Arithmetic(#[schemars(regex(pattern = r"^\s*[-+*/]\s*[0-9.eE+-]+\s*([KMGTk]?i?B)?\s*$"))] String);

/// A patch over the step: what it does not say stays.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Alternative {
    description: Option<String>,
    /// Instead of the step's.
    run: Option<String>,
    /// Over the step's.
    env: Option<Variables>,
    /// Instead of the step's.
    timeout: Option<Limit>,
    /// It is taken only when a person picks it. Default false.
    requires_approval: Option<bool>,
}

/// Who is told of what.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("oneOf" = [{ "required": ["command"] }, { "required": ["url"] }]))]
struct Notify {
    #[schemars(length(min = 1))]
    on: Vec<Occasion>,
    /// A program with its arguments, started as you; `DOGWATCH_SUMMARY`, `_EVENT`, `_RUN`, `_STEP` and `_JSON` tell it what.
    #[schemars(length(min = 1))]
    command: Option<Vec<String>>,
    /// A JSON object is posted there.
    #[schemars(regex(pattern = "^https?://[^/]"))]
    url: Option<String>,
    /// A question is told again this long after it was told, while nobody has answered it. Default: it is told once.
    remind: Option<Duration>,
}

#[derive(JsonSchema)]
enum Occasion {
    /// A question to a person is open.
    #[schemars(rename = "escalation")]
    Escalation,
    #[schemars(rename = "run.failed")]
    RunFailed,
    #[schemars(rename = "run.succeeded")]
    RunSucceeded,
    /// Stopped or rejected.
    #[schemars(rename = "run.stopped")]
    RunStopped,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Match {
    /// What `dogwatch diagnose` says of it.
    class: Option<OneOrMore<Class>>,
    /// A regex that some line of the attempt's output matches.
    output: Option<String>,
    exit_code: Option<OneOrMore<ExitCode>>,
    /// Like "SIGKILL" or 9.
    signal: Option<OneOrMore<Signal>>,
}

#[derive(JsonSchema)]
struct ExitCode(#[schemars(range(min = 0, max = 255))] i64);

#[derive(JsonSchema)]
#[schemars(untagged)]
enum Signal {
    Name(String),
    Number(#[schemars(range(min = 1, max = 64))] i64),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Action {
    /// A new attempt.
    Retry,
    /// A new attempt with `change`, or with the alternative of `use`.
    RetryModified,
    /// A new attempt from the newest checkpoint.
    Resume,
    /// A new attempt from the start, with the alternative of `use`.
    Alternative,
    /// Go on without the step.
    Skip,
    /// A person decides.
    Escalate,
    /// The run ends as failed.
    Abort,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Approval {
    /// The question. May hold `${{ … }}`.
    prompt: String,
    /// Expressions whose values are shown with the question.
    show: Option<Vec<String>>,
    /// How long the question waits.
    timeout: Option<Limit>,
    /// What happens then.
    on_timeout: Option<OnTimeout>,
    /// It is told again so often, instead of what the rules of `notify` say.
    remind: Option<Duration>,
    /// "key", or "type-name": to approve, the workflow's name is typed. May hold `${{ … }}`.
    confirm: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum OnTimeout {
    Wait,
    Reject,
    Approve,
}

/// What a line of output, or an exit code or a signal alone, means.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Judging {
    /// `dogwatch why` names it.
    #[schemars(regex(pattern = "^[a-z0-9_-]{1,60}$"))]
    id: String,
    class: Class,
    /// The reason (default); what follows from another failure; or what makes its class likelier.
    role: Option<Role>,
    /// A regex for one line.
    pattern: Option<String>,
    /// Another line that must be within `within` lines of it.
    needs: Option<String>,
    /// Another line that must not be within `within` lines of it.
    unless: Option<String>,
    /// Default 40.
    within: Option<u64>,
    /// Where the exit code is known it must be one of these.
    exit_code: Option<OneOrMore<ExitCode>>,
    /// Where it was ended by a signal it must be one of these.
    signal: Option<OneOrMore<Signal>>,
    /// What is advised. Default: what the class advises.
    action: Option<Advice>,
    /// Stronger rules win. Default: plain.
    strength: Option<Strength>,
    /// The line always tells of trouble that was overcome (true), or never (false). Default: its words tell.
    soft: Option<bool>,
    /// It counts although the exit code is 0. Default: false.
    despite_success: Option<bool>,
    /// Output that shows it: `dogwatch validate` judges it. Every rule with a `pattern` has one.
    example: Option<String>,
    /// One sentence for a person.
    means: Option<String>,
}

/// Made of the words that the model has for a choice.
macro_rules! words_of {
    ($name:ident, $all:expr) => {
        struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let words: Vec<&str> = $all.map(|(word, _)| *word).collect();
                json_schema!({ "type": "string", "enum": words })
            }
        }
    };
}

words_of!(Class, model::Class::ALL.iter().filter(|(_, class)| *class != model::Class::None));
words_of!(Role, model::Role::ALL.iter());
words_of!(Advice, model::Advice::ALL.iter());
words_of!(Strength, model::Strength::ALL.iter());
