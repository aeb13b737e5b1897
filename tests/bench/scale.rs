//! What a workflow of many steps costs: 10^2, 10^3 and 10^4 of them as a chain, a fan-out with a join, a random graph, and
//! the lanes of one step.
//! For each the time of reading the file, of planning, of `dogwatch validate`, and of a whole life in the mind with a real
//! journal behind it; replay of a long journal; what its sums and its mark cost a commit; what clients are sent and shown;
//! and the real engine with steps of `true`. Each case is a process of its own: its peak memory is its own, too.
//!
//! `cargo bench --bench scale [-- life|replay|commit|views|real [SIZE…]]`; `real` with 10000 takes minutes, so it has to be
//! asked for. Prints tables; asserts nothing: machines are shared and noisy.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

#[path = "scale/cases.rs"]
mod cases;
#[path = "scale/life.rs"]
mod life;
#[path = "scale/real.rs"]
mod real;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The shapes of graphs.
const SHAPES: [&str; 4] = ["chain", "fan", "random", "lanes"];

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [first, rest @ ..] = words.as_slice()
        && first == "case"
    {
        return cases::case(rest);
    }
    let what = words.first().map_or("", String::as_str);
    let sizes: Vec<usize> = words.iter().skip(1).map(|word| word.parse()).collect::<std::result::Result<_, _>>()?;
    let sizes = |usual: &[usize]| if sizes.is_empty() { usual.to_vec() } else { sizes.clone() };
    let wanted = |name: &str| what.is_empty() || what == name;
    if wanted("life") {
        table("steps in the mind, journalled", cases::LIFE, "life", &sizes(&[100, 1_000, 10_000]))?;
    }
    if wanted("views") {
        table("what clients are told of a run, half of it over", cases::VIEWS, "views", &sizes(&[100, 1_000, 10_000]))?;
    }
    if wanted("replay") {
        table("opening and folding a journal of so many events", cases::REPLAY, "replay", &sizes(&[10_000, 100_000]))?;
    }
    if wanted("commit") {
        table("commits of four events", cases::COMMIT, "commit", &sizes(&[2_000]))?;
    }
    if wanted("real") {
        table("the engine, steps of `true`", cases::REAL, "real", &sizes(&[100, 1_000]))?;
    }
    Ok(())
}

/// One line for each shape and size; what depends on no shape is run once for each size.
fn table(title: &str, columns: &[&str], case: &str, sizes: &[usize]) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "\n{title}")?;
    let head: Vec<String> = columns.iter().map(|column| format!("{column:>15}")).collect();
    writeln!(out, "{:<8} {:>8} {}", "", "", head.join(" "))?;
    let shapes: &[&str] = if matches!(case, "replay" | "commit") { &["chain"] } else { &SHAPES };
    for shape in shapes {
        for size in sizes {
            let output =
                Command::new(std::env::current_exe()?).args(["case", case, shape, &size.to_string()]).output()?;
            let said = String::from_utf8_lossy(&output.stdout);
            let cells: Vec<String> = said.split_whitespace().map(|cell| format!("{cell:>15}")).collect();
            writeln!(out, "{shape:<8} {size:>8} {}", cells.join(" "))?;
            if !output.status.success() {
                write!(out, "{}", String::from_utf8_lossy(&output.stderr))?;
            }
            out.flush()?;
        }
    }
    Ok(())
}

/// The largest that this process, or another one, ever was, in MiB.
fn peak(pid: Option<u32>) -> Result<f64> {
    let who = pid.map_or_else(|| "self".into(), |pid| pid.to_string());
    let status = std::fs::read_to_string(Path::new("/proc").join(who).join("status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}

fn now_ms() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0));
    std::time::Duration::new(seconds, nanoseconds).as_secs_f64() * 1e3
}

/// A workflow file of this shape.
fn source(shape: &str, n: usize) -> Result<String> {
    let mut text = format!("version = 1\n[workflow]\nname = \"{shape}\"\nmax_parallel = 8\n");
    if shape == "lanes" {
        let values: Vec<String> = (2..n).map(|value| value.to_string()).collect();
        write!(text, "[steps.s0]\nrun = \"true\"\n[steps.train]\nneeds = [\"s0\"]\nrun = \"true\"\n")?;
        write!(text, "[steps.train.matrix]\nseed = [{}]\n", values.join(", "))?;
        write!(text, "[steps.last]\nneeds = [\"train\"]\nrun = \"true\"\n")?;
        return Ok(text);
    }
    let mut dice: u64 = 42;
    for i in 0..n {
        let needs: Vec<usize> = match shape {
            "chain" => i.checked_sub(1).into_iter().collect(),
            "fan" if i == 0 => Vec::new(),
            "fan" if i + 1 == n => (1..i).collect(),
            "fan" => vec![0],
            "random" => random_needs(&mut dice, i),
            _ => return Err(format!("there is no shape {shape}").into()),
        };
        writeln!(text, "[steps.s{i}]")?;
        if !needs.is_empty() {
            let names: Vec<String> = needs.iter().map(|need| format!("\"s{need}\"")).collect();
            writeln!(text, "needs = [{}]", names.join(", "))?;
        }
        text += "run = \"true\"\n";
    }
    Ok(text)
}

/// Up to three of the steps before.
fn random_needs(dice: &mut u64, i: usize) -> Vec<usize> {
    let mut roll = |below: usize| {
        for _ in 0..3 {
            *dice ^= *dice << 13;
            *dice ^= *dice >> 7;
            *dice ^= *dice << 17;
        }
        usize::try_from(*dice % below.max(1) as u64).unwrap_or(0)
    };
    let count = roll(4).min(i);
    let needs: std::collections::BTreeSet<usize> = (0..count).map(|_| roll(i)).collect();
    needs.into_iter().collect()
}
