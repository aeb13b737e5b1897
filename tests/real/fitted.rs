//! What a container is given and what it leaves: what its table says, memory that the step itself uses up, processes that
//! outlive it, terminals that outlive their engine. The same tests against a real dockerd and a real Podman service.

use rustix::process::Signal;

use crate::containers::{ENVIRONMENT, Terminal, ended_and_gone, house, on_both};
use crate::engines::{Kind, shared};
use crate::house::{House, comm, is_alive, signal, until};

on_both!(
    a_container_has_what_its_table_says,
    a_step_that_is_killed_for_memory_itself_is_told_by_the_counter,
    what_outlives_a_good_end_is_told_with_its_name,
    a_terminal_that_outlives_its_engine_is_closed,
);

/// Nobody took a test out of one of the two lists.
#[test]
fn both_engines_have_the_same_tests() {
    assert_eq!(TESTS, 4);
}

fn a_container_has_what_its_table_says(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    for folder in ["in", "out"] {
        std::fs::create_dir(house.root().join(folder)).expect("a folder");
    }
    std::fs::write(house.root().join("in/file"), "from outside\n").expect("a file");
    house.workflow(&format!(
        "{ENVIRONMENT}caps = [\"SYS_PTRACE\"]\nulimits = {{ nofile = 1234 }}\ncpus = 0.5\nmemory = \"96MiB\"\n\
         mounts = [\"../in:/in:ro\", \"../out:/out\"]\n[steps.a]\nrun = '''\n\
         id -u; ulimit -n; grep CapEff /proc/self/status; grep CapBnd /proc/self/status\n\
         cat /in/file; touch /in/no 2>/dev/null || echo read-only; echo inside > /out/file; ls /sys/class/net\n\
         cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cat /sys/fs/cgroup/cpu.max\n\
         cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max\n'''\n"
    ));
    house.start();
    ended_and_gone(&house, engine, 0);
    let log = house.log("a/0/a1").replace("\r\n", "\n");
    let wanted = "0\n1234\nCapEff:\t0000000000080000\nCapBnd:\t0000000000080000\nfrom outside\nread-only\nlo\n50000";
    assert!(log.starts_with(wanted) && log.ends_with(&format!("\n{}\n", 96 << 20)), "{log}");
    assert_eq!(std::fs::read_to_string(house.root().join("out/file")).expect("it is here"), "inside\n");
}

/// Killed itself, not a child of it: the end is a signal that others send, too, and the counter tells why.
fn a_step_that_is_killed_for_memory_itself_is_told_by_the_counter(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow(&format!(
        "{ENVIRONMENT}memory = \"64MiB\"\n[steps.work]\nrun = 'exec dd if=/dev/zero of=/dev/null bs=300M count=1'\n"
    ));
    house.start();
    assert_eq!(house.wait(), Some(3), "{}", house.said(&["status"]));
    assert_eq!(house.lane("work")["exit"], "signal 9 (SIGKILL)");
    let shown = house.said(&["show", "e1"]);
    assert!(shown.contains("the kernel killed for memory in this environment"), "{shown}");
    assert_eq!(house.keepers().len(), 1, "the keeper was spared");
    house.said(&["stop", "@last"]);
    ended_and_gone(&house, engine, 4);
}

fn what_outlives_a_good_end_is_told_with_its_name(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    // The next step keeps the container there.
    house.workflow(&format!(
        "{ENVIRONMENT}[steps.work]\nrun = 'trap \"\" HUP; sleep 74 & sleep 0.2'\n\
         [steps.next]\nneeds = [\"work\"]\nrun = 'ps; until [ -e go ]; do sleep 0.1; done'\n"
    ));
    house.start();
    let detail = || house.lane("work")["detail"].as_str().unwrap_or_default().to_owned();
    until("it is told", || detail().contains("leaked: ") && detail().contains("sleep ("));
    until("the next step has looked", || house.log("next/0/a1").contains("sleep 74"));
    std::fs::write(house.work().join("go"), "").expect("a file");
    ended_and_gone(&house, engine, 0);
}

/// Its client stands still, so that nobody else closes it.
fn a_terminal_that_outlives_its_engine_is_closed(kind: Kind) {
    let (engine, house) = (shared(kind), house(shared(kind)));
    house.workflow(&format!("{ENVIRONMENT}[steps.a]\nrun = 'echo ready; sleep 60'\n"));
    house.start();
    let clients = |house: &House| {
        let inside = house.inside().into_iter();
        inside.filter(|pid| comm(*pid).starts_with("tmux: client")).collect::<Vec<i32>>()
    };
    until("its session is there", || !house.tmux_servers().is_empty());
    let before = clients(&house);
    let mut terminal = Terminal::of(&house, &["attach", "@last", "a"]);
    terminal.see("ready");
    let attached: Vec<i32> = clients(&house).into_iter().filter(|pid| !before.contains(pid)).collect();
    assert_eq!(attached.len(), 1, "{attached:?}");
    signal(terminal.pid(), Signal::STOP);
    house.kill_engine();
    house.said(&["engine", "start"]);
    until("it is closed", || !is_alive(attached[0]));
    signal(terminal.pid(), Signal::CONT);
    terminal.see("attaching again");
    drop(terminal);
    house.said(&["stop", "@last"]);
    ended_and_gone(&house, engine, 4);
}
