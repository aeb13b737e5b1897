//! The map in `src/lib.rs`, enforced: no room names one of a higher layer or a sibling, and the mind names nothing that
//! could read a clock, a file or a socket. Also: no test file is forgotten by its binary.

use std::path::{Path, PathBuf};

use crate::support::source::paths;

/// What a room may name of the crate.
struct Room {
    name: &'static str,
    may: &'static [&'static str],
    /// Neither IO, nor time, nor threads.
    pure: bool,
}

const BASE: [&str; 17] = [
    "model",
    "engine",
    "gauge",
    "judge",
    "patience",
    "series",
    "report",
    "secrets",
    "clock",
    "wire",
    "attempt",
    "faults",
    "state_dir",
    "spawn",
    "host",
    // A room may always name itself; these two are here so that the table stays short.
    "self",
    "",
];

/// Every room of the house. What is not here is refused, so nothing is forgotten.
///
/// `environment` does not name `session`: it hands out a connection to its keeper, and the daemon puts both together.
const ROOMS: &[Room] = &[
    Room { name: "model", may: &[], pure: true },
    Room { name: "engine", may: &["model"], pure: true },
    Room { name: "gauge", may: &["model"], pure: true },
    Room { name: "judge", may: &["model"], pure: true },
    Room { name: "patience", may: &["model"], pure: true },
    Room { name: "series", may: &["model"], pure: true },
    Room { name: "secrets", may: &[], pure: true },
    Room { name: "report", may: &["model", "engine", "gauge"], pure: true },
    Room { name: "clock", may: &BASE, pure: false },
    Room { name: "wire", may: &BASE, pure: false },
    Room { name: "attempt", may: &BASE, pure: false },
    Room { name: "faults", may: &BASE, pure: false },
    Room { name: "state_dir", may: &BASE, pure: false },
    Room { name: "spawn", may: &BASE, pure: false },
    Room { name: "host", may: &BASE, pure: false },
    Room { name: "journal", may: &BASE, pure: false },
    Room { name: "identity", may: &BASE, pure: false },
    Room { name: "metrics", may: &BASE, pure: false },
    Room { name: "environment", may: &BASE, pure: false },
    Room { name: "session", may: &BASE, pure: false },
    Room { name: "keep", may: &BASE, pure: false },
    Room { name: "shim", may: &BASE, pure: false },
    Room { name: "config", may: &BASE, pure: false },
    Room { name: "screen", may: &BASE, pure: false },
    Room { name: "usage", may: &BASE, pure: false },
    Room { name: "peek", may: &BASE, pure: false },
    // Faces and what they stand on get everything over the wire: never from the engine, nor from the hands.
    Room {
        name: "client",
        may: &["model", "gauge", "clock", "wire", "state_dir", "spawn", "faults", "config"],
        pure: false,
    },
    Room { name: "faces", may: &["model", "gauge", "clock", "wire"], pure: false },
    // The screen is a client of the socket, and reads the logs of attempts where the engine says they lie.
    Room {
        name: "tui",
        may: &[
            "model",
            "gauge",
            // Where a place lies in a picture is reckoned as it was made.
            "series",
            "clock",
            "wire",
            "attempt",
            "faults",
            "state_dir",
            "spawn",
            "config",
            "screen",
            "client",
            "faces",
        ],
        pure: false,
    },
    Room {
        name: "daemon",
        may: &[
            "model",
            "engine",
            "judge",
            "gauge",
            "patience",
            "series",
            "metrics",
            "report",
            "secrets",
            "clock",
            "wire",
            "attempt",
            "faults",
            "state_dir",
            "spawn",
            "host",
            "identity",
            "journal",
            "environment",
            "session",
            "keep",
            "shim",
            "config",
            "usage",
            "client",
        ],
        pure: false,
    },
    Room {
        name: "cli",
        may: &[
            "model",
            "gauge",
            // `diagnose` judges a saved log.
            "judge",
            // `graph` draws a file that no engine has seen.
            "report",
            "secrets",
            "clock",
            "wire",
            "attempt",
            "faults",
            "state_dir",
            "spawn",
            "environment",
            "keep",
            "shim",
            "peek",
            "host",
            "config",
            "client",
            "faces",
            "tui",
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

/// The module path of a file below `src`: `engine/apply.rs` is `[engine, apply]`.
fn module_of(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        file.with_extension("").components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
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
        return vec![format!("{}: {name} is not in the table of tests/pure/layers.rs", file.display())];
    };
    let mut wrong = Vec::new();
    for path in paths(source, &module) {
        let mut parts = path.split("::");
        if parts.next() == Some("crate") {
            let target = parts.next().unwrap_or_default();
            let macro_of_the_crate = !ROOMS.iter().any(|room| room.name == target);
            if target != room.name && !room.may.contains(&target) || target.is_empty() || macro_of_the_crate {
                wrong.push(format!("{}: {name} may not name `{path}`", file.display()));
            }
        }
        let reaches = |bad: &&&str| path == **bad || path.starts_with(&format!("{bad}::"));
        if room.pure && (IMPURE.iter().find(reaches).is_some() || path == "std" || path == "std::time") {
            wrong.push(format!("{}: {name} is pure and names `{path}`", file.display()));
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
        .flat_map(|file| faults_of(file, &std::fs::read_to_string(src.join(file)).expect("a source can be read")))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_map_names_every_room() {
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs can be read");
    for room in ROOMS.iter().filter(|room| lib.contains(&format!("pub mod {};", room.name))) {
        let told = lib
            .lines()
            .filter(|line| line.starts_with("//!"))
            .any(|line| line.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == room.name));
        assert!(told || room.name == "faults", "the map in lib.rs does not name {}", room.name);
    }
}

#[test]
fn each_test_binary_names_its_files() {
    for binary in ["pure", "real"] {
        let source =
            std::fs::read_to_string(root().join(format!("tests/{binary}.rs"))).expect("the binary can be read");
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
        ("engine/x.rs", "mod inner { use super::super::super::report; }"),
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
        ("usage/x.rs", "use crate::attempt; use crate::session;"),
        ("session/x.rs", "use crate::{clock, wire::{self, keeper}, environment::Handle};"),
        ("shim/x.rs", "use crate::keep;"),
        ("clock.rs", "use crate::config;"),
        ("wire/client.rs", "use super::super::daemon;"),
        ("daemon/x.rs", "use crate::cli::main;"),
        ("client/x.rs", "use crate::engine::Run;"),
        ("cli/x.rs", "use crate::engine::Run;"),
        ("cli/x.rs", "use crate::*;"),
        ("engine/x.rs", "/* a /* nested */ comment */ use crate::cli;"),
        ("engine/x.rs", "const T: &str = r#\"a \" text\"#; use crate::cli;"),
        ("engine/x.rs", "fn f<'a>(c: char) -> bool { c == '\"' } use crate::cli;"),
        ("brand_new/mod.rs", "//! Nothing."),
        ("brand_new.rs", "//! Nothing."),
    ];
    for (file, source) in bad {
        assert!(!faults_of(Path::new(file), source).is_empty(), "not refused: {file}: {source}");
    }
    let good = [
        ("engine/x.rs", "use crate::model::{Time, Event}; use super::state::{self, Run}; use std::time::Duration;"),
        ("engine/x.rs", "// use crate::cli;\nconst T: &str = \"crate::cli\"; /* crate::cli */"),
        ("engine/x.rs", "mod tests { use super::super::state::Run; use super::*; }"),
        ("report/x.rs", "use crate::engine::Run;"),
        ("session/x.rs", "use crate::wire::keeper; use crate::clock; use crate::session::table;"),
        ("clock.rs", "use crate::model::Time; use std::time::Duration;"),
        ("daemon/x.rs", "use crate::{engine::Engine, journal, session, environment};"),
    ];
    for (file, source) in good {
        assert_eq!(faults_of(Path::new(file), source), Vec::<String>::new(), "{file}: {source}");
    }
}
