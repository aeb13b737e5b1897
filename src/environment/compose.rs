//! The sandbox's root, put together mount by mount: a specification becomes bubblewrap's arguments.
//! Reads the host's folders, changes nothing, starts nothing. May never show a folder that was not decided on here:
//! it begins with nothing (`--tmpfs /`) and adds, for `--ro-bind / /` lets a step that runs as root remount the host.
//!
//! Mounts happen in the order of the arguments, and a later one covers an earlier one. So:
//! 1. the empty root, the system folders, `/proc`, `/sys`, `/dev`, fresh `/run` and `/tmp`;
//! 2. `$HOME`, read-only, without what is hidden;
//! 3. workspace and declared mounts, outermost first: they may lie inside 1 and 2 and must cover them;
//! 4. what is hidden inside those: it must cover 3 again, or `workspace = $HOME` would bring `.ssh` back;
//! 5. the run's `work/` folder, which lies inside the hidden state, and dogwatch's own runtime folder;
//! 6. at last the composed folders become read-only: until then bubblewrap makes mount points in them.
//!
//! Where something below a folder is hidden, the folder is *composed*: an empty one in which every other entry is
//! bound by itself. A cover mounted over a file would be gone as soon as the host replaces that file by a rename
//! (every `passwd`, every `git credential-store`): measured, the new file was readable inside. Covers are used only
//! where steps may write and nothing can be composed.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use super::hidden::{HOMES, Hidden};
use super::{Error, Mount, Spec};

/// What every sandbox is started with; the trial uses the same.
pub(super) const NAMESPACES: &[&str] =
    &["--unshare-pid", "--as-pid-1", "--unshare-ipc", "--unshare-uts", "--cap-drop", "ALL"];

/// The folder of dogwatch's own things inside.
pub(super) const RUNTIME: &str = "/run/dogwatch";

/// The binary's path inside, and its folder, in which it is alone: steps have that in their `PATH`.
pub(super) const BINARY: &str = "/run/dogwatch/bin/dogwatch";
pub(super) const BIN: &str = "/run/dogwatch/bin";

/// Host devices that are passed when they are there, besides bubblewrap's minimal `/dev`.
const DEVICES: &[&str] = &["dri", "kfd", "dxg", "infiniband"];

/// In a new `/proc`: what root could command or read although it has no capability left, for these check only the
/// user id. (Measured: without them a step that runs as root wrote `/proc/sys/kernel/core_pattern`, which names a
/// program that the kernel runs as root *outside*.) bubblewrap covers only those that `access` calls writable.
const PROC_READ_ONLY: &[&str] = &["/proc/sys", "/proc/sysrq-trigger", "/proc/fs", "/proc/dynamic_debug"];
const PROC_EMPTY: &[&str] = &["/proc/acpi", "/proc/asound", "/proc/scsi"];
const PROC_BLANK: &[&str] =
    &["/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/sched_debug", "/proc/kallsyms"];

/// In `/sys`, for the same reason: the firmware's tables, and what traces or steers the whole kernel.
const SYS_EMPTY: &[&str] =
    &["/sys/firmware", "/sys/kernel/debug", "/sys/kernel/tracing", "/sys/kernel/config", "/sys/fs/bpf"];

/// Refuses, with words, what can never be honoured.
pub(super) fn check(spec: &Spec) -> Result<(), Error> {
    let refuse = |why: String| Err(Error::Refused(why));
    let workspace = real(&spec.workspace, "the workspace")?;
    let state = real(&spec.state_dir, "dogwatch's state folder")?;
    if workspace == Path::new("/") {
        return refuse("the workspace is the root folder; name the project's own folder".into());
    }
    if workspace.starts_with(&state) {
        return refuse(format!(
            "the workspace {} lies inside dogwatch's own state ({})",
            workspace.display(),
            state.display()
        ));
    }
    let hidden = Hidden::on_this_host(spec);
    spec.mounts.iter().try_for_each(|mount| check_mount(mount, &spec.workspace, &state, &hidden))
}

fn check_mount(mount: &Mount, workspace: &Path, state: &Path, hidden: &Hidden) -> Result<(), Error> {
    let refuse = |why: String| Err(Error::Refused(why));
    let (given, target) = (mount.source.display(), mount.target.display());
    let source = real(&mount.source, "the mount's source")?;
    if source.starts_with(state) || mount.target.starts_with(state) || mount.target.starts_with(RUNTIME) {
        return refuse(format!("the mount {given} -> {target} would show dogwatch's own state"));
    }
    if std::fs::metadata(&source).is_ok_and(|meta| meta.file_type().is_socket()) {
        return refuse(format!("the mount {given} is a socket; whoever reaches it commands its owner"));
    }
    // A step may have put the link there, to be given what it leads to by the next run.
    let leads = source.display();
    if mount.source.starts_with(workspace) && !source.starts_with(real(workspace, "the workspace")?) {
        return refuse(format!(
            "the mount {given} leads out of the workspace, to {leads}; name that itself if it is meant"
        ));
    }
    if hidden.covers(&source) && !hidden.covers(&mount.source) {
        return refuse(format!("the mount {given} leads to credentials ({leads}); name that itself if it is meant"));
    }
    if !mount.target.is_absolute() || mount.target.components().any(|part| part == Component::ParentDir) {
        return refuse(format!("the mount's target {target} is not an absolute path without `..`"));
    }
    if ["/", "/proc", "/sys", "/dev", "/run"].map(Path::new).contains(&mount.target.as_path()) {
        return refuse(format!("nothing can be mounted on {target}"));
    }
    Ok(())
}

fn real(path: &Path, what: &'static str) -> Result<PathBuf, Error> {
    if !path.is_absolute() {
        return Err(Error::Refused(format!("{what} {} is not an absolute path", path.display())));
    }
    path.canonicalize().map_err(|error| Error::Refused(format!("{what} {}: {error}", path.display())))
}

/// bubblewrap's arguments up to the command. `binary` is the dogwatch that is shown inside, `blank` an empty file.
pub(super) fn arguments(spec: &Spec, binary: &Path, blank: &Path) -> Result<Vec<OsString>, Error> {
    let hidden = Hidden::on_this_host(spec);
    let mut root =
        Root { args: NAMESPACES.iter().map(OsString::from).collect(), sealed: Vec::new(), hidden: &hidden, blank };
    root.system();
    root.kernel();
    root.fresh();
    root.home(spec);
    root.grants(spec)?;
    root.own(spec, binary)?;
    Ok(root.finish())
}

/// The arguments so far.
struct Root<'a> {
    args: Vec<OsString>,
    /// Composed folders that become read-only at the end.
    sealed: Vec<PathBuf>,
    hidden: &'a Hidden,
    blank: &'a Path,
}

impl Root<'_> {
    fn add(&mut self, words: &[&OsStr]) {
        self.args.extend(words.iter().map(OsString::from));
    }

    fn pair(&mut self, option: &str, source: &Path, target: &Path) {
        self.add(&[option.as_ref(), source.as_ref(), target.as_ref()]);
    }

    fn tmpfs(&mut self, target: &Path, mode: u32) {
        let mode = format!("{mode:04o}");
        self.add(&["--perms".as_ref(), mode.as_ref(), "--tmpfs".as_ref(), target.as_ref()]);
    }

    /// From here on, what was mounted at or below this path cannot be seen any more, nor made read-only.
    fn cover(&mut self, target: &Path) {
        self.sealed.retain(|folder| !folder.starts_with(target));
    }

    /// An empty folder that steps cannot write to in the end.
    fn sealed(&mut self, target: &Path, mode: u32) {
        self.tmpfs(target, mode);
        self.sealed.push(target.to_owned());
    }

    fn system(&mut self) {
        self.sealed(Path::new("/"), 0o755);
        for entry in entries(Path::new("/")) {
            // Files in `/` are swap files and other droppings; the rest of these is made new below.
            let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let apart = ["proc", "sys", "dev", "run", "tmp", "lost+found"].contains(&name.as_str());
            if !apart && !entry.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
                self.show(&entry, &entry);
            }
        }
    }

    fn kernel(&mut self) {
        self.add(&["--proc".as_ref(), "/proc".as_ref()]);
        if rustix::process::geteuid().is_root() {
            for path in PROC_READ_ONLY.iter().map(Path::new).filter(|path| path.exists()) {
                self.pair("--ro-bind", path, path);
            }
            for path in PROC_EMPTY.iter().map(Path::new).filter(|path| path.exists()) {
                self.sealed(path, 0o555);
            }
            let blank = self.blank.to_owned();
            for path in PROC_BLANK.iter().map(Path::new).filter(|path| path.exists()) {
                self.pair("--ro-bind", &blank, path);
            }
        }
        self.pair("--ro-bind", Path::new("/sys"), Path::new("/sys"));
        if rustix::process::geteuid().is_root() {
            for path in SYS_EMPTY.iter().map(Path::new).filter(|path| path.exists()) {
                self.sealed(path, 0o555);
            }
        }
        self.add(&["--dev".as_ref(), "/dev".as_ref()]);
        self.tmpfs(Path::new("/dev/shm"), 0o1777);
        for device in entries(Path::new("/dev")) {
            let name = device.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("nvidia") || DEVICES.contains(&name.as_str()) {
                self.pair("--dev-bind-try", &device, &device);
            }
        }
    }

    fn fresh(&mut self) {
        self.tmpfs(Path::new("/run"), 0o755);
        self.tmpfs(Path::new("/run/lock"), 0o1777);
        self.tmpfs(Path::new("/tmp"), 0o1777);
        if let Some((source, target)) = resolver() {
            self.pair("--ro-bind-try", &source, &target);
        }
        // NixOS keeps its programs and drivers behind these.
        for link in ["/run/current-system", "/run/booted-system", "/run/opengl-driver"].map(Path::new) {
            if let Ok(goal) = std::fs::read_link(link) {
                self.pair("--symlink", &goal, link);
            }
        }
    }

    fn home(&mut self, spec: &Spec) {
        let home = spec.home.as_deref().and_then(|home| home.canonicalize().ok());
        if let Some(home) =
            home.filter(|home| HOMES.iter().any(|parent| home.starts_with(parent)) || home.starts_with("/tmp"))
        {
            self.cover(&home);
            self.folder(&home, &home);
        }
    }

    fn grants(&mut self, spec: &Spec) -> Result<(), Error> {
        let workspace = real(&spec.workspace, "the workspace")?;
        let mut grants = vec![Mount { source: workspace.clone(), target: workspace.clone(), writable: true }];
        for mount in &spec.mounts {
            let source = real(&mount.source, "the mount's source")?;
            grants.push(Mount { source, target: through_links(&mount.target), writable: mount.writable });
        }
        grants.sort_by_key(|mount| mount.target.components().count());
        for Mount { source, target, writable } in grants {
            self.cover(&target);
            match (writable, source.is_dir()) {
                (true, _) => self.writable(&source, &target),
                (false, true) => self.folder(&source, &target),
                (false, false) => self.pair("--ro-bind", &source, &target),
            }
        }
        if !Path::new("/workspace").exists() {
            self.pair("--symlink", &workspace, Path::new("/workspace"));
        }
        Ok(())
    }

    /// Binds a folder so that steps may write to it, and covers what is hidden inside.
    fn writable(&mut self, source: &Path, target: &Path) {
        self.pair("--bind", source, target);
        let hidden: Vec<PathBuf> = self.hidden.below(source).map(Path::to_owned).collect();
        for path in hidden {
            let inside = target.join(path.strip_prefix(source).unwrap_or(&path));
            let Ok(meta) = path.symlink_metadata() else { continue };
            if self.hidden.is_state(&path) {
                self.pin(source, target, &path);
                self.sealed(&inside, 0o700);
            } else if meta.is_dir() {
                self.tmpfs(&inside, 0o700);
            } else if !meta.is_symlink() {
                let blank = self.blank.to_owned();
                self.pair("--ro-bind", &blank, &inside);
            }
        }
    }

    /// Makes every folder between a writable one and the state in it a mount point: a mount point cannot be renamed,
    /// so a step cannot move the state away and put its own in that place.
    fn pin(&mut self, source: &Path, target: &Path, state: &Path) {
        let between: Vec<&Path> = state.ancestors().skip(1).take_while(|path| *path != source).collect();
        for path in between.into_iter().rev() {
            let inside = target.join(path.strip_prefix(source).unwrap_or(path));
            self.pair("--bind", path, &inside);
        }
    }

    fn own(&mut self, spec: &Spec, binary: &Path) -> Result<(), Error> {
        // Once more, wherever it lies: nothing of the state but this one folder is ever there.
        let (state, work) =
            (real(&spec.state_dir, "dogwatch's state folder")?, real(&spec.work_dir(), "the run's folder")?);
        self.cover(&state);
        self.sealed(&state, 0o700);
        self.pair("--bind", &work, &work);
        // A mount, for a plain folder could be renamed and another one put in its place.
        self.tmpfs(Path::new(RUNTIME), 0o700);
        self.sealed(Path::new(BIN), 0o755);
        self.pair("--ro-bind", binary, Path::new(BINARY));
        Ok(())
    }

    fn finish(mut self) -> Vec<OsString> {
        for folder in std::mem::take(&mut self.sealed) {
            self.add(&["--remount-ro".as_ref(), folder.as_ref()]);
        }
        self.add(&["--chdir".as_ref(), "/".as_ref()]);
        self.args
    }

    /// Shows one entry of the host, read-only, as what it is.
    fn show(&mut self, source: &Path, target: &Path) {
        let Ok(meta) = source.symlink_metadata() else { return };
        if meta.is_symlink() {
            let Ok(goal) = std::fs::read_link(source) else { return };
            self.pair("--symlink", &goal, target);
        } else if meta.is_dir() {
            match source.to_str() {
                Some("/var/tmp") => self.tmpfs(target, 0o1777),
                Some("/var/run" | "/var/lock") => self.tmpfs(target, 0o755),
                Some(name) if HOMES.contains(&name) => self.sealed(target, 0o755),
                _ => self.folder(source, target),
            }
        } else if meta.is_file() {
            self.pair("--ro-bind-try", source, target);
        }
    }

    /// Shows a folder: whole, or entry by entry where something in it is hidden.
    fn folder(&mut self, source: &Path, target: &Path) {
        let listed = std::fs::read_dir(source).is_ok();
        if !listed || !self.hidden.is_composed(source) {
            // One that cannot be listed by us cannot be entered by a step either: it has our user and less rights.
            return self.pair("--ro-bind-try", source, target);
        }
        let mode = source.metadata().map_or(0o755, |meta| meta.permissions().mode() & 0o755);
        self.sealed(target, mode);
        for entry in entries(source) {
            let inside = target.join(entry.file_name().unwrap_or_default());
            if !self.hidden.is(&entry) {
                self.show(&entry, &inside);
            } else if self.hidden.is_state(&entry) {
                self.sealed(&inside, 0o700);
            } else if entry.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
                // Its own empty folder, so that tools which insist on writing there do not stumble.
                self.tmpfs(&inside, 0o700);
            }
        }
    }
}

/// The entries of a folder in a stable order.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// `/etc/resolv.conf` where it leads into `/run`, which is fresh inside: what it leads to, and where that must be.
fn resolver() -> Option<(PathBuf, PathBuf)> {
    let mut at = PathBuf::from("/etc/resolv.conf");
    let source = at.canonicalize().ok()?;
    for _ in 0..8 {
        let goal = std::fs::read_link(&at).ok()?;
        at = tidy(&at.parent().unwrap_or(Path::new("/")).join(goal));
        if let Ok(rest) = at.strip_prefix("/var/run") {
            at = Path::new("/run").join(rest);
        }
        if at.starts_with("/run") {
            return Some((source, at));
        }
    }
    None
}

/// Takes `.` and `..` out of a path by its letters.
fn tidy(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut tidy, part| {
        if part == Component::ParentDir {
            tidy.pop();
        } else if part != Component::CurDir {
            tidy.push(part);
        }
        tidy
    })
}

/// The path with the links of its existing part resolved: mounts cannot be made through links of a root to be.
fn through_links(path: &Path) -> PathBuf {
    let existing = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let Some((above, real)) = existing else { return path.to_owned() };
    path.strip_prefix(above)
        .map_or_else(|_| path.to_owned(), |rest| if rest.as_os_str().is_empty() { real } else { real.join(rest) })
}
