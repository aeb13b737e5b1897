//! A specification becomes the body of a request for a container. Reads the host's folders to see what must be covered;
//! asks no engine. May never ask for more than the specification says: no capability, no engine's socket, no privilege.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::models::{
    ContainerCreateBody, DeviceRequest, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig,
    Mount as ApiMount, MountType, NetworkingConfig, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};
use rustix::process::{Resource, getrlimit};

use super::bundle::{Bundle, INSIDE};
use super::door;
use crate::environment::hidden::Hidden;
use crate::environment::{Container, Error, Gpus, Spec};
use crate::faults;

/// The keeper's sockets and tmux's: a folder of its own on a file system of its own.
const RUNTIME: &str = "/run/dogwatch/rt/k";
const RUNTIME_MOUNT: &str = "/run/dogwatch/rt";
const DOOR: &str = "/run/dogwatch/door";
/// `$HOME` of steps whose image gives none.
pub(super) const HOME: &str = "/run/dogwatch/home";
/// The folder of it, in the environment's own.
pub(super) const HOME_FOLDER: &str = "home";
/// Empty folders of this host that are mounted over what nobody inside may see. (An empty file system would not do:
/// Podman copies into it what it covers, measured.) The state's has the folders in which the run's `work` is mounted.
pub(super) const COVER: &str = "cover/nothing";
pub(super) const COVER_STATE: &str = "cover/state";
/// The workspace's second name.
const WORKSPACE: &str = "/workspace";
/// Processes and threads of a whole container.
const PIDS: i64 = 4096;
/// Open files of a process.
const FILES: i64 = 65536;
const STACK: i64 = 64 * 1024 * 1024;
/// Above the engine's own, so that the kernel takes what runs inside first when memory runs out.
const OOM_SCORE: i64 = 500;

/// What a container is told from others by.
pub(super) const LABEL_STATE: &str = "dogwatch.state";
pub(super) const LABEL_RUN: &str = "dogwatch.run";
pub(super) const LABEL_ENVIRONMENT: &str = "dogwatch.environment";
/// Which state folder it is, by its secret.
pub(super) const LABEL_ID: &str = "dogwatch.id";
/// The image's own variables: what is kept of a container has the keeper's.
pub(super) const LABEL_ENV: &str = "dogwatch.image-env";
/// Of an image: the attempt that it was kept after.
pub(super) const LABEL_KEPT: &str = "dogwatch.kept-after";
pub(super) const LABEL_BUNDLE: &str = "dogwatch.bundle";

/// What only the engine and its image tell.
#[derive(Debug, Clone)]
pub(super) struct Facts<'a> {
    pub(super) bundle: &'a Bundle,
    /// By its id: a tag may be moved between two looks.
    pub(super) image_id: &'a str,
    /// Of the image: `NAME=value`.
    pub(super) image_env: &'a [String],
    /// Its daemon has no root: the container's root is the daemon's owner.
    pub(super) rootless: bool,
    pub(super) podman: bool,
    /// Host files describe the GPUs.
    pub(super) cdi: bool,
    pub(super) limits: Limits,
    /// The run's own network, where there is one.
    pub(super) network: Option<&'a str>,
}

/// What is asked for beyond what every process may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limits {
    /// What training likes.
    Generous,
    /// Where the engine itself may not raise limits.
    Modest,
}

/// The whole request.
pub(super) fn body(spec: &Spec, container: &Container, facts: &Facts<'_>) -> Result<ContainerCreateBody, Error> {
    let (uid, gid) = user(container, facts.rootless)?;
    Ok(ContainerCreateBody {
        image: Some(facts.image_id.to_owned()),
        // Of one that an attempt has alone, the name of the environment: the rest is too long for a host's name.
        hostname: spec.name.split('.').next().map(str::to_owned),
        user: Some(format!("{uid}:{gid}")),
        env: Some(keeper_environment(facts.image_env)),
        entrypoint: Some(vec![format!("{INSIDE}/dogwatch")]),
        cmd: Some(keeper_arguments()),
        working_dir: Some("/".into()),
        labels: Some(labels(spec, facts)),
        stop_signal: Some("SIGTERM".into()),
        // The keeper is deaf to it: what ends from outside must look like that. Nobody needs to wait for it.
        stop_timeout: Some(1),
        // An image's own check would start processes beside the steps.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".into()]), ..HealthConfig::default() }),
        host_config: Some(host_config(spec, container, facts)?),
        networking_config: facts.network.map(|network| endpoints(spec, network)),
        ..ContainerCreateBody::default()
    })
}

/// Who the first process is. What it writes must be readable by the engine: only the owner's files are.
pub(super) fn user(container: &Container, rootless: bool) -> Result<(u32, u32), Error> {
    let owner = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let inside = if rootless { (0, 0) } else { owner };
    match container.user {
        None => Ok(inside),
        Some(wanted) if wanted.0 == inside.0 => Ok(wanted),
        Some((uid, _)) => Err(Error::Refused(format!(
            "user = \"{uid}\" cannot be had: with this container engine steps are user {}, the owner of dogwatch; \
             remove `user`, or start dogwatch as that user (root inside without root outside: use Podman without root)",
            inside.0
        ))),
    }
}

fn keeper_arguments() -> Vec<String> {
    let door = format!("{DOOR}/{}", door::SOCKET);
    let (dogwatch, tmux) = (format!("{INSIDE}/dogwatch"), format!("{INSIDE}/tmux"));
    let words = ["keep", "--door", &door, "--runtime-dir", RUNTIME, "--dogwatch", &dogwatch, "--tmux", &tmux];
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The keeper's own variables, which tmux gets, too, and no step. What the image says about loading programs is made
/// empty: it is meant for the image's own.
fn keeper_environment(image_env: &[String]) -> Vec<String> {
    let mut env = vec![
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        format!("LD_LIBRARY_PATH={INSIDE}/lib"),
        format!("LOCPATH={INSIDE}/locale"),
        format!("TERMINFO={INSIDE}/terminfo"),
        format!("HOME={HOME}"),
    ];
    let names = image_env.iter().filter_map(|variable| variable.split_once('=')).map(|(name, _)| name);
    let loading = names.filter(|name| {
        ["LD_", "GLIBC_", "MALLOC_"].iter().any(|prefix| name.starts_with(prefix)) && *name != "LD_LIBRARY_PATH"
    });
    env.extend(loading.map(|name| format!("{name}=")));
    env.extend(faults::handed_on().iter().map(|(name, value)| format!("{name}={}", value.to_string_lossy())));
    env
}

/// By its name the others find it, where the engine answers names.
fn endpoints(spec: &Spec, network: &str) -> NetworkingConfig {
    let aliases = Some(spec.name.clone()).filter(|name| !name.contains('.')).map(|name| vec![name]);
    let endpoint = EndpointSettings { aliases, ..EndpointSettings::default() };
    NetworkingConfig { endpoints_config: Some(HashMap::from([(network.to_owned(), endpoint)])) }
}

fn labels(spec: &Spec, facts: &Facts<'_>) -> HashMap<String, String> {
    let run = super::ours::run_of(spec);
    let (id, id_value) = super::ours::id_label(spec);
    let env = serde_json::to_string(facts.image_env).unwrap_or_else(|_| "[]".into());
    let digest = facts.bundle.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    HashMap::from([
        (LABEL_STATE.to_owned(), spec.state_dir.to_string_lossy().into_owned()),
        (LABEL_RUN.to_owned(), run),
        (id.to_owned(), id_value),
        (LABEL_ENV.to_owned(), env),
        (LABEL_ENVIRONMENT.to_owned(), spec.name.clone()),
        (LABEL_BUNDLE.to_owned(), digest),
        ("dogwatch.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ])
}

fn host_config(spec: &Spec, container: &Container, facts: &Facts<'_>) -> Result<HostConfig, Error> {
    let memory = container.memory.or_else(|| memory_of_this_host().map(|bytes| bytes / 10 * 9));
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let shm = container.shm.or(container.memory).or_else(|| memory_of_this_host().map(|bytes| bytes / 2));
    Ok(HostConfig {
        mounts: Some(mounts(spec, facts)?),
        tmpfs: Some(HashMap::from([(RUNTIME_MOUNT.to_owned(), "mode=1777,size=64m".to_owned())])),
        nano_cpus: container.milli_cpus.map(|milli| signed(milli.saturating_mul(1_000_000))),
        memory: memory.map(signed),
        // No swap: an early and clean end instead of a machine that stands still.
        memory_swap: memory.map(signed),
        shm_size: shm.map(signed),
        pids_limit: Some(PIDS),
        ulimits: Some(ulimits(container, facts)),
        oom_score_adj: Some(OOM_SCORE),
        cap_drop: Some(vec!["ALL".into()]),
        cap_add: (!container.caps.is_empty()).then(|| container.caps.clone()),
        security_opt: Some(security()),
        readonly_rootfs: Some(container.read_only),
        network_mode: match facts.network {
            _ if !container.network => Some("none".to_owned()),
            network => network.map(str::to_owned),
        },
        device_requests: gpu_requests(&container.gpus, facts.cdi),
        log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
        // Started again behind our back, a step would run twice.
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
        ..HostConfig::default()
    })
}

fn security() -> Vec<String> {
    let mut options = vec!["no-new-privileges".to_owned()];
    if Path::new("/sys/fs/selinux/enforce").exists() {
        // Its labels would keep the steps from the workspace, and relabelling would change the user's own files.
        options.push("label=disable".into());
    }
    options
}

/// In bytes.
fn memory_of_this_host() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Explicit, for Podman would else ask for more than it may itself.
fn ulimits(container: &Container, facts: &Facts<'_>) -> Vec<ResourcesUlimits> {
    let own = |resource| getrlimit(resource).maximum.and_then(|limit| i64::try_from(limit).ok());
    let mut limits = HashMap::from([("nofile", own(Resource::Nofile).map_or(FILES, |limit| limit.min(FILES)))]);
    if facts.podman {
        // It lowers its own to the highest number that a process can have, and may not raise it again.
        let highest = std::fs::read_to_string("/proc/sys/kernel/pid_max").ok();
        let highest = highest.and_then(|text| text.trim().parse().ok()).unwrap_or(32_768);
        limits.insert("nproc", own(Resource::Nproc).map_or(highest, |limit| limit.min(highest)));
    }
    if facts.limits == Limits::Generous {
        limits.insert("memlock", -1);
        limits.insert("stack", STACK);
    }
    limits.extend(container.ulimits.iter().map(|(name, value)| (name.as_str(), *value)));
    let mut limits: Vec<_> = limits.into_iter().collect();
    limits.sort_unstable();
    let one = |(name, value): (&str, i64)| ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(value),
        hard: Some(value),
    };
    limits.into_iter().map(one).collect()
}

/// By the host's own description of its devices where there is one, else by the request that NVIDIA's runtime takes.
fn gpu_requests(gpus: &Gpus, cdi: bool) -> Option<Vec<DeviceRequest>> {
    let named = |ids: Vec<String>| DeviceRequest {
        driver: Some("cdi".into()),
        device_ids: Some(ids.iter().map(|id| format!("nvidia.com/gpu={id}")).collect()),
        ..DeviceRequest::default()
    };
    let counted = |count: Option<i64>, ids: Option<Vec<String>>| DeviceRequest {
        driver: Some("nvidia".into()),
        count,
        device_ids: ids,
        capabilities: Some(vec![vec!["gpu".into()]]),
        ..DeviceRequest::default()
    };
    let request = match (gpus, cdi) {
        (Gpus::None, _) => return None,
        (Gpus::All, true) => named(vec!["all".into()]),
        (Gpus::All, false) => counted(Some(-1), None),
        (Gpus::Count(n), true) => named((0..*n).map(|number| number.to_string()).collect()),
        (Gpus::Count(n), false) => counted(Some(i64::from(*n)), None),
        (Gpus::Ids(ids), true) => named(ids.clone()),
        (Gpus::Ids(ids), false) => counted(None, Some(ids.clone())),
    };
    Some(vec![request])
}

/// What is mounted, outermost first. The workspace and the steps' own folders have the same path inside as outside, so
/// that a path which a step prints is a path here; the workspace is at `/workspace`, too.
fn mounts(spec: &Spec, facts: &Facts<'_>) -> Result<Vec<ApiMount>, Error> {
    let real = |path: &Path| path.canonicalize().map_err(Error::io("finding", path));
    let workspace = real(&spec.workspace)?;
    let dir = spec.dir();
    let mut granted =
        vec![(workspace.clone(), spec.workspace.clone(), true), (workspace, PathBuf::from(WORKSPACE), true)];
    for mount in &spec.mounts {
        granted.push((real(&mount.source)?, mount.target.clone(), mount.writable));
    }
    let hidden = Hidden::on_this_host(spec);
    let mut all = Vec::new();
    for (source, target, writable) in granted {
        all.push(bind(&source, &target, writable)?);
        for path in hidden.below(&source) {
            let inside = target.join(path.strip_prefix(&source).unwrap_or(path));
            let Ok(meta) = path.symlink_metadata() else { continue };
            if meta.is_dir() {
                let cover = if hidden.is_state(path) { COVER_STATE } else { COVER };
                all.push(bind(&dir.join(cover), &inside, false)?);
            } else if !meta.is_symlink() {
                all.push(bind(&dir.join("blank"), &inside, false)?);
            }
        }
    }
    all.push(bind(&spec.work_dir(), &spec.work_dir(), true)?);
    all.push(bind(&facts.bundle.path, Path::new(INSIDE), false)?);
    if facts.network.is_some() {
        all.push(bind(&super::network::hosts_file(spec), Path::new("/etc/hosts"), false)?);
    }
    all.push(bind(&dir.join(door::FOLDER), Path::new(DOOR), false)?);
    all.push(bind(&dir.join(HOME_FOLDER), Path::new(HOME), true)?);
    Ok(all)
}

fn text(path: &Path) -> Result<String, Error> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| {
        Error::Refused(format!("{} is no UTF-8, and container engines take nothing else", path.display()))
    })
}

fn bind(source: &Path, target: &Path, writable: bool) -> Result<ApiMount, Error> {
    Ok(ApiMount {
        typ: Some(MountType::BIND),
        source: Some(text(source)?),
        target: Some(text(target)?),
        read_only: Some(!writable),
        ..ApiMount::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_asked_for_as_the_host_knows_them() {
        let ids = |ids: &[&str]| Gpus::Ids(ids.iter().map(|id| (*id).to_owned()).collect());
        let shown = |gpus: &Gpus, cdi| serde_json::to_string(&gpu_requests(gpus, cdi)).expect("it is plain data");
        assert_eq!(shown(&Gpus::None, true), "null");
        assert_eq!(
            shown(&Gpus::Count(2), true),
            r#"[{"Driver":"cdi","DeviceIDs":["nvidia.com/gpu=0","nvidia.com/gpu=1"]}]"#
        );
        assert_eq!(shown(&Gpus::All, true), r#"[{"Driver":"cdi","DeviceIDs":["nvidia.com/gpu=all"]}]"#);
        assert_eq!(shown(&Gpus::Count(2), false), r#"[{"Driver":"nvidia","Count":2,"Capabilities":[["gpu"]]}]"#);
        assert_eq!(shown(&Gpus::All, false), r#"[{"Driver":"nvidia","Count":-1,"Capabilities":[["gpu"]]}]"#);
        assert_eq!(
            shown(&ids(&["GPU-1"]), false),
            r#"[{"Driver":"nvidia","DeviceIDs":["GPU-1"],"Capabilities":[["gpu"]]}]"#
        );
    }

    #[test]
    fn what_an_image_says_about_loading_is_not_for_the_keeper() {
        let image = ["PATH=/opt/bin", "LD_PRELOAD=/lib/evil.so", "LD_LIBRARY_PATH=/cuda"].map(str::to_owned);
        let env = keeper_environment(&image);
        assert!(env.contains(&"LD_PRELOAD=".to_owned()), "{env:?}");
        assert!(env.contains(&"LD_LIBRARY_PATH=/run/dogwatch/b/lib".to_owned()), "{env:?}");
        assert_eq!(env.iter().filter(|variable| variable.starts_with("LD_LIBRARY_PATH=")).count(), 1);
        assert_eq!(env.iter().filter(|variable| variable.starts_with("PATH=")).count(), 1);
    }
}
