//! The workflow file: what is read, and how each mistake is told.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use dogwatch::config::{self, Kind, Loaded, Place, Problems};
use dogwatch::model::{Action, OnUnknown, Part, StepId, StepWhat, Template, Value};

const COMPLETE: &str = include_str!("data/complete.dogwatch.toml");
const CORE: &str = include_str!("data/core.dogwatch.toml");

fn parse(source: &str) -> Result<Loaded, Problems> {
    config::parse(source, "flow.toml", Path::new("/work"), &[])
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
    StepId::new(name).unwrap()
}

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
snapshot = true
[steps.train.wait]
stall_after = "15m"
"#), @r#"
    error: `snapshot` in [steps.train] is not supported yet
     --> flow.toml:4:1
      |
    4 | snapshot = true
      | ^^^^^^^^
      = hint: remove it; `outputs` and `checkpoint` keep what the step wrote

    error: `wait` in [steps.train] is not supported yet
     --> flow.toml:5:14
      |
    5 | [steps.train.wait]
      |              ^^^^
      = hint: remove it; `timeout` bounds how long an attempt may take
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

    error: `action` in rule 1 of [steps.a] must be "retry", "resume", "escalate" or "abort", not "retyr"
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
fn what_an_expression_names_must_be_there() {
    insta::assert_snapshot!(told("version = 1
[params]
model = { type = 'string', default = 'gpt2' }
epochs = { type = 'integer', default = 3 }
[steps.prepare]
run = 'true'
outputs = { data = { path = 'data' } }
[steps.lanes]
run = 'true'
matrix = { lr = [1, 2] }
outputs = { model = { path = '$DOGWATCH_DIR/m' } }
[steps.gate]
approval = { prompt = 'Go?' }
[steps.x]
needs = ['prepare', 'lanes', 'gate']
run = 'true'
", &[
        "env = { A = '${{ params.modle }}' }",
        "env = { A = '${{ steps.prepare.outputs.data }} ${{ params.model }}' }",
        "env = { A = '${{ steps.prepar.outputs.data }}' }",
        "env = { A = '${{ steps.prepare.outputs.dat }}' }",
        "env = { A = '${{ steps.prepare.data }}' }",
        "env = { A = '${{ steps.lanes.outputs.model }}' }",
        "env = { A = '${{ steps.gate.outputs.x }}' }",
        "env = { A = '${{ steps.x.outputs.x }}' }",
        "env = { A = '${{ steps.prepare }}' }",
        "env = { A = '${{ matrix.lr }}' }",
        "env = { A = 'é${{ params.epochs + }}' }",
        "env = { A = '${{ params.epochs' }",
        "env = { A = '${{ }}' }",
        "env = { A = '${{ param.epochs }}' }",
        "env = { A = '${{ params }}' }",
        "env = { A = '${{ params.epochs * \"x\" }}' }",
        "env = { A = '${{ best(steps.lanes) }}' }",
        "env = { A = '${{ steps.lanes.metrics.loss }}' }",
        "if = 'params.epochs'",
        "if = 'params.epochs > 2'",
        "if = '${{ params.epochs > 2 }}'",
        "if = 'x ${{ params.epochs > 2 }}'",
        "if = 'params.epochs > 2 && succeeded(steps.lanes)'",
        "if = 'params.model = 1'",
        "if = 'steps.prepare.outputs.data'",
        "if = 'failed(params.model)'",
        "if = 'failed(steps.later)'\n[steps.later]\nrun = 'true'",
        "if = true",
        "[steps.y]\nneeds = ['x']\nrun = 'true'\nenv = { A = '${{ steps.prepare.outputs.data }}', B = '${{ steps.z.outputs.q }}' }\n[steps.z]\nrun = 'true'\noutputs = { q = { path = 'q' } }",
        "[env]\nA = '${{ matrix.lr }}'\nB = '${{ steps.prepare.outputs.data }}'\nC = '${{ params.model }}'",
        "env = { A = \"\\t${{ params.modle }}\" }",
        "env = { A = '''\nline\n ${{ params.modle }}''' }",
    ]), @r#"
    env = { A = '${{ params.modle }}' }
        error 17:18 there is no parameter `modle`; did you mean `model`?
    env = { A = '${{ steps.prepare.outputs.data }} ${{ params.model }}' }
        fine
    env = { A = '${{ steps.prepar.outputs.data }}' }
        error 17:18 there is no step `prepar`; did you mean `prepare`?
    env = { A = '${{ steps.prepare.outputs.dat }}' }
        error 17:18 step prepare has no output `dat`; did you mean `data`?
    env = { A = '${{ steps.prepare.data }}' }
        error 17:31 a step has no `data`; write steps.prepare.outputs.name, failed(steps.prepare) or succeeded(steps.prepare)
    env = { A = '${{ steps.lanes.outputs.model }}' }
        error 17:18 step lanes has several lanes: which one's output is meant cannot be said yet; let each lane write to a path of the workspace, as in out/$LR/model, and read those in the next step
    env = { A = '${{ steps.gate.outputs.x }}' }
        error 17:18 step gate is a question and has no outputs; name a step with `run`
    env = { A = '${{ steps.x.outputs.x }}' }
        error 17:18 step x has no output `x`; add it to [steps.x]: outputs = { x = { path = "…" } }
    env = { A = '${{ steps.prepare }}' }
        error 17:18 the expression gives a step, not a text, a number or a boolean
    env = { A = '${{ matrix.lr }}' }
        error 17:18 `matrix.lr` is used, and step x has no matrix; add [steps.x.matrix] with a list `lr`
    env = { A = 'é${{ params.epochs + }}' }
        error 17:33 unexpected end of input, expected expression
    env = { A = '${{ params.epochs' }
        error 17:14 `A` in env of [steps.x]: `${{` is never closed; close it with `}}`
    env = { A = '${{ }}' }
        error 17:14 `A` in env of [steps.x]: there is no expression between `${{` and `}}`
    env = { A = '${{ param.epochs }}' }
        error 17:18 there is nothing called `param` in expressions; did you mean `params`?
    env = { A = '${{ params }}' }
        error 17:18 `params` must be followed by a name; write it as in `params.name`
    env = { A = '${{ params.epochs * "x" }}' }
        fine
    env = { A = '${{ best(steps.lanes) }}' }
        error 17:18 `best()` is not supported yet; functions are: failed(), succeeded(), min(), max()
    env = { A = '${{ steps.lanes.metrics.loss }}' }
        error 17:29 `metrics` of a step is not supported yet; only outputs can be named
    if = 'params.epochs'
        error 17:7 a condition must be true or false, and this is the number 3; compare it with something, as in `params.target == 'prod'`
    if = 'params.epochs > 2'
        fine
    if = '${{ params.epochs > 2 }}'
        fine
    if = 'x ${{ params.epochs > 2 }}'
        error 17:6 `if` in [steps.x] must be one expression; write the whole of it inside one ${{ }}, or without ${{ }}
    if = 'params.epochs > 2 && succeeded(steps.lanes)'
        error 17:25 unexpected character; the operators are called `and`, `or` and `not`
    if = 'params.model = 1'
        error 17:20 unexpected input after expression; equality is written `==`
    if = 'steps.prepare.outputs.data'
        error 17:7 a condition must be true or false, and this is a text; compare it with something, as in `params.target == 'prod'`
    if = 'failed(params.model)'
        error 17:7 failed() takes a step, as in failed(steps.train)
    if = 'failed(steps.later)'
    [steps.later]
    run = 'true'
        error 17:14 step x uses step later and does not need it; add "later" to `needs` of [steps.x]
    if = true
        fine
    [steps.y]
    needs = ['x']
    run = 'true'
    env = { A = '${{ steps.prepare.outputs.data }}', B = '${{ steps.z.outputs.q }}' }
    [steps.z]
    run = 'true'
    outputs = { q = { path = 'q' } }
        error 20:59 step y uses step z and does not need it; add "z" to `needs` of [steps.y]
    [env]
    A = '${{ matrix.lr }}'
    B = '${{ steps.prepare.outputs.data }}'
    C = '${{ params.model }}'
        error 18:10 `matrix.lr` is used outside of a step; move it into `env` of the step
        error 19:10 `steps.prepare` is used outside of a step; move it into `env` or `inputs` of the step that needs it
    env = { A = "\t${{ params.modle }}" }
        error 17:13 there is no parameter `modle`; did you mean `model`?
    env = { A = '''
    line
     ${{ params.modle }}''' }
        error 19:6 there is no parameter `modle`; did you mean `model`?
    "#);
}

#[test]
fn each_value_must_be_of_its_type_and_within_its_limits() {
    insta::assert_snapshot!(told(STEP, &[
        "run = 'twice'",
        "needs = 'b'",
        "needs = [3]",
        "timeout = 30",
        "timeout = '30'",
        "timeout = '1.5h'",
        "timeout = '2 days and 3 hours'",
        "timeout = '30m1h'",
        "timeout = '1h1h'",
        "timeout = ''",
        "timeout = '0s'",
        "timeout = 'none'",
        "timeout = '99999d'",
        "timeout = '99999999999999999999s'",
        "timeout = '1h 30m'",
        "timeout = '８h'",
        "grace = '0s'",
        "allow_failure = 'true'",
        "allow_failure = 1",
        "retry = 3",
        "retry = { max_attempts = 0 }",
        "retry = { max_attempts = '3' }",
        "retry = { backoff = 0.5 }",
        "retry = { backoff = nan }",
        "retry = { delay = '1h', max_delay = '1m' }",
        "retry = { atempts = 3 }",
        "description = ['x']",
        "on_unknown = 'prob'",
        "on_unknown = 'probe'",
        "probe = 'true'",
        "on_unknown = 'probe'\nprobe = 'test ${{ params.x }}'",
        "on_unknown = 'ask'\nprobe = 'true'",
        "env = { 'MY-VAR' = 'x' }",
        "env = { DOGWATCH_KEY = 'x' }",
        "env = { A = ['x'] }",
        "env = { A = \"a\\u0000b\" }",
        "env = { A = 3, B = true, C = 1e-4 }",
        "env = 'A=1'",
        "inputs = { 'my-input' = 'x' }",
        "env = { A = '1' }\ninputs = { A = '2' }",
        "outputs = { m = 'path' }",
        "outputs = { m = { pth = 'path' } }",
        "outputs = { m = { path = '/etc/passwd' } }",
        "outputs = { m = { path = 'a/../../b' } }",
        "outputs = { m = { path = '$HOME/x' } }",
        "outputs = { m = { path = '$DOGWATCH_DIR' } }",
        "outputs = { m = { path = '$DOGWATCH_DIRX/m' } }",
        "outputs = { m = { path = 'x-${{ params.y }}' } }",
        "outputs = { 'M x' = { path = 'x' } }",
        "outputs = { m = { path = 'x', format = 'json' } }",
        "checkpoint = { pattern = 'saved' }",
        "checkpoint = { pattern = \"saved (?P<path>\\\\S+\" }",
        "checkpoint = { resume_env = 'RESUME' }",
        "checkpoint = { pattern = '(?P<path>.*)', resume_env = 'RE SUME' }",
        "checkpoint = { pattern = '(?P<path>.*)', keep = 3 }",
        "on_failure = { action = 'retry' }",
        "on_failure = [{ match = {} }]",
        "on_failure = [{ action = 'retry' }]",
        "on_failure = [{ action = 'resume', retry = { max_attempts = 3 } }]",
        "on_failure = [{ action = 'retry_modified' }, { action = 'skip' }]",
        "on_failure = [{ action = 'abort', retry = { max_attempts = 3 } }]",
        "on_failure = [{ action = 'abort' }, { action = 'escalate' }]",
        "on_failure = [{ action = 'abort', match = { signal = 'SIGKIL' } }]",
        "on_failure = [{ action = 'abort', match = { signal = ['KILL', 'SIGKILL', 9, '9'] } }]",
        "on_failure = [{ action = 'abort', match = { signal = 65 } }]",
        "on_failure = [{ action = 'abort', match = { exit_code = -1 } }]",
        "on_failure = [{ action = 'abort', match = { exit_code = [] } }]",
        "on_failure = [{ action = 'abort', match = { class = 'device_oom' } }]",
        "on_failure = [{ action = 'abort', match = { output = '[' } }]",
        "on_failure = [{ action = 'abort', name = 'x' , use = 'y' }]",
        "[steps.b]",
        "[steps.b]\nrun = ''",
        "[steps.b]\nrun = 'true'\napproval = { prompt = 'Go?' }",
        "[steps.b]\nagent = { use = 'claude-code' }",
        "[steps.b]\napproval = {}",
        "[steps.b]\napproval = { prompt = 'Go?', timeout = '1h' }",
        "[steps.b]\napproval = { prompt = 'Go?', on_timeout = 'reject' }",
        "[steps.b]\napproval = { prompt = 'Go?' }\nretry = { max_attempts = 2 }",
        "[steps.b]\napproval = { prompt = 'Go?', confirm = 'x' }",
        "[steps.'B b']\nrun = 'true'",
        "[[steps.b]]\nrun = 'true'",
        "[steps]\nb = 3",
        "[steps.a]\nrun = 'twice'",
        "[step.b]\nrun = 'true'",
        "[defaults]\nrun = 'x'\non_unknown = 'probe'\nescalation = {}",
        "[defaults]\nretry = { max_attempts = 3 }\ntimeout = '1h'\ngrace = '5s'\nallow_failure = true\non_unknown = 'rerun'",
        "[workflow]\nname = 'Train LLM!'",
        "[workflow]\nname = 'x'\nautonomy = 'act'",
        "[workflow]\nmax_parallel = 99999999999",
        "[secrets]\nX = { from = 'env' }",
        "[[notify]]\nurl = 'x'",
        "[environment]\nimage = 'x'\nisolation = 'always'",
    ]), @r#"
    run = 'twice'
        error 4:1 `run` is there twice; remove one of them
    needs = 'b'
        error 4:9 `needs` in [steps.a] must be a list, not a text; write ["b"]
    needs = [3]
        error 4:10 an element of `needs` in [steps.a] must be a text, not an integer; write "3"
    timeout = 30
        error 4:11 `timeout` in [steps.a] must be a duration like "8h", not an integer; write "30s", "30m" or "30h"
    timeout = '30'
        error 4:11 "30" is not a duration: `timeout` in [steps.a]; write "30s", "30m" or "30h"
    timeout = '1.5h'
        error 4:11 "1.5h" is not a duration: `timeout` in [steps.a]; write "1h30m"
    timeout = '2 days and 3 hours'
        error 4:11 "2 days and 3 hours" is not a duration: `timeout` in [steps.a]; write "2d3h"
    timeout = '30m1h'
        error 4:11 "30m1h" is not a duration: `timeout` in [steps.a]; write the larger unit first, and each unit once
    timeout = '1h1h'
        error 4:11 "1h1h" is not a duration: `timeout` in [steps.a]; write the larger unit first, and each unit once
    timeout = ''
        error 4:11 "" is not a duration: `timeout` in [steps.a]; write it like "90s", "45m", "1h30m", "500ms" or "2d"
    timeout = '0s'
        error 4:11 `timeout` in [steps.a] must be longer than zero; "none" means no limit
    timeout = 'none'
        fine
    timeout = '99999d'
        error 4:11 "99999d" is longer than ten years: `timeout` in [steps.a]; write a shorter duration
    timeout = '99999999999999999999s'
        error 4:11 "99999999999999999999s" is longer than ten years: `timeout` in [steps.a]; write a shorter duration
    timeout = '1h 30m'
        error 4:11 "1h 30m" is not a duration: `timeout` in [steps.a]; write "1h30m"
    timeout = '８h'
        error 4:11 "８h" is not a duration: `timeout` in [steps.a]; write it like "90s", "45m", "1h30m", "500ms" or "2d"
    grace = '0s'
        fine
    allow_failure = 'true'
        error 4:17 `allow_failure` in [steps.a] must be true or false, not a text; write true without quotes
    allow_failure = 1
        error 4:17 `allow_failure` in [steps.a] must be true or false, not an integer
    retry = 3
        error 4:9 `retry` in [steps.a] must be a table, not an integer; write { max_attempts = 3 }
    retry = { max_attempts = 0 }
        error 4:26 `max_attempts` in retry of [steps.a] must be 1 to 1000000
    retry = { max_attempts = '3' }
        error 4:26 `max_attempts` in retry of [steps.a] must be an integer, not a text; write 3 without quotes
    retry = { backoff = 0.5 }
        error 4:21 `backoff` in retry of [steps.a] must be a finite number of at least 1
    retry = { backoff = nan }
        error 4:21 `backoff` in retry of [steps.a] must be a finite number of at least 1
    retry = { delay = '1h', max_delay = '1m' }
        error 4:37 `max_delay` in retry of [steps.a] is shorter than `delay`
    retry = { atempts = 3 }
        error 4:11 unknown key `atempts` in retry of [steps.a]; did you mean `max_attempts`?
    description = ['x']
        error 4:15 `description` in [steps.a] must be a text, not a list
    on_unknown = 'prob'
        error 4:14 `on_unknown` in [steps.a] must be "ask", "rerun" or "probe", not "prob"; did you mean "probe"?
    on_unknown = 'probe'
        error 4:1 [steps.a] has no `probe` to run; probe = "a command": 0 = it had finished, 10 = it had not happened, else a person is asked
    probe = 'true'
        error 4:1 the `probe` of [steps.a] is never run; on_unknown = "probe"
    on_unknown = 'probe'
    probe = 'test ${{ params.x }}'
        error 5:15 `probe` in [steps.a] cannot hold an expression: values enter a script as variables; write env = { X = "${{ params.x }}" } and use "$X" in the script
    on_unknown = 'ask'
    probe = 'true'
        error 5:1 the `probe` of [steps.a] is never run; on_unknown = "probe"
    env = { 'MY-VAR' = 'x' }
        error 4:9 a variable cannot be called `MY-VAR`; a letter or _, then letters, digits and _
    env = { DOGWATCH_KEY = 'x' }
        error 4:9 `DOGWATCH_KEY` cannot be set: dogwatch sets the variables that begin with DOGWATCH_; choose another name
    env = { A = ['x'] }
        error 4:13 `A` in env of [steps.a] must be a text, not a list
    env = { A = "a\u0000b" }
        error 4:13 `A` in env of [steps.a] contains a NUL character; remove it
    env = { A = 3, B = true, C = 1e-4 }
        fine
    env = 'A=1'
        error 4:7 `env` in [steps.a] must be a table, not a text
    inputs = { 'my-input' = 'x' }
        warning 4:12 input `my-input` is not exported: no variable can have this name; a letter or _, then letters, digits and _
    env = { A = '1' }
    inputs = { A = '2' }
        error 5:12 `A` is both in `env` and in `inputs` of [steps.a]; inputs are exported under their names: give one of them another name
    outputs = { m = 'path' }
        error 4:17 `m` in outputs of [steps.a] must be a table, not a text; write m = { path = "path" }
    outputs = { m = { pth = 'path' } }
        error 4:13 output `m` of [steps.a] has no `path`; path = "results.json"
        error 4:19 unknown key `pth` in output `m` of [steps.a]; did you mean `path`?
    outputs = { m = { path = '/etc/passwd' } }
        error 4:26 the path of output `m` of [steps.a] is not relative to the workspace; write "results/…" or "$DOGWATCH_DIR/…"
    outputs = { m = { path = 'a/../../b' } }
        error 4:26 the path of output `m` of [steps.a] contains `..`; an output is below the workspace or below $DOGWATCH_DIR
    outputs = { m = { path = '$HOME/x' } }
        error 4:26 the path of output `m` of [steps.a] holds a variable that is not known here; only $DOGWATCH_DIR can be used, at the beginning: "$DOGWATCH_DIR/model"
    outputs = { m = { path = '$DOGWATCH_DIR' } }
        fine
    outputs = { m = { path = '$DOGWATCH_DIRX/m' } }
        error 4:26 the path of output `m` of [steps.a] holds a variable that is not known here; only $DOGWATCH_DIR can be used, at the beginning: "$DOGWATCH_DIR/model"
    outputs = { m = { path = 'x-${{ params.y }}' } }
        error 4:26 `path` in output `m` of [steps.a] cannot hold an expression; expressions work in `env`, `inputs`, `if` and in an approval's `prompt` and `show`
    outputs = { 'M x' = { path = 'x' } }
        error 4:13 an output cannot be called `M x`; a-z or 0-9 first, then a-z, 0-9, _ and -, at most 63 characters
    outputs = { m = { path = 'x', format = 'json' } }
        error 4:31 `format` in output `m` of [steps.a] is not supported yet; remove it; an output is its path
    checkpoint = { pattern = 'saved' }
        error 4:26 `pattern` in [steps.a.checkpoint] has no group `path`; name the part that is the checkpoint's path: (?P<path>\S+)
    checkpoint = { pattern = "saved (?P<path>\\S+" }
        error 4:26 `pattern` in [steps.a.checkpoint] is not a pattern: unclosed group; write it in single quotes: then a backslash needs no second one
    checkpoint = { resume_env = 'RESUME' }
        error 4:1 [steps.a.checkpoint] has no `pattern`; pattern = 'saved (?P<path>\S+) at step (?P<step>\d+)'
    checkpoint = { pattern = '(?P<path>.*)', resume_env = 'RE SUME' }
        error 4:55 a variable cannot be called `RE SUME`; a letter or _, then letters, digits and _
    checkpoint = { pattern = '(?P<path>.*)', keep = 3 }
        error 4:42 `keep` in [steps.a.checkpoint] is not supported yet; remove it; dogwatch deletes no checkpoints
    on_failure = { action = 'retry' }
        error 4:1 `on_failure` in [steps.a] must be a list of rules; write [[steps.a.on_failure]] with double brackets
    on_failure = [{ match = {} }]
        error 4:15 rule 1 of [steps.a] has no `action`; action = "retry", "resume", "escalate" or "abort"
    on_failure = [{ action = 'retry' }]
        warning 4:26 rule 1 of [steps.a] repeats nothing: max_attempts is 1, and the first attempt counts; retry = { max_attempts = 3 }, in the rule, in the step or in [defaults]
    on_failure = [{ action = 'resume', retry = { max_attempts = 3 } }]
        error 4:26 step a saves no checkpoint to resume from; add [steps.a.checkpoint], or use action = "retry"
    on_failure = [{ action = 'retry_modified' }, { action = 'skip' }]
        error 4:26 action "retry_modified" is not supported yet; action = "escalate" lets a person decide
        error 4:57 action "skip" is not supported yet; action = "escalate" lets a person decide
    on_failure = [{ action = 'abort', retry = { max_attempts = 3 } }]
        error 4:35 `retry` has no effect in rule 1 of [steps.a]; action = "retry" or "resume"
    on_failure = [{ action = 'abort' }, { action = 'escalate' }]
        warning 4:37 rule 2 of [steps.a] is never reached: rule 1 matches everything; put the rule without `match` last
    on_failure = [{ action = 'abort', match = { signal = 'SIGKIL' } }]
        error 4:54 there is no signal "SIGKIL"; did you mean "SIGKILL"?
    on_failure = [{ action = 'abort', match = { signal = ['KILL', 'SIGKILL', 9, '9'] } }]
        fine
    on_failure = [{ action = 'abort', match = { signal = 65 } }]
        error 4:54 `signal` in `match` of rule 1 of [steps.a] must be 1 to 64
    on_failure = [{ action = 'abort', match = { exit_code = -1 } }]
        error 4:57 `exit_code` in `match` of rule 1 of [steps.a] must be 0 to 255
    on_failure = [{ action = 'abort', match = { exit_code = [] } }]
        error 4:57 `exit_code` in `match` of rule 1 of [steps.a] is empty: it matches nothing; remove it
    on_failure = [{ action = 'abort', match = { class = 'device_oom' } }]
        error 4:45 `class` in `match` of rule 1 of [steps.a] is not supported yet; match by `output`, `exit_code` or `signal`
    on_failure = [{ action = 'abort', match = { output = '[' } }]
        error 4:54 `output` in `match` of rule 1 of [steps.a] is not a pattern: unclosed character class; the syntax is that of docs.rs/regex
    on_failure = [{ action = 'abort', name = 'x' , use = 'y' }]
        error 4:48 `use` in rule 1 of [steps.a] is not supported yet; remove it; alternatives are not supported yet
    [steps.b]
        error 4:8 [steps.b] has neither `run` nor `approval`; run = "a command", or a table `approval` with a `prompt`
    [steps.b]
    run = ''
        error 5:7 `run` in [steps.b] is empty
    [steps.b]
    run = 'true'
    approval = { prompt = 'Go?' }
        error 5:1 [steps.b] has both `run` and `approval`; make the question a step of its own, and let the other one need it
    [steps.b]
    agent = { use = 'claude-code' }
        error 5:1 `agent` in [steps.b] is not supported yet; remove the step, or start the agent's command in `run`
    [steps.b]
    approval = {}
        error 5:1 [steps.b.approval] has no `prompt`; prompt = "Publish it?"
    [steps.b]
    approval = { prompt = 'Go?', timeout = '1h' }
        error 5:30 [steps.b.approval] has a `timeout`, and does not say what happens then; on_timeout = "reject", "approve" or "wait"
    [steps.b]
    approval = { prompt = 'Go?', on_timeout = 'reject' }
        error 5:30 [steps.b.approval] has `on_timeout`, and no `timeout`; timeout = "24h"
    [steps.b]
    approval = { prompt = 'Go?' }
    retry = { max_attempts = 2 }
        error 6:1 `retry` has no meaning in [steps.b]: it is a question to a person; remove it, or put it on the step that comes before or after
    [steps.b]
    approval = { prompt = 'Go?', confirm = 'x' }
        error 5:30 `confirm` in [steps.b.approval] is not supported yet; remove it; an answer is one command
    [steps.'B b']
    run = 'true'
        error 4:8 a step cannot be called `B b`: it must start with a-z or 0-9; a-z or 0-9 first, then a-z, 0-9, _ and -, at most 63 characters
    [[steps.b]]
    run = 'true'
        error 4:9 `b` in [steps] must be one table, not a list of tables; write [steps.b] once, with single brackets
    [steps]
    b = 3
        error 5:5 `b` in [steps] must be a table, not an integer
    [steps.a]
    run = 'twice'
        error 4:8 `a` is there twice; remove one of them
        error 5:1 `run` is there twice; remove one of them
    [step.b]
    run = 'true'
        error 4:2 unknown key `step` at the top level of the file; did you mean `steps`?
    [defaults]
    run = 'x'
    on_unknown = 'probe'
    escalation = {}
        error 5:1 unknown key `run` in [defaults]; `run` belongs to a step; defaults are timeout, grace, retry, allow_failure and on_unknown
        error 6:14 `probe` cannot be a default: each step has its own command; write on_unknown and probe in the steps
        error 7:1 `escalation` in [defaults] is not supported yet; remove it; a question waits until it is answered
    [defaults]
    retry = { max_attempts = 3 }
    timeout = '1h'
    grace = '5s'
    allow_failure = true
    on_unknown = 'rerun'
        fine
    [workflow]
    name = 'Train LLM!'
        error 5:8 a workflow cannot be called "Train LLM!": it must start with a-z or 0-9; name = "train-llm"
    [workflow]
    name = 'x'
    autonomy = 'act'
        error 6:1 `autonomy` in [workflow] is not supported yet; remove it; dogwatch acts by the rules of [[steps.x.on_failure]]
    [workflow]
    max_parallel = 99999999999
        error 5:16 `max_parallel` in [workflow] must be 1 to 4294967295
    [secrets]
    X = { from = 'env' }
        error 4:2 `secrets` is not supported yet; remove it; until then a step can read a file of the workspace
    [[notify]]
    url = 'x'
        error 4:3 `notify` is not supported yet; remove it; `dogwatch wait RUN --for escalation` ends when a person is needed
    [environment]
    image = 'x'
    isolation = 'always'
        error 5:1 `image` in [environment] is not supported yet; remove it; steps run in the built-in sandbox on this host
        error 6:13 `isolation` in [environment] must be "auto", "required" or "none", not "always"
    "#);
}

#[test]
fn a_matrix_is_counted_and_its_exclusions_are_checked() {
    insta::assert_snapshot!(told(STEP, &[
        "matrix = { lr = 0.1 }",
        "matrix = { lr = [] }",
        "matrix = {}",
        "matrix = { lr = [1, 1] }",
        "matrix = { lr = [[1]] }",
        "matrix = { lr = [inf] }",
        "matrix = { 'l-r' = [1] }",
        "matrix = { lr = [1, 2], max_paralel = 2 }",
        "matrix = { lr = [1, 2], max_parallel = 0, fail_fast = 1 }",
        "matrix = { lr = [1, 2], exclude = [{ rl = 1 }] }",
        "matrix = { lr = [1, 2], exclude = [{ lr = '1' }] }",
        "matrix = { lr = [1, 2], exclude = [{ lr = 1 }, { lr = 2 }] }",
        "matrix = { lr = [1, 2], exclude = [{}] }",
        "matrix = { lr = [1, 2] }\nenv = { A = '${{ matrix.rl }}' }",
        "matrix = { lr = [1, 2] }\noutputs = { m = { path = 'model' } }",
    ]), @r#"
    matrix = { lr = 0.1 }
        error 4:17 `lr` in [steps.a.matrix] must be a list, not a float; write [0.1]
    matrix = { lr = [] }
        error 4:17 `lr` in [steps.a.matrix] is empty: there would be no lane
    matrix = {}
        error 4:1 [steps.a.matrix] has no values: there would be no lane; lr = [0.02, 0.1]
    matrix = { lr = [1, 1] }
        error 4:21 1 is twice in `lr` in [steps.a.matrix]; remove one of them
    matrix = { lr = [[1]] }
        error 4:18 an element of `lr` in [steps.a.matrix] must be a text, a number or a boolean, not a list
    matrix = { lr = [inf] }
        error 4:18 an element of `lr` in [steps.a.matrix] must be a finite number
    matrix = { 'l-r' = [1] }
        error 4:12 a key of a matrix cannot be called `l-r`; a letter or _, then letters, digits and _
    matrix = { lr = [1, 2], max_paralel = 2 }
        error 4:25 `max_paralel` in [steps.a.matrix] must be a list of values; did you mean `max_parallel`?
    matrix = { lr = [1, 2], max_parallel = 0, fail_fast = 1 }
        error 4:40 `max_parallel` in [steps.a.matrix] must be 1 to 4294967295
        error 4:55 `fail_fast` in [steps.a.matrix] must be true or false, not an integer
    matrix = { lr = [1, 2], exclude = [{ rl = 1 }] }
        error 4:38 the matrix has no key `rl`; did you mean `lr`?
    matrix = { lr = [1, 2], exclude = [{ lr = '1' }] }
        error 4:43 "1" is not a value of `lr` in the matrix; mind the quotes: "1" is a text and 1 a number
    matrix = { lr = [1, 2], exclude = [{ lr = 1 }, { lr = 2 }] }
        error 4:1 [steps.a.matrix] excludes everything: there would be no lane; leave one combination
    matrix = { lr = [1, 2], exclude = [{}] }
        error 4:36 an empty exclusion excludes everything; remove it
    matrix = { lr = [1, 2] }
    env = { A = '${{ matrix.rl }}' }
        error 5:18 the matrix of step a has no key `rl`; did you mean `lr`?
    matrix = { lr = [1, 2] }
    outputs = { m = { path = 'model' } }
        warning 5:26 all lanes of [steps.a] write the same path; path = "$DOGWATCH_DIR/model": each lane has its own
    "#);
    let axis = format!("[{}]", (0..101).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
    let large = shown(&format!("{STEP}matrix = {{ a = {axis}, b = {axis} }}\n"));
    assert!(large.contains("makes 10201 lanes; a step may have 10000"), "{large}");
    let endless = format!("{STEP}[steps.a.matrix]\n{}", (0..20).map(|n| format!("k{n} = {axis}\n")).collect::<String>());
    assert!(shown(&endless).contains("makes far more lanes"), "{}", shown(&endless));
    let axis = format!("[{}]", (0..10_000).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
    let many: String = (0..11).map(|n| format!("[steps.s{n}]\nrun = 'true'\nmatrix = {{ k = {axis} }}\n")).collect();
    assert!(shown(&format!("version = 1\n{many}")).contains("have 110000 lanes in all; a workflow may have 100000"));
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
fn parameters_are_typed_and_overridden() {
    let file = |given: &[(&str, &str)]| {
        let source = "version = 1
[params]
model = { type = 'string', default = 'gpt2', description = 'Base model' }
epochs = { type = 'integer', default = 3, min = 1, max = 9 }
lr = { type = 'number', default = 1e-3 }
fast = { type = 'boolean', default = false }
target = { type = 'string', default = 'staging', choices = ['staging', 'prod'] }
[steps.a]
run = 'true'
";
        let given: Vec<(String, String)> = given.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        config::parse(source, "flow.toml", Path::new("/work"), &given)
    };
    let values = file(&[("epochs", "5"), ("fast", "true"), ("lr", "2"), ("epochs", "6")]).unwrap().workflow.params;
    let values: Vec<String> = values.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(values, ["model=gpt2", "epochs=6", "lr=2.0", "fast=true", "target=staging"]);
    insta::assert_snapshot!(file(&[("modle", "x"), ("epochs", "10"), ("lr", "fast"), ("fast", "yes"), ("target", "live")]).unwrap_err(), @r#"
    error: parameter `epochs` must be at most 9, not 10
     --> -p epochs=10

    error: parameter `lr` must be a number, not "fast"
     --> -p lr=fast

    error: parameter `fast` must be true or false, not "yes"
     --> -p fast=yes

    error: parameter `target` must be staging or prod, not "live"
     --> -p target=live

    error: there is no parameter `modle`
     --> -p modle=x
      = hint: did you mean `model`?
    "#);
    insta::assert_snapshot!(told("version = 1\n[steps.a]\nrun = 'true'\n[params]\n", &[
        "x = 3",
        "x = { default = 3 }",
        "x = { type = 'int', default = 3 }",
        "x = { type = 'integer', default = '3' }",
        "x = { type = 'integer', default = 3, min = 4 }",
        "x = { type = 'integer', default = 3, choices = [1, 2] }",
        "x = { type = 'integer', default = 3, min = 4, max = 2 }",
        "x = { type = 'integer', default = 3, choices = [] }",
        "x = { type = 'string', default = 'a', min = 4 }",
        "x = { type = 'string', defualt = 'a' }",
        "x = { type = 'string' }",
        "learning-rate = { type = 'number', default = 1 }",
    ]), @r#"
    x = 3
        error 5:5 `x` in [params] must be a table, not an integer; write x = { type = "integer", default = 3 }
    x = { default = 3 }
        error 5:1 params.x has no `type`; type is "string", "integer", "number" or "boolean"
    x = { type = 'int', default = 3 }
        error 5:14 `type` in params.x must be "string", "integer", "number" or "boolean", not "int"; did you mean "integer"?
    x = { type = 'integer', default = '3' }
        error 5:35 `default` in params.x must be an integer, not a text; write 3 without quotes
    x = { type = 'integer', default = 3, min = 4 }
        error 5:35 the default of parameter `x` must be at least 4, not 3
    x = { type = 'integer', default = 3, choices = [1, 2] }
        error 5:35 the default of parameter `x` must be 1 or 2, not 3
    x = { type = 'integer', default = 3, min = 4, max = 2 }
        error 5:1 `min` of params.x is above its `max`
        error 5:35 the default of parameter `x` must be at least 4, not 3
    x = { type = 'integer', default = 3, choices = [] }
        error 5:48 `choices` in params.x is empty: no value is allowed
    x = { type = 'string', default = 'a', min = 4 }
        error 5:39 `min` is for integers and numbers only; remove it
    x = { type = 'string', defualt = 'a' }
        error 5:1 parameter `x` has no default and no value; give it with -p x=VALUE, or write a `default`
        error 5:24 unknown key `defualt` in params.x; did you mean `default`?
    x = { type = 'string' }
        error 5:1 parameter `x` has no default and no value; give it with -p x=VALUE, or write a `default`
    learning-rate = { type = 'number', default = 1 }
        error 5:1 a parameter cannot be called `learning-rate`; a letter or _, then letters, digits and _
    "#);
}

#[test]
fn every_supported_key_is_read() {
    let loaded = config::parse(CORE, "core.dogwatch.toml", Path::new("/work"), &[]).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let flow = loaded.workflow;
    let told = (flow.name.as_str(), flow.max_parallel, flow.timeout, flow.environment.workspace.as_str());
    assert_eq!(told, ("core", 3, Some(Duration::from_hours(12)), "/work"));
    assert_eq!(flow.env["THREADS"], Template(vec![Part::Text("2".into())]));
    assert_eq!(flow.params["rate"], Value::Number(1e-3));
    let mounts: Vec<_> = flow.environment.mounts.iter().map(|m| (m.target.as_str(), m.readonly)).collect();
    assert_eq!(mounts, [("/data", true), ("/cache", false)]);
    assert_eq!(flow.environment.mounts[0].source, "/work/data");
    assert!(flow.environment.mounts[1].source.ends_with("/cache") && !flow.environment.mounts[1].source.contains('~'));

    let prepare = &flow.steps[&id("prepare")];
    assert_eq!(prepare.timeout, Some(Duration::from_mins(45)));
    assert_eq!((prepare.grace, prepare.retry.max_attempts), (Duration::from_secs(20), 3), "defaults hold");

    let train = &flow.steps[&id("train")];
    assert_eq!(train.needs, [id("prepare")]);
    assert_eq!((train.lanes.len(), train.lanes_at_once), (3, Some(2)));
    assert_eq!((train.grace, train.timeout), (Duration::from_secs(90), Some(Duration::from_hours(2))));
    assert_eq!((train.retry.max_attempts, train.retry.delay), (5, Duration::from_secs(30)), "retry is merged key by key");
    assert_eq!(train.on_unknown, OnUnknown::Probe { script: "test -e done".into() });
    assert_eq!(train.checkpoint.as_ref().unwrap().resume_env.as_deref(), Some("RESUME"));
    let rules: Vec<_> = train.on_failure.iter().map(|rule| (rule.name.as_str(), rule.action)).collect();
    assert_eq!(rules, [("network", Action::Retry), ("rule 2", Action::Resume), ("rule 3", Action::Escalate)]);
    let retry = train.on_failure[0].retry.as_ref().unwrap();
    assert_eq!((retry.max_attempts, retry.delay), (6, Duration::from_mins(1)));
    assert_eq!(retry.max_delay, Duration::from_mins(10), "a rule's retry is merged over the step's");
    assert_eq!((&train.on_failure[1].matcher.exit_code[..], &train.on_failure[1].matcher.signal[..]), (&[137, 143][..], &[9][..]));

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
    let problems = config::parse(COMPLETE, "complete.dogwatch.toml", Path::new("/work"), &[]).unwrap_err();
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
    `alerts` in [steps.train]
    `alternatives` in [steps.train]
    `best()`
    `cache` in output `dataset` of [steps.prepare]
    `class` in `match` of rule 1 of [steps.train]
    `confirm` in [steps.review.approval]
    `cpus` in [environment]
    `environment` in [steps.server]
    `environments`
    `escalation` in [defaults]
    `format` in output `scores` of [steps.evaluate]
    `gpus` in [environment]
    `gpus` in [steps.train]
    `image` in [environment]
    `keep` in [steps.train.checkpoint]
    `memory` in [environment]
    `metrics` in [steps.train]
    `metrics` of a step
    `network` in [environment]
    `notify`
    `progress` in [steps.evaluate]
    `progress` in [steps.prepare]
    `progress` in [steps.train]
    `prompt` in [steps.triage]
    `readiness_probe` in [steps.server]
    `secrets` in [steps.export]
    `secrets` in [steps.prepare]
    `secrets` in [steps.train]
    `secrets`
    `service` in [steps.server]
    `shm` in [environment]
    `snapshot` in [steps.train]
    `use` in rule 1 of [steps.train]
    `verify` in [steps.train.checkpoint]
    `wait` in [steps.train]
    action "retry_modified"
    "#);
    // Keys that only the table below the example names.
    for (place, keys) in [
        ("[steps.a]\nrun = 'true'", &["verify", "autonomy", "wait_for", "fresh"][..]),
        ("[steps.a]\nrun = 'true'\n[workflow]", &["autonomy"]),
        ("[steps.a]\nrun = 'true'\n[environment]", &["pull", "user", "caps", "ulimits", "read_only", "keep"]),
        ("[steps.a]\nrun = 'true'\n[steps.a.checkpoint]\npattern = '(?P<path>.)'", &["every", "save_signal", "verify"]),
    ] {
        for key in keys {
            let problems = parse(&format!("version = 1\n{place}\n{key} = 1\n")).unwrap_err();
            let [problem] = &problems.list[..] else { panic!("{problems}") };
            assert!(problem.message.starts_with(&format!("`{key}` in [")), "{}", problem.message);
            assert!(problem.message.ends_with("is not supported yet"), "{}", problem.message);
        }
    }
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
    assert_eq!(large, "error: the file is larger than 4 MiB\n --> flow.toml\n  = hint: its data belongs into other files");
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
fn mounts_cannot_reach_what_steps_must_not() {
    let mounts = |list: &str| parse(&format!("{STEP}[environment]\nmounts = {list}\n"));
    let read = mounts("['data:/data', '/a/../srv/x:/x:ro', { source = '../up', target = '/t/./u/' }]").unwrap();
    let read = read.workflow.environment.mounts;
    let read: Vec<_> = read.iter().map(|m| format!("{} {} {}", m.source, m.target, m.readonly)).collect();
    assert_eq!(read, ["/work/data /data false", "/srv/x /x true", "/up /t/u false"]);
    let sources =
        ["/var/run/docker.sock", "/run", "/", "/run/podman/podman.sock", "~/.local/state/dogwatch/runs", "~/.local"];
    for source in sources {
        let problems = mounts(&format!("['{source}:/m']")).unwrap_err().to_string();
        assert!(problems.contains("cannot be mounted: steps could reach"), "{source}: {problems}");
    }
    insta::assert_snapshot!(told("version = 1\n[steps.a]\nrun = 'true'\n[environment]\n", &[
        "mounts = ['data']",
        "mounts = ['a:b']",
        "mounts = ['a:/b:rx']",
        "mounts = ['a:/proc/x', 'a:/']",
        "mounts = ['a:/b', 'c:/b']",
        "mounts = [{ source = 'a' }]",
        "mounts = [{ source = 'a', target = '/b', read_only = true }]",
        "mounts = [3]",
        "mounts = 'a:/b'",
        "workspace = '~bob/x'",
        "workspace = ''",
    ]), @r#"
    mounts = ['data']
        error 5:11 a mount is "source:target" or "source:target:ro"; a path with a colon: { source = "…", target = "…", readonly = true }
    mounts = ['a:b']
        error 5:11 the target of a mount must be an absolute path, not "b"; write "/b"
    mounts = ['a:/b:rx']
        error 5:11 a mount is "source:target" or "source:target:ro"; a path with a colon: { source = "…", target = "…", readonly = true }
    mounts = ['a:/proc/x', 'a:/']
        error 5:11 nothing can be mounted at /proc/x: the environment has its own; choose a folder of its own, like "/data"
        error 5:24 nothing can be mounted at /: the environment has its own; choose a folder of its own, like "/data"
    mounts = ['a:/b', 'c:/b']
        error 5:19 /b is mounted twice; give each mount its own target
    mounts = [{ source = 'a' }]
        error 5:11 a mount of [environment] has no `target`
    mounts = [{ source = 'a', target = '/b', read_only = true }]
        error 5:42 unknown key `read_only` in a mount of [environment]; did you mean `readonly`?
    mounts = [3]
        error 5:11 an element of `mounts` in [environment] must be a table or a text like "data:/data:ro", not an integer
    mounts = 'a:/b'
        error 5:10 `mounts` in [environment] must be a list, not a text; write ["a:/b"]
    workspace = '~bob/x'
        error 5:13 only `~` and `~/…` are expanded; write the whole path
    workspace = ''
        error 5:13 `workspace` in [environment] is empty
    "#);
}

#[test]
fn neither_depth_nor_length_is_a_danger() {
    let deep = 1_000_000;
    for source in [
        format!("{STEP}needs = {}", "[".repeat(deep)),
        format!("{STEP}needs = {}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("{STEP}env = {}", "{a=".repeat(deep)),
        format!("{STEP}{}b = 1", "b.".repeat(deep)),
        format!("{STEP}[{}b]", "b.".repeat(deep)),
        format!("{STEP}description = {}", "\"".repeat(deep)),
        format!("{STEP}if = '{}true{}'", "(".repeat(400), ")".repeat(400)),
        format!("{STEP}if = '{}true'", "not ".repeat(240)),
        format!("{STEP}if = '1{} > 1000'", "+1".repeat(480)),
        format!("{STEP}if = '1{}'", " if 1 else 1".repeat(80)),
        format!("{STEP}if = 'true{}'", "[0]".repeat(300)),
        format!("{STEP}if = '{}1{}'", "[".repeat(450), "]".repeat(450)),
        format!("{STEP}if = '{}'", "-".repeat(900)),
        format!("{STEP}if = '{}'", "a|".repeat(400)),
        format!("{STEP}if = '{}'", "x".repeat(2000)),
        format!("{STEP}on_failure = [{{ action = 'abort', match = {{ output = '{}' }} }}]", "(".repeat(50_000)),
        format!("{STEP}on_failure = [{{ action = 'abort', match = {{ output = '{}' }} }}]", "a{1000}".repeat(1000)),
    ] {
        match parse(&source) {
            // A thousand additions are fine, as long as nothing breaks.
            Ok(_) => assert!(source.len() < 2000),
            Err(problems) => assert!(problems.to_string().starts_with("error: "), "{problems}"),
        }
    }
}

#[test]
fn a_chain_of_ten_thousand_steps_needs_no_deep_stack() {
    let mut chain = String::from("version = 1\n");
    for n in 0..10_000 {
        let _ = write!(chain, "[steps.s{n}]\nrun = 'true'\noutputs = {{ o = {{ path = 'o{n}' }} }}\n");
        if n > 0 {
            let _ = write!(chain, "needs = ['s{}']\nenv = {{ A = '${{{{ steps.s0.outputs.o }}}}' }}\n", n - 1);
        }
    }
    let ring = chain.replacen("[steps.s0]\n", "[steps.s0]\nneeds = ['s9999']\n", 1);
    let thread = std::thread::Builder::new().stack_size(512 * 1024).spawn(move || {
        let loaded = parse(&chain).unwrap();
        let picture = dogwatch::report::graph::render(&loaded.workflow, dogwatch::report::graph::Format::Ascii);
        (loaded.workflow.steps.len(), picture.lines().count(), shown(&ring))
    });
    let (steps, lines, ring) = thread.unwrap().join().unwrap();
    assert_eq!((steps, lines), (10_000, 20_001));
    assert!(ring.contains("in a circle: s0 -> s9999 -> "), "{ring}");
}

/// A small generator of numbers: the same seed always breaks the same way.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % n.max(1)
    }

    fn boundary(&mut self, text: &str) -> usize {
        let mut at = self.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

const PIECES: [&str; 28] = [
    "[", "]", "{", "}", "\"", "'", "'''", "\"\"\"", "=", ".", ",", "\n", "#", "${{", "}}", " and ", "\u{1b}", "\u{202e}",
    "\u{0}", "é", "\u{1f600}", "\\", "-1", "1e999", "steps.train", "nan", "99999999999999999999", "\r\n",
];

const VALUES: [&str; 10] =
    ["true", "3", "'x'", "[]", "{}", "[1, 'a']", "1.5", "2026-11-22", "'${{ steps.train }}'", "[{ action = 'retry' }]"];

/// The source with one to four things broken.
fn mutate(source: &str, random: &mut Random) -> String {
    let mut text = source.to_owned();
    for _ in 0..=random.below(4) {
        let at = random.boundary(&text);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.push(String::new());
        let (n, other) = (random.below(lines.len()), random.below(lines.len()));
        match random.below(7) {
            0 => text.truncate(at),
            1 => text.insert_str(at, random.of(&PIECES)),
            2 => {
                let end = random.boundary(&text).clamp(at, text.len().min(at + 20));
                if text.is_char_boundary(end) {
                    text.replace_range(at..end, "");
                }
            }
            3 => {
                lines.swap(n, other);
                text = lines.join("\n");
            }
            4 => {
                lines.remove(n);
                text = lines.join("\n");
            }
            5 => {
                let words: Vec<&str> = source.split_whitespace().collect();
                text.insert_str(at, random.of(&words));
            }
            _ => {
                if let Some((key, _)) = lines[n].split_once(" = ") {
                    lines[n] = format!("{key} = {}", random.of(&VALUES));
                }
                text = lines.join("\n");
            }
        }
    }
    text
}

#[test]
fn no_file_makes_the_reader_panic_and_every_error_has_a_place_in_it() {
    let mut random = Random(0x5eed_d09a);
    let (mut good, mut bad) = (0, 0);
    for round in 0..4000 {
        let source = mutate(if round % 3 == 0 { COMPLETE } else { CORE }, &mut random);
        let stripped = source.strip_prefix('\u{feff}').unwrap_or(&source);
        let read = std::panic::catch_unwind(|| parse(&source)).unwrap_or_else(|_| panic!("round {round}:\n{source}"));
        let problems = match read {
            Ok(loaded) => {
                good += 1;
                loaded.warnings
            }
            Err(problems) => {
                bad += 1;
                assert!(!problems.is_empty(), "round {round}: refused without a word\n{source}");
                problems
            }
        };
        for problem in &problems.list {
            let Place::Source { line, column, bytes } = &problem.place else { panic!("round {round}: {problem:?}") };
            assert!(bytes.start <= bytes.end && bytes.end <= stripped.len(), "round {round}: {problem:?}");
            let start = stripped.split('\n').take(line - 1).map(|line| line.len() + 1).sum::<usize>();
            assert_eq!(stripped[start..bytes.start].chars().count() + 1, *column, "round {round}: {problem:?}");
        }
        let shown = problems.to_string();
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "round {round}: {shown:?}");
    }
    assert!(good > 100 && bad > 1000, "{good} good, {bad} bad: the mutations are too weak or too strong");
}

#[test]
fn the_schema_knows_exactly_the_supported_keys() {
    let schema: serde_json::Value = serde_json::from_str(&config::schema()).unwrap();
    for kind in Kind::ALL {
        let table = match kind {
            Kind::File => &schema,
            Kind::Workflow => &schema["definitions"]["About"],
            Kind::Mount => &schema["definitions"]["LongMount"],
            other => &schema["definitions"][format!("{other:?}")],
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
        let loaded = config::parse(&source, "exec", Path::new("/work"), &[]);
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
    assert_eq!(config::parse(&named, "exec", Path::new("/work"), &[]).unwrap().workflow.name, "night-job");
}
