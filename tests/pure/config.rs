//! The workflow file.
use std::path::Path;
use dogwatch::config;

#[test]
fn look() {
    let text = std::fs::read_to_string("tests/pure/data/complete.dogwatch.toml").unwrap();
    let r = config::parse(&text, "complete.dogwatch.toml", Path::new("/w"), &[]);
    match r { Err(e) => println!("{e}"), Ok(l) => println!("{:#?}", l.workflow) }
    let text = r#"version = 1
[params]
epochs = { type = "integer", default = 3, min = 1 }
[steps.prepare]
run = "echo hi > data"
outputs = { data = { path = "data" } }
[steps.train-all]
needs = ["prepare"]
run = "train \"$LR\""
env = { LR = "${{ matrix.lr }}", E = "${{ params.epochs * 2 }}", D = "${{ steps.prepare.outputs.data }}" }
matrix = { lr = [0.02, 1e-7, 1.0] }
timeout = "1h30m"
[steps.evaluate]
needs = ["train-all"]
if = "succeeded(steps.train-all) and params.epochs > 1"
run = "true"
[steps.gate]
needs = ["evaluate", "prepare"]
approval = { prompt = "Go ${{ params.epochs }}?", timeout = "1h", on_timeout = "reject" }
"#;
    match config::parse(text, "complete.dogwatch.toml", Path::new("/w"), &[]) { Err(e) => println!("{e}"), Ok(l) => {
        println!("{:#?}\n{}", l.workflow, l.warnings);
        println!("{}", dogwatch::report::graph::render(&l.workflow, dogwatch::report::graph::Format::Ascii));
        println!("{}", dogwatch::report::graph::render(&l.workflow, dogwatch::report::graph::Format::Mermaid));
    } }
}
