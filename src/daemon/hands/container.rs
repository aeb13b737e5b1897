//! Between the mind's container and the environment's: what a run's workflow says becomes a specification, and what is
//! launched becomes what the image can start. Decides nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::daemon::core::Parts;
use crate::engine::Run;
use crate::environment::{self, Container, Spec, Wanted};
use crate::model::{ContainerSpec, EnvironmentId, Gpus, IsolationWanted, Pull, Site};

/// The specification of this environment of a run.
pub(in crate::daemon) fn spec(run: &Run, site: &Site, parts: &Parts) -> Spec {
    let wanted = run.workflow.environment_named(&site.environment);
    let dogwatch = parts.dogwatch();
    let run_dir = PathBuf::from(&run.dir);
    let mut spec = Spec::new(&run_dir, parts.state.path(), &PathBuf::from(&wanted.workspace), &dogwatch);
    spec.name = site.to_string();
    spec.wanted = match wanted.isolation {
        IsolationWanted::Auto => Wanted::Auto,
        IsolationWanted::Required => Wanted::Required,
        IsolationWanted::None => Wanted::None,
    };
    spec.mounts = wanted
        .mounts
        .iter()
        .map(|mount| environment::Mount {
            source: PathBuf::from(&mount.source),
            target: PathBuf::from(&mount.target),
            writable: !mount.readonly,
        })
        .collect();
    spec.home = run.env.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    spec.tmux = find_in_path(run.env.get("PATH").map_or("", String::as_str), "tmux");
    let raised = site.own.as_ref().and_then(|(lane, n)| run.raised(lane, *n));
    spec.container = wanted.container.clone().map(|mut wanted| {
        raised.into_iter().flatten().for_each(|(resource, limit)| resource.set(&mut wanted, *limit));
        container(run, site, &wanted)
    });
    spec
}

fn find_in_path(path: &str, name: &str) -> Option<PathBuf> {
    path.split(':')
        .filter(|folder| folder.starts_with('/'))
        .map(|folder| PathBuf::from(folder).join(name))
        .find(|file| file.is_file())
}

/// The network that the environments of a run share, where several of them have one.
fn network(run: &Run) -> Option<String> {
    let used = |name: &EnvironmentId| run.workflow.steps.values().any(|step| step.place.environment == *name);
    let containers = run.workflow.all_environments().filter(|(name, _)| used(name));
    let networked = containers.filter(|(_, spec)| spec.container.as_ref().is_some_and(|container| container.network));
    (networked.count() > 1).then(|| format!("dogwatch-{}", run.id))
}

/// The container of this environment of a run.
fn container(run: &Run, site: &Site, wanted: &ContainerSpec) -> Container {
    Container {
        name: environment::container_name(run.id.as_str(), &site.to_string()),
        image: wanted.image.clone(),
        pull: match wanted.pull {
            Pull::Missing => environment::Pull::Missing,
            Pull::Always => environment::Pull::Always,
            Pull::Never => environment::Pull::Never,
        },
        milli_cpus: wanted.milli_cpus,
        memory: wanted.memory,
        shm: wanted.shm,
        gpus: match &wanted.gpus {
            Gpus::None => environment::Gpus::None,
            Gpus::All => environment::Gpus::All,
            Gpus::Count(n) => environment::Gpus::Count(*n),
            Gpus::Ids(ids) => environment::Gpus::Ids(ids.clone()),
        },
        network: wanted.network,
        user: wanted.user.map(|user| (user.uid, user.gid)),
        caps: wanted.caps.clone(),
        ulimits: wanted.ulimits.iter().map(|limit| (limit.name.clone(), limit.value)).collect(),
        read_only: wanted.read_only,
        peers: wanted.network.then(|| network(run)).flatten(),
        // What is launched says itself what it goes on from; who opens a shell finds what was there last.
        base: run.newest_kept(&site.environment).map(|kept| kept.snapshot.image.clone()),
        host: run.env.get("DOCKER_HOST").cloned(),
        runtime_dir: run.env.get("XDG_RUNTIME_DIR").map(PathBuf::from),
    }
}

/// Puts in what the image gives its programs, where nobody said otherwise, the shell that is there, and where dogwatch is:
/// at the end of `PATH`, so that nothing which the step has is shadowed.
pub(super) fn fit(spec: &Spec, argv: &mut Vec<String>, env: &mut BTreeMap<String, String>) {
    let inside = match environment::inside(spec) {
        Ok(inside) => inside,
        Err(error) => {
            tracing::error!("steps get no variables of their environment: {error}");
            return;
        }
    };
    for (name, value) in inside.env {
        env.entry(name).or_insert(value);
    }
    if let Some(shell) = inside.shell.filter(|_| argv.first().is_some_and(|program| program == "/bin/sh")) {
        argv.splice(..1, shell);
    }
    env.insert("DOGWATCH_BIN".into(), inside.dogwatch.display().to_string());
    // Without one, programs look where they think best, and this would be instead of that.
    let bin = inside.bin.display().to_string();
    if let Some(path) = env.get_mut("PATH").filter(|path| !path.is_empty() && !bin.contains(':')) {
        path.push(':');
        path.push_str(&bin);
    }
}
