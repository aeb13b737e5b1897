//! The attack list: what is tried from inside the sandbox, what is put there to be found, and who got through.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends here, with the place")]

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use crate::place::{Inside, Place};

/// Whether a probe can succeed outside, so that one which could succeed nowhere is noticed.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Outside {
    /// It does, and harms nothing.
    Succeeds,
    /// It does for root.
    SucceedsAsRoot,
    /// It would harm the host, or means nothing there.
    NotTried,
}
pub(crate) use Outside::{NotTried, Succeeds, SucceedsAsRoot};

/// Name, what it tries (exit code 0: it got through), and whether that works outside. Known to the scripts:
/// `$H` home, `$W` workspace, `$S` state, `$D` the environment's folder, `$T` the test's folder, `$P` the test's process,
/// `$K` the keeper; outside, where it has no number, the test's process again.
pub(crate) const PROBES: &[(&str, &str, Outside)] = &[
    ("read a private key", "grep canary $H/.ssh/id_ed25519", Succeeds),
    ("read a cloud key", "grep canary $H/.aws/credentials", Succeeds),
    ("read a netrc", "grep canary $H/.netrc", Succeeds),
    ("read git's credentials", "grep canary $H/.git-credentials", Succeeds),
    ("read gh's token", "grep canary $H/.config/gh/hosts.yml", Succeeds),
    ("read cargo's token", "grep canary $H/.cargo/credentials.toml", Succeeds),
    ("read a key by the file it is a link to", "grep canary $H/dotfiles/key", Succeeds),
    ("read a folder of credentials by the folder it is a link to", "grep canary $H/kube-elsewhere/config", Succeeds),
    ("write to the home", "touch $H/planted && rm $H/planted", Succeeds),
    ("write to a folder of the home", "touch $H/notes/planted && rm $H/notes/planted", Succeeds),
    ("read the journal", "grep canary $S/journal.db", Succeeds),
    ("read the journal through a link in the workspace", "grep canary $W/to-state/journal.db", Succeeds),
    ("read the secret", "cat $D/secret", Succeeds),
    ("see the keeper's socket", "test -S $D/keeper.sock", Succeeds),
    ("see another step's exit record", "cat $S/runs/k3x9ab/train/0/a1/exit.json", Succeeds),
    ("see another run", "ls $S/runs/other0", Succeeds),
    ("plant a record", "mkdir -p $S/runs/k3x9ab/x && rmdir $S/runs/k3x9ab/x", Succeeds),
    ("reach docker in the home", "test -S $H/engine/docker.sock", Succeeds),
    ("reach docker in the workspace", "test -S $W/docker.sock", Succeeds),
    ("reach an open socket of the home", "test -S $H/editor/server", Succeeds),
    ("reach docker in its usual place", "test -S /run/docker.sock || test -S /var/run/docker.sock", NotTried),
    ("read beside the workspace", "grep canary $T/outside", Succeeds),
    ("write the system", "touch /usr/.probe && rm /usr/.probe", SucceedsAsRoot),
    ("write the configuration", "touch /etc/.probe && rm /etc/.probe", SucceedsAsRoot),
    ("write to the root", "touch /.probe && rm /.probe", SucceedsAsRoot),
    ("write beside the homes", "touch /home/.probe && rm /home/.probe", SucceedsAsRoot),
    ("write to var", "touch /var/lib/.probe && rm /var/lib/.probe", SucceedsAsRoot),
    ("read the passwords", "cat /etc/shadow", SucceedsAsRoot),
    (
        "name the kernel's core program",
        "cat /proc/sys/kernel/core_pattern > $W/c && cat $W/c > /proc/sys/kernel/core_pattern",
        SucceedsAsRoot,
    ),
    (
        "write a setting of the whole kernel",
        "find /proc/sys/vm /proc/sys/fs /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe -maxdepth 1 -type f -writable | grep -q .",
        SucceedsAsRoot,
    ),
    ("press SysRq", "test -w /proc/sysrq-trigger", NotTried),
    (
        "write to the kernel's objects",
        "find /sys/kernel /sys/module -maxdepth 3 -type f -writable 2>/dev/null | grep -q .",
        SucceedsAsRoot,
    ),
    (
        "make a group of processes",
        "find /sys/fs/cgroup -maxdepth 2 -type d -writable 2>/dev/null | grep -q .",
        SucceedsAsRoot,
    ),
    ("remount the system", "mount -o remount,rw,bind /usr", NotTried),
    ("mount", "mount -t tmpfs none $W/mnt && umount $W/mnt", SucceedsAsRoot),
    ("unmount what hides the keys", "umount $H/.ssh || umount -l $H", NotTried),
    ("make a device", "mknod $W/null c 1 3 && rm $W/null", SucceedsAsRoot),
    ("find a disk", "find /dev -type b | grep -q . || find / -xdev -type b 2>/dev/null | grep -q .", NotTried),
    ("get capabilities", "grep -E 'Cap(Eff|Prm|Amb):.*[1-9a-f]' /proc/self/status", SucceedsAsRoot),
    ("gain privileges at all", "grep -q 'NoNewPrivs:.0' /proc/self/status", Succeeds),
    ("signal a process of the host", "kill -0 $P", Succeeds),
    ("see a process of the host", "grep -l -a -r 'real' /proc/$P/cmdline", Succeeds),
    ("read the keeper's environment", "cat /proc/$K/environ", Succeeds),
    ("see the keeper's memory", "cat /proc/$K/maps | grep -q .", Succeeds),
    ("list where the keeper's descriptors lead", "readlink /proc/$K/fd/0", Succeeds),
    (
        "open the keeper's descriptors",
        "for f in /proc/$K/fd/*; do (exec 9<$f) 2>/dev/null && exit 0; done; exit 1",
        Succeeds,
    ),
    ("leave by the keeper's root", "ls /proc/$K/root/", Succeeds),
    ("leave by the keeper's folder", "ls /proc/$K/cwd/", Succeeds),
    ("attach to the keeper", "perl -e 'exit(syscall(101, 16, 1, 0, 0) == 0 ? 0 : 1)'", NotTried),
    ("read dogwatch", "head -c 1 /run/dogwatch/bin/dogwatch", NotTried),
    ("change dogwatch", "chmod 755 /run/dogwatch/bin/dogwatch || echo x >> /run/dogwatch/bin/dogwatch", NotTried),
    (
        "put another dogwatch in its place",
        "mv /run/dogwatch/bin /run/dogwatch/old || mv /run/dogwatch /run/old || rm -f /run/dogwatch/bin/dogwatch",
        NotTried,
    ),
    (
        "find inherited descriptors",
        "for n in 3 4 5 6 7 8 9 10 11 12 13; do test -e /proc/$$/fd/$n && exit 0; done; exit 1",
        NotTried,
    ),
];

/// The same again with the capabilities that a new user namespace gives.
pub(crate) const NESTED: &[(&str, &str)] = &[
    ("write the system after a remount", "mount -o remount,rw,bind /usr; touch /usr/.probe"),
    ("unmount what hides the keys", "umount $H/.ssh; umount -l $H/.ssh; grep canary $H/.ssh/id_ed25519"),
    ("unmount the home", "umount -l $H; grep canary $H/.ssh/id_ed25519"),
    ("bind the home without its covers", "mount --bind $T $W/mnt && grep canary $W/mnt/home/me/.ssh/id_ed25519"),
    ("bind the workspace without its covers", "mount --bind $W $W/mnt && test -S $W/mnt/docker.sock"),
    ("read the state after unmounting", "umount -l $S; grep canary $S/journal.db"),
    (
        "write a kernel setting through a new proc",
        "mount -t proc none $W/mnt && cat $W/mnt/sys/kernel/core_pattern > $W/mnt/sys/kernel/core_pattern",
    ),
    (
        "write a kernel setting after a remount",
        "mount -o remount,rw,bind /proc/sys; cat /proc/sys/kernel/core_pattern > /proc/sys/kernel/core_pattern",
    ),
    ("read the keeper's environment", "cat /proc/1/environ"),
    ("make a device", "mknod $W/null c 1 3 && cat $W/null"),
];

/// Puts into the place what the probes look for.
pub(crate) fn furnish(place: &Place) -> Vec<UnixListener> {
    for (name, text) in [
        ("home/me/.ssh/id_ed25519", "canary"),
        ("home/me/.aws/credentials", "canary"),
        ("home/me/.netrc", "canary"),
        ("home/me/.git-credentials", "canary"),
        ("home/me/.config/gh/hosts.yml", "canary"),
        ("home/me/.config/other/settings", "fine"),
        ("home/me/.cargo/credentials.toml", "canary"),
        ("home/me/.cargo/config.toml", "fine"),
        ("home/me/dotfiles/key", "canary"),
        ("home/me/kube-elsewhere/config", "canary"),
        ("home/me/notes/todo", "fine"),
        ("home/me/.profile", "fine"),
        ("outside", "canary"),
    ] {
        write(&place.path(name), text);
    }
    std::os::unix::fs::symlink(place.path("home/me/dotfiles/key"), place.path("home/me/.ssh/id_rsa")).unwrap();
    std::os::unix::fs::symlink(place.path("home/me/kube-elsewhere"), place.path("home/me/.kube")).unwrap();
    let (state, workspace) = (&place.spec.state_dir, &place.spec.workspace);
    std::os::unix::fs::symlink(state, workspace.join("to-state")).unwrap();
    std::fs::create_dir_all(workspace.join("mnt")).unwrap();
    write(&state.join("journal.db"), "canary");
    write(&state.join("runs/k3x9ab/train/0/a1/exit.json"), "canary");
    write(&state.join("runs/other0/record.md"), "canary");
    let sockets =
        [place.path("home/me/engine/docker.sock"), workspace.join("docker.sock"), place.path("home/me/editor/server")];
    sockets.into_iter().filter_map(|path| listen(&path)).collect()
}

pub(crate) fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// `None` where the path is too long for a socket's address.
pub(crate) fn listen(path: &Path) -> Option<UnixListener> {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    UnixListener::bind(path).ok()
}

/// The probe's script with its names filled in.
pub(crate) fn fill(place: &Place, script: &str) -> String {
    let spec = &place.spec;
    let names = [
        ("H", spec.home.clone().unwrap()),
        ("W", spec.workspace.clone()),
        ("S", spec.state_dir.clone()),
        ("D", spec.dir()),
        ("T", place.path("")),
        ("P", std::process::id().to_string().into()),
        ("K", "1".into()),
    ];
    let set = names.map(|(name, value)| format!("{name}='{}'", value.display().to_string().trim_end_matches('/')));
    format!("{}\n{script}", set.join("\n"))
}

pub(crate) fn outside(place: &Place, script: &str) -> (bool, String) {
    let script = fill(place, &format!("K=$P\n{script}"));
    let output = Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs every probe inside; gives those that got through, with what they printed.
pub(crate) async fn got_through(place: &Place, inside: &Inside) -> Vec<String> {
    let mut through = Vec::new();
    for (name, script, _) in PROBES {
        let (code, output) = inside.sh(&fill(place, script)).await;
        if code == 0 {
            through.push(format!("{name}: {output}"));
        }
    }
    for (name, script) in NESTED {
        let nested = format!(
            "export H W S D T P K; exec unshare --user --map-root-user --mount /bin/sh -c '{}'",
            script.replace('\'', "'\\''")
        );
        let (code, output) = inside.sh(&fill(place, &nested)).await;
        if code == 0 {
            through.push(format!("{name}, in a new user namespace: {output}"));
        }
    }
    through
}

pub(crate) fn expect_none(through: &[String]) {
    assert!(through.is_empty(), "{} probes got through:\n{}", through.len(), through.join("\n"));
}

/// What a step tries against those who started it.
pub(crate) const FROM_A_STEP: &[(&str, &str)] = &[
    ("inherited descriptors", "for n in 3 4 5 6 7 8 9 10 11 12 13; do test -e /proc/$$/fd/$n && exit 0; done; exit 1"),
    ("its shim's environment", "cat /proc/$PPID/environ"),
    ("its shim's descriptors", "for f in /proc/$PPID/fd/*; do (exec 9<$f) 2>/dev/null && exit 0; done; exit 1"),
    ("its shim's folder", "ls /proc/$PPID/cwd/"),
    ("its shim's memory", "head -c 1 /proc/$PPID/maps | grep -q ."),
    ("its shim as a debugger", "perl -e 'exit(syscall(101, 0x4206, $ARGV[0], 0, 0) == 0 ? 0 : 1)' $PPID"),
    ("the keeper as a debugger", "perl -e 'exit(syscall(101, 0x4206, 1, 0, 0) == 0 ? 0 : 1)'"),
    ("its own exit record", "ls $S/runs/k3x9ab/probe"),
];
