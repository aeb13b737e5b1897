//! Every file in `workflows/` is read, and simulated to its end: calm, and in trouble; with each value that its parameters
//! let one choose.

use std::path::{Path, PathBuf};

use dogwatch::config;
use dogwatch::model::{RunResult, Workflow};

use crate::support::history::{People, Setup, play_workflows};
use crate::support::world::Trouble;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("workflows");
    let entries = std::fs::read_dir(folder).expect("the repository has workflows");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    files
}

/// No parameters, and each choice of each parameter.
fn choices(file: &Path) -> Vec<Vec<(String, String)>> {
    let source = std::fs::read_to_string(file).expect("it can be read");
    let table: toml::Table = source.parse().expect("it is TOML");
    let mut found = vec![Vec::new()];
    let params = table.get("params").and_then(toml::Value::as_table);
    for (name, param) in params.into_iter().flatten() {
        let choices = param.get("choices").and_then(toml::Value::as_array);
        for choice in choices.into_iter().flatten() {
            let words = choice.as_str().map_or_else(|| choice.to_string(), str::to_owned);
            found.push(vec![(name.clone(), words)]);
        }
    }
    found
}

fn workflow(file: &Path, params: &[(String, String)]) -> Workflow {
    match config::load(file, params) {
        Ok(loaded) => loaded.workflow,
        Err(problems) => panic!("{}: {problems}", file.display()),
    }
}

#[test]
fn every_file_in_workflows_runs_to_its_end() {
    let mut played = 0;
    for file in files() {
        for params in choices(&file) {
            let calm = Trouble::default();
            let trouble = Trouble {
                lost: 50,
                late: 60,
                repeated: 60,
                reordered: 80,
                engine_kills: 20,
                shim_kills: 60,
                tmux_kills: 30,
                reboots: 10,
                failures: 300,
                no_environment: 100,
                stalls: 150,
            };
            for seed in 0..20 {
                let calm_one = Setup { seed, trouble: calm, people: People::Steady, mutant: None, steady: true };
                let wild_one = Setup { trouble, people: People::Wild, steady: false, ..calm_one };
                for setup in [calm_one, wild_one] {
                    let name = file.display();
                    let outcome = play_workflows(setup, vec![workflow(&file, &params)])
                        .unwrap_or_else(|wrong| panic!("{name} {params:?}, seed {seed}: {}", wrong.words));
                    match outcome.results.as_slice() {
                        [Some(RunResult::Succeeded)] => {}
                        [Some(_)] if setup.trouble != calm => {}
                        other => panic!("{name} {params:?}, seed {seed}: {other:?}"),
                    }
                    played += 1;
                }
            }
        }
    }
    assert!(played >= 160, "only {played} histories of the workflows were played");
}
