//! The shim with real processes: one run per attempt, a whole log, a true end, whatever happens around it.

use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use dogwatch::attempt::{self, record};
use dogwatch::wire::keeper::{Event, Launch, Place, Reply, StopReason};
use dogwatch::wire::shim::{End, Order, spoken};

use crate::house::kill;
use crate::keeper::{Engine, Keep, MAC_KEY, launch, now_ms, place, until};

/// A shim without a keeper, on the attempt directory `dir`.
struct Bare {
    child: Child,
    /// What the keeper would hold.
    _link: UnixStream,
}

impl Bare {
    fn start(dir: &Path, launch: Launch, env: &[(&str, &str)]) -> Self {
        let socket = dir.join(format!("s{}", launch.place.key)).to_string_lossy().into_owned();
        let order = Order { v: spoken().newest, launch, control_key: "00".repeat(32), socket };
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&serde_json::to_vec(&order).expect("an order")).expect("a file");
        file.rewind().expect("a file");
        let (ours, theirs) = UnixStream::pair().expect("a socket");
        let child = Command::new(env!("CARGO_BIN_EXE_dogwatch"))
            .arg("shim")
            .envs(env.iter().copied())
            .stdin(Stdio::from(File::open(dir).expect("a directory")))
            .stdout(Stdio::from(file))
            .stderr(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .expect("the shim starts");
        Self { child, _link: ours }
    }
}

fn pid_of_shim(keep: &Keep, place: &Place) -> i32 {
    let claim = std::fs::read_to_string(keep.path(place).join("claim/claim.json")).expect("a claim");
    let claim: serde_json::Value = serde_json::from_str(&claim).expect("a claim");
    claim["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a pid")
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// Is a process with this word in its arguments alive?
fn alive(word: &str) -> bool {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    entries.flatten().any(|entry| {
        let is_zombie = std::fs::read_to_string(entry.path().join("stat")).is_ok_and(|stat| stat.contains(") Z "));
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        !is_zombie && String::from_utf8_lossy(&arguments).split('\0').any(|argument| argument == word)
    })
}

#[test]
fn an_exit_code_and_the_whole_output_are_on_disk() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    assert_eq!(engine.launch(launch("a", "echo one; echo two >&2; exit 7")), Reply::Launched);
    engine.wait_exited(&place("a"));
    let record = keep.exit(&place("a")).expect("a record");
    assert_eq!((record.end, record.stop, record.leaked), (End::Code(7), None, vec![]));
    assert_eq!(keep.log_text(&place("a")), "one\r\ntwo\r\n");
    assert_eq!(record.log_bytes, 10);
}

#[test]
fn a_signal_is_told_as_a_signal() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    engine.launch(launch("a", "kill -11 $$"));
    engine.wait_exited(&place("a"));
    assert_eq!(keep.exit(&place("a")).expect("a record").end, End::Signal(11));
}

#[test]
fn binary_output_is_in_the_log_byte_by_byte() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    let data: Vec<u8> = (0..3_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect();
    std::fs::write(keep.dir.path().join("data"), &data).expect("data");
    engine.launch(launch("a", &format!("stty raw; cat {}/data", keep.dir.path().display())));
    engine.wait_exited(&place("a"));
    assert!(keep.log(&place("a")) == data, "the log differs from what was printed");
}

#[test]
fn a_step_that_cannot_start_says_why() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    let mut missing = launch("a", "");
    missing.argv = vec!["/no/such/program".into()];
    let mut nowhere = launch("b", "exit 0");
    nowhere.cwd = "/no/such/directory".into();
    let mut no_program = launch("c", "");
    no_program.argv = vec!["/etc/passwd".into()];
    for (step, order, code) in [("a", missing, 127), ("b", nowhere, 127), ("c", no_program, 126)] {
        engine.launch(order);
        engine.wait_exited(&place(step));
        assert_eq!(keep.exit(&place(step)).expect("a record").end, End::Code(code), "{step}");
    }
    assert!(keep.log_text(&place("a")).contains("cannot start /no/such/program: No such file"));
    assert!(keep.log_text(&place("b")).contains("/no/such/directory"));
}

#[test]
fn a_step_starts_clean() {
    let keep = Keep::start_with(&[("LEAK", "1")], None);
    let mut engine = keep.connect();
    let script = "env | sort; ls /proc/self/fd | tr '\\n' ' '; grep -E 'Sig(Ign|Blk)' /proc/self/status; cat /proc/self/oom_score_adj; cut -d' ' -f8 /proc/$$/stat; echo $$";
    engine.launch(launch("a", script));
    engine.wait_exited(&place("a"));
    let log = keep.log_text(&place("a"));
    let seen: Vec<&str> = log.lines().collect();
    assert_eq!(seen[..3], ["DOGWATCH_KEY=dw-abc123-a-0-a1", "PATH=/usr/local/bin:/usr/bin:/bin", "PWD=/"], "{log}");
    // The fourth is the directory that `ls` itself reads.
    assert!(seen[3].starts_with("0 1 2 3 SigBlk:\t0000000000000000"), "{log}");
    assert_eq!(seen[4], "SigIgn:\t0000000000000000");
    let own: i32 =
        std::fs::read_to_string("/proc/self/oom_score_adj").expect("a score").trim().parse().expect("a score");
    assert_eq!(seen[5], (own + 500).min(1000).to_string());
    assert_eq!(seen[6], seen[7], "the step is in the foreground of its terminal");
}

/// Several shims on one attempt at the same moment: exactly one may run it.
fn one_run(env: &[(&str, &str)]) -> Result<(), String> {
    for round in 0..10 {
        let dir = tempfile::tempdir().expect("a directory");
        let effects = dir.path().join("effects");
        let order = launch("a", &format!("echo ran >> {}", effects.display()));
        let mut shims: Vec<Bare> = (0..4).map(|_| Bare::start(dir.path(), order.clone(), env)).collect();
        let mut codes: Vec<_> = shims.iter_mut().map(|shim| shim.child.wait().expect("it ends").code()).collect();
        codes.sort_unstable();
        if lines(&effects) != 1 || codes != [Some(0), Some(75), Some(75), Some(75)] {
            return Err(format!("round {round}: {} runs, codes {codes:?}", lines(&effects)));
        }
        let left: Vec<_> =
            std::fs::read_dir(dir.path()).expect("a directory").flatten().map(|entry| entry.file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().starts_with("claim.")), "left behind: {left:?}");
    }
    Ok(())
}

#[test]
fn four_shims_at_once_run_an_attempt_once() {
    one_run(&[]).expect("one run");
    one_run(&[("DOGWATCH_MUTANT", "no_claim")]).expect_err("the mutant without a claim is caught");
}

#[test]
fn asking_twice_for_an_attempt_runs_it_once() {
    let keep = Keep::start();
    let (mut one, mut two) = (keep.connect(), keep.connect());
    let effects = keep.dir.path().join("effects");
    let order = launch("a", &format!("echo ran >> {}; read line", effects.display()));
    let replies = [one.launch(order.clone()), two.launch(order.clone())];
    assert_eq!(replies, [Reply::Launched, Reply::AlreadyThere]);
    one.wait_for(|event| matches!(event, Event::Claimed { .. }));
    until("the step has run", || lines(&effects) > 0);
    one.stop(&place("a"), 0);
    one.wait_exited(&place("a"));
    assert_eq!(one.launch(order), Reply::AlreadyThere);
    assert_eq!(lines(&effects), 1);
}

/// From the first moment in which a claim can be seen, its shim is seen alive.
fn never_seen_abandoned(env: &[(&str, &str)]) -> Result<(), String> {
    let dir = tempfile::tempdir().expect("a directory");
    for _ in 0..10 {
        let attempt_dir = tempfile::tempdir_in(dir.path()).expect("a directory");
        let mut shim = Bare::start(attempt_dir.path(), launch("a", "exit 0"), env);
        let fd = attempt::open_run_dir(attempt_dir.path()).expect("a directory");
        loop {
            let found = attempt::look_up(&fd, "dw-abc123-a-0-a1", Some(&MAC_KEY)).expect("a look");
            // The lock is looked at after the claim, and let go only after the record is there: asked in this order,
            // a free lock without a record means a dead shim.
            let ended = attempt::look_up(&fd, "dw-abc123-a-0-a1", Some(&MAC_KEY)).expect("a look").exited;
            if found.claim_boot.is_some() && !found.held && !ended {
                shim.child.wait().expect("it ends");
                return Err("a live shim looked dead".into());
            }
            if found.exited {
                break;
            }
        }
        shim.child.wait().expect("it ends");
    }
    Ok(())
}

#[test]
fn a_live_shim_never_looks_dead() {
    never_seen_abandoned(&[]).expect("never");
    never_seen_abandoned(&[("DOGWATCH_MUTANT", "lock_after_rename")])
        .expect_err("the mutant with a late lock is caught");
}

#[test]
fn a_killed_shim_is_neither_alive_nor_ended() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    engine.launch(launch("a", "sleep 1000"));
    engine.wait_for(|event| matches!(event, Event::Claimed { .. }));
    let found = engine.look_up(&place("a"));
    assert!(found.held && !found.exited, "{found:?}");
    kill(pid_of_shim(&keep, &place("a")));
    let gone = engine.wait_for(|event| matches!(event, Event::ShimGone { .. } | Event::Exited { .. }));
    assert_eq!(gone, Event::ShimGone { key: place("a").key, status: "killed by SIGKILL".into() });
    let found = engine.look_up(&place("a"));
    assert!(!found.held && !found.exited && found.claim_boot == Some(dogwatch::clock::boot_id()), "{found:?}");
}

#[test]
fn a_shim_killed_at_any_point_is_never_taken_for_success() {
    let points = [
        ("shim.start", false, false),
        ("shim.before-claim-rename", false, false),
        ("shim.after-claim-rename", true, false),
        ("shim.before-spawn", true, false),
        ("shim.after-spawn", true, false),
        ("shim.before-exit-record", true, false),
        // Synced but not yet named: the end is known all the same.
        ("shim.before-exit-rename", true, true),
        ("shim.after-exit-rename", true, true),
        ("shim.after-exit-report", true, true),
    ];
    let log = tempfile::NamedTempFile::new().expect("a file");
    for (point, claimed, ended) in points {
        let dir = tempfile::tempdir().expect("a directory");
        let effects = dir.path().join("effects");
        let order = launch("a", &format!("echo ran >> {}; exit 5", effects.display()));
        let passed = log.path().to_string_lossy().into_owned();
        let env = [("DOGWATCH_CRASH", point), ("DOGWATCH_CRASH_LOG", &passed)];
        let mut shim = Bare::start(dir.path(), order.clone(), &env);
        assert!(!shim.child.wait().expect("it ends").success(), "{point} was not passed");
        let fd = attempt::open_run_dir(dir.path()).expect("a directory");
        let found = attempt::look_up(&fd, &order.place.key, Some(&MAC_KEY)).expect("a look");
        assert_eq!((found.claim_boot.is_some(), found.exited, found.held), (claimed, ended, false), "{point}");
        if let Some(record) = record::read(&fd, &order.place.key, &MAC_KEY).expect("a record or none") {
            assert_eq!(record.end, End::Code(5), "{point}");
        }
        // Asked again: what was never claimed runs now, what was claimed never again.
        let code = Bare::start(dir.path(), order, &[]).child.wait().expect("it ends").code();
        assert_eq!(code, Some(if claimed { 75 } else { 0 }), "{point}");
        assert!(lines(&effects) <= 1, "{point}: ran twice");
    }
    let passed = std::fs::read_to_string(log.path()).expect("the points");
    assert!(points.iter().all(|(point, ..)| passed.lines().any(|line| line == *point)), "{passed}");
}

fn engine_with(keep: &Keep, script: &str) -> Engine {
    let mut engine = keep.connect();
    engine.launch(launch("a", script));
    engine.wait_for(|event| matches!(event, Event::Claimed { .. }));
    until("the step says it is ready", || keep.log_text(&place("a")).contains("ready"));
    engine
}

#[test]
fn a_stop_ends_everything_the_step_started() {
    let keep = Keep::start();
    let word = format!("{}.77", std::process::id());
    // In the group, in a session of its own, forked twice, deaf to TERM, and stopped.
    let script = format!(
        "sleep {word} & setsid sleep {word} & (setsid sh -c 'sleep {word} & sleep {word}' &); \
         setsid sh -c 'trap \"\" TERM HUP; sleep {word}; sleep {word}' & sleep {word} & kill -STOP $!; trap '' TERM HUP; echo ready; sleep {word}; sleep {word}"
    );
    let mut engine = engine_with(&keep, &script);
    assert!(alive(&word));
    let asked = now_ms();
    engine.stop(&place("a"), 200);
    engine.wait_exited(&place("a"));
    assert!(now_ms() - asked < 3_000, "it took {} ms", now_ms() - asked);
    assert!(!alive(&word));
    let record = keep.exit(&place("a")).expect("a record");
    assert_eq!((record.stop, record.end, record.leaked), (Some(StopReason::Stop), End::Signal(9), vec![]));
}

#[test]
fn a_polite_step_has_its_grace() {
    let keep = Keep::start();
    let script = "trap 'echo saving; sleep 0.3; echo saved; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    let mut engine = engine_with(&keep, script);
    engine.stop(&place("a"), 10_000);
    engine.wait_exited(&place("a"));
    let record = keep.exit(&place("a")).expect("a record");
    assert_eq!((record.stop, record.end), (Some(StopReason::Stop), End::Code(3)));
    assert!(keep.log_text(&place("a")).contains("saved"));
}

#[test]
fn what_outlives_a_success_is_left_alone_and_told() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    let word = format!("{}.78", std::process::id());
    engine.launch(launch("a", &format!("setsid sleep {word} & sleep 0.1; exit 0")));
    engine.wait_exited(&place("a"));
    let record = keep.exit(&place("a")).expect("a record");
    assert_eq!(record.end, End::Code(0));
    assert_eq!(record.leaked.iter().map(|one| &*one.comm).collect::<Vec<_>>(), ["sleep"]);
    assert!(alive(&word));
    kill(i32::try_from(record.leaked[0].pid).expect("a pid"));
}

#[test]
fn what_outlives_a_failure_is_ended() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    let word = format!("{}.79", std::process::id());
    engine.launch(launch("a", &format!("setsid sleep {word} & sleep 0.1; exit 4")));
    engine.wait_exited(&place("a"));
    let record = keep.exit(&place("a")).expect("a record");
    assert_eq!((record.end, record.leaked), (End::Code(4), vec![]));
    assert!(!alive(&word));
}
