//! GPUs, as `nvidia-smi` tells them. It may hang where a driver does: it gets a deadline, and is asked once in a while.

use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::clock::boottime_ms;
use crate::wire::client::GpuView;

/// How long what it said counts.
const FRESH_MS: i64 = 5_000;
/// How long after a failure it is not asked again: mostly there is none.
const ABSENT_MS: i64 = 60_000;
const DEADLINE_MS: i64 = 2_000;
/// More than this it does not say.
const LONGEST: usize = 64 * 1024;
const QUERY: &str = "--query-gpu=name,utilization.gpu,memory.used,memory.total,temperature.gpu";

/// What it said last.
#[derive(Debug, Default)]
pub(super) struct Cache {
    said: Vec<GpuView>,
    until_ms: Option<i64>,
}

impl Cache {
    pub(super) fn look(&mut self, now: i64, program: &Path) -> Vec<GpuView> {
        if self.until_ms.is_none_or(|until| now >= until) {
            let said = ask(program);
            self.until_ms = Some(now + if said.is_some() { FRESH_MS } else { ABSENT_MS });
            self.said = said.unwrap_or_default();
        }
        self.said.clone()
    }
}

/// Less than this, in per cent, is none.
const IDLE: f32 = 5.0;

/// Whether a GPU computes that one of these processes has something on.
pub(super) fn busy(pids: &[u32], program: &Path) -> bool {
    let Some(apps) = said(program, "--query-compute-apps=pid,gpu_uuid") else { return false };
    let theirs = of_processes(&apps, pids);
    if theirs.is_empty() {
        return false;
    }
    let Some(loads) = said(program, "--query-gpu=uuid,utilization.gpu") else { return false };
    computes(&loads, &theirs)
}

/// `4711, GPU-1f2e…`: the GPUs of these processes.
fn of_processes<'a>(apps: &'a str, pids: &[u32]) -> Vec<&'a str> {
    let pairs = apps.lines().filter_map(|line| line.split_once(','));
    let theirs = pairs.filter(|(pid, _)| pid.trim().parse().is_ok_and(|pid| pids.contains(&pid)));
    theirs.map(|(_, uuid)| uuid.trim()).collect()
}

/// `GPU-1f2e…, 97`: whether one of these computes. What does not tell counts as if it did.
fn computes(loads: &str, of: &[&str]) -> bool {
    let pairs = loads.lines().filter_map(|line| line.split_once(','));
    let mut theirs = pairs.filter(|(uuid, _)| of.contains(&uuid.trim()));
    theirs.any(|(_, percent)| percent.trim().parse().map_or(true, |percent: f32| percent >= IDLE))
}

fn ask(program: &Path) -> Option<Vec<GpuView>> {
    said(program, QUERY).map(|text| text.lines().filter_map(line).collect())
}

fn said(program: &Path, query: &str) -> Option<String> {
    let mut command = Command::new(program);
    command.args([query, "--format=csv,noheader,nounits"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let text = read(&mut child);
    // Whether it has ended or is given up: nothing of it stays.
    drop(child.kill());
    let good = child.wait().is_ok_and(|status| status.success());
    text.filter(|_| good)
}

/// All that it says, if it comes to an end in time.
fn read(child: &mut Child) -> Option<String> {
    let mut output = child.stdout.take()?;
    let until = boottime_ms() + DEADLINE_MS;
    let mut text = Vec::new();
    loop {
        let left = (until - boottime_ms()).max(0);
        let timeout = Timespec { tv_sec: left / 1000, tv_nsec: (left % 1000) * 1_000_000 };
        let mut fds = [PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(1..) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Ok(0) | Err(_) => return None,
        }
        let mut bytes = [0u8; 4096];
        match output.read(&mut bytes) {
            // It has closed its output and is about to end.
            Ok(0) => {
                drop(child.wait());
                return String::from_utf8(text).ok();
            }
            Ok(count) if text.len() < LONGEST => text.extend_from_slice(&bytes[..count]),
            Ok(_) | Err(_) => return None,
        }
    }
}

/// `NVIDIA H200, 97, 71234, 143771, 71`: percent, MiB, MiB, degrees. What a card does not tell is `[N/A]`.
fn line(text: &str) -> Option<GpuView> {
    const MIB: u64 = 1024 * 1024;
    let mut fields = text.rsplitn(5, ',').map(str::trim);
    let (celsius, total, used, percent) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let mib = |text: &str| text.parse::<u64>().unwrap_or(0).saturating_mul(MIB);
    let name: String = fields.next()?.chars().filter(|c| !c.is_control()).take(80).collect();
    Some(GpuView {
        name,
        percent: percent.parse().unwrap_or(0.0),
        memory_used: mib(used),
        memory_total: mib(total),
        celsius: celsius.parse().ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_gpus_of_its_processes_count() {
        let apps = "4711, GPU-a\n4712, GPU-b\n99, GPU-c\n";
        assert_eq!(of_processes(apps, &[4711, 99]), ["GPU-a", "GPU-c"]);
        let loads = "GPU-a, 0\nGPU-b, 97\nGPU-c, [N/A]\n";
        assert!(!computes(loads, &["GPU-a"]), "another one's work is not its own");
        assert!(computes(loads, &["GPU-b"]));
        assert!(computes(loads, &["GPU-c"]), "what does not tell may compute");
    }

    #[test]
    fn lines_are_read() {
        let read = line("NVIDIA H200, 97, 71234, 143771, 71").expect("it is one");
        assert_eq!((read.name.as_str(), read.memory_used, read.celsius), ("NVIDIA H200", 71234 << 20, Some(71.0)));
        assert!((read.percent - 97.0).abs() < 0.01);
        let odd = line("A, B, [N/A], 1, 2, [N/A]").expect("it is one");
        assert_eq!((odd.name.as_str(), odd.celsius), ("A, B", None));
        assert_eq!(line("No devices were found"), None);
    }
}
