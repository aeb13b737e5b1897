//! Expressions: what they mean, and what they can never do.

use std::fmt::Write as _;

use dogwatch::engine::expr::{self, Asked, ExprError, Mention, Scope, StepState, Which};
use dogwatch::model::{Part, Template, Value};
use indexmap::IndexMap;

fn values(pairs: &[(&str, Value)]) -> IndexMap<String, Value> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn state(name: &str) -> Option<StepState> {
    match name {
        "prepare" | "half-batch" | "7b" => Some(StepState::Succeeded),
        "train" => Some(StepState::Failed),
        "left-out" => Some(StepState::Skipped),
        "later" => Some(StepState::Unfinished),
        _ => None,
    }
}

fn of(step: &str, which: &Which, asked: &Asked) -> Result<Value, String> {
    if state(step) != Some(StepState::Succeeded) {
        return Err(format!("step {step} has no {asked}: it did not succeed"));
    }
    match (which, asked) {
        (Which::Only, Asked::Output(name)) => match name.as_str() {
            "data" => Ok(Value::Text("/proj/data".into())),
            "my-model" => Ok(Value::Text("/m".into())),
            _ => Err(format!("step {step} succeeded without an output `{name}`")),
        },
        (Which::Only, Asked::Metric(name)) if name == "bad" => Ok(Value::Number(f64::NAN)),
        (Which::Only, Asked::Metric(_)) => Ok(Value::Number(0.25)),
        // What was understood, to be compared.
        (Which::Only | Which::Lane(_) | Which::Same | Which::Best { .. }, _) => {
            let mention = Mention::Of { step: step.to_owned(), which: which.clone(), asked: asked.clone() };
            Ok(Value::Text(mention.to_string()))
        }
    }
}

fn with<T>(ask: impl FnOnce(&Scope<'_>) -> T) -> T {
    let params = values(&[
        ("model", Value::Text("gpt2".into())),
        ("epochs", Value::Integer(3)),
        ("rate", Value::Number(1e-7)),
        ("whole", Value::Number(1.0)),
        ("fast", Value::Boolean(true)),
    ]);
    let matrix = values(&[("lr", Value::Text("1e-4".into())), ("seed", Value::Integer(2))]);
    ask(&Scope { params: &params, matrix: &matrix, step: &state, of: &of })
}

fn render(text: &str) -> Result<String, ExprError> {
    let template = expr::split(text)?;
    with(|scope| expr::render(&template, scope))
}

fn holds(source: &str) -> Result<bool, ExprError> {
    with(|scope| expr::holds(source, scope))
}

#[test]
fn templates_become_text() {
    for (text, wanted) in [
        ("", ""),
        ("plain $HOME {{ x }} }}", "plain $HOME {{ x }} }}"),
        ("${{ params.model }}", "gpt2"),
        ("a-${{params.model}}-${{ matrix.lr }}-b", "a-gpt2-1e-4-b"),
        ("${{ params.epochs * 2 + matrix.seed }}", "8"),
        ("${{ params.rate }} ${{ params.whole }} ${{ params.fast }}", "1e-7 1.0 true"),
        ("${{ 'a' if params.fast else 'b' }}", "a"),
        ("${{ params.model ~ '-x' }}", "gpt2-x"),
        ("${{ params.model | upper }}", "GPT2"),
        ("${{ min(params.epochs, 2) }} ${{ max([1, 5, 3]) }} ${{ [4, 2] | min }}", "2 5 2"),
        ("${{ steps.prepare.outputs.data }}/x", "/proj/data/x"),
        ("${{ steps.half-batch.outputs.my-model }}", "/m"),
        ("${{ steps.7b.outputs['my-model'] }}", "/m"),
        ("${{ steps['half-batch'].outputs[\"data\"] }}", "/proj/data"),
        ("${{ '}}' }} ${{ '${{' }} ${{ {'a': {'b': 1}}.a.b }}", "}} ${{ 1"),
        ("${{ 'it\\'s }}' }}", "it's }}"),
        ("${{ 'params.nothing steps.nothing' }}", "params.nothing steps.nothing"),
        ("${{ {'params': 1}.params }}", "1"),
        ("é${{ 'ü' }}€", "éü€"),
    ] {
        assert_eq!(render(text).as_deref(), Ok(wanted), "{text}");
    }
}

#[test]
fn conditions_are_true_or_false_and_nothing_else() {
    for (source, wanted) in [
        ("true", true),
        ("params.fast", true),
        ("not params.fast", false),
        ("params.epochs == 3 and params.model != 'gpt2'", false),
        ("params.epochs > 2 or nothing_is_asked_twice", true),
        ("failed(steps.train)", true),
        ("succeeded(steps.train)", false),
        ("failed(steps.prepare) or succeeded(steps.half-batch)", true),
        ("failed(steps.left-out) or succeeded(steps.left-out)", false),
        ("failed(steps.later) or succeeded(steps.later)", false),
        ("'gpt' in params.model", true),
        ("matrix.seed in [1, 2]", true),
    ] {
        // The one that names nothing known is refused although it would not matter.
        if source.contains("nothing_is") {
            assert!(holds(source).is_err(), "{source}");
        } else {
            assert_eq!(holds(source), Ok(wanted), "{source}");
        }
    }
    for source in ["1", "0", "''", "'true'", "params.model", "params.epochs", "[]", "none", "steps.train", "{}"] {
        let error = holds(source).unwrap_err();
        assert!(error.wrong_type, "{source}: {error}");
        assert!(error.message.starts_with("a condition must be true or false, and this is "), "{source}: {error}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn errors_have_words_and_a_place() {
    let mut told = String::new();
    for source in [
        "params.modle",
        "matrix.rl",
        "steps.nothing.outputs.x",
        "steps.prepare.outputs.nothing",
        "steps.train.outputs.data",
        "steps.later.outputs.data",
        "1 +",
        "(1",
        "1 2",
        "'abc",
        "params.epochs + params.model",
        "params.epochs.x",
        "params",
        "steps",
        "steps.prepare.outputs",
        "steps.prepare.state",
        "env.HOME",
        "_000000",
        "failed('train')",
        "failed()",
        "failed(steps.train, steps.prepare)",
        "isnan('a')",
        "best",
        "best()",
        "best(prepare)",
        "best(steps.prepare.outputs.x, by='loss', mode='min').outputs.x",
        "best(steps.prepare).outputs.x",
        "best(steps.prepare, by='loss').outputs.x",
        "best(steps.prepare, by='loss', mode='best').outputs.x",
        "best(steps.prepare, by=loss, mode='min').outputs.x",
        "best(steps.prepare, by='loss', mode='min'",
        "best(steps.prepare, by='loss', mode='min')",
        "best(steps.prepare, by='loss', mode='min').state",
        "steps['prepare[lr=1]']",
        "steps.prepare.metrics",
        "min()",
        "min('a')",
        "range(10)",
        "debug()",
        "params.model | nothing",
        "params.model is nothing",
        "1 / 0",
        "none",
        "[1, 2]",
    ] {
        let error = with(|scope| expr::value(source, scope)).unwrap_err();
        let at = error.at.clone().unwrap();
        let hint = error.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        let _ = writeln!(told, "{source}\n    at {:?}: {error}{hint}", source.get(at).unwrap());
    }
    insta::assert_snapshot!(told, @r#"
    params.modle
        at "params.modle": there is no `params.modle`
    matrix.rl
        at "matrix.rl": there is no `matrix.rl`
    steps.nothing.outputs.x
        at "steps.nothing.outputs.x": step nothing has no outputs.x: it did not succeed
    steps.prepare.outputs.nothing
        at "steps.prepare.outputs.nothing": step prepare succeeded without an output `nothing`
    steps.train.outputs.data
        at "steps.train.outputs.data": step train has no outputs.data: it did not succeed
    steps.later.outputs.data
        at "steps.later.outputs.data": step later has no outputs.data: it did not succeed
    1 +
        at "+": unexpected end of input, expected expression
    (1
        at "1": unexpected end of input, expected `)`
    1 2
        at "2": unexpected input after expression
    'abc
        at "'abc": unexpected end of string
    params.epochs + params.model
        at "params.epochs + params.model": tried to use + operator on unsupported types number and string
    params.epochs.x
        at "params.epochs.x": the expression gives nothing, not a text, a number or a boolean
    params
        at "params": `params` must be followed by a name; write it as in `params.name`
    steps
        at "steps": `steps` must be followed by a name; write it as in `steps.train.outputs.model`
    steps.prepare.outputs
        at ".outputs": `outputs` must be followed by a name; write it as in `steps.train.outputs.name`
    steps.prepare.state
        at ".state": a step has no `state`; write steps.prepare.outputs.name, steps.prepare.metrics.name, failed(steps.prepare) or succeeded(steps.prepare)
    env.HOME
        at "env": there is nothing called `env` in expressions; a script sees variables itself: "$NAME" in `run`; what decides is a parameter: params.NAME
    _000000
        at "_000000": there is nothing called `_000000` in expressions
    failed('train')
        at "failed('train')": failed() takes a step, as in failed(steps.train)
    failed()
        at "failed()": missing argument
    failed(steps.train, steps.prepare)
        at "failed(steps.train, steps.prepare)": too many arguments
    isnan('a')
        at "isnan('a')": isnan() takes a number
    best
        at "best": `best` is a function; write it as in best(steps.train, by='loss', mode='min').outputs.model
    best()
        at ")": best() takes a step first; write it as in best(steps.train, by='loss', mode='min').outputs.model
    best(prepare)
        at "p": best() takes a step first; write it as in best(steps.train, by='loss', mode='min').outputs.model
    best(steps.prepare.outputs.x, by='loss', mode='min').outputs.x
        at "steps.prepare.outputs.x": best() takes a step, not something of it; write it as in best(steps.train, by='loss', mode='min').outputs.model
    best(steps.prepare).outputs.x
        at "best(steps.prepare)": best() needs by='…', the name of a metric; write it as in best(steps.train, by='loss', mode='min').outputs.model
    best(steps.prepare, by='loss').outputs.x
        at "best(steps.prepare, by='loss')": best() needs mode='min' or mode='max'; write it as in best(steps.train, by='loss', mode='min').outputs.model
    best(steps.prepare, by='loss', mode='best').outputs.x
        at "mode='best'": `mode` of best() is 'min' or 'max'; write it as in best(steps.train, by='loss', mode='min').outputs.model
    best(steps.prepare, by=loss, mode='min').outputs.x
        at "b": best() takes by='…' and mode='…'; write it as in best(steps.train, by='loss', mode='min').outputs.model
    best(steps.prepare, by='loss', mode='min'
        at "best": `best(` is never closed; write it as in best(steps.train, by='loss', mode='min').outputs.model
    best(steps.prepare, by='loss', mode='min')
        at "best(steps.prepare, by='loss', mode='min')": what of that lane is meant is not said; write .outputs.name, .metrics.name, .matrix.key or .lane behind it
    best(steps.prepare, by='loss', mode='min').state
        at "best(steps.prepare, by='loss', mode='min')": what of that lane is meant is not said; write .outputs.name, .metrics.name, .matrix.key or .lane behind it
    steps['prepare[lr=1]']
        at "steps['prepare[lr=1]']": a lane as a whole has no value; write steps['prepare[…]'].outputs.name, or ask for the step: succeeded(steps.prepare)
    steps.prepare.metrics
        at ".metrics": `metrics` must be followed by a name; write it as in `steps.train.metrics.name`
    min()
        at "min()": min() takes numbers
    min('a')
        at "min('a')": min() takes numbers
    range(10)
        at "range": there is nothing called `range` in expressions; a text is quoted: 'range'; values are params.x, matrix.x and steps.x.outputs.y
    debug()
        at "debug": there is nothing called `debug` in expressions; a text is quoted: 'debug'; values are params.x, matrix.x and steps.x.outputs.y
    params.model | nothing
        at "nothing": filter nothing is unknown
    params.model is nothing
        at "nothing": test nothing is unknown
    1 / 0
        at "1 / 0": unable to calculate 1 / 0
    none
        at "none": the expression gives nothing, not a text, a number or a boolean
    [1, 2]
        at "[1, 2]": the expression gives a list, not a text, a number or a boolean
    "#);
}

#[test]
fn what_is_mentioned_is_known_without_running_it() {
    let mentions = |source: &str| {
        let all = expr::mentions(source).unwrap();
        all.iter()
            .map(|(mention, at)| {
                assert_eq!(source[at.clone()].replace("['", ".").replace("']", ""), mention.to_string());
                mention.clone()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(
        mentions("false and steps.a-b.outputs.x-y == params.p"),
        [
            Mention::Of { step: "a-b".into(), which: Which::Only, asked: Asked::Output("x-y".into()) },
            Mention::Param("p".into()),
        ]
    );
    assert_eq!(
        mentions("failed(steps['a']) or matrix['k'] == 1"),
        [Mention::Step("a".into()), Mention::Matrix("k".into())]
    );
    assert_eq!(mentions("params.a-1"), [Mention::Param("a".into())], "a parameter's name has no dash");
    assert_eq!(mentions("'params.a' == \"steps.b\""), []);
}

#[test]
fn lanes_are_named_or_chosen_and_numbers_compared() {
    for (text, wanted) in [
        (
            "${{ best(steps.prepare, by='loss', mode='min').outputs.m }}",
            "best(steps.prepare, by='loss', mode='min').outputs.m",
        ),
        (
            "${{ best( steps.prepare ,mode = \"max\", by='eval/acc' , ).lane }}",
            "best(steps.prepare, by='eval/acc', mode='max').lane",
        ),
        (
            "a ${{ best(steps.prepare, by='x', mode='max').matrix.lr ~ '!' }}",
            "a best(steps.prepare, by='x', mode='max').matrix.lr!",
        ),
        ("${{ steps['prepare[lr=0.1,seed=1]'].outputs.m }}", "steps['prepare[lr=0.1,seed=1]'].outputs.m"),
        ("${{ steps.prepare.metrics.loss }} ${{ steps.prepare.metrics['eval/acc'] * 2 }}", "0.25 0.5"),
        ("${{ isnan(steps.prepare.metrics.bad) }} ${{ isnan(1) }}", "true false"),
    ] {
        assert_eq!(render(text).as_deref(), Ok(wanted), "{text}");
    }
    assert_eq!(holds("steps.prepare.metrics.loss < 0.3 and not isnan(steps.prepare.metrics.loss)"), Ok(true));
    assert_eq!(holds("steps.prepare.metrics.bad < 0.3"), Ok(false));
}

#[test]
fn a_text_is_cut_at_its_expressions() {
    let parts = expr::split("a ${{ x }}${{y}} b").unwrap();
    let (text, expression) = (|t: &str| Part::Text(t.into()), |e: &str| Part::Expression(e.into()));
    assert_eq!(parts, Template(vec![text("a "), expression("x"), expression("y"), text(" b")]));
    for (text, words, at) in [
        ("ab ${{ x", "`${{` is never closed", 3..6),
        ("ab ${{ 'x }}", "`${{` is never closed", 3..6),
        ("${{ }}", "there is no expression between `${{` and `}}`", 0..6),
    ] {
        let error = expr::split(text).unwrap_err();
        assert_eq!((error.message.as_str(), error.at), (words, Some(at)), "{text}");
    }
}

#[test]
fn no_expression_can_hang_or_fill_the_memory() {
    let nines = "9".repeat(400);
    for source in [
        "'x' * 1000000000".to_owned(),
        "'x' * 100000 * 100000".to_owned(),
        "[1] * 1000000000".to_owned(),
        "(9 ** 9) ** 9 ** 9".to_owned(),
        format!("{nines} * {nines}"),
        "('x' * 40000) | list | join('y' * 40000)".to_owned(),
        format!("{}1", "2 ** ".repeat(100)),
        "'%0999999999d' | format(1)".to_owned(),
        "'x' | indent(999999999)".to_owned(),
        "'a' | replace('', 'x' * 10000) | replace('', 'x' * 10000)".to_owned(),
    ] {
        // Whatever it says, it says it at once: a value that is not short is an error.
        match with(|scope| expr::value(&source, scope)) {
            Ok(text) => assert!(text.len() < 5_000_000, "{source}: {} bytes", text.len()),
            Err(error) => assert!(!error.message.is_empty(), "{source}"),
        }
    }
    let long = format!("'{}'", "x".repeat(expr::LONGEST));
    assert_eq!(holds(&long).unwrap_err().message, "the expression is longer than 1000 bytes");
}
