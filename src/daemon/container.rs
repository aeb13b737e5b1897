//! Between the mind's container and the environment's: what a run's workflow says becomes a specification, and what is
//! launched becomes what the image can start. Decides nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::engine::Run;
use crate::environment::{self, Container, Spec};
use crate::model::{ContainerSpec, Gpus, Pull};

/// The container of this environment of a run.
pub(super) fn container(run: &Run, environment: &str, wanted: &ContainerSpec) -> Container {
    Container {
        name: format!("dogwatch-{}-{environment}", run.id),
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
        host: run.env.get("DOCKER_HOST").cloned(),
        runtime_dir: run.env.get("XDG_RUNTIME_DIR").map(PathBuf::from),
    }
}

/// Puts in what the image gives its programs, where nobody said otherwise, and the shell that is there.
pub(super) fn fit(spec: &Spec, argv: &mut Vec<String>, env: &mut BTreeMap<String, String>) {
    let inside = match environment::inside(spec) {
        Ok(Some(inside)) => inside,
        Ok(None) => return,
        Err(error) => {
            tracing::error!("steps get no variables of their image: {error}");
            return;
        }
    };
    for (name, value) in inside.env {
        env.entry(name).or_insert(value);
    }
    if argv.first().is_some_and(|program| program == "/bin/sh") {
        argv.splice(..1, inside.shell);
    }
}
