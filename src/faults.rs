//! Crash points and mutants: how the fault tests kill a process at a named place, or break a rule on purpose.
//!
//! Without the feature `faults` every function here is empty, so a released binary has neither. A crash point marks
//! the gap before or after an effect that the outside can see; its name is `<room>.<where>`.
//!
//! * `DOGWATCH_CRASH=<name>[:nth]` kills the own process with SIGKILL when it passes that point the nth time.
//! * `DOGWATCH_CRASH_LOG=<path>` appends the name of every point passed, one a line.
//! * `DOGWATCH_MUTANT=<name>[,<name>]` turns on a deliberate defect that a test must catch.

/// The variables that a process hands on to the processes it starts, so that one setting reaches keeper and shims.
pub const VARIABLES: [&str; 3] = ["DOGWATCH_CRASH", "DOGWATCH_CRASH_LOG", "DOGWATCH_MUTANT"];

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
    use std::io::Write;
    use std::sync::{LazyLock, Mutex};

    /// How often this process passed each point.
    static PASSED: LazyLock<Mutex<BTreeMap<&'static str, u32>>> = LazyLock::new(Mutex::default);

    pub(super) fn crash_point(name: &'static str) {
        let nth = {
            let mut passed = PASSED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let count = passed.entry(name).or_insert(0);
            *count += 1;
            *count
        };
        write_down(name);
        if wanted(name, nth) {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            // The signal is on its way; nothing may happen after this point.
            loop {
                std::thread::park();
            }
        }
    }

    fn write_down(name: &str) {
        if let Some(path) = std::env::var_os("DOGWATCH_CRASH_LOG")
            && let Ok(mut log) = std::fs::OpenOptions::new().append(true).create(true).open(path)
        {
            // One write, so that lines of several processes do not mix.
            let _ = log.write_all(format!("{name}\n").as_bytes());
        }
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
}
