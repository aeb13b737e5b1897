//! What containers cost beside the sandbox, with a real dockerd and a real Podman service of the bench's own: from `run` on
//! a stopped engine to the first instruction, from one step's exit to the next one's first instruction, from `attach` to
//! the step's first screen, and the CPU of an engine that only watches 20 containers with 200 steps. Prints a table,
//! asserts nothing: machines are shared and noisy.
//!
//! `cargo bench --bench containers [-- sandbox|docker|podman] [start|steps|attach|quiet]`. Steps note their own start and
//! end (`CLOCK_BOOTTIME`, nanoseconds).

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use dogwatch::clock::{boottime_ms, pause};
use dogwatch::screen::{Grid, Size};
use dogwatch::spawn;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::engines::{Engine, Kind};
use crate::house::{House, is_alive, until};

#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../support/engines.rs"]
mod engines;
#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../support/house.rs"]
mod house;
#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../support/registry.rs"]
mod registry;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const PATIENCE_MS: i64 = 60_000;
const STARTS: usize = 9;
const CHAIN: usize = 50;
const ATTACHES: usize = 21;
const CONTAINERS: usize = 20;
const STEPS_EACH: usize = 10;
const QUIET: Duration = Duration::from_secs(30);
/// The image has no libraries: the bundle's own loader starts what was built here.
const INSIDE: &str = "/run/dogwatch/b/ld.so --library-path /run/dogwatch/b/lib ";

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if words.first().is_some_and(|word| word == "stamp") {
        return stamp(Path::new(&words[1]));
    }
    let chosen = |all: &[&str], name: &str| {
        let said = words.iter().any(|word| all.contains(&word.as_str()));
        !said || words.iter().any(|word| word == name)
    };
    let wanted = |name: &str| chosen(&["start", "steps", "attach", "quiet"], name);
    let mut out = std::io::stdout();
    for (name, kind) in [("sandbox", None), ("docker", Some(Kind::Docker)), ("podman", Some(Kind::Podman))] {
        if !chosen(&["sandbox", "docker", "podman"], name) {
            continue;
        }
        let place = Place { name, engine: kind.map(|kind| Engine::start(kind, false)) };
        if wanted("start") {
            place.start(&mut out)?;
        }
        if wanted("steps") {
            place.steps(&mut out)?;
        }
        if wanted("attach") {
            place.attach(&mut out)?;
        }
        if wanted("quiet") {
            place.quiet(&mut out)?;
        }
    }
    Ok(())
}

/// A step that does nothing but say when: one line, written in one go.
fn stamp(file: &Path) -> Result<()> {
    let start = now_ms();
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file)?;
    file.write_all(format!("{start:.6} {:.6}\n", now_ms()).as_bytes())?;
    Ok(())
}

fn now_ms() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0));
    Duration::new(seconds, nanoseconds).as_secs_f64() * 1e3
}

/// The stamps that were written so far, in order.
fn stamps(house: &House) -> Result<Vec<(f64, f64)>> {
    let mut stamps = Vec::new();
    for line in house.text("stamps").lines() {
        let (start, end) = line.split_once(' ').ok_or("a stamp is torn")?;
        stamps.push((start.parse()?, end.parse()?));
    }
    stamps.sort_by(|a: &(f64, f64), b| a.0.total_cmp(&b.0));
    Ok(stamps)
}

/// Median and range, in milliseconds.
fn line(out: &mut impl Write, (place, what): (&str, &str), values: &mut [f64]) -> Result<()> {
    values.sort_by(f64::total_cmp);
    let at = |tenth: usize| values.get((values.len() * tenth / 10).min(values.len() - 1)).copied().unwrap_or(f64::NAN);
    let (half, nine, count) = (at(5), at(9), values.len());
    Ok(writeln!(out, "{place:<8} {what:<62} {half:>9.2} ms  (of ten nine below {nine:.2}, n={count})")?)
}

/// Where steps run: the sandbox, or the containers of one engine.
struct Place {
    name: &'static str,
    engine: Option<Engine>,
}

impl Place {
    fn house(&self) -> Result<House> {
        let host = self.engine.as_ref().map(Engine::host);
        let house = House::with(&host.iter().map(|host| ("DOCKER_HOST", host.as_str())).collect::<Vec<_>>());
        std::fs::copy(std::env::current_exe()?, house.work().join("stamp"))?;
        Ok(house)
    }

    /// The environment, under this name in the file.
    fn environment(&self, table: &str) -> String {
        match self.engine {
            Some(_) => format!("[{table}]\nimage = \"bb:1\"\nnetwork = false\n"),
            None => format!("[{table}]\nisolation = \"auto\"\n"),
        }
    }

    fn stamping(&self) -> String {
        format!("run = '{}./stamp stamp stamps'\n", if self.engine.is_some() { INSIDE } else { "" })
    }

    /// `run` on a stopped engine; the image is there, the container is not.
    fn start(&self, out: &mut impl Write) -> Result<()> {
        let house = self.house()?;
        house.workflow(&format!("{}[steps.a]\n{}", self.environment("environment"), self.stamping()));
        let mut times = Vec::new();
        for _ in 0..=STARTS {
            let began = now_ms();
            house.start();
            until("the step has begun", || house.work().join("stamps").exists());
            let stamps = stamps(&house)?;
            times.push(stamps.first().ok_or("no stamp")?.0 - began);
            house.wait();
            std::fs::remove_file(house.work().join("stamps"))?;
            let engine = house.engine().ok_or("no engine")?;
            house.said(&["engine", "stop"]);
            until("the engine has ended", || !is_alive(engine));
        }
        let first = times.remove(0);
        line(out, (self.name, "run on a stopped engine to the first instruction"), &mut times)?;
        line(out, (self.name, "  ... the first time in a state folder (bundle, journal)"), &mut [first])
    }

    /// Steps one after another in the same environment.
    fn steps(&self, out: &mut impl Write) -> Result<()> {
        let house = self.house()?;
        let mut text = self.environment("environment");
        for number in 0..CHAIN {
            let needs = if number == 0 { String::new() } else { format!("needs = [\"s{}\"]\n", number - 1) };
            write!(text, "[steps.s{number}]\n{needs}{}", self.stamping())?;
        }
        house.workflow(&text);
        let mut gaps = Vec::new();
        for _ in 0..3 {
            house.start();
            if house.wait() != Some(0) {
                return Err(house.said(&["status"]).into());
            }
            gaps.extend(stamps(&house)?.windows(2).map(|pair| pair[1].0 - pair[0].1));
            std::fs::remove_file(house.work().join("stamps"))?;
        }
        line(out, (self.name, "exit to the next step's first instruction, same environment"), &mut gaps)
    }

    /// From the command to the picture of a step that has printed one line.
    fn attach(&self, out: &mut impl Write) -> Result<()> {
        let house = self.house()?;
        let step = "[steps.a]\nrun = 'echo ready; sleep 600'\n";
        house.workflow(&format!("{}{step}", self.environment("environment")));
        house.start();
        until("the step is shown", || house.log("a/0/a1").contains("ready") && !house.tmux_servers().is_empty());
        let mut times = Vec::new();
        for _ in 0..ATTACHES {
            let began = now_ms();
            let mut terminal = Terminal::open(house.command(&["attach", "@last", "a"]))?;
            terminal.until(|grid| (0..ROWS).any(|row| grid.row_text(row).contains("ready")))?;
            times.push(now_ms() - began);
            rustix::io::write(&terminal.master, b"\x1d")?;
            until("it has let go", || terminal.child.try_wait().is_ok_and(|status| status.is_some()));
        }
        line(out, (self.name, "dogwatch attach to the step's first screen"), &mut times)
    }

    /// An engine that has nothing to do but watch.
    fn quiet(&self, out: &mut impl Write) -> Result<()> {
        let house = self.house()?;
        let mut text = format!("[workflow]\nname = \"quiet\"\nmax_parallel = {}\n", CONTAINERS * STEPS_EACH);
        text += &self.environment("environment");
        for environment in 0..CONTAINERS {
            text += &self.environment(&format!("environments.e{environment}"));
            for step in 0..STEPS_EACH {
                writeln!(text, "[steps.s{environment}-{step}]\nenvironment = \"e{environment}\"")?;
                text += "run = 'echo on; exec sleep 600'\n";
            }
        }
        house.workflow(&text);
        let began = boottime_ms();
        house.start();
        let running = || house.attempts().keys().filter(|attempt| house.log(attempt).contains("on")).count();
        while running() < CONTAINERS * STEPS_EACH {
            if boottime_ms() - began > 5 * PATIENCE_MS {
                return Err(format!("{} of the steps run:\n{}", running(), house.said(&["status"])).into());
            }
            pause(Duration::from_millis(100));
        }
        let all = format!("{CONTAINERS} environments with {} steps", CONTAINERS * STEPS_EACH);
        writeln!(out, "{:<8} {:<62} {:>9} ms", self.name, format!("{all}: until all run"), boottime_ms() - began)?;
        // What comes after a start is over: sessions of tmux are made, the record is written.
        pause(Duration::from_secs(5));
        let engine = house.engine().ok_or("no engine")?;
        let (before, daemon) = (cpu_ms(engine)?, self.daemon_ms()?);
        pause(QUIET);
        let (used, daemons) = (cpu_ms(engine)? - before, self.daemon_ms()? - daemon);
        let percent = |ms: i64| format!("{:.2} %", cast(ms) / QUIET.as_secs_f64() / 10.0);
        writeln!(out, "{:<8} {:<62} {:>9}", self.name, format!("{all}, quiet: engine's CPU"), percent(used))?;
        writeln!(out, "{:<8} {:<62} {:>9}", self.name, "  ... the container engine's own daemon", percent(daemons))?;
        house.said(&["stop", "@last"]);
        house.wait();
        if let Some(engine) = &self.engine {
            until("its containers have gone", || engine.containers(&house.state()).is_empty());
        }
        Ok(())
    }

    fn daemon_ms(&self) -> Result<i64> {
        self.engine.as_ref().map_or(Ok(0), |engine| cpu_ms(engine.pid()))
    }
}

#[expect(clippy::cast_precision_loss, reason = "some seconds in milliseconds")]
fn cast(ms: i64) -> f64 {
    ms as f64
}

fn cpu_ms(pid: i32) -> Result<i64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat[stat.rfind(')').ok_or("stat")? + 2..].split(' ').collect();
    // In ticks of 10 ms.
    Ok((fields[11].parse::<i64>()? + fields[12].parse::<i64>()?) * 10)
}

const ROWS: u16 = 40;
const COLS: u16 = 120;

/// A program on a terminal of its own, and what that shows.
struct Terminal {
    master: std::os::fd::OwnedFd,
    child: Child,
    grid: Grid,
}

impl Terminal {
    fn open(mut command: Command) -> Result<Self> {
        let pty = spawn::open_pty(ROWS, COLS)?;
        command.env("TERM", "xterm-256color").env_remove("TMUX").env_remove("NO_COLOR");
        spawn::on_terminal(&mut command, &pty)?;
        let child = command.spawn()?;
        Ok(Self { master: pty.master, child, grid: Grid::new(Size::new(ROWS, COLS)) })
    }

    /// Reads until it shows that.
    fn until(&mut self, is_so: impl Fn(&Grid) -> bool) -> Result<()> {
        let deadline = boottime_ms() + PATIENCE_MS;
        while !is_so(&self.grid) {
            let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
            let _ = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 50_000_000 }))?;
            if !fds[0].revents().is_empty() {
                let mut block = vec![0; 65_536];
                let read = rustix::io::read(&self.master, &mut block[..])?;
                self.grid.feed(&block[..read]);
            }
            if boottime_ms() > deadline {
                let rows: Vec<String> = (0..ROWS).map(|row| self.grid.row_text(row)).collect();
                return Err(format!("this never came:\n{}", rows.join("\n")).into());
            }
        }
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // What has ended already cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
