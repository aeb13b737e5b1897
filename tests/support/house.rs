//! A house of its own for one test: state directory, workspace, command line, engine and all that it starts. Nothing of
//! it is left when the test ends, however it ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Nothing in these tests takes longer on a working machine.
pub(crate) const DEADLINE_MS: i64 = 100_000;

/// Asks again until it is so; false when it is not within `deadline_ms`. What takes long is asked for less and less often:
/// most questions start a process, and would take the processor from what they wait for.
pub(crate) fn within(deadline_ms: i64, mut is_so: impl FnMut() -> bool) -> bool {
    let begun = dogwatch::clock::boottime_ms();
    while !is_so() {
        let waited = dogwatch::clock::boottime_ms() - begun;
        if waited >= deadline_ms {
            return false;
        }
        let pause = (waited / 10).clamp(5, 100).unsigned_abs();
        dogwatch::clock::pause(Duration::from_millis(pause));
    }
    true
}

/// Asks again until it is so, or fails with `what`.
#[track_caller]
pub(crate) fn until(what: &str, is_so: impl FnMut() -> bool) {
    assert!(within(DEADLINE_MS, is_so), "not within {DEADLINE_MS} ms: {what}");
}

/// See the module's description.
pub(crate) struct House {
    root: tempfile::TempDir,
    vars: Vec<(String, String)>,
    /// As `nobody`, with a copy of dogwatch that everybody may read.
    ordinary: bool,
    /// Another build than the one under test.
    build: Option<PathBuf>,
}

impl House {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// With these variables for everything that is started here.
    pub(crate) fn with(vars: &[(&str, &str)]) -> Self {
        let root = tempfile::Builder::new().prefix("dwh").tempdir().expect("a temporary directory");
        std::fs::create_dir(root.path().join("work")).expect("a workspace");
        let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { root, vars, ordinary: false, build: None }
    }

    /// From now on everything started here gets this variable, too.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.vars.push((name.into(), value.into()));
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.vars.retain(|(other, _)| other != name);
    }

    /// From now on everything is started by an ordinary user, whose house this is. Only for root.
    pub(crate) fn become_ordinary(&mut self) {
        // By another process: what a child of this one holds open for writing cannot be started.
        let mut copy = Command::new("cp");
        copy.arg(env!("CARGO_BIN_EXE_dogwatch")).arg(self.root.path().join("dogwatch"));
        assert!(copy.status().is_ok_and(|status| status.success()), "a copy");
        let own = Command::new("chown").args(["-R", "65534:65534"]).arg(self.root.path()).status().expect("chown");
        assert!(own.success(), "only root gives its files away");
        self.ordinary = true;
    }

    /// From now on everything is started by this build; by the one under test without.
    pub(crate) fn use_build(&mut self, build: Option<PathBuf>) {
        self.build = build;
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.path().join("s")
    }

    /// A workflow file in the workspace.
    pub(crate) fn workflow(&self, text: &str) {
        std::fs::write(self.work().join("w.toml"), format!("version = 1\n{text}")).expect("a workflow file");
    }

    /// A file of the workspace; empty when it is not there.
    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.work().join(name)).unwrap_or_default()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = if self.ordinary {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]);
            command.arg(self.root.path().join("dogwatch"));
            command
        } else {
            Command::new(self.build.as_deref().unwrap_or(Path::new(env!("CARGO_BIN_EXE_dogwatch"))))
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DOGWATCH_") {
                command.env_remove(name);
            }
        }
        command.env("DOGWATCH_STATE_DIR", self.state()).env("HOME", self.root.path());
        command.envs(self.vars.iter().map(|(name, value)| (name, value)));
        command.args(arguments).current_dir(self.work()).stdin(Stdio::null());
        command
    }

    /// Runs the command line to its end.
    pub(crate) fn dogwatch(&self, arguments: &[&str]) -> Output {
        // To files: whatever the command leaves running must not keep the test waiting for the end of a pipe.
        let (mut out, mut err) = (tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file"));
        let mut command = self.command(arguments);
        command.stdout(out.try_clone().expect("a file")).stderr(err.try_clone().expect("a file"));
        let status = command.status().expect("dogwatch starts");
        let text = |file: &mut std::fs::File| {
            let mut bytes = Vec::new();
            std::io::Seek::rewind(file).and_then(|()| std::io::Read::read_to_end(file, &mut bytes)).expect("its words");
            bytes
        };
        Output { status, stdout: text(&mut out), stderr: text(&mut err) }
    }

    /// What it says on its standard output when it ends well.
    #[track_caller]
    pub(crate) fn said(&self, arguments: &[&str]) -> String {
        let output = self.dogwatch(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", words(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Its one JSON object, if it gives one.
    pub(crate) fn json(&self, arguments: &[&str]) -> Option<Value> {
        let output = self.dogwatch(&[arguments, &["--json"]].concat());
        serde_json::from_slice(output.stdout.split(|byte| *byte == b'\n').next()?).ok()
    }

    pub(crate) fn status(&self) -> Value {
        self.json(&["status"]).unwrap_or(Value::Null)
    }

    /// A lane of the newest run: `step` or `step[x=1]`.
    pub(crate) fn lane(&self, name: &str) -> Value {
        let status = self.status();
        let lanes = status["steps"].as_array().cloned().unwrap_or_default();
        let is_it = |lane: &Value| match lane["label"].as_str() {
            Some("") | None => lane["step"] == name,
            Some(label) => format!("{}[{label}]", lane["step"].as_str().unwrap_or_default()) == name,
        };
        lanes.into_iter().find(is_it).unwrap_or(Value::Null)
    }

    /// Starts the workflow and comes back.
    #[track_caller]
    pub(crate) fn start(&self) {
        self.said(&["run", "w.toml", "--detach"]);
    }

    /// Waits for the run to end or to ask; the exit code of `wait`.
    pub(crate) fn wait(&self) -> Option<i32> {
        self.dogwatch(&["wait", "@last", "--timeout", "100s"]).status.code()
    }

    /// A client in the background.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("dogwatch starts")
    }

    /// The engine that holds the lock, by what it wrote into it.
    pub(crate) fn engine(&self) -> Option<i32> {
        let text = std::fs::read_to_string(self.state().join("engine.lock")).ok()?;
        let pid = text.strip_prefix("pid ")?.split(' ').next()?.parse().ok()?;
        is_alive(pid).then_some(pid)
    }

    /// Kills the engine and waits until it has gone.
    #[track_caller]
    pub(crate) fn kill_engine(&self) {
        let pid = self.engine().expect("an engine is there");
        kill(pid);
        until("the engine has gone", || !is_alive(pid));
    }

    /// The first process of each environment that lives, as its porter noted it.
    pub(crate) fn keepers(&self) -> Vec<i32> {
        let runs = std::fs::read_dir(self.state().join("runs")).into_iter().flatten().flatten();
        let noted = runs.flat_map(|run| find_files(&run.path(), "running.json", 3));
        let pids = noted.filter_map(|path| {
            let noted: Value = serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
            i32::try_from(noted["keeper"]["pid"].as_i64()?).ok()
        });
        pids.filter(|pid| is_alive(*pid) && cmdline(*pid).iter().any(|word| word == "keep")).collect()
    }

    pub(crate) fn porters(&self) -> Vec<i32> {
        self.own_processes().into_iter().filter(|pid| cmdline(*pid).iter().any(|word| word == "porter")).collect()
    }

    /// Processes inside the environments of this house.
    pub(crate) fn inside(&self) -> Vec<i32> {
        descendants(&self.keepers())
    }

    pub(crate) fn tmux_servers(&self) -> Vec<i32> {
        self.inside().into_iter().filter(|pid| comm(*pid).starts_with("tmux: server")).collect()
    }

    /// The shims that have a step.
    pub(crate) fn shims(&self) -> Vec<i32> {
        let inside = self.inside();
        inside.into_iter().filter(|pid| cmdline(*pid).get(1).is_some_and(|word| word == "shim")).collect()
    }

    /// Processes that name this house in their arguments or, where that can be read, in their environment.
    pub(crate) fn own_processes(&self) -> Vec<i32> {
        let root = self.root.path().to_string_lossy().into_owned();
        let state = self.state().to_string_lossy().into_owned();
        let names_it = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.contains(&root) || text.contains(&state)
        };
        let of = |pid: &i32, file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let me = i32::try_from(std::process::id()).unwrap_or(0);
        let all = pids().into_iter().filter(|pid| *pid != me && is_alive(*pid));
        all.filter(|pid| names_it(&of(pid, "cmdline")) || names_it(&of(pid, "environ"))).collect()
    }

    /// How often each `start KEY` and `end KEY` was written by the steps.
    pub(crate) fn effects(&self) -> BTreeMap<String, usize> {
        let mut counted = BTreeMap::new();
        for line in self.text("effects").lines() {
            *counted.entry(line.to_owned()).or_insert(0) += 1;
        }
        counted
    }

    /// The directories of all attempts, by `step/lane/a1`.
    pub(crate) fn attempts(&self) -> BTreeMap<String, PathBuf> {
        let mut found = BTreeMap::new();
        for run in folders(&self.state().join("runs")) {
            let own = |folder: &PathBuf| dogwatch::model::RUN_FOLDERS.contains(&name(folder).as_str());
            for step in folders(&run).into_iter().filter(|folder| !own(folder)) {
                for lane in folders(&step) {
                    for attempt in folders(&lane).into_iter().filter(|path| name(path).starts_with('a')) {
                        // A step that is called as a folder of the run is set apart.
                        let step = name(&step).trim_start_matches('_').to_owned();
                        let place = format!("{step}/{}/{}", name(&lane), name(&attempt));
                        found.insert(place, attempt);
                    }
                }
            }
        }
        found
    }

    pub(crate) fn log(&self, attempt: &str) -> String {
        let path = self.attempts().get(attempt).map(|path| path.join("log"));
        let bytes = path.and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The journal as it is on disk, for looking only: a copy, for its engine lets nobody else in.
    pub(crate) fn journal(&self) -> rusqlite::Connection {
        let copy = tempfile::tempdir().expect("a folder");
        let (file, wal) = (self.state().join("journal.db"), self.state().join("journal.db-wal"));
        // What makes the copy whole: nobody began the WAL anew between its two parts.
        let head = || std::fs::read(&wal).map(|bytes| bytes.get(..32).map(<[u8]>::to_vec)).unwrap_or_default();
        until("the journal is copied", || {
            let before = head();
            let copied = std::fs::copy(&file, copy.path().join("journal.db")).is_ok() || !file.exists();
            let whole = std::fs::copy(&wal, copy.path().join("journal.db-wal")).is_ok() || !wal.exists();
            copied && whole && head() == before
        });
        let journal = rusqlite::Connection::open(copy.path().join("journal.db")).expect("the journal");
        // It stays open, and its folder may go.
        journal.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).expect("the journal is read");
        journal
    }

    /// The journal itself, when no engine has it.
    pub(crate) fn journal_to_change(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.state().join("journal.db")).expect("the journal")
    }

    /// Everything of this house that still lives, in words.
    pub(crate) fn left(&self) -> Vec<String> {
        let mut pids = self.own_processes();
        pids.extend(self.keepers());
        pids.extend(self.inside());
        pids.sort_unstable();
        pids.dedup();
        pids.into_iter().map(|pid| format!("{pid} {}", cmdline(pid).join(" "))).collect()
    }

    /// Ends everything that was started here.
    pub(crate) fn end_all(&self) {
        // Nobody starts an engine any more.
        let _ = std::fs::write(self.state().join("engine.stopped"), b"");
        within(20_000, || {
            let mut pids = self.keepers();
            pids.extend(descendants(&pids));
            pids.extend(self.own_processes());
            pids.iter().copied().for_each(kill);
            pids.is_empty()
        });
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("DOGWATCH_TEST_KEEP").is_some() {
            eprintln!("kept: {}", self.root.path().display());
            self.root.disable_cleanup(true);
            return self.end_all();
        }
        self.end_all();
        // What is just dying may still make a file.
        within(3_000, || std::fs::remove_dir_all(self.root.path()).is_ok() || !self.root.path().exists());
    }
}

/// `line 0`, `line 1`, … as a terminal shows them.
pub(crate) fn lines(beginning: &str, count: usize) -> String {
    (0..count).fold(String::new(), |text, number| text + &format!("{beginning} {number}\r\n"))
}

/// Exit status and words of a command.
pub(crate) fn words(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n{out}{err}", output.status)
}

pub(crate) fn kill(pid: i32) {
    signal(pid, Signal::KILL);
}

/// Sends it; a process that has gone meanwhile is no error.
pub(crate) fn signal(pid: i32, signal: Signal) {
    let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, signal));
}

/// There, and not merely waiting to be collected.
pub(crate) fn is_alive(pid: i32) -> bool {
    stat(pid).is_some_and(|fields| fields[0] != "Z" && fields[0] != "X")
}

/// The fields of `/proc/<pid>/stat` after the name.
pub(crate) fn stat(pid: i32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text[text.rfind(')')? + 2..].split_ascii_whitespace().map(str::to_owned).collect())
}

pub(crate) fn comm(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default()
}

pub(crate) fn cmdline(pid: i32) -> Vec<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

fn pids() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// All that descend from these.
pub(crate) fn descendants(ancestors: &[i32]) -> Vec<i32> {
    let parents: BTreeMap<i32, i32> = pids()
        .into_iter()
        .filter_map(|pid| Some((pid, stat(pid).filter(|fields| fields[0] != "Z")?[1].parse().ok()?)))
        .collect();
    let descends = |mut pid: i32| {
        while let Some(parent) = parents.get(&pid) {
            if ancestors.contains(parent) {
                return true;
            }
            pid = *parent;
        }
        false
    };
    parents.keys().copied().filter(|pid| descends(*pid)).collect()
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir() && !path.is_symlink()).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

pub(crate) fn find_files(path: &Path, wanted: &str, depth: usize) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Some(path.join(wanted)).filter(|path| path.is_file()).into_iter().collect();
    if depth > 0 {
        found.extend(folders(path).iter().flat_map(|folder| find_files(folder, wanted, depth - 1)));
    }
    found
}
