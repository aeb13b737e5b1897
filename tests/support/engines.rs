//! Container engines of the tests' own: a dockerd and a Podman service with their own sockets, data and images. Both end
//! with the test process, however that ends: a guard holds the other end of a pipe and removes everything then.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, OnceLock};

use crate::house::{is_alive, signal, until, within};
use crate::registry::Registry;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Docker,
    Podman,
}

/// One container engine with the images of the tests in it.
pub(crate) struct Engine {
    pub(crate) kind: Kind,
    root: PathBuf,
    /// Ends everything when its standard input ends.
    guard: Mutex<Child>,
    daemon: Mutex<Option<Child>>,
    live_restore: bool,
    /// Its daemon is `nobody`'s.
    rootless: bool,
    /// Where it may pull from.
    pub(crate) registry: Registry,
}

/// Kills what belongs to `$1` in its files, unmounts what lies below it, removes it.
const CLEAN: &str = r#"
for file in $(find "$1" \( -name init.pid -o -name pidfile -o -name conmon.pid -o -name '*.pid' \) 2>/dev/null); do
    kill -9 "$(cat "$file")" 2>/dev/null
done
for process in /proc/[0-9]*; do
    [ "${process#/proc/}" = $$ ] && continue
    tr '\0' ' ' <"$process/cmdline" 2>/dev/null | grep -qF -- "$1/" && kill -9 "${process#/proc/}" 2>/dev/null
done
sleep 0.2
grep -F " $1/" /proc/mounts | cut -d' ' -f2 | sort -r | while read -r at; do umount -l "$at" 2>/dev/null; done
rm -rf "$1"
"#;

/// What every test of one kind can share; it is neither frozen nor restarted.
pub(crate) fn shared(kind: Kind) -> &'static Engine {
    static DOCKER: OnceLock<Engine> = OnceLock::new();
    static PODMAN: OnceLock<Engine> = OnceLock::new();
    match kind {
        Kind::Docker => DOCKER.get_or_init(|| Engine::start(kind, false)),
        Kind::Podman => PODMAN.get_or_init(|| Engine::start(kind, false)),
    }
}

impl Engine {
    /// One of its own, for a test that does something to it.
    pub(crate) fn start(kind: Kind, live_restore: bool) -> Self {
        Self::start_as(kind, live_restore, false)
    }

    /// Podman without root: the service of `nobody`, whose only number is the root of its containers.
    pub(crate) fn start_without_root() -> Self {
        Self::start_as(Kind::Podman, false, true)
    }

    fn start_as(kind: Kind, live_restore: bool, rootless: bool) -> Self {
        // Images are large, and `/tmp` is memory on many machines.
        let root = tempfile::Builder::new().prefix("dwe").tempdir_in("/var/tmp").expect("a directory").keep();
        std::fs::set_permissions(&root, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("an open folder");
        if rootless {
            for folder in ["home", "run", "tmp", "data", "exec"] {
                std::fs::create_dir(root.join(folder)).expect("a folder");
            }
            // The layers of an image are copied: without root not every kernel lays them over each other.
            std::fs::write(root.join("driver"), "vfs").expect("its driver");
            let own = Command::new("chown").args(["-R", "65534:65534"]).arg(&root).status().expect("chown");
            assert!(own.success(), "only root gives its files away");
        }
        let guard = Command::new("setsid")
            .args(["sh", "-c", &format!("read -r _; {CLEAN}"), "guard"])
            .arg(&root)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a guard");
        let engine = Self {
            kind,
            root,
            guard: Mutex::new(guard),
            daemon: Mutex::new(None),
            live_restore,
            rootless,
            registry: Registry::open(),
        };
        engine.begin();
        engine.import(
            "bb:1",
            &["busybox"],
            &[
                "sh", "ls", "cat", "echo", "sleep", "id", "env", "kill", "ps", "dd", "sort", "touch", "grep", "find",
                "nc", "hostname",
            ],
        );
        // One static program and nothing else: no shell, no folder.
        engine.import("one:1", &["echo"], &[]);
        engine
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.root.join("api.sock")
    }

    /// As a value of `DOCKER_HOST`.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Starts the daemon and waits until it answers.
    pub(crate) fn begin(&self) {
        let overlay = if self.kind == Kind::Docker { "overlay2" } else { "overlay" };
        // A daemon that is started anew must find what it had.
        let chosen = std::fs::read_to_string(self.root.join("driver")).ok();
        let tried = chosen.as_deref().map_or_else(|| vec![overlay, "vfs"], |chosen| vec![chosen]);
        for driver in tried {
            let mut daemon = self.command(driver).spawn().unwrap_or_else(|error| {
                panic!("{:?} is needed by these tests (apt-get install docker.io podman runc): {error}", self.kind)
            });
            let mut ended = false;
            let answers = within(30_000, || {
                ended = daemon.try_wait().is_ok_and(|status| status.is_some());
                ended || self.cli(&["version"]).status.success()
            });
            if answers && !ended {
                std::fs::set_permissions(self.socket(), std::os::unix::fs::PermissionsExt::from_mode(0o666))
                    .expect("an open socket");
                std::fs::write(self.root.join("daemon.pid"), daemon.id().to_string()).expect("its number");
                std::fs::write(self.root.join("driver"), driver).expect("its driver");
                *self.daemon.lock().expect("nobody died with it") = Some(daemon);
                return;
            }
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        panic!("{:?} does not start:\n{}", self.kind, self.log());
    }

    fn command(&self, driver: &str) -> Command {
        let path = |name: &str| self.root.join(name).display().to_string();
        let log = std::fs::File::options().append(true).create(true).open(self.root.join("log")).expect("a log");
        let mut command = match self.kind {
            Kind::Docker => {
                let mut command = Command::new("dockerd");
                command.args(["--host", &self.host(), "--data-root", &path("data"), "--exec-root", &path("exec")]);
                command.args(["--pidfile", &path("dockerd.pid"), "--storage-driver", driver]);
                command.args(["--iptables=false", "--bridge=none"]);
                if self.live_restore {
                    command.arg("--live-restore");
                }
                command
            }
            Kind::Podman => {
                let storage = self.root.join("storage.conf");
                let text = format!(
                    "[storage]\ndriver = \"{driver}\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
                    path("data"),
                    path("exec")
                );
                std::fs::write(&storage, text).expect("a configuration");
                let mut command = self.podman();
                // It leaves what it was given to import.
                std::fs::create_dir_all(path("tmp")).expect("a folder");
                command.env("TMPDIR", path("tmp"));
                let registries = self.root.join("registries.conf");
                let text = format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", self.registry.name());
                std::fs::write(&registries, text).expect("a configuration");
                command.env("CONTAINERS_STORAGE_CONF", storage).env("CONTAINERS_REGISTRIES_CONF", registries);
                command.args(["--cgroup-manager", "cgroupfs", "--runtime", "runc", "--tmpdir", &path("tmp")]);
                command.args(["system", "service", "--time", "0", &self.host()]);
                command
            }
        };
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        command
    }

    fn podman(&self) -> Command {
        if !self.rootless {
            return Command::new("podman");
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "podman"]).current_dir(&self.root);
        command.env("HOME", self.root.join("home")).env("XDG_RUNTIME_DIR", self.root.join("run"));
        command
    }

    pub(crate) fn log(&self) -> String {
        let text = std::fs::read_to_string(self.root.join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    pub(crate) fn pid(&self) -> i32 {
        let text = std::fs::read_to_string(self.root.join("daemon.pid")).expect("its number");
        text.trim().parse().expect("a number")
    }

    /// Ends the daemon by this signal and waits for it; containers are another matter.
    pub(crate) fn end(&self, by: rustix::process::Signal) {
        signal(self.pid(), by);
        let daemon = self.daemon.lock().expect("nobody died with it").take();
        daemon.expect("it was started").wait().expect("it is collected");
        // Docker's containerd is killed with a killed daemon. Where nobody collects it, the next daemon would take it for
        // alive and wait for it.
        let containerd = self.root.join("exec/containerd/containerd.pid");
        if let Some(pid) = std::fs::read_to_string(&containerd).ok().and_then(|text| text.trim().parse().ok()) {
            until("containerd has ended, too", || !is_alive(pid));
            let _ = std::fs::remove_file(containerd);
        }
    }

    /// Docker's own command line; Podman's service understands it, too.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", self.host()).args(arguments).stdin(Stdio::null());
        command.output().expect("docker.io is installed")
    }

    #[track_caller]
    pub(crate) fn said(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", crate::house::words(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The containers with this state folder's label, also those that have ended.
    pub(crate) fn containers(&self, state: &Path) -> Vec<String> {
        let filter = format!("label=dogwatch.state={}", state.display());
        let said = self.said(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter]);
        said.lines().map(str::to_owned).collect()
    }

    /// The networks with this state folder's label.
    pub(crate) fn networks(&self, state: &Path) -> Vec<String> {
        let filter = format!("label=dogwatch.state={}", state.display());
        let said = self.said(&["network", "ls", "--quiet", "--no-trunc", "--filter", &filter]);
        said.lines().map(str::to_owned).collect()
    }

    /// What was kept of environments of this state folder: images without a name.
    pub(crate) fn images(&self, state: &Path) -> Vec<String> {
        let filter = format!("label=dogwatch.state={}", state.display());
        let said = self.said(&["images", "--quiet", "--no-trunc", "--filter", &filter]);
        said.lines().map(str::to_owned).collect()
    }

    /// An image with this host's own python3 and shell, under the name of a public one. From Debian's packages.
    pub(crate) fn import_python(&self, image: &str) {
        let script = r#"
            cd /
            libraries() { ldd "$1" | grep -o '/[^ ]*' ; }
            found=$(command -v /usr/bin/python3 || command -v python3)
            python=$(readlink -f "$found")
            stdlib=$("$found" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
            modules=$(find "$stdlib/lib-dynload" -name '*.so')
            list=$( { for one in "$python" /bin/sh $modules; do libraries "$one"; done; } | sort -u)
            # By no path that leads through a link: the archive has the links themselves.
            real=$(for one in $list; do echo "$(readlink -f "${one%/*}")/${one##*/}"; readlink -f "$one"; done | sort -u)
            exec tar -c --exclude=__pycache__ --exclude=test --exclude=dist-packages --exclude=site-packages --exclude=config-* \
                $(for link in bin sbin lib lib64; do [ -L "/$link" ] && echo "$link"; done) \
                "${python#/}" "${found#/}" usr/bin/sh usr/bin/dash "${stdlib#/}" $(echo "$real" | cut -c2-)
        "#;
        let tar = Command::new("sh").args(["-c", script]).stdin(Stdio::null()).stderr(Stdio::null()).output();
        let tar = tar.expect("a shell").stdout;
        assert!(tar.len() > 1_000_000, "python3 is installed");
        self.import_archive(image, &tar);
    }

    /// An image with busybox under these names in `/bin`, and links to the first of them.
    fn import(&self, image: &str, programs: &[&str], links: &[&str]) {
        let folder = tempfile::tempdir().expect("a folder");
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin).expect("a folder");
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
        for program in programs {
            std::fs::copy(busybox.expect("busybox-static is installed"), bin.join(program)).expect("a program");
        }
        for link in links {
            std::os::unix::fs::symlink(programs[0], bin.join(link)).expect("a link");
        }
        let tar = Command::new("tar").arg("-C").arg(folder.path()).args(["-c", "."]).output().expect("tar");
        self.import_archive(image, &tar.stdout);
    }

    fn import_archive(&self, image: &str, archive: &[u8]) {
        let mut import = Command::new("docker")
            .env("DOCKER_HOST", self.host())
            .args(["import", "--change", "ENV COLOUR=green", "-", image])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("docker.io is installed");
        import.stdin.take().expect("a pipe").write_all(archive).expect("an archive");
        assert!(import.wait().is_ok_and(|status| status.success()), "{image} is not imported: {}", self.log());
    }
}

impl Drop for Engine {
    /// The shared ones are never dropped: their guards see the end of the process.
    fn drop(&mut self) {
        if let Ok(mut guard) = self.guard.lock() {
            drop(guard.stdin.take());
            let _ = guard.wait();
        }
    }
}
