//! What goes wrong in and around a container without dogwatch's doing, and what a hostile step can do there: monitors that
//! are killed, keepers, records, tmux servers and links that are not what they seem. The same
//! tests against a real dockerd and a real Podman service.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::containers::{Terminal, ended_and_gone, house, on_both};
use crate::engines::{Kind, shared};
use crate::house::{House, comm, is_alive, kill, lines, stat, until, within};

on_both!(
    a_killed_monitor_of_the_container_is_told_truthfully,
    a_step_that_plays_the_keeper_gets_nothing,
    a_record_of_another_attempt_is_not_believed,
    a_record_that_a_step_forges_is_not_found,
    a_fake_tmux_server_shows_only_itself,
    a_checkpoint_that_is_a_link_out_of_the_container_is_none,
    shared_memory_is_as_large_as_memory_unless_it_is_said,
    a_container_that_lost_its_gpus_is_started_anew_before_the_next_attempt,
    shared_memory_that_is_too_small_is_named_with_its_remedy,
    no_more_than_four_containers_are_made_at_once,
);

/// Nobody took a test out of one of the two lists.
#[test]
fn both_engines_have_the_same_tests() {
    assert_eq!(TESTS, 10);
}

pub(crate) const ONE: &str = "[environment]\nimage = \"bb:1\"\nnetwork = false\n";
/// Three seconds of output with a beginning and an end, and what is done before.
pub(crate) const COUNTED: &str = r#"
echo "start $DOGWATCH_KEY" >> effects
BEFORE
i=0; while [ $i -lt 30 ]; do echo "line $i"; i=$((i+1)); sleep 0.1; done
echo "end $DOGWATCH_KEY" >> effects
exit 7
"#;

const UNTIL_GO: &str = "until [ -e go ]; do sleep 0.1; done";

/// A run with one step, which does one of them first and the other last.
fn counted(house: &House, before: &str, after: &str) {
    let script = COUNTED.replace("BEFORE", before).replace("exit 7", &format!("{after}\nexit 7"));
    house.workflow(&format!("{ONE}[steps.work]\nallow_failure = true\nrun = '''{script}'''\n"));
    house.start();
    until("the step prints", || house.log("work/0/a1").lines().count() > 3);
}

fn run_dir(house: &House) -> PathBuf {
    std::fs::read_dir(house.state().join("runs")).expect("runs").flatten().next().expect("a run").path()
}

/// It was started once and ended once, by itself, and its log is whole.
#[track_caller]
pub(crate) fn ran_once(house: &House) {
    let counts: Vec<usize> = house.effects().into_values().collect();
    assert_eq!(counts, [1, 1], "starts and ends: {:?}", house.effects());
    let lane = house.lane("work");
    assert_eq!((lane["exit"].as_str(), lane["attempt"].as_i64()), (Some("code 7"), Some(1)), "{lane}");
    assert_eq!(house.log("work/0/a1"), lines("line", 30));
}

/// containerd's shim, conmon: the process that started the container and waits for it.
fn monitor(house: &House) -> i32 {
    let keepers = house.keepers();
    assert_eq!(keepers.len(), 1, "{keepers:?}");
    let monitor = stat(keepers[0]).and_then(|fields| fields[1].parse().ok()).expect("its parent");
    let name = comm(monitor);
    assert!(name.starts_with("containerd-shim") || name.starts_with("conmon"), "{name}");
    monitor
}

/// Whether the container lives on then is its engine's affair (containerd ends it, Podman lets it be). What is told must be
/// so: the step goes on and its end is recorded, or it has ended and nothing runs twice.
fn a_killed_monitor_of_the_container_is_told_truthfully(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    let script = COUNTED.replace("BEFORE", "");
    house.workflow(&format!("{ONE}[steps.work]\nrun = '''{script}'''\n"));
    house.start();
    until("the step prints", || house.log("work/0/a1").lines().count() > 3);
    let keeper = house.keepers()[0];
    let monitor = monitor(&house);
    kill(monitor);
    until("it has gone", || !is_alive(monitor));
    assert_eq!(house.wait(), Some(3), "{}", house.said(&["status"]));
    if is_alive(keeper) {
        assert_eq!(kind, Kind::Podman, "containerd ends what it cannot watch");
        ran_once(&house);
    } else {
        let question = house.json(&["inbox"]).expect("a question");
        let shown = house.said(&["show", &format!("e{}", question["id"])]);
        assert!(shown.contains("killed from outside") || shown.contains("its container"), "{shown}");
        let counts: Vec<usize> = house.effects().into_values().collect();
        assert_eq!(counts, [1], "it was started once: {:?}", house.effects());
    }
    house.said(&["stop", "@last"]);
    assert_eq!(house.wait(), Some(4), "{}", house.said(&["status"]));
    until("its container is gone", || engine.containers(&house.state()).is_empty());
}

/// That it tries is shown at the end, by a door that stands open again: it comes there. A porter that opened one, and let
/// in whoever comes, would have given it everything.
fn a_step_that_plays_the_keeper_gets_nothing(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    counted(
        &house,
        r"
b=/run/dogwatch/b; mkdir -p /run/dogwatch/rt/fake
kill -9 1; kill -STOP 1
for door in /run/dogwatch/door/door.sock /run/dogwatch/rt/fake/door.sock; do
    LD_LIBRARY_PATH=$b/lib $b/dogwatch keep --door $door --runtime-dir /run/dogwatch/rt/fake --dogwatch $b/dogwatch --tmux $b/tmux >> fake 2>&1 &
done
touch /run/dogwatch/rt/k/keeper.sock /run/dogwatch/door/door.sock 2>/dev/null || true
",
        UNTIL_GO,
    );
    // Its own keeper is the one that is adopted, also by a porter that is new.
    house.porters().into_iter().for_each(kill);
    house.kill_engine();
    house.said(&["engine", "start"]);
    let door = UnixListener::bind(run_dir(&house).join("env/default/door/door.sock")).expect("a door");
    door.set_nonblocking(true).expect("a door that can be looked at");
    let mut guest = None;
    until("it knocks", || {
        guest = door.accept().ok().map(|(guest, _)| guest);
        guest.is_some()
    });
    let guest = guest.expect("it knocked");
    let guest = rustix::net::sockopt::socket_peercred(&guest).expect("who it is").pid.as_raw_nonzero().get();
    assert!(!house.keepers().contains(&guest) && house.inside().contains(&guest), "{guest} is a process of the step");
    drop(door);
    std::fs::write(house.work().join("go"), "").expect("a file");
    ended_and_gone(&house, engine, 0);
    ran_once(&house);
    assert!(!house.text("fake").contains("listening"), "{}", house.text("fake"));
}

/// Who has the keys of one attempt, a keeper that was taken over, has a record of it to show for another one.
fn a_record_of_another_attempt_is_not_believed(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    let start = "echo \"start $DOGWATCH_KEY\" >> effects";
    house.workflow(&format!(
        "{ONE}[steps.a]\nrun = '{start}'\n[steps.b]\nneeds = [\"a\"]\nrun = '{start}; echo on; sleep 61'\n"
    ));
    house.start();
    until("b runs", || house.log("b/0/a1").contains("on"));
    let place = |attempt: &str| -> PathBuf { house.attempts()[attempt].clone() };
    let record = std::fs::read(place("a/0/a1").join("exit.json")).expect("a's record");
    house.kill_engine();
    std::fs::write(place("b/0/a1").join("exit.json"), record).expect("a forged record");
    house.shims().into_iter().for_each(kill);
    house.said(&["engine", "start"]);
    assert_eq!(house.wait(), Some(3), "{}", house.said(&["status"]));
    let question = house.json(&["inbox"]).expect("a question");
    assert_eq!(question["escalation_kind"], "unknown", "{question}");
    assert_eq!(house.effects().into_values().collect::<Vec<_>>(), [1, 1], "{:?}", house.effects());
    house.said(&["stop", "@last"]);
    ended_and_gone(&house, engine, 4);
}

/// The step is called as the folder that all steps may write: with its attempts in there (as they were once) this fails.
fn a_record_that_a_step_forges_is_not_found(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    let script = r#"
echo "start $DOGWATCH_KEY" >> effects
for place in . "$DOGWATCH_DIR" "$DOGWATCH_RUN_DIR" "$DOGWATCH_RUN_DIR/0/a1" "$DOGWATCH_RUN_DIR/../_work/0/a1" \
    "$DOGWATCH_DIR/a1" "$HOME" /run/dogwatch/rt/k "$DOGWATCH_RUN_DIR/../env/default"; do
    mkdir -p "$place" 2>/dev/null
    echo '{"v":1,"end":{"code":0}}' > "$place/exit.json"
    mkdir -p "$place/claim" 2>/dev/null
done 2>/dev/null
echo on; sleep 61
"#;
    house.workflow(&format!("{ONE}[steps.work]\nrun = '''{script}'''\n"));
    house.start();
    until("the step prints", || house.log("work/0/a1").contains("on"));
    house.shims().into_iter().for_each(kill);
    assert_eq!(house.wait(), Some(3), "{}", house.said(&["status"]));
    let question = house.json(&["inbox"]).expect("a question");
    assert_eq!(question["escalation_kind"], "unknown", "{question}");
    // A record that is not authentic would be told as that: none was found at all.
    let shown = house.said(&["show", &format!("e{}", question["id"])]);
    assert!(shown.contains("its supervisor process was killed"), "{shown}");
    house.said(&["stop", "@last"]);
    ended_and_gone(&house, engine, 4);
}

/// That it can do harm is shown at the end: this host's own client, which dogwatch never runs there, does what it says.
fn a_fake_tmux_server_shows_only_itself(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    let canary = house.root().join("canary");
    let fake = r#"
b=/run/dogwatch/b; socket=/run/dogwatch/rt/k/tmux.sock
t() { LOCPATH=$b/locale TERMINFO=$b/terminfo $b/ld.so --library-path $b/lib $b/tmux -f /dev/null -S $socket "$@"; }
until t ls; do sleep 0.1; done >/dev/null 2>&1
t kill-server; rm -f $socket
t new-session -d -s "$DOGWATCH_KEY" "touch CANARY; echo this is fake; sleep 60" 2>/dev/null || true
t set-hook -g client-attached 'detach-client -E "touch CANARY"' 2>/dev/null || true
touch faked
"#;
    counted(&house, &fake.replace("CANARY", &canary.to_string_lossy()), UNTIL_GO);
    until("there is another server", || house.work().join("faked").exists());
    let mut terminal = Terminal::of(&house, &["attach", "@last", "work"]);
    // Its own lines, or those of the fake: what a step shows is its own affair. Who looks can leave.
    within(3_000, || terminal.has_shown("line") || terminal.has_shown("fake"));
    until("who was attached has left", || {
        terminal.press("\u{1d}");
        terminal.has_shown("\u{0}");
        terminal.has_ended()
    });
    assert!(!canary.exists(), "it was executed on this host");
    let socket = format!("/proc/{}/root/run/dogwatch/rt/k/tmux.sock", house.keepers()[0]);
    until("this host's client is made to do it", || {
        let attach = format!("TERM=xterm-256color tmux -u -S {socket} attach");
        let _ = Command::new("script").args(["-qec", &attach, "/dev/null"]).stdin(Stdio::null()).output();
        canary.exists()
    });
    std::fs::write(house.work().join("go"), "").expect("a file");
    ended_and_gone(&house, engine, 0);
    ran_once(&house);
}

/// A link is a path of the container's, and means nothing here.
fn a_checkpoint_that_is_a_link_out_of_the_container_is_none(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    let secret = house.root().join("secret-of-this-host");
    std::fs::write(&secret, "secret").expect("a file");
    let script = format!(
        "ln -s {} ckpt; mkdir d; ln -s {} d/up; echo saved /workspace/ckpt; echo saved /workspace/d/up/{}; \
         echo \"resume <$RESUME>\"; exit 3",
        secret.display(),
        house.root().display(),
        secret.file_name().expect("a name").to_string_lossy()
    );
    house.workflow(&format!(
        "{ONE}[steps.a]\nrun = '''[ \"$DOGWATCH_ATTEMPT\" = 2 ] && {{ echo \"resume <$RESUME>\"; exit 4; }}; {script}'''\n\
         retry = {{ max_attempts = 2, delay = \"0s\" }}\nallow_failure = true\n\
         [steps.a.checkpoint]\npattern = 'saved (?P<path>\\S+)'\nresume_env = \"RESUME\"\n"
    ));
    house.start();
    ended_and_gone(&house, engine, 0);
    assert_eq!(house.log("a/0/a2"), "resume <>\r\n");
}

fn shared_memory_is_as_large_as_memory_unless_it_is_said(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    // More than the 64 MB that engines give by themselves, which kills those who load data in several processes.
    let fill = "dd if=/dev/zero of=/dev/shm/x bs=1M count=80 2>&1 | grep -o \"No space\" || echo enough";
    house.workflow(&format!(
        "{ONE}memory = \"256MiB\"\n[environments.small]\nimage = \"bb:1\"\nnetwork = false\nshm = \"8MiB\"\n\
         [steps.a]\nrun = '{fill}'\n[steps.b]\nenvironment = \"small\"\nrun = '{fill}'\n"
    ));
    house.start();
    ended_and_gone(&house, engine, 0);
    assert_eq!((house.log("a/0/a1").as_str(), house.log("b/0/a1").as_str()), ("enough\r\n", "No space\r\n"));
}

/// As far as a machine without GPUs can show it: the words of NVIDIA's library, in a container (fault 43). Its keeper is
/// another process in the second attempt, and what the first one made is there.
fn a_container_that_lost_its_gpus_is_started_anew_before_the_next_attempt(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow(&format!(
        "{ONE}[steps.beside]\nrun = 'until [ -e go ]; do sleep 0.1; done'\n\
         [steps.work]\nretry = {{ max_attempts = 2, delay = \"0s\" }}\n\
         run = '[ -e /bin/mark ] && {{ cat /bin/mark; exit 3; }}; echo kept > /bin/mark; \
         echo \"Failed to initialize NVML: Unknown Error\"; exit 9'\n"
    ));
    house.start();
    let detail = || house.lane("work")["detail"].as_str().unwrap_or_default().to_owned();
    until("the second attempt waits for what runs there", || detail().contains("lost its GPUs"));
    let (containers, keepers) = (engine.containers(&house.state()), house.keepers());
    assert_eq!((containers.len(), keepers.len()), (1, 1));
    assert_eq!(house.lane("beside")["state"], "running", "nothing else was ended for it");
    std::fs::write(house.work().join("go"), "").expect("a file");
    assert_eq!(house.wait(), Some(3), "{}", house.said(&["status"]));
    assert_eq!(house.log("work/0/a2"), "kept\r\n", "with what was in it");
    assert_eq!(engine.containers(&house.state()), containers);
    assert!(house.keepers() != keepers, "it was started anew");
    until("it is written down", || {
        std::fs::read_to_string(run_dir(&house).join("record.md")).is_ok_and(|text| text.contains("lost its GPUs"))
    });
    // Another one of the same container, which has not lost them since, is not started anew.
    let keepers = house.keepers();
    house.said(&["decide", "e1", "retry"]);
    assert_eq!(house.wait(), Some(3), "{}", house.said(&["status"]));
    assert_eq!(house.keepers(), keepers);
    house.said(&["stop", "@last"]);
    ended_and_gone(&house, engine, 4);
}

/// Fault 44: what a program says of it, and a shared memory that is really full.
fn shared_memory_that_is_too_small_is_named_with_its_remedy(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow(&format!("{ONE}shm = \"8MiB\"\n[steps.a]\nrun = 'dd if=/dev/zero of=/dev/shm/x bs=1M count=80'\n"));
    house.start();
    assert_eq!(house.wait(), Some(3), "{}", house.said(&["status"]));
    let shown = house.said(&["show", "e1"]).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.contains("(/dev/shm) was too small: say `shm = \"8GiB\"`"), "{shown}");
    house.said(&["stop", "@last"]);
    ended_and_gone(&house, engine, 4);
}

/// One that is given twenty at once does not answer in time.
fn no_more_than_four_containers_are_made_at_once(kind: Kind) {
    assert_eq!(most_at_once(kind, None), 4);
    assert!(most_at_once(kind, Some("all_at_once")) > 4, "the mutant is caught");
}

/// Of ten that are wanted at once.
fn most_at_once(kind: Kind, mutant: Option<&str>) -> i32 {
    let (engine, mut house) = (shared(kind), house(shared(kind)));
    let points = house.root().join("points");
    house.set("DOGWATCH_CRASH_LOG", &points.to_string_lossy());
    house.set("DOGWATCH_MUTANT", mutant.unwrap_or_default());
    let steps = (0..10).fold("[workflow]\nmax_parallel = 10\n".to_owned(), |text, n| {
        text + &format!(
            "[environments.e{n}]\nimage = \"bb:1\"\nnetwork = false\n[steps.s{n}]\nenvironment = \"e{n}\"\nrun = 'true'\n"
        )
    });
    house.workflow(&steps);
    house.start();
    ended_and_gone(&house, engine, 0);
    let (mut now, mut most) = (0, 0);
    for line in std::fs::read_to_string(&points).unwrap_or_default().lines() {
        now += i32::from(line == "docker.turn") - i32::from(line == "docker.turn-over");
        most = most.max(now);
    }
    assert_eq!(now, 0, "each turn ends");
    most
}
