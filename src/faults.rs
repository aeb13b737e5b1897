//! Crash points and mutants: how the fault tests kill a process at a named place, or break a rule on purpose.
//!
//! Without the feature `faults` every function here is empty, so a released binary has neither. A crash point marks
//! the gap before or after an effect that the outside can see; its name is `<room>.<where>`.
//!
//! * `DOGWATCH_CRASH=<name>[:nth]` kills the own process with SIGKILL when it passes that point the nth time.
//! * `DOGWATCH_CRASH_LOG=<path>` appends the name of every point passed, one a line. With it, `nth` counts over all
//!   processes that write to the same file. It must lie where steps can write, for shims and keepers write there, too.
//! * `DOGWATCH_CRASH_ONCE=<path>`: only whoever can make this file dies, so that the next engine does not.
//! * `DOGWATCH_CRASH_HOLD=1`: instead of dying, the process stands still until `<path>.go` is there beside that file. So a
//!   test kills the engine while somebody else is exactly at this point.
//! * `DOGWATCH_PANIC=<name>[:nth]` lets a thread panic when it passes that panic point the nth time.
//! * `DOGWATCH_PROTOCOL=<oldest>-<newest>`: passes for a build that speaks these versions of the keeper's protocol.
//! * `DOGWATCH_SHIM_PROTOCOL=<oldest>-<newest>`: the same for the shim's protocol.
//! * `DOGWATCH_MUTANT=<name>[,<name>]` turns on a deliberate defect that a test must catch.

/// The variables that a process hands on to the processes it starts, so that one setting reaches keeper and shims.
pub const VARIABLES: [&str; 7] = [
    "DOGWATCH_CRASH",
    "DOGWATCH_CRASH_LOG",
    "DOGWATCH_CRASH_ONCE",
    "DOGWATCH_CRASH_HOLD",
    "DOGWATCH_PROTOCOL",
    "DOGWATCH_SHIM_PROTOCOL",
    "DOGWATCH_MUTANT",
];

/// The variables of [`VARIABLES`] that are set; always empty in a released binary.
pub fn handed_on() -> Vec<(&'static str, std::ffi::OsString)> {
    if cfg!(feature = "faults") {
        VARIABLES.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))).collect()
    } else {
        Vec::new()
    }
}

/// Dies here when the test wants that.
#[cfg(not(feature = "faults"))]
#[inline]
pub fn crash_point(_name: &'static str) {}

/// Dies here when the test wants that.
#[cfg(feature = "faults")]
pub fn crash_point(name: &'static str) {
    on::crash_point(name);
}

/// Panics here when the test wants that.
#[cfg(not(feature = "faults"))]
#[inline]
pub fn panic_point(_name: &'static str) {}

/// Panics here when the test wants that.
///
/// # Panics
/// When `DOGWATCH_PANIC` names this point.
#[cfg(feature = "faults")]
pub fn panic_point(name: &'static str) {
    let Ok(wish) = std::env::var("DOGWATCH_PANIC") else {
        return;
    };
    let nth = on::passed(name);
    let wanted = match wish.rsplit_once(':') {
        Some((wished, number)) => wished == name && number.parse() == Ok(nth),
        None => wish == name && nth == 1,
    };
    assert!(!wanted, "the test wanted a panic at {name}");
}

/// The oldest and the newest version of a protocol of the build that this one is to pass for, by the variable of it.
#[cfg(not(feature = "faults"))]
#[inline]
pub fn protocol(_variable: &'static str) -> Option<(u32, u32)> {
    None
}

/// The oldest and the newest version of a protocol of the build that this one is to pass for, by the variable of it.
#[cfg(feature = "faults")]
pub fn protocol(variable: &'static str) -> Option<(u32, u32)> {
    let wish = std::env::var(variable).ok()?;
    let (oldest, newest) = wish.split_once('-')?;
    Some((oldest.parse().ok()?, newest.parse().ok()?))
}

/// Is this deliberate defect turned on? Never in a released binary.
#[cfg(not(feature = "faults"))]
#[inline]
pub fn mutant(_name: &'static str) -> bool {
    false
}

/// Is this deliberate defect turned on?
#[cfg(feature = "faults")]
pub fn mutant(name: &'static str) -> bool {
    std::env::var("DOGWATCH_MUTANT").is_ok_and(|on| on.split(',').any(|one| one == name))
}

#[cfg(feature = "faults")]
mod on {
    use std::collections::BTreeMap;
    use std::fs::OpenOptions;
    use std::io::{Read, Write};
    use std::path::PathBuf;
    use std::sync::{LazyLock, Mutex};
    use std::time::Duration;

    use rustix::fs::{FlockOperation, flock};

    /// How often this process passed each point.
    static PASSED: LazyLock<Mutex<BTreeMap<&'static str, u32>>> = LazyLock::new(Mutex::default);

    /// How often this process passed it, this time included.
    pub(super) fn passed(name: &'static str) -> u32 {
        let mut passed = PASSED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = passed.entry(name).or_insert(0);
        *count += 1;
        *count
    }

    pub(super) fn crash_point(name: &'static str) {
        let mine = passed(name);
        let nth = write_down(name).unwrap_or(mine);
        if !wanted(name, nth) || !first() {
            return;
        }
        match std::env::var_os("DOGWATCH_CRASH_HOLD") {
            Some(_) => hold(),
            None => die(),
        }
    }

    fn die() {
        // The first process of a sandbox is deaf to its own KILL; ending at once is the same for everybody else.
        if std::process::id() == 1 {
            std::process::exit(137);
        }
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        // The signal is on its way; nothing may happen after this point.
        loop {
            std::thread::park();
        }
    }

    fn hold() {
        let Some(mut go) = std::env::var_os("DOGWATCH_CRASH_ONCE") else { return };
        go.push(".go");
        let wait = || {
            while !PathBuf::from(&go).exists() {
                crate::clock::pause(Duration::from_millis(2));
            }
        };
        // Only whoever came here stands still: what else its thread had to do goes to another one.
        let runtime = tokio::runtime::Handle::try_current().map(|runtime| runtime.runtime_flavor());
        match runtime {
            Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
            Ok(_) | Err(_) => wait(),
        }
    }

    /// Writes the point down; tells how often it is in the file now. One process at a time, so that no two have the
    /// same number.
    fn write_down(name: &str) -> Option<u32> {
        let path = std::env::var_os("DOGWATCH_CRASH_LOG")?;
        let mut log = OpenOptions::new().read(true).append(true).create(true).open(path).ok()?;
        flock(&log, FlockOperation::LockExclusive).ok()?;
        let mut before = String::new();
        log.read_to_string(&mut before).ok()?;
        log.write_all(format!("{name}\n").as_bytes()).ok()?;
        u32::try_from(before.lines().filter(|line| *line == name).count() + 1).ok()
    }

    fn wanted(name: &str, nth: u32) -> bool {
        let Ok(wish) = std::env::var("DOGWATCH_CRASH") else {
            return false;
        };
        match wish.rsplit_once(':') {
            Some((wished, number)) => wished == name && number.parse() == Ok(nth),
            None => wish == name && nth == 1,
        }
    }

    fn first() -> bool {
        std::env::var_os("DOGWATCH_CRASH_ONCE")
            .is_none_or(|path| OpenOptions::new().write(true).create_new(true).open(path).is_ok())
    }
}
