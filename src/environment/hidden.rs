//! What no step may see: dogwatch's own state, credentials, other people's homes, the sockets of container engines.
//! Owns the lists; decides nothing about how they are hidden.

use std::path::{Path, PathBuf};

use super::Spec;
use super::aliases::Mounts;

/// In `$HOME`, files and folders alike.
const IN_HOME: &[&str] = &[
    ".ssh",
    ".aws",
    ".azure",
    ".boto",
    ".gnupg",
    ".kube",
    ".docker",
    ".netrc",
    "_netrc",
    ".git-credentials",
    ".npmrc",
    ".yarnrc.yml",
    ".pypirc",
    ".pgpass",
    ".my.cnf",
    ".mylogin.cnf",
    ".s3cfg",
    ".terraformrc",
    ".terraform.d",
    ".vault-token",
    ".password-store",
    ".pki",
    ".oci",
    ".databrickscfg",
    ".snowflake",
    ".kaggle",
    ".modal.toml",
    ".fly",
    ".wandb_api_key",
    ".mozilla",
    ".thunderbird",
    ".electrum",
    ".ethereum",
    ".bitcoin",
    ".anthropic",
    ".claude",
    ".claude.json",
    ".codex",
    ".gemini",
    ".colima",
    ".lima",
    ".minikube",
    ".rd",
    ".bash_history",
    ".zsh_history",
    ".python_history",
    ".psql_history",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".gem/credentials",
    ".m2/settings.xml",
    ".m2/settings-security.xml",
    ".gradle/gradle.properties",
    ".huggingface/token",
    ".cache/huggingface/token",
    ".cache/huggingface/stored_tokens",
    ".composer/auth.json",
    ".config/composer/auth.json",
    ".config/gh",
    ".config/glab-cli",
    ".config/hub",
    ".config/gcloud",
    ".config/rclone",
    ".config/op",
    ".config/sops",
    ".config/age",
    ".config/doctl",
    ".config/hcloud",
    ".config/containers/auth.json",
    ".config/git/credentials",
    ".config/dogwatch",
    ".config/google-chrome",
    ".config/chromium",
    ".config/BraveSoftware",
    ".config/github-copilot",
    ".config/Bitwarden",
    ".config/Bitwarden CLI",
    ".config/1Password",
    ".config/pulumi",
    ".pulumi/credentials.json",
    ".config/uv/credentials",
    ".local/share/keyrings",
    ".local/share/kwalletd",
    ".local/share/containers",
    ".local/share/docker",
    ".local/share/uv/credentials",
    ".local/share/dogwatch",
    ".local/state/dogwatch",
];

/// Folders of `$HOME` in which only what exists at the start is shown, entry by entry: what appears in them while
/// the environment lives (a first `aws configure`) stays outside.
const COMPOSED_IN_HOME: &[&str] = &["", ".config", ".local", ".local/share", ".local/state", ".cargo"];

/// On the host, for those who run everything as root; others are kept out of most of these by their permissions.
const ON_HOST: &[&str] = &[
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/krb5.keytab",
    "/etc/ssl/private",
    "/etc/pki/tls/private",
    "/etc/letsencrypt",
    "/etc/wireguard",
    "/etc/openvpn",
    "/etc/ipsec.secrets",
    "/etc/ppp/chap-secrets",
    "/etc/NetworkManager/system-connections",
    "/etc/kubernetes",
    "/etc/rancher",
    "/etc/docker/key.json",
    "/etc/machine-id.secret",
    "/var/lib/docker",
    "/var/lib/containers",
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/var/lib/rancher",
    "/var/lib/lxc",
    "/var/lib/lxd",
    "/var/lib/incus",
    "/var/snap/lxd",
    "/var/snap/docker",
    "/var/lib/sss/secrets",
    "/var/lib/private",
    "/var/lib/cloud",
    "/var/lib/NetworkManager",
    "/var/lib/systemd/coredump",
    "/var/backups",
    "/var/spool/cron",
    "/var/spool/mail",
    "/var/mail",
    "/var/crash",
];

/// Parents of homes. Only the caller's own home is shown in them.
pub(super) const HOMES: &[&str] = &["/home", "/root", "/var/home", "/usr/home", "/export/home"];

/// Sockets by which whoever reaches them owns the host; looked for by name wherever the host has them open.
const ENGINE_SOCKETS: &[&str] = &[
    "docker.sock",
    "podman.sock",
    "containerd.sock",
    "crio.sock",
    "buildkitd.sock",
    "docker-cli.sock",
    "dockerd.sock",
    "cri-dockerd.sock",
];

/// The lists, resolved on this host for one specification.
pub(super) struct Hidden {
    /// Existing paths without symbolic links that nobody inside may see.
    paths: Vec<PathBuf>,
    /// Folders that are always shown entry by entry.
    composed: Vec<PathBuf>,
    state: Vec<PathBuf>,
}

impl Hidden {
    pub(super) fn on_this_host(spec: &Spec) -> Self {
        let home = spec
            .home
            .as_deref()
            .and_then(|home| home.canonicalize().ok())
            .filter(|home| home.as_path() != Path::new("/"));
        let mounts = Mounts::of_this_host();
        let mut named: Vec<PathBuf> = ON_HOST.iter().map(PathBuf::from).collect();
        named.extend(host_keys());
        named.extend(sockets(spec, home.as_deref()));
        named.extend(
            std::env::var_os("DOCKER_HOST").and_then(|host| Some(host.to_str()?.strip_prefix("unix://")?.into())),
        );
        if let Some(home) = &home {
            let own: Vec<PathBuf> = IN_HOME.iter().map(|name| home.join(name)).collect();
            named.extend(own.iter().flat_map(|folder| linked_from(folder, home)));
            named.extend(own);
        }
        let mut paths: Vec<PathBuf> = named.iter().flat_map(|path| every_name(path, &mounts)).collect();
        let state = every_name(&spec.state_dir, &mounts);
        paths.extend(state.iter().cloned());
        paths.sort();
        paths.dedup();
        let composed = home.iter().flat_map(|home| COMPOSED_IN_HOME.iter().map(|name| home.join(name))).collect();
        Self { paths, composed, state }
    }

    /// Is this path hidden itself?
    pub(super) fn is(&self, path: &Path) -> bool {
        self.paths.iter().any(|hidden| hidden == path)
    }

    /// Is this path hidden, or something above it?
    pub(super) fn covers(&self, path: &Path) -> bool {
        self.paths.iter().any(|hidden| path.starts_with(hidden))
    }

    /// Must this folder be shown entry by entry?
    pub(super) fn is_composed(&self, folder: &Path) -> bool {
        let homes = HOMES
            .iter()
            .any(|home| Path::new(home) != folder && Path::new(home).starts_with(folder) && Path::new(home).is_dir());
        homes || self.composed.iter().any(|path| path.starts_with(folder)) || self.below(folder).next().is_some()
    }

    /// What is hidden strictly inside a folder, outermost only.
    pub(super) fn below<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = &'a Path> {
        self.paths.iter().map(PathBuf::as_path).filter(move |hidden| {
            *hidden != folder
                && hidden.starts_with(folder)
                && !self.paths.iter().any(|outer| {
                    outer != hidden && outer != folder && outer.starts_with(folder) && hidden.starts_with(outer)
                })
        })
    }

    /// Is this dogwatch's own state?
    pub(super) fn is_state(&self, path: &Path) -> bool {
        self.state.iter().any(|state| state == path)
    }
}

fn host_keys() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/etc/ssh") else { return Vec::new() };
    let keys = entries.flatten().map(|entry| entry.path());
    keys.filter(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with("ssh_host_") && name.ends_with("_key")
    })
    .collect()
}

/// The path if it exists, what it leads to if it is a link, and all other names of that: hiding one of them would
/// leave the thing itself.
fn every_name(path: &Path, mounts: &Mounts) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> = std::fs::symlink_metadata(path).map(|_| path.to_owned()).into_iter().collect();
    if let Ok(real) = path.canonicalize() {
        names.extend(mounts.aliases(&real));
        names.push(real);
    }
    names
}

/// Files of the same home to which the entries of a credential folder are links, as those who keep their
/// configuration in a repository have them. Only files: a link to a folder may lead to half of the home.
fn linked_from(folder: &Path, home: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let goals = entries.filter(|path| path.is_symlink()).filter_map(|path| path.canonicalize().ok());
    goals.filter(|goal| goal.is_file() && goal.starts_with(home)).collect()
}

/// Sockets that are open now: those of container engines wherever they lie, and every one in `$HOME` outside the
/// folders that are given to the steps. A read-only mount does not keep anybody from connecting.
fn sockets(spec: &Spec, home: Option<&Path>) -> Vec<PathBuf> {
    let Ok(table) = std::fs::read_to_string("/proc/net/unix") else { return Vec::new() };
    let given = |path: &Path| {
        path.starts_with(&spec.workspace) || spec.mounts.iter().any(|mount| path.starts_with(&mount.source))
    };
    let paths = table.lines().filter_map(|line| line.find('/').map(|at| PathBuf::from(&line[at..])));
    paths
        .filter(|path| {
            let engine =
                path.file_name().and_then(|name| name.to_str()).is_some_and(|name| ENGINE_SOCKETS.contains(&name));
            engine || (home.is_some_and(|home| path.starts_with(home)) && !given(path))
        })
        .collect()
}
