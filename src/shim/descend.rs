//! The processes that descend from this shim: found through `/proc`, signalled, reaped.
//!
//! The shim is their subreaper, so whatever forked twice or called `setsid` has become its child and cannot hide.

use std::collections::{BTreeMap, BTreeSet};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

use crate::attempt::record::Leaked;
use crate::faults;

/// One process of `/proc`, not a zombie.
#[derive(Debug, Clone)]
struct Process {
    parent: u32,
    session: u32,
    comm: String,
}

/// Everything alive that descends from this process, children before grandchildren.
pub(super) fn descendants() -> Vec<Leaked> {
    // Whatever descends from a subreaper hangs on a child of it: without children the walk can be saved.
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if matches!(waitid(WaitId::All, options), Err(rustix::io::Errno::CHILD)) {
        return Vec::new();
    }
    let processes = all();
    let mut found = Vec::new();
    let mut parents = BTreeSet::from([std::process::id()]);
    loop {
        let next: Vec<(u32, &Process)> = processes
            .iter()
            .filter(|(_, process)| parents.contains(&process.parent))
            .map(|(pid, process)| (*pid, process))
            .collect();
        if next.is_empty() {
            return found;
        }
        parents = next.iter().map(|(pid, _)| *pid).collect();
        found.extend(next.into_iter().map(|(pid, process)| Leaked { pid, comm: process.comm.clone() }));
    }
}

/// Sends `signal` to every descendant, one by one.
pub(super) fn signal_all(processes: &[Leaked], signal: Signal) {
    faults::crash_point("shim.before-signal");
    for process in processes {
        if let Some(pid) = pid(process.pid) {
            let _ = kill_process(pid, signal);
        }
    }
    faults::crash_point("shim.after-signal");
}

/// Sends a signal to every descendant that handles it: who does not would end of it. Tells how many there are.
pub(super) fn ask_to_save(signal: i32) -> usize {
    let Some(signal) = Signal::from_named_raw(signal) else { return 0 };
    let handlers: Vec<Pid> =
        descendants().iter().filter(|one| handles(one.pid, signal)).filter_map(|one| pid(one.pid)).collect();
    faults::crash_point("shim.before-save");
    let told = handlers.iter().filter(|one| kill_process(**one, signal).is_ok()).count();
    for one in &handlers {
        // A stopped process hears nothing.
        let _ = kill_process(*one, Signal::CONT);
    }
    faults::crash_point("shim.after-save");
    told
}

/// Whether a process has a handler of its own for a signal.
fn handles(pid: u32, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigCgt:")?.trim(), 16).ok());
    caught.is_some_and(|caught| caught >> (signal.as_raw() - 1) & 1 == 1)
}

/// Asks the step to end: TERM to its group and to all of its session, and CONT, for a stopped process hears nothing.
pub(super) fn ask_to_end(step: Pid) {
    let session = step.as_raw_nonzero().get().unsigned_abs();
    faults::crash_point("shim.before-stop");
    let _ = kill_process_group(step, Signal::TERM);
    let _ = kill_process_group(step, Signal::CONT);
    for (number, process) in all() {
        if process.session == session
            && let Some(pid) = pid(number)
            && rustix::process::getpgid(Some(pid)) != Ok(step)
        {
            let _ = kill_process(pid, Signal::TERM);
            let _ = kill_process(pid, Signal::CONT);
        }
    }
    faults::crash_point("shim.after-stop");
}

fn pid(number: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(number).ok()?)
}

fn all() -> BTreeMap<u32, Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let number: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read(entry.path().join("stat")).ok()?;
            Some((number, parse(&String::from_utf8_lossy(&stat))?))
        })
        .collect()
}

/// A line of `/proc/<pid>/stat`: the name is in brackets and may itself hold brackets and blanks.
fn parse(stat: &str) -> Option<Process> {
    let (head, tail) = stat.rsplit_once(')')?;
    let comm = head.split_once('(')?.1.to_owned();
    let mut words = tail.split_ascii_whitespace();
    let state = words.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    let parent = words.next()?.parse().ok()?;
    let session = words.nth(1)?.parse().ok()?;
    Some(Process { parent, session, comm })
}
