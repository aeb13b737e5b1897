//! What it costs that what a step prints is followed: `cargo bench --bench follow [-- MIB [REPETITIONS [KIND]]]`.
//!
//! A step prints lines with numbers at 50 MB a second, then as fast as its terminal takes it: lines with numbers, one line
//! without an end (`-- 1024 1 line`: of 1 GB), bars written over by `\r` and by ANSI sequences, four ranks between each other. Side by side in the same run: with no engine alive (only the shim takes the output), with an
//! engine that finds numbers and progress by itself, and with a declared pattern for each line. Printed are the time of the
//! step and its ratio to nobody following, the engine's share of a processor meanwhile, the engine's peak memory, and whether
//! the last number is known afterwards. Nothing is asserted: machines are shared and noisy.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const KINDS: [(&str, &str); 6] = [
    ("paced", "lines at 50 MB a second"),
    ("lines", "lines with numbers"),
    ("line", "one line"),
    ("bars", "bars written over by \\r"),
    ("ansi", "bars drawn by ANSI sequences"),
    ("ranks", "four ranks between each other"),
];
/// How the output is followed, with what the workflow says for it.
const WAYS: [(&str, &str); 3] = [
    ("nobody", ""),
    ("by itself", ""),
    ("a pattern", "[[steps.s.metrics]]\npattern = 'step (?P<step>\\d+) loss=(?P<loss>[\\d.]+)'\nx = 'step'\n"),
];

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if words.first().is_some_and(|word| word == "print") {
        return print(&words[1], words[2].parse()?);
    }
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<usize>().ok());
    let (mib, repetitions) = (number(0).unwrap_or(256), number(1).unwrap_or(3));
    println!("{mib} MiB each, median of {repetitions}");
    println!(
        "{:<30} {:<10} {:>8} {:>8} {:>7} {:>9} {:>7}  last",
        "printed", "followed", "MiB/s", "s", "ratio", "CPU", "MiB"
    );
    let wanted = words.get(2);
    for (kind, name) in KINDS.into_iter().filter(|(kind, _)| wanted.is_none_or(|wanted| wanted == kind)) {
        let mut alone = f64::NAN;
        for (way, (words, metrics)) in WAYS.iter().enumerate() {
            let mut all: Vec<Seen> =
                (0..repetitions).map(|_| once(kind, mib, (way == 0, metrics))).collect::<Result<_>>()?;
            all.sort_by(|one, other| one.seconds.total_cmp(&other.seconds));
            let seen = &all[repetitions / 2];
            if way == 0 {
                alone = seen.seconds;
            }
            let peak = all.iter().map(|seen| seen.peak_mib).fold(0.0, f64::max);
            println!(
                "{:<30} {words:<10} {:>8.0} {:>8.2} {:>7.2} {:>8.0}% {peak:>7.0}  {}",
                if way == 0 { name } else { "" },
                f64::from(u32::try_from(mib)?) / seen.seconds,
                seen.seconds,
                seen.seconds / alone,
                100.0 * seen.cpu / seen.seconds,
                if all.iter().all(|seen| seen.right) { "right" } else { "MISSING" }
            );
        }
    }
    Ok(())
}

struct Seen {
    seconds: f64,
    /// Seconds of a processor that the engine used until all was read.
    cpu: f64,
    peak_mib: f64,
    right: bool,
}

fn once(kind: &str, mib: usize, (alone, metrics): (bool, &str)) -> Result<Seen> {
    let house = House::new()?;
    let bytes = mib << 20;
    let file =
        format!("version = 1\n[workflow]\nname = \"f\"\n[steps.s]\nrun = \"./print print {kind} {bytes}\"\n{metrics}");
    std::fs::write(house.dir.path().join("w.toml"), file)?;
    house.run(&["run", "w.toml", "--detach", "--no-input"])?;
    house.wait_for("ready")?;
    let engine = house.engine()?;
    if alone {
        rustix::process::kill_process(engine, rustix::process::Signal::KILL)?;
    }
    let before = if alone { 0.0 } else { cpu(engine)? };
    std::fs::write(house.dir.path().join("go"), "")?;
    house.wait_for("done")?;
    let seconds = std::fs::read_to_string(house.dir.path().join("done"))?.trim().parse()?;
    let mut right = alone;
    for _ in 0..600 {
        if alone || right {
            break;
        }
        let said = house.said(&["metrics", "@last", "s", "--name", "loss", "--csv"])?;
        right = said.lines().last().is_some_and(|line| line.ends_with(",0.125"));
        pause();
    }
    let (after, peak_mib) = if alone { (0.0, 0.0) } else { (cpu(engine)?, peak(engine)?) };
    Ok(Seen { seconds, cpu: after - before, peak_mib, right })
}

/// What the step does: waits until it may begin, prints, and says how long that took.
fn print(kind: &str, bytes: usize) -> Result<()> {
    std::fs::write("ready", "")?;
    while !Path::new("go").exists() {
        pause();
    }
    let began = dogwatch::clock::monotonic_ms();
    let mut out = std::io::stdout().lock();
    let mut text = String::with_capacity(80_000);
    let (mut printed, mut n) = (0, 0u64);
    while printed < bytes {
        if kind == "paced" {
            // 50 bytes are a microsecond's worth.
            let due = i64::try_from(printed / 50_000)? - (dogwatch::clock::monotonic_ms() - began);
            dogwatch::clock::pause(Duration::from_millis(u64::try_from(due).unwrap_or(0)));
        }
        text.clear();
        while text.len() < 64 * 1024 {
            n += 1;
            match kind {
                "lines" | "paced" => writeln!(text, "step {n} loss={}.5 lr=0.1 tokens 18018", n % 90)?,
                "line" => text.push_str("a line that has no end and tells nothing, however long it becomes; "),
                "bars" => write!(text, "\r 50%|#####     | {n}/99999999 [00:10<00:10, 1it/s]")?,
                "ansi" => write!(
                    text,
                    "\u{1b}[2K\u{1b}[1G\u{1b}[32mTraining\u{1b}[0m \u{1b}[38;5;197m━━━━\u{1b}[0m {n}/99999999 \u{1b}[36m0:10\u{1b}[0m"
                )?,
                _ => writeln!(text, "[rank{}] step {} loss={}.5", n % 4, n / 4, n % 90)?,
            }
        }
        out.write_all(text.as_bytes())?;
        printed += text.len();
    }
    writeln!(out, "\nstep {} loss=0.125", n + 1)?;
    out.flush()?;
    let took = dogwatch::clock::monotonic_ms() - began;
    std::fs::write("done.new", format!("{}.{:03}", took / 1000, took % 1000))?;
    std::fs::rename("done.new", "done")?;
    Ok(())
}

fn pause() {
    dogwatch::clock::pause(Duration::from_millis(20));
}

/// Seconds of a processor that it has used.
fn cpu(pid: rustix::process::Pid) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))?;
    let rest = stat.rsplit_once(')').ok_or("no stat")?.1;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.0)
}

fn peak(pid: rustix::process::Pid) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<f64>()? / 1024.0)
}

/// A fresh workspace with a state directory and an engine of its own.
struct House {
    dir: tempfile::TempDir,
}

impl House {
    fn new() -> Result<Self> {
        let home = std::env::var_os("HOME").map_or("/tmp".into(), PathBuf::from);
        let dir = tempfile::Builder::new().prefix("dwf").tempdir_in(home)?;
        std::fs::copy(std::env::current_exe()?, dir.path().join("print"))?;
        Ok(Self { dir })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dogwatch"));
        command.args(words).current_dir(self.dir.path()).env("DOGWATCH_STATE_DIR", self.dir.path().join("state"));
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        let status = self.command(words).stdout(Stdio::null()).status()?;
        if status.success() { Ok(()) } else { Err(format!("{words:?} ended with {status}").into()) }
    }

    fn said(&self, words: &[&str]) -> Result<String> {
        // Its last line is what counts; what it prints may be much.
        Ok(String::from_utf8_lossy(&self.command(words).output()?.stdout).into_owned())
    }

    fn wait_for(&self, name: &str) -> Result<()> {
        for _ in 0..30_000 {
            if self.dir.path().join(name).exists() {
                return Ok(());
            }
            pause();
        }
        Err(format!("the step is not {name}").into())
    }

    fn engine(&self) -> Result<rustix::process::Pid> {
        let lock = std::fs::read_to_string(self.dir.path().join("state/engine.lock"))?;
        let pid = lock.split_whitespace().nth(1).ok_or("the lock names nobody")?.parse()?;
        rustix::process::Pid::from_raw(pid).ok_or_else(|| "the lock names nobody".into())
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let stop = |words: &[&str]| drop(self.command(words).stdout(Stdio::null()).status());
        stop(&["stop", "@last", "--yes"]);
        // Else its end would start the engine once more while the folder goes.
        stop(&["wait", "@last", "--timeout", "30s"]);
        stop(&["engine", "stop"]);
    }
}
