//! A desk with a project, a state directory and an engine of its own, and terminals on it: for tests of the faces with
//! everything real.

#![expect(clippy::unwrap_used, reason = "what cannot be set up ends the test")]

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use dogwatch::clock::{boottime_ms, pause};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

/// Longer than anything here takes on a loaded machine.
pub(crate) const PATIENCE_MS: i64 = 60_000;

/// A state directory, a project and an engine of one test. What was started is ended with it.
pub(crate) struct Desk {
    pub(crate) root: tempfile::TempDir,
    pub(crate) state: PathBuf,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::with_state("state")
    }

    pub(crate) fn with_state(name: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let state = root.path().join(name);
        std::fs::create_dir_all(root.path().join("project")).unwrap();
        std::fs::create_dir_all(root.path().join("home")).unwrap();
        Self { root, state }
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.root.path().join("project")
    }

    /// The project's own workflow, with these steps.
    pub(crate) fn write(&self, name: &str, steps: &str) {
        let text = format!("version = 1\n[workflow]\nname = \"{name}\"\n{steps}");
        std::fs::write(self.project().join("dogwatch.toml"), text).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dogwatch"));
        self.prepare(&mut command);
        command.args(args);
        command
    }

    pub(crate) fn prepare(&self, command: &mut Command) {
        command
            .current_dir(self.project())
            .env("DOGWATCH_STATE_DIR", &self.state)
            .env("HOME", self.root.path().join("home"))
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .stdin(Stdio::null());
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        Said::from(self.command(args).output().unwrap())
    }

    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub(crate) fn engine_pid(&self) -> Option<i32> {
        let said = self.run(&["engine", "status", "--json"]);
        let value: serde_json::Value = serde_json::from_str(said.out.lines().next()?).ok()?;
        i32::try_from(value["pid"].as_i64()?).ok()
    }

    /// kill -9 of this desk's own engine.
    pub(crate) fn kill_engine(&self) -> i32 {
        let pid = self.engine_pid().expect("an engine runs");
        let process = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
        pid
    }

    /// On a terminal of 80 columns and 24 rows.
    pub(crate) fn on_terminal(&self, args: &[&str]) -> Terminal {
        self.on_terminal_of(args, 80, 24)
    }

    /// On a terminal of so many columns and rows.
    pub(crate) fn on_terminal_of(&self, args: &[&str], columns: u16, rows: u16) -> Terminal {
        self.terminal((columns, rows), &with_dogwatch(args), &[])
    }

    /// On a terminal of 80 columns and 24 rows, with more in its environment.
    pub(crate) fn on_terminal_with(&self, args: &[&str], env: &[(&str, &str)]) -> Terminal {
        self.terminal((80, 24), &with_dogwatch(args), env)
    }

    /// Another program on a terminal of 160 columns and 24 rows; it finds dogwatch on its `PATH`.
    pub(crate) fn program_on_terminal(&self, program: &[&str]) -> Terminal {
        let binary = Path::new(env!("CARGO_BIN_EXE_dogwatch")).parent().unwrap();
        let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
        self.terminal((160, 24), program, &[("PATH", &path)])
    }

    fn terminal(&self, (columns, rows): (u16, u16), program: &[&str], env: &[(&str, &str)]) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        tcsetwinsize(&master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let open = || {
            let path = Path::new(name.to_str().unwrap());
            std::fs::File::options().read(true).write(true).open(path).unwrap()
        };
        // The terminal stays open here, so that it can be looked at after the end.
        let slave = open();
        // A session of its own with this as its terminal, so that Ctrl-C and sizes arrive as signals.
        let mut command = Command::new("setsid");
        self.prepare(&mut command);
        command.args(["--ctty", "--wait"]).args(program);
        command.stdin(open()).stdout(open()).stderr(open()).envs(env.iter().copied());
        // Before anybody can have changed it.
        let found = tcgetattr(&slave).unwrap();
        let child = command.spawn().unwrap();
        Terminal {
            found,
            master,
            slave,
            child,
            shown: String::new(),
            raw: Vec::new(),
            vt: avt::Terminal::new(usize::from(columns), usize::from(rows)).unwrap(),
            part: Vec::new(),
        }
    }

    pub(crate) fn wait_file(&self, name: &str) {
        let until = boottime_ms() + PATIENCE_MS;
        while !self.project().join(name).exists() {
            assert!(boottime_ms() < until, "{name} never came");
            pause(Duration::from_millis(10));
        }
    }

    /// The porter of one of this desk's environments holds its lock.
    pub(crate) fn porter_lives(&self) -> bool {
        let runs = std::fs::read_dir(self.state.join("runs")).into_iter().flatten().flatten();
        runs.filter_map(|run| std::fs::File::open(run.path().join("env/default/lock")).ok())
            .any(|lock| rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockShared).is_err())
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.project().join(name)).unwrap_or_default()
    }
}

fn with_dogwatch<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&[env!("CARGO_BIN_EXE_dogwatch")], args].concat()
}

impl Drop for Desk {
    fn drop(&mut self) {
        for line in self.run(&["ps", "--json"]).out.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            if let Some(id) = value["line"]["id"].as_str() {
                self.run(&["stop", id]);
                self.run(&["wait", id, "--for", "done", "--timeout", "20s"]);
            }
        }
        // A porter that is still there while its folder is removed would take the engine for missing and start one.
        let until = boottime_ms() + PATIENCE_MS;
        while self.porter_lives() && boottime_ms() < until {
            pause(Duration::from_millis(10));
        }
        self.run(&["engine", "stop"]);
    }
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Said {
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }
}

/// A command on a terminal.
pub(crate) struct Terminal {
    master: OwnedFd,
    pub(crate) slave: std::fs::File,
    pub(crate) child: Child,
    /// Its modes before the command was started.
    pub(crate) found: Termios,
    /// Everything that came, as text.
    pub(crate) shown: String,
    /// ... and as it came.
    pub(crate) raw: Vec<u8>,
    /// What it looks like, by an emulator that is not dogwatch's own.
    vt: avt::Terminal,
    /// Bytes that may go on with the next ones.
    part: Vec<u8>,
}

impl Terminal {
    /// Reads until this was shown.
    #[track_caller]
    pub(crate) fn see(&mut self, text: &str) {
        let until = boottime_ms() + PATIENCE_MS;
        while !self.shown.contains(text) {
            assert!(boottime_ms() < until, "{text:?} was never shown:\n{}", self.shown);
            self.read();
        }
    }

    /// Reads what is there, or waits a moment for it; whether something came.
    pub(crate) fn read(&mut self) -> bool {
        let mut fds = [rustix::event::PollFd::new(&self.master, rustix::event::PollFlags::IN)];
        let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        if rustix::event::poll(&mut fds, Some(&timeout)).unwrap_or(0) > 0 {
            let mut bytes = [0u8; 4096];
            let count = rustix::io::read(&self.master, &mut bytes).unwrap_or(0);
            self.raw.extend_from_slice(&bytes[..count]);
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
            self.part.extend_from_slice(&bytes[..count]);
            let whole = match std::str::from_utf8(&self.part) {
                Ok(_) => self.part.len(),
                Err(why) => why.valid_up_to(),
            };
            let whole: Vec<u8> = self.part.drain(..whole).collect();
            self.vt.feed(&*String::from_utf8_lossy(&whole));
            return count > 0;
        }
        false
    }

    /// The bytes that came last, with what was said and is gone from the picture.
    fn newest(&self) -> String {
        self.raw[self.raw.len().saturating_sub(12_000)..].escape_ascii().to_string()
    }

    /// After the end: all that was said last is still in the terminal, however much it is.
    fn drain(&mut self) {
        while self.read() {}
    }

    /// Reads until the picture is as wanted.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, wanted: impl Fn(&str) -> bool) {
        let until = boottime_ms() + PATIENCE_MS;
        while !wanted(&self.picture()) {
            let late = boottime_ms() >= until;
            assert!(!late, "never came: {what}\n{}\n{}", self.picture(), self.newest());
            self.read();
        }
    }

    /// Reads until the picture holds this text.
    #[track_caller]
    pub(crate) fn shows(&mut self, text: &str) {
        self.until(&format!("{text:?}"), |picture| picture.contains(text));
    }

    /// The screen as lines of text.
    pub(crate) fn picture(&self) -> String {
        self.vt.screen().visible_lines().map(avt::Line::text).collect::<Vec<_>>().join("\n")
    }

    /// The cursor is to be seen.
    pub(crate) fn cursor_visible(&self) -> bool {
        self.vt.cursor().visible
    }

    /// The window gets another size.
    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        tcsetwinsize(&self.master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        self.vt.resize(usize::from(columns.clamp(1, 1000)), usize::from(rows.clamp(1, 500)));
    }

    pub(crate) fn press(&self, keys: &str) {
        rustix::io::write(&self.master, keys.as_bytes()).unwrap();
    }

    pub(crate) fn is_raw(&self) -> bool {
        !tcgetattr(&self.slave).unwrap().local_modes.contains(LocalModes::ICANON)
    }

    /// Reads until it has ended, however that is.
    #[track_caller]
    pub(crate) fn ends_somehow(&mut self) {
        let until = boottime_ms() + PATIENCE_MS;
        while self.child.try_wait().unwrap().is_none() {
            assert!(boottime_ms() < until, "it does not end:\n{}", self.picture());
            self.read();
        }
        self.drain();
    }

    /// Waits until this was said and the engine has seen that its program runs: before, nobody can type into it.
    #[track_caller]
    pub(crate) fn runs(&mut self, said: &str) {
        self.until(&format!("{said:?} of what runs"), |picture| {
            picture.contains(said) && !picture.contains("starting")
        });
    }

    #[track_caller]
    pub(crate) fn ends(&mut self, code: i32) {
        let until = boottime_ms() + PATIENCE_MS;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.drain();
                assert_eq!(status.code(), Some(code), "{}", self.shown);
                return;
            }
            assert!(boottime_ms() < until, "it does not end:\n{}", self.picture());
            self.read();
        }
    }
}
