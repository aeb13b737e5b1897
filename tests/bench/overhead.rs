//! What the engine adds to steps that do nothing: from one step's exit to the next one's first instruction, 50 steps in
//! a row, 200 independent ones two at a time. Prints a table of medians beside the floor of the same machine in the same
//! run (fork + exec + fdatasync of a small file) and beside `make`, where it is installed.
//!
//! `cargo bench --bench overhead [-- REPETITIONS]`. Steps note their own start and end (`CLOCK_BOOTTIME`, nanoseconds);
//! the start of engine and sandbox is not counted. Nothing is asserted: machines are shared and noisy.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if words.first().is_some_and(|word| word == "stamp") {
        return stamp(Path::new(&words[1]));
    }
    let repetitions = words.first().and_then(|word| word.parse().ok()).unwrap_or(5);
    let mut rows: Vec<(&str, Vec<f64>)> = Vec::new();
    for _ in 0..repetitions {
        let dogwatch = Scratch::new()?;
        let chain = dogwatch.dogwatch("chain", 1, &chain(50))?;
        let gaps: Vec<f64> = chain.windows(2).map(|pair| pair[1].0 - pair[0].1).collect();
        add(&mut rows, "floor: fork + exec + fdatasync, one after another [ms]", floor(&dogwatch)?);
        add(&mut rows, "dogwatch: exit to next step's first instruction [ms]", median(&gaps));
        add(&mut rows, "dogwatch: 50 steps in a row [ms]", span(&chain));
        add(&mut rows, "make: 50 steps in a row [ms]", dogwatch.make(&chain_make(50), 1)?);
        let fan = dogwatch.dogwatch("fan", 2, &fan(200))?;
        add(&mut rows, "dogwatch: 200 steps, two at a time [ms]", span(&fan));
        add(&mut rows, "make: 200 steps, two at a time [ms]", dogwatch.make(&fan_make(200), 2)?);
        add(&mut rows, "dogwatch: engine's peak memory [MiB]", dogwatch.engine_memory()?);
    }
    let mut table = String::from("median of repetitions (min - max)\n");
    for (name, values) in &rows {
        let (least, most) = values.iter().fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
        writeln!(table, "{name:<58} {:>9.2}   ({least:.2} - {most:.2}, n={})", median(values), values.len())?;
    }
    std::io::stdout().write_all(table.as_bytes())?;
    Ok(())
}

fn add<'a>(rows: &mut Vec<(&'a str, Vec<f64>)>, name: &'a str, value: f64) {
    match rows.iter_mut().find(|(other, _)| *other == name) {
        Some((_, values)) => values.push(value),
        None => rows.push((name, vec![value])),
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// From the first start to the last end.
fn span(stamps: &[(f64, f64)]) -> f64 {
    let first = stamps.iter().map(|(start, _)| *start).fold(f64::MAX, f64::min);
    let last = stamps.iter().map(|(_, end)| *end).fold(f64::MIN, f64::max);
    last - first
}

fn now_ms() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0));
    std::time::Duration::new(seconds, nanoseconds).as_secs_f64() * 1e3
}

/// A step that does nothing but say when: one line, written in one go.
fn stamp(file: &Path) -> Result<()> {
    let start = now_ms();
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file)?;
    file.write_all(format!("{start:.6} {:.6}\n", now_ms()).as_bytes())?;
    Ok(())
}

fn chain(n: usize) -> String {
    steps(n, |i| if i == 0 { String::new() } else { format!("needs = [\"s{}\"]\n", i - 1) })
}

fn fan(n: usize) -> String {
    steps(n, |_| String::new())
}

fn steps(n: usize, needs: impl Fn(usize) -> String) -> String {
    (0..n).fold(String::new(), |all, i| format!("{all}[steps.s{i}]\n{}run = \"./stamp stamp stamps\"\n", needs(i)))
}

fn chain_make(n: usize) -> String {
    (0..n).fold(format!("all: s{}\n", n - 1), |all, i| {
        let need = if i == 0 { String::new() } else { format!("s{}", i - 1) };
        format!("{all}s{i}: {need}\n\t@./stamp stamp stamps\n")
    })
}

fn fan_make(n: usize) -> String {
    let names: Vec<String> = (0..n).map(|i| format!("s{i}")).collect();
    names
        .iter()
        .fold(format!("all: {}\n", names.join(" ")), |all, name| format!("{all}{name}:\n\t@./stamp stamp stamps\n"))
}

/// A fresh workspace with a state directory and an engine of its own.
struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("dwb")
            .tempdir_in(std::env::var_os("HOME").map_or("/tmp".into(), PathBuf::from))?;
        std::fs::copy(std::env::current_exe()?, dir.path().join("stamp"))?;
        Ok(Self { dir })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dogwatch"));
        command.current_dir(self.dir.path()).env("DOGWATCH_STATE_DIR", self.dir.path().join("state"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn stamps(&self) -> Result<Vec<(f64, f64)>> {
        let path = self.dir.path().join("stamps");
        let text = std::fs::read_to_string(&path)?;
        std::fs::remove_file(&path)?;
        let mut stamps = Vec::new();
        for line in text.lines() {
            let (start, end) = line.split_once(' ').ok_or("a stamp is torn")?;
            stamps.push((start.parse()?, end.parse()?));
        }
        stamps.sort_by(|a: &(f64, f64), b| a.0.total_cmp(&b.0));
        Ok(stamps)
    }

    fn dogwatch(&self, name: &str, parallel: u32, steps: &str) -> Result<Vec<(f64, f64)>> {
        let file = format!("version = 1\n[workflow]\nname = \"{name}\"\nmax_parallel = {parallel}\n{steps}");
        std::fs::write(self.dir.path().join("bench.toml"), file)?;
        let status = self.command().args(["run", "bench.toml", "--no-input"]).status()?;
        if !status.success() {
            return Err(format!("the run of {name} ended with {status}").into());
        }
        self.stamps()
    }

    fn make(&self, makefile: &str, parallel: u32) -> Result<f64> {
        std::fs::write(self.dir.path().join("Makefile"), makefile)?;
        let made = Command::new("make").arg(format!("-sj{parallel}")).current_dir(self.dir.path()).status();
        if made.is_ok_and(|status| status.success()) { Ok(span(&self.stamps()?)) } else { Ok(f64::NAN) }
    }

    fn engine_memory(&self) -> Result<f64> {
        let lock = std::fs::read_to_string(self.dir.path().join("state/engine.lock"))?;
        let pid = lock.split_whitespace().nth(1).ok_or("the lock names nobody")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.command().args(["engine", "stop"]).status());
    }
}

/// One process and one durable small file after another: what no engine that keeps its promises can be below.
fn floor(scratch: &Scratch) -> Result<f64> {
    let dir = scratch.dir.path();
    let mut times = Vec::new();
    for i in 0..50 {
        let before = now_ms();
        Command::new("./stamp").args(["stamp", "floor"]).current_dir(dir).status()?;
        let file = std::fs::File::create(dir.join(format!("floor.{i}")))?;
        (&file).write_all(&[b'x'; 300])?;
        file.sync_data()?;
        times.push(now_ms() - before);
    }
    Ok(median(&times))
}
