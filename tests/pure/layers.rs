//! The map in `src/lib.rs`, enforced: no room names one of a higher layer or a sibling, and the mind names nothing that
//! could read a clock, a file or a socket. Also: no test file is forgotten by its binary.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What a room may name of the crate.
struct Room {
    name: &'static str,
    may: &'static [&'static str],
    /// Neither IO, nor time, nor threads.
    pure: bool,
}

const BASE: [&str; 12] = [
    "model",
    "engine",
    "gauge",
    "report",
    "clock",
    "wire",
    "attempt",
    "faults",
    "state_dir",
    "spawn",
    // A room may always name itself; these two are here so that the table stays short.
    "self",
    "",
];

/// Every room of the house. What is not here is refused, so nothing is forgotten.
///
/// `environment` does not name `session`: it hands out a connection to its keeper, and the daemon puts both together.
const ROOMS: &[Room] = &[
    Room {
        name: "model",
        may: &[],
        pure: true,
    },
    Room {
        name: "engine",
        may: &["model"],
        pure: true,
    },
    Room {
        name: "gauge",
        may: &["model"],
        pure: true,
    },
    Room {
        name: "report",
        may: &["model", "engine", "gauge"],
        pure: true,
    },
    Room {
        name: "clock",
        may: &BASE,
        pure: false,
    },
    Room {
        name: "wire",
        may: &BASE,
        pure: false,
    },
    Room {
        name: "attempt",
        may: &BASE,
        pure: false,
    },
    Room {
        name: "faults",
        may: &BASE,
        pure: false,
    },
    Room {
        name: "state_dir",
        may: &BASE,
        pure: false,
    },
    Room {
        name: "spawn",
        may: &BASE,
        pure: false,
    },
    Room {
        name: "journal",
        may: &BASE,
        pure: false,
    },
    Room {
        name: "environment",
        may: &BASE,
        pure: false,
    },
    Room {
        name: "session",
        may: &BASE,
        pure: false,
    },
    Room {
        name: "keep",
        may: &BASE,
        pure: false,
    },
    Room {
        name: "shim",
        may: &BASE,
        pure: false,
    },
    Room {
        name: "config",
        may: &BASE,
        pure: false,
    },
    // Faces and what they stand on get everything over the wire: never from the engine, nor from the hands.
    Room {
        name: "client",
        may: &[
            "model",
            "gauge",
            "clock",
            "wire",
            "state_dir",
            "spawn",
            "faults",
            "config",
        ],
        pure: false,
    },
    Room {
        name: "daemon",
        may: &[
            "model",
            "engine",
            "gauge",
            "report",
            "clock",
            "wire",
            "attempt",
            "faults",
            "state_dir",
            "spawn",
            "journal",
            "environment",
            "session",
            "keep",
            "shim",
            "config",
            "client",
        ],
        pure: false,
    },
    Room {
        name: "cli",
        may: &[
            "model",
            "gauge",
            // `graph` draws a file that no engine has seen.
            "report",
            "clock",
            "wire",
            "attempt",
            "faults",
            "state_dir",
            "spawn",
            "environment",
            "keep",
            "shim",
            "config",
            "client",
            "daemon",
        ],
        pure: false,
    },
];

/// What the pure rooms may not reach, by the beginning of the path.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::env",
    "std::os",
    "std::io",
    "std::sync::mpsc",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
    "rustix",
    "rusqlite",
    "signal_hook",
    "tracing",
    "jiff",
    "libc",
];

/// A piece of source that matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Colons,
    Open,
    Close,
    Comma,
    Other(char),
}

/// The source without comments, texts and characters.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        let next = chars.get(at + 1).copied();
        if c == '/' && next == Some('/') {
            at += chars[at..].iter().take_while(|c| **c != '\n').count();
        } else if c == '/' && next == Some('*') {
            at = after_block_comment(&chars, at);
        } else if c == '"' {
            at = after_text(&chars, at);
        } else if let Some(end) = after_raw_text(&chars, at) {
            at = end;
        } else if c == '\'' {
            at = after_quote(&chars, at);
        } else if c.is_alphanumeric() || c == '_' {
            let word: String = chars[at..]
                .iter()
                .take_while(|c| c.is_alphanumeric() || **c == '_')
                .collect();
            at += word.chars().count();
            found.push(Token::Word(word));
        } else {
            at += 1;
            match c {
                ':' if next == Some(':') => {
                    at += 1;
                    found.push(Token::Colons);
                }
                '{' => found.push(Token::Open),
                '}' => found.push(Token::Close),
                ',' => found.push(Token::Comma),
                c if c.is_whitespace() => {}
                c => found.push(Token::Other(c)),
            }
        }
    }
    found
}

fn after_block_comment(chars: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0_u32, start);
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    chars.len()
}

fn after_text(chars: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// `r"…"`, `r#"…"#`, with a `b` or `c` before it.
fn after_raw_text(chars: &[char], start: usize) -> Option<usize> {
    if start > 0 && (chars[start - 1].is_alphanumeric() || chars[start - 1] == '_') {
        return None;
    }
    let mut at = start;
    if matches!(chars.get(at), Some('b' | 'c')) {
        at += 1;
    }
    if chars.get(at) != Some(&'r') {
        return None;
    }
    at += 1;
    let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
    at += hashes;
    if chars.get(at) != Some(&'"') {
        return None;
    }
    at += 1;
    while at < chars.len() {
        if chars[at] == '"'
            && chars[at + 1..]
                .iter()
                .take(hashes)
                .filter(|c| **c == '#')
                .count()
                == hashes
        {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(chars.len())
}

/// A character, or the tick of a lifetime.
fn after_quote(chars: &[char], start: usize) -> usize {
    if chars.get(start + 1) == Some(&'\\') {
        let mut at = start + 3;
        while at < chars.len() && chars[at] != '\'' {
            at += 1;
        }
        at + 1
    } else if chars.get(start + 2) == Some(&'\'') {
        start + 3
    } else {
        start + 1
    }
}

/// Every path of the source as it is meant from the crate's root: groups spelt out, `super` and `self` resolved.
fn paths(source: &str, module: &[String]) -> BTreeSet<String> {
    let tokens = tokens(source);
    let mut found = BTreeSet::new();
    // Modules written inside the file: how deep the braces were, for each.
    let mut inline: Vec<(String, usize)> = Vec::new();
    let (mut depth, mut at) = (0, 0);
    while at < tokens.len() {
        match &tokens[at] {
            Token::Open => depth += 1,
            Token::Close => {
                depth -= 1;
                if inline.last().is_some_and(|(_, opened)| *opened == depth) {
                    inline.pop();
                }
            }
            Token::Word(word) if word == "mod" && tokens.get(at + 2) == Some(&Token::Open) => {
                if let Some(Token::Word(name)) = tokens.get(at + 1) {
                    inline.push((name.clone(), depth));
                }
            }
            // `pub(crate)`, `pub(super)`.
            Token::Word(_)
                if tokens.get(at + 1) == Some(&Token::Other(')')) && is_pub(&tokens, at) => {}
            Token::Word(_) => {
                let here: Vec<String> = module
                    .iter()
                    .cloned()
                    .chain(inline.iter().map(|(name, _)| name.clone()))
                    .collect();
                let mut spelt = Vec::new();
                at = read_path(&tokens, at, &mut Vec::new(), &mut spelt);
                found.extend(spelt.into_iter().map(|path| resolve(&path, &here)));
                continue;
            }
            Token::Colons | Token::Comma | Token::Other(_) => {}
        }
        at += 1;
    }
    found
}

fn is_pub(tokens: &[Token], at: usize) -> bool {
    at >= 2 && tokens[at - 1] == Token::Other('(') && tokens[at - 2] == Token::Word("pub".into())
}

/// Reads one path with its groups; gives the place after it.
fn read_path(
    tokens: &[Token],
    start: usize,
    before: &mut Vec<String>,
    found: &mut Vec<Vec<String>>,
) -> usize {
    let (mut at, kept) = (start, before.len());
    while let Some(Token::Word(word)) = tokens.get(at) {
        before.push(word.clone());
        at += 1;
        if tokens.get(at) != Some(&Token::Colons) {
            found.push(before.clone());
            break;
        }
        at += 1;
        match tokens.get(at) {
            Some(Token::Word(_)) => {}
            Some(Token::Open) => {
                at = read_group(tokens, at + 1, before, found);
                break;
            }
            _ => {
                found.push(before.clone());
                break;
            }
        }
    }
    before.truncate(kept);
    at.max(start + 1)
}

fn read_group(
    tokens: &[Token],
    start: usize,
    before: &mut Vec<String>,
    found: &mut Vec<Vec<String>>,
) -> usize {
    let mut at = start;
    while at < tokens.len() {
        match &tokens[at] {
            Token::Close => return at + 1,
            Token::Word(word) if word == "as" => at += 2,
            Token::Word(_) => at = read_path(tokens, at, before, found),
            Token::Other('*') => {
                found.push(before.clone());
                at += 1;
            }
            Token::Colons | Token::Comma | Token::Open | Token::Other(_) => at += 1,
        }
    }
    at
}

fn resolve(path: &[String], here: &[String]) -> String {
    let mut at = here.len();
    let mut rest = path;
    let mut inside = false;
    while let Some((first, after)) = rest.split_first() {
        match first.as_str() {
            "crate" if !inside => (at, inside) = (0, true),
            // Alone it may be a variable.
            "dogwatch" if !inside && path.len() > 1 => (at, inside) = (0, true),
            "self" => inside = true,
            "super" => (at, inside) = (at.saturating_sub(1), true),
            _ => break,
        }
        rest = after;
    }
    if !inside {
        return path.join("::");
    }
    let mut full = vec!["crate".to_owned()];
    full.extend_from_slice(&here[..at]);
    full.extend_from_slice(rest);
    full.join("::")
}

/// The module path of a file below `src`: `engine/apply.rs` is `[engine, apply]`.
fn module_of(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> = file
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// What is wrong with one file of `src`.
fn faults_of(file: &Path, source: &str) -> Vec<String> {
    let module = module_of(file);
    let name = module.first().cloned().unwrap_or_default();
    if module.len() == 1 && (name == "lib" || name == "main") {
        return Vec::new();
    }
    let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
        return vec![format!(
            "{}: {name} is not in the table of tests/pure/layers.rs",
            file.display()
        )];
    };
    let mut wrong = Vec::new();
    for path in paths(source, &module) {
        let mut parts = path.split("::");
        if parts.next() == Some("crate") {
            let target = parts.next().unwrap_or_default();
            let macro_of_the_crate = !ROOMS.iter().any(|room| room.name == target);
            if target != room.name && !room.may.contains(&target)
                || target.is_empty()
                || macro_of_the_crate
            {
                wrong.push(format!("{}: {name} may not name `{path}`", file.display()));
            }
        }
        let reaches = |bad: &&&str| path == **bad || path.starts_with(&format!("{bad}::"));
        if room.pure
            && (IMPURE.iter().find(reaches).is_some() || path == "std" || path == "std::time")
        {
            wrong.push(format!(
                "{}: {name} is pure and names `{path}`",
                file.display()
            ));
        }
    }
    wrong
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder, relative to it.
fn rust_files(below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![below.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder of a repository can be read") {
            let path = entry.expect("a folder's entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path.strip_prefix(below).expect("it is below").to_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn no_room_names_a_higher_one_or_a_sibling() {
    let src = root().join("src");
    let files = rust_files(&src);
    assert!(files.len() > 20, "the sources were found");
    let wrong: Vec<String> = files
        .iter()
        .flat_map(|file| {
            faults_of(
                file,
                &std::fs::read_to_string(src.join(file)).expect("a source can be read"),
            )
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_map_names_every_room() {
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs can be read");
    for room in ROOMS
        .iter()
        .filter(|room| lib.contains(&format!("pub mod {};", room.name)))
    {
        let told = lib
            .lines()
            .filter(|line| line.starts_with("//!"))
            .any(|line| {
                line.split(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .any(|word| word == room.name)
            });
        assert!(
            told || room.name == "faults",
            "the map in lib.rs does not name {}",
            room.name
        );
    }
}

#[test]
fn each_test_binary_names_its_files() {
    for binary in ["pure", "real"] {
        let source = std::fs::read_to_string(root().join(format!("tests/{binary}.rs")))
            .expect("the binary can be read");
        let folder = root().join("tests").join(binary);
        if !folder.is_dir() {
            continue;
        }
        for file in rust_files(&folder) {
            let named = format!("{binary}/{}", file.display());
            let below_another = file.components().count() > 1;
            assert!(
                below_another || source.contains(&format!("\"{named}\"")),
                "tests/{binary}.rs forgets tests/{named}"
            );
        }
    }
}

#[test]
fn bad_sources_are_refused() {
    let bad = [
        ("engine/x.rs", "use crate::clock::Clock;"),
        ("engine/x.rs", "use crate::{model::Time, clock};"),
        ("engine/x.rs", "fn f() { let _ = crate::journal::open(); }"),
        ("engine/x.rs", "use super::super::wire::Frame;"),
        ("engine/mod.rs", "use super::gauge::plain;"),
        (
            "engine/x.rs",
            "mod inner { use super::super::super::report; }",
        ),
        ("engine/x.rs", "use std::{collections::BTreeMap, fs};"),
        ("engine/x.rs", "use std::time::{Duration, Instant};"),
        ("engine/x.rs", "use std::time;"),
        ("engine/x.rs", "use std as s;"),
        ("engine/x.rs", "fn f() { std::thread::yield_now(); }"),
        ("gauge/x.rs", "use tokio::sync::mpsc;"),
        ("report/x.rs", "let t = rustix::time::clock_gettime(c);"),
        ("model/x.rs", "use crate::engine::Engine;"),
        ("model/x.rs", "use dogwatch::engine::Engine;"),
        ("journal/x.rs", "use crate::session::launch;"),
        (
            "session/x.rs",
            "use crate::{clock, wire::{self, keeper}, environment::Handle};",
        ),
        ("shim/x.rs", "use crate::keep;"),
        ("clock.rs", "use crate::config;"),
        ("wire/client.rs", "use super::super::daemon;"),
        ("daemon/x.rs", "use crate::cli::main;"),
        ("client/x.rs", "use crate::engine::Run;"),
        ("cli/x.rs", "use crate::engine::Run;"),
        ("cli/x.rs", "use crate::*;"),
        (
            "engine/x.rs",
            "/* a /* nested */ comment */ use crate::cli;",
        ),
        (
            "engine/x.rs",
            "const T: &str = r#\"a \" text\"#; use crate::cli;",
        ),
        (
            "engine/x.rs",
            "fn f<'a>(c: char) -> bool { c == '\"' } use crate::cli;",
        ),
        ("brand_new/mod.rs", "//! Nothing."),
        ("brand_new.rs", "//! Nothing."),
    ];
    for (file, source) in bad {
        assert!(
            !faults_of(Path::new(file), source).is_empty(),
            "not refused: {file}: {source}"
        );
    }
    let good = [
        (
            "engine/x.rs",
            "use crate::model::{Time, Event}; use super::state::{self, Run}; use std::time::Duration;",
        ),
        (
            "engine/x.rs",
            "// use crate::cli;\nconst T: &str = \"crate::cli\"; /* crate::cli */",
        ),
        (
            "engine/x.rs",
            "mod tests { use super::super::state::Run; use super::*; }",
        ),
        ("report/x.rs", "use crate::engine::Run;"),
        (
            "session/x.rs",
            "use crate::wire::keeper; use crate::clock; use crate::session::table;",
        ),
        (
            "clock.rs",
            "use crate::model::Time; use std::time::Duration;",
        ),
        (
            "daemon/x.rs",
            "use crate::{engine::Engine, journal, session, environment};",
        ),
    ];
    for (file, source) in good {
        assert_eq!(
            faults_of(Path::new(file), source),
            Vec::<String>::new(),
            "{file}: {source}"
        );
    }
}
