//! Whether this machine gives a sandbox: found out by making one, not by reading settings.
//! Owns the question and the advice; may never answer "yes" without a trial that worked.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::{Error, Isolation, Wanted, compose};

/// What the trial found, in words where it did not work.
#[derive(Debug, Clone)]
pub(super) enum Trial {
    Works(PathBuf),
    Fails(String),
}

/// Decides from the wish and the trial. `Auto` never hides why there is no sandbox.
pub(super) fn decide(wanted: Wanted, trial: Option<&Trial>) -> Result<Isolation, Error> {
    match (wanted, trial) {
        (Wanted::None, _) => Ok(Isolation::None { why: "the workflow says isolation = \"none\"".into() }),
        (Wanted::Auto | Wanted::Required, Some(Trial::Works(bwrap))) => {
            Ok(Isolation::Sandboxed { bwrap: bwrap.clone() })
        }
        (Wanted::Auto, Some(Trial::Fails(why))) => Ok(Isolation::None { why: why.clone() }),
        (Wanted::Required, Some(Trial::Fails(why))) => Err(Error::NotIsolated { why: why.clone() }),
        (Wanted::Auto | Wanted::Required, None) => {
            Err(Error::NotIsolated { why: "nobody tried whether it works".into() })
        }
    }
}

/// Makes a sandbox with the same namespaces and a few of the same mounts, and runs `true` in it.
pub(super) async fn run(search: Option<&std::ffi::OsStr>) -> Trial {
    let Some(bwrap) = find("bwrap", search) else {
        return Trial::Fails(
            "bubblewrap is not installed; install it, e.g. `apt-get install bubblewrap` or `dnf install bubblewrap`"
                .into(),
        );
    };
    let mut command = tokio::process::Command::new(&bwrap);
    command.args(compose::NAMESPACES).args(["--ro-bind", "/", "/", "--perms", "1777", "--tmpfs", "/tmp"]);
    command.args(["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/tmp", "--", "/bin/sh", "-c", "exit 0"]);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    match tokio::time::timeout(Duration::from_secs(10), command.output()).await {
        Ok(Ok(output)) if output.status.success() => Trial::Works(bwrap),
        Ok(Ok(output)) => Trial::Fails(explain(&bwrap, String::from_utf8_lossy(&output.stderr).trim())),
        Ok(Err(error)) => Trial::Fails(format!("{} cannot be started: {error}", bwrap.display())),
        Err(_) => Trial::Fails(format!("{} did not end within 10 s in a trial", bwrap.display())),
    }
}

/// The program of this name on a search path (`$PATH`).
pub(super) fn find(name: &str, search: Option<&std::ffi::OsStr>) -> Option<PathBuf> {
    std::env::split_paths(search?)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() && path.is_file())
}

/// What bubblewrap said, and the setting that most likely stands behind it.
fn explain(bwrap: &Path, said: &str) -> String {
    let mut why = format!("{} does not work here ({said})", bwrap.display());
    for (file, bad, advice) in SETTINGS {
        if std::fs::read_to_string(file).is_ok_and(|value| value.trim() == *bad) {
            why.push_str("; ");
            why.push_str(advice);
        }
    }
    if said.contains("Unknown option") {
        why.push_str("; it is too old: bubblewrap 0.5 or newer is needed");
    } else if std::fs::exists("/.dockerenv").unwrap_or(false) || std::fs::exists("/run/.containerenv").unwrap_or(false)
    {
        why.push_str("; this is a container: it would have to be started with permission to make namespaces");
    }
    why
}

/// A kernel setting, the value that forbids namespaces, and what to do about it.
const SETTINGS: &[(&str, &str, &str)] = &[
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "user namespaces are off: `sudo sysctl -w kernel.unprivileged_userns_clone=1`",
    ),
    (
        "/proc/sys/user/max_user_namespaces",
        "0",
        "user namespaces are off: `sudo sysctl -w user.max_user_namespaces=15000`",
    ),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor restricts user namespaces: give bwrap a profile with `userns,`, or `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`",
    ),
];
