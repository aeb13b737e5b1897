//! What a step can reach from inside the sandbox, tried with the real bubblewrap, as root and as an ordinary user.

use std::path::{Path, PathBuf};
use std::process::Command;

use dogwatch::environment::{Error, Isolation, Mount, Sandbox, Wanted};
use dogwatch::session::{AskError, Keeper};
use dogwatch::wire::keeper::{Ask, Event, Reply, StopReason};

use crate::place::{Inside, Place};
use crate::probes::{FROM_A_STEP, PROBES, Succeeds, SucceedsAsRoot};
use crate::probes::{expect_none, fill, furnish, got_through, is_root, listen, outside, write};

#[tokio::test]
async fn no_probe_gets_through_and_each_works_outside() {
    let place = Place::new();
    let _sockets = furnish(&place);
    let inside = place.start().await;
    for (name, script, control) in PROBES {
        if *control == Succeeds || (*control == SucceedsAsRoot && is_root()) {
            let (worked, said) = outside(&place, script);
            assert!(worked, "the probe \"{name}\" cannot succeed even outside: {said}");
        }
    }
    expect_none(&got_through(&place, &inside).await);
}

#[tokio::test]
async fn what_a_step_needs_is_there() {
    let mut place = Place::new();
    let _sockets = furnish(&place);
    write(&place.path("data/rows.csv"), "1,2");
    write(&place.path("out/old"), "x");
    place.spec.mounts = vec![
        Mount { source: place.path("data"), target: "/data/in".into(), writable: false },
        Mount { source: place.path("out"), target: place.path("out"), writable: true },
    ];
    // A bare system may know no names at all.
    let names_of_hosts = if Path::new("/etc/hosts").exists() { "getent hosts localhost" } else { "true" };
    let inside = place.start().await;
    for (what, script) in [
        ("write to the workspace", "echo made > $W/made"),
        ("the workspace by its short name", "test -f /workspace/made"),
        ("write to the run's own folder", "echo made > $S/runs/k3x9ab/work/made"),
        ("read the home", "test \"$(cat $H/notes/todo)\" = fine && test \"$(cat $H/.profile)\" = fine"),
        (
            "read harmless settings beside credentials",
            "test \"$(cat $H/.config/other/settings)\" = fine && cat $H/.cargo/config.toml",
        ),
        ("read a mount", "test \"$(cat /data/in/rows.csv)\" = 1,2"),
        ("not write to a read-only mount", "! touch /data/in/x"),
        ("write to a writable mount", "echo made > $T/out/made"),
        (
            "temporary files",
            "mktemp && mktemp -p /var/tmp && test \"$(stat -c %a /tmp)\" = 1777 && test \"$(stat -c %a /dev/shm)\" = 1777",
        ),
        ("shared memory", "head -c 80000000 /dev/zero > /dev/shm/big && rm /dev/shm/big"),
        ("devices", "head -c 8 /dev/urandom && echo x > /dev/null && test -c /dev/ptmx"),
        ("names of hosts", names_of_hosts),
        ("processes of its own", "ls -d /proc/[0-9]*"),
        ("its own empty .ssh", "touch $H/.ssh/known_hosts"),
        ("its user", "test \"$(id -u)\" = \"$(stat -c %u $W)\""),
        ("be the first process's child", "test \"$(cat /proc/1/comm)\" = dogwatch"),
    ] {
        let (code, output) = inside.sh(&fill(&place, script)).await;
        assert_eq!(code, 0, "{what}: {output}");
    }
    assert_eq!(std::fs::read_to_string(place.path("project/made")).unwrap(), "made\n");
    assert_eq!(std::fs::read_to_string(place.path("out/made")).unwrap(), "made\n");
    assert_eq!(std::fs::read_to_string(place.spec.work_dir().join("made")).unwrap(), "made\n");
    assert!(!place.path("home/me/.ssh/known_hosts").exists(), "what a step writes to its .ssh stays inside");
}

#[tokio::test]
async fn a_step_gets_nothing_of_its_shim_or_the_keeper() {
    let place = Place::new();
    let mut inside = place.start().await;
    for (number, (name, script)) in FROM_A_STEP.iter().enumerate() {
        let filled = fill(&place, &format!("({script}) > $W/said 2>&1; echo $? > $W/code"));
        inside.step(&place, &format!("probe{number}"), &filled).await;
        let code = std::fs::read_to_string(place.path("project/code")).unwrap();
        let said = std::fs::read_to_string(place.path("project/said")).unwrap();
        assert_ne!(code, "0\n", "{name}: {said}");
        std::fs::remove_file(place.path("project/code")).unwrap();
    }
}

#[tokio::test]
async fn a_person_can_attach_to_a_step_in_the_sandbox() {
    let mut place = Place::new();
    place.spec.tmux = ["/usr/bin/tmux", "/usr/local/bin/tmux", "/bin/tmux"]
        .iter()
        .map(Into::into)
        .find(|path: &PathBuf| path.exists());
    let mut inside = place.start().await;
    let key = "dw-k3x9ab-talk-0-a1";
    std::fs::create_dir_all(place.spec.run_dir.join("talk/0/a1")).unwrap();
    let script =
        fill(&place, "read line; echo \"got $line\" > $W/got; cat /proc/self/oom_score_adj > $W/oom; sleep 60");
    let launched = inside.keeper.ask(crate::place::launch(key, "talk/0/a1", &script)).await;
    assert_eq!(launched, Ok(Reply::Launched));
    while !matches!(inside.events.recv().await, Some(Event::Claimed { .. })) {}
    let open = Ask::OpenSession { key: key.into(), rows: 24, cols: 80, readonly: false };
    let pty = inside.keeper.ask_pty(open).await.expect("a session");
    rustix::io::write(&pty, b"hello\r").unwrap();
    crate::place::until("the step got the line", || {
        std::fs::read_to_string(place.path("project/got")).is_ok_and(|got| got == "got hello\n")
    })
    .await;
    crate::place::until("it noted its score", || {
        std::fs::read_to_string(place.path("project/oom")).is_ok_and(|got| got == "500\n")
    })
    .await;
    let shell = Ask::OpenPty { argv: vec!["/bin/sh".into()], env: [].into(), cwd: "/".into(), rows: 24, cols: 80 };
    let shell = inside.keeper.ask_pty(shell).await.expect("a shell");
    rustix::io::write(&shell, fill(&place, "echo beside > $W/beside\r").replace('\n', "\r").as_bytes()).unwrap();
    crate::place::until("the shell runs", || place.path("project/beside").exists()).await;
    let stop = Ask::Stop { key: key.into(), grace_ms: 100, reason: StopReason::Stop, save: None };
    inside.keeper.ask(stop).await.unwrap();
}

#[tokio::test]
async fn no_debugger_is_quick_enough_for_a_new_shim() {
    let place = Place::new();
    let mut inside = place.start().await;
    // Tries to seize every process of dogwatch that it sees; notes how often it tried, and whom it got.
    let hunter = "perl -e '
        my ($tries, $got) = (0, 0); my %mine = ($$ => 1, getppid() => 1);
        until (-e \"$ARGV[0]/stop\") {
            opendir(my $d, \"/proc\"); my @new = grep { /^\\d+$/ && !$mine{$_} } readdir($d); closedir($d);
            for my $pid (@new) {
                open(my $c, \"<\", \"/proc/$pid/comm\") or next; my $comm = <$c> // \"\"; close($c);
                next unless $comm =~ /^(exe|dogwatch)$/;
                $tries++;
                next if syscall(101, 0x4206, int($pid), 0, 0) != 0;
                syscall(101, 0x4207, int($pid), 0, 0); waitpid($pid, 0x40000000);
                my $exe = readlink(\"/proc/$pid/exe\") // \"\";
                $got++ if $exe =~ /dogwatch$/;
                syscall(101, 17, int($pid), 0, 0);
            }
        }
        open(my $f, \">\", \"$ARGV[0]/hunted\"); print $f \"$tries $got\"; close($f);' $W";
    let key = "dw-k3x9ab-hunter-0-a1";
    std::fs::create_dir_all(place.spec.run_dir.join("hunter/0/a1")).unwrap();
    let launched = inside.keeper.ask(crate::place::launch(key, "hunter/0/a1", &fill(&place, hunter))).await;
    assert_eq!(launched, Ok(Reply::Launched));
    for number in 0..60 {
        inside.step(&place, &format!("prey{number}"), "exit 0").await;
    }
    write(&place.path("project/stop"), "");
    crate::place::until("the hunter has ended", || place.path("project/hunted").exists()).await;
    crate::place::until("it wrote", || !std::fs::read_to_string(place.path("project/hunted")).unwrap().is_empty())
        .await;
    let result = std::fs::read_to_string(place.path("project/hunted")).unwrap();
    let (tries, got) = result.split_once(' ').unwrap();
    assert!(tries.parse::<u64>().unwrap() > 100, "the hunter hardly tried: {result}");
    assert_eq!(got, "0", "a shim was seized; tries and successes: {result}");
}

#[tokio::test]
async fn the_whole_home_as_workspace_brings_no_credential_back() {
    let place = Place::at(tempfile::tempdir().unwrap(), "home/me", "home/me/.local/state/dogwatch");
    let _sockets = furnish(&place);
    let inside = place.start().await;
    // The home is the workspace now: to write to it, and to see its other sockets, is what was asked for.
    let wanted = ["write to the home:", "write to a folder of the home:", "reach an open socket of the home:"];
    let through: Vec<String> = got_through(&place, &inside)
        .await
        .into_iter()
        .filter(|probe| !wanted.iter().any(|name| probe.starts_with(name)))
        .collect();
    expect_none(&through);
    assert_eq!(inside.sh(&fill(&place, "touch $H/x && test -f $H/.profile")).await.0, 0, "the workspace is writable");
}

#[tokio::test]
async fn a_state_inside_the_workspace_stays_hidden_and_in_its_place() {
    let place = Place::at(tempfile::tempdir().unwrap(), "project", "project/deep/er/state");
    let _sockets = furnish(&place);
    let inside = place.start().await;
    expect_none(&got_through(&place, &inside).await);
    for script in ["mv $W/deep/er/state $W/x", "mv $W/deep/er $W/x", "mv $W/deep $W/x", "rm -rf $W/deep"] {
        let (code, output) = inside.sh(&fill(&place, script)).await;
        assert_ne!(code, 0, "{script} moved the state away: {output}");
    }
    assert!(place.spec.state_dir.join("journal.db").exists());
    assert_eq!(inside.sh(&fill(&place, "echo x > $S/runs/k3x9ab/work/x && echo x > $W/deep/x")).await.0, 0);
}

#[tokio::test]
async fn credentials_that_appear_or_are_replaced_later_stay_hidden() {
    let place = Place::new();
    write(&place.path("home/me/.netrc"), "canary");
    write(&place.path("home/me/.config/other/settings"), "fine");
    let inside = place.start().await;
    write(&place.path("home/me/.netrc.lock"), "canary");
    std::fs::rename(place.path("home/me/.netrc.lock"), place.path("home/me/.netrc")).unwrap();
    write(&place.path("home/me/.aws/credentials"), "canary");
    write(&place.path("home/me/.config/gh/hosts.yml"), "canary");
    for name in [".netrc", ".aws/credentials", ".config/gh/hosts.yml"] {
        let (code, output) = inside.sh(&fill(&place, &format!("cat $H/{name}"))).await;
        assert_ne!(code, 0, "{name} can be read: {output}");
    }
}

#[tokio::test]
async fn a_credential_folder_has_no_second_name() {
    let place = Place::new();
    write(&place.path("home/me/.aws/credentials"), "canary");
    std::fs::create_dir_all(place.path("project/second")).unwrap();
    let (source, second) = (place.path("home/me"), place.path("project/second"));
    if rustix::mount::mount_bind(&source, &second).is_err() {
        crate::keeper::skip("mounting is not permitted here");
        return;
    }
    let inside = place.start().await;
    let (code, output) = inside.sh(&fill(&place, "ls -a $W/second/; cat $W/second/.aws/credentials")).await;
    drop(inside);
    rustix::mount::unmount(&second, rustix::mount::UnmountFlags::DETACH).unwrap();
    assert!(output.contains(".aws"), "the second name is seen at all: {output}");
    assert_ne!(code, 0, "{output}");
}

#[tokio::test]
async fn what_can_never_be_honoured_is_refused_with_words() {
    let place = Place::new();
    let sandbox = Sandbox::new();
    let socket = place.path("some.sock");
    let _listener = listen(&socket);
    let mount =
        |source: &Path, target: &str| Mount { source: source.to_owned(), target: target.into(), writable: false };
    let state = place.spec.state_dir.clone();
    write(&place.path("home/me/.aws/credentials"), "canary");
    std::os::unix::fs::symlink(place.path("home/me/.aws"), place.path("project/planted")).unwrap();
    std::os::unix::fs::symlink(place.path("home/me/.aws"), place.path("elsewhere")).unwrap();
    for (words, workspace, mounts) in [
        ("lies inside dogwatch's own state", place.spec.run_dir.clone(), vec![]),
        ("the workspace is the root folder", "/".into(), vec![]),
        ("No such file", place.path("nowhere"), vec![]),
        ("is not an absolute path", "project".into(), vec![]),
        ("would show dogwatch's own state", place.path("project"), vec![mount(&state, "/s")]),
        ("would show dogwatch's own state", place.path("project"), vec![mount(&state.join("runs"), "/s")]),
        ("would show dogwatch's own state", place.path("project"), vec![mount(&place.path("home"), "/run/dogwatch/x")]),
        ("leads out of the workspace", place.path("project"), vec![mount(&place.path("project/planted"), "/s")]),
        ("leads to credentials", place.path("project"), vec![mount(&place.path("elsewhere"), "/s")]),
        ("is a socket", place.path("project"), vec![mount(&socket, "/s")]),
        ("without `..`", place.path("project"), vec![mount(&place.path("home"), "/a/../b")]),
        ("nothing can be mounted on /proc", place.path("project"), vec![mount(&place.path("home"), "/proc")]),
    ] {
        let mut spec = place.spec.clone();
        (spec.workspace, spec.mounts) = (workspace, mounts);
        let error = sandbox.ensure(&spec).await.expect_err(words).to_string();
        assert!(error.contains(words), "{error:?} does not say {words:?}");
    }
    assert!(!place.spec.dir().join("keeper.sock").exists(), "nothing was started");
}

#[tokio::test]
async fn without_bubblewrap_required_refuses_and_auto_says_so() {
    let mut place = Place::new();
    let sandbox = Sandbox::looking_in(Some("/nonexistent".into()));
    let refused = sandbox.ensure(&place.spec).await.expect_err("there is no bubblewrap");
    assert!(
        matches!(refused, Error::NotIsolated { .. }) && refused.to_string().contains("apt-get install bubblewrap"),
        "{refused}"
    );
    assert!(!place.spec.dir().join("keeper.sock").exists(), "nothing was started");
    place.spec.wanted = Wanted::Auto;
    let handle = sandbox.ensure(&place.spec).await.unwrap();
    let Isolation::None { why } = handle.isolation() else { panic!("{:?}", handle.isolation()) };
    assert!(why.contains("bubblewrap is not installed"), "{why}");
    let inside = Inside::of(&handle).await;
    assert_eq!(inside.sh(&fill(&place, "kill -0 $P")).await.0, 0, "it runs on the host");
}

#[tokio::test]
async fn a_bubblewrap_that_fails_is_a_reason_not_a_sandbox() {
    let mut place = Place::new();
    let fake = place.path("bin/bwrap");
    write(&fake, "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n");
    std::fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let sandbox = Sandbox::looking_in(Some(place.path("bin").into()));
    let refused = sandbox.ensure(&place.spec).await.expect_err("it does not work").to_string();
    assert!(refused.contains("No permissions to create new namespace"), "{refused}");
    place.spec.wanted = Wanted::None;
    let handle = sandbox.ensure(&place.spec).await.unwrap();
    assert_eq!(handle.isolation(), &Isolation::None { why: "the workflow says isolation = \"none\"".into() });
}

#[tokio::test]
async fn a_secret_of_another_environment_opens_nothing() {
    let place = Place::new();
    let handle = Sandbox::new().ensure(&place.spec).await.unwrap();
    let error = Keeper::connect(handle.dir(), &[0; 32], 1).await.expect_err("the secret is wrong");
    assert!(!matches!(error, dogwatch::session::Error::Unreachable { .. }), "{error}");
    let inside = Inside::of(&handle).await;
    assert!(!matches!(inside.keeper.ask(Ask::LookUp { attempts: vec![] }).await, Err(AskError::Gone)));
}

#[test]
fn all_of_it_holds_for_an_ordinary_user() {
    if !is_root() {
        eprintln!("this is an ordinary user already");
        return;
    }
    let setpriv = ["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"];
    let user = |words: &[&str]| {
        Command::new("setpriv")
            .args(setpriv)
            .args(words)
            .current_dir("/")
            .env("HOME", "/nonexistent")
            .env_remove("TMPDIR")
            .output()
    };
    let trial = user(&["bwrap", "--ro-bind", "/", "/", "--unshare-pid", "--proc", "/proc", "true"]).unwrap();
    if !trial.status.success() {
        let why = String::from_utf8_lossy(&trial.stderr).into_owned();
        crate::keeper::skip(&format!("no namespaces for ordinary users here: {why}"));
        return;
    }
    // The folder that this was built in may be closed to others.
    let open = tempfile::tempdir().unwrap();
    std::fs::set_permissions(open.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (me, binary) = (open.path().join("real"), open.path().join("dogwatch"));
    std::fs::copy(std::env::current_exe().unwrap(), &me).unwrap();
    // By another process: a child that some other test starts at this moment would hold what is written open for writing,
    // and what is open so cannot be started.
    let copied = Command::new("cp").args([env!("CARGO_BIN_EXE_dogwatch").as_ref(), binary.as_os_str()]).status();
    assert!(copied.is_ok_and(|status| status.success()), "the binary is copied");
    let variable = format!("DOGWATCH_TEST_BINARY={}", binary.display());
    let words =
        ["env", &variable, me.to_str().unwrap(), "sandbox::", "--skip", "ordinary_user", "--skip", "second_name"];
    let output = user(&words).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let passed = text.split_once(" passed;").and_then(|(before, _)| before.rsplit(' ').next()?.parse::<usize>().ok());
    assert!(passed.is_some_and(|passed| passed >= 8), "{text}");
}
