//! Each kind of mistake once: the file, and what is said about it.

use std::fmt::Write as _;
use std::path::Path;

use super::{STEP, parse, shown, told};
use dogwatch::config;

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
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
        "env = { A = \"${{ best(steps.lanes, by='loss', mode='min').outputs.model }}\" }",
        "env = { A = \"${{ best(steps.lanes, by='loss', mode='min').outputs.modl }}\" }",
        "env = { A = \"${{ best(steps.lanes, by='loss', mode='min').matrix.rl }}\" }",
        "env = { A = \"${{ best(steps.prepare, by='loss', mode='min').lane }}\" }",
        "env = { A = \"${{ steps['lanes[lr=1]'].outputs.model }}\" }",
        "env = { A = \"${{ steps['lanes[lr=3]'].outputs.model }}\" }",
        "if = \"steps.prepare.metrics.acc > 0.9\"",
        "if = \"steps.gate.metrics.acc > 0.9\"",
        "if = \"steps.prepare.metrics.acc\"",
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
        error 17:31 a step has no `data`; write steps.prepare.outputs.name, steps.prepare.metrics.name, failed(steps.prepare) or succeeded(steps.prepare)
    env = { A = '${{ steps.lanes.outputs.model }}' }
        error 17:18 step lanes has several lanes, and it is not said which one's `outputs.model` is meant; write best(steps.lanes, by='loss', mode='min').outputs.model, or steps['lanes[lr=1]'].outputs.model
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
        error 17:18 best() needs by='…', the name of a metric; write it as in best(steps.train, by='loss', mode='min').outputs.model
    env = { A = '${{ steps.lanes.metrics.loss }}' }
        error 17:18 step lanes has several lanes, and it is not said which one's `metrics.loss` is meant; write best(steps.lanes, by='loss', mode='min').metrics.loss, or steps['lanes[lr=1]'].metrics.loss
    env = { A = "${{ best(steps.lanes, by='loss', mode='min').outputs.model }}" }
        fine
    env = { A = "${{ best(steps.lanes, by='loss', mode='min').outputs.modl }}" }
        error 17:18 step lanes has no output `modl`; did you mean `model`?
    env = { A = "${{ best(steps.lanes, by='loss', mode='min').matrix.rl }}" }
        error 17:18 the matrix of step lanes has no key `rl`; did you mean `lr`?
    env = { A = "${{ best(steps.prepare, by='loss', mode='min').lane }}" }
        error 17:18 step prepare has no matrix: there is one lane; write steps.prepare.outputs.name or steps.prepare.metrics.name
    env = { A = "${{ steps['lanes[lr=1]'].outputs.model }}" }
        fine
    env = { A = "${{ steps['lanes[lr=3]'].outputs.model }}" }
        error 17:18 step lanes has no lane `lr=3`; did you mean steps['lanes[lr=1]']?
    if = "steps.prepare.metrics.acc > 0.9"
        fine
    if = "steps.gate.metrics.acc > 0.9"
        error 17:7 step gate is a question and has no numbers; name a step with `run`
    if = "steps.prepare.metrics.acc"
        error 17:7 a condition must be true or false, and this is the number 1.0; compare it with something, as in `params.target == 'prod'`
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
#[expect(clippy::too_many_lines, reason = "it is a table")]
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
        "checkpoint = { pattern = '(?P<path>.*)', keep = 0, save_signal = 'USR9' }",
        "checkpoint = { pattern = '(?P<path>.*)', save_signal = 'SIGUSR1' }",
        "checkpoint = { pattern = '(?P<path>.*)', save_signal = 'KILL' }",
        "checkpoint = { pattern = '(?P<path>.*)', save_signal = 15 }",
        "on_failure = { action = 'retry' }",
        "on_failure = [{ match = {} }]",
        "on_failure = [{ action = 'retry' }]",
        "on_failure = [{ action = 'retry', retry = { max_attempts = 1 } }]",
        "on_failure = [{ action = 'resume', retry = { max_attempts = 3 } }]",
        "on_failure = [{ action = 'retry_modified' }, { action = 'alternative' }, { action = 'skip' }]",
        "on_failure = [{ action = 'retry_modified', change = { BATCH = 'half', PATH_X = '/ 0', N = '* 2' } }]",
        "on_failure = [{ action = 'alternative', use = 'steps.nobody' }, { action = 'retry', use = 'steps.a' }]",
        "on_failure = [{ action = 'alternative', use = 'hlaf' }]\nalternatives = { half = { description = 'nothing' } }",
        "on_failure = [{ action = 'abort', match = { class = 'oom' } }]\nautonomy = 'full'",
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
        "[secrets]\nTOKEN = { from = 'env', name = 'HF' }\nKEY = { from = 'file', path = '~/key' }\nPW = { from = 'command', run = 'pass show x' }\n[steps.b]\nrun = 'true'\nsecrets = ['TOKEN', 'KEY', 'PW']",
        "[secrets]\nTOKEN = 'hf_abcdef'",
        "[secrets]\n'a b' = { from = 'file' }\nDOGWATCH_X = { from = 'env', path = 'x' }\nB = {}\nC = { from = 'vault' }\nD = { from = 'command', run = '' }",
        "[secrets]\nTOKEN = { from = 'env' }\n[steps.b]\nrun = 'true'\nsecrets = ['TOKN', 'TOKEN', 'TOKEN']\nenv = { TOKEN = '1' }",
        "[steps.b]\nrun = 'true'\nsecrets = ['TOKEN']",
        "[steps.b]\nrun = 'true'\nsecrets = 'TOKEN'",
        "[[notify]]\nurl = 'x'",
        "[[notify]]\non = ['escalation', 'run.stopped']\ncommand = ['notify-send', 'dogwatch', '$DOGWATCH_SUMMARY']\nremind = '30m'",
        "[[notify]]\non = ['escalation']\nurl = 'https://hooks.example.com/x'\ncommand = ['true']",
        "[[notify]]\non = ['escalation']",
        "[[notify]]\non = []\nurl = 'https://example.com'",
        "[[notify]]\non = ['run.failde', 'escalation', 'escalation']\nurl = 'http://127.0.0.1:80/x'",
        "[[notify]]\non = ['escalation']\nurl = 'ntfy://ntfy.sh/topic'",
        "[[notify]]\non = ['escalation']\nurl = 'https:///x'",
        "[[notify]]\non = ['escalation']\nurl = 'https://a b/x'",
        "[[notify]]\non = ['run.failed']\ncommand = 'notify-send hello'\nremind = '1h'",
        "[[notify]]\non = ['escalation']\ncommand = []\nremind = '5s'",
        "[notify]\non = ['escalation']\nurl = 'https://example.com'",
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
        fine
    checkpoint = { pattern = '(?P<path>.*)', keep = 0, save_signal = 'USR9' }
        error 4:49 `keep` in [steps.a.checkpoint] must be 1 to 1000
        error 4:66 there is no signal "USR9"; did you mean "SIGUSR1"?
    checkpoint = { pattern = '(?P<path>.*)', save_signal = 'SIGUSR1' }
        fine
    checkpoint = { pattern = '(?P<path>.*)', save_signal = 'KILL' }
        error 4:56 `save_signal` in [steps.a.checkpoint] cannot be that: no program can handle it; save_signal = "USR1"
    checkpoint = { pattern = '(?P<path>.*)', save_signal = 15 }
        error 4:56 `save_signal` in [steps.a.checkpoint] cannot be that: it is what the program is asked to end with, in any case; save_signal = "USR1"
    on_failure = { action = 'retry' }
        error 4:1 `on_failure` in [steps.a] must be a list of rules; write [[steps.a.on_failure]] with double brackets
    on_failure = [{ match = {} }]
        error 4:15 rule 1 of [steps.a] has no `action`; action = "retry", "retry_modified", "resume", "alternative", "skip", "escalate" or "abort"
    on_failure = [{ action = 'retry' }]
        fine
    on_failure = [{ action = 'retry', retry = { max_attempts = 1 } }]
        warning 4:26 rule 1 of [steps.a] repeats nothing: max_attempts is 1, and the first attempt counts; retry = { max_attempts = 3 }, in the rule, in the step or in [defaults]
    on_failure = [{ action = 'resume', retry = { max_attempts = 3 } }]
        error 4:26 step a saves no checkpoint to resume from; add [steps.a.checkpoint], or use action = "retry"
    on_failure = [{ action = 'retry_modified' }, { action = 'alternative' }, { action = 'skip' }]
        error 4:26 rule 1 of [steps.a] does not say what to change; change = { BATCH = "/ 2" }, or use = "NAME" of [steps.x.alternatives.NAME]
        error 4:57 rule 2 of [steps.a] does not say what to take; use = "NAME" of [steps.x.alternatives.NAME], or use = "steps.NAME"
    on_failure = [{ action = 'retry_modified', change = { BATCH = 'half', PATH_X = '/ 0', N = '* 2' } }]
        error 4:55 no `env` sets BATCH for step a: there is nothing to change; [steps.a.env] with BATCH = "…"
        error 4:63 "half" changes no number; "/ 2", "* 2", "+ 1" or "- 1"
        error 4:71 no `env` sets PATH_X for step a: there is nothing to change; [steps.a.env] with PATH_X = "…"
        error 4:80 "/ 0" changes no number; "/ 2", "* 2", "+ 1" or "- 1"
        error 4:87 no `env` sets N for step a: there is nothing to change; [steps.a.env] with N = "…"
    on_failure = [{ action = 'alternative', use = 'steps.nobody' }, { action = 'retry', use = 'steps.a' }]
        error 4:47 there is no other step "nobody"; name another step of this file
        error 4:85 `use` in rule 2 of [steps.a] has no effect with action = "retry"; action = "retry_modified" or "alternative"
        error 4:91 there is no other step "a"; name another step of this file
    on_failure = [{ action = 'alternative', use = 'hlaf' }]
    alternatives = { half = { description = 'nothing' } }
        error 4:47 step a has no alternative "hlaf"; did you mean "half"?
        error 5:18 [steps.a.alternatives.half] changes nothing; env = { … }, run = "…" or timeout = "…"
    on_failure = [{ action = 'abort', match = { class = 'oom' } }]
    autonomy = 'full'
        error 4:53 `class` in `match` of rule 1 of [steps.a] must be "device_oom", "host_resource", "disk_full", "hardware", "collective_hang", "divergence", "interrupted", "network", "rate_limit", "lock_contention", "capacity", "auth", "environment", "input_data", "code_config", "test_failure" or "unknown", not "oom"
        error 5:12 `autonomy` in [steps.a] must be "observe", "ask" or "act", not "full"
    on_failure = [{ action = 'abort', retry = { max_attempts = 3 } }]
        error 4:35 `retry` has no effect in rule 1 of [steps.a]; action = "retry", "retry_modified", "resume" or "alternative"
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
        fine
    on_failure = [{ action = 'abort', match = { output = '[' } }]
        error 4:54 `output` in `match` of rule 1 of [steps.a] is not a pattern: unclosed character class; the syntax is that of docs.rs/regex
    on_failure = [{ action = 'abort', name = 'x' , use = 'y' }]
        error 4:48 `use` in rule 1 of [steps.a] has no effect with action = "abort"; action = "retry_modified" or "alternative"
        error 4:54 step a has no alternative "y"; add [steps.a.alternatives.NAME], or write use = "steps.NAME"
    [steps.b]
        error 4:8 [steps.b] has neither `run` nor `approval` nor `wait_for`; run = "a command", a table `approval` with a `prompt`, or wait_for = { file = "PATH" }
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
        error 5:40 "x" is no way to confirm: `confirm` in [steps.b.approval]; "key" or "type-name", or an expression that becomes one of them
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
        error 5:1 unknown key `run` in [defaults]; `run` belongs to a step; defaults are timeout, grace, retry, allow_failure, on_unknown, autonomy and escalation
        error 6:14 `probe` cannot be a default: each step has its own command; write on_unknown and probe in the steps
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
        fine
    [workflow]
    max_parallel = 99999999999
        error 5:16 `max_parallel` in [workflow] must be 1 to 4294967295
    [secrets]
    X = { from = 'env' }
        warning 1:1 no step gets X; a step asks for it: secrets = ["X"]
    [secrets]
    TOKEN = { from = 'env', name = 'HF' }
    KEY = { from = 'file', path = '~/key' }
    PW = { from = 'command', run = 'pass show x' }
    [steps.b]
    run = 'true'
    secrets = ['TOKEN', 'KEY', 'PW']
        fine
    [secrets]
    TOKEN = 'hf_abcdef'
        error 5:1 `TOKEN` in [secrets] must say where its value comes from, not what it is; TOKEN = { from = "env" }; a value that was written here should be changed
    [secrets]
    'a b' = { from = 'file' }
    DOGWATCH_X = { from = 'env', path = 'x' }
    B = {}
    C = { from = 'vault' }
    D = { from = 'command', run = '' }
        error 5:1 a variable cannot be called `a b`; a letter or _, then letters, digits and _
        error 5:1 secret `a b` has no `path`; path = "~/.config/token"
        error 6:1 `DOGWATCH_X` cannot be set: dogwatch sets the variables that begin with DOGWATCH_; choose another name
        error 6:30 `path` has no meaning in secret `DOGWATCH_X` with that `from`; remove it
        error 7:1 secret `B` does not say `from` where; from = "env", "file" with `path`, or "command" with `run`
        error 8:14 `from` in secret `C` must be "env", "file" or "command", not "vault"
        error 9:31 `run` in secret `D` is empty
    [secrets]
    TOKEN = { from = 'env' }
    [steps.b]
    run = 'true'
    secrets = ['TOKN', 'TOKEN', 'TOKEN']
    env = { TOKEN = '1' }
        error 8:12 there is no secret "TOKN"; did you mean "TOKEN"?
        error 8:20 `TOKEN` is both a secret of the step and in `env` of the step; give one of them another name
        error 8:29 TOKEN is there twice; remove one of them
        error 8:29 `TOKEN` is both a secret of the step and in `env` of the step; give one of them another name
    [steps.b]
    run = 'true'
    secrets = ['TOKEN']
        error 6:12 there is no secret "TOKEN"; add [secrets] and below it TOKEN = { from = "env" }
    [steps.b]
    run = 'true'
    secrets = 'TOKEN'
        error 6:11 `secrets` in [steps.b] must be a list, not a text; write ["TOKEN"]
    [[notify]]
    url = 'x'
        error 4:1 [[notify]] rule 1 does not say `on` what; on = ["escalation", "run.failed", "run.succeeded", "run.stopped"], or some of these
        error 5:7 `url` in [[notify]] rule 1 must begin with https:// or http://; url = "https://hooks.example.com/…"
    [[notify]]
    on = ['escalation', 'run.stopped']
    command = ['notify-send', 'dogwatch', '$DOGWATCH_SUMMARY']
    remind = '30m'
        fine
    [[notify]]
    on = ['escalation']
    url = 'https://hooks.example.com/x'
    command = ['true']
        error 6:1 [[notify]] rule 1 has both a `command` and a `url`; make it two rules
    [[notify]]
    on = ['escalation']
        error 4:1 [[notify]] rule 1 does not say how to tell it; url = "https://…" or command = ["program", "argument"]
    [[notify]]
    on = []
    url = 'https://example.com'
        error 5:6 `on` in [[notify]] rule 1 is empty: nobody is ever told; on = ["escalation", "run.failed", "run.succeeded", "run.stopped"], or some of these
    [[notify]]
    on = ['run.failde', 'escalation', 'escalation']
    url = 'http://127.0.0.1:80/x'
        error 5:7 an element of `on` in [[notify]] rule 1 must be "escalation", "run.failed", "run.succeeded" or "run.stopped", not "run.failde"; did you mean "run.failed"?
        error 5:35 escalation is there twice; remove one of them
    [[notify]]
    on = ['escalation']
    url = 'ntfy://ntfy.sh/topic'
        error 6:7 `url` in [[notify]] rule 1 must begin with https:// or http://; url = "https://ntfy.sh/topic"
    [[notify]]
    on = ['escalation']
    url = 'https:///x'
        error 6:7 `url` in [[notify]] rule 1 is no address; name a host
    [[notify]]
    on = ['escalation']
    url = 'https://a b/x'
        error 6:7 `url` in [[notify]] rule 1 is no address; write %20 for a blank, and other characters likewise
    [[notify]]
    on = ['run.failed']
    command = 'notify-send hello'
    remind = '1h'
        error 6:11 `command` in [[notify]] rule 1 must be a list, not a text; write ["notify-send hello"]
        error 7:1 `remind` in [[notify]] rule 1 reminds of nothing: only questions are told again; remove it, or add "escalation" to `on`
    [[notify]]
    on = ['escalation']
    command = []
    remind = '5s'
        error 6:11 `command` in [[notify]] rule 1 is empty; ["program", "argument"]
        error 7:10 `remind` in [[notify]] rule 1 must be at least 1m; "30m"
    [notify]
    on = ['escalation']
    url = 'https://example.com'
        error 4:2 `notify` must be a list of rules; write [[notify]] with double brackets, and below it on = ["escalation"] and url = "https://…"
    [environment]
    image = 'x'
    isolation = 'always'
        error 6:1 `isolation` is about the built-in sandbox, and `image` asks for a container; remove one of the two
        error 6:13 `isolation` in [environment] must be "auto", "required" or "none", not "always"
    "#);
}

#[test]
fn the_keys_of_a_container_are_checked() {
    insta::assert_snapshot!(told("version = 1\n[steps.a]\nrun = 'true'\n", &[
        "[environment]\nimage = 'a/../../containers/json'",
        "[environment]\nimage = '-v'",
        "[environment]\nimage = ''",
        "[environment]\nmemory = '1GiB'\nuser = 'root'",
        "[environment]\nimage = 'bb'\npull = 'allways'\ncpus = 0\nmemory = '64'\nshm = '1KiB'",
        "[environment]\nimage = 'bb'\ngpus = 'some'\nnetwork = 'yes'\nuser = 'node'\ncaps = ['SYS_PTRAC', 'cap_chown']",
        "[environment]\nimage = 'bb'\ngpus = ['0', 'a b']\nulimits = { nofiles = 1, memlock = -2, stack = 8 }\nread_only = 1",
        "[environment]\nimage = 'bb:1'\ngpus = ['0']\ncpus = 1.5\nmemory = '1.5GiB'\nuser = '1000:1000'\npull = 'never'",
    ]), @r#"
    [environment]
    image = 'a/../../containers/json'
        error 5:9 "a/../../containers/json" is not the name of an image; write it like "python:3.12-slim", "ghcr.io/acme/train:2026.11" or "name@sha256:…"
    [environment]
    image = '-v'
        error 5:9 "-v" is not the name of an image; write it like "python:3.12-slim", "ghcr.io/acme/train:2026.11" or "name@sha256:…"
    [environment]
    image = ''
        error 5:9 `image` in [environment] is empty
    [environment]
    memory = '1GiB'
    user = 'root'
        error 5:1 `memory` needs an `image`: the built-in sandbox does not have it; add image = "…" to run the steps in a container, or remove it
        error 6:1 `user` needs an `image`: the built-in sandbox does not have it; add image = "…" to run the steps in a container, or remove it
    [environment]
    image = 'bb'
    pull = 'allways'
    cpus = 0
    memory = '64'
    shm = '1KiB'
        error 6:8 `pull` in [environment] must be "missing", "always" or "never", not "allways"; did you mean "always"?
        error 7:8 `cpus` in [environment] must be a finite number of at least 0.01
        error 8:10 "64" is not a size: `memory` in [environment]; write it like "512MiB" or "16GiB"
        error 9:7 `shm` in [environment] is too small: at least 8MiB
    [environment]
    image = 'bb'
    gpus = 'some'
    network = 'yes'
    user = 'node'
    caps = ['SYS_PTRAC', 'cap_chown']
        error 6:8 `gpus` in [environment] must be a number, a list of devices, or "all", not a text
        error 7:11 `network` in [environment] must be true or false, not a text
        error 8:8 `user` in [environment] must be "root" or numbers like "1000:1000"; names of an image's own users are not known outside of it; `id` in the image tells the number
        error 9:9 "SYS_PTRAC" is not a capability; write it like "SYS_PTRACE"; `man 7 capabilities` lists them
    [environment]
    image = 'bb'
    gpus = ['0', 'a b']
    ulimits = { nofiles = 1, memlock = -2, stack = 8 }
    read_only = 1
        error 6:8 `gpus` in [environment] holds something that is no device; write ["0", "1"] or the devices' ids
        error 7:13 "nofiles" is not a limit; did you mean `nofile`?
        error 7:36 `memlock` in `ulimits` in [environment] must be -1 to 9223372036854775807
        error 8:13 `read_only` in [environment] must be true or false, not an integer
    [environment]
    image = 'bb:1'
    gpus = ['0']
    cpus = 1.5
    memory = '1.5GiB'
    user = '1000:1000'
    pull = 'never'
        fine
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
    let mut endless = format!("{STEP}[steps.a.matrix]\n");
    for n in 0..20 {
        let _ = writeln!(endless, "k{n} = {axis}");
    }
    assert!(shown(&endless).contains("makes far more lanes"), "{}", shown(&endless));
    let axis = format!("[{}]", (0..10_000).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
    let mut many = String::from("version = 1\n");
    for n in 0..11 {
        let _ = write!(many, "[steps.s{n}]\nrun = 'true'\nmatrix = {{ k = {axis} }}\n");
    }
    assert!(shown(&many).contains("have 110000 lanes in all; a workflow may have 100000"));
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
        config::parse(source, "flow.toml", Path::new("/proj"), &given)
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
fn mounts_cannot_reach_what_steps_must_not() {
    let mounts = |list: &str| parse(&format!("{STEP}[environment]\nmounts = {list}\n"));
    let read = mounts("['data:/data', '/a/../srv/x:/x:ro', { source = '../up', target = '/t/./u/' }]").unwrap();
    let read = read.workflow.environment.mounts;
    let read: Vec<_> = read.iter().map(|m| format!("{} {} {}", m.source, m.target, m.readonly)).collect();
    assert_eq!(read, ["/proj/data /data false", "/srv/x /x true", "/up /t/u false"]);
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
fn a_cached_step_leaves_nothing_behind_but_its_outputs() {
    insta::assert_snapshot!(told("version = 1
[steps.a]
run = 'true'
", &[
        "inputs = { c = 'a.py' }\noutputs = { d = { path = 'd', cache = true } }",
        "outputs = { d = { path = 'd', cache = true } }",
        "outputs = { d = { path = 'd', cache = false } }",
        "inputs = { c = 'a.py' }\noutputs = { d = { path = 'd', cache = true }, e = { path = 'e' } }",
        "inputs = { c = 'a.py' }\noutputs = { d = { path = '$DOGWATCH_DIR', cache = true } }",
        "inputs = { c = 'a.py' }\noutputs = { d = { path = 'd', cache = 'yes' } }",
    ]), @r#"
    inputs = { c = 'a.py' }
    outputs = { d = { path = 'd', cache = true } }
        fine
    outputs = { d = { path = 'd', cache = true } }
        warning 4:11 [steps.a] is cached and names no inputs; it runs again only when its script or variables change; name what it reads: inputs = { code = "prepare.py" }
    outputs = { d = { path = 'd', cache = false } }
        fine
    inputs = { c = 'a.py' }
    outputs = { d = { path = 'd', cache = true }, e = { path = 'e' } }
        error 5:11 output `e` of [steps.a] has no `cache = true`, and another one has; a step that is not run again makes none of its outputs: write it to all of them, or to none
    inputs = { c = 'a.py' }
    outputs = { d = { path = '$DOGWATCH_DIR', cache = true } }
        error 5:43 output `d` of [steps.a] is a whole folder that others write to, and cannot be cached; name a file or a folder in it
    inputs = { c = 'a.py' }
    outputs = { d = { path = 'd', cache = 'yes' } }
        error 5:39 `cache` in output `d` of [steps.a] must be true or false, not a text
    "#);
}

#[test]
fn a_number_that_nothing_tells_is_warned_of() {
    let file = |declared: &str, asked: &str| {
        format!(
            "version = 1\n[steps.train]\nrun = 'true'\nmetrics = [{declared}]\n\
             [steps.use]\nneeds = ['train']\nif = 'steps.train.metrics.{asked} > 1 and steps.train.metrics.{asked} < 2'\nrun = 'true'\n"
        )
    };
    let shown = |source: &str| parse(source).expect("nothing is wrong").warnings.to_string();
    let pattern = r"{ pattern = 'loss=(?P<loss>\S+)' }";
    let warned = shown(&file(pattern, "los"));
    assert_eq!(warned.matches("no pattern of [[steps.train.metrics]] has a group `los`").count(), 1, "{warned}");
    assert!(!shown(&file(pattern, "loss")).contains("no pattern"));
    assert!(!shown(&file("", "los")).contains("no pattern"), "what looks like one is found");
    assert!(!shown(&file("{ file = 'm.jsonl' }", "los")).contains("no pattern"), "a file may hold anything");
}
