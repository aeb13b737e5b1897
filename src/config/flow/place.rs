//! `[environment]` and `[environments.x]`: the workspace, isolation and mounts, with absolute, lexically clean paths.
//!
//! Never touches the file system except in [`look`], which is for the start of a run: a frozen copy must read the same
//! when a folder has gone meanwhile.

use std::path::{Component, Path, PathBuf};

use super::Draft;
use indexmap::IndexMap;

use crate::config::keys::{Kind, nearest};
use crate::config::problems::Found;
use crate::config::read::{At, Item, Reader, Section};
use crate::model::{
    ContainerSpec, Demand, DemandKind, EnvironmentId, EnvironmentSpec, Gpus, IsolationWanted, Mount, Workflow,
};

const ISOLATION: [(&str, IsolationWanted); 3] =
    [("auto", IsolationWanted::Auto), ("required", IsolationWanted::Required), ("none", IsolationWanted::None)];

/// Where container engines listen.
const ENGINE_SOCKETS: [&str; 6] = [
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/podman/podman.sock",
    "/var/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/var/run/containerd/containerd.sock",
];

/// Folders of the environment that it makes itself.
const TAKEN: [&str; 13] =
    ["/", "/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/tmp", "/usr", "/workspace"];

/// The environment, with the places of the paths that must be there.
pub(super) struct Placed {
    pub(super) spec: EnvironmentSpec,
    /// Path on the host, its place and its words.
    needed: Vec<(PathBuf, At, String)>,
}

/// Reads `[environments]`, in the file's order.
pub(super) fn others<'a>(reader: &mut Reader<'a>, item: &Item<'a>, base: &Path) -> Vec<(EnvironmentId, Placed)> {
    let mut all = Vec::new();
    for (name, item) in reader.names(item, "[environments]".into()) {
        let placed = read(reader, Some((&item, format!("[environments.{name}]"))), base);
        match EnvironmentId::new(name) {
            Ok(id) if id == EnvironmentId::default() => {
                let words = "the environment `default` is the one of [environment]";
                reader.found.error(&item.key_at, words).hint("write [environment], or choose another name");
            }
            Ok(id) => all.push((id, placed)),
            Err(bad) => {
                let shown: String = name.chars().take(80).collect();
                reader
                    .found
                    .error(&item.key_at, format!("an environment cannot be called `{shown}`: {}", bad.why))
                    .hint(format!("[environments.{}]", super::usable(name)));
            }
        }
    }
    all
}

/// Reads `[environment]`, or another one, of this title; without one, steps work in `base`.
pub(super) fn read<'a>(reader: &mut Reader<'a>, table: Option<(&Item<'a>, String)>, base: &Path) -> Placed {
    let base = std::path::absolute(base).map_or_else(|_| base.to_owned(), |base| clean(&base));
    let mut placed = Placed {
        spec: EnvironmentSpec {
            workspace: text_of(&base),
            isolation: IsolationWanted::Auto,
            mounts: vec![],
            container: None,
        },
        needed: vec![],
    };
    let section = table.and_then(|(table, title)| reader.section(table, Kind::Environment, title));
    let Some(section) = section else {
        return placed;
    };
    if let Some(item) = section.get("workspace")
        && let Some(text) = reader.literal(&item)
        && let Some(path) = on_host(reader, &item, text, &base)
    {
        placed.spec.workspace = text_of(&path);
        placed.needed.push((path, item.at, "the workspace".into()));
    }
    if let Some(isolation) = section.get("isolation").and_then(|item| reader.choice(&item, &ISOLATION)) {
        placed.spec.isolation = isolation;
    }
    placed.spec.container = super::container::read(reader, &section);
    let mounts = section.get("mounts").and_then(|item| reader.list(&item)).unwrap_or_default();
    for item in mounts {
        let Some(mount) = mount(reader, &item, &section.title, &base) else { continue };
        if placed.spec.mounts.iter().any(|other| other.target == mount.target) {
            reader
                .found
                .error(&item.at, format!("{} is mounted twice", mount.target))
                .hint("give each mount its own target");
            continue;
        }
        placed.needed.push((PathBuf::from(&mount.source), item.at, "the source of a mount".into()));
        placed.spec.mounts.push(mount);
    }
    placed
}

/// Notes steps that name an environment that is not there.
pub(super) fn judge_names(reader: &mut Reader<'_>, drafts: &IndexMap<String, Draft>, workflow: &Workflow) {
    let known: Vec<EnvironmentId> = workflow.all_environments().map(|(name, _)| name).collect();
    for (name, draft) in drafts {
        let Some(at) = &draft.environment_at else { continue };
        let text = reader.source.get(at.clone()).unwrap_or_default().trim_matches(['"', '\'']).to_owned();
        if !known.iter().any(|known| known.as_str() == text) {
            let shown: String = text.chars().take(80).collect();
            let near = nearest(&text, known.iter().map(EnvironmentId::as_str));
            let hint = near.map_or_else(
                || format!("add [environments.{}] with an `image`", super::usable(&text)),
                |near| format!("did you mean \"{near}\"?"),
            );
            let words = format!("step {name} runs in \"{shown}\", and there is no such environment");
            reader.found.error(at, words).hint(hint);
        }
    }
}

/// Steps that name an image run in an environment like their own with that image; the same ones share it.
pub(super) fn images(drafts: &mut IndexMap<String, Draft>, workflow: &mut Workflow) {
    for draft in drafts.values_mut() {
        let Some(image) = draft.image.take() else { continue };
        let own = &mut draft.step.place.environment;
        let mut spec = workflow.environment_named(own).clone();
        let of = match &spec.container {
            Some(container) => ContainerSpec { image: image.clone(), ..container.clone() },
            None => ContainerSpec::of(image.clone()),
        };
        (spec.container, spec.isolation) = (Some(of), IsolationWanted::Auto);
        let called = if *own == EnvironmentId::default() { image } else { format!("{own}-{image}") };
        let called: String = super::usable(&called).chars().take(58).collect();
        let mut names = std::iter::once(called.clone()).chain((2..).map(|n| format!("{called}-{n}")));
        // Another one may be called so already.
        let free = |name: &EnvironmentId| workflow.environments.get(name).is_none_or(|there| *there == spec);
        if let Some(name) = names.find_map(|name| EnvironmentId::new(&name).ok().filter(free)) {
            own.clone_from(&name);
            workflow.environments.insert(name, spec);
        }
    }
}

/// Notes steps that want of their environment what it cannot do.
pub(super) fn judge(reader: &mut Reader<'_>, drafts: &IndexMap<String, Draft>, workflow: &Workflow) {
    for (name, draft) in drafts {
        judge_gpus(reader, name, draft, workflow);
        let has_container = workflow.environment_named(&draft.step.place.environment).container.is_some();
        if let Some(at) = draft.snapshot_at.as_ref().filter(|_| draft.step.place.snapshot && !has_container) {
            reader
                .found
                .error(at, format!("`snapshot` in [steps.{name}] needs a container: the sandbox has nothing to keep"))
                .hint("give its environment an `image`, or remove it; `outputs` keep what the step wrote");
        }
    }
}

/// Notes a step that wants GPUs which its container does not have.
fn judge_gpus(reader: &mut Reader<'_>, name: &str, draft: &Draft, workflow: &Workflow) {
    let wanted = draft.step.demand.gpus;
    let spec = workflow.environment_named(&draft.step.place.environment).container.as_ref();
    let at = draft.demand_at.iter().find(|(kind, _)| *kind == DemandKind::Gpus).map(|(_, at)| at);
    let (Some(at), Some(container)) = (at.filter(|_| wanted > 0), spec) else { return };
    let number = |id: &String| id.parse::<u32>().is_ok();
    let (there, hint) = match &container.gpus {
        Gpus::All => return,
        Gpus::Count(n) if *n >= wanted => return,
        Gpus::Ids(ids) if !ids.iter().all(number) => {
            let words = format!("step {name} takes GPUs by their numbers, and its container has them by their ids");
            reader.found.error(at, words).hint("write gpus = [\"0\", \"1\"] in the environment");
            return;
        }
        Gpus::Ids(ids) if u32::try_from(ids.len()).is_ok_and(|n| n >= wanted) => return,
        Gpus::None => (0, "add gpus = \"all\" to its environment"),
        Gpus::Count(n) => (*n, "ask for fewer, or give the environment more"),
        Gpus::Ids(ids) => (u32::try_from(ids.len()).unwrap_or(0), "ask for fewer, or give the environment more"),
    };
    reader.found.error(at, format!("step {name} wants {wanted} GPU(s), and its container has {there}")).hint(hint);
}

/// A step, what it wants of the host, and where that is written.
pub(super) type Wanted = (String, Demand, Vec<(DemandKind, At)>);

/// Notes steps that want more than this machine has.
pub(super) fn look_at_host(demands: &[Wanted], found: &mut Found) {
    let host = crate::host::host();
    for (step, demand, places) in demands {
        for kind in demand.beyond(host) {
            let Some((_, at)) = places.iter().find(|(of, _)| *of == kind) else { continue };
            let words = format!("step {step} wants {}, and this host has {}", demand.words(kind), host.words(kind));
            found.warning(at, words).hint("on this host it can never start");
        }
    }
}

/// Notes what is not there, or is not what it seems.
pub(super) fn look(placed: &Placed, found: &mut Found) {
    for (path, at, words) in &placed.needed {
        match std::fs::canonicalize(path) {
            Ok(real) if words == "the workspace" && !real.is_dir() => {
                found.error(at, format!("{words} is not a folder: {}", path.display()));
            }
            Ok(real) if words != "the workspace" => {
                if let Some(why) = forbidden(&real) {
                    found.error(at, format!("{} cannot be mounted: {why}", path.display()));
                }
            }
            Ok(_) => {}
            Err(error) => {
                found
                    .error(at, format!("{words} cannot be used: {}: {}", path.display(), words_of(&error)))
                    .hint("paths are relative to the folder of the workflow file");
            }
        }
    }
}

fn words_of(error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::NotFound { "no such file or folder".into() } else { error.to_string() }
}

fn mount<'a>(reader: &mut Reader<'a>, item: &Item<'a>, title: &str, base: &Path) -> Option<Mount> {
    let (source, target, readonly) = if item.value.is_str() {
        short(reader, item)?
    } else if item.value.is_table() {
        let section = reader.section(item, Kind::Mount, format!("a mount of {title}"))?;
        long(reader, &section)?
    } else {
        reader.wrong_type(item, "a table or a text like \"data:/data:ro\"", None);
        return None;
    };
    let source = on_host(reader, item, source, base)?;
    if let Some(why) = forbidden(&source) {
        reader
            .found
            .error(&item.at, format!("{} cannot be mounted: {why}", source.display()))
            .hint("mount a folder with data");
        return None;
    }
    let target = inside(reader, item, target)?;
    Some(Mount { source: text_of(&source), target, readonly })
}

fn short<'a>(reader: &mut Reader<'a>, item: &Item<'a>) -> Option<(&'a str, &'a str, bool)> {
    let text = reader.literal(item)?;
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [source, target] | [source, target, "rw"] => Some((source, target, false)),
        [source, target, "ro"] => Some((source, target, true)),
        _ => {
            reader
                .found
                .error(&item.at, "a mount is \"source:target\" or \"source:target:ro\"")
                .hint("a path with a colon: { source = \"…\", target = \"…\", readonly = true }");
            None
        }
    }
}

fn long<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Option<(&'a str, &'a str, bool)> {
    let mut path = |key: &str| {
        let item = section.get(key);
        if item.is_none() {
            reader.found.error(&section.at, format!("{} has no `{key}`", section.title));
        }
        reader.literal(&item?)
    };
    let (source, target) = (path("source"), path("target"));
    let readonly = section.get("readonly").and_then(|item| reader.boolean(&item)).unwrap_or(false);
    Some((source?, target?, readonly))
}

/// A path on this host: `~` is the home folder, the rest is relative to the workflow file's folder.
fn on_host(reader: &mut Reader<'_>, item: &Item<'_>, text: &str, base: &Path) -> Option<PathBuf> {
    let path = match text.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            let Some(home) = home() else {
                reader.found.error(&item.at, "`~` cannot be expanded: HOME is not set").hint("write the whole path");
                return None;
            };
            home.join(rest.trim_start_matches('/'))
        }
        Some(_) => {
            reader.found.error(&item.at, "only `~` and `~/…` are expanded").hint("write the whole path");
            return None;
        }
        None => base.join(text),
    };
    Some(clean(&path))
}

/// A path in the environment.
fn inside(reader: &mut Reader<'_>, item: &Item<'_>, text: &str) -> Option<String> {
    if !text.starts_with('/') {
        reader
            .found
            .error(&item.at, format!("the target of a mount must be an absolute path, not \"{text}\""))
            .hint(format!("write \"/{text}\""));
        return None;
    }
    let target = text_of(&clean(Path::new(text)));
    let system = ["/proc/", "/sys/", "/dev/"].iter().any(|folder| target.starts_with(folder));
    if system || TAKEN.contains(&target.as_str()) {
        reader
            .found
            .error(&item.at, format!("nothing can be mounted at {target}: the environment has its own"))
            .hint("choose a folder of its own, like \"/data\"");
        return None;
    }
    Some(target)
}

/// Why a path of this host must not be visible to steps.
fn forbidden(path: &Path) -> Option<String> {
    for socket in ENGINE_SOCKETS {
        if path.starts_with(socket) || Path::new(socket).starts_with(path) {
            return Some(format!("steps could reach {socket} and with it the whole host"));
        }
    }
    let state = state_folder()?;
    let near = path.starts_with(&state) || state.starts_with(path);
    near.then(|| format!("steps could reach dogwatch's own state in {}", state.display()))
}

fn state_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("DOGWATCH_STATE_DIR")
        .or_else(|| set("XDG_STATE_HOME").map(|folder| folder.join("dogwatch")))
        .or_else(|| home().map(|home| home.join(".local/state/dogwatch")))?;
    Some(std::path::absolute(&folder).map_or(folder, |folder| clean(&folder)))
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// A path without `.` and `..`, by its text alone.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                cleaned.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => cleaned.push(part),
        }
    }
    cleaned
}

fn text_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
