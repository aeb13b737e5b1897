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
image = "python:3"
agent = 1
"#), @r#"
    error: `image` in [steps.train] is not supported yet
     --> flow.toml:4:1
      |
    4 | image = "python:3"
      | ^^^^^
      = hint: put `image` into [environments.NAME], and environment = "NAME" here

    error: `agent` in [steps.train] is not supported yet
     --> flow.toml:5:1
      |
    5 | agent = 1
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
