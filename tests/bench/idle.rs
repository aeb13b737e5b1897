//! What an engine costs that only watches: CPU over 30 s with 100 running steps, memory with 200, how long it takes to
//! adopt 100 after a kill, and how much slower a step that floods its terminal is than under `script -q`. Prints a table,
//! asserts nothing: machines are shared and noisy.
//!
//! `cargo bench --bench idle`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let mut out = std::io::stdout();
    let house = House::new()?;
    house.run(&sleepers("hundred", 100))?;
    house.wait_running(100)?;
    let before = house.cpu_ms()?;
    dogwatch::clock::pause(Duration::from_secs(30));
    writeln!(out, "{:<58} {:>9} ms", "CPU of the engine in 30 s with 100 running steps", house.cpu_ms()? - before)?;

    let pid = house.engine()?;
    Command::new("kill").args(["-9", &pid.to_string()]).status()?;
    while Path::new(&format!("/proc/{pid}")).exists() {
        dogwatch::clock::pause(Duration::from_millis(1));
    }
    let began = dogwatch::clock::boottime_ms();
    house.dogwatch(&["engine", "start"])?;
    let answers = dogwatch::clock::boottime_ms() - began;
    // Everything is adopted when an order reaches the steps: here the newest one.
    house.dogwatch(&["send", "@last", "s99", "x"])?;
    let adopted = dogwatch::clock::boottime_ms() - began;
    writeln!(out, "{:<58} {answers:>9} ms", "killed engine started again until it answers")?;
    writeln!(out, "{:<58} {adopted:>9} ms", "... until an order reaches one of 100 adopted steps")?;

    house.run(&sleepers("more", 100))?;
    house.wait_running(200)?;
    writeln!(
        out,
        "{:<58} {:>9} MiB",
        "memory of the engine with 200 running steps",
        house.memory_kib("VmRSS:")? / 1024
    )?;
    writeln!(out, "{:<58} {:>9} MiB", "... at most", house.memory_kib("VmHWM:")? / 1024)?;
    drop(house);
    flood(&mut out)
}

/// The same output under `script -q` and as a step; the step notes its own times.
fn flood(out: &mut impl std::io::Write) -> Result<()> {
    const OUTPUT: &str = "yes 0123456789abcdefghijklmnopqrstuvwxyz | head -c 536870912";
    let house = House::new()?;
    let began = dogwatch::clock::boottime_ms();
    let script = Command::new("script").args(["-q", "-c", OUTPUT, "/dev/null"]).stdout(Stdio::null()).status();
    let under_script = dogwatch::clock::boottime_ms() - began;
    let text = format!("version = 1\n[workflow]\nname = \"flood\"\n[steps.s0]\nrun = '{OUTPUT}'\n");
    house.run(&text)?;
    house.dogwatch(&["wait", "@last"])?;
    let status = house.status()?;
    let step = &status["steps"][0];
    let took = step["ended_ms"].as_i64().unwrap_or(0) - step["started_ms"].as_i64().unwrap_or(0);
    writeln!(out, "{:<58} {took:>9} ms", "512 MiB of output as a step")?;
    match script {
        Ok(_) => {
            writeln!(out, "{:<58} {under_script:>9} ms", "... under script -q")?;
            writeln!(out, "{:<58} {:>9} %", "... speed of the step", under_script * 100 / took.max(1))?;
        }
        Err(error) => writeln!(out, "script is not there: {error}")?,
    }
    Ok(())
}

fn sleepers(name: &str, count: usize) -> String {
    let steps: Vec<String> = (0..count).map(|number| format!("[steps.s{number}]\nrun = 'sleep 600'\n")).collect();
    format!("version = 1\n[workflow]\nname = \"{name}\"\nmax_parallel = {count}\n{}", steps.concat())
}

/// State and workspace of their own; nothing is left of them.
struct House {
    root: tempfile::TempDir,
}

impl House {
    fn new() -> Result<Self> {
        let root = tempfile::Builder::new().prefix("dwi").tempdir()?;
        std::fs::create_dir(root.path().join("work"))?;
        Ok(Self { root })
    }

    fn state(&self) -> PathBuf {
        self.root.path().join("s")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dogwatch"));
        command.args(arguments).env("DOGWATCH_STATE_DIR", self.state()).current_dir(self.root.path().join("work"));
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn dogwatch(&self, arguments: &[&str]) -> Result<()> {
        self.command(arguments).stdout(Stdio::null()).status()?;
        Ok(())
    }

    fn status(&self) -> Result<serde_json::Value> {
        Ok(serde_json::from_slice(&self.command(&["status", "--json"]).output()?.stdout)?)
    }

    fn run(&self, text: &str) -> Result<()> {
        std::fs::write(self.root.path().join("work/w.toml"), text)?;
        self.dogwatch(&["run", "w.toml", "--detach"])
    }

    fn wait_running(&self, count: u64) -> Result<()> {
        let deadline = dogwatch::clock::boottime_ms() + 120_000;
        while dogwatch::clock::boottime_ms() < deadline {
            let engine: serde_json::Value =
                serde_json::from_slice(&self.command(&["engine", "status", "--json"]).output()?.stdout)?;
            let all = self.status()?["steps"].as_array().is_some_and(|all| all.iter().all(|s| s["state"] == "running"));
            if all && engine["running_steps"].as_u64() >= Some(count) {
                return Ok(());
            }
            dogwatch::clock::pause(Duration::from_millis(50));
        }
        Err(format!("{count} steps do not run").into())
    }

    fn engine(&self) -> Result<u32> {
        let text = std::fs::read_to_string(self.state().join("engine.lock"))?;
        Ok(text.split(' ').nth(1).ok_or("no engine")?.parse()?)
    }

    fn cpu_ms(&self) -> Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.engine()?))?;
        let fields: Vec<&str> = stat[stat.rfind(')').ok_or("stat")? + 2..].split(' ').collect();
        // In ticks of 10 ms.
        Ok((fields[11].parse::<u64>()? + fields[12].parse::<u64>()?) * 10)
    }

    fn memory_kib(&self, what: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.engine()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix(what)).ok_or("no memory")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        for run in ["hundred", "more", "flood"] {
            drop(self.dogwatch(&["stop", run]));
            drop(self.dogwatch(&["wait", run, "--timeout", "30s"]));
        }
        drop(self.dogwatch(&["engine", "stop"]));
    }
}
