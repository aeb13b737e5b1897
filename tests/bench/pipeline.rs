//! A pipeline (prepare, train, evaluate, export) under the eight faults of `pipeline/faults.json`, the same processes
//! supervised by (a) a script that runs one step after another, looks every 30 s or every 1 s whether it still runs,
//! starts it again from the beginning, and asks a person after three tries; (b) dogwatch with `pipeline/pipeline.toml`.
//!
//! `cargo bench --bench pipeline [-- SEEDS [SECONDS_A_MINUTE]]`. The time is scaled: a minute of the table takes one
//! second, unless told otherwise, also the 30 s and the 1 s of the looks. What dogwatch itself needs is not scaled down:
//! it counts sixtyfold. Each question waits for a person, who takes 5 to 30 minutes (drawn by the seed and the number of
//! the question), puts right what the log speaks of, and has the step started again. Both have the same time limits.
//! Prints a table; asserts nothing.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use dogwatch::clock::{boottime_ms, pause};

#[path = "../support/dice.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod dice;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Each step with its time limit in minutes: twice what it needs when nothing goes wrong, and five.
const STEPS: [(&str, u32); 4] = [("prepare", 15), ("train", 125), ("evaluate", 21), ("export", 11)];
/// What all of it needs when nothing goes wrong, in minutes.
const UNDISTURBED: f64 = 76.0;
const TRIES: u32 = 3;

/// How one pipeline went.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    minutes: f64,
    questions: u32,
    /// Units of work done, also those that were done again.
    units: usize,
}

/// Which seed, and how many seconds a minute takes.
#[derive(Debug, Clone, Copy)]
struct Setting {
    seed: u64,
    minute: f64,
}

impl Setting {
    fn minutes(self, minutes: f64) -> Duration {
        Duration::from_secs_f64(minutes * self.minute)
    }

    /// Minutes since then, in `CLOCK_BOOTTIME` milliseconds.
    fn since(self, then: i64) -> f64 {
        Duration::from_millis(boottime_ms().abs_diff(then)).as_secs_f64() / self.minute
    }

    /// How long the person takes for a question.
    fn person(self, question: u32) -> Duration {
        let seconds = dice::dice_for(self.seed, question).between(5 * 60, 30 * 60);
        self.minutes(Duration::from_secs(seconds).as_secs_f64() / 60.0)
    }
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let seeds: u64 = words.first().map_or(Ok(20), |word| word.parse())?;
    let minute: f64 = words.get(1).map_or(Ok(1.0), |word| word.parse())?;
    let home = tempfile::Builder::new()
        .prefix("dwp")
        .tempdir_in(std::env::var_os("HOME").map_or("/tmp".into(), PathBuf::from))?;
    let settings: Vec<Setting> = (1..=seeds).map(|seed| Setting { seed, minute }).collect();
    let naive = |looks: f64, name: &'static str| {
        let home = home.path();
        all(&settings, move |setting| alone(setting, looks, &prepared(home, name, setting)?))
    };
    let (half, second) = std::thread::scope(|scope| {
        let half = scope.spawn(|| naive(0.5, "half"));
        let second = scope.spawn(|| naive(1.0 / 60.0, "second"));
        (half.join(), second.join())
    });
    let (half, second) = (half.map_err(|_| "a thread panicked")??, second.map_err(|_| "a thread panicked")??);
    let engine = Engine { state: home.path().join("state") };
    let dogwatch = all(&settings, |setting| engine.supervise(setting, &prepared(home.path(), "dogwatch", setting)?))?;
    let mut out = std::io::stdout();
    writeln!(out, "{seeds} seeds, {minute} s a minute; median (least - most)")?;
    writeln!(
        out,
        "{:<34} {:>22} {:>14} {:>20} {:>14}",
        "supervised by", "minutes", "questions", "units of 152 done", "dogwatch is"
    )?;
    for (name, outcomes) in
        [("script, looks every 30 s", &half), ("script, looks every 1 s", &second), ("dogwatch", &dogwatch)]
    {
        let ratios: Vec<f64> = outcomes.iter().zip(&dogwatch).map(|(one, ours)| one.minutes / ours.minutes).collect();
        writeln!(
            out,
            "{name:<34} {:>22} {:>14} {:>20} {:>14}",
            spread(outcomes.iter().map(|one| one.minutes)),
            spread(outcomes.iter().map(|one| f64::from(one.questions))),
            spread(outcomes.iter().map(|one| u32::try_from(one.units).map_or(f64::NAN, f64::from))),
            format!("{:.2}x faster", median(ratios)),
        )?;
    }
    writeln!(out, "undisturbed: {UNDISTURBED} minutes")?;
    for (setting, ours) in settings.iter().zip(&dogwatch) {
        writeln!(out, "  seed {:>2}: {:.1} minutes, {} questions", setting.seed, ours.minutes, ours.questions)?;
    }
    Ok(())
}

/// All seeds at once: the processes sleep.
fn all(settings: &[Setting], one: impl Fn(Setting) -> Result<Outcome> + Sync) -> Result<Vec<Outcome>> {
    let one = &one;
    std::thread::scope(|scope| {
        let threads: Vec<_> = settings.iter().map(|setting| scope.spawn(move || one(*setting))).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked")?).collect()
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn spread(values: impl Iterator<Item = f64>) -> String {
    let values: Vec<f64> = values.collect();
    let (least, most) = values.iter().fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
    format!("{:.0} ({least:.0} - {most:.0})", median(values))
}

/// A folder of its own with the program and the faults.
fn prepared(home: &Path, name: &str, setting: Setting) -> Result<PathBuf> {
    let dir = home.join(format!("{name}-{}", setting.seed));
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join("step.py"), include_str!("pipeline/step.py"))?;
    std::fs::write(dir.join("faults.json"), include_str!("pipeline/faults.json"))?;
    Ok(dir)
}

fn units(dir: &Path) -> Result<usize> {
    Ok(std::fs::read_to_string(dir.join("units"))?.lines().count())
}

/// What the person puts right who reads the log; true where less memory is what helps.
fn put_right(dir: &Path, log: &str) -> Result<bool> {
    if log.contains("401 Client Error") {
        std::fs::write(dir.join("token"), "")?;
    }
    Ok(log.contains("CUDA out of memory"))
}

/// The script: one step after another, three tries each, from the start.
fn alone(setting: Setting, looks: f64, dir: &Path) -> Result<Outcome> {
    let begun = boottime_ms();
    let (mut questions, mut batch) = (0, "64");
    for (step, limit) in STEPS {
        let mut tries = 0;
        while !attempt(setting, (step, limit), looks, dir, batch)? {
            tries += 1;
            if tries < TRIES {
                continue;
            }
            pause(setting.person(questions));
            (questions, tries) = (questions + 1, 0);
            if put_right(dir, &std::fs::read_to_string(dir.join("log"))?)? {
                batch = "16";
            }
        }
    }
    Ok(Outcome { minutes: setting.since(begun), questions, units: units(dir)? })
}

/// True where the step ended well within its time limit; it is looked at now and then.
fn attempt(setting: Setting, (step, limit): (&str, u32), looks: f64, dir: &Path, batch: &str) -> Result<bool> {
    let log = std::fs::File::create(dir.join("log"))?;
    let mut child = Command::new("python3")
        .args(["step.py", step])
        .current_dir(dir)
        .envs([("MINUTE", setting.minute.to_string()), ("SEED", setting.seed.to_string()), ("BATCH", batch.into())])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()?;
    let until = boottime_ms() + i64::try_from(setting.minutes(f64::from(limit)).as_millis())?;
    loop {
        pause(setting.minutes(looks));
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if boottime_ms() > until {
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
    }
}

/// One engine for all seeds.
struct Engine {
    state: PathBuf,
}

impl Engine {
    fn command(&self, dir: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dogwatch"));
        command.current_dir(dir).env("DOGWATCH_STATE_DIR", &self.state).args(words);
        command
    }

    fn said(&self, dir: &Path, words: &[&str]) -> Result<String> {
        let output = self.command(dir, words).output()?;
        if !output.status.success() {
            return Err(format!("{words:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    fn supervise(&self, setting: Setting, dir: &Path) -> Result<Outcome> {
        let name = format!("seed-{}", setting.seed);
        std::fs::write(dir.join("dogwatch.toml"), workflow(setting, &name))?;
        let begun = boottime_ms();
        self.said(dir, &["run", "--detach", "--no-input"])?;
        let mut questions = 0;
        let late = boottime_ms() + i64::try_from(setting.minutes(8.0 * UNDISTURBED).as_millis())?;
        loop {
            let left = late - boottime_ms();
            if left <= 0 {
                return Err(format!("{name} does not end: {}", self.said(dir, &["status", &name])?).into());
            }
            // As a script of a person would: blocked until something is asked, or it is over.
            self.command(dir, &["wait", &name, "--timeout", &format!("{left}ms")]).output()?;
            let status: serde_json::Value = serde_json::from_str(self.said(dir, &["status", &name, "--json"])?.trim())?;
            let state = status["line"]["state"].as_str().unwrap_or_default();
            if state == "succeeded" {
                break;
            }
            if ["failed", "stopped"].contains(&state) {
                return Err(format!("{name} is {state}").into());
            }
            let Some(asked) = self.question(dir, &name)? else { continue };
            pause(setting.person(questions));
            questions += 1;
            put_right(dir, &self.said(dir, &["logs", &name, &asked.1])?)?;
            let choice = if asked.2.contains(&"resume".into()) { "resume" } else { "retry" };
            self.said(dir, &["decide", &asked.0, choice])?;
        }
        Ok(Outcome { minutes: setting.since(begun), questions, units: units(dir)? })
    }

    /// What is asked of this run: its number, the step, the choices.
    fn question(&self, dir: &Path, name: &str) -> Result<Option<(String, String, Vec<String>)>> {
        for line in self.said(dir, &["inbox", "--json"])?.lines() {
            let one: serde_json::Value = serde_json::from_str(line)?;
            let of = one["run_name"].as_str().and_then(|of| of.split_once(" #"));
            if of.is_some_and(|(of, _)| of == name) {
                let choices = one["choices"].as_array().into_iter().flatten();
                let choices = choices.filter_map(|choice| choice["choice"].as_str().or(choice.as_str()));
                let step = one["step"].as_str().unwrap_or_default().to_owned();
                return Ok(Some((format!("e{}", one["id"]), step, choices.map(str::to_owned).collect())));
            }
        }
        Ok(None)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.said(Path::new("/"), &["engine", "stop"]));
    }
}

/// The workflow with its times scaled.
fn workflow(setting: Setting, name: &str) -> String {
    let ms = |minutes: f64| format!("{}ms", setting.minutes(minutes).as_millis());
    let mut text = include_str!("pipeline/pipeline.toml").replace("@name", name);
    text = text.replace("@minute", &setting.minute.to_string()).replace("@seed", &setting.seed.to_string());
    for (step, limit) in STEPS {
        text = text.replace(&format!("@limit-{step}"), &ms(f64::from(limit)));
    }
    for seconds in [10, 30, 300, 600, 1800] {
        text = text.replace(&format!("\"@{seconds}s\""), &format!("\"{}\"", ms(f64::from(seconds) / 60.0)));
    }
    text
}
