//! What a container engine means for the steps in its containers, finding by finding, each with its risk. Looks at this
//! host's devices besides; asks nobody.

use std::path::Path;

use super::Finding;
use crate::environment::EngineFacts;

/// Everything about the engine.
pub(super) fn all(facts: &EngineFacts) -> Vec<Finding> {
    vec![engine(facts), cgroups(facts), runtime(facts), gpus(facts, Path::new("/dev/nvidiactl").exists())]
}

/// Which engine it is, and what its restart does to steps.
pub fn engine(facts: &EngineFacts) -> Finding {
    let root = if facts.rootless { "without root" } else { "as root" };
    let says = format!("{} at {}, {root}", facts.name, facts.socket.display());
    if facts.new_enough == Some(false) {
        let least = if facts.podman { "Podman 4.3" } else { "Docker 20.10" };
        return Finding::bad("containers", says, format!("{least} or newer is needed for steps with an `image`"));
    }
    if !facts.networks {
        return Finding::warn(
            "containers",
            says,
            "neither slirp4netns nor pasta (passt) is here: only containers with `network = false` start; install one of them",
        );
    }
    if facts.podman {
        return Finding::ok("containers", format!("{says}; a restart of its service leaves steps alone"));
    }
    if facts.live_restore {
        return Finding::ok("containers", format!("{says}, with live-restore: its restart leaves steps alone"));
    }
    Finding::warn(
        "containers",
        format!("{says}, without live-restore"),
        "a restart of Docker ends the steps in its containers; \"live-restore\": true in /etc/docker/daemon.json keeps them",
    )
}

/// Whether limits hold.
pub fn cgroups(facts: &EngineFacts) -> Finding {
    let says = format!("version {}", facts.cgroup);
    match (facts.rootless, facts.cgroup.as_str()) {
        (true, "1") => Finding::warn(
            "cgroups",
            format!("{says}, and the engine has no root"),
            "cpus, memory and the limit of processes do not hold: one step can take the whole machine, and whether the kernel \
             killed for memory is not known; boot with cgroup v2",
        ),
        (true, _) => {
            Finding::ok("cgroups", format!("{says}; without root limits hold as far as systemd delegates them"))
        }
        (false, _) => Finding::ok("cgroups", says),
    }
}

/// Who starts the containers' processes, and what is known against it.
pub fn runtime(facts: &EngineFacts) -> Finding {
    let version = facts.runtime_version.as_deref().unwrap_or("of an unknown version");
    let says = format!("{} {version}", facts.runtime);
    if facts.runtime.contains("crun") && facts.podman && facts.cgroup == "1" {
        return Finding::warn(
            "runtime",
            format!("{says} on cgroup v1"),
            "it does not start containers on hybrid cgroups: install runc, and say runtime = \"runc\" in containers.conf",
        );
    }
    let parts: Vec<u32> = version.split(['.', '-', '+', '~']).map_while(|part| part.parse().ok()).take(3).collect();
    if facts.runtime != "runc" || parts.len() < 3 || parts.as_slice() >= [1, 1, 12].as_slice() {
        return Finding::ok("runtime", says);
    }
    // Distributions mend what they have, and keep its number.
    if version.contains(['+', '~']) || version.contains("ubuntu") || version.contains(".el") {
        return Finding::ok(
            "runtime",
            format!("{says}: a distribution's own; whether it has the fix of CVE-2024-21626, its packages tell"),
        );
    }
    Finding::warn(
        "runtime",
        says,
        "an image can take over this host (CVE-2024-21626): use runc 1.1.12 or newer, and until then only images you trust",
    )
}

/// How steps would get GPUs.
pub fn gpus(facts: &EngineFacts, has_device: bool) -> Finding {
    match (&facts.cdi, has_device) {
        (Some(file), _) => Finding::ok("gpus", format!("by CDI, {}", file.display())),
        (None, false) => Finding::ok("gpus", "no NVIDIA device here"),
        (None, true) => Finding::warn(
            "gpus",
            "there is an NVIDIA device, and no CDI file describes it: containers ask for the nvidia driver instead",
            "with NVIDIA's toolkit up to 1.16.1 an image can reach this host that way (CVE-2024-0132): \
             nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
        ),
    }
}
