//! What no step may see: dogwatch's own state, credentials, other people's homes, the sockets of container engines.
//! Owns the lists; decides nothing about how they are hidden.

use std::path::{Path, PathBuf};

use super::Spec;

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
const ENGINE_SOCKETS: &[&str] =
    &["docker.sock", "podman.sock", "containerd.sock", "crio.sock", "buildkitd.sock", "docker-cli.sock", "dockerd.sock", "cri-dockerd.sock"];

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
        let home = spec.home.as_deref().and_then(|home| home.canonicalize().ok()).filter(|home| home.as_path() != Path::new("/"));
        let mut found: Vec<PathBuf> = ON_HOST.iter().map(PathBuf::from).collect();
        found.extend(host_keys());
        found.extend(engine_sockets());
        found.extend(std::env::var_os("DOCKER_HOST").and_then(|host| Some(host.to_str()?.strip_prefix("unix://")?.into())));
        if let Some(home) = &home {
            found.extend(IN_HOME.iter().map(|name| home.join(name)));
        }
        let state: Vec<PathBuf> = spec.state_dir.canonicalize().into_iter().collect();
        let mut paths: Vec<PathBuf> = Vec::new();
        for path in found.into_iter().chain(state.iter().cloned()) {
            // Both the link and what it stands for: hiding the name alone would leave the thing.
            if let Ok(real) = path.canonicalize()
                && real != path
            {
                paths.push(real);
            }
            if std::fs::symlink_metadata(&path).is_ok() {
                paths.push(path);
            }
        }
        paths.sort();
        paths.dedup();
        let composed = home.iter().flat_map(|home| COMPOSED_IN_HOME.iter().map(|name| home.join(name))).collect();
        Self { paths, composed, state }
    }

    /// Is this path hidden itself?
    pub(super) fn is(&self, path: &Path) -> bool {
        self.paths.iter().any(|hidden| hidden == path)
    }

    /// Must this folder be shown entry by entry?
    pub(super) fn is_composed(&self, folder: &Path) -> bool {
        let homes = HOMES.iter().any(|home| Path::new(home) != folder && Path::new(home).starts_with(folder) && Path::new(home).is_dir());
        homes || self.composed.iter().any(|path| path.starts_with(folder)) || self.below(folder).next().is_some()
    }

    /// What is hidden strictly inside a folder, outermost only.
    pub(super) fn below<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = &'a Path> {
        self.paths.iter().map(PathBuf::as_path).filter(move |hidden| {
            *hidden != folder
                && hidden.starts_with(folder)
                && !self.paths.iter().any(|outer| outer != hidden && outer != folder && outer.starts_with(folder) && hidden.starts_with(outer))
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

/// Every container engine's socket that is open now, wherever it lies.
fn engine_sockets() -> Vec<PathBuf> {
    let Ok(table) = std::fs::read_to_string("/proc/net/unix") else { return Vec::new() };
    let paths = table.lines().filter_map(|line| line.find('/').map(|at| PathBuf::from(&line[at..])));
    paths.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| ENGINE_SOCKETS.contains(&name))).collect()
}
