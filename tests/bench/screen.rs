//! What the operator's screen costs: a frame with sixteen panes that scroll, hostile bytes, memory of many panes, and 50 MB
//! of coloured log beside a tmux that shows the same to an attached client. CPU time, not wall time: machines are shared.
//! Prints a table, asserts nothing.
//!
//! `cargo bench --bench screen`.

use std::io::{Read as _, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use dogwatch::clock::{boottime_ms, pause};
use dogwatch::screen::{Direction, Grid, History, Searched, Size, Tail, Work};
use dogwatch::spawn;
use dogwatch::tui::shell::terminal::budget::{Budget, UNREAD};
use dogwatch::tui::shell::terminal::cells::Cells;
use ratatui::layout::Rect;
use rustix::time::{ClockId, clock_gettime};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let mut out = std::io::stdout();
    let files = tempfile::Builder::new().prefix("dws").tempdir()?;
    memory(&mut out, files.path())?;
    for width in [48, 119] {
        frames(&mut out, width)?;
    }
    hostile(&mut out)?;
    history(&mut out, files.path())?;
    swallow(&mut out, files.path())
}

/// CPU time of this process in microseconds.
fn cpu_us() -> i64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

fn line(out: &mut impl Write, what: &str, value: impl std::fmt::Display) -> Result<()> {
    Ok(writeln!(out, "{what:<72} {value:>14}")?)
}

/// A line of a log of this width, with a colour for each word.
fn coloured(number: usize, width: usize) -> String {
    let mut text = String::new();
    let mut column = 0;
    while column < width {
        let word = format!("{number} loss=1.{column} ");
        let word = &word[..word.len().min(width - column)];
        text += &["\x1b[3", &(1 + (number + column) % 7).to_string(), "m", word, "\x1b[0m"].concat();
        column += word.len();
    }
    text + "\r\n"
}

/// Sixteen panes on 200x60; each scrolls ten full lines between two frames.
fn frames(out: &mut impl Write, width: usize) -> Result<()> {
    const FRAMES: usize = 300;
    let mut terminal = Cells::new(Rect::new(0, 0, 200, 60));
    let mut sent = 0;
    let mut panes: Vec<Grid> = (0..16).map(|_| Grid::new(Size::new(40, 120))).collect();
    let (mut fed, mut drawn, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    let all = cpu_us();
    for frame in 0..FRAMES {
        let text: String = (0..10).map(|n| coloured(frame * 10 + n, width)).collect();
        let began = cpu_us();
        for pane in &mut panes {
            pane.feed(text.as_bytes());
        }
        let middle = cpu_us();
        let bytes = terminal.frame(|buf| {
            for (at, pane) in (0u16..).zip(&panes) {
                pane.paint_wrapped(Rect::new(at % 4 * 50 + 1, at / 4 * 15 + 1, 48, 13), buf);
            }
        });
        sent += bytes.len();
        let ended = cpu_us();
        fed.push(middle - began);
        drawn.push(ended - middle);
        whole.push(ended - began);
    }
    let second = (cpu_us() - all) * 30 / i64::try_from(FRAMES)?;
    let what = format!("16 panes on 200x60, 10 lines of {width} columns each");
    line(out, &format!("{what}: take in, median us"), middle(&mut fed))?;
    line(out, "  ... draw and send, median us", middle(&mut drawn))?;
    line(out, "  ... both, median us", middle(&mut whole))?;
    line(out, "  ... at 30 frames a second, ms of CPU a second", second / 1000)?;
    line(out, "  ... bytes to the terminal for a frame", sent / FRAMES)
}

fn middle(values: &mut [i64]) -> i64 {
    values.sort_unstable();
    values[values.len() / 2]
}

/// The dearest frame of one pane that gets nothing but these bytes, with all the work of a frame.
fn hostile(out: &mut impl Write) -> Result<()> {
    let table: [(&str, Vec<u8>); 7] = [
        ("ESC[65535@ x 10,000", b"\x1b[65535@".repeat(10_000)),
        ("OSC without an end, 5 MB", [b"\x1b]0;".as_slice(), &b"x".repeat(5_000_000)].concat()),
        ("x, then ESC[65535b x 10,000", [b"x".as_slice(), &b"\x1b[65535b".repeat(10_000)].concat()),
        ("ESC c x 100,000", b"\x1bc".repeat(100_000)),
        ("ESC[65535L x 50,000", b"\x1b[65535L".repeat(50_000)),
        ("ESC[2J ESC[?1049h ESC[?1049l x 30,000", b"\x1b[2J\x1b[?1049h\x1b[?1049l".repeat(30_000)),
        ("a combining mark x 1,000,000", ["e", &"\u{301}".repeat(1_000_000)].concat().into_bytes()),
    ];
    for (name, bytes) in table {
        let mut grid = Grid::new(Size::new(60, 200));
        let area = Rect::new(0, 0, 200, 60);
        let mut terminal = Cells::new(area);
        let (mut rest, mut dearest, mut frames, all) = (bytes.as_slice(), 0, 0, cpu_us());
        while !rest.is_empty() {
            let began = cpu_us();
            let mut work = Work::FRAME;
            let taken = grid.feed_some(rest, &mut work);
            terminal.frame(|buf| grid.paint(area, buf));
            dearest = dearest.max(cpu_us() - began);
            rest = &rest[taken..];
            frames += 1;
        }
        let all = cpu_us() - all;
        line(out, &format!("{name}: dearest frame of {frames}, us (all: {all})"), dearest)?;
    }
    Ok(())
}

fn log(dir: &Path, lines: usize, width: usize) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let text: String = (0..lines).map(|number| coloured(number, width)).collect();
    Ok(std::fs::write(dir.join("log"), text)?)
}

fn memory_kib() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// 64 panes with 5,000 lines each.
fn memory(out: &mut impl Write, files: &Path) -> Result<()> {
    let before = memory_kib()?;
    let (mut panes, mut histories) = (Vec::new(), Vec::new());
    for number in 0..64 {
        let dir = files.join(number.to_string());
        log(&dir, 5_000, 100)?;
        let mut tail = Tail::new(&dir);
        while tail.poll(&mut Work::FRAME.clone())?.behind {}
        panes.push(tail);
        let mut history = History::new(&dir);
        while !history.step(8 << 20)? {}
        assert_eq!(history.count(), 5_000);
        histories.push(history);
    }
    line(out, "64 panes with 5,000 lines each: memory of all, MiB", memory_kib()? / 1024)?;
    line(out, "  ... before there were any, MiB", before / 1024)?;
    drop((panes, histories));
    Ok(())
}

/// 64 MiB of log: to count it, to look at the middle, to search all of it.
fn history(out: &mut impl Write, files: &Path) -> Result<()> {
    let dir = files.join("long");
    log(&dir, 420_000, 100)?;
    let size = std::fs::metadata(dir.join("log"))?.len() >> 20;
    let mut history = History::new(&dir);
    let (mut dearest, mut steps, all) = (0, 0, cpu_us());
    loop {
        let began = cpu_us();
        let done = history.step(8 << 20)?;
        dearest = dearest.max(cpu_us() - began);
        steps += 1;
        if done {
            break;
        }
    }
    line(out, &format!("{size} MiB of log: {} lines counted in {steps} steps, us", history.count()), cpu_us() - all)?;
    line(out, "  ... dearest step of 8 MiB, us", dearest)?;
    let began = cpu_us();
    for place in 0..1000 {
        history.lines(place * 420, 60)?;
    }
    line(out, "  ... 60 lines from anywhere, us", (cpu_us() - began) / 1000)?;
    let nowhere = regex::Regex::new("this is not there")?;
    let (mut from, mut dearest, all) = (0, 0, cpu_us());
    loop {
        let began = cpu_us();
        let searched = history.search(&nowhere, from, Direction::Forward, 1 << 20)?;
        dearest = dearest.max(cpu_us() - began);
        match searched {
            Searched::More { from: next } => from = next,
            Searched::Found { .. } | Searched::No => break,
        }
    }
    line(out, "  ... searched for what is not there, us", cpu_us() - all)?;
    line(out, "  ... dearest step of 1 MiB, us", dearest)
}

/// 50 MB that are printed within the time of 100 frames, and the same in tmux with an attached client.
fn swallow(out: &mut impl Write, files: &Path) -> Result<()> {
    let (cols, rows) = (200, 60);
    let area = Rect::new(0, 0, cols, rows);
    let mut text = String::new();
    for number in 0.. {
        if text.len() > 50_000_000 {
            break;
        }
        text += &coloured(number, 150);
    }
    let dir = files.join("flood");
    std::fs::create_dir_all(&dir)?;
    let mut log = std::fs::File::create(dir.join("log"))?;
    let mut tail = Tail::new(&dir);
    let (mut terminal, mut every) = (Cells::new(area), Cells::new(area));
    let (mut budget, mut now, mut drawn) = (Budget::new(0), 0, 0);
    let (mut spent, mut ours, mut unbounded, mut last) = (0, 0, 0, 0);
    for part in text.as_bytes().chunks(text.len() / 100 + 1) {
        log.write_all(part)?;
        now += 33;
        // What the screen does, at the screen's times.
        if now >= budget.due_ms() {
            let (began, before) = (cpu_us(), last);
            if tail.poll(&mut Work::FRAME.clone())?.changed {
                last = tail.offset().unwrap_or(0);
                let bytes = terminal.frame(|buf| tail.paint(area, buf)).len();
                budget.spend(bytes, last > before + UNREAD, now);
                (ours, drawn) = (ours + bytes, drawn + 1);
            }
            spent += cpu_us() - began;
        } else {
            let _ = tail.poll(&mut Work::FRAME.clone())?;
        }
        unbounded += every.frame(|buf| tail.paint(area, buf)).len();
    }
    let length = i64::try_from(text.len())?;
    let per_byte = |us: i64| us * 1_000_000 / length;
    line(out, "50 MB of coloured log in a pane: CPU, ps a byte", per_byte(spent))?;
    line(out, "  ... bytes to the terminal", ours)?;
    line(out, "  ... frames of 100 that were drawn", drawn)?;
    line(out, "  ... bytes if all of them were", unbounded)?;
    let began = cpu_us();
    let mut grid = Grid::new(Size::new(rows, cols));
    grid.feed(text.as_bytes());
    line(out, "  ... if all of it were taken in: CPU, ps a byte", per_byte(cpu_us() - began))?;
    match tmux(&dir, files, rows, cols) {
        Ok((us, bytes)) => {
            line(out, "  ... in tmux with an attached client: CPU, ps a byte", per_byte(us))?;
            line(out, "  ... bytes of that client to the terminal", bytes)?;
            line(out, "  ... ours to tmux's, CPU, %", spent * 100 / us.max(1))?;
            line(out, "  ... ours to tmux's, bytes to the terminal, %", ours * 100 / bytes.max(1))
        }
        Err(error) => line(out, "  ... tmux cannot be measured here", error),
    }
}

/// CPU of server and client together in microseconds, and the bytes that the client wrote.
fn tmux(dir: &Path, files: &Path, rows: u16, cols: u16) -> Result<(i64, usize)> {
    let socket = files.join("t");
    let script = format!("cat {}; echo; echo all of it; sleep 60", dir.join("log").display());
    let pty = spawn::open_pty(rows, cols)?;
    let mut command = Command::new("tmux");
    command
        .arg("-u")
        .arg("-S")
        .arg(&socket)
        .args(["-f", "/dev/null", "new-session", &script])
        .env("TERM", "xterm-256color");
    spawn::on_terminal(&mut command, &pty)?;
    let mut client = command.spawn()?;
    drop(pty.slave);
    let mut screen = std::fs::File::from(pty.master);
    let (mut bytes, mut block, mut last) = (0, vec![0; 65_536], Vec::new());
    let deadline = boottime_ms() + 120_000;
    while !String::from_utf8_lossy(&last).contains("all of it") && boottime_ms() < deadline {
        let read = screen.read(&mut block)?;
        bytes += read;
        last.drain(..last.len().saturating_sub(4_000));
        last.extend_from_slice(&block[..read]);
    }
    pause(Duration::from_millis(100));
    let server = Command::new("tmux").arg("-S").arg(&socket).args(["display-message", "-p", "#{pid}"]).output()?;
    let server: u32 = String::from_utf8(server.stdout)?.trim().parse()?;
    let spent = spent_us(server)? + spent_us(client.id())?;
    Command::new("tmux").arg("-S").arg(&socket).arg("kill-server").status()?;
    client.wait()?;
    Ok((spent, bytes))
}

fn spent_us(pid: u32) -> Result<i64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat[stat.rfind(')').ok_or("stat")? + 2..].split(' ').collect();
    // In ticks of 10 ms.
    Ok((fields[11].parse::<i64>()? + fields[12].parse::<i64>()?) * 10_000)
}
