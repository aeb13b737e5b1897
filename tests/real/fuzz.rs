//! What a stranger may send: workflow files and messages that are broken in every way, for a while, another way each time. The
//! file's reader never panics; an engine that is talked to like this lives on, its memory stays bounded, and a run that goes on
//! meanwhile does not notice.
//!
//! Each runs for `DOGWATCH_FUZZ_SECONDS`: 60 under CI, else 5. The seed is printed; `DOGWATCH_FUZZ_SEED` repeats it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use dogwatch::clock::{boottime_ms, pause, random_bytes};

use crate::house::{House, until};

/// How long, and from which seed on.
fn budget() -> (i64, u64) {
    let told = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let usual = if std::env::var_os("CI").is_some() { 60 } else { 5 };
    let seconds = told("DOGWATCH_FUZZ_SECONDS").unwrap_or(usual);
    let seed = told("DOGWATCH_FUZZ_SEED").unwrap_or_else(|| u64::from(u32::from_le_bytes(random_bytes())));
    (i64::try_from(seconds).unwrap_or(60) * 1000, seed)
}

/// The same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, n: usize) -> usize {
        for _ in 0..3 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
        }
        usize::try_from(self.0 >> 11).unwrap_or(0) % n.max(1)
    }

    fn of<'a>(&mut self, all: &[&'a [u8]]) -> &'a [u8] {
        all[self.below(all.len())]
    }
}

const PIECES: [&[u8]; 26] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"'",
    b"'''",
    b"=",
    b":",
    b",",
    b".",
    b"\n",
    b"\r\n",
    b"#",
    b"${{",
    b"}}",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"99999999999999999999",
    b"\\u0000",
    b"\x00",
    b"\x1b[2J",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
];

/// One to five things broken.
fn mutate(whole: &[u8], others: &[&[u8]], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for _ in 0..=dice.below(5) {
        let at = dice.below(bytes.len() + 1);
        match dice.below(12) {
            0 => bytes.truncate(at),
            1..=3 => drop(bytes.splice(at..at, dice.of(&PIECES).iter().copied())),
            4 | 5 => {
                let end = bytes.len().min(at + dice.below(30));
                drop(bytes.drain(at..end));
            }
            6 | 7 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            8 => {
                let times = 1 + dice.below(2000);
                let piece = dice.of(&PIECES).repeat(times);
                drop(bytes.splice(at..at, piece));
            }
            9 | 10 => {
                // A part of it once more.
                let end = bytes.len().min(at + dice.below(200));
                let part = bytes[at..end].to_vec();
                let to = dice.below(bytes.len() + 1);
                drop(bytes.splice(to..to, part));
            }
            _ => {
                let other = dice.of(others);
                drop(bytes.splice(at.., other[dice.below(other.len())..].iter().copied()));
            }
        }
    }
    bytes
}

/// Every workflow file of this repository.
fn files() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("workflows")];
    while let Some(folder) = folders.pop() {
        let entries: Vec<PathBuf> =
            std::fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("it is read").path()).collect();
        for path in entries {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "toml") {
                found.push(std::fs::read(path).expect("it is read"));
            }
        }
    }
    assert!(found.len() > 3, "only {} files", found.len());
    found
}

#[test]
fn no_workflow_file_makes_the_reader_panic() {
    let (ms, seed) = budget();
    eprintln!("files: {} s from DOGWATCH_FUZZ_SEED={seed}", ms / 1000);
    let files = files();
    let all: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("w.toml");
    let (mut dice, mut good, mut refused, mut longest) = (Dice::new(seed), 0, 0, 0);
    let end = boottime_ms() + ms;
    while boottime_ms() < end {
        let bytes = mutate(dice.of(&all), &all, &mut dice);
        std::fs::write(&path, &bytes).expect("it is written");
        let begun = boottime_ms();
        let read = std::panic::catch_unwind(|| dogwatch::config::inspect(&path, &[]));
        longest = longest.max(boottime_ms() - begun);
        let kept = || {
            let kept = std::env::temp_dir().join(format!("dogwatch-fuzz-{seed}-{}.toml", good + refused));
            drop(std::fs::write(&kept, &bytes));
            kept.display().to_string()
        };
        match read.unwrap_or_else(|_| panic!("it panicked; the file is kept as {}", kept())) {
            Ok(_) => good += 1,
            Err(problems) => {
                assert!(!problems.is_empty(), "refused without a word; the file is kept as {}", kept());
                let shown = problems.to_string();
                let control = shown.chars().any(|c| c.is_control() && c != '\n');
                assert!(!control, "{shown:?}; the file is kept as {}", kept());
                refused += 1;
            }
        }
    }
    eprintln!("files: {good} taken, {refused} refused; the longest look took {longest} ms");
    assert!(good > 0 && refused > good, "{good} taken, {refused} refused: the mutations are too weak or too strong");
}

/// What clients say. The run that is not to be disturbed is nowhere in it: whatever names the newest one, or a number, means
/// another.
const SAID: [&[u8]; 27] = [
    br#"{"id":1,"ask":"engine"}"#,
    br#"{"id":2,"ask":"inbox"}"#,
    br#"{"id":3,"ask":"subscribe"}"#,
    br#"{"id":4,"ask":{"runs":{"limit":20,"state":null}}}"#,
    br#"{"id":5,"ask":{"status":{"run":"victim"}}}"#,
    br#"{"id":6,"ask":{"events":{"run":"victim","since":0,"limit":1000}}}"#,
    br#"{"id":7,"ask":{"log":{"run":"victim","step":"v","attempt":1}}}"#,
    br#"{"id":8,"ask":{"escalation":{"id":1}}}"#,
    br#"{"id":9,"ask":{"decide":{"id":1,"choice":"later","note":"why","hold_ms":5000,"lasting":true}}}"#,
    br#"{"id":10,"ask":{"undo":{"id":1}}}"#,
    br#"{"id":11,"ask":{"later":{"id":1}}}"#,
    br#"{"id":12,"ask":{"order":{"run":"victim","step":"v","order":"retry","note":"x"}}}"#,
    br#"{"id":13,"ask":{"clocks":{"run":"victim","step":"v","order":{"more":{"ms":1000}}}}}"#,
    br#"{"id":14,"ask":{"stop_step":{"run":"victim","step":"none"}}}"#,
    br#"{"id":15,"ask":{"pause":{"run":"victim"}}}"#,
    br#"{"id":16,"ask":{"unpause":{"run":"victim"}}}"#,
    br#"{"id":17,"ask":{"send":{"run":"victim","step":"v","text":"hello\n"}}}"#,
    br#"{"id":18,"ask":{"attach":{"run":"victim","step":"v","rows":40,"cols":120,"readonly":false}}}"#,
    br#"{"id":19,"ask":{"detach":{"run":"victim","step":"v","keys":3}}}"#,
    br#"{"id":20,"ask":{"checkpoints":{"run":"victim"}}}"#,
    br#"{"id":21,"ask":{"why":{"run":"victim","step":"v","attempt":null}}}"#,
    br#"{"id":22,"ask":{"kept":{"run":"victim","verify":false}}}"#,
    br#"{"id":23,"ask":{"resources":{"run":"victim"}}}"#,
    br#"{"id":24,"ask":{"metrics":{"run":"victim","step":null,"name":null,"from":0,"newest":true}}}"#,
    br#"{"id":25,"ask":{"source":{"run":"victim"}}}"#,
    br#"{"id":26,"ask":{"give_secret":{"run":"victim","secrets":{"TOKEN":"value"}}}}"#,
    br#"{"id":27,"ask":{"start_run":{"source":"version = 1\n[steps.a]\nrun = 'true'","file":"w","base":"/nowhere","params":[["a","b"]],"name":"victim","only":[],"from":null,"env":{"A":"b"},"secrets":{"T":"v"}}}}"#,
];

const HELLO: &[u8] = b"{\"v\":1,\"principal\":\"fuzz@test\",\"client\":\"cli\"}\n";

/// How often what happened.
type Counts = Mutex<BTreeMap<&'static str, u64>>;

fn count(counts: &Counts, what: &'static str, times: u64) {
    *counts.lock().expect("nobody panicked").entry(what).or_default() += times;
}

/// One who says strange things to an engine.
struct Stranger<'a> {
    socket: &'a Path,
    dice: Dice,
    counts: &'a Counts,
}

impl Stranger<'_> {
    fn connect(&self) -> Option<UnixStream> {
        let stream = UnixStream::connect(self.socket).ok();
        let stream = stream.and_then(|stream| {
            stream.set_read_timeout(Some(Duration::from_millis(300))).ok()?;
            stream.set_write_timeout(Some(Duration::from_secs(3))).ok()?;
            Some(stream)
        });
        count(self.counts, if stream.is_some() { "connections" } else { "not let in" }, 1);
        stream
    }

    /// What the engine says to it, until it says nothing for a moment, or goes away.
    fn hear(&self, stream: &mut UnixStream) {
        let (mut all, mut chunk) = (Vec::new(), vec![0; 64 * 1024]);
        let gone = loop {
            match stream.read(&mut chunk) {
                Ok(0) => break true,
                Ok(read) => all.extend_from_slice(&chunk[..read]),
                Err(_) => break false,
            }
            if all.len() > 8 << 20 {
                break false;
            }
        };
        let heard = String::from_utf8_lossy(&all);
        let refused = heard.matches("\"result\":{\"refused\"").count() as u64;
        count(self.counts, "refused", refused);
        count(self.counts, "answered", heard.matches("{\"answer\"").count() as u64 - refused);
        count(self.counts, "ended by the engine", u64::from(gone));
    }

    fn line(&mut self) -> Vec<u8> {
        let line = self.dice.of(&SAID);
        let mut line = if self.dice.below(3) == 0 { line.to_vec() } else { mutate(line, &SAID, &mut self.dice) };
        line.push(b'\n');
        line
    }

    /// Says this in pieces of any size; whether the engine took all of it.
    fn say(&mut self, stream: &mut UnixStream, mut bytes: &[u8]) -> bool {
        let slow = self.dice.below(8) == 0;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(if slow { 1 + self.dice.below(bytes.len()) } else { bytes.len() });
            if stream.write_all(now).is_err() {
                return false;
            }
            bytes = later;
            if slow {
                pause(Duration::from_millis(1 + self.dice.below(20) as u64));
            }
        }
        true
    }

    /// One conversation.
    fn talk(&mut self) {
        match self.dice.below(30) {
            0 => self.crowd(),
            1 => self.shouts(),
            2 => self.does_not_listen(),
            _ => self.chats(),
        }
    }

    fn chats(&mut self) {
        let Some(mut stream) = self.connect() else { return };
        let mut all = if self.dice.below(6) == 0 { mutate(HELLO, &SAID, &mut self.dice) } else { HELLO.to_vec() };
        for _ in 0..self.dice.below(20) {
            all.extend(self.line());
        }
        if self.dice.below(5) == 0 {
            all.truncate(self.dice.below(all.len() + 1));
        }
        count(self.counts, "lines", all.split(|byte| *byte == b'\n').count() as u64);
        if self.say(&mut stream, &all) && self.dice.below(4) > 0 {
            drop(stream.shutdown(Shutdown::Write));
            self.hear(&mut stream);
        }
    }

    /// Hundreds at once, who say nothing, or a part of something.
    fn crowd(&mut self) {
        let crowd: Vec<UnixStream> = (0..300).filter_map(|_| self.connect()).collect();
        for mut stream in &crowd {
            let part = self.dice.below(HELLO.len());
            drop(stream.write_all(&HELLO[..part]));
        }
    }

    /// A line without an end, or one that begins like a frame of four billion bytes.
    fn shouts(&mut self) {
        let Some(mut stream) = self.connect() else { return };
        let before: &[u8] = if self.dice.below(2) == 0 { HELLO } else { b"\xff\xff\xff\xff" };
        let bytes = [before, &b"[".repeat(self.dice.below(20 << 20))].concat();
        count(self.counts, "shouts", 1);
        if stream.write_all(&bytes).is_ok() && self.dice.below(2) == 0 {
            drop(stream.write_all(b"\n"));
        }
        self.hear(&mut stream);
    }

    /// Asks for much, and reads nothing.
    fn does_not_listen(&mut self) {
        let Some(mut stream) = self.connect() else { return };
        drop(stream.write_all(HELLO));
        for _ in 0..200 {
            let line = self.line();
            if stream.write_all(&line).is_err() {
                break;
            }
        }
        count(self.counts, "did not listen", 1);
    }
}

fn files_open(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// A line of a process's status, in KiB.
fn kib(pid: i32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("it is told");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

const CALM: &str = r#"
echo "start $DOGWATCH_KEY" >> effects
i=0
until test -e go; do echo "line $i"; i=$((i+1)); sleep 0.1; done
echo $i > count
"#;

#[test]
fn an_engine_that_is_told_nonsense_lives_on_and_its_runs_with_it() {
    let (ms, seed) = budget();
    eprintln!("wire: {} s from DOGWATCH_FUZZ_SEED={seed}", ms / 1000);
    let house = House::new();
    house.workflow(&format!("[workflow]\nname = \"calm\"\n[steps.c]\nrun = '''{CALM}'''\n"));
    house.start();
    let id = house.status()["line"]["id"].as_str().expect("an id").to_owned();
    house.workflow("[workflow]\nname = \"victim\"\n[steps.v]\nrun = 'cat'\n[steps.w]\nneeds = [\"v\"]\nrun = 'true'\n");
    house.start();
    until("both run", || house.lane("v")["state"] == "running");
    let engine = house.engine().expect("it lives");
    let (memory, files) = (kib(engine, "VmRSS"), files_open(engine));
    let socket = house.state().join("engine.sock");
    let counts = Counts::default();
    let end = boottime_ms() + ms;
    std::thread::scope(|scope| {
        for number in 0..6 {
            let (socket, counts) = (&socket, &counts);
            scope.spawn(move || {
                let mut stranger = Stranger { socket, dice: Dice::new(seed.wrapping_add(number)), counts };
                while boottime_ms() < end {
                    stranger.talk();
                }
            });
        }
    });
    until("whoever was dropped is forgotten", || files_open(engine) < files + 40);
    assert_eq!(house.engine(), Some(engine), "it is the same engine");
    let (after, most) = (kib(engine, "VmRSS"), kib(engine, "VmHWM"));
    let counts = counts.into_inner().expect("nobody panicked");
    eprintln!("wire: {counts:?}; memory {memory} KiB before, {after} KiB after, {most} KiB at most");
    assert!(counts["answered"] > 50 && counts["refused"] > 50, "the mutations are too weak or too strong");
    assert!(after < memory + (256 << 10) && most < memory + (512 << 10), "memory");
    std::fs::write(house.work().join("go"), "").expect("it is written");
    let ended = || house.json(&["status", &id]).is_some_and(|run| run["line"]["state"] == "succeeded");
    until("the run that was not spoken of ends well", ended);
    let effects = house.effects();
    assert!(effects.len() == 1 && effects.values().all(|count| *count == 1), "{effects:?}");
    let printed: usize = house.text("count").trim().parse().expect("a number");
    let log = house.said(&["logs", &id, "c"]);
    let numbers: Vec<&str> = log.lines().filter_map(|line| line.trim_end().strip_prefix("line ")).collect();
    assert_eq!(numbers, (0..printed).map(|n| n.to_string()).collect::<Vec<_>>(), "its log is whole");
    let panics = std::fs::read_dir(house.state().join("log")).into_iter().flatten().flatten();
    let panics: usize =
        panics.map(|file| std::fs::read_to_string(file.path()).unwrap_or_default().matches("panicked").count()).sum();
    assert_eq!(panics, 0, "nothing panicked in the engine");
}
