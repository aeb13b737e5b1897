//! A workflow as a picture.

use std::fmt::Write as _;
use std::path::Path;

use dogwatch::config;
use dogwatch::report::graph::{Format, render};

fn draw(source: &str, format: Format) -> String {
    let loaded = config::parse(&format!("version = 1\n{source}"), "flow.toml", Path::new("/proj"), &[]);
    render(&loaded.unwrap_or_else(|problems| panic!("{problems}")).workflow, format)
}

const DIAMOND: &str = r#"
[steps.prepare]
run = "true"
description = "Download \"all\" of it; <b>50%</b> #1"
[steps.train]
needs = ["prepare"]
run = "true"
matrix = { lr = [0.02, 0.1], seed = [1, 2, 3] }
[steps.baseline]
needs = ["prepare"]
run = "true"
[steps.triage]
needs = ["train"]
if = "failed(steps.train)"
run = "true"
[steps.evaluate]
needs = ["baseline", "train"]
run = "true"
[steps.review]
needs = ["evaluate"]
approval = { prompt = "Publish?" }
[steps.end]
needs = ["review"]
run = "true"
[steps.lint]
run = "true"
"#;

#[test]
fn the_longest_way_goes_straight_down() {
    insta::assert_snapshot!(draw(DIAMOND, Format::Ascii), @r#"
    flow: 8 steps, 13 lanes

    prepare  Download "all" of it; <b>50%</b> #1
    ├─▶ baseline
    ▼
    train ×6
    ├─▶ triage  if failed(steps.train)
    ▼
    evaluate  ◀─ also baseline
    ▼
    ◆ review
    ▼
    end

    lint
    "#);
}

#[test]
fn mermaid_gets_numbers_for_names_and_escaped_words() {
    insta::assert_snapshot!(draw(DIAMOND, Format::Mermaid), @r#"
    flowchart TD
        s0["prepare<br>Download #34;all#34; of it#59; #60;b#62;50%#60;/b#62; #35;1"]
        s1["train ×6"]
        s2["baseline"]
        s3["triage"]
        s4["evaluate"]
        s5{{"◆ review"}}
        s6["end"]
        s7["lint"]
        s0 --> s1
        s0 --> s2
        s1 -. if .-> s3
        s2 --> s4
        s1 --> s4
        s4 --> s5
        s5 --> s6
    "#);
}

#[test]
fn json_has_nodes_and_edges() {
    let graph: serde_json::Value = serde_json::from_str(&draw(DIAMOND, Format::Json)).unwrap();
    assert_eq!(graph["nodes"].as_array().unwrap().len(), 8);
    assert_eq!(graph["nodes"][1]["lanes"][5], "lr=0.1,seed=3");
    assert_eq!(graph["nodes"][5]["kind"], "approval");
    let edges: Vec<String> =
        graph["edges"].as_array().unwrap().iter().map(|e| format!("{} {}", e["from"], e["to"])).collect();
    insta::assert_snapshot!(edges.join("\n").replace('"', ""), @r#"
    prepare train
    prepare baseline
    train triage
    baseline evaluate
    train evaluate
    evaluate review
    review end
    "#);
}

#[test]
fn a_picture_stays_within_eighty_columns() {
    let mut source = String::new();
    for n in 0..400 {
        let needs = if n == 0 { String::new() } else { format!("needs = ['s{}']\n", (n - 1) / 3) };
        let _ = write!(source, "[steps.s{n}]\nrun = 'true'\ndescription = '{}'\n{needs}", "long ".repeat(30));
    }
    let picture = draw(&source, Format::Ascii);
    let widest = picture.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest <= 80, "{widest}");
    for n in 0..400 {
        assert!(picture.split_whitespace().any(|word| word == format!("s{n}")), "s{n} is missing");
    }
    assert!(
        draw("[steps.a]\nrun = 'true'\ndescription = \"a\\u001b[2Jb\\nc\"\n", Format::Ascii).ends_with("a  a [2Jb c\n")
    );
}
