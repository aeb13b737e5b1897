//! `/proc`: the host as a whole, and trees of processes. What cannot be read counts as nothing: processes come and go while
//! they are counted.

use std::collections::HashMap;
use std::path::Path;

/// `USER_HZ`, which the kernel shows the same on every machine that this runs on.
pub(super) const TICKS_PER_SECOND: u64 = 100;

/// One process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Process {
    parent: u32,
    /// Of itself, and of its children that were waited for.
    ticks: u64,
    resident_bytes: u64,
}

/// Every process of the host.
#[derive(Debug, Default)]
pub(super) struct Table {
    all: HashMap<u32, Process>,
    children: HashMap<u32, Vec<u32>>,
}

/// Everything below a process.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tree {
    /// With the processes that were waited for, so that it only grows.
    pub(super) ticks: u64,
    pub(super) resident_bytes: u64,
    pub(super) processes: u32,
}

impl Table {
    pub(super) fn read(proc: &Path) -> Self {
        let page = rustix::param::page_size() as u64;
        let mut table = Self::default();
        for entry in std::fs::read_dir(proc).into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok();
            let Some(process) = stat.and_then(|stat| process(&stat, page)) else { continue };
            table.children.entry(process.parent).or_default().push(pid);
            table.all.insert(pid, process);
        }
        table
    }

    pub(super) fn lives(&self, pid: u32) -> bool {
        self.all.contains_key(&pid)
    }

    /// What descends from `root`.
    pub(super) fn pids_below(&self, root: u32) -> Vec<u32> {
        let mut found = Vec::new();
        let mut next: Vec<u32> = self.children.get(&root).cloned().unwrap_or_default();
        while let Some(pid) = next.pop().filter(|_| found.len() <= self.all.len()) {
            found.push(pid);
            next.extend(self.children.get(&pid).into_iter().flatten());
        }
        found
    }

    /// What descends from `root`. Of itself only the time of children that it waited for counts.
    pub(super) fn below(&self, root: u32) -> Tree {
        let mut tree = Tree { ticks: self.all.get(&root).map_or(0, |root| root.ticks), ..Tree::default() };
        let mut next: Vec<u32> = self.children.get(&root).cloned().unwrap_or_default();
        // A table that was read while processes moved may hold a circle.
        let mut most = self.all.len();
        while let Some(pid) = next.pop().filter(|_| most > 0) {
            most -= 1;
            if let Some(process) = self.all.get(&pid) {
                tree.ticks += process.ticks;
                tree.resident_bytes += process.resident_bytes;
                tree.processes += 1;
            }
            next.extend(self.children.get(&pid).into_iter().flatten());
        }
        tree
    }
}

/// What a process has read and written, as far as that may be known.
pub(super) fn moved(proc: &Path, pid: u32) -> u64 {
    let text = std::fs::read_to_string(proc.join(pid.to_string()).join("io")).unwrap_or_default();
    let number = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    number("rchar:").unwrap_or(0).saturating_add(number("wchar:").unwrap_or(0))
}

/// A line of `/proc/PID/stat`. The name may hold anything, also brackets and blanks. Zombies hold nothing.
fn process(stat: &str, page: u64) -> Option<Process> {
    let (_, after) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    let ticks = [11, 12, 13, 14].into_iter().filter_map(number).sum();
    let resident_bytes = number(21).unwrap_or(0).saturating_mul(page);
    Some(Process { parent: u32::try_from(number(1)?).ok()?, ticks, resident_bytes })
}

/// The host.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Host {
    pub(super) cpus: u32,
    pub(super) busy_ticks: u64,
    pub(super) load1: f32,
    pub(super) memory_total: u64,
    pub(super) memory_available: u64,
}

impl Host {
    pub(super) fn read(proc: &Path) -> Self {
        let text = |name: &str| std::fs::read_to_string(proc.join(name)).unwrap_or_default();
        Self::of(&text("stat"), &text("loadavg"), &text("meminfo"))
    }

    fn of(stat: &str, load: &str, memory: &str) -> Self {
        let cpus = stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count();
        let all = stat.lines().find_map(|line| line.strip_prefix("cpu "));
        let times: Vec<u64> = all.into_iter().flat_map(str::split_whitespace).filter_map(|n| n.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal; guests are in user already.
        let busy = times.iter().take(8).enumerate().filter(|(place, _)| !matches!(place, 3 | 4));
        let kib = |name: &str| {
            let line = memory.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            number.unwrap_or(0).saturating_mul(1024)
        };
        Self {
            cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
            busy_ticks: busy.map(|(_, ticks)| ticks).sum(),
            load1: load.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
            memory_total: kib("MemTotal"),
            memory_available: kib("MemAvailable"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_name() {
        let line = "77 (a) 9 (b c) S 5 77 77 0 -1 4194304 99 0 0 0 11 22 33 44 20 0 3 0 12345 999 50 1844 1 1 0";
        let read = process(line, 4096).expect("it is one");
        assert_eq!(read, Process { parent: 5, ticks: 110, resident_bytes: 50 * 4096 });
        assert_eq!(process("77 (x", 4096), None);
    }

    #[test]
    fn a_tree_is_counted_without_its_root_but_with_what_it_waited_for() {
        let mut table = Table::default();
        for (pid, parent) in [(1, 0), (10, 1), (11, 10), (12, 11), (20, 1)] {
            table.all.insert(pid, Process { parent, ticks: 5, resident_bytes: 100 });
            table.children.entry(parent).or_default().push(pid);
        }
        assert_eq!(table.below(10), Tree { ticks: 15, resident_bytes: 200, processes: 2 });
        assert_eq!(table.below(99), Tree::default());
        table.children.entry(12).or_default().push(10);
        assert!(table.below(10).processes < 10, "a circle ends");
    }

    #[test]
    fn the_host_is_read() {
        let stat = "cpu  10 1 5 100 7 1 1 0 3 0\ncpu0 5 0 2 50 3 1 0 0 1 0\ncpu1 5 1 3 50 4 0 1 0 2 0\nintr 1";
        let host = Host::of(stat, "0.52 0.58 0.59 1/1 1", "MemTotal:  100 kB\nMemFree: 1 kB\nMemAvailable:  40 kB\n");
        assert_eq!((host.cpus, host.busy_ticks), (2, 18));
        assert_eq!((host.memory_total, host.memory_available), (102_400, 40_960));
        assert!((host.load1 - 0.52).abs() < 0.001);
    }
}
