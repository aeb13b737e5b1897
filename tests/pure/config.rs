//! The workflow file: what is read, and how each mistake is told.

#[path = "config/broken.rs"]
mod broken;
#[path = "config/told.rs"]
mod told;
#[path = "config/values.rs"]
mod values;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use dogwatch::config::{self, Kind, Loaded, Place, Problems};
use dogwatch::model::{Action, OnUnknown, Part, StepId, StepWhat, Template, Value};

const COMPLETE: &str = include_str!("data/complete.dogwatch.toml");
const CORE: &str = include_str!("data/core.dogwatch.toml");

fn parse(source: &str) -> Result<Loaded, Problems> {
    config::parse(source, "flow.toml", Path::new("/proj"), &[])
}

/// All problems as people see them.
fn shown(source: &str) -> String {
    match parse(source) {
        Ok(loaded) => panic!("nothing was wrong; warnings: {}", loaded.warnings),
        Err(problems) => problems.to_string(),
    }
}

/// What is said about each of several files: `line:column message; hint`.
fn told(head: &str, files: &[&str]) -> String {
    let mut text = String::new();
    for file in files {
        let _ = writeln!(text, "{}", file.trim().replace('\0', "\\0"));
        let problems = match parse(&format!("{head}{file}")) {
            Ok(loaded) => loaded.warnings,
            Err(problems) => problems,
        };
        if problems.is_empty() {
            text.push_str("    fine\n");
        }
        for problem in &problems.list {
            let place = match &problem.place {
                Place::Source { line, column, .. } => format!("{line}:{column}"),
                Place::Argument(argument) => format!("-p {argument}"),
                Place::File => "file".into(),
            };
            let hint = problem.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
            let _ = writeln!(text, "    {} {place} {}{hint}", problem.severity, problem.message);
        }
    }
    text
}

const STEP: &str = "version = 1\n[steps.a]\nrun = 'true'\n";

fn id(name: &str) -> StepId {
    StepId::new(name).expect("the name is a constant")
}

#[test]
fn lanes_are_numbered_in_the_files_order_and_the_first_key_is_slowest() {
    let loaded = parse(&format!(
        "{STEP}[steps.a.matrix]\nlr = ['1e-4', '1e-3']\nseed = [1, 2]\nexclude = [{{ lr = '1e-3', seed = 1 }}]\nmax_parallel = 2\nfail_fast = true\n"
    ));
    let step = &loaded.unwrap().workflow.steps[&id("a")];
    let labels: Vec<String> = step.lanes.iter().map(|lane| format!("{} {}", lane.lane, lane.label())).collect();
    assert_eq!(labels, ["0 lr=1e-4,seed=1", "1 lr=1e-4,seed=2", "2 lr=1e-3,seed=2"]);
    assert_eq!((step.has_matrix, step.lanes_at_once, step.fail_fast), (true, Some(2), true));
}

#[test]
fn a_rule_that_says_retry_and_not_how_often_gives_three_attempts() {
    let attempts = |step: &str| {
        let loaded = parse(&format!("version = 1\n[steps.a]\nrun = 'true'\n{step}")).expect("the file is right");
        loaded.workflow.steps[&id("a")].on_failure[0].retry.as_ref().map(|retry| retry.max_attempts)
    };
    assert_eq!(attempts("on_failure = [{ action = 'retry' }]"), Some(3));
    assert_eq!(attempts("on_failure = [{ action = 'retry', retry = { max_attempts = 5 } }]"), Some(5));
    // The step's own counts where it says something.
    assert_eq!(attempts("retry = { max_attempts = 2 }\non_failure = [{ action = 'retry' }]"), None);
}

#[test]
fn every_example_is_read_without_a_word() {
    let mut seen = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/workflows")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let loaded = config::load(&path, &[]).unwrap_or_else(|problems| panic!("{problems}"));
            assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
            seen += 1;
        }
    }
    assert!(seen > 0, "there are no examples");
}

#[test]
fn every_supported_key_is_read() {
    let loaded = config::parse(CORE, "core.dogwatch.toml", Path::new("/proj"), &[]).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let flow = loaded.workflow;
    let told = (flow.name.as_str(), flow.max_parallel, flow.timeout, flow.environment.workspace.as_str());
    assert_eq!(told, ("core", 3, Some(Duration::from_hours(12)), "/proj"));
    assert_eq!(flow.env["THREADS"], Template(vec![Part::Text("2".into())]));
    assert_eq!(flow.params["rate"], Value::Number(1e-3));
    let mounts: Vec<_> = flow.environment.mounts.iter().map(|m| (m.target.as_str(), m.readonly)).collect();
    assert_eq!(mounts, [("/data", true), ("/cache", false)]);
    assert_eq!(flow.environment.mounts[0].source, "/proj/data");
    assert!(flow.environment.mounts[1].source.ends_with("/cache") && !flow.environment.mounts[1].source.contains('~'));

    let prepare = &flow.steps[&id("prepare")];
    assert_eq!(prepare.timeout, Some(Duration::from_mins(45)));
    assert_eq!((prepare.grace, prepare.retry.max_attempts), (Duration::from_secs(20), 3), "defaults hold");

    let train = &flow.steps[&id("train")];
    assert_eq!(train.needs, [id("prepare")]);
    assert_eq!((train.lanes.len(), train.lanes_at_once), (3, Some(2)));
    assert_eq!((train.grace, train.timeout), (Duration::from_secs(90), Some(Duration::from_hours(2))));
    assert_eq!(
        (train.retry.max_attempts, train.retry.delay),
        (5, Duration::from_secs(30)),
        "retry is merged key by key"
    );
    assert_eq!(train.on_unknown, OnUnknown::Probe { script: "test -e done".into() });
    assert_eq!(train.checkpoint.as_ref().unwrap().resume_env.as_deref(), Some("RESUME"));
    let rules: Vec<_> = train.on_failure.iter().map(|rule| (rule.name.as_str(), rule.action)).collect();
    assert_eq!(rules, [("network", Action::Retry), ("rule 2", Action::Resume), ("rule 3", Action::Escalate)]);
    let retry = train.on_failure[0].retry.as_ref().unwrap();
    assert_eq!((retry.max_attempts, retry.delay), (6, Duration::from_mins(1)));
    assert_eq!(retry.max_delay, Duration::from_mins(10), "a rule's retry is merged over the step's");
    assert_eq!(
        (&train.on_failure[1].matcher.exit_code[..], &train.on_failure[1].matcher.signal[..]),
        (&[137, 143][..], &[9][..])
    );

    let StepWhat::Approval(gate) = &flow.steps[&id("review")].what else { panic!("review is a question") };
    assert_eq!(gate.show, ["steps.prepare.outputs.dataset", "params.epochs"]);
    assert_eq!(gate.prompt.0[1], Part::Expression("params.model".into()));
    assert_eq!(gate.timeout, Some(Duration::from_hours(24)));
    let cleanup = &flow.steps[&id("cleanup")];
    assert_eq!((cleanup.allow_failure, &cleanup.on_unknown), (true, &OnUnknown::Rerun));
    assert_eq!(cleanup.condition.as_deref(), Some("failed(steps.train)"));
}

#[test]
fn every_key_of_the_whole_format_is_supported_or_refused_by_name() {
    let problems = config::parse(COMPLETE, "complete.dogwatch.toml", Path::new("/proj"), &[]).unwrap_err();
    assert_eq!(problems.more, 0);
    for problem in &problems.list {
        assert!(problem.message.ends_with("is not supported yet"), "{}", problem.message);
        assert!(problem.hint.is_some(), "{} has no hint", problem.message);
    }
    let mut refused: Vec<&str> = problems.list.iter().map(|problem| problem.message.as_str()).collect();
    refused.sort_unstable();
    refused.dedup();
    insta::assert_snapshot!(refused.join("\n").replace(" is not supported yet", ""), @r#"
    `agent` in [steps.triage]
    `format` in output `scores` of [steps.evaluate]
    `prompt` in [steps.triage]
    "#);
    // Keys that only the table below the example names.
    let problems = parse("version = 1\n[steps.a]\nrun = 'true'\nagent_input = 1\n").unwrap_err();
    let [problem] = &problems.list[..] else { panic!("{problems}") };
    assert_eq!(problem.message, "`agent_input` in [steps.a] is not supported yet");
}

#[test]
fn a_mistake_about_services_waits_and_gpus_is_told_where_it_is() {
    for (lines, place, told) in [
        ("wait_for = { }", (3, 1), "`wait_for` of [steps.a] does not say what is looked at"),
        ("wait_for = { http = 'x.example' }", (3, 21), "is no address"),
        ("wait_for = { tcp = 'db' }", (3, 20), "is no host with a port"),
        ("wait_for = { tcp = 'db:0' }", (3, 20), "is no host with a port"),
        ("wait_for = { file = 'a', tcp = 'b:1' }", (3, 14), "looks at more than one thing"),
        ("wait_for = { file = 'a', poll = { min = '10ms' } }", (3, 41), "is too short"),
        ("wait_for = { file = 'a', poll = { min = '9s', max = '2s' } }", (3, 53), "is shorter than `min`"),
        ("wait_for = { file = 'b', files = 'a' }", (3, 26), "unknown key `files`"),
        ("wait_for = { file = 'a' }\nrun = 'true'", (3, 1), "has both `run` and `wait_for`"),
        ("wait_for = { file = 'a' }\nverify = 'true'", (4, 1), "`verify` has no meaning"),
        ("wait_for = { file = 'a' }\ngpus = 1", (4, 1), "`gpus` has no meaning"),
        ("run = 'true'\nreadiness_probe = { tcp = 'x:1' }", (4, 1), "and is no service"),
        ("run = 'true'\nservice = true\nverify = 'true'", (5, 1), "a service has no end of its own"),
        ("run = 'true'\nservice = true\nreadiness_probe = { tcp = 'x:1', file = 'x' }", (5, 34), "unknown key `file`"),
        (
            "run = 'true'\nservice = true\nreadiness_probe = { tcp = 'x:1', failure_threshold = 0 }",
            (5, 54),
            "must be 1 to",
        ),
        ("run = 'true'\ngpus = -1", (4, 8), "must be 0 to 1024"),
        ("run = 'true'\ncpus = 0", (4, 8), "must be a finite number of at least 0.01"),
        ("run = 'true'\nmemory = 16", (4, 10), "must be a size like"),
        ("run = 'true'\ngpus = 1\nenv = { CUDA_VISIBLE_DEVICES = '0' }", (5, 9), "dogwatch says which ones"),
        ("run = 'true'\ngpus = 1\n[environment]\nimage = 'x'", (4, 8), "wants 1 GPU(s), and its container has 0"),
    ] {
        let problems = parse(&format!("version = 1\n[steps.a]\n{lines}\n")).unwrap_err();
        let first = &problems.list[0];
        assert!(first.message.contains(told), "{lines}: {}", first.message);
        let at = (place.0, place.1);
        assert!(
            matches!(first.place, Place::Source { line, column, .. } if (line, column) == at),
            "{lines}: {:?}, {}",
            first.place,
            first.message
        );
    }
    let flow = parse(
        "version = 1\n[steps.s]\nrun = 'true'\nservice = true\n[steps.w]\nneeds = ['s']\nwait_for = { http = 'http://${{ params.h }}/' }\n\
         [params]\nh = { type = 'string', default = 'x' }\n[steps.t]\nrun = 'true'\nneeds = ['w']\ngpus = 2\ncpus = 1.5\nmemory = '1GiB'\n",
    )
    .unwrap()
    .workflow;
    assert_eq!(flow.steps[&id("s")].service, Some(dogwatch::model::Service::default()));
    let StepWhat::WaitFor(wait) = &flow.steps[&id("w")].what else { panic!("it waits") };
    assert_eq!(wait.poll, (Duration::from_secs(1), Duration::from_secs(60)));
    let demand = dogwatch::model::Demand { gpus: 2, milli_cpus: 1500, memory: 1 << 30 };
    assert_eq!(flow.steps[&id("t")].demand, demand);
}

#[test]
fn files_are_read_from_disk_with_their_folder_as_base() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let load = |path: &Path| config::load(path, &[]).map_err(|problems| problems.list[0].clone());
    let good = write("Tiny LM.dogwatch.toml", STEP.as_bytes());
    let loaded = load(&good).unwrap();
    assert_eq!(loaded.workflow.name, "tiny-lm");
    assert_eq!(Path::new(&loaded.workflow.environment.workspace), folder.path());
    let frozen = config::parse(&loaded.source, good.to_str().unwrap(), folder.path(), &[]).unwrap();
    assert_eq!(frozen.workflow, loaded.workflow, "the frozen copy reads the same");

    let problem = load(&folder.path().join("none.toml")).unwrap_err();
    assert!(problem.message.starts_with("the file cannot be read: No such file"), "{}", problem.message);
    assert_eq!(load(folder.path()).unwrap_err().message, "this is a folder");
    let latin = write("latin.toml", b"version = 1\n[steps.a]\nrun = 'caf\xe9'\n");
    let problem = load(&latin).unwrap_err();
    assert_eq!(problem.message, "this is not UTF-8");
    assert!(matches!(problem.place, Place::Source { line: 3, column: 11, .. }), "{:?}", problem.place);
    let gone = write("gone.toml", format!("{STEP}[environment]\nworkspace = 'gone'\n").as_bytes());
    assert!(load(&gone).unwrap_err().message.contains("the workspace cannot be used"));
    let file = write("file.toml", format!("{STEP}[environment]\nworkspace = './gone.toml'\n").as_bytes());
    assert!(load(&file).unwrap_err().message.contains("the workspace is not a folder"));
    assert!(load(Path::new("/dev/zero")).unwrap_err().message.contains("larger than 4 MiB"));

    let asks = write("asks.toml", format!("{STEP}[params]\nn = {{ type = 'integer' }}\n").as_bytes());
    assert!(load(&asks).unwrap_err().message.contains("has no default and no value"));
    let looked = config::inspect(&asks, &[]).unwrap();
    assert_eq!(looked.warnings.list.len(), 1, "to look at a file needs no values");
    assert!(config::load(&asks, &[("n".into(), "3".into())]).is_ok());
}

#[test]
fn the_schema_knows_exactly_the_supported_keys() {
    let schema: serde_json::Value = serde_json::from_str(&config::schema()).unwrap();
    for kind in Kind::ALL {
        let table = match kind {
            Kind::File => &schema,
            Kind::Workflow => &schema["definitions"]["About"],
            Kind::Mount => &schema["definitions"]["LongMount"],
            Kind::Param
            | Kind::Secret
            | Kind::Environment
            | Kind::Defaults
            | Kind::Retry
            | Kind::Step
            | Kind::Output
            | Kind::Checkpoint
            | Kind::Approval
            | Kind::Rule
            | Kind::Match
            | Kind::Alternative
            | Kind::Notify
            | Kind::Wait
            | Kind::Progress
            | Kind::Metric
            | Kind::Alert
            | Kind::Judging
            | Kind::Raise
            | Kind::Escalation
            | Kind::WaitFor
            | Kind::Poll
            | Kind::Readiness => &schema["definitions"][format!("{kind:?}")],
        };
        assert_eq!(table["additionalProperties"], false, "{kind:?}");
        let mut described: Vec<&str> = table["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut known = kind.keys().to_vec();
        described.sort_unstable();
        known.sort_unstable();
        assert_eq!(described, known, "{kind:?}");
    }
    assert!(!config::schema().contains("\"null\""), "TOML has no null");
}

#[test]
fn a_command_becomes_a_workflow_that_runs_exactly_it() {
    let script = |argv: &[&str]| {
        let argv: Vec<String> = argv.iter().map(|word| (*word).into()).collect();
        let source = config::for_command(&argv, None).unwrap();
        let loaded = config::parse(&source, "exec", Path::new("/proj"), &[]);
        let flow = loaded.unwrap_or_else(|problems| panic!("{problems}\n{source}")).workflow;
        assert_eq!(flow.steps.len(), 1);
        let StepWhat::Run { script } = &flow.steps[&id("run")].what else { panic!("it is a script") };
        (flow.name.clone(), script.clone())
    };
    assert_eq!(script(&["make", "test"]), ("make".into(), "exec make test".into()));
    let python = script(&["/usr/bin/Python3", "-c", "print('a b')"]);
    assert_eq!(python, ("python3".into(), r"exec /usr/bin/Python3 -c 'print('\''a b'\'')'".into()));
    let odd = script(&["echo", "", "$HOME", "a\nb", "\u{1b}\u{7f}\"\\", "é", "*", "a\r\nb"]).1;
    assert_eq!(odd, "exec echo '' '$HOME' 'a\nb' '\u{1b}\u{7f}\"\\' 'é' '*' 'a\r\nb'");
    assert_eq!(script(&["echo", "${{ params.x }}"]).1, "exec echo '$''{{ params.x }}'");
    assert_eq!(config::for_command(&[], None).unwrap_err(), config::NotToml::Empty);
    assert_eq!(config::for_command(&["a".into(), "b\0".into()], None).unwrap_err(), config::NotToml::Nul { n: 2 });
    let named = config::for_command(&["true".into()], Some("Night job")).unwrap();
    assert_eq!(config::parse(&named, "exec", Path::new("/proj"), &[]).unwrap().workflow.name, "night-job");
}
