//! The kernel's count of processes it killed for want of memory in this environment. It cannot tell whose they were.

use std::fs::read_to_string;

/// The counter now; `None` where the kernel or the environment does not show it.
pub(super) fn kills() -> Option<u64> {
    let groups = read_to_string("/proc/self/cgroup").ok()?;
    let (file, field) =
        if let Some(path) = group(&groups, |controllers| controllers.split(',').any(|one| one == "memory")) {
            (first_readable("/sys/fs/cgroup/memory", path, "memory.oom_control")?, "oom_kill")
        } else {
            (first_readable("/sys/fs/cgroup", group(&groups, str::is_empty)?, "memory.events")?, "oom_kill")
        };
    file.lines().find_map(|line| line.split_once(' ').filter(|(name, _)| *name == field)?.1.trim().parse().ok())
}

/// The path of the hierarchy whose controllers satisfy `wanted`: lines are `id:controllers:path`.
fn group(groups: &str, wanted: impl Fn(&str) -> bool) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let controllers = parts.next()?;
        let path = parts.next()?;
        wanted(controllers).then_some(path)
    })
}

/// Inside a container the group's path is the host's, but its files are at the root of the mount.
fn first_readable(root: &str, path: &str, file: &str) -> Option<String> {
    read_to_string(format!("{root}{path}/{file}")).or_else(|_| read_to_string(format!("{root}/{file}"))).ok()
}
