//! What keeper and shim cost: the way to a step and back, output beside `script -q`, a hundred steps that wait.
//! `cargo bench --bench shim`, alone on a quiet machine. Prints; asserts nothing about time.

use std::io::Write;
use std::process::Command;

#[expect(dead_code, reason = "the tests use all of it")]
#[path = "../support/keeper.rs"]
mod keeper;

use keeper::{Keep, launch, place, until};

macro_rules! say {
    ($($words:tt)*) => {
        writeln!(std::io::stdout(), $($words)*).expect("somebody reads the table")
    };
}

fn main() {
    speed_of_start_and_end();
    speed_of_output();
    speed_of_a_hundred_idle_steps();
}

fn wall_us() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

fn median(mut values: Vec<i64>) -> i64 {
    values.sort_unstable();
    values[values.len() / 2]
}

fn speed_of_start_and_end() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    let (mut starts, mut ends, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..200 {
        let name = format!("s{number}");
        let mut order = launch(&name, "");
        order.argv = vec!["/bin/date".into(), "+%s%N".into()];
        let asked = wall_us();
        engine.launch(order);
        engine.wait_exited(&place(&name));
        let ended = wall_us();
        let ran: i64 = keep.log_text(&place(&name)).trim().parse::<i64>().expect("a time") / 1000;
        starts.push(ran - asked);
        ends.push(ended - ran);
        all.push(ended - asked);
    }
    say!(
        "ask -> date's clock {} us, date's clock -> Exited {} us, all {} us",
        median(starts),
        median(ends),
        median(all)
    );
}

fn speed_of_output() {
    let text = "/tmp/dogwatch-speed.txt";
    let line = "epoch 12 loss 0.123456 accuracy 0.987654 and some more words to fill the line\n";
    std::fs::write(text, line.repeat(500 * 1024 * 1024 / line.len())).expect("500 MB of text");
    let keep = Keep::start();
    let mut engine = keep.connect();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..3 {
        let before = wall_us();
        let done = Command::new("script")
            .args(["-q", "-c", &format!("cat {text}"), "/dev/null"])
            .stdout(std::process::Stdio::null())
            .status();
        assert!(done.expect("script runs").success());
        theirs.push(wall_us() - before);
        let name = format!("o{round}");
        let before = wall_us();
        engine.launch(launch(&name, &format!("cat {text}")));
        engine.wait_exited(&place(&name));
        ours.push(wall_us() - before);
        let record = keep.exit(&place(&name)).expect("a record");
        say!(
            "script {} ms, shim {} ms, of which step {} ms",
            theirs[round] / 1000,
            ours[round] / 1000,
            record.end_boottime_ms - record.start_boottime_ms
        );
    }
    std::fs::remove_file(text).expect("it is removed");
    say!("our speed is {} % of that under script", median(theirs) * 100 / median(ours));
}

/// Processor time in clock ticks, and memory of its own in KiB, of this process and all that descend from it.
fn usage_of(root: u32) -> (u64, u64, usize) {
    let mut processes = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let words: Vec<&str> = stat.rsplit_once(')').expect("a stat").1.split_whitespace().collect();
        let [parent, user, system] = [1, 11, 12].map(|index| words[index].parse::<u64>().expect("a number"));
        let rollup = std::fs::read_to_string(entry.path().join("smaps_rollup")).unwrap_or_default();
        let own = rollup
            .lines()
            .find_map(|line| line.strip_prefix("Pss:"))
            .map_or("0", |rest| rest.trim_end_matches("kB").trim());
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u64>() else { continue };
        processes.push((pid, parent, user + system, own.parse::<u64>().expect("a number")));
    }
    let mut family = vec![u64::from(root)];
    let mut sum = (0, 0, 0);
    while let Some(pid) = family.pop() {
        family.extend(processes.iter().filter(|process| process.1 == pid).map(|process| process.0));
        for process in processes.iter().filter(|process| process.0 == pid) {
            sum = (sum.0 + process.2, sum.1 + process.3, sum.2 + 1);
        }
    }
    sum
}

fn speed_of_a_hundred_idle_steps() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    for number in 0..100 {
        engine.launch(launch(&format!("s{number}"), "exec sleep 1000"));
    }
    let sessions = || {
        let socket = keep.dir.path().join("rt/tmux.sock");
        let listed = Command::new("tmux").arg("-S").arg(socket).arg("list-sessions").output().expect("tmux runs");
        String::from_utf8_lossy(&listed.stdout).lines().count()
    };
    until("all have their session", || sessions() == 101);
    let before = usage_of(keep.child.id());
    let pause = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
    let _ = rustix::event::poll(&mut [], Some(&pause));
    let after = usage_of(keep.child.id());
    say!("{} processes, {} KiB, {} ticks in 10 s", after.2, after.1, after.0 - before.0);
}
