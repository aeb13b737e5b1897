//! Every effect that the outside can see has a crash point before and after it, so that the sweep kills there. A new
//! effect without them fails here.

use std::path::Path;

/// Calls that change something outside of the process.
const EFFECTS: [&str; 15] = [
    ".spawn()",
    "rename(",
    "renameat(",
    "renameat_with(",
    "journal.commit(",
    "sandbox.ensure(",
    "Ask::Launch(launch)).await",
    "Ask::Stop {",
    "Ask::Run {",
    "Ask::Shutdown {",
    "Ask::LetGo {",
    ".create_image(",
    ".create_container(",
    ".start_container(",
    ".remove_container(",
];
const ROOMS: [&str; 5] = ["src/daemon", "src/keep", "src/shim", "src/environment", "src/attempt"];
/// How far from the effect its points may be.
const LINES: usize = 12;

/// Effects without points of their own, and why that is right.
const EXCEPT: [(&str, &str, &str); 10] = [
    ("src/environment/dir.rs", "renameat_with(", "the secret: whoever is second takes the first one's"),
    ("src/environment/dir.rs", "rename(", "small files of the environment: their callers have the points"),
    ("src/environment/dir.rs", "renameat(", "the socket: part of starting the keeper, which has them"),
    ("src/environment/binary.rs", "rename(", "the copy of the binary: whoever is second makes it again"),
    ("src/environment/docker/bundle.rs", "rename(", "the bundle: whoever is second finds it"),
    ("src/environment/trial.rs", ".spawn()", "a trial that leaves nothing"),
    ("src/attempt/claim.rs", "renameat", "its only caller has them: the rename of the claim, in two ways"),
    ("src/keep/shims.rs", ".spawn()", "its only caller has them: the launch"),
    ("src/keep/asks.rs", "Ask::", "the keeper's side of an ask: what it does has points of its own"),
    ("src/shim/step.rs", ".spawn()", "its only caller has them: the start of the step"),
];

struct Found {
    file: String,
    line: usize,
    effect: &'static str,
}

/// Code without comments and tests.
fn code(text: &str) -> Vec<&str> {
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    text[..end].lines().map(|line| line.split("//").next().unwrap_or_default()).collect()
}

/// Effects in `text` that lack a point before or after them.
fn uncovered(file: &str, text: &str) -> (usize, Vec<Found>) {
    let lines = code(text);
    let (mut seen, mut bare) = (0, Vec::new());
    for (number, line) in lines.iter().enumerate() {
        let Some(effect) = EFFECTS.iter().copied().find(|effect| line.contains(effect)) else { continue };
        if line.contains("fn ") || line.contains("use ") || line.contains("use_of") {
            continue;
        }
        if EXCEPT.iter().any(|(other, what, _)| *other == file && line.contains(what)) {
            continue;
        }
        seen += 1;
        let has_point = |lines: &[&str]| lines.iter().any(|line| line.contains("crash_point(\""));
        let before = &lines[number.saturating_sub(LINES)..number];
        let after = &lines[number + 1..lines.len().min(number + 1 + LINES)];
        if !has_point(before) || !has_point(after) {
            bare.push(Found { file: file.into(), line: number + 1, effect });
        }
    }
    (seen, bare)
}

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for room in ROOMS {
        let mut folders = vec![root.join(room)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a room").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "rs") {
                    let name = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
                    found.push((name, std::fs::read_to_string(&path).expect("a source file")));
                }
            }
        }
    }
    found
}

#[test]
fn every_effect_has_a_crash_point_before_and_after_it() {
    let (mut seen, mut bare) = (0, Vec::new());
    for (file, text) in sources() {
        let (here, found) = uncovered(&file, &text);
        seen += here;
        bare.extend(found);
    }
    let words: Vec<String> = bare.iter().map(|one| format!("{}:{}: {}", one.file, one.line, one.effect)).collect();
    assert!(bare.is_empty(), "effects without a crash point before and after:\n{}", words.join("\n"));
    eprintln!("{seen} effects");
    assert!(seen >= 15, "only {seen} effects were found: does this test still know what they look like?");
}

#[test]
fn an_effect_without_points_is_found() {
    let bad = "fn start() {\n    crash_point(\"before\");\n    let child = command.spawn()?;\n}\n";
    assert_eq!(uncovered("src/keep/new.rs", bad).1.len(), 1);
    let good = "fn start() {\n    crash_point(\"a\");\n    let child = command.spawn()?;\n    crash_point(\"b\");\n}\n";
    assert_eq!(uncovered("src/keep/new.rs", good).1.len(), 0);
}

/// Each point has one name, and one place.
#[test]
fn no_two_points_have_one_name() {
    let mut names: Vec<String> = Vec::new();
    for (_, text) in sources() {
        for line in code(&text) {
            let Some((_, rest)) = line.split_once("crash_point(\"") else { continue };
            names.push(rest.split('"').next().unwrap_or_default().to_owned());
        }
    }
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(all, names.len(), "a point's name stands in two places");
    assert!(all >= 50, "{all} points");
}
