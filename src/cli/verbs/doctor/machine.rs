//! The machine, and what its user has set: cgroups, GPUs, clocks, memory for secrets, limits, the journal, own files, editors
//! and the commands of a workflow. Looks at this host; asks and starts nobody.

use std::path::{Path, PathBuf};

use rustix::fs::{FsWord, StatVfsMountFlags};

use super::Finding;
use crate::cli::Face;
use crate::cli::verbs::file::named_or_only;
use crate::cli::verbs::{editor, find};
use crate::config::{self, rules};
use crate::faces::words::span;
use crate::model::{NotifyRule, Target};
use crate::tui::own;

const CGROUP2: FsWord = 0x6367_7270;
const TMPFS: FsWord = 0x0102_1994;
/// A clock that is before the year of this dogwatch was never set.
const EARLIEST_MS: i64 = 1_767_225_600_000;
/// Fewer inodes than these are soon used up.
const FEW: u64 = 10_000;

/// Where no container engine tells it.
pub(super) fn cgroups() -> Finding {
    let magic = |path: &str| rustix::fs::statfs(path).ok().map(|found| found.f_type);
    cgroups_of(magic("/sys/fs/cgroup"), magic("/sys/fs/cgroup/unified"))
}

/// By the file systems there, and below it.
pub fn cgroups_of(root: Option<FsWord>, unified: Option<FsWord>) -> Finding {
    let (says, todo) = match (root, unified) {
        (Some(CGROUP2), _) => return Finding::ok("cgroups", "version 2"),
        (Some(_), Some(CGROUP2)) => ("version 1 and 2 (hybrid)", "limits of containers without root do not hold"),
        (Some(_), _) => ("version 1", "limits of containers without root do not hold"),
        (None, _) => (
            "none are mounted at /sys/fs/cgroup",
            "limits of containers do not hold, and whether the kernel killed for memory is not known",
        ),
    };
    Finding::warn("cgroups", says, format!("{todo}; boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1)"))
}

/// GPUs of this host, for steps outside of containers.
pub(super) fn gpus() -> Finding {
    gpus_of(Path::new("/dev/nvidiactl").exists(), Path::new("/dev/kfd").exists(), find("nvidia-smi"))
}

/// By the devices of NVIDIA and AMD that are there.
pub fn gpus_of(nvidia: bool, amd: bool, tool: Option<PathBuf>) -> Finding {
    match (nvidia, amd, tool) {
        (true, _, Some(tool)) => Finding::ok("gpu use", format!("measured by {}", tool.display())),
        (true, _, None) => Finding::warn(
            "gpu use",
            "there is an NVIDIA device, and no nvidia-smi on PATH",
            "what GPUs do is not seen: a step that only computes there may be taken for one that stands still; install \
             nvidia-smi (it comes with the driver)",
        ),
        (false, true, _) => Finding::warn(
            "gpu use",
            "an AMD device: it is neither booked nor measured",
            "say how many there are: DOGWATCH_GPUS=1 in the engine's environment",
        ),
        (false, false, _) => Finding::ok("gpu use", "no GPU here"),
    }
}

/// The clock that timers use, and the one that is shown.
pub(super) fn clocks() -> Finding {
    let (boot, awake) = (crate::clock::boottime_ms(), crate::clock::monotonic_ms());
    clocks_of(crate::clock::wall_ms(), boot - awake)
}

/// By the time of day, and by how long the machine has slept since it started.
pub fn clocks_of(wall_ms: i64, slept_ms: i64) -> Finding {
    if wall_ms < EARLIEST_MS {
        return Finding::warn(
            "clock",
            "it is before 2026 by the clock of this machine",
            "certificates are refused and records have wrong dates; timers are right: set it (timedatectl set-ntp true)",
        );
    }
    // Less is how the two are read one after the other.
    if slept_ms > 1000 {
        let says =
            format!("the machine has slept {} since it started; no timer counts that as silence", span(slept_ms));
        return Finding::ok("clock", says);
    }
    Finding::ok("clock", "set, and never stopped since the machine started")
}

/// Where the values of secrets are kept.
pub(super) fn secrets() -> Finding {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.starts_with("/run"));
    let usable = |path: &PathBuf| {
        let writable = rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
        writable && rustix::fs::statfs(path).is_ok_and(|found| found.f_type == TMPFS)
    };
    match std::iter::once(PathBuf::from("/dev/shm")).chain(runtime).find(usable) {
        Some(path) => Finding::ok("secrets", format!("in memory, below {}", path.display())),
        None => Finding::warn(
            "secrets",
            "neither /dev/shm nor $XDG_RUNTIME_DIR is a tmpfs that you can write to",
            "runs with [secrets] do not start: mount -t tmpfs tmpfs /dev/shm",
        ),
    }
}

/// How many files may be open at once.
pub(super) fn open_files() -> Finding {
    open_files_of(rustix::process::getrlimit(rustix::process::Resource::Nofile).current)
}

/// `None`: as many as one likes.
pub fn open_files_of(limit: Option<u64>) -> Finding {
    match limit {
        Some(few) if few < 1024 => {
            Finding::warn("open files", few.to_string(), "many steps at once need more: ulimit -n 4096")
        }
        Some(many) => Finding::ok("open files", many.to_string()),
        None => Finding::ok("open files", "no limit"),
    }
}

/// Files that can still be made, and whether they can: what a full disk has besides bytes.
pub fn inodes(flags: StatVfsMountFlags, all: u64, free: u64) -> Option<Finding> {
    if flags.contains(StatVfsMountFlags::RDONLY) {
        return Some(Finding::bad("disk", "mounted read-only", "nothing new starts: mount it anew, read-write"));
    }
    // File systems without a fixed number say none at all.
    (all > 0 && free < FEW).then(|| {
        Finding::warn(
            "inodes",
            format!("{free} of {all} are free"),
            "each attempt makes some ten files; remove what is small and many",
        )
    })
}

/// The journal, where no engine has it open.
pub(super) fn journal(path: &Path, engine_runs: bool) -> Finding {
    if engine_runs {
        return Finding::ok("journal", "sound when the engine opened it");
    }
    if !path.exists() {
        return Finding::ok("journal", "none yet; the first run makes it");
    }
    match crate::daemon::flaw_of_journal(path) {
        None => Finding::ok("journal", "sound"),
        Some(why) => Finding::bad(
            "journal",
            format!("{}: {why}", path.display()),
            "no engine starts with it; dogwatch recover keeps it and makes a new one of the runs' folders",
        ),
    }
}

/// The operator's own files.
pub(super) fn own_files(face: &Face) -> Vec<Finding> {
    let Some(path) = own::path(face.flags.config.as_deref()) else {
        return vec![Finding::warn("your file", "there is no place for one", "set HOME or XDG_CONFIG_HOME")];
    };
    let mut found = Vec::new();
    found.push(match own::load(face.flags.config.as_deref()) {
        Ok(_) if path.exists() => Finding::ok("your file", path.display().to_string()),
        Ok(_) => Finding::ok("your file", "none; dogwatch config edit makes it"),
        Err(problems) => Finding::bad(
            "your file",
            first_line(&problems.to_string()),
            "no command runs with it: dogwatch config edit",
        ),
    });
    let path = path.with_file_name("rules.toml");
    if path.exists() {
        found.push(match rules::load(Some(&path), &[]) {
            Ok(_) => Finding::ok("your rules", path.display().to_string()),
            Err(problems) => Finding::bad(
                "your rules",
                first_line(&problems.to_string()),
                "put it right: dogwatch diagnose FILE shows all of it",
            ),
        });
    }
    found
}

/// `error: what  --> where` of a problem that has more lines.
fn first_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim);
    let what = lines.next().unwrap_or_default().to_owned();
    match lines.find_map(|line| line.strip_prefix("--> ")) {
        Some(place) => format!("{place}: {what}"),
        None => what,
    }
}

/// What `config edit` would open.
pub(super) fn editors() -> Finding {
    editors_of(editor().map(|(name, text)| (name, text.to_string_lossy().into_owned())), |name| find(name).is_some())
}

/// By the variable that says it and its value; whether there is such a program.
pub fn editors_of(named: Option<(&str, String)>, there: impl Fn(&str) -> bool) -> Finding {
    let Some((name, text)) = named else {
        return Finding::warn(
            "editor",
            "neither VISUAL nor EDITOR is set",
            "export EDITOR=…, for dogwatch config edit",
        );
    };
    // Its quotes are a shell's; what is not simple is left to it.
    let program = text.split_whitespace().next().unwrap_or_default();
    if program.contains(['\'', '"', '\\', '$']) || there(program) {
        return Finding::ok("editor", text);
    }
    Finding::warn(
        "editor",
        format!("{name} is {text}, and there is no {program}"),
        format!("export {name}=…, for dogwatch config edit"),
    )
}

/// What the workflow of this folder wants to start to tell somebody.
pub(super) fn notices() -> Vec<Finding> {
    let Ok(path) = named_or_only(None) else {
        return Vec::new();
    };
    let file = path.display().to_string();
    match config::inspect(&path, &[]) {
        Ok(loaded) => notices_of(&file, &loaded.workflow.notify, |name| find(name).is_some()),
        Err(problems) => {
            let says = first_line(&problems.to_string());
            vec![Finding::warn("workflow", says, format!("dogwatch validate {file} shows all of it"))]
        }
    }
}

/// The commands of these rules that are not there.
pub fn notices_of(file: &str, rules: &[NotifyRule], there: impl Fn(&str) -> bool) -> Vec<Finding> {
    let command = |rule: &NotifyRule| match &rule.to {
        Target::Command(words) => words.first().cloned(),
        Target::Url(_) => None,
    };
    let missing = rules.iter().filter_map(command).filter(|program| !there(program));
    missing
        .map(|program| {
            Finding::warn(
                "notify",
                format!("{file} tells by {program}, and there is no such program"),
                format!("install it, or change [[notify]]; dogwatch notify --test {file} tries it"),
            )
        })
        .collect()
}
