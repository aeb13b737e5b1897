//! An environment's life: started once, adopted, killed in every part, and the engine started again from outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends here, with the place")]

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dogwatch::environment::{Error, Handle, Sandbox, Wanted};
use dogwatch::session::AskError;
use dogwatch::wire::keeper::{Ask, Reply};
use rustix::process::{Pid, Signal, kill_process};

use crate::place::{Inside, Place, until};

/// The numbers of all processes that have this word among their arguments.
fn running(word: &Path, also: &str) -> Vec<i32> {
    let word = word.to_str().unwrap();
    let numbers = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
            words.contains(&word.as_bytes()) && words.contains(&also.as_bytes())
        })
        .collect()
}

fn porters(place: &Place) -> Vec<i32> {
    running(&place.spec.dir(), "porter")
}

fn sandboxes(place: &Place) -> Vec<i32> {
    running(&place.spec.work_dir(), "--unshare-pid")
}

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

/// The keeper's number on the host, as the porter noted it.
fn keeper(place: &Place) -> i32 {
    let text = std::fs::read_to_string(place.spec.dir().join("running.json")).unwrap();
    let running: serde_json::Value = serde_json::from_str(&text).unwrap();
    i32::try_from(running["keeper"]["pid"].as_i64().expect("the keeper was noted")).unwrap()
}

async fn ensure(place: &Place) -> Handle {
    Sandbox::new().ensure(&place.spec).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_callers_at_once_get_one_environment() {
    for _ in 0..5 {
        let place = Place::new();
        let callers: Vec<_> = (0..5)
            .map(|_| {
                let spec = place.spec.clone();
                tokio::spawn(async move { Sandbox::new().ensure(&spec).await.unwrap() })
            })
            .collect();
        let mut first: Option<Handle> = None;
        for caller in callers {
            let handle = caller.await.unwrap();
            let Some(first) = &first else {
                Inside::of(&handle).await.sh("echo here > /tmp/mark").await;
                first = Some(handle);
                continue;
            };
            assert_eq!(handle.secret(), first.secret());
            let (_, said) = Inside::of(&handle).await.sh("cat /tmp/mark").await;
            assert_eq!(said, "here\n");
        }
        until("only one porter is left", || porters(&place).len() == 1).await;
        assert_eq!(sandboxes(&place).len(), 1);
    }
}

#[tokio::test]
async fn a_second_engine_adopts_what_lives() {
    let place = Place::new();
    Inside::of(&ensure(&place).await).await.sh("echo here > /tmp/mark").await;
    let again = ensure(&place).await;
    assert_eq!(Inside::of(&again).await.sh("cat /tmp/mark").await.1, "here\n");
    until("only one porter is left", || porters(&place).len() == 1).await;
}

#[tokio::test]
async fn paths_longer_than_a_socket_address_work() {
    let before = short_folders();
    for wanted in [Wanted::Required, Wanted::None] {
        let long = ["with-a-rather-long-name-of-more-than-forty-letters"; 3].join("/");
        let mut place = Place::at(tempfile::tempdir().unwrap(), "project", &long);
        place.spec.wanted = wanted;
        assert!(place.spec.dir().join("keeper.sock").as_os_str().len() > 160);
        let inside = place.start().await;
        assert_eq!(inside.sh("echo well").await, (0, "well\n".into()));
        inside.keeper.ask(Ask::Shutdown { force: false }).await.unwrap();
        Sandbox::remove(&place.spec.dir(), Duration::from_secs(20), false).await.unwrap();
    }
    assert!(short_folders().is_subset(&before), "nothing stays behind in the folder for short paths");
}

/// What lies where the sockets of environments with long paths are.
fn short_folders() -> std::collections::BTreeSet<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let entries = std::fs::read_dir(format!("/tmp/dogwatch-{uid}")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[tokio::test]
async fn a_killed_porter_ends_nothing_and_the_next_engine_brings_another() {
    let place = Place::new();
    let inside = Inside::of(&ensure(&place).await).await;
    kill(porters(&place)[0]);
    until("the porter is gone", || porters(&place).is_empty()).await;
    assert_eq!(inside.sh("echo here > /tmp/mark").await.0, 0);
    let again = Inside::of(&ensure(&place).await).await;
    assert_eq!(again.sh("cat /tmp/mark").await.1, "here\n");
    let log = place.spec.dir().join("porter.log");
    until("a porter watches again", || std::fs::read_to_string(&log).unwrap().contains("lives: watching it")).await;
    kill(keeper(&place));
    until("the new porter saw the end", || place.spec.dir().join("ended").exists()).await;
    assert!(!place.spec.dir().join("keeper.sock").exists());
}

#[tokio::test]
async fn a_killed_bubblewrap_ends_nothing() {
    let place = Place::new();
    let inside = Inside::of(&ensure(&place).await).await;
    // The one that waits outside; the keeper is its child and has another command line.
    kill(sandboxes(&place)[0]);
    until("it is gone", || sandboxes(&place).is_empty()).await;
    assert_eq!(inside.sh("true").await.0, 0);
    assert!(!place.spec.dir().join("ended").exists());
    kill(keeper(&place));
    until("the porter saw the end", || place.spec.dir().join("ended").exists()).await;
}

#[tokio::test]
async fn a_killed_keeper_is_seen_and_a_new_environment_is_started() {
    let place = Place::new();
    let mut inside = Inside::of(&ensure(&place).await).await;
    inside.sh("echo here > /tmp/mark").await;
    let before = keeper(&place);
    kill(before);
    while inside.events.recv().await.is_some() {}
    assert_eq!(inside.keeper.ask(Ask::LookUp { attempts: vec![] }).await, Err(AskError::Gone));
    // At once, while the old one is still being cleaned up.
    let again = Inside::of(&ensure(&place).await).await;
    assert_ne!(again.sh("cat /tmp/mark").await.0, 0, "it is a new one");
    assert_ne!(keeper(&place), before);
    assert_eq!(sandboxes(&place).len(), 1);
}

#[tokio::test]
async fn killed_while_it_starts_it_is_started_again_and_only_once() {
    for after in (0..60).step_by(2) {
        let place = Place::new();
        let spec = place.spec.clone();
        let first = tokio::spawn(async move { Sandbox::new().ensure(&spec).await });
        until("a porter is there", || !porters(&place).is_empty()).await;
        dogwatch::clock::sleep(Duration::from_millis(after)).await;
        porters(&place).into_iter().for_each(kill);
        let inside = Inside::of(&ensure(&place).await).await;
        assert_eq!(inside.sh("true").await.0, 0, "after {after} ms");
        assert_eq!(sandboxes(&place).len(), 1, "after {after} ms");
        drop(first.await.unwrap());
    }
}

#[tokio::test]
async fn shutdown_ends_everything_and_can_be_waited_for() {
    for wanted in [Wanted::Required, Wanted::None] {
        let mut place = Place::new();
        place.spec.wanted = wanted;
        let handle = ensure(&place).await;
        let inside = Inside::of(&handle).await;
        let early = Sandbox::remove(handle.dir(), Duration::from_millis(50), false).await;
        assert!(matches!(early, Err(Error::NotEnded { .. })), "{early:?}");
        assert_eq!(inside.keeper.ask(Ask::Shutdown { force: false }).await.unwrap(), Reply::Done);
        Sandbox::remove(handle.dir(), Duration::from_secs(20), false).await.unwrap();
        assert!(sandboxes(&place).is_empty() && porters(&place).is_empty());
        assert_eq!(std::fs::read_to_string(handle.dir().join("ended")).unwrap(), "exit status: 0\n");
    }
}

#[tokio::test]
async fn a_frozen_keeper_is_left_alone_and_called_silent() {
    let place = Place::new();
    let handle = ensure(&place).await;
    let pid = Pid::from_raw(keeper(&place)).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let silent = Sandbox::new().ensure(&place.spec).await;
    kill_process(pid, Signal::CONT).unwrap();
    assert!(matches!(silent, Err(Error::Silent { .. })), "{silent:?}");
    assert_eq!(Inside::of(&handle).await.sh("true").await.0, 0);
    assert_eq!(sandboxes(&place).len(), 1);
}

#[tokio::test]
async fn a_note_about_another_process_kills_nobody() {
    let place = Place::new();
    let handle = ensure(&place).await;
    let note = handle.dir().join("running.json");
    let true_note = std::fs::read_to_string(&note).unwrap();
    let mut sleep = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let mut forged: serde_json::Value = serde_json::from_str(&true_note).unwrap();
    forged["keeper"]["pid"] = sleep.id().into();
    std::fs::write(&note, forged.to_string()).unwrap();
    let refused = Sandbox::remove(handle.dir(), Duration::ZERO, true).await;
    assert!(matches!(refused, Err(Error::NotEnded { .. })), "{refused:?}");
    assert!(sleep.try_wait().unwrap().is_none(), "a stranger was killed");
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    std::fs::write(&note, true_note).unwrap();
}

/// A dogwatch that notes when it is called as an engine, and is the real one else.
fn noting(place: &Place) -> (PathBuf, PathBuf) {
    let (script, calls) = (place.path("dogwatch"), place.path("calls"));
    let real = env!("CARGO_BIN_EXE_dogwatch");
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = engine ]; then echo \"$@\" >> '{}'; exit 0; fi\nexec '{real}' \"$@\"\n",
        calls.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    (script, calls)
}

fn calls(path: &Path) -> usize {
    std::fs::read_to_string(path).unwrap_or_default().lines().count()
}

/// Starts a step that ends at once, so that the bell rings.
async fn end_a_step(inside: &mut Inside, place: &Place, number: u32) {
    let dir = format!("train/0/a{number}");
    std::fs::create_dir_all(place.spec.run_dir.join(&dir)).unwrap();
    let launch = crate::place::launch(&format!("dw-k3x9ab-train-0-a{number}"), &dir, "exit 0");
    assert_eq!(inside.keeper.ask(launch).await.unwrap(), Reply::Launched);
    while !matches!(inside.events.recv().await, Some(dogwatch::wire::keeper::Event::Exited { .. })) {}
}

#[tokio::test]
async fn an_ending_step_starts_the_engine_unless_it_lives_or_was_stopped() {
    let mut place = Place::new();
    place.spec.wanted = Wanted::None;
    let (script, noted) = noting(&place);
    place.spec.dogwatch = script;
    let state = place.spec.state_dir.clone();
    let lock = std::fs::File::create(state.join("engine.lock")).unwrap();
    rustix::fs::flock(lock.as_fd(), rustix::fs::FlockOperation::LockExclusive).unwrap();
    std::fs::remove_file(state.join("engine.stopped")).unwrap();
    let mut inside = Inside::of(&ensure(&place).await).await;

    end_a_step(&mut inside, &place, 1).await;
    std::fs::write(state.join("engine.stopped"), b"").unwrap();
    drop(lock);
    end_a_step(&mut inside, &place, 2).await;
    assert_eq!(calls(&noted), 0, "it lived, or was stopped");

    std::fs::remove_file(state.join("engine.stopped")).unwrap();
    end_a_step(&mut inside, &place, 3).await;
    until("the engine is started", || calls(&noted) == 1).await;
    let text = std::fs::read_to_string(&noted).unwrap();
    assert_eq!(text, format!("engine run --state-dir {}\n", state.display()));
    std::fs::write(state.join("engine.stopped"), b"").unwrap();
}

#[tokio::test]
async fn without_any_step_the_engine_is_missed_within_seconds() {
    let mut place = Place::new();
    place.spec.wanted = Wanted::None;
    let (script, noted) = noting(&place);
    place.spec.dogwatch = script;
    let _inside = Inside::of(&ensure(&place).await).await;
    std::fs::remove_file(place.spec.state_dir.join("engine.stopped")).unwrap();
    until("the engine is started", || calls(&noted) >= 1).await;
    std::fs::write(place.spec.state_dir.join("engine.stopped"), b"").unwrap();
}

#[tokio::test]
async fn on_a_full_disk_the_engine_is_still_started_and_nothing_new_begins() {
    let mut place = Place::new();
    place.spec.wanted = Wanted::None;
    let (script, noted) = noting(&place);
    place.spec.dogwatch = script;
    let state = place.spec.state_dir.clone();
    let small = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(&state).status();
    if !small.is_ok_and(|status| status.success()) {
        crate::keeper::skip("mounting is not permitted here");
        return;
    }
    let _mounted = Unmount(state.clone());
    // Bound again, so that it is dropped, and its processes ended, before the unmounting.
    let place = place;
    std::fs::create_dir_all(place.spec.run_dir.join("train/0/a1")).unwrap();
    std::fs::write(state.join("engine.stopped"), b"").unwrap();
    let inside = Inside::of(&ensure(&place).await).await;
    let wait = format!("until test -e {}; do sleep 0.02; done", place.path("project/go").display());
    let launched = inside.keeper.ask(crate::place::launch("dw-k3x9ab-train-0-a1", "train/0/a1", &wait)).await;
    assert_eq!(launched, Ok(Reply::Launched));
    until("it runs", || place.spec.run_dir.join("train/0/a1/claim").exists()).await;
    let full = std::fs::write(state.join("fill"), vec![1u8; 4 << 20]).expect_err("it has 1 MiB");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);

    let mut other = place.spec.clone();
    other.name = "other".into();
    let error = Sandbox::new().ensure(&other).await.expect_err("there is no room");
    assert!(error.passes(), "{error}");
    // The porter's own log, too, up to the last byte of its last page: nothing that it says can be written now.
    let mut log = std::fs::OpenOptions::new().append(true).open(place.spec.dir().join("porter.log")).unwrap();
    while std::io::Write::write_all(&mut log, b".").is_ok() {}
    std::fs::remove_file(state.join("engine.stopped")).unwrap();
    std::fs::write(place.path("project/go"), b"").unwrap();
    until("the engine is started", || calls(&noted) >= 1).await;
    assert_eq!(porters(&place).len(), 1, "the porter lives");
    std::fs::write(state.join("engine.stopped"), b"").unwrap();
}

/// Unmounts when the test ends, however it ends.
struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

#[test]
fn folders_for_steps_are_made_through_no_link() {
    let root = tempfile::tempdir().unwrap();
    let (base, elsewhere) = (root.path().join("work"), root.path().join("elsewhere"));
    std::fs::create_dir_all(&base).unwrap();
    std::fs::create_dir_all(&elsewhere).unwrap();
    dogwatch::environment::make_below(&base, Path::new("train/0")).unwrap();
    dogwatch::environment::make_below(&base, Path::new("train/0")).unwrap();
    assert!(base.join("train/0").is_dir());
    std::os::unix::fs::symlink(&elsewhere, base.join("planted")).unwrap();
    for path in ["planted/0", "train/../planted/0", "../elsewhere/0", "/elsewhere/0"] {
        dogwatch::environment::make_below(&base, Path::new(path)).expect_err(path);
    }
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[test]
fn a_porter_that_is_to_watch_starts_nothing() {
    let place = Place::new();
    let dir = place.spec.dir();
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("secret"), [1; 32]).unwrap();
    std::fs::write(dir.join("spec.json"), serde_json::to_string(&place.spec).unwrap()).unwrap();
    let mut porter = std::process::Command::new(env!("CARGO_BIN_EXE_dogwatch"));
    let status = porter.args(["porter", "--watch", "--env-dir"]).arg(&dir).status().unwrap();
    assert!(status.success());
    assert!(!dir.join("keeper.sock").exists() && sandboxes(&place).is_empty());
}

/// Its porter holds the lock a moment longer, on a starved machine for long.
#[test]
fn a_keeper_that_has_just_ended_is_waited_for_until_its_porter_has_seen_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut ended = std::process::Command::new("true").spawn().unwrap();
    ended.wait().unwrap();
    let isolation = dogwatch::environment::Isolation::None { why: "of the test".into() };
    let keeper = serde_json::json!({ "pid": ended.id(), "start": 1, "boot_id": "b" });
    let running = serde_json::json!({ "v": 1, "isolation": isolation, "keeper": keeper });
    std::fs::write(dir.path().join("running.json"), running.to_string()).unwrap();
    let lock = std::fs::File::create(dir.path().join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    let path = dir.path().to_owned();
    let removing = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Sandbox::remove(&path, Duration::ZERO, true))
    });
    assert!(!crate::house::within(500, || removing.is_finished()), "{:?}", removing.join().unwrap());
    drop(lock);
    removing.join().unwrap().unwrap();
}
