//! A home, a workspace, a state folder and a run of their own for one test; ends what it started.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends here, with the place")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use dogwatch::environment::{Handle, Sandbox, Spec, Wanted};
use dogwatch::session::Keeper;
use dogwatch::wire::keeper::{self as wire, Ask, Event, Launch, Reply};
use tokio::sync::mpsc;

/// Everything of one test lies below one folder.
pub(crate) struct Place {
    pub(crate) root: tempfile::TempDir,
    pub(crate) spec: Spec,
}

impl Place {
    /// `root/home/me`, `root/project`, `root/state`.
    pub(crate) fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap(), "project", "state")
    }

    /// With the workspace and the state where the test wants them, relative to the root.
    pub(crate) fn at(root: tempfile::TempDir, workspace: &str, state: &str) -> Self {
        let path = root.path().canonicalize().unwrap();
        let (workspace, state) = (path.join(workspace), path.join(state));
        let run = state.join("runs/k3x9ab");
        for folder in [&path.join("home/me"), &workspace, &run] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let mut spec = Spec::new(&run, &state, &workspace, &dogwatch());
        spec.home = Some(path.join("home/me"));
        spec.wanted = Wanted::Required;
        // No engine is to be started by a porter unless the test is about that.
        std::fs::write(state.join("engine.stopped"), b"").unwrap();
        Self { root, spec }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(name)
    }

    pub(crate) async fn start(&self) -> Inside {
        let handle = Sandbox::new().ensure(&self.spec).await.unwrap();
        Inside::of(&handle).await
    }
}

/// The binary under test; a copy where this user could not reach the one that cargo built.
pub(crate) fn dogwatch() -> PathBuf {
    std::env::var_os("DOGWATCH_TEST_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_dogwatch").into(), PathBuf::from)
}

impl Drop for Place {
    fn drop(&mut self) {
        let dir = self.spec.dir();
        // A thread of its own: drops happen inside a runtime, too.
        let ended = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(Sandbox::remove(&dir, Duration::ZERO, true))
        });
        if let Err(error) = ended.join().unwrap() {
            assert!(std::thread::panicking(), "left behind: {error}");
            eprintln!("left behind: {error}");
        }
    }
}

/// A connection to the keeper, for probes.
pub(crate) struct Inside {
    pub(crate) keeper: Keeper,
    pub(crate) events: mpsc::Receiver<Event>,
}

impl Inside {
    pub(crate) async fn of(handle: &Handle) -> Self {
        let (keeper, events) = Keeper::connect(handle.dir(), handle.secret(), 1).await.unwrap();
        Self { keeper, events }
    }

    /// Runs a shell script inside; its exit code and what it printed.
    pub(crate) async fn sh(&self, script: &str) -> (i32, String) {
        let argv = vec!["/bin/sh".into(), "-c".into(), script.into()];
        let path = std::env::var("PATH").unwrap();
        let env = BTreeMap::from([("PATH".into(), path)]);
        let reply = self.keeper.ask(Ask::Run { argv, env, cwd: "/".into(), timeout_ms: 20_000 }).await.unwrap();
        let Reply::Ran { code, output, .. } = reply else { panic!("{reply:?}") };
        (code, output)
    }
}

impl Inside {
    /// Runs a shell script as a step of its own, to its end.
    pub(crate) async fn step(&mut self, place: &Place, name: &str, script: &str) {
        let (key, dir) = (format!("dw-k3x9ab-{name}-0-a1"), format!("{name}/0/a1"));
        std::fs::create_dir_all(place.spec.run_dir.join(&dir)).unwrap();
        assert_eq!(self.keeper.ask(launch(&key, &dir, script)).await.unwrap(), Reply::Launched);
        loop {
            let event = tokio::time::timeout(Duration::from_secs(20), self.events.recv()).await;
            let event = event.unwrap_or_else(|_| panic!("{key} does not end")).expect("the keeper lives");
            assert!(!matches!(&event, Event::ShimGone { key: gone, .. } if *gone == key), "{event:?}");
            if matches!(event, Event::Exited { key: ended } if ended == key) {
                return;
            }
        }
    }
}

/// A step that runs a shell script.
pub(crate) fn launch(key: &str, dir: &str, script: &str) -> Ask {
    Ask::Launch(Box::new(Launch {
        place: wire::Place { key: key.into(), dir: dir.into() },
        argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
        env: BTreeMap::from([("PATH".into(), std::env::var("PATH").unwrap())]),
        cwd: "/".into(),
        rows: 40,
        cols: 120,
        mac_key: "09".repeat(32),
        epoch: 1,
        log_half: 1 << 20,
        secrets: dogwatch::wire::secrets::Secrets::default(),
    }))
}

/// Waits until `condition` holds; panics with `what` after 20 s.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = dogwatch::clock::boottime_ms() + 20_000;
    while !condition() {
        assert!(dogwatch::clock::boottime_ms() < deadline, "not within 20 s: {what}");
        dogwatch::clock::sleep(Duration::from_millis(5)).await;
    }
}
