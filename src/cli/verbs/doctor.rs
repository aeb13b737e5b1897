//! `doctor`: whether this machine has what dogwatch needs; each finding with what to do about it. Changes nothing, except
//! that the state directory is made where it is missing.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use super::engine::enable::{is_enabled, lingers};
use super::{Ended, find};
use crate::cli::Face;
use crate::cli::exit::{Exit, Failure};
use crate::cli::text::{Look, Row, Style, wrap};
use crate::client::Error;
use crate::environment::{container_engine, sandbox_works};
use crate::model::DemandKind;
use crate::state_dir::{StateDir, file_system};

pub mod engines;
pub mod machine;

/// Below this a disk is about to be full.
const LITTLE: u64 = 1024 * 1024 * 1024;

/// How a finding is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    Ok,
    /// It works, with less.
    Warn,
    /// It does not work.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub mark: Mark,
    pub what: &'static str,
    pub says: String,
    /// What to do about it.
    pub todo: Option<String>,
}

impl Finding {
    fn ok(what: &'static str, says: impl Into<String>) -> Self {
        Self { mark: Mark::Ok, what, says: says.into(), todo: None }
    }

    fn warn(what: &'static str, says: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { mark: Mark::Warn, what, says: says.into(), todo: Some(todo.into()) }
    }

    fn bad(what: &'static str, says: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { mark: Mark::Bad, ..Self::warn(what, says, todo) }
    }
}

/// What steps can have for themselves by `gpus`, `cpus` and `memory`.
fn host() -> Finding {
    let host = crate::host::host();
    let kinds = [DemandKind::Gpus, DemandKind::Processors, DemandKind::Memory].map(|kind| host.words(kind));
    let said = if crate::host::gpus_are_said() { format!(" (GPUs by {})", crate::host::GPUS) } else { String::new() };
    Finding::ok("for steps", format!("{}{said}", kinds.join(", ")))
}

/// `doctor`.
pub(super) fn doctor(face: &Face) -> Ended {
    let mut findings = vec![tmux(), sandbox(), shell(), host(), machine::gpus()];
    findings.extend(containers());
    match face.place() {
        Ok(place) => {
            findings.push(Finding::ok("state directory", place.state.path().display().to_string()));
            findings.extend(disk(&place.state));
            let found = place.connect();
            findings.push(machine::journal(&place.state.journal(), found.is_ok()));
            findings.push(engine(found.map(|client| (client.engine().pid, client.engine().trouble.clone()))));
        }
        // Said below, as what it is.
        Err(_) if face.own().is_err() => {}
        Err(failure) => {
            findings.push(Finding::bad("state directory", failure.words, "nothing can run until this is put right"));
        }
    }
    findings.push(locale(|name| std::env::var(name).ok()));
    findings.extend([boot_id(), machine::clocks(), machine::secrets(), machine::open_files()]);
    findings.extend(machine::own_files(face));
    findings.push(machine::editors());
    findings.extend(machine::notices());
    findings.push(linger());
    for finding in &findings {
        tell(face, finding)?;
    }
    let bad = findings.iter().any(|finding| finding.mark == Mark::Bad);
    Ok(if bad { Exit::Failed } else { Exit::Good })
}

fn tell(face: &Face, finding: &Finding) -> Result<(), Failure> {
    if face.screen.json {
        return face.screen.json_line("finding", finding);
    }
    face.screen.rows(&rows(finding, &face.screen.look()))
}

/// `ok    tmux             /usr/bin/tmux, 3.3a`, and what to do below it.
pub fn rows(finding: &Finding, look: &Look) -> Vec<Row> {
    let (style, word) = match finding.mark {
        Mark::Ok => (Style::Good, "ok"),
        Mark::Warn => (Style::Asking, "warn"),
        Mark::Bad => (Style::Bad, "bad"),
    };
    let indent = 6 + 17;
    let columns = look.width.saturating_sub(indent);
    let mut rows = Vec::new();
    for line in wrap(&finding.says, columns) {
        let row = if rows.is_empty() {
            Row::new().field(style, word, 6).field(Style::Plain, finding.what, 17)
        } else {
            Row::new().space(indent)
        };
        rows.push(row.text(&line));
    }
    let todo = finding.todo.iter().flat_map(|todo| wrap(todo, columns.saturating_sub(2)));
    for (n, line) in todo.enumerate() {
        let row = Row::new().space(indent);
        rows.push(row.add(Style::Dim, if n == 0 { "→ " } else { "  " }).text(&line));
    }
    rows
}

fn install(package: &str) -> String {
    let way = [
        ("apt-get", "sudo apt-get install"),
        ("dnf", "sudo dnf install"),
        ("pacman", "sudo pacman -S"),
        ("zypper", "sudo zypper install"),
        ("apk", "sudo apk add"),
    ]
    .into_iter()
    .find(|(name, _)| find(name).is_some())
    .map_or("install the package", |(_, command)| command);
    format!("{way} {package}")
}

fn tmux() -> Finding {
    let Some(path) = find("tmux") else {
        return Finding::bad("tmux", "it is not on PATH", install("tmux"));
    };
    let said =
        Command::new(&path).arg("-V").output().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    match said {
        Ok(version) if old_tmux(&version) => {
            Finding::bad("tmux", format!("{} is {version}; 3.0 or newer is needed", path.display()), install("tmux"))
        }
        Ok(version) => Finding::ok("tmux", format!("{}, {version}", path.display())),
        Err(why) => Finding::bad("tmux", format!("{} cannot be started: {why}", path.display()), install("tmux")),
    }
}

/// `tmux 2.9a` is; a version that is not understood is taken as new.
fn old_tmux(version: &str) -> bool {
    version
        .strip_prefix("tmux ")
        .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next())
        .and_then(|major| major.parse::<u32>().ok())
        .is_some_and(|major| major < 3)
}

fn sandbox() -> Finding {
    let search = std::env::var_os("PATH");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let tried = match runtime {
        Ok(runtime) => runtime.block_on(sandbox_works(search.as_deref())),
        Err(why) => Err(format!("the trial could not be made: {why}")),
    };
    match tried {
        Ok(path) => Finding::ok("sandbox", format!("{} makes namespaces here", path.display())),
        Err(why) => {
            Finding::warn("sandbox", why, "until then steps run NOT SANDBOXED, and isolation = \"required\" refuses to")
        }
    }
}

fn containers() -> Vec<Finding> {
    let variable = |name| std::env::var(name).ok();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let looked = match runtime {
        Ok(runtime) => runtime
            .block_on(container_engine(variable("DOCKER_HOST"), variable("XDG_RUNTIME_DIR").map(PathBuf::from)))
            .map_err(|why| why.to_string()),
        Err(why) => Err(format!("it could not be looked for: {why}")),
    };
    match looked {
        Ok(facts) => engines::all(&facts),
        Err(why) => {
            let containers = Finding::warn("containers", why, "until then only steps without an `image` run");
            vec![containers, machine::cgroups()]
        }
    }
}

fn shell() -> Finding {
    if Path::new("/bin/sh").exists() {
        Finding::ok("shell", "/bin/sh")
    } else {
        Finding::bad("shell", "there is no /bin/sh, which runs every step", install("dash"))
    }
}

fn disk(state: &StateDir) -> Vec<Finding> {
    let mut findings = Vec::new();
    match file_system(state.path()) {
        Ok(magic) => findings.push(Finding::ok("file system", file_system_name(magic))),
        Err(why) => {
            findings.push(Finding::bad("file system", why.to_string(), "check the disk of the state directory"));
        }
    }
    if let Ok(space) = rustix::fs::statvfs(state.path()) {
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        let tenths = free / (LITTLE / 10);
        let says = format!("{}.{} GiB free", tenths / 10, tenths % 10);
        findings.push(if free < LITTLE {
            Finding::warn("disk", says, "when it is full nothing new starts; make room")
        } else {
            Finding::ok("disk", says)
        });
    }
    if let Ok(space) = rustix::fs::statvfs(state.path()) {
        findings.extend(machine::inodes(space.f_flag, space.f_files, space.f_favail));
    }
    let probe = state.path().join(".doctor");
    if let Err(why) = std::fs::write(&probe, b"dogwatch").and_then(|()| std::fs::remove_file(&probe)) {
        findings.push(Finding::bad(
            "writing",
            format!("{}: {why}", probe.display()),
            "the state directory has to be writable; nothing new starts until it is",
        ));
    }
    findings
}

/// The usual ones by name, others by their number.
fn file_system_name(magic: rustix::fs::FsWord) -> String {
    let name = match magic {
        0xEF53 => "ext4",
        0x5846_5342 => "XFS",
        0x9123_683E => "Btrfs",
        0x2FC1_2FC1 => "ZFS",
        0x0102_1994 => "tmpfs: it is gone after a restart of the machine",
        0x794C_7630 => "overlay: it goes with its container",
        0x0102_1997 => "9p",
        _ => return format!("number {magic:#x}"),
    };
    name.into()
}

fn engine(found: Result<(u32, Option<String>), Error>) -> Finding {
    match found {
        Ok((pid, Some(trouble))) => {
            Finding::bad("engine", format!("runs (pid {pid}): {trouble}"), "dogwatch engine logs")
        }
        Ok((pid, None)) => Finding::ok("engine", format!("runs (pid {pid})")),
        Err(Error::NoEngine { .. }) => Finding::ok("engine", "does not run; the first command starts it"),
        Err(why) => Finding::bad("engine", why.to_string(), "dogwatch engine logs"),
    }
}

/// What programs, tmux among them, take as the encoding: the first of these that is set.
fn locale(variable: impl Fn(&str) -> Option<String>) -> Finding {
    let value = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(variable)
        .find(|value| !value.is_empty())
        .unwrap_or_default();
    let lower = value.to_ascii_lowercase();
    if lower.contains("utf-8") || lower.contains("utf8") {
        Finding::ok("locale", value)
    } else {
        Finding::warn(
            "locale",
            format!("{} is no UTF-8", if value.is_empty() { "C" } else { &value }),
            "shapes may look wrong: export LANG=C.UTF-8",
        )
    }
}

fn boot_id() -> Finding {
    if crate::clock::boot_id() == "unknown" {
        return Finding::warn(
            "boot id",
            "/proc/sys/kernel/random/boot_id cannot be read",
            "a restart of the machine cannot be told from a crash; mount /proc",
        );
    }
    Finding::ok("boot id", "known")
}

/// Whether processes of this user outlive the last logout, and something starts the engine after a reboot.
fn linger() -> Finding {
    if !Path::new("/run/systemd/system").exists() {
        return Finding::warn(
            "after a reboot",
            "there is no systemd here; the engine starts with the first command",
            "dogwatch engine enable says what can be done instead",
        );
    }
    match (lingers(), is_enabled()) {
        (true, true) => Finding::ok("after a reboot", "systemd starts the engine"),
        (true, false) => Finding::warn(
            "after a reboot",
            "systemd starts no engine; the first command does",
            "dogwatch engine enable",
        ),
        (false, _) => Finding::warn(
            "after a reboot",
            "systemd may end your processes at logout, and starts no engine after a reboot",
            "dogwatch engine enable",
        ),
    }
}
