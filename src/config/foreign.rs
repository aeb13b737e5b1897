//! Words of other tools' files (GitHub Actions, GitLab, Nextflow, dagu, process-compose, Compose, Airflow) and what is written
//! here instead, for the hints of keys that this format does not have. Refuses nothing and reads nothing by itself.

use super::keys::Kind;

/// What to write instead of a key that a table of this kind does not have; `None`: nothing is known of it.
pub(super) fn instead(kind: Kind, key: &str) -> Option<String> {
    let key = plain(key);
    let known = |table: &[(&[&str], &'static str)]| {
        table.iter().find(|(names, _)| names.contains(&key.as_str())).map(|(_, hint)| (*hint).to_owned())
    };
    table(kind).and_then(known).or_else(|| elsewhere(kind, &key))
}

/// `runs-on`, `runsOn` and `runs_on` are one word.
fn plain(key: &str) -> String {
    let mut plain = String::new();
    for c in key.chars().take(80) {
        match c {
            '-' | ' ' => plain.push('_'),
            c if c.is_ascii_uppercase() => {
                if plain.chars().last().is_some_and(|before| before.is_ascii_lowercase()) {
                    plain.push('_');
                }
                plain.push(c.to_ascii_lowercase());
            }
            c => plain.push(c),
        }
    }
    plain
}

/// The key is one of this format, and belongs into another table.
fn elsewhere(kind: Kind, key: &str) -> Option<String> {
    let (file, workflow, environment, step) =
        (kind == Kind::File, kind == Kind::Workflow, kind == Kind::Environment, kind == Kind::Step);
    let of = |other: Kind| other.keys().contains(&key);
    Some(if file && of(Kind::Workflow) {
        format!("`{key}` belongs into [workflow]")
    } else if file && of(Kind::Environment) {
        format!("`{key}` belongs into [environment]")
    } else if file && of(Kind::Defaults) {
        format!("`{key}` belongs into [defaults], or into a step")
    } else if workflow && of(Kind::File) {
        format!("`{key}` stands outside of [workflow], above it or as a table of its own")
    } else if (file || workflow || environment) && of(Kind::Step) {
        format!("`{key}` belongs into a step: [steps.NAME]")
    } else if (workflow || step) && of(Kind::Environment) {
        format!(
            "`{key}` belongs into [environment]; of some steps into [environments.NAME], with environment = \"NAME\" in each"
        )
    } else if step && of(Kind::Retry) {
        "it belongs into `retry`: retry = { max_attempts = 3, delay = \"30s\" }".to_owned()
    } else if step && of(Kind::Wait) {
        format!("`{key}` belongs into [steps.NAME.wait]")
    } else if step && of(Kind::Checkpoint) {
        format!("`{key}` belongs into [steps.NAME.checkpoint]")
    } else {
        return None;
    })
}

/// Words of other tools, with what is written here.
type Words = &'static [(&'static [&'static str], &'static str)];

fn table(kind: Kind) -> Option<Words> {
    match kind {
        Kind::File => Some(FILE),
        Kind::Workflow => Some(WORKFLOW),
        Kind::Param => Some(PARAM),
        Kind::Environment => Some(ENVIRONMENT),
        Kind::Retry => Some(RETRY),
        Kind::Step => Some(STEP),
        Kind::Checkpoint => Some(CHECKPOINT),
        Kind::Notify => Some(NOTIFY),
        Kind::WaitFor => Some(WAIT_FOR),
        Kind::Readiness => Some(READINESS),
        Kind::Secret
        | Kind::Mount
        | Kind::Defaults
        | Kind::Output
        | Kind::Approval
        | Kind::Rule
        | Kind::Match
        | Kind::Alternative
        | Kind::Wait
        | Kind::Progress
        | Kind::Metric
        | Kind::Alert
        | Kind::Judging
        | Kind::Raise
        | Kind::Escalation
        | Kind::Poll => None,
    }
}

const PARALLEL: &str =
    "max_parallel in [workflow] limits steps and lanes at once; in [steps.NAME.matrix] the lanes of one step";
const SCHEDULE: &str =
    "remove it: a run is started by a person or a program, as by a line of cron with `dogwatch run --detach`";
const PLACE: &str = "[environment] says where steps run: in a container with an `image`, without one on this machine";

const FILE: Words = &[
    (
        &["jobs", "job", "tasks", "processes", "process", "services", "stages", "dag", "nodes"],
        "each is a step: [steps.NAME] with `run`",
    ),
    (&["schedule", "cron", "triggers"], SCHEDULE),
    (&["vars", "variables"], "variables of all steps are in [env]; what a run is given is in [params]"),
    (
        &["inputs", "parameters", "args"],
        "what a run is given is in [params]: NAME = { type = \"string\", default = \"…\" }",
    ),
    (&["container", "docker", "runs_on", "executor", "profiles"], PLACE),
    (&["volumes"], "folders of this machine for containers: `mounts` in [environment]"),
    (&["concurrency", "parallelism", "max_active_runs", "max_active_steps"], PARALLEL),
    (&["permissions", "networks"], "remove it"),
    (
        &["handler_on", "hooks", "on_failure", "on_success"],
        "who is told: [[notify]]; what is done after a failure: a step with if = \"failed(steps.NAME)\"",
    ),
    (&["matrix", "strategy"], "a matrix belongs to a step: [steps.NAME.matrix]"),
];

const WORKFLOW: Words = &[
    (&["concurrency", "parallelism", "max_concurrency"], PARALLEL),
    (&["schedule", "cron", "on", "triggers"], SCHEDULE),
    (&["id", "title"], "`name` is what it is called"),
    (&["timeout_minutes", "timeout_seconds", "timeout_sec", "time"], "timeout = \"12h\""),
];

const PARAM: Words = &[
    (&["required"], "a parameter without `default` must be given"),
    (&["enum", "options", "values", "allowed"], "choices = [\"a\", \"b\"]"),
    (&["help", "doc"], "it is called `description`"),
    (&["value"], "it is called `default`; another value is given by -p NAME=VALUE"),
];

const ENVIRONMENT: Words = &[
    (&["container", "docker"], "image = \"NAME:TAG\""),
    (&["volumes"], "mounts = [\"data:/data:ro\"]"),
    (&["workdir", "working_dir", "working_directory", "cwd"], "the folder that steps work in is `workspace`"),
    (&["variables", "vars", "environment", "env"], "variables are in [env], and in `env` of a step"),
    (&["shm_size"], "it is called `shm`"),
    (&["cap_add", "privileged"], "single capabilities: caps = [\"SYS_PTRACE\"]"),
    (&["build", "dockerfile"], "build the image before, and name it: image = \"NAME:TAG\""),
    (&["ports", "expose"], "remove it: steps of a run reach each other by the name of their environment"),
    (&["mem", "memory_limit", "mem_limit"], "memory = \"16GiB\""),
];

const RETRY: Words = &[
    (
        &["limit", "max_retries", "retries", "max_restarts", "attempts", "max", "count"],
        "max_attempts = 3, the first one counted",
    ),
    (&["interval", "interval_sec", "initial_delay", "wait", "seconds", "backoff_seconds"], "delay = \"30s\""),
    (&["factor", "multiplier", "exponential"], "backoff = 2.0: each delay is so many times the one before"),
    (&["max_interval", "max_interval_sec"], "max_delay = \"10m\""),
    (
        &["exit_code", "on", "when", "if"],
        "which failures are tried again says a rule: [[steps.NAME.on_failure]] with `match` and action = \"retry\"",
    ),
];

const TIMEOUT: &str = "timeout = \"10m\"";
const TRY_AGAIN: &str = "retry = { max_attempts = 3, delay = \"30s\" }; by cause: [[steps.NAME.on_failure]]";

const STEP: Words = &[
    (&["name", "id", "label", "title"], "a step is called what stands in [steps.NAME]; `description` says more"),
    (&["runs_on", "executor", "queue", "node_selector"], PLACE),
    (&["container", "docker"], "it is called `image`; how containers are made stands in [environment]"),
    (&["timeout_minutes", "timeout_seconds", "timeout_sec", "time", "time_limit", "active_deadline_seconds"], TIMEOUT),
    (&["continue_on_error", "continue_on", "ignore_errors", "can_fail", "soft_fail"], "allow_failure = true"),
    (
        &["working_directory", "workdir", "working_dir", "cwd", "chdir", "dir"],
        "steps begin in the workspace: write `cd FOLDER` as the first line of `run`",
    ),
    (
        &["shell", "interpreter"],
        "`run` is a script for sh -e; with #!/bin/bash -e, or another program, as its first line for that",
    ),
    (&["strategy"], "[steps.NAME.matrix] has lists as axes, and `exclude`, `max_parallel`, `fail_fast`"),
    (&["fail_fast", "max_parallel", "exclude"], "it belongs into [steps.NAME.matrix]"),
    (&["include"], "[steps.NAME.matrix] has lists as axes; what is not wanted goes by `exclude`"),
    (&["max_forks", "parallelism", "concurrency", "parallel", "replicas"], PARALLEL),
    (
        &[
            "script",
            "command",
            "commands",
            "cmd",
            "exec",
            "entrypoint",
            "args",
            "before_script",
            "bash",
            "python",
            "argv",
        ],
        "the script of a step is `run`",
    ),
    (&["uses", "action", "plugin"], "there are no actions: `run` has the commands themselves"),
    (&["with", "vars", "variables", "environment_variables"], "env = { NAME = \"value\" }"),
    (
        &["depends", "depends_on", "after", "dependencies", "requires", "upstream", "upstream_tasks"],
        "needs = [\"NAME\"]",
    ),
    (&["error_strategy"], "retry = { max_attempts = 3 }, or allow_failure = true; by cause: [[steps.NAME.on_failure]]"),
    (
        &[
            "max_retries",
            "retries",
            "max_errors",
            "retry_policy",
            "retry_delay",
            "backoff_limit",
            "restart",
            "availability",
        ],
        TRY_AGAIN,
    ),
    (&["artifacts", "artifact", "publish_dir", "produces", "output"], "outputs = { NAME = { path = \"FILE\" } }"),
    (
        &["cache", "store_dir"],
        "outputs = { NAME = { path = \"FILE\", cache = true } }, and `inputs`: an unchanged step is not run again",
    ),
    (
        &["input", "consumes"],
        "inputs = { NAME = \"FILE\" }: the script sees $NAME, and what the file holds counts for `cache`",
    ),
    (
        &["when", "rules", "preconditions", "condition", "unless", "only", "only_if"],
        "if = \"params.full\" or another expression",
    ),
    (&["services"], "a service is a step of its own with service = true, and others need it"),
    (
        &["healthcheck", "health_check", "liveness_probe"],
        "readiness_probe = { http = \"http://127.0.0.1:8080/\" }, of a step with service = true",
    ),
    (&["accelerator", "gpu", "devices"], "gpus = 1"),
    (&["mem", "memory_limit", "mem_limit"], "memory = \"4GiB\""),
    (&["cpu", "threads"], "cpus = 2"),
    (&["resources"], "gpus = 1, cpus = 2 and memory = \"4GiB\" stand in the step itself"),
    (&["volumes"], "`mounts` in [environment]"),
    (&["schedule", "cron"], SCHEDULE),
    (
        &["on_error", "on_exit", "on_success", "on_complete", "handlers", "handler_on", "hooks", "after_script"],
        "what is done afterwards is a step with if = \"failed(steps.NAME)\"; who is told: [[notify]]",
    ),
    (&["process"], "a step is [steps.NAME]; its script is `run`"),
];

const CHECKPOINT: Words = &[
    (
        &["path", "file", "dir", "glob"],
        "`pattern` tells from the output where one is: 'Saved checkpoint (?P<path>\\S+) at step (?P<step>\\d+)'",
    ),
    (&["interval", "every_steps", "save_every"], "every = \"30m\": how often one is expected"),
    (
        &["resume", "resume_from", "resume_arg"],
        "resume_env = \"RESUME\": the variable that holds its path in the next attempt",
    ),
];

const NOTIFY: Words = &[
    (&["webhook", "slack", "endpoint"], "url = \"https://…\""),
    (
        &["email", "mail", "to", "exec", "run", "script"],
        "command = [\"notify-send\", \"dogwatch\", \"$DOGWATCH_SUMMARY\"], or another program",
    ),
    (&["events", "when", "event"], "on = [\"escalation\", \"run.failed\", \"run.succeeded\"]"),
];

const WAIT_FOR: Words = &[
    (&["url"], "http = \"http://…\""),
    (&["port", "address", "host"], "tcp = \"HOST:PORT\""),
    (&["path", "exists"], "file = \"PATH\""),
    (&["cmd", "run", "exec", "script"], "command = \"…\": it is over when that ends well"),
    (&["interval", "every"], "poll = { min = \"5s\", max = \"5m\" }"),
    (&["timeout_seconds", "timeout"], "`timeout` stands in the step itself"),
];

const READINESS: Words = &[
    (&["http_get", "url"], "http = \"http://127.0.0.1:8080/\""),
    (&["exec", "cmd", "run", "test"], "command = \"…\": ready when that ends well"),
    (&["tcp_socket", "port"], "tcp = \"127.0.0.1:8080\""),
    (&["period_seconds", "interval"], "period = \"2s\""),
    (&["retries"], "failure_threshold = 30"),
    (
        &["initial_delay_seconds", "initial_delay", "start_period"],
        "remove it: the step may fail its probe `failure_threshold` times",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_is_a_key_of_its_own_table_or_there_twice() {
        let mut count = 0;
        for kind in Kind::ALL {
            let mut seen = std::collections::BTreeSet::new();
            for (names, hint) in table(kind).unwrap_or_default() {
                assert!(!hint.is_empty());
                for name in *names {
                    count += 1;
                    assert_eq!(plain(name), *name, "{kind:?}: it would never be found");
                    assert!(!kind.keys().contains(name), "{kind:?} has `{name}` itself");
                    assert!(
                        !kind.not_yet().iter().any(|known| known.key == *name),
                        "{kind:?}: `{name}` is told already"
                    );
                    assert!(seen.insert(name), "{kind:?}: `{name}` is there twice");
                }
            }
        }
        assert!(count > 100, "{count}");
    }

    #[test]
    fn one_word_in_all_its_spellings() {
        for word in ["runs-on", "runsOn", "runs_on", "Runs On"] {
            assert_eq!(plain(word), "runs_on");
        }
        assert_eq!(plain("timeoutMinutes"), "timeout_minutes");
    }
}
