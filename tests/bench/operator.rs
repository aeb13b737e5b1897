//! What an operator waits for, on real terminals with a real engine: from a key to its echo, from the command to the first
//! whole screen, from `a` to the step's terminal; and what a screen costs that only stands there, or looks at a flood.
//! Beside it, in the same run, the same in tmux. Prints a table, asserts nothing: machines are shared and noisy.
//!
//! `cargo bench --bench operator [-- echo|first|attach|quiet|flood]`.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use dogwatch::clock::boottime_ms;
use dogwatch::screen::{Grid, Size};
use dogwatch::spawn;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Columns and rows of every terminal here.
const COLS: u16 = 200;
const ROWS: u16 = 60;
const PATIENCE_MS: i64 = 60_000;
/// Says back what it reads.
const ECHO: &str = "stty raw -echo; echo ready; exec cat";

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    let mut out = std::io::stdout();
    if is_wanted("echo") {
        echo(&mut out)?;
    }
    if is_wanted("first") {
        first(&mut out)?;
    }
    if is_wanted("attach") {
        attach(&mut out)?;
    }
    if is_wanted("quiet") {
        quiet(&mut out)?;
    }
    if is_wanted("flood") {
        flood(&mut out)?;
    }
    Ok(())
}

fn now_us() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

/// Median, and the value below which nine of ten are, in milliseconds.
fn line_ms(out: &mut impl Write, what: &str, values: &mut [i64]) -> Result<()> {
    values.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "some seconds in microseconds")]
    let at = |tenth: usize| values[values.len() * tenth / 10] as f64 / 1000.0;
    let count = values.len();
    Ok(writeln!(out, "{what:<66} {:>8.2} ms  (of ten nine below {:.2}, n={count})", at(5), at(9))?)
}

fn line(out: &mut impl Write, what: &str, value: impl std::fmt::Display) -> Result<()> {
    Ok(writeln!(out, "{what:<66} {value:>8}")?)
}

/// A program on a terminal of its own, and what that shows.
struct Terminal {
    master: OwnedFd,
    child: Child,
    grid: Grid,
    bytes: usize,
    /// Groups of bytes that came together.
    bursts: usize,
    last_us: i64,
}

impl Terminal {
    fn open(mut command: Command) -> Result<Self> {
        let pty = spawn::open_pty(ROWS, COLS)?;
        command.env("TERM", "xterm-256color").env_remove("TMUX").env_remove("NO_COLOR");
        spawn::on_terminal(&mut command, &pty)?;
        let child = command.spawn()?;
        let grid = Grid::new(Size::new(ROWS, COLS));
        Ok(Self { master: pty.master, child, grid, bytes: 0, bursts: 0, last_us: 0 })
    }

    /// What comes within so many milliseconds; empty when nothing does.
    fn read(&mut self, wait_ms: i64) -> Result<Vec<u8>> {
        let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
        let timeout = Timespec { tv_sec: wait_ms / 1000, tv_nsec: wait_ms % 1000 * 1_000_000 };
        if poll(&mut fds, Some(&timeout))? == 0 {
            return Ok(Vec::new());
        }
        let mut block = vec![0; 65_536];
        let read = rustix::io::read(&self.master, &mut block[..])?;
        block.truncate(read);
        self.bytes += read;
        let now = now_us();
        self.bursts += usize::from(now > self.last_us + 4_000);
        self.last_us = now;
        self.grid.feed(&block);
        Ok(block)
    }

    fn shows(&self, text: &str) -> bool {
        (0..ROWS).any(|row| self.grid.row_text(row).contains(text))
    }

    /// Reads until it is so; the time in microseconds.
    fn until(&mut self, is_so: impl Fn(&Self) -> bool) -> Result<i64> {
        let deadline = boottime_ms() + PATIENCE_MS;
        while !is_so(self) {
            self.read(50)?;
            if boottime_ms() > deadline {
                let picture: Vec<String> = (0..ROWS).map(|row| self.grid.row_text(row)).collect();
                return Err(format!("this never came:\n{}", picture.join("\n")).into());
            }
        }
        Ok(now_us())
    }

    fn press(&self, keys: &[u8]) -> Result<()> {
        rustix::io::write(&self.master, keys)?;
        Ok(())
    }

    /// From a key until it is sent back, in microseconds.
    fn echo(&mut self, letter: u8) -> Result<i64> {
        let began = now_us();
        self.press(&[letter])?;
        let deadline = boottime_ms() + PATIENCE_MS;
        while !self.read(100)?.contains(&letter) {
            if boottime_ms() > deadline {
                return Err("a key was never echoed".into());
            }
        }
        Ok(now_us() - began)
    }

    /// Everything that is still coming, until nothing comes for so long.
    fn settle(&mut self, quiet_ms: i64) -> Result<()> {
        while !self.read(quiet_ms)?.is_empty() {}
        Ok(())
    }

    fn cpu_ms(&self) -> Result<i64> {
        cpu_ms(self.child.id())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // What has ended already cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cpu_ms(pid: u32) -> Result<i64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat[stat.rfind(')').ok_or("stat")? + 2..].split(' ').collect();
    // In ticks of 10 ms.
    Ok((fields[11].parse::<i64>()? + fields[12].parse::<i64>()?) * 10)
}

/// A workspace, an engine and a tmux server of their own.
struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new(steps: &str) -> Result<Self> {
        let root = tempfile::Builder::new().prefix("dwo").tempdir()?;
        std::fs::create_dir(root.path().join("work"))?;
        let place = Self { root };
        let text = format!("version = 1\n[workflow]\nname = \"bench\"\nmax_parallel = 16\n{steps}");
        std::fs::write(place.work().join("dogwatch.toml"), text)?;
        place.dogwatch(&["run", "--detach"]).stdout(Stdio::null()).status()?;
        Ok(place)
    }

    fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    fn dogwatch(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dogwatch"));
        command.args(arguments).current_dir(self.work());
        command.env("DOGWATCH_STATE_DIR", self.root.path().join("s")).env("HOME", self.root.path());
        command
    }

    /// tmux as people have it, without a status line.
    fn tmux(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-u").arg("-S").arg(self.root.path().join("t")).args(["-f", "/dev/null"]).args(arguments);
        command.current_dir(self.work()).env_remove("TMUX");
        command
    }

    /// A session with this program in it, nobody attached.
    fn session(&self, script: &str) -> Result<()> {
        let (cols, rows) = (COLS.to_string(), ROWS.to_string());
        let quiet = ["set", "-g", "status", "off", ";"];
        let new = ["new-session", "-d", "-s", "one", "-x", &cols, "-y", &rows, script, ";"];
        self.tmux(&[&new[..], &quiet[..4]].concat()).status()?;
        Ok(())
    }

    fn ui(&self) -> Result<Terminal> {
        Terminal::open(self.dogwatch(&["ui", "bench"]))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for arguments in [&["stop", "bench"][..], &["wait", "bench", "--timeout", "30s"], &["engine", "stop"]] {
            let _ = self.dogwatch(arguments).stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null()).status();
        }
        let _ = self.tmux(&["kill-server"]).stderr(Stdio::null()).status();
    }
}

fn one_step(script: &str) -> String {
    format!("[steps.a]\nrun = '{script}'\n")
}

/// The attached terminal is there: its cursor is to be seen.
fn is_attached(terminal: &Terminal) -> bool {
    terminal.shows("ATTACHED") && terminal.grid.cursor().is_some()
}

/// Keys of a person, each echoed before the next one is pressed, in turns in both.
fn echo(out: &mut impl Write) -> Result<()> {
    const KEYS: u8 = 250;
    let place = Place::new(&one_step(ECHO))?;
    place.session(ECHO)?;
    let mut ours = place.ui()?;
    ours.until(|terminal| terminal.shows("ready"))?;
    ours.press(b"a")?;
    ours.until(is_attached)?;
    let mut plain = Terminal::open(place.tmux(&["attach"]))?;
    plain.until(|terminal| terminal.shows("ready"))?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for key in 0..KEYS {
        // No letter of a clock.
        let letter = b'A' + key % 26;
        ours.settle(20)?;
        with.push(ours.echo(letter)?);
        plain.settle(20)?;
        without.push(plain.echo(letter)?);
    }
    line_ms(out, "key to echo, attached in the screen", &mut with)?;
    line_ms(out, "  ... in a plain tmux attach", &mut without)
}

/// From the command to a whole screen, with an engine that runs.
fn first(out: &mut impl Write) -> Result<()> {
    let place = Place::new(&one_step(ECHO))?;
    place.session(ECHO)?;
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..21 {
        let began = now_us();
        let mut terminal = place.ui()?;
        let whole = |terminal: &Terminal| terminal.shows("bench #1") && terminal.shows("ready");
        ours.push(terminal.until(whole)? - began);
        drop(terminal);
        let began = now_us();
        let mut terminal = Terminal::open(place.tmux(&["attach"]))?;
        plain.push(terminal.until(|terminal| terminal.shows("ready"))? - began);
    }
    line_ms(out, "dogwatch ui, until the run and the step's output are shown", &mut ours)?;
    line_ms(out, "  ... tmux attach, until its output is shown", &mut plain)
}

/// From `a` to the step's terminal.
fn attach(out: &mut impl Write) -> Result<()> {
    let place = Place::new(&one_step(ECHO))?;
    let mut ours = Vec::new();
    let mut terminal = place.ui()?;
    terminal.until(|terminal| terminal.shows("ready"))?;
    for _ in 0..21 {
        terminal.settle(300)?;
        let began = now_us();
        terminal.press(b"a")?;
        ours.push(terminal.until(is_attached)? - began);
        terminal.press(b"\x1d")?;
        terminal.until(|terminal| terminal.shows("let go of a"))?;
    }
    line_ms(out, "a, until the step's own terminal is shown", &mut ours)
}

/// A screen with sixteen panes at which nobody does anything.
fn quiet(out: &mut impl Write) -> Result<()> {
    const SECONDS: u64 = 30;
    let steps =
        |script: &str| (0..16).map(|n| format!("[steps.s{n}]\nrun = '{script}'\n")).collect::<Vec<_>>().concat();
    for (what, script) in [
        ("16 quiet panes of a run that has ended, 30 s", "seq 100"),
        ("16 quiet panes of a run that goes on (a clock is shown), 30 s", "seq 100; sleep 600"),
    ] {
        let place = Place::new(&steps(script))?;
        let mut terminal = place.ui()?;
        terminal.press(b"2")?;
        let ended = !script.contains("sleep");
        terminal.until(|terminal| terminal.shows("16 s15") && (!ended || terminal.shows("succeeded")))?;
        terminal.settle(1_500)?;
        let (cpu, bursts, bytes) = (terminal.cpu_ms()?, terminal.bursts, terminal.bytes);
        let end = boottime_ms() + i64::try_from(SECONDS)? * 1_000;
        while boottime_ms() < end {
            terminal.read(end - boottime_ms())?;
        }
        line(out, &format!("{what}: CPU, ms"), terminal.cpu_ms()? - cpu)?;
        line(out, "  ... draws", terminal.bursts - bursts)?;
        line(out, "  ... bytes", terminal.bytes - bytes)?;
    }
    Ok(())
}

/// 50 MB of coloured log that a step prints as fast as it can, zoomed, and the same in tmux.
fn flood(out: &mut impl Write) -> Result<()> {
    let script = "while [ ! -e go ]; do sleep 0.05; done; cat flood; echo; echo all of it; sleep 600";
    let place = Place::new(&one_step(script))?;
    let text = coloured(50_000_000);
    std::fs::write(place.work().join("flood"), text)?;
    let mut ours = place.ui()?;
    ours.until(|terminal| terminal.shows("bench #1"))?;
    ours.press(b"z")?;
    ours.settle(1_200)?;
    let (bytes, cpu) = (ours.bytes, ours.cpu_ms()?);
    let began = now_us();
    go(&place.work())?;
    let took = ours.until(|terminal| terminal.shows("all of it"))? - began;
    let (bytes, cpu) = (ours.bytes - bytes, ours.cpu_ms()? - cpu);
    drop(ours);
    std::fs::remove_file(place.work().join("go"))?;
    place.session(script)?;
    let mut plain = Terminal::open(place.tmux(&["attach"]))?;
    plain.settle(500)?;
    let server = place.tmux(&["display-message", "-p", "#{pid}"]).output()?;
    let server: u32 = String::from_utf8(server.stdout)?.trim().parse()?;
    let before = (plain.bytes, plain.cpu_ms()? + cpu_ms(server)?);
    let began = now_us();
    go(&place.work())?;
    let took_plain = plain.until(|terminal| terminal.shows("all of it"))? - began;
    let (bytes_plain, cpu_plain) = (plain.bytes - before.0, plain.cpu_ms()? + cpu_ms(server)? - before.1);
    line(out, "50 MB of coloured log, zoomed: bytes to the terminal", bytes)?;
    line(out, "  ... CPU of the screen, ms", cpu)?;
    line(out, "  ... until its end is shown, ms", took / 1000)?;
    line(out, "  ... in tmux: bytes to the terminal", bytes_plain)?;
    line(out, "  ... in tmux: CPU of server and client, ms", cpu_plain)?;
    line(out, "  ... in tmux: until its end is shown, ms", took_plain / 1000)?;
    line(out, "  ... ours to tmux's, bytes to the terminal, %", bytes * 100 / bytes_plain.max(1))?;
    line(out, "  ... ours to tmux's, CPU, %", cpu * 100 / cpu_plain.max(1))
}

fn go(work: &Path) -> Result<()> {
    Ok(std::fs::write(work.join("go"), "")?)
}

/// Lines of 150 columns, with a colour for each word.
fn coloured(length: usize) -> String {
    let mut text = String::with_capacity(length + 1_000);
    let mut number = 0;
    while text.len() < length {
        for word in 0..10 {
            let colour = (1 + (number + word) % 7).to_string();
            text += &["\x1b[3", &colour, "m", &number.to_string(), " loss=1.", &word.to_string(), " \x1b[0m"].concat();
        }
        text += "\r\n";
        number += 1;
    }
    text
}
