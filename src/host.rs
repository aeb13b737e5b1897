//! What this machine has to give to steps: GPUs, processors, memory. Looks once and keeps nothing; what is used of it now is
//! told by `usage`.

use std::path::Path;

use crate::model::Demand;

/// So many GPUs are taken to be there, whatever is. For tests, and where the driver hides them.
pub const GPUS: &str = "DOGWATCH_GPUS";

/// What there is.
pub fn host() -> Demand {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Demand {
        gpus: said(std::env::var(GPUS).ok().as_deref()).unwrap_or_else(gpus),
        milli_cpus: u64::try_from(processors).unwrap_or(1).saturating_mul(1000),
        memory: memory(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default()).unwrap_or(u64::MAX),
    }
}

/// Where the number of GPUs is from, where that is not the machine itself.
pub fn gpus_are_said() -> bool {
    said(std::env::var(GPUS).ok().as_deref()).is_some()
}

fn said(text: Option<&str>) -> Option<u32> {
    text?.trim().parse().ok().filter(|n| *n <= 1024)
}

/// Those that the driver knows, else those that have a device.
fn gpus() -> u32 {
    let count = |folder: &str, is_one: fn(&str) -> bool| {
        let entries = std::fs::read_dir(Path::new(folder)).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_name().to_str().is_some_and(is_one)).count()
    };
    let known = count("/proc/driver/nvidia/gpus", |_| true);
    let devices = || count("/dev", |name| name.strip_prefix("nvidia").is_some_and(is_number));
    u32::try_from(if known > 0 { known } else { devices() }).unwrap_or(0)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Bytes of all memory, from `/proc/meminfo`.
fn memory(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_gpus_is_a_number_or_nothing() {
        assert_eq!(said(Some("2")), Some(2));
        assert_eq!(said(Some(" 0 ")), Some(0));
        for nothing in [None, Some(""), Some("two"), Some("-1"), Some("100000")] {
            assert_eq!(said(nothing), None, "{nothing:?}");
        }
        assert_eq!(memory("MemTotal:   100 kB\nMemFree: 1 kB\n"), Some(102_400));
        assert_eq!(memory("nothing"), None);
        assert!(host().milli_cpus >= 1000 && host().memory > 0);
    }
}
