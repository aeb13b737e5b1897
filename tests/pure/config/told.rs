//! How mistakes look to people: place, source line, hint.

use super::{STEP, id, parse, shown, told};
use dogwatch::config;
use dogwatch::model::{EscalationSpec, Raising, Resource, StepWhat, Unanswered};

#[test]
fn a_misspelt_key_is_told_with_its_line_and_the_nearest_name() {
    insta::assert_snapshot!(shown(r#"version = 1
[steps.prepare]
run = "python3 prepare.py"

[steps.train]
need = ["prepare"]
run = "python3 train.py"
timeout = "8 hours"
"#), @r#"
    error: unknown key `need` in [steps.train]
     --> flow.toml:6:1
      |
    6 | need = ["prepare"]
      | ^^^^
      = hint: did you mean `needs`?

    error: "8 hours" is not a duration: `timeout` in [steps.train]
     --> flow.toml:8:11
      |
    8 | timeout = "8 hours"
      |           ^^^^^^^^^
      = hint: write "8h"
    "#);
}

#[test]
fn a_key_of_a_later_version_is_refused_by_name() {
    insta::assert_snapshot!(shown(r#"version = 1
[steps.train]
run = "python3 train.py"
agent = 1
"#), @r#"
    error: `agent` in [steps.train] is not supported yet
     --> flow.toml:4:1
      |
    4 | agent = 1
      | ^^^^^
      = hint: remove the step, or start the agent's command in `run`
    "#);
}

#[test]
fn an_environment_that_is_not_there_is_told_with_the_one_that_is() {
    insta::assert_snapshot!(shown(r#"version = 1
[environments.serving]
image = "bb:1"
keep = "sometimes"
[environments.default]
image = "bb:1"
[environments.Two]
image = "bb:1"
[steps.a]
run = "true"
environment = "servin"
[steps.b]
run = "true"
environment = "elsewhere"
[steps.c]
run = "true"
snapshot = true
[steps.d]
run = "true"
environment = "serving"
snapshot = true
fresh = "yes"
"#), @r#"
    error: `keep` in [environments.serving] must be "never", "failed" or "always", not "sometimes"
     --> flow.toml:4:8
      |
    4 | keep = "sometimes"
      |        ^^^^^^^^^^^

    error: the environment `default` is the one of [environment]
     --> flow.toml:5:15
      |
    5 | [environments.default]
      |               ^^^^^^^
      = hint: write [environment], or choose another name

    error: an environment cannot be called `Two`: it must start with a-z or 0-9
     --> flow.toml:7:15
      |
    7 | [environments.Two]
      |               ^^^
      = hint: [environments.two]

    error: step a runs in "servin", and there is no such environment
      --> flow.toml:11:15
       |
    11 | environment = "servin"
       |               ^^^^^^^^
       = hint: did you mean "serving"?

    error: step b runs in "elsewhere", and there is no such environment
      --> flow.toml:14:15
       |
    14 | environment = "elsewhere"
       |               ^^^^^^^^^^^
       = hint: add [environments.elsewhere] with an `image`

    error: `snapshot` in [steps.c] needs a container: the sandbox has nothing to keep
      --> flow.toml:17:1
       |
    17 | snapshot = true
       | ^^^^^^^^
       = hint: give its environment an `image`, or remove it; `outputs` keep what the step wrote

    error: `fresh` in [steps.d] must be true or false, not a text
      --> flow.toml:22:9
       |
    22 | fresh = "yes"
       |         ^^^^^
    "#);
}

#[test]
fn an_expression_in_a_script_is_refused_with_the_fix() {
    insta::assert_snapshot!(shown(r#"version = 1
[params]
model = { type = "string", default = "gpt2" }
[steps.train]
run = """
set -x
python3 train.py --model ${{ params.model }}
"""
"#), @r#"
    error: `run` in [steps.train] cannot hold an expression: values enter a script as variables
     --> flow.toml:7:26
      |
    7 | python3 train.py --model ${{ params.model }}
      |                          ^^^
      = hint: write env = { MODEL = "${{ params.model }}" } and use "$MODEL" in the script
    "#);
}

#[test]
fn steps_that_need_each_other_are_told_as_a_path() {
    insta::assert_snapshot!(shown(r#"version = 1
[steps.a]
needs = ["b"]
run = "true"
[steps.b]
needs = ["c"]
run = "true"
[steps.c]
needs = ["a"]
run = "true"
[steps.d]
needs = ["d", "a", "a", "preparee"]
run = "true"
[steps.prepare]
run = "true"
"#), @r#"
    error: steps need each other in a circle: a -> b -> c -> a
     --> flow.toml:9:10
      |
    9 | needs = ["a"]
      |          ^^^
      = hint: a -> b: a needs b; remove one of these needs

    error: step d needs itself
      --> flow.toml:12:10
       |
    12 | needs = ["d", "a", "a", "preparee"]
       |          ^^^
       = hint: remove it

    error: step d needs a twice
      --> flow.toml:12:20
       |
    12 | needs = ["d", "a", "a", "preparee"]
       |                    ^^^
       = hint: remove one of them

    error: step d needs `preparee`, and there is no such step
      --> flow.toml:12:25
       |
    12 | needs = ["d", "a", "a", "preparee"]
       |                         ^^^^^^^^^^
       = hint: did you mean `prepare`?
    "#);
}

#[test]
fn all_problems_of_a_file_are_told_at_once_in_its_order() {
    insta::assert_snapshot!(shown(r#"version = 1
[workflow]
max_parallel = 0
[steps.a]
run = 3
grace = "soon"
[steps.a.checkpoint]
pattern = 'saved (\S+'
[[steps.a.on_failure]]
action = "retyr"
match = { signal = "SIGKIL", exit_code = [256] }
"#), @r#"
    error: `max_parallel` in [workflow] must be 1 to 4294967295
     --> flow.toml:3:16
      |
    3 | max_parallel = 0
      |                ^

    error: `run` in [steps.a] must be a text, not an integer
     --> flow.toml:5:7
      |
    5 | run = 3
      |       ^
      = hint: write "3"

    error: "soon" is not a duration: `grace` in [steps.a]
     --> flow.toml:6:9
      |
    6 | grace = "soon"
      |         ^^^^^^
      = hint: write it like "90s", "45m", "1h30m", "500ms" or "2d"

    error: `pattern` in [steps.a.checkpoint] is not a pattern: unclosed group
     --> flow.toml:8:11
      |
    8 | pattern = 'saved (\S+'
      |           ^^^^^^^^^^^^
      = hint: the syntax is that of docs.rs/regex

    error: `action` in rule 1 of [steps.a] must be "retry", "retry_modified", "resume", "alternative", "skip", "escalate" or "abort", not "retyr"
      --> flow.toml:10:10
       |
    10 | action = "retyr"
       |          ^^^^^^^
       = hint: did you mean "retry"?

    error: there is no signal "SIGKIL"
      --> flow.toml:11:20
       |
    11 | match = { signal = "SIGKIL", exit_code = [256] }
       |                    ^^^^^^^^
       = hint: did you mean "SIGKILL"?

    error: an element of `exit_code` in `match` of rule 1 of [steps.a] must be 0 to 255
      --> flow.toml:11:43
       |
    11 | match = { signal = "SIGKIL", exit_code = [256] }
       |                                           ^^^
    "#);
}

#[test]
fn a_place_counts_characters_and_shows_nothing_raw() {
    let odd = "version = 1\n[steps.a]\nrun = 'äöü €'\t# é\n\tenv = { 'Ä\u{202e}b' = '\u{1f600}' }\n";
    insta::assert_snapshot!(shown(odd), @r#"
    error: a variable cannot be called `Ä\u{202e}b`
     --> flow.toml:4:10
      |
    4 |     env = { 'Ä\u{202e}b' = '😀' }
      |             ^^^^^^^^^^^^
      = hint: a letter or _, then letters, digits and _
    "#);
    let (y, z) = ("y".repeat(300), "z".repeat(300));
    let long = format!("version = 1\n[steps.a]\nrun = 'x'\nenv = {{ A = '{y}', B = [], C = '{z}' }}\n");
    insta::assert_snapshot!(shown(&long), @r#"
    error: `B` in env of [steps.a] must be a text, not a list
     --> flow.toml:4:321
      |
    4 | …yyyyyyyyyyyyyyyyyyyyyyyyy', B = [], C = 'zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz…
      |                                  ^^
    "#);
    let key = shown("version = 1\n[steps.a]\nrun = 'true'\n\"a\\u001b[31mb\" = 1\n");
    assert!(!key.contains('\u{1b}') && key.contains("\\u{1b}"), "{key}");
    let raw = shown("version = 1\n[steps.a]\nrun = 'true\u{1b}[2J'\n");
    assert!(!raw.contains('\u{1b}'), "{raw:?}");
}

#[test]
fn what_is_no_toml_1_0_is_refused() {
    insta::assert_snapshot!(told("version = 1\n", &[
        "[steps.a]\nrun = true false",
        "[steps.a]\nrun = echo hello",
        "[steps.a]\nrun = 'echo",
        "[steps.a\nrun = 'x'",
        "[steps.a]\nrun 'x'",
        "[steps.a]\nrun = 'true'\nretry = {\n  max_attempts = 3 }",
        "[steps.a]\nrun = 'true'\nretry = { max_attempts = 3, }",
        "[steps.a]\nrun = 'true'\nretry = { max_attempts = 3, # why\n}",
        "[steps.a]\nrun = \"\\e[31m\"",
        "[steps.a]\nrun = \"\\x41 \\\\x41\"",
        "[steps.a]\nrun = '''a'''''\nneeds = [\n  # none\n]\nenv = { A = '}', B = \"\\\"}\" } # {",
        "[steps.a]\nrun = 'true'\nmatrix = { lr = [\n1,\n2,\n] }",
    ]), @r#"
    [steps.a]
    run = true false
        error 3:7 string values must be quoted, expected literal string; a text is written in quotes
    [steps.a]
    run = echo hello
        error 3:7 string values must be quoted, expected literal string; a text is written in quotes
    [steps.a]
    run = 'echo
        error 3:12 invalid literal string, expected `'`
    [steps.a
    run = 'x'
        error 2:9 unclosed table, expected `]`
    [steps.a]
    run 'x'
        error 3:5 key with no value, expected `=`
    [steps.a]
    run = 'true'
    retry = {
      max_attempts = 3 }
        error 4:9 an inline table over several lines is TOML 1.1; workflow files are TOML 1.0; write it on one line, or as a table of its own: [steps.name.key]
    [steps.a]
    run = 'true'
    retry = { max_attempts = 3, }
        error 4:27 a comma after the last key of an inline table is TOML 1.1; workflow files are TOML 1.0; remove the comma
    [steps.a]
    run = 'true'
    retry = { max_attempts = 3, # why
    }
        error 4:33 an inline table over several lines is TOML 1.1; workflow files are TOML 1.0; write it on one line, or as a table of its own: [steps.name.key]
    [steps.a]
    run = "\e[31m"
        error 3:8 the escape \e or \x is TOML 1.1; workflow files are TOML 1.0; write \u001b for escape, \u00ff for \xff
    [steps.a]
    run = "\x41 \\x41"
        error 3:8 the escape \e or \x is TOML 1.1; workflow files are TOML 1.0; write \u001b for escape, \u00ff for \xff
    [steps.a]
    run = '''a'''''
    needs = [
      # none
    ]
    env = { A = '}', B = "\"}" } # {
        fine
    [steps.a]
    run = 'true'
    matrix = { lr = [
    1,
    2,
    ] }
        fine
    "#);
}

#[test]
fn odd_files_are_told_apart() {
    let windows = "\u{feff}version = 1\r\n[steps.a]\r\nrun = \"\"\"\r\nset -e\r\necho 'a'\r\n\"\"\"\r\nneed = []\r\n";
    insta::assert_snapshot!(shown(windows), @r#"
    error: unknown key `need` in [steps.a]
     --> flow.toml:7:1
      |
    7 | need = []
      | ^^^^
      = hint: did you mean `needs`?
    "#);
    let loaded = parse(&windows.replace("need =", "needs =")).unwrap();
    let StepWhat::Run { script } = &loaded.workflow.steps[&id("a")].what else { panic!("it is a script") };
    assert_eq!(script, "set -e\necho 'a'\n");

    insta::assert_snapshot!(told("", &[
        "",
        "version = 2\nstepz = 1",
        "version = '1'",
        "version = 1",
        "version = 1\n[steps]",
        "[steps.a]\nrun = 'true'",
        "version = 1\0",
    ]), @r#"
        error 1:1 the file has no `version`; write this at the top: version = 1
        error 1:1 the file has no steps; add [steps.hello] and below it run = "echo hello"
    version = 2
    stepz = 1
        error 1:11 version 2 of the file format is not known; this dogwatch reads version 1
    version = '1'
        error 1:1 the file has no steps; add [steps.hello] and below it run = "echo hello"
        error 1:11 `version` must be an integer, not a text; write this at the top: version = 1
    version = 1
        error 1:1 the file has no steps; add [steps.hello] and below it run = "echo hello"
    version = 1
    [steps]
        error 2:2 there are no steps; add [steps.hello] and below it run = "echo hello"
    [steps.a]
    run = 'true'
        error 1:1 the file has no `version`; write this at the top: version = 1
    version = 1\0
        error 1:11 string values must be quoted, expected literal string; the file contains a NUL character: this is no text file
    "#);

    let long = parse(&format!("{STEP}[steps.b]\nrun = '''{}'''\n", "#".repeat(100 * 1024 + 1))).unwrap_err();
    assert!(long.list[0].message.contains("a script may have 100 KiB"), "{}", long.list[0].message);
    let large = shown(&format!("{STEP}{}", "#".repeat(config::LARGEST)));
    assert_eq!(
        large,
        "error: the file is larger than 4 MiB\n --> flow.toml\n  = hint: its data belongs into other files"
    );
}

#[test]
fn limits_are_raised_where_there_are_some() {
    let rule = |change: &str| {
        format!(
            "on_failure = [{{ action = 'retry_modified', change = {{ {change} }}, retry = {{ max_attempts = 3 }} }}]\n"
        )
    };
    let boxed = "[environment]\nimage = 'x'\nmemory = '2GiB'\ncpus = 2\n";
    let file = |change: &str, environment: &str| format!("{STEP}{}{environment}", rule(change));
    let loaded = parse(&file("memory = '* 2', cpus = { by = '+ 1.5', max = 3 }", boxed)).expect("all is there");
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let raises = &loaded.workflow.steps[&id("a")].on_failure[0].raise;
    let told: Vec<_> = raises.iter().map(|raise| (raise.resource, raise.by, raise.most)).collect();
    let expected = [(Resource::Memory, Raising::Times(2.0), None), (Resource::Cpus, Raising::Plus(1500), Some(3000))];
    assert_eq!(told, expected);
    for (change, environment, words) in [
        ("memory = '* 2'", "", "the built-in sandbox has no limits"),
        ("shm = '* 2'", boxed, "[environment] sets no `shm`: there is nothing to raise"),
        ("memory = { by = '* 2', max = '2GiB' }", boxed, "`max` of memory is 2.0 GiB, and [environment] has 2.0 GiB"),
        ("memory = '/ 2'", boxed, "\"/ 2\" does not raise memory"),
        ("memory = '* 1'", boxed, "\"* 1\" does not raise memory"),
        ("memory = '+ 2'", boxed, "\"* 2\" or \"+ 8GiB\""),
        ("cpus = '+ 2GiB'", boxed, "does not raise cpus"),
        ("memory = { max = '4GiB' }", boxed, "does not say by how much"),
        ("memory = { by = '* 2', most = '4GiB' }", boxed, "`most`"),
        (
            "memory = '* 2'",
            "[environment]\nimage = 'x'\nmemory = '2GiB'\n[env]\nmemory = '3'\n",
            "a variable of [env] and",
        ),
    ] {
        let told = shown(&file(change, environment));
        assert!(told.contains(words) && told.contains("flow.toml:4:"), "{words} in:\n{told}");
    }
    // A variable of that name is what it was.
    let variable = parse(&format!("{STEP}env = {{ memory = '8' }}\n{}", rule("memory = '/ 2'"))).expect("it is set");
    assert_eq!(variable.workflow.steps[&id("a")].on_failure[0].change.len(), 1);
}

#[test]
fn what_follows_without_an_answer_is_read_and_its_mistakes_are_told() {
    let spec = |text: &str| {
        let loaded = parse(text).unwrap_or_else(|problems| panic!("{problems}"));
        loaded.workflow.steps[&id("a")].escalation.clone()
    };
    let hours = |n| Some(std::time::Duration::from_hours(n));
    let all = EscalationSpec { timeout: hours(2), on_timeout: Some(Unanswered::Skip), remind: hours(1) };
    let head = "version = 1\n[[notify]]\non = ['escalation']\ncommand = ['true']\n";
    let step = "[steps.a]\nrun = 'true'\n";
    let said = "escalation = { timeout = '2h', on_timeout = 'skip', remind = '1h' }\n";
    assert_eq!(spec(&format!("{head}[defaults]\n{said}{step}")), all);
    // A step is merged over it key by key.
    let own = "escalation = { timeout = 'none', on_timeout = 'wait' }\n";
    let merged = EscalationSpec { timeout: None, on_timeout: Some(Unanswered::Wait), ..all.clone() };
    assert_eq!(spec(&format!("{head}[defaults]\n{said}{step}{own}")), merged);
    // A gate has a time of its own, and is told again as all are, or as it says.
    let gate = |more: &str| spec(&format!("{head}[defaults]\n{said}[steps.a.approval]\nprompt = 'Go?'\n{more}"));
    assert_eq!(gate(""), EscalationSpec { remind: hours(1), ..EscalationSpec::default() });
    assert_eq!(gate("remind = '3h'"), EscalationSpec { remind: hours(3), ..EscalationSpec::default() });
    for (text, words) in [
        ("escalation = { timeout = '2h' }", "does not say what happens then"),
        ("escalation = { on_timeout = 'skip' }", "has `on_timeout`, and no `timeout`"),
        ("escalation = { timeout = '2h', on_timeout = 'retry' }", "\"wait\", \"resume\", \"skip\""),
        ("escalation = { timeout = '2h', on_timeout = 'resume' }", "saves no checkpoint to resume from"),
        ("escalation = { remind = '5s' }", "must be at least 1m"),
        ("escalation = { timout = '2h' }", "did you mean `timeout`?"),
        ("[steps.b]\nescalation = {}\n[steps.b.approval]\nprompt = 'Go?'", "`escalation` has no meaning in [steps.b]"),
        ("[steps.b.approval]\nprompt = 'Go?'\nconfirm = 'name'", "\"name\" is no way to confirm"),
    ] {
        let told = shown(&format!("{head}{step}{text}\n"));
        assert!(told.contains(words), "{words} in:\n{told}");
    }
    // Who is reminded, where nobody is told?
    let loaded = parse(&format!("{STEP}escalation = {{ remind = '1h' }}\n")).expect("it can be run");
    assert!(loaded.warnings.to_string().contains("reminds nobody"), "{}", loaded.warnings);
}

#[test]
fn words_of_other_tools_are_told_with_what_is_written_here() {
    insta::assert_snapshot!(told("", &[r#"version = 1
name = "ci"
[jobs.build]
[steps.build]
runs-on = "ubuntu-latest"
timeout-minutes = 10
continue-on-error = true
working-directory = "src"
shell = "bash"
strategy = { matrix = { os = ["a"] } }
uses = "actions/checkout@v4"
if = "always()"
run = "make"
[steps.align]
container = "bio/star"
maxForks = 4
errorStrategy = "retry"
maxRetries = 3
publishDir = "out"
process = "align"
script = "star"
max_attempts = 3
stall_after = "5m"
mounts = ["a:/a"]
retry = { limit = 3 }
run = "star"
if = "secrets.TOKEN == 'x'"
"#]), @r#"
    version = 1
    name = "ci"
    [jobs.build]
    [steps.build]
    runs-on = "ubuntu-latest"
    timeout-minutes = 10
    continue-on-error = true
    working-directory = "src"
    shell = "bash"
    strategy = { matrix = { os = ["a"] } }
    uses = "actions/checkout@v4"
    if = "always()"
    run = "make"
    [steps.align]
    container = "bio/star"
    maxForks = 4
    errorStrategy = "retry"
    maxRetries = 3
    publishDir = "out"
    process = "align"
    script = "star"
    max_attempts = 3
    stall_after = "5m"
    mounts = ["a:/a"]
    retry = { limit = 3 }
    run = "star"
    if = "secrets.TOKEN == 'x'"
        error 2:1 unknown key `name` at the top level of the file; `name` belongs into [workflow]
        error 3:2 unknown key `jobs` at the top level of the file; each is a step: [steps.NAME] with `run`
        error 5:1 unknown key `runs-on` in [steps.build]; [environment] says where steps run: in a container with an `image`, without one on this machine
        error 6:1 unknown key `timeout-minutes` in [steps.build]; timeout = "10m"
        error 7:1 unknown key `continue-on-error` in [steps.build]; allow_failure = true
        error 8:1 unknown key `working-directory` in [steps.build]; steps begin in the workspace: write `cd FOLDER` as the first line of `run`
        error 9:1 unknown key `shell` in [steps.build]; `run` is a script for sh -e; with #!/bin/bash -e, or another program, as its first line for that
        error 10:1 unknown key `strategy` in [steps.build]; [steps.NAME.matrix] has lists as axes, and `exclude`, `max_parallel`, `fail_fast`
        error 11:1 unknown key `uses` in [steps.build]; there are no actions: `run` has the commands themselves
        error 12:7 there is nothing called `always` in expressions; a step runs whatever became of another one with: succeeded(steps.NAME) or not succeeded(steps.NAME)
        error 15:1 unknown key `container` in [steps.align]; it is called `image`; how containers are made stands in [environment]
        error 16:1 unknown key `maxForks` in [steps.align]; max_parallel in [workflow] limits steps and lanes at once; in [steps.NAME.matrix] the lanes of one step
        error 17:1 unknown key `errorStrategy` in [steps.align]; retry = { max_attempts = 3 }, or allow_failure = true; by cause: [[steps.NAME.on_failure]]
        error 18:1 unknown key `maxRetries` in [steps.align]; retry = { max_attempts = 3, delay = "30s" }; by cause: [[steps.NAME.on_failure]]
        error 19:1 unknown key `publishDir` in [steps.align]; outputs = { NAME = { path = "FILE" } }
        error 20:1 unknown key `process` in [steps.align]; a step is [steps.NAME]; its script is `run`
        error 21:1 unknown key `script` in [steps.align]; the script of a step is `run`
        error 22:1 unknown key `max_attempts` in [steps.align]; it belongs into `retry`: retry = { max_attempts = 3, delay = "30s" }
        error 23:1 unknown key `stall_after` in [steps.align]; `stall_after` belongs into [steps.NAME.wait]
        error 24:1 unknown key `mounts` in [steps.align]; `mounts` belongs into [environment]; of some steps into [environments.NAME], with environment = "NAME" in each
        error 25:11 unknown key `limit` in retry of [steps.align]; max_attempts = 3, the first one counted
        error 27:7 there is nothing called `secrets` in expressions; write secrets = ["NAME"] in the step: its script sees "$NAME"
    "#);
}

#[test]
fn what_is_no_toml_at_all_is_told_once_and_by_its_name() {
    insta::assert_snapshot!(shown("# ours\nname: ci\non: push\njobs:\n  build:\n    steps:\n      - run: make\n"), @r#"
    error: this is YAML, and workflow files are TOML
     --> flow.toml:2:1
      |
    2 | name: ci
      | ^^^^^^^^
      = hint: [steps.build] and below it run = "make"; `dogwatch init` writes a whole file to begin with
    "#);
    insta::assert_snapshot!(shown("{ \"version\": 1 }"), @r#"
    error: this is JSON, and workflow files are TOML
     --> flow.toml:1:1
      |
    1 | { "version": 1 }
      | ^^^^^^^^^^^^^^^^
      = hint: [steps.build] and below it run = "make"; `dogwatch init` writes a whole file to begin with
    "#);
    insta::assert_snapshot!(shown("process align {\n  input: path x\n  script: 'star'\n}\n"), @r#"
    error: this is a Nextflow script, and workflow files are TOML
     --> flow.toml:1:1
      |
    1 | process align {
      | ^^^^^^^^^^^^^^^
      = hint: [steps.build] and below it run = "make"; `dogwatch init` writes a whole file to begin with
    "#);
    // One colon does not make it YAML.
    insta::assert_snapshot!(shown("version = 1\n[steps.a]\nrun: \"make\"\n"), @r#"
    error: key with no value, expected `=`
     --> flow.toml:3:6
      |
    3 | run: "make"
      |      ^
      = hint: a key and its value have `=` between them
    "#);
}

#[test]
fn steps_with_an_image_of_their_own_run_in_environments_that_are_made_for_them() {
    let text = r#"version = 1
[environment]
workspace = "."
[environments.big]
image = "train:1"
memory = "16GiB"
[environments.python-3]
image = "other:1"
[steps.a]
image = "python:3"
run = "a"
[steps.b]
image = "python:3"
run = "b"
[steps.c]
environment = "big"
image = "python:3"
run = "c"
[steps.d]
run = "d"
"#;
    let workflow = parse(text).expect("it is right").workflow;
    let place = |step: &str| workflow.steps[&id(step)].place.environment.to_string();
    assert_eq!(["a", "b", "c", "d"].map(place), ["python-3-2", "python-3-2", "big-python-3", "default"]);
    let made = |name: &str| {
        let made = workflow.all_environments().find(|(id, _)| id.as_str() == name).expect("it was made").1;
        made.container.clone().expect("a container")
    };
    assert_eq!((made("python-3-2").image.as_str(), made("python-3-2").memory), ("python:3", None));
    assert_eq!((made("big-python-3").image.as_str(), made("big-python-3").memory), ("python:3", Some(16 << 30)));
    assert_eq!(workflow.all_environments().count(), 5);
    insta::assert_snapshot!(shown("version = 1\n[steps.a]\nimage = \"../x\"\nrun = \"a\"\n"), @r#"
    error: "../x" is not the name of an image
     --> flow.toml:3:9
      |
    3 | image = "../x"
      |         ^^^^^^
      = hint: write it like "python:3.12-slim", "ghcr.io/acme/train:2026.11" or "name@sha256:…"
    "#);
}

#[test]
fn the_lane_with_the_same_values_must_be_there_for_each_lane_that_asks() {
    let head = "version = 1\n[steps.align]\nrun = 'x'\noutputs = { bam = { path = '$DOGWATCH_DIR/bam' } }\n\
                matrix = { sample = ['a', 'b'] }\n[steps.plain]\nrun = 'x'\noutputs = { o = { path = 'o' } }\n\
                [steps.quant]\nneeds = ['align', 'plain']\nrun = 'x'\n";
    let same = "same(steps.align).outputs.bam";
    let mut told_of = 0;
    for (asked, matrix, expected) in [
        (same, "sample = ['a', 'b'], k = [1, 2]", "fine"),
        (same, "sample = ['b']", "fine"),
        ("same(steps.align).lane", "sample = ['b']", "fine"),
        ("same( steps.align ).matrix.sample", "sample = ['b']", "fine"),
        (same, "sample = ['a', 'c']", "quant[sample=c] has no lane of align with the same values"),
        (same, "k = [1]", "its lanes differ by `sample`, and step quant has no such key; add `sample` to the matrix"),
        (same, "", "its lanes differ by `sample`, and step quant has no such key"),
        ("steps.align.outputs.bam", "sample = ['a']", "the lane with the same values: same(steps.align).outputs.bam"),
        ("steps.align.outputs.bam", "k = [1]", "write best(steps.align, by='loss', mode='min').outputs.bam"),
        (
            "same(steps.plain).outputs.o",
            "k = [1]",
            "step plain has no matrix: there is one lane; write steps.plain.outputs.o",
        ),
        ("same(steps.align).outputs.bom", "sample = ['a']", "step align has no output `bom`; did you mean `bam`?"),
        ("same(steps.align)", "sample = ['a']", "what of that lane is meant is not said; write .outputs.name"),
        ("same(align).outputs.bam", "sample = ['a']", "same() takes a step; write it as in same(steps.train)"),
        ("same(steps.align.outputs.bam)", "sample = ['a']", "same() takes a step, not something of it"),
        ("same(steps.align", "sample = ['a']", "same() takes one step, and `)` follows it"),
        ("same", "sample = ['a']", "`same` is a function; write it as in same(steps.train).outputs.model"),
    ] {
        let matrix = if matrix.is_empty() { String::new() } else { format!("matrix = {{ {matrix} }}\n") };
        let file = format!("inputs = {{ B = \"${{{{ {asked} }}}}\" }}\n{matrix}");
        let told = told(head, &[&file]);
        assert!(told.contains(expected), "{asked} with {matrix}: {told}");
        told_of += usize::from(expected != "fine");
    }
    assert_eq!(told_of, 12);
}
